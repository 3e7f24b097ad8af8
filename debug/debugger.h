/*
 * The debugger's core, under every front end: monitor, JSON socket, GDB stub, labs.
 *
 * It stands on cpu/watch.h and on machine_pause(): a stopped machine stands still inside machine_run() and still serves
 * machine_call(). Unless said otherwise, functions belong to the machine's thread: call them within machine_call(), or while
 * the machine does not run. What only looks changes nothing of the machine's state.
 */
#ifndef ORRERY_DEBUG_DEBUGGER_H
#define ORRERY_DEBUG_DEBUGGER_H

#include "cpu/watch.h"
#include "debug/symbols.h"
#include "debug/view.h"
#include "machine/machine.h"

struct debugger;
struct expr;

/** Attaches to @m, which must outlive it. NULL: no memory. */
struct debugger *dbg_create(struct machine *m);
/** The machine must not run. */
void dbg_destroy(struct debugger *d);
struct machine *dbg_machine(struct debugger *d);
struct symbols *dbg_symbols(struct debugger *d);

/* ---- what stops --------------------------------------------------------------------------------------------------- */

enum bp_kind {
	BP_EXEC,       /* an instruction at linear address lo..hi, before it executes */
	BP_EXEC_PHYS,  /* the same by physical address */
	BP_ACCESS,     /* data access to linear lo..hi, behind the instruction; read, write say which */
	BP_ACCESS_PHYS,
	/* Behind the instruction; lo..hi is what is compared. */
	BP_IO,         /* port; read, write */
	BP_MSR,        /* read, write */
	BP_CR,         /* written: number, 16 for XCR0 */
	BP_EXCEPTION,  /* vector; on its way to the handler */
	BP_INTERRUPT,  /* vector */
	BP_MODE,       /* any change of real, protected, 64-bit, ... mode */
	BP_RING,       /* the new CPL */
	BP_VMENTRY,
	BP_VMEXIT,     /* basic reason */
	BP_VMFAIL,     /* an entry that failed: basic reason */
	BP_TASK,       /* task switch: new TSS selector */
	BP_SMM,
	BP_MAGIC,      /* XCHG BX,BX; in front of it */
	BP_SHUTDOWN,   /* triple fault, before the reset */
	BP_KINDS
};

struct bp_spec {
	enum bp_kind kind;
	u64 lo, hi;           /* inclusive */
	bool read, write;     /* BP_ACCESS*, BP_IO, BP_MSR: neither means both */
	bool temporary;       /* goes away when it has stopped the machine */
	bool hidden;          /* not listed: a front end's own, such as GDB's */
	bool any_cr3;         /* cr3 is not compared */
	u64 cr3;              /* bits 51:12; with any_cr3 false the address space it belongs to */
	int cpu;              /* -1: all */
	const char *condition; /* NULL: none; copied */
	u64 ignore;           /* hits to let pass */
	void *owner;          /* of the front end; for dbg_bp_delete_all() */
};
/** All zero but hi = lo, any_cr3, cpu -1. */
struct bp_spec bp_spec(enum bp_kind kind, u64 lo);

struct bp_info {
	unsigned id;
	struct bp_spec spec;
	u64 hits;
	bool enabled;
};

/** The new number (1..), or -errno with a message: -EINVAL (the condition), -ENOSPC. */
MUST_CHECK int dbg_bp_add(struct debugger *d, const struct bp_spec *s, struct errtext *e);
/** False: there is no such number. */
bool dbg_bp_delete(struct debugger *d, unsigned id);
/** All of @owner (NULL: all that are not hidden); how many. */
unsigned dbg_bp_delete_all(struct debugger *d, void *owner);
bool dbg_bp_enable(struct debugger *d, unsigned id, bool on);
bool dbg_bp_ignore(struct debugger *d, unsigned id, u64 n);
MUST_CHECK int dbg_bp_condition(struct debugger *d, unsigned id, const char *text, struct errtext *e);
/** The first one with a number above @id; false: no more. */
bool dbg_bp_next(struct debugger *d, unsigned id, struct bp_info *out);
/** "break", "watch", "io", ... */
const char *bp_kind_name(enum bp_kind k);

/* ---- stops -------------------------------------------------------------------------------------------------------- */

enum stop_kind {
	STOP_NONE,   /* it runs */
	STOP_PAUSED, /* asked for: dbg_stop(), Ctrl-C, the window's pause, -S */
	STOP_STEP,   /* the steps are done */
	STOP_BREAK,  /* a break or watch point: id, what */
	STOP_REPLAY, /* the beginning or the end of what can be replayed */
	STOP_ENDED,  /* machine_run() has returned: end */
};

struct dbg_stop {
	enum stop_kind kind;
	u64 serial;      /* counts stops */
	unsigned cpu;    /* on which processor */
	unsigned id;     /* STOP_BREAK: the break point ... */
	enum bp_kind what;
	struct bp_spec spec; /* ... as it was (condition not kept) */
	struct seen seen; /* for what is not BP_EXEC: what was seen */
	u64 insn_rip;    /* and by which instruction; for BP_EXEC* the next one */
	u64 icount;      /* of the processor, now */
	enum end_reason end;
	const char *why; /* exceptions and shutdown: the check that failed; may be NULL */
	u64 why_value;
};

