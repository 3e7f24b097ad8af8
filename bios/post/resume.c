/*
 * The way back from ACPI S3 (ACPI 6.0, 16.3): the chips were reset and get what they had at the end of power-on, memory stays the operating
 * system's (post_resume in start.S), and its waking vector goes on. The display is started again in its text mode.
 */
#include "bios/post/post.h"

#define PM1_STS  0x600 /* as post/pci.c places it */
#define WAK_STS  0x8000
#define LEAST_MB 8 /* with less memory, no way back is offered */

#define FACS_VECTOR   12
#define FACS_X_VECTOR 24
#define FACS_VERSION  32

void resume_prepare(void)
{
	if (RT(facs) && memory_reserve(0) >= (LEAST_MB - 1) << 20)
		RT(resume_area) = memory_reserve(RESUME_BYTES);
}

static void __attribute__((noreturn)) start_anew(const char *why)
{
	debug("%s: starting anew\n", why);
	for (;;)
		outb(0xcf9, 6);
}

/* PCI set-up writes what it wrote at power-on; what the drives told stays. */
static void same_pci(void)
{
	struct ata_channel channels[MAX_CHANNELS];
	memcpy(channels, RTA(ata_channels), sizeof(channels));
	pci_setup();
	memcpy(RTA(ata_channels), channels, sizeof(channels));
}

static void display(void)
{
	struct regs r = {.bx = 0xffff, .dx = 0xffff};
	if (MEM16(OPTION_ROMS) != 0xaa55)
		return;
	real_rom(OPTION_ROMS >> 4, 3, &r);
	r = (struct regs){.ax = 0x0003};
	real_int(0x10, &r);
}

/* An entry in protected mode; 0: in real mode, in wake_vector. */
static u32 waking_vector(void)
{
	u32 at = RT(facs), length_of = MEM32(at + 4), vector = MEM32(at + FACS_VECTOR);
	if (compare(PTR(at), "FACS", 4))
		start_anew("the FACS is gone");
	if (length_of >= 40 && MEM8(at + FACS_VERSION) >= 1 && MEM32(at + FACS_X_VECTOR) && !MEM32(at + FACS_X_VECTOR + 4))
		return MEM32(at + FACS_X_VECTOR);
	if (!vector || vector >= 0x100000)
		start_anew("no waking vector");
	RT(wake_vector) = vector >> 4 << 16 | (vector & 15);
	return 0;
}

u32 resume_main(void)
{
	debug("Orrery BIOS: waking up\n");
	RT(stack_next) = RT_STACK_TOP;
	data_areas();
	chips();
	same_pci();
	if (!(inw(PM1_STS) & WAK_STS))
		start_anew("the machine did not sleep");
	cpu_setup();
	smm_setup();
	ioapic_setup();
	display();
	keyboard_setup();
	virtio_wake();
	memory_protect();
	return waking_vector();
}
