/* Pictures of a run as SVG: the rings, the timeline, walks, exits, the memory map. See labs.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "labs/labs.h"
#include "labs/markup.h"

static const char *const ring_colour[4] = {"#c0392b", "#d68910", "#7d8f1f", "#2471a3"};
#define NONROOT "#7d3c98"

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static int num(const json_t *o, const char *key)
{
	return (int)json_integer_value(json_object_get(o, key));
}

static bool truth(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static void begin(FILE *f, unsigned w, unsigned h, const char *title)
{
	fprintf(f,
		"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %u %u' width='%u' height='%u' role='img' "
		"font-family='sans-serif' font-size='12'><title>%s</title><defs><marker id='a' viewBox='0 0 8 8' refX='7' refY='4' "
		"markerWidth='7' markerHeight='7' orient='auto-start-reverse'><path d='M0 0L8 4L0 8z' fill='#444'/></marker></defs>"
		"<rect width='%u' height='%u' fill='#fff'/>\n",
		w, h, w, h, title, w, h);
}

static void label(FILE *f, double x, double y, const char *attr, const char *s)
{
	fprintf(f, "<text x='%.1f' y='%.1f' %s>", x, y, attr);
	markup_escape(f, s);
	fputs("</text>\n", f);
}

/* ---- rings: circles, and an arrow for every way from one to another ---------------------------- */

static bool svg_rings(FILE *f, const json_t *run)
{
	const json_t *edges = json_object_get(run, "edges");
	const double cx = 230, cy = 230, radius[4] = {50, 105, 155, 210};
	size_t n = json_array_size(edges), i;
	json_t *e;
	char buf[160];

	if (!n)
		return false;
	unsigned h = 470 > 60 + 18 * n ? 470 : (unsigned)(60 + 18 * n);
	begin(f, 860, h, "Privilege rings and how they were changed");
	for (int r = 3; r >= 0; r--) {
		fprintf(f, "<circle cx='%.0f' cy='%.0f' r='%.0f' fill='%s' fill-opacity='.13' stroke='%s'/>\n", cx, cy, radius[r],
			ring_colour[r], ring_colour[r]);
		snprintf(buf, sizeof(buf), "ring %d", r);
		label(f, cx, cy - radius[r] + (r ? 16 : 40), "text-anchor='middle' font-weight='bold'", buf);
	}
	json_array_foreach((json_t *)edges, i, e)
	{
		double t = 0.35 + 5.6 * (double)i / (double)n;
		int from = num(e, "from"), to = num(e, "to");
		double a = (radius[from] - 18), b = (radius[to] - 18), s = sin(t), c = -cos(t);
		const char *colour = truth(e, "root") ? "#333" : NONROOT;
		fprintf(f, "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='1.6' marker-end='url(#a)'/>\n",
			cx + a * s, cy + a * c, cx + b * s, cy + b * c, colour);
		snprintf(buf, sizeof(buf), "%zu", i + 1);
		double out = (a > b ? a : b) + 9;
		label(f, cx + out * s, cy + out * c + 4, "text-anchor='middle' font-size='11'", buf);
		snprintf(buf, sizeof(buf), "%zu.  ring %d → ring %d  by %s%s, %d×", i + 1, from, to, text(e, "via"),
			 truth(e, "root") ? "" : " (non-root)", num(e, "count"));
		label(f, 480, 40 + 18 * (double)i, truth(e, "root") ? "" : "fill='" NONROOT "'", buf);
	}
	fputs("</svg>\n", f);
	return true;
}

/* ---- timeline: a step line through the rings; the further right the later, one step an event ---- */

#define LANE 34
static double lane_y(const json_t *e)
{
	return 40 + LANE * num(e, "cpl") + (truth(e, "root") ? 0 : 5 * LANE);
}

static void timeline_lanes(FILE *f, double w, bool nonroot)
{
	char buf[40];

	for (int v = 0; v < (nonroot ? 2 : 1); v++)
		for (int r = 0; r < 4; r++) {
			double y = 40 + LANE * r + v * 5 * LANE;
			fprintf(f, "<line x1='90' y1='%.0f' x2='%.0f' y2='%.0f' stroke='%s' stroke-opacity='.35'/>\n", y, w - 10, y,
				v ? NONROOT : ring_colour[r]);
			snprintf(buf, sizeof(buf), "%sring %d", v ? "guest " : "", r);
			label(f, 84, y + 4, "text-anchor='end'", buf);
		}
}

