/* Programs of test_modes.c. */
#include "guest.inc"

#define MARKS 0x9000		/* one byte per stage reached */
#define GDTR  0x9100		/* prepared by the test */
#define PML4  0x100000
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_CODE64 0x28
#define SEL_CODE16 0x80
#define SEL_DATA16 0x88

/* Real mode to 64-bit mode and all the way back. Loaded at CODE = 1000:0000. */
GUEST tour, 16
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7000, %sp
	movb	$1, MARKS
	lgdtl	GDTR
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	incw	%bx			/* 16-bit code in protected mode, CS still the real one */
	ljmpl	$SEL_CODE, $AT(tour, protected)
	.code32
protected:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$0x7000, %esp
	movb	$2, MARKS + 1
	pushl	$0x12345678
	popl	%edx
	/* into IA-32e mode */
	movl	%cr4, %eax
	orl	$0x20, %eax
	movl	%eax, %cr4
	movl	$PML4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	/* compatibility mode: 0x48 is DEC EAX here */
	movl	$5, %eax
	.byte	0x48
	movb	%al, MARKS + 2
	ljmpl	$SEL_CODE64, $AT(tour, wide)
	.code64
wide:
	movq	$0x123456789abcdef0, %r15
	movl	$6, %eax
	.byte	0x48			/* REX.W */
	movq	%rax, MARKS + 8
	xorl	%r8d, %r8d
	movb	$4, MARKS + 3
	ljmpl	*far_compat(%rip)
far_compat:
	.long	AT(tour, compat)
	.word	SEL_CODE
	.code32
compat:
	movb	$5, MARKS + 4
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0		/* LMA goes with it */
	movl	$0xc0000080, %ecx
	rdmsr
	movl	%eax, MARKS + 16
	andl	$~0x100, %eax
	wrmsr
	ljmpl	$SEL_CODE16, $protected16 - guest_tour
	.code16
protected16:
	movw	$SEL_DATA16, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movb	$6, MARKS + 5
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmpl	$CODE >> 4, $back - guest_tour
back:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movb	$7, MARKS + 6
	hlt
END_GUEST tour

/* Big real mode: limits loaded in protected mode outlive it. */
GUEST unreal, 16
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	lgdtl	GDTR
	movl	%cr0, %eax
	incw	%ax
	movl	%eax, %cr0
	movw	$SEL_DATA, %dx
	movw	%dx, %ds
	decw	%ax
	movl	%eax, %cr0
	xorw	%dx, %dx
	movw	%dx, %ds		/* a new base, the old limit */
	movl	$0x210000, %ebx
	movl	$0xcafe, (%ebx)
	movl	%gs:0xfffc, %eax	/* 64 KiB for the others */
	movl	%gs:0x10(%ebx), %eax	/* faults */
	hlt
END_GUEST unreal

/* Code and data segments change under the same code. */
GUEST rebased, 32
	movl	$SEL_DATA, %edx
	movl	%edx, %ds
	movl	(%ebx), %eax
	movl	%ecx, %ds		/* a segment with a base */
	movl	(%ebx), %esi
	movl	%es:(%ebx), %edi
	movl	%edx, %ds
	movl	(%ebx), %ebp
	hlt
END_GUEST rebased

/* Virtual-8086 code at CODE >> 4 : 0. */
GUEST virtual, 16
	movw	$0x1234, %ax
	pushw	%ax
	popw	%bx
	movw	%ds:0x10, %cx
	call	1f
	int	$0x80
	hlt				/* #GP to the monitor */
1:	ret
END_GUEST virtual
