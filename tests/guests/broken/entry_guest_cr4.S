/*
 * A guest CR4 without VMXE
 * name: VM entry
 * expect: GUEST_CR4
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6804, 0x20
	launch
