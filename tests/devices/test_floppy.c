/* The floppy controller as a driver sees it, against the 82077AA data sheet (290166). */
#include <errno.h>

#include "devices/storage/floppy.h"
#include "tests/devices/board.h"

#define BUFFER 0x10000u

struct rig {
	struct board *b;
	struct block *disk;
};

static bool irq(struct rig *r)
{
	return r->b->pc.gsi.pic[6].level;
}

static void cmd(struct rig *r, const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(inb(r->b, 0x3f4) & 0xc0, 0x80);
		outb(r->b, 0x3f5, (u8)bytes[i]);
	}
}

static void result(struct rig *r, u8 *out, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		ck_assert_int_eq(inb(r->b, 0x3f4) & 0xd0, 0xd0);
		out[i] = inb(r->b, 0x3f5);
	}
	ck_assert_int_eq(inb(r->b, 0x3f4) & 0xf0, 0x80);
}

static void sense(struct rig *r, u8 *st0, u8 *track)
{
	u8 v[2];
	cmd(r, "\x08", 1);
	result(r, v, 2);
	*st0 = v[0];
	*track = v[1];
}

static struct rig rig_new(u64 bytes)
{
	char err[300] = "";
	u8 s[512], st0, track;
	struct rig r = {board_new(1), block_memory(bytes)};
	const struct drive fd = {.id = "floppy0", .interface = DRIVE_FLOPPY, .block = r.disk};
	for (u64 i = 0; i < bytes / 512; i++) {
		memset(s, (int)(i * 5 + 1), sizeof(s));
		s[0] = (u8)i;
		s[1] = (u8)(i >> 8);
		ck_assert_int_eq(block_io(r.disk, BLOCK_WRITE, i, 1, s), 0);
	}
	ck_assert_msg(!floppy_attach(r.b->pc.fdc, &fd, err, sizeof(err)), "%s", err);
	outb(r.b, 0x3f2, 0x00);
	outb(r.b, 0x3f2, 0x1c); /* motor A, DMA and interrupt, out of reset */
	board_wait(r.b, 1000000);
	ck_assert(irq(&r));
	for (unsigned i = 0; i < 4; i++) { /* polling found four drives */
		sense(&r, &st0, &track);
		ck_assert_int_eq(st0, 0xc0 | i);
	}
	outb(r.b, 0x3f7, bytes == 1440 << 10 ? 0 : 2);
	cmd(&r, "\x03\xdf\x02", 3);
	return r;
}

static void rig_free(struct rig *r)
{
	board_free(r->b);
	block_close(r->disk);
}

static void seek(struct rig *r, u8 head, u8 track)
{
	const char bytes[] = {0x0f, (char)(head << 2), (char)track};
	u8 st0, at;
	cmd(r, bytes, 3);
	board_wait(r->b, 5000000);
	ck_assert(irq(r));
	sense(r, &st0, &at);
	ck_assert_int_eq(st0, 0x20 | head << 2);
	ck_assert_int_eq(at, track);
	ck_assert(!irq(r));
}

/* Channel 2, single mode: @mode 46h to memory, 4Ah from memory. */
static void dma(struct rig *r, u8 mode, u32 count)
{
	outb(r->b, 0x0a, 6);
	outb(r->b, 0x0c, 0);
	outb(r->b, 0x0b, mode);
	outb(r->b, 0x04, (u8)BUFFER);
	outb(r->b, 0x04, (u8)(BUFFER >> 8));
	outb(r->b, 0x81, BUFFER >> 16);
	outb(r->b, 0x05, (u8)(count - 1));
	outb(r->b, 0x05, (u8)((count - 1) >> 8));
	outb(r->b, 0x0a, 2);
}

static void run(struct rig *r, const char *bytes, u8 *res)
{
	cmd(r, bytes, 9);
	board_wait(r->b, 1000000000);
	ck_assert(irq(r));
	result(r, res, 7);
	ck_assert(!irq(r));
}

