/* Invalidation (SDM Vol. 3A, 4.10): what must be dropped is dropped, what should survive does. */
#include "tests/mmu/fake.h"

/* 4-level tables at 1000h..4000h; linear page i (i < 512) is PTE i at 4000h + 8 i. PD entry 1 is
 * free for a 2-MiB page, PDPT entry 1 for a 1-GiB page. */
#define PT        0x4000u
#define PTE_AT(i) (PT + 8 * (i))
#define PDE1      0x3008u
#define PDPTE1    0x2008u
#define RW        0x63u /* P, W, A, D */

static struct fake *long_mode(u64 cr4)
{
	struct fake *f = fake_new();
	struct cpu *cpu = &f->cpu;

	put64(f, 0x1000, 0x2027);
	put64(f, 0x2000, 0x3027);
	put64(f, 0x3000, PT | 0x27);
	for (unsigned i = 0; i < 512; i++)
		put64(f, PTE_AT(i), 0x10000 | RW);
	cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
	cpu->cr4 = CR4_PAE | cr4;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE;
	cpu->cr3 = 0x1000;
	mmu_flush_all(cpu);
	return f;
}

static u64 where(struct fake *f, u64 lin)
{
	struct xlat x;

	return mmu_translate(&f->cpu, lin, ACC_R, &x) ? ~0ull : x.gpa;
}

static bool l1_hit(struct fake *f, u64 lin)
{
	return f->cpu.tlb->r[tlb_index(lin)].tag == (lin & ~0xfffull);
}

START_TEST(translations_are_cached_until_invlpg)
{
	struct fake *f = long_mode(0);

	ck_assert_uint_eq(where(f, 0x5123), 0x10123);
	put64(f, PTE_AT(5), 0x11000 | RW);
	ck_assert_uint_eq(where(f, 0x5123), 0x10123);
	ck_assert(l1_hit(f, 0x5123));
	mmu_invlpg(&f->cpu, 0x6000);
	ck_assert_uint_eq(where(f, 0x5123), 0x10123);
	mmu_invlpg(&f->cpu, 0x5fff);
	ck_assert(!l1_hit(f, 0x5123));
	ck_assert_uint_eq(where(f, 0x5123), 0x11123);
	fake_free(f);
}
END_TEST

START_TEST(fault_on_a_cached_page_rewalks)
{
	struct fake *f = long_mode(0);
	struct xlat x;

	put64(f, PTE_AT(5), 0x10000 | 0x21); /* read-only */
	ck_assert_uint_eq(where(f, 0x5000), 0x10000);
	ck_assert_int_eq(mmu_translate(&f->cpu, 0x5000, ACC_W, &x), 1);
	ck_assert(!l1_hit(f, 0x5000)); /* 4.10.4.1: the fault dropped it */
	put64(f, PTE_AT(5), 0x11000 | 0x23);
	ck_assert_int_eq(mmu_translate(&f->cpu, 0x5000, ACC_W, &x), 0); /* no INVLPG needed */
	ck_assert_uint_eq(x.gpa, 0x11000);
	ck_assert_uint_eq(ram64(f, PTE_AT(5)), 0x11000 | 0x63);
	fake_free(f);
}
END_TEST

START_TEST(first_write_sets_dirty_on_a_cached_page)
{
	struct fake *f = long_mode(0);
	u8 b = 1;

	put64(f, PTE_AT(5), 0x10000 | 0x23);
	ck_assert_uint_eq(where(f, 0x5000), 0x10000);
	ck_assert_uint_eq(ram64(f, PTE_AT(5)), 0x10000 | 0x23);
	ck_assert_int_eq(mem_write(&f->cpu, 0x5000, &b, 1, ACC_W), 0);
	ck_assert_uint_eq(ram64(f, PTE_AT(5)), 0x10000 | 0x63);
	fake_free(f);
}
END_TEST

static void move_large(struct fake *f, u64 slot, u64 lin, u64 size)
{
	u64 offsets[] = {0x3000, 0x1f000, 0x5000};

	put64(f, slot, 0x80 | RW);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(where(f, lin + offsets[i]), offsets[i]);
	put64(f, slot, 0x40000000 | 0x80 | RW);
	mmu_invlpg(&f->cpu, lin + size - 0x1000);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(!l1_hit(f, lin + offsets[i]));
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(where(f, lin + offsets[i]), 0x40000000 + offsets[i]);
}

