/* Delivery of interrupts and exceptions, double faults, IRET, debug exceptions. */
#include "sysbox.h"

static struct box *b;
static struct cpu *c;

static void setup(void)
{
	b = box_protected();
	c = &b->cpu;
}

static void teardown(void)
{
	box_free(b);
}

static u32 top(struct box *x, unsigned slot)
{
	return peek(x, x->cpu.r[RSP] + 4 * slot, 4);
}

static u64 top64(struct box *x, unsigned slot)
{
	return peek(x, x->cpu.r[RSP] + 8 * slot, 8);
}

static void deliver_fails(struct box *x, unsigned v, enum int_kind kind, unsigned vec, u32 err)
{
	struct cpu before = x->cpu;

	ck_assert_int_eq(int_deliver(&x->cpu, v, kind, false, 0), 1);
	ck_assert_msg(x->cpu.fault.vector == vec && x->cpu.fault.err == err, "got %u(%x) %s",
		      x->cpu.fault.vector, x->cpu.fault.err, x->cpu.fault.why);
	assert_unchanged(&before, &x->cpu);
}

/* ---- real mode ----------------------------------------------------------------------- */

START_TEST(real_mode_int)
{
	struct box *r = box_new("max");

	seg_install_real(&r->cpu, CS, 0x1000, false);
	seg_install_real(&r->cpu, SS, 0x2000, false);
	r->cpu.rip = 0x10;
	r->cpu.r[RSP] = 0x100;
	cpu_set_rflags(&r->cpu, 0xf02 | FL_AC);
	r->cpu.idtr.limit = 0x3ff;
	poke(r, 0x80 * 4, 0x12345678, 4);
	cpu_mode_changed(&r->cpu);
	RUNS(r, 0xcd, 0x80);
	ck_assert_uint_eq(r->cpu.seg[CS].sel, 0x1234);
	ck_assert_uint_eq(r->cpu.rip, 0x5678);
	ck_assert_uint_eq(r->cpu.r[RSP], 0xfa);
	ck_assert_uint_eq(peek(r, 0x200fa, 6), 0xf0210000012ull);
	ck_assert_uint_eq(r->cpu.rflags & (FL_IF | FL_TF | FL_AC), 0);
	RUNS(r, 0xcf);
	ck_assert_uint_eq(r->cpu.rip, 0x12);
	ck_assert_uint_eq(r->cpu.seg[CS].sel, 0x1000);
	ck_assert_uint_eq(r->cpu.rflags & 0xffff, 0xf02);
	r->cpu.idtr.limit = 0x80 * 4 + 2;
	FAULTS(r, EXC_GP, 0, 0xcd, 0x80);
	r->cpu.idtr.limit = 0x3ff;
	r->cpu.r[RSP] =
	    3; /* wraps inside the segment: allowed slot by slot, but a word at FFFFh is not */
	FAULTS(r, EXC_SS, 0, 0xcd, 0x80);
	box_free(r);
}
END_TEST

/* ---- protected mode ------------------------------------------------------------------ */

START_TEST(same_level_gate)
{
	cpu_set_rflags(c, FL_R1 | FL_IF | FL_NT);
	ck_assert_int_eq(int_deliver(c, 13, INT_EXCEPTION, true, 0x1234), 0);
	ck_assert_uint_eq(c->rip, HANDLER + 13 * 4);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 16);
	ck_assert_uint_eq(top(b, 0), 0x1234);
	ck_assert_uint_eq(top(b, 1), CODE);
	ck_assert_uint_eq(top(b, 2), S_CODE);
	ck_assert_uint_eq(top(b, 3), FL_R1 | FL_IF | FL_NT | FL_RF);
	ck_assert_uint_eq(c->rflags, FL_R1);
}
END_TEST

START_TEST(trap_gate_keeps_if)
{
	poke(b, IDT + 8 * 0x80, make_gate(S_CODE, HANDLER, ST_TRAP, 0), 8);
	cpu_set_rflags(c, FL_R1 | FL_IF);
	RUNS(b, 0xcd, 0x80);
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_IF);
	ck_assert_uint_eq(top(b, 0), CODE + 2);
	ck_assert_uint_eq(top(b, 2), FL_R1 | FL_IF);
}
END_TEST

