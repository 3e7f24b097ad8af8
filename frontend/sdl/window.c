/*
 * The window itself: size and scale of the picture, when it is drawn, and its life beside the
 * machine's thread. Nothing is drawn unless something changed. Not modelled: several monitors, a
 * cursor shape of the guest's.
 */
#include "frontend/sdl/window_internal.h"
#include "frontend/sdl/x11.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 100 /* without events, of which a changed picture is one: for the status bar, messages that go away, ... */
#define MIN_W    320 /* of the window, in window units */
#define MIN_H    200

/* ---- words ---------------------------------------------------------------------------------- */

void window_toast(struct window *w, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(w->toast, sizeof(w->toast), fmt, ap);
	va_end(ap);
	w->toast_until = host_monotonic_ns() + TOAST_NS;
	w->dirty = true;
}

void window_title(struct window *w)
{
	char title[200];
	snprintf(title, sizeof(title), "%s%sOrrery%s%s", w->o->name ? w->o->name : "",
		 w->o->name ? " - " : "",
		 w->ended                           ? " (stopped)"
		 : machine_paused(w->m)             ? " (paused)"
		 : machine_pace(w->m) == PACE_TURBO ? " (turbo)"
						    : "",
		 w->grabbed ? " - Ctrl+Alt+G releases the mouse" : "");
	SDL_SetWindowTitle(w->sdl, title);
}

/* ---- size and scale ------------------------------------------------------------------------- */

/* Physical pixels per window unit, in percent: 100 but for high-density displays of some systems.
 */
static int density(const struct window *w)
{
	int units = 1, h;
	SDL_GetWindowSize(w->sdl, &units, &h);
	return units > 0 && w->out_w > 0 ? w->out_w * 100 / units : 100;
}

/* Letters grow with the display's density: 2 font pixels wide at about 96 dots per inch. */
static int letter_scale(const struct window *w)
{
	float dpi = 96;
	int screen = SDL_GetWindowDisplayIndex(w->sdl);
	if (screen < 0 || SDL_GetDisplayDPI(screen, &dpi, NULL, NULL) || dpi < 1)
		dpi = 96;
	int steps = (int)(dpi / 96 + 0.5f);
	steps = steps * 100 < density(w) ? density(w) / 100 : steps;
	steps = steps < 1 ? 1 : steps > 4 ? 4 : steps;
	return w->out_w < 480 ? 1 : steps * 2;
}

static void shape(const struct window *w, u64 *x, u64 *y)
{
	*x = w->aspect_w ? w->aspect_w : w->width;
	*y = w->aspect_h ? w->aspect_h : w->height;
}

/* The largest picture of shape x : y in @width by @height. */
static SDL_Rect fit(u64 x, u64 y, int width, int height)
{
	int h = (int)((u64)width * y / x), w = width;
	if (h > height) {
		h = height;
		w = (int)((u64)height * x / y);
	}
	return (SDL_Rect){0, 0, w < 1 ? 1 : w, h < 1 ? 1 : h};
}

static SDL_Rect place(const struct window *w, int width, int height)
{
	const int kx = width / (int)w->width, ky = height / (int)w->height, k = kx < ky ? kx : ky;
	u64 x, y;
	shape(w, &x, &y);
	if (w->scaling == SCALE_STRETCH)
		return (SDL_Rect){0, 0, width, height};
	if (w->scaling == SCALE_SHAPE)
		return fit(x, y, width, height);
	if (k >= 1)
		return (SDL_Rect){0, 0, (int)w->width * k, (int)w->height * k};
	return fit(w->width, w->height, width, height); /* larger than the window */
}

