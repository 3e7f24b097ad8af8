/* The power-on code: 32-bit, flat, interrupts off; it runs in the ROM, its data lies at POST_DATA.
 */
#ifndef ORRERY_BIOS_POST_H
#define ORRERY_BIOS_POST_H

#include "bios/rt/rt.h"

/* An object of the run time, whose addresses count from RT_BASE. */
#define RT(x)  (*(__typeof__(x) *)((u32) & (x) + RT_BASE))
#define RTA(x) ((__typeof__(&(x)[0]))((u32)(x) + RT_BASE))

/* Physical memory */
#define MEM8(a)  (*(volatile u8 *)(u32)(a))
#define MEM16(a) (*(volatile u16 *)(u32)(a))
#define MEM32(a) (*(volatile u32 *)(u32)(a))
#define PTR(a)   ((void *)(u32)(a))

/* ---- print.c ----------------------------------------------------------------------------- */

/** %s %u %x %c, %0Nx, %Nu: to the screen once there is one, and to port E9h. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** To port E9h only. */
void debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool screen_ready;
int compare(const void *a, const void *b, u32 n);
u32 length(const char *s);
bool starts_with(const char *s, const char *prefix);

/* ---- real mode --------------------------------------------------------------------------- */

void bridge(void);
/** INT @n in real mode; registers come back in @r. */
void real_int(u8 n, struct regs *r);
void real_far(u16 seg, u16 off, struct regs *r);
/** Into an option ROM: in "big real mode", as the POST Memory Manager's specification wants it. */
void real_rom(u16 seg, u16 off, struct regs *r);
/** Where bridge() enters real mode. */
extern u8 *bridge_way, bridge_down[], bridge_down_big[];
/** A C function of the run time. */
void rt_run(void (*fn)(void *), void *arg);

/* ---- the steps, in order ----------------------------------------------------------------- */

void memory_shadow(void);  /* C0000h-FFFFFh becomes RAM; the run time is copied there */
void memory_protect(void); /* and all but its data becomes read-only */
void memory_size(void);
/** Reserves @bytes at the top of low memory, aligned to 4 KiB, and zeroes them; 0: none left. Without @bytes: where it ends now. */
u32 memory_reserve(u32 bytes);
/** Room in the F-segment behind the run time's code; 0: none left. */
u32 fseg_alloc(u32 bytes, u32 align);
/** Before the boot: the memory map of INT 15h E820h. */
void memory_map(void);
void data_areas(void); /* vectors, BIOS data area */
void chips(void);      /* 8259A, 8254, 8237, RTC, 8042 */
void cpu_setup(void);  /* MTRRs, local APIC, the other processors */
void pci_setup(void);
void keyboard_setup(void);
void smm_setup(void);  /* each processor's handler in SMRAM, which is locked */
/** After tables(): reserves what the way back from S3 needs. */
void resume_prepare(void);
/** The end of S3, instead of post_main(): where to go on in protected mode; 0: RT(wake_vector). */
u32 resume_main(void);
void ioapic_setup(void);
/** CPUID's EAX, EBX, ECX, EDX; on a processor without it, 0. */
void cpu_leaf(u32 leaf, u32 r[4]);
#define CPU_APIC 0x200u /* leaf 1, EDX: a local APIC */
/** 3 to 15; 0: no CPUID instruction. */
unsigned cpu_family(void);
/** Option ROMs may allocate memory between these. */
void pmm_open(void);
void pmm_close(void);
void tables(void); /* ACPI, SMBIOS, MP, $PIR, BIOS32, $PnP */
void video_rom(void);
void other_roms(void);
void drives_setup(void);
void virtio_disks(void);
void virtio_wake(void);
void boot(void) __attribute__((noreturn));
void post_main(void);
void post_boot_again(void);

/* ---- PCI --------------------------------------------------------------------------------- */

u32 pci_read32(u16 bdf, u8 reg);
u16 pci_read16(u16 bdf, u8 reg);
u8 pci_read8(u16 bdf, u8 reg);
void pci_write32(u16 bdf, u8 reg, u32 v);
void pci_write16(u16 bdf, u8 reg, u16 v);
void pci_write8(u16 bdf, u8 reg, u8 v);
/** The function after @bdf (start with -1); -1: no more. */
s32 pci_next(s32 bdf);
/** Memory for looking at an expansion ROM, while nothing else is there. */
u32 pci_rom_window(u32 size);
extern u32 pci_hole;

/* ---- fw_cfg ------------------------------------------------------------------------------ */

/** An item by number; zeros where there is no fw_cfg. */
void fw_item(u16 selector, void *out, u32 n);
/** The selector of a file and its size; -1: none. */
s32 fw_find(const char *name, u32 *size);
/** Calls @fn for each file whose name starts with @prefix. */
void fw_each(const char *prefix, void (*fn)(u16 selector, u32 size));

struct boot_rom { /* a network or other ROM with a boot entry vector */
	u16 seg, entry;
	char name[40];
};
#define MAX_BOOT_ROMS 4
extern struct boot_rom boot_roms[MAX_BOOT_ROMS];
extern u8 boot_rom_count;

#endif
