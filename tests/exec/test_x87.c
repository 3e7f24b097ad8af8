/*
 * The x87 instructions around their arithmetic (which tests/fpu holds): pending exceptions, FERR#,
 * stack faults, environment images; and the micro-operations of the common cases against the simple
 * operations on random programs.
 */
#include "sysbox.h"

#include "cpu/exec/state.h"
#include "cpu/exec/x87.h"
#include "cpu/fpu/softfloat.h"

static struct box *b;
static struct cpu *c;

static bool ferr_level;

static void ferr(void *ctx, bool level)
{
	ferr_level = level;
}

static void setup(void)
{
	b = box_protected();
	c = &b->cpu;
	c->bus.ferr = ferr;
	c->cr0 |= CR0_NE;
	RUNS(b, 0xdb, 0xe3); /* fninit */
}

static unsigned top(void)
{
	return c->x87.sw >> 11 & 7;
}

static void teardown(void)
{
	ck_assert_uint_eq(c->x87.top, top());
	box_free(b);
}

static struct x87_reg *st(unsigned i)
{
	return &c->x87.r[(top() + i) & 7];
}

/* 1 / 0 with #Z unmasked. */
static void raise_zero_divide(void)
{
	c->x87.cw = 0x37b;
	RUNS(b, 0xd9, 0xee); /* fldz */
	RUNS(b, 0xd9, 0xe8); /* fld1 */
	RUNS(b, 0xd8, 0xf1); /* fdiv st, st(1) */
}

START_TEST(fninit_state)
{
	ck_assert_uint_eq(c->x87.cw, 0x37f);
	ck_assert_uint_eq(c->x87.sw, 0);
	ck_assert_uint_eq(c->x87.valid, 0);
}
END_TEST

START_TEST(unmasked_exception_is_pending_at_the_next_waiting_instruction)
{
	raise_zero_divide();
	ck_assert_uint_eq(c->x87.sw & 0x80ff, X87_B | X87_ES | FPE_ZE);
	ck_assert_uint_eq(st(0)->se, 0x3fff); /* the operand stays */
	FAULTS(b, EXC_MF, 0, 0xd9, 0xe8);
	FAULTS(b, EXC_MF, 0, 0x9b);
	FAULTS(b, EXC_MF, 0, 0xd9, 0xd0); /* fnop waits */
	RUNS(b, 0xdf, 0xe0);              /* fnstsw ax does not */
	ck_assert_uint_eq(c->r[RAX] & 0xffff, c->x87.sw);
	RUNS(b, 0xdb, 0xe2); /* fnclex */
	ck_assert_uint_eq(c->x87.sw & 0x80ff, 0);
	RUNS(b, 0x9b);
}
END_TEST

START_TEST(ferr_instead_of_mf_without_ne)
{
	c->cr0 &= ~CR0_NE;
	ferr_level = false;
	raise_zero_divide();
	ck_assert(ferr_level);
	RUNS(b, 0xd9, 0xe8); /* as with IGNNE# asserted */
	RUNS(b, 0xdb, 0xe2);
	ck_assert(!ferr_level);
}
END_TEST

START_TEST(fldcw_unmasks_what_is_pending)
{
	c->x87.sw |= FPE_IE;
	poke(b, DATA, 0x37e, 2);
	RUNS(b, 0xd9, 0x2d, 0, 0, DATA >> 16, 0); /* fldcw [DATA] */
	ck_assert(c->x87.sw & X87_ES);
	FAULTS(b, EXC_MF, 0, 0x9b);
}
END_TEST

START_TEST(fwait_obeys_mp_and_ts)
{
	c->cr0 |= CR0_TS | CR0_MP;
	FAULTS(b, EXC_NM, 0, 0x9b);
	c->cr0 &= ~CR0_MP;
	RUNS(b, 0x9b);
}
END_TEST

