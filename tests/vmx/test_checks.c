/*
 * Every row of vmx_checks.def is violated by a VMLAUNCH, which must end as the SDM says: VMfail 7 or 8, or an entry
 * failure with exit reason 33 and the row's qualification, and name that row. And random VMCSs never do anything else.
 */
#include "tests/vmx/vbox.h"

/* ---- contexts: valid entries from which single fields are changed -------------------------------- */

static void ctx_base(struct box *b) { (void)b; }

static void ctx_bitmaps(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, IO_BITMAPS);
	ON(PROC_CTLS, P1, MSR_BITMAPS);
	ON(PROC_CTLS, P1, SECONDARY);
	SET(EXIT_MSR_STORE_COUNT, 0);
	ON(ENTRY_CTLS, ENTRY, LOAD_PAT);
	ON(ENTRY_CTLS, ENTRY, LOAD_EFER);
	ON(ENTRY_CTLS, ENTRY, LOAD_DEBUG);
	ON(EXIT_CTLS, EXIT, LOAD_PAT);
	ON(EXIT_CTLS, EXIT, LOAD_EFER);
}

static void ctx_msr_lists(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(EXIT_MSR_STORE_COUNT, 1);
	SET(EXIT_MSR_LOAD_COUNT, 1);
	SET(ENTRY_MSR_LOAD_COUNT, 1);
	SET(EXIT_MSR_STORE_ADDR, MSR_LIST);
	SET(EXIT_MSR_LOAD_ADDR, MSR_LIST);
	SET(ENTRY_MSR_LOAD_ADDR, MSR_LIST);
	poke(b, MSR_LIST, 0x174, 8);
}

static void ctx_tpr(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ON(PROC_CTLS, P1, TPR_SHADOW);
	SET(VAPIC_ADDR, VAPIC);
}

static void ctx_apic_access(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ctx_tpr(b);
	vbox_secondary(b, P2BIT(APIC_ACCESS) | P2BIT(APIC_REG));
	SET(APIC_ACCESS_ADDR, 0x1000);
}

static void ctx_vid(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ctx_tpr(b);
	vbox_secondary(b, P2BIT(VID));
	ON(PIN_CTLS, PIN, EXT_INT);
}

static void ctx_posted(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ctx_vid(b);
	ON(PIN_CTLS, PIN, POSTED);
	ON(EXIT_CTLS, EXIT, ACK_INT);
	SET(POSTED_DESC, PI_DESC);
	SET(POSTED_NV, 0x55);
}

static void ctx_ept(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_ept(b);
	vbox_secondary(b, P2BIT(VPID) | P2BIT(PML) | P2BIT(VMFUNC) | P2BIT(SHADOW) | P2BIT(VE) | P2BIT(TSC_SCALING) |
			       P2BIT(SPP));
	SET(SPPTP, ZERO_PAGE);
	SET(VPID, 1);
	SET(PML_ADDR, PML_LOG);
	SET(VMFUNC_CTLS, 1);
	SET(EPTP_LIST, EPTP_TABLE);
	SET(VMREAD_BITMAP, ZERO_PAGE);
	SET(VMWRITE_BITMAP, ZERO_PAGE);
	SET(VE_INFO_ADDR, VE_AREA);
	SET(TSC_MULTIPLIER, 1);
	SET(EPTP, EPT_TABLES | 0x5e);
}

/* A processor without accessed and dirty flags for EPT, and VM functions without EPT. */
static void ctx_ept_no_ad(struct box *b)
{
	b->cpu.feat[FEAT_EPT_AD / 32] &= ~BIT(FEAT_EPT_AD % 32);
	vbox_ept(b);
}

static void ctx_vmfunc(struct box *b)
{
	vbox_secondary(b, P2BIT(VMFUNC));
}

static void ctx_linked(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(LINK_PTR, VMCS_LINK);
}

static void ctx_v86(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	for (unsigned s = ES; s <= GS; s++)
		vbox_segment(vmx, s, 0x1000, 0x10000, 0xffff, 0xf3);
	SET(ENTRY_CTLS, vmx->vmcs.v[VF_ENTRY_CTLS] & ~BIT64(ENTRY_IA32E_BIT));
	SET(GUEST_CR3, GOOD_PDPT);
	SET(GUEST_RFLAGS, FL_R1 | FL_VM);
	SET(GUEST_RIP, 0);
}

