/*
 * Lines at a terminal, a pseudo terminal, a socket, or the terminal shared with a serial port: with editing, history and
 * completion (libedit) where there is a terminal, pseudo or not, plainly at sockets and pipes. Each has its own thread.
 */
#define _GNU_SOURCE
#include "debug/monitor_internal.h"

#include <ctype.h>
#include <histedit.h>
#include <wchar.h>

#define PROMPT     "(orrery) "
#define LINE_MAX_  4096
#define TYPED_MAX  (64u << 10)
#define HISTORY    200

struct console {
	struct monitor *mon;
	struct chardev *dev;         /* NULL: mux */
	struct monitor_mux mux;
	bool crlf;                   /* lines end in CR LF there */
	bool person;                 /* a terminal: editing */
	bool was_connected, done;
	atomic_bool focus;           /* mux: has the terminal */
	struct host_thread *thread;
	struct host_wake wake;
	struct host_monitor *lock;   /* guards typed, news */
	struct byte_queue typed, news;
	struct dbg_listener listener;
	struct byte_queue out;       /* what libedit has written, until it is flushed */
	EditLine *el;
	History *history;
	FILE *file, *tty;
	int spare[2];                /* pseudo terminal: libedit's settings are not to reach the one with the user */
	bool redraw;
	char last[LINE_MAX_];        /* the last command, which an empty line repeats if it steps */
	struct console *next;
};

/* ---- output ------------------------------------------------------------------------------------------------------- */

struct mux_write {
	struct console *con;
	const char *text;
	size_t n;
};

static void write_mux(void *ctx)
{
	struct mux_write *w = ctx;
	w->con->mux.write(w->con->mux.ctx, w->text, w->n);
}

static void put_raw(struct console *con, const char *text, size_t n)
{
	struct mux_write w = {con, text, n};
	if (!con->dev) {
		machine_call(con->mon->m, write_mux, &w);
		return;
	}
	chardev_write(con->dev, text, n);
	chardev_poll(con->dev, 0); /* flushes */
}

static void put(struct console *con, const char *text)
{
	while (con->crlf && *text) {
		size_t n = strcspn(text, "\n");
		put_raw(con, text, n);
		text += n;
		if (*text) {
			put_raw(con, "\r\n", 2);
			text++;
		}
	}
	if (*text)
		put_raw(con, text, strlen(text));
}

static ssize_t cookie_write(void *ctx, const char *data, size_t n)
{
	struct console *con = ctx;
	size_t at = 0;
	while (con->crlf && at < n) { /* libedit counts on the terminal to do this */
		const char *line = memchr(data + at, '\n', n - at);
		size_t part = (line ? (size_t)(line - data) : n) - at;
		put_raw(con, data + at, part);
		if (line)
			put_raw(con, "\r\n", 2);
		at += part + (line != NULL);
	}
	if (!con->crlf)
		put_raw(con, data, n);
	return (ssize_t)n;
}

/* ---- news: the machine stopped ------------------------------------------------------------------------------------ */

static void on_stopped(void *ctx, const struct dbg_stop *s)
{
	struct console *con = ctx;
	json_t *v = dbg_stop_view(con->mon->d, s);
	char *text = view_to_text(v);
	json_decref(v);
	host_monitor_enter(con->lock);
	if (text && con->news.len < TYPED_MAX)
		queue_put(&con->news, text, strlen(text));
	host_monitor_leave(con->lock);
	free(text);
	host_wake_signal(&con->wake);
}

static void tell_news(struct console *con)
{
	char text[4096];
	host_monitor_enter(con->lock);
	size_t n = queue_take(&con->news, text, sizeof(text) - 1);
	host_monitor_leave(con->lock);
	text[n] = 0;
	if (!n || (!con->dev && !atomic_load(&con->focus)))
		return;
	put(con, "\r");
	put(con, text);
	if (con->el)
		con->redraw = true;
	else
		put(con, PROMPT);
}

/* ---- input -------------------------------------------------------------------------------------------------------- */

static void on_typed(void *ctx, const u8 *data, unsigned n)
{
	struct console *con = ctx;
	host_monitor_enter(con->lock);
	if (con->typed.len + n <= TYPED_MAX)
		queue_put(&con->typed, data, n);
	host_monitor_leave(con->lock);
}

