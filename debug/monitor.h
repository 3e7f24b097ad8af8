/*
 * The monitor: commands as one table, with text and JSON answers; lines come from a terminal, a socket, the command line (-x)
 * or the JSON socket (debug/qmp.h).
 */
#ifndef ORRERY_DEBUG_MONITOR_H
#define ORRERY_DEBUG_MONITOR_H

#include "debug/debugger.h"

struct monitor;

/* One carrying out of a command, on the machine's thread unless COMMAND_ANY_THREAD. */
struct command_call {
	struct monitor *mon;
	struct debugger *dbg;
	struct machine *machine;
	const char *args;  /* what stands behind the name, without blanks around it; never NULL */
	int argc;          /* the same in words; "quoted words" are one */
	char **argv;
	json_t *view;      /* the answer; NULL: none. Text is view_to_text() ... */
	char *text;        /* ... but for this one, if it is not NULL (malloc'ed) */
	struct errtext error; /* with a negative return value */
};

/* Needs no standing machine and takes no machine_call(): may wait. */
#define COMMAND_ANY_THREAD 0x1u
/* Sets the machine going: scripts and one-shot calls wait until it stands again. */
#define COMMAND_RUNS 0x2u
/* Only while the machine stands still. */
#define COMMAND_STOPPED 0x4u

struct command {
	const char *name;  /* "info registers": words separated by one blank */
	const char *alias; /* other names separated by |, or NULL */
	const char *args;  /* "ADDR [COUNT]"; NULL: takes none */
	const char *help;  /* one line */
	/* 0, or -errno with call->error. */
	int (*fn)(struct command_call *call);
	unsigned flags;
};

/** Tables end with name NULL; each is named in command_tables.def. */
#define TABLE(name) extern const struct command name[];
#include "debug/command_tables.def"
#undef TABLE

/** The i-th of all commands in all tables, NULL: no more. */
const struct command *command_at(unsigned i);
/** The command whose name or alias @line begins with; *@args points behind it. NULL with a message naming the nearest. */
const struct command *command_find(const char *line, const char **args, struct errtext *e);
/** An argument that is an expression: sets *@value, advances *@text. 0 or -EINVAL with call->error. */
int command_expr(struct command_call *call, const char **text, u64 *value);
/** call->error; returns -EINVAL. */
int command_bad(struct command_call *call, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct monitor *monitor_create(struct debugger *d);
/** Stops its threads; the machine must have ended. */
void monitor_destroy(struct monitor *mon);
/**
 * Carries out one line ("json" in front: JSON). From any thread. The text or JSON of the answer, malloc'ed, "" if there is
 * none; *@failed tells whether it is an error message. With @wait, a command that runs the machine returns when it stands again,
 * with the stop as its answer.
 */
char *monitor_line(struct monitor *mon, const char *line, bool wait, bool *failed);
/** The same with a JSON tree as the answer (new reference, NULL with a message). */
json_t *monitor_view(struct monitor *mon, const char *line, bool wait, struct errtext *e);

/** Serves lines at a character device ("stdio", "pty", "tcp:...,server", "unix:..."). 0, or -errno with a message. */
MUST_CHECK int monitor_serve(struct monitor *mon, const char *description, struct errtext *e);
/** A JSON socket of QEMU's protocol. 0, or -errno with a message. */
MUST_CHECK int monitor_serve_qmp(struct monitor *mon, const char *description, struct errtext *e);
/** -x: "command; command", or "json:command; ...", on a thread of its own. Answers go to @out. */
MUST_CHECK int monitor_script(struct monitor *mon, const char *text, void (*out)(void *ctx, const char *text), void *ctx,
			      struct errtext *e);
/** machine_run() has returned: scripts carry out the rest; returns when they are through. */
void monitor_finish(struct monitor *mon);
/** What quit was asked to exit with; -1: nothing. */
int monitor_quit_status(const struct monitor *mon);

/* The terminal shared with a serial port (-serial mon:stdio): the front end's multiplexer hands over what is typed. */
struct monitor_mux {
	void *ctx;
	void (*write)(void *ctx, const char *text, size_t n); /* on the machine's thread */
	void (*given_back)(void *ctx); /* the terminal's settings are to be the guest's again; the monitor's thread */
	bool terminal; /* it is one: lines are edited */
};
MUST_CHECK int monitor_serve_mux(struct monitor *mon, const struct monitor_mux *mux, struct errtext *e);
/** Typed bytes for the monitor; machine's thread. */
void monitor_mux_typed(struct monitor *mon, const u8 *data, unsigned n);
/** The monitor has, or has not, the terminal. */
void monitor_mux_focus(struct monitor *mon, bool on);

#endif
