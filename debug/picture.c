/* Views as pictures: rings, timeline, walks, counters, the memory map; and of every other view its lines and tables. See picture.h. */
#include "debug/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLACK   0x222222u
#define GREY    0x555555u
#define PALE    0xbbbbbbu
#define RED     0xc0392bu
#define BLUE    0x2471a3u
#define NONROOT 0x7d3c98u
#define LANE    34
#define EVENTS  400 /* of the timeline */
#define LL(x) ((unsigned long long)(x))

static const u32 ring_colour[4] = {RED, 0xd68910u, 0x7d8f1fu, BLUE};

static void label(const struct canvas *c, double x, double y, unsigned size, unsigned flags, const char *s)
{
	c->text(c->ctx, x, y, size, BLACK, flags, s);
}

/* As much of @s as @letters have room for. */
static const char *fitted(const char *s, unsigned letters, char *buf, size_t n)
{
	if (strlen(s) <= letters || letters < 4)
		return s;
	snprintf(buf, n, "%.*s...", (int)MIN(letters - 3, (unsigned)n - 4), s);
	return buf;
}

static bool narrow(const struct canvas *c, double wanted)
{
	return c->width > 0 && c->width < wanted;
}

/* ---- rings: circles, and an arrow for every way from one to another ------------------------------------------------ */

#define CENTRE 230
#define WAYS 24 /* that are drawn: the most frequent */
static const double radius[4] = {50, 105, 155, 210};

static void spent_in(const json_t *view, unsigned ring, char *buf, size_t n)
{
	const json_t *rows = json_object_get(json_object_get(view, "spent"), "rings");
	size_t i, at = 0;
	json_t *row;
	*buf = 0;
	json_array_foreach((json_t *)rows, i, row) {
		if (view_integer(row, "ring") != (long long)ring || !view_integer(row, "instructions") || at >= n)
			continue;
		at += (size_t)snprintf(buf + at, n - at, "%s%s%%%s", at ? ", " : "", view_string(row, "percent"),
				       view_true(row, "root") ? "" : " guest");
	}
}

static void ring_circles(const struct canvas *c, const json_t *view)
{
	long long here = json_object_get(view, "cpl") ? view_integer(view, "cpl") : -1;
	char buf[60];
	for (unsigned r = 4; r--;) {
		double y = CENTRE - radius[r] + (r ? 16 : 40);
		c->circle(c->ctx, CENTRE, CENTRE, radius[r], ring_colour[r], r == here ? 45 : 13, ring_colour[r]);
		if (r && r == here) /* what lies inside is drawn upon white */
			c->circle(c->ctx, CENTRE, CENTRE, radius[r - 1], 0xffffff, 100, NO_COLOUR);
		snprintf(buf, sizeof(buf), "ring %u", r);
		label(c, CENTRE, y, 12, TEXT_MIDDLE | TEXT_BOLD, buf);
		spent_in(view, r, buf, sizeof(buf));
		if (*buf)
			c->text(c->ctx, CENTRE, y + 14, 10, GREY, TEXT_MIDDLE, buf);
	}
}

/* A dot for each processor, where it is. */
static void processors(const struct canvas *c, const json_t *view)
{
	size_t i;
	json_t *cpu;
	char buf[24];
	json_array_foreach(json_object_get(json_object_get(view, "now"), "cpus"), i, cpu) {
		double turn = -0.27 - 0.14 * (double)(i % 40), r = radius[view_integer(cpu, "cpl") & 3] - 18;
		double x = CENTRE + r * sin(turn), y = CENTRE - r * cos(turn);
		u32 colour = view_true(cpu, "root") ? BLACK : NONROOT;
		c->circle(c->ctx, x, y, 8, colour, 100, colour);
		snprintf(buf, sizeof(buf), "%lld", view_integer(cpu, "cpu"));
		c->text(c->ctx, x, y + 4, 11, 0xffffff, TEXT_MIDDLE | TEXT_BOLD, buf);
	}
}

/* The most frequent of @edges, in their order; how many. */
static size_t choose(const json_t *edges, const json_t **out)
{
	size_t n = json_array_size(edges), k = 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *e = json_array_get(edges, i);
		size_t above = 0;
		for (size_t j = 0; j < n && n > WAYS; j++) {
			long long more = view_integer(json_array_get(edges, j), "count") - view_integer(e, "count");
			above += more > 0 || (!more && j < i);
		}
		if (above < WAYS && k < WAYS)
			out[k++] = e;
	}
	return k;
}

