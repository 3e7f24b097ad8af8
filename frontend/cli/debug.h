/* The debugger's side of the command line: monitors, JSON sockets, scripts. */
#ifndef ORRERY_CLI_DEBUG_H
#define ORRERY_CLI_DEBUG_H

#include "frontend/cli/options.h"

/** Before the run: creates what was asked for (-S, -monitor, -qmp, -x, -symbols). 0, or -errno with a message. */
int cli_debug_start(struct cli *cli, struct machine *m, struct errtext *e);
/** After it: scripts carry out the rest, monitors go. The exit status that quit asked for, or -1. */
int cli_debug_stop(struct cli *cli, struct machine *m);
/** Async-signal-safe: is Ctrl-C typed at a monitor? */
bool cli_debug_at_terminal(void);

#endif
