/*
 * The machine among other threads. Its state belongs to the thread in machine_run(); others leave requests that are served
 * between slices, push input into the queue, and read statistics that are published as atomics.
 */
#include "machine/machine_internal.h"

#include "devices/storage/floppy.h"
#include "devices/storage/ide.h"

int machine_threads_init(struct machine *m, struct errtext *e)
{
	struct machine_threads *t = &m->threads;
	t->monitor = host_monitor_create();
	t->wake = (struct host_wake){{-1, -1}};
	if (!t->monitor)
		return err_set(e, -ENOMEM, "no memory for the machine");
	atomic_init(&t->pace, PACE_FREE);
	atomic_init(&t->mode, "real");
	(void)host_wake_open(&t->wake); /* without it, sleeps are only not cut short */
	return 0;
}

void machine_threads_free(struct machine *m)
{
	host_wake_close(&m->threads.wake);
	host_monitor_destroy(m->threads.monitor);
}

/* ---- requests ------------------------------------------------------------------------------- */

void machine_serve(struct machine *m)
{
	struct machine_threads *t = &m->threads;
	if (!atomic_load_explicit(&t->attention, memory_order_relaxed))
		return;
	host_monitor_enter(t->monitor);
	atomic_store(&t->attention, atomic_load(&t->paused));
	while (t->requests) {
		struct machine_request *r = t->requests;
		t->requests = r->next;
		host_monitor_leave(t->monitor);
		r->fn(r->ctx);
		t->served++;
		host_monitor_enter(t->monitor);
		r->done = true;
		host_monitor_notify(t->monitor);
	}
	host_monitor_leave(t->monitor);
}

static void set_owner(struct machine *m, u64 owner)
{
	struct machine_threads *t = &m->threads;
	host_monitor_enter(t->monitor);
	t->owner = owner;
	atomic_store(&t->running, owner != 0);
	host_monitor_leave(t->monitor);
}

void machine_threads_begin(struct machine *m)
{
	set_owner(m, host_thread_self());
}

void machine_threads_end(struct machine *m)
{
	machine_publish_stats(m);
	set_owner(m, 0); /* nobody queues from here on */
	atomic_store(&m->threads.attention, true);
	machine_serve(m);
}

static void append(struct machine_request **list, struct machine_request *r)
{
	while (*list)
		list = &(*list)->next;
	*list = r;
}

void machine_call(struct machine *m, void (*fn)(void *ctx), void *ctx)
{
	struct machine_threads *t = &m->threads;
	struct machine_request r = {.fn = fn, .ctx = ctx};
	host_monitor_enter(t->monitor);
	if (t->owner && t->owner != host_thread_self()) {
		append(&t->requests, &r);
		atomic_store(&t->attention, true);
		host_wake_signal(&t->wake);
		while (!r.done)
			host_monitor_wait(t->monitor);
		host_monitor_leave(t->monitor);
		return;
	}
	host_monitor_leave(t->monitor);
	fn(ctx);
}

/* ---- pause and pace ------------------------------------------------------------------------- */

static void do_pause(void *ctx)
{
	struct machine *m = ctx;
	atomic_store(&m->threads.paused, true);
	atomic_store(&m->threads.attention, true);
}

void machine_pause(struct machine *m)
{
	machine_call(m, do_pause, m);
}

void machine_resume(struct machine *m)
{
	atomic_fetch_add(&m->threads.resumes, 1);
	atomic_store(&m->threads.paused, false);
	host_wake_signal(&m->threads.wake);
}

bool machine_paused(const struct machine *m)
{
	return atomic_load_explicit(&m->threads.paused, memory_order_relaxed);
}

void machine_interrupt(struct machine *m)
{
	do_pause(m);
	host_wake_signal(&m->threads.wake);
}

void machine_observe(struct machine *m, const struct machine_observer *o)
{
	m->observer = o ? *o : (struct machine_observer){0};
}

void machine_return_when_stopped(struct machine *m, bool on)
{
	m->return_when_stopped = on;
}

void machine_set_pace(struct machine *m, enum machine_pace pace)
{
	atomic_store(&m->threads.pace, (int)pace);
	host_wake_signal(&m->threads.wake);
}

