/* Sound: what the devices play is written to a WAV file and its tones are measured. */
#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "devices/backends/audio.h"
#include "tests/devices/board.h"

struct recording {
	char path[64];
	struct audio *audio;
	u8 *bytes; /* of the file, once it is closed */
	size_t size;
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

/* The file is mapped, not read: what is silent for an hour is a hole of half a gigabyte. */
static void stop(struct recording *r)
{
	audio_close(r->audio);
	int fd = open(r->path, O_RDONLY);
	struct stat st;
	ck_assert(fd >= 0 && !fstat(fd, &st));
	r->size = (size_t)st.st_size;
	r->bytes = mmap(NULL, r->size, PROT_READ, MAP_PRIVATE, fd, 0);
	ck_assert_ptr_ne(r->bytes, MAP_FAILED);
	close(fd);
	unlink(r->path);
	ck_assert_int_eq(memcmp(r->bytes, "RIFF", 4), 0);
	ck_assert_uint_eq(get32(r->bytes + 4), (u32)r->size - 8);
	ck_assert_uint_eq(get32(r->bytes + 24), AUDIO_HZ);
	ck_assert_uint_eq(get32(r->bytes + 40), (u32)r->size - 44);
	r->samples = (const s16 *)(const void *)(r->bytes + 44);
	r->frames = (u32)(r->size - 44) / 4;
}

static void discard(struct recording *r)
{
	munmap(r->bytes, r->size);
	free(r);
}

/* Amplitude of the tone of @hz in frames [@from, @to) of channel @side (Goertzel's algorithm with a
 * Hann window). */
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

#define MS     1000000ull
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

/* Programs of the time played samples by pulse width far above hearing: what is heard is the width.
 */
START_TEST(a_tone_through_a_long_sleep)
{
	struct recording *r = record();
	struct board *b = board_new_heard(1, r->audio);
	beep(b, 440);
	pass(b, r, 100 * MS);
	b->now_ns += 3000000 * MS; /* 50 minutes: only their end is heard */
	audio_advance(r->audio, b->now_ns);
	outb(b, 0x61, 0);
	pass(b, r, 100 * MS);
	board_free(b);
	stop(r);
	ck_assert_uint_eq(r->frames, AUDIO_HZ * 3000u + AT(200));
	ck_assert_double_eq_tol(tone(r, 0, AT(20), AT(90), 440), 5730, 300);
	ck_assert_double_eq_tol(tone(r, 0, AUDIO_HZ * 2999, AUDIO_HZ * 3000, 440), 5730, 300);
	discard(r);
}
END_TEST

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

/* ---- FM ---- */

static void opl(struct board *b, unsigned reg, u8 v)
{
	outb(b, reg & 0x100 ? 0x38a : 0x388, (u8)reg);
	outb(b, reg & 0x100 ? 0x38b : 0x389, v);
}

static struct board *with(const char *device, struct recording *r)
{
	char err[200];
	struct board *b = board_new_heard(1, r ? r->audio : NULL);
	ck_assert_msg(device_create(&b->pc.env, device, NULL, NULL, err, sizeof(err)) != NULL, "%s",
		      err);
	return b;
}

/* How drivers look for the card: timer 1 must overflow in 80 microseconds. */
START_TEST(adlib_is_found_by_its_timers)
{
	struct board *b = with("adlib", NULL);
	opl(b, 4, 0x60);
	opl(b, 4, 0x80);
	ck_assert_uint_eq(inb(b, 0x388) & 0xe0, 0);
	opl(b, 2, 0xff);
	opl(b, 4, 0x21);
	board_wait(b, 70000);
	ck_assert_uint_eq(inb(b, 0x388) & 0xe0, 0);
	board_wait(b, 12000);
	ck_assert_uint_eq(inb(b, 0x388) & 0xe0, 0xc0);
	ck_assert_uint_eq(inb(b, 0x388) & 6, 0); /* an OPL3 */
	opl(b, 4, 0x80);
	ck_assert_uint_eq(inb(b, 0x388) & 0xe0, 0);
	board_wait(b, 81000); /* and goes on */
	ck_assert_uint_eq(inb(b, 0x388) & 0xe0, 0xc0);
	opl(b, 4, 0x60);
	opl(b, 4, 0x80);
	opl(b, 3, 0xfe);
	opl(b, 4, 0x42);
	board_wait(b, 645000);
	ck_assert_uint_eq(inb(b, 0x388), 0xa0);
	board_free(b);
}
END_TEST

/* A plain tone of channel 0: modulator silent, carrier a sine at full level. */
static void plain_tone(struct board *b, unsigned fnum, unsigned block, u8 wave)
{
	opl(b, 1, 0x20);
	opl(b, 0x40, 0x3f);
	opl(b, 0x60, 0xf0);
	opl(b, 0x80, 0x0f);
	opl(b, 0x23, 0x21); /* holds, multiple 1 */
	opl(b, 0x43, 0x00);
	opl(b, 0x63, 0xf0);
	opl(b, 0x83, 0x0f);
	opl(b, 0xe3, wave);
	opl(b, 0xc0, 0x00);
	opl(b, 0xa0, (u8)fnum);
	opl(b, 0xb0, (u8)(0x20 | block << 2 | fnum >> 8));
}

/* Data sheet: frequency = fnum * 2^block * 49716 / 2^20. Full level is an amplitude of 4085. */
START_TEST(fm_plays_the_frequency_of_the_data_sheet)
{
	struct recording *r = record();
	struct board *b = with("adlib", r);
	plain_tone(b, 580, 4, 0);
	pass(b, r, 200 * MS);
	opl(b, 0x43, 8); /* 6 dB down */
	pass(b, r, 200 * MS);
	opl(b, 0xb0, 0); /* key off, released at the fastest rate */
	pass(b, r, 100 * MS);
	board_free(b);
	stop(r);
	const double hz = 580 * 16 * 49716.0 / 1048576;
	ck_assert_double_eq_tol(tone(r, 0, AT(20), AT(190), hz), 4085, 60);
	ck_assert(tone(r, 0, AT(20), AT(190), hz * 2) < 20);
	ck_assert(tone(r, 0, AT(20), AT(190), hz * 1.05) < 40);
	ck_assert_double_eq_tol(tone(r, 1, AT(220), AT(390), hz), 4085 / 1.995, 40);
	ck_assert(loudness(r, 0, AT(450), AT(490)) == 0);
	discard(r);
}
END_TEST

/* Each wave form's mean and second harmonic: what tells them apart. */
START_TEST(fm_wave_forms)
{
	static const double mean[8] = {0, 1 / M_PI, 2 / M_PI, 1 / M_PI, 0, 1 / M_PI, 0, 0};
	struct recording *r = record();
	struct board *b = with("adlib", r);
	opl(b, 0x105, 1);
	plain_tone(b, 580, 4, (u8)_i);
	opl(b, 0xc0, 0x30);
	pass(b, r, 200 * MS);
	board_free(b);
	stop(r);
	double sum = 0, most = 0, least = 0;
	const u32 from = AT(20), period = (u32)lround(AUDIO_HZ / (580 * 16 * 49716.0 / 1048576));
	for (u32 i = from; i < from + period * 60; i++) {
		sum += r->samples[i * 2];
		most = fmax(most, r->samples[i * 2]);
		least = fmin(least, r->samples[i * 2]);
	}
	ck_assert_double_eq_tol(sum / (period * 60) / 4085, mean[_i], 0.02);
	ck_assert_double_eq_tol(most, 4085, 450); /* jumps are smoothed */
	bool below = _i == 0 || _i == 4 || _i >= 6;
	ck_assert_double_eq_tol(least, below ? -4085 : 0, 450);
	discard(r);
}
END_TEST

/* With modulation there are side bands at the modulator's distance; OPL3 panning silences a side.
 */
START_TEST(fm_modulates_and_pans)
{
	struct recording *r = record();
	struct board *b = with("adlib", r);
	opl(b, 0x105, 1);
	plain_tone(b, 580, 4, 0);
	opl(b, 0x20, 0x22); /* modulator: multiple 2 */
	opl(b, 0x40, 0x20); /* a quarter of a period */
	opl(b, 0x80, 0x00);
	opl(b, 0xc0, 0x10); /* left */
	opl(b, 0xb0, 0);
	opl(b, 0xb0, 0x20 | 4 << 2 | 580 >> 8);
	pass(b, r, 300 * MS);
	board_free(b);
	stop(r);
	const double hz = 580 * 16 * 49716.0 / 1048576;
	ck_assert(tone(r, 0, AT(50), AT(290), hz * 3) > 500);
	ck_assert(tone(r, 0, AT(50), AT(290), hz * 2) < 30);
	ck_assert(loudness(r, 1, AT(50), AT(290)) == 0);
	discard(r);
}
END_TEST

/* Decay of 96 dB at rate 4n: the data sheet gives 39280 ms halved with each 4 of the rate. Here:
 * down by 24 dB. */
START_TEST(fm_envelopes_fall_as_fast_as_they_should)
{
	struct recording *r = record();
	struct board *b = with("adlib", r);
	plain_tone(b, 580, 4, 0);
	opl(b, 0x63, 0xf7); /* rate 4 * 7 + key code 9 >> 2 = 30 */
	opl(b, 0x83, 0xff);
	opl(b, 0xb0, 0);
	board_wait(b, 1 * MS);
	opl(b, 0xb0, 0x20 | 4 << 2 | 580 >> 8);
	pass(b, r, 500 * MS);
	board_free(b);
	stop(r);
	double start = tone(r, 0, AT(10), AT(40), 440), later = tone(r, 0, AT(210), AT(240), 440);
	/* rate 30: 39280 ms / 2^6 / 1.5, 96 dB: 0.2346 dB a ms */
	ck_assert_double_eq_tol(20 * log10(start / later), 200 * 96 / (39280 / 64.0 / 1.5), 6);
	discard(r);
}
END_TEST

START_TEST(fm_drums_sound)
{
	struct recording *r = record();
	struct board *b = with("adlib", r);
	for (unsigned i = 0x10; i < 0x16; i++) {
		opl(b, 0x20 + i, 0x01);
		opl(b, 0x40 + i, 0x00);
		opl(b, 0x60 + i, 0xf6);
		opl(b, 0x80 + i, 0x06);
	}
	for (unsigned c = 6; c < 9; c++) {
		opl(b, 0xa0 + c, 0x57);
		opl(b, 0xb0 + c, 0x09);
	}
	for (unsigned bit = 0; bit < 5; bit++) {
		opl(b, 0xbd, (u8)(0x20 | 1u << bit));
		pass(b, r, 50 * MS);
		opl(b, 0xbd, 0x20);
		pass(b, r, 450 * MS);
	}
	board_free(b);
	stop(r);
	for (unsigned bit = 0; bit < 5; bit++) {
		ck_assert_msg(loudness(r, 0, AT(bit * 500 + 2), AT(bit * 500 + 40)) > 300,
			      "drum %u is silent", bit);
		ck_assert_msg(loudness(r, 0, AT(bit * 500 + 400), AT(bit * 500 + 490)) < 100,
			      "drum %u goes on", bit);
	}
	discard(r);
}
END_TEST

/* ---- Sound Blaster 16 ---- */

static void dsp(struct board *b, u8 v)
{
	ck_assert_uint_eq(inb(b, 0x22c) & 0x80, 0);
	outb(b, 0x22c, v);
}

static int dsp_answer(struct board *b)
{
	return inb(b, 0x22e) & 0x80 ? inb(b, 0x22a) : -1;
}

static void dsp_reset(struct board *b)
{
	outb(b, 0x226, 1);
	board_wait(b, 5000);
	outb(b, 0x226, 0);
	board_wait(b, 100000);
	ck_assert_int_eq(dsp_answer(b), 0xaa);
}

static u8 mixer(struct board *b, u8 reg)
{
	outb(b, 0x224, reg);
	return inb(b, 0x225);
}

static void set_mixer(struct board *b, u8 reg, u8 v)
{
	outb(b, 0x224, reg);
	outb(b, 0x225, v);
}

/* Channel 1 (bytes) or 5 (words) over @bytes at @at. */
static void program_dma(struct board *b, unsigned channel, u32 at, u32 bytes, bool again)
{
	bool words = channel > 3;
	const u8 mode = (u8)(0x48 | (again ? 0x10 : 0) | (channel & 3));
	const u16 base = (u16)(words ? at >> 1 & 0xffff : at),
		  count = (u16)((words ? bytes / 2 : bytes) - 1);
	const u16 ports = words ? 0xc0 : 0, step = words ? 2 : 1;
	outb(b, words ? 0xd4 : 0x0a, (u8)(4 | (channel & 3)));
	outb(b, words ? 0xd8 : 0x0c, 0);
	outb(b, words ? 0xd6 : 0x0b, mode);
	outb(b, (u16)(ports + (channel & 3) * 2 * step), (u8)base);
	outb(b, (u16)(ports + (channel & 3) * 2 * step), (u8)(base >> 8));
	outb(b, words ? 0x8b : 0x83, (u8)(at >> 16));
	outb(b, (u16)(ports + ((channel & 3) * 2 + 1) * step), (u8)count);
	outb(b, (u16)(ports + ((channel & 3) * 2 + 1) * step), (u8)(count >> 8));
	outb(b, words ? 0xd4 : 0x0a, (u8)(channel & 3));
}

START_TEST(sb16_answers_as_a_4_05)
{
	struct board *b = with("sb16", NULL);
	dsp_reset(b);
	dsp(b, 0xe1);
	ck_assert_int_eq(dsp_answer(b), 4);
	ck_assert_int_eq(dsp_answer(b), 5);
	dsp(b, 0xe0);
	dsp(b, 0x5a);
	ck_assert_int_eq(dsp_answer(b), 0xa5);
	dsp(b, 0xe4);
	dsp(b, 0x77);
	dsp(b, 0xe8);
	ck_assert_int_eq(dsp_answer(b), 0x77);
	ck_assert_int_eq(dsp_answer(b), -1);
	ck_assert_uint_eq(mixer(b, 0x80) & 15, 2); /* IRQ 5 */
	ck_assert_uint_eq(mixer(b, 0x81), 0x22);   /* DMA 1 and 5 */
	set_mixer(b, 0x22, 0x9c);                  /* the SB Pro's master is the SB16's */
	ck_assert_uint_eq(mixer(b, 0x30) >> 4, 9);
	ck_assert_uint_eq(mixer(b, 0x31) >> 4, 12);
	outb(b, 0x331, 0xff);
	ck_assert_uint_eq(inb(b, 0x331) & 0x80, 0);
	ck_assert_uint_eq(inb(b, 0x330), 0xfe);
	outb(b, 0x331, 0x3f);
	ck_assert_uint_eq(inb(b, 0x330), 0xfe);
	board_free(b);
}
END_TEST

START_TEST(sb16_interrupts_where_it_is_told)
{
	struct board *b = with("sb16", NULL);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0);
	dsp_reset(b);
	dsp(b, 0xf2);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(mixer(b, 0x82) & 7, 1);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	outb(b, 0x20, 0x20);
	inb(b, 0x22e);
	ck_assert_uint_eq(mixer(b, 0x82) & 7, 0);
	set_mixer(b, 0x80, 0x04); /* IRQ 7 */
	dsp(b, 0xf3);
	ck_assert_uint_eq(mixer(b, 0x82) & 7, 2);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x27);
	outb(b, 0x20, 0x20);
	inb(b, 0x22f);
	ck_assert_uint_eq(mixer(b, 0x82) & 7, 0);
	board_free(b);
}
END_TEST

