/*
 * What operating systems look for in memory. ACPI tables and SMBIOS structures come ready from
 * fw_cfg (etc/table-loader and etc/smbios, QEMU's interface); MP table, $PIR, BIOS32 and $PnP are
 * made here, from what PCI holds.
 */
#include "bios/post/post.h"

#define IOAPIC 0xfec00000u
#define LAPIC  0xfee00000u

static u8 checksum(const void *p, u32 n)
{
	const u8 *b = p;
	u8 sum = 0;
	while (n--)
		sum = (u8)(sum + *b++);
	return (u8)-sum;
}

/* ---- the table loader -------------------------------------------------------------------- */

#define FILE_NAME    56
#define LOADER_MAX   64
#define LOADER_FILES 8

struct loader_entry {
	u32 command;
	union {
		struct {
			char file[FILE_NAME];
			u32 align;
			u8 zone;
		} __attribute__((packed)) allocate;
		struct {
			char dest[FILE_NAME], src[FILE_NAME];
			u32 offset;
			u8 size;
		} __attribute__((packed)) pointer;
		struct {
			char file[FILE_NAME];
			u32 offset, start, length;
		} __attribute__((packed)) sum;
		u8 pad[124];
	};
} __attribute__((packed));

struct loaded {
	char name[FILE_NAME];
	u32 at, size;
};
static struct loaded files[LOADER_FILES];
static unsigned file_count;
static struct loader_entry script[LOADER_MAX];

static struct loaded *loaded(const char *name)
{
	for (unsigned i = 0; i < file_count; i++)
		if (!compare(files[i].name, name, FILE_NAME))
			return &files[i];
	return NULL;
}

static bool do_allocate(const struct loader_entry *e)
{
	u32 size, align = e->allocate.align;
	char name[FILE_NAME + 1] = {0};
	memcpy(name, e->allocate.file, FILE_NAME);
	s32 item = fw_find(name, &size);
	if (item < 0 || file_count == LOADER_FILES || align > 4096 || (align & (align - 1)))
		return false;
	u32 at = e->allocate.zone == 2 ? fseg_alloc(size, MAX(align, 16u)) : memory_reserve(size);
	if (!at)
		return false;
	fw_item((u16)item, PTR(at), size);
	memcpy(files[file_count].name, e->allocate.file, FILE_NAME);
	files[file_count].at = at;
	files[file_count++].size = size;
	return true;
}

static bool do_pointer(const struct loader_entry *e)
{
	struct loaded *to = loaded(e->pointer.dest), *from = loaded(e->pointer.src);
	u32 off = e->pointer.offset, n = e->pointer.size;
	u64 v = 0;
	if (!to || !from || n > 8 || off > to->size || n > to->size - off)
		return false;
	memcpy(&v, PTR(to->at + off), n);
	v += from->at;
	memcpy(PTR(to->at + off), &v, n);
	return true;
}

static bool do_checksum(const struct loader_entry *e)
{
	struct loaded *f = loaded(e->sum.file);
	if (!f || e->sum.offset >= f->size || e->sum.start > f->size ||
	    e->sum.length > f->size - e->sum.start)
		return false;
	MEM8(f->at + e->sum.offset) = 0;
	MEM8(f->at + e->sum.offset) = checksum(PTR(f->at + e->sum.start), e->sum.length);
	return true;
}

/* The length of table @name at @at, if it lies in a file that was loaded; else 0. */
static u32 table_length(u32 at, const char *name)
{
	for (unsigned i = 0; i < file_count; i++) {
		u32 off = at - files[i].at;
		if (at < files[i].at || off >= files[i].size || files[i].size - off < 40 || compare(PTR(at), name, 4))
			continue;
		return MIN(MEM32(at + 4), files[i].size - off);
	}
	return 0;
}

/* RSDP, RSDT, FADT, FACS (ACPI 6.0, 5.2). */
static void find_facs(void)
{
	for (unsigned i = 0; i < file_count; i++) {
		if (files[i].size < 20 || compare(PTR(files[i].at), "RSD PTR ", 8))
			continue;
		u32 rsdt = MEM32(files[i].at + 16), n = table_length(rsdt, "RSDT");
		for (u32 off = 36; off + 4 <= n; off += 4)
			if (table_length(MEM32(rsdt + off), "FACP") >= 40 && table_length(MEM32(MEM32(rsdt + off) + 36), "FACS"))
				RT(facs) = MEM32(MEM32(rsdt + off) + 36);
	}
}

