/*
 * Every exception with its exact error code, and what must be left when one arises: the state
 * before the instruction (restartability), flags that a block had not computed yet included. SDM
 * Vol. 3A, chapter 6.
 */
#include "guest.h"

#define BAD     (SMALL + 0x5000) /* a page that the cases make absent or read-only */
#define BAD_END (BAD + 0x1000)

static struct box *b;
static struct cpu *c;

static void use(struct box *x)
{
	if (b)
		box_free(b);
	b = x;
	c = &b->cpu;
}

static void setup(void)
{
	b = NULL;
	use(guest_long(0));
}

static void teardown(void)
{
	box_free(b);
}

/* The code at CODE faults with @vec(@err) in its first instruction; returns the frame. */
static struct iframe faults(unsigned vec, u32 err, const u8 *code, unsigned n)
{
	struct iframe f;

	load_bytes(b, CODE, code, n);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	f = run_to_fault(b, 100, vec, err);
	ck_assert_msg(f.rip == CODE, "vector %u is reported at %llx", vec,
		      (unsigned long long)f.rip);
	return f;
}
#define FAULT(vec, err, ...) faults(vec, err, CODE_BYTES(__VA_ARGS__))

/* ---- every vector --------------------------------------------------------------------------- */

START_TEST(divide_errors)
{
	c->r[RAX] = 1;
	FAULT(EXC_DE, 0, 0xf7, 0xf1); /* div ecx = 0 */
	c->r[RCX] = 1;
	c->r[RDX] = 1;
	FAULT(EXC_DE, 0, 0xf7, 0xf1); /* quotient of 33 bits */
	c->r[RAX] = 0x80000000;
	c->r[RDX] = 0xffffffff;
	c->r[RCX] = 0xffffffff;
	FAULT(EXC_DE, 0, 0xf7, 0xf9); /* idiv: -2^31 / -1 */
	c->r[RAX] = 0x8000;
	c->r[RCX] = 0xff;
	FAULT(EXC_DE, 0, 0xf6, 0xf9); /* idiv cl */
	c->r[RAX] = 0;
	c->r[RDX] = 1ull << 63;
	c->r[RCX] = ~0ull;
	FAULT(EXC_DE, 0, 0x48, 0xf7, 0xf9);
	use(guest_flat32(0));
	FAULT(EXC_DE, 0, 0xd4, 0x00); /* aam 0 */
}
END_TEST

START_TEST(traps_point_behind)
{
	static const struct {
		u8 code[2];
		unsigned n, vec;
	} trap[] = {{{0xcc}, 1, EXC_BP},
		    {{0xcd, 0x03}, 2, EXC_BP},
		    {{0xf1}, 1, EXC_DB},
		    {{0xcd, 0x80}, 2, 0x80}};

	for (unsigned i = 0; i < ARRAY_SIZE(trap); i++) {
		use(guest_long(0));
		load_bytes(b, CODE, trap[i].code, trap[i].n);
		ck_assert_uint_eq(run_to_fault(b, 100, trap[i].vec, 0).rip, CODE + trap[i].n);
	}
	use(guest_flat32(0));
	CODE_AT(b, CODE, 0xce); /* into */
	c->rflags |= FL_OF;
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_OF, 0).rip, CODE + 1);
}
END_TEST

START_TEST(undefined_opcodes)
{
	FAULT(EXC_UD, 0, 0x0f, 0x0b);
	FAULT(EXC_UD, 0, 0x06);             /* push es in 64-bit mode */
	FAULT(EXC_UD, 0, 0xf0, 0x90);       /* lock nop */
	FAULT(EXC_UD, 0, 0xf0, 0x01, 0xc8); /* lock add eax, ecx */
	FAULT(EXC_UD, 0, 0xf0, 0x39, 0x08); /* lock cmp */
	FAULT(EXC_UD, 0, 0x8e, 0xc8);       /* mov cs, ax */
	FAULT(EXC_UD, 0, 0x8d, 0xc0);       /* lea eax, eax */
	FAULT(EXC_UD, 0, 0x0f, 0x20, 0xc8); /* mov eax, cr1 */
	c->cr4 &= ~CR4_OSFXSR;
	cpu_mode_changed(c);
	FAULT(EXC_UD, 0, 0x0f, 0x58, 0xc1); /* addps without CR4.OSFXSR */
	use(guest_real(CODE >> 4));
	c->rip = 0;
	CODE_AT(b, CODE, 0x0f, 0x00, 0xc0); /* sldt in real mode */
	ck_assert_uint_eq(run_to_fault(b, 10, EXC_UD, 0).rip, 0);
}
END_TEST

