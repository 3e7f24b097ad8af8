/*
 * A call gate in the IDT
 * name: #GP
 * check: IDT entry is not an interrupt, trap or task gate
 * expect: 32-bit call gate
 * expect: vector 48
 */
#include "skeleton.inc"

guest:
	gate32 0x30, guest, CODE0, 0x8c
	lidt [idtr32]
	int 0x30
