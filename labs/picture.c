/* Pictures of a run: the rings, the timeline, walks, exits and faults, the memory map. See picture.h. */
#include "labs/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLACK   0x222222u
#define GREY    0x555555u
#define RED     0xc0392bu
#define BLUE    0x2471a3u
#define NONROOT 0x7d3c98u
#define LANE    34
#define EVENTS  400 /* of the timeline */

static const u32 ring_colour[4] = {RED, 0xd68910u, 0x7d8f1fu, BLUE};

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

static void label(const struct canvas *c, double x, double y, unsigned size, unsigned flags, const char *s)
{
	c->text(c->ctx, x, y, size, BLACK, flags, s);
}

/* ---- rings: circles, and an arrow for every way from one to another ---------------------------- */

static void ring_circles(const struct canvas *c, double x, double y, const double *radius)
{
	char buf[20];

	for (unsigned r = 4; r--;) {
		c->circle(c->ctx, x, y, radius[r], ring_colour[r], 13, ring_colour[r]);
		snprintf(buf, sizeof(buf), "ring %u", r);
		label(c, x, y - radius[r] + (r ? 16 : 40), 12, TEXT_MIDDLE | TEXT_BOLD, buf);
	}
}

static bool rings(const struct canvas *c, const json_t *run)
{
	static const double radius[4] = {50, 105, 155, 210};
	const json_t *edges = json_object_get(run, "edges");
	const double x = 230, y = 230;
	size_t n = json_array_size(edges), i;
	json_t *e;
	char buf[200];

	if (!n)
		return false;
	c->begin(c->ctx, 860, 470 > 60 + 18 * n ? 470 : (unsigned)(60 + 18 * n), "Privilege rings and how they were changed");
	ring_circles(c, x, y, radius);
	json_array_foreach((json_t *)edges, i, e)
	{
		unsigned from = (unsigned)num(e, "from") & 3, to = (unsigned)num(e, "to") & 3;
		double turn = 0.35 + 5.6 * (double)i / (double)n, a = radius[from] - 18, b = radius[to] - 18;
		double s = sin(turn), k = -cos(turn), out = (a > b ? a : b) + 9;
		u32 colour = truth(e, "root") ? BLACK : NONROOT;
		c->line(c->ctx, x + a * s, y + a * k, x + b * s, y + b * k, colour, 1.6, LINE_ARROW);
		snprintf(buf, sizeof(buf), "%zu", i + 1);
		label(c, x + out * s, y + out * k + 4, 11, TEXT_MIDDLE, buf);
		snprintf(buf, sizeof(buf), "%zu.  ring %u to ring %u by %s%s, %d times", i + 1, from, to, text(e, "via"),
			 truth(e, "root") ? "" : " (non-root)", num(e, "count"));
		c->text(c->ctx, 480, 40 + 18 * (double)i, 12, colour, 0, buf);
	}
	c->end(c->ctx);
	return true;
}

/* ---- timeline: a step line through the rings; one step to the right is one event --------------- */

static double lane_y(const json_t *e)
{
	return 50 + LANE * num(e, "cpl") + (truth(e, "root") ? 0 : 5 * LANE);
}

static void lanes(const struct canvas *c, double w, bool nonroot)
{
	char buf[40];

	for (unsigned v = 0; v < (nonroot ? 2u : 1u); v++)
		for (unsigned r = 0; r < 4; r++) {
			double y = 50 + LANE * r + v * 5 * LANE;
			c->line(c->ctx, 90, y, w - 10, y, v ? NONROOT : ring_colour[r], 1, LINE_FAINT);
			snprintf(buf, sizeof(buf), "%sring %u", v ? "guest " : "", r);
			label(c, 84, y + 4, 12, TEXT_END, buf);
		}
}