START_TEST(invlpg_anywhere_in_a_large_page_drops_all_of_it)
{
	struct fake *f = long_mode(0);

	move_large(f, PDE1, 0x200000, 0x200000);
	move_large(f, PDPTE1, 0x40000000, 0x40000000);
	fake_free(f);
}
END_TEST

START_TEST(invlpg_in_a_4m_page)
{
	struct fake *f = fake_new();
	u32 pde = 0x80 | RW;

	f->cpu.cr0 = CR0_PE | CR0_PG;
	f->cpu.cr4 = CR4_PSE;
	f->cpu.cr3 = 0x1000;
	memcpy(f->ram + 0x1004, &pde, 4);
	mmu_flush_all(&f->cpu);
	ck_assert_uint_eq(where(f, 0x400123), 0x123);
	pde |= 0x00800000;
	memcpy(f->ram + 0x1004, &pde, 4);
	ck_assert_uint_eq(where(f, 0x400123), 0x123);
	mmu_invlpg(&f->cpu, 0x7ff000);
	ck_assert_uint_eq(where(f, 0x400123), 0x800123);
	fake_free(f);
}
END_TEST

START_TEST(mov_cr3_drops_all_but_global)
{
	struct fake *f = long_mode(CR4_PGE);

	put64(f, PTE_AT(6), 0x10000 | RW | 0x100);
	where(f, 0x5000);
	where(f, 0x6000);
	put64(f, PTE_AT(5), 0x11000 | RW);
	put64(f, PTE_AT(6), 0x11000 | RW);
	mmu_set_cr3(&f->cpu, 0x1000, false);
	ck_assert_uint_eq(where(f, 0x5000), 0x11000);
	ck_assert_uint_eq(where(f, 0x6000), 0x10000);
	mmu_flush_nonglobal(&f->cpu);
	ck_assert_uint_eq(where(f, 0x6000), 0x10000);
	mmu_invlpg(&f->cpu, 0x6000);
	ck_assert_uint_eq(where(f, 0x6000), 0x11000);
	fake_free(f);
}
END_TEST

START_TEST(global_flag_means_nothing_without_pge)
{
	struct fake *f = long_mode(0);

	put64(f, PTE_AT(6), 0x10000 | RW | 0x100);
	where(f, 0x6000);
	put64(f, PTE_AT(6), 0x11000 | RW);
	mmu_set_cr3(&f->cpu, 0x1000, false);
	ck_assert_uint_eq(where(f, 0x6000), 0x11000);
	fake_free(f);
}
END_TEST

START_TEST(changing_pge_drops_global)
{
	struct fake *f = long_mode(CR4_PGE);

	put64(f, PTE_AT(6), 0x10000 | RW | 0x100);
	where(f, 0x6000);
	put64(f, PTE_AT(6), 0x11000 | RW);
	f->cpu.cr4 &= ~(u64)CR4_PGE;
	mmu_select(&f->cpu);
	ck_assert_uint_eq(where(f, 0x6000), 0x11000);
	fake_free(f);
}
END_TEST

/* Enters PCIDs 1..@n, each with its own idea of page 5 (made by editing the PTE before entering).
 */
static void enter_pcids(struct fake *f, unsigned n)
{
	for (unsigned p = 1; p <= n; p++) {
		put64(f, PTE_AT(5), (0x10000 + p * 0x1000) | RW);
		mmu_set_cr3(&f->cpu, 0x1000 | p, false);
		ck_assert_uint_eq(where(f, 0x5000), 0x10000 + p * 0x1000);
	}
	put64(f, PTE_AT(5), 0x20000 | RW);
}

static u64 seen_by(struct fake *f, unsigned pcid)
{
	mmu_set_cr3(&f->cpu, BIT64(63) | 0x1000 | pcid, true);
	ck_assert_uint_eq(f->cpu.cr3, 0x1000 | pcid);
	return where(f, 0x5000);
}

START_TEST(pcids_keep_their_own_translations)
{
	struct fake *f = long_mode(CR4_PCIDE);

	enter_pcids(f, 3);
	ck_assert_uint_eq(seen_by(f, 1), 0x11000);
	ck_assert_uint_eq(seen_by(f, 2), 0x12000);
	mmu_set_cr3(&f->cpu, 0x1001, false); /* bit 63 clear: this PCID is flushed */
	ck_assert_uint_eq(where(f, 0x5000), 0x20000);
	ck_assert_uint_eq(seen_by(f, 3), 0x13000);
	mmu_invlpg(&f->cpu, 0x5000); /* the current PCID only */
	ck_assert_uint_eq(where(f, 0x5000), 0x20000);
	fake_free(f);
}
END_TEST

