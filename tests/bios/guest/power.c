/* ACPI as an operating system uses it: on and off through the SMI command port, and S3, from which both waking vectors lead back. */
#define FILE_LETTER 'P'
#include "tests/bios/guest/guest.h"

void sleep_now(u32 port, u32 value);
extern u8 wake_real[], wake_flat[];
extern u16 woken_mode;

#define PM1_CNT     (pm + 4)
#define SCI_EN      1
#define SLEEP       0x2400 /* SLP_EN, type 1, which the DSDT's _S3 names on this board */
#define WAK_STS     0x8000
#define RTC_STS     0x0400
#define SMRAM       0x80000070 /* 82441FX, register 72h is byte 2 */
#define VECTOR      12
#define X_VECTOR    24
#define EXTENDED    0x200000
#define LOW_BYTES   0x9fc00

static u32 fadt, facs;
static u16 pm;
static u8 transfer[64];

static u32 fetch(u32 at)
{
	move_block(at, (u32)transfer, 2);
	return MEM32(transfer);
}

static void put(u32 at, u32 v)
{
	MEM32(transfer) = v;
	move_block((u32)transfer, at, 2);
}

/* RSDP, RSDT, FADT, FACS. */
static bool find_tables(void)
{
	u32 rsdp = 0;
	for (u32 at = 0xe0000; at < 0x100000 && !rsdp; at += 16)
		if (far32(at) == 0x20445352 && far32(at + 4) == 0x20525450)
			rsdp = at;
	if (!rsdp)
		return false;
	u32 rsdt = far32(rsdp + 16), n = fetch(rsdt + 4);
	for (u32 at = 36; at + 4 <= n; at += 4)
		if (fetch(fetch(rsdt + at)) == 0x50434146)
			fadt = fetch(rsdt + at);
	if (!fadt)
		return false;
	facs = fetch(fadt + 36);
	pm = (u16)fetch(fadt + 56);
	return fetch(facs) == 0x53434146;
}

static void acpi_mode(void)
{
	u16 command = (u16)fetch(fadt + 48);
	u32 values = fetch(fadt + 52);
	outb(command, (u8)(values >> 8));
	EQUAL(inw(PM1_CNT) & SCI_EN, 0);
	outb(command + 1, 0x55);
	outb(command, (u8)values);
	EQUAL(inw(PM1_CNT) & SCI_EN, SCI_EN);
	if (our_bios() && has_cpu_feature(CPU_APIC)) { /* its handler in system management mode did that */
		EQUAL(inb(command + 1), 0);
		outl(0xcf8, SMRAM);
		EQUAL(inb(0xcfe), 0x1a);
		outb(0xcfe, 0x4a); /* locked */
		EQUAL(inb(0xcfe), 0x1a);
	}
	outb(command, (u8)(values >> 8));
	EQUAL(inw(PM1_CNT) & SCI_EN, 0);
}

static u8 cmos(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void set_cmos(u8 index, u8 v)
{
	outb(0x70, index);
	outb(0x71, v);
}

/* Of all memory that is not this program's; vectors and data areas are the firmware's to change, but ours does not. */
static u32 sum_of_memory(void)
{
	u32 sum = 0;
	for (u32 at = our_bios() ? 0 : 0x1000; at < LOW_BYTES; at += 4)
		if (at < 0x7000 || at >= 0x10000)
			sum = (sum << 1 | sum >> 31) + far32(at);
	return sum;
}

/* The RTC wakes the machine at the next full second. */
static void sleep_a_second(void)
{
	__asm__ volatile("cli");
	for (u32 i = 0; i < 0x8000; i += 0x1000) /* something in memory where firmware works */
		set_far8(0x80000 + i, (u8)(i >> 12));
	u32 before = sum_of_memory();
	for (u8 i = 1; i <= 5; i += 2)
		set_cmos(i, 0xff);
	set_cmos(0x0b, cmos(0x0b) | 0x20);
	cmos(0x0c);
	outw(pm, WAK_STS | RTC_STS);
	outw(pm + 2, RTC_STS);
	sleep_now(PM1_CNT, SLEEP);
	EQUAL(sum_of_memory(), before);
	EQUAL(inw(pm) & (WAK_STS | RTC_STS), WAK_STS | RTC_STS);
	EQUAL(cmos(0x0f), 0);
	set_cmos(0x0b, cmos(0x0b) & ~0x20);
	cmos(0x0c);
	outw(pm, WAK_STS | RTC_STS);
	__asm__ volatile("sti");
}

static void services_again(void)
{
	static u8 sector[512];
	struct regs r = {.ax = 0x0201, .cx = 1, .dl = 0x80, .ebx = (u32)sector};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	CHECK(sector[510] == 0x55 && sector[511] == 0xaa);
	r = (struct regs){.ax = 0x0200, .dx = 0x0509};
	interrupt(0x10, &r);
	r = (struct regs){.ax = 0x0300};
	interrupt(0x10, &r);
	EQUAL(r.dx, 0x0509);
	r = (struct regs){.ax = 0x0100};
	interrupt(0x16, &r);
	r = (struct regs){.ax = 0x8600, .cx = 0, .dx = 2000};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xb10a, .bx = 8, .edi = 0x60};
	interrupt(0x1a, &r);
	EQUAL(r.ecx, 0x0b0b0a0a); /* the interrupt router */
}

void test_power(void)
{
	bool found = find_tables();
	CHECK(found);
	if (!found)
		return;
	acpi_mode();
	put(EXTENDED, 0x12345678);
	put(facs + VECTOR, (u32)wake_real);
	put(facs + X_VECTOR, 0);
	sleep_a_second();
	EQUAL(woken_mode, 16);
	EQUAL(fetch(EXTENDED), 0x12345678);
	if (!our_bios())
		return; /* SeaBIOS knows no other vector, and leaves PCI functions to the operating system */
	services_again();
	acpi_mode();
	put(facs + VECTOR, 0);
	put(facs + X_VECTOR, (u32)wake_flat);
	sleep_a_second();
	EQUAL(woken_mode, 32);
	EQUAL(fetch(EXTENDED), 0x12345678);
	services_again();
	acpi_mode();
}
