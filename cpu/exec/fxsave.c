/*
 * Saving and restoring the extended state: FXSAVE and the XSAVE family (SDM Vol. 1, 10.5 and
 * chapter 13), MXCSR, EMMS.
 *
 * Components: x87, SSE, AVX, the three of AVX-512, PKRU, and of supervisor state the two of CET. The init
 * optimisation is done, the modified optimisation is not (XSAVEOPT and XSAVES may always save). FXSAVE with EFER.FFXSR (AMD) is
 * not modelled.
 */
#include "cpu/exec/exec.h"
#include "cpu/exec/system.h"
#include "cpu/exec/vec.h"
#include "cpu/exec/x87.h"
#include "cpu/exec/xsave.h"

#define AREA_MAX      2752u
#define HEADER        512u
#define LEGACY_END    576u
#define XCOMP_COMPACT BIT64(63)

const struct xsave_component xsave_components[XC_COUNT] = {
    [XC_X87] = {0, 160, false},          [XC_SSE] = {160, 256, false},
    [XC_AVX] = {576, 256, false},        [XC_OPMASK] = {1088, 64, false},
    [XC_ZMM_HI256] = {1152, 512, false}, [XC_HI16_ZMM] = {1664, 1024, false},
    [XC_PKRU] = {2688, 8, false},        [XC_CET_U] = {0, 16, false},
    [XC_CET_S] = {0, 24, false},
};

static unsigned align_up(unsigned v, bool align64)
{
	return align64 ? (v + 63) & ~63u : v;
}

/* Offset of component @i in an area of format @xcomp_bv. */
static unsigned component_offset(unsigned i, u64 xcomp_bv)
{
	unsigned at = LEGACY_END;

	if (!(xcomp_bv & XCOMP_COMPACT) || i < 2)
		return xsave_components[i].offset;
	for (unsigned k = 2; k < i; k++)
		if (xcomp_bv >> k & 1)
			at = align_up(at, xsave_components[k].align64) + xsave_components[k].size;
	return align_up(at, xsave_components[i].align64);
}

unsigned xsave_area_size(u64 mask, bool compacted)
{
	unsigned end = LEGACY_END;

	for (unsigned i = 2; i < XC_COUNT; i++)
		if (mask >> i & 1)
			end = MAX(end, component_offset(i, compacted ? mask | XCOMP_COMPACT : 0) +
					   xsave_components[i].size);
	return end;
}

/* ---- the legacy region ------------------------------------------------------------------- */

static void put_bytes(u8 *buf, unsigned at, const void *v, unsigned n)
{
	memcpy(buf + at, v, n);
}

static void x87_store(const struct cpu *cpu, u8 *buf, bool rexw)
{
	const struct x87 *f = &cpu->x87;
	u16 tags = x87_valid(f), sw = x87_sw(f);

	memset(buf, 0, 24);
	memset(buf + 32, 0, 128);
	put_bytes(buf, 0, &f->cw, 2);
	put_bytes(buf, 2, &sw, 2);
	put_bytes(buf, 4, &tags, 2);
	put_bytes(buf, 6, &f->fop, 2);
	put_bytes(buf, 8, &f->fip, rexw ? 8 : 4);
	put_bytes(buf, 16, &f->fdp, rexw ? 8 : 4);
	if (!rexw) {
		put_bytes(buf, 12, &f->fcs, 2);
		put_bytes(buf, 20, &f->fds, 2);
	}
	for (unsigned i = 0; i < 8; i++) {
		const struct x87_reg *r = &f->r[(x87_top(f) + i) & 7];

		put_bytes(buf, 32 + 16 * i, &r->mant, 8);
		put_bytes(buf, 40 + 16 * i, &r->se, 2);
	}
}

