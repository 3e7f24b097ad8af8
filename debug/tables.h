/* What page tables make of linear addresses, as views: one walk with every entry read, and the map of all that is mapped. */
#ifndef ORRERY_DEBUG_TABLES_H
#define ORRERY_DEBUG_TABLES_H

#include "cpu/cpu.h"
#include "debug/view.h"

/**
 * Adds the walk of @lin for access @acc (ACC_*): access, cr3, verdict ("allowed", or why not), guest_physical (with EPT), physical,
 * page_size, is; and steps of
 * {level, at, entry, flags}, those of EPT among them. How many entries were read. It leaves no trace.
 */
unsigned walk_view(json_t *o, struct cpu *cpu, u64 lin, unsigned acc);
/** Adds ranges of {from, to, phys, rights, key}, or paging: off. */
void map_view(json_t *o, struct cpu *cpu);

#endif
