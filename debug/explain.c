/* Why did it fault: see explain.h. The tree is made here, and put into lines by explain_to_text(). */
#include "debug/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include "cpu/exec/blocks.h"
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"
#include "debug/calltree.h"
#include "debug/debugger.h"
#include "debug/explain_values.h"

#define CHAIN_MAX 10u
#define BEFORE_MAX 16u

/* ---- the rules ------------------------------------------------------------------------------------------------------ */

static const struct explain_rule rules[] = {
#define RULE(text, kind, section, advice) {.why = text, .value = EV_##kind, .sdm = section, .hint = advice},
#include "debug/explain_rules.def"
#undef RULE
};

const struct explain_rule *explain_rule_at(unsigned i)
{
	return i < ARRAY_SIZE(rules) ? &rules[i] : NULL;
}

const struct explain_rule *explain_rule(const char *why)
{
	for (unsigned i = 0; why && i < ARRAY_SIZE(rules); i++)
		if (!strcmp(rules[i].why, why))
			return &rules[i];
	return NULL;
}

/* ---- one record: its parts ------------------------------------------------------------------------------------------ */

static bool rec_lma(const struct fault_record *r)
{
	return r->efer & EFER_LMA;
}

static unsigned rec_bits(const struct fault_record *r)
{
	return 16u << (r->mode & MODE_BITS);
}

static const char *mode_text(const struct fault_record *r)
{
	return r->rflags & FL_VM                  ? "virtual-8086 mode"
	       : !(r->cr0 & CR0_PE)               ? "real mode"
	       : (r->mode & MODE_BITS) == MODE_64 ? "64-bit mode"
	       : rec_lma(r)                       ? "compatibility mode"
	       : (r->mode & MODE_BITS) == MODE_32 ? "32-bit protected mode"
						  : "16-bit protected mode";
}

static bool rec_decode(struct cpu *cpu, const struct fault_record *r, struct insn *in)
{
	const struct decode_mode m = {.bits = (u8)rec_bits(r), .real_or_v86 = r->mode & (MODE_REAL | MODE_V86), .feat = cpu->feat};

	return r->nbytes && insn_decode(&m, r->bytes, r->nbytes, in) == DECODE_OK;
}

static const char *name_of(const struct explain_names *names, u64 addr, char *buf, size_t n)
{
	*buf = 0;
	return names && names->fn ? names->fn(names->ctx, addr, buf, n) : buf;
}

static void add_where(json_t *o, struct cpu *cpu, const struct fault_record *r, const struct explain_names *names)
{
	char text[160], symbol[128];
	struct insn in;
	bool decoded = rec_decode(cpu, r, &in);

	view_format(o, "at", "%04x:%0*llx", r->seg[CS].sel, rec_bits(r) == 64 ? 16 : rec_bits(r) == 32 ? 8 : 4,
		    (unsigned long long)r->rip);
	view_hex(o, "cs", r->seg[CS].sel, 4);
	view_hex(o, "rip", r->rip, 0);
	if (*name_of(names, r->rip + (rec_bits(r) == 64 ? 0 : r->base[CS]), symbol, sizeof(symbol)))
		view_text(o, "symbol", symbol);
	view_text(o, "mode", mode_text(r));
	view_num(o, "cpl", r->cpl);
	if (r->nonroot)
		view_text(o, "vmx", "non-root operation");
	view_num(o, "instructions", r->icount);
	if (decoded)
		insn_format(&in, r->rip, DISASM_INTEL, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s", r->nbytes ? "(bad)" : "(not fetched)");
	view_text(o, "instruction", text);
	unsigned n = decoded ? in.len : r->nbytes;
	for (unsigned i = 0; i < n; i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, "%02x ", r->bytes[i]);
	if (n) {
		text[3 * n - 1] = 0;
		view_text(o, "bytes", text);
	}
}

static void add_during(json_t *o, const struct fault_record *r)
{
	static const char *const kinds[] = {"external interrupt", "NMI", "exception", "INT n", "INT3 or INTO", "INT1"};
	unsigned vector = r->trail.delivering & 0xff, kind = r->trail.delivering >> 8 & 0x7f;

	if (!(r->trail.delivering & 0x8000) || kind >= ARRAY_SIZE(kinds))
		return;
	if (kind == INT_EXCEPTION)
		view_format(o, "during", "delivery of %s (vector %u)", exception_name(vector), vector);
	else
		view_format(o, "during", "delivery of vector %u (%s)", vector, kinds[kind]);
	view_num(o, "during_vector", vector);
}

static const char *level_name(unsigned level)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};

	return names[level];
}

