/*
 * Traces (docs/trace-format.md): what is read back is what -d exec lists, instruction for instruction; what changed is what the
 * processor's registers say; damage is found.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/suite.h"
#include "base/host.h"
#include "base/log.h"
#include "cpu/exec/exec.h"
#include "cpu/watch.h"
#include "debug/calltree.h"
#include "debug/flame.h"
#include "debug/trace.h"
#include "debug/trace_read.h"

extern const u8 trace_guest[], trace_guest_end[], trace_guest_planted[], trace_guest_function[];

#define LOAD 0x100000u
#define CPUS 32u

static u8 image[65536];
static char dir[64];
static FILE *quiet;

static void setup(void)
{
	strcpy(dir, "/tmp/orrery-trace-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	quiet = fopen("/dev/null", "w");
}

static void teardown(void)
{
	char cmd[100];
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
	fclose(quiet);
}

static char *file(const char *name)
{
	static char path[4][128];
	static unsigned n;
	char *p = path[n++ % 4];
	snprintf(p, 128, "%s/%s", dir, name);
	return p;
}

static struct machine *create(unsigned cpus, u32 planted, FILE *log)
{
	static struct machine_config cfg; /* outlives the machine */
	struct machine *m;
	struct errtext e;
	size_t n = (size_t)(trace_guest_end - trace_guest);

	ck_assert_uint_le(n, sizeof(image));
	memcpy(image, trace_guest, n);
	memcpy(image + CPUS, &cpus, 4);
	memcpy(image + (trace_guest_planted - trace_guest), &planted, 4);
	machine_config_init(&cfg);
	cfg.ram_bytes = 8 << 20;
	cfg.cpus = cpus;
	cfg.cpu = "max";
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = n;
	cfg.no_reboot = true;
	cfg.log_file = log ? log : quiet;
	cfg.log_classes = log ? BIT(LOG_EXEC) : 0;
	cfg.max_insns = 3000000;
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	return m;
}

/* Runs the guest with a trace; its state hash. */
static u64 traced(unsigned cpus, u32 planted, const char *spec_text)
{
	struct machine *m = create(cpus, planted, NULL);
	struct trace_spec spec;
	struct trace *t;
	struct errtext e;

	ck_assert_msg(!trace_parse(spec_text, &spec, &e), "%s", e.s);
	ck_assert_msg(!trace_start(m, &spec, &t, &e), "%s", e.s);
	ck_assert_int_eq(machine_run(m), END_POWER_OFF);
	ck_assert_msg(!trace_end(t, NULL, &e), "%s", e.s);
	u64 h = machine_state_hash(m);
	machine_destroy(m);
	return h;
}

static struct trace_file *opened(const char *path)
{
	struct trace_file *f;
	struct trace_info info;
	struct errtext e;

	ck_assert_msg(!trace_open(path, &f, &e), "%s", e.s);
	trace_info(f, &info);
	ck_assert_msg(!info.note, "%s", info.note);
	return f;
}

/* Without the processor's number, -d exec cannot tell processors apart; the order can. */
static u64 compare_with_log(FILE *log, const char *path)
{
	struct trace_file *f = opened(path);
	struct trace_cursor *c = trace_cursor(f);
	struct trace_item it;
	struct errtext e;
	char want[300], got[300], text[160];
	u64 n = 0;
	int r;

	rewind(log);
	while ((r = trace_next(c, &it, &e)) == 1) {
		if (it.kind != ITEM_INSN)
			continue;
		strcpy(text, "(bad)");
		if (it.in)
			insn_format(it.in, it.rip, DISASM_INTEL, text, sizeof(text));
		snprintf(got, sizeof(got), "%12llu %04x:%016llx %s\n", (unsigned long long)it.icount, it.cs, (unsigned long long)it.rip, text);
		ck_assert_msg(fgets(want, sizeof(want), log) != NULL, "the trace goes on: %s", got);
		ck_assert_msg(!strcmp(want, got), "instruction %llu: trace %s log %s", (unsigned long long)n, got, want);
		ck_assert_uint_eq(it.seq, n);
		n++;
	}
	ck_assert_msg(!r, "%s", e.s);
	ck_assert_msg(!fgets(want, sizeof(want), log), "the trace ends before: %s", want);
	trace_cursor_free(c);
	trace_close(f);
	return n;
}

