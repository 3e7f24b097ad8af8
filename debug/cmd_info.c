/* info: the processor, the board, the machine, each as a view. */
#include "debug/monitor_internal.h"

#include "cpu/exec/blocks.h"
#include "cpu/exec/exec.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/x87.h"
#include "cpu/vmx/vmx.h"
#include "devices/chipset/pci.h"
#include "devices/net/nic.h"
#include "devices/pc.h"

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static const char *const seg_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

static unsigned width(const struct cpu *cpu)
{
	return cpu_long64(cpu) ? 16 : 8;
}

static void group_general(json_t *v, struct cpu *cpu)
{
	static const char *const names[] = {"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9",
					    "r10", "r11", "r12", "r13", "r14", "r15"};
	static const char *const names32[] = {"eax", "ebx", "ecx", "edx", "esi", "edi", "ebp", "esp"};
	static const u8 order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};
	bool wide = cpu_long64(cpu);
	json_t *o = view_object(v, "general");
	view_num(o, "_flat", 4);
	for (unsigned i = 0; i < (wide ? 16u : 8u); i++)
		view_hex(o, wide ? names[i] : names32[i], wide ? cpu->r[i < 8 ? order[i] : i] : (u32)cpu->r[order[i]], width(cpu));
	view_hex(o, wide ? "rip" : "eip", cpu->rip, width(cpu));
}

static void group_flags(json_t *v, struct cpu *cpu)
{
	static const struct {
		u32 bit;
		const char *name;
	} names[] = {{FL_CF, "CF"}, {FL_PF, "PF"}, {FL_AF, "AF"}, {FL_ZF, "ZF"}, {FL_SF, "SF"}, {FL_TF, "TF"}, {FL_IF, "IF"},
		     {FL_DF, "DF"}, {FL_OF, "OF"}, {FL_NT, "NT"}, {FL_RF, "RF"}, {FL_VM, "VM"}, {FL_AC, "AC"}, {FL_VIF, "VIF"},
		     {FL_VIP, "VIP"}, {FL_ID, "ID"}};
	u32 f = cpu_rflags(cpu);
	json_t *o = view_object(v, "flags"), *set;
	view_hex(o, "rflags", f, 8);
	set = view_array(o, "set");
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (f & names[i].bit)
			view_text(set, NULL, names[i].name);
	view_num(o, "iopl", (f & FL_IOPL) >> FL_IOPL_SHIFT);
	view_num(o, "cpl", cpu->cpl);
	view_text(o, "mode", cpu->smm ? "SMM" : machine_mode_name(cpu));
	view_text(o, "_line", "rflags={rflags} [{set}] iopl={iopl} cpl={cpl} {mode} mode");
}

static const char *ar_text(u32 ar, char *buf, size_t n)
{
	static const char *const sys[] = {"?",     "TSS16", "LDT",    "TSS16 busy", "call gate 16", "task gate", "int gate 16", "trap gate 16",
					  "?",     "TSS",   "?",      "TSS busy",   "call gate",    "?",	 "int gate",	"trap gate"};
	if (ar & AR_UNUSABLE)
		snprintf(buf, n, "unusable");
	else if (!(ar & AR_S))
		snprintf(buf, n, "%s dpl%u%s", sys[ar & AR_TYPE], (ar & AR_DPL) >> AR_DPL_SHIFT, ar & AR_P ? "" : " not present");
	else if (ar & AR_TYPE_CODE)
		snprintf(buf, n, "code%s%s%s dpl%u%s", ar & AR_L ? "64" : ar & AR_DB ? "32" : "16", ar & AR_TYPE_WR ? " readable" : "",
			 ar & AR_TYPE_ED ? " conforming" : "", (ar & AR_DPL) >> AR_DPL_SHIFT, ar & AR_P ? "" : " not present");
	else
		snprintf(buf, n, "data%s%s%s dpl%u%s", ar & AR_DB ? "32" : "16", ar & AR_TYPE_WR ? " writable" : " read-only",
			 ar & AR_TYPE_ED ? " expand-down" : "", (ar & AR_DPL) >> AR_DPL_SHIFT, ar & AR_P ? "" : " not present");
	return buf;
}

static void group_segments(json_t *v, struct cpu *cpu)
{
	json_t *a = view_array(v, "segments"), *t = view_array(v, "tables");
	for (unsigned i = 0; i < NSEGS; i++) {
		char text[80];
		json_t *o = view_object(a, NULL);
		view_text(o, "segment", seg_names[i]);
		view_hex(o, "selector", cpu->seg[i].sel, 4);
		view_hex(o, "base", seg_base(cpu, i), width(cpu));
		view_hex(o, "limit", cpu->seg[i].limit, 8);
		view_hex(o, "rights", cpu->seg[i].ar, 5);
		view_text(o, "is", ar_text(cpu->seg[i].ar, text, sizeof(text)));
	}
	for (unsigned i = 0; i < 2; i++) {
		const struct dtr *d = i ? &cpu->idtr : &cpu->gdtr;
		json_t *o = view_object(t, NULL);
		view_text(o, "table", i ? "idtr" : "gdtr");
		view_hex(o, "base", d->base, width(cpu));
		view_hex(o, "limit", d->limit, 4);
	}
}

static void bit_names(json_t *o, const char *name, u64 v, const char *const *names, unsigned n)
{
	json_t *a = view_array(o, name);
	for (unsigned i = 0; i < n; i++)
		if (names[i] && v >> i & 1)
			view_text(a, NULL, names[i]);
}

