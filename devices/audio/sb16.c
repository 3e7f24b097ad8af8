/*
 * Creative Sound Blaster 16, after the "Sound Blaster Series Hardware Programming Guide" (Creative,
 * 1996): DSP 4.05 with direct, 8- and 16-bit DMA output, single-cycle, auto-initialise and high
 * speed, the older cards' commands and time constants, 4-, 2.6- and 2-bit ADPCM; mixer CT1745;
 * OPL3; MPU-401 in UART mode. Resources are settings, and the guest may change them through the
 * mixer (80h, 81h). A block's interrupt comes when its last sample has sounded in virtual time,
 * whether somebody hears it or not. Recording gives silence. Not modelled: the advanced signal
 * processor, MIDI out (bytes vanish), tone and gain controls, CD and line inputs.
 */
#include "devices/audio/opl3.h"
#include "devices/chipset/dma8237.h"
#include "devices/device.h"

#define VERSION_MAJOR 4
#define VERSION_MINOR 5
#define OUT_BYTES     64
#define CHUNK_NS      2000000u /* DMA is carried out in pieces of this length */
#define CHUNK_BYTES   512u
#define IRQS          4u
#define LATENCY                                                                                    \
	882u /* frames: what is fetched now sounds 20 ms later, so that the mixer never overtakes  \
		it */

#define IRQ_8   0x01u /* mixer 82h */
#define IRQ_16  0x02u
#define IRQ_MPU 0x04u

enum dma_kind { DMA_NONE, DMA_PCM, DMA_ADPCM4, DMA_ADPCM26, DMA_ADPCM2 };

struct sb16 {
	struct device dev;
	struct irq_line irq[IRQS]; /* IRQ 2 (9), 5, 7, 10: one of them is driven */
	struct timer timer;
	struct opl3 opl;
	u64 iobase, irq_setting, dma_setting, dma16_setting, mpu;
	u64 start_ns; /* when the present piece of DMA began to sound */
	u64 piece_ns; /* how long it lasts */
	struct device *dma;
	struct audio_voice *voice;
	u64 frames; /* position of the next frame in the mixer's samples */
	s16 last[2], before[2];
	u64 part;        /* between the two, 0.32 */
	u32 rate;        /* Hz */
	u32 block, left; /* bytes of a block; of the one under way */
	u16 opl_index;
	u8 command, args[4], argc, need; /* being received */
	u8 out[OUT_BYTES], out_head, out_tail;
	u8 mixer_index, mixer[256];
	u8 irqs; /* IRQ_* waiting */
	u8 kind, test;
	u8 adpcm_step, adpcm_sample;
	u8 reset_line, e2_sum, e2_count;
	bool bits16, is_signed, stereo, input, automatic, last_block, paused, speaker_on, reference,
	    silence;
	u8 mpu_out[4], mpu_head, mpu_tail;
	bool mpu_uart;
	u8 pad[7];
};

/* clang-format off */
#define SB16_FIELDS(V, S, H, P) \
	H(dev) V(irq) V(timer) S(opl, opl3_snapshot) H(iobase) H(irq_setting) H(dma_setting) H(dma16_setting) H(mpu) \
	V(start_ns) V(piece_ns) H(dma) H(voice) H(frames) H(last) H(before) H(part) V(rate) V(block) V(left) V(opl_index) \
	V(command) V(args) V(argc) V(need) V(out) V(out_head) V(out_tail) V(mixer_index) V(mixer) V(irqs) V(kind) V(test) \
	V(adpcm_step) V(adpcm_sample) V(reset_line) V(e2_sum) V(e2_count) V(bits16) V(is_signed) V(stereo) V(input) \
	V(automatic) V(last_block) V(paused) V(speaker_on) V(reference) V(silence) V(mpu_out) V(mpu_head) V(mpu_tail) \
	V(mpu_uart) H(pad)
/* clang-format on */

static u64 now(const struct sb16 *s)
{
	return clock_now(s->dev.env->clock);
}

