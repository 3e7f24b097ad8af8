/* Feature numbers, from features.def. */
#ifndef ORRERY_CPU_DECODER_FEATURES_H
#define ORRERY_CPU_DECODER_FEATURES_H

#include "base/types.h"

enum cpuid_reg { CR_NONE, CR_EAX, CR_EBX, CR_ECX, CR_EDX };

enum feature {
#define FEATURE(id, name, leaf, subleaf, reg, bit) FEAT_##id,
#include "cpu/decoder/features.def"
#undef FEATURE
	FEAT_COUNT
};

#define FEATURE_WORDS ((FEAT_COUNT + 31) / 32)

struct feature_row {
	const char *name; /* as in -cpu MODEL,+name */
	u32 leaf, subleaf;
	u8 reg; /* enum cpuid_reg */
	u8 bit;
};

extern const struct feature_row feature_rows[FEAT_COUNT];

#endif