static void group_control(json_t *v, struct cpu *cpu)
{
	static const char *const cr0[] = {"PE", "MP", "EM", "TS", "ET", "NE", [16] = "WP", [18] = "AM", [29] = "NW", [30] = "CD",
					  [31] = "PG"};
	static const char *const cr4[] = {"VME", "PVI", "TSD", "DE", "PSE", "PAE", "MCE", "PGE", "PCE", "OSFXSR", "OSXMMEXCPT", "UMIP",
					  "LA57", "VMXE", "SMXE", [16] = "FSGSBASE", "PCIDE", "OSXSAVE", NULL, "SMEP", "SMAP", "PKE"};
	static const char *const efer[] = {"SCE", [8] = "LME", [10] = "LMA", [11] = "NXE"};
	const struct {
		const char *name;
		u64 v;
		const char *const *bits;
		unsigned n;
	} rows[] = {{"cr0", cpu->cr0, cr0, ARRAY_SIZE(cr0)}, {"cr2", cpu->cr2, NULL, 0}, {"cr3", cpu->cr3, NULL, 0},
		    {"cr4", cpu->cr4, cr4, ARRAY_SIZE(cr4)}, {"efer", cpu->efer, efer, ARRAY_SIZE(efer)}, {"xcr0", cpu->xcr0, NULL, 0},
		    {"pkru", cpu->pkru, NULL, 0}};
	json_t *a = view_array(v, "control");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *o = view_object(a, NULL);
		view_text(o, "register", rows[i].name);
		view_hex(o, "value", rows[i].v, width(cpu));
		bit_names(o, "set", rows[i].v, rows[i].bits, rows[i].n);
		view_text(o, "_line", "{register:-5}{value} {set}");
	}
}

static void group_debug(json_t *v, struct cpu *cpu)
{
	static const char *const names[] = {"dr0", "dr1", "dr2", "dr3", NULL, NULL, "dr6", "dr7"};
	json_t *o = view_object(v, "debug");
	view_num(o, "_flat", 4);
	for (unsigned i = 0; i < 8; i++)
		if (names[i])
			view_hex(o, names[i], cpu->dr[i], width(cpu));
}

static void group_fpu(json_t *v, struct cpu *cpu)
{
	json_t *o = view_object(v, "fpu"), *a = view_array(v, "st");
	unsigned top = x87_top(&cpu->x87);
	view_num(o, "_flat", 4);
	view_hex(o, "control", cpu->x87.cw, 4);
	view_hex(o, "status", x87_sw(&cpu->x87), 4);
	view_num(o, "top", top);
	view_hex(o, "valid", x87_valid(&cpu->x87), 2);
	for (unsigned i = 0; i < 8; i++) {
		const struct x87_reg *r = &cpu->x87.r[(top + i) & 7];
		json_t *row = view_object(a, NULL);
		view_format(row, "register", "st%u", i);
		view_bool(row, "empty", cpu->x87.empty >> i & 1);
		view_hex(row, "exponent", r->se, 4);
		view_hex(row, "significand", r->mant, 16);
	}
}

static void group_vector(json_t *v, struct cpu *cpu)
{
	json_t *o = view_object(v, "sse"), *a = view_array(v, "vector");
	bool ymm = cpu->xcr0 & 4;
	view_num(o, "_flat", 1);
	view_hex(o, "mxcsr", cpu->mxcsr, 8);
	for (unsigned i = 0; i < (cpu_long64(cpu) ? 16u : 8u); i++) {
		char hex[70];
		json_t *row = view_object(a, NULL);
		int n = 0;
		for (int q = ymm ? 3 : 1; q >= 0; q--)
			n += snprintf(hex + n, sizeof(hex) - (size_t)n, "%016llx", (unsigned long long)cpu->v[i].q[q]);
		view_format(row, "register", "%s%u", ymm ? "ymm" : "xmm", i);
		view_text(row, "value", hex);
	}
}

static void group_msrs(json_t *v, struct cpu *cpu)
{
	const struct {
		const char *name;
		u64 v;
	} rows[] = {{"star", cpu->star}, {"lstar", cpu->lstar}, {"cstar", cpu->cstar}, {"sfmask", cpu->sfmask},
		    {"kernel_gs_base", cpu->kernel_gs_base}, {"tsc_aux", cpu->tsc_aux}, {"sysenter_cs", cpu->sysenter_cs},
		    {"sysenter_esp", cpu->sysenter_esp}, {"sysenter_eip", cpu->sysenter_eip}, {"pat", cpu->pat},
		    {"mtrr_def_type", cpu->mtrr_def_type}, {"misc_enable", cpu->misc_enable},
		    {"feature_control", cpu->feature_control}, {"debugctl", cpu->debugctl}, {"spec_ctrl", cpu->spec_ctrl},
		    {"xss", cpu->xss}, {"smbase", cpu->smbase}};
	json_t *o = view_object(v, "msrs");
	view_num(o, "_flat", 3);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		view_hex(o, rows[i].name, rows[i].v, 0);
}

static const struct {
	const char *name;
	void (*fn)(json_t *v, struct cpu *cpu);
	bool always; /* without a group being named */
} groups[] = {
    {"general", group_general, true}, {"flags", group_flags, true},  {"segments", group_segments, true},
    {"control", group_control, true}, {"debug", group_debug, false}, {"fpu", group_fpu, false},
    {"vector", group_vector, false},  {"msrs", group_msrs, false},
};

static int cmd_registers(struct command_call *c)
{
	const char *names[ARRAY_SIZE(groups) + 2] = {"all"};
	bool all = c->argc && !strcmp(c->argv[0], "all"), known = all || !c->argc;
	c->view = json_object();
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++) {
		names[i + 1] = groups[i].name;
		bool asked = c->argc && !strcmp(c->argv[0], groups[i].name);
		known |= asked;
		if (asked || all || (!c->argc && groups[i].always))
			groups[i].fn(c->view, dbg_cpu(c->dbg));
	}
	if (known)
		return 0;
	const char *near = nearest(c->argv[0], names);
	return command_bad(c, "there is no group '%s'%s%s: general, flags, segments, control, debug, fpu, vector, msrs, all", c->argv[0],
			   near ? "; did you mean " : "", near ? near : "");
}

