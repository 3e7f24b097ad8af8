/*
 * A store through CS
 * name: #GP
 * check: write to a segment that is not writable data
 * expect: 32-bit readable code
 */
#include "skeleton.inc"

guest:
	mov dword ptr cs:[arena], 1
