/* Where the power-on code begins, and its way down to real mode and back (rt/entry.S has the other half). */
#include "bios/layout.h"

	.code32
	.section .post.start, "ax"
	.globl post_start, post_again, post_resume, bridge_up, bridge
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

/*
 * The processor was reset at the end of ACPI S3. Memory is the operating system's, so there is no stack yet: shadow RAM is switched on,
 * where the run time's data is, then what the power-on code will overwrite goes to the resume area.
 */
	.macro CONFIG reg
	movl $0x80000000 + \reg, %eax
	movw $0xcf8, %dx
	outl %eax, %dx
	movw $0xcfc, %dx
	inl %dx, %eax
	.endm
	.macro KEEP from, end
	movl $\from, %esi
	movl $(\end - \from) / 4, %ecx
	rep movsl
	.endm
	.macro GIVE_BACK to, end
	movl $\to, %edi
	movl $(\end - \to) / 4, %ecx
	rep movsl
	.endm
post_resume:
	movw $SEL_DATA32, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	cld
	CONFIG 0x58 /* PAM0-2 */
	movb $0x30, %ah
	andl $0x0000ffff, %eax
	orl $0x33330000, %eax
	outl %eax, %dx
	CONFIG 0x5c /* PAM3-6 */
	movl $0x33333333, %eax
	outl %eax, %dx
	movl RT_BASE + resume_area, %edi
	testl %edi, %edi
	jz post_start
	KEEP RESUME_LOW, RESUME_LOW_END
	KEEP RESUME_SMM, RESUME_SMM_END
	KEEP RESUME_HIGH, RESUME_HIGH_END
	movl $POST_STACK, %esp
	call c_environment
	call resume_main /* where to go on: in protected mode, or 0: RT(wake_vector) */
	movl %eax, %ebx
	movl RT_BASE + resume_area, %esi
	GIVE_BACK RESUME_LOW, RESUME_LOW_END
	GIVE_BACK RESUME_SMM, RESUME_SMM_END
	GIVE_BACK RESUME_HIGH, RESUME_HIGH_END
	testl %ebx, %ebx
	jz 1f
	jmp *%ebx
1:	ljmp $SEL_CODE16, $wake_down

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
	pushw $SEL_CODE16
	pushw bridge_way
	lretw
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