START_TEST(stack_overflow_and_underflow)
{
	RUNS(b, 0xd8, 0xc1); /* fadd st, st(1) on an empty stack */
	ck_assert_uint_eq(c->x87.sw & 0x3ff, FPE_IE | X87_SF);
	ck_assert_uint_eq(st(0)->se, 0xffff);
	ck_assert_uint_eq(st(0)->mant, 0xc000000000000000ull);
	RUNS(b, 0xdb, 0xe3);
	for (unsigned i = 0; i < 9; i++)
		RUNS(b, 0xd9, 0xe8);
	ck_assert_uint_eq(c->x87.sw & 0x3ff, FPE_IE | X87_SF | X87_C1);
	ck_assert_uint_eq(top(), 7);
	ck_assert_uint_eq(st(0)->mant, 0xc000000000000000ull);
}
END_TEST

START_TEST(unmasked_stack_fault_changes_nothing)
{
	struct x87 before;

	c->x87.cw = 0x37e;
	before = c->x87;
	RUNS(b, 0xde, 0xc1); /* faddp */
	ck_assert_uint_eq(c->x87.valid, 0);
	ck_assert_uint_eq(top(), 0);
	ck_assert_mem_eq(before.r, c->x87.r, sizeof(before.r));
	ck_assert(c->x87.sw & X87_ES);
}
END_TEST

START_TEST(memory_faults_change_nothing)
{
	struct x87 before;

	RUNS(b, 0xd9, 0xe8);
	force_seg(b, DS, S_SMALL);
	cpu_mode_changed(c);
	before = c->x87;
	FAULTS(b, EXC_GP, 0, 0xdc, 0x05, 0, 0, DATA >> 16, 0); /* fadd qword */
	FAULTS(b, EXC_GP, 0, 0xdd, 0x1d, 0, 0, DATA >> 16, 0); /* fstp qword */
	FAULTS(b, EXC_GP, 0, 0xdd, 0x35, 0, 0, DATA >> 16, 0); /* fnsave */
	FAULTS(b, EXC_GP, 0, 0xdd, 0x25, 0, 0, DATA >> 16, 0); /* frstor */
	ck_assert_mem_eq(&before, &c->x87, sizeof(before));
}
END_TEST

START_TEST(pointers_of_the_last_instruction)
{
	poke(b, DATA, 0x3ff0000000000000ull, 8);
	c->rip = CODE + 0x40;
	RUNS(b, 0xdd, 0x05, 0, 0, DATA >> 16, 0); /* fld qword */
	ck_assert_uint_eq(c->x87.fip, CODE + 0x40);
	ck_assert_uint_eq(c->x87.fcs, S_CODE);
	ck_assert_uint_eq(c->x87.fdp, DATA);
	ck_assert_uint_eq(c->x87.fds, S_DATA);
	ck_assert_uint_eq(c->x87.fop, 0x505);
	RUNS(b, 0xdb, 0xe2); /* a control instruction leaves them */
	ck_assert_uint_eq(c->x87.fip, CODE + 0x40);
}
END_TEST

/* One of each kind of tag: valid, zero, special, empty. */
static void fill_stack(void)
{
	RUNS(b, 0xd9, 0xe8);
	RUNS(b, 0xd9, 0xee);
	RUNS(b, 0xd9, 0xe8);
	st(0)->se = 0x7fff;
	c->x87.fip = 0x12345678;
	c->x87.fdp = 0x9abcdef0;
	c->x87.fop = 0x5a5;
}

START_TEST(environment_32_bit_protected)
{
	struct x87 before;

	fill_stack();
	before = c->x87;
	RUNS(b, 0xd9, 0x35, 0, 0, DATA >> 16, 0); /* fnstenv */
	ck_assert_uint_eq(peek(b, DATA, 4), 0xffff037f);
	ck_assert_uint_eq(peek(b, DATA + 4, 4), 0xffff0000 | before.sw);
	ck_assert_uint_eq(peek(b, DATA + 8, 4), 0xffff1bff | 0); /* R7 valid, R6 zero, R5 special */
	ck_assert_uint_eq(peek(b, DATA + 12, 4), 0x12345678);
	ck_assert_uint_eq(peek(b, DATA + 16, 4), 0x05a50000 | S_CODE);
	ck_assert_uint_eq(peek(b, DATA + 20, 4), 0x9abcdef0);
	ck_assert_uint_eq(peek(b, DATA + 24, 4) & 0xffff, before.fds);
	RUNS(b, 0xdb, 0xe3);
	RUNS(b, 0xd9, 0x25, 0, 0, DATA >> 16, 0); /* fldenv */
	ck_assert_uint_eq(c->x87.sw, before.sw);
	ck_assert_uint_eq(c->x87.valid, before.valid);
	ck_assert_uint_eq(c->x87.fip, before.fip);
	ck_assert_uint_eq(c->x87.fdp, before.fdp);
	ck_assert_uint_eq(c->x87.fop, before.fop);
	ck_assert_uint_eq(c->x87.fcs, before.fcs);
}
END_TEST