static void add_entry(json_t *walk, const char *name, u64 at, u64 entry, const char *says)
{
	json_t *e = view_object(walk, NULL);

	view_text(e, "level", name);
	view_hex(e, "at", at, 0);
	view_hex(e, "entry", entry, 0);
	view_text(e, "flags", says);
}

/* The entries that the failed walk had read, from the root. */
static void add_walk(json_t *o, const struct fault_record *r)
{
	bool pae = r->trail.walk.size == 8 && !rec_lma(r);
	unsigned top = r->trail.walk.size == 4 ? 2 : pae ? 2 : r->cr4 & CR4_LA57 ? 5 : 4;
	json_t *walk = view_array(o, "walk");
	char says[VALUE_TEXT], name[16];

	if (pae)
		add_entry(walk, "PDPTE", (r->cr3 & 0xffffffe0) + (r->trail.walk.lin >> 30 & 3) * 8, r->trail.walk.pdpte,
			  r->trail.walk.pdpte & 1 ? "present" : "not present");
	for (unsigned i = 0; i < r->trail.walk.n && i < 5 && top > i; i++) {
		unsigned level = top - i;
		u64 e = r->trail.walk.entry[i];
		bool leaf = level == 1 || ((e & 0x80) && level <= 3 && (r->trail.walk.size == 8 || r->cr4 & CR4_PSE));

		value_pte(says, e, r->trail.walk.size, leaf);
		add_entry(walk, level_name(level), r->trail.walk.at[i], e, says);
	}
	for (unsigned i = 0; i < r->trail.walk.ept_n && i < 5; i++) {
		unsigned level = 4 - i; /* 5-level EPT begins one higher */
		bool last = i == r->trail.walk.ept_n - 1u;

		value_epte(says, r->trail.walk.ept_entry[i],
			   last && (level == 1 || (level <= 3 && (r->trail.walk.ept_entry[i] & 0x80))));
		snprintf(name, sizeof(name), "EPT %s", level && level < 5 ? level_name(level) : "entry");
		add_entry(walk, name, r->trail.walk.ept_at[i], r->trail.walk.ept_entry[i], says);
	}
	if (r->trail.walk.ept_n)
		view_hex(o, "guest_physical", r->trail.walk.ept_gpa, 0);
}

static void add_table(json_t *o, const char *name, u64 base, u32 limit)
{
	json_t *t = view_object(o, name);

	view_hex(t, "base", base, 0);
	view_hex(t, "limit", limit, 0);
}

/* GDT or LDT, as the selector @sel means. */
static void add_selector(json_t *o, const struct fault_record *r, u16 sel)
{
	char says[VALUE_TEXT];

	value_selector(says, sel);
	view_hex(o, "selector", sel, 4);
	view_text(o, "selector_text", says);
	if (sel & 4)
		add_table(o, "ldt", r->base[LDTR], r->seg[LDTR].limit);
	else
		add_table(o, "gdt", r->gdtr.base, r->gdtr.limit);
}

static void add_desc(json_t *o, const struct fault_record *r)
{
	json_t *d = view_object(o, "descriptor");
	char says[VALUE_TEXT];

	value_desc(says, r->f.value, rec_lma(r));
	view_hex(d, "value", r->f.value, 16);
	view_text(d, "text", says);
	if (r->trail.desc_raw == r->f.value) {
		view_hex(d, "selector", r->trail.desc_sel, 4);
		view_hex(d, "at", r->trail.desc_lin, 0);
		view_text(d, "table", r->trail.desc_sel & 4 ? "LDT" : "GDT");
	}
}

