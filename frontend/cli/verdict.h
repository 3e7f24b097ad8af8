/* The verdict file: how a run ended, as JSON, for scripts. */
#ifndef ORRERY_CLI_VERDICT_H
#define ORRERY_CLI_VERDICT_H

#include "machine/machine.h"

struct verdict {
	const char *name;    /* -name, may be NULL */
	const char *reason;  /* end_reason_name(), or "usage", "image", "internal" */
	const char *message; /* of an error before the run, may be NULL */
	int exit_status;
	bool ran; /* result and hash are meaningful */
	struct machine_result result;
	u64 state_hash;
	const char *faults; /* JSON: why the processor shut down, or its last exceptions; may be NULL */
};

/** Writes @v to @path in one step (temporary file and rename). 0 or -errno. */
int verdict_write(const char *path, const struct verdict *v);
/** The JSON text; malloc'ed, NULL when out of memory. */
char *verdict_text(const struct verdict *v);

#endif
