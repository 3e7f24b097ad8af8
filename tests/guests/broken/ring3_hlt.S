/*
 * HLT in ring 3
 * name: #GP
 * check: privileged instruction with CPL > 0
 * expect: CPL is 3
 * expect: hlt
 */
#include "skeleton.inc"

guest:
	ring3 user, 2
user:
	hlt
