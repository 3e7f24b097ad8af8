/* Views of the machine at one instant: the memory map as the page tables make it, descriptor tables, the VMCS. See shows.h. */
#include "labs/shows.h"

#include <string.h>
#include "cpu/mmu/mmu.h"
#include "debug/monitor.h"

#define MAP_RANGES 48
#define MAP_WALKS 30000

const char *lab_cpu_mode(const struct cpu *cpu)
{
	if (cpu->mode & MODE_REAL)
		return "real";
	if (cpu->mode & MODE_V86)
		return "virtual-8086";
	if (cpu->mode & MODE_LMA)
		return (cpu->mode & MODE_BITS) == MODE_64 ? "64-bit" : "compatibility";
	return "protected";
}

/* ---- memory map: what linear addresses mean ---------------------------------------------------- */

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
	view_hex(o, "to", g->to - 1, 0);
	view_hex(o, "phys", g->phys, 0);
	view_format(o, "rights", "%c%c%c %s", 'r', g->rights & RIGHT_W ? 'w' : '-', g->rights & RIGHT_X ? 'x' : '-',
		    g->rights & RIGHT_U ? "user" : "supervisor");
	if (g->key)
		view_num(o, "key", g->key);
}

static void show_map(json_t *view, struct cpu *cpu)
{
	u64 last = cpu->mode & MODE_LMA ? 1ull << 47 : 1ull << 32;
	struct range now = {0};
	unsigned walks = 0;
	json_t *ranges = view_array(view, "ranges");

	if (!(cpu->cr0 & CR0_PG)) {
		view_text(view, "paging", "off: linear addresses are physical");
		return;
	}
	for (u64 a = 0; a < last && walks < MAP_WALKS && json_array_size(ranges) < MAP_RANGES; walks++) {
		struct fault keep = cpu->fault;
		struct vm_fault keep_vm = cpu->vm_fault;
		struct walk_record rec = {0};
		struct xlat x = {0};
		unsigned key = 0, rights;
		int bad = mmu_walk_record(cpu, a, ACC_R | ACC_SYS, &x, &rec);
		cpu->fault = keep;
		cpu->vm_fault = keep_vm;
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
			now.to = a;
	}
	if (now.to)
		range_json(ranges, &now);
	if (walks == MAP_WALKS)
		view_text(view, "cut", "only as far as fits");
}

static json_t *info(struct monitor *mon, const char *what)
{
	static const char *const known[] = {"gdt", "idt", "tss", "ldt", "vmcs", "registers", "cpus", NULL};
	struct errtext e = {"the monitor cannot be had"};
	char line[40];
	unsigned i = 0;

	while (known[i] && strcmp(known[i], what))
		i++;
	snprintf(line, sizeof(line), "info %s", known[i] ? known[i] : "");
	json_t *v = mon && known[i] ? monitor_view(mon, line, false, &e) : NULL;
	if (!v) {
		v = json_object();
		view_text(v, "error", known[i] ? e.s : "@show knows map, gdt, idt, tss, ldt, vmcs and registers");
	}
	return v;
}

void lab_show(json_t *shows, struct monitor *mon, struct cpu *cpu, const char *phase, const char *what)
{
	json_t *o = view_object(shows, NULL);

	view_text(o, "phase", phase);
	view_format(o, "what", "%.20s", what);
	if (!strcmp(what, "map"))
		show_map(view_object(o, "view"), cpu);
	else
		json_object_set_new(o, "view", info(mon, what));
}

char *lab_show_text(const json_t *show)
{
	return view_to_text(json_object_get(show, "view"));
}
