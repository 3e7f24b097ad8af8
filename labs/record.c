/*
 * Runs a lab's guest and records what there is to see: counters by phase, a timeline, walks. See labs.h, and labs/common/lab.h
 * for how the guest speaks.
 *
 * The guest is anybody's: it may loop, print without end, name a million phases. Everything kept is bounded.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/exec/exec.h"
#include "debug/events.h"
#include "debug/explain.h"
#include "debug/monitor.h"
#include "debug/tables.h"
#include "labs/labs.h"

#define PORT_TEXT 0xe9
#define PORT_COUNT 0xed
#define PORT_EXIT 0xf4
#define TIMELINE_MAX 3000
#define PHASES_MAX 128
#define OBS_MAX 200 /* in a phase */
#define WALKS_MAX 32
#define SHOWS_MAX 32
#define OUTPUT_MAX 65536
#define LINE_MAX_BYTES 400
#define HOST_LIMIT_NS 60000000000ull

struct phase {
	char name[48];
	struct event_counts sum;
	json_t *obs;
	char *fault; /* its first exception, at length; NULL: there was none */
	u64 from, to;
};

struct recorder {
	struct machine *m;
	struct debugger *dbg;
	struct monitor *mon; /* its views are what @show shows */
	struct cpu_watch watch;
	struct phase phase[PHASES_MAX];
	unsigned phases, now; /* phases: 0 until the guest names one */
	struct events ev;
	u32 events; /* the kinds that the timeline holds: BIT(enum event_kind) */
	struct event_counts at_start;
	bool counting;
	json_t *timeline, *walks, *shows;
	u64 dropped, output_dropped;
	char *output;
	size_t output_n;
	char line[LINE_MAX_BYTES];
	unsigned line_n;
	char note[200]; /* something of the guest's that was refused */
};

/* ---- counters -------------------------------------------------------------------------------- */

static struct event_counts snapshot(struct recorder *r, const struct cpu *cpu)
{
	struct event_counts c = r->ev.total;

	c.insns = cpu_icount(cpu);
	c.mmu = *mmu_stats(cpu);
	return c;
}

static void count(struct recorder *r, const struct cpu *cpu, bool on)
{
	if (on && !r->counting)
		r->at_start = snapshot(r, cpu);
	if (!on && r->counting) {
		struct event_counts c = snapshot(r, cpu);
		c.io_out--; /* the OUT that ends it */
		c.insns--;
		event_counts_add(&r->phase[r->now].sum, &c, &r->at_start);
		r->phase[r->now].to = cpu_icount(cpu);
	}
	r->counting = on;
}

/* ---- timeline -------------------------------------------------------------------------------- */

static json_t *timeline_add(struct recorder *r, const struct cpu *cpu)
{
	if (json_array_size(r->timeline) >= TIMELINE_MAX) {
		r->dropped++;
		return NULL;
	}
	json_t *o = view_object(r->timeline, NULL);
	view_num(o, "at", cpu_icount(cpu));
	view_text(o, "phase", r->phase[r->now].name);
	return o;
}

/* For who has to understand why a phase went another way than meant: the first exception of each. */
static void explain_first(struct recorder *r, struct cpu *cpu)
{
	struct phase *p = &r->phase[r->now];
	struct fault keep = cpu->fault;
	struct vm_fault keep_vm = cpu->vm_fault;

	if (p->fault)
		return;
	json_t *tree = explain_last(r->m, cpu->index, -1, NULL);
	char *words = tree ? explain_to_text(tree) : NULL;
	json_decref(tree);
	/* In an inner ring: how did it come there? */
	const struct event_edge *g = &r->ev.edge[r->ev.newest];
	if (words && cpu->cpl < 3 && g->to == cpu->cpl && g->count && g->last_at >= p->from &&
	    asprintf(&p->fault, "%s       before it    ring %u to ring %u by %s at 0x%llx, %s\n", words, g->from, g->to, g->via,
		     (unsigned long long)g->last_rip, g->gate) >= 0)
		free(words);
	else
		p->fault = words;
	cpu->fault = keep;
	cpu->vm_fault = keep_vm;
}