static int cmd_cpus(struct command_call *c)
{
	static const char *const activity[] = {"active", "halted", "shutdown", "wait-for-SIPI", "mwait", "tpause", "umwait"};
	static const char *const vmx[] = {"off", "root", "non-root"};
	struct cpu *cpu;
	c->view = json_object();
	json_t *a = view_array(c->view, "cpus");
	view_text(c->view, "_rows",
		  "{selected:1} CPU {cpu}: pc={pc} <{symbol}>, CPL {cpl} {mode}, {activity}, VMX {vmx}, "
		  "{instructions} instructions");
	for (unsigned i = 0; (cpu = machine_cpu(c->machine, i)); i++) {
		json_t *o = view_object(a, NULL);
		view_text(o, "selected", cpu == dbg_cpu(c->dbg) ? "*" : " ");
		view_num(o, "cpu", i);
		view_place(o, c->dbg, "pc", "symbol", dbg_pc(cpu));
		view_num(o, "cpl", cpu->cpl);
		view_text(o, "mode", cpu->smm ? "SMM" : machine_mode_name(cpu));
		view_text(o, "activity", activity[MIN(cpu->activity, CPU_UMWAIT)]);
		view_text(o, "vmx", vmx[MIN(cpu->vmx_mode, 2)]);
		view_num(o, "instructions", cpu_icount(cpu));
	}
	return 0;
}

/* ---- descriptor tables -------------------------------------------------------------------------------------------- */

static u64 field(u64 v, unsigned lo, unsigned n)
{
	return v >> lo & (BIT64(n) - 1);
}

/* The access rights of a descriptor as struct seg has them. */
static u32 rights(u64 d)
{
	return (u32)(field(d, 40, 8) | field(d, 52, 4) << 12);
}

static void descriptor(json_t *o, u64 d, u64 high, bool wide)
{
	char text[80];
	u64 base = field(d, 16, 24) | field(d, 56, 8) << 24 | (wide ? high << 32 : 0);
	u64 limit = field(d, 0, 16) | field(d, 48, 4) << 16;
	u32 ar = rights(d);
	const unsigned type = ar & (AR_S | AR_TYPE);
	const bool gate = d && (type == 4 || type == 5 || type == 6 || type == 7 || type == 12 || type == 14 || type == 15);
	if (ar & AR_G)
		limit = limit << 12 | 0xfff;
	ar_text(ar, text, sizeof(text));
	if (gate)
		view_format(o, "is", "%s, to %04llx:%llx", text, (unsigned long long)field(d, 16, 16),
			    (unsigned long long)(field(d, 0, 16) | (type & 8 ? field(d, 48, 16) << 16 : 0) | (wide ? high << 32 : 0)));
	else
		view_text(o, "is", d ? text : "null");
	if (gate) { /* it has neither */
		view_text(o, "base", "");
		view_text(o, "limit", "");
	} else {
		view_hex(o, "base", base, 0);
		view_hex(o, "limit", limit, 0);
	}
	view_hex(o, "raw", d, 16);
	if (d)
		view_num(o, "_ring", (ar & AR_DPL) >> AR_DPL_SHIFT);
}

static void table(struct command_call *c, u64 base, u32 limit)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	json_t *a;
	view_hex(c->view, "base", base, 0);
	view_hex(c->view, "limit", limit, 0);
	a = view_array(c->view, "descriptors");
	for (u32 at = 0; at + 7 <= limit; at += 8) {
		u64 d[2] = {0};
		if (dbg_read(cpu, base + at, d, 8) != 8)
			break;
		if (!d[0] && at)
			continue;
		bool wide = d[0] && (cpu->efer & EFER_LMA) && !(rights(d[0]) & AR_S);
		json_t *o = view_object(a, NULL);
		if (wide && dbg_read(cpu, base + at + 8, &d[1], 8) != 8)
			d[1] = 0;
		view_hex(o, "selector", at, 4);
		descriptor(o, d[0], d[1], wide);
		at += wide ? 8 : 0;
	}
}

static int cmd_gdt(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	c->view = json_object();
	table(c, cpu->gdtr.base, cpu->gdtr.limit);
	return 0;
}

static int cmd_ldt(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	c->view = json_object();
	view_hex(c->view, "selector", cpu->seg[LDTR].sel, 4);
	if (cpu->seg[LDTR].ar & AR_UNUSABLE)
		view_text(c->view, "is", "unusable");
	else
		table(c, seg_base(cpu, LDTR), cpu->seg[LDTR].limit);
	return 0;
}

static void gate(struct command_call *c, json_t *o, u64 d, u64 high)
{
	static const char *const types[] = {[5] = "task", [6] = "interrupt 16", [7] = "trap 16", [14] = "interrupt", [15] = "trap"};
	const char *type = field(d, 44, 1) ? NULL : types[field(d, 40, 4)];
	view_text(o, "type", type ? type : "invalid");
	view_hex(o, "selector", field(d, 16, 16), 4);
	view_place(o, c->dbg, "offset", "symbol", field(d, 0, 16) | field(d, 48, 16) << 16 | high << 32);
	view_num(o, "dpl", field(d, 45, 2));
	view_bool(o, "present", field(d, 47, 1));
	view_num(o, "ist", field(d, 32, 3));
	view_num(o, "_ring", field(d, 45, 2)); /* who may call it */
}

