/*
 * One processor in 4 MiB of RAM with a GDT, IDT, LDT and task-state segments, for the suites of the
 * system instructions. Instructions are decoded from their bytes and their simple operation is
 * called directly, or run through cpu_run().
 */
#ifndef ORRERY_TESTS_EXEC_SYSBOX_H
#define ORRERY_TESTS_EXEC_SYSBOX_H

#include <check.h>
#include <stdlib.h>

#include "tests/suite.h"
#include "cpu/exec/builder.h"
#include "cpu/exec/cpuid.h"
#include "cpu/exec/system.h"

#define RAM_SIZE 0x400000u

/* Where things lie. */
enum {
	GDT = 0x1000,
	LDT = 0x2000,
	IDT = 0x3000,
	TSS_A = 0x4000,
	TSS_B = 0x5000,
	TSS_16 = 0x6000,
	CODE = 0x10000,
	HANDLER = 0x18000,
	STACK0 = 0x20000,
	STACK3 = 0x30000,
	IST1 = 0x38000,
	DATA = 0x40000,
	TABLES = 0x100000
};

/* GDT selectors. */
enum {
	S_CODE = 0x08,
	S_DATA = 0x10,
	S_CODE3 = 0x18,
	S_DATA3 = 0x20,
	S_CODE64 = 0x28,
	S_CODE64_3 = 0x30,
	S_CONF = 0x38,
	S_TSS = 0x40,
	S_LDT = 0x50,
	S_GATE = 0x60,
	S_NP = 0x70,
	S_EXEC = 0x78,
	S_CODE16 = 0x80,
	S_DATA16 = 0x88,
	S_TSSB = 0x90,
	S_TASKGATE = 0x98,
	S_RO = 0xa0,
	S_CODE_NP = 0xa8,
	S_CODE1 = 0xb0,
	S_TSS16 = 0xb8,
	S_DATA1 = 0xc0,
	S_SMALL = 0xc8,
	S_DOWN = 0xd0,
	GDT_LIMIT = 0xdf
};

struct box {
	struct cpu cpu;
	u8 *ram;
	u32 port_value;
	unsigned port_reads, port_writes;
	u32 port_log[16];
	u64 now, apic_base;
	u8 cr8;
	bool smm_open;
	/* A device at BOX_MMIO: counts its accesses; those to its upper half and to port BOX_PORT raise @raises. */
	u64 mmio_value;
	unsigned mmio_reads, mmio_writes;
	u32 raises;
	u8 vector; /* what the interrupt controller answers */
	unsigned acknowledged;
};

#define BOX_MMIO 0xfe000000u
#define BOX_PORT 0x80

static u8 *box_page(void *ctx, u64 gpa, unsigned *flags)
{
	struct box *b = ctx;

	*flags = BUS_PAGE_WRITABLE;
	return gpa < RAM_SIZE ? b->ram + gpa : NULL;
}

static bool box_mmio(struct box *b, u64 gpa)
{
	if (gpa < BOX_MMIO || gpa >= BOX_MMIO + 0x1000)
		return false;
	if (gpa & 0x800 && b->raises)
		cpu_event_set(&b->cpu, b->raises);
	return true;
}

static u64 box_mmio_read(void *ctx, u64 gpa, unsigned size)
{
	struct box *b = ctx;

	if (!box_mmio(b, gpa))
		return ~0ull;
	b->mmio_reads++;
	return b->mmio_value++;
}

static void box_mmio_write(void *ctx, u64 gpa, u64 v, unsigned size)
{
	struct box *b = ctx;

	if (!box_mmio(b, gpa))
		return;
	b->mmio_writes++;
	b->mmio_value += v;
}

static u8 box_intack(void *ctx)
{
	struct box *b = ctx;

	b->acknowledged++;
	cpu_event_clear(&b->cpu, CPU_EV_INTR);
	return b->vector;
}

static void box_ferr(void *ctx, bool level)
{
}

static u32 box_io_read(void *ctx, u16 port, unsigned size)
{
	struct box *b = ctx;

	b->port_reads++;
	return b->port_value++;
}

static void box_io_write(void *ctx, u16 port, u32 v, unsigned size)
{
	struct box *b = ctx;

	b->port_log[b->port_writes++ % ARRAY_SIZE(b->port_log)] = v;
	if (port == BOX_PORT && b->raises)
		cpu_event_set(&b->cpu, b->raises);
}

static u64 box_time(void *ctx)
{
	return ((struct box *)ctx)->now;
}

static int box_apic_read(void *ctx, u32 msr, u64 *v)
{
	*v = ((struct box *)ctx)->apic_base;
	return msr == 0x1b ? 0 : -1;
}

