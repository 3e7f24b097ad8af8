/*
 * The device descriptor. A type states its ports, MMIO, PCI identity, interrupt outputs, timers,
 * settings and state; wiring,
 * `-device help`, snapshots, hashing and fuzzing are made from that. Types are listed in
 * devices.def.
 *
 * A device never includes cpu/: what it wants from the processor goes through struct machine_hooks
 * or an irq_line.
 */
#ifndef ORRERY_DEVICES_DEVICE_H
#define ORRERY_DEVICES_DEVICE_H

#include <stdio.h>
#include "base/bus.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/irq.h"
#include "base/log.h"
#include "base/snapshot.h"
#include "base/types.h"

struct audio;
struct chardev;
struct device;
struct display;
struct drive;
struct gsi_router;
struct net;
struct nic;
struct pci_bus;
struct pci_function;
struct pci_ident;
struct usb_bus;

enum reset_kind {
	RESET_COLD, /* power-on */
	RESET_HARD, /* the reset line: CF9h, reset button, shutdown; battery-backed state stays */
	RESET_WAKE, /* the end of ACPI S3: what the chipset's suspend well holds stays, too */
};

/* Sleep states as the machine hears of them. */
enum power_state { POWER_OFF /* S5 */, POWER_SUSPEND_RAM /* S3 */ };

/* What devices ask of the machine. Any member may be NULL (ignored). @cpu is the index of a
 * processor. */
struct machine_hooks {
	void *ctx;
	void (*intr)(void *ctx, unsigned cpu,
		     bool level); /* INTR: cpu_bus.intack will give the vector */
	void (*nmi)(void *ctx, unsigned cpu);
	void (*smi)(void *ctx, unsigned cpu);
	void (*init)(void *ctx, unsigned cpu);
	void (*sipi)(void *ctx, unsigned cpu, u8 vector);
	void (*ignne)(void *ctx); /* port F0h: the x87 error latch was cleared */
	void (*a20)(void *ctx, bool enabled);
	void (*reset)(void *ctx,
		      bool cpu_only); /* requested; the machine resets at the next boundary */
	void (*power)(void *ctx, enum power_state state);
	void (*debug_exit)(void *ctx,
			   u32 code); /* isa-debug-exit: the process status is code << 1 | 1 */
	u64 (*tsc_offset)(void *ctx,
			  unsigned cpu); /* guest TSC minus clock_now(), for TSC-deadline timers */
	struct drive *(*find_drive)(void *ctx, const char *id); /* a drive and its image; NULL: there is none */
	struct net *(*find_net)(void *ctx, const char *id); /* the host end of a network; NULL: there is none */
	void (*net_ready)(void *ctx); /* a card has room for frames again, or an answer may wait */
};

enum activity { ACTIVITY_DISK, ACTIVITY_NET, ACTIVITY_KINDS };

/* The world a device lives in: one per machine. */
struct device_env {
	struct bus *bus;
	struct clock *clock;
	struct log *log; /* may be NULL */
	struct machine_hooks hooks;
	struct gsi_router *gsi; /* may be NULL: interrupt outputs stay unconnected */
	struct pci_bus *pci;    /* set when the host bridge exists */
	struct chardev *(*find_chardev)(void *ctx,
					const char *id); /* ctx is hooks.ctx; may be NULL */
	u8 *ram;           /* host address of guest RAM: what backs 0.. (for shadowing), or NULL */
	u64 ram_low_bytes; /* RAM below 4 GiB */
	struct display *display; /* where an adapter draws, or NULL */
	struct audio *audio;     /* where sound goes, or NULL */
	u64 activity[ACTIVITY_KINDS]; /* for the lamps of the status bar; device_activity() */
	struct device *devices; /* in order of creation */
	struct nic *nics;       /* the network cards (devices/net/nic.h) */
	struct usb_bus *usb;    /* of the USB controller; NULL: there is none */
	struct device *tablet;  /* what knows absolute positions (devices/usb/usb.h); NULL: nothing */
};

/* Fixed ports or MMIO claimed by every instance of a type; a table ends with count or size 0. */
struct port_claim {
	u16 base;
	u32 count;
	const struct port_ops *ops; /* ctx is the device */
};

