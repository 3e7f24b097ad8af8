/*
 * The reader of trace files (docs/trace-format.md). A file is taken for hostile: whatever it holds, the worst is a refusal with
 * a reason. It is read chunk by chunk, so a trace of any length needs the memory of one chunk.
 */
#ifndef ORRERY_DEBUG_TRACE_READ_H
#define ORRERY_DEBUG_TRACE_READ_H

#include "cpu/decoder/insn.h"
#include "debug/trace_format.h"
#include "machine/errtext.h"

struct trace_file;
struct trace_cursor;

struct trace_info {
	enum trace_depth depth;
	unsigned cpus, chunks;
	u64 first, last;   /* instruction window of the filter */
	u64 insns;         /* in whole chunks */
	u64 time_ns;       /* virtual time of the last chunk's beginning */
	u64 bytes;         /* of the file */
	const char *text;  /* as given to -trace */
	const char *note;  /* what is wrong with it though it can be read; NULL: nothing */
};

/** 0, or -errno with a message: -ENOENT..., -EBADMSG (damaged), -ENOEXEC (not a trace, or another version). */
MUST_CHECK int trace_open(const char *path, struct trace_file **f, struct errtext *e);
/** The same of @n bytes in memory, which must outlive it. */
MUST_CHECK int trace_open_memory(const void *data, u64 n, struct trace_file **f, struct errtext *e);
void trace_close(struct trace_file *f);
void trace_info(const struct trace_file *f, struct trace_info *out);

struct trace_regs {
	u64 r[16], rip;
	u32 rflags;
	u64 cr0, cr2, cr3, cr4, efer, icount;
	u32 mode;
	u8 cpl, vmx_mode;
	bool smm;
	struct {
		u16 sel;
		u64 base;
		u32 limit, ar;
	} seg[8];
};

struct trace_access {
	u64 addr, value;
	u8 size;
	bool write;
};

/* What has changed since the instruction or event before, on the same processor. */
struct trace_effects {
	u32 mask;          /* FX_* */
	u8 segs;
	u8 vec_reg, vec_bytes, x87_reg;
	u8 vec[64], x87[10];
	const struct trace_access *access;
	u32 accesses;
	u64 lost;
};

enum trace_item_kind { ITEM_INSN, ITEM_EVENT, ITEM_GAP };

struct trace_item {
	enum trace_item_kind kind;
	unsigned cpu;
	u64 seq;          /* of instructions in the trace, from 0; of an event: of the next one */
	u64 icount;       /* of the processor: instructions before it */
	u64 time_ns;      /* virtual, of the event before */
	/* ITEM_INSN */
	u64 rip, base;    /* base of CS: linear is rip + base */
	u16 cs;
	u8 cpl;
	u32 mode;         /* MODE_* */
	const struct insn *in; /* NULL: no valid instruction */
	const u8 *bytes;
	u8 len;
	bool block_end;   /* the last of its block */
	/* ITEM_EVENT */
	enum trace_event event;
	u64 f[6];
	const char *text; /* EV_EXCEPTION, EV_SHUTDOWN: the check that failed; or NULL */
	/* ITEM_INSN, and exceptions, interrupts, VMX, from depth regs on; else mask 0 */
	const struct trace_effects *fx;
};

/** NULL: no memory. */
struct trace_cursor *trace_cursor(struct trace_file *f);
void trace_cursor_free(struct trace_cursor *c);
/** The next item. 1, 0 at the end, or -EBADMSG with a message. @out's pointers hold until the next call. */
MUST_CHECK int trace_next(struct trace_cursor *c, struct trace_item *out, struct errtext *e);
/** To instruction @seq (items before it in its block may come first only if they are events). 0, or -errno with a message. */
MUST_CHECK int trace_seek(struct trace_cursor *c, u64 seq, struct errtext *e);
/** Registers of processor @cpu as the item that came last found them; below depth regs as the chunk began. */
const struct trace_regs *trace_regs(const struct trace_cursor *c, unsigned cpu);

/** "exception", "cr", ... */
const char *trace_event_name(enum trace_event ev);
/** One line about an event. */
void trace_event_text(const struct trace_item *it, char *buf, size_t n);

#endif
