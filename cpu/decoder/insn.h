/*
 * The decoder's product, and the static facts of a table row.
 *
 * Pure: bytes, mode and feature bits in; instruction out. Nothing here knows struct cpu.
 */
#ifndef ORRERY_CPU_DECODER_INSN_H
#define ORRERY_CPU_DECODER_INSN_H

#include "base/types.h"
#include "cpu/decoder/features.h"

/* Register numbers of insn->base and insn->index beside 0..15: cpu.h's R_ZERO and R_CODE. */
#define INSN_NO_REG 16
#define INSN_CODE_REG 17

enum operand_kind {
	OPK_NONE,
	OPK_GPR,   /* reg 0..15, size 1/2/4/8 */
	OPK_GPR8H, /* AH, CH, DH, BH as reg 0..3, size 1 */
	OPK_MEM,   /* at insn->seg:base+index<<scale+disp; size in bytes (0: no access of its own, e.g. LEA) */
	OPK_IMM,   /* value in insn->imm: Iz and sign-extended Ib extended to 64 bits (truncate to size), others zero-extended */
	OPK_IMM2,  /* second immediate (ENTER, EXTRQ): insn->imm2 */
	OPK_REL,   /* insn->imm: signed displacement from the next instruction */
	OPK_FAR,   /* insn->imm: offset, insn->imm2: selector */
	OPK_SEG, OPK_CR, OPK_DR, OPK_ST, OPK_MM,
	OPK_VEC,   /* XMM/YMM/ZMM, size = bytes accessed (4, 8, 16, 32, 64) */
	OPK_K,     /* opmask */
	OPK_ONE,   /* the constant 1 of D0/D1 shifts */
};

struct operand {
	u8 kind; /* enum operand_kind */
	u8 reg;
	u8 size; /* bytes; MEM up to 64 directly; larger areas (FXSAVE) use 0 and the handler knows */
	u8 rw;   /* bit 0: read, bit 1: written */
};

#define PFX_66 0x1u
#define PFX_67 0x2u
#define PFX_LOCK 0x4u
#define PFX_REP 0x8u    /* F3, when it is a REP and not a mandatory prefix; also kept when mandatory */
#define PFX_REPNE 0x10u /* F2 */
#define PFX_REX 0x20u
#define PFX_VEX 0x40u
#define PFX_EVEX 0x80u
#define PFX_SEG 0x100u  /* an explicit segment override took effect */

struct insn {
	u16 row;      /* index into insn_rows[] */
	u16 prefixes; /* PFX_* */
	u8 len;       /* 1..15 bytes */
	u8 opcode;    /* last opcode byte: cc = opcode & 15 for Jcc, SETcc, CMOVcc */
	u8 opsize;    /* effective operand size in bytes: 2, 4, 8 (stack and near-branch 64-bit defaults applied) */
	u8 adsize;    /* effective address size in bytes: 2, 4, 8 */
	u8 modrm;     /* raw; 0 when there is none */
	u8 has_modrm;
	/* The memory operand, when one operand is OPK_MEM, or for string instructions the source segment. */
	u8 seg;       /* enum seg_reg after defaults and overrides (always meaningful for memory operands) */
	u8 base;      /* enum reg: 0..15, R_ZERO, or R_CODE for rip-relative (then disp counts from the next insn) */
	u8 index;     /* 0..15 or R_ZERO; for VSIB: vector register */
	u8 scale;     /* 0..3: index << scale */
	s64 disp;
	u64 imm;
	u32 imm2;
	u8 vex_l;     /* vector length in bytes: 16, 32, 64 (16 for legacy SSE) */
	u8 vex_v;     /* VEX.vvvv register; 0 when unused */
	u8 vex_w;
	u8 evex_aaa, evex_z, evex_b, evex_rc;
	u8 nops;
	struct operand op[4];
};

/* Row attributes (struct insn_row.attr) */
#define IA_LOCK 0x1u        /* LOCK prefix allowed (with a memory destination) */
#define IA_END 0x2u         /* ends a block: changes rip, mode, IF, paging, or may make an event deliverable */
#define IA_CPL0 0x4u        /* #GP(0) unless CPL 0 (and in virtual-8086 mode) */
#define IA_NO64 0x8u        /* #UD in 64-bit mode */
#define IA_ONLY64 0x10u     /* #UD outside 64-bit mode */
#define IA_PROT 0x20u       /* #UD in real and virtual-8086 mode */
#define IA_X87 0x40u        /* #NM if CR0.EM or CR0.TS; waits for pending x87 exceptions unless IA_NOWAIT */
#define IA_NOWAIT 0x80u
#define IA_MMX 0x100u       /* #UD if CR0.EM, #NM if CR0.TS, pending #MF, enters MMX state */
#define IA_SSE 0x200u       /* #UD if CR0.EM or !CR4.OSFXSR, #NM if CR0.TS */
#define IA_AVX 0x400u       /* #UD unless XCR0 and CR4.OSXSAVE, #NM if CR0.TS */
#define IA_AVX512 0x800u
#define IA_ALIGN 0x1000u    /* a 16-byte (vector-length) memory operand must be aligned: #GP(0) */
#define IA_REP 0x2000u      /* REP/REPE/REPNE has its string meaning */
#define IA_IO 0x4000u       /* reaches devices: ends the slice if an event was raised */
#define IA_MEMONLY 0x8000u
#define IA_REGONLY 0x10000u
#define IA_BRANCH 0x20000u  /* near control transfer */
#define IA_UNDOC 0x40000u   /* undocumented but implemented by hardware (SALC, ...) */

struct insn_row {
	const char *mnemonic; /* Intel syntax */
	u16 feature;          /* enum feature that gates it; #UD when absent */
	u16 fl_read, fl_write, fl_undef; /* FL_* bits (low 16 bits of RFLAGS suffice) */
	u32 attr;             /* IA_* */
	u16 vmx;              /* enum vmx_intercept */
	const char *sdm;      /* "ADC", the SDM Vol. 2 page it follows */
};

extern const struct insn_row insn_rows[];
extern const unsigned insn_row_count;

enum decode_status {
	DECODE_OK,
	DECODE_UD,       /* invalid encoding, or not in this mode, or feature absent, or bad LOCK */
	DECODE_TOO_LONG, /* more than 15 bytes: #GP(0) */
	DECODE_SHORT,    /* @avail bytes do not hold the whole instruction */
};

/* What the decoder must know of the machine. */
struct decode_mode {
	u8 bits;          /* 16, 32 or 64 */
	bool real_or_v86;
	const u32 *feat;  /* bitmap by enum feature */
};

/**
 * Decodes one instruction.
 * @bytes, @avail: what can be fetched (1..15 matter). @out is whole on DECODE_OK; on DECODE_UD @out->len is the length
 * so far consumed. Never reads beyond @avail. Does not check CPL, CR0/CR4 gates (IA_X87, IA_SSE, ...): the caller does.
 */
enum decode_status insn_decode(const struct decode_mode *mode, const u8 *bytes, unsigned avail, struct insn *out);

enum disasm_syntax { DISASM_INTEL, DISASM_ATT };

/** Writes the text of @in (located at @rip) to @buf; always terminated. Returns its length. */
int insn_format(const struct insn *in, u64 rip, enum disasm_syntax syntax, char *buf, size_t size);

#endif
