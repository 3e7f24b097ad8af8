/*
 * Instructions from rows: the encoder of the decoder's tests. It knows only the match conditions
 * (rows.h), so that what it writes is independent of how the decoder reads it.
 */
#ifndef ORRERY_TESTS_DECODER_ENCODE_H
#define ORRERY_TESTS_DECODER_ENCODE_H

#include "cpu/decoder/rows.h"

/* The choices a row leaves open. */
struct choice {
	u8 bits;     /* mode */
	bool memory; /* if the row allows both */
	u8 reg, rm;  /* ModRM fields, where the row leaves them open */
	u8 mod;      /* of a memory form: 0..2 */
	u8 sib;
	bool w, l;     /* REX.W or VEX.W and VEX.L, where open */
	bool p66, p67; /* prefixes, where they are open */
	u8 seg;        /* segment override byte or 0 */
	u8 rexb;       /* REX.R, X, B bits */
};

static inline bool row_fixes(const struct row_enc *r, u32 bits)
{
	return r->mask & bits;
}

/* An operand that must be register or memory. */
static inline void row_operand_form(const struct row_enc *r, bool *memory)
{
	for (unsigned i = 0; i < 4; i++) {
		switch (opd_infos[r->op[i]].src) {
		case OS_M: *memory = true; break;
		case OS_U:
		case OS_N:
		case OS_R:
		case OS_STI: *memory = false; break;
		}
	}
	if (row_fixes(r, KEY_MOD3))
		*memory = !(r->value & KEY_MOD3);
}

static inline u8 encode_modrm(const struct row_enc *r, const struct choice *c, bool memory)
{
	u8 reg = row_fixes(r, KEY_REG) ? r->value >> KEY_REG_SHIFT & 7 : c->reg & 7;
	u8 rm = r->flags & ENC_VSIB ? 4 : row_fixes(r, KEY_RM) ? r->value >> KEY_RM_SHIFT & 7 : c->rm & 7;

	return (u8)((memory ? c->mod << 6 : 0xc0) | reg << 3 | rm);
}

static inline u8 encode_pp(const struct row_enc *r)
{
	u32 p = r->value & r->mask & KEY_PFX;

	return p == KEY_66 ? 1 : p == KEY_F3 ? 2 : p == KEY_F2 ? 3 : 0;
}

/* True when the operand size condition wants a 66 prefix in this mode; *w gets REX.W. */
static inline bool wants_66(const struct row_enc *r, const struct choice *c, bool *w)
{
	unsigned o = r->value >> KEY_O_SHIFT & 3;

	if (!row_fixes(r, KEY_O))
		return c->p66 && (r->mask & KEY_PFX) != KEY_PFX;
	*w = o == 2;
	return o == 2 ? false : (o == 0) != (c->bits == 16);
}

static inline bool wants_67(const struct row_enc *r, const struct choice *c)
{
	unsigned a = r->value >> KEY_A_SHIFT & 3;

	if (!row_fixes(r, KEY_A))
		return c->p67;
	return a != (c->bits == 16 ? 0u : c->bits == 32 ? 1u : 2u);
}

static inline unsigned encode_vex(const struct row_enc *r, const struct choice *c, bool w,
				  bool uses_v, u8 *b)
{
	unsigned l = row_fixes(r, KEY_L) ? r->value >> KEY_L_SHIFT & 3 : c->l;
	u8 vvvv = uses_v ? 6 : 0;
	u8 rxb = (u8)(c->bits == 64 ? c->rexb & 7 : 0);

	if (r->map >= MAP_E0F) {
		b[0] = 0x62;
		b[1] = (u8)((~rxb & 7u) << 5) | 0x10 | (u8)(r->map - MAP_E0F + 1);
		b[2] = (u8)((w ? 0x80 : 0) | (~vvvv & 15u) << 3 | 4 | encode_pp(r));
		b[3] = (u8)(l << 5 | 8);
		return 4;
	}
	b[0] = 0xc4;
	b[1] = (u8)((~rxb & 7u) << 5) | (u8)(r->map - MAP_V0F + 1);
	b[2] = (u8)((w ? 0x80 : 0) | (~vvvv & 15u) << 3 | l << 2 | encode_pp(r));
	return 3;
}

