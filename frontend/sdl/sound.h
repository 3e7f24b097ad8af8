/* The machine's sound through SDL, with or without a window. */
#ifndef ORRERY_SDL_SOUND_H
#define ORRERY_SDL_SOUND_H

#include "machine/machine.h"

struct sound;
/** Opens the host's default output and lets it pull from @m; NULL with a message if there is none:
 * then all is silent. */
struct sound *sound_start(struct machine *m, struct errtext *e);
/** Before the machine is destroyed. NULL is allowed. */
void sound_stop(struct sound *s);

#endif
