/*
 * Runs a lab's guest and records what there is to see: counters by phase, a timeline, walks. See labs.h, and labs/common/lab.h
 * for how the guest speaks.
 *
 * The guest is anybody's: it may loop, print without end, name a million phases. Everything kept is bounded.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/exec/exec.h"
#include "cpu/mmu/mmu.h"
#include "cpu/vmx/vmx.h"
#include "cpu/watch.h"
#include "debug/explain.h"
#include "debug/monitor.h"
#include "debug/view.h"
#include "labs/labs.h"
#include "labs/shows.h"

#define PORT_TEXT 0xe9
#define PORT_COUNT 0xed
#define PORT_EXIT 0xf4
#define TIMELINE_MAX 3000
#define EDGES_MAX 64
#define PHASES_MAX 128
#define OBS_MAX 200 /* in a phase */
#define WALKS_MAX 32
#define SHOWS_MAX 32
#define OUTPUT_MAX 65536
#define LINE_MAX_BYTES 400
#define HOST_LIMIT_NS 60000000000ull

/* What is counted while counters run. */
struct counts {
	u64 insns, interrupts, io_in, io_out, cr0, cr3, cr4, rdmsr, wrmsr, tasks, entries, failed_entries, exits;
	u64 exit[VR_COUNT], fault[32], cpl[4][4];
	struct mmu_stats mmu;
};

struct phase {
	char name[48];
	struct counts sum;
	json_t *obs;
	u64 from, to;
};

struct edge {
	u8 from, to;
	bool root;
	char via[64];
	u64 count;
};

struct recorder {
	struct machine *m;
	struct debugger *dbg;
	struct monitor *mon; /* its views are what @show shows */
	struct cpu_watch watch;
	struct phase phase[PHASES_MAX];
	unsigned phases, now; /* phases: 0 until the guest names one */
	struct counts total, at_start;
	bool counting;
	struct edge edge[EDGES_MAX];
	unsigned edges;
	char via[64]; /* of the event under way: how the next change of CPL comes about */
	u64 via_at;
	json_t *timeline, *walks, *shows;
	u64 dropped, output_dropped;
	char *output;
	size_t output_n;
	char line[LINE_MAX_BYTES];
	unsigned line_n;
	char note[200]; /* something of the guest's that was refused */
};

/* ---- counters -------------------------------------------------------------------------------- */

static struct counts snapshot(struct recorder *r, const struct cpu *cpu)
{
	struct counts c = r->total;

	c.insns = cpu_icount(cpu);
	c.mmu = *mmu_stats(cpu);
	return c;
}

/* All of struct counts is u64: the difference and the sum go word by word. */
static void counts_add(struct counts *sum, const struct counts *to, const struct counts *from)
{
	u64 *s = (u64 *)sum;
	const u64 *t = (const u64 *)to, *f = (const u64 *)from;

	for (size_t i = 0; i < sizeof(*sum) / 8; i++)
		s[i] += t[i] - f[i];
}

static void count(struct recorder *r, const struct cpu *cpu, bool on)
{
	if (on && !r->counting)
		r->at_start = snapshot(r, cpu);
	if (!on && r->counting) {
		struct counts c = snapshot(r, cpu);
		c.io_out--; /* the OUT that ends it */
		c.insns--;
		counts_add(&r->phase[r->now].sum, &c, &r->at_start);
		r->phase[r->now].to = cpu_icount(cpu);
	}
	r->counting = on;
}

static void set(json_t *o, const char *key, u64 v)
{
	if (v)
		json_object_set_new(o, key, json_integer((json_int_t)v));
}

static const char *const fault_names[32] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "CSO", "TS", "NP", "SS", "GP",
					    "PF", "15", "MF", "AC", "MC", "XM", "VE", "CP", "22", "23", "24", "25", "26", "27",
					    "28", "29", "30", "31"};

