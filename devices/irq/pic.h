/* The pair of 8259As of a PC. */
#ifndef ORRERY_DEVICES_PIC_H
#define ORRERY_DEVICES_PIC_H

#include "devices/device.h"

/** Input pin @irq (0..15, not 2) of the pair: sink for irq_connect. */
void pic_sink(void *pic, unsigned irq, bool level);
/** The output of the master towards the CPU (or LINT0). */
struct irq_line *pic_output(struct device *pic);
/** Interrupt acknowledge cycle pair: the vector. Spurious requests give IR7 of the chip concerned.
 */
u8 pic_intack(struct device *pic);

#endif
