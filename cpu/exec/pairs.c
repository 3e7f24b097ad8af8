/*
 * Pairs: two neighbouring micro-operations run as one. What an interpreter costs its host is above
 * all the indirect jump from handler to handler, which is often mispredicted in code that does not
 * loop tightly. So the commonest first halves exist once more for each of the commonest second
 * halves, which are done on the spot when they work on registers only and are reached by a direct
 * jump otherwise. Both micro-operations stay where they are, and only the first one's handler
 * changes: whatever enters or leaves the block at the second still can. On a TLB miss the first
 * half's own handler takes over. Where the second takes the first one's result there is a pair that hands it on.
 *
 * Runs: several PUSH or POP of 64 bits in a row, as functions begin and end, with the RET behind them, run as one in the same way.
 *
 * The lists are what a boot of Linux and the guest of bench/ execute most; a name that is in
 * neither is simply not paired.
 */
#include "cpu/exec/builder.h"

/* What works on registers only: X(second half, name, what it does). The first list is of the commonest. */
#define COMMON_REGISTER_FIRSTS(X, b)                                                               \
	X(b, mov64_rr, SETREG64(u->dst, REG64(u->src)))                                            \
	X(b, mov32_rr, SETREG32(u->dst, REG32(u->src)))                                            \
	X(b, mov32_ri, SETREG32(u->dst, u->imm))                                                   \
	X(b, lea64_bd, ea = EA_bd, SETREG64(u->dst, ea))                                           \
	X(b, add64_ri_f, fb = u->imm, SETREG64(u->dst, REG64(u->base) + u->imm), SUM(64))          \
	X(b, zero32_f, REG64(u->dst) = 0, fa = fb = 0, KIND(FK_RES))

#define REGISTER_FIRSTS(X, b)                                                                      \
	COMMON_REGISTER_FIRSTS(X, b)                                                               \
	X(b, zero32, REG64(u->dst) = 0)                                                            \
	X(b, movzx8_32_rr, SETREG32(u->dst, REG8(u->src)))                                         \
	X(b, movsx32_64_rr, SETREG64(u->dst, SREG32(u->src)))                                      \
	X(b, lea64_bis, ea = EA_bis, SETREG64(u->dst, ea))                                         \
	X(b, lea32_bd, ea = EA_bd, SETREG32(u->dst, ea))                                           \
	X(b, lea32_bis, ea = EA_bis, SETREG32(u->dst, ea))                                         \
	X(b, add64_rr_n, SETREG64(u->dst, REG64(u->base) + REG64(u->src)))                         \
	X(b, add64_ri_n, SETREG64(u->dst, REG64(u->base) + u->imm))                                \
	X(b, add32_rr_n, SETREG32(u->dst, REG32(u->base) + REG32(u->src)))                         \
	X(b, add32_ri_n, SETREG32(u->dst, REG32(u->base) + u->imm))                                \
	X(b, sub64_rr_n, SETREG64(u->dst, REG64(u->base) - REG64(u->src)))                         \
	X(b, sub64_ri_n, SETREG64(u->dst, REG64(u->base) - u->imm))                                \
	X(b, and32_ri_n, SETREG32(u->dst, REG32(u->base) & u->imm))                                \
	X(b, and32_rr_n, SETREG32(u->dst, REG32(u->base) & REG32(u->src)))                         \
	X(b, xor32_rr_n, SETREG32(u->dst, REG32(u->base) ^ REG32(u->src)))                         \
	X(b, not32, SETREG32(u->dst, ~REG32(u->base)))                                             \
	X(b, shl64_i_n, ea = u->sh, SETREG64(u->dst, REG64(u->base) << (ea & 63)))                 \
	X(b, shr64_i_n, ea = u->sh, SETREG64(u->dst, REG64(u->base) >> (ea & 63)))                 \
	X(b, shr32_i_n, ea = u->sh, SETREG32(u->dst, (u64)REG32(u->base) >> (ea & 63)))            \
	X(b, rol32_i_n, ea = u->sh, SETREG32(u->dst, ROT_L(32, REG32(u->base), ea)))                 \
	X(b, ror32_i_n, ea = u->sh, SETREG32(u->dst, ROT_L(32, REG32(u->base), -ea)))                \
	X(b, imul64_rr_n, SETREG64(u->dst, REG64(u->base) * REG64(u->src)))                        \
	X(b, xor32_rr_f, SETREG32(u->dst, REG32(u->base) ^ REG32(u->src)), RESULT32)               \
	X(b, and32_ri_f, SETREG32(u->dst, REG32(u->base) & u->imm), RESULT32)                      \
	X(b, add32_rr_f, fb = (u64)SREG32(u->src),                                                 \
	  SETREG32(u->dst, REG32(u->base) + REG32(u->src)), SUM(32))                               \
	X(b, add32_ri_f, fb = SX(32, u->imm), SETREG32(u->dst, REG32(u->base) + u->imm), SUM(32))  \
	X(b, add64_rr_f, fb = REG64(u->src), SETREG64(u->dst, REG64(u->base) + REG64(u->src)),     \
	  SUM(64))                                                                                 \
	X(b, sub64_rr_f, fa = REG64(u->base), fb = REG64(u->src), SETREG64(u->dst, fa - fb),       \
	  KIND(FK_SUB + LG64))                                                                     \
	X(b, cmp64_rr, fa = REG64(u->dst), fb = REG64(u->src), KIND(FK_SUB + LG64))                \
	X(b, cmp32_rr, fa = (u64)SREG32(u->dst), fb = (u64)SREG32(u->src), KIND(FK_SUB + LG32))    \
	X(b, carry_of_difference, fb = fa < fb)                                                    \
	X(b, setcc_SUB_b, SETREG8_WIDE(u->dst, (fa < fb) ^ (u->sh & 1)))

