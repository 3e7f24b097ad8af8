/*
 * System instructions: control, debug and extended control registers, interrupt flag, caches and
 * TLB, HLT, time, and the small privileged and model-specific rest (SDM Vol. 2 under each name;
 * Vol. 3A, 2.5-2.8).
 *
 * INVD writes nothing back and there is no cache to drop. Not modelled: MWAIT's hints, and its
 * extension that lets masked interrupts wake it (CPUID leaf 5 offers neither); what C0.1 and C0.2 of UMWAIT save.
 */
#include "cpu/exec/builder.h"
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"
#include "cpu/vmx/vmx.h"

/* ---- control registers --------------------------------------------------------------- */

u64 cr4_supported(const struct cpu *cpu)
{
	static const struct {
		u16 feature;
		u32 bit;
	} map[] = {
	    {FEAT_VME, CR4_VME | CR4_PVI}, {FEAT_TSC, CR4_TSD},           {FEAT_DE, CR4_DE},
	    {FEAT_PSE, CR4_PSE},           {FEAT_PAE, CR4_PAE},           {FEAT_MCE, CR4_MCE},
	    {FEAT_PGE, CR4_PGE},           {FEAT_MMX, CR4_PCE},           {FEAT_FXSR, CR4_OSFXSR},
	    {FEAT_SSE, CR4_OSXMMEXCPT},    {FEAT_UMIP, CR4_UMIP},         {FEAT_LA57, CR4_LA57},
	    {FEAT_VMX, CR4_VMXE},          {FEAT_FSGSBASE, CR4_FSGSBASE}, {FEAT_PCID, CR4_PCIDE},
	    {FEAT_XSAVE, CR4_OSXSAVE},     {FEAT_SMEP, CR4_SMEP},         {FEAT_SMAP, CR4_SMAP},
	    {FEAT_PKU, CR4_PKE},           {FEAT_CET_SS, CR4_CET},        {FEAT_CET_IBT, CR4_CET},
	};
	u64 bits = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(map); i++)
		if (cpu_has(cpu, map[i].feature))
			bits |= map[i].bit;
	return bits;
}

u64 xcr0_supported(const struct cpu *cpu)
{
	u64 bits = 3;

	if (cpu_has(cpu, FEAT_AVX))
		bits |= 4;
	if (cpu_has(cpu, FEAT_AVX512F))
		bits |= 0xe0;
	if (cpu_has(cpu, FEAT_PKU))
		bits |= 0x200;
	return bits;
}

u64 xss_supported(const struct cpu *cpu)
{
	return cpu_has(cpu, FEAT_CET_SS) || cpu_has(cpu, FEAT_CET_IBT) ? 3ull << 11 : 0;
}

#define CR0_BITS                                                                                   \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)

static u64 cr0_normalise(const struct cpu *cpu, u64 v)
{
	v = (v & CR0_BITS) | CR0_ET;
	if (!cpu_has(cpu, FEAT_I486))
		v &= ~(u64)(CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD);
	return v;
}

static int cr0_check_paging(struct cpu *cpu, u64 v)
{
	bool enable = v & CR0_PG && !(cpu->cr0 & CR0_PG);

	if (enable && cpu->efer & EFER_LME) {
		if (!(cpu->cr4 & CR4_PAE))
			return cpu_fault(cpu, EXC_GP, 0,
					 "CR0.PG := 1 with EFER.LME = 1 and CR4.PAE = 0", v);
		if (cpu->seg[CS].ar & AR_L)
			return cpu_fault(cpu, EXC_GP, 0,
					 "CR0.PG := 1 with EFER.LME = 1 and CS.L = 1", v);
		if (!(cpu->seg[TR].ar & (AR_UNUSABLE | 8)))
			return cpu_fault(cpu, EXC_GP, 0, "IA-32e mode entered with a 16-bit TSS",
					 v);
	}
	if (!(v & CR0_PG) && cpu->cr0 & CR0_PG) {
		if (cpu_long64(cpu))
			return cpu_fault(cpu, EXC_GP, 0, "CR0.PG := 0 in 64-bit mode", v);
		if (cpu->cr4 & CR4_PCIDE)
			return cpu_fault(cpu, EXC_GP, 0, "CR0.PG := 0 with CR4.PCIDE = 1", v);
	}
	return 0;
}

