/*
 * High Precision Event Timers (IA-PC HPET specification 1.0a): 64-bit counter of 10 ns, three
 * timers, periodic mode on all, legacy replacement, edge and level interrupts. Not modelled: FSB
 * (message) delivery.
 */
#include "devices/device.h"
#include "devices/irq/gsi.h"

#define TIMERS    3
#define TICK_NS   10
#define PERIOD_FS 10000000ull
#define ROUTES    0x00f00000ull /* I/O APIC pins 20-23 */
#define MIN_TICKS 50            /* closer periodic events are run together */

#define CFG_ENABLE 1u
#define CFG_LEGACY 2u

#define T_LEVEL        0x2u
#define T_ENABLE       0x4u
#define T_PERIODIC     0x8u
#define T_CAP_PERIODIC 0x10u
#define T_CAP_64       0x20u
#define T_SET_VALUE    0x40u
#define T_32           0x100u
#define T_ROUTE_SHIFT  9
#define T_WRITABLE     0x3f4eu

struct hpet_timer {
	u64 config, comparator, period;
};

struct hpet {
	struct device dev;
	struct irq_line legacy[2]; /* to the router's IRQ 0 and 8 */
	struct irq_line pin[TIMERS];
	struct timer event[TIMERS];
	struct hpet_timer t[TIMERS];
	u64 config, status;
	u64 counter; /* value when stopped, or at start_ns */
	u64 start_ns;
};

#define HPET_TIMER_FIELDS(V, S, H, P) V(config) V(comparator) V(period)
SNAPSHOT(hpet_timer_snapshot, "hpet-timer", 1, struct hpet_timer, HPET_TIMER_FIELDS);
/* clang-format off */
#define HPET_FIELDS(V, S, H, P) \
	H(dev) V(legacy) V(pin) V(event) S(t, hpet_timer_snapshot) V(config) V(status) \
	V(counter) V(start_ns)
/* clang-format on */
SNAPSHOT(hpet_snapshot, "hpet", 1, struct hpet, HPET_FIELDS);

static u64 counter(const struct hpet *h)
{
	if (!(h->config & CFG_ENABLE))
		return h->counter;
	return h->counter + (clock_now(h->dev.env->clock) - h->start_ns) / TICK_NS;
}

/* ---- interrupts -------------------------------------------------------------------------- */

static bool legacy_route(const struct hpet *h, unsigned n)
{
	return (h->config & CFG_LEGACY) && n < 2;
}

static void drive(struct hpet *h, unsigned n, bool level)
{
	if (legacy_route(h, n)) {
		irq_set(&h->legacy[n], level);
		return;
	}
	struct irq_line *line = &h->pin[n];
	unsigned route = h->t[n].config >> T_ROUTE_SHIFT & 31;
	if (line->level && line->n != route)
		irq_set(line, false);
	line->n = route;
	irq_set(line, level);
}

static void interrupt(struct hpet *h, unsigned n)
{
	bool level = (h->t[n].config & T_LEVEL) && !legacy_route(h, n);
	if (level)
		h->status |= BIT64(n);
	if (!(h->t[n].config & T_ENABLE))
		return;
	if (level) {
		drive(h, n, true);
	} else {
		drive(h, n, true);
		drive(h, n, false);
	}
}

/* ---- comparators ------------------------------------------------------------------------- */

static u64 mask_of(const struct hpet_timer *t)
{
	return t->config & T_32 ? 0xffffffffull : UINT64_MAX;
}

static void schedule(struct hpet *h, unsigned n)
{
	struct hpet_timer *t = &h->t[n];
	u64 mask = mask_of(t), at = counter(h);
	u64 wait =
	    (t->comparator - at) & mask; /* 0: matched just now; the next time is a wrap away */
	bool useless = !(t->config & (T_ENABLE | T_LEVEL)); /* who reads the comparator gets what it would be */
	if (!wait)
		wait = mask;
	u128 ns = (u128)wait * TICK_NS + h->start_ns + (u128)(at - h->counter) * TICK_NS;
	if (!(h->config & CFG_ENABLE) || useless || ns >= CLOCK_NEVER)
		timer_disarm(&h->event[n]);
	else
		timer_arm(&h->event[n], (u64)ns);
}

