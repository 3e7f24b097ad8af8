/*
 * The decoder (SDM Vol. 2A, chapter 2: instruction format; Vol. 2D, Appendix A: the maps).
 *
 * Prefixes, opcode and ModRM byte make a key; the index names the rows of that opcode; the first
 * row whose conditions the key meets and whose feature is present is the instruction. The rest
 * (memory operand, immediates) follows from the row's operands.
 *
 * Not modelled: XOP, 3DNow!, EVEX maps 5 and 6, EVEX VSIB, APX.
 */
#include "cpu/decoder/index.h"

#include "decoder_index.inc"

#define MAX_INSN_LEN 15

/* Everything known about the instruction while it is being decoded. */
struct decoding {
	const struct decode_mode *mode;
	const u8 *bytes;
	unsigned limit; /* bytes that may be consumed */
	unsigned pos;
	bool overrun; /* a byte beyond limit was wanted */
	u8 rex;       /* REX bits WRXB, in VEX and EVEX as well */
	u8 rex2;      /* EVEX: bit 4 of ModRM.reg (R') and of vvvv (V') as 0x10 and 0x20 */
	u8 map;
	u8 pp;       /* KEY_66, KEY_F3, KEY_F2 or 0 */
	u8 seg;      /* override or SEG_UNSET */
	u8 l;        /* VEX.L, EVEX.L'L */
	u8 raw_vvvv; /* all four bits, in any mode */
	u8 used_vvvv;
	struct insn *in;
};

#define SEG_UNSET 0xff
enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS }; /* cpu.h has the same numbers */

static ALWAYS_INLINE u8 fetch8(struct decoding *d)
{
	if (unlikely(d->pos >= d->limit)) {
		d->overrun = true;
		return 0;
	}
	return d->bytes[d->pos++];
}

/* Little-endian value of @n (1, 2, 4, 8) bytes, zero-extended. */
static u64 fetch(struct decoding *d, unsigned n)
{
	u64 v = 0;

	if (unlikely(n > d->limit - d->pos)) {
		d->pos = d->limit;
		d->overrun = true;
		return 0;
	}
	memcpy(&v, d->bytes + d->pos, n);
	d->pos += n;
	return v;
}

static ALWAYS_INLINE s64 fetch_signed(struct decoding *d, unsigned n)
{
	return sext(fetch(d, n), n * 8);
}

/* ---- prefixes ----------------------------------------------------------------------------------
 */

/* In 64-bit mode the overrides of ES, CS, SS and DS are ignored (SDM Vol. 1, 3.3.7.1). */
static void seg_override(struct decoding *d, unsigned seg)
{
	if (d->mode->bits == 64 && seg < SEG_FS)
		return;
	d->seg = (u8)seg;
	d->in->prefixes |= PFX_SEG;
}

/* Consumes legacy prefixes and REX; returns the first byte that is neither. */
static u8 legacy_prefixes(struct decoding *d)
{
	struct insn *in = d->in;

	for (;;) {
		u8 b = fetch8(d);

		switch (b) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e: seg_override(d, b >> 3 & 3); break;
		case 0x64: seg_override(d, SEG_FS); break;
		case 0x65: seg_override(d, SEG_GS); break;
		case 0x66: in->prefixes |= PFX_66; break;
		case 0x67: in->prefixes |= PFX_67; break;
		case 0xf0: in->prefixes |= PFX_LOCK; break;
		/* Of F2 and F3 the last one counts. */
		case 0xf2: in->prefixes = (in->prefixes & ~PFX_REP) | PFX_REPNE; break;
		case 0xf3: in->prefixes = (in->prefixes & ~PFX_REPNE) | PFX_REP; break;
		default:
			if ((b & 0xf0) != 0x40 || d->mode->bits != 64)
				return b;
			d->rex = b & 0xf;
			in->prefixes |= PFX_REX;
			continue;
		}
		/* A REX that does not stand directly before the opcode is ignored (SDM Vol.
		 * 2A, 2.2.1). */
		d->rex = 0;
		in->prefixes &= ~PFX_REX;
	}
}

