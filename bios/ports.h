/* Integer types and I/O ports, for the 16- and 32-bit code of both BIOSes and of their test program. */
#ifndef ORRERY_BIOS_PORTS_H
#define ORRERY_BIOS_PORTS_H

#include <stdint.h>
#include "base/guest/ports.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;

#endif
