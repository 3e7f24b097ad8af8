/*
 * An unmasked x87 division by zero
 * name: #MF
 * check: unmasked x87 exception pending
 * expect: ZE
 * expect: ES
 */
#include "skeleton.inc"

guest:
	mov eax, 0x31
	mov cr0, eax
	fninit
	push 0x37b
	fldcw [esp]
	fld1
	fldz
	fdivp
	fwait
