/*
 * What a lab's guest program may use. Freestanding code for 32-bit protected mode (no paging) or 64-bit mode (the lowest 2 MiB
 * in small pages, the rest of 1 GiB in large ones, identity mapped, supervisor only but for what is marked USER); lab.json says which.
 *
 * How a guest talks to the runner: lines written to port E9h, and one byte to port EDh.
 *     @phase NAME     what follows belongs to this phase; EDh = 1 starts its counters, EDh = 0 stops them
 *     @obs NAME N     an observation of the phase: a number
 *     @walk ADDRESS   the page walk for this address is recorded, as the processor would make it now
 *     @show WHAT      gdt, idt, tss or vmcs as they are now
 * Any other line is shown to the student.
 */
#ifndef LAB_H
#define LAB_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long uw; /* a register */
typedef long sw;

/* What runs where only USER pages may be executed calls USER functions only, and the INLINE ones below: they become part of whoever
 * calls them however the compiler is told to optimise. Large structs are not copied there: that may call memcpy(). */
#define USER __attribute__((section(".user"), noinline, used))
#define INLINE static inline __attribute__((always_inline))
#define USER_DATA __attribute__((section(".userdata")))

/* Flat segments for every ring; FREE_SEL and up are the lab's to fill (lab_gdt[FREE_SEL / 8]). */
#define CODE0 0x08
#define DATA0 0x10
#define CODE3 0x1b
#define DATA3 0x23
#define CODE1 0x29
#define DATA1 0x31
#define CODE2 0x3a
#define DATA2 0x42
#define TSS_SEL 0x48
#define FREE_SEL 0x58

struct trap {
#ifdef __x86_64__
	uw r15, r14, r13, r12, r11, r10, r9, r8;
#else
	uw ds;
#endif
	uw di, si, bp, dx, cx, bx, ax;
	uw vector, error, ip, cs, flags, sp, ss; /* sp, ss: in 32-bit mode only from an outer ring */
};

/* What became of code that ran in a ring. */
struct outcome {
	int vector; /* of the exception that ended it; -1: it returned */
	u32 error;
	uw value;   /* what it returned */
	uw ip, cr2, flags, cs;
};

extern u64 lab_gdt[32];
extern struct outcome last;
/* Asked first about every trap; true: it is dealt with, go on at t->ip. */
extern int (*lab_hook)(struct trap *t);

void say(const char *format, ...); /* %u %x (uw), %s, %c */
void phase(const char *name);      /* ends the one before */
void phase_end(void);
void obs(const char *name, uw value);
void walk(uw address);
void show(const char *what);
void lab_exit(unsigned code) __attribute__((noreturn)); /* 0: the program is at its end as it meant to */

/* Runs @fn(@arg) in ring @ring on a stack of that ring, until it returns or faults. &last, filled. */
struct outcome *in_ring(unsigned ring, uw (*fn)(uw), uw arg);
/* The same with every register of the start chosen. */
struct outcome *run_at(uw cs, uw ss, uw ip, uw sp, uw flags, uw arg);
/* From a trap handler: ends what in_ring() or run_at() began, with this outcome. */
void leave_ring(struct trap *t, int vector) __attribute__((noreturn));
uw ring_stack(unsigned ring); /* its top */
const char *vector_name(int vector);

/* Gates. @type: 0x8e interrupt, 0x8f trap, | dpl << 5. */
void set_gate(unsigned vector, void (*entry)(void), unsigned sel, unsigned type);
void set_gate_dpl(unsigned vector, unsigned dpl);
extern u32 *const lab_tss; /* the TSS as it lies in memory: [1] is ESP0, or the low half of RSP0 */
/* A VM exit leaves TR with a limit of 67h, which cuts off the map of ports: loads TR anew. */
void lab_reload_tr(void);
void allow_port(u16 port, int allow); /* below 100h, in the TSS's map */

#ifdef __x86_64__
#define PG_P 1ull
#define PG_W 2ull
#define PG_U 4ull
#define PG_A 0x20ull
#define PG_D 0x40ull
#define PG_PS 0x80ull
#define PG_NX (1ull << 63)
#define PG_KEY(k) ((u64)(k) << 59)
extern u64 lab_pml4[512];
/* Maps the 4-KiB page at @va in the tables at @pml4; makes tables as needed. */
void map(u64 *pml4, uw va, uw pa, u64 flags);
u64 *pte_of(u64 *pml4, uw va);  /* NULL: there is none */
#endif
void *page_alloc(void);         /* 4 KiB, zeroed, supervisor; from 4 to 8 MiB. What lies above is the lab's */
void *memcpy(void *to, const void *from, unsigned long n);
void *memset(void *p, int c, unsigned long n);

/* ---- instructions ---- */
#define ASM __asm__ volatile
#define ASM_TOP(text) __asm__(".text\n" text)

INLINE void outb(u16 port, u8 v) { ASM("outb %0, %1" : : "a"(v), "Nd"(port) : "memory"); }
INLINE u8 inb(u16 port) { u8 v; ASM("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
INLINE void count_on(void) { outb(0xed, 1); }
INLINE void count_off(void) { outb(0xed, 0); }
INLINE void wrmsr(u32 msr, u64 v) { ASM("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory"); }
INLINE u64 rdmsr(u32 msr)
{
	u32 lo, hi;
	ASM("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}
#define CR(n)                                                                                      \
	INLINE uw get_cr##n(void) { uw v; ASM("mov %%cr" #n ", %0" : "=r"(v)); return v; }  \
	INLINE void set_cr##n(uw v) { ASM("mov %0, %%cr" #n : : "r"(v) : "memory"); }
CR(0)
CR(2)
CR(3)
CR(4)
INLINE void invlpg(uw va) { ASM("invlpg (%0)" : : "r"(va) : "memory"); }
INLINE uw get_flags(void) { uw v; ASM("pushf; pop %0" : "=r"(v)); return v; }
INLINE void set_flags(uw v) { ASM("push %0; popf" : : "r"(v) : "memory", "cc"); }
INLINE u16 get_cs(void) { u16 v; ASM("mov %%cs, %0" : "=r"(v)); return v; }
INLINE void cpuid(u32 leaf, u32 sub, u32 *r)
{
	ASM("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

#endif
