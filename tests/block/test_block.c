/* Images whatever their format: raw and memory, requests and their thread, locks, overlays, guesses
 * and what must not be guessed. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "tests/suite.h"
#include "devices/backends/block_internal.h"

static char path[64], err[512];

static void make_file(u64 size)
{
	snprintf(path, sizeof(path), "/tmp/orrery-block-XXXXXX");
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void remove_file(void)
{
	unlink(path);
}

static struct block *open_as(const char *format, bool read_only, bool snapshot)
{
	const struct block_options o = {
	    .path = path, .format = format, .read_only = read_only, .snapshot = snapshot};
	err[0] = 0;
	return block_open(&o, err, sizeof(err));
}

static void fill(u8 *data, u32 sectors, u8 seed)
{
	for (u32 i = 0; i < sectors * BLOCK_SECTOR; i++)
		data[i] = (u8)(seed + i * 7 + (i >> 9));
}

START_TEST(memory_reads_what_was_written)
{
	u8 in[2048], out[2048];
	struct block *b = block_memory(1 << 20);
	ck_assert_uint_eq(block_sectors(b), 2048);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 2044, 4, out), 0);
	ck_assert(!out[0] && !memcmp(out, out + 1, sizeof(out) - 1));
	fill(in, 4, 3);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 2044, 4, in), 0);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 2044, 4, out), 0);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_int_eq(block_io(b, BLOCK_DISCARD, 2044, 2, NULL), 0);
	ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
	block_close(b);
	block_close(NULL);
}
END_TEST

START_TEST(nothing_outside_the_image)
{
	u8 data[1024];
	struct block *b = block_memory(4096);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 7, 2, data), -ERANGE);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 8, 1, data), -ERANGE);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, UINT64_MAX, 2, data), -ERANGE);
	ck_assert_int_eq(block_io(b, BLOCK_DISCARD, 0, 9, NULL), -ERANGE);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 8, 0, data), 0);
	block_close(b);
}
END_TEST

/* Requests are carried out in order of submission, and may be waited for in any. */
START_TEST(requests_keep_their_order)
{
	enum { N = 64 };
	static u8 data[N][512], out[512];
	struct block_request r[N];
	make_file(1 << 20);
	struct block *b = open_as("raw", false, false);
	ck_assert_ptr_nonnull(b);
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < N; i++) {
			memset(data[i], (int)(round + i), 512);
			r[i] = (struct block_request){
			    .op = BLOCK_WRITE, .lba = 5, .sectors = 1, .data = data[i]};
			block_submit(b, &r[i]);
		}
		for (unsigned i = 0; i < N; i++)
			ck_assert_int_eq(block_wait(b, &r[(i * 29) % N]), 0);
		ck_assert_int_eq(block_wait(b, &r[0]), 0); /* once more is harmless */
		ck_assert_int_eq(block_io(b, BLOCK_READ, 5, 1, out), 0);
		ck_assert_mem_eq(out, data[N - 1], 512);
	}
	block_close(b);
}
END_TEST

START_TEST(closing_finishes_what_was_submitted)
{
	u8 data[512], out[512];
	make_file(1 << 20);
	struct block *b = open_as(NULL, false, false);
	struct block_request r[20];
	memset(data, 0x5a, 512);
	for (unsigned i = 0; i < 20; i++) {
		r[i] =
		    (struct block_request){.op = BLOCK_WRITE, .lba = i, .sectors = 1, .data = data};
		block_submit(b, &r[i]);
	}
	block_close(b);
	b = open_as(NULL, true, false);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 19, 1, out), 0);
	ck_assert_mem_eq(out, data, 512);
	block_close(b);
}
END_TEST

START_TEST(read_only_refuses_writes)
{
	u8 data[512] = {1};
	make_file(4096);
	struct block *b = open_as(NULL, true, false);
	ck_assert(block_read_only(b));
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 1, data), -EROFS);
	ck_assert_int_eq(block_io(b, BLOCK_DISCARD, 0, 1, NULL), -EROFS);
	ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
	block_close(b);
}
END_TEST

START_TEST(a_file_that_ends_within_a_sector)
{
	u8 data[1024];
	make_file(700);
	ck_assert_int_eq(truncate(path, 700), 0);
	struct block *b = open_as(NULL, false, false);
	ck_assert_uint_eq(block_sectors(b), 2);
	memset(data, 0xff, sizeof(data));
	ck_assert_int_eq(block_io(b, BLOCK_READ, 0, 2, data), 0);
	ck_assert(!data[1023]);
	block_close(b);
}
END_TEST

static void refused(struct block *b, const char *words)
{
	ck_assert_ptr_null(b);
	ck_assert_msg(strstr(err, words) && strstr(err, path), "said: %s", err);
}

