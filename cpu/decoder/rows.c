/*
 * The rows as tables: static facts (insn_rows) and encodings (row_encs), both by row number.
 */
#include "cpu/decoder/rows.h"

/* The words of the match column. */
enum match_word {
	/* Mandatory prefix: none, not F2 nor F3, 66, F3, F2. Rows without one ignore prefixes. */
	NP = MATCH(0, KEY_PFX),
	NF = MATCH(0, KEY_F3 | KEY_F2),
	P66 = MATCH(KEY_66, KEY_PFX),
	PF3 = MATCH(KEY_F3, KEY_PFX),
	PF2 = MATCH(KEY_F2, KEY_PFX),
	MEM = MATCH(0, KEY_MOD3),
	REG = MATCH(KEY_MOD3, KEY_MOD3),
#define DIGIT(n) D##n = MATCH(n << KEY_REG_SHIFT, KEY_REG), RM##n = MATCH(n << KEY_RM_SHIFT, KEY_RM)
	DIGIT(0),
	DIGIT(1),
	DIGIT(2),
	DIGIT(3),
	DIGIT(4),
	DIGIT(5),
	DIGIT(6),
	DIGIT(7),
#undef DIGIT
	W0 = MATCH(0, KEY_W),
	W1 = MATCH(KEY_W, KEY_W),
	L0 = MATCH(0, KEY_L),
	L1 = MATCH(1 << KEY_L_SHIFT, KEY_L),
	L2 = MATCH(2 << KEY_L_SHIFT, KEY_L),
	O16 = MATCH(0, KEY_O),
	O32 = MATCH(1 << KEY_O_SHIFT, KEY_O),
	O64 = MATCH(2 << KEY_O_SHIFT, KEY_O),
	A16 = MATCH(0, KEY_A),
	A32 = MATCH(1 << KEY_A_SHIFT, KEY_A),
	A64 = MATCH(2 << KEY_A_SHIFT, KEY_A),
	NOREXB = MATCH(0, KEY_REXB),
#define ENC(flags) ((u64)(flags) << 40)
	D64 = ENC(ENC_D64),
	F64 = ENC(ENC_F64),
	N8 = ENC(ENC_N8),
	ER = ENC(ENC_ER),
	VSIB = ENC(ENC_VSIB),
#define TUPLE(t) T_##t = ENC((u64)TT_##t << ENC_TUPLE_SHIFT)
	TUPLE(FV32),
	TUPLE(FV64),
	TUPLE(FVM),
	TUPLE(HVM),
	TUPLE(QVM),
	TUPLE(OVM),
	TUPLE(T1_8),
	TUPLE(T1_4),
	TUPLE(M128),
	TUPLE(HV),
#undef TUPLE
};

/* The words of the attribute column. */
enum attr_word {
	LOCK = IA_LOCK,
	END = IA_END,
	CPL0 = IA_CPL0,
	NO64 = IA_NO64,
	ONLY64 = IA_ONLY64,
	PROT = IA_PROT,
	X87 = IA_X87,
	NOWAIT = IA_NOWAIT,
	MMX = IA_MMX,
	SSE = IA_SSE,
	AVX = IA_AVX,
	AVX512 = IA_AVX512,
	ALIGN = IA_ALIGN,
	REP = IA_REP,
	IO = IA_IO,
	BRANCH = IA_BRANCH,
	UNDOC = IA_UNDOC,
};

/* The words of the flag columns: RFLAGS bits (SDM Vol. 1, 3.4.3). */
enum flag_word {
	FLS_0 = 0,
	FLS_C = 0x1,
	FLS_P = 0x4,
	FLS_A = 0x10,
	FLS_Z = 0x40,
	FLS_S = 0x80,
	FLS_I = 0x200,
	FLS_D = 0x400,
	FLS_O = 0x800,
	FLS_AC = FLS_A | FLS_C,
	FLS_OC = FLS_O | FLS_C,
	FLS_OA = FLS_O | FLS_A,
	FLS_AP = FLS_A | FLS_P,
	FLS_SAP = FLS_S | FLS_AP,
	FLS_OS = FLS_O | FLS_S,
	FLS_OSZ = FLS_OS | FLS_Z,
	FLS_ZC = FLS_Z | FLS_C,
	FLS_OZC = FLS_O | FLS_ZC,
	FLS_OSZC = FLS_OSZ | FLS_C,
	FLS_OSZP = FLS_OSZ | FLS_P,
	FLS_SZP = FLS_S | FLS_Z | FLS_P,
	FLS_SZPC = FLS_SZP | FLS_C,
	FLS_SZAP = FLS_SZP | FLS_A,
	FLS_SZAPC = FLS_SZAP | FLS_C,
	FLS_OAC = FLS_O | FLS_AC,
	FLS_OSAP = FLS_OS | FLS_AP,
	FLS_OSAPC = FLS_OSAP | FLS_C,
	FLS_OSZAP = FLS_O | FLS_SZAP,
	FLS_OSZPC = FLS_OSZP | FLS_C,
	FLS_OSZAPC = FLS_OSZPC | FLS_A,
	FLS_DOSZAPC = FLS_D | FLS_OSZAPC,
	FLS_ALL = 0x7fd5, /* everything in bits 15:0, with TF, IOPL and NT */
};

