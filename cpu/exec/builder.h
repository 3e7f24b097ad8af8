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
	SF_COMPARED, /* FK_RES of a floating-point comparison: SF = OF = AF = 0, and FL_PF in fb is the inverse of PF */
};

#define BUILDER_MAX_UOPS (BLOCK_MAX_INSNS * 8 + 8)

#define NO_PAGE (~0ull)

#define PAIR_INDEX_BITS 10

#define PAIR_TABLES 8

/* Handlers that are first and second halves, and of each second half those that do both, by first half. */
struct pair_table {
	const uop_fn *firsts, *seconds, *pairs;
	unsigned nfirsts, nseconds;
};

/* The places of a handler in the lists of each table, 1 and up; 0: not there. */
struct pair_index {
	uop_fn fn; /* NULL: free */
	u8 first[PAIR_TABLES], second[PAIR_TABLES];
};

/* What is linked: @sh of a stub. */
enum link_kind {
	LINK_ACROSS,  /* the stub itself, which looks at the target's page */
	LINK_SAME,    /* the branch's target, in the same page */
	LINK_BRANCH,  /* the branch's target and phys: FOLLOW_LINK */
};

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
	u64 phys_page;                  /* where the code is */
	u64 rip_page;                   /* rip of the page's first byte (cpu->r[R_CODE]) */
	u64 phys2;                      /* the second page of an instruction across two, else NO_PAGE */
	unsigned n;
	struct uop u[BUILDER_MAX_UOPS];
	bool pure[BUILDER_MAX_UOPS];     /* reads and writes registers only, never faults or leaves */
	bool has_insn[BUILDER_MAX_UOPS]; /* points to its instruction */
	struct uop_exit {
		struct uop *u;         /* whose target it is */
		s32 disp;              /* of the continuation, from the page's first byte */
		enum link_kind kind;
	} exit[BLOCK_MAX_INSNS + 1];
	unsigned nexits;
	struct pair_index pairs[1u << PAIR_INDEX_BITS];
};

/** Gives the micro-operation @u its instruction. */
void uop_set_insn(struct builder *b, struct uop *u, const struct insn *in);
/** Makes @u's target the continuation at @disp bytes from the page's first byte: a stub, to be linked. */
void uop_set_exit(struct builder *b, struct uop *u, s64 disp);
/** The same for what is its own link across pages (FOLLOW_LINK). */
void uop_set_link(struct builder *b, struct uop *u, s64 disp);

/** Appends a micro-operation of the current instruction, zeroed but for fn, off, icnt. */
struct uop *emit(struct builder *b, uop_fn fn);

/** How instruction @i is watched: SHOWN, PROBED (cpu/exec/watch.h). */
unsigned watch_insn(const struct builder *b, unsigned i);

/** Flags of the current instruction's row that somebody may read later. */
static inline u32 flags_needed(const struct builder *b)
{
	const struct insn_row *r = &insn_rows[b->insn[b->cur].row];
	return (r->fl_write | r->fl_undef) & b->live[b->cur];
}

/** The same for what works on registers and flags alone and never faults or leaves; operands it has not stay the zero register. */
struct uop *emit_pure(struct builder *b, uop_fn fn);

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

/** Loads integer operand @i into R_TMP if it is in memory; returns the register offset that holds it. */
u16 emit_load_tmp(struct builder *b, const struct insn *in, unsigned i);

/** Brings the lazy flags into the form FK_RES: after this `fb` holds CF, AF and OF. */
void builder_need_res(struct builder *b);

/** Emits the instruction as a call of @op (general fallback of a gen function). */
void emit_call(struct builder *b, const struct insn *in, exec_op op);
/** The same where @op sets rip or changes what the block was built for: the block ends. */
void emit_call_end(struct builder *b, const struct insn *in, exec_op op);

/* For lists of handlers: a conditional branch that compares or tests, and its negated twin. */
#define BRANCHES(X, name) X(j_##name) X(jn_##name)

/** Last of all: gives micro-operations that often stand side by side a handler that does both (pairs.c). */
void fuse_pairs(struct builder *b);
/** Prepares what fuse_pairs() looks up; once. */
void pairs_init(struct builder *b);

/** How the row of @in executes; NULL if it is not implemented. */
const struct exec_desc *insn_exec(const struct insn *in);

/** True where push, pop, call and ret of @size bytes can go through the TLB directly. */
bool flat_stack(const struct builder *b, unsigned size);

/**
 * Fuses the current CMP or TEST with the Jcc behind it. Returns false, having emitted nothing, if it cannot; else both are
 * done and b->cur stands at the Jcc.
 */
bool fuse_compare_branch(struct builder *b, const struct insn *in, bool is_test);

#endif
