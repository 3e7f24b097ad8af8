/*
 * The menu over the picture, for mouse and keyboard: what one does at a machine's case and drives,
 * and at the window. Not modelled: scroll bars; long lists move with the selection.
 */
#include "frontend/sdl/window_internal.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum menu_action {
	DO_NOTHING,
	DO_BACK,
	DO_PAUSE,
	DO_RESET,
	DO_POWER,
	DO_PACE,
	DO_FULL_SCREEN,
	DO_SCALING,
	DO_SCREENSHOT,
	DO_PASTE,
	DO_KEYS,
	DO_CHORD,
	DO_DRIVES,
	DO_FILES, /* arg: drive */
	DO_EJECT,
	DO_FOLDER,
	DO_INSERT,
	DO_SAVE,
	DO_SNAPSHOTS,
	DO_LOAD,
	DO_GIVE_UP,
	DO_VIEWS,
	DO_VIEW, /* arg: which */
	DO_VIEW_CLOSE,
	DO_VIEW_SAVE,
	DO_VIEW_ASK,
	DO_QUIT,
};

#define CTRL_ALT 0x1d, 0x38
static const struct {
	const char *name;
	u16 keys[4];
} chords[] = {
    {"Ctrl+Alt+Delete", {CTRL_ALT, 0xe053}},
    {"Ctrl+Alt+Backspace", {CTRL_ALT, 0x0e}},
    {"Ctrl+Alt+F1", {CTRL_ALT, 0x3b}},
    {"Ctrl+Alt+F2", {CTRL_ALT, 0x3c}},
    {"Ctrl+Alt+F3", {CTRL_ALT, 0x3d}},
    {"Ctrl+Alt+F7", {CTRL_ALT, 0x41}},
    {"Alt+Tab", {0x38, 0x0f}},
    {"Alt+F4", {0x38, 0x3e}},
    {"Ctrl+Escape", {0x1d, 0x01}},
    {"Windows", {0xe05b}},
    {"Print Screen", {0xe037}},
    {"Alt+SysRq+H", {0x38, 0x54, 0x23}},
    {"Pause", {0xe11d}},
};

static const char *const scaling_names[] = {[SCALE_INTEGER] = "whole pixels",
					    [SCALE_SHAPE] = "monitor's shape",
					    [SCALE_STRETCH] = "stretched"};

/* ---- what the pages hold -------------------------------------------------------------------- */

static void add(struct menu *n, enum menu_action action, int arg, const char *label,
		const char *hint)
{
	if (n->rows == MENU_ROWS)
		return;
	struct menu_row *r = &n->row[n->rows++];
	snprintf(r->label, sizeof(r->label), "%.191s", label);
	snprintf(r->hint, sizeof(r->hint), "%s", hint);
	r->action = action;
	r->arg = arg;
}

static void main_page(struct window *w)
{
	struct menu *n = &w->menu;
	snprintf(n->title, sizeof(n->title), "%s", w->o->name ? w->o->name : "Orrery");
	add(n, DO_BACK, 0, "Back to the guest", "Esc");
	if (!w->ended) {
		struct machine_medium any;
		if (machine_media(w->m, &any, 1))
			add(n, DO_DRIVES, 0, "Discs and diskettes", ">");
		add(n, DO_PAUSE, 0, machine_paused(w->m) ? "Go on" : "Pause", "Ctrl+Alt+P");
		add(n, DO_PACE, 0, "Speed",
		    machine_pace(w->m) == PACE_TURBO ? "as fast as it can" : "real time");
		add(n, DO_KEYS, 0, "Send keys", ">");
		add(n, DO_PASTE, 0, "Type the clipboard's text", "Ctrl+Alt+V");
	}
	if (w->o->monitor)
		add(n, DO_VIEWS, 0, "Views of the processor", "Ctrl+Alt+R >");
	if (!w->ended && !snapshot_busy(w)) {
		add(n, DO_SAVE, 0, "Save snapshot", "");
		add(n, DO_SNAPSHOTS, 0, "Load snapshot", ">");
	} else if (!w->ended && !w->job.load) {
		add(n, DO_GIVE_UP, 0, "Give up saving", "");
	}
	add(n, DO_SCREENSHOT, 0, "Screenshot", "Ctrl+Alt+S");
	add(n, DO_FULL_SCREEN, 0, w->full ? "Leave full screen" : "Full screen", "Ctrl+Alt+F");
	add(n, DO_SCALING, 0, "Picture", scaling_names[w->scaling]);
	if (!w->ended) {
		add(n, DO_POWER, 0, "Press the power button", "");
		add(n, DO_RESET, 0, "Reset", "");
	}
	add(n, DO_QUIT, 0, "Quit at once", "");
}

