/* Direct boot: the choice of protocol, the memory map, and placement of things in RAM. See boot.h.
 */
#include "machine/boot_internal.h"

#define LOW_END  0x9fc00ull /* the EBDA starts here: 639 KiB of base memory */
#define HOLE_END 0x100000ull
#define INFO_MIN 0x10000ull
#define PAGE     4096ull

#define XEN_NOTE_PHYS32_ENTRY 18

static const struct {
	const char *name;
	int (*load)(struct loader *l, struct boot_entry *entry);
} kinds[] = {
    [BOOT_LINUX] = {"Linux boot protocol", linux_load},
    [BOOT_MULTIBOOT1] = {"Multiboot 1", multiboot1_load},
    [BOOT_MULTIBOOT2] = {"Multiboot 2", multiboot2_load},
    [BOOT_PVH] = {"PVH", pvh_load},
};

const char *boot_kind_name(enum boot_kind kind)
{
	return kinds[kind].name;
}

static bool pvh_present(const struct boot_bytes *b)
{
	u64 entry;
	return elf_find_xen_note(b, XEN_NOTE_PHYS32_ENTRY, &entry);
}

int boot_probe(const struct boot_bytes *kernel, const char *name, enum boot_kind *kind,
	       struct errtext *e)
{
	u64 off;
	if (linux_header_present(kernel))
		*kind = BOOT_LINUX;
	else if (multiboot1_find(kernel, &off))
		*kind = BOOT_MULTIBOOT1;
	else if (multiboot2_find(kernel, &off))
		*kind = BOOT_MULTIBOOT2;
	else if (pvh_present(kernel))
		*kind = BOOT_PVH;
	else
		return err_set(
		    e, -ENOEXEC,
		    "%s: not a kernel I can start: no bzImage header (\"HdrS\" at 0x202), no "
		    "Multiboot 1 header (0x1BADB002 in the first 8 KiB), no Multiboot 2 header "
		    "(0xE85250D6 in the first 32 KiB), no PVH note (Xen ELF note 18)%s",
		    name,
		    elf_is(kernel)      ? "; it is an ELF file"
		    : kernel->size == 0 ? "; the file is empty"
					: "");
	return 0;
}

unsigned boot_memory_map(const struct ram *ram, struct boot_range *out)
{
	unsigned n = 0;
	out[n++] = (struct boot_range){0, MIN(LOW_END, ram->low_bytes), BOOT_E820_RAM};
	out[n++] = (struct boot_range){LOW_END, 0xa0000 - LOW_END, BOOT_E820_RESERVED};
	out[n++] = (struct boot_range){0xf0000, 0x10000, BOOT_E820_RESERVED};
	if (ram->low_bytes > HOLE_END)
		out[n++] = (struct boot_range){HOLE_END, ram->low_bytes - HOLE_END, BOOT_E820_RAM};
	if (ram->size_bytes > ram->low_bytes)
		out[n++] = (struct boot_range){RAM_HIGH_BASE, ram->size_bytes - ram->low_bytes,
					       BOOT_E820_RAM};
	return n;
}

int boot_fail(struct loader *l, int code, const char *fmt, ...)
{
	char text[480];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(l->e, code, "%s: %s", l->req->name, text);
}

static bool overlaps(u64 a, u64 a_end, u64 b, u64 b_end)
{
	return a < b_end && b < a_end;
}

/* The end of the first used range that [start, end) meets, or 0. */
static u64 conflict(const struct loader *l, u64 start, u64 end, u64 *conflict_start)
{
	for (unsigned i = 0; i < l->used_count; i++)
		if (overlaps(start, end, l->used[i].start, l->used[i].end)) {
			*conflict_start = l->used[i].start;
			return l->used[i].end;
		}
	return 0;
}

static int use(struct loader *l, u64 start, u64 n)
{
	if (l->used_count == BOOT_USED_MAX)
		return boot_fail(l, -E2BIG, "more than %d pieces to place in memory",
				 BOOT_USED_MAX);
	l->used[l->used_count].start = start;
	l->used[l->used_count++].end = start + n;
	return 0;
}

int boot_claim(struct loader *l, u64 gpa, u64 n, const char *what, u8 **host)
{
	u64 c_start, c_end;
	*host = NULL;
	if (!n)
		return 0;
	*host = ram_at(l->ram, gpa, n);
	if (!*host)
		return boot_fail(l, -E2BIG,
				 "%s wants 0x%llx bytes at 0x%llx, but RAM ends at 0x%llx (use -m)",
				 what, (unsigned long long)n, (unsigned long long)gpa,
				 (unsigned long long)l->ram->low_bytes);
	if (overlaps(gpa, gpa + n, 0xa0000, HOLE_END))
		return boot_fail(l, -ENOEXEC,
				 "%s (0x%llx bytes at 0x%llx) lies over the video memory and ROM "
				 "at 0xA0000-0xFFFFF",
				 what, (unsigned long long)n, (unsigned long long)gpa);
	c_end = conflict(l, gpa, gpa + n, &c_start);
	if (c_end)
		return boot_fail(l, -ENOEXEC,
				 "%s at 0x%llx overlaps what was loaded at 0x%llx-0x%llx", what,
				 (unsigned long long)gpa, (unsigned long long)c_start,
				 (unsigned long long)c_end);
	return use(l, gpa, n);
}

