/*
 * String comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM Vol. 1, 14.4.5 ff. of SSE4.2; Vol. 2B,
 * 4.1 "Imm8 control byte operation"). Memory operands need not be aligned. Simple operations: the immediate has 128
 * meanings, of which programs use a few, seldom.
 */
#include "cpu/exec/vec_forms.h"

#define STR_WORDS 0x01
#define STR_SIGNED 0x02
#define STR_AGGREGATION(imm) ((imm) >> 2 & 3)
#define STR_NEGATE 0x10
#define STR_MASKED 0x20 /* negation only of valid elements of the second operand */
#define STR_HIGH 0x40   /* index: the last instead of the first; mask: whole elements */

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

struct str_compare {
	s32 a[16], b[16];
	unsigned n, la, lb; /* elements, valid ones */
	u32 result;         /* IntRes2 */
};

static void str_load(s32 *e, const union vec *v, unsigned imm)
{
	unsigned n = imm & STR_WORDS ? 8 : 16;

	for (unsigned i = 0; i < n; i++) {
		if (imm & STR_WORDS)
			e[i] = imm & STR_SIGNED ? (s16)v->w[i] : v->w[i];
		else
			e[i] = imm & STR_SIGNED ? (s8)v->b[i] : v->b[i];
	}
}

static bool any_equal(const struct str_compare *c, unsigned j)
{
	for (unsigned i = 0; i < c->la; i++)
		if (c->a[i] == c->b[j])
			return true;
	return false;
}

static bool in_ranges(const struct str_compare *c, unsigned j)
{
	for (unsigned i = 0; i + 1 < c->la; i += 2)
		if (c->a[i] <= c->b[j] && c->b[j] <= c->a[i + 1])
			return true;
	return false;
}

/* Does a's valid part stand at b[j], as far as the register shows? */
static bool ordered_at(const struct str_compare *c, unsigned j)
{
	for (unsigned i = 0; i < c->la && i + j < c->n; i++)
		if (i + j >= c->lb || c->a[i] != c->b[i + j])
			return false;
	return true;
}

static bool element_result(const struct str_compare *c, unsigned aggregation, unsigned j)
{
	switch (aggregation) {
	case EQUAL_ANY: return j < c->lb && any_equal(c, j);
	case RANGES: return j < c->lb && in_ranges(c, j);
	case EQUAL_EACH:
		return j < c->la && j < c->lb ? c->a[j] == c->b[j] : j >= c->la && j >= c->lb;
	default: return ordered_at(c, j);
	}
}

static void str_compare(struct str_compare *c, unsigned imm)
{
	u32 all = (1u << c->n) - 1;

	c->result = 0;
	for (unsigned j = 0; j < c->n; j++)
		c->result |= (u32)element_result(c, STR_AGGREGATION(imm), j) << j;
	if (imm & STR_NEGATE)
		c->result ^= imm & STR_MASKED ? (1u << c->lb) - 1 : all;
}

/* Explicit length: the absolute value of EAX or EDX (RAX, RDX with REX.W), at most all elements. */
static unsigned explicit_length(const struct cpu *cpu, const struct insn *in, unsigned reg, unsigned n)
{
	s64 v = in->opsize == 8 ? (s64)cpu->r[reg] : (s32)cpu->r[reg];
	u64 magnitude = v < 0 ? 0 - (u64)v : (u64)v;

	return magnitude > n ? n : (unsigned)magnitude;
}

static unsigned implicit_length(const s32 *e, unsigned n)
{
	unsigned i = 0;

	while (i < n && e[i])
		i++;
	return i;
}

static int str_operate(struct cpu *cpu, const struct insn *in, struct str_compare *c, bool is_explicit)
{
	union vec b = {.q = {0}};
	unsigned imm = (u8)in->imm;

	if (op_read_bytes(cpu, in, 1, &b))
		return 1;
	c->n = imm & STR_WORDS ? 8 : 16;
	str_load(c->a, &cpu->v[in->op[0].reg], imm);
	str_load(c->b, &b, imm);
	c->la = is_explicit ? explicit_length(cpu, in, RAX, c->n) : implicit_length(c->a, c->n);
	c->lb = is_explicit ? explicit_length(cpu, in, RDX, c->n) : implicit_length(c->b, c->n);
	str_compare(c, imm);
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | (c->result ? FL_CF : 0) | (c->lb < c->n ? FL_ZF : 0) |
		      (c->la < c->n ? FL_SF : 0) | (c->result & 1 ? FL_OF : 0);
	return 0;
}

static int str_index(struct cpu *cpu, const struct insn *in, bool is_explicit)
{
	struct str_compare c;

	if (str_operate(cpu, in, &c, is_explicit))
		return 1;
	if (!c.result)
		cpu->r[RCX] = c.n;
	else
		cpu->r[RCX] = in->imm & STR_HIGH ? 31u - (unsigned)__builtin_clz(c.result)
						 : (unsigned)__builtin_ctz(c.result);
	return 0;
}

static int str_mask(struct cpu *cpu, const struct insn *in, bool is_explicit)
{
	struct str_compare c;
	union vec *r = &cpu->v[0];

	if (str_operate(cpu, in, &c, is_explicit))
		return 1;
	r->q[0] = r->q[1] = 0;
	if (!(in->imm & STR_HIGH)) {
		r->q[0] = c.result;
		return 0;
	}
	for (unsigned i = 0; i < c.n; i++) {
		if (in->imm & STR_WORDS)
			r->w[i] = c.result >> i & 1 ? 0xffff : 0;
		else
			r->b[i] = c.result >> i & 1 ? 0xff : 0;
	}
	return 0;
}

SIMPLE(pcmpestri)
{
	return str_index(cpu, in, true);
}

SIMPLE(pcmpistri)
{
	return str_index(cpu, in, false);
}

SIMPLE(pcmpestrm)
{
	return str_mask(cpu, in, true);
}

SIMPLE(pcmpistrm)
{
	return str_mask(cpu, in, false);
}

/* VEX forms: the same, but XMM0 as a result is a VEX destination. */
#define STR_VEX_INDEX(name)                                                                       \
	extern const struct exec_desc exec_v##name;                                                \
	const struct exec_desc exec_v##name = {.op = op_##name}
STR_VEX_INDEX(pcmpestri);
STR_VEX_INDEX(pcmpistri);

static int str_mask_vex(struct cpu *cpu, const struct insn *in, bool is_explicit)
{
	if (str_mask(cpu, in, is_explicit))
		return 1;
	memset(cpu->v[0].b + 16, 0, sizeof(cpu->v[0]) - 16);
	return 0;
}

SIMPLE(vpcmpestrm)
{
	return str_mask_vex(cpu, in, true);
}

SIMPLE(vpcmpistrm)
{
	return str_mask_vex(cpu, in, false);
}
