/*
 * Every flag producer before every consumer of flags, over 8-bit operands spread evenly and telling
 * ones of the other sizes, against a plain model of the SDM's flag definitions (Vol. 1, 3.4.3.1;
 * Vol. 2). The producer and the consumer meet on every path the block builder knows: fused, flags
 * known when the block is built, flags looked up as it runs, converted by an instruction that
 * writes some of them.
 */
#include "guest.h"

#define TABLE   SMALL              /* operand values, 8 bytes each */
#define RESULTS (SMALL + 0x1000)   /* per pair: 16 condition bits and the six flags, in 4 bytes */
#define CELL    (SMALL + 0x100000) /* the memory operand */

/* ---- the model ------------------------------------------------------------------------------ */

struct result {
	u32 flags, defined; /* arithmetic flags, and those that the SDM defines */
};

enum op {
	ADD,
	OR,
	ADC,
	SBB,
	AND,
	SUB,
	XOR,
	CMP,
	TEST,
	NEG,
	INC,
	DEC,
	SHL,
	SHR,
	SAR,
	ROL,
	ROR,
	RCL,
	RCR,
	MUL,
	IMUL
};

static u32 szp(u64 r, unsigned bits)
{
	return (r >> (bits - 1) & 1 ? FL_SF : 0) | (r == 0 ? FL_ZF : 0) |
	       (__builtin_popcount(r & 0xff) % 2 == 0 ? FL_PF : 0);
}

static u32 flag(bool on, u32 f)
{
	return on ? f : 0;
}

static struct result add_model(u64 a, u64 b, unsigned carry, unsigned bits)
{
	u64 mask = bits == 64 ? ~0ull : BIT64(bits) - 1, r = (a + b + carry) & mask;
	bool cf = (u128)a + b + carry > mask;
	bool sa = a >> (bits - 1) & 1, sb = b >> (bits - 1) & 1, sr = r >> (bits - 1) & 1;

	return (struct result){szp(r, bits) | flag(cf, FL_CF) |
				   flag((a & 15) + (b & 15) + carry > 15, FL_AF) |
				   flag(sa == sb && sr != sa, FL_OF),
			       FL_ARITH};
}

static struct result sub_model(u64 a, u64 b, unsigned carry, unsigned bits)
{
	u64 mask = bits == 64 ? ~0ull : BIT64(bits) - 1, r = (a - b - carry) & mask;
	bool sa = a >> (bits - 1) & 1, sb = b >> (bits - 1) & 1, sr = r >> (bits - 1) & 1;

	return (struct result){szp(r, bits) | flag((u128)b + carry > a, FL_CF) |
				   flag((b & 15) + carry > (a & 15), FL_AF) |
				   flag(sa != sb && sr != sa, FL_OF),
			       FL_ARITH};
}

/* Shifts and rotates bit by bit; @flags before. */
static struct result shift_model(enum op op, u64 v, unsigned count, unsigned bits, u32 flags)
{
	u64 mask = bits == 64 ? ~0ull : BIT64(bits) - 1;
	bool cf = flags & FL_CF, was_top = v >> (bits - 1) & 1, rotate = op >= ROL;
	unsigned n = count & (bits == 64 ? 63 : 31);
	u32 undefined = (n == 1 ? 0 : FL_OF) | (rotate ? 0 : FL_AF);
	bool of;

	if (!n)
		return (struct result){flags, FL_ARITH};
	for (unsigned i = 0; i < n; i++) {
		bool top = v >> (bits - 1) & 1, low = v & 1, old = cf;
		if (op == SHL || op == ROL || op == RCL) {
			v = (v << 1 & mask) | (op == ROL ? top : op == RCL ? old : 0);
			cf = top;
		} else {
			bool in = op == SAR ? top : op == ROR ? low : op == RCR ? old : 0;
			v = v >> 1 | (u64)in << (bits - 1);
			cf = low;
		}
	}
	bool top = v >> (bits - 1) & 1, next = v >> (bits - 2) & 1;
	of = op == SHL || op == ROL || op == RCL ? top != cf
	     : op == SHR                         ? was_top
	     : op == SAR                         ? false
						 : top != next;
	if (!rotate && n > bits)
		undefined |= FL_CF;
	return (struct result){(rotate ? flags & ~(FL_CF | FL_OF) : szp(v, bits)) |
				   flag(cf, FL_CF) | flag(of, FL_OF),
			       FL_ARITH & ~undefined};
}

