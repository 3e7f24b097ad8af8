/*
 * Code that changes: by itself, by data beside it, by DMA, through other addresses; and the block
 * cache at its limits (SDM Vol. 3A, 11.6 and 8.1.3).
 */
#include "guest.h"

GUEST(smc_same_block);
GUEST(smc_own_start);
GUEST(smc_next_block);
GUEST(smc_stores);
GUEST(smc_straddle);
GUEST(smc_alias);
GUEST(smc_data_beside);
GUEST(smc_stack_on_code);
GUEST(smc_fragment);
GUEST(smc_return);

#define BUDGET 1000000

static struct box *b;
static struct cpu *c;

static void setup(void)
{
	b = guest_long(0);
	c = &b->cpu;
	c->r[RBX] = ARENA_PAGE;
}

static void teardown(void)
{
	box_free(b);
}

static void run_program(void)
{
	run_to_halt(b, BUDGET);
	ck_assert_int_eq(halted_in(b), -1);
}

START_TEST(same_block)
{
	LOAD(b, CODE, smc_same_block);
	run_program();
	ck_assert_uint_eq(c->r[RAX], 5);
}
END_TEST

START_TEST(own_start)
{
	LOAD(b, CODE, smc_own_start);
	run_program();
	ck_assert_uint_eq(c->r[RDX], 55);
}
END_TEST

START_TEST(next_block)
{
	LOAD(b, CODE, smc_next_block);
	run_program();
	ck_assert_uint_eq(c->r[RDX], 200 * 201 / 2 + 200);
	ck_assert_uint_eq(c->r[RSI], 200 * 201 / 2 + 200);
}
END_TEST

START_TEST(changed_by_callee)
{
	LOAD(b, CODE, smc_return);
	run_program();
	ck_assert_uint_eq(c->r[RDX], 100 * 101 / 2);
}
END_TEST

START_TEST(every_kind_of_store)
{
	u64 sum = 0;

	LOAD(b, CODE, smc_stores);
	run_program();
	for (u64 i = 1; i <= 100; i++)
		sum += i + (i + 7) + i + (i + 1) + i + i + i + (i + 2) + ((i + 2) | 1u << 20);
	ck_assert_uint_eq(c->r[R14], sum);
}
END_TEST

static void straddling(void)
{
	u64 sum = 0x11111111;

	LOAD(b, CODE, smc_straddle);
	/* opcode at ffe, immediate at fff..1002 */
	ck_assert_uint_eq(b->ram[CODE + 0xffe], 0xb8);
	run_program();
	for (u32 i = 1; i < 20; i++)
		sum += i | 0x1111u << 8 | i << 24;
	ck_assert_uint_eq(c->r[RDX], (u32)sum);
}

START_TEST(straddling_instruction)
{
	straddling();
}
END_TEST

START_TEST(straddling_into_physical_page_0)
{
	/* The second page of the program is physical page 0. */
	struct box *x = guest_long(0);

	LOAD(x, SMALL, smc_straddle);
	memcpy(x->ram, x->ram + SMALL + 0x1000, 0x100);
	page_set(x, SMALL + 0x1000, PTE_USER);
	x->cpu.rip = SMALL;
	run_to_halt(x, BUDGET);
	box_free(b);
	setup();
	straddling();
	ck_assert_uint_eq(x->cpu.r[RDX], c->r[RDX]);
	box_free(x);
}
END_TEST

START_TEST(second_page_is_remapped)
{
	/* mov eax, imm32 from ffe: its second half lies on a page that is mapped elsewhere, without
	 * its first half changing. */
	CODE_AT(b, SMALL + 0xffe, 0xb8, 0x01);
	CODE_AT(b, SMALL + 0x1000, 0x00, 0x00, 0x00, 0xf4);
	CODE_AT(b, SMALL + 0x5000, 0x00, 0x00, 0x77, 0xf4);
	for (unsigned i = 0; i < 6; i++) {
		page_set(b, SMALL + 0x1000, (i & 1 ? SMALL + 0x5000 : SMALL + 0x1000) | PTE_USER);
		c->rip = SMALL + 0xffe;
		c->activity = CPU_ACTIVE;
		run_program();
		ck_assert_uint_eq(c->r[RAX], i & 1 ? 0x77000001 : 1);
	}
	/* Not there any more: #PF at the second page. */
	page_set(b, SMALL + 0x1000, 0);
	c->rip = SMALL + 0xffe;
	c->activity = CPU_ACTIVE;
	run_to_fault(b, 10, EXC_PF, 0x10);
	ck_assert_uint_eq(c->cr2, SMALL + 0x1000);
}
END_TEST

