/*
 * Intel 8254 programmable interval timer at 40h-43h, and the PC's port 61h (timer 2 gate, speaker,
 * refresh toggle). All six modes, binary and BCD, counter latch and read-back commands. Counting is
 * computed from the virtual time when a register is looked at; only counter 0 has timed events (IRQ
 * 0 on rising edges of OUT). Counter 2 and port 61h drive the speaker. Not modelled: the one-clock
 * delays of loading the counting element; NMI sources of port 61h.
 */
#include "devices/audio/speaker.h"
#include "devices/device.h"

#define PIT_HZ     1193182u
#define REFRESH_NS 15085u /* period of the DRAM refresh signal, bit 4 of port 61h */

enum { RW_LATCH, RW_LOW, RW_HIGH, RW_BOTH };

struct pit_channel {
	u64 start_ns; /* when counting began */
	u64 held;     /* ticks counted before it was last stopped by the gate */
	u32 count;    /* 1..65536 or 10000 */
	u16 latch;
	u8 status;
	u8 mode, rw, bcd;
	u8 low; /* first byte of a two-byte load */
	bool gate;
	bool loaded;    /* a count was written since the mode */
	bool triggered; /* modes 1 and 5: the gate rose */
	bool counting;  /* not stopped by the gate */
	bool count_latched, status_latched;
	bool read_high, write_high;
};

struct pit {
	struct device dev;
	struct irq_line irq;
	struct timer timer;
	struct pit_channel ch[3];
	u8 port61;
	u8 pad[7];
	struct speaker speaker;
};

/* clang-format off */
#define CHANNEL_FIELDS(V, S, H, P) \
	V(start_ns) V(held) V(count) V(latch) V(status) V(mode) V(rw) V(bcd) V(low) \
	V(gate) V(loaded) V(triggered) V(counting) V(count_latched) V(status_latched) \
	V(read_high) V(write_high) P(5)
/* clang-format on */
SNAPSHOT(pit_channel_snapshot, "8254-channel", 1, struct pit_channel, CHANNEL_FIELDS);
/* clang-format off */
#define PIT_FIELDS(V, S, H, P) \
	H(dev) V(irq) V(timer) S(ch, pit_channel_snapshot) V(port61) H(pad) H(speaker)
/* clang-format on */
SNAPSHOT(pit_snapshot, "pit", 1, struct pit, PIT_FIELDS);

static u64 now(const struct pit *p)
{
	return clock_now(p->dev.env->clock);
}

/* ---- counting ---------------------------------------------------------------------------- */

static u64 elapsed(const struct pit *p, const struct pit_channel *c)
{
	return c->held + (c->counting ? ns_to_ticks(now(p) - c->start_ns, PIT_HZ) : 0);
}

static u32 modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

static u32 wrap(const struct pit_channel *c, u64 remaining)
{
	u32 m = modulus(c);
	return (u32)(remaining % m);
}

/* The counting element's value after @t ticks. */
static u32 value_at(const struct pit_channel *c, u64 t)
{
	u64 n = c->count;
	u32 m = modulus(c);
	switch (c->mode) {
	case 2: return wrap(c, n - t % n);
	case 3: return wrap(c, (n - 2 * t % n) & ~1ull);
	case 1:
	case 5:
		if (!c->triggered)
			return wrap(c, n);
		/* fall through */
	default: return wrap(c, n + m - t % m);
	}
}

static bool out_at(const struct pit_channel *c, u64 t)
{
	u64 n = c->count;
	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0: return t >= n;
	case 1: return !c->triggered || t >= n;
	case 2: return !c->counting || t % n != n - 1;
	case 3: return !c->counting || t % n < (n + 1) / 2;
	case 4: return t != n;
	default: return !c->triggered || t != n;
	}
}

/* Ticks until the next rising edge of OUT after @t, or 0 if there is none. */
static u64 next_rise(const struct pit_channel *c, u64 t)
{
	u64 n = c->count;
	if (!c->loaded || !c->counting)
		return 0;
	switch (c->mode) {
	case 0: return t < n ? n - t : 0;
	case 1: return c->triggered && t < n ? n - t : 0;
	case 2:
	case 3: return n - t % n;
	case 4: return t <= n ? n + 1 - t : 0;
	default: return c->triggered && t <= n ? n + 1 - t : 0;
	}
}

