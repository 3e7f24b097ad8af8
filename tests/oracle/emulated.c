/*
 * Orrery's side: a processor in long mode at CPL 3. Low physical memory holds page tables, a GDT with Linux's selectors,
 * an IDT whose 256 handlers are each one HLT, and a TSS with the stack they get; the case's pages are elsewhere, in an
 * order of their own, so that a linear address never equals its physical one. The handler reached names the vector,
 * its stack frame holds RIP, RFLAGS and RSP.
 */
#include <stdlib.h>
#include "cpu/exec/exec.h"
#include "cpu/exec/x87.h"
#include "tests/oracle/oracle.h"

#define RAM_SIZE 0x400000u
#define SYS_LINEAR 0x70000000u /* physical 0..3FFFFh, supervisor only */
#define SYS_SIZE 0x40000u
#define PML4 0x1000u
#define PDPT 0x2000u
#define PD_BASE 0x3000u /* four page directories, one per GiB */
#define PT_NEXT 0x8000u /* page tables are taken from here up */
#define GDT 0x20000u
#define IDT 0x21000u
#define TSS 0x22000u
#define HANDLERS 0x23000u /* 16 bytes per vector */
#define STACK_TOP 0x30000u
#define CODE_PHYS 0x100000u
#define DATA_PHYS 0x208000u /* highest first */
#define LOW_PHYS 0x301000u
#define SLICE 400000u /* instructions; REP strings of the case's own pages are far below */

struct emulated {
	struct cpu cpu;
	u8 *ram;
	u32 next_pt;
};

static u8 *ram_page(void *ctx, u64 gpa, unsigned *flags)
{
	struct emulated *emu = ctx;

	*flags = BUS_PAGE_WRITABLE;
	return gpa < RAM_SIZE ? emu->ram + gpa : NULL;
}

static u64 mmio_read(void *ctx, u64 gpa, unsigned size)
{
	return ~0ull;
}

static void mmio_write(void *ctx, u64 gpa, u64 value, unsigned size)
{
}

static u32 io_read(void *ctx, u16 port, unsigned size)
{
	return ~0u;
}

static void io_write(void *ctx, u16 port, u32 value, unsigned size)
{
}

static u8 intack(void *ctx)
{
	return 0xff;
}

static u8 get_cr8(void *ctx)
{
	return 0;
}

static void set_cr8(void *ctx, u8 value)
{
}

static int apic_msr_read(void *ctx, u32 msr, u64 *value)
{
	return -1;
}

static int apic_msr_write(void *ctx, u32 msr, u64 value)
{
	return -1;
}

static void ferr(void *ctx, bool level)
{
}

static u64 virtual_time(void *ctx)
{
	return 0;
}

static void put64(struct emulated *emu, u32 phys, u64 v)
{
	memcpy(emu->ram + phys, &v, 8);
}

static u64 get64(const struct emulated *emu, u32 phys)
{
	u64 v;

	memcpy(&v, emu->ram + phys, 8);
	return v;
}

/* SDM Vol. 3A, figure 4-11: P, R/W, U/S, XD. */
static void map_page(struct emulated *emu, u32 lin, u32 phys, bool user, bool writable, bool exec)
{
	u32 pd = PD_BASE + (lin >> 30) * 0x1000 + (lin >> 21 & 511) * 8;

	if (!get64(emu, pd)) {
		put64(emu, pd, emu->next_pt | 7);
		emu->next_pt += 0x1000;
	}
	u32 pt = (u32)get64(emu, pd) & ~0xfffu;
	put64(emu, pt + (lin >> 12 & 511) * 8,
	      phys | 1 | (writable ? 2 : 0) | (user ? 4 : 0) | (exec ? 0 : BIT64(63)));
}

static u32 data_phys(u32 page)
{
	return DATA_PHYS - page * 0x2000; /* neighbours in linear space are apart and backwards */
}

