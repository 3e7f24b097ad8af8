/* Pictures in a window. Letters are the bitmap font's, of whole multiples of its size. */
#include "frontend/sdl/canvas.h"

#include <math.h>
#include <string.h>

static int px(const struct sdl_canvas *s, double x)
{
	return (int)(x * s->magnify) + s->x;
}

static int py(const struct sdl_canvas *s, double y)
{
	return (int)(y * s->magnify) + s->y;
}

static void colour_of(struct sdl_canvas *s, u32 rgb, unsigned percent)
{
	SDL_SetRenderDrawBlendMode(s->d->to, SDL_BLENDMODE_BLEND);
	SDL_SetRenderDrawColor(s->d->to, (u8)(rgb >> 16), (u8)(rgb >> 8), (u8)rgb, (u8)(percent * 255 / 100));
}

static void begin(void *ctx, unsigned w, unsigned h, const char *title)
{
	struct sdl_canvas *s = ctx;
	s->w = w;
	s->h = h;
	s->title = title;
}

static void rect(void *ctx, double x, double y, double w, double h, u32 fill, unsigned alpha, u32 edge)
{
	struct sdl_canvas *s = ctx;
	const SDL_Rect r = {px(s, x), py(s, y), (int)(w * s->magnify), (int)(h * s->magnify)};
	colour_of(s, fill, alpha);
	SDL_RenderFillRect(s->d->to, &r);
	if (edge == NO_COLOUR)
		return;
	colour_of(s, edge, 100);
	SDL_RenderDrawRect(s->d->to, &r);
}

static void circle(void *ctx, double x, double y, double r, u32 fill, unsigned alpha, u32 edge)
{
	struct sdl_canvas *s = ctx;
	SDL_Point p[65];
	int rr = (int)(r * s->magnify);
	colour_of(s, fill, alpha);
	for (int dy = -rr; dy <= rr; dy++) {
		int w = (int)sqrt((double)(rr * rr - dy * dy));
		SDL_RenderDrawLine(s->d->to, px(s, x) - w, py(s, y) + dy, px(s, x) + w, py(s, y) + dy);
	}
	if (edge == NO_COLOUR)
		return;
	for (int i = 0; i <= 64; i++) {
		p[i].x = px(s, x + r * cos(i * 6.28318530718 / 64));
		p[i].y = py(s, y + r * sin(i * 6.28318530718 / 64));
	}
	colour_of(s, edge, 100);
	SDL_RenderDrawLines(s->d->to, p, 65);
}

static void line(void *ctx, double x1, double y1, double x2, double y2, u32 colour, double width, unsigned flags)
{
	struct sdl_canvas *s = ctx;
	const double length = hypot(x2 - x1, y2 - y1), ux = length > 0 ? (x2 - x1) / length : 0,
		     uy = length > 0 ? (y2 - y1) / length : 0;
	const bool steep = fabs(x2 - x1) < fabs(y2 - y1);
	const int thick = width > 2.5 ? 3 : width > 1 ? 2 : 1;
	colour_of(s, colour, flags & (LINE_FAINT | LINE_DASHED) ? 35 : 100);
	for (int i = 0; i < thick; i++)
		SDL_RenderDrawLine(s->d->to, px(s, x1) + steep * i, py(s, y1) + !steep * i, px(s, x2) + steep * i,
				   py(s, y2) + !steep * i);
	if (!(flags & LINE_ARROW) || length < 1)
		return;
	const double head = width > 2.5 ? 11 : 8;
	for (int side = -1; side <= 1; side += 2)
		for (int i = 0; i < thick; i++)
			SDL_RenderDrawLine(s->d->to, px(s, x2) + steep * i, py(s, y2) + !steep * i,
					   px(s, x2 - head * ux + head / 2 * side * uy) + steep * i,
					   py(s, y2 - head * uy - head / 2 * side * ux) + !steep * i);
}

/* Letters are drawn to a texture, and that turned. */
static void slanted(struct sdl_canvas *s, int x, int y, u32 colour, const char *words)
{
	struct draw *d = s->d;
	const int w = draw_text_width(d, words) + 2, h = GLYPH_ROWS * d->scale;
	SDL_Texture *before = SDL_GetRenderTarget(d->to);
	SDL_Texture *t = SDL_CreateTexture(d->to, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_TARGET, w, h);
	if (!t)
		return;
	SDL_SetTextureBlendMode(t, SDL_BLENDMODE_BLEND);
	SDL_SetRenderTarget(d->to, t);
	SDL_SetRenderDrawColor(d->to, 255, 255, 255, 0);
	SDL_RenderClear(d->to);
	draw_text(d, 0, 0, w, colour, words);
	SDL_SetRenderTarget(d->to, before);
	SDL_RenderCopyEx(d->to, t, NULL, &(SDL_Rect){x, y, w, h}, 60, &(SDL_Point){0, 0}, SDL_FLIP_NONE);
	SDL_DestroyTexture(t);
}

/* Every letter in a place of its own, so that columns stand. */
static void monospaced(struct sdl_canvas *s, double x, int y, unsigned size, u32 colour, const char *words)
{
	char one[2] = {0};
	for (unsigned i = 0; words[i]; i++) {
		one[0] = words[i];
		if (words[i] == ' ')
			continue;
		int room = px(s, x + (i + 1) * size * MONO_WIDTH) - px(s, x + i * size * MONO_WIDTH);
		draw_text(s->d, px(s, x + i * size * MONO_WIDTH) + (room - draw_text_width(s->d, one)) / 2, y, 100, colour, one);
	}
}

static void text(void *ctx, double x, double y, unsigned size, u32 colour, unsigned flags, const char *words)
{
	struct sdl_canvas *s = ctx;
	struct draw *d = s->d;
	int scale = d->scale;
	d->scale = size < 11 ? MAX((int)s->magnify, 1) : MAX((int)(s->magnify + 0.5), 1);
	int w = draw_text_width(d, words), left = px(s, x) - (flags & TEXT_MIDDLE ? w / 2 : flags & TEXT_END ? w : 0);
	int top = py(s, y) - 7 * d->scale;
	if (flags & TEXT_SLANT)
		slanted(s, left, py(s, y), colour, words);
	else if (flags & TEXT_MONO)
		monospaced(s, x, top, size, colour, words);
	else
		draw_text(d, left, top, w + 4, colour, words);
	/* Struck twice; the smallest letters have no room for that. */
	if (flags & TEXT_BOLD && d->scale > 1 && flags & TEXT_MONO)
		monospaced(s, x + 1 / s->magnify, top, size, colour, words);
	else if (flags & TEXT_BOLD && d->scale > 1)
		draw_text(d, left + 1, top, w + 4, colour, words);
	d->scale = scale;
}

static void end(void *ctx)
{
}

struct canvas canvas_sdl(struct sdl_canvas *s, double width)
{
	return (struct canvas){s, begin, rect, circle, line, text, end, width};
}

/* ---- nothing is drawn ------------------------------------------------------------------------------------------------ */

static void no_rect(void *ctx, double x, double y, double w, double h, u32 fill, unsigned alpha, u32 edge)
{
}

static void no_circle(void *ctx, double x, double y, double r, u32 fill, unsigned alpha, u32 edge)
{
}

static void no_line(void *ctx, double x1, double y1, double x2, double y2, u32 colour, double width, unsigned flags)
{
}

static void no_text(void *ctx, double x, double y, unsigned size, u32 colour, unsigned flags, const char *words)
{
}

struct canvas canvas_blank(struct sdl_canvas *s, double width)
{
	return (struct canvas){s, begin, no_rect, no_circle, no_line, no_text, end, width};
}