static void x87_load(struct cpu *cpu, const u8 *buf, bool rexw)
{
	struct x87 *f = &cpu->x87;
	u16 cw, sw;

	memcpy(&cw, buf, 2);
	memcpy(&sw, buf + 2, 2);
	x87_set_sw(f, sw);
	memcpy(&f->fop, buf + 6, 2);
	f->cw = (cw & 0x1f3f) | 0x40;
	f->fop &= 0x7ff;
	x87_set_valid(f, buf[4]);
	f->fip = f->fdp = 0;
	f->fcs = f->fds = 0;
	memcpy(&f->fip, buf + 8, rexw ? 8 : 4);
	memcpy(&f->fdp, buf + 16, rexw ? 8 : 4);
	if (!rexw) {
		memcpy(&f->fcs, buf + 12, 2);
		memcpy(&f->fds, buf + 20, 2);
	}
	for (unsigned i = 0; i < 8; i++) {
		struct x87_reg *r = &f->r[(x87_top(f) + i) & 7];

		memcpy(&r->mant, buf + 32 + 16 * i, 8);
		memcpy(&r->se, buf + 40 + 16 * i, 2);
	}
	x87_update_summary(cpu);
}

/* XSAVE's initial x87 state also clears the registers (SDM Vol. 1, 13.6). */
static void x87_load_initial(struct cpu *cpu)
{
	x87_init(cpu);
	memset(cpu->x87.r, 0, sizeof(cpu->x87.r));
}

static unsigned xmm_count(const struct cpu *cpu)
{
	return cpu_long64(cpu) ? 16 : 8;
}

static void mxcsr_store(struct cpu *cpu, u8 *buf)
{
	u32 mask = MXCSR_VALID;

	put_bytes(buf, 24, &cpu->mxcsr, 4);
	put_bytes(buf, 28, &mask, 4);
}

static void mxcsr_set(struct cpu *cpu, u32 v)
{
	bool exactness = mxcsr_unmasked(cpu->mxcsr) != mxcsr_unmasked(v);

	cpu->mxcsr = v;
	cpu_mxcsr_load(cpu);
	if (exactness) {
		cpu_mode_changed(cpu);
		cpu->attn = 1; /* the running block was built for the other kind */
	}
}

static u32 mxcsr_at(const u8 *buf)
{
	u32 v;

	memcpy(&v, buf + 24, 4);
	return v;
}

static int mxcsr_check(struct cpu *cpu, u32 v)
{
	if (v & ~MXCSR_VALID)
		return cpu_fault(cpu, EXC_GP, 0, "a reserved bit of MXCSR is set", v);
	return 0;
}

/* ---- FXSAVE ------------------------------------------------------------------------------ */

static bool insn_rexw(const struct insn *in)
{
	return in->opsize == 8;
}

/* The checks in common, and the linear address. */
static int area_linear(struct cpu *cpu, const struct insn *in, unsigned align, unsigned size,
		       unsigned acc, u64 *lin)
{
	if (op_linear(cpu, in, size, acc, lin))
		return 1;
	if (*lin & (align - 1))
		return cpu_fault(cpu, EXC_GP, 0, "the FXSAVE or XSAVE area is not aligned", *lin);
	return 0;
}

static int fxsave_gate(struct cpu *cpu)
{
	if (cpu->cr0 & (CR0_EM | CR0_TS))
		return cpu_fault(cpu, EXC_NM, 0, "FXSAVE or FXRSTOR with CR0.EM = 1 or CR0.TS = 1", cpu->cr0);
	return 0;
}

SIMPLE(fxsave)
{
	u8 buf[416];
	u64 lin;

	if (fxsave_gate(cpu) || area_linear(cpu, in, 16, 512, ACC_W, &lin))
		return 1;
	cpu_mxcsr_sync(cpu);
	x87_store(cpu, buf, insn_rexw(in));
	mxcsr_store(cpu, buf);
	for (unsigned i = 0; i < xmm_count(cpu); i++)
		put_bytes(buf, 160 + 16 * i, &cpu->v[i], 16);
	return mem_write(cpu, lin, buf, 160 + 16 * xmm_count(cpu), ACC_W);
}

