/* CPU models and CPUID (SDM Vol. 2A, CPUID). */
#ifndef ORRERY_CPU_EXEC_CPUID_H
#define ORRERY_CPU_EXEC_CPUID_H

#include <stdio.h>
#include "cpu/cpu.h"

/* One level of leaf 4. */
struct cpu_cache {
	u8 level, type; /* type: 1 data, 2 instruction, 3 unified */
	u8 ways,
	    shared_bits; /* log2 of the logical processors that share it; 0xff: the whole package */
	u32 sets;        /* 64-byte lines */
};

struct cpu_model {
	const char *name, *help;
	const char *vendor; /* 12 characters */
	u8 family, model, stepping;
	u32 level, xlevel;    /* highest basic and extended leaf; level 0: no CPUID instruction */
	const char *brand;    /* leaves 80000002h..4, up to 47 characters */
	const char *features; /* names of features.def, separated by spaces */
	u32 leaf2[4];
	const struct cpu_cache *caches; /* ends with level 0; NULL: leaf 4 is zero */
};

/** The model of that name, or NULL. */
const struct cpu_model *cpu_model_find(const char *name);
/**
 * Parses "model,+feature,-feature". @feat gets FEATURE_WORDS words. 0, or -1 with a sentence in
 * @err.
 */
int cpu_model_parse(const char *spec, const struct cpu_model **model, u32 *feat, char *err,
		    size_t err_size);
/** Writes the models and features that -cpu takes. */
void cpu_model_list(FILE *out);
/** The value RESET leaves in EDX and CPUID leaf 1 in EAX: family, model, stepping. */
u32 cpu_model_signature(const struct cpu_model *model);
/** One leaf for this CPU in its present state. @out: EAX, EBX, ECX, EDX. */
void cpuid_query(struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4]);

#define CPU_MODEL_DEFAULT "skylake"

#endif