/* Of those, the ones whose result is a register; and those that take one in the place base, or in the place src. */
#define RESULTS(X, b)                                                                              \
	X(b, mov64_rr) X(b, mov32_rr) X(b, movzx8_32_rr) X(b, lea64_bd) X(b, lea64_bis)            \
	X(b, add64_rr_n) X(b, add64_ri_n) X(b, add32_rr_n) X(b, add32_ri_n) X(b, sub64_rr_n)       \
	X(b, sub64_ri_n) X(b, and32_ri_n) X(b, and32_rr_n) X(b, xor32_rr_n) X(b, not32)            \
	X(b, shl64_i_n) X(b, shr64_i_n) X(b, shr32_i_n) X(b, rol32_i_n) X(b, ror32_i_n)            \
	X(b, xor32_rr_f) X(b, add32_rr_f) X(b, add64_rr_f)
#define LOADS(X, b)                                                                                \
	X(b, mov64_rm_bd, EA_bd, u64, SETREG64) X(b, mov64_rm_bis, EA_bis, u64, SETREG64)          \
	X(b, mov32_rm_bd, EA_bd, u32, SETREG32) X(b, mov32_rm_bis, EA_bis, u32, SETREG32)          \
	X(b, movzx8_32_rm_bd, EA_bd, u8, SETREG32) X(b, movzx8_32_rm_bis, EA_bis, u8, SETREG32)
#define TAKE_BASE(X)                                                                               \
	X(lea64_bd) X(lea64_bis) X(add64_rr_n) X(add64_ri_n) X(add32_rr_n) X(add32_ri_n)           \
	X(sub64_rr_n) X(sub64_ri_n) X(and32_ri_n) X(and32_rr_n) X(xor32_rr_n) X(not32)             \
	X(shl64_i_n) X(shr64_i_n) X(shr32_i_n) X(rol32_i_n) X(ror32_i_n) X(xor32_rr_f)             \
	X(and32_ri_f) X(add32_rr_f) X(add32_ri_f) X(add64_rr_f) X(add64_ri_f) X(sub64_rr_f)
#define TAKE_SRC(X)                                                                                \
	X(mov64_rr) X(mov32_rr) X(movzx8_32_rr) X(movsx32_64_rr) X(add64_rr_n) X(add32_rr_n)       \
	X(sub64_rr_n) X(and32_rr_n) X(xor32_rr_n) X(xor32_rr_f) X(add32_rr_f) X(add64_rr_f)        \
	X(sub64_rr_f)

/* First halves that go to memory: X(second half, name, shape, ...); the shapes are below. */
#define COMMON_MEMORY_FIRSTS(X, b)                                                                 \
	X(b, push64_r, PUSH, REG64(u->src))                                                                      \
	X(b, pop64_r, POP)                                                                         \
	X(b, mov64_rm_bd, LOAD, EA_bd, u64, SETREG64(u->dst, m))                                   \
	X(b, mov64_rm_bis, LOAD, EA_bis, u64, SETREG64(u->dst, m))                                 \
	X(b, mov32_rm_bd, LOAD, EA_bd, u32, SETREG32(u->dst, m))                                   \
	X(b, mov64_mr_bd, STORE, EA_bd, u64, REG64(u->src))

#define MEMORY_FIRSTS(X, b)                                                                        \
	COMMON_MEMORY_FIRSTS(X, b)                                                                 \
	X(b, mov32_rm_bis, LOAD, EA_bis, u32, SETREG32(u->dst, m))                                 \
	X(b, movzx8_32_rm_bd, LOAD, EA_bd, u8, SETREG32(u->dst, m))                                \
	X(b, movzx8_32_rm_bis, LOAD, EA_bis, u8, SETREG32(u->dst, m))                              \
	X(b, add32_rm_n_bd, LOAD, EA_bd, u32, SETREG32(u->dst, REG32(u->dst) + m))                 \
	X(b, mov32_mr_bd, STORE, EA_bd, u32, REG32(u->src))

