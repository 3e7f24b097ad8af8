/*
 * Local APIC (SDM Vol. 3A, chapter 11 "Advanced Programmable Interrupt Controller"): xAPIC
 * registers and x2APIC MSRs, timer (one-shot, periodic, TSC deadline), IPIs, LVT, priorities, error
 * status. The timer's input clock is 1 GHz: one tick per virtual ns. Not modelled: focus processor
 * checking, arbitration priority (APR reads 0), CMCI, extended APIC space. The board places the
 * MMIO window (pc.c).
 */
#include "devices/irq/lapic.h"

#include "devices/irq/ioapic.h"

#define BASE_BSP     BIT64(8)
#define BASE_X2      BIT64(10)
#define BASE_ENABLE  BIT64(11)
#define DEFAULT_BASE 0xfee00000ull

#define LVT_MASKED     0x10000u
#define LVT_LEVEL      0x8000u
#define LVT_REMOTE_IRR 0x4000u
#define LVT_PERIODIC   0x20000u
#define LVT_DEADLINE   0x40000u

#define SVR_ENABLE           0x100u
#define SVR_NO_EOI_BROADCAST 0x1000u

#define ESR_SEND_VECTOR    0x20u
#define ESR_RECEIVE_VECTOR 0x40u
#define ESR_REGISTER       0x80u

#define VERSION (0x14u | 5u << 16 | BIT(24)) /* 6 LVT entries, EOI broadcast suppression */

/* Closer timer events than this are run together: the guest could not serve them anyway. */
#define MIN_PERIOD_NS 500

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

/* Writable bits of each LVT entry (11.5.1) */
static const u32 lvt_mask[LVT_COUNT] = {
    [LVT_TIMER] = 0x700ff, [LVT_THERMAL] = 0x107ff, [LVT_PERF] = 0x107ff,
    [LVT_LINT0] = 0x1a7ff, [LVT_LINT1] = 0x1a7ff,   [LVT_ERROR] = 0x100ff,
};

struct lapic {
	struct device dev;
	struct timer timer;
	u64 index;     /* processor number and initial APIC ID (setting) */
	u64 phys_bits; /* MAXPHYADDR (setting) */
	u64 base;      /* IA32_APIC_BASE */
	u64 tsc_deadline;
	u64 start_ns; /* when the initial count was written */
	u32 id;       /* xAPIC ID; in x2APIC mode the index counts */
	u32 tpr, ldr, dfr, svr, esr, esr_next;
	u32 icr_low, icr_high;
	u32 irr[8], isr[8], tmr[8];
	u32 lvt[LVT_COUNT];
	u32 initial, divide;
	u8 lint;       /* levels of LINT0 and LINT1 */
	bool extint;   /* an ExtINT message is waiting */
	bool intr;     /* the level last given to the CPU */
	bool in_error; /* raising the error LVT entry */
	bool expired;  /* the one-shot count reached 0: only a new initial count starts it again */
	bool absent;   /* a processor without APIC: as one that is off for good (setting) */
	u8 pad[6];
};

/* clang-format off */
#define LAPIC_FIELDS(V, S, H, P) \
	H(dev) V(timer) H(index) H(phys_bits) V(base) V(tsc_deadline) V(start_ns) V(id) \
	V(tpr) V(ldr) V(dfr) V(svr) V(esr) V(esr_next) V(icr_low) V(icr_high) V(irr) \
	V(isr) V(tmr) V(lvt) V(initial) V(divide) V(lint) V(extint) V(intr) V(in_error) \
	V(expired) H(absent) H(pad)
/* clang-format on */
SNAPSHOT(lapic_snapshot, "lapic", 1, struct lapic, LAPIC_FIELDS);

extern const struct device_type lapic_type;

static bool globally_on(const struct lapic *l)
{
	return l->base & BASE_ENABLE;
}

static bool x2apic(const struct lapic *l)
{
	return l->base & BASE_X2;
}

static bool software_on(const struct lapic *l)
{
	return globally_on(l) && (l->svr & SVR_ENABLE);
}

static u32 apic_id(const struct lapic *l)
{
	return x2apic(l) ? (u32)l->index : l->id;
}

/* ---- vectors and priorities -------------------------------------------------------------- */

