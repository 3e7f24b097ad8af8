/* Runs a case on both sides, says where they differ, and makes failing cases small. */
#include <stdarg.h>
#include <stdlib.h>
#include "tests/host.h"
#include "tests/oracle/oracle.h"

#define FLAGS_SEEN (FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID)

static void differ(struct verdict *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void differ(struct verdict *v, const char *fmt, ...)
{
	size_t n = strlen(v->text);
	va_list ap;

	v->same = false;
	va_start(ap, fmt);
	vsnprintf(v->text + n, sizeof(v->text) - n, fmt, ap);
	va_end(ap);
}

/* Linux tells these apart no further (native.c, vector_of). */
static int class_of(int vector)
{
	switch (vector) {
	case EXC_OF: case EXC_BR: case EXC_TS: case EXC_NP: return EXC_GP;
	case EXC_XM: return EXC_MF;
	}
	return vector;
}

static const char *vector_name(int vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "int3", "#OF", "#BR", "#UD", "#NM", "#DF", "CSO",
					    "#TS", "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM"};

	if (vector == END_HANG)
		return "does not end";
	if (vector == END_SHUTDOWN)
		return "triple fault";
	return vector >= 0 && vector < (int)ARRAY_SIZE(names) ? names[vector] : "?";
}

/* What the instructions of the case leave undefined, and how exact their x87 results must be. */
struct tolerance {
	u32 flags;
	bool transcendental; /* results within a few units in the last place; C1 and PE free */
	bool page_only;	     /* reads its operand in an order of its own: which byte of the page faulted is free */
	bool aligned;	     /* misaligned and not canonical at once: #GP or #SS */
	bool torn;	     /* FSTP m80, FBSTP, PUSHA */
	bool order_free;     /* two operands may both fault: which comes first is free */
	bool mmx;	     /* the host enters MMX state before a fault of the memory operand, and we after */
	bool truncates;	     /* may_truncate() */
	bool rep_flags;	     /* flags at a trap between the iterations of REP SCAS and CMPS */
	bool popa;	     /* registers popped before a fault */
	bool masked_store;   /* whether an empty mask faults is the processor's choice (SDM, MASKMOVDQU) */
};

static bool is_one_of(const char *name, const char *const *list)
{
	while (*list && strcmp(name, *list))
		list++;
	return *list != NULL;
}

static struct tolerance tolerance_of(struct pools *p, const struct test_case *tc)
{
	static const char *const near[] = {"fsin", "fcos", "fsincos", "fptan", "fpatan", "f2xm1", "fyl2x", "fyl2xp1",
					  NULL};
	static const char *const several[] = {"fldenv", "frstor", "pusha", "pushad", "popa", "popad", NULL};
	static const char *const whole[] = {"pusha", "pushad", "popa", "popad", NULL};
	static const char *const masked[] = {"maskmovq", "maskmovdqu", "vmaskmovdqu", NULL};
	static const char *const compares[] = {"scas", "cmps", NULL};
	struct tolerance t = {0};
	struct insn in;

	for (unsigned i = 0; i < tc->n; i++) {
		if (decode_case(p, &tc->code[i], &in) != DECODE_OK)
			continue;
		t.flags |= insn_rows[in.row].fl_undef;
		t.mmx |= (insn_rows[in.row].attr & IA_MMX) != 0;
		t.masked_store |= is_one_of(insn_rows[in.row].mnemonic, masked);
		t.page_only |= t.masked_store || is_one_of(insn_rows[in.row].mnemonic, several);
		t.aligned |= (insn_rows[in.row].attr & IA_ALIGN) != 0;
		t.torn |= !strcmp(insn_rows[in.row].mnemonic, "fbstp") || !strncmp(insn_rows[in.row].mnemonic, "pusha", 5) ||
			  (!strcmp(insn_rows[in.row].mnemonic, "fstp") && in.opcode == 0xdb);
		t.order_free |= !strcmp(insn_rows[in.row].mnemonic, "cmps") || is_one_of(insn_rows[in.row].mnemonic, whole);
		t.truncates |= may_truncate(tc, &in);
		t.rep_flags |= is_one_of(insn_rows[in.row].mnemonic, compares);
		t.popa |= !strncmp(insn_rows[in.row].mnemonic, "popa", 4);
		t.transcendental |= is_one_of(insn_rows[in.row].mnemonic, near);
	}
	return t;
}

static bool st_close(const u8 *a, const u8 *b, bool transcendental)
{
	u64 ma, mb;

	if (!memcmp(a, b, 10))
		return true;
	memcpy(&ma, a, 8);
	memcpy(&mb, b, 8);
	return transcendental && !memcmp(a + 8, b + 8, 2) && ma - mb + 8 <= 16;
}