static void ctx_pae(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(ENTRY_CTLS, vmx->vmcs.v[VF_ENTRY_CTLS] & ~BIT64(ENTRY_IA32E_BIT));
	SET(GUEST_CR3, GOOD_PDPT);
	vbox_segment(vmx, CS, S_CODE, 0, 0xffffffff, 0xc09b);
	vbox_segment(vmx, LDTR, S_LDT, LDT, 0x3f, 0x82);
}

static void ctx_user(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	for (unsigned s = ES; s <= GS; s++)
		vbox_segment(vmx, s, S_DATA3 | 3, 0, 0xffffffff, 0xc0f3);
	vbox_segment(vmx, CS, S_CODE64_3 | 3, 0, 0xffffffff, 0xa0fb);
}

static void ctx_conforming(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	vbox_segment(vmx, CS, S_CODE64, 0, 0xffffffff, 0xa09f);
}

static void ctx_unrestricted(struct box *b)
{
	vbox_ept(b);
	vbox_secondary(b, P2BIT(UNRESTRICTED));
}

static void ctx_real(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	ctx_unrestricted(b);
	SET(ENTRY_CTLS, vmx->vmcs.v[VF_ENTRY_CTLS] & ~BIT64(ENTRY_IA32E_BIT));
	SET(GUEST_CR0, CR0_NE | CR0_ET);
	for (unsigned s = ES; s <= GS; s++)
		vbox_segment(vmx, s, 0, 0, 0xffff, 0x93);
}

static void inject_event(struct box *b, unsigned type, unsigned vector, u32 more)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(ENTRY_INTR_INFO, vector | type << II_TYPE_SHIFT | more | II_VALID);
}

static void ctx_inject_interrupt(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	inject_event(b, II_EXT_INT, 0x40, 0);
	SET(GUEST_RFLAGS, FL_R1 | FL_IF);
}

static void ctx_inject_nmi(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	inject_event(b, II_NMI, 2, 0);
	ON(PIN_CTLS, PIN, NMI);
	ON(PIN_CTLS, PIN, VNMI);
	SET(GUEST_RFLAGS, FL_R1 | FL_IF);
}

static void ctx_inject_gp(struct box *b) { inject_event(b, II_HW_EXC, EXC_GP, II_ERR); }
static void ctx_inject_int(struct box *b) { inject_event(b, II_SW_INT, 0x80, 0); }

static void ctx_halted(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_ACTIVITY, GA_HLT);
}

static void ctx_halted_inject(struct box *b)
{
	inject_event(b, II_SW_INT, 0x80, 0);
}

static void ctx_interrupts_on(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_RFLAGS, FL_R1 | FL_IF);
}

static void ctx_sti(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(GUEST_RFLAGS, FL_R1 | FL_IF);
	SET(GUEST_INTERRUPTIBILITY, GI_STI);
}

/* A host in 32-bit protected mode with paging. */
static void ctx_host32(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;
	struct cpu *cpu = &b->cpu;

	poke(b, TABLES, 0x83, 4);
	cpu->efer = 0;
	cpu->cr4 = CR4_VMXE | CR4_PSE;
	force_seg(b, CS, S_CODE);
	cpu_mode_changed(cpu);
	vbox_host_state(b);
	SET(HOST_CS_SEL, S_CODE);
	vbox_guest_state(b);
	vbox_segment(vmx, CS, S_CODE, 0, 0xffffffff, 0xc09b);
	SET(EXIT_CTLS, vmx->vmcs.v[VF_EXIT_CTLS] & ~BIT64(EXIT_HOST64_BIT));
	SET(ENTRY_CTLS, vmx->vmcs.v[VF_ENTRY_CTLS] & ~BIT64(ENTRY_IA32E_BIT));
}

/* A 32-bit address space asked for by a 64-bit host: HOST32_GUEST, HOST_SIZE_LONG. */
static void ctx_host_mixed(struct box *b)
{
	struct vmx *vmx = b->cpu.vmx;

	SET(EXIT_CTLS, vmx->vmcs.v[VF_EXIT_CTLS] & ~BIT64(EXIT_HOST64_BIT));
	SET(ENTRY_CTLS, vmx->vmcs.v[VF_ENTRY_CTLS] & ~BIT64(ENTRY_IA32E_BIT));
}

