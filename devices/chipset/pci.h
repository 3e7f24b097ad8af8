/* PCI Local Bus 2.3: type-0 configuration space, BARs, expansion ROM, INTx, and MSI of one bus. */
#ifndef ORRERY_DEVICES_PCI_H
#define ORRERY_DEVICES_PCI_H

#include "devices/device.h"

/* Configuration space offsets */
#define PCI_VENDOR         0x00
#define PCI_DEVICE         0x02
#define PCI_COMMAND        0x04
#define PCI_STATUS         0x06
#define PCI_REVISION       0x08
#define PCI_CLASS          0x09
#define PCI_HEADER         0x0e
#define PCI_BAR0           0x10
#define PCI_SUBSYSTEM      0x2c
#define PCI_ROM            0x30
#define PCI_CAPABILITIES   0x34
#define PCI_INTERRUPT_LINE 0x3c
#define PCI_INTERRUPT_PIN  0x3d

#define PCI_COMMAND_IO           0x1u
#define PCI_COMMAND_MEMORY       0x2u
#define PCI_COMMAND_MASTER       0x4u
#define PCI_COMMAND_INTX_DISABLE 0x400u
#define PCI_STATUS_INTERRUPT     0x8u

enum pci_bar_kind { PCI_BAR_NONE, PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };

struct pci_bar_decl {
	enum pci_bar_kind kind;
	bool prefetch;
	u64 size;                  /* power of two; at least 4 (I/O) or 16 */
	const struct port_ops *io; /* the port is absolute; ctx is the device. See pci_bar_base() */
	const struct mmio_ops *mmio; /* ctx is the device */
	u8 *ram; /* not NULL: plain memory of @size bytes instead of handlers */
};

struct pci_ident {
	u16 vendor, device, subsystem_vendor, subsystem;
	u8 revision;
	u32 class_code; /* 23:16 base class, 15:8 subclass, 7:0 interface */
	u8 pin;         /* 0: none, 1: INTA# .. 4: INTD# */
	int devfn;      /* default place, slot << 3 | function; -1: first free slot */
	bool multifunction;
	struct pci_bar_decl bar[6];
	/* After a configuration write of @size bytes at @reg took effect; may be NULL. */
	void (*config_written)(struct device *d, unsigned reg, unsigned size);
	/* Before @size bytes at @reg are read; may be NULL. */
	void (*config_reading)(struct device *d, unsigned reg, unsigned size);
};

struct pci_bar {
	u64 base; /* where it is mapped; valid while mapped */
	struct mem_region *mem;
	int slot; /* of the ports, 0 if none */
	bool mapped;
	u8 pad[3];
};

struct pci_function {
	struct device *dev;
	const struct pci_ident *ident;
	struct pci_bus *bus;
	struct pci_bar bar[6];
	struct pci_bar rom; /* the expansion ROM */
	u8 *rom_data;       /* rom_bytes of it, ours; NULL: none */
	u64 rom_bytes;
	u8 cfg[256];
	u8 wmask[256]; /* bits software may write */
	u8 w1c[256];   /* bits cleared by writing 1 */
	u8 devfn;
	bool intx;     /* the level driven by the device, before Interrupt Disable */
	bool asserted; /* what the bus sees */
	u8 msi_cap;    /* offset of the MSI capability, 0 if none */
	u8 pad[4];
};
extern const struct snapshot_desc pci_function_snapshot;

struct pci_bus {
	struct device_env *env;
	struct pci_function *fn[256]; /* by devfn */
	/* PIRQ 0..3 (A..D) changed. PIRQ = (slot - 1 + pin) & 3, pin 0 = INTA#: the wiring of the
	 * i440FX boards. */
	void (*pirq)(void *ctx, unsigned pirq, bool level);
	void *pirq_ctx;
	u8 pirq_count[4]; /* functions asserting each */
};

void pci_bus_init(struct pci_bus *bus, struct device_env *env);
/** Puts a function on the bus; @devfn -1 takes the first free slot from 2 on. 0, -EBUSY, -ENOSPC.
 */
MUST_CHECK int pci_add(struct pci_bus *bus, struct device *d, struct pci_function *f,
		       const struct pci_ident *ident, int devfn);
void pci_remove(struct pci_function *f);
/** Configuration space to its reset values, BARs unmapped, INTx released. */
void pci_function_reset(struct pci_function *f);
/** After a snapshot: maps the BARs as the configuration space says. */
void pci_function_loaded(struct pci_function *f);

/** Configuration accesses of 1, 2, 4 bytes, naturally aligned. Absent functions read all ones. */
u32 pci_config_read(struct pci_bus *bus, unsigned devfn, unsigned reg, unsigned size);
void pci_config_write(struct pci_bus *bus, unsigned devfn, unsigned reg, u32 value, unsigned size);

/** Drives the function's INTx pin. */
void pci_set_intx(struct pci_function *f, bool level);
/** Where BAR @n is mapped, 0 if it is not: port handlers subtract it. */
u64 pci_bar_base(const struct pci_function *f, unsigned n);
/** Gives the function an expansion ROM (copied; the size is rounded up to a power of two). For init. -ENOMEM, -EFBIG (> 16 MiB). */
MUST_CHECK int pci_set_rom(struct pci_function *f, const void *data, u64 n);
/** The same from a file, for a setting `romfile`; an empty @path does nothing. 0 or -errno with a message. */
MUST_CHECK int pci_rom_file(struct pci_function *f, const char *path, char *err, size_t n);
/** Requester ID for dma_*: bus 0. DMA must be dropped unless pci_bus_master(). */
u16 pci_requester(const struct pci_function *f);
bool pci_bus_master(const struct pci_function *f);
/** Adds a capability of @size bytes; its offset (the rest is zero, read-only until wmask says
 * otherwise). */
unsigned pci_add_capability(struct pci_function *f, unsigned offset, u8 id, unsigned size);

static inline u16 pci_get16(const struct pci_function *f, unsigned reg)
{
	return (u16)(f->cfg[reg] | f->cfg[reg + 1] << 8);
}

static inline u32 pci_get32(const struct pci_function *f, unsigned reg)
{
	return pci_get16(f, reg) | (u32)pci_get16(f, reg + 2) << 16;
}

static inline void pci_put16(u8 *p, unsigned reg, u16 v)
{
	p[reg] = (u8)v;
	p[reg + 1] = (u8)(v >> 8);
}

static inline void pci_put32(u8 *p, unsigned reg, u32 v)
{
	pci_put16(p, reg, (u16)v);
	pci_put16(p, reg + 2, (u16)(v >> 16));
}

#endif