static void way(const struct canvas *c, const json_t *e, size_t i, size_t n, bool newest)
{
	unsigned from = (unsigned)view_integer(e, "from") & 3, to = (unsigned)view_integer(e, "to") & 3;
	double turn = 0.35 + 5.3 * (double)i / (double)n, a = from ? radius[from] - 18 : 46, b = to ? radius[to] - 18 : 46;
	double s = sin(turn), k = -cos(turn), out = (a > b ? a : b) + 9;
	u32 colour = newest ? RED : view_true(e, "root") ? BLACK : NONROOT;
	char buf[24];
	c->line(c->ctx, CENTRE + a * s, CENTRE + a * k, CENTRE + b * s, CENTRE + b * k, colour, newest ? 3 : 1.6, LINE_ARROW);
	snprintf(buf, sizeof(buf), "%zu", i + 1);
	c->text(c->ctx, CENTRE + out * s, CENTRE + out * k + 4, 11, colour, TEXT_MIDDLE | (newest ? TEXT_BOLD : 0), buf);
}

static double way_in_words(const struct canvas *c, const json_t *e, size_t i, double x, double y, double width, bool newest)
{
	const char *gate = view_string(e, "gate");
	char buf[400], cut[400];
	snprintf(buf, sizeof(buf), "%zu.  ring %lld to ring %lld by %s%s, %lld times", i + 1, view_integer(e, "from"),
		 view_integer(e, "to"), view_string(e, "via"), view_true(e, "root") ? "" : " (non-root)",
		 view_integer(e, "count"));
	c->text(c->ctx, x, y, 12, newest ? RED : view_true(e, "root") ? BLACK : NONROOT, newest ? TEXT_BOLD : 0, buf);
	if (*gate)
		c->text(c->ctx, x + 24, y + 14, 10, GREY, 0, fitted(gate, (unsigned)((width - 24) / 5.2), cut, sizeof(cut)));
	return y + (*gate ? 33 : 19);
}

static double rings_height(const json_t *const *way_list, size_t n)
{
	double h = 0;
	for (size_t i = 0; i < n; i++)
		h += *view_string(way_list[i], "gate") ? 33 : 19;
	return h;
}

static bool rings(const struct canvas *c, const json_t *view)
{
	const json_t *edges = json_object_get(view, "edges"), *cpus = json_object_get(json_object_get(view, "now"), "cpus");
	const json_t *newest = json_object_get(view, "newest"), *list[WAYS],
		     *marked = json_array_get(edges, (size_t)view_integer(newest, "edge") - 1);
	size_t n = choose(edges, list), i;
	bool below = narrow(c, 860), live = json_object_get(view, "recording") != NULL;
	double head = live ? 40 + 16 * (double)json_array_size(cpus) : 10, x = below ? 16 : 480, y = below ? 476 : 40;
	double list_height = rings_height(list, n) + 30, w = below ? c->width : 960;
	json_t *cpu;
	char buf[600], cut[600];
	if (!n && !live)
		return false;
	double h = below ? y + head + list_height : MAX(470.0, y + head + list_height);
	c->begin(c->ctx, (unsigned)w, (unsigned)h, "Privilege rings and how they were changed");
	ring_circles(c, view);
	for (i = 0; i < n; i++)
		way(c, list[i], i, n, list[i] == marked);
	processors(c, view);
	unsigned room = (unsigned)((w - x) / 6.2);
	json_array_foreach((json_t *)cpus, i, cpu) {
		snprintf(buf, sizeof(buf), "CPU %lld: ring %lld, %s%s, CS %s, at %s, %s", view_integer(cpu, "cpu"),
			 view_integer(cpu, "cpl"), view_string(cpu, "mode"), view_string(cpu, "_root"), view_string(cpu, "cs"),
			 view_string(cpu, "pc"), view_string(cpu, "activity"));
		label(c, x, y, 12, TEXT_BOLD, fitted(buf, room, cut, sizeof(cut)));
		y += 16;
	}
	if (live && !view_true(view, "recording"))
		c->text(c->ctx, x, y, 12, GREY, 0, "How rings change is not recorded: 'rings on' begins.");
	if (newest) {
		snprintf(buf, sizeof(buf), "newest: %lld to %lld by %s at %s%s%s, instruction %lld", view_integer(newest, "from"),
			 view_integer(newest, "to"), view_string(newest, "via"), view_string(newest, "rip"),
			 *view_string(newest, "symbol") ? " " : "", view_string(newest, "symbol"), view_integer(newest, "at"));
		c->text(c->ctx, x, y + 4, 12, RED, 0, fitted(buf, room, cut, sizeof(cut)));
	}
	y += live ? 28 : 0;
	for (i = 0; i < n; i++)
		y = way_in_words(c, list[i], i, x, y, w - x, list[i] == marked);
	if (json_array_size(edges) > n) {
		snprintf(buf, sizeof(buf), "and %zu rarer ways", json_array_size(edges) - n);
		c->text(c->ctx, x, y, 12, GREY, 0, buf);
	}
	c->end(c->ctx);
	return true;
}

