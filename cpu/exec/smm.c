/*
 * System management mode: entry on SMI and RSM (SDM Vol. 3C, chapter 31), with the 64-bit state-save map of AMD64 (APM Vol. 2,
 * table 10-1). That is the map which firmware for emulated machines (SeaBIOS, OVMF) knows by revision 64h; Intel's 64-bit map
 * it does not know, and it changes hidden segment state, for which Intel's has no place.
 *
 * Modelled: save and restore of all state but the x87's and the vector registers', SMBASE relocation, auto-HALT restart.
 * Not modelled: I/O instruction restart (the revision identifier does not offer it).
 */
#include "cpu/exec/flags.h"
#include "cpu/exec/system.h"
#include "cpu/exec/watch.h"
#include "cpu/vmx/vmx.h"

/* Offsets from SMBASE + 8000h. */
enum {
	SM_ES = 0x7e00, /* selector, attributes (2 bytes each), limit (4), base (8); so are the others */
	SM_CS = 0x7e10,
	SM_SS = 0x7e20,
	SM_DS = 0x7e30,
	SM_FS = 0x7e40,
	SM_GS = 0x7e50,
	SM_GDTR = 0x7e60,
	SM_LDTR = 0x7e70,
	SM_IDTR = 0x7e80,
	SM_TR = 0x7e90,
	SM_HALT = 0x7ec9,
	SM_CPL = 0x7ecb,
	SM_SHADOW = 0x7ecc, /* reserved in the manual */
	SM_EFER = 0x7ed0,
	SM_REVISION = 0x7efc,
	SM_SMBASE = 0x7f00,
	SM_CR4 = 0x7f48,
	SM_CR3 = 0x7f50,
	SM_CR0 = 0x7f58,
	SM_DR7 = 0x7f60,
	SM_DR6 = 0x7f68,
	SM_RFLAGS = 0x7f70,
	SM_RIP = 0x7f78,
	SM_RAX = 0x7ff8, /* then RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15 downwards */
};
#define SM_REVISION_ID 0x00020064u /* AMD64 map, SMBASE relocation */
#define SM_UNUSABLE    0x100u      /* among the attributes, whose bits 11:8 are free in this form */

static u64 map_read(struct cpu *cpu, unsigned off, unsigned n)
{
	u64 v = 0;

	phys_read(cpu, cpu->smbase + 0x8000 + off, &v, n);
	return v;
}

static void map_write(struct cpu *cpu, unsigned off, u64 v, unsigned n)
{
	phys_write(cpu, cpu->smbase + 0x8000 + off, &v, n);
}

static const struct {
	u16 off;
	u8 seg;
} map_segs[] = {
    {SM_ES, ES}, {SM_CS, CS}, {SM_SS, SS},     {SM_DS, DS},
    {SM_FS, FS}, {SM_GS, GS}, {SM_LDTR, LDTR}, {SM_TR, TR},
};

static void save_segment(struct cpu *cpu, unsigned off, unsigned seg)
{
	const struct seg *s = &cpu->seg[seg];

	map_write(cpu, off, s->sel, 2);
	map_write(cpu, off + 2, (s->ar & 0xf0ff) | (s->ar & AR_UNUSABLE ? SM_UNUSABLE : 0), 2);
	map_write(cpu, off + 4, s->limit, 4);
	map_write(cpu, off + 8, seg_base(cpu, seg), 8);
}

static void save_table(struct cpu *cpu, unsigned off, const struct dtr *t)
{
	map_write(cpu, off + 4, t->limit, 4);
	map_write(cpu, off + 8, t->base, 8);
}

static void save_state(struct cpu *cpu)
{
	for (unsigned i = 0; i < 16; i++)
		map_write(cpu, SM_RAX - i * 8, cpu->r[i], 8);
	for (unsigned i = 0; i < ARRAY_SIZE(map_segs); i++)
		save_segment(cpu, map_segs[i].off, map_segs[i].seg);
	save_table(cpu, SM_GDTR, &cpu->gdtr);
	save_table(cpu, SM_IDTR, &cpu->idtr);
	map_write(cpu, SM_CR0, cpu->cr0, 8);
	map_write(cpu, SM_CR3, cpu->cr3, 8);
	map_write(cpu, SM_CR4, cpu->cr4, 8);
	map_write(cpu, SM_RFLAGS, cpu_rflags(cpu), 8);
	map_write(cpu, SM_EFER, cpu->efer, 8);
	map_write(cpu, SM_RIP, cpu->rip, 8);
	map_write(cpu, SM_DR6, cpu->dr[6], 8);
	map_write(cpu, SM_DR7, cpu->dr[7], 8);
	map_write(cpu, SM_HALT, cpu->activity == CPU_HLT, 1);
	map_write(cpu, SM_CPL, cpu->cpl, 1);
	map_write(cpu, SM_SHADOW, cpu->int_shadow, 1);
	map_write(cpu, SM_REVISION, SM_REVISION_ID, 4);
	map_write(cpu, SM_SMBASE, cpu->smbase, 4);
}

