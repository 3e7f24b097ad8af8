/*
 * Injection of a reserved kind of event
 * name: VM entry
 * expect: ENTRY_INTR_INFO
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x4016, 0x80000703
	launch
