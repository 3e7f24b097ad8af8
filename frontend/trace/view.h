/* orrery-trace: what its views share. */
#ifndef ORRERY_TRACE_VIEW_H
#define ORRERY_TRACE_VIEW_H

#include <stdio.h>
#include "debug/symbols.h"
#include "debug/trace_read.h"

struct view {
	struct trace_file *file;
	const char *path;
	struct symbols *symbols; /* NULL: none */
	FILE *out;
	bool json, exec, bytes;
	u64 at, count;        /* first instruction, how many */
	u64 context;          /* diff: how many common ones are shown before */
	unsigned top;         /* histograms: how many rows */
	/* What is shown. */
	u8 cpls, cpus;        /* a bit each */
	bool user_only_event; /* unused filters stay at their defaults */
	u64 lo, hi;           /* linear addresses */
	bool no_events, no_insns;
	const char *title;    /* of pictures */
};

/** Each: 0, or -errno after a message on standard error. Damage ends it, with a note, behind what could be read. */
int view_list(struct view *v);
int view_info(struct view *v);
int view_opcodes(struct view *v);
int view_symbols(struct view *v);
int view_calls(struct view *v);
int view_flame(struct view *v);
int view_diff(struct view *v, struct trace_file *other, const char *other_path, bool first_only);

/** The next item that @v shows; as trace_next(), with the message written. */
int view_next(struct view *v, struct trace_cursor *c, struct trace_item *it);
bool view_wants(const struct view *v, const struct trace_item *it);
/** "mov eax, ebx" */
void view_disasm(const struct view *v, const struct trace_item *it, char *buf, size_t n);
/** A name for the function at linear address @addr: a symbol, or the address's 4-KiB page. */
const char *view_function(const struct view *v, u64 addr, char *buf, size_t n);

#endif