START_TEST(sixteen_bit_gate_pushes_words)
{
	poke(b, IDT + 8 * 0x80, make_gate(S_CODE, 0x8765, ST_INT16, 0) | 0xffffull << 48, 8);
	RUNS(b, 0xcd, 0x80);
	ck_assert_uint_eq(c->rip, 0x8765);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 6);
}
END_TEST

START_TEST(inner_level_switches_stacks)
{
	box_cpl(b, 3);
	ck_assert_int_eq(int_deliver(c, 14, INT_EXCEPTION, true, 7), 0);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->seg[SS].sel, S_DATA);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 24);
	ck_assert_uint_eq(top(b, 0), 7);
	ck_assert_uint_eq(top(b, 2), S_CODE3 | 3);
	ck_assert_uint_eq(top(b, 4), STACK3);
	ck_assert_uint_eq(top(b, 5), S_DATA3 | 3);
	c->r[RSP] += 4;
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->r[RSP], STACK3);
	ck_assert_uint_eq(c->rip, CODE);
}
END_TEST

START_TEST(gate_faults)
{
	const unsigned at = IDT + 8 * 0x40;

	c->idtr.limit = 0x1ff;
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, 0x203);
	c->idtr.limit = 0x7ff;
	poke(b, at, make_gate(S_CODE, 0, ST_CALL, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, 0x203);
	deliver_fails(b, 0x40, INT_SOFT, EXC_GP, 0x202);
	poke(b, at, make_gate(S_CODE, 0, ST_INT, 0) & ~(1ull << 47), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_NP, 0x203);
	poke(b, at, make_gate(3, 0, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, 1);
	poke(b, at, make_gate(0xe0, 0, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, 0xe1);
	poke(b, at, make_gate(S_DATA, 0, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, S_DATA | 1);
	poke(b, at, make_gate(S_CODE3, 0, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, S_CODE3 | 1);
	poke(b, at, make_gate(S_CODE_NP, 0, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_NP, S_CODE_NP | 1);
	poke(b, at, make_gate(S_CODE16, 0x10000, ST_INT, 0), 8);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_GP, 1);
	poke(b, at, make_gate(S_CODE, 0, ST_INT, 2), 8);
	box_cpl(b, 3);
	deliver_fails(b, 0x40, INT_SOFT, EXC_GP, 0x202);
}
END_TEST

START_TEST(inner_stack_faults)
{
	static const struct {
		u16 ss;
		unsigned vec;
		u32 err;
	} t[] = {
	    {0, EXC_TS, 1},
	    {0xe0, EXC_TS, 0xe1},
	    {S_DATA | 3, EXC_TS, S_DATA | 1},
	    {S_RO, EXC_TS, S_RO | 1},
	    {S_CODE, EXC_TS, S_CODE | 1},
	    {S_DATA3, EXC_TS, S_DATA3 | 1},
	    {S_NP, EXC_SS, S_NP | 1},
	};

	box_cpl(b, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		poke(b, TSS_A + 8, t[i].ss, 2);
		deliver_fails(b, 0x40, INT_EXTERNAL, t[i].vec, t[i].err);
	}
	poke(b, TSS_A + 8, S_SMALL, 2);
	poke(b, TSS_A + 4, 0x2000, 4);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_SS, S_SMALL | 1);
	c->seg[TR].limit = 8;
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_TS, S_TSS | 1);
}
END_TEST

START_TEST(stack_fault_on_same_level)
{
	force_seg(b, SS, S_SMALL);
	c->r[RSP] = 0x1004;
	cpu_mode_changed(c);
	deliver_fails(b, 0x40, INT_EXTERNAL, EXC_SS, 1);
}
END_TEST

START_TEST(into_and_bound)
{
	cpu_set_rflags(c, FL_R1);
	RUNS(b, 0xce);
	ck_assert_uint_eq(c->rip, CODE + 1);
	cpu_set_rflags(c, FL_R1 | FL_OF);
	RUNS(b, 0xce);
	ck_assert_uint_eq(c->rip, HANDLER + 4 * 4);
	c->r[RBX] = DATA;
	poke(b, DATA, 0xfffffffe, 4);
	poke(b, DATA + 4, 5, 4);
	c->r[RCX] = 5;
	RUNS(b, 0x62, 0x0b);
	c->r[RCX] = 6;
	FAULTS(b, EXC_BR, 0, 0x62, 0x0b);
	c->r[RCX] = 0xfffffffd;
	FAULTS(b, EXC_BR, 0, 0x62, 0x0b);
}
END_TEST

/* ---- 64-bit mode --------------------------------------------------------------------- */

START_TEST(long_mode_frame)
{
	struct box *l = box_long(0);

	l->cpu.r[RSP] = STACK0 - 3;
	ck_assert_int_eq(int_deliver(&l->cpu, 13, INT_EXCEPTION, true, 5), 0);
	ck_assert_uint_eq(l->cpu.r[RSP], STACK0 - 16 - 48);
	ck_assert_uint_eq(top64(l, 0), 5);
	ck_assert_uint_eq(top64(l, 1), CODE);
	ck_assert_uint_eq(top64(l, 2), S_CODE64);
	ck_assert_uint_eq(top64(l, 4), STACK0 - 3);
	ck_assert_uint_eq(top64(l, 5), S_DATA);
	ck_assert_uint_eq(l->cpu.rip, HANDLER + 13 * 4);
	l->cpu.r[RSP] += 8;
	RUNS(l, 0x48, 0xcf);
	ck_assert_uint_eq(l->cpu.r[RSP], STACK0 - 3);
	box_free(l);
}
END_TEST

START_TEST(long_mode_inner_and_ist)
{
	struct box *l = box_long(3);

	ck_assert_int_eq(int_deliver(&l->cpu, 0x40, INT_EXTERNAL, false, 0), 0);
	ck_assert_uint_eq(l->cpu.cpl, 0);
	ck_assert_uint_eq(l->cpu.r[RSP], STACK0 - 40);
	ck_assert(l->cpu.seg[SS].ar & AR_UNUSABLE);
	ck_assert_uint_eq(l->cpu.seg[SS].sel, 0);
	RUNS(l, 0x48, 0xcf);
	ck_assert_uint_eq(l->cpu.cpl, 3);
	ck_assert_uint_eq(l->cpu.seg[SS].sel, S_DATA3 | 3);
	poke(l, IDT + 16 * 0x40 + 4, 1, 1);
	ck_assert_int_eq(int_deliver(&l->cpu, 0x40, INT_EXTERNAL, false, 0), 0);
	ck_assert_uint_eq(l->cpu.r[RSP], IST1 - 40);
	box_free(l);
}
END_TEST

START_TEST(long_mode_gate_faults)
{
	struct box *l = box_long(3);
	const unsigned at = IDT + 16 * 0x40;

	poke(l, at, make_gate(S_CODE64, 0, ST_TASK, 0), 8);
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_GP, 0x403 - 0x200);
	poke(l, at, make_gate(S_CODE, 0, ST_INT, 0), 8);
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_GP, S_CODE | 1);
	poke(l, at, make_gate(S_CODE64, 0, ST_INT, 0), 8);
	poke(l, at + 8, 0x00008000, 8);
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_GP, 1);
	poke(l, at + 8, 0, 8);
	poke(l, TSS_A + 4, 0x0000800000000000, 8);
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_SS, 1);
	l->cpu.seg[TR].limit = 10;
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_TS, S_TSS | 1);
	l->cpu.idtr.limit = 16 * 0x40 + 14;
	deliver_fails(l, 0x40, INT_EXTERNAL, EXC_GP, 0x203);
	box_free(l);
}
END_TEST

