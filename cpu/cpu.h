/*
 * All architectural state of one logical processor, and the CPU's only way out (struct cpu_bus).
 *
 * The general registers stand first, in one array with pseudo-registers, because micro-operations address
 * their operands by byte offset into struct cpu (cpu/exec/uop.h).
 * Derived state (TLBs, blocks) hangs from pointers and is never saved.
 */
#ifndef ORRERY_CPU_H
#define ORRERY_CPU_H

#include "base/types.h"
#include "cpu/decoder/features.h"

/* ---- registers ------------------------------------------------------------------------------ */

enum reg {
	RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
	R_ZERO = 16,     /* always 0: the missing base or index */
	R_CODE,          /* rip of byte 0 of the linear page that holds the running block (rip - page offset) */
	R_TMP,           /* scratch between the micro-operations of one instruction */
	R_EA,            /* linear address of a read-modify-write spread over several of them */
	R_4GIB,          /* always 2^32 */
	R_SEGBASE = 24,  /* + enum seg_reg: hidden base of each segment register, LDTR and TR */
	NREGS = 32,
};

/* Numbered as the Sreg field of ModRM; LDTR and TR follow. */
enum seg_reg { ES, CS, SS, DS, FS, GS, LDTR, TR, NSEGS, SEG_NONE = 0xff };

/* Access rights in the format of the VMCS guest-segment access-rights field (SDM Vol. 3C, 25.4.1). */
#define AR_TYPE 0x000fu
#define AR_TYPE_ACCESSED 0x1u
#define AR_TYPE_WR 0x2u     /* data: writable; code: readable */
#define AR_TYPE_ED 0x4u     /* data: expand-down; code: conforming */
#define AR_TYPE_CODE 0x8u
#define AR_S 0x0010u
#define AR_DPL_SHIFT 5
#define AR_DPL 0x0060u
#define AR_P 0x0080u
#define AR_AVL 0x1000u
#define AR_L 0x2000u
#define AR_DB 0x4000u
#define AR_G 0x8000u
#define AR_UNUSABLE 0x10000u

/* The base is cpu->r[R_SEGBASE + seg]. */
struct seg {
	u16 sel;
	u32 ar;
	u32 limit; /* in bytes, already scaled by G */
};

struct dtr { /* GDTR, IDTR */
	u64 base;
	u16 limit;
};

/* RFLAGS */
#define FL_CF 0x1u
#define FL_R1 0x2u /* always set */
#define FL_PF 0x4u
#define FL_AF 0x10u
#define FL_ZF 0x40u
#define FL_SF 0x80u
#define FL_TF 0x100u
#define FL_IF 0x200u
#define FL_DF 0x400u
#define FL_OF 0x800u
#define FL_IOPL 0x3000u
#define FL_IOPL_SHIFT 12
#define FL_NT 0x4000u
#define FL_RF 0x10000u
#define FL_VM 0x20000u
#define FL_AC 0x40000u
#define FL_VIF 0x80000u
#define FL_VIP 0x100000u
#define FL_ID 0x200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* CR0 */
#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u

/* CR4 */
#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_MCE 0x40u
#define CR4_PGE 0x80u
#define CR4_PCE 0x100u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_LA57 0x1000u
#define CR4_VMXE 0x2000u
#define CR4_SMXE 0x4000u
#define CR4_FSGSBASE 0x10000u
#define CR4_PCIDE 0x20000u
#define CR4_OSXSAVE 0x40000u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u
#define CR4_PKE 0x400000u
#define CR4_CET 0x800000u

/* IA32_EFER */
#define EFER_SCE 0x1u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define EFER_NXE 0x800u

/* Exceptions and fixed vectors */
enum exc {
	EXC_DE, EXC_DB, EXC_NMI, EXC_BP, EXC_OF, EXC_BR, EXC_UD, EXC_NM, EXC_DF, EXC_CSO, EXC_TS,
	EXC_NP, EXC_SS, EXC_GP, EXC_PF, EXC_MF = 16, EXC_AC, EXC_MC, EXC_XM, EXC_VE, EXC_CP,
	EXC_VMEXIT = 32, /* not an exception: what stopped the instruction is a VM exit, described by cpu->vm_fault */
};

/* ---- FPU and vector state ------------------------------------------------------------------- */

/* An x87 register: 64-bit significand (the MMX register) and sign+exponent. */
struct x87_reg {
	u64 mant;
	u16 se;
	u16 pad[3];
} __attribute__((aligned(16)));

