/*
 * Every exit reason is produced, with its qualification, instruction length and information (SDM Vol. 3C, 25, 27.2), and the
 * guest's state is in the VMCS.
 */
#include "tests/vmx/vbox.h"

struct exit_case {
	const char *name;
	u8 code[12];
	u8 n;
	u16 reason;
	u64 qual;
	u8 len; /* instruction length; 0: not looked at */
	void (*setup)(struct box *b);
};

/* ---- what cases set up ---------------------------------------------------------------------------- */

#define P1ON(name, c)                                                                                      \
	static void name(struct box *b)                                                                    \
	{                                                                                                  \
		struct vmx *vmx = b->cpu.vmx;                                                              \
		ON(PROC_CTLS, P1, c);                                                                      \
	}
#define P2ON(name, c)                                                                                      \
	static void name(struct box *b) { vbox_secondary(b, P2BIT(c)); }

P1ON(on_hlt, HLT)
P1ON(on_invlpg, INVLPG)
P1ON(on_rdpmc, RDPMC)
P1ON(on_rdtsc, RDTSC)
P1ON(on_cr3_load, CR3_LOAD)
P1ON(on_cr3_store, CR3_STORE)
P1ON(on_cr8_load, CR8_LOAD)
P1ON(on_cr8_store, CR8_STORE)
P1ON(on_dr, MOV_DR)
P1ON(on_io, IO_UNCOND)
P1ON(on_mwait, MWAIT)
P1ON(on_monitor, MONITOR)
P1ON(on_pause, PAUSE)
P1ON(on_mtf, MTF)
P2ON(on_desc, DESC_TABLE)
P2ON(on_wbinvd, WBINVD)
P2ON(on_rdrand, RDRAND)
P2ON(on_rdseed, RDSEED)

static void on_rdtscp(struct box *b)
{
	on_rdtsc(b);
	vbox_secondary(b, P2BIT(RDTSCP));
}

static void on_user_wait(struct box *b)
{
	on_rdtsc(b);
	vbox_secondary(b, P2BIT(USER_WAIT));
}

static void on_invpcid(struct box *b)
{
	on_invlpg(b);
	vbox_secondary(b, P2BIT(INVPCID));
}

static void on_vmfunc(struct box *b)
{
	vbox_secondary(b, P2BIT(VMFUNC));
}

static void on_cr0(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(CR0_MASK, CR0_TS);
	SET(CR0_SHADOW, CR0_TS);
	b->cpu.r[RAX] = CR0_PE;
}

static void on_lmsw(struct box *b)
{
	on_cr0(b);
	b->cpu.r[RAX] = 1; /* TS = 0, which differs from the shadow */
}

static void on_io_bitmap(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, IO_BITMAPS);
	SET(IO_BITMAP_A, ZERO_PAGE);
	SET(IO_BITMAP_B, ONES_PAGE);
	b->cpu.r[RDX] = 0x8123;
}

static void on_string(struct box *b)
{
	on_io(b);
	b->cpu.r[RDX] = 0x60;
	b->cpu.r[RCX] = 3;
	b->cpu.r[RSI] = DATA;
}

static void on_breakpoint(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(EXCEPTION_BITMAP, BIT(EXC_BP) | BIT(EXC_DB) | BIT(EXC_UD) | BIT(EXC_PF));
}

static void on_triple(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_IDTR_LIMIT, 0);
}

static void on_xsetbv(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_CR4, VF(GUEST_CR4) | CR4_OSXSAVE);
}

static void on_timer(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PIN_CTLS, PIN, PREEMPTION_TIMER);
}

static void on_interrupt(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PIN_CTLS, PIN, EXT_INT);
	ON(EXIT_CTLS, EXIT, ACK_INT);
	b->vector = 0x41;
	cpu_event_set(&b->cpu, CPU_EV_INTR);
}

static void on_nmi(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PIN_CTLS, PIN, NMI);
	cpu_event_set(&b->cpu, CPU_EV_NMI);
}

static void on_nmi_window(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PIN_CTLS, PIN, NMI);
	ON(PIN_CTLS, PIN, VNMI);
	ON(PROC_CTLS, P1, NMI_WINDOW);
}

static void on_window(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, INT_WINDOW);
}