START_TEST(more_pcids_than_sets_never_mix)
{
	struct fake *f = long_mode(CR4_PCIDE);

	enter_pcids(f, 20);
	for (unsigned p = 1; p <= 20; p++) { /* replaced ones walk again */
		u64 at = seen_by(f, p);

		ck_assert(at == 0x20000 || at == 0x10000 + p * 0x1000ull);
	}
	fake_free(f);
}
END_TEST

START_TEST(invlpg_drops_a_global_page_for_every_pcid)
{
	struct fake *f = long_mode(CR4_PCIDE | CR4_PGE);

	put64(f, PTE_AT(5), 0x10000 | RW | 0x100);
	for (unsigned p = 1; p <= 3; p++)
		ck_assert_uint_eq(seen_by(f, p), 0x10000);
	put64(f, PTE_AT(5), 0x11000 | RW | 0x100);
	mmu_invlpg(&f->cpu, 0x5000);
	for (unsigned p = 1; p <= 3; p++)
		ck_assert_uint_eq(seen_by(f, p), 0x11000);
	fake_free(f);
}
END_TEST

START_TEST(invpcid_types)
{
	struct fake *f = long_mode(CR4_PCIDE | CR4_PGE);

	put64(f, PTE_AT(6), 0x10000 | RW | 0x100);
	enter_pcids(f, 3);
	where(f, 0x6000);
	put64(f, PTE_AT(6), 0x11000 | RW | 0x100);
	mmu_invpcid(&f->cpu, 0, 1, 0x5000);
	ck_assert_uint_eq(seen_by(f, 1), 0x20000);
	ck_assert_uint_eq(seen_by(f, 2), 0x12000);
	mmu_invpcid(&f->cpu, 1, 2, 0);
	ck_assert_uint_eq(seen_by(f, 2), 0x20000);
	ck_assert_uint_eq(seen_by(f, 3), 0x13000);
	mmu_invpcid(&f->cpu, 3, 0, 0);
	ck_assert_uint_eq(seen_by(f, 3), 0x20000);
	ck_assert_uint_eq(where(f, 0x6000), 0x10000); /* global survives type 3 */
	mmu_invpcid(&f->cpu, 2, 0, 0);
	ck_assert_uint_eq(where(f, 0x6000), 0x11000);
	fake_free(f);
}
END_TEST

START_TEST(invpcid_type_0_in_a_large_page)
{
	struct fake *f = long_mode(CR4_PCIDE);

	mmu_set_cr3(&f->cpu, 0x1001, false);
	put64(f, PDE1, 0x80 | RW);
	ck_assert_uint_eq(where(f, 0x203000), 0x3000);
	put64(f, PDE1, 0x40000000 | 0x80 | RW);
	mmu_set_cr3(&f->cpu, 0x1002, false);
	mmu_invpcid(&f->cpu, 0, 1, 0x2ff000);
	mmu_set_cr3(&f->cpu, BIT64(63) | 0x1001, true);
	ck_assert_uint_eq(where(f, 0x203000), 0x40003000);
	fake_free(f);
}
END_TEST

START_TEST(code_generation_changes_when_its_page_is_invalidated)
{
	struct fake *f = long_mode(0);
	u64 phys, gen;
	u8 *host;

	ck_assert_int_eq(mmu_code_page(&f->cpu, 0x5010, &phys, &host), 0);
	ck_assert_uint_eq(phys, 0x10000);
	ck_assert_ptr_eq(host, f->ram + 0x10000);
	gen = f->cpu.tlb->gen;
	where(f, 0x9000);
	mmu_invlpg(&f->cpu, 0x9000); /* data: jump caches live on */
	ck_assert_uint_eq(f->cpu.tlb->gen, gen);
	/* 105h evicts page 5 from tlb->x, yet a jump cache may hold it */
	ck_assert_int_eq(mmu_code_page(&f->cpu, 0x105010, &phys, NULL), 0);
	mmu_invlpg(&f->cpu, 0x5000);
	ck_assert_uint_ne(f->cpu.tlb->gen, gen);
	gen = f->cpu.tlb->gen;
	mmu_set_cr3(&f->cpu, 0x1000, false);
	ck_assert_uint_ne(f->cpu.tlb->gen, gen);
	fake_free(f);
}
END_TEST

