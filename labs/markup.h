/* Text for HTML and SVG. */
#ifndef ORRERY_LABS_MARKUP_H
#define ORRERY_LABS_MARKUP_H

#include <stdio.h>

/** Writes @s so that it is text in HTML and XML, whatever it holds. */
void markup_escape(FILE *f, const char *s);
/** Writes the small part of Markdown that labs use: # headings, paragraphs, - lists, indented or fenced code, `code`, **bold**. */
void markup_text(FILE *f, const char *md);

#endif
