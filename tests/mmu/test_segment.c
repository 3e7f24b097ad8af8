/* Logical to linear addresses in each mode. */
#include "tests/mmu/fake.h"

#define DATA_RO   (AR_S | AR_P | AR_TYPE_ACCESSED)
#define DATA_RW   (DATA_RO | AR_TYPE_WR)
#define DATA_DOWN (DATA_RW | AR_TYPE_ED)
#define CODE_XO   (DATA_RO | AR_TYPE_CODE)
#define CODE_RX   (CODE_XO | AR_TYPE_WR)

static struct fake *in_mode(u64 cr0, u32 mode, u32 rflags)
{
	struct fake *f = fake_new();

	f->cpu.cr0 = cr0;
	f->cpu.mode = mode;
	f->cpu.rflags = rflags;
	return f;
}

static void set_seg(struct fake *f, unsigned seg, u64 base, u32 limit, u32 ar)
{
	f->cpu.r[R_SEGBASE + seg] = base;
	f->cpu.seg[seg] = (struct seg){.sel = 8, .ar = ar, .limit = limit};
}

/* The linear address, or the vector of the fault negated. */
static s64 linear(struct fake *f, unsigned seg, u64 off, unsigned size, unsigned acc)
{
	u64 lin;

	return seg_linear(&f->cpu, seg, off, size, acc, &lin) ? -(s64)f->cpu.fault.vector
							      : (s64)lin;
}

START_TEST(types_allow_by_access)
{
	static const struct {
		u32 ar;
		bool r, w;
	} rows[] = {
	    {DATA_RO, true, false}, {DATA_RW, true, true},       {CODE_XO, false, false},
	    {CODE_RX, true, false}, {AR_UNUSABLE, false, false},
	};
	struct fake *f = in_mode(CR0_PE, MODE_32, 0);

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_seg(f, DS, 0x1000, 0xffff, rows[i].ar);
		ck_assert_int_eq(linear(f, DS, 4, 4, ACC_R), rows[i].r ? 0x1004 : -EXC_GP);
		ck_assert_int_eq(linear(f, DS, 4, 4, ACC_W), rows[i].w ? 0x1004 : -EXC_GP);
		ck_assert_int_eq(linear(f, DS, 4, 4, ACC_RW), rows[i].w ? 0x1004 : -EXC_GP);
	}
	set_seg(f, CS, 0x1000, 0xffff, CODE_XO);
	ck_assert_int_eq(linear(f, CS, 4, 4, ACC_X), 0x1004);
	fake_free(f);
}
END_TEST

START_TEST(limits_count_the_last_byte)
{
	struct fake *f = in_mode(CR0_PE, MODE_32, 0);

	set_seg(f, ES, 0, 0x1234, DATA_RW | AR_DB);
	ck_assert_int_eq(linear(f, ES, 0x1234, 1, ACC_R), 0x1234);
	ck_assert_int_eq(linear(f, ES, 0x1231, 4, ACC_R), 0x1231);
	ck_assert_int_eq(linear(f, ES, 0x1232, 4, ACC_R), -EXC_GP);
	ck_assert_int_eq(linear(f, ES, 0xffffffff, 4, ACC_R), -EXC_GP);
	set_seg(f, SS, 0, 0x1234, DATA_RW | AR_DB);
	ck_assert_int_eq(linear(f, SS, 0x1235, 1, ACC_W), -EXC_SS);
	ck_assert_uint_eq(f->cpu.fault.err, 0);
	set_seg(f, ES, 0, 0xffffffff, DATA_RW | AR_DB);
	ck_assert_int_eq(linear(f, ES, 0xfffffffe, 4, ACC_R), 0xfffffffe);
	fake_free(f);
}
END_TEST

START_TEST(expand_down_allows_above_the_limit)
{
	struct fake *f = in_mode(CR0_PE, MODE_32, 0);

	set_seg(f, DS, 0, 0xfff, DATA_DOWN | AR_DB);
	ck_assert_int_eq(linear(f, DS, 0xfff, 1, ACC_R), -EXC_GP);
	ck_assert_int_eq(linear(f, DS, 0x1000, 1, ACC_R), 0x1000);
	ck_assert_int_eq(linear(f, DS, 0xffffffff, 1, ACC_R), 0xffffffff);
	ck_assert_int_eq(linear(f, DS, 0xffffffff, 2, ACC_R), -EXC_GP);
	set_seg(f, DS, 0, 0xfff, DATA_DOWN);
	ck_assert_int_eq(linear(f, DS, 0xffff, 1, ACC_R), 0xffff);
	ck_assert_int_eq(linear(f, DS, 0xffff, 2, ACC_R), -EXC_GP);
	ck_assert_int_eq(linear(f, DS, 0x10000, 1, ACC_R), -EXC_GP);
	set_seg(f, DS, 0, 0xffffffff, DATA_DOWN | AR_DB); /* nothing is above */
	ck_assert_int_eq(linear(f, DS, 0xffffffff, 1, ACC_R), -EXC_GP);
	fake_free(f);
}
END_TEST

