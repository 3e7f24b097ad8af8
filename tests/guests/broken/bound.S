/*
 * An index out of bounds
 * name: #BR
 * check: BOUND: index out of range
 * expect: bound
 * expect: value        0x7
 */
#include "skeleton.inc"

guest:
	mov eax, 7
	mov dword ptr [arena], 1
	mov dword ptr [arena + 4], 5
	bound eax, [arena]
