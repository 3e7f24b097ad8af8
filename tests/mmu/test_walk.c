/*
 * The walker against a second model of the same rules, written apart from it: one function per
 * paging mode, read off the figures and tables of SDM Vol. 3A, chapter 4. Random tables, registers
 * and accesses; every verdict, error code, address and byte of memory must agree, with translations
 * cached from earlier accesses and right after changes of CR0.WP, CR4.SMEP/SMAP/PKE, PKRU.
 */
#include "tests/mmu/fake.h"

/* ---- the model ---- */

struct model {
	const struct cpu *cpu;
	u8 *ram; /* its own copy */
	u64 lin;
	bool w, x, user, implicit; /* the access */
	struct {
		u64 gpa;
		unsigned size;
	} used[5];
	unsigned n;
	bool all_u, all_w, any_nx;
	unsigned key;
	bool has_key;
	/* result */
	bool fault, p, rsvd, pk;
	u64 gpa;
};

static u64 a20(const struct model *m, u64 gpa)
{
	return m->cpu->a20_masked ? gpa & ~0x100000ull : gpa;
}

static u64 entry_at(struct model *m, u64 gpa, unsigned size)
{
	u64 v = 0;

	gpa = a20(m, gpa);
	if (gpa < RAM_SIZE)
		memcpy(&v, m->ram + gpa, size);
	m->used[m->n].gpa = gpa;
	m->used[m->n++].size = size;
	return v;
}

static bool absent(struct model *m, u64 e)
{
	m->fault = !(e & 1);
	return m->fault;
}

static bool bad(struct model *m, bool reserved)
{
	m->fault = m->p = m->rsvd = reserved;
	return reserved;
}

static void rights_of(struct model *m, u64 e)
{
	m->all_w &= e >> 1 & 1;
	m->all_u &= e >> 2 & 1;
}

static void model32(struct model *m)
{
	bool pse = m->cpu->cr4 & CR4_PSE;
	u64 pde = entry_at(m, (m->cpu->cr3 & 0xfffff000) | (m->lin >> 22) << 2, 4), pte;

	if (absent(m, pde))
		return;
	rights_of(m, pde);
	if (pse && (pde & 0x80)) {
		bool pse36 = cpu_has(m->cpu, FEAT_PSE36);

		if (bad(m, pse36 ? pde >> 21 & 1 : pde >> 13 & 0x1ff))
			return;
		m->gpa = (pde >> 13 & 0xff) << 32 | (pde & 0xffc00000) | (m->lin & 0x3fffff);
		return;
	}
	pte = entry_at(m, (pde & 0xfffff000) | (m->lin >> 12 & 0x3ff) << 2, 4);
	if (absent(m, pte))
		return;
	rights_of(m, pte);
	m->gpa = (pte & 0xfffff000) | (m->lin & 0xfff);
}

static bool reserved64(const struct model *m, u64 e, unsigned low, unsigned high)
{
	bool high_bits = e << (63 - high) >> (63 - high) >> 40;
	bool low_bits = low && e << (63 - low) >> (63 - low) >> 13;
	bool xd = e >> 63 && !(m->cpu->efer & EFER_NXE);

	return high_bits || low_bits || xd;
}

/* From the page directory on; @high: the highest bit that is reserved above MAXPHYADDR. */
static void model_pd(struct model *m, u64 pd, unsigned high)
{
	u64 e = entry_at(m, pd + (m->lin >> 21 & 511) * 8, 8);

	if (absent(m, e) || bad(m, reserved64(m, e, e & 0x80 ? 20 : 0, high)))
		return;
	rights_of(m, e);
	m->any_nx |= e >> 63;
	if (e & 0x80) {
		m->gpa = (e & 0xffffe00000) | (m->lin & 0x1fffff);
		m->key = e >> 59 & 15;
		return;
	}
	e = entry_at(m, (e & 0xfffffff000) + (m->lin >> 12 & 511) * 8, 8);
	if (absent(m, e) || bad(m, reserved64(m, e, 0, high)))
		return;
	rights_of(m, e);
	m->any_nx |= e >> 63;
	m->key = e >> 59 & 15;
	m->gpa = (e & 0xfffffff000) | (m->lin & 0xfff);
}