START_TEST(device_not_available)
{
	c->cr0 |= CR0_TS;
	cpu_mode_changed(c);
	FAULT(EXC_NM, 0, 0xd9, 0xe8);       /* fld1 */
	FAULT(EXC_NM, 0, 0x0f, 0x58, 0xc1); /* addps */
	FAULT(EXC_NM, 0, 0x0f, 0xfe, 0xc1); /* paddd mm */
	c->cr0 |= CR0_MP;
	FAULT(EXC_NM, 0, 0x9b); /* wait */
	c->cr0 = (c->cr0 & ~CR0_TS) | CR0_EM;
	cpu_mode_changed(c);
	FAULT(EXC_NM, 0, 0xd9, 0xe8);
	FAULT(EXC_UD, 0, 0x0f, 0x58, 0xc1);
	FAULT(EXC_UD, 0, 0x0f, 0xfe, 0xc1);
}
END_TEST

START_TEST(general_protection)
{
	c->r[RBX] = 0x800000000000;
	FAULT(EXC_GP, 0, 0x8b, 0x03); /* mov eax, [rbx], not canonical */
	FAULT(EXC_GP, 0, 0x01, 0x03); /* add [rbx], eax */
	FAULT(EXC_GP, 0, 0xff, 0x33); /* push [rbx] */
	FAULT(EXC_GP, 0, 0xff, 0x13); /* call [rbx] */
	FAULT(EXC_GP, 0, 0xff, 0xe3); /* jmp rbx */
	FAULT(EXC_GP, 0, 0xff, 0xd3); /* call rbx */
	c->r[RCX] = 0x12345678;
	FAULT(EXC_GP, 0, 0x0f, 0x32); /* rdmsr of none */
	c->r[RAX] = 0x1233;
	FAULT(EXC_GP, 0x1230, 0x8e, 0xd8); /* mov ds, ax: beyond the GDT */
	c->r[RAX] = S_EXEC;
	FAULT(EXC_GP, S_EXEC, 0x8e, 0xd8); /* execute-only */
}
END_TEST

START_TEST(int_beyond_the_idt)
{
	c->idtr.limit = 0x80 * 16 - 1;
	FAULT(EXC_GP, 0x80 * 8 + 2, 0xcd, 0x80);
	c->idtr.limit = 0xfff;
	poke(b, IDT + 16 * 0x80 + 5, 0x0e, 1); /* not present */
	FAULT(EXC_NP, 0x80 * 8 + 2, 0xcd, 0x80);
	poke(b, IDT + 16 * 0x80 + 5, 0x8c, 1); /* a call gate */
	FAULT(EXC_GP, 0x80 * 8 + 2, 0xcd, 0x80);
}
END_TEST

START_TEST(user_privilege)
{
	static const struct {
		u8 code[4];
		unsigned n;
		u32 err;
	} gp[] = {
	    {{0xf4}, 1, 0},                  /* hlt */
	    {{0xfa}, 1, 0},                  /* cli */
	    {{0x0f, 0x22, 0xd8}, 3, 0},      /* mov cr3 */
	    {{0x0f, 0x30}, 2, 0},            /* wrmsr */
	    {{0xe6, 0x80}, 2, 0},            /* out */
	    {{0x0f, 0x01, 0x10}, 3, 0},      /* lgdt */
	    {{0xcd, 0x80}, 2, 0x80 * 8 + 2}, /* int through a gate of DPL 0 */
	    {{0x0f, 0x06}, 2, 0},            /* clts */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(gp); i++) {
		use(guest_long(3));
		poke(b, TSS_A + 102, 0x800, 2); /* no I/O bitmap */
		struct iframe f = faults(EXC_GP, gp[i].err, gp[i].code, gp[i].n);
		ck_assert_uint_eq(f.cs, S_CODE64_3 | 3);
		ck_assert_uint_eq(f.ss, S_DATA3 | 3);
		ck_assert_uint_eq(f.rsp, STACK3);
		ck_assert_uint_eq(c->cpl, 0);
	}
}
END_TEST