static bool svg_timeline(FILE *f, const json_t *run)
{
	const json_t *list = json_object_get(run, "timeline");
	size_t n = json_array_size(list), i;
	double x = 100, y = 0;
	json_t *e;
	bool nonroot = false;
	unsigned phases = 0;

	if (n > 400)
		n = 400;
	if (!n)
		return false;
	for (i = 0; i < n; i++)
		nonroot |= !truth(json_array_get(list, i), "root");
	double w = 130 + 15 * (double)n, h = (nonroot ? 10 * LANE : 5 * LANE) + 130;
	begin(f, (unsigned)w, (unsigned)h, "Timeline: ring, root or non-root operation, and what changed them");
	timeline_lanes(f, w, nonroot);
	for (i = 0; i < n; i++, x += 15) {
		e = json_array_get(list, i);
		const char *kind = text(e, "kind");
		if (!strcmp(kind, "phase")) {
			fprintf(f, "<line x1='%.0f' y1='4' x2='%.0f' y2='%.0f' stroke='#999' stroke-dasharray='3 3'/>\n", x, x, h - 100);
			label(f, x + 3, phases++ & 1 ? 24 : 12, "font-size='11' fill='#555'", text(e, "via"));
		}
		double to = lane_y(e);
		if (y > 0)
			fprintf(f, "<path d='M%.0f %.0fH%.0fV%.0f' fill='none' stroke='#222' stroke-width='2'/>\n", x - 15, y, x, to);
		bool event = strcmp(kind, "phase") && strcmp(kind, "mode");
		if (event) {
			fprintf(f, "<circle cx='%.0f' cy='%.0f' r='3.4' fill='%s'/>\n", x, to,
				!strcmp(kind, "exception") ? "#c0392b" : !strncmp(kind, "vm", 2) ? NONROOT : "#222");
			fprintf(f, "<text font-size='9' fill='#444' transform='translate(%.0f %.0f) rotate(60)'>", x - 2, h - 92);
			markup_escape(f, text(e, "via"));
			fputs("</text>\n", f);
		}
		y = to;
	}
	fputs("</svg>\n", f);
	return true;
}

/* ---- a walk: a ladder of tables, EPT's beside the guest's --------------------------------------- */

static bool svg_walk(FILE *f, const json_t *run, unsigned which)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
	const json_t *w = json_array_get(json_object_get(run, "walks"), which), *steps = json_object_get(w, "steps");
	size_t n = json_array_size(steps), i, row = 0, column = 0;
	bool two = false;
	json_t *s;
	char buf[200];

	if (!w)
		return false;
	json_array_foreach((json_t *)steps, i, s) two |= num(s, "stage") == 1;
	/* Two-dimensional: a row for each guest-physical address that had to be translated, its EPT entries from left to right. */
	size_t rows = 1;
	json_array_foreach((json_t *)steps, i, s) rows += num(s, "stage") == 0;
	rows -= !two;
	unsigned width = two ? 1080 : 420, height = (unsigned)(90 + 54 * rows);
	begin(f, width, height, "Page walk");
	snprintf(buf, sizeof(buf), "%s%s, %s: %zu entries read", two ? "guest-linear " : "linear ", text(w, "address"), text(w, "phase"),
		 n);
	label(f, 16, 24, "font-size='15' font-weight='bold'", buf);
	json_array_foreach((json_t *)steps, i, s)
	{
		bool ept = num(s, "stage") == 1;
		double x = two ? (ept ? 16 + 182 * (double)column : 16 + 182 * 4.0) : 60, y = 44 + 54 * (double)row;
		int level = num(s, "level");
		fprintf(f, "<rect x='%.0f' y='%.0f' width='%d' height='40' rx='5' fill='%s' stroke='%s'/>\n", x, y, ept ? 174 : 300,
			ept ? "#f4ecf7" : "#eaf2f8", ept ? NONROOT : "#2471a3");
		snprintf(buf, sizeof(buf), "%zu. %s%s at %s", i + 1, ept ? "EPT " : "", level > 0 && level < 6 ? names[level] : "?",
			 text(s, "at"));
		label(f, x + 8, y + 16, "font-size='11'", buf);
		label(f, x + 8, y + 32, "font-family='monospace' font-size='11'", text(s, "entry"));
		if (ept) {
			column++;
		} else {
			column = 0;
			row++;
		}
	}
	if (*text(w, "verdict"))
		snprintf(buf, sizeof(buf), "✗ %s", text(w, "verdict"));
	else
		snprintf(buf, sizeof(buf), "→ %s, a page of %d KiB", text(w, "gpa"), num(w, "page_size") / 1024);
	label(f, 16, height - 14, "font-size='14' font-weight='bold'", buf);
	fputs("</svg>\n", f);
	return true;
}

/* ---- exits and faults: bars -------------------------------------------------------------------- */