static void add_gate(json_t *o, const struct fault_record *r)
{
	json_t *g = view_object(o, "gate");
	char says[VALUE_TEXT];

	value_gate(says, r->trail.gate_raw, r->trail.gate_high, rec_lma(r));
	view_hex(g, "value", r->trail.gate_raw, 16);
	if (rec_lma(r))
		view_hex(g, "high", r->trail.gate_high, 16);
	view_hex(g, "at", r->trail.gate_lin, 0);
	view_num(g, "vector", r->trail.delivering & 0xff);
	view_text(g, "text", says);
}

static void add_segment(json_t *o, const char *name, const struct seg *s, u64 base)
{
	json_t *g = view_object(o, "segment");
	char says[VALUE_TEXT];

	value_segment(says, s, base);
	view_text(g, "register", name);
	view_hex(g, "selector", s->sel, 4);
	view_hex(g, "base", base, 0);
	view_hex(g, "limit", s->limit, 0);
	view_text(g, "text", says);
}

static void add_tss(json_t *o, const struct fault_record *r)
{
	json_t *t = view_object(o, "tss");
	char says[VALUE_TEXT];

	value_segment(says, &r->seg[TR], r->base[TR]);
	view_hex(t, "selector", r->seg[TR].sel, 4);
	view_hex(t, "base", r->base[TR], 0);
	view_hex(t, "limit", r->seg[TR].limit, 0);
	view_text(t, "text", says);
}

static void says_tss_slot(char *t, const struct fault_record *r)
{
	unsigned slot = (unsigned)r->f.value;

	if (!rec_lma(r))
		snprintf(t, VALUE_TEXT, "stack for privilege level %u, at offset 0x%x of the TSS", slot,
			 r->seg[TR].ar & 8 ? slot * 8 + 4 : slot * 4 + 2);
	else if (slot < 3)
		snprintf(t, VALUE_TEXT, "RSP%u, at offset 0x%x of the TSS", slot, 4 + slot * 8);
	else
		snprintf(t, VALUE_TEXT, "IST%u, at offset 0x%x of the TSS", slot - 3, 4 + slot * 8);
}

static void says_divisor(char *t, struct cpu *cpu, const struct fault_record *r)
{
	struct insn in;
	u64 v = r->f.value;

	if (rec_decode(cpu, r, &in) && in.nops && in.op[0].size)
		v = zext_bytes(v, in.op[0].size);
	snprintf(t, VALUE_TEXT, v ? "divisor 0x%llx: the quotient does not fit" : "the divisor is %llu", (unsigned long long)v);
}

static void says_vector(char *t, const struct fault_record *r)
{
	unsigned n = (unsigned)r->f.value, entry = !(r->cr0 & CR0_PE) ? 4 : rec_lma(r) ? 16 : 8;

	snprintf(t, VALUE_TEXT, "vector %u needs bytes 0x%x to 0x%x of the table", n, n * entry, n * entry + entry - 1);
}

/* Where the offending bits stand in the trail. */
static void add_bad_bits(json_t *o, const struct fault_record *r)
{
	static const char *const with[] = {"reserved bit of the P", "reserved bit of a PDPTE", "CR4 has a reserved bit",
					   "WRMSR sets a reserved bit", "IA32_EFER has a reserved bit"};
	char says[VALUE_TEXT];

	for (unsigned i = 0; i < ARRAY_SIZE(with); i++)
		if (strstr(r->f.why, with[i]) && r->trail.aux) {
			value_bits(says, r->trail.aux);
			view_text(o, "offending_bits", says);
			return;
		}
}

