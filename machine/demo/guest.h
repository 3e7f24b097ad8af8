/* Demonstration guest: what its parts share. Freestanding 64-bit code, integers only. */
#ifndef DEMO_GUEST_H
#define DEMO_GUEST_H

#include "base/guest/ports.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

static inline u64 rdtsc(void)
{
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

/* Serial output: %s, %u (u64), %x (u64) and %c only. */
void put(char c);
void print(const char *fmt, ...);

extern volatile u64 ticks; /* timer interrupts so far: 100 a second */
extern unsigned faults;    /* #GP and #PF that the ring 3 program caused */
void wait_ticks(u64 n);

void traps_init(void); /* IDT, TSS, SYSCALL, 8259A, PIT; interrupts on */
void run_user(void);   /* the ring 3 program, to its end */
void orrery_show(unsigned frames);

#endif
