/* VGA as a driver sees it: registers, planar memory against a plain model, pictures, the DISPI frame buffer. */
#include "devices/display/display.h"
#include "devices/display/vga.h"
#include "tests/devices/board.h"

#define VRAM_BAR 0xe0000000u
#define MMIO_BAR 0xe8000000u

struct screen {
	struct board *b;
	struct display *d;
	struct device *vga;
};

static struct screen screen_new(void)
{
	char err[200];
	struct screen s = {.b = board_new(1), .d = display_create()};
	s.b->pc.env.display = s.d;
	s.vga = device_create(&s.b->pc.env, "VGA", NULL, "addr=2", err, sizeof(err));
	ck_assert_msg(s.vga != NULL, "%s", err);
	cfg_write(s.b, 2 << 3, PCI_BAR0, VRAM_BAR, 4);
	cfg_write(s.b, 2 << 3, PCI_BAR0 + 8, MMIO_BAR, 4);
	cfg_write(s.b, 2 << 3, PCI_COMMAND, 3, 2);
	return s;
}

static void screen_free(struct screen *s)
{
	board_free(s->b);
	display_destroy(s->d);
}

static void out2(struct screen *s, u16 port, unsigned index, unsigned v)
{
	bus_io_write(&s->b->bus, port, index | v << 8, 2);
}

static u8 in2(struct screen *s, u16 port, unsigned index)
{
	outb(s->b, port, (u8)index);
	return inb(s->b, (u16)(port + 1));
}

static const struct display_surface *picture(struct screen *s)
{
	display_draw(s->d, 0);
	const struct display_surface *p = display_lock(s->d, 0, NULL);
	display_unlock(s->d);
	return p;
}

static void dispi(struct screen *s, u16 index, u16 v)
{
	bus_io_write(&s->b->bus, 0x1ce, index, 2);
	bus_io_write(&s->b->bus, 0x1cf, v, 2);
}

static u16 dispi_get(struct screen *s, u16 index)
{
	bus_io_write(&s->b->bus, 0x1ce, index, 2);
	return (u16)bus_io_read(&s->b->bus, 0x1cf, 2);
}

static void set_dispi(struct screen *s, u16 w, u16 h, u16 bpp)
{
	dispi(s, 4, 0);
	dispi(s, 1, w);
	dispi(s, 2, h);
	dispi(s, 3, bpp);
	dispi(s, 4, 0x41);
}

/* ---- planar memory against a model, byte by byte and plane by plane ------------------------ */

struct model {
	u8 plane[4][65536], latch[4];
	u8 gc[9], map, seq4, misc;
};

static u8 rotate(u8 v, unsigned n)
{
	while (n--)
		v = (u8)(v >> 1 | v << 7);
	return v;
}

static u32 model_offset(const struct model *m, u32 a)
{
	if (m->seq4 & 8)
		return a >> 2;
	if (m->gc[6] & 2)
		return (a & 0xfffe) | ((m->gc[6] & 0xc) ? !(m->misc & 0x20) : a >> 16 & 1);
	return a & 0xffff;
}

static void model_write(struct model *m, u32 a, u8 data)
{
	u32 off = model_offset(m, a);
	unsigned map = m->map;
	if (m->seq4 & 8)
		map &= 1u << (a & 3);
	else if (!(m->seq4 & 4))
		map &= a & 1 ? 0xa : 5;
	for (unsigned p = 0; p < 4; p++) {
		unsigned mode = m->gc[5] & 3;
		u8 set = m->gc[0] >> p & 1 ? 0xff : 0, mask = m->gc[8], v = rotate(data, m->gc[3] & 7);
		if (mode == 0 && m->gc[1] >> p & 1)
			v = set;
		if (mode == 2)
			v = data >> p & 1 ? 0xff : 0;
		if (mode == 3) {
			mask &= v;
			v = set;
		}
		switch (m->gc[3] >> 3 & 3) {
		case 1: v &= m->latch[p]; break;
		case 2: v |= m->latch[p]; break;
		case 3: v ^= m->latch[p]; break;
		default: break;
		}
		v = (u8)((v & mask) | (m->latch[p] & ~mask));
		if (mode == 1)
			v = m->latch[p];
		if (map >> p & 1)
			m->plane[p][off & 0xffff] = v;
	}
}

