/* ACPI and MP tables: see acpi.h. */
#include "machine/acpi.h"

#include <errno.h>
#include "machine/aml.h"

#define SEGMENT_SIZE 0x10000u
#define LAPIC_BASE   0xfee00000u
#define IOAPIC_BASE  0xfec00000u
#define HPET_BASE    0xfed00000u
#define HPET_EVENT_BLOCK                                                                           \
	0x8086a201u /* as the device's capability register: 3 comparators, legacy, Intel */

#define LINKS_MAX 64

struct builder {
	u8 *p;    /* the segment, or the blob for firmware to place */
	u32 n;    /* used */
	u32 base; /* guest-physical address of p; 0: not known yet */
	bool overflow;
	/* Pointers into p and tables in it, for those who place it. */
	struct {
		u32 at;
		u8 size;
	} link[LINKS_MAX];
	struct {
		u32 at, size;
	} table[LINKS_MAX];
	unsigned links, tables;
};

static void put(u8 *p, u32 off, u64 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[off + i] = (u8)(v >> (8 * i));
}

/* Room for @size bytes aligned to @align; NULL marks the overflow. */
static u8 *room(struct builder *b, u32 size, u32 align)
{
	u32 at = (b->n + align - 1) & ~(align - 1);
	if (at > SEGMENT_SIZE || size > SEGMENT_SIZE - at) {
		b->overflow = true;
		return NULL;
	}
	b->n = at + size;
	memset(b->p + at, 0, size);
	return b->p + at;
}

static u32 gpa_of(const struct builder *b, const u8 *p)
{
	return b->base + (u32)(p - b->p);
}

/* A pointer of @size bytes at @at to @target. */
static void put_pointer(struct builder *b, u8 *at, const u8 *target, u8 size)
{
	put(at, 0, gpa_of(b, target), size);
	if (b->links == LINKS_MAX) {
		b->overflow = true;
		return;
	}
	b->link[b->links].at = (u32)(at - b->p);
	b->link[b->links++].size = size;
}

static u8 checksum(const u8 *p, u32 n)
{
	u8 sum = 0;
	while (n--)
		sum = (u8)(sum + *p++);
	return (u8)-sum;
}

/* The common header, section 5.2.6; call again when the body is final to set the checksum. */
static void table_header(struct builder *b, u8 *t, const char *sig, u32 len, u8 revision)
{
	if (b->tables < LINKS_MAX) {
		b->table[b->tables].at = (u32)(t - b->p);
		b->table[b->tables++].size = len;
	}
	memcpy(t, sig, 4);
	put(t, 4, len, 4);
	t[8] = revision;
	memcpy(t + 10, "ORRERY", 6);
	memcpy(t + 16, "ORRERYPC", 8);
	put(t, 24, 1, 4);
	memcpy(t + 28, "ORRY", 4);
	put(t, 32, 1, 4);
	t[9] = 0;
	t[9] = checksum(t, len);
}

/* ---- DSDT
 * ---------------------------------------------------------------------------------------- */

static void isa_device(struct aml *a, const char *name, const char *hid, u16 io, u8 len, int irq)
{
	aml_device(a, name);
	aml_hid(a, hid);
	aml_name_op(a, "_CRS");
	aml_resources(a);
	aml_res_io(a, io, len);
	if (io == 0x60)
		aml_res_io(a, 0x64, 1);
	if (irq >= 0)
		aml_res_irq(a, (unsigned)irq);
	aml_resources_end(a);
	aml_end(a);
}

static void dsdt_isa(struct aml *a)
{
	aml_device(a, "ISA_");
	aml_name_int(a, "_ADR", 0x00010000);
	aml_pci_bytes(a, "PIRQ", 0x60, "PRQAPRQBPRQCPRQD", 4); /* PIIX3 PIRQRCA-D */
	isa_device(a, "COM1", "PNP0501", 0x3f8, 8, 4);
	isa_device(a, "RTC_", "PNP0B00", 0x70, 2, 8);
	isa_device(a, "KBD_", "PNP0303", 0x60, 1, 1);
	aml_device(a, "MOU_");
	aml_hid(a, "PNP0F13");
	aml_name_op(a, "_CRS");
	aml_resources(a);
	aml_res_irq(a, 12);
	aml_resources_end(a);
	aml_end(a);
	aml_end(a);
}

