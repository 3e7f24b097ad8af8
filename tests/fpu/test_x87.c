/*
 * The exact x87 arithmetic and its fast forms against the host's own x87: every operation, random
 * and special operands, random control words with unmasked exceptions too. On other hosts only the
 * vectors at the end remain.
 */
#include <check.h>
#include <stdio.h>
#include "tests/host.h"
#include "tests/suite.h"
#include "cpu/fpu/fast.h"
#include "cpu/fpu/softfloat.h"
#include "fpu_random.h"

#define SW_C1 0x200u
#define SW_C2 0x400u
#define SW_CC 0x4700u

static struct fp_env env_of(unsigned cw)
{
	static const u8 precision[4] = {24, 64, 53, 64};

	return (struct fp_env){
	    .rc = cw >> 10 & 3, .pc = precision[cw >> 8 & 3], .masks = cw & FPE_ALL};
}

#if defined(__x86_64__)

static u16 rnd_cw(u64 *s)
{
	u64 r = rnd(s);
	unsigned masks = (r >> 32 & 3) ? 0x3f : (unsigned)(r >> 40) & 0x3f;

	return (u16)(0x40 | (r & 0xf00) | masks);
}

/* What an instruction left: status, the register it wrote. */
struct outcome {
	u16 sw;
	struct f80 r, r2;
	u64 mem;
};

#define HOST(insn)                                                                                 \
	__asm__ volatile("fnclex\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\t" insn                \
			 "\n\tfnstsw %%ax\n\tfnclex\n\tfldcw %[dfl]\n\tfstpt %[r0]\n\t"            \
			 "fstpt %[r1]\n\tfninit"                                                   \
			 : "=&a"(o->sw), [r0] "=m"(o->r), [r1] "=m"(o->r2), [m] "+m"(o->mem)       \
			 : [a] "m"(a), [b] "m"(b), [cw] "m"(cw), [dfl] "m"(dfl)                    \
			 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)")

static const u16 dfl = 0x37f;

static void host_arith(enum fp_op op, struct f80 a, struct f80 b, u16 cw, struct outcome *o)
{
	switch (op) { /* ST(0) = ST(0) op ST(1) */
	case FP_ADD: HOST(".byte 0xd8, 0xc1"); break;
	case FP_SUB: HOST(".byte 0xd8, 0xe1"); break;
	case FP_SUBR: HOST(".byte 0xd8, 0xe9"); break;
	case FP_MUL: HOST(".byte 0xd8, 0xc9"); break;
	case FP_DIV: HOST(".byte 0xd8, 0xf1"); break;
	default: HOST(".byte 0xd8, 0xf9"); break;
	}
}

static void host_arith_mem(enum fp_op op, struct f80 a, bool wide, u16 cw, struct outcome *o)
{
	struct f80 b = {0, 0};

	switch ((unsigned)op * 2 + wide) {
	case FP_ADD * 2: HOST("fadds %[m]"); break;
	case FP_ADD * 2 + 1: HOST("faddl %[m]"); break;
	case FP_SUB * 2: HOST("fsubs %[m]"); break;
	case FP_SUB * 2 + 1: HOST("fsubl %[m]"); break;
	case FP_SUBR * 2: HOST("fsubrs %[m]"); break;
	case FP_SUBR * 2 + 1: HOST("fsubrl %[m]"); break;
	case FP_MUL * 2: HOST("fmuls %[m]"); break;
	case FP_MUL * 2 + 1: HOST("fmull %[m]"); break;
	case FP_DIV * 2: HOST("fdivs %[m]"); break;
	case FP_DIV * 2 + 1: HOST("fdivl %[m]"); break;
	case FP_DIVR * 2: HOST("fdivrs %[m]"); break;
	default: HOST("fdivrl %[m]"); break;
	}
}

enum unary { U_SQRT, U_RNDINT, U_SCALE, U_PREM, U_PREM1, U_XTRACT, U_COM, U_UCOM, U_COUNT };

