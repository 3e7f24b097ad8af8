/* A PS/2 mouse on a serial line of its own; see ps2_mouse.c. */
#ifndef ORRERY_DEVICES_PS2_MOUSE_H
#define ORRERY_DEVICES_PS2_MOUSE_H

#include "devices/input/ps2.h"

struct ps2_mouse {
	struct ps2_queue out;
	struct timer sample; /* made from the controller's descriptor: the next report is due */
	struct clock *clock;
	u64 next_ns;    /* no report before */
	s32 dx, dy, dz; /* not yet reported */
	u8 buttons, reported;
	u8 id; /* 0, 3 with wheel, 4 with five buttons too */
	u8 rate, resolution;
	u8 knock[2];               /* the last two sample rates */
	u8 command;                /* waits for its parameter */
	u8 packet[4], packet_size; /* the last report, for RESEND */
	bool reporting, remote, wrap, scale2, bad;
	u8 pad[2];
};

extern const struct snapshot_desc ps2_mouse_snapshot;

/** As after power-on: silent, no wheel. */
void ps2_mouse_reset(struct ps2_mouse *m);
/** Motion (right, down positive), wheel (towards the user positive), buttons (1 left, 2 right, 4
 * middle, 8, 16 side). */
void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons);
/** A byte from the host. */
void ps2_mouse_write(struct ps2_mouse *m, u8 v);
/** Before the controller looks for a byte: makes a report if one is due, or arms the timer for it.
 */
void ps2_mouse_poll(struct ps2_mouse *m);

#endif
