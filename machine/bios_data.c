/* What a BIOS leaves behind: see bios_data.h. */
#include "machine/bios_data.h"

#define BIOS_SEGMENT   0xf000u
#define TIMER_HANDLER  0xff00u
#define MASTER_HANDLER 0xff20u
#define SLAVE_HANDLER  0xff30u
#define DUMMY_HANDLER  0xff53u /* where IBM's BIOS has its IRET */

static void put16(u8 *low, u32 at, unsigned v)
{
	low[at] = (u8)v;
	low[at + 1] = (u8)(v >> 8);
}

static void vectors(u8 *low)
{
	for (unsigned v = 0; v < 256; v++) {
		unsigned handler = v == 0x08                ? TIMER_HANDLER
				   : v > 0x08 && v <= 0x0f  ? MASTER_HANDLER
				   : v >= 0x70 && v <= 0x77 ? SLAVE_HANDLER
							    : DUMMY_HANDLER;
		put16(low, v * 4, handler);
		put16(low, v * 4 + 2, BIOS_SEGMENT);
	}
}

static void handlers(u8 *segment)
{
	static const u8 timer[] = {
	    0x50, 0x1e, 0xb8, 0x40, 0x00, 0x8e, 0xd8, /* push ax; push ds; ds = 40h */
	    0x66, 0xff, 0x06, 0x6c, 0x00,             /* inc dword [6Ch]: the tick count */
	    0xb0, 0x20, 0xe6, 0x20, 0x1f, 0x58, 0xcf, /* end of interrupt; pop ds; pop ax; iret */
	};
	static const u8 master[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
	static const u8 slave[] = {0x50, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0x58, 0xcf};
	memcpy(segment + TIMER_HANDLER, timer, sizeof(timer));
	memcpy(segment + MASTER_HANDLER, master, sizeof(master));
	memcpy(segment + SLAVE_HANDLER, slave, sizeof(slave));
	segment[DUMMY_HANDLER] = 0xcf;
}

void bios_data_area(u8 *low)
{
	vectors(low);
	handlers(low + BIOS_SEGMENT * 16);
	put16(low, 0x400, 0x3f8);  /* COM1 */
	put16(low, 0x40e, 0x9fc0); /* EBDA segment */
	put16(low, 0x413, 639);    /* base memory, KiB */
	low[0x9fc00] = 1;          /* EBDA size, KiB */
}

/* INT 10h's part, for text mode 3. */
void bios_video_data(u8 *low)
{
	low[0x410] |= 0x20;        /* equipment: 80 columns, colour */
	low[0x449] = 3;            /* mode */
	put16(low, 0x44a, 80);     /* columns */
	put16(low, 0x44c, 0x1000); /* page size */
	put16(low, 0x460, 0x0607); /* cursor */
	put16(low, 0x463, 0x3d4);  /* CRTC */
	low[0x484] = 24;           /* rows, less one */
	low[0x485] = 16;           /* lines of a character */
	low[0x487] = 0x60;         /* 256 KiB */
	low[0x488] = 0xf9;
	low[0x489] = 0x11; /* VGA, 400 lines */
	low[0x48a] = 8;    /* display combination: VGA, colour */
}

void bios_program_chips(struct bus *bus)
{
	static const u8 writes[][2] = {
	    {0x20, 0x11}, {0x21, 0x08}, {0x21, 0x04}, {0x21, 0x01}, /* master: vectors 08h.. */
	    {0xa0, 0x11}, {0xa1, 0x70}, {0xa1, 0x02}, {0xa1, 0x01}, /* slave: vectors 70h.. */
	    {0x21, 0xfa}, {0xa1, 0xff}, {0x43, 0x34}, {0x40, 0},    {0x40, 0},
	};
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++)
		bus_io_write(bus, writes[i][0], writes[i][1], 1);
}
