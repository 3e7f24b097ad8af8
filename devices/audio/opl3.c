/*
 * Yamaha YMF262 (OPL3), after its data sheet ("YMF262 Application Manual", 1994): 36 operators in
 * 18 channels of two or four, eight wave forms, feedback, key scaling, tremolo and vibrato, rhythm
 * mode, timers. 14.318 MHz / 288 = 49716 samples a second, worked out only when somebody hears. The
 * arithmetic is the chip's: a table of the logarithm of a quarter sine, attenuations added, a table
 * of the exponential. Not modelled: composite speech mode (CSM), the interrupt line, the few
 * samples by which the real chip applies a write late.
 */
#include "devices/audio/opl3.h"

#include <math.h>

#define CHIP_HZ   49716u
#define SILENT    511u                              /* level: 96 dB */
#define FULL_STEP (((u64)CHIP_HZ << 32) / AUDIO_HZ) /* chip samples per frame, 32.32 */
#define T1_NS     80464u                            /* 4 and 16 samples */
#define T2_NS     321857u

enum stage { STAGE_OFF, STAGE_ATTACK, STAGE_DECAY, STAGE_SUSTAIN, STAGE_RELEASE };
#define KEY_NOTE   1u
#define KEY_RHYTHM 2u

/* Rhythm mode's operators: of channels 7 to 9. */
#define OP_HIHAT  13u
#define OP_TOM    14u
#define OP_SNARE  16u
#define OP_CYMBAL 17u

#define OPL3_FIELDS(V, S, H, P)                                                                    \
	V(reg)                                                                                     \
	V(timer_start) V(timer_seen) H(voice) H(frames) H(samples) H(last_left) H(now) H(before)   \
	    H(noise) H(ticks) H(volume) H(op) H(log_sine) H(exponent)
SNAPSHOT(opl3_snapshot, "opl3", 1, struct opl3, OPL3_FIELDS);

/* ---- registers ------------------------------------------------------------------------------ */

/* Operator 0-17 of register offset 00h-15h, or -1. */
static int op_of_offset(unsigned off)
{
	return off < 0x16 && (off & 7) < 6 ? (int)(off / 8 * 6 + (off & 7)) : -1;
}

static unsigned offset_of_op(unsigned op)
{
	return op / 6 * 8 + op % 6;
}

/* The channel (0-8) an operator (0-17) belongs to. */
static unsigned channel_of_op(unsigned op)
{
	return op / 6 * 3 + op % 3;
}

static unsigned first_op(unsigned channel)
{
	return channel / 9 * 18 + channel % 9 / 3 * 6 + channel % 3;
}

static bool is_opl3(const struct opl3 *o)
{
	return o->reg[0x105] & 1;
}

/* Is @channel (0-17) the first half of four operators? */
static bool four_ops(const struct opl3 *o, unsigned channel)
{
	unsigned c = channel % 9;
	return c < 3 && is_opl3(o) && o->reg[0x104] >> (c + channel / 9 * 3) & 1;
}

/* The second half plays the first half's note. */
static unsigned note_of(const struct opl3 *o, unsigned channel)
{
	unsigned c = channel % 9;
	return c >= 3 && c < 6 && four_ops(o, channel - 3) ? channel - 3 : channel;
}

static u8 rate(unsigned r, unsigned scale)
{
	return (u8)(r ? MIN(r * 4 + scale, 63) : 0);
}

/* Attenuation by key scaling at 6 dB an octave, in 3/16 dB (data sheet, table of KSL). */
static unsigned key_scale_level(unsigned fnum, unsigned block)
{
	static const u8 steps[16] = {0, 32, 40, 45, 48, 51, 53, 55, 56, 58, 59, 60, 61, 62, 63, 64};
	int v = steps[fnum >> 6] * 4 - (int)(8 - block) * 32;
	return v > 0 ? (unsigned)v : 0;
}