static void acpi(void)
{
	u32 size;
	s32 item = fw_find("etc/table-loader", &size);
	if (item < 0)
		return;
	u32 n = MIN(size / (u32)sizeof(script[0]), (u32)LOADER_MAX);
	fw_item((u16)item, script, n * sizeof(script[0]));
	for (u32 i = 0; i < n; i++) {
		const struct loader_entry *e = &script[i];
		bool good = e->command == 1   ? do_allocate(e)
			    : e->command == 2 ? do_pointer(e)
			    : e->command == 3 ? do_checksum(e)
					      : true; /* others are optional */
		if (!good)
			debug("acpi: step %u of the table loader failed\n", i);
	}
	find_facs();
}

/* ---- SMBIOS ------------------------------------------------------------------------------ */

static void smbios(void)
{
	u32 anchor_size, size;
	s32 anchor = fw_find("etc/smbios/smbios-anchor", &anchor_size);
	s32 item = fw_find("etc/smbios/smbios-tables", &size);
	if (anchor < 0 || item < 0 || anchor_size < 24 || anchor_size > 64)
		return;
	u32 at = fseg_alloc(anchor_size, 16), body = fseg_alloc(size, 16);
	if (!body)
		body = memory_reserve(size);
	if (!at || !body)
		return;
	fw_item((u16)anchor, PTR(at), anchor_size);
	fw_item((u16)item, PTR(body), size);
	if (!compare(PTR(at), "_SM_", 4) && anchor_size >= 31) {
		MEM32(at + 0x18) = body;
		MEM8(at + 0x15) = 0;
		MEM8(at + 0x15) = checksum(PTR(at + 0x10), 15);
		MEM8(at + 4) = 0;
		MEM8(at + 4) = checksum(PTR(at), MEM8(at + 5));
	} else if (!compare(PTR(at), "_SM3_", 5)) {
		MEM32(at + 0x10) = body;
		MEM32(at + 0x14) = 0;
		MEM8(at + 5) = 0;
		MEM8(at + 5) = checksum(PTR(at), MEM8(at + 6));
	}
}

/* The number that MP table and MADT give the I/O APIC. */
static u8 ioapic_id(void)
{
	u16 cpus = 0;
	fw_item(5, &cpus, 2);
	return (u8)(MAX(cpus, 1) & 15);
}

void ioapic_setup(void)
{
	MEM32(IOAPIC) = 0;
	MEM32(IOAPIC + 0x10) = (u32)ioapic_id() << 24;
}

/* ---- MultiProcessor Specification 1.4 ---------------------------------------------------- */

static u8 *mp_interrupt(u8 *p, u8 type, u8 kind, u8 flags, u8 bus, u8 source, u8 apic, u8 pin)
{
	const u8 e[8] = {type, kind, flags, 0, bus, source, apic, pin};
	memcpy(p, e, 8);
	return p + 8;
}

/* Pins of functions on bus 0, each once. @*used: ISA interrupts they take. */
static u8 *mp_pci_interrupts(u8 *p, u8 apic, u32 *used, unsigned *entries)
{
	s32 done = -1;
	for (s32 f = -1; (f = pci_next(f)) >= 0 && f < 256;) {
		u8 pin = pci_read8((u16)f, 0x3d), line = pci_read8((u16)f, 0x3c);
		u8 source = (u8)((f >> 3) << 2 | (pin - 1));
		if (!pin || pin > 4 || line > 15 || source == done)
			continue;
		done = source;
		p = mp_interrupt(p, 3, 0, 0x0d, 0, source, apic, line);
		*used |= 1u << line;
		(*entries)++;
	}
	return p;
}

static void mp_table(void)
{
	u32 r[4];
	u16 cpus = 0;
	cpu_leaf(1, r);
	if (!(r[3] & CPU_APIC))
		return;
	fw_item(5, &cpus, 2);
	cpus = MAX(cpus, 1);
	u32 at = fseg_alloc(16, 16), t = fseg_alloc(44 + cpus * 20u + 8 * 60, 16), used = 0;
	unsigned entries = 0;
	if (!at || !t)
		return;
	u8 *p = PTR(t + 44), apic = ioapic_id();
	for (u16 i = 0; i < cpus; i++, p += 20) {
		p[0] = 0;
		p[1] = (u8)i;
		p[2] = 0x14;
		p[3] = i ? 1 : 3;
		memcpy(p + 4, &r[0], 4);
		memcpy(p + 8, &r[3], 4);
	}
	memcpy(p, "\x01\x00PCI   ", 8);
	memcpy(p + 8, "\x01\x01ISA   ", 8);
	p += 16;
	const u8 io[8] = {2, apic, 0x11, 1, 0, 0, 0xc0, 0xfe};
	memcpy(p, io, 8);
	p += 8;
	entries = cpus + 3u;
	p = mp_pci_interrupts(p, apic, &used, &entries);
	for (u8 irq = 0; irq < 16; irq++) {
		if (irq == 2 || (used >> irq & 1))
			continue;
		p = mp_interrupt(p, 3, 0, irq == 9 ? 0x0d : 0, 1, irq, apic, irq ? irq : 2);
		entries++;
	}
	p = mp_interrupt(p, 4, 3, 0, 1, 0, 0xff, 0);
	p = mp_interrupt(p, 4, 1, 0, 1, 0, 0xff, 1);
	entries += 2;
	u16 size = (u16)((u32)p - t);
	memcpy(PTR(t), "PCMP", 4);
	MEM16(t + 4) = size;
	MEM8(t + 6) = 4;
	memcpy(PTR(t + 8), "ORRERY  Orrery PC   ", 20);
	MEM16(t + 34) = (u16)entries;
	MEM32(t + 36) = LAPIC;
	MEM8(t + 7) = checksum(PTR(t), size);
	memcpy(PTR(at), "_MP_", 4);
	MEM32(at + 4) = t;
	MEM8(at + 8) = 1;
	MEM8(at + 9) = 4;
	MEM8(at + 10) = checksum(PTR(at), 16);
}