START_TEST(environment_16_bit_protected)
{
	fill_stack();
	RUNS(b, 0x66, 0xd9, 0x35, 0, 0, DATA >> 16, 0);
	ck_assert_uint_eq(peek(b, DATA, 2), 0x37f);
	ck_assert_uint_eq(peek(b, DATA + 4, 2), 0x1bff);
	ck_assert_uint_eq(peek(b, DATA + 6, 2), 0x5678);
	ck_assert_uint_eq(peek(b, DATA + 8, 2), S_CODE);
	ck_assert_uint_eq(peek(b, DATA + 10, 2), 0xdef0);
	ck_assert_uint_eq(peek(b, DATA + 14, 2), 0); /* 14 bytes, no more */
}
END_TEST

START_TEST(environment_in_virtual_8086_mode)
{
	teardown();
	b = box_v86(3);
	c = &b->cpu;
	c->x87.fip = 0x5678;
	c->x87.fcs = 0xf000;
	c->x87.fdp = 0x1234;
	c->x87.fds = 0x3000;
	c->x87.fop = 0x5a5;
	RUNS(b, 0xd9, 0x36, 0x00, 0x10); /* fnstenv [1000h] */
	ck_assert_uint_eq(peek(b, 0x31000 + 6, 2), 0x5678);
	ck_assert_uint_eq(peek(b, 0x31000 + 8, 2), 0xf5a5);
	ck_assert_uint_eq(peek(b, 0x31000 + 10, 2), 0x1234);
	ck_assert_uint_eq(peek(b, 0x31000 + 12, 2), 0x3000);
	RUNS(b, 0x66, 0xd9, 0x36, 0x00, 0x10);
	ck_assert_uint_eq(peek(b, 0x31000 + 12, 2), 0x5678);
	ck_assert_uint_eq(peek(b, 0x31000 + 16, 4), 0x0000f5a5);
	ck_assert_uint_eq(peek(b, 0x31000 + 24, 4), 0x00003000);
	RUNS(b, 0x66, 0xd9, 0x26, 0x00, 0x10); /* fldenv */
	ck_assert_uint_eq(c->x87.fip, 0xf5678);
	ck_assert_uint_eq(c->x87.fop, 0x5a5);
}
END_TEST

START_TEST(fnstenv_masks_and_clears_the_summary)
{
	raise_zero_divide();
	RUNS(b, 0xd9, 0x35, 0, 0, DATA >> 16, 0);
	ck_assert_uint_eq(peek(b, DATA, 2), 0x37b);
	ck_assert(peek(b, DATA + 4, 2) & X87_ES);
	ck_assert_uint_eq(c->x87.cw & FPE_ALL, FPE_ALL);
	RUNS(b, 0xd9, 0xe8);
}
END_TEST

START_TEST(fnsave_frstor)
{
	struct x87 before;

	fill_stack();
	before = c->x87;
	RUNS(b, 0xdd, 0x35, 0, 0, DATA >> 16, 0);
	ck_assert_uint_eq(c->x87.valid, 0);
	ck_assert_uint_eq(c->x87.sw, 0);
	ck_assert_uint_eq(peek(b, DATA + 28 + 8, 2), 0x7fff); /* ST(0) first */
	memset(c->x87.r, 0, sizeof(c->x87.r));
	RUNS(b, 0xdd, 0x25, 0, 0, DATA >> 16, 0);
	ck_assert_mem_eq(&before, &c->x87, sizeof(before));
}
END_TEST

