/*
 * VMREAD before VMXON
 * name: #UD
 * check: VMX instruction outside VMX operation
 * expect: VMXON comes first
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	vmread rax, rbx
