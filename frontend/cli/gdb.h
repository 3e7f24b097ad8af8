/* -gdb and -s. */
#ifndef ORRERY_CLI_GDB_H
#define ORRERY_CLI_GDB_H

#include "debug/gdbstub.h"
#include "frontend/cli/options.h"

/** Serves GDB as the options ask, if they do; the debugger and the monitor are there. 0, or -errno with a message. */
MUST_CHECK int cli_gdb_start(struct cli *cli, struct errtext *e);
/** After the run, when the debugger knows that it has ended. */
void cli_gdb_stop(struct cli *cli);

#endif
