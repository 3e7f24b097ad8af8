/*
 * The two-dimensional walk against a model of its own that knows nothing of the walker's code, on random guest tables of 2, 3, 4
 * and 5 levels over random EPTs of 4 and 5: address, #PF error code, EPT violation or misconfiguration and qualification. The
 * memory references of cold walks. What INVEPT and INVVPID drop, and what stays.
 */
#include "tests/vmx/vbox.h"

static u64 seed = 1;

static u32 rnd(u32 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % n;
}

/* ---- building ------------------------------------------------------------------------------------- */

#define GPAGES 256u /* guest-physical pages 0..255, placed at random in the RAM's second half... */
#define EPT_BASE 0x100000u /* ...and the EPT's own tables here */

struct world {
	struct box *b;
	unsigned guest_levels, ept_levels;
	u16 place[GPAGES]; /* host page of each guest-physical page */
	unsigned ept_used, guest_used;
	u64 eptp, cr3, lin[24];
	unsigned nlin;
};

static u64 host_of(const struct world *w, u64 gpa)
{
	return (u64)w->place[gpa >> 12] << 12 | (gpa & 0xfff);
}

static u64 ept_leaf(const struct world *w, unsigned page, bool mean)
{
	u64 rights = 7, type = 6;

	if (mean && !rnd(6))
		rights = rnd(8);
	if (mean && !rnd(40))
		type = rnd(8);
	return (u64)w->place[page] << 12 | type << 3 | rights;
}

static void build_ept(struct world *w, bool mean)
{
	struct box *b = w->b;
	u64 table = EPT_BASE;

	memset(b->ram + EPT_BASE, 0, 0x10000);
	w->eptp = table | (w->ept_levels - 1) << 3 | 6;
	for (unsigned level = w->ept_levels; level > 1; level--, table += 4096)
		poke(b, table, (table + 4096) | 7, 8);
	for (unsigned i = 0; i < GPAGES; i++)
		poke(b, table + 8 * i, ept_leaf(w, i, mean), 8);
}

static unsigned entry_bits(const struct world *w)
{
	return w->guest_levels == 2 ? 10 : 9;
}

static unsigned entry_size(const struct world *w)
{
	return w->guest_levels == 2 ? 4 : 8;
}

static u64 guest_flags(const struct world *w, bool mean, bool top_pae)
{
	u64 f = 0x67; /* P W U A D */

	if (top_pae)
		return 1;
	if (mean && !rnd(8))
		f &= ~(u64)BIT(rnd(3));
	if (mean && !rnd(12) && w->guest_levels > 2)
		f |= BIT64(63);
	return f;
}

/* Maps @lin, making tables as needed; returns the guest-physical page, or 0 when there is no room. */
static u64 map_page(struct world *w, u64 lin, bool mean)
{
	u64 table = w->cr3;

	for (unsigned level = w->guest_levels; level >= 1; level--) {
		unsigned shift = 12 + entry_bits(w) * (level - 1);
		u64 index = lin >> shift & (w->guest_levels == 3 && level == 3 ? 3 : BIT64(entry_bits(w)) - 1);
		u64 at = host_of(w, table) + index * entry_size(w), e = peek(w->b, (u32)at, entry_size(w));

		if (!e) {
			if (w->guest_used >= GPAGES)
				return 0;
			e = (u64)w->guest_used++ << 12 | guest_flags(w, mean, w->guest_levels == 3 && level == 3);
			poke(w->b, (u32)at, e, entry_size(w));
		}
		table = e & 0xffffff000;
	}
	return table;
}