/* Works out everything that depends on the window's size. */
static void layout(struct window *w)
{
	SDL_GetRendererOutputSize(w->renderer, &w->out_w, &w->out_h);
	w->draw.scale = letter_scale(w);
	w->bar = w->full ? 0 : status_height(w);
	int height = w->out_h > w->bar ? w->out_h - w->bar : 1;
	const int room = w->out_w - panel_width(w);
	w->view = place(w, room > 0 ? room : 1, height);
	w->view.x = (room - w->view.w) / 2;
	w->view.y = (height - w->view.h) / 2;
	w->dirty = true;
	if (w->picture)
		SDL_SetTextureScaleMode(w->picture,
					w->view.w % (int)w->width || w->view.h % (int)w->height
					    ? SDL_ScaleModeLinear
					    : SDL_ScaleModeNearest);
}

/* A window that has grown stays on the desktop. */
static void keep_on(struct window *w, const SDL_Rect *desk)
{
	int x, y;
	SDL_GetWindowPosition(w->sdl, &x, &y);
	const int right = desk->x + desk->w - w->asked_w, bottom = desk->y + desk->h - w->asked_h;
	const int nx = MAX(desk->x, MIN(x, right)), ny = MAX(desk->y, MIN(y, bottom));
	if (nx != x || ny != y)
		SDL_SetWindowPosition(w->sdl, nx, ny);
}

/* The window takes the picture's size, the largest whole multiple that leaves room on the desktop;
 * unless the user gave it another size. */
static void adopt_size(struct window *w)
{
	SDL_Rect desk = {0, 0, 1280, 800};
	int now_w, now_h, d = density(w);
	SDL_GetWindowSize(w->sdl, &now_w, &now_h);
	bool users = now_w != w->asked_w || now_h != w->asked_h;
	if (w->full || users || SDL_GetWindowFlags(w->sdl) & SDL_WINDOW_MAXIMIZED)
		return;
	SDL_GetDisplayUsableBounds(SDL_GetWindowDisplayIndex(w->sdl), &desk);
	int kx = desk.w * d / 100 * 6 / 10 / (int)w->width;
	int ky = desk.h * d / 100 * 7 / 10 / (int)w->height;
	int k = kx < ky ? kx : ky;
	k = k < 1 ? 1 : k;
	int want_w = ((int)w->width * k + panel_wanted(w)) * 100 / d;
	int want_h = MAX(((int)w->height * k + w->bar) * 100 / d, w->panel.on ? MIN(700, desk.h * 9 / 10) : 0);
	w->asked_w = want_w < MIN_W ? MIN_W : want_w > desk.w ? desk.w : want_w;
	w->asked_h = want_h < MIN_H ? MIN_H : want_h > desk.h ? desk.h : want_h;
	SDL_SetWindowSize(w->sdl, w->asked_w, w->asked_h);
	/* A window manager, or a size out of reach, may have the last word: what came of it counts
	 * as ours. */
	SDL_GetWindowSize(w->sdl, &w->asked_w, &w->asked_h);
	keep_on(w, &desk);
}

void window_relayout(struct window *w)
{
	adopt_size(w);
	layout(w);
}

void window_set_full_screen(struct window *w, bool full)
{
	if (SDL_SetWindowFullscreen(w->sdl, full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0)) {
		window_toast(w, "Full screen: %s", SDL_GetError());
		return;
	}
	w->full = full;
	layout(w);
	if (full)
		window_toast(w, "Ctrl+Alt+F leaves full screen, Ctrl+Alt+M opens the menu");
}

/* ---- the guest's picture -------------------------------------------------------------------- */

static bool new_picture(struct window *w, const struct display_surface *s)
{
	SDL_Texture *t =
	    SDL_CreateTexture(w->renderer, SDL_PIXELFORMAT_RGB888, SDL_TEXTUREACCESS_STREAMING,
			      (int)s->width, (int)s->height);
	if (!t)
		return false;
	if (w->picture)
		SDL_DestroyTexture(w->picture);
	w->picture = t;
	w->width = s->width;
	w->height = s->height;
	w->aspect_w = s->aspect_w;
	w->aspect_h = s->aspect_h;
	w->geometry = s->geometry;
	return true;
}

