/* Break points: their list, and the callbacks of cpu/watch.h that find them. */
#include "debug/debugger_internal.h"
#include "machine/reverse.h"

static const struct {
	const char *name;
	u32 wants;
} kinds[BP_KINDS] = {
    [BP_EXEC] = {"break", WATCH_BIT(WATCH_PROBE)},
    [BP_EXEC_PHYS] = {"pbreak", WATCH_BIT(WATCH_PROBE)},
    [BP_ACCESS] = {"watch", WATCH_BIT(WATCH_ACCESS)},
    [BP_ACCESS_PHYS] = {"pwatch", WATCH_BIT(WATCH_ACCESS)},
    [BP_IO] = {"io", WATCH_BIT(WATCH_IO)},
    [BP_MSR] = {"msr", WATCH_BIT(WATCH_MSR)},
    [BP_CR] = {"cr", WATCH_BIT(WATCH_CR)},
    [BP_EXCEPTION] = {"exception", WATCH_BIT(WATCH_EXCEPTION)},
    [BP_INTERRUPT] = {"interrupt", WATCH_BIT(WATCH_INTERRUPT)},
    [BP_MODE] = {"mode", WATCH_BIT(WATCH_MODE)},
    [BP_RING] = {"ring", WATCH_BIT(WATCH_CPL)},
    [BP_VMENTRY] = {"vmentry", WATCH_BIT(WATCH_VMX)},
    [BP_VMEXIT] = {"vmexit", WATCH_BIT(WATCH_VMX)},
    [BP_VMFAIL] = {"vmfail", WATCH_BIT(WATCH_VMX)},
    [BP_TASK] = {"task", WATCH_BIT(WATCH_TASK)},
    [BP_SMM] = {"smm", WATCH_BIT(WATCH_SMM)},
    [BP_MAGIC] = {"magic", WATCH_BIT(WATCH_MAGIC)},
    [BP_SHUTDOWN] = {"shutdown", WATCH_BIT(WATCH_SHUTDOWN)},
};

const char *bp_kind_name(enum bp_kind k)
{
	return k < BP_KINDS ? kinds[k].name : "?";
}

