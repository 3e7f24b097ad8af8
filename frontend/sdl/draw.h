/* Text and boxes of the menu and the status bar, in physical pixels. */
#ifndef ORRERY_SDL_DRAW_H
#define ORRERY_SDL_DRAW_H

#include <SDL.h>
#include "base/types.h"

#define GLYPH_ROWS 9 /* of the font, unscaled */
#define LINE_ROWS  13

struct draw {
	SDL_Renderer *to;
	SDL_Texture *font;     /* white letters side by side */
	u16 at[96], width[96]; /* of each letter in it, unscaled */
	int scale;             /* physical pixels per font pixel */
};

/** 0, or -1 with SDL_GetError(). */
int draw_init(struct draw *d, SDL_Renderer *to);
void draw_free(struct draw *d);
/** Colours are 0xRRGGBB; @alpha 0..255. */
void draw_box(struct draw *d, SDL_Rect r, u32 rgb, u8 alpha);
/** Draws @text with its top left corner at (x, y), at most @max pixels wide (cut with "..."); its
 * width. */
int draw_text(struct draw *d, int x, int y, int max, u32 rgb, const char *text);
int draw_text_width(const struct draw *d, const char *text);
/** Height of a line of text with its spacing. */
static inline int draw_line(const struct draw *d)
{
	return LINE_ROWS * d->scale;
}

#endif
