/* Who looks on while a guest runs. */
#include "frontend/cli/observe.h"

#include <errno.h>
#include <stdlib.h>
#include "debug/trace.h"

struct observers {
	struct trace *trace;
	char trace_path[512];
};

int observers_start(const struct cli *cli, struct machine *m, struct observers **out, struct errtext *e)
{
	struct observers *o = calloc(1, sizeof(*o));
	struct trace_spec spec;
	int r = o ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (!r && cli->trace) {
		r = trace_parse(cli->trace, &spec, e);
		if (!r)
			r = trace_start(m, &spec, &o->trace, e);
		snprintf(o->trace_path, sizeof(o->trace_path), "%s", spec.path);
	}
	if (r) {
		free(o);
		return r;
	}
	*out = o;
	return 0;
}

static int end_trace(struct observers *o)
{
	struct trace_totals t;
	struct errtext e;
	int r = trace_end(o->trace, &t, &e);

	if (r) {
		fprintf(stderr, "orrery: %s\n", e.s);
		return r;
	}
	fprintf(stderr, "orrery: trace %s: %llu instructions, %llu events in %llu bytes (%.3f bytes per instruction)\n", o->trace_path,
		(unsigned long long)t.insns, (unsigned long long)t.events, (unsigned long long)t.bytes,
		t.insns ? (double)t.bytes / (double)t.insns : 0.0);
	if (t.lost)
		fprintf(stderr, "orrery: warning: trace %s: there was no memory for %llu records\n", o->trace_path, (unsigned long long)t.lost);
	return 0;
}

int observers_end(struct observers *o)
{
	int r = o->trace ? end_trace(o) : 0;

	free(o);
	return r;
}
