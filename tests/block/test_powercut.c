/*
 * The power fails while an image is written: of what was written since the last barrier, any
 * part has reached the disk, in any order, sector by sector. Whatever is left must be a sound image
 * (leaks allowed), with everything in it that the guest flushed. Harder than killing the process,
 * which loses nothing that was written; that is tested too, with real files.
 */
#include "tests/suite.h"
#include "tests/block/rig.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "devices/backends/block_qcow2.h"

#define SECTORS    4096u /* 2 MiB */
#define CAP        (24u << 20)
#define WRITES_MAX 100000

struct write {
	u64 at, n;
	u8 *data; /* NULL: the file became n bytes long */
};

struct disk {
	struct block_file *file; /* in use */
	u8 *durable;
	u64 durable_size;
	struct write pending[WRITES_MAX];
	unsigned count;
	u64 random;
	unsigned cuts;
	u8 *flushed; /* the guest's disk at its last flush */
	u8 *touched; /* sectors written since: either content will do */
};

static struct disk d;

static void apply(u8 *mem, u64 *size, const struct write *w, u64 from, u64 n)
{
	if (!w->data) {
		if (w->n < *size)
			memset(mem + w->n, 0, *size - w->n);
		*size = w->n;
		return;
	}
	memcpy(mem + w->at + from, w->data + from, n);
	*size = MAX(*size, w->at + from + n);
}

/* What of one unsynced write is on the disk: all, nothing, or some of its sectors. */
static void apply_some(u8 *mem, u64 *size, const struct write *w)
{
	u32 how = rig_random(&d.random, 4);
	if (how == 0)
		return;
	if (how < 3 || !w->data) {
		apply(mem, size, w, 0, w->n);
		return;
	}
	for (u64 from = 0, n; from < w->n; from += n) {
		n = MIN(512 - ((w->at + from) & 511), w->n - from);
		if (rig_random(&d.random, 2))
			apply(mem, size, w, from, n);
	}
}

static void check(struct block *b)
{
	struct block_report report;
	if (strcmp(block_format(b), "qcow2"))
		return;
	ck_assert_int_eq(qcow2_check(block_image(b)->state, false, &report), 0);
	ck_assert_msg(!report.errors, "after power cut %u: %s", d.cuts, report.first);
}

static void look_at(struct block *b)
{
	static u8 out[512];
	check(b);
	for (u32 s = 0; s < SECTORS; s++) {
		ck_assert_int_eq(block_io(b, BLOCK_READ, s, 1, out), 0);
		if (!d.touched[s])
			ck_assert_msg(!memcmp(out, d.flushed + s * 512, 512),
				      "after power cut %u: flushed sector %u is lost", d.cuts, s);
	}
}

static void cut(void)
{
	const struct block_options o = {.path = "cut"};
	struct block_file *f = file_memory(d.durable_size, CAP);
	memcpy(f->mem, d.durable, d.durable_size);
	for (unsigned i = 0; i < d.count; i++)
		apply_some(f->mem, &f->size, &d.pending[i]);
	d.cuts++;
	struct block *b = block_of_file(f, &o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "after power cut %u: %s", d.cuts, rig_err);
	look_at(b);
	block_close(b);
}

static void event(void *ctx, enum file_event what, u64 at, u64 n)
{
	if (what == FILE_SYNCED) {
		if (rig_random(&d.random, 4) == 0)
			cut();
		for (unsigned i = 0; i < d.count; i++) {
			apply(d.durable, &d.durable_size, &d.pending[i], 0, d.pending[i].n);
			free(d.pending[i].data);
		}
		d.count = 0;
		return;
	}
	ck_assert_uint_lt(d.count, WRITES_MAX);
	struct write *w = &d.pending[d.count++];
	*w = (struct write){.at = at, .n = what == FILE_RESIZED ? at : n};
	if (what != FILE_RESIZED) {
		w->data = malloc(n + 1);
		memcpy(w->data, d.file->mem + at, n);
	}
	if (rig_random(&d.random, 50) == 0)
		cut();
}