static void name_exit(char *key, size_t n, unsigned reason)
{
	const char *name = vmx_reason_name(reason);

	snprintf(key, n, "exit.%s", name ? name : "?");
	for (char *p = key; *p; p++)
		*p = *p == ' ' ? '_' : (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
}

static json_t *counts_json(const struct counts *c)
{
	json_t *o = json_object();
	char key[80];
	u64 faults = 0;

	set(o, "insns", c->insns);
	for (unsigned v = 0; v < 32; v++) {
		snprintf(key, sizeof(key), "fault.%s", fault_names[v]);
		set(o, key, c->fault[v]);
		faults += c->fault[v];
	}
	set(o, "faults", faults);
	set(o, "interrupts", c->interrupts);
	set(o, "traps", faults + c->interrupts);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++) {
			snprintf(key, sizeof(key), "ring.%u>%u", a, b);
			set(o, key, c->cpl[a][b]);
		}
	set(o, "io.in", c->io_in);
	set(o, "io.out", c->io_out);
	set(o, "cr0_writes", c->cr0);
	set(o, "cr3_writes", c->cr3);
	set(o, "cr4_writes", c->cr4);
	set(o, "rdmsr", c->rdmsr);
	set(o, "wrmsr", c->wrmsr);
	set(o, "task_switches", c->tasks);
	set(o, "entries", c->entries);
	set(o, "entries.failed", c->failed_entries);
	set(o, "exits", c->exits);
	for (unsigned i = 0; i < VR_COUNT; i++) {
		name_exit(key, sizeof(key), i);
		set(o, key, c->exit[i]);
	}
	set(o, "walks", c->mmu.walks);
	set(o, "refs.guest", c->mmu.guest_refs);
	set(o, "refs.ept", c->mmu.ept_refs);
	set(o, "refs", c->mmu.guest_refs + c->mmu.ept_refs);
	set(o, "stage2.hits", c->mmu.s2_hits);
	set(o, "stage2.misses", c->mmu.s2_misses);
	set(o, "flush.vpid0", c->mmu.flush_vpid0);
	set(o, "flush.invvpid", c->mmu.flush_invvpid);
	set(o, "flush.invept", c->mmu.flush_invept);
	set(o, "flush.cr3", c->mmu.flush_cr3);
	set(o, "flush.cr4", c->mmu.flush_cr4);
	set(o, "flush.all", c->mmu.flush_all);
	return o;
}

/* ---- timeline -------------------------------------------------------------------------------- */

static json_t *event(struct recorder *r, const struct cpu *cpu, const char *kind)
{
	if (json_array_size(r->timeline) >= TIMELINE_MAX) {
		r->dropped++;
		return NULL;
	}
	json_t *o = json_object();
	json_object_set_new(o, "at", json_integer((json_int_t)cpu_icount(cpu)));
	view_text(o, "phase", r->phase[r->now].name);
	view_text(o, "kind", kind);
	view_num(o, "cpl", cpu->cpl);
	view_bool(o, "root", !vmx_nonroot(cpu));
	view_text(o, "mode", lab_cpu_mode(cpu));
	json_array_append_new(r->timeline, o);
	return o;
}

/* The running instruction's text: what brought the processor to another ring when no event did. */
static void instruction_text(struct cpu *cpu, char *buf, size_t n)
{
	struct decode_mode mode = {.bits = (u8)(16u << (cpu->mode & MODE_BITS)), .feat = cpu->feat};
	static const unsigned ways[] = {ACC_X, ACC_R | ACC_SYS, ACC_R | ACC_USER};
	struct walk_record rec;
	struct xlat x;
	struct insn in;
	struct fault keep = cpu->fault;
	struct vm_fault keep_vm = cpu->vm_fault;
	u8 bytes[15];

	snprintf(buf, n, "?");
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		int bad = mmu_walk_record(cpu, cpu->insn_rip, ways[i], &x, &rec);
		cpu->fault = keep;
		cpu->vm_fault = keep_vm;
		if (bad)
			continue;
		unsigned have = (unsigned)(4096 - (x.gpa & 4095));
		if (have > 15)
			have = 15;
		phys_read(cpu, x.gpa, bytes, have);
		if ((cpu->mode & MODE_LMA) && (bytes[0] & 0xf8) == 0x48) /* REX.W: it left 64-bit mode */
			mode.bits = 64;
		if (insn_decode(&mode, bytes, have, &in) == DECODE_OK)
			snprintf(buf, n, "%s", insn_rows[in.row].mnemonic);
		return;
	}
}

