/* Boot sector of the BIOS test: loads the rest with whichever service the medium has, and runs it. */
	.code16
	.section .boot, "ax"
	.globl start
start:
	ljmp $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl $0x7c00, %esp
	cld
	movb %dl, boot_drive
	cmpl $0x1badcafe, marker /* an El Torito loader has brought everything */
	je 4f
	movw $image_sectors - 1, %di
	movl $1, %esi
	movw $0x7e0, %bp
	/* one sector after the other: CHS, from the drive's own geometry */
	movb $8, %ah
	pushw %di
	int $0x13
	popw %di
	xorw %ax, %ax
	movw %ax, %es
	andw $63, %cx
	movw %cx, spt
	movzbw %dh, %ax
	incw %ax
	movw %ax, heads
2:	movl %esi, %eax
	xorl %edx, %edx
	movzwl spt, %ecx
	divl %ecx
	incw %dx
	movw %dx, %cx
	xorl %edx, %edx
	movzwl heads, %ebx
	divl %ebx
	movb %dl, %dh
	movb boot_drive, %dl
	movb %al, %ch
	movw %bp, %es
	xorw %bx, %bx
	movw $0x0201, %ax
	int $0x13
	jc 5f
	incl %esi
	addw $0x20, %bp
	decw %di
	jnz 2b
4:	xorw %ax, %ax
	movw %ax, %es
	movw $bss_start, %di
	movw $bss_end, %cx
	subw %di, %cx
	rep stosb
	xorl %esp, %esp
	movw $0x7c00, %sp
	sti
	calll test_main
5:	movb $'L', %al
	outb %al, $0xe9
	hlt
	jmp 5b
	.globl boot_drive
boot_drive: .byte 0
spt:	.word 0
heads:	.word 0
	.org 0x1be
	/* one active partition over the first 16 MiB with 16 heads and 63 sectors */
	.byte 0x80, 1, 1, 0, 0x06, 15, 63, 31
	.long 63, 32193
	.org 510
	.word 0xaa55

/* void interrupt(unsigned n [eax], struct regs *r [edx]) */
	.section .text, "ax"
	.globl interrupt, far_call
interrupt:
	pushal
	movl %edx, regs_at
	movb %al, 2f + 1
	jmp 1f /* the code was changed */
1:	call load
2:	int $0
	jmp save
/* void far_call(u32 seg_off [eax], struct regs *r [edx]): with flags pushed, for handlers that end in IRET */
far_call:
	pushal
	movl %edx, regs_at
	movl %eax, target
	call load
	pushfw
	lcallw *%cs:target
save:	pushfw
	pushw %ds
	pushl %ebx
	xorw %bx, %bx
	movw %bx, %ds
	movl regs_at, %ebx
	movl %eax, 0(%ebx)
	movl %ecx, 8(%ebx)
	movl %edx, 12(%ebx)
	movl %esi, 16(%ebx)
	movl %edi, 20(%ebx)
	movl %ebp, 24(%ebx)
	movw %es, 30(%ebx)
	popl 4(%ebx)
	popw 28(%ebx)
	popw 32(%ebx)
	movw %fs, 34(%ebx)
	movw %gs, 36(%ebx)
	xorw %bx, %bx
	movw %bx, %es
	popal
	retl
load:	movl regs_at, %ebx
	pushl 0(%ebx)
	movl 8(%ebx), %ecx
	movl 12(%ebx), %edx
	movl 16(%ebx), %esi
	movl 20(%ebx), %edi
	movl 24(%ebx), %ebp
	movw 30(%ebx), %es
	movw 34(%ebx), %fs
	movw 36(%ebx), %gs
	popl %eax
	pushw 28(%ebx)
	movl 4(%ebx), %ebx
	popw %ds
	ret
regs_at: .long 0
target:	.long 0

/* Handlers that count: of INT 1Ch, and of the mouse (a far call with four words on the stack). */
	.globl count_4a, alarms
count_4a:
	incw %cs:alarms
	iretw
