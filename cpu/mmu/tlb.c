/*
 * Translation caches and their invalidation (SDM Vol. 3A, 4.10).
 *
 * Two levels. The first is what the fast path probes: one struct tlb per privilege class in each of
 * a few sets, least recently used replaced. A set belongs to a PCID of a space; a space to a VPID, an
 * EPTP and a form of paging (SDM Vol. 3C, 28.3), so that VM entries and exits switch sets and drop
 * nothing. The second level holds translations with their rights, tagged by an epoch: the owning set's,
 * or for global pages its space's. A flush renews an
 * epoch and marks first-level arrays stale; they are cleared when next used. So flushes cost
 * little, and global translations survive them in the second level. Everything is kept as 4-KiB
 * fragments; hashed bitmaps remember which large pages have some, so that INVLPG anywhere in one
 * drops them all. Not modelled: caches of upper-level entries (every miss walks from CR3).
 */
#include <errno.h>

#include "base/dirty.h"
#include "base/host.h"
#include "cpu/mmu/internal.h"

static const u8 large_shift[LARGE_KINDS] = {21, 22, 30};

/* ---- first level ---- */

static u64 empty_tag(unsigned index)
{
	return index ? 0 : PAGE_SIZE; /* a page that hashes elsewhere */
}

static void clear_data(struct tlb *t)
{
	memset(t->r, 0, sizeof(t->r));
	memset(t->w, 0, sizeof(t->w));
	t->r[0].tag = t->w[0].tag = empty_tag(0);
}

static void clear_code(struct tlb *t)
{
	memset(t->x, 0, sizeof(t->x));
	t->x[0].tag = empty_tag(0);
}

static void clear_filled_code(struct set *set, enum tlb_class cls)
{
	struct tlb *t = &set->cls[cls];

	if (set->nfilled[cls] > FILLED_MAX || set->kept_code[cls]) {
		clear_code(t);
		return;
	}
	for (unsigned i = 0; i < set->nfilled[cls]; i++) {
		unsigned at = itlb_index(set->filled[cls][i]);
		t->x[at].tag = empty_tag(at);
	}
}

/* Code translations that are all global outlive a flush that spares global pages, and with them gen. */
static void clean_class(struct mmu *mmu, struct set *set, enum tlb_class cls)
{
	struct tlb *t = &set->cls[cls];

	if (set->nfilled[cls] > FILLED_MAX)
		clear_data(t);
	else
		for (unsigned i = 0; i < set->nfilled[cls]; i++) {
			unsigned at = tlb_index(set->filled[cls][i]);
			t->r[at].tag = t->w[at].tag = empty_tag(at);
		}
	if ((set->stale_code & BIT(cls)) || set->local_code[cls]) {
		clear_filled_code(set, cls);
		t->gen = ++mmu->last_gen;
		memset(set->seen[cls], 0, sizeof(set->seen[cls]));
		set->local_code[cls] = set->kept_code[cls] = false;
	} else {
		set->kept_code[cls] |= set->nfilled[cls] > 0;
	}
	set->nfilled[cls] = 0;
	set->stale &= (u8)~BIT(cls);
	set->stale_code &= (u8)~BIT(cls);
}

struct tlb *mmu_class_tlb(struct mmu *mmu, enum tlb_class cls)
{
	if (unlikely(mmu->set->stale & BIT(cls)))
		clean_class(mmu, mmu->set, cls);
	return &mmu->set->cls[cls];
}

/* A kernel and its processes have a half each: what the latter unmap does not concern the former's code. */
static unsigned seen_hash(u64 page)
{
	return (unsigned)(page >> 12 ^ page >> 24) % (SEEN_BITS / 2) + (page >> 63 ? SEEN_BITS / 2 : 0);
}

void mmu_code_seen(struct mmu *mmu, enum tlb_class cls, u64 page, bool global)
{
	unsigned h = seen_hash(page);

	mmu->set->local_code[cls] |= !global;
	mmu->set->seen[cls][h / 64] |= BIT64(h % 64);
}

/* Jump caches keyed by gen may hold a code page that tlb->x has lost: the bitmap decides. */
static void drop_from_class(struct mmu *mmu, struct set *set, enum tlb_class cls, u64 page)
{
	struct tlb *t = &set->cls[cls];
	unsigned i = tlb_index(page), ix = itlb_index(page), h = seen_hash(page);

	if (t->r[i].tag == page)
		t->r[i].tag = empty_tag(i);
	if (t->w[i].tag == page)
		t->w[i].tag = empty_tag(i);
	if (t->x[ix].tag == page)
		t->x[ix].tag = empty_tag(ix);
	if (set->seen[cls][h / 64] >> h % 64 & 1)
		t->gen = ++mmu->last_gen;
}

