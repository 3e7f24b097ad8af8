/*
 * The mixer and its two ends: see audio.h. Voices add into a ring of the samples ahead; the
 * machine's clock moves them on into a WAV file or into a queue that the host's audio thread
 * empties. That queue bridges what host and guest differ in pace: it fills a little before it
 * sounds, falls silent when the guest is late, and lets go of the oldest when the guest is early.
 */
#include "devices/backends/audio.h"
#include "base/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AHEAD      32768u /* frames, power of two: how far ahead of the clock a voice may write */
#define FOLLOWS    88u    /* frames of 2 ms */
#define QUEUE      16384u /* frames, power of two */
#define QUEUE_LOW  2048u  /* 46 ms: where it begins to sound */
#define QUEUE_HIGH 8192u
#define WAV_HEADER 44u
#define WAV_MAX    0xf0000000u /* bytes of samples */

enum sink { SINK_NONE, SINK_WAV, SINK_HOST };

struct audio_voice {
	struct audio *audio;
	const char *name;
	void (*render)(void *ctx, u64 until_ns);
	void *ctx;
	u64 next; /* the frame behind the last one written; UINT64_MAX: none yet */
	struct audio_voice *other;
};

struct audio {
	enum sink sink;
	struct audio_voice *voices;
	u64 done; /* frames delivered so far */
	s32 mix[AHEAD][2];
	char *wav_path; /* of a file that is not open yet */
	FILE *wav;
	u64 wav_bytes;
	struct host_monitor *lock; /* of what follows */
	s16 queue[QUEUE][2];
	u32 head, tail;
	bool sounding;
};

/* ---- WAV: RIFF, 16-bit PCM ------------------------------------------------------------------ */

static void put16(u8 *p, u32 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}

