/* What a guest may ask to be shown (@show): views of the machine at that instant. See labs.h. */
#ifndef ORRERY_LABS_SHOWS_H
#define ORRERY_LABS_SHOWS_H

#include <jansson.h>
#include "machine/machine.h"

struct cpu;
struct monitor;

/** "real", "protected", "64-bit", ...: how the processor runs. */
const char *lab_cpu_mode(const struct cpu *cpu);
/** Adds {phase, what, view} to @shows: map, or what the monitor's "info" knows (gdt, idt, tss,
 * vmcs, registers, ...). What nobody knows becomes a view with a message. */
void lab_show(json_t *shows, struct monitor *mon, struct cpu *cpu, const char *phase, const char *what);
/** The text of one of them; malloc'ed, NULL when out of memory. */
char *lab_show_text(const json_t *show);

#endif
