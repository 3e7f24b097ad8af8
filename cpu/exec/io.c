/*
 * IN, OUT, INS, OUTS (SDM Vol. 2; Vol. 1, chapter 18): permission by CPL, IOPL and the TSS bitmap,
 * I/O breakpoints.
 */
#include "cpu/exec/string.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"

static void io_breakpoint(struct cpu *cpu, u16 port, unsigned size)
{
	cpu->dr6_pending |= debug_io_hits(cpu, port, size);
}

SIMPLE(in)
{
	unsigned size = in->op[0].size;
	u64 port;
	u32 v;

	if (op_read(cpu, in, 1, &port) || io_permission(cpu, port, size))
		return 1;
	v = cpu->bus.io_read(cpu->bus.ctx, port, size);
	reg_write(cpu, RAX, size, v);
	watch_io(cpu, port, size, v, false);
	io_breakpoint(cpu, port, size);
	return 0;
}

SIMPLE(out)
{
	unsigned size = in->op[1].size;
	u64 port;

	if (op_read(cpu, in, 0, &port) || io_permission(cpu, port, size))
		return 1;
	watch_io(cpu, port, size, zext_bytes(cpu->r[RAX], size), true);
	cpu->bus.io_write(cpu->bus.ctx, port, zext_bytes(cpu->r[RAX], size), size);
	io_breakpoint(cpu, port, size);
	return 0;
}

/* Iterations per call: each may reach a device, which may raise an event. */
#define IO_BATCH 1024

/*
 * How many of the next @n elements at @lin lie in one page of plain memory, at *@host. 1 where they
 * must go one by one: the trap flag, breakpoints on ports, a watcher, the wrong direction.
 */
static u32 io_run(struct cpu *cpu, const struct insn *in, unsigned seg, unsigned reg, u64 lin,
		  unsigned size, u32 n, unsigned acc, u8 **host)
{
	u64 off = reg_read(cpu, reg, in->adsize), end, count = MIN(string_count(cpu, in), n);

	*host = NULL;
	count = MIN(count, (4096 - (lin & 4095)) / size);
	if (count < 2 || !string_rep(in) || (cpu->rflags & FL_DF) || (cpu->dr[7] & 0xff) ||
	    string_must_pause(cpu) || watch_on(cpu, WATCH_IO))
		return 1;
	if (in->adsize != 8 && off + count * size > BIT64(in->adsize * 8))
		return 1;
	if (seg_linear(cpu, seg, off, count * size, acc, &end))
		return 1;
	*host = mem_host(cpu, lin, count * size, acc);
	return *host ? (u32)count : 1;
}

/* Moves up to @n elements from the port to @data: how many. */
static u32 read_units(struct cpu *cpu, u16 port, unsigned size, u8 *data, u32 n)
{
	u32 v;

	if (cpu->bus.io_read_run)
		return cpu->bus.io_read_run(cpu->bus.ctx, port, size, data, n);
	v = cpu->bus.io_read(cpu->bus.ctx, port, size);
	memcpy(data, &v, size);
	return 1;
}

static u32 write_units(struct cpu *cpu, u16 port, unsigned size, const u8 *data, u32 n)
{
	u32 v = 0;

	if (cpu->bus.io_write_run)
		return cpu->bus.io_write_run(cpu->bus.ctx, port, size, data, n);
	memcpy(&v, data, size);
	cpu->bus.io_write(cpu->bus.ctx, port, v, size);
	return 1;
}

SIMPLE(ins)
{
	unsigned size = string_size(in);
	u16 port = cpu->r[RDX];

	for (unsigned done = 0;;) {
		u64 lin;
		u32 v = 0, n;
		u8 *host;

		if (!string_count(cpu, in))
			return 0;
		/* The port may not be read before the store is known to succeed. */
		if (io_permission(cpu, port, size) ||
		    seg_linear(cpu, ES, reg_read(cpu, RDI, in->adsize), size, ACC_W, &lin) ||
		    mem_probe(cpu, lin, size, ACC_W))
			return 1;
		n = io_run(cpu, in, ES, RDI, lin, size, IO_BATCH - done, ACC_W, &host);
		n = read_units(cpu, port, size, host ? host : (u8 *)&v, n);
		watch_io(cpu, port, size, v, false);
		if (!host && mem_write(cpu, lin, &v, size, ACC_W))
			return 1;
		io_breakpoint(cpu, port, size);
		string_advance(cpu, in, RDI, size, n);
		if (string_step_done(cpu, in, n))
			return 0;
		done += n;
		if (done >= IO_BATCH || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

SIMPLE(outs)
{
	unsigned size = string_size(in);
	u16 port = cpu->r[RDX];

	for (unsigned done = 0;;) {
		u32 v = 0, n;
		u64 lin;
		u8 *host;

		if (!string_count(cpu, in))
			return 0;
		if (io_permission(cpu, port, size) ||
		    seg_linear(cpu, in->seg, reg_read(cpu, RSI, in->adsize), size, ACC_R, &lin) ||
		    mem_read(cpu, lin, &v, size, ACC_R))
			return 1;
		n = io_run(cpu, in, in->seg, RSI, lin, size, IO_BATCH - done, ACC_R, &host);
		watch_io(cpu, port, size, v, true);
		n = write_units(cpu, port, size, host ? host : (u8 *)&v, n);
		io_breakpoint(cpu, port, size);
		string_advance(cpu, in, RSI, size, n);
		if (string_step_done(cpu, in, n))
			return 0;
		done += n;
		if (done >= IO_BATCH || string_must_pause(cpu))
			return string_pause(cpu);
	}
}