/* Second halves: those above, done on the spot, and those that are jumped to. */
#define REGISTER_SECONDS(X)                                                                        \
	X(mov64_rr)                                                                                \
	X(mov32_rr) X(mov32_ri) X(zero32) X(movzx8_32_rr) X(movsx32_64_rr) X(lea64_bd)             \
	    X(lea64_bis) X(lea32_bd) X(lea32_bis) X(add64_rr_n) X(add64_ri_n) X(add32_rr_n)        \
		X(add32_ri_n) X(sub64_rr_n) X(sub64_ri_n) X(and32_ri_n) X(and32_rr_n)              \
		    X(xor32_rr_n) X(not32) X(shl64_i_n) X(shr64_i_n) X(shr32_i_n) X(rol32_i_n)     \
			X(ror32_i_n) X(imul64_rr_n) X(cmp64_rr) X(cmp32_rr) X(setcc_SUB_b) X(carry_of_difference)         \
			    X(zero32_f) X(xor32_rr_f) X(and32_ri_f) X(add32_rr_f) X(add32_ri_f)    \
				X(add64_rr_f) X(add64_ri_f) X(sub64_rr_f)
#define OTHER_SECONDS(X)                                                                           \
	X(mov64_ri) X(sub64_ri_f) X(shr64_i_f) X(shr32_i_f) X(cmov_SUB_b) X(push64_r) X(pop64_r)   \
	X(mov64_rm_bd) X(mov64_rm_bis) X(mov32_rm_bd) X(mov32_rm_bis) X(movzx8_32_rm_bd)           \
	X(movzx8_32_rm_bis) X(add32_rm_n_bd) X(mov64_mr_bd) X(mov32_mr_bd) X(mov64_mi_bd)          \
	X(jcc_RES_z) X(jncc_RES_z) X(jcc_SUB_z) X(jncc_SUB_z) X(jcc_SUB_b) X(jncc_SUB_b)           \
	X(jmp_direct64) X(jmp_indirect) X(call_direct64_on) X(ret64)                             \
	BRANCHES(X, cmp_z64_rr) BRANCHES(X, cmp_z64_ri) BRANCHES(X, cmp_z32_rr)                    \
	BRANCHES(X, cmp_z32_ri) BRANCHES(X, cmp_z8_ri) BRANCHES(X, cmp_b64_rr)                     \
	BRANCHES(X, cmp_b32_rr) BRANCHES(X, cmp_be64_ri) BRANCHES(X, cmp_be32_ri)                  \
	BRANCHES(X, cmp_be8_ri) BRANCHES(X, cmp_z8_mr_bd) BRANCHES(X, cmp_b32_mr_bd)               \
	BRANCHES(X, test_z64_rr) BRANCHES(X, test_z32_rr) BRANCHES(X, test_z8_rr)                  \
	BRANCHES(X, test_z8_ri) BRANCHES(X, test_z8_mi_bd)

/* Rarer ones, with the commonest second halves; and rarer second halves, behind the commonest first ones. */
#define RARER_REGISTER_FIRSTS(X, b)                                                                                       \
	X(b, mov64_ri, SETREG64(u->dst, u->imm))                                                                          \
	X(b, sub64_ri_f, fa = REG64(u->base), fb = u->imm, SETREG64(u->dst, fa - fb), KIND(FK_SUB + LG64))                \
	X(b, sub32_ri_f, fa = (u64)SREG32(u->base), fb = SX(32, u->imm), SETREG32(u->dst, fa - fb), KIND(FK_SUB + LG32))  \
	X(b, and64_ri_n, SETREG64(u->dst, REG64(u->base) & u->imm))                                                       \
	X(b, and64_rr_n, SETREG64(u->dst, REG64(u->base) & REG64(u->src)))                                                \
	X(b, and64_ri_f, SETREG64(u->dst, REG64(u->base) & u->imm), fa = REG64(u->dst), fb = 0, KIND(FK_RES))             \
	X(b, and32_rr_f, SETREG32(u->dst, REG32(u->base) & REG32(u->src)), RESULT32)                                      \
	X(b, or32_rr_f, SETREG32(u->dst, REG32(u->base) | REG32(u->src)), RESULT32)                                       \
	X(b, test64_rr, fa = REG64(u->dst) & REG64(u->src), fb = 0, KIND(FK_RES))                                         \
	X(b, test32_rr, fa = SX(32, REG32(u->dst) & REG32(u->src)), fb = 0, KIND(FK_RES))                                 \
	X(b, cmp64_ri, fa = REG64(u->dst), fb = u->imm, KIND(FK_SUB + LG64))                                              \
	X(b, cmp32_ri, fa = (u64)SREG32(u->dst), fb = SX(32, u->imm), KIND(FK_SUB + LG32))                                \
	X(b, sar64_i_n, ea = u->sh, SETREG64(u->dst, (u64)((s64)REG64(u->base) >> (ea & 63))))                            \
	X(b, cdqe, SETREG64(REG_OFF(RAX), SREG32(REG_OFF(RAX))))                                                          \
	X(b, setcc_RES_z, SETREG8_WIDE(u->dst, (fa == 0) ^ (u->sh & 1)))                                                  \
	X(b, setcc_SUB_z, SETREG8_WIDE(u->dst, (fa == fb) ^ (u->sh & 1)))                                                 \
	X(b, cmov_RES_z, CMOV(fa == 0))                                                                                   \
	X(b, cmov_SUB_z, CMOV(fa == fb))                                                                                  \
	X(b, cmov_SUB_be, CMOV(fa <= fb))