int cr0_write(struct cpu *cpu, u64 value)
{
	u64 v = cr0_normalise(cpu, value), old = cpu->cr0, changed = v ^ old;
	u64 efer = cpu->efer;
	const char *denied = vmx_cr0_denied(cpu, v);

	if (denied)
		return cpu_fault(cpu, EXC_GP, 0, denied, v);
	if (value >> 32)
		return cpu_fault(cpu, EXC_GP, 0, "CR0 bits 63:32 are not 0", value);
	if (v & CR0_PG && !(v & CR0_PE))
		return cpu_fault(cpu, EXC_GP, 0, "CR0.PG = 1 with CR0.PE = 0", value);
	if (v & CR0_NW && !(v & CR0_CD))
		return cpu_fault(cpu, EXC_GP, 0, "CR0.NW = 1 with CR0.CD = 0", value);
	if (cpu->cr4 & CR4_CET && !(v & CR0_WP))
		return cpu_fault(cpu, EXC_GP, 0, "CR0.WP := 0 with CR4.CET = 1", value);
	if (cr0_check_paging(cpu, v))
		return 1;
	if (changed & CR0_PG)
		efer = v & CR0_PG && efer & EFER_LME ? efer | EFER_LMA : efer & ~(u64)EFER_LMA;
	if (changed & (CR0_PG | CR0_CD | CR0_NW) &&
	    mmu_load_pdptes(cpu, cpu->cr3, v, cpu->cr4, efer))
		return 1;
	cpu->efer = efer;
	cpu->cr0 = v;
	if (changed & CR0_PE && !(v & CR0_PE))
		cpu->cpl = 0;
	if (changed & (CR0_PE | CR0_PG)) /* CR0.WP is a matter of rights, not of translations */
		mmu_flush_vpid(cpu);
	cpu_mode_changed(cpu);
	watch_cr(cpu, 0, old, v);
	return 0;
}

int cr3_write(struct cpu *cpu, u64 value)
{
	bool noflush = false;

	if (cpu_lma(cpu)) {
		if (cpu->cr4 & CR4_PCIDE) {
			noflush = value >> 63;
			value &= ~(1ull << 63);
		}
		if (value >> cpu_maxphyaddr(cpu))
			return cpu_fault(cpu, EXC_GP, 0, "CR3 has bits above MAXPHYADDR set",
					 value);
	} else {
		value = (u32)value;
	}
	if (mmu_load_pdptes(cpu, value, cpu->cr0, cpu->cr4, cpu->efer))
		return 1;
	watch_cr(cpu, 3, cpu->cr3, value);
	mmu_set_cr3(cpu, value, noflush);
	return 0;
}

#define CR4_PAGING                                                                                 \
	(CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)

int cr4_write(struct cpu *cpu, u64 value)
{
	u64 old = cpu->cr4, changed = value ^ old;
	const char *denied = vmx_cr4_denied(cpu, value);

	if (denied)
		return cpu_fault(cpu, EXC_GP, 0, denied, value);
	cpu->trail.aux = value & ~cr4_supported(cpu);
	if (value & ~cr4_supported(cpu))
		return cpu_fault(cpu, EXC_GP, 0, "CR4 has a reserved bit set", value);
	if (cpu_lma(cpu) && !(value & CR4_PAE))
		return cpu_fault(cpu, EXC_GP, 0, "CR4.PAE := 0 in IA-32e mode", value);
	if (cpu_lma(cpu) && changed & CR4_LA57)
		return cpu_fault(cpu, EXC_GP, 0, "CR4.LA57 changed in IA-32e mode", value);
	if (changed & value & CR4_PCIDE && (!cpu_lma(cpu) || cpu->cr3 & 0xfff))
		return cpu_fault(cpu, EXC_GP, 0,
				 "CR4.PCIDE := 1 outside IA-32e mode or with CR3[11:0] not 0",
				 cpu->cr3);
	if (value & CR4_CET && !(cpu->cr0 & CR0_WP)) /* SDM Vol. 3A, 2.5 */
		return cpu_fault(cpu, EXC_GP, 0, "CR4.CET := 1 with CR0.WP = 0", value);
	if (changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) &&
	    mmu_load_pdptes(cpu, cpu->cr3, cpu->cr0, value, cpu->efer))
		return 1;
	cpu->cr4 = value;
	if (changed & CR4_PAGING)
		mmu_flush_vpid(cpu);
	cpu_mode_changed(cpu);
	watch_cr(cpu, 4, old, value);
	return 0;
}

static int cr_exists(struct cpu *cpu, unsigned cr)
{
	switch (cr) {
	case 0:
	case 2:
	case 3: return 0;
	case 4:
		if (cr4_supported(cpu))
			return 0;
		break;
	case 8:
		if (cpu_long64(cpu))
			return 0;
		break;
	}
	return cpu_fault(cpu, EXC_UD, 0, "control register does not exist", cr);
}