/* Works everything out anew that the registers say of operator @i. */
static void set_op(struct opl3 *o, unsigned i)
{
	static const u8 multiples[16] = {1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 24, 24, 30, 30};
	static const u8 ksl_shift[4] = {31, 1, 2, 0}; /* none, 3, 1.5, 6 dB an octave */
	struct opl3_op *op = &o->op[i];
	const unsigned bank = i / 18, off = offset_of_op(i % 18);
	const u8 *r = o->reg + bank * 256;
	const unsigned note = note_of(o, channel_of_op(i % 18) + bank * 9);
	const u8 *n = o->reg + note / 9 * 256;
	const unsigned fnum = n[0xa0 + note % 9] | (n[0xb0 + note % 9] & 3u) << 8;
	const unsigned block = n[0xb0 + note % 9] >> 2 & 7;
	const unsigned key = block * 2 + (fnum >> (o->reg[8] & 0x40 ? 8 : 9) & 1);
	const unsigned scale = key >> (r[0x20 + off] & 0x10 ? 0 : 2);
	const unsigned sustain = r[0x80 + off] >> 4;
	op->tremolo = r[0x20 + off] & 0x80;
	op->vibrato = r[0x20 + off] & 0x40;
	op->holds = r[0x20 + off] & 0x20;
	op->step = (fnum << block) * multiples[r[0x20 + off] & 15] / 2;
	op->fixed = (u16)((r[0x40 + off] & 63) * 4 +
			  (key_scale_level(fnum, block) >> ksl_shift[r[0x40 + off] >> 6]));
	op->attack = rate(r[0x60 + off] >> 4, scale);
	op->decay = rate(r[0x60 + off] & 15, scale);
	op->release = rate(r[0x80 + off] & 15, scale);
	op->sustain = (u8)(sustain == 15 ? 31 : sustain);
	op->wave = r[0xe0 + off] & (is_opl3(o) ? 7 : 3);
	if (!is_opl3(o) && !(o->reg[1] & 0x20))
		op->wave = 0;
}

static void key(struct opl3 *o, unsigned i, u8 who, bool on)
{
	struct opl3_op *op = &o->op[i];
	const bool before = op->keys;
	op->keys = (u8)(on ? op->keys | who : op->keys & ~who);
	if (!before && op->keys) {
		op->stage = STAGE_ATTACK;
		op->phase = 0;
		if (op->attack >= 60)
			op->level = 0;
	} else if (before && !op->keys && op->stage != STAGE_OFF) {
		op->stage = STAGE_RELEASE;
	}
}

static void set_channel(struct opl3 *o, unsigned channel)
{
	const unsigned halves = four_ops(o, channel) ? 2 : 1;
	const bool on = o->reg[channel / 9 * 256 + 0xb0 + channel % 9] & 0x20;
	if (note_of(o, channel) != channel)
		return;
	for (unsigned h = 0; h < halves; h++)
		for (unsigned k = 0; k < 2; k++) {
			unsigned i = first_op(channel + h * 3) + k * 3;
			set_op(o, i);
			key(o, i, KEY_NOTE, on);
		}
}

static void set_rhythm(struct opl3 *o)
{
	static const struct {
		u8 op, bit;
	} drums[] = {{12, 4}, {15, 4}, {OP_SNARE, 3}, {OP_TOM, 2}, {OP_CYMBAL, 1}, {OP_HIHAT, 0}};
	const u8 v = o->reg[0xbd];
	for (unsigned i = 0; i < ARRAY_SIZE(drums); i++)
		key(o, drums[i].op, KEY_RHYTHM, v & 0x20 && v >> drums[i].bit & 1);
}

static void set_everything(struct opl3 *o)
{
	for (unsigned i = 0; i < OPL3_OPS; i++)
		set_op(o, i);
	for (unsigned c = 0; c < OPL3_CHANNELS; c++)
		set_channel(o, c);
}