static u8 model_read(struct model *m, u32 a)
{
	u32 off = model_offset(m, a) & 0xffff;
	unsigned plane = m->gc[4] & 3;
	u8 same = 0xff;
	if (m->seq4 & 8)
		plane = a & 3;
	else if (m->gc[5] & 0x10)
		plane = (plane & 2) | (a & 1);
	for (unsigned p = 0; p < 4; p++) {
		m->latch[p] = m->plane[p][off];
		u8 want = m->gc[2] >> p & 1 ? 0xff : 0;
		if (m->gc[7] >> p & 1)
			same &= (u8) ~(m->latch[p] ^ want);
	}
	return m->gc[5] & 8 ? same : m->plane[plane][off];
}

static u32 rnd(u64 *x)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (u32)(*x >> 33);
}

static void random_registers(struct screen *s, struct model *m, u64 *x)
{
	for (unsigned i = 0; i < 9; i++) {
		static const u8 mask[9] = {15, 15, 15, 31, 3, 0x1b, 0, 15, 255};
		m->gc[i] = (u8)rnd(x) & mask[i];
	}
	if (rnd(x) & 1)
		m->gc[1] = m->gc[3] = 0, m->gc[8] = 0xff, m->gc[5] &= 0xf8;
	m->gc[6] = 1 | (rnd(x) & 2) | (rnd(x) & 4);
	m->map = rnd(x) & 3 ? (u8)rnd(x) & 15 : 15;
	m->seq4 = 2 | (rnd(x) & 12);
	if (m->seq4 & 8)
		m->gc[5] &= (u8)~8u; /* the latches after reads of plain memory are not modelled (vga_mem.c) */
	m->misc = (u8)(3 | (rnd(x) & 0x20));
	for (unsigned i = 0; i < 9; i++)
		out2(s, 0x3ce, i, m->gc[i]);
	out2(s, 0x3c4, 2, m->map);
	out2(s, 0x3c4, 4, m->seq4);
	outb(s->b, 0x3c2, m->misc);
}

/* After a change of mode the latches are loaded anew, as every program does. */
static void load_latches(struct screen *s, struct model *m, u64 *x)
{
	u8 seq4 = m->seq4;
	u32 a = rnd(x) & 0xffff;
	m->seq4 = 6;
	out2(s, 0x3c4, 4, 6);
	ck_assert_uint_eq(bus_mem_read(&s->b->bus, 0xa0000 + a, 1), model_read(m, a));
	m->seq4 = seq4;
	out2(s, 0x3c4, 4, seq4);
}

START_TEST(planes_match_the_model)
{
	struct screen s = screen_new();
	struct model *m = calloc(1, sizeof(*m));
	u64 x = 42;
	for (unsigned round = 0; round < 3000; round++) {
		random_registers(&s, m, &x);
		load_latches(&s, m, &x);
		for (unsigned i = 0; i < 20; i++) {
			u32 a = rnd(&x) & (m->gc[6] & 4 ? 0xffff : 0x1ffff) & 0x100ff, v = rnd(&x);
			if (rnd(&x) & 1 || m->seq4 & 8) {
				bus_mem_write(&s.b->bus, 0xa0000 + a, v & 255, 1);
				model_write(m, a, (u8)v);
			} else {
				ck_assert_uint_eq(bus_mem_read(&s.b->bus, 0xa0000 + a, 1), model_read(m, a));
			}
		}
	}
	out2(&s, 0x3c4, 4, 6);
	out2(&s, 0x3ce, 5, 0);
	out2(&s, 0x3ce, 6, 5);
	for (unsigned p = 0; p < 4; p++) {
		out2(&s, 0x3ce, 4, p);
		for (unsigned a = 0; a < 0x10000; a++)
			if (bus_mem_read(&s.b->bus, 0xa0000 + a, 1) != m->plane[p][a])
				ck_abort_msg("plane %u offset %x", p, a);
	}
	free(m);
	screen_free(&s);
}
END_TEST