static void drop_from_set(struct mmu *mmu, struct set *set, u64 page)
{
	for (unsigned c = 0; c < NCLASSES; c++)
		if (!(set->stale_code & BIT(c)))
			drop_from_class(mmu, set, c, page);
}

static void stale_all(struct mmu *mmu)
{
	for (unsigned i = 0; i < NSETS; i++)
		mmu->sets[i].stale = mmu->sets[i].stale_code = BIT(NCLASSES) - 1;
}

/* ---- second level ---- */

/*
 * Lower-half pages of different sets go to different rows, for processes tend to use the same
 * addresses; upper-half pages, a kernel's, mostly global, are shared. So an invalidation that
 * concerns global pages looks in every set's row.
 */
static struct l2_entry *l2_row(struct mmu *mmu, const struct set *set, u64 page)
{
	u64 h = page >> 12 ^ page >> 22;

	if (!(page >> 63))
		h ^= (u64)(set - mmu->sets) * (L2_ROWS / NSETS + 1);
	else if (set->space != mmu->spaces)
		h ^= (u64)(set->space - mmu->spaces) * (L2_ROWS / NSPACES + 1);
	return mmu->l2[h & (L2_ROWS - 1)];
}

static bool l2_visible(const struct mmu *mmu, const struct l2_entry *e)
{
	return e->epoch == mmu->set->epoch || e->epoch == mmu->space->global_epoch;
}

struct l2_entry *mmu_l2_find(struct mmu *mmu, u64 page)
{
	struct l2_entry *e = l2_row(mmu, mmu->set, page);

	for (unsigned i = 0; i < L2_WAYS; i++, e++)
		if (e->page == page && l2_visible(mmu, e))
			return e;
	return NULL;
}

static unsigned large_hash(u64 lin, unsigned shift)
{
	u64 v = lin >> shift;

	return (v ^ v >> 12 ^ v >> 24) % LARGE_BITS;
}

static void note_large(struct mmu *mmu, u64 lin, unsigned shift)
{
	for (unsigned k = 0; k < LARGE_KINDS; k++) {
		unsigned h = large_hash(lin, shift);

		if (large_shift[k] == shift)
			mmu->large[k][h / 64] |= BIT64(h % 64);
	}
}

struct l2_entry *mmu_l2_insert(struct mmu *mmu, const struct walk *w, u8 *host, unsigned flags)
{
	u64 page = w->lin & PAGE_MASK;
	struct l2_entry *e = mmu_l2_find(mmu, page);

	if (!e) {
		e = l2_row(mmu, mmu->set, page);
		if (l2_visible(mmu, e))
			e[1] = e[0];
	}
	if (w->shift != 12)
		note_large(mmu, w->lin, w->shift);
	*e = (struct l2_entry){
	    .page = page,
	    .gpa = w->gpa & PAGE_MASK,
	    .host = host,
	    .epoch = w->global ? mmu->space->global_epoch : mmu->set->epoch,
	    .perm = w->perm | w->shift << PERM_SIZE_SHIFT |
		    (flags & BUS_PAGE_WRITABLE ? PERM_HOST_W : 0),
	};
	return e;
}

/* Epochs are never reused while an entry may carry them: when the counter wraps, every entry goes.
 */
static u32 new_epoch(struct mmu *mmu)
{
	if (++mmu->last_epoch == 0) {
		memset(mmu->l2, 0, sizeof(mmu->l2));
		for (unsigned i = 0; i < NSPACES; i++)
			mmu->spaces[i].global_epoch = ++mmu->last_epoch;
		for (unsigned i = 0; i < NSETS; i++)
			mmu->sets[i].epoch = ++mmu->last_epoch;
		stale_all(mmu);
		mmu->last_epoch++;
	}
	return mmu->last_epoch;
}

/* ---- invalidation ---- */

static void flush_set(struct mmu *mmu, struct set *set)
{
	set->epoch = new_epoch(mmu);
	set->stale = BIT(NCLASSES) - 1;
}