static void put32(u8 *p, u32 v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static void write_header(struct audio *a)
{
	u8 h[WAV_HEADER] = "RIFF....WAVEfmt ";
	put32(h + 4, (u32)a->wav_bytes + WAV_HEADER - 8);
	put32(h + 16, 16);
	put16(h + 20, 1); /* PCM */
	put16(h + 22, 2);
	put32(h + 24, AUDIO_HZ);
	put32(h + 28, AUDIO_HZ * 4);
	put16(h + 32, 4);
	put16(h + 34, 16);
	memcpy(h + 36, "data", 4);
	put32(h + 40, (u32)a->wav_bytes);
	rewind(a->wav);
	if (fwrite(h, sizeof(h), 1, a->wav) != 1)
		a->sink = SINK_NONE; /* the disk is full: nothing more is written */
	fseek(a->wav, 0, SEEK_END);
}

static void wav_samples(struct audio *a, const s16 (*s)[2], u32 frames)
{
	if (a->wav_bytes + frames * 4u > WAV_MAX)
		return;
	if (fwrite(s, 4, frames, a->wav) == frames)
		a->wav_bytes += frames * 4u;
}

/* A hole in the file, so that a guest may sleep for hours. */
static void wav_silence(struct audio *a, u64 frames)
{
	if (a->wav_bytes + frames * 4 > WAV_MAX || !frames)
		return;
	if (fseek(a->wav, (long)(frames * 4 - 1), SEEK_CUR) || fputc(0, a->wav) == EOF)
		return;
	a->wav_bytes += frames * 4;
}

/* ---- the host's queue ----------------------------------------------------------------------- */

static void enqueue(struct audio *a, const s16 (*s)[2], u32 frames)
{
	host_monitor_enter(a->lock);
	for (u32 i = 0; i < frames; i++) {
		if (s)
			memcpy(a->queue[a->head % QUEUE], s[i], sizeof(s[i]));
		else
			memset(a->queue[a->head % QUEUE], 0, sizeof(a->queue[0]));
		a->head++;
	}
	if (a->head - a->tail > QUEUE_HIGH)
		a->tail = a->head - QUEUE_LOW;
	host_monitor_leave(a->lock);
}

void audio_pull(struct audio *a, s16 *samples, u32 frames)
{
	u32 n = 0;
	host_monitor_enter(a->lock);
	if (a->head - a->tail >= QUEUE_LOW)
		a->sounding = true;
	for (; a->sounding && n < frames && a->tail != a->head; n++, a->tail++)
		memcpy(samples + n * 2, a->queue[a->tail % QUEUE], sizeof(a->queue[0]));
	if (n < frames)
		a->sounding = false;
	host_monitor_leave(a->lock);
	memset(samples + n * 2, 0, (frames - n) * sizeof(a->queue[0]));
}

/* ---- the mixer ------------------------------------------------------------------------------ */

static s16 clip(s32 v)
{
	return (s16)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

static void deliver(struct audio *a, const s16 (*s)[2], u32 frames)
{
	if (a->sink == SINK_WAV)
		wav_samples(a, s, frames);
	else if (a->sink == SINK_HOST)
		enqueue(a, s, frames);
}

static void deliver_until(struct audio *a, u64 target)
{
	s16 out[512][2];
	while (a->done < target) {
		u32 n = (u32)MIN(target - a->done, ARRAY_SIZE(out));
		for (u32 i = 0; i < n; i++) {
			s32 *m = a->mix[(a->done + i) % AHEAD];
			out[i][0] = clip(m[0]);
			out[i][1] = clip(m[1]);
			m[0] = m[1] = 0;
		}
		deliver(a, out, n);
		a->done += n;
	}
}

/* The file is made when the machine runs: one that cannot be had leaves no trace. */
static void begin_wav(struct audio *a)
{
	a->wav = fopen(a->wav_path, "wb");
	if (a->wav) {
		write_header(a);
	} else {
		fprintf(stderr, "orrery: warning: wav:%s: %s; its sound is lost\n", a->wav_path, strerror(errno));
		a->sink = SINK_NONE;
	}
	free(a->wav_path);
	a->wav_path = NULL;
}

void audio_advance(struct audio *a, u64 virtual_ns)
{
	if (!audio_heard(a))
		return;
	if (a->wav_path)
		begin_wav(a);
	const u64 target = audio_frame_at(virtual_ns), longest = AUDIO_SKIP_NS / 1000000000 * AUDIO_HZ;
	if (target > a->done + longest) { /* time was skipped: what went on then is not worked out */
		u64 gap = target - longest - a->done;
		deliver_until(a, a->done + MIN(gap, AHEAD));
		if (a->sink == SINK_WAV && gap > AHEAD)
			wav_silence(a, gap - AHEAD);
		a->done = target - longest;
	}
	while (a->done < target) {
		const u64 next = MIN(target, a->done + AHEAD / 2);
		const u64 until = next == target ? virtual_ns : audio_frame_ns(next);
		for (struct audio_voice *v = a->voices; v; v = v->other)
			if (v->render)
				v->render(v->ctx, until);
		deliver_until(a, next);
	}
}

bool audio_due(const struct audio *a, u64 virtual_ns)
{
	return audio_heard(a) && audio_frame_at(virtual_ns) > a->done + AHEAD / 4;
}

void audio_restart(struct audio *a, u64 virtual_ns)
{
	a->done = audio_frame_at(virtual_ns);
	memset(a->mix, 0, sizeof(a->mix));
	for (struct audio_voice *v = a->voices; v; v = v->other)
		v->next = UINT64_MAX;
}

void audio_write(struct audio_voice *v, u64 virtual_ns, const s16 *samples, u32 frames)
{
	if (!v || !frames)
		return;
	struct audio *a = v->audio;
	u64 at = audio_frame_at(virtual_ns);
	if (at < v->next + FOLLOWS && v->next < at + FOLLOWS)
		at = v->next;
	v->next = at + frames;
	for (u32 i = 0; i < frames; i++) {
		if (at + i < a->done || at + i >= a->done + AHEAD)
			continue;
		s32 *m = a->mix[(at + i) % AHEAD];
		m[0] += samples[i * 2];
		m[1] += samples[i * 2 + 1];
	}
}

/* ---- life ----------------------------------------------------------------------------------- */

bool audio_heard(const struct audio *a)
{
	return a && a->sink != SINK_NONE;
}

bool audio_is_host(const struct audio *a)
{
	return a && a->sink == SINK_HOST;
}

static bool open_wav(struct audio *a, const char *path, char *err, size_t err_size)
{
	int e = *path ? host_file_check(path) : 0;
	if (e || !*path) {
		snprintf(err, err_size, "wav:%s: %s", path, e ? strerror(-e) : "the file's name is missing");
		return false;
	}
	a->sink = SINK_WAV;
	a->wav_path = strdup(path);
	return a->wav_path != NULL;
}

struct audio *audio_open(const char *description, char *err, size_t err_size)
{
	struct audio *a = calloc(1, sizeof(*a));
	bool good = true;
	if (!a || !(a->lock = host_monitor_create())) {
		snprintf(err, err_size, "no memory for sound");
		free(a);
		return NULL;
	}
	if (!strcmp(description, "host"))
		a->sink = SINK_HOST;
	else if (!strncmp(description, "wav:", 4))
		good = open_wav(a, description + 4, err, err_size);
	else if (strcmp(description, "none") != 0) {
		snprintf(err, err_size, "sound cannot go to '%s': there are none, wav:FILE and sdl",
			 description);
		good = false;
	}
	if (!good) {
		host_monitor_destroy(a->lock);
		free(a);
		return NULL;
	}
	return a;
}

void audio_close(struct audio *a)
{
	if (!a)
		return;
	if (a->wav) {
		write_header(a);
		bool lost = ferror(a->wav);
		if (fclose(a->wav) || lost)
			fprintf(stderr, "orrery: warning: the sound file could not be written to its end: %s\n", strerror(errno));
	}
	free(a->wav_path);
	while (a->voices)
		audio_voice_free(a->voices);
	host_monitor_destroy(a->lock);
	free(a);
}

struct audio_voice *audio_voice(struct audio *a, const char *name,
				void (*render)(void *ctx, u64 until_ns), void *ctx)
{
	struct audio_voice *v = a ? calloc(1, sizeof(*v)) : NULL;
	if (!v)
		return NULL;
	*v = (struct audio_voice){a, name, render, ctx, UINT64_MAX, a->voices};
	a->voices = v;
	return v;
}

void audio_voice_free(struct audio_voice *v)
{
	if (!v)
		return;
	struct audio_voice **p = &v->audio->voices;
	while (*p != v)
		p = &(*p)->other;
	*p = v->other;
	free(v);
}
