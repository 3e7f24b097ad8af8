/* Whole machines running tiny guests: how they end, that limits are exact, that equal runs are
 * equal. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "base/host.h"
#include "devices/backends/chardev.h"
#include "machine/machine.h"

#define LOAD   0x100000u
#define HEADER 32u

static u8 image[4096];
static struct errtext e;
static FILE *log_file;

/* A flat Multiboot image whose code starts behind the header. */
static struct machine_config guest(const u8 *code, size_t n)
{
	const u32 header[8] = {0x1badb002, 0x10000,      -(0x1badb002u + 0x10000u), LOAD, LOAD, 0,
			       0,          LOAD + HEADER};
	struct machine_config cfg;
	memset(image, 0, sizeof(image));
	memcpy(image, header, sizeof(header));
	memcpy(image + HEADER, code, n);
	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	cfg.no_reboot = true;
	cfg.log_file = log_file;
	cfg.timeout_ns = 20000000000ull;
	return cfg;
}
#define GUEST(...) guest((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static struct machine *create(const struct machine_config *cfg)
{
	struct machine *m;
	ck_assert_msg(!machine_create(cfg, &m, &e), "%s", e.s);
	return m;
}

static enum end_reason end_of(const struct machine_config *cfg, struct machine_result *r)
{
	struct machine *m = create(cfg);
	machine_run(m);
	machine_result(m, r);
	machine_destroy(m);
	return r->reason;
}

static void setup(void)
{
	log_file = fopen("/dev/null", "w");
}

static void teardown(void)
{
	fclose(log_file);
}

/* mov dx, port; mov ax, value; out dx, ax */
#define OUTW(port, value)                                                                          \
	0x66, 0xba, (port)&255, (port) >> 8, 0x66, 0xb8, (value)&255, (value) >> 8, 0x66, 0xef
#define LOOP 0xeb, 0xfe

START_TEST(acpi_power_off_ends)
{
	struct machine_config cfg = GUEST(OUTW(0x604, 0x2000), LOOP);
	struct machine_result r;
	ck_assert_int_eq(end_of(&cfg, &r), END_POWER_OFF);
	ck_assert_uint_eq(r.instructions, 3);
}
END_TEST

START_TEST(debug_exit_gives_the_guests_code)
{
	struct machine_config cfg =
	    GUEST(0xb0, 0x2a, 0xe6, 0xf4, LOOP); /* mov al, 42; out 0xf4, al */
	struct machine_result r;
	cfg.device[0] = "isa-debug-exit,iobase=0xf4,iosize=4";
	ck_assert_int_eq(end_of(&cfg, &r), END_DEBUG_EXIT);
	ck_assert_uint_eq(r.debug_code, 42);
}
END_TEST

/* mov ecx, 1000; pause; loop: PAUSE takes 70 ns besides its 1, the port 200; limits stay exact. */
START_TEST(pause_lets_time_pass)
{
	struct machine_config cfg = GUEST(0xb9, 0xe8, 3, 0, 0, 0xf3, 0x90, 0xe2, 0xfc, OUTW(0x604, 0x2000), LOOP);
	struct machine_result r;
	ck_assert_int_eq(end_of(&cfg, &r), END_POWER_OFF);
	ck_assert_uint_eq(r.instructions, 2004);
	ck_assert_uint_eq(r.virtual_ns, 2004 + 1000 * 70 + 200);
	for (u64 n = 1; n < 2000; n += 37) {
		cfg.max_insns = n;
		ck_assert_int_eq(end_of(&cfg, &r), END_MAX_INSNS);
		ck_assert_uint_eq(r.instructions, n);
		ck_assert_uint_eq(r.virtual_ns, n + n / 2 * 70);
	}
}
END_TEST

START_TEST(reset_register_ends_under_no_reboot)
{
	struct machine_config cfg = GUEST(OUTW(0xcf9, 0x0606), LOOP);
	struct machine_result r;
	cfg.device[0] = NULL;
	image[HEADER + 8] = 0xee; /* out dx, al: one byte */
	image[HEADER + 9] = 0x90;
	ck_assert_int_eq(end_of(&cfg, &r), END_RESET);
}
END_TEST

START_TEST(a_reset_starts_the_guest_again)
{
	struct machine_config cfg = GUEST(0x66, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, LOOP);
	struct machine_result r;
	cfg.no_reboot = false;
	cfg.max_insns = 100;
	ck_assert_int_eq(end_of(&cfg, &r), END_MAX_INSNS);
	ck_assert_uint_eq(r.instructions, 100);
}
END_TEST