/* ---- interrupts ----------------------------------------------------------------------------- */

static const u8 irq_number[IRQS] = {9, 5, 7, 10};

static void update_irq(struct sb16 *s)
{
	for (unsigned i = 0; i < IRQS; i++)
		irq_set(&s->irq[i], s->irqs && s->mixer[0x80] >> i & 1);
}

static void raise_irq(struct sb16 *s, u8 which)
{
	s->irqs |= which;
	update_irq(s);
}

static void acknowledge(struct sb16 *s, u8 which)
{
	s->irqs &= (u8)~which;
	update_irq(s);
}

/* ---- output samples ------------------------------------------------------------------------- */

/* Register 30h-33h: five bits, 2 dB each; 31 is 0 dB. In 1/256. */
static s32 gain(u8 reg)
{
	static const s32 half_steps[6] = {256, 203, 161,
					  128, 102, 81}; /* -2 dB each; three are a half */
	unsigned down = 31 - (reg >> 3);
	return reg >> 3 ? half_steps[down % 3] >> down / 3 : 0;
}

static s32 volume_of(const struct sb16 *s, unsigned reg, unsigned side)
{
	return gain(s->mixer[reg + side]) * gain(s->mixer[0x30 + side]) / 256;
}

static void set_volumes(struct sb16 *s)
{
	opl3_volume(&s->opl, now(s), volume_of(s, 0x34, 0) * 2, volume_of(s, 0x34, 1) * 2);
}

