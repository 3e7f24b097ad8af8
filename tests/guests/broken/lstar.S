/*
 * A non-canonical LSTAR
 * name: #GP
 * check: WRMSR: the address is not canonical
 * expect: IA32_LSTAR
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov ecx, 0xc0000082
	mov edx, 0x41414141
	mov eax, 0
	wrmsr