static void (*const contexts[])(struct box *) = {
    ctx_base, ctx_bitmaps, ctx_msr_lists, ctx_tpr, ctx_apic_access, ctx_vid, ctx_posted, ctx_ept, ctx_ept_no_ad,
    ctx_vmfunc, ctx_linked, ctx_v86, ctx_pae, ctx_user, ctx_conforming, ctx_unrestricted, ctx_real,
    ctx_inject_interrupt, ctx_inject_nmi, ctx_inject_gp, ctx_inject_int, ctx_halted, ctx_halted_inject,
    ctx_interrupts_on, ctx_sti, ctx_host32, ctx_host_mixed,
};

/* ---- trying -------------------------------------------------------------------------------------- */

struct saved {
	struct cpu cpu;
	struct vmx vmx;
};

static void restore(struct box *b, const struct saved *s)
{
	static const struct mmu_vm none = {.apic_page = ~0ull};

	b->cpu = s->cpu;
	*b->cpu.vmx = s->vmx;
	mmu_vm_switch(&b->cpu, &none);
	cpu_mode_changed(&b->cpu);
}

/* What VMLAUNCH made of it must be what the failed row's group says, and nothing else. */
static void judge(struct box *b, const struct saved *s)
{
	static const u8 quals[] = {[VCG_GUEST] = 0, [VCG_GUEST_PDPTE] = 2, [VCG_GUEST_NMI] = 3, [VCG_GUEST_LINK] = 4};
	struct vmx *vmx = b->cpu.vmx;
	int id = vmx->failed_check;
	unsigned group = id < 0 ? 0 : vmx_check_rows[id].group;

	if (id < 0) {
		/* In the guest, or out of it again by what was injected or could not be loaded. */
		ck_assert(b->cpu.vmx_mode == VMX_NONROOT || b->cpu.activity == CPU_SHUTDOWN ||
			  VF(EXIT_REASON) < VR_COUNT || VF(EXIT_REASON) == (VR_ENTRY_MSR_LOAD | VR_ENTRY_FAILURE));
		return;
	}
	ck_assert_int_eq(b->cpu.vmx_mode, VMX_ROOT);
	if (group <= VCG_HOST) {
		ck_assert_uint_eq(b->cpu.rflags & FL_ARITH, FL_ZF);
		ck_assert_uint_eq(VF(INSTR_ERROR), group == VCG_CONTROL ? 7 : 8);
		ck_assert_uint_eq(b->cpu.rip, s->cpu.rip + 3);
		return;
	}
	ck_assert_uint_eq(VF(EXIT_REASON), VR_ENTRY_GUEST_STATE | VR_ENTRY_FAILURE);
	ck_assert_uint_eq(VF(EXIT_QUAL), quals[group]);
	ck_assert(b->cpu.activity == CPU_SHUTDOWN || (u32)b->cpu.rip == (u32)VF(HOST_RIP));
	ck_assert(b->cpu.activity == CPU_SHUTDOWN || (u32)b->cpu.r[RSP] == (u32)VF(HOST_RSP));
}

static int try(struct box *b, const struct saved *s, unsigned field, u64 value)
{
	int id;

	b->cpu.vmx->vmcs.v[field] = value & vmcs_field_mask(field);
	ck_assert_int_eq(vbox_launch(b), 0);
	judge(b, s);
	id = b->cpu.vmx->failed_check;
	restore(b, s);
	return id;
}

/* Values that a field is given: its bits flipped one by one, and places and numbers that mean something. */
static unsigned candidates(u64 base, u64 out[96])
{
	static const u64 special[] = {0, ~0ull, 1, VMCS_LINK, VMCS_SHADOW, ZERO_PAGE, BAD_PDPT, 4, 0xfffffffff0ull};
	unsigned n = 0;

	for (unsigned i = 0; i < 64; i++)
		out[n++] = base ^ BIT64(i);
	for (unsigned i = 0; i < ARRAY_SIZE(special); i++)
		out[n++] = special[i];
	return n;
}

