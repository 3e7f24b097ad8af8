/*
 * What the writer (debug/trace.c) and the reader (debug/trace_read.c) of trace files must agree on. docs/trace-format.md is
 * the description for others.
 */
#ifndef ORRERY_DEBUG_TRACE_FORMAT_H
#define ORRERY_DEBUG_TRACE_FORMAT_H

#include "base/types.h"

#define TRACE_MAGIC "ORRTRACE"
#define TRACE_END_MAGIC "ORRTREND"
#define TRACE_VERSION 1u
#define TRACE_HEADER_MAX 65536u /* of its body */
#define TRACE_CHUNK_MAGIC 0x4b43544fu /* "OTCK" */
#define TRACE_INDEX_MAGIC 0x5849544fu /* "OTIX" */
#define TRACE_CHUNK_HEADER 64u
#define TRACE_SECTION_MAX (64u << 20) /* of a section, not compressed */
#define TRACE_RANGES 16u
#define TRACE_CPUS 8u

enum trace_depth { TRACE_EVENTS, TRACE_INSNS, TRACE_REGS, TRACE_MEM, TRACE_DEPTHS };

/* Flow: a varint run << 2 | code. @run predicted blocks, then: */
enum trace_code {
	FLOW_BLOCK,  /* varint: number of a block of this chunk's dictionary */
	FLOW_EVENT,  /* an event */
	FLOW_DEFINE, /* a new block, which takes the next number and is executed */
	FLOW_NONE,   /* nothing */
};

/*
 * Events: type, varint (instructions begun in the block before it << 1 | in the middle of the next one), varint nanoseconds
 * since the event before, then these fields as varints.
 */
enum trace_event {
	EV_EXCEPTION = 1, /* vector, error code << 1 | has one, CR2, the failed value, text (0: none), rip */
	EV_INTERRUPT,     /* vector, kind (enum int_kind), rip */
	EV_CPL,           /* old, new */
	EV_MODE,          /* old, new (WATCH_MODE_BITS) */
	EV_CR,            /* number, old, new */
	EV_MSR,           /* number, write, value */
	EV_IO,            /* port, size << 1 | write, value */
	EV_VMX,           /* reason (WATCH_VM_ENTRY: an entry), qualification, rip */
	EV_TASK,          /* new TSS selector, old */
	EV_SMM,           /* entered */
	EV_MAGIC,
	EV_SHUTDOWN,      /* text */
	EV_DMA,           /* address, bytes << 1 | write */
	/* Not of the guest. */
	EV_CPU,           /* what follows is of this processor */
	EV_CUT,           /* the block ended before its last instruction */
	EV_SYNC,          /* instructions counted behind the block (zigzag of actual - expected) << 1 | some are not in the trace */
	EV_TEXT,          /* a text of this chunk gets the next number: bytes, and the bytes themselves */
	EV_KINDS
};
#define TRACE_EVENT_FIELDS                                                                                              \
	{                                                                                                                \
		[EV_EXCEPTION] = 6, [EV_INTERRUPT] = 3, [EV_CPL] = 2, [EV_MODE] = 2, [EV_CR] = 3, [EV_MSR] = 3, [EV_IO] = 3,  \
		[EV_VMX] = 3, [EV_TASK] = 2, [EV_SMM] = 1, [EV_SHUTDOWN] = 1, [EV_DMA] = 2, [EV_CPU] = 1, [EV_SYNC] = 1,      \
		[EV_TEXT] = 1,                                                                                            \
	}

/* Effects: before every instruction (and exception, interrupt, VMX event) a varint of these bits, then what they say. */
#define FX_REGS 0xffffu    /* a bit for each general register that changed: zigzag varint of the difference */
#define FX_FLAGS 0x10000u  /* RFLAGS: varint of old ^ new */
#define FX_SEGS 0x20000u   /* byte: which of ES..GS, LDTR, TR; a varint selector each */
#define FX_VECTOR 0x40000u /* byte: register; byte: its bytes; the bytes */
#define FX_X87 0x80000u    /* byte: register 0..7; 10 bytes */
#define FX_MEMORY 0x100000u /* varint count; each: varint size << 1 | write, zigzag of address - the last, varint value (8 bytes at most) */
#define FX_LOST 0x200000u  /* varint: memory accesses more than could be kept */
#define FX_ALL 0x3fffffu

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

static ALWAYS_INLINE u8 *put_varint(u8 *p, u64 v)
{
	while (v >= 0x80) {
		*p++ = (u8)v | 0x80;
		v >>= 7;
	}
	*p++ = (u8)v;
	return p;
}
#define VARINT_MAX 10u

static ALWAYS_INLINE u64 zigzag(u64 v)
{
	return v << 1 ^ (u64)((s64)v >> 63);
}

static ALWAYS_INLINE u64 unzigzag(u64 v)
{
	return v >> 1 ^ -(v & 1);
}

/* ---- which block comes next ------------------------------------------------------------------------------------------ */

/*
 * Two guesses: what followed the last four blocks (told apart by a tag), else what followed the last block. Both sides learn
 * from every block, so that they always guess the same. Empty at the start of a chunk.
 */
#define PREDICT_BITS 16
#define PREDICT_IDS 65536u /* blocks of a chunk's dictionary; number 0 is none */

struct trace_predictor {
	struct {
		u32 tag, id;
	} by_path[1u << PREDICT_BITS];
	u32 by_block[PREDICT_IDS];
};

/* One processor's way. */
struct trace_path {
	u64 path; /* the last four blocks */
	u32 last;
};

/* What is guessed in *@guess; learns that it was @id. True: right. */
static ALWAYS_INLINE bool predict_step(struct trace_predictor *p, struct trace_path *w, u32 id)
{
	u64 h = w->path * 0x9e3779b97f4a7c15ull;
	unsigned i = (unsigned)(h >> (64 - PREDICT_BITS));
	u32 tag = (u32)(h >> 8) | 1, guess = p->by_path[i].tag == tag ? p->by_path[i].id : p->by_block[w->last];

	p->by_path[i].tag = tag;
	p->by_path[i].id = id;
	p->by_block[w->last] = id;
	w->path = w->path << 16 | id;
	w->last = id;
	return guess == id;
}

/* The guess alone; 0: none. */
static ALWAYS_INLINE u32 predict_look(const struct trace_predictor *p, const struct trace_path *w)
{
	u64 h = w->path * 0x9e3779b97f4a7c15ull;
	unsigned i = (unsigned)(h >> (64 - PREDICT_BITS));

	return p->by_path[i].tag == ((u32)(h >> 8) | 1) ? p->by_path[i].id : p->by_block[w->last];
}

#endif
