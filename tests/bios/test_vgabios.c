/*
 * The video BIOS, called function by function by a real-mode guest on a whole machine. With VGABIOS=FILE another image is
 * tested (SeaBIOS's agrees where it has the function); with VGA_SHOTS=FOLDER the pictures are kept to be looked at.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include "tests/suite.h"
#include "base/host.h"
#include "bios/vga/image.h"
#include "devices/display/display.h"
#include "devices/pc.h"
#include "machine/machine.h"

#define BLOCK     0x500u
#define BUFFER    0x2000u /* where functions get and leave data: 0200:0000 */
#define ENTRY     0x68u   /* of the guest, behind the header of a zImage's setup code */
#define SETUP     0x200u
#define BDA(at)   (0x400u + (at))

extern const u8 vgabios_guest[], vgabios_guest_end[];

struct pc_regs {
	u32 eax, ebx, ecx, edx, esi, edi, ebp;
	u16 es, ds;
	u8 kind, pad[3];
	u32 window, esp;
};
_Static_assert(sizeof(struct pc_regs) == 44, "as the guest has it");

static u8 image[8192];
static struct machine *m;
static struct errtext e;

static u8 *ram(u32 at, u32 n)
{
	u8 *p = machine_ram(m, at, n);
	ck_assert(p != NULL);
	return p;
}

static u16 ram16(u32 at)
{
	u16 v;
	memcpy(&v, ram(at, 2), 2);
	return v;
}

static u32 ram32(u32 at)
{
	u32 v;
	memcpy(&v, ram(at, 4), 4);
	return v;
}

static struct bus *machine_bus(struct machine *mm)
{
	return machine_pc(mm)->env.bus;
}

/* A zImage: setup code at 9000:0000, entered at 9020:0000. */
static void make_image(void)
{
	memset(image, 0, sizeof(image));
	image[0x1f1] = 4;
	image[0x1f4] = 64;
	image[0x1fe] = 0x55;
	image[0x1ff] = 0xaa;
	image[SETUP] = 0xeb;
	image[SETUP + 1] = ENTRY - 2;
	memcpy(image + 0x202, "HdrS", 4);
	image[0x207] = 2;
	memcpy(image + SETUP + ENTRY, vgabios_guest, (size_t)(vgabios_guest_end - vgabios_guest));
}

static void load_rom(void)
{
	const char *path = getenv("VGABIOS");
	u8 *data;
	u64 n;
	if (!path) {
		memcpy(ram(0xc0000, vga_bios_image_bytes), vga_bios_image, vga_bios_image_bytes);
		return;
	}
	ck_assert_int_eq(host_file_read(path, 0x10000, &data, &n), 0);
	memcpy(ram(0xc0000, (u32)n), data, n);
	free(data);
}

static void resume(void)
{
	struct machine_result r;
	enum end_reason why = machine_run(m);
	machine_result(m, &r);
	ck_assert_msg(why == END_DEBUG_EXIT, "the guest ended by %s at %04x:%llx %s", end_reason_name(why), r.cs,
		      (unsigned long long)r.rip, r.explanation);
}

static void call(struct pc_regs *r)
{
	u32 esp = 0;
	memcpy(ram(BLOCK, sizeof(*r)), r, sizeof(*r));
	resume();
	esp = r->esp;
	memcpy(r, ram(BLOCK, sizeof(*r)), sizeof(*r));
	ck_assert(!esp || r->esp == esp);
	ck_assert_uint_eq(r->ds, 0);
}

static struct pc_regs int10(u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	struct pc_regs r = {eax, ebx, ecx, edx, 0x51515151, 0, 0, BUFFER / 16, 0, 0, {0}, 0, 0};
	call(&r);
	ck_assert_uint_eq(r.esi, 0x51515151);
	return r;
}

static void setup(void)
{
	static struct machine_config cfg;
	machine_config_init(&cfg);
	make_image();
	cfg.ram_bytes = 8 << 20;
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	cfg.device[0] = "isa-debug-exit";
	cfg.no_reboot = true;
	cfg.timeout_ns = 20000000000ull;
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	resume();
	load_rom();
	struct pc_regs r = {.kind = 1};
	call(&r);
	if (getenv("VGABIOS")) /* some leave it to the system BIOS to set the first mode */
		int10(0x0003, 0, 0, 0);
}

static void teardown(void)
{
	machine_destroy(m);
}

