/*
 * A lab in a window. Pages: the text, a question each, then the guest runs; tables, pictures (labs/picture.h on this canvas), the
 * explanations. Right and left turn pages, what is typed predicts, arrows up and down and the wheel scroll, A and D scroll
 * sideways, Escape closes.
 */
#include "frontend/sdl/lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "debug/picture.h"
#include "frontend/sdl/canvas.h"
#include "frontend/sdl/draw.h"
#include "frontend/sdl/x11.h"

#define WIDTH     1400
#define HEIGHT    900
#define MARGIN    40
#define MAGNIFY   1.6 /* of pictures, to fit the letters */
#define PAGES_MAX 120
#define PAPER     0xffffff
#define INK       0x222222
#define FAINT     0x777777
#define GREEN     0x1e8449
#define RED       0xc0392b
#define BLUE      0x2471a3

enum page_kind { PAGE_TEXT, PAGE_QUESTION, PAGE_TABLES, PAGE_PICTURE, PAGE_ANSWERS, PAGE_CHECKS };

struct page {
	enum page_kind kind;
	const char *picture;
	unsigned n;
};

struct view {
	const struct lab *lab;
	SDL_Window *window;
	SDL_Renderer *to;
	struct draw d;
	struct page page[PAGES_MAX];
	unsigned pages, at;
	int x, y; /* scrolled by */
	char (*typed)[24]; /* the prediction for each question: the number of a choice, or a number */
	json_t *run, *grade, *tables;
	struct errtext error;
};

/* ---- text ---------------------------------------------------------------------------------------- */

/* Draws words of @s (to @n) from (x, y), broken at @max pixels; the y below them. Marks of Markdown are left out. */
static int paragraph(struct view *v, int x, int y, int max, u32 colour, const char *s, size_t n)
{
	char line[400] = "", word[200];
	size_t used = 0;

	for (size_t i = 0; i <= n;) {
		size_t w = 0;
		while (i < n && s[i] != ' ' && s[i] != '\n' && w + 1 < sizeof(word)) {
			if (s[i] != '`' && !(s[i] == '*' && i + 1 < n && s[i + 1] == '*' && ++i))
				word[w++] = s[i];
			i++;
		}
		word[w] = 0;
		i++;
		if (!w && i <= n)
			continue; /* blanks in a row are one */
		char longer[620];
		snprintf(longer, sizeof(longer), "%s%s%s", line, used ? " " : "", word);
		if (used && (draw_text_width(&v->d, longer) > max || strlen(longer) >= sizeof(line))) {
			draw_text(&v->d, x, y, max, colour, line);
			y += draw_line(&v->d);
			snprintf(line, sizeof(line), "%s", word);
		} else {
			snprintf(line, sizeof(line), "%.399s", longer);
		}
		used = strlen(line);
	}
	draw_text(&v->d, x, y, max, colour, line);
	return y + draw_line(&v->d);
}

static int words(struct view *v, int x, int y, u32 colour, const char *s)
{
	return paragraph(v, x, y, WIDTH - MARGIN - x, colour, s, strlen(s));
}

static void page_text(struct view *v)
{
	const char *s = v->lab->text;
	int y = MARGIN + v->y;

	while (*s) {
		size_t n = 0, skip = strspn(s, "#");
		bool list = !strncmp(s, "- ", 2), code = !strncmp(s, "    ", 4);
		/* A paragraph goes to the blank line or the next mark. */
		do
			n += strcspn(s + n, "\n") + 1;
		while (!skip && !code && s[n - 1] && s[n] && s[n] != '\n' && s[n] != '-' && s[n] != '#');
		if (!s[n - 1])
			n--;
		if (skip)
			y += draw_line(&v->d) / 2;
		y = paragraph(v, MARGIN + (list || code) * 30, y, WIDTH - 3 * MARGIN, skip ? BLUE : INK, s + (skip ? skip + 1 : 0),
			      n - (skip ? skip + 1 : 0) - (n && s[n - 1] == '\n'));
		s += n;
		if (*s == '\n')
			y += draw_line(&v->d) / 2;
		s += strspn(s, "\n");
	}
}

/* ---- pages ------------------------------------------------------------------------------------------- */

static void add_page(struct view *v, enum page_kind kind, const char *picture, unsigned n)
{
	if (v->pages < PAGES_MAX)
		v->page[v->pages++] = (struct page){kind, picture, n};
}

static void add_pictures(struct view *v)
{
	static const char *const what[] = {LAB_VIEWS};
	json_t *view;

	for (unsigned i = 0; i < ARRAY_SIZE(what); i++)
		for (unsigned n = 0; n < 32 && (view = lab_view(v->run, what[i], n)); n++) {
			add_page(v, PAGE_PICTURE, what[i], n);
			json_decref(view);
		}
}

static void run_guest(struct view *v)
{
	v->run = lab_run(v->lab, &v->error);
	if (!v->run)
		return;
	v->error.s[0] = 0;
	v->grade = lab_grade(v->lab, v->run);
	v->tables = lab_tables(v->lab, v->run);
	if (json_array_size(v->tables))
		add_page(v, PAGE_TABLES, NULL, 0);
	add_pictures(v);
	for (unsigned i = 0; i < json_array_size(json_object_get(v->lab->desc, "questions")); i++)
		add_page(v, PAGE_ANSWERS, NULL, i);
	add_page(v, PAGE_CHECKS, NULL, 0);
}

static const json_t *question(const struct view *v, unsigned n)
{
	return json_array_get(json_object_get(v->lab->desc, "questions"), n);
}

static bool predicted(const struct view *v, unsigned n, u64 *value)
{
	return lab_prediction(question(v, n), v->typed[n], value);
}

static void page_question(struct view *v, unsigned n, bool answered)
{
	const json_t *q = question(v, n);
	const char *name;
	json_t *value;
	u64 seen = 0, w, mind = 0;
	bool given = predicted(v, n, &mind);
	bool have = answered && lab_value(v->run, view_string(q, "phase"), view_string(q, "key"), &seen);
	int y = MARGIN + v->y, i = 0;
	char buf[300];

	snprintf(buf, sizeof(buf), answered ? "Explanation %u" : "Prediction %u", n + 1);
	y = words(v, MARGIN, y, FAINT, buf) + 10;
	y = words(v, MARGIN, y, INK, view_string(q, "ask")) + 10;
	json_object_foreach(json_object_get(q, "choices"), name, value)
	{
		bool right = have && lab_number(value, &w) && w == seen, mine = strtol(v->typed[n], NULL, 10) == ++i;
		snprintf(buf, sizeof(buf), "%d  %s%s%s", i, name, mine ? "   - your prediction" : "", right ? "   - observed" : "");
		y = words(v, MARGIN + 30, y, right ? GREEN : mine && answered ? RED : mine ? BLUE : INK, buf) + 6;
	}
	if (!i && (given || !answered)) {
		snprintf(buf, sizeof(buf), answered ? "your prediction: %s" : "your prediction: %s_", v->typed[n]);
		y = words(v, MARGIN + 30, y, !answered ? BLUE : have && mind == seen ? GREEN : RED, buf);
	}
	if (have && !i) {
		snprintf(buf, sizeof(buf), seen > 0xffff ? "observed: 0x%llx" : "observed: %llu", (unsigned long long)seen);
		y = words(v, MARGIN + 30, y, GREEN, buf);
	}
	if (!answered && !i && *v->typed[n] && !given)
		y = words(v, MARGIN + 30, y, RED, "This is no number: 12, or 0x1f.");
	if (!answered)
		words(v, MARGIN, y + 20, FAINT,
		      i ? "A digit predicts; the right arrow goes on." : "Type a number; the right arrow goes on.");
	else
		words(v, MARGIN, y + 20, INK, have ? view_string(q, "why") : "The guest did not come to it.");
}

static void page_tables(struct view *v)
{
	int y = MARGIN + v->y;
	size_t i, j, k;
	json_t *t, *row, *c;

	json_array_foreach(v->tables, i, t)
	{
		y = words(v, MARGIN, y, BLUE, view_string(t, "title")) + 4;
		for (j = 0; j <= json_array_size(json_object_get(t, "rows")); j++) {
			row = j ? json_array_get(json_object_get(t, "rows"), j - 1) : json_object_get(t, "head");
			size_t columns = json_array_size(row);
			int step = columns > 1 ? (WIDTH - 2 * MARGIN - 260) / (int)(columns - 1) : 0;
			if (step > 170)
				step = 170;
			json_array_foreach(row, k, c)
			{
				int w = draw_text_width(&v->d, json_string_value(c));
				int x = k ? MARGIN + 260 + step * (int)k - w : MARGIN;
				draw_text(&v->d, x, y, k ? step + 90 : 250, j ? INK : FAINT, json_string_value(c));
			}
			y += draw_line(&v->d);
		}
		y += draw_line(&v->d);
	}
}

