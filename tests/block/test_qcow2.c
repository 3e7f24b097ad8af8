/* qcow2: images made by qemu-img in every variant, written here at random beside a model in memory,
 * judged by qemu-img check and compare. */
#include "tests/suite.h"
#include "tests/block/rig.h"
#include "devices/backends/block_qcow2.h"

#define SECTORS 8192u /* 4 MiB */
static u8 *model, *buffer;
static bool qemu_img;

static void setup(void)
{
	rig_open();
	qemu_img = rig_have_qemu_img();
	model = calloc(SECTORS, 512);
	buffer = calloc(SECTORS, 512);
}

static void teardown(void)
{
	rig_close();
	free(model);
	free(buffer);
}

/* A base with something in most places. */
static void make_base(void)
{
	for (u32 s = 0; s < SECTORS; s++)
		if (s / 300 % 3)
			rig_fill(model + s * 512ull, s, 1, 1000 + s / 64);
	rig_save("base.raw", model, SECTORS);
}

static void random_writes(struct block *b, u64 seed, unsigned count, bool discards)
{
	u64 state = seed * 77 + 1;
	for (unsigned i = 0; i < count; i++) {
		u32 lba = rig_random(&state, SECTORS), n = 1 + rig_random(&state, 40);
		if (rig_random(&state, 12) == 0)
			n = 1 + rig_random(&state, 1500);
		n = MIN(n, SECTORS - lba);
		switch (rig_random(&state, 10)) {
		case 0: ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0); break;
		case 1:
			if (!discards)
				break;
			/* What is there afterwards is the image's choice. */
			ck_assert_int_eq(block_io(b, BLOCK_DISCARD, lba, n, NULL), 0);
			ck_assert_int_eq(block_io(b, BLOCK_READ, lba, n, buffer), 0);
			for (u32 s = 0; s < n; s++)
				ck_assert(
				    !memcmp(buffer + s * 512, model + (lba + s) * 512ull, 512) ||
				    (!buffer[s * 512] &&
				     !memcmp(buffer + s * 512, buffer + s * 512 + 1, 511)));
			memcpy(model + lba * 512ull, buffer, n * 512ull);
			break;
		case 2:
		case 3:
			ck_assert_int_eq(block_io(b, BLOCK_READ, lba, n, buffer), 0);
			ck_assert_mem_eq(buffer, model + lba * 512ull, n * 512ull);
			break;
		default:
			rig_fill(model + lba * 512ull, lba, n, i);
			ck_assert_int_eq(block_io(b, BLOCK_WRITE, lba, n, model + lba * 512ull), 0);
		}
	}
}

/* The judge: sound, without leaks, and with the model's content. */
static void judge(const char *name)
{
	RIG_RUN("qemu-img check %s", name);
	rig_save("model.raw", model, SECTORS);
	RIG_RUN("qemu-img compare -f qcow2 -F raw %s model.raw", name);
}

static const char *const variants[] = {
    "compat=1.1",
    "compat=0.10",
    "cluster_size=512",
    "cluster_size=4k",
    "cluster_size=2M",
    "cluster_size=512,refcount_bits=64",
    "cluster_size=1k,refcount_bits=1",
    "cluster_size=512,refcount_bits=2",
    "refcount_bits=4",
    "refcount_bits=8",
    "refcount_bits=32",
    "lazy_refcounts=on",
    "preallocation=metadata",
    "preallocation=falloc,cluster_size=16k",
    "cluster_size=512,compat=0.10",
};

START_TEST(every_variant_alone)
{
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 -o %s i.qcow2 4M", variants[_i]);
	for (unsigned round = 0; round < 3; round++) {
		struct block *b = rig_block("i.qcow2", NULL, false);
		ck_assert_str_eq(block_format(b), "qcow2");
		ck_assert_uint_eq(block_sectors(b), SECTORS);
		rig_compare(b, model, SECTORS);
		random_writes(b, round, 150, round == 1);
		block_close(b);
		judge("i.qcow2");
	}
}
END_TEST

START_TEST(every_variant_over_a_backing_file)
{
	if (!qemu_img)
		return;
	make_base();
	if (strstr(variants[_i], "prealloc"))
		return; /* not with a backing file */
	bool raw = _i % 2;
	if (!raw)
		RIG_RUN("qemu-img convert -f raw -O qcow2 -c base.raw base.qcow2");
	RIG_RUN("qemu-img create -f qcow2 -F %s -b %s -o %s i.qcow2", raw ? "raw" : "qcow2",
		raw ? "base.raw" : "base.qcow2", variants[_i]);
	for (unsigned round = 0; round < 3; round++) {
		struct block *b = rig_block("i.qcow2", "qcow2", false);
		rig_compare(b, model, SECTORS);
		random_writes(b, round + 50, 100, round == 1);
		block_close(b);
		judge("i.qcow2");
	}
}
END_TEST

