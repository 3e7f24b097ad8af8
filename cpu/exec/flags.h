/*
 * Lazy RFLAGS: the last flag-writing instruction leaves two operands (fa, fb) and a kind; the six arithmetic
 * flags are computed when somebody asks. Operands are kept sign-extended to 64 bits, which preserves both signed and
 * unsigned order, so most conditions need not know the operand size.
 */
#ifndef ORRERY_CPU_EXEC_FLAGS_H
#define ORRERY_CPU_EXEC_FLAGS_H

#include "cpu/cpu.h"

/* Kinds come in fours by operand size: kind + log2(bytes). */
enum flag_kind {
	FK_EXACT = 0,  /* cpu->rflags holds the arithmetic flags */
	FK_SUB = 4,    /* fa - fb, the operands themselves (SUB, CMP, NEG as 0 - x) */
	FK_ADD = 8,    /* fa = result, fb = addend */
	FK_LOGIC = 12, /* fa = result; CF = OF = 0, AF = 0 */
	FK_INC = 16,   /* fa = result; fb = CF before */
	FK_DEC = 20,   /* fa = result; fb = CF before */
	FK_ADC = 24,   /* fa = first operand, fb = second; carry in was 1 (carry-in 0 is FK_ADD) */
	FK_SBB = 28,   /* fa - fb - 1 (borrow-in 0 is FK_SUB) */
	FK_SHL = 32,   /* fa = result; fb = CF | OF << 1 */
	FK_COUNT = 36,
};

/** The six arithmetic flags in RFLAGS positions. */
u32 flags_compute(u32 kind, u64 fa, u64 fb);
/** CF alone, 0 or 1. */
u32 flags_carry(u32 kind, u64 fa, u64 fb);

#endif
