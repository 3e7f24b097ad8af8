/*
 * Direct boot: places a kernel image, its modules and what its boot protocol wants to know into
 * RAM, and says in what state the processor enters it. Pure: RAM and bytes in, RAM and struct
 * boot_entry out.
 *
 * Modelled: Linux boot protocol 2.00-2.15 (32-bit entry; images without LOADED_HIGH by their
 * real-mode entry), Multiboot 1 (ELF32/64 and the address fields, a.out kludge), Multiboot 2, PVH
 * (Xen note 18). Not modelled: the 64-bit Linux entry (the 32-bit one serves the same kernels), EFI
 * handover, video modes asked for.
 */
#ifndef ORRERY_MACHINE_BOOT_H
#define ORRERY_MACHINE_BOOT_H

#include "base/types.h"
#include "machine/errtext.h"
#include "machine/ram.h"

struct boot_bytes {
	const u8 *data;
	u64 size;
};

struct boot_module {
	struct boot_bytes bytes;
	const char *cmdline; /* name and arguments, as GRUB passes them */
};

#define BOOT_MODULES_MAX 64

struct boot_request {
	const char *name; /* for messages: the file's name */
	struct boot_bytes kernel;
	const char *cmdline;
	const struct boot_module *modules; /* Linux and PVH: at most the initrd */
	unsigned module_count;
	u64 rsdp;          /* guest-physical address of the RSDP, 0: none */
	bool text_display; /* a VGA text screen (mode 3) exists */
	struct boot_picture { /* or a linear frame buffer; w = 0: none */
		u32 w, h, bpp, pitch;
		u64 base, bytes;
	} picture;
};

enum boot_kind { BOOT_LINUX, BOOT_MULTIBOOT1, BOOT_MULTIBOOT2, BOOT_PVH };
enum boot_cpu_mode { BOOT_REAL16, BOOT_PROT32 };

/* How the processor enters: everything else is as after RESET, with interrupts off. */
struct boot_entry {
	enum boot_cpu_mode mode;
	u32 eip;
	u16 real_cs, real_ds; /* BOOT_REAL16: segment values */
	u32 eax, ebx, esi, esp;
	u64 gdt_base; /* BOOT_PROT32: flat code and data descriptors are here */
	u16 gdt_limit;
	u16 cs, ds; /* BOOT_PROT32: selectors; DS serves ES, SS, FS, GS too */
};

/* One row of the memory map (E820 types). */
struct boot_range {
	u64 base, size;
	u32 type;
};
#define BOOT_E820_RAM      1u
#define BOOT_E820_RESERVED 2u
#define BOOT_RANGES_MAX    8

const char *boot_kind_name(enum boot_kind kind);

/**
 * Finds by which protocol @kernel can be started. 0 and *@kind, or -ENOEXEC naming every header
 * that was looked for.
 * @name is only for the message.
 */
MUST_CHECK int boot_probe(const struct boot_bytes *kernel, const char *name, enum boot_kind *kind,
			  struct errtext *e);

/** The memory map of a machine with this RAM. Returns the number of rows written (<=
 * BOOT_RANGES_MAX). */
unsigned boot_memory_map(const struct ram *ram, struct boot_range *out);

/**
 * Loads everything of @req as protocol @kind. 0, or -ENOEXEC (malformed image), -E2BIG (does not
 * fit), with the reason in @e; RAM is then in an unspecified state.
 */
MUST_CHECK int boot_load(enum boot_kind kind, const struct boot_request *req, struct ram *ram,
			 struct boot_entry *entry, struct errtext *e);

#endif
