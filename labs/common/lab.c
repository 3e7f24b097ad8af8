/* The labs' common part in C: talking to the runner, tables, rings, traps. See lab.h. */
#include "format.h"
#include "lab.h"

#ifdef __x86_64__
#define IDT_WORDS 2
#else
#define IDT_WORDS 1
#endif

u64 lab_gdt[32] __attribute__((aligned(16)));
static u64 idt[256 * IDT_WORDS] __attribute__((aligned(16)));
static u32 tss[26 + 9] __attribute__((aligned(16))); /* and a map of ports up to FFh, with its byte of ones */
u32 *const lab_tss = tss;
static u8 *const port_map = (u8 *)(tss + 26);
static u8 trap_stack[8192] __attribute__((aligned(16)));
#ifdef __x86_64__
static u8 double_stack[4096] __attribute__((aligned(16)));
#endif
static u8 stacks[4][4096] __attribute__((aligned(4096), section(".userdata")));
static u8 inner_stack[8192] __attribute__((aligned(16)));
struct outcome last;
int (*lab_hook)(struct trap *t);
static int active;

void lab_main(void);
void ring_exit(void), ring_exit0(void);
uw enter_at(uw cs, uw ss, uw ip, uw sp, uw flags, uw arg, uw ds);
void leave_at(uw value) __attribute__((noreturn));
extern uw trap_entries[];
extern u8 user_start[], user_end[];

