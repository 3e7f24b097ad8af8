/*
 * Services called from virtual-8086 mode, as memory managers and Windows call them: IOPL 3, interrupts through the table of
 * real mode (CR4.VME and a redirection bitmap of zeros, SDM Vol. 3B, 20.3), no paging. Whatever else is privileged raises #GP:
 * HLT is skipped, F4h; UD2 means that the program is done; anything else is counted as a failure.
 */
	.code16
	.section .text, "ax"
	.globl run_v86, v86_faults, v86_fault_ip, v86_fault_cs
/* void run_v86(void (*fn)(void) [eax]): fn runs in virtual-8086 mode. */
run_v86:
	pushal
	movl %eax, v86_entry
	movl %esp, v86_esp
	cli
	movl $tss_start, %eax
	movw %ax, gdt_tss + 2
	shrl $16, %eax
	movb %al, gdt_tss + 4
	lgdtl v86_gdt_at
	lidtl v86_idt_at
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $1f
	.code32
1:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $monitor_stack, %esp
	movl %cr4, %eax
	orb $1, %al
	movl %eax, %cr4
	/* I/O ports all open, all interrupts through 0:0 */
	movl $v86_tss, %edi
	xorl %eax, %eax
	movl $(104 + 32 + 8192) / 4, %ecx
	cld
	rep stosl
	movb $0xff, (%edi)
	movl $monitor_stack, v86_tss + 4
	movl $16, v86_tss + 8
	movw $104 + 32, v86_tss + 102
	andb $0xfd, gdt_tss + 5 /* not busy */
	movw $24, %ax
	ltr %ax
	pushl $0 /* gs, fs, ds, es */
	pushl $0
	pushl $0
	pushl $0
	pushl $0 /* ss, esp */
	movl v86_esp, %eax
	subl $64, %eax
	pushl %eax
	pushl $0x23002 /* VM, IOPL 3 */
	pushl $0
	pushl $v86_start
	iretl

general_protection:
	/* error, eip, cs, eflags, esp, ss, es, ds, fs, gs */
	pushl %ebx
	pushl %eax
	movzwl 16(%esp), %ebx
	shll $4, %ebx
	addl 12(%esp), %ebx
	cmpb $0xf4, %ss:(%ebx) /* DS is null */
	jne 2f
	incl 12(%esp)
	popl %eax
	popl %ebx
	addl $4, %esp
	iretl
2:	movw $16, %ax
	movw %ax, %ds
	incl v86_faults
	movl 12(%esp), %eax
	movl %eax, v86_fault_ip
	movl 16(%esp), %eax
	movl %eax, v86_fault_cs
invalid_opcode: /* UD2, or a failure: back to real mode */
	movw $32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl %cr4, %eax
	andb $0xfe, %al
	movl %eax, %cr4
	ljmpl $40, $1f
	.code16
1:	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmpl $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl v86_esp, %esp
	lidtl v86_real_idt
	popal
	retl
v86_start:
	calll *v86_entry
	ud2

	.balign 8
v86_gdt:
	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_tss:
	.word 104 + 32 + 8192
	.word 0
	.byte 0, 0x89, 0, 0
	.quad 0x000093000000ffff, 0x00009b000000ffff
v86_gdt_at:
	.word . - v86_gdt - 1
	.long v86_gdt
v86_idt: /* vectors 0 to 13; the program lies below 64 KiB */
	.rept 6
	.quad 0
	.endr
	.word invalid_opcode, 8, 0x8e00, 0
	.rept 6
	.quad 0
	.endr
	.word general_protection, 8, 0x8e00, 0
v86_idt_at:
	.word . - v86_idt - 1
	.long v86_idt
v86_real_idt:
	.word 0x3ff
	.long 0

	.set v86_tss, 0x18000 /* above the program */
	.set tss_start, v86_tss
	.bss
	.balign 4
v86_entry: .space 4
v86_esp: .space 4
v86_faults: .space 4
v86_fault_ip: .space 4
v86_fault_cs: .space 4
	.space 512
monitor_stack:
	.section .note.GNU-stack, "", %progbits