static void on_init(struct box *b)
{
	cpu_event_set(&b->cpu, CPU_EV_INIT);
}

static void on_sipi(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_ACTIVITY, GA_WAIT_SIPI);
	b->cpu.sipi_vector = 0x9a;
}

static void on_tpr(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, TPR_SHADOW);
	SET(VAPIC_ADDR, VAPIC);
	SET(TPR_THRESHOLD, 2);
	poke(b, VAPIC + 0x80, 0x30, 4);
	b->cpu.r[RAX] = 1;
}

/* The guest's page at 200000h is the APIC-access page. */
static void on_apic(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, TPR_SHADOW);
	SET(VAPIC_ADDR, VAPIC);
	vbox_secondary(b, P2BIT(APIC_ACCESS));
	SET(APIC_ACCESS_ADDR, 0x200000);
}

static void on_apic_write(struct box *b)
{
	on_apic(b);
	vbox_secondary(b, P2BIT(APIC_REG));
}

static void on_virtual_eoi(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	on_apic_write(b);
	vbox_secondary(b, P2BIT(VID));
	ON(PIN_CTLS, PIN, EXT_INT);
	SET(GUEST_INTR_STATUS, 0x4100);
	SET(EOI_EXIT1, BIT64(1));
}

static void on_ept_hole(struct box *b)
{
	vbox_ept(b);
	poke(b, EPT_TABLES + 0x2008, 0, 8);
}

static void on_ept_bad(struct box *b)
{
	vbox_ept(b);
	poke(b, EPT_TABLES + 0x2008, 0x2000b2, 8); /* writable and not readable */
}

static void on_pml(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_ept(b);
	vbox_secondary(b, P2BIT(PML));
	SET(EPTP, EPT_TABLES | 0x5e);
	SET(PML_ADDR, PML_LOG);
	SET(PML_INDEX, 0xffff);
}

/* The page at 200000h read-only but for its sub-pages, and no table for those. */
static void on_spp(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_ept(b);
	vbox_secondary(b, P2BIT(SPP));
	SET(SPPTP, ZERO_PAGE);
	memset(b->ram + EPT_TABLES + 0x3000, 0, 0x1000);
	poke(b, EPT_TABLES + 0x3000, 0x200035 | BIT64(61), 8);
	poke(b, EPT_TABLES + 0x2008, (EPT_TABLES + 0x3000) | 7, 8);
}

/* A 32-bit guest jumps to a task-state segment. */
static void on_task(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(ENTRY_CTLS, VF(ENTRY_CTLS) & ~BIT64(ENTRY_IA32E_BIT));
	SET(GUEST_CR3, GOOD_PDPT);
	vbox_segment(vmx, CS, S_CODE, 0, 0xffffffff, 0xc09b);
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, AR_P | ST_TSS));
}

static void on_xss(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	on_xsetbv(b);
	vbox_secondary(b, P2BIT(XSAVES));
	SET(XSS_EXIT_BITMAP, 1);
	b->cpu.xss = 1;
	b->cpu.r[RAX] = 1;
	b->cpu.r[RDX] = 0;
}

#define MEM(...) __VA_ARGS__, 0x25, 0x00, 0x00, 0x20, 0x00 /* [200000h] */