START_TEST(second_page_is_remapped_under_a_link)
{
	/* The same in a loop whose blocks are linked, and run under several translation sets. */
	CODE_AT(b, SMALL + 0xff0, 0x01, 0xc2, 0xeb, 0x0a); /* add edx, eax; jmp ffeh */
	CODE_AT(b, SMALL + 0xffe, 0xb8, 0x01);             /* mov eax, imm32 */
	/* dec ecx; jz +5; jmp ff0h; hlt */
	CODE_AT(b, SMALL + 0x1000, 0x00, 0x00, 0x00, 0xff, 0xc9, 0x74, 0x05, 0xe9, 0xe4, 0xff, 0xff, 0xff, 0xf4);
	memcpy(b->ram + SMALL + 0x5000, b->ram + SMALL + 0x1000, 16);
	b->ram[SMALL + 0x5002] = 0x02;
	c->r[RAX] = 0;
	for (unsigned i = 0; i < 8; i++) {
		poke(b, PT_SMALL + 8, (i & 1 ? SMALL + 0x5000 : SMALL + 0x1000) | PTE_USER, 8);
		mmu_invlpg(c, SMALL + 0x1000);
		c->rip = SMALL + 0xffe;
		c->r[RCX] = 500;
		c->r[RDX] = 0;
		c->activity = CPU_ACTIVE;
		run_program();
		ck_assert_uint_eq(c->r[RDX], (u32)(499 * (i & 1 ? 0x02000001u : 1u)));
	}
	/* It goes while the loop runs: the fault has the address of the second page. */
	c->rip = SMALL + 0xffe;
	c->r[RCX] = 500;
	c->activity = CPU_ACTIVE;
	cpu_run(c, 401);
	poke(b, PT_SMALL + 8, 0, 8);
	mmu_invlpg(c, SMALL + 0x1000);
	if ((c->rip & 0xfff) < 0x10) /* behind the crossing: that page is needed at once */
		c->rip = SMALL + 0xff0;
	run_to_fault(b, 10, EXC_PF, 0x10);
	ck_assert_uint_eq(c->cr2, SMALL + 0x1000);
}
END_TEST

START_TEST(page_is_remapped)
{
	/* Blocks are of physical memory: a linked jump across pages sees the new page after INVLPG.
	 */
	CODE_AT(b, SMALL, 0xe9, 0xfb, 0x0f, 0x00, 0x00); /* jmp SMALL + 1000h */
	CODE_AT(b, SMALL + 0x1000, 0xff, 0xc0, 0xe9, 0xf9, 0x0f, 0x00,
		0x00); /* inc eax; jmp SMALL + 2000h */
	CODE_AT(b, SMALL + 0x5000, 0xff, 0xc3, 0xe9, 0xf9, 0x0f, 0x00,
		0x00); /* inc ebx; jmp SMALL + 2000h */
	CODE_AT(b, SMALL + 0x2000, 0xff, 0xc9, 0x74, 0x05, 0xe9, 0xf7, 0xdf, 0xff, 0xff, 0xf4);
	c->r[RBX] = 0;
	for (unsigned i = 0; i < 8; i++) {
		poke(b, PT_SMALL + 8, (i & 1 ? SMALL + 0x5000 : SMALL + 0x1000) | PTE_USER, 8);
		mmu_invlpg(c, SMALL + 0x1000);
		c->rip = SMALL;
		c->r[RCX] = 500;
		c->activity = CPU_ACTIVE;
		run_program();
		ck_assert_uint_eq(c->r[RAX], 500 * (i / 2 + 1));
		ck_assert_uint_eq(c->r[RBX], 500 * ((i + 1) / 2));
	}
}
END_TEST