static void host_unary(enum unary op, struct f80 a, struct f80 b, u16 cw, struct outcome *o)
{
	switch (op) {
	case U_SQRT: HOST("fsqrt"); break;
	case U_RNDINT: HOST("frndint"); break;
	case U_SCALE: HOST("fscale"); break;
	case U_PREM: HOST("fprem"); break;
	case U_PREM1: HOST("fprem1"); break;
	case U_XTRACT: HOST("fxtract"); break;
	case U_COM: HOST("fcom %%st(1)"); break;
	default: HOST("fucom %%st(1)"); break;
	}
}

enum narrow { N_F32, N_F64, N_S16, N_S32, N_S64, N_T64, N_BCD, N_COUNT };

static void host_store(enum narrow op, struct f80 a, u16 cw, struct outcome *o)
{
	struct f80 b = {0, 0};

	switch (op) {
	case N_F32: HOST("fsts %[m]"); break;
	case N_F64: HOST("fstl %[m]"); break;
	case N_S16: HOST("fists %[m]"); break;
	case N_S32: HOST("fistl %[m]"); break;
	case N_S64: HOST("fistpll %[m]"); break;
	default: HOST("fisttpll %[m]"); break;
	}
}

static void host_bcd(struct f80 a, u16 cw, struct outcome *o, u8 *bcd)
{
	struct f80 b = {0, 0};
	struct f80 m = {0, 0};

	__asm__ volatile("fnclex\n\tfldt %[b]\n\tfldt %[a]\n\tfldcw %[cw]\n\tfbstp %[m]"
			 "\n\tfnstsw %%ax\n\tfninit"
			 : "=&a"(o->sw), [m] "+m"(m)
			 : [a] "m"(a), [b] "m"(b), [cw] "m"(cw)
			 : "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)");
	memcpy(bcd, &m, 10);
}

static void host_load(bool wide, u16 cw, struct outcome *o)
{
	struct f80 a = {0, 0}, b = a;

	if (wide)
		HOST("fldl %[m]");
	else
		HOST("flds %[m]");
}

static bool same(struct f80 a, struct f80 b)
{
	return a.mant == b.mant && a.se == b.se;
}

static unsigned soft_sw(const struct fp_env *e)
{
	return e->flags | (e->c1 ? SW_C1 : 0);
}

static bool pre_unmasked(unsigned sw, u16 cw)
{
	return sw & ~(unsigned)cw & FPE_PRE;
}

#define SHOW(v) (v).se, (unsigned long long)(v).mant

static void expect(const char *what, unsigned op, struct f80 a, struct f80 b, u16 cw, struct f80 r,
		   unsigned sw, unsigned mask, const struct outcome *o)
{
	bool flags = (sw & mask) == (o->sw & mask);
	bool value = pre_unmasked(o->sw, cw) || same(r, o->r);

	if (!flags || !value)
		fprintf(stderr,
			"%s %u cw=%03x a=%04x:%016llx b=%04x:%016llx: ours %04x:%016llx sw=%04x, "
			"host %04x:%016llx sw=%04x\n",
			what, op, cw, SHOW(a), SHOW(b), SHOW(r), sw & mask, SHOW(o->r),
			o->sw & mask);
	ck_assert(flags);
	ck_assert(value);
}

START_TEST(arithmetic_equals_the_host)
{
	u64 s = (u64)_i + 1;

	for (unsigned long n = cases(300000); n; n--) {
		struct f80 a = rnd_f80(&s), b = rnd_f80(&s), r;
		u16 cw = rnd_cw(&s);
		enum fp_op op = (enum fp_op)_i;
		struct fp_env e = env_of(cw);
		struct fp_num na = fp_from_f80(a), nb = fp_from_f80(b);
		struct outcome o;

		host_arith(op, a, b, cw, &o);
		r = f80_arith(op, &na, &nb, &e);
		expect("arith", op, a, b, cw, r, soft_sw(&e), 0x3f | SW_C1, &o);
	}
}
END_TEST

