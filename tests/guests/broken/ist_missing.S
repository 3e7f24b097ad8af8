/*
 * A gate with IST 3, and a TSS without
 * name: #TS
 * check: stack pointer is outside the TSS limit
 * step: 2
 * expect: IST3
 * expect: limit 0x2f
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	lidt [idtr]
	gate64 14, guest, CODE64, 0x8e, 3
	mov word ptr [gdt + TSS], 0x2f
	load_tss64
	xor eax, eax
	mov qword ptr [pt], 0
	mov rcx, cr3
	mov cr3, rcx
	mov eax, [rax]
