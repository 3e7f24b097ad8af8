/* Rings in 64-bit mode: SYSCALL and SYSRET, call gates, interrupt stacks. SDM Vol. 3A, 5.8.3.1, 5.8.8, 6.14. */
#include "lab.h"

enum { S_SYSRET = 0x50, S_DATA3 = 0x58, S_CODE3 = 0x60, S_GATE = 0x68 }; /* SYSRET: SS is base + 8, CS base + 16 */
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_SFMASK 0xc0000084
#define EFER 0xc0000080
#define IST_VECTOR 33

USER_DATA volatile uw seen_sp, seen_cs, seen_ss, seen_flags, seen_rcx, want_rcx;

/* SYSCALL arrives here on the caller's stack. */
void syscall_entry(void);
ASM_TOP("syscall_entry:\n"
	"	movq %rsp, seen_sp\n"
	"	movq %rcx, seen_rcx\n"
	"	movl %cs, %eax\n"
	"	movq %rax, seen_cs\n"
	"	movl %ss, %eax\n"
	"	movq %rax, seen_ss\n"
	"	pushfq\n"
	"	popq %rax\n"
	"	movq %rax, seen_flags\n"
	"	cmpq $0, want_rcx\n"
	"	cmovneq want_rcx, %rcx\n"
	"	sysretq\n");

void gate_entry(void);
ASM_TOP("gate_entry:\n"
	"	movq %rsp, seen_sp\n"
	"	movl %cs, %eax\n"
	"	movq %rax, seen_cs\n"
	"	movl %ss, %eax\n"
	"	movq %rax, seen_ss\n"
	"	lretq\n");

static USER uw do_syscall(uw a)
{
	uw cs;
	ASM("syscall" : : : "rax", "rcx", "r11", "memory");
	ASM("mov %%cs, %0" : "=r"(cs));
	return cs;
}
static USER uw do_sysret(uw a)
{
	ASM("leaq 1f(%%rip), %%rcx; pushfq; popq %%r11; sysretq; 1:" : : : "rcx", "r11", "memory");
	return 0;
}
static USER_DATA struct {
	u32 offset;
	u16 sel;
} __attribute__((packed)) far = {0, S_GATE | 3};
static USER uw do_gate(uw a)
{
	ASM("lcall *%0" : : "m"(far) : "rax", "memory");
	return 0;
}
static USER uw do_int(uw a)
{
	ASM("int %0" : : "i"(IST_VECTOR));
	return 0;
}

static void call_gate(unsigned dpl)
{
	uw e = (uw)gate_entry;
	lab_gdt[S_GATE / 8] = (e & 0xffff) | CODE0 << 16 | (u64)(0x8c | dpl << 5) << 40 | (e >> 16 & 0xffff) << 48;
	lab_gdt[S_GATE / 8 + 1] = e >> 32;
}

static void attempt(const char *name, unsigned ring, uw (*fn)(uw))
{
	seen_cs = 0xff;
	seen_ss = 0xff;
	phase(name);
	run_at(ring == 3 ? CODE3 : ring == 1 ? CODE1 : CODE0, ring == 3 ? DATA3 : ring == 1 ? DATA1 : DATA0, (uw)fn, ring_stack(ring),
	       ring == 3 ? 0x202 : 2, 0);
	phase_end();
	say("%s: from ring %u: %s", name, (uw)ring, vector_name(last.vector));
	if (last.vector >= 0)
		say(", error code %x, in ring %u", (uw)last.error, last.cs & 3);
	say("\n");
	obs("vector", (uw)last.vector & 0xff);
	obs("fault_ring", last.vector >= 0 ? last.cs & 3 : 255);
	if (seen_cs != 0xff) {
		obs("ring", seen_cs & 3);
		obs("ss", seen_ss);
	}
	obs("own_stack", seen_sp <= ring_stack(ring) && seen_sp > ring_stack(ring) - 4096);
	obs("back_in", last.vector < 0 ? last.value & 3 : 255);
}

/* ---- a stack of its own for one vector ---- */

static u8 ist_stack[4096] __attribute__((aligned(16)));
static int on_ist;
static int hook(struct trap *t)
{
	if (t->vector == IST_VECTOR)
		on_ist = (u8 *)t >= ist_stack && (u8 *)t < ist_stack + sizeof(ist_stack);
	return t->vector == IST_VECTOR;
}

static void ist(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idt;
	u64 *gate;

	ASM("sidt %0" : "=m"(idt));
	gate = (u64 *)idt.base + IST_VECTOR * 2;
	set_gate_dpl(IST_VECTOR, 3);
	lab_hook = hook;
	attempt("int_rsp0", 3, do_int);
	obs("on_ist", (uw)on_ist);
	lab_tss[11] = (u32)(uw)(ist_stack + sizeof(ist_stack)); /* IST2 */
	*gate |= 2ull << 32;
	attempt("int_ist", 3, do_int);
	obs("on_ist", (uw)on_ist);
	lab_hook = 0;
}

void lab_main(void)
{
	outb(0x21, 0xff);
	lab_gdt[S_DATA3 / 8] = 0x00cff3000000ffff;
	lab_gdt[S_CODE3 / 8] = 0x00affb000000ffff;
	wrmsr(MSR_STAR, (u64)(S_SYSRET | 3) << 48 | (u64)CODE0 << 32);
	wrmsr(MSR_LSTAR, (uw)syscall_entry);
	wrmsr(MSR_SFMASK, 0x200);
	wrmsr(EFER, rdmsr(EFER) | 1); /* SCE */
	attempt("syscall", 3, do_syscall);
	obs("if_masked", !(seen_flags >> 9 & 1));
	obs("rcx_is_return", seen_rcx > (uw)do_syscall && seen_rcx < (uw)do_syscall + 32);
	attempt("syscall1", 1, do_syscall);
	attempt("sysret3", 3, do_sysret);
	want_rcx = 0x800000000000; /* not canonical */
	attempt("sysret_bad", 3, do_syscall);
	want_rcx = 0;
	wrmsr(EFER, rdmsr(EFER) & ~1ull);
	attempt("sce_off", 3, do_syscall);
	wrmsr(EFER, rdmsr(EFER) | 1);
	call_gate(3);
	attempt("callgate", 3, do_gate);
	obs("words", (((uw)lab_tss[2] << 32 | lab_tss[1]) - seen_sp) / 8);
	call_gate(0);
	attempt("callgate_dpl0", 3, do_gate);
	ist();
	show("gdt");
	show("tss");
}
