/* Far jumps, calls and returns, call gates, fast system calls. */
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

static u32 top(unsigned slot)
{
	return peek(b, c->r[RSP] + 4 * slot, 4);
}

#define FAR(opc, off, sel)                                                                         \
	opc, (u8)(off), (u8)((off) >> 8), (u8)((off) >> 16), (u8)((off) >> 24), (u8)(sel),         \
	    (u8)((sel) >> 8)
#define JMP(off, sel)  FAR(0xea, off, sel)
#define CALL(off, sel) FAR(0x9a, off, sel)

START_TEST(direct_faults)
{
	static const struct {
		u16 sel;
		u32 off;
		unsigned cpl, vec;
		u32 err;
	} t[] = {
	    {0, 0, 0, EXC_GP, 0},
	    {0xe0, 0, 0, EXC_GP, 0xe0},
	    {S_DATA, 0, 0, EXC_GP, S_DATA},
	    {S_CODE3, 0, 0, EXC_GP, S_CODE3},
	    {S_CODE | 3, 0, 0, EXC_GP, S_CODE},
	    {S_CODE, 0, 3, EXC_GP, S_CODE},
	    {S_CODE_NP, 0, 0, EXC_NP, S_CODE_NP},
	    {S_CODE16, 0x10000, 0, EXC_GP, 0},
	    {S_LDT, 0, 0, EXC_GP, S_LDT},
	    {S_TSS, 0, 0, EXC_GP, S_TSS},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		box_cpl(b, t[i].cpl);
		FAULTS(b, t[i].vec, t[i].err, JMP(t[i].off, t[i].sel));
		FAULTS(b, t[i].vec, t[i].err, CALL(t[i].off, t[i].sel));
	}
}
END_TEST

START_TEST(jump_and_call)
{
	RUNS(b, JMP(0x12345, S_CODE));
	ck_assert_uint_eq(c->rip, 0x12345);
	RUNS(b, CALL(0x777, S_CODE16));
	ck_assert_uint_eq(c->rip, 0x777);
	ck_assert_uint_eq(c->mode & MODE_BITS, MODE_16);
	ck_assert_uint_eq(top(0), 0x12345 + 7);
	ck_assert_uint_eq(top(1), S_CODE);
	RUNS(b, 0x66, 0xcb); /* retfd from 16-bit code */
	ck_assert_uint_eq(c->rip, 0x12345 + 7);
	ck_assert_uint_eq(c->r[RSP], STACK0);
}
END_TEST

START_TEST(conforming_keeps_cpl)
{
	box_cpl(b, 3);
	RUNS(b, JMP(0x100, S_CONF));
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->seg[CS].sel, S_CONF | 3);
}
END_TEST

START_TEST(indirect_reads_pointer)
{
	c->r[RBX] = DATA;
	poke(b, DATA, 0x4444, 4);
	poke(b, DATA + 4, S_CODE, 2);
	RUNS(b, 0xff, 0x2b);
	ck_assert_uint_eq(c->rip, 0x4444);
}
END_TEST

START_TEST(gate_faults)
{
	set_desc(b, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 0));
	FAULTS(b, EXC_GP, S_GATE, CALL(0, S_GATE | 3)); /* RPL > gate DPL */
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, S_GATE, CALL(0, S_GATE));
	box_cpl(b, 0);
	set_desc(b, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 3) & ~(1ull << 47));
	FAULTS(b, EXC_NP, S_GATE, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(0, HANDLER, ST_CALL, 3));
	FAULTS(b, EXC_GP, 0, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(S_DATA, HANDLER, ST_CALL, 3));
	FAULTS(b, EXC_GP, S_DATA, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(S_CODE3, HANDLER, ST_CALL, 3));
	FAULTS(b, EXC_GP, S_CODE3, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(S_CODE_NP, HANDLER, ST_CALL, 3));
	FAULTS(b, EXC_NP, S_CODE_NP, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(S_CODE16, 0x10000, ST_CALL, 3));
	FAULTS(b, EXC_GP, 0, CALL(0, S_GATE));
	set_desc(b, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 3));
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, S_CODE, JMP(0, S_GATE));
	poke(b, TSS_A + 8, 0, 2);
	FAULTS(b, EXC_TS, 0, CALL(0, S_GATE));
	poke(b, TSS_A + 8, S_NP, 2);
	FAULTS(b, EXC_SS, S_NP, CALL(0, S_GATE));
	poke(b, TSS_A + 8, S_SMALL, 2);
	poke(b, TSS_A + 4, 0x2000, 4);
	FAULTS(b, EXC_SS, S_SMALL, CALL(0, S_GATE));
}
END_TEST

