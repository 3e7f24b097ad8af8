/* The finished video BIOS, as data. */
	.section .rodata
	.globl vga_bios_image, vga_bios_image_bytes
	.balign 16
vga_bios_image:
	.incbin VGA_BIOS_IMAGE
1:
	.balign 4
vga_bios_image_bytes:
	.long 1b - vga_bios_image
	.section .note.GNU-stack, "", %progbits