static void flush_globals(struct mmu *mmu, struct set *set)
{
	set->space->global_epoch = new_epoch(mmu);
	set->stale_code = BIT(NCLASSES) - 1;
}

static void drop_all(struct mmu *mmu)
{
	for (unsigned i = 0; i < NSETS; i++)
		flush_set(mmu, &mmu->sets[i]);
	stale_all(mmu);
	for (unsigned i = 0; i < NSPACES; i++)
		mmu->spaces[i].global_epoch = new_epoch(mmu);
	memset(mmu->large, 0, sizeof(mmu->large));
	memset(mmu->map, 0, sizeof(mmu->map));
	memset(mmu->s2, 0, sizeof(mmu->s2));
}

/* Everything of VPID @vpid, or (@vpid < 0) of all but VPID 0; of globals what @globals says. */
static void drop_vpid(struct mmu *mmu, int vpid, bool globals)
{
	for (unsigned i = 0; i < NSETS; i++) {
		struct set *set = &mmu->sets[i];

		if (!set->valid || (vpid < 0 ? !set->space->tag.vpid : set->space->tag.vpid != vpid))
			continue;
		flush_set(mmu, set);
		if (globals)
			flush_globals(mmu, set);
	}
}

/* Drops every fragment, of large pages only, that shares an aligned 2^shift block with @lin. */
static void drop_range(struct mmu *mmu, u64 lin, unsigned kind)
{
	struct l2_entry *e = &mmu->l2[0][0];
	unsigned shift = large_shift[kind], h = large_hash(lin, shift);
	bool others = false; /* fragments of other pages keep the bit set */

	for (unsigned i = 0; i < L2_ROWS * L2_WAYS; i++, e++) {
		if (e->perm >> PERM_SIZE_SHIFT != shift || !e->epoch)
			continue;
		if ((e->page ^ lin) >> shift == 0)
			e->epoch = 0;
		else
			others |= large_hash(e->page, shift) == h;
	}
	if (!others)
		mmu->large[kind][h / 64] &= ~BIT64(h % 64);
	stale_all(mmu);
}

static void drop_large(struct mmu *mmu, u64 lin)
{
	for (unsigned k = 0; k < LARGE_KINDS; k++) {
		unsigned h = large_hash(lin, large_shift[k]);

		if (mmu->large[k][h / 64] >> h % 64 & 1)
			drop_range(mmu, lin, k);
	}
}

static void drop_l2(struct mmu *mmu, const struct set *set, u64 page, bool globals)
{
	struct l2_entry *e = l2_row(mmu, set, page);

	for (unsigned i = 0; i < L2_WAYS; i++, e++)
		if (e->page == page &&
		    (e->epoch == set->epoch || (globals && e->epoch == set->space->global_epoch)))
			e->epoch = 0;
}

void mmu_drop_page(struct mmu *mmu, u64 page)
{
	drop_l2(mmu, mmu->set, page, true);
	drop_from_set(mmu, mmu->set, page);
}

static u64 page_of(const struct cpu *cpu, u64 lin)
{
	return (cpu->efer & EFER_LMA ? lin : (u32)lin) & PAGE_MASK;
}

static bool of_vpid(const struct set *set, u16 vpid)
{
	return set->valid && set->space->tag.vpid == vpid;
}

static void drop_address(struct mmu *mmu, u16 vpid, u64 page)
{
	drop_large(mmu, page);
	for (unsigned i = 0; i < NSETS; i++) {
		if (!of_vpid(&mmu->sets[i], vpid))
			continue;
		drop_l2(mmu, &mmu->sets[i], page, true);
		drop_from_set(mmu, &mmu->sets[i], page);
	}
}

/* First-level entries do not tell global pages, so the page goes from every set of the VPID. */
void mmu_invlpg(struct cpu *cpu, u64 lin)
{
	drop_address(cpu->mmu, cpu->mmu->vm.vpid, page_of(cpu, lin));
	mmu_select(cpu);
}

/* ---- sets and spaces ---- */

static struct set *find_set(struct mmu *mmu, u16 pcid)
{
	for (unsigned i = 0; i < NSETS; i++)
		if (mmu->sets[i].valid && mmu->sets[i].pcid == pcid && mmu->sets[i].space == mmu->space)
			return &mmu->sets[i];
	return NULL;
}

static struct set *oldest_set(struct mmu *mmu)
{
	struct set *set = &mmu->sets[0];

