/* ACPI S3 and the two ways back: the waking vectors of the FACS. */
	.code16
	.text
/* void sleep_now(u32 port [eax], u32 value [edx]): writes PM1_CNT; returns when the machine has woken up. */
	.globl sleep_now, wake_real, wake_flat, woken_mode
sleep_now:
	pushal
	pushfl
	cli
	movl %esp, slept_sp
	movw $0, woken_mode
	xchgl %eax, %edx
	outw %ax, %dx
1:	hlt
	jmp 1b

	.balign 16
wake_real: /* CS:IP is any that is this address; nothing else is promised but real mode without interrupts */
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw $16, woken_mode
	smsw %ax
	testb $1, %al
	jz awake
	movw $0xbad, woken_mode
awake:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl slept_sp, %esp
	lidtl real_idt
	popfl
	popal
	retl

	.code32
wake_flat: /* flat protected mode without paging */
	movw $32, woken_mode
	movl %cr0, %eax
	testl $0x80000001, %eax
	jnp 1f
	movw $0xbad, woken_mode
1:	lgdtl gdt_at
	ljmpl $24, $2f
	.code16
2:	movw $32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmpl $0, $awake

real_idt:
	.word 0x3ff
	.long 0
woken_mode:
	.word 0
slept_sp:
	.long 0
	.section .note.GNU-stack, "", %progbits
