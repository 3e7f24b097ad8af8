/*
 * Guest programs under cpu_run(): a box (sysbox.h) with small pages, a device page, and a HLT
 * behind every vector, so that a program ends where it halts and an unexpected exception shows
 * itself. Programs are guest_*.S, assembled with the test.
 */
#ifndef ORRERY_TESTS_EXEC_GUEST_H
#define ORRERY_TESTS_EXEC_GUEST_H

#include "sysbox.h"

#include "cpu/exec/x87.h"

enum {
	SMALL = 0x200000, /* from here to the end of RAM memory is mapped by 4-KiB pages, one entry
			     each */
	PT_SMALL = TABLES + 0x3000,
	DEVICE = 0x3ff000,     /* the linear page of BOX_MMIO where there is paging */
	ARENA_PAGE = 0x210000, /* scratch of the programs */
	PTE_USER = 7,
	PTE_RO = 5,
	PTE_SUPER = 3,
};

/* A program of guest_*.S: GUEST name in assembly. */
#define GUEST(name) extern const u8 guest_##name[], guest_##name##_end[]

static inline void load_bytes(struct box *b, u32 at, const void *code, size_t n)
{
	memcpy(b->ram + at, code, n);
	cpu_ram_written(&b->cpu, at, n);
}

#define LOAD(b, at, name)                                                                          \
	load_bytes(b, at, guest_##name, (size_t)(guest_##name##_end - guest_##name))
#define CODE_AT(b, at, ...)                                                                        \
	load_bytes(b, at, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* Every vector's handler is a HLT. */
static inline void handlers_halt(struct box *b)
{
	for (unsigned v = 0; v < 256; v++)
		b->ram[HANDLER + 4 * v] = 0xf4;
}

static inline void page_set(struct box *b, u32 lin, u64 phys_and_flags)
{
	poke(b, PT_SMALL + (lin - SMALL) / 4096 * 8, phys_and_flags, 8);
	mmu_flush_all(&b->cpu);
}

/* The page at @lin (from SMALL on), where it always is, with @flags; 0: not present. */
static inline void page_flags(struct box *b, u32 lin, u64 flags)
{
	page_set(b, lin, flags ? lin | flags : 0);
}

/* 64-bit mode at @cpl. */
static inline struct box *guest_long(unsigned cpl)
{
	struct box *b = box_long(cpl);

	poke(b, TABLES + 0x2000 + 8, PT_SMALL | PTE_USER, 8);
	for (u32 lin = SMALL; lin < DEVICE; lin += 4096)
		poke(b, PT_SMALL + (lin - SMALL) / 4096 * 8, lin | PTE_USER, 8);
	poke(b, PT_SMALL + 511 * 8, BOX_MMIO | PTE_USER, 8);
	handlers_halt(b);
	b->cpu.r[RDX] = 0;
	mmu_flush_all(&b->cpu);
	return b;
}

/* 32-bit mode at @cpl with PAE paging and the same map. */
static inline struct box *guest_paged32(unsigned cpl)
{
	struct box *b = guest_long(0);
	struct cpu *c = &b->cpu;

	poke(b, TABLES + 0x1000, (TABLES + 0x2000) | 1, 8);
	c->efer = 0;
	c->cr0 |= CR0_PG | CR0_WP;
	for (unsigned v = 0; v < 256; v++)
		poke(b, IDT + 8 * v, make_gate(S_CODE, HANDLER + v * 4, ST_INT, 3), 8);
	c->idtr.limit = 0x7ff;
	c->cr3 = TABLES + 0x1000;
	c->pdpte[0] = (TABLES + 0x2000) | 1;
	set_desc(b, S_TSS, make_desc(TSS_A, 0x7ff, AR_P | ST_TSS_BUSY));
	poke(b, TSS_A + 4, STACK0, 4);
	poke(b, TSS_A + 8, S_DATA, 2);
	box_cpl(b, cpl);
	mmu_flush_all(c);
	cpu_mode_changed(c);
	return b;
}

/* 32-bit mode at @cpl without paging. */
static inline struct box *guest_flat32(unsigned cpl)
{
	struct box *b = box_protected();

	handlers_halt(b);
	b->cpu.r[RDX] = 0;
	if (cpl)
		box_cpl(b, cpl);
	return b;
}

/* Real mode at @cs:0 with a stack and an IVT of the same handlers (at HANDLER, in segment 0x1000).
 */
static inline struct box *guest_real(u16 cs)
{
	struct box *b = box_new("max");

	for (unsigned s = ES; s <= GS; s++)
		seg_install_real(&b->cpu, s, 0x3000, false);
	seg_install_real(&b->cpu, CS, cs, false);
	b->cpu.rip = 0;
	b->cpu.r[RSP] = 0x8000;
	b->cpu.r[RDX] = 0;
	b->cpu.idtr = (struct dtr){0, 0x3ff};
	for (unsigned v = 0; v < 256; v++)
		poke(b, 4 * v,
		     (HANDLER % 0x10000 + 4 * v) | (u64)(HANDLER / 0x10000 * 0x1000) << 16, 4);
	handlers_halt(b);
	cpu_mode_changed(&b->cpu);
	return b;
}

/* Runs to the HLT that ends the program. Fails if it does not come within @budget instructions. */
static inline void run_to_halt(struct box *b, u64 budget)
{
	enum cpu_exit why = cpu_run(&b->cpu, budget);

	ck_assert_msg(why == CPU_EXIT_HALT, "exit %d at %llx, last fault %u(%x) %s", why,
		      (unsigned long long)b->cpu.rip, b->cpu.fault.vector, b->cpu.fault.err,
		      b->cpu.fault.why);
}

static inline u32 handler_of(const struct box *b)
{
	return (u32)(b->cpu.rip + seg_base(&b->cpu, CS));
}

/* The vector whose handler halted, or -1 when the program halted elsewhere. */
static inline int halted_in(const struct box *b)
{
	u32 at = handler_of(b) - 1;

	return b->cpu.activity == CPU_HLT && at >= HANDLER && at < HANDLER + 1024 && at % 4 == 0
		   ? (int)(at - HANDLER) / 4
		   : -1;
}

/* The interrupt frame on the stack of a halted handler. */
struct iframe {
	u64 err, rip, cs, flags, rsp, ss;
};

static inline struct iframe frame_of(const struct box *b, bool has_err)
{
	const struct cpu *c = &b->cpu;
	bool wide = cpu_lma(c);
	unsigned size = wide ? 8 : c->cr0 & CR0_PE ? 4 : 2;
	u64 sp = c->r[RSP] & stack_mask(c), v[6] = {0};

	if (!(c->cr0 & CR0_PE))
		has_err = false;
	for (unsigned i = 0; i < 6; i++)
		memcpy(&v[i], b->ram + seg_base(c, SS) + sp + (i - !has_err) * (i ? size : 0),
		       i || has_err ? size : 0);
	return (struct iframe){v[0], v[1], v[2], v[3], v[4], v[5]};
}

/* Runs one program that must end in the handler of @vec (with an error code @err if @vec has one).
 */
static inline struct iframe run_to_fault(struct box *b, u64 budget, unsigned vec, u32 err)
{
	bool has_err = vec < 32 && (0x227d00u >> vec & 1); /* 8, 10-14, 17, 21 */
	struct iframe f;

	run_to_halt(b, budget);
	ck_assert_msg(halted_in(b) == (int)vec,
		      "expected vector %u, halted at %x; last fault %u(%x) %s", vec, handler_of(b),
		      b->cpu.fault.vector, b->cpu.fault.err, b->cpu.fault.why);
	f = frame_of(b, has_err);
	if (has_err && (b->cpu.cr0 & CR0_PE))
		ck_assert_msg((u32)f.err == err, "vector %u: error code %x, expected %x: %s", vec,
			      (u32)f.err, err, b->cpu.fault.why);
	return f;
}

/* ---- comparing whole states ----------------------------------------------------------------- */

#define HASH_STEP(h, v) ((h) = ((h) ^ (u64)(v)) * 0x100000001b3ull)

/* Architectural state as a number. */
static inline u64 state_hash(struct box *b)
{
	struct cpu *c = &b->cpu;
	u64 h = 0xcbf29ce484222325ull;

	for (unsigned i = 0; i < 16; i++)
		HASH_STEP(h, c->r[i]);
	HASH_STEP(h, c->rip);
	HASH_STEP(h, cpu_rflags(c));
	for (unsigned i = 0; i < NSEGS; i++) {
		HASH_STEP(h, c->seg[i].sel);
		HASH_STEP(h, c->seg[i].ar);
		HASH_STEP(h, c->seg[i].limit);
		HASH_STEP(h, seg_base(c, i));
	}
	HASH_STEP(h, c->cr0);
	HASH_STEP(h, c->cr2);
	HASH_STEP(h, c->cr3);
	HASH_STEP(h, c->cr4);
	HASH_STEP(h, c->efer);
	HASH_STEP(h, c->dr[6]);
	HASH_STEP(h, c->dr[7]);
	HASH_STEP(h, c->cpl | c->int_shadow << 8 | c->nmi_blocked << 16 | (u32)c->activity << 24);
	HASH_STEP(h, c->mxcsr);
	HASH_STEP(h, x87_sw(&c->x87));
	HASH_STEP(h, c->x87.cw);
	for (unsigned i = 0; i < 8; i++) {
		HASH_STEP(h, c->x87.r[i].mant);
		HASH_STEP(h, c->x87.r[i].se);
	}
	for (unsigned i = 0; i < 16; i++) {
		HASH_STEP(h, c->v[i].q[0]);
		HASH_STEP(h, c->v[i].q[1]);
	}
	HASH_STEP(h, b->mmio_reads);
	HASH_STEP(h, b->mmio_writes);
	HASH_STEP(h, b->mmio_value);
	HASH_STEP(h, b->port_writes);
	HASH_STEP(h, b->acknowledged);
	return h;
}

/* RAM from @from to @to as a number. */
static inline u64 memory_hash(const struct box *b, u32 from, u32 to)
{
	u64 h = 0xcbf29ce484222325ull, v;

	for (u32 at = from; at < to; at += 8) {
		memcpy(&v, b->ram + at, 8);
		HASH_STEP(h, v);
	}
	return h;
}

/* xorshift64*: the tests' own random numbers. */
static inline u64 random64(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

static inline int run_cases_with(const char *name, const TTest *const *tests, unsigned n,
				 SFun setup_box, SFun teardown_box)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);

	for (unsigned i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	tcase_add_checked_fixture(tc, setup_box, teardown_box);
	tcase_set_timeout(tc, 120);
	suite_add_tcase(s, tc);
	return run_suite(s);
}

static inline int run_cases(const char *name, const TTest *const *tests, unsigned n)
{
	return run_cases_with(name, tests, n, NULL, NULL);
}

#endif