static void sine(struct board *b, u32 at, unsigned bytes, unsigned bits, unsigned channels,
		 double turns)
{
	unsigned frames = bytes / (bits / 8 * channels);
	for (unsigned i = 0; i < frames; i++)
		for (unsigned c = 0; c < channels; c++) {
			double v = 0.9 * sin(2 * M_PI * turns * (c + 1) * i / frames);
			if (bits == 8) {
				b->ram[at + i * channels + c] = (u8)(128 + lround(v * 127));
			} else {
				s16 x = (s16)lround(v * 32767);
				memcpy(b->ram + at + (i * channels + c) * 2, &x, 2);
			}
		}
}

/* Full volume, so that amplitudes come through as they are. */
static void loud(struct board *b)
{
	for (u8 r = 0x30; r < 0x36; r++)
		set_mixer(b, r, 0xf8);
}

START_TEST(sb_plays_8_bit_blocks_by_time_constant)
{
	struct recording *r = record();
	struct board *b = with("sb16", r);
	dsp_reset(b);
	loud(b);
	sine(b, 0x10000, 4000, 8, 1, 160); /* 10 kHz for 0.4 s: 400 Hz */
	program_dma(b, 1, 0x10000, 4000, false);
	dsp(b, 0x40);
	dsp(b, 156); /* 100 us */
	dsp(b, 0xd1);
	dsp(b, 0x14);
	dsp(b, (u8)3999);
	dsp(b, 3999 >> 8);
	pass(b, r, 399 * MS);
	ck_assert_uint_eq(mixer(b, 0x82) & 1, 0); /* not before the last sample */
	pass(b, r, 2 * MS);
	ck_assert_uint_eq(mixer(b, 0x82) & 1, 1);
	pass(b, r, 200 * MS);
	board_free(b);
	stop(r);
	ck_assert_double_eq_tol(tone(r, 0, AT(50), AT(350), 400), 0.9 * 32512, 600);
	ck_assert(loudness(r, 0, AT(460), AT(590)) < 10);
	discard(r);
}
END_TEST

