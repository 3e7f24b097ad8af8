/*
 * A VMCS link pointer to nowhere
 * name: VM entry
 * expect: LINK_PTR
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x2800, 0x123
	launch