/* How many predictions came true, of how many. */
static void count_predictions(const struct view *v, unsigned *right, unsigned *of)
{
	*right = *of = 0;
	for (unsigned n = 0; n < json_array_size(json_object_get(v->lab->desc, "questions")); n++) {
		const json_t *q = question(v, n);
		u64 mind, seen;
		if (!predicted(v, n, &mind) || !lab_value(v->run, view_string(q, "phase"), view_string(q, "key"), &seen))
			continue;
		++*of;
		*right += mind == seen;
	}
}

static void page_checks(struct view *v)
{
	const json_t *end = json_object_get(v->run, "end");
	int y = MARGIN + v->y;
	size_t i;
	json_t *c;
	char buf[500];

	snprintf(buf, sizeof(buf), "%lld of %lld as expected. The guest ended: %s, after %lld instructions.",
		 (long long)json_integer_value(json_object_get(v->grade, "score")),
		 (long long)json_integer_value(json_object_get(v->grade, "of")), view_string(end, "reason"),
		 (long long)json_integer_value(json_object_get(end, "instructions")));
	y = words(v, MARGIN, y, json_is_true(json_object_get(v->grade, "passed")) ? GREEN : RED, buf) + 10;
	unsigned right, of;
	count_predictions(v, &right, &of);
	snprintf(buf, sizeof(buf), "You predicted %u of %u.", right, of);
	if (of)
		y = words(v, MARGIN, y, INK, buf) + 10;
	for (const char *s = view_string(end, "explanation"); *s; s += strcspn(s, "\n"), s += *s == '\n')
		y = paragraph(v, MARGIN, y, WIDTH - 2 * MARGIN, RED, s, strcspn(s, "\n"));
	json_array_foreach(json_object_get(v->grade, "checks"), i, c)
	{
		bool ok = json_is_true(json_object_get(c, "ok"));
		snprintf(buf, sizeof(buf), "%s %s: %s is %.60s. %.200s", ok ? "+" : "-", view_string(c, "phase"),
			 view_string(c, "key"), view_string(c, "observed"), view_string(c, "why"));
		y = words(v, MARGIN, y, ok ? INK : RED, buf);
	}
	json_array_foreach(json_object_get(v->grade, "explanations"), i, c)
	{
		snprintf(buf, sizeof(buf), "The first exception of %s, which was not as expected:", view_string(c, "phase"));
		y = words(v, MARGIN, y + 20, BLUE, buf);
		for (const char *s = view_string(c, "text"); *s; s += strcspn(s, "\n"), s += *s == '\n')
			y = paragraph(v, MARGIN, y, WIDTH - 2 * MARGIN, INK, s, strcspn(s, "\n"));
	}
}

static void page_picture(struct view *v, const struct page *p)
{
	struct sdl_canvas s = {.d = &v->d, .x = MARGIN + v->x, .y = 2 * MARGIN + v->y, .magnify = MAGNIFY};
	/* The timeline is as long as it is: one scrolls. */
	const struct canvas c = canvas_sdl(&s, strcmp(p->picture, "timeline") ? (WIDTH - 2 * MARGIN) / MAGNIFY : 0);
	json_t *view = lab_view(v->run, p->picture, p->n);

	picture_draw(&c, view);
	draw_box(&v->d, (SDL_Rect){0, 0, WIDTH, 2 * MARGIN - 10}, PAPER, 255);
	words(v, MARGIN, 20, FAINT, view && *view_string(view, "_where") ? view_string(view, "_where") : p->picture);
	json_decref(view);
}

static void paint(struct view *v)
{
	const struct page *p = &v->page[v->at];
	char buf[800];

	SDL_SetRenderDrawColor(v->to, 255, 255, 255, 255);
	SDL_RenderClear(v->to);
	switch (p->kind) {
	case PAGE_TEXT: page_text(v); break;
	case PAGE_QUESTION: page_question(v, p->n, false); break;
	case PAGE_TABLES: page_tables(v); break;
	case PAGE_PICTURE: page_picture(v, p); break;
	case PAGE_ANSWERS: page_question(v, p->n, true); break;
	case PAGE_CHECKS: page_checks(v); break;
	}
	draw_box(&v->d, (SDL_Rect){0, HEIGHT - 30, WIDTH, 30}, 0xeeeeee, 255);
	snprintf(buf, sizeof(buf), "%s   page %u%s   left, right: pages; up, down, A, D: scroll; Esc: close",
		 v->error.s[0] ? v->error.s : v->lab->name, v->at + 1, v->run ? "" : " (then the guest runs)");
	draw_text(&v->d, MARGIN, HEIGHT - 25, WIDTH - 2 * MARGIN, FAINT, buf);
	SDL_RenderPresent(v->to);
}