/* ---- double faults ------------------------------------------------------------------- */

/* Makes delivery of @v fail with #NP of its gate. */
static void break_gate(unsigned v)
{
	poke(b, IDT + 8 * v + 5, 0x0e, 1);
}

START_TEST(contributory_pair_is_double_fault)
{
	break_gate(EXC_GP);
	(void)!cpu_fault(c, EXC_GP, 0, "test", 0);
	exc_deliver(c);
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DF);
	ck_assert_uint_eq(top(b, 0), 0);
}
END_TEST

START_TEST(page_fault_then_contributory_is_double_fault)
{
	break_gate(EXC_PF);
	(void)!cpu_page_fault(c, 0x1234, 2, "test", 0);
	exc_deliver(c);
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DF);
	ck_assert_uint_eq(c->cr2, 0x1234);
}
END_TEST

START_TEST(benign_then_contributory_is_serial)
{
	break_gate(EXC_UD);
	(void)!cpu_fault(c, EXC_UD, 0, "test", 0);
	exc_deliver(c);
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_NP);
	ck_assert_uint_eq(top(b, 0), EXC_UD * 8 + 3);
}
END_TEST

START_TEST(triple_fault_shuts_down_and_tells_why)
{
	break_gate(EXC_GP);
	break_gate(EXC_DF);
	(void)!cpu_fault(c, EXC_GP, 0x10, "first", 0);
	exc_deliver(c);
	ck_assert_uint_eq(c->activity, CPU_SHUTDOWN);
	ck_assert_str_eq(c->triple[0].why, "first");
	ck_assert_uint_eq(c->triple[1].vector, EXC_NP);
	ck_assert_uint_eq(c->triple[2].vector, EXC_NP);
	ck_assert_uint_eq(c->triple[2].err, EXC_DF * 8 + 3);
}
END_TEST

