/*
 * A VMCS in words: every field with its value, the controls by name, what left the guest last; the exits counted.
 */
#include <stdio.h>

#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

#define TEXT 320

static void add(char *text, size_t *at, const char *more)
{
	int n = snprintf(text + *at, TEXT - *at, "%s%s", *at ? ", " : "", more);

	*at = MIN(*at + (size_t)MAX(n, 0), (size_t)TEXT - 1);
}

/* The names of the controls of @group that are 1. */
static void controls(char *text, enum vmx_group group, u64 v)
{
	size_t at = 0;

	for (unsigned i = 0; i < vmx_control_count; i++)
		if (vmx_control_rows[i].group == group && v >> vmx_control_rows[i].bit & 1)
			add(text, &at, vmx_control_rows[i].desc);
}

static void bits(char *text, u64 v, const char *const names[], unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++)
		if (names[i] && v >> i & 1)
			add(text, &at, names[i]);
}

static void event(char *text, u64 v)
{
	static const char *const types[] = {"external interrupt", "reserved type", "NMI", "hardware exception",
					    "software interrupt", "privileged software exception",
					    "software exception", "other event"};

	if (!(v & II_VALID))
		snprintf(text, TEXT, "none");
	else
		snprintf(text, TEXT, "%s %llu%s%s", types[(v & II_TYPE) >> II_TYPE_SHIFT],
			 (unsigned long long)(v & II_VECTOR), v & II_ERR ? ", with an error code" : "",
			 v & II_NMI_UNBLOCK ? ", NMIs unblocked by IRET" : "");
}

static void segment(char *text, u64 ar)
{
	if (ar & AR_UNUSABLE)
		snprintf(text, TEXT, "unusable");
	else
		snprintf(text, TEXT, "type %llu, %s, DPL %llu%s%s%s%s", (unsigned long long)(ar & AR_TYPE),
			 ar & AR_S ? "code or data" : "system", (unsigned long long)(ar & AR_DPL) >> AR_DPL_SHIFT,
			 ar & AR_P ? ", present" : "", ar & AR_L ? ", L" : "", ar & AR_DB ? ", D/B" : "",
			 ar & AR_G ? ", G" : "");
}

static void exit_reason(char *text, u64 v)
{
	const char *name = vmx_reason_name(v & 0xffff);

	snprintf(text, TEXT, "%s%s", name ? name : "no such reason", v & VR_ENTRY_FAILURE ? " (the entry failed)" : "");
}

static const char *const cr0_bits[32] = {
    [0] = "PE", [1] = "MP", [2] = "EM", [3] = "TS", [4] = "ET", [5] = "NE", [16] = "WP",
    [18] = "AM", [29] = "NW", [30] = "CD", [31] = "PG"};
static const char *const cr4_bits[] = {
    "VME", "PVI", "TSD", "DE", "PSE", "PAE", "MCE", "PGE", "PCE", "OSFXSR", "OSXMMEXCPT", "UMIP", "LA57", "VMXE", "SMXE", NULL,
    "FSGSBASE", "PCIDE", "OSXSAVE", NULL, "SMEP", "SMAP", "PKE", "CET", "PKS"};
static const char *const efer_bits[] = {[0] = "SCE", [8] = "LME", [10] = "LMA", [11] = "NXE"};
static const char *const flag_bits[] = {
    "CF", NULL, "PF", NULL, "AF", NULL, "ZF", "SF", "TF", "IF", "DF", "OF",
    NULL, NULL, "NT", NULL, "RF", "VM", "AC", "VIF", "VIP", "ID"};