static const struct display_surface *picture(const char *name)
{
	const char *folder = getenv("VGA_SHOTS");
	char path[512];
	struct display *d = machine_display(m);
	display_draw(d, 0);
	if (folder) {
		snprintf(path, sizeof(path), "%s/%s.png", folder, name);
		ck_assert_int_eq(display_screenshot(d, path), 0);
	}
	const struct display_surface *s = display_lock(d, 0, NULL);
	display_unlock(d);
	return s;
}

static u32 checksum(const struct display_surface *s)
{
	return (u32)crc32(0, (const u8 *)s->pixels, s->width * s->height * 4);
}

static void print(const char *text, u8 colour)
{
	for (; *text; text++)
		int10(0x0e00 | (u8)*text, colour, 0, 0);
}

static u8 inb(u16 port)
{
	return (u8)bus_io_read(machine_bus(m), port, 1);
}

/* ---- modes ---------------------------------------------------------------------------------- */

START_TEST(power_on_leaves_text)
{
	struct pc_regs r = int10(0x0f00, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 0xffff, 0x5003);
	ck_assert_uint_eq(r.ebx & 0xff00, 0);
	ck_assert_uint_eq(ram(BDA(0x84), 1)[0], 24);
	ck_assert_uint_eq(ram16(BDA(0x85)), 16);
	ck_assert_uint_eq(ram16(BDA(0x63)), 0x3d4);
	ck_assert_uint_eq(ram16(BDA(0x60)), 0x0607);
	ck_assert_uint_eq(ram16(0x10 * 4 + 2), 0xc000);
	print("Orrery VGA BIOS\r\n", 7);
	ck_assert_uint_eq(ram(BDA(0x51), 1)[0], 1);
	const struct display_surface *s = picture("mode03");
	ck_assert(s->width == 720 && s->height == 400);
}
END_TEST

struct mode_case {
	u8 mode, columns, rows, colours; /* colours: 0: text */
	u16 w, h;
	u32 crc;
};

static const struct mode_case cases[] = {
#include "tests/bios/vga_pictures.inc"
};

/* A picture that shows what a mode can: text in its colours; in graphics, diagonal lines and bars of every colour. */
static void paint(const struct mode_case *c)
{
	char title[32];
	snprintf(title, sizeof(title), "mode %02Xh %ux%u\r\n", c->mode, c->w, c->h);
	print(title, c->colours > 2 || !c->colours ? 15 : 1);
	for (unsigned i = 0; i < 16; i++) {
		int10(0x0200, 0, 0, 2u << 8 | i * 2);
		int10(0x0900 | ('A' + i), c->colours ? (i % (c->colours ? c->colours : 1)) | (i & 1 && c->colours < 255 ? 0x80 : 0)
						     : i * 0x11 ^ 15,
		      2, 0);
	}
	for (u32 y = 64; c->colours && y < c->h; y += 3)
		for (u32 x = y & 7; x < c->w; x += 8)
			int10(0x0c00 | ((x / 8 + y / 16) % (c->colours ? c->colours : 1)), 0, x, y);
}

START_TEST(standard_modes)
{
	const struct mode_case *c = &cases[_i];
	char name[16];
	struct pc_regs r = int10(c->mode, 0, 0, 0);
	r = int10(0x0f00, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 0xffff, (u32)c->columns << 8 | c->mode);
	ck_assert_uint_eq(ram(BDA(0x84), 1)[0], c->rows - 1);
	const struct display_surface *s = picture("blank");
	ck_assert_msg(s->width == c->w && s->height == c->h, "%ux%u", s->width, s->height);
	paint(c);
	int10(0x0100, 0, 0x2000, 0); /* no cursor */
	snprintf(name, sizeof(name), "mode%02x", c->mode);
	s = picture(name);
	if (getenv("VGA_SHOTS"))
		fprintf(stderr, "mode %02x: 0x%08x\n", c->mode, checksum(s));
	else if (!getenv("VGABIOS"))
		ck_assert_uint_eq(checksum(s), c->crc);
}
END_TEST

