/*
 * A guest that does what it is asked: the block at 0:0500h holds registers and a kind of call; after each it writes port
 * 501h (isa-debug-exit), where the test looks and asks again. Assembled for real mode at 9020:0068.
 */
	.code16
	.section .rodata
	.globl vgabios_guest, vgabios_guest_end
#define BLOCK 0x500
vgabios_guest:
serve:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	$0x501, %dx
	outb	%al, %dx
	movl	BLOCK+4, %ebx
	movl	BLOCK+8, %ecx
	movl	BLOCK+12, %edx
	movl	BLOCK+16, %esi
	movl	BLOCK+20, %edi
	movl	BLOCK+24, %ebp
	movw	BLOCK+28, %es
	movl	BLOCK, %eax
	cmpb	$1, BLOCK+32
	je	post
	cmpb	$2, BLOCK+32
	je	window
	cmpb	$3, BLOCK+32
	je	protected
	int	$0x10
	jmp	done
post:
	lcallw	$0xc000, $3
	jmp	done
window:
	lcallw	*BLOCK+36
done:
	pushfw
	pushw	%ds
	pushw	$0
	popw	%ds
	movl	%eax, BLOCK
	movl	%ebx, BLOCK+4
	movl	%ecx, BLOCK+8
	movl	%edx, BLOCK+12
	movl	%esi, BLOCK+16
	movl	%edi, BLOCK+20
	movl	%ebp, BLOCK+24
	movw	%es, BLOCK+28
	movl	%esp, BLOCK+40
	popw	BLOCK+30	/* DS as it came back */
	popfw
	jmp	serve
/* A near call of 32-bit code at a linear address, flat; DS = ES = SS = 0 there and back. */
#define OFFSET(label)  (label - vgabios_guest + 0x68)
#define LINEAR(label)  (label - vgabios_guest + 0x90268)
protected:
	movw	%ss, %cs:OFFSET(old_ss)
	movl	%esp, %cs:OFFSET(old_esp)
	lgdtl	%cs:OFFSET(gdt_at)
	movl	%eax, %ebp
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $LINEAR(1f)
	.code32
1:	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x1f00, %esp
	movl	%ebp, %eax
	call	*BLOCK+36
	movl	%eax, %ebp
	ljmpl	$24, $OFFSET(1f)
	.code16
1:	movw	$32, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmp	$0x9020, $OFFSET(1f)
1:	movw	%cs:OFFSET(old_ss), %ss
	movl	%cs:OFFSET(old_esp), %esp
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movl	%ebp, %eax
	jmp	done
	.balign 8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b090200ffff, 0x000093000000ffff
gdt_at:	.word	. - gdt - 1
	.long	LINEAR(gdt)
old_ss:	.word	0
old_esp: .long	0
vgabios_guest_end:
	.section .note.GNU-stack, "", %progbits
