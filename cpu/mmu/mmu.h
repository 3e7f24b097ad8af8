/*
 * Address translation: segmentation, paging, the tagged TLB (SDM Vol. 3A, chapters 3-5).
 */
#ifndef ORRERY_CPU_MMU_H
#define ORRERY_CPU_MMU_H

#include "cpu/cpu.h"

#define MMU_PHYS_BITS 40u /* MAXPHYADDR, as CPUID 80000008h must report */

/* ---- TLB layout, known to the inlined fast path (cpu/exec/uop.h) ------------------------------- */

#define TLB_BITS 9
#define TLB_SIZE (1u << TLB_BITS)
#define ITLB_BITS 10
#define ITLB_SIZE (1u << ITLB_BITS)

/*
 * Hit iff va - tag <= 4096 - size (unsigned): one compare covers the page and the crossing.
 * Then the host address is host + va. Only plain RAM is ever entered: MMIO, ROM (for writes), pages holding decoded
 * code (for writes), and watched pages are always misses. An empty entry's tag is a page that hashes elsewhere.
 */
struct tlb_entry {
	u64 tag;
	uintptr_t host; /* host address of the page, minus the page's linear address */
};

struct itlb_entry {
	u64 tag;  /* linear page address; empty as above */
	u64 phys; /* physical page address */
};

/* One privilege class of one address space: what cpu->tlb points at. */
struct tlb {
	struct tlb_entry r[TLB_SIZE];
	struct tlb_entry w[TLB_SIZE];
	struct itlb_entry x[ITLB_SIZE];
	u64 gen; /* unique over the life of the cpu; renewed at every flush: keys jump caches and return rings */
};

static ALWAYS_INLINE unsigned tlb_index(u64 va)
{
	return va >> 12 & (TLB_SIZE - 1);
}

static ALWAYS_INLINE unsigned itlb_index(u64 va)
{
	return va >> 12 & (ITLB_SIZE - 1);
}

/* ---- access kinds ------------------------------------------------------------------------------- */

#define ACC_R 0x1u
#define ACC_W 0x2u
#define ACC_RW 0x3u  /* read-modify-write: needs (and reports) write permission */
#define ACC_X 0x4u
#define ACC_SYS 0x8u /* implicit supervisor access: GDT, LDT, IDT, TSS (ignores CPL; SMAP applies without AC) */
#define ACC_VEC 0x20u /* an element of a vector (VMASKMOV, VPGATHER), a half-precision conversion: alignment is not checked */
#define ACC_USER 0x10u /* force user privilege (e.g. pushes to an outer stack are not: used by probes) */

/* ---- memory by linear address ------------------------------------------------------------------- */

/*
 * All return 0, or 1 with cpu->fault filled (#PF; nothing read or written). @n may be any length up to 4096 and may
 * cross pages: every page is translated before any byte moves. MMIO is split as the bus wants it.
 * These are the slow, general forms; the fast path probes cpu->tlb first. They try the TLB themselves.
 */
MUST_CHECK int mem_read(struct cpu *cpu, u64 lin, void *buf, unsigned n, unsigned acc);
MUST_CHECK int mem_write(struct cpu *cpu, u64 lin, const void *buf, unsigned n, unsigned acc);
/** Checks that @n bytes at @lin could be accessed as @acc; sets A/D bits as the access would. */
MUST_CHECK int mem_probe(struct cpu *cpu, u64 lin, unsigned n, unsigned acc);
/** #AC if @lin is not a multiple of @align (2, 4, 8, 16) and alignment is checked: for operands of several elements. */
MUST_CHECK int mem_aligned(struct cpu *cpu, u64 lin, unsigned align, unsigned acc);
/**
 * Host address of @n bytes at @lin that lie in one page of plain RAM and may be accessed directly as @acc, or NULL
 * when they do not (MMIO, crossing, code page on write, watch point) *or* when the access faults: then use
 * mem_read/mem_write, which say so. For REP strings and other bulk work.
 */
u8 *mem_host(struct cpu *cpu, u64 lin, unsigned n, unsigned acc);

/* Typed shorthands. */
#define MEM_SHORTHANDS(bits)                                                                      \
	MUST_CHECK static inline int mem_read##bits(struct cpu *cpu, u64 lin, u##bits *v, unsigned acc)  \
	{                                                                                          \
		return mem_read(cpu, lin, v, bits / 8, acc | ACC_R);                                \
	}                                                                                          \
	MUST_CHECK static inline int mem_write##bits(struct cpu *cpu, u64 lin, u##bits v, unsigned acc)  \
	{                                                                                          \
		return mem_write(cpu, lin, &v, bits / 8, acc | ACC_W);                              \
	}
