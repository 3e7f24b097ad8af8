/* String and port string instructions: held against an element-by-element model, and at their
 * seams. */
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

static u64 rnd(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	return *s ^= *s << 17;
}

/* Runs one instruction to its end, however often it pauses. */
static unsigned run_to_end(struct box *x, const u8 *code, unsigned n)
{
	u64 at = x->cpu.rip;
	unsigned calls = 0;

	do {
		ck_assert_int_eq(exec_bytes(x, code, n), 0);
		ck_assert_uint_lt(++calls, 100000);
	} while (x->cpu.rip == at);
	return calls;
}

static u64 get(const u8 *p, unsigned size)
{
	u64 v = 0;

	memcpy(&v, p, size);
	return v;
}

/* The SDM's loop, over a copy of memory. */
static void model(u8 *ram, u64 *r, u32 *flags, u8 op, bool repne, unsigned size)
{
	s64 step = *flags & FL_DF ? -(s64)size : (s64)size;

	while (r[RCX]) {
		u8 *src = ram + r[RSI], *dst = ram + r[RDI];
		u64 x = 0, y = 0;
		bool cmp = false;

		switch (op & 0xfe) {
		case 0xa4: memmove(dst, src, size); break;
		case 0xaa: memcpy(dst, &r[RAX], size); break;
		case 0xac:
			memcpy(&r[RAX], src, size);
			if (size == 4)
				r[RAX] = (u32)r[RAX];
			break;
		case 0xae:
			x = zext_bytes(r[RAX], size);
			y = get(dst, size);
			cmp = true;
			break;
		case 0xa6:
			x = get(src, size);
			y = get(dst, size);
			cmp = true;
			break;
		}
		if ((op & 0xfe) == 0xa4 || (op & 0xfe) == 0xac || (op & 0xfe) == 0xa6)
			r[RSI] += step;
		if ((op & 0xfe) != 0xac)
			r[RDI] += step;
		r[RCX]--;
		if (cmp) {
			*flags = (*flags & ~(FL_CF | FL_ZF)) | (x < y ? FL_CF : 0) |
				 (x == y ? FL_ZF : 0);
			if ((x == y) == repne)
				break;
		}
	}
}

