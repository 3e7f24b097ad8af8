/*
 * BMI1 and BMI2 in their VEX encodings on general registers, and ADCX, ADOX (SDM Vol. 2A, 2B). LZCNT, TZCNT and POPCNT
 * stand with the other bit instructions (alu.c).
 */
#include "cpu/exec/builder.h"

/*
 * Each: a the first source (base), b the second (src), r the result; _f leaves the lazy flags as FK_RES, with CF as given
 * and OF clear. AF and PF are undefined.
 */
#define BMI_PLAIN(name, bits, ...)                                                                \
	static void name##bits(UOP_ARGS)                                                           \
	{                                                                                          \
		u##bits a = REG##bits(u->base), b = REG##bits(u->src), r;                           \
		__VA_ARGS__;                                                                        \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}
#define BMI_FLAGS(name, bits, carry, ...)                                                         \
	BMI_PLAIN(name, bits, __VA_ARGS__)                                                         \
	static void name##bits##_f(UOP_ARGS)                                                       \
	{                                                                                          \
		u##bits a = REG##bits(u->base), b = REG##bits(u->src), r;                    \
		__VA_ARGS__;                                                                        \
		fb = (carry) ? FL_CF : 0;                                                           \
		fa = SX(bits, r);                                                                   \
		KIND(FK_RES);                                                                       \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}
#define BMI(name, bits, carry, ...) BMI_FLAGS(name, bits, carry, (void)a; __VA_ARGS__)

#define LOW(bits, n) ((u##bits)((n) < bits ? ~((u##bits)~(u##bits)0 << ((n) & (bits - 1))) : ~(u##bits)0))

