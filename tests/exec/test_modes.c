/*
 * Modes and the ways between them; what 16-bit code does at the end of its segment; limits where
 * blocks end; A20. SDM Vol. 3A, 9.8 and 9.9, 20.
 */
#include "guest.h"

GUEST(tour);
GUEST(unreal);
GUEST(rebased);
GUEST(virtual);

#define MARKS 0x9000
#define GDTR  0x9100

static void put_gdtr(struct box *b)
{
	poke(b, GDTR, GDT_LIMIT | (u64)GDT << 16, 6);
}

START_TEST(grand_tour)
{
	/* Twice in the same box: the second time all blocks of all modes are cached. */
	struct box *b = guest_real(CODE >> 4), *tables = guest_long(0);

	LOAD(b, CODE, tour);
	put_gdtr(b);
	set_desc(b, S_CODE16, make_desc(CODE, 0xffff, AR_P | AR_S | 0xa));
	memcpy(b->ram + TABLES, tables->ram + TABLES, 0x4000);
	box_free(tables);
	for (unsigned round = 0; round < 2; round++) {
		memset(b->ram + MARKS, 0, 0x20);
		seg_install_real(&b->cpu, CS, CODE >> 4, false);
		b->cpu.rip = 0;
		b->cpu.activity = CPU_ACTIVE;
		cpu_mode_changed(&b->cpu);
		run_to_halt(b, 1000);
		ck_assert_int_eq(halted_in(b), -1);
		for (unsigned i = 0; i < 7; i++)
			ck_assert_msg(b->ram[MARKS + i] == (i == 2 ? 4 : i + 1), "stage %u: %u", i,
				      b->ram[MARKS + i]);
		ck_assert_uint_eq(peek(b, MARKS + 8, 8), 6);
		ck_assert_uint_eq(peek(b, MARKS + 16, 4), EFER_LME);
		ck_assert_uint_eq(b->cpu.efer, 0);
		ck_assert_uint_eq(b->cpu.cr0 & (CR0_PE | CR0_PG), 0);
		ck_assert_uint_eq(b->cpu.seg[CS].sel, CODE >> 4);
	}
	box_free(b);
}
END_TEST

START_TEST(big_real_mode)
{
	struct box *b = guest_real(CODE >> 4);

	LOAD(b, CODE, unreal);
	put_gdtr(b);
	b->cpu.rip = 0;
	run_to_halt(b, 100);
	ck_assert_int_eq(halted_in(b), EXC_GP);
	ck_assert_uint_eq(peek(b, 0x210000, 4), 0xcafe);
	box_free(b);
}
END_TEST

START_TEST(data_segment_is_rebased)
{
	struct box *b = guest_flat32(0);

	LOAD(b, CODE, rebased);
	set_desc(b, S_SMALL, make_desc(0x1000, 0xfffff, AR_FLAT | 0x2));
	poke(b, DATA, 0x11111111, 4);
	poke(b, DATA + 0x1000, 0x22222222, 4);
	b->cpu.r[RBX] = DATA;
	b->cpu.r[RCX] = S_SMALL;
	run_to_halt(b, 100);
	ck_assert_int_eq(halted_in(b), -1);
	ck_assert_uint_eq(b->cpu.r[RAX], 0x11111111);
	ck_assert_uint_eq(b->cpu.r[RSI], 0x22222222);
	ck_assert_uint_eq(b->cpu.r[RDI], 0x11111111);
	ck_assert_uint_eq(b->cpu.r[RBP], 0x11111111);
	box_free(b);
}
END_TEST

/* ---- 16-bit code ---------------------------------------------------------------------------- */

