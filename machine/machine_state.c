/*
 * What is saved, loaded and hashed of a machine, all from the same lists of fields; and explanations of why a machine cannot go
 * on. Drives' images and RAM are not in the lists: machine/snapshot_file.c has those.
 */
#include "machine/machine_internal.h"
#include "machine/record.h"

#include <stdlib.h>
#include "cpu/exec/flags.h"
#include "cpu/exec/state.h"
#include "cpu/vmx/vmx.h"

/* ---- what a machine is ------------------------------------------------------------------------------------------ */

/* clang-format off */
#define MACHINE_FIELDS(V, S, H, P) \
	H(cfg) H(cpu) H(cpus) H(watchers) H(sampler) H(cpu_count) P(4) V(others_icount) V(switch_at) H(ram) H(bus) H(clock) H(input) H(log) H(pc) \
	H(pc_ready) P(7) H(serial) H(debugcon) H(display) H(audio) H(saved) H(output_failed) P(2) H(shots_taken) H(net) H(net_kick) P(7) \
	H(kernel) H(bios) H(module_file) H(module) H(module_count) P(4) H(initrd_text) H(kind) P(4) H(rom) \
	H(dirty) H(recorder) H(reverse) H(closed_icount) H(closed_ns) \
	V(idle_ns) H(slice_end) H(next_poll) H(polled_insns) H(polled_ns) H(drawn_icount) \
	H(started_real_ns) H(spent_real_ns) H(asleep_real_ns) H(sync_real_ns) H(sync_virtual_ns) \
	V(halt_virtual_ns) H(steps) V(reset_wanted) V(reset_cpu_only) V(off_wanted) P(1) V(acpi_pm_base) V(suspended) P(3) \
	V(triple_faults) H(end) V(debug_code) H(quit) P(MACHINE_PAD_THREADS) H(threads) H(observer) H(return_when_stopped) H(explanation) P(7)
/* clang-format on */
#define MACHINE_PAD_THREADS (offsetof(struct machine, threads) - offsetof(struct machine, quit) - sizeof(atomic_bool))

/* Version 2: an instruction takes one nanosecond, not two. */
SNAPSHOT(machine_snapshot, "machine", 2, struct machine, MACHINE_FIELDS);

struct running {
	u64 icount;
	u32 cpu, cpus;
};

#define RUNNING_FIELDS(V, S, H, P) V(icount) V(cpu) V(cpus)
SNAPSHOT(running_snapshot, "running", 1, struct running, RUNNING_FIELDS);

static struct running running(const struct machine *m)
{
	return (struct running){.icount = machine_icount(m), .cpu = m->cpu->index, .cpus = m->cpu_count};
}

void machine_sections(struct machine *m,
		      void (*see)(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state), void *ctx)
{
	struct running now = running(m);
	struct cpu copy;
	char id[32];
	see(ctx, "running", &running_snapshot, &now);
	see(ctx, "machine", &machine_snapshot, m);
	for (unsigned i = 0; i < m->cpu_count; i++) {
		cpu_state_copy(m->cpus[i], &copy);
		snprintf(id, sizeof(id), "cpu%u", i);
		see(ctx, id, &cpu_snapshot, &copy);
		snprintf(id, sizeof(id), "cpu%u.vmx", i);
		if (m->cpus[i]->vmx)
			see(ctx, id, &vmx_snapshot, m->cpus[i]->vmx);
	}
	pc_sections(&m->pc, see, ctx);
}

int machine_track_writes(struct machine *m)
{
	if (m->dirty.map)
		return 0;
	m->dirty = (struct dirty_map){.base = m->ram.host, .pages = m->ram.size_bytes / 4096, .map = malloc(m->ram.size_bytes / 4096)};
	if (!m->dirty.map)
		return -ENOMEM;
	m->bus.written = &m->dirty;
	for (unsigned i = 0; i < m->cpu_count; i++)
		m->cpus[i]->dirty = &m->dirty;
	machine_all_written(m);
	return 0;
}

void machine_all_written(struct machine *m)
{
	if (m->dirty.map)
		memset(m->dirty.map, 0xff, m->dirty.pages);
}