/* _PRT: pin P of slot S goes to link (S + P - 1) mod 4, as the i440FX board wires it. */
static void dsdt_prt(struct aml *a)
{
	char link[] = "\\_SB_LNKA";
	aml_name_op(a, "_PRT");
	aml_package(a, 128);
	for (unsigned slot = 0; slot < 32; slot++)
		for (unsigned pin = 0; pin < 4; pin++) {
			link[8] = (char)('A' + ((slot + pin + 3) & 3));
			aml_package(a, 4);
			aml_int(a, slot << 16 | 0xffff);
			aml_int(a, pin);
			aml_name(a, link);
			aml_int(a, 0);
			aml_end(a);
		}
	aml_end(a);
}

static void pirq_field(struct aml *a, char letter)
{
	const char path[] = {0x5c, 0x2f, 4,   '_', 'S', 'B', '_', 'P', 'C',   'I',
			     '0',  'I',  'S', 'A', '_', 'P', 'R', 'Q', letter};
	aml_bytes(a, path, sizeof(path));
}

/* One interrupt link device (section 6.2.13): routes a PIRQ pin by the PIIX3 register; bit 7 set:
 * disabled. */
static void dsdt_link(struct aml *a, char letter)
{
	static const u32 choices[] = {5, 10, 11};
	static const u32 none[] = {0};
	char name[] = {'L', 'N', 'K', letter, 0};
	aml_device(a, name);
	aml_hid(a, "PNP0C0F");
	aml_name_int(a, "_UID", (u64)(letter - 'A' + 1));
	aml_name_op(a, "_PRS");
	aml_resources(a);
	aml_res_interrupts(a, choices, 3);
	aml_resources_end(a);
	aml_name_op(a, "BUF_");
	aml_resources(a);
	aml_res_interrupts(a, none, 1);
	aml_resources_end(a);

	aml_method(a, "_STA", 0);
	aml_if(a);
	aml_byte(a, 0x7b); /* And(PRQx, 0x80) */
	pirq_field(a, letter);
	aml_int(a, 0x80);
	aml_byte(a, AML_ZERO);
	aml_return_op(a);
	aml_int(a, 0x09);
	aml_end(a);
	aml_return_op(a);
	aml_int(a, 0x0b);
	aml_end(a);

	aml_method(a, "_DIS", 0);
	aml_byte(a, 0x7d); /* Or(PRQx, 0x80, PRQx) */
	pirq_field(a, letter);
	aml_int(a, 0x80);
	pirq_field(a, letter);
	aml_end(a);

	aml_method(a, "_CRS", 0);
	aml_byte(a, 0x8a); /* CreateDWordField(BUF_, 5, IRQN) */
	aml_name(a, "BUF_");
	aml_int(a, 5);
	aml_name(a, "IRQN");
	aml_byte(a, 0x7b); /* And(PRQx, 0x0f, IRQN) */
	pirq_field(a, letter);
	aml_int(a, 0x0f);
	aml_name(a, "IRQN");
	aml_return_op(a);
	aml_name(a, "BUF_");
	aml_end(a);

	aml_method(a, "_SRS", 1);
	aml_byte(a, 0x8a);
	aml_byte(a, AML_ARG0);
	aml_int(a, 5);
	aml_name(a, "IRQS");
	aml_byte(a, 0x70); /* Store(IRQS, PRQx) */
	aml_name(a, "IRQS");
	pirq_field(a, letter);
	aml_end(a);
	aml_end(a);
}

