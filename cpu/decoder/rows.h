/*
 * Private to the decoder: how a row is matched and where its operands come from.
 */
#ifndef ORRERY_CPU_DECODER_ROWS_H
#define ORRERY_CPU_DECODER_ROWS_H

#include "cpu/decoder/insn.h"
#include "cpu/decoder/vmx_intercepts.h"

enum insn_map {
	MAP_1B,
	MAP_0F,
	MAP_38,
	MAP_3A,
	MAP_V0F,
	MAP_V38,
	MAP_V3A, /* VEX */
	MAP_E0F,
	MAP_E38,
	MAP_E3A, /* EVEX */
	MAP_COUNT,
};

/*
 * A row matches when (key & mask) == value. The key of the instruction at hand:
 */
#define KEY_66        0x1u /* as a mandatory prefix: 66 without F2 and F3 */
#define KEY_F3        0x2u
#define KEY_F2        0x4u
#define KEY_PFX       0x7u
#define KEY_MOD3      0x8u
#define KEY_REG_SHIFT 4
#define KEY_REG       0x70u
#define KEY_RM_SHIFT  7
#define KEY_RM        0x380u
#define KEY_W         0x400u
#define KEY_L_SHIFT   11
#define KEY_L         0x1800u
#define KEY_64        0x2000u /* 64-bit mode */
#define KEY_O_SHIFT   14      /* operand size before 64-bit defaults: 0, 1, 2 for 16, 32, 64 */
#define KEY_O         0xc000u
#define KEY_A_SHIFT   16
#define KEY_A         0x30000u
#define KEY_REXB      0x40000u
#define KEY_EB        0x80000u /* EVEX.b */

/* Match column of the rows: value | mask << 20 | flags << 40 */
#define MATCH(value, mask) ((u64)(value) | (u64)(mask) << 20)
#define MATCH_VALUE(m)     ((u32)(m)&0xfffff)
#define MATCH_MASK(m)      ((u32)((u64)(m) >> 20) & 0xfffff)
#define MATCH_FLAGS(m)     ((u32)((u64)(m) >> 40))

#define ENC_D64         0x1u /* 64-bit operand size by default in 64-bit mode, 66 selects 16 */
#define ENC_F64         0x2u /* 64-bit operand size always in 64-bit mode */
#define ENC_N8          0x4u /* the low three opcode bits are a register: eight opcodes */
#define ENC_TUPLE_SHIFT 4    /* EVEX disp8*N, enum tuple */
#define ENC_TUPLE       0xf0u
#define ENC_ER          0x100u /* EVEX.b with a register operand: embedded rounding */
#define ENC_VSIB        0x200u /* the index of the memory operand is a vector register */

enum tuple {
	TT_NONE,
	TT_FV32,
	TT_FV64,
	TT_FVM,
	TT_HVM,
	TT_QVM,
	TT_OVM,
	TT_T1_8,
	TT_T1_4,
	TT_M128,
	TT_HV
};

enum opd_source {
	OS_NONE,
	OS_E,
	OS_G,
	OS_R,
	OS_B,
	OS_Z,
	OS_M,
	OS_I,
	OS_SI,
	OS_I2,
	OS_ONE,
	OS_J,
	OS_A,
	OS_O,
	OS_X,
	OS_Y,
	OS_S,
	OS_C,
	OS_D,
	OS_FIX,
	OS_FIXSEG,
	OS_ST0,
	OS_STI,
	OS_P,
	OS_Q,
	OS_N,
	OS_V,
	OS_W,
	OS_U,
	OS_H,
	OS_L,
	OS_XMM0,
	OS_KG,
	OS_KH,
	OS_KM,
};

enum opd_size {
	SZ_none,
	SZ_b,
	SZ_w,
	SZ_d,
	SZ_q,
	SZ_dq,
	SZ_qq,
	SZ_t,   /* fixed: 0 1 2 4 8 16 32 10 */
	SZ_v,   /* operand size */
	SZ_z,   /* operand size, at most 4 */
	SZ_y,   /* 8 with W in 64-bit mode, else 4 */
	SZ_n,   /* 8 in 64-bit mode, else 4 */
	SZ_a64, /* address size */
	SZ_p,   /* 2 + operand size */
	SZ_s,   /* 2 + native size */
	SZ_a,   /* twice the operand size */
	SZ_x,
	SZ_h,
	SZ_f,
	SZ_e, /* vector length and its half, quarter, eighth */
	SZ_COUNT,
};

enum opd {
	OPD_ = 0, /* an empty operand list */
	OPD_none = 0,
#define OPD(name, src, mem, reg) OPD_##name,
#include "cpu/decoder/operands.def"
#undef OPD
	OPD_COUNT,
};

struct opd_info {
	u8 src; /* enum opd_source */
	u8 mem; /* enum opd_size of the memory form (and of immediates) */
	u8 reg; /* enum opd_size of the register form; the register number of FIX and FIXSEG */
};

struct row_enc {
	u32 value, mask;
	u16 flags; /* ENC_* */
	u8 map;    /* enum insn_map */
	u8 opcode;
	u8 op[4]; /* enum opd */
	u8 rw;    /* two bits per operand, first operand lowest: 1 read, 2 written */
};

extern const struct row_enc row_encs[];
extern const struct opd_info opd_infos[OPD_COUNT];
extern const char *const row_exec_names[];

/** Bytes of the vector register that indexes the memory operand of a gather: doubleword indexes of quadwords fill half of one. */
static inline unsigned vsib_index_bytes(const struct insn *in)
{
	return (in->opcode & 1) == 0 && in->vex_w && in->vex_l > 16 ? in->vex_l / 2 : in->vex_l;
}

/** True if the row's encoding has a ModRM byte. */
bool row_has_modrm(const struct row_enc *r);

#endif
