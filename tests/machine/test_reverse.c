/*
 * Snapshots in files and going back in time: a machine that was saved, or put back, goes on exactly as one that was not. The
 * guest is the demonstration, or what ORRERY_TEST_KERNEL (and _INITRD) name, for longer runs by hand and in tests/long.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/suite.h"
#include "base/host.h"
#include "cpu/cpu.h"
#include "machine/demo/demo.h"
#include "machine/record.h"
#include "machine/reverse.h"
#include "machine/snapshot_file.h"

#define MILLION 1000000ull

static FILE *log_file;
static char path[64];
static u64 scale = MILLION; /* instructions of one "million" of the tests */

static void setup(void)
{
	log_file = fopen("/dev/null", "w");
	snprintf(path, sizeof(path), "/tmp/orrery-snapshot-%d", getpid());
	if (getenv("ORRERY_TEST_SCALE"))
		scale = strtoull(getenv("ORRERY_TEST_SCALE"), NULL, 0);
}

static void teardown(void)
{
	unlink(path);
	fclose(log_file);
}

static struct machine *create(unsigned cpus)
{
	struct machine_config cfg;
	struct machine *m;
	struct errtext e;
	machine_config_init(&cfg);
	cfg.ram_bytes = 64 << 20;
	cfg.cpus = cpus;
	cfg.log_file = log_file;
	cfg.kernel = getenv("ORRERY_TEST_KERNEL");
	cfg.initrd = getenv("ORRERY_TEST_INITRD");
	if (cfg.kernel) {
		cfg.append = "console=ttyS0";
		cfg.ram_bytes = 256 << 20;
	} else {
		cfg.embedded_kernel = demo_image(&cfg.embedded_kernel_bytes);
		cfg.embedded_name = "demo";
	}
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	return m;
}

static u64 run_to(struct machine *m, u64 icount)
{
	machine_set_limits(m, icount, 0);
	ck_assert_int_eq(machine_run(m), END_MAX_INSNS);
	ck_assert_uint_eq(machine_position(m), icount);
	return machine_state_hash(m);
}

START_TEST(run_save_run_is_restore_run)
{
	struct machine *m = create(_i ? 2 : 1), *n;
	struct errtext e;
	static const unsigned at[] = {1, 7, 30};
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		run_to(m, at[i] * scale + 12345);
		ck_assert_msg(!machine_save(m, path, NULL, NULL, &e), "%s", e.s);
		u64 then = machine_state_hash(m), later = run_to(m, at[i] * scale + 4 * scale);
		n = create(_i ? 2 : 1);
		ck_assert_msg(!machine_load(n, path, &e), "%s", e.s);
		ck_assert_uint_eq(machine_state_hash(n), then);
		ck_assert_uint_eq(run_to(n, at[i] * scale + 4 * scale), later);
		/* Into a machine that has run, too. */
		ck_assert_msg(!machine_load(n, path, &e), "%s", e.s);
		ck_assert_uint_eq(machine_state_hash(n), then);
		ck_assert_uint_eq(run_to(n, at[i] * scale + 4 * scale), later);
		machine_destroy(n);
	}
	machine_destroy(m);
}
END_TEST

START_TEST(save_load_save_is_the_same_file)
{
	struct machine *m = create(1), *n = create(1);
	struct errtext e;
	u8 *a, *b;
	u64 a_n, b_n;
	run_to(m, 5 * scale);
	ck_assert(!machine_save(m, path, NULL, NULL, &e));
	ck_assert(!host_file_read(path, 1 << 30, &a, &a_n));
	ck_assert(!machine_load(n, path, &e));
	ck_assert(!machine_save(n, path, NULL, NULL, &e));
	ck_assert(!host_file_read(path, 1 << 30, &b, &b_n));
	ck_assert_uint_eq(a_n, b_n);
	ck_assert(!memcmp(a, b, a_n));
	free(a);
	free(b);
	machine_destroy(m);
	machine_destroy(n);
}
END_TEST

/* Every block, and every byte of a good sample: nothing half loaded, and the message says why. */
START_TEST(damaged_files_are_refused)
{
	struct machine *m = create(1), *n = create(1);
	struct errtext e;
	u8 *a;
	u64 bytes;
	run_to(m, 5 * scale);
	ck_assert(!machine_save(m, path, NULL, NULL, &e));
	ck_assert(!host_file_read(path, 1 << 30, &a, &bytes));
	u64 before = run_to(n, scale);
	for (u64 i = 0; i < bytes; i += i < 200 ? 1 : bytes / 40 + 1) {
		a[i] ^= 0x10;
		ck_assert_int_eq(machine_load_bytes(n, a, bytes, false, &e), -ENOEXEC);
		ck_assert(e.s[0]);
		a[i] ^= 0x10;
		ck_assert_int_eq(machine_load_bytes(n, a, i, false, &e), -ENOEXEC);
	}
	ck_assert_uint_eq(machine_state_hash(n), before);
	ck_assert(!machine_load_bytes(n, a, bytes, false, &e));
	ck_assert_int_eq(machine_load_bytes(n, (const u8 *)"ORRYSNOP", 8, false, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.s, "is not a snapshot"));
	free(a);
	machine_destroy(n);
	n = create(2);
	ck_assert_int_eq(machine_load(n, path, &e), -ENXIO);
	ck_assert_msg(strstr(e.s, "processors = 1") && strstr(e.s, "processors = 2"), "%s", e.s);
	machine_destroy(n);
	machine_destroy(m);
}
END_TEST