START_TEST(pixels_and_characters_read_back)
{
	const struct mode_case *c = &cases[_i];
	int10(c->mode, 0, 0, 0);
	if (c->colours) {
		for (unsigned i = 0; i < 20; i++) {
			u32 x = i * 13 % c->w, y = 60 + i * 7, colour = (i + 1) % c->colours;
			int10(0x0c00 | colour, 0, x, y);
			ck_assert_uint_eq(int10(0x0d00, 0, x, y).eax & 255, colour);
		}
		int10(0x0c81, 0, 3, 190); /* exclusive or, twice */
		u32 once = int10(0x0d00, 0, 3, 190).eax & 255;
		if (c->colours < 255) {
			ck_assert_uint_eq(once, 1);
			int10(0x0c81, 0, 3, 190);
			ck_assert_uint_eq(int10(0x0d00, 0, 3, 190).eax & 255, 0);
		}
	}
	for (unsigned ch = 33; ch < 255; ch += 37) {
		int10(0x0200, 0, 0, 5u << 8 | 7);
		int10(0x0900 | ch, c->colours == 2 ? 1 : 3, 1, 0);
		struct pc_regs r = int10(0x0800, 0, 0, 0);
		ck_assert_uint_eq(r.eax & 255, ch);
		if (!c->colours)
			ck_assert_uint_eq(r.eax >> 8 & 255, 3);
	}
}
END_TEST

START_TEST(graphics_scroll)
{
	const struct mode_case *c = &cases[_i];
	if (!c->colours)
		return;
	int10(c->mode, 0, 0, 0);
	int10(0x0200, 0, 0, 10u << 8 | 4);
	int10(0x0941, 1, 1, 0);
	int10(0x0603, 0, 0, (c->rows - 1u) << 8 | (c->columns - 1)); /* up three rows */
	int10(0x0200, 0, 0, 7u << 8 | 4);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 'A');
	int10(0x0702, 0, 6u << 8 | 3, 12u << 8 | 6); /* a window down two */
	int10(0x0200, 0, 0, 9u << 8 | 4);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 'A');
	u32 height = ram16(BDA(0x85));
	int10(0x0600, 1u << 8, 9u << 8 | 4, 9u << 8 | 4); /* clears to colour 1 */
	ck_assert_uint_eq(int10(0x0d00, 0, 4 * 8 + 3, 9 * height + 2).eax & 255, 1);
	ck_assert_uint_eq(int10(0x0d00, 0, 5 * 8, 9 * height + 2).eax & 255, 0);
}
END_TEST

START_TEST(bad_mode_changes_nothing)
{
	int10(0x006c, 0, 0, 0);
	ck_assert_uint_eq(int10(0x0f00, 0, 0, 0).eax & 0xffff, 0x5003);
}
END_TEST

START_TEST(mode_may_keep_memory)
{
	print("stay", 7);
	int10(0x0083, 0, 0, 0);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 's');
	ck_assert_uint_eq(int10(0x0f00, 0, 0, 0).eax & 0xff, 0x83);
}
END_TEST

static void out_index(u16 port, u8 index, u8 v)
{
	bus_io_write(machine_bus(m), port, (u32)index | (u32)v << 8, 2);
}

/* "Mode X": 320x240 in 256 colours, unchained, as games set it from mode 13h. */
START_TEST(mode_x)
{
	static const u8 crtc[][2] = {{0x11, 0x2c}, {0x06, 0x0d}, {0x07, 0x3e}, {0x09, 0x41}, {0x10, 0xea}, {0x11, 0xac},
				     {0x12, 0xdf}, {0x14, 0x00}, {0x15, 0xe7}, {0x16, 0x06}, {0x17, 0xe3}};
	int10(0x0013, 0, 0, 0);
	out_index(0x3c4, 4, 6);
	bus_io_write(machine_bus(m), 0x3c2, 0xe3, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(crtc); i++)
		out_index(0x3d4, crtc[i][0], crtc[i][1]);
	for (u32 x = 0; x < 320; x++) { /* a line of all colours on row 200 */
		out_index(0x3c4, 2, (u8)(1 << (x & 3)));
		bus_mem_write(machine_bus(m), 0xa0000 + 200 * 80 + x / 4, x & 255, 1);
	}
	out_index(0x3c4, 2, 15);
	bus_mem_write(machine_bus(m), 0xa0000 + 239 * 80, 15, 1); /* four pixels at a time */
	const struct display_surface *s = picture("modex");
	ck_assert_msg(s->width == 320 && s->height == 240, "%ux%u", s->width, s->height);
	ck_assert_uint_eq(s->pixels[200 * s->stride + 4], 0xaa0000);
	ck_assert_uint_eq(s->pixels[200 * s->stride + 15], 0xffffff);
	ck_assert_uint_eq(s->pixels[200 * s->stride + 32], 0x0000ff);
	ck_assert_uint_eq(s->pixels[239 * s->stride + 3], 0xffffff);
	ck_assert_uint_eq(s->pixels[239 * s->stride + 4], 0);
	/* the second page, and a copy through the latches into it */
	out_index(0x3ce, 5, 0x41);
	bus_mem_read(machine_bus(m), 0xa0000 + 200 * 80 + 3, 1);
	bus_mem_write(machine_bus(m), 0xa0000 + 19200, 0, 1);
	out_index(0x3d4, 0x0c, 19200 >> 8);
	out_index(0x3d4, 0x0d, 19200 & 255);
	s = picture("modex2");
	ck_assert_uint_eq(s->pixels[3], 0xffffff);
	ck_assert_uint_eq(s->pixels[4], 0);
}
END_TEST

