/* The decoder's rules (SDM Vol. 2A, chapter 2), one case each; sweep.c and text.c hold the rows
 * against other decoders. */
#include <check.h>
#include <stdlib.h>

#include "tests/suite.h"
#include "cpu/cpu.h"
#include "tests/decoder/encode.h"

_Static_assert(INSN_NO_REG == R_ZERO && INSN_CODE_REG == R_CODE,
	       "register numbers of the decoder and the CPU");
_Static_assert(SZ_COUNT < 256 && OPD_COUNT < 256, "operand letters fit their bytes");

static u32 all_features[FEATURE_WORDS];

static void set_up(void)
{
	memset(all_features, 0xff, sizeof(all_features));
}

static enum decode_status decode_in(struct decode_mode mode, const char *hex, struct insn *in)
{
	u8 b[32];
	unsigned n = 0;
	char *end;

	for (; *hex; hex = end) {
		b[n++] = (u8)strtoul(hex, &end, 16);
		while (*end == ' ')
			end++;
	}
	return insn_decode(&mode, b, n, in);
}

static enum decode_status decode(unsigned bits, const char *hex, struct insn *in)
{
	return decode_in((struct decode_mode){(u8)bits, false, all_features}, hex, in);
}

static void expect_text(unsigned bits, const char *hex, const char *intel, const char *att)
{
	struct insn in;
	char text[128];

	ck_assert_msg(decode(bits, hex, &in) == DECODE_OK, "%s", hex);
	insn_format(&in, 0x1000, DISASM_INTEL, text, sizeof(text));
	ck_assert_str_eq(text, intel);
	insn_format(&in, 0x1000, DISASM_ATT, text, sizeof(text));
	ck_assert_str_eq(text, att);
}

static void expect_ud(unsigned bits, const char *hex)
{
	struct insn in;

	ck_assert_msg(decode(bits, hex, &in) == DECODE_UD, "%u-bit %s", bits, hex);
}

static void expect_ok(unsigned bits, const char *hex)
{
	struct insn in;

	ck_assert_msg(decode(bits, hex, &in) == DECODE_OK, "%u-bit %s", bits, hex);
}

/* ---- all rows
 * ------------------------------------------------------------------------------------------- */

/* Some encoding of every row decodes to that row, in some mode. */
START_TEST(every_row_is_reachable)
{
	static const u8 modes[] = {64, 32, 16};

	for (unsigned row = 0; row < insn_row_count; row++) {
		bool found = false;

		for (unsigned i = 0; i < 3 * 64 && !found; i++) {
			struct choice c = {.bits = modes[i / 64],
					   .memory = i & 1,
					   .reg = (u8)(i >> 1 & 7),
					   .rm = (u8)(i >> 2 & 7),
					   .w = i & 16,
					   .l = i & 32};
			struct decode_mode mode = {c.bits, false, all_features};
			struct insn in;
			u8 b[32];

			found = encode_row(row, &c, b) &&
				insn_decode(&mode, b, 15, &in) == DECODE_OK && in.row == row;
		}
		ck_assert_msg(found, "row %u (%s)", row, insn_rows[row].mnemonic);
	}
}
END_TEST

/* Without its feature no row is ever the answer. */
START_TEST(no_row_without_its_feature)
{
	for (unsigned row = 0; row < insn_row_count; row++) {
		u32 feat[FEATURE_WORDS];
		unsigned f = insn_rows[row].feature;

		memset(feat, 0xff, sizeof(feat));
		feat[f / 32] &= ~BIT(f % 32);
		for (unsigned i = 0; i < 6; i++) {
			struct choice c = {
			    .bits = i < 3 ? 64 : 32, .memory = i & 1, .reg = 1, .rm = 2};
			struct decode_mode mode = {c.bits, false, feat};
			struct insn in;
			u8 b[32];

			if (encode_row(row, &c, b) && insn_decode(&mode, b, 15, &in) == DECODE_OK)
				ck_assert_uint_ne(insn_rows[in.row].feature, f);
		}
	}
}
END_TEST

