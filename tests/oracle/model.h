/* Which CPU model the emulated side begins from; its features are then replaced by the host's. */
#ifndef ORRERY_TESTS_ORACLE_MODEL_H
#define ORRERY_TESTS_ORACLE_MODEL_H

#include "cpu/cpu.h"

static inline int oracle_model(struct cpu *cpu)
{
	return 0;
}

#endif
