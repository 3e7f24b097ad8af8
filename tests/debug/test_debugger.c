/*
 * The debugger's core: that it stops exactly where it was told, for every kind of break point, and that looking changes
 * nothing. The guest is guest_debugger.S.
 */
#include <check.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "debug/debugger.h"
#include "debug/expr.h"
#include "machine/reverse.h"

extern const u8 debug_guest[], debug_guest_end[], dg_word[], dg_loop[], dg_loop_end[], dg_call[], dg_after_call[], dg_read[],
    dg_write[], dg_after_write[], dg_out[], dg_in[], dg_rdmsr[], dg_cr0[], dg_magic[], dg_ud[], dg_int[], dg_iret[], ring3[],
    dg_fall[], function[], dg_return[], handler[], dg_handler_iret[];

#define LOAD 0x100000u
#define AT(label) (LOAD + (u32)((label) - debug_guest))

static FILE *log_file;
static struct machine *m;
static struct debugger *d;
static struct errtext e;

static void setup(void)
{
	struct machine_config cfg;
	log_file = fopen("/dev/null", "w");
	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.embedded_kernel = debug_guest;
	cfg.embedded_kernel_bytes = (u64)(debug_guest_end - debug_guest);
	cfg.no_reboot = true;
	cfg.log_file = log_file;
	cfg.timeout_ns = 20000000000ull;
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	d = dbg_create(m);
	ck_assert_ptr_nonnull(d);
}

static void teardown(void)
{
	dbg_destroy(d);
	machine_destroy(m);
	fclose(log_file);
}

static const struct dbg_stop *go(enum run_kind kind, u64 arg)
{
	const struct run_spec r = {.kind = kind, .count = arg, .arg = arg};
	return dbg_run(d, &r);
}

static unsigned add(const struct bp_spec *s)
{
	int id = dbg_bp_add(d, s, &e);
	ck_assert_msg(id > 0, "%s", e.s);
	return (unsigned)id;
}

static unsigned break_at(enum bp_kind kind, u64 lo)
{
	struct bp_spec s = bp_spec(kind, lo);
	return add(&s);
}

static u64 reg(const char *name)
{
	u64 v = 0;
	ck_assert(expr_reg_get(dbg_cpu(d), name, &v));
	return v;
}

static void stops_at(const struct dbg_stop *s, unsigned id, u64 pc)
{
	ck_assert_int_eq(s->kind, STOP_BREAK);
	ck_assert_uint_eq(s->id, id);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), pc);
}

static void ends_as_without(void)
{
	const struct dbg_stop *s = go(RUN_CONT, 0);
	ck_assert_int_eq(s->kind, STOP_ENDED);
	ck_assert_int_eq(s->end, END_TRIPLE_FAULT);
}

START_TEST(a_linear_break_point_stops_before_its_instruction_each_time)
{
	unsigned id = break_at(BP_EXEC, AT(dg_loop));
	for (unsigned i = 0; i < 10; i++) {
		stops_at(go(RUN_CONT, 0), id, AT(dg_loop));
		ck_assert_uint_eq(reg("ecx"), 10 - i);
		ck_assert_uint_eq((u32)(reg("ebx") - 3 * i), (u32)(reg("ebx") - 3 * i));
	}
	ends_as_without();
}
END_TEST

START_TEST(a_physical_break_point_stops_too)
{
	unsigned id = break_at(BP_EXEC_PHYS, AT(function));
	stops_at(go(RUN_CONT, 0), id, AT(function));
	ends_as_without();
}
END_TEST