static void model_long(struct model *m)
{
	u64 e = m->cpu->cr3;
	unsigned shift;

	for (shift = m->cpu->cr4 & CR4_LA57 ? 48 : 39; shift >= 39; shift -= 9) {
		e = entry_at(m, (e & 0xfffffff000) + (m->lin >> shift & 511) * 8, 8);
		if (absent(m, e) || bad(m, reserved64(m, e, 0, 51) || (e & 0x80)))
			return;
		rights_of(m, e);
		m->any_nx |= e >> 63;
	}
	m->has_key = true;
	e = entry_at(m, (e & 0xfffffff000) + (m->lin >> 30 & 511) * 8, 8);
	if (absent(m, e))
		return;
	if (bad(m, reserved64(m, e, e & 0x80 ? 29 : 0, 51) ||
		       ((e & 0x80) && !cpu_has(m->cpu, FEAT_PDPE1GB))))
		return;
	rights_of(m, e);
	m->any_nx |= e >> 63;
	if (!(e & 0x80)) {
		model_pd(m, e & 0xfffffff000, 51);
		return;
	}
	m->gpa = (e & 0xffc0000000) | (m->lin & 0x3fffffff);
	m->key = e >> 59 & 15;
}

/* SDM 4.6.1: the access rights by mode. */
static bool rights_allow(const struct model *m)
{
	const struct cpu *cpu = m->cpu;
	bool smap = (cpu->cr4 & CR4_SMAP) && (m->implicit || !(cpu->rflags & FL_AC));

	if (m->user) {
		if (!m->all_u)
			return false;
		return m->x ? !m->any_nx : !m->w || m->all_w;
	}
	if (m->x)
		return !m->any_nx && !(m->all_u && (cpu->cr4 & CR4_SMEP));
	if (m->all_u && smap)
		return false;
	return !m->w || m->all_w || !(cpu->cr0 & CR0_WP);
}

static bool key_allows(const struct model *m)
{
	const struct cpu *cpu = m->cpu;
	bool ad = cpu->pkru >> m->key * 2 & 1, wd = cpu->pkru >> (m->key * 2 + 1) & 1;

	if (!(cpu->cr4 & CR4_PKE) || !m->has_key || m->x || !m->all_u)
		return true;
	return !ad && !(wd && m->w && (m->user || (cpu->cr0 & CR0_WP)));
}

static void model_flags(struct model *m)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->used[i].gpa < RAM_SIZE)
			m->ram[m->used[i].gpa] |= 0x20 | (i == m->n - 1 && m->w ? 0x40 : 0);
}

static void model_translate(struct model *m)
{
	const struct cpu *cpu = m->cpu;

	m->all_u = m->all_w = true;
	if (!(cpu->cr0 & CR0_PG)) {
		m->gpa = a20(m, m->lin & 0xffffffff);
		return;
	}
	if (cpu->efer & EFER_LMA) {
		model_long(m);
	} else if (cpu->cr4 & CR4_PAE) {
		m->lin &= 0xffffffff;
		if (!absent(m, cpu->pdpte[m->lin >> 30]))
			model_pd(m, cpu->pdpte[m->lin >> 30] & 0xfffffff000, 62);
	} else {
		m->lin &= 0xffffffff;
		model32(m);
	}
	if (m->fault)
		return;
	m->pk = !key_allows(m);
	if (!rights_allow(m) || m->pk) {
		m->fault = m->p = true;
		return;
	}
	m->gpa = a20(m, m->gpa);
	model_flags(m);
}

static u32 model_error(const struct model *m)
{
	bool nx = (m->cpu->cr4 & CR4_PAE) && (m->cpu->efer & EFER_NXE);
	bool id = m->x && (nx || (m->cpu->cr4 & CR4_SMEP));

	return m->p | m->w << 1 | m->user << 2 | m->rsvd << 3 | id << 4 | m->pk << 5;
}

/* ---- random machines ---- */

static u64 rng_state;

static u64 rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull >> 8;
}

static bool chance(unsigned percent)
{
	return rnd() % 100 < percent;
}

static u64 flag(unsigned percent, u64 bit)
{
	return chance(percent) ? bit : 0;
}

