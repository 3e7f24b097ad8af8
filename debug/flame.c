/* Flame graphs: plain SVG with titles for a pointer that rests, no scripts. */
#include "debug/flame.h"

#include <inttypes.h>
#include "base/types.h"

#define WIDTH 1200.0
#define MARGIN 10.0
#define ROW 17
#define TOP 40
#define NARROW 0.4 /* pixels */
#define CHAR_WIDTH 6.7

struct flame {
	FILE *out;
	const struct call_node *n;
	const char *(*name)(const void *ctx, u64 addr, char *buf, size_t size);
	const void *ctx;
	double scale;
	unsigned height;
};

static void put_escaped(FILE *out, const char *s, size_t n)
{
	for (; *s && n--; s++) {
		switch (*s) {
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '&': fputs("&amp;", out); break;
		case '"': fputs("&quot;", out); break;
		default: fputc(*s >= ' ' && *s <= '~' ? *s : '?', out);
		}
	}
}

/* Warm colours that stay with the name; cool ones for what is no function. */
static void colour(const struct call_node *n, const char *name, char buf[48])
{
	u32 h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (u8)*name) * 16777619u;
	if (n->special)
		snprintf(buf, 48, "rgb(%u,%u,%u)", 110 + h % 40, 150 + (h >> 8) % 40, 200 + (h >> 16) % 50);
	else
		snprintf(buf, 48, "rgb(%u,%u,%u)", 205 + h % 50, 90 + (h >> 8) % 120, (h >> 16) % 60);
}

static void put_box(struct flame *f, u32 i, double x, double w, unsigned depth)
{
	const struct call_node *n = &f->n[i];
	char buf[160], fill[48];
	const char *name = call_node_name(n, f->name, f->ctx, buf, sizeof(buf));
	double y = f->height - TOP / 2.0 - (depth + 1) * ROW;
	size_t len = strlen(name), fit = w < 3 * CHAR_WIDTH ? 0 : (size_t)((w - 4) / CHAR_WIDTH);

	colour(n, name, fill);
	fprintf(f->out, "<g><title>");
	put_escaped(f->out, name, len);
	fprintf(f->out, " (%" PRIu64 " instructions, %.2f%%; itself %" PRIu64 "; %" PRIu64 " calls)</title>", n->total,
		100.0 * (double)n->total / (double)f->n[0].total, n->self, n->calls);
	fprintf(f->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\" rx=\"1\"/>", x, y, w, ROW - 1, fill);
	if (fit) {
		fprintf(f->out, "<text x=\"%.1f\" y=\"%.1f\">", x + 3, y + ROW - 5);
		put_escaped(f->out, name, len <= fit ? len : fit > 2 ? fit - 2 : 0);
		fprintf(f->out, "%s</text>", len <= fit ? "" : "..");
	}
	fprintf(f->out, "</g>\n");
}

static unsigned deepest(const struct flame *f, u32 i, unsigned depth)
{
	unsigned most = depth;

	for (u32 k = f->n[i].child; k && depth < CALL_DEPTH; k = f->n[k].next) {
		if ((double)f->n[k].total * f->scale < NARROW)
			break;
		unsigned d = deepest(f, k, depth + 1);
		most = MAX(most, d);
	}
	return most;
}

static void put_tree(struct flame *f, u32 i, double x, unsigned depth)
{
	put_box(f, i, x, (double)f->n[i].total * f->scale, depth);
	for (u32 k = f->n[i].child; k && depth < CALL_DEPTH; k = f->n[k].next) {
		double w = (double)f->n[k].total * f->scale;
		if (w < NARROW)
			break; /* the rest is narrower */
		put_tree(f, k, x, depth + 1);
		x += w;
	}
}

void flame_write(FILE *out, const struct call_node *nodes, const char *title,
		 const char *(*name)(const void *ctx, u64 addr, char *buf, size_t size), const void *ctx)
{
	struct flame f = {.out = out, .n = nodes, .name = name, .ctx = ctx, .scale = (WIDTH - 2 * MARGIN) / (double)MAX(nodes[0].total, 1)};

	f.height = TOP * 2 + (deepest(&f, 0, 0) + 1) * ROW;
	fprintf(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\" width=\"%d\" "
		     "height=\"%u\" viewBox=\"0 0 %d %u\">\n<style>text{font:11px monospace;fill:#111}.t{font-size:16px}"
		     "rect:hover{stroke:#000}</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fbf7ee\"/>\n<text class=\"t\" x=\"10\" "
		     "y=\"24\">",
		(int)WIDTH, f.height, (int)WIDTH, f.height);
	put_escaped(out, title, strlen(title));
	fprintf(out, "</text>\n");
	if (nodes[0].total)
		put_tree(&f, 0, MARGIN, 0);
	fprintf(out, "</svg>\n");
}
