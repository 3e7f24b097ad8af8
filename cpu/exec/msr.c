/*
 * Model-specific registers: the rows of msrs.def and their functions (SDM Vol. 4, chapter 2).
 *
 * Not modelled: performance counters (none are enumerated, their MSRs are #GP), last-branch
 * records, machine checks (four banks that never report). MTRRs and PAT are kept and checked but
 * memory types have no effect.
 */
#include "base/log.h"
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

struct msr_row;
typedef int (*msr_rd)(struct cpu *cpu, const struct msr_row *row, u64 *v);
typedef int (*msr_wr)(struct cpu *cpu, const struct msr_row *row, u64 v);

struct msr_row {
	u32 num;
	u32 offset; /* in struct cpu; 0: no storage (offset 0 is RAX) */
	u64 writable;
	msr_rd read;
	msr_wr write;
	u16 feature;
	bool read_only;
	const char *name, *source;
};

static u64 *msr_storage(struct cpu *cpu, const struct msr_row *row)
{
	return (u64 *)((u8 *)cpu + row->offset);
}

static int store(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	*msr_storage(cpu, row) = v;
	return 0;
}

static int bad(struct cpu *cpu, const char *why, u64 v)
{
	return cpu_fault(cpu, EXC_GP, 0, why, v);
}

/* ---- reads --------------------------------------------------------------------------- */

static int rd_none(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	return bad(cpu, "RDMSR of a write-only MSR", row->num);
}

static int rd_tsc(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	*v = vmx_nonroot(cpu) ? vmx_guest_tsc(cpu, cpu_tsc(cpu)) : cpu_tsc(cpu);
	return 0;
}

static int rd_apic(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	if (!cpu->bus.apic_msr_read || cpu->bus.apic_msr_read(cpu->bus.ctx, row->num, v))
		return bad(cpu, "local APIC refuses the RDMSR", row->num);
	return 0;
}

static int rd_vmx(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	return cpu->vmx ? vmx_msr_read(cpu, row->num, v) : bad(cpu, "VMX capability MSR without VMX", row->num);
}

static int rd_mtrrcap(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	*v = 8 | 1 << 8 | 1 << 10; /* eight variable ranges, fixed ranges, WC */
	return 0;
}

/* Speculation side channels do not exist in an interpreter; say so and guests need no mitigations.
 */
static int rd_arch_caps(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	enum {
		RDCL_NO = 0,
		IBRS_ALL = 1,
		SKIP_L1DFL_VMENTRY = 3,
		SSB_NO = 4,
		MDS_NO = 5,
		PSCHANGE_MC_NO = 6,
		TAA_NO = 8,
		SBDR_SSDP_NO = 13,
		FBSDP_NO = 14,
		PSDP_NO = 15,
		BHI_NO = 20,
		PBRSB_NO = 24,
		GDS_NO = 26,
		RFDS_NO = 27,
		ITS_NO = 62,
	};

	*v = 1ull << RDCL_NO | 1ull << IBRS_ALL | 1ull << SKIP_L1DFL_VMENTRY | 1ull << SSB_NO |
	     1ull << MDS_NO | 1ull << PSCHANGE_MC_NO | 1ull << TAA_NO | 1ull << SBDR_SSDP_NO |
	     1ull << FBSDP_NO | 1ull << PSDP_NO | 1ull << BHI_NO | 1ull << PBRSB_NO |
	     1ull << GDS_NO | 1ull << RFDS_NO | 1ull << ITS_NO;
	return 0;
}

static int rd_mcg_cap(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	*v = 4 | 1 << 8; /* banks, MCG_CTL present */
	return 0;
}

static int rd_perf_status(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	*v = 10 << 8; /* 10 x 100 MHz */
	return 0;
}

static int rd_therm_status(struct cpu *cpu, const struct msr_row *row, u64 *v)
{
	*v = 1u << 31 | 60 << 16; /* valid, 60 degrees below the limit */
	return 0;
}

/* ---- writes -------------------------------------------------------------------------- */

static int wr_drop(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	return 0;
}

static int wr_tsc(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	u64 delta = v - cpu_tsc(cpu);

	cpu->tsc_offset += delta;
	cpu->tsc_adjust += delta;
	return 0;
}

static int wr_tsc_adjust(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	cpu->tsc_offset += v - cpu->tsc_adjust;
	return store(cpu, row, v);
}

static int wr_apic(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (!cpu->bus.apic_msr_write || cpu->bus.apic_msr_write(cpu->bus.ctx, row->num, v))
		return bad(cpu, "local APIC refuses the WRMSR", v);
	return 0;
}