/* Status word, TOP, tags and control word in the forms that cost its operations least: cpu/exec/x87.h has them whole. */
struct x87 {
	struct x87_reg r[8]; /* physical registers R0..R7: ST(i) is (st0 + 16 i) % 128 bytes into them */
	u16 cw;
	u16 sw;              /* without TOP and C1; in snapshots with them */
	u8 valid;            /* in snapshots alone: the abridged tag word */
	u8 st0;              /* TOP * 16 */
	u16 fop, fcs, fds;
	u16 c1;              /* C1 in its bit, as the host's status word had it; the other bits mean nothing */
	s16 empty;           /* bit i: ST(i) is empty. Bits 15:8 are ones: popping shifts right */
	u16 refuse;          /* what in the host's status word says that a result cannot be had from the host */
	u16 refuse_store;    /* the same of one rounded to a memory operand's format */
	u64 fip, fdp;
};

union vec { /* one ZMM register; XMM and YMM are its low parts */
	u8 b[64];
	u16 w[32];
	u32 d[16];
	u64 q[8];
	float ps[16];
	double pd[8];
} __attribute__((aligned(64)));

/* ---- faults ----------------------------------------------------------------------------------- */

/* The pending exception: filled by the check that failed, delivered by the run loop. */
struct fault {
	u8 vector;
	bool has_err;
	u32 err;
	u64 addr;        /* #PF: CR2 */
	u64 dr6;         /* #DB: bits to set in DR6 */
	const char *why; /* which check failed, in the SDM's words (static string) */
	u64 value;       /* the value that failed it (selector, descriptor, PTE, limit...) */
};

/* What checks had before them; meaningful where the fault that came of it says so (cpu/fault_log.h). */
struct fault_trail {
	u64 desc_raw, desc_lin;          /* the segment descriptor read last, and where it stands */
	u64 gate_raw, gate_high, gate_lin; /* the same of the IDT's gate */
	u64 aux;                         /* a second value beside fault.value: the offending bits, the I/O map's base, ... */
	u16 desc_sel;
	u16 delivering;                  /* 0, or the event whose delivery failed: vector | enum int_kind << 8 | 0x8000 */
	u8 seg;                          /* enum seg_reg of a segmentation fault */
	struct seg stack;                /* of a stack fault: the stack in question, which need not be loaded */
	u64 stack_base;
	/* The page walk that failed: entries as read, from the root. */
	struct {
		u64 lin, pdpte;
		u64 at[5], entry[5];
		u64 ept_gpa, ept_at[5], ept_entry[5];
		u8 n, size, acc, cls, ept_n;
	} walk;
};

/* A VM exit that an instruction or an access of its causes (SDM Vol. 3C, 27.2); it travels as a fault does. */
struct vm_fault {
	u32 reason;    /* basic exit reason */
	u32 intr_info; /* reason 0: VM-exit interruption information */
	u32 intr_err;
	u32 insn_info; /* VM-exit instruction information */
	u8 len;        /* VM-exit instruction length; 0: not provided */
	bool ve_suppressed; /* reason 48: the EPT entry does not allow a #VE instead */
	u64 qual;      /* exit qualification */
	u64 lin, gpa;  /* guest-linear and guest-physical address */
};

/* Where the logical processor stands with respect to VMX operation (SDM Vol. 3C, 23.3). */
enum vmx_mode { VMX_OFF, VMX_ROOT, VMX_NONROOT };

/* ---- events that reach the CPU from outside ------------------------------------------------- */

#define CPU_EV_INTR 0x1u   /* level: an external interrupt is waiting (bus->intack) */
#define CPU_EV_NMI 0x2u    /* edge */
#define CPU_EV_SMI 0x4u    /* edge */
#define CPU_EV_INIT 0x8u   /* edge */
#define CPU_EV_SIPI 0x10u  /* edge; vector in cpu->sipi_vector */
#define CPU_EV_RESET 0x20u /* set by the machine */
#define CPU_EV_STOP 0x40u  /* leave cpu_run at the next instruction boundary */
#define CPU_EV_FERR 0x80u  /* unused by the CPU: x87 error line is bus->ferr */
#define CPU_EV_VMX 0x100u  /* VMX non-root operation: a window, timer, trap or virtual interrupt may be due */

/* The last two wait for wait_until too, and end with any interrupt, masked or not. */
enum cpu_activity { CPU_ACTIVE, CPU_HLT, CPU_SHUTDOWN, CPU_WAIT_SIPI, CPU_MWAIT, CPU_TPAUSE, CPU_UMWAIT };

