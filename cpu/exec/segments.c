/*
 * Segment registers and descriptors (SDM Vol. 3A, 3.4, 5; Vol. 2: MOV, POP, LDS, LAR, LSL, VERR,
 * ARPL, LGDT, LLDT, LTR).
 *
 * Modelled: all data segment loads in every mode, the descriptor-table registers, the inspection
 * instructions, stacks as whole frames. Descriptor accesses are plain (not locked).
 */
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

/* ---- descriptors --------------------------------------------------------------------------------
 */

int desc_read(struct cpu *cpu, u16 sel, unsigned vec, unsigned ext, struct desc *d)
{
	u64 base = cpu->gdtr.base;
	u32 limit = cpu->gdtr.limit, err = (sel & ~3u) | ext;

	if (sel & 4) {
		if (cpu->seg[LDTR].ar & AR_UNUSABLE)
			return cpu_fault(cpu, vec, err, "LDT selector while LDTR is null", sel);
		base = seg_base(cpu, LDTR);
		limit = cpu->seg[LDTR].limit;
	}
	if ((sel | 7u) > limit)
		return cpu_fault(cpu, vec, err,
				 "selector index is not within descriptor table limits", sel);
	d->sel = sel;
	d->lin = base + (sel & ~7u);
	if (!cpu_lma(cpu))
		d->lin = (u32)d->lin;
	if (mem_read64(cpu, d->lin, &d->raw, ACC_SYS))
		return 1;
	cpu->trail.desc_raw = d->raw;
	cpu->trail.desc_lin = d->lin;
	cpu->trail.desc_sel = sel;
	return 0;
}

int desc_read_high(struct cpu *cpu, const struct desc *d, unsigned vec, unsigned ext, u64 *high)
{
	u32 limit = d->sel & 4 ? cpu->seg[LDTR].limit : cpu->gdtr.limit;

	if ((d->sel & ~7u) + 15 > limit)
		return cpu_fault(cpu, vec, (d->sel & ~3u) | ext,
				 "16-byte descriptor is not within descriptor table limits",
				 d->sel);
	if (mem_read64(cpu, d->lin + 8, high, ACC_SYS))
		return 1;
	if (*high >> 40 & 0x1f)
		return cpu_fault(cpu, vec, (d->sel & ~3u) | ext,
				 "type bits of the upper half of a 16-byte descriptor are not 0",
				 *high);
	return 0;
}

int desc_touch(struct cpu *cpu, struct desc *d)
{
	if (d->raw >> 40 & AR_TYPE_ACCESSED)
		return 0;
	d->raw |= 1ull << 40;
	return mem_write8(cpu, d->lin + 5, d->raw >> 40, ACC_SYS);
}

void seg_install(struct cpu *cpu, unsigned seg, u16 sel, u64 raw)
{
	cpu->seg[seg] = (struct seg){.sel = sel, .ar = desc_ar(raw), .limit = desc_limit(raw)};
	cpu->r[R_SEGBASE + seg] = desc_base(raw);
}

void seg_install_real(struct cpu *cpu, unsigned seg, u16 sel, bool v86)
{
	struct seg *s = &cpu->seg[seg];
	/* Since the Pentium a far transfer in real mode leaves CS what protected mode made it: only after RESET it is a data
	 * segment (SDM Vol. 3A, table 9-1). Xen's emulator looks at the type as soon as CR0.PE is set. */
	u32 type = seg == CS && (s->ar & AR_TYPE_CODE) && !v86 ? s->ar & (AR_TYPE_CODE | AR_TYPE_WR) : AR_TYPE_WR;

	/* Real mode keeps limit and size of the last load ("unreal mode"); a null segment has none
	 * to keep. */
	if (v86 || (s->ar & AR_UNUSABLE)) {
		s->limit = 0xffff;
		s->ar = 0;
	}
	s->ar = (s->ar & (AR_DB | AR_G)) | AR_P | AR_S | type | AR_TYPE_ACCESSED;
	if (v86)
		s->ar |= AR_DPL;
	s->sel = sel;
	cpu->r[R_SEGBASE + seg] = (u32)sel << 4;
}

void seg_install_null(struct cpu *cpu, unsigned seg, u16 sel, unsigned dpl)
{
	cpu->seg[seg] = (struct seg){.sel = sel, .ar = AR_UNUSABLE | dpl << AR_DPL_SHIFT};
	cpu->r[R_SEGBASE + seg] = 0;
}