/* ---- $PIR, BIOS32, $PnP ------------------------------------------------------------------ */

/* PCI IRQ Routing Table 1.0: all slots of bus 0; links are the PIIX3's registers 60h-63h. */
static void pir(void)
{
	enum { SLOTS = 31 };
	u32 size = 32 + SLOTS * 16, at = fseg_alloc(size, 16);
	if (!at || pci_read32(0, 0) == 0xffffffff)
		return;
	u8 *t = PTR(at);
	memcpy(t, "$PIR", 4);
	MEM16(at + 4) = 0x0100;
	MEM16(at + 6) = (u16)size;
	t[9] = 1 << 3; /* the router is 00:01.0 */
	MEM32(at + 12) = 0x70008086;
	for (unsigned i = 0; i < SLOTS; i++) {
		u8 *s = t + 32 + i * 16;
		unsigned slot = i + 1;
		s[1] = (u8)(slot << 3);
		for (unsigned pin = 0; pin < 4; pin++) {
			s[2 + pin * 3] = (u8)(0x60 + ((slot - 1 + pin) & 3));
			s[3 + pin * 3] = 0x20; /* 5, 10, 11 */
			s[4 + pin * 3] = 0x0c;
		}
		s[14] = slot > 1 ? (u8)slot : 0;
	}
	t[31] = checksum(t, size);
	RT(pir_offset) = (u16)at;
}

extern u8 bios32_entry[], pci32_last_bus[], pnp_real_entry[], pmm_entry[];

static void bios32(void)
{
	u32 at = fseg_alloc(16, 16);
	if (!at)
		return;
	memcpy(PTR(at), "_32_", 4);
	MEM32(at + 4) = 0xf0000 + (u32)bios32_entry;
	MEM8(at + 9) = 1;
	MEM8(at + 10) = checksum(PTR(at), 16);
	MEM8(0xf0000 + (u32)pci32_last_bus) = RT(last_pci_bus);
}

/* POST Memory Manager Specification 1.01, 3.1. */
static u32 pmm_header;

void pmm_open(void)
{
	u32 at = fseg_alloc(16, 16), end = memory_reserve(0);
	if (!at)
		return;
	RT(pmm) = (struct pmm){.extended = 0x200000, .extended_end = MAX(end, 0x200000u), .open = true};
	memcpy(PTR(at), "$PMM", 4);
	MEM8(at + 4) = 1;
	MEM8(at + 5) = 16;
	MEM32(at + 7) = (u32)RT_CS << 16 | (u16)(u32)pmm_entry;
	MEM8(at + 6) = checksum(PTR(at), 16);
	pmm_header = at;
}

/* What ROMs keep above 1 MiB is no longer free; the rest stays as it is until it is used: iPXE starts from there. */
void pmm_close(void)
{
	if (!pmm_header)
		return;
	memset(PTR(pmm_header), 0, 16);
	RT(pmm).open = false;
	memory_reserve(memory_reserve(0) - RT(pmm).extended_end);
}

u32 pnp_header;

static void pnp(void)
{
	u32 at = fseg_alloc(0x21, 16);
	if (!at)
		return;
	memcpy(PTR(at), "$PnP", 4);
	MEM8(at + 4) = 0x10;
	MEM8(at + 5) = 0x21;
	MEM16(at + 0x0d) = (u16)(u32)pnp_real_entry;
	MEM16(at + 0x0f) = RT_CS;
	MEM16(at + 0x11) = (u16)(u32)pnp_real_entry;
	MEM32(at + 0x13) = 0xf0000;
	MEM8(at + 8) = checksum(PTR(at), 0x21);
	pnp_header = at;
}

void tables(void)
{
	bios32();
	pnp();
	pir();
	mp_table();
	acpi();
	smbios();
}