START_TEST(sb16_plays_16_bit_stereo_for_ever)
{
	struct recording *r = record();
	struct board *b = with("sb16", r);
	unsigned interrupts = 0;
	dsp_reset(b);
	loud(b);
	sine(b, 0x20000, 8800, 16, 2, 22); /* 22050 Hz: 220.5 Hz left, 441 Hz right */
	program_dma(b, 5, 0x20000, 8800, true);
	dsp(b, 0x41);
	dsp(b, 22050 >> 8);
	dsp(b, (u8)22050);
	dsp(b, 0xb6); /* automatic, FIFO */
	dsp(b, 0x30); /* stereo, signed */
	dsp(b, (u8)2199);
	dsp(b, 2199 >> 8); /* half the buffer: 20 interrupts a second */
	for (unsigned i = 0; i < 1000; i++) {
		pass(b, r, 1 * MS);
		if (mixer(b, 0x82) & 2) {
			interrupts++;
			inb(b, 0x22f);
		}
	}
	ck_assert_uint_ge(interrupts, 19);
	ck_assert_uint_le(interrupts, 20);
	dsp(b, 0xd5);
	pass(b, r, 100 * MS);
	dsp(b, 0xd6);
	pass(b, r, 100 * MS);
	dsp(b, 0xd9); /* ends after this block */
	pass(b, r, 300 * MS);
	board_free(b);
	stop(r);
	ck_assert_double_eq_tol(tone(r, 0, AT(50), AT(950), 220.5), 0.9 * 32767, 500);
	ck_assert(tone(r, 0, AT(50), AT(950), 441) < 100);
	ck_assert_double_eq_tol(tone(r, 1, AT(50), AT(950), 441), 0.9 * 32767, 500);
	ck_assert(loudness(r, 0, AT(1030), AT(1110)) < 10);
	ck_assert(loudness(r, 0, AT(1130), AT(1210)) > 10000);
	ck_assert(loudness(r, 0, AT(1400), AT(1490)) < 10);
	discard(r);
}
END_TEST

