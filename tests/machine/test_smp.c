/*
 * Several processors: start-up, turns, what one does to the other, and that all of it repeats to the bit (SDM Vol. 3A,
 * chapter 8). The guest is guest_smp.S.
 */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/suite.h"
#include "devices/pc.h"
#include "cpu/cpu.h"
#include "machine/machine.h"
#include "machine/snapshot_file.h"

extern const u8 smp_guest[], smp_guest_end[];

#define LOAD 0x100000u
enum { PROGRAM = 32, CPUS = 36, DONE = 40, ATOMIC = 44, RACY = 48, ERRORS = 52, ONLINE = 60, SEEN = 128 };
enum program { NOTHING, RACE, PATCHED, IPIS, MONITORED, LONG_WAIT, SPIN, TIMED, LATE_START };

static FILE *log_file;
static u8 *image;

static void setup(void)
{
	log_file = fopen("/dev/null", "w");
	image = malloc((size_t)(smp_guest_end - smp_guest));
}

static void teardown(void)
{
	free(image);
	fclose(log_file);
}

static struct machine *create(enum program p, unsigned cpus)
{
	const size_t n = (size_t)(smp_guest_end - smp_guest);
	struct machine_config cfg;
	struct machine *m;
	struct errtext e;

	memcpy(image, smp_guest, n);
	memcpy(image + PROGRAM, &(u32){p}, 4);
	memcpy(image + CPUS, &cpus, 4);
	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.cpus = cpus;
	cfg.cpu = "max";
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = n;
	cfg.no_reboot = true;
	cfg.log_file = log_file;
	cfg.timeout_ns = 60000000000ull;
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	return m;
}

static u32 word(struct machine *m, unsigned at)
{
	u32 v;
	memcpy(&v, machine_ram(m, LOAD + at, 4), 4);
	return v;
}

static struct machine_result finish(struct machine *m, unsigned cpus)
{
	struct machine_result r;

	machine_run(m);
	machine_result(m, &r);
	ck_assert_msg(r.reason == END_POWER_OFF, "%s %s", end_reason_name(r.reason), r.explanation);
	ck_assert_uint_eq(word(m, ONLINE), cpus);
	ck_assert_uint_eq(word(m, DONE), cpus);
	ck_assert_uint_eq(word(m, ERRORS), 0);
	return r;
}

/* OVMF starts its processors again and again, the last time with other code elsewhere. */
START_TEST(a_start_before_init_is_lost)
{
	struct machine *m = create(LATE_START, 2);
	finish(m, 2);
	machine_destroy(m);
}
END_TEST

START_TEST(all_start)
{
	for (unsigned n = 2; n <= MACHINE_CPUS; n++) {
		struct machine *m = create(NOTHING, n);
		finish(m, n);
		machine_destroy(m);
	}
}
END_TEST

START_TEST(locked_operations_lose_nothing_others_may)
{
	struct machine *m = create(RACE, 4);

	finish(m, 4);
	ck_assert_uint_eq(word(m, ATOMIC), 80000);
	ck_assert_uint_lt(word(m, RACY), 80000);
	ck_assert_uint_ge(word(m, RACY), 20000);
	machine_destroy(m);
}
END_TEST

/* The same run whole, and in slices of odd lengths. */
static void repeats(enum program p, u64 first, u64 step)
{
	struct machine *m[3];
	struct machine_result r[3];

	for (unsigned i = 0; i < 3; i++) {
		m[i] = create(p, 3);
		for (u64 limit = first; i == 2; limit += step) {
			machine_set_limits(m[i], limit, 0);
			if (machine_run(m[i]) != END_MAX_INSNS)
				break;
		}
		if (i < 2)
			machine_run(m[i]);
		machine_result(m[i], &r[i]);
		ck_assert_int_eq(r[i].reason, END_POWER_OFF);
		ck_assert_uint_eq(word(m[i], RACY), word(m[0], RACY));
		ck_assert_uint_eq(r[i].instructions, r[0].instructions);
		ck_assert_uint_eq(machine_state_hash(m[i]), machine_state_hash(m[0]));
	}
	for (unsigned i = 0; i < 3; i++)
		machine_destroy(m[i]);
}

START_TEST(a_race_repeats_to_the_bit)
{
	repeats(RACE, 7001, 13007);
	repeats(TIMED, 71, 37);
}
END_TEST

START_TEST(code_written_by_another_is_seen)
{
	struct machine *m = create(PATCHED, 3);

	finish(m, 3);
	ck_assert_uint_eq(word(m, ATOMIC), 400);
	machine_destroy(m);
}
END_TEST

START_TEST(interrupts_between_processors)
{
	struct machine *m = create(IPIS, 4);

	finish(m, 4);
	for (unsigned i = 1; i < 4; i++)
		ck_assert_uint_eq(word(m, SEEN + 4 * i), 100);
	machine_destroy(m);
}
END_TEST