/* Copies what has changed. */
static void take_picture(struct window *w)
{
	struct display_rect r;
	const struct display_surface *s = display_lock(w->display, w->generation, &r);
	bool resized = s->geometry != w->geometry || !w->picture;
	if (resized && !new_picture(w, s)) {
		display_unlock(w->display);
		return;
	}
	if (resized)
		r = (struct display_rect){0, 0, s->width, s->height};
	if (r.w) {
		const SDL_Rect to = {(int)r.x, (int)r.y, (int)r.w, (int)r.h};
		SDL_UpdateTexture(w->picture, &to, s->pixels + (size_t)r.y * s->stride + r.x,
				  (int)(s->stride * sizeof(u32)));
		w->dirty = true;
	}
	w->generation = s->generation;
	display_unlock(w->display);
	if (resized) {
		layout(w);
		adopt_size(w);
		layout(w);
	}
}

void window_new_name(char *name, size_t size, const char *suffix)
{
	time_t now = time(NULL);
	struct tm t;
	localtime_r(&now, &t);
	size_t n = strftime(name, size, "orrery-%Y%m%d-%H%M%S", &t);
	snprintf(name + n, size - n, "%s", suffix);
	for (unsigned i = 2; i < 100 && !access(name, F_OK); i++)
		snprintf(name + n, size - n, "-%u%s", i, suffix);
}

void window_screenshot(struct window *w)
{
	char name[80];
	window_new_name(name, sizeof(name), ".png");
	int r = display_screenshot(w->display, name);
	if (r)
		window_toast(w, "Screenshot: %s: %s", name, strerror(-r));
	else
		window_toast(w, "Screenshot: %s", name);
}

/* Copies the words of *@text that fit into @width to @line and moves *@text behind them. */
static void cut_line(const struct window *w, const char **text, int width, char *line, size_t size)
{
	size_t n = 0, end = 0;
	for (; n + 1 < size && (*text)[n]; n++) {
		line[n] = (*text)[n];
		line[n + 1] = 0;
		if (draw_text_width(&w->draw, line) > width)
			break;
		if ((*text)[n + 1] == ' ' || !(*text)[n + 1])
			end = n + 1;
	}
	end = end ? end : n ? n : 1; /* a word wider than the window is broken */
	line[end] = 0;
	*text += end;
	*text += strspn(*text, " ");
}

static void draw_toast(struct window *w)
{
	const int pad = 4 * w->draw.scale, step = draw_line(&w->draw);
	char lines[3][sizeof(w->toast) + 1] = {0};
	const char *text = w->toast;
	int count = 0, width = 0;
	for (; *text && count < 3; count++) {
		cut_line(w, &text, w->out_w - 2 * pad, lines[count], sizeof(w->toast));
		width = MAX(width, draw_text_width(&w->draw, lines[count]) + 2 * pad);
	}
	SDL_Rect box = {(w->out_w - width) / 2, w->out_h - w->bar - count * step - 3 * pad, width,
			count * step + pad};
	draw_box(&w->draw, box, 0x202830, 230);
	for (int i = 0; i < count; i++)
		draw_text(&w->draw, box.x + pad, box.y + pad + i * step, width, 0xffffff, lines[i]);
}

static void render(struct window *w)
{
	SDL_SetRenderDrawBlendMode(w->renderer, SDL_BLENDMODE_NONE);
	SDL_SetRenderDrawColor(w->renderer, 0, 0, 0, 255);
	SDL_RenderClear(w->renderer);
	if (w->picture)
		SDL_RenderCopy(w->renderer, w->picture, NULL, &w->view);
	if (w->panel.on)
		panel_draw(w);
	if (w->bar)
		status_draw(w);
	if (w->menu.page)
		menu_draw(w);
	if (w->toast_until)
		draw_toast(w);
	SDL_RenderPresent(w->renderer);
	w->dirty = false;
}

/* ---- life ----------------------------------------------------------------------------------- */