START_TEST(classes_do_not_leak_rights)
{
	struct fake *f = long_mode(CR4_SMAP);
	struct cpu *cpu = &f->cpu;
	u8 b;

	put64(f, PTE_AT(5), 0x10000 | RW | 4);
	put64(f, 0x1000, 0x2027);
	cpu->rflags = FL_AC;
	mmu_select(cpu);
	ck_assert_int_eq(mem_read(cpu, 0x5000, &b, 1, ACC_R), 0);
	ck_assert_int_eq(mem_read(cpu, 0x5000, &b, 1, ACC_R | ACC_SYS),
			 1); /* implicit: AC is no help */
	ck_assert_int_eq(mem_read(cpu, 0x5000, &b, 1, ACC_R), 0);
	cpu->rflags = 0;
	mmu_select(cpu);
	ck_assert_int_eq(mem_read(cpu, 0x5000, &b, 1, ACC_R), 1);
	ck_assert_int_eq(mem_read(cpu, 0x6000, &b, 1, ACC_R), 0);
	cpu->cpl = 3;
	mmu_select(cpu);
	ck_assert_int_eq(mem_read(cpu, 0x5000, &b, 1, ACC_R), 0);
	ck_assert_int_eq(mem_read(cpu, 0x6000, &b, 1, ACC_R), 1);
	ck_assert_uint_eq(cpu->fault.err, 5);
	ck_assert_int_eq(mem_read(cpu, 0x6000, &b, 1, ACC_R | ACC_SYS), 0);
	fake_free(f);
}
END_TEST

START_TEST(write_protect_and_keys_reach_cached_pages)
{
	struct fake *f = long_mode(CR4_PKE);
	struct cpu *cpu = &f->cpu;
	u8 b = 0;

	put64(f, PTE_AT(5), 0x10000 | 0x61);
	cpu->cr0 &= ~(u64)CR0_WP;
	mmu_select(cpu);
	ck_assert_int_eq(mem_write(cpu, 0x5000, &b, 1, ACC_W), 0);
	cpu->cr0 |= CR0_WP;
	mmu_select(cpu);
	ck_assert_int_eq(mem_write(cpu, 0x5000, &b, 1, ACC_W), 1);
	put64(f, PTE_AT(6), 0x10000 | RW | 4 | 3ull << 59);
	cpu->cpl = 3;
	mmu_select(cpu);
	ck_assert_int_eq(mem_write(cpu, 0x6000, &b, 1, ACC_W), 0);
	cpu->pkru = 2 << 6; /* key 3: no writes */
	mmu_select(cpu);
	ck_assert_int_eq(mem_read(cpu, 0x6000, &b, 1, ACC_R), 0);
	ck_assert_int_eq(mem_write(cpu, 0x6000, &b, 1, ACC_W), 1);
	ck_assert_uint_eq(cpu->fault.err, 0x27);
	fake_free(f);
}
END_TEST

START_TEST(linear_page_zero_and_empty_entries)
{
	struct fake *f = long_mode(0);

	for (unsigned i = 0; i < TLB_SIZE; i++) { /* no page hits an empty entry */
		u64 page = (u64)i << 12;

		ck_assert_uint_gt(page - f->cpu.tlb->r[i].tag, 0xfff);
		ck_assert_uint_gt(page + 0xfff - f->cpu.tlb->r[i].tag, 0xfff);
	}
	ck_assert_uint_eq(where(f, 0), 0x10000);
	ck_assert(l1_hit(f, 0));
	mmu_invlpg(&f->cpu, 0);
	ck_assert(!l1_hit(f, 0));
	fake_free(f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    translations_are_cached_until_invlpg,
	    fault_on_a_cached_page_rewalks,
	    first_write_sets_dirty_on_a_cached_page,
	    invlpg_anywhere_in_a_large_page_drops_all_of_it,
	    invlpg_in_a_4m_page,
	    mov_cr3_drops_all_but_global,
	    global_flag_means_nothing_without_pge,
	    changing_pge_drops_global,
	    pcids_keep_their_own_translations,
	    more_pcids_than_sets_never_mix,
	    invlpg_drops_a_global_page_for_every_pcid,
	    invpcid_types,
	    invpcid_type_0_in_a_large_page,
	    code_generation_changes_when_its_page_is_invalidated,
	    classes_do_not_leak_rights,
	    write_protect_and_keys_reach_cached_pages,
	    linear_page_zero_and_empty_entries,
	};

	return run_tests("mmu_tlb", tests, ARRAY_SIZE(tests));
}
