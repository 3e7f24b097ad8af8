/* Hardware task switches and the I/O permission bitmap. */
#include "sysbox.h"

static struct box *b;
static struct cpu *c;

/* A runnable 32-bit task in TSS_B. */
static void task_b(u32 eflags)
{
	memset(b->ram + TSS_B, 0, 0x68);
	poke(b, TSS_B + 32, 0x5555, 4);
	poke(b, TSS_B + 36, eflags, 4);
	for (unsigned i = 0; i < 8; i++)
		poke(b, TSS_B + 40 + 4 * i, 0x100 + i, 4);
	poke(b, TSS_B + 40 + 4 * RSP, STACK0 - 0x100, 4);
	poke(b, TSS_B + 72, S_DATA, 2);
	poke(b, TSS_B + 76, S_CODE, 2);
	poke(b, TSS_B + 80, S_DATA, 2);
	poke(b, TSS_B + 84, S_DATA, 2);
	poke(b, TSS_B + 92, S_DATA, 2);
}

static void setup(void)
{
	b = box_protected();
	c = &b->cpu;
	task_b(FL_R1);
}

static void teardown(void)
{
	box_free(b);
}

#define JMP_TSS(sel)  0xea, 0, 0, 0, 0, (u8)(sel), 0
#define CALL_TSS(sel) 0x9a, 0, 0, 0, 0, (u8)(sel), 0

static unsigned type_of(u16 sel)
{
	return peek(b, GDT + sel + 5, 1) & 15;
}

START_TEST(jmp_switches)
{
	c->r[RBX] = 0xbbbb;
	cpu_set_rflags(c, FL_R1 | FL_CF);
	RUNS(b, JMP_TSS(S_TSSB));
	ck_assert_uint_eq(c->rip, 0x5555);
	ck_assert_uint_eq(c->r[RBX], 0x103);
	ck_assert_uint_eq(c->seg[TR].sel, S_TSSB);
	ck_assert_uint_eq(type_of(S_TSS), ST_TSS);
	ck_assert_uint_eq(type_of(S_TSSB), ST_TSS_BUSY);
	ck_assert_uint_eq(c->cr0 & CR0_TS, CR0_TS);
	ck_assert_uint_eq(peek(b, TSS_A + 32, 4), CODE + 7);
	ck_assert_uint_eq(peek(b, TSS_A + 36, 4), FL_R1 | FL_CF);
	ck_assert_uint_eq(peek(b, TSS_A + 40 + 4 * RBX, 4), 0xbbbb);
	ck_assert_uint_eq(peek(b, TSS_A + 76, 2), S_CODE);
	ck_assert_uint_eq(c->rflags & FL_NT, 0);
	ck_assert(c->seg[FS].ar & AR_UNUSABLE);
}
END_TEST

START_TEST(call_nests_and_iret_returns)
{
	RUNS(b, CALL_TSS(S_TASKGATE));
	ck_assert_uint_eq(c->rip, 0x5555);
	ck_assert_uint_eq(peek(b, TSS_B, 2), S_TSS);
	ck_assert_uint_eq(type_of(S_TSS), ST_TSS_BUSY);
	ck_assert(c->rflags & FL_NT);
	RUNS(b, 0xcf);
	ck_assert_uint_eq(c->rip, CODE + 7);
	ck_assert_uint_eq(c->seg[TR].sel, S_TSS);
	ck_assert_uint_eq(type_of(S_TSSB), ST_TSS);
	ck_assert_uint_eq(peek(b, TSS_B + 36, 4) & FL_NT, 0);
}
END_TEST

START_TEST(interrupt_through_task_gate_pushes_error)
{
	poke(b, IDT + 8 * EXC_GP, make_gate(S_TSSB, 0, ST_TASK, 0), 8);
	(void)!cpu_fault(c, EXC_GP, 0x1234, "test", 0);
	exc_deliver(c);
	ck_assert_uint_eq(c->rip, 0x5555);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 0x104);
	ck_assert_uint_eq(peek(b, STACK0 - 0x104, 4), 0x1234);
	ck_assert_uint_eq(peek(b, TSS_A + 32, 4), CODE);
	ck_assert(peek(b, TSS_A + 36, 4) & FL_RF);
}
END_TEST

