/*
 * In virtual-8086 mode: int 0x21
 * name: #GP
 * check: INT n in virtual-8086 mode with IOPL < 3
 * expect: value        0x21
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
1:	int 0x21