static const char *const vectors[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,  "#TS",
				      "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
static const char *const registers[] = {"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					"R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15"};

/* Table 27-7: an EPT violation. */
static void ept_violation(char *text, u64 v)
{
	static const char *const names[] = {"read", "write", "fetch"};
	static const char *const allowed[] = {"reads", "writes", "fetches", "user fetches"};
	char access[TEXT], rights[TEXT];

	*access = *rights = 0;
	bits(access, v & 7, names, ARRAY_SIZE(names));
	bits(rights, v >> 3 & 15, allowed, ARRAY_SIZE(allowed));
	snprintf(text, TEXT, "%.40s; the tables allow %.80s; %s%s", access, *rights ? rights : "nothing",
		 !(v & 0x80)    ? "no linear address"
		 : v & 0x100    ? "of the access itself"
				: "of a paging-structure entry",
		 v & BIT(12) ? "; NMIs unblocked by IRET" : "");
}

/* Table 27-3. */
static void cr_access(char *text, u64 v)
{
	unsigned cr = v & 15;
	const char *reg = registers[v >> 8 & 15];

	switch (v >> 4 & 3) {
	case 0: snprintf(text, TEXT, "MOV to CR%u from %s", cr, reg); break;
	case 1: snprintf(text, TEXT, "MOV from CR%u to %s", cr, reg); break;
	case 2: snprintf(text, TEXT, "CLTS"); break;
	case 3: snprintf(text, TEXT, "LMSW of %#llx", (unsigned long long)(v >> 16 & 0xffff)); break;
	}
}

/* 27.2.1: what the qualification means depends on the reason. */
static void qualification(char *text, u32 reason, u64 v)
{
	static const char *const accesses[] = {"linear read", "linear write", "linear fetch", "linear, event delivery"};

	switch (reason & 0xffff) {
	case VR_EPT_VIOLATION: ept_violation(text, v); break;
	case VR_CR_ACCESS: cr_access(text, v); break;
	case VR_DR_ACCESS:
		snprintf(text, TEXT, "MOV %s DR%llu, %s", v & 0x10 ? "from" : "to", (unsigned long long)(v & 7),
			 registers[v >> 8 & 15]);
		break;
	case VR_IO:
		snprintf(text, TEXT, "%s%s%s of %llu byte%s, port %llxh", v & 0x20 ? "REP " : "", v & 8 ? "IN" : "OUT",
			 v & 0x10 ? "S" : "", (unsigned long long)(v & 7) + 1, v & 7 ? "s" : "",
			 (unsigned long long)(v >> 16 & 0xffff));
		break;
	case VR_APIC_ACCESS:
		snprintf(text, TEXT, "%s at offset %llxh", (v >> 12 & 15) < 4 ? accesses[v >> 12 & 15] : "guest-physical access",
			 (unsigned long long)(v & 0xfff));
		break;
	case VR_APIC_WRITE: snprintf(text, TEXT, "offset %llxh", (unsigned long long)v); break;
	case VR_VIRTUAL_EOI:
	case VR_SIPI: snprintf(text, TEXT, "vector %llxh", (unsigned long long)v); break;
	}
}

static void selector(char *text, u64 v)
{
	if (v & ~3ull)
		snprintf(text, TEXT, "%s %llu, RPL %llu", v & 4 ? "LDT entry" : "GDT entry", (unsigned long long)v >> 3,
			 (unsigned long long)(v & 3));
	else
		snprintf(text, TEXT, "null");
}

static void pat(char *text, u64 v)
{
	static const char *const types[] = {"UC", "WC", "type 2", "type 3", "WT", "WP", "WB", "UC-"};
	size_t at = 0;

	for (unsigned i = 0; i < 64; i += 8)
		add(text, &at, v >> i & 0xf8 ? "reserved" : types[v >> i & 7]);
}

static void debug_control(char *text, u64 v)
{
	static const char *const names[] = {[0] = "LBR", [1] = "BTF"};

	bits(text, v, names, ARRAY_SIZE(names));
}

static void pending_debug(char *text, u64 v)
{
	static const char *const names[] = {[0] = "B0", "B1", "B2", "B3", [12] = "enabled breakpoint", [14] = "single step"};

	bits(text, v, names, ARRAY_SIZE(names));
}

static void eptp(char *text, u64 v)
{
	snprintf(text, TEXT, "tables at %#llx, %llu levels, memory type %llu%s", (unsigned long long)(v & ~0xfffull),
		 (unsigned long long)(v >> 3 & 7) + 1, (unsigned long long)(v & 7),
		 v & 0x40 ? ", accessed and dirty flags" : "");
}

/* What the value says; an empty text when the number is all there is. */
static void annotate(char *text, unsigned field, u64 v, u32 reason)
{
	static const char *const shadow[] = {"by STI", "by MOV SS", "by SMI", "by NMI"};
	static const char *const states[] = {"active", "HLT", "shutdown", "wait-for-SIPI"};

	*text = 0;
	switch (field) {
	case VF_EXIT_QUAL: qualification(text, reason, v); break;
	case VF_EXCEPTION_BITMAP: bits(text, v, vectors, ARRAY_SIZE(vectors)); break;
	case VF_GUEST_CR0:
	case VF_HOST_CR0:
	case VF_CR0_MASK:
	case VF_CR0_SHADOW: bits(text, v, cr0_bits, ARRAY_SIZE(cr0_bits)); break;
	case VF_GUEST_CR4:
	case VF_HOST_CR4:
	case VF_CR4_MASK:
	case VF_CR4_SHADOW: bits(text, v, cr4_bits, ARRAY_SIZE(cr4_bits)); break;
	case VF_GUEST_EFER:
	case VF_HOST_EFER: bits(text, v, efer_bits, ARRAY_SIZE(efer_bits)); break;
	case VF_GUEST_PAT:
	case VF_HOST_PAT: pat(text, v); break;
	case VF_GUEST_RFLAGS: bits(text, v, flag_bits, ARRAY_SIZE(flag_bits)); break;
	case VF_GUEST_DEBUGCTL: debug_control(text, v); break;
	case VF_GUEST_PENDING_DBG: pending_debug(text, v); break;
	case VF_GUEST_INTR_STATUS:
		snprintf(text, TEXT, "requesting %llxh, servicing %llxh", (unsigned long long)(v & 0xff), (unsigned long long)v >> 8);
		break;
	case VF_VMFUNC_CTLS: controls(text, VG_VMFN, v); break;
	case VF_GUEST_PHYS_ADDR:
	case VF_GUEST_LINEAR_ADDR:
		if ((reason & 0xffff) != VR_EPT_VIOLATION && (reason & 0xffff) != VR_EPT_MISCONFIG)
			snprintf(text, TEXT, "of an earlier exit");
		break;
	case VF_PIN_CTLS: controls(text, VG_PIN, v); break;
	case VF_PROC_CTLS: controls(text, VG_P1, v); break;
	case VF_PROC_CTLS2: controls(text, VG_P2, v); break;
	case VF_EXIT_CTLS: controls(text, VG_EXIT, v); break;
	case VF_ENTRY_CTLS: controls(text, VG_ENTRY, v); break;
	case VF_ENTRY_INTR_INFO:
	case VF_EXIT_INTR_INFO:
	case VF_IDT_VEC_INFO: event(text, v); break;
	case VF_EXIT_REASON: exit_reason(text, v); break;
	case VF_INSTR_ERROR:
		if (v)
			snprintf(text, TEXT, "%s", vmx_error_text((unsigned)v));
		break;
	case VF_GUEST_INTERRUPTIBILITY: bits(text, v, shadow, ARRAY_SIZE(shadow)); break;
	case VF_GUEST_ACTIVITY: snprintf(text, TEXT, "%s", v < 4 ? states[v] : "no such state"); break;
	case VF_EPTP: eptp(text, v); break;
	case VF_LINK_PTR: snprintf(text, TEXT, "%s", v == VMCS_NONE ? "none" : "a shadow VMCS"); break;
	}
	if (field >= VF_GUEST_ES_AR && field <= VF_GUEST_TR_AR)
		segment(text, v);
	if ((field >= VF_GUEST_ES_SEL && field <= VF_GUEST_TR_SEL) || (field >= VF_HOST_ES_SEL && field <= VF_HOST_TR_SEL))
		selector(text, v);
}

void vmx_describe(struct cpu *cpu, void (*line)(void *ctx, const char *text), void *ctx)
{
	struct vmx *vmx = cpu->vmx;
	char text[2 * TEXT], says[TEXT];
	bool failed[VC_COUNT];

	if (!vmx || vmx->current == VMCS_NONE) {
		line(ctx, vmx ? "no VMCS is current" : "this processor has no VMX");
		return;
	}
	snprintf(text, sizeof(text), "VMCS at %#llx, %s, %s operation", (unsigned long long)vmx->current,
		 vmx->vmcs.launched ? "launched" : "clear", vmx_nonroot(cpu) ? "non-root" : "root");
	line(ctx, text);
	for (unsigned f = 0; f < VF_COUNT; f++) {
		const struct vmcs_field_row *r = &vmcs_field_rows[f];

		if (vmcs_field_find(vmx, r->encoding) < 0)
			continue;
		annotate(says, f, vmx->vmcs.v[f], (u32)VF(EXIT_REASON));
		snprintf(text, sizeof(text), "%04x %-28s %16llx  %s%s%s", r->encoding, r->name,
			 (unsigned long long)vmx->vmcs.v[f], r->desc, *says ? ": " : "", says);
		line(ctx, text);
	}
	if (vmx_nonroot(cpu))
		return; /* checks are for what an entry would find */
	vmx_lint(cpu, failed);
	for (unsigned i = 0; i < VC_COUNT; i++) {
		if (!failed[i])
			continue;
		snprintf(text, sizeof(text), "an entry would fail: %s (SDM Vol. 3C, %s)", vmx_check_rows[i].desc,
			 vmx_check_rows[i].section);
		line(ctx, text);
	}
}

void vmx_histogram(const struct cpu *cpu, void (*line)(void *ctx, const char *text), void *ctx)
{
	const struct vmx *vmx = cpu->vmx;
	bool done[VR_COUNT] = {false};
	char text[160];

	if (!vmx)
		return;
	snprintf(text, sizeof(text), "%llu VM entries", (unsigned long long)vmx->entries);
	line(ctx, text);
	for (;;) {
		unsigned best = VR_COUNT;

		for (unsigned r = 0; r < VR_COUNT; r++)
			if (!done[r] && vmx->exits[r] && (best == VR_COUNT || vmx->exits[r] > vmx->exits[best]))
				best = r;
		if (best == VR_COUNT)
			return;
		done[best] = true;
		snprintf(text, sizeof(text), "%12llu  %2u %s", (unsigned long long)vmx->exits[best], best,
			 vmx_reason_name(best));
		line(ctx, text);
	}
}
