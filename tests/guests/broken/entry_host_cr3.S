/*
 * A host CR3 beyond the physical addresses
 * name: VM entry
 * expect: HOST_CR3
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6c02, 0x10000000000000
	launch
