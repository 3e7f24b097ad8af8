/*
 * VMXON of an empty page
 * name: VMfail
 * check: VMXON: the region does not begin with the revision identifier of IA32_VMX_BASIC
 * expect: 24.11.5
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov rax, cr4
	or eax, 0x2000
	mov cr4, rax
	mov ecx, 0x3a
	mov eax, 5
	xor edx, edx
	wrmsr
	lea rax, arena
	push rax
	vmxon [rsp]
	cli
	hlt
