/* Four tiny monitors run the same guest: trap and emulate, binary translation, hypercalls, VT-x. */
#include "bt.h"
#include "vmx.h"

#define GUEST_IDT 0x12340000ul
#define GUEST_CR3 0x1000ul
#define OPS 100

#define EACH(DO) DO(plain) DO(masks) DO(flags) DO(cr3) DO(out) DO(sidt) DO(cpuid)
#define DECLARE(n) uw work_##n(uw), para_##n(uw);
EACH(DECLARE)
uw work_look(uw), work_write(uw), work_loop(uw), work_undefined(uw), para_bad(uw), para_loop(uw);

static USER_DATA u8 scratch[4096] __attribute__((aligned(4096)));
static uw secret[2]; /* the monitor's */
extern u8 user_start[], user_end[];

/* The virtual processor. */
static struct {
	uw cr3, outs;
	int dead; /* why it was stopped: a vector, 32 for too long without a word, 100 for a bad hypercall */
} guest;

static struct table {
	u16 limit;
	u64 base;
} __attribute__((packed)) host_idt;

/* ---- emulation, shared by trap-and-emulate and binary translation ---- */

static unsigned emulate(struct trap *t, const u8 *p)
{
	if (*p == 0xfa || *p == 0xfb) { /* CLI, STI */
		bt_vif = *p & 1;
		return 1;
	}
	if (*p == 0xe6) { /* OUT */
		guest.outs++;
		return 2;
	}
	if (*p == 0x8c && p[1] == 0xc8) { /* MOV %cs, %eax */
		t->ax = CODE0;
		return 2;
	}
	if (*p != 0x0f)
		return 0;
	if (p[1] == 0x20 && p[2] == 0xd8) { /* MOV %cr3, %rax */
		t->ax = guest.cr3;
		return 3;
	}
	if (p[1] == 0x22 && p[2] == 0xd8) {
		guest.cr3 = t->ax;
		return 3;
	}
	if (p[1] == 0xa2) { /* CPUID: of leaf 0 only */
		t->ax = 1;
		t->bx = t->cx = t->dx = 0x20202020;
		return 2;
	}
	if (p[1] == 0x01 && p[2] == 0x0f) { /* SIDT (%rdi), if that is the guest's own memory */
		if (t->di < (uw)scratch || t->di > (uw)scratch + 4080)
			return 0;
		*(struct table *)t->di = (struct table){0xff, GUEST_IDT};
		return 3;
	}
	return 0;
}

/* Every trap that is nobody's ends the guest, and only the guest. */
static int stop(struct trap *t)
{
	guest.dead = (int)t->vector;
	leave_ring(t, (int)t->vector);
}

static int timer(struct trap *t)
{
	static unsigned silent;

	if (t->vector != 32)
		return 0;
	outb(0x20, 0x20);
	if (++silent % 4 == 0)
		stop(t);
	return 1;
}

static int te_trap(struct trap *t)
{
	unsigned n;

	if ((t->cs & 3) == 0 || t->vector == 0x80)
		return 0;
	if (timer(t))
		return 1;
	if (t->vector == 13 && (n = emulate(t, (const u8 *)t->ip))) {
		t->ip += n;
		return 1;
	}
	return stop(t);
}

static int translator_trap(struct trap *t)
{
	if ((t->cs & 3) == 0 || t->vector == 0x80)
		return 0;
	return timer(t) || bt_trap(t) || stop(t);
}

static int hypercall_trap(struct trap *t)
{
	if ((t->cs & 3) == 0 || t->vector == 0x80)
		return 0;
	if (timer(t))
		return 1;
	if (t->vector != 48)
		return stop(t);
	switch (t->ax) {
	case 1: t->ax = guest.cr3; return 1;
	case 2: guest.cr3 = t->dx; return 1;
	case 3: guest.outs++; return 1;
	case 4: t->ax = 1; return 1;
	}
	guest.dead = 100;
	leave_ring(t, 100);
}

