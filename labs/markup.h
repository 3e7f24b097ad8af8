/* Text for HTML; debug/canvas.h has markup_escape(). */
#ifndef ORRERY_LABS_MARKUP_H
#define ORRERY_LABS_MARKUP_H

#include <stdio.h>

/** Writes the small part of Markdown that labs use: # headings, paragraphs, - lists, indented or fenced code, `code`, **bold**, *slanted*. */
void markup_text(FILE *f, const char *md);

#endif