/* Each store wakes each waiting processor; they do not run in between, or only to be woken for nothing now and then. */
START_TEST(mwait_ends_with_the_store)
{
	struct machine *m = create(MONITORED, 3);
	struct machine_result r = finish(m, 3);

	ck_assert_uint_eq(word(m, ATOMIC), 200);
	ck_assert_uint_ge(word(m, RACY), 190);
	ck_assert_uint_le(word(m, RACY), 210);
	ck_assert_uint_lt(r.instructions, 100 * 100000 + 100000);
	machine_destroy(m);
}
END_TEST

/* Twenty naps of 100 us of one, for which the others wait, and one of all: who waits runs no instruction, but time passes. */
START_TEST(timed_waits_cost_nothing)
{
	struct machine *m = create(TIMED, 3);
	struct machine_result r = finish(m, 3);

	ck_assert_uint_eq(word(m, ATOMIC), 40);
	ck_assert_uint_ge(word(m, RACY), 38);
	ck_assert_uint_le(word(m, RACY), 45);
	ck_assert_uint_lt(r.instructions, 5000);
	ck_assert_uint_ge(machine_virtual_ns(m), 2100000);
	ck_assert_uint_le(machine_virtual_ns(m), 2300000);
	machine_destroy(m);
}
END_TEST

/* Saved while one naps and the others wait, and read into another machine: both go on alike. */
START_TEST(timed_waits_are_saved)
{
	char path[] = "/tmp/orrery-smp-XXXXXX";
	struct machine *m = create(TIMED, 3), *n = create(TIMED, 3);
	struct machine_result a, b;
	struct errtext e;
	unsigned waiting = 0;
	u64 at = 0;

	close(mkstemp(path));
	for (u64 i = 200; waiting < 3; i += 3) { /* processor 0 is in its nap, the others in UMWAIT */
		machine_set_limits(m, i, 0);
		ck_assert_int_eq(machine_run(m), END_MAX_INSNS);
		waiting = (machine_cpu(m, 0)->activity == CPU_TPAUSE) + (machine_cpu(m, 1)->activity == CPU_UMWAIT) +
			  (machine_cpu(m, 2)->activity == CPU_UMWAIT);
		at = machine_virtual_ns(m);
	}
	ck_assert_msg(!machine_save(m, path, NULL, NULL, &e), "%s", e.s);
	ck_assert_msg(!machine_load(n, path, &e), "%s", e.s);
	unlink(path);
	ck_assert_uint_eq(machine_state_hash(n), machine_state_hash(m));
	ck_assert_uint_eq(machine_virtual_ns(n), at);
	machine_set_limits(m, 0, 0);
	machine_set_limits(n, 0, 0);
	a = finish(m, 3);
	b = finish(n, 3);
	ck_assert_uint_eq(a.instructions, b.instructions);
	ck_assert_uint_eq(machine_state_hash(n), machine_state_hash(m));
	machine_destroy(m);
	machine_destroy(n);
}
END_TEST

/* One of them needs a million instructions. */
START_TEST(who_waits_with_pause_costs_little)
{
	struct machine *m = create(LONG_WAIT, 4);

	ck_assert_uint_lt(finish(m, 4).instructions, 1020000);
	machine_destroy(m);
	m = create(SPIN, 2); /* while this is shared evenly */
	u64 n = finish(m, 2).instructions;
	ck_assert_uint_gt(n, 1900000);
	ck_assert_uint_lt(n, 2100000);
	machine_destroy(m);
}
END_TEST

START_TEST(a_reset_stops_the_others)
{
	struct machine *m = create(LONG_WAIT, 2);

	machine_set_limits(m, 500000, 0);
	ck_assert_int_eq(machine_run(m), END_MAX_INSNS);
	ck_assert_int_eq(machine_cpu(m, 1)->activity, CPU_ACTIVE);
	bus_io_write(machine_pc(m)->env.bus, 0xcf9, 6, 1);
	machine_set_limits(m, 500010, 0);
	machine_run(m);
	struct machine_result r;
	machine_result(m, &r);
	ck_assert_int_eq(r.reason, END_RESET);
	machine_destroy(m);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    all_start, a_start_before_init_is_lost,
	    locked_operations_lose_nothing_others_may,
	    a_race_repeats_to_the_bit,
	    code_written_by_another_is_seen,
	    interrupts_between_processors,
	    mwait_ends_with_the_store,
	    timed_waits_cost_nothing,
	    timed_waits_are_saved,
	    who_waits_with_pause_costs_little,
	    a_reset_stops_the_others,
	};
	Suite *s = suite_create("smp");
	TCase *c = tcase_create("smp");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 60);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return run_suite(s);
}
