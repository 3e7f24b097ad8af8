/*
 * An IST entry that holds no address
 * name: #SS
 * check: stack pointer in the TSS is not canonical
 * step: 2
 * expect: 0x1122334455667788
 * expect: never set
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	lidt [idtr]
	gate64 6, guest, CODE64, 0x8e, 1
	mov rax, 0x1122334455667788
	mov [tss + 0x24], rax
	load_tss64
	ud2
