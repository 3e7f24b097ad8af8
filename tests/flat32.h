/*
 * Start-up of the 32-bit guests of the tests. Whoever includes it defines A(label), where the label is loaded, and TRAMPOLINE before, and
 * has gdt, gdtr, tss and tss_descriptor (the GDT's sixth entry), or stacks and ap_start, as they are used here.
 */

/* Flat segments, and a TSS that leads to \stack in ring 0. Destroys EAX and CS, DS, ES, SS. */
	.macro FLAT_SEGMENTS stack
	movl $A(tss), %eax
	movw $103, A(tss_descriptor)
	mov %ax, A(tss_descriptor) + 2
	shr $16, %eax
	mov %al, A(tss_descriptor) + 4
	movb $0x89, A(tss_descriptor) + 5
	movl \stack, A(tss) + 4
	movl $0x10, A(tss) + 8
	lgdt A(gdtr)
	ljmp $8, $A(1f)
1:	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $0x28, %ax
	ltr %ax
	.endm

/* What an application processor starts with at TRAMPOLINE, after a SIPI (SDM Vol. 3A, 8.4.4); goes on at ap_start. */
	.macro AP_TRAMPOLINE gdt_limit
	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + (2f - trampoline)
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $8, $A(ap_start)
2:	.word \gdt_limit
	.long A(gdt)
trampoline_end:
	.code32
	.endm
