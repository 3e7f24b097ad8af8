/*
 * Single steps and breakpoints (SDM Vol. 3B, 17.2 and 17.3).
 */
#include "guest.h"

#define DB_HANDLER 0x1a000
#define LOG        ARENA_PAGE /* the handler's record: count, then per #DB rip, DR6, pushed flags */

static struct box *b;
static struct cpu *c;

/* The #DB handler: records, clears DR6, sets RF in the frame if it is a breakpoint fault's, and
 * returns. */
static void install(void)
{
	static const u8
	    handler[] =
		{
		    0x50,                                           /* push rax */
		    0x53,                                           /* push rbx */
		    0x8b, 0x1c, 0x25, 0x00, 0x00, 0x21, 0x00,       /* mov ebx, [LOG] */
		    0x8d, 0x1c, 0x5b,                               /* lea ebx, [rbx+rbx*2] */
		    0x48, 0x8b, 0x44, 0x24, 0x10,                   /* mov rax, [rsp+16]: rip */
		    0x48, 0x89, 0x04, 0xdd, 0x08, 0x00, 0x21, 0x00, /* mov [rbx*8+LOG+8], rax */
		    0x0f, 0x21, 0xf0,                               /* mov rax, dr6 */
		    0x48, 0x89, 0x04, 0xdd, 0x10, 0x00, 0x21, 0x00,
		    0x48, 0x8b, 0x44, 0x24, 0x20, /* mov rax, [rsp+32]: flags */
		    0x48, 0x89, 0x04, 0xdd, 0x18, 0x00, 0x21, 0x00,
		    0x81, 0x4c, 0x24, 0x20, 0x00, 0x00, 0x01, 0x00, /* or dword [rsp+32], RF */
		    0xb8, 0xf0, 0x0f, 0xff, 0xff,                   /* mov eax, ffff0ff0 */
		    0x0f, 0x23, 0xf0,                               /* mov dr6, rax */
		    0xff, 0x04, 0x25, 0x00, 0x00, 0x21, 0x00,       /* inc dword [LOG] */
		    0x5b, 0x58, 0x48, 0xcf,                         /* pop rbx; pop rax; iretq */
		};

	load_bytes(b, DB_HANDLER, handler, sizeof(handler));
	poke(b, IDT + 16 * EXC_DB, make_gate(S_CODE64, DB_HANDLER, ST_INT, 0), 8);
}

static void setup(void)
{
	b = guest_long(0);
	c = &b->cpu;
	force_seg(b, SS, S_DATA);
	install();
}

static void teardown(void)
{
	box_free(b);
}

struct hit {
	u64 rip;
	u32 dr6, flags;
};

static unsigned hits(void)
{
	return (unsigned)peek(b, LOG, 4);
}

static struct hit hit(unsigned i)
{
	ck_assert_uint_lt(i, hits());
	return (struct hit){peek(b, LOG + 8 + 24 * i, 8), (u32)peek(b, LOG + 16 + 24 * i, 4),
			    (u32)peek(b, LOG + 24 + 24 * i, 4)};
}

static void set_dr7(u64 v)
{
	c->dr[7] = 0x400 | v;
	mmu_flush_all(c);
	cpu_mode_changed(c);
}

static void run_steps(void)
{
	run_to_halt(b, 100000);
	ck_assert_int_eq(halted_in(b), -1);
}

/* The program traps with DR6 = BS at exactly these offsets. */
static void steps_at(const u8 *code, unsigned n, const u8 *offsets, unsigned count)
{
	load_bytes(b, CODE, code, n);
	run_steps();
	for (unsigned i = 0; i < MIN(count, hits()); i++) {
		ck_assert_msg(hit(i).rip == (u64)CODE + offsets[i], "step %u at %llx, not +%x", i,
			      (unsigned long long)hit(i).rip, offsets[i]);
		ck_assert_uint_eq(hit(i).dr6, 0xffff4ff0);
	}
	ck_assert_uint_eq(hits(), count);
}
#define STEPS(code, ...)                                                                           \
	do {                                                                                       \
		const u8 bytes_[] = code;                                                          \
		steps_at(bytes_, sizeof(bytes_), CODE_BYTES(__VA_ARGS__));                         \
	} while (0)
