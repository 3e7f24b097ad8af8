/*
 * The EPT: EPT entry allows writes and not reads
 * name: VM exit
 * check: EPT entry allows writes and not reads
 * expect: EPT PDPTE
 * expect: -W-
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 2
	lea rax, eptpdpt
	or rax, 7
	mov [eptpml4], rax
	mov qword ptr [eptpdpt], 0x9a
	lea rax, eptpml4
	or rax, 0x1e
	mov edx, 0x201a
	vmwrite rdx, rax
	launch