enum machine_pace machine_pace(const struct machine *m)
{
	return (enum machine_pace)atomic_load(&m->threads.pace);
}

/* ---- input ---------------------------------------------------------------------------------- */

static bool push(struct machine *m, unsigned kind, const u8 *data, unsigned n)
{
	bool taken = input_push(&m->input, kind, 0, data, n);
	host_wake_signal(&m->threads.wake);
	return taken;
}

bool machine_send_key(struct machine *m, u16 key, bool pressed)
{
	const u8 data[] = {(u8)key, (u8)(key >> 8), pressed};
	return push(m, INPUT_KEY, data, sizeof(data));
}

bool machine_send_mouse(struct machine *m, int dx, int dy, int wheel, unsigned buttons)
{
	s16 x = (s16)(dx > 32767 ? 32767 : dx < -32767 ? -32767 : dx);
	s16 y = (s16)(dy > 32767 ? 32767 : dy < -32767 ? -32767 : dy);
	s8 z = (s8)(wheel > 127 ? 127 : wheel < -127 ? -127 : wheel);
	const u8 data[] = {(u8)x, (u8)((u16)x >> 8), (u8)y, (u8)((u16)y >> 8), (u8)z, (u8)buttons};
	return push(m, INPUT_MOUSE, data, sizeof(data));
}

bool machine_send_pointer(struct machine *m, unsigned x, unsigned y, int wheel, unsigned buttons)
{
	s8 z = (s8)(wheel > 127 ? 127 : wheel < -127 ? -127 : wheel);
	const u8 data[] = {(u8)x, (u8)(x >> 8), (u8)y, (u8)(y >> 8), (u8)z, (u8)buttons};
	return push(m, INPUT_POINTER, data, sizeof(data));
}

unsigned machine_input_room(struct machine *m)
{
	return input_room(&m->input);
}

bool machine_send_button(struct machine *m, enum machine_button b)
{
	static const u8 kind[] = {
	    [BUTTON_POWER] = INPUT_POWER, [BUTTON_RESET] = INPUT_RESET, [BUTTON_NMI] = INPUT_NMI};
	return push(m, kind[b], NULL, 0);
}

/* ---- statistics ----------------------------------------------------------------------------- */

#define PUBLISH(field, value) atomic_store_explicit(&m->threads.field, value, memory_order_relaxed)
#define OBSERVE(field)        atomic_load_explicit(&m->threads.field, memory_order_relaxed)

void machine_publish_stats(struct machine *m)
{
	const struct cpu *c = m->cpu;
	struct pc_input_state in = pc_input_state(&m->pc);
	PUBLISH(instructions, machine_icount(m));
	PUBLISH(virtual_ns, machine_now(m));
	PUBLISH(idle_ns, m->idle_ns);
	PUBLISH(disk, m->pc.env.activity[ACTIVITY_DISK] + ide_activity(m->pc.ide) +
		      floppy_activity(m->pc.fdc));
	PUBLISH(net, m->pc.env.activity[ACTIVITY_NET]);
	PUBLISH(mode, c->smm ? "SMM" : machine_mode_name(c));
	PUBLISH(cpl, c->cpl);
	PUBLISH(halted, machine_halted(m));
	PUBLISH(leds, in.leds);
	PUBLISH(mouse_wanted, in.mouse_wanted);
	PUBLISH(pointer_wanted, in.pointer_wanted);
}

void machine_stats(const struct machine *m, struct machine_stats *out)
{
	*out = (struct machine_stats){
	    .instructions = OBSERVE(instructions),
	    .virtual_ns = OBSERVE(virtual_ns),
	    .idle_ns = OBSERVE(idle_ns),
	    .disk = OBSERVE(disk),
	    .net = OBSERVE(net),
	    .mode = OBSERVE(mode),
	    .cpl = OBSERVE(cpl),
	    .halted = OBSERVE(halted),
	    .paused = OBSERVE(paused),
	    .running = OBSERVE(running),
	    .quitting = atomic_load_explicit(&m->quit, memory_order_relaxed),
	    .leds = (u8)OBSERVE(leds),
	    .mouse_wanted = OBSERVE(mouse_wanted),
	    .pointer_wanted = OBSERVE(pointer_wanted),
	};
}
