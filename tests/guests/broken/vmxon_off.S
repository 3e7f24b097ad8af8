/*
 * VMXON before CR4.VMXE
 * name: #UD
 * check: VMXON with CR4.VMXE = 0
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	vmxon [arena]