	for (unsigned i = 0; i < NSETS; i++) {
		if (!mmu->sets[i].valid)
			return &mmu->sets[i];
		if (mmu->sets[i].used < set->used)
			set = &mmu->sets[i];
	}
	return set;
}

static void enter_set(struct mmu *mmu, u16 pcid)
{
	struct set *set = find_set(mmu, pcid);

	if (!set) {
		set = oldest_set(mmu);
		set->valid = true;
		set->pcid = pcid;
		set->space = mmu->space;
		flush_set(mmu, set);
		set->stale_code = BIT(NCLASSES) - 1;
	}
	set->used = ++mmu->clock;
	mmu->set = set;
}

static u16 current_pcid(const struct cpu *cpu)
{
	return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

static bool same_space(const struct space_tag *a, const struct space_tag *b)
{
	return a->eptp == b->eptp && a->apic == b->apic && a->paging == b->paging && a->vpid == b->vpid &&
	       a->nonroot == b->nonroot && a->mbec == b->mbec;
}

/* A space that is given up loses its sets with it. */
static struct space *take_space(struct mmu *mmu, const struct space_tag *tag)
{
	struct space *found = &mmu->spaces[0];

	for (unsigned i = 0; i < NSPACES; i++) {
		if (mmu->spaces[i].valid && same_space(&mmu->spaces[i].tag, tag))
			return &mmu->spaces[i];
		if (!mmu->spaces[i].valid || (found->valid && mmu->spaces[i].used < found->used))
			found = &mmu->spaces[i];
	}
	for (unsigned i = 0; i < NSETS; i++)
		if (mmu->sets[i].space == found)
			mmu->sets[i].valid = false;
	found->valid = true;
	found->tag = *tag;
	found->global_epoch = new_epoch(mmu);
	return found;
}

static u64 paging_key(const struct cpu *cpu);

/* The translations of root operation and of the guest, as they were left: an exit or entry mostly finds them again. */
static bool enter_recent(struct mmu *mmu, const struct space_tag *tag, u16 pcid)
{
	struct set *set = mmu->recent[tag->nonroot];

	if (!set || !set->valid || set->pcid != pcid || !same_space(&set->space->tag, tag))
		return false;
	mmu->space = set->space;
	mmu->space->used = ++mmu->clock;
	set->used = ++mmu->clock;
	mmu->set = set;
	return true;
}

static void enter_space(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	struct space_tag tag = {.eptp = mmu->vm.eptp,
				.apic = mmu->vm.apic_page,
				.paging = paging_key(cpu),
				.vpid = mmu->vm.vpid,
				.nonroot = mmu->vm.nonroot,
				.mbec = mmu->vm.mbec};

	if (enter_recent(mmu, &tag, current_pcid(cpu)))
		return;
	mmu->space = take_space(mmu, &tag);
	mmu->space->used = ++mmu->clock;
	enter_set(mmu, current_pcid(cpu));
	mmu->recent[tag.nonroot] = mmu->set;
}

/* Chooses the set anew, so that a CR3 loaded with other state (RSM, a snapshot) needs nothing more.
 */
void mmu_flush_all(struct cpu *cpu)
{
	drop_all(cpu->mmu);
	cpu->mmu->stats.flush_all++;
	enter_space(cpu);
	mmu_select(cpu);
}

void mmu_refill(struct cpu *cpu)
{
	for (unsigned i = 0; i < NSETS; i++)
		cpu->mmu->sets[i].stale = BIT(NCLASSES) - 1;
	mmu_select(cpu);
}

void mmu_forget(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;

	drop_all(mmu);
	for (unsigned i = 0; i < NSETS; i++) {
		mmu->sets[i].valid = false;
		mmu->sets[i].used = 0;
	}
	for (unsigned i = 0; i < NSPACES; i++) {
		mmu->spaces[i].valid = false;
		mmu->spaces[i].used = 0;
	}
	enter_space(cpu);
	mmu_select(cpu);
}

void mmu_flush_vpid(struct cpu *cpu)
{
	drop_vpid(cpu->mmu, cpu->mmu->vm.vpid, true);
	cpu->mmu->stats.flush_cr4++;
	enter_space(cpu);
	mmu_select(cpu);
}

void mmu_flush_vpid0(struct cpu *cpu)
{
	drop_vpid(cpu->mmu, 0, true);
	/* Guest-physical mappings may stay; processors keep few, and software has come to rely on that. */
	if (!++cpu->mmu->s2_epoch)
		memset(cpu->mmu->s2, 0, sizeof(cpu->mmu->s2));
	cpu->mmu->stats.flush_vpid0++;
	mmu_select(cpu);
}

void mmu_flush_nonglobal(struct cpu *cpu)
{
	flush_set(cpu->mmu, cpu->mmu->set);
	mmu_select(cpu);
}

/* All sets of a PCID: with VMX there may be several, of other EPTPs. */
static void flush_pcid(struct mmu *mmu, u16 pcid)
{
	for (unsigned i = 0; i < NSETS; i++)
		if (of_vpid(&mmu->sets[i], mmu->vm.vpid) && mmu->sets[i].pcid == pcid)
			flush_set(mmu, &mmu->sets[i]);
}

void mmu_set_cr3(struct cpu *cpu, u64 cr3, bool noflush)
{
	cpu->cr3 = cr3 & ~BIT64(63);
	if (!noflush || !(cpu->cr4 & CR4_PCIDE)) {
		cpu->mmu->stats.flush_cr3++;
		flush_pcid(cpu->mmu, current_pcid(cpu));
	}
	enter_set(cpu->mmu, current_pcid(cpu));
	mmu_select(cpu);
}

void mmu_vm_switch(struct cpu *cpu, const struct mmu_vm *vm)
{
	cpu->mmu->vm = *vm;
	enter_space(cpu);
}

/* SDM Vol. 2A, INVPCID: the caller has checked the type, the descriptor and the canonical address.
 */
void mmu_invpcid(struct cpu *cpu, unsigned type, u64 pcid, u64 lin)
{
	struct mmu *mmu = cpu->mmu;
	u64 page = page_of(cpu, lin);

	if (type == 2)
		drop_vpid(mmu, mmu->vm.vpid, true);
	else if (type == 3)
		drop_vpid(mmu, mmu->vm.vpid, false);
	else if (type == 1)
		flush_pcid(mmu, pcid & 0xfff);
	else
		drop_large(mmu, page);
	for (unsigned i = 0; type == 0 && i < NSETS; i++) {
		if (!of_vpid(&mmu->sets[i], mmu->vm.vpid) || mmu->sets[i].pcid != (pcid & 0xfff))
			continue;
		drop_l2(mmu, &mmu->sets[i], page, false);
		drop_from_set(mmu, &mmu->sets[i], page);
	}
	mmu_select(cpu);
}

/* SDM Vol. 3C, 28.3.3.1 */
void mmu_invvpid(struct cpu *cpu, enum mmu_inv type, u16 vpid, u64 lin)
{
	struct mmu *mmu = cpu->mmu;

	mmu->stats.flush_invvpid++;
	if (type == MMU_INV_ADDRESS)
		drop_address(mmu, vpid, lin & PAGE_MASK);
	else if (type == MMU_INV_ALL)
		drop_vpid(mmu, -1, true);
	else
		drop_vpid(mmu, vpid, type == MMU_INV_CONTEXT);
	mmu_select(cpu);
}

void mmu_invept(struct cpu *cpu, bool all, u64 eptp)
{
	struct mmu *mmu = cpu->mmu;

	mmu->stats.flush_invept++;
	for (unsigned i = 0; i < S2_ROWS; i++)
		if (all || !((mmu->s2[i].eptp ^ eptp) & PAGE_MASK))
			mmu->s2[i].key = 0;
	for (unsigned i = 0; i < NSETS; i++) {
		struct set *set = &mmu->sets[i];

		if (!set->valid || !set->space->tag.eptp || (!all && (set->space->tag.eptp ^ eptp) & PAGE_MASK))
			continue;
		flush_set(mmu, set);
		flush_globals(mmu, set);
	}
	mmu_select(cpu);
}

const struct mmu_stats *mmu_stats(const struct cpu *cpu)
{
	return &cpu->mmu->stats;
}

static void protect_in(struct tlb *t, uintptr_t host)
{
	for (unsigned i = 0; i < TLB_SIZE; i++)
		if (t->w[i].host + t->w[i].tag == host)
			t->w[i].tag = empty_tag(i);
}

void mmu_protect_page(struct cpu *cpu, u8 *host_page)
{
	for (unsigned i = 0; i < NSETS; i++)
		for (unsigned c = 0; c < NCLASSES; c++)
			if (!(cpu->mmu->sets[i].stale & BIT(c)))
				protect_in(&cpu->mmu->sets[i].cls[c], (uintptr_t)host_page);
}

void mmu_mark_writable(struct cpu *cpu)
{
	for (unsigned i = 0; i < NSETS; i++)
		for (unsigned c = 0; c < NCLASSES; c++) {
			const struct set *set = &cpu->mmu->sets[i];
			const struct tlb_entry *w = set->cls[c].w;
			for (unsigned k = 0; set->valid && !(set->stale & BIT(c)) && k < TLB_SIZE; k++)
				if (w[k].tag != empty_tag(k))
					dirty_mark(cpu->dirty, (const void *)(w[k].host + w[k].tag));
		}
}

/* ---- choosing the set and class ---- */

/* What shapes translations themselves: a change drops everything of the VPID. */
static u64 paging_key(const struct cpu *cpu)
{
	u64 cr4 = cpu->cr4 & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE);
	u64 efer = cpu->efer & (EFER_LMA | EFER_NXE);

	return (cpu->cr0 & CR0_PG) | cr4 | efer << 32 | (u64)cpu->a20_masked << 48 |
	       (u64)cpu->smm << 49;
}

