/* The picture between adapter and viewers: sizes, damage, PNG. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include "base/host.h"
#include "devices/display/display.h"
#include "tests/devices/board.h"

struct painter {
	u32 w, h, colour;
	unsigned draws, alls;
	struct display_rect what;
};

static void paint(void *ctx, struct display *d, bool all)
{
	struct painter *p = ctx;
	struct display_surface *s = display_begin(d, p->w, p->h, 4, 3);
	p->draws++;
	p->alls += all;
	for (u32 y = p->what.y; y < p->what.y + p->what.h; y++)
		for (u32 x = p->what.x; x < p->what.x + p->what.w; x++)
			s->pixels[y * s->stride + x] = p->colour;
	display_damage(d, p->what.x, p->what.y, p->what.w, p->what.h);
	display_end(d);
}

START_TEST(draws_only_when_due)
{
	struct display *d = display_create();
	struct painter p = {.w = 32, .h = 16};
	const struct display_source src = {paint, &p};
	display_set_source(d, &src);
	ck_assert(!display_due(d, 1000000000));
	display_request(d);
	ck_assert(display_due(d, 1000000000));
	display_draw(d, 1000000000);
	ck_assert(!display_due(d, 2000000000));
	display_attach(d);
	display_draw(d, 2000000000);
	ck_assert(!display_due(d, 2016000000));
	ck_assert(display_due(d, 2017000000));
	display_detach(d);
	ck_assert(!display_due(d, 3000000000));
	ck_assert_uint_eq(p.draws, 2);
	ck_assert_uint_eq(p.alls, 1);
	display_destroy(d);
}
END_TEST

static void count(void *ctx)
{
	++*(unsigned *)ctx;
}

START_TEST(a_listener_hears_of_changes_only)
{
	struct display *d = display_create();
	struct painter p = {.w = 32, .h = 16, .what = {1, 1, 2, 2}};
	const struct display_source src = {paint, &p};
	unsigned heard = 0;
	display_set_source(d, &src);
	display_draw(d, 0);
	display_on_change(d, count, &heard);
	display_draw(d, 0);
	ck_assert_uint_eq(heard, 1);
	p.what.w = 0;
	display_draw(d, 0);
	ck_assert_uint_eq(heard, 1);
	p.h = 17; /* a new size */
	display_draw(d, 0);
	ck_assert_uint_eq(heard, 2);
	display_on_change(d, NULL, NULL);
	p.what.w = 2;
	display_draw(d, 0);
	ck_assert_uint_eq(heard, 2);
	display_destroy(d);
}
END_TEST

START_TEST(each_viewer_learns_what_it_missed)
{
	struct display *d = display_create();
	struct painter p = {.w = 320, .h = 200, .colour = 0x123456};
	const struct display_source src = {paint, &p};
	struct display_rect r;
	display_set_source(d, &src);
	display_draw(d, 0);
	const struct display_surface *s = display_lock(d, 0, &r);
	u64 seen = s->generation, geometry = s->geometry;
	display_unlock(d);
	ck_assert(r.x == 0 && r.y == 0 && r.w == 320 && r.h == 200); /* a new size is all new */
	p.what = (struct display_rect){10, 20, 30, 5};
	display_draw(d, 0);
	p.what = (struct display_rect){100, 10, 20, 2};
	display_draw(d, 0);
	s = display_lock(d, seen, &r);
	ck_assert(r.x == 10 && r.y == 10 && r.w == 110 && r.h == 15);
	ck_assert_uint_eq(s->geometry, geometry);
	ck_assert_uint_eq(s->generation, seen + 2);
	display_unlock(d);
	display_lock(d, seen + 2, &r);
	ck_assert_uint_eq(r.w, 0);
	display_unlock(d);
	for (unsigned i = 0; i < 200; i++)
		display_draw(d, 0);
	display_lock(d, seen, &r); /* too far behind: everything */
	ck_assert(r.w == 320 && r.h == 200);
	display_unlock(d);
	display_destroy(d);
}
END_TEST

START_TEST(damage_outside_is_cut)
{
	struct display *d = display_create();
	struct display_rect r;
	display_begin(d, 64, 48, 0, 0);
	display_end(d);
	const struct display_surface *s = display_lock(d, 0, NULL);
	u64 g = s->generation;
	display_unlock(d);
	display_begin(d, 64, 48, 0, 0);
	display_damage(d, 60, 40, 4000000000u, 4000000000u);
	display_damage(d, 64, 0, 1, 1);
	display_end(d);
	display_lock(d, g, &r);
	ck_assert(r.x == 60 && r.y == 40 && r.w == 4 && r.h == 8);
	display_unlock(d);
	display_begin(d, 100000, 100000, 0, 0); /* a size beyond the largest is cut, too */
	ck_assert_uint_eq(s->width, DISPLAY_MAX_WIDTH);
	ck_assert_uint_eq(s->height, DISPLAY_MAX_HEIGHT);
	display_end(d);
	display_destroy(d);
}
END_TEST

static u32 be32(const u8 *p)
{
	return (u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

START_TEST(png_holds_the_pixels)
{
	char path[] = "/tmp/orrery-display-XXXXXX";
	struct display *d = display_create();
	struct painter p = {.w = 3, .h = 2, .colour = 0x8090a0, .what = {1, 1, 2, 1}};
	const struct display_source src = {paint, &p};
	u8 *f, raw[64];
	u64 n;
	close(mkstemp(path));
	display_set_source(d, &src);
	display_draw(d, 0);
	ck_assert_int_eq(display_screenshot(d, path), 0);
	ck_assert_int_eq(host_file_read(path, 100000, &f, &n), 0);
	ck_assert(!memcmp(f, "\x89PNG\r\n\x1a\n", 8) && !memcmp(f + 12, "IHDR", 4));
	ck_assert_uint_eq(be32(f + 16), 3);
	ck_assert_uint_eq(be32(f + 20), 2);
	ck_assert_uint_eq(be32(f + 29), crc32(0, f + 12, 17));
	ck_assert(!memcmp(f + 37, "IDAT", 4));
	uLongf raw_n = sizeof(raw);
	ck_assert_int_eq(uncompress(raw, &raw_n, f + 41, be32(f + 33)), Z_OK);
	ck_assert_uint_eq(raw_n, 2 * (1 + 9));
	static const u8 want[20] = {[14] = 0x80, 0x90, 0xa0, 0x80, 0x90, 0xa0};
	ck_assert_mem_eq(raw, want, 20);
	ck_assert(!memcmp(f + n - 8, "IEND", 4));
	free(f);
	unlink(path);
	ck_assert_int_lt(display_screenshot(d, "/nonexistent/x.png"), 0);
	display_destroy(d);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("display");
	ADD_ALL(s, draws_only_when_due, a_listener_hears_of_changes_only, each_viewer_learns_what_it_missed, damage_outside_is_cut,
		png_holds_the_pixels);
	return run_suite(s);
}
