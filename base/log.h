/*
 * The log: classes chosen with -d, one sink per machine. Every function accepts a NULL log (nothing is written).
 */
#ifndef ORRERY_BASE_LOG_H
#define ORRERY_BASE_LOG_H

#include <stdio.h>
#include "base/types.h"

enum log_class {
	LOG_INT,           /* interrupts and exceptions as they are delivered */
	LOG_EXEC,          /* every executed instruction's address */
	LOG_IN_ASM,        /* every newly decoded block */
	LOG_CPU_RESET,
	LOG_IO,            /* port and MMIO accesses that reach a device */
	LOG_GUEST_ERRORS,  /* the guest did what hardware leaves undefined */
	LOG_UNIMPLEMENTED, /* something not modelled was touched: on by default, each once */
	LOG_VMX,           /* VM entries and exits, and why an entry failed */
	LOG_CLASSES
};

struct log {
	FILE *file;        /* NULL: stderr */
	u32 enabled;       /* bit per enum log_class */
	u64 seen[64];      /* hashes of the unimplemented messages already said */
	unsigned seen_count;
};

extern const char *const log_class_names[LOG_CLASSES]; /* as in -d */

static inline bool log_on(const struct log *log, enum log_class c)
{
	return log && (log->enabled >> c & 1);
}

/** Writes one line (a newline is added) if the class is enabled. */
void log_line(struct log *log, enum log_class c, const char *fmt, ...) PRINTF_LIKE(3, 4);
/** Says once that something not modelled was touched; the first 64 distinct texts are remembered. */
void log_unimplemented(struct log *log, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