START_TEST(a_snapshot_keeps_top)
{
	struct snap_buf buf = {0};

	RUNS(b, 0xd9, 0xe8); /* fld1 */
	RUNS(b, 0xd9, 0xee); /* fldz */
	cpu_state_save(c, &buf);
	RUNS(b, 0xdb, 0xe3); /* fninit */
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_int_eq(cpu_state_load(c, &r), 0);
	ck_assert_uint_eq(top(), 6);
	ck_assert_uint_eq(st(1)->se, 0x3fff);
	free(buf.data);
}
END_TEST

START_TEST(constants_obey_rounding_control)
{
	static const struct {
		u8 rc;
		u64 pi;
	} rows[] = {{0, 0xc90fdaa22168c235ull},
		    {1, 0xc90fdaa22168c234ull},
		    {2, 0xc90fdaa22168c235ull},
		    {3, 0xc90fdaa22168c234ull}};

	for (unsigned i = 0; i < 4; i++) {
		RUNS(b, 0xdb, 0xe3);
		c->x87.cw |= (u16)(rows[i].rc << 10);
		RUNS(b, 0xd9, 0xeb);
		ck_assert_uint_eq(st(0)->mant, rows[i].pi);
	}
}
END_TEST

/* ---- random programs both ways -------------------------------------------------------------- */

static u32 seed;

