/*
 * Shared by the system instructions: segment descriptors, privilege transfers, the debug registers,
 * the time stamp, MSRs and CPUID (SDM Vol. 3A, chapters 3, 5, 6, 7; Vol. 3B, 17; Vol. 4).
 */
#ifndef ORRERY_CPU_EXEC_SYSTEM_H
#define ORRERY_CPU_EXEC_SYSTEM_H

#include "cpu/exec/exec.h"

/* ---- descriptors --------------------------------------------------------------------- */

/* System descriptor types (S = 0), SDM Vol. 3A, table 3-2. */
enum sys_type {
	ST_TSS16 = 1,
	ST_LDT = 2,
	ST_TSS16_BUSY = 3,
	ST_CALL16 = 4,
	ST_TASK = 5,
	ST_INT16 = 6,
	ST_TRAP16 = 7,
	ST_TSS = 9,
	ST_TSS_BUSY = 11,
	ST_CALL = 12,
	ST_INT = 14,
	ST_TRAP = 15,
};

/* A descriptor as read from its table. */
struct desc {
	u64 raw;
	u64 lin; /* linear address of its entry */
	u16 sel;
};

static inline u32 desc_ar(u64 raw)
{
	return raw >> 40 & 0xf0ff;
}

static inline u32 desc_base(u64 raw)
{
	return (raw >> 16 & 0xffffff) | (u32)(raw >> 56) << 24;
}

static inline u32 desc_limit(u64 raw)
{
	u32 limit = (raw & 0xffff) | (raw >> 32 & 0xf0000);

	return raw >> 55 & 1 ? limit << 12 | 0xfff : limit;
}

static inline unsigned ar_dpl(u32 ar)
{
	return (ar & AR_DPL) >> AR_DPL_SHIFT;
}

static inline bool ar_code(u32 ar)
{
	return (ar & (AR_S | AR_TYPE_CODE)) == (AR_S | AR_TYPE_CODE);
}

static inline bool ar_conforming(u32 ar)
{
	return ar_code(ar) && (ar & AR_TYPE_ED);
}

static inline bool ar_writable_data(u32 ar)
{
	return (ar & (AR_S | AR_TYPE_CODE | AR_TYPE_WR)) == (AR_S | AR_TYPE_WR);
}

static inline bool sel_null(u16 sel)
{
	return !(sel & ~3);
}

static inline bool cpu_lma(const struct cpu *cpu)
{
	return cpu->efer & EFER_LMA;
}

static inline unsigned cpu_iopl(const struct cpu *cpu)
{
	return (cpu->rflags & FL_IOPL) >> FL_IOPL_SHIFT;
}

static inline bool canonical(const struct cpu *cpu, u64 va)
{
	return (u64)sext(va, cpu->cr4 & CR4_LA57 ? 57 : 48) == va;
}

/* What registers that hold linear addresses accept (MSRs, segment and table bases): the width the processor has, whatever
 * CR4.LA57 says (SDM Vol. 1, 3.3.7.1; Vol. 3A, 4.5.2). */
static inline bool canonical_base(const struct cpu *cpu, u64 va)
{
	return (u64)sext(va, cpu_has(cpu, FEAT_LA57) ? 57 : 48) == va;
}

/**
 * Reads the 8-byte descriptor @sel from the GDT or LDT. Beyond the limit (or a null LDT): fault
 * @vec with error code
 * (@sel & ~3) | @ext. The null selector is the caller's business.
 */
MUST_CHECK int desc_read(struct cpu *cpu, u16 sel, unsigned vec, unsigned ext, struct desc *d);
/** The upper 8 bytes of a 16-byte system descriptor (IA-32e mode). */
MUST_CHECK int desc_read_high(struct cpu *cpu, const struct desc *d, unsigned vec, unsigned ext,
			      u64 *high);
