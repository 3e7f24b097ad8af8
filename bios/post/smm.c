/*
 * System management mode: each processor gets its own SMBASE in SMRAM at A0000h (SDM Vol. 3C, 31.11), with a handler for what the FADT
 * promises of port B2h (ACPI 6.0, 4.8.3.4: ACPI_ENABLE, ACPI_DISABLE). Then SMRAM is closed and locked until the next reset (82441FX,
 * register 72h). Nothing else is done there; a 386 and a 486 have no such mode, and the chip answers for them.
 */
#include "bios/post/post.h"

#define SMRAM       0x72
#define SMRAM_OPEN  0x4a /* D_OPEN, G_SMRAME; C_BASE_SEG is fixed */
#define SMRAM_READY 0x1a /* D_LCK, G_SMRAME */
#define PIIX4_PM    0x71138086
#define DEVACTB     0x58
#define APMC_ENABLE 0x02000000u
#define LAPIC       0xfee00000u

extern u8 smm_relocate[], smm_relocate_end[], smm_handler[], smm_handler_end[];

static s32 power_management(void)
{
	for (s32 f = -1; (f = pci_next(f)) >= 0;)
		if (pci_read32((u16)f, 0) == PIIX4_PM)
			return f;
	return -1;
}

/* The processor takes the SMI on its own: it finds smm_base, and clears it. */
static bool relocated(void)
{
	for (unsigned i = 0; i < 1000 && *(volatile u32 *)&RT(smm_base); i++)
		delay_us(15);
	return !RT(smm_base);
}

static void others(void)
{
	u32 base = SMRAM_BASE;
	for (u32 id = 0; id < 32; id++) {
		if (!(RT(ap_present) >> id & 1))
			continue;
		base += SMRAM_STRIDE;
		memcpy(PTR(base + 0x8000), smm_handler, (u32)(smm_handler_end - smm_handler));
		RT(smm_base) = base;
		MEM32(LAPIC + 0x310) = id << 24;
		MEM32(LAPIC + 0x300) = 0x4200; /* SMI */
		if (!relocated())
			debug("processor %u takes no SMI\n", id);
	}
}

void smm_setup(void)
{
	s32 pm = cpu_family() >= 5 && pci_read32(0, 0) == 0x12378086 ? power_management() : -1;
	if (pm < 0)
		return;
	pci_write8(0, SMRAM, SMRAM_OPEN);
	memcpy(PTR(SMRAM_BASE + 0x8000), smm_handler, (u32)(smm_handler_end - smm_handler));
	memcpy(PTR(SMBASE_RESET + 0x8000), smm_relocate, (u32)(smm_relocate_end - smm_relocate));
	pci_write32((u16)pm, DEVACTB, pci_read32((u16)pm, DEVACTB) | APMC_ENABLE);
	RT(smm_base) = SMRAM_BASE;
	outb(0xb2, 0);
	if (!relocated()) {
		debug("no SMI comes from port B2h\n");
		pci_write32((u16)pm, DEVACTB, pci_read32((u16)pm, DEVACTB) & ~APMC_ENABLE);
	}
	others();
	pci_write8(0, SMRAM, SMRAM_READY);
}
