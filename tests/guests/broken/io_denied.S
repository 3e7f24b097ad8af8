/*
 * A port that the bitmap denies
 * name: #GP
 * check: I/O permission bitmap denies the port
 * expect: port 0x60
 * expect: bits 0x
 */
#include "skeleton.inc"

guest:
	mov word ptr [gdt + TSS], 0x87
	mov dword ptr [tss + 0x68 + 12], 0xffffffff
	load_tss
	ring3 user, 2
user:
	in al, 0x60
