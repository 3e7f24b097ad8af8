/* Commands of the live views: rings, timeline, counters, the memory map; and any view as a picture in a file. */
#include "debug/monitor_internal.h"

#include "debug/picture.h"
#include "debug/rings.h"
#include "debug/tables.h"

static int cmd_rings(struct command_call *c)
{
	struct rings *r = rings_of(c->machine);
	if (!strcmp(c->args, "on"))
		return rings_start(c->machine) ? 0 : err_set(&c->error, -ENOMEM, "no memory");
	if (!strcmp(c->args, "off"))
		rings_free(r);
	else if (strcmp(c->args, "clear") != 0)
		return command_bad(c, "rings on, rings off or rings clear");
	else if (r)
		rings_clear(r);
	return 0;
}

static int cmd_info_rings(struct command_call *c)
{
	c->view = rings_view(c->machine, dbg_cpu(c->dbg)->index, dbg_symbols(c->dbg));
	return 0;
}

static int cmd_info_timeline(struct command_call *c)
{
	u64 max = 100;
	if (*c->args && command_expr(c, &c->args, &max))
		return -EINVAL;
	c->view = rings_timeline(c->machine, (unsigned)MIN(max, RINGS_EVENTS));
	return 0;
}

static int cmd_info_counters(struct command_call *c)
{
	c->view = rings_counters(c->machine);
	return 0;
}

static int cmd_info_map(struct command_call *c)
{
	c->view = json_object();
	map_view(c->view, dbg_cpu(c->dbg));
	return 0;
}

/* ---- view ----------------------------------------------------------------------------------------------------------- */

/* Besides what begins with "info". */
static const char *const viewable[] = {"walk", "x", "xp", "disas", "backtrace", "where", "print", "explain last", "explain shutdown"};

/* The command that shows @what: "rings" is "info rings", "walk $rsp" is itself. NULL: there is none. */
static const struct command *view_command(const char *what, const char **args)
{
	struct errtext e;
	char line[520];
	snprintf(line, sizeof(line), "info %s", what);
	const struct command *cmd = command_find(line, args, &e);
	if (cmd && *args)
		*args = what + (*args - line - 5);
	if (cmd && !strncmp(cmd->name, "info ", 5))
		return cmd;
	cmd = command_find(what, args, &e);
	for (unsigned i = 0; cmd && i < ARRAY_SIZE(viewable); i++)
		if (!strcmp(cmd->name, viewable[i]))
			return cmd;
	return cmd && !strncmp(cmd->name, "info ", 5) ? cmd : NULL;
}

static int cmd_view(struct command_call *c)
{
	const char *file = c->argc > 1 ? c->argv[c->argc - 1] : NULL, *args = "";
	char what[512];
	if (!file || strlen(c->args) >= sizeof(what))
		return command_bad(c, "view NAME FILE, as in: view rings rings.svg, view walk $rsp walk.svg, view gdt gdt.json");
	/* What stands before the last word; the words have been cut apart in a copy. */
	snprintf(what, sizeof(what), "%s", c->args);
	char *at = strrchr(what, ' ');
	if (!at)
		return command_bad(c, "view: a file is missing");
	while (at > what && (*at == ' ' || *at == '"'))
		*at-- = 0;
	const struct command *cmd = view_command(what, &args);
	if (!cmd)
		return command_bad(c, "there is no view '%s'; those of info, and walk, x, disas, backtrace, explain", what);
	struct command_call inner = {.mon = c->mon, .dbg = c->dbg, .machine = c->machine, .args = args};
	char *argv[32], *words = strdup(args);
	inner.argc = words ? command_split(words, argv, ARRAY_SIZE(argv)) : 0;
	inner.argv = argv;
	int r = !words ? -ENOMEM : *args && !cmd->args ? command_bad(&inner, "%s takes no arguments", cmd->name) : cmd->fn(&inner);
	if (!r)
		r = picture_write(inner.view, file, &c->error);
	else
		c->error = inner.error;
	free(words);
	free(inner.text);
	json_decref(inner.view);
	return r;
}

const struct command commands_picture[] = {
    {"rings", NULL, "on|off|clear", "record changes of ring, exceptions, interrupts and VM exits for the views below; off costs nothing",
     cmd_rings, 0},
    {"info rings", NULL, NULL, "the ring diagram: where the processors are, and how rings were changed, from where and through which gate",
     cmd_info_rings, 0},
    {"info timeline", NULL, "[COUNT]", "the newest events: ring, root or non-root operation, mode, and what changed them", cmd_info_timeline, 0},
    {"info counters", NULL, NULL, "exceptions, interrupts, VM exits, changes of ring, walks and entries read, by kind", cmd_info_counters, 0},
    {"info map", NULL, NULL, "what linear addresses mean: ranges with their physical addresses and rights", cmd_info_map, 0},
    {"view", NULL, "NAME [ARGS] FILE", "write what info NAME (or walk, disas, explain) shows to FILE: a picture (.svg), .json or text",
     cmd_view, 0},
    {0},
};
