/*
 * Extended page tables: the second stage of the walk (SDM Vol. 3C, 28.2, 28.3.3; 25.5.4 for PML).
 *
 * Modelled: 4- and 5-level tables, 4-KiB, 2-MiB and 1-GiB pages, execute-only pages, mode-based execute
 * control, accessed and dirty flags, the page-modification log, violations and misconfigurations with their
 * exit qualification, a cache of guest-physical mappings, sub-page write permissions. Memory types are checked, and have
 * no effect. Not modelled: advanced exit information (qualification bits 9-11).
 */
#include "cpu/mmu/internal.h"

#define EPT_R        0x1u
#define EPT_W        0x2u
#define EPT_X        0x4u
#define EPT_PS       0x80u
#define EPT_A        0x100u
#define EPT_D        0x200u
#define EPT_XU       0x400u /* execute for user-mode linear addresses, with mode-based control */
#define EPT_SPP      BIT64(61) /* of a 4-KiB page: sub-page write permissions */
#define EPT_SUPPRESS BIT64(63) /* suppress #VE */
#define EPT_RIGHTS   (EPT_R | EPT_W | EPT_X | EPT_XU)
#define EPT_ADDR     ((BIT64(MMU_PHYS_BITS) - 1) & PAGE_MASK)
#define EPTP_AD      0x40u

#define REASON_PML      62
#define REASON_EPT_VIOL 48
#define REASON_EPT_CONF 49
#define REASON_SPP      66

#define SPP_MISS BIT(11) /* exit qualification: an entry of the table is not valid; else it has a reserved bit set */

/* One walk through the EPT. */
struct ept {
	u64 addr[5], entry[5];
	unsigned n, shift;
	u32 rights, upper; /* of all entries used; of those above the leaf */
	u64 hpa;
};

static bool s2_fail(struct walk *w, u32 reason, u64 qual, u64 gpa, const char *why, u64 entry)
{
	w->vm = (struct vm_fault){
	    .reason = reason, .qual = qual, .lin = w->lin, .gpa = gpa, .ve_suppressed = entry & EPT_SUPPRESS};
	w->why = why;
	w->value = entry;
	return false;
}

static void record(struct walk *w, unsigned level, u64 at, u64 entry)
{
	struct walk_record *rec = w->rec;

	if (rec && rec->n < ARRAY_SIZE(rec->step))
		rec->step[rec->n++] =
		    (struct walk_step){.level = (u8)level, .stage = 1, .entry_gpa = at, .entry = entry};
}

static bool ept_leaf(unsigned level, u64 e)
{
	return level == 1 || (level <= 3 && (e & EPT_PS));
}

/* SDM 28.2.3.1: NULL, or what makes a present entry a misconfiguration. */
static const char *misconfigured(const struct cpu *cpu, unsigned level, u64 e)
{
	u64 type = e >> 3 & 7, reserved = (BIT64(52) - 1) & ~(BIT64(MMU_PHYS_BITS) - 1);
	u64 exec = cpu->mmu->vm.mbec ? EPT_X | EPT_XU : EPT_X;

	if ((e & (EPT_R | EPT_W)) == EPT_W)
		return "EPT entry allows writes and not reads";
	if (!(e & EPT_R) && (e & exec) && !cpu_has(cpu, FEAT_EPT_X))
		return "EPT entry is execute-only, which this processor does not support";
	if (!ept_leaf(level, e))
		reserved |= level >= 4 ? 0xf8 : 0x78;
	else if (level == 3)
		reserved |= cpu_has(cpu, FEAT_EPT_1GB) ? 0x3ffff000 : EPT_PS;
	else if (level == 2)
		reserved |= 0x1ff000;
	if (e & reserved)
		return "EPT entry has a reserved bit set";
	if (ept_leaf(level, e) && (type == 2 || type == 3 || type == 7))
		return "EPT entry has a reserved memory type";
	return NULL;
}

/* Qualification bits 5:3 and 6: what the entries used allow together. */
static u64 rights_qual(const struct cpu *cpu, u32 rights)
{
	return (u64)(rights & 7) << 3 | (cpu->mmu->vm.mbec && (rights & EPT_XU) ? 0x40 : 0);
}

static u64 access_qual(unsigned acc, enum s2_use use)
{
	u64 q = (acc & ACC_R ? 1 : 0) | (acc & ACC_W ? 2 : 0) | (acc & ACC_X ? 4 : 0);

	return q | (use == S2_FINAL ? 0x180 : use == S2_TABLE ? 0x80 : 0);
}

/* In VMX operation there is no A20M#. */
static inline u64 entry_at(struct cpu *cpu, u64 at)
{
	unsigned flags;
	const u8 *host = mmu_ram_page(cpu, at & PAGE_MASK, &flags);
	u64 e = 0;

	if (likely(host))
		memcpy(&e, host + (at & 0xff8), 8);
	else
		phys_read(cpu, at, &e, 8);
	return e;
}