static int cmd_idt(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	bool wide = cpu->efer & EFER_LMA, real = !(cpu->cr0 & CR0_PE);
	unsigned size = real ? 4 : wide ? 16 : 8;
	u64 lo = 0, hi = 255;
	if (c->argc && (command_expr(c, &c->args, &lo) || (hi = lo, *c->args && command_expr(c, &c->args, &hi))))
		return -EINVAL;
	c->view = json_object();
	view_hex(c->view, "base", cpu->idtr.base, 0);
	view_hex(c->view, "limit", cpu->idtr.limit, 0);
	json_t *a = view_array(c->view, "gates");
	for (u64 i = lo; i <= hi && i < 256 && (i + 1) * size - 1 <= cpu->idtr.limit; i++) {
		u64 d[2] = {0};
		if (dbg_read(cpu, cpu->idtr.base + i * size, d, size) != size)
			break;
		if (!d[0] && !c->argc)
			continue;
		json_t *o = view_object(a, NULL);
		view_hex(o, "vector", i, 2);
		if (!real) {
			gate(c, o, d[0], wide ? d[1] & 0xffffffff : 0);
			continue;
		}
		view_format(o, "handler", "%04llx:%04llx", (unsigned long long)field(d[0], 16, 16), (unsigned long long)field(d[0], 0, 16));
	}
	return 0;
}

static void stack_row(json_t *a, const char *field_name, const char *stack, const char *when, unsigned ring)
{
	json_t *o = view_object(a, NULL);
	view_text(o, "field", field_name);
	view_text(o, "stack", stack);
	view_text(o, "is", when);
	view_num(o, "_ring", ring);
}

/* Where the processor finds a stack when it comes to an inner ring (SDM Vol. 3A, 6.12.1 and 6.14.4, 5.8.5). */
static void tss_stacks(json_t *v, const u8 *t, bool wide)
{
	json_t *a = view_array(v, "stacks");
	char name[16], stack[40], when[100];
	u64 sp;
	for (unsigned i = 0; i < 3; i++) {
		u32 w[2];
		memcpy(w, t + 4 + 8 * i, 8);
		memcpy(&sp, t + 4 + 8 * i, 8);
		snprintf(name, sizeof(name), wide ? "rsp%u" : "ss%u:esp%u", i, i);
		if (wide)
			snprintf(stack, sizeof(stack), "0x%llx", (unsigned long long)sp);
		else
			snprintf(stack, sizeof(stack), "%04x:%08x", w[1] & 0xffff, w[0]);
		snprintf(when, sizeof(when), "loaded when a gate leads from an outer ring into ring %u", i);
		stack_row(a, name, stack, when, i);
	}
	for (unsigned i = 1; wide && i < 8; i++) {
		memcpy(&sp, t + 0x1c + 8 * i, 8);
		if (!sp)
			continue;
		snprintf(name, sizeof(name), "ist%u", i);
		snprintf(stack, sizeof(stack), "0x%llx", (unsigned long long)sp);
		snprintf(when, sizeof(when), "loaded by every gate of the IDT with IST %u, whatever the ring", i);
		stack_row(a, name, stack, when, 0);
	}
}

/* "0xe9, 0x3f8-0x3ff": the ports whose bits are 0 in the map of @n bytes at @at (SDM Vol. 1, 19.5.2). */
static void tss_ports(json_t *v, struct cpu *cpu, u64 at, unsigned n)
{
	char text[400] = "";
	size_t used = 0;
	u8 map[8192];
	n = dbg_read(cpu, at, map, MIN(n, (unsigned)sizeof(map)));
	for (unsigned port = 0; port < n * 8 && used < sizeof(text) - 30; port++) {
		unsigned last = port;
		if (map[port / 8] >> port % 8 & 1)
			continue;
		while (last + 1 < n * 8 && !(map[(last + 1) / 8] >> (last + 1) % 8 & 1))
			last++;
		used += (size_t)snprintf(text + used, sizeof(text) - used, last > port ? "%s0x%x-0x%x" : "%s0x%x", used ? ", " : "", port, last);
		port = last;
	}
	view_text(v, "ports", !n ? "no map within the limit: IN and OUT need CPL <= IOPL" : *text ? text : "the map allows none");
}

static int cmd_tss(struct command_call *c)
{
	static const char *const names32[] = {"link", "esp0", "ss0", "esp1", "ss1", "esp2", "ss2", "cr3", "eip", "eflags", "eax", "ecx",
					      "edx", "ebx", "esp", "ebp", "esi", "edi", "es", "cs", "ss", "ds", "fs", "gs", "ldt", "iomap"};
	static const char *const names64[] = {"rsp0", "rsp1", "rsp2", NULL, "ist1", "ist2", "ist3", "ist4", "ist5", "ist6", "ist7"};
	struct cpu *cpu = dbg_cpu(c->dbg);
	bool wide = cpu->efer & EFER_LMA;
	u64 base = seg_base(cpu, TR);
	u8 t[104] = {0};
	char text[80];
	c->view = json_object();
	view_hex(c->view, "selector", cpu->seg[TR].sel, 4);
	view_text(c->view, "is", ar_text(cpu->seg[TR].ar, text, sizeof(text)));
	view_hex(c->view, "base", base, 0);
	view_hex(c->view, "limit", cpu->seg[TR].limit, 0);
	if (!(cpu->cr0 & CR0_PE) || cpu->seg[TR].ar & AR_UNUSABLE || !(cpu->seg[TR].ar & 8) ||
	    dbg_read(cpu, base, t, sizeof(t)) != sizeof(t))
		return 0;
	json_t *o = view_object(c->view, "fields");
	view_num(o, "_flat", 4);
	for (unsigned i = 0; wide && i < ARRAY_SIZE(names64); i++) {
		u64 v;
		memcpy(&v, t + 4 + 8 * i, 8);
		if (names64[i])
			view_hex(o, names64[i], v, 16);
	}
	for (unsigned i = 0; !wide && i < ARRAY_SIZE(names32); i++) {
		u32 v;
		memcpy(&v, t + 4 * i, 4);
		view_hex(o, names32[i], i == 25 ? v >> 16 : v, 0);
	}
	u32 iomap = t[102] | (u32)t[103] << 8, limit = cpu->seg[TR].limit;
	if (wide)
		view_hex(o, "iomap", iomap, 0);
	tss_ports(c->view, cpu, base + iomap, iomap <= limit ? limit + 1 - iomap : 0);
	tss_stacks(c->view, t, wide);
	return 0;
}