static void compare_x87(struct verdict *v, const struct state *n, const struct state *e, struct tolerance t)
{
	u16 sw_mask = t.transcendental ? 0xffdf & ~0x200 : 0xffff;

	if (n->cw != e->cw)
		differ(v, "  FCW    host %04x, orrery %04x\n", n->cw, e->cw);
	if ((n->sw ^ e->sw) & sw_mask)
		differ(v, "  FSW    host %04x, orrery %04x\n", n->sw, e->sw);
	if (n->valid != e->valid)
		differ(v, "  FTW    host %02x, orrery %02x\n", n->valid, e->valid);
	for (unsigned i = 0; i < 8; i++) {
		u64 a, b;
		u16 sa, sb;
		if (st_close(n->st[i], e->st[i], t.transcendental))
			continue;
		memcpy(&a, n->st[i], 8);
		memcpy(&b, e->st[i], 8);
		memcpy(&sa, n->st[i] + 8, 2);
		memcpy(&sb, e->st[i] + 8, 2);
		differ(v, "  ST%u    host %04x:%016llx, orrery %04x:%016llx\n", i, sa, (unsigned long long)a, sb,
		       (unsigned long long)b);
	}
}

static void hex(char *s, const u8 *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sprintf(s + 2 * i, "%02x", b[n - 1 - i]);
}

static void compare_state(struct verdict *v, const struct test_case *tc, const struct state *n, const struct state *e,
			  struct tolerance t, bool faulted)
{
	static const char *const names[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					    "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};
	unsigned regs = tc->bits == 64 ? 16 : 8;
	u64 mask = tc->bits == 64 ? ~0ull : 0xffffffff;

	for (unsigned i = 0; i < regs; i++) {
		bool half = t.truncates && (i == RCX || i == RSI || i == RDI);
		if (!((n->r[i] ^ e->r[i]) & (half ? 0xffffffff : mask)) || (t.popa && faulted && i != RSP))
			continue;
		differ(v, "  %-6s host %016llx, orrery %016llx\n", names[i], (unsigned long long)n->r[i],
		       (unsigned long long)e->r[i]);
	}
	if (n->rip != e->rip)
		differ(v, "  RIP    host %016llx, orrery %016llx\n", (unsigned long long)n->rip,
		       (unsigned long long)e->rip);
	u32 flags = (n->rflags ^ e->rflags) & FLAGS_SEEN & ~t.flags & (t.rep_flags && faulted ? ~FL_ARITH : ~0u);
	if (flags)
		differ(v, "  RFLAGS host %06x, orrery %06x (differ %06x)\n", n->rflags, e->rflags, flags);
	if (n->mxcsr != e->mxcsr)
		differ(v, "  MXCSR  host %04x, orrery %04x\n", n->mxcsr, e->mxcsr);
	for (unsigned i = 0; i < regs; i++) {
		char a[65], b[65];
		if (!memcmp(n->v[i], e->v[i], 32))
			continue;
		hex(a, n->v[i], 32);
		hex(b, e->v[i], 32);
		differ(v, "  YMM%-2u  host   %s\n         orrery %s\n", i, a, b);
	}
	if (!(t.mmx && faulted))
		compare_x87(v, n, e, t);
}

static void compare_memory(struct verdict *v, const u8 *n, const u8 *e)
{
	unsigned shown = 0;

	for (u32 i = 0; i < DATA_SIZE + LOW_SIZE && shown < 4; i += 8) {
		u64 a, b;
		if (!memcmp(n + i, e + i, 8))
			continue;
		memcpy(&a, n + i, 8);
		memcpy(&b, e + i, 8);
		differ(v, "  [%08x] host %016llx, orrery %016llx\n",
		       i < DATA_SIZE ? DATA_BASE + i : LOW_BASE + i - DATA_SIZE, (unsigned long long)a,
		       (unsigned long long)b);
		shown++;
	}
}

void run_both(struct native *nat, struct emulated *emu, struct pools *p, const struct test_case *tc,
	      struct verdict *v)
{
	static const struct tolerance exact;
	struct outcome n, e;
	u8 mem[DATA_SIZE + LOW_SIZE];

