/*
 * The standard modes as register values (IBM VGA XGA Technical Reference, "VGA mode tables"), put together from what they
 * share: four horizontal timings, three vertical ones, and what is particular to a mode. Used by the video BIOS, and by
 * the emulator itself where no firmware runs; so it includes nothing, and MODE_DATA places the tables.
 */
#ifndef ORRERY_BIOS_VGA_MODES_H
#define ORRERY_BIOS_VGA_MODES_H

#ifndef MODE_DATA
#define MODE_DATA
#endif

enum mode_kind { KIND_TEXT, KIND_CGA2, KIND_CGA1, KIND_PLANAR, KIND_256 };
enum h_timing { H80_TEXT, H80, H40_TEXT, H40 };
enum v_timing { V400, V350, V480 };
enum palette_kind { PAL_EGA, PAL_CGA, PAL_MONO, PAL_256 };
enum attr_kind { ATTR_EGA, ATTR_CGA2, ATTR_CGA1, ATTR_MONO, ATTR_IRGB, ATTR_MONO_GRAPHICS, ATTR_MONO_VGA, ATTR_LINEAR };

/* CRTC registers 0-5 */
static const MODE_DATA unsigned char mode_h[4][6] = {
    [H80_TEXT] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81},
    [H80] = {0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80},
    [H40_TEXT] = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0},
    [H40] = {0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80},
};

/* CRTC registers 6, 7, 10h, 11h, 12h, 15h, 16h */
static const MODE_DATA unsigned char mode_v[3][7] = {
    [V400] = {0xbf, 0x1f, 0x9c, 0x8e, 0x8f, 0x96, 0xb9},
    [V350] = {0xbf, 0x1f, 0x83, 0x85, 0x5d, 0x63, 0xba},
    [V480] = {0x0b, 0x3e, 0xea, 0x8c, 0xdf, 0xe7, 0x04},
};
static const MODE_DATA unsigned char mode_v_at[7] = {6, 7, 0x10, 0x11, 0x12, 0x15, 0x16};

/* Attribute controller 0-15: the palette */
static const MODE_DATA unsigned char mode_attr[8][16] = {
    [ATTR_EGA] = {0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f},
    [ATTR_CGA2] = {0, 0x13, 0x15, 0x17, 2, 4, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17},
    [ATTR_CGA1] = {0, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17},
    [ATTR_MONO] = {0, 8, 8, 8, 8, 8, 8, 8, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18},
    [ATTR_IRGB] = {0, 1, 2, 3, 4, 5, 6, 7, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17},
    [ATTR_MONO_GRAPHICS] = {0, 8, 0, 0, 0x18, 0x18, 0, 0, 0, 8, 0, 0, 0, 0x18, 0, 0},
    [ATTR_MONO_VGA] = {0, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f},
    [ATTR_LINEAR] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
};

struct video_mode {
	unsigned char number, kind, columns, rows, char_height, pages;
	unsigned short segment, page_size; /* bytes of a page as the BIOS data area has them */
	unsigned char misc, seq1, seq2, seq4;
	unsigned char h, v, scan /* CRTC 9 */, offset /* 13h */, underline /* 14h */, crtc_mode /* 17h */;
	unsigned char gc5, gc6, gc7;
	unsigned char attr, attr10, planes /* attribute 12h */, pan /* 13h */, palette;
};

