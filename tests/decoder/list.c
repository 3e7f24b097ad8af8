/*
 * Writes docs/instructions.md from the rows, or with --check compares it.
 *
 * Usage: decoder_list [--check] FILE
 */
#include <stdio.h>
#include <stdlib.h>

#include "cpu/decoder/rows.h"

static const char *const map_names[MAP_COUNT] = {
    "",          "0F ",       "0F 38 ",   "0F 3A ",     "VEX.0F ",
    "VEX.0F38 ", "VEX.0F3A ", "EVEX.0F ", "EVEX.0F38 ", "EVEX.0F3A ",
};

static const char *const opd_names[OPD_COUNT] = {
#define OPD(name, src, mem, reg) [OPD_##name] = #name,
#include "cpu/decoder/operands.def"
#undef OPD
};

static const struct {
	u32 bit;
	const char *name;
} attrs[] = {
    {IA_LOCK, "LOCK"},
    {IA_CPL0, "CPL 0"},
    {IA_NO64, "not in 64-bit mode"},
    {IA_ONLY64, "64-bit mode only"},
    {IA_PROT, "protected mode only"},
    {IA_REP, "REP"},
    {IA_ALIGN, "aligned"},
    {IA_UNDOC, "undocumented"},
};

static void put_flags(FILE *f, u16 flags)
{
	static const char letters[16] = {'C', 0,   'P', 0,   'A', 0, 'Z', 'S',
					 'T', 'I', 'D', 'O', 0,   0, 'N', 0};

	for (int i = 15; i >= 0; i--)
		if ((flags >> i & 1) && letters[i])
			fputc(letters[i], f);
}

static void put_encoding(FILE *f, const struct row_enc *r)
{
	u32 pfx = r->value & r->mask & KEY_PFX;

	fprintf(f, "%s%s%02X",
		pfx == KEY_66   ? "66 "
		: pfx == KEY_F3 ? "F3 "
		: pfx == KEY_F2 ? "F2 "
				: "",
		map_names[r->map], r->opcode);
	if (r->flags & ENC_N8)
		fprintf(f, "+r");
	if ((r->mask & KEY_REG) && (r->mask & KEY_RM))
		fprintf(f, " %02X",
			0xc0 | (r->value >> KEY_REG_SHIFT & 7) << 3 |
			    (r->value >> KEY_RM_SHIFT & 7));
	else if (r->mask & KEY_REG)
		fprintf(f, " /%u", r->value >> KEY_REG_SHIFT & 7);
	if (r->mask & KEY_W)
		fprintf(f, " W%u", !!(r->value & KEY_W));
	if ((r->mask & KEY_L) && r->map >= MAP_V0F)
		fprintf(f, " L%u", r->value >> KEY_L_SHIFT & 3);
}

static void put_operands(FILE *f, const struct row_enc *r)
{
	static const char access[4][3] = {"", "r", "w", "rw"};

	for (unsigned i = 0; i < 4 && r->op[i]; i++)
		fprintf(f, "%s%s:%s", i ? " " : "", opd_names[r->op[i]],
			access[r->rw >> (2 * i) & 3]);
}

static void put_row(FILE *f, unsigned i)
{
	const struct insn_row *row = &insn_rows[i];
	const char *comma = "";

	fprintf(f, "| %s | ", row->mnemonic);
	put_encoding(f, &row_encs[i]);
	fprintf(f, " | ");
	put_operands(f, &row_encs[i]);
	fprintf(f, " | %s | ", feature_rows[row->feature].name);
	put_flags(f, row->fl_read);
	fprintf(f, " | ");
	put_flags(f, row->fl_write);
	fprintf(f, " | ");
	put_flags(f, row->fl_undef);
	fprintf(f, " | ");
	for (unsigned j = 0; j < ARRAY_SIZE(attrs); j++) {
		if (row->attr & attrs[j].bit) {
			fprintf(f, "%s%s", comma, attrs[j].name);
			comma = ", ";
		}
	}
	fprintf(f, " |");
	if (row->vmx)
		fprintf(f, " %u", row->vmx);
	fprintf(f, " | %s |\n", row->sdm);
}

static void put_document(FILE *f)
{
	fprintf(f,
		"# Instructions\n\n"
		"Generated from the rows of `cpu/decoder/insns_*.def` by `ninja instructions_md`: "
		"do not edit.\n\n"
		"Operands are the letters of `cpu/decoder/operands.def` with their access. A row "
		"whose handler does not exist in\n"
		"`cpu/exec` decodes and disassembles but raises #UD when executed. Flags read "
		"include those that may be left\n"
		"as they were. The VM exit is the basic exit reason (SDM Vol. 3D, Appendix C).\n\n"
		"%u encodings.\n\n"
		"| Mnemonic | Encoding | Operands | Feature | Reads | Writes | Undefined | Rules | "
		"VM exit | SDM |\n"
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
		insn_row_count);
	for (unsigned i = 0; i < insn_row_count; i++)
		put_row(f, i);
}

static int check(const char *path)
{
	FILE *ours = tmpfile(), *theirs = fopen(path, "r");
	int a = 0, b = 0;

	if (!ours || !theirs)
		return 1;
	put_document(ours);
	rewind(ours);
	while (a == b && a != EOF) {
		a = fgetc(ours);
		b = fgetc(theirs);
	}
	fclose(ours);
	fclose(theirs);
	if (a != b)
		fprintf(stderr, "%s is not current: run `ninja instructions_md`\n", path);
	return a != b;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--check"))
		return check(argv[2]);
	FILE *f = argc == 2 ? fopen(argv[1], "w") : NULL;

	if (!f)
		return 2;
	put_document(f);
	return fclose(f) ? 1 : 0;
}