bool seg_fits(const struct seg *s, u64 off, unsigned n)
{
	u64 last = off + n - 1;

	if ((s->ar & (AR_TYPE_CODE | AR_TYPE_ED)) == AR_TYPE_ED)
		return off > s->limit && last <= (s->ar & AR_DB ? 0xffffffffull : 0xffff);
	return last <= s->limit;
}

void segs_drop_inner(struct cpu *cpu)
{
	static const u8 data_segs[] = {ES, FS, GS, DS};

	for (unsigned i = 0; i < ARRAY_SIZE(data_segs); i++) {
		struct seg *s = &cpu->seg[data_segs[i]];

		if (s->ar & AR_UNUSABLE)
			continue;
		if (!ar_conforming(s->ar) && ar_dpl(s->ar) < cpu->cpl)
			*s = (struct seg){.ar = AR_UNUSABLE}; /* processors keep the base */
	}
}

int ss_check(struct cpu *cpu, u16 sel, unsigned cpl, unsigned vec, unsigned ext, struct desc *d)
{
	u32 err = (sel & ~3u) | ext, ar;

	if (sel_null(sel))
		return cpu_fault(cpu, vec, vec == EXC_TS ? err : ext, "SS selector is null", sel);
	if (desc_read(cpu, sel, vec, ext, d))
		return 1;
	ar = desc_ar(d->raw);
	if ((sel & 3u) != cpl)
		return cpu_fault(cpu, vec, err, "RPL of the SS selector is not CPL", sel);
	if (!ar_writable_data(ar))
		return cpu_fault(cpu, vec, err, "SS is not a writable data segment", d->raw);
	if (ar_dpl(ar) != cpl)
		return cpu_fault(cpu, vec, err, "DPL of the stack segment is not CPL", d->raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_SS, err, "stack segment is not present", d->raw);
	return 0;
}

static int load_data_protected(struct cpu *cpu, unsigned seg, u16 sel)
{
	struct desc d;
	u32 err = sel & ~3u, ar;

	if (sel_null(sel)) {
		seg_install_null(cpu, seg, sel, 0);
		return 0;
	}
	if (desc_read(cpu, sel, EXC_GP, 0, &d))
		return 1;
	ar = desc_ar(d.raw);
	if (!(ar & AR_S) || (ar_code(ar) && !(ar & AR_TYPE_WR)))
		return cpu_fault(cpu, EXC_GP, err, "segment is not a data or readable code segment",
				 d.raw);
	if (!ar_conforming(ar) && ((sel & 3u) > ar_dpl(ar) || cpu->cpl > ar_dpl(ar)))
		return cpu_fault(cpu, EXC_GP, err, "RPL and CPL are not both <= DPL", d.raw);
	if (!(ar & AR_P))
		return cpu_fault(cpu, EXC_NP, err, "segment is not present", d.raw);
	if (desc_touch(cpu, &d))
		return 1;
	seg_install(cpu, seg, sel, d.raw);
	return 0;
}

static int load_ss_protected(struct cpu *cpu, u16 sel)
{
	struct desc d;

	/* 64-bit mode allows a null SS below CPL 3 (SDM Vol. 2, MOV). */
	if (sel_null(sel) && cpu_long64(cpu) && cpu->cpl != 3 && (sel & 3) == cpu->cpl) {
		seg_install_null(cpu, SS, sel, cpu->cpl);
		return 0;
	}
	if (ss_check(cpu, sel, cpu->cpl, EXC_GP, 0, &d) || desc_touch(cpu, &d))
		return 1;
	seg_install(cpu, SS, sel, d.raw);
	return 0;
}

int load_seg(struct cpu *cpu, unsigned seg, u16 selector)
{
	if (!cpu_protected(cpu))
		seg_install_real(cpu, seg, selector, cpu_v86(cpu));
	else if (seg == SS ? load_ss_protected(cpu, selector)
			   : load_data_protected(cpu, seg, selector))
		return 1;
	cpu_mode_changed(cpu);
	return 0;
}

/* ---- frames -------------------------------------------------------------------------- */

void stack_current(struct cpu *cpu, struct stack *st)
{
	st->seg = cpu->seg[SS];
	st->long64 = cpu_long64(cpu);
	st->base = st->long64 ? 0 : seg_base(cpu, SS);
	st->mask = stack_mask(cpu);
	st->sp = cpu->r[RSP];
	st->acc = 0;
	st->err = 0;
}

