/* The files of configs.def as texts that end with a zero. */
	.section .rodata
#define CONFIG(file, number) .globl config_text_##number; config_text_##number: .incbin file; .byte 0;
#include "configs/configs.def"
	.section .note.GNU-stack, "", %progbits
