/*
 * Multiboot2 Specification 2.0: ELF images and the address tag, entry address tag, modules, memory
 * map, ACPI. Not modelled: framebuffers (a required framebuffer tag is refused), EFI entries,
 * relocation.
 */
#include "machine/boot_internal.h"

#define MB2_MAGIC  0xe85250d6u
#define MB2_EAX    0x36d76289u
#define MB2_SEARCH 32768u

enum {
	HT_END,
	HT_INFO_REQUEST,
	HT_ADDRESS,
	HT_ENTRY,
	HT_CONSOLE,
	HT_FRAMEBUFFER,
	HT_ALIGN,
	HT_EFI_BS,
	HT_EFI_ENTRY32,
	HT_EFI_ENTRY64,
	HT_RELOCATABLE
};
enum {
	IT_END,
	IT_CMDLINE,
	IT_LOADER,
	IT_MODULE,
	IT_MEMINFO,
	IT_MMAP = 6,
	IT_ACPI_OLD = 14,
	IT_ACPI_NEW
};

struct mb2 {
	u64 off, length;
	u64 address_tag; /* file offsets of tags, 0: absent */
	u64 entry_tag;
};

bool multiboot2_find(const struct boot_bytes *b, u64 *off)
{
	for (u64 i = 0; i + 16 <= MIN(b->size, MB2_SEARCH); i += 8) {
		const u8 *p = b->data + i;
		if (get32(p, 0) == MB2_MAGIC &&
		    get32(p, 0) + get32(p, 4) + get32(p, 8) + get32(p, 12) == 0) {
			*off = i;
			return true;
		}
	}
	return false;
}

/* NULL, or what is asked for that cannot be given. */
static const char *tag_refused(u16 type, bool optional, const u8 *tag, u32 size)
{
	if (optional)
		return NULL;
	switch (type) {
	case HT_INFO_REQUEST:
		for (u32 i = 8; i + 4 <= size; i += 4) {
			u32 want = get32(tag, i);
			if (want > IT_MMAP && want != IT_ACPI_OLD && want != IT_ACPI_NEW)
				return "it requires information this loader does not have";
		}
		return NULL;
	case HT_ADDRESS: return size < 24 ? "its address tag is too short" : NULL;
	case HT_ENTRY: return size < 12 ? "its entry address tag is too short" : NULL;
	case HT_FRAMEBUFFER: return "it requires a framebuffer";
	case HT_CONSOLE:
	case HT_ALIGN:
	case HT_EFI_BS:
	case HT_EFI_ENTRY32:
	case HT_EFI_ENTRY64:
	case HT_RELOCATABLE: return NULL;
	default: return "it has a required header tag of unknown type";
	}
}

static int parse(struct loader *l, struct mb2 *m)
{
	const struct boot_bytes *b = &l->req->kernel;
	const u8 *p;
	if (!multiboot2_find(b, &m->off))
		return boot_fail(l, -ENOEXEC, "no Multiboot 2 header");
	p = b->data + m->off;
	m->length = get32(p, 8);
	if (get32(p, 4) != 0)
		return boot_fail(l, -ENOEXEC,
				 "the Multiboot 2 header is for architecture %u, not i386",
				 get32(p, 4));
	if (m->length < 16 || !inside(b, m->off, m->length))
		return boot_fail(l, -ENOEXEC, "the Multiboot 2 header lies outside the file");
	for (u64 i = 16; i + 8 <= m->length;) {
		u16 type = get16(p, i);
		u32 size = get32(p, i + 4);
		if (type == HT_END)
			return 0;
		if (size < 8 || size > m->length - i)
			return boot_fail(l, -ENOEXEC, "Multiboot 2 header tag %u has a bad size %u",
					 type, size);
		const char *no = tag_refused(type, get16(p, i + 2) & 1, p + i, size);
		if (no)
			return boot_fail(l, -ENOEXEC,
					 "cannot satisfy the Multiboot 2 header: %s (tag %u)", no,
					 type);
		if (type == HT_ADDRESS && size >= 24)
			m->address_tag = m->off + i;
		if (type == HT_ENTRY && size >= 12)
			m->entry_tag = m->off + i;
		i += (size + 7ull) & ~7ull;
	}
	return boot_fail(l, -ENOEXEC, "the Multiboot 2 header has no end tag");
}

static int load_flat(struct loader *l, const struct mb2 *m)
{
	const struct boot_bytes *b = &l->req->kernel;
	const u8 *t = b->data + m->address_tag;
	u64 header_addr = get32(t, 8), load = get32(t, 12), load_end = get32(t, 16),
	    bss_end = get32(t, 20);
	u8 *host;
	u64 from = m->off - (header_addr - load);
	if (load == 0xffffffff) { /* -1: from the beginning of the file */
		from = 0;
		load = header_addr - m->off;
	}
	if (load > header_addr || header_addr - load > m->off)
		return boot_fail(l, -ENOEXEC, "Multiboot 2 load_addr does not fit header_addr");
	u64 n = load_end ? load_end - load : b->size - from;
	if ((load_end && load_end < load) || !inside(b, from, n))
		return boot_fail(l, -ENOEXEC,
				 "Multiboot 2 load_end_addr lies outside the file (truncated?)");
	if (bss_end && bss_end < load + n)
		return boot_fail(l, -ENOEXEC,
				 "Multiboot 2 bss_end_addr lies below the end of the data");
	u64 total = bss_end ? bss_end - load : n;
	int r = boot_claim(l, load, total, "the Multiboot 2 image", &host);
	if (r || !host)
		return r;
	memcpy(host, b->data + from, n);
	memset(host + n, 0, total - n);
	return 0;
}