/** Sets the accessed bit of a code or data descriptor in memory if it is clear. */
MUST_CHECK int desc_touch(struct cpu *cpu, struct desc *d);
/** Loads a segment register's hidden part from a descriptor. Cannot fail. */
void seg_install(struct cpu *cpu, unsigned seg, u16 sel, u64 raw);
/** Loads a segment register as real mode (or virtual-8086 mode, @v86) does. */
void seg_install_real(struct cpu *cpu, unsigned seg, u16 sel, bool v86);
/** Makes a segment register null and unusable; @dpl goes to its DPL field. */
void seg_install_null(struct cpu *cpu, unsigned seg, u16 sel, unsigned dpl);
/** Offset limit check of @n bytes at @off against hidden state, without type checks; true if it
 * fits. */
bool seg_fits(const struct seg *s, u64 off, unsigned n);
/** Segments that an outer privilege level may not keep become null (RET, IRET to outer level). */
void segs_drop_inner(struct cpu *cpu);

/**
 * Checks SS := @sel for privilege @cpl; faults are @vec (GP or TS) and #SS with | @ext. Null is
 * refused. Fills @d. SDM Vol. 2, MOV, IRET, RET, INT: every one of them asks the same of SS.
 */
MUST_CHECK int ss_check(struct cpu *cpu, u16 sel, unsigned cpl, unsigned vec, unsigned ext,
			struct desc *d);

/* ---- frames: several values pushed or popped as a whole ----------------------------------------
 */

struct frame {
	u64 v[40]; /* a call gate copies up to 31 parameters */
	unsigned n;
};

static inline void frame_add(struct frame *f, u64 v)
{
	f->v[f->n++] = v;
}

/* The stack a frame goes to: hidden state that may not be loaded yet. */
struct stack {
	struct seg seg;
	u64 base, sp, mask;
	bool long64;  /* no limits, canonical checks */
	unsigned acc; /* ACC_SYS when the new stack's privilege is below 3 */
	u32 err;      /* error code of #SS */
};

/** The current stack. */
void stack_current(struct cpu *cpu, struct stack *st);
/** The stack @sel:@sp described by @raw for privilege @cpl. */
void stack_from_desc(struct stack *st, u16 sel, u64 raw, u64 sp, unsigned cpl);
/** Writes @f in push order with @size-byte slots; moves st->sp. Everything or nothing. */
MUST_CHECK int frame_push(struct cpu *cpu, struct stack *st, const struct frame *f, unsigned size);
/** Reads @n slots in pop order from st->sp without moving it. */
MUST_CHECK int frame_peek(struct cpu *cpu, const struct stack *st, u64 *v, unsigned n,
			  unsigned size);
/** Sets RSP within the stack's width. */
void stack_commit(struct cpu *cpu, const struct stack *st);

/* ---- privilege transfers ------------------------------------------------------------- */

/** Loads CS from @d with RPL := @cpl and sets cpu->cpl; @rip becomes the next instruction. */
void cs_install(struct cpu *cpu, const struct desc *d, unsigned cpl, u64 rip);
/** Is @rip inside the code segment @raw (limit, or canonical when it is a 64-bit one)? #GP(0)
 * otherwise. */
MUST_CHECK int rip_check(struct cpu *cpu, u64 raw, u64 rip);
/** Writes RFLAGS bits of @mask from @value, keeping the reserved bits right, and recomputes the
 * mode. */
void rflags_load(struct cpu *cpu, u32 value, u32 mask);
/** CS := @sel for RET and IRET: every check up to present; fills @d. */
MUST_CHECK int return_cs(struct cpu *cpu, u16 sel, struct desc *d);
/** SS:SP of privilege @cpl from the TSS. */
MUST_CHECK int tss_stack(struct cpu *cpu, unsigned cpl, unsigned ext, u16 *ss, u64 *sp);
/** IA-32e TSS: RSPn (@slot 0..2) or ISTn (@slot 3 + n). */
MUST_CHECK int tss_rsp(struct cpu *cpu, unsigned slot, unsigned ext, u64 *rsp);
/** Checks one access to @size bytes at @port against CPL, IOPL, and the I/O permission bitmap. */
MUST_CHECK int io_permission(struct cpu *cpu, u16 port, unsigned size);

enum task_reason { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };

/* What a transfer returns beside 0 and 1: the switch is committed, cpu->fault arose in the new task
 * at cpu->rip. */
#define FAULT_IN_NEW_TASK 2