START_TEST(fast_arithmetic_equals_exact)
{
	u64 s = (u64)_i + 100;
	unsigned long taken = 0, total = cases(300000);

	for (unsigned long n = total; n; n--) {
		struct f80 a = rnd_f80(&s), b = rnd_f80(&s), r, fast;
		u16 cw = rnd_cw(&s), before = rnd(&s) & 0x3f, sw = before;
		enum fp_op op = (enum fp_op)_i;
		struct fp_env e = env_of(cw);
		struct fp_num na = fp_from_f80(a), nb = fp_from_f80(b);
		struct outcome o;

		if (!f80_fast_arith(op, &a, &b, cw, &sw, &fast)) {
			ck_assert_uint_eq(sw, before);
			continue;
		}
		taken++;
		r = f80_arith(op, &na, &nb, &e);
		o.sw = sw;
		o.r = fast;
		expect("fast", op, a, b, cw, r, before | soft_sw(&e), 0x3f | SW_C1, &o);
	}
	ck_assert_uint_gt(taken, total / 4);
}
END_TEST

START_TEST(memory_operands_equal_the_host)
{
	u64 s = (u64)_i + 200;

	for (unsigned long n = cases(150000); n; n--) {
		struct f80 a = rnd_f80(&s), b, r;
		u16 cw = rnd_cw(&s);
		bool wide = n & 1;
		enum fp_op op = (enum fp_op)_i;
		struct fp_env e = env_of(cw);
		struct fp_num na = fp_from_f80(a), nb;
		struct outcome o = {.mem = wide ? rnd_f64(&s) : rnd_f32(&s)};

		nb = wide ? fp_from_f64(o.mem) : fp_from_f32((u32)o.mem);
		b = (struct f80){o.mem, wide};
		host_arith_mem(op, a, wide, cw, &o);
		r = f80_arith(op, &na, &nb, &e);
		expect("arith mem", op, a, b, cw, r, soft_sw(&e), 0x3f | SW_C1, &o);
	}
}
END_TEST

static unsigned compare_cc(int order)
{
	static const u16 cc[4] = {0x100, 0x4000, 0, 0x4500};

	return cc[order + 1];
}

static struct f80 soft_unary(enum unary op, struct f80 a, struct f80 b, struct fp_env *e,
			     unsigned *cc, struct f80 *second)
{
	struct fp_num na = fp_from_f80(a), nb = fp_from_f80(b);
	bool partial = false;
	struct f80 r = a;
	u64 q = 0;

	*second = b;
	switch (op) {
	case U_SQRT: r = f80_sqrt(a, e); break;
	case U_RNDINT: r = f80_round_int(a, e); break;
	case U_SCALE: r = f80_scale(a, b, e); break;
	case U_PREM:
	case U_PREM1: r = f80_rem(a, b, op == U_PREM1, &q, &partial, e); break;
	case U_XTRACT: r = f80_extract(a, second, e); break;
	default: *cc = compare_cc(fp_compare(&na, &nb, op == U_UCOM, e)); break;
	}
	if (op == U_PREM || op == U_PREM1)
		*cc = (partial ? SW_C2 : 0) | (q & 1 ? SW_C1 : 0) | (q & 2 ? 0x4000 : 0) |
		      (q & 4 ? 0x100 : 0);
	return r;
}

START_TEST(other_instructions_equal_the_host)
{
	enum unary op = (enum unary)_i;
	u64 s = (u64)_i + 300;

	for (unsigned long n = cases(200000); n; n--) {
		struct f80 a = rnd_f80(&s), b = rnd_f80(&s), r, second;
		u16 cw = rnd_cw(&s);
		struct fp_env e = env_of(cw);
		unsigned cc = 0, mask = 0x3f | SW_C1;
		struct outcome o;

		if (op == U_SCALE && (n & 3)) /* mostly sensible scales */
			b = f80_from_s64((s64)(rnd(&s) % 100000) - 50000);
		host_unary(op, a, b, cw, &o);
		if (op >= U_SCALE && op <= U_PREM1 && o.sw & ~cw & FPE_UE && !host_is_intel())
			continue; /* AMD takes exact tiny results for underflow when that is not masked */
		r = soft_unary(op, a, b, &e, &cc, &second);
		if (op >= U_PREM && op != U_XTRACT && !pre_unmasked(o.sw, cw))
			mask |= SW_CC;
		expect("unary", op, a, b, cw, r, soft_sw(&e) | cc, mask, &o);
		if (op == U_XTRACT && !pre_unmasked(o.sw, cw))
			ck_assert(same(second, o.r2));
	}
}
END_TEST

