/* INT 16h and INT 09h: scan codes are put into the 8042 (command D2h), key strokes come out. */
#define FILE_LETTER 'K'
#include "tests/bios/guest/guest.h"

extern u8 eat_4f, seen_4f;
extern u32 old_15;
extern void on_4f(void);
extern volatile u16 asked_in_08;
extern u32 old_08, old_09;
extern void on_08(void), on_09(void);

static void scan(u8 v)
{
	while (inb(0x64) & 2)
		;
	outb(0x64, 0xd2);
	while (inb(0x64) & 2)
		;
	outb(0x60, v);
	pause_ms(1); /* IRQ 1 comes meanwhile */
}

static void press(u8 v)
{
	scan(v);
	scan(v | 0x80);
}

static bool waiting(u8 service)
{
	struct regs r = {.ah = service};
	interrupt(0x16, &r);
	return !ZF(r);
}

/* The next key stroke by AH=10h (or 00h); FFFFh: none. */
static u16 key(bool enhanced)
{
	if (!waiting(enhanced ? 0x11 : 0x01))
		return 0xffff;
	struct regs r = {.ah = enhanced ? 0x10 : 0x00};
	interrupt(0x16, &r);
	return r.ax;
}

static u16 typed(u8 code)
{
	press(code);
	return key(true);
}

static u16 with(u8 modifier, u8 code)
{
	scan(modifier);
	press(code);
	scan(modifier | 0x80);
	return key(true);
}

static u16 extended(u8 code)
{
	scan(0xe0);
	scan(code);
	scan(0xe0);
	scan(code | 0x80);
	return key(true);
}

static void letters(void)
{
	EQUAL(typed(0x1e), 0x1e61);
	EQUAL(with(0x2a, 0x1e), 0x1e41);
	EQUAL(with(0x36, 0x1e), 0x1e41);
	EQUAL(with(0x1d, 0x1e), 0x1e01);
	EQUAL(with(0x38, 0x1e), 0x1e00);
	EQUAL(typed(0x02), 0x0231);
	EQUAL(with(0x2a, 0x02), 0x0221);
	EQUAL(with(0x38, 0x02), 0x7800);
	EQUAL(typed(0x39), 0x3920);
	EQUAL(typed(0x1c), 0x1c0d);
	EQUAL(with(0x1d, 0x1c), 0x1c0a);
	EQUAL(typed(0x01), 0x011b);
	EQUAL(typed(0x0f), 0x0f09);
	EQUAL(with(0x2a, 0x0f), 0x0f00);
	EQUAL(typed(0x0e), 0x0e08);
	EQUAL(with(0x1d, 0x0e), 0x0e7f);
	EQUAL(typed(0x2b), 0x2b5c);
	EQUAL(with(0x2a, 0x28), 0x2822);
	EQUAL(with(0x1d, 0x03), 0x0300);
	EQUAL(with(0x1d, 0x07), 0x071e);
}

static void functions(void)
{
	EQUAL(typed(0x3b), 0x3b00);
	EQUAL(with(0x2a, 0x3b), 0x5400);
	EQUAL(with(0x1d, 0x3b), 0x5e00);
	EQUAL(with(0x38, 0x3b), 0x6800);
	EQUAL(typed(0x44), 0x4400);
	EQUAL(typed(0x57), 0x8500);
	EQUAL(typed(0x58), 0x8600);
	EQUAL(with(0x2a, 0x58), 0x8800);
}

static void grey_keys(void)
{
	EQUAL(extended(0x48), 0x48e0);
	EQUAL(extended(0x53), 0x53e0);
	EQUAL(extended(0x1c), 0xe00d);
	EQUAL(extended(0x35), 0xe02f);
	/* the old interface shows them as the keypad's */
	scan(0xe0);
	scan(0x4b);
	scan(0xe0);
	scan(0xcb);
	EQUAL(key(false), 0x4b00);
	/* and not at all what an old keyboard does not have; SeaBIOS shows F11 */
	press(0x57);
	u16 f11 = key(false);
	CHECK(f11 == 0xffff || f11 == 0x8500);
}

