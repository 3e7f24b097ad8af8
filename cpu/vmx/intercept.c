/*
 * Which instructions exit, and with what qualification and instruction information (SDM Vol. 3C, 25.1-25.3, 27.2.1,
 * 27.2.5); control registers and the time-stamp counter as a guest sees them.
 */
#include "cpu/exec/string.h"
#include "cpu/exec/system.h"
#include "cpu/vmx/vmx.h"

/* ---- VM-exit instruction information (tables 27-8 to 27-16) ------------------------------------- */

static u32 address_size(const struct insn *in)
{
	return (in->adsize == 2 ? 0u : in->adsize == 4 ? 1u : 2u) << 7;
}

static const struct operand *memory_operand(const struct insn *in)
{
	for (unsigned i = 0; i < in->nops; i++)
		if (in->op[i].kind == OPK_MEM)
			return &in->op[i];
	return NULL;
}

/* Scaling, address size, segment, index, base; bit 10 for a register operand, which is then in bits 6:3. */
static u32 operand_info(const struct insn *in, const struct operand *reg)
{
	u32 info = address_size(in);

	if (!memory_operand(in))
		return 1u << 10 | (reg ? (u32)reg->reg << 3 : 0);
	info |= in->scale | (u32)in->seg << 15;
	info |= in->index < 16 ? (u32)in->index << 18 : 1u << 22;
	return info | (in->base < 16 ? (u32)in->base << 23 : 1u << 27);
}

/* The qualification of instructions with a memory operand: its displacement, rip-relative ones resolved. */
static u64 displacement(struct cpu *cpu, const struct insn *in)
{
	u64 d;

	if (!memory_operand(in))
		return 0;
	d = (u64)in->disp + (in->base == R_CODE ? cpu->rip : 0);
	return cpu_long64(cpu) ? d : (u32)d;
}

static int exit_plain(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	return vmx_exit_insn(cpu, in, reason, 0, 0);
}

static int exit_memory(struct cpu *cpu, const struct insn *in, enum vmx_reason reason, u32 more)
{
	return vmx_exit_insn(cpu, in, reason, displacement(cpu, in), operand_info(in, &in->op[0]) | more);
}

/* ---- control registers (25.1.3) ----------------------------------------------------------------- */

u64 vmx_cr0_seen(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) ? (cpu->cr0 & ~VF(CR0_MASK)) | (VF(CR0_SHADOW) & VF(CR0_MASK)) : cpu->cr0;
}

u64 vmx_cr4_seen(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) ? (cpu->cr4 & ~VF(CR4_MASK)) | (VF(CR4_SHADOW) & VF(CR4_MASK)) : cpu->cr4;
}

u64 vmx_cr0_written(const struct cpu *cpu, u64 v)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) ? (v & ~VF(CR0_MASK)) | (cpu->cr0 & VF(CR0_MASK)) : v;
}

u64 vmx_cr4_written(const struct cpu *cpu, u64 v)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) ? (v & ~VF(CR4_MASK)) | (cpu->cr4 & VF(CR4_MASK)) : v;
}

const char *vmx_cr0_denied(const struct cpu *cpu, u64 v)
{
	const struct vmx *vmx = cpu->vmx;
	u64 fixed0;

	if (cpu->vmx_mode == VMX_OFF)
		return NULL;
	fixed0 = vmx->caps.cr0_fixed0;
	if (vmx_nonroot(cpu) && VMX_P2(UNRESTRICTED))
		fixed0 &= ~(u64)(CR0_PE | CR0_PG);
	return ~v & fixed0 ? "CR0 would lose a bit that is fixed to 1 in VMX operation" : NULL;
}

const char *vmx_cr4_denied(const struct cpu *cpu, u64 v)
{
	if (cpu->vmx_mode == VMX_OFF || !(~v & cpu->vmx->caps.cr4_fixed0))
		return NULL;
	return "CR4.VMXE would be cleared in VMX operation";
}

static bool differs_from_shadow(u64 v, u64 mask, u64 shadow)
{
	return (v ^ shadow) & mask;
}

static bool cr3_target(const struct vmx *vmx, u64 v)
{
	for (unsigned i = 0; i < VF(CR3_TARGET_COUNT) && i < 4; i++)
		if (vmx->vmcs.v[VF_CR3_TARGET0 + i] == v)
			return true;
	return false;
}

