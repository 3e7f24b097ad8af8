/*
 * A TSS too short for a stack
 * name: #TS
 * check: inner stack is outside the TSS limit
 * expect: stack for privilege level 0, at offset 0x4
 * expect: limit 0x3
 */
#include "skeleton.inc"

guest:
	gate32 0x80, guest, CODE0, 0xee
	lidt [idtr32]
	mov word ptr [gdt + TSS], 3
	load_tss
	ring3 user, 2
user:
	int 0x80