/* ---- translations ------------------------------------------------------------------------------------------------- */

static int cmd_tlb(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	const struct mmu_stats *s = mmu_stats(cpu);
	c->view = json_object();
	json_t *o = view_object(c->view, "counters"), *a = view_array(c->view, "entries");
	view_num(o, "_flat", 4);
	view_num(o, "walks", s->walks);
	view_num(o, "guest_refs", s->guest_refs);
	view_num(o, "ept_refs", s->ept_refs);
	view_num(o, "s2_hits", s->s2_hits);
	view_num(o, "s2_misses", s->s2_misses);
	view_num(o, "flush_all", s->flush_all);
	view_num(o, "flush_cr3", s->flush_cr3);
	view_num(o, "flush_cr4", s->flush_cr4);
	view_num(o, "flush_vpid0", s->flush_vpid0);
	view_num(o, "flush_invvpid", s->flush_invvpid);
	view_num(o, "flush_invept", s->flush_invept);
	for (unsigned i = 0; i < TLB_SIZE; i++) {
		const u64 tags[] = {cpu->tlb->r[i].tag, cpu->tlb->w[i].tag, i < ITLB_SIZE ? cpu->tlb->x[i].tag : ~0ull};
		for (unsigned k = 0; k < 3; k++) {
			u64 at = tags[k], phys = k == 2 ? cpu->tlb->x[i].phys : 0;
			unsigned slot = k == 2 ? itlb_index(at) : tlb_index(at);
			if (slot != i || at & 0xfff || (k && at == tags[0]) || (k == 2 && at == tags[1]))
				continue;
			json_t *row = view_object(a, NULL);
			view_hex(row, "linear", at, width(cpu));
			bool known = k == 2 || dbg_translate(cpu, at, &phys); /* (data entries hold where in the host it is) */
			view_format(row, "physical", known ? "0x%llx" : "stale", (unsigned long long)phys);
			view_format(row, "access", "%s%s%s", at == tags[0] ? "r" : "", at == tags[1] ? "w" : "", at == tags[2] ? "x" : "");
		}
	}
	return 0;
}

/* The next address that is worth asking for: the walk tells how much its last entry covers. */
static u64 covered(const struct walk_record *rec, const struct cpu *cpu)
{
	unsigned bits = cpu->cr4 & CR4_PAE ? 9 : 10, level = 1;
	for (unsigned i = 0; i < rec->n; i++)
		if (!rec->step[i].stage)
			level = rec->step[i].level;
	return BIT64(12 + bits * (level - 1));
}

/* info mem: runs of pages with the same permissions. */
static int cmd_mem(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	struct fault fault = cpu->fault;
	u64 top = cpu_long64(cpu) || cpu->efer & EFER_LMA ? cpu->cr4 & CR4_LA57 ? BIT64(57) : BIT64(48) : BIT64(32);
	u64 start = 0, at = 0;
	char before[8] = "", now[8];
	unsigned rows = 0, steps = 0;
	c->view = json_object();
	json_t *a = view_array(c->view, "ranges");
	view_text(c->view, "_rows", "{from}-{to} {size:18} {access}");
	if (!(cpu->cr0 & CR0_PG))
		return command_bad(c, "paging is off");
	for (; at <= top && rows < 5000 && steps < 4000000; steps++) {
		struct walk_record rec;
		struct xlat x;
		u64 lin = at < top / 2 || top == BIT64(32) ? at : at | ~(top - 1), n = 4096;
		now[0] = 0;
		if (at < top) {
			bool u = !mmu_walk_record(cpu, lin, ACC_R | ACC_USER, &x, &rec);
			bool r = u || !mmu_walk_record(cpu, lin, ACC_R | ACC_SYS, &x, &rec);
			n = r ? x.page_size : covered(&rec, cpu);
			if (r)
				snprintf(now, sizeof(now), "%cr%c", u ? 'u' : '-',
					 mmu_walk_record(cpu, lin, ACC_W | (u ? ACC_USER : ACC_SYS), &x, &rec) ? '-' : 'w');
		}
		if (strcmp(now, before)) {
			if (before[0]) {
				u64 high = start >= top / 2 && top != BIT64(32) ? ~(top - 1) : 0;
				json_t *o = view_object(a, NULL);
				view_hex(o, "from", start | high, 16);
				view_hex(o, "to", (at - 1) | high, 16);
				view_hex(o, "size", at - start, 0);
				view_text(o, "access", before);
				rows++;
			}
			start = at;
			strcpy(before, now);
		}
		at = (at & ~(n - 1)) + n;
	}
	cpu->fault = fault;
	return 0;
}

static int cmd_blocks(struct command_call *c)
{
	struct block_stats s;
	cpu_blocks_stats(dbg_cpu(c->dbg), &s);
	c->view = json_object();
	view_num(c->view, "blocks", s.blocks);
	view_num(c->view, "instructions", s.instructions);
	view_num(c->view, "pages", s.pages);
	view_num(c->view, "bytes_used", s.used);
	view_num(c->view, "bytes", s.size);
	return 0;
}

