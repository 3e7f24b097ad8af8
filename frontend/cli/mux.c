/* The terminal shared by serial port 0 and the emulator: Ctrl-A is the emulator's key, as in QEMU's
 * -nographic. */
#include <stdio.h>
#include "frontend/cli/options.h"

#define CTRL_A 0x01

static void mux_help(FILE *out)
{
	fprintf(out, "\r\nCtrl-A h       this help\r\n"
		     "Ctrl-A x       end the emulator\r\n"
		     "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
	fflush(out);
}

/* The byte behind Ctrl-A. True if it goes to the guest. */
static bool command(struct cli *cli, u8 c)
{
	switch (c) {
	case 'x':
	case 'X':
		if (cli->machine)
			machine_quit(cli->machine);
		return false;
	case 'h':
	case '?': mux_help(cli->out); return false;
	case CTRL_A: return true;
	default: return false;
	}
}

unsigned cli_mux(void *ctx, u8 *data, unsigned n)
{
	struct cli *cli = ctx;
	unsigned kept = 0;
	for (unsigned i = 0; i < n; i++) {
		bool pass = true;
		if (cli->escape) {
			cli->escape = false;
			pass = command(cli, data[i]);
		} else if (data[i] == CTRL_A) {
			cli->escape = true;
			pass = false;
		}
		if (pass)
			data[kept++] = data[i];
	}
	return kept;
}
