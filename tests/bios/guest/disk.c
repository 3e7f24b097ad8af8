/* INT 13h: the disk this was started from (16 MiB or more, every sector from 2048 on holding its
 * number), the CD, the diskette. */
#define FILE_LETTER 'D'
#include "tests/bios/guest/guest.h"

static u8 buffer[2048] __attribute__((aligned(16)));
static u8 packet[24] __attribute__((aligned(4)));
static u8 result[64] __attribute__((aligned(4)));

#define BUFFER32(i) (((u32 *)buffer)[i])

static void clear(void)
{
	for (unsigned i = 0; i < sizeof(buffer); i++)
		buffer[i] = 0xcc;
}

static struct regs lba(u8 service, u8 drive, u32 at, u16 count)
{
	struct regs r = {.ax = (u16)(service << 8), .dx = drive, .esi = (u32)packet};
	*(u32 *)packet = 16 | (u32)count << 16;
	*(u32 *)(packet + 4) = (u32)buffer;
	*(u32 *)(packet + 8) = at;
	*(u32 *)(packet + 12) = 0;
	interrupt(0x13, &r);
	return r;
}

static u32 heads, spt, cylinders;

static struct regs chs(u8 service, u8 drive, u32 at, u8 count)
{
	u32 track = at / spt, cylinder = track / heads;
	struct regs r = {.ah = service, .al = count, .dx = drive, .ebx = (u32)buffer};
	r.dh = (u8)(track % heads);
	r.ch = (u8)cylinder;
	r.cl = (u8)((cylinder >> 2 & 0xc0) | (at % spt + 1));
	interrupt(0x13, &r);
	return r;
}

static void geometry(void)
{
	struct regs r = {.ax = 0x0800, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
	EQUAL(r.dl, 1);
	EQUAL(r.dl, MEM8(0x475));
	heads = r.dh + 1u;
	spt = r.cl & 63;
	cylinders = (r.ch | (r.cl & 0xc0u) << 2) + 1;
	CHECK(heads >= 2 && heads <= 255 && spt >= 17);
	r = (struct regs){.ax = 0x1500, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 3);
	CHECK(((u32)r.cx << 16 | r.dx) <= 40000);
	CHECK(((u32)r.cx << 16 | r.dx) >= 30000);
	r = (struct regs){.ax = 0x1500, .dx = 0x87};
	interrupt(0x13, &r);
	CHECK(CF(r));
}

static void extensions(void)
{
	struct regs r = {.ax = 0x4100, .bx = 0x55aa, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 0xaa55);
	CHECK(r.ah >= 0x21);
	CHECK(r.cx & 1);
	r = (struct regs){.ax = 0x4100, .bx = 0x55aa, .dx = 0x8f};
	interrupt(0x13, &r);
	CHECK(CF(r));
	for (unsigned i = 0; i < sizeof(result); i++)
		result[i] = 0;
	*(u16 *)result = 26;
	r = (struct regs){.ax = 0x4800, .dx = 0x80, .esi = (u32)result};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(*(u16 *)(result + 24), 512);
	EQUAL(*(u32 *)(result + 16), 40000);
	EQUAL(*(u32 *)(result + 20), 0);
	*(u16 *)result = 10;
	r = (struct regs){.ax = 0x4800, .dx = 0x80, .esi = (u32)result};
	interrupt(0x13, &r);
	CHECK(CF(r));
	EQUAL(tiny_stack(), 0xaa55);
}

static void reading(void)
{
	struct regs r = lba(0x42, 0x80, 3000, 1);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 3000);
	EQUAL(BUFFER32(127), 3000);
	clear();
	r = chs(0x02, 0x80, 3000, 1);
	CHECK(!CF(r));
	EQUAL(r.al, 1);
	EQUAL(r.ah, 0);
	EQUAL(BUFFER32(0), 3000);
	EQUAL(BUFFER32(128), 0xcccccccc);
	clear();
	r = lba(0x42, 0x80, 39997, 3);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 39997);
	EQUAL(BUFFER32(256), 39999);
	EQUAL(*(u16 *)(packet + 2), 3);
	r = lba(0x42, 0x80, 39999, 2);
	CHECK(CF(r));
	CHECK(r.ah);
	r = (struct regs){.ax = 0x0100, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(r.ah);
	r = lba(0x44, 0x80, 3000, 4);
	CHECK(!CF(r));
	r = chs(0x04, 0x80, 3000, 4);
	CHECK(!CF(r));
	/* sector 0 does not exist; neither does another drive */
	r = (struct regs){.ax = 0x0201, .cx = 0x0000, .dx = 0x80, .ebx = (u32)buffer};
	interrupt(0x13, &r);
	CHECK(CF(r));
	r = (struct regs){.ax = 0x0201, .cx = 0x0001, .dx = 0x83, .ebx = (u32)buffer};
	interrupt(0x13, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 1);
}