SIMPLE(fxrstor)
{
	u8 buf[512];
	u64 lin;

	if (fxsave_gate(cpu) || area_linear(cpu, in, 16, 512, ACC_R, &lin) ||
	    mem_read(cpu, lin, buf, 512, ACC_R) || mxcsr_check(cpu, mxcsr_at(buf)))
		return 1;
	x87_load(cpu, buf, insn_rexw(in));
	for (unsigned i = 0; i < xmm_count(cpu); i++)
		memcpy(&cpu->v[i], buf + 160 + 16 * i, 16);
	mxcsr_set(cpu, mxcsr_at(buf));
	return 0;
}

/* ---- components -------------------------------------------------------------------------- */

static bool all_zero(const void *p, size_t n)
{
	const u8 *b = p;

	return !b[0] && !memcmp(b, b + 1, n - 1);
}

static bool x87_in_use(const struct cpu *cpu)
{
	const struct x87 *f = &cpu->x87;

	return f->cw != 0x37f || x87_sw(f) || x87_valid(f) || f->fop || f->fip || f->fdp || f->fcs ||
	       f->fds || !all_zero(f->r, sizeof(f->r));
}

/* Where component @i keeps its registers: @count of them, of @size bytes, @stride bytes from one to the next. */
struct regs {
	u8 *first;
	unsigned size, stride, count;
};

static struct regs component_regs(struct cpu *cpu, unsigned i)
{
	const unsigned n = xmm_count(cpu), vec = sizeof(cpu->v[0]);

	switch (i) {
	case XC_SSE: return (struct regs){cpu->v[0].b, 16, vec, n};
	case XC_AVX: return (struct regs){cpu->v[0].b + 16, 16, vec, n};
	case XC_OPMASK: return (struct regs){(u8 *)cpu->k, 8, 8, 8};
	case XC_ZMM_HI256: return (struct regs){cpu->v[0].b + 32, 32, vec, n};
	case XC_HI16_ZMM: return (struct regs){cpu->v[16].b, 64, vec, n == 16 ? 16 : 0};
	case XC_PKRU: return (struct regs){(u8 *)&cpu->pkru, 4, 4, 1};
	case XC_CET_U:
		return (struct regs){(u8 *)&cpu->u_cet, 8, offsetof(struct cpu, pl_ssp[3]) - offsetof(struct cpu, u_cet), 2};
	case XC_CET_S: return (struct regs){(u8 *)cpu->pl_ssp, 8, 8, 3};
	default: return (struct regs){NULL, 0, 0, 0};
	}
}

static bool component_in_use(struct cpu *cpu, unsigned i)
{
	const struct regs r = component_regs(cpu, i);

	if (i == XC_X87)
		return x87_in_use(cpu);
	if (i == XC_PKRU)
		return cpu->pkru;
	for (unsigned n = 0; n < r.count; n++) {
		u64 any = 0, v;
		for (unsigned at = 0; at < r.size; at += 8, any |= v)
			memcpy(&v, r.first + n * r.stride + at, 8);
		if (any)
			return true;
	}
	return false;
}

/* XINUSE of the components in @of (SDM Vol. 1, 13.6). */
static u64 xinuse(struct cpu *cpu, u64 of)
{
	u64 mask = 0;

	for (unsigned i = 0; i < XC_COUNT; i++)
		if ((of >> i & 1) && component_in_use(cpu, i))
			mask |= BIT64(i);
	return mask;
}

static void component_store(struct cpu *cpu, unsigned i, u8 *buf, bool rexw)
{
	const struct regs r = component_regs(cpu, i);

	if (i == XC_X87) {
		x87_store(cpu, buf, rexw);
		return;
	}
	if (i == XC_PKRU)
		memset(buf, 0, 8);
	if (r.size == 16)
		for (unsigned n = 0; n < r.count; n++) /* a size that the compiler knows: this is what an XSAVE mostly does */
			memcpy(buf + n * 16, r.first + n * r.stride, 16);
	else
		for (unsigned n = 0; n < r.count; n++)
			memcpy(buf + n * r.size, r.first + n * r.stride, r.size);
}