static bool mov_to_cr_exits(const struct cpu *cpu, unsigned cr, u64 v)
{
	const struct vmx *vmx = cpu->vmx;

	switch (cr) {
	case 0: return differs_from_shadow(v, VF(CR0_MASK), VF(CR0_SHADOW));
	case 3: return VMX_P1(CR3_LOAD) && !cr3_target(vmx, v);
	case 4: return differs_from_shadow(v, VF(CR4_MASK), VF(CR4_SHADOW));
	case 8: return VMX_P1(CR8_LOAD);
	}
	return false;
}

static int mov_cr(struct cpu *cpu, const struct insn *in, bool to)
{
	const struct vmx *vmx = cpu->vmx;
	unsigned cr = in->op[to ? 0 : 1].reg, reg = in->op[to ? 1 : 0].reg;
	bool exits;

	if (cr == 8 && !cpu_long64(cpu))
		return 0; /* #UD, by the operation */
	exits = to ? mov_to_cr_exits(cpu, cr, reg_read(cpu, reg, cpu_long64(cpu) ? 8 : 4))
		   : (cr == 3 && VMX_P1(CR3_STORE)) || (cr == 8 && VMX_P1(CR8_STORE));
	if (!exits)
		return 0;
	return vmx_exit_insn(cpu, in, VR_CR_ACCESS, cr | (to ? 0 : 1u << 4) | reg << 8, 0);
}

/* 25.1.3: LMSW loads four bits, and cannot clear PE. */
static int lmsw(struct cpu *cpu, const struct insn *in)
{
	const struct vmx *vmx = cpu->vmx;
	u64 mask = VF(CR0_MASK), shadow = VF(CR0_SHADOW), v, lin = 0;
	const struct operand *mem = memory_operand(in);

	if (op_read(cpu, in, 0, &v) || (mem && op_linear(cpu, in, 2, ACC_R, &lin)))
		return 1;
	if (!((mask & v & 1) && !(shadow & 1)) && !differs_from_shadow(v, mask & 14, shadow))
		return 0;
	(void)vmx_exit_insn(cpu, in, VR_CR_ACCESS, 3u << 4 | (mem ? 1u << 6 : 0) | (v & 0xffff) << 16, 0);
	cpu->vm_fault.lin = lin;
	return 1;
}

static int cr_access(struct cpu *cpu, const struct insn *in)
{
	const struct vmx *vmx = cpu->vmx;

	switch (in->opcode) {
	case 0x20: return mov_cr(cpu, in, false);
	case 0x22: return mov_cr(cpu, in, true);
	case 0x06: /* CLTS */
		if (!(VF(CR0_MASK) & VF(CR0_SHADOW) & CR0_TS))
			return 0;
		return vmx_exit_insn(cpu, in, VR_CR_ACCESS, 2u << 4, 0);
	}
	return (in->modrm >> 3 & 7) == 6 ? lmsw(cpu, in) : 0; /* SMSW reads the shadow */
}

static int dr_access(struct cpu *cpu, const struct insn *in)
{
	bool from = in->opcode == 0x21;
	unsigned dr = in->op[from ? 1 : 0].reg, reg = in->op[from ? 0 : 1].reg;
	const struct vmx *vmx = cpu->vmx;

	if (!VMX_P1(MOV_DR))
		return 0;
	if (((dr == 4 || dr == 5) && cpu->cr4 & CR4_DE) || dr > 7 || cpu->cpl)
		return 0; /* #UD and #GP come first, by the operation; general detect does not */
	return vmx_exit_insn(cpu, in, VR_DR_ACCESS, dr | (from ? 1u << 4 : 0) | reg << 8, 0);
}

/* ---- I/O (25.1.3, 24.6.4) ----------------------------------------------------------------------- */

static bool port_exits(struct cpu *cpu, u16 port, unsigned size)
{
	const struct vmx *vmx = cpu->vmx;

	if (!VMX_P1(IO_BITMAPS))
		return VMX_P1(IO_UNCOND);
	if (port + size > 0x10000u)
		return true; /* an access that wraps */
	for (u32 p = port; p < port + size; p++) {
		u64 map = p < 0x8000 ? VF(IO_BITMAP_A) : VF(IO_BITMAP_B);
		u8 bits;

		phys_read(cpu, map + (p & 0x7fff) / 8, &bits, 1);
		if (bits >> (p & 7) & 1)
			return true;
	}
	return false;
}