/* ---- the CPU's only way out ------------------------------------------------------------------- */

#define BUS_PAGE_WRITABLE 0x1u /* plain stores may go to the host page (RAM); otherwise use mmio_write */

struct cpu_bus {
	void *ctx;
	/**
	 * Maps the 4-KiB guest-physical page at @gpa (page aligned, A20 already applied).
	 * Returns the host address of its 4096 bytes, or NULL when accesses must go through
	 * mmio_read/mmio_write. @flags gets BUS_PAGE_*. The mapping holds until cpu_tlb_flush_all().
	 */
	u8 *(*ram_page)(void *ctx, u64 gpa, unsigned *flags);
	/* Accesses of 1, 2, 4 or 8 bytes, not crossing an 8-byte boundary unless @size says so. */
	u64 (*mmio_read)(void *ctx, u64 gpa, unsigned size);
	void (*mmio_write)(void *ctx, u64 gpa, u64 value, unsigned size);
	/* size 1, 2 or 4 */
	u32 (*io_read)(void *ctx, u16 port, unsigned size);
	void (*io_write)(void *ctx, u16 port, u32 value, unsigned size);
	/* String I/O: as many of @count units as may go at once, at least one. Returns how many. */
	u32 (*io_read_run)(void *ctx, u16 port, unsigned size, u8 *data, u32 count);
	u32 (*io_write_run)(void *ctx, u16 port, unsigned size, const u8 *data, u32 count);
	/* Interrupt acknowledge: the vector (0..255) of the waiting external interrupt. */
	u8 (*intack)(void *ctx);
	/* Local APIC: TPR as CR8 (bits 3:0), and the MSRs 1Bh, 6E0h, 800h..8FFh. Return 0, or -1 for #GP. */
	u8 (*get_cr8)(void *ctx);
	void (*set_cr8)(void *ctx, u8 value);
	int (*apic_msr_read)(void *ctx, u32 msr, u64 *value);
	int (*apic_msr_write)(void *ctx, u32 msr, u64 value);
	/* x87 error: the level of FERR# (CR0.NE = 0), which the PC wires to IRQ 13. */
	void (*ferr)(void *ctx, bool level);
	/* Virtual time in nanoseconds; one TSC tick is 1 ns. Exact inside simple operations. */
	u64 (*time)(void *ctx);
	unsigned ns_per_insn; /* how far one instruction advances it; 0: 1 */
	/* PAUSE takes more time than an instruction: lets it pass, and returns how many instructions take as long. May be NULL. */
	u32 (*pause)(void *ctx);
	/* Entering (true) or leaving SMM: the SMRAM window opens or closes. The caller flushes the TLB. May be NULL. */
	void (*set_smm)(void *ctx, bool active);
};

/* ---- struct cpu --------------------------------------------------------------------------------- */

struct insn;
struct block_cache;
struct tlb;
struct mmu;
struct log;
struct uop;
struct jump_cache_entry;
struct vmx;
struct cpu_watchers;

/* Where a block goes on when the CALL in its middle returns; valid as a jump cache entry is. */
struct call_return {
	u64 rip;
	u64 key;                /* cpu->jump_key then */
	const struct uop *uops;
	u64 before;             /* instructions of the block before it */
};
#define RETURNS 16

struct cpu {
	u64 r[NREGS];          /* enum reg */

	/* The run loop's registers, here whenever no handler chain is running. */
	u64 fa, fb;            /* operands of the lazy flags; meaning depends on flag_kind */
	u32 flag_kind;         /* enum flag_kind (cpu/exec/flags.h); 0: rflags is exact */
	u32 rflags;            /* bits FL_ARITH are stale unless flag_kind == 0 */
	s64 cd;                /* instructions left in this slice */
	u64 icount_end;        /* instruction count at which cd reaches 0: icount = icount_end - cd */
	struct tlb *tlb;       /* the current translation set for data and code */
	u8 slow[64] __attribute__((aligned(64))); /* value of a slow access (cpu/exec/uop.h) */

	u32 attn;              /* something needs the run loop at the next instruction boundary */
	bool fault_pending;    /* cpu->fault waits for delivery */
	struct jump_cache_entry *jump_cache; /* cpu/exec/uop.h */
	u64 jump_key;          /* names the translations and the mode that jump cache entries must agree with */
	struct uop *link_from; /* the unresolved link that the chain left through */
	struct call_return returns[RETURNS]; /* of the calls not returned from yet: a ring */
	u64 return_top;        /* byte offset in it of the last */

