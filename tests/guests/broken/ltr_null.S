/*
 * LTR of the null selector
 * name: #GP
 * check: LTR selector is null
 */
#include "skeleton.inc"

guest:
	xor eax, eax
	ltr ax