/* ---- VMX ---------------------------------------------------------------------------------------------------------- */

/* By bits 11:10 of the encoding (SDM Vol. 3D, appendix B). */
static const char *const groups_of_fields[] = {"controls", "exit information", "guest state", "host state"};

/* A line of vmx_describe() as a row. */
static void vmcs_line(void *ctx, const char *text)
{
	json_t *v = ctx, *o;
	char name[64];
	unsigned encoding;
	unsigned long long value;
	int used = 0;
	if (!strncmp(text, "an entry would fail: ", 21)) {
		view_text(json_object_get(v, "lint"), NULL, text + 21);
	} else if (sscanf(text, "%4x %63s %llx  %n", &encoding, name, &value, &used) == 3 && used) {
		const char *desc = text + used, *says = strstr(desc, ": ");
		o = view_object(json_object_get(v, "fields"), NULL);
		view_hex(o, "encoding", encoding, 4);
		view_text(o, "name", name);
		view_hex(o, "value", value, 0);
		view_format(o, "field", "%.*s", says ? (int)(says - desc) : 200, desc);
		view_text(o, "says", says ? says + 2 : "");
		view_text(o, "_group", groups_of_fields[encoding >> 10 & 3]);
	} else {
		view_text(v, "vmcs", text);
	}
}

static json_t *by_group(const json_t *fields)
{
	static const u8 order[] = {2, 3, 0, 1};
	json_t *sorted = json_array(), *o;
	size_t i;
	for (unsigned k = 0; k < ARRAY_SIZE(order); k++)
		json_array_foreach((json_t *)fields, i, o)
			if (!strcmp(json_string_value(json_object_get(o, "_group")), groups_of_fields[order[k]]))
				json_array_append(sorted, o);
	return sorted;
}

static int cmd_vmcs(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	struct fault fault = cpu->fault;
	c->view = json_object();
	view_array(c->view, "fields");
	view_array(c->view, "lint");
	vmx_describe(cpu, vmcs_line, c->view);
	cpu->fault = fault;
	json_object_set_new(c->view, "fields", by_group(json_object_get(c->view, "fields")));
	return 0;
}

static void exit_line(void *ctx, const char *text)
{
	json_t *v = ctx;
	unsigned long long n;
	unsigned reason;
	int used = 0;
	if (sscanf(text, "%llu %u %n", &n, &reason, &used) == 2 && used) {
		json_t *o = view_object(json_object_get(v, "exits"), NULL);
		view_num(o, "count", n);
		view_num(o, "reason", reason);
		view_text(o, "name", text + used);
	} else if (sscanf(text, "%llu", &n) == 1) {
		view_num(v, "entries", n);
	}
}

static int cmd_vmexits(struct command_call *c)
{
	c->view = json_object();
	view_num(c->view, "entries", 0);
	view_array(c->view, "exits");
	vmx_histogram(dbg_cpu(c->dbg), exit_line, c->view);
	return 0;
}

/* ---- the board ---------------------------------------------------------------------------------------------------- */

static u64 integer(const u8 *p, unsigned n)
{
	u64 v = 0;
	memcpy(&v, p, MIN(n, 8u));
	return v;
}

static void field_int(json_t *o, const struct field *f, const u8 *p)
{
	unsigned n = f->elem ? f->size / f->elem : 0;
	if (n == 1) {
		view_hex(o, f->name, integer(p, f->elem), 0);
		return;
	}
	if (n > 64) {
		view_format(o, f->name, "(%u bytes)", f->size);
		return;
	}
	char text[64 * 19];
	int at = 0;
	for (unsigned i = 0; i < n && at < (int)sizeof(text) - 20; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%llx", i ? " " : "",
			       (unsigned long long)integer(p + i * f->elem, f->elem));
	view_text(o, f->name, text);
}

static void field_struct(json_t *o, const struct field *f, const u8 *p)
{
	unsigned n = f->sub->size ? f->size / f->sub->size : 0;
	if (n == 1) {
		view_fields(view_object(o, f->name), f->sub, p);
		return;
	}
	json_t *a = view_object(o, f->name);
	for (unsigned i = 0; i < n && i < 64; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%u", i);
		view_fields(view_object(a, name), f->sub, p + i * f->sub->size);
	}
}

void view_fields(json_t *o, const struct snapshot_desc *desc, const void *state)
{
	unsigned n;
	const struct field *f = desc->fields(&n);
	view_num(o, "_flat", 4);
	for (unsigned i = 0; i < n; i++) {
		const u8 *p = (const u8 *)state + f[i].offset;
		char name[96];
		switch (f[i].kind) {
		case FIELD_INT: field_int(o, &f[i], p); break;
		case FIELD_TIMER:
			for (unsigned k = 0; k < f[i].size / sizeof(struct timer) && k < 64; k++) {
				const struct timer *t = (const struct timer *)p + k;
				snprintf(name, sizeof(name), f[i].size > sizeof(*t) ? "%s[%u]" : "%s", f[i].name, k);
				view_format(o, name, t->armed ? "at %llu ns" : "off", (unsigned long long)t->deadline_ns);
			}
			break;
		case FIELD_IRQ:
			for (unsigned k = 0; k < f[i].size / sizeof(struct irq_line) && k < 64; k++) {
				snprintf(name, sizeof(name), f[i].size > sizeof(struct irq_line) ? "%s[%u]" : "%s", f[i].name, k);
				view_text(o, name, ((const struct irq_line *)p)[k].level ? "high" : "low");
			}
			break;
		case FIELD_STRUCT: field_struct(o, &f[i], p); break;
		case FIELD_HOST: break;
		}
	}
}