MEM_SHORTHANDS(8)
MEM_SHORTHANDS(16)
MEM_SHORTHANDS(32)
MEM_SHORTHANDS(64)
#undef MEM_SHORTHANDS

/* ---- segmentation --------------------------------------------------------------------------------- */

/**
 * Linear address of @size bytes (1..4096) at @seg:@off for an access @acc, with every check of the current mode: null/unusable,
 * type, limit (expand-down too), canonical form in 64-bit mode. @off must already be truncated to the address size.
 * Faults #GP(0), or #SS(0) when @seg is SS. 0 on success.
 */
MUST_CHECK int seg_linear(struct cpu *cpu, unsigned seg, u64 off, unsigned size, unsigned acc, u64 *lin);

/* ---- translation --------------------------------------------------------------------------------- */

struct xlat {
	u64 gpa;       /* guest-physical address (A20 applied) of the byte asked for */
	u64 page_size; /* 4096, 2 MiB, 4 MiB, 1 GiB */
	u8 *host;      /* host address of that byte's 4-KiB page, or NULL for MMIO */
	unsigned flags; /* BUS_PAGE_* */
};

/**
 * The one walker. Translates @lin for @acc at the current privilege, sets accessed and dirty bits, fills the TLB (r, w or x
 * side) where the page is plain RAM. 0, or 1 with cpu->fault = #PF.
 */
MUST_CHECK int mmu_translate(struct cpu *cpu, u64 lin, unsigned acc, struct xlat *out);

/* Optional recorder of a walk: what the debugger, explanations and labs show. */
struct walk_step {
	u8 level;      /* 5..1: PML5E..PTE */
	u8 stage;      /* 0: guest paging, 1: EPT */
	u64 entry_gpa; /* where the entry was read */
	u64 entry;     /* its value as read */
};
struct walk_record {
	struct walk_step step[64];
	unsigned n;
	const char *verdict; /* NULL: translated */
};
/** As mmu_translate without side effects (no A/D update, no TLB fill, no fault delivered), recording every entry read. */
MUST_CHECK int mmu_walk_record(struct cpu *cpu, u64 lin, unsigned acc, struct xlat *out, struct walk_record *rec);

/** Fetch for decoding: copies the bytes at linear @lin, at most 15 and never past the end of its page; @*n (output only)
 * says how many. A decoder that needs more asks again at @lin + @*n: so the next page is touched only when an
 * instruction really reaches into it, and a #PF there has the right CR2. Code permission is checked. */
MUST_CHECK int mmu_fetch(struct cpu *cpu, u64 lin, u8 *buf, unsigned *n);
/** Translates the code page holding @lin for execution (tlb->x first): its guest-physical page, and its host
 * address, NULL for MMIO. @host may be NULL when not wanted. 1: #PF. */
MUST_CHECK int mmu_code_page(struct cpu *cpu, u64 lin, u64 *phys_page, u8 **host);
/** Whether the linear page @page is known, without a walk, to be executable and the frame @phys; enters it into tlb->x. */
bool mmu_code_again(struct cpu *cpu, u64 page, u64 phys);

/* ---- invalidation (SDM Vol. 3A, 4.10) --------------------------------------------------------------- */

void mmu_flush_all(struct cpu *cpu);           /* every set of every VPID, global pages too; host mappings as well */
void mmu_forget(struct cpu *cpu);              /* the same, down to which set is taken next: as after mmu_init() */
void mmu_flush_vpid(struct cpu *cpu);          /* the current VPID's, global pages too: MOV to CR0 or CR4 */
void mmu_flush_nonglobal(struct cpu *cpu);     /* the current PCID's, global kept (may over-invalidate) */
void mmu_invlpg(struct cpu *cpu, u64 lin);
void mmu_refill(struct cpu *cpu); /* forgets no translation, but fills the fast path's tables anew: watched pages changed */
/** MOV to CR3 after the checks: switches the translation set by PCID; @noflush is bit 63 of the source. */
void mmu_set_cr3(struct cpu *cpu, u64 cr3, bool noflush);
void mmu_invpcid(struct cpu *cpu, unsigned type, u64 pcid, u64 lin);
/**
 * Chooses cpu->tlb for the current CPL, CR4.SMAP and RFLAGS.AC; called by cpu_mode_changed(). Also notices, and drops
 * what they make wrong: changes of CR0.PG/WP, CR4.PSE/PAE/PGE/LA57/PCIDE/SMEP/SMAP/PKE, EFER.LMA/NXE, PKRU (call it after
 * WRPKRU and XRSTOR), A20M#, SMM, DR7 and DR0-3 (call it after MOV to any of them).
 */