static void set_bit(u32 *v, u8 n)
{
	v[n >> 5] |= BIT(n & 31);
}

static void clear_bit(u32 *v, u8 n)
{
	v[n >> 5] &= ~BIT(n & 31);
}

static bool test_bit(const u32 *v, u8 n)
{
	return v[n >> 5] >> (n & 31) & 1;
}

static int highest(const u32 *v)
{
	for (int i = 7; i >= 0; i--)
		if (v[i])
			return i * 32 + 31 - __builtin_clz(v[i]);
	return -1;
}

/* 11.8.3.1 */
static u8 ppr(const struct lapic *l)
{
	int isrv = highest(l->isr);
	u8 in_service = isrv < 0 ? 0 : (u8)isrv & 0xf0;
	return (l->tpr & 0xf0) >= in_service ? (u8)l->tpr : in_service;
}

/* The vector that may be delivered now, or -1. */
static int deliverable(const struct lapic *l)
{
	int v = software_on(l) ? highest(l->irr) : -1;
	return v >= 0 && (v & 0xf0) > (ppr(l) & 0xf0) ? v : -1;
}

/* An 8259A request reaches the CPU: through LINT0, or straight past an APIC that is off. */
static bool extint_waiting(const struct lapic *l)
{
	if (!globally_on(l))
		return (l->lint & 1) && l->index == 0;
	u32 lvt = l->lvt[LVT_LINT0];
	if ((l->lint & 1) && !(lvt & LVT_MASKED) && (lvt >> 8 & 7) == APIC_EXTINT)
		return true;
	return l->extint && software_on(l);
}

static void update(struct lapic *l)
{
	bool level = extint_waiting(l) || deliverable(l) >= 0;
	const struct machine_hooks *h = &l->dev.env->hooks;
	if (level == l->intr)
		return;
	l->intr = level;
	if (h->intr)
		h->intr(h->ctx, (unsigned)l->index, level);
}

int lapic_intack(struct device *d)
{
	struct lapic *l = (struct lapic *)d;
	if (extint_waiting(l)) {
		l->extint = false;
		return -1;
	}
	int v = deliverable(l);
	if (v < 0)
		return (u8)l->svr; /* the request went away: spurious (11.9) */
	clear_bit(l->irr, (u8)v);
	set_bit(l->isr, (u8)v);
	update(l);
	return v;
}

static void lvt_fire(struct lapic *l, enum lvt n);

static void error(struct lapic *l, u32 bit)
{
	l->esr_next |= bit;
	if (l->in_error)
		return; /* an illegal vector in the error entry itself */
	l->in_error = true;
	lvt_fire(l, LVT_ERROR);
	l->in_error = false;
}

static void accept_fixed(struct lapic *l, u8 vector, bool level)
{
	if (vector < 16) {
		error(l, ESR_RECEIVE_VECTOR);
		return;
	}
	set_bit(l->irr, vector);
	if (level)
		set_bit(l->tmr, vector);
	else
		clear_bit(l->tmr, vector);
	update(l);
}

static void end_of_interrupt(struct lapic *l)
{
	int v = highest(l->isr);
	if (v < 0)
		return;
	clear_bit(l->isr, (u8)v);
	for (unsigned i = LVT_LINT0; i <= LVT_LINT1; i++)
		if ((u8)l->lvt[i] == v)
			l->lvt[i] &= ~LVT_REMOTE_IRR;
	if (test_bit(l->tmr, (u8)v) && !(l->svr & SVR_NO_EOI_BROADCAST))
		ioapic_eoi_broadcast(l->dev.env, (u8)v);
	update(l);
}

/* ---- messages ---------------------------------------------------------------------------- */

static u32 x2apic_ldr(const struct lapic *l)
{
	return (u32)(l->index >> 4) << 16 | BIT(l->index & 15);
}

static bool match_logical(const struct lapic *l, const struct apic_message *m)
{
	if (x2apic(l)) {
		u32 ldr = x2apic_ldr(l);
		if (!m->wide) /* an I/O APIC or MSI: eight bits of a cluster-0 mask */
			return m->dest == 0xff || (ldr >> 16 == 0 && (ldr & m->dest & 0xff));
		return m->dest == 0xffffffffu ||
		       (ldr >> 16 == m->dest >> 16 && (ldr & m->dest & 0xffff));
	}
	u8 ldr = (u8)(l->ldr >> 24), dest = (u8)m->dest;
	if (l->dfr >> 28 == 0xf)
		return ldr & dest;
	return (ldr >> 4 == dest >> 4 || dest >> 4 == 0xf) && (ldr & dest & 0xf);
}

