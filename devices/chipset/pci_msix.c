#include "devices/chipset/pci_msix.h"

#define CAP_MSIX       0x11
#define CONTROL_MASK   0x4000u
#define CONTROL_ENABLE 0x8000u
#define VECTOR_MASKED  1u

#define MSIX_FIELDS(V, S, H, P) V(table) V(pending) H(cap) H(vectors) H(pad)
SNAPSHOT(pci_msix_snapshot, "pci-msix", 1, struct pci_msix, MSIX_FIELDS);

void pci_msix_init(struct pci_msix *m, struct pci_function *f, unsigned offset, unsigned bar,
		   unsigned vectors)
{
	m->cap = (u8)pci_add_capability(f, offset, CAP_MSIX, 12);
	m->vectors = (u8)MIN(vectors, PCI_MSIX_VECTORS);
	pci_put16(f->cfg, offset + 2, (u16)(m->vectors - 1));
	pci_put16(f->wmask, offset + 2, CONTROL_ENABLE | CONTROL_MASK);
	pci_put32(f->cfg, offset + 4, bar);
	pci_put32(f->cfg, offset + 8, PCI_MSIX_PBA | bar);
	pci_msix_reset(m);
}

void pci_msix_reset(struct pci_msix *m)
{
	memset(m->table, 0, sizeof(m->table));
	for (unsigned i = 0; i < PCI_MSIX_VECTORS; i++)
		m->table[i * 4 + 3] = VECTOR_MASKED;
	m->pending = 0;
}

static u16 control(const struct pci_msix *m, const struct pci_function *f)
{
	return m->cap ? pci_get16(f, m->cap + 2u) : 0;
}

bool pci_msix_enabled(const struct pci_msix *m, const struct pci_function *f)
{
	return control(m, f) & CONTROL_ENABLE;
}

static void send_pending(struct pci_msix *m, struct pci_function *f)
{
	if ((control(m, f) & (CONTROL_ENABLE | CONTROL_MASK)) != CONTROL_ENABLE ||
	    !pci_bus_master(f))
		return;
	for (unsigned i = 0; i < m->vectors; i++) {
		const u32 *entry = &m->table[i * 4];
		if (!(m->pending >> i & 1) || entry[3] & VECTOR_MASKED)
			continue;
		m->pending &= ~BIT(i);
		(void)!dma_write(f->bus->env->bus, pci_requester(f), entry[0] | (u64)entry[1] << 32,
				 &entry[2], 4);
	}
}

void pci_msix_send(struct pci_msix *m, struct pci_function *f, unsigned vector)
{
	if (vector >= m->vectors)
		return;
	m->pending |= BIT(vector);
	send_pending(m, f);
}

u32 pci_msix_read(const struct pci_msix *m, u64 offset)
{
	if (offset < m->vectors * 16u)
		return m->table[offset / 4];
	return (offset & ~3ull) == PCI_MSIX_PBA ? m->pending : 0;
}

void pci_msix_write(struct pci_msix *m, struct pci_function *f, u64 offset, u32 value)
{
	static const u32 writable[4] = {~3u, UINT32_MAX, UINT32_MAX, VECTOR_MASKED};
	if (offset >= m->vectors * 16u)
		return;
	m->table[offset / 4] = value & writable[offset / 4 & 3];
	send_pending(m, f);
}

void pci_msix_config_written(struct pci_msix *m, struct pci_function *f)
{
	send_pending(m, f);
}