static void keys_page(struct window *w)
{
	struct menu *n = &w->menu;
	snprintf(n->title, sizeof(n->title), "Send keys");
	for (unsigned i = 0; i < ARRAY_SIZE(chords); i++)
		add(n, DO_CHORD, (int)i, chords[i].name, "");
}

static void views_page(struct window *w)
{
	struct menu *n = &w->menu;
	snprintf(n->title, sizeof(n->title), "Views of the processor, beside the picture");
	for (unsigned i = 0; i < panel_views(); i++)
		add(n, DO_VIEW, (int)i, panel_view_name(i), w->panel.on && w->panel.which == i ? "shown" : "");
	add(n, DO_VIEW_ASK, 0, "Walk another address", "Ctrl+Alt+A");
	if (!w->panel.on)
		return;
	add(n, DO_VIEW_SAVE, 0, "Save this view as SVG", "Ctrl+Alt+E");
	add(n, DO_VIEW_CLOSE, 0, "Close the views", "Ctrl+Alt+R");
}

static void snapshots_page(struct window *w)
{
	struct menu *n = &w->menu;
	struct snapshot_file file[64];
	unsigned count = snapshot_list(file, ARRAY_SIZE(file));
	snprintf(n->title, sizeof(n->title), "Load snapshot");
	for (unsigned i = 0; i < count; i++) {
		char size[32];
		snprintf(size, sizeof(size), "%llu MiB",
			 (unsigned long long)(file[i].bytes + 1048575) >> 20);
		add(n, DO_LOAD, 0, file[i].name, size);
	}
	if (!count)
		add(n, DO_BACK, 0, "There is no .sav file where Orrery was started", "");
}

/* ---- drives and files ----------------------------------------------------------------------- */

#define MEDIA 8

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void drives_page(struct window *w)
{
	struct menu *n = &w->menu;
	struct machine_medium md[MEDIA];
	unsigned count = machine_media(w->m, md, MEDIA);
	snprintf(n->title, sizeof(n->title), "Discs and diskettes");
	for (unsigned i = 0; i < count && i < MEDIA; i++) {
		char label[160];
		snprintf(label, sizeof(label), "%s: %s", md[i].id,
			 md[i].loaded ? base_name(md[i].path) : "(empty)");
		add(n, DO_FILES, (int)i, label, "choose >");
		snprintf(label, sizeof(label), "Take out %s", base_name(md[i].path));
		if (md[i].loaded)
			add(n, DO_EJECT, (int)i, label, "");
	}
}

static int by_name(const void *a, const void *b)
{
	const struct menu_row *x = a, *y = b;
	if (x->action != y->action) /* folders first */
		return x->action == DO_FOLDER ? -1 : 1;
	return strcasecmp(x->label, y->label);
}

static void add_file(struct menu *n, const char *name)
{
	char path[PATH_MAX], size[32];
	struct stat st;
	if (*name == '.' ||
	    snprintf(path, sizeof(path), "%s/%s", n->folder, name) >= (int)sizeof(path) ||
	    stat(path, &st))
		return;
	snprintf(size, sizeof(size), "%llu MiB", (unsigned long long)(st.st_size + 1048575) >> 20);
	if (S_ISDIR(st.st_mode))
		add(n, DO_FOLDER, 0, name, ">");
	else if (S_ISREG(st.st_mode) && strlen(name) < sizeof(n->row[0].label))
		add(n, DO_INSERT, 0, name, size);
}