SIMPLE(mov_to_cr)
{
	unsigned cr = in->op[0].reg;
	u64 v = reg_read(cpu, in->op[1].reg, cpu_long64(cpu) ? 8 : 4);

	if (cr_exists(cpu, cr))
		return 1;
	switch (cr) {
	case 0: return cr0_write(cpu, vmx_cr0_written(cpu, v));
	case 3: return cr3_write(cpu, v);
	case 4: return cr4_write(cpu, vmx_cr4_written(cpu, v));
	case 2:
		watch_cr(cpu, 2, cpu->cr2, v);
		cpu->cr2 = v;
		return 0;
	default:
		if (v >> 4)
			return cpu_fault(cpu, EXC_GP, 0, "CR8 bits 63:4 are not 0", v);
		watch_cr(cpu, 8, cpu->bus.get_cr8 ? cpu->bus.get_cr8(cpu->bus.ctx) : 0, v);
		if (vmx_cr8_write(cpu, v))
			return 0;
		if (cpu->bus.set_cr8)
			cpu->bus.set_cr8(cpu->bus.ctx, v);
		return 0;
	}
}

SIMPLE(mov_from_cr)
{
	unsigned cr = in->op[1].reg;
	u64 v;

	if (cr_exists(cpu, cr))
		return 1;
	switch (cr) {
	case 0: v = vmx_cr0_seen(cpu); break;
	case 2: v = cpu->cr2; break;
	case 3: v = cpu->cr3; break;
	case 4: v = vmx_cr4_seen(cpu); break;
	default:
		if (vmx_cr8_read(cpu, &v))
			break;
		v = cpu->bus.get_cr8 ? cpu->bus.get_cr8(cpu->bus.ctx) & 15 : 0; break;
	}
	reg_write(cpu, in->op[0].reg, cpu_long64(cpu) ? 8 : 4, v);
	return 0;
}

SIMPLE(lmsw)
{
	u64 v;

	if (op_read(cpu, in, 0, &v))
		return 1;
	/* LMSW sets PE but cannot clear it. */
	v = (cpu->cr0 & ~(u64)(CR0_MP | CR0_EM | CR0_TS)) | (v & 15);
	return cr0_write(cpu, vmx_cr0_written(cpu, v));
}

SIMPLE(clts)
{
	u64 old = cpu->cr0;

	cpu->cr0 = vmx_cr0_written(cpu, old & ~(u64)CR0_TS);
	cpu_mode_changed(cpu);
	watch_cr(cpu, 0, old, cpu->cr0);
	return 0;
}

/* ---- debug registers ----------------------------------------------------------------- */

static int dr_access(struct cpu *cpu, unsigned *dr)
{
	if (*dr > 7 || ((*dr == 4 || *dr == 5) && cpu->cr4 & CR4_DE))
		return cpu_fault(cpu, EXC_UD, 0, "DR4 or DR5 with CR4.DE = 1, or no such register",
				 *dr);
	if (*dr == 4 || *dr == 5)
		*dr += 2;
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "MOV to or from a debug register with CPL > 0",
				 cpu->cpl);
	if (cpu->dr[7] & DR7_GD)
		return debug_trap(cpu, DR6_BD, "general detect: DR7.GD = 1");
	return 0;
}

SIMPLE(mov_to_dr)
{
	unsigned dr = in->op[0].reg;
	u64 v = reg_read(cpu, in->op[1].reg, cpu_long64(cpu) ? 8 : 4);

	if (dr_access(cpu, &dr))
		return 1;
	if (dr >= 6 && v >> 32)
		return cpu_fault(cpu, EXC_GP, 0, "DR6 or DR7 bits 63:32 are not 0", v);
	if (dr == 6)
		v = (v & 0xe00f) | DR6_FIXED;
	if (dr == 7)
		v = (v & 0xffff23ff) | DR7_FIXED;
	cpu->dr[dr] = v;
	cpu_mode_changed(
	    cpu); /* watched pages leave the TLB, armed instruction breakpoints change the mode */
	return 0;
}

SIMPLE(mov_from_dr)
{
	unsigned dr = in->op[1].reg;

	if (dr_access(cpu, &dr))
		return 1;
	reg_write(cpu, in->op[0].reg, cpu_long64(cpu) ? 8 : 4, cpu->dr[dr]);
	return 0;
}

