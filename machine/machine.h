/*
 * A PC: processors, RAM, the board of devices/pc.h, serial lines, and what was asked to be booted.
 * It owns everything; two of them run in one process without knowing of each other.
 *
 * Time is virtual: an instruction, on whichever processor, is one nanosecond, and when all processors
 * are halted time skips to the next timer deadline. With an interactive input (a terminal, a socket) such skips are slept through, so
 * that an idle guest costs nothing.
 */
#ifndef ORRERY_MACHINE_MACHINE_H
#define ORRERY_MACHINE_MACHINE_H

#include <stdio.h>
#include "devices/drive.h"
#include "machine/errtext.h"

#define MACHINE_CPUS    8
#define MACHINE_SERIALS 4
#define MACHINE_DEVICES 16
#define MACHINE_SETS    32
#define MACHINE_SHOTS   16
#define MACHINE_NETDEVS 8
#define MACHINE_RAM_MIN (1ull << 20)
#define MACHINE_RAM_MAX (1ull << 38)

/* Why a machine stopped. */
enum end_reason {
	END_NONE,
	END_POWER_OFF,    /* ACPI soft off */
	END_DEBUG_EXIT,   /* isa-debug-exit: the code is in struct machine_result */
	END_RESET,        /* the guest asked for a reset under no_reboot */
	END_TRIPLE_FAULT, /* under no_reboot */
	END_HANG,         /* halted for good: nothing can wake the processor */
	END_TIMEOUT,
	END_MAX_INSNS,
	END_QUIT, /* Ctrl-C, Ctrl-A x */
	END_STOPPED, /* machine_pause(), with machine_return_when_stopped(); machine_run() may be called again */
	END_REASONS
};

/* A picture of the screen, taken at an exact instant. Both 0: when the run ends. */
struct machine_shot {
	const char *path;
	u64 at_insns, at_ns; /* instruction count; virtual time */
};

struct machine;

struct machine_config {
	u64 ram_bytes;
	unsigned cpus;   /* 1..MACHINE_CPUS */
	const char *cpu; /* "MODEL[,+feature][,-feature]"; NULL: the default model */
	const char *kernel, *initrd, *append, *bios; /* paths (append: text); NULL: none */
	const void *embedded_kernel;                 /* instead of kernel: an image in memory ... */
	u64 embedded_kernel_bytes;
	const char *embedded_name;
	const void *embedded_bios; /* the firmware when neither a kernel nor bios is given; may be NULL */
	u64 embedded_bios_bytes;
	const char
	    *serial[MACHINE_SERIALS]; /* chardev descriptions; NULL: port present, not connected */
	const char *audio;            /* "none", "wav:PATH", "host": audio_open(); NULL: none */
	const char *debugcon;         /* chardev description of port E9h; NULL: none */
	const char *device[MACHINE_DEVICES]; /* "TYPE[,key=value]..." */
	const char *set[MACHINE_SETS];       /* "ID.key=value" */
	struct machine_shot screenshot[MACHINE_SHOTS]; /* path NULL ends the list */
	struct drive drive[DRIVES_MAX];      /* .block is NULL: machine_create() opens them */
	unsigned drives;
	const char *boot_order; /* letters a (floppy), c (disk), d (CD), n (network); NULL: firmware's */
	const char *boot_once;  /* the same for the first start only; NULL: as boot_order */
	bool boot_menu;
	bool unwatched; /* nobody can press F12: firmware need not wait for it */
	bool nographic; /* firmware shall show its screen on the first serial port too */
	u32 boot_menu_ms; /* how long the menu's invitation stands; 0: firmware's choice */
	struct {
		const char *id, *description; /* devices/backends/net.h */
	} netdev[MACHINE_NETDEVS];           /* up to the first without a name */
	bool no_vga; /* without a display adapter */
	bool usb, tablet; /* with a USB controller; with a tablet at it */
	bool no_hpet, no_reboot, no_shutdown;
	s64 rtc_start_s; /* seconds since 1970 UTC that the RTC starts from */
	u64 max_insns;   /* 0: no limit */
	u64 timeout_ns;  /* host time; 0: no limit */
	const char *options; /* how to make this machine again, for whoever loads a snapshot of it; NULL: not said */
	bool replay; /* networks lead nowhere: what came from them is in the recording */
	const char *save_path; /* a snapshot is saved there, when save_at instructions have run or (0) at the end; NULL: none */
	u64 save_at;
	u32 log_classes; /* bits of enum log_class */
	FILE *log_file;  /* NULL: stderr */
	/* Sees the bytes typed at serial port 0 before the guest: returns how many remain in @data.
	 * May be NULL. */
	unsigned (*typed)(void *ctx, u8 *data, unsigned n);
	void *ctx; /* of typed */
	/* A processor has shut down, and all is as it was then: says at length why, in the place of the short text that goes to
	 * the log otherwise. On the machine's thread; NULL: the short text. */
	void (*shut_down)(void *shut_down_ctx, struct machine *m, unsigned cpu, FILE *out);
	void *shut_down_ctx;
};