START_TEST(compressed_images_can_be_written)
{
	static const char *const more[] = {"cluster_size=64k", "cluster_size=512",
					   "cluster_size=2M", "compat=0.10,cluster_size=4k"};
	if (!qemu_img)
		return;
	make_base();
	RIG_RUN("qemu-img convert -f raw -O qcow2 -c -o %s base.raw i.qcow2", more[_i]);
	struct block *b = rig_block("i.qcow2", NULL, false);
	rig_compare(b, model, SECTORS);
	random_writes(b, 3, 200, true);
	block_close(b);
	judge("i.qcow2");
}
END_TEST

/* What a snapshot shares is copied before it is written, and stays readable under the snapshot's
 * name. */
START_TEST(internal_snapshots_keep_their_content)
{
	u8 *old = malloc(SECTORS * 512ull), *older = malloc(SECTORS * 512ull);
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 -o cluster_size=%s i.qcow2 4M", _i ? "512" : "64k");
	struct block *b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 1, 100, false);
	block_close(b);
	RIG_RUN("qemu-img snapshot -c first i.qcow2");
	memcpy(older, model, SECTORS * 512ull);
	b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 2, 60, true);
	block_close(b);
	judge("i.qcow2");
	RIG_RUN("qemu-img snapshot -c second i.qcow2");
	memcpy(old, model, SECTORS * 512ull);
	b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 3, 200, true);
	block_close(b);
	judge("i.qcow2");
	struct block_options o = {.path = rig_path("i.qcow2"), .internal_snapshot = "first"};
	b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	ck_assert(block_read_only(b));
	rig_compare(b, older, SECTORS);
	block_close(b);
	o.internal_snapshot = "2"; /* an id */
	o.snapshot = true;
	b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert(!block_read_only(b));
	rig_compare(b, old, SECTORS);
	block_close(b);
	o.internal_snapshot = "third";
	ck_assert_ptr_null(block_open(&o, rig_err, sizeof(rig_err)));
	ck_assert_ptr_nonnull(strstr(rig_err, "no internal snapshot 'third'"));
	RIG_RUN("qemu-img snapshot -a first i.qcow2 && qemu-img check i.qcow2");
	b = rig_block("i.qcow2", NULL, false);
	rig_compare(b, older, SECTORS);
	block_close(b);
	free(old);
	free(older);
}
END_TEST

/* The refcount table of a small-cluster image must grow. */
START_TEST(growing_far)
{
	enum { MIB = 96 };
	static u8 data[64 * 1024];
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=%d i.qcow2 %dM",
		_i ? 64 : 16, MIB);
	struct block *b = rig_block("i.qcow2", NULL, false);
	for (u32 i = 0; i < MIB * 16; i++) {
		rig_fill(data, i * 128, 128, i);
		ck_assert_int_eq(block_io(b, BLOCK_WRITE, i * 128, 128, data), 0);
	}
	block_close(b);
	RIG_RUN("qemu-img check i.qcow2");
	b = rig_block("i.qcow2", NULL, false);
	static u8 out[64 * 1024];
	for (u32 i = 0; i < MIB * 16; i++) {
		rig_fill(data, i * 128, 128, i);
		ck_assert_int_eq(block_io(b, BLOCK_READ, i * 128, 128, out), 0);
		ck_assert_mem_eq(out, data, sizeof(out));
	}
	block_close(b);
}
END_TEST

