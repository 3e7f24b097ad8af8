/*
 * What a stranger's medium says to our BIOS: partition table, El Torito record, catalogue and boot image, a diskette's boot
 * sector, the headers of an expansion ROM. A medium that starts is made, then spoilt as the input says, and a small machine is
 * switched on with it.
 *
 * Whatever happens, the emulator lives and the run ends within its instructions. Where the medium's code is left whole, the BIOS
 * must reach it, or say that nothing can be started.
 */
#define _GNU_SOURCE /* memfd_create, memmem */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bios/image.h"
#include "machine/machine_internal.h"
#include "tests/fuzz/input.h"

#define INSNS      3000000u /* the BIOS needs 0.4 million of them to the first sector */
#define INSNS_ANY  750000u  /* for any code: it may be one exception after the other */
#define STEP       250000u
#define IMAGE_LBA  24u      /* of the CD's boot image */
#define CATALOG    (19u * 2048)
#define CD_SECTORS 300u
#define ROM_ROOM   0x20000u
#define PCIR       0x1cu
#define PNP        0x40u
#define ROM_CODE   0x80u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

enum medium { DISK, CD, FLOPPY, ROM };

static void put(u8 *p, unsigned bytes, u64 v)
{
	memcpy(p, &v, bytes);
}

static u32 get(const u8 *p, unsigned bytes)
{
	u32 v = 0;
	memcpy(&v, p, bytes);
	return v;
}

/* INT 13h functions 08h, 02h (into segment 3000h), 4B01h and 15h of the drive in DL; then the end: 2Ah to isa-debug-exit. */
static const u8 boot_code[] = {0x52, 0xb4, 0x08, 0xcd, 0x13, 0x5a, 0x52, 0xb8, 0x00, 0x30, 0x8e, 0xc0, 0x8e, 0xd8, 0xb8, 0x01,
			  0x02, 0xb9, 0x01, 0x00, 0xb6, 0x00, 0x31, 0xdb, 0xcd, 0x13, 0x5a, 0x52, 0xb8, 0x01, 0x4b, 0x31,
			  0xf6, 0xcd, 0x13, 0x5a, 0xb4, 0x15, 0xcd, 0x13, 0xb0, 0x2a, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd};

/* ---- media that start ---------------------------------------------------------------------------------------------- */

/* Parts of a medium that BIOSes and systems read meaning into. */
struct area {
	u32 at, bytes;
};

static u8 image[3 << 20], rom[ROM_ROOM];

/* Every sector could be the one that is started. */
static void fill(u32 bytes)
{
	memset(image, 0, bytes);
	for (u32 at = 0; at + sizeof(boot_code) <= bytes; at += 512)
		memcpy(image + at, boot_code, sizeof(boot_code));
}

static const struct area disk_areas[] = {{0x1b8, 72}, {0x1be, 16}, {0x1fe, 2}};
static u32 make_disk(struct input *in)
{
	static const u32 sectors[] = {1, 2, 17, 63, 1008, 2048, 4096, 6144};
	u32 bytes = sectors[take(in, 1) % 8] * 512;
	const u8 entry[16] = {0x80, 1, 1, 0, 0x83, 15, 63, 0, 63, 0, 0, 0, 0xb1, 3, 0, 0};
	fill(bytes);
	memcpy(image + 0x1be, entry, 16);
	put(image + 0x1fe, 2, 0xaa55);
	return bytes;
}

static const struct area floppy_areas[] = {{0x0b, 51}, {0x1fe, 2}};
static u32 make_floppy(struct input *in)
{
	static const u32 sectors[] = {2880, 320, 360, 640, 720, 1440, 2400, 5760};
	const u8 bpb[27] = {0, 2, 1, 1, 0, 2, 224, 0, 0x40, 0x0b, 0xf0, 9, 0, 18, 0, 2};
	u32 bytes = sectors[take(in, 1) % 8] * 512;
	fill(bytes);
	memcpy(image, "\xeb\x3c\x90", 3);
	memset(image + 3, 0, 0x3b);
	memcpy(image + 0x0b, bpb, sizeof(bpb));
	memcpy(image + 0x3e, boot_code, sizeof(boot_code));
	put(image + 0x1fe, 2, 0xaa55);
	return bytes;
}

