/*
 * National Semiconductor PC16550D UART: FIFOs, all interrupts, loopback, scratch, divisor latch.
 * Modem inputs CTS, DSR, DCD stay asserted. A byte takes 1 us of virtual time however the divisor
 * is set, or its true time with paced=on: time enough that drivers see the transmitter busy, and
 * little enough that polling output does not cost. Received bytes wait in front of the FIFO, so
 * that overruns happen in loopback only. Not modelled: parity and framing errors, sending breaks,
 * DMA mode signals (RXRDY, TXRDY).
 */
#include "devices/serial/uart16550.h"

#include <errno.h>

#include "devices/backends/chardev.h"

#define FAST_BYTE_NS 1000u
#define UART_HZ      115200u
#define FIFO         16
#define BACKLOG      4096

#define IER_RX      1u
#define IER_TX      2u
#define IER_LINE    4u
#define IER_MODEM   8u
#define LCR_BREAK   0x40u
#define LCR_DLAB    0x80u
#define LSR_DATA    1u
#define LSR_OVERRUN 2u
#define LSR_THRE    0x20u
#define LSR_TEMT    0x40u
#define MCR_OUT2    8u
#define MCR_LOOP    0x10u
#define MSR_INPUTS  0xb0u /* DCD, DSR, CTS */

struct uart {
	struct device dev;
	struct irq_line irq;
	struct timer tx_timer; /* the transmitter becomes empty */
	struct timer rx_timer; /* the next byte arrives, or the FIFO times out */
	struct chardev *chardev;
	u64 iobase, irq_number; /* settings */
	char chardev_id[PROP_TEXT_SIZE];
	bool paced;
	u8 pad[7];
	u64 tx_done_ns;    /* when the last byte will have left */
	u64 rx_next_ns;    /* the line is busy receiving until then */
	u64 rx_touched_ns; /* last time the FIFO was filled or read: for the timeout interrupt */
	u32 back_head, back_tail;
	u16 divisor;
	u8 ier, fcr, lcr, mcr, lsr, msr, scr;
	u8 fifo[FIFO];
	u8 fifo_head, fifo_count;
	bool tx_pending; /* THRE interrupt is waiting */
	bool timed_out;  /* character timeout */
	u8 backlog[BACKLOG];
};

/* clang-format off */
#define UART_FIELDS(V, S, H, P) \
	H(dev) V(irq) V(tx_timer) V(rx_timer) H(chardev) H(iobase) H(irq_number) \
	H(chardev_id) H(paced) H(pad) V(tx_done_ns) V(rx_next_ns) V(rx_touched_ns) \
	V(back_head) V(back_tail) V(divisor) V(ier) V(fcr) V(lcr) V(mcr) V(lsr) V(msr) \
	V(scr) V(fifo) V(fifo_head) V(fifo_count) V(tx_pending) V(timed_out) V(backlog) \
	P(3)
/* clang-format on */
SNAPSHOT(uart_snapshot, "uart16550", 1, struct uart, UART_FIELDS);

static u64 now(const struct uart *u)
{
	return clock_now(u->dev.env->clock);
}

static u64 byte_ns(const struct uart *u)
{
	unsigned bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
	if (!u->paced)
		return FAST_BYTE_NS;
	return ticks_to_ns(bits * (u64)(u->divisor ? u->divisor : 1), UART_HZ);
}

static bool fifo_on(const struct uart *u)
{
	return u->fcr & 1;
}

static unsigned trigger(const struct uart *u)
{
	static const u8 levels[4] = {1, 4, 8, 14};
	return fifo_on(u) ? levels[u->fcr >> 6] : 1;
}

/* ---- status and interrupts --------------------------------------------------------------- */

static u8 line_status(const struct uart *u)
{
	u8 v = u->lsr | (u->fifo_count ? LSR_DATA : 0);
	u64 t = now(u);
	if (t + byte_ns(u) >= u->tx_done_ns) /* the last byte is in the shift register */
		v |= LSR_THRE;
	if (t >= u->tx_done_ns)
		v |= LSR_TEMT;
	return v;
}

/* Interrupt identification; 1: none. */
static u8 identify(const struct uart *u)
{
	if ((u->ier & IER_LINE) && (u->lsr & LSR_OVERRUN))
		return 6;
	if ((u->ier & IER_RX) && u->fifo_count >= trigger(u))
		return 4;
	if ((u->ier & IER_RX) && u->timed_out && u->fifo_count)
		return 0xc;
	if ((u->ier & IER_TX) && u->tx_pending)
		return 2;
	if ((u->ier & IER_MODEM) && (u->msr & 0x0f))
		return 0;
	return 1;
}