static s16 scaled(s32 v, s32 volume)
{
	v = v * volume / 256;
	return (s16)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

/* One frame of the card at its rate becomes the frames of the mixer up to it. */
static void put_frame(struct sb16 *s, s16 left, s16 right)
{
	s16 out[16][2];
	const s32 vol[2] = {volume_of(s, 0x32, 0), volume_of(s, 0x32, 1)};
	u32 n = 0;
	if (!s->voice)
		return;
	memcpy(s->before, s->last, sizeof(s->last));
	s->last[0] = left;
	s->last[1] = right;
	const u64 step = ((u64)s->rate << 32) / AUDIO_HZ;
	for (; s->part < 1ull << 32; s->part += step) {
		const s32 part = (s32)(s->part >> 24);
		for (unsigned side = 0; side < 2; side++)
			out[n][side] =
			    scaled(s->before[side] + (s->last[side] - s->before[side]) * part / 256,
				   vol[side]);
		if (++n == ARRAY_SIZE(out)) {
			audio_write(s->voice, audio_frame_ns(s->frames), out[0], n);
			s->frames += n;
			n = 0;
		}
	}
	s->part -= 1ull << 32;
	audio_write(s->voice, audio_frame_ns(s->frames), out[0], n);
	s->frames += n;
}

static s16 of_8(const struct sb16 *s, u8 v)
{
	return (s16)((s->is_signed ? (s8)v : (s32)v - 128) * 256);
}

/* The older cards' compression: a nibble, three or two bits say how far the last sample moves; the
 * step follows their size. */
static s16 adpcm(struct sb16 *s, unsigned v, unsigned bits)
{
	const unsigned sign = v >> (bits - 1) & 1, size = v & ((1u << (bits - 1)) - 1);
	const unsigned most = bits == 4 ? 5 : bits == 3 ? 3 : 1;
	const unsigned shift = s->adpcm_step;
	s32 delta = (s32)((size << shift) + (1u << shift >> 1));
	s32 sample = s->adpcm_sample + (sign ? -delta : delta);
	s->adpcm_sample = (u8)(sample < 0 ? 0 : sample > 255 ? 255 : sample);
	if (size >= most && s->adpcm_step < (bits == 2 ? 5u : 3u))
		s->adpcm_step++;
	else if (!size && s->adpcm_step)
		s->adpcm_step--;
	return (s16)((s->adpcm_sample - 128) * 256);
}

static void put_adpcm(struct sb16 *s, u8 v)
{
	const unsigned bits = s->kind == DMA_ADPCM4 ? 4 : s->kind == DMA_ADPCM26 ? 3 : 2;
	if (s->reference) { /* the first byte is a sample */
		s->reference = false;
		s->adpcm_sample = v;
		s->adpcm_step = 0;
		return;
	}
	for (unsigned at = 8; at >= (bits == 3 ? 2 : bits);) {
		unsigned take = MIN(bits, at);
		at -= take;
		s16 x = adpcm(s, (v >> at & ((1u << take) - 1)) << (bits - take), bits);
		put_frame(s, x, x);
		if (!at)
			break;
	}
}

static void put_bytes(struct sb16 *s, const u8 *p, u32 n)
{
	const u32 unit = (s->bits16 ? 2u : 1u) << s->stereo;
	const u16 flip = s->is_signed ? 0 : 0x8000;
	if (s->kind != DMA_PCM) {
		for (u32 i = 0; i < n; i++)
			put_adpcm(s, p[i]);
		return;
	}
	for (u32 i = 0; i + unit <= n; i += unit) {
		const u8 *q = p + i;
		s16 l, r;
		if (s->bits16) {
			l = (s16)((q[0] | q[1] << 8) ^ flip);
			r = s->stereo ? (s16)((q[2] | q[3] << 8) ^ flip) : l;
		} else {
			l = of_8(s, q[0]);
			r = s->stereo ? of_8(s, q[1]) : l;
		}
		put_frame(s, l, r);
	}
}

/* ---- DMA ------------------------------------------------------------------------------------ */

/* Samples in 2 bytes of ADPCM: 4, 5.3 and 8. Bytes a second at the present setting, times three. */
static u64 bytes_x3(const struct sb16 *s)
{
	const u64 r = s->rate;
	switch (s->kind) {
	case DMA_ADPCM4: return r * 3 / 2;
	case DMA_ADPCM26: return r;
	case DMA_ADPCM2: return r * 3 / 4;
	default: return r * 3 * (s->bits16 ? 2 : 1) << s->stereo;
	}
}

static unsigned channel(const struct sb16 *s)
{
	const u8 v = s->mixer[0x81];
	if (s->bits16)
		return v & 0x20 ? 5 : v & 0x40 ? 6 : v & 0x80 ? 7 : v & 1 ? 0 : v & 2 ? 1 : 3;
	return v & 1 ? 0 : v & 2 ? 1 : 3;
}

static void arm(struct sb16 *s)
{
	u64 rate = MAX(bytes_x3(s), 1), n = MIN(s->left, MAX(rate * CHUNK_NS / 3000000000u, 1));
	n = MIN(n, CHUNK_BYTES);
	if (s->kind == DMA_PCM) /* whole frames: 16 bits, stereo */
		n = MIN(s->left, (n + 3) & ~3ull);
	s->piece_ns = n * 3000000000u / rate;
	timer_arm(&s->timer, s->start_ns + s->piece_ns);
}

static void end_dma(struct sb16 *s)
{
	s->kind = DMA_NONE;
	timer_disarm(&s->timer);
}

static void block_done(struct sb16 *s)
{
	if (!s->automatic || s->last_block)
		end_dma(s);
	else
		s->left = s->block;
	s->last_block = false;
	raise_irq(s, s->bits16 ? IRQ_16 : IRQ_8);
}

/* Moves the bytes of the piece whose time is over. */
static void fetch(struct sb16 *s)
{
	u8 data[CHUNK_BYTES];
	u64 rate = MAX(bytes_x3(s), 1);
	u32 n = (u32)MIN((s->piece_ns * rate + 2999999999u) / 3000000000u,
			 MIN(s->left, CHUNK_BYTES)),
	    got = 0;
	memset(data, s->is_signed || s->bits16 ? 0 : 0x80, sizeof(data));
	while (got < n && s->dma && !s->silence) {
		u32 more =
		    dma8237_transfer(s->dma, channel(s), data + got, n - got, s->input, NULL);
		if (!more)
			break;
		got += more;
	}
	/* A masked channel does not answer: the card waits, and so does its interrupt. */
	if (got < n && s->dma && !s->silence)
		n = got;
	if (!s->input)
		put_bytes(s, data, n);
	s->left -= n;
}

static void dma_fire(void *ctx)
{
	struct sb16 *s = ctx;
	if (s->kind == DMA_NONE || s->paused)
		return;
	fetch(s);
	s->start_ns += s->piece_ns;
	if (!s->left)
		block_done(s);
	if (s->kind != DMA_NONE)
		arm(s);
}

static void begin(struct sb16 *s)
{
	s->left = s->block;
	s->paused = s->last_block = false;
	s->start_ns = now(s);
	s->frames = audio_frame_at(s->start_ns) + LATENCY;
	arm(s);
}

static void start_dma(struct sb16 *s, enum dma_kind kind, u32 bytes, bool automatic)
{
	s->kind = (u8)kind;
	s->block = bytes;
	s->automatic = automatic;
	s->silence = false;
	begin(s);
}

/* The older commands: 8 bits unsigned, stereo by the SB Pro's mixer bit (0Eh). */
static void old_dma(struct sb16 *s, enum dma_kind kind, u32 bytes, bool automatic, bool input)
{
	s->bits16 = s->is_signed = false;
	s->stereo = kind == DMA_PCM && s->mixer[0x0e] & 2;
	s->input = input;
	start_dma(s, kind, bytes, automatic);
}

/* Bxh, Cxh: bit 3 recording, bit 2 automatic; mode bit 5 stereo, bit 4 signed. */
static void new_dma(struct sb16 *s)
{
	u32 samples = (u32)(s->args[1] | s->args[2] << 8) + 1;
	s->bits16 = s->command < 0xc0;
	s->input = s->command & 8;
	s->is_signed = s->args[0] & 0x10;
	s->stereo = s->args[0] & 0x20;
	start_dma(s, DMA_PCM, samples << s->bits16, s->command & 4);
}

static void set_pause(struct sb16 *s, bool bits16, bool on)
{
	if (s->kind == DMA_NONE || s->bits16 != bits16 || s->paused == on)
		return;
	s->paused = on;
	if (on) {
		timer_disarm(&s->timer);
		return;
	}
	s->start_ns = now(s);
	s->frames = audio_frame_at(s->start_ns) + LATENCY;
	arm(s);
}

/* ---- the DSP's commands --------------------------------------------------------------------- */

static void say(struct sb16 *s, u8 v)
{
	if ((u8)(s->out_head - s->out_tail) < OUT_BYTES)
		s->out[s->out_head++ % OUT_BYTES] = v;
}

static void say_text(struct sb16 *s, const char *text)
{
	do
		say(s, (u8)*text);
	while (*text++);
}

static u32 clamp_rate(u32 hz)
{
	return hz < 1000 ? 1000 : hz > 48000 ? 48000 : hz;
}

/* 40h: microseconds of a byte below 256; in SB Pro stereo two bytes make a frame. */
static void time_constant(struct sb16 *s, u8 v)
{
	u32 bytes = 1000000u / (256u - v);
	s->rate = clamp_rate(s->mixer[0x0e] & 2 ? bytes / 2 : bytes);
}

static u8 arguments(u8 command)
{
	switch (command) {
	case 0x10:
	case 0x38:
	case 0x40:
	case 0xe0:
	case 0xe2:
	case 0xe4:
	case 0x04:
	case 0x0f: return 1;
	case 0x05:
	case 0x0e:
	case 0x14:
	case 0x15:
	case 0x16:
	case 0x17:
	case 0x24:
	case 0x41:
	case 0x42:
	case 0x48:
	case 0x74 ... 0x77:
	case 0x80: return 2;
	case 0xb0 ... 0xcf: return 3;
	default: return 0;
	}
}

/* E2h: an answer worked out bit by bit, written to memory by DMA: how drivers tell the genuine
 * card. */
static void identify_by_dma(struct sb16 *s, u8 v)
{
	static const s16 weight[4][9] = {{0x01, -0x02, -0x04, 0x08, -0x10, 0x20, 0x40, -0x80, -106},
					 {-0x01, 0x02, -0x04, 0x08, 0x10, -0x20, 0x40, -0x80, 165},
					 {-0x01, 0x02, 0x04, -0x08, 0x10, -0x20, -0x40, 0x80, -151},
					 {0x01, -0x02, 0x04, -0x08, -0x10, 0x20, -0x40, 0x80, 90}};
	const s16 *w = weight[s->e2_count++ & 3];
	for (unsigned i = 0; i < 8; i++)
		if (v >> i & 1)
			s->e2_sum = (u8)(s->e2_sum + w[i]);
	s->e2_sum = (u8)(s->e2_sum + w[8]);
	s->bits16 = false;
	if (s->dma)
		(void)dma8237_transfer(s->dma, channel(s), &s->e2_sum, 1, true, NULL);
}

static void direct(struct sb16 *s, u8 v)
{
	const u64 t = now(s);
	s16 x = (s16)((v - 128) * 256), out[2];
	if (!s->voice)
		return;
	/* Holds until the next: filled up to here with the one before. */
	u64 frame = audio_frame_at(t) + LATENCY;
	if (frame - s->frames > AUDIO_HZ / 20)
		s->frames = frame;
	for (; s->frames < frame; s->frames++) {
		for (unsigned side = 0; side < 2; side++)
			out[side] = scaled(s->last[side], volume_of(s, 0x32, side));
		audio_write(s->voice, audio_frame_ns(s->frames), out, 1);
	}
	s->last[0] = s->last[1] = x;
}

static void execute(struct sb16 *s)
{
	const u32 word = (u32)(s->args[0] | s->args[1] << 8);
	switch (s->command) {
	case 0x10: direct(s, s->args[0]); break;
	case 0x14:
	case 0x15: old_dma(s, DMA_PCM, word + 1, false, false); break;
	case 0x16: old_dma(s, DMA_ADPCM2, word + 1, false, false); break;
	case 0x17:
		s->reference = true;
		old_dma(s, DMA_ADPCM2, word + 1, false, false);
		break;
	case 0x1c:
	case 0x90: old_dma(s, DMA_PCM, s->block, true, false); break;
	case 0x1f:
		s->reference = true;
		old_dma(s, DMA_ADPCM2, s->block, true, false);
		break;
	case 0x20: say(s, 0x80); break;
	case 0x24: old_dma(s, DMA_PCM, word + 1, false, true); break;
	case 0x2c:
	case 0x98: old_dma(s, DMA_PCM, s->block, true, true); break;
	case 0x40: time_constant(s, s->args[0]); break;
	case 0x41:
	case 0x42: s->rate = clamp_rate((u32)(s->args[0] << 8 | s->args[1])); break;
	case 0x48: s->block = word + 1; break;
	case 0x74: old_dma(s, DMA_ADPCM4, word + 1, false, false); break;
	case 0x75:
		s->reference = true;
		old_dma(s, DMA_ADPCM4, word + 1, false, false);
		break;
	case 0x76: old_dma(s, DMA_ADPCM26, word + 1, false, false); break;
	case 0x77:
		s->reference = true;
		old_dma(s, DMA_ADPCM26, word + 1, false, false);
		break;
	case 0x7d:
		s->reference = true;
		old_dma(s, DMA_ADPCM4, s->block, true, false);
		break;
	case 0x7f:
		s->reference = true;
		old_dma(s, DMA_ADPCM26, s->block, true, false);
		break;
	case 0x80: /* silence: an interrupt after so many samples, no DMA */
		s->bits16 = s->stereo = false;
		start_dma(s, DMA_PCM, word + 1, false);
		s->silence = true;
		break;
	case 0x91: old_dma(s, DMA_PCM, s->block, false, false); break;
	case 0x99: old_dma(s, DMA_PCM, s->block, false, true); break;
	case 0xa0: s->mixer[0x0e] &= (u8)~2; break;
	case 0xa8: s->mixer[0x0e] |= 2; break;
	case 0xb0 ... 0xcf: new_dma(s); break;
	case 0xd0: set_pause(s, false, true); break;
	case 0xd1: s->speaker_on = true; break;
	case 0xd3: s->speaker_on = false; break;
	case 0xd4: set_pause(s, false, false); break;
	case 0xd5: set_pause(s, true, true); break;
	case 0xd6: set_pause(s, true, false); break;
	case 0xd8: say(s, s->speaker_on ? 0xff : 0); break;
	case 0xd9:
	case 0xda: s->last_block = true; break; /* the present block ends it */
	case 0xe0: say(s, (u8)~s->args[0]); break;
	case 0xe1:
		say(s, VERSION_MAJOR);
		say(s, VERSION_MINOR);
		break;
	case 0xe2: identify_by_dma(s, s->args[0]); break;
	case 0xe3: say_text(s, "COPYRIGHT (C) CREATIVE TECHNOLOGY LTD, 1992."); break;
	case 0xe4: s->test = s->args[0]; break;
	case 0xe8: say(s, s->test); break;
	case 0xf2: raise_irq(s, IRQ_8); break;
	case 0xf3: raise_irq(s, IRQ_16); break;
	case 0xf8: say(s, 0); break;
	case 0x38: break; /* MIDI out */
	case 0x04 ... 0x05:
	case 0x0e ... 0x0f: break; /* the signal processor, which is not there */
	default:
		log_unimplemented(s->dev.env->log, "Sound Blaster DSP command %02xh", s->command);
		break;
	}
}

static void dsp_write(struct sb16 *s, u8 v)
{
	if (s->need) {
		s->args[s->argc++] = v;
		if (--s->need == 0)
			execute(s);
		return;
	}
	s->command = v;
	s->argc = 0;
	s->need = arguments(v);
	if (!s->need)
		execute(s);
}

static void dsp_reset(struct sb16 *s)
{
	end_dma(s);
	s->need = s->argc = 0;
	s->out_head = s->out_tail = 0;
	s->paused = s->last_block = s->automatic = s->speaker_on = s->silence = false;
	s->bits16 = s->stereo = s->is_signed = s->input = s->reference = false;
	s->rate = 11025;
	s->block = 0x800;
	s->e2_sum = 0xaa;
	s->e2_count = 0;
	acknowledge(s, IRQ_8 | IRQ_16);
}

/* ---- mixer ---------------------------------------------------------------------------------- */

static void mixer_reset(struct sb16 *s)
{
	const u8 irq = s->mixer[0x80], dma = s->mixer[0x81];
	memset(s->mixer, 0, sizeof(s->mixer));
	for (unsigned r = 0x30; r < 0x36; r++)
		s->mixer[r] = 0xc0; /* master, voice, MIDI: 24 of 31 */
	s->mixer[0x3c] = 0x1f;
	s->mixer[0x3d] = 0x15;
	s->mixer[0x3e] = 0x0b;
	s->mixer[0x44] = s->mixer[0x45] = s->mixer[0x46] = s->mixer[0x47] = 0x80;
	s->mixer[0x80] = irq;
	s->mixer[0x81] = dma;
	set_volumes(s);
}

/* The SB Pro's registers are pairs of nibbles of the SB16's. */
static int pair_of(u8 reg)
{
	return reg == 0x04   ? 0x32
	       : reg == 0x22 ? 0x30
	       : reg == 0x26 ? 0x34
	       : reg == 0x28 ? 0x36
	       : reg == 0x2e ? 0x38
			     : -1;
}

static u8 mixer_read(const struct sb16 *s)
{
	const int pair = pair_of(s->mixer_index);
	if (pair >= 0)
		return (u8)((s->mixer[pair] & 0xf0) | s->mixer[pair + 1] >> 4);
	if (s->mixer_index == 0x82)
		return (u8)(s->irqs | 0x20); /* the revision stands in the upper half */
	return s->mixer[s->mixer_index];
}

static void mixer_write(struct sb16 *s, u8 v)
{
	const int pair = pair_of(s->mixer_index);
	if (s->mixer_index == 0) {
		mixer_reset(s);
	} else if (pair >= 0) {
		s->mixer[pair] = (u8)((v & 0xf0) | 8);
		s->mixer[pair + 1] = (u8)(v << 4 | 8);
	} else if (s->mixer_index == 0x80) {
		s->mixer[0x80] = (u8)((v & 0x0f) | 0xf0);
	} else if (s->mixer_index == 0x81) {
		s->mixer[0x81] = v & 0xeb;
	} else if (s->mixer_index != 0x82) {
		s->mixer[s->mixer_index] = v;
	}
	set_volumes(s);
	update_irq(s);
}

/* ---- ports ---------------------------------------------------------------------------------- */

static u32 sb_read(void *ctx, u16 port, unsigned size)
{
	struct sb16 *s = ctx;
	bool any = s->out_head != s->out_tail;
	switch (port - s->iobase) {
	case 0x0:
	case 0x2:
	case 0x8: return opl3_status(&s->opl, now(s));
	case 0x5: return mixer_read(s);
	case 0xa:
		return any ? s->out[s->out_tail++ % OUT_BYTES]
			   : s->out[(u8)(s->out_tail - 1) % OUT_BYTES];
	case 0xc: return 0x7f; /* ready for a command */
	case 0xe: acknowledge(s, IRQ_8); return any ? 0xff : 0x7f;
	case 0xf: acknowledge(s, IRQ_16); return 0xff;
	default: return 0xff;
	}
}

static void sb_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct sb16 *s = ctx;
	const u8 v = (u8)value;
	switch (port - s->iobase) {
	case 0x0:
	case 0x8: s->opl_index = v; break;
	case 0x2: s->opl_index = 0x100 | v; break;
	case 0x1:
	case 0x3:
	case 0x9: opl3_write(&s->opl, s->opl_index, v, now(s)); break;
	case 0x4: s->mixer_index = v; break;
	case 0x5: mixer_write(s, v); break;
	case 0x6:
		if (s->reset_line & 1 && !(v & 1)) {
			dsp_reset(s);
			say(s, 0xaa);
		}
		s->reset_line = v;
		break;
	case 0xc: dsp_write(s, v); break;
	default: break;
	}
}

