/* Into a virtual machine and back: unsigned vmx_go(struct vm *vm). See vmx.c. */
	.text
	.globl vmx_go, vmx_host_entry
vmx_go:
	.irp r, rbx, rbp, r12, r13, r14, r15, rdi
	pushq %\r
	.endr
	movl $0x6c14, %eax /* host RSP */
	vmwrite %rsp, %rax
	movq %rdi, %rax
	cmpq $0, 128(%rax)
	movq $1, 128(%rax)
	movq 8(%rax), %rbx
	movq 16(%rax), %rcx
	movq 24(%rax), %rdx
	movq 32(%rax), %rsi
	movq 40(%rax), %rdi
	movq 48(%rax), %rbp
	movq 56(%rax), %r8
	movq 64(%rax), %r9
	movq 72(%rax), %r10
	movq 80(%rax), %r11
	movq 88(%rax), %r12
	movq 96(%rax), %r13
	movq 104(%rax), %r14
	movq 112(%rax), %r15
	movq (%rax), %rax
	jne 1f
	vmlaunch
	jmp 2f
1:	vmresume
2:	/* no entry */
	popq %rdi
	movq $0, 128(%rdi)
	movl $1, %eax
	jmp 3f
vmx_host_entry:
	pushq %rax
	movq 8(%rsp), %rax
	popq (%rax)
	movq %rbx, 8(%rax)
	movq %rcx, 16(%rax)
	movq %rdx, 24(%rax)
	movq %rsi, 32(%rax)
	movq %rdi, 40(%rax)
	movq %rbp, 48(%rax)
	movq %r8, 56(%rax)
	movq %r9, 64(%rax)
	movq %r10, 72(%rax)
	movq %r11, 80(%rax)
	movq %r12, 88(%rax)
	movq %r13, 96(%rax)
	movq %r14, 104(%rax)
	movq %r15, 112(%rax)
	popq %rdi
	xorl %eax, %eax
3:	.irp r, r15, r14, r13, r12, rbp, rbx
	popq %\r
	.endr
	ret
	.section .note.GNU-stack, "", %progbits
