/*
 * CPUID and the CPU models (SDM Vol. 2A, CPUID; tables 3-8 to 3-24).
 *
 * Feature bits come from features.def, so that they agree with the #UD gates. The time-stamp
 * counter, the core crystal and the nominal frequency are all 1 GHz: one tick per nanosecond of
 * virtual time.
 */
#include "cpu/exec/cpuid.h"
#include "cpu/exec/system.h"
#include "base/config.h"
#include "cpu/exec/xsave.h"

/* ---- models -------------------------------------------------------------------------- */

static const struct cpu_cache caches_core2[] = {
    {1, 1, 8, 0, 64},
    {1, 2, 8, 0, 64},
    {2, 3, 16, 0xff, 4096},
    {0},
};
static const struct cpu_cache caches_core[] = {
    {1, 1, 8, 0, 64}, {1, 2, 8, 0, 64}, {2, 3, 4, 0, 1024}, {3, 3, 16, 0xff, 8192}, {0},
};

#define MODEL(n, h, v, f, m, s, l, x, b, feats, a2, b2, c2, d2, c)                                 \
	{                                                                                          \
	    .name = n,                                                                             \
	    .help = h,                                                                             \
	    .vendor = v,                                                                           \
	    .family = f,                                                                           \
	    .model = m,                                                                            \
	    .stepping = s,                                                                         \
	    .level = l,                                                                            \
	    .xlevel = x,                                                                           \
	    .brand = b,                                                                            \
	    .features = feats,                                                                     \
	    .leaf2 = {a2, b2, c2, d2},                                                             \
	    .caches = c,                                                                           \
	},
static const struct cpu_model models[] = {
#include "cpu/exec/models.def"
};
#undef MODEL

const struct cpu_model *cpu_model_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

static int feature_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < FEAT_COUNT; i++)
		if (strlen(feature_rows[i].name) == len && !memcmp(feature_rows[i].name, name, len))
			return i;
	return -1;
}

/* Has rows in the tables, for the disassembler and for the names, but is not executed: no model can be given it. */
static bool feature_absent(unsigned f)
{
	return f == FEAT_SVM || f == FEAT_AVX512F || f == FEAT_AVX512DQ || f == FEAT_AVX512CD || f == FEAT_AVX512BW ||
	       f == FEAT_AVX512VL;
}

static void feature_set(u32 *feat, unsigned f, bool on)
{
	if (on)
		feat[f / 32] |= BIT(f % 32);
	else
		feat[f / 32] &= ~BIT(f % 32);
}

/* Sets every feature named in @list; -1 with the name in @err when there is none such. */
static int features_parse(const char *list, u32 *feat, char *err, size_t err_size)
{
	while (*list) {
		size_t len = strcspn(list, " ");
		int f = feature_find(list, len);

		if (f < 0) {
			snprintf(err, err_size, "unknown CPU feature '%.*s'", (int)len, list);
			return -1;
		}
		feature_set(feat, f, true);
		list += len;
		list += strspn(list, " ");
	}
	return 0;
}

static const char *nearest_model(const char *name)
{
	const char *names[ARRAY_SIZE(models) + 1] = {NULL};

	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		names[i] = models[i].name;
	return nearest(name, names);
}

static const char *nearest_feature(const char *name)
{
	const char *names[FEAT_COUNT + 1] = {NULL};

	for (unsigned i = 0; i < FEAT_COUNT; i++)
		names[i] = feature_rows[i].name;
	return nearest(name, names);
}

/* Writes "unknown WHAT 'NAME'" with the nearest name there is. Returns -1. */
static int unknown_name(const char *what, const char *name, const char *near, char *err, size_t size)
{
	if (near)
		snprintf(err, size, "unknown CPU %s '%s', did you mean '%s'? (-cpu help lists them)", what, name, near);
	else
		snprintf(err, size, "unknown CPU %s '%s' (-cpu help lists them)", what, name);
	return -1;
}

static int modifier_parse(const char *word, size_t len, u32 *feat, char *err, size_t err_size)
{
	int f = len > 1 ? feature_find(word + 1, len - 1) : -1;

	if (*word != '+' && *word != '-') {
		snprintf(err, err_size, "'%.*s': write +feature or -feature", (int)len, word);
		return -1;
	}
	if (f < 0) {
		char name[32];
		snprintf(name, sizeof(name), "%.*s", (int)len - 1, word + 1);
		return unknown_name("feature", name, nearest_feature(name), err, err_size);
	}
	if (*word == '+' && feature_absent(f)) {
		snprintf(err, err_size, "'%s' is not modelled", feature_rows[f].name);
		return -1;
	}
	feature_set(feat, f, *word == '+');
	return 0;
}

