/*
 * Translation caches and their invalidation (SDM Vol. 3A, 4.10).
 *
 * Two levels. The first is what the fast path probes: one struct tlb per privilege class in each of
 * a few sets, one set per PCID in use, least recently used replaced. The second holds translations
 * with their rights, tagged by an epoch: the owning set's, or the global one. A flush renews an
 * epoch and marks first-level arrays stale; they are cleared when next used. So flushes cost
 * little, and global translations survive them in the second level. Everything is kept as 4-KiB
 * fragments; hashed bitmaps remember which large pages have some, so that INVLPG anywhere in one
 * drops them all. Not modelled: caches of upper-level entries (every miss walks from CR3).
 */
#include <errno.h>
#include <stdlib.h>

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
	set->nfilled[cls] = 0;
	if ((set->stale_code & BIT(cls)) || set->local_code[cls]) {
		clear_code(t);
		t->gen = ++mmu->last_gen;
		memset(set->seen[cls], 0, sizeof(set->seen[cls]));
		set->local_code[cls] = false;
	}
	set->stale &= (u8)~BIT(cls);
	set->stale_code &= (u8)~BIT(cls);
}

struct tlb *mmu_class_tlb(struct mmu *mmu, enum tlb_class cls)
{
	if (unlikely(mmu->set->stale & BIT(cls)))
		clean_class(mmu, mmu->set, cls);
	return &mmu->set->cls[cls];
}

static unsigned seen_hash(u64 page)
{
	return (unsigned)(page >> 12 ^ page >> 21) % SEEN_BITS;
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
	return mmu->l2[h & (L2_ROWS - 1)];
}

static bool l2_visible(const struct mmu *mmu, const struct l2_entry *e)
{
	return e->epoch == mmu->set->epoch || e->epoch == mmu->global_epoch;
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
	    .epoch = w->global ? mmu->global_epoch : mmu->set->epoch,
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
		mmu->global_epoch = 1;
		for (unsigned i = 0; i < NSETS; i++)
			mmu->sets[i].epoch = i + 2;
		stale_all(mmu);
		mmu->last_epoch = NSETS + 2;
	}
	return mmu->last_epoch;
}

/* ---- invalidation ---- */

static void flush_set(struct mmu *mmu, struct set *set)
{
	set->epoch = new_epoch(mmu);
	set->stale = BIT(NCLASSES) - 1;
}

static void drop_all(struct mmu *mmu)
{
	for (unsigned i = 0; i < NSETS; i++)
		flush_set(mmu, &mmu->sets[i]);
	stale_all(mmu);
	mmu->global_epoch = new_epoch(mmu);
	memset(mmu->large, 0, sizeof(mmu->large));
	memset(mmu->map, 0, sizeof(mmu->map));
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
		    (e->epoch == set->epoch || (globals && e->epoch == mmu->global_epoch)))
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

/* First-level entries do not tell global pages, so the page goes from every set's. */
void mmu_invlpg(struct cpu *cpu, u64 lin)
{
	struct mmu *mmu = cpu->mmu;
	u64 page = page_of(cpu, lin);

	drop_large(mmu, page);
	for (unsigned i = 0; i < NSETS; i++) {
		drop_l2(mmu, &mmu->sets[i], page, true);
		drop_from_set(mmu, &mmu->sets[i], page);
	}
	mmu_select(cpu);
}