static bool matches(const struct lapic *l, const struct apic_message *m)
{
	if (m->logical)
		return match_logical(l, m);
	if (m->dest == (m->wide ? 0xffffffffu : 0xffu))
		return true;
	return m->dest == apic_id(l);
}

static bool accept(struct lapic *l, const struct apic_message *m)
{
	const struct machine_hooks *h = &l->dev.env->hooks;
	unsigned cpu = (unsigned)l->index;
	switch (m->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (!software_on(l))
			return false;
		accept_fixed(l, m->vector, m->level_triggered);
		return true;
	case APIC_SMI:
		if (h->smi)
			h->smi(h->ctx, cpu);
		return true;
	case APIC_NMI:
		if (h->nmi)
			h->nmi(h->ctx, cpu);
		return true;
	case APIC_INIT:
		if (h->init)
			h->init(h->ctx, cpu);
		return true;
	case APIC_SIPI:
		if (h->sipi)
			h->sipi(h->ctx, cpu, m->vector);
		return true;
	case APIC_EXTINT:
		l->extint = true;
		update(l);
		return true;
	case APIC_RESERVED: break;
	}
	return false;
}

static struct lapic *lapic_from(struct device *d)
{
	while (d && d->type != &lapic_type)
		d = d->next;
	return (struct lapic *)d;
}

static struct lapic *first_lapic(struct device_env *env)
{
	return lapic_from(env->devices);
}

static struct lapic *next_lapic(struct lapic *l)
{
	return lapic_from(l->dev.next);
}

static bool deliver_lowest(struct device_env *env, const struct apic_message *m)
{
	struct lapic *best = NULL;
	for (struct lapic *l = first_lapic(env); l; l = next_lapic(l))
		if (matches(l, m) && software_on(l) && (!best || ppr(l) < ppr(best)))
			best = l;
	return best && accept(best, m);
}

bool apic_deliver(struct device_env *env, const struct apic_message *m)
{
	bool taken = false;
	if (m->delivery == APIC_LOWEST)
		return deliver_lowest(env, m);
	for (struct lapic *l = first_lapic(env); l; l = next_lapic(l))
		if (matches(l, m))
			taken |= accept(l, m);
	return taken;
}

bool apic_deliver_msi(struct device_env *env, u64 addr, u32 data)
{
	struct apic_message m = {
	    .dest = (u32)(addr >> 12 & 0xff),
	    .logical = (addr & 0xc) == 0xc, /* redirection hint and logical mode */
	    .level_triggered = data >> 15 & 1,
	    .vector = (u8)data,
	    .delivery = (enum apic_delivery)(data >> 8 & 7),
	};
	if ((addr & 4) && !(addr & 8))
		m.logical = true;
	if (m.level_triggered && !(data >> 14 & 1))
		return true; /* deassert */
	return apic_deliver(env, &m);
}

/* 11.6.1. Shorthands: 0 none, 1 self, 2 all, 3 all but self. */
static void send_ipi(struct lapic *l)
{
	u32 low = l->icr_low;
	unsigned shorthand = low >> 18 & 3;
	struct apic_message m = {
	    .dest = x2apic(l) ? l->icr_high : l->icr_high >> 24,
	    .logical = low >> 11 & 1,
	    .wide = x2apic(l),
	    .vector = (u8)low,
	    .delivery = (enum apic_delivery)(low >> 8 & 7),
	};
	bool by_vector = m.delivery == APIC_FIXED || m.delivery == APIC_LOWEST;
	if (m.delivery == APIC_INIT && (low & 0xc000) == 0x8000)
		return; /* INIT level de-assert: of no effect since the P6 */
	if (by_vector && m.vector < 16) {
		error(l, ESR_SEND_VECTOR);
		return;
	}
	if (!shorthand) {
		apic_deliver(l->dev.env, &m);
		return;
	}
	if (m.delivery == APIC_LOWEST)
		m.delivery = APIC_FIXED;
	for (struct lapic *to = first_lapic(l->dev.env); to; to = next_lapic(to))
		if (to == l ? shorthand != 3 : shorthand != 1)
			accept(to, &m);
}

