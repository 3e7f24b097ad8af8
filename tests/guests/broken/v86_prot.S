/*
 * In virtual-8086 mode: .byte 0x0f, 0x00, 0xc0
 * name: #UD
 * check: the instruction is not recognized in real-address and virtual-8086 mode
 * expect: PE
 * expect: virtual-8086 mode
 */
#include "skeleton.inc"

guest:
	v86 1f
1:	.byte 0x0f, 0x00, 0xc0
