/*
 * LTR twice
 * name: #GP
 * check: descriptor is not an available TSS
 * expect: busy 32-bit TSS
 */
#include "skeleton.inc"

guest:
	load_tss
	mov eax, TSS
	ltr ax
