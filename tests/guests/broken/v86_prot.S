/*
 * In virtual-8086 mode: .byte 0x0f, 0x00, 0xc0
 * name: #UD
 * check: the instruction is not recognized in real-address and virtual-8086 mode
 * expect: PE
 * expect: virtual-8086 mode
 */
#include "skeleton.inc"

guest:
	mov esi, offset 1f
	mov edi, 0x8000
	mov ecx, 16
	rep movsb
	push 0
	push 0
	push 0
	push 0
	push 0
	push 0x7000
	push 0x20002
	push 0x800
	push 0
	iretd
1:	.byte 0x0f, 0x00, 0xc0
