/* Private to the x87 files: the register stack, and the generators of the common cases (x87_hot.c).
 */
#ifndef ORRERY_EXEC_X87_OPS_H
#define ORRERY_EXEC_X87_OPS_H

#include "cpu/exec/exec.h"
#include "cpu/exec/x87.h"
#include "cpu/fpu/fast.h"

/* ---- the stack --------------------------------------------------------------------------- */

static ALWAYS_INLINE unsigned phys(const struct x87 *f, unsigned i)
{
	return (f->top + i) & 7;
}

static ALWAYS_INLINE bool full(const struct x87 *f, unsigned p)
{
	return f->valid >> p & 1;
}

static ALWAYS_INLINE struct f80 get(const struct x87 *f, unsigned p)
{
	return (struct f80){f->r[p].mant, f->r[p].se};
}

static ALWAYS_INLINE void put(struct x87 *f, unsigned p, struct f80 v)
{
	f->r[p].mant = v.mant;
	f->r[p].se = v.se;
	f->valid = (u8)(f->valid | 1u << p);
}

static ALWAYS_INLINE void move_top(struct x87 *f, int by)
{
	const unsigned top = (f->top + (unsigned)by) & 7;

	f->top = (u8)top;
	f->sw = (u16)((f->sw & ~X87_TOP) | top << 11);
}

static ALWAYS_INLINE void pop(struct x87 *f)
{
	f->valid = (u8)(f->valid & ~(1u << f->top));
	move_top(f, 1);
}

static ALWAYS_INLINE void push(struct x87 *f, struct f80 v)
{
	move_top(f, -1);
	put(f, phys(f, 0), v);
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
