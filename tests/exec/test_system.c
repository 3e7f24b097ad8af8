/* Control and debug registers, flags instructions, MSRs, CPUID, and the small system instructions.
 */
#include "sysbox.h"

static struct box *b, *l;
static struct cpu *c;

static void setup(void)
{
	b = box_protected();
	c = &b->cpu;
	l = box_long(0);
}

static void teardown(void)
{
	box_free(b);
	box_free(l);
}

/* ---- control registers --------------------------------------------------------------- */

static void cr_fails(struct box *x, int (*write)(struct cpu *, u64), u64 v)
{
	struct cpu before = x->cpu;

	ck_assert_msg(write(&x->cpu, v) == 1, "%llx accepted", (unsigned long long)v);
	ck_assert_uint_eq(x->cpu.fault.vector, EXC_GP);
	ck_assert_uint_eq(x->cpu.fault.err, 0);
	assert_unchanged(&before, &x->cpu);
}

START_TEST(cr0_rules)
{
	cr_fails(b, cr0_write, CR0_PG);
	cr_fails(b, cr0_write, CR0_PE | CR0_NW);
	cr_fails(l, cr0_write, l->cpu.cr0 | 1ull << 32);
	cr_fails(l, cr0_write, l->cpu.cr0 & ~(u64)CR0_PG);
	c->efer |= EFER_LME;
	cr_fails(b, cr0_write, CR0_PE | CR0_PG); /* PAE = 0 */
	c->cr4 |= CR4_PAE;
	c->seg[CS].ar |= AR_L;
	cr_fails(b, cr0_write, CR0_PE | CR0_PG);
	c->seg[CS].ar &= ~AR_L;
	force_seg(b, TR, S_TSS16);
	cr_fails(b, cr0_write, CR0_PE | CR0_PG);
	force_seg(b, TR, S_TSS);
	ck_assert_int_eq(cr0_write(c, CR0_PE | CR0_PG), 0);
	ck_assert_uint_eq(c->efer & EFER_LMA, EFER_LMA);
	ck_assert_uint_eq(c->mode & (MODE_LMA | MODE_BITS), MODE_LMA | MODE_32);
	ck_assert_int_eq(cr0_write(c, CR0_PE), 0);
	ck_assert_uint_eq(c->efer & EFER_LMA, 0);
	ck_assert_uint_eq(c->cr0, CR0_PE | CR0_ET);
	l->cpu.cr4 |= CR4_PCIDE;
	force_seg(l, CS, S_CODE);
	cpu_mode_changed(&l->cpu);
	cr_fails(l, cr0_write, l->cpu.cr0 & ~(u64)CR0_PG);
}
END_TEST

START_TEST(cr4_and_cr3_rules)
{
	cr_fails(b, cr4_write, 1ull << 31);
	cr_fails(b, cr4_write, CR4_PCIDE);
	cr_fails(l, cr4_write, l->cpu.cr4 & ~(u64)CR4_PAE);
	cr_fails(l, cr4_write, l->cpu.cr4 ^ CR4_LA57);
	ck_assert_int_eq(cr4_write(&l->cpu, l->cpu.cr4 | CR4_PCIDE), 0);
	ck_assert_int_eq(cr3_write(&l->cpu, TABLES | 5 | 1ull << 63), 0);
	ck_assert_uint_eq(l->cpu.cr3, TABLES | 5);
	cr_fails(l, cr3_write, 1ull << 40);
	ck_assert_int_eq(cr4_write(&l->cpu, l->cpu.cr4 & ~(u64)CR4_PCIDE), 0);
	cr_fails(l, cr4_write, l->cpu.cr4 | CR4_PCIDE); /* CR3[11:0] is not 0 */
	cr_fails(l, cr3_write, TABLES | 1ull << 63);
}
END_TEST

START_TEST(pae_pdptes_are_checked)
{
	c->cr4 |= CR4_PAE;
	poke(b, DATA, 0x1ff, 8);
	ck_assert_int_eq(cr0_write(c, CR0_PE), 0);
	c->cr3 = DATA;
	cr_fails(b, cr0_write, CR0_PE | CR0_PG);
	poke(b, DATA, (TABLES + 0x2000) | 1, 8);
	ck_assert_int_eq(cr0_write(c, CR0_PE | CR0_PG), 0);
}
END_TEST

START_TEST(mov_cr_instructions)
{
	RUNS(b, 0x0f, 0x20, 0xc0); /* mov eax, cr0 */
	ck_assert_uint_eq(c->r[RAX], (u32)c->cr0);
	l->cpu.r[RAX] = 9;
	RUNS(l, 0x44, 0x0f, 0x22, 0xc0); /* mov cr8, rax */
	ck_assert_uint_eq(l->cr8, 9);
	l->cpu.r[RAX] = 16;
	FAULTS(l, EXC_GP, 0, 0x44, 0x0f, 0x22, 0xc0);
	c->r[RAX] = 0x123;
	RUNS(b, 0x0f, 0x22, 0xd0);
	ck_assert_uint_eq(c->cr2, 0x123);
}
END_TEST

