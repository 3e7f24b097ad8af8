/* Events of a trace in words. */
#include "cpu/cpu.h"
#include "cpu/vmx/vmx.h"
#include "cpu/watch.h"
#include "debug/trace_read.h"

static const char *const names[EV_KINDS] = {
    [EV_EXCEPTION] = "exception", [EV_INTERRUPT] = "interrupt", [EV_CPL] = "cpl", [EV_MODE] = "mode", [EV_CR] = "cr", [EV_MSR] = "msr",
    [EV_IO] = "io", [EV_VMX] = "vmx", [EV_TASK] = "task", [EV_SMM] = "smm", [EV_MAGIC] = "magic", [EV_SHUTDOWN] = "shutdown",
    [EV_DMA] = "dma", [EV_CPU] = "cpu", [EV_CUT] = "cut", [EV_SYNC] = "sync", [EV_TEXT] = "text"};

const char *trace_event_name(enum trace_event ev)
{
	return (unsigned)ev < EV_KINDS && names[ev] ? names[ev] : "?";
}

static const char *vector_name(u64 v, char buf[16])
{
	static const char *const vec[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9", "#TS",
					  "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	if (v < ARRAY_SIZE(vec))
		return vec[v];
	snprintf(buf, 16, "vector %u", (unsigned)v & 0xff);
	return buf;
}

static const char *mode_text(u64 m)
{
	return m & MODE_REAL                 ? "real"
	       : m & MODE_V86                ? "virtual-8086"
	       : (m & MODE_BITS) == MODE_64  ? "64-bit"
	       : m & MODE_LMA                ? (m & MODE_BITS) == MODE_32 ? "compatibility 32-bit" : "compatibility 16-bit"
	       : (m & MODE_BITS) == MODE_32  ? "protected 32-bit"
					     : "protected 16-bit";
}

static void exception_text(const struct trace_item *it, char *buf, size_t n)
{
	char v[16], err[24] = "", at[40] = "", why[240] = "";

	if (it->f[1] & 1)
		snprintf(err, sizeof(err), "(0x%llx)", (unsigned long long)it->f[1] >> 1);
	if (it->f[0] == EXC_PF)
		snprintf(at, sizeof(at), " address 0x%llx", (unsigned long long)it->f[2]);
	if (it->text)
		snprintf(why, sizeof(why), ": %s (value 0x%llx)", it->text, (unsigned long long)it->f[3]);
	snprintf(buf, n, "%s%s at 0x%llx%s%s", vector_name(it->f[0], v), err, (unsigned long long)it->f[5], at, why);
}

static void vmx_text(const struct trace_item *it, char *buf, size_t n)
{
	unsigned reason = (unsigned)it->f[0] & 0xffff;
	const char *name = vmx_reason_name(reason);

	if (it->f[0] == WATCH_VM_ENTRY)
		snprintf(buf, n, "VM entry at 0x%llx", (unsigned long long)it->f[2]);
	else
		snprintf(buf, n, "%s, reason %u (%s), qualification 0x%llx, at 0x%llx", it->f[0] >> 31 & 1 ? "VM entry failed" : "VM exit", reason,
			 name ? name : "unknown", (unsigned long long)it->f[1], (unsigned long long)it->f[2]);
}

void trace_event_text(const struct trace_item *it, char *buf, size_t n)
{
	static const char *const kinds[] = {"external", "NMI", "exception", "INT n", "INT3 or INTO", "INT1"};
	const unsigned long long a = it->f[0], b = it->f[1], c = it->f[2];
	char v[16];

	switch (it->event) {
	case EV_EXCEPTION: exception_text(it, buf, n); break;
	case EV_INTERRUPT: snprintf(buf, n, "interrupt %s (%s) at 0x%llx", vector_name(a, v), b < 6 ? kinds[b] : "?", c); break;
	case EV_CPL: snprintf(buf, n, "privilege level %llu to %llu", a, b); break;
	case EV_MODE: snprintf(buf, n, "mode %s to %s%s", mode_text(a), mode_text(b), (a ^ b) & MODE_NONROOT ? b & MODE_NONROOT ? ", VMX non-root" : ", VMX root" : ""); break;
	case EV_CR: snprintf(buf, n, "%s%llu 0x%llx to 0x%llx", a == 16 ? "XCR" : "CR", a & 15, b, c); break;
	case EV_MSR: snprintf(buf, n, "%s MSR 0x%llx = 0x%llx", b & 1 ? "WRMSR" : "RDMSR", a, c); break;
	case EV_IO: snprintf(buf, n, "%s port 0x%llx, %llu byte%s: 0x%llx", b & 1 ? "OUT" : "IN", a, b >> 1, b >> 1 == 1 ? "" : "s", c); break;
	case EV_VMX: vmx_text(it, buf, n); break;
	case EV_TASK: snprintf(buf, n, "task switch from TSS 0x%llx to 0x%llx", b, a); break;
	case EV_SMM: snprintf(buf, n, a ? "SMM entered" : "SMM left"); break;
	case EV_MAGIC: snprintf(buf, n, "XCHG BX,BX"); break;
	case EV_SHUTDOWN: snprintf(buf, n, "triple fault: %s", it->text ? it->text : "no reason recorded"); break;
	case EV_DMA: snprintf(buf, n, "DMA %s 0x%llx, %llu bytes", b & 1 ? "write to" : "read from", a, b >> 1); break;
	default: snprintf(buf, n, "%s", trace_event_name(it->event)); break;
	}
}
