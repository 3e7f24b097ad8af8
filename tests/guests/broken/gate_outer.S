/*
 * A handler in ring 3 for ring 0
 * name: #GP
 * check: DPL of the handler's code segment > CPL
 * expect: DPL 3
 */
#include "skeleton.inc"

guest:
	gate32 0x30, guest, CODE3
	lidt [idtr32]
	int 0x30
