/* Which CPU model the emulated side begins from; its features are then replaced by the host's. */
#ifndef ORRERY_TESTS_ORACLE_MODEL_H
#define ORRERY_TESTS_ORACLE_MODEL_H

#include "cpu/exec/cpuid.h"

static inline int oracle_model(struct cpu *cpu)
{
	cpu->model = cpu_model_find(CPU_MODEL_DEFAULT);
	return cpu->model ? 0 : -1;
}

#endif
