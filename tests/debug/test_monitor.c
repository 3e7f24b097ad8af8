/*
 * Under the monitor: views as text and JSON, expressions, symbols; then every command on a machine: that views are whole and
 * change nothing, that bad lines are refused with a reason, and that the JSON protocol stands what comes.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "cpu/exec/exec.h"
#include "debug/expr.h"
#include "debug/monitor.h"
#include "debug/qmp.h"

static FILE *log_file;
static struct machine *m;
static struct debugger *d;
static struct monitor *mon;
static struct errtext e;
static u8 image[4096];

#define LOAD 0x100000u

/* mov eax, 12345678h; push eax; 1: jmp 1b, in a flat Multiboot image. */
static void setup(void)
{
	const u32 header[8] = {0x1badb002, 0x10000, -(0x1badb002u + 0x10000u), LOAD, LOAD, 0, 0, LOAD + 32};
	const u8 code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xbc, 0x00, 0x0f, 0x11, 0x00, 0x50, 0xeb, 0xfe};
	struct machine_config cfg;
	log_file = fopen("/dev/null", "w");
	memcpy(image, header, sizeof(header));
	memcpy(image + 32, code, sizeof(code));
	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.cpu = "max";
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	cfg.log_file = log_file;
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	d = dbg_create(m);
	mon = monitor_create(d);
	ck_assert_ptr_nonnull(mon);
	const struct run_spec three = {.kind = RUN_STEP, .count = 3};
	ck_assert_int_eq(dbg_run(d, &three)->kind, STOP_STEP);
}

static void teardown(void)
{
	monitor_destroy(mon);
	dbg_destroy(d);
	machine_destroy(m);
	fclose(log_file);
}

/* ---- views ------------------------------------------------------------------------------------------------------------------------ */

static void is_text(json_t *v, const char *want)
{
	char *text = view_to_text(v);
	ck_assert_str_eq(text, want);
	free(text);
	json_decref(v);
}

START_TEST(objects_are_lines_and_arrays_tables)
{
	json_t *v = json_object(), *a, *o;
	view_hex(v, "base", 0x1000, 0);
	view_num(v, "n", 3);
	a = view_array(v, "rows");
	for (unsigned i = 0; i < 2; i++) {
		o = view_object(a, NULL);
		view_num(o, "id", i * 100);
		view_text(o, "name", i ? "b" : "alpha");
	}
	is_text(v, "base: 0x1000\nn:    3\nrows:\n  id   name\n  0    alpha\n  100  b\n");
}
END_TEST

START_TEST(hints_lay_out_and_stay_out_of_json)
{
	json_t *v = json_object();
	char *json;
	view_text(v, "a", "x");
	view_num(v, "b", 7);
	view_text(v, "none", "");
	view_text(v, "_line", "{a:-3}|{b:4}|{missing}{b} <{none}>.");
	json = view_to_json(v, 0);
	ck_assert_str_eq(json, "{\"a\":\"x\",\"b\":7,\"none\":\"\"}");
	free(json);
	is_text(v, "x  |   7|7.\n");
	v = json_object();
	view_num(v, "_flat", 2);
	view_num(v, "p", 1);
	view_num(v, "q", 2);
	view_num(v, "r", 3);
	is_text(v, "p=1  q=2\nr=3\n");
}
END_TEST

START_TEST(text_that_is_not_utf8_is_kept_readable)
{
	json_t *v = json_object();
	view_text(v, "a", "x\xff\xfey");
	is_text(v, "a: x??y\n");
}
END_TEST

