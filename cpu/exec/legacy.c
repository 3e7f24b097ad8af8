/*
 * Stack frames of whole register sets, decimal arithmetic, and compare-exchange of double width
 * (SDM Vol. 2: ENTER, LEAVE, PUSHA, POPA, DAA, DAS, AAA, AAS, AAM, AAD, SALC, LAHF, SAHF, XLAT,
 * CMPXCHG8B). Flags the SDM leaves undefined are set as recent Intel processors set them.
 */
#include "cpu/exec/builder.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"

static void set_sp(struct cpu *cpu, u64 sp)
{
	u64 mask = stack_mask(cpu);

	cpu->r[RSP] = mask == 0xffff ? (cpu->r[RSP] & ~mask) | (sp & mask) : sp & mask;
}

/* ---- ENTER, LEAVE -------------------------------------------------------------------- */

SIMPLE(enter)
{
	unsigned level = in->imm2 & 31, size = in->opsize;
	u64 mask = stack_mask(cpu), old_bp = cpu->r[RBP], old_sp = cpu->r[RSP], frame, lin, v;

	if (push_value(cpu, size, reg_read(cpu, RBP, size)))
		return 1;
	frame = cpu->r[RSP];
	for (unsigned i = 1; i < level; i++) {
		if (seg_linear(cpu, SS, (old_bp - (u64)i * size) & mask, size, ACC_R, &lin))
			goto undo;
		v = 0;
		if (mem_read(cpu, lin, &v, size, ACC_R) || push_value(cpu, size, v))
			goto undo;
	}
	if (level && push_value(cpu, size, zext_bytes(frame, size)))
		goto undo;
	set_sp(cpu, cpu->r[RSP] - (u16)in->imm);
	/* The final stack pointer must be writable (SDM Vol. 2, ENTER, #PF and #SS). */
	if (seg_linear(cpu, SS, cpu->r[RSP] & mask, size, ACC_W, &lin) ||
	    mem_probe(cpu, lin, size, ACC_W))
		goto undo;
	reg_write(cpu, RBP, size, frame);
	return 0;
undo:
	cpu->r[RSP] = old_sp;
	return 1;
}

SIMPLE(leave)
{
	u64 mask = stack_mask(cpu), sp = cpu->r[RBP] & mask, lin, v = 0;

	if (seg_linear(cpu, SS, sp, in->opsize, ACC_R, &lin) ||
	    mem_read(cpu, lin, &v, in->opsize, ACC_R))
		return 1;
	set_sp(cpu, sp + in->opsize);
	reg_write(cpu, RBP, in->opsize, v);
	return 0;
}

/* ---- PUSHA, POPA --------------------------------------------------------------------- */

static int op_pusha(struct cpu *cpu, const struct insn *in)
{
	struct frame f = {.n = 0};
	struct stack st;

	stack_current(cpu, &st);
	for (unsigned i = 0; i < 8; i++)
		frame_add(&f, cpu->r[i]);
	if (frame_push(cpu, &st, &f, in->opsize))
		return 1;
	stack_commit(cpu, &st);
	return 0;
}

static int op_popa(struct cpu *cpu, const struct insn *in)
{
	struct stack st;
	u64 v[8];

	stack_current(cpu, &st);
	if (frame_peek(cpu, &st, v, 8, in->opsize))
		return 1;
	for (unsigned i = 0; i < 8; i++)
		if (7 - i != RSP)
			reg_write(cpu, 7 - i, in->opsize, v[i]);
	st.sp += 8 * in->opsize;
	stack_commit(cpu, &st);
	return 0;
}

/* On a flat stack, all eight in one page; else the operation itself is called. */
#define ALL_REGISTERS(X) X(RDI, 0) X(RSI, 4) X(RBP, 8) X(RSP, 12) X(RBX, 16) X(RDX, 20) X(RCX, 24) X(RAX, 28)
#define PUSHED(reg, at)  HOST(u32, host + (at)) = (u32)cpu->r[reg];
#define POPPED(reg, at)  if (reg != RSP) cpu->r[reg] = HOST(u32, host + (at));

