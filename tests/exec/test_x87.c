/*
 * The x87 instructions around their arithmetic (which tests/fpu holds): pending exceptions, FERR#,
 * stack faults, environment images; and the micro-operations of the common cases against the simple
 * operations on random programs.
 */
#include "sysbox.h"

#include "cpu/exec/flags.h"
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
	return x87_sw(&c->x87) >> 11 & 7;
}

/* What x87_settle() derives may be too strict for a while, never too lax; nothing but C1, TOP and tags stands elsewhere. */
static void check_settled(void)
{
	struct x87 f = c->x87;

	x87_settle(&f);
	ck_assert_uint_eq(f.refuse & ~c->x87.refuse, 0);
	ck_assert_uint_eq(f.refuse_store & ~c->x87.refuse_store, 0);
	ck_assert_uint_eq(f.sw & (X87_TOP | X87_C1), 0);
	ck_assert_int_eq(f.empty | 0xff, -1);
	ck_assert_uint_eq(f.st0 & ~0x70, 0);
}

static void teardown(void)
{
	check_settled();
	box_free(b);
}

static struct x87 whole(struct x87 f)
{
	x87_for_snapshot(&f);
	return f;
}

static void same(struct x87 f, struct x87 g)
{
	f = whole(f);
	g = whole(g);
	ck_assert_mem_eq(&f, &g, sizeof(f));
}

static struct x87_reg *st(unsigned i)
{
	return &c->x87.r[(top() + i) & 7];
}

/* 1 / 0 with #Z unmasked. */
static void raise_zero_divide(void)
{
	x87_set_cw(&c->x87, 0x37b);
	RUNS(b, 0xd9, 0xee); /* fldz */
	RUNS(b, 0xd9, 0xe8); /* fld1 */
	RUNS(b, 0xd8, 0xf1); /* fdiv st, st(1) */
}

START_TEST(fninit_state)
{
	ck_assert_uint_eq(c->x87.cw, 0x37f);
	ck_assert_uint_eq(x87_sw(&c->x87), 0);
	ck_assert_uint_eq(x87_valid(&c->x87), 0);
}
END_TEST

START_TEST(unmasked_exception_is_pending_at_the_next_waiting_instruction)
{
	raise_zero_divide();
	ck_assert_uint_eq(x87_sw(&c->x87) & 0x80ff, X87_B | X87_ES | FPE_ZE);
	ck_assert_uint_eq(st(0)->se, 0x3fff); /* the operand stays */
	FAULTS(b, EXC_MF, 0, 0xd9, 0xe8);
	FAULTS(b, EXC_MF, 0, 0x9b);
	FAULTS(b, EXC_MF, 0, 0xd9, 0xd0); /* fnop waits */
	RUNS(b, 0xdf, 0xe0);              /* fnstsw ax does not */
	ck_assert_uint_eq(c->r[RAX] & 0xffff, x87_sw(&c->x87));
	RUNS(b, 0xdb, 0xe2); /* fnclex */
	ck_assert_uint_eq(x87_sw(&c->x87) & 0x80ff, 0);
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
	x87_set_sw(&c->x87, x87_sw(&c->x87) | FPE_IE);
	poke(b, DATA, 0x37e, 2);
	RUNS(b, 0xd9, 0x2d, 0, 0, DATA >> 16, 0); /* fldcw [DATA] */
	ck_assert(x87_sw(&c->x87) & X87_ES);
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
	ck_assert_uint_eq(x87_sw(&c->x87) & 0x3ff, FPE_IE | X87_SF);
	ck_assert_uint_eq(st(0)->se, 0xffff);
	ck_assert_uint_eq(st(0)->mant, 0xc000000000000000ull);
	RUNS(b, 0xdb, 0xe3);
	for (unsigned i = 0; i < 9; i++)
		RUNS(b, 0xd9, 0xe8);
	ck_assert_uint_eq(x87_sw(&c->x87) & 0x3ff, FPE_IE | X87_SF | X87_C1);
	ck_assert_uint_eq(top(), 7);
	ck_assert_uint_eq(st(0)->mant, 0xc000000000000000ull);
}
END_TEST

