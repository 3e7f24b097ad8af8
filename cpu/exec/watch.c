/*
 * The processor's side of cpu/watch.h: the list of watchers, and the micro-operations that show instructions and blocks to them.
 */
#include <stdio.h>

#include "base/log.h"
#include "cpu/exec/blocks.h"
#include "cpu/exec/watch.h"

/* ---- the list ------------------------------------------------------------------------------------------------ */

void watch_changed(struct cpu *cpu)
{
	struct cpu_watchers *l = cpu->watchers;
	struct cpu *p = cpu;

	l->wants = 0;
	for (const struct cpu_watch *w = l->first; w; w = w->next)
		l->wants |= w->wants;
	cpu_blocks_flush(cpu);
	do {
		mmu_refill(p);
		p->seen_cpl = p->cpl;
		cpu_mode_changed(p);
		p = p->peer;
	} while (p != cpu);
}

void watch_add(struct cpu *cpu, struct cpu_watch *w)
{
	w->next = cpu->watchers->first;
	cpu->watchers->first = w;
	watch_changed(cpu);
}

void watch_remove(struct cpu *cpu, struct cpu_watch *w)
{
	struct cpu_watch **p = &cpu->watchers->first;

	while (*p && *p != w)
		p = &(*p)->next;
	if (*p)
		*p = w->next;
	watch_changed(cpu);
}

void watch_stop(struct cpu *cpu)
{
	cpu_event_set(cpu, CPU_EV_STOP);
}

u32 watch_rflags(struct cpu *cpu)
{
	u32 arith = cpu->flag_kind ? flags_compute(cpu->flag_kind, cpu->fa, cpu->fb) : cpu->rflags & FL_ARITH;

	return (cpu->rflags & ~FL_ARITH) | arith;
}

/* ---- what is reported --------------------------------------------------------------------------------------------- */

void watch_seen(struct cpu *cpu, const struct seen *s)
{
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if (w->wants & WATCH_BIT(s->kind))
			w->seen(w->ctx, cpu, s);
}

void watch_mode(struct cpu *cpu, u32 old)
{
	u32 changed = (old ^ cpu->mode) & WATCH_MODE_BITS;
	u8 cpl = cpu->seen_cpl;

	cpu->seen_cpl = cpu->cpl;
	if (changed && watch_on(cpu, WATCH_MODE))
		watch_seen(cpu, &(struct seen){.kind = WATCH_MODE, .old = old & WATCH_MODE_BITS, .value = cpu->mode & WATCH_MODE_BITS});
	if (cpl != cpu->cpl && watch_on(cpu, WATCH_CPL))
		watch_seen(cpu, &(struct seen){.kind = WATCH_CPL, .old = cpl, .value = cpu->cpl});
}

/* ---- instructions and blocks ---------------------------------------------------------------------------------------- */

extern const struct exec_desc exec_xchg;

/* XCHG BX,BX, the breakpoint that a guest writes into itself: it does nothing on any processor. */
static bool is_magic(const struct insn *in)
{
	return in->row != UINT16_MAX && insn_exec(in) == &exec_xchg && in->op[0].kind == OPK_GPR && in->op[1].kind == OPK_GPR &&
	       in->op[0].reg == RBX && in->op[1].reg == RBX && in->op[0].size == 2;
}

static bool probe_wanted(struct cpu *cpu, u64 phys_page, unsigned off)
{
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if ((w->wants & WATCH_BIT(WATCH_PROBE)) && w->probe_wanted(w->ctx, phys_page, off))
			return true;
	return false;
}

unsigned watch_of_insn(struct cpu *cpu, u32 mode, const struct insn *in, u64 phys_page, unsigned off)
{
	unsigned how = 0;

	if ((mode & MODE_TRACE) || watch_on(cpu, WATCH_INSN))
		how |= SHOWN;
	if (watch_on(cpu, WATCH_PROBE) && probe_wanted(cpu, phys_page, off))
		how |= PROBED;
	if (watch_on(cpu, WATCH_MAGIC) && is_magic(in))
		how |= PROBED;
	return how;
}

/* Makes the processor's state readable in front of the instruction of @u. */
static void at_insn(UOP_ARGS)
{
	cpu->fa = fa;
	cpu->fb = fb;
	cpu->cd = cd - u->icnt;
	cpu->insn_rip = cpu->r[R_CODE] + u->off;
	if (!cpu_long64(cpu))
		cpu->insn_rip = (u32)cpu->insn_rip;
}

/* -d exec: one line per instruction. */
static void log_insn(struct cpu *cpu, const struct uop *u)
{
	char text[96];
	u64 rip = cpu->r[R_CODE] + u->off;

	if (u->insn->row == UINT16_MAX)
		snprintf(text, sizeof(text), "(bad)");
	else
		insn_format(u->insn, rip, DISASM_INTEL, text, sizeof(text));
	log_line(cpu->log, LOG_EXEC, "%12llu %04x:%016llx %s", (unsigned long long)cpu_icount(cpu),
		 cpu->seg[CS].sel, (unsigned long long)rip, text);
}

/* Apart from its handler, whose tail call a local buffer would spoil. */
static NOINLINE void show_insn(UOP_ARGS)
{
	at_insn(UOP_PASS);
	if (log_on(cpu->log, LOG_EXEC))
		log_insn(cpu, u);
	if (!watch_on(cpu, WATCH_INSN))
		return;
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if (w->wants & WATCH_BIT(WATCH_INSN))
			w->insn(w->ctx, cpu, u->insn);
}

static NOINLINE void show_block(UOP_ARGS)
{
	struct block *b = block_of(u - u->sh);

	at_insn(UOP_PASS);
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if (w->wants & WATCH_BIT(WATCH_BLOCK))
			w->block(w->ctx, cpu, b);
}

static NOINLINE bool ask_probes(UOP_ARGS)
{
	bool stop = false;

	at_insn(UOP_PASS);
	if (watch_on(cpu, WATCH_MAGIC) && is_magic(u->insn)) {
		watch_seen(cpu, &(struct seen){.kind = WATCH_MAGIC, .addr = cpu->insn_rip});
		stop = cpu->events & CPU_EV_STOP;
	}
	for (const struct cpu_watch *w = cpu->watchers->first; w; w = w->next)
		if (w->wants & WATCH_BIT(WATCH_PROBE))
			stop |= w->probe(w->ctx, cpu, u->insn);
	if (stop)
		watch_stop(cpu);
	return stop;
}

void trace_insn(UOP_ARGS)
{
	show_insn(UOP_PASS);
	NEXT;
}

void trace_block(UOP_ARGS)
{
	show_block(UOP_PASS);
	NEXT;
}

void trace_probe(UOP_ARGS)
{
	if (ask_probes(UOP_PASS))
		return uop_insn_end(UOP_PASS); /* of the instruction before */
	NEXT;
}
