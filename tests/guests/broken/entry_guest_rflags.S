/*
 * Guest RFLAGS without bit 1
 * name: VM entry
 * expect: GUEST_RFLAGS
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6820, 0
	launch