START_TEST(lmsw_cannot_clear_pe)
{
	c->r[RAX] = CR0_TS | CR0_MP;
	RUNS(b, 0x0f, 0x01, 0xf0);
	ck_assert_uint_eq(c->cr0 & 15, CR0_PE | CR0_TS | CR0_MP);
	ck_assert(c->mode & MODE_SSE_NM);
	RUNS(b, 0x0f, 0x06); /* clts */
	ck_assert_uint_eq(c->cr0 & CR0_TS, 0);
	ck_assert(!(c->mode & MODE_SSE_NM));
}
END_TEST

START_TEST(debug_registers)
{
	l->cpu.r[RAX] = 1ull << 32;
	FAULTS(l, EXC_GP, 0, 0x0f, 0x23, 0xf0);
	FAULTS(l, EXC_GP, 0, 0x0f, 0x23, 0xf8);
	l->cpu.r[RAX] = 0xffffffff;
	RUNS(l, 0x0f, 0x23, 0xf0);
	ck_assert_uint_eq(l->cpu.dr[6], DR6_FIXED | 0xe00f);
	RUNS(l, 0x0f, 0x23, 0xf8);
	ck_assert_uint_eq(l->cpu.dr[7], 0xffff27ff);
	c->r[RAX] = 0;
	RUNS(b, 0x0f, 0x23, 0xe0); /* DR4 is DR6 */
	ck_assert_uint_eq(c->dr[6], DR6_FIXED);
	c->cr4 |= CR4_DE;
	FAULTS(b, EXC_UD, 0, 0x0f, 0x23, 0xe0);
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x21, 0xc0);
}
END_TEST

/* ---- flags --------------------------------------------------------------------------- */

START_TEST(cli_sti)
{
	RUNS(b, 0xfb);
	ck_assert(c->rflags & FL_IF);
	ck_assert_uint_eq(c->int_shadow, 1);
	c->int_shadow = 0;
	RUNS(b, 0xfb); /* already set: no shadow */
	ck_assert_uint_eq(c->int_shadow, 0);
	RUNS(b, 0xfa);
	ck_assert(!(c->rflags & FL_IF));
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0xfa);
	FAULTS(b, EXC_GP, 0, 0xfb);
	c->cr4 |= CR4_PVI;
	RUNS(b, 0xfb);
	ck_assert_uint_eq(c->rflags & (FL_IF | FL_VIF), FL_VIF);
	c->rflags |= FL_VIP;
	FAULTS(b, EXC_GP, 0, 0xfb);
	RUNS(b, 0xfa);
	ck_assert_uint_eq(c->rflags & FL_VIF, 0);
	cpu_set_rflags(c, FL_R1 | FL_IOPL);
	RUNS(b, 0xfb);
	ck_assert(c->rflags & FL_IF);
}
END_TEST

START_TEST(pushf_popf)
{
	cpu_set_rflags(c, FL_R1 | FL_RF | FL_ID | FL_AC);
	RUNS(b, 0x9c);
	ck_assert_uint_eq(peek(b, c->r[RSP], 4), FL_R1 | FL_ID | FL_AC);
	poke(b, c->r[RSP], 0xffffffff & ~(FL_TF), 4);
	RUNS(b, 0x9d);
	ck_assert_uint_eq(c->rflags,
			  FL_R1 | FL_ARITH | FL_DF | FL_IF | FL_IOPL | FL_NT | FL_AC | FL_ID);
	box_cpl(b, 3);
	cpu_set_rflags(c, FL_R1);
	c->r[RSP] -= 4;
	poke(b, c->r[RSP], 0xffffffff & ~(FL_TF | FL_AC), 4);
	RUNS(b, 0x9d);
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_ARITH | FL_DF | FL_NT | FL_ID);
	cpu_set_rflags(c, FL_R1 | FL_IOPL);
	c->r[RSP] -= 2;
	poke(b, c->r[RSP], FL_IF, 2);
	RUNS(b, 0x66, 0x9d);
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_IOPL | FL_IF);
}
END_TEST

START_TEST(popf_turns_on_single_step)
{
	c->r[RSP] -= 4;
	poke(b, c->r[RSP], FL_TF, 4);
	RUNS(b, 0x9d);
	ck_assert(c->mode & MODE_TF);
}
END_TEST

