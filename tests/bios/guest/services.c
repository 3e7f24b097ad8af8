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

/* A printer whose status register is COM1's scratch register: nothing else is wired there. */
#define PRINTER 0x3feu
#define PAPER   0x20u
#define BUSY    0x80u /* of the register: high when it is not */
static u8 printer_service(u8 function, u8 status)
{
	struct regs r = {.al = 'x', .ah = function, .edx = 0};
	outb(PRINTER + 1, status);
	interrupt(0x17, &r);
	return r.ah;
}

/* IBM PC AT Technical Reference, INT 17h: AH has the status with ACK and ERROR inverted; bit 0 is the time-out. */
static void printer(void)
{
	u16 port = MEM16(0x408);
	u8 seconds = MEM8(0x478), scratch = inb(PRINTER + 1);
	if (our_bios() && !port) {
		struct regs r = {.ax = 0x0255, .edx = 0};
		interrupt(0x17, &r); /* no port, no answer */
		EQUAL(r.ax, 0x0255);
	}
	MEM16(0x408) = PRINTER;
	MEM8(0x478) = 1;
	EQUAL(printer_service(2, 0xd8) & 0xf9, 0x90); /* ready: not busy, selected */
	EQUAL(printer_service(2, 0xd8 | PAPER) & 0xf9, 0x90 | PAPER);
	EQUAL(printer_service(2, 0xd0) & 0xf9, 0x98); /* ERROR is low when there is one */
	EQUAL(printer_service(1, 0xd8) & 0xf9, 0x90);
	EQUAL(printer_service(0, 0x98) & 0xf9, 0xd0); /* taken and acknowledged */
	if (our_bios()) { /* SeaBIOS looks at ACK alone */
		u32 start = MEM32(0x46c), ticks;
		EQUAL(printer_service(0, 0xd8 & ~BUSY) & 1, 1);
		ticks = MEM32(0x46c) - start;
		CHECK(ticks >= 17 && ticks <= 20); /* a second */
	}
	MEM16(0x408) = port;
	MEM8(0x478) = seconds;
	outb(PRINTER + 1, scratch);
}

/* INT 15h: hooks for multitasking that a BIOS answers, and what it does not have. */
static void system_hooks(void)
{
	static const u8 hooks[] = {0x80, 0x81, 0x82, 0x85, 0x90, 0x91}, absent[] = {0x84, 0xc3, 0xc4, 0x00, 0x7f};
	for (unsigned i = 0; i < ARRAY_SIZE(hooks); i++) {
		struct regs r = {.al = 1, .ah = hooks[i]};
		interrupt(0x15, &r);
		if (our_bios() || hooks[i] >= 0x90) /* SeaBIOS has only these two, and leaves AH */
			CHECK(!CF(r));
		if (our_bios())
			EQUAL(r.ah, 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(absent); i++) {
		struct regs r = {.ah = absent[i]};
		interrupt(0x15, &r);
		CHECK(CF(r));
		EQUAL(r.ah, 0x86);
	}
	struct regs gate = {.ax = 0x24ff}; /* a subfunction of A20 that is none */
	interrupt(0x15, &gate);
	CHECK(CF(gate));
	EQUAL(gate.ah, 0x86);
	struct regs r = {.ax = 0xe881}, word = {.ax = 0xe801};
	interrupt(0x15, &r);
	interrupt(0x15, &word);
	if (CF(r) && !our_bios())
		return; /* SeaBIOS knows E801h alone */
	CHECK(!CF(r));
	EQUAL(r.eax, word.ax); /* 32-bit registers, and nothing above the word */
	EQUAL(r.ebx, word.bx);
	EQUAL(r.ecx, word.cx);
	EQUAL(r.edx, word.dx);
}

void test_services(void)
{
	printer();
	system_hooks();
	receive();
	sizes();
	keyboard();
	alarm();
	print_screen();
}
