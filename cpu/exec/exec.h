/*
 * What an instruction's implementation is, and what it may use.
 *
 * Every `exec` name in the decoder's rows resolves to one `const struct exec_desc exec_NAME`. Two kinds:
 *
 *  - a *simple operation*: a C function on the decoded instruction. Exact, general, not hot.
 *
 *        SIMPLE(cpuid) { ...; return 0; }          // return 1 after cpu_fault(): nothing else may have changed
 *
 *    Inside it cpu->rip is already the next instruction (a branch overwrites it), cpu->insn_rip the running one, and
 *    cpu_icount() is exact. RFLAGS arithmetic bits are exact in cpu->rflags on entry, and taken from it on
 *    return, for every row whose flag columns are not empty; other operations must not touch them.
 *    Privilege and x87/SSE gates that the row declares (IA_CPL0, IA_PROT, IA_X87, IA_SSE...) have been checked.
 *
 *  - a *generated* one: a function that emits specialised micro-operations (cpu/exec/uop.h); for what is hot.
 */
#ifndef ORRERY_CPU_EXEC_H
#define ORRERY_CPU_EXEC_H

#include "cpu/cpu.h"
#include "cpu/decoder/insn.h"
#include "cpu/mmu/mmu.h"

struct builder;

typedef int (*exec_op)(struct cpu *cpu, const struct insn *in);
typedef void (*exec_gen)(struct builder *b, const struct insn *in, u32 arg);

struct exec_desc {
	exec_op op;   /* simple operation, or NULL */
	exec_gen gen; /* emits micro-operations, or NULL */
	u32 arg;      /* passed to gen: which member of a family */
	bool checked; /* op may change the mode or let an event in: then the block is left behind it */
	bool all_flags; /* op writes all arithmetic flags and flag_kind, except where it faults */
};

#define SIMPLE(name)                                                                              \
	static int op_##name(struct cpu *cpu, const struct insn *in);                              \
	const struct exec_desc exec_##name = {.op = op_##name};                                    \
	static int op_##name(struct cpu *cpu __attribute__((unused)),                                \
			    const struct insn *in __attribute__((unused)))

/* The same for one that may change what blocks are built for, or let an event in, but mostly does not. */
#define SIMPLE_CHECKED(name)                                                                      \
	static int op_##name(struct cpu *cpu, const struct insn *in);                              \
	const struct exec_desc exec_##name = {.op = op_##name, .checked = true};                   \
	static int op_##name(struct cpu *cpu __attribute__((unused)),                              \
			     const struct insn *in __attribute__((unused)))

/* The same for one that writes all arithmetic flags and cpu->flag_kind, except where it faults: nobody works the old ones out. */
#define SIMPLE_ALL_FLAGS(name)                                                                    \
	static int op_##name(struct cpu *cpu, const struct insn *in);                              \
	const struct exec_desc exec_##name = {.op = op_##name, .all_flags = true};                 \
	static int op_##name(struct cpu *cpu, const struct insn *in)

/* ---- operands, for simple operations ------------------------------------------------------------ */

/** Offset part of the memory operand's address (effective address), truncated to the address size. */
u64 op_ea(struct cpu *cpu, const struct insn *in);
/** Linear address of the memory operand for @size bytes after all segmentation checks. */
MUST_CHECK int op_linear(struct cpu *cpu, const struct insn *in, unsigned size, unsigned acc, u64 *lin);
/** Reads integer operand @i (GPR, high byte, memory, immediate), zero-extended from its size. */
MUST_CHECK int op_read(struct cpu *cpu, const struct insn *in, unsigned i, u64 *value);
/** Writes integer operand @i; a 32-bit register write clears bits 63:32. */
MUST_CHECK int op_write(struct cpu *cpu, const struct insn *in, unsigned i, u64 value);
/** Reads memory operand bytes (up to 64) or register @i of MM/VEC kind into @buf: operand size bytes. Honours IA_ALIGN. */
MUST_CHECK int op_read_bytes(struct cpu *cpu, const struct insn *in, unsigned i, void *buf);
MUST_CHECK int op_write_bytes(struct cpu *cpu, const struct insn *in, unsigned i, const void *buf);

/** Register access by size: 4 clears the upper half, 1 and 2 preserve the rest. */
static inline void reg_write(struct cpu *cpu, unsigned reg, unsigned size, u64 v)
{
	switch (size) {
	case 1: cpu->r[reg] = (cpu->r[reg] & ~0xffull) | (v & 0xff); break;
	case 2: cpu->r[reg] = (cpu->r[reg] & ~0xffffull) | (v & 0xffff); break;
	case 4: cpu->r[reg] = (u32)v; break;
	default: cpu->r[reg] = v; break;
	}
}