/* ---- VT-x: the guest has ring 0 and page tables of its own, with nothing of the monitor in them ---- */

static struct vm vm;
static u64 *vm_tables;

static USER void vm_tail(void)
{
	ASM("vmcall");
}

static void vtx_prepare(void)
{
	vm_tables = page_alloc();
	for (uw a = (uw)user_start; a < (uw)user_end; a += 4096)
		map(vm_tables, a, a, PG_P | PG_W);
}

static uw vtx_io(void)
{
	guest.outs++;
	vm_skip();
	return 1;
}

static int vtx_exit(unsigned reason)
{
	u64 qual = vmread(V_QUAL);

	switch (reason) {
	case X_IO: vtx_io(); return 1;
	case X_CPUID:
		vm.ax = 1;
		vm.bx = vm.cx = vm.dx = 0x20202020;
		vm_skip();
		return 1;
	case X_GDT_IDT: /* SIDT (%rdi), if that is the guest's own memory; SDM Vol. 3C, table 27-10 */
		if ((vmread(V_INSN_INFO) & 0x3fc00000) != (1u << 28 | 7u << 23 | 1u << 22) || qual || vm.di < (uw)scratch ||
		    vm.di > (uw)scratch + 4080)
			return 0;
		*(struct table *)vm.di = (struct table){0xff, GUEST_IDT};
		vm_skip();
		return 1;
	case X_CR: /* CR3, to or from RAX */
		if ((qual & 15) != 3 || (qual >> 8 & 15))
			return 0;
		if (qual >> 4 & 3)
			vm.ax = guest.cr3;
		else
			guest.cr3 = vm.ax;
		vm_skip();
		return 1;
	}
	return 0;
}

static uw vtx_run(uw fn, uw arg)
{
	uw *sp = (uw *)ring_stack(3);
	unsigned reason, ticks = 0;

	*--sp = (uw)vm_tail;
	vm_init(&vm, (void (*)(void))fn, (uw)sp, (uw)vm_tables);
	vm.di = arg;
	vmwrite(V_PIN, VMX_PIN(1)); /* interrupts are the monitor's */
	vmwrite(V_PROC, VMX_PROC(PROC_HLT | PROC_MSR_BITMAPS | PROC_SECONDARY | PROC_CR3_LOAD | PROC_CR3_STORE | PROC_IO));
	vmwrite(V_PROC2, VMX_PROC2(PROC2_DESC));
	vmwrite(V_EXCEPTIONS, 0xffffffff);
	vmwrite(V_GUEST_RFLAGS, 0x202);
	count_on();
	while ((reason = vm_run(&vm)) != X_VMCALL) {
		if (reason == 1) { /* an interrupt: take it, and see how long the guest has been silent */
			ASM("sti; nop; cli");
			if (++ticks == 4) {
				guest.dead = 32;
				break;
			}
		} else if (!vtx_exit(reason)) {
			guest.dead = reason == X_EXCEPTION ? (int)(vmread(V_INTR) & 0xff) : 200;
			break;
		}
	}
	count_off();
	return vm.ax;
}

/* ---- the runs ---- */

enum monitor { NATIVE, TE, BT, PARA, VTX, MONITORS };
static const char *const names[] = {"native", "te", "bt", "para", "vtx"};

static int idle_tick(struct trap *t)
{
	if (t->vector != 32)
		return 0;
	outb(0x20, 0x20);
	return 1;
}