/* ---- timeline: a step line through the rings for each processor; one step to the right is one event ------------------ */

#define BAND 18 /* the modes, as a strip below the lanes */

static double lane_y(const json_t *e)
{
	return 50 + LANE * (double)(view_integer(e, "cpl") & 3) + (view_true(e, "root") ? 0 : 5 * LANE);
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

static u32 mode_colour(const char *mode)
{
	static const struct {
		const char *name;
		u32 colour;
	} modes[] = {{"real", 0xb7950b},
		     {"virtual-8086", 0xca6f1e},
		     {"protected", 0x229954},
		     {"compatibility", 0x138d75},
		     {"64-bit", BLUE}};
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(mode, modes[i].name))
			return modes[i].colour;
	return GREY;
}

static void mode_strip(const struct canvas *c, const json_t *list, size_t first, size_t n, double top)
{
	label(c, 84, top + 13, 12, TEXT_END, "mode");
	for (size_t i = 0, from = 0; i < n; i++) {
		const char *mode = view_string(json_array_get(list, first + i), "mode");
		if (i + 1 < n && !strcmp(mode, view_string(json_array_get(list, first + i + 1), "mode")))
			continue;
		double x = 95 + 15 * (double)from, w = 15 * (double)(i + 1 - from);
		char cut[40];
		c->rect(c->ctx, x, top, w, BAND, mode_colour(mode), 30, mode_colour(mode));
		if (w >= 15 * 2)
			c->text(c->ctx, x + 4, top + 13, 10, BLACK, 0, fitted(mode, (unsigned)(w / 6), cut, sizeof(cut)));
		from = i + 1;
	}
}

/* The names of phases stand in two rows; one that has room in neither is left out. */
static void phase_name(const struct canvas *c, double x, const char *name, double *ends)
{
	unsigned row = ends[0] <= x ? 0 : 1;
	if (ends[row] > x)
		return;
	c->text(c->ctx, x + 3, row ? 28 : 14, 11, GREY, 0, name);
	ends[row] = x + 8 + 6.2 * (double)strlen(name);
}

static void event(const struct canvas *c, const json_t *e, double x, double y, double bottom, double *names)
{
	const char *kind = view_string(e, "kind");
	if (!strcmp(kind, "phase")) {
		c->line(c->ctx, x, 6, x, bottom, 0x999999, 1, LINE_DASHED);
		phase_name(c, x, view_string(e, "via"), names);
	} else if (strcmp(kind, "mode") != 0) {
		u32 colour = !strcmp(kind, "exception") ? RED : !strncmp(kind, "vm", 2) ? NONROOT : BLACK;
		c->circle(c->ctx, x, y, 3.4, colour, 100, colour);
		c->text(c->ctx, x - 2, bottom + BAND + 14, 9, GREY, TEXT_SLANT, view_string(e, "via"));
	}
}

