/*
 * One debugging session: packets of GDB's remote protocol in, packets out (GDB manual, appendix E). It has no thread and no socket
 * of its own: debug/gdbstub.c lends them. What comes in may be anything.
 *
 * Answered: ? g G p P m M X Z z (0 to 4) c s vCont (c s r t) bs bc H T D k vKill qSupported qXfer (features, threads, memory-map)
 * qRcmd qC qAttached threads' lists and names, QStartNoAckMode, physical memory mode (qqemu.PhyMemMode, Qqemu.PhyMemMode).
 * Not: extended remote, non-stop mode, conditions evaluated here, file I/O, tracepoints.
 */
#ifndef ORRERY_DEBUG_GDB_SESSION_H
#define ORRERY_DEBUG_GDB_SESSION_H

#include "debug/gdb_packet.h"
#include "debug/gdb_target.h"

struct gdb_hooks {
	void *ctx;
	void (*send)(void *ctx, const void *data, unsigned n); /* bytes for the client */
	/** "monitor ...": the answer, malloc'ed; NULL: there is no monitor. Called outside machine_call(). May be NULL. */
	char *(*command)(void *ctx, const char *line);
	void (*kill)(void *ctx); /* the client ends the machine; may be NULL */
};

struct gdb_session;
/** @d must outlive it. NULL: no memory. */
struct gdb_session *gdb_session_create(struct debugger *d, enum gdb_arch arch, const struct gdb_hooks *hooks);
/** Takes its break points away. */
void gdb_session_destroy(struct gdb_session *s);
/** From the first client on a history is kept, for reverse execution (machine/reverse.h). */
void gdb_session_keep_history(struct gdb_session *s);
/** Another client, or the same again: acknowledgements are on, no break points; the machine is stopped if it runs. */
void gdb_session_connected(struct gdb_session *s);
/** The client is gone: its break points go, and the machine goes on. */
void gdb_session_gone(struct gdb_session *s);
/** Bytes from the client. Any thread but the machine's. */
void gdb_session_feed(struct gdb_session *s, const u8 *data, unsigned n);
/** The machine has stopped: tells a client that waits for it. Any thread but the machine's. */
void gdb_session_stopped(struct gdb_session *s);

#endif
