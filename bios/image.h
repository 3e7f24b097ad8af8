/* The system BIOS as the program carries it. */
#ifndef ORRERY_BIOS_IMAGE_H
#define ORRERY_BIOS_IMAGE_H

#include <stdint.h>

/** The ROM image, for the top of the first 4 GiB; @*bytes: its size. */
const void *bios_image(uint64_t *bytes);

#endif
