/*
 * The 16-bit run time: what C code compiled with -m16 shares. DS = ES = SS = RT_SEG, code in F000h;
 * a pointer reaches only the run time's own data, everything else goes through peek and poke, which
 * use FS. Nothing here may need protected mode: programs call from virtual-8086 mode too.
 */
#ifndef ORRERY_BIOS_RT_H
#define ORRERY_BIOS_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "bios/layout.h"
#include "bios/ports.h"

#define FLAG_CF 0x0001u
#define FLAG_ZF 0x0040u
#define FLAG_IF 0x0200u

#define REG(n)                                                                                     \
	union {                                                                                    \
		u32 e##n##x;                                                                       \
		u16 n##x;                                                                          \
		struct {                                                                           \
			u8 n##l, n##h;                                                             \
		};                                                                                 \
	}
#define REG2(n)                                                                                    \
	union {                                                                                    \
		u32 e##n;                                                                          \
		u16 n;                                                                             \
	}

/* A caller's registers, as rt/entry.S lays them out. */
struct regs {
	REG2(di);
	REG2(si);
	REG2(bp);
	REG(b);
	REG(d);
	REG(c);
	REG(a);
	u16 ds, es, fs, gs;
	u16 ip, cs, flags;
	u16 handler;
	u32 esp;
	u16 ss;
	u16 retry; /* set: nothing to give yet; the stub waits for an interrupt and calls again */
};

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* The two halves of the BIOS are linked together, and each has its own. */
#ifdef ORRERY_BIOS_32
#define LIBRARY(name) __asm__(#name "32")
#else
#define LIBRARY(name) __asm__(#name "16")
#endif
void *memset(void *to, int v, size_t n) LIBRARY(memset);
void *memcpy(void *to, const void *from, size_t n) LIBRARY(memcpy);
/** Busy waits, by the refresh signal of port 61h: works with interrupts off. */
void delay_us(u32 us) LIBRARY(delay_us);
#define REFRESH 0x10 /* in port 61h: changes every 15.085 us */

/* ---- ports ------------------------------------------------------------------------------- */

static inline u8 cmos_read(u8 index)
{
	outb(0x70, index | 0x80);
	return inb(0x71);
}
static inline void cmos_write(u8 index, u8 v)
{
	outb(0x70, index | 0x80);
	outb(0x71, v);
}

/* ---- far memory -------------------------------------------------------------------------- */

#define PEEK(bits, type, reg)                                                                      \
	static inline u##bits peek##bits(u16 seg, u32 off)                                         \
	{                                                                                          \
		u##bits v;                                                                         \
		__asm__ volatile("movw %1, %%fs\n\t" type " %%fs:(%2), %0"                         \
				 : reg(v)                                                          \
				 : "r"(seg), "r"(off)                                              \
				 : "memory");                                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void poke##bits(u16 seg, u32 off, u##bits v)                                 \
	{                                                                                          \
		__asm__ volatile("movw %0, %%fs\n\t" type " %2, %%fs:(%1)"                         \
				 :                                                                 \
				 : "r"(seg), "r"(off), "q"(v)                                      \
				 : "memory");                                                      \
	}
PEEK(8, "movb", "=q")
PEEK(16, "movw", "=r")
PEEK(32, "movl", "=r")

/* The BIOS data area at 40:0 and the extended one, which somebody may have moved (40:0E). */
#define bda8(off)      peek8(0x40, off)
#define bda16(off)     peek16(0x40, off)
#define bda32(off)     peek32(0x40, off)
#define set8(off, v)   poke8(0x40, off, (u8)(v))
#define set16(off, v)  poke16(0x40, off, (u16)(v))
#define set32(off, v)  poke32(0x40, off, v)
#define ebda8(off)     peek8(bda16(0x0e), off)
#define ebda16(off)    peek16(bda16(0x0e), off)
#define ebda32(off)    peek32(bda16(0x0e), off)
#define eset8(off, v)  poke8(bda16(0x0e), off, (u8)(v))
#define eset16(off, v) poke16(bda16(0x0e), off, (u16)(v))
#define eset32(off, v) poke32(bda16(0x0e), off, v)

/** Copies between a near object and far memory. */
void far_read(void *to, u16 seg, u16 off, u32 n);
void far_write(u16 seg, u16 off, const void *from, u32 n);

/* ---- answers ----------------------------------------------------------------------------- */

static inline void ok(struct regs *r)
{
	r->flags &= (u16)~FLAG_CF;
}
static inline void fail(struct regs *r)
{
	r->flags |= FLAG_CF;
}
static inline void fail_ah(struct regs *r, u8 code)
{
	r->ah = code;
	fail(r);
}

static inline bool in_v86(void)
{
	u16 msw;
	__asm__ volatile("smsw %0" : "=r"(msw));
	return msw & 1;
}

/* ---- entry.S ----------------------------------------------------------------------------- */

extern u32 stack_next;
extern u32 bridge_sp; /* the stack of what the power-on code calls */
extern u16 bridge_ss;
void call_int(unsigned vector, struct regs *r);
void call_far(u32 seg_off, struct regs *r);
void wait_irq(void);
void let_irqs(void);
void move_block(u32 gdt_linear, u32 words);

/* ---- time -------------------------------------------------------------------------------- */

/** A deadline @ms milliseconds from now for expired(), which must be asked often. */
struct deadline {
	u32 left; /* refresh half periods of 15.085 us */
	u8 last;
};
void deadline_set(struct deadline *d, u32 ms);
bool expired(struct deadline *d);
/** Waits until the keyboard controller takes a byte; false: not within 50 ms. */
bool i8042_takes_input(void);

/* ---- who handles what -------------------------------------------------------------------- */

void eoi_master(void);
void eoi_slave(void);
void debug_char(char c);
/** INT 1Ah AH=B1h; also what the 32-bit PCI BIOS does in its own copy. */
void pci_bios(struct regs *r);
void apm(struct regs *r);
void mouse_service(struct regs *r);
/** Puts a key into the buffer of INT 16h; false: full. */
bool key_put(u16 key);
/** Key strokes typed at the serial console, when there is no display. */
void console_poll(void);

#include "bios/shared.h"

#endif