START_TEST(read_by_dma_across_heads)
{
	struct rig r = rig_new(1440 << 10);
	u8 res[7];
	seek(&r, 0, 3);
	dma(&r, 0x46, 4 * 512);
	/* multi-track: sectors 17, 18 of head 0, then 1, 2 of head 1 */
	run(&r, "\xe6\0\x03\0\x11\x02\x12\x1b\xff", res);
	ck_assert_int_eq(res[0], 0x04);
	ck_assert_int_eq(res[1] | res[2], 0);
	ck_assert(res[3] == 3 && res[4] == 1 && res[5] == 3);
	u32 lba = (3 * 2) * 18 + 16;
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(r.b->ram[BUFFER + i * 512] | r.b->ram[BUFFER + i * 512 + 1] << 8,
				 lba + i);
	rig_free(&r);
}
END_TEST

START_TEST(the_end_of_the_track_is_abnormal_without_terminal_count)
{
	struct rig r = rig_new(720 << 10);
	u8 res[7];
	dma(&r, 0x46, 4 * 512);
	run(&r, "\x46\0\0\0\x09\x02\x09\x1b\xff", res);
	ck_assert_int_eq(res[0], 0x40);
	ck_assert_int_eq(res[1], 0x80); /* EN */
	ck_assert(res[3] == 1 && res[5] == 1);
	rig_free(&r);
}
END_TEST

START_TEST(write_by_dma)
{
	struct rig r = rig_new(1440 << 10);
	u8 res[7], s[512];
	memset(r.b->ram + BUFFER, 0x77, 512);
	seek(&r, 1, 79);
	dma(&r, 0x4a, 512);
	run(&r, "\x45\x04\x4f\x01\x12\x02\x12\x1b\xff", res);
	ck_assert_int_eq(res[0] & 0xc0, 0);
	ck_assert_int_eq(block_io(r.disk, BLOCK_READ, 2879, 1, s), 0);
	ck_assert(s[0] == 0x77 && s[511] == 0x77);
	rig_free(&r);
}
END_TEST

START_TEST(wrong_cylinder_and_missing_sector)
{
	struct rig r = rig_new(1440 << 10);
	u8 res[7];
	dma(&r, 0x46, 512);
	run(&r, "\x46\0\x05\0\x01\x02\x12\x1b\xff", res); /* the head stands at 0 */
	ck_assert_int_eq(res[0], 0x40);
	ck_assert_int_eq(res[1], 0x04);
	ck_assert_int_eq(res[2], 0x10);
	run(&r, "\x46\0\0\0\x13\x02\x12\x1b\xff", res); /* sector 19 */
	ck_assert_int_eq(res[1], 0x04);
	outb(r.b, 0x3f7, 2); /* 250 kbit/s: nothing readable */
	run(&r, "\x46\0\0\0\x01\x02\x12\x1b\xff", res);
	ck_assert_int_eq(res[1], 0x01);
	rig_free(&r);
}
END_TEST

START_TEST(read_without_dma)
{
	struct rig r = rig_new(1440 << 10);
	u8 res[7], s[512];
	cmd(&r, "\x03\xdf\x03", 3);
	cmd(&r, "\x46\0\0\0\x01\x02\x01\x1b\xff", 9);
	board_wait(r.b, 1000000);
	for (unsigned i = 0; i < 512; i++) {
		ck_assert(irq(&r));
		ck_assert_int_eq(inb(r.b, 0x3f4), 0xf0);
		s[i] = inb(r.b, 0x3f5);
	}
	ck_assert_int_eq(s[2], 1);
	result(&r, res, 7);
	ck_assert_int_eq(res[1], 0x80); /* the only way it can end */
	rig_free(&r);
}
END_TEST

START_TEST(format_fills_the_track)
{
	struct rig r = rig_new(720 << 10);
	u8 s[512], res[7];
	for (u8 i = 0; i < 9; i++) {
		const u8 id[4] = {2, 0, (u8)(i + 1), 2};
		memcpy(r.b->ram + BUFFER + i * 4, id, 4);
	}
	seek(&r, 0, 2);
	dma(&r, 0x4a, 36);
	cmd(&r, "\x4d\0\x02\x09\x50\xf6", 6);
	board_wait(r.b, 10000000);
	result(&r, res, 7);
	ck_assert_int_eq(res[0] & 0xc0, 0);
	for (unsigned i = 0; i < 9; i++) {
		ck_assert_int_eq(block_io(r.disk, BLOCK_READ, 2 * 18 + i, 1, s), 0);
		ck_assert(s[0] == 0xf6 && s[511] == 0xf6);
	}
	rig_free(&r);
}
END_TEST