int cpu_model_parse(const char *spec, const struct cpu_model **model, u32 *feat, char *err,
		    size_t err_size)
{
	size_t len = strcspn(spec, ",");
	char name[32];

	snprintf(name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), spec);
	*model = cpu_model_find(name);
	if (!*model)
		return unknown_name("model", name, nearest_model(name), err, err_size);
	memset(feat, 0, FEATURE_WORDS * sizeof(*feat));
	if (features_parse((*model)->features, feat, err, err_size))
		return -1;
	for (spec += len; *spec == ','; spec += len) {
		spec++;
		len = strcspn(spec, ",");
		if (modifier_parse(spec, len, feat, err, err_size))
			return -1;
	}
	return 0;
}

void cpu_model_list(FILE *out)
{
	fprintf(out, "CPU models (-cpu MODEL[,+feature][,-feature]):\n");
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		fprintf(out, "  %-9s %s\n", models[i].name, models[i].help);
	fprintf(out, "features:");
	for (unsigned i = 0, column = 9; i < FEAT_COUNT; i++) {
		unsigned width = strlen(feature_rows[i].name) + 1;

		if (feature_absent(i))
			continue;
		if (column + width > 78) {
			fprintf(out, "\n         ");
			column = 9;
		}
		column += width;
		fprintf(out, " %s", feature_rows[i].name);
	}
	fprintf(out, "\n");
}

u32 cpu_model_signature(const struct cpu_model *m)
{
	return (u32)(m->model >> 4) << 16 | (u32)m->family << 8 | (m->model & 15u) << 4 |
	       m->stepping;
}

/* ---- leaves -------------------------------------------------------------------------- */

enum { A, B, C, D };

static unsigned package_size(const struct cpu *cpu)
{
	return cpu->cpu_count ? cpu->cpu_count : 1;
}

