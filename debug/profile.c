/* Profiles of the guest. */
#include "debug/profile.h"

#include <stdlib.h>
#include "base/host.h"
#include "cpu/exec/blocks.h"
#include "cpu/watch.h"
#include "debug/calltree.h"
#include "debug/flame.h"

#define INTERVALS 512u
#define FIRST_INTERVAL 5000000u

enum { N_EXCEPTIONS, N_INTERRUPTS, N_EXITS, N_RINGS, N_IO, N_COUNTS };

struct interval {
	u64 insns, virtual_ns, host_ns;
	u64 n[N_COUNTS];
};

struct lane {
	u64 icount; /* counted up to here */
	bool began; /* the next block begins with an event, a call or return: its function is to be looked up */
};

struct profile {
	struct machine *m;
	struct cpu_watch watch;
	const struct symbols *symbols;
	struct profile_spec spec;
	struct calltree *tree;
	struct lane lane[MACHINE_CPUS];
	bool running;
	u64 samples;
	u64 n[N_COUNTS];
	/* The course of time: interval[i] is how things stood at its end. */
	struct interval first, interval[INTERVALS];
	unsigned intervals;
	u64 every, next;
};

static void stand(const struct profile *p, struct interval *i)
{
	i->insns = machine_instructions(p->m);
	i->virtual_ns = machine_virtual_ns(p->m);
	i->host_ns = host_monotonic_ns();
	memcpy(i->n, p->n, sizeof(i->n));
}

/* When there is no room, two become one. */
static COLD void end_interval(struct profile *p)
{
	if (p->intervals == INTERVALS) {
		for (unsigned i = 0; i < INTERVALS / 2; i++)
			p->interval[i] = p->interval[2 * i + 1];
		p->intervals /= 2;
		p->every *= 2;
	}
	stand(p, &p->interval[p->intervals++]);
	p->next = machine_instructions(p->m) + p->every;
}

static u64 linear(const struct cpu *cpu, u64 rip)
{
	return cpu_long64(cpu) ? rip : (u32)(rip + seg_base(cpu, CS));
}

static void settle(struct profile *p, struct cpu *cpu, struct lane *l)
{
	u64 icount = cpu_icount(cpu);

	calltree_count(p->tree, cpu->index, icount - l->icount);
	l->icount = icount;
}

extern const struct exec_desc exec_jmp_rel;

/* How the block ends, and how far from its beginning, is kept in it: 8 + kind, and the distance above that. */
static enum call_kind end_of(struct block *b, s64 *distance)
{
	if (unlikely(!b->profile_id)) {
		s64 end = 0;
		for (unsigned i = 0; i < b->count; i++) {
			const struct insn *in = &b->insns[i];
			end += in->len;
			if (i + 1 < b->count && in->row != UINT16_MAX && insn_exec(in) == &exec_jmp_rel)
				end += (s64)in->imm;
		}
		b->profile_id = (8u + call_kind_of(&b->insns[b->count - 1])) | (u64)end << 8;
	}
	*distance = (s64)b->profile_id >> 8;
	return (enum call_kind)((b->profile_id & 0xff) - 8);
}

static void on_block(void *ctx, struct cpu *cpu, struct block *b)
{
	struct profile *p = ctx;
	struct lane *l = &p->lane[cpu->index];
	s64 distance;
	enum call_kind kind = end_of(b, &distance);
	u64 lin = linear(cpu, cpu->insn_rip);

	settle(p, cpu, l);
	if (unlikely(l->began)) {
		calltree_run(p->tree, cpu->index, lin, cpu->cpl, symbols_function(p->symbols, lin), 0);
		l->began = false;
	}
	if (kind != CALL_NONE) {
		calltree_leave(p->tree, cpu->index, kind, lin + (u64)distance);
		l->began = true;
	}
	if (unlikely(l->icount >= p->next) && machine_instructions(p->m) >= p->next)
		end_interval(p);
}