static void files_page(struct window *w)
{
	struct menu *n = &w->menu;
	DIR *d = opendir(n->folder);
	snprintf(n->title, sizeof(n->title), "%s", n->folder);
	add(n, DO_FOLDER, 0, "..", "");
	if (!d)
		return;
	for (const struct dirent *e; (e = readdir(d));)
		add_file(n, e->d_name);
	closedir(d);
	qsort(n->row + 1, n->rows - 1, sizeof(n->row[0]), by_name);
}

/* Where the image in drive @drive lies, or where Orrery was started. */
static void first_folder(struct window *w)
{
	struct menu *n = &w->menu;
	struct machine_medium md[MEDIA];
	unsigned count = machine_media(w->m, md, MEDIA);
	char real[PATH_MAX];
	bool there =
	    (unsigned)n->drive < count && md[n->drive].loaded && realpath(md[n->drive].path, real);
	if (*n->folder)
		return;
	if (there && strlen(real) < sizeof(n->folder)) {
		*strrchr(real, '/') = 0;
		snprintf(n->folder, sizeof(n->folder), "%s", *real ? real : "/");
	} else if (!getcwd(n->folder, sizeof(n->folder))) {
		snprintf(n->folder, sizeof(n->folder), "/");
	}
}

/* Into a folder, or out of it by "..". */
static void enter_folder(struct window *w, const char *name)
{
	struct menu *n = &w->menu;
	char path[PATH_MAX], real[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", n->folder, name);
	if (!realpath(path, real) || strlen(real) >= sizeof(n->folder))
		return;
	snprintf(n->folder, sizeof(n->folder), "%s", real);
	n->selected = n->first = 0;
}

static void insert(struct window *w, unsigned drive, const char *path)
{
	struct machine_medium md[MEDIA];
	struct errtext e;
	unsigned count = machine_media(w->m, md, MEDIA);
	if (snapshot_busy(w)) /* would wait for it */
		window_toast(w, "%s is not finished yet", w->job.path);
	else if (drive >= count || drive >= MEDIA)
		window_toast(w, "There is no drive that takes it");
	else if (machine_change_medium(w->m, md[drive].id, path, &e))
		window_toast(w, "%s", e.s);
	else if (path)
		window_toast(w, "%s is in %s", base_name(path), md[drive].id);
	else
		window_toast(w, "%s is empty", md[drive].id);
}

static void insert_named(struct window *w, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s", w->menu.folder, name);
	insert(w, (unsigned)w->menu.drive, path);
}

void menu_drop(struct window *w, const char *path)
{
	struct machine_medium md[MEDIA];
	unsigned count = machine_media(w->m, md, MEDIA), i = 0;
	struct stat st;
	bool diskette = !stat(path, &st) && st.st_size <= 2949120;
	while (i < count && i < MEDIA && md[i].cdrom == diskette)
		i++;
	if (!w->ended)
		insert(w, i, path);
}

static void build(struct window *w)
{
	w->menu.rows = 0;
	switch (w->menu.page) {
	case PAGE_MAIN: main_page(w); break;
	case PAGE_KEYS: keys_page(w); break;
	case PAGE_DRIVES: drives_page(w); break;
	case PAGE_FILES: files_page(w); break;
	case PAGE_SNAPSHOTS: snapshots_page(w); break;
	case PAGE_VIEWS: views_page(w); break;
	default: break;
	}
	if (w->menu.selected >= w->menu.rows)
		w->menu.selected = w->menu.rows ? w->menu.rows - 1 : 0;
	w->dirty = true;
}

void menu_open(struct window *w, enum menu_page page)
{
	input_release_all(w);
	input_grab(w, false);
	w->menu.page = page;
	w->menu.selected = w->menu.first = 0;
	build(w);
}

void menu_close(struct window *w)
{
	w->menu.page = PAGE_NONE;
	w->dirty = true;
}

/* ---- what happens --------------------------------------------------------------------------- */

static void choose(struct window *w)
{
	struct menu *n = &w->menu;
	if (n->selected >= n->rows)
		return;
	const struct menu_row row = n->row[n->selected];
	switch ((enum menu_action)row.action) {
	case DO_PACE:
		machine_set_pace(w->m,
				 machine_pace(w->m) == PACE_TURBO ? PACE_REAL_TIME : PACE_TURBO);
		window_title(w);
		build(w);
		return;
	case DO_SCALING:
		w->scaling = w->scaling == SCALE_STRETCH ? SCALE_INTEGER : w->scaling + 1;
		w->geometry = 0; /* lays everything out anew */
		build(w);
		return;
	case DO_KEYS: menu_open(w, PAGE_KEYS); return;
	case DO_DRIVES: menu_open(w, PAGE_DRIVES); return;
	case DO_SNAPSHOTS: menu_open(w, PAGE_SNAPSHOTS); return;
	case DO_VIEWS: menu_open(w, PAGE_VIEWS); return;
	case DO_FILES:
		n->drive = row.arg;
		first_folder(w);
		menu_open(w, PAGE_FILES);
		return;
	case DO_FOLDER:
		enter_folder(w, row.label);
		build(w);
		return;
	default: break;
	}
	menu_close(w);
	switch ((enum menu_action)row.action) {
	case DO_PAUSE: window_toggle_pause(w); break;
	case DO_RESET: machine_send_button(w->m, BUTTON_RESET); break;
	case DO_POWER: machine_send_button(w->m, BUTTON_POWER); break;
	case DO_FULL_SCREEN: window_set_full_screen(w, !w->full); break;
	case DO_SCREENSHOT: window_screenshot(w); break;
	case DO_PASTE: input_paste(w); break;
	case DO_EJECT: insert(w, (unsigned)row.arg, NULL); break;
	case DO_INSERT: insert_named(w, row.label); break;
	case DO_SAVE: snapshot_save_new(w); break;
	case DO_LOAD: snapshot_load_named(w, row.label); break;
	case DO_GIVE_UP: snapshot_give_up(w); break;
	case DO_VIEW: panel_show(w, (unsigned)row.arg); break;
	case DO_VIEW_CLOSE: panel_close(w); break;
	case DO_VIEW_SAVE: panel_save(w); break;
	case DO_VIEW_ASK: panel_ask(w); break;
	case DO_CHORD: input_chord(w, chords[row.arg].keys); break;
	case DO_QUIT:
		w->power_asked = true;
		window_close(w);
		break;
	default: break;
	}
}

static void back(struct window *w)
{
	if (w->menu.page == PAGE_MAIN)
		menu_close(w);
	else
		menu_open(w, w->menu.page == PAGE_FILES ? PAGE_DRIVES : PAGE_MAIN);
}

static void move(struct window *w, int by)
{
	struct menu *n = &w->menu;
	int at = (int)n->selected + by, last = (int)n->rows - 1;
	if (by == 1 || by == -1)
		at = at < 0 ? last : at > last ? 0 : at;
	n->selected = (unsigned)(at < 0 ? 0 : at > last ? last : at);
	w->dirty = true;
}

void menu_key(struct window *w, SDL_Scancode code)
{
	switch (code) {
	case SDL_SCANCODE_UP: move(w, -1); break;
	case SDL_SCANCODE_DOWN: move(w, 1); break;
	case SDL_SCANCODE_PAGEUP: move(w, -10); break;
	case SDL_SCANCODE_PAGEDOWN: move(w, 10); break;
	case SDL_SCANCODE_HOME: move(w, -MENU_ROWS); break;
	case SDL_SCANCODE_END: move(w, MENU_ROWS); break;
	case SDL_SCANCODE_RETURN:
	case SDL_SCANCODE_KP_ENTER:
	case SDL_SCANCODE_SPACE:
	case SDL_SCANCODE_RIGHT: choose(w); break;
	case SDL_SCANCODE_LEFT:
	case SDL_SCANCODE_BACKSPACE: back(w); break;
	case SDL_SCANCODE_ESCAPE: menu_close(w); break;
	default: break;
	}
}

void menu_scroll(struct window *w, int rows)
{
	move(w, rows * 3);
}

void menu_pointer(struct window *w, int x, int y, bool click)
{
	struct menu *n = &w->menu;
	const SDL_Point at = {x, y};
	int row = n->row_height ? (y - n->box.y) / n->row_height - 1 : -1;
	if (!SDL_PointInRect(&at, &n->box)) {
		if (click)
			menu_close(w);
		return;
	}
	if (row < 0 || row >= n->shown || n->first + (unsigned)row >= n->rows)
		return;
	if (n->selected != n->first + (unsigned)row) {
		n->selected = n->first + (unsigned)row;
		w->dirty = true;
	}
	if (click)
		choose(w);
}

/* ---- drawing -------------------------------------------------------------------------------- */

static void measure(struct window *w)
{
	struct menu *n = &w->menu;
	const int k = w->draw.scale, pad = 6 * k;
	int width = draw_text_width(&w->draw, n->title) + 2 * pad, height = w->out_h - w->bar;
	n->row_height = draw_line(&w->draw) + 2 * k;
	for (unsigned i = 0; i < n->rows; i++)
		width =
		    MAX(width, draw_text_width(&w->draw, n->row[i].label) +
				   draw_text_width(&w->draw, n->row[i].hint) + 2 * pad + 20 * k);
	width = MIN(width, w->out_w - 2 * pad);
	int room = (height - 2 * pad) / n->row_height - 1;
	n->shown = MIN((int)n->rows, room < 1 ? 1 : room);
	if (n->selected < n->first)
		n->first = n->selected;
	if (n->selected >= n->first + (unsigned)n->shown)
		n->first = n->selected - (unsigned)n->shown + 1;
	int h = (n->shown + 1) * n->row_height + 2 * k;
	n->box = (SDL_Rect){(w->out_w - width) / 2, (height - h) / 2, width, h};
}

static void draw_row(struct window *w, int line, const struct menu_row *r, bool selected)
{
	const struct menu *n = &w->menu;
	const int k = w->draw.scale, pad = 6 * k, y = n->box.y + (line + 1) * n->row_height;
	const int hint = draw_text_width(&w->draw, r->hint),
		  right = n->box.x + n->box.w - pad - hint;
	if (selected)
		draw_box(&w->draw, (SDL_Rect){n->box.x, y, n->box.w, n->row_height}, 0x2f6fb0, 255);
	draw_text(&w->draw, n->box.x + pad, y + 4 * k, right - n->box.x - pad - 4 * k, 0xffffff,
		  r->label);
	draw_text(&w->draw, right, y + 4 * k, hint, selected ? 0xd8e8ff : 0x8a96a2, r->hint);
}

void menu_draw(struct window *w)
{
	struct menu *n = &w->menu;
	const int k = w->draw.scale;
	measure(w);
	draw_box(&w->draw, (SDL_Rect){0, 0, w->out_w, w->out_h - w->bar}, 0x000000, 110);
	SDL_Rect frame = {n->box.x - k, n->box.y - k, n->box.w + 2 * k, n->box.h + 2 * k};
	draw_box(&w->draw, frame, 0x59636e, 255);
	draw_box(&w->draw, n->box, 0x20262e, 255);
	draw_text(&w->draw, n->box.x + 6 * k, n->box.y + 4 * k, n->box.w - 12 * k, 0x9ad0ff,
		  n->title);
	for (int i = 0; i < n->shown && n->first + (unsigned)i < n->rows; i++)
		draw_row(w, i, &n->row[n->first + (unsigned)i],
			 n->first + (unsigned)i == n->selected);
}