#define RARER_MEMORY_FIRSTS(X, b)                                                                                         \
	X(b, push64_i, PUSH, u->imm)                                                                                      \
	X(b, movsx32_64_rm_bd, LOAD, EA_bd, s32, SETREG64(u->dst, (s64)m))                                                \
	X(b, movsx32_64_rm_bis, LOAD, EA_bis, s32, SETREG64(u->dst, (s64)m))                                              \
	X(b, sub64_rm_f_bis, LOAD, EA_bis, u64, fa = REG64(u->dst), fb = m, SETREG64(u->dst, fa - fb), KIND(FK_SUB + LG64)) \
	X(b, sub64_rm_n_bd, LOAD, EA_bd, u64, SETREG64(u->dst, REG64(u->dst) - m))                                        \
	X(b, sub64_rm_n_bis, LOAD, EA_bis, u64, SETREG64(u->dst, REG64(u->dst) - m))                                      \
	X(b, xor64_rm_n_bis, LOAD, EA_bis, u64, SETREG64(u->dst, REG64(u->dst) ^ m))                                      \
	X(b, add64_rm_f_bd, LOAD, EA_bd, u64, fb = m, SETREG64(u->dst, REG64(u->dst) + m), SUM(64))                       \
	X(b, mov64_mr_bis, STORE, EA_bis, u64, REG64(u->src))                                                             \
	X(b, mov32_mr_bis, STORE, EA_bis, u32, REG32(u->src))                                                             \
	X(b, mov8_mr_bd, STORE, EA_bd, u8, REG8(u->src))                                                                  \
	X(b, mov8_mr_bis, STORE, EA_bis, u8, REG8(u->src))                                                                \
	X(b, mov64_mi_bd, STORE, EA_bd, u64, u->imm)                                                                      \
	X(b, mov32_mi_bd, STORE, EA_bd, u32, (u32)u->imm)                                                                 \
	X(b, mov8_mi_bd, STORE, EA_bd, u8, (u8)u->imm)

#define COMMON_SECONDS(X)                                                                  \
	X(mov64_rr) X(mov32_rr) X(mov32_ri) X(zero32_f) X(lea64_bd) X(add64_ri_f)          \
	X(mov64_rm_bd) X(mov64_rm_bis) X(mov32_rm_bd) X(mov64_mr_bd) X(mov32_mr_bd)        \
	X(push64_r) X(pop64_r) X(jcc_RES_z) X(jncc_RES_z) X(jcc_SUB_z) X(jncc_SUB_z)       \
	X(jmp_direct64) X(call_direct64_on) X(ret64) BRANCHES(X, test_z64_rr)              \
	BRANCHES(X, test_z32_rr) BRANCHES(X, test_z8_ri) BRANCHES(X, cmp_z64_rr)           \
	BRANCHES(X, cmp_z32_ri) BRANCHES(X, cmp_be64_ri) X(jmp_indirect)
#define RARER_SECONDS(X)                                                                   \
	X(sub32_ri_f) X(and64_ri_n) X(and64_rr_n) X(and64_ri_f) X(and32_rr_f) X(or32_rr_f) \
	X(or64_ri_f) X(test64_rr) X(test32_rr) X(cmp64_ri) X(cmp32_ri) X(sar64_i_n)        \
	X(shl64_i_f) X(imul64_rr) X(setcc_RES_z) X(setcc_SUB_z) X(cmov_RES_z)              \
	X(cmov_SUB_z) X(cmov_SUB_be) X(push64_i) X(movsx32_64_rm_bd) X(movsx32_64_rm_bis)  \
	X(sub64_rm_f_bis) X(sub64_rm_n_bd) X(sub64_rm_n_bis) X(xor64_rm_n_bis)             \
	X(add64_rm_f_bd) X(add64_mr_f_bd) X(add64_mr_n_bis) X(mov64_mr_bis)                \
	X(mov32_mr_bis) X(mov8_mr_bd) X(mov8_mr_bis) X(mov32_mi_bd) X(mov8_mi_bd)          \
	X(inc32_m_bis) X(dec32_m_bis) X(cmpxchg32_m_bd) X(jcc_RES_s) X(jncc_RES_s)         \
	X(jcc_SUB_be) X(jncc_SUB_be) X(jcc_SUB_l) X(jncc_SUB_l) X(jcc_SUB_le)              \
	X(jncc_SUB_le) X(call_indirect64_on) BRANCHES(X, test_z64_ri)                      \
	BRANCHES(X, test_z32_ri) BRANCHES(X, test_s32_rr) BRANCHES(X, test_le32_rr)        \
	BRANCHES(X, cmp_z64_mr_bd) BRANCHES(X, cmp_z64_mi_bd) BRANCHES(X, cmp_z64_rm_bd)   \
	BRANCHES(X, cmp_z32_mi_bd) BRANCHES(X, cmp_b64_ri) BRANCHES(X, cmp_b32_ri)         \
	BRANCHES(X, cmp_be64_rr) X(uop_call) X(uop_call_flags) X(uop_call_end)

