/*
 * What may be seen of a processor at work: the one door for breakpoints, tracing, profiles and labs.
 *
 * A watcher names the kinds of things it wants; what nobody wants costs nothing on the fast path, because it is either built
 * into blocks when it is wanted (instructions, blocks, probes) or stands on paths that are slow by nature (the rest).
 * Callbacks run on the machine's thread, in the middle of things: they look, note, and may call watch_stop(); they must not
 * change the guest, add or remove watchers, or flush.
 */
#ifndef ORRERY_CPU_WATCH_H
#define ORRERY_CPU_WATCH_H

#include "cpu/cpu.h"

enum watch_kind {
	WATCH_INSN,      /* about to execute an instruction: insn() */
	WATCH_BLOCK,     /* about to execute a block of instructions: block() */
	WATCH_PROBE,     /* about to execute an instruction that probe_wanted() chose: probe() */
	/* The rest come through seen(), with what struct seen says. */
	WATCH_ACCESS,    /* data access to a page that page_wanted() chose; addr, phys, size, write; value: what is written */
	WATCH_EXCEPTION, /* an exception is about to be delivered: n vector, value error code; cpu->fault says why */
	WATCH_INTERRUPT, /* a hardware interrupt, NMI or INT n is about to be delivered: n vector, value enum int_kind */
	WATCH_CPL,       /* the privilege level has changed: old, value */
	WATCH_MODE,      /* the mode has changed: old, value are MODE_* keys reduced to WATCH_MODE_BITS */
	WATCH_CR,        /* a control register was written (CR0, 2, 3, 4, 8; XCR0 is n = 16): n, old, value */
	WATCH_MSR,       /* RDMSR or WRMSR: n, write, value */
	WATCH_IO,        /* a port access: n port, size, write, value (string I/O: one for each unit) */
	WATCH_VMX,       /* VM entry (n = WATCH_VM_ENTRY), or exit: n basic reason, value qualification, addr guest rip; bit 31 of n: failed entry */
	WATCH_TASK,      /* a hardware task switch: n new TSS selector */
	WATCH_SMM,       /* SMM was entered (value 1) or left (0) */
	WATCH_MAGIC,     /* about to execute XCHG BX,BX; who stops here and goes on is told again, with the same cpu_icount() */
	WATCH_SHUTDOWN,  /* triple fault: cpu->triple says why */
	WATCH_DMA,       /* a device reached memory: phys, write, value: how many bytes; on the running processor */
	WATCH_KINDS
};

#define WATCH_BIT(kind) (1u << (kind))
#define WATCH_VM_ENTRY 0xffffu
#define WATCH_MODE_BITS (MODE_BITS | MODE_REAL | MODE_V86 | MODE_LMA | MODE_NONROOT)

struct seen {
	enum watch_kind kind;
	u32 n;
	u8 size;
	bool write;
	u64 addr, phys;
	u64 old, value;
};

struct block;
struct insn;

struct cpu_watch {
	/* cpu->insn_rip is the instruction's address, cpu_icount() the instructions before it, registers are as it finds them;
	 * cpu_rflags() is not to be called here: watch_rflags() tells the flags. */
	void (*insn)(void *ctx, struct cpu *cpu, const struct insn *in);
	void (*block)(void *ctx, struct cpu *cpu, struct block *b);
	/* True: stop before this instruction. Who goes on again after a stop is asked again, with the same cpu_icount(). */
	bool (*probe)(void *ctx, struct cpu *cpu, const struct insn *in);
	void (*seen)(void *ctx, struct cpu *cpu, const struct seen *s);
	void *ctx;
	u32 wants; /* WATCH_BIT()s; watch_changed() after changing it or what the choosers below answer */
	/* While a block is decoded: is the instruction at offset @off (0..4095) of physical page @phys_page probed? Blocks are
	 * shared by all linear addresses of a page, so choose by offset or physical address, and let probe() look closer. */
	bool (*probe_wanted)(void *ctx, u64 phys_page, unsigned off);
	/* While a translation is cached: are data accesses to the linear page @page, or the physical page @phys_page, watched? */
	bool (*page_wanted)(void *ctx, u64 page, u64 phys_page);
	struct cpu_watch *next; /* watch_add()'s */
};

/* All processors of a machine share one list. */
struct cpu_watchers {
	struct cpu_watch *first;
	u32 wants; /* of all */
};

static inline bool watch_on(const struct cpu *cpu, enum watch_kind kind)
{
	return cpu->watchers && (cpu->watchers->wants & WATCH_BIT(kind));
}

/** Between slices (machine_call()) or before the run: adds or removes a watcher. Decoded code and translations are dropped. */
void watch_add(struct cpu *cpu, struct cpu_watch *w);
void watch_remove(struct cpu *cpu, struct cpu_watch *w);
/** The same after a watcher's wants, probes or pages changed. */
void watch_changed(struct cpu *cpu);

/** From a callback: cpu_run() returns at the next instruction boundary (behind the running instruction) with CPU_EXIT_STOP. */
void watch_stop(struct cpu *cpu);
/** RFLAGS as the instruction about to run finds them; for insn(), block() and probe(). */
u32 watch_rflags(struct cpu *cpu);

/* ---- the processor's side ---------------------------------------------------------------------------------------- */

void watch_seen(struct cpu *cpu, const struct seen *s);

#endif