/* Lowest free place in [min, max), which is one piece of RAM. Returns max when there is none. */
static u64 find_lowest(const struct loader *l, u64 n, u64 align, u64 min, u64 max)
{
	u64 at = (min + align - 1) & ~(align - 1), c_start, c_end;
	while (at < max && n <= max - at) {
		c_end = conflict(l, at, at + n, &c_start);
		if (!c_end)
			return at;
		at = (c_end + align - 1) & ~(align - 1);
	}
	return max;
}

static u64 find_highest(const struct loader *l, u64 n, u64 align, u64 min, u64 max)
{
	u64 end = max, c_start;
	while (end > min && n <= end - min) {
		u64 at = (end - n) & ~(align - 1);
		if (at < min)
			break;
		if (!conflict(l, at, at + n, &c_start))
			return at;
		end = c_start;
	}
	return max;
}

int boot_place(struct loader *l, u64 n, u64 align, u64 min, u64 max, enum boot_where where,
	       const char *what, u64 *gpa, u8 **host)
{
	const u64 spans[2][2] = {{HOLE_END, l->ram->low_bytes}, {0, LOW_END}};
	n += !n;
	for (unsigned i = 0; i < 2; i++) {
		u64 lo = MAX(spans[i][0], min), hi = MIN(spans[i][1], max);
		if (lo >= hi)
			continue;
		u64 at = where == BOOT_LOWEST ? find_lowest(l, n, align, lo, hi)
					      : find_highest(l, n, align, lo, hi);
		if (at == hi || !ram_at(l->ram, at, n))
			continue;
		*gpa = at;
		*host = ram_at(l->ram, at, n);
		return use(l, at, n);
	}
	return boot_fail(
	    l, -E2BIG,
	    "no room for %s (0x%llx bytes between 0x%llx and 0x%llx) in %llu MiB of RAM (use -m)",
	    what, (unsigned long long)n, (unsigned long long)min, (unsigned long long)max,
	    (unsigned long long)(l->ram->size_bytes >> 20));
}

int boot_place_info(struct loader *l, u64 n, const char *what, u64 *gpa, u8 **host)
{
	u64 at = find_lowest(l, n, 16, INFO_MIN, MIN(LOW_END, l->ram->low_bytes));
	if (at < LOW_END && ram_at(l->ram, at, n)) {
		*gpa = at;
		*host = ram_at(l->ram, at, n);
		return use(l, at, n);
	}
	return boot_place(l, n, 16, HOLE_END, RAM_LOW_MAX, BOOT_HIGHEST, what, gpa, host);
}

int boot_place_text(struct loader *l, const char *text, const char *what, u64 *gpa)
{
	u8 *host;
	u64 n = strlen(text) + 1;
	int r = boot_place_info(l, n, what, gpa, &host);
	if (!r)
		memcpy(host, text, n);
	return r;
}

int boot_place_modules(struct loader *l, u64 *at)
{
	u64 from = HOLE_END;
	for (unsigned i = 0; i < l->used_count; i++)
		from =
		    MAX(from,
			l->used[i].end); /* above the kernel, in order: what GRUB's users expect */
	for (unsigned i = 0; i < l->req->module_count; i++) {
		const struct boot_bytes *b = &l->req->modules[i].bytes;
		u8 *host;
		int r = boot_place(l, b->size, PAGE, from, RAM_LOW_MAX, BOOT_LOWEST, "a module",
				   &at[i], &host);
		if (r)
			return r;
		if (b->size)
			memcpy(host, b->data, b->size);
		from = at[i] + b->size;
	}
	return 0;
}

/* Flat 4-GiB code and data at 10h and 18h (Linux's __BOOT_CS and __BOOT_DS; Multiboot leaves the
 * numbers open). */
int boot_flat_segments(struct loader *l, struct boot_entry *entry)
{
	static const u64 gdt[4] = {0, 0, 0x00cf9b000000ffffull, 0x00cf93000000ffffull};
	u8 *host;
	int r = boot_place_info(l, sizeof(gdt), "the GDT", &entry->gdt_base, &host);
	if (r)
		return r;
	memcpy(host, gdt, sizeof(gdt));
	entry->mode = BOOT_PROT32;
	entry->gdt_limit = sizeof(gdt) - 1;
	entry->cs = 0x10;
	entry->ds = 0x18;
	return 0;
}

int boot_load(enum boot_kind kind, const struct boot_request *req, struct ram *ram,
	      struct boot_entry *entry, struct errtext *e)
{
	struct loader l = {.req = req, .ram = ram, .e = e};
	memset(entry, 0, sizeof(*entry));
	if (req->module_count > BOOT_MODULES_MAX)
		return boot_fail(&l, -E2BIG, "more than %d modules", BOOT_MODULES_MAX);
	return kinds[kind].load(&l, entry);
}
