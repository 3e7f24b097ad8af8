/*
 * Character devices on the host. Nothing blocks: output that the host does not take at once is kept
 * (up to a limit, then dropped from the front with one message) and flushed by chardev_poll(),
 * which the machine calls at slice ends; it also hands over what has arrived. On replay, the
 * machine does not poll for input.
 *
 * Descriptions: null | stdio[,signal=on|off] | file:PATH | pty |
 * tcp:HOST:PORT[,server][,wait=on|off] | unix:PATH[,server][,wait=on|off] | memory | fd:N
 */
#ifndef ORRERY_DEVICES_CHARDEV_H
#define ORRERY_DEVICES_CHARDEV_H

#include "base/host.h"
#include "base/types.h"

struct chardev;

/** Opens the host end. NULL with a message in @err. @id is copied (31 characters). */
struct chardev *chardev_open(const char *id, const char *description, char *err, size_t err_size);
/** Flushes what it can without waiting long, restores the terminal, frees. NULL is allowed. */
void chardev_close(struct chardev *c);
const char *chardev_id(const struct chardev *c);

/** On: what is written is thrown away, because it was written before (machine/reverse.h). */
void chardev_mute(struct chardev *c, bool on);
/** From the guest: queues bytes for the host. */
void chardev_write(struct chardev *c, const void *data, size_t n);
/**
 * Moves data both ways: flushes output; reads up to @room bytes and hands them to the receiver.
 * Returns the bytes received. A file or null never receives.
 */
unsigned chardev_poll(struct chardev *c, unsigned room);
/** Who gets arriving bytes (usually pushes them into the input queue). */
void chardev_on_receive(struct chardev *c, void (*receive)(void *ctx, const u8 *data, unsigned n),
			void *ctx);
/** Fills descriptors to wait for into @p (at most 2); the number filled. For host_poll() while the
 * guest idles. */
unsigned chardev_pollfds(struct chardev *c, struct host_poll *p);
/** True if input may come from a person or a peer (tty, pty, socket, pipe): the machine then sleeps
 * in real time. */
bool chardev_interactive(const struct chardev *c);
/** True if somebody is there now: a server between two peers has nobody. */
bool chardev_connected(const struct chardev *c);
/** True if the input has ended (EOF on stdin, peer gone) and will not come back. */
bool chardev_eof(const struct chardev *c);

/** A socket: takes a peer that waits, as chardev_poll() does too. */
void chardev_accept(struct chardev *c);
/** Forgets output that nobody has taken yet. */
void chardev_drop_output(struct chardev *c);
/** How many peers have come so far; what is no socket has one. */
unsigned chardev_connections(const struct chardev *c);

/** Memory backend, for tests: what the guest wrote (not terminated), and what it shall read. */
const u8 *chardev_memory_output(struct chardev *c, size_t *n);
void chardev_memory_input(struct chardev *c, const void *data, size_t n);
/** A pseudo terminal: what is at its other end takes keys one by one. */
bool chardev_is_pty(const struct chardev *c);
/** stdio backend: the terminal's state, for restoring in a handler of fatal signals; NULL for
 * others. */
struct host_tty *chardev_tty(struct chardev *c);

#endif
