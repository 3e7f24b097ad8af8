/* What other rooms need of the x87 unit: pending exceptions, tags and reset (SDM Vol. 1, chapter
 * 8). */
#ifndef ORRERY_EXEC_X87_H
#define ORRERY_EXEC_X87_H

#include "cpu/cpu.h"

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
/** TOP = 0, as MMX instructions and EMMS leave it (SDM Vol. 1, 9.5). */
static inline void x87_reset_top(struct x87 *f)
{
	x87_set_sw(f, f->sw & ~X87_TOP);
}
/** The full tag word: two bits per physical register (SDM Vol. 1, 8.1.7). */
u16 x87_tag_word(const struct x87 *f);

#endif