/* ---- caches and TLB ------------------------------------------------------------------ */

SIMPLE(invlpg)
{
	u64 lin = op_ea(cpu, in);

	if (!cpu_long64(cpu) || in->seg == FS || in->seg == GS)
		lin += seg_base(cpu, in->seg);
	if (!cpu_long64(cpu))
		lin = (u32)lin;
	if (canonical(cpu, lin) || !cpu_long64(cpu))
		mmu_invlpg(cpu, lin);
	return 0;
}

SIMPLE(invpcid)
{
	u64 type = reg_read(cpu, in->op[0].reg, cpu_long64(cpu) ? 8 : 4), lin, d[2];

	if (op_linear(cpu, in, 16, ACC_R, &lin) || mem_read(cpu, lin, d, 16, ACC_R))
		return 1;
	if (type > 3)
		return cpu_fault(cpu, EXC_GP, 0, "INVPCID type > 3", type);
	if (d[0] >> 12)
		return cpu_fault(cpu, EXC_GP, 0, "INVPCID descriptor bits 63:12 are not 0", d[0]);
	if (type < 2 && !(cpu->cr4 & CR4_PCIDE) && d[0])
		return cpu_fault(cpu, EXC_GP, 0, "INVPCID with CR4.PCIDE = 0 and a PCID", d[0]);
	if (type == 0 && !canonical_base(cpu, d[1]))
		return cpu_fault(cpu, EXC_GP, 0, "INVPCID linear address is not canonical", d[1]);
	mmu_invpcid(cpu, type, d[0], d[1]);
	return 0;
}

SIMPLE(invd)
{
	return 0;
}

SIMPLE(wbinvd)
{
	return 0;
}

SIMPLE(wbnoinvd)
{
	return 0;
}

static int touch_line(struct cpu *cpu, const struct insn *in)
{
	u64 lin;
	u8 byte;

	return op_linear(cpu, in, 1, ACC_R, &lin) || mem_read8(cpu, lin, &byte, 0);
}

SIMPLE(clflush)
{
	return touch_line(cpu, in);
}

SIMPLE(clflushopt)
{
	return touch_line(cpu, in);
}

SIMPLE(clwb)
{
	return touch_line(cpu, in);
}

SIMPLE(serialize)
{
	return 0;
}

/* ---- the interrupt flag, PUSHF, POPF ------------------------------------------------- */

/* Virtual interrupts at CPL 3: virtual-8086 mode with VME, or protected mode with PVI. */
static bool virtual_if(const struct cpu *cpu)
{
	return cpu_v86(cpu) ? cpu->cr4 & CR4_VME : cpu->cpl == 3 && cpu->cr4 & CR4_PVI;
}

static bool iopl_allows(const struct cpu *cpu)
{
	return !(cpu->cr0 & CR0_PE) || (cpu_v86(cpu) ? 3 : cpu->cpl) <= cpu_iopl(cpu);
}

static int op_cli(struct cpu *cpu, const struct insn *in)
{
	if (iopl_allows(cpu))
		cpu->rflags &= ~FL_IF;
	else if (virtual_if(cpu))
		cpu->rflags &= ~FL_VIF;
	else
		return cpu_fault(cpu, EXC_GP, 0, "CLI with CPL > IOPL", cpu->rflags);
	return 0;
}

/* At CPL 0 it is always allowed; else the call behind it sees to the rest. */
static void cli_cpl0(UOP_ARGS)
{
	if (unlikely(cpu->cpl))
		NEXT;
	cpu->rflags &= ~FL_IF;
	return u[2].fn(cpu, u + 2, fa, ea, fb, cd);
}

static void gen_cli(struct builder *b, const struct insn *in, u32 arg)
{
	emit(b, cli_cpl0);
	emit_call(b, in, op_cli);
}
const struct exec_desc exec_cli = {.gen = gen_cli, .op = op_cli};

static int op_sti(struct cpu *cpu, const struct insn *in)
{
	if (iopl_allows(cpu)) {
		if (!(cpu->rflags & FL_IF))
			cpu->int_shadow = 1;
		cpu->rflags |= FL_IF;
		return 0;
	}
	if (!virtual_if(cpu))
		return cpu_fault(cpu, EXC_GP, 0, "STI with CPL > IOPL", cpu->rflags);
	if (cpu->rflags & FL_VIP)
		return cpu_fault(cpu, EXC_GP, 0, "STI with a virtual interrupt pending",
				 cpu->rflags);
	cpu->rflags |= FL_VIF;
	return 0;
}

