/* X11 keysyms, as RFB sends them, to set-1 scan codes. */
#ifndef ORRERY_VNC_KEYS_H
#define ORRERY_VNC_KEYS_H

#include "base/keymap.h"

/** The key of a keyboard with layout @k that makes @keysym (shifted or not): 0xe0xx for extended keys, 0xe11d for Pause; 0: none. */
u16 vnc_key(const struct keymap *k, u32 keysym);

#endif