START_TEST(stack_faults)
{
	c->r[RSP] = 0x900000000000;
	c->seg[TR].limit = 0x67;
	poke(b, IDT + 16 * EXC_SS + 4, 1, 1); /* IST1: there is no stack to fault on */
	static const u8 code[][3] = {{0x50}, {0x58}, {0xc3},       {0xe8},
				     {0xc9}, {0x9c}, {0x6a, 0x01}, {0xff, 0x36}};

	c->r[RBP] = 0x800000000000;
	c->r[RSI] = ARENA_PAGE;
	for (unsigned i = 0; i < ARRAY_SIZE(code); i++) {
		struct iframe f = faults(EXC_SS, 0, code[i], 3);
		ck_assert_uint_eq(f.rsp, 0x900000000000);
		c->r[RSP] = 0x900000000000;
	}
	CODE_AT(b, CODE, 0x8b, 0x45, 0x00); /* mov eax, [rbp] */
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	run_to_fault(b, 10, EXC_SS, 0);
}
END_TEST

START_TEST(page_fault_codes)
{
	c->r[RBX] = BAD;
	page_flags(b, BAD, 0);
	FAULT(EXC_PF, 0, 0x8b, 0x03);
	ck_assert_uint_eq(c->cr2, BAD);
	FAULT(EXC_PF, 2, 0x89, 0x03);
	FAULT(EXC_PF, 2, 0x01, 0x03); /* add [rbx], eax: a write */
	FAULT(EXC_PF, 2, 0xf0, 0x0f, 0xb1, 0x03);
	page_flags(b, BAD, PTE_RO);
	FAULT(EXC_PF, 3, 0x89, 0x03);
	FAULT(EXC_PF, 3, 0x01, 0x03);
	FAULT(EXC_PF, 3, 0x87, 0x03);
	page_set(b, BAD, BAD | PTE_USER | 1ull << 51);
	FAULT(EXC_PF, 9, 0x8b, 0x03); /* reserved bit */
	FAULT(EXC_PF, 11, 0x89, 0x03);
	page_set(b, BAD, BAD | PTE_USER | 1ull << 63);
	c->r[RSP] = STACK0;
	CODE_AT(b, CODE, 0xff, 0xe3); /* jmp to a page of data: the target faults */
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	ck_assert_uint_eq(run_to_fault(b, 10, EXC_PF, 0x11).rip, BAD);
	page_flags(b, BAD, 0);
	CODE_AT(b, CODE, 0xff, 0xd3);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	ck_assert_uint_eq(run_to_fault(b, 10, EXC_PF, 0x10).rip, BAD);

	use(guest_long(3));
	c->r[RBX] = BAD;
	page_flags(b, BAD, 0);
	FAULT(EXC_PF, 4, 0x8b, 0x03);
	use(guest_long(3));
	c->r[RBX] = BAD;
	page_flags(b, BAD, PTE_SUPER);
	FAULT(EXC_PF, 7, 0x89, 0x03);
}
END_TEST

START_TEST(x87_and_simd_errors)
{
	c->cr0 |= CR0_NE;
	x87_set_valid(&c->x87, 0);
	CODE_AT(b, CODE, 0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1, 0xd9, 0xe8, 0xf4);
	x87_set_cw(&c->x87, 0x37f & ~4u); /* fldz; fld1; fdivrp: zero divide unmasked; the next one reports it */
	CODE_AT(b, CODE + 4, 0xde, 0xf1);
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_MF, 0).rip, CODE + 6);
	use(guest_long(0));
	c->cr4 |= CR4_OSXMMEXCPT;
	c->mxcsr = 0x1f80 & ~0x200u;
	c->v[0].ps[0] = 1;
	cpu_mode_changed(c);
	FAULT(EXC_XM, 0, 0xf3, 0x0f, 0x5e, 0xc1); /* divss by 0 */
	ck_assert_uint_eq(c->v[0].d[0], 0x3f800000);
}
END_TEST

START_TEST(alignment_check)
{
	use(guest_long(3));
	c->cr0 |= CR0_AM;
	c->rflags |= FL_AC;
	cpu_mode_changed(c);
	c->r[RBX] = ARENA_PAGE + 1;
	FAULT(EXC_AC, 0, 0x8b, 0x03);
	use(guest_long(3));
	c->cr0 |= CR0_AM;
	c->rflags |= FL_AC;
	cpu_mode_changed(c);
	c->r[RSP] = STACK3 + 4;
	FAULT(EXC_AC, 0, 0x50);
	use(guest_long(3));
	c->cr0 |= CR0_AM;
	c->rflags |= FL_AC;
	c->r[RBX] = ARENA_PAGE + 1;
	cpu_mode_changed(c);
	CODE_AT(b, CODE, 0x8a, 0x03,
		0xf4); /* a byte is always aligned; HLT is the #GP that ends it */
	ck_assert_uint_eq(run_to_fault(b, 100, EXC_GP, 0).rip, CODE + 2);
}
END_TEST