START_TEST(conditions_hits_and_ignore)
{
	struct bp_spec s = bp_spec(BP_EXEC, AT(dg_loop));
	struct bp_info info;
	s.condition = "$ecx == 4 && dword[$esp] == dword[$esp]";
	unsigned id = add(&s);
	stops_at(go(RUN_CONT, 0), id, AT(dg_loop));
	ck_assert_uint_eq(reg("ecx"), 4);
	ck_assert(dbg_bp_next(d, id - 1, &info));
	ck_assert_uint_eq(info.hits, 1);
	ck_assert(!dbg_bp_condition(d, id, "", &e));
	ck_assert(dbg_bp_ignore(d, id, 2));
	stops_at(go(RUN_CONT, 0), id, AT(dg_loop));
	ck_assert_uint_eq(reg("ecx"), 1);
	ck_assert(dbg_bp_next(d, id - 1, &info));
	ck_assert_uint_eq(info.hits, 4);
	s.condition = "$ecx ==";
	ck_assert_int_eq(dbg_bp_add(d, &s, &e), -22);
	ck_assert_ptr_nonnull(strstr(e.s, "missing"));
}
END_TEST

START_TEST(temporary_ones_go_and_disabled_ones_let_pass)
{
	struct bp_spec s = bp_spec(BP_EXEC, AT(dg_loop));
	struct bp_info info;
	s.temporary = true;
	stops_at(go(RUN_CONT, (u64)add(&s) * 0), 1, AT(dg_loop));
	ck_assert(!dbg_bp_next(d, 0, &info));
	unsigned id = break_at(BP_EXEC, AT(dg_call));
	ck_assert(dbg_bp_enable(d, id, false));
	ends_as_without();
}
END_TEST

START_TEST(steps_are_single_instructions)
{
	u64 icount;
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(dg_loop)) * 0), 1, AT(dg_loop));
	icount = cpu_icount(dbg_cpu(d));
	ck_assert_int_eq(go(RUN_STEP, 1)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_loop_end));
	ck_assert_uint_eq(cpu_icount(dbg_cpu(d)), icount + 1);
	ck_assert(dbg_bp_delete(d, 1));
	ck_assert_int_eq(go(RUN_STEP, 5)->kind, STOP_STEP);
	ck_assert_uint_eq(cpu_icount(dbg_cpu(d)), icount + 6);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_loop));
	ends_as_without();
}
END_TEST

START_TEST(a_step_over_a_fault_or_interrupt_is_at_the_handler)
{
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(dg_ud)) * 0), 1, AT(dg_ud));
	ck_assert_int_eq(go(RUN_STEP, 1)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(handler));
	ck_assert_int_eq(go(RUN_UNTIL, AT(dg_int))->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_int));
	ck_assert_int_eq(go(RUN_STEP, 1)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(handler));
	ck_assert_int_eq(go(RUN_FINISH, 0)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_iret));
}
END_TEST

START_TEST(next_steps_over_calls_and_finish_leaves_them)
{
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(dg_call)) * 0), 1, AT(dg_call));
	ck_assert_int_eq(go(RUN_NEXT, 1)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_after_call));
	ck_assert_int_eq(go(RUN_NEXT, 1)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_read));
	dbg_destroy(d);
	machine_destroy(m);
	fclose(log_file);
	setup();
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(function)) * 0), 1, AT(function));
	ck_assert_int_eq(go(RUN_FINISH, 0)->kind, STOP_STEP);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_after_call));
}
END_TEST

START_TEST(watch_points_stop_behind_the_access)
{
	struct bp_spec s = bp_spec(BP_ACCESS, AT(dg_word) + 1);
	s.write = true;
	unsigned w = add(&s);
	s.write = false;
	s.read = true;
	s.kind = BP_ACCESS_PHYS;
	unsigned r = add(&s);
	const struct dbg_stop *stop = go(RUN_CONT, 0);
	stops_at(stop, r, AT(dg_write));
	ck_assert(!stop->seen.write);
	stop = go(RUN_CONT, 0);
	stops_at(stop, w, AT(dg_after_write));
	ck_assert(stop->seen.write);
	ck_assert_uint_eq(stop->seen.value, 0x55);
	ck_assert_uint_eq(stop->seen.addr, AT(dg_word));
	ends_as_without();
}
END_TEST

START_TEST(a_watch_point_next_to_the_access_is_not_hit)
{
	break_at(BP_ACCESS, AT(dg_word) + 4);
	break_at(BP_ACCESS, AT(dg_word) - 1);
	ends_as_without();
}
END_TEST

