/* Direct boot: what good images lead to, and that every kind of bad one is refused with its reason.
 */
#include <check.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "machine/boot.h"

#define RAM_BYTES (64ull << 20)

static struct ram ram;
static u8 image[256 * 1024];
static struct errtext e;
static struct boot_entry entry;
static struct boot_request req;
static struct boot_module module[2];

static void put16(u64 at, u16 v)
{
	memcpy(image + at, &v, 2);
}

static void put32(u64 at, u32 v)
{
	memcpy(image + at, &v, 4);
}

static void put64(u64 at, u64 v)
{
	memcpy(image + at, &v, 8);
}

static u32 ram32(u64 gpa)
{
	u32 v = 0;
	u8 *p = ram_at(&ram, gpa, 4);
	ck_assert_ptr_nonnull(p);
	memcpy(&v, p, 4);
	return v;
}

static void setup(void)
{
	ck_assert_int_eq(ram_init(&ram, RAM_BYTES), 0);
	memset(image, 0, sizeof(image));
	memset(&e, 0, sizeof(e));
	req = (struct boot_request){
	    .name = "k", .kernel = {image, 8192}, .cmdline = "a b", .rsdp = 0xf0000};
}

static void teardown(void)
{
	ram_free(&ram);
}

static int load(void)
{
	enum boot_kind kind;
	int r = boot_probe(&req.kernel, req.name, &kind, &e);
	return r ? r : boot_load(kind, &req, &ram, &entry, &e);
}

static void refused(const char *words)
{
	ck_assert_msg(load() < 0, "accepted, expected: %s", words);
	ck_assert_msg(strstr(e.s, words) != NULL, "said \"%s\", expected \"%s\"", e.s, words);
	ck_assert_msg(!strncmp(e.s, "k: ", 3), "no file name in \"%s\"", e.s);
}

/* ---- images --------------------------------------------------------------------------------- */

static void make_linux(void)
{
	image[0x1f1] = 3;
	put32(0x1f4, 0x1000 / 16);
	put16(0x1fe, 0xaa55);
	image[0x200] = 0xeb;
	image[0x201] = 0x6a;
	put32(0x202, 0x53726448);
	put16(0x206, 0x20f);
	image[0x211] = 1;
	put32(0x214, 0x100000);
	put32(0x22c, 0x7fffffff);
	put32(0x238, 2047);
	put64(0x258, 0x1000000);
	put32(0x260, 0x200000);
	req.kernel.size = 4 * 512 + 0x1000;
	memset(image + 4 * 512, 0x90, 0x1000);
}

static void make_multiboot(u32 flags)
{
	put32(0x40, 0x1badb002);
	put32(0x44, flags);
	put32(0x48, -(0x1badb002 + flags));
	put32(0x4c, 0x200040); /* header_addr */
	put32(0x50, 0x200000); /* load_addr */
	put32(0x54, 0x201000); /* load_end_addr */
	put32(0x58, 0x203000); /* bss_end_addr */
	put32(0x5c, 0x200100); /* entry_addr */
}

static void make_elf32(u32 paddr, u32 vaddr, u32 entry_va)
{
	memcpy(image, "\177ELF\1\1\1", 7);
	put16(16, 2);
	put16(18, 3);
	put32(24, entry_va);
	put32(28, 52);
	put16(42, 32);
	put16(44, 1);
	put32(52, 1);
	put32(56, 0x1000);
	put32(60, vaddr);
	put32(64, paddr);
	put32(68, 0x800);
	put32(72, 0x2000);
}

static void make_elf64_pvh(u32 pvh_entry)
{
	memcpy(image, "\177ELF\2\1\1", 7);
	put16(16, 2);
	put16(18, 62);
	put64(24, 0xffffffff81000000);
	put64(32, 64);
	put16(54, 56);
	put16(56, 2);
	put32(64, 1);
	put64(72, 0x1000);
	put64(80, 0xffffffff81000000);
	put64(88, 0x1000000);
	put64(96, 0x800);
	put64(104, 0x1000);
	put32(120, 4);
	put64(128, 0x400);
	put64(152, 20);
	put64(160, 20);
	put32(0x400, 4);
	put32(0x404, 4);
	put32(0x408, 18);
	memcpy(image + 0x40c, "Xen", 4);
	put32(0x410, pvh_entry);
}

