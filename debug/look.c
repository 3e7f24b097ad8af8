/* Looking at, and changing, a processor that stands still: memory, addresses, instructions. A look leaves no trace. */
#include "debug/debugger_internal.h"

u64 dbg_pc(struct cpu *cpu)
{
	return dbg_linear(cpu, cpu->rip);
}

u32 dbg_rflags(struct debugger *d, struct cpu *cpu)
{
	if (d->in_probe == cpu)
		return watch_rflags(cpu);
	/* In the middle of an instruction the arithmetic flags may be elsewhere; these are what it found or left. */
	return d->in_seen ? cpu->rflags : cpu_rflags(cpu);
}

void dbg_set_rip(struct cpu *cpu, u64 rip)
{
	cpu->rip = rip;
	cpu->fault_pending = false;
	if (cpu->activity == CPU_HLT || cpu->activity >= CPU_MWAIT)
		cpu->activity = CPU_ACTIVE;
}

bool dbg_translate(struct cpu *cpu, u64 lin, u64 *phys)
{
	static const unsigned as[] = {ACC_R | ACC_SYS, ACC_R | ACC_USER, ACC_X};
	struct walk_record rec;
	struct xlat x;
	struct fault fault = cpu->fault;
	struct vm_fault vm_fault = cpu->vm_fault;
	bool found = false;
	for (unsigned i = 0; i < ARRAY_SIZE(as) && !found; i++)
		found = !mmu_walk_record(cpu, lin, as[i], &x, &rec);
	cpu->fault = fault;
	cpu->vm_fault = vm_fault;
	if (found)
		*phys = x.gpa;
	return found;
}

/* Up to @n bytes that lie in one page. */
static unsigned move_phys(struct cpu *cpu, u64 gpa, void *buf, unsigned n, bool write)
{
	unsigned part = MIN(n, 4096u - (unsigned)(gpa & 0xfff)), flags;
	u8 *host = cpu->bus.ram_page(cpu->bus.ctx, gpa & ~0xfffull, &flags);
	if (!host)
		return 0;
	host += gpa & 0xfff;
	if (!write) {
		memcpy(buf, host, part);
		return part;
	}
	memcpy(host, buf, part);
	cpu_ram_written(cpu, gpa, part);
	return part;
}

static unsigned move(struct cpu *cpu, u64 at, void *buf, unsigned n, bool write, bool linear)
{
	unsigned done = 0;
	while (done < n) {
		u64 phys = at + done;
		u64 room = 4096 - (phys & 0xfff);
		if (linear && !cpu_long64(cpu))
			phys = (u32)phys;
		if (linear && !dbg_translate(cpu, phys, &phys))
			break;
		unsigned part = move_phys(cpu, phys, (u8 *)buf + done, (unsigned)MIN(n - done, room), write);
		if (!part)
			break;
		done += part;
	}
	return done;
}

unsigned dbg_read(struct cpu *cpu, u64 lin, void *buf, unsigned n)
{
	return move(cpu, lin, buf, n, false, true);
}

unsigned dbg_read_phys(struct cpu *cpu, u64 gpa, void *buf, unsigned n)
{
	return move(cpu, gpa, buf, n, false, false);
}

unsigned dbg_write(struct cpu *cpu, u64 lin, const void *buf, unsigned n)
{
	return move(cpu, lin, (void *)buf, n, true, true);
}

unsigned dbg_write_phys(struct cpu *cpu, u64 gpa, const void *buf, unsigned n)
{
	return move(cpu, gpa, (void *)buf, n, true, false);
}

unsigned dbg_decode(struct cpu *cpu, u64 lin, unsigned bits, struct insn *in, u8 *bytes)
{
	static const u8 widths[] = {16, 32, 64};
	u8 own[15];
	struct decode_mode mode = {.bits = bits ? (u8)bits : widths[MIN(cpu->mode & MODE_BITS, 2u)],
				   .real_or_v86 = !cpu_protected(cpu),
				   .feat = cpu->feat};
	u8 *b = bytes ? bytes : own;
	unsigned n = dbg_read(cpu, lin, b, 15);
	return n && insn_decode(&mode, b, n, in) == DECODE_OK ? in->len : 0;
}
