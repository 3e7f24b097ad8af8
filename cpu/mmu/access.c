/*
 * Memory by linear and by guest-physical address: the slow paths behind the inlined TLB probe.
 *
 * Modelled: page crossing (both pages are translated before a byte moves), MMIO in naturally
 * aligned pieces, stores into decoded code, data breakpoints (SDM Vol. 3B, 17.2.5: hits gather in
 * cpu->dr6_pending), alignment checking.
 * Not modelled: memory types; accesses are in program order whatever PAT and MTRRs say.
 */
#include "base/dirty.h"
#include "cpu/mmu/internal.h"
#include "cpu/watch.h"

/* ---- guest-physical ---- */

u8 *mmu_ram_page(struct cpu *cpu, u64 gpa, unsigned *flags)
{
	struct map_entry *m = &cpu->mmu->map[gpa >> 12 & (MAP_ROWS - 1)];
	u8 *host;

	if (likely(m->key == (gpa | 1))) {
		*flags = m->flags;
		return m->host;
	}
	*flags = 0;
	host = cpu->bus.ram_page(cpu->bus.ctx, gpa, flags);
	if (host)
		*m = (struct map_entry){.key = gpa | 1, .host = host, .flags = *flags};
	return host;
}

/* The largest naturally aligned piece at @gpa of at most @n bytes. */
static unsigned mmio_piece(u64 gpa, unsigned n)
{
	unsigned size = 8;

	while (size > n || (gpa & (size - 1)))
		size /= 2;
	return size;
}

static void mmio_read(struct cpu *cpu, u64 gpa, u8 *buf, unsigned n)
{
	while (n) {
		unsigned size = mmio_piece(gpa, n);
		u64 v = cpu->bus.mmio_read(cpu->bus.ctx, gpa, size);

		memcpy(buf, &v, size);
		gpa += size;
		buf += size;
		n -= size;
	}
}

static void mmio_write(struct cpu *cpu, u64 gpa, const u8 *buf, unsigned n)
{
	while (n) {
		unsigned size = mmio_piece(gpa, n);
		u64 v = 0;

		memcpy(&v, buf, size);
		cpu->bus.mmio_write(cpu->bus.ctx, gpa, v, size);
		gpa += size;
		buf += size;
		n -= size;
	}
}

/* The copy behind every slow access; the small sizes are single host moves, as a guest's aligned
 * ones must be. */
static void copy(void *to, const void *from, unsigned n)
{
	switch (n) {
	case 1: memcpy(to, from, 1); break;
	case 2: memcpy(to, from, 2); break;
	case 4: memcpy(to, from, 4); break;
	case 8: memcpy(to, from, 8); break;
	case 15: memcpy(to, from, 15); break; /* an instruction, whatever its length */
	default: memcpy(to, from, n); break;
	}
}

/* Within one page whose host address is known. */
static void page_read(struct cpu *cpu, u64 gpa, const u8 *host, void *buf, unsigned n)
{
	if (host)
		copy(buf, host + (gpa & 0xfff), n);
	else
		mmio_read(cpu, gpa, buf, n);
}

static void page_write(struct cpu *cpu, u64 gpa, u8 *host, bool writable, const void *buf,
		       unsigned n)
{
	if (!host || !writable) {
		mmio_write(cpu, gpa, buf, n);
		return;
	}
	copy(host + (gpa & 0xfff), buf, n);
	dirty_mark(cpu->dirty, host);
	if (code_page_present(cpu, gpa & PAGE_MASK))
		code_written(cpu, gpa, n);
}

void phys_read(struct cpu *cpu, u64 gpa, void *buf, unsigned n)
{
	while (n) {
		u64 at = mmu_a20(cpu, gpa);
		unsigned part = MIN(n, PAGE_SIZE - (unsigned)(at & 0xfff)), flags;

		page_read(cpu, at, mmu_ram_page(cpu, at & PAGE_MASK, &flags), buf, part);
		gpa += part;
		buf = (u8 *)buf + part;
		n -= part;
	}
}

void phys_write(struct cpu *cpu, u64 gpa, const void *buf, unsigned n)
{
	while (n) {
		u64 at = mmu_a20(cpu, gpa);
		unsigned part = MIN(n, PAGE_SIZE - (unsigned)(at & 0xfff)), flags;
		u8 *host = mmu_ram_page(cpu, at & PAGE_MASK, &flags);

		page_write(cpu, at, host, flags & BUS_PAGE_WRITABLE, buf, part);
		gpa += part;
		buf = (const u8 *)buf + part;
		n -= part;
	}
}

