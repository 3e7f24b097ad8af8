/*
 * Gathers (SDM Vol. 2C, VGATHERDPS and its kin; Vol. 1, 14.9): elements from addresses that a vector indexes, under a mask whose
 * elements are cleared as they are done, so that a fault in the middle resumes where it was.
 */
#include "cpu/exec/exec.h"
#include "cpu/exec/string.h"
#include "cpu/exec/uop.h"

struct gather {
	unsigned size;       /* of an element */
	unsigned index_size; /* of an index: 4 or 8 bytes */
	unsigned n;
};

/* 90h and 92h have doubleword indexes, 91h and 93h quadwords; W tells the element. */
static struct gather gather_of(const struct insn *in)
{
	struct gather g = {.size = in->vex_w ? 8 : 4, .index_size = in->opcode & 1 ? 8 : 4};

	g.n = in->vex_l / MAX(g.size, g.index_size);
	return g;
}

static u64 element_ea(const struct cpu *cpu, const struct insn *in, const struct gather *g, unsigned i)
{
	const union vec *x = &cpu->v[in->index];
	s64 index = g->index_size == 4 ? (s64)(s32)x->d[i] : (s64)x->q[i];

	return zext_bytes(cpu->r[in->base] + ((u64)index << in->scale) + (u64)in->disp, in->adsize);
}

static int load_element(struct cpu *cpu, const struct insn *in, const struct gather *g, unsigned i, u8 *to)
{
	u64 ea = element_ea(cpu, in, g, i), lin;
	const struct tlb_entry *e;

	if (seg_linear(cpu, in->seg, ea, g->size, ACC_R, &lin))
		return 1;
	e = &cpu->tlb->r[tlb_index(lin)];
	if (unlikely((u64)(lin - e->tag) > 4096u - g->size))
		return mem_read(cpu, lin, to, g->size, ACC_R | ACC_VEC);
	memcpy(to, (const void *)(e->host + lin), g->size);
	return 0;
}

/*
 * All elements wanted, in 64-bit mode without a segment base, every page in the TLB: nothing can stop it. False: something may.
 * (A page that is not canonical is never in the TLB.)
 */
static bool gather_fast(struct cpu *cpu, const struct insn *in, const struct gather *g, const union vec *mask)
{
	union vec r = {.q = {0}};

	if (!cpu_long64(cpu) || in->seg == FS || in->seg == GS)
		return false;
	for (unsigned i = 0; i < g->n; i++) {
		u64 lin = element_ea(cpu, in, g, i);
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(lin)];
		if (!(mask->b[(i + 1) * g->size - 1] & 0x80) || (u64)(lin - e->tag) > 4096u - g->size)
			return false;
		if (g->size == 4)
			memcpy(&r.d[i], (const void *)(e->host + lin), 4);
		else
			memcpy(&r.q[i], (const void *)(e->host + lin), 8);
	}
	cpu->v[in->op[0].reg] = r;
	return true;
}

static int gather(struct cpu *cpu, const struct insn *in)
{
	const struct gather g = gather_of(in);
	union vec *dst = &cpu->v[in->op[0].reg], *mask = &cpu->v[in->op[2].reg];

	if (gather_fast(cpu, in, &g, mask)) {
		memset(mask, 0, sizeof(*mask));
		return 0;
	}
	/*
	 * What a fault in the middle shows: the mask widened by element over the vector length and cleared above; the destination
	 * cleared above too once it has an element.
	 */
	for (unsigned i = 0; i < in->vex_l; i += g.size)
		memset(mask->b + i, mask->b[i + g.size - 1] & 0x80 ? 0xff : 0, g.size);
	memset(mask->b + in->vex_l, 0, sizeof(*mask) - in->vex_l);
	bool some = false;
	for (unsigned i = 0; i < g.n; i++) {
		if (!mask->b[i * g.size])
			continue;
		if (load_element(cpu, in, &g, i, dst->b + i * g.size)) {
			/* A trap that elements before it left pending is delivered in lieu of the fault, with RF set. */
			if (!some || !((cpu->rflags & FL_TF) || cpu->dr6_pending))
				return 1;
			cpu->attn = 1; /* not on to the next instruction */
			return string_pause(cpu);
		}
		some = true;
		memset(mask->b + i * g.size, 0, g.size);
		memset(dst->b + in->vex_l, 0, sizeof(*dst) - in->vex_l);
	}
	memset(mask->b, 0, sizeof(*mask));
	memset(dst->b + g.n * g.size, 0, sizeof(*dst) - g.n * g.size);
	return 0;
}

#define GATHER(name)                                                                              \
	SIMPLE(name)                                                                               \
	{                                                                                          \
		return gather(cpu, in);                                                             \
	}
GATHER(vpgatherdd)
GATHER(vpgatherdq)
GATHER(vpgatherqd)
GATHER(vpgatherqq)
GATHER(vgatherdps)
GATHER(vgatherdpd)
GATHER(vgatherqps)
GATHER(vgatherqpd)
