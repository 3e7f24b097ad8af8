/*
 * What the interpreter calls to show its work to the watchers of cpu/watch.h.
 */
#ifndef ORRERY_CPU_EXEC_WATCH_H
#define ORRERY_CPU_EXEC_WATCH_H

#include "cpu/exec/uop.h"
#include "cpu/watch.h"

/* How the instruction at offset @off of physical page @phys_page is watched. */
#define SHOWN 1u  /* trace_insn() */
#define PROBED 2u /* trace_probe() */
unsigned watch_of_insn(struct cpu *cpu, u32 mode, const struct insn *in, u64 phys_page, unsigned off);

/** The micro-operations that show; imm: the instruction; trace_block(): sh micro-operations stand before it in its block. */
void trace_insn(UOP_ARGS);
void trace_block(UOP_ARGS);
void trace_probe(UOP_ARGS);

/** From cpu_mode_changed(): the mode was @old; mode and privilege level are reported if they differ. */
void watch_mode(struct cpu *cpu, u32 old);

static inline void watch_cr(struct cpu *cpu, unsigned cr, u64 old, u64 value)
{
	if (unlikely(watch_on(cpu, WATCH_CR)))
		watch_seen(cpu, &(struct seen){.kind = WATCH_CR, .n = cr, .write = true, .old = old, .value = value});
}

static inline void watch_io(struct cpu *cpu, u16 port, unsigned size, u32 value, bool write)
{
	if (unlikely(watch_on(cpu, WATCH_IO)))
		watch_seen(cpu, &(struct seen){.kind = WATCH_IO, .n = port, .size = (u8)size, .write = write, .value = value});
}

#endif