#define BYTES(...)                                                                                 \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static void trap_on(void)
{
	c->rflags |= FL_TF;
	cpu_mode_changed(c);
}

/* ---- single step ---------------------------------------------------------------------------- */

START_TEST(steps_over_plain_instructions)
{
	/* nop; mov eax, 1; push rax; pop rcx; call +0 (ret behind HLT); hlt -- the step out of HLT
	 * wakes it */
	trap_on();
	load_bytes(b, CODE,
		   CODE_BYTES(0x90, 0xb8, 1, 0, 0, 0, 0x50, 0x59, 0xe8, 0x0b, 0, 0, 0, 0xeb, 0x01,
			      0x90, 0x31, 0xc0, 0x9c, 0x81, 0x24, 0x24, 0xff, 0xfe, 0xff, 0xff,
			      0x9d, 0xf4));
	CODE_AT(b, CODE + 0x18, 0xc3);       /* the subroutine */
	CODE_AT(b, CODE + 0x10, 0xeb, 0x0e); /* jmp 20h */
	CODE_AT(b, CODE + 0x20, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0x90, 0xf4);
	run_steps();
	static const u8 at[] = {0x01, 0x06, 0x07, 0x08, 0x18, 0x0d, 0x10, 0x20, 0x21, 0x27, 0x28};
	ck_assert_uint_eq(hits(), ARRAY_SIZE(at));
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		ck_assert_uint_eq(hit(i).rip, (u64)CODE + at[i]);
}
END_TEST

START_TEST(popf_starts_and_ends_stepping)
{
	/* pushf; or [rsp], TF; popf; nop; nop; pushf; and [rsp], ~TF; popf; nop; hlt */
	STEPS(BYTES(0x9c, 0x66, 0x81, 0x0c, 0x24, 0x00, 0x01, 0x9d, 0x90, 0x90, 0x9c, 0x66, 0x81,
		    0x24, 0x24, 0xff, 0xfe, 0x9d, 0x90, 0xf4),
	      /* not after the POPF that sets it; still after the one that clears it */
	      0x09, 0x0a, 0x0b, 0x11, 0x12);
}
END_TEST

START_TEST(iret_starts_stepping)
{
	load_bytes(b, CODE, CODE_BYTES(0x48, 0xcf));
	load_bytes(b, CODE + 0x10,
		   CODE_BYTES(0x90, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4));
	c->r[RSP] -= 40;
	poke(b, STACK0 - 40, CODE + 0x10, 8);
	poke(b, STACK0 - 32, S_CODE64, 8);
	poke(b, STACK0 - 24, FL_R1 | FL_TF, 8);
	poke(b, STACK0 - 16, STACK0, 8);
	poke(b, STACK0 - 8, S_DATA, 8);
	run_steps();
	ck_assert_uint_eq(hits(), 5);
	ck_assert_uint_eq(hit(0).rip, CODE + 0x11);
	ck_assert_uint_eq(hit(1).rip, CODE + 0x12);
}
END_TEST

START_TEST(repeats_step_each_iteration)
{
	/* rep stosb of 3; and flags off; hlt */
	c->r[RCX] = 3;
	c->r[RDI] = ARENA_PAGE + 0x800;
	trap_on();
	STEPS(BYTES(0xf3, 0xaa, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4), 0x00, 0x00,
	      0x02, 0x03, 0x09, 0x0a);
	/* Between iterations RF is set in the frame, after the last it is not. */
	ck_assert(hit(0).flags & FL_RF);
	ck_assert(hit(1).flags & FL_RF);
	ck_assert(!(hit(2).flags & FL_RF));
	ck_assert_uint_eq(c->r[RCX], 0);
	ck_assert_uint_eq(c->r[RDI], ARENA_PAGE + 0x803);
}
END_TEST

