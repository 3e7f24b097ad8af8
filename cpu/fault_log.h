/*
 * What the checks that raised an exception had before them, kept when it is delivered, so that debug/explain.c can say why
 * it came without a second opinion. Written on slow paths only; the guest cannot see it, and it is never saved.
 *
 * cpu->trail gathers what checks look at on their way (the descriptor read last, the gate, the entries of a failed page
 * walk); delivery copies it, with the registers, into a struct fault_record. The newest of each kind are kept.
 */
#ifndef ORRERY_CPU_FAULT_LOG_H
#define ORRERY_CPU_FAULT_LOG_H

#include "cpu/cpu.h"

enum fault_record_kind {
	FR_EXCEPTION,
	FR_EPT,         /* an EPT violation or misconfiguration that ended in a VM exit: rec->vm */
	FR_ENTRY_CHECK, /* a check of VM entry failed: rec->check, rec->f.value */
	FR_VMFAIL,      /* a VMX instruction failed with error rec->f.vector (VMfail), or without a current VMCS */
	FR_ABORT,       /* VMX abort */
};

/* Slots: exceptions by vector, then the kinds above that are none. */
#define FAULT_SLOTS 36u
#define FAULT_SLOT_DEPTH 4u

struct fault_record {
	u8 kind;       /* enum fault_record_kind */
	u8 step;       /* its place in the chain, from 0 */
	bool doubled;  /* with the one before it, it makes a double fault */
	bool shutdown; /* the processor could not go on after it */
	u32 chain;     /* which delivery it belongs to */
	u64 serial;    /* order among all records of the processor; 0: empty */
	u64 icount;    /* instructions before it */
	struct fault f;
	struct vm_fault vm;
	int check;     /* enum vmx_check */
	struct fault_trail trail;
	/* The processor, as the delivery found it. */
	u64 rip, r[16];
	u32 rflags, mode, mxcsr;
	u64 cr0, cr3, cr4, efer, xcr0, dr7;
	struct seg seg[NSEGS];
	u64 base[NSEGS];
	struct dtr gdtr, idtr;
	u8 cpl;
	bool nonroot, smm;
	u8 before;     /* instructions of its block that ran before it: block_before() finds them while the code is there */
	u8 bytes[15], nbytes; /* of the instruction at rip; 0: they could not be had cheaply */
};

struct fault_log {
	struct fault_record r[FAULT_SLOTS][FAULT_SLOT_DEPTH];
	u64 serial;
	u32 chain;
};

/** Keeps cpu->fault as a record of @kind, step @step of the current chain. NULL when there is no log. */
struct fault_record *fault_log_add(struct cpu *cpu, enum fault_record_kind kind, unsigned step);
/** A new delivery begins: later records belong to it. */
void fault_log_begin(struct cpu *cpu);
/** The newest record (@slot < 0), or the newest in @slot: a vector, or 32 + enum fault_record_kind. NULL: none. */
const struct fault_record *fault_log_last(const struct cpu *cpu, int slot);
/** The records of chain @chain in their order; returns how many were put into @out, at most @max. */
unsigned fault_log_chain(const struct cpu *cpu, u32 chain, const struct fault_record **out, unsigned max);
/** The newest records, newest first. */
unsigned fault_log_newest(const struct cpu *cpu, const struct fault_record **out, unsigned max);

#endif
