/* Yamaha YMF262 (OPL3): see opl3.c. */
#ifndef ORRERY_DEVICES_OPL3_H
#define ORRERY_DEVICES_OPL3_H

#include "base/snapshot.h"
#include "devices/backends/audio.h"

#define OPL3_OPS      36u
#define OPL3_CHANNELS 18u

/* What the registers say of an operator, and where it stands. */
struct opl3_op {
	u32 phase, step; /* 20 bits of a period; per sample */
	s32 out[2];      /* the last two samples, for feedback */
	u16 level;       /* attenuation, 3/16 dB: 0..511 */
	u16 fixed;       /* of TL and KSL, in the same unit */
	u8 stage;        /* enum stage */
	u8 keys;         /* who holds it down: KEY_* */
	u8 attack, decay, release,
	    sustain; /* rates 0..63; the level where decay ends, in 16 units */
	u8 wave;
	bool holds, tremolo, vibrato;
};

struct opl3 {
	u8 reg[512];
	u64 timer_start[2]; /* when each began */
	u64 timer_seen[2];  /* overflows acknowledged */
	/* Sound only: not part of the guest's state */
	struct audio_voice *voice;
	u64 frames;    /* of AUDIO_HZ, written so far */
	u64 samples;   /* of the chip, made so far */
	u64 last_left; /* 32.32: where between two samples the next frame lies */
	s32 now[2], before[2];
	u32 noise, ticks;
	s32 volume[2]; /* left, right: 256 is as it comes */
	struct opl3_op op[OPL3_OPS];
	u16 log_sine[256], exponent[256];
};

extern const struct snapshot_desc opl3_snapshot;

/** @a may be NULL. The render callback of its voice is the chip's own. */
void opl3_init(struct opl3 *o, struct audio *a, const char *name);
void opl3_free(struct opl3 *o);
void opl3_reset(struct opl3 *o, u64 now_ns);
/** Register 000h-0FFh of the first, 100h-1FFh of the second bank. */
void opl3_write(struct opl3 *o, unsigned reg, u8 v, u64 now_ns);
/** Status: 80h interrupt, 40h timer 1, 20h timer 2. Bits 1 and 2 are low, which tells an OPL3 from
 * an OPL2. */
u8 opl3_status(struct opl3 *o, u64 now_ns);
/** Volume from now on: 256 is as it comes. */
void opl3_volume(struct opl3 *o, u64 now_ns, s32 left, s32 right);
/** After a snapshot was loaded: operators as the registers say, silent until the next key. */
void opl3_loaded(struct opl3 *o, u64 now_ns);

#endif
