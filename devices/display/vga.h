/* The VGA device, for whoever stands in for its firmware. */
#ifndef ORRERY_DEVICES_VGA_H
#define ORRERY_DEVICES_VGA_H

#include "devices/device.h"

/** True if @d is a VGA. */
bool vga_is(const struct device *d);
/** What the video BIOS does at power-on: text mode 3 with font, palette and a clear screen. For direct kernel boot. */
void vga_text_mode(struct device *d);

/* A linear picture, as the firmware tells it to a kernel. */
struct vga_picture {
	u32 w, h, bpp, pitch; /* pixels, bits, bytes */
	u64 base, bytes;      /* where the frame buffer stands */
};
/**
 * Sets VBE mode @number (100h...). -EINVAL: there is no such linear mode, or BAR 0 is not mapped; the screen is as it was.
 */
MUST_CHECK int vga_vbe_mode(struct device *d, unsigned number, struct vga_picture *out);

#endif