static void same_as_log(unsigned cpus, const char *depth)
{
	FILE *log = tmpfile();
	struct machine *m = create(cpus, 1, log);
	char spec[200];

	ck_assert_int_eq(machine_run(m), END_POWER_OFF);
	u64 hash = machine_state_hash(m);
	machine_destroy(m);
	snprintf(spec, sizeof(spec), "%s,depth=%s", file("t"), depth);
	ck_assert_uint_eq(traced(cpus, 1, spec), hash);
	ck_assert_uint_gt(compare_with_log(log, file("t")), 40000);
	fclose(log);
}

START_TEST(reads_back_as_d_exec_lists)
{
	same_as_log(1, "insns");
}
END_TEST

START_TEST(reads_back_as_d_exec_lists_with_effects)
{
	same_as_log(1, "mem");
}
END_TEST

START_TEST(reads_back_as_d_exec_lists_on_four_processors)
{
	same_as_log(4, "insns");
	same_as_log(3, "regs");
}
END_TEST

/* Every register that changed is told: what the reader adds up is what the next instructions really found. */
static struct {
	struct trace_cursor *c;
	u64 n;
} live;

static void check_insn(void *ctx, struct cpu *cpu, const struct insn *in)
{
	struct trace_item it;
	struct errtext e;
	int r;

	while ((r = trace_next(live.c, &it, &e)) == 1 && it.kind != ITEM_INSN)
		;
	ck_assert_msg(r == 1, "%s", r ? e.s : "ends early");
	const struct trace_regs *g = trace_regs(live.c, it.cpu);
	ck_assert_uint_eq(it.cpu, cpu->index);
	ck_assert_uint_eq(it.rip, cpu->insn_rip);
	for (unsigned i = 0; i < 16; i++)
		ck_assert_msg(g->r[i] == cpu->r[i], "register %u before instruction %llu at %llx", i, (unsigned long long)live.n,
			      (unsigned long long)it.rip);
	ck_assert_uint_eq(g->rflags, watch_rflags(cpu));
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(g->seg[i].sel, cpu->seg[i].sel);
	ck_assert_uint_eq(it.cpl, cpu->cpl);
	live.n++;
}

START_TEST(registers_are_those_of_the_processor)
{
	struct cpu_watch w = {.insn = check_insn, .wants = WATCH_BIT(WATCH_INSN)};
	struct machine *m = create(2, 1, NULL);
	char spec[200];

	snprintf(spec, sizeof(spec), "%s,depth=regs", file("t"));
	traced(2, 1, spec);
	struct trace_file *f = opened(file("t"));
	live.c = trace_cursor(f);
	live.n = 0;
	machine_destroy(m);
	m = create(2, 1, NULL);
	watch_add(machine_cpu(m, 0), &w);
	ck_assert_int_eq(machine_run(m), END_POWER_OFF);
	ck_assert_uint_gt(live.n, 40000);
	machine_destroy(m);
	trace_cursor_free(live.c);
	trace_close(f);
}
END_TEST

/* Counts what a trace holds. */
struct counts {
	u64 insns, events[EV_KINDS], gaps, accesses;
	u64 first_icount, lo, hi;
	u8 cpls;
	char exception[200];
};

static struct counts counted(const char *path)
{
	struct trace_file *f = opened(path);
	struct trace_cursor *c = trace_cursor(f);
	struct counts k = {.lo = ~0ull};
	struct trace_item it;
	struct errtext e;
	int r;

