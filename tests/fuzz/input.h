/*
 * A fuzzer's input, taken piece by piece; what is not there is 0.
 */
#ifndef ORRERY_TESTS_FUZZ_INPUT_H
#define ORRERY_TESTS_FUZZ_INPUT_H

#include <string.h>
#include "base/types.h"

struct input {
	const u8 *p;
	size_t n;
};

/** The next @bytes (at most 8), little-endian. */
static inline u64 take(struct input *in, unsigned bytes)
{
	u64 v = 0;
	bytes = (unsigned)MIN((size_t)bytes, in->n);
	memcpy(&v, in->p, bytes);
	in->p += bytes;
	in->n -= bytes;
	return v;
}

#endif
