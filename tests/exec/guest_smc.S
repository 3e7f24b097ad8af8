/* Programs of test_smc.c, all in 64-bit mode. RBX is their data page, RBP another address of their own code. */
#include "guest.inc"

/* The immediate behind the store, in the same block. */
GUEST smc_same_block, 64
	movl	$5, 1f+1(%rip)
1:	movl	$1, %eax
	hlt
END_GUEST smc_same_block

/* The first instruction of the running block, then round again. */
GUEST smc_own_start, 64
	xorl	%ecx, %ecx
1:	movl	$1, %eax
	addl	%eax, %edx
	addl	$1, 1b+1(%rip)
	incl	%ecx
	cmpl	$10, %ecx
	jne	1b
	hlt
END_GUEST smc_own_start

/* The next block, reached by a linked jump, in the same page; and over a page boundary. */
GUEST smc_next_block, 64
	xorl	%ecx, %ecx
1:	addl	$1, 2f+1(%rip)
	addl	$1, 3f+1(%rip)
	jmp	2f
	.balign 64
2:	movl	$1, %eax
	addl	%eax, %edx
	jmp	3f
	.balign 4096
3:	movl	$1, %eax
	addl	%eax, %esi
	incl	%ecx
	cmpl	$200, %ecx
	jne	1b
	hlt
END_GUEST smc_next_block

/* A called function is patched by PUSH, by CALL's return address beside it, by strings, by XMM stores. */
GUEST smc_stores, 64
	movl	$100, %r15d
1:	movl	%r15d, %eax
	movl	%eax, patched+1(%rip)
	call	patched
	addq	%rax, %r14
	leaq	patched+1(%rip), %rdi
	leal	7(%r15), %eax
	stosl
	call	patched
	addq	%rax, %r14
	leaq	patched+1(%rip), %rdi
	movl	%r15d, (%rbx)
	movq	%rbx, %rsi
	movl	$4, %ecx
	rep movsb
	call	patched
	addq	%rax, %r14
	incl	patched+1(%rip)
	call	patched
	addq	%rax, %r14
	movl	$0xb8, %eax
	leaq	(%rax), %rax
	movl	%r15d, %ecx
	shlq	$8, %rcx
	orq	%rcx, %rax
	movq	$0xc300000000, %rcx
	shlq	$8, %rcx
	orq	%rcx, %rax
	movq	%rax, %xmm0
	movq	%xmm0, patched(%rip)
	call	patched
	addq	%rax, %r14
	movl	%r15d, %eax
	xchgl	%eax, patched+1(%rip)
	call	patched
	addq	%rax, %r14
	movq	%rsp, %r13
	leaq	patched+8(%rip), %rsp
	pushq	patched(%rip)
	movq	%r13, %rsp
	call	patched
	addq	%rax, %r14
	lock addl $2, patched+1(%rip)
	call	patched
	addq	%rax, %r14
	btsl	$20, patched+1(%rip)
	call	patched
	addq	%rax, %r14
	decl	%r15d
	jnz	1b
	hlt
	.balign 8
patched:
	movl	$0, %eax
	ret
	nop
	nop
END_GUEST smc_stores

/* An instruction that straddles two pages: patched in its first and in its second half. */
GUEST smc_straddle, 64
	jmp	1f
	.fill	4093 - 5, 1, 0x90
1:	nop
	movl	$0x11111111, %eax	/* from FFEh */
	addl	%eax, %edx
	incl	%ecx
	movb	%cl, guest_smc_straddle + 0xfff(%rip)
	movb	%cl, guest_smc_straddle + 0x1002(%rip)
	cmpl	$20, %ecx
	jne	1b
	hlt
END_GUEST smc_straddle

/* Through another linear address of the same physical page. */
GUEST smc_alias, 64
1:	incl	smc_alias_patch + 1 - guest_smc_alias(%rbp)
	jmp	smc_alias_patch
	.balign 128
smc_alias_patch:
	movl	$0, %eax
	addl	%eax, %edx
	incl	%ecx
	cmpl	$50, %ecx
	jne	1b
	hlt
END_GUEST smc_alias

/* Data on the page of the code. */
GUEST smc_data_beside, 64
	movl	$10000, %ecx
1:	incl	2f(%rip)
	addl	$3, 3f(%rip)
	decl	%ecx
	jnz	1b
	movl	2f(%rip), %eax
	movl	3f(%rip), %edx
	hlt
2:	.long	0
	.balign 256
3:	.long	0
END_GUEST smc_data_beside

/* A call whose return address lands on code to be run next. */
GUEST smc_stack_on_code, 64
	leaq	2f(%rip), %rsp
	movl	$1, %eax
	call	1f
1:	.fill	16, 1, 0x90	/* the return address goes below 2 */
2:	hlt
END_GUEST smc_stack_on_code

/* Many blocks: each of 64 bytes at ARENA_PAGE and up jumps to the next one. */
GUEST smc_fragment, 64
	incl	%eax
	addl	%eax, %edx
	jmp	guest_smc_fragment + 64
END_GUEST smc_fragment

/* A function changes what its caller does next: the block it returns into. */
GUEST smc_return, 64
	movl	$100, %ecx
1:	call	3f
2:	movl	$1, %eax
	addl	%eax, %edx
	decl	%ecx
	jnz	1b
	hlt
3:	movl	%ecx, 2b+1(%rip)
	ret
END_GUEST smc_return