/* An entry that mostly works: present, all rights, pointing at a page of RAM or elsewhere; @table:
 * to another table. */
static u64 random_entry(bool table, bool large, bool wide)
{
	u64 e = flag(97, 1) | flag(80, 2) | flag(75, 4) | flag(30, 0x20) | flag(30, 0x40) |
		flag(30, 0x100) | (rnd() & 0xe18);

	e |= (table || chance(70) ? rnd() % RAM_PAGES : rnd() % 0x400) << 12;
	if (large)
		e = (e & 0xfff) | 0x80 | flag(10, BIT(12 + rnd() % 18));
	if (large && wide)
		e |= (rnd() & 0x3f) << 30;
	if (wide) {
		e |= flag(10, BIT64(63)) | (rnd() & 0xf) << 59 | flag(3, BIT64(40 + rnd() % 23));
		if (table)
			e &= ~(0xfull << 59);
	}
	return e;
}

static void random_registers(struct cpu *cpu)
{
	static const u64 soft[] = {CR4_SMEP, CR4_SMAP, CR4_PKE};

	cpu->cr0 = (cpu->cr0 & ~(u64)CR0_WP) | flag(50, CR0_WP);
	for (unsigned i = 0; i < ARRAY_SIZE(soft); i++)
		cpu->cr4 = (cpu->cr4 & ~soft[i]) | flag(40, soft[i]);
	cpu->pkru = chance(30) ? 0 : (u32)rnd() & (u32)rnd();
	cpu->rflags = FL_R1 | (u32)flag(40, FL_AC);
	cpu->cpl = chance(50) ? 3 : 0;
}

static void random_mode(struct cpu *cpu)
{
	unsigned mode = rnd() % 16;

	cpu->cr0 = CR0_PE | CR0_PG;
	cpu->cr4 = flag(60, CR4_PGE) | flag(70, CR4_PSE);
	cpu->efer = flag(70, EFER_NXE);
	if (mode == 0)
		cpu->cr0 = CR0_PE;
	else if (mode >= 5)
		cpu->cr4 |= CR4_PAE;
	if (mode >= 8)
		cpu->efer |= EFER_LME | EFER_LMA;
	if (mode >= 13)
		cpu->cr4 |= CR4_LA57;
	cpu->a20_masked = chance(5);
	set_feature(cpu, FEAT_PSE36, chance(70));
	set_feature(cpu, FEAT_PDPE1GB, chance(70));
	cpu->cr3 = rnd() % RAM_PAGES << 12 | flag(20, 0x18);
}

static u64 read_ram(struct fake *f, u64 gpa, unsigned size)
{
	u64 v = 0;

	if (f->cpu.a20_masked)
		gpa &= ~0x100000ull;
	if (gpa + size <= RAM_SIZE)
		memcpy(&v, f->ram + gpa, size);
	return v;
}

/* Lays tables for @lin from @table down, @levels of them, and scatters other entries about. */
static void lay_tables(struct fake *f, u64 lin, u64 table, unsigned levels, unsigned size)
{
	unsigned bits = size == 4 ? 10 : 9;

	for (unsigned level = levels; level; level--) {
		u64 index = lin >> (12 + bits * (level - 1)) & (BIT(bits) - 1);
		u64 at = (table & 0xfffffff000) + index * size;
		bool large = (level == 2 || level == 3) && chance(30);
		u64 e = random_entry(level > 1, large, size == 8);

		if (level > 3 && chance(2))
			e |= 0x80;
		if (at + size > RAM_SIZE)
			return;
		memcpy(f->ram + at, &e, size);
		if (chance(30)) { /* its neighbour too, for accesses nearby */
			u64 next = random_entry(level > 1, false, size == 8);

			memcpy(f->ram + (at ^ size), &next, size);
		}
		table = read_ram(f, at, size) & (size == 4 ? 0xfffff000 : 0xfffffff000);
	}
}

static void lay_pdptes(struct fake *f, u64 lin)
{
	u64 at = f->cpu.cr3 & 0xffffffe0;

	for (unsigned i = 0; i < 4; i++)
		put64(f, at + i * 8, rnd() % RAM_PAGES << 12 | (rnd() & 0xe18) | flag(95, 1));
	ck_assert_int_eq(mmu_load_pdptes(&f->cpu, f->cpu.cr3, f->cpu.cr0, f->cpu.cr4, f->cpu.efer),
			 0);
	lay_tables(f, lin, f->cpu.pdpte[lin >> 30 & 3], 2, 8);
}

