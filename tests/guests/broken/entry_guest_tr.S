/*
 * A guest TR that is not busy
 * name: VM entry
 * expect: GUEST_TR
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x4822, 0x89
	launch
