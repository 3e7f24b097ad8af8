/*
 * Two processors in one process, their slices interleaved, do not disturb each other; and what is
 * run twice comes out twice the same: nothing is kept outside struct cpu.
 */
#include "guest.h"

GUEST(two_sums);
GUEST(two_flags);

#define TOTAL 200000

static struct box *sums(unsigned seed)
{
	struct box *b = guest_long(0);

	LOAD(b, CODE, two_sums);
	b->cpu.r[RAX] = seed;
	b->cpu.mxcsr = seed & 1 ? 0x1f80 : 0x7f80; /* round to nearest, towards 0 */
	x87_set_valid(&b->cpu.x87, 0);
	x87_set_cw(&b->cpu.x87, seed & 1 ? 0x37f : 0xf7f);
	cpu_mode_changed(&b->cpu);
	return b;
}

static struct box *flags(unsigned seed)
{
	struct box *b = guest_flat32(0);

	LOAD(b, CODE, two_flags);
	b->cpu.r[RAX] = seed;
	return b;
}

static u64 result(struct box *b)
{
	u64 h = state_hash(b);

	HASH_STEP(h, memory_hash(b, SMALL, SMALL + 0x20000));
	HASH_STEP(h, cpu_icount(&b->cpu));
	return h;
}

static u64 alone(struct box *(*make)(unsigned), unsigned seed)
{
	struct box *b = make(seed);
	u64 h;

	ck_assert_int_eq(cpu_run(&b->cpu, TOTAL), CPU_EXIT_BUDGET);
	h = result(b);
	box_free(b);
	return h;
}

static void together(struct box *(*make_a)(unsigned), struct box *(*make_b)(unsigned), u64 seed)
{
	struct box *a = make_a(1), *b = make_b(2);
	u64 left_a = TOTAL, left_b = TOTAL;

	while (left_a || left_b) {
		u64 r = random64(&seed), n = 1 + (r >> 8) % 500;
		bool first = left_a && (!left_b || (r & 1));
		struct box *x = first ? a : b;
		u64 *left = first ? &left_a : &left_b;
		n = MIN(n, *left);
		ck_assert_int_eq(cpu_run(&x->cpu, n), CPU_EXIT_BUDGET);
		*left -= n;
	}
	ck_assert_uint_eq(result(a), alone(make_a, 1));
	ck_assert_uint_eq(result(b), alone(make_b, 2));
	box_free(a);
	box_free(b);
}

START_TEST(the_same_twice)
{
	ck_assert_uint_eq(alone(sums, 5), alone(sums, 5));
	ck_assert_uint_eq(alone(flags, 5), alone(flags, 5));
	ck_assert_uint_ne(alone(sums, 5), alone(sums, 6));
	ck_assert_uint_ne(alone(flags, 5), alone(flags, 6));
}
END_TEST

START_TEST(two_of_a_kind)
{
	together(sums, sums, 0x1111);
	together(flags, flags, 0x2222);
}
END_TEST

START_TEST(two_different_modes)
{
	together(sums, flags, 0x3333);
	together(flags, sums, 0x4444);
}
END_TEST

/* One is destroyed, halted, faulting, reset while the other runs on. */
START_TEST(neighbours_come_and_go)
{
	struct box *a = sums(1);
	u64 left = TOTAL, seed = 0x5555;

	while (left) {
		u64 n = 1 + random64(&seed) % 5000;
		struct box *other = random64(&seed) & 1 ? sums(9) : flags(9);
		n = MIN(n, left);
		if (random64(&seed) % 3 == 0)
			other->cpu.idtr.limit = 0;
		if (random64(&seed) % 3 == 0)
			other->cpu.rip = BOX_MMIO;
		if (random64(&seed) % 3 == 0)
			cpu_event_set(&other->cpu, CPU_EV_INIT | CPU_EV_NMI);
		cpu_run(&other->cpu, 100);
		ck_assert_int_eq(cpu_run(&a->cpu, n), CPU_EXIT_BUDGET);
		cpu_run(&other->cpu, 100);
		box_free(other);
		left -= n;
	}
	ck_assert_uint_eq(result(a), alone(sums, 1));
	box_free(a);
}
END_TEST

/* The host's own floating-point mode is as it was when cpu_run() returns. */
START_TEST(host_rounding_is_given_back)
{
	volatile double one = 1, three = 3;
	double before = one / three;
	struct box *b = sums(2);

	cpu_run(&b->cpu, TOTAL);
	ck_assert(one / three == before);
	ck_assert_uint_eq(__builtin_ia32_stmxcsr() & 0xff80, 0x1f80);
	box_free(b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    the_same_twice,
	    two_of_a_kind,
	    two_different_modes,
	    neighbours_come_and_go,
	    host_rounding_is_given_back,
	};
	return run_cases("two processors", tests, ARRAY_SIZE(tests));
}