/* ---- text ----------------------------------------------------------------------------------- */

START_TEST(teletype_scrolls_and_wraps)
{
	for (unsigned i = 0; i < 30; i++) {
		char line[16];
		snprintf(line, sizeof(line), "\r\nline %u", i);
		print(line, 7);
	}
	ck_assert_uint_eq(ram16(BDA(0x50)), 24 << 8 | 7);
	int10(0x0200, 0, 0, 0x0005);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 0xffff, 0x0700 | '5');
	int10(0x0200, 0, 0, 24 << 8 | 79);
	print("X", 7);
	ck_assert_uint_eq(ram16(BDA(0x50)), 24 << 8);
	print("\b\bab\bc", 7);
	int10(0x0200, 0, 0, 24 << 8 | 1);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 'c');
}
END_TEST

START_TEST(scroll_windows)
{
	for (unsigned y = 0; y < 25; y++) {
		int10(0x0200, 0, 0, y << 8 | 10);
		int10(0x0900 | ('a' + y), 0x1f, 3, 0);
	}
	int10(0x0602, 0x4e00, 5 << 8 | 10, 9 << 8 | 11); /* rows 5-9, columns 10-11, up two */
	static const char want[] = "abcdehij  klmnopqrstuvwxy";
	for (unsigned y = 0; y < 25; y++) {
		int10(0x0200, 0, 0, y << 8 | 11);
		u32 cell = int10(0x0800, 0, 0, 0).eax & 0xffff;
		ck_assert_uint_eq(cell & 255, (u8)want[y]);
		ck_assert_uint_eq(cell >> 8, y == 8 || y == 9 ? 0x4e : 0x1f);
		int10(0x0200, 0, 0, y << 8 | 12);
		ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 'a' + y);
	}
	int10(0x0701, 0x0700, 0, 24 << 8 | 79); /* all, down one */
	int10(0x0200, 0, 0, 1 << 8 | 12);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 255, 'a');
	int10(0x0600, 0x2000, 0, 0xffff); /* all of it, beyond the edges */
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 0xffff, 0x2020);
}
END_TEST

START_TEST(pages_and_cursor)
{
	int10(0x0200, 0x0300, 0, 7 << 8 | 9); /* page 3 */
	int10(0x0958, 0x031e, 1, 0);
	ck_assert_uint_eq(int10(0x0800, 0x0300, 0, 0).eax & 0xffff, 0x1e58);
	ck_assert_uint_eq(int10(0x0300, 0x0300, 0, 0).edx & 0xffff, 7 << 8 | 9);
	int10(0x0503, 0, 0, 0);
	ck_assert_uint_eq(ram16(BDA(0x4e)), 0x3000);
	ck_assert_uint_eq(int10(0x0f00, 0, 0, 0).ebx >> 8 & 255, 3);
	const struct display_surface *s = picture("page3");
	ck_assert_uint_eq(s->pixels[7 * 16 * 720 + 9 * 9], 0x0000aa);
	int10(0x0100, 0, 0x0203, 0);
	struct pc_regs r = int10(0x0300, 0x0300, 0, 0);
	ck_assert_uint_eq(r.ecx & 0xffff, 0x0203);
	int10(0x0500, 0, 0, 0);
}
END_TEST

