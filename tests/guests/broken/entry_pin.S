/*
 * Pin-based controls without what must be 1
 * name: VM entry
 * check: reserved bits of the pin-based controls as IA32_VMX_TRUE_PINBASED_CTLS says
 * expect: 26.2.1.1
 * expect: PIN_CTLS
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x4000, 0
	launch
