/*
 * From power-on to the first sector: the list of devices, their order (CMOS 38h and 3Dh, as QEMU
 * sets them), the boot menu, boot sectors, El Torito, network ROMs; and what to say when nothing
 * starts.
 */
#include "bios/post/post.h"

enum kind { FLOPPY = 1, DISK, CD, NETWORK };

#define MAX_ENTRIES 20
#define KEY_F12     0x86
#define KEY_ESC     0x01

struct entry {
	u8 kind, index;
};
/* Outlives the power-on code's data: INT 18h and INT 19h come back to it. */
static struct entry list[MAX_ENTRIES];
static unsigned count;

extern void detect_ata(void *), detect_floppies(void *), boot_read_now(void *),
    boot_media_now(void *);

/* ---- keys -------------------------------------------------------------------------------- */

/* The next key stroke (scan code and character), or 0 after @ms milliseconds. */
static u16 key_within(u32 ms)
{
	u32 ticks = ms / 55 + 1, start = MEM32(0x46c);
	for (;;) {
		struct regs r = {.ax = 0x1100};
		real_int(0x16, &r);
		if (!(r.flags & FLAG_ZF)) {
			r.ax = 0x1000;
			real_int(0x16, &r);
			return r.ax;
		}
		if (ms && MEM32(0x46c) - start >= ticks)
			return 0;
		rt_run((void (*)(void *))wait_irq, NULL);
	}
}

/* ---- devices ----------------------------------------------------------------------------- */

static const struct drive *drive_of(const struct entry *e)
{
	const u8 *map = e->kind == FLOPPY ? RTA(floppy_map)
			: e->kind == DISK ? RTA(disk_map)
					  : RTA(cd_map);
	return &RTA(drives)[map[e->index]];
}

static void size_text(const struct drive *d)
{
	u32 mib = d->sectors >> 11 | d->sectors_high << 21;
	if (mib >= 10240)
		print(" (%u GiB)", mib >> 10);
	else if (mib)
		print(" (%u MiB)", mib);
	else
		print(" (%u KiB)", d->sectors / 2);
}

static void name(const struct entry *e)
{
	static const char *const floppies[] = {"none",    "360 KB",  "1.2 MB", "720 KB",
					       "1.44 MB", "2.88 MB", "2.88 MB"};
	const struct drive *d = drive_of(e);
	switch (e->kind) {
	case FLOPPY: print("Floppy %c: %s", 'A' + e->index, floppies[d->media]); break;
	case DISK:
		print("Disk %u: %s", e->index, d->model);
		size_text(d);
		break;
	case CD: print("CD %u: %s", e->index, d->model); break;
	default: print("Network: %s", boot_roms[e->index].name); break;
	}
}

static void add_kind(u8 kind)
{
	unsigned n = kind == FLOPPY ? RT(floppy_count)
		     : kind == DISK ? RT(disk_count)
		     : kind == CD   ? RT(cd_count)
				    : boot_rom_count;
	for (unsigned i = 0; i < n && count < MAX_ENTRIES; i++)
		list[count++] = (struct entry){kind, (u8)i};
}

static void make_list(void)
{
	u8 order[4] = {cmos_read(0x3d) & 15, cmos_read(0x3d) >> 4, cmos_read(0x38) >> 4, 0};
	static const u8 usual[] = {DISK, FLOPPY, CD, NETWORK};
	u32 seen = 0;
	count = 0;
	for (unsigned i = 0; i < 3; i++)
		if (order[i] >= FLOPPY && order[i] <= NETWORK && !(seen >> order[i] & 1)) {
			seen |= 1u << order[i];
			add_kind(order[i]);
		}
	for (unsigned i = 0; i < 4; i++)
		if (!(seen >> usual[i] & 1))
			add_kind(usual[i]);
}

