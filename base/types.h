/* Fixed-width names and the handful of compiler idioms used everywhere. */
#ifndef ORRERY_BASE_TYPES_H
#define ORRERY_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define MUST_CHECK __attribute__((warn_unused_result))
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((noinline, cold))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

#define BIT(n) (1u << (n))
#define BIT64(n) (1ull << (n))

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/** Sign-extends the low @bits (1..64) of @v. */
static ALWAYS_INLINE s64 sext(u64 v, unsigned bits)
{
	return (s64)(v << (64 - bits)) >> (64 - bits);
}

/** Zero-extends the low @bytes (1, 2, 4, 8) of @v. */
static ALWAYS_INLINE u64 zext_bytes(u64 v, unsigned bytes)
{
	return bytes >= 8 ? v : v & (BIT64(bytes * 8) - 1);
}

#endif
