/*
 * In virtual-8086 mode: cli
 * name: #GP
 * check: CLI with CPL > IOPL
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
1:	cli
