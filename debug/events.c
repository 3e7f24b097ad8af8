/* What a processor goes through. See events.h. */
#include "debug/events.h"

#include <stdio.h>
#include <stdlib.h>
#include "cpu/exec/exec.h"
#include "debug/debugger.h"
#include "debug/explain_values.h"

/* ---- counters ----------------------------------------------------------------------------------------------------- */

void event_counts_add(struct event_counts *sum, const struct event_counts *to, const struct event_counts *from)
{
	u64 *s = (u64 *)sum;
	const u64 *t = (const u64 *)to, *f = (const u64 *)from;
	for (size_t i = 0; i < sizeof(*sum) / 8; i++)
		s[i] += t[i] - f[i];
}

static void set(json_t *o, const char *key, u64 v)
{
	if (v)
		view_num(o, key, v);
}

static const char *const fault_names[32] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "CSO", "TS", "NP", "SS", "GP",
					    "PF", "15", "MF", "AC", "MC", "XM", "VE", "CP", "22", "23", "24", "25", "26", "27",
					    "28", "29", "30", "31"};

static void name_exit(char *key, size_t n, unsigned reason)
{
	const char *name = vmx_reason_name(reason);
	snprintf(key, n, "exit.%s", name ? name : "?");
	for (char *p = key; *p; p++)
		*p = *p == ' ' ? '_' : (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
}

json_t *event_counts_view(const struct event_counts *c)
{
	json_t *o = json_object();
	char key[80];
	u64 faults = 0;
	set(o, "insns", c->insns);
	for (unsigned v = 0; v < 32; v++) {
		snprintf(key, sizeof(key), "fault.%s", fault_names[v]);
		set(o, key, c->fault[v]);
		faults += c->fault[v];
	}
	set(o, "faults", faults);
	set(o, "interrupts", c->interrupts);
	set(o, "traps", faults + c->interrupts);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = 0; b < 4; b++) {
			snprintf(key, sizeof(key), "ring.%u>%u", a, b);
			set(o, key, c->cpl[a][b]);
		}
	set(o, "io.in", c->io_in);
	set(o, "io.out", c->io_out);
	set(o, "cr0_writes", c->cr0);
	set(o, "cr3_writes", c->cr3);
	set(o, "cr4_writes", c->cr4);
	set(o, "rdmsr", c->rdmsr);
	set(o, "wrmsr", c->wrmsr);
	set(o, "task_switches", c->tasks);
	set(o, "entries", c->entries);
	set(o, "entries.failed", c->failed_entries);
	set(o, "exits", c->exits);
	for (unsigned i = 0; i < VR_COUNT; i++) {
		if (!c->exit[i])
			continue;
		name_exit(key, sizeof(key), i);
		set(o, key, c->exit[i]);
	}
	set(o, "walks", c->mmu.walks);
	set(o, "refs.guest", c->mmu.guest_refs);
	set(o, "refs.ept", c->mmu.ept_refs);
	set(o, "refs", c->mmu.guest_refs + c->mmu.ept_refs);
	set(o, "stage2.hits", c->mmu.s2_hits);
	set(o, "stage2.misses", c->mmu.s2_misses);
	set(o, "flush.vpid0", c->mmu.flush_vpid0);
	set(o, "flush.invvpid", c->mmu.flush_invvpid);
	set(o, "flush.invept", c->mmu.flush_invept);
	set(o, "flush.cr3", c->mmu.flush_cr3);
	set(o, "flush.cr4", c->mmu.flush_cr4);
	set(o, "flush.all", c->mmu.flush_all);
	return o;
}

bool event_count_known(const char *key)
{
	static const char *const exact[] = {"insns",      "faults",     "interrupts", "traps", "entries", "entries.failed",
					    "exits",      "walks",      "refs",       "rdmsr", "wrmsr",   "task_switches",
					    "cr0_writes", "cr3_writes", "cr4_writes", NULL};
	static const char *const prefix[] = {"fault.", "ring.", "io.", "exit.", "refs.", "stage2.", "flush.", NULL};

	for (unsigned i = 0; exact[i]; i++)
		if (!strcmp(exact[i], key))
			return true;
	for (unsigned i = 0; prefix[i]; i++)
		if (!strncmp(prefix[i], key, strlen(prefix[i])))
			return true;
	return false;
}

/* ---- how a ring was reached ---------------------------------------------------------------------------------------- */

