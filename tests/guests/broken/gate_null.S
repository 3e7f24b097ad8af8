/*
 * A gate that was filled without a selector
 * name: #GP
 * check: code selector of the gate is null
 */
#include "skeleton.inc"

guest:
	gate32 0x30, guest, 0
	lidt [idtr32]
	int 0x30