static bool closing(const struct console *con)
{
	return atomic_load(&con->mon->closing);
}

/* Somebody has connected: a new user sees who answers. */
static void look_for_peer(struct console *con)
{
	bool connected = chardev_connected(con->dev);
	if (connected && !con->was_connected && con->crlf) {
		put(con, "Orrery's monitor; help lists the commands\n" PROMPT);
	}
	con->was_connected = connected;
}

/* The next byte typed; -1: no more will come. Meanwhile, news are told. */
static int next_byte(struct console *con)
{
	u8 byte;
	while (!closing(con)) {
		/* The shared terminal went back to the guest: libedit shall put its settings back. */
		if (!con->dev && !atomic_load(&con->focus))
			return -1;
		struct host_poll p[3] = {{.fd = con->wake.fd[0], .want = HOST_POLL_IN}};
		unsigned n = 1;
		if (con->dev) {
			chardev_poll(con->dev, 256);
			look_for_peer(con);
		}
		host_monitor_enter(con->lock);
		size_t got = queue_take(&con->typed, &byte, 1);
		host_monitor_leave(con->lock);
		if (got)
			return byte;
		if (con->dev && chardev_eof(con->dev))
			return -1;
		tell_news(con);
		if (con->redraw && con->el) {
			con->redraw = false;
			el_set(con->el, EL_REFRESH);
		}
		if (con->dev)
			n += chardev_pollfds(con->dev, p + n);
		if (host_poll(p, n, UINT64_MAX) > 0 && p[0].ready)
			host_wake_clear(&con->wake);
	}
	return -1;
}

static int edit_byte(EditLine *el, wchar_t *c)
{
	struct console *con;
	el_get(el, EL_CLIENTDATA, &con);
	int b = next_byte(con);
	if (b == 3) { /* Ctrl-C where the terminal does not make a signal of it */
		dbg_interrupt(con->mon->d);
		b = 21; /* Ctrl-U: the line goes */
	}
	*c = (wchar_t)(b < 0 ? 0 : b);
	return b < 0 ? 0 : 1;
}

/* ---- completion --------------------------------------------------------------------------------------------------- */

struct candidates {
	const char *list[256];
	unsigned n;
};

static void candidate(struct candidates *k, const char *name)
{
	if (k->n < ARRAY_SIZE(k->list))
		k->list[k->n++] = name;
}

struct symbol_query {
	struct console *con;
	const char *prefix;
	struct candidates *k;
};

static void find_symbols(void *ctx)
{
	struct symbol_query *q = ctx;
	const struct symbol *s;
	for (unsigned i = 0; i < 200 && (s = symbols_prefix(dbg_symbols(q->con->mon->d), q->prefix, i)); i++)
		candidate(q->k, s->name);
}

static size_t common(const struct candidates *k)
{
	size_t n = strlen(k->list[0]);
	for (unsigned i = 1; i < k->n; i++)
		for (size_t j = 0; j < n; j++)
			if (k->list[i][j] != k->list[0][j])
				n = j;
	return n;
}

static unsigned char complete(EditLine *el, int ch)
{
	struct console *con;
	struct candidates k = {.n = 0};
	const LineInfo *l = el_line(el);
	const struct command *c;
	char text[256];
	size_t n = (size_t)(l->cursor - l->buffer), word;
	el_get(el, EL_CLIENTDATA, &con);
	if (n >= sizeof(text))
		return CC_ERROR;
	memcpy(text, l->buffer, n);
	text[n] = 0;
	for (unsigned i = 0; (c = command_at(i)); i++)
		if (!strncmp(c->name, text, n))
			candidate(&k, c->name);
	word = n;
	if (!k.n) { /* behind the command: symbols */
		for (word = 0; word < n && (isalnum((u8)text[n - word - 1]) || strchr("_.", text[n - word - 1])); word++)
			;
		struct symbol_query q = {con, text + n - word, &k};
		if (word)
			machine_call(con->mon->m, find_symbols, &q);
	}
	if (!k.n)
		return CC_ERROR;
	if (common(&k) > word) {
		char more[256];
		snprintf(more, sizeof(more), "%.*s%s", (int)(common(&k) - word), k.list[0] + word, k.n == 1 ? " " : "");
		return el_insertstr(el, more) ? CC_ERROR : CC_REFRESH;
	}
	put(con, "\n");
	for (unsigned i = 0; i < k.n && i < 100; i++) {
		put(con, k.list[i]);
		put(con, i + 1 < k.n ? "  " : "\n");
	}
	return CC_REDISPLAY;
}