START_TEST(chains)
{
	if (!qemu_img)
		return;
	make_base();
	RIG_RUN("mkdir sub && mv base.raw sub/ && qemu-img create -q -f qcow2 -F raw -b base.raw "
		"sub/mid.qcow2 && qemu-img create -q -f qcow2 -F qcow2 -b sub/mid.qcow2 i.qcow2");
	struct block *b = rig_block("sub/mid.qcow2", NULL, false);
	random_writes(b, 9, 30, false);
	block_close(b);
	b = rig_block("i.qcow2", NULL, false);
	rig_compare(b, model, SECTORS);
	random_writes(b, 10, 60, true);
	rig_refused("sub/mid.qcow2", NULL, false, "in use"); /* by the chain above it */
	block_close(b);
	judge("i.qcow2");
	/* The top may be larger than what is below. */
	RIG_RUN("qemu-img create -q -f qcow2 -F qcow2 -b i.qcow2 big.qcow2 8M");
	b = rig_block("big.qcow2", NULL, false);
	ck_assert_uint_eq(block_sectors(b), 2 * SECTORS);
	rig_compare(b, model, SECTORS);
	ck_assert_int_eq(block_io(b, BLOCK_READ, SECTORS, 1, buffer), 0);
	ck_assert(!buffer[0] && !buffer[511]);
	rig_fill(buffer, 1, 2, 3);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, SECTORS - 1, 2, buffer), 0);
	memcpy(model + (SECTORS - 1) * 512, buffer, 512);
	rig_compare(b, model, SECTORS);
	block_close(b);
	RIG_RUN("qemu-img check big.qcow2");
}
END_TEST

START_TEST(chains_that_are_refused)
{
	if (!qemu_img)
		return;
	make_base();
	RIG_RUN("qemu-img create -q -f qcow2 -F raw -b base.raw i.qcow2 && rm base.raw");
	rig_refused("i.qcow2", NULL, false, "base.raw");
	RIG_RUN("qemu-img create -q -f qcow2 a.qcow2 4M && qemu-img rebase -u -F qcow2 -b a.qcow2 "
		"a.qcow2");
	rig_refused("a.qcow2", NULL, false, "own chain");
	RIG_RUN("qemu-img create -q -f qcow2 b.qcow2 4M && qemu-img rebase -u -F qcow2 -b b.qcow2 "
		"a.qcow2 && "
		"qemu-img rebase -u -F qcow2 -b a.qcow2 b.qcow2");
	rig_refused("a.qcow2", NULL, false, "own chain");
	RIG_RUN("qemu-img create -q -f qcow2 c.qcow2 4M && qemu-img rebase -u -F raw -b nbd://x/ "
		"c.qcow2");
	rig_refused("c.qcow2", NULL, false, "only files");
}
END_TEST

/* A raw backing file that its guest made look like qcow2 must not lead further. */
START_TEST(an_unnamed_backing_format_leads_no_further)
{
	if (!qemu_img)
		return;
	RIG_RUN(
	    "echo secret >secret && truncate -s 4M secret && "
	    "qemu-img create -q -f qcow2 -F raw -b secret evil 4M && "
	    "qemu-img create -q -f qcow2 -F qcow2 -b evil i.qcow2 4M && truncate -s %%512 i.qcow2");
	struct block *b = rig_block("i.qcow2", NULL, false); /* named: allowed */
	block_close(b);
	/* Takes the format's name out of i.qcow2: its kind becomes one that is skipped. */
	u64 n;
	u8 *data = rig_load("i.qcow2", &n);
	for (u64 at = 72; at + 4 < 512; at += 4)
		if (be32(data + at) == 0xe2792aca)
			data[at] = 0x12;
	rig_save("i.qcow2", data, n / 512);
	free(data);
	rig_refused("i.qcow2", NULL, false, "format is not named");
}
END_TEST

/* Bitmaps that only QEMU knows are declared invalid by whoever writes without keeping them; nothing
 * else changes. */
START_TEST(bitmaps_become_invalid)
{
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 i.qcow2 4M && qemu-img bitmap --add i.qcow2 b");
	struct block *b = rig_block("i.qcow2", NULL, false);
	rig_compare(b, model, SECTORS);
	block_close(b);
	u64 n;
	u8 *data = rig_load("i.qcow2", &n);
	ck_assert_uint_eq(be64(data + 88), 1); /* reading alone leaves them */
	free(data);
	b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 12, 50, true);
	block_close(b);
	data = rig_load("i.qcow2", &n);
	ck_assert_uint_eq(be64(data + 88), 0);
	free(data);
	int status = rig_run("qemu-img check i.qcow2");
	ck_assert_msg(status == 0 || status == 3, "qemu-img check: %d", status); /* 3: leaked */
	RIG_RUN("qemu-img check -r all i.qcow2");
	judge("i.qcow2");
}
END_TEST

static u8 *header;
static u64 header_bytes;

static void changed_header(unsigned at, u64 value, unsigned n)
{
	u8 *copy = malloc(header_bytes);
	memcpy(copy, header, header_bytes);
	be_put(copy + at, value, n);
	rig_save("x.qcow2", copy, header_bytes / 512);
	free(copy);
}