/* OUT2 gates the interrupt on a PC; in loopback it is cut off from the pin. */
static void update(struct uart *u)
{
	bool gate = (u->mcr & MCR_OUT2) && !(u->mcr & MCR_LOOP);
	irq_set(&u->irq, gate && identify(u) != 1);
}

/* ---- receiving --------------------------------------------------------------------------- */

static void fifo_push(struct uart *u, u8 byte)
{
	unsigned depth = fifo_on(u) ? FIFO : 1;
	if (u->fifo_count >= depth) {
		u->lsr |= LSR_OVERRUN;
		if (!fifo_on(u))
			u->fifo[u->fifo_head] = byte;
		return;
	}
	u->fifo[(u->fifo_head + u->fifo_count++) % FIFO] = byte;
	u->rx_touched_ns = now(u);
	u->timed_out = false;
}

static unsigned backlog_used(const struct uart *u)
{
	return u->back_head - u->back_tail;
}

static bool can_take(const struct uart *u)
{
	return u->fifo_count < (fifo_on(u) ? FIFO : 1);
}

static void schedule_rx(struct uart *u)
{
	u64 at = CLOCK_NEVER;
	if (backlog_used(u) && can_take(u) && !(u->mcr & MCR_LOOP))
		at = MAX(u->rx_next_ns, now(u));
	if (fifo_on(u) && u->fifo_count && u->fifo_count < trigger(u) && !u->timed_out)
		at = MIN(at, u->rx_touched_ns + 4 * byte_ns(u));
	if (at == CLOCK_NEVER)
		timer_disarm(&u->rx_timer);
	else
		timer_arm(&u->rx_timer, at);
}

static void rx_fire(void *ctx)
{
	struct uart *u = ctx;
	u64 t = now(u);
	if (backlog_used(u) && can_take(u) && !(u->mcr & MCR_LOOP) && t >= u->rx_next_ns) {
		fifo_push(u, u->backlog[u->back_tail++ % BACKLOG]);
		u->rx_next_ns = t + byte_ns(u);
	} else if (fifo_on(u) && u->fifo_count && t >= u->rx_touched_ns + 4 * byte_ns(u)) {
		u->timed_out = true;
	}
	schedule_rx(u);
	update(u);
}

unsigned uart_room(struct device *d)
{
	return BACKLOG - backlog_used((struct uart *)d);
}

unsigned uart_receive(struct device *d, const u8 *data, unsigned n)
{
	struct uart *u = (struct uart *)d;
	n = MIN(n, uart_room(d));
	for (unsigned i = 0; i < n; i++)
		u->backlog[u->back_head++ % BACKLOG] = data[i];
	schedule_rx(u);
	return n;
}

static u8 read_data(struct uart *u)
{
	u8 v = u->fifo[u->fifo_head];
	if (!u->fifo_count)
		return v;
	u->fifo_head = (u8)((u->fifo_head + 1) % FIFO);
	u->fifo_count--;
	u->timed_out = false;
	u->rx_touched_ns = now(u);
	schedule_rx(u);
	return v;
}

/* ---- sending ----------------------------------------------------------------------------- */

static void tx_fire(void *ctx)
{
	struct uart *u = ctx;
	u->tx_pending = true;
	update(u);
}

static void write_data(struct uart *u, u8 byte)
{
	if (u->mcr & MCR_LOOP)
		fifo_push(u, byte);
	else if (u->chardev)
		chardev_write(u->chardev, &byte, 1);
	u->tx_done_ns = MAX(u->tx_done_ns, now(u)) + byte_ns(u);
	u->tx_pending = false;
	timer_arm(&u->tx_timer, u->tx_done_ns);
	if (u->mcr & MCR_LOOP)
		schedule_rx(u);
}

/* ---- registers --------------------------------------------------------------------------- */

/* In loopback the modem outputs feed the inputs: DTR-DSR, RTS-CTS, OUT1-RI, OUT2-DCD. */
static void update_modem(struct uart *u)
{
	u8 in = MSR_INPUTS, old = u->msr & 0xf0;
	if (u->mcr & MCR_LOOP)
		in = (u8)((u->mcr & 1) << 5 | (u->mcr & 2) << 3 | (u->mcr & 4) << 4 |
			  (u->mcr & 8) << 4);
	u8 changed = old ^ in;
	u8 delta = (u8)((changed >> 4 & 0xb) | ((old & 0x40) && !(in & 0x40) ? 4 : 0));
	u->msr = in | (u->msr & 0x0f) | delta;
}

static void write_fcr(struct uart *u, u8 v)
{
	bool toggled = (v ^ u->fcr) & 1;
	if (!(v & 1))
		v = 0;
	if ((v & 2) || toggled) {
		u->fifo_count = 0;
		u->timed_out = false;
	}
	u->fcr = v & 0xc9;
	schedule_rx(u);
}