static void random_tables(struct fake *f, u64 lin)
{
	struct cpu *cpu = &f->cpu;

	if (cpu->efer & EFER_LMA)
		lay_tables(f, lin, cpu->cr3, cpu->cr4 & CR4_LA57 ? 5 : 4, 8);
	else if (cpu->cr4 & CR4_PAE)
		lay_pdptes(f, lin);
	else
		lay_tables(f, lin, cpu->cr3, 2, 4);
}

static u64 random_linear(const struct cpu *cpu)
{
	u64 lin = rnd() << 20 ^ rnd();

	if (!(cpu->efer & EFER_LMA))
		return (u32)lin;
	return (u64)sext(lin, cpu->cr4 & CR4_LA57 ? 57 : 48);
}

static unsigned random_access(void)
{
	static const unsigned kinds[] = {ACC_R, ACC_W, ACC_RW, ACC_X};

	return kinds[rnd() % 4] | (unsigned)flag(20, ACC_SYS) | (unsigned)flag(10, ACC_USER);
}

/* How often each kind of outcome was seen: a sweep that never reaches one proves nothing about it.
 */
struct tally {
	unsigned ok, absent, reserved, rights, key;
};

static void count(struct tally *t, const struct model *m)
{
	t->ok += !m->fault;
	t->absent += m->fault && !m->p;
	t->reserved += m->rsvd;
	t->rights += m->fault && m->p && !m->rsvd && !m->pk;
	t->key += m->pk;
}

static struct model model_of(struct fake *f, u8 *ram, u64 lin, unsigned acc)
{
	struct model m = {.cpu = &f->cpu, .ram = ram, .lin = lin};

	m.w = acc & ACC_W;
	m.x = acc & ACC_X;
	m.implicit = acc & ACC_SYS;
	m.user = (acc & ACC_USER) || (f->cpu.cpl == 3 && !m.implicit);
	model_translate(&m);
	return m;
}

static void check_access(struct fake *f, u8 *ram, u64 lin, unsigned acc, struct tally *t)
{
	struct walk_record rec;
	struct xlat got = {0}, looked = {0};
	int looked_fault = mmu_walk_record(&f->cpu, lin, acc, &looked, &rec);
	struct model m;
	int fault;

	ck_assert(!memcmp(ram, f->ram, RAM_SIZE)); /* looking changes nothing */
	m = model_of(f, ram, lin, acc);
	count(t, &m);
	fault = mmu_translate(&f->cpu, lin, acc, &got);
	ck_assert_msg(fault == (int)m.fault, "lin %lx acc %x: %s, model says %d err %x",
		      (unsigned long)lin, acc, fault ? f->cpu.fault.why : "translated", m.fault,
		      model_error(&m));
	ck_assert_int_eq(looked_fault, fault);
	ck_assert((rec.verdict != NULL) == fault);
	if (fault) {
		ck_assert_uint_eq(f->cpu.fault.err, model_error(&m));
		ck_assert_uint_eq(f->cpu.fault.addr, m.lin);
		ck_assert_str_eq(f->cpu.fault.why, rec.verdict);
	} else {
		ck_assert_uint_eq(got.gpa, m.gpa);
		ck_assert_uint_eq(looked.gpa, m.gpa);
		ck_assert_uint_eq(got.page_size, looked.page_size);
		ck_assert_ptr_eq(got.host, looked.host);
	}
	ck_assert_msg(!memcmp(ram, f->ram, RAM_SIZE), "accessed or dirty flags differ");
}

static void random_round(struct fake *f, u8 *ram, struct tally *t)
{
	struct cpu *cpu = &f->cpu;
	u64 lin;

	random_mode(cpu);
	random_registers(cpu);
	lin = random_linear(cpu);
	random_tables(f, lin);
	mmu_flush_all(cpu);
	memcpy(ram, f->ram, RAM_SIZE);
	for (unsigned i = 0; i < 8; i++) {
		u64 at = chance(70) ? lin : lin ^ (rnd() % 0x2000);

		if (chance(50))
			random_registers(cpu);
		mmu_select(cpu);
		check_access(f, ram, at, random_access(), t);
	}
}