START_TEST(clac_stac)
{
	RUNS(b, 0x0f, 0x01, 0xcb);
	ck_assert(c->rflags & FL_AC);
	RUNS(b, 0x0f, 0x01, 0xca);
	ck_assert(!(c->rflags & FL_AC));
	box_cpl(b, 3);
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xcb);
}
END_TEST

/* ---- the rest ------------------------------------------------------------------------ */

START_TEST(time_stamp)
{
	b->now = 0x123456789a;
	c->tsc_aux = 7;
	RUNS(b, 0x0f, 0x31);
	ck_assert_uint_eq(c->r[RAX], 0x3456789a);
	ck_assert_uint_eq(c->r[RDX], 0x12);
	ck_assert_int_eq(msr_write(c, 0x10, 100), 0);
	b->now += 5;
	RUNS(b, 0x0f, 0x01, 0xf9);
	ck_assert_uint_eq(c->r[RAX], 105);
	ck_assert_uint_eq(c->r[RCX], 7);
	ck_assert_int_eq(msr_write(c, 0x3b, c->tsc_adjust + 1000), 0);
	ck_assert_uint_eq(cpu_tsc(c), 1105);
	c->cr4 |= CR4_TSD;
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x31);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xf9);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x33);
}
END_TEST

/* ---- UMONITOR, UMWAIT, TPAUSE (SDM Vol. 2B) --------------------------------------------- */

#define UMONITOR_RDI 0xf3, 0x0f, 0xae, 0xf7
#define UMWAIT_ECX   0xf2, 0x0f, 0xae, 0xf1
#define TPAUSE_ECX   0x66, 0x0f, 0xae, 0xf1

/* The instruction, then NOPs; at TSC 1000, until @until. */
static enum cpu_exit waits(const u8 *insn, u64 until)
{
	if (memcmp(b->ram + CODE, insn, 4)) {
		memcpy(b->ram + CODE, insn, 4);
		memset(b->ram + CODE + 4, 0x90, 16);
		cpu_blocks_flush(c); /* which ends every wait */
	}
	b->now = 1000;
	c->rip = CODE;
	c->r[RCX] = 0;
	c->r[RAX] = (u32)until;
	c->r[RDX] = until >> 32;
	cpu_set_rflags(c, c->rflags | FL_ARITH);
	return cpu_run(c, 4);
}

static void is_over(bool carry)
{
	ck_assert_int_eq(cpu_run(c, 2), CPU_EXIT_BUDGET);
	ck_assert_int_eq(c->activity, CPU_ACTIVE);
	ck_assert_uint_eq(c->rip, CODE + 6);
	ck_assert_uint_eq(cpu_rflags(c) & FL_ARITH, carry ? FL_CF : 0);
}

START_TEST(tpause_waits_for_the_time_or_an_interrupt)
{
	static const u8 tpause[] = {TPAUSE_ECX};

	ck_assert_int_eq(waits(tpause, 1500), CPU_EXIT_HALT);
	ck_assert_uint_eq(c->rip, CODE + 4);
	ck_assert_uint_eq(cpu_wait_ns(c), 500);
	b->now = 1499;
	ck_assert_int_eq(cpu_run(c, 2), CPU_EXIT_HALT);
	b->now = 1500;
	is_over(false);
	ck_assert_int_eq(waits(tpause, 1000), CPU_EXIT_BUDGET); /* it is that late already */
	ck_assert_uint_eq(cpu_rflags(c) & FL_ARITH, 0);
	ck_assert_int_eq(waits(tpause, ~0ull), CPU_EXIT_HALT);
	ck_assert_uint_eq(cpu_wait_ns(c), ~0ull);
	cpu_event_set(c, CPU_EV_INTR); /* masked, it ends the wait, and is not taken */
	is_over(false);
	ck_assert_uint_eq(b->acknowledged, 0);
	cpu_event_clear(c, CPU_EV_INTR);
	b->vector = 0x40;
	cpu_set_rflags(c, c->rflags | FL_IF);
	ck_assert_int_eq(waits(tpause, ~0ull), CPU_EXIT_HALT);
	cpu_event_set(c, CPU_EV_INTR);
	(void)cpu_run(c, 1);
	ck_assert_uint_eq(c->rip, HANDLER + 0x40 * 4);
	ck_assert_uint_eq(peek(b, (u32)c->r[RSP], 4), CODE + 4);
	ck_assert_uint_eq(peek(b, (u32)c->r[RSP] + 8, 4) & FL_ARITH, 0);
}
END_TEST