static void says_linear(char *t, const struct fault_record *r)
{
	*t = 0;
	if (strstr(r->f.why, "aligned"))
		snprintf(t, VALUE_TEXT, "address 0x%llx is %llu bytes past a multiple of 16", (unsigned long long)r->f.value,
			 (unsigned long long)r->f.value & 15);
}

/* What the value is, and what stands around it. */
static void add_value(json_t *o, struct cpu *cpu, const struct fault_record *r, enum explain_value kind)
{
	char says[VALUE_TEXT] = "";
	const char *msr;
	u64 v = r->f.value;

	if (kind != EV_NONE)
		view_hex(o, "value", v, 0);
	switch (kind) {
	case EV_PTE: break;
	case EV_EPTE: value_epte(says, v, false); break;
	case EV_LINEAR: says_linear(says, r); break;
	case EV_CODE: add_segment(o, "CS", &r->seg[CS], r->base[CS]); break;
	case EV_OFFSET:
	case EV_SEGMENT:
		if (rec_bits(r) != 64)
			add_segment(o, segment_names[r->trail.seg % NSEGS], &r->trail.stack, r->trail.stack_base);
		break;
	case EV_SELECTOR: add_selector(o, r, (u16)v); break;
	case EV_DESC: add_desc(o, r); break;
	case EV_GATE: add_gate(o, r); break;
	case EV_VECTOR:
		says_vector(says, r);
		add_table(o, "idt", r->idtr.base, r->idtr.limit);
		break;
	case EV_TSS:
		says_tss_slot(says, r);
		add_tss(o, r);
		break;
	case EV_IOMAP:
		snprintf(says, sizeof(says), "port 0x%llx; the map begins at offset 0x%x of the TSS", (unsigned long long)v,
			 (unsigned)r->trail.aux & 0xffff);
		if (r->trail.aux >> 16)
			snprintf(says + strlen(says), sizeof(says) - strlen(says), ", bits 0x%x there",
				 (unsigned)(r->trail.aux >> 16));
		add_tss(o, r);
		break;
	case EV_PORT:
		snprintf(says, sizeof(says), "port 0x%llx, IOPL %u", (unsigned long long)v, r->rflags >> 12 & 3);
		add_tss(o, r);
		break;
	case EV_CPL: snprintf(says, sizeof(says), "CPL is %u", r->cpl); break;
	case EV_RFLAGS: value_rflags(says, v); break;
	case EV_CR0: value_cr0(says, v); break;
	case EV_CR4: value_cr4(says, v); break;
	case EV_EFER: value_efer(says, v); break;
	case EV_XCR0: value_xcr0(says, v); break;
	case EV_DR6: value_dr6(says, v); break;
	case EV_MSR:
		msr = msr_name((u32)v);
		snprintf(says, sizeof(says), "MSR 0x%x%s%s", (unsigned)v, msr ? ", " : "", msr ? msr : "");
		break;
	case EV_MSRVALUE:
		msr = msr_name((u32)r->r[RCX]);
		view_hex(o, "msr", (u32)r->r[RCX], 0);
		snprintf(says, sizeof(says), "0x%llx into MSR 0x%x%s%s", (unsigned long long)v, (u32)r->r[RCX], msr ? ", " : "",
			 msr ? msr : "");
		break;
	case EV_FEATURE:
		snprintf(says, sizeof(says), "feature %s", v < FEAT_COUNT ? feature_rows[v].name : "?");
		break;
	case EV_X87: value_x87(says, v); break;
	case EV_MXCSR:
		value_mxcsr(says, r->mxcsr | (v & 0x3f));
		break;
	case EV_DIVISOR: says_divisor(says, cpu, r); break;
	default: break;
	}
	if (*says)
		view_text(o, "value_text", says);
	if (r->f.why)
		add_bad_bits(o, r);
}

