/* Memory access: crossing, MMIO pieces, ROM, decoded code, data breakpoints, alignment, host
 * pointers, A20. */
#include "tests/mmu/fake.h"

static void map_page(struct fake *f, unsigned page, u64 gpa, u32 flags)
{
	u32 pte = (u32)gpa | flags;

	memcpy(f->ram + 0x2000 + page * 4, &pte, 4);
}

/* 32-bit paging: directory at 1000h, linear page i is the PTE at 2000h + 4 i, all rights, RAM page
 * 16 + i % 32. */
static struct fake *paged(void)
{
	struct fake *f = fake_new();
	u32 pde = 0x2067;

	memcpy(f->ram + 0x1000, &pde, 4);
	memcpy(f->ram + 0x1ffc, &pde, 4);
	for (unsigned i = 0; i < 1024; i++)
		map_page(f, i, (16 + i % 32) << 12, 0x67);
	f->cpu.cr0 = CR0_PE | CR0_PG | CR0_WP;
	f->cpu.cr3 = 0x1000;
	mmu_flush_all(&f->cpu);
	return f;
}

START_TEST(reads_and_writes_every_size_and_offset)
{
	struct fake *f = paged();
	u8 in[64], out[64];

	for (unsigned n = 1; n <= 64; n++)
		for (u64 lin = 0x5fc0; lin < 0x6010; lin++) {
			for (unsigned i = 0; i < n; i++)
				in[i] = (u8)(lin * 7 + n * 3 + i);
			ck_assert_int_eq(mem_write(&f->cpu, lin, in, n, ACC_W), 0);
			memset(out, 0, sizeof(out));
			ck_assert_int_eq(mem_read(&f->cpu, lin, out, n, ACC_R), 0);
			ck_assert(!memcmp(in, out, n));
			ck_assert(!memcmp(f->ram + 0x15000 + (lin & 0xfff) + (lin >> 12) * 0x1000 -
					      0x5000,
					  in, n));
		}
	fake_free(f);
}
END_TEST

START_TEST(crossing_into_a_missing_page_moves_nothing)
{
	struct fake *f = paged();
	u64 v = ~0ull, got = 0x1234;

	map_page(f, 6, 0, 0);
	ck_assert_int_eq(mem_write(&f->cpu, 0x5ffc, &v, 8, ACC_W), 1);
	ck_assert_uint_eq(f->cpu.fault.addr, 0x6000);
	ck_assert_uint_eq(f->cpu.fault.err, 2);
	ck_assert_str_eq(f->cpu.fault.why, "PTE.P = 0");
	ck_assert_uint_eq(ram64(f, 0x15ff8), 0);
	ck_assert_int_eq(mem_read(&f->cpu, 0x5ffc, &got, 8, ACC_R), 1);
	ck_assert_uint_eq(got, 0x1234);
	fake_free(f);
}
END_TEST

START_TEST(crossing_wraps_at_4g_outside_64_bit_mode)
{
	struct fake *f = paged();
	u32 v = 0x44332211, got;

	ck_assert_int_eq(mem_write(&f->cpu, 0xfffffffe, &v, 4, ACC_W), 0);
	ck_assert_uint_eq(f->ram[(16 + 1023 % 32) * 4096 + 0xfff], 0x22);
	ck_assert_uint_eq(f->ram[0x10000], 0x33);
	ck_assert_int_eq(mem_read(&f->cpu, 0xfffffffe, &got, 4, ACC_R), 0);
	ck_assert_uint_eq(got, v);
	fake_free(f);
}
END_TEST