void mmu_select(struct cpu *cpu);
/** The same where only RFLAGS.AC has changed. */
void mmu_select_ac(struct cpu *cpu);
/** PAE: loads and checks the four PDPTEs from CR3; #GP(0) on reserved bits. No-op (0) outside PAE paging. */
MUST_CHECK int mmu_load_pdptes(struct cpu *cpu, u64 cr3, u64 cr0, u64 cr4, u64 efer);

/* ---- virtual machines (SDM Vol. 3C, chapter 28) ---------------------------------------------------- */

struct mmu_vm {
	bool nonroot;
	bool mbec;      /* mode-based execute control */
	u16 vpid;       /* 0: root operation, or no VPID */
	u64 eptp;       /* the EPTP, or 0: no second stage */
	u64 apic_page;  /* APIC-access page, or ~0 */
	u64 spptp;      /* sub-page-permission table, with bit 0 set; 0: no sub-page write permissions */
	u64 *pml_index; /* the VMCS field, or NULL: no page-modification log */
	u64 pml_addr;
};
/** VM entry, VM exit, VMFUNC: translations from now on are @vm's, by the CR0, CR3, CR4, EFER now in @cpu. Drops nothing.
 * cpu_mode_changed() or mmu_select() must follow. */
void mmu_vm_switch(struct cpu *cpu, const struct mmu_vm *vm);

enum mmu_inv { MMU_INV_ADDRESS, MMU_INV_CONTEXT, MMU_INV_ALL, MMU_INV_NONGLOBAL };
/** INVVPID after its checks; MMU_INV_ALL spares VPID 0. */
void mmu_invvpid(struct cpu *cpu, enum mmu_inv type, u16 vpid, u64 lin);
/** INVEPT: what was derived from the EPT at @eptp bits 51:12, or (@all) from any. */
void mmu_invept(struct cpu *cpu, bool all, u64 eptp);
/** Everything tagged VPID 0: VM entry and exit with VPIDs off. */
void mmu_flush_vpid0(struct cpu *cpu);
/** Guest-physical to physical through the current EPT, if any, for a PDPTE or a table; 1: EPT violation in cpu->fault. */
MUST_CHECK int mmu_guest_physical(struct cpu *cpu, u64 gpa, unsigned acc, u64 *hpa);

struct mmu_stats {
	u64 walks, guest_refs, ept_refs; /* cold walks and the entries they read */
	u64 s2_hits, s2_misses;          /* guest-physical mappings */
	u64 flush_vpid0, flush_invvpid, flush_invept, flush_cr3, flush_cr4, flush_all;
};
const struct mmu_stats *mmu_stats(const struct cpu *cpu);

/**
 * Implemented by cpu/vmx: an access of @n bytes at offset @off of the APIC-access page, linear address @lin. 1: VM exit in
 * cpu->fault. 0: it goes to the virtual-APIC page at physical address *@vapic.
 */
MUST_CHECK int vmx_apic_access(struct cpu *cpu, u64 lin, unsigned off, unsigned n, unsigned acc, u64 *vapic);

/** Marks in cpu->dirty every page that the fast path may write without asking. */
void mmu_mark_writable(struct cpu *cpu);

int mmu_init(struct cpu *cpu);    /* -ENOMEM */
void mmu_free(struct cpu *cpu);

/* ---- guest-physical access, for the walker and tables ------------------------------------------------- */

void phys_read(struct cpu *cpu, u64 gpa, void *buf, unsigned n);
void phys_write(struct cpu *cpu, u64 gpa, const void *buf, unsigned n); /* honours decoded-code pages */

/* ---- decoded code (implemented by cpu/exec/blocks.c; called on the slow path only) -------------------- */

/** True if the physical page holds decoded blocks: its stores must take the slow path. */
bool code_page_present(struct cpu *cpu, u64 gpa_page);
/** Guest stores to @n bytes at @gpa are about to happen or just happened: drops the blocks they touch. */
void code_written(struct cpu *cpu, u64 gpa, unsigned n);
/** Called by exec when a page first receives decoded code: drops every write-side TLB entry of that physical page. */
void mmu_protect_page(struct cpu *cpu, u8 *host_page);

#endif
