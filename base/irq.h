/* Interrupt lines: an output with one sink. Sharing is the sink's affair (irq_or, or a router that
 * counts). */
#ifndef ORRERY_BASE_IRQ_H
#define ORRERY_BASE_IRQ_H

#include "base/types.h"

struct irq_line {
	void (*sink)(void *ctx, unsigned n, bool level); /* NULL: not connected */
	void *ctx;
	u32 n; /* handed to the sink: pin number */
	bool level;
	u8 pad[3];
};

/** Connects @line to pin @n of a sink; the sink is told at once if the line is already high. */
static inline void irq_connect(struct irq_line *line, void (*sink)(void *, unsigned, bool),
			       void *ctx, unsigned n)
{
	line->sink = sink;
	line->ctx = ctx;
	line->n = n;
	if (sink && line->level)
		sink(ctx, n, true);
}

/** Drives the line; the sink hears of changes only. */
static inline void irq_set(struct irq_line *line, bool level)
{
	if (line->level == level)
		return;
	line->level = level;
	if (line->sink)
		line->sink(line->ctx, line->n, level);
}

/** A rising edge, then low again. */
static inline void irq_pulse(struct irq_line *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

/* Wired OR of up to 32 inputs: connect each with irq_connect(line, irq_or_sink, &or, bit). */
struct irq_or {
	struct irq_line out;
	u32 inputs;
	u32 pad;
};

static inline void irq_or_sink(void *ctx, unsigned n, bool level)
{
	struct irq_or *o = ctx;
	o->inputs = level ? o->inputs | BIT(n & 31) : o->inputs & ~BIT(n & 31);
	irq_set(&o->out, o->inputs != 0);
}

#endif