static u32 opl_read(void *ctx, u16 port, unsigned size)
{
	struct sb16 *s = ctx;
	return port & 1 ? 0xff : opl3_status(&s->opl, now(s));
}

static void opl_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct sb16 *s = ctx;
	if (port & 1)
		opl3_write(&s->opl, s->opl_index, (u8)value, now(s));
	else
		s->opl_index = (u16)((value & 0xff) | (port & 2) << 7);
}

/* MPU-401: data at the first port, status and commands at the second. Only what puts it into UART
 * mode. */
static u32 mpu_read(void *ctx, u16 port, unsigned size)
{
	struct sb16 *s = ctx;
	bool any = s->mpu_head != s->mpu_tail;
	if (port & 1)
		return any ? 0x3f : 0xbf; /* bit 7 low: a byte waits; bit 6 low: takes commands */
	u8 v = any ? s->mpu_out[s->mpu_tail++ % sizeof(s->mpu_out)] : 0xfe;
	if (s->mpu_head == s->mpu_tail)
		acknowledge(s, IRQ_MPU);
	return v;
}

static void mpu_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct sb16 *s = ctx;
	if (!(port & 1))
		return;
	if (value == 0xff ||
	    !s->mpu_uart) { /* in UART mode only reset is a command, and it is not answered */
		bool answered = !s->mpu_uart;
		s->mpu_uart = value == 0x3f;
		if (answered && (u8)(s->mpu_head - s->mpu_tail) < sizeof(s->mpu_out)) {
			s->mpu_out[s->mpu_head++ % sizeof(s->mpu_out)] = 0xfe;
			raise_irq(s, IRQ_MPU);
		}
	}
}

