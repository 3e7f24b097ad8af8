/*
 * The Linux/x86 boot protocol (Documentation/arch/x86/boot.rst, zero-page.rst), versions 2.00
 * to 2.15. Kernels with LOADED_HIGH enter at code32_start in flat protected mode with ESI =
 * boot_params; others (zImage) at their real-mode setup code, which needs a BIOS. memtest86+ is
 * such an image too. Not modelled: the 64-bit entry, setup_data, initial ramdisks above 4 GiB.
 */
#include "machine/boot_internal.h"

/* Offsets in the image and in boot_params */
#define H_SETUP_SECTS      0x1f1
#define H_SYSSIZE          0x1f4
#define H_VID_MODE         0x1fa
#define H_BOOT_FLAG        0x1fe
#define H_JUMP             0x201
#define H_MAGIC            0x202
#define H_VERSION          0x206
#define H_TYPE_OF_LOADER   0x210
#define H_LOADFLAGS        0x211
#define H_CODE32_START     0x214
#define H_RAMDISK_IMAGE    0x218
#define H_RAMDISK_SIZE     0x21c
#define H_HEAP_END_PTR     0x224
#define H_CMD_LINE_PTR     0x228
#define H_INITRD_ADDR_MAX  0x22c
#define H_KERNEL_ALIGNMENT 0x230
#define H_RELOCATABLE      0x234
#define H_CMDLINE_SIZE     0x238
#define H_PREF_ADDRESS     0x258
#define H_INIT_SIZE        0x260
#define H_END_MAX          0x290

#define BP_SCREEN_INFO  0x000
#define BP_EXT_MEM_K    0x002
#define BP_ACPI_RSDP    0x070
#define BP_ALT_MEM_K    0x1e0
#define BP_E820_ENTRIES 0x1e8
#define BP_E820_TABLE   0x2d0
#define BP_SIZE         4096

#define LOADED_HIGH   0x01
#define CAN_USE_HEAP  0x80
#define ZIMAGE_SETUP  0x90000ull
#define ZIMAGE_SYSTEM 0x10000ull

struct linux_image {
	const u8 *p;
	u64 setup_bytes, payload_bytes;
	u16 version;
	bool high;
};

bool linux_header_present(const struct boot_bytes *b)
{
	return b->size >= H_VERSION + 2 && get32(b->data, H_MAGIC) == 0x53726448 /* "HdrS" */;
}

static int parse(struct loader *l, struct linux_image *im)
{
	const struct boot_bytes *b = &l->req->kernel;
	im->p = b->data;
	if (b->size < 1024)
		return boot_fail(l, -ENOEXEC, "cut off inside the Linux setup header (%llu bytes)",
				 (unsigned long long)b->size);
	if (get16(im->p, H_BOOT_FLAG) != 0xaa55)
		return boot_fail(l, -ENOEXEC, "Linux boot_flag at 0x1FE is 0x%04x, not 0xAA55",
				 get16(im->p, H_BOOT_FLAG));
	im->version = get16(im->p, H_VERSION);
	if (im->version < 0x200)
		return boot_fail(l, -ENOEXEC,
				 "Linux boot protocol version %x.%02x is older than 2.00",
				 im->version >> 8, im->version & 0xff);
	u64 sects = im->p[H_SETUP_SECTS] ? im->p[H_SETUP_SECTS] : 4;
	im->setup_bytes = (sects + 1) * 512;
	if (im->setup_bytes >= b->size)
		return boot_fail(l, -ENOEXEC,
				 "the Linux setup code (%llu sectors) fills or exceeds the file",
				 (unsigned long long)sects);
	im->payload_bytes = b->size - im->setup_bytes;
	u64 want =
	    (im->version >= 0x204 ? get32(im->p, H_SYSSIZE) : get16(im->p, H_SYSSIZE)) * 16ull;
	if (want > ((im->payload_bytes + 15) & ~15ull))
		return boot_fail(l, -ENOEXEC,
				 "truncated: the header promises 0x%llx bytes of kernel (syssize), "
				 "the file holds 0x%llx",
				 (unsigned long long)want, (unsigned long long)im->payload_bytes);
	im->high = im->p[H_LOADFLAGS] & LOADED_HIGH;
	return 0;
}

