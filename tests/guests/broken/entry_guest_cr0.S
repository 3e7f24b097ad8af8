/*
 * A guest CR0 without NE
 * name: VM entry
 * expect: GUEST_CR0
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6800, 0x80000001
	launch
