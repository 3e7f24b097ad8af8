/*
 * SYSENTER before its MSRs were set
 * name: #GP
 * check: IA32_SYSENTER_CS is null
 * expect: sysenter
 */
#include "skeleton.inc"

guest:
	sysenter
