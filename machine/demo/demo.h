/* The built-in demonstration guest: a Multiboot 1 kernel, built from this folder and linked into
 * the program. */
#ifndef ORRERY_MACHINE_DEMO_H
#define ORRERY_MACHINE_DEMO_H

#include "base/types.h"

/** The image; *@bytes gets its size. */
const void *demo_image(u64 *bytes);

#endif