START_TEST(gate_to_inner_level_copies_parameters)
{
	set_desc(b, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 3) | 2ull << 32);
	box_cpl(b, 3);
	c->r[RSP] -= 8;
	poke(b, STACK3 - 8, 0x11, 4);
	poke(b, STACK3 - 4, 0x22, 4);
	RUNS(b, CALL(0xffffffff, S_GATE));
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->rip, HANDLER);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 24);
	ck_assert_uint_eq(top(0), CODE + 7);
	ck_assert_uint_eq(top(1), S_CODE3 | 3);
	ck_assert_uint_eq(top(2), 0x11);
	ck_assert_uint_eq(top(3), 0x22);
	ck_assert_uint_eq(top(4), STACK3 - 8);
	ck_assert_uint_eq(top(5), S_DATA3 | 3);
	RUNS(b, 0xca, 8, 0); /* retf 8 */
	ck_assert_uint_eq(c->cpl, 3);
	ck_assert_uint_eq(c->r[RSP], STACK3);
	ck_assert_uint_eq(c->rip, CODE + 7);
}
END_TEST

START_TEST(return_faults)
{
	static const struct {
		u32 eip, cs, ss;
		unsigned vec;
		u32 err;
	} t[] = {
	    {0, 0, 0, EXC_GP, 0},
	    {0, S_DATA, 0, EXC_GP, S_DATA},
	    {0, S_CODE3, 0, EXC_GP, S_CODE3},
	    {0, S_CODE_NP, 0, EXC_NP, S_CODE_NP},
	    {0x10000, S_CODE16, 0, EXC_GP, 0},
	    {0, S_CODE3 | 3, 0, EXC_GP, 0},
	    {0, S_CODE3 | 3, S_DATA3, EXC_GP, S_DATA3},
	    {0, S_CODE3 | 3, S_RO | 3, EXC_GP, S_RO},
	};

	c->r[RSP] = STACK0 - 16;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		poke(b, STACK0 - 16, t[i].eip, 4);
		poke(b, STACK0 - 12, t[i].cs, 4);
		poke(b, STACK0 - 8, STACK3, 4);
		poke(b, STACK0 - 4, t[i].ss, 4);
		FAULTS(b, t[i].vec, t[i].err, 0xcb);
	}
}
END_TEST

START_TEST(real_mode_far)
{
	struct box *r = box_new("max");

	seg_install_real(&r->cpu, CS, 0x1000, false);
	seg_install_real(&r->cpu, SS, 0x2000, false);
	r->cpu.rip = 0x10;
	r->cpu.r[RSP] = 0x100;
	cpu_mode_changed(&r->cpu);
	RUNS(r, 0x9a, 0x34, 0x12, 0x00, 0x30);
	ck_assert_uint_eq(seg_base(&r->cpu, CS), 0x30000);
	ck_assert_uint_eq(r->cpu.rip, 0x1234);
	ck_assert_uint_eq(peek(r, 0x200fc, 4), 0x10000015);
	RUNS(r, 0xca, 4, 0);
	ck_assert_uint_eq(r->cpu.rip, 0x15);
	ck_assert_uint_eq(r->cpu.r[RSP], 0x104);
	FAULTS(r, EXC_GP, 0, 0x66, 0xea, 0, 0, 1, 0, 0, 0);
	box_free(r);
}
END_TEST