/* Bits of the APIC ID below the package number. */
static unsigned package_bits(const struct cpu *cpu)
{
	unsigned n = package_size(cpu);

	return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

static void feature_bits(const struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
	for (unsigned i = 0; i < FEAT_COUNT; i++) {
		const struct feature_row *f = &feature_rows[i];

		if (f->reg != CR_NONE && f->leaf == leaf && f->subleaf == subleaf &&
		    cpu_has(cpu, i))
			out[f->reg - CR_EAX] |= BIT(f->bit);
	}
}

static bool apic_enabled(struct cpu *cpu)
{
	u64 base = 0;

	return cpu->bus.apic_msr_read && !cpu->bus.apic_msr_read(cpu->bus.ctx, 0x1b, &base) &&
	       base & BIT(11);
}

static void leaf_1(struct cpu *cpu, u32 out[4])
{
	unsigned n = package_size(cpu);

	out[A] = cpu_model_signature(cpu->model);
	out[B] = cpu->index << 24 | (n > 1 ? 1u << package_bits(cpu) : 0) << 16;
	if (cpu_has(cpu, FEAT_CLFLUSH))
		out[B] |= 8 << 8; /* line size in 8-byte units */
	if (n > 1)
		out[D] |= BIT(28);
	if (cpu->cr4 & CR4_OSXSAVE)
		out[C] |= BIT(27);
	if (!apic_enabled(cpu))
		out[D] &= ~BIT(9);
	if (!(cpu->misc_enable >> 18 & 1))
		out[C] &= ~BIT(3); /* IA32_MISC_ENABLE.ENABLE_MONITOR_FSM */
}

static void leaf_4(struct cpu *cpu, u32 subleaf, u32 out[4])
{
	const struct cpu_cache *c = cpu->model->caches;
	unsigned sharing;

	if (!c)
		return;
	for (; c->level && subleaf; c++)
		subleaf--;
	if (!c->level)
		return;
	sharing = c->shared_bits == 0xff ? package_bits(cpu) : c->shared_bits;
	out[A] = c->type | c->level << 5 | 1 << 8 | ((1u << sharing) - 1) << 14 |
		 ((1u << package_bits(cpu)) - 1) << 26;
	out[B] = 63 | (c->ways - 1u) << 22;
	out[C] = c->sets - 1;
}

/* Extended topology: one thread per core, all cores in one package. */
static void leaf_b(struct cpu *cpu, u32 subleaf, u32 out[4])
{
	out[C] = subleaf & 0xff;
	out[D] = cpu->index;
	if (subleaf == 0) {
		out[B] = 1;
		out[C] |= 1 << 8;
	} else if (subleaf == 1) {
		out[A] = package_bits(cpu);
		out[B] = package_size(cpu);
		out[C] |= 2 << 8;
	}
}

static void leaf_d(struct cpu *cpu, u32 subleaf, u32 out[4])
{
	u64 supported = xcr0_supported(cpu);

	if (!cpu_has(cpu, FEAT_XSAVE))
		return;
	if (subleaf == 0) {
		out[A] = supported;
		out[B] = xsave_area_size(cpu->xcr0, false);
		out[C] = xsave_area_size(supported, false);
		out[D] = supported >> 32;
	} else if (subleaf == 1) {
		if (cpu_has(cpu, FEAT_XSAVEC))
			out[B] = xsave_area_size(cpu->xcr0 | cpu->xss, true);
		if (cpu_has(cpu, FEAT_XSAVES))
			out[C] = (u32)xss_supported(cpu);
	} else if (subleaf < XC_COUNT && cpu_has(cpu, FEAT_XSAVES) && xss_supported(cpu) >> subleaf & 1) {
		out[A] = xsave_components[subleaf].size;
		out[C] = 1; /* of IA32_XSS; EBX: 0 */
	} else if (subleaf < XC_COUNT && supported >> subleaf & 1) {
		out[A] = xsave_components[subleaf].size;
		out[B] = xsave_components[subleaf].offset;
		out[C] = xsave_components[subleaf].align64 ? 2 : 0;
	}
}

static void leaf_basic(struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
	switch (leaf) {
	case 0:
		out[A] = cpu->model->level;
		memcpy(&out[B], cpu->model->vendor, 4);
		memcpy(&out[D], cpu->model->vendor + 4, 4);
		memcpy(&out[C], cpu->model->vendor + 8, 4);
		break;
	case 1: leaf_1(cpu, out); break;
	case 2: memcpy(out, cpu->model->leaf2, sizeof(cpu->model->leaf2)); break;
	case 4: leaf_4(cpu, subleaf, out); break;
	case 5:
		if (cpu_has(cpu, FEAT_MONITOR))
			out[A] = out[B] = 64;
		break;
	case 7:
		if (subleaf == 0 && cpu->cr4 & CR4_PKE)
			out[C] |= BIT(4); /* OSPKE */
		break;
	case 0xb: leaf_b(cpu, subleaf, out); break;
	case 0xd: leaf_d(cpu, subleaf, out); break;
	case 0x15: /* TSC and core crystal: ratio 1/1, 1 GHz */
		out[A] = out[B] = 1;
		out[C] = 1000000000;
		break;
	case 0x16: /* MHz: base, maximum, bus */
		out[A] = out[B] = 1000;
		out[C] = 100;
		break;
	}
}

static void leaf_extended(struct cpu *cpu, u32 leaf, u32 out[4])
{
	char brand[48] = {0};

	switch (leaf) {
	case 0x80000000: out[A] = cpu->model->xlevel; break;
	case 0x80000001:
		if (!cpu_long64(cpu))
			out[D] &= ~BIT(11); /* Intel reports SYSCALL in 64-bit mode only */
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		strncpy(brand, cpu->model->brand, sizeof(brand) - 1);
		memcpy(out, brand + (leaf - 0x80000002) * 16, 16);
		break;
	case 0x80000006: /* L2: 256 KiB, 4-way, 64-byte lines */
		out[C] = 256 << 16 | 4 << 12 | 64;
		break;
	case 0x80000008:
		out[A] = cpu_maxphyaddr(cpu) | (cpu_has(cpu, FEAT_LA57) ? 57 : 48) << 8;
		break;
	}
}

void cpuid_query(struct cpu *cpu, u32 leaf, u32 subleaf, u32 out[4])
{
	u32 level = cpu->misc_enable >> 22 & 1 ? MIN(cpu->model->level, 2u) : cpu->model->level;

	memset(out, 0, 16);
	/* Beyond the highest leaf the highest basic one answers. */
	if (leaf >= 0x80000000 ? leaf > MAX(cpu->model->xlevel, 0x80000000u) : leaf > level)
		leaf = level;
	feature_bits(cpu, leaf, leaf == 7 || leaf == 0xd ? subleaf : 0, out);
	if (leaf >= 0x80000000) {
		leaf_extended(cpu, leaf, out);
	} else {
		leaf_basic(cpu, leaf, subleaf, out);
		if (leaf == 0)
			out[A] = level;
	}
}

unsigned cpu_maxphyaddr(const struct cpu *cpu)
{
	return MMU_PHYS_BITS;
}

SIMPLE(cpuid)
{
	u32 out[4];

	if (!cpu->model->level)
		return cpu_fault(cpu, EXC_UD, 0, "this CPU model has no CPUID", 0);
	cpuid_query(cpu, cpu->r[RAX], cpu->r[RCX], out);
	cpu->r[RAX] = out[A];
	cpu->r[RBX] = out[B];
	cpu->r[RCX] = out[C];
	cpu->r[RDX] = out[D];
	return 0;
}
