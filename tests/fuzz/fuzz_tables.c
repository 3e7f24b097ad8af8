/*
 * ACPI, SMBIOS and MP tables for any machine: whole, with good checksums, and inside what they lie in. Then the same through
 * our BIOS's loader of tables (bios/post/tables.c, compiled for the host), with files of fw_cfg as the input spoils them: nothing
 * outside the arena's RAM is touched, and unspoilt files make no step fail.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "machine/acpi.h"
#include "machine/smbios.h"
#include "tests/fuzz/input.h"

#define ARENA     0x200000000000ull /* no low 32 bits; where a sanitizer keeps nothing */
#define RAM_BYTES (8u << 20)
#define FSEG      0xf4000u
#define FSEG_END  0xfe000u
#define FILES     5u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
/* bios_tables.c, and what it needs */
int fuzz_bios_tables(void);
extern u8 *fuzz_arena;
extern u16 pir_offset;
extern u32 facs;
int compare(const void *a, const void *b, u32 n);
u32 fseg_alloc(u32 bytes, u32 align);
u32 memory_reserve(u32 bytes);
void fw_item(u16 selector, void *out, u32 n);
s32 fw_find(const char *name, u32 *size);
void cpu_leaf(u32 leaf, u32 r[4]);
u32 pci_read32(u16 bdf, u8 reg);
u8 pci_read8(u16 bdf, u8 reg);
s32 pci_next(s32 bdf);
void *memset16(void *to, int v, size_t n);
void *memcpy16(void *to, const void *from, size_t n);

u8 *fuzz_arena;
u16 pir_offset;
u32 facs;
u8 last_pci_bus;
u8 pmm[64];

static struct file {
	const char *name;
	u8 *data;
	u32 size, room;
} files[FILES];
static u32 fseg_next, top;
static u16 cpus;
static u8 pci[8][2]; /* of some functions: pin, line */

