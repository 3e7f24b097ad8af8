/*
 * A host RIP that is not canonical
 * name: VM entry
 * expect: HOST_RIP
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6c16, 0x4141414141414141
	launch
