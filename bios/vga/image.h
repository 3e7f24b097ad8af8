/* The video BIOS as it is built into the emulator. */
#ifndef ORRERY_BIOS_VGA_IMAGE_H
#define ORRERY_BIOS_VGA_IMAGE_H

extern const unsigned char vga_bios_image[];
extern const unsigned vga_bios_image_bytes; /* a multiple of 512 */

/* Where the image says where its fonts stand: three little-endian 16-bit offsets, of 8x8, 8x14, 8x16. */
#define VGA_BIOS_FONTS 0x40

#endif