START_TEST(wide_stores_are_bytes_in_order)
{
	struct screen s = screen_new();
	vga_text_mode(s.vga);
	bus_mem_write(&s.b->bus, 0xb8000, 0x1f421f41u, 4);
	ck_assert_uint_eq(bus_mem_read(&s.b->bus, 0xb8000, 8), 0x072007201f421f41ull);
	ck_assert_uint_eq(bus_mem_read(&s.b->bus, 0xb8003, 1), 0x1f);
	ck_assert_uint_eq(bus_mem_read(&s.b->bus, 0xa0000, 2), 0xffff); /* another map */
	screen_free(&s);
}
END_TEST

/* ---- registers ------------------------------------------------------------------------------ */

START_TEST(registers_read_back)
{
	struct screen s = screen_new();
	outb(s.b, 0x3c2, 0x67);
	ck_assert_uint_eq(inb(s.b, 0x3cc), 0x67);
	out2(&s, 0x3c4, 2, 0xff);
	ck_assert_uint_eq(in2(&s, 0x3c4, 2), 0x0f);
	out2(&s, 0x3d4, 0x0e, 0x12);
	ck_assert_uint_eq(in2(&s, 0x3d4, 0x0e), 0x12);
	ck_assert_uint_eq(inb(s.b, 0x3b5), 0xff); /* the colour addresses are on */
	out2(&s, 0x3d4, 0x00, 0x5f);
	out2(&s, 0x3d4, 0x11, 0x80); /* protect 0-7 */
	out2(&s, 0x3d4, 0x00, 0x11);
	out2(&s, 0x3d4, 0x07, 0xff);
	ck_assert_uint_eq(in2(&s, 0x3d4, 0), 0x5f);
	ck_assert_uint_eq(in2(&s, 0x3d4, 7), 0x10); /* all but line compare */
	inb(s.b, 0x3da);
	outb(s.b, 0x3c0, 0x01);
	outb(s.b, 0x3c0, 0x2a);
	ck_assert_uint_eq(inb(s.b, 0x3c1), 0x2a);
	outb(s.b, 0x3c0, 0x21); /* the palette is closed */
	outb(s.b, 0x3c0, 0x15);
	ck_assert_uint_eq(inb(s.b, 0x3c1), 0x2a);
	screen_free(&s);
}
END_TEST

START_TEST(dac_counts_by_three)
{
	struct screen s = screen_new();
	outb(s.b, 0x3c8, 254);
	for (unsigned i = 0; i < 9; i++)
		outb(s.b, 0x3c9, (u8)(i + 1));
	ck_assert_uint_eq(inb(s.b, 0x3c8), 1);
	outb(s.b, 0x3c7, 255);
	ck_assert_uint_eq(inb(s.b, 0x3c7) & 3, 3);
	ck_assert_uint_eq(inb(s.b, 0x3c9), 4);
	ck_assert_uint_eq(inb(s.b, 0x3c9), 5);
	ck_assert_uint_eq(inb(s.b, 0x3c9), 6);
	ck_assert_uint_eq(inb(s.b, 0x3c9), 7); /* wraps to entry 0 */
	screen_free(&s);
}
END_TEST

START_TEST(retrace_follows_time)
{
	struct screen s = screen_new();
	unsigned frames = 0, dark = 0, n = 0;
	bool was = false;
	vga_text_mode(s.vga);
	for (u64 t = 0; t < 1000000000; t += 20000, n++) {
		s.b->now_ns = t;
		u8 v = inb(s.b, 0x3da);
		frames += (v & 8) && !was;
		was = v & 8;
		dark += v & 1;
		ck_assert((v & 9) != 8); /* nothing is shown while the beam returns */
	}
	ck_assert_uint_ge(frames, 69); /* 70 Hz */
	ck_assert_uint_le(frames, 71);
	ck_assert_uint_gt(dark, n / 5);
	ck_assert_uint_lt(dark, n / 2);
	screen_free(&s);
}
END_TEST