static void make_multiboot2(void)
{
	make_elf32(0x100000, 0x100000, 0x100010);
	put32(0x100, 0xe85250d6);
	put32(0x108, 24);
	put32(0x10c, -(0xe85250d6 + 24));
	put32(0x114, 8); /* end tag */
}

static void mb2_header(u32 length)
{
	put32(0x108, length);
	put32(0x10c, -(0xe85250d6 + length));
}

/* ---- good ones ------------------------------------------------------------------------------ */

START_TEST(linux_enters_at_code32_start_with_boot_params)
{
	static const u8 initrd[5000] = {1, 2, 3};
	make_linux();
	module[0] = (struct boot_module){{initrd, sizeof(initrd)}, ""};
	req.modules = module;
	req.module_count = 1;
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_int_eq(entry.mode, BOOT_PROT32);
	ck_assert_uint_eq(entry.eip, 0x100000);
	ck_assert_uint_eq(entry.cs, 0x10);
	ck_assert_uint_eq(entry.ds, 0x18);
	ck_assert_uint_eq(ram32(0x100000), 0x90909090);
	u32 bp = entry.esi;
	ck_assert_uint_eq(ram32(bp + 0x202), 0x53726448);
	ck_assert_str_eq((char *)ram_at(&ram, ram32(bp + 0x228), 4), "a b");
	ck_assert_uint_eq(ram32(bp + 0x070), 0xf0000);
	ck_assert_uint_eq(*ram_at(&ram, bp + 0x1e8, 1), 4);
	ck_assert_uint_eq(*ram_at(&ram, bp + 0x210, 1), 0xff);
	u32 at = ram32(bp + 0x218);
	ck_assert_uint_eq(ram32(bp + 0x21c), sizeof(initrd));
	ck_assert_uint_eq(at & 4095, 0);
	ck_assert_msg(at >= 0x1200000, "initrd at %x lies where the kernel unpacks itself", at);
	ck_assert_mem_eq(ram_at(&ram, at, sizeof(initrd)), initrd, sizeof(initrd));
}
END_TEST

START_TEST(linux_initrd_stays_below_initrd_addr_max)
{
	static const u8 initrd[4096];
	make_linux();
	put32(0x22c, 0x1ffffff);
	module[0] = (struct boot_module){{initrd, sizeof(initrd)}, ""};
	req.modules = module;
	req.module_count = 1;
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(ram32(entry.esi + 0x218), 0x1fff000);
}
END_TEST

START_TEST(linux_learns_of_the_frame_buffer)
{
	make_linux();
	req.text_display = true;
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(*ram_at(&ram, entry.esi + 0x0f, 1), 1); /* VIDEO_TYPE_VGAC */
	make_linux();
	req.text_display = true;
	req.picture = (struct boot_picture){1024, 768, 32, 4096, 0xe0000000u, 16 << 20};
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(*ram_at(&ram, entry.esi + 0x0f, 1), 0x23); /* VIDEO_TYPE_VLFB */
	ck_assert_uint_eq(ram32(entry.esi + 0x12), 768u << 16 | 1024);
	ck_assert_uint_eq(ram32(entry.esi + 0x18), 0xe0000000u);
	ck_assert_uint_eq(ram32(entry.esi + 0x1c), 256);
	ck_assert_uint_eq(ram32(entry.esi + 0x24) & 0xffff, 4096);
	ck_assert_uint_eq(ram32(entry.esi + 0x26), 0x08081008); /* red 8 bits at 16, green 8 bits at 8 */
	req.text_display = false;
	req.picture.w = 0;
}
END_TEST

START_TEST(zimage_enters_in_real_mode)
{
	make_linux();
	image[0x211] = 0;
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_int_eq(entry.mode, BOOT_REAL16);
	ck_assert_uint_eq(entry.real_cs, 0x9020);
	ck_assert_uint_eq(entry.real_ds, 0x9000);
	ck_assert_uint_eq(ram32(0x10000), 0x90909090);
}
END_TEST

