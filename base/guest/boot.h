/*
 * Start-up of guest programs in assembly: the demonstration (machine/demo) and the labs (labs/common).
 * References: the Multiboot specification 0.6.96, 3.1; SDM Vol. 3A, 9.8.5 (entering IA-32e mode), 6.12 and 6.14 (traps).
 */

/* Page-aligned modules, memory information, address fields; a linker script names the image's ends. The entry is start32. */
	.macro MULTIBOOT_HEADER
	.section .multiboot, "ax"
	.balign 4
header:
	.long 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
	.long header, image_start, image_data_end, image_bss_end, start32
	.endm

/* From protected mode without paging to 64-bit code at \target with the tables at \pml4; \efer, \cr0: the bits to set there. */
	.macro ENTER_LONG_MODE pml4, efer, cr0, gdtr, target
	movl %cr4, %eax
	orl $0x20, %eax /* PAE */
	movl %eax, %cr4
	movl $\pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx /* EFER */
	rdmsr
	orl $\efer, %eax
	wrmsr
	movl %cr0, %eax
	orl $\cr0, %eax
	movl %eax, %cr0
	lgdt \gdtr
	ljmp $0x08, $\target
	.endm

/* 512 large pages, one to one, supervisor, into the page directory \pd: the first GiB. */
	.macro MAP_FIRST_GIB pd
	xorl %ecx, %ecx
88:	movl %ecx, %eax
	shll $21, %eax
	orl $0x83, %eax
	movl %eax, \pd(,%ecx,8)
	incl %ecx
	cmpl $512, %ecx
	jb 88b
	.endm

/* trap_N: leaves an error code (a zero where the processor pushes none) and the vector on the stack, and goes to trap_common. */
#ifdef __x86_64__
#define GUEST_PUSH pushq
#else
#define GUEST_PUSH pushl
#endif
	.macro TRAP number, has_error
	.globl trap_\number
trap_\number:
	.if !\has_error
	GUEST_PUSH $0
	.endif
	GUEST_PUSH $\number
	jmp trap_common
	.endm
