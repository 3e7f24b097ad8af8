/*
 * The EPT: EPT entry has a reserved memory type
 * name: VM exit
 * check: EPT entry has a reserved memory type
 * expect: EPT PDPTE
 * expect: reserved
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 2
	lea rax, eptpdpt
	or rax, 7
	mov [eptpml4], rax
	mov qword ptr [eptpdpt], 0x9f
	lea rax, eptpml4
	or rax, 0x1e
	mov edx, 0x201a
	vmwrite rdx, rax
	launch