START_TEST(jumps_wrap_at_64k)
{
	/* jmp short over FFFFh lands at the bottom; call and ret too. */
	struct box *b = guest_real(0x2000);
	struct cpu *c = &b->cpu;

	CODE_AT(b, 0x2fff0, 0xeb, 0x1e); /* jmp 10h */
	CODE_AT(b, 0x20010, 0x40, 0xf4);
	c->rip = 0xfff0;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->rip, 0x12);
	ck_assert_uint_eq(c->r[RAX], 1);

	CODE_AT(b, 0x20020, 0xeb, 0xce); /* and backwards: jmp FFF0h */
	c->rip = 0x20;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->r[RAX], 2);

	CODE_AT(b, 0x2fffd, 0xe8, 0x10, 0x00); /* call 10h, ending at FFFFh: returns to 0 */
	CODE_AT(b, 0x20010, 0xc3);
	CODE_AT(b, 0x20000, 0x43, 0xf4);
	c->rip = 0xfffd;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->rip, 2);
	ck_assert_uint_eq(c->r[RBX], 1);

	CODE_AT(b, 0x2fff0, 0x39, 0xc0, 0x74, 0x1c); /* cmp ax, ax; je 10h */
	CODE_AT(b, 0x20010, 0xf4);
	c->rip = 0xfff0;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->rip, 0x11);
	/* 66h: a 32-bit jump beyond the limit faults at the jump */
	CODE_AT(b, 0x2fff0, 0x66, 0xe9, 0x10, 0x00, 0x00, 0x00);
	c->rip = 0xfff0;
	c->activity = CPU_ACTIVE;
	ck_assert_uint_eq(run_to_fault(b, 10, EXC_GP, 0).rip, 0xfff0);
	box_free(b);
}
END_TEST

START_TEST(running_off_the_segment)
{
	/* Nothing wraps by itself: the fetch at 10000h faults, and an instruction over the end
	 * does. */
	struct box *b = guest_real(0x2000);
	struct cpu *c = &b->cpu;

	memset(b->ram + 0x2fff0, 0x90, 16);
	c->rip = 0xfff0;
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_GP, 0).rip, 0); /* IP of 10000h, in 16 bits */
	ck_assert_uint_eq(cpu_icount(c), 16 + 1 + 1);
	CODE_AT(b, 0x2fffe, 0xb8, 0x01);
	c->r[RAX] = 0x5555;
	seg_install_real(c, CS, 0x2000, false);
	c->rip = 0xfffd;
	c->activity = CPU_ACTIVE;
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_GP, 0).rip, 0xfffe);
	ck_assert_uint_eq(c->r[RAX], 0x5555);
	box_free(b);
}
END_TEST

START_TEST(prefixes_in_16_bit_code)
{
	/* mov eax, imm32; mov ax, [ebx+4*ecx]; lea cx, [bx+si]; movzx through 32-bit addressing */
	struct box *b = guest_real(CODE >> 4);
	struct cpu *c = &b->cpu;

	CODE_AT(b, CODE, 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, 0x67, 0x8b, 0x14, 0x8b, 0x8d, 0x38,
		0xf4);
	poke(b, 0x30000 + 0x100 + 4 * 3, 0xbeef, 2);
	c->r[RBX] = 0x100;
	c->r[RCX] = 3;
	c->r[RSI] = 0xffff;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->r[RAX], 0x12345678);
	ck_assert_uint_eq(c->r[RDX], 0xbeef);
	ck_assert_uint_eq(c->r[RDI], 0xff);
	box_free(b);
}
END_TEST

START_TEST(stack_width_by_ss)
{
	/* 32-bit code on a 16-bit stack: only SP moves, and wraps. */
	struct box *b = guest_flat32(0);
	struct cpu *c = &b->cpu;

	CODE_AT(b, CODE, 0x50, 0x51, 0x5a, 0xf4); /* push eax; push ecx; pop edx; hlt */
	set_desc(b, S_DATA16, make_desc(0x30000, 0xffff, AR_P | AR_S | 0x2));
	force_seg(b, SS, S_DATA16);
	cpu_mode_changed(c);
	c->r[RSP] = 0xabcd0004;
	c->r[RAX] = 0x11223344;
	c->r[RCX] = 0x55667788;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->r[RSP], 0xabcd0000);
	ck_assert_uint_eq(peek(b, 0x30000, 4), 0x11223344);
	ck_assert_uint_eq(peek(b, 0x3fffc, 4), 0x55667788);
	ck_assert_uint_eq(c->r[RDX], 0x55667788);
	box_free(b);
}
END_TEST

/* ---- limits of 32-bit code segments --------------------------------------------------------- */

static struct box *limited(u32 limit)
{
	struct box *b = guest_flat32(0);

	set_desc(b, S_SMALL, make_desc(0, limit, AR_P | AR_S | AR_DB | 0xa));
	force_seg(b, CS, S_SMALL);
	cpu_mode_changed(&b->cpu);
	b->cpu.rip = CODE;
	return b;
}