START_TEST(scan_finds_the_equal_sector)
{
	struct rig r = rig_new(1440 << 10);
	u8 res[7];
	ck_assert_int_eq(block_io(r.disk, BLOCK_READ, 4, 1, r.b->ram + BUFFER), 0);
	for (unsigned i = 1; i < 5; i++) /* the host's pattern comes again for each sector */
		memcpy(r.b->ram + BUFFER + i * 512, r.b->ram + BUFFER, 512);
	dma(&r, 0x4a, 5 * 512 + 1);
	run(&r, "\x51\0\0\0\x01\x02\x12\x1b\x01", res);
	ck_assert_int_eq(res[2], 0x08); /* SH */
	ck_assert_int_eq(res[5], 6);    /* found in sector 5 */
	rig_free(&r);
}
END_TEST

START_TEST(read_id_turns)
{
	struct rig r = rig_new(1440 << 10);
	u8 a[7], b[7];
	cmd(&r, "\x4a\0", 2);
	board_wait(r.b, 1000000);
	result(&r, a, 7);
	cmd(&r, "\x4a\0", 2);
	board_wait(r.b, 1000000);
	result(&r, b, 7);
	ck_assert(a[5] != b[5] && a[6] == 2);
	rig_free(&r);
}
END_TEST

START_TEST(change_line_until_a_step)
{
	struct rig r = rig_new(1440 << 10);
	struct block *other = block_memory(720 << 10);
	ck_assert_int_eq(inb(r.b, 0x3f7) & 0x80, 0x80);
	seek(&r, 0, 1);
	ck_assert_int_eq(inb(r.b, 0x3f7) & 0x80, 0);
	ck_assert_int_eq(floppy_change_medium(r.b->pc.fdc, 0, NULL), 0);
	ck_assert_int_eq(inb(r.b, 0x3f7) & 0x80, 0x80);
	seek(&r, 0, 2);
	ck_assert_int_eq(inb(r.b, 0x3f7) & 0x80, 0x80); /* still none in */
	ck_assert_int_eq(floppy_change_medium(r.b->pc.fdc, 0, other), 0);
	seek(&r, 0, 1);
	ck_assert_int_eq(inb(r.b, 0x3f7) & 0x80, 0);
	ck_assert_int_eq(floppy_change_medium(r.b->pc.fdc, 1, other), -ENODEV);
	rig_free(&r);
	block_close(other);
}
END_TEST

START_TEST(sizes_no_diskette_has_are_refused)
{
	struct board *b = board_new(1);
	struct block *big = block_memory(10 << 20);
	char err[300] = "";
	const struct drive fd = {
	    .id = "floppy0", .interface = DRIVE_FLOPPY, .path = "big.img", .block = big};
	ck_assert_int_eq(floppy_attach(b->pc.fdc, &fd, err, sizeof(err)), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(err, "big.img"));
	board_free(b);
	block_close(big);
}
END_TEST

START_TEST(recalibrating_a_missing_drive_fails)
{
	struct rig r = rig_new(1440 << 10);
	u8 st0, at;
	cmd(&r, "\x07\x01", 2);
	board_wait(r.b, 5000000);
	sense(&r, &st0, &at);
	ck_assert_int_eq(st0, 0x71);
	cmd(&r, "\x08", 1); /* nothing more to sense */
	result(&r, &st0, 1);
	ck_assert_int_eq(st0, 0x80);
	rig_free(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("floppy");
	ADD_ALL(s, read_by_dma_across_heads,
		the_end_of_the_track_is_abnormal_without_terminal_count, write_by_dma,
		wrong_cylinder_and_missing_sector, read_without_dma, format_fills_the_track,
		scan_finds_the_equal_sector, read_id_turns, change_line_until_a_step,
		sizes_no_diskette_has_are_refused, recalibrating_a_missing_drive_fails);
	return run_suite(s);
}
