/*
 * Guest EFER without LMA in IA-32e mode
 * name: VM entry
 * expect: GUEST_EFER
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	enter_vmx 0
	wr 0x6804, 0x2620
	ctl 0x4012, 0x490, 0x8200
	wr 0x2806, 0
	launch
