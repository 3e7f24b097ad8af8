/* Why the machine stands, in words and as data. */
#include "debug/debugger_internal.h"

#include "cpu/vmx/vmx.h"

static const char *vector_name(u32 n)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
					    "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	return n < ARRAY_SIZE(names) ? names[n] : "vector";
}

/* "0x1234 <name+0x10>" */
static const char *place(struct debugger *d, u64 addr, char *buf, size_t n)
{
	char name[300];
	symbols_format(d->symbols, addr, name, sizeof(name));
	snprintf(buf, n, name[0] ? "0x%llx <%.280s>" : "0x%llx", (unsigned long long)addr, name);
	return buf;
}

static const char *mode_of(u64 bits)
{
	return bits & MODE_V86                      ? "virtual-8086"
	       : bits & MODE_REAL                   ? "real"
	       : (bits & MODE_BITS) == MODE_64      ? "64-bit"
	       : bits & MODE_LMA                    ? "compatibility"
	       : (bits & MODE_BITS) == MODE_16      ? "16-bit protected"
						    : "protected";
}

#define LL(x) ((unsigned long long)(x))

static void seen_text(const struct dbg_stop *s, char *b, size_t n)
{
	const struct seen *x = &s->seen;
	const char *rw = x->write ? "written" : "read";
	const char *reason;
	switch (s->what) {
	case BP_ACCESS:
	case BP_ACCESS_PHYS:
		if (x->write)
			snprintf(b, n, "%u bytes at 0x%llx written: 0x%llx", x->size, LL(x->addr), LL(x->value));
		else
			snprintf(b, n, "%u bytes at 0x%llx read", x->size, LL(x->addr));
		break;
	case BP_IO: snprintf(b, n, "port 0x%x %s, %u bytes: 0x%llx", x->n, rw, x->size, LL(x->value)); break;
	case BP_MSR: snprintf(b, n, "MSR 0x%x %s: 0x%llx", x->n, rw, LL(x->value)); break;
	case BP_CR:
		snprintf(b, n, x->n == 16 ? "XCR0 written: 0x%llx -> 0x%llx" : "CR%3$u written: 0x%1$llx -> 0x%2$llx", LL(x->old),
			 LL(x->value), x->n);
		break;
	case BP_EXCEPTION:
		snprintf(b, n, "exception %u %s(0x%llx): %s", x->n, vector_name(x->n), LL(x->value), s->why ? s->why : "");
		break;
	case BP_INTERRUPT: snprintf(b, n, "interrupt 0x%x", x->n); break;
	case BP_MODE: snprintf(b, n, "mode %s -> %s", mode_of(x->old), mode_of(x->value)); break;
	case BP_RING: snprintf(b, n, "ring %llu -> %llu", LL(x->old), LL(x->value)); break;
	case BP_VMENTRY: snprintf(b, n, "VM entry"); break;
	case BP_VMEXIT:
	case BP_VMFAIL:
		reason = vmx_reason_name(x->n & 0xffff);
		snprintf(b, n, "%s %u %s, qualification 0x%llx, from rip 0x%llx",
			 s->what == BP_VMEXIT ? "VM exit" : "failed VM entry", x->n & 0xffff, reason ? reason : "", LL(x->value),
			 LL(x->addr));
		break;
	case BP_TASK: snprintf(b, n, "task switch to 0x%x", x->n); break;
	case BP_SMM: snprintf(b, n, x->value ? "SMM entered" : "SMM left"); break;
	case BP_MAGIC: snprintf(b, n, "magic break (xchg bx,bx)"); break;
	case BP_SHUTDOWN: snprintf(b, n, "shutdown (triple fault): %s", s->why ? s->why : ""); break;
	default: b[0] = 0; break;
	}
}

