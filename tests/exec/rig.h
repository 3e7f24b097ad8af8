/*
 * A processor in a random state (any mode, registers, flags, descriptors, page tables, breakpoints)
 * on a bus that answers with noise and raises events, made from a string of bytes: one of mode, one
 * of features, 16 of seed, then guest code.
 */
#ifndef ORRERY_TESTS_EXEC_RIG_H
#define ORRERY_TESTS_EXEC_RIG_H

#include <stdlib.h>

#include "cpu/exec/cpuid.h"
#include "cpu/exec/system.h"
#include "cpu/exec/x87.h"

#define RAM_SIZE 0x40000u
#define CODE     0x8000u
#define TABLES   0x1000u /* PML4, PDPT, PD, PT */
#define GDT      0x5000u
#define IDT      0x6000u
#define TSS      0x7000u

struct rig {
	struct cpu cpu;
	u8 *ram;
	u64 rng, io_rng;
};

static u64 next(u64 *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}

static void require(bool held)
{
	if (!held)
		abort();
}

/* ---- a bus that answers with noise, and raises events --------------------------------------- */

static u8 *ram_page(void *ctx, u64 gpa, unsigned *flags)
{
	struct rig *r = ctx;

	if (gpa >= RAM_SIZE)
		return NULL;
	*flags = gpa >= RAM_SIZE - 0x4000 ? 0 : BUS_PAGE_WRITABLE; /* the last pages are ROM */
	return r->ram + gpa;
}

static u64 device(struct rig *r)
{
	static const u32 events[] = {CPU_EV_INTR, CPU_EV_INTR, CPU_EV_NMI, CPU_EV_SMI};
	u64 v = next(&r->io_rng);

	if ((v >> 60) == 1)
		cpu_event_set(&r->cpu, events[v >> 58 & 3]);
	return v;
}

static u64 mmio_read(void *ctx, u64 gpa, unsigned size)
{
	require(size == 1 || size == 2 || size == 4 || size == 8);
	return device(ctx);
}

static void mmio_write(void *ctx, u64 gpa, u64 value, unsigned size)
{
	require(size == 1 || size == 2 || size == 4 || size == 8);
	device(ctx);
}

static u32 io_read(void *ctx, u16 port, unsigned size)
{
	require(size == 1 || size == 2 || size == 4);
	return (u32)device(ctx);
}

static void io_write(void *ctx, u16 port, u32 value, unsigned size)
{
	require(size == 1 || size == 2 || size == 4);
	device(ctx);
}

static u8 intack(void *ctx)
{
	struct rig *r = ctx;

	if (device(r) & 1)
		cpu_event_clear(&r->cpu, CPU_EV_INTR);
	return (u8)next(&r->io_rng);
}

static u8 get_cr8(void *ctx)
{
	return 5;
}

static void set_cr8(void *ctx, u8 value)
{
}

static int apic_msr_read(void *ctx, u32 msr, u64 *value)
{
	*value = 0xfee00900;
	return msr == 0x1b ? 0 : -1;
}

static int apic_msr_write(void *ctx, u32 msr, u64 value)
{
	return msr == 0x1b ? 0 : -1;
}

static void ferr(void *ctx, bool level)
{
}

static u64 virtual_time(void *ctx)
{
	return cpu_icount(&((struct rig *)ctx)->cpu);
}

static void set_smm(void *ctx, bool active)
{
}

/* ---- random state --------------------------------------------------------------------------- */

static void put64(struct rig *r, u32 at, u64 v)
{
	memcpy(r->ram + at, &v, 8);
}

/* Mostly pointers into RAM, sometimes anything. */
static u64 some_address(struct rig *r)
{
	u64 v = next(&r->rng);

	switch (v >> 60) {
	case 0: return v;
	case 1: return v & 0xff;
	case 2: return (u64)sext(v, 32);
	case 3: return (v & 0xfffff000) | (0xff0 + (v >> 40 & 15)); /* near the end of a page */
	default: return v % RAM_SIZE;
	}
}

