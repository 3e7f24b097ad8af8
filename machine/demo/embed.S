/* The demonstration guest's image as read-only data (DEMO_IMAGE: path of the built file). */
	.section .rodata
	.globl demo_image_start, demo_image_end
	.balign 16
demo_image_start:
	.incbin DEMO_IMAGE
demo_image_end:
	.section .note.GNU-stack, "", %progbits
