/* The instructions that tell or change the machine's state and yet do not trap: in rings 3, 1, 0, with UMIP, under VT-x. */
#include "vmx.h"

#define FAKE_GDT 0x12340000ul
#define FAKE_IDT 0x56780000ul
#define CR4_UMIP (1ul << 11)

struct table {
	u16 limit;
	u64 base;
} __attribute__((packed));

/* Each in the ring under test: they run from user pages and return what they learned. */
static USER uw do_sgdt(uw a) { struct table t; ASM("sgdt %0" : "=m"(t)); return t.base; }
static USER uw do_sidt(uw a) { struct table t; ASM("sidt %0" : "=m"(t)); return t.base; }
static USER uw do_sldt(uw a) { uw v = 0; ASM("sldt %0" : "=r"(v)); return v; }
static USER uw do_str(uw a) { uw v = 0; ASM("str %0" : "=r"(v)); return v; }
static USER uw do_smsw(uw a) { uw v = 0; ASM("smsw %0" : "=r"(v)); return v; }
static USER uw do_movcs(uw a) { uw v = 0; ASM("mov %%cs, %0" : "=r"(v)); return v; }
static USER uw do_pushf(uw a) { uw v; ASM("pushfq; popq %0" : "=r"(v)); return v; }
/* Tries to turn interrupts on, tells what became of IF. */
static USER uw do_popf(uw a)
{
	uw v;
	ASM("pushfq; orq $0x200, (%%rsp); popfq; pushfq; popq %0; pushfq; andq $~0x200, (%%rsp); popfq" : "=r"(v) : : "cc", "memory");
	return v >> 9 & 1;
}
static USER uw do_lar(uw a) { uw v = 0; ASM("lar %1, %0" : "+r"(v) : "r"((uw)CODE0) : "cc"); return v; }
static USER uw do_lsl(uw a) { uw v = 0; ASM("lsl %1, %0" : "+r"(v) : "r"((uw)TSS_SEL) : "cc"); return v; }
static USER uw do_verr(uw a) { u8 ok; ASM("verr %w1; setz %0" : "=r"(ok) : "r"(DATA0) : "cc"); return ok; }
static USER uw do_verw(uw a) { u8 ok; ASM("verw %w1; setz %0" : "=r"(ok) : "r"(DATA0) : "cc"); return ok; }
/* A selector as the processor left it: on the way to an outer ring it clears those of inner ones (SDM Vol. 2A, IRET). */
static USER uw do_push(uw a) { uw v; ASM("pushq %%fs; popq %0" : "=r"(v)); return v; }
static USER uw do_pop(uw a) { ASM("pushq %%fs; pushq %0; popq %%fs; popq %%fs" : : "i"(DATA0) : "memory"); return 0; }
/* CALL, JMP, RET to ring 0's code segment: the CPL they run with decides. Each returns the CS it came to. */
struct far {
	u64 offset;
	u16 selector;
} __attribute__((packed));
USER_DATA struct far far_pointer;
uw do_call(uw a), do_jmp(uw a), do_ret(uw a);
__asm__(".pushsection .user, \"ax\"\n"
	"do_call:\n	movq $1f, far_pointer\n	movw $8, far_pointer + 8\n"
	"	.byte 0x48, 0xff, 0x1c, 0x25\n	.long far_pointer\n	ret\n" /* CALL m16:64 */
	"1:	movl %cs, %eax\n	lretq\n"
	"do_jmp:\n	movq $1f, far_pointer\n	movw $8, far_pointer + 8\n"
	"	.byte 0x48, 0xff, 0x2c, 0x25\n	.long far_pointer\n" /* JMP m16:64 */
	"1:	movl %cs, %eax\n	ret\n"
	"do_ret:\n	pushq $8\n	pushq $1f\n	lretq\n"
	"1:	movl %cs, %eax\n	ret\n"
	".popsection\n");
#define OWN_VECTOR 50
static USER uw do_int(uw a) { ASM("int %0" : : "i"(OWN_VECTOR)); return 0; }
static USER uw do_cli(uw a) { ASM("cli"); return 0; }
static USER uw do_hlt(uw a) { ASM("hlt"); return 0; }
static USER uw do_movcr0(uw a) { uw v; ASM("mov %%cr0, %0" : "=r"(v)); return v; }
static USER uw do_lidt(uw a) { struct table t; ASM("sidt %0; lidt %0" : "=m"(t)); return 0; }

static const struct {
	const char *name;
	uw (*fn)(uw);
} tests[] = {
    {"sgdt", do_sgdt}, {"sidt", do_sidt}, {"sldt", do_sldt}, {"str", do_str}, {"smsw", do_smsw}, {"movcs", do_movcs}, {"pushf", do_pushf},
    {"popf", do_popf}, {"lar", do_lar}, {"lsl", do_lsl}, {"verr", do_verr}, {"verw", do_verw}, {"push", do_push}, {"pop", do_pop},
    {"call", do_call}, {"jmp", do_jmp}, {"ret", do_ret}, {"cli", do_cli}, {"movcr0", do_movcr0}, {"int", do_int}, {"lidt", do_lidt},
};
#define TESTS (sizeof(tests) / sizeof(tests[0]))
#define VM_TESTS (TESTS - 2) /* not INT and LIDT: the virtual machine has no IDT of its own */