/* The access column: bit 0 read, bit 1 written, for each operand. */
enum access_word {
	ACC_ = 0,
	ACC_n = 0,
	ACC_r = 1,
	ACC_w = 2,
	ACC_x = 3,
	ACC_nn = 0,
	ACC_wn = 2,
	ACC_rr = 5,
	ACC_wr = 6,
	ACC_xr = 7,
	ACC_xx = 0xf,
	ACC_rrr = 0x15,
	ACC_wrr = 0x16,
	ACC_xrr = 0x17,
	ACC_xrx = 0x37,
	ACC_wwr = 0x1a,
	ACC_wrrr = 0x56,
	ACC_xrrr = 0x57,
};

#define ROW(exec, mn, map, opc, match, ops, acc, feat, fr, fw, fu, at, vmxi, page)                 \
	{mn,          FEAT_##feat, FLS_##fr, FLS_##fw, FLS_##fu, (u32)(at) | MOD_ATTR(match),      \
	 VMXI_##vmxi, page},
/* A row that demands a memory or a register form says so among its attributes too. */
#define MOD_ATTR(m)                                                                                \
	(!(MATCH_MASK(m) & KEY_MOD3) ? 0 : MATCH_VALUE(m) & KEY_MOD3 ? IA_REGONLY : IA_MEMONLY)
const struct insn_row insn_rows[] = {
#include "cpu/decoder/insns.def"
};
#undef ROW

const unsigned insn_row_count = ARRAY_SIZE(insn_rows);

#define OPS4(a, b, c, d, ...)                                                                      \
	{                                                                                          \
		OPD_##a, OPD_##b, OPD_##c, OPD_##d                                                 \
	}
#define OPS(...) OPS4(__VA_ARGS__, none, none, none, none, none)
#define ROW(exec, mn, map, opc, match, ops, acc, feat, fr, fw, fu, at, vmxi, page)                 \
	{MATCH_VALUE(match), MATCH_MASK(match), MATCH_FLAGS(match), MAP_##map, opc, OPS ops,       \
	 ACC_##acc},
const struct row_enc row_encs[] = {
#include "cpu/decoder/insns.def"
};
#undef ROW

#define ROW(exec, ...) #exec,
const char *const row_exec_names[] = {
#include "cpu/decoder/insns.def"
};
#undef ROW

/* FIX and FIXSEG carry a register number where the others have a size. */
enum { SZ_0 = 0, SZ_1, SZ_2, SZ_3, SZ_4, SZ_5 };

const struct opd_info opd_infos[OPD_COUNT] = {
#define OPD(name, src, mem, reg) [OPD_##name] = {OS_##src, SZ_##mem, SZ_##reg},
#include "cpu/decoder/operands.def"
#undef OPD
};

const struct feature_row feature_rows[FEAT_COUNT] = {
#define FEATURE(id, name, leaf, subleaf, reg, bit) [FEAT_##id] = {name, leaf, subleaf, reg, bit},
#include "cpu/decoder/features.def"
#undef FEATURE
};

bool row_has_modrm(const struct row_enc *r)
{
	if (r->map > MAP_3A || (r->mask & (KEY_MOD3 | KEY_REG | KEY_RM)))
		return r->map != MAP_V0F || r->opcode != 0x77;
	for (unsigned i = 0; i < 4; i++) {
		switch (opd_infos[r->op[i]].src) {
		case OS_E:
		case OS_G:
		case OS_R:
		case OS_M:
		case OS_S:
		case OS_C:
		case OS_D:
		case OS_STI:
		case OS_P:
		case OS_Q:
		case OS_N:
		case OS_V:
		case OS_W:
		case OS_U: return true;
		}
	}
	return false;
}
