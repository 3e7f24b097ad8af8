/* Commands that begin, end and show traces and profiles. What -trace and -profile began ends with the run. */
#include <errno.h>
#include "debug/monitor.h"
#include "debug/profile.h"
#include "debug/trace.h"

static int cmd_info_profile(struct command_call *c)
{
	struct profile *p = profile_of(c->machine);
	u64 top = 20;

	if (!p)
		return err_set(&c->error, -ENOENT, "no profile is taken: profile start");
	if (*c->args && command_expr(c, &c->args, &top))
		return -EINVAL;
	c->view = profile_view(p, (unsigned)MIN(top, 100000ull));
	return c->view ? 0 : err_set(&c->error, -ENOMEM, "no memory");
}

static int cmd_profile_start(struct command_call *c)
{
	struct profile_spec spec = {.exact = !strcmp(c->args, "exact")};

	if (profile_of(c->machine))
		return err_set(&c->error, -EBUSY, "a profile is taken already");
	if (!spec.exact && *c->args && command_expr(c, &c->args, &spec.period))
		return -EINVAL;
	if (spec.period && spec.period < 100)
		return err_set(&c->error, -EINVAL, "a sample every 100 instructions is the most");
	if (!profile_start(c->machine, &spec, dbg_symbols(c->dbg)))
		return err_set(&c->error, -ENOMEM, "no memory");
	return 0;
}

static int cmd_profile_stop(struct command_call *c)
{
	struct profile *p = profile_of(c->machine);

	if (!p)
		return err_set(&c->error, -ENOENT, "no profile is taken");
	c->view = profile_view(p, 20);
	profile_free(p);
	return 0;
}

static void put_totals(json_t *v, const struct trace_totals *t)
{
	view_num(v, "instructions", t->insns);
	view_num(v, "events", t->events);
	view_num(v, "chunks", t->chunks);
	view_num(v, "bytes", t->bytes);
}

static int cmd_info_trace(struct command_call *c)
{
	struct trace *t = trace_of(c->machine);
	struct trace_totals n;

	if (!t)
		return err_set(&c->error, -ENOENT, "nothing is traced: trace start FILE");
	trace_progress(t, &n);
	c->view = json_object();
	put_totals(c->view, &n);
	return 0;
}

static int cmd_trace_start(struct command_call *c)
{
	struct trace_spec spec;
	struct trace *t;
	int r;

	if (trace_of(c->machine))
		return err_set(&c->error, -EBUSY, "there is a trace already");
	r = trace_parse(c->args, &spec, &c->error);
	return r ? r : trace_start(c->machine, &spec, &t, &c->error);
}

static int cmd_trace_stop(struct command_call *c)
{
	struct trace *t = trace_of(c->machine);
	struct trace_totals n;
	int r;

	if (!t)
		return err_set(&c->error, -ENOENT, "nothing is traced");
	r = trace_end(t, &n, &c->error);
	if (r)
		return r;
	c->view = json_object();
	put_totals(c->view, &n);
	return 0;
}

const struct command commands_observe[] = {
    {"info profile", NULL, "[ROWS]", "the profile so far: functions, speed, faults and exits over time", cmd_info_profile, 0},
    {"profile start", NULL, "[exact | PERIOD]", "count instructions by function: exactly, or a sample every PERIOD", cmd_profile_start, 0},
    {"profile stop", NULL, NULL, "end the profile, and show it", cmd_profile_stop, 0},
    {"info trace", NULL, NULL, "how far the trace is", cmd_info_trace, 0},
    {"trace start", NULL, "FILE[,KEY=VAL..]", "write a trace, as -trace does", cmd_trace_start, 0},
    {"trace stop", NULL, NULL, "end it", cmd_trace_stop, 0},
    {0}};
