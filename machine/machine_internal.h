/* Shared by machine.c, machine_boot.c, machine_run.c and machine_state.c only. */
#ifndef ORRERY_MACHINE_INTERNAL_H
#define ORRERY_MACHINE_INTERNAL_H

#include <errno.h>
#include <stdatomic.h>
#include "base/bus.h"
#include "base/clock.h"
#include "base/dirty.h"
#include "base/host.h"
#include "base/input.h"
#include "base/log.h"
#include "cpu/exec/exec.h"
#include "cpu/watch.h"
#include "devices/backends/audio.h"
#include "devices/backends/chardev.h"
#include "devices/display/display.h"
#include "devices/backends/net.h"
#include "devices/pc.h"
#include "machine/acpi.h"
#include "machine/boot.h"
#include "machine/machine.h"
#include "machine/ram.h"

#define SERIAL_HELD 64
struct serial_input {
	struct machine *m;
	unsigned port;
	struct chardev *chardev;
	/* Typed at the port that cfg.typed sees, which must not wait for the guest. */
	u8 held[SERIAL_HELD];
	unsigned held_count;
};

struct net_input {
	struct machine *m;
	unsigned number;
	unsigned queued; /* frames in the input queue */
	struct net *net;
};

struct loaded_file {
	u8 *data;
	u64 size;
};

/* What one other thread wants done: lives on its stack while it waits. */
struct machine_request {
	void (*fn)(void *ctx);
	void *ctx;
	bool done;
	struct machine_request *next;
};

/* Shared with other threads. The atomics are written by the machine's thread (stats) or anybody (the rest). */
struct machine_threads {
	struct host_monitor *monitor; /* guards requests, owner */
	struct machine_request *requests;
	u64 served; /* requests so far; the machine's thread only */
	u64 owner;  /* host_thread_self() of machine_run(); 0: not running */
	struct host_wake wake;
	atomic_bool attention; /* a request waits, or pause was asked for */
	atomic_bool paused;
	atomic_uint resumes; /* so far: one that is followed by a pause at once is one still */
	atomic_int pace;
	_Atomic u64 instructions, virtual_ns, idle_ns, disk, net;
	_Atomic(const char *) mode;
	atomic_uint cpl, leds;
	atomic_bool halted, running, mouse_wanted, pointer_wanted;
};

/*
 * Virtual time per instruction. The interpreter runs 200 to 1,000 million instructions a second, up to twice as many on a fast host.
 * More than 1 would have a window's guest wait for the clock while it computes; less would make its clock slow where it boots and forks.
 */
#define NS_PER_INSN 1
#define NS_PER_PAUSE 70 /* besides its own: the 140 cycles of a Skylake (Intel's optimization manual, 2.6.4) at 2 GHz */
#define NS_PER_PORT 200 /* and a port access, near what it costs here */
#define NS_PER_PORT_RUN 50 /* a unit of string I/O: fast PIO */

struct machine {
	struct machine_config cfg;
	struct cpu *cpu; /* the running one, or between slices the one that ran last */
	struct cpu *cpus[MACHINE_CPUS];
	struct cpu_watchers watchers; /* cpu/watch.h */
	struct {
		u64 period, next; /* in machine_icount() */
		void (*fn)(void *ctx, struct cpu *cpu);
		void *ctx;
	} sampler; /* machine_set_sampler() */
	unsigned cpu_count; /* that are built: hooks find no others */
	u64 others_icount;  /* instructions that all but m->cpu have run */
	u64 switch_at;      /* machine_icount() at which it is another processor's turn */
	struct ram ram;
	struct bus bus;
	struct clock clock;
	struct input_queue input;
	struct log log;
	struct pc pc;
	bool pc_ready;
	struct serial_input serial[MACHINE_SERIALS];
	struct chardev *debugcon;
	struct display *display;
	struct audio *audio;
	bool saved;      /* cfg.save_path was written */
	bool output_failed; /* or could not be; or a picture */
	u32 shots_taken; /* a bit for each of cfg.screenshot */
	struct net_input net[MACHINE_NETDEVS];
	unsigned stood_resumes; /* threads.resumes when it was last found paused */
	bool net_kick; /* frames may have become deliverable */

