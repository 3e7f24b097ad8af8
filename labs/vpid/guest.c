/* What a VM entry does to translations, with VPID off, on, and on with INVVPID. SDM Vol. 3C, 28.3. */
#include "vmx.h"

#define VA 0x40000000ul
#define PAGES 64
#define ROUNDS 100

static struct vm vm;

/* Touches every page, asks for the monitor, for ever. */
static void guest_code(void)
{
	for (;;) {
		for (uw i = 0; i < PAGES; i++)
			*(volatile u8 *)(VA + i * 4096);
		ASM("vmcall");
	}
}

static void invvpid(u64 vpid)
{
	struct {
		u64 vpid, address;
	} d = {vpid, 0};
	ASM("invvpid %1, %0" : : "r"(1ul), "m"(d) : "cc", "memory");
}

static void measure(const char *name, int vpid, int ept, int flush)
{
	static u8 stack[4096] __attribute__((aligned(16)));
	u32 secondary = (vpid ? PROC2_VPID : 0) | (ept ? PROC2_EPT : 0);

	vm_init(&vm, guest_code, (uw)stack + sizeof(stack) - 8, get_cr3());
	vmwrite(V_PROC, VMX_PROC(PROC_HLT | PROC_MSR_BITMAPS | PROC_SECONDARY));
	vmwrite(V_PROC2, VMX_PROC2(secondary));
	if (vpid)
		vmwrite(V_VPID, 1);
	if (ept)
		vmwrite(V_EPTP, ept_identity(0x800000, 1));
	for (unsigned i = 0; i < 3; i++) { /* not the first, which is cold in any case */
		vm_run(&vm);
		vm_skip();
	}
	phase(name);
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (flush)
			invvpid(1);
		if (vm_run(&vm) != X_VMCALL) {
			say("*** exit %u at %x\n", (uw)vmread(V_REASON), (uw)vmread(V_GUEST_RIP));
			lab_exit(1);
		}
		vm_skip();
	}
	phase_end();
	obs("rounds", ROUNDS);
	obs("pages", PAGES);
}

void lab_main(void)
{
	for (uw i = 0; i < PAGES; i++)
		map(lab_pml4, VA + i * 4096, (uw)lab_pml4, PG_P);
	if (vmx_on()) {
		say("no VT-x\n");
		lab_exit(1);
	}
	measure("off", 0, 0, 0);
	measure("on", 1, 0, 0);
	measure("on_invvpid", 1, 0, 1);
	measure("ept_off", 0, 1, 0);
	measure("ept_on", 1, 1, 0);
	measure("ept_invvpid", 1, 1, 1);
	vmx_off();
	lab_reload_tr();
}
