/* Programs of test_two.c: endless, with memory, calls, patched code, floating point. */
#include "guest.inc"

GUEST two_sums, 64
	movl	$ARENA_PAGE, %ebx
	movl	$1, %ecx
	cvtsi2sdl %ecx, %xmm1
1:	imulq	$0x5851f42d, %rax, %rax
	addq	$0x14057b7e, %rax
	movzwl	%ax, %esi
	addq	%rax, (%rbx,%rsi)
	call	2f
	cvtsi2sdq %rax, %xmm0
	divsd	%xmm1, %xmm0
	addsd	%xmm0, %xmm2
	movsd	%xmm2, 0x8000(%rbx)
	fldl	0x8000(%rbx)
	fld1
	fadd	%st, %st(1)
	fdivrp
	fstpt	0x8010(%rbx)
	incl	%ecx
	cvtsi2sdl %ecx, %xmm1
	movb	%al, 3f+1(%rip)
	jmp	1b
2:	leaq	3f(%rip), %rdx
	jmp	*%rdx
	.balign 64
3:	movl	$0, %edi
	addq	%rdi, %r8
	jc	4f
	ret
4:	incl	%r9d
	ret
END_GUEST two_sums

GUEST two_flags, 32
	movl	$ARENA_PAGE, %ebx
1:	imull	$0x5851f42d, %eax, %eax
	addl	$0x14057b7f, %eax
	movzwl	%ax, %esi
	adcl	%eax, (%ebx,%esi)
	sbbl	%edx, %ecx
	pushf
	popl	%edi
	addl	%edi, %edx
	call	2f
	movl	%esp, %ebp
	enter	$16, $0
	leave
	js	1b
	rorl	%cl, %edx
	seto	%ch
	jmp	1b
2:	cmpl	%edx, %eax
	jg	3f
	xchgl	%eax, (%ebx)
3:	ret
END_GUEST two_flags