/* What only the rights check uses: a change drops the set's first level. */
static u64 regime_key(const struct cpu *cpu)
{
	u64 cr4 = cpu->cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE);

	return cr4 | (cpu->cr0 & CR0_WP) | (cr4 & CR4_PKE ? (u64)cpu->pkru << 32 : 0);
}

static u64 debug_key(const struct cpu *cpu)
{
	u64 key = cpu->dr[7];

	if (likely(!(key & 0xff)))
		return 0;
	for (unsigned i = 0; i < 4; i++)
		key = (key << 13 | key >> 51) * 0x9e3779b97f4a7c15 + cpu->dr[i];
	return key | 1;
}

/* Data breakpoints of DR7 (SDM Vol. 3B, 17.2.4 and 17.2.5). */
static void set_watches(struct cpu *cpu, struct mmu *mmu)
{
	static const u8 lengths[4] = {1, 2, 8, 4};
	u64 dr7 = cpu->dr[7];

	mmu->nwatch = 0;
	for (unsigned i = 0; i < 4; i++) {
		unsigned rw = dr7 >> (16 + 4 * i) & 3;
		u64 len = lengths[dr7 >> (18 + 4 * i) & 3];

		if (!(dr7 >> 2 * i & 3) || !(rw & 1))
			continue;
		mmu->watch[mmu->nwatch++] = (struct watch){.addr = cpu->dr[i] & ~(len - 1),
							   .len = len,
							   .bit = (u8)BIT(i),
							   .writes_only = rw == 1};
	}
}