void drives_setup(void)
{
	rt_run(detect_ata, NULL);
	virtio_disks();
	rt_run(detect_floppies, NULL);
	MEM8(0x475) = (u8)(MEM8(0x475) + RT(disk_count));
	if (RT(floppy_count))
		MEM16(0x410) = (u16)((MEM16(0x410) & 0xff3e) | 1 | (RT(floppy_count) - 1) << 6);
	MEM8(0x48f) = RT(floppy_count) > 1 ? 0x77 : RT(floppy_count) ? 0x07 : 0;
}

/* ---- starting one ------------------------------------------------------------------------ */

static u8 read_sectors(u8 drive, u32 lba, u16 sectors, u16 segment)
{
	RT(boot_read) =
	    (struct boot_read){.lba = lba, .count = sectors, .segment = segment, .drive = drive};
	rt_run(boot_read_now, NULL);
	return RT(boot_read).status;
}

/* The stack of real-mode code from now on: below 7B00h, or below the extended BIOS data area for an image that lies on the usual one. */
static void real_stack(bool high)
{
	RT(bridge_ss) = high ? POST_STACK / 16 : 0;
	RT(bridge_sp) = high ? EBDA_SEG * 16 - POST_STACK : REAL_STACK_SP;
}

/* Control goes to @seg:@off; that it comes back is a failure too. */
static void enter(u16 seg, u16 off, u8 drive)
{
	struct regs r = {.ax = 0xaa55, .dx = drive, .es = (u16)(0xf000), .di = 0};
	extern u32 pnp_header;
	r.di = (u16)pnp_header;
	real_far(seg, off, &r);
	print("The boot program has returned.\n");
}

static const char *boot_sector(u8 drive)
{
	struct regs r;
	for (unsigned try = 0; try < 3; try++) {
		r = (struct regs){.ax = 0x0201, .cx = 1, .dx = drive, .bx = 0x7c00};
		real_int(0x13, &r);
		if (!(r.flags & FLAG_CF) || r.ah == 0x80)
			break;
	}
	if (r.flags & FLAG_CF)
		return drive < 0x80 ? "no diskette, or it cannot be read"
				    : "its first sector cannot be read";
	bool signed_ = MEM16(0x7dfe) == 0xaa55, empty = true;
	for (unsigned i = 0; i < 510; i++)
		empty &= MEM8(0x7c00 + i) == MEM8(0x7c00);
	if ((drive >= 0x80 || !(cmos_read(0x38) & 1)) && !signed_)
		return empty ? "it is blank" : "it has no boot sector (no 55AAh at its end)";
	enter(0, 0x7c00, drive);
	return "";
}

/* ---- El Torito 1.0 ----------------------------------------------------------------------- */

#define CATALOG_SEG 0x1000

static const u8 *initial_entry(const u8 *catalog)
{
	u16 sum = 0;
	if (catalog[0] != 1 || catalog[30] != 0x55 || catalog[31] != 0xaa)
		return NULL;
	for (unsigned i = 0; i < 16; i++)
		sum = (u16)(sum + (catalog[2 * i] | catalog[2 * i + 1] << 8));
	if (sum)
		return NULL;
	if (catalog[1] == 0 && catalog[32] == 0x88)
		return catalog + 32;
	/* other platforms come first: look through the sections for ours */
	for (unsigned i = 64; i + 64 <= 2048 && (catalog[i] == 0x90 || catalog[i] == 0x91);) {
		unsigned n = catalog[i + 2];
		bool ours = catalog[i + 1] == 0;
		bool last = catalog[i] == 0x91;
		i += 32;
		for (; n-- && i + 32 <= 2048; i += 32)
			if (ours && catalog[i] == 0x88)
				return catalog + i;
		if (last)
			break;
	}
	return NULL;
}

static void emulated_geometry(struct emulation *m, u32 mbr)
{
	static const u8 spt[] = {0, 15, 18, 36};
	if (m->media < 4) {
		m->cylinders = 80;
		m->heads = 2;
		m->spt = spt[m->media];
		return;
	}
	/* a disk: the end of its first partition */
	u32 p = mbr + 0x1be;
	m->heads = MEM8(p + 5) + 1u;
	m->spt = MAX(MEM8(p + 6) & 63, 1);
	m->cylinders = (u16)((MEM8(p + 7) | (MEM8(p + 6) & 0xc0) << 2) + 1);
}

