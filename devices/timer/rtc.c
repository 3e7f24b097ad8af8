/*
 * Motorola MC146818 real-time clock with 128 bytes of CMOS memory, ports 70h-71h; IRQ 8: periodic,
 * alarm and update-ended. The time is virtual: it starts at a value given once and advances with
 * the machine's clock. Registers are computed when looked at; timed events exist only while an
 * interrupt is enabled. The century is CMOS byte 32h, BCD, as BIOSes keep it. Not modelled:
 * daylight saving (DSE), square-wave output, dividers other than 32 768 Hz and reset. NMI mask (70h
 * bit 7) is kept, not used.
 */
#include "devices/timer/rtc.h"

#define S_NS      1000000000ull
#define UPDATE_NS 2228000ull /* UIP rises 244 us before the update, which takes 1984 us */

enum {
	SEC,
	SEC_ALARM,
	MIN_,
	MIN_ALARM,
	HOUR,
	HOUR_ALARM,
	WDAY,
	MDAY,
	MONTH,
	YEAR,
	A,
	B,
	C,
	D,
	CENTURY = 0x32
};

#define A_DIVIDER 0x70
#define A_RATE    0x0f
#define B_SET     0x80
#define B_PIE     0x40
#define B_AIE     0x20
#define B_UIE     0x10
#define B_BINARY  0x04
#define B_24H     0x02
#define C_IRQ     0x80
#define C_PF      0x40
#define C_AF      0x20
#define C_UF      0x10

struct rtc {
	struct device dev;
	struct irq_line irq;
	struct timer second; /* the next second boundary, while alarm or update interrupts are on */
	struct timer periodic;
	s64 base_s; /* the time at base_ns */
	u64 base_ns;
	u64 seen_s_ns; /* flags UF and AF are up to date for this moment */
	u64 seen_p_ns; /* and PF for this */
	u8 cmos[128];
	u8 index;
	u8 pad[7];
};

/* clang-format off */
#define RTC_FIELDS(V, S, H, P) \
	H(dev) V(irq) V(second) V(periodic) V(base_s) V(base_ns) V(seen_s_ns) V(seen_p_ns) \
	V(cmos) V(index) H(pad)
/* clang-format on */
SNAPSHOT(rtc_snapshot, "rtc", 1, struct rtc, RTC_FIELDS);

static u64 now(const struct rtc *r)
{
	return clock_now(r->dev.env->clock);
}

/* ---- calendar (proleptic Gregorian, civil-from-days by 400-year eras) -------------------- */

struct date {
	int year;
	unsigned month, day, hour, min, sec, wday; /* month 1.., day 1.., wday 1 = Sunday */
};

static struct date to_date(s64 t)
{
	struct date d;
	s64 days = t / 86400, rest = t % 86400;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	d.hour = (unsigned)(rest / 3600);
	d.min = (unsigned)(rest / 60 % 60);
	d.sec = (unsigned)(rest % 60);
	d.wday = (unsigned)(((days + 4) % 7 + 7) % 7) + 1;
	s64 z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	unsigned doe = (unsigned)(z - era * 146097);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	d.day = doy - (153 * mp + 2) / 5 + 1;
	d.month = mp < 10 ? mp + 3 : mp - 9;
	d.year = (int)(yoe + era * 400) + (d.month <= 2);
	return d;
}

static s64 from_date(const struct date *d)
{
	s64 y = d->year - (d->month <= 2), era = (y >= 0 ? y : y - 399) / 400;
	unsigned yoe = (unsigned)(y - era * 400);
	unsigned doy = (153 * (d->month > 2 ? d->month - 3 : d->month + 9) + 2) / 5 + d->day - 1;
	unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return (era * 146097 + (s64)doe - 719468) * 86400 + d->hour * 3600 + d->min * 60 + d->sec;
}

/* ---- time registers ---------------------------------------------------------------------- */

static bool running(const struct rtc *r)
{
	return !(r->cmos[B] & B_SET) &&
	       (r->cmos[A] & 0x60) != 0x60; /* divider 11x: held in reset */
}

