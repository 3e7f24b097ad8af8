/* Programs of test_run.c: endless loops of everything that can sit at the end of a slice. */
#include "guest.inc"

GUEST loop64, 64
	movl	$ARENA_PAGE, %ebx
	movl	$DEVICE, %ebp
	xorl	%eax, %eax
	movl	$3, %ecx
1:	addl	$0x13579bdf, %eax
	adcl	$0, %edx
	call	subroutine64
	pushq	%rax
	pushq	8(%rbx)
	popq	%r8
	popq	%r9
	movb	%al, %cl
	shll	%cl, %edx
	sete	%r10b
	leaq	2f(%rip), %rsi
	jmp	*%rsi
	ud2
2:	addl	%eax, (%rbx)		/* its flags are dead */
	subl	$5, %edx
	incl	4(%rbx)
	cmovbl	%edx, %r11d
	testl	%eax, %eax
	js	3f
	imull	$77, %edx, %edx
	bswapl	%edx
3:	movl	$11, %ecx
	leaq	64(%rbx), %rdi
	movq	%rbx, %rsi
	rep movsb
	/* The device: the upper half of its page raises an interrupt. */
	movl	%eax, (%rbp)
	addl	$1, 0x800(%rbp)
	cmpl	$7, %eax
	cmpb	$0x40, 0x808(%rbp)
	ja	4f
	incl	%r12d
4:	pushq	0x810(%rbp)
	popq	%r13
	imull	0x818(%rbp), %edx
	addl	$2, %r14d
	incl	0x820(%rbp)
	xorl	%r15d, %edx
	shll	$3, 0x828(%rbp)
	xchgl	%edx, 0x830(%rbp)
	movzbl	0x838(%rbp), %esi
	btsl	$3, 0x840(%rbp)
	adcl	$0, %r14d
	movups	0x850(%rbp), %xmm0
	paddd	%xmm0, %xmm1
	pushf
	popq	%rax
	andl	$0x8d5, %eax
	outb	%al, $BOX_PORT
	roll	$5, %eax
	leaq	subroutine64(%rip), %rsi
	movq	%rsi, 24(%rbx)
	call	*24(%rbx)
	cli
	movl	%eax, 0x900(%rbp)
	addl	%eax, %r15d
	sti
	addl	%eax, %r15d
	subl	%r15d, %edx
	movl	%ss, %esi
	movl	%eax, 0x900(%rbp)
	movl	%esi, %ss
	addl	$9, %edx
	jmp	1b
	.balign 4096
subroutine64:
	negl	%edx
	ret	$0
END_GUEST loop64

/* An interrupt handler that counts, at 0x1a000. */
GUEST counts64, 64
	addq	$1, ARENA_PAGE + 0x100
	iretq
END_GUEST counts64

GUEST loop32, 32
	movl	$ARENA_PAGE, %ebx
	movl	$0xfe000000, %ebp
	movl	$3, %ecx
1:	addl	$0x13579bdf, %eax
	call	subroutine32
	pushl	%eax
	pushl	8(%ebx)
	popl	12(%ebx)
	popl	%edx
	pushw	%ax
	popw	%dx
	addl	%eax, %gs:(%ebx)
	pusha
	popa
	movl	%eax, 0x800(%ebp)
	incl	%esi
	cmpl	%edx, 0x810(%ebp)
	jle	2f
	notl	%esi
2:	decl	%edi
	push	%ds
	pop	%ss
	movl	%eax, 0x820(%ebp)
	leal	(%ebx,%esi), %ecx
	addl	%edx, 0x830(%ebp)
	aam	$7
	enter	$8, $1
	leave
	movl	$ARENA_PAGE + 0x40, %edi
	movl	$5, %ecx
	cld
	rep stosl
	movl	$ARENA_PAGE + 0x40, %edi
	movl	$5, %ecx
	repe scasl
	lcall	$8, $AT(loop32, far32)
	jmp	1b
far32:	lret
	.balign 4096
subroutine32:
	rcll	$3, %eax
	ret
END_GUEST loop32

GUEST counts32, 32
	addl	$1, ARENA_PAGE + 0x100
	iret
END_GUEST counts32

GUEST loop16, 16
	movw	$0x100, %bx
	movl	$3, %ecx
1:	addl	$0x13579bdf, %eax
	call	subroutine16
	pushw	%ax
	pushl	(%bx)
	popl	4(%bx)
	popw	%dx
	addw	%ax, %ss:(%bx)
	outb	%al, $BOX_PORT
	incw	%si
	jnz	2f
	notw	%di
2:	movw	$0x200, %di
	movw	$9, %cx
	rep stosw
	aaa
	push	%ds
	pop	%ss
	outb	%al, $BOX_PORT
	sti
	lcall	$0x1000, $far16 - guest_loop16
	cli
	outb	%al, $BOX_PORT
	decw	%bp
	sti
	loop	3f
3:	jmp	1b
far16:	lret
subroutine16:
	sbbw	$3, %ax
	ret
END_GUEST loop16

GUEST counts16, 16
	incw	%cs:count16 - guest_counts16
	iret
count16:
	.word 0
END_GUEST counts16

/* Long repeats: pieces of them count as instructions of their own. */
GUEST repeats, 64
	movl	$ARENA_PAGE, %edi
	movl	$0x30000, %ecx
	rep stosb
	movl	$ARENA_PAGE + 1, %edi
	movl	$ARENA_PAGE, %esi
	movl	$0x30000, %ecx
	rep movsb
	std
	movl	$0x10000, %ecx
	rep lodsb
	cld
	movl	$ARENA_PAGE, %edi
	movl	$0x20000, %ecx
	repe scasb
	movl	$0x10000, %edi		/* over this program itself */
	movl	$0x10000, %esi
	movl	$0x11000, %ecx
	rep movsb
	jmp	guest_repeats
END_GUEST repeats

GUEST halts, 64
	sti
	hlt
	incl	%ebx
	cli
	hlt
	incl	%ebx
END_GUEST halts

/*
 * Returns: from calls nested deeper than anything remembers, to another place than behind the call, by way of a pushed address,
 * through a pointer; with instructions behind the calls that leave nothing to execute.
 */
GUEST returns, 64
	movl	$40, %ecx
	call	1f
	call	3f
9:	hlt				/* not here */
4:	leaq	5f(%rip), %rax
	pushq	%rax
	ret
	hlt
5:	leaq	6f(%rip), %rax
	movl	$200, %ecx
7:	call	*%rax
	nop
	nop
	addl	$1, %r9d
	decl	%ecx
	jnz	7b
	hlt
1:	decl	%ecx
	jz	2f
	call	1b
	nop
	addl	$1, %r8d
2:	ret
3:	addq	$4b - 9b, (%rsp)
	ret
6:	addl	%ecx, %r10d
	ret
END_GUEST returns