START_TEST(mmio_moves_in_aligned_pieces)
{
	static const struct mmio_op want[] = {
	    {MMIO_BASE + 0xffb, 0x00, 1, true},
	    {MMIO_BASE + 0xffc, 0x04030201, 4, true},
	    {MMIO_BASE + 0x1000, 0x0c0b0a0908070605, 8, true},
	    {MMIO_BASE + 0x1008, 0x0e0d, 2, true},
	    {MMIO_BASE + 0x100a, 0x0f, 1, true},
	};
	struct fake *f = paged();
	u8 buf[16];

	map_page(f, 5, MMIO_BASE, 0x67);
	map_page(f, 6, MMIO_BASE + 0x1000, 0x67);
	for (unsigned i = 0; i < 16; i++)
		buf[i] = (u8)i;
	ck_assert_int_eq(mem_write(&f->cpu, 0x5ffb, buf, 16, ACC_W), 0);
	ck_assert_uint_eq(f->nops, ARRAY_SIZE(want));
	for (unsigned i = 0; i < f->nops; i++) {
		ck_assert_uint_eq(f->op[i].gpa, want[i].gpa);
		ck_assert_uint_eq(f->op[i].size, want[i].size);
		ck_assert_uint_eq(f->op[i].value, want[i].value);
	}
	f->nops = 0;
	ck_assert_int_eq(mem_read(&f->cpu, 0x5ffe, buf, 4, ACC_R), 0);
	ck_assert_uint_eq(f->nops, 2);
	ck_assert_uint_eq(f->op[0].size, 2);
	ck_assert_uint_eq(buf[0], 0xfe);
	ck_assert_uint_eq(buf[2], 0x00);
	ck_assert_ptr_eq(mem_host(&f->cpu, 0x5000, 4, ACC_R), NULL);
	f->nops = 0; /* each access reaches the device: nothing was cached */
	ck_assert_int_eq(mem_read(&f->cpu, 0x5010, buf, 8, ACC_R), 0);
	ck_assert_int_eq(mem_read(&f->cpu, 0x5010, buf, 8, ACC_R), 0);
	ck_assert_uint_eq(f->nops, 2);
	fake_free(f);
}
END_TEST

START_TEST(rom_is_read_directly_and_written_through_the_bus)
{
	struct fake *f = paged();
	u8 b = 0;

	map_page(f, 5, ROM_BASE, 0x67);
	f->rom[3] = 0x5a;
	ck_assert_int_eq(mem_read(&f->cpu, 0x5003, &b, 1, ACC_R), 0);
	ck_assert_uint_eq(b, 0x5a);
	ck_assert_ptr_eq(mem_host(&f->cpu, 0x5003, 1, ACC_R), f->rom + 3);
	ck_assert_ptr_eq(mem_host(&f->cpu, 0x5003, 1, ACC_RW), NULL);
	b = 7;
	ck_assert_int_eq(mem_write(&f->cpu, 0x5003, &b, 1, ACC_W), 0);
	ck_assert_uint_eq(f->rom[3], 0x5a);
	ck_assert_uint_eq(f->nops, 1);
	ck_assert(f->op[0].write && f->op[0].gpa == ROM_BASE + 3);
	fake_free(f);
}
END_TEST

START_TEST(stores_into_decoded_code_are_told)
{
	struct fake *f = paged();
	u32 v = 0xcafe;

	ck_assert_int_eq(mem_write(&f->cpu, 0x5010, &v, 4, ACC_W), 0); /* enters the write side */
	ck_assert_ptr_nonnull(mem_host(&f->cpu, 0x5010, 4, ACC_W));
	f->code_page = 0x15000;
	mmu_protect_page(&f->cpu, f->ram + 0x15000);
	ck_assert_ptr_eq(mem_host(&f->cpu, 0x5010, 4, ACC_W), NULL);
	ck_assert_ptr_nonnull(mem_host(&f->cpu, 0x5010, 4, ACC_R));
	ck_assert_int_eq(mem_write(&f->cpu, 0x5010, &v, 4, ACC_W), 0);
	ck_assert_uint_eq(f->code_calls, 1);
	ck_assert_uint_eq(f->code_gpa, 0x15010);
	ck_assert_uint_eq(f->code_n, 4);
	ck_assert_int_eq(mem_write(&f->cpu, 0x4ffe, &v, 4, ACC_W),
			 0); /* only the part in the page */
	ck_assert_uint_eq(f->code_calls, 2);
	ck_assert_uint_eq(f->code_gpa, 0x15000);
	ck_assert_uint_eq(f->code_n, 2);
	f->code_page = ~0ull;
	ck_assert_int_eq(mem_write(&f->cpu, 0x5010, &v, 4, ACC_W), 0);
	ck_assert_uint_eq(f->code_calls, 2);
	ck_assert_ptr_nonnull(mem_host(&f->cpu, 0x5010, 4, ACC_W));
	fake_free(f);
}
END_TEST

