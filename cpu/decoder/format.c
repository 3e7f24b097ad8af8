/*
 * The disassembler: text from a decoded instruction, in Intel and AT&T syntax, spelt as GNU objdump
 * does except that Intel mnemonics are the SDM's where objdump drops a size suffix (PUSHFQ, IRETD,
 * PUSHAD).
 */
#include <stdarg.h>
#include <stdio.h>

#include "cpu/decoder/rows.h"

struct text {
	char *buf;
	size_t size;
	size_t len; /* what has been written, even if it did not fit */
};

struct fmt {
	struct text *t;
	const struct insn *in;
	const struct insn_row *row;
	const struct row_enc *enc;
	u64 rip;
	bool att;
};

static void PRINTF_LIKE(2, 3) put(struct text *t, const char *f, ...)
{
	size_t room = t->len < t->size ? t->size - t->len : 0;
	va_list ap;

	va_start(ap, f);
	int n = vsnprintf(room ? t->buf + t->len : NULL, room, f, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n;
}

/* ---- registers
 * ---------------------------------------------------------------------------------------- */

static const char seg_names[6][3] = {"es", "cs", "ss", "ds", "fs", "gs"};
static const char gpr16[8][3] = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
static const char gpr8[8][4] = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
static const char gpr8h[4][3] = {"ah", "ch", "dh", "bh"};

static void put_gpr(struct fmt *f, unsigned reg, unsigned size)
{
	const char *p = f->att ? "%" : "";

	reg &= 15;
	if (reg >= 8)
		put(f->t, "%sr%u%s", p, reg,
		    size == 1   ? "b"
		    : size == 2 ? "w"
		    : size == 4 ? "d"
				: "");
	else if (size == 1)
		put(f->t, "%s%s", p, gpr8[reg]);
	else
		put(f->t, "%s%s%s", p, size == 8 ? "r" : size == 4 ? "e" : "", gpr16[reg]);
}

static void put_seg(struct fmt *f, unsigned seg)
{
	put(f->t, "%s%s", f->att ? "%" : "", seg < 6 ? seg_names[seg] : "?");
}

static void put_vec(struct fmt *f, const struct operand *op)
{
	put(f->t, "%s%cmm%u", f->att ? "%" : "",
	    op->size >= 64   ? 'z'
	    : op->size == 32 ? 'y'
			     : 'x',
	    op->reg);
}

/* ---- memory
 * --------------------------------------------------------------------------------------------- */

static bool is_string(const struct fmt *f)
{
	return f->row->attr & IA_REP;
}

static unsigned opd_source(const struct fmt *f, unsigned i)
{
	return opd_infos[f->enc->op[i]].src;
}

static const char *size_word(const struct fmt *f, const struct operand *op, unsigned i)
{
	if (opd_infos[f->enc->op[i]].mem == SZ_s || opd_source(f, i) == OS_O)
		return "";
	if ((f->in->prefixes & PFX_EVEX) && f->in->evex_b)
		return op->size == 8 ? "QWORD BCST " : "DWORD BCST ";
	switch (op->size) {
	case 1: return "BYTE PTR ";
	case 2: return "WORD PTR ";
	case 4: return "DWORD PTR ";
	case 6: return "FWORD PTR ";
	case 8: return "QWORD PTR ";
	case 10: return "TBYTE PTR ";
	case 16: return "XMMWORD PTR ";
	case 32: return "YMMWORD PTR ";
	case 64: return "ZMMWORD PTR ";
	}
	return "";
}

/* True if the encoding had a displacement field: then a zero is printed too, as objdump does. */
static bool has_disp(const struct insn *in)
{
	unsigned mod = in->modrm >> 6;

	return mod == 1 || mod == 2 || in->base == INSN_NO_REG || in->base == INSN_CODE_REG;
}

static void put_signed(struct fmt *f, s64 disp, bool plus)
{
	if (disp < 0)
		put(f->t, "-0x%llx", -(unsigned long long)disp);
	else
		put(f->t, "%s0x%llx", plus ? "+" : "", (unsigned long long)disp);
}

static void put_address_reg(struct fmt *f, unsigned reg)
{
	if (reg == INSN_CODE_REG)
		put(f->t, "%s%s", f->att ? "%" : "", f->in->adsize == 8 ? "rip" : "eip");
	else
		put_gpr(f, reg, f->in->adsize);
}

static void put_index_reg(struct fmt *f)
{
	unsigned size = vsib_index_bytes(f->in);

	if (f->enc->flags & ENC_VSIB)
		put(f->t, "%s%cmm%u", f->att ? "%" : "", size == 64 ? 'z' : size == 32 ? 'y' : 'x', f->in->index);
	else
		put_address_reg(f, f->in->index);
}

static void put_index_intel(struct fmt *f)
{
	const struct insn *in = f->in;

	if (in->index == INSN_NO_REG)
		return;
	if (in->base != INSN_NO_REG)
		put(f->t, "+");
	put_index_reg(f);
	if (in->adsize != 2)
		put(f->t, "*%u", 1u << in->scale);
}

static void put_index_att(struct fmt *f)
{
	const struct insn *in = f->in;

	if (in->index == INSN_NO_REG)
		return;
	put(f->t, ",");
	put_index_reg(f);
	if (in->adsize != 2)
		put(f->t, ",%u", 1u << in->scale);
}

static void put_absolute(struct fmt *f)
{
	const struct insn *in = f->in;

	if (!f->att || (in->prefixes & PFX_SEG)) {
		put_seg(f, in->seg);
		put(f->t, ":");
	}
	put(f->t, "0x%llx", (unsigned long long)zext_bytes((u64)in->disp, in->adsize));
}

static void put_mem(struct fmt *f)
{
	const struct insn *in = f->in;

	if (in->base == INSN_NO_REG && in->index == INSN_NO_REG) {
		put_absolute(f);
		return;
	}
	if (in->prefixes & PFX_SEG) {
		put_seg(f, in->seg);
		put(f->t, ":");
	}
	if (f->att) {
		if (has_disp(in))
			put_signed(f, in->disp, false);
		put(f->t, "(");
		if (in->base != INSN_NO_REG)
			put_address_reg(f, in->base);
		put_index_att(f);
		put(f->t, ")");
		return;
	}
	put(f->t, "[");
	if (in->base != INSN_NO_REG)
		put_address_reg(f, in->base);
	put_index_intel(f);
	if (has_disp(in))
		put_signed(f, in->disp, true);
	put(f->t, "]");
}

/* A string operand: rSI by the source segment or rDI by ES; objdump shows the segment always. */
static void put_string_mem(struct fmt *f, const struct operand *op, unsigned i)
{
	put_seg(f, opd_source(f, i) == OS_X ? f->in->seg : 0);
	put(f->t, f->att ? ":(" : ":[");
	put_gpr(f, op->reg, f->in->adsize);
	put(f->t, f->att ? ")" : "]");
}

static void put_mem_operand(struct fmt *f, const struct operand *op, unsigned i)
{
	if (!f->att)
		put(f->t, "%s", size_word(f, op, i));
	if (is_string(f))
		put_string_mem(f, op, i);
	else
		put_mem(f);
	if (f->att && (f->in->prefixes & PFX_EVEX) && f->in->evex_b)
		put(f->t, "{1to%u}", f->in->vex_l / op->size);
}

/* ---- operands
 * ------------------------------------------------------------------------------------------- */

static void put_target(struct fmt *f)
{
	const struct insn *in = f->in;

	put(f->t, "0x%llx", (unsigned long long)zext_bytes(f->rip + in->len + in->imm, in->opsize));
}

static void put_mask(struct fmt *f, unsigned i)
{
	const struct insn *in = f->in;

	if (i != 0 || !(in->prefixes & PFX_EVEX))
		return;
	if (in->evex_aaa)
		put(f->t, f->att ? "{%%k%u}" : "{k%u}", in->evex_aaa);
	if (in->evex_z)
		put(f->t, "{z}");
}

static bool is_indirect(const struct fmt *f)
{
	return f->enc->map == MAP_1B && f->enc->opcode == 0xff && (f->in->modrm >> 3 & 7) >= 2 &&
	       (f->in->modrm >> 3 & 7) <= 5;
}

static bool is_port(const struct fmt *f, unsigned i)
{
	return (f->row->attr & IA_IO) && f->enc->op[i] == OPD_DX;
}

static void put_operand(struct fmt *f, unsigned i)
{
	const struct operand *op = &f->in->op[i];
	const char *p = f->att ? "%" : "", *d = f->att ? "$" : "";

	if (f->att && is_indirect(f))
		put(f->t, "*");
	switch (op->kind) {
	case OPK_GPR:
		put(f->t, "%s", f->att && is_port(f, i) ? "(" : "");
		put_gpr(f, op->reg, op->size);
		put(f->t, "%s", f->att && is_port(f, i) ? ")" : "");
		break;
	case OPK_GPR8H: put(f->t, "%s%s", p, gpr8h[op->reg & 3]); break;
	case OPK_MEM: put_mem_operand(f, op, i); break;
	case OPK_IMM:
		put(f->t, "%s0x%llx", d, (unsigned long long)zext_bytes(f->in->imm, op->size));
		break;
	case OPK_IMM2: put(f->t, "%s0x%x", d, f->in->imm2); break;
	case OPK_REL: put_target(f); break;
	case OPK_FAR:
		put(f->t, f->att ? "$0x%x,$0x%llx" : "0x%x:0x%llx", f->in->imm2,
		    (unsigned long long)f->in->imm);
		break;
	case OPK_SEG: put_seg(f, op->reg); break;
	case OPK_CR: put(f->t, "%scr%u", p, op->reg); break;
	case OPK_DR: put(f->t, "%s%u", f->att ? "%db" : "dr", op->reg); break;
	case OPK_ST:
		if (opd_source(f, i) == OS_ST0)
			put(f->t, "%sst", p);
		else
			put(f->t, "%sst(%u)", p, op->reg);
		break;
	case OPK_MM: put(f->t, "%smm%u", p, op->reg); break;
	case OPK_VEC: put_vec(f, op); break;
	case OPK_K: put(f->t, "%sk%u", p, op->reg); break;
	case OPK_ONE: put(f->t, "%s1", d); break;
	}
	put_mask(f, i);
}

static void put_rounding(struct fmt *f)
{
	static const char modes[4][8] = {"rn-sae", "rd-sae", "ru-sae", "rz-sae"};

	put(f->t, "{%s}", modes[f->in->evex_rc & 3]);
}

static bool has_rounding(const struct insn *in)
{
	return (in->prefixes & PFX_EVEX) && in->evex_b && in->modrm >= 0xc0;
}

/* ---- mnemonics
 * ------------------------------------------------------------------------------------------ */

static bool named(const struct fmt *f, const char *name)
{
	return !strcmp(f->row->mnemonic, name);
}

static char size_suffix(unsigned size)
{
	return size == 1 ? 'b' : size == 2 ? 'w' : size == 4 ? 'l' : size == 8 ? 'q' : 0;
}

static void put_x87_suffix(struct fmt *f, const struct operand *op)
{
	bool integer = f->row->mnemonic[1] == 'i';

	if (op->size == 10 && f->row->mnemonic[1] != 'b')
		put(f->t, "t");
	else if (integer)
		put(f->t, "%s", op->size == 2 ? "s" : op->size == 4 ? "l" : "ll");
	else if (op->size == 4 || op->size == 8)
		put(f->t, op->size == 4 ? "s" : "l");
}

/* A register operand tells AT&T readers the size, except CL as a count and DX as a port. */
static bool size_is_known(const struct fmt *f)
{
	for (unsigned i = 0; i < f->in->nops; i++) {
		const struct operand *op = &f->in->op[i];

		if (f->enc->op[i] == OPD_CL || f->enc->op[i] == OPD_DX)
			continue;
		if (op->kind != OPK_MEM && op->kind != OPK_IMM && op->kind != OPK_ONE &&
		    op->kind != OPK_NONE)
			return true;
	}
	return false;
}

static const struct operand *mem_operand(const struct fmt *f, unsigned *at)
{
	for (unsigned i = 0; i < f->in->nops; i++) {
		*at = i;
		if (f->in->op[i].kind == OPK_MEM)
			return &f->in->op[i];
	}
	return NULL;
}

static void put_att_suffix(struct fmt *f)
{
	unsigned i;
	const struct operand *op = mem_operand(f, &i);

	if (!op || is_indirect(f))
		return;
	if (f->row->attr & IA_X87) {
		if (strncmp(f->row->mnemonic, "fn", 2) && strcmp(f->row->mnemonic, "fldcw"))
			put_x87_suffix(f, op);
		return;
	}
	if (named(f, "vcvtpd2ps") || named(f, "vcvttpd2dq") || named(f, "vcvtpd2dq")) {
		put(f->t, op->size == 32 ? "y" : "x");
		return;
	}
	bool convert = strstr(f->row->mnemonic, "cvtsi2s");

	if (convert ||
	    (!size_is_known(f) && !(f->row->attr & (IA_SSE | IA_AVX | IA_AVX512 | IA_MMX)))) {
		unsigned mem = opd_infos[f->enc->op[i]].mem;

		if (convert || f->enc->map == MAP_1B || mem == SZ_v || (mem == SZ_b && op->rw))
			if (size_suffix(op->size) && strncmp(f->row->mnemonic, "set", 3) &&
			    !(f->enc->flags & ENC_D64 && op->size != 2))
				put(f->t, "%c", size_suffix(op->size));
	}
}

static bool put_att_special(struct fmt *f)
{
	static const char names[][2][8] = {
	    {"cbw", "cbtw"}, {"cwde", "cwtl"}, {"cdqe", "cltq"}, {"cwd", "cwtd"},
	    {"cdq", "cltd"}, {"cqo", "cqto"},  {"retf", "lret"},
	};
	const struct insn *in = f->in;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (named(f, names[i][0])) {
			put(f->t, "%s", names[i][1]);
			return true;
		}
	if (named(f, "movzx") || named(f, "movsx")) {
		put(f->t, "mov%c%c%c", f->row->mnemonic[3], in->op[1].size == 1 ? 'b' : 'w',
		    size_suffix(in->op[0].size));
		return true;
	}
	if (named(f, "movsxd") && in->op[0].size == 8) {
		put(f->t, "movslq");
		return true;
	}
	if (named(f, "crc32") && in->op[1].kind == OPK_MEM) {
		put(f->t, "crc32%c", size_suffix(in->op[1].size));
		return true;
	}
	/* The assemblers exchanged these two pairs long ago; AT&T syntax keeps the error. */
	if ((f->row->attr & IA_X87) && opd_source(f, 0) == OS_STI && in->nops == 2 &&
	    (!strncmp(f->row->mnemonic, "fsub", 4) || !strncmp(f->row->mnemonic, "fdiv", 4))) {
		const char *m = f->row->mnemonic;
		bool pops = m[strlen(m) - 1] == 'p', reversed = m[4] == 'r';

		put(f->t, "%.4s%s%s", m, reversed ? "" : "r", pops ? "p" : "");
		return true;
	}
	return false;
}

static bool is_far(const struct fmt *f)
{
	return f->in->op[0].kind == OPK_FAR ||
	       (is_indirect(f) && ((f->in->modrm >> 3 & 7) == 3 || (f->in->modrm >> 3 & 7) == 5));
}

static bool is_movabs(const struct fmt *f)
{
	const struct insn *in = f->in;

	if (f->enc->map != MAP_1B)
		return false;
	return (in->opcode >= 0xa0 && in->opcode <= 0xa3 && in->adsize == 8) ||
	       (in->opcode >= 0xb8 && in->opcode <= 0xbf && in->opsize == 8);
}

static void put_mnemonic(struct fmt *f)
{
	if (is_movabs(f)) {
		put(f->t, "movabs");
	} else if (!f->att) {
		put(f->t, "%s", f->row->mnemonic);
	} else if (!put_att_special(f)) {
		put(f->t, "%s%s", is_far(f) ? "l" : "", f->row->mnemonic);
		put_att_suffix(f);
	}
}

static void put_prefixes(struct fmt *f)
{
	unsigned prefixes = f->in->prefixes;

	if (prefixes & PFX_LOCK)
		put(f->t, "lock ");
	if (!is_string(f))
		return;
	if (prefixes & PFX_REPNE)
		put(f->t, "repnz ");
	else if (prefixes & PFX_REP)
		put(f->t, f->row->fl_write ? "repz " : "rep ");
}

/* AT&T reverses operands, except ENTER's and BOUND's. */
static bool reversed(const struct fmt *f)
{
	return f->att && !named(f, "enter") && !named(f, "bound");
}

static void put_operands(struct fmt *f)
{
	/* AT&T leaves out the count 1 of the short shifts. */
	unsigned n = f->in->nops - (f->att && f->in->op[1].kind == OPK_ONE);
	bool rev = reversed(f), rounding = has_rounding(f->in);

	if (n)
		put(f->t, " ");
	if (rev && rounding) {
		put_rounding(f);
		put(f->t, ",");
	}
	for (unsigned i = 0; i < n; i++) {
		if (i)
			put(f->t, ",");
		put_operand(f, rev ? n - 1 - i : i);
	}
	if (!rev && rounding) {
		put(f->t, ",");
		put_rounding(f);
	}
	if (f->in->base == INSN_CODE_REG)
		put(f->t, "        # 0x%llx",
		    (unsigned long long)zext_bytes(f->rip + f->in->len + (u64)f->in->disp,
						   f->in->adsize));
}

int insn_format(const struct insn *in, u64 rip, enum disasm_syntax syntax, char *buf, size_t size)
{
	struct text t = {buf, size, 0};
	struct fmt f = {&t, in, &insn_rows[in->row], &row_encs[in->row], rip, syntax == DISASM_ATT};

	if (size)
		buf[0] = 0;
	put_prefixes(&f);
	put_mnemonic(&f);
	put_operands(&f);
	return (int)t.len;
}
