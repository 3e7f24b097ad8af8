/* The debugger's core: stops, and how the machine goes on from them. */
#include "debug/debugger_internal.h"

/* ---- stops -------------------------------------------------------------------------------------------------------- */

static void publish(struct debugger *d)
{
	host_monitor_enter(d->lock);
	d->news = d->stop;
	host_monitor_notify(d->lock);
	host_monitor_leave(d->lock);
}

static void tell_stopped(struct debugger *d)
{
	publish(d);
	for (struct dbg_listener *l = d->listeners, *next; l; l = next) {
		next = l->next;
		if (l->stopped)
			l->stopped(l->ctx, &d->stop);
	}
}

static void stand(struct debugger *d)
{
	for (unsigned i = 0; i < MACHINE_CPUS; i++) {
		struct cpu *cpu = machine_cpu(d->m, i);
		if (cpu)
			d->stood[i] = (struct stood){true, cpu_icount(cpu), dbg_pc(cpu)};
	}
}

/* The machine stands: whatever was found becomes the stop. */
static void on_stopped(void *ctx)
{
	struct debugger *d = ctx;
	if (!d->found.kind)
		d->found = (struct dbg_stop){.kind = STOP_PAUSED, .cpu = machine_running_cpu(d->m)->index};
	d->stop = d->found;
	d->found = (struct dbg_stop){0};
	d->stop.serial = ++d->serial;
	d->selected = machine_cpu(d->m, d->stop.cpu);
	d->stop.icount = cpu_icount(d->selected);
	if (d->stop.kind == STOP_PAUSED)
		d->stop.insn_rip = d->selected->rip;
	d->run_cpu = NULL;
	dbg_bp_sweep(d, true);
	if (d->attached)
		dbg_refresh(d);
	stand(d);
	tell_stopped(d);
}

static void set_running(struct debugger *d)
{
	d->stop = (struct dbg_stop){0};
	publish(d);
	for (struct dbg_listener *l = d->listeners; l; l = l->next)
		if (l->resumed)
			l->resumed(l->ctx);
}

/* Somebody else let it go: the window's menu. */
static void on_resumed(void *ctx)
{
	struct debugger *d = ctx;
	if (d->stop.kind)
		set_running(d);
}

static void on_reset(void *ctx)
{
	struct debugger *d = ctx;
	memset(d->stood, 0, sizeof(d->stood));
	for (struct dbg_listener *l = d->listeners; l; l = l->next)
		if (l->reset)
			l->reset(l->ctx);
}

const struct dbg_stop *dbg_stopped(struct debugger *d)
{
	return &d->stop;
}

void dbg_listen(struct debugger *d, struct dbg_listener *l)
{
	l->next = d->listeners;
	d->listeners = l;
}

void dbg_unlisten(struct debugger *d, struct dbg_listener *l)
{
	for (struct dbg_listener **p = &d->listeners; *p; p = &(*p)->next)
		if (*p == l) {
			*p = l->next;
			return;
		}
}

/* ---- running ------------------------------------------------------------------------------------------------------ */

static bool calls(const struct insn *in)
{
	const char *name = insn_rows[in->row].mnemonic;
	return !strncmp(name, "call", 4) || !strncmp(name, "int", 3) || !strcmp(name, "syscall") ||
	       (in->prefixes & (PFX_REP | PFX_REPNE) && insn_rows[in->row].attr & IA_REP);
}

/* One RUN_NEXT: over a call as to a break point behind it, over the rest as a step. */
static bool next_by_break(struct debugger *d, struct cpu *cpu)
{
	struct insn in;
	u64 pc = dbg_pc(cpu);
	unsigned n = dbg_decode(cpu, pc, 0, &in, NULL);
	return n && calls(&in) && dbg_bp_internal(d, cpu_long64(cpu) ? pc + n : (u32)(pc + n), cpu, cpu->r[RSP]);
}

static void prepare(struct debugger *d, const struct run_spec *r)
{
	struct cpu *cpu = dbg_cpu(d);
	d->run = *r;
	d->found = (struct dbg_stop){0};
	d->run_cpu = r->kind == RUN_CONT || r->kind == RUN_UNTIL ? NULL : cpu;
	d->left = MAX(r->count, 1ull);
	d->run_sp = cpu->r[RSP];
	d->returning = false;
	stand(d);
	if (r->kind == RUN_UNTIL && !dbg_bp_internal(d, r->arg, NULL, 0))
		d->run_cpu = cpu;
	if (r->kind == RUN_NEXT && d->left == 1 && next_by_break(d, cpu))
		d->run_cpu = NULL;
	if (d->run_cpu || d->attached || d->bps)
		dbg_refresh(d);
}

