/*
 * Any bytes as a trace: refused or read, never a crash. Checksums would keep the fuzzer out, so it makes chunks: the input is a byte of
 * depth, two of the flow section's length, the flow section, and the effects.
 */
#include <stdlib.h>
#include <zlib.h>
#include "debug/trace_read.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static u8 *put(u8 *p, const void *v, size_t n)
{
	memcpy(p, v, n);
	return p + n;
}

static u8 *put32(u8 *p, u32 v)
{
	return put(p, &v, 4);
}

static u8 *header(u8 *p, u8 depth)
{
	u8 body[20 + 4 * 64 + 4] = {depth % TRACE_DEPTHS, 2, FEATURE_WORDS};
	u32 n = 20 + 4 * FEATURE_WORDS + 4;

	memset(body + 12, 0xff, 8 + 4 * FEATURE_WORDS);
	p = put(p, TRACE_MAGIC, 8);
	p = put32(put32(put32(p, TRACE_VERSION), n), (u32)crc32(0, body, n));
	return put(p, body, n);
}

static void read_it(const u8 *file, u64 n)
{
	struct trace_file *f;
	struct trace_item it;
	struct errtext e;
	char text[400];

	if (trace_open_memory(file, n, &f, &e))
		return;
	struct trace_cursor *c = trace_cursor(f);
	for (unsigned left = 100000; c && left && trace_next(c, &it, &e) == 1; left--) {
		if (it.kind == ITEM_EVENT)
			trace_event_text(&it, text, sizeof(text));
		else if (it.kind == ITEM_INSN && it.in)
			insn_format(it.in, it.rip, DISASM_INTEL, text, sizeof(text));
	}
	trace_cursor_free(c);
	trace_close(f);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (size < 3)
		return 0;
	read_it(data, size); /* as it is */
	size_t flow = MIN((size_t)(data[1] | data[2] << 8), size - 3), fx = size - 3 - flow;
	uLongf a = compressBound(flow), b = compressBound(fx);
	u8 *file = malloc(1024 + a + b), *start = header(file, data[0]), *body = start + TRACE_CHUNK_HEADER, *p;

	if (compress2(body, &a, data + 3, flow, 1) != Z_OK || compress2(body + a, &b, data + 3 + flow, fx, 1) != Z_OK)
		abort();
	memset(start, 0, TRACE_CHUNK_HEADER);
	p = put32(put32(start, TRACE_CHUNK_MAGIC), 0);
	put32(put32(put32(put32(p, (u32)flow), (u32)a), (u32)fx), fx ? (u32)b : 0);
	if (!fx)
		b = 0;
	put32(start + 32, 50000); /* instructions */
	put32(start + 56, (u32)crc32(0, body, (uInt)(a + b)));
	put32(start + 60, (u32)crc32(0, start, 60));
	read_it(file, (u64)(body - file) + a + b);
	free(file);
	return 0;
}