/* ---- pictures ------------------------------------------------------------------------------- */

static u32 at(const struct display_surface *p, u32 x, u32 y)
{
	return p->pixels[y * p->stride + x];
}

START_TEST(text_is_drawn_from_the_font)
{
	struct screen s = screen_new();
	vga_text_mode(s.vga);
	out2(&s, 0x3d4, 10, 0x20); /* no cursor */
	bus_mem_write(&s.b->bus, 0xb8000 + (3 * 80 + 2) * 2, 0x1e41, 2); /* yellow A on blue */
	bus_mem_write(&s.b->bus, 0xb8000 + (3 * 80 + 3) * 2, 0x0fdb, 2); /* a full block spans nine dots */
	const struct display_surface *p = picture(&s);
	ck_assert_uint_eq(p->width, 720);
	ck_assert_uint_eq(p->height, 400);
	ck_assert(p->aspect_w == 4 && p->aspect_h == 3);
	unsigned yellow = 0, blue = 0;
	for (u32 y = 48; y < 64; y++)
		for (u32 x = 18; x < 27; x++) {
			yellow += at(p, x, y) == 0xffff55;
			blue += at(p, x, y) == 0x0000aa;
		}
	ck_assert_uint_eq(yellow + blue, 9 * 16);
	ck_assert_uint_gt(yellow, 20);
	ck_assert_uint_lt(yellow, 80);
	ck_assert_uint_eq(at(p, 27, 48), 0xffffff);
	ck_assert_uint_eq(at(p, 35, 63), 0xffffff);
	ck_assert_uint_eq(at(p, 36, 48), 0);
	screen_free(&s);
}
END_TEST

START_TEST(only_changed_cells_are_damage)
{
	struct screen s = screen_new();
	struct display_rect r;
	vga_text_mode(s.vga);
	out2(&s, 0x3d4, 10, 0x20);
	u64 seen = picture(&s)->generation;
	display_draw(s.d, 0);
	display_lock(s.d, seen, &r);
	display_unlock(s.d);
	ck_assert_uint_eq(r.w, 0);
	bus_mem_write(&s.b->bus, 0xb8000 + (10 * 80 + 5) * 2, 0xdb, 1);
	display_draw(s.d, 0);
	display_lock(s.d, seen, &r);
	display_unlock(s.d);
	ck_assert(r.x == 45 && r.y == 160 && r.w == 9 && r.h == 16);
	screen_free(&s);
}
END_TEST

START_TEST(cursor_and_text_blink_in_virtual_time)
{
	struct screen s = screen_new();
	unsigned seen[4] = {0};
	vga_text_mode(s.vga);
	bus_mem_write(&s.b->bus, 0xb8000 + 20, 0x87db, 2);
	for (unsigned i = 0; i < 64; i++) {
		s.b->now_ns = (u64)i * 14268000 * 4;
		const struct display_surface *p = picture(&s);
		seen[(at(p, 0, 14) ? 1 : 0) | (at(p, 95, 5) ? 2 : 0)]++;
	}
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], 8);
	screen_free(&s);
}
END_TEST

START_TEST(split_screen_and_panning)
{
	struct screen s = screen_new();
	vga_text_mode(s.vga);
	out2(&s, 0x3d4, 10, 0x20);
	bus_mem_write(&s.b->bus, 0xb8000, 0x0fdb, 2);         /* cell 0: what the lower part starts with */
	bus_mem_write(&s.b->bus, 0xb8000 + 2000 * 2, 0x0cdb, 2);
	out2(&s, 0x3d4, 0x0c, 2000 >> 8);
	out2(&s, 0x3d4, 0x0d, 2000 & 255);
	out2(&s, 0x3d4, 0x18, 199);
	out2(&s, 0x3d4, 7, in2(&s, 0x3d4, 7) & ~0x10u);
	out2(&s, 0x3d4, 9, in2(&s, 0x3d4, 9) & ~0x40u);
	inb(s.b, 0x3da);
	outb(s.b, 0x3c0, 0x33);
	outb(s.b, 0x3c0, 2); /* three dots to the left in 9-dot modes */
	const struct display_surface *p = picture(&s);
	ck_assert_uint_eq(at(p, 0, 0), 0xff5555);
	ck_assert_uint_eq(at(p, 5, 0), 0xff5555);
	ck_assert_uint_eq(at(p, 6, 0), 0);
	ck_assert_uint_eq(at(p, 0, 199), 0);
	ck_assert_uint_eq(at(p, 0, 200), 0xffffff);
	screen_free(&s);
}
END_TEST