int dbg_go(struct debugger *d, const struct run_spec *r)
{
	if (d->ended)
		return -EINVAL;
	if (!machine_paused(d->m) || !d->stop.kind)
		return -EBUSY;
	prepare(d, r);
	set_running(d);
	machine_resume(d->m);
	return 0;
}

void dbg_interrupt(struct debugger *d)
{
	machine_interrupt(d->m);
}

bool dbg_wait(struct debugger *d, u64 timeout_ns, struct dbg_stop *out)
{
	u64 from = host_monotonic_ns();
	bool stands;
	host_monitor_enter(d->lock);
	for (;;) {
		u64 spent = host_monotonic_ns() - from;
		stands = d->news.kind;
		if (stands || spent >= timeout_ns)
			break;
		if (timeout_ns == UINT64_MAX)
			host_monitor_wait(d->lock);
		else
			host_monitor_wait_for(d->lock, timeout_ns - spent);
	}
	*out = d->news;
	host_monitor_leave(d->lock);
	return stands;
}

const struct dbg_stop *dbg_run(struct debugger *d, const struct run_spec *r)
{
	enum end_reason end;
	machine_return_when_stopped(d->m, true);
	prepare(d, r);
	d->stop = (struct dbg_stop){0};
	d->ended = false;
	machine_resume(d->m);
	end = machine_run(d->m);
	if (end != END_STOPPED)
		dbg_ended(d, end);
	return &d->stop;
}

void dbg_ended(struct debugger *d, enum end_reason why)
{
	d->ended = true;
	d->stop = (struct dbg_stop){.kind = STOP_ENDED,
				    .serial = ++d->serial,
				    .end = why,
				    .cpu = machine_running_cpu(d->m)->index,
				    .insn_rip = machine_running_cpu(d->m)->rip,
				    .icount = cpu_icount(machine_running_cpu(d->m))};
	d->selected = machine_running_cpu(d->m);
	tell_stopped(d);
}

void dbg_stand_at(struct debugger *d, const struct dbg_stop *s)
{
	memset(d->stood, 0, sizeof(d->stood));
	d->stop = *s;
	d->stop.serial = ++d->serial;
	d->selected = machine_cpu(d->m, s->cpu);
	d->stop.icount = cpu_icount(d->selected);
	if (s->kind != STOP_BREAK)
		d->stop.insn_rip = d->selected->rip;
	if (d->attached)
		dbg_refresh(d);
	stand(d);
	tell_stopped(d);
}

void dbg_moved(struct debugger *d)
{
	const struct dbg_stop s = {.kind = STOP_PAUSED, .cpu = machine_running_cpu(d->m)->index};
	memset(d->stood, 0, sizeof(d->stood));
	if (d->stop.kind && d->stop.kind != STOP_ENDED)
		dbg_stand_at(d, &s);
	else if (d->attached)
		dbg_refresh(d);
}

/* ---- the rest ----------------------------------------------------------------------------------------------------- */

struct cpu *dbg_cpu(struct debugger *d)
{
	return d->selected ? d->selected : machine_running_cpu(d->m);
}

bool dbg_select(struct debugger *d, unsigned cpu)
{
	struct cpu *c = machine_cpu(d->m, cpu);
	if (c)
		d->selected = c;
	return c;
}

struct machine *dbg_machine(struct debugger *d)
{
	return d->m;
}

struct symbols *dbg_symbols(struct debugger *d)
{
	return d->symbols;
}

struct debugger *dbg_create(struct machine *m)
{
	struct debugger *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->m = m;
	d->symbols = symbols_create();
	d->lock = host_monitor_create();
	d->watch = (struct cpu_watch){.ctx = d,
				      .probe = dbg_on_probe,
				      .seen = dbg_on_seen,
				      .probe_wanted = dbg_probe_wanted,
				      .page_wanted = dbg_page_wanted};
	if (!d->symbols || !d->lock) {
		dbg_destroy(d);
		return NULL;
	}
	const struct machine_observer o = {d, on_stopped, on_resumed, on_reset};
	machine_observe(m, &o);
	return d;
}

void dbg_destroy(struct debugger *d)
{
	if (!d)
		return;
	machine_observe(d->m, NULL);
	dbg_bp_free_all(d);
	d->run_cpu = NULL;
	dbg_refresh(d);
	symbols_free(d->symbols);
	host_monitor_destroy(d->lock);
	free(d);
}