/* ---- watchers (cpu/watch.h) ---- */

static bool page_wanted(struct cpu *cpu, u64 page, u64 phys_page)
{
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if ((w->wants & WATCH_BIT(WATCH_ACCESS)) && w->page_wanted(w->ctx, page, phys_page))
			return true;
	return false;
}

/* @n bytes of one page were read or written. */
static void show_part(struct cpu *cpu, u64 lin, u64 gpa, const void *data, unsigned n, bool write)
{
	struct seen s = {.kind = WATCH_ACCESS, .addr = lin, .phys = gpa, .size = (u8)MIN(n, 255u), .write = write};

	memcpy(&s.value, data, MIN(n, 8u));
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if ((w->wants & WATCH_BIT(WATCH_ACCESS)) && w->page_wanted(w->ctx, lin & ~0xfffull, gpa & ~0xfffull))
			w->seen(w->ctx, cpu, &s);
}

/* ---- translation ---- */

static bool watched_page(const struct mmu *mmu, u64 page)
{
	for (unsigned i = 0; i < mmu->nwatch; i++)
		if ((mmu->watch[i].addr & PAGE_MASK) == page)
			return true;
	return false;
}

static void fill(struct cpu *cpu, const struct l2_entry *e, unsigned acc, enum tlb_class cls)
{
	struct mmu *mmu = cpu->mmu;
	struct tlb *t = mmu_class_tlb(mmu, cls);
	struct tlb_entry data = {.tag = e->page, .host = (uintptr_t)e->host - e->page};

	if (unlikely(e->gpa == mmu->vm.apic_page))
		return;
	mmu_note_fill(mmu, cls, e->page);
	if (acc & ACC_X) {
		t->x[itlb_index(e->page)] = (struct itlb_entry){.tag = e->page, .phys = e->gpa};
		mmu_code_seen(mmu, cls, e->page, e->epoch == mmu->space->global_epoch);
		return;
	}
	if (!e->host || (unlikely(mmu->nwatch) && watched_page(mmu, e->page)))
		return;
	if (unlikely(watch_on(cpu, WATCH_ACCESS)) && page_wanted(cpu, e->page, e->gpa))
		return;
	t->r[tlb_index(e->page)] = data;
	if ((acc & ACC_W) && (e->perm & (PERM_HOST_W | PERM_NO_S2W)) == PERM_HOST_W && !code_page_present(cpu, e->gpa)) {
		t->w[tlb_index(e->page)] = data;
		dirty_mark(cpu->dirty, e->host);
	}
}

/* EPT rights that the cached translation lacks for @acc: then the walk decides. */
static u32 stage2_denies(u32 perm, unsigned acc)
{
	u32 need = (acc & ACC_W ? PERM_NO_S2W : 0) | (acc & ACC_R ? PERM_NO_S2R : 0);

	return perm & (acc & ACC_X ? PERM_NO_S2X : need);
}

static u64 linear_mask(const struct cpu *cpu)
{
	return cpu->efer & EFER_LMA ? ~0ull : 0xffffffff;
}

static const struct l2_entry *walk_and_fill(struct cpu *cpu, struct walk *w)
{
	const struct l2_entry *e;
	unsigned flags;
	u8 *host;

	if (!mmu_walk(w)) {
		mmu_drop_page(cpu->mmu, w->lin & PAGE_MASK);
		return NULL;
	}
	host = mmu_ram_page(cpu, w->gpa & PAGE_MASK, &flags);
	e = mmu_l2_insert(cpu->mmu, w, host, flags);
	fill(cpu, e, w->acc, w->cls);
	return e;
}

/* The second level's translation of @page if it allows @acc. One that denies the access is not believed: the walk decides. */
static ALWAYS_INLINE const struct l2_entry *usable(struct cpu *cpu, u64 page, unsigned acc, enum tlb_class cls)
{
	const struct l2_entry *e = mmu_l2_find(cpu->mmu, page);
	bool pk;

	return likely(e) && (!(acc & ACC_W) || (e->perm & PERM_D)) && !stage2_denies(e->perm, acc) &&
		       !mmu_rights(cpu, e->perm, acc, cls, &pk)
		   ? e
		   : NULL;
}

