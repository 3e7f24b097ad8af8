/* The system BIOS as read-only data (BIOS_IMAGE: path of the built file). */
	.section .rodata
	.globl bios_image_start, bios_image_end
	.balign 4096
bios_image_start:
	.incbin BIOS_IMAGE
bios_image_end:
	.section .note.GNU-stack, "", %progbits
