/*
 * The window: an SDL2 viewer and keyboard of one machine. It runs on the main thread, the machine
 * on its own; the two meet in machine.h's functions for other threads and in the display's surface.
 */
#ifndef ORRERY_SDL_WINDOW_H
#define ORRERY_SDL_WINDOW_H

#include "machine/machine.h"

struct monitor;

struct window_options {
	struct monitor *monitor; /* of the machine: for the panel of live views; NULL: there is no panel */
	const struct keymap *keymap; /* of the guest, for text that is typed */
	const char *name; /* of the guest, for the title; NULL: none */
	bool full_screen;
	bool keep_open; /* show the last picture of a machine that cannot go on, until the user
			   closes */
};

/** Can a window be opened here? False in builds without SDL and where there is no display server.
 */
bool window_possible(void);

/**
 * Opens a window and runs @m (machine_run()) behind it until it ends. 0 with the reason in
 * machine_result(), or -ENODEV with a message if no window can be opened; then nothing was run.
 */
MUST_CHECK int window_run(struct machine *m, const struct window_options *o, struct errtext *e);

#endif