/*
 * The translation of @lin for @acc, from the second level or by a walk, entered into the first.
 * NULL: @w says which #PF. @n: the access's length in this page, 0 if it is not known.
 */
static const struct l2_entry *find_page(struct cpu *cpu, u64 lin, unsigned n, unsigned acc, struct walk *w)
{
	enum tlb_class cls = mmu_class(cpu, acc);
	const struct l2_entry *e;

	lin &= linear_mask(cpu);
	e = usable(cpu, lin & PAGE_MASK, acc, cls);
	if (e) {
		fill(cpu, e, acc, cls);
		return e;
	}
	*w = (struct walk){.cpu = cpu, .lin = lin, .acc = acc, .cls = cls, .nbytes = n};
	return walk_and_fill(cpu, w);
}

/* One page of an access, kept while the other one is translated. */
struct span {
	u64 gpa; /* of the first byte */
	u8 *host;
	bool writable;
	unsigned n;
};

/* What the walk read, for who explains the fault. The entries of the second stage are there already. */
static void note_walk(struct cpu *cpu, const struct walk *w)
{
	struct fault_trail *t = &cpu->trail;

	t->walk.lin = w->lin;
	t->walk.pdpte = cpu->pdpte[w->lin >> 30 & 3];
	t->walk.n = (u8)w->n;
	t->walk.size = (u8)w->entry_size;
	t->walk.acc = (u8)w->acc;
	t->walk.cls = (u8)w->cls;
	memcpy(t->walk.at, w->entry_guest, sizeof(t->walk.at));
	memcpy(t->walk.entry, w->entry, sizeof(t->walk.entry));
	if (!w->vm.reason)
		t->walk.ept_n = 0;
}

int mmu_walk_fault(struct cpu *cpu, const struct walk *w)
{
	note_walk(cpu, w);
	if (!w->vm.reason)
		return cpu_page_fault(cpu, w->lin, w->err, w->why, w->value);
	cpu->vm_fault = w->vm;
	return cpu_fault(cpu, EXC_VMEXIT, 0, w->why, w->value);
}

/* The APIC-access page: the access exits, or goes to the virtual-APIC page. */
static COLD int apic_span(struct cpu *cpu, u64 lin, unsigned acc, struct span *s)
{
	u64 page;
	unsigned flags;

	if (vmx_apic_access(cpu, lin, lin & 0xfff, s->n, acc, &page))
		return 1;
	s->gpa = page | (lin & 0xfff);
	s->host = mmu_ram_page(cpu, page, &flags);
	s->writable = flags & BUS_PAGE_WRITABLE;
	return 0;
}

static int find_span(struct cpu *cpu, u64 lin, unsigned n, unsigned acc, struct span *s)
{
	struct walk w;
	const struct l2_entry *e = find_page(cpu, lin, n, acc, &w);

	if (!e)
		return mmu_walk_fault(cpu, &w);
	s->gpa = e->gpa | (lin & 0xfff);
	s->host = e->host;
	s->writable = e->perm & PERM_HOST_W;
	s->n = n;
	if (unlikely(e->gpa == cpu->mmu->vm.apic_page))
		return apic_span(cpu, lin, acc, s);
	return 0;
}

/* Linear address of the page after the one @lin is in: outside 64-bit mode it wraps at 4 GiB. */
static u64 next_page(const struct cpu *cpu, u64 lin, unsigned acc)
{
	u64 next = (lin & PAGE_MASK) + PAGE_SIZE;
	bool wide = (cpu->efer & EFER_LMA) && (cpu_long64(cpu) || (acc & ACC_SYS));

	return wide || lin > 0xffffffff ? next : (u32)next;
}

/* Translates all of an access; s[1].n = 0 when it lies in one page. */
static int find_spans(struct cpu *cpu, u64 lin, unsigned n, unsigned acc, struct span s[2])
{
	unsigned first = MIN(n, PAGE_SIZE - (unsigned)(lin & 0xfff));

	s[1].n = 0;
	if (find_span(cpu, lin, first, acc, &s[0]))
		return 1;
	return n > first ? find_span(cpu, next_page(cpu, lin, acc), n - first, acc, &s[1]) : 0;
}

