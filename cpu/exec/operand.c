/*
 * Operand access for simple operations, and the stack (SDM Vol. 1, 3.7 and 6.2).
 */
#include "cpu/exec/exec.h"
#include "cpu/exec/uop.h"
#include "cpu/exec/builder.h"

u16 operand_off(const struct operand *o)
{
	switch (o->kind) {
	case OPK_GPR8H: return REG8H_OFF(o->reg);
	case OPK_MM: return MM_OFF(o->reg);
	case OPK_VEC: return VEC_OFF(o->reg);
	default: return REG_OFF(o->reg);
	}
}

u64 op_ea(struct cpu *cpu, const struct insn *in)
{
	u64 base = in->base == R_CODE ? cpu->rip : cpu->r[in->base];
	return zext_bytes(base + (cpu->r[in->index] << in->scale) + (u64)in->disp, in->adsize);
}

int op_linear(struct cpu *cpu, const struct insn *in, unsigned size, unsigned acc, u64 *lin)
{
	return seg_linear(cpu, in->seg, op_ea(cpu, in), size, acc, lin);
}

int op_read(struct cpu *cpu, const struct insn *in, unsigned i, u64 *value)
{
	const struct operand *o = &in->op[i];
	u64 lin;

	switch (o->kind) {
	case OPK_MEM:
		*value = 0;
		return op_linear(cpu, in, o->size, ACC_R, &lin) ||
		       mem_read(cpu, lin, value, o->size, ACC_R);
	case OPK_IMM:
	case OPK_REL: *value = zext_bytes(in->imm, o->size ? o->size : 8); return 0;
	case OPK_IMM2: *value = in->imm2; return 0;
	case OPK_ONE: *value = 1; return 0;
	case OPK_SEG: *value = cpu->seg[o->reg].sel; return 0;
	case OPK_GPR8H: *value = AT(u8, REG8H_OFF(o->reg)); return 0;
	default: *value = reg_read(cpu, o->reg, o->size); return 0;
	}
}

int op_write(struct cpu *cpu, const struct insn *in, unsigned i, u64 value)
{
	const struct operand *o = &in->op[i];
	u64 lin;

	if (o->kind == OPK_MEM)
		return op_linear(cpu, in, o->size, ACC_W, &lin) ||
		       mem_write(cpu, lin, &value, o->size, ACC_W);
	if (o->kind == OPK_GPR8H)
		AT(u8, REG8H_OFF(o->reg)) = (u8)value;
	else
		reg_write(cpu, o->reg, o->size, value);
	return 0;
}

/* Linear address of operand @i's bytes, with the alignment rule of the row (SDM Vol. 2A, 2.4). */
static int bytes_linear(struct cpu *cpu, const struct insn *in, unsigned i, unsigned acc, u64 *lin)
{
	unsigned size = in->op[i].size;

	if (op_linear(cpu, in, size, acc, lin))
		return 1;
	if ((insn_rows[in->row].attr & IA_ALIGN) && (*lin & (size - 1)))
		return cpu_fault(cpu, EXC_GP, 0, "misaligned vector operand in memory", *lin);
	return 0;
}

/* The half-precision conversions do not check alignment (SDM Vol. 2A, 2.7.9: exceptions of type 11). */
static unsigned alignment_of(const struct insn *in)
{
	return insn_rows[in->row].feature == FEAT_F16C ? ACC_VEC : 0;
}

int op_read_bytes(struct cpu *cpu, const struct insn *in, unsigned i, void *buf)
{
	const struct operand *o = &in->op[i];
	u64 lin;

	if (o->kind == OPK_MEM)
		return bytes_linear(cpu, in, i, ACC_R, &lin) || mem_read(cpu, lin, buf, o->size, ACC_R | alignment_of(in));
	memcpy(buf, (char *)cpu + operand_off(o), o->size);
	return 0;
}

int op_write_bytes(struct cpu *cpu, const struct insn *in, unsigned i, const void *buf)
{
	const struct operand *o = &in->op[i];
	u64 lin;

	if (o->kind == OPK_MEM)
		return bytes_linear(cpu, in, i, ACC_W, &lin) || mem_write(cpu, lin, buf, o->size, ACC_W | alignment_of(in));
	memcpy((char *)cpu + operand_off(o), buf, o->size);
	return 0;
}

u64 stack_mask(const struct cpu *cpu)
{
	if (cpu_long64(cpu))
		return ~0ull;
	return cpu->mode & MODE_SS32 ? 0xffffffff : 0xffff;
}

static void set_stack_pointer(struct cpu *cpu, u64 sp)
{
	u64 mask = stack_mask(cpu);
	cpu->r[RSP] = mask == 0xffff ? (cpu->r[RSP] & ~mask) | (sp & mask) : sp & mask;
}

int push_value(struct cpu *cpu, unsigned size, u64 v)
{
	u64 sp = (cpu->r[RSP] - size) & stack_mask(cpu), lin;

	if (seg_linear(cpu, SS, sp, size, ACC_W, &lin) || mem_write(cpu, lin, &v, size, ACC_W))
		return 1;
	set_stack_pointer(cpu, sp);
	return 0;
}

int pop_value(struct cpu *cpu, unsigned size, u64 *v)
{
	u64 sp = cpu->r[RSP] & stack_mask(cpu), lin;

	*v = 0;
	if (seg_linear(cpu, SS, sp, size, ACC_R, &lin) || mem_read(cpu, lin, v, size, ACC_R))
		return 1;
	set_stack_pointer(cpu, sp + size);
	return 0;
}