static struct result mul_model(bool is_signed, u64 a, u64 b, unsigned bits)
{
	u64 mask = bits == 64 ? ~0ull : BIT64(bits) - 1;
	bool over;

	if (is_signed) {
		s128 p = (s128)sext(a, bits) * sext(b, bits);
		over = p != sext((u64)p & mask, bits);
	} else {
		over = (u128)a * b >> bits;
	}
	return (struct result){over ? FL_CF | FL_OF : 0, FL_CF | FL_OF};
}

static struct result model(enum op op, u64 a, u64 b, unsigned bits, u32 flags)
{
	unsigned carry = flags & FL_CF;
	struct result r;

	switch (op) {
	case ADD: return add_model(a, b, 0, bits);
	case ADC: return add_model(a, b, carry, bits);
	case SUB:
	case CMP: return sub_model(a, b, 0, bits);
	case SBB: return sub_model(a, b, carry, bits);
	case AND:
	case TEST: return (struct result){szp(a & b, bits), FL_ARITH & ~FL_AF};
	case OR: return (struct result){szp(a | b, bits), FL_ARITH & ~FL_AF};
	case XOR: return (struct result){szp(a ^ b, bits), FL_ARITH & ~FL_AF};
	case NEG: return sub_model(0, a, 0, bits);
	case INC:
	case DEC:
		r = op == INC ? add_model(a, 1, 0, bits) : sub_model(a, 1, 0, bits);
		r.flags = (r.flags & ~FL_CF) | carry;
		return r;
	case MUL: return mul_model(false, a, b, bits);
	case IMUL: return mul_model(true, a, b, bits);
	default: return shift_model(op, a, (unsigned)b, bits, flags);
	}
}

/* Jcc as the SDM words it; *@needs are the flags it looks at. */
static bool holds(unsigned cc, u32 f, u32 *needs)
{
	static const u32 looks_at[8] = {FL_OF, FL_CF, FL_ZF,         FL_CF | FL_ZF,
					FL_SF, FL_PF, FL_SF | FL_OF, FL_SF | FL_OF | FL_ZF};
	bool sf = f & FL_SF, of = f & FL_OF, zf = f & FL_ZF, cf = f & FL_CF;
	bool r[8] = {of, cf, zf, cf || zf, sf, f & FL_PF, sf != of, zf || sf != of};

	*needs = looks_at[cc / 2];
	return r[cc / 2] != (cc & 1);
}

/* ---- programs ------------------------------------------------------------------------------- */

/* A producer on AL, AX, EAX or RAX (`a`), with DL.. or CL (`b`), or on CELL. */
struct producer {
	const char *name;
	u8 op;
	u8 code[4]; /* of the 8-bit form; opcode first, or behind 0F */
	u8 n;
	enum { REGS, CELL_FIRST, CELL_SECOND, SWAPPED } form;
	int count; /* b, when it is not the variable */
};
#define VARIABLE (-1)

