/*
 * A reserved memory type in the PAT
 * name: #GP
 * check: memory type is reserved
 * expect: IA32_PAT
 */
#include "skeleton.inc"

guest:
	mov ecx, 0x277
	mov eax, 0x02
	xor edx, edx
	wrmsr
