/*
 * Ring 3 loads the kernel's data segment
 * name: #GP
 * check: RPL and CPL are not both <= DPL
 * expect: DPL 0
 */
#include "skeleton.inc"

guest:
	ring3 user, 2
user:
	mov eax, DATA0
	mov ds, eax