START_TEST(bad_headers)
{
	static const struct {
		unsigned at;
		u64 value;
		unsigned n;
		const char *words;
	} row[] = {
	    {4, 4, 4, "version 4"},
	    {20, 8, 4, "cluster size"},
	    {20, 22, 4, "cluster size"},
	    {24, 1ull << 60, 8, "size of the disk"},
	    {24, 1ull << 50, 8, "L1 table"},
	    {32, 1, 4, "encrypted"},
	    {36, 0, 4, "L1 table"},
	    {36, 0xffffffff, 4, "L1 table"},
	    {40, 0x30001, 8, "L1 table"},
	    {40, 1ull << 40, 8, "truncated"},
	    {40, 0, 8, "overlap"},
	    {40, 0x10000, 8, "overlap"},
	    {48, 0x123, 8, "refcount table"},
	    {48, 1ull << 41, 8, "truncated"},
	    {56, 0, 4, "refcount table"},
	    {56, 0x10000000, 4, "refcount table"},
	    {60, 0x7fffffff, 4, "snapshots"},
	    {72, 2, 8, "marked as corrupt"},
	    {72, 4, 8, "external file"},
	    {72, 8, 8, "zlib"},
	    {72, 16, 8, "extended L2"},
	    {72, 1ull << 40, 8, "bit 40"},
	    {96, 7, 4, "64 bits"},
	    {100, 12, 4, "length"},
	    {100, 0x7fffff00, 4, "length"},
	    {16, 2000, 4, NULL},
	};
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 i.qcow2 4M && truncate -s %%512 i.qcow2");
	header = rig_load("i.qcow2", &header_bytes);
	changed_header(row[_i].at, row[_i].value, row[_i].n);
	if (row[_i].words)
		rig_refused("x.qcow2", NULL, false, row[_i].words);
	if (row[_i].at == 72 && row[_i].value == 2) { /* what is there can still be read */
		struct block *b = rig_block("x.qcow2", NULL, true);
		rig_compare(b, model, SECTORS);
		block_close(b);
	}
	free(header);
}
END_TEST

static void hear(void *ctx, const char *text)
{
	snprintf(ctx, 700, "%s", text);
}

/* A damaged part fails alone, says so once, and stops all writing. */
START_TEST(damaged_tables)
{
	static const struct {
		bool l1;
		u64 entry;
		const char *words;
	} row[] = {
	    {false, QCOW2_COPIED | 0x7000000000ull, "truncated"},
	    {false, QCOW2_COPIED | 0x50200, "boundary"},
	    {false, QCOW2_PACKED | 0x7000000000ull, "beyond the file"},
	    {false, QCOW2_PACKED | 0x200, "decompressed"},
	    {true, QCOW2_COPIED | 0x7000000000ull, "L2 table lies beyond"},
	};
	char heard[700] = "";
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 i.qcow2 4M");
	struct block *b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 4, 100, false);
	block_close(b);
	u64 n;
	u8 *data = rig_load("i.qcow2", &n);
	u64 l1 = be64(data + 40), l2 = be64(data + l1) & QCOW2_AT;
	be_put(data + (row[_i].l1 ? l1 : l2 + 8), row[_i].entry, 8);
	rig_save("x.qcow2", data, n / 512);
	const struct block_options o = {
	    .path = rig_path("x.qcow2"), .read_only = row[_i].l1, .complain = hear, .ctx = heard};
	if (row[_i].l1)
		rig_refused("x.qcow2", NULL, false, "truncated");
	b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	ck_assert_int_eq(block_io(b, BLOCK_READ, 128, 8, buffer), -EIO);
	ck_assert_msg(strstr(heard, row[_i].words) != NULL, "said: %s", heard);
	if (!row[_i].l1) {
		ck_assert_int_eq(block_io(b, BLOCK_READ, 0, 128, buffer), 0);
		ck_assert_mem_eq(buffer, model, 128 * 512);
	}
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 0, 1, buffer), row[_i].l1 ? -EROFS : -EIO);
	block_close(b);
	u64 n2;
	u8 *after = rig_load("x.qcow2", &n2);
	ck_assert_uint_eq(n, n2);
	ck_assert_mem_eq(data, after, n);
	free(data);
	free(after);
}
END_TEST

/* An entry that points at metadata: reading gives what is there, writing would destroy the image.
 */