struct machine_result {
	enum end_reason reason;
	u32 debug_code; /* END_DEBUG_EXIT */
	u64 instructions;
	u64 virtual_ns, real_ns;
	u64 asleep_ns;      /* of real_ns: waited, not computed */
	u16 cs;  /* where it stood at the end */
	u64 rip;
	bool output_failed;     /* a snapshot or a picture that was asked for could not be written */
	char explanation[1024]; /* of the last triple fault or hang; empty if none */
};

struct machine;
struct cpu;
struct audio;
struct display;

/** The stable name of a reason, as in the verdict file: "power-off", "debug-exit", ... */
const char *end_reason_name(enum end_reason r);

/** Defaults: 128 MiB, default CPU model, no guest, fixed clock start. */
void machine_config_init(struct machine_config *cfg);

/**
 * Builds the machine and loads the guest; @cfg and what it points to must outlive it. 0 with *@m,
 * or with a message in @e: -EINVAL (configuration), -ENOENT, -EACCES... (a file), -ENOEXEC, -E2BIG
 * (the image), -ENOMEM.
 */
MUST_CHECK int machine_create(const struct machine_config *cfg, struct machine **m,
			      struct errtext *e);
void machine_destroy(struct machine *m);
/** Where the log goes from now on. NULL: standard error. */
void machine_set_log_file(struct machine *m, FILE *f);

/** Runs until there is a reason to stop. May be called again after END_TIMEOUT, END_MAX_INSNS (with
 * new limits), END_QUIT. */
enum end_reason machine_run(struct machine *m);

/** Asks a running machine to stop with END_QUIT. Async-signal-safe, from any thread. */
void machine_quit(struct machine *m);

/* ---- from other threads: window, monitor, debugger ---- */

/**
 * Runs @fn(@ctx) on the machine's thread between two slices and returns when it has; on the calling thread if that is the
 * machine's or the machine does not run. Takes some milliseconds at most. @fn may look at and change anything of the
 * machine, but must not destroy it, run it, or wait for another thread that calls here.
 */
void machine_call(struct machine *m, void (*fn)(void *ctx), void *ctx);
/** Stops instructions and virtual time until machine_resume(); returns when they stand still. Calls are still served. */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);
bool machine_paused(const struct machine *m);
/** As machine_pause() without waiting. From any thread, a watcher's callback (cpu/watch.h) or a signal handler. */
void machine_interrupt(struct machine *m);

/* Who is told, on the machine's thread, that it stands still because it is paused, that it goes on, that it was reset. */
struct machine_observer {
	void *ctx;
	void (*stopped)(void *ctx);
	void (*resumed)(void *ctx);
	void (*reset)(void *ctx);
};
/** NULL: nobody. On the machine's thread, or while it does not run. @o is copied. */
void machine_observe(struct machine *m, const struct machine_observer *o);
/** A paused machine leaves machine_run() with END_STOPPED, for who has but one thread. */
void machine_return_when_stopped(struct machine *m, bool on);

/* How fast virtual time may go when somebody watches. */
enum machine_pace {
	PACE_FREE,      /* as fast as it can; idle time is slept through if a terminal is there */
	PACE_REAL_TIME, /* not faster than real time; idle time is slept through */
	PACE_TURBO,     /* as fast as it can, idle time is skipped */
};
void machine_set_pace(struct machine *m, enum machine_pace pace);
enum machine_pace machine_pace(const struct machine *m);