static const struct exit_case cases[] = {
    {"#BP", {0xcc}, 1, VR_EXCEPTION, 0, 1, on_breakpoint},
    {"external interrupt", {0x90}, 1, VR_EXT_INT, 0, 0, on_interrupt},
    {"triple fault", {0x0f, 0x0b}, 2, VR_TRIPLE_FAULT, 0, 0, on_triple},
    {"INIT", {0x90}, 1, VR_INIT, 0, 0, on_init},
    {"SIPI", {0x90}, 1, VR_SIPI, 0x9a, 0, on_sipi},
    {"interrupt window", {0xfb, 0x90, 0x90}, 3, VR_INT_WINDOW, 0, 0, on_window},
    {"NMI window", {0x90}, 1, VR_NMI_WINDOW, 0, 0, on_nmi_window},
    {"NMI", {0x90}, 1, VR_EXCEPTION, 0, 0, on_nmi},
    {"task switch", {0xea, 0, 0, 0, 0, S_TSSB, 0}, 7, VR_TASK_SWITCH, S_TSSB | 2u << 30, 7, on_task},
    {"CPUID", {0x0f, 0xa2}, 2, VR_CPUID, 0, 2, NULL},
    {"HLT", {0xf4}, 1, VR_HLT, 0, 1, on_hlt},
    {"INVD", {0x0f, 0x08}, 2, VR_INVD, 0, 2, NULL},
    {"INVLPG", {0x0f, 0x01, MEM(0x3c)}, 8, VR_INVLPG, 0x200000, 8, on_invlpg},
    {"RDPMC", {0x0f, 0x33}, 2, VR_RDPMC, 0, 2, on_rdpmc},
    {"RDTSC", {0x0f, 0x31}, 2, VR_RDTSC, 0, 2, on_rdtsc},
    {"VMCALL", {0x0f, 0x01, 0xc1}, 3, VR_VMCALL, 0, 3, NULL},
    {"VMCLEAR", {0x66, 0x0f, 0xc7, MEM(0x34)}, 9, VR_VMCLEAR, 0x200000, 9, NULL},
    {"VMLAUNCH", {0x0f, 0x01, 0xc2}, 3, VR_VMLAUNCH, 0, 3, NULL},
    {"VMPTRLD", {0x0f, 0xc7, MEM(0x34)}, 8, VR_VMPTRLD, 0x200000, 8, NULL},
    {"VMPTRST", {0x0f, 0xc7, MEM(0x3c)}, 8, VR_VMPTRST, 0x200000, 8, NULL},
    {"VMREAD", {0x0f, 0x78, 0xc3}, 3, VR_VMREAD, 0, 3, NULL},
    {"VMRESUME", {0x0f, 0x01, 0xc3}, 3, VR_VMRESUME, 0, 3, NULL},
    {"VMWRITE", {0x0f, 0x79, 0xc3}, 3, VR_VMWRITE, 0, 3, NULL},
    {"VMXOFF", {0x0f, 0x01, 0xc4}, 3, VR_VMXOFF, 0, 3, NULL},
    {"VMXON", {0xf3, 0x0f, 0xc7, MEM(0x34)}, 9, VR_VMXON, 0x200000, 9, NULL},
    {"MOV to CR0", {0x0f, 0x22, 0xc0}, 3, VR_CR_ACCESS, 0, 3, on_cr0},
    {"MOV to CR3", {0x0f, 0x22, 0xdb}, 3, VR_CR_ACCESS, 3 | 3 << 8, 3, on_cr3_load},
    {"MOV from CR3", {0x0f, 0x20, 0xdb}, 3, VR_CR_ACCESS, 3 | 1 << 4 | 3 << 8, 3, on_cr3_store},
    {"MOV to CR8", {0x44, 0x0f, 0x22, 0xc3}, 4, VR_CR_ACCESS, 8 | 3 << 8, 4, on_cr8_load},
    {"MOV from CR8", {0x44, 0x0f, 0x20, 0xc3}, 4, VR_CR_ACCESS, 8 | 1 << 4 | 3 << 8, 4, on_cr8_store},
    {"CLTS", {0x0f, 0x06}, 2, VR_CR_ACCESS, 2 << 4, 2, on_cr0},
    {"LMSW", {0x0f, 0x01, 0xf0}, 3, VR_CR_ACCESS, 3 << 4 | 1 << 16, 3, on_lmsw},
    {"MOV to DR3", {0x0f, 0x23, 0xdb}, 3, VR_DR_ACCESS, 3 | 3 << 8, 3, on_dr},
    {"MOV from DR7", {0x0f, 0x21, 0xfb}, 3, VR_DR_ACCESS, 7 | 1 << 4 | 3 << 8, 3, on_dr},
    {"IN imm", {0xe4, 0x60}, 2, VR_IO, 0x60 << 16 | 64 | 8, 2, on_io},
    {"OUT DX by bitmap B", {0xef}, 1, VR_IO, 0x8123u << 16 | 3, 1, on_io_bitmap},
    {"REP OUTSB", {0xf3, 0x6e}, 2, VR_IO, 0x60 << 16 | 16 | 32, 2, on_string},
    {"RDMSR", {0x0f, 0x32}, 2, VR_RDMSR, 0, 2, NULL},
    {"WRMSR", {0x0f, 0x30}, 2, VR_WRMSR, 0, 2, NULL},
    {"MWAIT", {0x0f, 0x01, 0xc9}, 3, VR_MWAIT, 0, 3, on_mwait},
    {"MTF", {0x90, 0x90}, 2, VR_MTF, 0, 0, on_mtf},
    {"MONITOR", {0x0f, 0x01, 0xc8}, 3, VR_MONITOR, 0, 3, on_monitor},
    {"PAUSE", {0xf3, 0x90}, 2, VR_PAUSE, 0, 2, on_pause},
    {"TPR below threshold", {0x44, 0x0f, 0x22, 0xc0}, 4, VR_TPR_BELOW, 0, 0, on_tpr},
    {"APIC access", {0x8b, MEM(0x04)}, 7, VR_APIC_ACCESS, 0, 7, on_apic},
    {"virtual EOI", {0xc7, 0x04, 0x25, 0xb0, 0, 0x20, 0, 0, 0, 0, 0}, 11, VR_VIRTUAL_EOI, 0x41, 0, on_virtual_eoi},
    {"APIC write", {0xc7, 0x04, 0x25, 0xf0, 0, 0x20, 0, 0, 0, 0, 0}, 11, VR_APIC_WRITE, 0xf0, 0, on_apic_write},
    {"SGDT", {0x0f, 0x01, MEM(0x04)}, 8, VR_GDTR_IDTR, 0x200000, 8, on_desc},
    {"SLDT", {0x0f, 0x00, 0xc0}, 3, VR_LDTR_TR, 0, 3, on_desc},
    {"EPT violation", {0x8b, MEM(0x04)}, 7, VR_EPT_VIOLATION, 0x181, 7, on_ept_hole},
    {"EPT misconfiguration", {0x8b, MEM(0x04)}, 7, VR_EPT_MISCONFIG, 0, 7, on_ept_bad},
    {"INVEPT", {0x66, 0x0f, 0x38, 0x80, MEM(0x04)}, 10, VR_INVEPT, 0x200000, 10, NULL},
    {"RDTSCP", {0x0f, 0x01, 0xf9}, 3, VR_RDTSCP, 0, 3, on_rdtscp},
    {"preemption timer", {0x90, 0x90}, 2, VR_PREEMPTION_TIMER, 0, 0, on_timer},
    {"INVVPID", {0x66, 0x0f, 0x38, 0x81, MEM(0x04)}, 10, VR_INVVPID, 0x200000, 10, NULL},
    {"WBINVD", {0x0f, 0x09}, 2, VR_WBINVD, 0, 2, on_wbinvd},
    {"XSETBV", {0x0f, 0x01, 0xd1}, 3, VR_XSETBV, 0, 3, on_xsetbv},
    {"RDRAND", {0x0f, 0xc7, 0xf0}, 3, VR_RDRAND, 0, 3, on_rdrand},
    {"INVPCID", {0x66, 0x0f, 0x38, 0x82, MEM(0x04)}, 10, VR_INVPCID, 0x200000, 10, on_invpcid},
    {"VMFUNC", {0x0f, 0x01, 0xd4}, 3, VR_VMFUNC, 0, 3, on_vmfunc},
    {"RDSEED", {0x0f, 0xc7, 0xf8}, 3, VR_RDSEED, 0, 3, on_rdseed},
    {"SPP miss", {0x89, MEM(0x04)}, 7, VR_SPP, 0x800, 0, on_spp},
    {"PML full", {0x89, MEM(0x04)}, 7, VR_PML_FULL, 0, 0, on_pml},
    {"XSAVES", {0x0f, 0xc7, MEM(0x2c)}, 8, VR_XSAVES, 0x200000, 8, on_xss},
    {"XRSTORS", {0x0f, 0xc7, MEM(0x1c)}, 8, VR_XRSTORS, 0x200000, 8, on_xss},
    {"UMWAIT", {0xf2, 0x0f, 0xae, 0xf1}, 4, VR_UMWAIT, 0, 4, on_user_wait},
    {"TPAUSE", {0x66, 0x41, 0x0f, 0xae, 0xf1}, 5, VR_TPAUSE, 0, 5, on_user_wait},
};