START_TEST(bound_range)
{
	use(guest_flat32(0));
	poke(b, ARENA_PAGE, 5, 4);
	poke(b, ARENA_PAGE + 4, 10, 4);
	c->r[RBX] = ARENA_PAGE;
	c->r[RAX] = 11;
	FAULT(EXC_BR, 0, 0x62, 0x03);
}
END_TEST

START_TEST(too_long)
{
	static const u8 code[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
				    0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90};

	faults(EXC_GP, 0, code, 16);
	load_bytes(b, CODE, code + 1, 15); /* 15 are allowed */
	b->ram[CODE + 15] = 0xf4;
	cpu_ram_written(c, CODE, 16);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
	run_to_halt(b, 10);
	ck_assert_int_eq(halted_in(b), -1);
}
END_TEST

/* ---- restartability ------------------------------------------------------------------------- */

/* Instructions on memory at RBX, which is moved over the edge of a bad page byte by byte. */
struct form {
	u8 code[10];
	u8 n, size;
	bool writes;
	const char *name;
};
#define FORM(size, writes, name, ...)                                                              \
	{                                                                                          \
		{__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}), size, writes, name               \
	}

static const struct form forms[] = {
    FORM(4, false, "mov load", 0x8b, 0x03),
    FORM(8, false, "mov load 64", 0x48, 0x8b, 0x03),
    FORM(4, true, "mov store", 0x89, 0x03),
    FORM(8, true, "mov store 64", 0x48, 0x89, 0x03),
    FORM(4, true, "mov imm", 0xc7, 0x03, 1, 2, 3, 4),
    FORM(4, false, "add load", 0x03, 0x03),
    FORM(4, true, "add rmw", 0x01, 0x03),
    FORM(4, true, "sub imm", 0x83, 0x2b, 0x05),
    FORM(4, true, "adc rmw", 0x11, 0x03),
    FORM(8, true, "xor rmw 64", 0x48, 0x31, 0x03),
    FORM(2, true, "or rmw 16", 0x66, 0x09, 0x03),
    FORM(4, false, "cmp", 0x39, 0x03),
    FORM(4, false, "cmp imm", 0x81, 0x3b, 1, 0, 0, 0),
    FORM(4, false, "test", 0x85, 0x03),
    FORM(4, true, "inc", 0xff, 0x03),
    FORM(4, true, "dec", 0xff, 0x0b),
    FORM(4, true, "not", 0xf7, 0x13),
    FORM(4, true, "neg", 0xf7, 0x1b),
    FORM(4, true, "shl", 0xc1, 0x23, 0x03),
    FORM(4, true, "rol by cl", 0xd3, 0x03),
    FORM(4, true, "rcr", 0xc1, 0x1b, 0x03),
    FORM(4, true, "shld", 0x0f, 0xa4, 0x03, 0x05),
    FORM(4, false, "imul", 0x0f, 0xaf, 0x03),
    FORM(4, false, "mul", 0xf7, 0x23),
    FORM(4, false, "div", 0xf7, 0x33),
    FORM(4, true, "xchg", 0x87, 0x03),
    FORM(4, true, "xadd", 0x0f, 0xc1, 0x03),
    FORM(4, true, "cmpxchg", 0x0f, 0xb1, 0x03),
    FORM(8, true, "cmpxchg8b", 0x0f, 0xc7, 0x0b),
    FORM(4, false, "bt", 0x0f, 0xba, 0x23, 0x03),
    FORM(4, true, "bts", 0x0f, 0xba, 0x2b, 0x03),
    FORM(4, true, "btc by register", 0x0f, 0xbb, 0x0b),
    FORM(4, false, "bsf", 0x0f, 0xbc, 0x03),
    FORM(2, false, "movzx 16", 0x0f, 0xb7, 0x03),
    FORM(4, false, "movsxd", 0x48, 0x63, 0x03),
    FORM(4, false, "cmove", 0x0f, 0x44, 0x03),
    FORM(1, true, "sete", 0x0f, 0x94, 0x03),
    FORM(8, false, "push [rbx]", 0xff, 0x33),
    FORM(8, true, "pop [rbx]", 0x8f, 0x03),
    FORM(8, false, "call [rbx]", 0xff, 0x13),
    FORM(8, false, "jmp [rbx]", 0xff, 0x23),
    FORM(16, false, "movups load", 0x0f, 0x10, 0x03),
    FORM(16, true, "movups store", 0x0f, 0x11, 0x03),
    FORM(8, false, "paddd mm", 0x0f, 0xfe, 0x03),
    FORM(4, false, "addss", 0xf3, 0x0f, 0x58, 0x03),
    FORM(8, false, "fld", 0xdd, 0x03),
    FORM(10, false, "fld 80", 0xdb, 0x2b),
    FORM(8, true, "fstp", 0xdd, 0x1b),
    FORM(10, true, "fstp 80", 0xdb, 0x3b),
    FORM(2, true, "fnstcw", 0xd9, 0x3b),
    FORM(4, true, "stmxcsr", 0x0f, 0xae, 0x1b),
    FORM(10, true, "sgdt", 0x0f, 0x01, 0x03),
    FORM(10, false, "lgdt", 0x0f, 0x01, 0x13),
    FORM(4, true, "movbe", 0x0f, 0x38, 0xf1, 0x03),
    FORM(4, false, "crc32", 0xf2, 0x0f, 0x38, 0xf1, 0x03),
};

