/*
 * Where a guest spends its instructions: sampled by instruction count (so that the same run gives the same profile), or exact, with a
 * call tree; and how speed, faults, interrupts and VM exits went over time. Who looks changes nothing of the run.
 */
#ifndef ORRERY_DEBUG_PROFILE_H
#define ORRERY_DEBUG_PROFILE_H

#include <stdio.h>
#include "debug/symbols.h"
#include "debug/view.h"
#include "machine/machine.h"

#define PROFILE_PERIOD 100000u

struct profile;

struct profile_spec {
	bool exact;
	u64 period; /* of samples, in instructions; 0: PROFILE_PERIOD */
};

/** Begins; @s (may be NULL) must outlive it. Between slices. NULL: no memory, or the machine has one already. */
struct profile *profile_start(struct machine *m, const struct profile_spec *spec, const struct symbols *s);
/** The machine's profile, or NULL. */
struct profile *profile_of(struct machine *m);
/** Stops counting; what was counted can still be asked for. Between slices. */
void profile_stop(struct profile *p);
/** Also stops. The machine must still be there. */
void profile_free(struct profile *p);

/** Totals, the @top functions that cost most, and the course of time. A new reference; NULL: no memory. */
json_t *profile_view(struct profile *p, unsigned top);
/** A flame graph. */
void profile_flame(struct profile *p, FILE *out, const char *title);

#endif