struct bp_spec bp_spec(enum bp_kind kind, u64 lo)
{
	return (struct bp_spec){.kind = kind, .lo = lo, .hi = lo, .any_cr3 = true, .cpu = -1};
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

u32 dbg_wants(const struct debugger *d)
{
	u32 wants = d->run_cpu || d->back_cpu ? WATCH_BIT(WATCH_PROBE) : 0;
	for (unsigned i = 0; i < d->bps; i++)
		if (d->bp[i]->i.enabled)
			wants |= kinds[d->bp[i]->i.spec.kind].wants;
	return wants;
}

void dbg_refresh(struct debugger *d)
{
	struct cpu *cpu = machine_cpu(d->m, 0);
	u32 wants = dbg_wants(d);
	if (!wants && !d->attached)
		return;
	d->watch.wants = wants;
	if (!wants)
		watch_remove(cpu, &d->watch);
	else if (!d->attached)
		watch_add(cpu, &d->watch);
	else
		watch_changed(cpu);
	d->attached = wants != 0;
}

static void free_bp(struct breakpoint *b)
{
	expr_free(b->condition);
	free(b->text);
	free(b);
}

static void remove_at(struct debugger *d, unsigned i)
{
	free_bp(d->bp[i]);
	memmove(d->bp + i, d->bp + i + 1, (--d->bps - i) * sizeof(*d->bp));
}

static struct breakpoint *find(struct debugger *d, unsigned id)
{
	for (unsigned i = 0; i < d->bps; i++)
		if (d->bp[i]->i.id == id && !d->bp[i]->internal)
			return d->bp[i];
	return NULL;
}

static struct breakpoint *append(struct debugger *d, const struct bp_spec *s)
{
	struct breakpoint *b = d->bps < BREAKPOINTS_MAX ? calloc(1, sizeof(*b)) : NULL;
	struct breakpoint **grown = b ? realloc(d->bp, (d->bps + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		free(b);
		return NULL;
	}
	d->bp = grown;
	d->bp[d->bps++] = b;
	b->i.spec = *s;
	b->i.spec.condition = NULL;
	b->i.enabled = true;
	return b;
}

static int set_condition(struct debugger *d, struct breakpoint *b, const char *text, struct errtext *e)
{
	struct expr *x = NULL;
	char *copy = NULL;
	if (text && *text) {
		x = expr_parse(d, text, NULL, e);
		if (!x)
			return -EINVAL;
		copy = strdup(text);
		if (!copy) {
			expr_free(x);
			return err_set(e, -ENOMEM, "no memory");
		}
	}
	expr_free(b->condition);
	free(b->text);
	b->condition = x;
	b->text = copy;
	b->i.spec.condition = copy;
	return 0;
}

int dbg_bp_add(struct debugger *d, const struct bp_spec *s, struct errtext *e)
{
	if (s->kind >= BP_KINDS || s->hi < s->lo)
		return err_set(e, -EINVAL, "a break point's end lies before its start");
	struct breakpoint *b = append(d, s);
	if (!b)
		return err_set(e, -ENOSPC, "there are %u break points already", d->bps);
	int r = set_condition(d, b, s->condition, e);
	if (r) {
		remove_at(d, d->bps - 1);
		return r;
	}
	if (!b->i.spec.read && !b->i.spec.write)
		b->i.spec.read = b->i.spec.write = true;
	b->i.id = s->hidden ? 0x40000000u + d->next_id++ : ++d->next_id;
	dbg_refresh(d);
	return (int)b->i.id;
}

bool dbg_bp_internal(struct debugger *d, u64 lin, struct cpu *cpu, u64 min_sp)
{
	struct bp_spec s = bp_spec(BP_EXEC, lin);
	s.hidden = s.temporary = true;
	s.owner = d;
	s.cpu = cpu ? (int)cpu->index : -1;
	struct breakpoint *b = append(d, &s);
	if (!b)
		return false;
	b->internal = true;
	b->min_sp = min_sp;
	return true;
}

/* Those that have done what they were for. */
void dbg_bp_sweep(struct debugger *d, bool internal_too)
{
	for (unsigned i = d->bps; i-- > 0;)
		if (d->bp[i]->spent || (internal_too && d->bp[i]->internal))
			remove_at(d, i);
}

void dbg_bp_free_all(struct debugger *d)
{
	while (d->bps)
		remove_at(d, d->bps - 1);
	free(d->bp);
	d->bp = NULL;
}

bool dbg_bp_delete(struct debugger *d, unsigned id)
{
	for (unsigned i = 0; i < d->bps; i++) {
		if (d->bp[i]->i.id != id || d->bp[i]->internal)
			continue;
		remove_at(d, i);
		dbg_refresh(d);
		return true;
	}
	return false;
}

unsigned dbg_bp_delete_all(struct debugger *d, void *owner)
{
	unsigned n = 0;
	for (unsigned i = d->bps; i-- > 0;) {
		const struct bp_spec *s = &d->bp[i]->i.spec;
		if (owner ? s->owner != owner : s->hidden || d->bp[i]->internal)
			continue;
		remove_at(d, i);
		n++;
	}
	if (n)
		dbg_refresh(d);
	return n;
}

bool dbg_bp_enable(struct debugger *d, unsigned id, bool on)
{
	struct breakpoint *b = find(d, id);
	if (!b)
		return false;
	b->i.enabled = on;
	dbg_refresh(d);
	return true;
}

bool dbg_bp_ignore(struct debugger *d, unsigned id, u64 n)
{
	struct breakpoint *b = find(d, id);
	if (b)
		b->i.spec.ignore = n;
	return b;
}

int dbg_bp_condition(struct debugger *d, unsigned id, const char *text, struct errtext *e)
{
	struct breakpoint *b = find(d, id);
	return b ? set_condition(d, b, text, e) : err_set(e, -ENOENT, "there is no break point %u", id);
}

bool dbg_bp_next(struct debugger *d, unsigned id, struct bp_info *out)
{
	const struct breakpoint *best = NULL;
	for (unsigned i = 0; i < d->bps; i++)
		if (!d->bp[i]->internal && d->bp[i]->i.id > id && (!best || d->bp[i]->i.id < best->i.id))
			best = d->bp[i];
	if (best)
		*out = best->i;
	return best;
}

/* ---- what the processor asks -------------------------------------------------------------------------------------- */

bool dbg_probe_wanted(void *ctx, u64 phys_page, unsigned off)
{
	const struct debugger *d = ctx;
	if (d->run_cpu || d->back_cpu)
		return true;
	for (unsigned i = 0; i < d->bps; i++) {
		const struct bp_spec *s = &d->bp[i]->i.spec;
		u64 n = s->hi - s->lo;
		if (!d->bp[i]->i.enabled)
			continue;
		if (s->kind == BP_EXEC && (n >= 4095 || ((off - s->lo) & 0xfff) <= n))
			return true;
		if (s->kind == BP_EXEC_PHYS && (phys_page | off) >= s->lo && (phys_page | off) <= s->hi)
			return true;
	}
	return false;
}

bool dbg_page_wanted(void *ctx, u64 page, u64 phys_page)
{
	const struct debugger *d = ctx;
	for (unsigned i = 0; i < d->bps; i++) {
		const struct bp_spec *s = &d->bp[i]->i.spec;
		u64 at = s->kind == BP_ACCESS_PHYS ? phys_page : page;
		if (d->bp[i]->i.enabled && (s->kind == BP_ACCESS || s->kind == BP_ACCESS_PHYS) && s->lo <= (at | 0xfff) &&
		    s->hi >= at)
			return true;
	}
	return false;
}

/* ---- hits --------------------------------------------------------------------------------------------------------- */

static bool of_space(const struct bp_spec *s, const struct cpu *cpu)
{
	return (s->cpu < 0 || (unsigned)s->cpu == cpu->index) &&
	       (s->any_cr3 || ((s->cr3 ^ cpu->cr3) & 0xffffffffff000) == 0);
}

/* All but the place fits: does it count, and stop? */
static bool counts(struct debugger *d, struct breakpoint *b, struct cpu *cpu, const struct seen *seen)
{
	struct errtext e;
	u64 v;
	if (!of_space(&b->i.spec, cpu) || d->past == QUIET || (d->past == SEARCHING && (d->back_cpu || b->internal)))
		return false;
	/* A condition that cannot be told (memory that is not there) does not hold. */
	if (b->condition && (expr_eval(b->condition, d, cpu, seen, &v, &e) || !v))
		return false;
	if (d->past == SEARCHING)
		return true;
	b->i.hits++;
	if (b->i.spec.ignore) {
		b->i.spec.ignore--;
		return false;
	}
	return true;
}

static void note(struct debugger *d, struct breakpoint *b, struct cpu *cpu, const struct seen *seen)
{
	if (d->past == SEARCHING)
		machine_reverse_hit(d->m, machine_position(d->m)); /* of several, the last one counts */
	else if (b->i.spec.temporary)
		b->spent = true;
	if (d->found.kind && d->past == LIVE)
		return; /* the first one is the reason */
	d->found = (struct dbg_stop){
	    .kind = b->internal ? STOP_STEP : STOP_BREAK,
	    .cpu = cpu->index,
	    .id = b->i.id,
	    .what = b->i.spec.kind,
	    .spec = b->i.spec,
	    .insn_rip = cpu->insn_rip,
	};
	d->found.spec.condition = NULL;
	if (seen)
		d->found.seen = *seen;
	if (seen && (seen->kind == WATCH_EXCEPTION || seen->kind == WATCH_SHUTDOWN)) {
		const struct fault *f = seen->kind == WATCH_EXCEPTION ? &cpu->fault : &cpu->triple[0];
		d->found.why = f->why;
		d->found.why_value = f->value;
	}
	if (d->past == LIVE)
		machine_interrupt(d->m);
}

static bool exec_hit(const struct bp_spec *s, u64 pc, u64 phys)
{
	u64 at = s->kind == BP_EXEC ? pc : phys;
	return (s->kind == BP_EXEC || s->kind == BP_EXEC_PHYS) && at >= s->lo && at <= s->hi;
}

static bool has_phys(const struct debugger *d)
{
	for (unsigned i = 0; i < d->bps; i++)
		if (d->bp[i]->i.spec.kind == BP_EXEC_PHYS)
			return true;
	return false;
}

static bool breaks(struct debugger *d, struct cpu *cpu, u64 pc)
{
	bool stop = false;
	u64 phys = ~0ull;
	if (has_phys(d) && !dbg_translate(cpu, pc, &phys))
		phys = ~0ull;
	for (unsigned i = 0; i < d->bps; i++) {
		struct breakpoint *b = d->bp[i];
		if (!b->i.enabled || !exec_hit(&b->i.spec, pc, phys) || (b->internal && cpu->r[RSP] < b->min_sp) ||
		    !counts(d, b, cpu, NULL))
			continue;
		note(d, b, cpu, NULL);
		stop = true;
	}
	return stop;
}

static bool returns(const struct insn *in)
{
	const char *name = in->row < insn_row_count ? insn_rows[in->row].mnemonic : "";
	return !strncmp(name, "ret", 3) || !strncmp(name, "iret", 4);
}

/* Is the run over before this instruction? */
static bool run_over(struct debugger *d, struct cpu *cpu, const struct insn *in, u64 pc)
{
	switch (d->run.kind) {
	case RUN_STEP:
	case RUN_NEXT: return d->left && !--d->left;
	case RUN_RANGE: return pc < d->run.arg || pc > d->run.arg2;
	case RUN_FINISH:
		if (d->returning)
			return true;
		d->returning = returns(in) && cpu->r[RSP] >= d->run_sp;
		return false;
	default: return false;
	}
}

bool dbg_on_probe(void *ctx, struct cpu *cpu, const struct insn *in)
{
	struct debugger *d = ctx;
	struct stood *at = &d->stood[cpu->index];
	u64 pc = dbg_linear(cpu, cpu->insn_rip), icount = cpu_icount(cpu);
	bool stop;

	if (d->past == SEARCHING && d->back_cpu) {
		if (cpu == d->back_cpu)
			machine_reverse_hit(d->m, machine_position(d->m));
		return false;
	}
	if (d->past == LIVE && at->valid && at->icount == icount && at->pc == pc) {
		if (cpu == d->run_cpu && d->run.kind == RUN_FINISH)
			d->returning = returns(in) && cpu->r[RSP] >= d->run_sp;
		return false;
	}
	d->in_probe = cpu;
	stop = breaks(d, cpu, pc);
	d->in_probe = NULL;
	if (d->past != LIVE)
		return false;
	if (cpu == d->run_cpu && run_over(d, cpu, in, pc) && !stop) {
		if (!d->found.kind)
			d->found = (struct dbg_stop){.kind = STOP_STEP, .cpu = cpu->index, .insn_rip = cpu->insn_rip};
		machine_interrupt(d->m);
		stop = true;
	}
	if (stop)
		*at = (struct stood){true, icount, pc};
	return stop;
}

static bool within(const struct bp_spec *s, u64 v)
{
	return v >= s->lo && v <= s->hi;
}

static bool touches(const struct bp_spec *s, u64 at, unsigned size)
{
	return at <= s->hi && at + MAX(size, 1u) - 1 >= s->lo;
}

static bool direction(const struct bp_spec *s, const struct seen *seen)
{
	return seen->write ? s->write : s->read;
}

static bool vmx_hit(const struct bp_spec *s, const struct seen *seen)
{
	bool entry = (seen->n & 0xffff) == WATCH_VM_ENTRY, failed = seen->n >> 31;
	switch (s->kind) {
	case BP_VMENTRY: return entry;
	case BP_VMEXIT: return !entry && !failed && within(s, seen->n & 0xffff);
	default: return failed && within(s, seen->n & 0xffff);
	}
}

static bool seen_hit(const struct bp_spec *s, const struct seen *seen)
{
	if (!(kinds[s->kind].wants & WATCH_BIT(seen->kind)))
		return false;
	switch (s->kind) {
	case BP_ACCESS: return direction(s, seen) && touches(s, seen->addr, seen->size);
	case BP_ACCESS_PHYS: return direction(s, seen) && touches(s, seen->phys, seen->size);
	case BP_IO: return direction(s, seen) && touches(s, seen->n, seen->size);
	case BP_MSR: return direction(s, seen) && within(s, seen->n);
	case BP_CR:
	case BP_EXCEPTION:
	case BP_INTERRUPT:
	case BP_TASK: return within(s, seen->n);
	case BP_RING: return within(s, seen->value);
	case BP_VMENTRY:
	case BP_VMEXIT:
	case BP_VMFAIL: return vmx_hit(s, seen);
	default: return true;
	}
}

void dbg_on_seen(void *ctx, struct cpu *cpu, const struct seen *seen)
{
	struct debugger *d = ctx;
	const struct stood *at = &d->stood[cpu->index];
	bool stop = false;
	/* Magic breaks are seen in front of their instruction: not again when it is let go. */
	if (seen->kind == WATCH_MAGIC && d->past == LIVE && at->valid && at->icount == cpu_icount(cpu) &&
	    at->pc == dbg_linear(cpu, cpu->insn_rip))
		return;
	for (unsigned i = 0; i < d->bps; i++) {
		struct breakpoint *b = d->bp[i];
		if (!b->i.enabled || !seen_hit(&b->i.spec, seen))
			continue;
		d->in_seen = true;
		if (counts(d, b, cpu, seen)) {
			note(d, b, cpu, seen);
			stop = true;
		}
		d->in_seen = false;
	}
	if (stop && d->past == LIVE)
		watch_stop(cpu);
}
