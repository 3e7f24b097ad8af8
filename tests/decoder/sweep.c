/*
 * Holds the decoder and its rows against Zydis: random bytes, and for every opcode all ModRM bytes
 * under all prefixes that matter, in 16-, 32- and 64-bit mode. Compared are validity, length,
 * operand kinds, sizes, registers, displacements, read and write access, and the flag columns.
 * Prints each disagreement that is not explained here, once per row; exits with 1 if there is one.
 *
 * Usage: decoder_sweep [random cases per mode]
 */
#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/decoder/insn.h"

static u32 features[FEATURE_WORDS];

struct sweep {
	ZydisDecoder zydis;
	struct decode_mode mode;
	unsigned long cases, unexplained, explained;
	u64 seen[4096]; /* classes already printed */
	unsigned n_seen;
};

/* Instruction sets that Zydis knows and the rows do not have, and why that is no error. */
static const char *not_modelled(const ZydisDecodedInstruction *z)
{
	switch (z->meta.isa_set) {
	case ZYDIS_ISA_SET_AMD3DNOW: return "3DNow! went with the K10";
	case ZYDIS_ISA_SET_AMD: return "SYSCALL and SYSRET outside 64-bit mode are AMD's";
	case ZYDIS_ISA_SET_AMD_INVLPGB:
	case ZYDIS_ISA_SET_CLZERO:
	case ZYDIS_ISA_SET_MCOMMIT:
	case ZYDIS_ISA_SET_MONITORX:
	case ZYDIS_ISA_SET_RDPRU:
	case ZYDIS_ISA_SET_SNP:
	case ZYDIS_ISA_SET_SSE4A:
	case ZYDIS_ISA_SET_SVM:
	case ZYDIS_ISA_SET_XOP:
	case ZYDIS_ISA_SET_FMA4: return "AMD only";
	case ZYDIS_ISA_SET_PADLOCK_ACE:
	case ZYDIS_ISA_SET_PADLOCK_PHE:
	case ZYDIS_ISA_SET_PADLOCK_PMM:
	case ZYDIS_ISA_SET_PADLOCK_RNG: return "VIA only";
	case ZYDIS_ISA_SET_KNCJKBR:
	case ZYDIS_ISA_SET_KNCV: return "Knights Corner";
	case ZYDIS_ISA_SET_AMX_TILE:
	case ZYDIS_ISA_SET_AVX_GFNI:
	case ZYDIS_ISA_SET_AVX_VNNI:
	case ZYDIS_ISA_SET_AVX512BW_KOP:
	case ZYDIS_ISA_SET_AVX512DQ_KOP:
	case ZYDIS_ISA_SET_AVX512F_KOP:
	case ZYDIS_ISA_SET_AVX2GATHER:
	case ZYDIS_ISA_SET_CET:
	case ZYDIS_ISA_SET_ENQCMD:
	case ZYDIS_ISA_SET_HRESET:
	case ZYDIS_ISA_SET_KEYLOCKER:
	case ZYDIS_ISA_SET_KEYLOCKER_WIDE:
	case ZYDIS_ISA_SET_PCONFIG:
	case ZYDIS_ISA_SET_PT:
	case ZYDIS_ISA_SET_RTM:
	case ZYDIS_ISA_SET_SGX:
	case ZYDIS_ISA_SET_SGX_ENCLV:
	case ZYDIS_ISA_SET_TDX:
	case ZYDIS_ISA_SET_TSX_LDTRK:
	case ZYDIS_ISA_SET_UINTR:
	case ZYDIS_ISA_SET_WAITPKG: return "extension without a feature row";
	default: break;
	}
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	    z->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX)
		return "most of AVX-512 is not modelled";
	return NULL;
}

static bool first_time(struct sweep *s, u64 key)
{
	for (unsigned i = 0; i < s->n_seen; i++)
		if (s->seen[i] == key)
			return false;
	if (s->n_seen < ARRAY_SIZE(s->seen))
		s->seen[s->n_seen++] = key;
	return true;
}

static void report(struct sweep *s, const u8 *b, const struct insn *in, bool ours,
		   const ZydisDecodedInstruction *z, bool theirs)
{
	u64 key =
	    ours ? in->row | 0x10000u | (u64)theirs << 20 : z->mnemonic | (u64)z->encoding << 32;
	char text[128] = "(invalid)";

	if (!first_time(s, key | (u64)s->mode.bits << 40))
		return;
	if (ours)
		insn_format(in, 0, DISASM_INTEL, text, sizeof(text));
	printf("%u-bit", s->mode.bits);
	for (unsigned i = 0; i < 15 && i < (unsigned)MAX(in->len, theirs ? z->length : 1); i++)
		printf(" %02x", b[i]);
	printf(": ours %s (%u), Zydis %s (%u)\n", text, in->len,
	       theirs ? ZydisMnemonicGetString(z->mnemonic) : "(invalid)", theirs ? z->length : 0);
}