/* @buf NULL: the initial configuration. */
static void component_load(struct cpu *cpu, unsigned i, const u8 *buf, bool rexw)
{
	const struct regs r = component_regs(cpu, i);

	if (i == XC_X87) {
		if (buf)
			x87_load(cpu, buf, rexw);
		else
			x87_load_initial(cpu);
		return;
	}
	for (unsigned n = 0; n < r.count; n++) {
		u8 *reg = r.first + n * r.stride;
		if (buf && r.size == 16)
			memcpy(reg, buf + n * 16, 16);
		else if (buf)
			memcpy(reg, buf + n * r.size, r.size);
		else
			memset(reg, 0, r.size);
	}
}

/* Bytes of component @i that the current mode reads and writes. */
static unsigned component_bytes(struct cpu *cpu, unsigned i)
{
	const struct regs r = component_regs(cpu, i);

	return i == XC_X87 || i == XC_PKRU ? xsave_components[i].size : r.count * r.size;
}

/* ---- XSAVE ------------------------------------------------------------------------------- */

struct xarea {
	u64 lin, rfbm, xstate_bv, xcomp_bv;
	unsigned size;
	bool rexw;
};

static u64 edx_eax(const struct cpu *cpu)
{
	return cpu->r[RDX] << 32 | (u32)cpu->r[RAX];
}

static int xsave_gate(struct cpu *cpu)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		return cpu_fault(cpu, EXC_UD, 0, "XSAVE instruction with CR4.OSXSAVE = 0", cpu->cr4);
	if (cpu->cr0 & CR0_TS)
		return cpu_fault(cpu, EXC_NM, 0, "XSAVE instruction with CR0.TS = 1", cpu->cr0);
	return 0;
}

/* Writes what the components of @save hold, after the whole area was found writable. */
static int area_write(struct cpu *cpu, const struct xarea *a, u64 save)
{
	u8 buf[1024];

	for (unsigned i = 0; i < XC_COUNT; i++) {
		if (!(save >> i & 1))
			continue;
		component_store(cpu, i, buf, a->rexw);
		if (i == XC_X87) {
			/* MXCSR and its mask at bytes 31:24 are not of this component. */
			if (mem_write(cpu, a->lin, buf, 24, ACC_W) ||
			    mem_write(cpu, a->lin + 32, buf + 32, 128, ACC_W))
				return 1;
		} else if (mem_write(cpu, a->lin + component_offset(i, a->xcomp_bv), buf,
				     component_bytes(cpu, i), ACC_W)) {
			return 1;
		}
	}
	return 0;
}

static int write_mxcsr(struct cpu *cpu, const struct xarea *a)
{
	u8 buf[32];

	mxcsr_store(cpu, buf);
	return mem_write(cpu, a->lin + 24, buf + 24, 8, ACC_W);
}

/* XSAVE, XSAVEOPT: the standard format (SDM Vol. 1, 13.7, 13.9). */
static int save_standard(struct cpu *cpu, const struct insn *in, bool opt)
{
	struct xarea a = {.rexw = insn_rexw(in)};
	u64 used, old;

	if (xsave_gate(cpu))
		return 1;
	a.rfbm = cpu->xcr0 & edx_eax(cpu);
	a.size = xsave_area_size(a.rfbm, false);
	if (area_linear(cpu, in, 64, a.size, ACC_W, &a.lin) ||
	    mem_probe(cpu, a.lin, a.size, ACC_RW) || mem_read64(cpu, a.lin + HEADER, &old, ACC_R))
		return 1;
	cpu_mxcsr_sync(cpu);
	used = xinuse(cpu, a.rfbm);
	a.xstate_bv = (old & ~a.rfbm) | used;
	if (area_write(cpu, &a, opt ? used : a.rfbm))
		return 1;
	if ((a.rfbm & 6) && write_mxcsr(cpu, &a))
		return 1;
	return mem_write64(cpu, a.lin + HEADER, a.xstate_bv, ACC_W);
}

