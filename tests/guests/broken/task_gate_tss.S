/*
 * The task gate of #DF leads to the busy TSS
 * name: #GP
 * check: task gate's TSS is not available
 * step: 4
 * expect: busy 32-bit TSS
 */
#include "skeleton.inc"

guest:
	load_tss
	gate32 8, guest, TSS, 0x85
	lidt [idtr32]
	ud2