/* @crowded: the next event is a change of mode, too, whose name would stand on this one's. */
static void event(const struct canvas *c, const json_t *e, double x, double y, double bottom, unsigned *phases, bool crowded)
{
	const char *kind = text(e, "kind");

	if (!strcmp(kind, "phase")) {
		c->line(c->ctx, x, 6, x, bottom, 0x999999, 1, LINE_DASHED);
		c->text(c->ctx, x + 3, (*phases)++ & 1 ? 28 : 14, 11, GREY, 0, text(e, "via"));
	} else if (!strcmp(kind, "mode")) {
		c->line(c->ctx, x, bottom - 14, x, bottom, BLUE, 1, 0);
		if (!crowded)
			c->text(c->ctx, x + 3, bottom - 2, 9, BLUE, 0, text(e, "mode"));
	} else {
		u32 colour = !strcmp(kind, "exception") ? RED : !strncmp(kind, "vm", 2) ? NONROOT : BLACK;
		c->circle(c->ctx, x, y, 3.4, colour, 100, colour);
		c->text(c->ctx, x - 2, bottom + 8, 9, GREY, TEXT_SLANT, text(e, "via"));
	}
}

static bool timeline(const struct canvas *c, const json_t *run)
{
	const json_t *list = json_object_get(run, "timeline");
	size_t n = json_array_size(list), i;
	unsigned phases = 0;
	bool nonroot = false;
	double x = 100, y = 0;

	if (!n)
		return false;
	if (n > EVENTS)
		n = EVENTS;
	for (i = 0; i < n; i++)
		nonroot |= !truth(json_array_get(list, i), "root");
	double w = 130 + 15 * (double)n, bottom = 20 + (nonroot ? 10 : 5) * LANE;
	c->begin(c->ctx, (unsigned)w, (unsigned)bottom + 110, "Timeline: ring, root or non-root operation, and what changed them");
	lanes(c, w, nonroot);
	for (i = 0; i < n; i++, x += 15) {
		const json_t *e = json_array_get(list, i);
		double to = lane_y(e);
		if (y > 0) {
			c->line(c->ctx, x - 15, y, x, y, BLACK, 2, 0);
			c->line(c->ctx, x, y, x, to, BLACK, 2, 0);
		}
		event(c, e, x, to, bottom, &phases, !strcmp(text(json_array_get(list, i + 1), "kind"), "mode"));
		y = to;
	}
	c->end(c->ctx);
	return true;
}

/* ---- a walk: a row for each table of the guest's; before it, the EPT entries that lead to it ---- */

