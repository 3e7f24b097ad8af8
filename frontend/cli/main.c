/* The program: parses the command line, runs one machine, says how it ended. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/host.h"
#include "bios/image.h"
#include "debug/trace.h"
#include "frontend/cli/debug.h"
#include "frontend/cli/exitcode.h"
#include "frontend/cli/img.h"
#include "frontend/cli/observe.h"
#include "frontend/cli/lab.h"
#include "frontend/cli/options.h"
#include "frontend/cli/verdict.h"
#include "machine/demo/demo.h"
#include "machine/record.h"
#include "machine/snapshot_file.h"
#ifdef ORRERY_SDL
#include "devices/backends/audio.h"
#include "frontend/sdl/lab.h"
#include "frontend/sdl/sound.h"
#include "frontend/sdl/window.h"
#define LAB_WINDOW lab_window
#else
#define LAB_WINDOW NULL
#endif
#ifdef ORRERY_VNC
#include "frontend/vnc/vnc.h"
#endif

/* Signals belong to the process, so the handler needs this one pointer outside any machine. */
static _Atomic(struct machine *) signalled;

static void on_end_signal(int sig)
{
	struct machine *m = sig == SIGINT && cli_debug_at_terminal() ? atomic_load(&signalled) : NULL;
	if (m) {
		machine_interrupt(m); /* whoever sits at the monitor wants the guest stopped, not gone */
		return;
	}
	m = atomic_exchange(&signalled, NULL);
	if (m) {
		machine_quit(m);
		return;
	}
	_exit(EXIT_QUIT); /* the second Ctrl-C does not wait */
}