/* ---- expressions ------------------------------------------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	u64 value;
} good[] = {
    {"1 + 2 * 3", 7},	       {"(1 + 2) * 3", 9},	     {"0x10 | 0b101", 0x15},	 {"1 << 4 >> 2", 4},
    {"-1", ~0ull},	       {"~0 & 0xff", 0xff},	     {"!5 || !0", 1},		 {"1 ? 2 : 3", 2},
    {"0 ? 2 : 0 ? 3 : 4", 4},  {"10 / 3 * 3 + 10 % 3", 10},  {"5 > 3 && 3 >= 3 && 2 != 3", 1}, {"'A'", 65},
    {"$eax", 0x12345678},      {"eax & 0xffff", 0x5678},     {"$ah", 0x56},		 {"$al", 0x78},
    {"$ax", 0x5678},	       {"$esp", 0x110efc},	     {"*$esp", 0x12345678},	 {"word[$esp + 2]", 0x1234},
    {"byte[0x100020]", 0xb8},  {"pdword[0x100021]", 0x12345678}, {"$cr0 & 1", 1},		 {"$cs.limit", 0xffffffff},
    {"msr[0xc0000080]", 0},    {"1 == 1 == 1", 1},	     {"7 & 3 == 3", 1},		 {"$zf | $cf", 0},
    {"0 && *0xffffffff0000", 0}, {"$rip", 0x10002b},	     {"$pc - $rip", 0},		 {"- - 1", 1},
};

START_TEST(expressions_have_cs_values)
{
	u64 v;
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(!expr_value(d, good[i].text, NULL, &v, &e), "%s: %s", good[i].text, e.s);
		ck_assert_msg(v == good[i].value, "%s is 0x%llx", good[i].text, (unsigned long long)v);
	}
}
END_TEST

START_TEST(what_is_no_expression_is_refused)
{
	static const char *const bad[] = {"",	   "1 +",   "(1",   "1)",	 "$nothing", "nosymbol", "byte[1",  "byte 1", "0x",
					  "1 2",   "1 ? 2", "08x",  "1 / 0",	 "$value",   "*",	 "msr[",    "&",      "0xfffffffffffffffff",
					  "1 % 0", "'",	    "byte[0xffffffff]", "0b2", "5 $"};
	char deep[4096];
	u64 v;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(expr_value(d, bad[i], NULL, &v, &e), "%s", bad[i]);
		ck_assert(e.s[0]);
	}
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = 0;
	ck_assert(expr_value(d, deep, NULL, &v, &e));
	memset(deep, '-', sizeof(deep) - 1);
	ck_assert(expr_value(d, deep, NULL, &v, &e));
}
END_TEST

START_TEST(an_expression_ends_where_the_next_argument_begins)
{
	const char *text = "0x10 + 2 40", *rest;
	u64 v;
	ck_assert(!expr_value(d, text, &rest, &v, &e));
	ck_assert_uint_eq(v, 0x12);
	ck_assert_str_eq(rest, "40");
}
END_TEST

START_TEST(registers_can_be_written)
{
	ck_assert(expr_reg_set(dbg_cpu(d), "ah", 0xaa));
	ck_assert_uint_eq(dbg_cpu(d)->r[RAX], 0x1234aa78);
	ck_assert(expr_reg_set(dbg_cpu(d), "eax", 1));
	ck_assert_uint_eq(dbg_cpu(d)->r[RAX], 1);
	ck_assert(expr_reg_set(dbg_cpu(d), "zf", 1));
	ck_assert(cpu_rflags(dbg_cpu(d)) & FL_ZF);
	ck_assert(!expr_reg_set(dbg_cpu(d), "nothing", 1));
}
END_TEST

/* ---- symbols ---------------------------------------------------------------------------------------------------------------------- */

static struct symbols *map(const char *text)
{
	struct symbols *s = symbols_create();
	ck_assert_msg(!symbols_load_data(s, "map", text, strlen(text), 0, NULL, &e), "%s", e.s);
	return s;
}

