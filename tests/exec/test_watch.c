/*
 * Watchers (cpu/watch.h): everything is seen where it happens, stops fall on their instruction, and who looks changes nothing.
 */
#include "cpu/watch.h"
#include "cpu/exec/blocks.h"
#include "guest.h"

#define CODE 0x12000

static struct box *b;
static struct cpu *c;
static struct cpu_watchers list;

/* What one run showed. */
static struct log_of_run {
	struct seen seen[64];
	unsigned n;
	u64 insns, blocks_insns;
	u64 rip[64];
	u32 flags[64];
	u64 probe_at, last_stop;
	unsigned probes;
	bool stop;
} got;

static void on_insn(void *ctx, struct cpu *cpu, const struct insn *in)
{
	ck_assert_uint_eq(cpu_icount(cpu), got.insns);
	if (got.insns < ARRAY_SIZE(got.rip)) {
		got.rip[got.insns] = cpu->insn_rip;
		got.flags[got.insns] = watch_rflags(cpu) & FL_ARITH;
	}
	got.insns++;
}

static void on_block(void *ctx, struct cpu *cpu, struct block *blk)
{
	got.blocks_insns += blk->count;
	ck_assert_uint_eq(blk->phys & 0xfff, cpu->insn_rip & 0xfff);
}

static bool on_probe(void *ctx, struct cpu *cpu, const struct insn *in)
{
	ck_assert_uint_eq(cpu->insn_rip, got.probe_at);
	got.probes++;
	if (!got.stop || cpu_icount(cpu) == got.last_stop)
		return false;
	got.last_stop = cpu_icount(cpu);
	return true;
}

static bool probe_wanted(void *ctx, u64 phys_page, unsigned off)
{
	return (phys_page | off) == got.probe_at;
}

static bool page_wanted(void *ctx, u64 page, u64 phys_page)
{
	return page == ARENA_PAGE;
}

static void on_seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	if (got.n < ARRAY_SIZE(got.seen))
		got.seen[got.n++] = *s;
	if (got.stop && (s->kind != WATCH_MAGIC || cpu_icount(cpu) != got.last_stop)) {
		got.last_stop = cpu_icount(cpu);
		watch_stop(cpu);
	}
}

static struct cpu_watch watch = {
	.insn = on_insn, .block = on_block, .probe = on_probe, .seen = on_seen, .probe_wanted = probe_wanted, .page_wanted = page_wanted};

static void wants(u32 kinds)
{
	watch.wants = kinds;
	watch_add(c, &watch);
}

static void setup(void)
{
	b = guest_long(0);
	c = &b->cpu;
	list = (struct cpu_watchers){0};
	c->watchers = &list;
	got = (struct log_of_run){.last_stop = ~0ull};
	force_seg(b, SS, S_DATA);
	c->rip = CODE;
	c->icount_end = 0;
	c->cd = 0;
}

static void teardown(void)
{
	box_free(b);
}

/* A loop of ten rounds: mov ecx, 10; 1: add eax, ecx; cmp eax, 20; jb 2; inc edx; 2: dec ecx; jnz 1; hlt */
static void load_loop(void)
{
	CODE_AT(b, CODE, 0xb9, 10, 0, 0, 0, 0x01, 0xc8, 0x83, 0xf8, 20, 0x72, 0x02, 0xff, 0xc2, 0xff, 0xc9, 0x75, 0xf3, 0xf4);
	c->r[RAX] = c->r[RDX] = 0;
}

START_TEST(every_instruction)
{
	load_loop();
	wants(WATCH_BIT(WATCH_INSN) | WATCH_BIT(WATCH_BLOCK));
	run_to_halt(b, 1000);
	ck_assert_uint_eq(c->r[RAX], 55);
	ck_assert_uint_eq(got.insns, cpu_icount(c));
	ck_assert_uint_eq(got.rip[0], CODE);
	ck_assert_uint_eq(got.rip[3], CODE + 10); /* jb, fused with the compare when nobody looks */
	ck_assert_uint_eq(got.flags[3] & (FL_CF | FL_ZF), FL_CF); /* 10 < 20 */
}
END_TEST

START_TEST(every_block)
{
	load_loop();
	wants(WATCH_BIT(WATCH_BLOCK));
	run_to_halt(b, 1000);
	ck_assert_uint_eq(got.blocks_insns, cpu_icount(c)); /* no block was left in its middle */
}
END_TEST

START_TEST(looking_changes_nothing)
{
	u64 regs[16], count;

	load_loop();
	run_to_halt(b, 1000);
	memcpy(regs, c->r, sizeof(regs));
	count = cpu_icount(c);
	teardown();
	setup();
	load_loop();
	got.probe_at = CODE + 10;
	wants((1u << WATCH_KINDS) - 1);
	run_to_halt(b, 1000);
	ck_assert_mem_eq(regs, c->r, sizeof(regs));
	ck_assert_uint_eq(cpu_icount(c), count);
	ck_assert_uint_eq(got.probes, 10);
}
END_TEST

START_TEST(a_probe_stops_in_front)
{
	load_loop();
	got.probe_at = CODE + 14; /* dec ecx */
	got.stop = true;
	wants(WATCH_BIT(WATCH_PROBE));
	for (unsigned round = 0; round < 10; round++) {
		ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_STOP);
		ck_assert_uint_eq(c->rip, CODE + 14);
		ck_assert_uint_eq(c->r[RCX], 10 - round);
	}
	run_to_halt(b, 1000);
	ck_assert_uint_eq(c->r[RAX], 55);
	watch_remove(c, &watch);
	ck_assert_uint_eq(list.wants, 0);
}
END_TEST

