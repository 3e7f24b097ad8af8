/* 16550A UART. */
#ifndef ORRERY_DEVICES_UART16550_H
#define ORRERY_DEVICES_UART16550_H

#include "devices/device.h"

/** Bytes arrived on the line: kept (up to 4096) and handed to the guest at the line's pace. Returns
 * how many were taken. */
unsigned uart_receive(struct device *d, const u8 *data, unsigned n);
/** Bytes it can still keep. */
unsigned uart_room(struct device *d);
struct chardev *uart_chardev(struct device *d);

#endif
