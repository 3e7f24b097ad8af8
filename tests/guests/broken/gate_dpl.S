/*
 * A system call gate with DPL 0
 * name: #GP
 * check: software interrupt: gate DPL < CPL
 * expect: DPL 0
 * expect: CPL 3
 */
#include "skeleton.inc"

guest:
	gate32 0x80, guest
	lidt [idtr32]
	ring3 user, 2
user:
	int 0x80