START_TEST(strings)
{
	memcpy(ram(BUFFER, 16), "Hello", 5);
	struct pc_regs r = {.eax = 0x1301, .ebx = 0x004f, .ecx = 5, .edx = 3 << 8 | 4, .es = BUFFER / 16};
	call(&r);
	ck_assert_uint_eq(ram16(BDA(0x50)), 3 << 8 | 9);
	int10(0x0200, 0, 0, 3 << 8 | 8);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 0xffff, 0x4f6f);
	memcpy(ram(BUFFER, 16), "a\036b/", 4);
	r = (struct pc_regs){.eax = 0x1302, .ebx = 0, .ecx = 2, .edx = 0, .es = BUFFER / 16};
	call(&r);
	ck_assert_uint_eq(ram16(BDA(0x50)), 3 << 8 | 8); /* stays */
	int10(0x0200, 0, 0, 1);
	ck_assert_uint_eq(int10(0x0800, 0, 0, 0).eax & 0xffff, 0x2f62);
}
END_TEST

START_TEST(fifty_lines)
{
	int10(0x1112, 0, 0, 0); /* 8x8 font */
	ck_assert_uint_eq(ram(BDA(0x84), 1)[0], 49);
	ck_assert_uint_eq(ram16(BDA(0x85)), 8);
	int10(0x0200, 0, 0, 49 << 8);
	print("the fiftieth line", 7);
	const struct display_surface *s = picture("lines50");
	ck_assert(s->width == 720 && s->height == 400);
	struct pc_regs r = int10(0x1130, 0x0300, 0, 0);
	ck_assert_uint_eq(r.es, 0xc000);
	ck_assert_uint_eq(r.ecx & 0xffff, 8);
	ck_assert_uint_eq(r.edx & 255, 49);
	ck_assert_mem_eq(ram(0xc0000 + (r.ebp & 0xffff) + 8 * 32, 8), "\0\0\0\0\0\0\0\0", 8);
	int10(0x1202, 0x30, 0, 0); /* 400 lines at the next mode set */
	int10(0x0003, 0, 0, 0);
	ck_assert_uint_eq(ram(BDA(0x84), 1)[0], 24);
	ck_assert_uint_eq(int10(0x1201, 0x30, 0, 0).eax & 255, 0x12);
	int10(0x0003, 0, 0, 0);
	ck_assert_uint_eq(picture("lines350")->height, 350);
	ck_assert_uint_eq(ram16(BDA(0x85)), 14);
	int10(0x1200, 0x30, 0, 0);
	int10(0x0003, 0, 0, 0);
	ck_assert_uint_eq(picture("lines200")->height, 200);
}
END_TEST

START_TEST(fonts_of_ones_own)
{
	memset(ram(BUFFER, 16), 0xaa, 16);
	struct pc_regs r = {.eax = 0x1100, .ebx = 0x1000, .ecx = 1, .edx = 'A', .es = BUFFER / 16};
	call(&r);
	print("A", 7);
	const struct display_surface *s = picture("ownfont");
	ck_assert_uint_eq(s->pixels[720 * 3], 0xaaaaaa);
	ck_assert_uint_eq(s->pixels[720 * 3 + 1], 0);
	ck_assert_uint_eq(s->pixels[720 * 3 + 2], 0xaaaaaa);
}
END_TEST

/* ---- palette, state ------------------------------------------------------------------------- */

START_TEST(palette_functions)
{
	int10(0x1000, 0x3501, 0, 0);
	ck_assert_uint_eq(int10(0x1007, 1, 0, 0).ebx >> 8 & 255, 0x35);
	int10(0x1001, 0x0200, 0, 0);
	ck_assert_uint_eq(int10(0x1008, 0, 0, 0).ebx >> 8 & 255, 2);
	int10(0x1010, 200, 0x2a15, 0x3f00); /* DH red, CH green, CL blue */
	struct pc_regs r = int10(0x1015, 200, 0, 0);
	ck_assert_uint_eq(r.edx >> 8 & 255, 0x3f);
	ck_assert_uint_eq(r.ecx & 0xffff, 0x2a15);
	memcpy(ram(BUFFER, 6), "\1\2\3\4\5\6", 6);
	int10(0x1012, 100, 2, 0);
	memset(ram(BUFFER, 6), 0, 6);
	int10(0x1017, 100, 2, 0);
	ck_assert_mem_eq(ram(BUFFER, 6), "\1\2\3\4\5\6", 6);
	int10(0x101b, 101, 1, 0);
	r = int10(0x1015, 101, 0, 0);
	ck_assert_uint_eq(r.edx >> 8 & 255, 5); /* .30 x 4 + .59 x 5 + .11 x 6 */
	ck_assert_uint_eq(r.ecx & 0xffff, 0x0505);
	int10(0x1009, 0, 0, 0);
	ck_assert_uint_eq(ram(BUFFER, 17)[1], 0x35);
	ck_assert_uint_eq(ram(BUFFER, 17)[16], 2);
	int10(0x1003, 0, 0, 0); /* bright backgrounds */
	int10(0x1013, 0x0100, 0, 0);
	int10(0x1013, 0x0501, 0, 0);
	r = int10(0x101a, 0, 0, 0);
	ck_assert_uint_eq(r.ebx & 0xffff, 0x0501);
}
END_TEST