#define RESULT32      fa = (u64)SREG32(u->dst), fb = 0, KIND(FK_RES)
#define SUM(bits)     fa = (u64)SREG##bits(u->dst), KIND(FK_ADD + LG##bits)

#define HALF_LOAD(a, address, type, ...)                                                           \
	ea = address;                                                                              \
	const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                                   \
	if (TLB_MISS(e, sizeof(type)))                                                             \
		return a(UOP_PASS);                                                                \
	type m = HOST(type, e->host + ea);                                                         \
	__VA_ARGS__
#define HALF_STORE(a, address, type, value)                                                        \
	ea = address;                                                                              \
	const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                                   \
	if (TLB_MISS(e, sizeof(type)))                                                             \
		return a(UOP_PASS);                                                                \
	HOST(type, e->host + ea) = value
#define HALF_PUSH(a, value) HALF_STORE(a, cpu->r[RSP] - 8, u64, value), cpu->r[RSP] = ea
#define HALF_POP(a)  HALF_LOAD(a, cpu->r[RSP], u64, cpu->r[RSP] = ea + 8, REG64(u->dst) = m)

typedef void uop_handler(UOP_ARGS);
#define DECLARE(name)               uop_handler name;
#define DECLARE_FIRST(b, name, ...) DECLARE(name)
OTHER_SECONDS(DECLARE)
REGISTER_FIRSTS(DECLARE_FIRST, )
MEMORY_FIRSTS(DECLARE_FIRST, )
RARER_SECONDS(DECLARE)
RARER_REGISTER_FIRSTS(DECLARE_FIRST, )
RARER_MEMORY_FIRSTS(DECLARE_FIRST, )

/* The register operations once more, to be done on the spot and followed by something else. */
#define INLINE(b, name, ...)                                                                       \
	static ALWAYS_INLINE __attribute__((unused)) void do_##name(struct cpu *cpu, const struct uop *u, u64 *pa, u64 *pb) \
	{                                                                                          \
		u64 fa = *pa, fb = *pb, ea;                                                        \
		__VA_ARGS__;                                                                       \
		*pa = fa;                                                                          \
		*pb = fb;                                                                          \
		(void)ea;                                                                          \
	}                                                                                          \
	static ALWAYS_INLINE void then_##name(UOP_ARGS)                                            \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		NEXT;                                                                              \
	}
REGISTER_FIRSTS(INLINE, )

#define PAIR(a, b, second, ...)                                                                    \
	static void a##__##b(UOP_ARGS)                                                             \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		return second(cpu, u + 1, fa, ea, fb, cd);                                         \
	}
#define AFTER_REGISTER_THEN(b, a, ...)      PAIR(a, b, then_##b, __VA_ARGS__)
#define AFTER_REGISTER_JUMP(b, a, ...)      PAIR(a, b, b, __VA_ARGS__)
#define AFTER_MEMORY_THEN(b, a, shape, ...) PAIR(a, b, then_##b, HALF_##shape(a, ##__VA_ARGS__))
#define AFTER_MEMORY_JUMP(b, a, shape, ...) PAIR(a, b, b, HALF_##shape(a, ##__VA_ARGS__))
#define ALL_THEN(b)                         REGISTER_FIRSTS(AFTER_REGISTER_THEN, b) MEMORY_FIRSTS(AFTER_MEMORY_THEN, b)
#define ALL_JUMP(b)                         REGISTER_FIRSTS(AFTER_REGISTER_JUMP, b) MEMORY_FIRSTS(AFTER_MEMORY_JUMP, b)
REGISTER_SECONDS(ALL_THEN)
OTHER_SECONDS(ALL_JUMP)