/** Task switch to the TSS @d (already read, checked for type and availability). 0, 1, or
 * FAULT_IN_NEW_TASK. */
MUST_CHECK int task_switch(struct cpu *cpu, const struct desc *d, enum task_reason why,
			   bool has_err, u32 err);
/** Through a task gate's TSS selector @sel. As task_switch(). */
MUST_CHECK int task_switch_gate(struct cpu *cpu, u16 sel, enum task_reason why, bool has_err,
				u32 err);
/** Turns a transfer's result into a simple operation's: delivers a fault that belongs to the new
 * task. */
MUST_CHECK int transfer_result(struct cpu *cpu, int result);
/** int_deliver() that tells 1 from FAULT_IN_NEW_TASK. */
MUST_CHECK int int_transfer(struct cpu *cpu, unsigned vector, enum int_kind kind, bool has_err,
			    u32 err);

/* ---- control registers --------------------------------------------------------------- */

/** MOV to CR0, CR3, CR4 with all checks and effects (also LMSW, CLTS, RSM, task switch use parts).
 */
MUST_CHECK int cr0_write(struct cpu *cpu, u64 value);
MUST_CHECK int cr3_write(struct cpu *cpu, u64 value);
MUST_CHECK int cr4_write(struct cpu *cpu, u64 value);
/** CR4 bits the CPU model has. */
u64 cr4_supported(const struct cpu *cpu);
/** XCR0 bits the CPU model has. */
u64 xcr0_supported(const struct cpu *cpu);
/** The supervisor components that IA32_XSS may enable. */
u64 xss_supported(const struct cpu *cpu);
/** Whether CET's MSR @msr takes @v: 1 with #GP(0) recorded if not (SDM Vol. 4, table 2-2). */
MUST_CHECK int cet_msr_check(struct cpu *cpu, u32 msr, u64 v);
/** Physical addresses are narrower than this many bits. */
unsigned cpu_maxphyaddr(const struct cpu *cpu);

/* ---- debug registers ----------------------------------------------------------------- */

/* cpu->int_shadow */
#define SHADOW_STI 1
#define SHADOW_MOV_SS 2 /* MOV SS, POP SS: debug exceptions wait too */

#define DR6_BD    0x2000u
#define DR6_BS    0x4000u
#define DR6_BT    0x8000u
#define DR6_FIXED 0xffff0ff0u
#define DR7_GD    0x2000u
#define DR7_FIXED 0x400u

/**
 * Is there an enabled instruction breakpoint at linear address @lin, and RFLAGS.RF clear? Then the
 * #DB is in cpu->fault and the run loop delivers it before the instruction.
 */
bool debug_code_breakpoint(struct cpu *cpu, u64 lin);
/** Fills cpu->fault with the #DB trap that reports DR6 bits @dr6 (BS after a single step, B0-B3 for
 * data). Returns 1. */
int debug_trap(struct cpu *cpu, u64 dr6, const char *why);
/** DR6 bits of enabled I/O breakpoints that @size bytes at @port hit. */
u32 debug_io_hits(const struct cpu *cpu, u16 port, unsigned size);

/* ---- time, MSRs, CPUID --------------------------------------------------------------- */

/** The time-stamp counter: virtual nanoseconds plus IA32_TSC's offset. */
u64 cpu_tsc(const struct cpu *cpu);
/** RDMSR and WRMSR without the CPL check. 1 with #GP(0) in cpu->fault. */
MUST_CHECK int msr_read(struct cpu *cpu, u32 msr, u64 *value);
MUST_CHECK int msr_write(struct cpu *cpu, u32 msr, u64 value);
/** "IA32_EFER"; NULL: no MSR that any model has. */
const char *msr_name(u32 num);
/** Values of the MSRs after RESET (@init_only: INIT keeps most of them). Called by cpu_reset(). */
void msr_reset(struct cpu *cpu, bool init_only);

/* ---- system management mode ---------------------------------------------------------- */

/** Takes an SMI at cpu->rip: saves the state at SMBASE + FE00h, enters SMM (SDM Vol. 3C, 31.4). */
void smm_enter(struct cpu *cpu);

#endif
