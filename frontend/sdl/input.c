/*
 * Keyboard and mouse of the window into the machine. Keys go by their place; Ctrl+Alt with a
 * letter's place is the window's own. A guest that asks the tablet is told where the pointer stands in its picture. Others get
 * motion: the mouse is held inside the window while the guest has it, and the title says how to get it back.
 */
#include "frontend/sdl/keys.h"
#include "frontend/sdl/window_internal.h"

#include <stdlib.h>
#include "base/keymap.h"

#define KEY_NS                                                                                     \
	12000000ull /* between the presses of typed text: a guest's keyboard buffer holds few */
#define PASTE_MAX 65536u

/* ---- keys ----------------------------------------------------------------------------------- */

static void release(struct window *w, SDL_Scancode code)
{
	if (w->down[code] && machine_send_key(w->m, w->down[code], false))
		w->down[code] = 0;
}

/* Where the pointer stands in the guest's picture; false: outside. */
static bool in_picture(const struct window *w, unsigned *x, unsigned *y)
{
	const SDL_Rect *v = &w->view;
	int dx = w->px - v->x, dy = w->py - v->y;
	bool inside = dx >= 0 && dy >= 0 && dx < v->w && dy < v->h;
	dx = MAX(0, MIN(dx, v->w - 1));
	dy = MAX(0, MIN(dy, v->h - 1));
	*x = (unsigned)((s64)dx * 32767 / MAX(v->w - 1, 1));
	*y = (unsigned)((s64)dy * 32767 / MAX(v->h - 1, 1));
	return inside;
}

bool input_follows(struct window *w)
{
	struct machine_stats s;
	unsigned x, y;
	machine_stats(w->m, &s);
	bool follows = s.pointer_wanted && !w->grabbed && !w->ended && !w->menu.page;
	bool hide = follows && w->focused && in_picture(w, &x, &y);
	if (hide != w->hidden && !w->grabbed) {
		w->hidden = hide;
		SDL_ShowCursor(hide ? SDL_DISABLE : SDL_ENABLE);
	}
	return follows;
}

/* Tells the guest of the buttons and @wheel steps, by whichever of its devices it listens to. */
static void send_buttons(struct window *w, int wheel)
{
	unsigned x, y;
	if (input_follows(w)) {
		in_picture(w, &x, &y);
		machine_send_pointer(w->m, x, y, wheel, w->buttons);
	} else {
		machine_send_mouse(w->m, 0, 0, wheel, w->buttons);
	}
}

void input_release_all(struct window *w)
{
	for (unsigned i = 0; i < SDL_NUM_SCANCODES; i++)
		release(w, (SDL_Scancode)i);
	if (w->buttons) {
		w->buttons = 0;
		send_buttons(w, 0);
	}
}

void input_chord(struct window *w, const u16 *keys)
{
	unsigned n = 0;
	for (; keys[n]; n++)
		machine_send_key(w->m, keys[n], true);
	while (n--)
		machine_send_key(w->m, keys[n], false);
}

/* With the panel open. */
static bool panel_hotkey(struct window *w, SDL_Scancode code)
{
	switch (code) {
	case SDL_SCANCODE_N: panel_turn(w, 1); return true;
	case SDL_SCANCODE_B: panel_turn(w, -1); return true;
	case SDL_SCANCODE_E: panel_save(w); return true;
	case SDL_SCANCODE_Z: panel_zoom(w); return true;
	case SDL_SCANCODE_UP: panel_scroll(w, -2); return true;
	case SDL_SCANCODE_DOWN: panel_scroll(w, 2); return true;
	case SDL_SCANCODE_PAGEUP: panel_scroll(w, -12); return true;
	case SDL_SCANCODE_PAGEDOWN: panel_scroll(w, 12); return true;
	default: return false;
	}
}

/* The window's own keys: Ctrl+Alt and the place of a letter. True if it was one. */
static bool hotkey(struct window *w, SDL_Scancode code)
{
	switch (code) {
	case SDL_SCANCODE_G: input_grab(w, !w->grabbed); return true;
	case SDL_SCANCODE_F: window_set_full_screen(w, !w->full); return true;
	case SDL_SCANCODE_M: menu_open(w, PAGE_MAIN); return true;
	case SDL_SCANCODE_S: window_screenshot(w); return true;
	case SDL_SCANCODE_V: input_paste(w); return true;
	case SDL_SCANCODE_P: window_toggle_pause(w); return true;
	case SDL_SCANCODE_R: panel_toggle(w); return true;
	case SDL_SCANCODE_A: panel_ask(w); return true;
	default: return w->panel.on && panel_hotkey(w, code);
	}
}

void input_key_event(struct window *w, const SDL_KeyboardEvent *e)
{
	const SDL_Scancode code = e->keysym.scancode;
	const u16 mod = e->keysym.mod;
	if ((unsigned)code >= SDL_NUM_SCANCODES)
		return;
	if (e->type == SDL_KEYUP) {
		release(w, code);
		return;
	}
	if (w->menu.page || w->panel.asking) {
		if (w->menu.page)
			menu_key(w, code);
		else
			panel_key(w, code);
		return;
	}
	if (e->repeat) /* the guest's keyboard repeats by itself, as the guest has told it */
		return;
	if ((mod & KMOD_CTRL) && (mod & KMOD_ALT) && hotkey(w, code)) {
		input_release_all(w);
		return;
	}
	u16 key = key_of_scancode(code);
	if (!key || w->ended)
		return;
	if (machine_send_key(w->m, key, true))
		w->down[code] = key;
}

/* ---- mouse ---------------------------------------------------------------------------------- */

