/*
 * BIOS32 service directory (Standard BIOS 32-bit Service Directory Proposal 0.4) and the 32-bit entry of the PCI BIOS. They
 * stand in the F-segment, run at whatever linear address the caller has mapped them, and use the caller's stack.
 */
	.code32
	.section .text, "ax"
	.globl bios32_entry, pci32_entry, pci32_last_bus
bios32_entry:
	testb %bl, %bl
	jnz 2f
	cmpl $0x49435024, %eax /* "$PCI" */
	jne 1f
	movl $0xf0000, %ebx
	movl $0x10000, %ecx
	movl $pci32_entry, %edx
	xorb %al, %al
	lret
1:	movb $0x80, %al
	lret
2:	movb $0x81, %al
	lret

pci32_entry:
	pushfl
	cld
	subl $12, %esp /* struct regs behind its general registers: only FLAGS matters */
	andb $0xfe, 12(%esp)
	pushl 12(%esp)
	subl $12, %esp /* DS..GS, IP, CS */
	pushl %eax
	pushl %ecx
	pushl %edx
	pushl %ebx
	pushl %ebp
	pushl %esi
	pushl %edi
	movl %esp, %eax
	call 1f
1:	popl %ecx
	movzbl %cs:pci32_last_bus - 1b(%ecx), %edx
	call pci32_service
	popl %edi
	popl %esi
	popl %ebp
	popl %ebx
	popl %edx
	popl %ecx
	popl %eax
	addl $12, %esp
	testb $1, (%esp)
	leal 16(%esp), %esp
	jnz 3f
	popfl
	clc
	lret
3:	popfl
	stc
	lret
pci32_last_bus:
	.byte 0

	.section .note.GNU-stack, "", %progbits