static void make_world(struct world *w, struct box *b, unsigned guest_levels, unsigned ept_levels, bool mean)
{
	*w = (struct world){.b = b, .guest_levels = guest_levels, .ept_levels = ept_levels, .guest_used = 1};
	for (unsigned i = 0; i < GPAGES; i++)
		w->place[i] = (u16)(0x200 + i);
	for (unsigned i = GPAGES - 1; i; i--) {
		unsigned j = rnd(i + 1);
		u16 t = w->place[i];

		w->place[i] = w->place[j];
		w->place[j] = t;
	}
	memset(b->ram + 0x200000, 0, GPAGES * 4096);
	build_ept(w, mean);
	w->cr3 = (u64)w->guest_used++ << 12;
	for (unsigned i = 0; i < ARRAY_SIZE(w->lin); i++) {
		u64 lin = (u64)rnd(1u << 20) << 12 | rnd(4096);

		if (guest_levels >= 4)
			lin |= (u64)rnd(1u << 15) << 32;
		if (map_page(w, lin, mean))
			w->lin[w->nlin++] = lin;
	}
}

static void enter_world(struct world *w, u16 vpid)
{
	struct cpu *cpu = &w->b->cpu;
	struct mmu_vm vm = {.nonroot = true, .vpid = vpid, .eptp = w->eptp, .apic_page = ~0ull};

	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE;
	cpu->cr4 = CR4_VMXE | (w->guest_levels > 2 ? CR4_PAE : 0) | (w->guest_levels == 5 ? CR4_LA57 : 0);
	cpu->efer = (w->guest_levels > 2 ? EFER_NXE : 0) | (w->guest_levels > 3 ? EFER_LME | EFER_LMA : 0);
	cpu->cr3 = w->cr3;
	memcpy(cpu->pdpte, w->b->ram + host_of(w, w->cr3), sizeof(cpu->pdpte));
	mmu_vm_switch(cpu, &vm);
}

/* ---- the model ------------------------------------------------------------------------------------ */

struct verdict {
	u64 hpa;       /* when all is well */
	u8 vector;     /* 0, EXC_PF or EXC_VMEXIT */
	u32 err;       /* #PF */
	u32 reason;
	u64 qual;
};

static bool model_ept(const struct world *w, u64 gpa, unsigned need, bool final, u64 *hpa, struct verdict *v)
{
	u64 table = w->eptp & ~0xfffull;
	unsigned rights = 7;

	for (int level = (int)w->ept_levels - 1; level >= 0; level--) {
		u64 e = peek(w->b, (u32)(table + (gpa >> (12 + 9 * level) & 511) * 8), 8);
		unsigned type = e >> 3 & 7;

		if (!(e & 7)) {
			*v = (struct verdict){.vector = EXC_VMEXIT, .reason = 48, .qual = need | (final ? 0x180 : 0x80)};
			return false;
		}
		if ((e & 3) == 2 || (level == 0 && (type == 2 || type == 3 || type == 7)) || (level && e & 0x78)) {
			*v = (struct verdict){.vector = EXC_VMEXIT, .reason = 49};
			return false;
		}
		rights &= (unsigned)e & 7;
		table = e & 0xfffffff000;
	}
	if ((rights & need) != need) {
		*v = (struct verdict){.vector = EXC_VMEXIT, .reason = 48,
				      .qual = need | rights << 3 | (final ? 0x180 : 0x80)};
		return false;
	}
	*hpa = table | (gpa & 0xfff);
	return true;
}

static u32 pf_bits(const struct world *w, unsigned need, bool user)
{
	return (need & 2 ? 2 : 0) | (user ? 4 : 0) | (need & 4 && w->guest_levels > 2 ? 16 : 0);
}

static struct verdict model(const struct world *w, u64 lin, unsigned need, bool user)
{
	struct verdict v = {0};
	bool can_w = true, can_u = true, nx = false;
	u64 table = w->cr3;

