/* ENTER, LEAVE, PUSHA, POPA, decimal arithmetic, XLAT, CMPXCHG8B/16B. */
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

START_TEST(enter_and_leave)
{
	c->r[RBP] = STACK0 - 0x100;
	poke(b, STACK0 - 0x104, 0x1111, 4);
	RUNS(b, 0xc8, 0x20, 0x00, 0x02); /* enter 32, 2 */
	ck_assert_uint_eq(c->r[RBP], STACK0 - 4);
	ck_assert_uint_eq(peek(b, STACK0 - 4, 4), STACK0 - 0x100);
	ck_assert_uint_eq(peek(b, STACK0 - 8, 4), 0x1111);
	ck_assert_uint_eq(peek(b, STACK0 - 12, 4), STACK0 - 4);
	ck_assert_uint_eq(c->r[RSP], STACK0 - 12 - 32);
	RUNS(b, 0xc9);
	ck_assert_uint_eq(c->r[RBP], STACK0 - 0x100);
	ck_assert_uint_eq(c->r[RSP], STACK0);
}
END_TEST

START_TEST(enter_faults_whole)
{
	force_seg(b, SS, S_SMALL);
	cpu_mode_changed(c);
	c->r[RSP] = 0x20;
	c->r[RBP] = 0x2000;
	FAULTS(b, EXC_SS, 0, 0xc8, 0x00, 0x01, 0x00); /* final SP below 0 */
	FAULTS(b, EXC_SS, 0, 0xc8, 0x00, 0x00, 0x02); /* frame pointer outside */
	FAULTS(b, EXC_SS, 0, 0xc9);
}
END_TEST

START_TEST(pusha_popa)
{
	for (unsigned i = 0; i < 8; i++)
		if (i != RSP)
			c->r[i] = 0x1000 + i;
	RUNS(b, 0x60);
	ck_assert_uint_eq(peek(b, STACK0 - 4, 4), 0x1000);
	ck_assert_uint_eq(peek(b, STACK0 - 20, 4), STACK0);
	for (unsigned i = 0; i < 8; i++)
		if (i != RSP)
			c->r[i] = 0;
	RUNS(b, 0x61);
	for (unsigned i = 0; i < 8; i++)
		ck_assert_uint_eq(c->r[i], i == RSP ? STACK0 : 0x1000 + i);
	force_seg(b, SS, S_SMALL);
	cpu_mode_changed(c);
	c->r[RSP] = 0x1010;
	FAULTS(b, EXC_SS, 0, 0x60);
	c->r[RSP] = 0xff0;
	FAULTS(b, EXC_SS, 0, 0x61);
}
END_TEST

/* Packed BCD: every pair of two-digit numbers, added and subtracted. */
START_TEST(daa_das_do_decimal_arithmetic)
{
	for (unsigned x = 0; x < 100; x++) {
		for (unsigned y = 0; y < 100; y++) {
			u8 bx = (x / 10) << 4 | x % 10, by = (y / 10) << 4 | y % 10;
			unsigned sum = (x + y) % 100, diff = (x + 100 - y) % 100;

			c->r[RAX] = (u8)(bx + by);
			cpu_set_rflags(c, FL_R1 | (bx + by > 255 ? FL_CF : 0) |
					      ((bx & 15) + (by & 15) > 15 ? FL_AF : 0));
			RUNS(b, 0x27);
			ck_assert_uint_eq(c->r[RAX], (sum / 10) << 4 | sum % 10);
			ck_assert_uint_eq(c->rflags & FL_CF, x + y > 99);
			c->r[RAX] = (u8)(bx - by);
			cpu_set_rflags(c, FL_R1 | (bx < by ? FL_CF : 0) |
					      ((bx & 15) < (by & 15) ? FL_AF : 0));
			RUNS(b, 0x2f);
			ck_assert_uint_eq(c->r[RAX], (diff / 10) << 4 | diff % 10);
			ck_assert_uint_eq(c->rflags & FL_CF, x < y);
		}
	}
}
END_TEST