static void write_ier(struct uart *u, u8 v)
{
	bool tx_enabled = (v & IER_TX) && !(u->ier & IER_TX);
	u->ier = v & 0x0f;
	if (tx_enabled && (line_status(u) & LSR_THRE))
		u->tx_pending = true;
}

static void uart_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct uart *u = ctx;
	u8 v = (u8)value;
	switch ((port - u->iobase) & 7) {
	case 0:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0xff00) | v);
		else
			write_data(u, v);
		break;
	case 1:
		if (u->lcr & LCR_DLAB)
			u->divisor = (u16)((u->divisor & 0xff) | v << 8);
		else
			write_ier(u, v);
		break;
	case 2: write_fcr(u, v); break;
	case 3:
		if (v & ~u->lcr & LCR_BREAK)
			log_unimplemented(u->dev.env->log, "%s: sending a break", u->dev.id);
		u->lcr = v;
		break;
	case 4:
		u->mcr = v & 0x1f;
		update_modem(u);
		schedule_rx(u);
		break;
	case 7: u->scr = v; break;
	default: break; /* LSR and MSR: read-only */
	}
	update(u);
}

static u8 read_iir(struct uart *u)
{
	u8 v = identify(u);
	if (v == 2)
		u->tx_pending = false;
	return v | (fifo_on(u) ? 0xc0 : 0);
}

static u8 read_register(struct uart *u, unsigned reg)
{
	u8 v;
	switch (reg) {
	case 0: return u->lcr & LCR_DLAB ? (u8)u->divisor : read_data(u);
	case 1: return u->lcr & LCR_DLAB ? (u8)(u->divisor >> 8) : u->ier;
	case 2: return read_iir(u);
	case 3: return u->lcr;
	case 4: return u->mcr;
	case 5:
		v = line_status(u);
		u->lsr &= (u8)~LSR_OVERRUN;
		return v;
	case 6:
		v = u->msr;
		u->msr &= 0xf0;
		return v;
	default: return u->scr;
	}
}

static u32 uart_read(void *ctx, u16 port, unsigned size)
{
	struct uart *u = ctx;
	u8 v = read_register(u, (port - u->iobase) & 7);
	update(u);
	return v;
}

static const struct port_ops uart_ports = {uart_read, uart_write, IO_1};

static void reset(struct device *d, enum reset_kind kind)
{
	struct uart *u = (struct uart *)d;
	u->ier = u->fcr = u->lcr = u->mcr = u->lsr = 0;
	u->divisor = 12;
	u->fifo_count = u->fifo_head = 0;
	u->tx_pending = u->timed_out = false;
	u->tx_done_ns = u->rx_next_ns = 0;
	timer_disarm(&u->tx_timer);
	timer_disarm(&u->rx_timer);
	update_modem(u);
	u->msr &= 0xf0;
	update(u);
}

static int init(struct device *d, char *err, size_t n)
{
	struct uart *u = (struct uart *)d;
	if (u->chardev_id[0]) {
		if (d->env->find_chardev)
			u->chardev = d->env->find_chardev(d->env->hooks.ctx, u->chardev_id);
		if (!u->chardev) {
			snprintf(err, n, "%s: no chardev '%s'", d->id, u->chardev_id);
			return -ENOENT;
		}
	}
	device_connect_irq(d, &u->irq, (unsigned)u->irq_number);
	return device_claim_ports(d, (u16)u->iobase, 8, &uart_ports, err, n);
}

struct chardev *uart_chardev(struct device *d)
{
	return ((struct uart *)d)->chardev;
}

static const struct prop props[] = {
    {"iobase", PROP_UINT, offsetof(struct uart, iobase), "0x3f8", "first port", 0, 0xfff8, NULL},
    {"irq", PROP_UINT, offsetof(struct uart, irq_number), "4", "ISA IRQ", 0, 15, NULL},
    {"chardev", PROP_TEXT, offsetof(struct uart, chardev_id), "", "where the bytes go", 0, 0, NULL},
    {"paced", PROP_BOOL, offsetof(struct uart, paced), "off",
     "bytes take their time at the baud rate", 0, 0, NULL},
    {0},
};

const struct device_type uart16550_type = {
    .name = "isa-serial",
    .help = "16550A serial port",
    .category = "serial",
    .size = sizeof(struct uart),
    .timers = (const struct timer_decl[]){{"tx", offsetof(struct uart, tx_timer), tx_fire},
					  {"rx", offsetof(struct uart, rx_timer), rx_fire},
					  {0}},
    .props = props,
    .snapshot = &uart_snapshot,
    .init = init,
    .reset = reset,
};
