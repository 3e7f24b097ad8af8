/* The four rings: every way between them, the right and the wrong ones. SDM Vol. 3A, chapter 5. */
#include "lab.h"

/* The lab's own descriptors, from FREE_SEL on. */
enum { S_GATE0 = 0x58, S_GATE1 = 0x60, S_GATE_DPL0 = 0x68, S_GATE_GONE = 0x70, S_CONF0 = 0x78, S_CONF3 = 0x80, S_GATE_OUT = 0x88 };

static volatile uw inner_cs, inner_sp, inner_sum;

static u64 call_gate(void (*entry)(void), unsigned sel, unsigned dpl, unsigned words, unsigned present)
{
	u32 e = (u32)entry;
	return (e & 0xffff) | (u64)sel << 16 | (u64)words << 32 | (u64)(0xc | dpl << 5 | present << 7) << 40 | (u64)(e >> 16) << 48;
}

/* Behind the gates: note ring and stack, add up the two parameters, go back. */
void gate_entry(void);
ASM_TOP("gate_entry:\n"
	"	movl %cs, %eax\n"
	"	movl %ds, %ecx\n"
	"	pushl %ecx\n"
	"	movl $0x23, %ecx\n" /* DPL 3: every ring may use it */
	"	movl %ecx, %ds\n"
	"	movl %eax, inner_cs\n"
	"	leal 4(%esp), %eax\n"
	"	movl %eax, inner_sp\n"
	"	movl 12(%esp), %eax\n"
	"	addl 16(%esp), %eax\n"
	"	movl %eax, inner_sum\n"
	"	popl %ecx\n"
	"	movl %ecx, %ds\n"
	"	lretl $8\n");

/* Far calls of one selector each; two words on the stack as parameters. */
#define FAR_CALL(name, sel)                                                                                                      \
	static USER uw name(uw arg)                                                                                              \
	{                                                                                                                        \
		ASM("pushl $40; pushl $2; lcall %0, $0" : : "i"(sel) : "eax", "ecx", "memory");                                   \
		return arg;                                                                                                      \
	}
FAR_CALL(call_gate0, S_GATE0 | 3)
FAR_CALL(call_gate1, S_GATE1 | 3)
FAR_CALL(call_dpl0, S_GATE_DPL0 | 3)
FAR_CALL(call_gone, S_GATE_GONE | 3)
FAR_CALL(call_out, S_GATE_OUT)

/* Direct far calls, without a gate. */
void conforming(void);
ASM_TOP("conforming:\n"
	"	movw %cs, inner_cs\n"
	"	lretl\n");
static USER uw call_code0(uw arg)
{
	ASM("lcall %0, $conforming" : : "i"(CODE0 | 3) : "eax", "memory");
	return arg;
}
static USER uw call_conforming(uw arg)
{
	ASM("lcall %0, $conforming" : : "i"(S_CONF0 | 3) : "eax", "memory");
	return arg;
}
static USER uw call_conforming3(uw arg)
{
	ASM("lcall %0, $conforming" : : "i"(S_CONF3) : "eax", "memory");
	return arg;
}

static USER uw cpl(uw arg)
{
	return get_cs() & 3;
}
static USER uw load_ss(uw sel)
{
	ASM("movl %0, %%ss" : : "r"(sel));
	return sel;
}
static USER uw load_ds(uw sel)
{
	ASM("pushl %%ds; movl %0, %%ds; popl %%ds" : : "r"(sel) : "memory");
	return sel;
}
static USER uw int_3f(uw arg)
{
	ASM("int $0x3f");
	return arg;
}
static USER uw retf_inward(uw arg)
{
	ASM("pushl %0; pushl $conforming; lretl" : : "i"(CODE0));
	return arg;
}

/* ---- SYSENTER ---- */
void sysenter_entry(void);
ASM_TOP("sysenter_entry:\n"
	"	movl %cs, %eax\n"
	"	pushl %ds\n"
	"	movl $0x10, %ebx\n"
	"	movl %ebx, %ds\n"
	"	movl %eax, inner_cs\n"
	"	popl %ds\n"
	"	sysexit\n"); /* to EDX, stack ECX, in ring 3 */