static void build_tables(struct emulated *emu)
{
	emu->next_pt = PT_NEXT;
	put64(emu, PML4, PDPT | 7);
	for (u32 i = 0; i < 4; i++)
		put64(emu, PDPT + 8 * i, (PD_BASE + 0x1000 * i) | 7);
	for (u32 i = 0; i < SYS_SIZE; i += 0x1000)
		map_page(emu, SYS_LINEAR + i, i, false, true, true);
	for (u32 i = 0; i < CODE_SIZE; i += 0x1000)
		map_page(emu, CODE_BASE + i, CODE_PHYS + 2 * i, true, false, true);
	for (u32 i = 0; i < DATA_SIZE / 0x1000; i++)
		map_page(emu, DATA_BASE + i * 0x1000, data_phys(i), true, true, false);
	for (u32 i = 0; i < LOW_SIZE; i += 0x1000)
		map_page(emu, LOW_BASE + i, LOW_PHYS + 2 * i, true, true, false);

	/* Kernel code and data, then Linux's 32-bit code, data and 64-bit code, then the TSS. */
	put64(emu, GDT + 0x10, 0x00af9b000000ffffull);
	put64(emu, GDT + 0x18, 0x00cf93000000ffffull);
	put64(emu, GDT + 0x20, 0x00cffb000000ffffull);
	put64(emu, GDT + 0x28, 0x00cff3000000ffffull);
	put64(emu, GDT + 0x30, 0x00affb000000ffffull);
	u64 tss = SYS_LINEAR + TSS;
	put64(emu, GDT + 0x40,
	      0x67 | (tss & 0xffffff) << 16 | 0x8bull << 40 | (tss >> 24 & 0xff) << 56);
	put64(emu, GDT + 0x48, tss >> 32);
	put64(emu, TSS + 4, SYS_LINEAR + STACK_TOP); /* RSP0 */
	emu->ram[TSS + 102] = 0x68;		      /* no I/O bitmap */
	for (u32 v = 0; v < 256; v++) {
		u64 handler = SYS_LINEAR + HANDLERS + 16 * v;
		u64 dpl = v == EXC_BP || v == EXC_OF ? 3 : 0;
		put64(emu, IDT + 16 * v,
		      (handler & 0xffff) | 0x10 << 16 | (0x8e | dpl << 5) << 40 | (handler >> 16 & 0xffff) << 48);
		put64(emu, IDT + 16 * v + 8, handler >> 32);
		emu->ram[HANDLERS + 16 * v] = 0xf4; /* HLT */
	}
}

static void set_seg(struct cpu *cpu, unsigned seg, u16 sel, u32 ar, u32 limit, u64 base)
{
	cpu->seg[seg] = (struct seg){.sel = sel, .ar = ar, .limit = limit};
	cpu->r[R_SEGBASE + seg] = base;
}

static void set_system(struct emulated *emu, unsigned bits)
{
	struct cpu *cpu = &emu->cpu;
	u32 data = AR_P | AR_DPL | AR_S | AR_TYPE_WR | AR_TYPE_ACCESSED | AR_DB | AR_G;
	u32 code = data | AR_TYPE_CODE;

	cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
	cpu->cr3 = PML4;
	cpu->cr4 = CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP |
		   (cpu_has(cpu, FEAT_XSAVE) ? CR4_OSXSAVE : 0) | (cpu_has(cpu, FEAT_FSGSBASE) ? CR4_FSGSBASE : 0);
	cpu->xcr0 = cpu_has(cpu, FEAT_AVX) ? 7 : 3;
	cpu->efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
	cpu->gdtr = (struct dtr){.base = SYS_LINEAR + GDT, .limit = 0x4f};
	cpu->idtr = (struct dtr){.base = SYS_LINEAR + IDT, .limit = 0xfff};
	set_seg(cpu, TR, 0x40, 0x8b, 0x67, SYS_LINEAR + TSS);
	set_seg(cpu, LDTR, 0, AR_UNUSABLE, 0, 0);
	set_seg(cpu, SS, 0x2b, data, 0xffffffff, 0);
	set_seg(cpu, FS, 0, AR_UNUSABLE, 0, 0);
	set_seg(cpu, GS, 0, AR_UNUSABLE, 0, 0);
	if (bits == 64) {
		set_seg(cpu, CS, 0x33, (code & ~AR_DB) | AR_L, 0xffffffff, 0);
		set_seg(cpu, DS, 0, AR_UNUSABLE, 0, 0);
		set_seg(cpu, ES, 0, AR_UNUSABLE, 0, 0);
	} else {
		set_seg(cpu, CS, 0x23, code, 0xffffffff, 0);
		set_seg(cpu, DS, 0x2b, data, 0xffffffff, 0);
		set_seg(cpu, ES, 0x2b, data, 0xffffffff, 0);
	}
	cpu->cpl = 3;
	cpu->activity = CPU_ACTIVE;
	cpu->int_shadow = 0;
	cpu->dr[6] = 0xffff0ff0;
	cpu->dr[7] = 0x400;
	cpu->cr2 = 0;
}

static void set_user(struct cpu *cpu, const struct test_case *tc)
{
	const struct state *s = &tc->in;
	unsigned top = s->sw >> 11 & 7;

	memcpy(cpu->r, s->r, sizeof(s->r));
	cpu->rip = tc->start;
	cpu->mxcsr = s->mxcsr;
	x87_set_cw(&cpu->x87, s->cw);
	x87_set_sw(&cpu->x87, s->sw);
	x87_set_valid(&cpu->x87, s->valid);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(&cpu->x87.r[(top + i) & 7].mant, s->st[i], 8);
		memcpy(&cpu->x87.r[(top + i) & 7].se, s->st[i] + 8, 2);
	}
	for (unsigned i = 0; i < 16; i++) {
		memset(&cpu->v[i], 0, sizeof(cpu->v[i]));
		memcpy(&cpu->v[i], s->v[i], 32);
	}
	cpu_set_rflags(cpu, s->rflags | FL_R1);
	cpu_mode_changed(cpu);
}