/* ---- lines -------------------------------------------------------------------------------------------------------- */

static bool repeats(const char *line)
{
	static const char *const words[] = {"s", "si", "step", "stepi", "n", "ni", "next", "nexti", "reverse-step", "rs"};
	char word[24] = "";
	sscanf(line, "%23s", word);
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(word, words[i]))
			return true;
	return false;
}

static void do_line(struct console *con, char *line)
{
	bool failed;
	line[strcspn(line, "\r\n")] = 0;
	if (!line[strspn(line, " \t")]) {
		if (!repeats(con->last))
			return;
		line = con->last;
	} else {
		snprintf(con->last, sizeof(con->last), "%s", line);
	}
	char *answer = monitor_line(con->mon, line, false, &failed);
	if (answer)
		put(con, answer);
	free(answer);
	if (atomic_load(&con->mon->quitting))
		con->done = true;
}

static char *prompt(EditLine *el)
{
	return (char *)PROMPT;
}

static bool begin_editing(struct console *con, int fd)
{
	static const cookie_io_functions_t io = {.write = cookie_write};
	HistEvent ev;
	con->file = fopencookie(con, "w", io);
	con->tty = fdopen(fd, "r");
	if (!con->file || !con->tty)
		return false;
	setvbuf(con->file, NULL, _IOFBF, 4096);
	con->el = el_init_fd("orrery", con->tty, con->file, con->file, fd, fd, fd);
	con->history = history_init();
	if (!con->el || !con->history)
		return false;
	history(con->history, &ev, H_SETSIZE, HISTORY);
	el_set(con->el, EL_CLIENTDATA, con);
	el_set(con->el, EL_PROMPT, prompt);
	el_set(con->el, EL_SIGNAL, 0);
	el_set(con->el, EL_EDITOR, "emacs");
	el_set(con->el, EL_HIST, history, con->history);
	el_set(con->el, EL_GETCFN, edit_byte);
	el_set(con->el, EL_ADDFN, "complete", "complete commands and symbols", complete);
	el_set(con->el, EL_BIND, "^I", "complete", NULL);
	return true;
}

/* The shared terminal is the guest's until Ctrl-A c: libedit would change its settings. */
static bool wait_for_focus(struct console *con)
{
	while (!con->dev && !atomic_load(&con->focus) && !closing(con)) {
		struct host_poll p = {.fd = con->wake.fd[0], .want = HOST_POLL_IN};
		host_poll(&p, 1, UINT64_MAX);
		host_wake_clear(&con->wake);
	}
	return !closing(con);
}

static void edit_lines(struct console *con)
{
	int n;
	while (!con->done && wait_for_focus(con)) {
		const char *line = el_gets(con->el, &n);
		char copy[LINE_MAX_];
		HistEvent ev;
		if ((!line || n <= 0) && con->dev)
			return;
		if (!line || n <= 0) {
			con->mux.given_back(con->mux.ctx);
			continue;
		}
		snprintf(copy, sizeof(copy), "%s", line);
		if (copy[strspn(copy, " \t\r\n")])
			history(con->history, &ev, H_ENTER, copy);
		do_line(con, copy);
	}
}

static void plain_lines(struct console *con)
{
	char line[LINE_MAX_];
	size_t n = 0;
	int b;
	while (!con->done && (b = next_byte(con)) >= 0) {
		if (b == 3) {
			dbg_interrupt(con->mon->d);
			n = 0;
		} else if (b == 8 || b == 127) {
			n -= n > 0;
		} else if (b == '\n' || b == '\r') {
			line[n] = 0;
			if (n || b == '\n')
				do_line(con, line);
			if (!con->done && (n || b == '\n'))
				put(con, PROMPT);
			n = 0;
		} else if (n < sizeof(line) - 1 && b >= 32) {
			line[n++] = (char)b;
		}
	}
}

/* The shared terminal is none: a pipe. */
static void plain_mux(struct console *con)
{
	while (!con->done && wait_for_focus(con)) {
		put(con, PROMPT);
		plain_lines(con);
	}
}

