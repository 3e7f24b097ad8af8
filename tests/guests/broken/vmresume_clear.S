/*
 * VMRESUME of a VMCS that was not launched
 * name: VMfail
 * check: VMRESUME with non-launched VMCS
 * expect: 5
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx
	vmresume
	cli
	hlt
outside:
inside:
