/*
 * A TSS descriptor of eight bytes in long mode
 * name: #GP
 * check: type bits of the upper half of a 16-byte descriptor are not 0
 * expect: take two slots
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	mov dword ptr [gdt + TSS + 12], 0x00cf9300
	mov eax, TSS
	ltr ax