/* ---- IRET ---------------------------------------------------------------------------- */

static void frame32(u32 eip, u32 cs, u32 flags, u32 esp, u32 ss)
{
	c->r[RSP] = STACK0 - 20;
	poke(b, STACK0 - 20, eip, 4);
	poke(b, STACK0 - 16, cs, 4);
	poke(b, STACK0 - 12, flags, 4);
	poke(b, STACK0 - 8, esp, 4);
	poke(b, STACK0 - 4, ss, 4);
}

START_TEST(iret_faults)
{
	static const struct {
		u32 eip, cs, ss;
		unsigned vec;
		u32 err;
	} t[] = {
	    {0, 0, 0, EXC_GP, 0},
	    {0, 0xe0, 0, EXC_GP, 0xe0},
	    {0, S_DATA, 0, EXC_GP, S_DATA},
	    {0, S_CODE3, 0, EXC_GP, S_CODE3}, /* DPL != RPL */
	    {0, S_CODE | 3, 0, EXC_GP, S_CODE},
	    {0, S_CODE_NP, 0, EXC_NP, S_CODE_NP},
	    {0x10000, S_CODE16, 0, EXC_GP, 0},          /* beyond the limit */
	    {0, S_CODE3 | 3, 0, EXC_GP, 0},             /* SS null */
	    {0, S_CODE3 | 3, S_DATA3, EXC_GP, S_DATA3}, /* SS RPL */
	    {0, S_CODE3 | 3, S_DATA | 3, EXC_GP, S_DATA},
	    {0, S_CODE3 | 3, S_CODE3 | 3, EXC_GP, S_CODE3},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		frame32(t[i].eip, t[i].cs, 2, STACK3, t[i].ss);
		FAULTS(b, t[i].vec, t[i].err, 0xcf);
	}
	set_desc(b, S_DATA3, make_desc(0, 0xfffff, (AR_FLAT & ~AR_P) | AR_DPLN(3) | 2));
	frame32(0, S_CODE3 | 3, 2, STACK3, S_DATA3 | 3);
	FAULTS(b, EXC_SS, S_DATA3, 0xcf);
	box_cpl(b, 3);
	c->r[RSP] = STACK0 - 20;
	poke(b, STACK0 - 16, S_CODE, 4);
	FAULTS(b, EXC_GP, S_CODE, 0xcf); /* RPL < CPL */
}
END_TEST

START_TEST(iret_outer_drops_inner_data_segments)
{
	frame32(0x1000, S_CODE3 | 3, FL_R1 | FL_IF | FL_IOPL, STACK3, S_DATA3 | 3);
	force_seg(b, ES, S_DATA3);
	c->r[R_SEGBASE + GS] = 0x12345000;
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert(c->seg[DS].ar & AR_UNUSABLE);
	ck_assert(c->seg[GS].ar & AR_UNUSABLE);
	ck_assert_uint_eq(c->seg[GS].sel, 0);
	ck_assert_uint_eq(seg_base(c, GS), 0x12345000);
	ck_assert(!(c->seg[ES].ar & AR_UNUSABLE));
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_IF | FL_IOPL);
	ck_assert_uint_eq(c->r[RSP], STACK3);
}
END_TEST