/* ---- DISPI ---------------------------------------------------------------------------------- */

START_TEST(dispi_depths)
{
	static const struct {
		u16 bpp;
		u32 value, colour;
	} t[] = {{8, 5, 0x104080},         {15, 0x7fff, 0xffffff}, {15, 0x001f, 0x0000ff},
		 {16, 0xf800, 0xff0000},   {16, 0x07e0, 0x00ff00}, {24, 0x123456, 0x123456},
		 {32, 0xff654321, 0x654321}};
	struct screen s = screen_new();
	ck_assert_uint_eq(dispi_get(&s, 0), 0xb0c5);
	ck_assert_uint_eq(dispi_get(&s, 10), 256);
	outb(s.b, 0x3c8, 5);
	outb(s.b, 0x3c9, 0x04);
	outb(s.b, 0x3c9, 0x10);
	outb(s.b, 0x3c9, 0x20);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		unsigned bytes = (t[i].bpp + 7u) / 8;
		set_dispi(&s, 640, 480, t[i].bpp);
		for (unsigned k = 0; k < bytes; k++)
			bus_mem_write(&s.b->bus, VRAM_BAR + (640 * 7 + 9) * bytes + k, t[i].value >> (8 * k) & 255, 1);
		const struct display_surface *p = picture(&s);
		ck_assert(p->width == 640 && p->height == 480 && !p->aspect_w);
		u32 got = at(p, 9, 7);
		ck_assert_uint_eq(t[i].bpp == 8 ? got & 0xf0f0f0 : got, t[i].colour);
		ck_assert_uint_eq(at(p, 10, 7), 0);
	}
	screen_free(&s);
}
END_TEST

START_TEST(frame_buffer_and_bank_are_plain_memory)
{
	struct screen s = screen_new();
	bool writable;
	set_dispi(&s, 1024, 768, 32);
	u8 *lfb = bus_ram_page(&s.b->bus, VRAM_BAR, &writable);
	ck_assert(lfb && writable);
	u8 *bank = bus_ram_page(&s.b->bus, 0xa0000, &writable);
	ck_assert(bank == lfb && writable);
	dispi(&s, 5, 3);
	ck_assert(bus_ram_page(&s.b->bus, 0xa1000, &writable) == lfb + 0x31000 && writable);
	ck_assert(!bus_ram_page(&s.b->bus, 0xb8000, &writable));
	dispi(&s, 4, 0);
	vga_text_mode(s.vga);
	ck_assert(!bus_ram_page(&s.b->bus, 0xa0000, &writable));
	screen_free(&s);
}
END_TEST

START_TEST(damage_of_a_frame_buffer_is_found)
{
	struct screen s = screen_new();
	struct display_rect r;
	set_dispi(&s, 800, 600, 32);
	u64 seen = picture(&s)->generation;
	bus_mem_write(&s.b->bus, VRAM_BAR + (100 * 800 + 50) * 4, 0xffffff, 4);
	bus_mem_write(&s.b->bus, VRAM_BAR + (103 * 800 + 60) * 4, 0xffffff, 4);
	display_draw(s.d, 0);
	display_lock(s.d, seen, &r);
	display_unlock(s.d);
	ck_assert(r.x == 50 && r.y == 100 && r.w == 11 && r.h == 4);
	screen_free(&s);
}
END_TEST

