/*
 * Holds the disassembler against GNU objdump in both syntaxes: every row, in every mode that has
 * it, with a dozen choices of operands. Prints each disagreement that excused() does not explain,
 * one per row and syntax; exits with 1 if there is one, with 77 (skip) without objdump.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/decoder/encode.h"

#define SLOT 16 /* bytes per instruction in the file objdump reads; the rest is filled with NOP */

static const struct choice choices[] = {
    {.memory = false, .reg = 1, .rm = 3},
    {.memory = false, .reg = 2, .rm = 7, .p66 = true},
    {.memory = false, .reg = 3, .rm = 6, .w = true},
    {.memory = false, .reg = 5, .rm = 1, .rexb = 5, .l = true},
    {.memory = true, .reg = 1, .rm = 3, .mod = 0},
    {.memory = true, .reg = 0, .rm = 6, .mod = 1, .p66 = true},
    {.memory = true, .reg = 2, .rm = 5, .mod = 2, .w = true},
    {.memory = true, .reg = 3, .rm = 5, .mod = 0, .l = true},
    {.memory = true, .reg = 4, .rm = 6, .mod = 0},
    {.memory = true, .reg = 1, .rm = 4, .mod = 1, .sib = 0x8b},
    {.memory = true, .reg = 6, .rm = 4, .mod = 0, .sib = 0x35, .seg = 0x64},
    {.memory = true, .reg = 0, .rm = 4, .mod = 2, .sib = 0x24, .rexb = 6},
    {.memory = true, .reg = 2, .rm = 0, .mod = 1, .p67 = true},
};

struct run {
	u8 bits;
	bool att;
	struct insn *insns;
	char (*theirs)[128];
	u8 (*bytes)[SLOT];
	unsigned n;
	unsigned long bad, excused;
};

static u32 features[FEATURE_WORDS];

static unsigned collect(struct run *r)
{
	struct decode_mode mode = {r->bits, false, features};
	unsigned n = 0;

	for (unsigned row = 0; row < insn_row_count; row++) {
		for (unsigned i = 0; i < ARRAY_SIZE(choices); i++) {
			struct choice c = choices[i];
			u8 b[32];

			c.bits = r->bits;
			if (!encode_row(row, &c, b))
				continue;
			if (insn_decode(&mode, b, 15, &r->insns[n]) != DECODE_OK ||
			    r->insns[n].row != row)
				continue;
			memset(r->bytes[n], 0x90, SLOT);
			memcpy(r->bytes[n], b, r->insns[n].len);
			n++;
		}
	}
	return n;
}

/* Squeezes blanks so that column layout does not count. */
static void normalize(char *s)
{
	char *out = s;

	for (char *p = s; *p && *p != '\n'; p++) {
		if (*p == ' ' && (out == s || out[-1] == ' '))
			continue;
		*out++ = *p;
	}
	while (out > s && out[-1] == ' ')
		out--;
	*out = 0;
}

/* objdump names prefixes that changed nothing; we do not. */
static void drop_idle_prefixes(char *s)
{
	static const char *const idle[] = {"data16 ", "data32 ", "addr16 ",
					   "addr32 ", "fs ",     "rex"};

	for (unsigned i = 0; i < ARRAY_SIZE(idle); i++) {
		if (strncmp(s, idle[i], strlen(idle[i])) || !strchr(s, ' '))
			continue;
		memmove(s, strchr(s, ' ') + 1, strlen(strchr(s, ' ')));
		i = (unsigned)-1;
	}
}

static bool run_objdump(struct run *r, const char *file)
{
	char command[256], line[512];

	snprintf(command, sizeof(command),
		 "objdump -D -z --no-show-raw-insn -b binary -m %s -M %s%s %s",
		 r->bits == 64   ? "i386:x86-64"
		 : r->bits == 32 ? "i386"
				 : "i8086",
		 r->att ? "att" : "intel", "", file);
	FILE *p = popen(command, "r");

	if (!p)
		return false;
	while (fgets(line, sizeof(line), p)) {
		char *tab = strchr(line, '\t'), *end;
		unsigned long at = strtoul(line, &end, 16);

		if (!tab || *end != ':' || at % SLOT || at / SLOT >= r->n)
			continue;
		snprintf(r->theirs[at / SLOT], sizeof(r->theirs[0]), "%s", tab + 1);
		normalize(r->theirs[at / SLOT]);
		drop_idle_prefixes(r->theirs[at / SLOT]);
	}
	return pclose(p) == 0;
}