/* Far away, unaligned, across a 64-KiB boundary. */
static void large(void)
{
	static const u32 places[] = {0x20000, 0x2fe02, 0x2fff0, 0x30001};
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		u32 to = places[i];
		struct regs r = {.ax = 0x4200, .dx = 0x80, .esi = (u32)packet};
		*(u32 *)packet = 16 | 127u << 16;
		*(u32 *)(packet + 4) = (to >> 4) << 16 | (to & 15);
		*(u32 *)(packet + 8) = 4000;
		*(u32 *)(packet + 12) = 0;
		interrupt(0x13, &r);
		CHECK(!CF(r));
		bool same = true;
		for (u32 s = 0; s < 127; s++)
			same &= far32(to + s * 512) == 4000 + s &&
				far32(to + s * 512 + 508) == 4000 + s;
		CHECK(same);
	}
}

static void writing(void)
{
	for (unsigned i = 0; i < 256; i++)
		BUFFER32(i) = 0xa5000000 + i;
	struct regs r = lba(0x43, 0x80, 2500, 2);
	CHECK(!CF(r));
	clear();
	r = chs(0x02, 0x80, 2500, 2);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 0xa5000000);
	EQUAL(BUFFER32(255), 0xa50000ff);
	for (unsigned i = 0; i < 256; i++)
		BUFFER32(i) = i < 128 ? 2500 : 2501;
	r = chs(0x03, 0x80, 2500, 2);
	CHECK(!CF(r));
	EQUAL(r.al, 2);
	clear();
	r = lba(0x42, 0x80, 2500, 2);
	EQUAL(BUFFER32(0), 2500);
	EQUAL(BUFFER32(255), 2501);
	r = lba(0x42, 0x80, 2502, 1);
	EQUAL(BUFFER32(0), 2502);
}

static void others(void)
{
	static const u8 harmless[] = {0x00, 0x09, 0x0c, 0x0d, 0x10, 0x11, 0x14};
	for (unsigned i = 0; i < ARRAY_SIZE(harmless); i++) {
		struct regs r = {.ah = harmless[i], .cx = 1, .dx = 0x80};
		interrupt(0x13, &r);
		check(!CF(r) && !r.ah, FILE_LETTER, __LINE__, harmless[i], r.ah | 0x100u);
	}
	struct regs r = {.ax = 0x4700, .dx = 0x80, .esi = (u32)packet};
	*(u32 *)packet = 16 | 1u << 16;
	*(u32 *)(packet + 8) = 100;
	interrupt(0x13, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x4900, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(r.ah == 0 || r.ah == 6); /* the same medium, or who knows */
	r = (struct regs){.ax = 0x4e01, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x7700, .dx = 0x80};
	interrupt(0x13, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 1);
}

/* With interrupts off services work too, and do not leave them on. */
static void interrupts_off(void)
{
	u16 flags;
	__asm__ volatile("cli");
	struct regs r = lba(0x42, 0x80, 3001, 1);
	__asm__ volatile("pushfw\n\tpopw %0\n\tsti" : "=r"(flags));
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 3001);
	EQUAL(flags & 0x200, 0);
}

void test_disk(void)
{
	geometry();
	extensions();
	reading();
	large();
	writing();
	others();
	interrupts_off();
}

/* ---- CD: sector n >= 64 holds n in its first word ------------------------------------------ */