START_TEST(iret_flags_by_privilege)
{
	box_cpl(b, 3);
	c->r[RSP] = STACK0 - 20;
	poke(b, STACK0 - 20, CODE, 4);
	poke(b, STACK0 - 16, S_CODE3 | 3, 4);
	poke(b, STACK0 - 12, 0xffffffff & ~FL_TF, 4);
	cpu_set_rflags(c, FL_R1);
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->rflags & (FL_IF | FL_IOPL | FL_VM | FL_VIF | FL_VIP), 0);
	ck_assert_uint_eq(c->rflags & (FL_ID | FL_AC | FL_NT | FL_DF | FL_OF),
			  FL_ID | FL_AC | FL_NT | FL_DF | FL_OF);
}
END_TEST

START_TEST(iret_unblocks_nmi)
{
	ck_assert_int_eq(int_deliver(c, 2, INT_NMI, false, 0), 0);
	ck_assert_uint_eq(c->nmi_blocked, 1);
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->nmi_blocked, 0);
}
END_TEST

START_TEST(iret_16_bit_stack_keeps_upper_esp)
{
	set_desc(b, S_DATA16, make_desc(0, 0xffff, AR_P | AR_S | AR_DPLN(3) | 2));
	frame32(CODE, S_CODE3 | 3, 2, 0x12345678, S_DATA16 | 3);
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->r[RSP], ((STACK0 - 20) & ~0xffffull) | 0x5678);
}
END_TEST

/* ---- virtual-8086 mode --------------------------------------------------------------- */

START_TEST(v86_interrupt_and_return)
{
	struct box *v = box_v86(0);

	v->cpu.seg[GS].sel = 0x1111;
	ck_assert_int_eq(int_deliver(&v->cpu, 0x20, INT_EXTERNAL, false, 0), 0);
	ck_assert_uint_eq(v->cpu.r[RSP], STACK0 - 36);
	ck_assert_uint_eq(top(v, 1), CODE >> 4);
	ck_assert_uint_eq(top(v, 2), FL_R1 | FL_VM);
	ck_assert_uint_eq(top(v, 3), 0x800);
	ck_assert_uint_eq(top(v, 8), 0x1111);
	ck_assert_uint_eq(v->cpu.cpl, 0);
	ck_assert(v->cpu.seg[DS].ar & AR_UNUSABLE);
	ck_assert(!(v->cpu.rflags & FL_VM));
	RUNS(v, 0xcf);
	ck_assert(v->cpu.rflags & FL_VM);
	ck_assert_uint_eq(v->cpu.cpl, 3);
	ck_assert_uint_eq(v->cpu.seg[GS].sel, 0x1111);
	ck_assert_uint_eq(v->cpu.r[RSP], 0x800);
	ck_assert_uint_eq(seg_base(&v->cpu, CS), CODE);
	box_free(v);
}
END_TEST

START_TEST(v86_handler_must_be_level_0)
{
	struct box *v = box_v86(0);

	poke(v, IDT + 8 * 0x20, make_gate(S_CODE1, 0, ST_INT, 0), 8);
	deliver_fails(v, 0x20, INT_EXTERNAL, EXC_GP, S_CODE1 | 1);
	poke(v, IDT + 8 * 0x20, make_gate(S_CONF, 0, ST_INT, 0), 8);
	deliver_fails(v, 0x20, INT_EXTERNAL, EXC_GP, S_CONF | 1);
	box_free(v);
}
END_TEST

START_TEST(v86_iopl_sensitive)
{
	struct box *v = box_v86(0);

	FAULTS(v, EXC_GP, 0, 0xcd, 0x21);
	FAULTS(v, EXC_GP, 0, 0xcf);
	FAULTS(v, EXC_GP, 0, 0x9c);
	FAULTS(v, EXC_GP, 0, 0x9d);
	FAULTS(v, EXC_GP, 0, 0xfa);
	FAULTS(v, EXC_GP, 0, 0xfb);
	box_free(v);
}
END_TEST