static const u8 pp_keys[4] = {0, KEY_66, KEY_F3, KEY_F2};

static ALWAYS_INLINE u8 legacy_pp(unsigned prefixes)
{
	return prefixes & PFX_REPNE ? KEY_F2
	       : prefixes & PFX_REP ? KEY_F3
	       : prefixes & PFX_66  ? KEY_66
				    : 0;
}

/* vvvv has 3 bits outside 64-bit mode (SDM Vol. 2A, 2.3.5.6): bit 3 is ignored. */
static u8 vvvv(const struct decoding *d, u8 b)
{
	return (~b >> 3) & (d->mode->bits == 64 ? 15 : 7);
}

/* C4 or C5 (SDM Vol. 2A, 2.3.5). False: #UD. */
static bool vex_prefix(struct decoding *d, u8 first)
{
	struct insn *in = d->in;
	u8 b = fetch8(d), last;
	unsigned map = 1;

	if (first == 0xc4) {
		map = b & 0x1f;
		d->rex = ~b >> 5 & 7;
		last = fetch8(d);
		in->vex_w = last >> 7;
		d->rex |= in->vex_w << 3;
	} else {
		last = b;
		d->rex = ~b >> 5 & 4;
	}
	if (d->mode->bits != 64)
		d->rex &= 8;
	in->prefixes |= PFX_VEX;
	d->l = last >> 2 & 1;
	d->pp = pp_keys[last & 3];
	in->vex_v = vvvv(d, last);
	d->raw_vvvv = ~last >> 3 & 15;
	d->map = (u8)(MAP_V0F + map - 1);
	return map >= 1 && map <= 3;
}

/* 62 (SDM Vol. 2A, 2.7.1). False: #UD. */
static bool evex_prefix(struct decoding *d)
{
	struct insn *in = d->in;
	u8 p0 = fetch8(d), p1 = fetch8(d), p2 = fetch8(d);
	unsigned map = p0 & 7;

	d->rex = (~p0 >> 5 & 7) | (p1 >> 7) << 3;
	d->rex2 = (~p0 & 0x10) | (~p2 & 8) << 2;
	if (d->mode->bits != 64) {
		d->rex &= 8;
		d->rex2 = 0;
	}
	in->prefixes |= PFX_EVEX;
	in->vex_w = p1 >> 7;
	in->vex_v = vvvv(d, p1) | (d->rex2 & 0x20) >> 1;
	d->raw_vvvv = in->vex_v | (~p1 >> 3 & 15);
	in->evex_aaa = p2 & 7;
	in->evex_z = p2 >> 7;
	in->evex_b = p2 >> 4 & 1;
	d->l = p2 >> 5 & 3;
	d->pp = pp_keys[p1 & 3];
	d->map = (u8)(MAP_E0F + map - 1);
	return !(p0 & 8) && (p1 & 4) && map >= 1 && map <= 3;
}

/* C4, C5 and 62 are LES, LDS and BOUND unless ModRM would name a register, outside 64-bit mode. */
static bool is_vex_lead(const struct decoding *d, u8 b)
{
	if (b != 0xc4 && b != 0xc5 && b != 0x62)
		return false;
	if (d->mode->bits == 64)
		return true;
	return !d->mode->real_or_v86 && d->pos < d->limit && d->bytes[d->pos] >= 0xc0;
}

/* From the first non-prefix byte to the opcode; sets map, pp, VEX fields. False: #UD. */
static bool opcode_map(struct decoding *d, u8 b)
{
	struct insn *in = d->in;

	if (unlikely(is_vex_lead(d, b))) {
		if (in->prefixes & (PFX_66 | PFX_REP | PFX_REPNE | PFX_LOCK | PFX_REX))
			return false;
		if (!(b == 0x62 ? evex_prefix(d) : vex_prefix(d, b)))
			return false;
		in->opcode = fetch8(d);
		return true;
	}
	d->pp = legacy_pp(in->prefixes);
	if (b == 0x0f) {
		b = fetch8(d);
		d->map = MAP_0F;
		if (b == 0x38 || b == 0x3a) {
			d->map = b == 0x38 ? MAP_38 : MAP_3A;
			b = fetch8(d);
		}
	}
	in->opcode = b;
	return true;
}