static int wr_apic_base(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (v & BIT(10) && !cpu_has(cpu, FEAT_X2APIC))
		return bad(cpu, "IA32_APIC_BASE.EXTD without x2APIC", v);
	return wr_apic(cpu, row, v);
}

/* SDM Vol. 3B, 15.3.2.1: error reporting of a bank is switched as a whole. */
static int wr_mc_ctl(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (v && ~v)
		return bad(cpu, "IA32_MCi_CTL takes all zeros or all ones", v);
	return store(cpu, row, v);
}

static int wr_feature_control(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (cpu->feature_control & 1)
		return bad(cpu, "IA32_FEATURE_CONTROL is locked", v);
	return store(cpu, row, v);
}

static int wr_canonical(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (!canonical_base(cpu, v))
		return bad(cpu, "WRMSR: the address is not canonical", v);
	return store(cpu, row, v);
}

static int wr_misc_enable(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	u64 fixed = BIT64(7) | BIT64(11) | BIT64(12); /* no PMU, no BTS, no PEBS: read-only */

	return store(cpu, row, (v & ~fixed) | (cpu->misc_enable & fixed));
}

static int wr_debugctl(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (v)
		log_unimplemented(cpu->log,
				  "IA32_DEBUGCTL: last-branch records and branch single step");
	return store(cpu, row, v);
}

static bool memory_type(u64 t, bool pat)
{
	return t <= 7 && (pat ? 0xf3 : 0x73) >> t & 1; /* 7 (UC-) exists in the PAT only */
}

static int wr_types(struct cpu *cpu, const struct msr_row *row, u64 v, bool pat)
{
	for (unsigned i = 0; i < 64; i += 8)
		if (!memory_type(v >> i & 0xff, pat))
			return bad(cpu, "memory type is reserved", v);
	return store(cpu, row, v);
}

static int wr_pat(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	return wr_types(cpu, row, v, true);
}

static int wr_mtrr_types(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	return wr_types(cpu, row, v, false);
}

static int wr_mtrr_base(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (!memory_type(v & 0xff, false))
		return bad(cpu, "memory type is reserved", v);
	return store(cpu, row, v);
}

static int wr_mtrr_def(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	return wr_mtrr_base(cpu, row, v);
}

static int wr_efer(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	u64 allowed = 0;

	if (cpu_has(cpu, FEAT_SYSCALL))
		allowed |= EFER_SCE;
	if (cpu_has(cpu, FEAT_LM))
		allowed |= EFER_LME | EFER_LMA;
	if (cpu_has(cpu, FEAT_NX))
		allowed |= EFER_NXE;
	cpu->trail.aux = v & ~allowed;
	if (v & ~allowed)
		return bad(cpu, "IA32_EFER has a reserved bit set", v);
	if ((v ^ cpu->efer) & EFER_LME && cpu->cr0 & CR0_PG)
		return bad(cpu, "EFER.LME changed with CR0.PG = 1", v);
	cpu->efer = (v & ~(u64)EFER_LMA) | (cpu->efer & EFER_LMA);
	cpu_mode_changed(cpu);
	return 0;
}

static int wr_xss(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	cpu->trail.aux = v & ~xss_supported(cpu);
	if (v & ~xss_supported(cpu))
		return bad(cpu, "IA32_XSS has a bit of a component that does not exist", v);
	return store(cpu, row, v);
}

/* IA32_U_CET and IA32_S_CET: bits 1:0 of shadow stacks, 5:2 and 63:10 of indirect branch tracking. */
enum { CET_SS_BITS = 0x3, CET_RESERVED = 0x3c0, CET_SUPPRESS = 0x400, CET_WAIT = 0x800, CET_ENABLES = 0x5 };

int cet_msr_check(struct cpu *cpu, u32 msr, u64 v)
{
	bool control = msr == 0x6a0 || msr == 0x6a2;

	if (!canonical_base(cpu, control ? v & ~0xfffull : v))
		return bad(cpu, "CET: the address is not canonical", v);
	if (!control)
		return msr != 0x6a8 && v & 3 ? bad(cpu, "CET: a shadow-stack pointer is not a multiple of 4", v) : 0;
	if (v & CET_RESERVED || (v & CET_SS_BITS && !cpu_has(cpu, FEAT_CET_SS)) ||
	    (v & ~(u64)(CET_SS_BITS | CET_RESERVED) && !cpu_has(cpu, FEAT_CET_IBT)))
		return bad(cpu, "CET: a reserved bit is set", v);
	if (v & CET_SUPPRESS && v & CET_WAIT)
		return bad(cpu, "CET: tracking is suppressed and waits for ENDBRANCH at once", v);
	return 0;
}