START_TEST(sixteen_bit_task)
{
	memset(b->ram + TSS_16, 0, 44);
	poke(b, TSS_16 + 14, 0x4321, 2);
	poke(b, TSS_16 + 16, FL_R1, 2);
	poke(b, TSS_16 + 18 + 2 * RSP, 0x800, 2);
	poke(b, TSS_16 + 34, S_DATA, 2);
	poke(b, TSS_16 + 36, S_CODE, 2);
	poke(b, TSS_16 + 38, S_DATA, 2);
	poke(b, TSS_16 + 40, S_DATA, 2);
	RUNS(b, JMP_TSS(S_TSS16));
	ck_assert_uint_eq(c->rip, 0x4321);
	ck_assert_uint_eq(type_of(S_TSS16), ST_TSS16_BUSY);
	task_b(FL_R1);
	RUNS(b, JMP_TSS(S_TSSB));
	ck_assert_uint_eq(peek(b, TSS_16 + 14, 2), 0x4321 + 7);
}
END_TEST

START_TEST(to_virtual_8086)
{
	task_b(FL_R1 | FL_VM | FL_IOPL);
	poke(b, TSS_B + 76, 0x2000, 2);
	RUNS(b, JMP_TSS(S_TSSB));
	ck_assert(cpu_v86(c));
	ck_assert_uint_eq(seg_base(c, CS), 0x20000);
	ck_assert_uint_eq(c->cpl, 3);
}
END_TEST

START_TEST(faults_of_the_old_task)
{
	FAULTS(b, EXC_GP, S_TSS, JMP_TSS(S_TSS)); /* busy */
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x66, AR_P | ST_TSS));
	FAULTS(b, EXC_TS, S_TSSB, JMP_TSS(S_TSSB));
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, ST_TSS));
	FAULTS(b, EXC_NP, S_TSSB, JMP_TSS(S_TSSB));
	FAULTS(b, EXC_NP, S_TSSB, JMP_TSS(S_TASKGATE));
	set_desc(b, S_TASKGATE, make_gate(S_TSSB, 0, ST_TASK, 3) & ~(1ull << 47));
	FAULTS(b, EXC_NP, S_TASKGATE, JMP_TSS(S_TASKGATE));
	set_desc(b, S_TASKGATE, make_gate(S_DATA, 0, ST_TASK, 3));
	FAULTS(b, EXC_GP, S_DATA, JMP_TSS(S_TASKGATE));
	set_desc(b, S_TASKGATE, make_gate(4, 0, ST_TASK, 3));
	FAULTS(b, EXC_GP, 4, JMP_TSS(S_TASKGATE));
	box_cpl(b, 3);
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, AR_P | ST_TSS));
	FAULTS(b, EXC_GP, S_TSSB, JMP_TSS(S_TSSB));
}
END_TEST

START_TEST(iret_back_link_faults)
{
	cpu_set_rflags(c, FL_R1 | FL_NT);
	poke(b, TSS_A, 0, 2);
	FAULTS(b, EXC_TS, 0, 0xcf);
	poke(b, TSS_A, S_TSSB, 2);
	FAULTS(b, EXC_TS, S_TSSB, 0xcf); /* not busy */
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, ST_TSS_BUSY));
	FAULTS(b, EXC_NP, S_TSSB, 0xcf);
	struct box *l = box_long(0);
	cpu_set_rflags(&l->cpu, FL_R1 | FL_NT);
	FAULTS(l, EXC_GP, 0, 0x48, 0xcf);
	box_free(l);
}
END_TEST

