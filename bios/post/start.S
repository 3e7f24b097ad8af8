/* Where the power-on code begins, and its way down to real mode and back (rt/entry.S has the other half). */
#include "bios/layout.h"

	.code32
	.section .post.start, "ax"
	.globl post_start, post_again, bridge_up, bridge
post_start:
	call c_environment
	call post_main
1:	hlt
	jmp 1b

/* INT 18h or INT 19h: choose a device again. */
post_again:
	call c_environment
	call post_boot_again
1:	hlt
	jmp 1b

/* Segments, stack, initialised and zeroed data. */
c_environment:
	popl %ebp
	movw $SEL_DATA32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl $POST_STACK, %esp
	cld
	movl $post_data_lma, %esi
	movl $post_data, %edi
	movl $post_data_end, %ecx
	subl %edi, %ecx
	rep movsb
	movl $post_bss_end, %ecx
	subl %edi, %ecx
	xorl %eax, %eax
	rep stosb
	jmp *%ebp

/* void bridge(void): bridge_target and bridge_regs of the run time are set. */
bridge:
	pushal
	movl %esp, bridge_stack
	ljmp $SEL_CODE16, $bridge_down
bridge_up:
	movw $SEL_DATA32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %fs
	movw %ax, %gs
	movw %ax, %ss
	movl bridge_stack, %esp
	cld
	popal
	ret

	.bss
	.balign 4
bridge_stack:
	.long 0

	.section .note.GNU-stack, "", %progbits
