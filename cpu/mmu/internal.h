/* What the files of cpu/mmu share: translation sets, the second-level TLB, the walker. */
#ifndef ORRERY_CPU_MMU_INTERNAL_H
#define ORRERY_CPU_MMU_INTERNAL_H

#include "cpu/mmu/mmu.h"

#define PAGE_SIZE 4096u
#define PAGE_MASK (~0xfffull)

/* Bits of a paging-structure entry (SDM Vol. 3A, tables 4-4 to 4-20). */
#define PTE_P          0x1u
#define PTE_W          0x2u
#define PTE_U          0x4u
#define PTE_A          0x20u
#define PTE_D          0x40u
#define PTE_PS         0x80u
#define PTE_G          0x100u
#define PTE_NX         BIT64(63)
#define PTE_PKEY_SHIFT 59

/* #PF error code (SDM Vol. 3A, 4.7). */
#define PF_P    0x1u
#define PF_W    0x2u
#define PF_U    0x4u
#define PF_RSVD 0x8u
#define PF_I    0x10u
#define PF_PK   0x20u

/* Rights of a translation, combined over all levels. */
#define PERM_U          0x1u
#define PERM_W          0x2u
#define PERM_NX         0x4u
#define PERM_D          0x8u  /* the dirty flag of the leaf is set */
#define PERM_HOST_W     0x10u /* BUS_PAGE_WRITABLE */
#define PERM_NO_S2R     0x20u /* EPT denies reads; the walk decides what that means */
#define PERM_NO_S2W     0x40u /* EPT denies writes, or its dirty flag must still be set */
#define PERM_NO_S2X     0x80u /* EPT denies fetches at the page's privilege */
#define PERM_PKEY_SHIFT 8
#define PERM_SIZE_SHIFT 16 /* log2 of the page size */

/* Privilege classes: each has its own struct tlb, so that a hit needs no rights check. */
enum tlb_class {
	CLS_USER,
	CLS_SMAP, /* supervisor, user pages out of reach of data accesses */
	CLS_SUP,  /* supervisor with CR4.SMAP = 0 or RFLAGS.AC = 1 */
	NCLASSES
};

/*
 * What separates translations that may be cached side by side, apart from the PCID: global ones are
 * shared by the sets of a space (SDM Vol. 3C, 28.3.2: combined mappings carry VPID, PCID and EP4TA).
 */
struct space_tag {
	u64 eptp;   /* 0: no second stage */
	u64 apic;   /* the APIC-access page: its translations are special; ~0: none */
	u64 paging; /* paging_key(): the form of the paging structures */
	u16 vpid;
	bool nonroot, mbec;
};

struct space {
	struct space_tag tag;
	bool valid;
	u32 global_epoch; /* second-level entries of global pages carry it */
	u64 used;         /* LRU */
};

#define NSETS     16
#define NSPACES   6
#define SEEN_BITS 4096u

/* A class that was filled at no more places than this is cleared there only. */
#define FILLED_MAX 32u

struct set {
	struct tlb cls[NCLASSES];
	u32 nfilled[NCLASSES]; /* above FILLED_MAX: not counted any more */
	u64 filled[NCLASSES][FILLED_MAX];
	struct space *space;
	u64 regime, debug; /* what its first level was filled under: regime_key(), debug_key() */
	u16 pcid;
	bool valid;
	u8 stale;      /* bit per class: its arrays must be cleared before use... */
	u8 stale_code; /* ...code translations too, even if they are all global */
	bool local_code[NCLASSES]; /* some code translation is not global */
	bool kept_code[NCLASSES];  /* some code translation is older than what filled[] lists */
	u32 epoch; /* second-level entries of this set carry it */
	u64 used;  /* LRU */
	/* hashed pages whose code was translated since gen was renewed */
	u64 seen[NCLASSES][SEEN_BITS / 64];
};

/* Second level: translations after the walk, before the rights check of one access. */
#define L2_WAYS 2
#define L2_ROWS 1024u

struct l2_entry {
	u64 page; /* linear */
	u64 gpa;
	u8 *host;  /* NULL: MMIO */
	u32 epoch; /* 0: empty */
	u32 perm;
};

#define MAP_ROWS 256u
struct map_entry { /* guest-physical page -> host page, as bus->ram_page told */
	u64 key;   /* gpa | 1, or 0 */
	u8 *host;
	unsigned flags;
};

#define S2_ROWS 1024u
struct s2_entry { /* a guest-physical mapping (SDM Vol. 3C, 28.3.1) */
	u64 key;    /* guest-physical page | 1, or 0 */
	u64 eptp;
	u64 hpa;    /* physical page */
	u16 rights; /* bits 2:0 and 10 of the EPT entries, ANDed */
	u8 shift;
	u32 epoch;  /* mmu->s2_epoch, or the entry is void */
	bool dirty; /* the leaf's dirty flag is set, or does not matter */
};

struct watch { /* a data breakpoint that DR7 enables */
	u64 addr, len;
	u8 bit;
	bool writes_only;
};

#define LARGE_BITS 4096u
enum { LARGE_2M, LARGE_4M, LARGE_1G, LARGE_KINDS };