START_TEST(the_system_limits_waits)
{
	static const u8 tpause[] = {TPAUSE_ECX};
	u64 v;

	ck_assert_int_eq(msr_write(c, 0xe1, 2), 1); /* reserved */
	ck_assert_int_eq(msr_write(c, 0xe1, 1ull << 32), 1);
	ck_assert_int_eq(msr_write(c, 0xe1, 400 | 1), 0);
	ck_assert(!msr_read(c, 0xe1, &v) && v == 401);
	ck_assert_int_eq(waits(tpause, 2000), CPU_EXIT_HALT);
	b->now = 1400;
	is_over(true);
	ck_assert_int_eq(waits(tpause, 1400), CPU_EXIT_HALT); /* not before its own time */
	b->now = 1400;
	is_over(false);
	ck_assert_int_eq(waits(tpause, 2000), CPU_EXIT_HALT);
	cpu_event_set(c, CPU_EV_INTR);
	is_over(false);
	cpu_reset(c, true);
	ck_assert_uint_eq(c->umwait_control, 401);
	cpu_reset(c, false);
	ck_assert_uint_eq(c->umwait_control, 0);
}
END_TEST

START_TEST(umwait_waits_for_a_store)
{
	static const u8 umwait[] = {UMWAIT_ECX};

	ck_assert_int_eq(waits(umwait, 2000), CPU_EXIT_BUDGET); /* nothing is monitored */
	c->r[RDI] = c->r[RAX] = DATA + 100;
	c->r[RCX] = 0;
	RUNS(b, 0x0f, 0x01, 0xc8); /* MONITOR arms for MWAIT alone, ... */
	ck_assert_int_eq(waits(umwait, 2000), CPU_EXIT_BUDGET);
	RUNS(b, UMONITOR_RDI);
	ck_assert_int_eq(waits(umwait, 2000), CPU_EXIT_HALT);
	cpu_ram_written(c, DATA + 128, 1);
	ck_assert_int_eq(cpu_run(c, 2), CPU_EXIT_HALT);
	cpu_ram_written(c, DATA + 127, 1);
	is_over(false);
	RUNS(b, UMONITOR_RDI);
	cpu_ram_written(c, DATA + 64, 1);
	ck_assert_int_eq(waits(umwait, 2000), CPU_EXIT_BUDGET); /* written already */
	RUNS(b, UMONITOR_RDI);
	ck_assert_int_eq(waits(umwait, 2000), CPU_EXIT_HALT);
	b->now = 2000;
	is_over(false);
	ck_assert_int_eq(waits(umwait, 3000), CPU_EXIT_BUDGET); /* armed once */
	RUNS(b, UMONITOR_RDI);
	c->r[RCX] = 0;
	RUNS(b, 0x0f, 0x01, 0xc9); /* ... and UMONITOR not for it */
	ck_assert_int_eq(c->activity, CPU_ACTIVE);
}
END_TEST

START_TEST(user_waits_fault)
{
	const struct cpu_model *model;
	u32 feat[FEATURE_WORDS];
	char err[128];
	struct insn in;
	struct decode_mode m = {.bits = 32, .feat = feat};

	c->r[RCX] = 2;
	FAULTS(b, EXC_GP, 0, TPAUSE_ECX);
	FAULTS(b, EXC_GP, 0, UMWAIT_ECX);
	l->cpu.r[RCX] = 1ull << 32; /* a register of 32 bits */
	RUNS(l, TPAUSE_ECX);
	c->r[RCX] = 1;
	RUNS(b, TPAUSE_ECX);
	c->cr4 |= CR4_TSD;
	RUNS(b, TPAUSE_ECX);
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, TPAUSE_ECX);
	FAULTS(b, EXC_GP, 0, UMWAIT_ECX);
	c->r[RDI] = DATA;
	RUNS(b, UMONITOR_RDI);
	force_seg(b, DS, S_SMALL);
	FAULTS(b, EXC_GP, 0, UMONITOR_RDI);
	l->cpu.r[RDI] = 0x400000;
	ck_assert_int_eq(EXEC(l, UMONITOR_RDI), 1);
	ck_assert_uint_eq(l->cpu.fault.vector, EXC_PF);
	ck_assert_uint_eq(l->cpu.fault.err, 0);
	l->cpu.r[RDI] = 1ull << 50;
	FAULTS(l, EXC_GP, 0, UMONITOR_RDI);
	l->cpu.r[RDI] = 1ull << 50 | DATA;
	RUNS(l, 0x67, UMONITOR_RDI); /* the address size is the operand's */
	ck_assert(!cpu_model_parse("max,-waitpkg", &model, feat, err, sizeof(err)));
	ck_assert_int_ne(insn_decode(&m, CODE_BYTES(TPAUSE_ECX), &in), DECODE_OK);
	ck_assert(!cpu_model_parse("max", &model, feat, err, sizeof(err)));
	ck_assert_int_eq(insn_decode(&m, CODE_BYTES(TPAUSE_ECX), &in), DECODE_OK);
}
END_TEST

