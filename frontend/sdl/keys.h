/* From the host's keys to the guest's keyboard. */
#ifndef ORRERY_SDL_KEYS_H
#define ORRERY_SDL_KEYS_H

#include <SDL.h>
#include "base/types.h"

/** Set-1 code (e0xxh: extended) of a key by its place; 0 if a PC keyboard has none. */
u16 key_of_scancode(SDL_Scancode code);

#endif