START_TEST(vme_redirects_and_virtualises_if)
{
	struct box *v = box_v86(0);

	v->cpu.cr4 |= CR4_VME;
	poke(v, TSS_A + 102, 0x120, 2);
	memset(v->ram + TSS_A + 0x100, 0, 32);
	poke(v, 0x21 * 4, 0x30000100, 4);
	v->cpu.rflags |= FL_VIF;
	RUNS(v, 0xcd, 0x21);
	ck_assert_uint_eq(v->cpu.seg[CS].sel, 0x3000);
	ck_assert_uint_eq(v->cpu.rip, 0x100);
	ck_assert_uint_eq(v->cpu.rflags & FL_VIF, 0);
	ck_assert_uint_eq(peek(v, 0x30000 + 0x800 - 2, 2), FL_R1 | FL_IF | FL_IOPL);
	RUNS(v, 0xcf);
	ck_assert_uint_eq(v->cpu.rflags & (FL_VIF | FL_IOPL | FL_IF), FL_VIF);
	RUNS(v, 0xfa);
	ck_assert_uint_eq(v->cpu.rflags & FL_VIF, 0);
	v->cpu.rflags |= FL_VIP;
	FAULTS(v, EXC_GP, 0, 0xfb);
	memset(v->ram + TSS_A + 0x100, 0xff, 32);
	FAULTS(v, EXC_GP, 0, 0xcd, 0x21);
	box_free(v);
}
END_TEST

/* ---- debug --------------------------------------------------------------------------- */

START_TEST(code_breakpoint)
{
	c->dr[0] = CODE;
	c->dr[7] = DR7_FIXED | 1;
	cpu_mode_changed(c);
	ck_assert(c->mode & MODE_TF);
	ck_assert(debug_code_breakpoint(c, CODE));
	exc_deliver(c);
	ck_assert_uint_eq(c->dr[6] & 0xf, 1);
	ck_assert_uint_eq(top(b, 2) & FL_RF, 0);
	c->rflags |= FL_RF;
	ck_assert(!debug_code_breakpoint(c, CODE));
	c->rflags &= ~FL_RF;
	ck_assert(!debug_code_breakpoint(c, CODE + 1));
}
END_TEST

START_TEST(general_detect)
{
	c->dr[7] |= DR7_GD;
	FAULTS(b, EXC_DB, 0, 0x0f, 0x23, 0xc0);
	exc_deliver(c);
	ck_assert(c->dr[6] & DR6_BD);
	ck_assert(!(c->dr[7] & DR7_GD));
}
END_TEST

START_TEST(io_breakpoint_needs_de)
{
	c->dr[1] = 0x60;
	c->dr[7] = DR7_FIXED | 4 | 2u << 20;
	ck_assert_uint_eq(debug_io_hits(c, 0x60, 1), 0);
	c->cr4 |= CR4_DE;
	ck_assert_uint_eq(debug_io_hits(c, 0x60, 1), 2);
	ck_assert_uint_eq(debug_io_hits(c, 0x5e, 4), 2);
	ck_assert_uint_eq(debug_io_hits(c, 0x61, 1), 0);
}
END_TEST

START_TEST(icebp_pushes_next_rip_and_ignores_gate_dpl)
{
	box_cpl(b, 3);
	RUNS(b, 0xf1);
	ck_assert_uint_eq(c->rip, HANDLER + 4);
	ck_assert_uint_eq(top(b, 0), CODE + 1);
}
END_TEST

START_TEST(icebp_takes_pending_breakpoints_along)
{
	c->dr[6] = DR6_FIXED | 2;
	c->dr6_pending = 1;
	RUNS(b, 0xf1);
	ck_assert_uint_eq(c->dr[6], DR6_FIXED | 1);
	ck_assert_uint_eq(c->dr6_pending, 0);
}
END_TEST

/* ---- through the run loop ------------------------------------------------------------ */

static void run_code(const u8 *code, unsigned n)
{
	memcpy(b->ram + CODE, code, n);
	memset(b->ram + HANDLER, 0xf4, 1024); /* every handler halts */
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_HALT);
}

