/*
 * An assertion that failed
 * name: #UD
 * check: UD0, UD1 or UD2
 * expect: ud2
 * expect: 0f 0b
 * expect: BUG()
 */
#include "skeleton.inc"

guest:
	ud2
