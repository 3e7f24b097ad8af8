/*
 * The 256-bit forms once more, each as one operation of the host's AVX2 (vec_ymm.c), where the host has it. They find
 * their way into the builder by weak references: an instruction `paddd` that vec_forms.h gives a 256-bit form takes
 * `ymm_paddd` in its place.
 */
#ifndef ORRERY_CPU_EXEC_VEC_YMM_H
#define ORRERY_CPU_EXEC_VEC_YMM_H

#include <immintrin.h>

#include "cpu/exec/vec_forms.h"

#define YMM(off) AT(__m256i, off)
/* A memory operand of 32 bytes, as one. */
#define TYPE_32Y __m256i
#define MISS_32Y(e) TLB_MISS(e, 32)
#define MISALIGNED_32Y 0
#define TYPE_32YA __m256i
#define MISS_32YA(e) MISS_32A(e)
#define MISALIGNED_32YA MISALIGNED_32A

#define YMM_COMPUTE(bval, expr)                                                                   \
	do {                                                                                       \
		__m256i b UNUSED = (bval);                                                          \
		__m256i a UNUSED = YMM(u->src);                                                     \
		u64 imm UNUSED = u->imm;                                                            \
		YMM(u->dst) = (expr);                                                               \
	} while (0)

/* Floating point through asm, because the compiler may commute or fold arithmetic that it understands. */
#define YMM_HOST2(op)                                                                             \
	static ALWAYS_INLINE __m256i host_v##op(__m256i a, __m256i b)                              \
	{                                                                                          \
		asm("v" #op " %2, %1, %0" : "=x"(a) : "x"(a), "x"(b));                              \
		return a;                                                                           \
	}
YMM_HOST2(addps)
YMM_HOST2(addpd)
YMM_HOST2(mulps)
YMM_HOST2(mulpd)

#endif
