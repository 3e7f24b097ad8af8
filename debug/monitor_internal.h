/* Shared by monitor.c, console.c, qmp.c and the commands only. */
#ifndef ORRERY_DEBUG_MONITOR_INTERNAL_H
#define ORRERY_DEBUG_MONITOR_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/config.h"
#include "base/host.h"
#include "debug/expr.h"
#include "debug/monitor.h"
#include "devices/backends/chardev.h"

struct console;
struct qmp;
struct script;

struct monitor {
	struct debugger *d;
	struct machine *m;
	struct console *consoles;
	struct qmp *qmps;
	struct script *script;
	struct console *mux;
	atomic_bool closing;
	atomic_int quit_status;
	atomic_bool quitting;
	enum disasm_syntax syntax;
};

/** Text with "error: " and a newline, malloc'ed. */
char *monitor_error_text(const struct errtext *e);
void console_destroy_all(struct monitor *mon);
void qmp_destroy_all(struct monitor *mon);

/** Bytes between threads. */
struct byte_queue {
	u8 *data;
	size_t start, len, cap;
};
bool queue_put(struct byte_queue *q, const void *data, size_t n);
size_t queue_take(struct byte_queue *q, void *data, size_t n);

/* ---- for commands ------------------------------------------------------------------------------------------------- */

/** The next blank-separated word of *@text, which moves behind it and the blanks; false: none, or longer than @n. */
bool command_word(const char **text, char *buf, size_t n);
/** Cuts @text into words in place ("quoted words" are one); how many, at most @max. */
int command_split(char *text, char **argv, int max);
/** One line of disassembly as a row of a view; the length, 1 if it is no instruction. */
unsigned view_insn(json_t *rows, struct command_call *c, u64 lin);
/** "0x..." and "symbol" members. */
void view_place(json_t *o, struct debugger *d, const char *name, const char *symbol_name, u64 addr);
/** The saved fields of a device or other state with a snapshot table. */
struct snapshot_desc;
void view_fields(json_t *o, const struct snapshot_desc *desc, const void *state);

#endif