START_TEST(fast_comparison_and_root_equal_exact)
{
	u64 s = 400;

	for (unsigned long n = cases(300000); n; n--) {
		struct f80 a = rnd_f80(&s), b = n & 1 ? rnd_f80(&s) : a, r;
		struct fp_num na = fp_from_f80(a), nb;
		u16 cw = rnd_cw(&s), sw = 0;
		struct fp_env e = env_of(cw);
		int order;

		if ((n & 7) == 2)
			b.se ^= 0x8000;
		if ((n & 7) == 4)
			b.mant ^= 1;
		nb = fp_from_f80(b);
		if (f80_fast_compare(a, b, &order)) {
			ck_assert_int_eq(order, fp_compare(&na, &nb, false, &e));
			ck_assert_uint_eq(e.flags, 0);
		}
		if (f80_fast_sqrt(&a, cw, &sw, &r)) {
			ck_assert(same(r, f80_sqrt(a, &e)));
			ck_assert_uint_eq(sw, soft_sw(&e));
		}
	}
}
END_TEST

static u64 soft_store(enum narrow op, struct f80 a, u16 cw, struct fp_env *e, unsigned *size)
{
	static const u8 sizes[] = {4, 8, 2, 4, 8, 8};

	*size = sizes[op];
	if (op == N_T64)
		e->rc = RC_ZERO;
	switch (op) {
	case N_F32: return f80_to_f32(a, e);
	case N_F64: return f80_to_f64(a, e);
	default: return (u64)f80_to_int(a, sizes[op] * 8u, e);
	}
}

static bool fast_store(enum narrow op, struct f80 a, u16 cw, u16 *sw, u64 *r)
{
	s64 i;
	u32 w;

	switch (op) {
	case N_F32:
		if (!f80_fast_to_f32(a, cw, sw, &w))
			return false;
		*r = w;
		return true;
	case N_F64: return f80_fast_to_f64(a, cw, sw, r);
	default:
		if (!f80_fast_to_int(a,
				     op == N_S16   ? 16
				     : op == N_S32 ? 32
						   : 64,
				     op == N_T64 ? cw | 0xc00u : cw, sw, &i))
			return false;
		*r = (u64)i;
		return true;
	}
}

START_TEST(stores_equal_the_host)
{
	enum narrow op = (enum narrow)_i;
	u64 s = (u64)_i + 500;

	for (unsigned long n = cases(300000); n; n--) {
		u16 cw = rnd_cw(&s), fsw = 0;
		struct fp_env e = env_of(cw);
		struct f80 a = rnd_f80(&s);
		struct outcome o = {.mem = 0x1122334455667788ull};
		unsigned size, sw;
		u64 r, fast;

		if ((n & 3) == 1) /* around the range of the target */
			a.se = (u16)((a.se & 0x8000) | (0x3fff + rnd(&s) % 70));
		if ((n & 3) == 2)
			a.se = (u16)((a.se & 0x8000) | (0x3fff - 1100 + rnd(&s) % 110));
		host_store(op, a, cw, &o);
		r = soft_store(op, a, cw, &e, &size);
		sw = soft_sw(&e);
		/* Nothing is stored on an unmasked exception but #P. */
		if (o.sw & ~cw & 0x1f) {
			ck_assert_uint_eq(o.sw & ~cw & 0x1f, sw & ~cw & 0x1f);
			continue;
		}
		if ((sw ^ o.sw) & (0x3f | SW_C1) || memcmp(&r, &o.mem, size))
			fprintf(
			    stderr,
			    "store %d cw=%03x a=%04x:%016llx: ours %llx sw=%x, host %llx sw=%x\n",
			    _i, cw, SHOW(a), (unsigned long long)r, sw, (unsigned long long)o.mem,
			    o.sw & 0x23f);
		ck_assert_uint_eq(sw, o.sw & (0x3f | SW_C1));
		ck_assert_mem_eq(&r, &o.mem, size);
		if (fast_store(op, a, cw, &fsw, &fast)) {
			ck_assert_mem_eq(&fast, &r, size);
			ck_assert_uint_eq(fsw, sw);
		}
	}
}
END_TEST