static void pusha32(UOP_ARGS)
{
	ea = (u32)(cpu->r[RSP] - 32);
	const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];
	if (TLB_MISS(e, 32))
		return uop_call(UOP_PASS);
	u64 host = e->host + ea;
	ALL_REGISTERS(PUSHED)
	cpu->r[RSP] = ea;
	NEXT;
}

static void popa32(UOP_ARGS)
{
	ea = (u32)cpu->r[RSP];
	const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];
	if (TLB_MISS(e, 32))
		return uop_call(UOP_PASS);
	u64 host = e->host + ea;
	ALL_REGISTERS(POPPED)
	cpu->r[RSP] = (u32)(ea + 32);
	NEXT;
}

static void gen_all(struct builder *b, const struct insn *in, u32 pops)
{
	emit_call(b, in, pops ? op_popa : op_pusha);
	if (flat_stack(b, in->opsize))
		b->u[b->n - 1].fn = pops ? popa32 : pusha32;
}
const struct exec_desc exec_pusha = {.gen = gen_all, .op = op_pusha};
const struct exec_desc exec_popa = {.gen = gen_all, .op = op_popa, .arg = 1};

/* ---- decimal ------------------------------------------------------------------------- */

static u32 szp(u8 v)
{
	u32 flags = __builtin_parity(v) ? 0 : FL_PF;

	if (!v)
		flags |= FL_ZF;
	if (v & 0x80)
		flags |= FL_SF;
	return flags;
}

static void set_arith(struct cpu *cpu, u32 flags)
{
	cpu_set_rflags(cpu, (cpu->rflags & ~FL_ARITH) | flags);
}

SIMPLE(daa)
{
	u8 old = cpu->r[RAX], al = old;
	bool cf = cpu->rflags & FL_CF, af = (al & 15) > 9 || cpu->rflags & FL_AF;

	if (af)
		al += 6;
	cf = cf || old > 0x99;
	if (cf)
		al += 0x60;
	reg_write(cpu, RAX, 1, al);
	set_arith(cpu, szp(al) | (cf ? FL_CF : 0) | (af ? FL_AF : 0));
	return 0;
}

SIMPLE(das)
{
	u8 old = cpu->r[RAX], al = old;
	bool cf = cpu->rflags & FL_CF, af = (al & 15) > 9 || cpu->rflags & FL_AF, borrow = false;

	if (af) {
		borrow = cf || al < 6;
		al -= 6;
	}
	if (old > 0x99 || cf) {
		al -= 0x60;
		borrow = true;
	}
	reg_write(cpu, RAX, 1, al);
	set_arith(cpu, szp(al) | (borrow ? FL_CF : 0) | (af ? FL_AF : 0));
	return 0;
}

/* AAA and AAS: @sign +1 or -1. */
static int ascii_adjust(struct cpu *cpu, int sign)
{
	bool adjust = (cpu->r[RAX] & 15) > 9 || cpu->rflags & FL_AF;
	u16 ax = cpu->r[RAX];

	if (adjust)
		ax += sign * 0x106;
	ax &= 0xff0f;
	reg_write(cpu, RAX, 2, ax);
	set_arith(cpu, szp(ax) | (adjust ? FL_CF | FL_AF : 0));
	return 0;
}

SIMPLE(aaa)
{
	return ascii_adjust(cpu, 1);
}

SIMPLE(aas)
{
	return ascii_adjust(cpu, -1);
}

SIMPLE(aam)
{
	u8 base = in->imm, al = cpu->r[RAX];

	if (!base)
		return cpu_fault(cpu, EXC_DE, 0, "AAM with base 0", 0);
	reg_write(cpu, RAX, 2, (u16)(al / base << 8 | al % base));
	set_arith(cpu, szp(al % base));
	return 0;
}

