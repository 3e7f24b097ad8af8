/*
 * A port of a TSS without a bitmap
 * name: #GP
 * check: port is outside the I/O permission bitmap
 * expect: port 0x60
 * expect: offset 0x68 of the TSS
 */
#include "skeleton.inc"

guest:
	load_tss
	ring3 user, 2
user:
	in al, 0x60