static bool ept_walk(struct walk *w, u64 gpa, unsigned acc, enum s2_use use, struct ept *t)
{
	struct mmu *mmu = w->cpu->mmu;
	u32 present = mmu->vm.mbec ? EPT_RIGHTS : EPT_RIGHTS & ~EPT_XU;
	u64 table = mmu->vm.eptp & EPT_ADDR, e = 0;

	t->n = 0;
	t->rights = t->upper = EPT_RIGHTS;
	for (unsigned level = (mmu->vm.eptp >> 3 & 7) + 1;; level--) {
		u64 at = table + (gpa >> (12 + 9 * (level - 1)) & 511) * 8;
		const char *why;

		e = entry_at(w->cpu, at);
		record(w, level, at, e);
		mmu->stats.ept_refs++;
		t->addr[t->n] = at;
		t->entry[t->n++] = e;
		if (!(e & present))
			return s2_fail(w, REASON_EPT_VIOL, access_qual(acc, use), gpa, "EPT entry is not present", e);
		why = misconfigured(w->cpu, level, e);
		if (why)
			return s2_fail(w, REASON_EPT_CONF, 0, gpa, why, e);
		t->upper = t->rights;
		t->rights &= (u32)e;
		if (ept_leaf(level, e)) {
			t->shift = 12 + 9 * (level - 1);
			t->hpa = (e & EPT_ADDR & ~(BIT64(t->shift) - 1)) | (gpa & (BIT64(t->shift) - 1));
			return true;
		}
		table = e & EPT_ADDR;
	}
}

/* The entries of a walk that failed, for who explains it. */
static NOINLINE void note(struct walk *w, u64 gpa, const struct ept *t)
{
	struct fault_trail *trail = &w->cpu->trail;

	if (w->rec)
		return;
	trail->walk.ept_gpa = gpa;
	trail->walk.ept_n = (u8)t->n;
	memcpy(trail->walk.ept_at, t->addr, sizeof(t->addr));
	memcpy(trail->walk.ept_entry, t->entry, sizeof(t->entry));
}

static u32 needed(const struct walk *w, unsigned acc)
{
	u32 need = (acc & ACC_R ? EPT_R : 0) | (acc & ACC_W ? EPT_W : 0);

	if (acc & ACC_X)
		need |= w->cpu->mmu->vm.mbec && (w->perm & PERM_U) ? EPT_XU : EPT_X;
	return need;
}

/* SDM 28.2.6: the page's address is logged before its dirty flag is set; a full log exits instead. */
static bool log_page(struct walk *w, u64 gpa)
{
	struct mmu *mmu = w->cpu->mmu;
	u64 page = gpa & PAGE_MASK;

	if (!mmu->vm.pml_index)
		return true;
	if (*mmu->vm.pml_index > 511)
		return s2_fail(w, REASON_PML, 0, gpa, "the page-modification log is full", *mmu->vm.pml_index);
	phys_write(w->cpu, mmu->vm.pml_addr + *mmu->vm.pml_index * 8, &page, 8);
	*mmu->vm.pml_index = (*mmu->vm.pml_index - 1) & 0xffff;
	return true;
}

static bool set_ept_flags(struct walk *w, struct ept *t, u64 gpa, bool write)
{
	for (unsigned i = 0; i < t->n; i++) {
		bool leaf = i == t->n - 1;
		u64 want = t->entry[i] | EPT_A | (leaf && write ? EPT_D : 0);

		if (want == t->entry[i])
			continue;
		if ((want ^ t->entry[i]) & EPT_D && !log_page(w, gpa))
			return false;
		phys_write(w->cpu, t->addr[i], &want, 8);
		t->entry[i] = want;
	}
	return true;
}

/*
 * Sub-page write permissions (28.2.4 of 2019 on): a page that only its own entry keeps from being written may be writable
 * in 128-byte pieces. Writes to paging structures and those of unknown length are not eligible: EPT violations.
 */
static bool spp_eligible(const struct walk *w, const struct ept *t, u32 need, unsigned acc, enum s2_use use)
{
	u64 leaf = t->entry[t->n - 1];

	return w->cpu->mmu->vm.spptp && use == S2_FINAL && (acc & ACC_W) && w->nbytes && t->shift == 12 &&
	       (leaf & EPT_SPP) && (t->upper & EPT_W) && (t->rights & need) == (need & ~EPT_W);
}

