/* Power-on, step by step. */
#include "bios/post/post.h"

static void banner(void)
{
	u32 brand[12] = {0}, a, b, c, d;
	__asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0x80000000), "c"(0));
	for (u32 i = 0; a >= 0x80000004 && i < 3; i++)
		__asm__ volatile("cpuid"
				 : "=a"(brand[4 * i]), "=b"(brand[4 * i + 1]),
				   "=c"(brand[4 * i + 2]), "=d"(brand[4 * i + 3])
				 : "a"(0x80000002 + i), "c"(0));
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
