/* The vectors and data of real mode, and the chips of the AT. */
#include "bios/post/post.h"

extern u8 stub_irq_master[], stub_irq_slave[], stub_05[], stub_08[], stub_09[], stub_0e[],
    stub_10[], stub_11[], stub_12[], stub_13[], stub_14[], stub_15[], stub_16[], stub_17[],
    stub_18[], stub_19[], stub_1a[], stub_70[], stub_74[], stub_75[], stub_76[],
    diskette_parameters[];

static void vector(u8 n, const u8 *handler)
{
	MEM32(n * 4u) = (u32)RT_CS << 16 | (u16)(u32)handler;
}

static void vectors(void)
{
	static const struct {
		u8 n;
		const u8 *handler;
	} table[] = {{0x05, stub_05}, {0x08, stub_08}, {0x09, stub_09}, {0x0e, stub_0e},
		     {0x10, stub_10}, {0x11, stub_11}, {0x12, stub_12}, {0x13, stub_13},
		     {0x14, stub_14}, {0x15, stub_15}, {0x16, stub_16}, {0x17, stub_17},
		     {0x18, stub_18}, {0x19, stub_19}, {0x1a, stub_1a}, {0x1e, diskette_parameters},
		     {0x40, stub_13}, {0x70, stub_70}, {0x74, stub_74}, {0x75, stub_75},
		     {0x76, stub_76}, {0x77, stub_76}};
	for (unsigned n = 0; n < 0x78; n++)
		vector((u8)n, PTR(0xff53));
	for (unsigned n = 0x78; n < 0x100; n++)
		MEM32(n * 4) = 0;
	for (unsigned n = 0x08; n < 0x10; n++)
		vector((u8)n, stub_irq_master);
	for (unsigned n = 0x70; n < 0x78; n++)
		vector((u8)n, stub_irq_slave);
	for (unsigned n = 0x60; n < 0x68; n++)
		MEM32(n * 4) = 0; /* for programs */
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
		vector(table[i].n, table[i].handler);
	MEM32(0x1d * 4) = (u32)RT_CS << 16 | 0xf0a4;
	MEM32(0x1f * 4) = MEM32(0x43 * 4) = 0;
	MEM32(0x41 * 4) = MEM32(0x46 * 4) = 0;
}

static void serial_ports(void)
{
	static const u16 bases[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
	unsigned n = 0;
	for (unsigned i = 0; i < 4; i++) {
		outb(bases[i] + 1, 0x02);
		u8 ier = inb(bases[i] + 1), iir = inb(bases[i] + 2);
		if (ier != 0x02 || (iir & 0x3f) > 0x0f)
			continue;
		outb(bases[i] + 1, 0);
		MEM16(0x400 + n * 2) = bases[i];
		MEM8(0x47c + n) = 10;
		n++;
	}
	MEM16(0x410) = (u16)((MEM16(0x410) & 0xf1ff) | n << 9);
}

static void parallel_ports(void)
{
	static const u16 bases[] = {0x378, 0x278, 0x3bc};
	unsigned n = 0;
	for (unsigned i = 0; i < 3; i++) {
		outb(bases[i] + 2, 0x0c);
		outb(bases[i], 0xaa);
		if (inb(bases[i]) != 0xaa)
			continue;
		outb(bases[i], 0x55);
		if (inb(bases[i]) != 0x55)
			continue;
		MEM16(0x408 + n * 2) = bases[i];
		MEM8(0x478 + n) = 20;
		n++;
	}
	MEM16(0x410) = (u16)((MEM16(0x410) & 0x3fff) | n << 14);
}

static u32 bcd(u8 v)
{
	return (v >> 4) * 10u + (v & 15);
}

/* The tick count of 18.2 Hz that belongs to the RTC's time. */
static void time_of_day(void)
{
	for (unsigned i = 0; i < 1000 && (cmos_read(0x0a) & 0x80); i++)
		delay_us(15);
	u32 seconds = bcd(cmos_read(4)) * 3600 + bcd(cmos_read(2)) * 60 + bcd(cmos_read(0));
	/* 1193180 / 65536 ticks a second: 18.2065 */
	MEM32(0x46c) = seconds * 18 + seconds * 2065 / 10000;
	MEM8(0x470) = 0;
}

void data_areas(void)
{
	vectors();
	memset(PTR(0x400), 0, 0x100);
	memset(PTR(EBDA_SEG * 16), 0, 1024);
	MEM8(EBDA_SEG * 16) = 1;
	MEM16(0x40e) = EBDA_SEG;
	MEM16(0x413) = 639;
	MEM16(0x410) = 0x0026; /* x87, mouse, 80x25 colour */
	MEM16(0x41a) = MEM16(0x41c) = 0x1e;
	MEM16(0x480) = 0x1e;
	MEM16(0x482) = 0x3e;
	MEM8(0x496) = 0x10;
	MEM8(0x449) = 3;
	MEM16(0x44a) = 80;
	MEM16(0x463) = 0x3d4;
	MEM8(0x484) = 24;
	MEM8(0x485) = 16;
	serial_ports();
	parallel_ports();
}

void chips(void)
{
	static const u8 writes[][2] = {
	    {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, /* 8259As: vectors 08h and 70h
								     */
	    {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, {0x21, 0xb8},
	    {0xa1, 0x8e},                             /* open: 0, 1, 2, 6, 8, 12-14 */
	    {0x43, 0x34}, {0x40, 0x00}, {0x40, 0x00}, /* 18.2 Hz */
	    {0x43, 0x54}, {0x41, 0x12}, {0x0d, 0x00}, {0xda, 0x00}, {0xd6, 0xc0},
	    {0xd4, 0x00}, /* 8237s: cascade open */
	};
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
		outb(writes[i][0], writes[i][1]);
	outb(0x92, (u8)((inb(0x92) & 0xfe) | 2));
	cmos_write(0x0a, 0x26);
	cmos_write(0x0b, 0x02);
	cmos_read(0x0c);
	time_of_day();
}

/* ---- 8042 and keyboard ------------------------------------------------------------------- */

static bool input_empty(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (!(inb(0x64) & 2))
			return true;
		delay_us(15);
	}
	return false;
}

static int output_byte(unsigned ms)
{
	for (unsigned i = 0; i < ms * 66; i++) {
		if (inb(0x64) & 1)
			return inb(0x60);
		delay_us(1);
	}
	return -1;
}

static void controller(u8 command, int parameter)
{
	input_empty();
	outb(0x64, command);
	if (parameter >= 0) {
		input_empty();
		outb(0x60, (u8)parameter);
	}
}

static int keyboard(u8 v)
{
	input_empty();
	outb(0x60, v);
	return output_byte(100);
}

void keyboard_setup(void)
{
	if (inb(0x64) == 0xff) {
		debug("no keyboard controller\n");
		return;
	}
	for (unsigned i = 0; i < 64 && (inb(0x64) & 1); i++)
		inb(0x60);
	controller(0xaa, -1);
	if (output_byte(100) != 0x55)
		debug("the keyboard controller's self test failed\n");
	controller(0x60, 0x30); /* both clocks off, no interrupts */
	controller(0xab, -1);
	output_byte(100);
	controller(0x60, 0x20);
	if (keyboard(0xff) != 0xfa || output_byte(1000) != 0xaa)
		debug("no keyboard\n");
	keyboard(0xf5);
	keyboard(0xf0);
	keyboard(0x02); /* scan code set 2, which the controller translates */
	keyboard(0xf4);
	controller(0x60, 0x61); /* translation, keyboard interrupt, mouse asleep */
}