START_TEST(every_check_is_violated)
{
	bool seen[VC_COUNT] = {false};
	unsigned missing = 0;

	for (unsigned c = 0; c < ARRAY_SIZE(contexts); c++) {
		struct box *b = vbox_new();
		struct saved s;
		u64 values[96];

		contexts[c](b);
		s.cpu = b->cpu;
		s.vmx = *b->cpu.vmx;
		for (unsigned f = 0; f < VF_COUNT; f++) {
			unsigned n = candidates(s.vmx.vmcs.v[f], values);

			for (unsigned i = 0; i < n; i++) {
				int id = try(b, &s, f, values[i]);

				if (id >= 0)
					seen[id] = true;
			}
		}
		box_free(b);
	}
	for (unsigned i = 0; i < VC_COUNT; i++)
		if (!seen[i]) {
			fprintf(stderr, "never violated: %s\n", vmx_check_rows[i].name);
			missing++;
		}
	ck_assert_uint_eq(missing, 0);
}
END_TEST

/* Contexts are valid entries, but for the two that exist to be refused. */
START_TEST(contexts_enter)
{
	for (unsigned c = 0; c < ARRAY_SIZE(contexts); c++) {
		struct box *b = vbox_new();

		contexts[c](b);
		ck_assert_int_eq(vbox_launch(b), 0);
		if (contexts[c] != ctx_host_mixed) {
			ck_assert_msg(b->cpu.vmx_mode == VMX_NONROOT, "context %u: %s", c,
				      b->cpu.vmx->failed_check < 0 ? "?" : vmx_check_rows[b->cpu.vmx->failed_check].name);
		}
		box_free(b);
	}
}
END_TEST

static u64 random64(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed ^ *seed >> 29;
}

/* Some fields of a valid VMCS take random values; the verdict agrees with the table, and running on does no harm. */
START_TEST(random_vmcs)
{
	u64 seed = 7;

	for (unsigned c = 0; c < ARRAY_SIZE(contexts); c++) {
		struct box *b = vbox_new();
		struct saved s;

		contexts[c](b);
		s.cpu = b->cpu;
		s.vmx = *b->cpu.vmx;
		for (unsigned round = 0; round < 1500; round++) {
			unsigned changes = 1 + random64(&seed) % 4;

			while (changes--) {
				unsigned f = random64(&seed) % VF_COUNT;
				u64 v = random64(&seed);

				v = v & 4 ? v : v & 2 ? s.vmx.vmcs.v[f] ^ BIT64(v >> 8 & 63) : v % RAM_SIZE & ~0xfffull;
				b->cpu.vmx->vmcs.v[f] = v & vmcs_field_mask(f);
			}
			ck_assert_int_eq(vbox_launch(b), 0);
			judge(b, &s);
			if (b->cpu.vmx_mode == VMX_NONROOT)
				(void)cpu_run(&b->cpu, 200);
			restore(b, &s);
		}
		box_free(b);
	}
}
END_TEST

/* The first row that does not hold, when nothing is taken as known. */
static int first_failing(struct cpu *cpu)
{
	bool failed[VC_COUNT];

	vmx_lint(cpu, failed);
	for (unsigned i = 0; i < VC_COUNT; i++)
		if (failed[i])
			return (int)i;
	return -1;
}

static int verdict(struct cpu *cpu)
{
	u64 value;
	int failed = vmx_check_entry(cpu, &value);

	return failed < 0 ? vmx_check_guest(cpu, &value) : failed;
}