static int io_access(struct cpu *cpu, const struct insn *in)
{
	bool string = (in->opcode & 0xfc) == 0x6c, imm = (in->opcode & 0xfc) == 0xe4;
	bool is_in = string ? !(in->opcode & 2) : !(in->opcode & 2);
	unsigned size = string ? string_size(in) : in->op[is_in ? 0 : 1].size, seg = is_in ? ES : in->seg;
	u16 port = imm ? in->imm & 0xff : cpu->r[RDX] & 0xffff;
	u64 qual;

	if (string && !string_count(cpu, in))
		return 0;
	if (io_permission(cpu, port, size))
		return 1;
	if (!port_exits(cpu, port, size))
		return 0;
	qual = (size - 1) | (is_in ? 8 : 0) | (string ? 16 : 0) | (string && string_rep(in) ? 32 : 0) | (imm ? 64 : 0) |
	       (u64)port << 16;
	(void)vmx_exit_insn(cpu, in, VR_IO, qual, string ? address_size(in) | (is_in ? 0 : (u32)in->seg << 15) : 0);
	if (string) {
		u64 off = reg_read(cpu, is_in ? RDI : RSI, in->adsize);
		bool based = !cpu_long64(cpu) || seg == FS || seg == GS;

		cpu->vm_fault.lin = off + (based ? seg_base(cpu, seg) : 0);
		if (!cpu_long64(cpu))
			cpu->vm_fault.lin = (u32)cpu->vm_fault.lin;
	}
	return 1;
}

/* ---- MSRs (24.6.9) ------------------------------------------------------------------------------ */

static bool msr_exits(struct cpu *cpu, u32 msr, bool write)
{
	const struct vmx *vmx = cpu->vmx;
	u32 index = msr & 0x1fff;
	u8 bits;

	if (!VMX_P1(MSR_BITMAPS) || (msr > 0x1fff && (msr < 0xc0000000 || msr > 0xc0001fff)))
		return true;
	phys_read(cpu, VF(MSR_BITMAP) + (msr > 0x1fff ? 0x400 : 0) + (write ? 0x800 : 0) + index / 8, &bits, 1);
	return bits >> (index & 7) & 1;
}

/* ---- the rest ----------------------------------------------------------------------------------- */

/* 24.6.13, 25.1.3: PAUSE at CPL 0 in quick succession. */
static int pause(struct cpu *cpu, const struct insn *in)
{
	struct vmx *vmx = cpu->vmx;
	u64 now = cpu_tsc(cpu), last = vmx->pause_last;

	if (VMX_P1(PAUSE))
		return exit_plain(cpu, in, VR_PAUSE);
	if (!VMX_P2(PLE) || cpu->cpl)
		return 0;
	vmx->pause_last = now;
	if (!vmx->pause_first || now - last > VF(PLE_GAP)) {
		vmx->pause_first = now;
		return 0;
	}
	if (now - vmx->pause_first <= VF(PLE_WINDOW))
		return 0;
	vmx->pause_first = 0;
	return exit_plain(cpu, in, VR_PAUSE);
}

static int rdtsc(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	const struct vmx *vmx = cpu->vmx;

	if (reason == VR_RDTSCP && !VMX_P2(RDTSCP))
		return cpu_fault(cpu, EXC_UD, 0, "RDTSCP with \"enable RDTSCP\" = 0", 0);
	if (cpu->cr4 & CR4_TSD && cpu->cpl)
		return 0; /* #GP, by the operation */
	return VMX_P1(RDTSC) ? exit_plain(cpu, in, reason) : 0;
}

/* 25.1.3: UMWAIT and TPAUSE tell the time, as RDTSC does. The operand has 32 bits whatever the prefixes (table 27-12). */
static int user_wait(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	const struct vmx *vmx = cpu->vmx;

	if (vmx_user_wait_disabled(cpu) || (cpu->cr4 & CR4_TSD && cpu->cpl))
		return 0; /* #UD or #GP, by the operation */
	return VMX_P1(RDTSC) ? vmx_exit_insn(cpu, in, reason, 0, (operand_info(in, &in->op[0]) & 0x78) | 1u << 11) : 0;
}

static u32 operand_size_info(const struct insn *in)
{
	return operand_info(in, &in->op[0]) | (in->opsize == 2 ? 0u : in->opsize == 4 ? 1u : 2u) << 11;
}

/* 25.1.3: XSAVES and XRSTORS exit for components of the XSS-exiting bitmap; our XSS has none to set. */
static int xsaves(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	const struct vmx *vmx = cpu->vmx;
	u64 rfbm = (u32)cpu->r[RAX] | cpu->r[RDX] << 32;

	if (!VMX_P2(XSAVES))
		return cpu_fault(cpu, EXC_UD, 0, "XSAVES with \"enable XSAVES/XRSTORS\" = 0", 0);
	if (!(rfbm & cpu->xss & VF(XSS_EXIT_BITMAP)))
		return 0;
	return exit_memory(cpu, in, reason, 0);
}

