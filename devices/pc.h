/*
 * The board of machine `pc`: i440FX, PIIX3, PIIX4-PM, 8259As, I/O APIC, local APICs, PIT, RTC,
 * HPET, 8042, DMA, fw_cfg, port E9h and serial ports, wired together. The machine makes one, gives
 * RAM and callbacks, and connects struct cpu_bus to it.
 *
 * Ports and places: PM1a event 600h (status, enable), control 604h, PM timer 608h, GPE0 AFE0h; SCI
 * is IRQ 9; SMI command B2h; reset register CF9h; I/O APIC FEC00000h (id = number of CPUs); local
 * APICs FEE00000h; HPET FED00000h; PIRQ A-D = (slot - 1 + pin) & 3, routed by PIIX3 (00:01.0)
 * configuration bytes 60h-63h.
 */
#ifndef ORRERY_DEVICES_PC_H
#define ORRERY_DEVICES_PC_H

#include "devices/chipset/pci.h"
#include "devices/device.h"
#include "devices/drive.h"
#include "devices/irq/gsi.h"

#define PC_MAX_CPUS    8
#define PC_MAX_SERIAL  4
#define PC_PM_BASE     0x600u
#define PC_GPE_BASE    0xafe0u
#define PC_IOAPIC_BASE 0xfec00000u
#define PC_LAPIC_BASE  0xfee00000u
#define PC_HPET_BASE   0xfed00000u
#define PC_SCI_IRQ     9

struct pc_config {
	unsigned cpus;     /* 1..PC_MAX_CPUS */
	u8 *ram;           /* host memory: ram_low_bytes for 0.., then ram_high_bytes for 4 GiB.. */
	u64 ram_low_bytes; /* at most 0xc0000000 */
	u64 ram_high_bytes;
	bool no_hpet;
	bool no_apic;                      /* processors without local APIC */
	bool no_debugcon;                  /* no port E9h */
	const char *debugcon;              /* chardev id; NULL: none */
	const char *serial[PC_MAX_SERIAL]; /* chardev ids; NULL: that port is absent; "" : present,
					      not connected */
	s64 rtc_start_s;                   /* seconds since 1970 UTC at power-on */
	struct display *display;           /* where the adapter draws; may be NULL */
	struct audio *audio;               /* where sound goes; may be NULL */
	bool vga;                          /* with a display adapter */
	bool usb, tablet;                  /* with a USB controller; with a tablet at it */
	const struct drive *drive;         /* their images open; they stay the caller's */
	unsigned drives;
};

struct pc {
	struct device_env env;
	struct gsi_router gsi;
	struct pci_bus pci;
	unsigned cpus;
	struct device *lapic[PC_MAX_CPUS];
	struct device *pic, *ioapic, *pit, *rtc, *hpet, *i8042, *i440fx, *piix3, *piix4pm, *dma,
	    *fw_cfg, *ide, *fdc;
	struct device *pflash[2];
	struct device *serial[PC_MAX_SERIAL];
	struct device *vga; /* NULL: none */
	struct mem_region *lapic_window;
	unsigned current_cpu; /* whose local APIC answers at FEE00000h: set by the machine before it
				 runs a CPU */
	bool pic_intr;        /* the 8259A's INTR output */
};

/**
 * Builds the board in @pc (which must not move afterwards) on @bus, whose msi hook should call
 * pc_msi(). Chardev ids are looked up by @find_chardev(hooks->ctx, id). 0, or -errno with a
 * message; then nothing is left behind.
 */
MUST_CHECK int pc_create(struct pc *pc, const struct pc_config *cfg, struct bus *bus,
			 struct clock *clock, struct log *log, const struct machine_hooks *hooks,
			 struct chardev *(*find_chardev)(void *ctx, const char *id), char *err,
			 size_t err_size);
void pc_destroy(struct pc *pc);
/** The firmware has a handler in system management mode. */
void pc_leave_to_smm(struct pc *pc);
void pc_reset(struct pc *pc, enum reset_kind kind);
/** A message-signalled interrupt (bus address FEEx_xxxxh) reaches the local APICs. */
void pc_msi(struct pc *pc, u64 addr, u32 data);

/** What the firmware would have left behind, for direct kernel boot: shadow RAM open for reads and
 * writes at C0000h-FFFFFh, LINT0 = ExtINT and LINT1 = NMI on CPU 0, PM base and PIRQs (A-D: 10, 10,
 * 11, 11) programmed, BARs assigned. */
void pc_firmware_setup(struct pc *pc);

/* ---- sleep (ACPI S3) --------------------------------------------------------------------------------- */

/** PM1 status bits of what ends sleep now; 0: sleep on. */
u16 pc_wake_status(struct pc *pc);
/** May the real-time clock end it? */
bool pc_wakes_by_rtc(struct pc *pc);
/** After pc_reset() and pc_firmware_setup(): the board woke up because of @status. */
void pc_wake(struct pc *pc, u16 status);