static void turn(struct view *v, int by)
{
	if (by > 0 && v->at + 1 == v->pages && !v->run && !v->error.s[0])
		run_guest(v);
	if ((by < 0 && !v->at) || (by > 0 && v->at + 1 >= v->pages))
		return;
	v->at = (unsigned)((int)v->at + by);
	v->x = v->y = 0;
}

/* Characters of a prediction: where there are choices, one digit at a time. */
static void on_text(struct view *v, const char *text)
{
	const struct page *p = &v->page[v->at];
	char *t;
	size_t n;

	if (p->kind != PAGE_QUESTION)
		return;
	t = v->typed[p->n];
	const size_t choices = json_object_size(json_object_get(question(v, p->n), "choices"));
	for (n = strlen(t); *text; text++) {
		if (choices && *text >= '1' && *text <= '9' && (size_t)(*text - '0') <= choices)
			snprintf(t, sizeof(*v->typed), "%c", *text);
		else if (!choices && strchr("0123456789abcdefABCDEFxX", *text) && n + 1 < sizeof(*v->typed))
			t[n++] = *text, t[n] = 0;
	}
}

/* False: close. */
static bool on_key(struct view *v, SDL_Keycode k)
{
	const struct page *p = &v->page[v->at];

	const bool writes = p->kind == PAGE_QUESTION && !json_object_get(question(v, p->n), "choices");

	if (k == SDLK_ESCAPE || (k == SDLK_q && !writes))
		return false;
	if (k == SDLK_BACKSPACE && p->kind == PAGE_QUESTION && *v->typed[p->n])
		v->typed[p->n][strlen(v->typed[p->n]) - 1] = 0;
	if (k == SDLK_RIGHT || k == SDLK_RETURN || k == SDLK_SPACE || k == SDLK_PAGEDOWN)
		turn(v, 1);
	else if (k == SDLK_LEFT || k == SDLK_PAGEUP)
		turn(v, -1);
	else if (k == SDLK_UP || k == SDLK_DOWN)
		v->y += k == SDLK_UP ? 80 : -80;
	else if (!writes && (k == SDLK_a || k == SDLK_d)) /* hexadecimal digits are letters */
		v->x += k == SDLK_a ? 200 : -200;
	if (v->x > 0)
		v->x = 0;
	if (v->y > 0)
		v->y = 0;
	return true;
}

static void serve(struct view *v)
{
	SDL_Event e;

	paint(v);
	while (SDL_WaitEvent(&e)) {
		if (e.type == SDL_QUIT || (e.type == SDL_KEYDOWN && !on_key(v, e.key.keysym.sym)))
			return;
		if (e.type == SDL_TEXTINPUT)
			on_text(v, e.text.text);
		if (e.type == SDL_MOUSEWHEEL)
			v->y = v->y + 60 * e.wheel.y > 0 ? 0 : v->y + 60 * e.wheel.y;
		paint(v);
	}
}

static int open_window(struct view *v, struct errtext *e)
{
	char title[200];

	x11_errors_do_not_end();
	if (SDL_Init(SDL_INIT_VIDEO))
		return err_set(e, -ENODEV, "no window can be opened: %s", SDL_GetError());
	snprintf(title, sizeof(title), "Orrery lab: %s", view_string(v->lab->desc, "title"));
	v->window = SDL_CreateWindow(title, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, WIDTH, HEIGHT, SDL_WINDOW_RESIZABLE);
	v->to = v->window ? SDL_CreateRenderer(v->window, -1, SDL_RENDERER_TARGETTEXTURE) : NULL;
	if (!v->to || draw_init(&v->d, v->to))
		return err_set(e, -ENODEV, "no window can be opened: %s", SDL_GetError());
	SDL_RenderSetLogicalSize(v->to, WIDTH, HEIGHT);
	SDL_StartTextInput();
	return 0;
}

int lab_window(const struct lab *l, struct errtext *e)
{
	struct view v = {.lab = l};
	size_t n = json_array_size(json_object_get(l->desc, "questions"));
	int r = (v.typed = calloc(n + 1, sizeof(*v.typed))) ? open_window(&v, e) : err_set(e, -ENOMEM, "no memory");

	if (!r) {
		add_page(&v, PAGE_TEXT, NULL, 0);
		for (unsigned i = 0; i < n; i++)
			add_page(&v, PAGE_QUESTION, NULL, i);
		serve(&v);
	}
	json_decref(v.run);
	json_decref(v.grade);
	json_decref(v.tables);
	free(v.typed);
	if (v.d.font)
		draw_free(&v.d);
	if (v.to)
		SDL_DestroyRenderer(v.to);
	if (v.window)
		SDL_DestroyWindow(v.window);
	SDL_Quit();
	return r;
}