void stack_from_desc(struct stack *st, u16 sel, u64 raw, u64 sp, unsigned cpl)
{
	st->seg = (struct seg){.sel = sel, .ar = desc_ar(raw), .limit = desc_limit(raw)};
	st->long64 = false;
	st->base = desc_base(raw);
	st->mask = st->seg.ar & AR_DB ? 0xffffffff : 0xffff;
	st->sp = sp;
	st->acc = cpl == 3 ? ACC_USER : ACC_SYS;
	st->err = sel & ~3u;
}

static COLD int stack_fault(struct cpu *cpu, const struct stack *st, const char *why, u64 off)
{
	cpu->trail.seg = SS;
	cpu->trail.stack = st->seg;
	cpu->trail.stack_base = st->base;
	return cpu_fault(cpu, EXC_SS, st->err, why, off);
}

static int stack_linear(struct cpu *cpu, const struct stack *st, u64 off, unsigned size, u64 *lin)
{
	if (st->long64) {
		*lin = off;
		if (!canonical(cpu, off) || !canonical(cpu, off + size - 1))
			return stack_fault(cpu, st, "stack address is not canonical", off);
		return 0;
	}
	if (st->seg.ar & AR_UNUSABLE)
		return stack_fault(cpu, st, "SS is null", off);
	if (!seg_fits(&st->seg, off, size))
		return stack_fault(cpu, st, "stack access is outside the stack segment limit", off);
	*lin = (u32)(st->base + off);
	return 0;
}

/* One slot at a time, for the frame that wraps around the end of its segment. */
static int frame_push_split(struct cpu *cpu, const struct stack *st, const struct frame *f,
			    unsigned size)
{
	u64 lin[ARRAY_SIZE(f->v)];

	for (unsigned i = 0; i < f->n; i++) {
		u64 off = (st->sp - (u64)(i + 1) * size) & st->mask;

		if (stack_linear(cpu, st, off, size, &lin[i]) ||
		    mem_probe(cpu, lin[i], size, st->acc | ACC_W))
			return 1;
	}
	for (unsigned i = 0; i < f->n; i++)
		if (mem_write(cpu, lin[i], &f->v[i], size, st->acc | ACC_W))
			return 1;
	return 0;
}

/* The first value to the highest slot; in sizes that the compiler knows. */
static void pack_slots(u8 *buf, const struct frame *f, unsigned size)
{
	for (unsigned i = 0; i < f->n; i++) {
		u8 *slot = buf + (f->n - 1 - i) * size;
		if (size == 8)
			memcpy(slot, &f->v[i], 8);
		else if (size == 4)
			memcpy(slot, &f->v[i], 4);
		else
			memcpy(slot, &f->v[i], 2);
	}
}

static u64 slot_value(const u8 *slot, unsigned size)
{
	u64 v = 0;

	if (size == 8)
		memcpy(&v, slot, 8);
	else if (size == 4)
		memcpy(&v, slot, 4);
	else
		memcpy(&v, slot, 2);
	return v;
}

int frame_push(struct cpu *cpu, struct stack *st, const struct frame *f, unsigned size)
{
	unsigned total = f->n * size;
	u64 off = (st->sp - total) & st->mask, lin;
	u8 buf[sizeof(f->v)];

	if (off > ((st->sp - 1) & st->mask) || (u32)(st->base + off) > 0xffffffffu - total) {
		if (frame_push_split(cpu, st, f, size))
			return 1;
	} else {
		pack_slots(buf, f, size);
		if (stack_linear(cpu, st, off, total, &lin) || mem_aligned(cpu, lin, size, st->acc))
			return 1;
		/* Slot by slot the fault has the CR2 of the first push that fails. */
		if (mem_write(cpu, lin, buf, total, st->acc | ACC_W) &&
		    frame_push_split(cpu, st, f, size))
			return 1;
	}
	st->sp = (st->sp & ~st->mask) | off;
	return 0;
}

/* The frame, where it lies in one page that is read without more ado, inside its segment. */
static const u8 *frame_host(struct cpu *cpu, const struct stack *st, unsigned total)
{
	u64 off = st->sp & st->mask, lin;

	if (total > st->mask - off || (!st->long64 && (u32)(st->base + off) > 0xffffffffu - total) ||
	    (st->long64 ? !canonical(cpu, off) || !canonical(cpu, off + total)
			: (st->seg.ar & AR_UNUSABLE) || !seg_fits(&st->seg, off, total)))
		return NULL;
	lin = st->long64 ? off : (u32)(st->base + off);
	return mem_host(cpu, lin, total, st->acc | ACC_R);
}

