/*
 * Live views of privilege: the ring diagram, the timeline and the counters of a running machine. A recorder that is switched on
 * for as long as somebody looks; off, it costs nothing. The pictures are debug/picture.h's.
 */
#ifndef ORRERY_DEBUG_RINGS_H
#define ORRERY_DEBUG_RINGS_H

#include "debug/symbols.h"
#include "debug/view.h"
#include "machine/machine.h"

#define RINGS_EVENTS 1024u /* the newest that are kept */

struct rings;

/* All between slices (machine_call()). */
/** Begins to record; what is recorded already is kept. NULL: no memory. */
struct rings *rings_start(struct machine *m);
/** The machine's recorder, or NULL. */
struct rings *rings_of(struct machine *m);
/** Forgets what was recorded. */
void rings_clear(struct rings *r);
/** Stops. NULL: nothing happens. The machine must still be there. */
void rings_free(struct rings *r);

/* New references; NULL: no memory. Without a recorder they show where the processors are, and say how to switch it on. */
json_t *rings_view(struct machine *m, unsigned selected, const struct symbols *s);
/** The newest @max events. */
json_t *rings_timeline(struct machine *m, unsigned max);
json_t *rings_counters(struct machine *m);

#endif