START_TEST(extended_control_registers)
{
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xd0);
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xd1);
	c->cr4 |= CR4_OSXSAVE;
	c->r[RCX] = 0;
	RUNS(b, 0x0f, 0x01, 0xd0);
	ck_assert_uint_eq(c->r[RAX], 1);
	c->r[RAX] = 3;
	RUNS(b, 0x0f, 0x01, 0xd1);
	ck_assert_uint_eq(c->xcr0, 3);
	static const u32 bad[] = {0, 2, 5, 0x20 | 3, 0x100 | 3, 0x80000003};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		c->r[RAX] = bad[i];
		FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xd1);
	}
	c->r[RAX] = 3;
	c->r[RCX] = 2;
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xd1);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xd0);
	c->r[RCX] = 0;
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xd1);
}
END_TEST

START_TEST(protection_keys)
{
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xee);
	c->cr4 |= CR4_PKE;
	c->r[RAX] = 0x12345678;
	c->r[RCX] = c->r[RDX] = 0;
	RUNS(b, 0x0f, 0x01, 0xef);
	ck_assert_uint_eq(c->pkru, 0x12345678);
	c->r[RDX] = 1;
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xef);
	RUNS(b, 0x0f, 0x01, 0xee);
	ck_assert_uint_eq(c->r[RAX], 0x12345678);
	ck_assert_uint_eq(c->r[RDX], 0);
	c->r[RCX] = 1;
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xee);
}
END_TEST

START_TEST(fs_gs_base_instructions)
{
	struct cpu *k = &l->cpu;

	FAULTS(l, EXC_UD, 0, 0xf3, 0x48, 0x0f, 0xae, 0xc0);
	k->cr4 |= CR4_FSGSBASE;
	k->r[RAX] = 0x100000000000000;
	FAULTS(l, EXC_GP, 0, 0xf3, 0x48, 0x0f, 0xae, 0xd0); /* wrfsbase rax */
	k->r[RAX] = 0xffff800000001234;
	RUNS(l, 0xf3, 0x48, 0x0f, 0xae, 0xd0);
	ck_assert_uint_eq(seg_base(k, FS), k->r[RAX]);
	RUNS(l, 0xf3, 0x0f, 0xae, 0xc3); /* rdfsbase ebx */
	ck_assert_uint_eq(k->r[RBX], 0x1234);
	RUNS(l, 0xf3, 0x0f, 0xae, 0xd8); /* wrgsbase eax */
	ck_assert_uint_eq(seg_base(k, GS), 0x1234);
}
END_TEST

START_TEST(invpcid_faults)
{
	struct cpu *k = &l->cpu;

	k->r[RBX] = DATA;
	poke(l, DATA, 0, 8);
	k->r[RAX] = 4;
	FAULTS(l, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x03);
	k->r[RAX] = 0;
	poke(l, DATA, 0x1000, 8);
	FAULTS(l, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x03);
	poke(l, DATA, 1, 8);
	FAULTS(l, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x03); /* PCID with PCIDE = 0 */
	poke(l, DATA, 0, 8);
	poke(l, DATA + 8, 1ull << 56, 8);
	FAULTS(l, EXC_GP, 0, 0x66, 0x0f, 0x38, 0x82, 0x03);
	k->r[RAX] = 2;
	RUNS(l, 0x66, 0x0f, 0x38, 0x82, 0x03);
}
END_TEST

START_TEST(monitor_and_hlt)
{
	RUNS(b, 0xf4);
	ck_assert_uint_eq(c->activity, CPU_HLT);
	c->r[RAX] = DATA;
	c->r[RCX] = 0;
	RUNS(b, 0x0f, 0x01, 0xc8);
	RUNS(b, 0x0f, 0x01, 0xc9);
	c->r[RCX] = 2;
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xc8);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xc9);
	c->r[RCX] = 0;
	box_cpl(b, 3);
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xc8);
	FAULTS(b, EXC_UD, 0, 0x0f, 0x01, 0xc9);
}
END_TEST

START_TEST(random_numbers_repeat)
{
	u64 first[4];

	for (unsigned round = 0; round < 2; round++) {
		c->rng = 42;
		for (unsigned i = 0; i < 4; i++) {
			RUNS(b, 0x0f, 0xc7, 0xf0);
			ck_assert_uint_eq(c->rflags & FL_ARITH, FL_CF);
			if (round)
				ck_assert_uint_eq(c->r[RAX], first[i]);
			first[i] = c->r[RAX];
		}
	}
	ck_assert_uint_ne(first[0], first[1]);
}
END_TEST

START_TEST(undefined_instructions)
{
	FAULTS(b, EXC_UD, 0, 0x0f, 0x0b);
}
END_TEST

/* ---- MSRs ---------------------------------------------------------------------------- */

