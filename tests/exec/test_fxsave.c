/* FXSAVE, FXRSTOR, the XSAVE family and MXCSR: layouts (against the host where it has the
 * instruction), checks, faults. */
#include "sysbox.h"

#include "cpu/exec/vec.h"
#include "cpu/exec/x87.h"
#include "cpu/exec/xsave.h"
#include "cpu/fpu/softfloat.h"
#include "tests/host.h"

static struct box *b;
static struct cpu *c;

/* DATA as disp32 */
#define AT_DATA 0x05, 0, 0, DATA >> 16, 0

static void setup(void)
{
	b = box_protected();
	c = &b->cpu;
	c->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
	c->xcr0 = 3;
	cpu_mode_changed(c);
}

static void teardown(void)
{
	box_free(b);
}

static void setup_long(void)
{
	b = box_long(0);
	c = &b->cpu;
	c->cr4 |= CR4_OSFXSR | CR4_OSXSAVE;
	c->xcr0 = 0x207;
	cpu_mode_changed(c);
	c->r[RBX] = DATA;
}

static void fill(void)
{
	x87_init(c);
	for (unsigned i = 0; i < 8; i++)
		c->x87.r[i] =
		    (struct x87_reg){.mant = 0x8000000000000000ull + i, .se = (u16)(0x3f00 + i)};
	x87_set_sw(&c->x87, 3 << 11 | 0x4100);
	x87_set_valid(&c->x87, 0xb5);
	c->x87.fop = 0x123;
	c->x87.fip = 0x1122334455667788ull;
	c->x87.fdp = 0x99aabbccddeeff00ull;
	c->x87.fcs = S_CODE;
	c->x87.fds = S_DATA;
	for (unsigned i = 0; i < 16; i++)
		for (unsigned k = 0; k < 32; k++)
			c->v[i].b[k] = (u8)(i * 32 + k + 1);
	c->mxcsr = 0x1fa0;
	cpu_mxcsr_load(c);
}

START_TEST(fxsave_layout)
{
	fill();
	memset(b->ram + DATA, 0xee, 512);
	RUNS(b, 0x0f, 0xae, AT_DATA);
	ck_assert_uint_eq(peek(b, DATA, 2), 0x37f);
	ck_assert_uint_eq(peek(b, DATA + 2, 2), 0x5900);
	ck_assert_uint_eq(peek(b, DATA + 4, 2), 0xb5);
	ck_assert_uint_eq(peek(b, DATA + 6, 2), 0x123);
	ck_assert_uint_eq(peek(b, DATA + 8, 8), 0x0000000855667788ull);
	ck_assert_uint_eq(peek(b, DATA + 16, 8), 0x00000010ddeeff00ull);
	ck_assert_uint_eq(peek(b, DATA + 24, 4), 0x1fa0);
	ck_assert_uint_eq(peek(b, DATA + 28, 4), 0xffff);
	ck_assert_uint_eq(peek(b, DATA + 32, 8), 0x8000000000000003ull); /* ST(0) is R3 */
	ck_assert_uint_eq(peek(b, DATA + 40, 8), 0x3f03);
	ck_assert_mem_eq(b->ram + DATA + 160 + 7 * 16, c->v[7].b, 16);
	ck_assert_uint_eq(peek(b, DATA + 160 + 8 * 16, 1), 0xee); /* XMM8 outside 64-bit mode */
}
END_TEST

START_TEST(fxrstor_brings_all_back)
{
	struct x87 x87;
	union vec v[16];

	fill();
	x87 = c->x87;
	memcpy(v, c->v, sizeof(v));
	RUNS(b, 0x48, 0x0f, 0xae, 0x03); /* fxsave64 [rbx] */
	x87_init(c);
	memset(c->x87.r, 0, sizeof(c->x87.r));
	memset(c->v, 0, sizeof(v));
	c->mxcsr = 0x1f80;
	cpu_mxcsr_load(c);
	RUNS(b, 0x48, 0x0f, 0xae, 0x0b);
	x87.fcs = x87.fds = 0; /* not in the 64-bit image */
	x87_for_snapshot(&x87);
	x87_for_snapshot(&c->x87);
	ck_assert_mem_eq(&x87, &c->x87, sizeof(x87));
	for (unsigned i = 0; i < 16; i++)
		ck_assert_mem_eq(v[i].b, c->v[i].b, 16);
	ck_assert_uint_eq(c->mxcsr, 0x1fa0);
}
END_TEST

