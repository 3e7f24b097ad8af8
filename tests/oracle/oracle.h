/*
 * The host processor as an oracle: what a case is, and the two ways to run it.
 *
 * A case is a few instructions, the user-visible register state before them, and a seed for the memory they see.
 * It runs on the host (native.c: a traced process stripped of everything but the case's own pages) and in Orrery
 * (emulated.c: CPL 3 under page tables that map the same addresses). Whatever ends it - the trailing INT3 or an
 * exception - the state at that point must be the same.
 */
#ifndef ORRERY_TESTS_ORACLE_H
#define ORRERY_TESTS_ORACLE_H

#include <stdio.h>
#include "base/types.h"
#include "cpu/cpu.h"
#include "cpu/decoder/insn.h"

/* Linear addresses of the case's pages. Everything else is unmapped for user accesses. */
#define CODE_BASE 0x10000000u /* read and execute */
#define CODE_SIZE 0x2000u
#define DATA_BASE 0x20000000u /* read and write */
#define DATA_SIZE 0x4000u
#define LOW_BASE 0x8000u /* read and write, within reach of 16-bit addresses */
#define LOW_SIZE 0x2000u

#define MAX_LENGTH 10 /* instructions of a case */

struct state {
	u64 r[16];
	u64 rip;
	u32 rflags;
	u32 mxcsr;
	u16 cw, sw;
	u8 valid; /* abridged tag word, by physical register */
	u8 st[8][10]; /* ST(0)..ST(7) */
	u8 v[16][32]; /* YMM; the upper halves are zero where the host or Orrery has no AVX */
};

struct encoding {
	u8 b[15];
	u8 len;
};

struct test_case {
	unsigned bits; /* 64 or 32 */
	unsigned n;
	u32 start; /* linear address of the first instruction */
	struct encoding code[MAX_LENGTH];
	struct state in;
	u64 memory_seed;
	u8 memory[DATA_SIZE + LOW_SIZE]; /* what the pages hold before the case: the pattern of memory_seed */
};

enum { END_HANG = -1, END_SHUTDOWN = -2, END_LOST = -3 };

struct outcome {
	int vector; /* exception that ended it (3: the trailing INT3), or END_* */
	u64 addr;   /* #PF: the address */
	const char *why; /* emulated only: the check that failed */
	struct state out;
};

/* ---- random numbers ------------------------------------------------------------------------- */

struct rng {
	u64 s;
};

static inline u64 rng_next(struct rng *r) /* splitmix64 */
{
	u64 z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline u32 rng_below(struct rng *r, u32 n)
{
	return (u32)(rng_next(r) % n);
}

static inline bool rng_percent(struct rng *r, u32 percent)
{
	return rng_below(r, 100) < percent;
}

/** Lays the case's instructions out in @code (CODE_SIZE bytes), INT3 everywhere else. */
void lay_code(const struct test_case *tc, u8 *code);

/* ---- the host (native.c) ----------------------------------------------------------------------- */

struct native;

struct native *native_open(void); /* NULL when the host forbids it (errno says why) */
void native_close(struct native *nat);
/** Runs @tc; 0, or -1 when the traced process was lost and started anew. */
int native_run(struct native *nat, const struct test_case *tc, struct outcome *res);
const u8 *native_data(struct native *nat); /* DATA_SIZE bytes, then LOW_SIZE bytes */

/* ---- Orrery (emulated.c) -------------------------------------------------------------------------- */

struct emulated;

/** A processor of @model that has @feat. */
struct emulated *emulated_open(const struct cpu_model *model, const u32 *feat);
void emulated_close(struct emulated *emu);
void emulated_run(struct emulated *emu, const struct test_case *tc, struct outcome *res);
void emulated_data(struct emulated *emu, u8 *mem); /* as native_data, copied out */

/** Fills @feat with those features of features.def that the host and its operating system offer to ring 3. */
void host_features(u32 *feat);

/* ---- generation (generate.c) --------------------------------------------------------------------- */

struct pools;

/** Samples of every usable row for code of @bits; @row: NULL or the only mnemonic wanted. */
struct pools *pools_open(unsigned bits, const u32 *feat, const char *row, u64 seed);
void pools_close(struct pools *p);
unsigned pools_rows(const struct pools *p);
/**
 * Case number @number of @seed: the same for the same arguments. @length: instructions, at most MAX_LENGTH. @tc: zero at first, then
 * the case before, whose memory may serve again.
 */
void generate(struct pools *p, u64 seed, u64 number, unsigned length, struct test_case *tc);
enum decode_status decode_case(const struct pools *p, const struct encoding *e, struct insn *in);
/**
 * Is @in a REP with 32-bit addresses in 64-bit mode? Whether it leaves the upper halves of registers that do not move differs from
 * prefix order to prefix order on the host.
 */
static inline bool may_truncate(const struct test_case *tc, const struct insn *in)
{
	return tc->bits == 64 && in->adsize == 4 && (insn_rows[in->row].attr & IA_REP);
}

/* ---- comparison (compare.c) ------------------------------------------------------------------------- */

struct verdict {
	bool same;
	char text[2048]; /* one line per difference */
};

void run_both(struct native *nat, struct emulated *emu, struct pools *p, const struct test_case *tc,
	      struct verdict *v);
/** Removes instructions and clears registers as long as the case still fails. */
void minimise(struct native *nat, struct emulated *emu, struct pools *p, struct test_case *tc);
void print_case(FILE *f, struct pools *p, const struct test_case *tc);

#endif
