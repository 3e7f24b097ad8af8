/* The guest of the translator: a loop that changes its own code, and one that is interrupted. */
	.section .userdata, "awx" /* code in a page that can be written to */
	.balign 4096
	.globl smc_start, smc_end, smc_loop
smc_start:
smc_loop:		/* RAX: the sum; each round adds another constant, by changing the instruction */
	xorl %eax, %eax
	movl $1, %r8d
1:	movl %r8d, %edx
	movq $smc_add + 1, %rdi
	movl %edx, (%rdi)
	jmp 2f
2:
smc_add:
	movl $0, %edx	/* its constant is written just before: 1, 2, 3, ... */
	addl %edx, %eax
	addl $1, %r8d
	cmpl $11, %r8d
	jnz 1b
	ret
	.balign 4096
smc_end:

	.section .user, "ax"
	.globl precise_loop
precise_loop:
	movl $3000, %r8d
1:	pushfq
	cli
	addq $1, %rdx
	popfq
	subl $1, %r8d
	jnz 1b
	ret

	.globl divide
divide:			/* faults at an address of the guest's */
	xorl %ecx, %ecx
	movl $1, %eax
	xorl %edx, %edx
	divl %ecx
	ret
	.section .note.GNU-stack, "", %progbits