	while ((r = trace_next(c, &it, &e)) == 1) {
		k.accesses += it.fx->accesses;
		if (it.kind == ITEM_GAP) {
			k.gaps++;
		} else if (it.kind == ITEM_EVENT) {
			k.events[it.event]++;
			if (it.event == EV_EXCEPTION && !k.exception[0])
				trace_event_text(&it, k.exception, sizeof(k.exception));
		} else {
			if (!k.insns++)
				k.first_icount = it.icount;
			k.lo = MIN(k.lo, it.rip);
			k.hi = MAX(k.hi, it.rip);
			k.cpls |= (u8)BIT(it.cpl);
		}
	}
	ck_assert_msg(!r, "%s", e.s);
	trace_cursor_free(c);
	trace_close(f);
	return k;
}

static struct counts of(const char *keys)
{
	char spec[300];

	snprintf(spec, sizeof(spec), "%s%s", file("t"), keys);
	traced(1, 1, spec);
	return counted(file("t"));
}

START_TEST(events_are_told)
{
	struct counts k = of(",depth=mem");

	ck_assert_uint_ge(k.events[EV_EXCEPTION], 150 * 3);
	ck_assert_uint_ge(k.events[EV_INTERRUPT], 20);
	ck_assert_uint_ge(k.events[EV_IO], 10);
	ck_assert_uint_ge(k.events[EV_CPL], 2);
	ck_assert_uint_gt(k.accesses, 40000);
	ck_assert_ptr_nonnull(strstr(k.exception, "#DE at 0x"));
	struct counts few = of(",depth=events");
	ck_assert_uint_eq(few.insns, 0);
	for (unsigned i = 1; i < EV_CPU; i++)
		ck_assert_msg(few.events[i] == k.events[i], "%s: %llu, %llu", trace_event_name(i), (unsigned long long)few.events[i],
			      (unsigned long long)k.events[i]);
}
END_TEST

START_TEST(filters_choose)
{
	struct counts all = of(""), k = of(",cpl=3");

	ck_assert_uint_eq(k.cpls, BIT(3));
	ck_assert_uint_eq(k.insns, 9); /* MOV, LOOP seven times, INT */
	k = of(",insns=5000-6000");
	ck_assert_uint_eq(k.first_icount, 5000);
	ck_assert_uint_eq(k.insns, 1000);
	u32 work = LOAD + (u32)(trace_guest_function - trace_guest);
	char keys[100];
	snprintf(keys, sizeof(keys), ",addr=0x%x-0x%x", work, work + 5);
	k = of(keys);
	ck_assert_uint_ge(k.lo, work);
	ck_assert_uint_le(k.hi, work + 5);
	ck_assert_uint_eq(k.insns, 150 * 3);
	ck_assert_uint_ge(k.gaps, 150);
	snprintf(keys, sizeof(keys), ",start=addr:0x%x,stop=event:cpl:3", work);
	k = of(keys);
	ck_assert_uint_lt(k.insns, all.insns);
	ck_assert_uint_gt(k.insns, all.insns / 2);
	ck_assert_uint_eq(k.lo >= LOAD, 1);
	k = of(",start=event:interrupt:0x80");
	ck_assert_uint_lt(k.insns, 20);
	ck_assert_uint_gt(k.insns, 2);
	k = of(",start=insn:1000,stop=insn:2000");
	ck_assert_uint_le(k.insns, 1000 + 128);
	ck_assert_uint_ge(k.insns, 1000 - 128);
	ck_assert_uint_eq(of(",vmx=guest").insns, 0);
	ck_assert_uint_eq(of(",cr3=0").insns, all.insns);
}
END_TEST

