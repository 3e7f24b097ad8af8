/* The host processor, where tests ask it what is right. */
#ifndef ORRERY_TESTS_HOST_H
#define ORRERY_TESTS_HOST_H

#include <stdbool.h>

/** Orrery's models are Intel's: what each maker does in its own way, tests may ask of no other. */
static inline bool host_is_intel(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_is("intel");
#else
	return false;
#endif
}

#endif
