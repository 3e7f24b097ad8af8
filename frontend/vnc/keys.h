/* X11 keysyms, as RFB sends them, to set-1 scan codes. */
#ifndef ORRERY_VNC_KEYS_H
#define ORRERY_VNC_KEYS_H

#include "base/types.h"

/** The key of an American keyboard that makes @keysym (shifted or not): 0xe0xx for extended keys, 0xe11d for Pause; 0: none. */
u16 vnc_key(u32 keysym);

#endif
