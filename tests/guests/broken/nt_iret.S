/*
 * A stale NT flag
 * name: #GP
 * check: IRET with EFLAGS.NT = 1 in IA-32e mode
 * expect: NT
 */
#include "skeleton.inc"

guest:
	long_mode more_cr4=0, more_efer=0
	pushfq
	or dword ptr [rsp], 0x4000
	popfq
	iretq