START_TEST(a_probe_keeps_the_single_step)
{
	load_loop();
	got.probe_at = CODE + 5;
	got.stop = true;
	wants(WATCH_BIT(WATCH_PROBE));
	c->rflags |= FL_TF;
	cpu_mode_changed(c);
	c->rip = CODE + 5;
	c->r[RCX] = 1;
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_STOP);
	ck_assert_uint_eq(c->rip, CODE + 5);
	ck_assert_uint_eq(cpu_icount(c), 0);
	got.stop = false;
	cpu_run(c, 1000);
	ck_assert_int_eq(halted_in(b), EXC_DB);
	ck_assert_uint_eq(c->r[RAX], 1);
}
END_TEST

START_TEST(accesses)
{
	/* mov dword [LOG], 0x1234; mov ax, [LOG]; mov [elsewhere], eax; rep stosb over 3 bytes of it; hlt */
	CODE_AT(b, CODE, 0xc7, 0x04, 0x25, 0x00, 0x00, 0x21, 0x00, 0x34, 0x12, 0, 0, 0x66, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x21, 0x00,
		0x89, 0x04, 0x25, 0x00, 0x10, 0x21, 0x00, 0xf3, 0xaa, 0xf4);
	c->r[RDI] = ARENA_PAGE + 8;
	c->r[RCX] = 3;
	wants(WATCH_BIT(WATCH_ACCESS));
	run_to_halt(b, 1000);
	ck_assert_uint_ge(got.n, 3);
	ck_assert_uint_eq(got.seen[0].addr, ARENA_PAGE);
	ck_assert_uint_eq(got.seen[0].size, 4);
	ck_assert_uint_eq(got.seen[0].value, 0x1234);
	ck_assert(got.seen[0].write && !got.seen[1].write);
	ck_assert_uint_eq(got.seen[1].size, 2);
	u64 stored = 0;
	for (unsigned i = 2; i < got.n; i++) {
		ck_assert_uint_eq(got.seen[i].addr & ~0xfffull, ARENA_PAGE);
		stored += got.seen[i].size;
	}
	ck_assert_uint_eq(stored, 3);
}
END_TEST

START_TEST(an_access_stops_behind)
{
	CODE_AT(b, CODE, 0xc7, 0x04, 0x25, 0x00, 0x00, 0x21, 0x00, 0x34, 0x12, 0, 0, 0xff, 0xc0, 0xf4);
	got.stop = true;
	wants(WATCH_BIT(WATCH_ACCESS));
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_STOP);
	ck_assert_uint_eq(c->rip, CODE + 11);
	ck_assert_uint_eq(peek(b, ARENA_PAGE, 4), 0x1234);
	run_to_halt(b, 1000);
}
END_TEST

START_TEST(system_events)
{
	/* mov eax, 0x80; mov dx, ax; out dx, al; mov cr2, rax; xchg bx, bx; xor ecx, ecx; div ecx */
	CODE_AT(b, CODE, 0xb8, 0x80, 0, 0, 0, 0x89, 0xc2, 0xee, 0x0f, 0x22, 0xd0, 0x66, 0x87, 0xdb, 0x31, 0xc9, 0xf7, 0xf1);
	wants(WATCH_BIT(WATCH_IO) | WATCH_BIT(WATCH_CR) | WATCH_BIT(WATCH_MAGIC) | WATCH_BIT(WATCH_EXCEPTION));
	cpu_run(c, 1000);
	ck_assert_int_eq(halted_in(b), EXC_DE);
	ck_assert_uint_eq(got.n, 4);
	ck_assert_int_eq(got.seen[0].kind, WATCH_IO);
	ck_assert(got.seen[0].write && got.seen[0].n == 0x80 && got.seen[0].value == 0x80 && got.seen[0].size == 1);
	ck_assert_int_eq(got.seen[1].kind, WATCH_CR);
	ck_assert(got.seen[1].n == 2 && got.seen[1].value == 0x80);
	ck_assert_int_eq(got.seen[2].kind, WATCH_MAGIC);
	ck_assert_uint_eq(got.seen[2].addr, CODE + 11);
	ck_assert_int_eq(got.seen[3].kind, WATCH_EXCEPTION);
	ck_assert_uint_eq(got.seen[3].n, EXC_DE);
}
END_TEST

START_TEST(magic_stops_in_front)
{
	CODE_AT(b, CODE, 0x90, 0x66, 0x87, 0xdb, 0xf4);
	got.stop = true;
	wants(WATCH_BIT(WATCH_MAGIC));
	ck_assert_int_eq(cpu_run(c, 1000), CPU_EXIT_STOP);
	ck_assert_uint_eq(c->rip, CODE + 1);
	run_to_halt(b, 1000);
	ck_assert_uint_eq(c->rip, CODE + 5);
}
END_TEST

START_TEST(privilege_levels)
{
	teardown();
	b = guest_long(3);
	c = &b->cpu;
	list = (struct cpu_watchers){0};
	c->watchers = &list;
	CODE_AT(b, CODE, 0x0f, 0x0b); /* ud2 in ring 3: its handler runs in ring 0 */
	c->rip = CODE;
	wants(WATCH_BIT(WATCH_CPL) | WATCH_BIT(WATCH_MODE));
	cpu_run(c, 1000);
	ck_assert_int_eq(halted_in(b), EXC_UD);
	ck_assert_uint_eq(got.n, 1);
	ck_assert(got.seen[0].kind == WATCH_CPL && got.seen[0].old == 3 && got.seen[0].value == 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    every_instruction, every_block, looking_changes_nothing, a_probe_stops_in_front, a_probe_keeps_the_single_step,
	    accesses, an_access_stops_behind, system_events, magic_stops_in_front, privilege_levels,
	};
	return run_cases_with("watch", tests, ARRAY_SIZE(tests), setup, teardown);
}