static struct set *find_set(struct mmu *mmu, u16 pcid)
{
	for (unsigned i = 0; i < NSETS; i++)
		if (mmu->sets[i].valid && mmu->sets[i].tag.pcid == pcid)
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

static void enter_set(struct mmu *mmu, u16 pcid, bool flush)
{
	struct set *set = find_set(mmu, pcid);

	if (!set) {
		set = oldest_set(mmu);
		set->valid = true;
		set->tag.pcid = pcid;
		flush = true;
	}
	if (flush)
		flush_set(mmu, set);
	set->used = ++mmu->clock;
	mmu->set = set;
}

static u16 current_pcid(const struct cpu *cpu)
{
	return cpu->cr4 & CR4_PCIDE ? cpu->cr3 & 0xfff : 0;
}

/* Chooses the set anew, so that a CR3 loaded with other state (RSM, a snapshot) needs nothing more.
 */
void mmu_flush_all(struct cpu *cpu)
{
	drop_all(cpu->mmu);
	enter_set(cpu->mmu, current_pcid(cpu), false);
	mmu_select(cpu);
}

void mmu_flush_nonglobal(struct cpu *cpu)
{
	flush_set(cpu->mmu, cpu->mmu->set);
	mmu_select(cpu);
}

void mmu_set_cr3(struct cpu *cpu, u64 cr3, bool noflush)
{
	cpu->cr3 = cr3 & ~BIT64(63);
	enter_set(cpu->mmu, current_pcid(cpu), !noflush || !(cpu->cr4 & CR4_PCIDE));
	mmu_select(cpu);
}

static void invpcid_page(struct mmu *mmu, struct set *set, u64 page)
{
	drop_large(mmu, page);
	drop_l2(mmu, set, page, false);
	drop_from_set(mmu, set, page);
}

/* SDM Vol. 2A, INVPCID: the caller has checked the type, the descriptor and the canonical address.
 */
void mmu_invpcid(struct cpu *cpu, unsigned type, u64 pcid, u64 lin)
{
	struct mmu *mmu = cpu->mmu;
	struct set *set = find_set(mmu, pcid & 0xfff);

	if (type == 2)
		drop_all(mmu);
	else if (type == 3)
		for (unsigned i = 0; i < NSETS; i++)
			flush_set(mmu, &mmu->sets[i]);
	else if (type == 1 && set)
		flush_set(mmu, set);
	else if (type == 0 && set)
		invpcid_page(mmu, set, page_of(cpu, lin));
	mmu_select(cpu);
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

/* ---- choosing the set and class ---- */

/* What shapes translations themselves: a change drops everything. */
static u64 paging_key(const struct cpu *cpu)
{
	u64 cr4 = cpu->cr4 & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE);
	u64 efer = cpu->efer & (EFER_LMA | EFER_NXE);

	return (cpu->cr0 & CR0_PG) | cr4 | efer << 32 | (u64)cpu->a20_masked << 48 |
	       (u64)cpu->smm << 49;
}

/* What only the rights check uses: a change drops the first level. */
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

	if (unlikely(paging != mmu->paging_key)) {
		mmu->paging_key = paging;
		drop_all(mmu);
		enter_set(mmu, current_pcid(cpu), false);
	}
	if (unlikely(regime != mmu->regime_key)) {
		mmu->regime_key = regime;
		stale_all(mmu);
	}
	if (unlikely(debug != mmu->debug_key)) {
		mmu->debug_key = debug;
		set_watches(cpu, mmu);
		stale_all(mmu);
	}
	cpu->tlb = mmu_class_tlb(mmu, mmu_class(cpu, 0));
}

int mmu_init(struct cpu *cpu)
{
	struct mmu *mmu = aligned_alloc(64, (sizeof(*mmu) + 63) & ~(size_t)63);

	if (!mmu)
		return -ENOMEM;
	memset(mmu, 0, sizeof(*mmu));
	cpu->mmu = mmu;
	mmu->paging_key = ~0ull; /* no machine has this one: the first selection drops and enters */
	mmu->last_epoch = NSETS + 2;
	for (unsigned i = 0; i < NSETS; i++)
		for (unsigned c = 0; c < NCLASSES; c++)
			mmu->sets[i].nfilled[c] = FILLED_MAX + 1;
	mmu_select(cpu);
	return 0;
}

void mmu_free(struct cpu *cpu)
{
	free(cpu->mmu);
	cpu->mmu = NULL;
	cpu->tlb = NULL;
}
