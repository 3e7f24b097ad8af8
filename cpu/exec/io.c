/*
 * IN, OUT, INS, OUTS (SDM Vol. 2; Vol. 1, chapter 18): permission by CPL, IOPL and the TSS bitmap,
 * I/O breakpoints.
 */
#include "cpu/exec/string.h"
#include "cpu/exec/system.h"

static void io_breakpoint(struct cpu *cpu, u16 port, unsigned size)
{
	cpu->dr6_pending |= debug_io_hits(cpu, port, size);
}

SIMPLE(in)
{
	unsigned size = in->op[0].size;
	u64 port;

	if (op_read(cpu, in, 1, &port) || io_permission(cpu, port, size))
		return 1;
	reg_write(cpu, RAX, size, cpu->bus.io_read(cpu->bus.ctx, port, size));
	io_breakpoint(cpu, port, size);
	return 0;
}

SIMPLE(out)
{
	unsigned size = in->op[1].size;
	u64 port;

	if (op_read(cpu, in, 0, &port) || io_permission(cpu, port, size))
		return 1;
	cpu->bus.io_write(cpu->bus.ctx, port, zext_bytes(cpu->r[RAX], size), size);
	io_breakpoint(cpu, port, size);
	return 0;
}

/* Iterations per call: each may reach a device, which may raise an event. */
#define IO_BATCH 1024

SIMPLE(ins)
{
	unsigned size = string_size(in);
	u16 port = cpu->r[RDX];

	for (unsigned done = 0;;) {
		u64 lin;
		u32 v;

		if (!string_count(cpu, in))
			return 0;
		/* The port may not be read before the store is known to succeed. */
		if (io_permission(cpu, port, size) ||
		    seg_linear(cpu, ES, reg_read(cpu, RDI, in->adsize), size, ACC_W, &lin) ||
		    mem_probe(cpu, lin, size, ACC_W))
			return 1;
		v = cpu->bus.io_read(cpu->bus.ctx, port, size);
		if (mem_write(cpu, lin, &v, size, ACC_W))
			return 1;
		io_breakpoint(cpu, port, size);
		string_advance(cpu, in, RDI, size, 1);
		if (string_step_done(cpu, in, 1))
			return 0;
		if (++done >= IO_BATCH || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

SIMPLE(outs)
{
	unsigned size = string_size(in);
	u16 port = cpu->r[RDX];

	for (unsigned done = 0;;) {
		u32 v = 0;
		u64 lin;

		if (!string_count(cpu, in))
			return 0;
		if (io_permission(cpu, port, size) ||
		    seg_linear(cpu, in->seg, reg_read(cpu, RSI, in->adsize), size, ACC_R, &lin) ||
		    mem_read(cpu, lin, &v, size, ACC_R))
			return 1;
		cpu->bus.io_write(cpu->bus.ctx, port, v, size);
		io_breakpoint(cpu, port, size);
		string_advance(cpu, in, RSI, size, 1);
		if (string_step_done(cpu, in, 1))
			return 0;
		if (++done >= IO_BATCH || string_must_pause(cpu))
			return string_pause(cpu);
	}
}