static u64 some_descriptor(struct rig *r)
{
	static const u16 ar[] = {0xc09b, 0xc093, 0xa09b, 0x009b, 0x0093, 0xc0fb, 0xc0f3, 0xa0fb,
				 0x00fb, 0x00f3, 0x0089, 0x0082, 0x008c, 0x0085, 0x008b, 0xc097};
	u64 v = next(&r->rng), rights = ar[v & 15];

	if ((v >> 8 & 15) == 0)
		rights = v >> 32 & 0xf0ff;
	u64 base = v >> 12 & 1 ? 0 : v >> 40 & 0xff00,
	    limit = v >> 13 & 3 ? 0xfffff : v >> 20 & 0xfffff;
	return (limit & 0xffff) | base << 16 | (rights & 0xf0ff) << 40 | (limit >> 16) << 48;
}

static void fill_tables(struct rig *r, bool lma)
{
	for (unsigned i = 0; i < 512; i++) {
		u64 v = next(&r->rng);
		u64 flags = (v & 31) == 0 ? v & 0x8000000000000fff : 7;
		u64 frame = (v >> 8 & 63) == 0 ? v & 0xfffff000 : (u64)i << 12;
		put64(r, TABLES + 0x3000 + 8 * i, (frame % (2 * RAM_SIZE)) | flags);
	}
	/* Every entry leads to the one table below: any address is mapped. */
	for (unsigned i = 0; i < 512; i++) {
		put64(r, TABLES + 8 * i, (TABLES + 0x1000) | 7);
		put64(r, TABLES + 0x1000 + 8 * i, (TABLES + 0x2000) | (lma ? 7 : 1));
		put64(r, TABLES + 0x2000 + 8 * i, (TABLES + 0x3000) | 7);
	}
	for (unsigned i = 1; i < 32; i++)
		put64(r, GDT + 8 * i, some_descriptor(r));
	for (unsigned v = 0; v < 256; v++) {
		u64 x = next(&r->rng), to = x % RAM_SIZE, sel = x >> 32 & 0xf8;
		unsigned type =
		    x >> 40 & 15 ? 0x8e | (x >> 44 & 1) | (x >> 45 & 0x60) : x >> 48 & 0xff;
		u64 gate = (to & 0xffff) | sel << 16 | (u64)type << 40 | (to >> 16) << 48;
		put64(r, lma ? IDT + 16 * v : IDT + 8 * v, gate);
		if (lma)
			put64(r, IDT + 16 * v + 8, 0);
	}
	for (unsigned i = 0; i < 13; i++)
		put64(r, TSS + 8 * i, some_address(r) & 0xfffffff8);
}

enum setup { REAL, PROTECTED16, PROTECTED32, PAGED32, V86, LONG64, COMPAT, SETUPS };

static void set_segments(struct rig *r, enum setup how, unsigned cpl)
{
	struct cpu *c = &r->cpu;

	for (unsigned s = ES; s <= GS; s++) {
		if (how == REAL || how == V86) {
			seg_install_real(c, s, s == CS ? CODE >> 4 : (u16)(next(&r->rng) & 0xfff),
					 how == V86);
			continue;
		}
		u64 raw = s == CS ? 0x00cf9b000000ffff : 0x00cf93000000ffff;
		if (how == LONG64 && s == CS)
			raw = 0x00af9b000000ffff;
		if (how == PROTECTED16)
			raw &= ~0x0040000000000000ull;
		if (s != CS && next(&r->rng) % 4 == 0)
			raw ^= (u64)(next(&r->rng) & 0xff00) << 16; /* a base: not flat */
		seg_install(c, s, (u16)(8 * (s + 1) | cpl), raw | (u64)cpl << 45);
	}
	if (how == LONG64 || how == COMPAT) {
		c->r[R_SEGBASE + FS] = some_address(r);
		c->r[R_SEGBASE + GS] = some_address(r);
	}
	c->cpl = how == V86 ? 3 : (u8)cpl;
}