	/* What is booted, kept for the next reset */
	struct loaded_file kernel, bios;
	struct loaded_file module_file[BOOT_MODULES_MAX];
	struct boot_module module[BOOT_MODULES_MAX];
	unsigned module_count;
	char *initrd_text; /* the cut-up -initrd argument: module command lines point into it */
	enum boot_kind kind;
	struct mem_region *rom[2];

	struct dirty_map dirty; /* .map NULL: nobody tracks writes */
	struct recorder *recorder; /* machine/record.h; NULL: neither records nor replays */
	struct reverse *reverse;   /* machine/reverse.h; NULL: no history is kept */
	u64 closed_icount, closed_ns; /* the instant whose timers have fired: input comes before them, or later */
	u64 idle_ns;   /* virtual time skipped while halted, and that of port accesses */
	u64 slice_end; /* instruction count at which the running slice ends */
	u64 next_poll; /* instruction count of the next look at the host */
	u64 polled_insns, polled_ns; /* when the last one was */
	u64 drawn_icount;            /* when the screen was last drawn */
	u64 started_real_ns, spent_real_ns, asleep_real_ns;
	u64 sync_real_ns,
	    sync_virtual_ns; /* a pair of equal instants, for sleeping through idle time */
	u64 halt_virtual_ns; /* since when interrupts have been off and the processor halted; 0: not
			      */
	u32 steps;           /* of the loop, to look at the host now and then */
	bool reset_wanted, reset_cpu_only;
	bool off_wanted;
	u32 acpi_pm_base; /* of the PM1 block in the ACPI files of fw_cfg */
	bool suspended; /* ACPI S3: only RAM and what can wake the machine are powered */
	unsigned triple_faults;
	enum end_reason end;
	u32 debug_code;
	atomic_bool quit;
	struct machine_threads threads;
	struct machine_observer observer;
	bool return_when_stopped;
	char explanation[1024];
};

/** Instructions that all processors together have run: the machine's measure of time. */
static inline u64 machine_icount(const struct machine *m)
{
	return m->others_icount + cpu_icount(m->cpu);
}

static inline u64 machine_now(const struct machine *m)
{
	return machine_icount(m) * NS_PER_INSN + m->idle_ns;
}

/** How many typed bytes the guest takes now at serial port @port. */
unsigned machine_serial_room(struct machine *m, unsigned port);
/** Hands on what was held back; how many may be read from the host now. */
unsigned machine_serial_flush(struct machine *m, unsigned port);
/** No processor is running. */
bool machine_halted(const struct machine *m);
/** Makes @cpu the one that runs. */
void machine_switch_cpu(struct machine *m, struct cpu *cpu);

/** What the ACPI tables say of this machine. @pm_base: of the PM1 block, 0 for the usual one. */
struct acpi_config machine_acpi_config(const struct machine *m, u32 pm_base);
/** What firmware reads through fw_cfg: memory map, processors, ACPI and SMBIOS tables, boot order. 0, or -errno with a message. */
MUST_CHECK int machine_fill_fw_cfg(struct machine *m, struct errtext *e);
/** After a snapshot was loaded: the files say what they said then. */
void machine_fw_cfg_loaded(struct machine *m);
/** Reads the files named in the configuration. 0, or -errno with a message. */
MUST_CHECK int machine_load_files(struct machine *m, struct errtext *e);
void machine_free_files(struct machine *m);
/** Maps the -bios image at the top of 4 GiB and under 1 MiB. */
MUST_CHECK int machine_map_rom(struct machine *m, struct errtext *e);
/** Puts the guest at its entry: the processor has just been reset. With firmware, that is the reset
 * vector. */
MUST_CHECK int machine_start_guest(struct machine *m, struct errtext *e);
/** Resets board and processor and starts the guest again. */
void machine_reset(struct machine *m);
/** Ends ACPI S3: RAM stays, the rest is reset, and the guest goes on at its waking vector. */
void machine_wake(struct machine *m);

/* ---- history (reverse.c) ---- */