	u64 rip;               /* exact outside handler chains; inside simple operations: the next instruction */
	u64 insn_rip;          /* inside simple operations: the running instruction */
	u32 mode;              /* MODE_* decode mode key, kept by cpu_mode_changed() */
	u8 cpl;
	u8 int_shadow;         /* 1: STI, 2: MOV SS / POP SS: blocks events for one instruction */
	u8 nmi_blocked;
	u8 activity;           /* enum cpu_activity */
	u32 events;            /* CPU_EV_* */
	u8 sipi_vector;
	bool smm;
	bool a20_masked;       /* A20M# asserted: bit 20 of physical addresses reads 0 */

	struct seg seg[NSEGS];
	struct dtr gdtr, idtr;
	u64 cr0, cr2, cr3, cr4, xcr0;
	u64 dr[8];             /* DR0-3, DR6, DR7 */
	u64 pdpte[4];          /* PAE: loaded by MOV CR3/CR0/CR4 (SDM Vol. 3A, 4.4.1) */
	u32 pkru;

	u32 mxcsr;
	struct x87 x87;
	union vec v[32];
	u64 k[8];

	/* MSRs with storage (msrs.def says which) */
	u64 efer, star, lstar, cstar, sfmask, kernel_gs_base, tsc_aux;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat, mtrr_def_type, mtrr_fixed[11], mtrr_var[20];
	u64 tsc_offset, tsc_adjust, misc_enable, feature_control, debugctl, spec_ctrl, xss;
	u64 u_cet, s_cet, pl_ssp[4], int_ssp_table; /* state alone: no shadow stack is kept, no ENDBRANCH asked for */
	u64 umwait_control;    /* bits 31:2: the longest wait of UMWAIT and TPAUSE in TSC ticks; 0: any */
	u64 smbase, mcg_status, mcg_ctl, perf_global_ctrl, platform_info, bios_sign_id;
	u64 msr_misc[64];      /* further plain-storage MSRs by msrs.def index */

	struct fault fault;
	/* What led to the last triple fault: the fault, the one while delivering it, the one while delivering
	 * #DF, which ended in CPU_SHUTDOWN; [3]: the exception before them whose delivery began the chain. */
	struct fault triple[4];
	u32 stats_faults[32];
	struct fault_trail trail;
	struct fault_log *fault_log; /* cpu/fault_log.h; NULL: exceptions are not kept */

	const struct cpu_model *model; /* CPUID leaves and MSR presets (cpu/exec/cpuid.h) */
	u32 feat[FEATURE_WORDS];       /* bitmap by enum feature */
	struct cpu_bus bus;
	struct mmu *mmu;               /* cpu/mmu: translation sets, walker state */
	struct block_cache *blocks;    /* cpu/exec: decoded blocks */
	struct log *log;               /* may be NULL */
	struct dirty_map *dirty;       /* base/dirty.h; NULL: nobody wants to know what is written */
	unsigned index;                /* vCPU number; the initial APIC ID */
	unsigned cpu_count;            /* vCPUs of the machine, for CPUID topology; 0 means 1 */
	bool bsp;
	/* The machine's processors stand in a ring and share their decoded code. Before cpu_init(): NULL, or any of the ring to join. */
	struct cpu *peer;
	bool others_wait;      /* another processor could run: PAUSE ends the slice (kept by the machine) */
	bool paused;           /* PAUSE ended it */
	bool monitor_armed;    /* MONITOR, UMONITOR: no store has yet reached the 64-byte line at monitor_gpa */
	bool monitor_user;     /* UMONITOR armed it: for UMWAIT alone */
	bool wait_limited;     /* CPU_TPAUSE, CPU_UMWAIT: wait_until comes from umwait_control */
	u64 monitor_gpa;
	u64 wait_until;        /* their TSC deadline (cpu_tsc()) */
	u64 rng;                       /* state of RDRAND/RDSEED; part of the saved state, seeded by the machine */
	u8 vmx_mode;                   /* enum vmx_mode */
	u8 vmx_shadow;                 /* int_shadow at the start of the running instruction, in non-root operation */
	struct vmx *vmx;               /* cpu/vmx: VMCS, capabilities; NULL without VMX */
	struct cpu_watchers *watchers; /* cpu/watch.h; NULL: nobody looks */
	u8 seen_cpl;                   /* for them: the privilege level last seen */
	u8 block_insns;                /* instructions of its block that ran before the one whose fault is pending; for explanations */
	struct vm_fault vm_fault;      /* with cpu->fault.vector == EXC_VMEXIT */
	u64 run_end;                   /* instruction count at which cpu_run() ends: PAUSE lets it come sooner */
	u64 vmx_shadow_end;            /* vmx_shadow is that of instructions up to this one only (their count before it) */
	u64 dr6_pending;               /* DR6 bits of data breakpoints the running instruction hit: a #DB trap after it */
};