static void set_timer(struct opl3 *o, u8 v, u64 now)
{
	if (v & 0x80) { /* only takes the flags back */
		for (unsigned i = 0; i < 2; i++) {
			u64 period =
			    i ? (256u - o->reg[3]) * (u64)T2_NS : (256u - o->reg[2]) * (u64)T1_NS;
			o->timer_seen[i] = (now - o->timer_start[i]) / period;
		}
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		if (v >> i & 1 && !(o->reg[4] >> i & 1)) {
			o->timer_start[i] = now;
			o->timer_seen[i] = 0;
		}
	o->reg[4] = v;
}

u8 opl3_status(struct opl3 *o, u64 now)
{
	u8 v = 0;
	for (unsigned i = 0; i < 2; i++) {
		u64 period = i ? (256u - o->reg[3]) * (u64)T2_NS : (256u - o->reg[2]) * (u64)T1_NS;
		bool runs = o->reg[4] >> i & 1, masked = o->reg[4] << i & 0x40;
		if (runs && !masked && (now - o->timer_start[i]) / period > o->timer_seen[i])
			v |= (u8)(0x40 >> i);
	}
	return v ? v | 0x80 : 0;
}

/* ---- sound: one sample ---------------------------------------------------------------------- */

/* How much the level moves at @rate in this sample: in a pattern of eight steps, the finer the rate
 * the more of them count. */
static unsigned eg_step(const struct opl3 *o, unsigned r)
{
	static const u8 moves[4] = {0xaa, 0xba, 0xee, 0xfe};   /* 4, 5, 6, 7 of 8 */
	static const u8 doubles[4] = {0x00, 0x88, 0xaa, 0xee}; /* 0, 2, 4, 6 of 8 */
	const unsigned shift = r / 4 < 12 ? 12 - r / 4 : 0;
	if (!r || o->ticks & ((1u << shift) - 1))
		return 0;
	const unsigned at = o->ticks >> shift & 7;
	if (r < 52)
		return moves[r & 3] >> at & 1;
	if (r >= 60)
		return 4;
	return (1u << (r / 4 - 13)) << (doubles[r & 3] >> at & 1);
}

static void fall(struct opl3_op *op, unsigned step, unsigned until)
{
	op->level = (u16)MIN(op->level + step, SILENT);
	if (op->level < until)
		return;
	if (op->stage == STAGE_DECAY)
		op->stage = STAGE_SUSTAIN;
	else if (op->stage != STAGE_SUSTAIN)
		op->stage = STAGE_OFF;
}

static void envelope(const struct opl3 *o, struct opl3_op *op)
{
	switch (op->stage) {
	case STAGE_ATTACK: /* an exponential: the step is a share of what is left */
		op->level = (u16)(op->level - ((op->level + 1u) * eg_step(o, op->attack) + 7) / 8);
		if (op->level > SILENT || op->attack >= 60)
			op->level = 0;
		if (!op->level)
			op->stage = STAGE_DECAY;
		break;
	case STAGE_DECAY: fall(op, eg_step(o, op->decay), op->sustain * 16u); break;
	case STAGE_SUSTAIN:
		if (!op->holds)
			fall(op, eg_step(o, op->release), SILENT);
		break;
	case STAGE_RELEASE: fall(op, eg_step(o, op->release), SILENT); break;
	default: break;
	}
}

/* 3.7 Hz, 4.8 dB or 1 dB: a triangle of 0 to 26 units. */
static unsigned tremolo(const struct opl3 *o)
{
	unsigned at = o->ticks / 64 % 210;
	unsigned v = (at < 105 ? at : 209 - at) / 4;
	return o->reg[0xbd] & 0x80 ? v : v / 4;
}

/* 6.1 Hz, 14 or 7 cents: eight steps of a share of the frequency number's upper bits. */
static s32 vibrato(const struct opl3 *o, unsigned i)
{
	static const s8 step[8] = {0, 1, 2, 1, 0, -1, -2, -1}; /* halves */
	const unsigned note = note_of(o, channel_of_op(i % 18) + i / 18 * 9);
	const u8 *n = o->reg + note / 9 * 256;
	const unsigned fnum = n[0xa0 + note % 9] | (n[0xb0 + note % 9] & 3u) << 8;
	s32 full = (s32)(fnum >> 7) >> (o->reg[0xbd] & 0x40 ? 0 : 1);
	s32 delta = full * step[o->ticks / 1024 % 8] / 2;
	return fnum ? (s32)((s64)o->op[i].step * delta / (s32)fnum) : 0;
}

/* Attenuation of the wave at @phase (10 bits), 1/256 octaves; *@negative: the lower half. */
static unsigned wave(const struct opl3 *o, unsigned form, unsigned phase, bool *negative)
{
	const unsigned none = 0x1000;
	phase &= 1023;
	*negative = phase & 512 && (form == 0 || form >= 6);
	switch (form) {
	case 1: /* upper halves only */
		if (phase & 512)
			return none;
		break;
	case 3: /* upper halves' first halves only */
		if (phase & 256)
			return none;
		break;
	case 4: /* a whole sine, then two halves, in the first half of the period */
	case 5:
		if (phase & 512)
			return none;
		*negative = form == 4 && phase & 256;
		phase *= 2;
		break;
	case 6: return 0;
	case 7: return (phase & 512 ? 511 - (phase & 511) : phase) * 8;
	default: break;
	}
	phase &= 511;
	return o->log_sine[phase & 256 ? 511 - phase : phase];
}

static s32 amplitude(const struct opl3 *o, unsigned attenuation, bool negative)
{
	if (attenuation >= 0x1000)
		return 0;
	s32 v =
	    (s32)(((o->exponent[255 - (attenuation & 255)] + 1024u) << 1) >> (attenuation >> 8));
	return negative ? -v : v;
}

static s32 sound(const struct opl3 *o, const struct opl3_op *op, unsigned phase)
{
	bool negative;
	unsigned level = op->level + op->fixed + (op->tremolo ? tremolo(o) : 0);
	unsigned at = wave(o, op->wave, phase, &negative);
	return amplitude(o, at + MIN(level, SILENT) * 8, negative);
}

/* One operator's sample, its phase moved by @modulation (1024 to the period). */
static s32 operate(struct opl3 *o, unsigned i, s32 modulation)
{
	struct opl3_op *op = &o->op[i];
	s32 v = op->stage == STAGE_OFF ? 0 : sound(o, op, (op->phase >> 10) + (u32)modulation);
	op->out[1] = op->out[0];
	op->out[0] = v;
	return v;
}

static s32 feedback(const struct opl3 *o, unsigned channel, unsigned i)
{
	unsigned fb = o->reg[channel / 9 * 256 + 0xc0 + channel % 9] >> 1 & 7;
	return fb ? (o->op[i].out[0] + o->op[i].out[1]) >> (9 - fb) : 0;
}

static bool additive(const struct opl3 *o, unsigned channel)
{
	return o->reg[channel / 9 * 256 + 0xc0 + channel % 9] & 1;
}

static s32 two(struct opl3 *o, unsigned c)
{
	const unsigned i = first_op(c);
	s32 a = operate(o, i, feedback(o, c, i));
	return additive(o, c) ? a + operate(o, i + 3, 0) : operate(o, i + 3, a);
}

/* The four algorithms of the data sheet, by the two channels' connection bits. */
static s32 four(struct opl3 *o, unsigned c)
{
	const unsigned i = first_op(c), j = first_op(c + 3);
	s32 a = operate(o, i, feedback(o, c, i)), b, d;
	if (!additive(o, c) && !additive(o, c + 3))
		return operate(o, j + 3, operate(o, j, operate(o, i + 3, a)));
	if (!additive(o, c)) {
		b = operate(o, i + 3, a);
		return b + operate(o, j + 3, operate(o, j, 0));
	}
	b = operate(o, i + 3, 0);
	d = operate(o, j, b);
	return additive(o, c + 3) ? a + d + operate(o, j + 3, 0) : a + operate(o, j + 3, d);
}

/* Hi-hat, snare and cymbal: their phases are bits of two operators' phases and noise. */
static s32 noisy_drums(struct opl3 *o)
{
	const u32 h = o->op[OP_HIHAT].phase >> 10, t = o->op[OP_CYMBAL].phase >> 10;
	const u32 mix = ((h >> 2 ^ h >> 7) | (h >> 3 ^ t >> 5) | (t >> 3 ^ t >> 5)) & 1;
	const u32 noise = o->noise & 1, eighth = h >> 8 & 1;
	struct opl3_op *hat = &o->op[OP_HIHAT], *snare = &o->op[OP_SNARE], *cym = &o->op[OP_CYMBAL];
	s32 v = 0;
	if (hat->stage != STAGE_OFF)
		v += sound(o, hat, mix << 9 | (mix ^ noise ? 0xd0 : 0x34));
	if (snare->stage != STAGE_OFF)
		v += sound(o, snare, eighth << 9 | (eighth ^ noise) << 8);
	if (cym->stage != STAGE_OFF)
		v += sound(o, cym, mix << 9 | 0x80);
	return v;
}

static s32 drums(struct opl3 *o)
{
	s32 a = operate(o, 12, feedback(o, 6, 12));
	s32 bass = operate(o, 15, additive(o, 6) ? 0 : a);
	return 2 * (bass + operate(o, OP_TOM, 0) + noisy_drums(o));
}

static void sides(const struct opl3 *o, unsigned c, s32 v, s32 *out)
{
	u8 pan = is_opl3(o) ? o->reg[c / 9 * 256 + 0xc0 + c % 9] : 0x30;
	out[0] += pan & 0x10 ? v : 0;
	out[1] += pan & 0x20 ? v : 0;
}

static bool playing(const struct opl3 *o, unsigned c)
{
	const unsigned i = first_op(c);
	return o->op[i].stage != STAGE_OFF || o->op[i + 3].stage != STAGE_OFF;
}

static void clock_ops(struct opl3 *o)
{
	for (unsigned i = 0; i < OPL3_OPS; i++) {
		struct opl3_op *op = &o->op[i];
		if (op->stage == STAGE_OFF && i != OP_HIHAT && i != OP_CYMBAL)
			continue;
		op->phase =
		    (op->phase + op->step + (op->vibrato ? (u32)vibrato(o, i) : 0)) & 0xfffff;
		envelope(o, op);
	}
	o->noise = o->noise >> 1 | ((o->noise ^ o->noise >> 14) & 1) << 22;
	o->ticks++;
}

static void one_sample(struct opl3 *o)
{
	const bool rhythm = o->reg[0xbd] & 0x20;
	s32 out[2] = {0, 0};
	for (unsigned c = 0; c < OPL3_CHANNELS; c++) {
		if (note_of(o, c) != c || (rhythm && c >= 6 && c < 9))
			continue;
		if (four_ops(o, c)) {
			if (playing(o, c) || playing(o, c + 3))
				sides(o, c, four(o, c), out);
		} else if (playing(o, c)) {
			sides(o, c, two(o, c), out);
		}
	}
	if (rhythm)
		sides(o, 6, drums(o), out);
	clock_ops(o);
	memcpy(o->before, o->now, sizeof(o->now));
	memcpy(o->now, out, sizeof(out));
}

/* ---- sound: many samples -------------------------------------------------------------------- */

static bool silent(const struct opl3 *o)
{
	for (unsigned i = 0; i < OPL3_OPS; i++)
		if (o->op[i].stage != STAGE_OFF)
			return false;
	return !o->now[0] && !o->now[1] && !o->before[0] && !o->before[1];
}

static s16 scaled(const struct opl3 *o, unsigned side, s32 v)
{
	v = v * o->volume[side] / 256;
	return (s16)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
}

/* One frame at the mixer's rate, between two of the chip's samples. */
static void one_frame(struct opl3 *o, s16 *out)
{
	o->last_left += FULL_STEP;
	for (; o->last_left >> 32; o->last_left -= 1ull << 32)
		one_sample(o);
	const s32 part = (s32)(o->last_left >> 24);
	for (unsigned side = 0; side < 2; side++)
		out[side] = scaled(o, side,
				   o->before[side] + (o->now[side] - o->before[side]) * part / 256);
}

static void sync(struct opl3 *o, u64 now_ns)
{
	const u64 target = audio_frame_at(now_ns);
	s16 out[256][2];
	if (!o->voice || target <= o->frames)
		return;
	if (target - o->frames > AUDIO_SKIP_NS / 1000000000 * AUDIO_HZ)
		o->frames = target - AUDIO_SKIP_NS / 1000000000 * AUDIO_HZ;
	while (o->frames < target && !silent(o)) {
		const u64 first = o->frames;
		u32 n = 0;
		for (; n < ARRAY_SIZE(out) && o->frames < target; n++, o->frames++)
			one_frame(o, out[n]);
		audio_write(o->voice, audio_frame_ns(first), out[0], n);
	}
	o->frames = target;
}

static void render(void *ctx, u64 until_ns)
{
	sync(ctx, until_ns);
}

void opl3_write(struct opl3 *o, unsigned reg, u8 v, u64 now_ns)
{
	const unsigned low = reg & 0xff, bank = reg >> 8 & 1;
	if (reg == 4) {
		set_timer(o, v, now_ns);
		return;
	}
	sync(o, now_ns);
	o->reg[reg & 511] = v;
	int op = op_of_offset(low & 0x1f);
	if (reg == 0x104 || reg == 0x105 || reg == 1 || reg == 8)
		set_everything(o);
	else if (low == 0xbd && !bank)
		set_rhythm(o);
	else if (low >= 0xa0 && low <= 0xb8 && (low & 15) < 9)
		set_channel(o, bank * 9 + (low & 15));
	else if (((low >= 0x20 && low < 0xa0) || low >= 0xe0) && op >= 0)
		set_op(o, bank * 18 + (unsigned)op);
}

void opl3_volume(struct opl3 *o, u64 now_ns, s32 left, s32 right)
{
	sync(o, now_ns);
	o->volume[0] = left;
	o->volume[1] = right;
}

void opl3_reset(struct opl3 *o, u64 now_ns)
{
	sync(o, now_ns);
	memset(o->reg, 0, sizeof(o->reg));
	memset(o->timer_start, 0, sizeof(o->timer_start));
	memset(o->timer_seen, 0, sizeof(o->timer_seen));
	opl3_loaded(o, now_ns);
}

void opl3_loaded(struct opl3 *o, u64 now_ns)
{
	memset(o->op, 0, sizeof(o->op));
	memset(o->now, 0, sizeof(o->now));
	memset(o->before, 0, sizeof(o->before));
	for (unsigned i = 0; i < OPL3_OPS; i++)
		o->op[i].level = SILENT;
	o->noise = 1;
	for (unsigned i = 0; i < OPL3_OPS; i++)
		set_op(o, i);
}

/* The chip's two tables: -log2 of a quarter sine and 2^x - 1, in 256 steps. */
static void make_tables(struct opl3 *o)
{
	for (unsigned i = 0; i < 256; i++) {
		o->log_sine[i] = (u16)lround(-log2(sin((i + 0.5) * M_PI / 512)) * 256);
		o->exponent[i] = (u16)lround((exp2(i / 256.0) - 1) * 1024);
	}
}

void opl3_init(struct opl3 *o, struct audio *a, const char *name)
{
	make_tables(o);
	o->volume[0] = o->volume[1] = 256;
	o->voice = audio_heard(a) ? audio_voice(a, name, render, o) : NULL;
}

void opl3_free(struct opl3 *o)
{
	audio_voice_free(o->voice);
	o->voice = NULL;
}
