/* The canvas that is an SVG file; views in files. See canvas.h and picture.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/host.h"
#include "debug/picture.h"

void markup_escape(FILE *f, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '\'': fputs("&#39;", f); break;
		case '"': fputs("&quot;", f); break;
		default:
			if ((unsigned char)*s >= 0x20 || *s == '\n' || *s == '\t')
				fputc(*s, f);
		}
}

static void begin(void *ctx, unsigned w, unsigned h, const char *title)
{
	fprintf(ctx,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %u %u' width='%u' height='%u' role='img' "
		"font-family='sans-serif'><title>%s</title><defs><marker id='a' viewBox='0 0 8 8' refX='7' refY='4' "
		"markerWidth='7' markerHeight='7' orient='auto-start-reverse'><path d='M0 0L8 4L0 8z' fill='#444'/></marker></defs>"
		"<rect width='%u' height='%u' fill='#fff'/>\n",
		w, h, w, h, title, w, h);
}

static void style(FILE *f, u32 fill, unsigned alpha, u32 edge)
{
	fprintf(f, " fill='#%06x'", fill);
	if (alpha < 100)
		fprintf(f, " fill-opacity='.%02u'", alpha);
	if (edge != NO_COLOUR)
		fprintf(f, " stroke='#%06x'", edge);
	fputs("/>\n", f);
}

static void rect(void *ctx, double x, double y, double w, double h, u32 fill, unsigned alpha, u32 edge)
{
	fprintf(ctx, "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' rx='3'", x, y, w, h);
	style(ctx, fill, alpha, edge);
}

static void circle(void *ctx, double x, double y, double r, u32 fill, unsigned alpha, u32 edge)
{
	fprintf(ctx, "<circle cx='%.1f' cy='%.1f' r='%.1f'", x, y, r);
	style(ctx, fill, alpha, edge);
}

static void line(void *ctx, double x1, double y1, double x2, double y2, u32 colour, double width, unsigned flags)
{
	fprintf(
	    ctx,
	    "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='#%06x' stroke-width='%.1f'%s%s%s stroke-linecap='square'/>\n",
	    x1, y1, x2, y2, colour, width, flags & LINE_ARROW ? " marker-end='url(#a)'" : "",
	    flags & LINE_DASHED ? " stroke-dasharray='3 3'" : "", flags & LINE_FAINT ? " stroke-opacity='.35'" : "");
}

static void text(void *ctx, double x, double y, unsigned size, u32 colour, unsigned flags, const char *s)
{
	if (flags & TEXT_SLANT)
		fprintf(ctx, "<text transform='translate(%.1f %.1f) rotate(60)'", x, y);
	else
		fprintf(ctx, "<text x='%.1f' y='%.1f'", x, y);
	fprintf(ctx, " font-size='%u' fill='#%06x'%s%s%s>", size, colour,
		flags & TEXT_MIDDLE ? " text-anchor='middle'"
		: flags & TEXT_END  ? " text-anchor='end'"
				    : "",
		flags & TEXT_BOLD ? " font-weight='bold'" : "",
		flags & TEXT_MONO ? " font-family='monospace' xml:space='preserve'" : "");
	markup_escape(ctx, s);
	fputs("</text>\n", ctx);
}

static void end(void *ctx)
{
	fputs("</svg>\n", ctx);
}

struct canvas canvas_svg(FILE *f)
{
	return (struct canvas){f, begin, rect, circle, line, text, end, 0};
}

char *picture_svg(const json_t *view)
{
	char *svg = NULL;
	size_t size;
	FILE *f = open_memstream(&svg, &size);
	if (!f)
		return NULL;
	const struct canvas c = canvas_svg(f);
	bool drawn = picture_draw(&c, view);
	if (!fclose(f) && drawn)
		return svg;
	free(svg);
	return NULL;
}

static bool ends(const char *path, const char *with)
{
	size_t n = strlen(path), m = strlen(with);
	return n > m && !strcmp(path + n - m, with);
}

int picture_write(const json_t *view, const char *path, struct errtext *e)
{
	char *text = ends(path, ".svg") ? picture_svg(view) : ends(path, ".json") ? view_to_json(view, 2) : view_to_text(view);
	if (!text)
		return err_set(e, -ENODATA, "%s: there is nothing to draw", path);
	int r = host_file_write_atomic(path, text, strlen(text));
	free(text);
	return r ? err_set(e, r, "%s: %s", path, strerror(-r)) : 0;
}
