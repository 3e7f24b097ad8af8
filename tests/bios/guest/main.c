/* The BIOS test: which groups run depends on what it was started from. */
#define FILE_LETTER 'M'
#include "tests/bios/guest/guest.h"

static unsigned checks, failures;

void pause_ms(u32 ms)
{
	u8 last = inb(0x61) & 0x10;
	for (u32 n = ms * 66 + 1; n;) {
		u8 now = inb(0x61) & 0x10;
		n -= now != last;
		last = now;
	}
}

void say(const char *text)
{
	while (*text)
		outb(0xe9, (u8)*text++);
}

void say_hex(u32 v)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		outb(0xe9, (u8) "0123456789abcdef"[v >> shift & 15]);
}

static void say_decimal(u32 v)
{
	if (v >= 10)
		say_decimal(v / 10);
	outb(0xe9, (u8)('0' + v % 10));
}

void check(bool good, char file, u32 line, u32 got, u32 want)
{
	checks++;
	if (good)
		return;
	failures++;
	say("FAIL ");
	outb(0xe9, (u8)file);
	say(" line ");
	say_decimal(line);
	if (got != want) {
		say(": ");
		say_hex(got);
		say(", wanted ");
		say_hex(want);
	}
	say("\n");
}

void check_equal(u32 got, u32 want, u32 where)
{
	check(got == want, (char)(where >> 16), where & 0xffff, got, want);
}

/* gcc wants these. */
void *memset(void *to, int v, unsigned n)
{
	for (u8 *p = to; n--;)
		*p++ = (u8)v;
	return to;
}

void *memcpy(void *to, const void *from, unsigned n)
{
	const u8 *q = from;
	for (u8 *p = to; n--;)
		*p++ = *q++;
	return to;
}

static void group(const char *name, void (*fn)(void))
{
	unsigned before = failures;
	say(name);
	say(" ...\n");
	fn();
	if (failures == before) {
		say(name);
		say(" ok\n");
	}
}

static void finish(void)
{
	say(failures ? "FAILED " : "PASSED ");
	say_hex(checks);
	say("\n");
	outb(0xf4, failures ? 1 : 0);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

/* What goes from one start to the next, in memory that no BIOS uses. */
#define STAGE    MEM32(0x600)
#define CHECKS   MEM32(0x604)
#define FAILURES MEM32(0x608)
#define INT19    0x31395431
#define INT18    0x31385431

/* A disk is started again by INT 19h, and the diskette behind it by INT 18h. */
static void start_again(u32 stage, u32 n)
{
	struct regs r = {.eax = 0};
	STAGE = stage;
	CHECKS = checks;
	FAILURES = failures;
	interrupt(n, &r);
	say("FAIL: it came back\n");
}

static void started_again(void)
{
	u32 stage = STAGE;
	bool disk = boot_drive == 0x80;
	STAGE = 0;
	if (stage != INT19 && stage != INT18)
		return;
	checks = CHECKS;
	failures = FAILURES;
	CHECK(disk == (stage == INT19));
	say(stage == INT19 ? "INT 19h ok\n" : "INT 18h ok\n");
	if (stage == INT19)
		start_again(INT18, 0x18);
	group("power", test_power);
	finish();
}

void test_main(void);

void test_main(void)
{
	started_again();
	say("BIOS test, drive ");
	say_hex(boot_drive);
	say("\n");
	if (boot_drive >= 0xe0) {
		group("CD", test_cd);
	} else if (boot_drive == 0) {
		group("floppy", test_floppy);
	} else {
		group("system", test_system);
		group("keyboard", test_keyboard);
		group("services", test_services);
		group("disk", test_disk);
		group("tables", test_tables);
		/* SeaBIOS waits for the RTC's interrupt there, which this monitor does not pass on.
		 */
		if (our_bios() && has_cpu_feature(CPU_VME))
			group("virtual-8086", test_v86);
		if (!(MEM8(0x410) & 1)) /* no diskette to start again from */
			group("power", test_power);
	}
	if (boot_drive == 0x80 && MEM8(0x410) & 1)
		start_again(INT19, 0x19);
	finish();
}