static void dsdt_pci(struct aml *a, const struct acpi_config *cfg)
{
	u32 hole = (u32)MAX(cfg->low_ram_bytes, 0x80000000ull);
	aml_device(a, "PCI0");
	aml_hid(a, "PNP0A03");
	aml_name_int(a, "_UID", 0);
	aml_name_op(a, "_CRS");
	aml_resources(a);
	aml_res_word_window(a, AML_SPACE_BUS, 0, 0xff);
	aml_res_io(a, 0xcf8, 8);
	aml_res_word_window(a, AML_SPACE_IO, 0, 0xcf7);
	aml_res_word_window(a, AML_SPACE_IO, 0xd00, 0xffff);
	aml_res_dword_window(a, AML_SPACE_MEMORY, 0xa0000, 0xbffff);
	aml_res_dword_window(a, AML_SPACE_MEMORY, hole, 0xfebfffff);
	aml_resources_end(a);
	dsdt_prt(a);
	dsdt_isa(a);
	aml_end(a);
}

static void dsdt_hpet(struct aml *a)
{
	aml_device(a, "HPET");
	aml_hid(a, "PNP0103");
	aml_name_int(a, "_UID", 0);
	aml_name_op(a, "_CRS");
	aml_resources(a);
	aml_res_memory(a, HPET_BASE, 0x400, false);
	aml_resources_end(a);
	aml_end(a);
}

static void dsdt_cpus(struct aml *a, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		char name[] = {'C', '0' + (char)(i / 100), '0' + (char)(i / 10 % 10),
			       '0' + (char)(i % 10), 0};
		aml_device(a, name);
		aml_name_op(a, "_HID");
		aml_string(a, "ACPI0007");
		aml_name_int(a, "_UID", i);
		aml_end(a);
	}
}

/* SLP_TYPa, SLP_TYPb, reserved (ACPI 6.0, 7.4.2). */
static void sleep_state(struct aml *a, const char *name, unsigned type)
{
	aml_name_op(a, name);
	aml_package(a, 4);
	aml_int(a, type);
	aml_int(a, type);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a);
}

static u8 *build_dsdt(struct builder *b, const struct acpi_config *cfg)
{
	u8 *t = room(b, 36, 16);
	if (!t)
		return NULL;
	struct aml a = {.p = b->p, .n = b->n, .max = SEGMENT_SIZE};
	aml_scope(&a, "\\_SB_");
	dsdt_pci(&a, cfg);
	for (char letter = 'A'; letter <= 'D'; letter++)
		dsdt_link(&a, letter);
	if (cfg->hpet)
		dsdt_hpet(&a);
	dsdt_cpus(&a, cfg->cpus);
	aml_end(&a);
	sleep_state(&a, "\\_S3_", 1); /* PIIX4: suspend to RAM, soft off */
	sleep_state(&a, "\\_S5_", 0);
	if (a.overflow) {
		b->overflow = true;
		return NULL;
	}
	b->n = a.n;
	table_header(b, t, "DSDT", b->n - (u32)(t - b->p), 1);
	return t;
}

/* ---- the other tables
 * ------------------------------------------------------------------------------ */

/* Generic Address Structure, section 5.2.3.2. Access size 0: undefined, as old tables have it. */
static void gas(u8 *t, u32 off, u8 space, u8 bits, u64 addr)
{
	t[off] = space;
	t[off + 1] = bits;
	put(t, off + 4, addr, 8);
}