/* The same at CPL 0. With no event to hold back its shadow hides nothing, and the block goes on behind it. */
static void sti_cpl0(UOP_ARGS)
{
	if (unlikely(cpu->cpl || cpu->events || cpu->attn))
		NEXT;
	cpu->rflags |= FL_IF;
	return u[2].fn(cpu, u + 2, fa, ea, fb, cd);
}

static void gen_sti(struct builder *b, const struct insn *in, u32 arg)
{
	const bool last = b->cur + 1 == b->count;

	if (!last)
		emit(b, sti_cpl0);
	emit_call_end(b, in, op_sti);
	b->ended = last;
	b->sf = SF_DYNAMIC;
}
const struct exec_desc exec_sti = {.gen = gen_sti, .op = op_sti};

static int set_ac(struct cpu *cpu, bool on)
{
	if (!(cpu->cr0 & CR0_PE) || cpu_v86(cpu) || cpu->cpl)
		return cpu_fault(cpu, EXC_UD, 0, "CLAC or STAC with CPL > 0", cpu->cpl);
	cpu->rflags = on ? cpu->rflags | FL_AC : cpu->rflags & ~FL_AC;
	mmu_select_ac(cpu); /* the mode knows AC at CPL 3 only */
	return 0;
}

SIMPLE_CHECKED(clac)
{
	return set_ac(cpu, false);
}

SIMPLE_CHECKED(stac)
{
	return set_ac(cpu, true);
}

SIMPLE(pushf)
{
	u32 flags = cpu_rflags(cpu);

	if (cpu_v86(cpu) && cpu_iopl(cpu) < 3) {
		if (!(cpu->cr4 & CR4_VME) || in->opsize != 2)
			return cpu_fault(cpu, EXC_GP, 0, "PUSHF in virtual-8086 mode with IOPL < 3",
					 flags);
		flags |= FL_IOPL;
		flags = flags & FL_VIF ? flags | FL_IF : flags & ~FL_IF;
	}
	return push_value(cpu, in->opsize, flags & ~(FL_RF | FL_VM));
}

/* Which bits POPF may change, and the value it means (SDM Vol. 2, POPF, table 4-16). */
static int popf_mask(struct cpu *cpu, const struct insn *in, u64 *v, u32 *mask)
{
	*mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID | FL_RF;
	*v &= ~(u64)FL_RF;
	if (!cpu_v86(cpu)) {
		if (iopl_allows(cpu))
			*mask |= FL_IF;
		if (!cpu->cpl)
			*mask |= FL_IOPL;
	} else if (cpu_iopl(cpu) == 3) {
		*mask |= FL_IF;
	} else if (in->opsize == 2 && cpu->cr4 & CR4_VME) {
		if (*v & FL_TF || (*v & FL_IF && cpu->rflags & FL_VIP))
			return cpu_fault(cpu, EXC_GP, 0,
					 "POPF under VME: TF = 1, or IF = 1 with VIP = 1", *v);
		*v = *v & FL_IF ? *v | FL_VIF : *v & ~(u64)FL_VIF;
		*mask = (*mask & 0xffff) | FL_VIF;
		return 0;
	} else {
		return cpu_fault(cpu, EXC_GP, 0, "POPF in virtual-8086 mode with IOPL < 3",
				 cpu->rflags);
	}
	if (in->opsize == 2)
		*mask &= 0xffff;
	return 0;
}

SIMPLE_CHECKED(popf)
{
	u64 sp = cpu->r[RSP], v = 0;
	u32 mask, old;

	if (pop_value(cpu, in->opsize, &v))
		return 1;
	if (popf_mask(cpu, in, &v, &mask)) {
		cpu->r[RSP] = sp;
		return 1;
	}
	old = cpu_rflags(cpu);
	if ((old ^ v) & mask & ~(FL_ARITH | FL_IF | FL_DF | FL_IOPL)) {
		rflags_load(cpu, v, mask);
		return 0;
	}
	cpu_set_rflags(cpu, (old & ~mask) | (v & mask) | FL_R1);
	return 0;
}

/* ---- waiting ------------------------------------------------------------------------- */

SIMPLE(hlt)
{
	cpu->activity = CPU_HLT;
	return 0;
}

/* A processor that spins for another lets it run. With nobody to wait for it waits for time to pass: more does at each PAUSE. */
static void gen_pause(struct builder *b, const struct insn *in, u32 arg)
{
	if (b->cpu->cpu_count > 1 || b->cpu->bus.pause)
		uop_set_insn(b, emit(b, uop_pause), in);
}
extern const struct exec_desc exec_pause;
const struct exec_desc exec_pause = {.gen = gen_pause};

