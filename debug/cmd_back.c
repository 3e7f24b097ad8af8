/* Commands that go back in time. */
#include "debug/monitor_internal.h"
#include "machine/reverse.h"

static int cmd_reverse(struct command_call *c)
{
	struct reverse_options o = {0};
	u64 mib = 0;
	const char *text = c->args;
	char word[8] = "";
	command_word(&text, word, sizeof(word));
	if (!strcmp(word, "off")) {
		machine_reverse_end(c->machine);
		return 0;
	}
	if (strcmp(word, "on"))
		return command_bad(c, "reverse on [MEGABYTES], or reverse off");
	if (*text && command_expr(c, &text, &mib))
		return -EINVAL;
	o.memory_bytes = mib << 20;
	return machine_reverse_begin(c->machine, &o, &c->error);
}

static int stop_view(struct command_call *c, int r)
{
	if (!r)
		c->view = dbg_stop_view(c->dbg, dbg_stopped(c->dbg));
	return r;
}

static int cmd_reverse_step(struct command_call *c)
{
	u64 n = 1;
	if (*c->args && command_expr(c, &c->args, &n))
		return -EINVAL;
	return stop_view(c, dbg_reverse_step(c->dbg, n, &c->error));
}

static int cmd_reverse_continue(struct command_call *c)
{
	return stop_view(c, dbg_reverse_continue(c->dbg, &c->error));
}

static int cmd_goto(struct command_call *c)
{
	u64 at;
	if (command_expr(c, &c->args, &at))
		return -EINVAL;
	return stop_view(c, dbg_reverse_goto(c->dbg, at, &c->error));
}

static int cmd_who_wrote(struct command_call *c)
{
	const char *text = c->args;
	bool device = false;
	u64 at, n = 1;
	if (command_expr(c, &text, &at) || (*text && command_expr(c, &text, &n)))
		return -EINVAL;
	if (!n || n > 4096 - (at & 0xfff))
		return command_bad(c, "the bytes must lie in one page");
	int r = dbg_reverse_write(c->dbg, at, (unsigned)n, &device, &c->error);
	if (r)
		return r;
	stop_view(c, 0);
	view_text(c->view, "by", device ? "a device's DMA" : "the instruction at which it stands now");
	view_format(c->view, "_line", "written by {by}: {text}: {instruction}");
	return 0;
}

static int cmd_info_reverse(struct command_call *c)
{
	struct reverse_state s;
	machine_reverse_state(c->machine, &s);
	c->view = json_object();
	view_bool(c->view, "on", s.on);
	if (!s.on)
		return 0;
	view_bool(c->view, "past", s.past);
	view_num(c->view, "oldest", s.oldest);
	view_num(c->view, "newest", s.newest);
	view_num(c->view, "now", s.now);
	view_num(c->view, "checkpoints", s.checkpoints);
	view_num(c->view, "bytes", s.memory_bytes);
	return 0;
}

const struct command commands_back[] = {
    {"reverse", NULL, "on [MEGABYTES]|off", "keep the history from here on: disks must be read-only or -snapshot", cmd_reverse, COMMAND_STOPPED},
    {"reverse-step", "rs|reverse-stepi", "[COUNT]", "one instruction back, or COUNT", cmd_reverse_step, COMMAND_STOPPED},
    {"reverse-continue", "rc", NULL, "back to where a break or watch point last held", cmd_reverse_continue, COMMAND_STOPPED},
    {"goto", NULL, "INSTRUCTIONS", "to an instant of the history, or of its future", cmd_goto, COMMAND_STOPPED},
    {"who wrote", "whowrote", "ADDR [LENGTH]", "back to what last wrote these bytes", cmd_who_wrote, COMMAND_STOPPED},
    {"info snapshots", "info reverse", NULL, "the history that is kept", cmd_info_reverse, 0},
    {0},
};