/* ---- for struct cpu_bus ------------------------------------------------------------------ */

/** Interrupt acknowledge of CPU @cpu: from its local APIC, else (ExtINT) from the 8259As. */
u8 pc_intack(struct pc *pc, unsigned cpu);
u8 pc_get_cr8(struct pc *pc, unsigned cpu);
void pc_set_cr8(struct pc *pc, unsigned cpu, u8 value);
/** IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC MSRs. 0, or -1 for #GP. */
int pc_apic_msr_read(struct pc *pc, unsigned cpu, u32 msr, u64 *value);
int pc_apic_msr_write(struct pc *pc, unsigned cpu, u32 msr, u64 value);
/** CPU @cpu received INIT: its local APIC goes to the wait-for-SIPI reset state (keeps its ID). */
void pc_lapic_init_reset(struct pc *pc, unsigned cpu);
/** FERR# of the CPU, wired to IRQ 13 until port F0h is written. */
void pc_ferr(struct pc *pc, bool level);
/** CPU entered or left SMM: opens or closes SMRAM. Only visible to the running CPU, so call at
 * every switch. */
void pc_smm_changed(struct pc *pc, bool smm);

/* ---- input ------------------------------------------------------------------------------- */

/** Bytes arrived at serial port @port; returns how many were taken. */
unsigned pc_serial_receive(struct pc *pc, unsigned port, const u8 *data, unsigned n);
/** Bytes serial port @port can take now. */
unsigned pc_serial_room(struct pc *pc, unsigned port);
/** A key by its set-1 scan code (0xe0xx for extended keys). */
void pc_key(struct pc *pc, u16 set1, bool pressed);
void pc_mouse(struct pc *pc, int dx, int dy, int wheel, unsigned buttons);
/** The pointer stands at (@x, @y), 0..32767 each. Without a tablet that the guest asks, nothing happens. */
void pc_pointer(struct pc *pc, unsigned x, unsigned y, int wheel, unsigned buttons);
void pc_power_button(struct pc *pc);
/** What the guest has done with keyboard and mouse, for whoever sits at them. */
struct pc_input_state {
	u8 leds;           /* 1 Scroll Lock, 2 Num Lock, 4 Caps Lock */
	bool mouse_wanted; /* the guest asked for mouse reports */
	bool pointer_wanted; /* the guest asks the tablet where the pointer is */
};
struct pc_input_state pc_input_state(const struct pc *pc);
/** Frames that the card behind @net takes now; 0 when there is none. */
unsigned pc_net_room(struct pc *pc, const struct net *net);
/** A frame arrives at the card behind @net; NULL: at every card. */
void pc_net_receive(struct pc *pc, const struct net *net, const u8 *frame, size_t bytes);

/* ---- drives ------------------------------------------------------------------------------ */

/** Gives each drive to its controller; those of kind DRIVE_NONE and DRIVE_VIRTIO are left alone. 0 or -errno with a message. */
MUST_CHECK int pc_attach_drives(struct pc *pc, const struct drive *drives, unsigned count, char *err, size_t n);
/** Tells CMOS of them, as the set-up program of a BIOS would. */
void pc_drives_to_cmos(struct pc *pc);

/* ---- fw_cfg ------------------------------------------------------------------------------ */

/** Adds a named file (copied). -EEXIST, -ENOSPC, -ENOMEM. */
MUST_CHECK int pc_fw_cfg_add_file(struct pc *pc, const char *name, const void *data, u32 n);
/** Sets the item of a fixed selector below 20h (copied). */
MUST_CHECK int pc_fw_cfg_add_item(struct pc *pc, u16 selector, const void *data, u32 n);

/** Gives an existing file new contents (copied). -ENOENT, -ENOMEM. */
MUST_CHECK int pc_fw_cfg_replace_file(struct pc *pc, const char *name, const void *data, u32 n);
/** @selecting(@ctx, name) is called when the guest selects a file, before it reads it. */
void pc_fw_cfg_on_select(struct pc *pc, void (*selecting)(void *ctx, const char *name), void *ctx);
/** Where firmware has put the PM1 registers; 0: not enabled. */
u16 pc_pm_base(struct pc *pc);

/* ---- state ------------------------------------------------------------------------------- */

void pc_save(struct pc *pc, struct snap_buf *b);
/** Could pc_load() read this? Nothing is changed. */
MUST_CHECK int pc_check(struct pc *pc, struct snap_reader *r);
MUST_CHECK int pc_load(struct pc *pc, struct snap_reader *r);
/** Shows every section: its name, its list, and the struct, which for the board is a copy. */
void pc_sections(struct pc *pc, void (*see)(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state),
		 void *ctx);
u64 pc_hash(struct pc *pc, u64 seed);

#endif