START_TEST(limit_at_the_block_end)
{
	/* inc eax 8 times; the limit falls everywhere among them */
	for (unsigned end = 0; end < 16; end++) {
		struct box *b = limited(CODE + end);
		CODE_AT(b, CODE, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xff,
			0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xf4);
		struct iframe f = run_to_fault(b, 100, EXC_GP, 0);
		ck_assert_uint_eq(f.rip, CODE + (end + 1) / 2 * 2);
		ck_assert_uint_eq(b->cpu.r[RAX], (end + 1) / 2);
		/* A wider limit lets the same code run: the limit is part of the block. */
		set_desc(b, S_SMALL, make_desc(0, CODE + 16, AR_P | AR_S | AR_DB | 0xa));
		force_seg(b, CS, S_SMALL);
		cpu_mode_changed(&b->cpu);
		b->cpu.rip = CODE;
		b->cpu.activity = CPU_ACTIVE;
		b->cpu.r[RAX] = 0;
		run_to_halt(b, 100);
		ck_assert_uint_eq(b->cpu.r[RAX], 8);
		box_free(b);
	}
}
END_TEST

START_TEST(limit_and_branches)
{
	struct box *b = limited(CODE + 0x1ff);

	CODE_AT(b, CODE, 0xe9, 0xfb, 0x01, 0x00, 0x00); /* jmp CODE + 200h */
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_GP, 0).rip, CODE);
	b->cpu.activity = CPU_ACTIVE;
	force_seg(b, CS, S_SMALL);
	cpu_mode_changed(&b->cpu);
	b->cpu.rip = CODE;
	CODE_AT(b, CODE, 0xe8, 0xfb, 0x01, 0x00, 0x00); /* call: nothing is pushed */
	struct iframe f = run_to_fault(b, 100, EXC_GP, 0);
	ck_assert_uint_eq(f.rip, CODE);
	force_seg(b, CS, S_SMALL);
	cpu_mode_changed(&b->cpu);
	b->cpu.rip = CODE;
	b->cpu.activity = CPU_ACTIVE;
	b->cpu.r[RAX] = CODE + 0x1ff;
	CODE_AT(b, CODE, 0xff, 0xe0); /* to the last byte */
	b->ram[CODE + 0x1ff] = 0xf4;
	cpu_ram_written(&b->cpu, CODE + 0x1ff, 1);
	run_to_halt(b, 10);
	ck_assert_int_eq(halted_in(b), -1);
	box_free(b);
}
END_TEST

START_TEST(limit_goes_before_the_next_page)
{
	/* An instruction over both the limit and the end of the last present page: #GP, not #PF. */
	struct box *b = guest_paged32(0);

	CODE_AT(b, SMALL + 0xffe, 0xb8, 0x01);
	page_flags(b, SMALL + 0x1000, 0);
	set_desc(b, S_SMALL, make_desc(0, (SMALL >> 12), AR_P | AR_S | AR_DB | AR_G | 0xa));
	force_seg(b, CS, S_SMALL);
	cpu_mode_changed(&b->cpu);
	ck_assert_uint_eq(b->cpu.seg[CS].limit, SMALL + 0xfff);
	b->cpu.rip = SMALL + 0xffe;
	run_to_fault(b, 10, EXC_GP, 0);
	box_free(b);
}
END_TEST

START_TEST(data_limits)
{
	/* mov [ebx], eax at the edges of a byte-granular and of an expand-down segment */
	for (unsigned down = 0; down < 2; down++) {
		for (int at = -8; at < 8; at++) {
			struct box *b = guest_flat32(0);
			u32 off = 0xfff + 1 + at;
			bool fits = down ? off > 0xfff : off + 3 <= 0xfff;

			CODE_AT(b, CODE, 0x89, 0x03, 0xf4);
			set_desc(b, S_DOWN,
				 make_desc(DATA, 0xfff, AR_P | AR_S | AR_DB | (down ? 6 : 2)));
			force_seg(b, DS, S_DOWN);
			cpu_mode_changed(&b->cpu);
			b->cpu.r[RBX] = off;
			b->cpu.r[RAX] = 0x55;
			run_to_halt(b, 10);
			ck_assert_msg(halted_in(b) == (fits ? -1 : EXC_GP), "offset %x %s", off,
				      down ? "down" : "up");
			ck_assert_uint_eq(peek(b, DATA + off, 1), fits ? 0x55 : 0);
			box_free(b);
		}
	}
}
END_TEST

/* ---- virtual-8086 mode ---------------------------------------------------------------------- */