/* ---- local vector table ------------------------------------------------------------------ */

static void lvt_fire(struct lapic *l, enum lvt n)
{
	u32 lvt = l->lvt[n];
	struct apic_message m = {.vector = (u8)lvt, .delivery = (enum apic_delivery)(lvt >> 8 & 7)};
	if ((lvt & LVT_MASKED) || !globally_on(l))
		return;
	if (n == LVT_TIMER || n == LVT_ERROR)
		m.delivery = APIC_FIXED;
	if (m.delivery == APIC_FIXED && n >= LVT_LINT0 && n <= LVT_LINT1 && (lvt & LVT_LEVEL)) {
		if (lvt & LVT_REMOTE_IRR)
			return;
		l->lvt[n] |= LVT_REMOTE_IRR;
		m.level_triggered = true;
	}
	accept(l, &m);
}

void lapic_set_lint(struct device *d, unsigned pin, bool level)
{
	struct lapic *l = (struct lapic *)d;
	u8 bit = (u8)BIT(pin);
	bool rising = level && !(l->lint & bit);
	l->lint = level ? l->lint | bit : l->lint & (u8)~bit;
	u32 lvt = l->lvt[LVT_LINT0 + pin];
	if (rising && pin == 1 && !globally_on(l)) { /* the pin is plain NMI */
		struct apic_message nmi = {.delivery = APIC_NMI};
		accept(l, &nmi);
	} else if (rising && (lvt >> 8 & 7) != APIC_EXTINT) {
		lvt_fire(l, LVT_LINT0 + pin);
	}
	update(l);
}

/* ---- timer ------------------------------------------------------------------------------- */

static u64 divisor(const struct lapic *l)
{
	unsigned code = (l->divide & 3) | (l->divide >> 1 & 4);
	return code == 7 ? 1 : 2u << code;
}

static u64 period_ns(const struct lapic *l)
{
	return l->initial * divisor(l);
}

static bool deadline_mode(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & LVT_DEADLINE;
}

static bool periodic_mode(const struct lapic *l)
{
	return (l->lvt[LVT_TIMER] & (LVT_DEADLINE | LVT_PERIODIC)) == LVT_PERIODIC;
}

static u64 tsc_offset(const struct lapic *l)
{
	const struct machine_hooks *h = &l->dev.env->hooks;
	return h->tsc_offset ? h->tsc_offset(h->ctx, (unsigned)l->index) : 0;
}

static void arm_deadline(struct lapic *l)
{
	u64 tsc = clock_now(l->dev.env->clock) + tsc_offset(l);
	if (!l->tsc_deadline)
		timer_disarm(&l->timer);
	else if (l->tsc_deadline <= tsc)
		timer_arm(&l->timer, clock_now(l->dev.env->clock));
	else
		timer_arm(&l->timer, l->tsc_deadline - tsc_offset(l));
}

/* The first end of a period that is at least @least_ns. */
static u64 period_end(const struct lapic *l, u64 least_ns)
{
	u64 p = period_ns(l);
	u64 passed = least_ns > l->start_ns ? least_ns - l->start_ns : 0;
	return l->start_ns + MAX(1, (passed + p - 1) / p) * p;
}

/* Arms the timer for what the registers say; a masked periodic timer needs no events. */
static void arm(struct lapic *l)
{
	u64 now = clock_now(l->dev.env->clock);
	if (deadline_mode(l)) {
		arm_deadline(l);
		return;
	}
	timer_disarm(&l->timer);
	if (!l->initial || l->expired)
		return;
	if (!periodic_mode(l) && now < l->start_ns + period_ns(l))
		timer_arm(&l->timer, l->start_ns + period_ns(l));
	if (periodic_mode(l) && !(l->lvt[LVT_TIMER] & LVT_MASKED))
		timer_arm(&l->timer, period_end(l, now + 1));
}