START_TEST(seeks)
{
	struct trace_item it;
	struct errtext e;

	traced(1, 1, file("t"));
	struct trace_file *f = opened(file("t"));
	struct trace_cursor *c = trace_cursor(f);
	struct trace_info info;
	trace_info(f, &info);
	for (u64 at = 0; at < info.insns; at += info.insns / 7) {
		ck_assert_int_eq(trace_seek(c, at, &e), 0);
		while (trace_next(c, &it, &e) == 1 && it.kind != ITEM_INSN)
			;
		ck_assert_uint_eq(it.seq, at);
	}
	ck_assert_int_eq(trace_seek(c, info.insns, &e), -ERANGE);
	trace_cursor_free(c);
	trace_close(f);
}
END_TEST

/* ---- damage -------------------------------------------------------------------------------------------------------------- */

/* Reads all of @n bytes; what became of it. */
static int read_all(const u8 *data, u64 n, bool *noted)
{
	struct trace_file *f;
	struct trace_info info;
	struct trace_item it;
	struct errtext e = {""};
	int r = trace_open_memory(data, n, &f, &e);

	if (r) {
		ck_assert_int_ne(e.s[0], 0);
		return r;
	}
	trace_info(f, &info);
	*noted = info.note;
	struct trace_cursor *c = trace_cursor(f);
	while ((r = trace_next(c, &it, &e)) == 1)
		;
	trace_cursor_free(c);
	trace_close(f);
	return r;
}

START_TEST(damage_is_found)
{
	struct errtext e;
	char spec[200];
	u8 *data;
	u64 n;
	bool noted;

	snprintf(spec, sizeof(spec), "%s,depth=regs,insns=0-20000", file("t"));
	traced(1, 1, spec);
	ck_assert_int_eq(host_file_read(file("t"), 1u << 26, &data, &n), 0);
	ck_assert_int_eq(read_all(data, n, &noted), 0);
	ck_assert(!noted);
	for (u64 i = 0; i < n; i += 1 + n / 120) {
		noted = false;
		data[i] ^= 0x10;
		int r = read_all(data, n, &noted);
		ck_assert_msg(r || noted, "byte %llu", (unsigned long long)i);
		data[i] ^= 0x10;
		noted = false;
		r = read_all(data, i, &noted);
		ck_assert_msg(r || noted, "cut at %llu", (unsigned long long)i);
	}
	data[8] = 9; /* another version */
	ck_assert_int_eq(read_all(data, n, &noted), -ENOEXEC);
	free(data);
	struct trace_file *f;
	ck_assert_int_eq(trace_open_memory("\177ELF a foreign file", 19, &f, &e), -ENOEXEC);
	ck_assert_int_eq(trace_open(file("missing"), &f, &e), -ENOENT);
}
END_TEST

START_TEST(options_are_checked)
{
	static const char *const wrong[] = {"", "f,depth=all", "f,cpl=4", "f,cpl=", "f,insns=5", "f,insns=9-5", "f,addr=name", "f,vmx=no",
					    "f,start=here", "f,stop=event:nothing", "f,cpu=8", "f,colour=red", "f,symbols=/nonexistent"};
	struct trace_spec s;
	struct errtext e;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		e.s[0] = 0;
		ck_assert_msg(trace_parse(wrong[i], &s, &e) < 0, "%s", wrong[i]);
		ck_assert_int_ne(e.s[0], 0);
	}
	ck_assert_int_eq(trace_parse("f,depth=regs,cpl=0+3,addr=0x10-0x20,addr=7,insns=1k-2M,start=event:exception:14,stop=insn:1G", &s, &e), 0);
	ck_assert_uint_eq(s.cpls, 9);
	ck_assert_uint_eq(s.ranges, 2);
	ck_assert_uint_eq(s.last, 2000000);
	ck_assert_uint_eq(s.start.first, 14);
	ck_assert_uint_eq(s.stop.at, 1000000000);
}
END_TEST

/* ---- call trees ---------------------------------------------------------------------------------------------------------- */

static const char *name(const void *ctx, u64 addr, char *buf, size_t n)
{
	snprintf(buf, n, "f%llx<&>", (unsigned long long)addr);
	return buf;
}