START_TEST(random_against_model)
{
	static const u8 ops[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
	u8 *ram = malloc(RAM_SIZE);
	u64 seed = 12345;

	for (unsigned round = 0; round < 3000; round++) {
		u8 op = ops[rnd(&seed) % ARRAY_SIZE(ops)];
		bool word = rnd(&seed) & 1, repne = rnd(&seed) & 1, df = rnd(&seed) % 4 == 0;
		unsigned size = op & 1 ? (word ? 2 : 4) : 1;
		u64 base = DATA + 0x4000, r[8];
		u32 flags = FL_R1 | (df ? FL_DF : 0);
		u8 code[3] = {0x66, repne ? 0xf2 : 0xf3, op};

		/* Few values, so that comparisons run a while; near ranges, so that copies overlap.
		 */
		for (unsigned i = 0; i < 0x6000; i += 8)
			poke(b, base + i - 0x2000, rnd(&seed) % 8 ? 0 : rnd(&seed), 8);
		c->r[RAX] = rnd(&seed) % 4 ? 0 : (u32)rnd(&seed);
		c->r[RCX] = rnd(&seed) % (round % 8 ? 64 : 2000);
		c->r[RSI] = base + rnd(&seed) % 64;
		c->r[RDI] = base + rnd(&seed) % 64 + (rnd(&seed) % 4 ? 0 : 4000);
		memcpy(ram, b->ram, RAM_SIZE);
		memcpy(r, c->r, sizeof(r));
		cpu_set_rflags(c, flags);
		c->rip = CODE;
		run_to_end(b, word ? code : code + 1, word ? 3 : 2);
		model(ram, r, &flags, op, repne, size);
		for (unsigned i = 0; i < 8; i++)
			ck_assert_msg(c->r[i] == r[i], "round %u op %x r%u: %llx, expected %llx",
				      round, op, i, (unsigned long long)c->r[i],
				      (unsigned long long)r[i]);
		ck_assert_uint_eq(c->rflags & (FL_CF | FL_ZF), flags & (FL_CF | FL_ZF));
		ck_assert_mem_eq(ram + DATA, b->ram + DATA, 0x10000);
	}
	free(ram);
}
END_TEST

START_TEST(zero_count_touches_nothing)
{
	c->r[RCX] = 0;
	c->r[RSI] = c->r[RDI] = 0xfffffff0;
	cpu_set_rflags(c, FL_R1 | FL_CF);
	RUNS(b, 0xf3, 0xa4);
	RUNS(b, 0xf3, 0xa7);
	ck_assert_uint_eq(c->rflags, FL_R1 | FL_CF);
	ck_assert_uint_eq(c->r[RSI], 0xfffffff0);
}
END_TEST

START_TEST(long_copy_pauses)
{
	c->r[RCX] = 0x40000;
	c->r[RSI] = 0x200000;
	c->r[RDI] = 0x300000;
	b->ram[0x23ffff] = 0x77;
	RUNS(b, 0xf3, 0xa4);
	ck_assert_uint_eq(c->rip, CODE);
	ck_assert_uint_eq(c->r[RCX], 0x30000);
	ck_assert_uint_eq(c->r[RSI], 0x210000);
	ck_assert_uint_eq(run_to_end(b, CODE_BYTES(0xf3, 0xa4)), 3);
	ck_assert_uint_eq(b->ram[0x33ffff], 0x77);
}
END_TEST

START_TEST(pending_event_pauses_only_when_takeable)
{
	c->r[RCX] = 0x3000;
	c->r[RDI] = 0x200000;
	c->events = CPU_EV_INTR;
	RUNS(b, 0xf3, 0xaa);
	ck_assert_uint_eq(c->r[RCX], 0);
	c->r[RCX] = 0x3000;
	c->rflags |= FL_IF;
	c->rip = CODE;
	RUNS(b, 0xf3, 0xaa);
	ck_assert_uint_eq(c->rip, CODE);
	ck_assert_uint_gt(c->r[RCX], 0);
	ck_assert_uint_lt(c->r[RCX], 0x3000);
}
END_TEST

START_TEST(single_step_goes_one_by_one)
{
	cpu_set_rflags(c, FL_R1 | FL_TF);
	cpu_mode_changed(c);
	c->r[RCX] = 5;
	c->r[RDI] = DATA;
	RUNS(b, 0xf3, 0xab);
	ck_assert_uint_eq(c->r[RCX], 4);
	ck_assert_uint_eq(c->rip, CODE);
}
END_TEST

START_TEST(fault_leaves_the_iterations_done)
{
	force_seg(b, ES, S_SMALL); /* limit fffh */
	cpu_mode_changed(c);
	c->r[RCX] = 100;
	c->r[RSI] = DATA;
	c->r[RDI] = 0xff0;
	ck_assert_int_eq(EXEC(b, 0xf3, 0xa4), 1);
	ck_assert_uint_eq(c->fault.vector, EXC_GP);
	ck_assert_uint_eq(c->r[RDI], 0x1000);
	ck_assert_uint_eq(c->r[RCX], 84);
	ck_assert_uint_eq(c->r[RSI], DATA + 16);
}
END_TEST

START_TEST(page_fault_restarts)
{
	struct box *l = box_long(0);
	struct cpu *k = &l->cpu;

	k->r[RCX] = 0x1000 / 8;
	k->r[RSI] = DATA;
	k->r[RDI] = 0x400000 - 0x100; /* the map ends at 4 MiB */
	ck_assert_int_eq(EXEC(l, 0xf3, 0x48, 0xa5), 1);
	ck_assert_uint_eq(k->fault.vector, EXC_PF);
	ck_assert_uint_eq(k->fault.addr, 0x400000);
	ck_assert_uint_eq(k->r[RCX], 0x1000 / 8 - 0x20);
	box_free(l);
}
END_TEST

START_TEST(sixteen_bit_addresses_wrap)
{
	struct box *r = box_new("max");

	r->cpu.r[RCX] = 4;
	r->cpu.r[RDI] = 0xabcdfffe;
	r->cpu.r[RAX] = 0x55;
	poke(r, 0xfffe, 0, 2);
	ck_assert_int_eq(EXEC(r, 0xf3, 0xaa), 0);
	ck_assert_uint_eq(r->cpu.r[RDI], 0xabcd0002);
	ck_assert_uint_eq(r->ram[0xffff], 0x55);
	ck_assert_uint_eq(r->ram[1], 0x55);
	ck_assert_uint_eq(r->ram[2], 0);
	box_free(r);
}
END_TEST

START_TEST(pattern_replication)
{
	b->ram[DATA] = 'a';
	b->ram[DATA + 1] = 'b';
	c->r[RCX] = 500;
	c->r[RSI] = DATA;
	c->r[RDI] = DATA + 2;
	RUNS(b, 0xf3, 0xa4);
	ck_assert_uint_eq(b->ram[DATA + 500], 'a');
	ck_assert_uint_eq(b->ram[DATA + 501], 'b');
}
END_TEST

START_TEST(port_strings)
{
	b->port_value = 0x10;
	c->r[RDX] = 0x1f0;
	c->r[RDI] = DATA;
	c->r[RCX] = 4;
	RUNS(b, 0x66, 0xf3, 0x6d); /* rep insw */
	ck_assert_uint_eq(peek(b, DATA, 8), 0x0013001200110010);
	ck_assert_uint_eq(b->port_reads, 4);
	c->r[RSI] = DATA;
	c->r[RCX] = 2;
	RUNS(b, 0xf3, 0x6f); /* rep outsd */
	ck_assert_uint_eq(b->port_log[1], 0x00130012);
	force_seg(b, ES, S_RO);
	cpu_mode_changed(c);
	b->port_reads = 0;
	FAULTS(b, EXC_GP, 0, 0x6c); /* refused before the port is read */
	ck_assert_uint_eq(b->port_reads, 0);
	c->r[RCX] = 3000;
	force_seg(b, ES, S_DATA);
	cpu_mode_changed(c);
	c->rip = CODE;
	ck_assert_uint_eq(run_to_end(b, CODE_BYTES(0xf3, 0x6c)), 3);
	ck_assert_uint_eq(b->port_reads, 3000);
}
END_TEST

START_TEST(ports_need_permission)
{
	box_cpl(b, 3);
	c->r[RDX] = 0x60;
	c->r[RCX] = 1;
	FAULTS(b, EXC_GP, 0, 0x6c);
	FAULTS(b, EXC_GP, 0, 0x6e);
	FAULTS(b, EXC_GP, 0, 0xec);
	FAULTS(b, EXC_GP, 0, 0xee);
}
END_TEST

START_TEST(through_the_run_loop)
{
	memcpy(b->ram + CODE, (const u8[]){0xf3, 0xa4, 0xf4}, 3);
	c->r[RCX] = 0x40000;
	c->r[RSI] = 0x200000;
	c->r[RDI] = 0x300000;
	b->ram[0x23ffff] = 0x77;
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_HALT);
	ck_assert_uint_eq(c->rip, CODE + 3);
	ck_assert_uint_eq(c->r[RCX], 0);
	ck_assert_uint_eq(b->ram[0x33ffff], 0x77);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("string");
	TCase *t = tcase_create("all");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, random_against_model);
	tcase_add_test(t, zero_count_touches_nothing);
	tcase_add_test(t, long_copy_pauses);
	tcase_add_test(t, pending_event_pauses_only_when_takeable);
	tcase_add_test(t, single_step_goes_one_by_one);
	tcase_add_test(t, fault_leaves_the_iterations_done);
	tcase_add_test(t, page_fault_restarts);
	tcase_add_test(t, sixteen_bit_addresses_wrap);
	tcase_add_test(t, pattern_replication);
	tcase_add_test(t, port_strings);
	tcase_add_test(t, ports_need_permission);
	tcase_add_test(t, through_the_run_loop);
	suite_add_tcase(s, t);
	return run_suite(s);
}