START_TEST(another_alias)
{
	LOAD(b, SMALL, smc_alias);
	page_set(b, SMALL + 0x8000, SMALL | PTE_USER);
	c->r[RBP] = SMALL + 0x8000;
	c->rip = SMALL;
	run_program();
	ck_assert_uint_eq(c->r[RDX], 50 * 51 / 2);
}
END_TEST

START_TEST(data_beside_code)
{
	LOAD(b, CODE, smc_data_beside);
	run_program();
	ck_assert_uint_eq(c->r[RAX], 10000);
	ck_assert_uint_eq(c->r[RDX], 30000);
}
END_TEST

START_TEST(stack_on_code)
{
	LOAD(b, CODE, smc_stack_on_code);
	/* The pushed return address 10011h is, as code: adc [rcx], eax... up to the end. */
	c->r[RCX] = ARENA_PAGE;
	c->r[RAX] = 0;
	run_to_halt(b, 100);
	ck_assert_uint_eq(c->r[RSP] & ~0xfull, (CODE + 0x11 + 8) & ~0xfull);
}
END_TEST

/* ---- DMA ------------------------------------------------------------------------------------ */

START_TEST(dma)
{
	/* mov eax, n; jmp 1; in a loop of blocks; DMA changes n between slices. */
	CODE_AT(b, CODE, 0xb8, 0x00, 0x00, 0x00, 0x00, 0xeb, 0xf9);
	for (u32 i = 1; i < 100; i++) {
		memcpy(b->ram + CODE + 1, &i, 4);
		cpu_ram_written(c, CODE + 1, 4);
		cpu_run(c, 1000 + i % 3);
		cpu_run(c, 2);
		ck_assert_uint_eq(c->r[RAX], i);
	}
}
END_TEST

START_TEST(dma_of_many_pages)
{
	/* Jumps over three pages; one big write replaces them all. */
	static const u8 hop[] = {0xff, 0xc0, 0xe9, 0xf9,
				 0x0f, 0x00, 0x00}; /* inc eax; jmp +1000h */

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned p = 0; p < 3; p++)
			memcpy(b->ram + SMALL + p * 0x1000, hop, sizeof(hop));
		b->ram[SMALL + 1] = 0xc0 + round; /* inc eax, ecx, edx */
		b->ram[SMALL + 0x3000] = 0xf4;
		cpu_ram_written(c, SMALL, 0x3001);
		c->rip = SMALL;
		c->activity = CPU_ACTIVE;
		run_program();
	}
	ck_assert_uint_eq(c->r[RAX], 7);
	ck_assert_uint_eq(c->r[RCX], 1);
	ck_assert_uint_eq(c->r[RDX], 1);
}
END_TEST

START_TEST(dma_exact_bounds)
{
	/* Only what is written is dropped, and all of it: every byte of a 15-byte instruction. */
	static const u8 code[] = {0x48, 0xb8, 1, 2, 3,   4,
				  5,    6,    7, 8, 0xf4}; /* mov rax, imm64; hlt */

	for (unsigned at = 0x1f00; at < 0x2080; at++) { /* over a line, and over a page */
		load_bytes(b, SMALL + at, code, sizeof(code));
		for (unsigned i = 2; i < 10; i++) {
			c->rip = SMALL + at;
			c->activity = CPU_ACTIVE;
			run_program();
			b->ram[SMALL + at + i] ^= 0x80;
			cpu_ram_written(c, SMALL + at + i, 1);
			c->rip = SMALL + at;
			c->activity = CPU_ACTIVE;
			run_program();
			ck_assert_msg(c->r[RAX] >> (8 * (i - 2) + 7) & 1, "byte %u at %x", i, at);
		}
	}
}
END_TEST

/* ---- the cache at its limits ---------------------------------------------------------------- */

