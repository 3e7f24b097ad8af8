/* Live views of privilege. See rings.h. */
#include "debug/rings.h"

#include <stdlib.h>
#include <string.h>
#include "debug/events.h"

struct lane {
	u64 since; /* counted up to here */
	u8 cpl;
	bool root;
	struct mmu_stats mmu; /* at the beginning */
	u64 from;
};

struct rings {
	struct machine *m;
	struct cpu_watch watch;
	struct events ev;
	struct event newest[RINGS_EVENTS]; /* a ring: the event number n is at n % RINGS_EVENTS */
	u64 first, next;
	struct lane lane[MACHINE_CPUS];
	u64 spent[2][4]; /* instructions by root (1) or not, and ring */
};

#define WANTS (EVENTS_WANTS | WATCH_BIT(WATCH_CR) | WATCH_BIT(WATCH_MSR) | WATCH_BIT(WATCH_IO))

/* ---- recording ------------------------------------------------------------------------------------------------------ */

/* The instructions up to now belong to where the processor was; from here on to @cpl and @root. */
static void settle(struct rings *r, const struct cpu *cpu, unsigned cpl, bool root)
{
	struct lane *l = &r->lane[cpu->index];
	u64 now = cpu_icount(cpu);
	if (now > l->since) /* it may have been moved back in time */
		r->spent[l->root][l->cpl & 3] += now - l->since;
	l->since = now;
	l->cpl = (u8)cpl;
	l->root = root;
}

/* Back in time (a snapshot, a debugger): what is to come has not happened. */
static void forget_future(struct rings *r, const struct event *e)
{
	while (r->next > r->first && r->newest[(r->next - 1) % RINGS_EVENTS].cpu == e->cpu &&
	       r->newest[(r->next - 1) % RINGS_EVENTS].at > e->at)
		r->next--;
}

static void happened(void *ctx, struct cpu *cpu, const struct event *e)
{
	struct rings *r = ctx;
	const struct lane *l = &r->lane[cpu->index];
	bool root = e->kind == EVENT_VMENTRY ? false : e->kind == EVENT_VMEXIT ? true : e->kind == EVENT_RING ? e->root : l->root;
	settle(r, cpu, e->kind == EVENT_RING ? e->to : l->cpl, root);
	forget_future(r, e);
	r->newest[r->next++ % RINGS_EVENTS] = *e;
	if (r->next - r->first > RINGS_EVENTS)
		r->first = r->next - RINGS_EVENTS;
}

static void on_seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct rings *r = ctx;
	events_seen(&r->ev, cpu, s);
}

struct rings *rings_of(struct machine *m)
{
	const struct cpu *cpu = machine_cpu(m, 0);
	for (struct cpu_watch *w = cpu->watchers ? cpu->watchers->first : NULL; w; w = w->next)
		if (w->seen == on_seen)
			return w->ctx;
	return NULL;
}

void rings_clear(struct rings *r)
{
	const struct cpu *cpu;
	memset(&r->ev, 0, sizeof(r->ev));
	memset(r->spent, 0, sizeof(r->spent));
	r->ev.happened = happened;
	r->ev.ctx = r;
	r->first = r->next = 0;
	for (unsigned i = 0; (cpu = machine_cpu(r->m, i)); i++)
		r->lane[i] = (struct lane){.since = cpu_icount(cpu),
					   .from = cpu_icount(cpu),
					   .cpl = cpu->cpl,
					   .root = !vmx_nonroot(cpu),
					   .mmu = *mmu_stats(cpu)};
}

struct rings *rings_start(struct machine *m)
{
	struct rings *r = rings_of(m);
	if (r || !(r = calloc(1, sizeof(*r))))
		return r;
	r->m = m;
	rings_clear(r);
	r->watch = (struct cpu_watch){.ctx = r, .seen = on_seen, .wants = WANTS};
	watch_add(machine_cpu(m, 0), &r->watch);
	return r;
}

