/*
 * SS with RPL 3 at CPL 0
 * name: #GP
 * check: RPL of the SS selector is not CPL
 * expect: RPL 3
 */
#include "skeleton.inc"

guest:
	mov eax, 0x13
	mov ss, eax