/* ---- the row
 * -------------------------------------------------------------------------------------- */

static unsigned code_size(unsigned bits, unsigned prefixes, unsigned flip)
{
	if (bits == 16)
		return prefixes & flip ? 4 : 2;
	return prefixes & flip ? 2 : 4;
}

static u32 make_key(const struct decoding *d)
{
	const struct insn *in = d->in;
	u32 key = d->pp | (u32)d->l << KEY_L_SHIFT;

	if (in->has_modrm)
		key |= (in->modrm >= 0xc0 ? KEY_MOD3 : 0) |
		       (u32)(in->modrm >> 3 & 7) << KEY_REG_SHIFT |
		       (u32)(in->modrm & 7) << KEY_RM_SHIFT;
	key |= (d->rex & 8 ? KEY_W : 0) | (d->rex & 1 ? KEY_REXB : 0);
	key |= (u32)(in->opsize >> 2) << KEY_O_SHIFT | (u32)(in->adsize >> 2) << KEY_A_SHIFT;
	return key | (d->mode->bits == 64 ? KEY_64 : 0);
}

static const struct candidate *find_row(const struct decoding *d, const struct index_entry *e)
{
	u32 key = make_key(d);
	unsigned first = e->first, count = e->count;

	if (e->flags & INDEX_SPLIT) {
		unsigned i = (key & KEY_MOD3) | (key >> KEY_REG_SHIFT & 7);

		count = decoder_splits[first].e[i].count;
		first = decoder_splits[first].e[i].first;
	}
	for (const struct candidate *c = &decoder_candidates[first]; count; c++, count--)
		if ((key & c->mask) == c->value &&
		    (d->mode->feat[c->feature / 32] >> (c->feature % 32) & 1))
			return c;
	return NULL;
}

/* ---- the memory operand
 * --------------------------------------------------------------------------- */

/* SDM Vol. 2A, table 2-1. */
static void mem16(struct decoding *d)
{
	static const u8 bases[8] = {3, 3, 5, 5, 6, 7, 5, 3};
	static const u8 indexes[8] = {6,           7,           6,           7,
				      INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};
	struct insn *in = d->in;
	unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

	in->base = bases[rm];
	in->index = indexes[rm];
	if (mod == 0 && rm == 6) {
		in->base = INSN_NO_REG;
		in->disp = fetch_signed(d, 2);
	} else if (mod) {
		in->disp = fetch_signed(d, mod);
	}
}

/* SDM Vol. 2A, tables 2-2 and 2-3. */
static void mem32(struct decoding *d, bool vsib)
{
	struct insn *in = d->in;
	unsigned mod = in->modrm >> 6, rm = in->modrm & 7;

	in->index = INSN_NO_REG;
	if (rm == 4) {
		u8 sib = fetch8(d);
		unsigned index = (sib >> 3 & 7) | (d->rex & 2) << 2;

		rm = sib & 7;
		if (index != 4 || vsib) {
			in->index = (u8)index;
			in->scale = sib >> 6;
		}
		in->base = (u8)(rm | (d->rex & 1) << 3);
		if (rm == 5 && mod == 0) {
			in->base = INSN_NO_REG;
			in->disp = fetch_signed(d, 4);
			return;
		}
	} else if (rm == 5 && mod == 0) {
		in->base = d->mode->bits == 64 ? INSN_CODE_REG : INSN_NO_REG;
		in->disp = fetch_signed(d, 4);
		return;
	} else {
		in->base = (u8)(rm | (d->rex & 1) << 3);
	}
	if (mod == 1)
		in->disp = fetch_signed(d, 1);
	else if (mod == 2)
		in->disp = fetch_signed(d, 4);
}

