/* Sound: what the devices play is written to a WAV file and its tones are measured. */
#include <math.h>
#include <unistd.h>
#include "devices/backends/audio.h"
#include "tests/devices/board.h"

struct recording {
	char path[64];
	struct audio *audio;
	u8 *bytes; /* of the file, once it is closed */
	const s16 *samples;
	u32 frames;
};

static struct recording *record(void)
{
	static unsigned count;
	struct recording *r = calloc(1, sizeof(*r));
	char description[80], err[200];
	snprintf(r->path, sizeof(r->path), "/tmp/orrery-test-%d-%u.wav", (int)getpid(), count++);
	snprintf(description, sizeof(description), "wav:%s", r->path);
	r->audio = audio_open(description, err, sizeof(err));
	ck_assert_msg(r->audio != NULL, "%s", err);
	return r;
}

static u32 get32(const u8 *p)
{
	return (u32)(p[0] | p[1] << 8 | p[2] << 16) | (u32)p[3] << 24;
}

static void stop(struct recording *r)
{
	audio_close(r->audio);
	FILE *f = fopen(r->path, "rb");
	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	long n = ftell(f);
	rewind(f);
	r->bytes = malloc((size_t)n);
	ck_assert_uint_eq(fread(r->bytes, 1, (size_t)n, f), (size_t)n);
	fclose(f);
	unlink(r->path);
	ck_assert_int_eq(memcmp(r->bytes, "RIFF", 4), 0);
	ck_assert_uint_eq(get32(r->bytes + 4), (u32)n - 8);
	ck_assert_uint_eq(get32(r->bytes + 24), AUDIO_HZ);
	ck_assert_uint_eq(get32(r->bytes + 40), (u32)n - 44);
	r->samples = (const s16 *)(r->bytes + 44);
	r->frames = (u32)(n - 44) / 4;
}

static void discard(struct recording *r)
{
	free(r->bytes);
	free(r);
}

/* Amplitude of the tone of @hz in frames [@from, @to) of channel @side (Goertzel's algorithm with a Hann window). */
static double tone(const struct recording *r, unsigned side, u32 from, u32 to, double hz)
{
	const double w = 2 * M_PI * hz / AUDIO_HZ, c = 2 * cos(w);
	double s1 = 0, s2 = 0, n = to - from;
	ck_assert_uint_le(to, r->frames);
	for (u32 i = from; i < to; i++) {
		double hann = 1 - cos(2 * M_PI * (i - from) / n);
		double s = r->samples[i * 2 + side] * hann + c * s1 - s2;
		s2 = s1;
		s1 = s;
	}
	return 2 * sqrt(s1 * s1 + s2 * s2 - c * s1 * s2) / n;
}

static double loudness(const struct recording *r, unsigned side, u32 from, u32 to)
{
	double sum = 0;
	for (u32 i = from; i < to; i++)
		sum += (double)r->samples[i * 2 + side] * r->samples[i * 2 + side];
	return sqrt(sum / (to - from));
}

/* Time passes and is heard. */
static void pass(struct board *b, struct recording *r, u64 ns)
{
	for (u64 end = b->now_ns + ns; b->now_ns < end;) {
		board_wait(b, MIN(end - b->now_ns, 2000000));
		audio_advance(r->audio, b->now_ns);
	}
}

#define MS 1000000ull
#define AT(ms) ((u32)((ms)*AUDIO_HZ / 1000))

/* ---- the mixer ---- */

START_TEST(voices_add_and_gaps_are_silent)
{
	struct recording *r = record();
	struct audio_voice *v = audio_voice(r->audio, "one", NULL, NULL);
	struct audio_voice *w = audio_voice(r->audio, "two", NULL, NULL);
	const s16 a[] = {100, -100, 200, -200}, b[] = {30000, 1, 30000, 1};
	audio_write(v, audio_frame_ns(10), a, 2);
	audio_write(w, audio_frame_ns(11), b, 2);
	audio_write(v, audio_frame_ns(11), b, 2); /* clips; follows on by itself */
	audio_advance(r->audio, audio_frame_ns(20));
	stop(r);
	ck_assert_uint_eq(r->frames, 20);
	const s16 want[] = {100, -100, 30200, -199, 32767, 2, 30000, 1};
	ck_assert_mem_eq(r->samples + 20, want, sizeof(want));
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(r->samples[i], 0);
	discard(r);
}
END_TEST