static void edge(struct recorder *r, unsigned from, unsigned to, bool root, const char *via)
{
	unsigned i = 0;

	while (i < r->edges && (r->edge[i].from != from || r->edge[i].to != to || r->edge[i].root != root ||
				strcmp(r->edge[i].via, via)))
		i++;
	if (i == EDGES_MAX)
		return;
	if (i == r->edges) {
		r->edges++;
		r->edge[i] = (struct edge){.from = (u8)from, .to = (u8)to, .root = root};
		snprintf(r->edge[i].via, sizeof(r->edge[i].via), "%s", via);
	}
	r->edge[i].count++;
}

static void ring_changed(struct recorder *r, struct cpu *cpu, unsigned from, unsigned to)
{
	char via[64];

	if (r->via[0] && r->via_at == cpu_icount(cpu))
		snprintf(via, sizeof(via), "%s", r->via);
	else
		instruction_text(cpu, via, sizeof(via));
	r->via[0] = 0;
	r->total.cpl[from & 3][to & 3]++;
	edge(r, from, to, !vmx_nonroot(cpu), via);
	json_t *o = event(r, cpu, "ring");
	if (o) {
		view_num(o, "from", from);
		view_num(o, "to", to);
		view_text(o, "via", via);
	}
}

static void remember_via(struct recorder *r, const struct cpu *cpu, const char *text)
{
	snprintf(r->via, sizeof(r->via), "%s", text);
	r->via_at = cpu_icount(cpu);
}

static void exception_seen(struct recorder *r, const struct cpu *cpu, const struct seen *s)
{
	char text[40];
	json_t *o;

	snprintf(text, sizeof(text), "#%s", fault_names[s->n & 31]);
	r->total.fault[s->n & 31]++;
	if ((o = event(r, cpu, "exception"))) {
		view_text(o, "via", text);
		view_hex(o, "error", s->value, 0);
		if (cpu->fault.why)
			view_text(o, "why", cpu->fault.why);
	}
	remember_via(r, cpu, text);
}

static void interrupt_seen(struct recorder *r, const struct cpu *cpu, const struct seen *s)
{
	char text[40];
	json_t *o;

	snprintf(text, sizeof(text), "interrupt %u", s->n);
	r->total.interrupts++;
	if ((o = event(r, cpu, "interrupt")))
		view_text(o, "via", text);
	remember_via(r, cpu, text);
}

static void vmx_seen(struct recorder *r, const struct cpu *cpu, const struct seen *s)
{
	unsigned reason = s->n & 0xffff;
	const char *name = s->n == WATCH_VM_ENTRY ? "VM entry" : vmx_reason_name(reason);
	json_t *o;

	if (s->n == WATCH_VM_ENTRY) {
		r->total.entries++;
	} else if (s->n & BIT(31)) {
		r->total.failed_entries++;
	} else {
		r->total.exits++;
		if (reason < VR_COUNT)
			r->total.exit[reason]++;
	}
	if ((o = event(r, cpu, s->n == WATCH_VM_ENTRY ? "vmentry" : s->n & BIT(31) ? "vmfail" : "vmexit")))
		view_text(o, "via", name ? name : "?");
	remember_via(r, cpu, s->n == WATCH_VM_ENTRY ? "VM entry" : "VM exit");
}

static void msr_seen(struct recorder *r, const struct seen *s)
{
	if (s->write)
		r->total.wrmsr++;
	else
		r->total.rdmsr++;
}

static void cr_seen(struct recorder *r, const struct seen *s)
{
	if (s->n == 0)
		r->total.cr0++;
	else if (s->n == 3)
		r->total.cr3++;
	else if (s->n == 4)
		r->total.cr4++;
}

/* ---- what the guest says --------------------------------------------------------------------- */

static void output(struct recorder *r, const char *s, size_t n)
{
	size_t room = OUTPUT_MAX - r->output_n;

	if (n > room) {
		r->output_dropped += n - room;
		n = room;
	}
	memcpy(r->output + r->output_n, s, n);
	r->output_n += n;
}

static void note(struct recorder *r, const char *text)
{
	if (!r->note[0])
		snprintf(r->note, sizeof(r->note), "%s", text);
}

