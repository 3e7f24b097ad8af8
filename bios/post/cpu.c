/* What firmware leaves in every processor: MTRRs, IA32_FEATURE_CONTROL, local APIC; and the other
 * processors asleep. */
#include "bios/post/post.h"

#define LAPIC 0xfee00000u

static u32 msr_count;

static bool has_cpuid(void)
{
	u32 before, after;
	__asm__ volatile(
	    "pushfl\n\tpopl %0\n\tmovl %0, %1\n\txorl $0x200000, %1\n\tpushl %1\n\tpopfl\n\t"
	    "pushfl\n\tpopl %1"
	    : "=&r"(before), "=&r"(after));
	return before != after;
}

void cpu_leaf(u32 leaf, u32 r[4])
{
	r[0] = r[1] = r[2] = r[3] = 0;
	if (has_cpuid())
		__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

unsigned cpu_family(void)
{
	u32 r[4];
	cpu_leaf(1, r);
	return r[0] >> 8 & 15;
}

static u64 rdmsr(u32 n)
{
	u64 v;
	__asm__ volatile("rdmsr" : "=A"(v) : "c"(n));
	return v;
}

/* Here and, through the list, on every processor that starts later. */
static void set_msr(u32 n, u64 v)
{
	u32 *p = RTA(ap_msrs) + 3 * msr_count;
	__asm__ volatile("wrmsr" : : "c"(n), "A"(v));
	if (msr_count == ARRAY_SIZE(ap_msrs) / 3 - 1)
		return;
	p[0] = n;
	p[1] = (u32)v;
	p[2] = (u32)(v >> 32);
	msr_count++;
}

/* All memory write-back but the PCI hole (SDM Vol. 3A, 12.11); below 1 MiB by the fixed ranges. */
static void mtrrs(void)
{
	u32 r[4], bits = 36;
	cpu_leaf(0x80000000, r);
	if (r[0] >= 0x80000008) {
		cpu_leaf(0x80000008, r);
		bits = r[0] & 0xff;
	}
	u64 mask = (1ull << bits) - 1, cap = rdmsr(0xfe);
	set_msr(0x2ff, 0);
	if (cap & 0x100) {
		const u64 wb = 0x0606060606060606ull;
		set_msr(0x250, wb);
		set_msr(0x258, wb);
		set_msr(0x259, 0);
		for (u32 n = 0x268; n < 0x270; n++)
			set_msr(n, 0x0505050505050505ull);
	}
	for (u32 n = 1; n < (cap & 0xff) && n < 8; n++)
		set_msr(0x201 + 2 * n, 0);
	set_msr(0x200, pci_hole);
	set_msr(0x201, (mask & ~((u64)0x100000000ull - pci_hole - 1)) | 0x800);
	set_msr(0x2ff, 0xc06);
}

static void feature_control(u32 leaf1_ecx)
{
	u32 size;
	u64 v = 5; /* locked, VMX outside SMX */
	s32 item = fw_find("etc/msr_feature_control", &size);
	if (item >= 0 && size == 8)
		fw_item((u16)item, &v, 8);
	if ((leaf1_ecx & 0x20) && !(rdmsr(0x3a) & 1))
		set_msr(0x3a, v);
}

static void others(void)
{
	u16 cpus = 0;
	fw_item(5, &cpus, 2);
	RT(ap_count) = RT(ap_present) = 0;
	if (cpus < 2)
		return;
	MEM32(LAPIC + 0x300) = 0x000c4500; /* INIT to all but self */
	delay_us(200);
	MEM32(LAPIC + 0x300) = 0x000c46f0; /* start at F0000h */
	delay_us(200);
	MEM32(LAPIC + 0x300) = 0x000c46f0;
	for (unsigned i = 0; i < 20000 && *(volatile u32 *)&RT(ap_count) < cpus - 1u; i++)
		delay_us(15);
	if (RT(ap_count) != cpus - 1u)
		print("%u of %u processors have started\n", RT(ap_count) + 1, cpus);
}

void cpu_setup(void)
{
	u32 r[4];
	cpu_leaf(1, r);
	if ((r[3] & 0x1020) == 0x1020) /* MSRs and MTRRs */
		mtrrs();
	if (r[3] & 0x20)
		feature_control(r[2]);
	if (!(r[3] & CPU_APIC))
		return;
	MEM32(LAPIC + 0xf0) = 0x1ff;   /* on, spurious vector FFh */
	MEM32(LAPIC + 0x350) = 0x8700; /* LINT0: the 8259As */
	MEM32(LAPIC + 0x360) = 0x8400; /* LINT1: NMI */
	others();
}