	for (int level = (int)w->guest_levels - 1; level >= 0; level--) {
		bool pdpt = w->guest_levels == 3 && level == 2;
		u64 index = lin >> (12 + entry_bits(w) * (unsigned)level) & (pdpt ? 3 : BIT64(entry_bits(w)) - 1), at, e;

		if (pdpt)
			at = host_of(w, w->cr3) + index * 8; /* held in registers */
		else if (!model_ept(w, table + index * entry_size(w), 1, false, &at, &v))
			return v;
		e = peek(w->b, (u32)at, entry_size(w));
		if (!(e & 1)) {
			v = (struct verdict){.vector = EXC_PF, .err = pf_bits(w, need, user)};
			return v;
		}
		if (!pdpt) {
			can_w &= e >> 1 & 1;
			can_u &= e >> 2 & 1;
			nx |= e >> 63;
		}
		table = e & 0xffffff000;
	}
	if ((user && !can_u) || ((need & 2) && !can_w) || ((need & 4) && nx)) {
		v = (struct verdict){.vector = EXC_PF, .err = 1 | pf_bits(w, need, user)};
		return v;
	}
	(void)model_ept(w, table | (lin & 0xfff), need, true, &v.hpa, &v);
	return v;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static void compare(struct world *w, u64 lin, unsigned need, bool user)
{
	static const u8 acc_of[] = {[1] = ACC_R, [2] = ACC_W, [4] = ACC_X};
	struct cpu *cpu = &w->b->cpu;
	struct verdict v = model(w, lin, need, user);
	struct xlat x = {0};
	int rc;

	cpu->cpl = user ? 3 : 0;
	rc = mmu_translate(cpu, lin, acc_of[need], &x);
	ck_assert_msg((rc ? cpu->fault.vector : 0) == v.vector, "%u over %u levels, %llx %u: vector %u, model %u: %s",
		      w->guest_levels, w->ept_levels, (unsigned long long)lin, need, rc ? cpu->fault.vector : 0, v.vector,
		      rc ? cpu->fault.why : "");
	if (v.vector == EXC_PF) {
		ck_assert_uint_eq(cpu->fault.err, v.err);
	} else if (v.vector == EXC_VMEXIT) {
		ck_assert_uint_eq(cpu->vm_fault.reason, v.reason);
		ck_assert_uint_eq(cpu->vm_fault.qual, v.qual);
	} else {
		ck_assert_uint_eq(x.gpa, v.hpa);
	}
}

START_TEST(random_tables_against_the_model)
{
	static const u8 forms[][2] = {{2, 4}, {3, 4}, {4, 4}, {5, 4}, {2, 5}, {3, 5}, {4, 5}, {5, 5}};
	struct box *b = vbox_root();

	for (unsigned round = 0; round < 240; round++) {
		struct world w;

		make_world(&w, b, forms[round % 8][0], forms[round % 8][1], true);
		mmu_flush_all(&b->cpu);
		enter_world(&w, (u16)(1 + round % 3));
		for (unsigned i = 0; i < 300 && w.nlin; i++)
			compare(&w, w.lin[rnd(w.nlin)], 1u << rnd(3), rnd(2));
	}
	box_free(b);
}
END_TEST

/* A cold walk of n levels over m reads (n + 1)(m + 1) - 1 entries; the next translation of the same page reads none. */
START_TEST(references_of_a_cold_walk)
{
	static const u8 forms[][3] = {{4, 4, 24}, {5, 5, 35}, {5, 4, 29}, {4, 5, 29}, {2, 4, 14}};
	struct box *b = vbox_root();
	struct cpu *cpu = &b->cpu;

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		struct mmu_stats before;
		struct world w;
		struct xlat x;

		make_world(&w, b, forms[i][0], forms[i][1], false);
		mmu_flush_all(cpu);
		enter_world(&w, 1);
		cpu->cpl = 0;
		before = *mmu_stats(cpu);
		ck_assert_int_eq(mmu_translate(cpu, w.lin[0], ACC_R, &x), 0);
		ck_assert_uint_eq(mmu_stats(cpu)->guest_refs + mmu_stats(cpu)->ept_refs - before.guest_refs - before.ept_refs,
				  forms[i][2]);
		before = *mmu_stats(cpu);
		ck_assert_int_eq(mmu_translate(cpu, w.lin[0], ACC_R, &x), 0);
		ck_assert_uint_eq(mmu_stats(cpu)->walks, before.walks);
	}
	box_free(b);
}
END_TEST

