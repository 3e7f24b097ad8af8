/*
 * Intel 8259A, two cascaded as in a PC, with the edge/level control registers of the PIIX (ELCR,
 * 4D0h-4D1h). Modelled: ICW1-4, OCW1-3, all priority and EOI modes, special mask, poll, special
 * fully nested mode, spurious IR7/IR15. A request on an edge input stays latched when the line
 * falls (as in the PIIX), where the NMOS chip would turn it into a spurious IR7. Not modelled:
 * MCS-80/85 vectors (three-byte CALL), buffered mode, ICW1.LTIM (the ELCR rules).
 */
#include "devices/irq/pic.h"

enum { WAIT_NONE, WAIT_ICW2, WAIT_ICW3, WAIT_ICW4 };

struct pic_chip {
	u8 irr, isr, imr;
	u8 lines;   /* levels of the inputs */
	u8 elcr;    /* 1: level triggered */
	u8 base;    /* vector of IR0 */
	u8 highest; /* the input of highest priority */
	u8 wait;    /* next initialisation word */
	u8 icw3;
	bool want_icw4, single, auto_eoi, rotate_aeoi, sfnm, special_mask, read_isr, poll;
	u8 index; /* 0: master */
};

struct pic {
	struct device dev;
	struct irq_line intr;
	struct pic_chip chip[2];
};

/* clang-format off */
#define CHIP_FIELDS(V, S, H, P) \
	V(irr) V(isr) V(imr) V(lines) V(elcr) V(base) V(highest) V(wait) V(icw3) \
	V(want_icw4) V(single) V(auto_eoi) V(rotate_aeoi) V(sfnm) V(special_mask) \
	V(read_isr) V(poll) H(index)
/* clang-format on */
SNAPSHOT(pic_chip_snapshot, "8259a", 1, struct pic_chip, CHIP_FIELDS);
#define PIC_FIELDS(V, S, H, P) H(dev) V(intr) S(chip, pic_chip_snapshot) P(4)
SNAPSHOT(pic_snapshot, "pic", 1, struct pic, PIC_FIELDS);

/* ---- priorities -------------------------------------------------------------------------- */

/* Rank of the most important set bit of @mask, 0 best; 8 if none. */
static unsigned rank(const struct pic_chip *c, u8 mask)
{
	for (unsigned i = 0; i < 8; i++)
		if (mask >> ((c->highest + i) & 7) & 1)
			return i;
	return 8;
}

/* The input to be served now, or -1. */
static int request(const struct pic_chip *c)
{
	u8 in_service = c->isr;
	if (c->special_mask)
		in_service &= (u8)~c->imr;
	if (c->sfnm && c->index == 0)
		in_service &= (u8)~4; /* the slave may interrupt itself */
	unsigned r = rank(c, c->irr & (u8)~c->imr);
	if (r == 8 || r >= rank(c, in_service))
		return -1;
	return (int)((c->highest + r) & 7);
}

static void set_line(struct pic_chip *c, unsigned n, bool level)
{
	u8 bit = (u8)BIT(n);
	bool rising = level && !(c->lines & bit);
	c->lines = level ? c->lines | bit : c->lines & (u8)~bit;
	bool cascade = c->index == 0 && n == 2; /* follows the slave's output */
	if ((c->elcr & bit) || (cascade && !level))
		c->irr = level ? c->irr | bit : c->irr & (u8)~bit;
	else if (rising)
		c->irr |= bit;
}

static void update(struct pic *p)
{
	set_line(&p->chip[0], 2, request(&p->chip[1]) >= 0);
	irq_set(&p->intr, request(&p->chip[0]) >= 0);
}

void pic_sink(void *ctx, unsigned irq, bool level)
{
	struct pic *p = ctx;
	if (irq == 2 || irq > 15)
		return;
	set_line(&p->chip[irq >> 3], irq & 7, level);
	update(p);
}

struct irq_line *pic_output(struct device *d)
{
	return &((struct pic *)d)->intr;
}

/* ---- acknowledge ------------------------------------------------------------------------- */

static void accept(struct pic_chip *c, unsigned n)
{
	u8 bit = (u8)BIT(n);
	if (!(c->elcr & bit))
		c->irr &= (u8)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_aeoi)
		c->highest = (n + 1) & 7;
}

static u8 ack_chip(struct pic_chip *c)
{
	int n = request(c);
	if (n >= 0)
		accept(c, (unsigned)n);
	return (u8)(n < 0 ? 7 : n);
}

u8 pic_intack(struct device *d)
{
	struct pic *p = (struct pic *)d;
	int n = request(&p->chip[0]);
	u8 vector;
	if (n == 2) {
		accept(&p->chip[0], 2);
		vector = p->chip[1].base + ack_chip(&p->chip[1]);
	} else {
		vector = p->chip[0].base + ack_chip(&p->chip[0]);
	}
	/* Another request of the slave must be a new edge at the master. */
	set_line(&p->chip[0], 2, false);
	update(p);
	return vector;
}

/* ---- registers --------------------------------------------------------------------------- */

