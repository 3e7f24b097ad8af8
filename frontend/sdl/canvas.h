/* debug/canvas.h on an SDL renderer: pictures in the window. */
#ifndef ORRERY_SDL_CANVAS_H
#define ORRERY_SDL_CANVAS_H

#include "debug/canvas.h"
#include "frontend/sdl/draw.h"

struct sdl_canvas {
	struct draw *d;
	int x, y;       /* where the picture's upper left corner is, physical pixels */
	double magnify; /* physical pixels for one of the picture's */
	unsigned w, h;  /* of the picture drawn last, in its own pixels */
	const char *title;
};

/** @width: of the room there is, in the picture's pixels; 0: any. */
struct canvas canvas_sdl(struct sdl_canvas *s, double width);
/** Draws nothing, but finds w and h. */
struct canvas canvas_blank(struct sdl_canvas *s, double width);

#endif
