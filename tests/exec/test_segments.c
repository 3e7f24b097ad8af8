/* Segment registers, descriptor tables, inspection instructions. */
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

#define MOV_DS_AX 0x8e, 0xd8
#define MOV_SS_AX 0x8e, 0xd0
#define MOV_FS_AX 0x8e, 0xe0

START_TEST(data_segment_faults)
{
	static const struct {
		u16 sel;
		unsigned cpl, vec;
		u32 err;
	} t[] = {
	    {0xe0, 0, EXC_GP, 0xe0},         /* beyond the GDT limit */
	    {0x04, 0, EXC_GP, 0x04},         /* LDT is null */
	    {S_TSS, 0, EXC_GP, S_TSS},       /* system descriptor */
	    {S_EXEC, 0, EXC_GP, S_EXEC},     /* execute-only code */
	    {S_DATA | 3, 0, EXC_GP, S_DATA}, /* RPL > DPL */
	    {S_DATA, 3, EXC_GP, S_DATA},     /* CPL > DPL */
	    {S_NP, 0, EXC_NP, S_NP},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		box_cpl(b, t[i].cpl);
		c->r[RAX] = t[i].sel;
		FAULTS(b, t[i].vec, t[i].err, MOV_DS_AX);
	}
}
END_TEST

START_TEST(stack_segment_faults)
{
	static const struct {
		u16 sel;
		unsigned vec;
		u32 err;
	} t[] = {
	    {0, EXC_GP, 0},           {0xe0, EXC_GP, 0xe0}, {S_DATA | 3, EXC_GP, S_DATA},
	    {S_CODE, EXC_GP, S_CODE}, {S_RO, EXC_GP, S_RO}, {S_DATA3, EXC_GP, S_DATA3},
	    {S_NP, EXC_SS, S_NP},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		c->r[RAX] = t[i].sel;
		FAULTS(b, t[i].vec, t[i].err, MOV_SS_AX);
	}
}
END_TEST

START_TEST(load_sets_hidden_part_and_accessed_bit)
{
	set_desc(b, S_DATA, make_desc(0x12345678, 0x54321, AR_P | AR_S | AR_DB | 2));
	c->r[RAX] = S_DATA;
	RUNS(b, MOV_FS_AX);
	ck_assert_uint_eq(seg_base(c, FS), 0x12345678);
	ck_assert_uint_eq(c->seg[FS].limit, 0x54321);
	ck_assert_uint_eq(c->seg[FS].ar, AR_P | AR_S | AR_DB | 3);
	ck_assert_uint_eq(peek(b, GDT + S_DATA + 5, 1) & 1, 1);
}
END_TEST

START_TEST(null_data_segment_is_unusable)
{
	u64 lin;

	c->r[RAX] = 3;
	RUNS(b, MOV_DS_AX);
	ck_assert_uint_eq(c->seg[DS].sel, 3);
	ck_assert(c->seg[DS].ar & AR_UNUSABLE);
	ck_assert_int_eq(seg_linear(c, DS, 0, 1, ACC_R, &lin), 1);
	ck_assert_uint_eq(c->fault.vector, EXC_GP);
}
END_TEST

START_TEST(mov_ss_shadows_one_instruction)
{
	c->r[RAX] = S_DATA;
	RUNS(b, MOV_SS_AX);
	ck_assert_uint_eq(c->int_shadow, 2);
}
END_TEST

START_TEST(null_ss_in_64_bit_mode)
{
	struct box *l = box_long(0);

	l->cpu.r[RAX] = 0;
	RUNS(l, MOV_SS_AX);
	ck_assert(l->cpu.seg[SS].ar & AR_UNUSABLE);
	l->cpu.r[RAX] = 3;
	FAULTS(l, EXC_GP, 0, MOV_SS_AX);
	box_free(l);
	l = box_long(3);
	l->cpu.r[RAX] = 3;
	FAULTS(l, EXC_GP, 0, MOV_SS_AX);
	box_free(l);
}
END_TEST

