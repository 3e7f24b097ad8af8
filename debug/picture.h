/*
 * Views as pictures. One tree (debug/view.h) makes text, JSON, SVG, and the panel of the window: what is drawn is what the tree holds.
 * Hints for pictures:
 *
 *   _picture  of an object: rings (edges; now, spent, newest of debug/rings.h), timeline (timeline), walk (steps), map (ranges),
 *             bars (counts). Any other view is drawn as its lines and tables.
 *   _ring     of a row: coloured as this ring
 *   _group    of a row: a heading stands above the first row of each group
 */
#ifndef ORRERY_DEBUG_PICTURE_H
#define ORRERY_DEBUG_PICTURE_H

#include "debug/canvas.h"
#include "debug/view.h"
#include "machine/errtext.h"

/** False: there is nothing to draw; the canvas was not touched. */
bool picture_draw(const struct canvas *c, const json_t *view);
/** The same as an SVG file: text, malloc'ed; NULL: nothing to draw, or no memory. */
char *picture_svg(const json_t *view);
/** Writes a view to @path: a picture (.svg), JSON (.json), else text. 0, or -errno with a message. */
MUST_CHECK int picture_write(const json_t *view, const char *path, struct errtext *e);

#endif