	v->same = true;
	v->text[0] = 0;
	if (native_run(nat, tc, &n) < 0)
		return; /* the host itself could not finish it */
	emulated_run(emu, tc, &e);
	struct tolerance t = p ? tolerance_of(p, tc) : exact;
	if (t.masked_store && n.vector == EXC_PF)
		return;
	if (t.order_free && n.vector != EXC_BP && e.vector >= EXC_SS && e.vector <= EXC_PF)
		return;
	if (!host_is_intel() && n.vector == EXC_AC)
		return; /* AMD checks the alignment of VEX operands, too */
	if (!host_is_intel() && (n.vector == EXC_GP || n.vector == EXC_SS) && e.vector == EXC_PF && (u32)(e.addr + 64) < 128)
		return; /* an operand across 4 GiB: beyond the limit first, or not mapped first */
	if (t.aligned && n.vector == EXC_GP && e.vector == EXC_SS)
		e.vector = EXC_GP;
	if (class_of(n.vector) != class_of(e.vector))
		differ(v, "  ended by: host %s, orrery %s%s%s\n", vector_name(n.vector), vector_name(e.vector),
		       e.why ? ": " : "", e.why ? e.why : "");
	else if (n.vector == EXC_PF && (t.page_only ? (n.addr ^ e.addr) >> 12 : n.addr ^ e.addr))
		differ(v, "  #PF at: host %016llx, orrery %016llx\n", (unsigned long long)n.addr,
		       (unsigned long long)e.addr);
	compare_state(v, tc, &n.out, &e.out, t, n.vector != EXC_BP);
	/* A ten-byte store that faults half way may have stored its first half. */
	if (t.torn && n.vector == EXC_PF)
		return;
	emulated_data(emu, mem);
	compare_memory(v, native_data(nat), mem);
}

static bool fails(struct native *nat, struct emulated *emu, struct pools *p, const struct test_case *tc)
{
	struct verdict v;

	run_both(nat, emu, p, tc, &v);
	return !v.same;
}

void minimise(struct native *nat, struct emulated *emu, struct pools *p, struct test_case *tc)
{
	for (unsigned i = tc->n; i-- > 0 && tc->n > 1;) {
		struct test_case less = *tc;
		memmove(&less.code[i], &less.code[i + 1], (less.n - i - 1) * sizeof(less.code[0]));
		less.n--;
		if (fails(nat, emu, p, &less))
			*tc = less;
	}
	for (unsigned i = 0; i < 16; i++) {
		struct test_case less = *tc;
		less.in.r[i] = 0;
		if (tc->in.r[i] && fails(nat, emu, p, &less))
			*tc = less;
	}
	for (unsigned i = 0; i < 16; i++) {
		struct test_case less = *tc;
		memset(less.in.v[i], 0, 32);
		if (fails(nat, emu, p, &less))
			*tc = less;
	}
	struct test_case less = *tc;
	less.in.mxcsr = 0x1f80;
	less.in.rflags = FL_R1 | FL_IF;
	if (fails(nat, emu, p, &less))
		*tc = less;
	less = *tc;
	less.in.cw = 0x37f;
	less.in.sw = 0;
	less.in.valid = 0;
	memset(less.in.st, 0, sizeof(less.in.st));
	if (fails(nat, emu, p, &less))
		*tc = less;
}

void print_case(FILE *f, struct pools *p, const struct test_case *tc)
{
	const struct state *s = &tc->in;
	struct insn in;
	char text[128];
	u32 at = tc->start;

	for (unsigned i = 0; i < tc->n; i++) {
		fprintf(f, "  %08x ", at);
		for (unsigned j = 0; j < tc->code[i].len; j++)
			fprintf(f, " %02x", tc->code[i].b[j]);
		at += tc->code[i].len;
		if (decode_case(p, &tc->code[i], &in) == DECODE_OK) {
			insn_format(&in, at - tc->code[i].len, DISASM_INTEL, text, sizeof(text));
			fprintf(f, "  %s", text);
		}
		fputc('\n', f);
	}
	fprintf(f, "  before:");
	for (unsigned i = 0; i < 16; i++)
		if (s->r[i])
			fprintf(f, " r%u=%llx", i, (unsigned long long)s->r[i]);
	fprintf(f, " rflags=%x mxcsr=%x memory-seed=%llx\n", s->rflags, s->mxcsr, (unsigned long long)tc->memory_seed);
	for (unsigned i = 0; i < 16; i++) {
		u64 q[4];
		memcpy(q, s->v[i], 32);
		if (q[0] | q[1] | q[2] | q[3])
			fprintf(f, "    ymm%u=%016llx_%016llx_%016llx_%016llx\n", i, (unsigned long long)q[3],
				(unsigned long long)q[2], (unsigned long long)q[1], (unsigned long long)q[0]);
	}
	if (s->valid || s->sw || s->cw != 0x37f) {
		fprintf(f, "    cw=%04x sw=%04x valid=%02x", s->cw, s->sw, s->valid);
		for (unsigned i = 0; i < 8; i++) {
			u64 m;
			u16 se;
			memcpy(&m, s->st[i], 8);
			memcpy(&se, s->st[i] + 8, 2);
			fprintf(f, " st%u=%04x:%016llx", i, se, (unsigned long long)m);
		}
		fputc('\n', f);
	}
}