START_TEST(symbols_are_found_both_ways)
{
	struct symbols *s = map("0000000000001000 T start\n0000000000001100 t helper\t[module]\n0000000000001100 D data\n"
				"0000000000002000 A absolute\nffffffff81000000 T _text\n");
	char buf[100];
	ck_assert_uint_eq(symbols_find(s, "helper")->addr, 0x1100);
	ck_assert_ptr_null(symbols_find(s, "help"));
	ck_assert_ptr_null(symbols_find(s, "absolute"));
	ck_assert_str_eq(symbols_format(s, 0x1000, buf, sizeof(buf)), "start");
	ck_assert_str_eq(symbols_format(s, 0x10ff, buf, sizeof(buf)), "start+0xff");
	ck_assert_str_eq(symbols_format(s, 0x1104, buf, sizeof(buf)), "helper+0x4");
	ck_assert_str_eq(symbols_format(s, 0xfff, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_format(s, 0x8000000000, buf, sizeof(buf)), "");
	ck_assert_str_eq(symbols_prefix(s, "s", 0)->name, "start");
	ck_assert_ptr_null(symbols_prefix(s, "s", 1));
	ck_assert(!symbols_load_data(s, "more", "0 T zero\n10 T ten\n", 18, 0x5000, NULL, &e));
	ck_assert_uint_eq(symbols_find(s, "ten")->addr, 0x5010);
	ck_assert_uint_eq(symbols_find(s, "start")->addr, 0x1000);
	symbols_free(s);
}
END_TEST

START_TEST(files_without_symbols_say_why)
{
	static const struct {
		const char *text, *why;
	} bad[] = {{"ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n", NULL},
		   {"", "linux-image"},
		   {"0 T a\n0 T b\n", "every address is 0"},
		   {"what is this\n", "line 1"}};
	struct symbols *s = symbols_create();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = symbols_load_data(s, "f", bad[i].text, strlen(bad[i].text), 0, NULL, &e);
		ck_assert(!bad[i].why || (r < 0 && strstr(e.s, bad[i].why)));
	}
	ck_assert_int_lt(symbols_load_data(s, "f", "\177ELF\0\0", 6, 0, NULL, &e), 0);
	ck_assert_int_lt(symbols_load_data(s, "f", "\0\0", 2, 0, NULL, &e), 0);
	ck_assert_int_lt(symbols_load(s, "/nonexistent", 0, NULL, &e), 0);
	symbols_free(s);
}
END_TEST

START_TEST(our_own_elf_has_symbols)
{
	struct symbols *s = symbols_create();
	unsigned n;
	ck_assert_msg(!symbols_load(s, "/proc/self/exe", 0, &n, &e), "%s", e.s);
	ck_assert_uint_gt(n, 100);
	const struct symbol *f = symbols_find(s, "monitor_create");
	ck_assert_ptr_nonnull(f);
	ck_assert_ptr_eq(symbols_at(s, f->addr + f->size - 1), f);
	symbols_free(s);
}
END_TEST

/* ---- commands --------------------------------------------------------------------------------------------------------------------- */

START_TEST(every_view_is_whole_as_text_and_json_and_changes_nothing)
{
	u64 hash = machine_state_hash(m);
	const struct command *c;
	for (unsigned i = 0; (c = command_at(i)); i++) {
		char line[100];
		bool failed;
		if (strncmp(c->name, "info ", 5) && strcmp(c->name, "help") && strcmp(c->name, "where") && strcmp(c->name, "backtrace") &&
		    strcmp(c->name, "disas"))
			continue;
		if (c->args && c->args[0] != '[')
			continue; /* wants an argument */
		char *text = monitor_line(mon, c->name, false, &failed);
		ck_assert_msg(text, "%s", c->name);
		ck_assert_msg(!failed || strstr(text, "paging is off") || strstr(text, "no profile") ||
				  strstr(text, "nothing is traced"),
			      "%s: %s", c->name, text);
		free(text);
		snprintf(line, sizeof(line), "json %s", c->name);
		text = monitor_line(mon, line, false, &failed);
		json_error_t je;
		json_t *v = json_loads(text, 0, &je);
		ck_assert_msg(v, "%s: %s", c->name, je.text);
		json_decref(v);
		free(text);
	}
	static const char *const more[] = {"info device rtc",	 "x/4i $pc",	    "x/16xb 0x100020", "xp/2xg 0x100020", "x/s 0x100020",
					   "walk 0x100000 w",	 "print $eax + 1",  "x/3a $esp",       "info idt 0 255",  "info registers all"};
	for (unsigned i = 0; i < ARRAY_SIZE(more); i++) {
		bool failed;
		char *text = monitor_line(mon, more[i], false, &failed);
		ck_assert_msg(!failed, "%s: %s", more[i], text);
		free(text);
	}
	ck_assert_uint_eq(machine_state_hash(m), hash);
}
END_TEST

