/* The state hash, and explanations of why a machine cannot go on. */
#include "machine/machine_internal.h"

#include "cpu/exec/flags.h"
#include "cpu/vmx/vmx.h"

/* ---- hash: 64-bit multiply-xor over words; order and names of what goes in are fixed
 * ---------------------- */

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

static u64 mix_bytes(u64 h, const void *p, size_t n)
{
	const u8 *b = p;
	for (; n >= 8; n -= 8, b += 8) {
		u64 v;
		memcpy(&v, b, 8);
		h = mix(h, v);
	}
	u64 last = 0;
	memcpy(&last, b, n);
	return n ? mix(h, last) : h;
}

static u64 hash_cpu(struct cpu *c, u64 h)
{
	h = mix_bytes(h, c->r, 16 * 8);
	h = mix(mix(mix(h, c->rip), cpu_rflags(c)), cpu_icount(c));
	for (unsigned i = 0; i < NSEGS; i++)
		h = mix(mix(mix(h, seg_base(c, i)), c->seg[i].sel),
			(u64)c->seg[i].ar << 32 | c->seg[i].limit);
	h = mix(mix(h, c->gdtr.base ^ (u64)c->gdtr.limit << 48),
		c->idtr.base ^ (u64)c->idtr.limit << 48);
	h = mix(mix(mix(mix(mix(h, c->cr0), c->cr2), c->cr3), c->cr4), c->xcr0);
	h = mix_bytes(h, c->dr, sizeof(c->dr));
	h = mix(mix(h, c->pkru), c->mxcsr);
	for (unsigned i = 0; i < 8; i++)
		h = mix(mix(h, c->x87.r[i].mant), c->x87.r[i].se);
	h = mix(h, c->x87.cw | c->x87.sw << 16 | (u64)c->x87.valid << 32);
	h = mix_bytes(h, c->v, sizeof(c->v));
	h = mix(mix(mix(mix(mix(h, c->efer), c->star), c->lstar), c->cstar), c->sfmask);
	h = mix(mix(mix(h, c->kernel_gs_base), c->tsc_aux), c->tsc_offset);
	h = mix(mix(mix(h, c->sysenter_cs), c->sysenter_esp), c->sysenter_eip);
	if (c->vmx)
		h = mix_bytes(mix(mix(h, c->vmx_mode), c->vmx->current), &c->vmx->vmcs, sizeof(c->vmx->vmcs));
	return mix(mix(h, c->pat),
		   c->activity | c->cpl << 8 | (u64)c->events << 16 | (u64)c->smm << 48);
}

static bool zero_page(const u8 *p)
{
	u64 any = 0;
	for (unsigned i = 0; i < 4096; i += 8) {
		u64 v;
		memcpy(&v, p + i, 8);
		any |= v;
	}
	return !any;
}

u64 machine_state_hash(struct machine *m)
{
	u64 h = 0x6f72726572790001ull;
	for (unsigned i = 0; i < m->cpu_count; i++)
		h = hash_cpu(m->cpus[i], h);
	h = mix(mix(h, machine_now(m)), m->cpu->index);
	if (m->cpu_count > 1)
		h = mix(h, m->switch_at - machine_icount(m));
	for (u64 at = 0; at < m->ram.size_bytes; at += 4096)
		if (!zero_page(m->ram.host + at))
			h = mix_bytes(mix(h, at), m->ram.host + at, 4096);
	return pc_hash(&m->pc, h);
}

/* ---- explanations
 * --------------------------------------------------------------------------------------------- */

static const char *vector_name(unsigned vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
					    "#DF", "#9",  "#TS", "#NP", "#SS", "#GP", "#PF", "#15",
					    "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	return vector < ARRAY_SIZE(names) ? names[vector] : "interrupt";
}

PRINTF_LIKE(2, 3) static void say(struct machine *m, const char *fmt, ...)
{
	size_t n = strlen(m->explanation);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m->explanation + n, sizeof(m->explanation) - n, fmt, ap);
	va_end(ap);
}

static void say_fault(struct machine *m, const char *intro, const struct fault *f)
{
	say(m, "\n  %s %s", intro, vector_name(f->vector));
	if (f->has_err)
		say(m, "(0x%x)", f->err);
	if (f->vector == EXC_PF)
		say(m, " at address 0x%llx", (unsigned long long)f->addr);
	say(m, ": %s (value 0x%llx)", f->why ? f->why : "no reason recorded",
	    (unsigned long long)f->value);
}

const char *machine_mode_name(const struct cpu *c)
{
	return c->rflags & FL_VM                  ? "virtual-8086"
	       : !(c->cr0 & CR0_PE)               ? "real"
	       : (c->mode & MODE_BITS) == MODE_64 ? "64-bit"
	       : c->efer & EFER_LMA               ? "compatibility"
						  : "protected";
}

static void say_where(struct machine *m)
{
	struct cpu *c = m->cpu;
	const char *mode = machine_mode_name(c);
	if (m->cpu_count > 1)
		say(m, "\n  on processor %u", c->index);
	say(m,
	    "\n  at %04x:%llx in %s mode, CPL %u, SS:SP %04x:%llx, CR0 %llx CR3 %llx CR4 %llx EFER "
	    "%llx,"
	    "\n  GDT %llx limit %x, IDT %llx limit %x, TR %04x, after %llu instructions.",
	    c->seg[CS].sel, (unsigned long long)c->rip, mode, c->cpl, c->seg[SS].sel,
	    (unsigned long long)c->r[RSP], (unsigned long long)c->cr0, (unsigned long long)c->cr3,
	    (unsigned long long)c->cr4, (unsigned long long)c->efer,
	    (unsigned long long)c->gdtr.base, c->gdtr.limit, (unsigned long long)c->idtr.base,
	    c->idtr.limit, c->seg[TR].sel, (unsigned long long)cpu_icount(c));
}

void machine_explain_triple_fault(struct machine *m)
{
	static const char *const intro[] = {
	    "first:", "while delivering it:", "while delivering #DF:", "it began with"};
	const unsigned origin = 3;
	m->explanation[0] = 0;
	say(m, "Triple fault: the processor shut down (SDM Vol. 3A, 6.15).");
	if (m->cpu->triple[origin].why)
		say_fault(m, intro[origin], &m->cpu->triple[origin]);
	for (unsigned i = 0; i < origin; i++)
		if (m->cpu->triple[i].why)
			say_fault(m, intro[i], &m->cpu->triple[i]);
	say_where(m);
}

void machine_explain_hang(struct machine *m)
{
	m->explanation[0] = 0;
	if (cpu_rflags(m->cpu) & FL_IF)
		say(m, "The processor is halted (HLT) with interrupts on, but no timer is armed "
		       "and no input can arrive.");
	else
		say(m, "The processor is halted (HLT) with interrupts off (IF = 0): nothing can "
		       "wake it.");
	say_where(m);
}
