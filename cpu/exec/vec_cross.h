/* The simple operations of vec_avx.c that vec_cross.c replaces on hosts with AVX2. */
#ifndef ORRERY_CPU_EXEC_VEC_CROSS_H
#define ORRERY_CPU_EXEC_VEC_CROSS_H

#include "cpu/exec/exec.h"

#define AVX_OPS(X)                                                                                \
	X(vextracti128) X(vinserti128) X(vperm2f128) X(vperm2i128) X(vpermilps) X(vpermilpd) X(vpermd) X(vpermps)  \
	X(vpermq) X(vpermpd) X(vpinsrb) X(vpinsrw) X(vpinsrd) X(vpinsrq) X(vpsllvd) X(vpsllvq) X(vpsrlvd)          \
	X(vpsrlvq) X(vpsravd)
#define AVX_OP(name) MUST_CHECK int avx_op_##name(struct cpu *cpu, const struct insn *in);
AVX_OPS(AVX_OP)
#undef AVX_OP

#endif
