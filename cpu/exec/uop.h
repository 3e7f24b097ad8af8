/*
 * Micro-operations: what a decoded block is made of, and the idioms their handlers are written in.
 *
 * A handler ends in a tail call of the next one; the hot state travels in the argument registers. Rules that keep a
 * handler a leaf without prologue: no call on the fast path, no address of a local; anything else goes to a NOINLINE
 * function of the same signature (the *_slow twins below). tests/check_handlers.sh holds this.
 */
#ifndef ORRERY_CPU_EXEC_UOP_H
#define ORRERY_CPU_EXEC_UOP_H

#include "cpu/cpu.h"
#include "cpu/exec/flags.h"
#include "cpu/mmu/mmu.h"

struct uop;

/*
 * fa, fb: operands of the lazy flags. ea: linear address between the micro-operations of one instruction (in RCX on
 * x86-64 hosts, where shifts want their count, and dead at the start of every instruction).
 * cd: instructions left in the slice, counted down at block ends.
 */
#define UOP_ARGS struct cpu *cpu, const struct uop *u, u64 fa, u64 ea, u64 fb, s64 cd
#define UOP_PASS cpu, u, fa, ea, fb, cd

typedef void (*uop_fn)(UOP_ARGS);

struct uop {
	uop_fn fn;
	union {
		struct {
			u16 dst, src, base, index; /* byte offsets into struct cpu */
		};
		struct uop *alt;  /* in the slot after a branch: where not taken goes */
		u64 phys;         /* in a cross-page link: the target's physical page */
	};
	s32 disp;
	u16 off;  /* page offset of the instruction it belongs to */
	u8 icnt;  /* instructions of the block before it */
	u8 sh;    /* index << sh */
	union {
		u64 imm;
		struct uop *target;
		const struct insn *insn;
	};
};
_Static_assert(sizeof(struct uop) == 32, "two micro-operations to the cache line");

/* A block holds at most this many instructions; a chain of blocks ends when fewer are left in the slice. */
#define BLOCK_MAX_INSNS 64

/* Indirect jumps: target to block, valid for one translation generation and mode. */
struct jump_cache_entry {
	u64 rip;
	u64 key; /* cpu->jump_key when it was entered; 0: empty */
	struct uop *uops;
	u64 unused;
};
#define JUMP_CACHE_BITS 12
#define JUMP_CACHE_SIZE (1u << JUMP_CACHE_BITS)

static ALWAYS_INLINE unsigned jump_cache_index(u64 rip)
{
	return (u32)rip * 0x9e3779b1u >> (32 - JUMP_CACHE_BITS);
}

/* ---- operands ------------------------------------------------------------------------------------ */

#define AT(type, off) (*(type *)((char *)cpu + (off)))
#define REG8(off) AT(u8, off)
#define REG16(off) AT(u16, off)
#define REG32(off) AT(u32, off)
#define REG64(off) AT(u64, off)
#define SREG8(off) ((s64)AT(s8, off))
#define SREG16(off) ((s64)AT(s16, off))
#define SREG32(off) ((s64)AT(s32, off))
#define SREG64(off) AT(s64, off)
/* A 32-bit result clears the upper half; 8- and 16-bit results keep the rest. */
#define SETREG8(off, v) (AT(u8, off) = (u8)(v))
#define SETREG16(off, v) (AT(u16, off) = (u16)(v))
#define SETREG32(off, v) (AT(u64, off) = (u32)(v))
#define SETREG64(off, v) (AT(u64, off) = (u64)(v))

#define REG_OFF(reg) ((u16)((reg) * 8))
#define REG8H_OFF(reg) ((u16)((reg) * 8 + 1)) /* AH CH DH BH as 0..3 */
#define VEC_OFF(n) ((u16)(offsetof(struct cpu, v) + (n) * sizeof(union vec)))
#define MM_OFF(n) ((u16)(offsetof(struct cpu, x87.r) + (n) * sizeof(struct x87_reg)))
#define LOW_HALF_FIRST 1 /* the byte-offset scheme needs a little-endian host */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers are addressed by byte offset");

/* ---- control ----------------------------------------------------------------------------------------- */

#define NEXT return u[1].fn(cpu, u + 1, fa, ea, fb, cd)

