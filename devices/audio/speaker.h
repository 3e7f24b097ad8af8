/* The PC speaker: what timer 2 and port 61h drive. */
#ifndef ORRERY_DEVICES_SPEAKER_H
#define ORRERY_DEVICES_SPEAKER_H

#include "devices/backends/audio.h"

struct speaker {
	struct audio_voice *voice; /* NULL: nobody hears */
	/* Nanoseconds during which the cone is pushed out, from the start of time to virtual
	 * instant @t, as far as the present setting of timer and port goes. */
	u64 (*high_ns)(void *ctx, u64 t);
	void *ctx;
	u64 now_ns;    /* everything before has been written */
	u64 high;      /* of the sample under way, in ns */
	s32 before, y; /* of the filter */
};

void speaker_init(struct speaker *s, struct audio *a, u64 (*high_ns)(void *ctx, u64 t), void *ctx);
void speaker_free(struct speaker *s);
/** Call before the setting of timer or port changes at @now_ns. */
void speaker_sync(struct speaker *s, u64 now_ns);

#endif
