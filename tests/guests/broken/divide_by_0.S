/*
 * Division by zero
 * name: #DE
 * check: divisor is 0 or the quotient does not fit
 * expect: the divisor is 0
 * expect: div ecx
 */
#include "skeleton.inc"

guest:
	xor ecx, ecx
	div ecx
