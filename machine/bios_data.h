/*
 * What a PC BIOS leaves behind besides tables, for kernels started without one: the BIOS data
 * area's first words, an interrupt vector table whose handlers acknowledge and return, the 8259As
 * at vectors 08h and 70h, and the PIT ticking 18.2 times a second. Not modelled: BIOS services;
 * their interrupts return with nothing done.
 */
#ifndef ORRERY_MACHINE_BIOS_DATA_H
#define ORRERY_MACHINE_BIOS_DATA_H

#include "base/bus.h"

/** Fills the BIOS data area, the vector table and the handlers' code. @low: the first MiB of RAM.
 */
void bios_data_area(u8 *low);
/** What a video BIOS adds to it after setting text mode 3. */
void bios_video_data(u8 *low);
/** Programs the 8259As (only IRQ 0 and the cascade open) and PIT channel 0. */
void bios_program_chips(struct bus *bus);

#endif