static void phase_begins(struct recorder *r, const struct cpu *cpu, const char *name)
{
	unsigned i = 0;

	count(r, cpu, false);
	while (i < r->phases && strcmp(r->phase[i].name, name))
		i++;
	if (i == PHASES_MAX) {
		note(r, "more phases than are kept (128): the rest counts to the last");
		return;
	}
	if (i == r->phases) {
		r->phases++;
		snprintf(r->phase[i].name, sizeof(r->phase[i].name), "%s", name);
		r->phase[i].from = r->phase[i].to = cpu_icount(cpu);
		if (!r->phase[i].obs)
			r->phase[i].obs = json_object();
	}
	r->now = i;
	json_t *o = event(r, cpu, "phase");
	if (o)
		view_text(o, "via", name);
}

static void observed(struct recorder *r, const char *text)
{
	char name[48];
	const char *space = strchr(text, ' ');
	char *end;

	if (!space || space - text >= (long)sizeof(name)) {
		note(r, "an @obs line without a value, or with too long a name");
		return;
	}
	memcpy(name, text, (size_t)(space - text));
	name[space - text] = 0;
	u64 v = strtoull(space + 1, &end, 0);
	json_t *obs = r->phase[r->now].obs;
	if (json_object_size(obs) < OBS_MAX)
		json_object_set_new(obs, name, json_integer((json_int_t)v));
	else
		note(r, "more observations in a phase than are kept (200)");
}

static void record_walk(struct recorder *r, struct cpu *cpu, u64 address)
{
	struct fault keep = cpu->fault;
	struct vm_fault keep_vm = cpu->vm_fault;
	struct walk_record rec = {0};
	struct xlat x = {0};

	if (json_array_size(r->walks) >= WALKS_MAX)
		return;
	int bad = mmu_walk_record(cpu, address, ACC_R, &x, &rec);
	cpu->fault = keep;
	cpu->vm_fault = keep_vm;
	json_object_set_new(r->phase[r->now].obs, "walk.entries", json_integer(rec.n));
	json_t *w = view_object(r->walks, NULL);
	view_text(w, "phase", r->phase[r->now].name);
	view_hex(w, "address", address, 0);
	view_num(w, "cpl", cpu->cpl);
	view_bool(w, "root", !vmx_nonroot(cpu));
	json_t *steps = view_array(w, "steps");
	for (unsigned i = 0; i < rec.n; i++) {
		json_t *s = view_object(steps, NULL);
		view_num(s, "level", rec.step[i].level);
		view_num(s, "stage", rec.step[i].stage);
		view_hex(s, "at", rec.step[i].entry_gpa, 0);
		view_hex(s, "entry", rec.step[i].entry, 16);
	}
	if (bad) {
		view_text(w, "verdict", rec.verdict ? rec.verdict : "not translated");
	} else {
		view_hex(w, "gpa", x.gpa, 0);
		view_num(w, "page_size", x.page_size);
	}
}

static void line_done(struct recorder *r, struct cpu *cpu)
{
	char *l = r->line;

	l[r->line_n] = 0;
	if (!strncmp(l, "@phase ", 7)) {
		phase_begins(r, cpu, l + 7);
	} else if (!strncmp(l, "@obs ", 5)) {
		observed(r, l + 5);
	} else if (!strncmp(l, "@walk ", 6)) {
		record_walk(r, cpu, strtoull(l + 6, NULL, 0));
	} else if (!strncmp(l, "@show ", 6)) {
		if (json_array_size(r->shows) < SHOWS_MAX)
			lab_show(r->shows, r->mon, cpu, r->phase[r->now].name, l + 6);
	} else if (strncmp(l, "@end ", 5) != 0) { /* for other emulators */
		output(r, l, r->line_n);
		output(r, "\n", 1);
	}
	r->line_n = 0;
}

static void said(struct recorder *r, struct cpu *cpu, u8 c)
{
	if (c == '\r')
		return;
	if (c == '\n')
		line_done(r, cpu);
	else if (r->line_n < LINE_MAX_BYTES - 1)
		r->line[r->line_n++] = (char)c;
	else
		r->output_dropped++;
}

