/* Services that the other files leave out: the rest of INT 14h, 15h, 16h and 1Ah. */
#define FILE_LETTER 'R'
#include "tests/bios/guest/guest.h"

extern u16 alarms;
extern void count_4a(void);

static void receive(void)
{
	MEM8(0x47c) = 1; /* second */
	struct regs r = {.ax = 0x0200, .edx = 0};
	interrupt(0x14, &r);
	CHECK(r.ah & 0x80); /* nobody sends */
	MEM8(0x47c) = 10;
}

static void sizes(void)
{
	struct regs a = {.ax = 0xe801}, b = {.eax = 0xe881};
	interrupt(0x15, &a);
	interrupt(0x15, &b);
	if (!our_bios() && CF(b))
		return;
	CHECK(!CF(b));
	EQUAL(b.ecx, a.cx);
	EQUAL(b.edx, a.dx);
}

static void keyboard(void)
{
	struct regs r = {.ax = 0x0305, .bx = 0x010b};
	interrupt(0x16, &r);
	r = (struct regs){.ax = 0x0900};
	interrupt(0x16, &r);
	CHECK(r.al & 0x20); /* AH=10h and following */
	r = (struct regs){.ax = 0x0a00};
	interrupt(0x16, &r);
	EQUAL(r.bl, 0xab);
	r = (struct regs){.ax = 0x0500, .cx = 0x4de0};
	interrupt(0x16, &r);
	EQUAL(r.al, 0);
	r = (struct regs){.ax = 0x1100};
	interrupt(0x16, &r);
	CHECK(!ZF(r));
	EQUAL(r.ax, 0x4de0);
	r = (struct regs){.ax = 0x1000};
	interrupt(0x16, &r);
	EQUAL(r.ax, 0x4de0);
	r = (struct regs){.ax = 0x1200};
	interrupt(0x16, &r);
	EQUAL(r.al, MEM8(0x417));
}

/* The RTC's alarm comes as INT 4Ah, once. */
static void alarm(void)
{
	MEM32(0x4a * 4) = (u32)count_4a;
	struct regs r = {.ax = 0x0300, .cx = 0x1337, .dx = 0x5800};
	interrupt(0x1a, &r);
	r = (struct regs){.ax = 0x0600, .cx = 0x1338, .dx = 0};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	alarms = 0;
	pause_ms(3500);
	EQUAL(alarms, 1);
	r = (struct regs){.ax = 0x0700};
	interrupt(0x1a, &r);
	r = (struct regs){.ax = 0x0200};
	interrupt(0x1a, &r);
	EQUAL(r.cx, 0x1338);
}

static void print_screen(void)
{
	struct regs r = {.eax = 0};
	interrupt(0x05, &r);
	if (our_bios()) /* there is no printer */
		EQUAL(MEM8(0x500), 0xff);
}

void test_services(void)
{
	receive();
	sizes();
	keyboard();
	alarm();
	print_screen();
}