static void set_control(struct rig *r, enum setup how)
{
	struct cpu *c = &r->cpu;
	u64 v = next(&r->rng);
	bool lma = how >= LONG64;

	c->gdtr = (struct dtr){GDT, 0xff};
	c->idtr = how == REAL ? (struct dtr){0, 0x3ff} : (struct dtr){IDT, lma ? 0xfff : 0x7ff};
	if (how != REAL)
		c->cr0 |= CR0_PE;
	c->cr0 |= (v & 1 ? CR0_NE : 0) | (v & 2 ? CR0_WP : 0) | (v & 4 ? CR0_AM : 0) |
		  ((v & 0x70) ? 0 : CR0_TS) | ((v & 0x380) ? 0 : CR0_EM);
	c->cr4 = v >> 16 & 0x30f & cr4_supported(c);
	if (v >> 40 & 3)
		c->cr4 |= (CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE) & cr4_supported(c);
	if (c->cr4 & CR4_OSXSAVE && v >> 42 & 1)
		c->xcr0 = xcr0_supported(c);
	c->efer = lma ? EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE : v & (EFER_SCE | EFER_NXE);
	if (how >= PAGED32) {
		c->cr0 |= CR0_PG;
		c->cr4 |= CR4_PAE;
		c->cr3 = lma ? TABLES : TABLES + 0x1000;
		for (unsigned i = 0; i < 4; i++)
			c->pdpte[i] = (TABLES + 0x2000) | 1;
	}
	c->mxcsr = v >> 50 & 1 ? (u32)(v & 0xffff) : 0x1f80;
	if (v >> 52 & 1) {
		for (unsigned i = 0; i < 4; i++)
			c->dr[i] = some_address(r);
		c->dr[7] = 0x400 | (next(&r->rng) & 0xffff00ff);
	}
	c->star = 0x0008000800000000 | (v & 0x38) << 32;
	c->lstar = c->cstar = CODE;
	c->sysenter_cs = 8;
	c->sysenter_eip = CODE;
	c->sysenter_esp = some_address(r);
	c->seg[TR] = (struct seg){.sel = 0x40, .ar = 0x8b, .limit = 0x67};
	c->r[R_SEGBASE + TR] = TSS;
}

#define RIG_HEAD 18 /* bytes before the code */