#define RARER_JUMP(b)  RARER_REGISTER_FIRSTS(AFTER_REGISTER_JUMP, b) RARER_MEMORY_FIRSTS(AFTER_MEMORY_JUMP, b)
#define COMMON_JUMP(b) COMMON_REGISTER_FIRSTS(AFTER_REGISTER_JUMP, b) COMMON_MEMORY_FIRSTS(AFTER_MEMORY_JUMP, b)
COMMON_SECONDS(RARER_JUMP)
RARER_SECONDS(COMMON_JUMP)

/*
 * Where the second operation takes the first one's result, it takes it from the host's register: what goes through memory comes
 * five cycles later. Offsets are copied, so that the compiler sees that it loads what it has just stored. (ea has served.)
 */
#define ON(a, b, operand, ...)                                                                     \
	static void a##__##b##_on_##operand(UOP_ARGS)                                              \
	{                                                                                          \
		const u16 dst = u->dst;                                                            \
		__VA_ARGS__;                                                                       \
		struct uop second = u[1];                                                          \
		second.operand = dst;                                                              \
		do_##b(cpu, &second, &fa, &fb);                                                    \
		u += 2;                                                                            \
		asm("" : "=r"(ea), "+r"(u));                                                       \
		return u->fn(UOP_PASS);                                                            \
	}
#define FIRST(a)                                                                                   \
	struct uop first = *u;                                                                     \
	first.dst = dst;                                                                           \
	do_##a(cpu, &first, &fa, &fb)
#define ON_BASE(b, a)                     ON(a, b, base, FIRST(a))
#define ON_SRC(b, a)                      ON(a, b, src, FIRST(a))
#define LOAD_BASE(b, a, address, type, set) ON(a, b, base, HALF_LOAD(a, address, type, set(dst, m)))
#define LOAD_SRC(b, a, address, type, set)  ON(a, b, src, HALF_LOAD(a, address, type, set(dst, m)))
#define ALL_ON_BASE(b)                    RESULTS(ON_BASE, b) LOADS(LOAD_BASE, b)
#define ALL_ON_SRC(b)                     RESULTS(ON_SRC, b) LOADS(LOAD_SRC, b)
TAKE_BASE(ALL_ON_BASE)
TAKE_SRC(ALL_ON_SRC)

/* ---- runs --------------------------------------------------------------------------------- */

#define MAX_RUN 6

#define PUSHED(i) HOST(u64, at - 8 - 8 * (i)) = REG64(u[i].src);
#define PUSHED2   PUSHED(0) PUSHED(1)
#define PUSHED3   PUSHED2 PUSHED(2)
#define PUSHED4   PUSHED3 PUSHED(3)
#define PUSHED5   PUSHED4 PUSHED(4)
#define PUSHED6   PUSHED5 PUSHED(5)
#define POPPED(i) REG64(u[i].dst) = HOST(u64, at + 8 * (i));
#define POPPED2   POPPED(0) POPPED(1)
#define POPPED3   POPPED2 POPPED(2)
#define POPPED4   POPPED3 POPPED(3)
#define POPPED5   POPPED4 POPPED(4)
#define POPPED6   POPPED5 POPPED(5)

/* @n of 8 bytes at the stack's top, all in one page, from the first one's micro-operation on. */
#define PUSH_RUN(n)                                                                                \
	static void push64_run##n(UOP_ARGS)                                                        \
	{                                                                                          \
		ea = cpu->r[RSP] - 8 * (n);                                                        \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                           \
		if (TLB_MISS(e, 8 * (n)))                                                          \
			return push64_r(UOP_PASS);                                                 \
		u8 *at = (u8 *)(e->host + ea + 8 * (n));                                           \
		PUSHED##n cpu->r[RSP] = ea;                                                        \
		return u[n].fn(cpu, u + (n), fa, ea, fb, cd);                                      \
	}
#define POP_RUN(n, name, next)                                                                     \
	static void pop64_run##n##name(UOP_ARGS)                                                   \
	{                                                                                          \
		ea = cpu->r[RSP];                                                                  \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                           \
		if (TLB_MISS(e, 8 * (n)))                                                          \
			return pop64_r(UOP_PASS);                                                  \
		const u8 *at = (const u8 *)(e->host + ea);                                         \
		POPPED##n cpu->r[RSP] = ea + 8 * (n);                                              \
		return next(cpu, u + (n), fa, ea, fb, cd);                                         \
	}
#define RUNS(n) PUSH_RUN(n) POP_RUN(n, , u[n].fn) POP_RUN(n, _ret, ret64)
RUNS(2)
RUNS(3)
RUNS(4)
RUNS(5)
RUNS(6)

/* Runs are second halves, too. */
#define RUN_SECONDS(X)                                                                             \
	X(push64_run2) X(push64_run3) X(push64_run4) X(push64_run5) X(push64_run6)                 \
	X(pop64_run2) X(pop64_run3) X(pop64_run4) X(pop64_run5) X(pop64_run6)                      \
	X(pop64_run2_ret) X(pop64_run3_ret) X(pop64_run4_ret) X(pop64_run5_ret) X(pop64_run6_ret)