/* N of disp8*N (SDM Vol. 2A, tables 2-34 and 2-35). */
static unsigned disp8_scale(const struct insn *in, unsigned tuple)
{
	unsigned vl = in->vex_l;

	switch (tuple) {
	case TT_FV32: return in->evex_b ? 4 : vl;
	case TT_FV64: return in->evex_b ? 8 : vl;
	case TT_HV: return in->evex_b ? 4 : vl / 2;
	case TT_FVM: return vl;
	case TT_HVM: return vl / 2;
	case TT_QVM: return vl / 4;
	case TT_OVM: return vl / 8;
	case TT_T1_8: return 8;
	case TT_T1_4: return 4;
	case TT_M128: return 16;
	default: return 1;
	}
}

/* False: #UD, a vector index without a place for it (SDM Vol. 2A, 2.3.12). */
static bool memory(struct decoding *d, unsigned flags)
{
	struct insn *in = d->in;

	if ((flags & ENC_VSIB) && (in->adsize == 2 || (in->modrm & 7) != 4))
		return false;
	if (in->adsize == 2)
		mem16(d);
	else
		mem32(d, flags & ENC_VSIB);
	if (in->modrm >> 6 == 1)
		in->disp *= disp8_scale(in, (flags & ENC_TUPLE) >> ENC_TUPLE_SHIFT);
	if (d->seg != SEG_UNSET)
		in->seg = d->seg;
	else
		in->seg = in->base == 4 || in->base == 5 ? SEG_SS : SEG_DS;
	return true;
}

/* ---- operands
 * ----------------------------------------------------------------------------------------- */

static unsigned opd_bytes(const struct decoding *d, unsigned size)
{
	const struct insn *in = d->in;
	bool b64 = d->mode->bits == 64;

	switch (size) {
	case SZ_b: return 1;
	case SZ_w: return 2;
	case SZ_d: return 4;
	case SZ_q: return 8;
	case SZ_dq: return 16;
	case SZ_qq: return 32;
	case SZ_t: return 10;
	case SZ_v: return in->opsize;
	case SZ_z: return MIN(in->opsize, 4);
	case SZ_y: return b64 && (d->rex & 8) ? 8 : 4;
	case SZ_n: return b64 ? 8 : 4;
	case SZ_a64: return in->adsize;
	case SZ_p: return in->opsize + 2;
	case SZ_s: return b64 ? 10 : 6;
	case SZ_a: return in->opsize * 2;
	case SZ_x: return in->vex_l;
	case SZ_h: return in->vex_l / 2;
	case SZ_f: return in->vex_l / 4;
	case SZ_e: return in->vex_l / 8;
	default: return 0;
	}
}

static void set_reg(struct operand *op, unsigned kind, unsigned reg, unsigned size)
{
	op->kind = (u8)kind;
	op->reg = (u8)reg;
	op->size = (u8)size;
}

/* Byte registers 4..7 are AH..BH unless there is a REX prefix (SDM Vol. 1, 3.4.1.1). */
static void set_gpr(const struct decoding *d, struct operand *op, unsigned reg, unsigned size)
{
	if (size == 1 && reg >= 4 && reg < 8 && !(d->in->prefixes & PFX_REX))
		set_reg(op, OPK_GPR8H, reg - 4, 1);
	else
		set_reg(op, OPK_GPR, reg, size);
}

static void set_mem(const struct decoding *d, struct operand *op, const struct opd_info *o,
		    unsigned flags)
{
	const struct insn *in = d->in;
	unsigned size = opd_bytes(d, o->mem), tuple = (flags & ENC_TUPLE) >> ENC_TUPLE_SHIFT;

	if (in->evex_b)
		size = tuple == TT_FV64 ? 8 : 4;
	set_reg(op, OPK_MEM, 0, size);
}