void window_toggle_pause(struct window *w)
{
	if (machine_paused(w->m))
		machine_resume(w->m);
	else
		machine_interrupt(w->m); /* without waiting: it may be saving a snapshot */
	window_title(w);
	w->dirty = true;
}

void window_close(struct window *w)
{
	if (w->ended) {
		w->done = true;
	} else if (w->power_asked) {
		machine_quit(w->m);
	} else {
		w->power_asked = true;
		machine_resume(w->m);
		machine_send_button(w->m, BUTTON_POWER);
		window_toast(w, "The guest was asked to power off. Close again to end it at once.");
		window_title(w);
	}
}

static void run_machine(void *ctx)
{
	struct window *w = ctx;
	machine_run(w->m);
	SDL_PushEvent(&(SDL_Event){.type = w->ended_event});
}

/* On the machine's thread. */
static void picture_changed(void *ctx)
{
	struct window *w = ctx;
	if (!atomic_exchange(&w->picture_waits, true) && SDL_PushEvent(&(SDL_Event){.type = w->picture_event}) < 1)
		atomic_store(&w->picture_waits, false); /* the queue is full: the window is awake */
}

static void on_ended(struct window *w)
{
	struct machine_result r;
	machine_result(w->m, &r);
	w->ended = true;
	if (r.reason != END_HANG || !w->o->keep_open || w->power_asked) {
		w->done = true;
		return;
	}
	input_grab(w, false);
	window_title(w);
	window_toast(w, "%.*s Close the window to end.", (int)strcspn(r.explanation, "\n"),
		     r.explanation);
	w->toast_until = UINT64_MAX;
}

static void on_window_event(struct window *w, const SDL_WindowEvent *e)
{
	switch (e->event) {
	case SDL_WINDOWEVENT_SIZE_CHANGED: layout(w); break;
	case SDL_WINDOWEVENT_EXPOSED: w->dirty = true; break;
	case SDL_WINDOWEVENT_FOCUS_GAINED: w->focused = true; break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		w->focused = false;
		input_release_all(w);
		input_grab(w, false);
		break;
	case SDL_WINDOWEVENT_CLOSE: window_close(w); break;
	default: break;
	}
}

static void on_event(struct window *w, SDL_Event *e)
{
	if (e->type == w->ended_event) {
		on_ended(w);
		return;
	}
	if (e->type == w->picture_event) {
		atomic_store(&w->picture_waits, false); /* tick() looks at it */
		return;
	}
	switch (e->type) {
	case SDL_WINDOWEVENT: on_window_event(w, &e->window); break;
	case SDL_KEYDOWN:
	case SDL_KEYUP: input_key_event(w, &e->key); break;
	case SDL_TEXTINPUT: panel_typed(w, e->text.text); break;
	case SDL_MOUSEMOTION: input_motion(w, &e->motion); break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP: input_button(w, &e->button); break;
	case SDL_MOUSEWHEEL: input_wheel(w, &e->wheel); break;
	case SDL_DROPFILE:
		menu_drop(w, e->drop.file);
		SDL_free(e->drop.file);
		break;
	case SDL_RENDER_TARGETS_RESET:
	case SDL_RENDER_DEVICE_RESET: w->geometry = 0; break; /* the texture is lost: all anew */
	default: break;
	}
}

static void tick(struct window *w)
{
	u64 now = host_monotonic_ns();
	input_type(w, now);
	input_follows(w);
	status_sample(w, now);
	take_picture(w);
	snapshot_tick(w);
	panel_tick(w, now);
	if (w->toast_until && now >= w->toast_until) {
		w->toast_until = 0;
		w->dirty = true;
	}
	if (w->dirty)
		render(w);
}

static void loop(struct window *w)
{
	SDL_Event e;
	while (!w->done) {
		if (SDL_WaitEventTimeout(&e, w->typing.text ? 4 : QUIET_MS))
			do
				on_event(w, &e);
			while (!w->done && SDL_PollEvent(&e));
		tick(w);
	}
}

