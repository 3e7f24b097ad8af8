/* Hands out the image that embed.S carries. */
#include "bios/image.h"

extern const uint8_t bios_image_start[], bios_image_end[];

const void *bios_image(uint64_t *bytes)
{
	*bytes = (uint64_t)(bios_image_end - bios_image_start);
	return bios_image_start;
}