static void add_error(json_t *o, const struct fault_record *r)
{
	char says[VALUE_TEXT];

	if (!r->f.has_err)
		return;
	view_hex(o, "error", r->f.err, 4);
	if (r->f.vector == EXC_PF)
		value_pf(says, r->f.err);
	else
		value_error(says, r->f.err);
	if (*says && r->f.vector != EXC_AC && r->f.vector != EXC_DF)
		view_text(o, "error_text", says);
}

static void add_entry_check(json_t *o, const struct fault_record *r)
{
	const struct vmx_check_row *c = r->check >= 0 && r->check < VC_COUNT ? &vmx_check_rows[r->check] : NULL;

	view_text(o, "name", "VM entry");
	view_text(o, "title", "VM entry failed");
	if (!c)
		return;
	view_text(o, "check_id", c->name);
	view_text(o, "field", vmcs_field_rows[c->field].name);
	view_hex(o, "field_encoding", vmcs_field_rows[c->field].encoding, 4);
	view_text(o, "field_text", vmcs_field_rows[c->field].desc);
	view_hex(o, "value", r->f.value, 0);
	view_format(o, "sdm", "Vol. 3C, %s", c->section);
}

static void add_what(json_t *o, struct cpu *cpu, const struct fault_record *r)
{
	switch (r->kind) {
	case FR_EXCEPTION:
		view_num(o, "vector", r->f.vector);
		view_text(o, "name", exception_name(r->f.vector));
		view_text(o, "title", exception_title(r->f.vector));
		add_error(o, r);
		if (r->f.vector == EXC_PF)
			view_hex(o, "address", r->f.addr, 0);
		break;
	case FR_EPT:
		view_text(o, "name", "VM exit");
		view_text(o, "title", vmx_reason_name(r->vm.reason & 0xffff));
		view_hex(o, "qualification", r->vm.qual, 0);
		break;
	case FR_ENTRY_CHECK: add_entry_check(o, r); break;
	case FR_VMFAIL:
		view_text(o, "name", "VMfail");
		view_text(o, "title", "VMX instruction failed");
		if (r->f.vector)
			view_num(o, "error_number", r->f.vector);
		break;
	default:
		view_text(o, "name", "VMX abort");
		view_text(o, "title", "VM exit could not be completed");
		break;
	}
}

json_t *explain_record(struct cpu *cpu, const struct fault_record *r, const struct explain_names *names)
{
	const struct explain_rule *rule = explain_rule(r->f.why);
	json_t *o = json_object();

	add_what(o, cpu, r);
	add_during(o, r);
	add_where(o, cpu, r, names);
	view_text(o, "check", r->f.why ? r->f.why : "no reason recorded");
	if (rule)
		view_text(o, "sdm", rule->sdm);
	else if (r->kind == FR_VMFAIL)
		view_text(o, "sdm", "Vol. 3C, 30.4");
	if (r->kind != FR_ENTRY_CHECK || r->check < 0)
		add_value(o, cpu, r, rule ? rule->value : EV_NUMBER);
	if ((r->kind == FR_EXCEPTION && r->f.vector == EXC_PF) || r->kind == FR_EPT)
		add_walk(o, r);
	if (rule && rule->hint)
		view_text(o, "hint", rule->hint);
	if (r->doubled)
		view_text(o, "then", "the two make a double fault (SDM Vol. 3A, 6.15, table 6-5)");
	return o;
}

/* ---- the chain ------------------------------------------------------------------------------------------------------ */

static void add_chain(json_t *o, struct cpu *cpu, u32 chain, const struct explain_names *names)
{
	const struct fault_record *r[CHAIN_MAX];
	unsigned n = fault_log_chain(cpu, chain, r, CHAIN_MAX);
	json_t *a = view_array(o, "chain");

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(a, explain_record(cpu, r[i], names));
}

json_t *explain_last(struct machine *m, unsigned index, int vector, const struct explain_names *names)
{
	struct cpu *cpu = machine_cpu(m, index);
	const struct fault_record *r = cpu ? fault_log_last(cpu, vector) : NULL;
	json_t *o = json_object();

	view_text(o, "kind", "last");
	view_num(o, "cpu", index);
	if (r)
		add_chain(o, cpu, r->chain, names);
	else
		view_text(o, "note", !cpu             ? "there is no such processor"
				     : vector >= 0 ? "no such exception has been delivered"
						   : "no exception has been delivered");
	return o;
}

