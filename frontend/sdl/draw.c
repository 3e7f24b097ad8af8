/* Letters as one texture, tinted when drawn. Not modelled: anything but ASCII; other characters are
 * shown as '?'. */
#include "frontend/sdl/draw.h"

#define FIRST ' '
#define LAST  '~'

/* As a constant, so that no table is built at run time: glyphs in the order of ASCII. */
static const struct {
	char c;
	const char *rows;
} glyphs[] = {
#define GLYPH(c, rows) {c, rows},
#include "frontend/sdl/font.def"
#undef GLYPH
};

static unsigned index_of(char c)
{
	return c >= FIRST && c <= LAST ? (unsigned)(c - FIRST) : '?' - FIRST;
}

static void paint(SDL_Surface *s, int x, const char *rows)
{
	for (int y = 0, at = x; *rows; rows++) {
		if (*rows == '/') {
			y++;
			at = x;
			continue;
		}
		if (*rows == '#')
			((u32 *)((u8 *)s->pixels + y * s->pitch))[at] = 0xffffffff;
		at++;
	}
}

int draw_init(struct draw *d, SDL_Renderer *to)
{
	int width = 0;
	*d = (struct draw){.to = to, .scale = 2};
	for (unsigned i = 0; i < ARRAY_SIZE(glyphs); i++) {
		d->at[i] = (u16)width;
		d->width[i] = (u16)strcspn(glyphs[i].rows, "/");
		width += d->width[i] + 1;
	}
	SDL_Surface *s =
	    SDL_CreateRGBSurfaceWithFormat(0, width, GLYPH_ROWS, 32, SDL_PIXELFORMAT_ARGB8888);
	if (!s)
		return -1;
	for (unsigned i = 0; i < ARRAY_SIZE(glyphs); i++)
		paint(s, d->at[i], glyphs[i].rows);
	d->font = SDL_CreateTextureFromSurface(to, s);
	SDL_FreeSurface(s);
	if (!d->font)
		return -1;
	SDL_SetTextureBlendMode(d->font, SDL_BLENDMODE_BLEND);
	SDL_SetTextureScaleMode(d->font, SDL_ScaleModeNearest);
	return 0;
}

void draw_free(struct draw *d)
{
	if (d->font)
		SDL_DestroyTexture(d->font);
	d->font = NULL;
}

void draw_box(struct draw *d, SDL_Rect r, u32 rgb, u8 alpha)
{
	SDL_SetRenderDrawBlendMode(d->to, alpha == 255 ? SDL_BLENDMODE_NONE : SDL_BLENDMODE_BLEND);
	SDL_SetRenderDrawColor(d->to, (u8)(rgb >> 16), (u8)(rgb >> 8), (u8)rgb, alpha);
	SDL_RenderFillRect(d->to, &r);
}

static int advance(const struct draw *d, char c)
{
	return (d->width[index_of(c)] + 1) * d->scale;
}

int draw_text_width(const struct draw *d, const char *text)
{
	int w = 0;
	for (; *text; text++)
		w += advance(d, *text);
	return w;
}

static int put(struct draw *d, int x, int y, char c)
{
	unsigned i = index_of(c);
	const SDL_Rect from = {d->at[i], 0, d->width[i], GLYPH_ROWS};
	const SDL_Rect to = {x, y, d->width[i] * d->scale, GLYPH_ROWS * d->scale};
	SDL_RenderCopy(d->to, d->font, &from, &to);
	return advance(d, c);
}

int draw_text(struct draw *d, int x, int y, int max, u32 rgb, const char *text)
{
	const int dots = 3 * advance(d, '.');
	bool cut = draw_text_width(d, text) > max;
	int start = x;
	SDL_SetTextureColorMod(d->font, (u8)(rgb >> 16), (u8)(rgb >> 8), (u8)rgb);
	for (; *text && (!cut || x - start + advance(d, *text) + dots <= max); text++)
		x += put(d, x, y, *text);
	for (unsigned i = 0; cut && i < 3 && x - start + dots / 3 <= max; i++)
		x += put(d, x, y, '.');
	return x - start;
}