START_TEST(repeat_of_none_steps_once)
{
	c->r[RCX] = 0;
	trap_on();
	STEPS(BYTES(0xf3, 0xaa, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4), 0x02, 0x03,
	      0x09, 0x0a);
}
END_TEST

START_TEST(mov_ss_swallows_a_step)
{
	/* mov eax, ss; mov ss, eax; nop; off; hlt */
	trap_on();
	STEPS(BYTES(0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d,
		    0xf4),
	      0x02, 0x05, 0x06, 0x0c, 0x0d);
}
END_TEST

START_TEST(sti_does_not_swallow_a_step)
{
	trap_on();
	STEPS(BYTES(0xfb, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4), 0x01, 0x02,
	      0x03, 0x09, 0x0a);
}
END_TEST

START_TEST(faults_and_interrupts_hide_steps)
{
	/* ud2 under TF: the handler runs without steps; its return goes on stepping. */
	CODE_AT(b, HANDLER + 4 * EXC_UD, 0xeb, 0x7e - 4 * EXC_UD); /* jmp HANDLER + 80h */
	CODE_AT(b, HANDLER + 0x80, 0x48, 0x83, 0x04, 0x24, 0x02, 0x48,
		0xcf); /* add [rsp], 2; iretq */
	for (unsigned v = 0; v < 256; v++)
		if (v != EXC_UD && v != EXC_DB)
			poke(b, IDT + 16 * v, make_gate(S_CODE64, 0x1c000 + v, ST_INT, 0), 8);
	trap_on();
	STEPS(BYTES(0x90, 0x0f, 0x0b, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4),
	      0x01, 0x04, 0x05, 0x0b, 0x0c);
}
END_TEST

START_TEST(int_n_clears_tf_and_does_not_step)
{
	CODE_AT(b, 0x1c000, 0x90, 0x48, 0xcf);
	poke(b, IDT + 16 * 0x80, make_gate(S_CODE64, 0x1c000, ST_INT, 0), 8);
	trap_on();
	STEPS(BYTES(0x90, 0xcd, 0x80, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4),
	      0x01, 0x04, 0x05, 0x0b, 0x0c);
}
END_TEST

START_TEST(syscall_masks_the_step)
{
	/* SYSCALL with SFMASK.TF: no trap at the target; without: one there. */
	for (unsigned masked = 0; masked < 2; masked++) {
		box_free(b);
		setup();
		c->efer |= EFER_SCE;
		c->star = (u64)S_CODE64 << 32;
		c->lstar = CODE + 0x100;
		c->sfmask = masked ? FL_TF : 0;
		set_desc(b, S_CODE64 + 8, peek(b, GDT + S_DATA, 8));
		CODE_AT(b, CODE, 0x0f, 0x05);
		CODE_AT(b, CODE + 0x100, 0x90, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d,
			0xf4);
		trap_on();
		run_steps();
		ck_assert_uint_eq(hits(), masked ? 0 : 5);
		if (!masked)
			ck_assert_uint_eq(hit(0).rip, CODE + 0x100);
	}
}
END_TEST

START_TEST(a_step_wakes_hlt)
{
	/* hlt under TF: the trap behind it is taken, and goes on. */
	CODE_AT(b, CODE, 0xf4, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4);
	trap_on();
	run_steps();
	ck_assert_uint_eq(hit(0).rip, CODE + 1);
	ck_assert_uint_eq(c->rip, CODE + 10);
}
END_TEST

START_TEST(icebp)
{
	CODE_AT(b, CODE, 0x90, 0xf1, 0x90, 0xf4);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE + 2);
	ck_assert_uint_eq(hit(0).dr6, 0xffff0ff0);
}
END_TEST

/* ---- instruction breakpoints ---------------------------------------------------------------- */