static void timer_fire(void *ctx)
{
	struct lapic *l = ctx;
	if (deadline_mode(l))
		l->tsc_deadline = 0;
	else if (!periodic_mode(l))
		l->expired = true;
	else if (l->initial)
		timer_arm(&l->timer,
			  period_end(l, MAX(clock_now(l->dev.env->clock), l->timer.deadline_ns) +
					    MIN_PERIOD_NS));
	lvt_fire(l, LVT_TIMER);
}

static u32 current_count(const struct lapic *l)
{
	if (deadline_mode(l) || !l->initial || l->expired)
		return 0;
	u64 ticks = (clock_now(l->dev.env->clock) - l->start_ns) / divisor(l);
	if (periodic_mode(l))
		return (u32)(l->initial - ticks % l->initial);
	return ticks >= l->initial ? 0 : (u32)(l->initial - ticks);
}

static void write_initial(struct lapic *l, u32 v)
{
	if (deadline_mode(l))
		return;
	l->initial = v;
	l->expired = false;
	l->start_ns = clock_now(l->dev.env->clock);
	arm(l);
}

static void write_divide(struct lapic *l, u32 v)
{
	u32 left = current_count(l);
	l->divide = v & 0xb;
	/* The count goes on at the new rate: move the start so that it reads the same. */
	if (l->initial && left)
		l->start_ns = clock_now(l->dev.env->clock) - (l->initial - left) * divisor(l);
	arm(l);
}

/* ---- registers --------------------------------------------------------------------------- */

static void write_lvt(struct lapic *l, enum lvt n, u32 v)
{
	u32 old = l->lvt[n];
	v &= lvt_mask[n];
	if (!(l->svr & SVR_ENABLE))
		v |= LVT_MASKED;
	l->lvt[n] = v | (old & LVT_REMOTE_IRR);
	if (n == LVT_TIMER) {
		if (!(old & (LVT_PERIODIC | LVT_DEADLINE)) && l->initial &&
		    clock_now(l->dev.env->clock) >= l->start_ns + period_ns(l))
			l->expired = true;
		if ((old ^ v) & LVT_DEADLINE) { /* 11.5.4.1: the switch disarms the timer */
			l->tsc_deadline = 0;
			l->initial = 0;
		}
		arm(l);
	}
	if (n == LVT_LINT0 || n == LVT_LINT1) {
		bool level = (v & LVT_LEVEL) && (v >> 8 & 7) == APIC_FIXED;
		if (!level)
			l->lvt[n] &= ~LVT_REMOTE_IRR;
		else if (l->lint >> (n - LVT_LINT0) & 1)
			lvt_fire(l, n);
	}
	update(l);
}

static void write_svr(struct lapic *l, u32 v)
{
	l->svr = v & (SVR_NO_EOI_BROADCAST | 0x3ff);
	if (!(v & SVR_ENABLE))
		for (unsigned i = 0; i < LVT_COUNT; i++)
			l->lvt[i] |= LVT_MASKED;
	arm(l);
	update(l);
}

static int lvt_at(u32 reg)
{
	return reg >= 0x32 && reg <= 0x37 ? (int)(reg - 0x32) : -1;
}

/* Registers by number (offset / 16). False if there is no such register. */
static bool read_register(struct lapic *l, u32 reg, u32 *v)
{
	if (lvt_at(reg) >= 0) {
		*v = l->lvt[lvt_at(reg)];
		return true;
	}
	switch (reg) {
	case 0x02: *v = x2apic(l) ? (u32)l->index : l->id << 24; break;
	case 0x03: *v = VERSION; break;
	case 0x08: *v = l->tpr; break;
	case 0x09: *v = 0; break; /* APR */
	case 0x0a: *v = ppr(l); break;
	case 0x0b: *v = 0; break; /* EOI: write only */
	case 0x0c: *v = 0; break; /* RRD */
	case 0x0d: *v = x2apic(l) ? x2apic_ldr(l) : l->ldr; break;
	case 0x0e: *v = l->dfr; break;
	case 0x0f: *v = l->svr; break;
	case 0x10 ... 0x17: *v = l->isr[reg - 0x10]; break;
	case 0x18 ... 0x1f: *v = l->tmr[reg - 0x18]; break;
	case 0x20 ... 0x27: *v = l->irr[reg - 0x20]; break;
	case 0x28: *v = l->esr; break;
	case 0x30: *v = l->icr_low; break;
	case 0x31: *v = l->icr_high; break;
	case 0x38: *v = l->initial; break;
	case 0x39: *v = current_count(l); break;
	case 0x3e: *v = l->divide; break;
	default: return false;
	}
	return true;
}

