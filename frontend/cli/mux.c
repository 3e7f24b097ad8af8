/* The terminal shared by serial port 0 and the emulator: Ctrl-A is the emulator's key, as in QEMU's
 * -nographic. */
#include <stdio.h>
#include <unistd.h>
#include "base/host.h"
#include "devices/display/display.h"
#include "debug/monitor.h"
#include "frontend/cli/options.h"

#define CTRL_A 0x01
#define SHOTS  1000 /* file names tried */

static void mux_help(FILE *out)
{
	fprintf(out, "\r\nCtrl-A h       this help\r\n"
		     "Ctrl-A c       the monitor, and back\r\n"
		     "Ctrl-A p       picture of the screen into orrery-N.png\r\n"
		     "Ctrl-A x       end the emulator\r\n"
		     "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
	fflush(out);
}

/* On the machine's thread, as every typed byte is. */
static void take_picture(struct cli *cli)
{
	struct display *d = cli->machine ? machine_display(cli->machine) : NULL;
	char path[32];
	unsigned n = 0;
	do
		snprintf(path, sizeof(path), "orrery-%u.png", ++n);
	while (n < SHOTS && !access(path, F_OK));
	if (!d)
		return;
	display_draw(d, host_monotonic_ns());
	int e = display_screenshot(d, path);
	fprintf(cli->out, "\r\norrery: %s: %s\r\n", path, e ? strerror(-e) : "the screen");
	fflush(cli->out);
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
	case 'p': take_picture(cli); return false;
	case 'c':
		if (cli->mon)
			monitor_mux_focus(cli->mon, cli->monitor_focus = !cli->monitor_focus);
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
		if (pass && cli->monitor_focus)
			monitor_mux_typed(cli->mon, &data[i], 1);
		else if (pass)
			data[kept++] = data[i];
	}
	return kept;
}