const char *event_mode(const struct cpu *cpu)
{
	if (cpu->mode & MODE_REAL)
		return "real";
	if (cpu->mode & MODE_V86)
		return "virtual-8086";
	if (cpu->mode & MODE_LMA)
		return (cpu->mode & MODE_BITS) == MODE_64 ? "64-bit" : "compatibility";
	return "protected";
}

/* The instruction that brought the processor to another ring, when no event did. It may have left 64-bit mode, or come to it. Where CS
 * had a base, it has gone: such code is looked for in vain. */
static bool instruction(struct cpu *cpu, struct insn *in)
{
	struct decode_mode mode = {.bits = (u8)(16u << (cpu->mode & MODE_BITS)), .feat = cpu->feat};
	u8 bytes[15];
	unsigned n = dbg_read(cpu, cpu->insn_rip, bytes, sizeof(bytes));
	if (!n)
		return false;
	if ((cpu->mode & MODE_LMA) && (bytes[0] & 0xf8) == 0x48) /* REX.W: it left 64-bit mode */
		mode.bits = 64;
	return insn_decode(&mode, bytes, n, in) == DECODE_OK;
}

static u64 address_part(const struct cpu *cpu, u8 reg)
{
	return reg < 16 ? cpu->r[reg] : 0;
}

/* The selector a far CALL or JMP names; false: it is not one. Its address is told by registers it does not change, but for RSP. */
static bool far_selector(struct cpu *cpu, const struct insn *in, u16 *sel)
{
	const struct operand *op = &in->op[0];
	if (op->kind == OPK_FAR) {
		*sel = (u16)in->imm2;
		return true;
	}
	if (op->kind != OPK_MEM || in->base == RSP)
		return false;
	u64 at = (in->base == R_CODE ? cpu->insn_rip + in->len : address_part(cpu, in->base)) + (u64)in->disp;
	at += address_part(cpu, in->index) << in->scale;
	if (in->adsize == 4)
		at = (u32)at;
	return dbg_read(cpu, at + in->opsize, sel, 2) == 2;
}

static bool is_far(const struct insn *in)
{
	const char *name = insn_rows[in->row].mnemonic;
	return !strncmp(name, "call", 4) || !strncmp(name, "jmp", 3);
}

static void via_instruction(struct cpu *cpu, char *via, size_t n)
{
	struct insn in;
	u16 sel;
	if (!instruction(cpu, &in))
		snprintf(via, n, "?");
	else if (is_far(&in) && far_selector(cpu, &in, &sel))
		snprintf(via, n, "%.12s far 0x%x", insn_rows[in.row].mnemonic, sel);
	else
		snprintf(via, n, "%.30s%s", insn_rows[in.row].mnemonic, is_far(&in) ? " far" : "");
}

/* ---- gates ---------------------------------------------------------------------------------------------------------- */

static void gate_of_idt(struct cpu *cpu, unsigned vector, char *text, size_t n)
{
	bool wide = cpu->efer & EFER_LMA;
	char words[VALUE_TEXT];
	u64 d[2] = {0};
	unsigned size = wide ? 16 : 8;
	if (dbg_read(cpu, cpu->idtr.base + vector * size, d, size) != size)
		return;
	value_gate(words, d[0], d[1], wide);
	snprintf(text, n, "IDT[%u]: %.140s", vector, words);
}

static void gate_of_selector(struct cpu *cpu, u16 sel, char *text, size_t n)
{
	bool wide = cpu->efer & EFER_LMA, ldt = sel & 4;
	u64 base = ldt ? seg_base(cpu, LDTR) : cpu->gdtr.base, d[2] = {0};
	char words[VALUE_TEXT];
	if (dbg_read(cpu, base + (sel & ~7u), d, 8) != 8)
		return;
	if (wide)
		(void)dbg_read(cpu, base + (sel & ~7u) + 8, &d[1], 8);
	if (d[0] >> 44 & 1)
		value_desc(words, d[0], wide);
	else
		value_gate(words, d[0], d[1], wide);
	snprintf(text, n, "%s[0x%x]: %.140s", ldt ? "LDT" : "GDT", sel & ~7u, words);
}

#define LL(x) ((unsigned long long)(x))

