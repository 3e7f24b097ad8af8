/*
 * VMXON before IA32_FEATURE_CONTROL
 * name: #GP
 * check: VMXON: IA32_FEATURE_CONTROL is not locked with VMX enabled
 * expect: bits 0 (lock) and 2
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, cr4
	or eax, 0x2000
	mov cr4, rax
	mov qword ptr [arena + 8], 0
	vmxon [arena]