static inline unsigned encode_legacy(const struct row_enc *r, const struct choice *c, bool w,
				     bool o66, u8 *b)
{
	static const u8 pps[4] = {0, 0x66, 0xf3, 0xf2};
	u8 pp = encode_pp(r);
	u8 rex = (u8)((w ? 8 : 0) | (c->rexb & 7));
	unsigned n = 0;

	if (row_fixes(r, KEY_REXB))
		rex &= (u8)~1;
	if (o66 && pp != 1)
		b[n++] = 0x66;
	if (pp)
		b[n++] = pps[pp];
	if (rex && c->bits == 64)
		b[n++] = 0x40 | rex;
	if (r->map != MAP_1B)
		b[n++] = 0x0f;
	if (r->map >= MAP_38)
		b[n++] = r->map == MAP_38 ? 0x38 : 0x3a;
	return n;
}

/* A gather needs 32- or 64-bit addresses and three different registers (vvvv names 6). */
static inline bool gather_possible(const struct choice *c)
{
	u8 rexb = c->bits == 64 ? c->rexb : 0;
	u8 reg = (u8)((c->reg & 7) | (rexb & 4) << 1), index = (u8)((c->sib >> 3 & 7) | (rexb & 2) << 2);

	return (c->bits == 64 || (c->bits == 32) != c->p67) && reg != 6 && index != 6 && reg != index;
}

/**
 * Writes row @r with the choices @c to @b, which has at least 32 bytes: more bytes than any
 * instruction needs follow, patterned so that displacements and immediates are not zero. Returns
 * false if the row cannot occur in this mode.
 */
static inline bool encode_row(unsigned row, const struct choice *c, u8 *b)
{
	const struct row_enc *r = &row_encs[row];
	u32 attr = insn_rows[row].attr;
	bool memory = c->memory, w = row_fixes(r, KEY_W) ? r->value & KEY_W : c->w, uses_v = false;
	unsigned n = 0;

	if ((attr & IA_NO64 && c->bits == 64) || (attr & IA_ONLY64 && c->bits != 64))
		return false;
	if ((r->flags & ENC_VSIB) && !gather_possible(c))
		return false;
	if (c->bits != 64 && row_fixes(r, KEY_O) && (r->value >> KEY_O_SHIFT & 3) == 2)
		return false;
	if (c->bits != 64 && r->map < MAP_V0F && row_fixes(r, KEY_W) && (r->value & KEY_W))
		return false;
	if (row_fixes(r, KEY_A)) {
		unsigned a = r->value >> KEY_A_SHIFT & 3;

		if ((c->bits == 64) != (a == 2) && !(c->bits == 64 && a == 1))
			return false;
	}
	for (unsigned i = 0; i < 4; i++)
		uses_v |= opd_infos[r->op[i]].src == OS_H || opd_infos[r->op[i]].src == OS_B;
	row_operand_form(r, &memory);
	bool o66 = wants_66(r, c, &w);

	if (c->seg)
		b[n++] = c->seg;
	if (wants_67(r, c))
		b[n++] = 0x67;
	n += r->map < MAP_V0F ? encode_legacy(r, c, w, o66, b + n)
			      : encode_vex(r, c, w, uses_v, b + n);
	b[n++] = (u8)(r->opcode + (r->flags & ENC_N8 ? c->rm & 7 : 0));
	if (row_has_modrm(r)) {
		u8 modrm = encode_modrm(r, c, memory);

		b[n++] = modrm;
		if (memory && (modrm & 7) == 4 && (c->bits == 64 || (c->bits == 32) != c->p67))
			b[n++] = c->sib;
	}
	for (unsigned i = 0; n < 32; i++)
		b[n++] = (u8)(0x12 + 0x22 * i);
	return true;
}

#endif