static const char *start_image(u8 cd, const u8 *e)
{
	struct emulation m = {.active = 1, .media = e[1] & 15, .cd = cd};
	m.drive = m.media == 0 ? cd : m.media == 4 ? 0x80 : 0x00;
	memcpy(&m.lba, e + 8, 4);
	m.load_segment = e[2] | e[3] << 8 ? (u16)(e[2] | e[3] << 8) : 0x7c0;
	m.load_sectors = MAX((u16)(e[6] | e[7] << 8), 1);
	if (m.media > 4)
		return "its boot image has an unknown kind of emulation";
	if (m.load_segment < 0x60)
		return "its boot image wants to lie where the BIOS keeps its vectors and data";
	if (m.load_segment >= 0x7000)
		return "its boot image wants to lie above 448 KiB";
	u32 first = m.load_segment * 16u, room = (POST_DATA - first) / 2048;
	u16 cd_sectors = (u16)MIN((m.load_sectors + 3u) / 4, room);
	real_stack(first < REAL_STACK_SP && first + cd_sectors * 2048u > REAL_STACK_END);
	for (u16 done = 0; done < cd_sectors;) {
		u16 n = MIN((u16)(cd_sectors - done), 16);
		if (read_sectors(cd, m.lba + done, n, (u16)(m.load_segment + done * 128)))
			return "its boot image cannot be read";
		done += n;
	}
	if (m.media)
		emulated_geometry(&m, first);
	RT(emulation) = m;
	if (m.media == 4)
		MEM8(0x475)++;
	else if (m.media)
		MEM16(0x410) |= 1;
	/* segment 7C0h means 0000:7C00, as boot sectors expect */
	if (m.load_segment == 0x7c0)
		enter(0, 0x7c00, m.drive);
	else
		enter(m.load_segment, 0, m.drive);
	RT(emulation).active = 0;
	return "";
}

static const char *boot_cd(u8 cd)
{
	const u8 *buffer = PTR(CATALOG_SEG * 16);
	RT(emulation).active = 0;
	RT(boot_read).drive = cd;
	rt_run(boot_media_now, NULL);
	if (RT(boot_read).status)
		return "no disc";
	if (read_sectors(cd, 17, 1, CATALOG_SEG))
		return "the disc cannot be read";
	if (buffer[0] || compare(buffer + 1, "CD001", 5) ||
	    compare(buffer + 7, "EL TORITO SPECIFICATION", 23))
		return "the disc is not bootable (no El Torito record)";
	u32 lba;
	memcpy(&lba, buffer + 0x47, 4);
	if (read_sectors(cd, lba, 1, CATALOG_SEG))
		return "its boot catalog cannot be read";
	const u8 *e = initial_entry(buffer);
	return e ? start_image(cd, e) : "its boot catalog has nothing for a PC BIOS";
}

static void boot_network(const struct boot_rom *b)
{
	struct regs r = {.es = 0xf000};
	extern u32 pnp_header;
	r.di = (u16)pnp_header;
	real_far(b->seg, b->entry, &r);
}

static void start(const struct entry *e)
{
	const char *why = "";
	print("Booting from ");
	name(e);
	print(" ...\n");
	real_stack(false);
	switch (e->kind) {
	case FLOPPY: why = boot_sector(e->index); break;
	case DISK: why = boot_sector((u8)(0x80 + e->index)); break;
	case CD: why = boot_cd((u8)(0xe0 + e->index)); break;
	default: boot_network(&boot_roms[e->index]); break;
	}
	if (*why)
		print("  Not bootable: %s.\n", why);
}

/* ---- menu and messages ------------------------------------------------------------------- */

