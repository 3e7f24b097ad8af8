#include "base/input.h"

#include <stdlib.h>

void input_init(struct input_queue *q, void (*deliver)(void *, const struct input_event *),
		void *ctx)
{
	memset(q, 0, sizeof(*q));
	atomic_flag_clear(&q->lock);
	q->deliver = deliver;
	q->ctx = ctx;
}

static void lock(struct input_queue *q)
{
	while (atomic_flag_test_and_set_explicit(&q->lock, memory_order_acquire))
		;
}

static void unlock(struct input_queue *q)
{
	atomic_flag_clear_explicit(&q->lock, memory_order_release);
}

static bool push(struct input_queue *q, const struct input_event *ev)
{
	u32 bulk = ev->bulk ? ev->len : 0;
	lock(q);
	bool room = q->head - q->tail < INPUT_INBOX && q->bulk_bytes + bulk <= INPUT_BULK_MAX;
	if (room) {
		q->inbox[q->head++ % INPUT_INBOX] = *ev;
		q->bulk_bytes += bulk;
	}
	unlock(q);
	return room;
}

bool input_push(struct input_queue *q, unsigned kind, unsigned target, const void *data,
		unsigned len)
{
	struct input_event ev = {.kind = (u16)kind, .target = (u16)target, .len = len};
	if (len > sizeof(ev.data))
		return false;
	if (len)
		memcpy(ev.data, data, len);
	return push(q, &ev);
}

bool input_push_bulk(struct input_queue *q, unsigned kind, unsigned target, const void *data,
		     unsigned len)
{
	struct input_event ev = {.kind = (u16)kind, .target = (u16)target, .len = len};
	if (!len || len > INPUT_BULK_MAX || !(ev.bulk = malloc(len)))
		return false;
	memcpy(ev.bulk, data, len);
	if (push(q, &ev))
		return true;
	free(ev.bulk);
	return false;
}

unsigned input_room(struct input_queue *q)
{
	lock(q);
	unsigned n = INPUT_INBOX - (q->head - q->tail);
	unlock(q);
	return n;
}

bool input_waiting(struct input_queue *q)
{
	return !q->replay && input_room(q) < INPUT_INBOX;
}

static bool pop(struct input_queue *q, struct input_event *ev)
{
	lock(q);
	bool any = q->head != q->tail;
	if (any) {
		*ev = q->inbox[q->tail++ % INPUT_INBOX];
		q->bulk_bytes -= ev->bulk ? ev->len : 0;
	}
	unlock(q);
	return any;
}

void input_clear(struct input_queue *q)
{
	struct input_event ev;
	while (pop(q, &ev))
		free(ev.bulk);
}

static void hand_over(struct input_queue *q, const struct input_event *ev)
{
	if (q->record)
		q->record(q->ctx, ev);
	q->deliver(q->ctx, ev);
}

static bool due(const struct input_queue *q, u64 icount, u64 ns)
{
	const struct input_event *ev = &q->replay[q->replay_next];
	return q->replay_next < q->replay_count && (ev->icount < icount || (ev->icount == icount && ev->ns <= ns));
}

unsigned input_drain(struct input_queue *q, u64 icount, u64 ns)
{
	struct input_event ev;
	unsigned n = 0;
	if (q->replay) {
		for (; q->replay && due(q, icount, ns); n++)
			hand_over(q, &q->replay[q->replay_next++]);
		return n;
	}
	for (; n < INPUT_INBOX && pop(q, &ev); n++) {
		ev.icount = icount;
		ev.ns = ns;
		hand_over(q, &ev);
		free(ev.bulk);
	}
	return n;
}

u64 input_next(const struct input_queue *q)
{
	if (!q->replay || q->replay_next == q->replay_count)
		return UINT64_MAX;
	return q->replay[q->replay_next].icount;
}

u64 input_next_ns(const struct input_queue *q, u64 icount)
{
	return input_next(q) <= icount && q->replay && q->replay_next < q->replay_count ? q->replay[q->replay_next].ns : UINT64_MAX;
}