static int box_apic_write(void *ctx, u32 msr, u64 v)
{
	((struct box *)ctx)->apic_base = v;
	return msr == 0x1b ? 0 : -1;
}

static u8 box_get_cr8(void *ctx)
{
	return ((struct box *)ctx)->cr8;
}

static void box_set_cr8(void *ctx, u8 v)
{
	((struct box *)ctx)->cr8 = v;
}

static void box_set_smm(void *ctx, bool active)
{
	((struct box *)ctx)->smm_open = active;
}

static inline void poke(struct box *b, u32 at, u64 v, unsigned n)
{
	memcpy(b->ram + at, &v, n);
}

static inline u64 peek(struct box *b, u32 at, unsigned n)
{
	u64 v = 0;

	memcpy(&v, b->ram + at, n);
	return v;
}

/* A descriptor from base, limit field, and access rights in AR_* format. */
static inline u64 make_desc(u32 base, u32 limit, u32 ar)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(ar & 0xf0ff) << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

#define AR_FLAT    (AR_P | AR_S | AR_G | AR_DB)
#define AR_DPLN(n) ((u32)(n) << AR_DPL_SHIFT)

static inline void set_desc(struct box *b, u16 sel, u64 raw)
{
	poke(b, GDT + (sel & ~7u), raw, 8);
}

static inline u64 make_gate(u16 sel, u32 off, unsigned type, unsigned dpl)
{
	return (off & 0xffff) | (u64)sel << 16 | (u64)(type | dpl << 5 | 0x80) << 40 |
	       (u64)(off >> 16) << 48;
}

static inline void box_tables(struct box *b)
{
	set_desc(b, S_CODE, make_desc(0, 0xfffff, AR_FLAT | 0xa));
	set_desc(b, S_DATA, make_desc(0, 0xfffff, AR_FLAT | 0x2));
	set_desc(b, S_CODE3, make_desc(0, 0xfffff, AR_FLAT | AR_DPLN(3) | 0xa));
	set_desc(b, S_DATA3, make_desc(0, 0xfffff, AR_FLAT | AR_DPLN(3) | 0x2));
	set_desc(b, S_CODE64, make_desc(0, 0, AR_P | AR_S | AR_L | 0xa));
	set_desc(b, S_CODE64_3, make_desc(0, 0, AR_P | AR_S | AR_L | AR_DPLN(3) | 0xa));
	set_desc(b, S_CONF, make_desc(0, 0xfffff, AR_FLAT | 0xe));
	set_desc(b, S_TSS, make_desc(TSS_A, 0x7ff, AR_P | ST_TSS));
	set_desc(b, S_LDT, make_desc(LDT, 0x3f, AR_P | ST_LDT));
	set_desc(b, S_GATE, make_gate(S_CODE, HANDLER, ST_CALL, 3));
	set_desc(b, S_NP, make_desc(0, 0xfffff, (AR_FLAT & ~AR_P) | 0x2));
	set_desc(b, S_EXEC, make_desc(0, 0xfffff, AR_FLAT | 0x8));
	set_desc(b, S_CODE16, make_desc(0, 0xffff, AR_P | AR_S | 0xa));
	set_desc(b, S_DATA16, make_desc(0, 0xffff, AR_P | AR_S | 0x2));
	set_desc(b, S_TSSB, make_desc(TSS_B, 0x67, AR_P | ST_TSS));
	set_desc(b, S_TASKGATE, make_gate(S_TSSB, 0, ST_TASK, 3));
	set_desc(b, S_RO, make_desc(0, 0xfffff, AR_FLAT));
	set_desc(b, S_CODE_NP, make_desc(0, 0xfffff, (AR_FLAT & ~AR_P) | 0xa));
	set_desc(b, S_CODE1, make_desc(0, 0xfffff, AR_FLAT | AR_DPLN(1) | 0xa));
	set_desc(b, S_TSS16, make_desc(TSS_16, 0x2b, AR_P | ST_TSS16));
	set_desc(b, S_DATA1, make_desc(0, 0xfffff, AR_FLAT | AR_DPLN(1) | 0x2));
	set_desc(b, S_SMALL, make_desc(0, 0xfff, AR_P | AR_S | AR_DB | 0x2));
	set_desc(b, S_DOWN, make_desc(0, 0xfff, AR_P | AR_S | AR_DB | 0x6));
	for (unsigned v = 0; v < 256; v++)
		poke(b, IDT + 8 * v, make_gate(S_CODE, HANDLER + v * 4, ST_INT, 0), 8);
}