START_TEST(virtual_8086)
{
	struct box *b = box_v86(3);
	struct iframe f;

	handlers_halt(b);
	for (unsigned v = 0; v < 256; v++)
		poke(b, IDT + 8 * v, make_gate(S_CODE, HANDLER + v * 4, ST_INT, 3), 8);
	LOAD(b, CODE, virtual);
	poke(b, 0x30010, 0x7788, 2);
	run_to_halt(b, 100);
	ck_assert_int_eq(halted_in(b), 0x80);
	f = frame_of(b, false);
	ck_assert_uint_eq(b->cpu.r[RBX] & 0xffff, 0x1234);
	ck_assert_uint_eq(b->cpu.r[RCX] & 0xffff, 0x7788);
	ck_assert(f.flags & FL_VM);
	ck_assert_uint_eq(f.cs, CODE >> 4);
	ck_assert_uint_eq(f.rsp, 0x800);
	/* back by IRET, into the HLT that is the monitor's business */
	CODE_AT(b, HANDLER + 4 * 0x80 + 1, 0xcf);
	b->cpu.activity = CPU_ACTIVE;
	f = run_to_fault(b, 100, EXC_GP, 0);
	ck_assert_uint_eq(f.rip, guest_virtual_end - guest_virtual - 2);
	ck_assert(f.flags & FL_VM);
	box_free(b);
}
END_TEST

/* ---- compatibility mode --------------------------------------------------------------------- */

START_TEST(compatibility_mode)
{
	struct box *b = guest_long(0);
	struct cpu *c = &b->cpu;

	force_seg(b, CS, S_CODE);
	for (unsigned s = ES; s <= GS; s++)
		if (s != CS)
			force_seg(b, s, S_DATA);
	cpu_mode_changed(c);
	/* inc eax (a REX prefix in 64-bit mode); mov ecx, [ebx + 10h] wraps at 4 GiB; push, pop of
	 * 4 bytes; hlt */
	CODE_AT(b, CODE, 0x40, 0x8b, 0x4b, 0x10, 0x50, 0x5a, 0xf4);
	c->r[RAX] = 0xffffffff;
	c->r[RBX] = (u32)(DATA - 0x10);
	poke(b, DATA, 0x99887766, 4);
	run_to_halt(b, 10);
	ck_assert_int_eq(halted_in(b), -1);
	ck_assert_uint_eq(c->r[RAX], 0);
	ck_assert_uint_eq(c->r[RCX], 0x99887766);
	/* An interrupt goes to 64-bit code, with a 64-bit frame. */
	CODE_AT(b, CODE, 0xcd, 0x80);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_int_eq(halted_in(b), 0x80);
	ck_assert_uint_eq(frame_of(b, false).cs, S_CODE);
	box_free(b);
}
END_TEST

START_TEST(address_size_in_64_bit_code)
{
	struct box *b = guest_long(0);
	struct cpu *c = &b->cpu;

	/* mov eax, [ebx + ecx]: truncated to 32 bits; lea edx, [ebx + ecx]; mov esi, fs:[ebx] */
	CODE_AT(b, CODE, 0x67, 0x8b, 0x04, 0x0b, 0x67, 0x48, 0x8d, 0x14, 0x0b, 0x64, 0x67, 0x8b,
		0x33, 0xf4);
	c->r[RBX] = 0xffffffff00000000ull + DATA + 0x1000;
	c->r[RCX] = 0xfffff000;
	c->r[R_SEGBASE + FS] = 0x100;
	poke(b, DATA, 0xaabbccdd, 4);
	poke(b, DATA + 0x1100, 0x01020304, 4);
	run_to_halt(b, 10);
	ck_assert_int_eq(halted_in(b), -1);
	ck_assert_uint_eq(c->r[RAX], 0xaabbccdd);
	ck_assert_uint_eq(c->r[RDX], DATA);
	ck_assert_uint_eq(c->r[RSI], 0x01020304);
	box_free(b);
}
END_TEST

/* ---- A20 ------------------------------------------------------------------------------------ */

static void a20(struct box *b, bool masked)
{
	b->cpu.a20_masked = masked;
	cpu_mode_changed(&b->cpu);
}