/* Time at which @ticks have passed since the channel's start. */
static u64 time_of(const struct pit_channel *c, u64 ticks)
{
	return c->start_ns + ticks_to_ns(ticks - c->held, PIT_HZ);
}

static void schedule(struct pit *p)
{
	struct pit_channel *c = &p->ch[0];
	u64 t = elapsed(p, c), rise = next_rise(c, t);
	irq_set(&p->irq, out_at(c, t));
	if (rise)
		timer_arm(&p->timer, time_of(c, t + rise));
	else
		timer_disarm(&p->timer);
}

static void fire(void *ctx)
{
	struct pit *p = ctx;
	irq_set(&p->irq, false);
	irq_set(&p->irq, true);
	schedule(p);
}

/* ---- loading ----------------------------------------------------------------------------- */

static u32 from_bcd(u32 v)
{
	return (v & 15) + (v >> 4 & 15) * 10 + (v >> 8 & 15) * 100 + (v >> 12 & 15) * 1000;
}

static u32 to_bcd(u32 v)
{
	return v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12;
}

static void restart(struct pit *p, struct pit_channel *c)
{
	c->start_ns = now(p);
	c->held = 0;
}

static void load(struct pit *p, struct pit_channel *c, u32 raw)
{
	u32 n = c->bcd ? from_bcd(raw) % 10000 : raw;
	bool periodic = c->mode == 2 || c->mode == 3;
	c->count = n ? n : modulus(c);
	if (periodic && c->count < 2)
		c->count = 2; /* 1 is illegal in these modes */
	bool first = !c->loaded;
	c->loaded = true;
	/* Modes 1 and 5 wait for the gate; a running periodic counter would take the new count at
	 * its next period: here at once. */
	if (c->mode == 1 || c->mode == 5)
		c->triggered = c->triggered && !first;
	else
		restart(p, c);
	c->counting = c->gate || c->mode == 1 || c->mode == 5;
}

static void set_gate(struct pit *p, struct pit_channel *c, bool gate)
{
	bool rising = gate && !c->gate;
	u64 t = elapsed(p, c);
	c->gate = gate;
	if (c->mode == 1 || c->mode == 5) {
		if (rising && c->loaded) {
			c->triggered = true;
			restart(p, c);
		}
		return;
	}
	if (c->counting != gate) {
		c->held = c->mode == 2 || c->mode == 3 ? 0 : t;
		c->start_ns = now(p);
		c->counting = gate && c->loaded;
	}
}

/* ---- speaker ----------------------------------------------------------------------------- */

/* How many of the first @t ticks OUT was high. */
static u64 high_ticks(const struct pit_channel *c, u64 t)
{
	u64 n = c->count;
	if (!c->loaded)
		return c->mode != 0 ? t : 0;
	switch (c->mode) {
	case 0: return t > n ? t - n : 0;
	case 1: return !c->triggered ? t : t > n ? t - n : 0;
	case 2: return t - (c->counting ? t / n : 0);
	case 3: return c->counting ? t / n * ((n + 1) / 2) + MIN(t % n, (n + 1) / 2) : t;
	default: return t;
	}
}

/* struct speaker.high_ns: OUT2 and bit 1 of port 61h are both needed. */
static u64 speaker_high(void *ctx, u64 when)
{
	struct pit *p = ctx;
	const struct pit_channel *c = &p->ch[2];
	u64 t = c->held;
	if (!(p->port61 & 2))
		return 0;
	if (!c->counting)
		return out_at(c, t) ? when : 0;
	t += when > c->start_ns ? ns_to_ticks(when - c->start_ns, PIT_HZ) : 0;
	return ticks_to_ns(high_ticks(c, t), PIT_HZ);
}

/* ---- ports ------------------------------------------------------------------------------- */

static void latch_count(struct pit *p, struct pit_channel *c)
{
	if (c->count_latched)
		return;
	u32 v = value_at(c, elapsed(p, c));
	c->latch = (u16)(c->bcd ? to_bcd(v) : v);
	c->count_latched = true;
}

static void latch_status(struct pit *p, struct pit_channel *c)
{
	if (c->status_latched)
		return;
	c->status = (u8)(out_at(c, elapsed(p, c)) << 7 | !c->loaded << 6 | c->rw << 4 |
			 c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static void read_back(struct pit *p, u8 v)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(v >> (i + 1) & 1))
			continue;
		if (!(v & 0x20))
			latch_count(p, &p->ch[i]);
		if (!(v & 0x10))
			latch_status(p, &p->ch[i]);
	}
}