/* ---- facts of instructions that both decode alike
 * ----------------------------------------------------- */

static unsigned kind_of(const struct operand *op)
{
	switch (op->kind) {
	case OPK_MEM: return ZYDIS_OPERAND_TYPE_MEMORY;
	case OPK_IMM:
	case OPK_IMM2:
	case OPK_REL:
	case OPK_ONE: return ZYDIS_OPERAND_TYPE_IMMEDIATE;
	case OPK_FAR: return ZYDIS_OPERAND_TYPE_POINTER;
	default: return ZYDIS_OPERAND_TYPE_REGISTER;
	}
}

static unsigned access_of(const ZydisDecodedOperand *o)
{
	return (o->actions & ZYDIS_OPERAND_ACTION_MASK_READ ? 1 : 0) |
	       (o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? 2 : 0);
}

static bool starts(const struct insn *in, const char *prefix)
{
	return !strncmp(insn_rows[in->row].mnemonic, prefix, strlen(prefix));
}

/* Sizes on which the SDM and Zydis differ, or which are a matter of taste. */
static bool size_explained(const struct insn *in)
{
	return starts(in, "clflush") || starts(in, "clwb") || /* the line, not a byte */
	       starts(in, "movsxd") ||                        /* r/m16 with a 16-bit operand size */
	       starts(in, "lsl") || starts(in, "lar") ||      /* only 16 bits count */
	       strstr(insn_rows[in->row].mnemonic, "movmsk"); /* a 64-bit destination is the same */
}

static bool access_explained(const struct insn *in, unsigned ours, unsigned theirs)
{
	if ((ours & theirs) == theirs)
		return true; /* a destination that may be kept, or is kept in part, is read too */
	if (!ours)
		return true; /* hints and UD touch nothing */
	if (starts(in, "xsave"))
		return true; /* only the header is read */
	return starts(in, "cvtsi2s") ||
	       starts(in, "sqrts"); /* upper part kept: not counted as read */
}

static const char *operand_error(const struct insn *in, unsigned i, const ZydisDecodedOperand *o)
{
	const struct operand *op = &in->op[i];
	s64 disp = o->mem.disp.has_displacement ? o->mem.disp.value : 0;

	if (starts(in, "nop") || starts(in, "ud"))
		return NULL; /* no access: Zydis picks MPX names and 32 bits */
	if (kind_of(op) != o->type)
		return "kind";
	if ((op->kind == OPK_MEM || op->kind == OPK_GPR) && op->size && op->size * 8 != o->size &&
	    !size_explained(in))
		return "size";
	/* Zydis numbers AH..BH 4 to 7 and SPL..DIL after them. */
	if (op->kind == OPK_GPR && op->size > 1 && op->reg != ZydisRegisterGetId(o->reg.value))
		return "register";
	if (op->kind == OPK_MEM && !(insn_rows[in->row].attr & IA_REP) && in->adsize == 8 &&
	    disp != in->disp)
		return "displacement";
	if (op->rw != access_of(o) && !access_explained(in, op->rw, access_of(o)))
		return "access";
	return NULL;
}

/* The arithmetic flags and DF; TF, IF, IOPL and NT are privileged matters that handlers look after.
 */
#define COMPARED 0xcd5u

static const char *flags_error(const struct insn *in, const ZydisAccessedFlags *z)
{
	const struct insn_row *row = &insn_rows[in->row];
	u32 written = (z->modified | z->set_0 | z->set_1) & ~z->undefined & COMPARED;
	u32 undefined = z->undefined & COMPARED, read = z->tested & COMPARED;
	bool by_one = in->op[1].kind == OPK_ONE;

	if (row->attr & IA_END)
		return NULL; /* VM exits, mode changes: all flags are exact at the end of a block */
	if (starts(in, "sbb") && undefined == 0x10)
		return NULL; /* Zydis errs: SBB defines AF */
	if (strstr(row->mnemonic, "vtest") || starts(in, "vptest"))
		return NULL; /* Zydis lists ZF and CF only; the others are cleared */
	if (starts(in, "bextr"))
		return NULL; /* ZF written, OF and CF cleared (SDM) */
	if (by_one) {        /* OF is defined for a count of 1 */
		undefined &= ~0x800u;
		written |= 0x800;
	}
	if (undefined != (row->fl_undef & COMPARED))
		return "undefined flags";
	if (written != (row->fl_write & COMPARED))
		return "written flags";
	/* Variable counts and REP may leave all flags as they were: then they are read. */
	if (read & ~row->fl_read || (row->fl_read & COMPARED & ~read & ~(written | undefined)))
		return "read flags";
	return NULL;
}

