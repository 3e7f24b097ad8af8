/* What SDL leaves to Xlib's defaults, where the window is an X server's. */
#ifndef ORRERY_SDL_X11_H
#define ORRERY_SDL_X11_H

/**
 * Call before SDL_Init(). A request that the X server refuses does not end the process from then on; of those that lose something
 * the first is said on stderr.
 */
void x11_errors_do_not_end(void);

#endif