static void prepare(const struct form *f, u32 at)
{
	load_bytes(b, CODE, f->code, f->n);
	for (unsigned i = 0; i < 16; i++)
		if (i != RSP)
			c->r[i] =
			    (0x1111111111111111 * i + 0x55) & (cpu_long64(c) ? ~0ull : 0xffffffff);
	c->r[RBX] = at - seg_base(c, DS);
	c->r[RCX] = 5;
	c->r[RDX] = 0;
	c->r[RSP] = STACK0;
	cpu_set_rflags(c, FL_R1 | FL_CF | FL_SF | FL_AF);
	for (unsigned i = 0; i < 8; i++)
		c->v[i].q[0] = c->v[i].q[1] = 0x3ff123456789abcdull + i;
	memset(c->x87.r, 0, sizeof(c->x87.r));
	x87_set_valid(&c->x87, 0x3f);
	x87_set_sw(&c->x87, 0);
	x87_set_cw(&c->x87, 0x37f);
	c->rip = CODE;
	c->activity = CPU_ACTIVE;
}

/* What a fault may not touch. The x87 registers are compared as they are: a faulting load must not
 * have pushed. */
static u64 user_hash(void)
{
	u64 h = 1;

	for (unsigned i = 0; i < 16; i++)
		if (i != RSP)
			HASH_STEP(h, c->r[i]);
	for (unsigned i = 0; i < 8; i++) {
		HASH_STEP(h, c->v[i].q[0]);
		HASH_STEP(h, c->x87.r[i].mant);
		HASH_STEP(h, c->x87.r[i].se);
	}
	HASH_STEP(h, x87_sw(&c->x87));
	HASH_STEP(h, x87_valid(&c->x87));
	HASH_STEP(h, c->gdtr.base);
	return h;
}

static void faulting_form(const struct form *f, bool low, u64 flags)
{
	/* low: the page is bad in front of the operand's end, else behind its start. */
	for (unsigned part = 1; part <= f->size; part++) {
		u32 at = low ? BAD_END - part : BAD - f->size + part;
		u64 before, memory;
		struct iframe fr;

		if (f->size == 1 && low)
			at = BAD;
		prepare(f, at);
		page_flags(b, BAD, flags);
		before = user_hash();
		memory = memory_hash(b, SMALL + 0x4000, SMALL + 0x7000);
		fr = run_to_fault(b, 10, EXC_PF, (flags ? 1 : 0) | (f->writes ? 2 : 0));
		ck_assert_msg(fr.rip == CODE && (!cpu_long64(c) || fr.rsp == STACK0),
			      "%s: at %llx rsp %llx", f->name, (unsigned long long)fr.rip,
			      (unsigned long long)fr.rsp);
		ck_assert_msg((fr.flags & FL_ARITH) == (FL_CF | FL_SF | FL_AF), "%s: flags %llx",
			      f->name, (unsigned long long)fr.flags);
		ck_assert_msg(fr.flags & FL_RF, "%s: RF is not set for the restart", f->name);
		ck_assert_msg(user_hash() == before, "%s: registers changed", f->name);
		ck_assert_msg(memory_hash(b, SMALL + 0x4000, SMALL + 0x7000) == memory,
			      "%s at %x: memory changed", f->name, at);
		ck_assert_msg(c->cr2 == MAX(at, BAD), "%s at %x: CR2 %llx", f->name, at,
			      (unsigned long long)c->cr2);
	}
}

/* Instructions that are others, or have other operands, outside 64-bit mode. */
static bool only_long(const struct form *f)
{
	return f->code[0] == 0x48 || strstr(f->name, "[rbx]") || strstr(f->name, "gdt");
}