static void name_of(char *buf, const char *a, const char *b)
{
	while (*a)
		*buf++ = *a++;
	while (*b)
		*buf++ = *b++;
	*buf = 0;
}

/* Real values, to compare with what an outer ring learns. */
static uw truth(unsigned i)
{
	return i < 5 || i == 5 || i == 8 || i == 9 ? tests[i].fn(0) : 0;
}

static void run_all(const char *name, unsigned ring)
{
	struct outcome got[TESTS];
	char key[24];

	phase(name);
	for (unsigned i = 0; i < TESTS; i++) {
		ASM("movl %0, %%fs" : : "r"(DATA0));
		got[i] = *in_ring(ring, tests[i].fn, 0);
	}
	phase_end();
	for (unsigned i = 0; i < TESTS; i++) {
		obs(tests[i].name, (uw)got[i].vector & 0xff);
		name_of(key, tests[i].name, ".value");
		obs(key, got[i].vector < 0 ? got[i].value : 0);
		name_of(key, tests[i].name, ".leaks");
		obs(key, got[i].vector < 0 && truth(i) && got[i].value == truth(i));
	}
	say("%s:", name);
	for (unsigned i = 0; i < TESTS; i++)
		say(" %s %s", tests[i].name, got[i].vector < 0 ? "-" : vector_name(got[i].vector));
	say("\n");
}

/* ---- under VT-x: the same in the guest's ring 0, with a monitor that lies ---- */

static struct vm vm;
static volatile uw guest_value[TESTS];

static void guest_code(void)
{
	for (unsigned i = 0; i < VM_TESTS; i++)
		guest_value[i] = tests[i].fn(0);
	ASM("vmcall");
}

/* SGDT, SIDT: where the operand lies is in the exit's instruction information: here always (%rsp)-based, no index. */
static void emulate_tables(void)
{
	u64 info = vmread(V_INSN_INFO), *regs[16] = {&vm.ax, &vm.cx, &vm.dx, &vm.bx, 0, &vm.bp, &vm.si, &vm.di, &vm.r8, &vm.r9,
						     &vm.r10, &vm.r11, &vm.r12, &vm.r13, &vm.r14, &vm.r15};
	unsigned base = info >> 23 & 15, what = info >> 28 & 3;
	u64 addr = vmread(V_QUAL) + (info >> 27 & 1 ? 0 : base == 4 ? vmread(V_GUEST_RSP) : *regs[base]);
	struct table *t = (struct table *)addr;

	t->limit = 0x7f;
	t->base = what == 0 ? FAKE_GDT : FAKE_IDT;
	vm_skip();
}

static void under_vtx(void)
{
	static u8 stack[4096] __attribute__((aligned(16)));
	unsigned reason;
	char key[24];

	if (vmx_on()) {
		say("no VT-x\n");
		return;
	}
	vm_init(&vm, guest_code, (uw)stack + sizeof(stack) - 8, get_cr3());
	vmwrite(V_PROC, VMX_PROC(PROC_HLT | PROC_MSR_BITMAPS | PROC_SECONDARY));
	vmwrite(V_PROC2, VMX_PROC2(PROC2_DESC));
	vmwrite(V_CR0_MASK, 0x8); /* TS is ours; the guest sees it set */
	vmwrite(V_CR0_SHADOW, get_cr0() | 8);
	phase("vtx");
	while ((reason = vm_run(&vm)) != X_VMCALL) {
		if (reason == X_GDT_IDT) {
			emulate_tables();
		} else if (reason == X_LDT_TR) { /* to a register: bits 6:3 */
			u64 info = vmread(V_INSN_INFO), *regs[16] = {&vm.ax, &vm.cx, &vm.dx, &vm.bx, 0, &vm.bp, &vm.si, &vm.di,
								     &vm.r8, &vm.r9, &vm.r10, &vm.r11, &vm.r12, &vm.r13, &vm.r14, &vm.r15};
			*regs[info >> 3 & 15] = info >> 28 & 1 ? 0x28 : 0x30;
			vm_skip();
		} else {
			say("*** exit %u at %x\n", (uw)reason, (uw)vmread(V_GUEST_RIP));
			break;
		}
	}
	phase_end();
	show("vmcs");
	for (unsigned i = 0; i < VM_TESTS; i++) {
		obs(tests[i].name, 255);
		name_of(key, tests[i].name, ".value");
		obs(key, guest_value[i]);
	}
	obs("sgdt.lie", guest_value[0] == FAKE_GDT);
	obs("sidt.lie", guest_value[1] == FAKE_IDT);
	obs("str.lie", guest_value[3] == 0x28);
	obs("smsw.lie", guest_value[4] >> 3 & 1);
	obs("movcs.cpl", guest_value[5] & 3);
	vmx_off();
	lab_reload_tr();
}

void lab_main(void)
{
	run_all("ring3", 3);
	run_all("ring1", 1);
	run_all("ring0", 0);
	set_cr4(get_cr4() | CR4_UMIP);
	run_all("umip3", 3);
	run_all("umip1", 1);
	run_all("umip0", 0);
	set_cr4(get_cr4() & ~CR4_UMIP);
	under_vtx();
}