static void get_user(const struct cpu *cpu, struct state *s)
{
	unsigned top = x87_sw(&cpu->x87) >> 11 & 7;

	memcpy(s->r, cpu->r, sizeof(s->r));
	s->mxcsr = cpu->mxcsr;
	s->cw = cpu->x87.cw;
	s->sw = x87_sw(&cpu->x87);
	s->valid = x87_valid(&cpu->x87);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(s->st[i], &cpu->x87.r[(top + i) & 7].mant, 8);
		memcpy(s->st[i] + 8, &cpu->x87.r[(top + i) & 7].se, 2);
	}
	for (unsigned i = 0; i < 16; i++)
		memcpy(s->v[i], &cpu->v[i], 32);
}

static bool has_error_code(int vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC || vector == EXC_CP;
}

struct emulated *emulated_open(const struct cpu_model *model, const u32 *feat)
{
	struct emulated *emu = aligned_alloc(64, (sizeof(*emu) + 63) / 64 * 64);

	if (!emu)
		return NULL;
	memset(emu, 0, sizeof(*emu));
	emu->ram = aligned_alloc(4096, RAM_SIZE);
	if (!emu->ram)
		goto fail;
	memset(emu->ram, 0, RAM_SIZE);
	emu->cpu.bus = (struct cpu_bus){
		.ctx = emu, .ram_page = ram_page, .mmio_read = mmio_read, .mmio_write = mmio_write,
		.io_read = io_read, .io_write = io_write, .intack = intack, .get_cr8 = get_cr8,
		.set_cr8 = set_cr8, .apic_msr_read = apic_msr_read, .apic_msr_write = apic_msr_write,
		.ferr = ferr, .time = virtual_time,
	};
	emu->cpu.bsp = true;
	memcpy(emu->cpu.feat, feat, sizeof(emu->cpu.feat));
	emu->cpu.model = model;
	if (cpu_init(&emu->cpu) < 0)
		goto fail;
	memcpy(emu->cpu.feat, feat, sizeof(emu->cpu.feat));
	build_tables(emu);
	return emu;
fail:
	free(emu->ram);
	free(emu);
	return NULL;
}

void emulated_close(struct emulated *emu)
{
	cpu_free(&emu->cpu);
	free(emu->ram);
	free(emu);
}

void emulated_data(struct emulated *emu, u8 *mem)
{
	for (u32 i = 0; i < DATA_SIZE / 0x1000; i++)
		memcpy(mem + i * 0x1000, emu->ram + data_phys(i), 0x1000);
	for (u32 i = 0; i < LOW_SIZE; i += 0x1000)
		memcpy(mem + DATA_SIZE + i, emu->ram + LOW_PHYS + 2 * i, 0x1000);
}

static void load_memory(struct emulated *emu, const struct test_case *tc)
{
	u8 code[CODE_SIZE];

	lay_code(tc, code);
	for (u32 i = 0; i < CODE_SIZE; i += 0x1000) {
		memcpy(emu->ram + CODE_PHYS + 2 * i, code + i, 0x1000);
		cpu_ram_written(&emu->cpu, CODE_PHYS + 2 * i, 0x1000);
	}
	for (u32 i = 0; i < DATA_SIZE / 0x1000; i++)
		memcpy(emu->ram + data_phys(i), tc->memory + i * 0x1000, 0x1000);
	for (u32 i = 0; i < LOW_SIZE; i += 0x1000)
		memcpy(emu->ram + LOW_PHYS + 2 * i, tc->memory + DATA_SIZE + i, 0x1000);
}

void emulated_run(struct emulated *emu, const struct test_case *tc, struct outcome *res)
{
	struct cpu *cpu = &emu->cpu;

	memset(res, 0, sizeof(*res));
	load_memory(emu, tc);
	set_system(emu, tc->bits);
	set_user(cpu, tc);
	cpu->fault.why = NULL;
	enum cpu_exit exit = cpu_run(cpu, SLICE);
	get_user(cpu, &res->out);
	res->why = cpu->fault.why;
	u64 handler = cpu->rip - 1 - (SYS_LINEAR + HANDLERS);
	if (exit != CPU_EXIT_HALT || handler >= 16 * 256 || handler & 15) {
		res->vector = exit == CPU_EXIT_SHUTDOWN ? END_SHUTDOWN : END_HANG;
		res->out.rip = cpu->rip;
		res->out.rflags = cpu_rflags(cpu);
		return;
	}
	res->vector = (int)(handler / 16);
	res->addr = res->vector == EXC_PF ? cpu->cr2 : 0;
	u32 frame = (u32)cpu->r[RSP] - SYS_LINEAR + (has_error_code(res->vector) ? 8 : 0);
	res->out.rip = get64(emu, frame);
	res->out.rflags = (u32)get64(emu, frame + 16);
	res->out.r[RSP] = get64(emu, frame + 24);
}