static void io_seen(struct recorder *r, struct cpu *cpu, const struct seen *s)
{
	if (s->write)
		r->total.io_out++;
	else
		r->total.io_in++;
	if (s->write && s->n == PORT_TEXT)
		said(r, cpu, (u8)s->value);
	else if (s->write && s->n == PORT_COUNT)
		count(r, cpu, s->value & 1);
}

static void seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct recorder *r = ctx;

	switch (s->kind) {
	case WATCH_EXCEPTION: exception_seen(r, cpu, s); break;
	case WATCH_INTERRUPT: interrupt_seen(r, cpu, s); break;
	case WATCH_CPL: ring_changed(r, cpu, (unsigned)s->old, (unsigned)s->value); break;
	case WATCH_CR: cr_seen(r, s); break;
	case WATCH_MSR: msr_seen(r, s); break;
	case WATCH_IO: io_seen(r, cpu, s); break;
	case WATCH_VMX: vmx_seen(r, cpu, s); break;
	case WATCH_TASK:
		r->total.tasks++;
		remember_via(r, cpu, "task switch");
		break;
	case WATCH_MODE: event(r, cpu, "mode"); break;
	default: break;
	}
}

/* ---- a run ----------------------------------------------------------------------------------- */

static json_t *edges_json(const struct recorder *r)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < r->edges; i++) {
		json_t *o = view_object(a, NULL);
		view_num(o, "from", r->edge[i].from);
		view_num(o, "to", r->edge[i].to);
		view_bool(o, "root", r->edge[i].root);
		view_text(o, "via", r->edge[i].via);
		view_num(o, "count", r->edge[i].count);
	}
	return a;
}

/* The fault that ended it, at length: a triple fault, or what the guest gave up at. */
static void explain_end(json_t *end, const struct recorder *r, const struct machine_result *res)
{
	json_t *tree = NULL;
	char *text;

	if (res->reason == END_TRIPLE_FAULT)
		tree = explain_shutdown(r->m, 0, NULL);
	else if (res->reason == END_DEBUG_EXIT && res->debug_code)
		tree = explain_last(r->m, 0, -1, NULL);
	if (tree && (text = explain_to_text(tree))) {
		json_object_set(end, "fault", tree);
		json_object_set_new(end, "explanation", json_sprintf("%s%s", res->debug_code ? "the guest gave up; its last exception:\n" : "", text));
		free(text);
	}
	json_decref(tree);
}

static void end_json(json_t *run, const struct recorder *r, const struct machine_result *res, u64 budget)
{
	json_t *o = view_object(run, "end");
	const char *reason = end_reason_name(res->reason);

	if (res->reason == END_DEBUG_EXIT)
		reason = res->debug_code == 0 ? "finished" : "gave-up";
	view_text(o, "reason", reason);
	view_num(o, "code", res->debug_code);
	view_num(o, "instructions", res->instructions);
	view_num(o, "budget", budget);
	view_hex(o, "rip", res->rip, 0);
	if (res->reason == END_MAX_INSNS)
		view_format(o, "explanation",
			    "it was still running at %04x:%llx, in phase '%s', when its budget of %llu instructions was spent: a "
			    "loop that never ends, or more work than the budget allows",
			    res->cs, (unsigned long long)res->rip, r->phase[r->now].name, (unsigned long long)budget);
	else if (*res->explanation)
		view_text(o, "explanation", res->explanation);
	else if (res->reason == END_DEBUG_EXIT && res->debug_code)
		view_format(o, "explanation", "the guest gave up with code %u; its last lines say why", res->debug_code);
	else if (res->reason == END_TIMEOUT)
		view_text(o, "explanation", "it took more than a minute of real time");
	explain_end(o, r, res);
	if (r->note[0])
		view_text(o, "note", r->note);
}