START_TEST(every_form_restarts)
{
	/* 64-bit mode, flat 32-bit mode, 32-bit mode with a based data segment */
	if (_i)
		use(guest_paged32(0));
	if (_i == 2) {
		set_desc(b, S_SMALL, make_desc(0x1000, 0xfffff, AR_FLAT | 0x2));
		force_seg(b, DS, S_SMALL);
		cpu_mode_changed(c);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];

		if (_i && only_long(f))
			continue;
		faulting_form(f, true, 0);
		faulting_form(f, false, 0);
		if (f->writes) {
			faulting_form(f, true, PTE_RO);
			faulting_form(f, false, PTE_RO);
		}
	}
}
END_TEST

/* The same across a good page boundary: both halves are there afterwards. */
START_TEST(forms_across_pages)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];

		if (f->size == 1 || !strcmp(f->name, "lgdt") || strstr(f->name, "[rbx]"))
			continue;
		for (unsigned part = 1; part < f->size; part++) {
			u64 seen[2], mem[2];

			for (unsigned crossing = 0; crossing < 2; crossing++) {
				u32 at = crossing ? BAD - part : BAD + 0x100;

				prepare(f, at);
				page_flags(b, BAD, PTE_USER);
				for (unsigned k = 0; k < 16; k++)
					b->ram[at + k] = (u8)(3 * k + 1);
				b->ram[CODE + f->n] = 0xf4;
				cpu_ram_written(c, CODE, 16);
				run_to_halt(b, 10);
				ck_assert_msg(halted_in(b) == -1, "%s faulted", f->name);
				c->r[RBX] = 0;
				seen[crossing] = user_hash();
				HASH_STEP(seen[crossing], cpu_rflags(c));
				mem[crossing] = 1;
				for (unsigned k = 0; k < 16; k++)
					HASH_STEP(mem[crossing], b->ram[at + k]);
			}
			ck_assert_msg(seen[0] == seen[1], "%s: result depends on the page boundary",
				      f->name);
			ck_assert_msg(mem[0] == mem[1], "%s: memory depends on the page boundary",
				      f->name);
		}
	}
}
END_TEST

/* Stack instructions with the stack at the edge of a bad page. */
START_TEST(stack_forms_restart)
{
	static const struct form stack[] = {
	    FORM(8, true, "push rax", 0x50),
	    FORM(8, true, "push imm", 0x6a, 0x05),
	    FORM(8, true, "pushf", 0x9c),
	    FORM(8, true, "call", 0xe8, 0x10, 0x00, 0x00, 0x00),
	    FORM(8, true, "call rax", 0xff, 0xd0),
	    FORM(8, true, "push [rbx]", 0xff, 0x33),
	    FORM(8, true, "enter 16, 0", 0xc8, 0x10, 0x00, 0x00),
	    FORM(2, true, "push ax", 0x66, 0x50),
	    FORM(8, true, "push fs", 0x0f, 0xa0),
	    FORM(8, false, "pop rax", 0x58),
	    FORM(8, false, "popf", 0x9d),
	    FORM(8, false, "ret", 0xc3),
	    FORM(8, false, "ret 16", 0xc2, 0x10, 0x00),
	    FORM(8, false, "pop [rbx]", 0x8f, 0x03),
	    FORM(8, false, "leave", 0xc9),
	    FORM(8, false, "iretq", 0x48, 0xcf),
	    FORM(8, false, "lretq", 0x48, 0xcb),
	    FORM(8, false, "pop fs", 0x0f, 0xa1),
	};

	poke(b, IDT + 16 * EXC_PF + 4, 1, 1); /* IST1 */
	for (unsigned i = 0; i < ARRAY_SIZE(stack); i++) {
		const struct form *f = &stack[i];

		for (unsigned part = 1; part <= f->size; part++) {
			u32 rsp = f->writes ? BAD + part : BAD - f->size + part;
			u64 before;
			struct iframe fr;

			prepare(f, ARENA_PAGE);
			page_flags(b, BAD, 0);
			c->r[RAX] = CODE + 0x100;
			c->r[RSP] = rsp;
			c->r[RBP] = f->code[0] == 0xc9 ? rsp : 0x1234;
			before = user_hash();
			fr = run_to_fault(b, 10, EXC_PF, f->writes ? 2 : 0);
			ck_assert_msg(fr.rip == CODE, "%s: at %llx", f->name,
				      (unsigned long long)fr.rip);
			ck_assert_msg(fr.rsp == rsp, "%s: rsp %llx, was %x", f->name,
				      (unsigned long long)fr.rsp, rsp);
			ck_assert_msg(user_hash() == before, "%s: registers changed", f->name);
			ck_assert_msg((fr.flags & FL_ARITH) == (FL_CF | FL_SF | FL_AF), "%s: flags",
				      f->name);
		}
	}
}
END_TEST

