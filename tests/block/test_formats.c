/* VMDK, VDI, VHD and VHDX: images made by qemu-img, read, written where that is possible, and given
 * back to qemu-img. */
#include "tests/suite.h"
#include "tests/block/rig.h"

#define SECTORS 8192u /* 4 MiB */
static u8 *model, *buffer;
static bool qemu_img;

static const struct kind {
	const char *make; /* options of qemu-img convert */
	const char *format;
	bool written;
} kinds[] = {
    {"-O vdi", "vdi", true},
    {"-O vdi -o static=on", "vdi", true},
    {"-O vpc -o force_size=on", "vpc", true},
    {"-O vpc -o force_size=on,subformat=fixed", "vpc", true},
    {"-O vhdx", "vhdx", false},
    {"-O vhdx -o subformat=fixed,block_size=1M", "vhdx", false},
    {"-O vhdx -o block_size=2M,block_state_zero=off", "vhdx", false},
    {"-O vmdk", "vmdk", true},
    {"-O vmdk -o subformat=monolithicFlat", "vmdk", true},
    {"-O vmdk -o subformat=twoGbMaxExtentFlat", "vmdk", true},
    {"-O vmdk -o subformat=twoGbMaxExtentSparse", "vmdk", true},
    {"-O vmdk -o subformat=streamOptimized", "vmdk", false},
    {"-O vmdk -o zeroed_grain=on", "vmdk", true},
};

static void setup(void)
{
	rig_open();
	qemu_img = rig_have_qemu_img();
	model = calloc(SECTORS, 512);
	buffer = calloc(SECTORS, 512);
	for (u32 s = 0; s < SECTORS; s++)
		if (s / 700 % 2)
			rig_fill(model + s * 512ull, s, 1, 1000 + s / 64);
	rig_save("base.raw", model, SECTORS);
}

static void teardown(void)
{
	rig_close();
	free(model);
	free(buffer);
}

static const char *name_of(const struct kind *k)
{
	return !strcmp(k->format, "vpc") ? "i.vhd" : "i";
}

static void make(const struct kind *k)
{
	RIG_RUN("qemu-img convert -f raw base.raw %s %s", k->make, name_of(k));
}

static void random_writes(struct block *b, u64 seed, unsigned count)
{
	u64 state = seed * 77 + 1;
	for (unsigned i = 0; i < count; i++) {
		u32 lba = rig_random(&state, SECTORS), n = 1 + rig_random(&state, 300);
		n = MIN(n, SECTORS - lba);
		if (rig_random(&state, 4) == 0)
			memset(model + lba * 512ull, 0, n * 512ull);
		else
			rig_fill(model + lba * 512ull, lba, n, i);
		ck_assert_int_eq(block_io(b, BLOCK_WRITE, lba, n, model + lba * 512ull), 0);
		if (rig_random(&state, 10) == 0)
			ck_assert_int_eq(block_io(b, BLOCK_FLUSH, 0, 0, NULL), 0);
		ck_assert_int_eq(block_io(b, BLOCK_READ, lba, n, buffer), 0);
		ck_assert_mem_eq(buffer, model + lba * 512ull, n * 512ull);
	}
}

START_TEST(read_as_qemu_img_wrote_it)
{
	const struct kind *k = &kinds[_i];
	if (!qemu_img)
		return;
	make(k);
	struct block *b = rig_block(name_of(k), NULL, true);
	ck_assert_str_eq(block_format(b), k->format);
	ck_assert_uint_eq(block_sectors(b), SECTORS);
	rig_compare(b, model, SECTORS);
	block_close(b);
}
END_TEST

START_TEST(written_as_qemu_img_reads_it)
{
	const struct kind *k = &kinds[_i];
	if (!qemu_img)
		return;
	make(k);
	if (!k->written) {
		rig_refused(name_of(k), NULL, false, "snapshot=on");
		return;
	}
	for (unsigned round = 0; round < 2; round++) {
		struct block *b = rig_block(name_of(k), NULL, false);
		random_writes(b, round, 100);
		rig_compare(b, model, SECTORS);
		block_close(b);
		rig_save("model.raw", model, SECTORS);
		RIG_RUN("qemu-img compare -f %s -F raw %s model.raw", k->format, name_of(k));
	}
	if (strcmp(k->format, "vpc") && !strstr(k->make, "Flat"))
		RIG_RUN("qemu-img check -f %s %s", k->format, name_of(k));
}
END_TEST

