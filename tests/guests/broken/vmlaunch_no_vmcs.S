/*
 * VMLAUNCH without a VMCS
 * name: VMfail
 * check: VMLAUNCH or VMRESUME without a current VMCS
 * expect: VMPTRLD
 */
#include "skeleton.inc"
#include "vmx.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	vmx_on
	vmlaunch
	cli
	hlt