START_TEST(single_step_traps_after_the_instruction)
{
	cpu_set_rflags(c, FL_R1 | FL_TF);
	cpu_mode_changed(c);
	run_code(CODE_BYTES(0x40, 0x40));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DB + 1);
	ck_assert_uint_eq(top(b, 0), CODE + 1);
	ck_assert(c->dr[6] & DR6_BS);
	ck_assert(!(c->rflags & FL_TF));
}
END_TEST

START_TEST(privileged_instruction_at_cpl_3)
{
	box_cpl(b, 3);
	run_code(CODE_BYTES(0xf4));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_GP + 1);
	ck_assert_uint_eq(top(b, 1), CODE);
}
END_TEST

START_TEST(code_breakpoint_fires_before_the_instruction)
{
	c->dr[2] = CODE + 1;
	c->dr[7] = DR7_FIXED | 0x20;
	cpu_mode_changed(c);
	run_code(CODE_BYTES(0x40, 0x40));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DB + 1);
	ck_assert_uint_eq(c->r[RAX], 1);
	ck_assert_uint_eq(top(b, 0), CODE + 1);
	ck_assert_uint_eq(c->dr[6] & 15, 4);
}
END_TEST

START_TEST(data_breakpoint_traps_after_the_store)
{
	c->dr[3] = DATA;
	c->dr[7] = DR7_FIXED | 0x80 | 0xdu << 28;
	cpu_mode_changed(c);
	c->r[RBX] = DATA;
	run_code(CODE_BYTES(0x89, 0x03, 0x40));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DB + 1);
	ck_assert_uint_eq(top(b, 0), CODE + 2);
	ck_assert_uint_eq(c->dr[6] & 15, 8);
}
END_TEST

START_TEST(triple_fault_ends_the_run)
{
	c->idtr.limit = 0;
	memcpy(b->ram + CODE, (const u8[]){0x0f, 0x0b}, 2);
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_SHUTDOWN);
	ck_assert_ptr_nonnull(c->triple[0].why);
	ck_assert_uint_eq(c->triple[2].vector, EXC_GP);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exceptions");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, real_mode_int);
	tcase_add_test(t, same_level_gate);
	tcase_add_test(t, trap_gate_keeps_if);
	tcase_add_test(t, sixteen_bit_gate_pushes_words);
	tcase_add_test(t, inner_level_switches_stacks);
	tcase_add_test(t, gate_faults);
	tcase_add_test(t, inner_stack_faults);
	tcase_add_test(t, stack_fault_on_same_level);
	tcase_add_test(t, into_and_bound);
	tcase_add_test(t, long_mode_frame);
	tcase_add_test(t, long_mode_inner_and_ist);
	tcase_add_test(t, long_mode_gate_faults);
	tcase_add_test(t, contributory_pair_is_double_fault);
	tcase_add_test(t, page_fault_then_contributory_is_double_fault);
	tcase_add_test(t, benign_then_contributory_is_serial);
	tcase_add_test(t, triple_fault_shuts_down_and_tells_why);
	tcase_add_test(t, iret_faults);
	tcase_add_test(t, iret_outer_drops_inner_data_segments);
	tcase_add_test(t, iret_flags_by_privilege);
	tcase_add_test(t, iret_unblocks_nmi);
	tcase_add_test(t, iret_16_bit_stack_keeps_upper_esp);
	tcase_add_test(t, v86_interrupt_and_return);
	tcase_add_test(t, v86_handler_must_be_level_0);
	tcase_add_test(t, v86_iopl_sensitive);
	tcase_add_test(t, vme_redirects_and_virtualises_if);
	tcase_add_test(t, code_breakpoint);
	tcase_add_test(t, general_detect);
	tcase_add_test(t, io_breakpoint_needs_de);
	tcase_add_test(t, icebp_pushes_next_rip_and_ignores_gate_dpl);
	tcase_add_test(t, icebp_takes_pending_breakpoints_along);
	tcase_add_test(t, single_step_traps_after_the_instruction);
	tcase_add_test(t, privileged_instruction_at_cpl_3);
	tcase_add_test(t, code_breakpoint_fires_before_the_instruction);
	tcase_add_test(t, data_breakpoint_traps_after_the_store);
	tcase_add_test(t, triple_fault_ends_the_run);
	suite_add_tcase(s, t);
	return run_suite(s);
}
