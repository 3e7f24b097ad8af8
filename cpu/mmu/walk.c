/*
 * The page walker (SDM Vol. 3A, chapter 4): no paging, 32-bit, PAE, 4-level, 5-level.
 *
 * Modelled: PSE, PSE-36, 1-GiB pages, NX, WP, SMEP, SMAP, protection keys for user pages, global
 * pages, reserved bits by MMU_PHYS_BITS, accessed and dirty flags. They are written when the whole
 * walk has succeeded, so an access that faults leaves the paging structures alone (4.8 allows that:
 * the flags of entries used may be set, need not be). Not modelled: supervisor protection keys,
 * shadow stacks, caches of upper-level entries. Every guest-physical address of a walk passes
 * stage2(): A20M#, or with EPT the second stage (ept.c).
 */
#include "cpu/mmu/internal.h"

static const char *const not_present[] = {
    NULL, "PTE.P = 0", "PDE.P = 0", "PDPTE.P = 0", "PML4E.P = 0", "PML5E.P = 0",
};
static const char *const reserved_set[] = {
    NULL,
    "a reserved bit of the PTE is set",
    "a reserved bit of the PDE is set",
    "a reserved bit of the PDPTE is set",
    "a reserved bit of the PML4E is set",
    "a reserved bit of the PML5E is set",
};

static bool fail(struct walk *w, u32 err, const char *why, u64 value)
{
	const struct cpu *cpu = w->cpu;
	bool nx = (cpu->cr4 & CR4_PAE) && (cpu->efer & EFER_NXE);

	if (w->acc & ACC_W)
		err |= PF_W;
	if (w->cls == CLS_USER)
		err |= PF_U;
	if ((w->acc & ACC_X) && (nx || (cpu->cr4 & CR4_SMEP)))
		err |= PF_I;
	w->err = err;
	w->why = why;
	w->value = value;
	return false;
}

/* Guest-physical to physical: A20M#, or with EPT the second stage, whose failure ends the walk. */
static bool stage2(struct walk *w, u64 *gpa, unsigned acc, enum s2_use use)
{
	if (unlikely(w->cpu->mmu->vm.eptp))
		return mmu_ept(w, gpa, acc, use);
	*gpa = mmu_a20(w->cpu, *gpa);
	return true;
}

static void record_step(struct walk *w, unsigned level, u64 gpa, u64 entry)
{
	struct walk_record *rec = w->rec;

	if (rec && rec->n < ARRAY_SIZE(rec->step))
		rec->step[rec->n++] = (struct walk_step){
		    .level = (u8)level, .stage = 0, .entry_gpa = gpa, .entry = entry};
}

static bool read_entry(struct walk *w, unsigned level, u64 gpa, u64 *entry)
{
	unsigned flags;
	u8 *host;

	*entry = 0;
	w->entry_guest[w->n] = gpa;
	if (!stage2(w, &gpa, ACC_R, S2_TABLE))
		return false;
	w->cpu->mmu->stats.guest_refs++;
	host = mmu_ram_page(w->cpu, gpa & PAGE_MASK, &flags);
	if (host)
		memcpy(entry, host + (gpa & 0xfff), w->entry_size);
	else if (!w->rec) /* a look must not disturb devices */
		phys_read(w->cpu, gpa, entry, w->entry_size);
	record_step(w, level, gpa, *entry);
	w->entry_gpa[w->n] = gpa;
	w->entry[w->n++] = *entry;
	return true;
}

static bool is_leaf(const struct walk *w, unsigned level, u64 entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_PS))
		return false;
	if (level == 2)
		return w->entry_size == 8 || (w->cpu->cr4 & CR4_PSE);
	return level == 3 && cpu_has(w->cpu, FEAT_PDPE1GB);
}

/* Reserved bits of a present entry (SDM tables 4-4 to 4-20). */
static u64 reserved_bits(const struct walk *w, unsigned level, bool leaf)
{
	const struct cpu *cpu = w->cpu;
	bool lma = cpu->efer & EFER_LMA;
	u64 mask;

	if (w->entry_size == 4) {
		if (level == 1 || !leaf)
			return 0;
		return cpu_has(cpu, FEAT_PSE36) ? BIT64(21) : 0x3fe000;
	}
	mask = (BIT64(lma ? 52 : 63) - 1) & ~(BIT64(MMU_PHYS_BITS) - 1);
	if (!(cpu->efer & EFER_NXE))
		mask |= PTE_NX;
	if (level >= 3 && !leaf)
		mask |= PTE_PS;
	if (leaf && level == 2)
		mask |= 0x1fe000;
	if (leaf && level == 3)
		mask |= 0x3fffe000;
	return mask;
}