static const char *facts_error(const struct insn *in, const ZydisDecodedInstruction *z,
			       const ZydisDecodedOperand *operands)
{
	for (unsigned i = 0; i < in->nops && i < z->operand_count; i++) {
		const char *e = operand_error(in, i, &operands[i]);

		if (e)
			return e;
	}
	return z->cpu_flags ? flags_error(in, z->cpu_flags) : NULL;
}

static void compare_facts(struct sweep *s, const u8 *b, const struct insn *in,
			  const ZydisDecodedInstruction *z, const ZydisDecodedOperand *operands)
{
	const char *e = facts_error(in, z, operands);
	char text[128];

	if (!e)
		return;
	s->unexplained++;
	if (!first_time(s, in->row | (u64)1 << 30))
		return;
	insn_format(in, 0, DISASM_INTEL, text, sizeof(text));
	printf("%u-bit", s->mode.bits);
	for (unsigned i = 0; i < in->len; i++)
		printf(" %02x", b[i]);
	printf(": %s: %s\n", text, e);
}

static void compare(struct sweep *s, const u8 *b)
{
	struct insn in;
	ZydisDecodedInstruction z = {0};
	bool ours = insn_decode(&s->mode, b, 15, &in) == DECODE_OK;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	bool theirs = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&s->zydis, b, 15, &z, operands));

	s->cases++;
	if (ours && theirs && in.len == z.length) {
		compare_facts(s, b, &in, &z, operands);
		return;
	}
	if (!ours && !theirs)
		return;
	if (theirs && !ours && not_modelled(&z)) {
		s->explained++;
		return;
	}
	s->unexplained++;
	report(s, b, &in, ours, &z, theirs);
}

static void every_opcode(struct sweep *s)
{
	static const u8 maps[4][3] = {{0, 0, 0}, {1, 0x0f, 0}, {2, 0x0f, 0x38}, {2, 0x0f, 0x3a}};
	static const u8 prefixes[][4] = {
	    {0},       {1, 0x66},       {1, 0xf3},       {1, 0xf2},       {1, 0xf0},
	    {1, 0x48}, {2, 0x66, 0x48}, {2, 0xf3, 0x48}, {2, 0xf2, 0x48}, {1, 0x41},
	    {1, 0x67}, {2, 0x66, 0xf3}, {2, 0x66, 0xf2}};

	for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++)
		for (unsigned m = 0; m < 4; m++)
			for (unsigned op = 0; op < 256; op++)
				for (unsigned modrm = 0; modrm < 256; modrm++) {
					u8 b[16] = {0};
					unsigned n = prefixes[p][0];

					memcpy(b, prefixes[p] + 1, n);
					memcpy(b + n, maps[m] + 1, maps[m][0]);
					n += maps[m][0];
					b[n] = (u8)op;
					b[n + 1] = (u8)modrm;
					compare(s, b);
				}
}

static void every_vex(struct sweep *s)
{
	for (unsigned map = 1; map <= 3; map++)
		for (unsigned last = 0; last < 256; last++)
			for (unsigned op = 0; op < 256; op++)
				for (unsigned modrm = 0; modrm < 256; modrm += 0x49) {
					u8 b[16] = {0xc4, (u8)(0xe0 | map), (u8)last, (u8)op,
						    (u8)modrm};

					compare(s, b);
				}
}

static void random_bytes(struct sweep *s, unsigned long n)
{
	u64 x = 88172645463325252ull;

	for (unsigned long i = 0; i < n; i++) {
		u8 b[16];

		for (unsigned j = 0; j < 16; j += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			memcpy(b + j, &x, 8);
		}
		compare(s, b);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		u8 bits;
		ZydisMachineMode mode;
		ZydisStackWidth width;
	} modes[] = {
	    {16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
	    {32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
	    {64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 1000000, bad = 0;

	memset(features, 0xff, sizeof(features));
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		static struct sweep s;

		memset(&s, 0, sizeof(s));
		s.mode = (struct decode_mode){modes[i].bits, false, features};
		if (!ZYAN_SUCCESS(ZydisDecoderInit(&s.zydis, modes[i].mode, modes[i].width)))
			return 2;
		ZydisDecoderEnableMode(&s.zydis, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
		every_opcode(&s);
		every_vex(&s);
		random_bytes(&s, n);
		printf("%u-bit: %lu cases, %lu disagreements explained, %lu not\n", modes[i].bits,
		       s.cases, s.explained, s.unexplained);
		bad += s.unexplained;
	}
	return bad != 0;
}