static void check_guest_saved(struct box *b, const struct exit_case *x)
{
	struct vmx *vmx = b->cpu.vmx;

	ck_assert_int_eq(b->cpu.vmx_mode, VMX_ROOT);
	ck_assert_uint_eq(VF(GUEST_CR3) & ~0xfffull, x->setup == on_task ? GOOD_PDPT : TABLES);
	ck_assert_uint_eq(b->cpu.cr3, TABLES);
	ck_assert(b->cpu.rip == HOST_ENTRY || b->cpu.rip == HOST_ENTRY + 1);
	ck_assert_uint_eq(b->cpu.r[RSP], HOST_STACK);
	ck_assert_uint_eq(b->cpu.rflags & ~FL_ARITH, FL_R1);
	ck_assert_uint_eq(b->cpu.seg[CS].sel, S_CODE64);
	if (x->len) {
		ck_assert_msg(VF(GUEST_RIP) == GUEST_CODE, "%s: rip %llx", x->name, (unsigned long long)VF(GUEST_RIP));
		ck_assert_msg(VF(EXIT_INSN_LEN) == x->len, "%s: length %llu", x->name,
			      (unsigned long long)VF(EXIT_INSN_LEN));
	}
}

START_TEST(every_reason)
{
	bool seen[VR_COUNT] = {false};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct exit_case *x = &cases[i];
		struct box *b = vbox_new();
		struct vmx *vmx = b->cpu.vmx;

		memcpy(b->ram + GUEST_CODE, x->code, x->n);
		memset(b->ram + GUEST_CODE + x->n, 0x90, 16);
		if (x->setup)
			x->setup(b);
		ck_assert_int_eq(vbox_launch(b), 0);
		if (!strcmp(x->name, "SIPI"))
			cpu_event_set(&b->cpu, CPU_EV_SIPI);
		if (b->cpu.vmx_mode == VMX_NONROOT)
			(void)cpu_run(&b->cpu, 12);
		ck_assert_msg(VF(EXIT_REASON) == x->reason, "%s: exit reason %llu (check %d)", x->name,
			      (unsigned long long)VF(EXIT_REASON), vmx->failed_check);
		ck_assert_msg(VF(EXIT_QUAL) == x->qual, "%s: qualification %llx", x->name,
			      (unsigned long long)VF(EXIT_QUAL));
		check_guest_saved(b, x);
		ck_assert_uint_eq(vmx->exits[x->reason], 1);
		seen[x->reason] = true;
		box_free(b);
	}
	for (unsigned r = 0; r < VR_COUNT; r++) {
		bool elsewhere = r == VR_ENTRY_GUEST_STATE || r == VR_ENTRY_MSR_LOAD; /* below, and test_checks.c */
		bool never = r == VR_GETSEC || r == VR_RSM || r == VR_ENTRY_MCE;      /* no SMX, no dual monitor, no MCE */

		if (vmx_reason_name(r) && !elsewhere && !never)
			ck_assert_msg(seen[r], "no test makes exit reason %u, %s", r, vmx_reason_name(r));
	}
}
END_TEST