static bool timeline(const struct canvas *c, const json_t *view)
{
	static const u32 line_colour[] = {BLACK, 0x1e8449, 0xa04000, BLUE};
	const json_t *list = json_object_get(view, "timeline");
	size_t n = json_array_size(list), first = 0, i;
	struct {
		double x, y;
	} was[4] = {0};
	double names[2] = {0}; /* where each row of names ends */
	bool nonroot = false;
	double x = 100;
	if (!n)
		return false;
	/* Where room is short, the newest. */
	if (c->width > 0 && n > (size_t)((c->width - 150) / 15)) {
		first = n - (size_t)MAX((c->width - 150) / 15, 1.0);
		n -= first;
	}
	n = MIN(n, (size_t)EVENTS);
	for (i = 0; i < n; i++)
		nonroot |= !view_true(json_array_get(list, first + i), "root");
	double w = 130 + 15 * (double)n, bottom = 20 + (nonroot ? 10 : 5) * LANE;
	c->begin(c->ctx, (unsigned)w, (unsigned)bottom + 110 + BAND,
		 "Timeline: ring, root or non-root operation, mode, and what changed them");
	lanes(c, w, nonroot);
	mode_strip(c, list, first, n, bottom);
	for (i = 0; i < n; i++, x += 15) {
		const json_t *e = json_array_get(list, first + i);
		unsigned cpu = (unsigned)view_integer(e, "cpu") & 3;
		double to = lane_y(e);
		if (was[cpu].y > 0) {
			c->line(c->ctx, was[cpu].x, was[cpu].y, x, was[cpu].y, line_colour[cpu], 2, 0);
			c->line(c->ctx, x, was[cpu].y, x, to, line_colour[cpu], 2, 0);
		}
		event(c, e, x, to, bottom, names);
		was[cpu].x = x;
		was[cpu].y = to;
	}
	c->end(c->ctx);
	return true;
}

/* ---- a walk: a row for each table of the guest's; before it, the EPT entries that lead to it -------------------------- */

static bool second_stage(const json_t *step)
{
	return !strncmp(view_string(step, "level"), "EPT", 3);
}

#define BOX 54

static void walk_entry(const struct canvas *c, const json_t *s, double x, double y, double w, size_t number)
{
	bool ept = second_stage(s);
	char buf[120];
	c->rect(c->ctx, x, y, w, BOX, ept ? 0xf4ecf7 : 0xeaf2f8, 100, ept ? NONROOT : BLUE);
	snprintf(buf, sizeof(buf), "%zu. %s at %s", number, view_string(s, "level"), view_string(s, "at"));
	label(c, x + 8, y + 15, 11, 0, buf);
	label(c, x + 8, y + 31, 11, TEXT_MONO, view_string(s, "entry"));
	c->text(c->ctx, x + 8, y + 46, 10, GREY, 0, view_string(s, "flags"));
}

static bool walk(const struct canvas *c, const json_t *view)
{
	const json_t *steps = json_object_get(view, "steps");
	size_t n = json_array_size(steps), i;
	bool two = false;
	json_t *s;
	char buf[300];
	if (!steps)
		return false;
	json_array_foreach((json_t *)steps, i, s)
		two |= second_stage(s);
	const bool tight = narrow(c, 1080);
	const unsigned per_row = two ? tight ? 2 : 4 : 0;
	const double own = two && !tight ? 280 : 196, step = BOX + 12, guest_x = two ? 16 + 192 * (double)per_row : 60;
	/* Two passes: the first finds the height. */
	for (int draw = 0; draw < 2; draw++) {
		double y = 44;
		size_t column = 0;
		json_array_foreach((json_t *)steps, i, s) {
			bool ept = second_stage(s);
			if (ept && column == per_row) {
				column = 0;
				y += step;
			}
			if (draw)
				walk_entry(c, s, ept ? 16 + 192 * (double)column : guest_x, y, ept ? 184 : two ? own : 300, i + 1);
			column++;
			if (!ept || i + 1 == n) {
				y += step;
				column = 0;
			}
		}
		if (!draw)
			c->begin(c->ctx, (unsigned)(guest_x + (two ? own + 16 : 440)), (unsigned)(y + 44), "Page walk");
		else if (*view_string(view, "guest_physical"))
			snprintf(buf, sizeof(buf), "is guest-physical %s, and that is physical %s, in a page of %lld KiB",
				 view_string(view, "guest_physical"), view_string(view, "physical"),
				 strtoll(view_string(view, "page_size"), NULL, 0) / 1024);
		else if (json_object_get(view, "physical"))
			snprintf(buf, sizeof(buf), "is %s, in a page of %lld KiB", view_string(view, "physical"),
				 strtoll(view_string(view, "page_size"), NULL, 0) / 1024);
		else
			snprintf(buf, sizeof(buf), "refused: %s", view_string(view, "verdict"));
		if (draw)
			label(c, 16, y + 22, 14, TEXT_BOLD, buf);
	}
	snprintf(buf, sizeof(buf), "%s%s%s%s%s: %zu entries read", two ? "guest-linear " : "linear ", view_string(view, "linear"),
		 *view_string(view, "symbol") ? " " : "", view_string(view, "symbol"),
		 *view_string(view, "_where") ? view_string(view, "_where") : "", n);
	label(c, 16, 24, 15, TEXT_BOLD, buf);
	c->end(c->ctx);
	return true;
}

