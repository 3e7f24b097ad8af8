/* The VGA device, for whoever stands in for its firmware. */
#ifndef ORRERY_DEVICES_VGA_H
#define ORRERY_DEVICES_VGA_H

#include "devices/device.h"

/** True if @d is a VGA. */
bool vga_is(const struct device *d);
/** What the video BIOS does at power-on: text mode 3 with font, palette and a clear screen. For direct kernel boot. */
void vga_text_mode(struct device *d);

#endif