/* ---- the device ----------------------------------------------------------------------------- */

static const struct port_ops sb_ports = {sb_read, sb_write, IO_1};
static const struct port_ops opl_ports = {opl_read, opl_write, IO_1};
static const struct port_ops mpu_ports = {mpu_read, mpu_write, IO_1};

static int init(struct device *d, char *err, size_t n)
{
	struct sb16 *s = (struct sb16 *)d;
	int r = device_claim_ports(d, (u16)s->iobase, 16, &sb_ports, err, n);
	if (!r)
		r = device_claim_ports(d, 0x388, 4, &opl_ports, err, n);
	if (!r && s->mpu)
		r = device_claim_ports(d, (u16)s->mpu, 2, &mpu_ports, err, n);
	if (r)
		return r;
	for (unsigned i = 0; i < IRQS; i++)
		device_connect_irq(d, &s->irq[i], irq_number[i]);
	s->dma = device_by_id(d->env, "dma8237");
	opl3_init(&s->opl, d->env->audio, "sb16 FM");
	s->voice =
	    audio_heard(d->env->audio) ? audio_voice(d->env->audio, "sb16", NULL, NULL) : NULL;
	return 0;
}

static void release(struct device *d)
{
	struct sb16 *s = (struct sb16 *)d;
	opl3_free(&s->opl);
	audio_voice_free(s->voice);
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct sb16 *s = (struct sb16 *)d;
	opl3_reset(&s->opl, now(s));
	s->irqs = 0;
	s->opl_index = 0;
	s->mixer_index = s->reset_line = s->test = 0;
	s->mpu_head = s->mpu_tail = 0;
	s->mpu_uart = false;
	s->mixer[0x80] = 0xf0;
	for (unsigned i = 0; i < IRQS; i++)
		if (irq_number[i] == s->irq_setting || (i == 0 && s->irq_setting == 2))
			s->mixer[0x80] |= (u8)(1u << i);
	s->mixer[0x81] = (u8)(1u << s->dma_setting | 1u << s->dma16_setting);
	mixer_reset(s);
	dsp_reset(s);
}