/* ---- counters: bars, to scale within their kind ----------------------------------------------------------------------- */

struct bar {
	const char *name;
	u64 n;
};

#define BARS 64

static int by_count(const void *a, const void *b)
{
	const struct bar *x = a, *y = b;
	return x->n < y->n ? 1 : x->n > y->n ? -1 : strcmp(x->name, y->name);
}

static const struct {
	const char *prefix, *title;
	u32 colour;
} bar_kinds[] = {{"exit.", "VM exits", NONROOT}, {"fault.", "exceptions", RED},	       {"ring.", "changes of ring", 0x7d8f1f},
		 {"refs.", "entries read", BLUE}, {"flush.", "translations dropped", 0x138d75}, {"", "all together", GREY}};

/* Those of one kind; the last kind is what belongs to no other. */
static unsigned bars_of(const json_t *counts, unsigned kind, struct bar *bars)
{
	const char *key;
	json_t *v;
	unsigned n = 0;
	json_object_foreach((json_t *)counts, key, v) {
		unsigned k = 0;
		while (strncmp(key, bar_kinds[k].prefix, strlen(bar_kinds[k].prefix)) != 0)
			k++;
		if (k == kind && n < BARS)
			bars[n++] = (struct bar){key + strlen(bar_kinds[k].prefix), (u64)json_integer_value(v)};
	}
	qsort(bars, n, sizeof(*bars), by_count);
	return n;
}

static bool bars_picture(const struct canvas *c, const json_t *view)
{
	const json_t *counts = json_object_get(view, "counts");
	struct bar bars[BARS];
	double w = narrow(c, 760) ? c->width : 760, y = 30;
	char buf[40];
	if (!json_object_size(counts))
		return false;
	for (unsigned k = 0; k < ARRAY_SIZE(bar_kinds); k++) {
		unsigned n = bars_of(counts, k, bars);
		y += n ? 28 + 20 * n : 0;
	}
	c->begin(c->ctx, (unsigned)w, (unsigned)y + 10, "Counters");
	label(c, 16, 22, 14, TEXT_BOLD, *view_string(view, "_title") ? view_string(view, "_title") : "Counters");
	y = 30;
	for (unsigned k = 0; k < ARRAY_SIZE(bar_kinds); k++) {
		unsigned n = bars_of(counts, k, bars);
		double all = n ? (double)bars[0].n : 0, room = w - 216 - 110;
		if (!n)
			continue;
		label(c, 16, y + 18, 12, TEXT_BOLD, bar_kinds[k].title);
		y += 24;
		for (unsigned i = 0; i < n; i++, y += 20) {
			bool bare = !*bar_kinds[k].prefix; /* sums of different things: no scale */
			double length = bare ? 0 : 1 + room * (double)bars[i].n / all;
			label(c, 206, y + 13, 12, TEXT_END, bars[i].name);
			if (!bare)
				c->rect(c->ctx, 214, y + 1, length, 16, bar_kinds[k].colour, 100, NO_COLOUR);
			snprintf(buf, sizeof(buf), "%llu", LL(bars[i].n));
			label(c, 220 + length, y + 13, 12, 0, buf);
		}
		y += 4;
	}
	c->end(c->ctx);
	return true;
}

/* ---- memory map -------------------------------------------------------------------------------------------------------- */

