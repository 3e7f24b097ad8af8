/*
 * Demonstration guest: descriptor tables, the timer, and what happens when ring 3 does what it may
 * not: the fault is explained from its error code and a page walk, and the instruction is stepped
 * over.
 */
#include "guest.h"

struct trap {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct gate {
	u16 low, sel;
	u8 ist, type;
	u16 mid;
	u32 high, zero;
};

struct tss {
	u32 reserved;
	u64 rsp[3], reserved2, ist[7], reserved3;
	u16 reserved4, iomap;
} __attribute__((packed));

extern u64 gdt[], pml4[], pt_user[];
extern const u64 trap_entries[];
extern u8 trap_stack_top[], user_stack[], user_program[], user_code_start[];
void syscall_entry(void);
void enter_user(u64 rip, u64 rsp);
void leave_user(void) __attribute__((noreturn));

#define USER_BASE 0x40000000ul /* 1 GiB: code; its stack is the page behind */

static struct gate idt[64];
static struct tss tss;
volatile u64 ticks;
unsigned faults;

static u64 read_cr2(void)
{
	u64 v;
	__asm__ volatile("movq %%cr2, %0" : "=r"(v));
	return v;
}

/* Every level of the walk for @va, as the processor reads it (all tables are identity mapped). */
static void explain_walk(u64 va)
{
	static const char *const names[] = {"PML4E", "PDPTE", "PDE", "PTE"};
	u64 *table = pml4;
	for (unsigned level = 0; level < 4; level++) {
		u64 entry = table[va >> (39 - 9 * level) & 511];
		print("        %s %x %s%s%s\n", names[level], entry,
		      entry & 1 ? "present" : "not present",
		      entry & 1 ? entry & 2 ? ", writable" : ", read-only" : "",
		      entry & 1 ? entry & 4 ? ", user" : ", supervisor" : "");
		if (!(entry & 1) || entry & 0x80)
			return;
		table = (u64 *)(entry & 0x000ffffffffff000ul);
	}
}

static void page_fault(struct trap *t)
{
	u64 va = read_cr2();
	print("      \033[33m#PF\033[0m at %x: a %s by ring %u, %s\n", va,
	      t->error & 2 ? "write" : "read", t->cs & 3,
	      t->error & 1 ? "against the page's rights" : "to a page that is not present");
	explain_walk(va);
	t->rip += 7; /* the length of the program's MOV */
	faults++;
}

void guest_trap(struct trap *t)
{
	if (t->vector == 32) {
		ticks++;
		outb(0x20, 0x20);
		return;
	}
	if (t->vector == 39) /* spurious: no end of interrupt */
		return;
	if (t->vector == 14 && (t->cs & 3) == 3) {
		page_fault(t);
		return;
	}
	if (t->vector == 13 && (t->cs & 3) == 3) {
		print("      \033[33m#GP(%x)\033[0m at %x in ring %u: CLI needs CPL <= IOPL, and "
		      "IOPL is %u\n",
		      t->error, t->rip, t->cs & 3, t->rflags >> 12 & 3);
		t->rip += 1;
		faults++;
		return;
	}
	print("\n*** unexpected exception %u, error %x at %x, CR2 %x\n", t->vector, t->error,
	      t->rip, read_cr2());
	for (;;)
		__asm__ volatile("cli; hlt");
}

u64 guest_syscall(u64 number, u64 a, u64 b)
{
	(void)b;
	switch (number) {
	case 0: leave_user();
	case 1: print("    ring 3: %s\n", (const char *)a); break;
	case 2: print("    ring 3: CS is %x, so CPL is %u\n", a, a & 3); break;
	default: return -1ul;
	}
	return 0;
}

static void set_gate(u64 vector, u64 entry)
{
	idt[vector] = (struct gate){.low = (u16)entry,
				    .sel = 0x08,
				    .ist = 0,
				    .type = vector == 3 ? 0xee : 0x8e,
				    .mid = (u16)(entry >> 16),
				    .high = (u32)(entry >> 32)};
}

static void load_tables(void)
{
	u64 base = (u64)&tss, limit = sizeof(tss) - 1;
	struct __attribute__((packed)) {
		u16 limit;
		u64 base;
	} idtr = {sizeof(idt) - 1, (u64)idt};
	tss.rsp[0] = (u64)trap_stack_top;
	tss.iomap = sizeof(tss);
	gdt[5] = limit | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
	gdt[6] = base >> 32;
	__asm__ volatile("ltr %w0" : : "r"(0x28));
	for (const u64 *e = trap_entries; e[0]; e += 2)
		set_gate(e[0], e[1]);
	__asm__ volatile("lidt %0" : : "m"(idtr));
}

/* 8259As to vectors 20h-2Fh, only IRQ 0 open; PIT channel 0 at 100 Hz (1193182 / 11932). */
static void start_timer(void)
{
	static const u8 icw[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 0x20}, {0xa1, 0x28},
				    {0x21, 4},    {0xa1, 2},    {0x21, 1},    {0xa1, 1},
				    {0x21, 0xfe}, {0xa1, 0xff}};
	for (unsigned i = 0; i < sizeof(icw) / sizeof(icw[0]); i++)
		outb(icw[i][0], icw[i][1]);
	outb(0x43, 0x34);
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
	__asm__ volatile("sti");
}

void traps_init(void)
{
	load_tables();
	wrmsr(0xc0000081, 0x08ul << 32 | 0x10ul << 48); /* STAR */
	wrmsr(0xc0000082, (u64)syscall_entry);          /* LSTAR */
	wrmsr(0xc0000084, 0x600);                       /* SFMASK: IF, DF */
	start_timer();
}

void wait_ticks(u64 n)
{
	u64 until = ticks + n;
	while (ticks < until)
		__asm__ volatile("hlt");
}

void run_user(void)
{
	pt_user[0] = (u64)user_code_start | 5; /* present, user, read-only */
	pt_user[1] = (u64)user_stack | 7;
	enter_user(USER_BASE + (u64)(user_program - user_code_start), USER_BASE + 0x2000);
	__asm__ volatile("sti"); /* SYSCALL had cleared IF */
}
