/*
 * PCI BIOS 2.1 services on a caller's registers: compiled twice, for INT 1Ah and for the 32-bit
 * entry, where code may stand at any address; so nothing here refers to data or calls out.
 */
#ifndef ORRERY_BIOS_PCIBIOS_H
#define ORRERY_BIOS_PCIBIOS_H

#define PCI_OK           0x00
#define PCI_UNSUPPORTED  0x81
#define PCI_BAD_VENDOR   0x83
#define PCI_NOT_FOUND    0x86
#define PCI_BAD_REGISTER 0x87

static inline u32 cfg_address(u16 bdf, u16 reg)
{
	return 0x80000000u | (u32)bdf << 8 | (reg & 0xfcu);
}

static inline u32 cfg_read32(u16 bdf, u16 reg)
{
	outl(0xcf8, cfg_address(bdf, reg));
	return inl(0xcfc);
}

/* The @index-th function for which (register @reg >> @shift & @mask) is @want; -1: none. */
static inline s32 pci_search(u8 last_bus, u16 reg, u8 shift, u32 want, u16 index)
{
	for (u32 bdf = 0; bdf <= ((u32)last_bus << 8 | 0xff); bdf++) {
		u32 id = cfg_read32((u16)bdf, 0);
		if ((u16)id == 0xffff || !(u16)id)
			continue;
		if ((bdf & 7) && !(cfg_read32((u16)(bdf & ~7u), 0x0c) & 0x800000))
			continue;
		if (cfg_read32((u16)bdf, reg) >> shift == want && !index--)
			return (s32)bdf;
	}
	return -1;
}

static inline void pci_find(struct regs *r, u8 last_bus, bool by_class)
{
	s32 at;
	if (!by_class && r->dx == 0xffff) {
		fail_ah(r, PCI_BAD_VENDOR);
		return;
	}
	at = by_class ? pci_search(last_bus, 8, 8, r->ecx & 0xffffff, r->si)
		      : pci_search(last_bus, 0, 0, (u32)r->cx << 16 | r->dx, r->si);
	if (at < 0) {
		fail_ah(r, PCI_NOT_FOUND);
		return;
	}
	r->bx = (u16)at;
	r->ah = PCI_OK;
	ok(r);
}

/* @width: 1, 2, 4 bytes */
static inline void pci_config(struct regs *r, u8 width, bool write)
{
	u16 port = (u16)(0xcfc + (r->di & 3));
	if (r->di > 255 || (r->di & (width - 1u))) {
		fail_ah(r, PCI_BAD_REGISTER);
		return;
	}
	outl(0xcf8, cfg_address(r->bx, r->di));
	if (!write && width == 1)
		r->cl = inb(port);
	else if (!write && width == 2)
		r->cx = inw(port);
	else if (!write)
		r->ecx = inl(port);
	else if (width == 1)
		outb(port, r->cl);
	else if (width == 2)
		outw(port, r->cx);
	else
		outl(port, r->ecx);
	r->ah = PCI_OK;
	ok(r);
}

/* False: not one of the services both modes have. */
static inline bool pci_service(struct regs *r, u8 last_bus)
{
	switch (r->al & 0x7f) {
	case 0x01:
		r->edx = 0x20494350; /* "PCI " */
		r->ax = 0x0001;      /* configuration mechanism 1, no special cycles */
		r->bx = 0x0210;
		r->cl = last_bus;
		ok(r);
		return true;
	case 0x02: pci_find(r, last_bus, false); return true;
	case 0x03: pci_find(r, last_bus, true); return true;
	case 0x08: pci_config(r, 1, false); return true;
	case 0x09: pci_config(r, 2, false); return true;
	case 0x0a: pci_config(r, 4, false); return true;
	case 0x0b: pci_config(r, 1, true); return true;
	case 0x0c: pci_config(r, 2, true); return true;
	case 0x0d: pci_config(r, 4, true); return true;
	default: return false;
	}
}

#endif