/* Continues at @t, a block's first micro-operation or a link stub, after @n instructions of this block. */
#define CONTINUE_AT(t, n)                                                                         \
	do {                                                                                       \
		const struct uop *t_ = (t);                                                         \
		cd -= (n);                                                                          \
		if (unlikely(cd < BLOCK_MAX_INSNS))                                                 \
			return uop_leave_at(cpu, t_, fa, ea, fb, cd);                               \
		return t_->fn(cpu, t_, fa, ea, fb, cd);                                             \
	} while (0)

/** Ends the chain in front of @u, a block start or a stub (cd already charged). */
void uop_leave_at(UOP_ARGS);
/** Ends the chain at rip @ea after the instruction of @u, a block's last; charges cd. */
void uop_leave_rip(UOP_ARGS);
/** Ends the chain after the instruction of @u, whose other micro-operations still run; charges cd. */
void uop_leave_next(UOP_ARGS);
/** A stub not linked yet: leaves to the run loop, which looks the target up and links. */
void uop_unlinked(UOP_ARGS);
/** A stub linked across a page boundary: holds while the target page is still mapped to the same frame. */
void uop_cross_link64(UOP_ARGS);
void uop_cross_link32(UOP_ARGS);
/** Leaves with the fault that cpu_fault() recorded, at the instruction of @u. */
void uop_fault(UOP_ARGS);
/** Raises #UD (invalid or unimplemented encodings). */
void uop_undefined(UOP_ARGS);
/** Runs a simple operation: without flags, with flags, ending the block. */
void uop_call(UOP_ARGS);
void uop_call_flags(UOP_ARGS);
void uop_call_end(UOP_ARGS);
/** The same, ending the block only if the operation changed the mode or an event can be taken now. */
void uop_call_checked(UOP_ARGS);

/** Shortens the slice so that the block end, @n instructions on, leaves the chain. Returns the new cd. */
s64 uop_clip(struct cpu *cpu, s64 cd, unsigned n);

/** After a slow access: leaves at the instruction's end if something came up, else goes on. */
#define SLOW_NEXT                                                                                 \
	do {                                                                                       \
		if (unlikely(cpu->attn))                                                            \
			return uop_leave_next(UOP_PASS);                                            \
		NEXT;                                                                               \
	} while (0)

/* ---- memory -------------------------------------------------------------------------------------------- */

/* The three ways a memory operand's linear address comes about. */
#define EA_bd (REG64(u->base) + (s64)u->disp)
#define EA_bis (REG64(u->base) + (REG64(u->index) << u->sh) + (s64)u->disp)
#define EA_pre ea /* by a preceding micro-operation (other address sizes, segment bases and checks) */
enum ea_mode { EAM_BD, EAM_BIS, EAM_PRE, EAM_COUNT };

/* Guest memory at a host address of any alignment. */
#define HOST(type, at) (((struct { type v; } __attribute__((packed, may_alias)) *)(at))->v)

#define TLB_MISS(e, size) unlikely((u64)(ea - (e)->tag) > 4096u - (size))

/*
 * The slow paths: translate, fault, cross pages, reach devices, drop decoded blocks. They take the chain's state so that
 * faults and device time are exact. Return 1 when the handler must return (a fault is pending).
 */
MUST_CHECK int uop_slow_read(UOP_ARGS, unsigned size);
MUST_CHECK int uop_slow_write(UOP_ARGS, unsigned size);
/** Reads with write permission checked, for a read-modify-write: the write that follows cannot fault. */
MUST_CHECK int uop_slow_read_rmw(UOP_ARGS, unsigned size);

/*
 * The value travels in cpu->slow: a local whose address escaped would turn the handler's tail call into a call, and
 * every slow access of a long chain would leave a frame on the host's stack.
 */
#define SLOW_READ(m) (uop_slow_read(UOP_PASS, sizeof(m)) || (memcpy(&(m), cpu->slow, sizeof(m)), 0))
#define SLOW_READ_RMW(m) (uop_slow_read_rmw(UOP_PASS, sizeof(m)) || (memcpy(&(m), cpu->slow, sizeof(m)), 0))
#define SLOW_WRITE(m) (memcpy(cpu->slow, &(m), sizeof(m)), uop_slow_write(UOP_PASS, sizeof(m)))

/*
 * UOP_LOAD3(name, type, body): body sees `m`, the value loaded.
 * UOP_STORE3(name, type, value_expr, after)
 * UOP_RMW3(name, type, body): body reads and assigns `m`.
 * Each defines the handlers of the three addressing forms and their slow twin.
 */
