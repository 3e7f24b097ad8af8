/*
 * The command line: one table row per option gives its name, argument, help text and handler;
 * parsing, --help, the configuration file and the nearest-match messages come from it. The names
 * are QEMU's where QEMU has the option.
 */
#ifndef ORRERY_CLI_OPTIONS_H
#define ORRERY_CLI_OPTIONS_H

#include "machine/machine.h"

#define CLI_GIVEN_MAX 128
#define CLI_KEPT_MAX  256
#define CLI_CHARDEVS  8
#define CLI_GDBS      2
#define CLI_MONITORS  4

/* What came of parsing. */
enum cli_outcome {
	CLI_RUN,  /* build the machine and run it */
	CLI_DONE, /* help or a list was printed */
	CLI_BAD,  /* the errtext says what is wrong */
};

struct cli {
	struct machine_config cfg;
	const char *name;     /* -name */
	const char *verdict;  /* -verdict */
	char *faults;         /* for it: JSON of the last shutdown */
	const char *log_path; /* -D */
	const char *load;     /* -loadvm */
	const char *record, *replay;
	u64 record_every;
	bool demo;            /* nothing to boot was named */
	bool mux;             /* serial 0 shares the terminal: Ctrl-A commands */
	bool nographic, nodefaults, dump_config, done;
	bool display_none; /* asked for, so that no note is due */
	bool display_sdl;  /* asked for: without a window there is a note */
	bool full_screen;
	bool usb, usb_off; /* -usb; -machine usb=off */
	bool audio_asked; /* -audio sdl: without sound there is a note */
	const struct keymap *keymap; /* of the guest, for typed text */
	const char *vnc; /* where to serve the screen; NULL: not */
	bool serial_given, vga_given;
	bool snapshot; /* -snapshot */
	unsigned serials, devices, sets, shots;
	bool net_given;                     /* the default network is not wanted */
	const char *old_nic[4];             /* -net nic,... */
	unsigned netdevs, old_nics, old_nets;
	/* The debugger (frontend/cli/debug.c). */
	bool stop_at_start;
	const char *monitor[CLI_MONITORS], *qmp[CLI_MONITORS], *symbols[CLI_MONITORS], *script;
	unsigned monitors, qmps, symbol_files;
	bool monitor_given, monitor_focus; /* focus: of the shared terminal */
	struct debugger *debugger;
	struct monitor *mon;
	const char *gdb[CLI_GDBS];
	unsigned history_n; /* -history; 0: none */
	struct history *history;
	struct gdbstub *gdbstub[CLI_GDBS];
	unsigned gdbs;
	const char *trace, *profile; /* -trace, -profile; NULL: none */
	struct machine *machine; /* for the Ctrl-A commands; set by main */
	bool escape;             /* Ctrl-A was typed */
	struct {
		const char *id, *description;
	} chardev[CLI_CHARDEVS];
	unsigned chardevs;
	struct {
		const char *name, *value;
	} given[CLI_GIVEN_MAX]; /* for -dump-config */
	unsigned given_count;
	char *kept[CLI_KEPT_MAX]; /* strings made here */
	unsigned kept_count;
	unsigned depth; /* of -config within -config */
	int bad_status; /* CLI_BAD: the exit status, where it is not EXIT_USAGE; 0: it is */
	FILE *out;      /* help and lists */
	FILE *notes;    /* warnings */
	struct errtext *e;
};

/** Parses @argv into @cli. Help goes to @out, warnings to @notes. */
enum cli_outcome cli_parse(struct cli *cli, int argc, char *const *argv, FILE *out, FILE *notes,
			   struct errtext *e);
void cli_free(struct cli *cli);
/** Prints --help. */
void cli_help(FILE *out);

/** Option @name without dashes and its value (NULL if none): as if given on the command line. 0 or
 * -EINVAL. */
int cli_option(struct cli *cli, const char *name, const char *value);
/** Reads "name = value" lines from the ready machine or the file of that name. 0 or -errno with a message naming the line. */
int cli_config_file(struct cli *cli, const char *path);
/** Prints the ready machines. */
void cli_config_list(FILE *out);
/** Keeps a formatted string as long as @cli lives; NULL when there is no room. */
char *cli_keep(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** A warning on cli->notes. The word "warning" keeps kvm-unit-tests from taking it for an error. */
void cli_note(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** Terminal multiplexer (struct machine_config.typed): Ctrl-A commands of -nographic and mon:stdio.
 */
unsigned cli_mux(void *cli, u8 *data, unsigned n);

/** Says why processor @cpu shut down (struct machine_config.shut_down). */
void cli_shut_down(void *cli, struct machine *m, unsigned cpu, FILE *out);
/** Says which exception came last before the machine hung, if any did. */
void cli_explain_hang(struct cli *cli, struct machine *m);

#endif