START_TEST(fxsave_faults)
{
	FAULTS(b, EXC_GP, 0, 0x0f, 0xae, 0x05, 8, 0, DATA >> 16, 0); /* not on 16 bytes */
	c->cr0 |= CR0_TS;
	FAULTS(b, EXC_NM, 0, 0x0f, 0xae, AT_DATA);
	c->cr0 = (c->cr0 & ~CR0_TS) | CR0_EM;
	FAULTS(b, EXC_NM, 0, 0x0f, 0xae, AT_DATA);
	c->cr0 &= ~CR0_EM;
	RUNS(b, 0x0f, 0xae, AT_DATA);
	poke(b, DATA + 24, 0x10000, 4);
	FAULTS(b, EXC_GP, 0, 0x0f, 0xae, 0x0d, 0, 0, DATA >> 16, 0);
}
END_TEST

START_TEST(mxcsr_reserved_bits)
{
	poke(b, DATA, 0x10000, 4);
	FAULTS(b, EXC_GP, 0, 0x0f, 0xae, 0x15, 0, 0, DATA >> 16, 0); /* ldmxcsr */
	poke(b, DATA, 0xffbf, 4);
	RUNS(b, 0x0f, 0xae, 0x15, 0, 0, DATA >> 16, 0);
	RUNS(b, 0x0f, 0xae, 0x1d, 4, 0, DATA >> 16, 0); /* stmxcsr */
	ck_assert_uint_eq(peek(b, DATA + 4, 4), 0xffbf);
}
END_TEST

START_TEST(unmasking_in_mxcsr_changes_the_mode)
{
	poke(b, DATA, 0x1f00, 4);
	RUNS(b, 0x0f, 0xae, 0x15, 0, 0, DATA >> 16, 0);
	ck_assert(c->mode & MODE_MXCSR_EXACT);
	poke(b, DATA, 0x1f80, 4);
	RUNS(b, 0x0f, 0xae, 0x15, 0, 0, DATA >> 16, 0);
	ck_assert(!(c->mode & MODE_MXCSR_EXACT));
}
END_TEST

#define XSAVE(op, ext) 0x48, 0x0f, op, ext /* [rbx] in ext */

static void set_mask(u64 m)
{
	c->r[RAX] = (u32)m;
	c->r[RDX] = m >> 32;
}

START_TEST(xsave_writes_what_is_asked)
{
	fill();
	memset(b->ram + DATA, 0xee, 0xb00);
	poke(b, DATA + 512, 0x200, 8); /* old XSTATE_BV: PKRU */
	set_mask(6);
	RUNS(b, XSAVE(0xae, 0x23));
	ck_assert_uint_eq(peek(b, DATA + 512, 8), 0x206);
	ck_assert_uint_eq(peek(b, DATA, 1), 0xee); /* x87 not asked for */
	ck_assert_uint_eq(peek(b, DATA + 24, 4), 0x1fa0);
	ck_assert_mem_eq(b->ram + DATA + 160 + 15 * 16, c->v[15].b, 16);
	ck_assert_mem_eq(b->ram + DATA + 576 + 15 * 16, c->v[15].b + 16, 16);
	ck_assert_uint_eq(peek(b, DATA + 2688, 1), 0xee);
	ck_assert_uint_eq(peek(b, DATA + 520, 1), 0xee); /* XCOMP_BV stays */
}
END_TEST

