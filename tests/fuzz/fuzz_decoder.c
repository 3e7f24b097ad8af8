/*
 * Any bytes, any mode, any feature set: the decoder must stay within the bytes it was given, say the same thing
 * twice, and its text must fit. Input: one byte of mode, eight of feature pattern, then instruction bytes.
 */
#include <stdlib.h>
#include "cpu/decoder/insn.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void require(bool held)
{
	if (!held)
		abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u8 widths[] = {16, 32, 64};
	u32 feat[FEATURE_WORDS];
	struct insn in, again;
	char text[128];

	if (size < 10)
		return 0;
	for (unsigned i = 0; i < FEATURE_WORDS; i++) {
		memcpy(&feat[i], data + 1 + (i & 1) * 4, 4);
		feat[i] = data[0] & 0x80 ? 0xffffffffu : feat[i];
	}
	struct decode_mode mode = {
		.bits = widths[data[0] % 3], .real_or_v86 = data[0] % 3 == 0, .feat = feat};
	/* An exact copy, so that a read beyond the end is seen. */
	unsigned avail = (unsigned)MIN(size - 9, 15);
	u8 *bytes = malloc(avail);
	require(bytes != NULL);
	memcpy(bytes, data + 9, avail);
	memset(&in, 0, sizeof(in));
	memset(&again, 0, sizeof(again));
	enum decode_status status = insn_decode(&mode, bytes, avail, &in);
	require(status == insn_decode(&mode, bytes, avail, &again));
	if (status == DECODE_OK) {
		require(in.len >= 1 && in.len <= avail && in.row < insn_row_count && in.nops <= 4);
		require(in.len == again.len && in.row == again.row);
		int n = insn_format(&in, 0xfffffffffffffff0ull, DISASM_INTEL, text, sizeof(text));
		require(n > 0 && memchr(text, 0, sizeof(text)) != NULL);
		insn_format(&in, 0, DISASM_ATT, text, 8);
		require(memchr(text, 0, 8) != NULL);
		/* The same bytes without what follows them are the same instruction. */
		require(insn_decode(&mode, bytes, in.len, &again) == DECODE_OK && again.len == in.len);
	}
	free(bytes);
	return 0;
}