/* Watches the line at @reg; where that is no RAM, or there is no room to remember it, MWAIT and UMWAIT will not wait. */
static int monitor_line(struct cpu *cpu, const struct insn *in, unsigned reg, bool user)
{
	struct xlat x;
	u64 lin;
	u8 byte;

	if (seg_linear(cpu, in->prefixes & PFX_SEG ? in->seg : DS, reg_read(cpu, reg, in->adsize), 1, ACC_R, &lin) ||
	    mem_read8(cpu, lin, &byte, 0) || mmu_translate(cpu, lin, ACC_R, &x))
		return 1;
	cpu->monitor_armed = false;
	cpu->monitor_user = user;
	if (x.host && cpu_monitor(cpu, x.gpa, x.host))
		cpu->monitor_armed = false;
	return 0;
}

SIMPLE(monitor)
{
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_UD, 0, "MONITOR with CPL > 0", cpu->cpl);
	if (reg_read(cpu, RCX, cpu_long64(cpu) ? 8 : 4))
		return cpu_fault(cpu, EXC_GP, 0, "MONITOR with ECX not 0", cpu->r[RCX]);
	return monitor_line(cpu, in, RAX, false);
}

SIMPLE(mwait)
{
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_UD, 0, "MWAIT with CPL > 0", cpu->cpl);
	if (reg_read(cpu, RCX, cpu_long64(cpu) ? 8 : 4) >> 1)
		return cpu_fault(cpu, EXC_GP, 0, "MWAIT with a reserved extension in ECX",
				 cpu->r[RCX]);
	if (cpu->monitor_armed && !cpu->monitor_user)
		cpu->activity = CPU_MWAIT;
	cpu->monitor_armed = false;
	return 0;
}

/* ---- time ---------------------------------------------------------------------------- */

u64 cpu_tsc(const struct cpu *cpu)
{
	return (cpu->bus.time ? cpu->bus.time(cpu->bus.ctx) : cpu_icount(cpu)) + cpu->tsc_offset;
}

static void set_edx_eax(struct cpu *cpu, u64 v)
{
	cpu->r[RAX] = (u32)v;
	cpu->r[RDX] = v >> 32;
}

static u64 seen_tsc(const struct cpu *cpu)
{
	return vmx_nonroot(cpu) ? vmx_guest_tsc(cpu, cpu_tsc(cpu)) : cpu_tsc(cpu);
}

static int tsd_check(struct cpu *cpu)
{
	if (cpu->cr4 & CR4_TSD && cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "RDTSC with CR4.TSD = 1 and CPL > 0", cpu->cpl);
	return 0;
}

SIMPLE(rdtsc)
{
	if (tsd_check(cpu))
		return 1;
	set_edx_eax(cpu, seen_tsc(cpu));
	return 0;
}

SIMPLE(rdtscp)
{
	if (tsd_check(cpu))
		return 1;
	set_edx_eax(cpu, seen_tsc(cpu));
	cpu->r[RCX] = (u32)cpu->tsc_aux;
	return 0;
}

/* ---- waiting until a time (WAITPKG) --------------------------------------------------- */

static int user_wait_check(struct cpu *cpu)
{
	if (vmx_user_wait_disabled(cpu))
		return cpu_fault(cpu, EXC_UD, 0, "UMONITOR, UMWAIT or TPAUSE with \"enable user wait and pause\" = 0", 0);
	return 0;
}

SIMPLE(umonitor)
{
	return user_wait_check(cpu) || monitor_line(cpu, in, in->op[0].reg, true);
}

/*
 * Until the TSC reaches EDX:EAX, or for as long as IA32_UMWAIT_CONTROL allows; in a guest both in its own ticks (Vol. 3C, 25.3).
 * The deepness asked for in bit 0 of the operand makes no difference here.
 */
