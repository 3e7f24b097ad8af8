/*
 * CLI in ring 3
 * name: #GP
 * check: CLI with CPL > IOPL
 * expect: IOPL 0
 */
#include "skeleton.inc"

guest:
	ring3 user, 2
user:
	cli