START_TEST(conditions_see_the_value_written)
{
	struct bp_spec s = bp_spec(BP_ACCESS, AT(dg_word));
	s.condition = "$write && $value == 0x55";
	stops_at(go(RUN_CONT, (u64)add(&s) * 0), 1, AT(dg_after_write));
}
END_TEST

/* Events stop behind the instruction that caused them, but for the magic one. */
static const struct {
	enum bp_kind kind;
	u64 n;
	bool read, write;
	const u8 *at;
} events[] = {
    {BP_IO, 0x80, false, true, dg_in},
    {BP_IO, 0x61, true, false, dg_in},
    {BP_MSR, 0x10, true, false, dg_rdmsr},
    {BP_CR, 0, false, false, dg_magic},
    {BP_MAGIC, 0, false, false, dg_magic},
    {BP_EXCEPTION, 6, false, false, handler},
    {BP_INTERRUPT, 0x80, false, false, handler},
    {BP_RING, 3, false, false, ring3},
};

START_TEST(events_stop_behind_their_instruction)
{
	struct bp_spec s = bp_spec(events[_i].kind, events[_i].n);
	struct insn in;
	u64 at = AT(events[_i].at);
	s.read = events[_i].read;
	s.write = events[_i].write;
	unsigned id = add(&s);
	if (events[_i].kind == BP_IO && s.read)
		at += 2; /* behind the IN */
	if (events[_i].kind == BP_MSR)
		at += 2;
	const struct dbg_stop *stop = go(RUN_CONT, 0);
	stops_at(stop, id, at);
	ck_assert(dbg_decode(dbg_cpu(d), at, 0, &in, NULL));
	if (events[_i].kind == BP_EXCEPTION)
		ck_assert_ptr_nonnull(stop->why);
	if (events[_i].kind == BP_RING)
		ck_assert_uint_eq(dbg_cpu(d)->cpl, 3);
	ends_as_without();
}
END_TEST

START_TEST(shutdown_stops_before_the_end)
{
	unsigned id = break_at(BP_SHUTDOWN, 0);
	const struct dbg_stop *stop = go(RUN_CONT, 0);
	ck_assert_int_eq(stop->kind, STOP_BREAK);
	ck_assert_uint_eq(stop->id, id);
	ck_assert_ptr_nonnull(stop->why);
	ck_assert_uint_eq(reg("cs") & 3, 3);
	ends_as_without();
}
END_TEST

START_TEST(looking_changes_nothing)
{
	u64 hash, v;
	u8 buf[64];
	char text[200];
	struct insn in;
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(dg_read)) * 0), 1, AT(dg_read));
	hash = machine_state_hash(m);
	ck_assert_uint_eq(dbg_read(dbg_cpu(d), AT(dg_word), buf, 64), 64);
	ck_assert_uint_eq(dbg_read_phys(dbg_cpu(d), 0xfee00000, buf, 4), 0); /* a device is not read */
	ck_assert(dbg_decode(dbg_cpu(d), dbg_pc(dbg_cpu(d)), 0, &in, NULL));
	ck_assert(!expr_value(d, "dword[$esi] + msr[0x1b] + $rflags * $zf", NULL, &v, &e));
	dbg_stop_text(d, dbg_stopped(d), text, sizeof(text));
	ck_assert_uint_eq(machine_state_hash(m), hash);
}
END_TEST

START_TEST(stops_change_nothing)
{
	struct machine_result with, without;
	u64 hash;
	go(RUN_CONT, 0);
	hash = machine_state_hash(m);
	machine_result(m, &without);
	teardown();
	setup();
	break_at(BP_EXEC, AT(dg_loop));
	break_at(BP_ACCESS, AT(dg_word));
	break_at(BP_EXCEPTION, 6);
	while (go(RUN_CONT, 0)->kind != STOP_ENDED)
		go(RUN_STEP, 3);
	machine_result(m, &with);
	ck_assert_uint_eq(with.instructions, without.instructions);
	ck_assert_uint_eq(machine_state_hash(m), hash);
}
END_TEST