static const struct producer producers[] = {
    {"add", ADD, {0x00, 0xd0}, 2, REGS, VARIABLE},
    {"or", OR, {0x08, 0xd0}, 2, REGS, VARIABLE},
    {"adc", ADC, {0x10, 0xd0}, 2, REGS, VARIABLE},
    {"sbb", SBB, {0x18, 0xd0}, 2, REGS, VARIABLE},
    {"and", AND, {0x20, 0xd0}, 2, REGS, VARIABLE},
    {"sub", SUB, {0x28, 0xd0}, 2, REGS, VARIABLE},
    {"xor", XOR, {0x30, 0xd0}, 2, REGS, VARIABLE},
    {"cmp", CMP, {0x38, 0xd0}, 2, REGS, VARIABLE},
    {"test", TEST, {0x84, 0xd0}, 2, REGS, VARIABLE},
    {"neg", NEG, {0xf6, 0xd8}, 2, REGS, VARIABLE},
    {"inc", INC, {0xfe, 0xc0}, 2, REGS, VARIABLE},
    {"dec", DEC, {0xfe, 0xc8}, 2, REGS, VARIABLE},
    {"shl 1", SHL, {0xd0, 0xe0}, 2, REGS, 1},
    {"shr 1", SHR, {0xd0, 0xe8}, 2, REGS, 1},
    {"sar 1", SAR, {0xd0, 0xf8}, 2, REGS, 1},
    {"rol 1", ROL, {0xd0, 0xc0}, 2, REGS, 1},
    {"ror 1", ROR, {0xd0, 0xc8}, 2, REGS, 1},
    {"rcl 1", RCL, {0xd0, 0xd0}, 2, REGS, 1},
    {"rcr 1", RCR, {0xd0, 0xd8}, 2, REGS, 1},
    {"shl 5", SHL, {0xc0, 0xe0, 5}, 3, REGS, 5},
    {"ror 7", ROR, {0xc0, 0xc8, 7}, 3, REGS, 7},
    {"sar 0", SAR, {0xc0, 0xf8, 32}, 3, REGS, 32},
    {"shl cl", SHL, {0xd2, 0xe0}, 2, REGS, VARIABLE},
    {"shr cl", SHR, {0xd2, 0xe8}, 2, REGS, VARIABLE},
    {"sar cl", SAR, {0xd2, 0xf8}, 2, REGS, VARIABLE},
    {"rol cl", ROL, {0xd2, 0xc0}, 2, REGS, VARIABLE},
    {"ror cl", ROR, {0xd2, 0xc8}, 2, REGS, VARIABLE},
    {"rcl cl", RCL, {0xd2, 0xd0}, 2, REGS, VARIABLE},
    {"rcr cl", RCR, {0xd2, 0xd8}, 2, REGS, VARIABLE},
    {"mul", MUL, {0xf6, 0xe2}, 2, REGS, VARIABLE},
    {"imul", IMUL, {0xf6, 0xea}, 2, REGS, VARIABLE},
    {"add [m], r", ADD, {0x00, 0x13}, 2, CELL_FIRST, VARIABLE},
    {"sub [m], r", SUB, {0x28, 0x13}, 2, CELL_FIRST, VARIABLE},
    {"adc [m], r", ADC, {0x10, 0x13}, 2, CELL_FIRST, VARIABLE},
    {"cmp [m], r", CMP, {0x38, 0x13}, 2, CELL_FIRST, VARIABLE},
    {"test [m], r", TEST, {0x84, 0x13}, 2, CELL_FIRST, VARIABLE},
    {"cmp r, [m]", CMP, {0x3a, 0x03}, 2, CELL_SECOND, VARIABLE},
    {"sbb r, [m]", SBB, {0x1a, 0x03}, 2, CELL_SECOND, VARIABLE},
    {"cmp d, a", CMP, {0x3a, 0xd0}, 2, SWAPPED, VARIABLE},
    {"inc [m]", INC, {0xfe, 0x03}, 2, CELL_FIRST, VARIABLE},
    {"neg [m]", NEG, {0xf6, 0x1b}, 2, CELL_FIRST, VARIABLE},
    {"shr [m], 1", SHR, {0xd0, 0x2b}, 2, CELL_FIRST, 1},
    {"rcl [m], cl", RCL, {0xd2, 0x13}, 2, CELL_FIRST, VARIABLE},
};

/* How the flags get from the producer to the consumer. */
enum path {
	JCC_FUSED,
	JCC_APART,
	JCC_DYNAMIC,
	SETCC,
	SETCC_DYNAMIC,
	CMOV,
	CMOV_DYNAMIC,
	PUSHF,
	PUSHF_DYNAMIC,
	AFTER_INC,
	AFTER_BT,
	AFTER_ROL,
	AFTER_ADC,
	AFTER_ZERO_SHIFT,
	AFTER_DEAD,
	PATHS,
};
static const char *const path_names[] = {
    "jcc fused",
    "jcc apart",
    "jcc dynamic",
    "setcc",
    "setcc dynamic",
    "cmov",
    "cmov dynamic",
    "pushf",
    "pushf dynamic",
    "pushf after inc",
    "pushf after bt",
    "pushf after rol",
    "pushf after adc",
    "pushf after a shift by 0",
    "pushf after dead producers",
};

struct emitter {
	u8 code[2048];
	unsigned n;
};

static void put(struct emitter *e, const u8 *bytes, unsigned n)
{
	ck_assert_uint_lt(e->n + n, sizeof(e->code));
	memcpy(e->code + e->n, bytes, n);
	e->n += n;
}
#define PUT(e, ...) put(e, CODE_BYTES(__VA_ARGS__))

