/* The GDB stub's thread: see gdbstub.h. */
#include "debug/gdbstub.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/host.h"
#include "devices/backends/chardev.h"

#define LOOK_NS 100000000ull

struct gdbstub {
	struct debugger *d;
	struct gdb_session *session;
	struct chardev *chardev;
	struct host_thread *thread;
	struct host_wake wake;
	struct dbg_listener listener;
	char *(*command)(void *ctx, const char *line);
	void *ctx;
	unsigned connections; /* seen so far */
	bool connected;
	atomic_bool stopped, quit;
};

/* ---- what the session asks for -------------------------------------------------------------------------------------- */

static void send_bytes(void *ctx, const void *data, unsigned n)
{
	struct gdbstub *g = ctx;

	chardev_write(g->chardev, data, n);
}

static char *run_command(void *ctx, const char *line)
{
	struct gdbstub *g = ctx;

	return g->command ? g->command(g->ctx, line) : NULL;
}

static void kill_machine(void *ctx)
{
	struct gdbstub *g = ctx;

	machine_quit(dbg_machine(g->d));
}

/* On the machine's thread. */
static void on_stopped(void *ctx, const struct dbg_stop *stop)
{
	struct gdbstub *g = ctx;

	atomic_store(&g->stopped, true);
	host_wake_signal(&g->wake);
}

/* ---- the thread ----------------------------------------------------------------------------------------------------- */

static void receive(void *ctx, const u8 *data, unsigned n)
{
	struct gdbstub *g = ctx;

	gdb_session_feed(g->session, data, n);
}

static void follow_connections(struct gdbstub *g)
{
	unsigned n = chardev_connections(g->chardev);
	bool there = chardev_connected(g->chardev);

	if (g->connected && (n != g->connections || !there)) {
		g->connected = false;
		gdb_session_gone(g->session);
		chardev_drop_output(g->chardev); /* is not for the next one */
	}
	if (there && n != g->connections) {
		g->connections = n;
		g->connected = true;
		gdb_session_connected(g->session);
	}
}

static void serve(void *ctx)
{
	struct gdbstub *g = ctx;

	while (!atomic_load(&g->quit)) {
		struct host_poll p[3];
		unsigned n = chardev_pollfds(g->chardev, p);

		if (g->wake.fd[0] >= 0)
			p[n++] = (struct host_poll){.fd = g->wake.fd[0], .want = HOST_POLL_IN};
		host_poll(p, n, LOOK_NS);
		host_wake_clear(&g->wake);
		chardev_accept(g->chardev);
		follow_connections(g);
		chardev_poll(g->chardev, 4096);
		follow_connections(g);
		if (atomic_exchange(&g->stopped, false))
			gdb_session_stopped(g->session);
		chardev_poll(g->chardev, 0); /* output goes now */
	}
}

/* ---- starting and stopping ------------------------------------------------------------------------------------------ */

/* Cuts ",arch=..." off @text. */
static int take_arch(char *text, enum gdb_arch *arch, struct errtext *e)
{
	static const char *const names[GDB_ARCHS] = {"x86-64", "i386", "i8086"};
	char *at = strstr(text, ",arch=");

	*arch = GDB_X86_64;
	if (!at)
		return 0;
	*at = 0;
	for (unsigned i = 0; i < GDB_ARCHS; i++)
		if (!strcmp(at + 6, names[i])) {
			*arch = (enum gdb_arch)i;
			return 0;
		}
	return err_set(e, -EINVAL, "-gdb: arch is x86-64, i386 or i8086, not '%s'", at + 6);
}

/* Cuts ",reverse=on" out of @text. */
static bool take_reverse(char *text)
{
	static const char word[] = ",reverse=on";
	char *at = strstr(text, word);

	if (at)
		memmove(at, at + strlen(word), strlen(at + strlen(word)) + 1);
	return at;
}

/* As a server that nobody waits for, whatever the user has left out. */
static void complete(char *out, size_t n, const char *text)
{
	bool bare = *text == ':' || !strncmp(text, "localhost:", 10) || (*text >= '0' && *text <= '9');
	bool socket = bare || !strncmp(text, "tcp:", 4) || !strncmp(text, "unix:", 5);

	snprintf(out, n, "%s%s%s%s", bare ? "tcp:" : "", text, socket && !strstr(text, ",server") ? ",server" : "",
		 socket && !strstr(text, "wait") ? ",wait=off" : "");
}

struct gdbstub *gdbstub_start(struct debugger *d, const char *description, char *(*command)(void *ctx, const char *line), void *ctx,
			      struct errtext *e)
{
	struct gdbstub *g = calloc(1, sizeof(*g));
	const struct gdb_hooks hooks = {g, send_bytes, run_command, kill_machine};
	char text[512], full[600], err[200];
	enum gdb_arch arch;

	snprintf(text, sizeof(text), "%s", description);
	bool reverse = take_reverse(text);
	if (!g || take_arch(text, &arch, e)) {
		free(g);
		return NULL;
	}
	complete(full, sizeof(full), text);
	g->d = d;
	g->command = command;
	g->ctx = ctx;
	g->wake = (struct host_wake){{-1, -1}};
	(void)!host_wake_open(&g->wake);
	g->session = gdb_session_create(d, arch, &hooks);
	if (g->session && reverse)
		gdb_session_keep_history(g->session);
	g->chardev = chardev_open("gdb", full, err, sizeof(err));
	if (!g->chardev)
		(void)err_set(e, -EINVAL, "-gdb %s: %s", description, err);
	if (g->chardev && g->session) {
		chardev_on_receive(g->chardev, receive, g);
		g->listener = (struct dbg_listener){.ctx = g, .stopped = on_stopped};
		dbg_listen(d, &g->listener);
		g->thread = host_thread_start(serve, g);
	}
	if (g->thread)
		return g;
	if (g->chardev)
		(void)err_set(e, -ENOMEM, "-gdb: no memory");
	gdbstub_stop(g);
	return NULL;
}

void gdbstub_stop(struct gdbstub *g)
{
	if (!g)
		return;
	if (g->thread) {
		/* The thread first sees a stop that waits, which is the machine's end. */
		host_wake_signal(&g->wake);
		for (unsigned i = 0; i < 50 && atomic_load(&g->stopped); i++)
			host_poll(NULL, 0, 10000000);
		atomic_store(&g->quit, true);
		host_wake_signal(&g->wake);
		host_thread_join(g->thread);
		dbg_unlisten(g->d, &g->listener);
	}
	gdb_session_destroy(g->session);
	chardev_close(g->chardev);
	host_wake_close(&g->wake);
	free(g);
}
