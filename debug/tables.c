/* What page tables make of linear addresses. See tables.h. */
#include "debug/tables.h"

#include <stdio.h>
#include <string.h>
#include "cpu/exec/exec.h"
#include "cpu/mmu/mmu.h"

/* The processor keeps what it knew of its last fault. */
static int look(struct cpu *cpu, u64 lin, unsigned acc, struct xlat *x, struct walk_record *rec)
{
	struct fault fault = cpu->fault;
	struct vm_fault vm_fault = cpu->vm_fault;
	*rec = (struct walk_record){0};
	*x = (struct xlat){0};
	int failed = mmu_walk_record(cpu, lin, acc, x, rec);
	cpu->fault = fault;
	cpu->vm_fault = vm_fault;
	return failed;
}

/* The same by whoever may: the system, but for SMAP; a program, but for keys; or by fetching. */
static int look_anyhow(struct cpu *cpu, u64 lin, struct xlat *x, struct walk_record *rec)
{
	static const unsigned ways[] = {ACC_R | ACC_SYS, ACC_R | ACC_USER, ACC_X, ACC_X | ACC_USER};
	int failed = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(ways) && failed; i++)
		failed = look(cpu, lin, ways[i], x, rec);
	return failed;
}

/* ---- one walk ------------------------------------------------------------------------------------------------------- */

static const char *const level_names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
static const char *const ept_names[] = {"", "EPT PTE", "EPT PDE", "EPT PDPTE", "EPT PML4E", "EPT PML5E"};

static void add_flag(char *text, size_t n, bool set, const char *name)
{
	size_t at = strlen(text);
	if (set)
		snprintf(text + at, n - at, "%s%s", at ? " " : "", name);
}

static void step_view(json_t *rows, const struct walk_step *s)
{
	char flags[100] = "";
	u64 e = s->entry;
	json_t *row = view_object(rows, NULL);
	unsigned level = MIN(s->level, 5u);
	view_text(row, "level", s->stage ? ept_names[level] : level_names[level]);
	view_hex(row, "at", s->entry_gpa, 0);
	view_hex(row, "entry", e, 16);
	if (s->stage) {
		add_flag(flags, sizeof(flags), e & 1, "R");
		add_flag(flags, sizeof(flags), e & 2, "W");
		add_flag(flags, sizeof(flags), e & 4, "X");
		add_flag(flags, sizeof(flags), e & 0x400, "XU");
		add_flag(flags, sizeof(flags), level > 1 && e & 0x80, "large");
		add_flag(flags, sizeof(flags), e & 0x100, "A");
		add_flag(flags, sizeof(flags), e & 0x200, "D");
	} else {
		add_flag(flags, sizeof(flags), e & 1, "P");
		add_flag(flags, sizeof(flags), e & 2, "RW");
		add_flag(flags, sizeof(flags), e & 4, "US");
		add_flag(flags, sizeof(flags), e & 8, "PWT");
		add_flag(flags, sizeof(flags), e & 0x10, "PCD");
		add_flag(flags, sizeof(flags), e & 0x20, "A");
		add_flag(flags, sizeof(flags), e & 0x40, "D");
		add_flag(flags, sizeof(flags), level > 1 && e & 0x80, "PS");
		add_flag(flags, sizeof(flags), e & 0x100, "G");
		add_flag(flags, sizeof(flags), e >> 63, "NX");
	}
	view_text(row, "flags", flags);
}

/* Where the guest's own tables lead, before the second stage: by the last entry of theirs that was read. */
static u64 guest_physical(const struct cpu *cpu, u64 lin, const struct walk_record *rec)
{
	const struct walk_step *leaf = NULL;
	for (unsigned i = 0; i < rec->n; i++)
		if (!rec->step[i].stage)
			leaf = &rec->step[i];
	if (!leaf)
		return lin; /* the guest's paging is off */
	u64 offset = BIT64(12 + (cpu->cr4 & CR4_PAE ? 9u : 10u) * (leaf->level - 1u)) - 1;
	return (leaf->entry & 0x000ffffffffff000ull & ~offset) | (lin & offset);
}