RUN_SECONDS(COMMON_JUMP)

static const uop_fn push_runs[] = {push64_run2, push64_run3, push64_run4, push64_run5, push64_run6};
static const uop_fn pop_runs[] = {pop64_run2, pop64_run3, pop64_run4, pop64_run5, pop64_run6};
static const uop_fn pop_runs_ret[] = {pop64_run2_ret, pop64_run3_ret, pop64_run4_ret, pop64_run5_ret, pop64_run6_ret};

/* How many PUSH, or POP, of registers but RSP stand from micro-operation @i on. */
static unsigned run_length(const struct builder *b, unsigned i)
{
	uop_fn fn = b->u[i].fn;
	unsigned n = 0;

	if (fn != push64_r && fn != pop64_r)
		return 0;
	while (n < MAX_RUN && i + n < b->n && b->u[i + n].fn == fn &&
	       (fn == push64_r ? b->u[i + n].src : b->u[i + n].dst) != REG_OFF(RSP))
		n++;
	return n;
}

/* Makes one handler of the @n PUSH or POP from @i on. */
static void name_run(struct builder *b, unsigned i, unsigned n)
{
	if (b->u[i].fn == push64_r)
		b->u[i].fn = push_runs[n - 2];
	else
		b->u[i].fn = (b->u[i + n].fn == ret64 ? pop_runs_ret : pop_runs)[n - 2];
}

#define NAME(name)               name,
#define NAME_FIRST(b, name, ...) name,
#define NAME_PAIR(b, a, ...)     a##__##b,
#define ROW(b)                   {REGISTER_FIRSTS(NAME_PAIR, b) MEMORY_FIRSTS(NAME_PAIR, b)},

#define RARER_ROW(b)             {RARER_REGISTER_FIRSTS(NAME_PAIR, b) RARER_MEMORY_FIRSTS(NAME_PAIR, b)},
#define COMMON_ROW(b)            {COMMON_REGISTER_FIRSTS(NAME_PAIR, b) COMMON_MEMORY_FIRSTS(NAME_PAIR, b)},

#define NAME_ON_BASE(b, a, ...) a##__##b##_on_base,
#define NAME_ON_SRC(b, a, ...)  a##__##b##_on_src,
#define BASE_ROW(b)             {RESULTS(NAME_ON_BASE, b) LOADS(NAME_ON_BASE, b)},
#define SRC_ROW(b)              {RESULTS(NAME_ON_SRC, b) LOADS(NAME_ON_SRC, b)},

static const uop_fn results[] = {RESULTS(NAME_FIRST, ) LOADS(NAME_FIRST, )};
static const uop_fn take_base[] = {TAKE_BASE(NAME)};
static const uop_fn on_base[][ARRAY_SIZE(results)] = {TAKE_BASE(BASE_ROW)};
static const uop_fn take_src[] = {TAKE_SRC(NAME)};
static const uop_fn on_src[][ARRAY_SIZE(results)] = {TAKE_SRC(SRC_ROW)};
static const uop_fn firsts[] = {REGISTER_FIRSTS(NAME_FIRST, ) MEMORY_FIRSTS(NAME_FIRST, )};
static const uop_fn seconds[] = {REGISTER_SECONDS(NAME) OTHER_SECONDS(NAME)};
static const uop_fn pairs[][ARRAY_SIZE(firsts)] = {REGISTER_SECONDS(ROW) OTHER_SECONDS(ROW)};
static const uop_fn rarer_firsts[] = {RARER_REGISTER_FIRSTS(NAME_FIRST, ) RARER_MEMORY_FIRSTS(NAME_FIRST, )};
static const uop_fn common_seconds[] = {COMMON_SECONDS(NAME)};
static const uop_fn rarer_common[][ARRAY_SIZE(rarer_firsts)] = {COMMON_SECONDS(RARER_ROW)};
static const uop_fn common_firsts[] = {COMMON_REGISTER_FIRSTS(NAME_FIRST, ) COMMON_MEMORY_FIRSTS(NAME_FIRST, )};
static const uop_fn rarer_seconds[] = {RARER_SECONDS(NAME) RUN_SECONDS(NAME)};
static const uop_fn common_rarer[][ARRAY_SIZE(common_firsts)] = {RARER_SECONDS(COMMON_ROW) RUN_SECONDS(COMMON_ROW)};

#define TABLE(f, s, p) {f, s, &p[0][0], ARRAY_SIZE(f), ARRAY_SIZE(s)}
static const struct pair_table ours[] = {
    TABLE(results, take_base, on_base),
    TABLE(results, take_src, on_src),
    TABLE(firsts, seconds, pairs),
    TABLE(rarer_firsts, common_seconds, rarer_common),
    TABLE(common_firsts, rarer_seconds, common_rarer),
};

