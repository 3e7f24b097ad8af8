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

static void eptp(char *text, u64 v)
{
	snprintf(text, TEXT, "tables at %#llx, %llu levels, memory type %llu%s", (unsigned long long)(v & ~0xfffull),
		 (unsigned long long)(v >> 3 & 7) + 1, (unsigned long long)(v & 7),
		 v & 0x40 ? ", accessed and dirty flags" : "");
}

/* What the value says; an empty text when the number is all there is. */
static void annotate(char *text, unsigned field, u64 v)
{
	static const char *const shadow[] = {"by STI", "by MOV SS", "by SMI", "by NMI"};
	static const char *const states[] = {"active", "HLT", "shutdown", "wait-for-SIPI"};

	*text = 0;
	switch (field) {
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
		annotate(says, f, vmx->vmcs.v[f]);
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