/* Only what window_possible() has seen: SDL's last resorts are screens that nobody sees. */
static void choose_driver(void)
{
	const char *asked = getenv("SDL_VIDEODRIVER"), *wayland = getenv("WAYLAND_DISPLAY");
#if !defined(__APPLE__) && !defined(_WIN32)
	if (!asked || !*asked)
		SDL_SetHint(SDL_HINT_VIDEODRIVER, wayland && *wayland ? "wayland,x11" : "x11");
#endif
}

static bool open_window(struct window *w)
{
	choose_driver();
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); /* Ctrl-C is main.c's */
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint(SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0");
	SDL_SetHint(SDL_HINT_MOUSE_FOCUS_CLICKTHROUGH, "1");
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"); /* what is drawn in software goes to the screen, not through OpenGL */
	x11_errors_do_not_end();
	if (SDL_Init(SDL_INIT_VIDEO))
		return false;
	w->ended_event = SDL_RegisterEvents(2);
	w->picture_event = w->ended_event + 1;
	w->asked_w = 720;
	w->asked_h = 400;
	w->sdl =
	    SDL_CreateWindow("Orrery", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, w->asked_w,
			     w->asked_h, SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
	if (!w->sdl)
		return false;
	w->renderer = SDL_CreateRenderer(w->sdl, -1, 0);
	if (!w->renderer)
		w->renderer = SDL_CreateRenderer(w->sdl, -1, SDL_RENDERER_SOFTWARE);
	if (!w->renderer || draw_init(&w->draw, w->renderer))
		return false;
	SDL_SetWindowMinimumSize(w->sdl, MIN_W, MIN_H);
	SDL_EventState(SDL_DROPFILE, SDL_ENABLE);
	SDL_EnableScreenSaver();
	SDL_StopTextInput(); /* keys, not composed text */
	return true;
}

static void close_window(struct window *w)
{
	draw_free(&w->draw);
	if (w->picture)
		SDL_DestroyTexture(w->picture);
	if (w->renderer)
		SDL_DestroyRenderer(w->renderer);
	if (w->sdl)
		SDL_DestroyWindow(w->sdl);
	SDL_Quit();
	free(w->typing.text);
}

static int run_behind(struct window *w, struct errtext *e)
{
	display_on_change(w->display, picture_changed, w);
	display_attach(w->display);
	machine_set_pace(w->m, PACE_REAL_TIME);
	w->runner = host_thread_start(run_machine, w);
	if (!w->runner) {
		display_detach(w->display);
		display_on_change(w->display, NULL, NULL);
		machine_set_pace(w->m, PACE_FREE);
		return err_set(e, -ENODEV, "no thread for the machine beside its window");
	}
	window_title(w);
	if (w->o->full_screen)
		window_set_full_screen(w, true);
	loop(w);
	host_thread_join(w->runner);
	snapshot_end(w);
	json_decref(w->panel.view);
	display_detach(w->display);
	display_on_change(w->display, NULL, NULL);
	return 0;
}

bool window_possible(void)
{
#if defined(__APPLE__) || defined(_WIN32)
	return true;
#endif
	const char *driver = getenv("SDL_VIDEODRIVER"), *x = getenv("DISPLAY");
	const char *wayland = getenv("WAYLAND_DISPLAY");
	return (driver && *driver) || (x && *x) || (wayland && *wayland);
}

int window_run(struct machine *m, const struct window_options *o, struct errtext *e)
{
	struct window *w = calloc(1, sizeof(*w));
	int r;
	if (!w)
		return err_set(e, -ENODEV, "no memory for the window");
	w->m = m;
	w->o = o;
	w->display = machine_display(m);
	w->width = 720;
	w->height = 400;
	if (open_window(w))
		r = run_behind(w, e);
	else
		r = err_set(e, -ENODEV, "no window: %s", SDL_GetError());
	close_window(w);
	free(w);
	return r;
}
