/* -gdb and -s. */
#include "frontend/cli/gdb.h"

#include <errno.h>
#include "debug/monitor.h"
#include "frontend/cli/options_internal.h"

int opt_gdb(struct cli *cli, const char *value)
{
	if (cli->gdbs == CLI_GDBS)
		return cli_bad(cli, "-gdb %s: at most %u of them", value, CLI_GDBS);
	cli->gdb[cli->gdbs++] = value;
	return 0;
}

int opt_s(struct cli *cli, const char *value)
{
	return opt_gdb(cli, "tcp:localhost:1234");
}

/* "monitor ..." in GDB: on the stub's thread. */
static char *command(void *ctx, const char *line)
{
	struct cli *cli = ctx;
	bool failed;

	return cli->mon ? monitor_line(cli->mon, line, false, &failed) : NULL;
}

int cli_gdb_start(struct cli *cli, struct errtext *e)
{
	for (unsigned i = 0; i < cli->gdbs; i++) {
		cli->gdbstub[i] = gdbstub_start(cli->debugger, cli->gdb[i], command, cli, e);
		if (!cli->gdbstub[i])
			return -EINVAL;
	}
	return 0;
}

void cli_gdb_stop(struct cli *cli)
{
	for (unsigned i = 0; i < cli->gdbs; i++) {
		gdbstub_stop(cli->gdbstub[i]);
		cli->gdbstub[i] = NULL;
	}
}
