/*
 * Cases from the decoder's own table: random bytes in the shape of instructions are decoded, and samples are kept per
 * row, so that rare rows are met as often as common ones. Registers are then chosen so that most memory operands fall
 * into the case's pages.
 */
#include <stdlib.h>
#include "tests/host.h"
#include "tests/oracle/oracle.h"

#define SAMPLES 32 /* per row */
#define DRAWS 3000000u
#define MAX_TRIES 40

struct sample {
	struct encoding e;
	u8 opcode_end; /* offset of ModRM, or of the immediate */
};

struct pool {
	u32 seen;
	u8 n;
	struct sample s[SAMPLES];
};

struct pools {
	unsigned bits;
	struct decode_mode mode;
	u32 feat[FEATURE_WORDS];
	struct pool *pool; /* by row */
	bool *skip;	   /* by row: not wanted, or not ours to judge */
	u16 *used;	   /* rows that have samples */
	unsigned nused;
};

/*
 * Not a matter between us and the host: privileged state, the operating system, time, chance, identity, or
 * descriptor tables; and undocumented aliases of FSTP.
 */
static const char *const skipped[] = {
	"rdtsc", "rdtscp", "rdpmc", "rdrand", "rdseed", "cpuid", "xgetbv", "xsetbv", "rdpid", "syscall", "sysenter",
	"sysret", "sysexit", "int", "int1", "icebp", "iret", "retf", "sgdt", "sidt", "sldt", "str", "smsw",
	"lmsw", "lar", "lsl", "verr", "verw", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", "xsave", "xrstor",
	"fxsave", "fxrstor", "monitor", "mwait", "umonitor", "umwait", "tpause", "vm", "inv", "encl", "getsec",
	"rdpkru", "wrpkru", "xbegin", "xabort", "xend", "xtest", "rsm", "lds", "les", "lss", "lfs", "lgs",
	"fnsave", "fsave", "fnstenv", "fstenv", "clac",
	"stac", "enqcmd", "ptwrite", "swapgs", "stui", "clui", "skinit", "stgi", "clgi", "bnd", "incssp", "rdssp",
	"saveprevssp", "rstorssp", "wrss", "wruss", "setssbsy", "clrssbsy", "clzero", "ljmp", "lcall",
	"pcommit", "fstp1", "fstp8", "fstp9", "wbinvd", "wbnoinvd", "ud0", "xstore",
};

/* Names of these stand for whole families: anything that begins so is skipped. */
static bool is_prefix(const char *name)
{
	static const char *const prefixes[] = {"vm", "inv", "encl", "xsave", "xrstor", "fxsave", "fxrstor", "bnd",
					       "incssp", "rdssp", "wrss", "iret", "enqcmd", "sysret", "sysexit", "retf", "int"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strcmp(name, prefixes[i]))
			return true;
	return false;
}

/* Is @name one of @list, "vpaddd,vpxor"? */
static bool is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!strncmp(at, name, n) && (!at[n] || at[n] == ','))
			return true;
	}
	return false;
}

/*
 * What manuals leave to the maker, or AMD documents otherwise, where Orrery is Intel's: RCPPS and RSQRTPS; unmasked underflow of FPREM
 * and FSCALE; the flags of VCVTPS2PH; F3 before REX.B NOP; how much of BOUND, ENTER, a gather or RET is done when it faults.
 */
static bool makers_differ(const char *mnemonic)
{
	return strstr(mnemonic, "rcp") || strstr(mnemonic, "rsqrt") || strstr(mnemonic, "gather") ||
	       is_listed("ret,pause,bound,enter,fprem,fprem1,fscale,vcvtps2ph", mnemonic);
}

