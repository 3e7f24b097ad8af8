/*
 * The writer of trace files (-trace): every instruction that the processors execute, what happens to them, and at more depth
 * what the instructions do. docs/trace-format.md describes the file; debug/trace_read.h reads it.
 *
 * Filters and triggers work on whole blocks of instructions (straight runs of at most 64); the reader leaves out what does not
 * belong. Not traced: reads by the page walker, the contents of the x87 stack beyond results, opmask registers, MXCSR.
 */
#ifndef ORRERY_DEBUG_TRACE_H
#define ORRERY_DEBUG_TRACE_H

#include "debug/symbols.h"
#include "debug/trace_format.h"
#include "machine/machine.h"

/* What ends or begins a trace. */
enum trace_trigger_kind { TRIGGER_NONE, TRIGGER_ADDR, TRIGGER_INSN, TRIGGER_EVENT };

struct trace_trigger {
	enum trace_trigger_kind kind;
	u64 at;      /* address, or instruction count of the processor */
	u8 event;    /* enum trace_event */
	bool any;    /* event: whatever its first field is ... */
	u64 first;   /* ... else this */
};

struct trace_spec {
	char path[512];
	enum trace_depth depth;
	u8 cpls;          /* a bit for each level wanted */
	u8 vmx;           /* bit 0: root or none, bit 1: non-root */
	u8 cpus;          /* a bit for each processor */
	bool cr3_given;
	u64 cr3;          /* bits 51:12 */
	u64 first, last;  /* instruction counts, last not included */
	unsigned ranges;
	struct {
		u64 lo, hi; /* of rip, inclusive */
	} range[TRACE_RANGES];
	struct trace_trigger start, stop;
	char text[512];   /* as given */
};

/**
 * Parses "FILE[,key=value]...": depth=events|insns|regs|mem (blocks: insns), cpl=0[+3].., cr3=X, vmx=root|guest, cpu=N[+N].., addr=A[-B] or
 * addr=SYMBOL (repeatable), insns=A-B, start=, stop= addr:X | insn:N | event:NAME[:N]; symbols=FILE[@OFFSET] before the symbols it names.
 * 0, -EINVAL or what symbols_load() returns, with a message.
 */
MUST_CHECK int trace_parse(const char *text, struct trace_spec *s, struct errtext *e);
void trace_help(FILE *out);

struct trace;
struct trace_totals {
	u64 insns, blocks, events, chunks, bytes, raw_bytes, lost;
};

/** Begins; the machine must not run. 0, or -errno with a message. @s is copied. */
MUST_CHECK int trace_start(struct machine *m, const struct trace_spec *s, struct trace **t, struct errtext *e);
/** Ends and frees; the machine must not run. 0, or -errno with a message: the file is good up to there. @out may be NULL. */
int trace_end(struct trace *t, struct trace_totals *out, struct errtext *e);
/** The machine's trace, or NULL. */
struct trace *trace_of(struct machine *m);
/** So far; machine's thread. */
void trace_progress(const struct trace *t, struct trace_totals *out);

/** A number of blocks: 12, 12k, 3M, 1G, 0x10. False: it is none. */
bool trace_number(const char *text, const char **rest, u64 *v);

#endif