static int invlpg(struct cpu *cpu, const struct insn *in)
{
	u64 lin = op_ea(cpu, in);

	if (!cpu_long64(cpu) || in->seg == FS || in->seg == GS)
		lin += seg_base(cpu, in->seg);
	return vmx_exit_insn(cpu, in, VR_INVLPG, cpu_long64(cpu) ? lin : (u32)lin, 0);
}

static int invpcid(struct cpu *cpu, const struct insn *in)
{
	const struct vmx *vmx = cpu->vmx;

	if (!VMX_P2(INVPCID))
		return cpu_fault(cpu, EXC_UD, 0, "INVPCID with \"enable INVPCID\" = 0", 0);
	if (!VMX_P1(INVLPG))
		return 0;
	return vmx_exit_insn(cpu, in, VR_INVPCID, displacement(cpu, in),
			     operand_info(in, NULL) | (u32)in->op[0].reg << 28);
}

static int mode_check(struct cpu *cpu)
{
	if (!(cpu->cr0 & CR0_PE) || cpu_v86(cpu) || (cpu_lma(cpu) && !cpu_long64(cpu)))
		return cpu_fault(cpu, EXC_UD, 0, "VMX instruction in real, virtual-8086 or compatibility mode", cpu->cr0);
	return 0;
}

/* 24.6.15, 25.1.3: does VMREAD or VMWRITE reach the shadow VMCS? */
static bool shadowed(struct cpu *cpu, u64 enc, bool write)
{
	const struct vmx *vmx = cpu->vmx;
	u8 bits;

	if (!VMX_P2(SHADOW) || cpu->cpl || enc >> 15)
		return false;
	phys_read(cpu, (write ? VF(VMWRITE_BITMAP) : VF(VMREAD_BITMAP)) + enc / 8, &bits, 1);
	return !(bits >> (enc & 7) & 1);
}

static int vmread_vmwrite(struct cpu *cpu, const struct insn *in, bool write)
{
	const struct operand *enc = &in->op[write ? 0 : 1], *value = &in->op[write ? 1 : 0];

	if (mode_check(cpu))
		return 1;
	if (cpu->vmx && shadowed(cpu, reg_read(cpu, enc->reg, cpu_long64(cpu) ? 8 : 4), write))
		return 0;
	return vmx_exit_insn(cpu, in, write ? VR_VMWRITE : VR_VMREAD, displacement(cpu, in),
			     operand_info(in, value) | (u32)enc->reg << 28);
}

/* INVEPT, INVVPID: the register with the type goes to bits 31:28. */
static int vmx_with_register(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	if (mode_check(cpu))
		return 1;
	return vmx_exit_insn(cpu, in, reason, displacement(cpu, in), operand_info(in, NULL) | (u32)in->op[0].reg << 28);
}

static int vmx_instruction(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	if (reason == VR_VMXON && !(cpu->cr4 & CR4_VMXE))
		return cpu_fault(cpu, EXC_UD, 0, "VMXON with CR4.VMXE = 0", cpu->cr4);
	if (mode_check(cpu))
		return 1;
	return memory_operand(in) ? exit_memory(cpu, in, reason, 0) : exit_plain(cpu, in, reason);
}

/* SGDT and the like at CPL > 0 with UMIP fault first. */
static bool umip_first(const struct cpu *cpu, bool store)
{
	return store && cpu->cr4 & CR4_UMIP && cpu->cpl;
}

static int descriptor_table(struct cpu *cpu, const struct insn *in, enum vmx_reason reason)
{
	const struct vmx *vmx = cpu->vmx;
	unsigned which = in->modrm >> 3 & 3;
	u32 size = reason == VR_GDTR_IDTR && in->opsize != 2 ? 1u << 11 : 0;

	if (!VMX_P2(DESC_TABLE) || umip_first(cpu, which < 2))
		return 0;
	return exit_memory(cpu, in, reason, which << 28 | size);
}

static int if_control(struct cpu *cpu, const struct insn *in, bool exits, enum vmx_reason reason)
{
	return exits ? exit_plain(cpu, in, reason) : 0;
}

static int rdpmc(struct cpu *cpu, const struct insn *in)
{
	const struct vmx *vmx = cpu->vmx;

	if (!(cpu->cr4 & CR4_PCE) && cpu->cpl && cpu->cr0 & CR0_PE)
		return 0;
	return if_control(cpu, in, VMX_P1(RDPMC), VR_RDPMC);
}