static bool walks(struct world *w, u16 vpid, u64 lin)
{
	struct cpu *cpu = &w->b->cpu;
	u64 before;
	struct xlat x;

	enter_world(w, vpid);
	before = mmu_stats(cpu)->walks;
	ck_assert_int_eq(mmu_translate(cpu, lin, ACC_R, &x), 0);
	return mmu_stats(cpu)->walks != before;
}

/* Translations of two VPIDs stay side by side over switches; each invalidation drops its own, and not the other's. */
START_TEST(invalidation_is_by_tag)
{
	struct box *b = vbox_root();
	struct cpu *cpu = &b->cpu;
	struct world w, other;
	u64 lin;

	make_world(&w, b, 4, 4, false);
	other = w;
	lin = w.lin[0];
	cpu->cpl = 0;
	ck_assert(walks(&w, 1, lin));
	ck_assert(walks(&other, 2, lin));
	ck_assert(!walks(&w, 1, lin) && !walks(&other, 2, lin));
	mmu_invvpid(cpu, MMU_INV_CONTEXT, 1, 0);
	ck_assert(!walks(&other, 2, lin) && walks(&w, 1, lin));
	mmu_invvpid(cpu, MMU_INV_ADDRESS, 2, lin);
	ck_assert(walks(&other, 2, lin) && !walks(&w, 1, lin));
	mmu_invvpid(cpu, MMU_INV_ADDRESS, 2, lin ^ 0x1000);
	ck_assert(!walks(&other, 2, lin));
	mmu_invept(cpu, false, w.eptp ^ 0x1000);
	ck_assert(!walks(&other, 2, lin) && !walks(&w, 1, lin));
	mmu_invept(cpu, false, w.eptp);
	ck_assert(walks(&other, 2, lin) && walks(&w, 1, lin));
	mmu_invvpid(cpu, MMU_INV_ALL, 0, 0);
	ck_assert(walks(&other, 2, lin) && walks(&w, 1, lin));
	mmu_flush_vpid0(cpu);
	ck_assert(!walks(&other, 2, lin) && !walks(&w, 1, lin));
	box_free(b);
}
END_TEST

/* Accessed and dirty flags of the EPT, and the log that the latter leads to. */
START_TEST(flags_and_log)
{
	struct box *b = vbox_root();
	struct cpu *cpu = &b->cpu;
	struct world w;
	struct mmu_vm vm;
	u64 index = 511, leaf;
	struct xlat x;

	make_world(&w, b, 4, 4, false);
	w.eptp |= 0x40;
	enter_world(&w, 1);
	vm = (struct mmu_vm){.nonroot = true, .vpid = 1, .eptp = w.eptp, .apic_page = ~0ull, .pml_index = &index,
			     .pml_addr = PML_LOG};
	mmu_vm_switch(cpu, &vm);
	cpu->cpl = 0;
	ck_assert_int_eq(mmu_translate(cpu, w.lin[0], ACC_R, &x), 0);
	ck_assert_uint_eq(index, 511 - 4); /* the guest's tables count as written */
	ck_assert_int_eq(mmu_translate(cpu, w.lin[0], ACC_W, &x), 0);
	ck_assert_uint_eq(index, 511 - 5);
	leaf = peek(b, PML_LOG + 8 * 507, 8);
	ck_assert_uint_eq(host_of(&w, leaf), x.gpa & ~0xfffull);
	ck_assert_uint_eq(peek(b, EPT_BASE + 0x3000 + (u32)(leaf >> 12) * 8, 8) & 0x300, 0x300);
	ck_assert_uint_eq(peek(b, EPT_BASE, 8) & 0x300, 0x100);
	box_free(b);
}
END_TEST