int frame_peek(struct cpu *cpu, const struct stack *st, u64 *v, unsigned n, unsigned size)
{
	const u8 *host = frame_host(cpu, st, n * size);

	for (unsigned i = 0; host && i < n; i++)
		v[i] = slot_value(host + i * size, size);
	if (host)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		u64 lin;

		v[i] = 0;
		if (stack_linear(cpu, st, (st->sp + (u64)i * size) & st->mask, size, &lin) ||
		    mem_read(cpu, lin, &v[i], size, st->acc | ACC_R))
			return 1;
	}
	return 0;
}

void stack_commit(struct cpu *cpu, const struct stack *st)
{
	cpu->r[RSP] = (cpu->r[RSP] & ~st->mask) | (st->sp & st->mask);
	if (st->mask == 0xffffffff)
		cpu->r[RSP] = (u32)cpu->r[RSP];
}

/* ---- MOV, PUSH, POP of segment registers --------------------------------------------- */

SIMPLE(mov_to_seg)
{
	u64 v;

	if (in->op[0].reg == CS || in->op[0].reg > GS)
		return cpu_fault(cpu, EXC_UD, 0,
				 "MOV to CS or a segment register that does not exist", 0);
	if (op_read(cpu, in, 1, &v) || load_seg(cpu, in->op[0].reg, v))
		return 1;
	if (in->op[0].reg == SS)
		cpu->int_shadow = 2;
	return 0;
}

SIMPLE(mov_from_seg)
{
	if (in->op[1].reg > GS)
		return cpu_fault(cpu, EXC_UD, 0, "segment register does not exist", in->op[1].reg);
	return op_write(cpu, in, 0, cpu->seg[in->op[1].reg].sel);
}

SIMPLE(push_seg)
{
	u16 sel = cpu->seg[in->op[0].reg].sel;
	u64 mask = stack_mask(cpu), sp = (cpu->r[RSP] - in->opsize) & mask, lin;

	if (in->opsize != 4)
		return push_value(cpu, in->opsize, sel);
	/* A 32-bit PUSH of a segment register moves ESP by 4 but writes 16 bits (SDM Vol. 2, PUSH).
	 */
	if (seg_linear(cpu, SS, sp, 2, ACC_W, &lin) || mem_write16(cpu, lin, sel, 0))
		return 1;
	cpu->r[RSP] = mask == 0xffff ? (cpu->r[RSP] & ~mask) | sp : sp;
	return 0;
}

SIMPLE(pop_seg)
{
	u64 old = cpu->r[RSP], v;

	if (pop_value(cpu, in->opsize, &v))
		return 1;
	if (load_seg(cpu, in->op[0].reg, v)) {
		cpu->r[RSP] = old;
		return 1;
	}
	if (in->op[0].reg == SS)
		cpu->int_shadow = 2;
	return 0;
}

SIMPLE(load_far)
{
	unsigned size = in->op[0].size, seg;
	u64 lin, off = 0;
	u16 sel;

	switch (in->opcode) {
	case 0xc4: seg = ES; break;
	case 0xc5: seg = DS; break;
	case 0xb2: seg = SS; break;
	case 0xb4: seg = FS; break;
	default: seg = GS; break;
	}
	if (op_linear(cpu, in, size + 2, ACC_R, &lin) || mem_read(cpu, lin, &off, size, ACC_R) ||
	    mem_read16(cpu, lin + size, &sel, 0) || load_seg(cpu, seg, sel))
		return 1;
	reg_write(cpu, in->op[0].reg, size, off);
	return 0;
}

/* ---- descriptor-table registers ------------------------------------------------------ */

static int umip_check(struct cpu *cpu)
{
	if (cpu->cr4 & CR4_UMIP && cpu->cpl > 0)
		return cpu_fault(cpu, EXC_GP, 0, "CR4.UMIP = 1 and CPL > 0", cpu->cpl);
	return 0;
}

static int store_dtr(struct cpu *cpu, const struct insn *in, const struct dtr *t)
{
	unsigned n = cpu_long64(cpu) ? 10 : 6;
	u8 buf[10];
	u64 lin;

	if (umip_check(cpu) || op_linear(cpu, in, n, ACC_W, &lin))
		return 1;
	memcpy(buf, &t->limit, 2);
	memcpy(buf + 2, &t->base, 8);
	return mem_write(cpu, lin, buf, n, ACC_W);
}

