#include "base/clock.h"

#define NS_PER_S 1000000000ull

void clock_init(struct clock *c, u64 (*now)(void *ctx), void (*sooner)(void *ctx), void *ctx)
{
	*c = (struct clock){.now = now, .sooner = sooner, .ctx = ctx};
}

u64 clock_next_deadline(const struct clock *c)
{
	return c->head ? c->head->deadline_ns : CLOCK_NEVER;
}

void timer_init(struct timer *t, struct clock *c, void (*fire)(void *ctx), void *ctx)
{
	*t = (struct timer){.clock = c, .fire = fire, .ctx = ctx, .order = c->timers++};
}

static bool before(const struct timer *a, const struct timer *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

void timer_disarm(struct timer *t)
{
	if (!t->armed)
		return;
	struct timer **p = &t->clock->head;
	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	t->armed = false;
}

void timer_arm(struct timer *t, u64 deadline_ns)
{
	struct clock *c = t->clock;
	timer_disarm(t);
	u64 was = clock_next_deadline(c);
	t->deadline_ns = deadline_ns;
	t->armed = true;
	struct timer **p = &c->head;
	while (*p && before(*p, t))
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	if (deadline_ns < was && c->sooner)
		c->sooner(c->ctx);
}

void clock_run(struct clock *c)
{
	u64 now = clock_now(c);
	while (c->head && c->head->deadline_ns <= now) {
		struct timer *t = c->head;
		c->head = t->next;
		t->armed = false;
		t->fire(t->ctx);
	}
}

static u64 saturate(u128 v)
{
	return v > UINT64_MAX ? UINT64_MAX : (u64)v;
}

/* Both take the short division while the product fits: it does for hours, and 128-bit division is
 * slow. */
u64 ticks_to_ns(u64 ticks, u64 hz)
{
	u64 product;
	if (!__builtin_mul_overflow(ticks, NS_PER_S, &product) && product + hz - 1 >= product)
		return (product + hz - 1) / hz;
	return saturate(((u128)ticks * NS_PER_S + hz - 1) / hz);
}

u64 ns_to_ticks(u64 ns, u64 hz)
{
	u64 product;
	if (!__builtin_mul_overflow(ns, hz, &product))
		return product / NS_PER_S;
	return saturate((u128)ns * hz / NS_PER_S);
}
