/*
 * Logical to linear addresses with the checks of each mode (SDM Vol. 3A, 3.4 and 5.3-5.4; Vol.
 * 1, 3.3.7.1 for the canonical form; Vol. 3B, 21.1.1 for real mode).
 *
 * Real and virtual-8086 mode check the cached limit only, so a limit kept from protected mode
 * ("unreal mode") works. A segment whose limit is FFFFFFFFh never faults at the 4-GiB wrap: 5.3
 * leaves that to the implementation.
 */
#include "cpu/mmu/internal.h"

static int seg_fault(struct cpu *cpu, unsigned seg, const char *why, u64 value)
{
	cpu->trail.seg = (u8)seg;
	cpu->trail.stack = cpu->seg[seg];
	cpu->trail.stack_base = seg_base(cpu, seg);
	return cpu_fault(cpu, seg == SS ? EXC_SS : EXC_GP, 0, why, value);
}

static bool canonical(const struct cpu *cpu, u64 lin)
{
	return (u64)sext(lin, cpu->cr4 & CR4_LA57 ? 57 : 48) == lin;
}

static int linear64(struct cpu *cpu, unsigned seg, u64 off, unsigned size, u64 *lin)
{
	u64 a = off + (seg == FS || seg == GS || seg >= LDTR ? seg_base(cpu, seg) : 0);

	if (unlikely(!canonical(cpu, a) || !canonical(cpu, a + size - 1)))
		return seg_fault(cpu, seg, "the linear address is not canonical", a);
	*lin = a;
	return 0;
}

static const char *type_denies(u32 ar, unsigned acc)
{
	bool code = ar & AR_TYPE_CODE;

	if (ar & AR_UNUSABLE)
		return "the segment register holds a null selector";
	if ((acc & ACC_W) && (code || !(ar & AR_TYPE_WR)))
		return "write to a segment that is not writable data";
	if ((acc & ACC_R) && code && !(ar & AR_TYPE_WR))
		return "read from an execute-only code segment";
	return NULL;
}

static bool beyond_limit(const struct seg *s, u64 off, unsigned size)
{
	u64 last = off + size - 1;

	if ((s->ar & (AR_TYPE_CODE | AR_TYPE_ED)) == AR_TYPE_ED)
		return off <= s->limit || last > (s->ar & AR_DB ? 0xffffffff : 0xffff);
	return last > s->limit && s->limit != 0xffffffff;
}

int seg_linear(struct cpu *cpu, unsigned seg, u64 off, unsigned size, unsigned acc, u64 *lin)
{
	const struct seg *s = &cpu->seg[seg];
	const char *why;

	if (cpu_long64(cpu))
		return linear64(cpu, seg, off, size, lin);
	if (cpu_protected(cpu)) {
		why = type_denies(s->ar, acc);
		if (unlikely(why))
			return seg_fault(cpu, seg, why, s->ar);
	}
	if (unlikely(beyond_limit(s, off, size)))
		return seg_fault(cpu, seg, "the offset is beyond the segment limit", off);
	*lin = (u32)(seg_base(cpu, seg) + off);
	return 0;
}