static int check_cmdline(struct loader *l, const struct linux_image *im)
{
	u64 max = im->version >= 0x206 ? get32(im->p, H_CMDLINE_SIZE) : 255;
	u64 n = strlen(l->req->cmdline);
	if (n > max)
		return boot_fail(l, -E2BIG,
				 "the command line is %llu bytes long, this kernel takes %llu",
				 (unsigned long long)n, (unsigned long long)max);
	return 0;
}

/* Keeps the initrd away from where the kernel unpacks itself (pref_address, init_size). */
static int reserve_runtime(struct loader *l, const struct linux_image *im)
{
	if (im->version < 0x20a)
		return 0;
	u64 pref = get64(im->p, H_PREF_ADDRESS), size = get32(im->p, H_INIT_SIZE);
	u64 loaded_end = 0x100000 + im->payload_bytes;
	if (pref + size <= loaded_end || pref >= RAM_LOW_MAX)
		return 0;
	u8 *host;
	u64 start = MAX(pref, loaded_end);
	return boot_claim(l, start, pref + size - start, "the unpacked kernel (init_size)", &host);
}

static int place_initrd(struct loader *l, const struct linux_image *im, u8 *bp)
{
	if (!l->req->module_count)
		return 0;
	const struct boot_bytes *b = &l->req->modules[0].bytes;
	u64 max = im->version >= 0x203 ? get32(im->p, H_INITRD_ADDR_MAX) + 1ull : 0x38000000ull;
	u64 at;
	u8 *host;
	int r = boot_place(l, b->size, 4096, 0x100000, max, BOOT_HIGHEST, "the initrd", &at, &host);
	if (r)
		return r;
	if (b->size)
		memcpy(host, b->data, b->size);
	put32(bp, H_RAMDISK_IMAGE, (u32)at);
	put32(bp, H_RAMDISK_SIZE, (u32)b->size);
	return 0;
}

static void fill_e820(const struct ram *ram, u8 *bp)
{
	struct boot_range map[BOOT_RANGES_MAX];
	unsigned n = boot_memory_map(ram, map);
	for (unsigned i = 0; i < n; i++) {
		put64(bp, BP_E820_TABLE + i * 20, map[i].base);
		put64(bp, BP_E820_TABLE + i * 20 + 8, map[i].size);
		put32(bp, BP_E820_TABLE + i * 20 + 16, map[i].type);
	}
	bp[BP_E820_ENTRIES] = (u8)n;
	u64 above = ram->low_bytes > 0x100000 ? (ram->low_bytes - 0x100000) >> 10 : 0;
	put32(bp, BP_ALT_MEM_K, (u32)above);
	put16(bp, BP_EXT_MEM_K, (u16)MIN(above, 0xfc00));
}

/* screen_info: only with a text screen; zero lines make Linux leave VGA alone. */
static void fill_screen(u8 *bp)
{
	bp[BP_SCREEN_INFO + 0x06] = 3;  /* orig_video_mode */
	bp[BP_SCREEN_INFO + 0x07] = 80; /* orig_video_cols */
	bp[BP_SCREEN_INFO + 0x0e] = 25; /* orig_video_lines */
	bp[BP_SCREEN_INFO + 0x0f] = 1;  /* orig_video_isVGA */
	put16(bp, BP_SCREEN_INFO + 0x10, 16);
}

/* VIDEO_TYPE_VLFB: a frame buffer that a VBE mode left (include/uapi/linux/screen_info.h). */
static void fill_picture(const struct boot_picture *p, u8 *bp)
{
	static const u8 masks[3][8] = {
	    {5, 10, 5, 5, 5, 0, 1, 15}, {5, 11, 6, 5, 5, 0, 0, 0}, {8, 16, 8, 8, 8, 0, 8, 24}};
	u8 *si = bp + BP_SCREEN_INFO;
	si[0x0f] = 0x23;
	put16(si, 0x12, p->w);
	put16(si, 0x14, p->h);
	put16(si, 0x16, p->bpp);
	put32(si, 0x18, (u32)p->base);
	put32(si, 0x1c, (u32)(p->bytes >> 16)); /* in units of 64 KiB */
	put16(si, 0x24, p->pitch);
	if (p->bpp > 8)
		memcpy(si + 0x26, masks[p->bpp == 15 ? 0 : p->bpp == 16 ? 1 : 2], p->bpp == 24 ? 6 : 8);
	put16(si, 0x32, 1);    /* pages */
	put16(si, 0x34, 0x9b); /* mode attributes: linear, graphics, colour, supported */
}