static bool write_register(struct lapic *l, u32 reg, u32 v)
{
	if (lvt_at(reg) >= 0) {
		write_lvt(l, (enum lvt)lvt_at(reg), v);
		return true;
	}
	switch (reg) {
	case 0x02: l->id = v >> 24; break;
	case 0x08:
		l->tpr = v & 0xff;
		update(l);
		break;
	case 0x0b: end_of_interrupt(l); break;
	case 0x0d: l->ldr = v & 0xff000000u; break;
	case 0x0e: l->dfr = v | 0x0fffffffu; break;
	case 0x0f: write_svr(l, v); break;
	case 0x28:
		l->esr = l->esr_next;
		l->esr_next = 0;
		break;
	case 0x30:
		l->icr_low = v & 0xccfff;
		send_ipi(l);
		break;
	case 0x31: l->icr_high = v & 0xff000000u; break;
	case 0x38: write_initial(l, v); break;
	case 0x3e: write_divide(l, v); break;
	case 0x03:
	case 0x0a:
	case 0x09:
	case 0x0c:
	case 0x39: break; /* read-only */
	case 0x10 ... 0x27: break;
	default: return false;
	}
	return true;
}

u32 lapic_mmio_read(struct device *d, u32 offset, unsigned size)
{
	struct lapic *l = (struct lapic *)d;
	u32 v = 0;
	if (!globally_on(l) || x2apic(l))
		return 0xffffffffu;
	if ((offset & 15) >= 4)
		return 0;
	if (!read_register(l, offset >> 4 & 0xff, &v))
		error(l, ESR_REGISTER);
	return v >> ((offset & 3) * 8);
}

void lapic_mmio_write(struct device *d, u32 offset, u32 value, unsigned size)
{
	struct lapic *l = (struct lapic *)d;
	if (!globally_on(l) || x2apic(l) || (offset & 15))
		return;
	if (!write_register(l, offset >> 4 & 0xff, value))
		error(l, ESR_REGISTER);
}

/* ---- MSRs -------------------------------------------------------------------------------- */

static void reset_registers(struct lapic *l)
{
	timer_disarm(&l->timer);
	l->tpr = l->ldr = l->esr = l->esr_next = l->icr_low = l->icr_high = 0;
	l->initial = l->divide = 0;
	l->expired = false;
	l->tsc_deadline = 0;
	l->dfr = 0xffffffffu;
	l->svr = 0xff;
	l->extint = false;
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
}

/* Transitions: 11.12.5. Off -> x2APIC and x2APIC -> xAPIC are #GP. */
static int write_base(struct lapic *l, u64 v)
{
	u64 allowed = (BIT64(l->phys_bits) - 1) & ~0x2ffull;
	u64 was = l->base & (BASE_ENABLE | BASE_X2), now = v & (BASE_ENABLE | BASE_X2);
	if ((v & ~allowed) || now == BASE_X2)
		return -1;
	if (was == (BASE_ENABLE | BASE_X2) && now == BASE_ENABLE)
		return -1;
	if (!was && (now & BASE_X2))
		return -1;
	l->base = v;
	if (was && !now) {
		reset_registers(l);
		l->id = (u32)l->index;
	}
	if (now & BASE_X2 && !(was & BASE_X2))
		l->icr_high = 0;
	update(l);
	return 0;
}

static int read_x2(struct lapic *l, u32 reg, u64 *v)
{
	u32 low;
	if (reg == 0x30) {
		*v = (u64)l->icr_high << 32 | l->icr_low;
		return 0;
	}
	if (reg == 0x31 || reg == 0x0e || reg == 0x0b || reg == 0x09 || reg == 0x0c ||
	    !read_register(l, reg, &low))
		return -1;
	*v = low;
	return 0;
}

/* Bits an x2APIC register may have set (11.12.1.2): others give #GP; 0 means the register is not
 * writable. */
