/* Flash chips as firmware drives them, against the Intel command set (28F640J3) and CFI
 * (JESD68.01). */
#include "devices/storage/pflash.h"
#include "tests/devices/board.h"

#define SIZE (256u << 10)
#define BASE (0x100000000ull - SIZE)

struct rig {
	struct board *b;
	struct block *image;
};

static struct rig rig_new(void)
{
	char err[200] = "";
	u8 s[512];
	struct rig r = {board_new(1), block_memory(SIZE)};
	const struct drive d = {.id = "pflash0", .interface = DRIVE_PFLASH, .block = r.image};
	for (unsigned i = 0; i < SIZE / 512; i++) {
		memset(s, (int)i | 0x80, sizeof(s));
		ck_assert_int_eq(block_io(r.image, BLOCK_WRITE, i, 1, s), 0);
	}
	ck_assert_msg(!pc_attach_drives(&r.b->pc, &d, 1, err, sizeof(err)), "%s", err);
	return r;
}

static void rig_free(struct rig *r)
{
	board_free(r->b);
	block_close(r->image);
}

static u8 rd(struct rig *r, u32 at)
{
	return (u8)bus_mem_read(&r->b->bus, BASE + at, 1);
}

static void wr(struct rig *r, u32 at, u8 v)
{
	bus_mem_write(&r->b->bus, BASE + at, v, 1);
}

static u8 in_image(struct rig *r, u32 at)
{
	u8 s[512];
	ck_assert_int_eq(block_io(r->image, BLOCK_READ, at / 512, 1, s), 0);
	return s[at % 512];
}

START_TEST(the_array_is_plain_memory)
{
	struct rig r = rig_new();
	bool writable = true;
	ck_assert_ptr_nonnull(bus_ram_page(&r.b->bus, BASE, &writable));
	ck_assert(!writable);
	ck_assert_int_eq(rd(&r, SIZE - 1), 0xff);
	ck_assert_int_eq(bus_mem_read(&r.b->bus, 0xffff0, 1), 0xff); /* and under 1 MiB */
	rig_free(&r);
}
END_TEST

START_TEST(identifier_and_query)
{
	struct rig r = rig_new();
	wr(&r, 0, 0x90);
	ck_assert_int_eq(rd(&r, 0), 0x89);
	wr(&r, 0, 0x98);
	ck_assert(rd(&r, 0x10) == 'Q' && rd(&r, 0x11) == 'R' && rd(&r, 0x12) == 'Y');
	ck_assert_int_eq(1u << rd(&r, 0x27), SIZE);
	wr(&r, 0, 0xff);
	ck_assert_int_eq(rd(&r, 0), 0x80);
	rig_free(&r);
}
END_TEST

START_TEST(programming_clears_bits_only)
{
	struct rig r = rig_new();
	wr(&r, 0x1234, 0x10);
	wr(&r, 0x1234, 0x0f);
	ck_assert_int_eq(rd(&r, 0), 0x80); /* status */
	wr(&r, 0, 0xff);
	ck_assert_int_eq(rd(&r, 0x1234), 0x89 & 0x0f);
	ck_assert_int_eq(in_image(&r, 0x1234), 0x09);
	rig_free(&r);
}
END_TEST

START_TEST(erasing_needs_its_confirmation)
{
	struct rig r = rig_new();
	wr(&r, 0x2000, 0x20);
	wr(&r, 0x2000, 0x00);
	ck_assert_int_eq(rd(&r, 0) & 0x30, 0x30);
	wr(&r, 0, 0x50);
	wr(&r, 0x2000, 0x20);
	wr(&r, 0x2000, 0xd0);
	wr(&r, 0, 0xff);
	ck_assert_int_eq(rd(&r, 0x2000), 0xff);
	ck_assert_int_eq(rd(&r, 0x2fff), 0xff);
	ck_assert_int_eq(rd(&r, 0x3000), 0x98);
	ck_assert_int_eq(in_image(&r, 0x2fff), 0xff);
	rig_free(&r);
}
END_TEST

START_TEST(buffered_program)
{
	struct rig r = rig_new();
	wr(&r, 0x3000, 0x20);
	wr(&r, 0x3000, 0xd0);
	wr(&r, 0x3000, 0xe8);
	wr(&r, 0x3000, 3); /* four bytes */
	for (u8 i = 0; i < 4; i++)
		wr(&r, 0x3010 + i, (u8)(0x40 + i));
	wr(&r, 0x3000, 0xd0);
	wr(&r, 0, 0xff);
	ck_assert_int_eq(rd(&r, 0x300f), 0xff);
	ck_assert_int_eq(rd(&r, 0x3013), 0x43);
	ck_assert_int_eq(rd(&r, 0x3014), 0xff);
	rig_free(&r);
}
END_TEST

START_TEST(status_is_zero_after_clearing)
{
	/* OVMF's probe: a chip that shows 00h here is flash; one that shows its contents is ROM. */
	struct rig r = rig_new();
	wr(&r, 0, 0x50);
	wr(&r, 0, 0x70);
	ck_assert_int_eq(rd(&r, 0), 0);
	wr(&r, 0, 0xff);
	rig_free(&r);
}
END_TEST

START_TEST(what_is_written_at_the_end_is_kept)
{
	struct rig r = rig_new();
	wr(&r, 0x5000, 0x40);
	wr(&r, 0x5000, 0x00);
	pc_destroy(&r.b->pc); /* without a return to the array */
	ck_assert_int_eq(in_image(&r, 0x5000), 0x00);
	rig_free(&r);
}
END_TEST

START_TEST(odd_images_are_refused)
{
	struct board *b = board_new(1);
	struct block *odd = block_memory(5000);
	char err[200] = "";
	const struct drive d = {
	    .id = "pflash0", .interface = DRIVE_PFLASH, .path = "odd.fd", .block = odd};
	ck_assert_int_lt(pc_attach_drives(&b->pc, &d, 1, err, sizeof(err)), 0);
	ck_assert_ptr_nonnull(strstr(err, "odd.fd"));
	board_free(b);
	block_close(odd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pflash");
	ADD_ALL(s, the_array_is_plain_memory, identifier_and_query, programming_clears_bits_only,
		erasing_needs_its_confirmation, buffered_program, status_is_zero_after_clearing,
		what_is_written_at_the_end_is_kept, odd_images_are_refused);
	return run_suite(s);
}
