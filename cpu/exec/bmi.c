/*
 * BMI1 and BMI2 in their VEX encodings on general registers (SDM Vol. 2A, 2B). LZCNT, TZCNT and POPCNT stand with the
 * other bit instructions (alu.c).
 */
#include "cpu/exec/exec.h"

/* Flags of ANDN and its kin: SF, ZF of the result, CF as given, OF clear; AF and PF stay as undefined. */
static void set_flags(struct cpu *cpu, u64 r, unsigned size, bool cf)
{
	cpu->rflags &= ~(FL_SF | FL_ZF | FL_CF | FL_OF);
	cpu->rflags |= (sext(r, size * 8) < 0 ? FL_SF : 0) | (r ? 0 : FL_ZF) | (cf ? FL_CF : 0);
}

static int finish(struct cpu *cpu, const struct insn *in, u64 r, bool cf)
{
	unsigned size = in->op[0].size;

	r = zext_bytes(r, size);
	set_flags(cpu, r, size, cf);
	reg_write(cpu, in->op[0].reg, size, r);
	return 0;
}

SIMPLE(andn)
{
	u64 v;

	if (op_read(cpu, in, 2, &v))
		return 1;
	return finish(cpu, in, ~cpu->r[in->op[1].reg] & v, false);
}

SIMPLE(blsr)
{
	u64 v;

	if (op_read(cpu, in, 1, &v))
		return 1;
	return finish(cpu, in, v & (v - 1), !v);
}

SIMPLE(blsmsk)
{
	u64 v;

	if (op_read(cpu, in, 1, &v))
		return 1;
	finish(cpu, in, v ^ (v - 1), !v);
	cpu->rflags &= ~FL_ZF; /* always */
	return 0;
}

SIMPLE(blsi)
{
	u64 v;

	if (op_read(cpu, in, 1, &v))
		return 1;
	return finish(cpu, in, v & (0 - v), v);
}

/* Control: start in bits 7:0, length in bits 15:8. */
SIMPLE(bextr)
{
	unsigned start, len;
	u64 v, r, sf = cpu->rflags & FL_SF;

	if (op_read(cpu, in, 1, &v))
		return 1;
	start = cpu->r[in->op[2].reg] & 0xff;
	len = cpu->r[in->op[2].reg] >> 8 & 0xff;
	r = start < 64 ? v >> start : 0;
	finish(cpu, in, len < 64 ? r & (BIT64(len) - 1) : r, false);
	cpu->rflags = (cpu->rflags & ~FL_SF) | (u32)sf; /* undefined: as it was */
	return 0;
}

SIMPLE(bzhi)
{
	unsigned bits = in->op[0].size * 8, n = cpu->r[in->op[2].reg] & 0xff;
	u64 v;

	if (op_read(cpu, in, 1, &v))
		return 1;
	return finish(cpu, in, n < bits ? v & (BIT64(n) - 1) : v, n >= bits);
}

SIMPLE(pext)
{
	u64 mask, v = cpu->r[in->op[1].reg], r = 0;

	if (op_read(cpu, in, 2, &mask))
		return 1;
	for (unsigned k = 0; mask; mask &= mask - 1)
		r |= (v >> __builtin_ctzll(mask) & 1) << k++;
	reg_write(cpu, in->op[0].reg, in->op[0].size, r);
	return 0;
}

SIMPLE(pdep)
{
	u64 mask, v = cpu->r[in->op[1].reg], r = 0;

	if (op_read(cpu, in, 2, &mask))
		return 1;
	for (unsigned k = 0; mask; mask &= mask - 1)
		r |= (v >> k++ & 1) << __builtin_ctzll(mask);
	reg_write(cpu, in->op[0].reg, in->op[0].size, r);
	return 0;
}

/* High half to operand 0, low half to operand 1; the high half wins when they are one register. */
SIMPLE(mulx)
{
	unsigned size = in->op[0].size;
	u128 p;
	u64 v;

	if (op_read(cpu, in, 2, &v))
		return 1;
	p = (u128)reg_read(cpu, RDX, size) * v;
	reg_write(cpu, in->op[1].reg, size, (u64)p);
	reg_write(cpu, in->op[0].reg, size, (u64)(p >> (size * 8)));
	return 0;
}

enum { LEFT, RIGHT, ARITHMETIC, ROTATE };

static int shift_no_flags(struct cpu *cpu, const struct insn *in, unsigned kind, u64 count)
{
	unsigned size = in->op[0].size, bits = size * 8, n = count & (bits - 1);
	u64 v, r;

	if (op_read(cpu, in, 1, &v))
		return 1;
	switch (kind) {
	case LEFT: r = v << n; break;
	case RIGHT: r = v >> n; break;
	case ARITHMETIC: r = (u64)(sext(v, bits) >> n); break;
	default: r = n ? v >> n | v << (bits - n) : v; break;
	}
	reg_write(cpu, in->op[0].reg, size, r);
	return 0;
}

SIMPLE(shlx)
{
	return shift_no_flags(cpu, in, LEFT, cpu->r[in->op[2].reg]);
}

SIMPLE(shrx)
{
	return shift_no_flags(cpu, in, RIGHT, cpu->r[in->op[2].reg]);
}

SIMPLE(sarx)
{
	return shift_no_flags(cpu, in, ARITHMETIC, cpu->r[in->op[2].reg]);
}

SIMPLE(rorx)
{
	return shift_no_flags(cpu, in, ROTATE, in->imm);
}