static u8 *build_fadt(struct builder *b, const struct acpi_config *cfg, const u8 *facs,
		      const u8 *dsdt)
{
	u8 *t = room(b, 244, 16);
	if (!t)
		return NULL;
	u32 pm = cfg->pm_base ? cfg->pm_base : ACPI_PM_BASE;
	put_pointer(b, t + 36, facs, 4);
	put_pointer(b, t + 40, dsdt, 4);
	t[45] = 1; /* preferred profile: desktop */
	put(t, 46, ACPI_SCI_IRQ, 2);
	/* Without these systems take SCI_EN for set, and hear neither power button nor alarm. */
	put(t, 48, 0xb2, 4); /* SMI_CMD */
	t[52] = 0xf1;        /* ACPI_ENABLE */
	t[53] = 0xf0;        /* ACPI_DISABLE */
	put(t, 56, pm, 4);
	put(t, 64, pm + 4, 4);
	put(t, 76, pm + 8, 4);
	t[88] = 4;             /* PM1_EVT_LEN */
	t[89] = 2;             /* PM1_CNT_LEN */
	t[91] = 4;             /* PM_TMR_LEN */
	put(t, 96, 0xffff, 2); /* no C2 */
	put(t, 98, 0xffff, 2); /* no C3 */
	t[108] = 0x32;         /* CENTURY in CMOS */
	put(t, 109, 0x3 | (cfg->vga ? 0 : 0x4),
	    2); /* IAPC_BOOT_ARCH: legacy devices, 8042, no VGA */
	/* WBINVD, PROC_C1, SLP_BUTTON (no fixed one), RESET_REG_SUP */
	put(t, 112, BIT(0) | BIT(2) | BIT(5) | BIT(10), 4);
	gas(t, 116, 1, 8, 0xcf9);
	t[128] = 0x06; /* RESET_VALUE */
	put_pointer(b, t + 132, facs, 8);
	put_pointer(b, t + 140, dsdt, 8);
	gas(t, 148, 1, 32, pm);
	gas(t, 172, 1, 16, pm + 4);
	gas(t, 208, 1, 32, pm + 8);
	table_header(b, t, "FACP", 244, 3);
	return t;
}

static void madt_override(u8 *t, u8 source, u32 gsi, u16 flags)
{
	t[0] = 2;
	t[1] = 10;
	t[3] = source;
	put(t, 4, gsi, 4);
	put(t, 8, flags, 2);
}

static u8 *build_madt(struct builder *b, unsigned cpus)
{
	static const u8 level_high[] = {5, 9, 10, 11}; /* SCI and the PCI links */
	u32 len = 44 + 8 * cpus + 12 + 10 * (1 + (u32)sizeof(level_high)) + 6;
	u8 *t = room(b, len, 16), *p;
	if (!t)
		return NULL;
	put(t, 36, LAPIC_BASE, 4);
	put(t, 40, 1, 4); /* PCAT_COMPAT: 8259s present */
	p = t + 44;
	for (unsigned i = 0; i < cpus; i++, p += 8) {
		p[0] = 0;
		p[1] = 8;
		p[2] = p[3] = (u8)i;
		p[4] = 1; /* enabled */
	}
	p[0] = 1;
	p[1] = 12;
	p[2] = (u8)cpus; /* the I/O APIC's ID comes after the processors' */
	put(p, 4, IOAPIC_BASE, 4);
	p += 12;
	madt_override(p, 0, 2, 0); /* PIT on GSI 2, conforming to ISA */
	p += 10;
	for (unsigned i = 0; i < sizeof(level_high); i++, p += 10)
		madt_override(p, level_high[i], level_high[i], 0x0d); /* active high, level */
	p[0] = 4; /* LAPIC NMI: every processor, LINT1 */
	p[1] = 6;
	p[2] = 0xff;
	p[5] = 1;
	table_header(b, t, "APIC", len, 1);
	return t;
}

static u8 *build_hpet(struct builder *b)
{
	u8 *t = room(b, 56, 16);
	if (!t)
		return NULL;
	put(t, 36, HPET_EVENT_BLOCK, 4);
	gas(t, 40, 0, 64, HPET_BASE);
	put(t, 53, 0x80, 2); /* minimum tick */
	table_header(b, t, "HPET", 56, 1);
	return t;
}

static u8 *build_root(struct builder *b, u8 *const *tables, unsigned count, bool xsdt)
{
	u32 size = xsdt ? 8 : 4, len = 36 + count * size;
	u8 *t = room(b, len, 16);
	if (!t)
		return NULL;
	for (unsigned i = 0; i < count; i++)
		put_pointer(b, t + 36 + i * size, tables[i], (u8)size);
	table_header(b, t, xsdt ? "XSDT" : "RSDT", len, 1);
	return t;
}

