/* IRQ 0 and IRQ 8, INT 1Ah (time of day, RTC, PCI), INT 15h AH=83h and 86h. */
#include "bios/rt/clock.h"

#define TICKS_PER_DAY 0x1800b0u

#define WAIT_ACTIVE 0x01
#define WAIT_LOCAL  0x80 /* 40:A0: AH=86h, not AH=83h */

void irq_timer(struct regs *r)
{
	u32 ticks = bda32(0x6c) + 1;
	if (ticks >= TICKS_PER_DAY) {
		ticks = 0;
		set8(0x70, bda8(0x70) + 1);
	}
	set32(0x6c, ticks);
	u8 motor = bda8(0x40);
	if (motor) {
		set8(0x40, motor - 1);
		if (motor == 1) {
			set8(0x3f, bda8(0x3f) & 0xf0);
			outb(0x3f2, 0x0c);
		}
	}
	if (console_port)
		console_poll();
	struct regs c = {0};
	call_int(0x1c, &c);
	eoi_master();
}

/* ---- RTC --------------------------------------------------------------------------------- */

#define RTC_UIP 0x80
#define RTC_PIE 0x40
#define RTC_AIE 0x20

static bool rtc_ready(void)
{
	struct deadline d;
	deadline_set(&d, 10);
	while (cmos_read(0x0a) & RTC_UIP)
		if (expired(&d))
			return false;
	return true;
}

static void end_wait(void)
{
	cmos_write(0x0b, cmos_read(0x0b) & (u8)~RTC_PIE);
	u8 flags = bda8(0xa0);
	if (!(flags & WAIT_LOCAL)) {
		u32 at = bda32(0x98);
		poke8((u16)(at >> 16), at & 0xffff, peek8((u16)(at >> 16), at & 0xffff) | 0x80);
	}
	set8(0xa0, flags & WAIT_LOCAL ? WAIT_LOCAL : 0);
}

/* 1024 periodic interrupts a second count waits down; the alarm calls INT 4Ah. */
void irq_rtc(struct regs *r)
{
	u8 b = cmos_read(0x0b), c = cmos_read(0x0c);
	if ((c & RTC_PIE) && (b & RTC_PIE) && (bda8(0xa0) & WAIT_ACTIVE)) {
		u32 left = bda32(0x9c);
		set32(0x9c, left > 976 ? left - 976 : 0);
		if (left <= 976)
			end_wait();
	}
	if ((c & RTC_AIE) && (b & RTC_AIE)) {
		struct regs a = {0};
		call_int(0x4a, &a);
	}
	cmos_read(0x0d);
	eoi_slave();
}

static void start_wait(u16 seg, u16 off, u32 us, u8 flags)
{
	set32(0x98, (u32)seg << 16 | off);
	set32(0x9c, us);
	set8(0xa0, flags);
	outb(0x21, inb(0x21) & 0xfb);
	outb(0xa1, inb(0xa1) & 0xfe);
	cmos_write(0x0b, cmos_read(0x0b) | RTC_PIE);
	cmos_read(0x0c);
}

void wait_service(struct regs *r)
{
	u32 us = (u32)r->cx << 16 | r->dx;
	if (r->ah == 0x83 && r->al == 1) { /* cancel */
		cmos_write(0x0b, cmos_read(0x0b) & (u8)~RTC_PIE);
		set8(0xa0, 0);
		ok(r);
		return;
	}
	if (bda8(0xa0) & WAIT_ACTIVE) {
		if (r->ah == 0x83)
			r->ah = 0;
		fail(r);
		return;
	}
	if (r->ah == 0x83) {
		start_wait(r->es, r->bx, us, WAIT_ACTIVE);
		r->ah = 0;
		ok(r);
		return;
	}
	/* AH=86h: short ones exactly, long ones with interrupts on in between */
	for (ok(r); us > 2000; us -= 1000) {
		delay_us(1000);
		let_irqs();
	}
	delay_us(us);
}

/* ---- INT 1Ah ----------------------------------------------------------------------------- */

static void get_ticks(struct regs *r)
{
	u32 t = bda32(0x6c);
	r->cx = (u16)(t >> 16);
	r->dx = (u16)t;
	r->al = bda8(0x70);
	set8(0x70, 0);
	ok(r);
}

static void set_ticks(struct regs *r)
{
	set32(0x6c, (u32)r->cx << 16 | r->dx);
	set8(0x70, 0);
	r->ah = 0;
	ok(r);
}

static void get_time(struct regs *r)
{
	r->dh = cmos_read(0x00);
	r->cl = cmos_read(0x02);
	r->ch = cmos_read(0x04);
	r->dl = cmos_read(0x0b) & 1;
	r->ah = 0;
	r->al = r->ch;
}

static void set_time(struct regs *r)
{
	u8 b = cmos_read(0x0b) & 0x7e;
	cmos_write(0x0b, b | 0x80);
	cmos_write(0x00, r->dh);
	cmos_write(0x02, r->cl);
	cmos_write(0x04, r->ch);
	b = (u8)((b & 0x60) | 2 | (r->dl & 1));
	cmos_write(0x0b, b);
	r->ah = 0;
	r->al = b;
}

static void get_date(struct regs *r)
{
	r->ah = 0;
	r->dl = cmos_read(0x07);
	r->dh = cmos_read(0x08);
	r->cl = cmos_read(0x09);
	r->ch = cmos_read(0x32);
	r->al = r->ch;
}

static void set_date(struct regs *r)
{
	u8 b = cmos_read(0x0b) & 0x7f;
	cmos_write(0x0b, b | 0x80);
	cmos_write(0x07, r->dl);
	cmos_write(0x08, r->dh);
	cmos_write(0x09, r->cl);
	cmos_write(0x32, r->ch);
	cmos_write(0x0b, b);
	r->ah = 0;
	r->al = b;
}

static void set_alarm(struct regs *r)
{
	u8 b = cmos_read(0x0b);
	if (b & RTC_AIE) {
		r->ax = 0;
		fail(r);
		return;
	}
	cmos_write(0x01, r->dh);
	cmos_write(0x03, r->cl);
	cmos_write(0x05, r->ch);
	outb(0x21, inb(0x21) & 0xfb);
	outb(0xa1, inb(0xa1) & 0xfe);
	cmos_write(0x0b, (u8)((b & 0x7f) | RTC_AIE));
	r->ax = 0;
}

void int_1a(struct regs *r)
{
	if (r->ah == 0xb1) {
		pci_bios(r);
		return;
	}
	if (r->ah >= 2 && r->ah <= 7 && !rtc_ready()) {
		fail(r);
		return;
	}
	ok(r);
	switch (r->ah) {
	case 0: get_ticks(r); break;
	case 1: set_ticks(r); break;
	case 2: get_time(r); break;
	case 3: set_time(r); break;
	case 4: get_date(r); break;
	case 5: set_date(r); break;
	case 6: set_alarm(r); break;
	case 7:
		cmos_write(0x0b, cmos_read(0x0b) & 0x57);
		r->ah = 0;
		break;
	default: fail(r); break;
	}
}
