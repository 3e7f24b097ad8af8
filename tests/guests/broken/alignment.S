/*
 * Alignment checking
 * name: #AC
 * check: misaligned access with CR0.AM = 1, RFLAGS.AC = 1, CPL = 3
 * expect: CPL 3
 */
#include "skeleton.inc"

guest:
	mov eax, 0x40011
	mov cr0, eax
	ring3 user, 0x40002
user:
	mov eax, [arena + 1]