/* Without paging, every page is itself. */
START_TEST(cached_translations_have_their_physical_address)
{
	struct cpu *cpu = machine_cpu(m, 0);
	bool failed;
	cpu->rip = LOAD + 32; /* once more: whoever steps leaves nothing cached */
	cpu_run(cpu, 3);
	char *text = monitor_line(mon, "json info tlb", false, &failed);
	json_t *v = json_loads(text, 0, NULL), *row;
	size_t i;
	bool written = false;
	json_array_foreach(json_object_get(v, "entries"), i, row) {
		u64 linear = strtoull(json_string_value(json_object_get(row, "linear")), NULL, 0);
		ck_assert_uint_eq(strtoull(json_string_value(json_object_get(row, "physical")), NULL, 0), linear);
		written |= strchr(json_string_value(json_object_get(row, "access")), 'w') != NULL;
	}
	ck_assert_msg(written, "%s", text); /* the PUSH */
	json_decref(v);
	free(text);
}
END_TEST

START_TEST(bad_lines_are_refused_with_a_reason)
{
	static const struct {
		const char *line, *says;
	} bad[] = {{"infos registers", "did you mean"}, {"info registers generl", "did you mean general"},
		   {"step x y z", "neither a register nor"}, {"x/99999999x 0", "count"}, {"x/4z 0", "no format"}, {"break", NULL},
		   {"break 1 unless 2", "if"}, {"catch io 0x60 x", "if"}, {"catch nothing", "caught"}, {"catch exception #XY", NULL},
		   {"delete 77", "no break point"}, {"patch 0x100000 0", "two hexadecimal"}, {"patch 0xfffff000 90", NULL},
		   {"set $nothing = 1", "register"}, {"set 5 = 6", "neither"}, {"cont now", "no arguments"}, {"sendkey ctrl-alt-del",
		   "did you mean"}, {"change nodrive f", "no drive"}, {"walk 0 q", "no access"}, {"x 0xfffffff0000", NULL},
		   {"quit 256", "0 to 255"}, {"loadvm /nonexistent", "nonexistent"}, {"info device nothing", "no device"}};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		bool failed;
		char *text = monitor_line(mon, bad[i].line, false, &failed);
		ck_assert_msg(!bad[i].says || (failed && strstr(text, bad[i].says)), "%s: %s", bad[i].line, text);
		free(text);
	}
}
END_TEST

START_TEST(commands_change_what_they_say)
{
	bool failed;
	free(monitor_line(mon, "set dword[$esp] = 0xcafe", false, &failed));
	ck_assert(!failed);
	char *text = monitor_line(mon, "print dword[0x110efc]", false, &failed);
	ck_assert_ptr_nonnull(strstr(text, "0xcafe"));
	free(text);
	text = monitor_line(mon, "patch $pc 0f0b", false, &failed);
	ck_assert_msg(strstr(text, "ud2"), "%s", text);
	free(text);
	text = monitor_line(mon, "catch vmexit ept_violation if $n == 48", false, &failed);
	free(text);
	text = monitor_line(mon, "catch exception #UD if $rip == 0x10002b", false, &failed);
	ck_assert_msg(!failed, "%s", text);
	free(text);
	const struct run_spec r = {.kind = RUN_CONT};
	const struct dbg_stop *s = dbg_run(d, &r);
	ck_assert_int_eq(s->kind, STOP_BREAK);
	ck_assert_int_eq(s->what, BP_EXCEPTION);
}
END_TEST

