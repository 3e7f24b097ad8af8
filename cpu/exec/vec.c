/*
 * MMX and SSE: emission common to all, and the x87 state that MMX instructions leave (SDM Vol. 1, 9.5).
 */
#include "cpu/exec/vec_forms.h"
#include "cpu/exec/x87.h"

COLD void vec_misaligned(UOP_ARGS)
{
	cpu_fault(cpu, EXC_GP, 0, "memory operand of a 16-byte SSE access is not aligned", ea);
	uop_fault(UOP_PASS);
}

void vec_mmx_enter(struct cpu *cpu, int reg)
{
	x87_all_tags(&cpu->x87, true);
	if (reg >= 0)
		cpu->x87.r[reg].se = 0xffff;
}

static void mmx_done(UOP_ARGS)
{
	x87_all_tags(&cpu->x87, true);
	NEXT;
}

static void mmx_done_written(UOP_ARGS)
{
	x87_all_tags(&cpu->x87, true);
	AT(struct x87_reg, u->dst).se = 0xffff;
	NEXT;
}

/* Before a store: hardware has reset TOP, but not the tags, when the store faults. */
static void mmx_top(UOP_ARGS)
{
	x87_set_top(&cpu->x87, 0);
	NEXT;
}

/* After memory was accessed, whose fault leaves the tags as they were. */
void vec_emit_mmx_done(struct builder *b, const struct insn *in)
{
	bool dst = in->op[0].kind == OPK_MM && (in->op[0].rw & 2);

	if (dst)
		emit(b, mmx_done_written)->dst = operand_off(&in->op[0]);
	else if (in->op[0].kind == OPK_MM || in->op[1].kind == OPK_MM)
		emit(b, mmx_done);
}

struct uop *vec_emit_form(struct builder *b, const struct insn *in, const struct vec_form *f, unsigned s)
{
	const struct operand *src = &in->op[s];
	struct uop *u;

	if (src->kind == OPK_MEM) {
		u = emit_mem(b, in, f->mem, src->size, ACC_R);
	} else {
		u = emit(b, f->rr);
		u->src = operand_off(src);
	}
	u->dst = operand_off(&in->op[0]);
	u->imm = in->imm;
	return u;
}

void vec_emit_store(struct builder *b, const struct insn *in, const uop_fn mem[EAM_COUNT])
{
	struct uop *u;

	if (in->op[1].kind == OPK_MM)
		emit(b, mmx_top);
	u = emit_mem(b, in, mem, in->op[0].size, ACC_W);
	u->src = operand_off(&in->op[1]);
	vec_emit_mmx_done(b, in);
}

void vec_emit(struct builder *b, const struct insn *in, const struct vec_forms *f)
{
	bool mmx = in->op[0].kind == OPK_MM && f->mmx.rr;
	struct uop *u;

	if (f->exact && vec_exactly(b, f->intels))
		return emit_call(b, in, f->exact);
	u = vec_emit_form(b, in, mmx ? &f->mmx : &f->x, 1);
	if (f->prepare)
		u->imm = f->prepare(in->imm);
	vec_emit_mmx_done(b, in);
}

/* ---- VEX ------------------------------------------------------------------------------------------------- */

unsigned avx_last_source(const struct insn *in)
{
	unsigned s = in->nops - 1u;

	while (s > 1 && in->op[s].kind == OPK_IMM)
		s--;
	return s;
}

struct uop *avx_emit_form(struct builder *b, const struct insn *in, const struct vec_form *f, unsigned s)
{
	const struct operand *src = &in->op[s];
	struct uop *u;

	if (src->kind == OPK_MEM) {
		u = emit_mem(b, in, f->mem, src->size, ACC_R);
	} else {
		u = emit(b, f->rr);
		u->base = operand_off(src);
	}
	u->dst = operand_off(&in->op[0]);
	u->src = operand_off(&in->op[s == 2]); /* the destination when there is one source */
	u->imm = in->imm;
	return u;
}

void avx_emit(struct builder *b, const struct insn *in, const struct avx_forms *f)
{
	struct uop *u;

	if (f->exact && vec_exactly(b, f->intels))
		return emit_call(b, in, f->exact);
	bool y = in->vex_l == 32 && f->y.rr;
	bool ymm = y && f->ymm && vec_host_avx2();
	u = avx_emit_form(b, in, ymm ? &f->ymm->form : y ? &f->y : &f->w, avx_last_source(in));
	if (ymm && f->ymm->prepare)
		u->imm = f->ymm->prepare(in->imm);
	else if (f->prepare)
		u->imm = f->prepare(in->imm);
}