struct bar {
	const char *name;
	u64 n;
};

static int by_count(const void *a, const void *b)
{
	const struct bar *x = a, *y = b;
	return x->n < y->n ? 1 : x->n > y->n ? -1 : strcmp(x->name, y->name);
}

static unsigned bar_add(struct bar *bars, unsigned n, const char *name, u64 count)
{
	unsigned i = 0;

	while (i < n && strcmp(bars[i].name, name))
		i++;
	if (i == 40)
		return n;
	if (i == n)
		bars[n++] = (struct bar){name, 0};
	bars[i].n += count;
	return n;
}

static bool svg_exits(FILE *f, const json_t *run)
{
	struct bar bars[40];
	unsigned n = 0;
	size_t i;
	json_t *p, *v;
	const char *key;
	char buf[40];

	json_array_foreach(json_object_get(run, "phases"), i, p)
	{
		json_object_foreach(json_object_get(p, "counts"), key, v) if (!strncmp(key, "exit.", 5) || !strncmp(key, "fault.", 6))
		    n = bar_add(bars, n, key, (u64)json_integer_value(v));
	}
	if (!n)
		return false;
	qsort(bars, n, sizeof(*bars), by_count);
	begin(f, 760, 44 + 22 * n, "VM exits and faults by kind");
	label(f, 16, 22, "font-size='15' font-weight='bold'", "VM exits and faults, over all phases");
	for (i = 0; i < n; i++) {
		double y = 36 + 22 * (double)i, w = 1 + 420.0 * (double)bars[i].n / (double)bars[0].n;
		bool exit = !strncmp(bars[i].name, "exit.", 5);
		label(f, 236, y + 13, "text-anchor='end'", bars[i].name);
		fprintf(f, "<rect x='244' y='%.0f' width='%.1f' height='17' fill='%s'/>\n", y, w, exit ? NONROOT : "#c0392b");
		snprintf(buf, sizeof(buf), "%llu", (unsigned long long)bars[i].n);
		label(f, 250 + w, y + 13, "", buf);
	}
	fputs("</svg>\n", f);
	return true;
}

/* ---- memory map ---------------------------------------------------------------------------------- */

static bool svg_map(FILE *f, const json_t *run, unsigned which)
{
	const json_t *found = NULL, *ranges;
	size_t i;
	json_t *s, *g;
	char buf[200];

	json_array_foreach(json_object_get(run, "shows"), i, s)
	{
		if (!strcmp(text(s, "what"), "map") && !which--) {
			found = s;
			break;
		}
	}
	ranges = json_object_get(json_object_get(found, "view"), "ranges");
	size_t n = json_array_size(ranges);
	if (!n)
		return false;
	begin(f, 700, (unsigned)(50 + 26 * n), "Memory map");
	snprintf(buf, sizeof(buf), "what linear addresses mean, in %s", text(found, "phase"));
	label(f, 16, 24, "font-size='15' font-weight='bold'", buf);
	json_array_foreach((json_t *)ranges, i, g)
	{
		double y = 40 + 26 * (double)i;
		const char *rights = text(g, "rights");
		bool user = strstr(rights, "user") != NULL, writable = rights[1] == 'w', code = rights[2] == 'x';
		fprintf(f, "<rect x='16' y='%.0f' width='668' height='22' rx='3' fill='%s' fill-opacity='%s' stroke='%s'/>\n", y,
			user ? "#2471a3" : "#c0392b", writable ? ".25" : ".1", code ? "#222" : "#bbb");
		snprintf(buf, sizeof(buf), "%s - %s", text(g, "from"), text(g, "to"));
		label(f, 24, y + 15, "font-family='monospace'", buf);
		snprintf(buf, sizeof(buf), "→ %s", text(g, "phys"));
		label(f, 330, y + 15, "font-family='monospace'", buf);
		snprintf(buf, sizeof(buf), "%s%s%s", rights, num(g, "key") ? ", key " : "", "");
		if (num(g, "key"))
			snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "%d", num(g, "key"));
		label(f, 520, y + 15, "", buf);
	}
	fputs("</svg>\n", f);
	return true;
}

bool lab_svg(FILE *f, const json_t *run, const char *what, unsigned n)
{
	if (!strcmp(what, "rings"))
		return svg_rings(f, run);
	if (!strcmp(what, "timeline"))
		return svg_timeline(f, run);
	if (!strcmp(what, "walk"))
		return svg_walk(f, run, n);
	if (!strcmp(what, "exits"))
		return svg_exits(f, run);
	if (!strcmp(what, "map"))
		return svg_map(f, run, n);
	return false;
}
