/*
 * A Multiboot guest that does one of everything a debugger can stop at, in order, with a label at each (test_debugger.c).
 * 32-bit code, flat, no paging; ends in HLT behind a ring 3 excursion.
 */
#define LOAD 0x100000
#define A(x) ((x) - debug_guest + LOAD)
#define LABEL(x) .global x; x:
#include "tests/flat32.h"

	.section .rodata
	.code32
	.balign 64
	.global debug_guest, debug_guest_end
debug_guest:
	.long 0x1badb002, 0x10000, -(0x1badb002 + 0x10000), LOAD, LOAD, 0, 0, A(start)
LABEL(dg_word)	.long 0x11223344
	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
tss_descriptor: .quad 0
gdtr:	.word 6 * 8 - 1
	.long A(gdt)
idtr:	.word 0x81 * 8 - 1
	.long A(debug_guest_end) /* in RAM behind the image */
tss:	.fill 26, 4, 0

start:
	mov $A(stack), %esp
	FLAT_SEGMENTS $A(stack)
	/* #UD (6) and INT 80h */
	mov $A(handler), %eax
	mov $6, %edx
	call gate
	mov $0x80, %edx
	call gate
	lidt A(idtr)
	mov $10, %ecx
LABEL(dg_loop)
	add $3, %ebx
LABEL(dg_loop_end)
	loop dg_loop
LABEL(dg_call)
	call function
LABEL(dg_after_call)
	mov $A(dg_word), %esi
LABEL(dg_read)
	mov (%esi), %eax
LABEL(dg_write)
	movl $0x55, (%esi)
LABEL(dg_after_write)
	mov $0x42, %al
LABEL(dg_out)
	out %al, $0x80
LABEL(dg_in)
	in $0x61, %al
	mov $0x10, %ecx
LABEL(dg_rdmsr)
	rdmsr
	mov %cr0, %eax
	or $0x20, %eax
LABEL(dg_cr0)
	mov %eax, %cr0
LABEL(dg_magic)
	xchg %bx, %bx
LABEL(dg_ud)
	ud2
LABEL(dg_int)
	int $0x80
LABEL(dg_iret)
	push $0x23
	push $A(stack3)
	push $0x3002 /* IOPL 3 */
	push $0x1b
	push $A(ring3)
	iret
LABEL(ring3)
	nop
LABEL(dg_fall)
	lidt A(idtr) /* #GP at CPL 3, for which there is no gate: a triple fault */

gate:	/* edx: vector, eax: handler */
	lea A(debug_guest_end)(, %edx, 8), %edi
	mov %ax, (%edi)
	movw $8, 2(%edi)
	movw $0xee00, 4(%edi)
	mov %eax, %ebp
	shr $16, %ebp
	mov %bp, 6(%edi)
	ret
LABEL(function)
	push %ebx
	call inner
	pop %ebx
LABEL(dg_return)
	ret
inner:	ret
LABEL(handler)
	push %eax
	mov 4(%esp), %eax
	cmpw $0x0b0f, (%eax)
	jne 1f
	addl $2, 4(%esp)
1:	pop %eax
LABEL(dg_handler_iret)
	iret

	.fill 256, 1, 0
stack:	.fill 256, 1, 0
stack3:	.balign 64
debug_guest_end:
	.section .note.GNU-stack, "", @progbits