bool vmx_rdtscp_disabled(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) && !VMX_P2(RDTSCP);
}

bool vmx_user_wait_disabled(const struct cpu *cpu)
{
	const struct vmx *vmx = cpu->vmx;

	return vmx_nonroot(cpu) && !VMX_P2(USER_WAIT);
}

int vmx_intercept(struct cpu *cpu, const struct insn *in)
{
	const struct vmx *vmx = cpu->vmx;
	unsigned reason = insn_rows[in->row].vmx;

	switch (reason) {
	case VR_CPUID:
	case VR_INVD: return exit_plain(cpu, in, reason);
	case VR_HLT: return if_control(cpu, in, VMX_P1(HLT), reason);
	case VR_INVLPG: return VMX_P1(INVLPG) ? invlpg(cpu, in) : 0;
	case VR_RDPMC: return rdpmc(cpu, in);
	case VR_RDTSC:
	case VR_RDTSCP: return rdtsc(cpu, in, reason);
	case VR_UMWAIT:
	case VR_TPAUSE: return user_wait(cpu, in, reason);
	case VR_VMCALL:
	case VR_VMLAUNCH:
	case VR_VMRESUME:
	case VR_VMXOFF:
	case VR_VMCLEAR:
	case VR_VMPTRLD:
	case VR_VMPTRST:
	case VR_VMXON: return vmx_instruction(cpu, in, reason);
	case VR_VMREAD: return vmread_vmwrite(cpu, in, false);
	case VR_VMWRITE: return vmread_vmwrite(cpu, in, true);
	case VR_INVEPT:
	case VR_INVVPID: return vmx_with_register(cpu, in, reason);
	case VR_CR_ACCESS: return cr_access(cpu, in);
	case VR_DR_ACCESS: return dr_access(cpu, in);
	case VR_IO: return io_access(cpu, in);
	case VR_RDMSR: return if_control(cpu, in, msr_exits(cpu, (u32)cpu->r[RCX], false), reason);
	case VR_WRMSR: return if_control(cpu, in, msr_exits(cpu, (u32)cpu->r[RCX], true), reason);
	case VR_MWAIT: return if_control(cpu, in, VMX_P1(MWAIT) && !cpu->cpl, reason);
	case VR_MONITOR: return if_control(cpu, in, VMX_P1(MONITOR) && !cpu->cpl, reason);
	case VR_PAUSE: return pause(cpu, in);
	case VR_GDTR_IDTR:
	case VR_LDTR_TR: return descriptor_table(cpu, in, reason);
	case VR_WBINVD: return if_control(cpu, in, VMX_P2(WBINVD), reason);
	case VR_XSETBV: return if_control(cpu, in, cpu->cr4 & CR4_OSXSAVE, reason);
	case VR_RDRAND: return VMX_P2(RDRAND) ? vmx_exit_insn(cpu, in, reason, 0, operand_size_info(in) & 0x1878) : 0;
	case VR_RDSEED: return VMX_P2(RDSEED) ? vmx_exit_insn(cpu, in, reason, 0, operand_size_info(in) & 0x1878) : 0;
	case VR_INVPCID: return invpcid(cpu, in);
	case VR_XSAVES:
	case VR_XRSTORS: return xsaves(cpu, in, reason);
	}
	return 0; /* RSM outside SMM is #UD; VMFUNC decides for itself */
}

/* ---- time (25.3, 24.6.5) ------------------------------------------------------------------------ */

u64 vmx_guest_tsc(const struct cpu *cpu, u64 tsc)
{
	const struct vmx *vmx = cpu->vmx;

	if (!VMX_P1(TSC_OFFSET))
		return tsc;
	if (VMX_P2(TSC_SCALING))
		tsc = (u64)((u128)tsc * VF(TSC_MULTIPLIER) >> 48);
	return tsc + VF(TSC_OFFSET);
}

u64 vmx_host_ticks(const struct cpu *cpu, u64 ticks)
{
	const struct vmx *vmx = cpu->vmx;
	u128 t = (u128)ticks << 48;

	if (!vmx_nonroot(cpu) || !VMX_P1(TSC_OFFSET) || !VMX_P2(TSC_SCALING) || !VF(TSC_MULTIPLIER))
		return ticks;
	t /= VF(TSC_MULTIPLIER);
	return t > ~0ull ? ~0ull : (u64)t;
}
