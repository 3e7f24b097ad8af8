/* Shared by the files of frontend/sdl/ only: the window's state and who does what with it. All of
 * it belongs to the main thread. */
#ifndef ORRERY_SDL_WINDOW_INTERNAL_H
#define ORRERY_SDL_WINDOW_INTERNAL_H

#include <SDL.h>
#include <stdatomic.h>
#include "base/host.h"
#include "debug/monitor.h"
#include "devices/display/display.h"
#include "frontend/sdl/draw.h"
#include "frontend/sdl/window.h"

#define MENU_ROWS 512
#define TOAST_NS  4000000000ull

enum scaling {
	SCALE_INTEGER, /* whole multiples of a pixel, crisp */
	SCALE_SHAPE,   /* fills the window in the shape of a monitor of the time */
	SCALE_STRETCH, /* fills the window */
};

enum menu_page { PAGE_NONE, PAGE_MAIN, PAGE_KEYS, PAGE_DRIVES, PAGE_FILES, PAGE_SNAPSHOTS, PAGE_VIEWS };

struct menu_row {
	char label[192];
	char hint[32]; /* at the right: a key, a state */
	int action;    /* enum menu_action */
	int arg;
};

struct menu {
	enum menu_page page;
	struct menu_row row[MENU_ROWS];
	unsigned rows, selected, first; /* first: the topmost that is shown */
	char title[1024];
	SDL_Rect box; /* where it was drawn, for the mouse */
	int row_height, shown;
	char folder[1024]; /* PAGE_FILES */
	int drive;
};

/* What the status bar shows, worked out four times a second. */
struct status {
	u64 last_ns, last_insns, last_virtual, last_idle, last_disk, last_net;
	char speed[48], where[48];
	bool disk, net;
	unsigned seen[8][4]; /* how often each mode and ring was met since */
	u8 leds;
};

struct typing { /* text being typed into the guest */
	char *text;
	size_t at;
	u64 next_ns;
	bool down;
	unsigned skipped;
};

/* A snapshot being saved or loaded: a thread waits for the machine's. */
struct snapshot_job {
	struct host_thread *thread; /* NULL: none */
	struct machine *m;
	bool load;
	char path[192];
	atomic_uint percent;
	atomic_bool give_up, done;
	unsigned shown; /* of percent */
	int result;     /* valid with done */
	struct errtext error;
};

struct snapshot_file {
	char name[192];
	s64 changed_ns;
	u64 bytes;
};

/* The live views beside the picture. */
struct panel {
	bool on, large, asking;
	bool records; /* the recorder was switched on for it, and goes with it */
	unsigned which; /* view */
	json_t *view;	/* as it was last */
	u64 next_ns;
	int x, y; /* scrolled by */
	SDL_Rect tab[16];
	char address[64], typed[64]; /* to walk */
};

struct window {
	struct machine *m;
	struct display *display;
	const struct window_options *o;
	struct host_thread *runner;
	Uint32 ended_event, picture_event;
	atomic_bool picture_waits; /* a picture_event is in SDL's queue */
	bool ended; /* machine_run() has returned */
	bool done;

	SDL_Window *sdl;
	SDL_Renderer *renderer;
	SDL_Texture *picture;
	struct draw draw;
	u32 width, height, aspect_w, aspect_h; /* of the guest's picture */
	u64 generation, geometry;
	enum scaling scaling;
	SDL_Rect view;         /* of the picture, physical pixels */
	int out_w, out_h, bar; /* the window's physical pixels; height of the status bar in them */
	int asked_w, asked_h;  /* the window size we asked for last, in window units */
	bool full, dirty;

	bool grabbed, focused;
	bool hidden;           /* the host's pointer, because the guest draws its own in the same place */
	int px, py;            /* where the pointer was last, physical pixels */
	u16 down[SDL_NUM_SCANCODES]; /* the key sent to the guest for each one held */
	unsigned buttons;
	int wheel_rest;
	bool power_asked;
	struct typing typing;
	struct snapshot_job job;
	struct menu menu;
	struct status status;
	struct panel panel;
	char toast[256];
	u64 toast_until;
};

/* window.c */
void window_toast(struct window *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
void window_title(struct window *w);
void window_set_full_screen(struct window *w, bool full);
void window_screenshot(struct window *w);
/** A name for a new file where Orrery was started: orrery-, the time, @suffix. @size: at least 60. */
void window_new_name(char *name, size_t size, const char *suffix);
void window_toggle_pause(struct window *w);
/** What stands beside the picture has come or gone. */
void window_relayout(struct window *w);
/** The user wants the window closed: the first time the guest is asked. */
void window_close(struct window *w);

/* input.c */
void input_key_event(struct window *w, const SDL_KeyboardEvent *e);
void input_motion(struct window *w, const SDL_MouseMotionEvent *e);
void input_button(struct window *w, const SDL_MouseButtonEvent *e);
void input_wheel(struct window *w, const SDL_MouseWheelEvent *e);
void input_grab(struct window *w, bool on);
/** Does the guest's pointer follow the host's? Shows or hides the latter. */
bool input_follows(struct window *w);
/** Lets go of every key and button the guest holds for down. */
void input_release_all(struct window *w);
void input_paste(struct window *w);
/** Types the next character if it is time. */
void input_type(struct window *w, u64 now);
/** Presses the keys in order and releases them in reverse; ends with 0. */
void input_chord(struct window *w, const u16 *keys);

/* menu.c */
void menu_open(struct window *w, enum menu_page page);
void menu_close(struct window *w);
void menu_key(struct window *w, SDL_Scancode code);
void menu_pointer(struct window *w, int x, int y, bool click);
void menu_scroll(struct window *w, int rows);
void menu_draw(struct window *w);
/** A file was dropped on the window. */
void menu_drop(struct window *w, const char *path);

/* snapshot.c */
/** Begin; what came of it is said in the window. */
void snapshot_save_new(struct window *w);
void snapshot_load_named(struct window *w, const char *name);
bool snapshot_busy(const struct window *w);
void snapshot_give_up(struct window *w);
/** Says how far it is. */
void snapshot_tick(struct window *w);
/** Waits for what is under way; the machine has ended. */
void snapshot_end(struct window *w);
/** The files that may be snapshots, the newest first; how many. */
unsigned snapshot_list(struct snapshot_file *out, unsigned max);

/* panel.c */
unsigned panel_views(void);
const char *panel_view_name(unsigned i);
/** Physical pixels it would like to have, and has. */
int panel_wanted(const struct window *w);
int panel_width(const struct window *w);
void panel_toggle(struct window *w);
/** Opens it with a view, or changes the view. */
void panel_show(struct window *w, unsigned which);
void panel_close(struct window *w);
void panel_turn(struct window *w, int by);
void panel_scroll(struct window *w, int rows);
void panel_zoom(struct window *w);
/** Writes what it shows to an SVG file where Orrery was started. */
void panel_save(struct window *w);
/** Asks for an address to walk; keys are its own until that ends. */
void panel_ask(struct window *w);
void panel_ask_end(struct window *w, bool taken);
void panel_typed(struct window *w, const char *text);
void panel_key(struct window *w, SDL_Scancode code);
bool panel_under(const struct window *w, int x, int y);
void panel_click(struct window *w, int x, int y);
/** Takes the view anew if it is time. */
void panel_tick(struct window *w, u64 now);
void panel_draw(struct window *w);

/* status.c */
void status_sample(struct window *w, u64 now);
void status_draw(struct window *w);
int status_height(const struct window *w);
/** A click into the bar at physical (@x, @y). */
void status_click(struct window *w, int x);

#endif