START_TEST(bcd_stores_equal_the_host)
{
	u64 s = 600;

	for (unsigned long n = cases(100000); n; n--) {
		u16 cw = rnd_cw(&s) | 1;
		struct fp_env e = env_of(cw);
		struct f80 a = rnd_f80(&s);
		u8 ours[10], host[10];
		struct outcome o;

		if (n & 1)
			a.se = (u16)((a.se & 0x8000) | (0x3fff + rnd(&s) % 64));
		host_bcd(a, cw, &o, host);
		f80_to_bcd(a, ours, &e);
		ck_assert_uint_eq(soft_sw(&e), o.sw & (0x3f | SW_C1));
		ck_assert_mem_eq(ours, host, 10);
	}
}
END_TEST

START_TEST(loads_equal_the_host)
{
	u64 s = 700;

	for (unsigned long n = cases(300000); n; n--) {
		bool wide = n & 1, quick;
		struct outcome o = {.mem = wide ? rnd_f64(&s) : rnd_f32(&s)};
		struct f80 in = {o.mem, wide}, r, fast;
		u16 cw = rnd_cw(&s);
		struct fp_env e = env_of(cw);

		host_load(wide, cw, &o);
		r = wide ? f80_from_f64(o.mem, &e) : f80_from_f32((u32)o.mem, &e);
		expect("load", wide, in, in, cw, r, soft_sw(&e), 0x3f | SW_C1, &o);
		quick =
		    wide ? f80_fast_from_f64(o.mem, &fast) : f80_fast_from_f32((u32)o.mem, &fast);
		if (quick) {
			ck_assert(same(fast, r));
			ck_assert_uint_eq(e.flags, 0);
		}
	}
}
END_TEST

#endif

START_TEST(known_results)
{
	struct fp_env e = env_of(0x37f);
	struct fp_num one = fp_from_s64(1), three = fp_from_s64(3);
	struct f80 third = f80_arith(FP_DIV, &one, &three, &e);
	u8 bcd[10] = {0x78, 0x56, 0x34, 0x12, [9] = 0x80};

	ck_assert_uint_eq(third.mant, 0xaaaaaaaaaaaaaaabull);
	ck_assert_uint_eq(third.se, 0x3ffd);
	ck_assert_uint_eq(e.flags, FPE_PE);
	ck_assert(e.c1);
	ck_assert_int_eq(f80_to_int(f80_from_bcd(bcd), 32, &e), -12345678);
	e = env_of(0x37f);
	ck_assert_uint_eq(f80_to_f64(f80_sqrt(f80_from_s64(2), &e), &e), 0x3ff6a09e667f3bcdull);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("x87 arithmetic");
	TCase *tc = tcase_create("x87");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, known_results);
#if defined(__x86_64__)
	tcase_add_loop_test(tc, arithmetic_equals_the_host, FP_ADD, FP_DIVR + 1);
	tcase_add_loop_test(tc, fast_arithmetic_equals_exact, FP_ADD, FP_DIVR + 1);
	tcase_add_loop_test(tc, memory_operands_equal_the_host, FP_ADD, FP_DIVR + 1);
	tcase_add_loop_test(tc, other_instructions_equal_the_host, 0, U_COUNT);
	tcase_add_test(tc, fast_comparison_and_root_equal_exact);
	tcase_add_loop_test(tc, stores_equal_the_host, 0, N_BCD);
	tcase_add_test(tc, bcd_stores_equal_the_host);
	tcase_add_test(tc, loads_equal_the_host);
#endif
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