START_TEST(instruction_breakpoints)
{
	/* In the middle of what would be one block; RF from the handler steps over it. */
	CODE_AT(b, CODE, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xf4);
	c->dr[0] = CODE + 2;
	c->dr[3] = CODE + 4;
	set_dr7(0x81); /* L0, G3 */
	run_steps();
	ck_assert_uint_eq(hits(), 2);
	ck_assert_uint_eq(hit(0).rip, CODE + 2);
	ck_assert_uint_eq(hit(0).dr6, 0xffff0ff1);
	ck_assert(!(hit(0).flags & FL_RF));
	ck_assert_uint_eq(hit(1).rip, CODE + 4);
	ck_assert_uint_eq(hit(1).dr6, 0xffff0ff8);
	ck_assert_uint_eq(c->r[RAX], 3);
	ck_assert(!(c->rflags & FL_RF));
}
END_TEST

START_TEST(breakpoints_armed_by_the_guest)
{
	/* mov eax, CODE + 20h; mov dr0, rax; mov eax, 2; mov dr7, rax; jmp 20h */
	CODE_AT(b, CODE + 0x20, 0x90, 0xf4);
	cpu_run(c, 0);
	CODE_AT(b, CODE, 0xb8, 0x20, 0x00, 0x01, 0x00, 0x0f, 0x23, 0xc0, 0xb8, 0x02, 0x00, 0x00,
		0x00, 0x0f, 0x23, 0xf8, 0xeb, 0x0e);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE + 0x20);
	/* and disarmed: the cached blocks of both kinds live side by side */
	set_dr7(0);
	c->rip = CODE + 0x20;
	c->activity = CPU_ACTIVE;
	run_steps();
	ck_assert_uint_eq(hits(), 1);
}
END_TEST

START_TEST(breakpoint_on_a_repeat_hits_once)
{
	CODE_AT(b, CODE, 0xf3, 0xaa, 0xf4);
	c->r[RCX] = 200000; /* more than one piece */
	c->r[RDI] = ARENA_PAGE + 0x800;
	c->dr[1] = CODE;
	set_dr7(4);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).dr6, 0xffff0ff2);
	ck_assert_uint_eq(c->r[RDI], ARENA_PAGE + 0x800 + 200000);
}
END_TEST

START_TEST(mov_ss_shades_a_breakpoint)
{
	CODE_AT(b, CODE, 0x8c, 0xd0, 0x8e, 0xd0, 0x90, 0x90, 0xf4);
	c->dr[0] = CODE + 4;
	c->dr[1] = CODE + 5;
	set_dr7(5);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE + 5);
}
END_TEST

START_TEST(sti_does_not_shade_a_breakpoint)
{
	CODE_AT(b, CODE, 0xfb, 0x90, 0xf4);
	c->dr[0] = CODE + 1;
	set_dr7(1);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
}
END_TEST

/* ---- data and I/O breakpoints --------------------------------------------------------------- */

#define WATCHED        (ARENA_PAGE + 0x900)
#define DR7_WRITE(len) (1u << 16 | (len) << 18)
#define DR7_RW(len)    (3u << 16 | (len) << 18)
#define DR7_IO(len)    (2u << 16 | (len) << 18)