/* A code segment that protected mode left behind stays one, and may be written to all the same. */
START_TEST(real_mode_code_segment)
{
	struct box *r = box_new("max");
	u64 lin;

	r->cpu.seg[CS].ar = AR_P | AR_S | AR_TYPE_CODE | AR_TYPE_WR | AR_TYPE_ACCESSED;
	seg_install_real(&r->cpu, CS, 0x1000, false);
	r->cpu.rip = 0x10;
	cpu_mode_changed(&r->cpu);
	RUNS(r, 0xea, 0x34, 0x12, 0x00, 0x30);
	ck_assert_uint_eq(seg_base(&r->cpu, CS), 0x30000);
	ck_assert_uint_eq(r->cpu.seg[CS].ar, 0x9b);
	ck_assert_int_eq(seg_linear(&r->cpu, CS, 0x4000, 4, ACC_W, &lin), 0);
	ck_assert_uint_eq(lin, 0x34000);
	seg_install_real(&r->cpu, DS, 0x1000, false);
	ck_assert_uint_eq(r->cpu.seg[DS].ar, 0x93);
	box_free(r);
}
END_TEST

/* ---- IA-32e mode --------------------------------------------------------------------- */

START_TEST(long_call_gate)
{
	struct box *l = box_long(3);

	l->cpu.r[RBX] = DATA;
	poke(l, DATA + 4, S_GATE | 3, 2);
	RUNS(l, 0xff, 0x1b);
	ck_assert_uint_eq(l->cpu.cpl, 0);
	ck_assert_uint_eq(l->cpu.rip, HANDLER);
	ck_assert_uint_eq(l->cpu.r[RSP], STACK0 - 32);
	ck_assert_uint_eq(peek(l, STACK0 - 8, 8), S_DATA3 | 3);
	RUNS(l, 0x48, 0xcb);
	ck_assert_uint_eq(l->cpu.cpl, 3);
	ck_assert_uint_eq(l->cpu.r[RSP], STACK3);
	set_desc(l, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 3));
	FAULTS(l, EXC_GP, S_CODE, 0xff, 0x1b);
	set_desc(l, S_GATE, make_gate(S_CODE64, HANDLER, ST_CALL16, 3));
	FAULTS(l, EXC_GP, S_GATE, 0xff, 0x1b);
	set_desc(l, S_GATE, make_gate(S_CODE64, HANDLER, ST_CALL, 3));
	poke(l, GDT + S_GATE + 8, 0x8000, 8);
	FAULTS(l, EXC_GP, 0, 0xff, 0x1b);
	box_free(l);
}
END_TEST

START_TEST(long_to_compatibility_and_back)
{
	struct box *l = box_long(0);

	l->cpu.r[RSP] -= 16;
	poke(l, l->cpu.r[RSP], 0x9000, 8);
	poke(l, l->cpu.r[RSP] + 8, S_CODE, 8);
	RUNS(l, 0x48, 0xcb);
	ck_assert_uint_eq(l->cpu.mode & (MODE_BITS | MODE_LMA), MODE_32 | MODE_LMA);
	RUNS(l, JMP(0x8000, S_CODE64));
	ck_assert(cpu_long64(&l->cpu));
	set_desc(l, S_CODE1, make_desc(0, 0, AR_P | AR_S | AR_L | AR_DB | 0xa));
	l->cpu.r[RBX] = DATA;
	poke(l, DATA + 4, S_CODE1, 2);
	FAULTS(l, EXC_GP, S_CODE1, 0xff, 0x2b);
	box_free(l);
}
END_TEST