START_TEST(triple_fault_is_explained)
{
	struct machine_config cfg = GUEST(0x0f, 0x0b); /* ud2, with real mode's IDT */
	struct machine_result r;
	ck_assert_int_eq(end_of(&cfg, &r), END_TRIPLE_FAULT);
	ck_assert_ptr_nonnull(strstr(r.explanation, "#UD"));
	ck_assert_ptr_nonnull(strstr(r.explanation, "#GP"));
	ck_assert_ptr_nonnull(strstr(r.explanation, "0010:100020"));
}
END_TEST

START_TEST(hlt_with_interrupts_off_is_a_hang)
{
	struct machine_config cfg = GUEST(0xfa, 0xf4); /* cli; hlt */
	struct machine_result r;
	ck_assert_int_eq(end_of(&cfg, &r), END_HANG);
	ck_assert_ptr_nonnull(strstr(r.explanation, "IF = 0"));
	ck_assert_uint_eq(r.instructions, 2);
}
END_TEST

START_TEST(sleep_without_an_alarm_clock_is_a_hang)
{
	struct machine_config cfg = GUEST(OUTW(0x604, 0x2400), LOOP);
	struct machine_result r;
	ck_assert_int_eq(end_of(&cfg, &r), END_HANG);
	ck_assert_ptr_nonnull(strstr(r.explanation, "S3"));
	ck_assert_uint_eq(r.instructions, 3);
}
END_TEST

#define CMOS(reg, value) 0xb0, (reg), 0xe6, 0x70, 0xb0, (value), 0xe6, 0x71
#define POKE(at, b0, b1, b2, b3)                                                                   \
	0xc7, 0x05, (at)&255, (at) >> 8 & 255, (at) >> 16, 0, (b0), (b1), (b2), (b3)

/* The vector in the FACS is entered in real mode; RAM is as it was. */
START_TEST(the_rtc_ends_sleep)
{
	struct machine_config cfg = GUEST(
	    POKE(0xf004c, 0x34, 0x12, 0, 0), /* firmware waking vector */
	    POKE(0x1234, 0xa0, 0x38, 0x12, 0xe6), POKE(0x1238, 0xf4, 0xf4, 0, 0),
	    CMOS(1, 0xc0), CMOS(3, 0xc0), CMOS(5, 0xc0), CMOS(0xb, 0x22), OUTW(0x602, 0x400),
	    OUTW(0x604, 0x2400), LOOP); /* there: mov al, [1238h]; out 0xf4, al; hlt */
	struct machine_result r;
	cfg.device[0] = "isa-debug-exit,iobase=0xf4,iosize=4";
	ck_assert_int_eq(end_of(&cfg, &r), END_DEBUG_EXIT);
	ck_assert_uint_eq(r.debug_code, 0xf4);
	ck_assert_uint_le(r.virtual_ns, 1001000000);
	ck_assert_uint_le(r.instructions, 60);
}
END_TEST

START_TEST(instruction_limit_is_exact)
{
	struct machine_config cfg = GUEST(0x40, 0xeb, 0xfd); /* 1: inc eax; jmp 1b */
	struct machine_result r;
	cfg.max_insns = 1000 + (u64)_i * 1234567;
	ck_assert_int_eq(end_of(&cfg, &r), END_MAX_INSNS);
	ck_assert_uint_eq(r.instructions, cfg.max_insns);
	ck_assert_uint_eq(r.virtual_ns, cfg.max_insns);
}
END_TEST

START_TEST(time_limit_ends_an_endless_loop)
{
	struct machine_config cfg = GUEST(LOOP);
	struct machine_result r;
	cfg.timeout_ns = 50000000;
	ck_assert_int_eq(end_of(&cfg, &r), END_TIMEOUT);
	ck_assert_uint_ge(r.real_ns, 50000000);
}
END_TEST

/* The firmware's tick wakes a halted processor: idt gate 8 -> handler; sti; hlt; then power off. */
START_TEST(halted_time_is_skipped_to_the_timer)
{
	static const u8 code[] = {
	    0x0f,
	    0x01,
	    0x1d,
	    0x60,
	    0x00,
	    0x10,
	    0x00, /* lidt [100060h] */
	    0xbc,
	    0x00,
	    0x10,
	    0x10,
	    0x00,
	    0xfb,
	    0xf4, /* mov esp, 101000h; sti; hlt */
	    OUTW(0x604, 0x2000),
	    LOOP,
	};
	struct machine_config cfg = guest(code, sizeof(code));
	static const u8 idtr[] = {0x7f, 0x00, 0x00, 0x01, 0x10, 0x00}; /* limit 7Fh, base 100100h */
	static const u8 gate[] = {0xa0, 0x00, 0x10, 0x00, 0x00, 0x8e, 0x10, 0x00}; /* 10h:1000A0h */
	struct machine_result r;
	memcpy(image + 0x60, idtr, sizeof(idtr));
	memcpy(image + 0x100 + 8 * 8, gate, sizeof(gate));
	image[0xa0] = 0xcf; /* iret */
	ck_assert_int_eq(end_of(&cfg, &r), END_POWER_OFF);
	ck_assert_msg(r.virtual_ns > 54000000 && r.virtual_ns < 56000000, "%llu ns",
		      (unsigned long long)r.virtual_ns);
}
END_TEST