START_TEST(msr_load_failure)
{
	struct box *b = vbox_new();
	struct vmx *vmx = b->cpu.vmx;

	poke(b, MSR_LIST, 0x174, 8);
	poke(b, MSR_LIST + 16, 0xc0000100, 8); /* FS base may not be loaded */
	SET(ENTRY_MSR_LOAD_ADDR, MSR_LIST);
	SET(ENTRY_MSR_LOAD_COUNT, 2);
	ck_assert_int_eq(vbox_launch(b), 0);
	ck_assert_uint_eq(VF(EXIT_REASON), VR_ENTRY_MSR_LOAD | VR_ENTRY_FAILURE);
	ck_assert_uint_eq(VF(EXIT_QUAL), 2);
	box_free(b);
}
END_TEST

/* An event whose delivery ends in an exit is told as IDT-vectoring information, and can be injected again. */
START_TEST(vectoring_information)
{
	struct box *b = vbox_new();
	struct vmx *vmx = b->cpu.vmx;

	SET(EXCEPTION_BITMAP, BIT(EXC_GP));
	SET(GUEST_IDTR_LIMIT, 0x4ff); /* vectors below 50h */
	poke(b, GUEST_CODE, 0x80cd, 2);
	ck_assert_int_eq(vbox_launch(b), 0);
	(void)cpu_run(&b->cpu, 3);
	ck_assert_uint_eq(VF(EXIT_REASON), VR_EXCEPTION);
	ck_assert_uint_eq(VF(EXIT_INTR_INFO), EXC_GP | II_HW_EXC << 8 | II_ERR | II_VALID);
	ck_assert_uint_eq(VF(EXIT_INTR_ERR), 0x80 * 8 + 2);
	ck_assert_uint_eq(VF(IDT_VEC_INFO), 0x80 | II_SW_INT << 8 | II_VALID);
	ck_assert_uint_eq(VF(EXIT_INSN_LEN), 2);
	ck_assert_uint_eq(VF(GUEST_RIP), GUEST_CODE);
	box_free(b);
}
END_TEST

