/*
 * The GDB stub: a session (debug/gdb_session.h) at a character device, on a thread of its own. Clients come one after another.
 */
#ifndef ORRERY_DEBUG_GDBSTUB_H
#define ORRERY_DEBUG_GDBSTUB_H

#include "debug/gdb_session.h"

struct gdbstub;

/**
 * Serves GDB at @description: "tcp:[HOST]:PORT", "tcp::PORT,server...", "unix:PATH", "stdio", "pty"; without a kind, it is tcp. ",arch=
 * x86-64|i386|i8086" at the end chooses what the client is told of; ",reverse=on" keeps a history from the first client on. @command: see struct gdb_hooks; called with @ctx. NULL with a
 * message.
 */
struct gdbstub *gdbstub_start(struct debugger *d, const char *description, char *(*command)(void *ctx, const char *line), void *ctx,
			      struct errtext *e);
/** The machine's run has ended: tells the client, and stops. NULL is allowed. */
void gdbstub_stop(struct gdbstub *g);

#endif