/* Faults after the commit are delivered in the new task's context. */
START_TEST(faults_of_the_new_task)
{
	static const struct {
		u32 at;
		u16 sel;
		unsigned vec;
		u32 err;
	} t[] = {
	    {96, S_DATA, EXC_TS, S_DATA},                                     /* LDT */
	    {76, S_DATA, EXC_TS, S_DATA},                                     /* CS */
	    {76, S_CODE_NP, EXC_NP, S_CODE_NP}, {80, S_RO, EXC_TS, S_RO},     /* SS */
	    {80, S_NP, EXC_SS, S_NP},           {84, S_TSSB, EXC_TS, S_TSSB}, /* DS */
	    {92, S_NP, EXC_NP, S_NP},                                         /* GS */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct desc d;

		teardown();
		setup();
		poke(b, TSS_B + t[i].at, t[i].sel, 2);
		ck_assert_int_eq(desc_read(c, S_TSSB, EXC_GP, 0, &d), 0);
		ck_assert_int_eq(task_switch(c, &d, TASK_JMP, false, 0), FAULT_IN_NEW_TASK);
		ck_assert_uint_eq(c->fault.vector, t[i].vec);
		ck_assert_uint_eq(c->fault.err, t[i].err);
		ck_assert_uint_eq(c->rip, 0x5555);
		ck_assert_uint_eq(c->seg[TR].sel, S_TSSB);
	}
	teardown();
	setup();
	poke(b, TSS_B + 92, S_NP, 2);
	RUNS(b, JMP_TSS(S_TSSB));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_NP);
	ck_assert_uint_eq(peek(b, c->r[RSP] + 4, 4), 0x5555);
}
END_TEST

START_TEST(trap_flag_of_the_tss)
{
	poke(b, TSS_B + 100, 1, 1);
	RUNS(b, JMP_TSS(S_TSSB));
	ck_assert_uint_eq(c->rip, HANDLER + 4 * EXC_DB);
	ck_assert(c->dr[6] & DR6_BT);
}
END_TEST

START_TEST(io_bitmap)
{
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0xe4, 0x60);
	b->ram[TSS_A + 0x100 + 0x60 / 8] = 0xfe;
	RUNS(b, 0xe4, 0x60);
	FAULTS(b, EXC_GP, 0, 0xe5, 0x60); /* four ports */
	b->ram[TSS_A + 0x100 + 0x60 / 8] = 0xf0;
	RUNS(b, 0xe5, 0x60);
	c->seg[TR].limit = 0x100 + 0x60 / 8;
	FAULTS(b, EXC_GP, 0, 0xe4, 0x60); /* the byte after is read too */
	c->seg[TR].limit = 102;
	FAULTS(b, EXC_GP, 0, 0xe4, 0x60);
	cpu_set_rflags(c, FL_R1 | FL_IOPL);
	RUNS(b, 0xe4, 0x60);
}
END_TEST

START_TEST(no_tasks_in_long_mode)
{
	struct box *l = box_long(0);

	l->cpu.r[RBX] = DATA;
	poke(l, DATA + 4, S_TSSB, 2);
	FAULTS(l, EXC_GP, S_TSSB, 0xff, 0x2b);
	poke(l, DATA + 4, S_TASKGATE, 2);
	FAULTS(l, EXC_GP, S_TASKGATE, 0xff, 0x2b);
	box_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tasks");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, jmp_switches);
	tcase_add_test(t, call_nests_and_iret_returns);
	tcase_add_test(t, interrupt_through_task_gate_pushes_error);
	tcase_add_test(t, sixteen_bit_task);
	tcase_add_test(t, to_virtual_8086);
	tcase_add_test(t, faults_of_the_old_task);
	tcase_add_test(t, iret_back_link_faults);
	tcase_add_test(t, faults_of_the_new_task);
	tcase_add_test(t, trap_flag_of_the_tss);
	tcase_add_test(t, io_bitmap);
	tcase_add_test(t, no_tasks_in_long_mode);
	suite_add_tcase(s, t);
	return run_suite(s);
}