void machine_written(struct machine *m, unsigned who, void (*see)(void *ctx, u64 page), void *ctx)
{
	u8 *map = m->dirty.map;
	for (u64 i = 0; i < m->dirty.pages; i += 8) {
		u64 any = 0, n = MIN(8, m->dirty.pages - i);
		memcpy(&any, map + i, n);
		for (u64 k = 0; any && k < n; k++)
			if (map[i + k] & who) {
				map[i + k] &= (u8)~who;
				see(ctx, i + k);
			}
	}
	/* What may be written without asking may be written again. */
	for (unsigned i = 0; i < m->cpu_count; i++)
		mmu_mark_writable(m->cpus[i]);
}

void machine_forget(struct machine *m)
{
	cpu_state_forget(m->cpu);
	record_forgotten(m);
}

void machine_state_save(struct machine *m, struct snap_buf *b)
{
	struct running now = running(m);
	snapshot_save(b, &running_snapshot, "running", &now);
	snapshot_save(b, &machine_snapshot, "machine", m);
	for (unsigned i = 0; i < m->cpu_count; i++)
		cpu_state_save(m->cpus[i], b);
	pc_save(&m->pc, b);
}

static int bad_state(struct snap_reader *r, const char *why)
{
	if (!r->error[0])
		snprintf(r->error, sizeof(r->error), "snapshot: %s", why);
	return -EINVAL;
}

/* Timers ask for the time while they are armed: the processors come first, devices last. */
static int load_sections(struct machine *m, struct snap_reader *r)
{
	struct running was = {0};
	if (snapshot_load(r, &running_snapshot, "running", &was))
		return -EINVAL;
	if (was.cpus != m->cpu_count || was.cpu >= m->cpu_count)
		return bad_state(r, "another number of processors");
	if (snapshot_load(r, &machine_snapshot, "machine", m))
		return -EINVAL;
	m->cpu = m->cpus[was.cpu];
	for (unsigned i = 0; i < m->cpu_count; i++)
		if (cpu_state_load(m->cpus[i], r))
			return -EINVAL;
	if (machine_icount(m) != was.icount)
		return bad_state(r, "the processors' instruction counts do not add up");
	if (pc_load(&m->pc, r))
		return bad_state(r, "a device refuses its state");
	if (snapshot_next(r) || r->error[0])
		return bad_state(r, "there is more than this machine has");
	return 0;
}

static void loaded(struct machine *m)
{
	m->pc.current_cpu = m->cpu->index;
	cpu_state_forget(m->cpu);
	for (unsigned i = 0; i < m->cpu_count; i++)
		cpu_event_set(m->cpus[i], CPU_EV_STOP);
	m->next_poll = 0;
	m->sync_real_ns = 0;
	m->net_kick = false;
	m->closed_ns = m->closed_icount = UINT64_MAX;
	machine_all_written(m);
	machine_fw_cfg_loaded(m);
}

int machine_state_check(struct machine *m, const void *data, size_t n, struct errtext *e)
{
	struct snap_reader r = {.data = data, .len = n};
	struct running was = {0};
	int bad = snapshot_load(&r, &running_snapshot, "running", &was);
	if (!bad && (was.cpus != m->cpu_count || was.cpu >= m->cpu_count))
		bad = bad_state(&r, "another number of processors");
	bad = bad || snapshot_load(&r, &machine_snapshot, "machine", NULL);
	for (unsigned i = 0; i < m->cpu_count && !bad; i++)
		bad = cpu_state_check(m->cpus[i], &r);
	bad = bad || pc_check(&m->pc, &r);
	if (!bad && (snapshot_next(&r) || r.error[0]))
		bad = bad_state(&r, "there is more than this machine has");
	return bad ? err_set(e, -EINVAL, "%s", r.error) : 0;
}

int machine_state_load(struct machine *m, const void *data, size_t n, struct errtext *e)
{
	struct snap_reader r = {.data = data, .len = n};
	int bad = load_sections(m, &r);
	if (bad)
		machine_reset(m);
	loaded(m);
	return bad ? err_set(e, -EINVAL, "%s: the machine was reset", r.error) : 0;
}

/* ---- hash ------------------------------------------------------------------------------------------------------- */

static bool zero_page(const u8 *p)
{
	u64 any = 0;
	for (unsigned i = 0; i < 4096; i += 8) {
		u64 v;
		memcpy(&v, p + i, 8);
		any |= v;
	}
	return !any;
}

