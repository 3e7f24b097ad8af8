/*
 * Who called whom, from a stream of executed code: calls push, returns pop to the frame they return to, interrupts and system
 * calls are frames of their own, and a return to a frame of another stack is a task switch. For traces and profiles.
 *
 * Bounded: paths deeper than CALL_DEPTH are counted at that depth; stacks that were left longest are forgotten; when there is no room for
 * nodes, callees are counted with their callers. Without symbols a function is where a call went.
 */
#ifndef ORRERY_DEBUG_CALLTREE_H
#define ORRERY_DEBUG_CALLTREE_H

#include "base/types.h"

#define CALL_DEPTH 120u

/* How control left a block. */
enum call_kind { CALL_NONE, CALL_CALL, CALL_RETURN, CALL_IRET /* and SYSRET, SYSEXIT */, CALL_SYSCALL /* and SYSENTER */ };

struct insn;
struct calltree;

struct call_node {
	u64 func;       /* linear address of the function, or (special) 1 + vector of an interrupt, 0x1000: system call, 0x1001: user code */
	bool special;
	u64 self, total; /* instructions; total: after calltree_sum() */
	u64 calls;
	u32 parent, child, next; /* numbers of nodes; 0: the root, or none */
};

struct calltree *calltree_create(unsigned cpus); /* NULL: no memory */
void calltree_free(struct calltree *t);

/** What the last instruction of a block is. */
enum call_kind call_kind_of(const struct insn *in);

/** @n instructions ran on processor @cpu from linear address @at on, at privilege level @cpl, in function @func (0: whatever was called). */
void calltree_run(struct calltree *t, unsigned cpu, u64 at, unsigned cpl, u64 func, u64 n);
/** @n more, where it is. */
void calltree_count(struct calltree *t, unsigned cpu, u64 n);
/** A sample: @n instructions in @func (0: unknown) at privilege level @cpl, whoever called it. */
void calltree_hit(struct calltree *t, unsigned cpl, u64 func, u64 n);
/** They ended with @kind; @ret: the linear address behind them. */
void calltree_leave(struct calltree *t, unsigned cpu, enum call_kind kind, u64 ret);
/** An exception or interrupt came; @at: where it returns to. */
void calltree_interrupt(struct calltree *t, unsigned cpu, unsigned vector, u64 at);

/** Fills the totals. Returns the nodes; [0] is the root, children and siblings most expensive first. */
const struct call_node *calltree_sum(struct calltree *t, u32 *n);
/** What @n is called; names of functions come from @name. */
const char *call_node_name(const struct call_node *n, const char *(*name)(const void *ctx, u64 addr, char *buf, size_t size), const void *ctx,
			   char *buf, size_t size);

#endif