static const struct area cd_areas[] = {
    {CATALOG, 64},         {CATALOG + 32, 12},           {CATALOG + 64, 192},
    {17 * 2048, 75},       {17 * 2048 + 0x47, 4},        {IMAGE_LBA * 2048 + 0x1be, 66},
};
static u32 make_cd(struct input *in)
{
	u8 flags = (u8)take(in, 1), *entry = image + CATALOG + 32;
	fill(CD_SECTORS * 2048);
	memset(image, 0, IMAGE_LBA * 2048);
	memcpy(image + 16 * 2048, "\1CD001\1", 7);
	memcpy(image + 17 * 2048, "\0CD001\1EL TORITO SPECIFICATION", 30);
	put(image + 17 * 2048 + 0x47, 4, 19);
	memcpy(image + 18 * 2048, "\xff" "CD001\1", 7);
	image[CATALOG] = 1;
	put(image + CATALOG + 30, 2, 0xaa55);
	entry[0] = 0x88;
	entry[1] = flags % 5;
	put(entry + 6, 2, 4);
	put(entry + 8, 4, IMAGE_LBA);
	if (flags & 0x20) { /* another platform's section first, then ours */
		memcpy(image + CATALOG + 96, entry, 32);
		image[CATALOG + 1] = 0xef;
		put(image + CATALOG + 64, 4, 0x10091);
	}
	return flags & 0x40 ? 21 * 2048 : CD_SECTORS * 2048; /* the second is cut off behind the catalogue */
}

/* The sum of the catalogue's first entry, to be zero in words. */
static void mend_catalog(void)
{
	u32 sum = 0;
	put(image + CATALOG + 28, 2, 0);
	for (u32 i = 0; i < 32; i += 2)
		sum += get(image + CATALOG + i, 2);
	put(image + CATALOG + 28, 2, -sum);
}

static const struct area rom_areas[] = {{0, 28}, {2, 1}, {0x18, 4}, {PCIR, 24}, {PNP, 32}, {PNP + 16, 12}};
static u32 make_rom(struct input *in)
{
	u32 blocks = (u32)take(in, 1) + 1, bytes = blocks * 512;
	memset(rom, 0xcb, bytes); /* RETF */
	put(rom, 2, 0xaa55);
	rom[2] = (u8)MIN(blocks, 255u);
	put(rom + 0x18, 2, PCIR);
	put(rom + 0x1a, 2, PNP);
	memset(rom + PCIR, 0, 24);
	memcpy(rom + PCIR, "PCIR", 4);
	put(rom + PCIR + 10, 2, 24);
	put(rom + PCIR + 16, 2, blocks);
	rom[PCIR + 0x15] = 0x80;
	memset(rom + PNP, 0, 32);
	memcpy(rom + PNP, "$PnP\1\2", 6);
	put(rom + PNP + 0x16, 2, ROM_CODE);
	put(rom + PNP + 0x1a, 2, ROM_CODE + 1);
	return bytes;
}

static void mend_rom(u32 bytes)
{
	u8 sum = 0;
	for (u32 i = 0; i < MIN(bytes, rom[2] * 512u); i++)
		sum = (u8)(sum + rom[i]);
	rom[6] = (u8)(rom[6] - sum);
}

/* ---- spoiling ------------------------------------------------------------------------------------------------------ */

/* (how many), then (area, place, byte) each. */
static void spoil(struct input *in, u8 *p, u32 bytes, const struct area *areas, unsigned n)
{
	for (unsigned left = (unsigned)take(in, 1) % 24; left && in->n >= 3; left--) {
		const struct area *a = &areas[take(in, 1) % n];
		u32 at = a->at + (u32)take(in, 1) % a->bytes;
		u8 v = (u8)take(in, 1);
		if (at < bytes)
			p[at] = v;
	}
}

/* The input's rest as the medium's code. */
static void chance_code(struct input *in, u8 *p, u32 room)
{
	u32 n = (u32)MIN(in->n, (size_t)MIN(room, 400u));
	memcpy(p, in->p, n);
}

/* ---- running ------------------------------------------------------------------------------------------------------- */

static bool said(struct machine *m, const char *text)
{
	size_t n;
	const u8 *out = chardev_memory_output(m->debugcon, &n);
	return n && memmem(out, n, text, strlen(text));
}

static void fail(struct machine *m, const struct machine_result *r)
{
	size_t n;
	const u8 *out = chardev_memory_output(m->debugcon, &n);
	fprintf(stderr, "neither started nor refused; end: %s at %04x:%llx after %llu\n%.*s\n", end_reason_name(r->reason), r->cs,
		(unsigned long long)r->rip, (unsigned long long)r->instructions, (int)n, out);
	abort();
}