START_TEST(sb_direct_samples_and_silence_blocks)
{
	struct recording *r = record();
	struct board *b = with("sb16", r);
	dsp_reset(b);
	loud(b);
	for (unsigned i = 0; i < 1600; i++) { /* 8 kHz by hand: 250 Hz */
		dsp(b, 0x10);
		dsp(b, (u8)(128 + lround(100 * sin(2 * M_PI * 250 * i / 8000))));
		pass(b, r, 125000);
	}
	dsp(b, 0x40);
	dsp(b, 256 - 125);
	dsp(b, 0x80);
	dsp(b, (u8)799);
	dsp(b, 799 >> 8);
	pass(b, r, 99 * MS);
	ck_assert_uint_eq(mixer(b, 0x82) & 1, 0);
	pass(b, r, 2 * MS);
	ck_assert_uint_eq(mixer(b, 0x82) & 1, 1);
	board_free(b);
	stop(r);
	ck_assert_double_eq_tol(tone(r, 0, AT(40), AT(200), 250), 25600, 700);
	discard(r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("audio");
	ADD_ALL(s, voices_add_and_gaps_are_silent, skipped_hours_cost_nothing,
		the_host_pulls_what_is_there, speaker_plays_the_tone_of_timer_2,
		speaker_plays_pulse_widths, a_tone_through_a_long_sleep,
		adlib_is_found_by_its_timers,
		fm_plays_the_frequency_of_the_data_sheet, fm_modulates_and_pans,
		fm_envelopes_fall_as_fast_as_they_should, fm_drums_sound, sb16_answers_as_a_4_05,
		sb16_interrupts_where_it_is_told, sb_plays_8_bit_blocks_by_time_constant,
		sb16_plays_16_bit_stereo_for_ever, sb_direct_samples_and_silence_blocks);
	TCase *waves = tcase_create("wave forms");
	tcase_add_loop_test(waves, fm_wave_forms, 0, 8);
	suite_add_tcase(s, waves);
	return run_suite(s);
}
