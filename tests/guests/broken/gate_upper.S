/*
 * A gate whose upper half was never written
 * name: #GP
 * check: handler's RIP is not canonical
 * step: 2
 * expect: upper half
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	lidt [idtr]
	gate64 6, guest
	mov dword ptr [idt + 6 * 16 + 8], 0x00ff0000
	ud2