static void setup(void)
{
	rig_open();
	memset(&d, 0, sizeof(d));
	d.durable = host_alloc_pages(CAP);
	d.flushed = calloc(SECTORS, 512);
	d.touched = calloc(SECTORS, 1);
}

static void teardown(void)
{
	for (unsigned i = 0; i < d.count; i++)
		free(d.pending[i].data);
	host_free_pages(d.durable, CAP);
	free(d.flushed);
	free(d.touched);
	rig_close();
}

/* Commands that make the image: plain, tiny clusters, narrow counts, shared with snapshots,
 * deflated. */
static const char *const makers[] = {
    "qemu-img create -f qcow2 i 2M",
    "qemu-img create -f qcow2 -o cluster_size=512,refcount_bits=64 i 2M",
    "qemu-img create -f qcow2 -o cluster_size=1k,refcount_bits=1 i 2M",
    "qemu-img create -f qcow2 -o cluster_size=4k,compat=0.10 i 2M",
    "qemu-img convert -f raw -O qcow2 -o cluster_size=4k r i && qemu-img snapshot -c a i",
    "qemu-img convert -f raw -O qcow2 -o cluster_size=512 r i && qemu-img snapshot -c a i",
    "qemu-img convert -c -f raw -O qcow2 -o cluster_size=16k r i",
    "qemu-img create -f vmdk i 2M",
    "qemu-img convert -f raw -O vdi r i",
    "qemu-img create -f vdi i 2M",
    "qemu-img create -f vpc -o force_size=on i 2M",
    "qemu-img convert -f raw -O vmdk r i",
};