void input_grab(struct window *w, bool on)
{
	if (w->grabbed == on)
		return;
	w->grabbed = on;
	SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
	SDL_SetWindowKeyboardGrab(w->sdl, on ? SDL_TRUE : SDL_FALSE);
	SDL_SetWindowMouseGrab(w->sdl, on ? SDL_TRUE : SDL_FALSE);
	window_title(w);
	w->dirty = true;
}

/* Window units to physical pixels. */
static void physical(const struct window *w, int *x, int *y)
{
	int ww = 1, wh = 1;
	SDL_GetWindowSize(w->sdl, &ww, &wh);
	*x = ww > 0 ? *x * w->out_w / ww : *x;
	*y = wh > 0 ? *y * w->out_h / wh : *y;
}

void input_motion(struct window *w, const SDL_MouseMotionEvent *e)
{
	int x = e->x, y = e->y;
	if (w->grabbed) {
		machine_send_mouse(w->m, e->xrel, e->yrel, 0, w->buttons);
		return;
	}
	physical(w, &x, &y);
	w->px = x;
	w->py = y;
	if (w->menu.page)
		menu_pointer(w, x, y, false);
	unsigned gx, gy;
	bool inside = in_picture(w, &gx, &gy);
	if (input_follows(w) && (inside || w->buttons))
		machine_send_pointer(w->m, gx, gy, 0, w->buttons);
}

static unsigned button_bit(u8 button)
{
	return button == SDL_BUTTON_LEFT     ? 1
	       : button == SDL_BUTTON_RIGHT  ? 2
	       : button == SDL_BUTTON_MIDDLE ? 4
	       : button == SDL_BUTTON_X1     ? 8
	       : button == SDL_BUTTON_X2     ? 16
					     : 0;
}

/* A click outside a grab: menu, status bar, or the guest's picture, which takes the mouse. */
static void click(struct window *w, int x, int y)
{
	struct machine_stats s;
	machine_stats(w->m, &s);
	if (w->menu.page)
		menu_pointer(w, x, y, true);
	else if (y >= w->out_h - w->bar)
		status_click(w, x);
	else if (panel_under(w, x, y))
		panel_click(w, x, y);
	else if (s.mouse_wanted && !w->ended)
		input_grab(w, true);
	else if (!w->ended)
		window_toast(w, "The guest does not use its mouse. Ctrl+Alt+M opens the menu.");
}

void input_button(struct window *w, const SDL_MouseButtonEvent *e)
{
	int x = e->x, y = e->y;
	unsigned gx, gy, bit = button_bit(e->button);
	physical(w, &x, &y);
	w->px = x;
	w->py = y;
	bool inside = in_picture(w, &gx, &gy);
	/* A button that went down in the picture goes up wherever the pointer is by then. */
	bool guests = input_follows(w) && (inside || w->buttons);
	if (!w->grabbed && !guests) {
		if (e->type == SDL_MOUSEBUTTONDOWN && e->button == SDL_BUTTON_LEFT)
			click(w, x, y);
		else if (e->type == SDL_MOUSEBUTTONDOWN && e->button == SDL_BUTTON_RIGHT &&
			 w->menu.page)
			menu_close(w);
		return;
	}
	w->buttons = e->type == SDL_MOUSEBUTTONDOWN ? w->buttons | bit : w->buttons & ~bit;
	send_buttons(w, 0);
}

void input_wheel(struct window *w, const SDL_MouseWheelEvent *e)
{
	int steps = e->direction == SDL_MOUSEWHEEL_FLIPPED ? -e->y : e->y;
	if (w->menu.page)
		menu_scroll(w, -steps);
	else if (!w->grabbed && panel_under(w, w->px, w->py))
		panel_scroll(w, -steps);
	else if (w->grabbed || input_follows(w))
		send_buttons(w, -steps);
}

/* ---- text typed as keys --------------------------------------------------------------------- */

static void stop_typing(struct window *w)
{
	if (w->typing.skipped)
		window_toast(w, "%u characters have no key on the guest's keyboard and were left out (-k names its layout)",
			     w->typing.skipped);
	free(w->typing.text);
	w->typing = (struct typing){0};
}

void input_paste(struct window *w)
{
	char *text = SDL_GetClipboardText();
	size_t n = text ? strlen(text) : 0;
	stop_typing(w);
	if (!n)
		window_toast(w, "The clipboard holds no text");
	else if (n > PASTE_MAX)
		window_toast(w, "The clipboard holds more than %u characters: too many to type",
			     PASTE_MAX);
	else
		w->typing.text = strdup(text);
	SDL_free(text);
}

/* Types one character, with the keys that hold its level. */
static void type_press(struct window *w, const struct key_press *p)
{
	u16 keys[4] = {0};
	unsigned n = 0;
	if (p->shift)
		keys[n++] = 0x2a;
	if (p->altgr)
		keys[n++] = 0xe038;
	keys[n] = p->key;
	input_chord(w, keys);
	if (p->dead)
		input_chord(w, (const u16[]){0x39, 0});
}

void input_type(struct window *w, u64 now)
{
	struct typing *t = &w->typing;
	struct key_press press;
	if (!t->text || now < t->next_ns || machine_paused(w->m) || machine_input_room(w->m) < 8)
		return;
	const char *rest = t->text + t->at;
	const u32 c = utf8_next(&rest);
	if (!c || w->ended) {
		stop_typing(w);
		return;
	}
	t->at = (size_t)(rest - t->text);
	if (!keymap_press(w->o->keymap, c, &press)) {
		t->skipped += c != '\r';
		return;
	}
	type_press(w, &press);
	t->next_ns = now + KEY_NS;
}
