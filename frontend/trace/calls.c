/* Call trees and flame graphs of traces. */
#include <errno.h>
#include <inttypes.h>
#include "cpu/decoder/insn.h"
#include "debug/calltree.h"
#include "debug/flame.h"
#include "frontend/trace/view.h"

static void feed(const struct view *v, struct calltree *t, const struct trace_item *it, bool begins[TRACE_CPUS])
{
	u64 lin = it->rip + it->base;

	if (it->kind == ITEM_EVENT) {
		if (it->event == EV_EXCEPTION || (it->event == EV_INTERRUPT && it->f[1] < 3))
			calltree_interrupt(t, it->cpu, (unsigned)it->f[0], it->f[it->event == EV_EXCEPTION ? 5 : 2]);
		begins[it->cpu] = true;
	} else if (it->kind == ITEM_INSN) {
		calltree_run(t, it->cpu, lin, it->cpl, begins[it->cpu] ? symbols_function(v->symbols, lin) : 0, 1);
		begins[it->cpu] = it->block_end;
		if (it->block_end && it->in)
			calltree_leave(t, it->cpu, call_kind_of(it->in), lin + it->len);
	}
}

static struct calltree *build(struct view *v, int *r)
{
	struct trace_cursor *c = trace_cursor(v->file);
	struct calltree *t = calltree_create(TRACE_CPUS);
	bool begins[TRACE_CPUS] = {0};
	struct trace_item it;

	*r = c && t ? 0 : -ENOMEM;
	while (!*r && (*r = view_next(v, c, &it)) == 1) {
		*r = 0;
		feed(v, t, &it, begins);
	}
	trace_cursor_free(c);
	return t;
}

static void put_node(const struct view *v, const struct call_node *n, u32 i, unsigned depth, unsigned *left)
{
	char buf[160];
	const char *name = call_node_name(&n[i], symbols_name, v->symbols, buf, sizeof(buf));

	if (!*left || depth > CALL_DEPTH)
		return;
	--*left;
	if (v->json)
		fprintf(v->out, "{\"depth\":%u,\"name\":\"%s\",\"total\":%" PRIu64 ",\"self\":%" PRIu64 ",\"calls\":%" PRIu64 "}\n", depth, name,
			n[i].total, n[i].self, n[i].calls);
	else
		fprintf(v->out, "%14" PRIu64 " %6.2f%% %12" PRIu64 " %9" PRIu64 "  %*s%s\n", n[i].total,
			100.0 * (double)n[i].total / (double)MAX(n[0].total, 1), n[i].self, n[i].calls, (int)(2 * depth), "", name);
	for (u32 k = n[i].child; k; k = n[k].next)
		put_node(v, n, k, depth + 1, left);
}

int view_calls(struct view *v)
{
	int r;
	u32 count;
	unsigned left = v->top;
	struct calltree *t = build(v, &r);

	if (!t)
		return r;
	const struct call_node *n = calltree_sum(t, &count);
	if (!v->json)
		fprintf(v->out, "%14s %7s %12s %9s  function\n", "instructions", "", "itself", "calls");
	put_node(v, n, 0, 0, &left);
	calltree_free(t);
	return r;
}

int view_flame(struct view *v)
{
	int r;
	u32 count;
	struct calltree *t = build(v, &r);

	if (!t)
		return r;
	const struct call_node *n = calltree_sum(t, &count);
	flame_write(v->out, n, v->title ? v->title : v->path, symbols_name, v->symbols);
	calltree_free(t);
	return r;
}