/* ---- shutdown ------------------------------------------------------------------------------------------------------- */

static void add_state(json_t *o, const struct cpu *c)
{
	json_t *s = view_object(o, "state");
	char says[VALUE_TEXT];

	view_format(s, "stack", "%04x:%llx", c->seg[SS].sel, (unsigned long long)c->r[RSP]);
	view_hex(s, "cr0", c->cr0, 0);
	value_cr0(says, c->cr0);
	view_text(s, "cr0_text", says);
	view_hex(s, "cr2", c->cr2, 0);
	view_hex(s, "cr3", c->cr3, 0);
	view_hex(s, "cr4", c->cr4, 0);
	value_cr4(says, c->cr4);
	view_text(s, "cr4_text", says);
	view_hex(s, "efer", c->efer, 0);
	value_efer(says, c->efer);
	view_text(s, "efer_text", says);
	view_hex(s, "rflags", c->rflags, 0);
	add_table(s, "gdt", c->gdtr.base, c->gdtr.limit);
	add_table(s, "idt", c->idtr.base, c->idtr.limit);
	value_segment(says, &c->seg[TR], seg_base(c, TR));
	view_text(s, "tr", says);
}

static void add_line(json_t *code, struct cpu *cpu, u64 rip, u64 base, const struct insn *in, bool here,
		     const struct explain_names *names)
{
	json_t *o = view_object(code, NULL);
	char text[160], symbol[128];

	insn_format(in, rip, DISASM_INTEL, text, sizeof(text));
	view_hex(o, "rip", rip, 0);
	view_text(o, "text", text);
	if (here)
		view_bool(o, "here", true);
	if (*name_of(names, rip + base, symbol, sizeof(symbol)))
		view_text(o, "symbol", symbol);
}

/* What ran before the first fault of a chain, as far as its block reaches back. */
static void add_before(json_t *o, struct cpu *cpu, const struct fault_record *r, const struct explain_names *names)
{
	bool long64 = (r->mode & MODE_BITS) == MODE_64;
	u64 base = long64 ? 0 : r->base[CS], lin = long64 ? r->rip : (u32)(r->rip + base), phys;
	u16 offs[BLOCK_MAX_INSNS];
	json_t *list = view_array(o, "before");
	struct insn in;

	if (!r->before || !dbg_translate(cpu, lin, &phys) ||
	    !block_before(cpu, phys & ~0xfffull, lin & 0xfff, r->mode, r->before, offs))
		return;
	for (unsigned i = r->before > BEFORE_MAX ? r->before - BEFORE_MAX : 0; i < r->before; i++) {
		u64 at = r->rip - (lin & 0xfff) + offs[i];

		if (!dbg_decode(cpu, at + base, 16u << (r->mode & MODE_BITS), &in, NULL))
			continue;
		if (call_kind_of(&in) == CALL_CALL)
			json_array_clear(list); /* the block goes on behind it: what ran last is in the function called */
		else
			add_line(list, cpu, at, base, &in, false, names);
	}
}

