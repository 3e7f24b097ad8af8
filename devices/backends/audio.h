/*
 * Where sound goes. Devices produce 16-bit stereo samples of virtual time; the sink mixes the voices and hands them to the
 * host's audio or a WAV file. A sink never makes a device wait, and sound never changes what the guest sees.
 */
#ifndef ORRERY_DEVICES_AUDIO_H
#define ORRERY_DEVICES_AUDIO_H

#include "base/types.h"

#define AUDIO_HZ 44100u

/* Virtual time that passes at once, because a guest sleeps for long, is not worked out sample by sample but for its end. */
#define AUDIO_SKIP_NS 2000000000ull

struct audio;
struct audio_voice;

/** "none" | "wav:PATH" | "host" (whoever calls audio_pull()). NULL with a message in @err. */
struct audio *audio_open(const char *description, char *err, size_t err_size);
/** Ends a WAV file; NULL is allowed. Voices are gone with it. */
void audio_close(struct audio *a);
/** True if somebody hears: else a device need not work out its samples. NULL: nobody. */
bool audio_heard(const struct audio *a);
/** Does it wait for audio_pull()? */
bool audio_is_host(const struct audio *a);

/**
 * A voice of a device, mixed with the others. @render(@ctx, until), which may be NULL, is asked to write everything that sounds
 * before virtual instant @until: so a device needs no timer for its sound. NULL if @a is NULL or there is no memory; the other
 * functions take that as silence.
 */
struct audio_voice *audio_voice(struct audio *a, const char *name,
				void (*render)(void *ctx, u64 until_ns), void *ctx);
/** The device goes away. */
void audio_voice_free(struct audio_voice *v);
/** @frames stereo samples (left, right) at AUDIO_HZ that sound from @virtual_ns on. Gaps between calls are silence; what follows
 * the last call's end by less than 2 ms is taken to follow it exactly. */
void audio_write(struct audio_voice *v, u64 virtual_ns, const s16 *samples, u32 frames);
/** The machine's time has come to @virtual_ns: everything before it is rendered, mixed and delivered. */
void audio_advance(struct audio *a, u64 virtual_ns);
/** Has so much time passed since audio_advance() that what the devices write soon finds no room? */
bool audio_due(const struct audio *a, u64 virtual_ns);
/** The clock was set to another time: what was on its way is silent. */
void audio_restart(struct audio *a, u64 virtual_ns);
/** From the host's audio thread: fills @frames stereo samples, silence where there is nothing yet. */
void audio_pull(struct audio *a, s16 *samples, u32 frames);

/** The number of the sample that sounds at @virtual_ns, and the first instant of a sample. */
static inline u64 audio_frame_at(u64 virtual_ns)
{
	return virtual_ns / 10000000 * 441 + virtual_ns % 10000000 * 441 / 10000000;
}

static inline u64 audio_frame_ns(u64 frame)
{
	return frame / 441 * 10000000 + (frame % 441 * 10000000 + 440) / 441;
}

#endif
