/* Demonstration guest: a turning orrery in text, computed in integers. */
#include "guest.h"

#define WIDTH  79
#define HEIGHT 23
#define TURN   1024 /* angle units of a full turn */

static const struct planet {
	char symbol;
	u8 color;  /* ANSI */
	u8 radius; /* in eighths of a row */
	u16 speed; /* angle units a frame */
	const char *name;
} planets[] = {
    {'.', 37, 18, 67, "Mercury"}, {'o', 33, 32, 26, "Venus"},  {'O', 36, 48, 16, "Earth"},
    {'o', 31, 62, 9, "Mars"},     {'@', 35, 76, 3, "Jupiter"}, {'8', 93, 88, 1, "Saturn"},
};
#define PLANETS (sizeof(planets) / sizeof(planets[0]))

static char cell[HEIGHT][WIDTH];
static u8 color[HEIGHT][WIDTH];

/* Bhaskara's approximation of sin, scaled by 4096; the error is below 0.2 %. */
static s64 sine(u64 angle)
{
	s64 a = (s64)(angle % TURN), half = TURN / 2, sign = 1;
	if (a >= half) {
		a -= half;
		sign = -1;
	}
	s64 p = a * (half - a);
	return sign * 4096 * 16 * p / (5 * half * half - 4 * p);
}

static s64 cosine(u64 angle)
{
	return sine(angle + TURN / 4);
}

static void plot(s64 x, s64 y, char c, u8 col)
{
	if (x >= 0 && x < WIDTH && y >= 0 && y < HEIGHT) {
		cell[y][x] = c;
		color[y][x] = col;
	}
}

/* A place on an orbit of @radius eighths of a row; characters are twice as high as wide. */
static void place(u64 angle, s64 radius, s64 *x, s64 *y)
{
	*x = WIDTH / 2 + (cosine(angle) * radius * 2 / 8 * 13 / 10 + (1 << 11)) / 4096;
	*y = HEIGHT / 2 - (sine(angle) * radius / 8 + (1 << 11)) / 4096;
}

static void draw(u64 frame)
{
	s64 x, y;
	for (unsigned i = 0; i < HEIGHT; i++)
		for (unsigned j = 0; j < WIDTH; j++)
			plot(j, i, ' ', 0);
	for (unsigned i = 0; i < PLANETS; i++)
		for (u64 a = 0; a < TURN; a += TURN / (24 + planets[i].radius)) {
			place(a, planets[i].radius, &x, &y);
			plot(x, y, '.', 90);
		}
	for (s64 dx = -2; dx <= 2; dx++)
		plot(WIDTH / 2 + dx, HEIGHT / 2, "(=@=)"[dx + 2], 93);
	for (unsigned i = 0; i < PLANETS; i++) {
		u64 angle = 150 * i * i + frame * planets[i].speed;
		place(angle, planets[i].radius, &x, &y);
		plot(x, y, planets[i].symbol, planets[i].color);
		if (i == 2) /* the Moon */
			plot(x + cosine(frame * 80) * 3 / 4096, y - sine(frame * 80) / 3500, '.',
			     97);
		if (i == 5) {
			plot(x - 1, y, '(', planets[i].color);
			plot(x + 1, y, ')', planets[i].color);
		}
	}
}

static void show(void)
{
	for (unsigned i = 0; i < HEIGHT; i++) {
		u8 now = 0;
		unsigned end = WIDTH;
		while (end && cell[i][end - 1] == ' ')
			end--;
		for (unsigned j = 0; j < end; j++) {
			if (cell[i][j] != ' ' && color[i][j] != now) {
				now = color[i][j];
				print("\033[%um", (u64)now);
			}
			put(cell[i][j]);
		}
		print(now ? "\033[0m\033[K\n" : "\033[K\n");
	}
}

void orrery_show(unsigned frames)
{
	for (u64 f = 0; f < frames; f++) {
		if (f)
			print("\033[%uA", (u64)HEIGHT); /* back up over the last picture */
		draw(f);
		show();
		wait_ticks(6);
	}
}
