/* Private to the x87 files: the register stack, and the generators of the common cases (x87_hot.c).
 */
#ifndef ORRERY_EXEC_X87_OPS_H
#define ORRERY_EXEC_X87_OPS_H

#include "cpu/exec/exec.h"
#include "cpu/exec/x87.h"
#include "cpu/fpu/fast.h"

/* ---- the stack --------------------------------------------------------------------------- */

/* By their places in the stack: 7 is what a push fills. */
static ALWAYS_INLINE struct x87_reg *st(struct x87 *f, unsigned i)
{
	return &f->r[(x87_top(f) + i) & 7];
}

static ALWAYS_INLINE bool full(const struct x87 *f, unsigned i)
{
	return !(f->empty >> i & 1);
}

static ALWAYS_INLINE struct f80 get(struct x87 *f, unsigned i)
{
	return (struct f80){st(f, i)->mant, st(f, i)->se};
}

static ALWAYS_INLINE void put(struct x87 *f, unsigned i, struct f80 v)
{
	st(f, i)->mant = v.mant;
	st(f, i)->se = v.se;
	f->empty = (s16)(f->empty & ~(1u << i));
}

static ALWAYS_INLINE void pop(struct x87 *f)
{
	f->empty >>= 1;
	f->st0 = (f->st0 + 16) & 0x70;
}

/* ST(7) need not be empty. */
static ALWAYS_INLINE void push(struct x87 *f, struct f80 v)
{
	f->empty = (s16)(f->empty * 2 | ~0xff);
	f->st0 = (f->st0 - 16) & 0x70;
	put(f, 0, v);
}

/* ---- micro-operations of the common cases ------------------------------------------------ */

enum x87_unary { X87_FXCH, X87_FCHS, X87_FABS, X87_FSQRT, X87_FLD1, X87_FLDZ };

/** ADD SUB MUL DIV in all forms but the integer ones; @arg: enum fp_op. */
void gen_x87_arith(struct builder *b, const struct insn *in, u32 arg);
/** FLD (@arg 0), FILD (1). */
void gen_x87_load(struct builder *b, const struct insn *in, u32 arg);
/** FST (@arg 0), FSTP (1), FISTP (2). */
void gen_x87_store(struct builder *b, const struct insn *in, u32 arg);
/** @arg: enum x87_unary. */
void gen_x87_unary(struct builder *b, const struct insn *in, u32 arg);
/** FCOMI, FUCOMI (@arg 0) and their popping forms (1). */
void gen_x87_comi(struct builder *b, const struct insn *in, u32 arg);

#endif