START_TEST(xstate_bv_tells_what_is_in_use)
{
	memset(b->ram + DATA, 0, 0xb00);
	x87_init(c);
	memset(c->x87.r, 0, sizeof(c->x87.r));
	memset(c->v, 0, sizeof(c->v));
	c->pkru = 0x55;
	set_mask(~0ull);
	RUNS(b, XSAVE(0xae, 0x23));
	ck_assert_uint_eq(peek(b, DATA + 512, 8), 0x200);
	ck_assert_uint_eq(peek(b, DATA + 2688, 8), 0x55);
	RUNS(b, 0xd9, 0xe8);
	RUNS(b, XSAVE(0xae, 0x33)); /* xsaveopt */
	ck_assert_uint_eq(peek(b, DATA + 512, 8), 0x201);
}
END_TEST

START_TEST(compacted_format)
{
	fill();
	c->pkru = 0x1234;
	memset(b->ram + DATA, 0xee, 0xb00);
	set_mask(0x206);
	RUNS(b, XSAVE(0xc7, 0x23)); /* xsavec */
	ck_assert_uint_eq(peek(b, DATA + 512, 8), 0x206);
	ck_assert_uint_eq(peek(b, DATA + 520, 8), 0x8000000000000206ull);
	ck_assert_mem_eq(b->ram + DATA + 576, c->v[0].b + 16, 16);
	ck_assert_uint_eq(peek(b, DATA + 576 + 256, 8), 0x1234); /* PKRU right behind AVX */
	memset(b->ram + DATA + 528, 0, 48);
	memset(c->v, 0, sizeof(c->v));
	c->pkru = 0;
	RUNS(b, XSAVE(0xae, 0x2b)); /* xrstor */
	ck_assert_uint_eq(c->pkru, 0x1234);
	ck_assert_uint_eq(c->v[3].b[17], 3 * 32 + 18);
}
END_TEST

START_TEST(xrstor_initialises_what_is_absent)
{
	fill();
	memset(b->ram + DATA, 0, 0xb00);
	poke(b, DATA + 24, 0x1f80, 4);
	poke(b, DATA + 512, 4, 8); /* AVX only */
	poke(b, DATA + 576, 0x77, 1);
	set_mask(7);
	RUNS(b, XSAVE(0xae, 0x2b));
	ck_assert_uint_eq(c->v[0].b[16], 0x77);
	ck_assert_uint_eq(c->v[0].b[0], 0);
	ck_assert_uint_eq(x87_valid(&c->x87), 0);
	ck_assert_uint_eq(c->x87.cw, 0x37f);
	ck_assert_uint_eq(c->x87.r[3].mant, 0);
	ck_assert_uint_eq(c->mxcsr, 0x1f80);
}
END_TEST

START_TEST(xrstor_checks_the_header)
{
	static const struct {
		u64 bv, comp, rest;
	} bad[] = {
	    {0x20, 0, 0},                  /* not enabled in XCR0 */
	    {1, 1, 0},                     /* XCOMP_BV without bit 63 */
	    {1, 0, 1},                     /* bytes 23:16 */
	    {3, 0x8000000000000001ull, 0}, /* not in XCOMP_BV */
	    {1, 0x8000000000000021ull, 0}, /* XCOMP_BV not enabled */
	    {1, 0x8000000000000001ull, 1}, /* compacted: bytes 63:16 */
	};

	set_mask(7);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(b->ram + DATA, 0, 0xb00);
		poke(b, DATA + 512, bad[i].bv, 8);
		poke(b, DATA + 520, bad[i].comp, 8);
		poke(b, DATA + 528, bad[i].rest, 8);
		FAULTS(b, EXC_GP, 0, XSAVE(0xae, 0x2b));
	}
	memset(b->ram + DATA, 0, 0xb00);
	poke(b, DATA + 24, 0x10000, 4);
	FAULTS(b, EXC_GP, 0, XSAVE(0xae, 0x2b)); /* MXCSR counts even with XSTATE_BV[1] = 0 */
	poke(b, DATA + 24, 0x1f80, 4);
	FAULTS(b, EXC_GP, 0, XSAVE(0xc7, 0x1b)); /* xrstors wants the compacted format */
	RUNS(b, XSAVE(0xae, 0x2b));
}
END_TEST