static void build_rsdp(u8 *t, u32 rsdt, u32 xsdt)
{
	memset(t, 0, 36);
	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "ORRERY", 6);
	t[15] = 2;
	put(t, 16, rsdt, 4);
	put(t, 20, 36, 4);
	put(t, 24, xsdt, 8);
	t[8] = checksum(t, 20);
	t[32] = checksum(t, 36);
}

/* ---- MP tables (MP Specification 1.4, chapter 4)
 * ------------------------------------------------------ */

static u8 *mp_interrupt(u8 *p, u8 entry, u8 type, u8 flags, u8 bus, u8 irq, u8 apic, u8 pin)
{
	const u8 e[8] = {entry, type, flags, 0, bus, irq, apic, pin};
	memcpy(p, e, 8);
	return p + 8;
}

static void build_mp(struct builder *b, unsigned cpus)
{
	unsigned entries = cpus + 1 + 1 + 15 + 2;
	u32 len = 44 + cpus * 20 + (entries - cpus) * 8;
	u8 *f = room(b, 16, 16), *t = room(b, len, 16), *p;
	if (!f || !t)
		return;
	memcpy(f, "_MP_", 4);
	put(f, 4, gpa_of(b, t), 4);
	f[8] = 1;
	f[9] = 4;
	f[10] = checksum(f, 16);
	memcpy(t, "PCMP", 4);
	put(t, 4, len, 2);
	t[6] = 4;
	memcpy(t + 8, "ORRERY  Orrery PC   ", 20);
	put(t, 34, entries, 2);
	put(t, 36, LAPIC_BASE, 4);
	p = t + 44;
	for (unsigned i = 0; i < cpus; i++, p += 20) {
		p[1] = (u8)i;
		p[2] = 0x14;
		p[3] = i ? 1 : 3; /* usable; the first is the bootstrap processor */
		put(p, 4, 0x600, 4);
		put(p, 8, 0x201, 4); /* FPU, APIC */
	}
	memcpy(p, "\x01\0ISA   ", 8);
	p += 8;
	p[0] = 2;
	p[1] = (u8)cpus;
	p[2] = 0x11;
	p[3] = 1;
	put(p, 4, IOAPIC_BASE, 4);
	p += 8;
	for (u8 irq = 0; irq < 16; irq++) {
		bool level = irq == 5 || (irq >= 9 && irq <= 11);
		if (irq == 2)
			continue;
		p = mp_interrupt(p, 3, 0, level ? 0x0d : 0, 0, irq, (u8)cpus, irq ? irq : 2);
	}
	p = mp_interrupt(p, 4, 3, 0, 0, 0, 0xff, 0); /* ExtINT on LINT0 */
	p = mp_interrupt(p, 4, 1, 0, 0, 0, 0xff, 1); /* NMI on LINT1 */
	t[7] = checksum(t, len);
}

/* Everything but the RSDP. False when it does not fit. */
static bool build_tables(struct builder *b, const struct acpi_config *cfg, u8 **rsdt, u8 **xsdt)
{
	u8 *tables[4];
	unsigned count = 0;
	u8 *facs = room(b, 64, 64);
	if (!facs)
		return false;
	memcpy(facs, "FACS", 4);
	put(facs, 4, 64, 4);
	facs[32] = 1;
	u8 *dsdt = build_dsdt(b, cfg);
	u8 *fadt = dsdt ? build_fadt(b, cfg, facs, dsdt) : NULL;
	u8 *madt = build_madt(b, cfg->cpus);
	u8 *hpet = cfg->hpet ? build_hpet(b) : NULL;
	u8 *const all[] = {fadt, madt, hpet};
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		if (all[i])
			tables[count++] = all[i];
	*rsdt = build_root(b, tables, count, false);
	*xsdt = build_root(b, tables, count, true);
	return !b->overflow;
}

static int too_big(const struct acpi_config *cfg, struct errtext *e)
{
	return err_set(e, -E2BIG, "the ACPI tables for %u processors exceed 64 KiB", cfg->cpus);
}

