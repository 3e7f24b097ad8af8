/* PVH direct boot (Xen public/arch-x86/hvm/start_info.h): ELF with note 18, EBX = hvm_start_info
 * version 1. */
#include "machine/boot_internal.h"

#define XEN_NOTE_PHYS32_ENTRY 18
#define START_MAGIC           0x336ec578u
#define START_SIZE            56u

static int fill_modules(struct loader *l, u8 *si)
{
	unsigned n = l->req->module_count;
	u64 at[BOOT_MODULES_MAX], list, text;
	u8 *p;
	if (!n)
		return 0;
	int r = boot_place_modules(l, at);
	if (r || (r = boot_place_info(l, n * 32ull, "the module list", &list, &p)))
		return r;
	for (unsigned i = 0; i < n; i++, p += 32) {
		if ((r = boot_place_text(l, l->req->modules[i].cmdline, "a module's command line",
					 &text)))
			return r;
		put64(p, 0, at[i]);
		put64(p, 8, l->req->modules[i].bytes.size);
		put64(p, 16, text);
		put64(p, 24, 0);
	}
	put32(si, 12, n);
	put64(si, 16, list);
	return 0;
}

static int fill_map(struct loader *l, u8 *si)
{
	struct boot_range map[BOOT_RANGES_MAX];
	unsigned n = boot_memory_map(l->ram, map);
	u64 at;
	u8 *p;
	int r = boot_place_info(l, n * 24ull, "the memory map", &at, &p);
	if (r)
		return r;
	memset(p, 0, n * 24);
	for (unsigned i = 0; i < n; i++) {
		put64(p, i * 24, map[i].base);
		put64(p, i * 24 + 8, map[i].size);
		put32(p, i * 24 + 16, map[i].type);
	}
	put64(si, 40, at);
	put32(si, 48, n);
	return 0;
}

int pvh_load(struct loader *l, struct boot_entry *entry)
{
	u64 pvh_entry, elf_entry, si_at, text;
	u8 *si;
	int r;
	if (!elf_find_xen_note(&l->req->kernel, XEN_NOTE_PHYS32_ENTRY, &pvh_entry))
		return boot_fail(l, -ENOEXEC, "no PVH note");
	if ((r = elf_load(l, &elf_entry)))
		return r;
	if (pvh_entry >= RAM_HIGH_BASE || !ram_at(l->ram, pvh_entry, 1))
		return boot_fail(l, -ENOEXEC, "the PVH entry point 0x%llx is not in RAM",
				 (unsigned long long)pvh_entry);
	if ((r = boot_place_info(l, START_SIZE, "hvm_start_info", &si_at, &si)) ||
	    (r = boot_place_text(l, l->req->cmdline, "the command line", &text)))
		return r;
	memset(si, 0, START_SIZE);
	put32(si, 0, START_MAGIC);
	put32(si, 4, 1);
	put64(si, 24, text);
	put64(si, 32, l->req->rsdp);
	if ((r = fill_modules(l, si)) || (r = fill_map(l, si)) ||
	    (r = boot_flat_segments(l, entry)))
		return r;
	entry->eip = (u32)pvh_entry;
	entry->ebx = (u32)si_at;
	return 0;
}