#define BMI_SIZE(bits)                                                                            \
	BMI(andn, bits, 0, r = (u##bits)~a & b)                                                    \
	BMI(blsr, bits, !b, r = b & (b - 1))                                                       \
	BMI(blsmsk, bits, !b, r = b ^ (b - 1))                                                     \
	BMI(blsi, bits, b, r = b & (0 - b))                                                        \
	BMI(bzhi, bits, (u8)a >= bits, ea = (u8)a; r = b & LOW(bits, ea))                           \
	BMI(bextr, bits, 0, ea = (u8)a; r = ea < bits ? b >> (ea & (bits - 1)) : 0; ea = a >> 8 & 0xff;    \
	    r &= LOW(bits, ea))                                                                     \
	BMI_PLAIN(shlx, bits, r = b << (a & (bits - 1)))                                            \
	BMI_PLAIN(shrx, bits, r = b >> (a & (bits - 1)))                                            \
	BMI_PLAIN(sarx, bits, r = (u##bits)((s##bits)b >> (a & (bits - 1))))                        \
	static void rorx##bits(UOP_ARGS)                                                           \
	{                                                                                          \
		u##bits b = REG##bits(u->src);                                                      \
		unsigned n = u->sh;                                                                 \
		SETREG##bits(u->dst, b >> n | b << (-n & (bits - 1)));                              \
		NEXT;                                                                               \
	}

/* Each sums with one of CF and OF, and leaves its carry there. */
#define ADX(bits, suffix)                                                                         \
	static void adcx##bits(UOP_ARGS)                                                           \
	{                                                                                          \
		u##bits r = REG##bits(u->dst);                                                      \
		asm("btr $0, %k1\n\tadc" suffix " %2, %0\n\tadc $0, %k1"                            \
		    : "+r"(r), "+r"(fb) : "r"(REG##bits(u->src)) : "cc");                           \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}                                                                                          \
	static void adox##bits(UOP_ARGS)                                                           \
	{                                                                                          \
		u##bits r = REG##bits(u->dst);                                                      \
		asm("btr $11, %k1\n\tadc" suffix " %3, %0\n\tsbb %k2, %k2"                          \
		    : "+r"(r), "+r"(fb), "=r"(ea) : "r"(REG##bits(u->src)) : "cc");                 \
		fb |= ea & FL_OF;                                                                   \
		SETREG##bits(u->dst, r);                                                            \
		NEXT;                                                                               \
	}
ADX(32, "l")
ADX(64, "q")

BMI_SIZE(32)
BMI_SIZE(64)

/* High half to dst, low half to base; the high half wins when they are one register. */
static void mulx32(UOP_ARGS)
{
	u64 p = (u64)REG32(REG_OFF(RDX)) * REG32(u->src);
	SETREG32(u->base, p);
	SETREG32(u->dst, p >> 32);
	NEXT;
}

static void mulx64(UOP_ARGS)
{
	u128 p = (u128)REG64(REG_OFF(RDX)) * REG64(u->src);
	SETREG64(u->base, (u64)p);
	SETREG64(u->dst, (u64)(p >> 64));
	NEXT;
}

/* By the host where it has them: mask in src, value in base. */
#define HOST_BITS(op)                                                                             \
	static void op##32(UOP_ARGS)                                                               \
	{                                                                                          \
		u32 r;                                                                              \
		asm(#op " %2, %1, %0" : "=r"(r) : "r"(REG32(u->base)), "r"(REG32(u->src)));         \
		SETREG32(u->dst, r);                                                                \
		NEXT;                                                                               \
	}                                                                                          \
	static void op##64(UOP_ARGS)                                                               \
	{                                                                                          \
		u64 r;                                                                              \
		asm(#op " %2, %1, %0" : "=r"(r) : "r"(REG64(u->base)), "r"(REG64(u->src)));         \
		SETREG64(u->dst, r);                                                                \
		NEXT;                                                                               \
	}
HOST_BITS(pext)
HOST_BITS(pdep)

static int op_pext(struct cpu *cpu, const struct insn *in)
{
	u64 mask, v = cpu->r[in->op[1].reg], r = 0;

	if (op_read(cpu, in, 2, &mask))
		return 1;
	for (unsigned k = 0; mask; mask &= mask - 1)
		r |= (v >> __builtin_ctzll(mask) & 1) << k++;
	reg_write(cpu, in->op[0].reg, in->op[0].size, r);
	return 0;
}

static int op_pdep(struct cpu *cpu, const struct insn *in)
{
	u64 mask, v = cpu->r[in->op[1].reg], r = 0;

	if (op_read(cpu, in, 2, &mask))
		return 1;
	for (unsigned k = 0; mask; mask &= mask - 1)
		r |= (v >> k++ & 1) << __builtin_ctzll(mask);
	reg_write(cpu, in->op[0].reg, in->op[0].size, r);
	return 0;
}

/* The operand of @in that is in memory, or else @other: loaded to R_TMP in the first case. */
static struct uop *emit_bmi(struct builder *b, const struct insn *in, uop_fn fn, unsigned first, unsigned second)
{
	u16 src = emit_load_tmp(b, in, second);
	struct uop *u = emit(b, fn);

	u->dst = operand_off(&in->op[0]);
	u->src = src;
	u->base = first ? operand_off(&in->op[first]) : REG_OFF(R_ZERO);
	return u;
}

enum bmi { BMI_ANDN, BMI_BLSR, BMI_BLSMSK, BMI_BLSI, BMI_BZHI, BMI_BEXTR };

static void gen_bmi(struct builder *b, const struct insn *in, u32 op)
{
	static const uop_fn fns[][2][2] = {
		[BMI_ANDN] = {{andn32, andn64}, {andn32_f, andn64_f}},
		[BMI_BLSR] = {{blsr32, blsr64}, {blsr32_f, blsr64_f}},
		[BMI_BLSMSK] = {{blsmsk32, blsmsk64}, {blsmsk32_f, blsmsk64_f}},
		[BMI_BLSI] = {{blsi32, blsi64}, {blsi32_f, blsi64_f}},
		[BMI_BZHI] = {{bzhi32, bzhi64}, {bzhi32_f, bzhi64_f}},
		[BMI_BEXTR] = {{bextr32, bextr64}, {bextr32_f, bextr64_f}},
	};
	bool keep = flags_needed(b), wide = in->op[0].size == 8;
	unsigned first = op == BMI_ANDN ? 1 : op >= BMI_BZHI ? 2 : 0;
	unsigned second = op == BMI_ANDN ? 2 : 1;

	emit_bmi(b, in, fns[op][keep][wide], first, second);
	if (keep)
		b->sf = op == BMI_ANDN || op == BMI_BEXTR ? SF_LOGIC : SF_RES;
}

enum { SHIFT_LEFT, SHIFT_RIGHT, SHIFT_ARITHMETIC };

static void gen_shift_x(struct builder *b, const struct insn *in, u32 op)
{
	static const uop_fn fns[][2] = {{shlx32, shlx64}, {shrx32, shrx64}, {sarx32, sarx64}};

	emit_bmi(b, in, fns[op][in->op[0].size == 8], 2, 1);
}

static void gen_rorx(struct builder *b, const struct insn *in, u32 arg)
{
	bool wide = in->op[0].size == 8;

	emit_bmi(b, in, wide ? rorx64 : rorx32, 0, 1)->sh = in->imm & (wide ? 63 : 31);
}

static void gen_mulx(struct builder *b, const struct insn *in, u32 arg)
{
	emit_bmi(b, in, in->op[0].size == 8 ? mulx64 : mulx32, 1, 2);
}

static void gen_bits(struct builder *b, const struct insn *in, u32 deposit)
{
	static const uop_fn fns[][2] = {{pext32, pext64}, {pdep32, pdep64}};

	if (!__builtin_cpu_supports("bmi2"))
		emit_call(b, in, deposit ? op_pdep : op_pext);
	else
		emit_bmi(b, in, fns[deposit][in->op[0].size == 8], 1, 2);
}

static void gen_adx(struct builder *b, const struct insn *in, u32 overflow)
{
	static const uop_fn fns[][2] = {{adcx32, adcx64}, {adox32, adox64}};

	builder_need_res(b);
	emit_bmi(b, in, fns[overflow][in->op[0].size == 8], 0, 1);
	if (b->sf == SF_LOGIC)
		b->sf = SF_RES;
}

#define BMI_DESC(name, g, a)                                                                      \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = g, .arg = a}
BMI_DESC(andn, gen_bmi, BMI_ANDN);
BMI_DESC(blsr, gen_bmi, BMI_BLSR);
BMI_DESC(blsmsk, gen_bmi, BMI_BLSMSK);
BMI_DESC(blsi, gen_bmi, BMI_BLSI);
BMI_DESC(bzhi, gen_bmi, BMI_BZHI);
BMI_DESC(bextr, gen_bmi, BMI_BEXTR);
BMI_DESC(shlx, gen_shift_x, SHIFT_LEFT);
BMI_DESC(shrx, gen_shift_x, SHIFT_RIGHT);
BMI_DESC(sarx, gen_shift_x, SHIFT_ARITHMETIC);
BMI_DESC(rorx, gen_rorx, 0);
BMI_DESC(mulx, gen_mulx, 0);
BMI_DESC(pext, gen_bits, 0);
BMI_DESC(pdep, gen_bits, 1);
BMI_DESC(adcx, gen_adx, 0);
BMI_DESC(adox, gen_adx, 1);

/* ---- direct stores (SDM Vol. 2B, MOVDIRI, MOVDIR64B): no write combining to be seen here --------------------------- */

SIMPLE(movdiri)
{
	return op_write(cpu, in, 0, cpu->r[in->op[1].reg]);
}

/* The destination is ES:register, 64 bytes aligned. */
SIMPLE(movdir64b)
{
	u64 from, to, at = reg_read(cpu, in->op[0].reg, in->adsize);
	u8 line[64];

	if (op_linear(cpu, in, 64, ACC_R, &from) || mem_read(cpu, from, line, 64, ACC_R) ||
	    seg_linear(cpu, ES, at, 64, ACC_W, &to))
		return 1;
	if (to & 63)
		return cpu_fault(cpu, EXC_GP, 0, "MOVDIR64B: the destination is not aligned to 64 bytes", to);
	return mem_write(cpu, to, line, 64, ACC_W);
}