START_TEST(skipped_hours_cost_nothing)
{
	struct recording *r = record();
	audio_advance(r->audio, 600000000000ull);
	stop(r);
	ck_assert_uint_eq(r->frames, 600 * AUDIO_HZ);
	discard(r);
}
END_TEST

START_TEST(the_host_pulls_what_is_there)
{
	char err[100];
	struct audio *a = audio_open("host", err, sizeof(err));
	struct audio_voice *v = audio_voice(a, "one", NULL, NULL);
	s16 in[2048][2], out[1024][2];
	for (unsigned i = 0; i < 2048; i++)
		in[i][0] = in[i][1] = (s16)(i + 1);
	audio_pull(a, out[0], 1024);
	ck_assert_int_eq(out[0][0], 0);
	audio_write(v, 0, in[0], 2048);
	audio_advance(a, audio_frame_ns(2048));
	audio_pull(a, out[0], 1024);
	ck_assert_int_eq(out[1023][1], 1024);
	audio_pull(a, out[0], 1024);
	ck_assert_int_eq(out[1023][1], 2048);
	audio_pull(a, out[0], 1024); /* the guest is late */
	ck_assert_int_eq(out[0][1], 0);
	audio_close(a);
	ck_assert_ptr_null(audio_open("gramophone", err, sizeof(err)));
}
END_TEST

/* ---- the speaker ---- */

static void beep(struct board *b, unsigned hz)
{
	unsigned n = 1193182 / hz;
	outb(b, 0x43, 0xb6);
	outb(b, 0x42, (u8)n);
	outb(b, 0x42, (u8)(n >> 8));
	outb(b, 0x61, inb(b, 0x61) | 3);
}

START_TEST(speaker_plays_the_tone_of_timer_2)
{
	struct recording *r = record();
	struct board *b = board_new_heard(1, r->audio);
	pass(b, r, 100 * MS);
	beep(b, 440);
	pass(b, r, 200 * MS);
	beep(b, 1000);
	pass(b, r, 200 * MS);
	outb(b, 0x61, 0);
	pass(b, r, 200 * MS);
	board_free(b);
	stop(r);
	ck_assert(loudness(r, 0, 0, AT(99)) == 0);
	/* The first harmonic of a square wave of +-4500 is 4/pi as large. */
	ck_assert_double_eq_tol(tone(r, 0, AT(120), AT(290), 440), 5730, 300);
	ck_assert_double_eq_tol(tone(r, 1, AT(120), AT(290), 1320), 1910, 200);
	ck_assert(tone(r, 0, AT(120), AT(290), 880) < 100);
	ck_assert_double_eq_tol(tone(r, 0, AT(320), AT(490), 1000), 5730, 300);
	ck_assert(loudness(r, 0, AT(560), AT(690)) < 40);
	discard(r);
}
END_TEST

/* Programs of the time played samples by pulse width far above hearing: what is heard is the width. */
START_TEST(speaker_plays_pulse_widths)
{
	struct recording *r = record();
	struct board *b = board_new_heard(1, r->audio);
	outb(b, 0x61, 1);
	for (unsigned i = 0; i < 3200; i++) { /* 16 kHz, a sine of 500 Hz */
		double level = 0.5 + 0.4 * sin(2 * M_PI * 500 * i / 16000);
		outb(b, 0x61, 3 & (inb(b, 0x61) | 2));
		board_wait(b, (u64)(level * 62500));
		outb(b, 0x61, 1);
		board_wait(b, 62500 - (u64)(level * 62500));
		audio_advance(r->audio, b->now_ns);
	}
	board_free(b);
	stop(r);
	ck_assert_double_eq_tol(tone(r, 0, AT(50), AT(190), 500), 0.4 * 9000, 300);
	discard(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audio");
	ADD_ALL(s, voices_add_and_gaps_are_silent, skipped_hours_cost_nothing, the_host_pulls_what_is_there,
		speaker_plays_the_tone_of_timer_2, speaker_plays_pulse_widths);
	return run_suite(s);
}