struct mmu {
	struct set sets[NSETS];
	struct l2_entry l2[L2_ROWS][L2_WAYS] __attribute__((aligned(64)));
	struct map_entry map[MAP_ROWS];
	struct set *set; /* the current one */
	struct space spaces[NSPACES];
	struct space *space; /* the current one */
	struct set *recent[2]; /* last entered by a switch to root operation, and to a guest; NULL: none */
	struct mmu_vm vm;
	struct s2_entry s2[S2_ROWS];
	u32 s2_epoch;
	struct mmu_stats stats;
	u32 last_epoch;
	u64 last_gen, clock;
	u64 debug_key; /* what watch[] was made from */
	/* hashed large pages that may have cached fragments */
	u64 large[LARGE_KINDS][LARGE_BITS / 64];
	struct watch watch[4];
	unsigned nwatch;
};

/* One walk: its input, what it gathered, its verdict. */
struct walk {
	struct cpu *cpu;
	struct walk_record *rec; /* NULL, or the recorder: then nothing is written */
	u64 lin;
	unsigned acc;
	enum tlb_class cls;
	unsigned nbytes; /* how long an access is, for sub-page permissions; 0: not known */
	u64 entry_gpa[5], entry[5]; /* where each entry is in memory, behind the second stage */
	u64 entry_guest[5];         /* the same before it */
	unsigned n, entry_size;
	u64 gpa;        /* of the byte at lin */
	unsigned shift; /* log2 of the page size */
	u32 perm;
	bool global;
	u32 err;         /* #PF error code */
	const char *why; /* NULL: translated */
	u64 value;
	struct vm_fault vm; /* reason not 0: the second stage failed, which ends in a VM exit */
};

/** Runs the walk described by cpu, rec, lin, acc, cls (the rest zero). True if the access is
 * allowed; then the accessed and dirty flags are set (unless recording). Otherwise err, why and
 * value say what #PF would. */
bool mmu_walk(struct walk *w);
/** NULL, or which right is missing for @acc by class @cls on a translation with @perm (SDM 4.6);
 * *@pk: protection key. */
const char *mmu_rights(const struct cpu *cpu, u32 perm, unsigned acc, enum tlb_class cls, bool *pk);

/* What a guest-physical address is translated for (exit qualification of EPT violations, bits 7 and 8). */
enum s2_use { S2_FINAL, S2_TABLE, S2_PDPTE };
/**
 * The second stage: @gpa, guest-physical, becomes physical for an access @acc. False: w->vm tells the
 * VM exit. Sets accessed and dirty flags of the EPT entries and logs to the PML unless w->rec. For
 * S2_FINAL the PERM_NO_S2* bits join w->perm. Only with mmu->vm.eptp set.
 */
bool mmu_ept(struct walk *w, u64 *gpa, unsigned acc, enum s2_use use);
/** Fills cpu->fault with what a walk that failed says: #PF or VM exit. Returns 1. */
int mmu_walk_fault(struct cpu *cpu, const struct walk *w);

/** Host address of the guest-physical page @gpa (page aligned), or NULL; @flags gets BUS_PAGE_*. */
u8 *mmu_ram_page(struct cpu *cpu, u64 gpa, unsigned *flags);

/** The TLB of class @cls in the current set, cleared if it was stale. */
struct tlb *mmu_class_tlb(struct mmu *mmu, enum tlb_class cls);
/** @page is being entered into the TLB of class @cls in the current set. */
static inline void mmu_note_fill(struct mmu *mmu, enum tlb_class cls, u64 page)
{
	u32 n = mmu->set->nfilled[cls];

	if (n < FILLED_MAX)
		mmu->set->filled[cls][n] = page;
	if (n <= FILLED_MAX)
		mmu->set->nfilled[cls] = n + 1;
}
/** The cached translation of @page visible in the current set, or NULL. */
struct l2_entry *mmu_l2_find(struct mmu *mmu, u64 page);
/** Enters what @w found; the entry stays valid until the next insertion. */
struct l2_entry *mmu_l2_insert(struct mmu *mmu, const struct walk *w, u8 *host, unsigned flags);
/** Drops what is cached for the 4-KiB page at @page in the current set (SDM 4.10.4.1: a #PF does
 * so). */
void mmu_drop_page(struct mmu *mmu, u64 page);
/** Remembers that code at @page was translated for @cls: invalidating it must renew the generation.
 */
void mmu_code_seen(struct mmu *mmu, enum tlb_class cls, u64 page, bool global);

static inline u64 mmu_a20(const struct cpu *cpu, u64 gpa)
{
	return cpu->a20_masked ? gpa & ~BIT64(20) : gpa;
}

/** Class of an access by the current privilege (SDM Vol. 3A, 4.6.1). */
static inline enum tlb_class mmu_class(const struct cpu *cpu, unsigned acc)
{
	if ((acc & ACC_USER) || (cpu->cpl == 3 && !(acc & ACC_SYS)))
		return CLS_USER;
	if (!(cpu->cr4 & CR4_SMAP))
		return CLS_SUP;
	return (cpu->rflags & FL_AC) && !(acc & ACC_SYS) ? CLS_SUP : CLS_SMAP;
}

#endif
