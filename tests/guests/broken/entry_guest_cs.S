/*
 * A guest CS that is data
 * name: VM entry
 * expect: GUEST_CS
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x4816, 0xa093
	launch
