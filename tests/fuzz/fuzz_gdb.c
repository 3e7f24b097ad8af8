/*
 * A GDB client that sends anything: raw bytes, or (first byte even) lines that are framed as packets, so that what is behind the
 * framing is reached. The machine stands and lives through all of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include "debug/gdb_session.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void ignore(void *ctx, const void *data, unsigned n)
{
}

static struct gdb_session *session(void)
{
	static u32 image[64] = {0x1badb002, 0x10000, 0 - 0x1badb002u - 0x10000, 0x100000, 0x100000, 0, 0, 0x100020};
	static struct gdb_session *s;
	const struct gdb_hooks hooks = {.send = ignore};
	struct machine_config cfg;
	struct machine *m;
	struct errtext e;

	if (s)
		return s;
	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.cpus = 2;
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	if (machine_create(&cfg, &m, &e))
		abort();
	s = gdb_session_create(dbg_create(m), GDB_X86_64, &hooks);
	return s;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gdb_session *s = session();
	static u8 frame[2 * 65536 + 4];

	gdb_session_connected(s);
	if (!size || data[0] & 1) {
		gdb_session_feed(s, data, (unsigned)size);
		return 0;
	}
	for (size_t at = 1; at < size;) {
		const u8 *end = memchr(data + at, '\n', size - at);
		size_t n = MIN(end ? (size_t)(end - data) - at : size - at, 65536);

		gdb_session_feed(s, frame, gdb_frame(frame, data + at, (unsigned)n));
		at += n + 1;
	}
	return 0;
}
