/*
 * The PS/2 mouse: INT 15h AX=C2xxh and IRQ 12. Where the EBDA keeps its state (22h: the driver, 26h
 * and 27h: flags, 28h: the packet) is as the IBM PS/2 has it, because drivers look.
 */
#include "bios/rt/rt.h"

#define DRIVER 0x22
#define FLAGS1 0x26 /* 2:0 how many bytes of the packet are there */
#define FLAGS2 0x27 /* 7: a driver is installed; 2:0 bytes of a packet less 1 */
#define PACKET 0x28

#define BAD_FUNCTION 1
#define BAD_INPUT    2
#define INTERFACE    3
#define NO_DRIVER    5

void call_mouse(u32 seg_off, const u16 *packet);

/* A byte from the mouse; keyboard bytes that stand before it are lost, as on the machines of the
 * time. */
static int receive(u32 ms)
{
	struct deadline d;
	deadline_set(&d, ms);
	while (!expired(&d)) {
		u8 status = inb(0x64);
		if (!(status & 1))
			continue;
		u8 v = inb(0x60);
		if (status & 0x20)
			return v;
	}
	return -1;
}

static int read_mode(void)
{
	struct deadline d;
	if (!i8042_takes_input())
		return -1;
	outb(0x64, 0x20);
	deadline_set(&d, 50);
	while (!expired(&d))
		if ((inb(0x64) & 0x21) == 1)
			return inb(0x60);
	return -1;
}

static void write_mode(u8 v)
{
	i8042_takes_input();
	outb(0x64, 0x60);
	i8042_takes_input();
	outb(0x60, v);
	i8042_takes_input();
}

static bool send_byte(u8 v)
{
	if (!i8042_takes_input())
		return false;
	outb(0x64, 0xd4);
	if (!i8042_takes_input())
		return false;
	outb(0x60, v);
	return receive(100) == 0xfa;
}

/* Sends @n bytes and takes @want answers, with both interrupts of the controller held off. */
static u8 talk(const u8 *bytes, unsigned n, u8 *answer, unsigned want, u32 ms)
{
	int mode = read_mode();
	if (mode < 0)
		return INTERFACE;
	write_mode((u8)((mode & ~0x23) | 0x10)); /* keyboard off, mouse clock on, no interrupts */
	u8 result = 0;
	for (unsigned i = 0; i < n && !result; i++)
		if (!send_byte(bytes[i]))
			result = INTERFACE;
	for (unsigned i = 0; i < want && !result; i++) {
		int v = receive(ms);
		if (v < 0)
			result = INTERFACE;
		else
			answer[i] = (u8)v;
	}
	write_mode((u8)((mode & ~0x20) | 0x02));
	return result;
}

static u8 command(u8 c)
{
	return talk(&c, 1, NULL, 0, 0);
}

static u8 command2(u8 c, u8 parameter)
{
	const u8 bytes[2] = {c, parameter};
	return talk(bytes, 2, NULL, 0, 0);
}

static u8 reset(struct regs *r)
{
	u8 c = 0xff, answer[2];
	u8 result = talk(&c, 1, answer, 2, 1000);
	if (result)
		return result;
	r->bl = answer[0];
	r->bh = answer[1];
	return 0;
}

static u8 extended(struct regs *r)
{
	u8 c = 0xe9, answer[3], result;
	switch (r->bh) {
	case 0:
		result = talk(&c, 1, answer, 3, 100);
		if (!result) {
			r->bl = answer[0];
			r->cl = answer[1];
			r->dl = answer[2];
		}
		return result;
	case 1: return command(0xe6);
	case 2: return command(0xe7);
	default: return BAD_INPUT;
	}
}

static u8 enable(struct regs *r)
{
	if (r->bh > 1)
		return BAD_INPUT;
	if (r->bh && !(ebda8(FLAGS2) & 0x80))
		return NO_DRIVER;
	eset8(FLAGS1, ebda8(FLAGS1) & 0xf8);
	outb(0xa1, inb(0xa1) & 0xef);
	outb(0x21, inb(0x21) & 0xfb);
	return command(r->bh ? 0xf4 : 0xf5);
}

static u8 install(struct regs *r)
{
	eset16(DRIVER, r->bx);
	eset16(DRIVER + 2, r->es);
	u8 flags = ebda8(FLAGS2) & 0x7f;
	eset8(FLAGS2, flags | (r->bx || r->es ? 0x80 : 0));
	eset8(FLAGS1, ebda8(FLAGS1) & 0xf8);
	return 0;
}

static u8 dispatch(struct regs *r)
{
	static const u8 rates[7] = {10, 20, 40, 60, 80, 100, 200};
	u8 result;
	switch (r->al) {
	case 0: return enable(r);
	case 1: return reset(r);
	case 2: return r->bh > 6 ? BAD_INPUT : command2(0xf3, rates[r->bh]);
	case 3: return r->bh > 3 ? BAD_INPUT : command2(0xe8, r->bh);
	case 4: {
		u8 c = 0xf2;
		result = talk(&c, 1, &c, 1, 100);
		r->bh = c;
		return result;
	}
	case 5:
		if (r->bh < 1 || r->bh > 8)
			return BAD_INPUT;
		eset8(FLAGS2, (ebda8(FLAGS2) & 0xf8) | (r->bh - 1));
		eset8(FLAGS1, 0);
		return reset(r);
	case 6: return extended(r);
	case 7: return install(r);
	default: return BAD_FUNCTION;
	}
}

void mouse_service(struct regs *r)
{
	u8 result = dispatch(r);
	r->ah = result;
	if (result)
		fail(r);
	else
		ok(r);
}

static void deliver(u8 n)
{
	u16 packet[4] = {ebda8(PACKET), ebda8(PACKET + 1), ebda8(PACKET + 2), 0};
	if (n == 4)
		packet[3] = ebda8(PACKET + 3);
	call_mouse((u32)ebda16(DRIVER + 2) << 16 | ebda16(DRIVER), packet);
}

void irq_mouse(struct regs *r)
{
	if ((inb(0x64) & 0x21) != 0x21) {
		eoi_slave();
		return;
	}
	u8 v = inb(0x60), flags2 = ebda8(FLAGS2), have = ebda8(FLAGS1) & 7;
	if (flags2 & 0x80) {
		u8 n = (flags2 & 7) + 1;
		eset8(PACKET + have, v);
		if (++have >= n) {
			eset8(FLAGS1, ebda8(FLAGS1) & 0xf8);
			deliver(n);
		} else {
			eset8(FLAGS1, (ebda8(FLAGS1) & 0xf8) | have);
		}
	}
	eoi_slave();
}