START_TEST(a_replay_repeats_and_names_what_differs)
{
	struct machine *m = create(1), *n;
	struct replay_result res;
	struct errtext e;
	ck_assert_msg(!machine_record(m, path, scale, &e), "%s", e.s);
	run_to(m, 3 * scale);
	ck_assert(machine_send_key(m, 0x1e, true));
	run_to(m, 7 * scale);
	ck_assert(machine_send_key(m, 0x1e, false));
	u64 end = run_to(m, 12 * scale);
	ck_assert_msg(!machine_record_end(m, &e), "%s", e.s);
	machine_destroy(m);
	for (int disturb = 0; disturb < 2; disturb++) {
		n = create(1);
		ck_assert_msg(!machine_replay(n, path, &e), "%s", e.s);
		if (disturb) {
			run_to(n, 4 * scale + 10);
			machine_ram(n, 0x3333000, 1)[0] ^= 1; /* where nobody else writes */
			machine_cpu(n, 0)->dr[0] = 1;
			machine_set_limits(n, 0, 0);
		}
		ck_assert_int_eq(machine_run(n), END_QUIT);
		ck_assert(machine_replay_result(n, &res));
		ck_assert_msg(res.differs == disturb, "%s", res.difference);
		if (disturb) {
			ck_assert_msg(strstr(res.difference, "field cpu0.dr") && strstr(res.difference, "3333000h"), "%s",
				      res.difference);
		} else {
			ck_assert(res.ended);
			ck_assert_uint_eq(res.events, 3);
			ck_assert_uint_eq(machine_state_hash(n), end);
		}
		machine_destroy(n);
	}
}
END_TEST

START_TEST(there_and_back)
{
	struct machine *m = create(_i ? 2 : 1);
	const struct reverse_options o = {.interval = 2 * scale};
	struct reverse_state s;
	struct errtext e;
	u64 hash[12], now;
	ck_assert_msg(!machine_reverse_begin(m, &o, &e), "%s", e.s);
	for (unsigned i = 1; i < ARRAY_SIZE(hash); i++) {
		hash[i] = run_to(m, i * scale + 77 * i);
		ck_assert(machine_send_key(m, 0x1e, i & 1));
	}
	now = machine_state_hash(m);
	for (unsigned k = 0; k < 20; k++) {
		unsigned i = k < 10 ? 10 - k : (k * 7) % 10 + 1;
		ck_assert_msg(!machine_goto(m, i * scale + 77 * i, &e), "%s", e.s);
		machine_reverse_state(m, &s);
		ck_assert(s.past);
		ck_assert_uint_eq(s.now, i * scale + 77 * i);
		ck_assert_msg(machine_state_hash(m) == hash[i], "at %u", i);
	}
	ck_assert_int_eq(machine_goto(m, 100 * scale, &e), -ERANGE);
	ck_assert(!machine_goto(m, s.newest, &e));
	machine_reverse_state(m, &s);
	ck_assert(!s.past);
	ck_assert_uint_eq(machine_state_hash(m), now);
	run_to(m, 20 * scale); /* and it lives on */
	machine_destroy(m);
}
END_TEST

/* The last write to a word of the guest's stack or data, whatever it is: before it the word is another, one step later it is not. */
START_TEST(who_wrote)
{
	struct machine *m = create(1);
	const struct reverse_options o = {.interval = 2 * scale};
	struct errtext e;
	unsigned cpu;
	bool device;
	u64 at, before, after;
	ck_assert_msg(!machine_reverse_begin(m, &o, &e), "%s", e.s);
	run_to(m, 9 * scale);
	const u64 probe = 0x100000;
	u64 gpa = 0;
	/* A word that changed during the last stretch. */
	u8 *old = malloc(8 << 20);
	ck_assert(!machine_goto(m, 5 * scale, &e));
	memcpy(old, machine_ram(m, probe, 8 << 20), 8 << 20);
	ck_assert(!machine_goto(m, 9 * scale, &e));
	for (u64 i = 0; i < 8 << 20 && !gpa; i += 8)
		if (memcmp(old + i, machine_ram(m, probe + i, 8), 8))
			gpa = probe + i;
	ck_assert(gpa);
	memcpy(&after, machine_ram(m, gpa, 8), 8);
	ck_assert_msg(!machine_last_write(m, gpa, 8, &at, &cpu, &device, &e), "%s", e.s);
	ck_assert_uint_lt(at, 9 * scale);
	ck_assert_uint_eq(machine_position(m), at);
	ck_assert(!device);
	ck_assert(!machine_goto(m, at + 1, &e));
	memcpy(&before, machine_ram(m, gpa, 8), 8);
	ck_assert_uint_eq(before, after);
	const u64 after_at = machine_position(m);
	/* Never written: said so, and the machine stands where it stood. */
	if (!getenv("ORRERY_TEST_KERNEL")) {
		ck_assert_int_eq(machine_last_write(m, 0x3f00000, 8, &at, &cpu, &device, &e), -ENOENT);
		ck_assert_uint_eq(machine_position(m), after_at);
	}
	free(old);
	machine_destroy(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("reverse");
	TCase *t = tcase_create("snapshots");
	suite_add_tcase(s, t);
	tcase_set_timeout(t, 300);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, run_save_run_is_restore_run, 0, 2);
	tcase_add_test(t, save_load_save_is_the_same_file);
	tcase_add_test(t, damaged_files_are_refused);
	tcase_add_test(t, a_replay_repeats_and_names_what_differs);
	tcase_add_loop_test(t, there_and_back, 0, 2);
	tcase_add_test(t, who_wrote);
	return run_suite(s);
}