int acpi_build(const struct acpi_config *cfg, u8 *segment, u64 *rsdp, struct errtext *e)
{
	struct builder b = {.p = segment, .base = ACPI_SEGMENT};
	u8 *root = room(&b, 36, 16), *rsdt, *xsdt;
	if (!root || !build_tables(&b, cfg, &rsdt, &xsdt))
		return too_big(cfg, e);
	build_mp(&b, cfg->cpus);
	if (b.overflow)
		return too_big(cfg, e);
	build_rsdp(root, gpa_of(&b, rsdt), gpa_of(&b, xsdt));
	*rsdp = gpa_of(&b, root);
	return 0;
}

/* ---- the same for firmware to place: QEMU's docs/specs/acpi and "etc/table-loader"
 * ----------------------- */

#define LOADER_ALLOCATE 1
#define LOADER_POINTER  2
#define LOADER_CHECKSUM 3
#define ZONE_HIGH       1
#define ZONE_FSEG       2
#define TABLES_FILE     "etc/acpi/tables"
#define RSDP_FILE       "etc/acpi/rsdp"

static u8 *loader_entry(struct acpi_files *f, u32 command, const char *file)
{
	u8 *p = f->loader + f->loader_size;
	if (f->loader_size + ACPI_LOADER_ENTRY > sizeof(f->loader))
		return NULL;
	memset(p, 0, ACPI_LOADER_ENTRY);
	put(p, 0, command, 4);
	memcpy(p + 4, file, strlen(file));
	f->loader_size += ACPI_LOADER_ENTRY;
	return p + 4 + 56;
}

static bool loader_allocate(struct acpi_files *f, const char *file, u32 align, u8 zone)
{
	u8 *p = loader_entry(f, LOADER_ALLOCATE, file);
	if (p) {
		put(p, 0, align, 4);
		p[4] = zone;
	}
	return p;
}

static bool loader_pointer(struct acpi_files *f, const char *file, u32 at, u8 size)
{
	u8 *p = loader_entry(f, LOADER_POINTER, file);
	if (p) {
		memcpy(p, TABLES_FILE, sizeof(TABLES_FILE));
		put(p, 56, at, 4);
		p[60] = size;
	}
	return p;
}

static bool loader_checksum(struct acpi_files *f, const char *file, u32 at, u32 start, u32 size)
{
	u8 *p = loader_entry(f, LOADER_CHECKSUM, file);
	if (p) {
		put(p, 0, at, 4);
		put(p, 4, start, 4);
		put(p, 8, size, 4);
	}
	return p;
}

static bool build_loader(struct acpi_files *f, const struct builder *b)
{
	bool ok = loader_allocate(f, TABLES_FILE, 64, ZONE_HIGH) &&
		  loader_allocate(f, RSDP_FILE, 16, ZONE_FSEG);
	for (unsigned i = 0; ok && i < b->links; i++)
		ok = loader_pointer(f, TABLES_FILE, b->link[i].at, b->link[i].size);
	for (unsigned i = 0; ok && i < b->tables; i++) {
		f->tables[b->table[i].at + 9] =
		    0; /* firmware differs in whether the old value counts */
		ok = loader_checksum(f, TABLES_FILE, b->table[i].at + 9, b->table[i].at,
				     b->table[i].size);
	}
	f->rsdp[8] = f->rsdp[32] = 0;
	return ok && loader_pointer(f, RSDP_FILE, 16, 4) && loader_pointer(f, RSDP_FILE, 24, 8) &&
	       loader_checksum(f, RSDP_FILE, 8, 0, 20) && loader_checksum(f, RSDP_FILE, 32, 0, 36);
}

int acpi_build_files(const struct acpi_config *cfg, struct acpi_files *f, struct errtext *e)
{
	struct builder b = {.p = f->tables};
	u8 *rsdt, *xsdt;
	memset(f, 0, sizeof(*f));
	if (!build_tables(&b, cfg, &rsdt, &xsdt))
		return too_big(cfg, e);
	f->tables_size = b.n;
	build_rsdp(f->rsdp, gpa_of(&b, rsdt), gpa_of(&b, xsdt));
	return build_loader(f, &b) ? 0 : too_big(cfg, e);
}
