/* Shared by the boot_*.c files only: bounded reads of the image, placement in RAM, the ELF loader.
 */
#ifndef ORRERY_MACHINE_BOOT_INTERNAL_H
#define ORRERY_MACHINE_BOOT_INTERNAL_H

#include <errno.h>
#include "machine/boot.h"

#define BOOT_USED_MAX 192

/* Where things go while one image is being loaded. */
struct loader {
	const struct boot_request *req;
	struct ram *ram;
	struct errtext *e;
	struct {
		u64 start, end;
	} used[BOOT_USED_MAX];
	unsigned used_count;
};

/* Little-endian reads at @off that the caller has checked to lie inside. */
static inline u16 get16(const u8 *p, u64 off)
{
	return (u16)(p[off] | p[off + 1] << 8);
}

static inline u32 get32(const u8 *p, u64 off)
{
	return get16(p, off) | (u32)get16(p, off + 2) << 16;
}

static inline u64 get64(const u8 *p, u64 off)
{
	return get32(p, off) | (u64)get32(p, off + 4) << 32;
}

static inline void put16(u8 *p, u64 off, u16 v)
{
	memcpy(p + off, &v, 2);
}

static inline void put32(u8 *p, u64 off, u32 v)
{
	memcpy(p + off, &v, 4);
}

static inline void put64(u8 *p, u64 off, u64 v)
{
	memcpy(p + off, &v, 8);
}

/** True if [@off, @off + @n) lies inside the image. */
static inline bool inside(const struct boot_bytes *b, u64 off, u64 n)
{
	return off <= b->size && n <= b->size - off;
}

/** Fails the load: "NAME: TEXT". Returns @code. */
int boot_fail(struct loader *l, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/** Takes [@gpa, @gpa + @n) for @what: must be RAM outside A0000h-FFFFFh and not used yet. *@host
 * gets its address. */
MUST_CHECK int boot_claim(struct loader *l, u64 gpa, u64 n, const char *what, u8 **host);

enum boot_where { BOOT_LOWEST, BOOT_HIGHEST };
/**
 * Finds and takes @n bytes aligned to @align (a power of two) in [@min, @max), lowest or highest
 * first. 0 with *@gpa and *@host, or -E2BIG saying @what does not fit.
 */
MUST_CHECK int boot_place(struct loader *l, u64 n, u64 align, u64 min, u64 max,
			  enum boot_where where, const char *what, u64 *gpa, u8 **host);

/** Places for loader tables: low memory when there is room, else anywhere under 4 GiB. */
MUST_CHECK int boot_place_info(struct loader *l, u64 n, const char *what, u64 *gpa, u8 **host);

/** Copies the NUL-terminated @text into a place of its own. */
MUST_CHECK int boot_place_text(struct loader *l, const char *text, const char *what, u64 *gpa);

/** Places all modules page-aligned above 1 MiB; @at gets their addresses. */
MUST_CHECK int boot_place_modules(struct loader *l, u64 *at);

/** Writes the flat GDT and fills the protected-mode part of @entry. */
MUST_CHECK int boot_flat_segments(struct loader *l, struct boot_entry *entry);

/** Loads the PT_LOAD segments of an ELF image at their physical addresses; *@entry is its physical
 * entry point. */
MUST_CHECK int elf_load(struct loader *l, u64 *entry);
bool elf_is(const struct boot_bytes *b);
/** Finds Xen note @type (4- or 8-byte value). */
bool elf_find_xen_note(const struct boot_bytes *b, u32 type, u64 *value);

bool multiboot1_find(const struct boot_bytes *b, u64 *off);
bool multiboot2_find(const struct boot_bytes *b, u64 *off);
bool linux_header_present(const struct boot_bytes *b);

MUST_CHECK int linux_load(struct loader *l, struct boot_entry *entry);
MUST_CHECK int multiboot1_load(struct loader *l, struct boot_entry *entry);
MUST_CHECK int multiboot2_load(struct loader *l, struct boot_entry *entry);
MUST_CHECK int pvh_load(struct loader *l, struct boot_entry *entry);

#endif
