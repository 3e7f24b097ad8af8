/* Waits of INT 15h, which the clock's interrupts end. */
#ifndef ORRERY_BIOS_CLOCK_H
#define ORRERY_BIOS_CLOCK_H

#include "bios/rt/rt.h"

/** INT 15h AH=83h (event wait) and 86h (wait). */
void wait_service(struct regs *r);

#endif
