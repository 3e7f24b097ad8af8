/*
 * What the micro-operations of the x87 (x87_hot.c) leave to the host's x87: on the guest's registers in place, under the host's
 * default control word. A register is given by its place, its byte offset in x87.r.
 *
 * Each function that returns bool may refuse: it returns false with nothing stored, except to a scratch operand, and the simple
 * operation must do it. *@sw gets the host's status word, for C1.
 */
#ifndef ORRERY_EXEC_X87_HOST_H
#define ORRERY_EXEC_X87_HOST_H

#include "cpu/exec/x87.h"
#include "cpu/fpu/fast.h"

#if defined(__x86_64__)

/* A register by one addressing mode: gcc by itself would spend a register on where all of them begin. */
#define ST(place)  "%c[regs](%[cpu],%[" #place "])"
#define REGISTERS  "+m"(cpu->x87.r)
#define REGS_INPUT [cpu] "r"(cpu), [regs] "i"(offsetof(struct cpu, x87.r))

/* @what, unless the host's status then fails @test: @undo, out of line. In between, @done. */
#define UNLESS(what, test, done, undo, ...)                                                        \
	__asm__ goto(what "\n\tfnstsw %%ax\n\t" test "\n\tjnz 1f\n\t" done                         \
			  "\n\t.pushsection .text.unlikely.x87,\"ax\"\n1:\t" undo "jmp %l[refused]\n\t.popsection" \
		     : "=&a"(*sw), REGISTERS                                                       \
		     : REGS_INPUT, __VA_ARGS__                                                     \
		     : "st", "st(1)", "memory"                                                     \
		     : refused)

