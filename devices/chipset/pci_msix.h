/* MSI-X (PCI Local Bus 3.0, 6.8.2): a table of messages in one of the function's BARs, with its
 * pending bits. */
#ifndef ORRERY_PCI_MSIX_H
#define ORRERY_PCI_MSIX_H

#include "devices/chipset/pci.h"

#define PCI_MSIX_VECTORS 8u
#define PCI_MSIX_PBA     0x800u /* where the pending bits stand in the BAR; the table is at 0 */

struct pci_msix {
	u32 table[PCI_MSIX_VECTORS * 4]; /* address, address high, data, control (bit 0: masked) */
	u32 pending;
	u8 cap, vectors, pad[2];
};
extern const struct snapshot_desc pci_msix_snapshot;

/** Adds the capability at @offset of configuration space: @vectors messages, table in BAR @bar. */
void pci_msix_init(struct pci_msix *m, struct pci_function *f, unsigned offset, unsigned bar,
		   unsigned vectors);
/** Everything masked, nothing pending. */
void pci_msix_reset(struct pci_msix *m);
bool pci_msix_enabled(const struct pci_msix *m, const struct pci_function *f);
/** Sends message @vector, or leaves it pending while masked. */
void pci_msix_send(struct pci_msix *m, struct pci_function *f, unsigned vector);
/** For the BAR's handlers. */
u32 pci_msix_read(const struct pci_msix *m, u64 offset);
void pci_msix_write(struct pci_msix *m, struct pci_function *f, u64 offset, u32 value);
/** After a write to configuration space: messages may be unmasked. */
void pci_msix_config_written(struct pci_msix *m, struct pci_function *f);

#endif
