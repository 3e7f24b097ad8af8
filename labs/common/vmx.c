/* Virtual machines under VT-x: see vmx.h. */
#include "vmx.h"

unsigned vmx_go(struct vm *vm); /* vmxrun.S: 0, or 1 if there was no entry */
extern u8 vmx_host_entry[];

u64 vmread(u64 field)
{
	u64 v = 0;
	ASM("vmread %1, %0" : "=r"(v) : "r"(field) : "cc");
	return v;
}

void vmwrite(u64 field, u64 value)
{
	u8 bad;
	ASM("vmwrite %1, %2; setna %0" : "=r"(bad) : "r"(value), "r"(field) : "cc");
	if (bad) {
		say("*** VMWRITE of field %x refused\n", (uw)field);
		lab_exit(97);
	}
}

u32 vmx_controls(u32 msr, u32 want)
{
	u64 allowed = rdmsr(msr);
	return (want | (u32)allowed) & (u32)(allowed >> 32);
}

static int pointer(const char op, void *page)
{
	u64 p = (u64)page;
	u8 bad;

	if (op == 'o')
		ASM("vmxon %1; setna %0" : "=r"(bad) : "m"(p) : "cc", "memory");
	else if (op == 'c')
		ASM("vmclear %1; setna %0" : "=r"(bad) : "m"(p) : "cc", "memory");
	else
		ASM("vmptrld %1; setna %0" : "=r"(bad) : "m"(p) : "cc", "memory");
	return bad;
}

static void *region(void)
{
	u32 *p = page_alloc();
	*p = (u32)rdmsr(0x480) & 0x7fffffff;
	return p;
}

int vmx_on(void)
{
	static void *page;
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & 1u << 5))
		return 1;
	if (!(rdmsr(0x3a) & 1))
		wrmsr(0x3a, 5);
	if (!(rdmsr(0x3a) & 4))
		return 1;
	set_cr4(get_cr4() | 1u << 13);
	if (!page)
		page = region();
	return pointer('o', page);
}

void vmx_off(void)
{
	ASM("vmxoff" : : : "cc");
	set_cr4(get_cr4() & ~(1ul << 13));
}

static u64 table_base(int idt, u64 *limit)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) d;

	if (idt)
		ASM("sidt %0" : "=m"(d));
	else
		ASM("sgdt %0" : "=m"(d));
	*limit = d.limit;
	return d.base;
}

static void host_state(void)
{
	u64 limit;

	vmwrite(V_HOST_CR0, get_cr0());
	vmwrite(V_HOST_CR3, get_cr3());
	vmwrite(V_HOST_CR4, get_cr4());
	vmwrite(V_HOST_EFER, rdmsr(0xc0000080));
	for (u64 f = V_HOST_ES; f < V_HOST_TR; f += 2)
		vmwrite(f, f == V_HOST_ES + 2 ? CODE0 : DATA0);
	vmwrite(V_HOST_TR, TSS_SEL);
	vmwrite(V_HOST_TR_BASE, (u64)lab_tss);
	vmwrite(V_HOST_GDTR_BASE, table_base(0, &limit));
	vmwrite(V_HOST_IDTR_BASE, table_base(1, &limit));
	vmwrite(V_HOST_RIP, (u64)vmx_host_entry);
}

static void guest_segments(void)
{
	u64 limit;

	for (unsigned i = 0; i < 8; i++) { /* ES CS SS DS FS GS LDTR TR */
		vmwrite(V_GUEST_ES + 2 * i, i == 1 ? CODE0 : i == 6 ? 0 : i == 7 ? TSS_SEL : DATA0);
		vmwrite(V_GUEST_LIMIT + 2 * i, i == 6 ? 0 : i == 7 ? 0x8b : 0xffffffff);
		vmwrite(V_GUEST_AR + 2 * i, i == 1 ? 0xa09b : i == 6 ? 0x10000 : i == 7 ? 0x8b : 0xc093);
		vmwrite(V_GUEST_BASE + 2 * i, i == 7 ? (u64)lab_tss : 0);
	}
	vmwrite(V_GUEST_GDTR_BASE, table_base(0, &limit));
	vmwrite(V_GUEST_GDTR_LIMIT, limit);
	vmwrite(V_GUEST_IDTR_BASE, table_base(1, &limit));
	vmwrite(V_GUEST_IDTR_LIMIT, limit);
}