/* The comparator as it stands now: that of a periodic timer moves on though no event is scheduled, for nobody wants its interrupt. */
static u64 comparator(const struct hpet *h, const struct hpet_timer *t)
{
	u64 mask = mask_of(t), period = t->period & mask, behind = (counter(h) - t->comparator) & mask;
	if (!(h->config & CFG_ENABLE) || t->config & (T_ENABLE | T_LEVEL) || !(t->config & T_PERIODIC) || !period || behind > mask / 2)
		return t->comparator;
	return (t->comparator + (behind / period + 1) * period) & mask;
}

static void settle(struct hpet *h)
{
	for (unsigned n = 0; n < TIMERS; n++)
		h->t[n].comparator = comparator(h, &h->t[n]);
}

/* Periodic: the comparator moves on by whole periods until it lies ahead. */
static void advance(struct hpet *h, struct hpet_timer *t)
{
	u64 mask = mask_of(t), period = t->period & mask, at = counter(h);
	if (!(t->config & T_PERIODIC) || !period)
		return;
	u64 behind = (at + MIN_TICKS - t->comparator) & mask;
	if (behind > mask / 2)
		behind = 0;
	t->comparator = (t->comparator + (behind / period + 1) * period) & mask;
}

static void fire(struct hpet *h, unsigned n)
{
	advance(h, &h->t[n]);
	schedule(h, n);
	interrupt(h, n);
}

static void fire0(void *ctx)
{
	fire(ctx, 0);
}

static void fire1(void *ctx)
{
	fire(ctx, 1);
}

static void fire2(void *ctx)
{
	fire(ctx, 2);
}

/* ---- registers --------------------------------------------------------------------------- */

static u64 read_reg(struct hpet *h, unsigned reg)
{
	unsigned n = (reg - 0x100) / 0x20;
	switch (reg) {
	case 0x000:
		return PERIOD_FS << 32 | 0x8086u << 16 | 1u << 15 | 1u << 13 | (TIMERS - 1) << 8 |
		       1;
	case 0x010: return h->config;
	case 0x020: return h->status;
	case 0x0f0: return counter(h);
	default: break;
	}
	if (reg < 0x100 || n >= TIMERS)
		return 0;
	if ((reg & 0x18) == 0)
		return h->t[n].config | T_CAP_PERIODIC | T_CAP_64 | ROUTES << 32;
	return (reg & 0x18) == 8 ? comparator(h, &h->t[n]) : 0;
}

static void write_config(struct hpet *h, u64 v)
{
	u64 changed = h->config ^ v;
	u64 at = counter(h);
	for (unsigned n = 0; n < TIMERS; n++)
		if (changed & CFG_LEGACY)
			drive(h, n, false);
	h->config = v & (CFG_ENABLE | CFG_LEGACY);
	if (changed & CFG_ENABLE) {
		h->counter = at;
		h->start_ns = clock_now(h->dev.env->clock);
	}
	if ((changed & CFG_LEGACY) && h->dev.env->gsi)
		gsi_set_legacy_off(h->dev.env->gsi, h->config & CFG_LEGACY);
	for (unsigned n = 0; n < TIMERS; n++)
		schedule(h, n);
}

static void write_timer_config(struct hpet *h, unsigned n, u64 v)
{
	struct hpet_timer *t = &h->t[n];
	u64 route = v >> T_ROUTE_SHIFT & 31;
	bool was_level = t->config & T_LEVEL;
	if (!(ROUTES >> route & 1)) /* 2.3.8: a route that is not offered reads back as it was */
		v = (v & ~(31ull << T_ROUTE_SHIFT)) | (t->config & 31ull << T_ROUTE_SHIFT);
	t->config = v & T_WRITABLE & ~T_CAP_PERIODIC;
	if (v & T_32) {
		t->comparator = (u32)t->comparator;
		t->period = (u32)t->period;
	}
	if (was_level && !((t->config & T_LEVEL) && (t->config & T_ENABLE)))
		drive(h, n, false);
	else if ((t->config & T_LEVEL) && (t->config & T_ENABLE) && (h->status >> n & 1))
		drive(h, n, true);
	schedule(h, n);
}

/*
 * 2.3.9.2.2: in periodic mode a write sets the period, and the comparator too if the set-value bit
 * was set. @mask: the bits written. The high half comes second and belongs to whatever the low half
 * was for: it goes to both.
 */