void rings_free(struct rings *r)
{
	if (!r)
		return;
	watch_remove(machine_cpu(r->m, 0), &r->watch);
	free(r);
}

/* ---- views ---------------------------------------------------------------------------------------------------------- */

#define OFF "nothing is recorded; 'rings on' begins"

static void put_cpus(json_t *v, struct machine *m, unsigned selected)
{
	static const char *const activity[] = {"active", "halted", "shutdown", "wait-for-SIPI", "mwait", "tpause", "umwait"};
	json_t *o = view_object(v, "now"), *a = view_array(o, "cpus");
	const struct cpu *cpu;
	view_text(o, "_rows", "{_mark:-2}CPU {cpu}: ring {cpl}, {mode}{_root}, CS 0x{_cs}, at {pc}, {activity}");
	for (unsigned i = 0; (cpu = machine_cpu(m, i)); i++) {
		json_t *c = view_object(a, NULL);
		u64 pc = cpu_long64(cpu) ? cpu->rip : (u32)(cpu->rip + seg_base(cpu, CS));
		view_text(c, "_mark", i == selected ? "*" : "");
		view_num(c, "cpu", i);
		view_num(c, "cpl", cpu->cpl);
		view_bool(c, "root", !vmx_nonroot(cpu));
		view_text(c, "_root", vmx_nonroot(cpu) ? ", VMX non-root" : cpu->vmx_mode ? ", VMX root" : "");
		view_text(c, "mode", cpu->smm ? "SMM" : event_mode(cpu));
		view_hex(c, "cs", cpu->seg[CS].sel, 4);
		view_format(c, "_cs", "%x", cpu->seg[CS].sel);
		view_hex(c, "pc", pc, 0);
		view_text(c, "activity", activity[MIN(cpu->activity, CPU_UMWAIT)]);
	}
}

static u64 settled(struct rings *r)
{
	u64 all = 0;
	const struct cpu *cpu;
	for (unsigned i = 0; (cpu = machine_cpu(r->m, i)); i++)
		settle(r, cpu, cpu->cpl, !vmx_nonroot(cpu));
	for (unsigned i = 0; i < 8; i++)
		all += r->spent[i / 4][i % 4];
	return all;
}

/* Instructions in each ring, with bars for those who read text. */
static void put_spent(json_t *v, const struct rings *r, u64 all)
{
	json_t *o = view_object(v, "spent"), *a = view_array(o, "rings");
	view_text(o, "_rows", "{_name:-18}{_bar:-40} {percent}%  {instructions}");
	for (unsigned i = 0; i < 8; i++) {
		bool root = i < 4;
		u64 n = r->spent[root][i % 4];
		char bar[41] = "";
		if (!n && !root)
			continue;
		json_t *row = view_object(a, NULL);
		memset(bar, '#', all ? (size_t)(40.0 * (double)n / (double)all + 0.5) : 0);
		view_num(row, "ring", i % 4);
		view_bool(row, "root", root);
		view_format(row, "_name", "ring %u%s", i % 4, root ? "" : " non-root");
		view_text(row, "_bar", bar);
		view_format(row, "percent", "%.1f", all ? 100.0 * (double)n / (double)all : 0.0);
		view_num(row, "instructions", n);
	}
}

static void put_newest(json_t *v, const struct rings *r, const struct symbols *s)
{
	for (u64 i = r->next; i-- > r->first;) {
		const struct event *e = &r->newest[i % RINGS_EVENTS];
		char name[300] = "";
		if (e->kind != EVENT_RING)
			continue;
		json_t *o = view_object(v, "newest");
		view_num(o, "cpu", e->cpu);
		view_num(o, "at", e->at);
		view_num(o, "from", e->from);
		view_num(o, "to", e->to);
		view_bool(o, "root", e->root);
		view_text(o, "via", e->via);
		view_hex(o, "rip", e->rip, 0);
		view_text(o, "symbol", s ? symbols_format(s, e->rip, name, sizeof(name)) : "");
		view_text(o, "gate", e->edge >= 0 ? r->ev.edge[e->edge].gate : "");
		view_num(o, "edge", (u64)(e->edge + 1));
		view_text(o, "_line", *name ? "the newest: ring {from} -> ring {to} by {via} at {rip} <{symbol}>; {gate}"
					    : "the newest: ring {from} -> ring {to} by {via} at {rip}; {gate}");
		return;
	}
}

