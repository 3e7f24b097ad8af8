/*
 * APM 1.2 from protected mode: the entry points that INT 15h AX=5302h and 5303h name. 16-bit and 32-bit code are the same text
 * assembled twice. CS is F000h's base, DS that of the run time's data, the stack the caller's; AL is the function, AH is 53h.
 */
#include "bios/layout.h"

	.macro APM_ENTRY name
	.globl \name
\name:
	cmpb $0x04, %al
	je 4f
	cmpb $0x05, %al
	je 5f
	cmpb $0x06, %al
	je 1f
	cmpb $0x07, %al
	je 7f
	cmpb $0x08, %al
	je 1f
	cmpb $0x0a, %al
	je 10f
	cmpb $0x0b, %al
	je 11f
	cmpb $0x0c, %al
	je 12f
	cmpb $0x0d, %al
	je 1f
	cmpb $0x0e, %al
	je 14f
	cmpb $0x0f, %al
	je 1f
	cmpb $0x10, %al
	je 1f
	movb $0x0c, %ah /* not supported */
	stc
	lret
4:	movb $0, apm_connected
1:	clc
	lret
5:	pushf /* until the next interrupt */
	sti
	hlt
	popf
	clc
	lret
7:	cmpw $1, %bx /* all devices */
	je 8f
	cmpw $0x1ff, %bx
	je 8f
	movb $0x09, %ah
	stc
	lret
8:	cmpw $3, %cx
	je 9f
	cmpw $5, %cx
	cmc
	jnc 1b
	movb $0x0a, %ah
	stc
	lret
9:	movl $0x80000b40, %eax /* 00:01.3, PMBA */
	movw $0xcf8, %dx
	outl %eax, %dx
	movw $0xcfc, %dx
	inl %dx, %eax
	andw $0xffc0, %ax
	jnz 3f
	movw $0x600, %ax
3:	addw $4, %ax
	movw %ax, %dx
	movw $0x2000, %ax /* SLP_EN, SLP_TYP 0 */
	outw %ax, %dx
	clc
	lret
10:	movw $0x01ff, %bx /* mains, no battery */
	movw $0x80ff, %cx
	movw $0xffff, %dx
	xorw %si, %si
	clc
	lret
11:	movb $0x80, %ah /* no event */
	stc
	lret
12:	xorw %cx, %cx
	clc
	lret
14:	movw $0x0102, %ax
	clc
	lret
	.endm

	.section .text, "ax"
	.code16
	APM_ENTRY apm_entry16
	.code32
	APM_ENTRY apm_entry32
	.section .note.GNU-stack, "", %progbits
