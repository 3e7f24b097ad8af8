/* The exact SSE element operations against the host's instructions under random MXCSR values
 * (exceptions masked on the host). */
#include <check.h>
#include <stdio.h>
#include "tests/suite.h"
#include "cpu/fpu/softfloat.h"
#include "fpu_random.h"

#if defined(__x86_64__)
#include <immintrin.h>

static u32 rnd_mxcsr(u64 *s)
{
	u64 r = rnd(s);

	return 0x1f80 | (r & 0x6000) | (r >> 20 & 3 ? 0 : r & 0x8040);
}

typedef u64 vec2 __attribute__((vector_size(16)));

/* Runs one instruction on xmm operands under @mxcsr; *@raised gets its flags. */
#define HOST(insn, dst, src)                                                                       \
	__asm__ volatile("ldmxcsr %[cs]\n\t" insn "\n\tstmxcsr %[out]\n\tldmxcsr %[dfl]"           \
			 : "+x"(dst), [out] "=m"(out)                                              \
			 : [s] "x"(src), [cs] "m"(mxcsr), [dfl] "m"(dfl))
#define HOST_GPR(insn, dst, src)                                                                   \
	__asm__ volatile("ldmxcsr %[cs]\n\t" insn "\n\tstmxcsr %[out]\n\tldmxcsr %[dfl]"           \
			 : "=r"(dst), [out] "=m"(out)                                              \
			 : [s] "x"(src), [cs] "m"(mxcsr), [dfl] "m"(dfl))
#define HOST_FROM(insn, dst, src)                                                                  \
	__asm__ volatile("ldmxcsr %[cs]\n\t" insn "\n\tstmxcsr %[out]\n\tldmxcsr %[dfl]"           \
			 : "+x"(dst), [out] "=m"(out)                                              \
			 : [s] "r"(src), [cs] "m"(mxcsr), [dfl] "m"(dfl))

static const u32 dfl = 0x1f80;

enum op { ADD, SUB, MUL, DIV, MIN_, MAX_, SQRT, OP_COUNT };

static u64 host64(enum op op, u64 a, u64 b, u32 mxcsr, u32 *raised)
{
	vec2 d = {a}, s = {b};
	u32 out;

	switch (op) {
	case ADD: HOST("addsd %[s], %0", d, s); break;
	case SUB: HOST("subsd %[s], %0", d, s); break;
	case MUL: HOST("mulsd %[s], %0", d, s); break;
	case DIV: HOST("divsd %[s], %0", d, s); break;
	case MIN_: HOST("minsd %[s], %0", d, s); break;
	case MAX_: HOST("maxsd %[s], %0", d, s); break;
	default: HOST("sqrtsd %[s], %0", d, s); break;
	}
	*raised = out & 0x3f;
	return d[0];
}

static u32 host32(enum op op, u32 a, u32 b, u32 mxcsr, u32 *raised)
{
	vec2 d = {a}, s = {b};
	u32 out;

	switch (op) {
	case ADD: HOST("addss %[s], %0", d, s); break;
	case SUB: HOST("subss %[s], %0", d, s); break;
	case MUL: HOST("mulss %[s], %0", d, s); break;
	case DIV: HOST("divss %[s], %0", d, s); break;
	case MIN_: HOST("minss %[s], %0", d, s); break;
	case MAX_: HOST("maxss %[s], %0", d, s); break;
	default: HOST("sqrtss %[s], %0", d, s); break;
	}
	*raised = out & 0x3f;
	return (u32)d[0];
}

static u64 soft64(enum op op, u64 a, u64 b, struct sse_env *e)
{
	static u64 (*const fn[])(u64, u64, struct sse_env *) = {f64_add, f64_sub, f64_mul,
								f64_div, f64_min, f64_max};

	return op == SQRT ? f64_sqrt(b, e) : fn[op](a, b, e);
}

static u32 soft32(enum op op, u32 a, u32 b, struct sse_env *e)
{
	static u32 (*const fn[])(u32, u32, struct sse_env *) = {f32_add, f32_sub, f32_mul,
								f32_div, f32_min, f32_max};

	return op == SQRT ? f32_sqrt(b, e) : fn[op](a, b, e);
}

static void expect(const char *what, unsigned op, u64 a, u64 b, u32 mxcsr, u64 ours,
		   const struct sse_env *env, u64 host, u32 host_raised)
{
	u32 raised = env->raised;

	if (ours != host || raised != host_raised)
		fprintf(stderr, "%s %u mxcsr=%x a=%llx b=%llx: ours %llx/%x, host %llx/%x\n", what,
			op, mxcsr, (unsigned long long)a, (unsigned long long)b,
			(unsigned long long)ours, raised, (unsigned long long)host, host_raised);
	ck_assert(ours == host);
	ck_assert_uint_eq(raised, host_raised);
}

