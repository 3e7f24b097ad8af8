/*
 * An option ROM that uses the POST Memory Manager (specification 1.01) and reports on port E9h. It stands in for the ROM of an e1000.
 * Offsets of arguments follow the specification: the function's number is pushed last, doublewords lie as in memory.
 */
	.code16
	.text
	.globl _start
_start:	.byte 0x55, 0xaa, 4
	jmp init
	.org 0x18
	.word pcir, pnp
	.org 0x20
pcir:	.ascii "PCIR"
	.word 0x8086, 0x100e, 0, 24
	.byte 0, 0, 0, 2
	.word 4, 1
	.byte 0, 0x80
	.word 0
	.balign 16
pnp:	.ascii "$PnP"
	.byte 1, 2
	.word 0
	.byte 0, 0
	.long 0
	.word name, name
	.byte 2, 0, 0, 0xf4
	.word 0, 0, boot, 0, 0
name:	.asciz "memory test"

#define ALLOCATE 0
#define FIND 1
#define FREE 2
#define CONVENTIONAL 1
#define EXTENDED 2
#define ALIGNED 4
#define PERMANENT 8

	/* DX:AX to EAX; other registers must stay */
	.macro PMM bytes
	movl $0x11112222, %ecx
	movl $0x33334444, %ebx
	lcallw *%cs:entry
	addw $\bytes, %sp
	cmpl $0x11112222, %ecx
	jne bad
	cmpl $0x33334444, %ebx
	jne bad
	shll $16, %edx
	movw %ax, %dx
	movl %edx, %eax
	incb %cs:step
	.endm
	.macro TAKE paragraphs, handle, flags
	pushw $\flags
	pushl $\handle
	pushl $\paragraphs
	pushw $ALLOCATE
	PMM 12
	.endm
	.macro SEEK handle
	pushl $\handle
	pushw $FIND
	PMM 6
	.endm
	.macro GIVE
	pushl %eax
	pushw $FREE
	PMM 6
	.endm

say:	lodsb %cs:(%si), %al /* string at SI */
	testb %al, %al
	jz 1f
	outb %al, $0xe9
	jmp say
1:	ret

init:	pushal
	pushw %ds
	pushw %es
	pushw %cs
	popw %ds
	call find_pmm
	jc bad
	incb step
	movl %es:7, %eax
	movl %eax, entry
	/* sizes of the largest blocks, in paragraphs (SeaBIOS answers in bytes) */
	TAKE 0, 0xffffffff, CONVENTIONAL
	cmpl $0x1000, %eax
	jb bad
	TAKE 0, 0xffffffff, EXTENDED
	cmpl $0x20000, %eax
	jb bad
	/* a block below 1 MiB, found again by its handle, which cannot be used twice */
	TAKE 0x100, 0x4f525259, CONVENTIONAL
	testl %eax, %eax
	jz bad
	cmpl $0xa0000, %eax
	jae bad
	movl %eax, first
	SEEK 0x4f525259
	cmpl %eax, first
	jne bad
	movw $0xfe00, %ax /* SeaBIOS does not look */
	movw %ax, %es
	cmpb $'O', %es:0
	jne 1f
	TAKE 0x100, 0x4f525259, CONVENTIONAL
	testl %eax, %eax
	jnz bad
1:	SEEK 0x12345678
	testl %eax, %eax
	jnz bad
	/* above 1 MiB, aligned to its size, and reached in big real mode */
	TAKE 0x1000, 0xffffffff, EXTENDED + ALIGNED
	cmpl $0x100000, %eax
	jb bad
	testl $0xffff, %eax
	jnz bad
	movl %eax, second
	xorw %bx, %bx
	movw %bx, %es
	movl $0x89abcdef, %es:(%eax)
	cmpl $0x89abcdef, %es:(%eax)
	jne bad
	/* another does not overlap it */
	TAKE 0x1000, 0x41424344, EXTENDED
	testl %eax, %eax
	jz bad
	subl second, %eax
	jns 1f
	negl %eax
1:	cmpl $0x10000, %eax
	jb bad
	/* given back, it is no longer found, and not given back again */
	movl first, %eax
	GIVE
	testw %ax, %ax
	jnz bad
	SEEK 0x4f525259
	testl %eax, %eax
	jnz bad
	movl first, %eax
	GIVE
	testw %ax, %ax
	jz bad
	/* permanent: the boot code below looks whether the memory map leaves it out */
	TAKE 0x1000, 0x50505050, EXTENDED + PERMANENT
	testl %eax, %eax
	jz bad
	movl %eax, second
	/* more than there is; no kind of memory; no such function */
	TAKE 0x0fff0000, 0xffffffff, EXTENDED
	testl %eax, %eax
	jnz bad
	pushw $0x77
	PMM 2
	cmpl $0xffffffff, %eax
	jne bad
	movw $good, %si
2:	call say
	xorw %si, %si /* what has changed counts in the checksum */
	xorb %dl, %dl
	movw $2048, %cx
3:	addb (%si), %dl
	incw %si
	loop 3b
	subb %dl, 2047
	popw %es
	popw %ds
	popal
	movw $0x20, %ax
	lretw
bad:	movb step, %al
	addb $'A', %al
	movb %al, failed_at
	movw $failed, %si
	jmp 2b

/* Carry: there is none. ES: its segment. */
find_pmm:
	movw $0xdfff, %bx
1:	incw %bx
	stc
	jz 2f
	movw %bx, %es
	cmpl $0x4d4d5024, %es:0 /* "$PMM" */
	jne 1b
	xorw %si, %si
	xorb %dl, %dl
	movzbw %es:5, %cx
3:	addb %es:(%si), %dl
	incw %si
	loop 3b
	testb %dl, %dl
	jnz 1b
	clc
2:	ret

/* The boot entry vector: PMM is gone, its entry says so, and the permanent block is reserved in the memory map. */
boot:	pushw %cs
	popw %ds
	movb $25, step
	call find_pmm
	jnc 9f
	movw $0x7000, %ax
	movw %ax, %es
	xorl %ebx, %ebx
1:	movl $0xe820, %eax
	movl $0x534d4150, %edx
	movl $20, %ecx
	xorw %di, %di
	int $0x15
	jc 2f
	movl second, %eax
	cmpl $1, %es:16
	jne 3f
	subl %es:0, %eax
	jb 3f
	cmpl %es:8, %eax
	jb 9f
3:	testl %ebx, %ebx
	jnz 1b
2:	movw $gone, %si
	call say
	movw $0xf4, %dx
	xorb %al, %al
	outb %al, %dx
9:	movw $failed, %si
	call say
	movw $0xf4, %dx
	movb $1, %al
	outb %al, %dx
4:	hlt
	jmp 4b

entry:	.long 0
first:	.long 0
second:	.long 0
step:	.byte 0
good:	.asciz "PMM works\n"
gone:	.asciz "PASSED\n"
failed:	.ascii "FAILED PMM step "
failed_at: .asciz "?\n"
	.org 2047
	.byte 0
	.section .note.GNU-stack, "", %progbits