/* Empty images grow block by block. */
START_TEST(grown_from_nothing)
{
	static const char *const maker[] = {"vdi", "vpc -o force_size=on", "vmdk"};
	if (!qemu_img)
		return;
	RIG_RUN("qemu-img create -f %s i.vhd 4M", maker[_i]);
	memset(model, 0, SECTORS * 512ull);
	struct block *b = rig_block("i.vhd", NULL, false);
	rig_compare(b, model, SECTORS);
	random_writes(b, 5, 60);
	block_close(b);
	rig_save("model.raw", model, SECTORS);
	RIG_RUN("qemu-img compare -F raw i.vhd model.raw");
}
END_TEST

/* With an overlay, every format can be written, and no file changes. */
START_TEST(overlays)
{
	const struct kind *k = &kinds[_i];
	if (!qemu_img)
		return;
	make(k);
	RIG_RUN("cat i* | sha256sum >before");
	const struct block_options o = {.path = rig_path(name_of(k)), .snapshot = true};
	struct block *b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	random_writes(b, 8, 50);
	rig_compare(b, model, SECTORS);
	block_close(b);
	RIG_RUN("cat i* | sha256sum | cmp - before");
}
END_TEST

static void ignore(void *ctx, const char *text)
{
}

/* Cut anywhere: refused, or errors where something is missing, and the rest is right. */
START_TEST(truncated_files)
{
	const struct kind *k = &kinds[_i];
	if (!qemu_img || strstr(k->make, "Extent") || strstr(k->make, "Flat"))
		return;
	make(k);
	u64 n;
	u8 *data = rig_load(name_of(k), &n);
	for (u64 left = 512; left < n; left = (left * 3 / 2 + 511) & ~511ull) {
		rig_save(name_of(k), data, left / 512);
		struct block_options o = {.path = rig_path(name_of(k)), .read_only = true};
		o.complain = ignore;
		o.format = k->format;
		struct block *b = block_open(&o, rig_err, sizeof(rig_err));
		for (u32 s = 0; b && s < SECTORS; s += 61)
			if (!block_io(b, BLOCK_READ, s, 1, buffer))
				ck_assert_mem_eq(buffer, model + s * 512ull, 512);
		block_close(b);
	}
	free(data);
}
END_TEST

START_TEST(refusals)
{
	static const struct {
		const char *make, *name, *words;
	} row[] = {
	    {"qemu-img create -f vmdk p.vmdk 8M && qemu-img create -f vmdk -b p.vmdk -F vmdk i",
	     "i", "parent"},
	    {"echo '# Disk DescriptorFile' >i; echo 'RW 100 FLAT \"/etc/hostname\" 0' >>i", "i",
	     "smaller"},
	    {"echo '# Disk DescriptorFile' >i; echo 'RW 100 FLAT \"i\" 0' >>i", "i", "own chain"},
	    {"echo '# Disk DescriptorFile' >i; echo 'RW 9 SESPARSE \"x\"' >>i", "i",
	     "not supported"},
	    {"echo '# Disk DescriptorFile' >i; truncate -s 1k i", "i", "without extents"},
	    {"qemu-img create -f vdi i 8M && printf '\\004' | dd of=i bs=1 seek=76 conv=notrunc",
	     "i", "parent"},
	    {"qemu-img create -f vpc i.vhd 8M && printf x | dd of=i.vhd bs=1 seek=50 conv=notrunc "
	     "&& "
	     "truncate -s -512 i.vhd",
	     "i.vhd", "footer"},
	    {"printf COWD >i; truncate -s 4k i", "i", "ESX"},
	    {"printf vhdxfile >i; truncate -s 4M i", "i", "no valid header"},
	};
	if (!qemu_img)
		return;
	RIG_RUN("%s", row[_i].make);
	rig_refused(row[_i].name, NULL, true, row[_i].words);
}
END_TEST

int main(void)
{
	int n = ARRAY_SIZE(kinds);
	Suite *s = suite_create("formats");
	TCase *t = tcase_create("formats");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, read_as_qemu_img_wrote_it, 0, n);
	tcase_add_loop_test(t, written_as_qemu_img_reads_it, 0, n);
	tcase_add_loop_test(t, grown_from_nothing, 0, 3);
	tcase_add_loop_test(t, overlays, 0, n);
	tcase_add_loop_test(t, truncated_files, 0, n);
	tcase_add_loop_test(t, refusals, 0, 9);
	suite_add_tcase(s, t);
	if (!rig_have_qemu_img())
		fprintf(stderr, "qemu-img is not installed: nothing is tested here\n");
	return run_suite(s);
}