void vm_current(struct vm *vm)
{
	if (pointer('p', vm->vmcs)) {
		say("*** VMPTRLD refused\n");
		lab_exit(97);
	}
}

void vm_init(struct vm *vm, void (*entry)(void), uw sp, uw cr3)
{
	static void *all_msrs; /* every RDMSR and WRMSR of the guest exits: they would be the monitor's own */

	*vm = (struct vm){.vmcs = region()};
	if (!all_msrs)
		all_msrs = memset(page_alloc(), 0xff, 4096);
	pointer('c', vm->vmcs);
	vm_current(vm);
	vmwrite(V_PIN, VMX_PIN(0));
	vmwrite(V_PROC, VMX_PROC(PROC_HLT | PROC_MSR_BITMAPS));
	vmwrite(V_PROC2, 0);
	vmwrite(V_EXIT, vmx_controls(0x48f, 1u << 9 | 1u << 20 | 1u << 21)); /* 64-bit host, EFER saved and loaded */
	vmwrite(V_ENTRY, vmx_controls(0x490, 1u << 9 | 1u << 15));	      /* 64-bit guest, EFER loaded */
	vmwrite(V_MSR_BITMAP, (u64)all_msrs);
	vmwrite(V_EXCEPTIONS, 0);
	vmwrite(V_LINK, ~0ull);
	vmwrite(V_CR0_MASK, 0);
	vmwrite(V_CR4_MASK, 0x2000); /* the guest does not see VMXE */
	vmwrite(V_CR4_SHADOW, get_cr4() & ~0x2000ul);
	vmwrite(V_CR0_SHADOW, get_cr0());
	host_state();
	guest_segments();
	vmwrite(V_GUEST_CR0, get_cr0());
	vmwrite(V_GUEST_CR3, cr3);
	vmwrite(V_GUEST_CR4, get_cr4());
	vmwrite(V_GUEST_EFER, rdmsr(0xc0000080));
	vmwrite(V_GUEST_DR7, 0x400);
	vmwrite(V_GUEST_RFLAGS, 2);
	vmwrite(V_GUEST_RIP, (u64)entry);
	vmwrite(V_GUEST_RSP, sp);
}

unsigned vm_run(struct vm *vm)
{
	if (vmx_go(vm))
		return X_FAILED;
	return (unsigned)vmread(V_REASON) & 0xffff;
}

void vm_skip(void)
{
	vmwrite(V_GUEST_RIP, vmread(V_GUEST_RIP) + vmread(V_LEN));
}

void vm_inject(unsigned vector, int has_error, u32 error)
{
	vmwrite(V_ENTRY_INTR, vector | 3u << 8 | (has_error ? 1u << 11 : 0) | 1u << 31);
	vmwrite(V_ENTRY_ERROR, error);
}

/* ---- EPT ---- */

static u64 *ept_table(u64 *e)
{
	if (!(*e & 7))
		*e = (u64)page_alloc() | 7;
	return (u64 *)(*e & 0x000ffffffffff000);
}

u64 ept_identity(uw bytes, int small_pages)
{
	u64 *root = page_alloc();

	for (uw a = 0; a < bytes; a += small_pages ? 0x1000 : 0x200000) {
		u64 *pdpt = ept_table(&root[a >> 39 & 511]), *pd = ept_table(&pdpt[a >> 30 & 511]);
		if (!small_pages)
			pd[a >> 21 & 511] = a | 0xb7;
		else
			ept_table(&pd[a >> 21 & 511])[a >> 12 & 511] = a | 0x37;
	}
	return (u64)root | 6 << 0 | 3 << 3;
}

u64 *ept_entry(u64 eptp, u64 gpa)
{
	u64 *t = (u64 *)(eptp & 0x000ffffffffff000);

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *e = &t[gpa >> shift & 511];
		if (!(*e & 7) || *e & 0x80)
			return e;
		t = (u64 *)(*e & 0x000ffffffffff000);
	}
	return &t[gpa >> 12 & 511];
}
