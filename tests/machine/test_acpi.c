/* ACPI and MP tables: checksums, links between tables, and AML's length encoding. */
#include <check.h>
#include "tests/suite.h"
#include "machine/acpi.h"
#include "machine/aml.h"

static u8 segment[65536];
static struct errtext e;

static u32 get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static u8 sum(const u8 *p, u32 n)
{
	u8 s = 0;
	while (n--)
		s = (u8)(s + *p++);
	return s;
}

static const u8 *at(u64 gpa)
{
	ck_assert_uint_ge(gpa, ACPI_SEGMENT);
	ck_assert_uint_lt(gpa, ACPI_SEGMENT + sizeof(segment));
	return segment + (gpa - ACPI_SEGMENT);
}

static const u8 *build(unsigned cpus, bool hpet)
{
	const struct acpi_config cfg = {.cpus = cpus, .low_ram_bytes = 256u << 20, .hpet = hpet};
	u64 rsdp;
	memset(segment, 0, sizeof(segment));
	ck_assert_msg(!acpi_build(&cfg, segment, &rsdp, &e), "%s", e.s);
	return at(rsdp);
}

static const u8 *find(const u8 *rsdp, const char *sig)
{
	const u8 *xsdt = at(get32(rsdp + 24));
	for (u32 i = 36; i < get32(xsdt + 4); i += 8)
		if (!memcmp(at(get32(xsdt + i)), sig, 4))
			return at(get32(xsdt + i));
	return NULL;
}

START_TEST(every_table_sums_to_zero)
{
	const u8 *rsdp = build(1 + _i, true);
	ck_assert_mem_eq(rsdp, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(rsdp, 20), 0);
	ck_assert_uint_eq(sum(rsdp, 36), 0);
	const u8 *rsdt = at(get32(rsdp + 16)), *xsdt = at(get32(rsdp + 24));
	ck_assert_uint_eq(sum(rsdt, get32(rsdt + 4)), 0);
	ck_assert_uint_eq(sum(xsdt, get32(xsdt + 4)), 0);
	ck_assert_uint_eq((get32(rsdt + 4) - 36) / 4, 3);
	ck_assert_uint_eq((get32(xsdt + 4) - 36) / 8, 3);
	for (u32 i = 0; i < 3; i++) {
		const u8 *t = at(get32(rsdt + 36 + 4 * i));
		ck_assert_uint_eq(get32(rsdt + 36 + 4 * i), get32(xsdt + 36 + 8 * i));
		ck_assert_uint_eq(sum(t, get32(t + 4)), 0);
	}
	const u8 *fadt = find(rsdp, "FACP"), *dsdt = at(get32(fadt + 40));
	ck_assert_mem_eq(dsdt, "DSDT", 4);
	ck_assert_uint_eq(sum(dsdt, get32(dsdt + 4)), 0);
}
END_TEST

START_TEST(fadt_names_the_boards_places)
{
	const u8 *fadt = find(build(1, true), "FACP");
	ck_assert_uint_eq(get32(fadt + 56), 0x600);
	ck_assert_uint_eq(get32(fadt + 64), 0x604);
	ck_assert_uint_eq(get32(fadt + 76), 0x608);
	ck_assert_uint_eq(fadt[46], 9);
	ck_assert_uint_eq(get32(fadt + 120), 0xcf9);
	ck_assert_uint_eq(fadt[128], 6);
	const u8 *facs = at(get32(fadt + 36));
	ck_assert_mem_eq(facs, "FACS", 4);
	ck_assert_uint_eq(get32(fadt + 36) & 63, 0);
}
END_TEST

START_TEST(madt_lists_each_processor_and_the_io_apic)
{
	const u8 *madt = find(build(4, true), "APIC");
	unsigned cpus = 0, ioapics = 0, timer = 0;
	for (u32 i = 44; i < get32(madt + 4); i += madt[i + 1]) {
		ck_assert_uint_ge(madt[i + 1], 2);
		cpus += madt[i] == 0;
		if (madt[i] == 1) {
			ioapics++;
			ck_assert_uint_eq(madt[i + 2], 4); /* its ID: the number of processors */
			ck_assert_uint_eq(get32(madt + i + 4), 0xfec00000);
		}
		timer += madt[i] == 2 && madt[i + 3] == 0 && get32(madt + i + 4) == 2;
	}
	ck_assert_uint_eq(cpus, 4);
	ck_assert_uint_eq(ioapics, 1);
	ck_assert_uint_eq(timer, 1);
}
END_TEST

START_TEST(no_hpet_leaves_its_table_out)
{
	ck_assert_ptr_nonnull(find(build(1, true), "HPET"));
	ck_assert_ptr_null(find(build(1, false), "HPET"));
}
END_TEST

START_TEST(mp_table_sums_to_zero_and_counts_its_entries)
{
	build(2, true);
	const u8 *f = NULL;
	for (u32 i = 0; i < sizeof(segment); i += 16)
		if (!memcmp(segment + i, "_MP_", 4))
			f = segment + i;
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(sum(f, 16), 0);
	const u8 *t = at(get32(f + 4));
	u32 len = t[4] | t[5] << 8, n = t[34] | t[35] << 8, i = 44;
	ck_assert_uint_eq(sum(t, len), 0);
	while (n--)
		i += t[i] == 0 ? 20 : 8;
	ck_assert_uint_eq(i, len);
}
END_TEST