START_TEST(a20_gate)
{
	/* mov al, [0010h] with DS = FFFF: 100000h or 0; the code itself above 1 MiB likewise */
	struct box *b = guest_real(CODE >> 4);
	struct cpu *c = &b->cpu;

	CODE_AT(b, CODE, 0xa0, 0x10, 0x00, 0xf4);
	b->ram[0x100000] = 0x11;
	b->ram[0] = 0x22;
	for (unsigned i = 0; i < 4; i++) {
		seg_install_real(c, CS, CODE >> 4, false);
		seg_install_real(c, DS, 0xffff, false);
		a20(b, i & 1);
		c->rip = 0;
		c->activity = CPU_ACTIVE;
		run_to_halt(b, 10);
		ck_assert_uint_eq(c->r[RAX], i & 1 ? 0x22 : 0x11);
	}
	CODE_AT(b, 0x100100, 0xb3, 0x33, 0xf4); /* mov bl, 33h; hlt at FFFF:0110 */
	CODE_AT(b, 0x100, 0xb3, 0x44, 0xf4);
	for (unsigned i = 0; i < 4; i++) {
		seg_install_real(c, CS, 0xffff, false);
		a20(b, i & 1);
		c->rip = 0x110;
		c->activity = CPU_ACTIVE;
		run_to_halt(b, 10);
		ck_assert_uint_eq(c->r[RBX], i & 1 ? 0x44 : 0x33);
	}
	/* A store through the mask hits code that was built from below 1 MiB. */
	a20(b, true);
	CODE_AT(b, CODE, 0xc6, 0x06, 0x11, 0x01, 0x55, 0xf4); /* mov byte [0111h], 55h */
	seg_install_real(c, CS, CODE >> 4, false);
	seg_install_real(c, DS, 0xffff, false);
	cpu_mode_changed(c);
	c->rip = 0;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	seg_install_real(c, CS, 0, false);
	cpu_mode_changed(c);
	c->rip = 0x100;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_uint_eq(c->r[RBX], 0x55);
	box_free(b);
}
END_TEST

/* ---- privilege ------------------------------------------------------------------------------ */

START_TEST(blocks_of_two_privileges)
{
	/* The same code page from CPL 3 and CPL 0: RDMSR in it faults in one of them only, cached
	 * or not. */
	struct box *b = guest_long(3);
	struct cpu *c = &b->cpu;

	CODE_AT(b, CODE, 0xb9, 0x10, 0x00, 0x00, 0x00, 0x0f, 0x32, 0xcd, 0x80);
	poke(b, IDT + 16 * 0x80 + 5, 0xee, 1);
	for (unsigned i = 0; i < 4; i++) {
		force_seg(b, CS, i & 1 ? S_CODE64 : S_CODE64_3 | 3);
		force_seg(b, SS, i & 1 ? S_DATA : S_DATA3 | 3);
		c->cpl = i & 1 ? 0 : 3;
		cpu_mode_changed(c);
		c->rip = CODE;
		c->r[RSP] = STACK3;
		c->activity = CPU_ACTIVE;
		run_to_halt(b, 10);
		ck_assert_int_eq(halted_in(b), i & 1 ? 0x80 : EXC_GP);
	}
	/* A page that the user may not execute stays closed though its block is cached. */
	CODE_AT(b, SMALL, 0x90, 0xcd, 0x80);
	page_flags(b, SMALL, PTE_SUPER);
	for (unsigned i = 0; i < 4; i++) {
		force_seg(b, CS, i & 1 ? S_CODE64_3 | 3 : S_CODE64);
		force_seg(b, SS, i & 1 ? S_DATA3 | 3 : S_DATA);
		c->cpl = i & 1 ? 3 : 0;
		cpu_mode_changed(c);
		c->rip = SMALL;
		c->r[RSP] = STACK3;
		c->activity = CPU_ACTIVE;
		if (i & 1)
			run_to_fault(b, 10, EXC_PF, 0x15);
		else
			run_to_halt(b, 10);
		ck_assert_int_eq(halted_in(b), i & 1 ? EXC_PF : 0x80);
	}
	box_free(b);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    grand_tour,
	    big_real_mode,
	    data_segment_is_rebased,
	    jumps_wrap_at_64k,
	    running_off_the_segment,
	    prefixes_in_16_bit_code,
	    stack_width_by_ss,
	    limit_at_the_block_end,
	    limit_and_branches,
	    limit_goes_before_the_next_page,
	    data_limits,
	    virtual_8086,
	    compatibility_mode,
	    address_size_in_64_bit_code,
	    a20_gate,
	    blocks_of_two_privileges,
	};
	return run_cases("modes", tests, ARRAY_SIZE(tests));
}