/* Decode mode key: what of the machine's state a block's micro-operations were built for. */
#define MODE_BITS 0x3u        /* 0: 16-bit code, 1: 32-bit code, 2: 64-bit code */
#define MODE_16 0u
#define MODE_32 1u
#define MODE_64 2u
#define MODE_SS32 0x4u        /* SS.B: stack pointer is ESP (RSP in 64-bit mode) */
#define MODE_FLAT_DATA 0x8u   /* DS, ES, SS: base 0, limit 4 GiB, writable, expand-up, or 64-bit mode */
#define MODE_FLAT_CODE 0x10u  /* CS: base 0, limit 4 GiB, or 64-bit mode */
#define MODE_REAL 0x20u       /* CR0.PE = 0 */
#define MODE_V86 0x40u
#define MODE_X87_NM 0x80u     /* CR0.EM or CR0.TS: x87 instructions raise #NM */
#define MODE_SSE_UD 0x100u    /* CR0.EM = 1 or CR4.OSFXSR = 0: SSE raises #UD */
#define MODE_SSE_NM 0x200u    /* CR0.TS: SSE and MMX raise #NM */
#define MODE_AVX_UD 0x400u    /* CR4.OSXSAVE = 0 or XCR0[2:1] != 3 */
#define MODE_AVX512_UD 0x800u
#define MODE_TF 0x1000u       /* RFLAGS.TF or an armed breakpoint (DR7): one instruction per block */
#define MODE_AC 0x2000u       /* alignment checking is in force */
#define MODE_TRACE 0x4000u    /* blocks call out per instruction (-d exec, trace) */
#define MODE_EM 0x8000u       /* CR0.EM: MMX raises #UD */
#define MODE_LMA 0x10000u     /* EFER.LMA: compatibility or 64-bit mode */
#define MODE_MXCSR_EXACT 0x20000u /* an SSE exception is unmasked: SSE arithmetic goes the exact way */
#define MODE_NONROOT 0x40000u /* VMX non-root operation: instructions of rows with a vmx column ask whether they exit */

static inline bool cpu_has(const struct cpu *cpu, enum feature f)
{
	return cpu->feat[f / 32] >> (f % 32) & 1;
}

static inline u64 seg_base(const struct cpu *cpu, unsigned seg)
{
	return cpu->r[R_SEGBASE + seg];
}

static inline bool cpu_long64(const struct cpu *cpu)
{
	return (cpu->mode & MODE_BITS) == MODE_64;
}

static inline bool cpu_protected(const struct cpu *cpu) /* protected mode, not virtual-8086 */
{
	return (cpu->cr0 & CR0_PE) && !(cpu->rflags & FL_VM);
}

static inline bool cpu_v86(const struct cpu *cpu)
{
	return cpu->rflags & FL_VM;
}

/** Instructions retired since power-on. Exact inside simple operations and MMIO accesses. */
static inline u64 cpu_icount(const struct cpu *cpu)
{
	return cpu->icount_end - (u64)cpu->cd;
}

/**
 * Records an exception for delivery and returns 1, so that checks read
 * `return cpu_fault(cpu, EXC_GP, sel & ~3, "DPL < CPL", desc);`
 * @err is pushed for the vectors that have an error code. @why is a static string naming the check that
 * failed; @value is what failed it. Nothing else of the architectural state may have changed yet.
 */
int cpu_fault(struct cpu *cpu, unsigned vector, u32 err, const char *why, u64 value);

/** #PF with CR2 = @addr. */
int cpu_page_fault(struct cpu *cpu, u64 addr, u32 err, const char *why, u64 value);

/** Recomputes cpu->mode, the current translation set and the x87/SSE gates after any change to CR0, CR4, EFER,
 * XCR0, a segment register, CPL, RFLAGS.VM/AC/TF or DR7. Must be called before the next instruction. */
void cpu_mode_changed(struct cpu *cpu);

/* RFLAGS with the lazily kept arithmetic bits (cpu/exec/flags.h). */
u32 cpu_rflags(struct cpu *cpu);
void cpu_set_rflags(struct cpu *cpu, u32 value);

#endif
