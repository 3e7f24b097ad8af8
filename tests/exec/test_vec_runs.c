/*
 * Runs and pairs of 256-bit operations (cpu/exec/vec_pairs.c): a stretch of code in one block leaves what its
 * instructions leave one by one, wherever its operands lie: within a page, across two, misaligned with a fault in the middle.
 */
#include "sysbox.h"

/* clang-format off */
static const u8 code[] = {
	0xc5, 0xfe, 0x6f, 0x03, 0xc5, 0xfe, 0x6f, 0x4b, 0x20,                         /* vmovdqu ymm0, [rbx]; ymm1, [rbx+20h] */
	0xc5, 0xfe, 0x6f, 0x53, 0x40, 0xc5, 0xfe, 0x6f, 0x5b, 0x60,                   /* ymm2, [rbx+40h]; ymm3, [rbx+60h] */
	0xc5, 0xfe, 0x6f, 0x63, 0x40, 0xc5, 0xfe, 0x6f, 0x6b, 0x20,                   /* ymm4, [rbx+40h]; ymm5, [rbx+20h] */
	0xc5, 0xfd, 0x74, 0x73, 0x20, 0xc5, 0xfd, 0x74, 0x3b, 0xc5, 0xcd, 0xeb, 0xf7, /* vpcmpeqb, vpcmpeqb, vpor ymm6 */
	0xc5, 0xfd, 0xd7, 0xc6, 0x85, 0xc0, 0x74, 0x00,                               /* vpmovmskb eax, ymm6; test; jz */
	0xc5, 0xfe, 0x7f, 0x01, 0xc5, 0xfe, 0x7f, 0x49, 0x20,                         /* vmovdqu [rcx], ymm0; [rcx+20h], ymm1 */
	0xc5, 0xfe, 0x7f, 0x51, 0x40, 0xc5, 0xfe, 0x7f, 0x59, 0x60,                   /* [rcx+40h], ymm2; [rcx+60h], ymm3 */
	0xc5, 0xfe, 0x7f, 0x61, 0x20, 0xc5, 0xfe, 0x7f, 0x29,                         /* [rcx+20h], ymm4; [rcx], ymm5 */
	0xc5, 0x7d, 0xfe, 0xc1, 0xc4, 0x41, 0x7d, 0x6f, 0xc8,                         /* vpaddd ymm8; vmovdqa ymm9, ymm8 */
	0xc5, 0xed, 0x72, 0xf0, 0x07, 0xc5, 0xe5, 0x72, 0xd0, 0x19, 0xc5, 0xed, 0xeb, 0xd3, /* vpslld, vpsrld, vpor ymm2 */
	0xc5, 0xfd, 0x6f, 0x03, 0xc5, 0xfd, 0x6f, 0x4b, 0x20,                         /* vmovdqa ymm0, [rbx]; ymm1, [rbx+20h] */
	0xc5, 0xfd, 0x7f, 0x01, 0xc5, 0xfd, 0x7f, 0x49, 0x20,                         /* vmovdqa [rcx], ymm0; [rcx+20h], ymm1 */
	0xc5, 0xfd, 0x6f, 0x0b, 0xc5, 0xf5, 0xda, 0x53, 0x20,                         /* vmovdqa ymm1, [rbx]; vpminub ymm2, ymm1, [rbx+20h] */
	0xc5, 0xfd, 0x6f, 0x5b, 0x40, 0xc5, 0xe5, 0xda, 0x63, 0x60,                   /* ymm3, [rbx+40h]; ymm4, ymm3, [rbx+60h] */
	0xc5, 0xdd, 0xda, 0xea, 0xc5, 0xd5, 0x74, 0xe8, 0xc5, 0xfd, 0xd7, 0xc5,       /* vpminub ymm5, ymm4, ymm2; vpcmpeqb; vpmovmskb eax */
	0x48, 0x83, 0xeb, 0x80, 0x85, 0xc0, 0x74, 0x00,                               /* sub rbx, -80h; test eax, eax; jz */
};
/* clang-format on */
enum { INSNS = 37, TO = DATA + 0x8000 };

static struct box *avx_box(void)
{
	struct box *b = box_long(0);

	b->cpu.cr4 |= CR4_OSXSAVE;
	b->cpu.xcr0 = 7;
	cpu_mode_changed(&b->cpu);
	memcpy(b->ram + CODE, code, sizeof(code));
	memset(b->ram + CODE + sizeof(code), 0x90, 64);
	for (unsigned i = 0; i < 0x4000; i++)
		b->ram[DATA + i] = (u8)((i * 0x9e3779b1u >> 24) | (i & 0x400 ? 0 : 1));
	return b;
}

static void run(struct box *b, u64 from, u64 to, bool whole)
{
	struct cpu *c = &b->cpu;

	c->rip = CODE;
	c->r[RBX] = from;
	c->r[RCX] = to;
	c->r[RSP] = STACK0;
	for (unsigned i = 0; i < (whole ? 1 : INSNS); i++)
		ck_assert_int_eq(cpu_run(c, whole ? INSNS : 1), CPU_EXIT_BUDGET);
}

START_TEST(runs_are_their_instructions)
{
	struct box *one = avx_box(), *all = avx_box();

	for (unsigned k = 0; k < 3 * 300; k++) {
		u64 from = DATA + 0xf00 + k % 300, to = TO + 0x1f00 + (k * 5) % 300;

		run(one, from, to, false);
		run(all, from, to, true);
		ck_assert_uint_eq(one->cpu.rip, all->cpu.rip);
		ck_assert_uint_eq(cpu_rflags(&one->cpu), cpu_rflags(&all->cpu));
		for (unsigned i = 0; i < 10; i++)
			ck_assert_msg(!memcmp(&one->cpu.v[i], &all->cpu.v[i], 32), "ymm%u, operands at %llx, %llx", i,
				      (unsigned long long)from, (unsigned long long)to);
		ck_assert_uint_eq(one->cpu.r[RAX], all->cpu.r[RAX]);
		ck_assert_mem_eq(one->ram + TO, all->ram + TO, 0x3000);
		ck_assert_mem_eq(all->ram + to + 0x40, all->ram + from + 0x40, 0x20);
	}
	box_free(one);
	box_free(all);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exec vector runs");
	TCase *t = tcase_create("runs");

	tcase_add_test(t, runs_are_their_instructions);
	suite_add_tcase(s, t);
	return run_suite(s);
}
