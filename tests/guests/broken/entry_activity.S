/*
 * An activity state that does not exist
 * name: VM entry
 * expect: GUEST_ACTIVITY
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x4826, 7
	launch