/* XSAVEC, XSAVES: the compacted format (13.10, 13.11). */
static int save_compact(struct cpu *cpu, const struct insn *in, u64 enabled)
{
	struct xarea a = {.rexw = insn_rexw(in)};
	u64 header[2];

	if (xsave_gate(cpu))
		return 1;
	a.rfbm = enabled & edx_eax(cpu);
	a.xcomp_bv = a.rfbm | XCOMP_COMPACT;
	a.size = xsave_area_size(a.rfbm, true);
	if (area_linear(cpu, in, 64, a.size, ACC_W, &a.lin) ||
	    mem_probe(cpu, a.lin, a.size, ACC_RW))
		return 1;
	cpu_mxcsr_sync(cpu);
	a.xstate_bv = xinuse(cpu, a.rfbm);
	if ((a.rfbm & BIT64(XC_SSE)) && cpu->mxcsr != MXCSR_RESET)
		a.xstate_bv |= BIT64(XC_SSE);
	if (area_write(cpu, &a, a.xstate_bv))
		return 1;
	if ((a.xstate_bv & BIT64(XC_SSE)) && write_mxcsr(cpu, &a))
		return 1;
	header[0] = a.xstate_bv;
	header[1] = a.xcomp_bv;
	return mem_write(cpu, a.lin + HEADER, header, 16, ACC_W);
}

SIMPLE(xsave)
{
	return save_standard(cpu, in, false);
}

SIMPLE(xsaveopt)
{
	return save_standard(cpu, in, true);
}

SIMPLE(xsavec)
{
	return save_compact(cpu, in, cpu->xcr0);
}

SIMPLE(xsaves)
{
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "XSAVES or XRSTORS with CPL > 0", cpu->cpl);
	return save_compact(cpu, in, cpu->xcr0 | cpu->xss);
}

/* ---- XRSTOR ------------------------------------------------------------------------------ */

static int header_fault(struct cpu *cpu, const char *why, u64 value)
{
	return cpu_fault(cpu, EXC_GP, 0, why, value);
}

/* The header's rules (SDM Vol. 1, 13.8.1, 13.12). @h: its eight quadwords. */
static int header_check(struct cpu *cpu, const u64 *h, u64 enabled, bool supervisor)
{
	bool compact = h[1] & XCOMP_COMPACT;

	if (supervisor && !compact)
		return header_fault(cpu, "XRSTORS: XCOMP_BV[63] = 0", h[1]);
	if (compact && !cpu_has(cpu, FEAT_XSAVEC))
		return header_fault(cpu, "XCOMP_BV[63] = 1 without XSAVEC", h[1]);
	if (!compact) {
		if (h[0] & ~enabled)
			return header_fault(cpu, "XSTATE_BV has a bit not set in XCR0", h[0]);
		if (h[1] || h[2])
			return header_fault(cpu, "bytes 23:8 of the XSAVE header not zero", h[1]);
		return 0;
	}
	if (h[1] & ~XCOMP_COMPACT & ~enabled)
		return header_fault(cpu, "XCOMP_BV has a bit not enabled", h[1]);
	if (h[0] & ~h[1])
		return header_fault(cpu, "XSTATE_BV has a bit not set in XCOMP_BV", h[0]);
	if (!all_zero(h + 2, 48))
		return header_fault(cpu, "bytes 63:16 of the XSAVE header not zero", h[2]);
	return 0;
}

/* MXCSR belongs to SSE; in the standard format to AVX also, and it is then loaded whatever
 * XSTATE_BV says (13.8.1). */
static bool restores_mxcsr(const struct xarea *a)
{
	if (a->xcomp_bv & XCOMP_COMPACT)
		return a->rfbm & a->xstate_bv & BIT64(XC_SSE);
	return a->rfbm & (BIT64(XC_SSE) | BIT64(XC_AVX));
}

