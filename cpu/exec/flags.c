#include "cpu/exec/flags.h"

static u32 sign_zero_parity(u64 result)
{
	return (result >> 63 ? FL_SF : 0) | (result == 0 ? FL_ZF : 0) |
	       (__builtin_parity((u8)result) ? 0 : FL_PF);
}

/* SDM Vol. 1, 3.4.3.1: CF and OF out of the sign bit, AF out of bit 3. */
static u32 carries(u64 vector_of_carries_out, u64 overflow, unsigned bits)
{
	return (vector_of_carries_out >> (bits - 1) & 1 ? FL_CF : 0) |
	       (vector_of_carries_out >> 3 & 1 ? FL_AF : 0) | (overflow >> (bits - 1) & 1 ? FL_OF : 0);
}

u32 flags_compute(u32 kind, u64 fa, u64 fb)
{
	unsigned bits = 8u << (kind & 3);

	switch (kind & ~3u) {
	case FK_ADD: {
		u64 r = fa, b = fb, a = r - b;
		return sign_zero_parity(r) | carries((a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), bits);
	}
	case FK_SUB: {
		u64 a = fa, b = fb, r = (u64)sext(a - b, bits);
		return sign_zero_parity(r) | carries((~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r), bits);
	}
	default:
		return (fb & (FL_CF | FL_AF | FL_OF)) | (sign_zero_parity(fa) ^ (fb & (FL_SF | FL_PF)));
	}
}

void flags_to_res(u32 rflags, u64 *fa, u64 *fb)
{
	u64 a = rflags & FL_ZF ? 0 : (rflags & FL_SF ? BIT64(63) : 0) | (rflags & FL_PF ? 3 : 1);
	*fa = a;
	*fb = (rflags & (FL_CF | FL_AF | FL_OF)) |
	      ((sign_zero_parity(a) ^ rflags) & (FL_SF | FL_PF));
}

bool flags_condition(unsigned cc, u32 f)
{
	bool sf_ne_of = !(f & FL_SF) != !(f & FL_OF);
	bool r = false;

	switch (cc >> 1 & 7) {
	case 0: r = f & FL_OF; break;
	case 1: r = f & FL_CF; break;
	case 2: r = f & FL_ZF; break;
	case 3: r = f & (FL_CF | FL_ZF); break;
	case 4: r = f & FL_SF; break;
	case 5: r = f & FL_PF; break;
	case 6: r = sf_ne_of; break;
	case 7: r = (f & FL_ZF) || sf_ne_of; break;
	}
	return r != (cc & 1);
}

u32 cpu_rflags(struct cpu *cpu)
{
	if (cpu->flag_kind != FK_EXACT) {
		cpu->rflags = (cpu->rflags & ~FL_ARITH) | flags_compute(cpu->flag_kind, cpu->fa, cpu->fb);
		cpu->flag_kind = FK_EXACT;
	}
	return cpu->rflags;
}

void cpu_set_rflags(struct cpu *cpu, u32 value)
{
	cpu->rflags = value | FL_R1;
	cpu->flag_kind = FK_EXACT;
}
