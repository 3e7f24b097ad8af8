/*
 * A TSS whose SS0 was forgotten
 * name: #TS
 * check: SS selector is null
 * expect: during delivery of vector 128
 */
#include "skeleton.inc"

guest:
	gate32 0x80, guest, CODE0, 0xee
	lidt [idtr32]
	mov dword ptr [tss + 8], 0
	load_tss
	ring3 user, 2
user:
	int 0x80
