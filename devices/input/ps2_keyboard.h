/* A 101/102-key PS/2 keyboard on a serial line of its own; see ps2_keyboard.c. */
#ifndef ORRERY_DEVICES_PS2_KEYBOARD_H
#define ORRERY_DEVICES_PS2_KEYBOARD_H

#include "devices/input/ps2.h"

#define SET3_CODES 0x90 /* of scan code set 3 */

struct ps2_keyboard {
	struct ps2_queue out;
	struct timer repeat; /* made from the controller's descriptor */
	struct clock *clock;
	u16 held;     /* the key that repeats, as set 1 has it; 0: none */
	u8 held_mods; /* of the modifiers down: MOD_* */
	u8 set;       /* scan code set 1, 2 or 3 */
	u8 leds, rate, command, last;
	bool scanning;
	u8 kind[SET3_CODES]; /* set 3: KIND_* of each key */
	u8 pad[7];
};

extern const struct snapshot_desc ps2_keyboard_snapshot;

/** As after power-on, tested and scanning. */
void ps2_keyboard_reset(struct ps2_keyboard *k);
/** A key by its set-1 code (e0xxh extended, e11dh Pause) goes down or up. */
void ps2_keyboard_key(struct ps2_keyboard *k, u16 set1, bool pressed);
/** A byte from the host. */
void ps2_keyboard_write(struct ps2_keyboard *k, u8 v);
/** The next byte for the host, which must be there (ps2_queued(&k->out)). */
u8 ps2_keyboard_take(struct ps2_keyboard *k);
/** The repeat timer has fired. */
void ps2_keyboard_repeat(struct ps2_keyboard *k);

/* The keyboard controller's table (IBM PS/2 Hardware Interface Technical Reference): set 2 to set
 * 1, bytes below 80h. */
extern const u8 ps2_set2_to_set1[128];

#endif