START_TEST(what_cannot_be_opened_says_why)
{
	make_file(0);
	refused(open_as(NULL, false, false), "is empty");
	refused(open_as("qcow", false, false), "'qcow2'");
	remove_file();
	refused(open_as(NULL, false, false), "No such file");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(open_as(NULL, true, false), "neither a file nor");
	remove_file();
	snprintf(path, sizeof(path), "/tmp");
	refused(open_as(NULL, true, false), "directory");
	snprintf(path, sizeof(path), "/dev/null");
	refused(open_as(NULL, true, false), "neither a file nor");
	path[0] = 0;
}
END_TEST

/* Two writers, or a writer beside a reader, never; readers beside each other and overlays, yes. */
START_TEST(double_use)
{
	make_file(4096);
	struct block *b = open_as(NULL, false, false);
	refused(open_as(NULL, false, false), "in use by another");
	refused(open_as(NULL, true, false), "written by another");
	refused(open_as(NULL, false, true), "written by another");
	block_close(b);
	b = open_as(NULL, true, false);
	struct block *c = open_as(NULL, false, true);
	ck_assert_ptr_nonnull(c);
	refused(open_as(NULL, false, false), "in use by another");
	block_close(b);
	block_close(c);
	b = open_as(NULL, false, false);
	ck_assert_ptr_nonnull(b);
	block_close(b);
}
END_TEST

START_TEST(an_overlay_leaves_the_file_alone)
{
	enum { SECTORS = 64 };
	static u8 model[SECTORS * 512], data[SECTORS * 512];
	make_file(sizeof(model) + 300); /* the last block of the overlay is a partial one */
	struct block *b = open_as(NULL, false, false);
	fill(model, SECTORS, 9);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, SECTORS, model), 0);
	block_close(b);
	b = open_as(NULL, false, true);
	ck_assert(!block_read_only(b));
	ck_assert_str_eq(block_format(b), "raw");
	ck_assert_str_eq(block_path(b), path);
	srand(1);
	for (unsigned i = 0; i < 300; i++) {
		u32 at = (u32)rand() % SECTORS, n = 1 + (u32)rand() % (SECTORS - at);
		n = MIN(n, 12u);
		fill(data, n, (u8)i);
		ck_assert_int_eq(block_io(b, BLOCK_WRITE, at, n, data), 0);
		memcpy(model + at * 512, data, n * 512);
		ck_assert_int_eq(block_io(b, BLOCK_READ, 0, SECTORS, data), 0);
		ck_assert_mem_eq(data, model, sizeof(model));
	}
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, SECTORS, 1, data), 0);
	ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
	block_close(b);
	b = open_as(NULL, true, false);
	fill(model, SECTORS, 9);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 0, SECTORS, data), 0);
	ck_assert_mem_eq(data, model, sizeof(model));
	block_close(b);
}
END_TEST

static void count(void *ctx, const char *text)
{
	++*(unsigned *)ctx;
	ck_assert_ptr_nonnull(strstr(text, "format=raw"));
}

/* A guest must not turn its raw disk into an image that names files of the host. */
START_TEST(a_guessed_format_stays_what_it_was)
{
	static const char *const magic[] = {"QFI\xfb\0\0\0\3", "KDMV\1\0\0\0",
					    "# Disk DescriptorFile", "vhdxfile", "conectix"};
	u8 data[2048] = {0}, out[512];
	unsigned complaints = 0;
	make_file(1 << 20);
	struct block_options o = {.path = path, .complain = count, .ctx = &complaints};
	struct block *b = block_open(&o, err, sizeof(err));
	memcpy(data, magic[_i], 8 + 13 * (_i == 2));
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 1, 4, data), 0);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 4, data), -EPERM);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 1, data), -EPERM);
	ck_assert_uint_eq(complaints, 1);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 0, 1, out), 0);
	ck_assert(!out[0]);
	block_close(b);
	o.format = "raw";
	b = block_open(&o, err, sizeof(err));
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 4, data), 0);
	block_close(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("block");
	TCase *t = tcase_create("block");
	tcase_add_checked_fixture(t, NULL, remove_file);
	tcase_add_test(t, memory_reads_what_was_written);
	tcase_add_test(t, nothing_outside_the_image);
	tcase_add_test(t, requests_keep_their_order);
	tcase_add_test(t, closing_finishes_what_was_submitted);
	tcase_add_test(t, read_only_refuses_writes);
	tcase_add_test(t, a_file_that_ends_within_a_sector);
	tcase_add_test(t, what_cannot_be_opened_says_why);
	tcase_add_test(t, double_use);
	tcase_add_test(t, an_overlay_leaves_the_file_alone);
	tcase_add_loop_test(t, a_guessed_format_stays_what_it_was, 0, 5);
	suite_add_tcase(s, t);
	return run_suite(s);
}