/* What goes through the input queue; any thread. False: the guest is too slow to take it now. */
/** @key: set-1 scan code, 0xe0xx for extended keys, 0xe11d for Pause. */
bool machine_send_key(struct machine *m, u16 key, bool pressed);
/** Motion in counts (right, down), wheel steps (towards the user positive), buttons 1 left, 2 right, 4 middle. */
bool machine_send_mouse(struct machine *m, int dx, int dy, int wheel, unsigned buttons);
/** Where the pointer stands, 0..32767 from the left and from the top; wheel and buttons as before. For guests whose machine_stats
 * say pointer_wanted; others do not hear of it. */
bool machine_send_pointer(struct machine *m, unsigned x, unsigned y, int wheel, unsigned buttons);
/** Events that may be pushed now without being refused. */
unsigned machine_input_room(struct machine *m);
enum machine_button { BUTTON_POWER, BUTTON_RESET, BUTTON_NMI };
bool machine_send_button(struct machine *m, enum machine_button b);

/* A drive whose medium can be changed. */
struct machine_medium {
	const char *id; /* of the drive */
	char path[512]; /* of the image in it; empty: none */
	bool loaded, cdrom;
};
/** Fills at most @max of @out; how many there are. */
unsigned machine_media(struct machine *m, struct machine_medium *out, unsigned max);
/**
 * Puts the image @path into drive @id (NULL: takes out what is there), as a hand at the drive would. From any thread. 0, or
 * -errno with a message: no such drive, no such image, or the guest holds the door.
 */
MUST_CHECK int machine_change_medium(struct machine *m, const char *id, const char *path,
				     struct errtext *e);

/* Counted as the machine runs; the newest is a few milliseconds old. */
struct machine_stats {
	u64 instructions, virtual_ns;
	u64 idle_ns;         /* of virtual_ns: every processor was halted */
	u64 disk, net;       /* device_activity() so far */
	const char *mode;    /* "real", "virtual-8086", "protected", "compatibility", "64-bit", "SMM" */
	unsigned cpl;
	bool halted, paused, running;
	bool quitting;       /* machine_quit() was called */
	u8 leds;             /* of the keyboard: 1 Scroll Lock, 2 Num Lock, 4 Caps Lock */
	bool mouse_wanted;   /* the guest listens to the mouse */
	bool pointer_wanted; /* and to positions: machine_send_pointer() */
};
/** From any thread, cheap. */
void machine_stats(const struct machine *m, struct machine_stats *out);

void machine_result(const struct machine *m, struct machine_result *out);
/** Puts back the terminal of every stdio backend. Async-signal-safe. */
void machine_restore_terminal(struct machine *m);
/** New limits for the next machine_run(). 0: none. */
void machine_set_limits(struct machine *m, u64 max_insns, u64 timeout_ns);

/** A 64-bit digest of processor, RAM and device state: equal for equal runs. Reads all of RAM. */
u64 machine_state_hash(struct machine *m);

/**
 * For profiles: @fn sees the running processor between two instructions, every @period instructions of the machine; the run is the
 * same with and without. @fn NULL: no more. Between slices (machine_call()).
 */
void machine_set_sampler(struct machine *m, u64 period, void (*fn)(void *ctx, struct cpu *cpu), void *ctx);
/** Instructions that all processors have run, and virtual time. Machine's thread. */
u64 machine_instructions(const struct machine *m);
u64 machine_virtual_ns(const struct machine *m);

/* For the debugger and tests. NULL: there is no such processor. */
struct cpu *machine_cpu(struct machine *m, unsigned index);
/** The one whose turn it is: in a watcher's callback the running one, between slices the one that ran last. */
struct cpu *machine_running_cpu(struct machine *m);
struct pc *machine_pc(struct machine *m);
u8 *machine_ram(struct machine *m, u64 gpa, u64 n);
/** The screen: viewers attach to it. Lives as long as the machine. */
struct display *machine_display(struct machine *m);
/** Where its sound goes: never NULL. */
struct audio *machine_audio(struct machine *m);
/** The drive with this id and its open image, or NULL. */
struct drive *machine_drive(struct machine *m, const char *id);
/** What goes to the log from now on: bits of enum log_class. On the machine's thread. */
void machine_set_log(struct machine *m, u32 classes);
/** The @i-th drive, or NULL. */
const struct drive *machine_drive_at(struct machine *m, unsigned i);
/** "real", "virtual-8086", "protected", "compatibility", "64-bit": how the processor runs. */
const char *machine_mode_name(const struct cpu *c);
/** The open backend of serial port @port, or NULL. */
struct chardev *machine_serial(struct machine *m, unsigned port);

#endif
