/*
 * Lazy RFLAGS: the last flag-writing instruction leaves two operands (fa, fb) and a kind; the six arithmetic
 * flags are computed when somebody asks. Operands are kept sign-extended to 64 bits, which preserves both signed and
 * unsigned order, so most conditions need not know the operand size.
 */
#ifndef ORRERY_CPU_EXEC_FLAGS_H
#define ORRERY_CPU_EXEC_FLAGS_H

#include "cpu/cpu.h"

/* FK_ADD and FK_SUB come in fours by operand size: kind + log2(bytes). */
enum flag_kind {
	FK_EXACT = 0, /* cpu->rflags holds the arithmetic flags */
	FK_RES = 1,   /* fa = result (ZF, SF, PF); fb = CF, AF, OF in place, and SF, PF bits that invert */
	FK_ADD = 4,   /* fa = result, fb = addend (carry-in 0) */
	FK_SUB = 8,   /* fa - fb: the operands themselves (carry-in 0) */
};

/** The six arithmetic flags in RFLAGS positions. @kind is not FK_EXACT. */
u32 flags_compute(u32 kind, u64 fa, u64 fb);
/** Encodes exact flags as the operands of FK_RES. */
void flags_to_res(u32 rflags, u64 *fa, u64 *fb);

/** True if condition @cc (0..15, as in Jcc) holds for exact @rflags. */
bool flags_condition(unsigned cc, u32 rflags);

#endif
