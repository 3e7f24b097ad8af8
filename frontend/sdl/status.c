/* The bar under the picture: speed, mode and ring of the processor, lamps of disk, network and
 * keyboard, and the way to the menu. */
#include "frontend/sdl/window_internal.h"

#include <stdio.h>

#define SAMPLE_NS 250000000ull
#define BAR       0x20262e
#define TEXT      0xc8d0d8
#define DIM       0x59636e
#define LAMP      0x5ad06a

static const char *const modes[] = {"real",          "virtual-8086", "protected",
				    "compatibility", "64-bit",       "SMM"};
/* Rings from the most to the least privileged, so that a change is seen from the corner of the eye.
 */
static const u32 ring_colour[] = {0xff9a5c, 0xe0c050, 0xa8c860, 0x6ab8ff};

static unsigned mode_index(const char *mode)
{
	unsigned i = 0;
	while (i < ARRAY_SIZE(modes) - 1 && strcmp(modes[i], mode) != 0)
		i++;
	return i;
}

/* The pair of mode and ring met most often since the last look. */
static void where(struct status *s, const struct machine_stats *now)
{
	unsigned mode = 0, ring = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
		for (unsigned j = 0; j < 4; j++)
			if (s->seen[i][j] > s->seen[mode][ring]) {
				mode = i;
				ring = j;
			}
	snprintf(s->where, sizeof(s->where), "%u%s", ring, modes[mode]);
	memset(s->seen, 0, sizeof(s->seen));
}

static void speed(struct status *s, const struct machine_stats *now, u64 ns)
{
	u64 insns = now->instructions - s->last_insns, virt = now->virtual_ns - s->last_virtual;
	u64 idle = now->idle_ns - s->last_idle;
	double mips = (double)insns * 1e3 / (double)ns;
	if (now->instructions < s->last_insns)
		return; /* a snapshot was loaded */
	u64 busy = virt > idle ? (virt - idle) * 100 / virt : 0;
	if (now->paused)
		snprintf(s->speed, sizeof(s->speed), "paused");
	else
		snprintf(s->speed, sizeof(s->speed), "%.*f MIPS  %u%% busy", mips < 10, mips,
			 (unsigned)busy);
}

void status_sample(struct window *w, u64 now)
{
	struct status *s = &w->status;
	struct machine_stats st;
	machine_stats(w->m, &st);
	w->done |= w->ended && st.quitting; /* Ctrl-C in the terminal */
	s->seen[mode_index(st.mode)][st.cpl & 3]++;
	if (st.leds != s->leds)
		w->dirty = true;
	s->leds = st.leds;
	if (s->last_ns && now - s->last_ns < SAMPLE_NS)
		return;
	struct status before = *s;
	if (s->last_ns)
		speed(s, &st, now - s->last_ns);
	where(s, &st);
	if (w->ended)
		snprintf(s->speed, sizeof(s->speed), "stopped");
	s->disk = st.disk != s->last_disk;
	s->net = st.net != s->last_net;
	if (strcmp(before.speed, s->speed) || strcmp(before.where, s->where) ||
	    before.disk != s->disk || before.net != s->net)
		w->dirty |= !w->full;
	s->last_ns = now;
	s->last_insns = st.instructions;
	s->last_virtual = st.virtual_ns;
	s->last_idle = st.idle_ns;
	s->last_disk = st.disk;
	s->last_net = st.net;
}

int status_height(const struct window *w)
{
	return draw_line(&w->draw) + 2 * w->draw.scale;
}

/* One word from @x on; the next one's place. */
static int word(struct window *w, int x, int y, u32 rgb, const char *text)
{
	return x + draw_text(&w->draw, x, y, w->out_w - x, rgb, text) + 8 * w->draw.scale;
}

/* Left out where there is no room for all of it. */
static int lamp(struct window *w, int x, int y, bool on, const char *text)
{
	const int k = w->draw.scale;
	if (x + 9 * k + draw_text_width(&w->draw, text) > w->out_w)
		return w->out_w;
	draw_box(&w->draw, (SDL_Rect){x, y + k, 5 * k, 5 * k}, on ? LAMP : DIM, 255);
	return word(w, x + 7 * k, y, on ? TEXT : DIM, text);
}

#define MENU_WORD "Menu"

static int menu_width(const struct window *w)
{
	return draw_text_width(&w->draw, MENU_WORD) + 18 * w->draw.scale;
}

void status_draw(struct window *w)
{
	const struct status *s = &w->status;
	const int k = w->draw.scale, y = w->out_h - w->bar + 4 * k;
	const char *hint = w->grabbed ? "Ctrl+Alt+G releases the mouse" : "Ctrl+Alt+M menu";
	int x = 6 * k;
	draw_box(&w->draw, (SDL_Rect){0, w->out_h - w->bar, w->out_w, w->bar}, BAR, 255);
	for (int i = 0; i < 3; i++) /* three strokes: a menu is here */
		draw_box(&w->draw, (SDL_Rect){x, y + i * 2 * k + k, 6 * k, k}, TEXT, 255);
	x = word(w, x + 9 * k, y, TEXT, MENU_WORD);
	if (*s->where) {
		const unsigned ring = (unsigned)(*s->where - '0');
		char text[16];
		snprintf(text, sizeof(text), "ring %u", ring);
		x = word(w, x, y, ring_colour[ring & 3], text);
		x = word(w, x, y, TEXT, s->where + 1);
	}
	x = word(w, x, y, TEXT, s->speed);
	x = lamp(w, x, y, s->disk, "disk");
	x = lamp(w, x, y, s->net, "net");
	x = lamp(w, x, y, s->leds & 4, "Caps");
	x = lamp(w, x, y, s->leds & 2, "Num");
	int right = w->out_w - draw_text_width(&w->draw, hint) - 6 * k;
	if (right > x)
		draw_text(&w->draw, right, y, w->out_w - right, DIM + 0x202020, hint);
}

void status_click(struct window *w, int x)
{
	if (x < menu_width(w))
		menu_open(w, PAGE_MAIN);
}
