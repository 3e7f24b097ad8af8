/*
 * The EPT: EPT entry is not present
 * name: VM exit
 * check: EPT entry is not present
 * expect: EPT PDPTE
 * expect: not present
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 2
	lea rax, eptpdpt
	or rax, 7
	mov [eptpml4], rax
	mov qword ptr [eptpdpt], 0
	lea rax, eptpml4
	or rax, 0x1e
	mov edx, 0x201a
	vmwrite rdx, rax
	launch