static bool same_but(const char *a, const char *b, const char *in_a, const char *in_b)
{
	const char *at = strstr(a, in_a);
	size_t n = at ? (size_t)(at - a) : 0;

	return at && !strncmp(a, b, n) && !strncmp(b + n, in_b, strlen(in_b)) &&
	       !strcmp(at + strlen(in_a), b + n + strlen(in_b));
}

/* Spellings on which we differ from objdump on purpose: ours, objdump's, why. */
static const struct {
	const char *ours, *theirs, *why;
} spellings[] = {
    {"pushfq", "pushf", "SDM mnemonic"},
    {"pushfd", "pushf", "SDM mnemonic"},
    {"popfq", "popf", "SDM mnemonic"},
    {"popfd", "popf", "SDM mnemonic"},
    {"pushf", "pushfw", "SDM mnemonic"},
    {"popf", "popfw", "SDM mnemonic"},
    {"iretd", "iret", "SDM mnemonic"},
    {"iret", "iretw", "SDM mnemonic"},
    {"pushad", "pusha", "SDM mnemonic"},
    {"popad", "popa", "SDM mnemonic"},
    {"pusha", "pushaw", "SDM mnemonic"},
    {"popa", "popaw", "SDM mnemonic"},
    {"sysret", "sysretd", "SDM mnemonic"},
    {"sysexit", "sysexitd", "SDM mnemonic"},
    {"sysret", "sysretq", "SDM mnemonic"},
    {"sysexit", "sysexitq", "SDM mnemonic"},
    {"sysret", "sysretl", "SDM mnemonic"},
    {"sysexit", "sysexitl", "SDM mnemonic"},
    {"XMMWORD", "OWORD", "one word for 16 bytes"},
    {"fneni", "fneni(8087 only)", "a remark"},
    {"fndisi", "fndisi(8087 only)", "a remark"},
    {"fnsetpm", "fnsetpm(287 only)", "a remark"},
    {"invlpg [", "invlpg BYTE PTR [", "no access, no size"},
    {"XMMWORD PTR ", "", "lddqu, invpcid"},
    {"YMMWORD PTR ", "", "lddqu"},
    {"TBYTE", "FWORD", "REX.W far pointers have 80 bits"},
    {"nop", "xchg ax,ax", "66 90"},
    {"nop", "xchg %ax,%ax", "66 90"},
    {"nop", "xchg eax,eax", "66 90"},
    {"nop", "xchg %eax,%eax", "66 90"},
    {"vaddps", "{evex} vaddps", "a remark"},
    {"v", "{evex} v", "a remark"},
    {"pcmpestrm", "pcmpestrmq", "REX.W"},
    {"pcmpestri", "pcmpestriq", "REX.W"},
};

/* True if @theirs is @ours with one more letter of "wldqs" at the end of the mnemonic. */
static bool suffixed(const char *ours, const char *theirs)
{
	size_t n = 0;

	while (ours[n] && ours[n] == theirs[n])
		n++;
	return theirs[n] && strchr("wldqs", theirs[n]) && !strcmp(ours + n, theirs + n + 1) &&
	       (!ours[n] || ours[n] == ' ');
}

