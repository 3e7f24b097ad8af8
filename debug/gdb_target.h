/*
 * What GDB is told of the processor: one description for the whole session, whatever mode the guest is in, so that nothing breaks
 * when it changes. By default that of an x86-64; for clients that want one, of an i386 (then 64-bit code shows its lower halves).
 *
 * rip (eip) is the linear address of the next instruction, CS base included, because that is where GDB looks for code and compares
 * break points; arch_rip is the register as the guest sees it.
 */
#ifndef ORRERY_DEBUG_GDB_TARGET_H
#define ORRERY_DEBUG_GDB_TARGET_H

#include "debug/debugger.h"

enum gdb_arch { GDB_X86_64, GDB_I386, GDB_I8086, GDB_ARCHS };

struct gdb_register {
	const char *name;
	u16 bits;
	u8 kind;
	u8 index;
};

/** Register @n of @arch, NULL: no such one. In the order of the description, which is that of the g packet. */
const struct gdb_register *gdb_register_at(enum gdb_arch arch, unsigned n);
/** Its bytes, little endian, r->bits / 8 of them. */
void gdb_register_get(struct debugger *d, struct cpu *cpu, const struct gdb_register *r, u8 *out);
/** Changes it, with the checks the processor itself would make. False: refused. */
bool gdb_register_set(struct debugger *d, struct cpu *cpu, const struct gdb_register *r, const u8 *in);
/** target.xml; malloc'ed, NULL: no memory. */
char *gdb_target_xml(enum gdb_arch arch);

#endif