static bool map(const struct canvas *c, const json_t *view)
{
	const json_t *ranges = json_object_get(view, "ranges");
	size_t n = json_array_size(ranges), i;
	json_t *g;
	char buf[200];
	if (!n)
		return false;
	c->begin(c->ctx, 636, (unsigned)(50 + 26 * n), "Memory map");
	snprintf(buf, sizeof(buf), "what linear addresses mean%s", view_string(view, "_where"));
	label(c, 16, 24, 15, TEXT_BOLD, buf);
	json_array_foreach((json_t *)ranges, i, g) {
		const char *rights = view_string(g, "rights");
		double y = 40 + 26 * (double)i;
		bool user = strstr(rights, "user") != NULL;
		c->rect(c->ctx, 16, y, 604, 22, user ? BLUE : RED, rights[0] && rights[1] == 'w' ? 25 : 10, PALE);
		snprintf(buf, sizeof(buf), "%s - %s", view_string(g, "from"), view_string(g, "to"));
		label(c, 24, y + 15, 12, TEXT_MONO, buf);
		snprintf(buf, sizeof(buf), "is %s", view_string(g, "phys"));
		label(c, 318, y + 15, 12, TEXT_MONO, buf);
		if (view_integer(g, "key"))
			snprintf(buf, sizeof(buf), "%s, key %lld", rights, view_integer(g, "key"));
		else
			snprintf(buf, sizeof(buf), "%s", rights);
		label(c, 478, y + 15, 12, 0, buf);
	}
	c->end(c->ctx);
	return true;
}

/* ---- any other view: its lines and tables ------------------------------------------------------------------------------ */

#define ROW 18
#define LETTER (12 * MONO_WIDTH)
#define COLUMNS 12
#define ROWS_MAX 4000

struct page {
	const struct canvas *c;
	bool draw; /* else: how large does it become? */
	double y, w, room;
	unsigned lines;
};

static void put(struct page *p, double x, u32 colour, unsigned flags, const char *s)
{
	double w = (double)strlen(s) * LETTER;
	if (p->draw)
		p->c->text(p->c->ctx, x, p->y + 13, 12, colour, flags | TEXT_MONO, s);
	p->w = MAX(p->w, x + w + 12);
}

static void next_line(struct page *p)
{
	p->y += ROW;
	p->lines++;
}

static void lines_of(struct page *p, double x, const json_t *v)
{
	char *all = view_to_text(v), *at = all;
	while (at && *at && p->lines < ROWS_MAX) {
		size_t n = strcspn(at, "\n");
		char line[400], cut[400];
		snprintf(line, sizeof(line), "%.*s", (int)MIN(n, sizeof(line) - 1), at);
		put(p, x, BLACK, 0, p->room > 0 ? fitted(line, (unsigned)((p->room - x) / LETTER), cut, sizeof(cut)) : line);
		next_line(p);
		at += n + (at[n] == '\n');
	}
	free(all);
}

static const char *cell(const json_t *v, char *buf, size_t n)
{
	if (json_is_string(v))
		return json_string_value(v);
	if (json_is_integer(v))
		snprintf(buf, n, "%llu", LL(json_integer_value(v)));
	else
		snprintf(buf, n, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "");
	return buf;
}

struct columns {
	const char *key[COLUMNS];
	unsigned width[COLUMNS], n; /* in letters */
	bool below;                 /* the last one has no room beside the others: it stands below them */
};

static void find_columns(const json_t *a, double room, struct columns *cs)
{
	const char *key;
	char buf[40];
	json_t *v, *row;
	size_t i;
	unsigned all = 0;
	*cs = (struct columns){0};
	json_object_foreach(json_array_get(a, 0), key, v)
		if (key[0] != '_' && cs->n < COLUMNS && !json_is_object(v) && !json_is_array(v))
			cs->key[cs->n++] = key;
	for (unsigned k = 0; k < cs->n; k++) {
		cs->width[k] = (unsigned)strlen(cs->key[k]);
		json_array_foreach((json_t *)a, i, row)
			cs->width[k] = MAX(cs->width[k], (unsigned)strlen(cell(json_object_get(row, cs->key[k]), buf, sizeof(buf))));
		cs->width[k] = MIN(cs->width[k], 90u);
		all += cs->width[k] + 2;
	}
	cs->below = cs->n > 1 && room > 0 && all * LETTER > room;
}

static void table_row(struct page *p, double x, const json_t *row, const struct columns *cs)
{
	const json_t *ring = json_object_get(row, "_ring");
	double top = p->y, at = x;
	char buf[40], cut[120];
	if (p->draw && ring) {
		u32 colour = ring_colour[json_integer_value(ring) & 3];
		p->c->rect(p->c->ctx, x - 8, top, 4, ROW - 2, colour, 100, NO_COLOUR);
		p->c->rect(p->c->ctx, x - 4, top, MAX(p->w - x - 6, 40.0), ROW - 2, colour, 10, NO_COLOUR);
	}
	for (unsigned k = 0; k < cs->n; k++) {
		const char *s = row ? cell(json_object_get(row, cs->key[k]), buf, sizeof(buf)) : cs->key[k];
		bool last = k + 1 == cs->n;
		if (last && cs->below) {
			if (!*s)
				break;
			next_line(p);
			at = x + 3 * LETTER;
		}
		unsigned letters = last && p->room > 0 ? (unsigned)MAX((p->room - at) / LETTER, 8.0) : cs->width[k];
		put(p, at, row ? last && cs->below ? GREY : BLACK : GREY, 0, fitted(s, letters, cut, sizeof(cut)));
		at += (cs->width[k] + 2) * LETTER;
	}
	next_line(p);
}