static void walk_entry(const struct canvas *c, const json_t *s, double x, double y, size_t number)
{
	static const char *const names[] = {"?", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
	bool ept = num(s, "stage") == 1;
	int level = num(s, "level");
	char buf[120];

	c->rect(c->ctx, x, y, ept ? 174 : 300, 40, ept ? 0xf4ecf7 : 0xeaf2f8, 100, ept ? NONROOT : BLUE);
	snprintf(buf, sizeof(buf), "%zu. %s%s at %s", number, ept ? "EPT " : "", level > 0 && level < 6 ? names[level] : "?", text(s, "at"));
	label(c, x + 8, y + 16, 11, 0, buf);
	label(c, x + 8, y + 32, 11, TEXT_MONO, text(s, "entry"));
}

static bool walk(const struct canvas *c, const json_t *run, unsigned which)
{
	const json_t *w = json_array_get(json_object_get(run, "walks"), which), *steps = json_object_get(w, "steps");
	size_t n = json_array_size(steps), i, row = 0, column = 0, rows = 0;
	bool two = false;
	json_t *s;
	char buf[200];

	if (!w)
		return false;
	json_array_foreach((json_t *)steps, i, s)
	{
		two |= num(s, "stage") == 1;
		rows += num(s, "stage") == 0;
	}
	unsigned height = (unsigned)(90 + 54 * (rows + two));
	c->begin(c->ctx, two ? 1080 : 560, height, "Page walk");
	snprintf(buf, sizeof(buf), "%s%s, %s: %zu entries read", two ? "guest-linear " : "linear ", text(w, "address"), text(w, "phase"), n);
	label(c, 16, 24, 15, TEXT_BOLD, buf);
	json_array_foreach((json_t *)steps, i, s)
	{
		bool ept = num(s, "stage") == 1;
		walk_entry(c, s, two ? 16 + 182 * (ept ? (double)column : 4.0) : 60, 44 + 54 * (double)row, i + 1);
		column = ept ? column + 1 : 0;
		row += !ept;
	}
	if (*text(w, "verdict"))
		snprintf(buf, sizeof(buf), "refused: %s", text(w, "verdict"));
	else
		snprintf(buf, sizeof(buf), "is %s, in a page of %d KiB", text(w, "gpa"), num(w, "page_size") / 1024);
	label(c, 16, height - 14, 14, TEXT_BOLD, buf);
	c->end(c->ctx);
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

static bool exits(const struct canvas *c, const json_t *run)
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
	c->begin(c->ctx, 760, 44 + 22 * n, "VM exits and faults by kind");
	label(c, 16, 22, 15, TEXT_BOLD, "VM exits and faults, over all phases");
	for (i = 0; i < n; i++) {
		double y = 36 + 22 * (double)i, w = 1 + 420.0 * (double)bars[i].n / (double)bars[0].n;
		bool exit = !strncmp(bars[i].name, "exit.", 5);
		label(c, 236, y + 13, 12, TEXT_END, bars[i].name);
		c->rect(c->ctx, 244, y, w, 17, exit ? NONROOT : RED, 100, NO_COLOUR);
		snprintf(buf, sizeof(buf), "%llu", (unsigned long long)bars[i].n);
		label(c, 250 + w, y + 13, 12, 0, buf);
	}
	c->end(c->ctx);
	return true;
}

/* ---- memory map ---------------------------------------------------------------------------------- */

static const json_t *map_find(const json_t *run, unsigned which)
{
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(run, "shows"), i, s)
	{
		if (!strcmp(text(s, "what"), "map") && !which--)
			return s;
	}
	return NULL;
}

static bool map(const struct canvas *c, const json_t *run, unsigned which)
{
	const json_t *found = map_find(run, which), *ranges = json_object_get(json_object_get(found, "view"), "ranges");
	size_t n = json_array_size(ranges), i;
	json_t *g;
	char buf[200];

	if (!n)
		return false;
	c->begin(c->ctx, 700, (unsigned)(50 + 26 * n), "Memory map");
	snprintf(buf, sizeof(buf), "what linear addresses mean, in %s", text(found, "phase"));
	label(c, 16, 24, 15, TEXT_BOLD, buf);
	json_array_foreach((json_t *)ranges, i, g)
	{
		const char *rights = text(g, "rights");
		double y = 40 + 26 * (double)i;
		bool user = strstr(rights, "user") != NULL;
		c->rect(c->ctx, 16, y, 668, 22, user ? BLUE : RED, rights[0] && rights[1] == 'w' ? 25 : 10, 0xbbbbbb);
		snprintf(buf, sizeof(buf), "%s - %s", text(g, "from"), text(g, "to"));
		label(c, 24, y + 15, 12, TEXT_MONO, buf);
		snprintf(buf, sizeof(buf), "is %s", text(g, "phys"));
		label(c, 330, y + 15, 12, TEXT_MONO, buf);
		if (num(g, "key"))
			snprintf(buf, sizeof(buf), "%s, key %d", rights, num(g, "key"));
		else
			snprintf(buf, sizeof(buf), "%s", rights);
		label(c, 520, y + 15, 12, 0, buf);
	}
	c->end(c->ctx);
	return true;
}

bool lab_picture(const struct canvas *c, const json_t *run, const char *what, unsigned n)
{
	if (!strcmp(what, "rings"))
		return !n && rings(c, run);
	if (!strcmp(what, "timeline"))
		return !n && timeline(c, run);
	if (!strcmp(what, "walk"))
		return walk(c, run, n);
	if (!strcmp(what, "exits"))
		return !n && exits(c, run);
	return !strcmp(what, "map") && map(c, run, n);
}
