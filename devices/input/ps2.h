/* A byte queue of a PS/2 device: what it wants to send through the keyboard controller. */
#ifndef ORRERY_DEVICES_PS2_H
#define ORRERY_DEVICES_PS2_H

#include "devices/device.h"

#define PS2_QUEUE  256u /* power of two, indexed by u8 */
#define PS2_ACK    0xfa
#define PS2_RESEND 0xfe

struct ps2_queue {
	u8 data[PS2_QUEUE];
	u8 head, tail;
};

extern const struct snapshot_desc ps2_queue_snapshot;

static inline unsigned ps2_queued(const struct ps2_queue *q)
{
	return (u8)(q->head - q->tail);
}

/** Appends all of @data or, if there is no room, nothing: half a packet would confuse the driver.
 * False: no room. */
static inline bool ps2_push(struct ps2_queue *q, const u8 *data, unsigned n)
{
	if (ps2_queued(q) + n >= PS2_QUEUE)
		return false;
	for (unsigned i = 0; i < n; i++)
		q->data[q->head++] = data[i];
	return true;
}

static inline void ps2_push1(struct ps2_queue *q, u8 v)
{
	ps2_push(q, &v, 1);
}

static inline void ps2_clear(struct ps2_queue *q)
{
	q->tail = q->head;
}

#endif