/* Flags cannot be both defined and undefined; attributes do not contradict one another. */
START_TEST(rows_are_consistent)
{
	for (unsigned row = 0; row < insn_row_count; row++) {
		const struct insn_row *r = &insn_rows[row];

		ck_assert_msg(!(r->fl_write & r->fl_undef), "%s: flags", r->mnemonic);
		ck_assert_msg(!(r->attr & IA_NO64 && r->attr & IA_ONLY64), "%s: modes",
			      r->mnemonic);
		ck_assert_msg(!(r->attr & IA_MEMONLY && r->attr & IA_REGONLY), "%s: mod",
			      r->mnemonic);
		ck_assert_msg(!(r->attr & IA_BRANCH) || r->attr & IA_END, "%s: branch",
			      r->mnemonic);
		ck_assert_msg(!(r->attr & IA_LOCK) || (row_encs[row].rw & 3) == 3, "%s: LOCK",
			      r->mnemonic);
		ck_assert_ptr_nonnull(r->sdm);
	}
}
END_TEST

/* Cut anywhere, an instruction is DECODE_SHORT and nothing beyond the cut is read (the sanitizers
 * watch). */
START_TEST(every_cut_is_short)
{
	for (unsigned row = 0; row < insn_row_count; row++) {
		struct choice c = {.bits = insn_rows[row].attr & IA_NO64 ? 32 : 64,
				   .memory = true,
				   .mod = 2,
				   .rm = 3};
		struct decode_mode mode = {c.bits, false, all_features};
		struct insn in, cut;
		u8 b[32];

		if (!encode_row(row, &c, b) || insn_decode(&mode, b, 15, &in) != DECODE_OK)
			continue;
		for (unsigned n = 0; n < in.len; n++) {
			u8 *exact = malloc(n ? n : 1);

			memcpy(exact, b, n);
			ck_assert_msg(insn_decode(&mode, exact, n, &cut) == DECODE_SHORT,
				      "%s at %u", insn_rows[row].mnemonic, n);
			free(exact);
		}
		ck_assert_int_eq(insn_decode(&mode, b, in.len, &cut), DECODE_OK);
	}
}
END_TEST

/* ---- prefixes and lengths
 * ------------------------------------------------------------------------------ */

START_TEST(sixteen_bytes_are_too_long)
{
	struct insn in;
	u8 b[16];

	memset(b, 0x66, sizeof(b));
	b[14] = 0x90;
	struct decode_mode mode = {32, false, all_features};

	ck_assert_int_eq(insn_decode(&mode, b, 16, &in), DECODE_OK);
	ck_assert_uint_eq(in.len, 15);
	b[14] = 0x66;
	b[15] = 0x90;
	ck_assert_int_eq(insn_decode(&mode, b, 16, &in), DECODE_TOO_LONG);
	ck_assert_int_eq(insn_decode(&mode, b, 14, &in), DECODE_SHORT);
}
END_TEST

START_TEST(rex_counts_only_before_the_opcode)
{
	expect_text(64, "48 66 89 c8", "mov ax,cx", "mov %cx,%ax");
	expect_text(64, "66 48 89 c8", "mov rax,rcx", "mov %rcx,%rax");
	expect_text(32, "48", "dec eax", "dec %eax");
}
END_TEST

START_TEST(last_of_f2_and_f3_wins)
{
	expect_text(64, "f2 f3 0f 58 c1", "addss xmm0,xmm1", "addss %xmm1,%xmm0");
	expect_text(64, "f3 f2 0f 58 c1", "addsd xmm0,xmm1", "addsd %xmm1,%xmm0");
	expect_text(64, "66 f3 0f 58 c1", "addss xmm0,xmm1", "addss %xmm1,%xmm0");
}
END_TEST