static void on_seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct profile *p = ctx;
	bool delivery = s->kind == WATCH_EXCEPTION || (s->kind == WATCH_INTERRUPT && s->value < 3);

	switch (s->kind) {
	case WATCH_EXCEPTION: p->n[N_EXCEPTIONS]++; break;
	case WATCH_INTERRUPT: p->n[N_INTERRUPTS]++; break;
	case WATCH_VMX: p->n[N_EXITS] += s->n != WATCH_VM_ENTRY; break;
	case WATCH_CPL: p->n[N_RINGS]++; break;
	case WATCH_IO: p->n[N_IO]++; break;
	default: break;
	}
	if (!p->spec.exact)
		return;
	settle(p, cpu, &p->lane[cpu->index]);
	p->lane[cpu->index].began = true;
	if (delivery)
		calltree_interrupt(p->tree, cpu->index, s->n, linear(cpu, cpu->rip));
}

static void sample(void *ctx, struct cpu *cpu)
{
	struct profile *p = ctx;
	u64 lin = linear(cpu, cpu->rip), func = symbols_function(p->symbols, lin);

	p->samples++;
	calltree_hit(p->tree, cpu->cpl, func ? func : cpu->cpl == 3 ? 0 : lin & ~0xfffull, p->spec.period);
	if (machine_instructions(p->m) >= p->next)
		end_interval(p);
}

struct profile *profile_of(struct machine *m)
{
	const struct cpu *cpu = machine_cpu(m, 0);

	for (struct cpu_watch *w = cpu->watchers ? cpu->watchers->first : NULL; w; w = w->next)
		if (w->seen == on_seen)
			return w->ctx;
	return NULL;
}

struct profile *profile_start(struct machine *m, const struct profile_spec *spec, const struct symbols *s)
{
	struct profile *p = profile_of(m) ? NULL : calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->tree = calltree_create(MACHINE_CPUS);
	if (!p->tree) {
		free(p);
		return NULL;
	}
	p->m = m;
	p->spec = *spec;
	p->spec.period = spec->exact ? 1 : spec->period ? spec->period : PROFILE_PERIOD;
	p->symbols = s;
	p->every = FIRST_INTERVAL;
	for (unsigned i = 0; i < MACHINE_CPUS && machine_cpu(m, i); i++)
		p->lane[i] = (struct lane){.icount = cpu_icount(machine_cpu(m, i)), .began = true};
	stand(p, &p->first);
	p->next = p->first.insns + p->every;
	p->watch = (struct cpu_watch){.ctx = p, .block = on_block, .seen = on_seen,
				      .wants = WATCH_BIT(WATCH_EXCEPTION) | WATCH_BIT(WATCH_INTERRUPT) | WATCH_BIT(WATCH_VMX) | WATCH_BIT(WATCH_CPL) |
					       (spec->exact ? WATCH_BIT(WATCH_BLOCK) : 0)};
	watch_add(machine_cpu(m, 0), &p->watch);
	if (!spec->exact)
		machine_set_sampler(m, p->spec.period, sample, p);
	p->running = true;
	return p;
}

void profile_stop(struct profile *p)
{
	if (!p->running)
		return;
	for (unsigned i = 0; p->spec.exact && i < MACHINE_CPUS && machine_cpu(p->m, i); i++)
		settle(p, machine_cpu(p->m, i), &p->lane[i]);
	watch_remove(machine_cpu(p->m, 0), &p->watch);
	if (!p->spec.exact)
		machine_set_sampler(p->m, 0, NULL, NULL);
	end_interval(p);
	p->running = false;
}

void profile_free(struct profile *p)
{
	if (!p)
		return;
	profile_stop(p);
	calltree_free(p->tree);
	free(p);
}

/* ---- reports ------------------------------------------------------------------------------------------------------------- */

struct cost {
	const struct call_node *node;
	u64 self, calls;
};

static int by_function(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;

	if (x->node->func != y->node->func)
		return x->node->func < y->node->func ? -1 : 1;
	return x->node->special - y->node->special;
}

static int by_cost(const void *a, const void *b)
{
	const struct cost *x = a, *y = b;

	return x->self != y->self ? (x->self < y->self ? 1 : -1) : by_function(a, b);
}