/* A page that its EPT entry keeps from being written, with bit 61: the table's vector says which 128 bytes may be (28.2.4). */
START_TEST(sub_pages)
{
	enum { SPPT = 0x1c0000 };
	struct box *b = vbox_root();
	struct cpu *cpu = &b->cpu;
	struct world w;
	u64 gpa, leaf, lin, v = 0x5a;
	struct xlat x;
	u32 leaf_at, vector_at;

	make_world(&w, b, 4, 4, false);
	enter_world(&w, 1);
	cpu->cpl = 0;
	lin = w.lin[0] & ~0xfffull;
	ck_assert_int_eq(mmu_translate(cpu, lin, ACC_W, &x), 0); /* sets the guest's own flags */
	for (gpa = 0; host_of(&w, gpa) != (x.gpa & ~0xfffull);)
		gpa += 4096;
	leaf_at = EPT_BASE + 0x3000 + (u32)(gpa >> 12) * 8;
	leaf = peek(b, leaf_at, 8);
	poke(b, leaf_at, (leaf & ~2ull) | BIT64(61), 8);
	mmu_invept(cpu, true, 0);

	/* Without the control the bit means nothing. */
	ck_assert_int_eq(mem_write(cpu, lin, &v, 1, 0), 1);
	ck_assert_uint_eq(cpu->vm_fault.reason, 48);
	struct mmu_vm vm = {.nonroot = true, .vpid = 1, .eptp = w.eptp, .apic_page = ~0ull, .spptp = SPPT | 1};
	mmu_vm_switch(cpu, &vm);
	memset(b->ram + SPPT, 0, 0x4000);
	ck_assert_int_eq(mem_write(cpu, lin, &v, 1, 0), 1); /* a miss */
	ck_assert_uint_eq(cpu->vm_fault.reason, 66);
	ck_assert_uint_eq(cpu->vm_fault.qual, 0x800);
	ck_assert_uint_eq(cpu->vm_fault.gpa, gpa);
	for (u32 i = 0; i < 3; i++)
		poke(b, SPPT + 0x1000 * i, (SPPT + 0x1000 * (i + 1)) | 1, 8);
	vector_at = SPPT + 0x3000 + (u32)(gpa >> 12) * 8;
	poke(b, vector_at, 0x4001, 8); /* bytes 0-7F and 380-3FF */
	ck_assert_int_eq(mem_write(cpu, lin + 0x7f, &v, 1, 0), 0);
	ck_assert_uint_eq(peek(b, (u32)(x.gpa & ~0xfffull) + 0x7f, 1), 0x5a);
	ck_assert_int_eq(mem_write(cpu, lin + 0x380, &v, 8, 0), 0);
	ck_assert_int_eq(mem_write(cpu, lin + 0x80, &v, 1, 0), 1);
	ck_assert_uint_eq(cpu->vm_fault.reason, 48);
	ck_assert_uint_eq(cpu->vm_fault.qual, 0x182 | 5 << 3);
	ck_assert_int_eq(mem_write(cpu, lin + 0x7c, &v, 8, 0), 1); /* half of it may be written */
	ck_assert_uint_eq(cpu->vm_fault.reason, 48);
	ck_assert_int_eq(mem_read(cpu, lin + 0x100, &v, 8, 0), 0);
	poke(b, vector_at, 0x4003, 8);
	ck_assert_int_eq(mem_write(cpu, lin, &v, 1, 0), 1); /* a misconfiguration: odd bits are reserved */
	ck_assert_uint_eq(cpu->vm_fault.reason, 66);
	ck_assert_uint_eq(cpu->vm_fault.qual, 0);
	poke(b, SPPT + 0x1000, (SPPT + 0x2000) | 3, 8);
	ck_assert_int_eq(mem_write(cpu, lin, &v, 1, 0), 1);
	ck_assert_uint_eq(cpu->vm_fault.reason, 66);
	box_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vmx_ept");
	TCase *c = tcase_create("all");

	tcase_add_test(c, random_tables_against_the_model);
	tcase_add_test(c, references_of_a_cold_walk);
	tcase_add_test(c, invalidation_is_by_tag);
	tcase_add_test(c, flags_and_log);
	tcase_add_test(c, sub_pages);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	return run_suite(s);
}