/* The string operands: rSI by the source segment, rDI by ES. */
static void set_string(struct decoding *d, struct operand *op, const struct opd_info *o)
{
	struct insn *in = d->in;

	set_reg(op, OPK_MEM, o->src == OS_X ? 6 : 7, opd_bytes(d, o->mem));
	if (o->src == OS_X) {
		in->seg = d->seg != SEG_UNSET ? d->seg : SEG_DS;
		in->base = 6;
	} else if (in->base == INSN_NO_REG) {
		in->seg = SEG_ES;
		in->base = 7;
	}
}

static bool set_seg_reg(struct operand *op, unsigned reg)
{
	set_reg(op, OPK_SEG, reg, 2);
	return reg <= SEG_GS;
}

/* CR1, CR5..CR7 and CR9..CR15 are reserved (SDM Vol. 2B, MOV to/from control registers). */
static bool set_cr(const struct decoding *d, struct operand *op, unsigned reg)
{
	set_reg(op, OPK_CR, reg, opd_bytes(d, SZ_n));
	return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
}

/* Fills @op from operand letter @o. False: #UD. */
static bool set_operand(struct decoding *d, struct operand *op, const struct opd_info *o,
			unsigned flags)
{
	struct insn *in = d->in;
	unsigned reg = (in->modrm >> 3 & 7) | (d->rex & 4) << 1;
	unsigned rm = (in->modrm & 7) | (d->rex & 1) << 3;
	unsigned vrm = rm | (in->prefixes & PFX_EVEX ? (d->rex & 2) << 3 : 0);
	bool is_reg = in->modrm >= 0xc0;

	switch (o->src) {
	case OS_E:
		if (!is_reg)
			set_mem(d, op, o, flags);
		else
			set_gpr(d, op, rm, opd_bytes(d, o->reg));
		return true;
	case OS_G: set_gpr(d, op, reg, opd_bytes(d, o->reg)); return true;
	case OS_R: set_gpr(d, op, rm, opd_bytes(d, o->reg)); return true;
	case OS_Z:
		set_gpr(d, op, (in->opcode & 7) | (d->rex & 1) << 3, opd_bytes(d, o->reg));
		return true;
	case OS_B:
		d->used_vvvv = true;
		set_reg(op, OPK_GPR, in->vex_v, opd_bytes(d, o->reg));
		return true;
	case OS_M: set_mem(d, op, o, flags); return true;
	case OS_I:
		in->imm = fetch(d, opd_bytes(d, o->mem));
		set_reg(op, OPK_IMM, 0, opd_bytes(d, o->mem));
		return true;
	case OS_SI:
		in->imm = (u64)fetch_signed(d, o->mem == SZ_z ? opd_bytes(d, SZ_z) : 1);
		set_reg(op, OPK_IMM, 0, in->opsize);
		return true;
	case OS_I2:
		in->imm2 = fetch8(d);
		set_reg(op, OPK_IMM2, 0, 1);
		return true;
	case OS_ONE:
		in->imm = 1;
		set_reg(op, OPK_ONE, 0, 1);
		return true;
	case OS_J:
		in->imm = (u64)fetch_signed(d, opd_bytes(d, o->mem));
		set_reg(op, OPK_REL, 0, in->opsize);
		return true;
	case OS_A:
		in->imm = fetch(d, in->opsize);
		in->imm2 = (u32)fetch(d, 2);
		set_reg(op, OPK_FAR, 0, in->opsize);
		return true;
	case OS_O:
		in->disp = (s64)fetch(d, in->adsize);
		in->seg = d->seg != SEG_UNSET ? d->seg : SEG_DS;
		set_reg(op, OPK_MEM, 0, opd_bytes(d, o->mem));
		return true;
	case OS_X:
	case OS_Y: set_string(d, op, o); return true;
	case OS_S: return set_seg_reg(op, reg & 7);
	case OS_C: return set_cr(d, op, reg);
	case OS_D: set_reg(op, OPK_DR, reg, opd_bytes(d, SZ_n)); return reg < 8;
	case OS_FIX: set_reg(op, OPK_GPR, o->reg, opd_bytes(d, o->mem)); return true;
	case OS_FIXSEG: return set_seg_reg(op, o->reg);
	case OS_ST0: set_reg(op, OPK_ST, 0, 10); return true;
	case OS_STI: set_reg(op, OPK_ST, in->modrm & 7, 10); return true;
	case OS_P: set_reg(op, OPK_MM, in->modrm >> 3 & 7, 8); return true;
	case OS_Q:
		if (!is_reg)
			set_mem(d, op, o, flags);
		else
			set_reg(op, OPK_MM, in->modrm & 7, opd_bytes(d, o->reg));
		return true;
	case OS_N: set_reg(op, OPK_MM, in->modrm & 7, 8); return true;
	case OS_V: set_reg(op, OPK_VEC, reg | (d->rex2 & 0x10), opd_bytes(d, o->reg)); return true;
	case OS_W:
		if (!is_reg)
			set_mem(d, op, o, flags);
		else
			set_reg(op, OPK_VEC, vrm, opd_bytes(d, o->reg));
		return true;
	case OS_U: set_reg(op, OPK_VEC, vrm, opd_bytes(d, o->reg)); return true;
	case OS_H:
		d->used_vvvv = true;
		set_reg(op, OPK_VEC, in->vex_v, opd_bytes(d, o->reg));
		return true;
	case OS_L:
		in->imm = fetch8(d);
		set_reg(op, OPK_VEC, in->imm >> 4 & (d->mode->bits == 64 ? 15 : 7),
			opd_bytes(d, o->reg));
		return true;
	case OS_XMM0: set_reg(op, OPK_VEC, 0, 16); return true;
	case OS_KG: set_reg(op, OPK_K, reg & 7, 8); return true;
	case OS_KM: set_reg(op, OPK_K, in->modrm & 7, 8); return true;
	case OS_KH:
		d->used_vvvv = true;
		set_reg(op, OPK_K, in->vex_v & 7, 8);
		return true;
	}
	return false;
}

