/*
 * oracle: random instructions on the host and in Orrery, side by side. See README.md beside this file.
 * Exit status 0: no difference; 1: differences; 2: bad usage; 77: the host does not let us trace.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <cpuid.h>
#include "cpu/exec/cpuid.h"
#include "tests/oracle/oracle.h"

struct options {
	unsigned bits, length, show;
	u64 cases, seed, only;
	bool one;
	const char *row, *cpu;
};

static bool cpuid_bit(const struct feature_row *f)
{
	unsigned r[5] = {0};

	if (f->reg == CR_NONE)
		return true;
	if ((u32)__get_cpuid_max(f->leaf & 0x80000000, NULL) < f->leaf)
		return false;
	__cpuid_count(f->leaf, f->subleaf, r[CR_EAX], r[CR_EBX], r[CR_ECX], r[CR_EDX]);
	return r[f->reg] >> f->bit & 1;
}

void host_features(u32 *feat)
{
	/* AVX-512 and CET have state the comparison does not hold yet; UMIP and PKU are Linux's affair. */
	static const u8 left_out[] = {FEAT_AVX512F,  FEAT_AVX512DQ, FEAT_AVX512CD, FEAT_AVX512BW, FEAT_AVX512VL,
				      FEAT_CET_SS,   FEAT_CET_IBT,  FEAT_PKU,	  FEAT_VMX,	  FEAT_SVM};

	memset(feat, 0, FEATURE_WORDS * sizeof(*feat));
	for (unsigned i = 0; i < FEAT_COUNT; i++)
		if (cpuid_bit(&feature_rows[i]))
			feat[i / 32] |= BIT(i % 32);
	for (size_t i = 0; i < ARRAY_SIZE(left_out); i++)
		feat[left_out[i] / 32] &= ~BIT(left_out[i] % 32);
}

static int usage(void)
{
	fputs("usage: oracle [--bits 64|32] [--cases N] [--seed S] [--length N] [--row M,...] [--show N] [--only CASE]\n"
	      "  --length N  sequences of 2..N instructions (default 1: single instructions)\n"
	      "  --row M,... only rows of these mnemonics\n"
	      "  --show N    at most N failures in full, one per mnemonic (default 12)\n"
	      "  --only C    case number C of this seed, shown whole\n"
	      "  --cpu SPEC  Orrery's features, as -cpu takes them; those the host lacks are dropped (default max)\n",
	      stderr);
	return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"bits", 1, NULL, 'b'}, {"cases", 1, NULL, 'n'}, {"seed", 1, NULL, 's'}, {"length", 1, NULL, 'l'},
		{"row", 1, NULL, 'r'}, {"show", 1, NULL, 'w'}, {"only", 1, NULL, 'o'},
		{"cpu", 1, NULL, 'c'}, {0},
	};
	int c;

	*o = (struct options){.bits = 64, .length = 1, .show = 12, .cases = 20000, .seed = 1,
				 .cpu = "max"};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'b': o->bits = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'n': o->cases = strtoull(optarg, NULL, 0); break;
		case 's': o->seed = strtoull(optarg, NULL, 0); break;
		case 'l': o->length = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'r': o->row = optarg; break;
		case 'w': o->show = (unsigned)strtoul(optarg, NULL, 0); break;
		case 'o': o->only = strtoull(optarg, NULL, 0), o->one = true; break;
		case 'c': o->cpu = optarg; break;
		default: return -1;
		}
	}
	return optind == argc && (o->bits == 64 || o->bits == 32) && o->length >= 1 && o->length <= MAX_LENGTH ? 0 : -1;
}

struct tally {
	u32 *cases, *failures; /* by row of the last instruction that is needed for the failure */
	u64 failed;
};

static void summary(const struct tally *t)
{
	for (unsigned i = 0; i < insn_row_count; i++)
		if (t->failures[i])
			printf("%6u of %6u  row %u %s (%s)\n", t->failures[i], t->cases[i], i,
			       insn_rows[i].mnemonic, insn_rows[i].sdm);
}

/* The row to blame: the only instruction left, or the last one. */
static unsigned blame(struct pools *p, const struct test_case *tc)
{
	struct insn in;

	if (tc->n == 0 || decode_case(p, &tc->code[tc->n - 1], &in) != DECODE_OK)
		return 0;
	return in.row;
}

static u64 run_cases(const struct options *o, struct native *nat, struct emulated *emu, struct pools *p,
		     struct tally *t)
{
	unsigned shown = 0;
	u64 first = o->one ? o->only : 0, last = o->one ? o->only + 1 : o->cases;
	struct test_case tc = {0};
	struct verdict v;

	for (u64 i = first; i < last; i++) {
		generate(p, o->seed, i, o->length, &tc);
		unsigned row = blame(p, &tc);
		t->cases[row]++;
		run_both(nat, emu, p, &tc, &v);
		if (o->one)
			print_case(stdout, p, &tc);
		if (v.same)
			continue;
		t->failed++;
		if (shown < o->show && (o->length > 1 || !t->failures[row])) {
			shown++;
			minimise(nat, emu, p, &tc);
			run_both(nat, emu, p, &tc, &v);
			printf("case %llu of seed %llu:\n", (unsigned long long)i, (unsigned long long)o->seed);
			print_case(stdout, p, &tc);
			fputs(v.text, stdout);
			fflush(stdout);
		}
		t->failures[row]++;
	}
	return last - first;
}

int main(int argc, char **argv)
{
	struct options o;
	u32 feat[FEATURE_WORDS];

	if (parse(argc, argv, &o) < 0)
		return usage();
	struct native *nat = native_open();
	if (!nat) {
		fprintf(stderr, "oracle: the host does not let us trace a process: %s\n", strerror(errno));
		return 77;
	}
	const struct cpu_model *model;
	u32 host[FEATURE_WORDS];
	char err[128];
	if (cpu_model_parse(o.cpu, &model, feat, err, sizeof(err)) < 0) {
		fprintf(stderr, "oracle: %s\n", err);
		return 2;
	}
	host_features(host);
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		feat[i] &= host[i];
	struct emulated *emu = emulated_open(model, feat);
	struct pools *p = pools_open(o.bits, feat, o.row, o.seed);
	struct tally t = {.cases = calloc(insn_row_count, sizeof(u32)), .failures = calloc(insn_row_count, sizeof(u32))};
	if (!emu || !p || !t.cases || !t.failures || !pools_rows(p)) {
		fprintf(stderr, "oracle: %s\n", p && !pools_rows(p) ? "no such row" : "out of memory");
		return 2;
	}
	u64 n = run_cases(&o, nat, emu, p, &t);
	summary(&t);
	printf("%llu cases over %u rows, %u-bit, seed %llu: %llu differ\n", (unsigned long long)n, pools_rows(p), o.bits,
	       (unsigned long long)o.seed, (unsigned long long)t.failed);
	free(t.cases);
	free(t.failures);
	pools_close(p);
	emulated_close(emu);
	native_close(nat);
	return t.failed != 0;
}
