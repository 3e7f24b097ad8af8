/*
 * Intel 82093AA I/O APIC with the EOI register of its successors (version 20h): 24 redirection
 * entries, remote IRR. Not modelled: input polarity (lines are logical levels), the APIC bus
 * arbitration ID, delivery status (never pending).
 */
#include "devices/irq/ioapic.h"

#include "devices/irq/lapic.h"

#define PINS           24
#define VERSION        0x20u
#define RTE_REMOTE_IRR BIT64(14)
#define RTE_LEVEL      BIT64(15)
#define RTE_MASKED     BIT64(16)
#define RTE_LOGICAL    BIT64(11)
#define RTE_WRITABLE   0xff0000000001afffull /* delivery status and remote IRR are read-only */

struct ioapic {
	struct device dev;
	u64 rte[PINS];
	u32 lines;
	u32 select;
	u64 id;
};

#define IOAPIC_FIELDS(V, S, H, P) H(dev) V(rte) V(lines) V(select) V(id)
SNAPSHOT(ioapic_snapshot, "ioapic", 1, struct ioapic, IOAPIC_FIELDS);

static bool send(struct ioapic *a, unsigned pin)
{
	u64 e = a->rte[pin];
	struct apic_message m = {
	    .dest = (u32)(e >> 56),
	    .logical = e & RTE_LOGICAL,
	    .level_triggered = e & RTE_LEVEL,
	    .vector = (u8)e,
	    .delivery = (enum apic_delivery)(e >> 8 & 7),
	};
	return apic_deliver(a->dev.env, &m);
}

/* A level-triggered entry whose line is high sends once, then waits for the EOI. */
static void service_level(struct ioapic *a, unsigned pin)
{
	u64 e = a->rte[pin];
	if (!(e & RTE_LEVEL) || (e & (RTE_MASKED | RTE_REMOTE_IRR)) || !(a->lines >> pin & 1))
		return;
	if (send(a, pin))
		a->rte[pin] |= RTE_REMOTE_IRR;
}

void ioapic_sink(void *ctx, unsigned pin, bool level)
{
	struct ioapic *a = ctx;
	if (pin >= PINS)
		return;
	bool rising = level && !(a->lines >> pin & 1);
	a->lines = level ? a->lines | BIT(pin) : a->lines & ~BIT(pin);
	if (a->rte[pin] & RTE_LEVEL)
		service_level(a, pin);
	else if (rising && !(a->rte[pin] & RTE_MASKED))
		send(a, pin);
}

static void end_of_interrupt(struct ioapic *a, u8 vector)
{
	for (unsigned pin = 0; pin < PINS; pin++) {
		u64 e = a->rte[pin];
		if ((u8)e != vector || !(e & RTE_LEVEL) || !(e & RTE_REMOTE_IRR))
			continue;
		a->rte[pin] &= ~RTE_REMOTE_IRR;
		service_level(a, pin);
	}
}

extern const struct device_type ioapic_type;

void ioapic_eoi_broadcast(struct device_env *env, u8 vector)
{
	for (struct device *d = env->devices; d; d = d->next)
		if (d->type == &ioapic_type)
			end_of_interrupt((struct ioapic *)d, vector);
}

static void write_rte(struct ioapic *a, unsigned pin, bool high, u32 v)
{
	u64 keep = high ? 0xffffffffull : ~0xffffffffull;
	u64 merged = (a->rte[pin] & keep) | (high ? (u64)v << 32 : v);
	u64 e = (a->rte[pin] & ~RTE_WRITABLE) | (merged & RTE_WRITABLE);
	if (!(e & RTE_LEVEL))
		e &= ~RTE_REMOTE_IRR; /* Linux clears a stuck remote IRR by going through edge mode
				       */
	a->rte[pin] = e;
	service_level(a, pin);
}

static u32 read_register(const struct ioapic *a)
{
	u32 r = a->select;
	if (r == 0 || r == 2)
		return (u32)a->id;
	if (r == 1)
		return VERSION | (PINS - 1) << 16;
	if (r >= 0x10 && r < 0x10 + 2 * PINS)
		return (u32)(a->rte[(r - 0x10) / 2] >> (r & 1 ? 32 : 0));
	return 0;
}

static void write_register(struct ioapic *a, u32 v)
{
	u32 r = a->select;
	if (r == 0)
		a->id = v & 0x0f000000u;
	else if (r >= 0x10 && r < 0x10 + 2 * PINS)
		write_rte(a, (r - 0x10) / 2, r & 1, v);
}

static u64 mmio_read(void *ctx, u64 offset, unsigned size)
{
	struct ioapic *a = ctx;
	switch (offset & 0xff) {
	case 0x00: return a->select;
	case 0x10: return read_register(a);
	default: return 0;
	}
}

static void mmio_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct ioapic *a = ctx;
	switch (offset & 0xff) {
	case 0x00: a->select = value & 0xff; break;
	case 0x10: write_register(a, (u32)value); break;
	case 0x40: end_of_interrupt(a, (u8)value); break;
	}
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct ioapic *a = (struct ioapic *)d;
	for (unsigned i = 0; i < PINS; i++)
		a->rte[i] = RTE_MASKED;
	a->select = 0;
	a->id = 0;
}

static const struct mmio_ops ioapic_mmio = {mmio_read, mmio_write, 4};

const struct device_type ioapic_type = {
    .name = "ioapic",
    .help = "82093AA I/O APIC at FEC00000h",
    .category = "irq",
    .size = sizeof(struct ioapic),
    .mmio = (const struct mmio_claim[]){{0xfec00000u, 0x1000, MEM_PRIO_APIC, &ioapic_mmio}, {0}},
    .snapshot = &ioapic_snapshot,
    .reset = reset,
    .internal = true,
};
