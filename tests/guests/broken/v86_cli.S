/*
 * In virtual-8086 mode: cli
 * name: #GP
 * check: CLI with CPL > IOPL
 * expect: virtual-8086 mode
 */
#include "skeleton.inc"

guest:
	v86 1f
1:	cli