static void locks(void)
{
	struct regs r;
	press(0x3a);
	CHECK(MEM8(0x417) & 0x40);
	EQUAL(typed(0x1e), 0x1e41);
	EQUAL(with(0x2a, 0x1e), 0x1e61);
	EQUAL(typed(0x02), 0x0231);
	press(0x3a);
	CHECK(!(MEM8(0x417) & 0x40));
	EQUAL(typed(0x47), 0x4700);
	press(0x45);
	CHECK(MEM8(0x417) & 0x20);
	EQUAL(typed(0x47), 0x4737);
	EQUAL(with(0x2a, 0x47), 0x4700);
	press(0x45);
	scan(0x2a);
	scan(0x1d);
	r = (struct regs){.ah = 0x02};
	interrupt(0x16, &r);
	EQUAL(r.al & 0x0f, 0x06);
	r = (struct regs){.ah = 0x12};
	interrupt(0x16, &r);
	EQUAL(r.ah & 0x01, 0x01);
	scan(0x9d);
	scan(0xaa);
	r = (struct regs){.ah = 0x02};
	interrupt(0x16, &r);
	EQUAL(r.al & 0x0f, 0x00);
	/* Alt and 6 5 on the keypad: A */
	scan(0x38);
	press(0x4d);
	press(0x4c);
	scan(0xb8);
	u16 a = key(true);
	CHECK((a & 0xff) == 65 || a == 0xffff); /* SeaBIOS does not do this */
}

static void buffer(void)
{
	struct regs r = {.ah = 0x05, .cx = 0x1234};
	interrupt(0x16, &r);
	EQUAL(r.al, 0);
	EQUAL(key(true), 0x1234);
	for (unsigned i = 0; i < 15; i++) {
		r = (struct regs){.ah = 0x05, .cx = (u16)(0x1e61 + i)};
		interrupt(0x16, &r);
		EQUAL(r.al, 0);
	}
	r = (struct regs){.ah = 0x05, .cx = 0x1e61};
	interrupt(0x16, &r);
	EQUAL(r.al, 1); /* full */
	for (unsigned i = 0; i < 15; i++)
		EQUAL(key(true), 0x1e61 + i);
	CHECK(!waiting(0x01));
	CHECK(!waiting(0x11));
	CHECK(!waiting(0x11));
}

static void intercept(void)
{
	__asm__ volatile("cli");
	old_15 = MEM32(0x15 * 4);
	MEM32(0x15 * 4) = (u32)on_4f;
	__asm__ volatile("sti");
	EQUAL(typed(0x10), 0x1071);
	EQUAL(seen_4f, 0x90);
	eat_4f = 0x11;
	EQUAL(typed(0x11), 0xffff);
	eat_4f = 0xff;
	MEM32(0x15 * 4) = old_15;
}

static void set_vector(u8 vector, u32 to)
{
	__asm__ volatile("cli");
	MEM32(vector * 4) = to;
	__asm__ volatile("sti");
}

/* FreeDOS's EDIT does both. */
static void within_an_interrupt(void)
{
	old_08 = MEM32(0x08 * 4);
	set_vector(0x08, (u32)on_08);
	while (asked_in_08 < 2) /* the BIOS must not wait for an interrupt that is held back */
		pause_ms(1);
	set_vector(0x08, old_08);
	old_09 = MEM32(0x09 * 4);
	set_vector(0x09, (u32)on_09);
	EQUAL(typed(0x10), 0x1071);
	set_vector(0x09, old_09);
}

void test_keyboard(void)
{
	while (key(true) != 0xffff)
		;
	letters();
	functions();
	grey_keys();
	locks();
	buffer();
	intercept();
	within_an_interrupt();
}
