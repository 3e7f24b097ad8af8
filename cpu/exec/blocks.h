/*
 * The cache of decoded blocks: straight runs of instructions as micro-operations, keyed by physical address and mode.
 */
#ifndef ORRERY_CPU_EXEC_BLOCKS_H
#define ORRERY_CPU_EXEC_BLOCKS_H

#include "cpu/exec/builder.h"

struct link;

struct block {
	u64 phys;      /* of the first byte */
	u64 phys2;     /* page of the second half, for a single instruction across two pages; else NO_PAGE */
	u64 rip_page;  /* part of the key where code is not flat */
	u32 cs_limit;  /* the same */
	u32 mode;
	u64 lines, lines2; /* 64-byte lines of code it covers in its page and in phys2's */
	u8 count;      /* instructions */
	bool cached;   /* may be linked to */
	u64 trace_id, profile_id; /* numbers that debug/trace.c and debug/profile.c gave it; 0: none */
	struct block *hash_next;
	struct link *in;   /* links that lead here */
	struct uop *uops;  /* the first; the one before it has no handler and leads here */
	struct insn insns[];
};

/** Is non-flat code (its instruction pointer is not its linear address)? Then blocks are keyed by both. */
static inline bool code_not_flat(u32 mode)
{
	return !(mode & MODE_FLAT_CODE) || (mode & MODE_BITS) == MODE_16;
}

/** Does a block begin with uop_second_page*()? One of flat code across two pages does. */
static inline bool guards_second_page(u64 phys2, u32 mode)
{
	return phys2 != NO_PAGE && !code_not_flat(mode);
}

struct block_stats {
	unsigned blocks, pages;
	u64 instructions;
	u64 used, size; /* bytes of the arena */
};
/** For the debugger. */
void cpu_blocks_stats(const struct cpu *cpu, struct block_stats *out);

/** The block whose first micro-operation is @first. */
static inline struct block *block_of(const struct uop *first)
{
	return first[-1].block;
}

/** -ENOMEM or 0. */
int blocks_init(struct cpu *cpu);
void blocks_free(struct cpu *cpu);

/**
 * The block at cpu->rip in the current mode, built if need be, of at most @max_insns instructions (a shorter one is not cached).
 * NULL: a fault is in cpu->fault (fetch #PF, CS limit, canonical form...). Sets cpu->r[R_CODE].
 */
struct block *block_find(struct cpu *cpu, unsigned max_insns);
/** Makes the stub @stub lead to @b from now on, where that is allowed. */
void block_link(struct cpu *cpu, struct uop *stub, struct block *b);

/** A copy of the micro-operations that follow @u in its instruction, which leaves the chain (uop_insn_end) behind them. */
const struct uop *block_rest_of_insn(struct cpu *cpu, const struct uop *u);
void uop_insn_end(UOP_ARGS);

/**
 * Page offset of the instruction behind that of @u, a micro-operation of a block but none of its stubs. (The next micro-operation
 * need not be of the next instruction: a NOP has none.)
 */
unsigned block_next_insn(const struct uop *u);

/**
 * The block in which @n instructions stand in front of the one at offset @off of physical page @phys_page: their page offsets in @offs,
 * in the order of execution. False: it is no longer there.
 */
bool block_before(const struct cpu *cpu, u64 phys_page, unsigned off, u32 mode, unsigned n, u16 offs[BLOCK_MAX_INSNS]);

/** How the decoder is to read the code that runs now. */
static inline struct decode_mode decode_mode_of(const struct cpu *cpu)
{
	return (struct decode_mode){
		.bits = (u8)(16u << (cpu->mode & MODE_BITS)),
		.real_or_v86 = cpu->mode & (MODE_REAL | MODE_V86),
		.feat = cpu->feat,
	};
}

/** What jump cache entries must agree with now. */
static inline u64 jump_key(const struct cpu *cpu)
{
	return cpu->tlb->gen << 20 ^ cpu->mode;
}

/** Builds the micro-operations of the instructions in @b (decoded, b->count of them). */
void builder_emit_all(struct builder *b);

/* Stubs that left a chain unresolved are recognised by these. */
void uop_dead(UOP_ARGS);

#endif
