/*
 * What SDL leaves to Xlib: a request that the X server refuses. Xlib's own answer is to end the process with status 1, and a
 * guest with it. SDL wakes the window's thread by an event it sends to the window on a connection of its own; if the window is
 * gone before the server comes to it, that is such a request, and so is the answer to a drag whose source has gone. Not modelled:
 * a connection that breaks, which still ends the process.
 */
#include "frontend/sdl/x11.h"

#include <SDL.h>
#include <SDL_syswm.h>
#include <stdatomic.h>
#include <stdio.h>

#ifdef SDL_VIDEO_DRIVER_X11

#define X_SEND_EVENT 25 /* X Window System Protocol, encoding of requests */

static int refused(Display *display, XErrorEvent *e)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;
	(void)display;
	if (e->request_code != X_SEND_EVENT && !atomic_flag_test_and_set(&said))
		fprintf(stderr, "orrery: warning: the X server refused a request (%u.%u, error %u); the guest goes on\n", e->request_code,
			e->minor_code, e->error_code);
	return 0; /* Xlib does not look at it */
}

void x11_errors_do_not_end(void)
{
	void *xlib = SDL_LoadObject("libX11.so.6"); /* as SDL does; stays, since the handler does */
	XErrorHandler (*set)(XErrorHandler) = xlib ? SDL_LoadFunction(xlib, "XSetErrorHandler") : NULL;
	if (set)
		set(refused);
}

#else

void x11_errors_do_not_end(void) {}

#endif
