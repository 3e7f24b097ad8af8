/*
 * The PC speaker as a one-bit output: each sample is the share of its time that the bit was set, so
 * that tones above the sample rate (programs that play samples by pulse width) come out as the
 * level they mean. A slow high-pass takes the constant part away, as the speaker's coil does. Not
 * modelled: the case's resonance.
 */
#include "devices/audio/speaker.h"

#define VOLUME 9000 /* of the bit set, of 32767 */

/* One sample with the bit set for @high ns of @length. */
static s16 sample(struct speaker *s, u64 high, u64 length)
{
	s32 x = length ? (s32)(high * VOLUME / length) << 8 : 0;
	s->y = x - s->before + s->y - s->y / 256; /* about 27 Hz */
	s->before = x;
	s32 v = s->y >> 8;
	return (s16)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

static void advance(struct speaker *s, u64 until)
{
	s16 out[256][2];
	while (s->now_ns < until) {
		const u64 from = s->now_ns;
		u32 n = 0;
		/* one sample after the other, the last perhaps in part */
		while (n < ARRAY_SIZE(out) && s->now_ns < until) {
			u64 frame = audio_frame_at(s->now_ns), start = audio_frame_ns(frame);
			u64 end = audio_frame_ns(frame + 1), stop = MIN(end, until);
			s->high += s->high_ns(s->ctx, stop) - s->high_ns(s->ctx, s->now_ns);
			s->now_ns = stop;
			if (stop < end)
				break;
			out[n][0] = out[n][1] = sample(s, s->high, end - start);
			s->high = 0;
			n++;
		}
		audio_write(s->voice, from, out[0], n);
	}
}

void speaker_sync(struct speaker *s, u64 now_ns)
{
	if (!s->voice || now_ns <= s->now_ns)
		return;
	if (now_ns - s->now_ns > AUDIO_SKIP_NS)
		s->now_ns = now_ns - AUDIO_SKIP_NS;
	bool high = s->high_ns(s->ctx, now_ns) != s->high_ns(s->ctx, s->now_ns) || s->high;
	/* Long silence: nothing to work out, and the cone is back in the middle. */
	if (!high && now_ns - s->now_ns > 200000000) {
		advance(s, s->now_ns + 100000000);
		s->now_ns = now_ns;
		s->before = s->y = 0;
		return;
	}
	if (high || s->before || s->y)
		advance(s, now_ns);
	else
		s->now_ns = now_ns;
}

static void render(void *ctx, u64 until_ns)
{
	speaker_sync(ctx, until_ns);
}

void speaker_init(struct speaker *s, struct audio *a, u64 (*high_ns)(void *ctx, u64 t), void *ctx)
{
	*s = (struct speaker){.high_ns = high_ns, .ctx = ctx};
	s->voice = audio_heard(a) ? audio_voice(a, "speaker", render, s) : NULL;
}

void speaker_free(struct speaker *s)
{
	audio_voice_free(s->voice);
	s->voice = NULL;
}
