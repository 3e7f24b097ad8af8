/*
 * The BIOS's own code for tables (bios/post/tables.c) on the host, over an arena that stands for physical memory: for fuzz_tables.c.
 * BIOS32 and $PnP, which only point into the run time's code, are left out.
 */
#pragma GCC diagnostic ignored "-Wpointer-to-int-cast"
#pragma GCC diagnostic ignored "-Wunused-function"
#include "bios/post/post.h"

#undef RT
#undef RTA
#undef MEM8
#undef MEM16
#undef MEM32
#undef PTR
/* Unaligned, as the processor takes them. The arena's address has no low 32 bits, so that (u32) of a pointer is physical. */
struct any16 {
	u16 v;
} __attribute__((packed));
struct any32 {
	u32 v;
} __attribute__((packed));
extern unsigned char *fuzz_arena;
#define RT(x)    (x)
#define PTR(a)   ((void *)(fuzz_arena + (u32)(a)))
#define MEM8(a)  (*(volatile u8 *)PTR(a))
#define MEM16(a) (((volatile struct any16 *)PTR(a))->v)
#define MEM32(a) (((volatile struct any32 *)PTR(a))->v)

#include "bios/post/tables.c"

int fuzz_bios_tables(void);
int fuzz_bios_steps_failed;

u8 bios32_entry[1], pci32_last_bus[1], pnp_real_entry[1], pmm_entry[1];

void debug(const char *fmt, ...)
{
	fuzz_bios_steps_failed++;
}

/* What tables() does, less bios32() and pnp(). */
int fuzz_bios_tables(void)
{
	file_count = 0;
	fuzz_bios_steps_failed = 0;
	facs = 0;
	pir();
	mp_table();
	acpi();
	smbios();
	return fuzz_bios_steps_failed;
}
