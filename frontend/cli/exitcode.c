/* Exit statuses: see exitcode.h. */
#include "frontend/cli/exitcode.h"

#include <errno.h>

static const struct {
	int status;
	const char *meaning;
} rows[] = {
    {EXIT_POWER_OFF, "the guest switched the power off"},
    {1, "and other odd numbers: isa-debug-exit, (code << 1) | 1"},
    {EXIT_RESET, "the guest reset the machine, under -no-reboot"},
    {EXIT_TRIPLE, "triple fault, under -no-reboot; the fault chain is explained"},
    {EXIT_HANG, "the processor is halted and nothing can wake it"},
    {EXIT_TIMEOUT, "-timeout is over"},
    {EXIT_MAX_INSNS, "-max-insns is reached"},
    {EXIT_USAGE, "bad option, value or configuration"},
    {EXIT_IMAGE, "a file is missing, unreadable, or not something that can be booted"},
    {EXIT_INTERNAL, "the emulator failed, or could not write what it was asked to write"},
    {EXIT_QUIT, "ended by the user (Ctrl-C, Ctrl-A x) or by a signal"},
    {EXIT_LAB, "orrery lab: not everything was observed as the lab expects"},
};

int exit_status(const struct machine_result *r)
{
	switch (r->reason) {
	case END_POWER_OFF: return EXIT_POWER_OFF;
	case END_DEBUG_EXIT: return (int)((r->debug_code << 1 | 1) & 0xff);
	case END_RESET: return EXIT_RESET;
	case END_TRIPLE_FAULT: return EXIT_TRIPLE;
	case END_HANG: return EXIT_HANG;
	case END_TIMEOUT: return EXIT_TIMEOUT;
	case END_MAX_INSNS: return EXIT_MAX_INSNS;
	case END_QUIT: return EXIT_QUIT;
	default: return EXIT_INTERNAL;
	}
}

int exit_status_of_error(int err)
{
	switch (err) {
	case -EINVAL:
	case -EEXIST:
	case -ENOSPC: return EXIT_USAGE;
	case -ENOMEM: return EXIT_INTERNAL;
	default: return EXIT_IMAGE;
	}
}

void exit_codes_print(FILE *out)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		fprintf(out, "  %3d  %s\n", rows[i].status, rows[i].meaning);
}