/* The leaf of the sub-page-permission table for @gpa: bit 2n lets sub-page n be written. */
static bool spp_vector(struct walk *w, u64 gpa, u64 *vector)
{
	u64 table = w->cpu->mmu->vm.spptp & EPT_ADDR, reserved = 0xffe | ~(BIT64(MMU_PHYS_BITS) - 1);

	for (unsigned level = 4; level; level--) {
		u64 at = table + (gpa >> (12 + 9 * (level - 1)) & 511) * 8;

		phys_read(w->cpu, at, vector, 8);
		record(w, level, at, *vector);
		if (level == 1)
			break;
		if (!(*vector & 1))
			return s2_fail(w, REASON_SPP, SPP_MISS, gpa, "the sub-page-permission table has no entry", *vector);
		if (*vector & reserved)
			return s2_fail(w, REASON_SPP, 0, gpa, "a sub-page-permission entry has a reserved bit set", *vector);
		table = *vector & EPT_ADDR;
	}
	if (*vector & 0xaaaaaaaaaaaaaaaa)
		return s2_fail(w, REASON_SPP, 0, gpa, "a sub-page-permission vector has a reserved bit set", *vector);
	return true;
}

/* May the bytes at @gpa be written? False with the exit in w->vm. */
static bool spp_allows(struct walk *w, u64 gpa, const struct ept *t, u64 qual)
{
	u64 vector;

	if (!spp_vector(w, gpa, &vector))
		return false;
	for (u64 i = (gpa & 0xfff) >> 7; i <= ((gpa & 0xfff) + w->nbytes - 1) >> 7; i++)
		if (!(vector >> 2 * i & 1))
			return s2_fail(w, REASON_EPT_VIOL, qual, gpa, "the sub-page may not be written", t->entry[t->n - 1]);
	return true;
}

static struct s2_entry *s2_slot(struct mmu *mmu, u64 gpa)
{
	return &mmu->s2[(gpa >> 12 ^ gpa >> 22) & (S2_ROWS - 1)];
}

/* What the combined translation must know of the second stage. */
static void combine(struct walk *w, const struct s2_entry *e)
{
	u32 x = w->cpu->mmu->vm.mbec && (w->perm & PERM_U) ? EPT_XU : EPT_X;

	if (!(e->rights & EPT_R))
		w->perm |= PERM_NO_S2R;
	if (!(e->rights & EPT_W) || !e->dirty)
		w->perm |= PERM_NO_S2W;
	if (!(e->rights & x))
		w->perm |= PERM_NO_S2X;
}

bool mmu_ept(struct walk *w, u64 *gpa, unsigned acc, enum s2_use use)
{
	struct mmu *mmu = w->cpu->mmu;
	bool ad = mmu->vm.eptp & EPTP_AD;
	struct s2_entry *e = s2_slot(mmu, *gpa);
	u64 page = *gpa & PAGE_MASK;
	u32 need;
	struct ept t;

	acc &= ACC_R | ACC_W | ACC_X;
	if (ad && use == S2_TABLE)
		acc |= ACC_W; /* 28.2.4: such accesses are treated as writes */
	need = needed(w, acc);
	if (!w->rec && e->key == (page | 1) && e->eptp == mmu->vm.eptp && e->epoch == mmu->s2_epoch &&
	    (e->rights & need) == need && (!(acc & ACC_W) || e->dirty)) {
		mmu->stats.s2_hits++;
	} else {
		mmu->stats.s2_misses++;
		if (e->key == (page | 1))
			e->key = 0;
		if (!ept_walk(w, *gpa, acc, use, &t)) {
			note(w, *gpa, &t);
			return false;
		}
		if ((t.rights & need) != need) {
			u64 qual = access_qual(acc, use) | rights_qual(w->cpu, t.rights);
			bool eligible = spp_eligible(w, &t, need, acc, use);

			note(w, *gpa, &t);
			if (!eligible)
				return s2_fail(w, REASON_EPT_VIOL, qual, *gpa, "the EPT does not allow the access",
					       t.entry[t.n - 1]);
			if (!spp_allows(w, *gpa, &t, qual))
				return false;
		}
		if (ad && !w->rec && !set_ept_flags(w, &t, *gpa, acc & ACC_W))
			return false;
		struct s2_entry found = {.key = page | 1, .eptp = mmu->vm.eptp, .hpa = t.hpa & PAGE_MASK,
					 .rights = (u16)t.rights, .shift = (u8)t.shift, .epoch = mmu->s2_epoch,
					 .dirty = !ad || (t.entry[t.n - 1] & EPT_D)};
		if (w->rec) {
			*gpa = t.hpa;
			return true;
		}
		*e = found;
	}
	if (use == S2_FINAL)
		combine(w, e);
	*gpa = e->hpa | (*gpa & 0xfff);
	return true;
}

int mmu_guest_physical(struct cpu *cpu, u64 gpa, unsigned acc, u64 *hpa)
{
	struct walk w = {.cpu = cpu, .acc = acc};

	*hpa = gpa;
	if (!cpu->mmu->vm.eptp || mmu_ept(&w, hpa, acc, S2_PDPTE))
		return 0;
	return mmu_walk_fault(cpu, &w);
}