static int load_dtr(struct cpu *cpu, const struct insn *in, struct dtr *t)
{
	bool long64 = cpu_long64(cpu);
	unsigned n = long64 ? 10 : 6;
	u8 buf[10] = {0};
	struct dtr v;
	u64 lin;

	if (op_linear(cpu, in, n, ACC_R, &lin) || mem_read(cpu, lin, buf, n, ACC_R))
		return 1;
	memcpy(&v.limit, buf, 2);
	memcpy(&v.base, buf + 2, 8);
	if (long64 && !canonical_base(cpu, v.base))
		return cpu_fault(cpu, EXC_GP, 0, "descriptor-table base is not canonical", v.base);
	if (!long64 && in->opsize == 2)
		v.base &= 0xffffff;
	*t = v;
	return 0;
}

SIMPLE(sgdt)
{
	return store_dtr(cpu, in, &cpu->gdtr);
}

SIMPLE(sidt)
{
	return store_dtr(cpu, in, &cpu->idtr);
}

SIMPLE(lgdt)
{
	return load_dtr(cpu, in, &cpu->gdtr);
}

SIMPLE(lidt)
{
	return load_dtr(cpu, in, &cpu->idtr);
}

SIMPLE(sldt)
{
	return umip_check(cpu) || op_write(cpu, in, 0, cpu->seg[LDTR].sel);
}

SIMPLE(str)
{
	return umip_check(cpu) || op_write(cpu, in, 0, cpu->seg[TR].sel);
}

SIMPLE(smsw)
{
	return umip_check(cpu) || op_write(cpu, in, 0, vmx_cr0_seen(cpu));
}

static int sys_base(struct cpu *cpu, const struct desc *d, u64 *base)
{
	u64 high = 0;

	*base = desc_base(d->raw);
	if (!cpu_lma(cpu))
		return 0;
	if (desc_read_high(cpu, d, EXC_GP, 0, &high))
		return 1;
	*base |= high << 32;
	if (!canonical_base(cpu, *base))
		return cpu_fault(cpu, EXC_GP, d->sel & ~3u, "system segment base is not canonical",
				 *base);
	return 0;
}

SIMPLE(lldt)
{
	struct desc d;
	u64 v, base;

	if (op_read(cpu, in, 0, &v))
		return 1;
	v = (u16)v;
	if (sel_null(v)) {
		seg_install_null(cpu, LDTR, v, 0);
		return 0;
	}
	if (v & 4)
		return cpu_fault(cpu, EXC_GP, v & ~3u, "LLDT selector is not in the GDT", v);
	if (desc_read(cpu, v, EXC_GP, 0, &d))
		return 1;
	if ((desc_ar(d.raw) & (AR_S | AR_TYPE)) != ST_LDT)
		return cpu_fault(cpu, EXC_GP, v & ~3u, "descriptor is not an LDT descriptor",
				 d.raw);
	if (!(desc_ar(d.raw) & AR_P))
		return cpu_fault(cpu, EXC_NP, v & ~3u, "LDT is not present", d.raw);
	if (sys_base(cpu, &d, &base))
		return 1;
	seg_install(cpu, LDTR, v, d.raw);
	cpu->r[R_SEGBASE + LDTR] = base;
	return 0;
}

SIMPLE(ltr)
{
	struct desc d;
	unsigned type;
	u64 v, base;

	if (op_read(cpu, in, 0, &v))
		return 1;
	v = (u16)v;
	if (sel_null(v))
		return cpu_fault(cpu, EXC_GP, 0, "LTR selector is null", v);
	if (v & 4)
		return cpu_fault(cpu, EXC_GP, v & ~3u, "LTR selector is not in the GDT", v);
	if (desc_read(cpu, v, EXC_GP, 0, &d))
		return 1;
	type = desc_ar(d.raw) & (AR_S | AR_TYPE);
	if (type != ST_TSS && (type != ST_TSS16 || cpu_lma(cpu)))
		return cpu_fault(cpu, EXC_GP, v & ~3u, "descriptor is not an available TSS", d.raw);
	if (!(desc_ar(d.raw) & AR_P))
		return cpu_fault(cpu, EXC_NP, v & ~3u, "TSS is not present", d.raw);
	if (sys_base(cpu, &d, &base))
		return 1;
	d.raw |= 2ull << 40; /* busy */
	if (mem_write8(cpu, d.lin + 5, d.raw >> 40, ACC_SYS))
		return 1;
	seg_install(cpu, TR, v, d.raw);
	cpu->r[R_SEGBASE + TR] = base;
	return 0;
}

/* ---- inspection ---------------------------------------------------------------------- */