static void device_view(json_t *v, struct device *d)
{
	view_text(v, "device", d->id);
	view_text(v, "type", d->type->name);
	view_text(v, "is", d->type->help ? d->type->help : "");
	if (d->type->snapshot)
		view_fields(view_object(v, "state"), d->type->snapshot, d);
}

static int device_of(struct command_call *c, struct device *d, const char *what)
{
	if (!d)
		return command_bad(c, "this machine has no %s", what);
	c->view = json_object();
	device_view(c->view, d);
	return 0;
}

static int cmd_devices(struct command_call *c)
{
	struct pc *pc = machine_pc(c->machine);
	c->view = json_object();
	json_t *a = view_array(c->view, "devices");
	for (struct device *d = pc->env.devices; d; d = d->next) {
		json_t *o = view_object(a, NULL);
		view_text(o, "id", d->id);
		view_text(o, "type", d->type->name);
		view_text(o, "category", d->type->category ? d->type->category : "");
		if (d->pci)
			view_format(o, "pci", "00:%02x.%u", d->pci->devfn >> 3, d->pci->devfn & 7);
		else
			view_text(o, "pci", "");
		view_text(o, "is", d->type->help ? d->type->help : "");
	}
	return 0;
}

static int cmd_device(struct command_call *c)
{
	struct pc *pc = machine_pc(c->machine);
	const char *names[128] = {0};
	unsigned n = 0;
	for (struct device *d = pc->env.devices; d && n < 127; d = d->next)
		names[n++] = d->id;
	if (!c->argc)
		return command_bad(c, "info device ID; info devices lists them");
	struct device *d = device_by_id(&pc->env, c->argv[0]);
	const char *near = d ? NULL : nearest(c->argv[0], names);
	if (!d)
		return command_bad(c, "there is no device '%s'%s%s; info devices lists them", c->argv[0], near ? "; did you mean " : "",
				   near ? near : "");
	return device_of(c, d, "");
}

static int cmd_pic(struct command_call *c)
{
	return device_of(c, machine_pc(c->machine)->pic, "8259A");
}

static int cmd_ioapic(struct command_call *c)
{
	return device_of(c, machine_pc(c->machine)->ioapic, "I/O APIC");
}

static int cmd_lapic(struct command_call *c)
{
	unsigned n = dbg_cpu(c->dbg)->index;
	return device_of(c, machine_pc(c->machine)->lapic[n], "local APIC");
}

static int cmd_irq(struct command_call *c)
{
	const struct gsi_router *g = &machine_pc(c->machine)->gsi;
	c->view = json_object();
	json_t *a = view_array(c->view, "lines");
	for (unsigned i = 0; i < GSI_COUNT; i++) {
		json_t *o = view_object(a, NULL);
		view_num(o, "gsi", i);
		view_num(o, "sources_high", g->sources[i]);
		view_text(o, "pic", i < 16 ? g->pic[i].level ? "high" : "low" : "");
		view_text(o, "ioapic", g->ioapic[i].level ? "high" : "low");
	}
	return 0;
}

static int cmd_pci(struct command_call *c)
{
	const struct pci_bus *bus = &machine_pc(c->machine)->pci;
	c->view = json_object();
	json_t *a = view_array(c->view, "functions");
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		const struct pci_function *f = bus->fn[devfn];
		if (!f)
			continue;
		json_t *o = view_object(a, NULL), *bars;
		view_format(o, "place", "00:%02x.%u", devfn >> 3, devfn & 7);
		view_text(o, "device", f->dev->id);
		view_format(o, "id", "%04x:%04x", pci_get16(f, PCI_VENDOR), pci_get16(f, PCI_DEVICE));
		view_hex(o, "class", (u64)f->cfg[PCI_CLASS + 2] << 16 | f->cfg[PCI_CLASS + 1] << 8 | f->cfg[PCI_CLASS], 6);
		view_hex(o, "command", pci_get16(f, PCI_COMMAND), 4);
		view_hex(o, "status", pci_get16(f, PCI_STATUS), 4);
		view_format(o, "irq", "%u%s", f->cfg[PCI_INTERRUPT_LINE], f->asserted ? " asserted" : "");
		view_text(o, "_line", "{place} {device:-14} {id} class {class} command {command} status {status} irq {irq}");
		view_text(o, "_rows", "BAR{bar} {kind:-5} {base} size {size}{mapped}");
		bars = view_array(o, "bars");
		for (unsigned b = 0; b < 6; b++) {
			static const char *const kinds[] = {"", "I/O", "mem32", "mem64"};
			if (f->ident->bar[b].kind == PCI_BAR_NONE)
				continue;
			json_t *r = view_object(bars, NULL);
			view_num(r, "bar", b);
			view_text(r, "kind", kinds[f->ident->bar[b].kind]);
			view_hex(r, "base", f->bar[b].mapped ? f->bar[b].base : 0, 0);
			view_hex(r, "size", f->ident->bar[b].size, 0);
			view_text(r, "mapped", f->bar[b].mapped ? "" : ", not mapped");
		}
	}
	return 0;
}

static const char *region_kind(const struct mem_region *r)
{
	return !r ? "-" : r->kind == MEM_RAM ? "ram" : r->kind == MEM_ROM ? "rom" : "i/o";
}

