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
vgabios_guest_end:
	.section .note.GNU-stack, "", %progbits
