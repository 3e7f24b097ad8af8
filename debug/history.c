/* The last instructions: see history.h. */
#include "debug/history.h"

#include <stdlib.h>
#include "cpu/watch.h"
#include "debug/debugger.h"

struct history {
	struct cpu_watch watch;
	struct machine *m;
	u64 count;
	unsigned n;
	struct {
		u64 rip, base;
		u8 cpu;
		struct insn in;
	} ring[];
};

static void on_insn(void *ctx, struct cpu *cpu, const struct insn *in)
{
	struct history *h = ctx;
	unsigned i = (unsigned)(h->count++ % h->n);

	h->ring[i].rip = cpu->insn_rip;
	h->ring[i].base = cpu_long64(cpu) ? 0 : seg_base(cpu, CS);
	h->ring[i].cpu = (u8)cpu->index;
	h->ring[i].in = *in;
}

struct history *history_create(struct machine *m, unsigned n)
{
	struct history *h = calloc(1, sizeof(*h) + n * sizeof(h->ring[0]));

	if (!h)
		return NULL;
	h->m = m;
	h->n = n;
	h->watch = (struct cpu_watch){.ctx = h, .wants = WATCH_BIT(WATCH_INSN), .insn = on_insn};
	watch_add(machine_cpu(m, 0), &h->watch);
	return h;
}

void history_destroy(struct history *h)
{
	if (!h)
		return;
	watch_remove(machine_cpu(h->m, 0), &h->watch);
	free(h);
}

void history_add(const struct history *h, json_t *tree, const struct explain_names *names)
{
	json_t *list = view_array(tree, "history");

	for (u64 k = h->count > h->n ? h->count - h->n : 0; k < h->count; k++) {
		unsigned i = (unsigned)(k % h->n);
		json_t *o = view_object(list, NULL);
		char text[160] = "(bad)", symbol[128] = "";

		if (h->ring[i].in.row != UINT16_MAX) /* bytes that are no instruction have none */
			insn_format(&h->ring[i].in, h->ring[i].rip, DISASM_INTEL, text, sizeof(text));
		view_hex(o, "rip", h->ring[i].rip, 0);
		view_text(o, "text", text);
		if (machine_cpu(h->m, 1))
			view_num(o, "cpu", h->ring[i].cpu);
		if (names && names->fn && *names->fn(names->ctx, h->ring[i].rip + h->ring[i].base, symbol, sizeof(symbol)))
			view_text(o, "symbol", symbol);
	}
}