START_TEST(ldt_selectors)
{
	c->r[RAX] = S_LDT;
	RUNS(b, 0x0f, 0x00, 0xd0); /* lldt ax */
	ck_assert_uint_eq(seg_base(c, LDTR), LDT);
	poke(b, LDT + 8, make_desc(0x777000, 1, AR_FLAT | 2), 8);
	c->r[RAX] = 0x0c;
	RUNS(b, MOV_DS_AX);
	ck_assert_uint_eq(seg_base(c, DS), 0x777000);
	c->r[RAX] = 0x44;
	FAULTS(b, EXC_GP, 0x44, MOV_DS_AX);
}
END_TEST

START_TEST(real_mode_keeps_limits)
{
	struct box *r = box_new("max");

	r->cpu.seg[DS].limit = 0xffffffff;
	r->cpu.r[RAX] = 0x1234;
	RUNS(r, MOV_DS_AX);
	ck_assert_uint_eq(seg_base(&r->cpu, DS), 0x12340);
	ck_assert_uint_eq(r->cpu.seg[DS].limit, 0xffffffff);
	box_free(r);
}
END_TEST

START_TEST(mov_to_cs_is_undefined)
{
	struct decode_mode m = {.bits = 32, .feat = c->feat};
	struct insn in;

	if (insn_decode(&m, CODE_BYTES(0x8e, 0xc8), &in) == DECODE_OK)
		FAULTS(b, EXC_UD, 0, 0x8e, 0xc8);
}
END_TEST

START_TEST(push_segment_writes_16_bits)
{
	poke(b, STACK0 - 4, 0xdeadbeef, 4);
	RUNS(b, 0x1e); /* push ds */
	ck_assert_uint_eq(peek(b, STACK0 - 4, 4), 0xdead0000 | S_DATA);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 4);
}
END_TEST

START_TEST(pop_segment_restores_sp_on_fault)
{
	c->r[RSP] = STACK0 - 4;
	poke(b, STACK0 - 4, S_NP, 4);
	FAULTS(b, EXC_NP, S_NP, 0x1f); /* pop ds */
	poke(b, STACK0 - 4, S_DATA, 4);
	RUNS(b, 0x1f);
	ck_assert_uint_eq(c->r[RSP], STACK0);
}
END_TEST

START_TEST(load_far_pointer)
{
	c->r[RBX] = DATA;
	poke(b, DATA, 0x12345678, 4);
	poke(b, DATA + 4, S_DATA3 | 3, 2);
	RUNS(b, 0x0f, 0xb5, 0x0b); /* lgs ecx, [ebx] */
	ck_assert_uint_eq(c->r[RCX], 0x12345678);
	ck_assert_uint_eq(c->seg[GS].sel, S_DATA3 | 3);
	poke(b, DATA + 4, S_NP, 2);
	FAULTS(b, EXC_NP, S_NP, 0xc5, 0x0b); /* lds */
	poke(b, DATA + 4, S_NP, 2);
	FAULTS(b, EXC_SS, S_NP, 0x0f, 0xb2, 0x0b); /* lss: not present is #SS */
}
END_TEST

START_TEST(lldt_faults)
{
	static const struct {
		u16 sel;
		unsigned vec;
		u32 err;
	} t[] = {{4, EXC_GP, 4},
		 {0xe0, EXC_GP, 0xe0},
		 {S_DATA, EXC_GP, S_DATA},
		 {S_TSSB, EXC_GP, S_TSSB}};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		c->r[RAX] = t[i].sel;
		FAULTS(b, t[i].vec, t[i].err, 0x0f, 0x00, 0xd0);
	}
	set_desc(b, S_LDT, make_desc(LDT, 0x3f, ST_LDT));
	c->r[RAX] = S_LDT;
	FAULTS(b, EXC_NP, S_LDT, 0x0f, 0x00, 0xd0);
	c->r[RAX] = 0;
	RUNS(b, 0x0f, 0x00, 0xd0);
	ck_assert(c->seg[LDTR].ar & AR_UNUSABLE);
}
END_TEST

