/* A lab in a window: reading, predicting, running, seeing and understanding, a page each. */
#ifndef ORRERY_SDL_LAB_H
#define ORRERY_SDL_LAB_H

#include "labs/labs.h"

/** Until the user closes it. 0, or -ENODEV with a message if no window can be opened. */
MUST_CHECK int lab_window(const struct lab *l, struct errtext *e);

#endif