static void write_control(struct pit *p, u8 v)
{
	if (v >> 6 == 3) {
		read_back(p, v);
		return;
	}
	struct pit_channel *c = &p->ch[v >> 6];
	if ((v >> 4 & 3) == RW_LATCH) {
		latch_count(p, c);
		return;
	}
	c->rw = v >> 4 & 3;
	c->mode = v >> 1 & 7;
	if (c->mode > 5)
		c->mode &= 3;
	c->bcd = v & 1;
	c->loaded = c->triggered = c->counting = false;
	c->count_latched = c->status_latched = c->read_high = c->write_high = false;
	c->count = modulus(c);
	restart(p, c);
}

static void write_counter(struct pit *p, struct pit_channel *c, u8 v)
{
	switch (c->rw) {
	case RW_LOW: load(p, c, v); break;
	case RW_HIGH: load(p, c, (u32)v << 8); break;
	default:
		if (c->write_high)
			load(p, c, (u32)v << 8 | c->low);
		else
			c->low = v;
		/* In mode 0 the first byte stops the counter. */
		if (!c->write_high && c->mode == 0)
			c->loaded = c->counting = false;
		c->write_high = !c->write_high;
		break;
	}
}

static u8 read_counter(struct pit *p, struct pit_channel *c)
{
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	u32 v = c->latch;
	if (!c->count_latched) {
		v = value_at(c, elapsed(p, c));
		v = c->bcd ? to_bcd(v) : v;
	}
	bool high = c->rw == RW_HIGH || (c->rw == RW_BOTH && c->read_high);
	if (c->rw == RW_BOTH)
		c->read_high = !c->read_high;
	if (c->rw != RW_BOTH || !c->read_high)
		c->count_latched = false;
	return (u8)(high ? v >> 8 : v);
}

static void pit_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct pit *p = ctx;
	speaker_sync(&p->speaker, now(p));
	if ((port & 3) == 3)
		write_control(p, (u8)value);
	else
		write_counter(p, &p->ch[port & 3], (u8)value);
	schedule(p);
}

static u32 pit_read(void *ctx, u16 port, unsigned size)
{
	struct pit *p = ctx;
	return (port & 3) == 3 ? 0xff : read_counter(p, &p->ch[port & 3]);
}

/* Bits 0 and 1 timer 2 gate and speaker, 2 and 3 disable NMI sources, 4 refresh, 5 OUT2. */
static u32 port61_read(void *ctx, u16 port, unsigned size)
{
	struct pit *p = ctx;
	bool refresh = now(p) / REFRESH_NS & 1;
	bool out2 = out_at(&p->ch[2], elapsed(p, &p->ch[2]));
	return (u32)(p->port61 | refresh << 4 | out2 << 5);
}

static void port61_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct pit *p = ctx;
	speaker_sync(&p->speaker, now(p));
	p->port61 = value & 0x0f;
	set_gate(p, &p->ch[2], value & 1);
}

static int init(struct device *d, char *err, size_t n)
{
	struct pit *p = (struct pit *)d;
	speaker_init(&p->speaker, d->env->audio, speaker_high, p);
	return 0;
}

static void release(struct device *d)
{
	speaker_free(&((struct pit *)d)->speaker);
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct pit *p = (struct pit *)d;
	speaker_sync(&p->speaker, now(p));
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i] =
		    (struct pit_channel){.gate = i < 2, .rw = RW_BOTH, .count = 65536, .mode = 3};
		p->ch[i].start_ns = now(p);
	}
	p->port61 = 0;
	schedule(p);
}

static const struct port_ops pit_ports = {pit_read, pit_write, IO_1};
static const struct port_ops port61_ports = {port61_read, port61_write, IO_1};

const struct device_type pit_type = {
    .name = "pit",
    .help = "8254 timer and port 61h",
    .category = "timer",
    .size = sizeof(struct pit),
    .ports = (const struct port_claim[]){{0x40, 4, &pit_ports}, {0x61, 1, &port61_ports}, {0}},
    .irqs = (const struct irq_output[]){{"irq0", offsetof(struct pit, irq), 0}, {0}},
    .timers = (const struct timer_decl[]){{"timer", offsetof(struct pit, timer), fire}, {0}},
    .snapshot = &pit_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .internal = true,
};
