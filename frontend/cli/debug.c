/* The debugger's side of the command line. */
#include "frontend/cli/debug.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "base/config.h"
#include "debug/history.h"
#include "debug/monitor.h"
#include "devices/backends/chardev.h"
#include "frontend/cli/gdb.h"

/* For the handler of SIGINT, which belongs to the process: a monitor reads the terminal; or, shared, has it now. */
static atomic_bool at_stdio;
static _Atomic(const bool *) focus;

bool cli_debug_at_terminal(void)
{
	const bool *f = atomic_load(&focus);
	return atomic_load(&at_stdio) || (f && *f);
}

static void print(void *ctx, const char *text)
{
	struct cli *cli = ctx;
	fputs(text, cli->out);
	fflush(cli->out);
}

/* FILE[,OFFSET] */
static int load_symbols(struct cli *cli, const char *value, struct errtext *e)
{
	char *path = cli_keep(cli, "%s", value), *comma = path ? strrchr(path, ',') : NULL;
	u64 offset = 0;
	if (!path)
		return err_set(e, -ENOMEM, "-symbols: no memory");
	if (comma && !parse_uint(comma + 1, &offset))
		*comma = 0;
	return symbols_load(dbg_symbols(cli->debugger), path, offset, NULL, e);
}

/* On the machine's thread, as typed bytes are. */
static void mux_write(void *ctx, const char *text, size_t n)
{
	struct cli *cli = ctx;
	struct chardev *c = machine_serial(cli->machine, 0);
	if (!c)
		return;
	chardev_write(c, text, n);
	chardev_poll(c, 0);
}

static struct host_tty *terminal(struct cli *cli)
{
	struct chardev *c = machine_serial(cli->machine, 0);
	return c ? chardev_tty(c) : NULL;
}

static void mux_given_back(void *ctx)
{
	struct host_tty *t = terminal(ctx);
	if (t)
		host_tty_again(t);
}

static int serve(struct cli *cli, struct errtext *e)
{
	const struct monitor_mux mux = {.ctx = cli,
					.write = mux_write,
					.given_back = mux_given_back,
					.terminal = terminal(cli) && terminal(cli)->raw};
	int r = 0;
	for (unsigned i = 0; i < cli->monitors && !r; i++) {
		bool stdio = !strncmp(cli->monitor[i], "stdio", 5);
		for (unsigned k = 0; stdio && k < cli->serials; k++)
			if (cli->cfg.serial[k] && !strncmp(cli->cfg.serial[k], "stdio", 5))
				return err_set(e, -EINVAL, "-monitor stdio: a serial port has the terminal already; -serial mon:stdio "
							   "shares it (Ctrl-A c)");
		r = monitor_serve(cli->mon, cli->monitor[i], e);
		if (!r && stdio)
			atomic_store(&at_stdio, true);
	}
	for (unsigned i = 0; i < cli->qmps && !r; i++)
		r = monitor_serve_qmp(cli->mon, cli->qmp[i], e);
	if (!r && cli->mux && !cli->monitor_given) {
		r = monitor_serve_mux(cli->mon, &mux, e);
		atomic_store(&focus, &cli->monitor_focus);
	}
	if (!r && cli->script)
		r = monitor_script(cli->mon, cli->script, print, cli, e);
	return r;
}

int cli_debug_start(struct cli *cli, struct machine *m, struct errtext *e)
{
	int r = 0;
	cli->debugger = dbg_create(m);
	cli->mon = cli->debugger ? monitor_create(cli->debugger) : NULL;
	if (!cli->mon)
		return err_set(e, -ENOMEM, "no memory for the debugger");
	for (unsigned i = 0; i < cli->symbol_files && !r; i++)
		r = load_symbols(cli, cli->symbols[i], e);
	if (!r && cli->stop_at_start)
		machine_pause(m);
	if (!r)
		r = serve(cli, e);
	if (!r && cli->history_n && !(cli->history = history_create(m, cli->history_n)))
		return err_set(e, -ENOMEM, "no memory for -history");
	return r ? r : cli_gdb_start(cli, e);
}

int cli_debug_stop(struct cli *cli, struct machine *m)
{
	struct machine_result result;
	int status;
	machine_result(m, &result);
	if (cli->debugger)
		dbg_ended(cli->debugger, result.reason);
	cli_gdb_stop(cli);
	history_destroy(cli->history);
	cli->history = NULL;
	if (cli->mon)
		monitor_finish(cli->mon);
	status = monitor_quit_status(cli->mon);
	atomic_store(&at_stdio, false);
	atomic_store(&focus, NULL);
	monitor_destroy(cli->mon);
	dbg_destroy(cli->debugger);
	cli->mon = NULL;
	cli->debugger = NULL;
	return status;
}