START_TEST(multiboot_address_fields)
{
	make_multiboot(0x10003);
	image[0xfff] = 0xaa;
	memset(ram_at(&ram, 0x201000, 0x2000), 0xff, 0x2000);
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(entry.eip, 0x200100);
	ck_assert_uint_eq(entry.eax, 0x2badb002);
	ck_assert_uint_eq(*ram_at(&ram, 0x200fff, 1), 0xaa);
	ck_assert_uint_eq(ram32(0x201000), 0); /* bss is cleared */
	ck_assert_uint_eq(ram32(entry.ebx) & 0x4d, 0x4d);
	ck_assert_str_eq((char *)ram_at(&ram, ram32(entry.ebx + 16), 6), "k a b");
	ck_assert_uint_eq(ram32(entry.ebx + 4), 639);
	ck_assert_uint_eq(ram32(entry.ebx + 8), (RAM_BYTES >> 10) - 1024);
	u32 mmap = ram32(entry.ebx + 48);
	ck_assert_uint_eq(ram32(mmap), 20);
	ck_assert_uint_eq(ram32(mmap + 12), 0x9fc00);
}
END_TEST

START_TEST(multiboot_elf_with_modules)
{
	make_elf32(0x400000, 0xc0400000, 0xc0400010);
	put32(0x100, 0x1badb002);
	put32(0x104, 3);
	put32(0x108, -(0x1badb002 + 3));
	image[0x1010] = 0x77;
	module[0] = (struct boot_module){{(const u8 *)"one", 3}, "m0 x"};
	module[1] = (struct boot_module){{(const u8 *)"two", 3}, "m1"};
	req.modules = module;
	req.module_count = 2;
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(entry.eip, 0x400010); /* the virtual entry, translated */
	ck_assert_uint_eq(*ram_at(&ram, entry.eip, 1), 0x77);
	ck_assert_uint_eq(ram32(entry.ebx + 20), 2);
	u32 list = ram32(entry.ebx + 24);
	ck_assert_mem_eq(ram_at(&ram, ram32(list + 16), 3), "two", 3);
	ck_assert_uint_eq(ram32(list + 20) - ram32(list + 16), 3);
	ck_assert_str_eq((char *)ram_at(&ram, ram32(list + 8), 4), "m0 x");
	ck_assert_uint_ge(ram32(list), 0x402000);
}
END_TEST

START_TEST(multiboot2_elf)
{
	make_multiboot2();
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(entry.eip, 0x100010);
	ck_assert_uint_eq(entry.eax, 0x36d76289);
	ck_assert_uint_eq(entry.ebx & 7, 0);
	ck_assert_uint_eq(ram32(entry.ebx + 8), 1); /* command line first */
	u32 total = ram32(entry.ebx);
	ck_assert_uint_eq(ram32(entry.ebx + total - 8), 0); /* end tag last */
}
END_TEST

START_TEST(pvh_enters_at_the_note)
{
	make_elf64_pvh(0x1000040);
	ck_assert_msg(!load(), "%s", e.s);
	ck_assert_uint_eq(entry.eip, 0x1000040);
	ck_assert_uint_eq(ram32(entry.ebx), 0x336ec578);
	ck_assert_uint_eq(ram32(entry.ebx + 32), 0xf0000);
	ck_assert_uint_eq(ram32(entry.ebx + 48), 4);
}
END_TEST

START_TEST(memory_map_has_a_part_above_4g)
{
	struct ram big;
	struct boot_range map[BOOT_RANGES_MAX];
	ck_assert_int_eq(ram_init(&big, 5ull << 30), 0);
	unsigned n = boot_memory_map(&big, map);
	ck_assert_uint_eq(n, 5);
	ck_assert_uint_eq(map[3].base + map[3].size, 0xc0000000);
	ck_assert_uint_eq(map[4].base, 0x100000000);
	ck_assert_uint_eq(map[4].size, 2ull << 30);
	ck_assert_ptr_nonnull(ram_at(&big, 0x17ffffff0, 16));
	ck_assert_ptr_null(ram_at(&big, 0x17ffffff0, 17));
	ck_assert_ptr_null(ram_at(&big, 0xc0000000, 1));
	ck_assert_ptr_null(ram_at(&big, 0xbfffffff, 2));
	ck_assert_ptr_null(ram_at(&big, ~0ull, 2));
	ram_free(&big);
}
END_TEST

/* ---- bad ones ------------------------------------------------------------------------------- */

START_TEST(nothing_recognised_names_every_header)
{
	refused("no bzImage header");
	refused("Multiboot 1 header");
	refused("Multiboot 2 header");
	refused("PVH note");
	req.kernel.size = 0;
	refused("the file is empty");
	memcpy(image, "\177ELF", 4);
	req.kernel.size = 4;
	refused("it is an ELF file");
}
END_TEST

