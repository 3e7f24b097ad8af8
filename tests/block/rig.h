/* What the tests of image formats share: files in a folder of their own, qemu-img as maker and
 * judge, a model of the disk. */
#ifndef ORRERY_TESTS_BLOCK_RIG_H
#define ORRERY_TESTS_BLOCK_RIG_H

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/host.h"
#include "devices/backends/block_internal.h"

static char rig_dir[64], rig_err[600];

static inline void rig_open(void)
{
	/* In memory if possible: qemu-img waits for the disk after every step. */
	snprintf(rig_dir, sizeof(rig_dir), "%s/orrery-block-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	ck_assert_ptr_nonnull(mkdtemp(rig_dir));
}

static inline void rig_close(void)
{
	char text[100];
	snprintf(text, sizeof(text), "rm -rf %s", rig_dir);
	ck_assert_int_eq(system(text), 0);
}

/* A name in the folder; four of them are valid at a time. */
static inline const char *rig_path(const char *name)
{
	static char text[4][128];
	static unsigned next;
	char *t = text[next++ % 4];
	snprintf(t, sizeof(text[0]), "%s/%s", rig_dir, name);
	return t;
}

/* Runs a shell command in the folder; its output goes to a file there. */
PRINTF_LIKE(1, 2) static inline int rig_run(const char *fmt, ...)
{
	char command[1200], full[1400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(full, sizeof(full), "cd %s && (%s) >output 2>&1", rig_dir, command);
	int status = system(full);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void rig_show(void)
{
	char text[120];
	snprintf(text, sizeof(text), "tail -5 %s/output >&2", rig_dir);
	if (system(text))
		fprintf(stderr, "no output\n");
}

static inline bool rig_have_qemu_img(void)
{
	return !system("qemu-img --version >/dev/null 2>&1");
}

#define RIG_RUN(...)                                                                               \
	do {                                                                                       \
		int rig_status = rig_run(__VA_ARGS__);                                             \
		if (rig_status) {                                                                  \
			rig_show();                                                                \
			ck_abort_msg("status %d of %s", rig_status, #__VA_ARGS__);                 \
		}                                                                                  \
	} while (0)

static inline struct block *rig_block(const char *name, const char *format, bool read_only)
{
	const struct block_options o = {
	    .path = rig_path(name), .format = format, .read_only = read_only, .no_sync = true};
	struct block *b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_msg(b != NULL, "%s", rig_err);
	return b;
}

static inline void rig_refused(const char *name, const char *format, bool read_only,
			       const char *words)
{
	const struct block_options o = {
	    .path = rig_path(name), .format = format, .read_only = read_only};
	struct block *b = block_open(&o, rig_err, sizeof(rig_err));
	ck_assert_ptr_null(b);
	ck_assert_msg(strstr(rig_err, words) != NULL, "said: %s", rig_err);
}

/* xorshift: the same run each time. */
static inline u32 rig_random(u64 *state, u32 below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (u32)((*state >> 16) % below);
}

/* Content that tells its place and its generation, some of it compressible. */
static inline void rig_fill(u8 *data, u64 lba, u32 sectors, u32 generation)
{
	for (u32 s = 0; s < sectors; s++) {
		u64 mark[2] = {lba + s, generation};
		u64 state = (lba + s) * 0x9e3779b97f4a7c15ull + generation + 1;
		memset(data + s * 512, (int)generation, 512);
		memcpy(data + s * 512, mark, 16);
		for (unsigned i = 16; i < 512; i += generation % 3 ? 64 : 4)
			data[s * 512 + i] = (u8)rig_random(&state, 256);
	}
}

/* Reads all of @b and compares with @model. */
static inline void rig_compare(struct block *b, const u8 *model, u64 sectors)
{
	enum { STEP = 1024 };
	static u8 data[STEP * 512];
	for (u64 lba = 0; lba < sectors; lba += STEP) {
		u32 n = (u32)MIN(STEP, sectors - lba);
		ck_assert_int_eq(block_io(b, BLOCK_READ, lba, n, data), 0);
		if (!memcmp(data, model + lba * 512, n * 512ull))
			continue;
		for (u32 i = 0; i < n; i++)
			ck_assert_msg(!memcmp(data + i * 512, model + (lba + i) * 512, 512),
				      "sector %llu differs", (unsigned long long)(lba + i));
	}
}

/* The model as a raw file, for qemu-img compare. */
static inline void rig_save(const char *name, const u8 *model, u64 sectors)
{
	FILE *f = fopen(rig_path(name), "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(model, 512, sectors, f), sectors);
	fclose(f);
}

static inline u8 *rig_load(const char *name, u64 *n)
{
	u8 *data;
	ck_assert_int_eq(host_file_read(rig_path(name), 1u << 30, &data, n), 0);
	return data;
}

#endif