static int menu(void)
{
	print("\nBoot menu: press a letter, Esc to go on\n\n");
	for (unsigned i = 0; i < count; i++) {
		print("  %c  ", 'a' + i);
		name(&list[i]);
		print("\n");
	}
	print("\n");
	for (;;) {
		u16 key = key_within(0);
		u8 c = (u8)((key & 0xff) | 0x20);
		if (key >> 8 == KEY_ESC)
			return -1;
		if (c >= 'a' && c < 'a' + count)
			return c - 'a';
		if ((u8)key >= '1' && (u8)key < '1' + MIN(count, 9u))
			return (u8)key - '1';
	}
}

static bool menu_wanted(void)
{
	u8 on[2] = {0};
	u32 size;
	fw_item(0x0e, on, 2);
	u16 ms = on[0] ? 2500 : RT(no_vga) ? 0 : 400;
	const s32 item = fw_find("etc/boot-menu-wait", &size);
	if (item >= 0 && size == 2)
		fw_item((u16)item, &ms, 2);
	if (on[0])
		print("Press F12 for the boot menu.\n\n");
	if (!ms)
		return false;
	u16 key = key_within(ms);
	return key >> 8 == KEY_F12 || (on[0] && key >> 8 == KEY_ESC);
}

static void __attribute__((noreturn)) nothing_boots(void)
{
	print("\nNo bootable device.\n\n");
	if (!count)
		print("This machine has no disk, CD, floppy or network to start from.\n");
	print("Start Orrery with a disk image (-hda FILE), a CD image (-cdrom FILE) or a\n"
	      "floppy image (-fda FILE), or change the medium and press a key to try again.\n");
	for (;;) {
		key_within(0);
		for (unsigned i = 0; i < count; i++)
			start(&list[i]);
		print("\nNo bootable device. Press a key to try again.\n");
	}
}

static struct {
	u32 magic;
	u32 next, n;
	struct entry list[MAX_ENTRIES];
	struct boot_rom roms[MAX_BOOT_ROMS];
	u32 rom_count, pnp;
} *const kept =
    (void *)(RT_BASE + 0x2c00); /* beside the run time's stack, which does not reach so deep */

#define KEPT 0x544f4f42u

static void __attribute__((noreturn)) go_on(void)
{
	while (kept->next < count) {
		const struct entry *e = &list[kept->next++];
		start(e);
	}
	nothing_boots();
}

static void keep(void)
{
	extern u32 pnp_header;
	kept->magic = KEPT;
	kept->next = 0;
	kept->n = count;
	kept->pnp = pnp_header;
	kept->rom_count = boot_rom_count;
	memcpy(kept->list, list, sizeof(list));
	memcpy(kept->roms, boot_roms, sizeof(boot_roms));
}

void boot(void)
{
	make_list();
	for (unsigned i = 0; i < count; i++) {
		print("  ");
		name(&list[i]);
		print("\n");
	}
	if (count)
		print("\n");
	keep();
	if (menu_wanted()) {
		int choice = menu();
		if (choice >= 0)
			start(&list[choice]);
	}
	go_on();
}

void post_boot_again(void)
{
	extern u32 pnp_header;
	outb(0x92, (u8)((inb(0x92) & 0xfe) | 2));
	if (kept->magic != KEPT) {
		outb(0xcf9, 6);
		for (;;)
			;
	}
	screen_ready = true;
	count = kept->n;
	pnp_header = kept->pnp;
	boot_rom_count = (u8)kept->rom_count;
	memcpy(list, kept->list, sizeof(list));
	memcpy(boot_roms, kept->roms, sizeof(boot_roms));
	RT(stack_next) = RT_STACK_TOP;
	if (RT(emulation).active) {
		if (RT(emulation).media == 4)
			MEM8(0x475)--;
		RT(emulation).active = 0;
	}
	if (RT(boot_again) == 2)
		kept->next = 0;
	else
		print("\n");
	go_on();
}