/* @whole: the code is ours, so the BIOS must either get to it or say so. */
static void switch_on(struct machine_config *cfg, bool whole)
{
	struct machine *m;
	struct errtext e = {""};
	struct machine_result r;
	if (machine_create(cfg, &m, &e)) {
		if (!e.s[0])
			abort();
		return;
	}
	bool refused = false; /* and waits for another medium, which takes the host long */
	for (u64 limit = STEP; !refused && limit <= (whole ? INSNS : INSNS_ANY); limit += STEP) {
		machine_set_limits(m, limit, 0);
		if (machine_run(m) != END_MAX_INSNS)
			break;
		refused = said(m, "No bootable device.");
	}
	machine_result(m, &r);
	bool started = r.reason == END_DEBUG_EXIT && r.debug_code == 0x2a;
	if (whole && !started && !refused)
		fail(m, &r);
	machine_destroy(m);
}

static void add_drive(struct machine_config *cfg, enum medium kind, u32 bytes)
{
	struct block *b = block_memory(bytes);
	if (!b || block_io(b, BLOCK_WRITE, 0, bytes / 512, image))
		abort();
	cfg->drive[cfg->drives++] = (struct drive){.id = "medium",
						   .interface = kind == FLOPPY ? DRIVE_FLOPPY : DRIVE_IDE,
						   .cdrom = kind == CD,
						   .block = b};
}

/* Entries of the ROM's Plug and Play header that lead to a RETF. */
static bool rom_comes_back(u32 bytes)
{
	u32 n = MIN(rom[2] * 512u, bytes);
	for (unsigned i = 0x16; i <= 0x1a; i += 4) {
		u32 at = get(rom + PNP + i, 2);
		if (at && (at < ROM_CODE || at >= n))
			return false;
	}
	return rom[3] == 0xcb && get(rom + 0x1a, 2) == PNP;
}

static u32 write_rom(u32 bytes, int *fd)
{
	if (*fd < 0)
		*fd = memfd_create("rom", 0);
	if (*fd < 0 || ftruncate(*fd, 0) || pwrite(*fd, rom, bytes, 0) != (ssize_t)bytes)
		abort();
	return bytes;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static int rom_fd = -1;
	static FILE *nowhere;
	struct input in = {data, size};
	struct machine_config cfg;
	u8 flags = (u8)take(&in, 1);
	enum medium kind = flags & 3;
	bool chance = flags & 4, sum = !(flags & 8), whole = !chance;
	char card[64];
	u64 bios_bytes;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	machine_config_init(&cfg);
	cfg.ram_bytes = flags & 16 ? 1 << 20 : 4 << 20;
	cfg.embedded_bios = bios_image(&bios_bytes);
	cfg.embedded_bios_bytes = bios_bytes;
	cfg.unwatched = cfg.no_vga = cfg.no_reboot = true;
	cfg.log_file = nowhere;
	cfg.debugcon = "memory";
	cfg.device[0] = "isa-debug-exit,iobase=0xf4,iosize=4";
	if (kind == CD) {
		u32 bytes = make_cd(&in);
		spoil(&in, image, bytes, cd_areas, ARRAY_SIZE(cd_areas));
		if (sum)
			mend_catalog();
		if (chance)
			chance_code(&in, image + IMAGE_LBA * 2048, 446);
		const u8 *entry = image + CATALOG + (flags & 32 ? 96 : 32);
		u32 lba = get(entry + 8, 4);
		whole &= lba >= IMAGE_LBA; /* else the code is what lies before the image */
		add_drive(&cfg, kind, bytes);
	} else if (kind == FLOPPY) {
		u32 bytes = make_floppy(&in);
		spoil(&in, image, bytes, floppy_areas, ARRAY_SIZE(floppy_areas));
		if (chance)
			chance_code(&in, image + 0x3e, 446);
		add_drive(&cfg, kind, bytes);
	} else {
		u32 bytes = make_disk(&in);
		if (kind == DISK) {
			spoil(&in, image, bytes, disk_areas, ARRAY_SIZE(disk_areas));
			if (chance)
				chance_code(&in, image, 0x1b8);
		}
		add_drive(&cfg, kind, bytes);
	}
	if (kind == ROM) {
		u32 bytes = make_rom(&in);
		spoil(&in, rom, bytes, rom_areas, ARRAY_SIZE(rom_areas));
		if (chance)
			chance_code(&in, rom + ROM_CODE, bytes - ROM_CODE);
		if (sum)
			mend_rom(bytes);
		whole &= rom_comes_back(bytes);
		write_rom(bytes, &rom_fd);
		snprintf(card, sizeof(card), "%s,romfile=/proc/self/fd/%d", flags & 64 ? "ne2k_pci" : "e1000", rom_fd);
		cfg.device[1] = card;
		cfg.boot_order = flags & 128 ? "n" : NULL;
	}
	switch_on(&cfg, whole);
	return 0;
}