alarms:	.word 0
	.globl count_1c, ticks_1c, on_mouse, mouse_calls, mouse_words, on_4f, eat_4f, seen_4f
count_1c:
	incw %cs:ticks_1c
	iretw
ticks_1c: .word 0
on_mouse:
	pushw %bp
	movw %sp, %bp
	pushw %ax
	incw %cs:mouse_calls
	movw 12(%bp), %ax
	movw %ax, %cs:mouse_words
	movw 10(%bp), %ax
	movw %ax, %cs:mouse_words + 2
	movw 8(%bp), %ax
	movw %ax, %cs:mouse_words + 4
	popw %ax
	popw %bp
	lretw
mouse_calls: .word 0
mouse_words: .word 0, 0, 0
/* INT 15h AH=4Fh: lets keys pass or swallows one. */
on_4f:	cmpb $0x4f, %ah
	jne 1f
	movb %al, %cs:seen_4f
	cmpb %al, %cs:eat_4f
	jne 1f
	clc
	lretw $2
1:	ljmpw *%cs:old_15
	.globl old_15
old_15:	.long 0
/* INT 09h: looks at the scan code, and leaves it to the BIOS. */
	.globl on_09, old_09
on_09:	pushw %ax
	inb $0x60, %al
	popw %ax
	ljmpw *%cs:old_09
old_09:	.long 0
/* INT 08h: asks for a key a thousand times before the interrupt is ended. */
	.globl on_08, old_08, asked_in_08
on_08:	pushw %ax
	pushw %cx
	movw $1000, %cx
1:	movb $1, %ah
	int $0x16
	loop 1b
	incw %cs:asked_in_08
	popw %cx
	popw %ax
	ljmpw *%cs:old_08
old_08:	.long 0
asked_in_08: .word 0
seen_4f: .byte 0
eat_4f:	.byte 0xff

/* u32 tiny_stack(void): INT 13h AH=41h with 32 bytes of stack; BX and whether the guard still stands. */
	.globl tiny_stack
tiny_stack:
	pushl %ebx
	pushl %ebp
	movl %esp, kept_sp
	movl $0x5a5a5a5a, guard
	movl $tiny_top, %esp
	movb $0x41, %ah
	movw $0x55aa, %bx
	movb $0x80, %dl
	int $0x13
	movzwl %bx, %eax
	movl kept_sp, %esp
	cmpl $0x5a5a5a5a, guard
	je 1f
	xorl %eax, %eax
1:	popl %ebp
	popl %ebx
	retl

/* u32 call32(u32 entry_linear [eax], struct regs *r [edx]): far call in flat 32-bit protected mode. */
	.globl call32
call32:
	pushal
	movl %eax, entry32
	movl %edx, regs_at
	cli
	lgdtl gdt_at
	movl %cr0, %eax
	orb $1, %al
	movl %eax, %cr0
	ljmpl $8, $1f
	.code32
1:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl regs_at, %ebp
	movl 0(%ebp), %eax
	movl 4(%ebp), %ebx
	movl 8(%ebp), %ecx
	movl 12(%ebp), %edx
	movl 16(%ebp), %esi
	movl 20(%ebp), %edi
	pushl %cs
	call *entry32
	pushfl
	movl regs_at, %ebp
	movl %eax, 0(%ebp)
	movl %ebx, 4(%ebp)
	movl %ecx, 8(%ebp)
	movl %edx, 12(%ebp)
	movl %esi, 16(%ebp)
	movl %edi, 20(%ebp)
	popl %eax
	movw %ax, 32(%ebp)
	ljmpl $24, $1f
	.code16
1:	movw $32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movl %cr0, %eax
	andb $0xfe, %al
	movl %eax, %cr0
	ljmpl $0, $1f
1:	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	sti
	popal
	retl
	.balign 8
	.globl gdt_at
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff, 0x000093000000ffff
gdt_at:	.word . - gdt - 1
	.long gdt

	.bss
	.balign 4
kept_sp: .space 4
entry32: .space 4
guard:	.space 4
	.space 32
tiny_top:
	.section .note.GNU-stack, "", %progbits
