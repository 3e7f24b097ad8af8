/*
 * Between a display adapter and whoever shows its picture. The adapter (machine's thread) draws into the back surface when
 * the machine asks it to, at most about 60 times a second of host time and only if somebody watches or a screenshot was asked
 * for; so an unwatched screen costs the processor nothing. Viewers (any thread) copy from the surface under the lock.
 * Nothing here reaches the guest: drawing changes no guest-visible state.
 */
#ifndef ORRERY_DEVICES_DISPLAY_H
#define ORRERY_DEVICES_DISPLAY_H

#include <stdatomic.h>
#include "base/types.h"

#define DISPLAY_MAX_WIDTH  4096u
#define DISPLAY_MAX_HEIGHT 2304u

struct display;

struct display_rect {
	u32 x, y, w, h;
};

/** The picture as pixels: 0x00RRGGBB, @stride pixels from line to line. */
struct display_surface {
	u32 width, height, stride;
	u32 *pixels;
	u64 generation; /* counts every change of the picture */
	u64 geometry;   /* counts every change of width or height */
	u32 aspect_w, aspect_h; /* shape of the whole picture on a monitor of the time (4:3 for text and VGA modes); 0: square pixels */
};

/* ---- the adapter's side (machine's thread) ------------------------------------------------ */

/** What an adapter provides: redraw what has changed through display_*(), all of it if @all. */
struct display_source {
	void (*draw)(void *ctx, struct display *d, bool all);
	void *ctx;
};

struct display *display_create(void);
void display_destroy(struct display *d);
/** Names the adapter that draws; NULL members: none (a blank 640 x 400 picture). */
void display_set_source(struct display *d, const struct display_source *source);
/** True if a drawing is due: a viewer is attached and @real_ns (host_monotonic_ns()) is 1/60 s after the last, or one was
 * asked for by display_request(). Cheap: the machine asks between slices. */
bool display_due(const struct display *d, u64 real_ns);
/** Has the source draw. */
void display_draw(struct display *d, u64 real_ns);
/** From draw(): sets the size, locks the surface for drawing and returns it. */
struct display_surface *display_begin(struct display *d, u32 width, u32 height, u32 aspect_w, u32 aspect_h);
/** From draw(): this rectangle was redrawn. */
void display_damage(struct display *d, u32 x, u32 y, u32 w, u32 h);
void display_end(struct display *d);

/* ---- the viewer's side (any thread) ------------------------------------------------------- */

/** A viewer comes or goes. */
void display_attach(struct display *d);
void display_detach(struct display *d);
/** @changed(@ctx) hears of each drawing that changed the picture, on the machine's thread, which waits for it. One listener: NULL ends it. */
void display_on_change(struct display *d, void (*changed)(void *ctx), void *ctx);
/** True while a viewer is attached. */
bool display_watched(const struct display *d);
/** Asks for one drawing though nobody watches. */
void display_request(struct display *d);
/** Locks and returns the surface; if @damage is not NULL it is the bounding rectangle of what changed after generation
 * @since (w = 0: nothing). display_unlock() soon. */
const struct display_surface *display_lock(struct display *d, u64 since, struct display_rect *damage);
void display_unlock(struct display *d);
/** Writes the present picture as a PNG file (zlib). 0 or -errno. */
MUST_CHECK int display_screenshot(struct display *d, const char *path);

#endif