SIMPLE(aad)
{
	u8 al = cpu->r[RAX] + (u8)(cpu->r[RAX] >> 8) * (u8)in->imm;

	reg_write(cpu, RAX, 2, al);
	set_arith(cpu, szp(al));
	return 0;
}

SIMPLE(salc)
{
	reg_write(cpu, RAX, 1, cpu->rflags & FL_CF ? 0xff : 0);
	return 0;
}

/* ---- single flags, flags through AH, XLAT -------------------------------------------- */

SIMPLE(clc)
{
	cpu->rflags &= ~FL_CF;
	return 0;
}

SIMPLE(stc)
{
	cpu->rflags |= FL_CF;
	return 0;
}

SIMPLE(cmc)
{
	cpu->rflags ^= FL_CF;
	return 0;
}

SIMPLE(cld)
{
	cpu->rflags &= ~FL_DF;
	return 0;
}

SIMPLE(std)
{
	cpu->rflags |= FL_DF;
	return 0;
}

#define AH_FLAGS (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF)

SIMPLE(lahf)
{
	reg_write(cpu, RAX, 2, (u8)cpu->r[RAX] | ((cpu_rflags(cpu) & AH_FLAGS) | FL_R1) << 8);
	return 0;
}

SIMPLE(sahf)
{
	cpu_set_rflags(cpu, (cpu_rflags(cpu) & ~AH_FLAGS) | (cpu->r[RAX] >> 8 & AH_FLAGS));
	return 0;
}

SIMPLE(xlat)
{
	u64 off = zext_bytes(cpu->r[RBX] + (u8)cpu->r[RAX], in->adsize), lin;
	u8 v;

	if (seg_linear(cpu, in->prefixes & PFX_SEG ? in->seg : DS, off, 1, ACC_R, &lin) ||
	    mem_read8(cpu, lin, &v, 0))
		return 1;
	reg_write(cpu, RAX, 1, v);
	return 0;
}

/* ---- CMPXCHG8B, CMPXCHG16B ----------------------------------------------------------- */

static void set_zf(struct cpu *cpu, bool on)
{
	cpu->rflags = on ? cpu->rflags | FL_ZF : cpu->rflags & ~FL_ZF;
}

SIMPLE(cmpxchg8b)
{
	u64 lin, old, want = (u32)cpu->r[RAX] | cpu->r[RDX] << 32;
	u64 new = (u32)cpu->r[RBX] | cpu->r[RCX] << 32;
	bool equal;

	if (op_linear(cpu, in, 8, ACC_RW, &lin) || mem_read64(cpu, lin, &old, ACC_W))
		return 1;
	equal = old == want;
	/* The destination is written in either case. */
	if (mem_write64(cpu, lin, equal ? new : old, 0))
		return 1;
	if (!equal) {
		cpu->r[RAX] = (u32)old;
		cpu->r[RDX] = old >> 32;
	}
	set_zf(cpu, equal);
	return 0;
}

SIMPLE(cmpxchg16b)
{
	u64 lin, old[2], new[2] = {cpu->r[RBX], cpu->r[RCX]};
	bool equal;

	if (op_linear(cpu, in, 16, ACC_RW, &lin))
		return 1;
	if (lin & 15)
		return cpu_fault(cpu, EXC_GP, 0, "CMPXCHG16B operand is not 16-byte aligned", lin);
	if (mem_read(cpu, lin, old, 16, ACC_RW))
		return 1;
	equal = old[0] == cpu->r[RAX] && old[1] == cpu->r[RDX];
	if (mem_write(cpu, lin, equal ? new : old, 16, ACC_W))
		return 1;
	if (!equal) {
		cpu->r[RAX] = old[0];
		cpu->r[RDX] = old[1];
	}
	set_zf(cpu, equal);
	return 0;
}