START_TEST(display_is_known)
{
	struct pc_regs r = int10(0x1a00, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 255, 0x1a);
	ck_assert_uint_eq(r.ebx & 0xffff, 8);
	r = int10(0x1200, 0x10, 0, 0);
	ck_assert_uint_eq(r.ebx & 0xffff, 3);
	r = int10(0x1b00, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 255, 0x1b);
	ck_assert_uint_eq(ram(BUFFER + 4, 1)[0], 3);
	ck_assert_uint_eq(ram16(BUFFER + 5), 80);
	ck_assert_uint_eq(ram(BUFFER + 0x22, 1)[0], 25);
	ck_assert_uint_eq(ram16(BUFFER + 0x23), 16);
	ck_assert_uint_eq(ram32(BUFFER) >> 16, 0xc000);
}
END_TEST

START_TEST(state_is_saved_and_restored)
{
	struct pc_regs r = int10(0x1c00, 0, 7, 0);
	ck_assert_uint_eq(r.eax & 255, 0x1c);
	ck_assert_uint_gt(r.ebx & 0xffff, 12);
	print("state", 7);
	int10(0x1010, 7, 0x0102, 0x0300);
	u32 before = checksum(picture("before"));
	int10(0x1c01, 0, 7, 0);
	int10(0x0093, 0, 0, 0);
	int10(0x1c02, 0, 7, 0);
	ck_assert_uint_eq(int10(0x0f00, 0, 0, 0).eax & 0x7f, 3);
	ck_assert_uint_eq(ram16(BDA(0x50)), 5);
	ck_assert_uint_eq(int10(0x1015, 7, 0, 0).ecx & 0xffff, 0x0102);
	const struct display_surface *s = picture("after");
	ck_assert(s->width == 720 && s->height == 400);
	(void)before;
}
END_TEST

/* ---- VBE ------------------------------------------------------------------------------------ */