static void require(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

/* ---- what the BIOS code asks for ---------------------------------------------------------------------------------- */

void *memset16(void *to, int v, size_t n)
{
	return memset(to, v, n);
}

void *memcpy16(void *to, const void *from, size_t n)
{
	return memcpy(to, from, n);
}

int compare(const void *a, const void *b, u32 n)
{
	return memcmp(a, b, n);
}

u32 fseg_alloc(u32 bytes, u32 align)
{
	u32 at = (fseg_next + align - 1) & ~(align - 1);
	if (at > FSEG_END || bytes > FSEG_END - at)
		return 0;
	fseg_next = at + bytes;
	memset(fuzz_arena + at, 0, bytes);
	return at;
}

u32 memory_reserve(u32 bytes)
{
	if (!bytes || bytes > top - 0x200000)
		return bytes ? 0 : top;
	top = (top - bytes) & ~0xfffu;
	memset(fuzz_arena + top, 0, bytes);
	return top;
}

void fw_item(u16 selector, void *out, u32 n)
{
	memset(out, 0, n);
	if (selector == 5)
		memcpy(out, &cpus, MIN(n, 2u));
	else if (selector >= 0x20 && selector < 0x20 + FILES)
		memcpy(out, files[selector - 0x20].data, MIN(n, files[selector - 0x20].room));
}

s32 fw_find(const char *name, u32 *size)
{
	for (unsigned i = 0; i < FILES; i++)
		if (!strcmp(files[i].name, name)) {
			*size = files[i].size;
			return (s32)(0x20 + i);
		}
	return -1;
}

void cpu_leaf(u32 leaf, u32 r[4])
{
	r[0] = 0x306c3;
	r[1] = r[2] = 0;
	r[3] = 0x178bfbff; /* with a local APIC */
}

u32 pci_read32(u16 bdf, u8 reg)
{
	return 0x12378086;
}

u8 pci_read8(u16 bdf, u8 reg)
{
	return pci[bdf >> 3 & 7][reg == 0x3c];
}

s32 pci_next(s32 bdf)
{
	return bdf < 0 ? 0 : bdf + 8 < 256 ? bdf + 8 : -1;
}

/* ---- looking at tables -------------------------------------------------------------------------------------------- */

static u32 get(const u8 *p, unsigned bytes)
{
	u32 v = 0;
	memcpy(&v, p, bytes);
	return v;
}

static bool sums_to_zero(const u8 *p, u32 n)
{
	u8 sum = 0;
	while (n--)
		sum = (u8)(sum + *p++);
	return !sum;
}

/* A table with the common header (ACPI 6.4, 5.2.6), in @room bytes at @p. */
static void check_table(const u8 *p, u64 room)
{
	require(room >= 36 && get(p + 4, 4) >= 36 && get(p + 4, 4) <= room, "a table's length");
	require(sums_to_zero(p, get(p + 4, 4)), "a table's checksum");
}

/* Structures of MADT (5.2.12): each has a length, and together they fill it. */
static void check_madt(const u8 *p)
{
	u32 n = get(p + 4, 4), at = 44;
	while (at + 2 <= n && p[at + 1] >= 2)
		at += p[at + 1];
	require(at == n, "MADT's structures");
}

static void check_fadt(const u8 *memory, u64 base, u64 bytes, const u8 *p)
{
	u64 at = get(p + 36, 4), dsdt = get(p + 40, 4);
	require(at >= base && at - base + 64 <= bytes && !memcmp(memory + (at - base), "FACS", 4), "FACS");
	require(!(at & 63), "FACS on 64 bytes");
	require(dsdt >= base && dsdt < base + bytes && !memcmp(memory + (dsdt - base), "DSDT", 4), "DSDT");
	check_table(memory + (dsdt - base), base + bytes - dsdt);
}

/* All tables lie in @memory, @bytes from guest-physical @base on. */
static void check_rsdp(const u8 *memory, u64 base, u64 bytes, const u8 *rsdp)
{
	u64 rsdt = get(rsdp + 16, 4);
	require(!memcmp(rsdp, "RSD PTR ", 8) && sums_to_zero(rsdp, 20), "RSDP");
	require(rsdp[15] < 2 || sums_to_zero(rsdp, 36), "RSDP, second checksum");
	require(rsdt >= base && rsdt < base + bytes && !memcmp(memory + (rsdt - base), "RSDT", 4), "RSDT");
	const u8 *list = memory + (rsdt - base);
	check_table(list, base + bytes - rsdt);
	for (u32 i = 36; i < get(list + 4, 4); i += 4) {
		u64 at = get(list + i, 4);
		require(at >= base && at < base + bytes, "RSDT's entries");
		const u8 *p = memory + (at - base);
		check_table(p, base + bytes - at);
		if (!memcmp(p, "APIC", 4))
			check_madt(p);
		if (!memcmp(p, "FACP", 4))
			check_fadt(memory, base, bytes, p);
	}
}

/* DSP0134, 6.1.2: a formatted part, then strings; the last has type 127. */
static void check_smbios(const u8 *anchor, const u8 *tables, u32 size)
{
	u32 at = 0, count = 0, largest = 0;
	for (bool last = false; !last; count++) {
		u32 from = at;
		require(at + 4 <= size && tables[at + 1] >= 4 && at + tables[at + 1] + 2u <= size, "an SMBIOS structure");
		last = tables[at] == 127;
		for (at += tables[at + 1]; at + 2 <= size && (tables[at] || tables[at + 1]);)
			at++;
		at += 2;
		largest = MAX(largest, at - from);
	}
	require(at == size && get(anchor + 22, 2) == size, "the tables' length");
	require(get(anchor + 28, 2) == count && get(anchor + 8, 2) == largest, "the structures' number and largest size");
	require(sums_to_zero(anchor, 31) && sums_to_zero(anchor + 16, 15), "the SMBIOS entry point's checksums");
}

/* MP Specification 1.4, 4.1 - 4.3: the floating pointer, the table it names, and its entries. */
static void check_mp(void)
{
	u32 at = FSEG;
	while (at < FSEG_END && memcmp(fuzz_arena + at, "_MP_", 4))
		at += 16;
	require(at < FSEG_END && sums_to_zero(fuzz_arena + at, 16), "_MP_");
	const u8 *p = fuzz_arena + get(fuzz_arena + at + 4, 4);
	u32 n = get(p + 4, 2), i = 44, count = 0;
	require(!memcmp(p, "PCMP", 4) && sums_to_zero(p, n), "PCMP");
	for (; i < n; count++)
		i += p[i] ? 8 : 20;
	require(i == n && count == get(p + 34, 2), "the MP table's entries");
	require((u32)(p - fuzz_arena) + n <= fseg_next, "the MP table's room");
}

/* ---- one input ---------------------------------------------------------------------------------------------------- */

static void built_in_place(const struct acpi_config *cfg)
{
	static u8 segment[0x10000];
	struct errtext e = {""};
	u64 rsdp = 0;
	if (acpi_build(cfg, segment, &rsdp, &e)) {
		require(e.s[0], "a refusal has a reason");
		return;
	}
	require(rsdp >= ACPI_SEGMENT && rsdp + 36 <= ACPI_SEGMENT + sizeof(segment), "RSDP's place");
	check_rsdp(segment, ACPI_SEGMENT, sizeof(segment), segment + (rsdp - ACPI_SEGMENT));
}

/* (file, place, byte) each: the files are spoilt. A place from F000h on counts from a file's end; one behind the end sets its size. */
static bool spoil(struct input *in)
{
	bool any = false;
	while (in->n >= 4) {
		struct file *f = &files[take(in, 1) % FILES];
		u32 at = (u32)take(in, 2);
		u8 v = (u8)take(in, 1);
		any = true;
		if (at >= 0xf000)
			at = f->size - MIN(f->size, at & 0xff);
		if (at < f->room)
			f->data[at] = v;
		else
			f->size = (u32)v << (at % 25);
	}
	return any;
}

static void through_firmware(const struct acpi_config *cfg, const struct smbios_config *more, struct input *in)
{
	static struct acpi_files a;
	static struct smbios s;
	struct errtext e = {""};
	if (acpi_build_files(cfg, &a, &e))
		return;
	smbios_build(more, &s);
	check_smbios(s.anchor, s.tables, s.size);
	files[0] = (struct file){"etc/acpi/tables", a.tables, a.tables_size, sizeof(a.tables)};
	files[1] = (struct file){"etc/acpi/rsdp", a.rsdp, sizeof(a.rsdp), sizeof(a.rsdp)};
	files[2] = (struct file){"etc/table-loader", a.loader, a.loader_size, sizeof(a.loader)};
	files[3] = (struct file){"etc/smbios/smbios-anchor", s.anchor, sizeof(s.anchor), sizeof(s.anchor)};
	files[4] = (struct file){"etc/smbios/smbios-tables", s.tables, s.size, sizeof(s.tables)};
	bool spoilt = spoil(in);
	memset(fuzz_arena + FSEG, 0, FSEG_END - FSEG);
	fseg_next = FSEG;
	top = RAM_BYTES;
	int failed = fuzz_bios_tables();
	check_mp();
	require(sums_to_zero(fuzz_arena + 0xf0000 + (pir_offset & 0xffff), 32 + 31 * 16), "$PIR");
	if (spoilt)
		return;
	require(!failed && facs, "the loader's steps");
	u32 at = FSEG;
	while (at < FSEG_END && memcmp(fuzz_arena + at, "RSD PTR ", 8))
		at += 16;
	require(at < FSEG_END, "RSDP in the F-segment");
	check_rsdp(fuzz_arena, 0, RAM_BYTES, fuzz_arena + at);
}

/* Physical memory: RAM below 8 MiB, nothing above. */
static void map_arena(void)
{
	fuzz_arena = mmap((void *)ARENA, 1ull << 32, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fuzz_arena != (u8 *)ARENA || mprotect(fuzz_arena, RAM_BYTES, PROT_READ | PROT_WRITE)) {
		fprintf(stderr, "no arena\n");
		exit(1);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	if (!fuzz_arena)
		map_arena();
	cpus = (u16)(take(&in, 1) % 64 + 1);
	u8 flags = (u8)take(&in, 1);
	u64 low = take(&in, 4), high = flags & 4 ? take(&in, 6) : 0;
	const struct acpi_config cfg = {.cpus = cpus,
					.low_ram_bytes = low,
					.hpet = flags & 1,
					.vga = flags & 2,
					.pm_base = flags & 8 ? (u32)take(&in, 2) & 0xffc0 : 0};
	char name[100] = {0};
	for (unsigned i = 0; flags & 16 && i < sizeof(name) - 1; i++)
		name[i] = (char)take(&in, 1);
	const struct smbios_config more = {.cpus = cpus,
					   .ram_low_bytes = low,
					   .ram_high_bytes = high,
					   .cpu_name = flags & 16 ? name : NULL,
					   .table_address = flags & 32 ? 0xf1000 : 0};
	for (unsigned i = 0; i < 8; i++) {
		pci[i][0] = (u8)take(&in, 1);
		pci[i][1] = (u8)take(&in, 1);
	}
	built_in_place(&cfg);
	through_firmware(&cfg, &more, &in);
	return 0;
}