static USER uw sysenter(uw arg)
{
	ASM("movl %%esp, %%ecx; movl $1f, %%edx; sysenter\n1:" : : : "eax", "ebx", "ecx", "edx", "memory");
	return get_cs() & 3;
}
static USER uw sysexit3(uw arg)
{
	ASM("movl %%esp, %%ecx; movl $1f, %%edx; sysexit\n1:" : : : "ecx", "edx", "memory");
	return arg;
}

/* ---- the program ---- */
static void attempt(const char *name, unsigned ring, uw (*fn)(uw), uw arg)
{
	inner_cs = 0xff;
	phase(name);
	in_ring(ring, fn, arg);
	phase_end();
	say("%s: from ring %u: %s", name, (uw)ring, vector_name(last.vector));
	if (last.vector >= 0)
		say(", error code %x", (uw)last.error);
	say("\n");
	obs("vector", (uw)last.vector & 0xff);
	obs("error", last.error);
	if (inner_cs != 0xff)
		obs("ring", inner_cs & 3);
}

static void stack_seen(uw top)
{
	obs("words", (top - inner_sp) / 4);
	obs("stack_ok", top - inner_sp <= 64);
	obs("sum", inner_sum);
}

static void data_and_code(void)
{
	attempt("segment", 3, load_ss, DATA0);
	attempt("data0", 3, load_ds, DATA0);
	attempt("rpl", 0, load_ds, DATA0 | 3);
	attempt("direct", 3, call_code0, 0);
	attempt("conforming", 3, call_conforming, 0);
	attempt("conforming_inner", 0, call_conforming3, 0);
	attempt("retf_inward", 3, retf_inward, 0);
}

static void gates(void)
{
	u32 keep = lab_tss[2];

	attempt("callgate", 3, call_gate0, 0);
	stack_seen(lab_tss[1]);
	attempt("gate1", 3, call_gate1, 0);
	stack_seen(lab_tss[3]);
	attempt("gate_dpl", 3, call_dpl0, 0);
	obs("error_is_gate", last.error == S_GATE_DPL0);
	attempt("gate_absent", 3, call_gone, 0);
	attempt("outward", 0, call_out, 0);
	lab_tss[4] = 0; /* no SS1 */
	attempt("stack_absent", 3, call_gate1, 0);
	lab_tss[4] = DATA1;
	lab_tss[2] = keep;
	attempt("int_dpl3", 3, cpl, 0); /* comes back by INT 80h */
	attempt("int_dpl0", 3, int_3f, 0);
}

void lab_main(void)
{
	static const char *const names[] = {"ring0", "ring1", "ring2", "ring3"};

	lab_gdt[S_GATE0 / 8] = call_gate(gate_entry, CODE0, 3, 2, 1);
	lab_gdt[S_GATE1 / 8] = call_gate(gate_entry, CODE1, 3, 2, 1);
	lab_gdt[S_GATE_DPL0 / 8] = call_gate(gate_entry, CODE0, 0, 2, 1);
	lab_gdt[S_GATE_GONE / 8] = call_gate(gate_entry, CODE0, 3, 2, 0);
	lab_gdt[S_GATE_OUT / 8] = call_gate(gate_entry, CODE3, 3, 2, 1);
	lab_gdt[S_CONF0 / 8] = 0x00cf9f000000ffff;
	lab_gdt[S_CONF3 / 8] = 0x00cfff000000ffff;
	set_gate(0x3f, (void (*)(void))gate_entry, CODE0, 0x8e);
	show("gdt");
	show("tss");
	for (unsigned r = 0; r < 4; r++) {
		phase(names[r]);
		in_ring(r, cpl, 0);
		phase_end();
		obs("cpl", last.value);
	}
	data_and_code();
	gates();
	wrmsr(0x174, CODE0);
	wrmsr(0x175, lab_tss[1]);
	wrmsr(0x176, (uw)sysenter_entry);
	attempt("sysenter", 3, sysenter, 0);
	attempt("sysexit3", 3, sysexit3, 0);
	attempt("sysenter1", 1, sysenter, 0);
	obs("back_in", last.value);
	show("idt");
}