START_TEST(vbe_controller)
{
	memcpy(ram(BUFFER, 4), "VBE2", 4);
	struct pc_regs r = int10(0x4f00, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	ck_assert_mem_eq(ram(BUFFER, 4), "VESA", 4);
	ck_assert_uint_ge(ram16(BUFFER + 4), 0x0200);
	ck_assert_uint_eq(ram16(BUFFER + 18), 256);
	u32 list = ram32(BUFFER + 14), at = (list >> 16) * 16 + (list & 0xffff);
	unsigned n = 0, has118 = 0;
	for (; ram16(at) != 0xffff && n < 200; at += 2, n++)
		has118 |= ram16(at) == 0x118;
	ck_assert_uint_gt(n, 30);
	ck_assert_uint_lt(n, 200);
	ck_assert(has118);
	ck_assert_uint_ne(int10(0x4f55, 0, 0, 0).eax & 0xffff, 0x004f);
	ck_assert_uint_ne(int10(0x4f01, 0, 0x1fe, 0).eax & 0xffff, 0x004f);
	ck_assert_uint_ne(int10(0x4f02, 0x1fe, 0, 0).eax & 0xffff, 0x004f);
}
END_TEST

START_TEST(vbe_modes)
{
	u16 modes[200];
	memcpy(ram(BUFFER, 4), "VBE2", 4);
	int10(0x4f00, 0, 0, 0);
	u32 list = ram32(BUFFER + 14), at = (list >> 16) * 16 + (list & 0xffff), n = 0;
	for (; ram16(at) != 0xffff && n < 200; at += 2)
		modes[n++] = ram16(at);
	for (u32 i = 0; i < n; i++) {
		struct pc_regs r = int10(0x4f01, 0, modes[i], 0);
		ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
		u16 attributes = ram16(BUFFER), pitch = ram16(BUFFER + 16), w = ram16(BUFFER + 18), h = ram16(BUFFER + 20);
		u8 bpp = *ram(BUFFER + 25, 1);
		if (modes[i] < 0x100 || !(attributes & 1))
			continue;
		u32 lfb = ram32(BUFFER + 40), linear = attributes & 0x80 ? 0x4000 : 0;
		r = int10(0x4f02, modes[i] | linear, 0, 0);
		ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
		ck_assert_uint_eq(int10(0x4f03, 0, 0, 0).ebx & 0x1ff, modes[i]);
		const struct display_surface *s = picture("vbe");
		ck_assert_msg(s->width == w && s->height == h, "mode %x is %ux%u", modes[i], s->width, s->height);
		if (!linear)
			continue;
		ck_assert_uint_eq(lfb, 0xe0000000u);
		ck_assert_uint_eq(pitch, w * ((bpp + 7u) / 8));
		bus_mem_write(machine_bus(m), lfb + (u64)pitch * (h - 1) + (w - 1u) * ((bpp + 7) / 8), 0x0f0f, bpp > 16 ? 2 : 1);
		s = picture("vbe");
		ck_assert_uint_ne(s->pixels[(h - 1) * s->stride + w - 1] , 0);
	}
	int10(0x0003, 0, 0, 0);
	ck_assert_uint_eq(picture("text")->width, 720);
	ck_assert_uint_eq(int10(0x4f03, 0, 0, 0).ebx & 0xffff, 3);
}
END_TEST

START_TEST(vbe_banks)
{
	int10(0x4f01, 0, 0x103, 0);
	u32 window = ram32(BUFFER + 12);
	int10(0x4f02, 0x103, 0, 0);
	ck_assert_uint_eq(int10(0x4f05, 0, 0, 5).eax & 0xffff, 0x004f);
	ck_assert_uint_eq(int10(0x4f05, 0x100, 0, 0).edx & 0xffff, 5);
	bus_mem_write(machine_bus(m), 0xa0010, 0x0f, 1);
	ck_assert_uint_eq(bus_mem_read(machine_bus(m), 0xe0050010, 1), 0x0f);
	struct pc_regs r = {.eax = 0x4f05, .edx = 2, .kind = 2, .window = window};
	if (window) {
		call(&r);
		ck_assert_uint_eq(int10(0x4f05, 0x100, 0, 0).edx & 0xffff, 2);
	}
	ck_assert_uint_ne(int10(0x4f05, 0, 0, 0x4000).eax & 0xffff, 0x004f);
}
END_TEST

START_TEST(vbe_virtual_screen)
{
	int10(0x4f02, 0x4101, 0, 0);
	struct pc_regs r = int10(0x4f06, 0, 1024, 0);
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	ck_assert_uint_eq(r.ebx & 0xffff, 1024);
	ck_assert_uint_eq(r.ecx & 0xffff, 1024);
	ck_assert_uint_ge(r.edx & 0xffff, 480);
	ck_assert_uint_eq(int10(0x4f07, 0, 50, 60).eax & 0xffff, 0x004f);
	r = int10(0x4f07, 1, 0, 0);
	ck_assert_uint_eq(r.ecx & 0xffff, 50);
	ck_assert_uint_eq(r.edx & 0xffff, 60);
	bus_mem_write(machine_bus(m), 0xe0000000u + 60 * 1024 + 50, 15, 1);
	ck_assert_uint_eq(picture("vbe_start")->pixels[0], 0xffffff);
	ck_assert_uint_eq(int10(0x4f08, 0x800, 0, 0).ebx >> 8 & 255, 8);
	memcpy(ram(BUFFER, 4), "\x10\x20\x30", 4); /* blue, green, red */
	ck_assert_uint_eq(int10(0x4f09, 0, 1, 15).eax & 0xffff, 0x004f);
	ck_assert_uint_eq(picture("vbe_palette")->pixels[0], 0x302010);
	memset(ram(BUFFER, 4), 0, 4);
	int10(0x4f09, 1, 1, 15);
	ck_assert_mem_eq(ram(BUFFER, 3), "\x10\x20\x30", 3);
}
END_TEST

/* 4F0Ah: the table, and what it points to, called from flat 32-bit code where it was copied to. */
START_TEST(vbe_protected_mode)
{
	int10(0x4f02, 0x4101, 0, 0);
	int10(0x4f06, 0, 1024, 0);
	struct pc_regs r = int10(0x4f0a, 0, 0, 0);
	if (getenv("VGABIOS"))
		return; /* SeaBIOS has none */
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	u32 from = r.es * 16u + (r.edi & 0xffff), to = 0x30000, n = r.ecx & 0xffff;
	ck_assert_uint_ge(n, 16);
	ck_assert_uint_le(n, 512);
	for (u32 i = 0; i < n; i++)
		*ram(to + i, 1) = (u8)bus_mem_read(machine_bus(m), from + i, 1);
	r = (struct pc_regs){.eax = 0x4f07, .ecx = (60 * 1024 + 48) / 4, .kind = 3, .window = to + ram16(to + 2)};
	call(&r);
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	r = int10(0x4f07, 1, 0, 0);
	ck_assert_uint_eq(r.ecx & 0xffff, 48);
	ck_assert_uint_eq(r.edx & 0xffff, 60);
	memcpy(ram(BUFFER, 4), "\x10\x20\x30", 4);
	r = (struct pc_regs){.eax = 0x4f09, .ecx = 1, .edx = 15, .edi = BUFFER, .kind = 3, .window = to + ram16(to + 4)};
	call(&r);
	memset(ram(BUFFER, 4), 0, 4);
	int10(0x4f09, 1, 1, 15);
	ck_assert_mem_eq(ram(BUFFER, 3), "\x10\x20\x30", 3);
	int10(0x4f02, 0x103, 0, 0);
	r = (struct pc_regs){.eax = 0x4f05, .edx = 7, .kind = 3, .window = to + ram16(to)};
	call(&r);
	ck_assert_uint_eq(int10(0x4f05, 0x100, 0, 0).edx & 0xffff, 7);
	ck_assert_uint_ne(int10(0x4f0a, 1, 0, 0).eax & 0xffff, 0x004f);
}
END_TEST

START_TEST(vbe_ddc)
{
	struct pc_regs r = int10(0x4f15, 0, 0, 0);
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	r = int10(0x4f15, 1, 0, 0);
	ck_assert_uint_eq(r.eax & 0xffff, 0x004f);
	u8 sum = 0;
	for (unsigned i = 0; i < 128; i++)
		sum = (u8)(sum + *ram(BUFFER + i, 1));
	ck_assert_uint_eq(sum, 0);
	ck_assert_mem_eq(ram(BUFFER, 8), "\0\xff\xff\xff\xff\xff\xff\0", 8);
	ck_assert_uint_eq(*ram(BUFFER + 56, 1) | (*ram(BUFFER + 58, 1) & 0xf0) << 4, 1280);
}
END_TEST

/* Unreal stacks, odd callers: the upper half of ESP is not the BIOS's to use. */
START_TEST(upper_halves_survive)
{
	struct pc_regs r = int10(0x12340f00, 0x56780000, 0x9abc0000, 0xdef01111);
	ck_assert_uint_eq(r.eax >> 16, 0x1234);
	ck_assert_uint_eq(r.ebx >> 16, 0x5678);
	ck_assert_uint_eq(r.ecx, 0x9abc0000);
	ck_assert_uint_eq(r.edx, 0xdef01111);
	ck_assert_uint_eq(inb(0x3c3), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vgabios");
	TCase *t = tcase_create("all");
	const TTest *const once[] = {power_on_leaves_text, mode_x, bad_mode_changes_nothing, mode_may_keep_memory,
				     teletype_scrolls_and_wraps, scroll_windows, pages_and_cursor, strings, fifty_lines,
				     fonts_of_ones_own, palette_functions, display_is_known, state_is_saved_and_restored,
				     vbe_controller, vbe_modes, vbe_banks, vbe_virtual_screen, vbe_protected_mode, vbe_ddc, upper_halves_survive};
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < ARRAY_SIZE(once); i++)
		tcase_add_test(t, once[i]);
	tcase_add_loop_test(t, standard_modes, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, pixels_and_characters_read_back, 0, ARRAY_SIZE(cases));
	tcase_add_loop_test(t, graphics_scroll, 0, ARRAY_SIZE(cases));
	suite_add_tcase(s, t);
	return run_suite(s);
}