json_t *rings_view(struct machine *m, unsigned selected, const struct symbols *s)
{
	struct rings *r = rings_of(m);
	const struct cpu *cpu = machine_cpu(m, selected);
	json_t *v = json_object();
	view_text(v, "_picture", "rings");
	view_bool(v, "recording", r != NULL);
	view_num(v, "cpl", cpu->cpl);
	view_bool(v, "root", !vmx_nonroot(cpu));
	view_text(v, "mode", cpu->smm ? "SMM" : event_mode(cpu));
	view_text(v, "_line", "CPU {_cpu}: ring {cpl}, {mode} mode{_root}{_off}");
	view_num(v, "_cpu", selected);
	view_text(v, "_root", vmx_nonroot(cpu) ? ", VMX non-root" : cpu->vmx_mode ? ", VMX root" : "");
	view_text(v, "_off", r ? "" : "; " OFF);
	view_text(v, "_rows", "ring {from} -> ring {to}{_where} {count:9} times by {via:-20} {gate}");
	put_cpus(v, m, selected);
	if (!r)
		return v;
	u64 all = settled(r);
	view_num(v, "instructions", all);
	put_spent(v, r, all);
	put_newest(v, r, s);
	json_object_set_new(v, "edges", event_edges_view(&r->ev, true));
	view_num(v, "edges_dropped", r->ev.edges_dropped);
	return v;
}

json_t *rings_timeline(struct machine *m, unsigned max)
{
	struct rings *r = rings_of(m);
	json_t *v = json_object(), *a;
	view_text(v, "_picture", "timeline");
	if (!r)
		view_text(v, "_title", OFF);
	view_text(v, "_rows", "{_lane:-14}{cpu:2} {at:14} {kind:-10}{_what} {why}");
	a = view_array(v, "timeline");
	u64 from = r ? r->next - MIN((u64)max, r->next - r->first) : 0;
	for (u64 i = from; r && i < r->next; i++) {
		const struct event *e = &r->newest[i % RINGS_EVENTS];
		json_t *o = view_object(a, NULL);
		view_num(o, "at", e->at);
		view_num(o, "cpu", e->cpu);
		event_view(o, e);
		view_hex(o, "rip", e->rip, 0);
		view_text(o, "gate", e->edge >= 0 ? r->ev.edge[e->edge].gate : "");
		view_format(o, "_lane", "%s%*s%u", e->root ? " " : "V", 3 * e->cpl, "", e->cpl);
		if (e->kind == EVENT_RING)
			view_format(o, "_what", "%u -> %u by %s", e->from, e->to, e->via);
		else
			view_text(o, "_what", e->kind == EVENT_MODE ? e->mode : e->via);
	}
	return v;
}

json_t *rings_counters(struct machine *m)
{
	struct rings *r = rings_of(m);
	json_t *v = json_object();
	const struct cpu *cpu;
	view_text(v, "_picture", "bars");
	view_text(v, "_title", r ? "Since the recorder was switched on:" : OFF);
	if (!r)
		return v;
	struct event_counts c = r->ev.total;
	for (unsigned i = 0; (cpu = machine_cpu(m, i)); i++) {
		const u64 *now = (const u64 *)mmu_stats(cpu), *then = (const u64 *)&r->lane[i].mmu;
		for (size_t k = 0; k < sizeof(c.mmu) / 8; k++)
			((u64 *)&c.mmu)[k] += now[k] - then[k];
		c.insns += cpu_icount(cpu) - r->lane[i].from;
	}
	json_object_set_new(v, "counts", event_counts_view(&c));
	return v;
}
