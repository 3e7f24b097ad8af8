/* A small library for virtual machines under VT-x, for 64-bit labs (SDM Vol. 3C, chapters 23-30). */
#ifndef LAB_VMX_H
#define LAB_VMX_H

#include "lab.h"

/* VMCS fields that labs use (SDM Vol. 3D, appendix B). */
enum {
	V_VPID = 0x0000,
	V_GUEST_ES = 0x0800, V_GUEST_CS = 0x0802, V_GUEST_SS = 0x0804, V_GUEST_TR = 0x080e,
	V_HOST_ES = 0x0c00, V_HOST_TR = 0x0c0c,
	V_IO_BITMAP_A = 0x2000, V_IO_BITMAP_B = 0x2002, V_MSR_BITMAP = 0x2004, V_EPTP = 0x201a,
	V_GPA = 0x2400, V_LINK = 0x2800, V_GUEST_EFER = 0x2806, V_HOST_EFER = 0x2c02,
	V_PIN = 0x4000, V_PROC = 0x4002, V_EXCEPTIONS = 0x4004, V_PF_MASK = 0x4006, V_PF_MATCH = 0x4008, V_EXIT = 0x400c,
	V_ENTRY = 0x4012, V_ENTRY_INTR = 0x4016, V_ENTRY_ERROR = 0x4018, V_ENTRY_LEN = 0x401a, V_PROC2 = 0x401e,
	V_INSN_ERROR = 0x4400, V_REASON = 0x4402, V_INTR = 0x4404, V_INTR_ERROR = 0x4406, V_IDT_INFO = 0x4408, V_LEN = 0x440c,
	V_INSN_INFO = 0x440e,
	V_GUEST_LIMIT = 0x4800, V_GUEST_GDTR_LIMIT = 0x4810, V_GUEST_IDTR_LIMIT = 0x4812, V_GUEST_AR = 0x4814,
	V_INTERRUPTIBILITY = 0x4824, V_ACTIVITY = 0x4826,
	V_CR0_MASK = 0x6000, V_CR4_MASK = 0x6002, V_CR0_SHADOW = 0x6004, V_CR4_SHADOW = 0x6006, V_QUAL = 0x6400, V_LINEAR = 0x640a,
	V_GUEST_CR0 = 0x6800, V_GUEST_CR3 = 0x6802, V_GUEST_CR4 = 0x6804, V_GUEST_BASE = 0x6806, V_GUEST_TR_BASE = 0x6814,
	V_GUEST_GDTR_BASE = 0x6816, V_GUEST_IDTR_BASE = 0x6818, V_GUEST_DR7 = 0x681a, V_GUEST_RSP = 0x681c, V_GUEST_RIP = 0x681e,
	V_GUEST_RFLAGS = 0x6820,
	V_HOST_CR0 = 0x6c00, V_HOST_CR3 = 0x6c02, V_HOST_CR4 = 0x6c04, V_HOST_TR_BASE = 0x6c0a, V_HOST_GDTR_BASE = 0x6c0c,
	V_HOST_IDTR_BASE = 0x6c0e, V_HOST_RSP = 0x6c14, V_HOST_RIP = 0x6c16,
};

#define PROC_HLT (1u << 7)
#define PROC_INVLPG (1u << 9)
#define PROC_RDTSC (1u << 12)
#define PROC_CR3_LOAD (1u << 15)
#define PROC_CR3_STORE (1u << 16)
#define PROC_IO (1u << 24)
#define PROC_IO_BITMAPS (1u << 25)
#define PROC_MSR_BITMAPS (1u << 28)
#define PROC_SECONDARY (1u << 31)
#define PROC2_EPT (1u << 1)
#define PROC2_DESC (1u << 2)
#define PROC2_VPID (1u << 5)

enum {
	X_EXCEPTION = 0, X_TRIPLE = 2, X_CPUID = 10, X_HLT = 12, X_INVLPG = 14, X_VMCALL = 18, X_CR = 28, X_IO = 30, X_RDMSR = 31,
	X_WRMSR = 32, X_ENTRY_GUEST = 33, X_GDT_IDT = 46, X_LDT_TR = 47, X_EPT = 48,
	X_FAILED = 0x1000, /* VMLAUNCH or VMRESUME did not enter */
};

struct vm {
	u64 ax, bx, cx, dx, si, di, bp, r8, r9, r10, r11, r12, r13, r14, r15;
	void *vmcs;
	u64 launched;
};

/* Goes to VMX root operation. 0: done; else there is no VT-x, or firmware has locked it. */
int vmx_on(void);
void vmx_off(void);
u64 vmread(u64 field);
void vmwrite(u64 field, u64 value);
/* A control word with @want set, as far as the processor allows, and what it insists on. */
u32 vmx_controls(u32 msr, u32 want);
#define VMX_PIN(want) vmx_controls(0x48d, want)
#define VMX_PROC(want) vmx_controls(0x48e, want)
#define VMX_PROC2(want) vmx_controls(0x48b, want)

/* A virtual machine in 64-bit mode: our own segments, descriptor tables, CR0 and CR4, but its entry, stack and CR3. It is current
 * afterwards. Its controls: HLT exits, MSR bitmaps (none exits), I/O passes. Change what is wanted with vmwrite(). */
void vm_init(struct vm *vm, void (*entry)(void), uw sp, uw cr3);
void vm_current(struct vm *vm);
/* Into the guest until it exits; the basic exit reason. */
unsigned vm_run(struct vm *vm);
/* Behind the instruction that exited. */
void vm_skip(void);
/* The next entry delivers exception @vector. */
void vm_inject(unsigned vector, int has_error, u32 error);
/* EPT that maps the lowest @bytes one to one, in pages of 4 KiB or 2 MiB; the EPTP. */
u64 ept_identity(uw bytes, int small_pages);
u64 *ept_entry(u64 eptp, u64 gpa); /* the last level's */

#endif