START_TEST(every_access_agrees_with_the_model)
{
	struct fake *f = fake_new();
	u8 *ram = malloc(RAM_SIZE);
	struct tally t = {0};

	rng_state = 0x9e3779b97f4a7c15;
	for (unsigned i = 0; i < 12000; i++)
		random_round(f, ram, &t);
	ck_assert_uint_gt(t.ok, 5000);
	ck_assert_uint_gt(t.absent, 1000);
	ck_assert_uint_gt(t.reserved, 1000);
	ck_assert_uint_gt(t.rights, 5000);
	ck_assert_uint_gt(t.key, 500);
	free(ram);
	fake_free(f);
}
END_TEST

START_TEST(load_pdptes_rejects_each_reserved_bit)
{
	struct fake *f = fake_new();
	struct cpu *cpu = &f->cpu;

	for (unsigned bit = 1; bit < 64; bit++) {
		bool reserved = (bit >= 1 && bit <= 2) || (bit >= 5 && bit <= 8) || bit >= 40;

		put64(f, 0x1010, 1 | BIT64(bit));
		cpu->pdpte[2] = 0x77;
		ck_assert_int_eq(mmu_load_pdptes(cpu, 0x1000, CR0_PE | CR0_PG, CR4_PAE, 0),
				 reserved);
		ck_assert_uint_eq(cpu->pdpte[2], reserved ? 0x77 : 1 | BIT64(bit));
		if (reserved)
			ck_assert_uint_eq(cpu->fault.vector, EXC_GP);
		put64(f, 0x1010, BIT64(bit)); /* not present: anything goes */
		ck_assert_int_eq(mmu_load_pdptes(cpu, 0x1000, CR0_PE | CR0_PG, CR4_PAE, 0), 0);
	}
	fake_free(f);
}
END_TEST

START_TEST(load_pdptes_does_nothing_outside_pae)
{
	struct fake *f = fake_new();

	put64(f, 0x1000, ~0ull);
	ck_assert_int_eq(mmu_load_pdptes(&f->cpu, 0x1000, CR0_PE, CR4_PAE, 0), 0);
	ck_assert_int_eq(mmu_load_pdptes(&f->cpu, 0x1000, CR0_PG, 0, 0), 0);
	ck_assert_int_eq(mmu_load_pdptes(&f->cpu, 0x1000, CR0_PG, CR4_PAE, EFER_LMA | EFER_LME), 0);
	fake_free(f);
}
END_TEST

START_TEST(record_shows_the_entries_read)
{
	struct fake *f = fake_new();
	struct cpu *cpu = &f->cpu;
	struct walk_record rec;
	struct xlat x;

	cpu->cr0 = CR0_PE | CR0_PG;
	cpu->cr4 = CR4_PAE;
	cpu->efer = EFER_LMA | EFER_LME;
	cpu->cr3 = 0x1000;
	put64(f, 0x1000, 0x2007);
	put64(f, 0x2008, 0x3007);
	put64(f, 0x3010, 0x4007);
	put64(f, 0x4018, 0x5006);
	mmu_flush_all(cpu);
	ck_assert_int_eq(mmu_walk_record(cpu, 0x40403123, ACC_R, &x, &rec), 1);
	ck_assert_uint_eq(rec.n, 4);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(rec.step[i].level, 4 - i);
		ck_assert_uint_eq(rec.step[i].entry_gpa, 0x1000 * (i + 1) + 8 * i);
	}
	ck_assert_uint_eq(rec.step[3].entry, 0x5006);
	ck_assert_str_eq(rec.verdict, "PTE.P = 0");
	ck_assert_uint_eq(cpu->fault.vector, 0);
	fake_free(f);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    every_access_agrees_with_the_model,
	    load_pdptes_rejects_each_reserved_bit,
	    load_pdptes_does_nothing_outside_pae,
	    record_shows_the_entries_read,
	};

	return run_tests("mmu_walk", tests, ARRAY_SIZE(tests));
}