/* Operands of 16 bytes and more that may be unaligned are never checked: SDM Vol. 3A 6.15 leaves it open, hardware does not. */
static bool misaligned(const struct cpu *cpu, u64 lin, unsigned n, unsigned acc)
{
	if (likely(!(cpu->mode & MODE_AC)) || (acc & (ACC_SYS | ACC_VEC)))
		return false;
	if (n == 10) /* double extended precision: 8 (Table 6-7) */
		n = 8;
	if (n > 8 || (n & (n - 1)))
		return false;
	return lin & (n - 1);
}

static int alignment_fault(struct cpu *cpu, u64 lin)
{
	return cpu_fault(cpu, EXC_AC, 0, "misaligned access with CR0.AM = 1, RFLAGS.AC = 1, CPL = 3",
			 lin);
}

int mem_aligned(struct cpu *cpu, u64 lin, unsigned align, unsigned acc)
{
	if (likely(!(cpu->mode & MODE_AC)) || (acc & ACC_SYS) || !(lin & (align - 1)))
		return 0;
	return alignment_fault(cpu, lin);
}

static void check_watches(struct cpu *cpu, u64 lin, unsigned n, bool write)
{
	const struct mmu *mmu = cpu->mmu;

	for (unsigned i = 0; i < mmu->nwatch; i++) {
		const struct watch *k = &mmu->watch[i];

		if ((write || !k->writes_only) && lin < k->addr + k->len && k->addr < lin + n)
			cpu->dr6_pending |= k->bit;
	}
}

static void show_access(struct cpu *cpu, u64 lin, const struct span s[2], const void *data, bool write)
{
	show_part(cpu, lin, s[0].gpa, data, s[0].n, write);
	if (s[1].n)
		show_part(cpu, lin + s[0].n, s[1].gpa, (const u8 *)data + s[0].n, s[1].n, write);
}

static struct tlb *tlb_for(struct cpu *cpu, unsigned acc)
{
	if (likely(!(acc & (ACC_SYS | ACC_USER))))
		return cpu->tlb;
	return mmu_class_tlb(cpu->mmu, mmu_class(cpu, acc));
}

static NOINLINE int read_slow(struct cpu *cpu, u64 lin, void *buf, unsigned n, unsigned acc)
{
	struct span s[2];

	if (find_spans(cpu, lin, n, acc, s))
		return 1;
	page_read(cpu, s[0].gpa, s[0].host, buf, s[0].n);
	if (s[1].n)
		page_read(cpu, s[1].gpa, s[1].host, (u8 *)buf + s[0].n, s[1].n);
	if (unlikely(cpu->mmu->nwatch))
		check_watches(cpu, lin, n, false);
	if (unlikely(watch_on(cpu, WATCH_ACCESS)))
		show_access(cpu, lin, s, buf, false);
	return 0;
}

int mem_read(struct cpu *cpu, u64 lin, void *buf, unsigned n, unsigned acc)
{
	const struct tlb *t = tlb_for(cpu, acc);
	const struct tlb_entry *e = acc & ACC_W ? &t->w[tlb_index(lin)] : &t->r[tlb_index(lin)];

	if (misaligned(cpu, lin, n, acc))
		return alignment_fault(cpu, lin);
	if (likely(lin - e->tag <= PAGE_SIZE - n)) {
		copy(buf, (const u8 *)(e->host + lin), n);
		return 0;
	}
	return read_slow(cpu, lin, buf, n, acc | ACC_R);
}

static NOINLINE int write_slow(struct cpu *cpu, u64 lin, const void *buf, unsigned n, unsigned acc)
{
	struct span s[2];

	if (find_spans(cpu, lin, n, acc, s))
		return 1;
	page_write(cpu, s[0].gpa, s[0].host, s[0].writable, buf, s[0].n);
	if (s[1].n)
		page_write(cpu, s[1].gpa, s[1].host, s[1].writable, (const u8 *)buf + s[0].n,
			   s[1].n);
	if (unlikely(cpu->mmu->nwatch))
		check_watches(cpu, lin, n, true);
	if (unlikely(watch_on(cpu, WATCH_ACCESS)))
		show_access(cpu, lin, s, buf, true);
	return 0;
}

int mem_write(struct cpu *cpu, u64 lin, const void *buf, unsigned n, unsigned acc)
{
	const struct tlb_entry *e = &tlb_for(cpu, acc)->w[tlb_index(lin)];

	if (misaligned(cpu, lin, n, acc))
		return alignment_fault(cpu, lin);
	if (likely(lin - e->tag <= PAGE_SIZE - n)) {
		copy((u8 *)(e->host + lin), buf, n);
		return 0;
	}
	return write_slow(cpu, lin, buf, n, acc | ACC_W);
}