START_TEST(strings_restart_at_the_element)
{
	/* rep movsd from a page that ends in a bad one, then into one. */
	for (unsigned i = 0; i < 4; i++) {
		bool to_bad = i & 1, down = i & 2;
		u32 edge = down ? BAD_END : BAD - 4, other = ARENA_PAGE + 0x800;
		u32 start = down ? edge + 4 * 9 : edge - 4 * 9;
		struct iframe f;

		use(guest_long(0));
		CODE_AT(b, CODE, 0xf3, 0xa5);
		page_flags(b, BAD, 0);
		for (unsigned k = 0; k < 64; k++)
			poke(b, (to_bad ? other : start) + (down ? -4 * (int)k : 4 * (int)k),
			     0xabc00000 + k, 4);
		c->r[RCX] = 100;
		c->r[RSI] = to_bad ? other : start;
		c->r[RDI] = to_bad ? start : other;
		if (down)
			c->rflags |= FL_DF;
		f = run_to_fault(b, 300, EXC_PF, to_bad ? 2 : 0);
		ck_assert_uint_eq(f.rip, CODE);
		ck_assert_uint_eq(c->r[RCX], 90);
		ck_assert_uint_eq(to_bad ? c->r[RDI] : c->r[RSI], down ? BAD_END - 4 : BAD);
		ck_assert_uint_eq(peek(b, (to_bad ? start : other) + (down ? -36 : 36), 4),
				  0xabc00009);
		/* The handler maps it: the instruction goes on. */
		page_flags(b, BAD, PTE_USER);
		CODE_AT(b, CODE + 2, 0xf4);
		CODE_AT(b, HANDLER + 4 * EXC_PF + 1, 0x48, 0xcf);
		c->r[RSP] += 8;
		c->activity = CPU_ACTIVE;
		run_to_halt(b, 300);
		ck_assert_int_eq(halted_in(b), -1);
		ck_assert_uint_eq(c->r[RCX], 0);
	}
}
END_TEST

/* ---- flags in the middle of a block --------------------------------------------------------- */

/* Two producers, the first dead if the access between them did not fault: the frame shows the first
 * one's flags. */
START_TEST(flags_before_the_fault_are_exact)
{
	static const struct form access[] = {
	    FORM(4, false, "mov", 0x8b, 0x3b),          FORM(4, true, "mov", 0x89, 0x3b),
	    FORM(4, true, "add", 0x01, 0x3b),           FORM(8, false, "push", 0xff, 0x33),
	    FORM(4, false, "movups", 0x0f, 0x10, 0x03), FORM(4, false, "cmp jcc", 0x39, 0x3b),
	    FORM(4, false, "call", 0xff, 0x13),         FORM(4, false, "fld", 0xdd, 0x03),
	    FORM(4, false, "imul", 0x0f, 0xaf, 0x3b),   FORM(4, true, "inc", 0xff, 0x03),
	    FORM(0, false, "div", 0xf7, 0xf6),          FORM(0, false, "ud", 0x0f, 0x0b),
	    FORM(0, false, "idiv", 0xf7, 0xfe),
	};
	static const struct {
		u8 code[3];
		u8 n;
		u32 flags;
	} producer[] = {
	    {{0x01, 0xc0}, 2, FL_CF | FL_OF | FL_ZF | FL_PF}, /* add eax, eax: 80000000 */
	    {{0x39, 0xc8}, 2, FL_OF | FL_AF | FL_PF},         /* cmp eax, ecx = 1 */
	    {{0x21, 0xc0}, 2, FL_SF | FL_PF},                 /* and */
	    {{0xff, 0xc8}, 2, FL_CF | FL_OF | FL_AF | FL_PF}, /* dec, CF from STC */
	    {{0xf7, 0xd8}, 2, FL_CF | FL_OF | FL_SF | FL_PF}, /* neg */
	    {{0xd1, 0xe0}, 2, FL_CF | FL_OF | FL_ZF | FL_PF}, /* shl 1 */
	    {{0x83, 0xd0, 0x00}, 3, FL_SF},                   /* adc eax, 0 */
	};

	page_flags(b, BAD, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(access); i++) {
		for (unsigned p = 0; p < ARRAY_SIZE(producer); p++) {
			const struct form *f = &access[i];
			u32 at = CODE + 2;
			struct iframe fr;
			unsigned vec = f->size ? EXC_PF : f->code[0] == 0x0f ? EXC_UD : EXC_DE;

			CODE_AT(b, CODE, 0x90, 0xf9); /* nop; stc */
			load_bytes(b, at, producer[p].code, producer[p].n);
			at += producer[p].n;
			CODE_AT(b, at, 0x89, 0xca); /* mov edx, ecx */
			at += 2;
			load_bytes(b, at, f->code, f->n);
			CODE_AT(b, at + f->n, 0x31, 0xd2, 0xf4); /* xor edx, edx: kills all flags */
			c->r[RAX] = 0x80000000;
			c->r[RCX] = 1;
			c->r[RSI] = 0;
			c->r[RBX] = BAD;
			c->r[RSP] = STACK0;
			cpu_set_rflags(c, FL_R1);
			c->rip = CODE;
			c->activity = CPU_ACTIVE;
			fr = run_to_fault(b, 100, vec, f->writes ? 2 : 0);
			ck_assert_uint_eq(fr.rip, at);
			ck_assert_msg((fr.flags & FL_ARITH) == producer[p].flags,
				      "%s after producer %u: %llx not %x", f->name, p,
				      (unsigned long long)fr.flags & FL_ARITH, producer[p].flags);
		}
	}
}
END_TEST