/** The last stop, or .kind STOP_NONE while it runs. */
const struct dbg_stop *dbg_stopped(struct debugger *d);
/** One line that says why it stopped: "break point 1 at start_kernel". */
void dbg_stop_text(struct debugger *d, const struct dbg_stop *s, char *buf, size_t n);
/** The same as a view. */
json_t *dbg_stop_view(struct debugger *d, const struct dbg_stop *s);

/* Who wants to hear of it; called on the machine's thread while it stands (or, for STOP_ENDED, has ended). */
struct dbg_listener {
	void *ctx;
	void (*stopped)(void *ctx, const struct dbg_stop *s);
	void (*resumed)(void *ctx); /* may be NULL */
	void (*reset)(void *ctx);   /* the machine was reset; may be NULL */
	struct dbg_listener *next;
};
void dbg_listen(struct debugger *d, struct dbg_listener *l);
void dbg_unlisten(struct debugger *d, struct dbg_listener *l);

/* ---- running ------------------------------------------------------------------------------------------------------ */

enum run_kind {
	RUN_CONT,
	RUN_STEP,   /* count instructions of the selected processor */
	RUN_NEXT,   /* the same, but calls, interrupts and string instructions as one */
	RUN_FINISH, /* until the running function has returned: the stack is above where it is now, behind a RET or IRET */
	RUN_UNTIL,  /* until linear address @arg (or a stop) */
	RUN_RANGE,  /* step while linear rip is in @arg..@arg2 (GDB's vCont;r) */
};

struct run_spec {
	enum run_kind kind;
	u64 count; /* RUN_STEP, RUN_NEXT: 0 is 1 */
	u64 arg, arg2;
};

/** Lets a standing machine go on. -EBUSY: it runs already. -EINVAL: it cannot (ended). */
MUST_CHECK int dbg_go(struct debugger *d, const struct run_spec *r);
/** It shall stop as soon as it can; the stop comes to the listeners. Any thread; async-signal-safe. */
void dbg_interrupt(struct debugger *d);
/** Any thread but the machine's: waits until it stands, or has ended, or @timeout_ns (UINT64_MAX: none) passed. A copy of the
 * stop; false: it still runs. */
bool dbg_wait(struct debugger *d, u64 timeout_ns, struct dbg_stop *out);
/** The machine's own thread, machine not running: runs until it stands or has ended. For tests and whoever has one thread. */
const struct dbg_stop *dbg_run(struct debugger *d, const struct run_spec *r);
/** main() says that machine_run() has returned for good. */
void dbg_ended(struct debugger *d, enum end_reason why);

/** The machine has become another one (a snapshot, another instant): what is known of where it stood is forgotten. */
void dbg_moved(struct debugger *d);

/* ---- back in time (machine/reverse.h keeps the history) ----------------------------------------------------------- */

/* The machine stands; afterwards it stands elsewhere, and the listeners hear of it as of a stop (STOP_REPLAY at the oldest instant
 * there is). 0, or -errno with a message, and it stands where it stood. */
/** @n instructions of the selected processor back. */
MUST_CHECK int dbg_reverse_step(struct debugger *d, u64 n, struct errtext *e);
/** To the last instant before now at which an enabled break or watch point holds: in front of that instruction. */
MUST_CHECK int dbg_reverse_continue(struct debugger *d, struct errtext *e);
/** In front of the instruction (or the DMA: *@by_device) that last wrote any of @n bytes at linear @lin. */
MUST_CHECK int dbg_reverse_write(struct debugger *d, u64 lin, unsigned n, bool *by_device, struct errtext *e);
/** To an instant: machine_icount() of all processors. */
MUST_CHECK int dbg_reverse_goto(struct debugger *d, u64 position, struct errtext *e);

/* ---- looking ------------------------------------------------------------------------------------------------------ */

/** The selected processor: after a stop the one that stopped. */
struct cpu *dbg_cpu(struct debugger *d);
bool dbg_select(struct debugger *d, unsigned cpu);
/** Linear address of the next instruction. */
u64 dbg_pc(struct cpu *cpu);
/** RFLAGS, also from within a watcher's callback. */
u32 dbg_rflags(struct debugger *d, struct cpu *cpu);
/** Changes the instruction pointer of a standing processor. */
void dbg_set_rip(struct cpu *cpu, u64 rip);

/** By linear address with @cpu's paging, whatever the permissions. How many bytes could be read from the start; never touches
 * a device. */
unsigned dbg_read(struct cpu *cpu, u64 lin, void *buf, unsigned n);
unsigned dbg_read_phys(struct cpu *cpu, u64 gpa, void *buf, unsigned n);
/** The same for writing; ROM too. Decoded code follows. On the machine's thread, while it stands. */
unsigned dbg_write(struct cpu *cpu, u64 lin, const void *buf, unsigned n);
unsigned dbg_write_phys(struct cpu *cpu, u64 gpa, const void *buf, unsigned n);
/** Physical address of @lin whatever the permissions; false: not mapped. */
bool dbg_translate(struct cpu *cpu, u64 lin, u64 *phys);
/** Decodes the instruction at linear @lin in @bits mode (0: the current one). The length; 0: none. @bytes: at least 15, or NULL. */
unsigned dbg_decode(struct cpu *cpu, u64 lin, unsigned bits, struct insn *in, u8 *bytes);

#endif