START_TEST(unpacked_decimal)
{
	cpu_set_rflags(c, FL_R1);
	c->r[RAX] = 0x010f;
	RUNS(b, 0x37);
	ck_assert_uint_eq(c->r[RAX], 0x0205);
	ck_assert_uint_eq(c->rflags & (FL_CF | FL_AF), FL_CF | FL_AF);
	RUNS(b, 0x3f); /* AF is set: subtract back */
	ck_assert_uint_eq(c->r[RAX], 0x000f);
	c->r[RAX] = 0x7b;
	RUNS(b, 0xd4, 10);
	ck_assert_uint_eq(c->r[RAX], 0x0c03);
	RUNS(b, 0xd5, 10);
	ck_assert_uint_eq(c->r[RAX], 0x7b);
	FAULTS(b, EXC_DE, 0, 0xd4, 0);
}
END_TEST

START_TEST(flags_through_ah)
{
	cpu_set_rflags(c, FL_R1 | FL_OF);
	c->r[RAX] = 0xff00;
	RUNS(b, 0x9e);
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_ARITH);
	c->r[RAX] = 0;
	RUNS(b, 0x9f);
	ck_assert_uint_eq(c->r[RAX], 0xd700);
	RUNS(b, 0xd6);
	ck_assert_uint_eq(c->r[RAX], 0xd7ff);
	RUNS(b, 0xf5);
	RUNS(b, 0xd6);
	ck_assert_uint_eq(c->r[RAX], 0xd700);
	RUNS(b, 0xfd);
	ck_assert(c->rflags & FL_DF);
	RUNS(b, 0xfc);
	ck_assert(!(c->rflags & FL_DF));
}
END_TEST

START_TEST(xlat_table)
{
	c->r[RBX] = DATA;
	c->r[RAX] = 0x1205;
	b->ram[DATA + 5] = 0x99;
	RUNS(b, 0xd7);
	ck_assert_uint_eq(c->r[RAX], 0x1299);
}
END_TEST

START_TEST(wide_compare_exchange)
{
	struct box *l = box_long(0);
	struct cpu *k = &l->cpu;

	c->r[RDI] = DATA;
	poke(b, DATA, 0x1122334455667788, 8);
	c->r[RDX] = 0x11223344;
	c->r[RAX] = 0x55667788;
	c->r[RCX] = 1;
	c->r[RBX] = 2;
	RUNS(b, 0x0f, 0xc7, 0x0f);
	ck_assert(c->rflags & FL_ZF);
	ck_assert_uint_eq(peek(b, DATA, 8), 0x100000002);
	RUNS(b, 0x0f, 0xc7, 0x0f);
	ck_assert(!(c->rflags & FL_ZF));
	ck_assert_uint_eq(c->r[RDX], 1);
	ck_assert_uint_eq(c->r[RAX], 2);
	k->r[RDI] = DATA + 8;
	FAULTS(l, EXC_GP, 0, 0x48, 0x0f, 0xc7, 0x0f);
	k->r[RDI] = DATA;
	k->r[RAX] = k->r[RDX] = 0;
	k->r[RBX] = 5;
	k->r[RCX] = 6;
	RUNS(l, 0x48, 0x0f, 0xc7, 0x0f);
	ck_assert(k->rflags & FL_ZF);
	ck_assert_uint_eq(peek(l, DATA + 8, 8), 6);
	box_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("legacy");
	TCase *t = tcase_create("all");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, enter_and_leave);
	tcase_add_test(t, enter_faults_whole);
	tcase_add_test(t, pusha_popa);
	tcase_add_test(t, daa_das_do_decimal_arithmetic);
	tcase_add_test(t, unpacked_decimal);
	tcase_add_test(t, flags_through_ah);
	tcase_add_test(t, xlat_table);
	tcase_add_test(t, wide_compare_exchange);
	suite_add_tcase(s, t);
	return run_suite(s);
}
