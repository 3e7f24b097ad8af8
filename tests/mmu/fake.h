/* A processor without an execution core, on a bus of RAM, one ROM page, and MMIO that logs. */
#ifndef ORRERY_TESTS_MMU_FAKE_H
#define ORRERY_TESTS_MMU_FAKE_H

#include <check.h>
#include <stdlib.h>

#include "tests/suite.h"
#include "cpu/mmu/mmu.h"

#define RAM_PAGES 64u
#define RAM_SIZE  (RAM_PAGES * 4096u)
#define ROM_BASE  0x200000ull
#define MMIO_BASE 0x300000ull

struct mmio_op {
	u64 gpa, value;
	unsigned size;
	bool write;
};

struct fake {
	struct cpu cpu;
	u8 *ram, *rom;
	u64 code_page; /* the only page with decoded code; ~0: none */
	u64 code_gpa;
	unsigned code_n, code_calls;
	struct mmio_op op[64];
	unsigned nops;
};

static u8 *fake_ram_page(void *ctx, u64 gpa, unsigned *flags)
{
	struct fake *f = ctx;

	*flags = gpa < RAM_SIZE ? BUS_PAGE_WRITABLE : 0;
	if (gpa < RAM_SIZE)
		return f->ram + gpa;
	return gpa == ROM_BASE ? f->rom : NULL;
}

static u64 fake_mmio_read(void *ctx, u64 gpa, unsigned size)
{
	struct fake *f = ctx;

	if (f->nops < ARRAY_SIZE(f->op))
		f->op[f->nops++] = (struct mmio_op){gpa, 0, size, false};
	return gpa >= MMIO_BASE && gpa < MMIO_BASE + 0x2000 ? 0x0101010101010101ull * (gpa & 0xff)
							    : 0;
}

static void fake_mmio_write(void *ctx, u64 gpa, u64 value, unsigned size)
{
	struct fake *f = ctx;

	if (f->nops < ARRAY_SIZE(f->op))
		f->op[f->nops++] = (struct mmio_op){gpa, value, size, true};
}

bool code_page_present(struct cpu *cpu, u64 gpa_page)
{
	return ((struct fake *)cpu->bus.ctx)->code_page == gpa_page;
}

void code_written(struct cpu *cpu, u64 gpa, unsigned n)
{
	struct fake *f = cpu->bus.ctx;

	f->code_gpa = gpa;
	f->code_n = n;
	f->code_calls++;
}

int cpu_fault(struct cpu *cpu, unsigned vector, u32 err, const char *why, u64 value)
{
	cpu->fault = (struct fault){.vector = (u8)vector, .err = err, .why = why, .value = value};
	return 1;
}

int cpu_page_fault(struct cpu *cpu, u64 addr, u32 err, const char *why, u64 value)
{
	cpu_fault(cpu, EXC_PF, err, why, value);
	cpu->fault.addr = addr;
	return 1;
}

/* No test here uses the APIC-access page. */
int vmx_apic_access(struct cpu *cpu, u64 lin, unsigned off, unsigned n, unsigned acc, u64 *vapic)
{
	*vapic = 0;
	return 0;
}

static inline void set_feature(struct cpu *cpu, enum feature f, bool on)
{
	cpu->feat[f / 32] &= ~BIT(f % 32);
	cpu->feat[f / 32] |= (u32)on << f % 32;
}

static inline struct fake *fake_new(void)
{
	struct fake *f = aligned_alloc(64, (sizeof(*f) + 63) & ~(size_t)63);

	memset(f, 0, sizeof(*f));
	f->ram = calloc(1, RAM_SIZE);
	f->rom = calloc(1, 4096);
	f->code_page = ~0ull;
	f->cpu.bus = (struct cpu_bus){.ctx = f,
				      .ram_page = fake_ram_page,
				      .mmio_read = fake_mmio_read,
				      .mmio_write = fake_mmio_write};
	set_feature(&f->cpu, FEAT_PSE36, true);
	set_feature(&f->cpu, FEAT_PDPE1GB, true);
	ck_assert_int_eq(mmu_init(&f->cpu), 0);
	return f;
}

static inline void fake_free(struct fake *f)
{
	mmu_free(&f->cpu);
	free(f->ram);
	free(f->rom);
	free(f);
}

static inline u64 ram64(struct fake *f, u64 gpa)
{
	u64 v;

	memcpy(&v, f->ram + gpa, 8);
	return v;
}

static inline void put64(struct fake *f, u64 gpa, u64 v)
{
	memcpy(f->ram + gpa, &v, 8);
}

/* Runs a suite of one case made of @tests, as a program. */
static inline int run_tests(const char *name, const TTest *const *tests, unsigned n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);

	for (unsigned i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	return run_suite(s);
}

#endif