static u64 x2_writable(u32 reg)
{
	if (lvt_at(reg) >= 0)
		return lvt_mask[lvt_at(reg)] | LVT_REMOTE_IRR | 0x1000;
	switch (reg) {
	case 0x08: return 0xff;
	case 0x0f: return SVR_NO_EOI_BROADCAST | 0x3ff;
	case 0x30: return 0xffffffff000ccfffull;
	case 0x38: return 0xffffffffu;
	case 0x3e: return 0xb;
	case 0x3f: return 0xff;
	default: return 0;
	}
}

static int write_x2(struct lapic *l, u32 reg, u64 v)
{
	if (reg == 0x0b || reg == 0x28) { /* EOI, ESR: only 0 may be written */
		if (v)
			return -1;
		write_register(l, reg, 0);
		return 0;
	}
	u64 writable = x2_writable(reg);
	if (!writable || (v & ~writable))
		return -1;
	if (reg == 0x3f) { /* SELF IPI */
		if (v < 16)
			error(l, ESR_SEND_VECTOR);
		else if (software_on(l))
			accept_fixed(l, (u8)v, false);
		return 0;
	}
	if (reg == 0x30)
		l->icr_high = (u32)(v >> 32);
	write_register(l, reg, (u32)v);
	return 0;
}

int lapic_msr_read(struct device *d, u32 msr, u64 *value)
{
	struct lapic *l = (struct lapic *)d;
	if (msr == 0x1b) {
		*value = l->base;
		return 0;
	}
	if (msr == 0x6e0) {
		*value = deadline_mode(l) ? l->tsc_deadline : 0;
		return 0;
	}
	if (msr < 0x800 || msr > 0x8ff || !x2apic(l))
		return -1;
	return read_x2(l, msr - 0x800, value);
}

int lapic_msr_write(struct device *d, u32 msr, u64 value)
{
	struct lapic *l = (struct lapic *)d;
	if (msr == 0x1b)
		return write_base(l, value);
	if (msr == 0x6e0) {
		if (deadline_mode(l)) {
			l->tsc_deadline = value;
			arm_deadline(l);
		}
		return 0;
	}
	if (msr < 0x800 || msr > 0x8ff || !x2apic(l))
		return -1;
	return write_x2(l, msr - 0x800, value);
}

u8 lapic_get_cr8(struct device *d)
{
	return (u8)(((struct lapic *)d)->tpr >> 4);
}

void lapic_set_cr8(struct device *d, u8 value)
{
	struct lapic *l = (struct lapic *)d;
	l->tpr = (u32)(value & 15) << 4;
	update(l);
}

u64 lapic_base(struct device *d)
{
	return ((struct lapic *)d)->base;
}

/* ---- reset ------------------------------------------------------------------------------- */

void lapic_init_reset(struct device *d)
{
	struct lapic *l = (struct lapic *)d;
	reset_registers(l);
	update(l);
}

void lapic_virtual_wire(struct device *d)
{
	struct lapic *l = (struct lapic *)d;
	write_svr(l, SVR_ENABLE | 0xff);
	write_lvt(l, LVT_LINT0, APIC_EXTINT << 8);
	write_lvt(l, LVT_LINT1, APIC_NMI << 8);
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct lapic *l = (struct lapic *)d;
	l->base = DEFAULT_BASE | (l->absent ? 0 : BASE_ENABLE) | (l->index == 0 ? BASE_BSP : 0);
	l->id = (u32)l->index;
	reset_registers(l);
	update(l);
}

static const struct prop props[] = {
    {"index", PROP_UINT, offsetof(struct lapic, index), "0", "processor number and APIC ID", 0, 254,
     NULL},
    {"phys-bits", PROP_UINT, offsetof(struct lapic, phys_bits), "40", "physical address width", 32,
     52, NULL},
    {"absent", PROP_BOOL, offsetof(struct lapic, absent), "off", "the processor has none: the 8259A reaches it directly", 0, 0, NULL},
    {0},
};

const struct device_type lapic_type = {
    .name = "lapic",
    .help = "local APIC of one processor",
    .category = "irq",
    .size = sizeof(struct lapic),
    .timers =
	(const struct timer_decl[]){{"timer", offsetof(struct lapic, timer), timer_fire}, {0}},
    .props = props,
    .snapshot = &lapic_snapshot,
    .reset = reset,
    .internal = true,
};