START_TEST(syscall_and_sysret)
{
	struct box *l = box_long(3);
	struct cpu *k = &l->cpu;

	k->star = 0x0023ull << 48 | 0x0010ull << 32;
	k->lstar = 0xffff800000001000ull;
	k->sfmask = FL_IF | FL_TF;
	cpu_set_rflags(k, FL_R1 | FL_IF | FL_CF);
	RUNS(l, 0x0f, 0x05);
	ck_assert_uint_eq(k->rip, k->lstar);
	ck_assert_uint_eq(k->r[RCX], CODE + 2);
	ck_assert_uint_eq(k->r[R11], FL_R1 | FL_IF | FL_CF);
	ck_assert_uint_eq(k->rflags, FL_R1 | FL_CF);
	ck_assert_uint_eq(k->cpl, 0);
	ck_assert_uint_eq(k->seg[CS].sel, 0x10);
	ck_assert_uint_eq(k->seg[SS].sel, 0x18);
	RUNS(l, 0x48, 0x0f, 0x07);
	ck_assert_uint_eq(k->cpl, 3);
	ck_assert_uint_eq(k->seg[CS].sel, 0x33);
	ck_assert_uint_eq(k->seg[SS].sel, 0x2b);
	ck_assert_uint_eq(k->rip, CODE + 2);
	ck_assert(cpu_long64(k));
	RUNS(l, 0x0f, 0x05);
	RUNS(l, 0x0f, 0x07);
	ck_assert_uint_eq(k->mode & MODE_BITS, MODE_32);
	ck_assert_uint_eq(k->seg[CS].sel, 0x23);
	box_free(l);
	l = box_long(0);
	l->cpu.r[RCX] = 0x800000000000;
	FAULTS(l, EXC_GP, 0, 0x48, 0x0f, 0x07);
	l->cpu.efer &= ~EFER_SCE;
	FAULTS(l, EXC_UD, 0, 0x0f, 0x05);
	FAULTS(l, EXC_UD, 0, 0x48, 0x0f, 0x07);
	box_free(l);
}
END_TEST

START_TEST(sysenter_and_sysexit)
{
	FAULTS(b, EXC_GP, 0, 0x0f, 0x34);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x35);
	c->sysenter_cs = 0x08;
	c->sysenter_esp = STACK0;
	c->sysenter_eip = 0x7000;
	box_cpl(b, 3);
	cpu_set_rflags(c, FL_R1 | FL_IF);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x35);
	RUNS(b, 0x0f, 0x34);
	ck_assert_uint_eq(c->cpl, 0);
	ck_assert_uint_eq(c->rip, 0x7000);
	ck_assert_uint_eq(c->r[RSP], STACK0);
	ck_assert_uint_eq(c->seg[SS].sel, 0x10);
	ck_assert_uint_eq(c->rflags & FL_IF, 0);
	c->r[RDX] = 0x1111;
	c->r[RCX] = 0x2222;
	RUNS(b, 0x0f, 0x35);
	ck_assert_uint_eq(c->seg[CS].sel, 0x1b);
	ck_assert_uint_eq(c->seg[SS].sel, 0x23);
	ck_assert_uint_eq(c->rip, 0x1111);
	ck_assert_uint_eq(c->cpl, 3);
	struct box *l = box_long(0);
	l->cpu.sysenter_cs = 8;
	l->cpu.r[RDX] = 1ull << 47;
	FAULTS(l, EXC_GP, 0, 0x48, 0x0f, 0x35);
	l->cpu.r[RDX] = 0;
	l->cpu.r[RCX] = 1ull << 47;
	FAULTS(l, EXC_GP, 0, 0x48, 0x0f, 0x35);
	box_free(l);
}
END_TEST

START_TEST(swapgs_exchanges)
{
	struct box *l = box_long(0);

	l->cpu.r[R_SEGBASE + GS] = 1;
	l->cpu.kernel_gs_base = 2;
	RUNS(l, 0x0f, 0x01, 0xf8);
	ck_assert_uint_eq(seg_base(&l->cpu, GS), 2);
	ck_assert_uint_eq(l->cpu.kernel_gs_base, 1);
	box_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("farxfer");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, direct_faults);
	tcase_add_test(t, jump_and_call);
	tcase_add_test(t, conforming_keeps_cpl);
	tcase_add_test(t, indirect_reads_pointer);
	tcase_add_test(t, gate_faults);
	tcase_add_test(t, gate_to_inner_level_copies_parameters);
	tcase_add_test(t, return_faults);
	tcase_add_test(t, real_mode_far);
	tcase_add_test(t, real_mode_code_segment);
	tcase_add_test(t, long_call_gate);
	tcase_add_test(t, long_to_compatibility_and_back);
	tcase_add_test(t, syscall_and_sysret);
	tcase_add_test(t, sysenter_and_sysexit);
	tcase_add_test(t, swapgs_exchanges);
	suite_add_tcase(s, t);
	return run_suite(s);
}