static int user_wait(struct cpu *cpu, const struct insn *in, enum cpu_activity kind)
{
	u64 limit = cpu->umwait_control & ~3ull, now = seen_tsc(cpu), until = (u32)cpu->r[RAX] | cpu->r[RDX] << 32;
	u64 delay = until > now ? until - now : 0, tsc = cpu_tsc(cpu);
	bool waits = delay && (kind == CPU_TPAUSE || (cpu->monitor_armed && cpu->monitor_user));

	if (user_wait_check(cpu))
		return 1;
	if (cpu->cr4 & CR4_TSD && cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "UMWAIT or TPAUSE with CR4.TSD = 1 and CPL > 0", cpu->cpl);
	if (reg_read(cpu, in->op[0].reg, 4) >> 1)
		return cpu_fault(cpu, EXC_GP, 0, "UMWAIT or TPAUSE with a reserved bit in its operand", cpu->r[in->op[0].reg]);
	cpu->rflags &= ~(u32)FL_ARITH;
	cpu->wait_limited = limit && limit < delay;
	delay = vmx_host_ticks(cpu, cpu->wait_limited ? limit : delay);
	cpu->wait_until = delay < ~tsc ? tsc + delay : ~0ull;
	if (kind == CPU_UMWAIT)
		cpu->monitor_armed = false;
	if (waits)
		cpu->activity = kind;
	return 0;
}

SIMPLE(umwait)
{
	return user_wait(cpu, in, CPU_UMWAIT);
}

SIMPLE(tpause)
{
	return user_wait(cpu, in, CPU_TPAUSE);
}

u64 cpu_wait_ns(const struct cpu *cpu)
{
	u64 now;

	if (cpu->activity < CPU_TPAUSE)
		return ~0ull;
	now = cpu_tsc(cpu);
	if (cpu->wait_until <= now)
		return 0;
	return cpu->wait_until - now < BIT64(62) ? cpu->wait_until - now : ~0ull; /* a century and a half */
}

bool cpu_wait_over(const struct cpu *cpu)
{
	const u32 ends = CPU_EV_INTR | CPU_EV_NMI | CPU_EV_SMI | CPU_EV_INIT | CPU_EV_RESET;

	return cpu->activity >= CPU_TPAUSE && ((cpu->events & ends) || !cpu_wait_ns(cpu));
}

void cpu_wait_end(struct cpu *cpu)
{
	if (cpu->wait_limited && !cpu_wait_ns(cpu))
		cpu_set_rflags(cpu, cpu_rflags(cpu) | FL_CF);
	cpu->activity = CPU_ACTIVE;
}

SIMPLE(rdpid)
{
	if (vmx_rdtscp_disabled(cpu))
		return cpu_fault(cpu, EXC_UD, 0, "RDPID with \"enable RDTSCP\" = 0", 0);
	reg_write(cpu, in->op[0].reg, cpu_long64(cpu) ? 8 : 4, cpu->tsc_aux);
	return 0;
}

SIMPLE(rdpmc)
{
	return cpu_fault(cpu, EXC_GP, 0, "RDPMC: this CPU has no performance counters",
			 cpu->r[RCX]);
}

SIMPLE(rdmsr)
{
	u64 v;

	if (msr_read(cpu, cpu->r[RCX], &v))
		return 1;
	set_edx_eax(cpu, v);
	if (unlikely(watch_on(cpu, WATCH_MSR)))
		watch_seen(cpu, &(struct seen){.kind = WATCH_MSR, .n = (u32)cpu->r[RCX], .value = v});
	return 0;
}

SIMPLE(wrmsr)
{
	u64 v = (u32)cpu->r[RAX] | cpu->r[RDX] << 32;

	if (msr_write(cpu, cpu->r[RCX], v))
		return 1;
	if (unlikely(watch_on(cpu, WATCH_MSR)))
		watch_seen(cpu, &(struct seen){.kind = WATCH_MSR, .n = (u32)cpu->r[RCX], .write = true, .value = v});
	return 0;
}

/* ---- extended control registers, protection keys, FS and GS base --------------------- */

/* XINUSE: which components are not in their initial state; x87 and SSE are always reported in use.
 */
static u64 xinuse(const struct cpu *cpu)
{
	u64 bits = 3, upper = 0;

	for (unsigned i = 0; i < 16; i++)
		upper |= cpu->v[i].q[2] | cpu->v[i].q[3];
	if (upper)
		bits |= 4;
	if (cpu->pkru)
		bits |= 0x200;
	return bits & cpu->xcr0;
}

static int osxsave_check(struct cpu *cpu)
{
	if (!(cpu->cr4 & CR4_OSXSAVE))
		return cpu_fault(cpu, EXC_UD, 0, "XGETBV or XSETBV with CR4.OSXSAVE = 0", cpu->cr4);
	return 0;
}

SIMPLE(xgetbv)
{
	u32 n = cpu->r[RCX];

	if (osxsave_check(cpu))
		return 1;
	if (n > 1 || (n == 1 && !cpu_has(cpu, FEAT_XGETBV1)))
		return cpu_fault(cpu, EXC_GP, 0, "no such extended control register", n);
	set_edx_eax(cpu, n ? xinuse(cpu) : cpu->xcr0);
	return 0;
}

