/*
 * Gathers (SDM Vol. 2C, VGATHERDPS and its kin; Vol. 1, 14.9): elements from addresses that a vector indexes, under a mask whose
 * elements are cleared as they are done, so that a fault in the middle resumes where it was.
 */
#include "cpu/exec/string.h"
#include "cpu/exec/vec_forms.h"

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

static int gather(struct cpu *cpu, const struct insn *in)
{
	const struct gather g = gather_of(in);
	union vec *dst = &cpu->v[in->op[0].reg], *mask = &cpu->v[in->op[2].reg];

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

extern const uop_fn ymm_gather[4][2][2][2] __attribute__((weak));

/* What mostly happens, nothing stops it, by the host's AVX2; that goes on behind the general operation if it could do it all. */
static void emit_fast(struct builder *b, const struct insn *in)
{
	const struct gather g = gather_of(in);
	struct uop *u = emit(b, ymm_gather[in->scale][g.index_size == 8][g.size == 8][in->vex_l == 32]);

	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[2]);
	u->base = REG_OFF(in->base);
	u->index = VEC_OFF(in->index);
	u->disp = (s32)(in->base == R_CODE ? b->off[b->cur] + in->len + in->disp : in->disp);
}

static void gen_gather(struct builder *b, const struct insn *in, u32 arg UNUSED)
{
	if (ymm_gather && vec_host_avx2() && (b->mode & MODE_BITS) == MODE_64 && in->adsize == 8 && in->seg != FS && in->seg != GS)
		emit_fast(b, in);
	emit_call(b, in, gather);
}

#define GATHER(name)                                                                              \
	extern const struct exec_desc exec_##name;                                                 \
	const struct exec_desc exec_##name = {.gen = gen_gather};
GATHER(vpgatherdd)
GATHER(vpgatherdq)
GATHER(vpgatherqd)
GATHER(vpgatherqq)
GATHER(vgatherdps)
GATHER(vgatherdpd)
GATHER(vgatherqps)
GATHER(vgatherqpd)