START_TEST(xsave_gates)
{
	set_mask(7);
	c->r[RBX] = DATA + 16;
	FAULTS(b, EXC_GP, 0, XSAVE(0xae, 0x23)); /* not on 64 bytes */
	c->r[RBX] = DATA;
	c->cr0 |= CR0_TS;
	FAULTS(b, EXC_NM, 0, XSAVE(0xae, 0x23));
	c->cr0 &= ~CR0_TS;
	c->cr4 &= ~(u64)CR4_OSXSAVE;
	FAULTS(b, EXC_UD, 0, XSAVE(0xae, 0x23));
}
END_TEST

/* CET's two supervisor components (SDM Vol. 1, 13.4.1 and 13.11): 16 and 24 bytes behind PKRU, in use when not 0. */
START_TEST(cet_components)
{
	u32 out[4];

	c->feat[FEAT_CET_SS / 32] |= BIT(FEAT_CET_SS % 32);
	c->feat[FEAT_CET_IBT / 32] |= BIT(FEAT_CET_IBT % 32);
	cpuid_query(c, 0xd, 1, out);
	ck_assert_uint_eq(out[2], 0x1800);
	cpuid_query(c, 0xd, 11, out);
	ck_assert_uint_eq(out[0], 16);
	ck_assert_uint_eq(out[1], 0);
	ck_assert_uint_eq(out[2], 1);
	cpuid_query(c, 0xd, 12, out);
	ck_assert_uint_eq(out[0], 24);
	ck_assert_int_eq(msr_write(c, 0xda0, 0x1800), 0);
	ck_assert_int_eq(msr_write(c, 0xda0, 0x3800), 1);
	c->fault_pending = false;
	cpuid_query(c, 0xd, 1, out);
	ck_assert_uint_eq(out[1], 576 + 256 + 8 + 16 + 24); /* XCR0 207h: AVX, PKRU */
	ck_assert_int_eq(msr_write(c, 0x6a0, 0x5), 0);
	ck_assert_int_eq(msr_write(c, 0x6a7, 0x7ffffff8), 0);
	c->r[RAX] = 0x1800;
	c->r[RDX] = 0;
	memset(b->ram + DATA, 0xee, 1024);
	RUNS(b, XSAVE(0xc7, 0x2b)); /* xsaves: CET_S, in its initial configuration, is not written */
	ck_assert_uint_eq(peek(b, DATA + 512, 8), 0x800);
	ck_assert_uint_eq(peek(b, DATA + 520, 8), 0x8000000000001800ull);
	ck_assert_uint_eq(peek(b, DATA + 576, 8), 0x5);
	ck_assert_uint_eq(peek(b, DATA + 584, 8), 0x7ffffff8);
	ck_assert_uint_eq(peek(b, DATA + 592, 1), 0xee);
	c->u_cet = c->pl_ssp[3] = 0;
	c->pl_ssp[1] = 0x1000;
	memset(b->ram + DATA + 528, 0, 48);
	RUNS(b, XSAVE(0xc7, 0x1b)); /* xrstors: CET_S to its initial configuration */
	ck_assert_uint_eq(c->u_cet, 0x5);
	ck_assert_uint_eq(c->pl_ssp[3], 0x7ffffff8);
	ck_assert_uint_eq(c->pl_ssp[1], 0);
	b->ram[DATA + 584] = 2; /* PL3_SSP no multiple of 4 */
	FAULTS(b, EXC_GP, 0, XSAVE(0xc7, 0x1b));
}
END_TEST

