/* What the BIOS test's program is made of: real mode, one segment at 0, results on port E9h. */
#ifndef ORRERY_TESTS_BIOS_GUEST_H
#define ORRERY_TESTS_BIOS_GUEST_H

#include <stdbool.h>
#include "bios/ports.h"

struct regs { /* start.S knows the order */
	union {
		u32 eax;
		u16 ax;
		struct {
			u8 al, ah;
		};
	};
	union {
		u32 ebx;
		u16 bx;
		struct {
			u8 bl, bh;
		};
	};
	union {
		u32 ecx;
		u16 cx;
		struct {
			u8 cl, ch;
		};
	};
	union {
		u32 edx;
		u16 dx;
		struct {
			u8 dl, dh;
		};
	};
	u32 esi, edi, ebp;
	u16 ds, es, flags, fs, gs;
};

void interrupt(unsigned n, struct regs *r);
void far_call(u32 seg_off, struct regs *r);
void call32(u32 entry, struct regs *r);
u32 tiny_stack(void);

extern u8 boot_drive;

#define CF(r) ((r).flags & 1)
#define ZF(r) ((r).flags & 0x40)

/* Memory below 64 KiB is plain; above it, through FS. */
static inline u8 far8(u32 linear)
{
	u8 v;
	__asm__ volatile("movw %1, %%fs\n\tmovb %%fs:(%2), %0"
			 : "=q"(v)
			 : "r"((u16)(linear >> 4)), "r"(linear & 15)
			 : "memory");
	return v;
}
static inline void set_far8(u32 linear, u8 v)
{
	__asm__ volatile("movw %0, %%fs\n\tmovb %2, %%fs:(%1)"
			 :
			 : "r"((u16)(linear >> 4)), "r"(linear & 15), "q"(v)
			 : "memory");
}
static inline u32 far32(u32 at)
{
	return far8(at) | far8(at + 1) << 8 | (u32)far8(at + 2) << 16 | (u32)far8(at + 3) << 24;
}
#define MEM8(a)  (*(volatile u8 *)(u32)(a))
#define MEM16(a) (*(volatile u16 *)(u32)(a))
#define MEM32(a) (*(volatile u32 *)(u32)(a))

/* ---- report ------------------------------------------------------------------------------ */

/** Waits by the refresh signal (port 61h, bit 4: half periods of 15 us). */
void pause_ms(u32 ms);
void say(const char *text);
void say_hex(u32 v);
void check(bool good, char file, u32 line, u32 got, u32 want);
void check_equal(u32 got, u32 want, u32 where);

/* Where it stands is all that is kept of a check: everything has to fit into a segment. */
#define CHECK(c)      check(!!(c), FILE_LETTER, __LINE__, 0, 0)
#define EQUAL(a, b)   check_equal((u32)(a), (u32)(b), __LINE__ | FILE_LETTER << 16)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/** INT 15h AH=87h, which must succeed. */
void move_block(u32 from, u32 to, u16 words);
/** Is this our BIOS? */
static inline bool our_bios(void)
{
	return far8(0xfe000) == 'O' && far8(0xfe001) == 'r';
}

void test_disk(void);
void test_keyboard(void);
void test_system(void);
void test_tables(void);
void test_cd(void);
void test_floppy(void);
bool has_cpu_feature(u32 features);
#define CPU_VME  0x2u
#define CPU_APIC 0x200u /* and with it, system management mode */
void test_v86(void);
void test_power(void);
void test_services(void);

#endif