/* Instructions that lead up to rip, as far as decoding from some byte before it falls into step with it, and a few behind. */
static void add_code(json_t *o, struct cpu *cpu, const struct explain_names *names)
{
	u64 base = cpu_long64(cpu) ? 0 : seg_base(cpu, CS);
	json_t *code = view_array(o, "code");
	struct insn in;

	for (unsigned back = 24; back <= 48; back++) { /* the first start that meets rip */
		u64 at = cpu->rip - back;
		unsigned n = 0;
		u64 starts[48];

		if (back > cpu->rip)
			break;
		while (at < cpu->rip) {
			unsigned len = dbg_decode(cpu, at + base, 0, &in, NULL);

			if (!len)
				break;
			starts[n++] = at;
			at += len;
		}
		if (at != cpu->rip)
			continue;
		for (unsigned i = n > 6 ? n - 6 : 0; i < n; i++)
			if (dbg_decode(cpu, starts[i] + base, 0, &in, NULL))
				add_line(code, cpu, starts[i], base, &in, false, names);
		break;
	}
	u64 at = cpu->rip;
	for (unsigned i = 0; i < 3; i++) {
		unsigned len = dbg_decode(cpu, at + base, 0, &in, NULL);

		if (!len)
			break;
		add_line(code, cpu, at, base, &in, !i, names);
		at += len;
	}
}

/* The words on the stack; those that point behind a CALL are return addresses. */
static void add_stack(json_t *o, struct cpu *cpu, const struct explain_names *names)
{
	unsigned size = cpu_long64(cpu) ? 8 : cpu->mode & MODE_SS32 ? 4 : 2;
	u64 mask = stack_mask(cpu), base = cpu_long64(cpu) ? 0 : seg_base(cpu, SS);
	u64 cs = cpu_long64(cpu) ? 0 : seg_base(cpu, CS);
	json_t *stack = view_array(o, "stack");
	char symbol[128];

	for (unsigned i = 0; i < 16; i++) {
		u64 sp = (cpu->r[RSP] + (u64)i * size) & mask, v = 0;
		u8 before[8];

		if (dbg_read(cpu, base + sp, &v, size) != size)
			break;
		json_t *w = view_object(stack, NULL);
		view_hex(w, "sp", sp, 0);
		view_hex(w, "value", v, 2 * size);
		if (v > 7 && dbg_read(cpu, cs + v - 7, before, 7) == 7 &&
		    (before[2] == 0xe8 || (before[5] == 0xff && (before[6] & 0x38) == 0x10) ||
		     (before[4] == 0xff && (before[5] & 0x38) == 0x10) || (before[1] == 0xff && (before[2] & 0x38) == 0x10))) {
			view_bool(w, "return_address", true);
			if (*name_of(names, cs + v, symbol, sizeof(symbol)))
				view_text(w, "symbol", symbol);
		}
	}
}

json_t *explain_shutdown(struct machine *m, unsigned index, const struct explain_names *names)
{
	struct cpu *cpu = machine_cpu(m, index);
	const struct fault_record *r = cpu ? fault_log_last(cpu, -1) : NULL;
	json_t *o = json_object();

	view_text(o, "kind", "shutdown");
	view_num(o, "cpu", index);
	if (!cpu)
		return o;
	view_text(o, "sdm", "Vol. 3A, 6.15");
	view_num(o, "instructions", cpu_icount(cpu));
	if (r)
		add_chain(o, cpu, r->chain, names);
	if (r && fault_log_chain(cpu, r->chain, &r, 1))
		add_before(o, cpu, r, names);
	add_state(o, cpu);
	add_code(o, cpu, names);
	add_stack(o, cpu, names);
	return o;
}

json_t *explain_list(struct machine *m, unsigned max)
{
	json_t *o = json_object(), *a = view_array(o, "exceptions");

	for (unsigned i = 0; machine_cpu(m, i); i++) {
		const struct fault_record *r[FAULT_SLOTS * FAULT_SLOT_DEPTH];
		unsigned n = fault_log_newest(machine_cpu(m, i), r, MIN(max, (unsigned)ARRAY_SIZE(r)));

		for (unsigned k = 0; k < n; k++) {
			json_t *e = view_object(a, NULL);

			view_num(e, "cpu", i);
			view_num(e, "instructions", r[k]->icount);
			add_what(e, machine_cpu(m, i), r[k]);
			view_format(e, "at", "%04x:%llx", r[k]->seg[CS].sel, (unsigned long long)r[k]->rip);
			view_text(e, "check", r[k]->f.why ? r[k]->f.why : "");
		}
	}
	return o;
}
