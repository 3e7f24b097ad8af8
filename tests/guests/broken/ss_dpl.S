/*
 * A ring 3 stack at CPL 0
 * name: #GP
 * check: DPL of the stack segment is not CPL
 * expect: DPL 3
 */
#include "skeleton.inc"

guest:
	mov eax, 0x28
	mov ss, eax