START_TEST(unmasked_stack_fault_changes_nothing)
{
	struct x87 before;

	x87_set_cw(&c->x87, 0x37e);
	before = c->x87;
	RUNS(b, 0xde, 0xc1); /* faddp */
	ck_assert_uint_eq(x87_valid(&c->x87), 0);
	ck_assert_uint_eq(top(), 0);
	ck_assert_mem_eq(before.r, c->x87.r, sizeof(before.r));
	ck_assert(x87_sw(&c->x87) & X87_ES);
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
	same(before, c->x87);
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
	ck_assert_uint_eq(peek(b, DATA + 4, 4), 0xffff0000 | x87_sw(&before));
	ck_assert_uint_eq(peek(b, DATA + 8, 4), 0xffff1bff | 0); /* R7 valid, R6 zero, R5 special */
	ck_assert_uint_eq(peek(b, DATA + 12, 4), 0x12345678);
	ck_assert_uint_eq(peek(b, DATA + 16, 4), 0x05a50000 | S_CODE);
	ck_assert_uint_eq(peek(b, DATA + 20, 4), 0x9abcdef0);
	ck_assert_uint_eq(peek(b, DATA + 24, 4) & 0xffff, before.fds);
	RUNS(b, 0xdb, 0xe3);
	RUNS(b, 0xd9, 0x25, 0, 0, DATA >> 16, 0); /* fldenv */
	ck_assert_uint_eq(x87_sw(&c->x87), x87_sw(&before));
	ck_assert_uint_eq(x87_valid(&c->x87), x87_valid(&before));
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
	ck_assert_uint_eq(x87_valid(&c->x87), 0);
	ck_assert_uint_eq(x87_sw(&c->x87), 0);
	ck_assert_uint_eq(peek(b, DATA + 28 + 8, 2), 0x7fff); /* ST(0) first */
	memset(c->x87.r, 0, sizeof(c->x87.r));
	RUNS(b, 0xdd, 0x25, 0, 0, DATA >> 16, 0);
	same(before, c->x87);
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
		x87_set_cw(&c->x87, (u16)(c->x87.cw | (rows[i].rc << 10)));
		RUNS(b, 0xd9, 0xeb);
		ck_assert_uint_eq(st(0)->mant, rows[i].pi);
	}
}
END_TEST

/* ---- micro-operations one by one ------------------------------------------------------------ */

/* @n instructions in a block. */
static void run(const u8 *code, unsigned len, unsigned n)
{
	memcpy(b->ram + CODE, code, len);
	cpu_ram_written(c, CODE, len);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	cpu_run(c, n);
	ck_assert(!c->fault_pending);
}
#define RUN(n, ...) run((const u8[]){__VA_ARGS__, 0xf4}, sizeof((const u8[]){__VA_ARGS__, 0xf4}), n)

/* ST(0) = @v0, ST(1) = @v1, no exceptions yet. */
static void set_two(struct f80 v0, struct f80 v1)
{
	RUNS(b, 0xdb, 0xe3);
	RUNS(b, 0xd9, 0xe8);
	RUNS(b, 0xd9, 0xe8);
	st(0)->mant = v0.mant;
	st(0)->se = v0.se;
	st(1)->mant = v1.mant;
	st(1)->se = v1.se;
}

static const struct comparison {
	struct f80 a, b;
	u32 flags;
	u16 raised, raised_quietly; /* by FCOMI, FUCOMI */
} comparisons[] = {
#define ONE      {1ull << 63, 0x3fff}
#define TWO      {1ull << 63, 0x4000}
#define MINUS    {1ull << 63, 0xbfff}
#define ZERO     {0, 0}
#define NEG_ZERO {0, 0x8000}
#define DENORMAL {1, 0}
#define INF      {1ull << 63, 0x7fff}
#define QNAN     {3ull << 62, 0x7fff}
#define SNAN     {1ull << 63 | 1, 0x7fff}
#define ODD      {1, 0x3fff} /* an unnormal: not supported */
    {ONE, TWO, FL_CF, 0, 0},
    {TWO, ONE, 0, 0, 0},
    {ONE, ONE, FL_ZF, 0, 0},
    {ZERO, NEG_ZERO, FL_ZF, 0, 0},
    {MINUS, ONE, FL_CF, 0, 0},
    {INF, TWO, 0, 0, 0},
    {TWO, INF, FL_CF, 0, 0},
    {DENORMAL, ZERO, 0, FPE_DE, FPE_DE},
    {ZERO, DENORMAL, FL_CF, FPE_DE, FPE_DE},
    {DENORMAL, DENORMAL, FL_ZF, FPE_DE, FPE_DE},
    {ONE, QNAN, FL_ZF | FL_PF | FL_CF, FPE_IE, 0},
    {QNAN, ONE, FL_ZF | FL_PF | FL_CF, FPE_IE, 0},
    {SNAN, ONE, FL_ZF | FL_PF | FL_CF, FPE_IE, FPE_IE},
    {ODD, ONE, FL_ZF | FL_PF | FL_CF, FPE_IE, FPE_IE},
};