static uw run(enum monitor m, uw fn, uw arg)
{
	uw v;

	bt_vif = 1;
	guest.dead = -1;
	guest.cr3 = GUEST_CR3;
	count_off();
	if (m == VTX) {
		lab_hook = idle_tick;
		return vtx_run(fn, arg);
	}
	lab_hook = m == NATIVE ? idle_tick : m == TE ? te_trap : m == BT ? translator_trap : hypercall_trap;
	set_gate_dpl(48, 3);
	if (m == BT)
		bt_run(fn, arg, emulate); /* once to warm up: translation is paid once */
	bt_vif = 1;
	guest.outs = 0;
	count_on();
	if (m == NATIVE)
		v = run_at(CODE0, DATA0, fn, ring_stack(0), 0x202, arg)->value;
	else if (m == BT)
		v = bt_run(fn, arg, emulate)->value;
	else
		v = run_at(CODE3, DATA3, fn, ring_stack(3), 0x202, arg)->value;
	count_off();
	if (guest.dead < 0)
		guest.dead = last.vector;
	return v;
}

static void phase_of(enum monitor m, const char *what)
{
	char buf[32], *p = buf;

	for (const char *s = names[m]; *s;)
		*p++ = *s++;
	*p++ = '.';
	while (*what)
		*p++ = *what++;
	*p = 0;
	phase(buf);
	count_off();
}

static void all_work(enum monitor m)
{
#define ONE(n)                                                                                                                   \
	phase_of(m, #n);                                                                                                         \
	guest.outs = 0;                                                                                                          \
	run(m, m == PARA ? (uw)para_##n : (uw)work_##n, (uw)scratch);                                                            \
	obs("ops", OPS);                                                                                                         \
	obs("vif", bt_vif);                                                                                                      \
	obs("stopped", guest.dead >= 0);                                                                                         \
	obs("outs", guest.outs);
	EACH(ONE)
}

static void look(enum monitor m)
{
	phase_of(m, "look");
	*(uw *)(scratch + 32) = m == NATIVE ? host_idt.base : GUEST_IDT;
	uw v = run(m, (uw)work_look, (uw)scratch);
	say("%s: the guest's look at its machine: %x%s\n", names[m], v, v ? " (it can tell)" : " (as on the bare machine)");
	obs("odd", v);
	obs("odd.ring", v & 1);
	obs("odd.if", v >> 1 & 1);
	obs("odd.idt", v >> 2 & 1);
	obs("odd.popf", v >> 3 & 1);
}

static void attack(enum monitor m, const char *name, uw (*fn)(uw), uw arg)
{
	phase_of(m, name);
	secret[0] = 0x5ec7e7;
	if (fn == work_loop || fn == para_loop) { /* the monitor's clock */
		outb(0x43, 0x34);
		outb(0x40, 0x77);
		outb(0x40, 0x02);
		outb(0x21, 0xfe);
	}
	run(m, (uw)fn, arg);
	outb(0x21, 0xff);
	say("%s: %s: stopped by %u, the monitor is %s\n", names[m], name, (uw)(guest.dead & 0xff), secret[0] == 0x5ec7e7 ? "whole" : "damaged");
	obs("stopped_by", (uw)guest.dead & 0xff);
	obs("whole", secret[0] == 0x5ec7e7);
}

static void clock_init(void)
{
	static const u8 init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1}, {0x21, 0xff}, {0xa1, 0xff}};

	for (unsigned i = 0; i < sizeof(init) / 2; i++)
		outb(init[i][0], init[i][1]);
}

void lab_main(void)
{
	clock_init();
	ASM("sidt %0" : "=m"(host_idt));
	vtx_prepare();
	for (enum monitor m = NATIVE; m < VTX; m++) {
		all_work(m);
		if (m != PARA) /* which does not pretend */
			look(m);
	}
	for (enum monitor m = TE; m < VTX; m++) {
		attack(m, "write", work_write, (uw)secret);
		attack(m, "undefined", work_undefined, 0);
		attack(m, "loop", m == PARA ? para_loop : work_loop, 0);
	}
	attack(PARA, "bad", para_bad, 0);
	if (vmx_on()) {
		say("no VT-x\n");
		lab_exit(1);
	}
	all_work(VTX);
	show("vmcs");
	look(VTX);
	attack(VTX, "write", work_write, (uw)secret);
	attack(VTX, "undefined", work_undefined, 0);
	attack(VTX, "loop", work_loop, 0);
	vmx_off();
}