START_TEST(too_many_processors_are_refused)
{
	const struct acpi_config cfg = {.cpus = 5000};
	u64 rsdp;
	ck_assert_int_lt(acpi_build(&cfg, segment, &rsdp, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.s, "64 KiB"));
}
END_TEST

/* ACPI 20.2.4: one byte up to 63, then 4 low bits in the first byte and 8 in each that follows. */
START_TEST(aml_package_length_encodings)
{
	static const struct {
		u32 body;
		u8 bytes[4];
	} row[] = {
	    {10, {0x08, 0x0b}},
	    {62, {0x08, 0x3f}},
	    {63, {0x08, 0x41, 0x04}},
	    {4093, {0x08, 0x4f, 0xff}},
	    {4094, {0x08, 0x81, 0x00, 0x01}},
	};
	static u8 buf[8192];
	struct aml a = {.p = buf, .max = sizeof(buf)};
	aml_if(&a);
	for (u32 i = 0; i < row[_i].body; i++)
		aml_byte(&a, 0xa3);
	aml_end(&a);
	ck_assert(!a.overflow);
	ck_assert_uint_eq(buf[0], 0xa0);
	ck_assert_mem_eq(buf + 1, row[_i].bytes + 1, _i < 2 ? 1 : _i < 4 ? 2 : 3);
	ck_assert_uint_eq(buf[1 + (_i < 2 ? 1 : _i < 4 ? 2 : 3)], 0xa3);
}
END_TEST

START_TEST(aml_eisaid_packs_as_the_specification_shows)
{
	static const u8 pnp0a03[] = {0x0c, 0x41, 0xd0, 0x0a, 0x03};
	u8 buf[8];
	struct aml a = {.p = buf, .max = sizeof(buf)};
	aml_eisaid(&a, "PNP0A03");
	ck_assert_mem_eq(buf, pnp0a03, sizeof(pnp0a03));
}
END_TEST

/* Carries out a loader script as firmware does: tables at segment + 100h, the RSDP at segment. */
static void load(struct acpi_files *f)
{
	u8 *file[2] = {segment, segment + 0x100};
	memset(segment, 0, sizeof(segment));
	memcpy(file[0], f->rsdp, sizeof(f->rsdp));
	memcpy(file[1], f->tables, f->tables_size);
	for (u32 i = 0; i < f->loader_size; i += ACPI_LOADER_ENTRY) {
		const u8 *p = f->loader + i;
		u8 *to = file[!strcmp((const char *)p + 4, "etc/acpi/tables")];
		if (get32(p) == 2) {
			ck_assert_str_eq((const char *)p + 60, "etc/acpi/tables");
			u32 v = get32(to + get32(p + 116)) + ACPI_SEGMENT + 0x100;
			memcpy(to + get32(p + 116), &v, 4);
		} else if (get32(p) == 3) {
			ck_assert_int_eq(to[get32(p + 60)], 0);
			to[get32(p + 60)] = (u8)-sum(to + get32(p + 64), get32(p + 68));
		} else {
			ck_assert_uint_eq(get32(p), 1);
		}
	}
}

START_TEST(loader_script_makes_the_same_tables)
{
	static struct acpi_files f;
	const struct acpi_config cfg = {
	    .cpus = 2, .low_ram_bytes = 256u << 20, .hpet = true, .pm_base = 0xb000};
	ck_assert_msg(!acpi_build_files(&cfg, &f, &e), "%s", e.s);
	load(&f);
	ck_assert_uint_eq(sum(segment, 20), 0);
	ck_assert_uint_eq(sum(segment, 36), 0);
	static const char *const names[] = {"FACP", "APIC", "HPET"};
	for (unsigned i = 0; i < 3; i++) {
		const u8 *t = find(segment, names[i]);
		ck_assert_ptr_nonnull(t);
		ck_assert_uint_eq(sum(t, get32(t + 4)), 0);
	}
	const u8 *fadt = find(segment, "FACP"), *dsdt = at(get32(fadt + 40));
	ck_assert_uint_eq(get32(fadt + 56), 0xb000);
	ck_assert_uint_eq(get32(fadt + 40), get32(fadt + 140));
	ck_assert_mem_eq(dsdt, "DSDT", 4);
	ck_assert_uint_eq(sum(dsdt, get32(dsdt + 4)), 0);
	ck_assert_mem_eq(at(get32(fadt + 36)), "FACS", 4);
	ck_assert_uint_eq(get32(fadt + 36) % 64, 0);
}
END_TEST

START_TEST(aml_overflow_is_remembered)
{
	u8 buf[4];
	struct aml a = {.p = buf, .max = sizeof(buf)};
	aml_device(&a, "PCI0");
	aml_end(&a);
	ck_assert(a.overflow);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("acpi");
	TCase *t = tcase_create("tables");
	tcase_add_loop_test(t, every_table_sums_to_zero, 0, 8);
	tcase_add_test(t, fadt_names_the_boards_places);
	tcase_add_test(t, madt_lists_each_processor_and_the_io_apic);
	tcase_add_test(t, no_hpet_leaves_its_table_out);
	tcase_add_test(t, mp_table_sums_to_zero_and_counts_its_entries);
	tcase_add_test(t, too_many_processors_are_refused);
	tcase_add_loop_test(t, aml_package_length_encodings, 0, 5);
	tcase_add_test(t, aml_eisaid_packs_as_the_specification_shows);
	tcase_add_test(t, aml_overflow_is_remembered);
	tcase_add_test(t, loader_script_makes_the_same_tables);
	suite_add_tcase(s, t);
	return run_suite(s);
}