static void take_leaf(struct walk *w, unsigned shift, u64 e)
{
	const struct cpu *cpu = w->cpu;
	u64 frame = e & (BIT64(52) - 1) & ~(BIT64(shift) - 1);

	if (w->entry_size == 4 && shift == 22) /* PSE-36: bits 20:13 are address bits 39:32 */
		frame = (e & 0xffc00000) | (e >> 13 & 0xff) << 32;
	w->gpa = frame | (w->lin & (BIT64(shift) - 1));
	w->shift = shift;
	if (e & PTE_D)
		w->perm |= PERM_D;
	if (cpu->efer & EFER_LMA)
		w->perm |= (u32)(e >> PTE_PKEY_SHIFT & 15) << PERM_PKEY_SHIFT;
	w->global = (e & PTE_G) && (cpu->cr4 & CR4_PGE);
}

static bool walk_levels(struct walk *w, u64 table, unsigned level)
{
	unsigned bits = w->entry_size == 4 ? 10 : 9;
	u64 e;

	w->perm = PERM_U | PERM_W;
	for (;; level--) {
		unsigned shift = 12 + bits * (level - 1);
		u64 index = w->lin >> shift & (BIT64(bits) - 1);
		bool leaf;

		if (!read_entry(w, level, table + index * w->entry_size, &e))
			return false;
		if (!(e & PTE_P))
			return fail(w, 0, not_present[level], e);
		leaf = is_leaf(w, level, e);
		if (e & reserved_bits(w, level, leaf)) {
			if (!w->rec)
				w->cpu->trail.aux = e & reserved_bits(w, level, leaf);
			return fail(w, PF_P | PF_RSVD, reserved_set[level], e);
		}
		if (!(e & PTE_U))
			w->perm &= ~PERM_U;
		if (!(e & PTE_W))
			w->perm &= ~PERM_W;
		if (e & PTE_NX)
			w->perm |= PERM_NX;
		if (leaf) {
			take_leaf(w, shift, e);
			return true;
		}
		table = w->entry_size == 4 ? e & 0xfffff000 : e & 0xffffffffff000;
	}
}

/* PAE: the first level was read by MOV to CR3 (4.4.1) and grants everything. */
static bool walk_pae(struct walk *w)
{
	u64 pdpte = w->cpu->pdpte[w->lin >> 30 & 3];

	record_step(w, 3, (w->cpu->cr3 & 0xffffffe0) + (w->lin >> 30 & 3) * 8, pdpte);
	if (!(pdpte & PTE_P))
		return fail(w, 0, not_present[3], pdpte);
	return walk_levels(w, pdpte & 0xffffffffff000, 2);
}

static bool walk_tables(struct walk *w)
{
	const struct cpu *cpu = w->cpu;

	if (!(cpu->cr4 & CR4_PAE)) {
		w->entry_size = 4;
		return walk_levels(w, cpu->cr3 & 0xfffff000, 2);
	}
	w->entry_size = 8;
	if (!(cpu->efer & EFER_LMA))
		return walk_pae(w);
	return walk_levels(w, cpu->cr3 & 0xffffffffff000, cpu->cr4 & CR4_LA57 ? 5 : 4);
}

static bool key_denies(const struct cpu *cpu, u32 perm, unsigned acc, enum tlb_class cls)
{
	u32 rights = cpu->pkru >> 2 * (perm >> PERM_PKEY_SHIFT & 15);

	if (!(cpu->cr4 & CR4_PKE) || !(cpu->efer & EFER_LMA) || !(perm & PERM_U) || (acc & ACC_X))
		return false;
	return (rights & 1) ||
	       ((rights & 2) && (acc & ACC_W) && (cls == CLS_USER || (cpu->cr0 & CR0_WP)));
}