static u8 encode(const struct rtc *r, unsigned v)
{
	return (u8)(r->cmos[B] & B_BINARY ? v : v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, u8 v)
{
	return r->cmos[B] & B_BINARY ? v : (v >> 4) * 10u + (v & 15);
}

static u8 encode_hour(const struct rtc *r, unsigned h)
{
	if (r->cmos[B] & B_24H)
		return encode(r, h);
	return (u8)(encode(r, h % 12 ? h % 12 : 12) | (h >= 12 ? 0x80 : 0));
}

static unsigned decode_hour(const struct rtc *r, u8 v)
{
	if (r->cmos[B] & B_24H)
		return decode(r, v) % 24;
	return decode(r, v & 0x7f) % 12 + (v & 0x80 ? 12 : 0);
}

static s64 time_at(const struct rtc *r, u64 ns)
{
	return r->base_s + (s64)((ns - r->base_ns) / S_NS);
}

/* Brings the registers up to date. */
static void sync_registers(struct rtc *r)
{
	if (!running(r))
		return;
	struct date d = to_date(time_at(r, now(r)));
	u8 *m = r->cmos;
	m[SEC] = encode(r, d.sec);
	m[MIN_] = encode(r, d.min);
	m[HOUR] = encode_hour(r, d.hour);
	m[WDAY] = encode(r, d.wday);
	m[MDAY] = encode(r, d.day);
	m[MONTH] = encode(r, d.month);
	m[YEAR] = encode(r, (unsigned)(d.year % 100));
	m[CENTURY] = (u8)(d.year / 1000 % 10 << 4 | d.year / 100 % 10);
}

/* Takes the time from the registers; nonsense in them becomes some time. */
static void base_from_registers(struct rtc *r)
{
	const u8 *m = r->cmos;
	unsigned century = (m[CENTURY] >> 4) * 10u + (m[CENTURY] & 15);
	struct date d = {
	    .year = (int)(century * 100 + decode(r, m[YEAR]) % 100),
	    .month = (decode(r, m[MONTH]) + 11) % 12 + 1,
	    .day = (decode(r, m[MDAY]) + 30) % 31 + 1,
	    .hour = decode_hour(r, m[HOUR]),
	    .min = decode(r, m[MIN_]) % 60,
	    .sec = decode(r, m[SEC]) % 60,
	};
	r->base_s = from_date(&d);
	/* Within the second we stay where we were, so that a write does not shift the tick. */
	r->base_ns = now(r) - (now(r) - r->base_ns) % S_NS;
}

/* ---- flags and interrupts ---------------------------------------------------------------- */

static bool alarm_field(u8 alarm, u8 value)
{
	return alarm >= 0xc0 || alarm == value;
}

static bool alarm_at(const struct rtc *r, s64 t)
{
	struct date d = to_date(t);
	const u8 *m = r->cmos;
	return alarm_field(m[SEC_ALARM], encode(r, d.sec)) &&
	       alarm_field(m[MIN_ALARM], encode(r, d.min)) &&
	       alarm_field(m[HOUR_ALARM], encode_hour(r, d.hour));
}

static u64 period_ticks(const struct rtc *r) /* of 32768 Hz; 0: off */
{
	unsigned rate = r->cmos[A] & A_RATE;
	if (!rate || (r->cmos[A] & 0x60) == 0x60)
		return 0;
	return rate <= 2 ? 1u << (rate + 6) : 1u << (rate - 1);
}

/* Sets UF and AF for the seconds that passed since they were last looked at (a day of alarms at
 * most). */
static void note_seconds(struct rtc *r)
{
	u64 t = now(r);
	if (!running(r)) {
		r->seen_s_ns = t;
		return;
	}
	u64 from = (MAX(r->seen_s_ns, r->base_ns) - r->base_ns) / S_NS,
	    to = (t - r->base_ns) / S_NS;
	r->seen_s_ns = t;
	if (to == from)
		return;
	r->cmos[C] |= C_UF;
	for (u64 s = MAX(from, to > 86400 ? to - 86400 : 0) + 1; s <= to; s++) {
		if (!alarm_at(r, r->base_s + (s64)s))
			continue;
		r->cmos[C] |= C_AF;
		break;
	}
}

static void note_periods(struct rtc *r)
{
	u64 p = period_ticks(r), t = now(r);
	if (p && ns_to_ticks(t, 32768) / p != ns_to_ticks(r->seen_p_ns, 32768) / p)
		r->cmos[C] |= C_PF;
	r->seen_p_ns = t;
}

static void update_irq(struct rtc *r)
{
	u8 on = r->cmos[C] & r->cmos[B] & (C_PF | C_AF | C_UF);
	r->cmos[C] = (u8)((r->cmos[C] & ~C_IRQ) | (on ? C_IRQ : 0));
	irq_set(&r->irq, on);
}

static void schedule(struct rtc *r)
{
	u64 p = period_ticks(r), t = now(r);
	if ((r->cmos[B] & B_PIE) && p)
		timer_arm(&r->periodic, ticks_to_ns((ns_to_ticks(t, 32768) / p + 1) * p, 32768));
	else
		timer_disarm(&r->periodic);
	if ((r->cmos[B] & (B_AIE | B_UIE)) && running(r))
		timer_arm(&r->second, r->base_ns + ((t - r->base_ns) / S_NS + 1) * S_NS);
	else
		timer_disarm(&r->second);
}

static void fire(void *ctx)
{
	struct rtc *r = ctx;
	note_seconds(r);
	note_periods(r);
	update_irq(r);
	schedule(r);
}

/* ---- ports ------------------------------------------------------------------------------- */

static u8 read_a(struct rtc *r)
{
	bool uip = running(r) && (now(r) - r->base_ns) % S_NS >= S_NS - UPDATE_NS;
	return (u8)((r->cmos[A] & 0x7f) | (uip ? 0x80 : 0));
}

static u8 read_c(struct rtc *r)
{
	note_seconds(r);
	note_periods(r);
	update_irq(r);
	u8 v = r->cmos[C];
	r->cmos[C] = 0;
	update_irq(r);
	return v;
}

static u32 rtc_read(void *ctx, u16 port, unsigned size)
{
	struct rtc *r = ctx;
	if (!(port & 1))
		return 0xff; /* the index is write-only */
	sync_registers(r);
	switch (r->index) {
	case A: return read_a(r);
	case C: return read_c(r);
	case D: return 0x80; /* valid RAM and time */
	default: return r->cmos[r->index];
	}
}

static void write_control(struct rtc *r, u8 v)
{
	bool ran;
	fire(r);
	sync_registers(r);
	ran = running(r);
	if (r->index == A)
		r->cmos[A] = v & 0x7f;
	else
		r->cmos[B] = v & B_SET ? v & (u8)~B_UIE : v;
	if (!ran && running(r)) {
		bool from_divider = r->index == A;
		r->base_ns = now(r);
		base_from_registers(r);
		if (from_divider) /* the first update comes half a second after the divider starts
				   */
			r->base_ns = now(r) >= S_NS / 2 ? now(r) - S_NS / 2 : 0;
		r->seen_s_ns = now(r);
	}
	update_irq(r);
	schedule(r);
}

static bool is_time(u8 index)
{
	return index == SEC || index == MIN_ || index == HOUR || (index >= WDAY && index <= YEAR) ||
	       index == CENTURY;
}

static void rtc_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct rtc *r = ctx;
	if (!(port & 1)) {
		r->index = value & 0x7f;
		return;
	}
	if (r->index == A || r->index == B) {
		write_control(r, (u8)value);
		return;
	}
	if (r->index == C || r->index == D)
		return;
	sync_registers(r);
	r->cmos[r->index] = (u8)value;
	if (is_time(r->index) && running(r)) {
		base_from_registers(r);
		schedule(r);
	}
}