START_TEST(the_arena_fills)
{
	/* A ring of 64-byte blocks over 1.5 MiB, changed after every round so that all are built
	 * again: far more than 64 MiB. */
	u32 first = SMALL, last = SMALL + 0x180000, n = (last - first) / 64;
	u64 expect = 0, eax = 0;

	for (u32 at = first; at < last; at += 64)
		LOAD(b, at, smc_fragment);
	CODE_AT(b, last - 64 + 4, 0xf4);
	for (unsigned round = 0; round < 12; round++) {
		c->rip = first;
		c->activity = CPU_ACTIVE;
		run_program();
		for (u32 i = 0; i < n; i++)
			expect += ++eax;
		ck_assert_uint_eq(c->r[RAX], eax);
		ck_assert_uint_eq(c->r[RDX], (u32)expect);
		/* once more, with everything linked */
		c->rip = first;
		c->activity = CPU_ACTIVE;
		run_program();
		for (u32 i = 0; i < n; i++)
			expect += ++eax;
		ck_assert_uint_eq(c->r[RDX], (u32)expect);
		cpu_ram_written(c, first, last - first);
	}
}
END_TEST

START_TEST(blocks_flushed_between_slices)
{
	LOAD(b, CODE, smc_next_block);
	while (cpu_run(c, 97) == CPU_EXIT_BUDGET)
		cpu_blocks_flush(c);
	ck_assert_uint_eq(c->r[RDX], 200 * 201 / 2 + 200);
	ck_assert_uint_eq(c->r[RSI], 200 * 201 / 2 + 200);
}
END_TEST

/* Near the end of a slice blocks are built for one use: a store beside such a one must not make it forgotten. */
START_TEST(last_block_of_a_slice)
{
	static const u8 jump[] = {0xeb, 0xbe}, /* to CODE, from CODE + 40h */
		code[] = {0xc6, 0x43, 0x50, 0x90, /* mov byte [rbx + 50h], 90h */
			  0xc6, 0x43, 0x09, 0x2a, /* mov byte [rbx + 9], 42 */
			  0xb8, 0x01, 0x00, 0x00, 0x00, 0xf4}; /* mov eax, 1, which is 42 by now */

	load_bytes(b, CODE, code, sizeof(code));
	load_bytes(b, CODE + 0x40, jump, sizeof(jump));
	c->r[RBX] = CODE;
	c->rip = CODE + 0x40;
	ck_assert_int_eq(cpu_run(c, 1), CPU_EXIT_BUDGET);
	ck_assert_int_eq(cpu_run(c, 3), CPU_EXIT_BUDGET);
	ck_assert_uint_eq(c->r[RAX], 42);
}
END_TEST

/* The same bytes in another mode are other blocks. */
START_TEST(mode_is_part_of_the_key)
{
	static const u8 code[] = {0x48, 0x89, 0xd8,
				  0xf4}; /* mov rax, rbx; or dec eax; mov eax, ebx */

	load_bytes(b, CODE, code, sizeof(code));
	c->r[RBX] = 0x123456789abcdef0;
	run_program();
	ck_assert_uint_eq(c->r[RAX], 0x123456789abcdef0);
	force_seg(b, CS, S_CODE);
	cpu_mode_changed(c);
	c->rip = CODE;
	c->r[RAX] = 1;
	c->activity = CPU_ACTIVE;
	run_program();
	ck_assert_uint_eq(c->r[RAX], 0x9abcdef0);
	ck_assert_uint_eq(c->rip, CODE + 4);
	ck_assert_uint_eq(cpu_icount(c), 5);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    same_block,
	    own_start,
	    next_block,
	    changed_by_callee,
	    every_kind_of_store,
	    straddling_instruction,
	    straddling_into_physical_page_0,
	    second_page_is_remapped,
	    second_page_is_remapped_under_a_link,
	    page_is_remapped,
	    another_alias,
	    data_beside_code,
	    stack_on_code,
	    dma,
	    dma_of_many_pages,
	    dma_exact_bounds,
	    the_arena_fills,
	    blocks_flushed_between_slices,
	    last_block_of_a_slice,
	    mode_is_part_of_the_key,
	};
	return run_cases_with("self-modifying code", tests, ARRAY_SIZE(tests), setup, teardown);
}