static inline struct rig *rig_new(const u8 *data, size_t size)
{
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	static const char *const models[] = {"max", "max", "skylake", "486"};
	enum setup how = data[0] % SETUPS;
	char err[200];
	u32 flags;

	require(r != NULL);
	memset(r, 0, sizeof(*r));
	memcpy(&r->rng, data + 2, 8);
	memcpy(&r->io_rng, data + 10, 8);
	r->rng |= 1;
	r->io_rng |= 1;
	r->ram = calloc(1, RAM_SIZE);
	require(!cpu_model_parse(how >= LONG64 ? "max" : models[data[1] & 3], &r->cpu.model,
				 r->cpu.feat, err, sizeof(err)));
	r->cpu.bus = (struct cpu_bus){
	    .ctx = r,
	    .ram_page = ram_page,
	    .mmio_read = mmio_read,
	    .mmio_write = mmio_write,
	    .io_read = io_read,
	    .io_write = io_write,
	    .intack = intack,
	    .get_cr8 = get_cr8,
	    .set_cr8 = set_cr8,
	    .apic_msr_read = apic_msr_read,
	    .apic_msr_write = apic_msr_write,
	    .ferr = ferr,
	    .time = virtual_time,
	    .set_smm = set_smm,
	};
	r->cpu.bsp = true;
	require(cpu_init(&r->cpu) == 0);
	for (u32 at = 0; at < RAM_SIZE; at += 8)
		put64(r, at, data[1] & 4 ? next(&r->rng) : 0x9090909090909090);
	fill_tables(r, how >= LONG64);
	memcpy(r->ram + CODE + (data[1] & 8 ? 0xff0 : 0), data + RIG_HEAD,
	       MIN(size - RIG_HEAD, 0x2000));
	for (unsigned i = 0; i < 16; i++)
		r->cpu.r[i] = some_address(r) & (how == LONG64 ? ~0ull : 0xffffffff);
	r->cpu.r[RCX] &= 0xffff; /* repeats that end */
	for (unsigned i = 0; i < 32; i++)
		for (unsigned q = 0; q < 8; q++)
			r->cpu.v[i].q[q] = next(&r->rng);
	for (unsigned i = 0; i < 8; i++) {
		r->cpu.x87.r[i].mant = next(&r->rng);
		r->cpu.x87.r[i].se = (u16)next(&r->rng);
	}
	x87_set_valid(&r->cpu.x87, (u8)next(&r->rng));
	x87_set_cw(&r->cpu.x87, data[1] & 16 ? (u16)(next(&r->rng) & 0x1f7f) | 0x40 : 0x37f);
	flags = (u32)next(&r->rng) &
		(FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC);
	flags &= data[1] & 32 ? ~0u : ~(FL_TF | FL_NT);
	cpu_set_rflags(&r->cpu, flags | FL_R1 | (how == V86 ? FL_VM : 0));
	set_control(r, how);
	set_segments(r, how, data[1] & 0xc0 || how == V86 ? 3 : 0);
	r->cpu.rip = how == REAL || how == V86 ? (data[1] & 8 ? 0xff0 : 0)
					       : CODE + (data[1] & 8 ? 0xff0 : 0);
	cpu_mode_changed(&r->cpu);
	mmu_flush_all(&r->cpu);
	return r;
}

static inline void rig_free(struct rig *r)
{
	cpu_free(&r->cpu);
	free(r->ram);
	free(r);
}

/* ---- the run -------------------------------------------------------------------------------- */

/* Runs to @budget in slices of @slice at most. */
static inline void rig_run(struct rig *r, u64 budget, u64 slice)
{
	u64 start = cpu_icount(&r->cpu);

	for (unsigned wakes = 0; cpu_icount(&r->cpu) - start < budget;) {
		u64 before = cpu_icount(&r->cpu), n = budget - (before - start);
		n = MIN(n, slice);
		enum cpu_exit why = cpu_run(&r->cpu, n);
		u64 ran = cpu_icount(&r->cpu) - before;
		require(ran <= n);
		require(why != CPU_EXIT_BUDGET || ran == n);
		if (why == CPU_EXIT_SHUTDOWN)
			break;
		if (why == CPU_EXIT_HALT) {
			if (wakes++ == 4)
				break;
			cpu_event_set(&r->cpu, CPU_EV_NMI);
		}
	}
}

static inline void rig_same(const struct rig *a, const struct rig *b)
{
	struct cpu x = a->cpu, y = b->cpu;

	require(!memcmp(x.r, y.r, 16 * 8));
	require(x.rip == y.rip && cpu_rflags(&x) == cpu_rflags(&y));
	require(!memcmp(x.seg, y.seg, sizeof(x.seg)));
	require(x.cr0 == y.cr0 && x.cr2 == y.cr2 && x.cr3 == y.cr3 && x.cr4 == y.cr4 &&
		x.efer == y.efer);
	require(x.cpl == y.cpl && x.activity == y.activity && x.int_shadow == y.int_shadow);
	x87_for_snapshot(&x.x87);
	x87_for_snapshot(&y.x87);
	require(x.mxcsr == y.mxcsr && !memcmp(&x.x87, &y.x87, sizeof(x.x87)));
	require(!memcmp(x.v, y.v, sizeof(x.v)));
	require(!memcmp(x.dr, y.dr, sizeof(x.dr)));
	require(a->io_rng == b->io_rng && cpu_icount(&x) == cpu_icount(&y));
	require(!memcmp(a->ram, b->ram, RAM_SIZE));
}

#endif
