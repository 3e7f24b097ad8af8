/* orrery img: making, converting and checking images; qemu-img as the judge, where it is installed.
 */
#include "tests/suite.h"
#include "tests/block/rig.h"
#include "frontend/cli/exitcode.h"
#include "frontend/cli/img.h"

static char *text;
static size_t text_size;

#define IMG(...) img((char *[]){__VA_ARGS__, NULL})
static int img(char *const *argv)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	free(text);
	FILE *f = open_memstream(&text, &text_size);
	int status = img_main(argc, argv, f, f);
	fclose(f);
	return status;
}

static char *name(const char *n)
{
	return (char *)(uintptr_t)rig_path(n);
}

static void judge(void)
{
	if (rig_have_qemu_img())
		RIG_RUN("qemu-img check i");
}

START_TEST(new_disks_are_sound_and_empty)
{
	static const char *const size[] = {"1", "64K", "513M", "3G", "5T", "64T"};
	u8 in[512], out[512] = {0};
	ck_assert_int_eq(IMG((char *)"create", name("i"), (char *)(uintptr_t)size[_i]), 0);
	judge();
	struct block *b = rig_block("i", "qcow2", false);
	u64 last = block_sectors(b) - 1;
	ck_assert_int_eq(block_io(b, BLOCK_READ, last, 1, in), 0);
	ck_assert_mem_eq(in, out, 512);
	memset(out, 0x77, 512);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, last, 1, out), 0);
	block_close(b);
	judge();
	b = rig_block("i", NULL, true);
	ck_assert_int_eq(block_io(b, BLOCK_READ, last, 1, in), 0);
	ck_assert_mem_eq(in, out, 512);
	block_close(b);
	ck_assert_int_eq(IMG((char *)"check", name("i")), 0);
	ck_assert_ptr_nonnull(strstr(text, ": 0 errors, 0 leaked"));
}
END_TEST

START_TEST(an_existing_file_is_left_alone)
{
	rig_save("i", (const u8 *)"something", 0);
	ck_assert_int_eq(IMG((char *)"create", name("i"), (char *)"1M"), EXIT_IMAGE);
	ck_assert_ptr_nonnull(strstr(text, "exists"));
	ck_assert_int_eq(
	    IMG((char *)"create", (char *)"-f", (char *)"raw", name("r"), (char *)"1M"), 0);
	ck_assert_int_eq(IMG((char *)"convert", name("r"), name("i")), EXIT_IMAGE);
	ck_assert_int_eq(access(rig_path("i"), F_OK), 0);
}
END_TEST

START_TEST(there_and_back)
{
	enum { SECTORS = 10000 };
	u8 *data = calloc(SECTORS, 512);
	for (u32 s = 0; s < SECTORS; s += 3)
		rig_fill(data + s * 512ull, s, 1, s);
	rig_save("r", data, SECTORS);
	ck_assert_int_eq(IMG((char *)"convert", name("r"), name("i")), 0);
	judge();
	ck_assert_int_eq(IMG((char *)"info", name("i")), 0);
	ck_assert_ptr_nonnull(strstr(text, "format qcow2, disk of 5120000 bytes"));
	ck_assert_int_eq(IMG((char *)"convert", (char *)"-O", (char *)"raw", name("i"), name("b")),
			 0);
	u64 n;
	u8 *back = rig_load("b", &n);
	ck_assert_uint_eq(n, SECTORS * 512);
	ck_assert_mem_eq(back, data, n);
	free(back);
	free(data);
}
END_TEST

/* Counts that are too low or too high are found, and corrected. */
START_TEST(wrong_counts_are_corrected)
{
	u8 sector[512], count[2] = {0, (u8)_i * 2};
	memset(sector, 1, 512);
	ck_assert_int_eq(IMG((char *)"create", name("i"), (char *)"16M"), 0);
	struct block *b = rig_block("i", NULL, false);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 1, sector), 0);
	block_close(b);
	u64 n;
	u8 *data = rig_load("i", &n);
	memcpy(data + 0x20000 + 5 * 2, count, 2); /* of the first data cluster: 0 or 2 */
	if (_i)
		memcpy(data + 0x20000 + 5 * 2 + 2, "\0\1", 2); /* and one that nobody uses */
	rig_save("i", data, n / 512);
	free(data);
	ck_assert_int_eq(IMG((char *)"check", name("i")), _i ? 0 : EXIT_IMAGE);
	ck_assert_ptr_nonnull(strstr(text, _i ? "0 errors, 2 leaked" : "1 errors, 0 leaked"));
	ck_assert_int_eq(IMG((char *)"check", (char *)"-r", name("i")), 0);
	ck_assert_int_eq(IMG((char *)"check", name("i")), 0);
	ck_assert_ptr_nonnull(strstr(text, "0 errors, 0 leaked"));
	judge();
}
END_TEST

START_TEST(refusals)
{
	ck_assert_int_eq(IMG((char *)"inof", (char *)"x"), EXIT_USAGE);
	ck_assert_ptr_nonnull(strstr(text, "'info'"));
	ck_assert_int_eq(IMG((char *)"info"), EXIT_USAGE);
	ck_assert_int_eq(IMG((char *)"info", name("none")), EXIT_IMAGE);
	ck_assert_int_eq(IMG((char *)"create", name("i"), (char *)"much"), EXIT_USAGE);
	ck_assert_int_eq(IMG((char *)"create", name("i"), (char *)"65T"), EXIT_IMAGE);
	ck_assert_int_eq(
	    IMG((char *)"create", (char *)"-f", (char *)"vmdk", name("i"), (char *)"1M"),
	    EXIT_IMAGE);
	ck_assert_int_eq(access(rig_path("i"), F_OK), -1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("img");
	TCase *t = tcase_create("img");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, rig_open, rig_close);
	tcase_add_loop_test(t, new_disks_are_sound_and_empty, 0, 6);
	tcase_add_test(t, an_existing_file_is_left_alone);
	tcase_add_test(t, there_and_back);
	tcase_add_loop_test(t, wrong_counts_are_corrected, 0, 2);
	tcase_add_test(t, refusals);
	suite_add_tcase(s, t);
	int failed = run_suite(s);
	free(text);
	return failed;
}