/* Loads a segment register with what its descriptor says, without any check. */
static inline void force_seg(struct box *b, unsigned seg, u16 sel)
{
	seg_install(&b->cpu, seg, sel, peek(b, GDT + (sel & ~7u), 8) | 1ull << 40);
}

static inline struct box *box_new(const char *model)
{
	struct box *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
	char err[128];

	memset(b, 0, sizeof(*b));

	b->ram = calloc(1, RAM_SIZE);
	ck_assert_msg(!cpu_model_parse(model, &b->cpu.model, b->cpu.feat, err, sizeof(err)), "%s",
		      err);
	b->cpu.bus = (struct cpu_bus){
	    .ctx = b,
	    .ram_page = box_page,
	    .mmio_read = box_mmio_read,
	    .mmio_write = box_mmio_write,
	    .intack = box_intack,
	    .ferr = box_ferr,
	    .io_read = box_io_read,
	    .io_write = box_io_write,
	    .time = box_time,
	    .apic_msr_read = box_apic_read,
	    .apic_msr_write = box_apic_write,
	    .get_cr8 = box_get_cr8,
	    .set_cr8 = box_set_cr8,
	    .set_smm = box_set_smm,
	};
	b->apic_base = 0xfee00900;
	b->cpu.bsp = true;
	ck_assert_int_eq(cpu_init(&b->cpu), 0);
	box_tables(b);
	return b;
}

static inline void box_free(struct box *b)
{
	cpu_free(&b->cpu);
	free(b->ram);
	free(b);
}

/* Segment registers and stack of privilege @cpl in 32-bit protected mode. */
static inline void box_cpl(struct box *b, unsigned cpl)
{
	force_seg(b, CS, (cpl ? S_CODE3 : S_CODE) | cpl);
	for (unsigned s = ES; s <= GS; s++)
		if (s != CS)
			force_seg(b, s, (cpl ? S_DATA3 : S_DATA) | cpl);
	b->cpu.cpl = cpl;
	b->cpu.r[RSP] = cpl ? STACK3 : STACK0;
	cpu_mode_changed(&b->cpu);
}

/* 32-bit protected mode at CPL 0, no paging, TR = TSS_A with an inner stack at STACK0. */
static inline struct box *box_protected_model(const char *model)
{
	struct box *b = box_new(model);

	b->cpu.cr0 |= CR0_PE;
	b->cpu.gdtr = (struct dtr){GDT, GDT_LIMIT};
	b->cpu.idtr = (struct dtr){IDT, 0x7ff};
	b->cpu.rip = CODE;
	set_desc(b, S_TSS, make_desc(TSS_A, 0x7ff, AR_P | ST_TSS_BUSY));
	force_seg(b, TR, S_TSS);
	seg_install_null(&b->cpu, LDTR, 0, 0);
	poke(b, TSS_A + 4, STACK0, 4);
	poke(b, TSS_A + 8, S_DATA, 2);
	poke(b, TSS_A + 102, 0x100, 2);
	memset(b->ram + TSS_A + 0x100, 0xff, 0x700);
	box_cpl(b, 0);
	return b;
}

static inline struct box *box_protected(void)
{
	return box_protected_model("max");
}

/* Virtual-8086 mode at 1000:0000 with the 32-bit system tables. */
static inline struct box *box_v86(unsigned iopl)
{
	struct box *b = box_protected();

	b->cpu.cpl = 3;
	cpu_set_rflags(&b->cpu, FL_R1 | FL_VM | iopl << FL_IOPL_SHIFT);
	for (unsigned s = ES; s <= GS; s++)
		seg_install_real(&b->cpu, s, 0x3000, true);
	seg_install_real(&b->cpu, CS, CODE >> 4, true);
	b->cpu.rip = 0;
	b->cpu.r[RSP] = 0x800;
	cpu_mode_changed(&b->cpu);
	return b;
}