void mmu_select(struct cpu *cpu)
{
	struct mmu *mmu = cpu->mmu;
	u64 paging = paging_key(cpu), regime = regime_key(cpu), debug = debug_key(cpu);

	if (unlikely(paging != mmu->space->tag.paging)) {
		drop_vpid(mmu, mmu->vm.vpid, true);
		enter_space(cpu);
	}
	if (unlikely(debug != mmu->debug_key)) {
		mmu->debug_key = debug;
		set_watches(cpu, mmu);
	}
	if (unlikely(regime != mmu->set->regime || debug != mmu->set->debug)) {
		mmu->set->regime = regime;
		mmu->set->debug = debug;
		mmu->set->stale = mmu->set->stale_code = BIT(NCLASSES) - 1;
	}
	mmu_select_ac(cpu);
}

void mmu_select_ac(struct cpu *cpu)
{
	cpu->tlb = mmu_class_tlb(cpu->mmu, mmu_class(cpu, 0));
}

int mmu_init(struct cpu *cpu)
{
	struct mmu *mmu = host_alloc_pages(sizeof(*mmu)); /* most of it is never touched */

	if (!mmu)
		return -ENOMEM;
	cpu->mmu = mmu;
	mmu->vm.apic_page = ~0ull;
	for (unsigned i = 0; i < NSETS; i++)
		for (unsigned c = 0; c < NCLASSES; c++)
			mmu->sets[i].nfilled[c] = FILLED_MAX + 1;
	enter_space(cpu);
	mmu_select(cpu);
	return 0;
}

void mmu_free(struct cpu *cpu)
{
	host_free_pages(cpu->mmu, sizeof(*cpu->mmu));
	cpu->mmu = NULL;
	cpu->tlb = NULL;
}