/* ---- double and triple faults --------------------------------------------------------------- */

START_TEST(double_fault)
{
	poke(b, IDT + 16 * EXC_GP + 5, 0,
	     1); /* #GP: its gate is absent, #NP on top: contributory */
	c->r[RBX] = 0x800000000000;
	CODE_AT(b, CODE, 0x8b, 0x03);
	ck_assert_uint_eq(run_to_fault(b, 10, EXC_DF, 0).rip, CODE);
	/* #PF while delivering #PF: CR2 is the second's. */
	use(guest_long(0));
	page_flags(b, BAD, 0);
	page_flags(b, BAD - 0x3000, 0);
	c->r[RBX] = BAD;
	c->r[RSP] = BAD - 0x3000 + 0x800;
	poke(b, IDT + 16 * EXC_DF + 4, 1, 1);
	FAULT(EXC_DF, 0, 0x8b, 0x03);
	ck_assert_uint_eq(c->cr2, BAD - 0x3000 + 0x7f8);
	/* #UD, then #PF: served one after the other, the #PF pointing at the UD2. */
	use(guest_long(0));
	page_flags(b, BAD, 0);
	c->r[RSP] = BAD + 0x800;
	poke(b, IDT + 16 * EXC_PF + 4, 1, 1);
	FAULT(EXC_PF, 2, 0x0f, 0x0b);
}
END_TEST

START_TEST(triple_fault)
{
	c->idtr.limit = 0;
	CODE_AT(b, CODE, 0x0f, 0x0b);
	ck_assert_int_eq(cpu_run(c, 100), CPU_EXIT_SHUTDOWN);
	ck_assert_uint_eq(c->rip, CODE);
	ck_assert_uint_eq(c->triple[0].vector, EXC_GP);
	ck_assert_uint_eq(c->triple[2].vector, EXC_GP);
	ck_assert_int_eq(cpu_run(c, 100), CPU_EXIT_SHUTDOWN);
	/* An NMI still cannot get in here; INIT does. */
	cpu_event_set(c, CPU_EV_INTR);
	ck_assert_int_eq(cpu_run(c, 100), CPU_EXIT_SHUTDOWN);
	cpu_event_set(c, CPU_EV_INIT);
	cpu_run(c, 1);
	ck_assert_uint_eq(c->activity, CPU_ACTIVE);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    divide_errors,
	    traps_point_behind,
	    undefined_opcodes,
	    device_not_available,
	    general_protection,
	    int_beyond_the_idt,
	    user_privilege,
	    stack_faults,
	    page_fault_codes,
	    x87_and_simd_errors,
	    alignment_check,
	    bound_range,
	    too_long,
	    forms_across_pages,
	    stack_forms_restart,
	    strings_restart_at_the_element,
	    flags_before_the_fault_are_exact,
	    double_fault,
	    triple_fault,
	};
	Suite *s = suite_create("faults");
	TCase *tc = tcase_create("faults");

	tcase_add_checked_fixture(tc, setup, teardown);
	for (unsigned i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_loop_test(tc, every_form_restarts, 0, 3);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