START_TEST(written_code_runs)
{
	const u8 nops[2] = {0x90, 0x90};
	stops_at(go(RUN_CONT, (u64)break_at(BP_EXEC, AT(dg_magic)) * 0), 1, AT(dg_magic));
	ck_assert_uint_eq(dbg_write(dbg_cpu(d), AT(dg_ud), nops, 2), 2);
	break_at(BP_EXCEPTION, 6);
	break_at(BP_INTERRUPT, 0x80);
	const struct dbg_stop *stop = go(RUN_CONT, 0);
	ck_assert_int_eq(stop->what, BP_INTERRUPT);
	ck_assert(expr_reg_set(dbg_cpu(d), "rip", AT(dg_fall)));
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_fall));
}
END_TEST

START_TEST(back_in_time)
{
	const struct reverse_options o = {0};
	bool device;
	ck_assert_msg(!machine_reverse_begin(m, &o, &e), "%s", e.s);
	unsigned loop = break_at(BP_EXEC, AT(dg_loop)), in = break_at(BP_EXEC, AT(dg_after_write));
	while (go(RUN_CONT, 0)->id != in)
		;
	u64 icount = cpu_icount(dbg_cpu(d));
	ck_assert_msg(!dbg_reverse_step(d, 1, &e), "%s", e.s);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_write));
	ck_assert_uint_eq(cpu_icount(dbg_cpu(d)), icount - 1);
	ck_assert_int_eq(dbg_stopped(d)->kind, STOP_STEP);
	for (unsigned i = 1; i <= 2; i++) { /* the last rounds of the loop, the latest first */
		ck_assert_msg(!dbg_reverse_continue(d, &e), "%s", e.s);
		stops_at(dbg_stopped(d), loop, AT(dg_loop));
		ck_assert_uint_eq(reg("ecx"), i);
	}
	while (go(RUN_CONT, 0)->id != in)
		;
	ck_assert_uint_eq(cpu_icount(dbg_cpu(d)), icount);
	ck_assert_msg(!dbg_reverse_write(d, AT(dg_word), 4, &device, &e), "%s", e.s);
	ck_assert_uint_eq(dbg_pc(dbg_cpu(d)), AT(dg_write));
	ck_assert(!device);
	ck_assert(dbg_bp_delete_all(d, NULL) == 2);
	ck_assert_msg(!dbg_reverse_continue(d, &e), "%s", e.s);
	ck_assert_int_eq(dbg_stopped(d)->kind, STOP_REPLAY);
	ck_assert_uint_eq(cpu_icount(dbg_cpu(d)), 0);
	ends_as_without();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("debugger");
	TCase *c = tcase_create("core");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_linear_break_point_stops_before_its_instruction_each_time);
	tcase_add_test(c, a_physical_break_point_stops_too);
	tcase_add_test(c, conditions_hits_and_ignore);
	tcase_add_test(c, temporary_ones_go_and_disabled_ones_let_pass);
	tcase_add_test(c, steps_are_single_instructions);
	tcase_add_test(c, a_step_over_a_fault_or_interrupt_is_at_the_handler);
	tcase_add_test(c, next_steps_over_calls_and_finish_leaves_them);
	tcase_add_test(c, watch_points_stop_behind_the_access);
	tcase_add_test(c, a_watch_point_next_to_the_access_is_not_hit);
	tcase_add_test(c, conditions_see_the_value_written);
	tcase_add_loop_test(c, events_stop_behind_their_instruction, 0, ARRAY_SIZE(events));
	tcase_add_test(c, shutdown_stops_before_the_end);
	tcase_add_test(c, looking_changes_nothing);
	tcase_add_test(c, stops_change_nothing);
	tcase_add_test(c, written_code_runs);
	tcase_add_test(c, back_in_time);
	suite_add_tcase(suite, c);
	return run_suite(suite);
}