static void icw1(struct pic_chip *c, u8 v)
{
	c->want_icw4 = v & 1;
	c->single = v & 2;
	c->imr = c->isr = 0;
	c->irr = c->lines & c->elcr;
	c->highest = 0;
	c->auto_eoi = c->rotate_aeoi = c->sfnm = c->special_mask = c->read_isr = c->poll = false;
	c->wait = WAIT_ICW2;
}

static void eoi(struct pic_chip *c, u8 v)
{
	unsigned r;
	u8 in_service = c->special_mask ? c->isr & (u8)~c->imr : c->isr;
	switch (v >> 5) {
	case 0: c->rotate_aeoi = false; break;
	case 4: c->rotate_aeoi = true; break;
	case 1: /* non-specific */
	case 5: /* and rotate */
		r = rank(c, in_service);
		if (r == 8)
			break;
		r = (c->highest + r) & 7;
		c->isr &= (u8)~BIT(r);
		if (v >> 5 == 5)
			c->highest = (r + 1) & 7;
		break;
	case 3: c->isr &= (u8)~BIT(v & 7); break;
	case 7: c->isr &= (u8)~BIT(v & 7); /* fall through */
	case 6: c->highest = (v + 1) & 7; break;
	case 2: break; /* no operation */
	}
}

static void ocw3(struct pic_chip *c, u8 v)
{
	c->poll = v & 4;
	if (v & 2)
		c->read_isr = v & 1;
	if (v & 0x40)
		c->special_mask = v & 0x20;
}

static void write_command(struct pic *p, struct pic_chip *c, u8 v)
{
	if (v & 0x10) {
		icw1(c, v);
		if (v & 8)
			log_unimplemented(p->dev.env->log, "8259A ICW1.LTIM (the ELCR decides)");
	} else if (v & 8) {
		ocw3(c, v);
	} else {
		eoi(c, v);
	}
}

static void write_data(struct pic *p, struct pic_chip *c, u8 v)
{
	switch (c->wait) {
	case WAIT_NONE: c->imr = v; break;
	case WAIT_ICW2:
		c->base = v & 0xf8;
		c->wait = c->single ? (c->want_icw4 ? WAIT_ICW4 : WAIT_NONE) : WAIT_ICW3;
		break;
	case WAIT_ICW3:
		c->icw3 = v;
		c->wait = c->want_icw4 ? WAIT_ICW4 : WAIT_NONE;
		break;
	case WAIT_ICW4:
		c->sfnm = v & 0x10;
		c->auto_eoi = v & 2;
		c->wait = WAIT_NONE;
		if (!(v & 1))
			log_unimplemented(p->dev.env->log, "8259A in MCS-80/85 mode");
		break;
	}
}

static struct pic_chip *chip_of(struct pic *p, u16 port)
{
	return &p->chip[port >= 0xa0];
}

static void pic_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct pic *p = ctx;
	if (port & 1)
		write_data(p, chip_of(p, port), (u8)value);
	else
		write_command(p, chip_of(p, port), (u8)value);
	update(p);
}

static u32 poll_read(struct pic *p, struct pic_chip *c)
{
	int n = request(c);
	c->poll = false;
	if (n < 0)
		return 0;
	accept(c, (unsigned)n);
	update(p);
	return 0x80u | (unsigned)n;
}

static u32 pic_read(void *ctx, u16 port, unsigned size)
{
	struct pic *p = ctx;
	struct pic_chip *c = chip_of(p, port);
	if (c->poll)
		return poll_read(p, c);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static u32 elcr_read(void *ctx, u16 port, unsigned size)
{
	struct pic *p = ctx;
	return p->chip[port & 1].elcr;
}

/* IRQ 0, 1, 2, 8 and 13 are edge triggered for ever. */
static void elcr_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct pic *p = ctx;
	struct pic_chip *c = &p->chip[port & 1];
	c->elcr = (u8)(value & (c->index ? 0xde : 0xf8));
	c->irr = (u8)((c->irr & ~c->elcr) | (c->lines & c->elcr));
	update(p);
}

/* The lines themselves are driven from outside and stay. */
static void pic_reset(struct device *d, enum reset_kind kind)
{
	struct pic *p = (struct pic *)d;
	for (unsigned i = 0; i < 2; i++)
		p->chip[i] = (struct pic_chip){
		    .index = (u8)i, .lines = i ? p->chip[1].lines : p->chip[0].lines & (u8)~4};
	update(p);
}

static const struct port_ops pic_ports = {pic_read, pic_write, IO_1};
static const struct port_ops elcr_ports = {elcr_read, elcr_write, IO_1};

const struct device_type pic_type = {
    .name = "pic",
    .help = "two 8259A interrupt controllers with ELCR",
    .category = "irq",
    .size = sizeof(struct pic),
    .ports =
	(const struct port_claim[]){
	    {0x20, 2, &pic_ports}, {0xa0, 2, &pic_ports}, {0x4d0, 2, &elcr_ports}, {0}},
    .snapshot = &pic_snapshot,
    .reset = pic_reset,
    .internal = true,
};
