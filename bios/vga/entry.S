/*
 * The video BIOS: option ROM header, entry points. The C code runs on the caller's stack with DS = ES = SS; constants of
 * the ROM are reached through FS = CS, other memory through GS (rom.h).
 */
	.code16
	.section .rom_header, "ax"
	.globl rom_start
rom_start:
	.byte 0x55, 0xaa
	.byte 0			/* gen_rom writes the length */
	jmp	rom_init
	.org 0x18
	.word	pcir
	.org 0x1e
	.ascii	"IBM VGA compatible BIOS\0" /* programs look for "IBM" here */
	.org 0x40
	.word	vga_font8, vga_font14, vga_font16 /* VGA_BIOS_FONTS in image.h */
	.balign 4
pcir:
	.ascii	"PCIR"
	.word	0x1234, 0x1111, 0, 24
	.byte	0, 0x00, 0x00, 0x03	/* revision; class: VGA */
	.word	0, 1			/* length (gen_rom), revision of the code */
	.byte	0, 0x80			/* x86 BIOS; the last image */
	.word	0

	.text
/* To C and back: every register stands on the caller's stack, where DS and ES lead, and FS to this ROM; EBX keeps ESP. */
	.macro SAVE_ALL
	pushw	%gs
	pushw	%fs
	pushw	%ds
	pushw	%es
	pushal
	cld
	.endm
	.macro FOR_C
	movw	%ss, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%cs, %ax
	movw	%ax, %fs
	movl	%esp, %ebx
	movzwl	%sp, %esp
	.endm
	.macro RESTORE_ALL
	movl	%ebx, %esp
	popal
	popw	%es
	popw	%ds
	popw	%fs
	popw	%gs
	.endm

/* At power-on, called far by the system BIOS. */
rom_init:
	pushfw
	SAVE_ALL
	FOR_C
	calll	vga_post
	RESTORE_ALL
	popfw
	lretw

	.globl	int10_entry
int10_entry:
	SAVE_ALL
	sti
	FOR_C
	movl	%esp, %eax
	calll	vga_int10
	RESTORE_ALL
	iretw

/* The window function of VBE mode information: called far, changes AX and DX only. */
	.globl	vbe_window_entry
vbe_window_entry:
	pushfw
	pushw	%cs /* in the places of an interrupt frame */
	pushw	%cs
	SAVE_ALL
	FOR_C
	movl	%esp, %eax
	calll	vbe_window_call
	RESTORE_ALL
	addw	$4, %sp
	popfw
	lretw

	.section .rodata
	.globl	vga_font8, vga_font14, vga_font16
vga_font8:
	.incbin	VGA_FONTS, 0, 2048
vga_font14:
	.incbin	VGA_FONTS, 2048, 3584
vga_font16:
	.incbin	VGA_FONTS, 5632, 4096
	.section .note.GNU-stack, "", %progbits
