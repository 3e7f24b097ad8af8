/* 8042 keyboard controller with a PS/2 keyboard and mouse. */
#ifndef ORRERY_DEVICES_I8042_H
#define ORRERY_DEVICES_I8042_H

#include "devices/device.h"

/** A key goes down or up, named by its set-1 scan code; extended keys as e0xxh, Pause as e11dh. */
void i8042_key(struct device *d, u16 set1, bool pressed);
/** Mouse motion (right and down positive), wheel (towards the user positive), buttons (1 left, 2
 * right, 4 middle, 8 and 16 at the side). */
void i8042_mouse(struct device *d, int dx, int dy, int wheel, unsigned buttons);
/** Keyboard lamps: 1 Scroll Lock, 2 Num Lock, 4 Caps Lock. */
u8 i8042_leds(const struct device *d);
/** Bytes of keys that the guest has not read yet: zero means it keeps up with what is typed. */
unsigned i8042_keys_waiting(const struct device *d);
/** Has the guest asked for mouse reports? */
bool i8042_mouse_wanted(const struct device *d);

#endif