START_TEST(segment_overrides)
{
	struct insn in;

	ck_assert_int_eq(decode(64, "2e 8b 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, DS);
	ck_assert_uint_eq(in.prefixes & PFX_SEG, 0);
	ck_assert_int_eq(decode(64, "65 8b 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, GS);
	ck_assert_int_eq(decode(32, "2e 8b 45 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, CS);
	ck_assert_int_eq(decode(32, "8b 45 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, SS);
	ck_assert_int_eq(decode(32, "8b 04 24", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, SS);
	/* EBP as an index does not select SS. */
	ck_assert_int_eq(decode(32, "8b 04 28", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, DS);
	/* R13 is no RBP. */
	ck_assert_int_eq(decode(64, "41 8b 45 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, DS);
	ck_assert_int_eq(decode(16, "8b 02", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, SS);
	/* MOVS: the override is the source's. XLAT has one too. */
	ck_assert_int_eq(decode(16, "2e a4", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, CS);
	ck_assert_uint_eq(in.base, RSI);
	ck_assert_int_eq(decode(16, "2e aa", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, ES);
	ck_assert_int_eq(decode(16, "36 d7", &in), DECODE_OK);
	ck_assert_uint_eq(in.seg, SS);
}
END_TEST

START_TEST(lock_needs_a_lockable_memory_destination)
{
	expect_ok(32, "f0 01 00");
	expect_ud(32, "f0 01 c0");
	expect_ud(32, "f0 03 00");
	expect_ud(32, "f0 39 00");
	expect_ud(32, "f0 89 00");
	expect_ud(32, "f0 90");
	expect_ok(64, "f0 48 0f c7 08");
	expect_ok(32, "f3 f0 0f c7 08");
	expect_ud(32, "f0 0f a3 00");
	expect_ok(32, "f0 0f ab 00");
}
END_TEST

/* ---- operand sizes and operands
 * --------------------------------------------------------------------- */

START_TEST(sixty_four_bit_defaults)
{
	struct insn in;

	ck_assert_int_eq(decode(64, "50", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 8);
	ck_assert_int_eq(decode(64, "66 50", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 2);
	/* Near branches ignore 66. */
	ck_assert_int_eq(decode(64, "66 e8 00 00 00 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 8);
	ck_assert_uint_eq(in.len, 6);
	ck_assert_int_eq(decode(32, "66 e8 00 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 2);
	ck_assert_int_eq(decode(64, "68 ff ff ff ff", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, ~0ull);
	ck_assert_uint_eq(in.op[0].size, 8);
	/* Far returns and IRET default to 32 bits. */
	ck_assert_int_eq(decode(64, "cb", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 4);
	ck_assert_int_eq(decode(64, "48 cf", &in), DECODE_OK);
	ck_assert_uint_eq(in.opsize, 8);
	/* MOV to and from control registers: always 64 bits, and mod is ignored. */
	ck_assert_int_eq(decode(64, "0f 20 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.op[0].size, 8);
	ck_assert_uint_eq(in.len, 3);
}
END_TEST

START_TEST(immediates_are_extended)
{
	struct insn in;

	ck_assert_int_eq(decode(32, "83 c0 ff", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, ~0ull);
	ck_assert_uint_eq(in.op[1].size, 4);
	ck_assert_int_eq(decode(32, "04 ff", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, 0xff);
	ck_assert_int_eq(decode(64, "48 b8 f8 f7 f6 f5 f4 f3 f2 f1", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, 0xf1f2f3f4f5f6f7f8ull);
	ck_assert_int_eq(decode(32, "c8 34 12 56", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, 0x1234);
	ck_assert_uint_eq(in.imm2, 0x56);
	ck_assert_int_eq(decode(16, "ea 34 12 78 56", &in), DECODE_OK);
	ck_assert_uint_eq(in.imm, 0x1234);
	ck_assert_uint_eq(in.imm2, 0x5678);
	ck_assert_int_eq(decode(64, "eb fe", &in), DECODE_OK);
	ck_assert_int_eq((s64)in.imm, -2);
}
END_TEST

START_TEST(byte_registers)
{
	struct insn in;

	ck_assert_int_eq(decode(64, "88 e0", &in), DECODE_OK);
	ck_assert_uint_eq(in.op[1].kind, OPK_GPR8H);
	ck_assert_uint_eq(in.op[1].reg, 0);
	ck_assert_int_eq(decode(64, "40 88 e0", &in), DECODE_OK);
	ck_assert_uint_eq(in.op[1].kind, OPK_GPR);
	ck_assert_uint_eq(in.op[1].reg, RSP);
}
END_TEST

START_TEST(memory_operands)
{
	struct insn in;

	ck_assert_int_eq(decode(64, "8b 05 f0 ff ff ff", &in), DECODE_OK);
	ck_assert_uint_eq(in.base, R_CODE);
	ck_assert_int_eq(in.disp, -16);
	ck_assert_int_eq(decode(64, "8b 04 25 f0 ff ff ff", &in), DECODE_OK);
	ck_assert_uint_eq(in.base, R_ZERO);
	ck_assert_uint_eq(in.index, R_ZERO);
	/* Index 4 is none, but R12 is an index; base 13 with mod 0 has no base. */
	ck_assert_int_eq(decode(64, "42 8b 04 e4", &in), DECODE_OK);
	ck_assert_uint_eq(in.index, R12);
	ck_assert_uint_eq(in.scale, 3);
	ck_assert_int_eq(decode(64, "41 8b 04 25 00 00 00 00", &in), DECODE_OK);
	ck_assert_uint_eq(in.base, R_ZERO);
	ck_assert_int_eq(decode(32, "67 8b 40 80", &in), DECODE_OK);
	ck_assert_uint_eq(in.base, RBX);
	ck_assert_uint_eq(in.index, RSI);
	ck_assert_int_eq(in.disp, -128);
	ck_assert_int_eq(decode(64, "a0 88 77 66 55 44 33 22 f1", &in), DECODE_OK);
	ck_assert_uint_eq((u64)in.disp, 0xf122334455667788ull);
	ck_assert_int_eq(decode(64, "67 a0 44 33 22 f1", &in), DECODE_OK);
	ck_assert_uint_eq((u64)in.disp, 0xf1223344u);
}
END_TEST

START_TEST(reserved_registers)
{
	expect_ud(32, "8e c8"); /* MOV CS */
	expect_ud(32, "8e f0");
	expect_ok(32, "8c c8");
	expect_ud(32, "8c f0");
	expect_ud(32, "0f 20 c8"); /* CR1 */
	expect_ud(32, "0f 20 e8"); /* CR5 */
	expect_ok(64, "44 0f 20 c0");
	expect_ud(64, "44 0f 20 c8");
	expect_ud(64, "44 0f 21 c0"); /* DR8 */
}
END_TEST

/* ---- modes and features
 * ------------------------------------------------------------------------------- */

START_TEST(modes)
{
	struct decode_mode real = {16, true, all_features};
	struct insn in;

	expect_ud(64, "06");
	expect_ud(64, "d6");
	expect_ud(64, "82 c0 00");
	expect_ud(64, "9a 00 00 00 00 00 00");
	expect_ud(32, "0f 05");
	expect_ok(64, "0f 05");
	expect_ud(32, "0f 01 f8");
	ck_assert_int_eq(decode_in(real, "0f 00 c0", &in), DECODE_UD);
	ck_assert_int_eq(decode_in(real, "63 c0", &in), DECODE_UD);
	expect_ok(16, "0f 00 c0");
	expect_text(64, "63 c8", "movsxd ecx,eax", "movsxd %eax,%ecx");
	expect_text(32, "63 c8", "arpl ax,cx", "arpl %cx,%ax");
}
END_TEST

START_TEST(absent_features_fall_back)
{
	u32 feat[FEATURE_WORDS];
	struct decode_mode mode = {64, false, feat};
	struct insn in;

	memset(feat, 0xff, sizeof(feat));
	feat[FEAT_BMI1 / 32] &= ~BIT(FEAT_BMI1 % 32);
	feat[FEAT_LZCNT / 32] &= ~BIT(FEAT_LZCNT % 32);
	feat[FEAT_POPCNT / 32] &= ~BIT(FEAT_POPCNT % 32);
	ck_assert_int_eq(decode_in(mode, "f3 0f bc c1", &in), DECODE_OK);
	ck_assert_str_eq(insn_rows[in.row].mnemonic, "bsf");
	ck_assert_int_eq(decode_in(mode, "f3 0f bd c1", &in), DECODE_OK);
	ck_assert_str_eq(insn_rows[in.row].mnemonic, "bsr");
	ck_assert_int_eq(decode_in(mode, "f3 0f b8 c1", &in), DECODE_UD);
	feat[FEAT_SSE2 / 32] &= ~BIT(FEAT_SSE2 % 32);
	ck_assert_int_eq(decode_in(mode, "f3 90", &in), DECODE_OK);
	ck_assert_str_eq(insn_rows[in.row].mnemonic, "nop");
}
END_TEST

/* ---- VEX and EVEX
 * ---------------------------------------------------------------------------------------- */

START_TEST(vex_rules)
{
	struct decode_mode real = {16, true, all_features};
	struct insn in;

	expect_text(64, "c5 f0 58 c2", "vaddps xmm0,xmm1,xmm2", "vaddps %xmm2,%xmm1,%xmm0");
	expect_ud(64, "66 c5 f0 58 c2");
	expect_ud(64, "f3 c5 f0 58 c2");
	expect_ud(64, "f0 c5 f0 58 c2");
	expect_ud(64, "40 c5 f0 58 c2");
	expect_ok(64, "c5 f8 28 c2");
	expect_ud(64, "c5 f0 28 c2");    /* vvvv unused must be 1111b */
	expect_ud(64, "c4 e4 78 58 c2"); /* map 4 */
	/* LDS and LES outside 64-bit mode unless mod is 3; no VEX in real mode. */
	expect_text(32, "c5 00", "lds eax,FWORD PTR [eax]", "lds (%eax),%eax");
	expect_text(32, "c5 f0 58 c2", "vaddps xmm0,xmm1,xmm2", "vaddps %xmm2,%xmm1,%xmm0");
	ck_assert_int_eq(decode_in(real, "c5 f0 58 c2", &in), DECODE_UD);
	ck_assert_int_eq(decode_in(real, "c5 00", &in), DECODE_OK);
	/* W is ignored for general registers outside 64-bit mode. */
	expect_text(32, "c4 e2 f0 f2 c2", "andn eax,ecx,edx", "andn %edx,%ecx,%eax");
	expect_text(64, "c4 e2 f0 f2 c2", "andn rax,rcx,rdx", "andn %rdx,%rcx,%rax");
}
END_TEST

/* SDM Vol. 2A, 2.3.12: the index is a vector register; three registers must differ. */
START_TEST(vector_indexes)
{
	expect_text(64, "c4 e2 71 92 14 80", "vgatherdps xmm2,DWORD PTR [rax+xmm0*4],xmm1", "vgatherdps %xmm1,(%rax,%xmm0,4),%xmm2");
	expect_text(64, "c4 e2 71 92 14 a0", "vgatherdps xmm2,DWORD PTR [rax+xmm4*4],xmm1", "vgatherdps %xmm1,(%rax,%xmm4,4),%xmm2");
	expect_text(64, "c4 a2 71 92 14 80", "vgatherdps xmm2,DWORD PTR [rax+xmm8*4],xmm1", "vgatherdps %xmm1,(%rax,%xmm8,4),%xmm2");
	expect_text(64, "c4 e2 f5 92 14 80", "vgatherdpd ymm2,QWORD PTR [rax+xmm0*4],ymm1", "vgatherdpd %ymm1,(%rax,%xmm0,4),%ymm2");
	expect_text(64, "c4 e2 75 93 14 80", "vgatherqps xmm2,DWORD PTR [rax+ymm0*4],xmm1", "vgatherqps %xmm1,(%rax,%ymm0,4),%xmm2");
	expect_ud(64, "c4 e2 71 92 04 80");    /* destination and index */
	expect_ud(64, "c4 e2 79 92 14 80");    /* mask and index */
	expect_ud(64, "c4 e2 71 92 0c 80");    /* destination and mask */
	expect_ud(64, "c4 e2 71 92 10");       /* no index */
	expect_ud(64, "c4 e2 71 92 d4");       /* a register */
	expect_ud(32, "67 c4 e2 71 92 14 80"); /* 16-bit addresses */
	expect_ok(32, "c4 e2 71 92 14 80");
}
END_TEST

START_TEST(evex_rules)
{
	struct insn in;

	ck_assert_int_eq(decode(64, "62 f1 74 48 58 40 01", &in), DECODE_OK);
	ck_assert_int_eq(in.disp, 64);
	ck_assert_uint_eq(in.op[2].size, 64);
	expect_text(64, "62 f1 74 58 58 40 01", "vaddps zmm0,zmm1,DWORD BCST [rax+0x4]",
		    "vaddps 0x4(%rax){1to16},%zmm1,%zmm0");
	expect_text(64, "62 f1 74 b9 58 c2", "vaddps zmm0{k1}{z},zmm1,zmm2,{rd-sae}",
		    "vaddps {rd-sae},%zmm2,%zmm1,%zmm0{%k1}{z}");
	expect_ud(64, "62 f1 74 c8 58 c2"); /* z without a mask */
	expect_ud(64, "62 f1 74 68 58 c2"); /* L'L = 3 */
	expect_ud(64, "62 f1 7c 58 10 00"); /* broadcast where there is none */
	expect_text(64, "62 81 74 40 58 c2", "vaddps zmm16,zmm17,zmm26",
		    "vaddps %zmm26,%zmm17,%zmm16");
}
END_TEST

/* ---- text
 * -------------------------------------------------------------------------------------------------
 */

START_TEST(text_of_common_instructions)
{
	expect_text(64, "48 8b 44 8b f8", "mov rax,QWORD PTR [rbx+rcx*4-0x8]",
		    "mov -0x8(%rbx,%rcx,4),%rax");
	expect_text(64, "c7 00 01 00 00 00", "mov DWORD PTR [rax],0x1", "movl $0x1,(%rax)");
	expect_text(64, "e8 fb 00 00 00", "call 0x1100", "call 0x1100");
	expect_text(64, "f3 48 a5", "rep movs QWORD PTR es:[rdi],QWORD PTR ds:[rsi]",
		    "rep movsq %ds:(%rsi),%es:(%rdi)");
	expect_text(64, "f3 a6", "repz cmps BYTE PTR ds:[rsi],BYTE PTR es:[rdi]",
		    "repz cmpsb %es:(%rdi),%ds:(%rsi)");
	expect_text(32, "de e9", "fsubp st(1),st", "fsubrp %st,%st(1)");
	expect_text(32, "0f b6 00", "movzx eax,BYTE PTR [eax]", "movzbl (%eax),%eax");
	expect_text(16, "ee", "out dx,al", "out %al,(%dx)");
	expect_text(64, "48 8b 05 f9 0f 00 00", "mov rax,QWORD PTR [rip+0xff9]        # 0x2000",
		    "mov 0xff9(%rip),%rax        # 0x2000");
}
END_TEST

START_TEST(text_is_cut_to_the_buffer)
{
	struct insn in;
	char text[8];

	ck_assert_int_eq(decode(32, "89 c8", &in), DECODE_OK);
	ck_assert_int_eq(insn_format(&in, 0, DISASM_INTEL, text, sizeof(text)), 11);
	ck_assert_str_eq(text, "mov eax");
	ck_assert_int_eq(insn_format(&in, 0, DISASM_INTEL, NULL, 0), 11);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decode");
	TCase *t = tcase_create("decode");

	tcase_add_unchecked_fixture(t, set_up, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, every_row_is_reachable);
	tcase_add_test(t, no_row_without_its_feature);
	tcase_add_test(t, rows_are_consistent);
	tcase_add_test(t, every_cut_is_short);
	tcase_add_test(t, sixteen_bytes_are_too_long);
	tcase_add_test(t, rex_counts_only_before_the_opcode);
	tcase_add_test(t, last_of_f2_and_f3_wins);
	tcase_add_test(t, segment_overrides);
	tcase_add_test(t, lock_needs_a_lockable_memory_destination);
	tcase_add_test(t, sixty_four_bit_defaults);
	tcase_add_test(t, immediates_are_extended);
	tcase_add_test(t, byte_registers);
	tcase_add_test(t, memory_operands);
	tcase_add_test(t, reserved_registers);
	tcase_add_test(t, modes);
	tcase_add_test(t, absent_features_fall_back);
	tcase_add_test(t, vex_rules);
	tcase_add_test(t, vector_indexes);
	tcase_add_test(t, evex_rules);
	tcase_add_test(t, text_of_common_instructions);
	tcase_add_test(t, text_is_cut_to_the_buffer);
	suite_add_tcase(s, t);
	return run_suite(s);
}