static struct block *start(const char *maker)
{
	const struct block_options o = {.path = "disk"};
	u64 n;
	for (u32 s = 0; s < SECTORS; s += 3)
		rig_fill(d.flushed + s * 512, s, 2 - (s == SECTORS - 1), 7);
	rig_save("r", d.flushed, SECTORS);
	RIG_RUN("%s", maker);
	if (!strstr(maker, "convert"))
		memset(d.flushed, 0, SECTORS * 512);
	u8 *image = rig_load("i", &n);
	memcpy(d.durable, image, n);
	d.durable_size = n;
	d.file = file_memory(n, CAP);
	memcpy(d.file->mem, image, n);
	free(image);
	d.file->event = event;
	struct block *b = block_of_file(d.file, &o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	return b;
}

START_TEST(any_moment_is_a_good_one)
{
	u8 *now = calloc(SECTORS, 512);
	d.random = 0x1234567 + (u64)_i * 999;
	if (!rig_have_qemu_img())
		return;
	struct block *b = start(makers[(unsigned)_i % ARRAY_SIZE(makers)]);
	memcpy(now, d.flushed, SECTORS * 512);
	for (unsigned i = 0; i < 150; i++) {
		u32 lba = rig_random(&d.random, SECTORS), n = 1 + rig_random(&d.random, 60);
		n = MIN(n, SECTORS - lba);
		u32 what = rig_random(&d.random, 8);
		if (what == 0) {
			ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
			memcpy(d.flushed, now, SECTORS * 512);
			memset(d.touched, 0, SECTORS);
			continue;
		}
		memset(d.touched + lba, 1, n);
		if (what == 1) {
			ck_assert_int_eq(block_io(b, BLOCK_DISCARD, lba, n, NULL), 0);
			ck_assert_int_eq(block_io(b, BLOCK_READ, lba, n, now + lba * 512), 0);
			continue;
		}
		rig_fill(now + lba * 512, lba, n, i);
		ck_assert_int_eq(block_io(b, BLOCK_WRITE, lba, n, now + lba * 512), 0);
	}
	ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
	check(b);
	rig_compare(b, now, SECTORS);
	block_close(b);
	ck_assert_uint_ge(d.cuts, 1); /* the last flush; a round may have no other */
	free(now);
}
END_TEST

/* ---- killing the process -------------------------------------------------------------------- */

/* Shared with the child: which generation each sector was last written with, and flushed with. */
struct shared {
	u32 written[SECTORS], flushed[SECTORS];
};

static void child(struct shared *s, u64 random)
{
	static u8 data[64 * 512];
	const struct block_options o = {.path = rig_path("i"), .no_sync = true};
	struct block *b = block_open(&o, rig_err, sizeof(rig_err));
	if (!b)
		_exit(1);
	for (u32 generation = (u32)(random >> 40) | 1;; generation++) {
		u32 lba = rig_random(&random, SECTORS), n = 1 + rig_random(&random, 64);
		n = MIN(n, SECTORS - lba);
		rig_fill(data, lba, n, generation);
		for (u32 i = 0; i < n; i++)
			s->written[lba + i] = generation;
		if (block_io(b, BLOCK_WRITE, lba, n, data))
			_exit(2);
		if (rig_random(&random, 10))
			continue;
		static u32 copy[SECTORS];
		memcpy(copy, s->written, sizeof(copy));
		if (block_io(b, BLOCK_FLUSH, 0, 0, NULL))
			_exit(3);
		memcpy(s->flushed, copy, sizeof(copy));
	}
}

static void check_killed(const struct shared *s)
{
	u8 out[512], want[512];
	int status = rig_run("qemu-img check i");
	ck_assert_msg(status == 0 || status == 3, "qemu-img check: %d", status); /* 3: leaks */
	struct block *b = rig_block("i", NULL, true);
	for (u32 i = 0; i < SECTORS; i++) {
		if (s->written[i] != s->flushed[i])
			continue;
		ck_assert_int_eq(block_io(b, BLOCK_READ, i, 1, out), 0);
		if (s->flushed[i])
			rig_fill(want, i, 1, s->flushed[i]);
		else
			memset(want, 0, 512);
		ck_assert_msg(!memcmp(out, want, 512), "flushed sector %u is lost", i);
	}
	block_close(b);
}

/* After a kill, sectors that were being written hold either content: the next round starts from
 * what is there. */
static void settle(struct shared *s)
{
	u8 out[512], want[512];
	struct block *b = rig_block("i", NULL, true);
	for (u32 i = 0; i < SECTORS; i++) {
		if (s->written[i] == s->flushed[i])
			continue;
		ck_assert_int_eq(block_io(b, BLOCK_READ, i, 1, out), 0);
		u32 generation = (u32)le32(out + 8);
		rig_fill(want, i, 1, generation);
		if (memcmp(out, want, 512)) {
			memset(want, 0, 512);
			ck_assert_msg(!memcmp(out, want, 512), "sector %u is torn", i);
			generation = 0;
		}
		s->written[i] = s->flushed[i] = generation;
	}
	block_close(b);
}

START_TEST(killed_at_any_moment)
{
	const char *text = getenv("ORRERY_KILLS");
	unsigned kills = text ? (unsigned)atoi(text) : 15;
	u64 random = 0xabcdef12345;
	if (!rig_have_qemu_img())
		return;
	struct shared *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(s != MAP_FAILED);
	for (unsigned i = 0; i < kills; i++) {
		if (i % 40 == 0) {
			RIG_RUN("rm -f i; qemu-img create -f qcow2 -o cluster_size=%s i 2M",
				i / 40 % 2 ? "4k" : "512");
			memset(s, 0, sizeof(*s));
		}
		pid_t pid = fork();
		if (!pid)
			child(s, random);
		usleep(2000 + rig_random(&random, 30000));
		kill(pid, SIGKILL);
		int status;
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFSIGNALED(status), "the writer ended by itself: %x", status);
		check_killed(s);
		settle(s);
	}
	munmap(s, sizeof(*s));
}
END_TEST

int main(void)
{
	const char *text = getenv("ORRERY_POWER_CUTS"); /* rounds */
	int rounds = text ? atoi(text) : 24;
	Suite *s = suite_create("powercut");
	TCase *t = tcase_create("powercut");
	tcase_set_timeout(t, 3600);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, any_moment_is_a_good_one, 0, rounds);
	tcase_add_test(t, killed_at_any_moment);
	suite_add_tcase(s, t);
	return run_suite(s);
}