struct bad {
	void (*make)(void);
	const char *words;
};

static void l_flag(void)
{
	make_linux();
	put16(0x1fe, 0);
}
static void l_old(void)
{
	make_linux();
	put16(0x206, 0x1ff);
}
static void l_setup(void)
{
	make_linux();
	image[0x1f1] = 200;
}
static void l_short(void)
{
	make_linux();
	put32(0x1f4, 0x100000);
}
static void l_tiny(void)
{
	make_linux();
	req.kernel.size = 0x210;
}
static void l_cmdline(void)
{
	make_linux();
	put32(0x238, 2);
}
static void l_entry(void)
{
	make_linux();
	put32(0x214, 0xf0000000);
}
static void l_ram(void)
{
	make_linux();
	put32(0x260, 0x10000000);
}
static void l_modules(void)
{
	make_linux();
	module[0] = module[1] = (struct boot_module){{image, 1}, ""};
	req.modules = module;
	req.module_count = 2;
}
static void l_initrd(void)
{
	make_linux();
	module[0] = (struct boot_module){{image, RAM_BYTES}, ""};
	req.modules = module;
	req.module_count = 1;
}
static void m_flags(void)
{
	make_multiboot(0x10013);
}
static void m_load(void)
{
	make_multiboot(0x10003);
	put32(0x50, 0x200044);
}
static void m_before(void)
{
	make_multiboot(0x10003);
	put32(0x50, 0x1fffb0);
}
static void m_end(void)
{
	make_multiboot(0x10003);
	put32(0x54, 0x300000);
}
static void m_end_low(void)
{
	make_multiboot(0x10003);
	put32(0x54, 0x1fffff);
}
static void m_bss(void)
{
	make_multiboot(0x10003);
	put32(0x58, 0x200800);
}
static void m_entry(void)
{
	make_multiboot(0x10003);
	put32(0x5c, 0x70000000);
}
static void m_cut(void)
{
	make_multiboot(0x10003);
	req.kernel.size = 0x50;
}
static void m_hole(void)
{
	make_multiboot(0x10003);
	put32(0x4c, 0xa0040);
	put32(0x50, 0xa0000);
	put32(0x54, 0);
	put32(0x58, 0);
}
static void m_high(void)
{
	make_multiboot(0x10003);
	put32(0x4c, 0xfffff040);
	put32(0x50, 0xfffff000);
	put32(0x54, 0);
	put32(0x58, 0);
}
static void m_not_elf(void)
{
	make_multiboot(3);
}
static void elf_mb(void)
{
	make_elf32(0x400000, 0x400000, 0x400000);
	put32(0x100, 0x1badb002);
	put32(0x104, 3);
	put32(0x108, -(0x1badb002 + 3));
}
static void e_class(void)
{
	elf_mb();
	image[4] = 7;
}
static void e_big_endian(void)
{
	elf_mb();
	image[5] = 2;
}
static void e_machine(void)
{
	elf_mb();
	put16(18, 40);
}
static void e_phentsize(void)
{
	elf_mb();
	put16(42, 8);
}
static void e_phnum(void)
{
	elf_mb();
	put16(44, 0);
}
static void e_phoff(void)
{
	elf_mb();
	put32(28, 0xfffffff0);
}
static void e_segment(void)
{
	elf_mb();
	put32(56, 0xffffff00);
}
static void e_filesz(void)
{
	elf_mb();
	put32(72, 0x10);
}
static void e_noload(void)
{
	elf_mb();
	put32(52, 6);
}
static void e_ram(void)
{
	elf_mb();
	put32(64, 0xb0000000);
}
static void e_rom(void)
{
	elf_mb();
	put32(64, 0xff000);
}
static void e_entry(void)
{
	elf_mb();
	put32(24, 0x90000000);
}
static void e_overlap(void)
{
	elf_mb();
	put16(44, 2);
	memcpy(image + 84, image + 52, 32);
}
static void p_entry(void)
{
	make_elf64_pvh(0xfff00000);
}
static void b_arch(void)
{
	make_multiboot2();
	put32(0x104, 4);
	put32(0x10c, -(0xe85250d6 + 4 + 24));
}
static void b_length(void)
{
	make_multiboot2();
	mb2_header(0x100000);
}
static void b_noend(void)
{
	make_multiboot2();
	mb2_header(16);
}
static void b_tag_size(void)
{
	make_multiboot2();
	put16(0x110, 4);
	put32(0x114, 0x1000);
}
static void b_framebuffer(void)
{
	make_multiboot2();
	mb2_header(48);
	put16(0x110, 5);
	put32(0x114, 20);
	put32(0x12c, 8);
}
static void b_unknown(void)
{
	make_multiboot2();
	mb2_header(32);
	put16(0x110, 77);
	put32(0x11c, 8);
}
static void b_entry(void)
{
	make_multiboot2();
	mb2_header(40);
	put16(0x110, 3);
	put32(0x114, 12);
	put32(0x118, 0xe0000000);
	put32(0x124, 8);
}

