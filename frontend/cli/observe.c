/* Who looks on while a guest runs. */
#define _GNU_SOURCE
#include "frontend/cli/observe.h"

#include <errno.h>
#include <stdlib.h>
#include "base/config.h"
#include "debug/profile.h"
#include "debug/trace.h"

struct observers {
	struct machine *m;
	struct profile *profile;
	struct profile_request request;
	struct symbols *symbols;
	struct trace *trace;
	char trace_path[512];
};

int profile_request_parse(const char *text, struct profile_request *r, struct errtext *e)
{
	char copy[1100], *rest = copy, *item;
	u64 n;

	*r = (struct profile_request){.period = PROFILE_PERIOD, .top = 50};
	if (strlen(text) >= sizeof(copy))
		return err_set(e, -EINVAL, "-profile: too long");
	strcpy(copy, text);
	item = strsep(&rest, ",");
	if (!*item || strlen(item) >= sizeof(r->path))
		return err_set(e, -EINVAL, "-profile: expected a file to write");
	strcpy(r->path, item);
	while ((item = strsep(&rest, ","))) {
		if (!strcmp(item, "exact") || !strcmp(item, "period=exact"))
			r->exact = true;
		else if (!strncmp(item, "period=", 7) && trace_number(item + 7, NULL, &n) && n >= 100)
			r->period = n;
		else if (!strncmp(item, "top=", 4) && trace_number(item + 4, NULL, &n) && n && n <= 1000000)
			r->top = (unsigned)n;
		else if (!strncmp(item, "flame=", 6) && item[6] && strlen(item + 6) < sizeof(r->flame))
			strcpy(r->flame, item + 6);
		else
			return err_set(e, -EINVAL, "-profile: '%s' is not exact, period=N (100 instructions at least), top=N or flame=FILE", item);
	}
	return 0;
}

/* -symbols FILE[,OFFSET] */
static int load_symbols(struct observers *o, const struct cli *cli, struct errtext *e)
{
	char path[512];
	int r = 0;

	o->symbols = symbols_create();
	for (unsigned i = 0; o->symbols && i < cli->symbol_files && !r; i++) {
		u64 offset = 0;
		snprintf(path, sizeof(path), "%s", cli->symbols[i]);
		char *comma = strrchr(path, ',');
		if (comma && !parse_uint(comma + 1, &offset))
			*comma = 0;
		r = symbols_load(o->symbols, path, offset, NULL, e);
	}
	return o->symbols ? r : err_set(e, -ENOMEM, "out of memory");
}

static int start_trace(struct observers *o, const struct cli *cli, struct machine *m, struct errtext *e)
{
	struct trace_spec spec;
	int r = trace_parse(cli->trace, &spec, e);

	snprintf(o->trace_path, sizeof(o->trace_path), "%s", spec.path);
	return r ? r : trace_start(m, &spec, &o->trace, e);
}

static int start_profile(struct observers *o, const struct cli *cli, struct machine *m, struct errtext *e)
{
	int r = profile_request_parse(cli->profile, &o->request, e);

	if (!r)
		r = load_symbols(o, cli, e);
	if (r)
		return r;
	o->profile = profile_start(m, &(struct profile_spec){.exact = o->request.exact, .period = o->request.period}, o->symbols);
	return o->profile ? 0 : err_set(e, -ENOMEM, "-profile: out of memory");
}

int observers_start(const struct cli *cli, struct machine *m, struct observers **out, struct errtext *e)
{
	struct observers *o = calloc(1, sizeof(*o));
	int r = o ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (!r)
		o->m = m;
	if (!r && cli->trace)
		r = start_trace(o, cli, m, e);
	if (!r && cli->profile)
		r = start_profile(o, cli, m, e);
	if (r && o)
		observers_end(o);
	if (!r)
		*out = o;
	return r;
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

static int write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f && fputs(text, f) >= 0;

	ok = f && !fclose(f) && ok;
	if (!ok)
		fprintf(stderr, "orrery: -profile %s: %s\n", path, strerror(errno));
	return ok ? 0 : -EIO;
}

static int end_profile(struct observers *o)
{
	const char *dot = strrchr(o->request.path, '.');
	json_t *v;
	char *text;
	int r = -ENOMEM;

	profile_stop(o->profile);
	v = profile_view(o->profile, o->request.top);
	text = v ? dot && !strcmp(dot, ".json") ? view_to_json(v, 2) : view_to_text(v) : NULL;
	if (text)
		r = write_text(o->request.path, text);
	free(text);
	json_decref(v);
	if (!r && o->request.flame[0]) {
		FILE *f = fopen(o->request.flame, "w");
		if (f)
			profile_flame(o->profile, f, o->request.exact ? "instructions" : "instructions (sampled)");
		if (!f || fclose(f)) {
			fprintf(stderr, "orrery: -profile: %s: %s\n", o->request.flame, strerror(errno));
			r = -EIO;
		}
	}
	profile_free(o->profile);
	return r;
}

int observers_end(struct observers *o)
{
	struct trace *t = trace_of(o->m);
	struct profile *p = profile_of(o->m);
	struct errtext e;
	int r = 0, s = 0;

	/* The monitor may have ended ours, or begun others. */
	if (t)
		r = t == o->trace ? end_trace(o) : trace_end(t, NULL, &e);
	if (p && p == o->profile)
		s = end_profile(o);
	else
		profile_free(p);
	symbols_free(o->symbols);
	free(o);
	return r ? r : s;
}