static void happened(void *ctx, struct cpu *cpu, const struct event *e)
{
	struct recorder *r = ctx;
	if (e->kind == EVENT_EXCEPTION)
		explain_first(r, cpu);
	json_t *o = r->events & BIT(e->kind) ? timeline_add(r, cpu) : NULL;
	if (o)
		event_view(o, e);
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
	json_t *o = timeline_add(r, cpu);
	if (!o)
		return;
	view_text(o, "kind", "phase");
	view_num(o, "cpl", cpu->cpl);
	view_bool(o, "root", !vmx_nonroot(cpu));
	view_text(o, "mode", event_mode(cpu));
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
	if (json_array_size(r->walks) >= WALKS_MAX)
		return;
	json_t *w = view_object(r->walks, NULL);
	view_text(w, "_picture", "walk");
	view_text(w, "phase", r->phase[r->now].name);
	view_format(w, "_where", " in %s", r->phase[r->now].name);
	view_hex(w, "linear", address, 0);
	view_num(w, "cpl", cpu->cpl);
	view_bool(w, "root", !vmx_nonroot(cpu));
	json_object_set_new(r->phase[r->now].obs, "walk.entries", json_integer(walk_view(w, cpu, address, ACC_R)));
}

/* What the monitor's info knows, as it is now. */
static void show(struct recorder *r, const char *what)
{
	static const char *const known[] = {"map", "gdt", "idt", "tss", "ldt", "vmcs", "registers", "cpus", NULL};
	struct errtext e = {"the monitor cannot be had"};
	unsigned i = 0;
	char line[40];
	if (json_array_size(r->shows) >= SHOWS_MAX)
		return;
	while (known[i] && strcmp(known[i], what) != 0)
		i++;
	snprintf(line, sizeof(line), "info %s", known[i] ? known[i] : "");
	json_t *v = r->mon && known[i] ? monitor_view(r->mon, line, false, &e) : NULL;
	if (!v) {
		v = json_object();
		view_text(v, "error", known[i] ? e.s : "@show knows map, gdt, idt, tss, ldt, vmcs, registers and cpus");
	}
	view_format(v, "_where", " in %s", r->phase[r->now].name);
	json_t *o = view_object(r->shows, NULL);
	view_text(o, "phase", r->phase[r->now].name);
	view_format(o, "what", "%.20s", what);
	json_object_set_new(o, "view", v);
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
		show(r, l + 6);
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
	events_seen(&r->ev, cpu, s);
	if (s->write && s->n == PORT_TEXT)
		said(r, cpu, (u8)s->value);
	else if (s->write && s->n == PORT_COUNT)
		count(r, cpu, s->value & 1);
}

static void seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct recorder *r = ctx;

	if (s->kind == WATCH_IO)
		io_seen(r, cpu, s);
	else
		events_seen(&r->ev, cpu, s);
}

/* ---- a run ----------------------------------------------------------------------------------- */

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
		json_object_set_new(
		    end, "explanation",
		    json_sprintf("%s%s", res->debug_code ? "the guest gave up; its last exception:\n" : "", text));
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
		json_object_set_new(p, "counts", event_counts_view(&r->phase[i].sum));
		if (r->phase[i].fault)
			view_text(p, "fault", r->phase[i].fault);
		view_num(p, "from", r->phase[i].from);
		view_num(p, "to", r->phase[i].to);
	}
	json_object_set(run, "timeline", r->timeline);
	view_num(run, "timeline_dropped", r->dropped);
	json_object_set_new(run, "edges", event_edges_view(&r->ev, false));
	json_object_set(run, "walks", r->walks);
	json_object_set(run, "shows", r->shows);
	return run;
}

static void recorder_free(struct recorder *r)
{
	for (unsigned i = 0; i < PHASES_MAX; i++) {
		json_decref(r->phase[i].obs);
		free(r->phase[i].fault);
	}
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
	    .wants = EVENTS_WANTS | WATCH_BIT(WATCH_CR) | WATCH_BIT(WATCH_MSR) | WATCH_BIT(WATCH_IO),
	};
	r->ev.happened = happened;
	r->ev.ctx = r;
	r->phases = 1;
	return r;
}

/* The kinds of events a lab's probes name; without: all. Exceptions always: they are the explanation of what went wrong. */
static u32 probed_events(const struct lab *l)
{
	const json_t *list = json_object_get(json_object_get(l->desc, "probes"), "events");
	u32 kinds = list ? BIT(EVENT_EXCEPTION) : ~0u;
	size_t i;
	json_t *v;

	json_array_foreach((json_t *)list, i, v)
		for (unsigned k = 0; event_kind_name(k); k++)
			if (!strcmp(event_kind_name(k), json_string_value(v)))
				kinds |= BIT(k);
	return kinds;
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
	r->events = probed_events(l);
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