START_TEST(ltr_faults_and_marks_busy)
{
	static const u16 bad[] = {0, 4, 0xe0, S_DATA, S_TSS /* busy */, S_LDT};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		c->r[RAX] = bad[i];
		FAULTS(b, EXC_GP, bad[i], 0x0f, 0x00, 0xd8);
	}
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, ST_TSS));
	c->r[RAX] = S_TSSB;
	FAULTS(b, EXC_NP, S_TSSB, 0x0f, 0x00, 0xd8);
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, AR_P | ST_TSS));
	RUNS(b, 0x0f, 0x00, 0xd8);
	ck_assert_uint_eq(peek(b, GDT + S_TSSB + 5, 1) & 15, ST_TSS_BUSY);
	ck_assert_uint_eq(c->seg[TR].ar & 15, ST_TSS_BUSY);
	ck_assert_uint_eq(seg_base(c, TR), TSS_B);
}
END_TEST

START_TEST(ltr_in_long_mode_reads_16_bytes)
{
	struct box *l = box_long(0);

	set_desc(l, S_TSS, make_desc(TSS_A, 0x7ff, AR_P | ST_TSS));
	poke(l, GDT + S_TSS + 8, 0xffff8000, 8);
	l->cpu.r[RAX] = S_TSS;
	RUNS(l, 0x0f, 0x00, 0xd8);
	ck_assert_uint_eq(seg_base(&l->cpu, TR), 0xffff800000000000ull | TSS_A);
	set_desc(l, S_TSS, make_desc(TSS_A, 0x7ff, AR_P | ST_TSS));
	poke(l, GDT + S_TSS + 8, 0x01ff8000, 8);
	FAULTS(l, EXC_GP, S_TSS, 0x0f, 0x00, 0xd8);
	poke(l, GDT + S_TSS + 8, 0x1f0000000000ull, 8);
	FAULTS(l, EXC_GP, S_TSS, 0x0f, 0x00, 0xd8);
	l->cpu.gdtr.limit = S_TSS + 7;
	FAULTS(l, EXC_GP, S_TSS, 0x0f, 0x00, 0xd8);
	l->cpu.gdtr.limit = GDT_LIMIT;
	l->cpu.r[RAX] = S_TSS16;
	FAULTS(l, EXC_GP, S_TSS16, 0x0f, 0x00, 0xd8);
	box_free(l);
}
END_TEST

START_TEST(descriptor_table_registers)
{
	struct box *l;

	c->r[RBX] = DATA;
	poke(b, DATA, 0x12345678ffffull, 8);
	RUNS(b, 0x0f, 0x01, 0x1b); /* lidt [ebx] */
	ck_assert_uint_eq(c->idtr.base, 0x12345678);
	RUNS(b, 0x66, 0x0f, 0x01, 0x1b); /* 16-bit operand: 24-bit base */
	ck_assert_uint_eq(c->idtr.base, 0x345678);
	c->r[RBX] = DATA + 32;
	RUNS(b, 0x0f, 0x01, 0x0b); /* sidt */
	ck_assert_uint_eq(peek(b, DATA + 32, 6), 0x345678ffffull);
	c->cr4 |= CR4_UMIP;
	box_cpl(b, 3);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0x0b);
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0x03); /* sgdt */
	FAULTS(b, EXC_GP, 0, 0x0f, 0x00, 0xc0); /* sldt eax */
	FAULTS(b, EXC_GP, 0, 0x0f, 0x00, 0xc8); /* str eax */
	FAULTS(b, EXC_GP, 0, 0x0f, 0x01, 0xe0); /* smsw eax */
	l = box_long(0);
	l->cpu.r[RBX] = DATA;
	poke(l, DATA, 0xfff, 2);
	poke(l, DATA + 2, 0x100000000000000ull, 8);
	FAULTS(l, EXC_GP, 0, 0x0f, 0x01, 0x13); /* lgdt [rbx] */
	poke(l, DATA + 2, 0xffff800000000000ull, 8);
	RUNS(l, 0x0f, 0x01, 0x13);
	ck_assert_uint_eq(l->cpu.gdtr.base, 0xffff800000000000ull);
	box_free(l);
}
END_TEST