/* What an earlier entry found and what is written since: a processor that remembers says the same as one that does not. */
START_TEST(nothing_is_known_too_long)
{
	u64 seed = 11;

	for (unsigned c = 0; c < ARRAY_SIZE(contexts); c++) {
		struct box *b = vbox_new();
		struct vmx *vmx = b->cpu.vmx;
		u64 good[VF_COUNT], efer, cr4;

		contexts[c](b);
		memcpy(good, vmx->vmcs.v, sizeof(good));
		efer = b->cpu.efer;
		cr4 = b->cpu.cr4;
		for (unsigned round = 0; round < 4000; round++) {
			unsigned f = random64(&seed) % VF_COUNT;
			u64 v = random64(&seed);

			v = v & 1 ? good[f] : v & 2 ? good[f] ^ BIT64(v >> 8 & 63) : v & 4 ? v : v % RAM_SIZE & ~0xfffull;
			vmcs_field_set(&vmx->vmcs, f, 0, v);
			vmx_forget_checks(vmx, f);
			if (!(v >> 40 & 15)) { /* most are good again */
				for (unsigned i = 0; i < VF_COUNT; i++) {
					vmcs_field_set(&vmx->vmcs, i, 0, good[i]);
					vmx_forget_checks(vmx, i);
				}
			}
			b->cpu.efer = efer ^ (v >> 48 & 63 ? 0 : EFER_LMA);
			b->cpu.cr4 = cr4 ^ (v >> 56 & 63 ? 0 : CR4_LA57);
			phys_write(&b->cpu, VF(VAPIC_ADDR) % RAM_SIZE + 0x80, &v, 1);
			ck_assert_int_eq(verdict(&b->cpu), first_failing(&b->cpu));
		}
		b->cpu.efer = efer;
		b->cpu.cr4 = cr4;
		box_free(b);
	}
}
END_TEST

/* A guest that changes its segment registers where no VMWRITE is: what was known of them is not any more. */
START_TEST(exits_forget_segments)
{
	struct box *b = vbox_new();
	struct vmx *vmx = b->cpu.vmx;

	ck_assert_int_eq(vbox_launch(b), 0);
	vmx_exit(&b->cpu, VR_HLT, 0);
	ck_assert_int_eq(verdict(&b->cpu), -1);
	ck_assert(vmx->known.controls && vmx->known.segments);
	ck_assert_uint_eq(vmx_enter(&b->cpu), 0);
	ck_assert(b->cpu.vmx_mode == VMX_NONROOT);
	b->cpu.seg[DS].ar = 0x93; /* a limit of 4 GiB without granularity: no guest can do this */
	vmx_exit(&b->cpu, VR_HLT, 0);
	ck_assert_int_eq(verdict(&b->cpu), VC_GUEST_DS_G);
	box_free(b);
}
END_TEST

struct lines {
	unsigned n, failing, annotated, qualified;
};

static void count_line(void *ctx, const char *text)
{
	struct lines *l = ctx;

	l->n++;
	l->failing += !strncmp(text, "an entry would fail", 19);
	l->qualified += strstr(text, "write; the tables allow reads; of the access itself") != NULL;
	l->annotated += strstr(text, "VMX-preemption timer") || strstr(text, "VM exit: ") || strstr(text, "unusable");
}

/* The description has a line for every field there is, and names every check that would fail. */
START_TEST(description)
{
	struct box *b = vbox_new();
	struct vmx *vmx = b->cpu.vmx;
	struct lines l = {0};
	bool failed[VC_COUNT];

	vmx_describe(&b->cpu, count_line, &l);
	ck_assert_uint_eq(l.failing, 0);
	ck_assert_uint_eq(l.n, 1 + VF_COUNT); /* this model has them all */
	ck_assert_uint_ge(l.annotated, 1);
	SET(EXIT_REASON, VR_EPT_VIOLATION);
	SET(EXIT_QUAL, 0x18a);
	SET(HOST_CR3, ~0ull);
	SET(GUEST_RFLAGS, 0);
	vmx_lint(&b->cpu, failed);
	ck_assert(failed[VC_HOST_CR3_WIDTH] && failed[VC_GUEST_RFLAGS_RESERVED]);
	l = (struct lines){0};
	vmx_describe(&b->cpu, count_line, &l);
	ck_assert_uint_eq(l.failing, 2);
	ck_assert_uint_eq(l.qualified, 1);
	box_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vmx_checks");
	TCase *c = tcase_create("all");

	tcase_add_test(c, contexts_enter);
	tcase_add_test(c, every_check_is_violated);
	tcase_add_test(c, random_vmcs);
	tcase_add_test(c, nothing_is_known_too_long);
	tcase_add_test(c, exits_forget_segments);
	tcase_add_test(c, description);
	tcase_set_timeout(c, 120);
	suite_add_tcase(s, c);
	return run_suite(s);
}