#define MODES 16
static const MODE_DATA struct video_mode modes[MODES] = {
    {0x00, KIND_TEXT, 40, 25, 16, 8, 0xb800, 0x0800, 0x67, 8, 3, 2, H40_TEXT, V400, 0x4f, 20, 0x1f, 0xa3, 0x10, 0x0e, 0, ATTR_EGA, 0x0c, 15, 8, PAL_EGA},
    {0x01, KIND_TEXT, 40, 25, 16, 8, 0xb800, 0x0800, 0x67, 8, 3, 2, H40_TEXT, V400, 0x4f, 20, 0x1f, 0xa3, 0x10, 0x0e, 0, ATTR_EGA, 0x0c, 15, 8, PAL_EGA},
    {0x02, KIND_TEXT, 80, 25, 16, 8, 0xb800, 0x1000, 0x67, 0, 3, 2, H80_TEXT, V400, 0x4f, 40, 0x1f, 0xa3, 0x10, 0x0e, 0, ATTR_EGA, 0x0c, 15, 8, PAL_EGA},
    {0x03, KIND_TEXT, 80, 25, 16, 8, 0xb800, 0x1000, 0x67, 0, 3, 2, H80_TEXT, V400, 0x4f, 40, 0x1f, 0xa3, 0x10, 0x0e, 0, ATTR_EGA, 0x0c, 15, 8, PAL_EGA},
    {0x04, KIND_CGA2, 40, 25, 8, 1, 0xb800, 0x4000, 0x63, 9, 3, 2, H40, V400, 0xc1, 20, 0x00, 0xa2, 0x30, 0x0f, 0, ATTR_CGA2, 0x01, 3, 0, PAL_CGA},
    {0x05, KIND_CGA2, 40, 25, 8, 1, 0xb800, 0x4000, 0x63, 9, 3, 2, H40, V400, 0xc1, 20, 0x00, 0xa2, 0x30, 0x0f, 0, ATTR_CGA2, 0x01, 3, 0, PAL_CGA},
    {0x06, KIND_CGA1, 80, 25, 8, 1, 0xb800, 0x4000, 0x63, 1, 1, 6, H80, V400, 0xc1, 40, 0x00, 0xc2, 0x00, 0x0d, 0, ATTR_CGA1, 0x01, 1, 0, PAL_CGA},
    {0x07, KIND_TEXT, 80, 25, 16, 8, 0xb000, 0x1000, 0x66, 0, 3, 2, H80_TEXT, V400, 0x4f, 40, 0x0f, 0xa3, 0x10, 0x0a, 0, ATTR_MONO, 0x0e, 15, 8, PAL_MONO},
    {0x0d, KIND_PLANAR, 40, 25, 8, 8, 0xa000, 0x2000, 0x63, 9, 15, 6, H40, V400, 0xc0, 20, 0x00, 0xe3, 0x00, 0x05, 15, ATTR_IRGB, 0x01, 15, 0, PAL_CGA},
    {0x0e, KIND_PLANAR, 80, 25, 8, 4, 0xa000, 0x4000, 0x63, 1, 15, 6, H80, V400, 0xc0, 40, 0x00, 0xe3, 0x00, 0x05, 15, ATTR_IRGB, 0x01, 15, 0, PAL_CGA},
    {0x0f, KIND_PLANAR, 80, 25, 14, 2, 0xa000, 0x8000, 0xa2, 1, 15, 6, H80, V350, 0x40, 40, 0x0f, 0xe3, 0x00, 0x05, 5, ATTR_MONO_GRAPHICS, 0x0b, 5, 0, PAL_MONO},
    {0x10, KIND_PLANAR, 80, 25, 14, 2, 0xa000, 0x8000, 0xa3, 1, 15, 6, H80, V350, 0x40, 40, 0x0f, 0xe3, 0x00, 0x05, 15, ATTR_EGA, 0x01, 15, 0, PAL_EGA},
    {0x11, KIND_PLANAR, 80, 30, 16, 1, 0xa000, 0xa000, 0xe3, 1, 15, 6, H80, V480, 0x40, 40, 0x00, 0xc3, 0x00, 0x05, 1, ATTR_MONO_VGA, 0x01, 15, 0, PAL_EGA},
    {0x12, KIND_PLANAR, 80, 30, 16, 1, 0xa000, 0xa000, 0xe3, 1, 15, 6, H80, V480, 0x40, 40, 0x00, 0xe3, 0x00, 0x05, 15, ATTR_EGA, 0x01, 15, 0, PAL_EGA},
    {0x13, KIND_256, 40, 25, 8, 1, 0xa000, 0xfa00, 0x63, 1, 15, 14, H80, V400, 0x41, 40, 0x40, 0xa3, 0x40, 0x05, 15, ATTR_LINEAR, 0x41, 15, 0, PAL_256},
    {0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
};

/* Colour @i of a DAC palette as 0x00RRGGBB with 6 bits each. */
static inline unsigned mode_dac_ega(unsigned i)
{
	unsigned c = 0; /* bits 0-2: two thirds of B, G, R; bits 3-5: one third */
	for (unsigned k = 0; k < 3; k++)
		c |= ((i >> k & 1) * 0x2au + (i >> (k + 3) & 1) * 0x15u) << (8 * k);
	return c;
}

static inline unsigned mode_dac_cga(unsigned i)
{
	if (i & 0x10) /* the bright half */
		return mode_dac_ega((i & 7) | 0x38);
	return (i & 7) == 6 ? 0x2a1500 /* brown */ : mode_dac_ega(i & 7);
}

static inline unsigned mode_dac_mono(unsigned i)
{
	unsigned level = i & 8 ? i & 0x10 ? 0x3f : 0x2a : 0;
	return level * 0x10101u;
}

static const MODE_DATA unsigned char mode_grey[16] = {0,  5,  8,  11, 14, 17, 20, 24, 28, 32, 36, 40, 45, 50, 56, 63};
/* For each intensity and saturation, the five levels between the least and the most of a primary */
static const MODE_DATA unsigned char mode_levels[9][5] = {
    {0, 16, 31, 47, 63},  {31, 39, 47, 55, 63}, {45, 49, 54, 58, 63}, {0, 7, 14, 21, 28},   {14, 17, 21, 24, 28},
    {20, 22, 24, 26, 28}, {0, 4, 8, 12, 16},    {8, 10, 12, 14, 16},  {11, 12, 13, 15, 16},
};

/* One primary on the circle of 24 hues: @at 0 is where it starts to rise; four steps up, eight at the top, four down. */
static inline unsigned mode_hue(unsigned at)
{
	at %= 24;
	return at < 4 ? at : at <= 12 ? 4 : at < 16 ? 16 - at : 0;
}

static inline unsigned mode_dac_256(unsigned i)
{
	if (i < 16)
		return mode_dac_cga((i & 7) | (i & 8) << 1);
	if (i < 32)
		return mode_grey[i - 16] * 0x10101u;
	if (i >= 248)
		return 0;
	unsigned group = (i - 32) / 24, hue = (i - 32) % 24;
	unsigned r = mode_levels[group][mode_hue(hue)], g = mode_levels[group][mode_hue(hue + 16)],
		 b = mode_levels[group][mode_hue(hue + 8)];
	return r << 16 | g << 8 | b;
}

static inline unsigned mode_dac(unsigned palette, unsigned i)
{
	return palette == PAL_EGA ? mode_dac_ega(i & 63) : palette == PAL_CGA ? mode_dac_cga(i)
	       : palette == PAL_MONO ? mode_dac_mono(i) : mode_dac_256(i);
}

/* CRTC register @i of mode @m, with the cursor as a block of two lines at the bottom. */
static inline unsigned char mode_crtc(const MODE_DATA struct video_mode *m, unsigned i)
{
	if (i < 6)
		return mode_h[m->h][i];
	for (unsigned k = 0; k < 7; k++)
		if (mode_v_at[k] == i)
			return mode_v[m->v][k];
	switch (i) {
	case 9: return m->scan;
	case 10: return m->kind == KIND_TEXT ? (unsigned char)(m->char_height - 3) : 0;
	case 11: return m->kind == KIND_TEXT ? (unsigned char)(m->char_height - 2) : 0;
	case 0x13: return m->offset;
	case 0x14: return m->underline;
	case 0x17: return m->crtc_mode;
	case 0x18: return 0xff;
	default: return 0;
	}
}

#endif
