/*
 * The panel of live views beside the guest's picture: the ring diagram, the timeline, counters, the processor's tables, the VMCS,
 * page walks. What it shows are the monitor's views (debug/picture.h draws them), asked for again and again while the guest runs.
 * While the panel is open, changes of ring are recorded (debug/rings.h); closed, it costs nothing.
 */
#include "frontend/sdl/window_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "debug/picture.h"
#include "frontend/sdl/canvas.h"

#define WIDTH 640 /* at about 96 dots per inch */
#define PAPER 0xffffff
#define STRIP 0x2b333d
#define INK   0x222222
#define MS    1000000ull

static const struct {
	const char *name, *command;
	u64 every_ns; /* asked for so often */
} views[] = {
    {"rings", "info rings", 150 * MS},	 {"timeline", "info timeline 120", 150 * MS}, {"counters", "info counters", 250 * MS},
    {"walk", NULL, 250 * MS},		 {"map", "info map", 1500 * MS},	      {"gdt", "info gdt", 500 * MS},
    {"ldt", "info ldt", 500 * MS},	 {"idt", "info idt", 500 * MS},		      {"tss", "info tss", 500 * MS},
    {"registers", "info registers", 250 * MS}, {"vmcs", "info vmcs", 500 * MS},	      {"exits", "info vmexits", 250 * MS},
    {"faults", "info faults", 500 * MS},
};

unsigned panel_views(void)
{
	return ARRAY_SIZE(views);
}

const char *panel_view_name(unsigned i)
{
	return views[i].name;
}

static int step(const struct window *w)
{
	return MAX(w->draw.scale / 2, 1);
}

int panel_wanted(const struct window *w)
{
	return w->panel.on ? WIDTH * step(w) : 0;
}

int panel_width(const struct window *w)
{
	return MIN(panel_wanted(w), w->out_w * (w->full ? 45 : 60) / 100);
}

/* ---- what it shows ---------------------------------------------------------------------------- */

static void command_of(const struct window *w, char *line, size_t n)
{
	const struct panel *p = &w->panel;
	if (views[p->which].command)
		snprintf(line, n, "%s", views[p->which].command);
	else
		snprintf(line, n, "walk %s", p->address);
}

static void take(struct window *w)
{
	struct panel *p = &w->panel;
	struct errtext e;
	char line[120];
	command_of(w, line, sizeof(line));
	json_t *v = monitor_view(w->o->monitor, line, false, &e);
	if (!v) {
		v = json_object();
		view_text(v, "error", e.s);
	}
	if (p->view && json_equal(v, p->view)) {
		json_decref(v);
		return;
	}
	json_decref(p->view);
	p->view = v;
	w->dirty = true;
}

void panel_tick(struct window *w, u64 now)
{
	struct panel *p = &w->panel;
	if (!p->on || now < p->next_ns || snapshot_busy(w))
		return;
	p->next_ns = now + views[p->which].every_ns;
	take(w);
}

static void order(struct window *w, const char *line)
{
	bool failed;
	char *answer = monitor_line(w->o->monitor, line, false, &failed);
	if (failed)
		window_toast(w, "%.200s", answer ? answer : line);
	free(answer);
}

static bool recording(struct window *w)
{
	struct errtext e;
	json_t *v = monitor_view(w->o->monitor, "info rings", false, &e);
	bool on = view_true(v, "recording");
	json_decref(v);
	return on;
}

/* ---- opening and choosing ----------------------------------------------------------------------- */

void panel_show(struct window *w, unsigned which)
{
	struct panel *p = &w->panel;
	if (!w->o->monitor)
		return;
	if (!*p->address)
		snprintf(p->address, sizeof(p->address), "$pc");
	p->which = which % ARRAY_SIZE(views);
	p->x = p->y = 0;
	p->next_ns = 0;
	json_decref(p->view);
	p->view = NULL;
	w->dirty = true;
	if (p->on)
		return;
	p->on = true;
	p->records = !recording(w);
	if (p->records)
		order(w, "rings on");
	window_toast(w, "Ctrl+Alt+N, B: the next view, the one before. Ctrl+Alt+R closes.");
	window_relayout(w);
}

void panel_close(struct window *w)
{
	struct panel *p = &w->panel;
	if (!p->on)
		return;
	panel_ask_end(w, false);
	p->on = false;
	json_decref(p->view);
	p->view = NULL;
	if (p->records)
		order(w, "rings off");
	window_relayout(w);
}

void panel_toggle(struct window *w)
{
	if (w->panel.on)
		panel_close(w);
	else
		panel_show(w, w->panel.which);
}

void panel_turn(struct window *w, int by)
{
	const int n = (int)ARRAY_SIZE(views);
	if (w->panel.on)
		panel_show(w, (unsigned)(((int)w->panel.which + by + n) % n));
}

void panel_scroll(struct window *w, int rows)
{
	struct panel *p = &w->panel;
	p->y -= rows * 40 * step(w);
	w->dirty = true; /* panel_draw() keeps it within the picture */
}

void panel_zoom(struct window *w)
{
	w->panel.large = !w->panel.large;
	w->panel.y = 0;
	w->dirty = true;
}

void panel_save(struct window *w)
{
	char line[240], name[80], what[120];
	if (!w->panel.on)
		return;
	window_new_name(name, sizeof(name), ".svg");
	command_of(w, what, sizeof(what));
	snprintf(line, sizeof(line), "view %s %s", !strncmp(what, "info ", 5) ? what + 5 : what, name);
	window_toast(w, "Saved: %s", name);
	order(w, line);
}

/* ---- an address to walk --------------------------------------------------------------------------- */