static inline u64 reg_read(const struct cpu *cpu, unsigned reg, unsigned size)
{
	return zext_bytes(cpu->r[reg], size);
}

/* ---- the stack, by the current SS and stack size; SP moves only when the access succeeded ---------- */

MUST_CHECK int push_value(struct cpu *cpu, unsigned size, u64 v);
MUST_CHECK int pop_value(struct cpu *cpu, unsigned size, u64 *v);
/** Mask of the stack pointer: 0xffff, 0xffffffff or all ones. */
u64 stack_mask(const struct cpu *cpu);

/* ---- segments (cpu/exec/segments.c) ------------------------------------------------------------------- */

/** Loads a data segment register or SS with all checks of the current mode (real and v86 too). */
MUST_CHECK int load_seg(struct cpu *cpu, unsigned seg, u16 selector);

/* ---- interrupts and exceptions (cpu/exec/exceptions.c) -------------------------------------------------- */

enum int_kind { INT_EXTERNAL, INT_NMI, INT_EXCEPTION, INT_SOFT /* INT n */, INT_SOFT3 /* INT3, INTO */, INT_ICEBP };

/**
 * Delivers vector @vector through the IVT or IDT, with return address cpu->rip.
 * 0, or 1 with cpu->fault set (the nested exception); nothing committed then.
 */
MUST_CHECK int int_deliver(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err, u32 err);
/**
 * Delivers cpu->fault as an exception at cpu->rip (the faulting instruction), handling double and triple fault
 * (SDM Vol. 3A, 6.15): on a triple fault cpu->activity becomes CPU_SHUTDOWN.
 */
void exc_deliver(struct cpu *cpu);
/** Event injection by VM entry: delivers @vector at cpu->rip; software ones push cpu->rip + @len (SDM Vol. 3C, 26.6). */
void exc_inject(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err, u32 err, unsigned len);

/* ---- the run loop (cpu/exec/run.c) ----------------------------------------------------------------------- */

enum cpu_exit { CPU_EXIT_BUDGET, CPU_EXIT_HALT, CPU_EXIT_SHUTDOWN, CPU_EXIT_STOP };

int cpu_init(struct cpu *cpu);   /* power-on state of cpu->model; cpu->bus, feat, peer already set. -ENOMEM */
void cpu_reset(struct cpu *cpu, bool init_only); /* RESET, or INIT which keeps x87/SSE, MTRRs, caches (SDM 9.1.1) */
void cpu_free(struct cpu *cpu);
/**
 * Runs at most @max_insns instructions (exactly that many unless another reason ends it first).
 * Asynchronous events (cpu->events) are taken at instruction boundaries.
 */
enum cpu_exit cpu_run(struct cpu *cpu, u64 max_insns);
/** Decodes the instruction at @rip in the current mode. False: it cannot be fetched (cpu->fault is changed) or is invalid. */
bool insn_at(struct cpu *cpu, u64 rip, struct insn *in);
/** Raises or clears CPU_EV_* bits from outside (devices, machine); ends the running slice at the next boundary. */
void cpu_event_set(struct cpu *cpu, u32 ev);
void cpu_event_clear(struct cpu *cpu, u32 ev);
/** Drops all decoded blocks (snapshot load, mode of tracing changed). */
void cpu_blocks_flush(struct cpu *cpu);
/**
 * MONITOR, UMONITOR: arms the 64-byte line of RAM at @gpa, in the host page @host_page; any store to it clears cpu->monitor_armed
 * and wakes @cpu from MWAIT or UMWAIT. -ENOMEM: there is no room to remember it; nothing is armed.
 */
int cpu_monitor(struct cpu *cpu, u64 gpa, u8 *host_page);
/** Virtual nanoseconds until UMWAIT or TPAUSE ends by itself: 0: now; ~0: @cpu waits in neither, or for ever. */
u64 cpu_wait_ns(const struct cpu *cpu);
/** @cpu waits in UMWAIT or TPAUSE, and its time has come, or an event that ends such a wait (SDM Vol. 2B, UMWAIT). */
bool cpu_wait_over(const struct cpu *cpu);
/** Ends that wait: @cpu is active, CF says whether IA32_UMWAIT_CONTROL ended it. */
void cpu_wait_end(struct cpu *cpu);
/** DMA or another processor wrote @n bytes of RAM at @gpa. */
void cpu_ram_written(struct cpu *cpu, u64 gpa, u64 n);

#endif