/* ---- the JSON protocol ------------------------------------------------------------------------------------------------------------ */

START_TEST(streams_are_cut_into_messages)
{
	struct qmp_splitter s = {0};
	const char *text = " {\"a\": \"}\\\"{\"}\n{\"b\":[{},[]]}";
	unsigned n = 0;
	for (const char *p = text; *p; p++)
		if (qmp_split_byte(&s, (u8)*p) == 1)
			ck_assert_str_eq(s.text, n++ ? "{\"b\":[{},[]]}" : "{\"a\": \"}\\\"{\"}");
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(qmp_split_byte(&s, 'x'), -EINVAL);
	int r = 0;
	for (unsigned i = 0; i < 1u << 20 && !r; i++)
		r = qmp_split_byte(&s, '{');
	ck_assert_int_eq(r, -E2BIG);
	qmp_split_reset(&s);
}
END_TEST

static char *ask(const char *text, bool *negotiated)
{
	json_t *v = qmp_execute(mon, text, negotiated);
	char *s = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	return s;
}

START_TEST(messages_are_answered)
{
	static const struct {
		const char *in, *out;
	} rows[] = {{"{\"execute\":\"query-status\"}", "CommandNotFound"},
		    {"{\"execute\":\"qmp_capabilities\",\"id\":\"x\"}", "\"id\":\"x\""},
		    {"{\"execute\":\"no-such\"}", "CommandNotFound"},
		    {"{\"execute\":\"x-print\",\"arguments\":{\"args\":\"1+1\"}}", "\"0x2\""},
		    {"{\"execute\":\"x-x\",\"arguments\":{\"args\":\"/2xb 0x100020\"}}", "0xb8"},
		    {"{\"execute\":\"human-monitor-command\"}", "command-line"},
		    {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":[{\"data\":\"ret\"}]}}", "return"},
		    {"{\"execute\":\"send-key\",\"arguments\":{\"keys\":5}}", "error"},
		    {"{\"execute\":[]}", "error"},
		    {"{]}", "error"},
		    {"{\"execute\":\"query-commands\"}", "x-info-vmcs"}};
	bool negotiated = false;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		char *s = ask(rows[i].in, &negotiated);
		ck_assert_msg(strstr(s, rows[i].out), "%s: %s", rows[i].in, s);
		free(s);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor");
	TCase *c = tcase_create("all");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, objects_are_lines_and_arrays_tables);
	tcase_add_test(c, hints_lay_out_and_stay_out_of_json);
	tcase_add_test(c, text_that_is_not_utf8_is_kept_readable);
	tcase_add_test(c, expressions_have_cs_values);
	tcase_add_test(c, what_is_no_expression_is_refused);
	tcase_add_test(c, an_expression_ends_where_the_next_argument_begins);
	tcase_add_test(c, registers_can_be_written);
	tcase_add_test(c, symbols_are_found_both_ways);
	tcase_add_test(c, files_without_symbols_say_why);
	tcase_add_test(c, our_own_elf_has_symbols);
	tcase_add_test(c, every_view_is_whole_as_text_and_json_and_changes_nothing);
	tcase_add_test(c, cached_translations_have_their_physical_address);
	tcase_add_test(c, bad_lines_are_refused_with_a_reason);
	tcase_add_test(c, commands_change_what_they_say);
	tcase_add_test(c, streams_are_cut_into_messages);
	tcase_add_test(c, messages_are_answered);
	suite_add_tcase(suite, c);
	return run_suite(suite);
}