/** A step begins: time for a checkpoint, or the end of the history is reached again. */
void reverse_step(struct machine *m);
/** The instruction count that the slice must not run past, or UINT64_MAX. */
u64 reverse_next(const struct machine *m);
/** The instant at which a machine in the past that stands still reaches the present, or UINT64_MAX. */
u64 reverse_head_ns(const struct machine *m);
/** The past is run again by machine_goto(): nobody is asked, nobody is told. */
bool reverse_reruns(const struct machine *m);
bool reverse_past(const struct machine *m);
void reverse_event(struct machine *m, const struct input_event *ev);
void reverse_dma_written(struct machine *m, u64 gpa, u64 n);
/** Fires the timers of this instant: it is over for input. */
void machine_run_timers(struct machine *m);
/** Replay: input that is due reaches the guest. */
void take_replayed_input(struct machine *m);
/** One round of machine_run()'s loop. */
void machine_step(struct machine *m);

/* ---- state (machine_state.c) ---- */

/** Shows every section of the state, as machine_state_save() would write them. */
void machine_sections(struct machine *m,
		      void (*see)(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state), void *ctx);
/* Who wants to know which pages of RAM were written. */
enum { DIRTY_RECORDER = 1, DIRTY_REVERSE = 2 };
/** From now on every write is noted; all pages count as written. -ENOMEM. */
MUST_CHECK int machine_track_writes(struct machine *m);
/** RAM was written behind everybody's back: by a loader, a snapshot, a debugger. */
void machine_all_written(struct machine *m);
/** Shows each page (number from the start of m->ram.host) that may have been written since the last call for @who. */
void machine_written(struct machine *m, unsigned who, void (*see)(void *ctx, u64 page), void *ctx);

/**
 * Drops what is remembered of translations and code, so that a machine that is loaded from what is saved now goes on as this one
 * does. Recorded, for it can be noticed.
 */
void machine_forget(struct machine *m);
/** Appends everything but RAM and what is on drives. Between slices. */
void machine_state_save(struct machine *m, struct snap_buf *b);
/** Is that the state of such a machine? 0, or -EINVAL with a message. Nothing is changed. */
MUST_CHECK int machine_state_check(struct machine *m, const void *data, size_t n, struct errtext *e);
/**
 * Takes on such a state; RAM and disks first, for devices begin again what was under way. -EINVAL with a message: what was
 * checked before contradicts itself all the same, and the machine was reset.
 */
MUST_CHECK int machine_state_load(struct machine *m, const void *data, size_t n, struct errtext *e);

/* machine_threads.c: machine_run()'s side. */
MUST_CHECK int machine_threads_init(struct machine *m, struct errtext *e);
void machine_threads_free(struct machine *m);
void machine_threads_begin(struct machine *m);
/** Machine_run() is about to return: serves what still waits; later calls run on their own threads. */
void machine_threads_end(struct machine *m);
/** Carries out what other threads asked for. */
void machine_serve(struct machine *m);
void machine_publish_stats(struct machine *m);
/** Writes what led to the shutdown into m->explanation. */
void machine_explain_triple_fault(struct machine *m);
/** Writes why nothing can wake the processor into m->explanation. */
void machine_explain_hang(struct machine *m);

/* ---- networks (machine_net.c) ---------------------------------------------------------------------------------- */

MUST_CHECK int machine_net_open(struct machine *m, struct errtext *e);
void machine_net_close(struct machine *m);
/** For struct machine_hooks. */
struct net *machine_net_find(void *m, const char *id);
void machine_net_ready(void *m);
/** An INPUT_NET event reaches its card. */
void machine_net_receive(struct machine *m, const struct input_event *ev);
/** An INPUT_MEDIUM event of a replay (machine_media.c). */
void machine_medium_event(struct machine *m, const struct input_event *ev);
/** 0, or -ENOTSUP with a message if what is written to some disk could not be taken back; @what wants it. */
MUST_CHECK int machine_disks_volatile(struct machine *m, const char *what, struct errtext *e);
/** Looks at the host's sockets and queues what came. True while much is going on: come back soon. */
bool machine_net_poll(struct machine *m);
/** Queues what waits in the host ends, without a look at the host. */
void machine_net_deliver(struct machine *m);
bool machine_net_awaits_host(const struct machine *m);
/** Like net_pollfds(), over all. */
unsigned machine_net_pollfds(struct machine *m, struct host_poll *p, unsigned max, u64 *timeout_ns);

#endif
