/*
 * Which condition makes bytes an undefined instruction: the decoder that refused them is asked again with one condition changed
 * at a time. The order is that of the likeliest causes: a prefix, the mode, the processor model, the opcode.
 */
#include "cpu/exec/blocks.h"
#include "cpu/exec/system.h"

static unsigned fetch_quietly(struct cpu *cpu, u64 rip, u8 *bytes)
{
	u64 lin = cpu_long64(cpu) ? rip : (u32)(rip + seg_base(cpu, CS));
	const struct decode_mode m = decode_mode_of(cpu);
	unsigned n = 0, more = 0;
	struct insn in;

	if (mmu_fetch(cpu, lin, bytes, &n))
		return 0;
	/* The next page only where the decoder was there already. */
	if (n < 15 && insn_decode(&m, bytes, n, &in) == DECODE_SHORT && !mmu_fetch(cpu, lin + n, bytes + n, &more))
		n = MIN(n + more, 15u);
	return n;
}

static bool is_prefix(u8 b, bool long64)
{
	switch (b) {
	case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67: case 0xf0: case 0xf2: case 0xf3:
		return true;
	}
	return long64 && (b & 0xf0) == 0x40;
}

/* The same instruction without its LOCK prefixes. */
static bool decodes_unlocked(const struct decode_mode *m, const u8 *bytes, unsigned n)
{
	u8 out[15];
	unsigned len = 0, i = 0, dropped = 0;
	struct insn in;

	for (; i < n && is_prefix(bytes[i], m->bits == 64); i++) {
		dropped += bytes[i] == 0xf0;
		if (bytes[i] != 0xf0)
			out[len++] = bytes[i];
	}
	memcpy(out + len, bytes + i, n - i);
	return dropped && insn_decode(m, out, len + n - i, &in) == DECODE_OK;
}

static const char *reason(struct cpu *cpu, const u8 *bytes, unsigned n, u64 *value)
{
	const struct decode_mode m = decode_mode_of(cpu);
	struct decode_mode protected = m, other = m, complete = m;
	u32 all[FEATURE_WORDS];
	struct insn in;

	memset(all, 0xff, sizeof(all));
	protected.real_or_v86 = false;
	other.bits = m.bits == 64 ? 32 : 64;
	complete.feat = all;
	if (insn_decode(&m, bytes, n, &in) == DECODE_OK) {
		*value = in.row;
		return "the instruction is not implemented here";
	}
	if (decodes_unlocked(&m, bytes, n)) {
		*value = 0xf0;
		return "LOCK prefix on an instruction or operand that cannot be locked";
	}
	if (insn_decode(&protected, bytes, n, &in) == DECODE_OK) {
		*value = cpu->cr0;
		return "the instruction is not recognized in real-address and virtual-8086 mode";
	}
	if (insn_decode(&other, bytes, n, &in) == DECODE_OK) {
		*value = cpu->efer;
		return m.bits == 64 ? "the instruction is invalid in 64-bit mode"
				    : "the instruction is valid in 64-bit mode only";
	}
	if (insn_decode(&complete, bytes, n, &in) == DECODE_OK) {
		*value = insn_rows[in.row].feature;
		return "this processor model lacks the instruction's feature";
	}
	*value = bytes[0];
	return "no such opcode, or not with these operands";
}

void undefined_fault(struct cpu *cpu, u64 rip)
{
	u8 bytes[30];
	unsigned n = fetch_quietly(cpu, rip, bytes);
	u64 value = 0;
	const char *why = n ? reason(cpu, bytes, n, &value) : "no such opcode, or not with these operands";

	(void)!cpu_fault(cpu, EXC_UD, 0, why, value);
}