static int cmd_mtree(struct command_call *c)
{
	const struct bus *b = machine_pc(c->machine)->env.bus;
	c->view = json_object();
	json_t *mem = view_array(c->view, "memory"), *io = view_array(c->view, "io");
	for (unsigned i = 0; i < b->ranges; i++) {
		const struct mem_range *r = &b->range[i];
		if (!r->rd && !r->wr)
			continue;
		json_t *o = view_object(mem, NULL);
		view_hex(o, "from", r->start, 16);
		view_hex(o, "to", r->last, 16);
		view_text(o, "reads", region_kind(r->rd));
		view_text(o, "writes", region_kind(r->wr));
		view_format(o, "name", r->rd != r->wr && r->rd && r->wr ? "%s / %s" : "%s", r->rd ? r->rd->name : r->wr->name,
			    r->wr ? r->wr->name : "");
	}
	for (unsigned port = 0; port < 65536; port++) {
		unsigned slot = b->port_map[port], last = port;
		if (!slot)
			continue;
		while (last < 65535 && b->port_map[last + 1] == slot)
			last++;
		json_t *o = view_object(io, NULL);
		view_hex(o, "from", port, 4);
		view_hex(o, "to", last, 4);
		view_text(o, "name", b->port[slot].name ? b->port[slot].name : "");
		port = last;
	}
	return 0;
}

static int cmd_block(struct command_call *c)
{
	static const char *const kinds[] = {"ide", "floppy", "virtio", "pflash", "none"};
	const struct drive *d;
	c->view = json_object();
	json_t *a = view_array(c->view, "drives");
	for (unsigned i = 0; (d = machine_drive_at(c->machine, i)); i++) {
		json_t *o = view_object(a, NULL);
		view_text(o, "id", d->id);
		view_text(o, "interface", kinds[MIN(d->interface, 4)]);
		view_num(o, "unit", d->unit);
		view_text(o, "medium", d->cdrom ? "cdrom" : "disk");
		view_text(o, "format", d->block ? block_format(d->block) : "");
		view_bool(o, "read_only", d->block ? block_read_only(d->block) : d->read_only);
		view_bool(o, "snapshot", d->snapshot);
		view_text(o, "file", d->block ? block_path(d->block) : "");
	}
	return 0;
}

static int cmd_chardev(struct command_call *c)
{
	c->view = json_object();
	json_t *a = view_array(c->view, "chardevs");
	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		struct chardev *ch = machine_serial(c->machine, i);
		if (!ch)
			continue;
		json_t *o = view_object(a, NULL);
		view_text(o, "id", chardev_id(ch));
		view_format(o, "of", "serial port %u", i);
		view_bool(o, "ended", chardev_eof(ch));
	}
	return 0;
}

static int cmd_network(struct command_call *c)
{
	c->view = json_object();
	json_t *a = view_array(c->view, "cards");
	for (const struct nic *n = machine_pc(c->machine)->env.nics; n; n = n->next) {
		json_t *o = view_object(a, NULL);
		view_text(o, "id", n->dev->id);
		view_text(o, "card", n->dev->type->name);
		view_format(o, "mac", "%02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1], n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
		view_text(o, "netdev", n->netdev);
		view_text(o, "link", n->net ? "up" : "down");
	}
	return 0;
}

static int cmd_status(struct command_call *c)
{
	struct machine_stats s;
	machine_stats(c->machine, &s);
	c->view = json_object();
	view_text(c->view, "status", s.paused ? "paused" : s.running ? "running" : "ended");
	view_num(c->view, "instructions", s.instructions);
	view_format(c->view, "virtual_time", "%.6f s", (double)s.virtual_ns / 1e9);
	view_text(c->view, "mode", s.mode);
	view_bool(c->view, "halted", s.halted);
	return 0;
}

const struct command commands_info[] = {
    {"info registers", "info reg|registers", "[GROUP]",
     "registers: general, flags, segments, control; or of a group: debug, fpu, vector, msrs, all", cmd_registers, 0},
    {"info cpus", "info cpu", NULL, "processors: where they are, ring, mode, activity", cmd_cpus, 0},
    {"info gdt", NULL, NULL, "global descriptor table", cmd_gdt, 0},
    {"info idt", NULL, "[FIRST [LAST]]", "interrupt descriptor table, or the real-mode vectors", cmd_idt, 0},
    {"info ldt", NULL, NULL, "local descriptor table", cmd_ldt, 0},
    {"info tss", NULL, NULL, "task state segment", cmd_tss, 0},
    {"info tlb", NULL, NULL, "cached translations, and counters of walks and flushes", cmd_tlb, 0},
    {"info mem", NULL, NULL, "ranges of linear addresses that are mapped, with their permissions", cmd_mem, 0},
    {"info blocks", "info jit", NULL, "decoded code", cmd_blocks, 0},
    {"info vmcs", NULL, NULL, "the current VMCS, every field in words; and what of it an entry would refuse", cmd_vmcs, 0},
    {"info vmexits", "info exits", NULL, "VM entries, and exits by reason", cmd_vmexits, 0},
    {"info pic", NULL, NULL, "the 8259As", cmd_pic, 0},
    {"info lapic", "info apic", NULL, "the selected processor's local APIC", cmd_lapic, 0},
    {"info ioapic", NULL, NULL, "the I/O APIC", cmd_ioapic, 0},
    {"info irq", NULL, NULL, "interrupt lines", cmd_irq, 0},
    {"info pci", NULL, NULL, "PCI functions and their BARs", cmd_pci, 0},
    {"info mtree", NULL, NULL, "the memory map and the ports as they are now", cmd_mtree, 0},
    {"info devices", "info qtree", NULL, "all devices", cmd_devices, 0},
    {"info device", NULL, "ID", "the state of one device", cmd_device, 0},
    {"info block", NULL, NULL, "drives and their images", cmd_block, 0},
    {"info chardev", NULL, NULL, "where the serial ports go", cmd_chardev, 0},
    {"info network", NULL, NULL, "network cards", cmd_network, 0},
    {"info status", NULL, NULL, "running or paused, instructions, virtual time", cmd_status, 0},
    {0},
};
