/* INT 14h (serial ports), INT 17h (printers), and the console that stands in for a display. */
#include "bios/rt/rt.h"

static u16 divisor(u8 code)
{
	static const u16 table[8] = {0x417, 0x300, 0x180, 0xc0, 0x60, 0x30, 0x18, 0x0c};
	return table[code & 7];
}

/* Waits for all of @bits in the register @port; false after the port's time-out (40:7Ch, seconds).
 */
static bool await(u16 port, u8 bits, u8 seconds)
{
	struct deadline d;
	deadline_set(&d, seconds * 1000u);
	while ((inb(port) & bits) != bits) {
		if (expired(&d))
			return false;
		let_irqs();
	}
	return true;
}

static void initialise(struct regs *r, u16 port, u16 div, u8 line)
{
	outb(port + 3, line | 0x80);
	outb(port, (u8)div);
	outb(port + 1, (u8)(div >> 8));
	outb(port + 3, line);
	outb(port + 1, 0);
	r->ah = inb(port + 5);
	r->al = inb(port + 6);
}

static void send(struct regs *r, u16 port, u8 seconds)
{
	outb(port + 4, 3);
	bool sent = await(port + 5, 0x20, seconds);
	if (sent)
		outb(port, r->al);
	r->ah = (u8)(inb(port + 5) | (sent ? 0 : 0x80));
}

static void receive(struct regs *r, u16 port, u8 seconds)
{
	outb(port + 4, 1);
	if (!await(port + 5, 0x01, seconds)) {
		r->ah = inb(port + 5) | 0x80;
		return;
	}
	r->ah = inb(port + 5) & 0x1e;
	r->al = inb(port);
}

static void extended_initialise(struct regs *r, u16 port)
{
	static const u16 rate[] = {0x417, 0x300, 0x180, 0xc0, 0x60, 0x30, 0x18, 0x0c, 6};
	u8 parity = r->bh == 1   ? 0x08
		    : r->bh == 2 ? 0x18
		    : r->bh == 3 ? 0x28
		    : r->bh == 4 ? 0x38
				 : 0;
	initialise(r, port, rate[MIN(r->cl, 8)],
		   (u8)((r->ch & 3) | (r->bl ? 4 : 0) | parity | (r->al ? 0x40 : 0)));
}

void int_14(struct regs *r)
{
	u16 port = r->dx < 4 ? bda16(r->dx * 2u) : 0;
	u8 seconds = r->dx < 4 ? bda8(0x7c + r->dx) : 0;
	if (!port)
		return;
	switch (r->ah) {
	case 0: initialise(r, port, divisor(r->al >> 5), r->al & 0x1f); break;
	case 1: send(r, port, seconds); break;
	case 2: receive(r, port, seconds); break;
	case 3:
		r->ah = inb(port + 5);
		r->al = inb(port + 6);
		break;
	case 4: extended_initialise(r, port); break;
	case 5:
		if (r->al == 0) {
			r->bl = inb(port + 4);
		} else if (r->al == 1) {
			outb(port + 4, r->bl);
			r->ah = inb(port + 5);
			r->al = inb(port + 6);
		}
		break;
	default: break;
	}
}

void int_17(struct regs *r)
{
	u16 port = r->dx < 3 ? bda16(8 + r->dx * 2u) : 0;
	if (!port || r->ah > 2)
		return;
	if (r->ah == 0) {
		outb(port, r->al);
		bool busy = !await(port + 1, 0x80, bda8(0x78 + r->dx));
		outb(port + 2, 0x0d);
		delay_us(2);
		outb(port + 2, 0x0c);
		r->ah = (u8)((inb(port + 1) ^ 0x48) | busy);
		return;
	}
	if (r->ah == 1) {
		outb(port + 2, 0x08);
		delay_us(50);
		outb(port + 2, 0x0c);
	}
	r->ah = (inb(port + 1) ^ 0x48) & 0xf8;
}
