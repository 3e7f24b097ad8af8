/*
 * Which VM exit an instruction may cause: the basic exit reason (SDM Vol. 3D, Appendix C), or
 * VMXI_NONE. Whether it does depends on the VMCS controls; for VMXI_IO, CR_ACCESS and the like the
 * handler has further conditions to check.
 */
#ifndef ORRERY_CPU_DECODER_VMX_INTERCEPTS_H
#define ORRERY_CPU_DECODER_VMX_INTERCEPTS_H

enum vmx_intercept {
	VMXI_NONE = 0, /* exit reason 0 (exception) is never an instruction intercept */
	VMXI_CPUID = 10,
	VMXI_GETSEC = 11,
	VMXI_HLT = 12,
	VMXI_INVD = 13,
	VMXI_INVLPG = 14,
	VMXI_RDPMC = 15,
	VMXI_RDTSC = 16,
	VMXI_RSM = 17,
	VMXI_VMCALL = 18,
	VMXI_VMCLEAR = 19,
	VMXI_VMLAUNCH = 20,
	VMXI_VMPTRLD = 21,
	VMXI_VMPTRST = 22,
	VMXI_VMREAD = 23,
	VMXI_VMRESUME = 24,
	VMXI_VMWRITE = 25,
	VMXI_VMXOFF = 26,
	VMXI_VMXON = 27,
	VMXI_CR_ACCESS = 28,
	VMXI_DR_ACCESS = 29,
	VMXI_IO = 30,
	VMXI_RDMSR = 31,
	VMXI_WRMSR = 32,
	VMXI_MWAIT = 36,
	VMXI_MONITOR = 39,
	VMXI_PAUSE = 40,
	VMXI_GDTR_IDTR = 46,
	VMXI_LDTR_TR = 47,
	VMXI_INVEPT = 50,
	VMXI_RDTSCP = 51,
	VMXI_INVVPID = 53,
	VMXI_WBINVD = 54,
	VMXI_XSETBV = 55,
	VMXI_RDRAND = 57,
	VMXI_INVPCID = 58,
	VMXI_VMFUNC = 59,
	VMXI_RDSEED = 61,
	VMXI_XSAVES = 63,
	VMXI_XRSTORS = 64,
	VMXI_UMWAIT = 67,
	VMXI_TPAUSE = 68,
};

#endif