START_TEST(injection)
{
	static const struct {
		u32 info, len;
		bool err;
	} events[] = {{0x40 | II_EXT_INT << 8, 0, false},
		      {2 | II_NMI << 8, 0, false},
		      {EXC_GP | II_HW_EXC << 8 | II_ERR, 0, true},
		      {0x80 | II_SW_INT << 8, 2, false},
		      {EXC_BP | II_SW_EXC << 8, 1, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		struct box *b = vbox_new();
		struct vmx *vmx = b->cpu.vmx;
		unsigned vector = events[i].info & 0xff, slots = events[i].err ? 6 : 5;

		SET(GUEST_RFLAGS, FL_R1 | FL_IF);
		SET(ENTRY_INTR_INFO, events[i].info | II_VALID);
		SET(ENTRY_EXC_ERR, 0x18);
		SET(ENTRY_INSN_LEN, events[i].len);
		ck_assert_int_eq(vbox_launch(b), 0);
		ASSERT_IN_GUEST(b);
		ck_assert_uint_eq(b->cpu.rip, HANDLER + vector * 4);
		ck_assert_uint_eq(b->cpu.r[RSP], GUEST_STACK - 8 * slots);
		ck_assert_uint_eq(peek(b, GUEST_STACK - 40, 8), GUEST_CODE + events[i].len);
		if (events[i].err)
			ck_assert_uint_eq(peek(b, GUEST_STACK - 48, 8), 0x18);
		ck_assert_uint_eq(b->cpu.nmi_blocked & 1, vector == 2);
		box_free(b);
	}
}
END_TEST

/* A guest at GUEST_CODE that waits with TPAUSE R9D for a TSC of @until in its eyes, at 1000 of the processor's. */
static struct box *pausing(u64 controls, u64 until)
{
	struct box *b = vbox_new();
	struct vmx *vmx = b->cpu.vmx;

	poke(b, GUEST_CODE, 0x9090f1ae0f4166, 7);
	b->cpu.r[RAX] = until;
	b->cpu.r[RDX] = b->cpu.r[9] = 0;
	b->now = 1000;
	SET(EXCEPTION_BITMAP, ~0u);
	if (controls)
		vbox_secondary(b, controls);
	if (controls & P2BIT(TSC_SCALING)) {
		ON(PROC_CTLS, P1, TSC_OFFSET);
		SET(TSC_MULTIPLIER, 2ull << 48);
		SET(TSC_OFFSET, 500);
	}
	return b;
}

/* SDM Vol. 3C, 25.1.3, 25.3. */
START_TEST(user_wait_and_pause)
{
	struct box *b = pausing(0, 2000);
	struct vmx *vmx = b->cpu.vmx;

	ck_assert_int_eq(vbox_launch(b), 0);
	ASSERT_IN_GUEST(b);
	(void)cpu_run(&b->cpu, 1);
	ck_assert_uint_eq(VF(EXIT_REASON), VR_EXCEPTION); /* without the control: #UD, before any exit */
	ck_assert_uint_eq(VF(EXIT_INTR_INFO) & 0xff, EXC_UD);
	box_free(b);

	b = pausing(P2BIT(USER_WAIT), 2000);
	vmx = b->cpu.vmx;
	ck_assert_int_eq(vbox_launch(b), 0);
	ck_assert_int_eq(cpu_run(&b->cpu, 9), CPU_EXIT_HALT);
	ck_assert_uint_eq(cpu_wait_ns(&b->cpu), 1000);
	cpu_event_set(&b->cpu, CPU_EV_NMI); /* no exit asked for: delivered */
	(void)cpu_run(&b->cpu, 1);
	ck_assert_uint_eq(b->cpu.rip, HANDLER + 2 * 4);
	box_free(b);

	b = pausing(P2BIT(USER_WAIT), 2000);
	vmx = b->cpu.vmx;
	ON(PIN_CTLS, PIN, EXT_INT);
	ck_assert_int_eq(vbox_launch(b), 0);
	ck_assert_int_eq(cpu_run(&b->cpu, 9), CPU_EXIT_HALT);
	cpu_event_set(&b->cpu, CPU_EV_INTR);
	(void)cpu_run(&b->cpu, 1);
	ck_assert_uint_eq(VF(EXIT_REASON), VR_EXT_INT);
	ck_assert_uint_eq(VF(GUEST_ACTIVITY), GA_ACTIVE);
	ck_assert_uint_eq(VF(GUEST_RIP), GUEST_CODE + 5);
	ck_assert_int_eq(b->cpu.activity, CPU_ACTIVE);
	box_free(b);

	b = pausing(P2BIT(USER_WAIT) | P2BIT(TSC_SCALING), 4500); /* it sees 2500: 2000 of its ticks are 1000 */
	vmx = b->cpu.vmx;
	ck_assert_int_eq(vbox_launch(b), 0);
	ck_assert_int_eq(cpu_run(&b->cpu, 9), CPU_EXIT_HALT);
	ck_assert_uint_eq(cpu_wait_ns(&b->cpu), 1000);
	b->now = 2000;
	ck_assert_int_eq(cpu_run(&b->cpu, 1), CPU_EXIT_BUDGET);
	ck_assert_uint_eq(b->cpu.rip, GUEST_CODE + 6);
	box_free(b);

	b = pausing(P2BIT(USER_WAIT), 2000);
	vmx = b->cpu.vmx;
	ON(PROC_CTLS, P1, RDTSC);
	b->cpu.r[9] = 7; /* a reserved bit comes after the exit */
	ck_assert_int_eq(vbox_launch(b), 0);
	(void)cpu_run(&b->cpu, 1);
	ck_assert_uint_eq(VF(EXIT_REASON), VR_TPAUSE);
	ck_assert_uint_eq(VF(EXIT_INSN_INFO), 9 << 3 | 1 << 11);
	box_free(b);
}
END_TEST

/* The preemption timer fires at its instruction, whatever the slices are, and counts what IA32_VMX_MISC says. */
START_TEST(timer_is_exact)
{
	u64 at[2], misc, end;

	for (unsigned pass = 0; pass < 2; pass++) {
		struct box *b = vbox_new();
		struct vmx *vmx = b->cpu.vmx;

		b->cpu.bus.time = NULL; /* the TSC counts instructions */
		b->cpu.tsc_offset = 0;
		on_timer(b);
		SET(PREEMPTION_TIMER, 100);
		poke(b, GUEST_CODE, 0xfdeb90, 3); /* NOP; JMP to it */
		ck_assert_int_eq(vmx_msr_read(&b->cpu, 0x485, &misc), 0);
		ck_assert_int_eq(vbox_launch(b), 0);
		end = ((cpu_tsc(&b->cpu) >> (misc & 31)) + 100) << (misc & 31);
		while (b->cpu.vmx_mode == VMX_NONROOT)
			(void)cpu_run(&b->cpu, pass ? 7 : 1000000);
		ck_assert_uint_eq(VF(EXIT_REASON), VR_PREEMPTION_TIMER);
		ck_assert_uint_eq(cpu_tsc(&b->cpu), end + 2); /* and the exit and the HLT behind it */
		at[pass] = VF(GUEST_RIP);
		box_free(b);
	}
	ck_assert_uint_eq(at[0], at[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vmx_exits");
	TCase *c = tcase_create("all");

	tcase_add_test(c, every_reason);
	tcase_add_test(c, msr_load_failure);
	tcase_add_test(c, vectoring_information);
	tcase_add_test(c, injection);
	tcase_add_test(c, user_wait_and_pause);
	tcase_add_test(c, timer_is_exact);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	return run_suite(s);
}