START_TEST(calls_make_a_tree)
{
	struct calltree *t = calltree_create(1);
	const struct call_node *n;
	u32 count;

	calltree_run(t, 0, 0x100, 0, 0, 10);
	calltree_leave(t, 0, CALL_CALL, 0x110);
	calltree_run(t, 0, 0x200, 0, 0, 5);
	calltree_interrupt(t, 0, 0x20, 0x205);
	calltree_run(t, 0, 0x900, 0, 0, 3);
	calltree_leave(t, 0, CALL_IRET, 0x910);
	calltree_run(t, 0, 0x205, 0, 0, 5);
	calltree_leave(t, 0, CALL_RETURN, 0x210);
	calltree_run(t, 0, 0x110, 0, 0, 1);
	n = calltree_sum(t, &count);
	ck_assert_uint_eq(n[0].total, 24);
	const struct call_node *outer = &n[n[0].child], *inner = &n[outer->child], *irq = &n[inner->child];
	ck_assert_uint_eq(outer->func, 0x100);
	ck_assert_uint_eq(outer->self, 11);
	ck_assert_uint_eq(inner->func, 0x200);
	ck_assert_uint_eq(inner->self, 10);
	ck_assert_uint_eq(inner->calls, 1);
	ck_assert(irq->special);
	ck_assert_uint_eq(irq->total, 3);
	char *svg = NULL;
	size_t size;
	FILE *out = open_memstream(&svg, &size);
	flame_write(out, n, "a <title>", name, NULL);
	fclose(out);
	ck_assert_ptr_nonnull(strstr(svg, "f200&lt;&amp;&gt;"));
	ck_assert_ptr_nonnull(strstr(svg, "[interrupt 0x20]"));
	ck_assert_ptr_nonnull(strstr(svg, "a &lt;title&gt;"));
	ck_assert_ptr_nonnull(strstr(svg, "</svg>"));
	free(svg);
	calltree_free(t);
}
END_TEST

/* Two tasks whose stacks are exchanged: a return into the other's frame. */
START_TEST(a_return_to_another_stack_switches)
{
	struct calltree *t = calltree_create(1);
	const struct call_node *n;
	u32 count;

	calltree_run(t, 0, 0x100, 0, 0x100, 1);
	calltree_leave(t, 0, CALL_CALL, 0x110);
	calltree_run(t, 0, 0x500, 0, 0x500, 1); /* the scheduler of the first */
	calltree_leave(t, 0, CALL_RETURN, 0);
	calltree_run(t, 0, 0x300, 0, 0x300, 1); /* somewhere unknown: a tail of it */
	calltree_leave(t, 0, CALL_CALL, 0x310);
	calltree_run(t, 0, 0x500, 0, 0x500, 1);
	calltree_leave(t, 0, CALL_RETURN, 0);
	calltree_run(t, 0, 0x110, 0, 0x100, 7);
	n = calltree_sum(t, &count);
	ck_assert_uint_eq(n[0].total, 11);
	ck_assert_uint_eq(n[n[0].child].func, 0x100);
	ck_assert_uint_eq(n[n[0].child].self, 8);
	calltree_free(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("trace");
	TCase *t = tcase_create("trace");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, reads_back_as_d_exec_lists);
	tcase_add_test(t, reads_back_as_d_exec_lists_with_effects);
	tcase_add_test(t, reads_back_as_d_exec_lists_on_four_processors);
	tcase_add_test(t, registers_are_those_of_the_processor);
	tcase_add_test(t, events_are_told);
	tcase_add_test(t, filters_choose);
	tcase_add_test(t, seeks);
	tcase_add_test(t, damage_is_found);
	tcase_add_test(t, options_are_checked);
	tcase_add_test(t, calls_make_a_tree);
	tcase_add_test(t, a_return_to_another_stack_switches);
	suite_add_tcase(s, t);
	return run_suite(s);
}