START_TEST(dispi_stays_within_memory)
{
	struct screen s = screen_new();
	set_dispi(&s, 4096, 2304, 32); /* 36 MiB in 16 */
	ck_assert_uint_le((u64)dispi_get(&s, 1) * dispi_get(&s, 2) * 4, 16u << 20);
	picture(&s);
	dispi(&s, 6, 0xffff);
	dispi(&s, 8, 0xffff);
	dispi(&s, 9, 0xffff);
	picture(&s);
	set_dispi(&s, 640, 480, 8);
	dispi(&s, 6, 1024);
	ck_assert_uint_eq(dispi_get(&s, 6), 1024);
	ck_assert_uint_eq(dispi_get(&s, 7), 16384);
	dispi(&s, 8, 100);
	dispi(&s, 9, 1000);
	ck_assert_uint_eq(dispi_get(&s, 8), 100);
	ck_assert_uint_eq(dispi_get(&s, 9), 1000);
	outb(s.b, 0x3c8, 1);
	for (unsigned i = 0; i < 3; i++)
		outb(s.b, 0x3c9, 0x3f);
	bus_mem_write(&s.b->bus, VRAM_BAR + 1000 * 1024 + 100, 1, 1);
	ck_assert_uint_eq(at(picture(&s), 0, 0), 0xffffff);
	dispi(&s, 4, 3); /* capabilities */
	ck_assert_uint_eq(dispi_get(&s, 1), 4096);
	ck_assert_uint_eq(dispi_get(&s, 2), 2304);
	ck_assert_uint_eq(dispi_get(&s, 3), 32);
	screen_free(&s);
}
END_TEST

START_TEST(four_k_in_64_mib)
{
	char err[200];
	struct screen s = screen_new();
	device_destroy(s.vga);
	s.vga = device_create(&s.b->pc.env, "VGA", NULL, "addr=2,vgamem_mb=64", err, sizeof(err));
	ck_assert_msg(s.vga != NULL, "%s", err);
	cfg_write(s.b, 2 << 3, PCI_BAR0, 0xffffffffu, 4);
	ck_assert_uint_eq(cfg_read(s.b, 2 << 3, PCI_BAR0, 4), 0xfc000008u);
	cfg_write(s.b, 2 << 3, PCI_BAR0, VRAM_BAR, 4);
	cfg_write(s.b, 2 << 3, PCI_COMMAND, 3, 2);
	set_dispi(&s, 4096, 2304, 32);
	bus_mem_write(&s.b->bus, VRAM_BAR + 4096ull * 2304 * 4 - 4, 0x123456, 4);
	const struct display_surface *p = picture(&s);
	ck_assert(p->width == 4096 && p->height == 2304);
	ck_assert_uint_eq(at(p, 4095, 2303), 0x123456);
	ck_assert(!device_create(&s.b->pc.env, "VGA", "second", NULL, err, sizeof(err)));
	ck_assert(!device_create(&s.b->pc.env, "VGA", "odd", "vgamem_mb=48", err, sizeof(err)));
	screen_free(&s);
}
END_TEST

START_TEST(registers_through_bar2)
{
	struct screen s = screen_new();
	u8 sum = 0;
	for (unsigned i = 0; i < 128; i++)
		sum = (u8)(sum + bus_mem_read(&s.b->bus, MMIO_BAR + i, 1));
	ck_assert_uint_eq(sum, 0);
	ck_assert_uint_eq(mm_read(s.b, MMIO_BAR), 0xffffff00u); /* EDID header */
	ck_assert_uint_eq(bus_mem_read(&s.b->bus, MMIO_BAR + 0x500, 2), 0xb0c5);
	bus_mem_write(&s.b->bus, MMIO_BAR + 0x502, 800, 2);
	ck_assert_uint_eq(dispi_get(&s, 1), 800);
	bus_mem_write(&s.b->bus, MMIO_BAR + 0x402, 0x67, 1);
	ck_assert_uint_eq(inb(s.b, 0x3cc), 0x67);
	ck_assert_uint_ge(mm_read(s.b, MMIO_BAR + 0x600), 8);
	ck_assert_uint_eq(mm_read(s.b, MMIO_BAR + 0x604), 0x1e1e1e1eu);
	screen_free(&s);
}
END_TEST