START_TEST(serial_output_reaches_its_backend)
{
	/* mov dx, 3f8h; mov al, 'h'; out; mov al, 'i'; out; power off */
	struct machine_config cfg =
	    GUEST(0x66, 0xba, 0xf8, 0x03, 0xb0, 'h', 0xee, 0xb9, 0x00, 0x00, 0x10, 0x00, 0xe2, 0xfe,
		  0xb0, 'i', 0xee, OUTW(0x604, 0x2000), LOOP);
	struct machine *m;
	size_t n;
	cfg.serial[0] = "memory";
	m = create(&cfg);
	ck_assert_int_eq(machine_run(m), END_POWER_OFF);
	const u8 *text = chardev_memory_output(machine_serial(m, 0), &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_mem_eq(text, "hi", 2);
	machine_destroy(m);
}
END_TEST

/* Two machines side by side in one process, slice by slice, equal one that ran alone. */
START_TEST(two_machines_do_not_know_of_each_other)
{
	struct machine_config cfg = GUEST(0x40, 0xa3, 0x00, 0x00, 0x20, 0x00, 0xeb, 0xf8);
	struct machine *a = create(&cfg), *b = create(&cfg), *alone = create(&cfg);
	for (u64 n = 1000; n <= 50000; n += 1000) {
		machine_set_limits(a, n, 0);
		machine_set_limits(b, n, 0);
		machine_run(a);
		machine_run(b);
	}
	machine_set_limits(alone, 50000, 0);
	machine_run(alone);
	ck_assert_uint_eq(machine_state_hash(a), machine_state_hash(alone));
	ck_assert_uint_eq(machine_state_hash(b), machine_state_hash(alone));
	machine_set_limits(b, 50001, 0);
	machine_run(b);
	ck_assert_uint_ne(machine_state_hash(b), machine_state_hash(alone));
	machine_destroy(a);
	machine_destroy(b);
	machine_destroy(alone);
}
END_TEST

START_TEST(configurations_are_refused_with_a_reason)
{
	static const struct {
		const char *device, *set, *cpu, *words;
	} row[] = {
	    {"no-such-device", NULL, NULL, "no-such-device"},
	    {"isa-debug-exit,iobsae=1", NULL, NULL, "iobase"},
	    {NULL, "nobody.x=1", NULL, "nobody"},
	    {NULL, NULL, "skylake,+nothing", "nothing"},
	};
	struct machine_config cfg = GUEST(LOOP);
	struct machine *m;
	cfg.device[0] = row[_i].device;
	cfg.set[0] = row[_i].set;
	cfg.cpu = row[_i].cpu;
	ck_assert_int_eq(machine_create(&cfg, &m, &e), -EINVAL);
	ck_assert_ptr_null(m);
	ck_assert_msg(strstr(e.s, row[_i].words) != NULL, "said \"%s\"", e.s);
}
END_TEST

START_TEST(missing_files_are_named)
{
	struct machine_config cfg;
	struct machine *m;
	machine_config_init(&cfg);
	cfg.kernel = "/nonexistent/kernel";
	ck_assert_int_eq(machine_create(&cfg, &m, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.s, "could not open kernel '/nonexistent/kernel'"));
	cfg.kernel = NULL;
	ck_assert_int_eq(machine_create(&cfg, &m, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.s, "nothing to boot"));
}
END_TEST

/* ---- other threads ---- */

static void run_thread(void *m)
{
	machine_run(m);
}

struct seen {
	struct machine *m;
	u64 thread, icount;
	unsigned calls;
};

static void look(void *ctx)
{
	struct seen *s = ctx;
	s->thread = host_thread_self();
	struct machine_result r;
	machine_result(s->m, &r);
	s->icount = r.instructions;
	s->calls++;
}

START_TEST(calls_run_on_the_machines_thread_between_slices)
{
	struct machine_config cfg = GUEST(LOOP);
	struct machine *m = create(&cfg);
	struct seen s = {.m = m};
	machine_call(m, look, &s); /* does not run yet: here */
	ck_assert_uint_eq(s.thread, host_thread_self());
	struct host_thread *t = host_thread_start(run_thread, m);
	ck_assert_ptr_nonnull(t);
	struct machine_stats st = {0};
	while (!st.running || !st.instructions)
		machine_stats(m, &st);
	u64 last = 0;
	for (unsigned i = 0; i < 200; i++) {
		machine_call(m, look, &s);
		ck_assert_uint_ne(s.thread, host_thread_self());
		ck_assert_uint_ge(s.icount, last);
		last = s.icount;
	}
	ck_assert_uint_eq(s.calls, 201);
	ck_assert_str_eq(st.mode, "protected");
	machine_quit(m);
	host_thread_join(t);
	machine_call(m, look, &s);
	ck_assert_uint_eq(s.thread, host_thread_self());
	machine_destroy(m);
}
END_TEST

START_TEST(paused_machines_stand_still_and_still_answer)
{
	struct machine_config cfg = GUEST(LOOP);
	struct machine *m = create(&cfg);
	struct seen a = {.m = m}, b = {.m = m};
	struct host_thread *t = host_thread_start(run_thread, m);
	struct machine_stats st = {0};
	while (!st.instructions)
		machine_stats(m, &st);
	machine_pause(m);
	machine_call(m, look, &a);
	u64 until = host_monotonic_ns() + 20000000;
	while (host_monotonic_ns() < until)
		machine_call(m, look, &b);
	ck_assert_uint_eq(a.icount, b.icount);
	ck_assert_uint_ne(b.thread, host_thread_self());
	machine_resume(m);
	for (until = host_monotonic_ns() + 5000000000; b.icount == a.icount;) {
		machine_call(m, look, &b);
		ck_assert_uint_lt(host_monotonic_ns(), until);
	}
	machine_pause(m);
	machine_quit(m); /* ends a paused machine too */
	host_thread_join(t);
	machine_destroy(m);
}
END_TEST

START_TEST(a_key_reaches_the_guest)
{
	/* in al, 64h; test al, 1; jz back */
	struct machine_config cfg =
	    GUEST(0xe4, 0x64, 0xa8, 0x01, 0x74, 0xfa, OUTW(0x604, 0x2000), LOOP);
	struct machine *m = create(&cfg);
	machine_set_pace(m, PACE_REAL_TIME);
	struct host_thread *t = host_thread_start(run_thread, m);
	ck_assert(machine_send_key(m, 0x1e, true));
	host_thread_join(t);
	struct machine_result r;
	machine_result(m, &r);
	ck_assert_int_eq(r.reason, END_POWER_OFF);
	machine_destroy(m);
}
END_TEST

/* 800 ms of virtual time cannot pass in much less of real time: less the million instructions to the first look at the clock. */
START_TEST(real_time_pace_holds_a_fast_guest_back)
{
	struct machine_config cfg = GUEST(0xf3, 0x90, 0xeb, 0xfc); /* 1: pause; jmp 1b: 72 ns */
	struct machine_result r;
	cfg.max_insns = 800000000 / 72 * 2;
	struct machine *m = create(&cfg);
	machine_set_pace(m, PACE_REAL_TIME);
	machine_run(m);
	machine_result(m, &r);
	ck_assert_uint_ge(r.real_ns, 720000000);
	machine_destroy(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("machine");
	TCase *t = tcase_create("machine");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, acpi_power_off_ends);
	tcase_add_test(t, debug_exit_gives_the_guests_code);
	tcase_add_test(t, pause_lets_time_pass);
	tcase_add_test(t, reset_register_ends_under_no_reboot);
	tcase_add_test(t, a_reset_starts_the_guest_again);
	tcase_add_test(t, triple_fault_is_explained);
	tcase_add_test(t, hlt_with_interrupts_off_is_a_hang);
	tcase_add_test(t, sleep_without_an_alarm_clock_is_a_hang);
	tcase_add_test(t, the_rtc_ends_sleep);
	tcase_add_loop_test(t, instruction_limit_is_exact, 0, 4);
	tcase_add_test(t, time_limit_ends_an_endless_loop);
	tcase_add_test(t, halted_time_is_skipped_to_the_timer);
	tcase_add_test(t, serial_output_reaches_its_backend);
	tcase_add_test(t, two_machines_do_not_know_of_each_other);
	tcase_add_loop_test(t, configurations_are_refused_with_a_reason, 0, 4);
	tcase_add_test(t, missing_files_are_named);
	tcase_add_test(t, calls_run_on_the_machines_thread_between_slices);
	tcase_add_test(t, paused_machines_stand_still_and_still_answer);
	tcase_add_test(t, a_key_reaches_the_guest);
	tcase_add_test(t, real_time_pace_holds_a_fast_guest_back);
	suite_add_tcase(s, t);
	return run_suite(s);
}