static void put32(struct emitter *e, u32 v)
{
	put(e, (const u8 *)&v, 4);
}

static void put_producer(struct emitter *e, const struct producer *p, unsigned bits)
{
	u8 code[4];

	memcpy(code, p->code, 4);
	if (bits > 8)
		code[0] |= 1;
	if (bits == 16)
		PUT(e, 0x66);
	if (bits == 64)
		PUT(e, 0x48);
	put(e, code, p->n);
}

/* RAX, RDX, RCX, CELL, and flags ZF, PF, CF = @carry. */
static void put_operands(struct emitter *e, const struct producer *p, bool carry)
{
	PUT(e, 0x4a, 0x8b, 0x04, 0xc6); /* mov rax, [rsi + r8*8] */
	PUT(e, 0x4a, 0x8b, 0x14, 0xce); /* mov rdx, [rsi + r9*8] */
	PUT(e, 0x48, 0x89, 0xd1);       /* mov rcx, rdx */
	if (p->form == CELL_FIRST)
		PUT(e, 0x48, 0x89, 0x03); /* mov [rbx], rax */
	if (p->form == CELL_SECOND)
		PUT(e, 0x48, 0x89, 0x13);
	PUT(e, 0x4d, 0x39, 0xed); /* cmp r13, r13 */
	PUT(e, carry ? 0xf9 : 0xf8);
}

/* An indirect jump to the next instruction: the block ends, and what it knew of the flags. */
static void put_block_end(struct emitter *e)
{
	PUT(e, 0x4c, 0x8d, 0x25, 0x03, 0x00, 0x00, 0x00); /* lea r12, [rip + 3] */
	PUT(e, 0x41, 0xff, 0xe4);                         /* jmp r12 */
}

static void put_condition(struct emitter *e, enum path path, unsigned cc)
{
	switch (path) {
	case JCC_FUSED:
	case JCC_APART:
	case JCC_DYNAMIC: /* j!cc over the OR */
		PUT(e, 0x70 | (cc ^ 1), 0x07);
		PUT(e, 0x41, 0x81, 0xca);
		break;
	case SETCC:
	case SETCC_DYNAMIC:
		PUT(e, 0x0f, 0x90 | cc, 0xc0); /* setcc al */
		PUT(e, 0x0f, 0xb6, 0xc0);      /* movzx eax, al */
		PUT(e, 0xc1, 0xe0, cc);        /* shl eax, cc */
		PUT(e, 0x41, 0x09, 0xc2);      /* or r10d, eax */
		return;
	default:
		PUT(e, 0xb8, 0, 0, 0, 0); /* mov eax, 0 */
		PUT(e, 0x45, 0x8d, 0x9d); /* lea r11d, [r13 + bit], r13 = 0 */
		put32(e, 1u << cc);
		PUT(e, 0x41, 0x0f, 0x40 | cc, 0xc3); /* cmovcc eax, r11d */
		PUT(e, 0x41, 0x09, 0xc2);
		return;
	}
	put32(e, 1u << cc);
}

static void put_pushf(struct emitter *e)
{
	PUT(e, 0x9c, 0x41, 0x5a);                   /* pushf; pop r10 */
	PUT(e, 0x41, 0x81, 0xe2, 0xd5, 0x08, 0, 0); /* and r10d, arithmetic flags */
}

/* What stands between the producer and PUSHF. R15 is 0, R14D the CL-less count 0. */
static void put_between(struct emitter *e, enum path path)
{
	switch (path) {
	case PUSHF_DYNAMIC: put_block_end(e); break;
	case AFTER_INC:
		PUT(e, 0x41, 0xb7, 0x7f, 0x41, 0xfe, 0xc7);
		break;                                              /* mov r15b, 7f; inc r15b */
	case AFTER_BT: PUT(e, 0x41, 0x0f, 0xba, 0xe5, 0x03); break; /* bt r13d, 3: CF = 0 */
	case AFTER_ROL:
		PUT(e, 0x41, 0xb7, 0x81, 0x41, 0xd0, 0xc7);
		break; /* mov r15b, 81; rol r15b, 1 */
	case AFTER_ADC:
		PUT(e, 0x41, 0xb7, 0x7f, 0x41, 0x80, 0xd7, 0);
		break; /* mov r15b, 7f; adc r15b, 0 */
	case AFTER_ZERO_SHIFT:
		PUT(e, 0xb1, 0x40, 0x41, 0xd3, 0xe7);
		break; /* mov cl, 40h; shl r15d, cl */
	default: break;
	}
}