/* A crash of ours must not leave the terminal raw. */
static void on_crash_signal(int sig)
{
	struct machine *m = atomic_exchange(&signalled, NULL);
	if (m)
		machine_restore_terminal(m);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void catch_signals(void)
{
	static const int end[] = {SIGINT, SIGTERM, SIGHUP};
	static const int crash[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	struct sigaction sa = {.sa_handler = on_end_signal};
	for (unsigned i = 0; i < ARRAY_SIZE(end); i++)
		sigaction(end[i], &sa, NULL);
	sa.sa_handler = on_crash_signal;
	for (unsigned i = 0; i < ARRAY_SIZE(crash); i++)
		sigaction(crash[i], &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error of writing like a full disk */
}

/* Writes the verdict, if one was asked for; a failure to do so changes a good status. */
static int finish(const struct cli *cli, struct verdict *v)
{
	v->name = cli->name;
	if (!cli->verdict)
		return v->exit_status;
	int r = verdict_write(cli->verdict, v);
	if (!r)
		return v->exit_status;
	fprintf(stderr, "orrery: cannot write the verdict '%s': %s\n", cli->verdict, strerror(-r));
	return EXIT_INTERNAL;
}

static int fail(const struct cli *cli, int status, const char *reason, const char *text)
{
	struct verdict v = {.reason = reason, .message = text, .exit_status = status};
	fprintf(stderr, "orrery: %s\n", text);
	return finish(cli, &v);
}

static int fail_with(const struct cli *cli, int error, const char *text)
{
	int status = exit_status_of_error(error);
	return fail(cli, status, status == EXIT_USAGE ? "usage" : status == EXIT_INTERNAL ? "internal" : "image", text);
}

static void say_end(const struct cli *cli, const struct machine_result *r)
{
	switch (r->reason) {
	case END_HANG: fprintf(stderr, "orrery: %s\n", r->explanation); break;
	case END_RESET:
		fprintf(stderr, "orrery: warning: the guest reset the machine (-no-reboot)\n");
		break;
	case END_TIMEOUT: fprintf(stderr, "orrery: the time limit is over (-timeout)\n"); break;
	case END_MAX_INSNS:
		fprintf(stderr, "orrery: the instruction limit is reached (-max-insns)\n");
		break;
	default: break;
	}
	u64 busy_ns = r->real_ns - r->asleep_ns;
	if (cli->demo && r->reason == END_POWER_OFF && busy_ns)
		printf("orrery: %.1f million instructions in %.2f s of computing: %.0f MIPS\n",
		       (double)r->instructions / 1e6, (double)busy_ns / 1e9,
		       (double)r->instructions / (double)busy_ns * 1e3);
}

#ifdef ORRERY_SDL
/* What the window is called: the guest's name, or the file it comes from. */
static const char *window_name(const struct cli *cli)
{
	const char *path = cli->cfg.kernel   ? cli->cfg.kernel
			   : cli->cfg.drives ? cli->cfg.drive[0].path
					     : NULL;
	const char *slash = path ? strrchr(path, '/') : NULL;
	return cli->name ? cli->name : slash ? slash + 1 : path;
}

static bool window_wanted(const struct cli *cli)
{
	return cli->display_sdl || (!cli->display_none && !cli->nographic && !cli->demo);
}

/* Who sees the machine hears it. */
static void choose_audio(struct cli *cli)
{
	if (!cli->cfg.audio && window_wanted(cli) && window_possible())
		cli->cfg.audio = "host";
}

/* Starts the host's sound if the machine's goes there. */
static struct sound *start_sound(const struct cli *cli, struct machine *m)
{
	struct errtext e;
	struct sound *s = audio_is_host(machine_audio(m)) ? sound_start(m, &e) : NULL;
	if (!s && audio_is_host(machine_audio(m)) && cli->audio_asked)
		fprintf(stderr, "orrery: warning: %s\n", e.s);
	if (s)
		machine_set_pace(m, PACE_REAL_TIME); /* what is heard has a pace */
	return s;
}

/* In a window if there is something to show and somewhere to show it; false: nothing was run. */
static bool run_in_window(struct cli *cli, struct machine *m)
{
	const struct window_options o = {.monitor = cli->mon,
					 .keymap = cli->keymap,
					 .name = window_name(cli),
					 .full_screen = cli->full_screen,
					 .keep_open = !cli->cfg.timeout_ns && !cli->verdict};
	struct errtext e;
	if (!window_wanted(cli))
		return false;
	if (!window_possible()) {
		if (cli->display_sdl)
			fprintf(stderr, "orrery: warning: -display sdl: neither DISPLAY nor "
					"WAYLAND_DISPLAY is set; running without a window\n");
		return false;
	}
	if (!window_run(m, &o, &e))
		return true;
	fprintf(stderr, "orrery: warning: %s; running without one\n", e.s);
	return false;
}
#else
struct sound;
static struct sound *start_sound(const struct cli *cli, struct machine *m)
{
	return NULL;
}

static void sound_stop(struct sound *s)
{
}

static void choose_audio(struct cli *cli)
{
	if (cli->cfg.audio && !strcmp(cli->cfg.audio, "host"))
		fprintf(stderr, "orrery: warning: -audio sdl: this build has no SDL "
				"(package libsdl2-dev): silence\n");
}

static bool run_in_window(struct cli *cli, struct machine *m)
{
	if (cli->display_sdl)
		fprintf(stderr, "orrery: warning: -display sdl: this build has no window "
				"(package libsdl2-dev); running without one\n");
	return false;
}
#endif

#ifdef ORRERY_VNC
static int served_check(const struct cli *cli, struct errtext *e)
{
	return cli->vnc ? vnc_check(cli->vnc, e) : 0;
}

/* With a VNC server if one is wanted; false: it cannot be had. */
static bool run_served(struct cli *cli, struct machine *m, struct errtext *e)
{
	struct vnc *vnc = vnc_start(m, cli->vnc, cli->keymap, cli->name, e);
	if (!vnc)
		return false;
	machine_run(m);
	vnc_stop(vnc);
	return true;
}
#else
static int served_check(const struct cli *cli, struct errtext *e)
{
	return cli->vnc ? err_set(e, -EINVAL, "-vnc: this build has no VNC server (package libvncserver-dev)") : 0;
}

static bool run_served(struct cli *cli, struct machine *m, struct errtext *e)
{
	return false;
}
#endif

static int output_check(const char *option, const char *path, struct errtext *e)
{
	int r = path && *path ? host_file_check(path) : 0;
	return r ? err_set(e, -EINVAL, "%s %s: %s", option, path, strerror(-r)) : 0;
}

/* What is written at the end, or for long, is looked at before: a typing error shall not cost a run. */
static int outputs_check(struct cli *cli, struct errtext *e)
{
	struct profile_request profile = {0};
	struct trace_spec trace = {0};
	if (output_check("-verdict", cli->verdict, e)) {
		cli->verdict = NULL; /* there is nowhere to say it */
		return -EINVAL;
	}
	if ((cli->profile && profile_request_parse(cli->profile, &profile, e)) || (cli->trace && trace_parse(cli->trace, &trace, e)))
		return -EINVAL;
	for (unsigned i = 0; i < MACHINE_SHOTS && cli->cfg.screenshot[i].path; i++)
		if (output_check("-screenshot", cli->cfg.screenshot[i].path, e))
			return -EINVAL;
	return output_check("-D", cli->log_path, e) || output_check("-savevm", cli->cfg.save_path, e) ||
			       output_check("-record", cli->record, e) || output_check("-trace", trace.path, e) ||
			       output_check("-profile", profile.path, e) || output_check("-profile", profile.flame, e)
		       ? -EINVAL
		       : 0;
}

/* After machine_create(): the state to begin with, and what is to be kept or compared. */
static int prepare(const struct cli *cli, struct machine *m, struct errtext *e)
{
	int r = cli->load ? machine_load(m, cli->load, e) : 0;
	if (!r && cli->replay)
		return machine_replay(m, cli->replay, e);
	return !r && cli->record ? machine_record(m, cli->record, cli->record_every, e) : r;
}

/* What became of a recording or replay; a failure changes a good status. */
static void settle_recording(const struct cli *cli, struct machine *m, struct verdict *v)
{
	struct replay_result rep;
	struct errtext e;
	if (cli->record && machine_record_end(m, &e)) {
		fprintf(stderr, "orrery: %s\n", e.s);
		v->exit_status = EXIT_INTERNAL;
	}
	if (!machine_replay_result(m, &rep))
		return;
	if (rep.differs) {
		fprintf(stderr, "orrery: the replay differs from the recording %s\n", rep.difference);
		v->exit_status = EXIT_INTERNAL;
		return;
	}
	fprintf(stderr, "orrery: warning: replayed %llu inputs%s, %llu checks of the state, all equal\n",
		(unsigned long long)rep.events, rep.ended ? " to the end" : "", (unsigned long long)rep.checks);
	if (rep.ended && v->result.reason == END_QUIT)
		v->exit_status = EXIT_POWER_OFF;
}

/* The debugger first: what observes writes files, and a bad option shall leave none. */
static int start_looking(struct cli *cli, struct machine *m, struct observers **o, FILE **log, struct errtext *e)
{
	int r = cli_debug_start(cli, m, e);
	r = r ? r : observers_start(cli, m, o, e);
	if (!r && cli->log_path && !(*log = fopen(cli->log_path, "w"))) {
		r = err_set(e, -EINVAL, "-D %s: %s", cli->log_path, strerror(errno));
		observers_end(*o);
	}
	if (r)
		cli_debug_stop(cli, m);
	machine_set_log_file(m, *log);
	return r;
}

/* @log: opened here; stays open, for the machine's last words. */
static int run(struct cli *cli, struct machine *m, FILE **log)
{
	struct verdict v = {.ran = true};
	struct errtext e;
	struct observers *observers;
	cli->machine = m;
	int r = start_looking(cli, m, &observers, log, &e);
	if (r) {
		machine_destroy(m);
		return fail_with(cli, r, e.s);
	}
	atomic_store(&signalled, m);
	struct sound *sound = start_sound(cli, m);
	bool served = !cli->vnc || run_served(cli, m, &e);
	if (!cli->vnc && !run_in_window(cli, m))
		machine_run(m);
	sound_stop(sound);
	int asked = cli_debug_stop(cli, m);
	atomic_store(&signalled, NULL);
	machine_restore_terminal(m);
	int observed = observers_end(observers);
	if (!served) {
		machine_destroy(m);
		return fail(cli, EXIT_USAGE, "usage", e.s);
	}
	machine_result(m, &v.result);
	if (cli->verdict)
		v.state_hash = machine_state_hash(m);
	if (v.result.reason == END_HANG)
		cli_explain_hang(cli, m);
	v.faults = cli->faults;
	v.reason = end_reason_name(v.result.reason);
	v.exit_status = observed || v.result.output_failed ? EXIT_INTERNAL : asked >= 0 ? asked : exit_status(&v.result);
	settle_recording(cli, m, &v);
	machine_destroy(m);
	cli->machine = NULL;
	say_end(cli, &v.result);
	return finish(cli, &v);
}

/* A log that lacks something changes a good status. */
static int log_end(const struct cli *cli, FILE *log, int status)
{
	if (!log)
		return status;
	bool lost = ferror(log);
	if (!fclose(log) && !lost)
		return status;
	fprintf(stderr, "orrery: -D %s: cannot be written to its end: %s\n", cli->log_path, strerror(errno));
	return EXIT_INTERNAL;
}

static int start(struct cli *cli, struct errtext *e)
{
	struct machine *m;
	if (cli->demo) {
		cli->cfg.embedded_kernel = demo_image(&cli->cfg.embedded_kernel_bytes);
		cli->cfg.embedded_name = "demo";
	}
	cli->cfg.embedded_bios = bios_image(&cli->cfg.embedded_bios_bytes);
	if (outputs_check(cli, e) || served_check(cli, e))
		return fail(cli, EXIT_USAGE, "usage", e->s);
	catch_signals();
	choose_audio(cli);
	cli->cfg.shut_down = cli_shut_down;
	cli->cfg.shut_down_ctx = cli;
	int r = machine_create(&cli->cfg, &m, e);
	if (r)
		return fail_with(cli, r, e->s);
	r = prepare(cli, m, e);
	if (r) {
		machine_destroy(m);
		return fail_with(cli, r, e->s);
	}
	FILE *log = NULL;
	r = run(cli, m, &log);
	return log_end(cli, log, r);
}

int main(int argc, char **argv)
{
	struct cli cli;
	struct errtext e;
	int status = EXIT_POWER_OFF;
	if (argc > 1 && !strcmp(argv[1], "img"))
		return img_main(argc - 2, argv + 2, stdout, stderr);
	if (argc > 1 && !strcmp(argv[1], "lab"))
		return lab_main(argc - 2, argv + 2, stdin, stdout, stderr, LAB_WINDOW);
	switch (cli_parse(&cli, argc, argv, stdout, stderr, &e)) {
	case CLI_RUN: status = start(&cli, &e); break;
	case CLI_BAD:
		status = cli.bad_status ? fail(&cli, cli.bad_status, "image", e.s) : fail(&cli, EXIT_USAGE, "usage", e.s);
		break;
	case CLI_DONE: break;
	}
	cli_free(&cli);
	return status;
}