static u32 rnd(u32 n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* One random x87 instruction on registers or [DATA + 16 i]; returns its length. */
static unsigned random_insn(u8 *p)
{
	static const u8 mem[][2] = {
	    {0xd8, 0}, {0xd8, 1}, {0xd8, 4}, {0xd8, 5}, {0xd8, 6}, {0xd8, 7}, {0xdc, 0}, {0xdc, 1},
	    {0xdc, 4}, {0xdc, 5}, {0xdc, 6}, {0xdc, 7}, {0xd9, 0}, {0xd9, 2}, {0xd9, 3}, {0xdd, 0},
	    {0xdd, 2}, {0xdd, 3}, {0xdb, 0}, {0xdb, 3}, {0xdf, 0}, {0xdf, 3}, {0xdf, 5}, {0xdf, 7},
	    {0xdb, 5}, {0xdb, 7}, {0xda, 0}, {0xde, 1}, {0xd9, 5},
	};
	static const u8 reg[][2] = {
	    {0xd8, 0xc0}, {0xd8, 0xc8}, {0xd8, 0xe0}, {0xd8, 0xe8}, {0xd8, 0xf0}, {0xd8, 0xf8},
	    {0xdc, 0xc0}, {0xdc, 0xc8}, {0xdc, 0xe0}, {0xdc, 0xe8}, {0xdc, 0xf0}, {0xdc, 0xf8},
	    {0xde, 0xc0}, {0xde, 0xc8}, {0xde, 0xe0}, {0xde, 0xe8}, {0xde, 0xf0}, {0xde, 0xf8},
	    {0xd9, 0xc0}, {0xd9, 0xc8}, {0xdd, 0xd0}, {0xdd, 0xd8}, {0xdb, 0xf0}, {0xdb, 0xe8},
	    {0xdf, 0xf0}, {0xdf, 0xe8}, {0xd9, 0xc0}, {0xd9, 0xc0},
	};
	static const u8 fixed[] = {0xe0, 0xe1, 0xe8, 0xe8, 0xee, 0xfa, 0xfc, 0xeb};
	u32 kind = rnd(8);

	if (kind < 3) {
		const u8 *m = mem[rnd(ARRAY_SIZE(mem))];
		u32 at = DATA + 16 * rnd(32) + (rnd(16) == 0 ? 0xffc - 0x100 : 0);

		p[0] = m[0];
		p[1] = (u8)(m[1] << 3 | 5);
		memcpy(p + 2, &at, 4);
		return 6;
	}
	if (kind < 7) {
		const u8 *r = reg[rnd(ARRAY_SIZE(reg))];

		p[0] = r[0];
		p[1] = (u8)(r[1] + rnd(3));
		return 2;
	}
	p[0] = 0xd9;
	p[1] = fixed[rnd(ARRAY_SIZE(fixed))];
	return 2;
}

static void random_data(void)
{
	for (u32 at = DATA; at < DATA + 0x1100; at += 8) {
		u64 v = (u64)rnd(1 << 24) << 40 ^ (u64)rnd(1 << 24) << 20 ^ rnd(1 << 24);

		switch (rnd(4)) {
		case 0: v = 0x3ff0000000000000ull + ((u64)rnd(64) << 50); break;
		case 1: v = (u64)(s64)(s32)(rnd(2000) - 1000); break;
		case 2: v = (u64)(0x3f800000u + (rnd(100) << 20)); break;
		}
		poke(b, at, v, 8);
		if (rnd(3) == 0) { /* an 80-bit number */
			poke(b, at, v | 1ull << 63, 8);
			poke(b, at + 8, 0x3fff - 20 + rnd(40), 2);
			at += 8;
		}
	}
}

enum { PROGRAM = 48 };

START_TEST(micro_operations_equal_simple_operations)
{
	u8 code[PROGRAM * 6 + 1], *data = malloc(0x2000);
	static const u16 cws[] = {0x37f, 0x37f, 0x37f, 0x27f, 0xf7f, 0x35f};
	struct x87 start, expected;
	u32 flags;

	seed = (u32)_i;
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 0, len[PROGRAM], done;

		random_data();
		for (unsigned i = 0; i < PROGRAM; i++)
			n += len[i] = random_insn(code + n);
		code[n] = 0xf4;
		RUNS(b, 0xdb, 0xe3);
		c->x87.cw = cws[rnd(ARRAY_SIZE(cws))];
		start = c->x87;
		memcpy(data, b->ram + DATA, 0x2000);
		cpu_set_rflags(c, FL_R1);
		c->rip = CODE;
		for (done = 0, n = 0; done < PROGRAM; n += len[done++])
			if (exec_bytes(b, code + n, len[done]))
				break;
		expected = c->x87;
		flags = cpu_rflags(c);
		for (u32 i = 0; i < 0x2000; i++) {
			u8 t = b->ram[DATA + i];

			b->ram[DATA + i] = data[i];
			data[i] = t;
		}
		c->x87 = start;
		c->rip = CODE;
		cpu_set_rflags(c, FL_R1);
		memcpy(b->ram + CODE, code, sizeof(code));
		cpu_ram_written(c, CODE, sizeof(code));
		cpu_run(c, done);
		ck_assert_uint_eq(c->rip, CODE + n);
		ck_assert_uint_eq(cpu_rflags(c), flags);
		ck_assert_mem_eq(&c->x87, &expected, sizeof(expected));
		ck_assert_mem_eq(b->ram + DATA, data, 0x2000);
	}
	free(data);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exec x87");
	TCase *t = tcase_create("x87");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fninit_state);
	tcase_add_test(t, unmasked_exception_is_pending_at_the_next_waiting_instruction);
	tcase_add_test(t, ferr_instead_of_mf_without_ne);
	tcase_add_test(t, fldcw_unmasks_what_is_pending);
	tcase_add_test(t, fwait_obeys_mp_and_ts);
	tcase_add_test(t, stack_overflow_and_underflow);
	tcase_add_test(t, unmasked_stack_fault_changes_nothing);
	tcase_add_test(t, memory_faults_change_nothing);
	tcase_add_test(t, pointers_of_the_last_instruction);
	tcase_add_test(t, environment_32_bit_protected);
	tcase_add_test(t, environment_16_bit_protected);
	tcase_add_test(t, environment_in_virtual_8086_mode);
	tcase_add_test(t, fnstenv_masks_and_clears_the_summary);
	tcase_add_test(t, fnsave_frstor);
	tcase_add_test(t, a_snapshot_keeps_top);
	tcase_add_test(t, constants_obey_rounding_control);
	tcase_add_loop_test(t, micro_operations_equal_simple_operations, 0, 10);
	suite_add_tcase(s, t);
	return run_suite(s);
}
