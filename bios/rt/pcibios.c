/* INT 1Ah AH=B1h: PCI BIOS 2.1, with the routing table that $PIR holds too. */
#include "bios/rt/rt.h"
#include "bios/rt/pcibios.h"

#define PCI_BUFFER_TOO_SMALL 0x89

/* AL=0Eh: ES:DI points to size and far address of a buffer. */
static void routing_options(struct regs *r)
{
	u16 size = peek16(r->es, r->di), off = peek16(r->es, r->di + 2u);
	u16 seg = peek16(r->es, r->di + 4u);
	u16 have = pir_offset ? peek16(RT_CS, pir_offset + 6u) - 32 : 0;
	if (!pir_offset) {
		fail_ah(r, PCI_UNSUPPORTED);
		return;
	}
	poke16(r->es, r->di, have);
	if (size < have) {
		fail_ah(r, PCI_BUFFER_TOO_SMALL);
		return;
	}
	for (u16 i = 0; i < have; i++)
		poke8(seg, (u16)(off + i), peek8(RT_CS, pir_offset + 32u + i));
	r->bx = peek16(RT_CS, pir_offset + 10u);
	r->ah = PCI_OK;
	ok(r);
}

void pci_bios(struct regs *r)
{
	if (pci_service(r, last_pci_bus))
		return;
	if ((r->al & 0x7f) == 0x0e)
		routing_options(r);
	else
		fail_ah(r, PCI_UNSUPPORTED);
}
