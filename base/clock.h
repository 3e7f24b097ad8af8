/*
 * Virtual time. The machine supplies the present (instruction count plus skipped idle time, in
 * nanoseconds); nothing here reads the host's clock. Timers stand in one list sorted by deadline,
 * ties by order of creation, so that equal runs fire equally.
 */
#ifndef ORRERY_BASE_CLOCK_H
#define ORRERY_BASE_CLOCK_H

#include "base/types.h"

#define CLOCK_NEVER UINT64_MAX

struct timer {
	u64 deadline_ns; /* meaningful while armed */
	struct clock *clock;
	void (*fire)(void *ctx);
	void *ctx;
	struct timer *next;
	u32 order; /* breaks ties between equal deadlines */
	bool armed;
	u8 pad[3];
};

struct clock {
	u64 (*now)(void *ctx); /* virtual nanoseconds, never going back */
	/* The nearest deadline moved closer than it was: the machine shortens the running slice.
	 * May be NULL. */
	void (*sooner)(void *ctx);
	void *ctx;
	struct timer *head;
	u32 timers; /* created so far */
};

/** Empties @c; @now(@ctx) gives the time; @sooner may be NULL. */
void clock_init(struct clock *c, u64 (*now)(void *ctx), void (*sooner)(void *ctx), void *ctx);
/** Deadline of the next timer in ns, or CLOCK_NEVER. */
u64 clock_next_deadline(const struct clock *c);
/** Fires, in order, every timer whose deadline is not after now. Callbacks may arm and disarm
 * timers. */
void clock_run(struct clock *c);

static inline u64 clock_now(const struct clock *c)
{
	return c->now(c->ctx);
}

/** Prepares @t, disarmed. Creation order decides ties, so create timers in a fixed order. */
void timer_init(struct timer *t, struct clock *c, void (*fire)(void *ctx), void *ctx);
/** (Re)arms @t for @deadline_ns; a deadline in the past fires at the next clock_run(). */
void timer_arm(struct timer *t, u64 deadline_ns);
void timer_disarm(struct timer *t);

/** @ticks of a @hz clock in ns, rounded up; saturates. */
u64 ticks_to_ns(u64 ticks, u64 hz);
/** @ns in ticks of a @hz clock, rounded down. */
u64 ns_to_ticks(u64 ns, u64 hz);

#endif