START_TEST(conforming_code_is_not_expand_down)
{
	struct fake *f = in_mode(CR0_PE, MODE_32, 0);

	set_seg(f, DS, 0, 0xfff, CODE_RX | AR_TYPE_ED);
	ck_assert_int_eq(linear(f, DS, 0xfff, 1, ACC_R), 0xfff);
	ck_assert_int_eq(linear(f, DS, 0x1000, 1, ACC_R), -EXC_GP);
	fake_free(f);
}
END_TEST

START_TEST(linear_addresses_wrap_at_4g)
{
	struct fake *f = in_mode(CR0_PE, MODE_32, 0);

	set_seg(f, DS, 0xfffff000, 0xffffffff, DATA_RW);
	ck_assert_int_eq(linear(f, DS, 0x2000, 4, ACC_R), 0x1000);
	f->cpu.efer = EFER_LMA; /* compatibility mode too */
	f->cpu.mode |= MODE_LMA;
	ck_assert_int_eq(linear(f, DS, 0x2000, 4, ACC_R), 0x1000);
	fake_free(f);
}
END_TEST

START_TEST(real_and_v86_modes_check_the_limit_only)
{
	static const u32 flags[] = {0, FL_VM};

	for (unsigned i = 0; i < 2; i++) {
		struct fake *f = in_mode(i ? CR0_PE : 0, i ? MODE_V86 : MODE_REAL, flags[i]);

		set_seg(f, CS, 0xffff0, 0xffff, CODE_XO);
		ck_assert_int_eq(linear(f, CS, 0xffff, 1, ACC_W), 0x10ffef);
		ck_assert_int_eq(linear(f, CS, 0xffff, 2, ACC_W), -EXC_GP);
		set_seg(f, SS, 0, 0xffff, AR_UNUSABLE | DATA_RW);
		ck_assert_int_eq(linear(f, SS, 0xfffe, 2, ACC_W), 0xfffe);
		ck_assert_int_eq(linear(f, SS, 0xffff, 2, ACC_W), -EXC_SS);
		fake_free(f);
	}
}
END_TEST

START_TEST(long_mode_ignores_all_but_fs_and_gs_bases)
{
	struct fake *f = in_mode(CR0_PE, MODE_64 | MODE_LMA, 0);

	f->cpu.efer = EFER_LMA;
	for (unsigned seg = ES; seg <= GS; seg++) {
		set_seg(f, seg, 0x1000000000, 0, AR_UNUSABLE);
		ck_assert_int_eq(linear(f, seg, 0x7000, 8, ACC_W),
				 seg >= FS ? 0x1000007000 : 0x7000);
	}
	set_seg(f, GS, 0xffff800000000000, 0, 0);
	ck_assert_int_eq(linear(f, GS, 0x10, 8, ACC_R), (s64)0xffff800000000010);
	fake_free(f);
}
END_TEST

START_TEST(canonical_form_by_linear_width)
{
	struct fake *f = in_mode(CR0_PE, MODE_64 | MODE_LMA, 0);

	f->cpu.efer = EFER_LMA;
	ck_assert_int_eq(linear(f, DS, 0x7ffffffffff8, 8, ACC_R), 0x7ffffffffff8);
	ck_assert_int_eq(linear(f, DS, 0x7ffffffffff9, 8, ACC_R), -EXC_GP);
	ck_assert_int_eq(linear(f, SS, 0x800000000000, 1, ACC_R), -EXC_SS);
	ck_assert_int_eq(linear(f, DS, 0xffff7fffffffffff, 1, ACC_R), -EXC_GP);
	ck_assert_int_eq(linear(f, DS, 0xffff800000000000, 1, ACC_R), (s64)0xffff800000000000);
	ck_assert_int_eq(linear(f, DS, ~0ull - 3, 8, ACC_R), -4); /* wraps to 0: all canonical */
	f->cpu.cr4 = CR4_LA57;
	ck_assert_int_eq(linear(f, SS, 0x800000000000, 1, ACC_R), 0x800000000000);
	ck_assert_int_eq(linear(f, SS, 0x100000000000000, 1, ACC_R), -EXC_SS);
	fake_free(f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    types_allow_by_access,
	    limits_count_the_last_byte,
	    expand_down_allows_above_the_limit,
	    conforming_code_is_not_expand_down,
	    linear_addresses_wrap_at_4g,
	    real_and_v86_modes_check_the_limit_only,
	    long_mode_ignores_all_but_fs_and_gs_bases,
	    canonical_form_by_linear_width,
	};

	return run_tests("mmu_segment", tests, ARRAY_SIZE(tests));
}
