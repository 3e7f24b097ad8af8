/*
 * The block builder: what an instruction's `gen` function uses to emit micro-operations.
 */
#ifndef ORRERY_CPU_EXEC_BUILDER_H
#define ORRERY_CPU_EXEC_BUILDER_H

#include "cpu/exec/exec.h"
#include "cpu/exec/uop.h"

/* What is known of the lazy flags at this point of the block. */
enum static_flags {
	SF_DYNAMIC,  /* cpu->flag_kind tells */
	SF_SUB,      /* FK_SUB of size 1 << b->sf_lg */
	SF_ADD,
	SF_RES,      /* FK_RES from an arithmetic result: no inverted SF or PF */
	SF_LOGIC,    /* the same with CF = OF = 0 */
};

#define BUILDER_MAX_UOPS (BLOCK_MAX_INSNS * 8 + 8)

struct builder {
	struct cpu *cpu;
	u32 mode;
	struct insn insn[BLOCK_MAX_INSNS + 1];
	u16 off[BLOCK_MAX_INSNS + 1];   /* page offset of each instruction */
	u32 live[BLOCK_MAX_INSNS + 1];  /* flags somebody may read after instruction i */
	unsigned count;                 /* instructions */
	unsigned cur;                   /* the one being emitted */
	bool ended;                     /* its micro-operations left the block */
	enum static_flags sf;
	unsigned sf_lg;
	u64 rip_page;                   /* rip of the page's first byte (cpu->r[R_CODE]) */
	unsigned n;
	struct uop u[BUILDER_MAX_UOPS];
};

/** Appends a micro-operation of the current instruction, zeroed but for fn, off, icnt. */
struct uop *emit(struct builder *b, uop_fn fn);

/** Flags of the current instruction's row that somebody may read later. */
static inline u32 flags_needed(const struct builder *b)
{
	return insn_rows[b->insn[b->cur].row].fl_write & b->live[b->cur];
}

/** Byte offset in struct cpu of a GPR, GPR8H, MM or VEC operand. */
u16 operand_off(const struct operand *o);

/**
 * Emits whatever address computation must precede an access of @size bytes (kind @acc) to the instruction's memory
 * operand, then appends the access itself from @fns[EAM_COUNT] with its address fields filled.
 */
struct uop *emit_mem(struct builder *b, const struct insn *in, const uop_fn fns[EAM_COUNT], unsigned size,
		     unsigned acc);
/** Emits only the address: the micro-operations after it find it in `ea`. */
void emit_ea(struct builder *b, const struct insn *in, unsigned size, unsigned acc);

/** Emits the instruction as a call of @op (general fallback of a gen function). */
void emit_call(struct builder *b, const struct insn *in, exec_op op);

#endif