/* d = d op s. What the host raised stays there: the simple operation, which tries the host once more, clears it. */
#define IN_PLACE(what, ...)                                                                        \
	UNLESS("fldt " ST(d) "\n\t" what, "testw %%ax, %[refuse]", "fstpt " ST(d), "fstp %%st(0)\n\t", \
	       [d] "r"(d), [refuse] "m"(cpu->x87.refuse), ##__VA_ARGS__)
/* Two bytes of opcode: "ST(1) = ST(1) op ST(0), pop", unambiguous between the assemblers' spellings of FSUB and FDIV. */
#define BY_REGISTER(bytes) IN_PLACE("fldt " ST(s) "\n\t.byte " bytes, [s] "r"(s))
#define BY_MEMORY(insn, m) IN_PLACE(insn " %[m]", [m] "m"(*(m)))

static ALWAYS_INLINE bool host_arith(struct cpu *cpu, enum fp_op op, u64 d, u64 s, u16 *sw)
{
	switch (op) {
	case FP_ADD: BY_REGISTER("0xde, 0xc1"); break;
	case FP_SUB: BY_REGISTER("0xde, 0xe9"); break;
	case FP_SUBR: BY_REGISTER("0xde, 0xe1"); break;
	case FP_MUL: BY_REGISTER("0xde, 0xc9"); break;
	case FP_DIV: BY_REGISTER("0xde, 0xf9"); break;
	default: BY_REGISTER("0xde, 0xf1"); break;
	}
	return true;
refused:
	return false;
}

#define ARITH_MEMORY(name, type, suffix)                                                           \
	static ALWAYS_INLINE bool name(struct cpu *cpu, enum fp_op op, u64 d, const type *m, u16 *sw) \
	{                                                                                          \
		switch (op) {                                                                      \
		case FP_ADD: BY_MEMORY("fadd" suffix, m); break;                                   \
		case FP_SUB: BY_MEMORY("fsub" suffix, m); break;                                   \
		case FP_SUBR: BY_MEMORY("fsubr" suffix, m); break;                                 \
		case FP_MUL: BY_MEMORY("fmul" suffix, m); break;                                   \
		case FP_DIV: BY_MEMORY("fdiv" suffix, m); break;                                   \
		default: BY_MEMORY("fdivr" suffix, m); break;                                      \
		}                                                                                  \
		return true;                                                                       \
	refused:                                                                                   \
		return false;                                                                      \
	}
ARITH_MEMORY(host_arith_f64, double, "l")
ARITH_MEMORY(host_arith_f32, float, "s")

static ALWAYS_INLINE bool host_sqrt(struct cpu *cpu, u64 d, u16 *sw)
{
	IN_PLACE("fsqrt");
	return true;
refused:
	return false;
}

/*
 * Loads, stores and comparisons, whose simple operations know nothing of the host: what it raised is cleared here. Of a load or a
 * comparison only #I and #D can come; all but #P is clear before.
 */
#define LOAD(insn, m)                                                                              \
	UNLESS(insn " %[m]", "testb $0x1f, %%al", "fstpt " ST(d), "fstp %%st(0)\n\tfnclex\n\t",     \
	       [d] "r"(d), [m] "m"(*(m)))
#define STORE(insn)                                                                                \
	UNLESS("fldt " ST(s) "\n\t" insn " %[r]", "testw %%ax, %[refuse]", "", "fnclex\n\t",       \
	       [s] "r"(s), [refuse] "m"(cpu->x87.refuse_store), [r] "m"(*r))

static ALWAYS_INLINE bool host_load_f64(struct cpu *cpu, u64 d, const double *m)
{
	u16 status, *sw = &status;

	LOAD("fldl", m);
	return true;
refused:
	return false;
}

static ALWAYS_INLINE bool host_load_f32(struct cpu *cpu, u64 d, const float *m)
{
	u16 status, *sw = &status;

	LOAD("flds", m);
	return true;
refused:
	return false;
}

/** Exact and without exceptions. @bits 64, 32 or 16. */
static ALWAYS_INLINE void host_load_int(struct cpu *cpu, u64 d, const void *m, unsigned bits)
{
	if (bits == 64)
		__asm__("fildll %[m]\n\tfstpt " ST(d) : REGISTERS : REGS_INPUT, [d] "r"(d), [m] "m"(*(const s64 *)m) : "st");
	else if (bits == 32)
		__asm__("fildl %[m]\n\tfstpt " ST(d) : REGISTERS : REGS_INPUT, [d] "r"(d), [m] "m"(*(const s32 *)m) : "st");
	else
		__asm__("filds %[m]\n\tfstpt " ST(d) : REGISTERS : REGS_INPUT, [d] "r"(d), [m] "m"(*(const s16 *)m) : "st");
}

/* Loads and stores of 80 bits have no exceptions, whatever the bits are. */
static ALWAYS_INLINE void host_copy(struct cpu *cpu, u64 d, u64 s)
{
	u64 t;

	__asm__("mov " ST(s) ", %[t]\n\tmov %[t], " ST(d) "\n\tmovzwl 8+" ST(s) ", %k[t]\n\tmov %w[t], 8+" ST(d)
		: [t] "=&r"(t), REGISTERS
		: REGS_INPUT, [d] "r"(d), [s] "r"(s));
}

static ALWAYS_INLINE void host_load_f80(struct cpu *cpu, u64 d, const u8 *m)
{
	__asm__("fldt %[m]\n\tfstpt " ST(d) : REGISTERS : REGS_INPUT, [d] "r"(d), [m] "m"(*(const u8(*)[10])m) : "st");
}

static ALWAYS_INLINE void host_store_f80(struct cpu *cpu, u64 s, u8 *m)
{
	__asm__("fldt " ST(s) "\n\tfstpt %[m]" : [m] "=m"(*(u8(*)[10])m), REGISTERS : REGS_INPUT, [s] "r"(s) : "st");
}

/** To *@r in @bits 64 or 32. */
static ALWAYS_INLINE bool host_store_float(struct cpu *cpu, u64 s, unsigned bits, u64 *r, u16 *sw)
{
	if (bits == 64)
		STORE("fstpl");
	else
		STORE("fstps");
	return true;
refused:
	return false;
}

/** To *@r in @bits 64, 32 or 16. */
static ALWAYS_INLINE bool host_store_int(struct cpu *cpu, u64 s, unsigned bits, u64 *r, u16 *sw)
{
	if (bits == 64)
		STORE("fistpll");
	else if (bits == 32)
		STORE("fistpl");
	else
		STORE("fistps");
	return true;
refused:
	return false;
}

/** *@sw gets C0 if a < b, C3 if they are equal; unordered (C2) is refused. */
static ALWAYS_INLINE bool host_compare(struct cpu *cpu, u64 a, u64 b, u16 *sw)
{
	UNLESS("fldt " ST(b) "\n\tfldt " ST(a) "\n\tfucompp", "testl $0x41f, %%eax", "", "fnclex\n\t", [a] "r"(a), [b] "r"(b));
	return true;
refused:
	return false;
}

#undef ST
#undef REGISTERS
#undef REGS_INPUT
#undef UNLESS
#undef IN_PLACE
#undef BY_REGISTER
#undef BY_MEMORY
#undef ARITH_MEMORY
#undef LOAD
#undef STORE

#else

static inline struct x87_reg *place(struct cpu *cpu, u64 at)
{
	return &cpu->x87.r[at / sizeof(cpu->x87.r[0])];
}

static inline struct f80 read_place(struct cpu *cpu, u64 at)
{
	return (struct f80){place(cpu, at)->mant, place(cpu, at)->se};
}

static inline void write_place(struct cpu *cpu, u64 at, struct f80 v)
{
	place(cpu, at)->mant = v.mant;
	place(cpu, at)->se = v.se;
}

/* Never: the simple operation does it. */
static inline bool host_arith(struct cpu *cpu, enum fp_op op, u64 d, u64 s, u16 *sw)
{
	return false;
}

static inline bool host_arith_f64(struct cpu *cpu, enum fp_op op, u64 d, const double *m, u16 *sw)
{
	return false;
}

static inline bool host_arith_f32(struct cpu *cpu, enum fp_op op, u64 d, const float *m, u16 *sw)
{
	return false;
}

static inline bool host_sqrt(struct cpu *cpu, u64 d, u16 *sw)
{
	return false;
}

/* The rest in integers. */
static inline bool host_load_f64(struct cpu *cpu, u64 d, const double *m)
{
	struct f80 v;
	u64 raw;

	memcpy(&raw, m, 8);
	if (!f80_fast_from_f64(raw, &v))
		return false;
	write_place(cpu, d, v);
	return true;
}

static inline bool host_load_f32(struct cpu *cpu, u64 d, const float *m)
{
	struct f80 v;
	u32 raw;

	memcpy(&raw, m, 4);
	if (!f80_fast_from_f32(raw, &v))
		return false;
	write_place(cpu, d, v);
	return true;
}

static inline void host_load_int(struct cpu *cpu, u64 d, const void *m, unsigned bits)
{
	u64 v = 0;

	memcpy(&v, m, bits / 8);
	write_place(cpu, d, f80_from_s64(sext(v, bits)));
}

static inline void host_copy(struct cpu *cpu, u64 d, u64 s)
{
	write_place(cpu, d, read_place(cpu, s));
}

static inline void host_load_f80(struct cpu *cpu, u64 d, const u8 *m)
{
	memcpy(&place(cpu, d)->mant, m, 8);
	memcpy(&place(cpu, d)->se, m + 8, 2);
}

static inline void host_store_f80(struct cpu *cpu, u64 s, u8 *m)
{
	memcpy(m, &place(cpu, s)->mant, 8);
	memcpy(m + 8, &place(cpu, s)->se, 2);
}

static inline bool host_store_float(struct cpu *cpu, u64 s, unsigned bits, u64 *r, u16 *sw)
{
	u32 narrow = 0;

	*sw = 0;
	if (bits == 64)
		return f80_fast_to_f64(read_place(cpu, s), FPE_ALL, sw, r) && !(*sw & cpu->x87.refuse_store);
	if (!f80_fast_to_f32(read_place(cpu, s), FPE_ALL, sw, &narrow))
		return false;
	*r = narrow;
	return !(*sw & cpu->x87.refuse_store);
}

static inline bool host_store_int(struct cpu *cpu, u64 s, unsigned bits, u64 *r, u16 *sw)
{
	s64 v;

	*sw = 0;
	if (!f80_fast_to_int(read_place(cpu, s), bits, FPE_ALL, sw, &v))
		return false;
	*r = (u64)v;
	return !(*sw & cpu->x87.refuse_store);
}

static inline bool host_compare(struct cpu *cpu, u64 a, u64 b, u16 *sw)
{
	int order;

	if (!f80_fast_compare(read_place(cpu, a), read_place(cpu, b), &order))
		return false;
	*sw = order < 0 ? X87_C0 : order == 0 ? X87_C3 : 0;
	return true;
}

#endif
#endif