START_TEST(data_breakpoints_trap_behind_the_access)
{
	static const struct {
		u8 code[8];
		u8 n;
		bool read, write;
	} access[] = {
	    {{0x89, 0x03}, 2, false, true}, /* mov [rbx], eax */
	    {{0x8b, 0x03}, 2, true, false},
	    {{0x01, 0x03}, 2, true, true},
	    {{0x3b, 0x03}, 2, true, false},
	    {{0xff, 0x33}, 2, true, false}, /* push [rbx] */
	    {{0x8f, 0x03}, 2, false, true}, /* pop [rbx] */
	    {{0x0f, 0xaf, 0x03}, 3, true, false},
	    {{0xff, 0x03}, 2, true, true},
	    {{0x0f, 0x11, 0x03}, 3, false, true},
	    {{0x0f, 0x10, 0x03}, 3, true, false},
	    {{0xdd, 0x03}, 2, true, false}, /* fld */
	    {{0x87, 0x03}, 2, true, true},
	    {{0xa4}, 1, true, false}, /* movsb */
	    {{0xaa}, 1, false, true}, /* stosb */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(access); i++) {
		for (unsigned rw = 0; rw < 2; rw++) {
			unsigned expect = rw ? access[i].read || access[i].write : access[i].write;
			box_free(b);
			setup();
			load_bytes(b, CODE, access[i].code, access[i].n);
			CODE_AT(b, CODE + access[i].n, 0x89, 0xca, 0x31, 0xc9, 0xf4);
			c->r[RBX] = WATCHED;
			c->r[RSI] = WATCHED;
			c->r[RDI] = i == 13 ? WATCHED : WATCHED + 0x100;
			c->dr[0] = WATCHED;
			set_dr7(2 | (rw ? DR7_RW(3) : DR7_WRITE(3)));
			run_steps();
			ck_assert_msg(hits() == expect, "access %u, %s: %u hits", i,
				      rw ? "rw" : "write", hits());
			if (expect) {
				ck_assert_uint_eq(hit(0).rip, (u64)CODE + access[i].n);
				ck_assert_uint_eq(hit(0).dr6, 0xffff0ff1);
			}
		}
	}
}
END_TEST

START_TEST(data_breakpoints_by_length)
{
	static const u8 lens[] = {1, 2, 8, 4};

	for (unsigned l = 0; l < 4; l++) {
		for (int off = -9; off < 9; off++) {
			bool over = off < (int)lens[l] && off + 4 > 0;
			box_free(b);
			setup();
			CODE_AT(b, CODE, 0x89, 0x03, 0x90, 0xf4);
			c->r[RBX] = WATCHED + off;
			c->dr[2] = WATCHED;
			set_dr7(1u << 5 | 1u << 24 | l << 26);
			run_steps();
			ck_assert_msg(hits() == over, "length %u offset %d: %u hits", lens[l], off,
				      hits());
		}
	}
}
END_TEST

START_TEST(data_breakpoints_in_repeats)
{
	/* rep stosb over the watched byte: trapped right behind that iteration, and RF is set there
	 */
	CODE_AT(b, CODE, 0xf3, 0xaa, 0xf4);
	c->r[RCX] = 100;
	c->r[RDI] = WATCHED - 50;
	c->dr[0] = WATCHED;
	set_dr7(1 | DR7_WRITE(0));
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE);
	ck_assert(hit(0).flags & FL_RF);
	ck_assert_uint_eq(c->r[RCX], 0);
	ck_assert_uint_eq(b->ram[WATCHED + 49], (u8)c->r[RAX]);
}
END_TEST

START_TEST(data_and_step_are_one_trap)
{
	CODE_AT(b, CODE, 0x89, 0x03, 0x9c, 0x66, 0x81, 0x24, 0x24, 0xff, 0xfe, 0x9d, 0xf4);
	c->r[RBX] = WATCHED;
	c->dr[0] = WATCHED;
	set_dr7(1 | DR7_WRITE(3));
	trap_on();
	run_steps();
	ck_assert_uint_eq(hit(0).dr6, 0xffff4ff1);
	ck_assert_uint_eq(hit(0).rip, CODE + 2);
}
END_TEST

START_TEST(mov_ss_puts_a_data_breakpoint_off)
{
	/* mov ss, [rbx]; nop; nop; hlt */
	CODE_AT(b, CODE, 0x8e, 0x13, 0x90, 0x90, 0xf4);
	poke(b, WATCHED, S_DATA, 2);
	c->r[RBX] = WATCHED;
	c->dr[0] = WATCHED;
	set_dr7(1 | DR7_RW(1));
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE + 3);
	ck_assert_uint_eq(hit(0).dr6, 0xffff0ff1);
}
END_TEST

