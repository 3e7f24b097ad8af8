/*
 * MOVS, STOS, LODS, SCAS, CMPS with REP, REPE, REPNE (SDM Vol. 2).
 *
 * Every iteration commits RSI, RDI and RCX, so a fault or an event between iterations resumes where
 * it stopped. Runs inside one page of plain RAM go to the host's memory functions; one call does a
 * bounded amount of work and then leaves RIP at the instruction.
 */
#include "cpu/exec/string.h"
#include "cpu/exec/flags.h"

#define WORK_BYTES 65536u /* per call */

/* One operand of a run: where it is now. */
struct cursor {
	unsigned seg, reg, acc;
	u64 lin;
	u8 *host; /* NULL: not directly accessible for the whole run */
};

/*
 * Locates the next element of @c and, if more than one is wanted, how many of @n following ones (with DF: those below it) lie
 * in the same page of RAM inside the segment; host is the first of them. Faults only for the first element.
 */
static int cursor_locate(struct cpu *cpu, const struct insn *in, struct cursor *c, unsigned size,
			 u64 *n)
{
	u64 off = reg_read(cpu, c->reg, in->adsize), room,
	    last = in->adsize == 8 ? ~0ull : BIT64(in->adsize * 8) - 1;
	const unsigned lg = (unsigned)__builtin_ctz(size);
	u64 lin;

	c->host = NULL;
	if (seg_linear(cpu, c->seg, off, size, c->acc, &c->lin))
		return 1;
	if (*n < 2)
		return 0;
	if (!(cpu->rflags & FL_DF))
		room = MIN((4096 - (c->lin & 4095)) >> lg, (last - off) >> lg);
	else if ((c->lin & 4095) + size <= 4096)
		room = MIN((c->lin & 4095) >> lg, off >> lg) + 1;
	else
		room = 1;
	*n = MIN(*n, room);
	lin = c->lin;
	if (cpu->rflags & FL_DF) {
		lin -= (*n - 1) << lg;
		off -= (*n - 1) << lg;
	}
	/* In 64-bit mode what is allowed for one element is allowed for all in its page. */
	if (*n > 1 && (cpu_long64(cpu) || !seg_linear(cpu, c->seg, off, *n * size, c->acc, &lin)))
		c->host = mem_host(cpu, lin, *n * size, c->acc);
	if (c->host && cpu->rflags & FL_DF)
		c->host += (*n - 1) * size;
	if (!c->host)
		*n = 1;
	return 0;
}

/* How many elements the next run may take, if it can go either way. */
static u64 run_either_way(struct cpu *cpu, const struct insn *in, unsigned size, u64 work)
{
	if (!string_rep(in) || string_must_pause(cpu))
		return 1;
	return MIN(string_count(cpu, in), MAX((WORK_BYTES - work) / size, 1));
}

static u64 run_length(struct cpu *cpu, const struct insn *in, unsigned size, u64 work)
{
	return cpu->rflags & FL_DF ? 1 : run_either_way(cpu, in, size, work);
}

/*
 * Charges @n elements; true when this call has done enough. Whether they went through host memory
 * does not matter: that depends on derived state, and each call counts as an instruction.
 */
static bool charge(u64 *work, unsigned size, u64 n)
{
	*work += n * size;
	return *work >= WORK_BYTES;
}

#define COPY_FORWARD(type)                                                                         \
	for (u64 i = 0; i < n; i++)                                                                \
	memcpy(d + i * sizeof(type), s + i * sizeof(type), sizeof(type))

/*
 * In pieces: longer ones C libraries leave to REP MOVSB, which some hosts execute a byte at a time where the destination's page
 * offset is a little above the source's. Those of two large blocks of malloc()'s are.
 */
static void copy_pieces(u8 *d, const u8 *s, u64 bytes)
{
	enum { PIECE = 1024 };

	for (; bytes > PIECE; bytes -= PIECE, d += PIECE, s += PIECE)
		memmove(d, s, PIECE);
	memmove(d, s, bytes);
}

/* Element by element in ascending order: a destination just above the source replicates a pattern.
 */
static void copy_run(u8 *d, const u8 *s, u64 n, unsigned size)
{
	if (d <= s || d >= s + n * size) {
		copy_pieces(d, s, n * size);
		return;
	}
	switch (size) {
	case 1: COPY_FORWARD(u8); break;
	case 2: COPY_FORWARD(u16); break;
	case 4: COPY_FORWARD(u32); break;
	default: COPY_FORWARD(u64); break;
	}
}

