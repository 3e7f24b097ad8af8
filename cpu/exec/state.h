/* A processor's state as one list of fields (base/snapshot.h): saved, hashed and loaded by it. */
#ifndef ORRERY_CPU_STATE_H
#define ORRERY_CPU_STATE_H

#include "base/snapshot.h"
#include "cpu/cpu.h"

extern const struct snapshot_desc cpu_snapshot, vmx_snapshot;

/*
 * The lists are of plain copies, in which what has several forms (lazy flags, the slice's countdown) has one: what two equal
 * processors save is equal.
 */
void cpu_state_copy(const struct cpu *cpu, struct cpu *copy);

/** Appends sections "cpuN" and, with VMX, "cpuN.vmx". Between slices only. */
void cpu_state_save(const struct cpu *cpu, struct snap_buf *b);
/** Reads them. Translations and decoded code are dropped. 0, or -EINVAL with r->error; the processor is then half loaded. */
MUST_CHECK int cpu_state_load(struct cpu *cpu, struct snap_reader *r);
/** Could that be read? Nothing is changed. */
MUST_CHECK int cpu_state_check(const struct cpu *cpu, struct snap_reader *r);
u64 cpu_state_hash(const struct cpu *cpu, u64 seed);
/**
 * Drops all that is remembered of translations and code, down to which slot is used next, of every processor of the ring: from
 * here on they run as freshly loaded ones do. The guest may notice as it may notice any processor's choice of what to cache.
 */
void cpu_state_forget(struct cpu *cpu);

#endif