/* The flags that PUSHF must show there. */
static struct result after(enum path path, struct result r)
{
	switch (path) {
	case AFTER_INC:
		r.flags = (r.flags & FL_CF) | model(INC, 0x7f, 0, 8, 0).flags;
		r.defined |= FL_ARITH & ~FL_CF;
		break;
	case AFTER_BT: /* ZF stays by definition; hardware leaves the others too, but only ZF and CF
			  are the SDM's */
		r.flags &= ~FL_CF;
		r.defined = (r.defined & FL_ZF) | FL_CF;
		break;
	case AFTER_ROL:
		r.flags = (r.flags & ~(FL_CF | FL_OF)) |
			  (model(ROL, 0x81, 1, 8, 0).flags & (FL_CF | FL_OF));
		r.defined |= FL_CF | FL_OF;
		break;
	case AFTER_ADC:
		r.defined = r.defined & FL_CF ? FL_ARITH : 0;
		r.flags = model(ADC, 0x7f, 0, 8, r.flags & FL_CF).flags;
		break;
	default: break;
	}
	return r;
}

static void put_body(struct emitter *e, const struct producer *p, enum path path, unsigned bits,
		     bool carry)
{
	if (path >= PUSHF) {
		put_operands(e, p, carry);
		if (path == AFTER_DEAD) /* the same thrice: two of them dead, also where they write
					   memory */
			put_producer(e, p, bits), put_operands(e, p, !carry),
			    put_producer(e, p, bits), put_operands(e, p, carry);
		put_producer(e, p, bits);
		put_between(e, path);
		put_pushf(e);
		return;
	}
	PUT(e, 0x45, 0x31, 0xd2); /* xor r10d, r10d */
	for (unsigned cc = 0; cc < 16; cc++) {
		put_operands(e, p, carry);
		put_producer(e, p, bits);
		if (path == JCC_APART)
			PUT(e, 0x89, 0xed); /* mov ebp, ebp */
		if (path == JCC_DYNAMIC || path == SETCC_DYNAMIC || path == CMOV_DYNAMIC)
			put_block_end(e);
		put_condition(e, path, cc);
	}
}

/* for r8, r9 in the table: body; stores r10d to [rdi]; rdi += 4 */
static void build(struct emitter *e, const struct producer *p, enum path path, unsigned bits,
		  bool carry)
{
	unsigned outer, inner;

	e->n = 0;
	PUT(e, 0xbe);
	put32(e, TABLE); /* mov esi */
	PUT(e, 0xbf);
	put32(e, RESULTS); /* mov edi */
	PUT(e, 0xbb);
	put32(e, CELL);                             /* mov ebx */
	PUT(e, 0x45, 0x31, 0xed, 0x45, 0x31, 0xff); /* xor r13d, r13d; xor r15d, r15d */
	PUT(e, 0x45, 0x31, 0xc0);                   /* xor r8d, r8d */
	outer = e->n;
	PUT(e, 0x45, 0x31, 0xc9); /* xor r9d, r9d */
	inner = e->n;
	put_body(e, p, path, bits, carry);
	PUT(e, 0x44, 0x89, 0x17, 0x48, 0x83, 0xc7, 0x04); /* mov [rdi], r10d; add rdi, 4 */
	PUT(e, 0x41, 0xff, 0xc1, 0x41, 0x39, 0xe9);       /* inc r9d; cmp r9d, ebp */
	PUT(e, 0x0f, 0x82);
	put32(e, inner - e->n - 4);                 /* jb inner */
	PUT(e, 0x41, 0xff, 0xc0, 0x41, 0x39, 0xe8); /* inc r8d; cmp r8d, ebp */
	PUT(e, 0x0f, 0x82);
	put32(e, outer - e->n - 4);
	PUT(e, 0xf4);
}

/* ---- cases ---------------------------------------------------------------------------------- */