u64 machine_state_hash(struct machine *m)
{
	struct running now = running(m);
	u64 h = snapshot_hash(0x6f72726572790002ull, &running_snapshot, &now);
	h = snapshot_hash(h, &machine_snapshot, m);
	for (unsigned i = 0; i < m->cpu_count; i++)
		h = cpu_state_hash(m->cpus[i], h);
	for (u64 at = 0; at < m->ram.size_bytes; at += 4096)
		if (!zero_page(m->ram.host + at))
			h = hash_bytes(h ^ at, m->ram.host + at, 4096);
	return pc_hash(&m->pc, h);
}

/* ---- explanations
 * --------------------------------------------------------------------------------------------- */

static const char *vector_name(unsigned vector)
{
	static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM",
					    "#DF", "#9",  "#TS", "#NP", "#SS", "#GP", "#PF", "#15",
					    "#MF", "#AC", "#MC", "#XM", "#VE", "#CP"};
	return vector < ARRAY_SIZE(names) ? names[vector] : "interrupt";
}

PRINTF_LIKE(2, 3) static void say(struct machine *m, const char *fmt, ...)
{
	size_t n = strlen(m->explanation);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(m->explanation + n, sizeof(m->explanation) - n, fmt, ap);
	va_end(ap);
}

static void say_fault(struct machine *m, const char *intro, const struct fault *f)
{
	say(m, "\n  %s %s", intro, vector_name(f->vector));
	if (f->has_err)
		say(m, "(0x%x)", f->err);
	if (f->vector == EXC_PF)
		say(m, " at address 0x%llx", (unsigned long long)f->addr);
	say(m, ": %s (value 0x%llx)", f->why ? f->why : "no reason recorded",
	    (unsigned long long)f->value);
}

const char *machine_mode_name(const struct cpu *c)
{
	return c->rflags & FL_VM                  ? "virtual-8086"
	       : !(c->cr0 & CR0_PE)               ? "real"
	       : (c->mode & MODE_BITS) == MODE_64 ? "64-bit"
	       : c->efer & EFER_LMA               ? "compatibility"
						  : "protected";
}

static void say_where(struct machine *m)
{
	struct cpu *c = m->cpu;
	const char *mode = machine_mode_name(c);
	if (m->cpu_count > 1)
		say(m, "\n  on processor %u", c->index);
	say(m,
	    "\n  at %04x:%llx in %s mode, CPL %u, SS:SP %04x:%llx, CR0 %llx CR3 %llx CR4 %llx EFER "
	    "%llx,"
	    "\n  GDT %llx limit %x, IDT %llx limit %x, TR %04x, after %llu instructions.",
	    c->seg[CS].sel, (unsigned long long)c->rip, mode, c->cpl, c->seg[SS].sel,
	    (unsigned long long)c->r[RSP], (unsigned long long)c->cr0, (unsigned long long)c->cr3,
	    (unsigned long long)c->cr4, (unsigned long long)c->efer,
	    (unsigned long long)c->gdtr.base, c->gdtr.limit, (unsigned long long)c->idtr.base,
	    c->idtr.limit, c->seg[TR].sel, (unsigned long long)cpu_icount(c));
}

void machine_explain_triple_fault(struct machine *m)
{
	static const char *const intro[] = {
	    "first:", "while delivering it:", "while delivering #DF:", "it began with"};
	const unsigned origin = 3;
	m->explanation[0] = 0;
	say(m, "Triple fault: the processor shut down (SDM Vol. 3A, 6.15).");
	if (m->cpu->triple[origin].why)
		say_fault(m, intro[origin], &m->cpu->triple[origin]);
	for (unsigned i = 0; i < origin; i++)
		if (m->cpu->triple[i].why)
			say_fault(m, intro[i], &m->cpu->triple[i]);
	say_where(m);
}

void machine_explain_hang(struct machine *m)
{
	m->explanation[0] = 0;
	if (m->cpu->activity >= CPU_TPAUSE)
		say(m, "The processor waits in UMWAIT or TPAUSE without end, but no timer is armed "
		       "and no input can arrive.");
	else if (cpu_rflags(m->cpu) & FL_IF)
		say(m, "The processor is halted (HLT) with interrupts on, but no timer is armed "
		       "and no input can arrive.");
	else
		say(m, "The processor is halted (HLT) with interrupts off (IF = 0): nothing can "
		       "wake it.");
	say_where(m);
}