START_TEST(lar_lsl)
{
	static const struct {
		u16 sel;
		bool lar, lsl;
	} t[] = {
	    {0, false, false},         {3, false, false},          {0xe0, false, false},
	    {S_CODE, true, true},      {S_DATA | 3, false, false}, {S_CONF | 3, true, true},
	    {S_TSS, true, true},       {S_LDT, true, true},        {S_GATE, true, false},
	    {S_TASKGATE, true, false}, {S_TSS16, true, true},      {S_NP, true, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		u64 raw = peek(b, GDT + (t[i].sel & ~7u), 8);

		c->r[RAX] = t[i].sel;
		c->r[RCX] = 0x55;
		RUNS(b, 0x0f, 0x02, 0xc8); /* lar ecx, eax */
		ck_assert_msg(!(c->rflags & FL_ZF) == !t[i].lar, "lar %x", t[i].sel);
		ck_assert_uint_eq(c->r[RCX], t[i].lar ? raw >> 32 & 0xf0ff00 : 0x55);
		c->r[RCX] = 0x55;
		RUNS(b, 0x0f, 0x03, 0xc8); /* lsl ecx, eax */
		ck_assert_msg(!(c->rflags & FL_ZF) == !t[i].lsl, "lsl %x", t[i].sel);
		ck_assert_uint_eq(c->r[RCX], t[i].lsl ? desc_limit(raw) : 0x55);
	}
}
END_TEST

START_TEST(verr_verw)
{
	static const struct {
		u16 sel;
		unsigned cpl;
		bool r, w;
	} t[] = {
	    {0, 0, false, false},     {S_CODE, 0, true, false}, {S_EXEC, 0, false, false},
	    {S_DATA, 0, true, true},  {S_RO, 0, true, false},   {S_DATA, 3, false, false},
	    {S_CONF, 3, true, false}, {S_TSS, 0, false, false}, {S_DATA3 | 3, 3, true, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		box_cpl(b, t[i].cpl);
		c->r[RAX] = t[i].sel;
		RUNS(b, 0x0f, 0x00, 0xe0);
		ck_assert_msg(!(c->rflags & FL_ZF) == !t[i].r, "verr %x", t[i].sel);
		RUNS(b, 0x0f, 0x00, 0xe8);
		ck_assert_msg(!(c->rflags & FL_ZF) == !t[i].w, "verw %x", t[i].sel);
	}
}
END_TEST

START_TEST(arpl_raises_rpl)
{
	c->r[RAX] = 0x10;
	c->r[RCX] = 0x3;
	RUNS(b, 0x63, 0xc8); /* arpl ax, cx */
	ck_assert_uint_eq(c->r[RAX], 0x13);
	ck_assert(c->rflags & FL_ZF);
	c->r[RCX] = 0x1;
	RUNS(b, 0x63, 0xc8);
	ck_assert_uint_eq(c->r[RAX], 0x13);
	ck_assert(!(c->rflags & FL_ZF));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("segments");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, data_segment_faults);
	tcase_add_test(t, stack_segment_faults);
	tcase_add_test(t, load_sets_hidden_part_and_accessed_bit);
	tcase_add_test(t, null_data_segment_is_unusable);
	tcase_add_test(t, mov_ss_shadows_one_instruction);
	tcase_add_test(t, null_ss_in_64_bit_mode);
	tcase_add_test(t, ldt_selectors);
	tcase_add_test(t, real_mode_keeps_limits);
	tcase_add_test(t, mov_to_cs_is_undefined);
	tcase_add_test(t, push_segment_writes_16_bits);
	tcase_add_test(t, pop_segment_restores_sp_on_fault);
	tcase_add_test(t, load_far_pointer);
	tcase_add_test(t, lldt_faults);
	tcase_add_test(t, ltr_faults_and_marks_busy);
	tcase_add_test(t, ltr_in_long_mode_reads_16_bytes);
	tcase_add_test(t, descriptor_table_registers);
	tcase_add_test(t, lar_lsl);
	tcase_add_test(t, verr_verw);
	tcase_add_test(t, arpl_raises_rpl);
	suite_add_tcase(s, t);
	return run_suite(s);
}