/* The same from the last element down, as GRUB moves what it has loaded: there a destination just below the source replicates. */
static void copy_run_down(u8 *d, const u8 *s, u64 n, unsigned size)
{
	if (d >= s || d + n * size <= s) {
		memmove(d, s, n * size);
		return;
	}
	while (n--) {
		u64 v;
		memcpy(&v, s + n * size, size);
		memcpy(d + n * size, &v, size);
	}
}

/*
 * With a 32-bit address size in 64-bit mode processors write back the truncated registers of a REP MOVS, STOS or LODS
 * even when nothing is moved: the count is 0, or the first element faults.
 */
static void rep_truncate(struct cpu *cpu, const struct insn *in, bool src, bool dst)
{
	if (!cpu_long64(cpu) || in->adsize != 4 || !string_rep(in))
		return;
	cpu->r[RCX] = (u32)cpu->r[RCX];
	if (src)
		cpu->r[RSI] = (u32)cpu->r[RSI];
	if (dst)
		cpu->r[RDI] = (u32)cpu->r[RDI];
}

SIMPLE(movs)
{
	unsigned size = string_size(in);
	struct cursor s = {.seg = in->seg, .reg = RSI, .acc = ACC_R},
		      d = {.seg = ES, .reg = RDI, .acc = ACC_W};
	u64 work = 0;

	rep_truncate(cpu, in, true, true);
	if (!string_count(cpu, in))
		return 0;
	for (;;) {
		u64 n = run_either_way(cpu, in, size, work), v = 0;

		if (cursor_locate(cpu, in, &s, size, &n))
			return 1;
		if (cursor_locate(cpu, in, &d, size, &n)) {
			(void)!mem_read(cpu, s.lin, &v, size, ACC_R); /* the source's #PF comes first */
			return 1;
		}
		if (n > 1 && cpu->rflags & FL_DF)
			copy_run_down(d.host - (n - 1) * size, s.host - (n - 1) * size, n, size);
		else if (n > 1)
			copy_run(d.host, s.host, n, size);
		else if (mem_read(cpu, s.lin, &v, size, ACC_R) ||
			 mem_write(cpu, d.lin, &v, size, ACC_W))
			return 1;
		string_advance(cpu, in, RSI, size, n);
		string_advance(cpu, in, RDI, size, n);
		if (string_step_done(cpu, in, n))
			return 0;
		if (charge(&work, size, n) || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

#define FILL(type)                                                                                 \
	do {                                                                                       \
		type e = v;                                                                        \
		for (u64 i = 0; i < n; i++)                                                        \
			memcpy(d + i * sizeof(type), &e, sizeof(type));                            \
	} while (0)

static void fill_run(u8 *d, u64 v, u64 n, unsigned size)
{
	switch (size) {
	case 1: memset(d, v, n); break;
	case 2: FILL(u16); break;
	case 4: FILL(u32); break;
	default: FILL(u64); break;
	}
}

SIMPLE(stos)
{
	unsigned size = string_size(in);
	struct cursor d = {.seg = ES, .reg = RDI, .acc = ACC_W};
	u64 work = 0;

	rep_truncate(cpu, in, false, true);
	if (!string_count(cpu, in))
		return 0;
	for (;;) {
		u64 n = run_either_way(cpu, in, size, work);

		if (cursor_locate(cpu, in, &d, size, &n))
			return 1;
		if (n > 1)
			fill_run(cpu->rflags & FL_DF ? d.host - (n - 1) * size : d.host, cpu->r[RAX], n, size);
		else if (mem_write(cpu, d.lin, &cpu->r[RAX], size, ACC_W))
			return 1;
		string_advance(cpu, in, RDI, size, n);
		if (string_step_done(cpu, in, n))
			return 0;
		if (charge(&work, size, n) || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

SIMPLE(lods)
{
	unsigned size = string_size(in);
	struct cursor s = {.seg = in->seg, .reg = RSI, .acc = ACC_R};
	u64 work = 0;

	rep_truncate(cpu, in, true, false);
	if (!string_count(cpu, in))
		return 0;
	for (;;) {
		u64 n = 1, v = 0;

		if (cursor_locate(cpu, in, &s, size, &n) || mem_read(cpu, s.lin, &v, size, ACC_R))
			return 1;
		reg_write(cpu, RAX, size, v);
		string_advance(cpu, in, RSI, size, 1);
		if (string_step_done(cpu, in, 1))
			return 0;
		if (charge(&work, size, 1) || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

/* ---- comparisons --------------------------------------------------------------------- */

static void compare_flags(struct cpu *cpu, u64 a, u64 b, unsigned size)
{
	u32 kind = FK_SUB + __builtin_ctz(size);
	u32 flags = flags_compute(kind, sext(a, size * 8), sext(b, size * 8));

	cpu_set_rflags(cpu, (cpu->rflags & ~FL_ARITH) | (flags & FL_ARITH));
}

static u64 load(const u8 *p, unsigned size)
{
	u64 v = 0;

	memcpy(&v, p, size);
	return v;
}

/* Goes on while the last comparison agrees with the prefix: REPE on equal, REPNE on different. */
static bool repeat_holds(const struct insn *in, bool equal)
{
	return equal == !(in->prefixes & PFX_REPNE);
}

/*
 * Length of the run up to and including the element that ends the repetition. @b advances with
 * @b_step bytes (0: a constant).
 */
static u64 compare_run(const struct insn *in, const u8 *a, const u8 *b, u64 n, unsigned size,
		       unsigned b_step)
{
	u64 i = 0;

	if (in->prefixes & PFX_REPNE && size == 1 && !b_step) {
		const u8 *hit = memchr(a, *b, n);

		return hit ? (u64)(hit - a) + 1 : n;
	}
	while (i < n - 1 &&
	       repeat_holds(in, load(a + i * size, size) == load(b + i * b_step, size)))
		i++;
	return i + 1;
}

/* A faulting SCAS or CMPS leaves RFLAGS as before it, whatever its earlier iterations found (SDM Vol. 2B, REP). */
static int compare_fault(struct cpu *cpu, u32 before)
{
	cpu->rflags = before;
	return 1;
}

SIMPLE(scas)
{
	unsigned size = string_size(in);
	struct cursor d = {.seg = ES, .reg = RDI, .acc = ACC_R};
	u64 work = 0, acc = zext_bytes(cpu->r[RAX], size);
	u32 before = cpu->rflags;

	if (!string_count(cpu, in)) {
		rep_truncate(cpu, in, false, false);
		return 0;
	}
	for (;;) {
		u64 n = run_length(cpu, in, size, work), v = 0;

		if (cursor_locate(cpu, in, &d, size, &n))
			return compare_fault(cpu, before);
		if (n > 1) {
			n = compare_run(in, d.host, (const u8 *)&acc, n, size, 0);
			v = load(d.host + (n - 1) * size, size);
		} else if (mem_read(cpu, d.lin, &v, size, ACC_R)) {
			return compare_fault(cpu, before);
		}
		compare_flags(cpu, acc, v, size);
		string_advance(cpu, in, RDI, size, n);
		if (string_step_done(cpu, in, n) || !repeat_holds(in, acc == v))
			return 0;
		if (charge(&work, size, n) || string_must_pause(cpu))
			return string_pause(cpu);
	}
}

SIMPLE(cmps)
{
	unsigned size = string_size(in);
	struct cursor s = {.seg = in->seg, .reg = RSI, .acc = ACC_R},
		      d = {.seg = ES, .reg = RDI, .acc = ACC_R};
	u64 work = 0;
	u32 before = cpu->rflags;

	if (!string_count(cpu, in)) {
		rep_truncate(cpu, in, false, false);
		return 0;
	}
	for (;;) {
		u64 n = run_length(cpu, in, size, work), a = 0, b = 0;

		/* The second operand is looked at first, as processors do: it decides which #PF is taken. */
		if (cursor_locate(cpu, in, &d, size, &n) || cursor_locate(cpu, in, &s, size, &n))
			return compare_fault(cpu, before);
		if (n > 1) {
			n = compare_run(in, s.host, d.host, n, size, size);
			a = load(s.host + (n - 1) * size, size);
			b = load(d.host + (n - 1) * size, size);
		} else if (mem_read(cpu, d.lin, &b, size, ACC_R) ||
			   mem_read(cpu, s.lin, &a, size, ACC_R)) {
			return compare_fault(cpu, before);
		}
		compare_flags(cpu, a, b, size);
		string_advance(cpu, in, RSI, size, n);
		string_advance(cpu, in, RDI, size, n);
		if (string_step_done(cpu, in, n) || !repeat_holds(in, a == b))
			return 0;
		if (charge(&work, size, n) || string_must_pause(cpu))
			return string_pause(cpu);
	}
}