START_TEST(page_tables_holding_code_are_told_of_dirty_flags)
{
	struct fake *f = paged();
	u8 b = 0;

	map_page(f, 5, 0x15000, 7);
	f->code_page = 0x2000;
	ck_assert_int_eq(mem_write(&f->cpu, 0x5000, &b, 1, ACC_W), 0);
	ck_assert_uint_eq(f->code_calls, 1);
	ck_assert_uint_eq(f->code_gpa, 0x2014);
	fake_free(f);
}
END_TEST

static u64 dr6_after(struct fake *f, u64 lin, unsigned n, bool write)
{
	u8 buf[64] = {0};

	f->cpu.dr6_pending = 0;
	if (write)
		ck_assert_int_eq(mem_write(&f->cpu, lin, buf, n, ACC_W), 0);
	else
		ck_assert_int_eq(mem_read(&f->cpu, lin, buf, n, ACC_R), 0);
	return f->cpu.dr6_pending;
}

START_TEST(data_breakpoints)
{
	struct fake *f = paged();

	dr6_after(f, 0x5000, 1, true); /* cached before the breakpoint is armed */
	f->cpu.dr[1] = 0x5006;
	f->cpu.dr[2] = 0x5009;
	f->cpu.dr[3] = 0x6000;
	/* 1: write, 4 bytes (so 5004h..5007h), local; 2: read/write, 1 byte, global; 3: code, 1
	 * byte */
	f->cpu.dr[7] = 0x400 | BIT(2) | BIT(5) | BIT(6) | 0xdu << 20 | 3u << 24;
	mmu_select(&f->cpu);
	ck_assert_uint_eq(dr6_after(f, 0x5000, 4, true), 0);
	ck_assert_uint_eq(dr6_after(f, 0x5001, 4, true), 2);
	ck_assert_uint_eq(dr6_after(f, 0x5007, 1, true), 2);
	ck_assert_uint_eq(dr6_after(f, 0x5008, 1, true), 0);
	ck_assert_uint_eq(dr6_after(f, 0x5007, 4, true), 6);
	ck_assert_uint_eq(dr6_after(f, 0x5004, 4, false), 0);
	ck_assert_uint_eq(dr6_after(f, 0x5009, 1, false), 4);
	ck_assert_uint_eq(dr6_after(f, 0x4ff8, 64, false), 4);
	ck_assert_uint_eq(dr6_after(f, 0x6000, 1, true), 0);
	ck_assert_ptr_eq(mem_host(&f->cpu, 0x5100, 4, ACC_R), NULL);
	f->cpu.dr[7] = 0x400;
	mmu_select(&f->cpu);
	ck_assert_uint_eq(dr6_after(f, 0x5004, 8, true), 0);
	ck_assert_ptr_nonnull(mem_host(&f->cpu, 0x5100, 4, ACC_R));
	fake_free(f);
}
END_TEST

START_TEST(alignment_check)
{
	struct fake *f = paged();
	u8 buf[16] = {0};

	f->cpu.cpl = 3;
	f->cpu.mode = MODE_AC;
	mmu_select(&f->cpu);
	for (unsigned n = 2; n <= 8; n *= 2) {
		ck_assert_int_eq(mem_read(&f->cpu, 0x5010 + n, buf, n, ACC_R), 0);
		ck_assert_int_eq(mem_read(&f->cpu, 0x5010 + n / 2, buf, n, ACC_R), 1);
		ck_assert_uint_eq(f->cpu.fault.vector, EXC_AC);
		ck_assert_int_eq(mem_write(&f->cpu, 0x5010 + n / 2, buf, n, ACC_W), 1);
		ck_assert_int_eq(mem_read(&f->cpu, 0x5010 + n / 2, buf, n, ACC_R | ACC_SYS), 0);
	}
	ck_assert_int_eq(mem_read(&f->cpu, 0x5011, buf, 6, ACC_R), 0);
	ck_assert_int_eq(mem_read(&f->cpu, 0x5018, buf, 16, ACC_R), 0); /* vectors have rules of their own */
	fake_free(f);
}
END_TEST