SIMPLE(xsetbv)
{
	u64 v = (u32)cpu->r[RAX] | cpu->r[RDX] << 32;

	if (osxsave_check(cpu))
		return 1;
	if (cpu->cpl)
		return cpu_fault(cpu, EXC_GP, 0, "XSETBV with CPL > 0", cpu->cpl);
	if ((u32)cpu->r[RCX])
		return cpu_fault(cpu, EXC_GP, 0, "no such extended control register", cpu->r[RCX]);
	if (v & ~xcr0_supported(cpu) || !(v & 1))
		return cpu_fault(cpu, EXC_GP, 0, "XCR0 has a reserved bit set or bit 0 clear", v);
	if ((v & 6) == 4 || (v & 0xe0 && (v & 0xe6) != 0xe6))
		return cpu_fault(cpu, EXC_GP, 0, "XCR0 enables AVX state without what it rests on",
				 v);
	watch_cr(cpu, 16, cpu->xcr0, v);
	cpu->xcr0 = v;
	cpu_mode_changed(cpu);
	return 0;
}

static int pkru_check(struct cpu *cpu)
{
	if (!(cpu->cr4 & CR4_PKE))
		return cpu_fault(cpu, EXC_UD, 0, "RDPKRU or WRPKRU with CR4.PKE = 0", cpu->cr4);
	if ((u32)cpu->r[RCX])
		return cpu_fault(cpu, EXC_GP, 0, "RDPKRU or WRPKRU with ECX not 0", cpu->r[RCX]);
	return 0;
}

SIMPLE(rdpkru)
{
	if (pkru_check(cpu))
		return 1;
	set_edx_eax(cpu, cpu->pkru);
	return 0;
}

SIMPLE(wrpkru)
{
	if (pkru_check(cpu))
		return 1;
	if ((u32)cpu->r[RDX])
		return cpu_fault(cpu, EXC_GP, 0, "WRPKRU with EDX not 0", cpu->r[RDX]);
	cpu->pkru = cpu->r[RAX];
	mmu_select(cpu);
	return 0;
}

static int fsgsbase(struct cpu *cpu, const struct insn *in, unsigned seg, bool write)
{
	u64 v = reg_read(cpu, in->op[0].reg, in->opsize);

	if (!(cpu->cr4 & CR4_FSGSBASE))
		return cpu_fault(cpu, EXC_UD, 0, "RDFSBASE and its kin with CR4.FSGSBASE = 0", cpu->cr4);
	if (!write) {
		reg_write(cpu, in->op[0].reg, in->opsize, seg_base(cpu, seg));
		return 0;
	}
	if (!canonical_base(cpu, v))
		return cpu_fault(cpu, EXC_GP, 0, "the FS or GS base to be written is not canonical", v);
	cpu->r[R_SEGBASE + seg] = v;
	return 0;
}

SIMPLE(rdfsbase)
{
	return fsgsbase(cpu, in, FS, false);
}

SIMPLE(rdgsbase)
{
	return fsgsbase(cpu, in, GS, false);
}

SIMPLE(wrfsbase)
{
	return fsgsbase(cpu, in, FS, true);
}

SIMPLE(wrgsbase)
{
	return fsgsbase(cpu, in, GS, true);
}

/* ---- random numbers ------------------------------------------------------------------ */

/* SplitMix64: runs must repeat, so the "hardware" generator is a seeded sequence in the machine's
 * state. */
static int random_number(struct cpu *cpu, const struct insn *in)
{
	u64 z = cpu->rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	reg_write(cpu, in->op[0].reg, in->op[0].size, z ^ z >> 31);
	cpu->rflags = (cpu->rflags & ~FL_ARITH) | FL_CF;
	return 0;
}

SIMPLE(rdrand)
{
	return random_number(cpu, in);
}

SIMPLE(rdseed)
{
	return random_number(cpu, in);
}

/* ---- undefined on purpose ------------------------------------------------------------ */

SIMPLE(ud)
{
	return cpu_fault(cpu, EXC_UD, 0, "UD0, UD1 or UD2", in->opcode);
}

/* No safer mode extensions: CR4.SMXE cannot be set. */
SIMPLE(getsec)
{
	return cpu_fault(cpu, EXC_UD, 0, "GETSEC with CR4.SMXE = 0", cpu->cr4);
}
