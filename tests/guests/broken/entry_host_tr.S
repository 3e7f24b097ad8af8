/*
 * A host TR of 0
 * name: VM entry
 * expect: HOST_TR
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x0c0c, 0
	launch