struct mmio_claim {
	u64 base, size;
	int prio;                   /* MEM_PRIO_* */
	const struct mmio_ops *ops; /* ctx is the device */
};

#define IRQ_UNWIRED (-1)
struct irq_output { /* a table ends with name NULL */
	const char *name;
	u32 offset;  /* of a struct irq_line in the state */
	int isa_irq; /* 0..15, or IRQ_UNWIRED */
};

struct timer_decl { /* a table ends with name NULL */
	const char *name;
	u32 offset; /* of a struct timer in the state */
	void (*fire)(void *device);
};

struct device_type {
	const char *name;
	const char *help;
	const char *category;
	size_t size; /* of the state struct, whose first member is struct device */
	const struct port_claim *ports;
	const struct mmio_claim *mmio;
	const struct pci_ident *pci; /* NULL: not a PCI function */
	u32 pci_offset;              /* of the struct pci_function in the state */
	const struct irq_output *irqs;
	const struct timer_decl *timers;
	const struct prop *props;
	const struct snapshot_desc *snapshot;
	/* After settings, timers, interrupt lines; before ports are claimed. 0, or -errno with a
	 * message. May be NULL. */
	int (*init)(struct device *d, char *err, size_t n);
	void (*reset)(struct device *d, enum reset_kind kind); /* may be NULL */
	void (*free)(struct device *d);   /* releases what init took; may be NULL */
	void (*loaded)(struct device *d); /* after a snapshot was loaded: rebuild what is derived;
					     may be NULL */
	/* Memory of the device's own (@*n bytes, a multiple of 64 KiB), saved and hashed with its state; may be NULL. */
	u8 *(*memory)(struct device *d, u64 *n);
	bool internal;                    /* part of the board: not offered to -device */
};

#define DEVICE_PORT_SLOTS 10
#define DEVICE_MMIO_SLOTS 4

struct device {
	const struct device_type *type;
	struct device_env *env;
	struct device *next;
	struct pci_function *pci;
	struct mem_region *mmio[DEVICE_MMIO_SLOTS];
	int port_slot[DEVICE_PORT_SLOTS];
	char id[32];
};

/** The device moved a sector or a frame: its lamp lights up. The guest never sees it. */
static inline void device_activity(struct device *d, enum activity kind)
{
	d->env->activity[kind]++;
}

/** The type of that name, or NULL. */
const struct device_type *device_type_find(const char *name);
/** All types, NULL-terminated. */
const struct device_type *const *device_types(void);
/** The list for `-device help`; with @name, that type's settings. -EINVAL if there is no such type.
 */
int device_help(FILE *out, const char *name);

/**
 * Creates a device: settings from @props ("key=value,...", may be NULL), wires what the descriptor
 * names, resets it cold.
 * @id may be NULL (then the type's name). NULL on failure, with a message in @err.
 */
struct device *device_create(struct device_env *env, const char *type, const char *id,
			     const char *props, char *err, size_t err_size);
/** Unplugs and frees one device. */
void device_destroy(struct device *d);
void devices_destroy_all(struct device_env *env);
void devices_reset(struct device_env *env, enum reset_kind kind);
struct device *device_by_id(struct device_env *env, const char *id);
/** Snapshot of all devices, in order of creation. */
void devices_save(struct device_env *env, struct snap_buf *b);
/** Could devices_load() read this? Nothing is changed. */
MUST_CHECK int devices_check(struct device_env *env, struct snap_reader *r);
MUST_CHECK int devices_load(struct device_env *env, struct snap_reader *r);
u64 devices_hash(struct device_env *env, u64 seed);

/** For init: claims ports whose place comes from a setting. 0 or -errno with a message. */
MUST_CHECK int device_claim_ports(struct device *d, u16 base, u32 count, const struct port_ops *ops,
				  char *err, size_t n);
MUST_CHECK int device_claim_mmio(struct device *d, u64 base, u64 size, int prio,
				 const struct mmio_ops *ops, char *err, size_t n);
/** For init: connects an interrupt output to ISA IRQ @irq. */
void device_connect_irq(struct device *d, struct irq_line *line, unsigned irq);

#endif