static json_t *run_json(const struct lab *l, struct recorder *r, const struct machine_result *res)
{
	json_t *run = json_object();

	view_text(run, "lab", l->name);
	view_text(run, "title", json_string_value(json_object_get(l->desc, "title")));
	end_json(run, r, res, lab_budget(l));
	for (size_t i = 0; i < r->output_n; i++) /* JSON wants text */
		if ((u8)r->output[i] >= 0x7f || ((u8)r->output[i] < 0x20 && r->output[i] != '\n' && r->output[i] != '\t'))
			r->output[i] = '?';
	json_object_set_new(run, "output", json_stringn(r->output, r->output_n));
	view_num(run, "output_dropped", r->output_dropped);
	json_t *phases = view_array(run, "phases");
	for (unsigned i = 0; i < r->phases; i++) {
		json_t *p = view_object(phases, NULL);
		view_text(p, "name", r->phase[i].name);
		json_object_set(p, "obs", r->phase[i].obs);
		json_object_set_new(p, "counts", counts_json(&r->phase[i].sum));
		view_num(p, "from", r->phase[i].from);
		view_num(p, "to", r->phase[i].to);
	}
	json_object_set(run, "timeline", r->timeline);
	view_num(run, "timeline_dropped", r->dropped);
	json_object_set_new(run, "edges", edges_json(r));
	json_object_set(run, "walks", r->walks);
	json_object_set(run, "shows", r->shows);
	return run;
}

static void recorder_free(struct recorder *r)
{
	for (unsigned i = 0; i < PHASES_MAX; i++)
		json_decref(r->phase[i].obs);
	json_decref(r->timeline);
	json_decref(r->walks);
	json_decref(r->shows);
	free(r->output);
	free(r);
}

static struct recorder *recorder_new(void)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r || !(r->output = malloc(OUTPUT_MAX))) {
		free(r);
		return NULL;
	}
	r->timeline = json_array();
	r->walks = json_array();
	r->shows = json_array();
	r->phase[0].obs = json_object(); /* what comes before the first phase */
	snprintf(r->phase[0].name, sizeof(r->phase[0].name), "start");
	r->watch = (struct cpu_watch){
	    .ctx = r,
	    .seen = seen,
	    .wants = WATCH_BIT(WATCH_EXCEPTION) | WATCH_BIT(WATCH_INTERRUPT) | WATCH_BIT(WATCH_CPL) | WATCH_BIT(WATCH_MODE) |
		     WATCH_BIT(WATCH_CR) | WATCH_BIT(WATCH_MSR) | WATCH_BIT(WATCH_IO) | WATCH_BIT(WATCH_VMX) | WATCH_BIT(WATCH_TASK),
	};
	r->phases = 1;
	return r;
}

json_t *lab_run(const struct lab *l, struct errtext *e)
{
	struct machine_config cfg;
	struct machine_result res;
	const char *cpu = json_string_value(json_object_get(l->desc, "cpu"));
	u64 mib = 32;
	struct recorder *r = recorder_new();

	if (!r) {
		err_set(e, -ENOMEM, "no memory");
		return NULL;
	}
	machine_config_init(&cfg);
	lab_number(json_object_get(l->desc, "memory"), &mib);
	cfg.ram_bytes = mib << 20;
	cfg.cpu = cpu ? cpu : "max";
	cfg.embedded_kernel = l->image;
	cfg.embedded_kernel_bytes = l->image_bytes;
	cfg.embedded_name = l->name;
	cfg.device[0] = "isa-debug-exit,iobase=0xf4";
	cfg.no_vga = true;
	cfg.no_reboot = true;
	cfg.log_classes = 0;
	cfg.max_insns = lab_budget(l);
	cfg.timeout_ns = HOST_LIMIT_NS;
	if (machine_create(&cfg, &r->m, e)) {
		recorder_free(r);
		return NULL;
	}
	r->dbg = dbg_create(r->m);
	r->mon = r->dbg ? monitor_create(r->dbg) : NULL;
	watch_add(machine_cpu(r->m, 0), &r->watch);
	machine_run(r->m);
	count(r, machine_cpu(r->m, 0), false);
	if (r->line_n)
		line_done(r, machine_cpu(r->m, 0));
	machine_result(r->m, &res);
	json_t *run = run_json(l, r, &res);
	watch_remove(machine_cpu(r->m, 0), &r->watch);
	if (r->mon)
		monitor_destroy(r->mon);
	if (r->dbg)
		dbg_destroy(r->dbg);
	machine_destroy(r->m);
	recorder_free(r);
	return run;
}
