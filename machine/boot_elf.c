/*
 * ELF images for direct boot (System V ABI, chapters 4 and 5): PT_LOAD segments of 32- and 64-bit
 * little-endian x86 executables at their physical addresses, and the Xen notes. Not modelled:
 * relocation, dynamic linking.
 */
#include "machine/boot_internal.h"

#define PT_LOAD   1
#define PT_NOTE   4
#define EM_386    3
#define EM_X86_64 62

struct elf {
	bool is64;
	u64 entry, phoff;
	u16 phnum, phentsize;
};

struct phdr {
	u32 type;
	u64 off, vaddr, paddr, filesz, memsz;
};

bool elf_is(const struct boot_bytes *b)
{
	return b->size >= 4 && !memcmp(b->data, "\177ELF", 4);
}

/* NULL, or what is wrong with the file header. */
static const char *elf_header(const struct boot_bytes *b, struct elf *elf)
{
	const u8 *p = b->data;
	if (!elf_is(b))
		return "not an ELF file (no \\177ELF magic)";
	if (b->size < 52)
		return "the ELF header is cut off";
	elf->is64 = p[4] == 2;
	if (p[4] != 1 && p[4] != 2)
		return "bad ELF class (neither 32 nor 64 bits)";
	if (elf->is64 && b->size < 64)
		return "the ELF64 header is cut off";
	if (p[5] != 1)
		return "the ELF file is not little-endian";
	if (get16(p, 18) != EM_386 && get16(p, 18) != EM_X86_64)
		return "the ELF file is not for x86 (e_machine is neither 3 nor 62)";
	elf->entry = elf->is64 ? get64(p, 24) : get32(p, 24);
	elf->phoff = elf->is64 ? get64(p, 32) : get32(p, 28);
	elf->phentsize = get16(p, elf->is64 ? 54 : 42);
	elf->phnum = get16(p, elf->is64 ? 56 : 44);
	if (elf->phentsize < (elf->is64 ? 56 : 32))
		return "ELF program headers are too small (e_phentsize)";
	if (!elf->phnum)
		return "the ELF file has no program headers (an object file, not linked?)";
	if (!inside(b, elf->phoff, (u64)elf->phnum * elf->phentsize))
		return "the ELF program headers lie outside the file";
	return NULL;
}

static void elf_phdr(const struct boot_bytes *b, const struct elf *elf, unsigned i, struct phdr *ph)
{
	const u8 *p = b->data + elf->phoff + (u64)i * elf->phentsize;
	ph->type = get32(p, 0);
	if (elf->is64) {
		ph->off = get64(p, 8);
		ph->vaddr = get64(p, 16);
		ph->paddr = get64(p, 24);
		ph->filesz = get64(p, 32);
		ph->memsz = get64(p, 40);
	} else {
		ph->off = get32(p, 4);
		ph->vaddr = get32(p, 8);
		ph->paddr = get32(p, 12);
		ph->filesz = get32(p, 16);
		ph->memsz = get32(p, 20);
	}
}

static int load_segment(struct loader *l, const struct phdr *ph, unsigned i)
{
	const struct boot_bytes *b = &l->req->kernel;
	u8 *host;
	if (!inside(b, ph->off, ph->filesz))
		return boot_fail(l, -ENOEXEC, "ELF segment %u lies outside the file (truncated?)",
				 i);
	if (ph->filesz > ph->memsz)
		return boot_fail(l, -ENOEXEC, "ELF segment %u: p_filesz is larger than p_memsz", i);
	int r = boot_claim(l, ph->paddr, ph->memsz, "an ELF segment", &host);
	if (r || !host)
		return r;
	memcpy(host, b->data + ph->off, ph->filesz);
	memset(host + ph->filesz, 0, ph->memsz - ph->filesz);
	return 0;
}

int elf_load(struct loader *l, u64 *entry)
{
	const struct boot_bytes *b = &l->req->kernel;
	struct elf elf;
	struct phdr ph;
	bool any = false, translated = false;
	const char *bad = elf_header(b, &elf);
	if (bad)
		return boot_fail(l, -ENOEXEC, "%s", bad);
	*entry = elf.entry;
	for (unsigned i = 0; i < elf.phnum; i++) {
		elf_phdr(b, &elf, i, &ph);
		if (ph.type != PT_LOAD || !ph.memsz)
			continue;
		int r = load_segment(l, &ph, i);
		if (r)
			return r;
		any = true;
		/* Kernels linked high give e_entry as a virtual address; the processor starts
		 * without paging. */
		if (!translated && elf.entry - ph.vaddr < ph.memsz) {
			*entry = elf.entry - ph.vaddr + ph.paddr;
			translated = true;
		}
	}
	if (!any)
		return boot_fail(l, -ENOEXEC,
				 "the ELF file has nothing to load (no PT_LOAD segment)");
	if (*entry >= RAM_HIGH_BASE || !ram_at(l->ram, *entry, 1))
		return boot_fail(l, -ENOEXEC, "the ELF entry point 0x%llx is not in RAM",
				 (unsigned long long)*entry);
	return 0;
}

static bool note_in(const struct boot_bytes *b, u64 off, u64 size, u32 type, u64 *value)
{
	u64 end = off + size;
	while (end - off >= 12) {
		const u8 *p = b->data + off;
		u64 name = (get32(p, 0) + 3ull) & ~3ull, desc = get32(p, 4);
		u64 desc_at = off + 12 + name;
		if (desc_at > end || desc > end - desc_at)
			return false;
		if (get32(p, 8) == type && get32(p, 0) == 4 && !memcmp(p + 12, "Xen", 4) &&
		    desc >= 4) {
			*value = desc >= 8 ? get64(b->data, desc_at) : get32(b->data, desc_at);
			return true;
		}
		off = desc_at + ((desc + 3) & ~3ull);
		if (off > end)
			return false;
	}
	return false;
}

bool elf_find_xen_note(const struct boot_bytes *b, u32 type, u64 *value)
{
	struct elf elf;
	struct phdr ph;
	if (elf_header(b, &elf))
		return false;
	for (unsigned i = 0; i < elf.phnum; i++) {
		elf_phdr(b, &elf, i, &ph);
		if (ph.type == PT_NOTE && inside(b, ph.off, ph.filesz) &&
		    note_in(b, ph.off, ph.filesz, type, value))
			return true;
	}
	return false;
}