START_TEST(fcomi_and_its_conditions)
{
	const struct comparison *k = &comparisons[_i];

	for (unsigned quiet = 0; quiet < 2; quiet++)
		for (u8 cc = 0; cc < 16; cc++) {
			u8 insn = quiet ? 0xe9 : 0xf1;
			bool holds = flags_condition(cc, k->flags);

			set_two(k->a, k->b);
			cpu_set_rflags(c, FL_R1 | FL_ARITH);
			c->x87.c1 = X87_C1; /* which stays */
			c->r[RAX] = c->r[RBX] = c->r[RCX] = 0;
			c->r[RDX] = 5;
			/* f(u)comi st, st(1); setcc al; jcc +2; mov bl, 1; cmovcc ecx, edx */
			RUN(holds ? 4 : 5, 0xdb, insn, 0x0f, 0x90 | cc, 0xc0, 0x70 | cc, 2, 0xb3, 1, 0x0f, 0x40 | cc, 0xca);
			ck_assert_uint_eq(c->r[RAX], holds);
			ck_assert_uint_eq(c->r[RBX], !holds);
			ck_assert_uint_eq(c->r[RCX], holds ? 5 : 0);
			set_two(k->a, k->b);
			cpu_set_rflags(c, FL_R1 | FL_ARITH);
			c->x87.c1 = X87_C1;
			RUN(1, 0xdb, insn);
			ck_assert_uint_eq(cpu_rflags(c) & FL_ARITH, k->flags);
			ck_assert_uint_eq(x87_sw(&c->x87), 6 << 11 | X87_C1 | (quiet ? k->raised_quietly : k->raised));
		}
	/* ... and what needs CF alone */
	set_two(k->a, k->b);
	c->r[RAX] = 0;
	RUN(2, 0xdf, 0xe9, 0x14, 0x00); /* fucomip; adc al, 0 */
	ck_assert_uint_eq(c->r[RAX], k->flags & FL_CF);
	ck_assert_uint_eq(x87_top(&c->x87), 7);
}
END_TEST

START_TEST(fild_is_exact)
{
	static const s64 values[] = {0, 1, -1, 2, 3, -3, 0x7fff, -0x8000, 0x7fffffff, -0x80000000ll,
				     0x123456789abcdefll, INT64_MAX, INT64_MIN};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		struct f80 v16 = f80_from_s64((s16)values[i]), v32 = f80_from_s64((s32)values[i]), v64 = f80_from_s64(values[i]);

		poke(b, DATA, (u64)values[i], 8);
		RUNS(b, 0xdb, 0xe3);
		RUN(3, 0xdf, 0x05, 0, 0, DATA >> 16, 0, 0xdb, 0x05, 0, 0, DATA >> 16, 0, 0xdf, 0x2d, 0, 0, DATA >> 16, 0);
		ck_assert(st(2)->mant == v16.mant && st(2)->se == v16.se);
		ck_assert(st(1)->mant == v32.mant && st(1)->se == v32.se);
		ck_assert(st(0)->mant == v64.mant && st(0)->se == v64.se);
		ck_assert_uint_eq(x87_sw(&c->x87), 5 << 11);
		ck_assert_uint_eq(x87_valid(&c->x87), 0xe0);
	}
}
END_TEST

/* Those that do not store the pointers, for the next instruction does, are behind FNSTENV never the last ones. */
START_TEST(environment_behind_micro_operations)
{
	/* fld1; fld st; fadd; fsqrt; fnstenv */
	RUN(5, 0xd9, 0xe8, 0xd9, 0xc0, 0xd8, 0xc1, 0xd9, 0xfa, 0xd9, 0x35, 0, 0, DATA >> 16, 0);
	ck_assert_uint_eq(peek(b, DATA + 4, 2), 6 << 11 | FPE_PE | (x87_sw(&c->x87) & X87_C1));
	ck_assert_uint_eq(peek(b, DATA + 8, 2), 0x0fff);
	ck_assert_uint_eq(peek(b, DATA + 12, 4), CODE + 6);
	ck_assert_uint_eq(peek(b, DATA + 16, 4), 0x01fa0000 | S_CODE);
	RUN(3, 0xd9, 0xc0, 0xde, 0xc1, 0xdd, 0x1d, 0, 1, DATA >> 16, 0); /* fld st; faddp; fstp qword */
	ck_assert_uint_eq(c->x87.fip, CODE + 4);
	ck_assert_uint_eq(c->x87.fop, 0x51d);
	ck_assert_uint_eq(c->x87.fdp, DATA + 0x100);
	for (unsigned n = 1; n <= 3; n++) { /* a slice may end behind any */
		RUNS(b, 0xdb, 0xe3);
		RUN(n, 0xd9, 0xe8, 0xd9, 0xe0, 0xd9, 0xe1);
		ck_assert_uint_eq(c->x87.fip, CODE + 2 * (n - 1));
	}
}
END_TEST