static void set_zf(struct cpu *cpu, bool on)
{
	cpu->rflags = on ? cpu->rflags | FL_ZF : cpu->rflags & ~FL_ZF;
}

/*
 * Reads the descriptor for LAR, LSL, VERR, VERW: *@ok tells whether the selector is usable by these
 * instructions. Only page faults are faults here.
 */
static int inspect(struct cpu *cpu, u16 sel, struct desc *d, bool *ok)
{
	u32 ar;

	*ok = false;
	if (sel_null(sel))
		return 0;
	if (desc_read(cpu, sel, EXC_GP, 0, d))
		return cpu->fault.vector != EXC_GP;
	ar = desc_ar(d->raw);
	*ok = ar_conforming(ar) || (cpu->cpl <= ar_dpl(ar) && (sel & 3u) <= ar_dpl(ar));
	return 0;
}

static int inspect_type(struct cpu *cpu, const struct insn *in, unsigned i, u32 types,
			u32 types_long, struct desc *d, bool *ok)
{
	u64 sel, high;
	u32 ar;

	if (op_read(cpu, in, i, &sel) || inspect(cpu, sel, d, ok))
		return 1;
	if (!*ok)
		return 0;
	ar = desc_ar(d->raw);
	if (ar & AR_S)
		return 0;
	*ok = (cpu_lma(cpu) ? types_long : types) >> (ar & AR_TYPE) & 1;
	/* IA-32e system descriptors are 16 bytes long and must lie inside the table. */
	if (*ok && cpu_lma(cpu) && (ar & AR_TYPE) != ST_TASK &&
	    desc_read_high(cpu, d, EXC_GP, 0, &high)) {
		*ok = false;
		return cpu->fault.vector != EXC_GP;
	}
	return 0;
}

/* SDM Vol. 2, LAR, table 3-53. */
#define LAR_TYPES                                                                                  \
	(1u << ST_TSS16 | 1u << ST_LDT | 1u << ST_TSS16_BUSY | 1u << ST_CALL16 | 1u << ST_TASK |   \
	 1u << ST_TSS | 1u << ST_TSS_BUSY | 1u << ST_CALL)
#define LAR_TYPES_LONG (1u << ST_LDT | 1u << ST_TSS | 1u << ST_TSS_BUSY | 1u << ST_CALL)
/* SDM Vol. 2, LSL, table 3-56. */
#define LSL_TYPES                                                                                  \
	(1u << ST_TSS16 | 1u << ST_LDT | 1u << ST_TSS16_BUSY | 1u << ST_TSS | 1u << ST_TSS_BUSY)
#define LSL_TYPES_LONG (1u << ST_LDT | 1u << ST_TSS | 1u << ST_TSS_BUSY)

SIMPLE(lar)
{
	struct desc d;
	bool ok;

	if (inspect_type(cpu, in, 1, LAR_TYPES, LAR_TYPES_LONG, &d, &ok))
		return 1;
	set_zf(cpu, ok);
	if (ok)
		reg_write(cpu, in->op[0].reg, in->op[0].size, d.raw >> 32 & 0xffff00 & ~0xf0000u);
	return 0;
}

SIMPLE(lsl)
{
	struct desc d;
	bool ok;

	if (inspect_type(cpu, in, 1, LSL_TYPES, LSL_TYPES_LONG, &d, &ok))
		return 1;
	set_zf(cpu, ok);
	if (ok)
		reg_write(cpu, in->op[0].reg, in->op[0].size, desc_limit(d.raw));
	return 0;
}

static int verify(struct cpu *cpu, const struct insn *in, bool write)
{
	struct desc d;
	bool ok;

	if (inspect_type(cpu, in, 0, 0, 0, &d, &ok))
		return 1;
	if (ok) {
		u32 ar = desc_ar(d.raw);

		ok = write ? ar_writable_data(ar)
			   : (ar & AR_S) && (!ar_code(ar) || (ar & AR_TYPE_WR));
	}
	set_zf(cpu, ok);
	return 0;
}

SIMPLE(verr)
{
	return verify(cpu, in, false);
}

SIMPLE(verw)
{
	return verify(cpu, in, true);
}

SIMPLE(arpl)
{
	u64 dst, src;

	if (op_read(cpu, in, 0, &dst) || op_read(cpu, in, 1, &src))
		return 1;
	if ((dst & 3) < (src & 3)) {
		if (op_write(cpu, in, 0, (dst & ~3ull) | (src & 3)))
			return 1;
		set_zf(cpu, true);
	} else {
		set_zf(cpu, false);
	}
	return 0;
}