/* The execution environment of table 31-4: like real mode with 4-GiB limits, CS based at SMBASE. */
static void smm_environment(struct cpu *cpu)
{
	cpu->cr0 &= ~(u64)(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
	cpu->cr4 = 0;
	cpu->efer = 0;
	cpu->dr[7] = DR7_FIXED;
	cpu->cpl = 0;
	cpu->int_shadow = 0;
	for (unsigned i = ES; i <= GS; i++) {
		cpu->seg[i] = (struct seg){.ar = AR_P | AR_S | AR_G | AR_TYPE_WR | AR_TYPE_ACCESSED,
					   .limit = 0xffffffff};
		cpu->r[R_SEGBASE + i] = 0;
	}
	cpu->seg[CS].sel = cpu->smbase >> 4;
	cpu->r[R_SEGBASE + CS] = cpu->smbase;
	cpu->rip = 0x8000;
	cpu_set_rflags(cpu, FL_R1);
}

static void smm_switch(struct cpu *cpu, bool active)
{
	cpu->smm = active;
	if (cpu->bus.set_smm)
		cpu->bus.set_smm(cpu->bus.ctx, active);
	mmu_flush_all(cpu);
	if (watch_on(cpu, WATCH_SMM))
		watch_seen(cpu, &(struct seen){.kind = WATCH_SMM, .value = active});
}

void smm_enter(struct cpu *cpu)
{
	vmx_enter_smm(cpu);
	smm_switch(cpu, true);
	save_state(cpu);
	cpu->activity = CPU_ACTIVE;
	cpu->nmi_blocked |= 2; /* SMM's own block, apart from a running NMI handler's */
	smm_environment(cpu);
	mmu_flush_all(cpu);
	cpu_mode_changed(cpu);
}

static bool saved_state_valid(struct cpu *cpu, u64 cr0, u64 cr4)
{
	if (cr0 & CR0_PG && !(cr0 & CR0_PE))
		return false;
	if (cr0 & CR0_NW && !(cr0 & CR0_CD))
		return false;
	if (cr0 & CR0_PG && map_read(cpu, SM_EFER, 8) & EFER_LME && !(cr4 & CR4_PAE))
		return false;
	return !(cr4 & ~cr4_supported(cpu)) && !(cr0 >> 32);
}

static void restore_segments(struct cpu *cpu)
{
	for (unsigned i = 0; i < ARRAY_SIZE(map_segs); i++) {
		unsigned off = map_segs[i].off, seg = map_segs[i].seg;
		u32 attributes = map_read(cpu, off + 2, 2);

		cpu->seg[seg] = (struct seg){
		    .sel = map_read(cpu, off, 2),
		    .ar = (attributes & 0xf0ff) | (attributes & SM_UNUSABLE ? AR_UNUSABLE : 0),
		    .limit = map_read(cpu, off + 4, 4),
		};
		cpu->r[R_SEGBASE + seg] = map_read(cpu, off + 8, 8);
	}
	cpu->gdtr = (struct dtr){.base = map_read(cpu, SM_GDTR + 8, 8), .limit = map_read(cpu, SM_GDTR + 4, 2)};
	cpu->idtr = (struct dtr){.base = map_read(cpu, SM_IDTR + 8, 8), .limit = map_read(cpu, SM_IDTR + 4, 2)};
	cpu->cpl = map_read(cpu, SM_CPL, 1) & 3;
	cpu->int_shadow = map_read(cpu, SM_SHADOW, 1) & 3;
}

static int rsm_shutdown(struct cpu *cpu, const char *why, u64 value)
{
	(void)cpu_fault(cpu, EXC_DF, 0, why, value);
	memset(cpu->triple, 0, sizeof(cpu->triple));
	cpu->triple[0] = cpu->fault;
	cpu->activity = CPU_SHUTDOWN;
	return 0;
}

/* EFER, CPL and RFLAGS as they can only go together, whatever the map holds. */
static void restore_mode(struct cpu *cpu)
{
	u32 flags = (map_read(cpu, SM_RFLAGS, 8) & 0x3f7fd5) | FL_R1;

	cpu->efer = map_read(cpu, SM_EFER, 8) & (EFER_SCE | EFER_LME | EFER_NXE);
	if (cpu->cr0 & CR0_PG && cpu->efer & EFER_LME)
		cpu->efer |= EFER_LMA;
	if (!(cpu->cr0 & CR0_PE))
		cpu->cpl = 0;
	if (!(cpu->cr0 & CR0_PE) || cpu_lma(cpu))
		flags &= ~FL_VM;
	if (flags & FL_VM)
		cpu->cpl = 3;
	cpu_set_rflags(cpu, flags);
}

SIMPLE(rsm)
{
	u64 cr0, cr3, cr4;

	if (!cpu->smm)
		return cpu_fault(cpu, EXC_UD, 0, "RSM outside system management mode", 0);
	cr0 = map_read(cpu, SM_CR0, 8);
	cr3 = map_read(cpu, SM_CR3, 8);
	cr4 = map_read(cpu, SM_CR4, 8);
	if (!saved_state_valid(cpu, cr0, cr4))
		return rsm_shutdown(cpu, "RSM: invalid CR0, CR4 or EFER in the saved state", cr0);
	for (unsigned i = 0; i < 16; i++)
		cpu->r[i] = map_read(cpu, SM_RAX - i * 8, 8);
	restore_segments(cpu);
	cpu->cr0 = cr0 | CR0_ET;
	cpu->cr4 = cr4;
	restore_mode(cpu);
	cpu->dr[6] = (map_read(cpu, SM_DR6, 8) & 0xe00f) | DR6_FIXED;
	cpu->dr[7] = (map_read(cpu, SM_DR7, 8) & 0xffff23ff) | DR7_FIXED;
	cpu->rip = map_read(cpu, SM_RIP, 8);
	if (map_read(cpu, SM_HALT, 1) & 1)
		cpu->activity = CPU_HLT;
	cpu->smbase = map_read(cpu, SM_SMBASE, 4);
	cpu->nmi_blocked &= ~2;
	smm_switch(cpu, false);
	if (mmu_load_pdptes(cpu, cr3, cpu->cr0, cpu->cr4, cpu->efer))
		return rsm_shutdown(cpu, "RSM: invalid PDPTE", cr3);
	mmu_set_cr3(cpu, cr3, false);
	vmx_leave_smm(cpu);
	mmu_flush_all(cpu);
	cpu_mode_changed(cpu);
	return 0;
}
