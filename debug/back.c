/* Back in time: break points found in the past, by running it again (machine/reverse.h). */
#include "debug/debugger_internal.h"
#include "machine/reverse.h"

/* The machine hides all watchers while it runs the past again: this one is for the search. */
static void begin(void *ctx, struct machine *m)
{
	struct debugger *d = ctx;
	d->past = SEARCHING;
	d->back_watch = d->watch;
	d->back_watch.wants = dbg_wants(d);
	watch_add(machine_cpu(m, 0), &d->back_watch);
}

static void end(void *ctx, struct machine *m)
{
	struct debugger *d = ctx;
	watch_remove(machine_cpu(m, 0), &d->back_watch);
	d->past = QUIET;
}

static int ready(struct debugger *d, struct reverse_state *s, struct errtext *e)
{
	struct machine_stats st;
	machine_stats(d->m, &st);
	machine_reverse_state(d->m, s);
	if (st.running && !st.paused)
		return err_set(e, -EBUSY, "the machine runs; stop it first");
	if (!s->on)
		return err_set(e, -EINVAL, "no history is kept: reverse on, best before the first instruction (-S)");
	return 0;
}

static void arrive(struct debugger *d, enum stop_kind kind)
{
	struct dbg_stop s = {.kind = kind, .cpu = machine_running_cpu(d->m)->index};
	if (kind == STOP_BREAK)
		s = d->found;
	d->found = (struct dbg_stop){0};
	d->past = LIVE;
	dbg_stand_at(d, &s);
}

static int go_to(struct debugger *d, u64 position, enum stop_kind kind, struct errtext *e)
{
	d->past = QUIET;
	int r = machine_goto(d->m, position, e);
	d->past = LIVE;
	if (!r || r == -EINTR)
		arrive(d, kind);
	return r;
}

int dbg_reverse_goto(struct debugger *d, u64 position, struct errtext *e)
{
	struct reverse_state s;
	int r = ready(d, &s, e);
	return r ? r : go_to(d, position, STOP_STEP, e);
}

/* The last hit before now; without one, the oldest instant there is. */
static int search(struct debugger *d, const struct reverse_state *s, enum stop_kind kind, struct errtext *e)
{
	const struct reverse_probe p = {.ctx = d, .begin = begin, .end = end};
	u64 at;
	d->found = (struct dbg_stop){0};
	d->past = QUIET;
	int r = machine_last_hit(d->m, s->oldest, s->now, &p, &at, e);
	d->past = LIVE;
	if (r == -ENOENT)
		return go_to(d, s->oldest, STOP_REPLAY, e);
	if (!r || r == -EINTR)
		arrive(d, r ? STOP_PAUSED : kind);
	return r;
}

int dbg_reverse_continue(struct debugger *d, struct errtext *e)
{
	struct reverse_state s;
	int r = ready(d, &s, e);
	return r ? r : search(d, &s, STOP_BREAK, e);
}

int dbg_reverse_step(struct debugger *d, u64 n, struct errtext *e)
{
	struct reverse_state s;
	int r = ready(d, &s, e);
	if (r)
		return r;
	if (!machine_cpu(d->m, 1)) /* one processor: its instructions are the machine's */
		return s.now - s.oldest < n ? go_to(d, s.oldest, STOP_REPLAY, e) : go_to(d, s.now - n, STOP_STEP, e);
	for (; n && !r; n--) {
		struct cpu *cpu = dbg_cpu(d);
		d->back_cpu = cpu;
		r = search(d, &s, STOP_STEP, e);
		d->back_cpu = NULL;
		dbg_select(d, cpu->index);
		machine_reverse_state(d->m, &s);
	}
	return r;
}

int dbg_reverse_write(struct debugger *d, u64 lin, unsigned n, bool *by_device, struct errtext *e)
{
	struct reverse_state s;
	unsigned cpu;
	u64 phys, at;
	int r = ready(d, &s, e);
	if (r)
		return r;
	if (!dbg_translate(dbg_cpu(d), lin, &phys))
		return err_set(e, -EFAULT, "0x%llx is not mapped", (unsigned long long)lin);
	d->past = QUIET;
	r = machine_last_write(d->m, phys, n, &at, &cpu, by_device, e);
	d->past = LIVE;
	if (r && r != -EINTR)
		return r;
	arrive(d, STOP_STEP);
	if (!r)
		dbg_select(d, cpu);
	return r;
}
