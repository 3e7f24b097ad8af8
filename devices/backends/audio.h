/*
 * Where sound goes. Devices produce 16-bit stereo samples of virtual time; the sink mixes the voices and hands them to the
 * host's audio or a WAV file. A sink never makes a device wait, and sound never changes what the guest sees.
 */
#ifndef ORRERY_DEVICES_AUDIO_H
#define ORRERY_DEVICES_AUDIO_H

#include "base/types.h"

#define AUDIO_HZ 44100u

struct audio;
struct audio_voice;

/** "none" | "wav:PATH" | "host" (whoever calls audio_pull()). NULL with a message in @err. */
struct audio *audio_open(const char *description, char *err, size_t err_size);
void audio_close(struct audio *a);
/** A voice of a device, mixed with the others. */
struct audio_voice *audio_voice(struct audio *a, const char *name);
/** @frames stereo samples (left, right) at AUDIO_HZ that sound from @virtual_ns on. Gaps between calls are silence. */
void audio_write(struct audio_voice *v, u64 virtual_ns, const s16 *samples, u32 frames);
/** The machine's time has come to @virtual_ns: everything before it may be mixed and delivered. */
void audio_advance(struct audio *a, u64 virtual_ns);
/** From the host's audio thread: fills @frames stereo samples, silence where there is nothing yet. */
void audio_pull(struct audio *a, s16 *samples, u32 frames);

#endif