/* Builds the information into a buffer first: its length decides its place. */
struct info {
	u8 *p;
	u64 n, max;
};

static u8 *tag_add(struct info *in, u32 type, u64 payload)
{
	u64 size = 8 + payload, room = (size + 7) & ~7ull;
	if (room > in->max - in->n)
		return NULL;
	u8 *t = in->p + in->n;
	memset(t, 0, room);
	put32(t, 0, type);
	put32(t, 4, (u32)size);
	in->n += room;
	return t;
}

static bool tag_text(struct info *in, u32 type, u64 before, const char *text, u8 **tag)
{
	*tag = tag_add(in, type, before + strlen(text) + 1);
	if (*tag)
		memcpy(*tag + 8 + before, text, strlen(text) + 1);
	return *tag != NULL;
}

static bool tag_memory(struct info *in, const struct ram *ram)
{
	struct boot_range map[BOOT_RANGES_MAX];
	unsigned n = boot_memory_map(ram, map);
	u8 *t = tag_add(in, IT_MEMINFO, 8);
	if (!t)
		return false;
	put32(t, 8, 639);
	put32(t, 12, (u32)((ram->low_bytes - MIN(ram->low_bytes, 0x100000ull)) >> 10));
	t = tag_add(in, IT_MMAP, 8 + n * 24ull);
	if (!t)
		return false;
	put32(t, 8, 24);
	for (unsigned i = 0; i < n; i++) {
		put64(t, 16 + i * 24, map[i].base);
		put64(t, 24 + i * 24, map[i].size);
		put32(t, 32 + i * 24, map[i].type);
	}
	return true;
}

static bool tag_acpi(struct info *in, const struct ram *ram, u64 rsdp)
{
	const u8 *p = rsdp ? ram_at(ram, rsdp, 36) : NULL;
	u8 *t;
	if (!p)
		return true;
	t = tag_add(in, p[15] >= 2 ? IT_ACPI_NEW : IT_ACPI_OLD, p[15] >= 2 ? 36 : 20);
	if (t)
		memcpy(t + 8, p, p[15] >= 2 ? 36 : 20);
	return t != NULL;
}

static bool build_info(struct loader *l, const u64 *module_at, struct info *in)
{
	u8 *t;
	in->n = 8;
	if (!tag_text(in, IT_CMDLINE, 0, l->req->cmdline, &t) ||
	    !tag_text(in, IT_LOADER, 0, "Orrery", &t) || !tag_memory(in, l->ram) ||
	    !tag_acpi(in, l->ram, l->req->rsdp))
		return false;
	for (unsigned i = 0; i < l->req->module_count; i++) {
		const struct boot_module *m = &l->req->modules[i];
		if (!tag_text(in, IT_MODULE, 8, m->cmdline, &t))
			return false;
		put32(t, 8, (u32)module_at[i]);
		put32(t, 12, (u32)(module_at[i] + m->bytes.size));
	}
	if (!tag_add(in, IT_END, 0))
		return false;
	put32(in->p, 0, (u32)in->n);
	put32(in->p, 4, 0);
	return true;
}

int multiboot2_load(struct loader *l, struct boot_entry *entry)
{
	struct mb2 m = {0};
	u64 at = 0, info_at, module_at[BOOT_MODULES_MAX];
	u8 buf[16384], *host;
	struct info in = {.p = buf, .max = sizeof(buf)};
	int r = parse(l, &m);
	if (r || (r = m.address_tag ? load_flat(l, &m) : elf_load(l, &at)))
		return r;
	if (m.entry_tag)
		at = get32(l->req->kernel.data, m.entry_tag + 8);
	if (!at || !ram_at(l->ram, at, 1))
		return boot_fail(l, -ENOEXEC, "the Multiboot 2 entry address 0x%llx is not in RAM",
				 (unsigned long long)at);
	if ((r = boot_place_modules(l, module_at)))
		return r;
	if (!build_info(l, module_at, &in))
		return boot_fail(l, -E2BIG, "the Multiboot 2 information exceeds %zu bytes",
				 sizeof(buf));
	if ((r = boot_place_info(l, in.n, "the Multiboot 2 information", &info_at, &host)) ||
	    (r = boot_flat_segments(l, entry)))
		return r;
	memcpy(host, buf, in.n);
	entry->eip = (u32)at;
	entry->eax = MB2_EAX;
	entry->ebx = (u32)info_at;
	return 0;
}
