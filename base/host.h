/* What is asked of the operating system; implemented in host_*.c only. */
#ifndef ORRERY_BASE_HOST_H
#define ORRERY_BASE_HOST_H

#include "base/types.h"

/** Monotonic host time in ns: for pacing and statistics, never for the guest. */
u64 host_monotonic_ns(void);
/** Seconds since 1970 UTC: handed to the guest's RTC once, at start, if asked for. */
s64 host_realtime_s(void);

/** Reads a whole file of at most @max bytes; @*data is malloc'ed with a zero byte behind the end. 0
 * or -errno (-EFBIG). */
MUST_CHECK int host_file_read(const char *path, u64 max, u8 **data, u64 *n);
/** Why host_file_read() or host_file_check() refused, in words: strerror(-@err) but for what that has no words for. */
const char *host_file_why(int err);
/** Whether @path can be made or written over, without doing so: 0, or -errno. So that a bad option elsewhere leaves no trace. */
MUST_CHECK int host_file_check(const char *path);
/** Replaces @path by a temporary file and rename, so that readers see the old or the new content; where @path is a symbolic
 * link, what it leads to. What is no regular file (a terminal, /dev/stdout, a pipe) is written to instead. 0 or -errno. */
MUST_CHECK int host_file_write_atomic(const char *path, const void *data, u64 n);

/** Zeroed memory that costs host pages only when touched; NULL if refused. */
void *host_alloc_pages(u64 n);
void host_free_pages(void *p, u64 n);

#define HOST_POLL_IN  0x1u
#define HOST_POLL_OUT 0x2u
struct host_poll {
	int fd;
	unsigned want;  /* HOST_POLL_* */
	unsigned ready; /* result; hang-up and error count as HOST_POLL_IN */
};
/** Waits until one is ready or @timeout_ns passed (UINT64_MAX: for ever). Number ready, 0 on
 * timeout or signal, -errno. */
int host_poll(struct host_poll *p, unsigned n, u64 timeout_ns);

/* ---- threads ------------------------------------------------------------------------------ */

struct host_thread;
/** Starts @fn(@ctx) on a thread of its own, all signals blocked there; NULL if refused. */
struct host_thread *host_thread_start(void (*fn)(void *ctx), void *ctx);
/** Waits for its end and frees it. NULL is allowed. */
void host_thread_join(struct host_thread *t);
/** A number that tells the calling thread from others; never 0. */
u64 host_thread_self(void);

/* A lock with a place to wait at. */
struct host_monitor;
struct host_monitor *host_monitor_create(void);
void host_monitor_destroy(struct host_monitor *m);
void host_monitor_enter(struct host_monitor *m);
void host_monitor_leave(struct host_monitor *m);
/** Entered: leaves, waits for host_monitor_notify(), enters again. May also return for no reason. */
void host_monitor_wait(struct host_monitor *m);
/** The same for at most @ns. False: they have passed. */
bool host_monitor_wait_for(struct host_monitor *m, u64 ns);
/** Entered: wakes all who wait. */
void host_monitor_notify(struct host_monitor *m);

/* Ends another thread's host_poll(). */
struct host_wake {
	int fd[2]; /* read, write; -1: none */
};
/** 0 or -errno; then both are -1, and the others do nothing. */
int host_wake_open(struct host_wake *w);
void host_wake_close(struct host_wake *w);
/** Makes w->fd[0] readable. From any thread, async-signal-safe. */
void host_wake_signal(struct host_wake *w);
void host_wake_clear(struct host_wake *w);

/* A terminal in raw mode. The owner restores it; a handler of fatal signals may call
 * host_tty_restore too. */
struct host_tty {
	int fd;
	bool raw;
	bool keep_signals; /* Ctrl-C still ends the program */
	u8 saved[128];     /* the former settings */
};
/** Puts @fd into raw mode if it is a terminal (else does nothing). Output processing stays as it
 * was. 0 or -errno. */
int host_tty_raw(struct host_tty *t, int fd, bool keep_signals);
/** Raw as host_tty_raw() made it, after another part of the program used the terminal. */
void host_tty_again(const struct host_tty *t);
/** Async-signal-safe. */
void host_tty_restore(struct host_tty *t);

/**
 * A terminal with nobody at it, whose settings a library may change as it likes. Its two ends go to @fd: the terminal is fd[1]. 0, or
 * -errno with both -1.
 */
int host_tty_spare(int fd[2]);
void host_tty_spare_close(int fd[2]);

#endif
