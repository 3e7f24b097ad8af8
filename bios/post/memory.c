/* Shadow RAM (82441FX PAM registers), how much memory there is, and the map of INT 15h E820h. */
#include "bios/post/post.h"

extern u8 rt_data_lma[], rt_data_end[], rt_bss_end[], text16_end[];

#define PAM0 0x59
#define PAGE 4096u

static u32 top_of_low, low_total;
static u32 fseg_next;

static bool is_i440fx(void)
{
	return pci_read32(0, 0) == 0x12378086;
}

void memory_shadow(void)
{
	if (is_i440fx()) {
		pci_write8(0, PAM0, 0x30);
		for (u8 reg = PAM0 + 1; reg < PAM0 + 7; reg++)
			pci_write8(0, reg, 0x33);
	}
	memset(PTR(OPTION_ROMS), 0, 0x30000);
	memcpy(PTR(0xf0000), PTR(0xffff0000), 0x10000);
	u32 n = (u32)rt_data_end;
	memcpy(PTR(RT_BASE), rt_data_lma, n);
	memset(PTR(RT_BASE + n), 0, RT_DATA_SIZE - n);
	fseg_next = 0xf0000 + (u32)text16_end;
}

void memory_protect(void)
{
	if (!is_i440fx())
		return;
	pci_write8(0, PAM0, 0x10);
	for (u8 reg = PAM0 + 1; reg < PAM0 + 6; reg++)
		pci_write8(0, reg, 0x11);
	pci_write8(0, PAM0 + 6, 0x31); /* E8000h, and EC000h: the run time's data */
}

static u16 cmos16(u8 at)
{
	return (u16)(cmos_read(at) | cmos_read(at + 1) << 8);
}

void memory_size(void)
{
	u32 above_16m = cmos16(0x34), above_1m = cmos16(0x30);
	low_total = above_16m ? 0x1000000 + (above_16m << 16) : 0x100000 + (above_1m << 10);
	top_of_low = low_total & ~(PAGE - 1);
	RT(memory_above_4g_64k) = cmos16(0x5b) | (u32)cmos_read(0x5d) << 16;
}

u32 memory_reserve(u32 bytes)
{
	if (!bytes)
		return top_of_low;
	if (top_of_low < 0x200000 || bytes > top_of_low - 0x200000)
		return 0;
	bytes = (bytes + PAGE - 1) & ~(PAGE - 1); /* top_of_low is a page's start, and so is the least */
	top_of_low -= bytes;
	memset(PTR(top_of_low), 0, bytes);
	return top_of_low;
}

u32 fseg_alloc(u32 bytes, u32 align)
{
	u32 at = (fseg_next + align - 1) & ~(align - 1);
	if (at > 0xfe000 || bytes > 0xfe000 - at)
		return 0;
	fseg_next = at + bytes;
	memset(PTR(at), 0, bytes);
	return at;
}

static void add(u64 base, u64 end, u32 type)
{
	u32 n = RT(e820_count);
	if (base >= end || n == MAX_E820)
		return;
	struct e820_entry *e = &RTA(e820_map)[n];
	e->base = base;
	e->size = end - base;
	e->type = type;
	RT(e820_count) = n + 1;
}

void memory_map(void)
{
	RT(memory_below_4g) = top_of_low;
	RT(e820_count) = 0;
	u32 base_end = MEM16(0x413) * 1024u;
	add(0, base_end, 1);
	add(base_end, 0xa0000, 2);
	add(0xe0000, 0x100000, 2);
	add(0x100000, top_of_low, 1);
	add(top_of_low, low_total, 2);
	add(0xfec00000, 0xfec01000, 2);
	add(0xfee00000, 0xfee01000, 2);
	add(0xfffc0000, 0x100000000ull, 2);
	add(0x100000000ull, 0x100000000ull + ((u64)RT(memory_above_4g_64k) << 16), 1);
}