void *memset(void *p, int c, unsigned long n)
{
	void *at = p;

	ASM("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
	void *at = to;

	ASM("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

/* ---- the runner ---- */

static char before = '\n';

static void put(char c)
{
	before = c;
	outb(0xe9, (u8)c);
}

void say(const char *f, ...)
{
	__builtin_va_list ap;
	__builtin_va_start(ap, f);
	guest_format(put, f, ap);
	__builtin_va_end(ap);
}

/* A line for the runner begins on a line of its own. */
static void fresh_line(void)
{
	if (before != '\n')
		put('\n');
}

void phase(const char *name)
{
	count_off();
	fresh_line();
	say("@phase %s\n", name);
	count_on();
}

void phase_end(void)
{
	count_off();
}

void obs(const char *name, uw value)
{
	fresh_line();
	say("@obs %s %x\n", name, value);
}

void walk(uw address)
{
	fresh_line();
	say("@walk %x\n", address);
}

void show(const char *what)
{
	fresh_line();
	say("@show %s\n", what);
}

void lab_exit(unsigned code)
{
	count_off();
	fresh_line();
	say("@end %u\n", (uw)code);
	for (;;)
		outb(0xf4, (u8)code);
}

const char *vector_name(int v)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9", "#TS",
					    "#NP", "#SS", "#GP", "#PF", "15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	return v < 0 ? "no fault" : v < 22 ? names[v] : v == 32 ? "timer" : "interrupt";
}

/* ---- tables ---- */

void set_gate(unsigned vector, void (*entry)(void), unsigned sel, unsigned type)
{
	uw e = (uw)entry;
	idt[vector * IDT_WORDS] = (e & 0xffff) | (u64)sel << 16 | (u64)type << 40 | (u64)(e >> 16 & 0xffff) << 48;
#ifdef __x86_64__
	idt[vector * 2 + 1] = e >> 32;
	if (vector == 8)
		idt[16] |= 1ull << 32; /* IST1 */
#endif
}

void set_gate_dpl(unsigned vector, unsigned dpl)
{
	idt[vector * IDT_WORDS] = (idt[vector * IDT_WORDS] & ~(3ull << 45)) | (u64)dpl << 45;
}

void allow_port(u16 port, int allow)
{
	if (allow)
		port_map[port / 8] &= (u8)~(1 << port % 8);
	else
		port_map[port / 8] |= (u8)(1 << port % 8);
}

uw ring_stack(unsigned ring)
{
	return ring ? (uw)stacks[ring] + 4096 : (uw)inner_stack + sizeof(inner_stack);
}

static void load_tables(void)
{
	struct {
		u16 limit;
		uw base;
	} __attribute__((packed)) gdtr = {sizeof(lab_gdt) - 1, (uw)lab_gdt}, idtr = {sizeof(idt) - 1, (uw)idt};
	u64 code = sizeof(uw) == 8 ? 0x00af9b000000ffff : 0x00cf9b000000ffff, data = 0x00cf93000000ffff;
	static const u8 order[] = {0, 3, 1, 2};
	uw base = (uw)&tss;

	for (unsigned i = 0; i < 4; i++) {
		lab_gdt[1 + 2 * i] = code | (u64)order[i] << 45;
		lab_gdt[2 + 2 * i] = data | (u64)order[i] << 45;
	}
	lab_gdt[9] = (sizeof(tss) - 1) | (u64)(base & 0xffffff) << 16 | 0x890000000000ull | (u64)(base >> 24 & 0xff) << 56;
#ifdef __x86_64__
	lab_gdt[10] = base >> 32;
#endif
	ASM("lgdt %0" : : "m"(gdtr));
	ASM("lidt %0" : : "m"(idtr));
	ASM("ltr %w0" : : "r"(TSS_SEL));
}

void lab_reload_tr(void)
{
	lab_gdt[9] &= ~(2ull << 40); /* not busy */
	ASM("ltr %w0" : : "r"(TSS_SEL));
}

static void init_tss(void)
{
#ifdef __x86_64__
	uw rsp0 = (uw)trap_stack + sizeof(trap_stack), ist1 = (uw)double_stack + sizeof(double_stack);
	tss[1] = (u32)rsp0;
	tss[9] = (u32)ist1;
	tss[25] = 104u << 16;
#else
	tss[1] = (uw)trap_stack + sizeof(trap_stack);
	tss[2] = DATA0;
	tss[3] = ring_stack(1);
	tss[4] = DATA1;
	tss[5] = ring_stack(2);
	tss[6] = DATA2;
	tss[25] = 104u << 16;
#endif
	memset(port_map, 0xff, 36);
	allow_port(0xe9, 1);
	allow_port(0xed, 1);
}

/* ---- rings ---- */

struct outcome *run_at(uw cs, uw ss, uw ip, uw sp, uw flags, uw arg)
{
	int before = active;
	last = (struct outcome){.vector = -1};
	active = 1;
	uw *stack = (uw *)(sp & ~15ul);
	if (sizeof(uw) == 4)
		*--stack = arg;
	*--stack = cs & 3 ? (uw)ring_exit : (uw)ring_exit0;
	uw v = enter_at(cs, ss, ip, (uw)stack, flags, arg, ss & 3 ? ss : DATA0);
	active = before;
	if (last.vector < 0)
		last.value = v;
	return &last;
}

struct outcome *in_ring(unsigned ring, uw (*fn)(uw), uw arg)
{
	static const u16 cs[] = {CODE0, CODE1, CODE2, CODE3}, ss[] = {DATA0, DATA1, DATA2, DATA3};
	return run_at(cs[ring], ss[ring], (uw)fn, ring_stack(ring), 2, arg);
}

void leave_ring(struct trap *t, int vector)
{
	last.vector = vector;
	last.error = (u32)t->error;
	last.ip = t->ip;
	last.flags = t->flags;
	last.cs = t->cs & 0xffff;
	last.cr2 = vector == 14 ? get_cr2() : 0;
	leave_at(t->ax);
}

void lab_trap(struct trap *t)
{
	if (lab_hook && lab_hook(t))
		return;
	if (active)
		leave_ring(t, t->vector == 0x80 ? -1 : (int)t->vector);
	count_off();
	say("*** unexpected %s, error code %x, at %x in ring %u, CR2 %x\n", vector_name((int)t->vector), t->error, t->ip,
	    t->cs & 3, t->vector == 14 ? get_cr2() : 0);
	lab_exit(99);
}

/* ---- memory ---- */

#define POOL 0x400000ul /* to 8 MiB: behind everything that is loaded */
static unsigned pool_used;

void *page_alloc(void)
{
	if (pool_used == 1024) {
		say("*** page_alloc: no page left\n");
		lab_exit(98);
	}
	return memset((void *)(POOL + 4096 * pool_used++), 0, 4096);
}

#ifdef __x86_64__
u64 *pte_of(u64 *table, uw va)
{
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 e = table[va >> shift & 511];
		if (!(e & PG_P) || e & PG_PS)
			return 0;
		table = (u64 *)(e & 0x000ffffffffff000);
	}
	return &table[va >> 12 & 511];
}

void map(u64 *table, uw va, uw pa, u64 flags)
{
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *e = &table[va >> shift & 511];
		if (!(*e & PG_P))
			*e = (uw)page_alloc() | PG_P | PG_W | PG_U;
		table = (u64 *)(*e & 0x000ffffffffff000);
	}
	table[va >> 12 & 511] = pa | flags;
	invlpg(va);
}

static void open_user_pages(void)
{
	for (uw a = (uw)user_start; a < (uw)user_end; a += 4096)
		*pte_of(lab_pml4, a) |= PG_U;
	set_cr3(get_cr3());
}
#else
static void open_user_pages(void)
{
}
#endif

void lab_start(void)
{
	outb(0x21, 0xff); /* no interrupts from the board */
	outb(0xa1, 0xff);
	load_tables();
	init_tss();
	open_user_pages();
	for (unsigned i = 0; trap_entries[2 * i + 1]; i++)
		set_gate((unsigned)trap_entries[2 * i], (void (*)(void))trap_entries[2 * i + 1], CODE0,
			 trap_entries[2 * i] == 0x80 || trap_entries[2 * i] == 3 || trap_entries[2 * i] == 4 ? 0xee : 0x8e);
	lab_main();
	lab_exit(0);
}