static bool is_skipped(const char *mnemonic)
{
	/* Vector moves, multiplies and the like share two letters with virtualization. */
	static const char *const virt[] = {"vmcall", "vmlaunch", "vmresume", "vmxo", "vmptr", "vmread", "vmwrite",
					   "vmclear", "vmfunc", "vmmcall", "vmrun", "vmload", "vmsave"};

	if (!strcmp(mnemonic, "into") || !strcmp(mnemonic, "int3"))
		return false;
	if (!host_is_intel() && makers_differ(mnemonic))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(skipped); i++) {
		if (!strcmp(skipped[i], "vm"))
			continue;
		size_t n = strlen(skipped[i]);
		if (is_prefix(skipped[i]) ? !strncmp(mnemonic, skipped[i], n) : !strcmp(mnemonic, skipped[i]))
			return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(virt); i++)
		if (!strncmp(mnemonic, virt[i], strlen(virt[i])))
			return true;
	return false;
}

static bool row_skipped(const struct insn_row *row, const u32 *feat, const char *wanted)
{
	bool avx = feat[FEAT_AVX / 32] >> (FEAT_AVX % 32) & 1;

	/* The host has AVX whatever Orrery's model says: then its VEX forms are no matter between them. */
	return row->attr & (IA_IO | IA_AVX512) || (row->attr & IA_AVX && !avx) ||
	       (wanted && !is_listed(wanted, row->mnemonic)) || is_skipped(row->mnemonic);
}

/*
 * The same of some forms: 66h before near branches in 64-bit mode, and whether a call has pushed when its target is not canonical; F2
 * and F3 before LOOP; PREFETCHW's register form; VEX.W outside 64-bit mode; MOVSXD to, and SHLD and SHRD of 16 bits; the alignment of
 * SHA's operands; how much of a masked move or a store is done when it faults.
 */
static bool form_differs(const struct pools *p, const struct insn *in)
{
	static const char *const with_memory[] = {"sha1", "sha256", "fst", "fist", "fbst", "vmaskmov", "vpmaskmov"};
	const struct insn_row *row = &insn_rows[in->row];
	const char *name = row->mnemonic;
	const bool memory = in->has_modrm && in->modrm < 0xc0;

	if (row->attr & IA_BRANCH && (in->opcode == 0xff || (in->prefixes & PFX_66 && p->bits == 64)))
		return true;
	if (in->prefixes & (PFX_REP | PFX_REPNE) && !strncmp(name, "loop", 4))
		return true;
	if (!strcmp(name, "nop") && in->opcode == 0x0d)
		return true;
	if (in->vex_w && p->bits != 64 && (!strcmp(name, "vpinsrd") || !strcmp(name, "vpextrd")))
		return true;
	if (in->opsize == 2 && (!strcmp(name, "shld") || !strcmp(name, "shrd") || !strcmp(name, "movsxd")))
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(with_memory); i++)
		if (memory && !strncmp(name, with_memory[i], strlen(with_memory[i])))
			return true;
	return false;
}

static bool usable(const struct pools *p, const struct insn *in)
{
	if (p->skip[in->row] || (!host_is_intel() && form_differs(p, in)))
		return false;
	/* F3 BSF is TZCNT on a host with BMI1, whether or not Orrery's model has it; likewise LZCNT. */
	if (in->prefixes & PFX_REP && (in->opcode == 0xbc || in->opcode == 0xbd) &&
	    !strncmp(insn_rows[in->row].mnemonic, "bs", 2))
		return false;
	/* REPNE without a comparison: reserved, and the host zero-extends RDI even for a count of 0. */
	if (in->prefixes & PFX_REPNE && insn_rows[in->row].attr & IA_REP && !insn_rows[in->row].fl_write)
		return false;
	if (in->opcode == 0xff && in->has_modrm && ((in->modrm >> 3 & 7) == 3 || (in->modrm >> 3 & 7) == 5))
		return false; /* far transfers through memory */
	for (unsigned i = 0; i < in->nops; i++)
		if (in->op[i].kind == OPK_SEG || in->op[i].kind == OPK_FAR)
			return false;
	return true;
}

enum decode_status decode_case(const struct pools *p, const struct encoding *e, struct insn *in)
{
	memset(in, 0, sizeof(*in));
	return insn_decode(&p->mode, e->b, e->len, in);
}

