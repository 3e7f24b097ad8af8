/*
 * Long mode without PAE
 * name: #GP
 * check: CR0.PG := 1 with EFER.LME = 1 and CR4.PAE = 0
 * expect: PE ET PG
 */
#include "skeleton.inc"

guest:
	mov ecx, 0xc0000080
	mov eax, 0x100
	xor edx, edx
	wrmsr
	mov eax, 0x80000011
	mov cr0, eax
