/*
 * A handler in a data segment
 * name: #GP
 * check: gate's segment is not a code segment
 * expect: writable data
 */
#include "skeleton.inc"

guest:
	gate32 0x30, guest, DATA0
	lidt [idtr32]
	int 0x30