static int wr_cet(struct cpu *cpu, const struct msr_row *row, u64 v)
{
	if (cet_msr_check(cpu, row->num, v))
		return 1;
	if ((row->num == 0x6a0 || row->num == 0x6a2) && v & CET_ENABLES)
		log_unimplemented(cpu->log, "CET: its state is kept, but there are no shadow stacks and nothing asks for ENDBRANCH");
	return store(cpu, row, v);
}

/* ---- the table ----------------------------------------------------------------------- */

#define NONE     0
#define ALL      (~0ull)
#define RO       0x8000000000000001ull /* as a mask no row needs it */
#define PHYS     (BIT64(MMU_PHYS_BITS) - 1)
#define FIELD(f) offsetof(struct cpu, f)
#define MSR(n, nm, feat, field, mask, rd, wr, src)                                                 \
	{.num = n,                                                                                 \
	 .name = nm,                                                                               \
	 .feature = FEAT_##feat,                                                                   \
	 .offset = field,                                                                          \
	 .writable = mask,                                                                         \
	 .read_only = (mask) == RO,                                                           \
	 .read = rd,                                                                               \
	 .write = wr,                                                                              \
	 .source = src},
static const struct msr_row rows[] = {
#include "cpu/exec/msrs.def"
};
#undef MSR

static const struct msr_row x2apic_row = {
    .name = "x2APIC", .read = rd_apic, .write = wr_apic, .writable = ALL};

/* The row of @num, or NULL when this model has none. @copy holds the row of an x2APIC register. */
static const struct msr_row *msr_find(struct cpu *cpu, u32 num, struct msr_row *copy)
{
	if (num >= 0x800 && num <= 0x8ff && cpu_has(cpu, FEAT_X2APIC)) {
		*copy = x2apic_row;
		copy->num = num;
		return copy;
	}
	unsigned first = 0;
	for (unsigned n = ARRAY_SIZE(rows); n; n /= 2) { /* before @first are lower numbers, from first + n on not */
		unsigned mid = first + n / 2;
		if (rows[mid].num < num) {
			first = mid + 1;
			n--;
		}
	}
	for (unsigned i = first; i < ARRAY_SIZE(rows) && rows[i].num == num; i++)
		if (cpu_has(cpu, rows[i].feature))
			return &rows[i];
	return NULL;
}

int msr_read(struct cpu *cpu, u32 msr, u64 *value)
{
	struct msr_row copy;
	const struct msr_row *row = msr_find(cpu, msr, &copy);
	int virtual = vmx_x2apic_read(cpu, msr, value);

	if (virtual >= 0)
		return virtual;
	if (!row) {
		log_unimplemented(cpu->log, "RDMSR of unknown MSR %#x", msr);
		return bad(cpu, "RDMSR of an MSR that does not exist", msr);
	}
	if (row->read)
		return row->read(cpu, row, value);
	*value = row->offset ? *msr_storage(cpu, row) : 0;
	return 0;
}

int msr_write(struct cpu *cpu, u32 msr, u64 value)
{
	struct msr_row copy;
	const struct msr_row *row = msr_find(cpu, msr, &copy);
	int virtual = vmx_x2apic_write(cpu, msr, value);

	if (virtual >= 0)
		return virtual;
	if (!row) {
		log_unimplemented(cpu->log, "WRMSR of unknown MSR %#x", msr);
		return bad(cpu, "WRMSR of an MSR that does not exist", msr);
	}
	if (row->read_only)
		return bad(cpu, "WRMSR of a read-only MSR", msr);
	cpu->trail.aux = value & ~row->writable;
	if (value & ~row->writable)
		return bad(cpu, "WRMSR sets a reserved bit", value);
	if (row->write)
		return row->write(cpu, row, value);
	return row->offset ? store(cpu, row, value) : 0;
}

void msr_reset(struct cpu *cpu, bool init_only)
{
	cpu->efer = 0;
	if (init_only)
		return;
	/* Everything with plain storage first; the segment bases belong to the segment registers.
	 */
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].offset >= offsetof(struct cpu, efer))
			*msr_storage(cpu, &rows[i]) = 0;
	cpu->pat = 0x0007040600070406;
	cpu->misc_enable = BIT64(0) | BIT64(11) | BIT64(12) |
			   BIT64(18); /* fast strings, no BTS, no PEBS, MONITOR */
	cpu->platform_info = 10 << 8;
	cpu->bios_sign_id = 0xf0ull << 32; /* a revision newer than the ones guests distrust */
	cpu->smbase = 0x30000;
	cpu->tsc_offset = 0;
	cpu->tsc_offset = 0 - cpu_tsc(cpu);
}

const char *msr_name(u32 num)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].num == num)
			return rows[i].name;
	return num >= 0x800 && num <= 0x8ff ? "x2APIC register" : NULL;
}
