/* Shared by debugger.c, breakpoints.c and look.c only. */
#ifndef ORRERY_DEBUG_DEBUGGER_INTERNAL_H
#define ORRERY_DEBUG_DEBUGGER_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/host.h"
#include "cpu/exec/exec.h"
#include "debug/debugger.h"
#include "debug/expr.h"

#define BREAKPOINTS_MAX 1024

struct breakpoint {
	struct bp_info i;
	struct expr *condition;
	char *text;    /* of the condition: i.spec.condition */
	bool internal; /* of a run_spec: it ends the run as a step does */
	u64 min_sp;    /* internal: not below this stack pointer */
	bool spent;    /* temporary, and has stopped the machine */
};

/* Where a processor stood when it was let go: that instruction is not stopped at again. */
struct stood {
	bool valid;
	u64 icount, pc;
};

struct debugger {
	struct machine *m;
	struct symbols *symbols;
	struct cpu_watch watch, back_watch; /* back_watch: while the past is searched */
	bool attached;
	struct breakpoint **bp; /* by number */
	unsigned bps, next_id;
	bool has_conditions_failed;

	struct run_spec run;
	struct cpu *run_cpu; /* what the run counts; NULL: nothing */
	u64 left;            /* steps */
	u64 run_sp;          /* RUN_FINISH: where the stack was */
	bool returning;      /* RUN_FINISH: the instruction that returns is running */
	struct stood stood[MACHINE_CPUS];

	/* While the past is run again: nothing stops, and with SEARCHING what would is reported. */
	enum { LIVE, QUIET, SEARCHING } past;
	struct cpu *back_cpu; /* SEARCHING: every instruction of this one counts, not the break points */
	struct cpu *in_probe; /* whose registers are in the middle of a chain */
	bool in_seen;
	struct dbg_stop found; /* by a callback: becomes the stop when the machine stands */
	struct dbg_stop stop;
	u64 serial;
	struct cpu *selected;
	bool ended;
	struct dbg_listener *listeners;
	struct host_monitor *lock; /* guards news */
	struct dbg_stop news;      /* a copy of stop for dbg_wait() */
};

/** Tells the listeners that it stands at @s, somewhere else than before. */
void dbg_stand_at(struct debugger *d, const struct dbg_stop *s);
/** WATCH_BIT()s of all that is enabled, and of the run. */
u32 dbg_wants(const struct debugger *d);
/** Watches what the break points and the run want; between slices only. */
void dbg_refresh(struct debugger *d);
/** Adds one that is not listed and ends the run. False: no room. */
bool dbg_bp_internal(struct debugger *d, u64 lin, struct cpu *cpu, u64 min_sp);
void dbg_bp_sweep(struct debugger *d, bool internal_too);
void dbg_bp_free_all(struct debugger *d);
/** cpu/watch.h's callbacks. */
bool dbg_on_probe(void *ctx, struct cpu *cpu, const struct insn *in);
void dbg_on_seen(void *ctx, struct cpu *cpu, const struct seen *s);
bool dbg_probe_wanted(void *ctx, u64 phys_page, unsigned off);
bool dbg_page_wanted(void *ctx, u64 page, u64 phys_page);

static inline u64 dbg_linear(const struct cpu *cpu, u64 rip)
{
	return cpu_long64(cpu) ? rip : (u32)(rip + seg_base(cpu, CS));
}

#endif
