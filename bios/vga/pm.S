/*
 * The protected-mode interface of VBE 3.0 (4F0Ah): a table, and 32-bit code that callers copy elsewhere and call near, in any
 * segment, with ports allowed. DISPI registers are at 1CEh and 1CFh.
 */
	.text
	.globl pm_table, pm_table_end
pm_table:
	.word pm_window - pm_table
	.word pm_start - pm_table
	.word pm_palette - pm_table
	.word 0 /* no list of ports */

	.code32
/* Port @index in AL: leaves DX at the data port. */
	.macro DISPI index
	movw $0x1ce, %dx
	movw $\index, %ax
	outw %ax, %dx
	incl %edx
	.endm

/* 4F05h: BH = 0 moves window BL to DX (64 KiB units); 1 tells. */
pm_window:
	pushl %eax
	cmpb $1, %bh
	je 1f
	pushl %edx
	movl %edx, %eax
	pushl %eax
	DISPI 5
	popl %eax
	outw %ax, %dx
	popl %edx
	popl %eax
	movw $0x004f, %ax
	ret
1:	DISPI 5
	inw %dx, %ax
	movzwl %ax, %edx
	popl %eax
	movw $0x004f, %ax
	ret

/* 4F07h: DX:CX, in units of four bytes, becomes the upper left corner. */
pm_start:
	pushal
	movzwl %cx, %ecx
	shll $16, %edx
	orl %edx, %ecx
	shll $2, %ecx
	DISPI 3
	inw %dx, %ax
	movzwl %ax, %ebx
	addl $7, %ebx
	shrl $3, %ebx /* bytes of a pixel */
	DISPI 6
	inw %dx, %ax
	movzwl %ax, %eax
	imull %ebx, %eax
	movl %eax, %esi /* of a line */
	testl %esi, %esi
	jz 1f
	movl %ecx, %eax
	xorl %edx, %edx
	divl %esi
	movl %eax, %edi /* line */
	movl %edx, %eax
	xorl %edx, %edx
	divl %ebx
	movl %eax, %esi /* pixel */
	DISPI 8
	movl %esi, %eax
	outw %ax, %dx
	DISPI 9
	movl %edi, %eax
	outw %ax, %dx
1:	popal
	movw $0x004f, %ax
	ret

/* 4F09h: CX colours from number DX on, at ES:EDI: blue, green, red, nothing. */
pm_palette:
	pushal
	movb %dl, %al
	movw $0x3c8, %dx
	outb %al, %dx
	incl %edx
	movzwl %cx, %ecx
	jecxz 2f
1:	movb %es:2(%edi), %al
	outb %al, %dx
	movb %es:1(%edi), %al
	outb %al, %dx
	movb %es:(%edi), %al
	outb %al, %dx
	addl $4, %edi
	loop 1b
2:	popal
	movw $0x004f, %ax
	ret
pm_table_end:
	.section .note.GNU-stack, "", %progbits
