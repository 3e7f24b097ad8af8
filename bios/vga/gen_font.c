/*
 * Build tool: makes the three fonts of the video BIOS (code page 437, 8x8, 8x14, 8x16) from the console fonts of Debian's
 * package console-setup-linux, which are free ("public domain by nature", sources under the X licence), plus the few
 * glyphs those do not have, drawn here.
 *
 * usage: gen_font FOLDER OUT    writes 256*8 + 256*14 + 256*16 bytes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAX_FILE (1 << 20)

/* Unicode of code page 437: 00h-1Fh as symbols, 7Fh, and 80h-FFh. */
static const unsigned short low[32] = {
    0,      0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const unsigned short high[128] = {
    0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
    0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
    0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
    0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
    0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
    0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
    0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
    0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
    0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
    0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

/* Glyphs the packaged fonts lack or only approximate. Eight rows each; taller cells show them centred. */
static const struct {
	unsigned char ch;
	unsigned char rows[8];
} own[] = {
    {0x10, {0x80, 0xe0, 0xf8, 0xfe, 0xf8, 0xe0, 0x80, 0x00}},
    {0x11, {0x02, 0x0e, 0x3e, 0xfe, 0x3e, 0x0e, 0x02, 0x00}},
    {0x14, {0x7f, 0xda, 0xda, 0x7a, 0x1a, 0x1a, 0x1a, 0x00}},
    {0x1e, {0x10, 0x10, 0x38, 0x38, 0x7c, 0xfe, 0x00, 0x00}},
    {0x1f, {0xfe, 0x7c, 0x38, 0x38, 0x10, 0x10, 0x00, 0x00}},
    {0x9e, {0xf0, 0xc8, 0xf0, 0xc6, 0xcf, 0xc6, 0xc3, 0x00}},
    {0xa9, {0x00, 0x00, 0x00, 0xfe, 0xc0, 0xc0, 0x00, 0x00}},
    {0xec, {0x00, 0x00, 0x6c, 0xdb, 0xdb, 0x6c, 0x00, 0x00}},
    {0xef, {0x3c, 0x66, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3, 0x00}},
    {0xf0, {0x00, 0x7e, 0x00, 0x7e, 0x00, 0x7e, 0x00, 0x00}},
};
static const struct {
	unsigned char height, ch;
	unsigned char rows[8];
} own_one[] = { /* in one height only */
    {8, 0xe0, {0x00, 0x00, 0x76, 0xdc, 0xc8, 0xdc, 0x76, 0x00}},
    {8, 0xe2, {0xfe, 0xc6, 0xc0, 0xc0, 0xc0, 0xc0, 0xc0, 0x00}},
    {8, 0xea, {0x38, 0x6c, 0xc6, 0xc6, 0x6c, 0x28, 0xee, 0x00}},
    {8, 0xed, {0x0c, 0x18, 0x7c, 0xd6, 0xd6, 0x7c, 0x30, 0x00}},
    {8, 0xe3, {0x00, 0xfe, 0x6c, 0x6c, 0x6c, 0x6c, 0xc6, 0x00}},
    {8, 0xe4, {0xfe, 0xc6, 0x60, 0x30, 0x60, 0xc6, 0xfe, 0x00}},
    {8, 0xe5, {0x00, 0x00, 0x7e, 0xd8, 0xd8, 0xd8, 0x70, 0x00}},
    {8, 0xe7, {0x00, 0x00, 0x7e, 0xd8, 0x18, 0x18, 0x0c, 0x00}},
    {8, 0xe8, {0x10, 0x7c, 0xd6, 0xd6, 0xd6, 0x7c, 0x10, 0x00}},
    {8, 0xe9, {0x38, 0x6c, 0xc6, 0xfe, 0xc6, 0x6c, 0x38, 0x00}},
    {8, 0xeb, {0x3c, 0x60, 0x38, 0x7c, 0xc6, 0xc6, 0x7c, 0x00}},
    {8, 0xee, {0x00, 0x3c, 0x60, 0x7c, 0x60, 0x3c, 0x00, 0x00}},
    {14, 0xfc, {0xd8, 0x6c, 0x6c, 0x6c, 0x00, 0x00, 0x00, 0x00}},
};

/* Box drawing B3h-DAh: lines to the left, right, up and down; 0 none, 1 single, 2 double, two bits each. */
#define ARMS(l, r, u, d) ((l) | (r) << 2 | (u) << 4 | (d) << 6)
static const unsigned char boxes[40] = {
    ARMS(0, 0, 1, 1), ARMS(1, 0, 1, 1), ARMS(2, 0, 1, 1), ARMS(1, 0, 2, 2), ARMS(1, 0, 0, 2), ARMS(2, 0, 0, 1),
    ARMS(2, 0, 2, 2), ARMS(0, 0, 2, 2), ARMS(2, 0, 0, 2), ARMS(2, 0, 2, 0), ARMS(1, 0, 2, 0), ARMS(2, 0, 1, 0),
    ARMS(1, 0, 0, 1), ARMS(0, 1, 1, 0), ARMS(1, 1, 1, 0), ARMS(1, 1, 0, 1), ARMS(0, 1, 1, 1), ARMS(1, 1, 0, 0),
    ARMS(1, 1, 1, 1), ARMS(0, 2, 1, 1), ARMS(0, 1, 2, 2), ARMS(0, 2, 2, 0), ARMS(0, 2, 0, 2), ARMS(2, 2, 2, 0),
    ARMS(2, 2, 0, 2), ARMS(0, 2, 2, 2), ARMS(2, 2, 0, 0), ARMS(2, 2, 2, 2), ARMS(2, 2, 1, 0), ARMS(1, 1, 2, 0),
    ARMS(2, 2, 0, 1), ARMS(1, 1, 0, 2), ARMS(0, 1, 2, 0), ARMS(0, 2, 1, 0), ARMS(0, 2, 0, 1), ARMS(0, 1, 0, 2),
    ARMS(1, 1, 2, 2), ARMS(2, 2, 1, 1), ARMS(1, 0, 1, 0), ARMS(0, 1, 0, 1)};

/* Sets or clears the pixels of columns x0..x1, rows y0..y1. */
static void bar(unsigned char *g, int x0, int x1, int y0, int y1, int set)
{
	for (int y = y0; y <= y1; y++)
		for (int x = x0; x <= x1; x++)
			g[y] = (unsigned char)(set ? g[y] | 0x80 >> x : g[y] & ~(0x80 >> x));
}

/* Double arms are wide bars, hollowed out along their middle; single ones go on top, as far as a double line they meet. */
static void draw_box(unsigned char *g, unsigned char arms, int height)
{
	const int l = arms & 3, r = arms >> 2 & 3, u = arms >> 4 & 3, d = arms >> 6, mid = height / 2 - 1, end = height - 1;
	const int wide_h = l == 2 || r == 2, wide_v = u == 2 || d == 2, hl = wide_v ? 2 : 3, hr = wide_v ? 6 : 4;
	const int vt = wide_h ? mid - 1 : mid, vb = wide_h ? mid + 1 : mid;
	memset(g, 0, (size_t)height);
	if (l == 2)
		bar(g, 0, hr, mid - 1, mid + 1, 1);
	if (r == 2)
		bar(g, hl, 7, mid - 1, mid + 1, 1);
	if (u == 2)
		bar(g, 2, 6, 0, vb, 1);
	if (d == 2)
		bar(g, 2, 6, vt, end, 1);
	if (l == 2)
		bar(g, 0, 4, mid, mid, 0);
	if (r == 2)
		bar(g, 4, 7, mid, mid, 0);
	if (u == 2)
		bar(g, 4, 4, 0, mid, 0);
	if (d == 2)
		bar(g, 4, 4, mid, end, 0);
	if (l == 1)
		bar(g, 0, r ? 7 : u == 2 && d == 2 ? 3 : hr, mid, mid, 1);
	if (r == 1)
		bar(g, l ? 0 : u == 2 && d == 2 ? 5 : hl, 7, mid, mid, 1);
	if (u == 1)
		bar(g, 3, 4, 0, d ? end : l == 2 && r == 2 ? mid - 1 : vb, 1);
	if (d == 1)
		bar(g, 3, 4, u ? 0 : l == 2 && r == 2 ? mid + 1 : vt, end, 1);
}

static unsigned unicode_of(unsigned c)
{
	return c < 32 ? low[c] : c == 127 ? 0x2302 : c < 128 ? c : high[c - 128];
}

/* A PSF1 font with its table of Unicode characters: takes the glyphs still missing. */
static void take_glyphs(const unsigned char *f, int n, unsigned height, unsigned char *font, char *have)
{
	int count = f[2] & 1 ? 512 : 256, at = 4 + count * (int)height, glyph = 0, sequence = 0;
	for (; at + 1 < n && glyph < count; at += 2) {
		unsigned u = f[at] | (unsigned)f[at + 1] << 8;
		if (u == 0xffff) {
			glyph++;
			sequence = 0;
		} else if (u == 0xfffe) {
			sequence = 1;
		}
		for (unsigned c = 1; u < 0xfffe && !sequence && c < 256; c++)
			if (unicode_of(c) == u && !have[c]) {
				memcpy(font + c * height, f + 4 + glyph * (int)height, height);
				have[c] = 1;
			}
	}
}

static int read_font(const char *path, unsigned height, unsigned char *font, char *have)
{
	static unsigned char file[MAX_FILE];
	gzFile z = gzopen(path, "rb");
	int n = z ? gzread(z, file, MAX_FILE) : -1;
	if (z)
		gzclose(z);
	if (n < 4 || file[0] != 0x36 || file[1] != 4 || file[3] != height || !(file[2] & 6) ||
	    n < 4 + (file[2] & 1 ? 512 : 256) * (int)height) {
		fprintf(stderr, "gen_font: %s: no PSF font with Unicode table of height %u; is the "
				"package console-setup-linux installed?\n", path, height);
		return 1;
	}
	take_glyphs(file, n, height, font, have);
	return 0;
}

static int make(const char *folder, unsigned height, FILE *out)
{
	static const char *const sets[] = {"Uni2", "Uni1", "FullGreek", "Hebrew"};
	unsigned char font[256 * 16] = {0};
	char have[256] = {1}, path[512];
	for (unsigned i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
		snprintf(path, sizeof(path), "%s/%s-VGA%u.psf.gz", folder, sets[i], height);
		if (read_font(path, height, font, have))
			return 1;
	}
	for (unsigned i = 0; i < sizeof(own) / sizeof(*own); i++) {
		memset(font + own[i].ch * height, 0, height);
		memcpy(font + own[i].ch * height + (height - 8) / 2, own[i].rows, 8);
		have[own[i].ch] = 1;
	}
	for (unsigned i = 0; i < sizeof(own_one) / sizeof(*own_one); i++) {
		if (own_one[i].height != height)
			continue;
		memset(font + own_one[i].ch * height, 0, height);
		memcpy(font + own_one[i].ch * height + (height > 8), own_one[i].rows, 8);
	}
	for (unsigned i = 0; i < sizeof(boxes); i++)
		draw_box(font + (0xb3 + i) * height, boxes[i], (int)height);
	for (unsigned c = 0; c < 256; c++)
		if (!have[c]) {
			fprintf(stderr, "gen_font: no glyph for character %02xh, height %u\n", c, height);
			return 1;
		}
	return fwrite(font, height, 256, out) != 256;
}

int main(int argc, char **argv)
{
	FILE *out = argc == 3 ? fopen(argv[2], "wb") : NULL;
	if (!out) {
		fprintf(stderr, "usage: gen_font FOLDER OUT\n");
		return 1;
	}
	int bad = make(argv[1], 8, out) || make(argv[1], 14, out) || make(argv[1], 16, out);
	return fclose(out) || bad;
}