static void write_comparator(struct hpet *h, unsigned n, u64 v, u64 mask)
{
	struct hpet_timer *t = &h->t[n];
	bool high = !(mask & 1);
	if (!(t->config & T_PERIODIC) || (t->config & T_SET_VALUE) || high)
		t->comparator = ((t->comparator & ~mask) | (v & mask)) & mask_of(t);
	if (t->config & T_PERIODIC)
		t->period = ((t->period & ~mask) | (v & mask)) & mask_of(t);
	t->config &= ~(u64)T_SET_VALUE;
	schedule(h, n);
}

static void write_status(struct hpet *h, u64 v)
{
	for (unsigned n = 0; n < TIMERS; n++) {
		if (!(v & h->status >> n << n & BIT64(n)))
			continue;
		h->status &= ~BIT64(n);
		if (!legacy_route(h, n))
			drive(h, n, false);
	}
}

static void write_counter(struct hpet *h, u64 v)
{
	h->counter = v;
	h->start_ns = clock_now(h->dev.env->clock);
	for (unsigned n = 0; n < TIMERS; n++)
		schedule(h, n);
}

static void write_reg(struct hpet *h, unsigned reg, u64 v, u64 mask)
{
	unsigned n = (reg - 0x100) / 0x20;
	settle(h);
	switch (reg) {
	case 0x010: write_config(h, v); return;
	case 0x020: write_status(h, v); return;
	case 0x0f0: write_counter(h, v); return;
	default: break;
	}
	if (reg < 0x100 || n >= TIMERS)
		return;
	if ((reg & 0x18) == 0)
		write_timer_config(h, n, v);
	else if ((reg & 0x18) == 8)
		write_comparator(h, n, v, mask);
}

static u64 hpet_read(void *ctx, u64 offset, unsigned size)
{
	unsigned reg = offset & 0x3f8, shift = (offset & 7) * 8;
	return read_reg(ctx, reg) >> shift;
}

/* A 4-byte write to half of a register leaves the other half. */
static void hpet_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct hpet *h = ctx;
	unsigned reg = offset & 0x3f8, shift = (offset & 7) * 8;
	u64 mask = zext_bytes(UINT64_MAX, size) << shift, old = read_reg(h, reg);
	if (size < 4)
		return; /* the specification allows 32- and 64-bit accesses only */
	if (reg == 0x020)
		old = 0; /* write 1 to clear */
	write_reg(h, reg, (old & ~mask) | (value << shift & mask), mask);
}

static int init(struct device *d, char *err, size_t n)
{
	struct hpet *h = (struct hpet *)d;
	if (!d->env->gsi)
		return 0;
	irq_connect(&h->legacy[0], gsi_hpet_sink, d->env->gsi, 0);
	irq_connect(&h->legacy[1], gsi_hpet_sink, d->env->gsi, 8);
	for (unsigned i = 0; i < TIMERS; i++)
		irq_connect(&h->pin[i], gsi_ioapic_sink, d->env->gsi, 20);
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct hpet *h = (struct hpet *)d;
	write_config(h, 0);
	h->status = h->counter = 0;
	for (unsigned n = 0; n < TIMERS; n++) {
		drive(h, n, false);
		h->t[n] = (struct hpet_timer){.comparator = UINT64_MAX};
		timer_disarm(&h->event[n]);
	}
}

static void loaded(struct device *d)
{
	struct hpet *h = (struct hpet *)d;
	for (unsigned n = 0; n < TIMERS; n++)
		h->pin[n].n = h->t[n].config >> T_ROUTE_SHIFT & 31;
}

static const struct mmio_ops hpet_mmio = {hpet_read, hpet_write, 8};

const struct device_type hpet_type = {
    .name = "hpet",
    .help = "high precision event timers at FED00000h",
    .category = "timer",
    .size = sizeof(struct hpet),
    .mmio = (const struct mmio_claim[]){{0xfed00000u, 0x400, MEM_PRIO_APIC, &hpet_mmio}, {0}},
    .timers = (const struct timer_decl[]){{"timer0", offsetof(struct hpet, event[0]), fire0},
					  {"timer1", offsetof(struct hpet, event[1]), fire1},
					  {"timer2", offsetof(struct hpet, event[2]), fire2},
					  {0}},
    .snapshot = &hpet_snapshot,
    .init = init,
    .reset = reset,
    .loaded = loaded,
    .internal = true,
};