/* What each function cost wherever it was called from, most expensive first; the number of functions. */
static u32 add_up(const struct call_node *n, u32 count, struct cost *c)
{
	u32 out = 0;

	for (u32 i = 0; i < count; i++)
		c[i] = (struct cost){.node = &n[i], .self = n[i].self, .calls = n[i].calls};
	qsort(c, count, sizeof(*c), by_function);
	for (u32 i = 0; i < count; i++) {
		if (out && !by_function(&c[out - 1], &c[i])) {
			c[out - 1].self += c[i].self;
			c[out - 1].calls += c[i].calls;
		} else {
			c[out++] = c[i];
		}
	}
	qsort(c, out, sizeof(*c), by_cost);
	return out;
}

static void put_functions(struct profile *p, json_t *v, unsigned top)
{
	u32 count, n;
	const struct call_node *node = calltree_sum(p->tree, &count);
	struct cost *c = malloc(count * sizeof(*c));
	json_t *list = view_array(v, "functions");
	char name[160];

	n = c ? add_up(node, count, c) : 0;
	for (u32 i = 0; i < MIN(n, top) && c[i].self; i++) {
		json_t *o = view_object(list, NULL);
		view_format(o, "percent", "%.2f", 100.0 * (double)c[i].self / (double)MAX(node[0].total, 1));
		view_num(o, "instructions", c[i].self);
		view_num(o, p->spec.exact ? "calls" : "samples", c[i].calls);
		view_text(o, "function", call_node_name(c[i].node, symbols_name, p->symbols, name, sizeof(name)));
	}
	free(c);
}

static u64 per_second(u64 n, u64 ns)
{
	return ns ? (u64)((double)n * 1e9 / (double)ns) : 0;
}

static void put_interval(json_t *o, const struct interval *a, const struct interval *b)
{
	u64 ns = b->virtual_ns - a->virtual_ns, host = b->host_ns - a->host_ns, insns = b->insns - a->insns;

	view_format(o, "until_s", "%.3f", (double)b->virtual_ns / 1e9);
	view_num(o, "instructions", insns);
	view_format(o, "mips", "%.1f", host ? (double)insns * 1e3 / (double)host : 0.0);
	view_num(o, "exceptions/s", per_second(b->n[N_EXCEPTIONS] - a->n[N_EXCEPTIONS], ns));
	view_num(o, "interrupts/s", per_second(b->n[N_INTERRUPTS] - a->n[N_INTERRUPTS], ns));
	view_num(o, "vm_exits/s", per_second(b->n[N_EXITS] - a->n[N_EXITS], ns));
	view_num(o, "ring_changes/s", per_second(b->n[N_RINGS] - a->n[N_RINGS], ns));
}

json_t *profile_view(struct profile *p, unsigned top)
{
	json_t *v = json_object(), *list;
	struct interval now = p->intervals ? p->interval[p->intervals - 1] : p->first;
	unsigned step = 1 + p->intervals / 32;

	if (!v)
		return NULL;
	if (p->running)
		stand(p, &now);
	view_format(v, "_title", "Profile: %s", p->spec.exact ? "exact" : "sampled");
	view_text(v, "kind", p->spec.exact ? "exact" : "sampled");
	if (!p->spec.exact) {
		view_num(v, "period", p->spec.period);
		view_num(v, "samples", p->samples);
	}
	view_num(v, "instructions", now.insns - p->first.insns);
	view_num(v, "exceptions", now.n[N_EXCEPTIONS]);
	view_num(v, "interrupts", now.n[N_INTERRUPTS]);
	view_num(v, "vm_exits", now.n[N_EXITS]);
	put_functions(p, v, top);
	list = view_array(v, "time"); /* rates are by virtual time, MIPS by the host's */
	const struct interval *before = &p->first;
	for (unsigned i = step - 1; i < p->intervals; i += step) {
		put_interval(view_object(list, NULL), before, &p->interval[i]);
		before = &p->interval[i];
	}
	if (before->insns != now.insns)
		put_interval(view_object(list, NULL), before, &now);
	return v;
}

void profile_flame(struct profile *p, FILE *out, const char *title)
{
	u32 count;

	flame_write(out, calltree_sum(p->tree, &count), title, symbols_name, p->symbols);
}