static bool has_memory_source(const struct row_enc *r)
{
	for (unsigned i = 0; i < 4 && r->op[i]; i++) {
		unsigned src = opd_infos[r->op[i]].src;

		if (src == OS_E || src == OS_M || src == OS_W || src == OS_Q)
			return true;
	}
	return false;
}

static void default_opsize(struct decoding *d, unsigned flags)
{
	if (d->mode->bits != 64)
		return;
	if (flags & ENC_F64)
		d->in->opsize = 8;
	else if ((flags & ENC_D64) && d->in->opsize == 4)
		d->in->opsize = 8;
}

/* The EVEX rules that depend on the row (SDM Vol. 2A, 2.7.11). False: #UD. */
static bool evex_rules(struct decoding *d, unsigned flags)
{
	struct insn *in = d->in;
	unsigned tuple = (flags & ENC_TUPLE) >> ENC_TUPLE_SHIFT;
	bool broadcasts = tuple == TT_FV32 || tuple == TT_FV64 || tuple == TT_HV;

	if (in->modrm >= 0xc0) {
		if (in->evex_b) {
			if (!(flags & ENC_ER))
				return false;
			in->evex_rc = d->l;
			in->vex_l = 64;
		}
	} else if (in->evex_b && !broadcasts) {
		return false;
	}
	if (in->vex_l > 64)
		return false;
	return !in->evex_z || in->evex_aaa;
}

static bool operands(struct decoding *d, const struct row_enc *r)
{
	struct insn *in = d->in;

	if (in->has_modrm && in->modrm < 0xc0 && has_memory_source(r) && !memory(d, r->flags))
		return false;
	for (unsigned i = 0; i < 4 && r->op[i]; i++) {
		if (!set_operand(d, &in->op[i], &opd_infos[r->op[i]], r->flags))
			return false;
		in->op[i].rw = r->rw >> (2 * i) & 3;
		in->nops = (u8)(i + 1);
	}
	return true;
}