/* ---- interface --------------------------------------------------------------------------- */

void rtc_set_time(struct device *d, s64 seconds)
{
	struct rtc *r = (struct rtc *)d;
	r->base_s = seconds;
	r->base_ns = r->seen_s_ns = now(r);
	sync_registers(r);
	schedule(r);
}

s64 rtc_get_time(struct device *d)
{
	struct rtc *r = (struct rtc *)d;
	return time_at(r, now(r));
}

void rtc_set_cmos(struct device *d, unsigned index, u8 value)
{
	((struct rtc *)d)->cmos[index & 0x7f] = value;
}

void rtc_set_checksum(struct device *d)
{
	struct rtc *r = (struct rtc *)d;
	unsigned sum = 0;
	for (unsigned i = 0x10; i <= 0x2d; i++)
		sum += r->cmos[i];
	r->cmos[0x2e] = (u8)(sum >> 8);
	r->cmos[0x2f] = (u8)sum;
}

/* RESET clears interrupt enables and flags; time and memory are battery-backed. */
static void reset(struct device *d, enum reset_kind kind)
{
	struct rtc *r = (struct rtc *)d;
	if (kind == RESET_COLD) {
		r->cmos[A] = 0x26;
		r->cmos[B] = B_24H;
		r->base_ns = r->seen_s_ns = r->seen_p_ns = now(r);
	}
	r->cmos[B] &= (u8) ~(B_PIE | B_AIE | B_UIE);
	r->cmos[C] = 0;
	r->index = 0;
	update_irq(r);
	schedule(r);
}

static const struct port_ops rtc_ports = {rtc_read, rtc_write, IO_1};

const struct device_type rtc_type = {
    .name = "rtc",
    .help = "MC146818 real-time clock and CMOS memory",
    .category = "timer",
    .size = sizeof(struct rtc),
    .ports = (const struct port_claim[]){{0x70, 2, &rtc_ports}, {0}},
    .irqs = (const struct irq_output[]){{"irq8", offsetof(struct rtc, irq), 8}, {0}},
    .timers = (const struct timer_decl[]){{"second", offsetof(struct rtc, second), fire},
					  {"periodic", offsetof(struct rtc, periodic), fire},
					  {0}},
    .snapshot = &rtc_snapshot,
    .reset = reset,
    .internal = true,
};