static void console_main(void *ctx)
{
	struct console *con = ctx;
	/* libedit changes the terminal as soon as it is there: not before the monitor has it. */
	if (!con->dev && con->person && wait_for_focus(con) && !begin_editing(con, 0))
		return;
	if (con->el)
		edit_lines(con);
	else if (con->dev)
		plain_lines(con);
	else
		plain_mux(con);
	if (!con->dev && con->el)
		con->mux.given_back(con->mux.ctx);
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

static void add_listener(void *ctx)
{
	struct console *con = ctx;
	dbg_listen(con->mon->d, &con->listener);
}

static void remove_listener(void *ctx)
{
	struct console *con = ctx;
	dbg_unlisten(con->mon->d, &con->listener);
}

static void destroy(struct console *con)
{
	if (con->thread) {
		host_wake_signal(&con->wake);
		host_thread_join(con->thread);
		machine_call(con->mon->m, remove_listener, con);
	}
	if (con->el)
		el_end(con->el);
	if (con->history)
		history_end(con->history);
	if (con->file)
		fclose(con->file);
	/* con->tty stays: its descriptor is the character device's, or the spare terminal's. */
	host_tty_spare_close(con->spare);
	chardev_close(con->dev);
	host_wake_close(&con->wake);
	host_monitor_destroy(con->lock);
	free(con->typed.data);
	free(con->news.data);
	free(con);
}

void console_destroy_all(struct monitor *mon)
{
	while (mon->consoles) {
		struct console *con = mon->consoles;
		mon->consoles = con->next;
		destroy(con);
	}
	mon->mux = NULL;
}

static struct console *create(struct monitor *mon)
{
	struct console *con = calloc(1, sizeof(*con));
	if (!con)
		return NULL;
	con->mon = mon;
	con->lock = host_monitor_create();
	con->wake = (struct host_wake){{-1, -1}};
	con->spare[0] = con->spare[1] = -1;
	con->listener = (struct dbg_listener){.ctx = con, .stopped = on_stopped};
	if (!con->lock || host_wake_open(&con->wake)) {
		destroy(con);
		return NULL;
	}
	return con;
}

static int start(struct console *con, struct errtext *e)
{
	struct monitor *mon = con->mon;
	machine_call(mon->m, add_listener, con);
	con->next = mon->consoles;
	mon->consoles = con;
	con->thread = host_thread_start(console_main, con);
	return con->thread ? 0 : err_set(e, -ENOMEM, "no thread for the monitor");
}

int monitor_serve(struct monitor *mon, const char *description, struct errtext *e)
{
	struct console *con = create(mon);
	struct host_poll p[2];
	if (!con)
		return err_set(e, -ENOMEM, "no memory for the monitor");
	con->dev = chardev_open("monitor", description, e->s, sizeof(e->s));
	if (!con->dev) {
		destroy(con);
		return -EINVAL;
	}
	chardev_on_receive(con->dev, on_typed, con);
	struct host_tty *tty = chardev_tty(con->dev);
	con->person = tty && tty->raw;
	con->crlf = !tty;
	if (con->person && chardev_pollfds(con->dev, p) && !begin_editing(con, p[0].fd))
		con->person = false;
	if (chardev_is_pty(con->dev) && !host_tty_spare(con->spare))
		con->person = begin_editing(con, con->spare[1]);
	if (tty && !con->person)
		put(con, PROMPT);
	return start(con, e);
}

int monitor_serve_mux(struct monitor *mon, const struct monitor_mux *mux, struct errtext *e)
{
	struct console *con = create(mon);
	if (!con)
		return err_set(e, -ENOMEM, "no memory for the monitor");
	con->mux = *mux;
	con->person = mux->terminal;
	mon->mux = con;
	return start(con, e);
}

void monitor_mux_typed(struct monitor *mon, const u8 *data, unsigned n)
{
	if (!mon->mux)
		return;
	on_typed(mon->mux, data, n);
	host_wake_signal(&mon->mux->wake);
}

void monitor_mux_focus(struct monitor *mon, bool on)
{
	struct console *con = mon->mux;
	if (!con)
		return;
	atomic_store(&con->focus, on);
	con->redraw = on;
	host_wake_signal(&con->wake);
}
