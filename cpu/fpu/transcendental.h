/* The x87 transcendental instructions (SDM Vol. 1, 8.3.8). */
#ifndef ORRERY_FPU_TRANSCENDENTAL_H
#define ORRERY_FPU_TRANSCENDENTAL_H

#include "cpu/fpu/softfloat.h"

enum fp_trans { FP_F2XM1, FP_FYL2X, FP_FYL2XP1, FP_FPATAN, FP_FSIN, FP_FCOS, FP_FSINCOS, FP_FPTAN };

/**
 * Executes @op on ST(0) = @a, ST(1) = @b (used by FYL2X, FYL2XP1, FPATAN) under control word @cw.
 * @r0: the new ST(0); @r1: the new ST(1) of FSINCOS and FPTAN. Returns status-word bits: FPE_*, C1
 * (200h), C2 (400h: operand out of range, nothing stored). Results are undefined when an unmasked
 * FPE_PRE flag is returned.
 */
u16 f80_transcendental(enum fp_trans op, struct f80 a, struct f80 b, u16 cw, struct f80 *r0,
		       struct f80 *r1);

#endif