START_TEST(rom_is_an_option_rom)
{
	struct screen s = screen_new();
	u8 sum = 0;
	cfg_write(s.b, 2 << 3, PCI_ROM, 0xea000001u, 4);
	ck_assert_uint_eq(bus_mem_read(&s.b->bus, 0xea000000u, 2), 0xaa55);
	unsigned n = (unsigned)bus_mem_read(&s.b->bus, 0xea000002u, 1) * 512;
	for (unsigned i = 0; i < n; i++)
		sum = (u8)(sum + bus_mem_read(&s.b->bus, 0xea000000u + i, 1));
	ck_assert_uint_eq(sum, 0);
	ck_assert_uint_ge(n, 16384);
	screen_free(&s);
}
END_TEST

START_TEST(snapshot_keeps_the_picture)
{
	struct screen s = screen_new();
	struct snap_buf buf = {0};
	set_dispi(&s, 640, 480, 32);
	bus_mem_write(&s.b->bus, VRAM_BAR + 4000000, 0x1234, 2);
	bus_mem_write(&s.b->bus, VRAM_BAR, 0xabcdef, 4);
	u64 hash = pc_hash(&s.b->pc, 0);
	pc_save(&s.b->pc, &buf);
	dispi(&s, 4, 0);
	vga_text_mode(s.vga);
	bus_mem_write(&s.b->bus, VRAM_BAR + 8000000, 1, 1);
	ck_assert_uint_ne(pc_hash(&s.b->pc, 0), hash);
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_msg(!pc_load(&s.b->pc, &r), "%s", r.error);
	ck_assert_uint_eq(pc_hash(&s.b->pc, 0), hash);
	ck_assert_uint_eq(at(picture(&s), 0, 0), 0xabcdef);
	free(buf.data);
	screen_free(&s);
}
END_TEST

/* Whatever the registers hold, drawing stays within its memory (with AddressSanitizer this is a strong test). */
START_TEST(any_registers_can_be_drawn)
{
	struct screen s = screen_new();
	u64 x = 7;
	for (unsigned round = 0; round < 100; round++) {
		if (!(round % 8))
			vga_text_mode(s.vga);
		for (unsigned i = 0; i < 12; i++) {
			static const u16 port[] = {0x3c4, 0x3ce, 0x3d4, 0x3d4, 0x3c0};
			u16 to = port[rnd(&x) % 5];
			u32 v = rnd(&x);
			if (to == 0x3c0) {
				inb(s.b, 0x3da);
				outb(s.b, to, (u8)(v & 0x1f));
				outb(s.b, to, (u8)(v >> 8));
				outb(s.b, to, 0x20);
			} else {
				out2(&s, to, v % 0x19, v >> 8 & 255);
			}
		}
		if (rnd(&x) % 4 == 0) {
			for (u16 i = 1; i < 10; i++)
				dispi(&s, i, (u16)rnd(&x));
		} else {
			dispi(&s, 4, 0);
		}
		s.b->now_ns += rnd(&x);
		picture(&s);
	}
	screen_free(&s);
}
END_TEST

int main(void)
{
	const TTest *const all[] = {
	    planes_match_the_model, wide_stores_are_bytes_in_order, registers_read_back, dac_counts_by_three,
	    retrace_follows_time, text_is_drawn_from_the_font, only_changed_cells_are_damage,
	    cursor_and_text_blink_in_virtual_time, split_screen_and_panning, dispi_depths,
	    frame_buffer_and_bank_are_plain_memory, damage_of_a_frame_buffer_is_found, dispi_stays_within_memory,
	    four_k_in_64_mib, registers_through_bar2, rom_is_an_option_rom, snapshot_keeps_the_picture, any_registers_can_be_drawn};
	Suite *s = suite_create("vga");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 60); /* the last one, with sanitizers */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		tcase_add_test(t, all[i]);
	suite_add_tcase(s, t);
	return run_suite(s);
}
