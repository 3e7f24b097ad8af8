/*
 * Too many CR3 targets
 * name: VM entry
 * check: CR3-target count is at most 4
 * expect: 0x9
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x400a, 9
	launch