static void table(struct page *p, double x, const json_t *a)
{
	const char *group = "";
	struct columns cs;
	json_t *row;
	size_t i;
	find_columns(a, p->room > 0 ? p->room - x : 0, &cs);
	table_row(p, x, NULL, &cs);
	if (p->draw)
		p->c->line(p->c->ctx, x, p->y - 3, p->w - 10, p->y - 3, PALE, 1, 0);
	json_array_foreach((json_t *)a, i, row) {
		if (p->lines >= ROWS_MAX)
			return;
		if (strcmp(view_string(row, "_group"), group) != 0) {
			group = view_string(row, "_group");
			p->y += 6;
			put(p, x, BLUE, TEXT_BOLD, group);
			next_line(p);
		}
		table_row(p, x, row, &cs);
	}
}

static bool scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static bool is_table(const json_t *a)
{
	const json_t *first = json_array_get(a, 0);
	return json_is_object(first) && !json_object_get(first, "_line") && !json_object_get(first, "_title") &&
	       !json_object_get(first, "_flat");
}

static void part(struct page *p, double x, const char *name, const json_t *v, unsigned depth);

static void object(struct page *p, double x, const json_t *o, unsigned depth)
{
	const char *key;
	char line[500], buf[40], cut[500];
	json_t *v;
	if (json_object_get(o, "_line") || json_object_get(o, "_flat") || json_object_get(o, "_rows") || depth > 6) {
		lines_of(p, x, o);
		return;
	}
	if (*view_string(o, "_title")) {
		put(p, x, BLACK, TEXT_BOLD, view_string(o, "_title"));
		next_line(p);
	}
	json_object_foreach((json_t *)o, key, v) {
		if (key[0] == '_' || !scalar(v))
			continue;
		snprintf(line, sizeof(line), "%s: %s", key, cell(v, buf, sizeof(buf)));
		put(p, x, BLACK, 0, p->room > 0 ? fitted(line, (unsigned)((p->room - x) / LETTER), cut, sizeof(cut)) : line);
		next_line(p);
	}
	json_object_foreach((json_t *)o, key, v)
		if (key[0] != '_' && !scalar(v))
			part(p, x, key, v, depth + 1);
}

static void part(struct page *p, double x, const char *name, const json_t *v, unsigned depth)
{
	if (json_is_array(v) && !json_array_size(v))
		return;
	p->y += 8;
	put(p, x, BLUE, TEXT_BOLD, name);
	next_line(p);
	if (json_is_array(v) && is_table(v))
		table(p, x + 8, v);
	else if (json_is_object(v))
		object(p, x + 8, v, depth);
	else
		lines_of(p, x + 8, v);
}

static bool document(const struct canvas *c, const json_t *view)
{
	struct page p = {.c = c, .y = 12, .w = 240, .room = c->width};
	if (!json_object_size(view))
		return false;
	object(&p, 16, view, 0);
	double w = p.w, h = p.y + 12;
	c->begin(c->ctx, (unsigned)w, (unsigned)h, *view_string(view, "_title") ? view_string(view, "_title") : "View");
	p = (struct page){.c = c, .draw = true, .y = 12, .w = w, .room = c->width};
	object(&p, 16, view, 0);
	c->end(c->ctx);
	return true;
}

bool picture_draw(const struct canvas *c, const json_t *view)
{
	static const struct {
		const char *name;
		bool (*draw)(const struct canvas *c, const json_t *view);
	} pictures[] = {{"rings", rings}, {"timeline", timeline}, {"walk", walk}, {"map", map}, {"bars", bars_picture}};
	const char *name = view_string(view, "_picture");
	if (!json_is_object(view))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(pictures); i++)
		if (!strcmp(name, pictures[i].name))
			return pictures[i].draw(c, view);
	return document(c, view);
}