int mem_probe(struct cpu *cpu, u64 lin, unsigned n, unsigned acc)
{
	const struct tlb *t = tlb_for(cpu, acc);
	const struct tlb_entry *e = acc & ACC_W ? &t->w[tlb_index(lin)] : &t->r[tlb_index(lin)];
	struct span s[2];

	if (misaligned(cpu, lin, n, acc))
		return alignment_fault(cpu, lin);
	if (likely(lin - e->tag <= PAGE_SIZE - n) && !(acc & ACC_X))
		return 0;
	return find_spans(cpu, lin, n, acc, s);
}

u8 *mem_host(struct cpu *cpu, u64 lin, unsigned n, unsigned acc)
{
	struct tlb *t = tlb_for(cpu, acc);
	struct tlb_entry *e = acc & ACC_W ? &t->w[tlb_index(lin)] : &t->r[tlb_index(lin)];
	struct walk w;

	if (n > PAGE_SIZE - (lin & 0xfff) || ((cpu->mode & MODE_AC) && !(acc & ACC_SYS)))
		return NULL;
	if (unlikely(lin - e->tag > PAGE_SIZE - n) &&
	    (!find_page(cpu, lin, 0, acc, &w) || lin - e->tag > PAGE_SIZE - n))
		return NULL;
	return (u8 *)(e->host + lin);
}

/* ---- the rest of the interface ---- */

int mmu_translate(struct cpu *cpu, u64 lin, unsigned acc, struct xlat *out)
{
	struct walk w;
	const struct l2_entry *e = find_page(cpu, lin, 1, acc, &w);

	if (!e)
		return mmu_walk_fault(cpu, &w);
	*out = (struct xlat){
	    .gpa = e->gpa | (lin & 0xfff),
	    .page_size = BIT64(e->perm >> PERM_SIZE_SHIFT),
	    .host = e->host,
	    .flags = e->perm & PERM_HOST_W ? BUS_PAGE_WRITABLE : 0,
	};
	return 0;
}

int mmu_walk_record(struct cpu *cpu, u64 lin, unsigned acc, struct xlat *out,
		    struct walk_record *rec)
{
	struct walk w = {.cpu = cpu,
			 .rec = rec,
			 .lin = lin & linear_mask(cpu),
			 .acc = acc,
			 .cls = mmu_class(cpu, acc),
			 .nbytes = 1};
	bool ok;

	rec->n = 0;
	ok = mmu_walk(&w);
	rec->verdict = w.why;
	if (!ok)
		return 1;
	out->gpa = w.gpa;
	out->page_size = BIT64(w.shift);
	out->host = mmu_ram_page(cpu, w.gpa & PAGE_MASK, &out->flags);
	return 0;
}

int mmu_code_page(struct cpu *cpu, u64 lin, u64 *phys_page, u8 **host)
{
	const struct itlb_entry *x = &cpu->tlb->x[itlb_index(lin)];
	unsigned flags;

	if (likely((lin & PAGE_MASK) == x->tag)) {
		*phys_page = x->phys;
	} else {
		struct span s;

		if (find_span(cpu, lin, 1, ACC_X, &s))
			return 1;
		*phys_page = s.gpa & PAGE_MASK;
	}
	if (host)
		*host = mmu_ram_page(cpu, *phys_page, &flags);
	return 0;
}

bool mmu_code_again(struct cpu *cpu, u64 page, u64 phys)
{
	enum tlb_class cls = mmu_class(cpu, ACC_X);
	const struct l2_entry *e = usable(cpu, page, ACC_X, cls);

	if (!e || e->gpa != phys || e->gpa == cpu->mmu->vm.apic_page)
		return false;
	fill(cpu, e, ACC_X, cls);
	return true;
}

int mmu_fetch(struct cpu *cpu, u64 lin, u8 *buf, unsigned *n)
{
	unsigned part = MIN(15u, PAGE_SIZE - (unsigned)(lin & 0xfff));
	u64 page;
	u8 *host;

	if (mmu_code_page(cpu, lin, &page, &host))
		return 1;
	page_read(cpu, page | (lin & 0xfff), host, buf, part);
	*n = part;
	return 0;
}
