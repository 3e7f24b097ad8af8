/* The 32-bit PCI BIOS: the services of pcibios.h, compiled for flat code. */
#include "bios/rt/rt.h"
#include "bios/rt/pcibios.h"

void pci32_service(struct regs *r, u32 last_bus);

void pci32_service(struct regs *r, u32 last_bus)
{
	if (r->ah != 0xb1 || !pci_service(r, (u8)last_bus))
		fail_ah(r, PCI_UNSUPPORTED);
}