void dbg_stop_text(struct debugger *d, const struct dbg_stop *s, char *buf, size_t n)
{
	char where[400], what[300];
	struct cpu *cpu = machine_cpu(d->m, s->cpu);
	place(d, cpu ? dbg_pc(cpu) : 0, where, sizeof(where));
	switch (s->kind) {
	case STOP_NONE: snprintf(buf, n, "running"); break;
	case STOP_PAUSED: snprintf(buf, n, "stopped at %s on processor %u", where, s->cpu); break;
	case STOP_STEP: snprintf(buf, n, "%s", where); break;
	case STOP_REPLAY: snprintf(buf, n, "%s: here the history ends", where); break;
	case STOP_ENDED: snprintf(buf, n, "the machine has ended: %s", end_reason_name(s->end)); break;
	case STOP_BREAK:
		seen_text(s, what, sizeof(what));
		if (what[0])
			snprintf(buf, n, "%s %u: %s; now at %s", bp_kind_name(s->what), s->id, what, where);
		else
			snprintf(buf, n, "break point %u at %s", s->id, where);
		break;
	}
}

static const char *const kind_names[] = {"running", "paused", "step", "break", "replay", "ended"};

static void seen_view(json_t *v, const struct dbg_stop *s)
{
	const struct seen *x = &s->seen;
	if (s->what == BP_ACCESS || s->what == BP_ACCESS_PHYS) {
		view_hex(v, "address", x->addr, 0);
		view_hex(v, "physical", x->phys, 0);
	} else if (s->what == BP_VMEXIT || s->what == BP_VMFAIL) {
		const char *name = vmx_reason_name(x->n & 0xffff);
		view_num(v, "reason", x->n & 0xffff);
		view_text(v, "reason_name", name ? name : "");
		view_hex(v, "qualification", x->value, 0);
		view_hex(v, "guest_rip", x->addr, 0);
		return;
	} else {
		view_num(v, "number", x->n);
	}
	if (s->what == BP_ACCESS || s->what == BP_ACCESS_PHYS || s->what == BP_IO || s->what == BP_MSR)
		view_bool(v, "write", x->write);
	if (x->size)
		view_num(v, "size", x->size);
	view_hex(v, "old", x->old, 0);
	view_hex(v, "value", x->value, 0);
}

/* What it is about to execute. */
static bool instruction(struct debugger *d, struct cpu *cpu, char *buf, size_t n)
{
	struct insn in;
	u64 pc = dbg_pc(cpu);
	if (!dbg_decode(cpu, pc, 0, &in, NULL))
		return false;
	symbols_disasm(d->symbols, &in, cpu_long64(cpu) ? pc : (u32)(pc - seg_base(cpu, CS)), DISASM_INTEL, buf, n);
	return true;
}

json_t *dbg_stop_view(struct debugger *d, const struct dbg_stop *s)
{
	json_t *v = json_object();
	struct cpu *cpu = machine_cpu(d->m, s->cpu);
	char text[800], name[300];
	dbg_stop_text(d, s, text, sizeof(text));
	view_text(v, "stop", kind_names[s->kind]);
	view_text(v, "text", text);
	view_text(v, "_line", "{text}");
	view_num(v, "cpu", s->cpu);
	if (cpu && s->kind != STOP_NONE && s->kind != STOP_ENDED && instruction(d, cpu, name, sizeof(name))) {
		view_text(v, "instruction", name);
		json_object_set_new(v, "_line", json_string("{text}: {instruction}"));
	}
	if (cpu && s->kind != STOP_NONE) {
		view_hex(v, "rip", cpu->rip, 0);
		view_hex(v, "pc", dbg_pc(cpu), 0);
		view_text(v, "symbol", symbols_format(d->symbols, dbg_pc(cpu), name, sizeof(name)));
		view_num(v, "instructions", cpu_icount(cpu));
	}
	if (s->kind == STOP_ENDED)
		view_text(v, "reason", end_reason_name(s->end));
	if (s->kind != STOP_BREAK)
		return v;
	view_num(v, "breakpoint", s->id);
	view_text(v, "kind", bp_kind_name(s->what));
	if (s->what != BP_EXEC && s->what != BP_EXEC_PHYS) {
		view_hex(v, "by_rip", s->insn_rip, 0);
		seen_view(view_object(v, "event"), s);
	}
	if (s->why) {
		view_text(v, "why", s->why);
		view_hex(v, "why_value", s->why_value, 0);
	}
	return v;
}
