/*
 * The one door for outside input. The host side (any thread) pushes events into the inbox; the
 * machine drains it between slices: each event is stamped with the instruction count, shown to the
 * recorder and delivered. On replay, stamped events are queued beforehand and the inbox is ignored.
 */
#ifndef ORRERY_BASE_INPUT_H
#define ORRERY_BASE_INPUT_H

#include <stdatomic.h>
#include "base/types.h"

enum input_kind {
	INPUT_SERIAL, /* target: UART number; data: bytes received */
	INPUT_KEY, /* data[0..1]: enum input_key code, little endian; data[2]: 1 pressed, 0 released
		    */
	INPUT_MOUSE, /* data: s16 dx, s16 dy (right, down positive), s8 wheel, u8 buttons (1 left, 2
			right, 4 middle) */
	INPUT_RESET, /* the reset button */
	INPUT_POWER, /* the power button */
	INPUT_NMI,   /* the NMI button */
	INPUT_NET,   /* target: number of the -netdev; bulk: a frame */
	INPUT_POINTER, /* data: u16 x, u16 y (0..32767), s8 wheel, u8 buttons as INPUT_MOUSE */
	INPUT_FORGET, /* translations and decoded code were dropped, for a snapshot */
	INPUT_MEDIUM, /* bulk: drive's id, path of the image that was put in (empty: none), each with a zero byte */
	INPUT_END,    /* here the recording ends */
	INPUT_USER,  /* first kind free for the machine's own use */
};

struct input_event {
	u64 icount, ns; /* when it reached the guest: set when drained. While nothing runs only ns goes on */
	u16 kind;
	u16 target;
	u32 len;
	u8 data[16];
	u8 *bulk; /* NULL, or the len bytes that data has no place for. Live: the queue's, until delivered; replay: the owner's */
};

#define INPUT_INBOX    1024       /* events; power of two */
#define INPUT_BULK_MAX (4u << 20) /* bytes of bulk waiting in the inbox */

struct input_queue {
	atomic_flag lock;
	u32 head, tail; /* inbox ring: tail..head */
	u32 bulk_bytes;
	struct input_event inbox[INPUT_INBOX];
	struct input_event *replay; /* owned by the caller, sorted by icount; NULL: live */
	u32 replay_count, replay_next;
	void (*record)(void *ctx, const struct input_event *ev); /* may be NULL */
	void (*deliver)(void *ctx, const struct input_event *ev);
	void *ctx;
};

void input_init(struct input_queue *q, void (*deliver)(void *, const struct input_event *),
		void *ctx);
/** From any thread. False when the inbox is full: try again later. @len <= 16. */
bool input_push(struct input_queue *q, unsigned kind, unsigned target, const void *data,
		unsigned len);
/** The same for data of any length, which is copied. False also when there is no memory or INPUT_BULK_MAX is reached. */
bool input_push_bulk(struct input_queue *q, unsigned kind, unsigned target, const void *data,
		     unsigned len);
/** Throws away what was not delivered. */
void input_clear(struct input_queue *q);
/** Events the inbox still takes. */
unsigned input_room(struct input_queue *q);
/** Delivers what has arrived (live), or what is stamped at or before @icount and @ns (replay). Returns the
 * number delivered. */
unsigned input_drain(struct input_queue *q, u64 icount, u64 ns);
/** Does something wait to be drained? */
bool input_waiting(struct input_queue *q);
/** Replay: the instruction count of the next event, or UINT64_MAX. The slice must not run past it.
 */
u64 input_next(const struct input_queue *q);
/** Replay: when, in virtual time, the next event comes if nothing runs any more from @icount on, or UINT64_MAX. */
u64 input_next_ns(const struct input_queue *q, u64 icount);

#endif
