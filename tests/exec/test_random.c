/*
 * Random programs of valid instructions in random states: in one piece and in slices they must come
 * out the same, to the bit, device accesses and interrupts included. So blocks, fused operations,
 * dead flags and links change nothing that can be seen.
 */
#include <check.h>

#include "tests/suite.h"
#include "rig.h"

#define BUDGET   300
#define PROGRAMS 1500 /* per seed */
#define MAX_CODE 640

static unsigned bits_of(enum setup how)
{
	if (how == LONG64)
		return 64;
	return how == PROTECTED32 || how == PAGED32 || how == COMPAT ? 32 : 16;
}

/* Keeps most of what would end a program at once out of it. */
static bool wanted(const struct insn *in, u64 r)
{
	const struct insn_row *row = &insn_rows[in->row];

	if ((row->attr & IA_CPL0) && r >> 12 & 7)
		return false;
	if ((row->attr & IA_END) && r >> 16 & 3)
		return false;
	return !(in->prefixes & PFX_LOCK) || !(r >> 20 & 3);
}

static unsigned random_insn(u64 *rng, const struct decode_mode *m, u8 *code)
{
	struct insn in;

	for (;;) {
		u64 r = next(rng);
		for (unsigned i = 0; i < 15; i++)
			code[i] = (u8)(next(rng) >> 33);
		if (r % 8 == 0)
			code[0] = 0x0f;
		if (r % 16 == 1)
			code[0] = 0x66;
		if (m->bits == 64 && r % 4 == 2)
			code[0] = 0x40 | (code[0] & 15);
		if ((code[0] & 0xf0) == 0x70 && r >> 8 & 7)
			code[1] &= 0x1f; /* short jumps forwards */
		if (insn_decode(m, code, 15, &in) == DECODE_OK && wanted(&in, r))
			return in.len;
	}
}

static size_t random_program(u64 *rng, u8 *data)
{
	u32 feat[FEATURE_WORDS];
	struct decode_mode m = {.feat = feat};
	unsigned count = 5 + next(rng) % 60;
	size_t n = RIG_HEAD;

	memset(feat, 0xff, sizeof(feat));
	for (unsigned i = 0; i < RIG_HEAD; i++)
		data[i] = (u8)(next(rng) >> 33);
	if (next(rng) % 4)
		data[1] &= 0xfc; /* the model with everything */
	m.bits = (u8)bits_of(data[0] % SETUPS);
	m.real_or_v86 = data[0] % SETUPS == REAL || data[0] % SETUPS == V86;
	while (count-- && n < MAX_CODE)
		n += random_insn(rng, &m, data + n);
	return n;
}

START_TEST(slices_change_nothing)
{
	u64 rng = 0x1234567 + 0x9e3779b97f4a7c15 * (u64)_i;
	u8 data[MAX_CODE + 16];

	for (unsigned i = 0; i < PROGRAMS; i++) {
		size_t n = random_program(&rng, data);
		struct rig *once = rig_new(data, n), *steps = rig_new(data, n);

		rig_run(once, BUDGET, BUDGET);
		rig_run(steps, BUDGET, 1 + next(&rng) % 7);
		rig_same(once, steps);
		rig_free(once);
		rig_free(steps);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("random programs");
	TCase *tc = tcase_create("random programs");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, slices_change_nothing, 0, 4);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