/* SDM Vol. 4, table 2-2; Vol. 3A, 2.5. */
START_TEST(cet_registers)
{
	static const struct {
		u32 msr;
		u64 v;
		bool ok;
	} t[] = {
	    {0x6a0, 0x40, false}, /* reserved */
	    {0x6a0, 0xc00, false}, /* SUPPRESS and WAIT_FOR_ENDBRANCH */
	    {0x6a2, 0x800, true},	{0x6a0, 0x7ffffffff03f, true}, {0x6a0, 1ull << 60, false},
	    {0x6a4, 0x1004, true},	{0x6a4, 0x1002, false},	       {0x6a7, 1ull << 61, false},
	    {0x6a8, 0x7fff0001, true},	{0x6a8, 1ull << 60, false},
	};

	ck_assert_int_eq(msr_write(c, 0x6a0, 0), 1); /* not without the feature */
	ck_assert_int_eq(cr4_write(c, c->cr4 | CR4_CET), 1);
	c->feat[FEAT_CET_IBT / 32] |= BIT(FEAT_CET_IBT % 32);
	ck_assert_int_eq(msr_write(c, 0x6a0, 4), 0);
	ck_assert_int_eq(msr_write(c, 0x6a0, 1), 1); /* shadow stacks are the other half */
	ck_assert_int_eq(msr_write(c, 0x6a4, 0), 1);
	c->feat[FEAT_CET_SS / 32] |= BIT(FEAT_CET_SS % 32);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(msr_write(c, t[i].msr, t[i].v), !t[i].ok);
	c->cr0 &= ~(u64)CR0_WP;
	ck_assert_int_eq(cr4_write(c, c->cr4 | CR4_CET), 1);
	c->cr0 |= CR0_WP;
	ck_assert_int_eq(cr4_write(c, c->cr4 | CR4_CET), 0);
	ck_assert_int_eq(cr0_write(c, c->cr0 & ~(u64)CR0_WP), 1);
}
END_TEST

#if defined(__x86_64__)

/* The host takes our image and gives it back the same. */
START_TEST(the_host_reads_our_image)
{
	u8 ours[512] __attribute__((aligned(16))), host[512] __attribute__((aligned(16)));
	u8 own[512] __attribute__((aligned(16)));

	fill();
	c->x87.fdp = 0x400000;
	c->x87.fip = 0x401000;
	RUNS(b, 0x48, 0x0f, 0xae, 0x03);
	memcpy(ours, b->ram + DATA, 512);
	memset(ours + 416, 0, 96);
	memset(host, 0, 512);
	__asm__ volatile("fxsave64 %1\n\tfxrstor64 %2\n\tfxsave64 %0\n\tfxrstor64 %1"
			 : "=m"(host), "=m"(own)
			 : "m"(ours)
			 : "memory");
	memcpy(host + 28, ours + 28, 4); /* MXCSR_MASK is the host's own */
	if (!host_is_intel())
		memcpy(host + 6, ours + 6, 18); /* AMD saves the last instruction only when an exception is pending */
	ck_assert_mem_eq(ours, host, 416);
}
END_TEST

#endif

int main(void)
{
	Suite *s = suite_create("exec fxsave");
	TCase *t = tcase_create("32-bit"), *l = tcase_create("64-bit");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fxsave_layout);
	tcase_add_test(t, fxsave_faults);
	tcase_add_test(t, mxcsr_reserved_bits);
	tcase_add_test(t, unmasking_in_mxcsr_changes_the_mode);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(l, setup_long, teardown);
	tcase_add_test(l, fxrstor_brings_all_back);
	tcase_add_test(l, xsave_writes_what_is_asked);
	tcase_add_test(l, xstate_bv_tells_what_is_in_use);
	tcase_add_test(l, compacted_format);
	tcase_add_test(l, xrstor_initialises_what_is_absent);
	tcase_add_test(l, xrstor_checks_the_header);
	tcase_add_test(l, xsave_gates);
	tcase_add_test(l, cet_components);
	tcase_add_test(l, cet_registers);
#if defined(__x86_64__)
	tcase_add_test(l, the_host_reads_our_image);
#endif
	suite_add_tcase(s, l);
	return run_suite(s);
}