START_TEST(probe_checks_and_sets_flags_without_writing)
{
	struct fake *f = paged();
	u32 pte;

	map_page(f, 5, 0x15000, 7);
	ck_assert_int_eq(mem_probe(&f->cpu, 0x4ff0, 32, ACC_W), 0);
	memcpy(&pte, f->ram + 0x2014, 4);
	ck_assert_uint_eq(pte, 0x15067);
	ck_assert_uint_eq(ram64(f, 0x15000), 0);
	map_page(f, 7, 0x17000, 0x21);
	ck_assert_int_eq(mem_probe(&f->cpu, 0x6ff0, 32, ACC_R), 0);
	ck_assert_int_eq(mem_probe(&f->cpu, 0x6ff0, 32, ACC_W), 1);
	ck_assert_uint_eq(f->cpu.fault.addr, 0x7000);
	ck_assert_int_eq(mem_probe(&f->cpu, 0x7000, 1, ACC_R | ACC_USER), 1);
	ck_assert_uint_eq(f->cpu.fault.err, 5);
	fake_free(f);
}
END_TEST

START_TEST(fetch_stops_at_the_page_end)
{
	struct fake *f = paged();
	u8 buf[15];
	unsigned n;

	for (unsigned i = 0; i < 16; i++)
		f->ram[0x15ff0 + i] = (u8)(0x90 + i);
	map_page(f, 6, 0, 0);
	ck_assert_int_eq(mmu_fetch(&f->cpu, 0x5ff0, buf, &n), 0);
	ck_assert_uint_eq(n, 15);
	ck_assert_int_eq(mmu_fetch(&f->cpu, 0x5ffd, buf, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(buf[2], 0x9f);
	ck_assert_int_eq(mmu_fetch(&f->cpu, 0x6000, buf, &n), 1);
	ck_assert_uint_eq(f->cpu.fault.addr, 0x6000);
	fake_free(f);
}
END_TEST

START_TEST(a20_mask_folds_odd_megabytes)
{
	struct fake *f = fake_new();
	u8 b = 0;

	f->ram[0x10] = 0x77;
	mmu_select(&f->cpu);
	ck_assert_int_eq(mem_read(&f->cpu, 0x100010, &b, 1, ACC_R), 0);
	ck_assert_uint_eq(b, 0);
	f->cpu.a20_masked = true;
	mmu_select(&f->cpu);
	ck_assert_int_eq(mem_read(&f->cpu, 0x100010, &b, 1, ACC_R), 0);
	ck_assert_uint_eq(b, 0x77);
	phys_read(&f->cpu, 0x100010, &b, 1);
	ck_assert_uint_eq(b, 0x77);
	fake_free(f);
}
END_TEST

START_TEST(physical_access_crosses_pages_and_reaches_devices)
{
	struct fake *f = fake_new();
	u64 v = 0x1122334455667788, got;

	phys_write(&f->cpu, 0x4ffd, &v, 8);
	phys_read(&f->cpu, 0x4ffd, &got, 8);
	ck_assert_uint_eq(got, v);
	ck_assert_uint_eq(f->ram[0x5000], 0x55);
	phys_write(&f->cpu, MMIO_BASE + 4, &v, 4);
	ck_assert_uint_eq(f->nops, 1);
	ck_assert_uint_eq(f->op[0].value, 0x55667788);
	fake_free(f);
}
END_TEST

START_TEST(two_processors_share_nothing)
{
	struct fake *a = paged(), *b = paged();
	u8 v = 1, got = 9;

	ck_assert_int_eq(mem_write(&a->cpu, 0x5000, &v, 1, ACC_W), 0);
	ck_assert_int_eq(mem_read(&b->cpu, 0x5000, &got, 1, ACC_R), 0);
	ck_assert_uint_eq(got, 0);
	fake_free(a);
	fake_free(b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    reads_and_writes_every_size_and_offset,
	    crossing_into_a_missing_page_moves_nothing,
	    crossing_wraps_at_4g_outside_64_bit_mode,
	    mmio_moves_in_aligned_pieces,
	    rom_is_read_directly_and_written_through_the_bus,
	    stores_into_decoded_code_are_told,
	    page_tables_holding_code_are_told_of_dirty_flags,
	    data_breakpoints,
	    alignment_check,
	    probe_checks_and_sets_flags_without_writing,
	    fetch_stops_at_the_page_end,
	    a20_mask_folds_odd_megabytes,
	    physical_access_crosses_pages_and_reaches_devices,
	    two_processors_share_nothing,
	};

	return run_tests("mmu_access", tests, ARRAY_SIZE(tests));
}