/* The first that fits is taken. Those of 256-bit operations come from vec_pairs.c, and are absent where nobody wrote them. */
enum { ON_BASE_TABLE, ON_SRC_TABLE, SD_TABLE = ARRAY_SIZE(ours), SS_TABLE, YMM_TABLE };
_Static_assert(YMM_TABLE + 1 == PAIR_TABLES, "they are all of them");
extern const struct pair_table sd_pairs, ss_pairs;
extern const struct pair_table ymm_pairs __attribute__((weak));
static const struct pair_table *const tables[PAIR_TABLES] = {&ours[0], &ours[1], &ours[2], &ours[3], &ours[4],
								  [SD_TABLE] = &sd_pairs, [SS_TABLE] = &ss_pairs,
								  [YMM_TABLE] = &ymm_pairs};
uop_fn scalar_to_memory(const struct uop *u);
uop_fn ymm_run(const struct uop *u, unsigned left, unsigned *n) __attribute__((weak));

_Static_assert(ARRAY_SIZE(firsts) < 255 && ARRAY_SIZE(seconds) < 255,
	       "struct pair_index holds bytes");

static unsigned slot_of(uop_fn fn)
{
	return (unsigned)((uintptr_t)fn * 0x9e3779b97f4a7c15ull >> (64 - PAIR_INDEX_BITS));
}

static struct pair_index *find(struct builder *b, uop_fn fn)
{
	unsigned i = slot_of(fn);

	while (b->pairs[i].fn && b->pairs[i].fn != fn)
		i = (i + 1) % ARRAY_SIZE(b->pairs);
	return &b->pairs[i];
}

void pairs_init(struct builder *b)
{
	memset(b->pairs, 0, sizeof(b->pairs));
	for (unsigned t = 0; t < PAIR_TABLES; t++) {
		for (unsigned i = 0; tables[t] && i < tables[t]->nfirsts; i++) {
			struct pair_index *x = find(b, tables[t]->firsts[i]);
			x->fn = tables[t]->firsts[i];
			x->first[t] = (u8)(i + 1);
		}
		for (unsigned i = 0; tables[t] && i < tables[t]->nseconds; i++) {
			struct pair_index *x = find(b, tables[t]->seconds[i]);
			x->fn = tables[t]->seconds[i];
			x->second[t] = (u8)(i + 1);
		}
	}
}

/*
 * The rest of an instruction in several micro-operations may be run by itself
 * (block_rest_of_insn()): its last one must not go on into the next instruction.
 */
static bool may_begin(const struct builder *b, unsigned i)
{
	return i == 0 || b->u[i - 1].icnt != b->u[i].icnt || b->u[i + 1].icnt == b->u[i].icnt;
}

/* For a pair of table @t from @u on. */
static bool operands_fit(const struct uop *u, unsigned t)
{
	return t == ON_BASE_TABLE ? u[1].base == u->dst : t != ON_SRC_TABLE || u[1].src == u->dst;
}

/* Makes a run of what begins at @i, if anything does: how many micro-operations it is, or 0. */
static unsigned fuse_run(struct builder *b, unsigned i)
{
	struct uop *u = &b->u[i];
	unsigned n;

	if (i + 1 >= b->n || !may_begin(b, i))
		return 0;
	n = run_length(b, i);
	if (n > 1) {
		name_run(b, i, n);
		return n;
	}
	const struct pair_index *x = find(b, u->fn);
	uop_fn run = NULL;
	if (x->first[YMM_TABLE])
		run = ymm_run(u, b->n - i, &n);
	else if (x->first[SD_TABLE] || x->first[SS_TABLE])
		run = scalar_to_memory(u), n = 2;
	if (!run)
		return 0;
	u->fn = run;
	return n;
}

/* The handler of the pair @u and the one behind it, or NULL. */
static uop_fn pair_of(struct builder *b, const struct uop *u)
{
	const struct pair_index *x = find(b, u->fn), *y = find(b, u[1].fn);

	for (unsigned t = 0; t < PAIR_TABLES; t++)
		if (x->first[t] && y->second[t] && operands_fit(u, t))
			return tables[t]->pairs[(y->second[t] - 1u) * tables[t]->nfirsts + x->first[t] - 1u];
	return NULL;
}

/* Runs go first; one micro-operation may form a pair with the run behind it. */
void fuse_pairs(struct builder *b)
{
	for (unsigned i = 0; i + 1 < b->n;) {
		unsigned n = fuse_run(b, i);

		if (n) {
			i += n;
			continue;
		}
		n = fuse_run(b, i + 1);
		uop_fn pair = may_begin(b, i) ? pair_of(b, &b->u[i]) : NULL;
		if (pair)
			b->u[i].fn = pair;
		i += n ? 1 + n : pair ? 2 : 1;
	}
}