static void msr_fails(struct box *x, u32 msr, u64 v)
{
	struct cpu before = x->cpu;

	ck_assert_msg(msr_write(&x->cpu, msr, v) == 1, "MSR %x accepts %llx", msr,
		      (unsigned long long)v);
	ck_assert_uint_eq(x->cpu.fault.vector, EXC_GP);
	assert_unchanged(&before, &x->cpu);
}

START_TEST(msr_write_faults)
{
	static const struct {
		u32 msr;
		u64 v;
	} t[] = {
	    {0x12345, 0},
	    {0xfe, 0},
	    {0x10a, 0},
	    {0x179, 0},
	    {0xce, 0},
	    {0x48, 8},
	    {0x49, 2},
	    {0x175, 1ull << 56},
	    {0x176, 1ull << 56},
	    {0x277, 2},
	    {0x277, 8ull << 56},
	    {0x250, 7},
	    {0x2ff, 2},
	    {0x2ff, 0x100},
	    {0x200, 2},
	    {0x200, 1ull << 40},
	    {0x200, 0x100},
	    {0x201, 0x400},
	    {0x400, 1},
	    {0x401, 1},
	    {0xda0, 1},
	    {0xc0000080, 2},
	    {0xc0000080, 1ull << 32},
	    {0xc0000082, 1ull << 56},
	    {0xc0000100, 1ull << 56},
	    {0xc0000101, 1ull << 56},
	    {0xc0000102, 1ull << 56},
	    {0xc0000103, 1ull << 32},
	    {0x1d9, 1ull << 20},
	    {0x38f, 0},
	    {0x186, 0},
	    {0x6e0, 0} /* refused by this box's APIC */,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		msr_fails(l, t[i].msr, t[i].v);
	msr_fails(l, 0xc0000080, 0); /* LME cleared with paging on */
}
END_TEST

/* The processor's width counts, not the paging mode's (SDM Vol. 1, 3.3.7.1). */
START_TEST(msr_addresses_of_57_bits)
{
	ck_assert_uint_eq(l->cpu.cr4 & CR4_LA57, 0);
	ck_assert_int_eq(msr_write(&l->cpu, 0xc0000082, 1ull << 55), 0);
	ck_assert_uint_eq(l->cpu.lstar, 1ull << 55);
	l->cpu.feat[FEAT_LA57 / 32] &= ~BIT(FEAT_LA57 % 32);
	msr_fails(l, 0xc0000082, 1ull << 55);
	msr_fails(l, 0xc0000082, 1ull << 47);
}
END_TEST

START_TEST(msr_read_faults)
{
	static const u32 bad[] = {0x12345, 0x49, 0x79, 0x38f, 0xc1, 0x6e0, 0x800};
	u64 v;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_msg(msr_read(c, bad[i], &v) == 1, "MSR %x", bad[i]);
		ck_assert_uint_eq(c->fault.vector, EXC_GP);
	}
}
END_TEST

