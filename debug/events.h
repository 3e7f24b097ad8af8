/*
 * What a processor goes through: changes of ring and how each was made (which instruction, which gate), exceptions, interrupts, VM
 * entries and exits, modes; and counters of all of it by kind. Labs keep the beginning of a run (labs/record.c), the live views
 * (debug/rings.h) the newest. Who looks changes nothing of the guest.
 */
#ifndef ORRERY_DEBUG_EVENTS_H
#define ORRERY_DEBUG_EVENTS_H

#include "cpu/cpu.h"
#include "cpu/mmu/mmu.h"
#include "cpu/vmx/vmx.h"
#include "cpu/watch.h"
#include "debug/view.h"
#include "machine/machine.h"

#define EVENTS_EDGES 64

/* Only u64, so that two may be added and subtracted word by word. */
struct event_counts {
	u64 insns, interrupts, io_in, io_out, cr0, cr3, cr4, rdmsr, wrmsr, tasks, entries, failed_entries, exits;
	u64 exit[VR_COUNT], fault[32], cpl[4][4];
	struct mmu_stats mmu;
};
/** @sum += @to - @from. */
void event_counts_add(struct event_counts *sum, const struct event_counts *to, const struct event_counts *from);
/** {KEY: n} of what is not 0: "insns", "fault.GP", "exit.cpuid", "ring.0>3", "refs.ept", ... */
json_t *event_counts_view(const struct event_counts *c);

enum event_kind { EVENT_RING, EVENT_EXCEPTION, EVENT_INTERRUPT, EVENT_VMENTRY, EVENT_VMEXIT, EVENT_VMFAIL, EVENT_MODE };

struct event {
	u64 at;    /* cpu_icount() */
	u64 rip;   /* linear, of the instruction under way */
	u64 error; /* EVENT_EXCEPTION */
	const char *why; /* EVENT_EXCEPTION: the check that failed, or NULL; never freed */
	const char *mode; /* "protected", ...; behind the event */
	u8 kind, cpl, from, to, cpu; /* from, to: EVENT_RING */
	s8 edge;   /* EVENT_RING: which edge; -1: there was no room */
	bool root; /* VMX root operation, or VMX off */
	char via[48];
};

/* A way from a ring to a ring. */
struct event_edge {
	u8 from, to;
	bool root;    /* behind it */
	char via[48]; /* "#GP", "interrupt 128", "call far 0x5b", "iretq", "VM exit" */
	char gate[160]; /* what it went through, in words; "" where there is no such thing */
	u64 count, last_at, last_rip;
	u8 last_cpu;
};

struct events {
	struct event_counts total; /* insns and mmu: not kept here */
	struct event_edge edge[EVENTS_EDGES];
	unsigned edges, newest; /* newest: the way that was taken last */
	u64 edges_dropped;
	struct {
		char via[48];
		u64 at, rip;
		int vector; /* of the IDT; -1 */
	} under_way[MACHINE_CPUS]; /* how the next change of ring comes about */
	void (*happened)(void *ctx, struct cpu *cpu, const struct event *e); /* may be NULL */
	void *ctx;
};

/** What events_seen() wants to be shown. Whoever also passes on WATCH_CR, WATCH_MSR and WATCH_IO has these counted. */
#define EVENTS_WANTS                                                                                                             \
	(WATCH_BIT(WATCH_EXCEPTION) | WATCH_BIT(WATCH_INTERRUPT) | WATCH_BIT(WATCH_CPL) | WATCH_BIT(WATCH_MODE) |                \
	 WATCH_BIT(WATCH_VMX) | WATCH_BIT(WATCH_TASK))
/** From a watcher's callback. */
void events_seen(struct events *ev, struct cpu *cpu, const struct seen *s);
/** "ring", "exception", ... of enum event_kind; NULL above the last. */
const char *event_kind_name(unsigned kind);
/** Is @key one that event_counts_view() may have? */
bool event_count_known(const char *key);
/** The members of an event: at, kind, cpl, root, mode, and what belongs to its kind. */
void event_view(json_t *o, const struct event *e);
/** An array of the edges: {from, to, root, via, gate, count}; @last: and when and where last. */
json_t *event_edges_view(const struct events *ev, bool last);
/** "real", "protected", "64-bit", ...: how the processor runs. */
const char *event_mode(const struct cpu *cpu);

#endif