START_TEST(data_on_metadata_is_not_written)
{
	char heard[700] = "";
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 i.qcow2 4M");
	struct block *b = rig_block("i.qcow2", NULL, false);
	random_writes(b, 4, 100, false);
	block_close(b);
	u64 n;
	u8 *data = rig_load("i.qcow2", &n);
	u64 l1 = be64(data + 40), l2 = be64(data + l1) & QCOW2_AT;
	const u64 target[] = {0x10000, be64(data + 48), l1, l2, 0};
	be_put(data + l2 + 8, QCOW2_COPIED | target[_i], 8);
	rig_save("x.qcow2", data, n / 512);
	const struct block_options o = {
	    .path = rig_path("x.qcow2"), .complain = hear, .ctx = heard};
	b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	memset(buffer, 0x55, 512);
	ck_assert_int_eq(block_io(b, BLOCK_WRITE, 130, 1, buffer), target[_i] ? -EIO : 0);
	block_close(b);
	free(data);
}
END_TEST

/* A writer that used lazy refcounts was killed: the image is repaired, and nothing is lost. */
START_TEST(dirty_images_are_repaired)
{
	if (!qemu_img || system("qemu-io --version >/dev/null 2>&1"))
		return;
	RIG_RUN("qemu-img create -f qcow2 -o lazy_refcounts=on,cluster_size=%s i.qcow2 4M",
		_i ? "512" : "64k");
	rig_run("qemu-io -f qcow2 -c 'write -P 0x5a 0 1M' -c 'write -P 0xa5 2M 64k' -c flush -c "
		"'sigraise 9' i.qcow2");
	memset(model, 0x5a, 1 << 20);
	memset(model + (2 << 20), 0xa5, 64 << 10);
	ck_assert_int_ne(rig_run("qemu-img check i.qcow2"), 0);
	struct block *b = rig_block("i.qcow2", NULL, true);
	rig_compare(b, model, SECTORS);
	block_close(b);
	b = rig_block("i.qcow2", NULL, false);
	rig_compare(b, model, SECTORS);
	random_writes(b, 5, 50, true);
	block_close(b);
	judge("i.qcow2");
}
END_TEST

START_TEST(a_full_disk_is_no_disaster)
{
	static u8 data[512 * 64];
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f qcow2 i.qcow2 64M");
	u64 n;
	u8 *image = rig_load("i.qcow2", &n);
	struct block_file *f = file_memory(n, n + (3 << 20));
	memcpy(f->mem, image, n);
	free(image);
	const struct block_options o = {.path = "memory"};
	struct block *b = block_of_file(f, &o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	int r = 0;
	u32 i = 0;
	while (i < 1000 && !r) {
		rig_fill(data, i * 64, 64, i);
		if (!(r = block_io(b, BLOCK_WRITE, i * 64, 64, data)))
			i++;
	}
	ck_assert_int_eq(r, -ENOSPC);
	ck_assert_uint_gt(i, 60);
	ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
	struct block_report report;
	ck_assert_int_eq(qcow2_check(block_image(b)->state, false, &report), 0);
	ck_assert_msg(!report.errors, "%s", report.first);
	for (u32 k = 0; k < i; k++) {
		rig_fill(data, k * 64, 64, k);
		ck_assert_int_eq(block_io(b, BLOCK_READ, k * 64, 64, buffer), 0);
		ck_assert_mem_eq(buffer, data, sizeof(data));
	}
	block_close(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("qcow2");
	TCase *t = tcase_create("qcow2");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, every_variant_alone, 0, ARRAY_SIZE(variants));
	tcase_add_loop_test(t, every_variant_over_a_backing_file, 0, ARRAY_SIZE(variants));
	tcase_add_loop_test(t, compressed_images_can_be_written, 0, 4);
	tcase_add_loop_test(t, internal_snapshots_keep_their_content, 0, 2);
	tcase_add_loop_test(t, growing_far, 0, 2);
	tcase_add_test(t, chains);
	tcase_add_test(t, chains_that_are_refused);
	tcase_add_test(t, an_unnamed_backing_format_leads_no_further);
	tcase_add_test(t, bitmaps_become_invalid);
	tcase_add_loop_test(t, bad_headers, 0, 26);
	tcase_add_loop_test(t, damaged_tables, 0, 5);
	tcase_add_loop_test(t, data_on_metadata_is_not_written, 0, 5);
	tcase_add_loop_test(t, dirty_images_are_repaired, 0, 2);
	tcase_add_test(t, a_full_disk_is_no_disaster);
	suite_add_tcase(s, t);
	if (!rig_have_qemu_img())
		fprintf(stderr, "qemu-img is not installed: nothing is tested here\n");
	return run_suite(s);
}