#define UOP_LOAD_SLOW(slow, type, ...)                                                            \
	static COLD void slow(UOP_ARGS)                                                            \
	{                                                                                          \
		type m;                                                                             \
		if (SLOW_READ(m))                                                                   \
			return;                                                                     \
		__VA_ARGS__;                                                                        \
		SLOW_NEXT;                                                                          \
	}
#define UOP_LOAD_FAST(name, slow, eam, type, ...)                                                 \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->r[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(type)))                                                      \
			return slow(UOP_PASS);                                                      \
		type m;                                                                             \
		memcpy(&m, (const void *)(e->host + ea), sizeof(m));                                \
		__VA_ARGS__;                                                                        \
		NEXT;                                                                               \
	}

#define UOP_STORE(name, eam, type, value, ...)                                                    \
	static COLD void name##_slow(UOP_ARGS)                                                     \
	{                                                                                          \
		type m = (value);                                                                   \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		__VA_ARGS__;                                                                        \
		SLOW_NEXT;                                                                          \
	}                                                                                          \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(type)))                                                      \
			return name##_slow(UOP_PASS);                                               \
		type m = (value);                                                                   \
		memcpy((void *)(e->host + ea), &m, sizeof(m));                                      \
		__VA_ARGS__;                                                                        \
		NEXT;                                                                               \
	}

#define UOP_RMW_SLOW(slow, type, ...)                                                             \
	static COLD void slow(UOP_ARGS)                                                            \
	{                                                                                          \
		type m;                                                                             \
		if (SLOW_READ_RMW(m))                                                               \
			return;                                                                     \
		__VA_ARGS__;                                                                        \
		if (SLOW_WRITE(m))                                                                  \
			return;                                                                     \
		SLOW_NEXT;                                                                          \
	}
#define UOP_RMW_FAST(name, slow, eam, type, ...)                                                  \
	static void name(UOP_ARGS)                                                                 \
	{                                                                                          \
		ea = EA_##eam;                                                                      \
		const struct tlb_entry *e = &cpu->tlb->w[tlb_index(ea)];                            \
		if (TLB_MISS(e, sizeof(type)))                                                      \
			return slow(UOP_PASS);                                                      \
		type m = HOST(type, e->host + ea);                                                  \
		__VA_ARGS__;                                                                        \
		HOST(type, e->host + ea) = m;                                                       \
		NEXT;                                                                               \
	}

/* All three addressing forms of a memory handler, name_bd, name_bis, name_pre; _FAST takes the slow twin of another. */
#define UOP_LOAD3_FAST(name, slow, type, ...)                                                     \
	UOP_LOAD_FAST(name##_bd, slow, bd, type, __VA_ARGS__)                                      \
	UOP_LOAD_FAST(name##_bis, slow, bis, type, __VA_ARGS__)                                    \
	UOP_LOAD_FAST(name##_pre, slow, pre, type, __VA_ARGS__)
#define UOP_LOAD3(name, type, ...)                                                                \
	UOP_LOAD_SLOW(name##_slow, type, __VA_ARGS__)                                              \
	UOP_LOAD3_FAST(name, name##_slow, type, __VA_ARGS__)
#define UOP_STORE3(name, type, value, ...)                                                        \
	UOP_STORE(name##_bd, bd, type, value, __VA_ARGS__)                                               \
	UOP_STORE(name##_bis, bis, type, value, __VA_ARGS__)                                             \
	UOP_STORE(name##_pre, pre, type, value, __VA_ARGS__)
#define UOP_RMW3_FAST(name, slow, type, ...)                                                      \
	UOP_RMW_FAST(name##_bd, slow, bd, type, __VA_ARGS__)                                       \
	UOP_RMW_FAST(name##_bis, slow, bis, type, __VA_ARGS__)                                     \
	UOP_RMW_FAST(name##_pre, slow, pre, type, __VA_ARGS__)
#define UOP_RMW3(name, type, ...)                                                                 \
	UOP_RMW_SLOW(name##_slow, type, __VA_ARGS__)                                               \
	UOP_RMW3_FAST(name, name##_slow, type, __VA_ARGS__)
#define EAM3(name) {name##_bd, name##_bis, name##_pre}

#endif
