/*
 * Going back in time: checkpoints in memory, and the input since then, from which any earlier instant is made again by running.
 *
 * A position is a machine_icount(): the state in which exactly so many instructions have retired, before anything else happens
 * (an interrupt, idle time). While the machine stands in the past it replays what happened; output to the host's ends is held
 * back, since it was made before. When it comes back to where the history ends, it lives on.
 *
 * All functions belong to the machine's thread: call them from machine_call(), or while machine_run() does not run.
 */
#ifndef ORRERY_MACHINE_REVERSE_H
#define ORRERY_MACHINE_REVERSE_H

#include "machine/machine.h"

struct reverse_options {
	u64 interval;     /* instructions between checkpoints; 0: 50 million. Grows as the history does */
	u64 memory_bytes; /* for checkpoints and input; 0: 1 GiB. Older checkpoints are thinned out, then given up */
};

/**
 * Begins to keep the history from here on. -EBUSY (already), -ENOTSUP (a drive that is neither read-only nor -snapshot: its
 * file cannot be put back), -ENOMEM, with a message.
 */
MUST_CHECK int machine_reverse_begin(struct machine *m, const struct reverse_options *o, struct errtext *e);
void machine_reverse_end(struct machine *m);
/**
 * Somebody changed the guest while it stands in the past: what came later no longer follows. The history ends here, and the
 * machine lives on from here.
 */
void machine_reverse_cut(struct machine *m);

struct reverse_state {
	bool on;
	bool past;             /* the machine stands before the end of the history */
	u64 oldest, newest;    /* positions that machine_goto() reaches */
	u64 now;
	unsigned checkpoints;
	u64 memory_bytes;      /* in use */
};
void machine_reverse_state(const struct machine *m, struct reverse_state *out);

/**
 * Brings the machine to @icount. -EINVAL: no history; -ERANGE: outside oldest..newest; -EINTR: machine_quit() was called, and
 * the machine stands somewhere on the way; -EIO: the state could not be put back. With a message.
 */
MUST_CHECK int machine_goto(struct machine *m, u64 icount, struct errtext *e);

/*
 * What is looked for in the past. begin() gets the machine at the start of a stretch of history and adds its watchers
 * (cpu/watch.h); while the stretch is run again they report by machine_reverse_hit(); end() takes them away. Both are called
 * once for every stretch, the latest stretch first.
 */
struct reverse_probe {
	void *ctx;
	void (*begin)(void *ctx, struct machine *m);
	void (*end)(void *ctx, struct machine *m);
};
/**
 * From a watcher's callback: a hit at position @icount (machine_position() is the one of the instruction about to run, or
 * running). Of several in a stretch the last one counts. Does nothing outside machine_last_hit().
 */
void machine_reverse_hit(struct machine *m, u64 icount);
/** machine_icount() for those outside machine/: exact in watchers' callbacks. */
u64 machine_position(const struct machine *m);

/**
 * The last hit in [@from, @to): *@at is its position, and the machine stands there. -ENOENT: there is none, and the machine
 * stands where it stood. Else as machine_goto(). @from is raised to the oldest position.
 */
MUST_CHECK int machine_last_hit(struct machine *m, u64 from, u64 to, const struct reverse_probe *p, u64 *at, struct errtext *e);

/**
 * Who last wrote any of @n bytes at guest-physical @gpa before now? Finds the position of the instruction, or of the device's
 * DMA, and goes there: *@by_device tells which; *@cpu which processor ran. Errors as machine_last_hit().
 */
MUST_CHECK int machine_last_write(struct machine *m, u64 gpa, unsigned n, u64 *at, unsigned *cpu, bool *by_device,
				  struct errtext *e);

#endif
