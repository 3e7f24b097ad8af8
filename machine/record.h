/*
 * Recordings: all that came from outside, with the instant at which it reached the guest, and at intervals what the machine's
 * state was, field by field and page by page. A replay gives the same input at the same instants and compares. The format is in
 * docs/snapshots.md.
 *
 * The guest must start from the same disks: so a recording is refused with an image that is written to directly; -snapshot, or
 * read-only. On replay networks lead nowhere and nothing is read from serial lines; output is shown.
 */
#ifndef ORRERY_MACHINE_RECORD_H
#define ORRERY_MACHINE_RECORD_H

#include "machine/machine.h"

#define RECORD_EVERY 10000000ull /* instructions between two looks at the state, unless said otherwise */

/**
 * Begins to record into @path, which is written when the recording ends. Before machine_run(), also after machine_load().
 * @every: instructions between checks; 0: RECORD_EVERY. 0; -EBUSY, -ENOTSUP (an image cannot be put back), -ENOMEM.
 */
MUST_CHECK int machine_record(struct machine *m, const char *path, u64 every, struct errtext *e);
/** Ends and writes the file. 0 or -errno with a message. Nothing to do without a recording. */
MUST_CHECK int machine_record_end(struct machine *m, struct errtext *e);

/** Replays @path: the next machine_run() ends where the recording did, or at the first difference. Errors as machine_load(). */
MUST_CHECK int machine_replay(struct machine *m, const char *path, struct errtext *e);
MUST_CHECK int machine_replay_bytes(struct machine *m, const u8 *data, u64 n, bool trust, struct errtext *e);

struct replay_result {
	bool replaying, ended; /* the recording's end was reached */
	u64 checks, events;    /* that were equal; that were given to the guest */
	bool differs;
	char difference[600];  /* the first one: where, when, what */
};
/** How the replay went; false: there was none. */
bool machine_replay_result(const struct machine *m, struct replay_result *out);

/* ---- for machine/ ---- */

void record_free(struct machine *m);
/** The instruction count of the next check, or UINT64_MAX. The slice must not run past it. */
u64 record_next(const struct machine *m);
/** Looks at the state if it is time, at the start of a step; replaying, ends the run at a difference. */
void record_check(struct machine *m);
/** machine_run() ends: a replay that has come to its end looks for the last time. */
void record_stopped(struct machine *m);
void record_forgotten(struct machine *m);
void record_medium(struct machine *m, const char *id, const char *path);
/** The replay has come to where the recording ended. */
bool record_over(const struct machine *m);
/** The recording's end was delivered. */
void record_reached_end(struct machine *m);

#endif
