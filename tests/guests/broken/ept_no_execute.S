/*
 * The EPT: the EPT does not allow the access
 * name: VM exit
 * check: the EPT does not allow the access
 * expect: EPT PDPTE
 * expect: RW-
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 2
	lea rax, eptpdpt
	or rax, 7
	mov [eptpml4], rax
	mov qword ptr [eptpdpt], 0xb3
	lea rax, eptpml4
	or rax, 0x1e
	mov edx, 0x201a
	vmwrite rdx, rax
	launch