void panel_ask(struct window *w)
{
	struct panel *p = &w->panel;
	if (!w->o->monitor || p->asking)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(views); i++)
		if (!views[i].command)
			panel_show(w, i);
	p->asking = true;
	p->typed[0] = 0;
	SDL_StartTextInput();
	w->dirty = true;
}

void panel_ask_end(struct window *w, bool taken)
{
	struct panel *p = &w->panel;
	if (!p->asking)
		return;
	p->asking = false;
	SDL_StopTextInput();
	if (taken && *p->typed)
		snprintf(p->address, sizeof(p->address), "%s", p->typed);
	p->next_ns = 0;
	w->dirty = true;
}

void panel_typed(struct window *w, const char *text)
{
	struct panel *p = &w->panel;
	size_t n = strlen(p->typed);
	if (!p->asking)
		return;
	for (; *text && n + 1 < sizeof(p->typed); text++)
		if (*text >= ' ' && *text <= '~')
			p->typed[n++] = *text;
	p->typed[n] = 0;
	w->dirty = true;
}

void panel_key(struct window *w, SDL_Scancode code)
{
	struct panel *p = &w->panel;
	size_t n = strlen(p->typed);
	if (code == SDL_SCANCODE_RETURN || code == SDL_SCANCODE_KP_ENTER || code == SDL_SCANCODE_ESCAPE)
		panel_ask_end(w, code != SDL_SCANCODE_ESCAPE);
	else if (code == SDL_SCANCODE_BACKSPACE && n)
		p->typed[n - 1] = 0;
	w->dirty = true;
}

/* ---- the pointer ------------------------------------------------------------------------------------ */

bool panel_under(const struct window *w, int x, int y)
{
	return w->panel.on && x >= w->out_w - panel_width(w) && y < w->out_h - w->bar;
}

void panel_click(struct window *w, int x, int y)
{
	const SDL_Point at = {x, y};
	for (unsigned i = 0; i < ARRAY_SIZE(views); i++)
		if (SDL_PointInRect(&at, &w->panel.tab[i]))
			panel_show(w, i);
}

/* ---- drawing ------------------------------------------------------------------------------------------ */

/* The names of the views, in as many lines as they need; the height. */
static int draw_tabs(struct window *w, const SDL_Rect *room)
{
	struct panel *p = &w->panel;
	struct draw *d = &w->draw;
	const int k = step(w), pad = 5 * k, h = draw_line(d) + 2 * k;
	int x = room->x + pad, y = room->y + 2 * k;
	_Static_assert(ARRAY_SIZE(views) <= ARRAY_SIZE(p->tab), "a tab for every view");
	for (unsigned i = 0; i < ARRAY_SIZE(views); i++) {
		int width = draw_text_width(d, views[i].name) + 2 * pad;
		if (x + width > room->x + room->w) {
			x = room->x + pad;
			y += h;
		}
		p->tab[i] = (SDL_Rect){x, y, width, h};
		x += width;
	}
	draw_box(d, (SDL_Rect){room->x, room->y, room->w, y + h - room->y + 2 * k}, STRIP, 255);
	for (unsigned i = 0; i < ARRAY_SIZE(views); i++) {
		const SDL_Rect *t = &p->tab[i];
		if (i == p->which)
			draw_box(d, *t, 0x2f6fb0, 255);
		draw_text(d, t->x + pad, t->y + 3 * k, t->w, i == p->which ? 0xffffff : 0xb8c4d0, views[i].name);
	}
	return y + h + 2 * k - room->y;
}

static void draw_prompt(struct window *w, const SDL_Rect *room)
{
	const struct panel *p = &w->panel;
	const int k = step(w), h = draw_line(&w->draw) + 6 * k;
	char line[200];
	snprintf(line, sizeof(line), p->asking ? "address to walk: %s_" : "walk of %s - Ctrl+Alt+A chooses another address",
		 p->asking ? p->typed : p->address);
	draw_box(&w->draw, (SDL_Rect){room->x, room->y + room->h - h, room->w, h}, p->asking ? 0xfff3c4 : 0xeeeeee, 255);
	draw_text(&w->draw, room->x + 8 * k, room->y + room->h - h + 4 * k, room->w - 16 * k, INK, line);
}

void panel_draw(struct window *w)
{
	struct panel *p = &w->panel;
	const SDL_Rect all = {w->out_w - panel_width(w), 0, panel_width(w), w->out_h - w->bar};
	struct sdl_canvas s = {.d = &w->draw, .magnify = (p->large ? 1.6 : 1.0) * step(w)};
	draw_box(&w->draw, all, PAPER, 255);
	int top = draw_tabs(w, &all);
	SDL_Rect room = {all.x, all.y + top, all.w, MAX(all.h - top, 1)};
	const struct canvas blank = canvas_blank(&s, room.w / s.magnify), c = canvas_sdl(&s, room.w / s.magnify);
	SDL_RenderSetClipRect(w->draw.to, &room);
	if (p->view && picture_draw(&blank, p->view)) {
		p->y = MAX(p->y, room.h - (int)(s.h * s.magnify) - 40 * step(w));
		p->y = MIN(p->y, 0);
		s.x = room.x;
		s.y = room.y + p->y;
		picture_draw(&c, p->view);
	} else {
		draw_text(&w->draw, room.x + 16, room.y + 16, room.w - 32, INK, p->view ? "There is nothing yet." : "...");
	}
	if (!views[p->which].command)
		draw_prompt(w, &room);
	SDL_RenderSetClipRect(w->draw.to, NULL);
	draw_box(&w->draw, (SDL_Rect){all.x - step(w), 0, step(w), all.h}, STRIP, 255);
}
