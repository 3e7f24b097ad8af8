/*
 * A quotient that does not fit
 * name: #DE
 * check: divisor is 0 or the quotient does not fit
 * expect: divisor 0x2: the quotient does not fit
 */
#include "skeleton.inc"

guest:
	mov edx, 2
	mov ecx, 2
	div ecx