/* Fifteen bytes in the shape of an instruction; returns where ModRM or an immediate would begin. */
static u8 draw(struct rng *r, unsigned bits, u8 *b)
{
	static const u8 legacy[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
	static const u8 chance[] = {20, 8, 10, 10, 5, 1, 1, 1, 1, 2, 2};
	u8 n = 0;
	u32 map = rng_below(r, 100);

	for (unsigned i = 0; i < ARRAY_SIZE(legacy); i++)
		if (rng_percent(r, chance[i]))
			b[n++] = legacy[i];
	if (map < 12) { /* VEX: its 66, F2, F3 and REX are inside */
		n = rng_percent(r, 5) ? n : 0;
		u8 p1 = (u8)rng_next(r), p2 = (u8)rng_next(r);
		if (map < 6) {
			b[n++] = 0xc5;
			b[n++] = bits == 64 ? p1 : p1 | 0xc0;
		} else {
			b[n++] = 0xc4;
			p1 = (p1 & 0xe0) | (1 + rng_below(r, 3));
			b[n++] = bits == 64 ? p1 : p1 | 0xc0;
			b[n++] = p2;
		}
		if (rng_percent(r, 50))
			b[n - 1] |= 0x78; /* vvvv unused */
	} else {
		if (bits == 64 && rng_percent(r, 50))
			b[n++] = 0x40 | rng_below(r, 16);
		if (map >= 50)
			b[n++] = 0x0f;
		if (map >= 85)
			b[n++] = map >= 93 ? 0x3a : 0x38;
	}
	b[n++] = (u8)rng_next(r);
	u8 end = n;
	while (n < 15)
		b[n++] = (u8)rng_next(r);
	if (map >= 6 && map < 12 && rng_percent(r, 3)) { /* a gather, which chance seldom makes */
		b[end - 3] = (b[end - 3] & 0xe0) | 2;
		b[end - 2] = (b[end - 2] & 0xfc) | 1;
		b[end - 1] = 0x90 | rng_below(r, 4);
		b[end] = (b[end] & 0x38) | (u8)(rng_below(r, 3) << 6) | 4;
	}
	return end;
}

struct pools *pools_open(unsigned bits, const u32 *feat, const char *row, u64 seed)
{
	struct pools *p = calloc(1, sizeof(*p));
	struct rng r = {seed * 2 + bits};
	struct insn in;

	if (!p)
		return NULL;
	p->bits = bits;
	memcpy(p->feat, feat, sizeof(p->feat));
	p->mode = (struct decode_mode){.bits = (u8)bits, .feat = p->feat};
	p->pool = calloc(insn_row_count, sizeof(*p->pool));
	p->used = calloc(insn_row_count, sizeof(*p->used));
	p->skip = calloc(insn_row_count, sizeof(*p->skip));
	if (!p->pool || !p->used || !p->skip)
		exit(1);
	for (unsigned i = 0; i < insn_row_count; i++)
		p->skip[i] = row_skipped(&insn_rows[i], feat, row);
	for (u32 i = 0; i < DRAWS; i++) {
		struct sample s = {.e.len = 15};
		s.opcode_end = draw(&r, bits, s.e.b);
		if (decode_case(p, &s.e, &in) != DECODE_OK || !usable(p, &in))
			continue;
		struct pool *pool = &p->pool[in.row];
		s.e.len = in.len;
		/* Reservoir sampling: every draw of the row is as likely to be kept. */
		u32 slot = pool->seen < SAMPLES ? pool->seen : rng_below(&r, pool->seen + 1);
		pool->seen++;
		if (slot < SAMPLES)
			pool->s[slot] = s;
		pool->n = (u8)MIN(pool->seen, SAMPLES);
	}
	for (unsigned i = 0; i < insn_row_count; i++)
		if (p->pool[i].n)
			p->used[p->nused++] = (u16)i;
	return p;
}

void pools_close(struct pools *p)
{
	free(p->pool);
	free(p->used);
	free(p->skip);
	free(p);
}

unsigned pools_rows(const struct pools *p)
{
	return p->nused;
}

/* ---- values ----------------------------------------------------------------------------------- */

static u64 interesting(struct rng *r)
{
	static const u64 edge[] = {0, 1, ~0ull, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000,
				   0xffffffff, 0x7fffffffffffffffull, 0x8000000000000000ull, 0x100, 0x10000,
				   0x100000000ull, 31, 32, 63, 64};

	switch (rng_below(r, 5)) {
	case 0: return edge[rng_below(r, ARRAY_SIZE(edge))];
	case 1: return rng_below(r, 70);
	case 2: return (u64)-(s64)rng_below(r, 300);
	case 3: return rng_next(r) >> rng_below(r, 64);
	default: return rng_next(r);
	}
}

static u32 single(struct rng *r)
{
	static const u32 edge[] = {0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000,
				   0x7f800001, 0xffc12345, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4b000000,
				   0x4f000000, 0xcf000000, 0x3f000000, 0x40490fdb, 0x5f000000};

	return rng_percent(r, 40)   ? edge[rng_below(r, ARRAY_SIZE(edge))]
	       : rng_percent(r, 50) ? 0x3f000000 + rng_below(r, 0x2000000) + (rng_below(r, 2) << 31)
				    : (u32)rng_next(r);
}

static u64 twice(struct rng *r)
{
	static const u64 edge[] = {0, 1ull << 63, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
				   0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 1,
				   0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x43e0000000000000,
				   0xc3e0000000000000, 0x41e0000000000000, 0x3fe0000000000000, 0x400921fb54442d18};

	return rng_percent(r, 40)   ? edge[rng_below(r, ARRAY_SIZE(edge))]
	       : rng_percent(r, 50) ? 0x3fe0000000000000 + (rng_next(r) >> 10) + ((u64)rng_below(r, 2) << 63)
				    : rng_next(r);
}

static void extended(struct rng *r, u8 *b)
{
	u64 mant = rng_next(r) | 1ull << 63;
	u16 se = (u16)(0x3fff - 40 + rng_below(r, 80)) | (u16)(rng_below(r, 2) << 15);

	switch (rng_below(r, 12)) {
	case 0: mant = 0, se &= 0x8000; break;
	case 1: mant = 1ull << 63, se = 0x3fff | (se & 0x8000); break;
	case 2: mant = 1ull << 63, se |= 0x7fff; break;
	case 3: se |= 0x7fff; break;
	case 4: mant &= ~(1ull << 63), se &= 0x8000; break;
	case 5: mant = 1ull << 63 | (u64)rng_below(r, 1000) << 53, se = 0x4008 | (se & 0x8000); break;
	case 6: mant = rng_next(r), se = (u16)rng_next(r); break;
	case 7: mant = (u64)(1 + rng_below(r, 15)) << 60 | 1ull << 63, se = 0x3ffe + (u16)rng_below(r, 4); break;
	default: break;
	}
	memcpy(b, &mant, 8);
	memcpy(b + 8, &se, 2);
}

static void fill_vectors(struct rng *r, struct state *s)
{
	for (unsigned i = 0; i < 16; i++) {
		u32 how = rng_below(r, 3);
		for (unsigned j = 0; j < 4; j++) {
			u64 v = how == 0   ? twice(r)
				: how == 1 ? single(r) | (u64)single(r) << 32
					   : interesting(r);
			memcpy(s->v[i] + 8 * j, &v, 8);
		}
	}
	s->mxcsr = 0x1f80 | rng_below(r, 64);
	if (rng_percent(r, 30))
		s->mxcsr |= rng_below(r, 4) << 13;
	if (rng_percent(r, 10))
		s->mxcsr |= rng_percent(r, 50) ? 0x8000 : 0x40;
	if (rng_percent(r, 10))
		s->mxcsr &= ~(rng_below(r, 64) << 7);
}

static void fill_x87(struct rng *r, struct state *s)
{
	s->cw = 0x37f;
	if (rng_percent(r, 40))
		s->cw = 0x7f | (u16)(rng_below(r, 4) << 10) | (u16)((0x320 >> 4 * rng_below(r, 3) & 3) << 8);
	u16 unmasked = rng_percent(r, 10) ? (u16)rng_below(r, 64) : 0;
	s->cw &= ~unmasked;
	/* Sticky bits of masked exceptions only: otherwise #MF would end most cases at once. */
	s->sw = (u16)(rng_below(r, 0x80) & ~unmasked & 0x7f) | (u16)(rng_below(r, 8) << 11) |
		(u16)(rng_below(r, 8) << 8) | (u16)(rng_below(r, 2) << 14);
	s->valid = rng_percent(r, 60) ? 0xff : (u8)rng_next(r);
	for (unsigned i = 0; i < 8; i++)
		extended(r, s->st[i]);
}

static void fill_state(struct rng *r, struct test_case *tc)
{
	struct state *s = &tc->in;

	memset(s, 0, sizeof(*s));
	for (unsigned i = 0; i < 16; i++)
		s->r[i] = interesting(r);
	if (rng_percent(r, 60))
		s->r[RCX] = rng_below(r, 40);
	if (rng_percent(r, 40))
		s->r[RDX] = rng_percent(r, 50) ? 0 : rng_below(r, 1000);
	static const u8 pointers[] = {RSP, RBP, RSI, RDI, RBX};
	for (unsigned i = 0; i < ARRAY_SIZE(pointers); i++)
		s->r[pointers[i]] = DATA_BASE + 0x800 + rng_below(r, 0x3000) / 16 * 16 +
				    (rng_percent(r, 30) ? rng_below(r, 16) : 0);
	for (unsigned i = R12; tc->n > 1 && i <= R15; i++)
		s->r[i] = DATA_BASE + 0x800 + rng_below(r, 0x300) * 16;
	for (unsigned i = 0; tc->bits == 32 && i < 16; i++)
		s->r[i] = i < 8 ? (u32)s->r[i] : 0;
	s->rflags = FL_R1 | FL_IF | ((u32)rng_next(r) & FL_ARITH) | (rng_percent(r, 15) ? FL_DF : 0);
	fill_vectors(r, s);
	fill_x87(r, s);
}

/* ---- fitting memory operands into the pages ----------------------------------------------------- */

static u64 target(struct rng *r, unsigned adsize)
{
	u64 base = adsize == 2 ? LOW_BASE : DATA_BASE;
	u32 size = adsize == 2 ? LOW_SIZE : DATA_SIZE;
	u32 how = rng_below(r, 100);

	if (how < 55)
		return base + (0x200 + rng_below(r, size - 0x400)) / 64 * 64;
	if (how < 80)
		return base + 0x200 + rng_below(r, size - 0x400);
	if (how < 92) /* across a page boundary inside */
		return base + 0x1000 - rng_below(r, 32);
	return how < 96 ? base + size - rng_below(r, 40) : base + rng_below(r, 8);
}

static void patch(struct encoding *e, unsigned at, u64 v, unsigned size)
{
	if (at + size <= e->len)
		memcpy(e->b + at, &v, size);
}

/* Indexes of a gather that mostly stay in the pages, some elements of the mask on: by doublewords or quadwords. */
static void fit_gather(struct rng *r, struct test_case *tc, const struct insn *in)
{
	u8 *index = tc->in.v[in->index & 15], *mask = tc->in.v[in->op[2].reg & 15];
	unsigned step = in->opcode & 1 ? 8 : 4;
	bool far = rng_percent(r, 15), all = rng_percent(r, 50);

	for (unsigned i = 0; i < 32; i += step) {
		s64 v = (s64)rng_below(r, 300) - 50;
		if (far && rng_percent(r, 20))
			v = (s32)rng_next(r);
		memcpy(index + i, &v, step);
	}
	for (unsigned i = 3; all && i < 32; i += 4)
		mask[i] |= 0x80;
}

/*
 * Chooses a register or displacement so that the memory operand of @s, about to be instruction number tc->n at linear
 * address @at, falls into the pages. @pinned: registers whose initial value no longer may, or need not, change.
 * False when it cannot be done.
 */
static bool fit(const struct pools *p, struct rng *r, struct test_case *tc, struct sample *s, const struct insn *in,
		u32 at, u32 *pinned)
{
	unsigned mask_bytes = in->adsize;
	u64 want = target(r, in->adsize);
	bool mem = false, vsib = false;

	for (unsigned i = 0; i < in->nops; i++)
		mem |= in->op[i].kind == OPK_MEM;
	if (!mem || rng_percent(r, 2))
		return true;
	if (!in->has_modrm) { /* moffs */
		if (in->base == R_ZERO && in->index == R_ZERO)
			patch(&s->e, s->opcode_end, want, in->adsize);
		return true;
	}
	unsigned disp_at = s->opcode_end + 1 + (in->adsize != 2 && (in->modrm & 7) == 4);
	unsigned idx = in->index & 31;
	vsib = !strncmp(insn_rows[in->row].mnemonic, "vgather", 7) ||
	       !strncmp(insn_rows[in->row].mnemonic, "vpgather", 8);
	if (vsib)
		fit_gather(r, tc, in);
	if (in->base == R_CODE) {
		patch(&s->e, disp_at, want - (at + in->len), 4);
		return true;
	}
	if (!vsib && idx < 16 && idx != in->base && !(*pinned >> idx & 1) && rng_percent(r, 70))
		tc->in.r[idx] = rng_below(r, 32);
	u64 index = vsib || idx >= 16 ? 0 : tc->in.r[idx] << in->scale;
	if (in->base == R_ZERO) {
		if (in->adsize == 2 || in->adsize == 4 || (s64)(s32)(want - index) == (s64)(want - index))
			patch(&s->e, disp_at, want - index, in->adsize == 2 ? 2 : 4);
		return true;
	}
	if (idx == in->base)
		index = 0;
	u64 value = want - index - (u64)in->disp;
	if (*pinned >> in->base & 1) {
		u64 ea = zext_bytes(tc->in.r[in->base] + index + (u64)in->disp, mask_bytes);
		return ea - DATA_BASE < DATA_SIZE - 64;
	}
	if (idx == in->base && !vsib)
		value /= 1 + (1ull << in->scale);
	if (mask_bytes == 2 || p->bits == 32)
		value = zext_bytes(value, mask_bytes);
	else if (mask_bytes == 4 && rng_percent(r, 70))
		value = (u32)value;
	tc->in.r[in->base] = value;
	return true;
}

/* Registers that an instruction may change, as far as matters for addresses. */
static u32 written(const struct insn *in)
{
	u32 mask = in->op[0].kind == OPK_MEM ? 0 : BIT(RAX) | BIT(RDX);

	for (unsigned i = 0; i < in->nops; i++)
		if (in->op[i].kind == OPK_GPR && (in->op[i].rw & 2))
			mask |= BIT(in->op[i].reg & 31);
	return mask;
}

/* Bytes of the displacement of a near branch, at the end of its encoding; 0 for anything else. */
static unsigned branch_bytes(const struct insn *in)
{
	u8 op = in->opcode;

	for (unsigned i = 0; i < in->nops; i++) {
		if (in->op[i].kind != OPK_REL)
			continue;
		if ((op & 0xf0) == 0x70 || op == 0xeb || (op & 0xfc) == 0xe0)
			return 1;
		return in->opsize == 2 ? 2 : 4;
	}
	return 0;
}

/* Near branches go to one of the instructions that follow, or behind the last: never back. */
static void fix_branches(const struct pools *p, struct rng *r, struct test_case *tc)
{
	struct insn in;

	for (unsigned i = 0; i < tc->n; i++) {
		if (decode_case(p, &tc->code[i], &in) != DECODE_OK || !branch_bytes(&in))
			continue;
		unsigned to = i + 1 + rng_below(r, tc->n - i);
		u32 distance = 0;
		for (unsigned j = i + 1; j < to; j++)
			distance += tc->code[j].len;
		unsigned size = branch_bytes(&in);
		patch(&tc->code[i], tc->code[i].len - size, distance, size);
	}
}

/* Flags left undefined must not be looked at by what follows. */
static bool flags_allow(const struct insn *in, u32 *undef, bool branched)
{
	const struct insn_row *row = &insn_rows[in->row];

	if (row->fl_read & *undef)
		return false;
	if (!strncmp(row->mnemonic, "pushf", 5) && *undef)
		return false;
	/* A shift or rotate by zero leaves the flags as they were, and so does what a branch jumps over. */
	bool always = row->mnemonic[0] != 's' && row->mnemonic[0] != 'r' && !branched;
	if (always)
		*undef &= ~(u32)row->fl_write;
	*undef |= row->fl_undef;
	return true;
}

/* Making the pattern takes longer than running most cases: a number of cases see the same one. */
#define CASES_PER_MEMORY 64

static void fill_memory(struct test_case *tc, u64 seed)
{
	struct rng r = {seed};
	static const u32 floats[] = {0x3f800000, 0xc0000000, 0x40490fdb, 0x7f800000, 0, 0x80000000, 0x7fc00000, 5};

	if (tc->memory_seed == seed)
		return;
	tc->memory_seed = seed;
	for (size_t i = 0; i < sizeof(tc->memory); i += 8) {
		u64 v = rng_next(&r);
		u32 how = v >> 60;
		if (how < 3)
			v = floats[v & 7] | (u64)floats[v >> 3 & 7] << 32;
		else if (how < 5)
			v = 0x3ff0000000000000ull + (v << 8 >> 10);
		else if (how < 7)
			v &= 0xff;
		memcpy(tc->memory + i, &v, 8);
	}
}

void generate(struct pools *p, u64 seed, u64 number, unsigned length, struct test_case *tc)
{
	struct rng r = {seed * 0x9e3779b97f4a7c15ull + number};
	u32 pinned = 0, undef = 0;
	bool branched = false;
	struct insn in;

	rng_next(&r);
	memset(tc, 0, offsetof(struct test_case, memory_seed));
	tc->bits = p->bits;
	fill_memory(tc, seed + number / CASES_PER_MEMORY);
	unsigned wanted = length <= 1 ? 1 : 2 + rng_below(&r, length - 1);
	tc->n = wanted;
	fill_state(&r, tc);
	tc->start = CODE_BASE + (rng_percent(&r, 15) ? 0x1000 - rng_below(&r, 16) : 0x100 + rng_below(&r, 64));
	if (wanted > 1)
		for (unsigned i = R12; i <= R15; i++)
			pinned |= BIT(i);
	tc->n = 0;
	u32 at = tc->start;
	for (unsigned tries = 0; tc->n < wanted && tries < MAX_TRIES * wanted; tries++) {
		struct pool *pool = &p->pool[p->used[rng_below(&r, p->nused)]];
		struct sample s = pool->s[rng_below(&r, pool->n)];
		u32 undef_after = undef;

		if (decode_case(p, &s.e, &in) != DECODE_OK)
			continue;
		if (wanted > 1 && (insn_rows[in.row].attr & IA_CPL0) && !rng_percent(&r, 3))
			continue;
		u16 row = in.row;
		if (!flags_allow(&in, &undef_after, branched) || !fit(p, &r, tc, &s, &in, at, &pinned))
			continue;
		/* The new displacement must not have made another instruction of it. */
		if (decode_case(p, &s.e, &in) != DECODE_OK || in.row != row || in.len != s.e.len)
			continue;
		branched |= branch_bytes(&in) != 0;
		undef = undef_after;
		for (unsigned i = 0; i < in.nops; i++) {
			if (in.op[i].kind == OPK_MEM)
				pinned |= in.has_modrm ? BIT(in.base & 31) | BIT(in.index & 31) : 0;
		}
		pinned |= written(&in);
		tc->code[tc->n++] = s.e;
		at += s.e.len;
		if (may_truncate(tc, &in))
			break; /* what follows would compute addresses from what nobody documents */
	}
	fix_branches(p, &r, tc);
}

/* ---- code ----------------------------------------------------------------------------- */

void lay_code(const struct test_case *tc, u8 *code)
{
	u32 at = tc->start - CODE_BASE;

	memset(code, 0xcc, CODE_SIZE);
	for (unsigned i = 0; i < tc->n; i++) {
		memcpy(code + at, tc->code[i].b, tc->code[i].len);
		at += tc->code[i].len;
	}
}