static void fill_header(u8 *bp, const struct linux_image *im)
{
	u64 end = MIN(0x202ull + im->p[H_JUMP], (u64)H_END_MAX);
	memcpy(bp + H_SETUP_SECTS, im->p + H_SETUP_SECTS,
	       MAX(end, H_HEAP_END_PTR + 4ull) - H_SETUP_SECTS);
	bp[H_TYPE_OF_LOADER] = 0xff; /* no assigned identity */
	put16(bp, H_VID_MODE, 0xffff);
}

static int load_high(struct loader *l, const struct linux_image *im, struct boot_entry *entry)
{
	u8 *host, *bp;
	u64 bp_at, cmdline_at;
	int r = boot_claim(l, 0x100000, im->payload_bytes, "the kernel", &host);
	if (r)
		return r;
	memcpy(host, im->p + im->setup_bytes, im->payload_bytes);
	if ((r = reserve_runtime(l, im)) ||
	    (r = boot_place_info(l, BP_SIZE, "boot_params", &bp_at, &bp)) ||
	    (r = boot_place_text(l, l->req->cmdline, "the command line", &cmdline_at)))
		return r;
	memset(bp, 0, BP_SIZE);
	fill_header(bp, im);
	put32(bp, H_CMD_LINE_PTR, (u32)cmdline_at);
	if (im->version >= 0x20e)
		put64(bp, BP_ACPI_RSDP, l->req->rsdp);
	if (l->req->picture.w)
		fill_picture(&l->req->picture, bp);
	else if (l->req->text_display)
		fill_screen(bp);
	fill_e820(l->ram, bp);
	if ((r = place_initrd(l, im, bp)) || (r = boot_flat_segments(l, entry)))
		return r;
	entry->eip = get32(im->p, H_CODE32_START);
	if (!ram_at(l->ram, entry->eip, 1))
		return boot_fail(l, -ENOEXEC, "code32_start 0x%x is not in RAM", entry->eip);
	entry->esi = (u32)bp_at;
	return 0;
}

/* zImage: setup at 90000h, the system at 10000h, entered in real mode at 9020h:0 with the old
 * command line slot. */
static int load_low(struct loader *l, const struct linux_image *im, struct boot_entry *entry)
{
	u8 *setup, *system;
	int r;
	if (im->setup_bytes > 0x8000 || strlen(l->req->cmdline) > 255)
		return boot_fail(l, -E2BIG,
				 "the setup code or command line of this zImage is too long");
	if ((r = boot_claim(l, ZIMAGE_SYSTEM, im->payload_bytes, "the zImage", &system)) ||
	    (r = boot_claim(l, ZIMAGE_SETUP, 0x9800, "the setup code", &setup)))
		return r;
	memcpy(system, im->p + im->setup_bytes, im->payload_bytes);
	memcpy(setup, im->p, im->setup_bytes);
	memcpy(setup + 0x9000, l->req->cmdline, strlen(l->req->cmdline) + 1);
	setup[H_TYPE_OF_LOADER] = 0xff;
	setup[H_LOADFLAGS] |= CAN_USE_HEAP;
	put16(setup, H_HEAP_END_PTR, 0x8e00);
	if (im->version >= 0x202) {
		put32(setup, H_CMD_LINE_PTR, ZIMAGE_SETUP + 0x9000);
	} else {
		put16(setup, 0x20, 0xa33f); /* CL_MAGIC */
		put16(setup, 0x22, 0x9000);
	}
	if ((r = place_initrd(l, im, setup)))
		return r;
	entry->mode = BOOT_REAL16;
	entry->real_cs = ZIMAGE_SETUP / 16 + 0x20;
	entry->real_ds = ZIMAGE_SETUP / 16;
	entry->esp = 0x8e00;
	return 0;
}

int linux_load(struct loader *l, struct boot_entry *entry)
{
	struct linux_image im;
	int r = parse(l, &im);
	if (r || (r = check_cmdline(l, &im)))
		return r;
	if (l->req->module_count > 1)
		return boot_fail(l, -EINVAL, "a Linux kernel takes one initrd, not %u",
				 l->req->module_count);
	return im.high ? load_high(l, &im, entry) : load_low(l, &im, entry);
}
