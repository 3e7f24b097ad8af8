/* Power-on, step by step. */
#include "bios/post/post.h"

static void banner(void)
{
	u32 brand[12] = {0}, r[4];
	cpu_leaf(0x80000000, r);
	for (u32 i = 0; r[0] >= 0x80000004 && i < 3; i++)
		cpu_leaf(0x80000002 + i, brand + 4 * i);
	((u8 *)brand)[47] = 0;
	const char *text = (const char *)brand;
	while (*text == ' ')
		text++;
	u32 low = RT(memory_below_4g) >> 20, high = RT(memory_above_4g_64k) >> 4;
	print("Orrery BIOS\n\n");
	if (*text)
		print("  %s", text);
	else
		print("  Processor");
	if (RT(ap_count))
		print(", %u processors", RT(ap_count) + 1);
	print("\n  %u MiB of memory\n", low + high + (RT(memory_below_4g) & 0xfffff ? 1 : 0));
}

void post_main(void)
{
	memory_shadow();
	debug("Orrery BIOS\n");
	RT(stack_next) = RT_STACK_TOP;
	data_areas();
	chips();
	memory_size();
	pci_setup();
	cpu_setup();
	smm_setup();
	ioapic_setup();
	tables();
	resume_prepare();
	pmm_open();
	video_rom();
	keyboard_setup();
	memory_map();
	banner();
	drives_setup();
	other_roms();
	pmm_close();
	memory_map();
	memory_protect();
	boot();
}