unsigned walk_view(json_t *o, struct cpu *cpu, u64 lin, unsigned acc)
{
	struct walk_record rec;
	struct xlat x;
	int failed = look(cpu, lin, acc, &x, &rec);
	view_format(o, "access", "%s%s%s by %s, CPL %u", acc & ACC_R ? "r" : "", acc & ACC_W ? "w" : "", acc & ACC_X ? "x" : "",
		    acc & ACC_USER ? "user" : acc & ACC_SYS ? "the processor itself" : "the running code", cpu->cpl);
	view_hex(o, "cr3", cpu->cr3, 0);
	if (!(cpu->cr0 & CR0_PG))
		view_text(o, "paging", "off");
	view_text(o, "verdict", failed ? rec.verdict ? rec.verdict : "the second stage refuses" : "allowed");
	bool two = false;
	for (unsigned i = 0; i < rec.n; i++)
		two |= rec.step[i].stage;
	if (!failed && two)
		view_hex(o, "guest_physical", guest_physical(cpu, lin, &rec), 0);
	if (!failed) {
		view_hex(o, "physical", x.gpa, 0);
		view_hex(o, "page_size", x.page_size, 0);
		view_text(o, "is", !x.host ? "a device or nothing" : x.flags & BUS_PAGE_WRITABLE ? "RAM" : "ROM");
	}
	json_t *rows = view_array(o, "steps");
	for (unsigned i = 0; i < rec.n; i++)
		step_view(rows, &rec.step[i]);
	return rec.n;
}

/* ---- the map -------------------------------------------------------------------------------------------------------- */

#define MAP_RANGES 200
#define MAP_WALKS 100000

#define RIGHT_W 1u
#define RIGHT_U 2u
#define RIGHT_X 4u

struct range {
	u64 from, to, phys;
	unsigned rights, key;
};

/* By the entries of guest paging a walk read: every level must allow. */
static unsigned rights_of(const struct walk_record *rec, unsigned *key)
{
	unsigned rights = RIGHT_W | RIGHT_U | RIGHT_X;

	*key = 0;
	for (unsigned i = 0; i < rec->n; i++) {
		u64 e = rec->step[i].entry;
		if (rec->step[i].stage)
			continue;
		if (!(e & 2))
			rights &= ~RIGHT_W;
		if (!(e & 4))
			rights &= ~RIGHT_U;
		if (e >> 63)
			rights &= ~RIGHT_X;
		*key = (unsigned)(e >> 59 & 15);
	}
	return rights;
}

/* How much a missing entry leaves unmapped, by the level of the last one read. */
static u64 hole_size(const struct cpu *cpu, const struct walk_record *rec)
{
	unsigned level = 1, shift = cpu->cr4 & CR4_PAE ? 9 : 10;

	for (unsigned i = 0; i < rec->n; i++)
		if (!rec->step[i].stage)
			level = rec->step[i].level;
	return 1ull << (12 + shift * (level - 1));
}

static void range_json(json_t *ranges, const struct range *g)
{
	json_t *o = view_object(ranges, NULL);

	view_hex(o, "from", g->from, 0);
	view_hex(o, "to", (g->to - 1) | 0xfff, 0);
	view_hex(o, "phys", g->phys, 0);
	view_format(o, "rights", "%c%c%c %s", 'r', g->rights & RIGHT_W ? 'w' : '-', g->rights & RIGHT_X ? 'x' : '-',
		    g->rights & RIGHT_U ? "user" : "supervisor");
	if (g->key)
		view_num(o, "key", g->key);
}

void map_view(json_t *view, struct cpu *cpu)
{
	const bool wide = cpu->mode & MODE_LMA;
	const u64 half = !wide ? 1ull << 32 : cpu->cr4 & CR4_LA57 ? 1ull << 56 : 1ull << 47; /* where the lower half ends */
	struct range now = {0};
	unsigned walks = 0;

	if (!(cpu->cr0 & CR0_PG)) {
		view_text(view, "paging", "off: linear addresses are physical");
		return;
	}
	json_t *ranges = view_array(view, "ranges");
	view_text(view, "_picture", "map");
	bool more = true;
	for (u64 a = 0; more && walks < MAP_WALKS && json_array_size(ranges) < MAP_RANGES; walks++) {
		struct walk_record rec;
		struct xlat x;
		unsigned key = 0, rights;
		int bad = look_anyhow(cpu, a, &x, &rec);
		u64 size = bad ? hole_size(cpu, &rec) : x.page_size;
		bool absent = bad && (!rec.n || !(rec.step[rec.n - 1].entry & 1));
		rights = absent ? 0 : rights_of(&rec, &key);
		if (now.to && (absent || now.rights != rights || now.key != key || now.phys + (a - now.from) != x.gpa)) {
			range_json(ranges, &now);
			now.to = 0;
		}
		if (!absent && !now.to)
			now = (struct range){.from = a, .phys = x.gpa, .rights = rights, .key = key};
		a = (a & ~(size - 1)) + size;
		if (!absent)
			now.to = a ? a : ~0ull;
		more = a && a != half;
		if (wide && a == half) { /* on with the upper half */
			if (now.to)
				range_json(ranges, &now);
			now.to = 0;
			a = 0 - half;
			more = true;
		}
	}
	if (now.to)
		range_json(ranges, &now);
	if (walks == MAP_WALKS || json_array_size(ranges) >= MAP_RANGES)
		view_text(view, "cut", "only as far as fits");
}