/* Destination, index and mask of a gather are three registers (SDM Vol. 2C, VGATHERDPS and others). */
static bool gather_distinct(const struct insn *in)
{
	unsigned dst = in->op[0].reg, mask = in->op[2].reg;

	return dst != mask && dst != in->index && mask != in->index;
}

/* What is wrong with a whole instruction: LOCK without a lockable memory destination, vvvv that
 * names nothing, zeroing of memory, MOV to CS. */
static bool final_checks(const struct decoding *d)
{
	const struct insn *in = d->in;
	const struct insn_row *row = &insn_rows[in->row];

	if ((in->prefixes & PFX_LOCK) && (!(row->attr & IA_LOCK) || in->op[0].kind != OPK_MEM))
		return false;
	if (!d->used_vvvv && d->raw_vvvv)
		return false;
	if (in->evex_z && in->op[0].kind == OPK_MEM)
		return false;
	if ((row_encs[in->row].flags & ENC_VSIB) && !gather_distinct(in))
		return false;
	return !(in->op[0].kind == OPK_SEG && in->op[0].reg == SEG_CS && in->op[0].rw == 2);
}

static enum decode_status finish(const struct decoding *d, enum decode_status status)
{
	d->in->len = (u8)d->pos;
	if (d->overrun)
		return d->limit == MAX_INSN_LEN ? DECODE_TOO_LONG : DECODE_SHORT;
	return status;
}

enum decode_status insn_decode(const struct decode_mode *mode, const u8 *bytes, unsigned avail,
			       struct insn *out)
{
	struct decoding d = {.mode = mode,
			     .bytes = bytes,
			     .limit = MIN(avail, MAX_INSN_LEN),
			     .seg = SEG_UNSET,
			     .map = MAP_1B,
			     .in = out};

	memset(out, 0, sizeof(*out));
	out->base = out->index = INSN_NO_REG;
	u8 first = legacy_prefixes(&d);

	/* XLAT, MONITOR, MASKMOVQ have a segment though no memory operand among their letters. */
	out->seg = d.seg != SEG_UNSET ? d.seg : SEG_DS;

	if (!opcode_map(&d, first) || d.overrun)
		return finish(&d, DECODE_UD);
	out->vex_l = (u8)(16 << d.l);
	out->opsize = d.rex & 8 ? 8 : (u8)code_size(mode->bits, out->prefixes, PFX_66);
	out->adsize = mode->bits == 64 ? (out->prefixes & PFX_67 ? 4 : 8)
				       : (u8)code_size(mode->bits, out->prefixes, PFX_67);
	if (mode->bits != 64 && out->opsize == 8)
		out->opsize = 4;

	const struct index_entry *e = &decoder_index[d.map][out->opcode];

	if (!e->count)
		return finish(&d, DECODE_UD);
	/* One-byte 63 has ModRM in all modes; no opcode has it in one mode only. */
	if (e->flags & INDEX_MODRM) {
		out->has_modrm = 1;
		out->modrm = fetch8(&d);
		if (d.overrun)
			return finish(&d, DECODE_UD);
	}
	const struct candidate *c = find_row(&d, e);

	if (!c)
		return finish(&d, DECODE_UD);
	out->row = c->row;
	default_opsize(&d, c->flags);
	if ((out->prefixes & PFX_EVEX) && !evex_rules(&d, c->flags))
		return finish(&d, DECODE_UD);
	if ((insn_rows[c->row].attr & IA_PROT) && mode->real_or_v86)
		return finish(&d, DECODE_UD);
	bool ok = operands(&d, &row_encs[c->row]);

	return finish(&d, ok && final_checks(&d) ? DECODE_OK : DECODE_UD);
}