/* Not by ck_assert, which tells its parent process about every single one. */
static void check_pair(const struct producer *p, enum path path, u64 a, u64 b, unsigned bits,
		       bool carry, u32 got)
{
	u64 mask = bits == 64 ? ~0ull : BIT64(bits) - 1, x = a & mask, y = b & mask;
	u32 before = FL_ZF | FL_PF | (carry ? FL_CF : 0), needs;
	struct result r;

	if (p->form == SWAPPED)
		x = b & mask, y = a & mask;
	r = model(p->op, x, p->count == VARIABLE ? y : (u64)p->count, bits, before);
	if (path >= PUSHF) {
		r = after(path, r);
		if ((got ^ r.flags) & r.defined)
			ck_abort_msg("%s %u, %s: %llx, %llx, CF %d: flags %x, expected %x of %x",
				     p->name, bits, path_names[path], (unsigned long long)x,
				     (unsigned long long)y, carry, got, r.flags, r.defined);
		return;
	}
	for (unsigned cc = 0; cc < 16; cc++) {
		bool expect = holds(cc, r.flags, &needs);
		if (!(needs & ~r.defined) && expect != (got >> cc & 1))
			ck_abort_msg("%s %u, %s, condition %x: %llx, %llx, CF %d: %d, flags are %x",
				     p->name, bits, path_names[path], cc, (unsigned long long)x,
				     (unsigned long long)y, carry, !expect, r.flags);
	}
}

static const u64 telling[] = {
    0,
    1,
    2,
    3,
    7,
    8,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0x81,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0x8001,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0x80000001,
    0xffffffff,
    0x100000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x8000000000000001,
    0xfffffffffffffffe,
    0xffffffffffffffff,
    0x123456789abcdef0,
    0xfedcba9876543210,
};

static void check_producers(enum path path, unsigned bits, unsigned stride)
{
	struct box *b = guest_long(0);
	struct cpu *c = &b->cpu;
	u64 values[256];
	unsigned n = 0;
	struct emitter e;

	if (bits == 8)
		for (unsigned v = 0; v < 256; v += stride)
			values[n++] = v;
	else
		for (; n < ARRAY_SIZE(telling); n++)
			values[n] = telling[n];
	memcpy(b->ram + TABLE, values, sizeof(values));
	for (unsigned i = 0; i < ARRAY_SIZE(producers); i++) {
		for (unsigned carry = 0; carry < 2; carry++) {
			build(&e, &producers[i], path, bits, carry);
			load_bytes(b, CODE, e.code, e.n);
			c->rip = CODE;
			c->r[RBP] = n;
			c->activity = CPU_ACTIVE;
			run_to_halt(b, 100000000);
			ck_assert_msg(halted_in(b) == -1, "%s %s", producers[i].name,
				      path_names[path]);
			for (unsigned x = 0; x < n; x++)
				for (unsigned y = 0; y < n; y++)
					check_pair(&producers[i], path, values[x], values[y], bits,
						   carry,
						   (u32)peek(b, RESULTS + 4 * (x * n + y), 4));
		}
	}
	box_free(b);
}

START_TEST(byte_pairs)
{
	/* More where the flags are seen whole than for each of the sixteen conditions. Odd: all low
	 * bits meet. */
	check_producers(_i, 8, _i >= PUSHF || _i == JCC_FUSED ? 5 : 17);
}
END_TEST

START_TEST(words)
{
	check_producers(_i, 16, 1);
}
END_TEST

START_TEST(doublewords)
{
	check_producers(_i, 32, 1);
}
END_TEST

START_TEST(quadwords)
{
	check_producers(_i, 64, 1);
}
END_TEST

/* The lazy representation itself. */
START_TEST(representation)
{
	static const u32 bits[] = {FL_CF, FL_PF, FL_AF, FL_ZF, FL_SF, FL_OF};

	for (unsigned i = 0; i < 64; i++) {
		u32 f = 0;
		u64 fa, fb;
		for (unsigned k = 0; k < 6; k++)
			f |= i >> k & 1 ? bits[k] : 0;
		flags_to_res(f, &fa, &fb);
		ck_assert_uint_eq(flags_compute(FK_RES, fa, fb), f);
		for (unsigned cc = 0; cc < 16; cc++) {
			u32 needs;
			ck_assert_uint_eq(flags_condition(cc, f), holds(cc, f, &needs));
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flags");
	TCase *tc = tcase_create("flags");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, representation);
	tcase_add_loop_test(tc, byte_pairs, 0, PATHS);
	tcase_add_loop_test(tc, words, 0, PATHS);
	tcase_add_loop_test(tc, doublewords, 0, PATHS);
	tcase_add_loop_test(tc, quadwords, 0, PATHS);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
