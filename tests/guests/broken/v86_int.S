/*
 * In virtual-8086 mode: int 0x21
 * name: #GP
 * check: INT n in virtual-8086 mode with IOPL < 3
 * expect: value        0x21
 * expect: virtual-8086 mode
 */
#include "skeleton.inc"

guest:
	v86 1f
1:	int 0x21