static void gate_of_instruction(struct cpu *cpu, char *text, size_t n)
{
	struct insn in;
	u16 sel;
	if (!instruction(cpu, &in))
		return;
	const char *name = insn_rows[in.row].mnemonic;
	if (is_far(&in) && far_selector(cpu, &in, &sel))
		gate_of_selector(cpu, sel, text, n);
	else if (!strcmp(name, "syscall"))
		snprintf(text, n, "no gate: IA32_LSTAR 0x%llx, selectors from IA32_STAR 0x%llx", LL(cpu->lstar), LL(cpu->star));
	else if (!strcmp(name, "sysenter"))
		snprintf(text, n, "no gate: IA32_SYSENTER_CS 0x%llx, EIP 0x%llx, ESP 0x%llx", LL(cpu->sysenter_cs),
			 LL(cpu->sysenter_eip), LL(cpu->sysenter_esp));
	else if (!strncmp(name, "sysret", 6))
		snprintf(text, n, "no gate: RCX and R11, selectors from IA32_STAR 0x%llx", LL(cpu->star));
	else if (!strncmp(name, "sysexit", 7))
		snprintf(text, n, "no gate: RCX and RDX, selectors from IA32_SYSENTER_CS 0x%llx", LL(cpu->sysenter_cs));
	else if (!strncmp(name, "iret", 4) || !strncmp(name, "ret", 3))
		snprintf(text, n, "a return: CS 0x%x and SS 0x%x from the stack", cpu->seg[CS].sel, cpu->seg[SS].sel);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

static struct event event(const struct cpu *cpu, enum event_kind kind)
{
	return (struct event){.at = cpu_icount(cpu),
			      .rip = cpu->insn_rip,
			      .mode = event_mode(cpu),
			      .kind = (u8)kind,
			      .cpl = cpu->cpl,
			      .cpu = (u8)cpu->index,
			      .edge = -1,
			      .root = !vmx_nonroot(cpu)};
}

static void tell(struct events *ev, struct cpu *cpu, const struct event *e)
{
	if (ev->happened)
		ev->happened(ev->ctx, cpu, e);
}

static void remember(struct events *ev, struct cpu *cpu, const char *via, int vector)
{
	unsigned i = cpu->index;
	snprintf(ev->under_way[i].via, sizeof(ev->under_way[i].via), "%s", via);
	ev->under_way[i].at = cpu_icount(cpu);
	ev->under_way[i].rip = dbg_pc(cpu);
	ev->under_way[i].vector = vector;
}

static int edge_of(struct events *ev, struct cpu *cpu, const struct event *e, int vector, bool insn)
{
	unsigned i = 0;
	while (i < ev->edges && (ev->edge[i].from != e->from || ev->edge[i].to != e->to || ev->edge[i].root != e->root ||
				 strcmp(ev->edge[i].via, e->via) != 0))
		i++;
	if (i == EVENTS_EDGES) {
		ev->edges_dropped++;
		return -1;
	}
	struct event_edge *g = &ev->edge[i];
	if (i == ev->edges) {
		ev->edges++;
		*g = (struct event_edge){.from = e->from, .to = e->to, .root = e->root};
		snprintf(g->via, sizeof(g->via), "%s", e->via);
		if (vector >= 0)
			gate_of_idt(cpu, (unsigned)vector, g->gate, sizeof(g->gate));
		else if (insn)
			gate_of_instruction(cpu, g->gate, sizeof(g->gate));
	}
	ev->newest = i;
	g->count++;
	g->last_at = e->at;
	g->last_rip = e->rip;
	g->last_cpu = e->cpu;
	return (int)i;
}

static void ring_changed(struct events *ev, struct cpu *cpu, unsigned from, unsigned to)
{
	unsigned i = cpu->index;
	struct event e = event(cpu, EVENT_RING);
	bool event_made_it = ev->under_way[i].via[0] && ev->under_way[i].at == e.at;
	if (event_made_it) {
		snprintf(e.via, sizeof(e.via), "%s", ev->under_way[i].via);
		e.rip = ev->under_way[i].rip;
	} else {
		via_instruction(cpu, e.via, sizeof(e.via));
	}
	ev->under_way[i].via[0] = 0;
	e.from = (u8)(from & 3);
	e.to = (u8)(to & 3);
	ev->total.cpl[e.from][e.to]++;
	e.edge = (s8)edge_of(ev, cpu, &e, event_made_it ? ev->under_way[i].vector : -1, !event_made_it);
	tell(ev, cpu, &e);
}

static void trap_seen(struct events *ev, struct cpu *cpu, const struct seen *s)
{
	bool exception = s->kind == WATCH_EXCEPTION;
	struct event e = event(cpu, exception ? EVENT_EXCEPTION : EVENT_INTERRUPT);
	e.rip = dbg_pc(cpu);
	if (exception) {
		snprintf(e.via, sizeof(e.via), "#%s", fault_names[s->n & 31]);
		ev->total.fault[s->n & 31]++;
		e.error = s->value;
		e.why = cpu->fault.why;
	} else {
		snprintf(e.via, sizeof(e.via), "interrupt %u", s->n);
		ev->total.interrupts++;
	}
	tell(ev, cpu, &e);
	remember(ev, cpu, e.via, (int)(s->n & 255));
}

static void vmx_seen(struct events *ev, struct cpu *cpu, const struct seen *s)
{
	unsigned reason = s->n & 0xffff;
	bool entry = s->n == WATCH_VM_ENTRY, failed = !entry && (s->n & BIT(31));
	const char *name = entry ? "VM entry" : vmx_reason_name(reason);
	struct event e = event(cpu, entry ? EVENT_VMENTRY : failed ? EVENT_VMFAIL : EVENT_VMEXIT);
	snprintf(e.via, sizeof(e.via), "%s", name ? name : "?");
	if (!entry && !failed) { /* where it leads: the host's state is about to be loaded, with CPL 0 */
		e.root = true;
		e.cpl = 0;
	}
	if (entry)
		ev->total.entries++;
	else if (failed)
		ev->total.failed_entries++;
	else
		ev->total.exits++;
	if (!entry && !failed && reason < VR_COUNT)
		ev->total.exit[reason]++;
	tell(ev, cpu, &e);
	remember(ev, cpu, entry ? "VM entry" : "VM exit", -1);
}

static void counted(struct events *ev, const struct seen *s)
{
	struct event_counts *c = &ev->total;
	if (s->kind == WATCH_IO)
		*(s->write ? &c->io_out : &c->io_in) += 1;
	else if (s->kind == WATCH_MSR)
		*(s->write ? &c->wrmsr : &c->rdmsr) += 1;
	else if (s->n == 0 || s->n == 3 || s->n == 4)
		*(s->n == 0 ? &c->cr0 : s->n == 3 ? &c->cr3 : &c->cr4) += 1;
}

void events_seen(struct events *ev, struct cpu *cpu, const struct seen *s)
{
	struct event e;
	switch (s->kind) {
	case WATCH_EXCEPTION:
	case WATCH_INTERRUPT: trap_seen(ev, cpu, s); break;
	case WATCH_CPL: ring_changed(ev, cpu, (unsigned)s->old, (unsigned)s->value); break;
	case WATCH_VMX: vmx_seen(ev, cpu, s); break;
	case WATCH_TASK:
		ev->total.tasks++;
		remember(ev, cpu, "task switch", -1);
		break;
	case WATCH_MODE:
		e = event(cpu, EVENT_MODE);
		tell(ev, cpu, &e);
		break;
	case WATCH_CR:
	case WATCH_MSR:
	case WATCH_IO: counted(ev, s); break;
	default: break;
	}
}

/* ---- views ---------------------------------------------------------------------------------------------------------- */

const char *event_kind_name(unsigned kind)
{
	static const char *const kinds[] = {"ring", "exception", "interrupt", "vmentry", "vmexit", "vmfail", "mode"};
	return kind < ARRAY_SIZE(kinds) ? kinds[kind] : NULL;
}

void event_view(json_t *o, const struct event *e)
{
	view_text(o, "kind", event_kind_name(e->kind));
	view_num(o, "cpl", e->cpl);
	view_bool(o, "root", e->root);
	view_text(o, "mode", e->mode);
	if (e->kind == EVENT_RING) {
		view_num(o, "from", e->from);
		view_num(o, "to", e->to);
	}
	if (e->kind != EVENT_MODE)
		view_text(o, "via", e->via);
	if (e->kind == EVENT_EXCEPTION)
		view_hex(o, "error", e->error, 0);
	if (e->why)
		view_text(o, "why", e->why);
}

json_t *event_edges_view(const struct events *ev, bool last)
{
	json_t *a = json_array();
	for (unsigned i = 0; i < ev->edges; i++) {
		const struct event_edge *g = &ev->edge[i];
		json_t *o = view_object(a, NULL);
		view_num(o, "from", g->from);
		view_num(o, "to", g->to);
		view_bool(o, "root", g->root);
		view_text(o, "via", g->via);
		view_text(o, "gate", g->gate);
		view_num(o, "count", g->count);
		if (last) {
			view_num(o, "last_at", g->last_at);
			view_hex(o, "last_from", g->last_rip, 0);
		}
		view_text(o, "_where", g->root ? "" : " (non-root)");
	}
	return a;
}