static void loaded(struct device *d)
{
	struct sb16 *s = (struct sb16 *)d;
	opl3_loaded(&s->opl, now(s));
	s->frames = audio_frame_at(now(s));
	set_volumes(s);
}

static const struct prop props[] = {
    {"iobase", PROP_UINT, offsetof(struct sb16, iobase), "0x220", "first port", 0x200, 0x3f0, NULL},
    {"irq", PROP_UINT, offsetof(struct sb16, irq_setting), "5", "2, 5, 7 or 10", 2, 10, NULL},
    {"dma", PROP_UINT, offsetof(struct sb16, dma_setting), "1", "8-bit DMA channel: 0, 1 or 3", 0,
     3, NULL},
    {"dma16", PROP_UINT, offsetof(struct sb16, dma16_setting), "5", "16-bit DMA channel: 5, 6 or 7",
     5, 7, NULL},
    {"mpu", PROP_UINT, offsetof(struct sb16, mpu), "0x330", "first port of the MPU-401; 0: none", 0,
     0x3fe, NULL},
    {0},
};

SNAPSHOT(sb16_snapshot, "sb16", 1, struct sb16, SB16_FIELDS);

const struct device_type sb16_type = {
    .name = "sb16",
    .help = "Creative Sound Blaster 16 with OPL3",
    .category = "sound",
    .size = sizeof(struct sb16),
    .irqs = (const struct irq_output[]){{"irq", offsetof(struct sb16, irq), IRQ_UNWIRED}, {0}},
    .timers = (const struct timer_decl[]){{"dma", offsetof(struct sb16, timer), dma_fire}, {0}},
    .props = props,
    .snapshot = &sb16_snapshot,
    .init = init,
    .reset = reset,
    .free = release,
    .loaded = loaded,
};