START_TEST(a_fault_cancels_data_breakpoints)
{
	/* push [rbx] reads the watched word, then its push faults. */
	page_flags(b, SMALL + 0x5000, 0);
	poke(b, IDT + 16 * EXC_PF + 4, 1, 1);
	CODE_AT(b, CODE, 0xff, 0x33, 0xf4);
	c->r[RBX] = WATCHED;
	c->r[RSP] = SMALL + 0x5800;
	c->dr[0] = WATCHED;
	set_dr7(1 | DR7_RW(3));
	run_to_fault(b, 100, EXC_PF, 2);
	ck_assert_uint_eq(hits(), 0);
}
END_TEST

START_TEST(io_breakpoints)
{
	/* out 42h, al; in al, 43h; hlt */
	for (unsigned de = 0; de < 2; de++) {
		box_free(b);
		setup();
		CODE_AT(b, CODE, 0xe6, 0x42, 0xe4, 0x43, 0xe4, 0x44, 0x90, 0xf4);
		c->cr4 |= de ? CR4_DE : 0;
		c->dr[0] = 0x42;
		set_dr7(1 | DR7_IO(1));
		run_steps();
		ck_assert_uint_eq(hits(), de ? 2 : 0);
		if (de) {
			ck_assert_uint_eq(hit(0).rip, CODE + 2);
			ck_assert_uint_eq(hit(1).rip, CODE + 4);
		}
	}
}
END_TEST

START_TEST(general_detect)
{
	/* mov rax, dr0 under GD: a fault before it, with RF; GD is off in the handler. */
	CODE_AT(b, CODE, 0x90, 0x0f, 0x21, 0xc0, 0xf4);
	set_dr7(0x2000);
	run_steps();
	ck_assert_uint_eq(hits(), 1);
	ck_assert_uint_eq(hit(0).rip, CODE + 1);
	ck_assert_uint_eq(hit(0).dr6, 0xffff2ff0);
	ck_assert(hit(0).flags & FL_RF);
	ck_assert_uint_eq(c->dr[7] & 0x2000, 0);
}
END_TEST

START_TEST(rf_survives_a_fault_and_is_pushed)
{
	/* A fault on an instruction with a breakpoint, RF set: its frame has RF, so the restart
	 * does not hit again. */
	CODE_AT(b, CODE, 0x0f, 0x0b);
	CODE_AT(b, HANDLER + 4 * EXC_UD, 0x48, 0xcf);
	c->dr[0] = CODE;
	set_dr7(1);
	cpu_run(c, 40);
	ck_assert_uint_eq(hits(), 1);
}
END_TEST

START_TEST(pushf_does_not_show_rf)
{
	CODE_AT(b, CODE, 0x9c, 0x58, 0xf4);
	c->rflags |= FL_RF;
	run_steps();
	ck_assert_uint_eq(c->r[RAX], FL_R1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    steps_over_plain_instructions,
	    popf_starts_and_ends_stepping,
	    iret_starts_stepping,
	    repeats_step_each_iteration,
	    repeat_of_none_steps_once,
	    mov_ss_swallows_a_step,
	    sti_does_not_swallow_a_step,
	    faults_and_interrupts_hide_steps,
	    int_n_clears_tf_and_does_not_step,
	    syscall_masks_the_step,
	    a_step_wakes_hlt,
	    icebp,
	    instruction_breakpoints,
	    breakpoints_armed_by_the_guest,
	    breakpoint_on_a_repeat_hits_once,
	    mov_ss_shades_a_breakpoint,
	    sti_does_not_shade_a_breakpoint,
	    data_breakpoints_trap_behind_the_access,
	    data_breakpoints_by_length,
	    data_breakpoints_in_repeats,
	    data_and_step_are_one_trap,
	    mov_ss_puts_a_data_breakpoint_off,
	    a_fault_cancels_data_breakpoints,
	    io_breakpoints,
	    general_detect,
	    rf_survives_a_fault_and_is_pushed,
	    pushf_does_not_show_rf,
	};
	return run_cases_with("debug", tests, ARRAY_SIZE(tests), setup, teardown);
}