/* They are searched by halves. */
START_TEST(msr_rows_are_in_order)
{
#define MSR(num, ...) num,
	static const u32 rows[] = {
#include "cpu/exec/msrs.def"
	};
#undef MSR
	for (unsigned i = 1; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(rows[i - 1] <= rows[i], "MSR %x stands behind %x", rows[i], rows[i - 1]);
}
END_TEST

START_TEST(msr_round_trips)
{
	static const struct {
		u32 msr;
		u64 v;
	} t[] = {
	    {0x1b, 0xfee00800},
	    {0x174, 0x10},
	    {0x175, 0xffff800000000000},
	    {0x277, 0x0107040600070406},
	    {0x200, 0x80000006},
	    {0x20f, 0xff80000800},
	    {0x26f, 0x0606060606060606},
	    {0x2ff, 0xc06},
	    {0x400, ~0ull},
	    {0x402, 0x123456789a},
	    {0x403, 0xaaaaaaaaaaaaaaaa},
	    {0x17a, 4},
	    {0x48, 5},
	    {0xc0000081, ~0ull},
	    {0xc0000082, 0xffffffff81000000},
	    {0xc0000084, 0x47700},
	    {0xc0000100, 0x7f0000000000},
	    {0xc0000101, 1},
	    {0xc0000102, 2},
	    {0xc0000103, 3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		u64 v;

		ck_assert_msg(!msr_write(&l->cpu, t[i].msr, t[i].v), "MSR %x: %s", t[i].msr,
			      l->cpu.fault.why);
		ck_assert_int_eq(msr_read(&l->cpu, t[i].msr, &v), 0);
		ck_assert_msg(v == t[i].v, "MSR %x", t[i].msr);
	}
	ck_assert_uint_eq(seg_base(&l->cpu, FS), 0x7f0000000000);
}
END_TEST

START_TEST(old_models_lack_new_msrs)
{
	struct box *p = box_protected_model("pentium");
	u64 v;

	ck_assert_int_eq(msr_read(&p->cpu, 0xc0000080, &v), 1);
	ck_assert_int_eq(msr_read(&p->cpu, 0x277, &v), 1);
	ck_assert_int_eq(msr_read(&p->cpu, 0x10, &v), 0);
	box_free(p);
}
END_TEST

/* ---- CPUID --------------------------------------------------------------------------- */

START_TEST(models_parse)
{
	static const char *const names[] = {"386",   "486",     "pentium", "p3",
					    "core2", "haswell", "skylake", "max"};
	const struct cpu_model *m;
	u32 feat[FEATURE_WORDS];
	char err[128];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_msg(!cpu_model_parse(names[i], &m, feat, err, sizeof(err)), "%s", err);
	ck_assert_int_eq(cpu_model_parse("skylake,-sse4_2,+umip", &m, feat, err, sizeof(err)), 0);
	ck_assert(!(feat[FEAT_SSE42 / 32] >> FEAT_SSE42 % 32 & 1));
	ck_assert(feat[FEAT_UMIP / 32] >> FEAT_UMIP % 32 & 1);
	ck_assert_int_eq(cpu_model_parse("z80", &m, feat, err, sizeof(err)), -1);
	ck_assert_ptr_nonnull(strstr(err, "z80"));
	ck_assert_int_eq(cpu_model_parse("max,+warp", &m, feat, err, sizeof(err)), -1);
	ck_assert_ptr_nonnull(strstr(err, "warp"));
	ck_assert_int_eq(cpu_model_parse("max,+avx512f", &m, feat, err, sizeof(err)), -1); /* rows, but no execution */
	ck_assert_ptr_nonnull(strstr(err, "'avx512f' is not modelled"));
	ck_assert_int_eq(cpu_model_parse("max,-avx512f,-svm", &m, feat, err, sizeof(err)), 0);
	ck_assert_int_eq(cpu_model_parse("max,sse", &m, feat, err, sizeof(err)), -1);
	ck_assert_int_eq(cpu_model_parse("max,", &m, feat, err, sizeof(err)), -1);
}
END_TEST

/* A model may not announce what no implementation stands behind. */
START_TEST(announced_features_are_implemented)
{
	for (unsigned i = 0; i < insn_row_count; i++) {
		struct insn in = {.row = i};

		/* VEX forms of AES and PCLMULQDQ rest on AVX state too. */
		if (insn_rows[i].attr & (IA_AVX | IA_AVX512) && !cpu_has(c, FEAT_AVX))
			continue;
		if (cpu_has(c, insn_rows[i].feature))
			ck_assert_msg(insn_exec(&in) != NULL, "%s (%s)", insn_rows[i].mnemonic,
				      feature_rows[insn_rows[i].feature].name);
	}
}
END_TEST

START_TEST(cpuid_leaves)
{
	u32 o[4];

	cpuid_query(c, 0, 0, o);
	ck_assert_uint_eq(o[0], 0x16);
	ck_assert_mem_eq(&o[1], "Genu", 4);
	ck_assert_mem_eq(&o[3], "ineI", 4);
	ck_assert_mem_eq(&o[2], "ntel", 4);
	c->index = 3;
	c->cpu_count = 6;
	cpuid_query(c, 1, 0, o);
	ck_assert_uint_eq(o[0], 0x506e3);
	ck_assert_uint_eq(o[1] >> 24, 3);
	ck_assert_uint_eq(o[1] >> 16 & 0xff, 8);
	ck_assert(o[3] >> 28 & 1);
	ck_assert(o[3] >> 9 & 1);
	ck_assert(!(o[2] >> 27 & 1));
	c->cr4 |= CR4_OSXSAVE | CR4_PKE;
	b->apic_base &= ~0x800ull;
	cpuid_query(c, 1, 0, o);
	ck_assert(o[2] >> 27 & 1);
	ck_assert(!(o[3] >> 9 & 1));
	cpuid_query(c, 7, 0, o);
	ck_assert(o[2] >> 4 & 1);
	cpuid_query(c, 0xb, 1, o);
	ck_assert_uint_eq(o[0], 3);
	ck_assert_uint_eq(o[1], 6);
	ck_assert_uint_eq(o[3], 3);
	c->xcr0 = 3;
	cpuid_query(c, 0xd, 0, o);
	ck_assert_uint_eq(o[1], 576);
	cpuid_query(c, 0x15, 0, o);
	ck_assert_uint_eq(o[2], 1000000000);
	cpuid_query(c, 0x80000008, 0, o);
	ck_assert_uint_eq(o[0] & 0xff, 40);
	cpuid_query(c, 0x1234, 0, o); /* beyond the last: the highest basic leaf */
	ck_assert_uint_eq(o[0], 1000);
	cpuid_query(&l->cpu, 0x80000001, 0, o);
	ck_assert(o[3] >> 11 & 1);
	cpuid_query(c, 0x80000001, 0, o);
	ck_assert(!(o[3] >> 11 & 1));
}
END_TEST

START_TEST(cpuid_absent_on_386)
{
	struct box *x = box_protected_model("486");

	FAULTS(x, EXC_UD, 0, 0x0f, 0xa2);
	box_free(x);
	x = box_protected_model("386");
	x->cpu.r[RSP] -= 4;
	poke(x, x->cpu.r[RSP], FL_AC | FL_ID, 4);
	RUNS(x, 0x9d);
	ck_assert_uint_eq(x->cpu.rflags & (FL_AC | FL_ID), 0);
	box_free(x);
}
END_TEST

/* ---- SMM ----------------------------------------------------------------------------- */

START_TEST(smm_round_trip)
{
	struct cpu before, *k = &l->cpu;

	FAULTS(l, EXC_UD, 0, 0x0f, 0xaa);
	k->smbase = 0x30000;
	k->r[R15] = 0x1234567890;
	cpu_rflags(k);
	before = *k;
	smm_enter(k);
	ck_assert(l->smm_open && k->smm);
	ck_assert_uint_eq(k->rip, 0x8000);
	ck_assert_uint_eq(seg_base(k, CS), 0x30000);
	ck_assert_uint_eq(k->seg[CS].sel, 0x3000);
	ck_assert_uint_eq(k->mode & MODE_BITS, MODE_16);
	ck_assert_uint_eq(k->cr0 & (CR0_PE | CR0_PG), 0);
	ck_assert_uint_eq(peek(l, 0x3fefc, 4), 0x20064);
	ck_assert_uint_eq(peek(l, 0x3ff00, 4), 0x30000);
	ck_assert_uint_eq(peek(l, 0x3ff80, 8), 0x1234567890); /* R15 */
	poke(l, 0x3ff00, 0x40000, 4);
	RUNS(l, 0x0f, 0xaa);
	before.rip = CODE;
	assert_unchanged(&before, k);
	ck_assert_uint_eq(k->smbase, 0x40000);
	ck_assert(!l->smm_open && !k->smm);
}
END_TEST

START_TEST(smm_halt_restart_and_bad_state)
{
	c->activity = CPU_HLT;
	smm_enter(c);
	ck_assert_uint_eq(c->activity, CPU_ACTIVE);
	RUNS(b, 0x0f, 0xaa);
	ck_assert_uint_eq(c->activity, CPU_HLT);
	c->activity = CPU_ACTIVE;
	smm_enter(c);
	poke(b, 0x3ff58, CR0_PG, 8);
	RUNS(b, 0x0f, 0xaa);
	ck_assert_uint_eq(c->activity, CPU_SHUTDOWN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("system");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, cr0_rules);
	tcase_add_test(t, cr4_and_cr3_rules);
	tcase_add_test(t, pae_pdptes_are_checked);
	tcase_add_test(t, mov_cr_instructions);
	tcase_add_test(t, lmsw_cannot_clear_pe);
	tcase_add_test(t, debug_registers);
	tcase_add_test(t, cli_sti);
	tcase_add_test(t, pushf_popf);
	tcase_add_test(t, popf_turns_on_single_step);
	tcase_add_test(t, clac_stac);
	tcase_add_test(t, time_stamp);
	tcase_add_test(t, tpause_waits_for_the_time_or_an_interrupt);
	tcase_add_test(t, the_system_limits_waits);
	tcase_add_test(t, umwait_waits_for_a_store);
	tcase_add_test(t, user_waits_fault);
	tcase_add_test(t, extended_control_registers);
	tcase_add_test(t, protection_keys);
	tcase_add_test(t, fs_gs_base_instructions);
	tcase_add_test(t, invpcid_faults);
	tcase_add_test(t, monitor_and_hlt);
	tcase_add_test(t, random_numbers_repeat);
	tcase_add_test(t, undefined_instructions);
	tcase_add_test(t, msr_write_faults);
	tcase_add_test(t, msr_addresses_of_57_bits);
	tcase_add_test(t, msr_read_faults);
	tcase_add_test(t, msr_rows_are_in_order);
	tcase_add_test(t, msr_round_trips);
	tcase_add_test(t, old_models_lack_new_msrs);
	tcase_add_test(t, models_parse);
	tcase_add_test(t, announced_features_are_implemented);
	tcase_add_test(t, cpuid_leaves);
	tcase_add_test(t, cpuid_absent_on_386);
	tcase_add_test(t, smm_round_trip);
	tcase_add_test(t, smm_halt_restart_and_bad_state);
	suite_add_tcase(s, t);
	return run_suite(s);
}