/* The host's comparison left its own C2 behind. */
START_TEST(unordered_does_not_reach_later_instructions)
{
	set_two((struct f80)QNAN, (struct f80)ONE);
	RUN(3, 0xdb, 0xe9, 0xdd, 0xd8, 0xd9, 0xf0); /* fucomi st, st(1); fstp st; f2xm1 */
	ck_assert_uint_eq(x87_sw(&c->x87) & (X87_C0 | X87_C2 | X87_C3), 0);
}
END_TEST

/* No fast operation may pass an unmasked exception by. */
START_TEST(micro_operations_wait)
{
	static const u8 insns[][6] = {
	    {0xd9, 0xc0}, {0xd8, 0xc0}, {0xdd, 0xd9}, {0xd9, 0xc9}, {0xd9, 0xe0}, {0xd9, 0xfa}, {0xdb, 0xf1}, {0xd9, 0xe8},
	    {0xdd, 0x05, 0, 0, DATA >> 16, 0}, {0xdb, 0x05, 0, 0, DATA >> 16, 0}, {0xdd, 0x1d, 0, 0, DATA >> 16, 0},
	    {0xdb, 0x1d, 0, 0, DATA >> 16, 0}, {0xdb, 0x3d, 0, 0, DATA >> 16, 0}, {0xdc, 0x05, 0, 0, DATA >> 16, 0},
	};
	struct x87 before;

	raise_zero_divide();
	before = c->x87;
	poke(b, DATA, 0x5555, 8);
	memcpy(b->ram + CODE, insns[_i], 6);
	cpu_ram_written(c, CODE, 6);
	c->rip = CODE;
	cpu_run(c, 1);
	ck_assert_uint_ne(c->rip, CODE + 2); /* in the handler of #MF, if there is one */
	ck_assert_uint_ne(c->rip, CODE + 6);
	same(before, c->x87);
	ck_assert_uint_eq(peek(b, DATA, 8), 0x5555);
}
END_TEST

/* 1 / 3 and its sum in 53 bits, from a snapshot taken in between. */
START_TEST(a_snapshot_keeps_the_control_word_in_force)
{
	struct snap_buf buf = {0};

	poke(b, DATA, 0x27f, 2);
	RUN(3, 0xd9, 0x2d, 0, 0, DATA >> 16, 0, 0xd9, 0xe8, 0xd9, 0xeb); /* fldcw; fld1; fldpi */
	cpu_state_save(c, &buf);
	RUNS(b, 0xdb, 0xe3);
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_int_eq(cpu_state_load(c, &r), 0);
	check_settled();
	RUN(1, 0xd8, 0xf9); /* fdivr st, st(1) */
	ck_assert_uint_eq(st(0)->mant & 0x7ff, 0);
	ck_assert_uint_eq(x87_sw(&c->x87) & FPE_ALL, FPE_PE);
	RUNS(b, 0xdb, 0xe2); /* fnclex: #P comes again */
	check_settled();
	RUN(1, 0xd8, 0xf9);
	ck_assert_uint_eq(x87_sw(&c->x87) & FPE_ALL, FPE_PE);
	free(buf.data);
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
	static const u16 cws[] = {0x37f, 0x37f, 0x37f, 0x27f, 0xf7f, 0x35f, 0x77f, 0x37b, 0x37e, 0x345};
	struct x87 start, expected;
	u32 flags;

	seed = (u32)_i;
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 0, len[PROGRAM], done;

		random_data();
		unsigned count = 1 + rnd(PROGRAM); /* the state is compared behind any instruction */

		for (unsigned i = 0; i < PROGRAM; i++)
			n += len[i] = random_insn(code + n);
		code[n] = 0xf4;
		RUNS(b, 0xdb, 0xe3);
		x87_set_cw(&c->x87, cws[rnd(ARRAY_SIZE(cws))]);
		start = c->x87;
		memcpy(data, b->ram + DATA, 0x2000);
		cpu_set_rflags(c, FL_R1);
		c->rip = CODE;
		for (done = 0, n = 0; done < count; n += len[done++])
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
		same(c->x87, expected);
		check_settled();
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
	tcase_add_loop_test(t, fcomi_and_its_conditions, 0, ARRAY_SIZE(comparisons));
	tcase_add_test(t, fild_is_exact);
	tcase_add_test(t, environment_behind_micro_operations);
	tcase_add_test(t, unordered_does_not_reach_later_instructions);
	tcase_add_loop_test(t, micro_operations_wait, 0, 14);
	tcase_add_test(t, a_snapshot_keeps_the_control_word_in_force);
	tcase_add_loop_test(t, micro_operations_equal_simple_operations, 0, 10);
	suite_add_tcase(s, t);
	return run_suite(s);
}