/* Why a difference from objdump is no error, or NULL. */
static const char *excused(const struct run *r, const struct insn *in, const char *ours,
			   const char *theirs)
{
	const struct insn_row *row = &insn_rows[in->row];
	const struct row_enc *e = &row_encs[in->row];
	bool needs_66 = in->prefixes & PFX_66;

	for (unsigned i = 0; i < ARRAY_SIZE(spellings); i++)
		if (same_but(ours, theirs, spellings[i].ours, spellings[i].theirs))
			return spellings[i].why;
	if (row->attr & IA_UNDOC)
		return "undocumented: objdump says (bad) or another name";
	if (e->map == MAP_0F &&
	    (e->opcode == 0x18 || (e->opcode >= 0x1a && e->opcode <= 0x1e) || e->opcode == 0x0d))
		return "hint NOPs: objdump names MPX, CLDEMOTE, PREFETCHIT";
	if (e->map == MAP_0F && e->opcode == 0xae && in->modrm >= 0xe8)
		return "fences take any r/m (SDM)";
	if (strstr(ours, "xlat") && strstr(theirs, "xlat"))
		return "XLAT without its implied operand";
	if ((strstr(ours, "lar") || strstr(ours, "lsl")) && in->modrm >= 0xc0)
		return "LAR and LSL read 16 bits: objdump names the wide register";
	if (r->bits == 64 && needs_66 && (e->flags & ENC_F64))
		return "Intel ignores 66 on near branches in 64-bit mode; objdump follows AMD";
	if (!strcmp(row->mnemonic, "movsxd"))
		return "MOVSXD r16, r/m16 (SDM)";
	if (strstr(row->mnemonic, "movmsk"))
		return "MOVMSK writes 32 bits whatever W says";
	if (e->op[0] == OPD_Sw)
		return "MOV Sreg reads 16 bits of the register";
	if (strstr(row->mnemonic, "vcmp"))
		return "predicates are not spelt out";
	if (!strncmp(row->mnemonic, "vmovs", 5) && in->vex_l == 32)
		return "L is ignored by scalars";
	if (e->opcode == 0x9b || e->opcode == 0x09)
		return "idle prefix on FWAIT and WBINVD";
	if (suffixed(ours, theirs))
		return "objdump marks a size other than the mode's; insn_format does not know the "
		       "mode";
	if (suffixed(theirs, ours) && r->bits != 64)
		return "the same the other way round";
	if (r->bits == 16 && (e->flags & ENC_F64))
		return "objdump lets IP run past 64 KiB";
	if (!strcmp(row->mnemonic, "pushad") || !strcmp(row->mnemonic, "popad") ||
	    in->opcode == 0x9c || in->opcode == 0x9d || in->opcode == 0xcf)
		return "SDM mnemonic";
	if (!strcmp(row->mnemonic, "monitor") || !strcmp(row->mnemonic, "mwait"))
		return "implied operands are not shown";
	if (!strcmp(row->mnemonic, "invlpg"))
		return "no access, no size";
	return NULL;
}

static void compare(struct run *r)
{
	unsigned last = ~0u;

	for (unsigned i = 0; i < r->n; i++) {
		char ours[128];

		insn_format(&r->insns[i], i * SLOT, r->att ? DISASM_ATT : DISASM_INTEL, ours,
			    sizeof(ours));
		normalize(ours);
		if (!strcmp(ours, r->theirs[i]))
			continue;
		if (excused(r, &r->insns[i], ours, r->theirs[i])) {
			r->excused++;
			continue;
		}
		r->bad++;
		if (r->insns[i].row == last)
			continue;
		last = r->insns[i].row;
		printf("%u-bit:", r->bits);
		for (unsigned j = 0; j < r->insns[i].len; j++)
			printf(" %02x", r->bytes[i][j]);
		printf("\n\tours    %s\n\tobjdump %s\n", ours, r->theirs[i]);
	}
}

static int run_mode(u8 bits, const char *file)
{
	size_t max = insn_row_count * ARRAY_SIZE(choices);
	struct run r = {.bits = bits};
	int bad = 0;

	r.insns = calloc(max, sizeof(*r.insns));
	r.bytes = calloc(max, SLOT);
	r.theirs = calloc(max, sizeof(*r.theirs));
	if (!r.insns || !r.bytes || !r.theirs)
		abort();
	r.n = collect(&r);
	FILE *f = fopen(file, "wb");

	if (!f || fwrite(r.bytes, SLOT, r.n, f) != r.n || fclose(f))
		abort();
	for (int att = 0; att < 2; att++) {
		r.att = att;
		r.bad = r.excused = 0;
		if (!run_objdump(&r, file))
			return 77;
		compare(&r);
		printf("%u-bit %s: %u instructions, %lu differences excused, %lu not\n", bits,
		       att ? "AT&T" : "Intel", r.n, r.excused, r.bad);
		bad |= r.bad != 0;
	}
	free(r.insns);
	free(r.bytes);
	free(r.theirs);
	return bad;
}

int main(void)
{
	static const u8 modes[] = {64, 32, 16};
	char file[] = "/tmp/orrery-text-XXXXXX";
	int fd = mkstemp(file), status = 0;

	if (fd < 0)
		return 77;
	close(fd);
	memset(features, 0xff, sizeof(features));
	for (unsigned i = 0; i < ARRAY_SIZE(modes) && status != 77; i++) {
		int s = run_mode(modes[i], file);

		status = s == 77 ? s : status | s;
	}
	unlink(file);
	return status;
}