START_TEST(scalar_arithmetic_equals_the_host)
{
	enum op op = (enum op)_i;
	u64 s = (u64)_i + 1;

	for (unsigned long n = cases(200000); n; n--) {
		u64 a = rnd_f64(&s), b = rnd_f64(&s), h;
		u32 c = rnd_f32(&s), d = rnd_f32(&s), raised;
		struct sse_env e = {.mxcsr = rnd_mxcsr(&s)}, f = e;

		h = host64(op, a, b, e.mxcsr, &raised);
		expect("f64", op, a, b, e.mxcsr, soft64(op, a, b, &e), &e, h, raised);
		h = host32(op, c, d, f.mxcsr, &raised);
		expect("f32", op, c, d, f.mxcsr, soft32(op, c, d, &f), &f, h, raised);
	}
}
END_TEST

#define CMP_CASE(n)                                                                                \
	case n: HOST("cmpsd $" #n ", %[s], %0", d, v); break;

START_TEST(comparisons_equal_the_host)
{
	u64 s = 20;

	for (unsigned long n = cases(300000); n; n--) {
		u64 a = rnd_f64(&s), b = n & 1 ? a : rnd_f64(&s), flags;
		unsigned predicate = n >> 1 & 7;
		u32 mxcsr = rnd_mxcsr(&s), out;
		struct sse_env e = {.mxcsr = mxcsr}, f = e;
		vec2 d = {a}, v = {b};

		switch (predicate) {
			CMP_CASE(0)
			CMP_CASE(1)
			CMP_CASE(2)
			CMP_CASE(3)
			CMP_CASE(4)
			CMP_CASE(5)
			CMP_CASE(6)
		default: HOST("cmpsd $7, %[s], %0", d, v); break;
		}
		expect("cmp", predicate, a, b, mxcsr, f64_cmp(a, b, predicate, &e) ? ~0ull : 0, &e,
		       d[0], out & 0x3f);
		d[0] = a;
		if (n & 16)
			__asm__ volatile("ldmxcsr %2\n\tucomisd %4, %3\n\tpushfq\n\tpop %0\n\t"
					 "stmxcsr %1\n\tldmxcsr %5"
					 : "=r"(flags), "=m"(out)
					 : "m"(mxcsr), "x"(d), "x"(v), "m"(dfl));
		else
			__asm__ volatile("ldmxcsr %2\n\tcomisd %4, %3\n\tpushfq\n\tpop %0\n\t"
					 "stmxcsr %1\n\tldmxcsr %5"
					 : "=r"(flags), "=m"(out)
					 : "m"(mxcsr), "x"(d), "x"(v), "m"(dfl));
		expect("comi", n & 16, a, b, mxcsr, f64_comi(a, b, n & 16, &f), &f, flags & 0x45,
		       out & 0x3f);
	}
}
END_TEST

__attribute__((target("avx"))) static u32 host_vcmp(unsigned predicate, u32 a, u32 b, u32 mxcsr,
						    u32 *raised)
{
	__m128 x = _mm_castsi128_ps(_mm_cvtsi32_si128((int)a));
	__m128 y = _mm_castsi128_ps(_mm_cvtsi32_si128((int)b));
	__m128 r = x;

#define VCMP(n)                                                                                    \
	case n:                                                                                    \
		__asm__ volatile("ldmxcsr %2\n\tvcmpss $" #n ", %4, %3, %0\n\tstmxcsr %1\n\t"      \
				 "ldmxcsr %5"                                                      \
				 : "=x"(r), "=m"(*raised)                                          \
				 : "m"(mxcsr), "x"(x), "x"(y), "m"(dfl));                          \
		break;
	switch (predicate) {
		VCMP(8)
		VCMP(9)
		VCMP(10)
		VCMP(11)
		VCMP(12)
		VCMP(13)
		VCMP(14)
		VCMP(15)
		VCMP(16)
		VCMP(17)
		VCMP(18)
		VCMP(19)
		VCMP(20)
		VCMP(21)
		VCMP(22)
		VCMP(23)
		VCMP(24)
		VCMP(25)
		VCMP(26)
		VCMP(27)
		VCMP(28)
		VCMP(29)
		VCMP(30)
		VCMP(31)
	}
	*raised &= 0x3f;
	return (u32)_mm_cvtsi128_si32(_mm_castps_si128(r));
}

START_TEST(vex_predicates_equal_the_host)
{
	u64 s = 30;

	if (!__builtin_cpu_supports("avx"))
		return;
	for (unsigned long n = cases(200000); n; n--) {
		u32 a = rnd_f32(&s), b = n & 1 ? a : rnd_f32(&s), h, raised;
		unsigned predicate = 8 + n % 24;
		struct sse_env e = {.mxcsr = rnd_mxcsr(&s)};

		h = host_vcmp(predicate, a, b, e.mxcsr, &raised);
		expect("vcmp", predicate, a, b, e.mxcsr, f32_cmp(a, b, predicate, &e) ? ~0u : 0, &e,
		       h, raised);
	}
}
END_TEST

START_TEST(conversions_equal_the_host)
{
	u64 s = 40;

	for (unsigned long n = cases(200000); n; n--) {
		u64 a = rnd_f64(&s), r64;
		u32 b = rnd_f32(&s), mxcsr = rnd_mxcsr(&s), out, r32;
		s64 i = (s64)rnd_bits(&s);
		struct sse_env e;
		vec2 v, d;

		if (n & 1) { /* in and around the integer range */
			a = (a & ~(0x7ffull << 52)) | (u64)(1020 + rnd(&s) % 70) << 52;
			b = (b & ~(0xffu << 23)) | (u32)(124 + rnd(&s) % 70) << 23;
		}
#define CHECK(what, ours, host)                                                                    \
	e = (struct sse_env){.mxcsr = mxcsr};                                                      \
	r64 = ours;                                                                                \
	expect(what, 0, a, b, mxcsr, r64, &e, host, out & 0x3f)
		v = (vec2){a};
		d = (vec2){0};
		HOST("cvtsd2ss %[s], %0", d, v);
		CHECK("cvtsd2ss", f64_to_f32(a, &e), (u32)d[0]);
		HOST_GPR("cvtsd2si %[s], %0", r64, v);
		{
			u64 h = r64;

			CHECK("cvtsd2si64", f64_to_int(a, 64, false, &e), h);
			HOST_GPR("cvttsd2si %[s], %0", h, v);
			CHECK("cvttsd2si64", f64_to_int(a, 64, true, &e), h);
			HOST_GPR("cvtsd2si %[s], %0", r32, v);
			CHECK("cvtsd2si32", f64_to_int(a, 32, false, &e), r32);
			v = (vec2){b};
			HOST_GPR("cvtss2si %[s], %0", h, v);
			CHECK("cvtss2si64", f32_to_int(b, 64, false, &e), h);
			HOST_GPR("cvttss2si %[s], %0", r32, v);
			CHECK("cvttss2si32", f32_to_int(b, 32, true, &e), r32);
		}
		d = (vec2){0};
		HOST("cvtss2sd %[s], %0", d, v);
		CHECK("cvtss2sd", f32_to_f64(b, &e), d[0]);
		HOST_FROM("cvtsi2sdq %[s], %0", d, i);
		CHECK("cvtsi2sd", f64_from_int(i, &e), d[0]);
		d = (vec2){0};
		HOST_FROM("cvtsi2ssq %[s], %0", d, i);
		CHECK("cvtsi2ss", f32_from_int(i, &e), (u32)d[0]);
	}
}
END_TEST

#define ROUND_CASE(n)                                                                              \
	case n: HOST("roundsd $" #n ", %[s], %0", d, s); break;

__attribute__((target("sse4.1"))) static u64 host_round(unsigned imm, u64 a, u32 mxcsr, u32 *raised)
{
	vec2 d = {0}, s = {a};
	u32 out;

	switch (imm) {
		ROUND_CASE(0)
		ROUND_CASE(1)
		ROUND_CASE(2)
		ROUND_CASE(3)
		ROUND_CASE(4)
		ROUND_CASE(8)
		ROUND_CASE(9)
	default: HOST("roundsd $12, %[s], %0", d, s); break;
	}
	*raised = out & 0x3f;
	return d[0];
}

START_TEST(rounding_to_integral_equals_the_host)
{
	static const u8 imms[8] = {0, 1, 2, 3, 4, 8, 9, 12};
	u64 s = 50;

	for (unsigned long n = cases(200000); n; n--) {
		u64 a = rnd_f64(&s), h;
		unsigned imm = imms[n & 7];
		struct sse_env e = {.mxcsr = rnd_mxcsr(&s)};
		u32 raised;

		h = host_round(imm, a, e.mxcsr, &raised);
		expect("round", imm, a, 0, e.mxcsr, f64_round_int(a, imm, &e), &e, h, raised);
	}
}
END_TEST

__attribute__((target("fma"))) static u64 host_fma(unsigned kind, u64 a, u64 b, u64 c, u32 mxcsr,
						   u32 *raised)
{
	vec2 d = {a}, x = {b}, y = {c};
	u32 out;

#define FMA_CASE(insn)                                                                             \
	__asm__ volatile("ldmxcsr %2\n\t" insn " %4, %3, %0\n\tstmxcsr %1\n\tldmxcsr %5"           \
			 : "+x"(d), "=m"(out)                                                      \
			 : "m"(mxcsr), "x"(x), "x"(y), "m"(dfl))
	/* 213: d = x * d + y */
	switch (kind) {
	case 0: FMA_CASE("vfmadd213sd"); break;
	case 1: FMA_CASE("vfmsub213sd"); break;
	case 2: FMA_CASE("vfnmadd213sd"); break;
	case 3: FMA_CASE("vfnmsub213sd"); break;
	default: FMA_CASE("vfmadd213ss"); break;
	}
	*raised = out & 0x3f;
	return d[0];
}

START_TEST(fused_multiply_add_equals_the_host)
{
	u64 s = 60;

	if (!__builtin_cpu_supports("fma"))
		return;
	for (unsigned long n = cases(400000); n; n--) {
		unsigned kind = n % 5;
		u64 a = rnd_f64(&s), b = rnd_f64(&s), c = rnd_f64(&s), h, ours;
		struct sse_env e = {.mxcsr = rnd_mxcsr(&s)};
		u32 raised;

		if (kind == 4) {
			a = rnd_f32(&s);
			b = rnd_f32(&s);
			c = rnd_f32(&s);
		}
		h = host_fma(kind, a, b, c, e.mxcsr, &raised);
		if (kind == 4)
			ours = f32_fma((u32)b, (u32)a, (u32)c, false, false, &e);
		else
			ours = f64_fma(b, a, c, kind & 2, kind & 1, &e);
		if (ours != h)
			fprintf(stderr, "c=%llx ", (unsigned long long)c);
		expect("fma", kind, a, b, e.mxcsr, ours, &e, h, raised);
	}
}
END_TEST

__attribute__((target("f16c"))) static u32 host_f16(bool to, u32 a, u32 mxcsr, u32 *raised)
{
	vec2 d = {0}, s = {a};
	u32 out;

	if (to)
		HOST("vcvtps2ph $4, %[s], %0", d, s);
	else
		HOST("vcvtph2ps %[s], %0", d, s);
	*raised = out & 0x3f;
	return (u32)d[0];
}

START_TEST(half_precision_equals_the_host)
{
	u64 s = 70;

	if (!__builtin_cpu_supports("avx2")) /* every AVX2 processor has F16C */
		return;
	for (unsigned long n = cases(200000); n; n--) {
		struct sse_env e = {.mxcsr = rnd_mxcsr(&s)}, f = e;
		u32 a = rnd_f32(&s), raised, h;
		u16 half = (u16)rnd(&s);

		if (n & 1)
			a = (a & 0x807fffff) | (u32)(95 + rnd(&s) % 60) << 23;
		h = host_f16(true, a, e.mxcsr, &raised);
		expect("ps2ph", 0, a, 0, e.mxcsr, f32_to_f16(a, 4, &e), &e, h & 0xffff, raised);
		h = host_f16(false, half, f.mxcsr, &raised);
		expect("ph2ps", 0, half, 0, f.mxcsr, f16_to_f32(half, &f), &f, h, raised);
	}
}
END_TEST

#endif

START_TEST(unmasked_exceptions_are_reported)
{
	struct sse_env e = {.mxcsr = 0};

	f64_div(0x3ff0000000000000ull, 0, &e);
	ck_assert_uint_eq(e.raised, FPE_ZE);
	e = (struct sse_env){.mxcsr = 0};
	f64_mul(0x0010000000000000ull, 0x3fe0000000000000ull,
		&e); /* exact, but tiny and unmasked */
	ck_assert_uint_eq(e.raised, FPE_UE);
	e = (struct sse_env){.mxcsr = 0x1f80};
	f64_mul(0x0010000000000000ull, 0x3fe0000000000000ull, &e);
	ck_assert_uint_eq(e.raised, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("SSE arithmetic");
	TCase *tc = tcase_create("sse");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, unmasked_exceptions_are_reported);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, scalar_arithmetic_equals_the_host, 0, OP_COUNT);
	tcase_add_test(tc, comparisons_equal_the_host);
	tcase_add_test(tc, vex_predicates_equal_the_host);
	tcase_add_test(tc, conversions_equal_the_host);
	tcase_add_test(tc, rounding_to_integral_equals_the_host);
	tcase_add_test(tc, fused_multiply_add_equals_the_host);
	tcase_add_test(tc, half_precision_equals_the_host);
#endif
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
