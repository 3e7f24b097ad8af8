/* Private to the decoder: the index that gen/gen_index.c builds from the rows. */
#ifndef ORRERY_CPU_DECODER_INDEX_H
#define ORRERY_CPU_DECODER_INDEX_H

#include "cpu/decoder/rows.h"

/* A row as matching sees it, in the order of trial: more conditions first. */
struct candidate {
	u32 value, mask; /* including what operands (M, U, N) and attributes (64-bit mode) demand */
	u16 row;
	u16 feature;
	u16 flags; /* ENC_* */
};

#define INDEX_MODRM 0x1u
#define INDEX_SPLIT 0x2u /* first is a number of splits[]: chosen by ModRM mod == 3 and reg */

struct index_entry {
	u16 first; /* candidates[] */
	u8 count;  /* 0: no such opcode */
	u8 flags;  /* INDEX_* */
};

struct index_split {
	struct {
		u16 first;
		u16 count;
	} e[16];
};

extern const struct index_entry decoder_index[MAP_COUNT][256];
extern const struct index_split decoder_splits[];
extern const struct candidate decoder_candidates[];

#endif
