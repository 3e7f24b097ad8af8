/* What pictures are drawn on: an SVG file (svg.c), a window (frontend/sdl/canvas.c). */
#ifndef ORRERY_DEBUG_CANVAS_H
#define ORRERY_DEBUG_CANVAS_H

#include <stdio.h>
#include "base/types.h"

#define TEXT_MIDDLE 0x1u /* x is the middle of the text ... */
#define TEXT_END    0x2u /* ... its end; else its beginning */
#define TEXT_BOLD   0x4u
#define TEXT_MONO   0x8u /* letters are MONO_WIDTH of the size wide */
#define TEXT_SLANT  0x10u /* downward to the right */
#define LINE_ARROW  0x1u
#define LINE_DASHED 0x2u
#define LINE_FAINT  0x4u
#define NO_COLOUR   (~0u)
#define MONO_WIDTH  0.602

/* Coordinates in pixels of a picture of begin()'s size, y downward. Colours 0xRRGGBB; alpha in percent. */
struct canvas {
	void *ctx;
	void (*begin)(void *ctx, unsigned w, unsigned h, const char *title);
	void (*rect)(void *ctx, double x, double y, double w, double h, u32 fill, unsigned alpha, u32 edge);
	void (*circle)(void *ctx, double x, double y, double r, u32 fill, unsigned alpha, u32 edge);
	void (*line)(void *ctx, double x1, double y1, double x2, double y2, u32 colour, double width, unsigned flags);
	/* @y: of the line that letters stand on; @size of the font in pixels. */
	void (*text)(void *ctx, double x, double y, unsigned size, u32 colour, unsigned flags, const char *s);
	void (*end)(void *ctx);
	double width; /* what there is; 0: as much as the picture wants */
};

/** SVG into a file. */
struct canvas canvas_svg(FILE *f);
/** Text for SVG and HTML. */
void markup_escape(FILE *f, const char *s);

#endif
