/*
 * Exit statuses of the emulator: a contract with scripts. Odd ones belong to the guest
 * (isa-debug-exit), even ones from 64 on say why the emulator itself stopped.
 */
#ifndef ORRERY_CLI_EXITCODE_H
#define ORRERY_CLI_EXITCODE_H

#include "machine/machine.h"

enum exit_code {
	EXIT_POWER_OFF = 0,
	EXIT_RESET = 64,
	EXIT_TRIPLE = 66,
	EXIT_HANG = 68,
	EXIT_TIMEOUT = 70,
	EXIT_MAX_INSNS = 72,
	EXIT_USAGE = 74,
	EXIT_IMAGE = 76,
	EXIT_INTERNAL = 78,
	EXIT_QUIT = 80,
	EXIT_LAB = 82,
};

/** The status of a run that ended so. */
int exit_status(const struct machine_result *r);
/** The status of a machine that could not be built: @err is machine_create()'s. */
int exit_status_of_error(int err);
/** The table for --help and the manual, one line each, indented. */
void exit_codes_print(FILE *out);

#endif
