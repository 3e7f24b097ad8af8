/*
 * IRET to a data segment
 * name: #GP
 * check: return segment is not a code segment
 * expect: writable data
 * expect: iret
 */
#include "skeleton.inc"

guest:
	pushfd
	push DATA0
	push offset guest
	iretd
