/*
 * Pairs and runs (cpu/exec/pairs.c, vec_scalar.c): in code where nearly every instruction takes the result of the one before it, a
 * block leaves in registers, flags and memory what its instructions leave one by one.
 */
#include "sysbox.h"

enum { INSNS = 40, PROGRAMS = 2000, BASE = DATA + 0xfc0 /* displacements reach the next page */ };

static u64 seed = 1;

static unsigned rnd(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(seed >> 33) % n;
}

/* ADD, SUB, XOR, AND, CMP, MOV; MOVZX, MOVSXD; NOT; shifts; operations on imm8; LEA; loads: of four registers. RBX points to data. */
static unsigned random_insn(u8 *code)
{
	static const u8 regs[] = {0, 1, 2, 6}, rm_r[] = {0x01, 0x29, 0x31, 0x21, 0x39, 0x89}, shifts[] = {4, 5, 0, 1},
			imms[] = {0, 5, 4, 7};
	const u8 a = regs[rnd(4)], b = regs[rnd(4)], both = (u8)(0xc0 | a << 3 | b);
	u8 *p = code;

	*p++ = (u8)(0x40 | rnd(2) << 3);
	switch (rnd(9)) {
	case 0: *p++ = 0x0f; *p++ = 0xb6; *p++ = both; break;
	case 1: *p++ = 0x63; *p++ = both; break;
	case 2: *p++ = 0xf7; *p++ = (u8)(0xd0 | b); break;
	case 3: *p++ = 0xc1; *p++ = (u8)(0xc0 | shifts[rnd(4)] << 3 | b); *p++ = (u8)(1 + rnd(31)); break;
	case 4: *p++ = 0x83; *p++ = (u8)(0xc0 | imms[rnd(4)] << 3 | b); *p++ = (u8)rnd(256); break;
	case 5: *p++ = 0x8d; *p++ = (u8)(0x44 | a << 3); *p++ = (u8)(rnd(4) << 6 | regs[rnd(4)] << 3 | b); *p++ = (u8)rnd(256); break;
	case 6: *p++ = 0x8b; *p++ = (u8)(0x43 | a << 3); *p++ = (u8)rnd(128); break;
	default: *p++ = rm_r[rnd(sizeof(rm_r))]; *p++ = both; break;
	}
	return (unsigned)(p - code);
}

/* PUSH and POP of the four registers, and now and then what stands before and between them. */
static unsigned stack_insn(u8 *code)
{
	static const u8 regs[] = {0, 1, 2, 6};

	if (!rnd(6))
		return random_insn(code);
	code[0] = (u8)((rnd(8) < 3 ? 0x58 : 0x50) | regs[rnd(4)]);
	return 1;
}

/* MOVAPS, scalar moves to and from memory, ADD, SUB, MUL: of XMM0 to XMM3, [RBX + disp8] and [RBX + RDX * 8 + disp8]. */
static unsigned float_insn(u8 *code)
{
	static const u8 ops[] = {0x10, 0x11, 0x58, 0x59, 0x5c};
	static u8 last[8]; /* an operation from memory, whose place may be stored to next */
	static unsigned len;
	u8 *p = code, op = ops[rnd(5)], x = (u8)(rnd(4) << 3), form = (u8)rnd(4);

	if (!rnd(8)) /* ADD RAX, imm8 */
		return memcpy(p, (u8[]){0x48, 0x83, 0xc0, (u8)rnd(256)}, 4), 4;
	if (len && rnd(2)) {
		memcpy(code, last, len);
		code[2] = 0x11;
		unsigned n = len;
		len = 0;
		return n;
	}
	len = 0;
	if (form == 0 && op <= 0x11)
		return memcpy(p, (u8[]){0x0f, 0x28, (u8)(0xc0 | x | rnd(4))}, 3), 3;
	*p++ = rnd(4) ? 0xf2 : 0xf3;
	*p++ = 0x0f;
	*p++ = op;
	if (form == 0) {
		*p++ = (u8)(0xc0 | x | rnd(4));
		return (unsigned)(p - code);
	}
	*p++ = (u8)(form == 1 ? 0x44 | x : 0x43 | x);
	if (form == 1)
		*p++ = 0xd3;
	*p++ = (u8)(rnd(16) * 8 + (rnd(8) ? 0 : rnd(8)));
	len = (unsigned)(p - code);
	memcpy(last, code, len);
	return len;
}

static void run(struct box *b, const u8 *code, unsigned n, bool whole)
{
	struct cpu *c = &b->cpu;

	memcpy(b->ram + CODE, code, n);
	cpu_ram_written(c, CODE, n);
	for (unsigned i = 0; i < 16; i++)
		c->r[i] = 0x9e3779b97f4a7c15ull * (i + 1);
	c->r[RBX] = BASE;
	c->r[RDX] = 3;
	c->r[RSP] = STACK0 + 64; /* near a page's end */
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < 4; k++)
			c->v[i].ps[k] = (float)(i + 1) / (float)(k + 3);
	for (unsigned i = 0; i < 0x100; i++)
		b->ram[BASE + i] = (u8)(i % 8 == 7 ? 0x3f : i * 167);
	cpu_set_rflags(c, FL_R1);
	c->rip = CODE;
	for (unsigned i = 0; i < (whole ? 1 : INSNS); i++)
		ck_assert_int_eq(cpu_run(c, whole ? INSNS : 1), CPU_EXIT_BUDGET);
}

static void compare(unsigned (*insn)(u8 *code))
{
	struct box *one = box_long(0), *all = box_long(0);

	for (unsigned program = 0; program < PROGRAMS; program++) {
		u8 code[INSNS * 8 + 64];
		unsigned n = 0;

		for (unsigned i = 0; i < INSNS; i++)
			n += insn(code + n);
		memset(code + n, 0x90, 64);
		run(one, code, n + 64, false);
		run(all, code, n + 64, true);
		ck_assert_uint_eq(all->cpu.rip, CODE + n);
		ck_assert_uint_eq(cpu_rflags(&one->cpu), cpu_rflags(&all->cpu));
		for (unsigned i = 0; i < 16; i++)
			ck_assert_msg(one->cpu.r[i] == all->cpu.r[i], "program %u, register %u: %llx one by one, %llx", program, i,
				      (unsigned long long)one->cpu.r[i], (unsigned long long)all->cpu.r[i]);
		for (unsigned i = 0; i < 4; i++)
			ck_assert_msg(!memcmp(&one->cpu.v[i], &all->cpu.v[i], 16), "program %u, xmm%u", program, i);
		ck_assert_mem_eq(one->ram + BASE, all->ram + BASE, 0x200);
		ck_assert_mem_eq(one->ram + STACK0 - 0x400, all->ram + STACK0 - 0x400, 0x800);
	}
	box_free(one);
	box_free(all);
}

START_TEST(pairs_are_their_instructions)
{
	compare(random_insn);
}
END_TEST

START_TEST(pushes_and_pops_are_their_instructions)
{
	compare(stack_insn);
}
END_TEST

START_TEST(scalars_are_their_instructions)
{
	compare(float_insn);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("exec pairs");
	TCase *t = tcase_create("pairs");

	tcase_add_test(t, pairs_are_their_instructions);
	tcase_add_test(t, pushes_and_pops_are_their_instructions);
	tcase_add_test(t, scalars_are_their_instructions);
	suite_add_tcase(s, t);
	return run_suite(s);
}