static const struct bad bad[] = {
    {l_flag, "boot_flag"},
    {l_old, "older than 2.00"},
    {l_setup, "setup code"},
    {l_short, "truncated"},
    {l_tiny, "cut off"},
    {l_cmdline, "command line"},
    {l_entry, "code32_start"},
    {l_ram, "init_size"},
    {l_modules, "one initrd"},
    {l_initrd, "no room for the initrd"},
    {m_flags, "features this loader lacks"},
    {m_load, "load_addr"},
    {m_before, "load_addr"},
    {m_end, "load_end_addr"},
    {m_end_low, "load_end_addr"},
    {m_bss, "bss_end_addr"},
    {m_entry, "entry_addr"},
    {m_cut, "cut off"},
    {m_hole, "video memory"},
    {m_high, "RAM ends"},
    {m_not_elf, "not an ELF file"},
    {e_class, "ELF class"},
    {e_big_endian, "little-endian"},
    {e_machine, "not for x86"},
    {e_phentsize, "e_phentsize"},
    {e_phnum, "no program headers"},
    {e_phoff, "outside the file"},
    {e_segment, "outside the file"},
    {e_filesz, "p_filesz"},
    {e_noload, "nothing to load"},
    {e_ram, "RAM ends"},
    {e_rom, "video memory"},
    {e_entry, "entry point"},
    {e_overlap, "overlaps"},
    {p_entry, "PVH entry point"},
    {b_arch, "architecture"},
    {b_length, "outside the file"},
    {b_noend, "no end tag"},
    {b_tag_size, "bad size"},
    {b_framebuffer, "framebuffer"},
    {b_unknown, "unknown type"},
    {b_entry, "entry address"},
};

START_TEST(bad_image_is_refused_with_its_reason)
{
	bad[_i].make();
	refused(bad[_i].words);
}
END_TEST

/* No header, however cut, reads outside the bytes given (run under ASan) or crashes. */
START_TEST(truncation_at_every_length_is_harmless)
{
	static void (*const makes[])(void) = {make_linux, elf_mb, make_multiboot2};
	makes[_i]();
	u64 full = req.kernel.size;
	for (u64 n = 0; n < full; n += 1 + n / 64) {
		u8 *copy = malloc(n ? n : 1);
		memcpy(copy, image, n);
		req.kernel = (struct boot_bytes){copy, n};
		(void)!load();
		free(copy);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("boot");
	TCase *good = tcase_create("good"), *refuse = tcase_create("bad");
	tcase_add_checked_fixture(good, setup, teardown);
	tcase_add_checked_fixture(refuse, setup, teardown);
	tcase_add_test(good, linux_enters_at_code32_start_with_boot_params);
	tcase_add_test(good, linux_initrd_stays_below_initrd_addr_max);
	tcase_add_test(good, linux_learns_of_the_frame_buffer);
	tcase_add_test(good, zimage_enters_in_real_mode);
	tcase_add_test(good, multiboot_address_fields);
	tcase_add_test(good, multiboot_elf_with_modules);
	tcase_add_test(good, multiboot2_elf);
	tcase_add_test(good, pvh_enters_at_the_note);
	tcase_add_test(good, memory_map_has_a_part_above_4g);
	tcase_add_test(refuse, nothing_recognised_names_every_header);
	tcase_add_loop_test(refuse, bad_image_is_refused_with_its_reason, 0, ARRAY_SIZE(bad));
	tcase_add_loop_test(refuse, truncation_at_every_length_is_harmless, 0, 3);
	suite_add_tcase(s, good);
	suite_add_tcase(s, refuse);
	return run_suite(s);
}