static void restore_commit(struct cpu *cpu, const struct xarea *a, const u8 *buf)
{
	u64 load = a->rfbm & a->xstate_bv;

	for (unsigned i = 0; i < XC_COUNT; i++)
		if (a->rfbm >> i & 1)
			component_load(
			    cpu, i, load >> i & 1 ? buf + component_offset(i, a->xcomp_bv) : NULL,
			    a->rexw);
	if (restores_mxcsr(a))
		mxcsr_set(cpu, mxcsr_at(buf));
	else if ((a->xcomp_bv & XCOMP_COMPACT) && (a->rfbm & BIT64(XC_SSE)))
		mxcsr_set(cpu, MXCSR_RESET);
}

/* What WRMSR would refuse is refused here, too (XRSTORS, #GP). */
static int cet_check(struct cpu *cpu, const struct xarea *a, const u8 *buf)
{
	static const u32 msrs[] = {0x6a0, 0x6a7, 0x6a4, 0x6a5, 0x6a6};

	for (unsigned k = 0; k < ARRAY_SIZE(msrs); k++) {
		unsigned i = k < 2 ? XC_CET_U : XC_CET_S;
		u64 v;

		if (!(a->rfbm & a->xstate_bv & BIT64(i)))
			continue;
		memcpy(&v, buf + component_offset(i, a->xcomp_bv) + 8 * (k < 2 ? k : k - 2), 8);
		if (cet_msr_check(cpu, msrs[k], v))
			return 1;
	}
	return 0;
}

static int restore(struct cpu *cpu, const struct insn *in, u64 enabled, bool supervisor)
{
	struct xarea a = {.rexw = insn_rexw(in), .rfbm = enabled & edx_eax(cpu)};
	u8 buf[AREA_MAX] __attribute__((aligned(64)));
	u32 old_pkru = cpu->pkru;
	u64 *h = (u64 *)(buf + HEADER);

	if (xsave_gate(cpu) || area_linear(cpu, in, 64, LEGACY_END, ACC_R, &a.lin) ||
	    mem_read(cpu, a.lin, buf, LEGACY_END, ACC_R) ||
	    header_check(cpu, h, enabled, supervisor))
		return 1;
	a.xstate_bv = h[0];
	a.xcomp_bv = h[1];
	a.size = LEGACY_END;
	for (unsigned i = 2; i < XC_COUNT; i++)
		if (a.rfbm & a.xstate_bv & BIT64(i))
			a.size = component_offset(i, a.xcomp_bv) + component_bytes(cpu, i);
	if (a.size > LEGACY_END &&
	    (op_linear(cpu, in, a.size, ACC_R, &a.lin) ||
	     mem_read(cpu, a.lin + LEGACY_END, buf + LEGACY_END, a.size - LEGACY_END, ACC_R)))
		return 1;
	if (cet_check(cpu, &a, buf) || (restores_mxcsr(&a) && mxcsr_check(cpu, mxcsr_at(buf))))
		return 1;
	restore_commit(cpu, &a, buf);
	if (cpu->pkru != old_pkru)
		mmu_flush_all(cpu);
	return 0;
}

SIMPLE(xrstor)
{
	return restore(cpu, in, cpu->xcr0, false);
}

SIMPLE(xrstors)
{
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "XSAVES or XRSTORS with CPL > 0", cpu->cpl);
	return restore(cpu, in, cpu->xcr0 | cpu->xss, true);
}

/* ---- MXCSR, EMMS ------------------------------------------------------------------------- */

SIMPLE(ldmxcsr)
{
	u64 lin;
	u32 v;

	if (op_linear(cpu, in, 4, ACC_R, &lin) || mem_read32(cpu, lin, &v, ACC_R) ||
	    mxcsr_check(cpu, v))
		return 1;
	mxcsr_set(cpu, v);
	return 0;
}

SIMPLE(stmxcsr)
{
	u64 lin;

	cpu_mxcsr_sync(cpu);
	return op_linear(cpu, in, 4, ACC_W, &lin) || mem_write32(cpu, lin, cpu->mxcsr, ACC_W);
}

SIMPLE(emms)
{
	x87_all_tags(&cpu->x87, false);
	return 0;
}
