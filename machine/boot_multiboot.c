/*
 * Multiboot Specification 0.6.96: ELF images and the address fields ("a.out kludge"), modules,
 * memory map. Not modelled: the video mode request (flag 2, a wish: ignored), drives, APM and
 * configuration tables.
 */
#include "machine/boot_internal.h"

#define MB_MAGIC           0x1badb002u
#define MB_EAX             0x2badb002u
#define MB_SEARCH          8192u
#define MB_ADDRESS_FIELDS  0x10000u
#define MB_MUST_UNDERSTAND 0xfff8u /* bits 3-15: requirements this loader does not know */

#define MBI_SIZE        120u
#define MBI_MEMORY      0x1u
#define MBI_CMDLINE     0x4u
#define MBI_MODS        0x8u
#define MBI_MMAP        0x40u
#define MBI_LOADER_NAME 0x200u

bool multiboot1_find(const struct boot_bytes *b, u64 *off)
{
	for (u64 i = 0; i + 12 <= MIN(b->size, MB_SEARCH); i += 4)
		if (get32(b->data, i) == MB_MAGIC &&
		    MB_MAGIC + get32(b->data, i + 4) + get32(b->data, i + 8) == 0) {
			*off = i;
			return true;
		}
	return false;
}

/* The image by its own address fields: a flat piece of the file. */
static int load_flat(struct loader *l, u64 header_off, u64 *entry)
{
	const struct boot_bytes *b = &l->req->kernel;
	u8 *host;
	if (!inside(b, header_off, 32))
		return boot_fail(l, -ENOEXEC, "the Multiboot address fields are cut off");
	const u8 *h = b->data + header_off;
	u64 header_addr = get32(h, 12), load = get32(h, 16), load_end = get32(h, 20);
	u64 bss_end = get32(h, 24);
	*entry = get32(h, 28);
	if (load > header_addr || header_addr - load > header_off)
		return boot_fail(l, -ENOEXEC,
				 "Multiboot load_addr 0x%llx does not fit header_addr 0x%llx and "
				 "the header's place 0x%llx",
				 (unsigned long long)load, (unsigned long long)header_addr,
				 (unsigned long long)header_off);
	u64 from = header_off - (header_addr - load);
	u64 n = load_end ? load_end - load : b->size - from;
	if ((load_end && load_end < load) || !inside(b, from, n))
		return boot_fail(l, -ENOEXEC,
				 "Multiboot load_end_addr lies outside the file (truncated?)");
	if (bss_end && bss_end < load + n)
		return boot_fail(l, -ENOEXEC,
				 "Multiboot bss_end_addr lies below the end of the data");
	u64 total = bss_end ? bss_end - load : n;
	int r = boot_claim(l, load, total, "the Multiboot image", &host);
	if (r)
		return r;
	if (!host)
		return boot_fail(l, -ENOEXEC,
				 "the Multiboot address fields describe an empty image");
	memcpy(host, b->data + from, n);
	memset(host + n, 0, total - n);
	if (!ram_at(l->ram, *entry, 1))
		return boot_fail(l, -ENOEXEC, "Multiboot entry_addr 0x%llx is not in RAM",
				 (unsigned long long)*entry);
	return 0;
}

static int fill_mmap(struct loader *l, u8 *mbi)
{
	struct boot_range map[BOOT_RANGES_MAX];
	unsigned n = boot_memory_map(l->ram, map);
	u64 at;
	u8 *p;
	int r = boot_place_info(l, n * 24ull, "the memory map", &at, &p);
	if (r)
		return r;
	for (unsigned i = 0; i < n; i++, p += 24) {
		put32(p, 0, 20); /* size of the entry without this field */
		put64(p, 4, map[i].base);
		put64(p, 12, map[i].size);
		put32(p, 20, map[i].type);
	}
	put32(mbi, 44, n * 24);
	put32(mbi, 48, (u32)at);
	return 0;
}

static int fill_modules(struct loader *l, u8 *mbi)
{
	unsigned n = l->req->module_count;
	u64 at[BOOT_MODULES_MAX], list, text;
	u8 *p;
	int r = boot_place_modules(l, at);
	if (r || (r = boot_place_info(l, MAX(n, 1u) * 16ull, "the module list", &list, &p)))
		return r;
	for (unsigned i = 0; i < n; i++, p += 16) {
		const struct boot_module *m = &l->req->modules[i];
		if ((r = boot_place_text(l, m->cmdline, "a module's command line", &text)))
			return r;
		put32(p, 0, (u32)at[i]);
		put32(p, 4, (u32)(at[i] + m->bytes.size));
		put32(p, 8, (u32)text);
		put32(p, 12, 0);
	}
	put32(mbi, 20, n);
	put32(mbi, 24, (u32)list);
	return 0;
}

int multiboot1_load(struct loader *l, struct boot_entry *entry)
{
	u64 off = 0, at, mbi_at, text;
	u8 *mbi;
	char cmdline[4096];
	if (!multiboot1_find(&l->req->kernel, &off))
		return boot_fail(l, -ENOEXEC, "no Multiboot 1 header");
	u32 flags = get32(l->req->kernel.data, off + 4);
	if (flags & MB_MUST_UNDERSTAND)
		return boot_fail(l, -ENOEXEC,
				 "Multiboot header flags 0x%x ask for features this loader lacks",
				 flags & MB_MUST_UNDERSTAND);
	int r = flags & MB_ADDRESS_FIELDS ? load_flat(l, off, &at) : elf_load(l, &at);
	if (r || (r = boot_place_info(l, MBI_SIZE, "the Multiboot information", &mbi_at, &mbi)))
		return r;
	memset(mbi, 0, MBI_SIZE);
	put32(mbi, 0, MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER_NAME);
	put32(mbi, 4, 639);
	put32(mbi, 8, (u32)((l->ram->low_bytes - MIN(l->ram->low_bytes, 0x100000ull)) >> 10));
	int n = snprintf(cmdline, sizeof(cmdline), "%s%s%s", l->req->name,
			 *l->req->cmdline ? " " : "", l->req->cmdline);
	if (n < 0 || (size_t)n >= sizeof(cmdline))
		return boot_fail(l, -E2BIG, "the command line is longer than %zu bytes",
				 sizeof(cmdline));
	if ((r = boot_place_text(l, cmdline, "the command line", &text)))
		return r;
	put32(mbi, 16, (u32)text);
	if ((r = boot_place_text(l, "Orrery", "the loader's name", &text)))
		return r;
	put32(mbi, 64, (u32)text);
	if ((r = fill_mmap(l, mbi)) || (r = fill_modules(l, mbi)) ||
	    (r = boot_flat_segments(l, entry)))
		return r;
	entry->eip = (u32)at;
	entry->eax = MB_EAX;
	entry->ebx = (u32)mbi_at;
	return 0;
}