/* 64-bit mode at privilege @cpl: identity map of the first 2 MiB pages, user accessible. */
static inline struct box *box_long(unsigned cpl)
{
	struct box *b = box_protected();
	struct cpu *cpu = &b->cpu;

	poke(b, TABLES, (TABLES + 0x1000) | 7, 8);
	poke(b, TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
	for (unsigned i = 0; i < 2; i++)
		poke(b, TABLES + 0x2000 + 8 * i, (u64)i << 21 | 0x87, 8);
	cpu->cr4 |= CR4_PAE | CR4_OSFXSR;
	cpu->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
	cpu->cr0 |= CR0_PG | CR0_WP;
	mmu_set_cr3(cpu, TABLES, false);
	set_desc(b, S_TSS + 8, 0);
	set_desc(b, S_LDT + 8, 0);
	set_desc(b, S_GATE, make_gate(S_CODE64, HANDLER, ST_CALL, 3));
	set_desc(b, S_GATE + 8, 0);
	for (unsigned v = 0; v < 256; v++) {
		poke(b, IDT + 16 * v, make_gate(S_CODE64, HANDLER + v * 4, ST_INT, 0), 8);
		poke(b, IDT + 16 * v + 8, 0, 8);
	}
	cpu->idtr.limit = 0xfff;
	poke(b, TSS_A + 4, STACK0, 8);
	poke(b, TSS_A + 36, IST1, 8);
	force_seg(b, CS, (cpl ? S_CODE64_3 : S_CODE64) | cpl);
	force_seg(b, SS, (cpl ? S_DATA3 : S_DATA) | cpl);
	cpu->cpl = cpl;
	cpu->r[RSP] = cpl ? STACK3 : STACK0;
	mmu_flush_all(cpu);
	cpu_mode_changed(cpu);
	return b;
}

/* ---- executing ----------------------------------------------------------------------- */

/* Calls the simple operation of the instruction @hex at cpu->rip. Returns its result. */
static inline int exec_bytes(struct box *b, const u8 *code, unsigned n)
{
	static const u8 bits[] = {16, 32, 64};
	struct cpu *cpu = &b->cpu;
	struct decode_mode m = {.bits = bits[cpu->mode & MODE_BITS],
				.real_or_v86 = !cpu_protected(cpu),
				.feat = cpu->feat};
	const struct exec_desc *x;
	struct insn in;
	int rc;

	ck_assert_int_eq(insn_decode(&m, code, n, &in), DECODE_OK);
	x = insn_exec(&in);
	ck_assert(x && x->op);
	cpu_rflags(cpu);
	cpu->insn_rip = cpu->rip;
	cpu->rip += in.len;
	rc = x->op(cpu, &in);
	if (rc)
		cpu->rip = cpu->insn_rip;
	return rc;
}

#define CODE_BYTES(...) (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})
#define EXEC(b, ...)    exec_bytes(b, CODE_BYTES(__VA_ARGS__))
#define RUNS(b, ...)                                                                               \
	do {                                                                                       \
		int rc_ = EXEC(b, __VA_ARGS__);                                                    \
		ck_assert_msg(!rc_, "fault %u(%x): %s", (b)->cpu.fault.vector, (b)->cpu.fault.err, \
			      (b)->cpu.fault.why);                                                 \
	} while (0)

/* The architectural part of two states, without what a failed check may touch. */
static inline void assert_unchanged(const struct cpu *before, const struct cpu *after)
{
	for (unsigned i = 0; i < NREGS; i++)
		ck_assert_msg(before->r[i] == after->r[i], "r[%u] changed", i);
	ck_assert_mem_eq(before->seg, after->seg, sizeof(before->seg));
	ck_assert_uint_eq(before->rflags, after->rflags);
	ck_assert_uint_eq(before->rip, after->rip);
	ck_assert_uint_eq(before->cpl, after->cpl);
	ck_assert_uint_eq(before->mode, after->mode);
	ck_assert_uint_eq(before->int_shadow, after->int_shadow);
	ck_assert_mem_eq(&before->gdtr, &after->gdtr, 10);
	ck_assert_mem_eq(&before->idtr, &after->idtr, 10);
	ck_assert_uint_eq(before->cr0, after->cr0);
	ck_assert_uint_eq(before->cr3, after->cr3);
	ck_assert_uint_eq(before->cr4, after->cr4);
	ck_assert_uint_eq(before->xcr0, after->xcr0);
	ck_assert_uint_eq(before->efer, after->efer);
	ck_assert_mem_eq(before->dr, after->dr, sizeof(before->dr));
}

/* The instruction faults with @vec (@err), says why, and changes nothing. */
static inline void exec_faults(struct box *b, unsigned vec, u32 err, const u8 *code, unsigned n)
{
	struct cpu before = b->cpu;
	int rc;

	cpu_rflags(&before);
	rc = exec_bytes(b, code, n);
	ck_assert_msg(rc == 1, "expected fault %u, none raised", vec);
	ck_assert_msg(b->cpu.fault.vector == vec && b->cpu.fault.err == err,
		      "expected %u(%x), got %u(%x): %s", vec, err, b->cpu.fault.vector,
		      b->cpu.fault.err, b->cpu.fault.why);
	ck_assert_ptr_nonnull(b->cpu.fault.why);
	assert_unchanged(&before, &b->cpu);
}

#define FAULTS(b, vec, err, ...) exec_faults(b, vec, err, CODE_BYTES(__VA_ARGS__))

#endif
