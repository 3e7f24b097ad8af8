/* Keeps what explains an exception: see cpu/fault_log.h. */
#include "cpu/fault_log.h"

#include "cpu/exec/exec.h"
#include "cpu/vmx/vmx.h"

/* The instruction's bytes, where the code TLB still knows the page: it was fetched a moment ago. */
static u8 take_bytes(struct cpu *cpu, u64 rip, u8 *out)
{
	u64 lin = cpu_long64(cpu) ? rip : (u32)(rip + seg_base(cpu, CS)), page = lin & ~0xfffull;
	u8 n = 0;

	for (unsigned i = 0; i < 2 && n < 15; i++, page += 4096) {
		const struct itlb_entry *e = &cpu->tlb->x[itlb_index(page)];
		unsigned flags, off = i ? 0 : lin & 0xfff, part = MIN(15u - n, 4096 - off);
		u8 *host = e->tag == page ? cpu->bus.ram_page(cpu->bus.ctx, e->phys, &flags) : NULL;

		if (!host)
			break;
		memcpy(out + n, host + off, part);
		n += part;
	}
	return n;
}

static unsigned slot_of(enum fault_record_kind kind, const struct fault *f)
{
	return kind == FR_EXCEPTION ? f->vector & 31 : MIN(32u + kind - 1, FAULT_SLOTS - 1);
}

void fault_log_begin(struct cpu *cpu)
{
	if (cpu->fault_log)
		cpu->fault_log->chain++;
}

struct fault_record *fault_log_add(struct cpu *cpu, enum fault_record_kind kind, unsigned step)
{
	struct fault_log *log = cpu->fault_log;
	struct fault_record *r, *slot;

	if (!log)
		return NULL;
	slot = r = log->r[slot_of(kind, &cpu->fault)];
	for (unsigned i = 1; i < FAULT_SLOT_DEPTH; i++)
		if (slot[i].serial < r->serial)
			r = &slot[i];
	r->kind = kind;
	r->step = step;
	r->doubled = r->shutdown = false;
	r->chain = log->chain;
	r->serial = ++log->serial;
	r->icount = cpu_icount(cpu);
	r->f = cpu->fault;
	r->vm = cpu->vm_fault;
	r->check = cpu->vmx ? cpu->vmx->failed_check : -1;
	r->trail = cpu->trail;
	r->rip = kind == FR_ENTRY_CHECK || kind == FR_VMFAIL ? cpu->insn_rip : cpu->rip;
	memcpy(r->r, cpu->r, sizeof(r->r));
	r->rflags = cpu->rflags;
	r->mode = cpu->mode;
	r->mxcsr = cpu->mxcsr;
	r->cr0 = cpu->cr0;
	r->cr3 = cpu->cr3;
	r->cr4 = cpu->cr4;
	r->efer = cpu->efer;
	r->xcr0 = cpu->xcr0;
	r->dr7 = cpu->dr[7];
	memcpy(r->seg, cpu->seg, sizeof(r->seg));
	memcpy(r->base, &cpu->r[R_SEGBASE], sizeof(r->base));
	r->gdtr = cpu->gdtr;
	r->idtr = cpu->idtr;
	r->cpl = cpu->cpl;
	r->nonroot = vmx_nonroot(cpu);
	r->smm = cpu->smm;
	r->before = kind == FR_EXCEPTION && !step ? cpu->block_insns : 0;
	r->nbytes = take_bytes(cpu, r->rip, r->bytes);
	cpu->trail.delivering = 0;
	return r;
}

unsigned fault_log_newest(const struct cpu *cpu, const struct fault_record **out, unsigned max)
{
	const struct fault_record *all = cpu->fault_log ? cpu->fault_log->r[0] : NULL;
	u64 below = ~0ull;
	unsigned n = 0;

	for (; all && n < max; n++) {
		const struct fault_record *best = NULL;

		for (unsigned i = 0; i < FAULT_SLOTS * FAULT_SLOT_DEPTH; i++)
			if (all[i].serial && all[i].serial < below && (!best || all[i].serial > best->serial))
				best = &all[i];
		if (!best)
			break;
		below = best->serial;
		out[n] = best;
	}
	return n;
}

const struct fault_record *fault_log_last(const struct cpu *cpu, int slot)
{
	const struct fault_record *best = NULL;

	if (!cpu->fault_log || slot >= (int)FAULT_SLOTS)
		return NULL;
	if (slot < 0)
		return fault_log_newest(cpu, &best, 1) ? best : NULL;
	for (unsigned i = 0; i < FAULT_SLOT_DEPTH; i++) {
		const struct fault_record *r = &cpu->fault_log->r[slot][i];

		if (r->serial && (!best || r->serial > best->serial))
			best = r;
	}
	return best;
}

unsigned fault_log_chain(const struct cpu *cpu, u32 chain, const struct fault_record **out, unsigned max)
{
	const struct fault_record *newest[FAULT_SLOTS * FAULT_SLOT_DEPTH];
	unsigned all = fault_log_newest(cpu, newest, ARRAY_SIZE(newest)), n = 0;

	while (all-- > 0 && n < max)
		if (newest[all]->chain == chain)
			out[n++] = newest[all];
	return n;
}
