/*
 * Pairs (pairs.c says what they are) of scalar floating point: moves, additions, subtractions and multiplications of one
 * precision, done on the spot; other second halves are jumped to. And an addition to memory, which SSE does by two
 * instructions, as one.
 */
#include "cpu/exec/vec_forms.h"

/* X(second half, precision, name, what it does); X(..., name, shape, address, size, ...), the shapes are below. */
#define REGISTERS(X, b, t)                                                                        \
	X(b, t, load16a_rr, XMM(u->dst) = XMM(u->src))                                              \
	X(b, t, x_add##t##_rr, PUT(add##t, XMM(u->src)))                                            \
	X(b, t, x_sub##t##_rr, PUT(sub##t, XMM(u->src)))                                            \
	X(b, t, x_mul##t##_rr, PUT(mul##t, XMM(u->src)))
#define MEMORY(X, b, t, n)                                                                        \
	X(b, t, load##n##_bd, LOAD, bd, n, XMM(u->dst) = WIDEN_##n(m))                              \
	X(b, t, load##n##_bis, LOAD, bis, n, XMM(u->dst) = WIDEN_##n(m))                            \
	X(b, t, x_add##t##_bd, LOAD, bd, n, PUT(add##t, WIDEN_##n(m)))                              \
	X(b, t, x_add##t##_bis, LOAD, bis, n, PUT(add##t, WIDEN_##n(m)))                            \
	X(b, t, x_sub##t##_bd, LOAD, bd, n, PUT(sub##t, WIDEN_##n(m)))                              \
	X(b, t, x_sub##t##_bis, LOAD, bis, n, PUT(sub##t, WIDEN_##n(m)))                            \
	X(b, t, x_mul##t##_bd, LOAD, bd, n, PUT(mul##t, WIDEN_##n(m)))                              \
	X(b, t, x_mul##t##_bis, LOAD, bis, n, PUT(mul##t, WIDEN_##n(m)))                            \
	X(b, t, store##n##_bd, STORE, bd, n)                                                        \
	X(b, t, store##n##_bis, STORE, bis, n)
#define FIRSTS(X, b, t, n) REGISTERS(X, b, t) MEMORY(X, b, t, n)

/* By names alone: a macro does not expand within itself. */
#define SECONDS(X, t, n)                                                                          \
	X(t, n, load16a_rr) X(t, n, x_add##t##_rr) X(t, n, x_sub##t##_rr) X(t, n, x_mul##t##_rr)    \
	X(t, n, load##n##_bd) X(t, n, load##n##_bis) X(t, n, store##n##_bd) X(t, n, store##n##_bis) \
	X(t, n, x_add##t##_bd) X(t, n, x_add##t##_bis) X(t, n, x_sub##t##_bd)                       \
	X(t, n, x_sub##t##_bis) X(t, n, x_mul##t##_bd) X(t, n, x_mul##t##_bis)
#define OTHERS(X, t, n)                                                                           \
	X(t, n, add64_ri_n) X(t, n, add64_ri_f) X(t, n, j_cmp_z64_rr) X(t, n, jn_cmp_z64_rr)        \
	X(t, n, j_cmp_z64_ri) X(t, n, jn_cmp_z64_ri)                                                \
	X(t, n, add##t##_to_bd) X(t, n, add##t##_to_bis) X(t, n, sub##t##_to_bd) X(t, n, sub##t##_to_bis)

#define PUT(op, with) XMM(u->dst) = host_##op(XMM(u->dst), with)
#define PUT_8(at) HOST(u64, at) = REG64(u->src)
#define PUT_4(at) HOST(u32, at) = REG32(u->src)
#define HALF_LOAD(a, eam, size, ...)                                                              \
	ea = EA_##eam;                                                                             \
	const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                                   \
	if (MISS_##size(e))                                                                        \
		return a(UOP_PASS);                                                                \
	TYPE_##size m = HOST(TYPE_##size, e->host + ea);                                           \
	__VA_ARGS__
#define HALF_STORE(a, eam, size)                                                                  \
	ea = EA_##eam;                                                                             \
	const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                                   \
	if (MISS_##size(e))                                                                        \
		return a(UOP_PASS);                                                                \
	PUT_##size(e->host + ea)

HOST2(addsd)
HOST2(subsd)
HOST2(mulsd)
HOST2(addss)
HOST2(subss)
HOST2(mulss)

typedef void uop_handler(UOP_ARGS);
#define DECLARE(t, n, name) uop_handler name;
SECONDS(DECLARE, sd, 8)
SECONDS(DECLARE, ss, 4)
OTHERS(DECLARE, sd, 8)
OTHERS(DECLARE, ss, 4)

/* The sum stays in the register, too; the store's own operands are those of the load. */
#define TO_MEMORY(t, n, op, eam)                                                                  \
	void op##t##_to_##eam(UOP_ARGS)                                                            \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (MISS_##n(e))                                                                    \
			return x_##op##t##_##eam(UOP_PASS);                                         \
		TYPE_##n m = HOST(TYPE_##n, e->host + ea);                                          \
		vec128 sum = host_##op##t(XMM(u->dst), WIDEN_##n(m));                               \
		XMM(u->dst) = sum;                                                                  \
		HOST(TYPE_##n, e->host + ea) = (TYPE_##n)_mm_cvtsi128_si64(sum);                    \
		return u[2].fn(cpu, u + 2, fa, ea, fb, cd);                                         \
	}
TO_MEMORY(sd, 8, add, bd)
TO_MEMORY(sd, 8, add, bis)
TO_MEMORY(sd, 8, sub, bd)
TO_MEMORY(sd, 8, sub, bis)
TO_MEMORY(ss, 4, add, bd)
TO_MEMORY(ss, 4, add, bis)
TO_MEMORY(ss, 4, sub, bd)
TO_MEMORY(ss, 4, sub, bis)

uop_fn scalar_to_memory(const struct uop *u)
{
	static const struct {
		uop_fn load, store, fused;
	} rows[] = {
#define ROW(t, n, op, eam) {x_##op##t##_##eam, store##n##_##eam, op##t##_to_##eam}
#define ROWS(t, n) ROW(t, n, add, bd), ROW(t, n, add, bis), ROW(t, n, sub, bd), ROW(t, n, sub, bis)
	    ROWS(sd, 8), ROWS(ss, 4),
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (u->fn == rows[i].load && u[1].fn == rows[i].store && u[1].src == u->dst && u[1].base == u->base &&
		    u[1].index == u->index && u[1].sh == u->sh && u[1].disp == u->disp)
			return rows[i].fused;
	return NULL;
}

#define THEN(b, t, name, ...)                                                                     \
	static ALWAYS_INLINE void t##_then_##name(UOP_ARGS)                                        \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		NEXT;                                                                              \
	}
#define THEN_MEMORY(b, t, name, shape, ...) THEN(b, t, name, HALF_##shape(name, __VA_ARGS__))
#define INLINE(t, n)                                                                              \
	REGISTERS(THEN, , t)                                                                       \
	MEMORY(THEN_MEMORY, , t, n)
INLINE(sd, 8)
INLINE(ss, 4)

#define PAIR(a, b, t, second, ...)                                                                \
	static void t##_##a##__##b(UOP_ARGS)                                                       \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		return second(cpu, u + 1, fa, ea, fb, cd);                                         \
	}
#define REGISTER_THEN(b, t, a, ...)      PAIR(a, b, t, t##_then_##b, __VA_ARGS__)
#define REGISTER_JUMP(b, t, a, ...)      PAIR(a, b, t, b, __VA_ARGS__)
#define MEMORY_THEN(b, t, a, shape, ...) PAIR(a, b, t, t##_then_##b, HALF_##shape(a, __VA_ARGS__))
#define MEMORY_JUMP(b, t, a, shape, ...) PAIR(a, b, t, b, HALF_##shape(a, __VA_ARGS__))
#define ALL_THEN(t, n, b) REGISTERS(REGISTER_THEN, b, t) MEMORY(MEMORY_THEN, b, t, n)
#define ALL_JUMP(t, n, b) REGISTERS(REGISTER_JUMP, b, t) MEMORY(MEMORY_JUMP, b, t, n)
SECONDS(ALL_THEN, sd, 8)
SECONDS(ALL_THEN, ss, 4)
OTHERS(ALL_JUMP, sd, 8)
OTHERS(ALL_JUMP, ss, 4)

#define NAME(t, n, name)               name,
#define NAME_FIRST(b, t, name, ...)    name,
#define NAME_PAIR(b, t, a, ...)        t##_##a##__##b,
#define PAIR_ROW(t, n, b)              {FIRSTS(NAME_PAIR, b, t, n)},
#define TABLE(t, n)                                                                               \
	static const uop_fn t##_firsts[] = {FIRSTS(NAME_FIRST, , t, n)};                           \
	static const uop_fn t##_seconds[] = {SECONDS(NAME, t, n) OTHERS(NAME, t, n)};              \
	static const uop_fn t##_table[][ARRAY_SIZE(t##_firsts)] = {SECONDS(PAIR_ROW, t, n) OTHERS(PAIR_ROW, t, n)}; \
	const struct pair_table t##_pairs = {t##_firsts, t##_seconds, &t##_table[0][0], ARRAY_SIZE(t##_firsts),    \
					     ARRAY_SIZE(t##_seconds)};
TABLE(sd, 8)
TABLE(ss, 4)