void test_cd(void)
{
	struct regs r = lba(0x42, boot_drive, 64, 1);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 64);
	EQUAL(BUFFER32(511), 64);
	r = lba(0x42, boot_drive, 16, 1);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0) >> 8, 0x304443); /* "CD0" */
	for (unsigned i = 0; i < 24; i++) {
		u32 to = 0x20000;
		r = (struct regs){.ax = 0x4200, .dx = boot_drive, .esi = (u32)packet};
		*(u32 *)packet = 16 | 20u << 16;
		*(u32 *)(packet + 4) = (to >> 4) << 16;
		*(u32 *)(packet + 8) = 70;
		interrupt(0x13, &r);
		CHECK(!CF(r));
		EQUAL(far32(to + 19 * 2048), 89);
		if (CF(r))
			break;
	}
	r = lba(0x43, boot_drive, 64, 1);
	CHECK(CF(r));
	r = (struct regs){.ax = 0x4100, .bx = 0x55aa, .dx = boot_drive};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 0xaa55);
	*(u16 *)result = 26;
	r = (struct regs){.ax = 0x4800, .dx = boot_drive, .esi = (u32)result};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(*(u16 *)(result + 24), 2048);
	/* locked, it is not ejected */
	r = (struct regs){.ax = 0x4500, .dx = boot_drive};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.al, 1);
	r = (struct regs){.ax = 0x4600, .dx = boot_drive};
	interrupt(0x13, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 0xb1);
	r = (struct regs){.ax = 0x4501, .dx = boot_drive};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x4502, .dx = boot_drive};
	interrupt(0x13, &r);
	EQUAL(r.al, 0);
	result[0] = 0x13;
	r = (struct regs){.ax = 0x4b01, .dx = boot_drive, .esi = (u32)result};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(result[0], 0x13);
	EQUAL(result[1] & 15, 0);
	EQUAL(result[2], boot_drive);
}

/* ---- diskette: 1.44 MB, every sector from 100 on holds its number ---------------------------- */

static void floppy_writing(void)
{
	for (unsigned i = 0; i < 256; i++)
		BUFFER32(i) = 0x5a000000 + i;
	struct regs r = chs(0x03, 0, 2000, 2);
	if (CF(r) && r.ah == 3) /* an image on a CD */
		return;
	CHECK(!CF(r));
	EQUAL(r.al, 2);
	r = chs(0x04, 0, 2000, 2);
	CHECK(!CF(r));
	clear();
	r = chs(0x02, 0, 1999, 3);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 1999);
	EQUAL(BUFFER32(128), 0x5a000000);
	EQUAL(BUFFER32(128 + 255), 0x5a0000ff);
	/* the last track, formatted anew */
	for (unsigned i = 0; i < 18; i++)
		BUFFER32(i) = 79 | 1 << 8 | (i + 1) << 16 | 2 << 24;
	r = (struct regs){.ax = 0x0512, .cx = 0x4f01, .dx = 0x0100, .ebx = (u32)buffer};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	clear();
	r = chs(0x02, 0, 2879, 1);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 0xf6f6f6f6);
	EQUAL(BUFFER32(127), 0xf6f6f6f6);
	r = (struct regs){.ax = 0x1600, .dx = 0};
	interrupt(0x13, &r);
	CHECK(r.ah == 0 || r.ah == 6);
	if (!our_bios())
		return;
	r = (struct regs){.ax = 0x1800, .cx = 0x4f12, .dx = 0};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(far8(r.es * 16u + (u16)r.edi + 4), 18); /* sectors in the table */
}

void test_floppy(void)
{
	struct regs r = {.ax = 0x0800, .dx = 0};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(r.cx, 0x4f12);
	EQUAL(r.dh, 1);
	CHECK(r.dl >= 1);
	spt = 18;
	heads = 2;
	clear();
	r = chs(0x02, 0, 1000, 1);
	CHECK(!CF(r));
	EQUAL(r.al, 1);
	EQUAL(BUFFER32(0), 1000);
	r = chs(0x02, 0, 2876, 4);
	CHECK(!CF(r));
	EQUAL(BUFFER32(384), 2879);
	r = chs(0x02, 0, 100, 3);
	CHECK(!CF(r));
	EQUAL(BUFFER32(0), 100);
	EQUAL(BUFFER32(256), 102);
	r = (struct regs){.ax = 0x0201, .cx = 0x0013, .dx = 0, .ebx = (u32)buffer}; /* sector 19 */
	interrupt(0x13, &r);
	CHECK(CF(r));
	r = (struct regs){.ax = 0x0000, .dx = 0};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x1500, .dx = 0};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	CHECK(r.ah == 1 || r.ah == 2);
	floppy_writing();
}
