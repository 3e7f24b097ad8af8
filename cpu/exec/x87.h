/* What other rooms need of the x87 unit: pending exceptions, tags and reset (SDM Vol. 1, chapter
 * 8). */
#ifndef ORRERY_EXEC_X87_H
#define ORRERY_EXEC_X87_H

#include "cpu/cpu.h"
#include "cpu/fpu/softfloat.h"

/* x87 status word */
#define X87_SF  0x40u
#define X87_ES  0x80u
#define X87_C0  0x100u
#define X87_C1  0x200u
#define X87_C2  0x400u
#define X87_TOP 0x3800u
#define X87_C3  0x4000u
#define X87_B   0x8000u
#define X87_CC  (X87_C0 | X87_C1 | X87_C2 | X87_C3)

/* x87 control word: what arithmetic depends on, and how FNINIT sets that */
#define X87_CW_MATTERS (X87_CW_PC | X87_CW_RC | FPE_ALL)
#define X87_CW_USUAL   0x33fu

/** The state after FNINIT (SDM Vol. 2A, FINIT): control 37Fh, empty stack; register contents stay.
 */
void x87_init(struct cpu *cpu);
/**
 * What a waiting x87, MMX or FWAIT instruction does first: 1 with #MF recorded when an unmasked
 * exception is pending and CR0.NE = 1. With CR0.NE = 0 the exception has gone out on FERR#, and the
 * instruction proceeds as if IGNNE# were asserted.
 */
MUST_CHECK int x87_check_pending(struct cpu *cpu);
/** Recomputes ES, B and FERR# after the control or status word changed as a whole. */
void x87_update_summary(struct cpu *cpu);

/* ---- the state's registers, whole ---------------------------------------------------------- */

static inline unsigned x87_top(const struct x87 *f)
{
	return f->st0 >> 4;
}

static inline u16 x87_sw(const struct x87 *f)
{
	return (u16)(f->sw | (f->c1 & X87_C1) | x87_top(f) << 11);
}

/** The abridged tag word: bit i is set when the physical register i is not empty. */
static inline u8 x87_valid(const struct x87 *f)
{
	unsigned full = (u8)~f->empty;

	return (u8)(full << x87_top(f) | full >> (8 - x87_top(f)));
}

static inline void x87_set_valid(struct x87 *f, u8 valid)
{
	f->empty = (s16)~(u8)(valid >> x87_top(f) | valid << (8 - x87_top(f)));
}

/** The tags stay with their physical registers. */
static inline void x87_set_top(struct x87 *f, unsigned top)
{
	u8 valid = x87_valid(f);

	f->st0 = (top & 7) << 4;
	x87_set_valid(f, valid);
}

/**
 * What the host may do follows from the control word, and from #P: the host's is sticky, and only trusted when the guest has it
 * already. To be called when a control word was loaded or #P cleared; sooner or later when #P was set. All bits: never.
 */
static inline void x87_settle(struct x87 *f)
{
	u16 trusted = FPE_ALL & ~(f->sw & FPE_PE);

	f->refuse = (f->cw & X87_CW_MATTERS) == X87_CW_USUAL ? trusted : 0xffff;
	f->refuse_store = (f->cw & X87_CW_MATTERS & ~X87_CW_PC) == (X87_CW_USUAL & ~X87_CW_PC) ? trusted : 0xffff;
}

static inline void x87_set_sw(struct x87 *f, unsigned sw)
{
	f->sw = (u16)(sw & ~(X87_TOP | X87_C1));
	f->c1 = (u16)sw;
	x87_set_top(f, sw >> 11);
	x87_settle(f);
}

/** As it is: neither are reserved bits made right nor is the summary (x87_update_summary()). */
static inline void x87_set_cw(struct x87 *f, u16 cw)
{
	f->cw = cw;
	x87_settle(f);
}

/** The form that snapshots have: sw and valid are whole, and what follows from them is clear. */
static inline void x87_for_snapshot(struct x87 *f)
{
	f->sw = x87_sw(f);
	f->valid = x87_valid(f);
	f->st0 = 0;
	f->c1 = f->refuse = f->refuse_store = 0;
	f->empty = 0;
}

static inline void x87_from_snapshot(struct x87 *f)
{
	x87_set_sw(f, f->sw);
	x87_set_valid(f, f->valid);
	f->valid = 0;
}

/** All registers in use, or none, and TOP = 0: as MMX instructions and EMMS leave it (SDM Vol. 1, 9.5). */
static inline void x87_all_tags(struct x87 *f, bool in_use)
{
	f->st0 = 0;
	f->empty = in_use ? ~0xff : ~0;
}

/** The full tag word: two bits per physical register (SDM Vol. 1, 8.1.7). */
u16 x87_tag_word(const struct x87 *f);
/** Of @tw only the empty registers are taken: the other tags follow from the contents. */
void x87_set_tag_word(struct x87 *f, u16 tw);

#endif