static const char *user_rights(u32 perm, unsigned acc)
{
	if (!(perm & PERM_U))
		return "user access to a supervisor page";
	if ((acc & ACC_W) && !(perm & PERM_W))
		return "user write to a read-only page";
	if ((acc & ACC_X) && (perm & PERM_NX))
		return "fetch from an execute-disabled page";
	return NULL;
}

static const char *supervisor_rights(const struct cpu *cpu, u32 perm, unsigned acc,
				     enum tlb_class cls)
{
	if (acc & ACC_X) {
		if ((perm & PERM_U) && (cpu->cr4 & CR4_SMEP))
			return "supervisor fetch from a user page with CR4.SMEP = 1";
		return perm & PERM_NX ? "fetch from an execute-disabled page" : NULL;
	}
	if ((perm & PERM_U) && cls == CLS_SMAP)
		return "supervisor access to a user page with CR4.SMAP = 1 and no RFLAGS.AC";
	if ((acc & ACC_W) && !(perm & PERM_W) && (cpu->cr0 & CR0_WP))
		return "supervisor write to a read-only page with CR0.WP = 1";
	return NULL;
}

const char *mmu_rights(const struct cpu *cpu, u32 perm, unsigned acc, enum tlb_class cls, bool *pk)
{
	const char *why;

	*pk = false;
	if (!(cpu->cr0 & CR0_PG))
		return NULL;
	why = cls == CLS_USER ? user_rights(perm, acc) : supervisor_rights(cpu, perm, acc, cls);
	*pk = key_denies(cpu, perm, acc, cls);
	return !why && *pk ? "PKRU denies the access to the page's protection key" : why;
}

static void set_flags(struct walk *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		u64 want = w->entry[i] | PTE_A;

		if (i == w->n - 1 && (w->acc & ACC_W)) {
			want |= PTE_D;
			w->perm |= PERM_D;
		}
		if (want != w->entry[i])
			phys_write(w->cpu, w->entry_gpa[i], &want, w->entry_size);
	}
}

/* Without accessed and dirty flags of its own, EPT sees the setting of the guest's as a write of its own (28.2.3.2). */
static bool flags_writable(struct walk *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		bool dirty = i == w->n - 1 && (w->acc & ACC_W) && !(w->entry[i] & PTE_D);
		u64 gpa = w->entry_guest[i];

		if ((dirty || !(w->entry[i] & PTE_A)) && !mmu_ept(w, &gpa, ACC_RW, S2_TABLE))
			return false;
	}
	return true;
}

bool mmu_walk(struct walk *w)
{
	const struct cpu *cpu = w->cpu;
	const char *why;
	bool pk;

	cpu->mmu->stats.walks++;
	if (!(cpu->cr0 & CR0_PG)) {
		w->gpa = (u32)w->lin;
		w->shift = 12;
		w->perm = PERM_U | PERM_W | PERM_D;
		return stage2(w, &w->gpa, w->acc, S2_FINAL);
	}
	if (!walk_tables(w))
		return false;
	why = mmu_rights(cpu, w->perm, w->acc, w->cls, &pk);
	if (why)
		return fail(w, PF_P | (pk ? PF_PK : 0), why, w->entry[w->n - 1]);
	if (w->cpu->mmu->vm.eptp && !w->rec && !flags_writable(w))
		return false;
	if (!stage2(w, &w->gpa, w->acc, S2_FINAL))
		return false;
	if (!w->rec)
		set_flags(w);
	return true;
}

int mmu_load_pdptes(struct cpu *cpu, u64 cr3, u64 cr0, u64 cr4, u64 efer)
{
	u64 reserved = 0x1e6 | ~(BIT64(MMU_PHYS_BITS) - 1);
	u64 pdpte[4], at;

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (efer & (EFER_LMA | EFER_LME)))
		return 0;
	if (mmu_guest_physical(cpu, cr3 & 0xffffffe0, ACC_R, &at))
		return 1;
	phys_read(cpu, at, pdpte, sizeof(pdpte));
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved)) {
			cpu->trail.aux = pdpte[i] & reserved;
			return cpu_fault(cpu, EXC_GP, 0, "a reserved bit of a PDPTE is set",
					 pdpte[i]);
		}
	memcpy(cpu->pdpte, pdpte, sizeof(pdpte));
	return 0;
}
