/*
 * The JSON socket: the words of QEMU's machine protocol (greeting, qmp_capabilities, execute, events), and every command of the
 * monitor as a command of its own: "info registers" is x-info-registers, with {"args": "..."}. What clients send is hostile.
 */
#include "debug/qmp.h"

#include "debug/monitor_internal.h"

#define MESSAGE_MAX (256u << 10)
#define OUT_MAX     (4u << 20)

struct qmp {
	struct monitor *mon;
	struct chardev *dev;
	struct host_thread *thread;
	struct host_wake wake;
	struct host_monitor *lock; /* guards events */
	struct byte_queue events;
	struct qmp_splitter split;
	struct dbg_listener listener;
	bool negotiated, was_connected;
	atomic_bool connected;
	struct qmp *next;
};

/* ---- cutting the stream into messages ----------------------------------------------------------------------------- */

void qmp_split_reset(struct qmp_splitter *s)
{
	free(s->text);
	*s = (struct qmp_splitter){0};
}

static void drop_message(struct qmp_splitter *s)
{
	s->n = 0;
	s->depth = 0;
	s->in_string = s->escaped = false;
}

int qmp_split_byte(struct qmp_splitter *s, u8 b)
{
	if (!s->depth && b != '{')
		return b == ' ' || b == '\t' || b == '\r' || b == '\n' ? 0 : -EINVAL;
	if (s->n + 2 > s->cap) {
		size_t cap = MAX(s->cap * 2, 1024u);
		char *grown = cap <= MESSAGE_MAX ? realloc(s->text, cap) : NULL;
		if (!grown) {
			drop_message(s);
			return -E2BIG;
		}
		s->text = grown;
		s->cap = cap;
	}
	s->text[s->n++] = (char)b;
	s->text[s->n] = 0;
	if (s->in_string) {
		s->in_string = s->escaped || b != '"';
		s->escaped = !s->escaped && b == '\\';
		return 0;
	}
	if (b == '"')
		s->in_string = true;
	else if (b == '{' || b == '[')
		s->depth++;
	else if (b == '}' || b == ']')
		s->depth--;
	if (s->depth)
		return 0;
	s->n = 0; /* the text stays until the next byte */
	return 1;
}

/* ---- answers ------------------------------------------------------------------------------------------------------ */

static void send_json(struct qmp *q, json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT);
	if (text) {
		chardev_write(q->dev, text, strlen(text));
		chardev_write(q->dev, "\r\n", 2);
		chardev_poll(q->dev, 0);
	}
	free(text);
	json_decref(v);
}

json_t *qmp_error(const char *class, const char *text)
{
	json_t *v = json_object(), *e = view_object(v, "error");
	view_text(e, "class", class);
	view_text(e, "desc", text);
	return v;
}

static json_t *returns(json_t *what)
{
	json_t *v = json_object();
	json_object_set_new(v, "return", what ? what : json_object());
	return v;
}

static json_t *greeting(void)
{
	json_t *v = json_object(), *q = view_object(v, "QMP"), *ver = view_object(q, "version"), *n = view_object(ver, "qemu");
	view_num(n, "major", 7);
	view_num(n, "minor", 2);
	view_num(n, "micro", 0);
	view_text(ver, "package", "Orrery");
	view_array(q, "capabilities");
	return v;
}

/* ---- commands ----------------------------------------------------------------------------------------------------- */

static const char *arg_text(const json_t *args, const char *name)
{
	return json_string_value(json_object_get(args, name));
}

/* A line of the monitor as the answer. */
static json_t *by_line(struct monitor *mon, bool keep, const char *fmt, ...) PRINTF_LIKE(3, 4);
static json_t *by_line(struct monitor *mon, bool keep, const char *fmt, ...)
{
	char line[4096];
	struct errtext e;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	json_t *v = monitor_view(mon, line, false, &e), *plain;
	if (!v)
		return qmp_error("GenericError", e.s);
	plain = keep ? view_without_hints(v) : json_object();
	json_decref(v);
	return returns(plain);
}

static json_t *cmd_capabilities(struct monitor *mon, const json_t *args)
{
	return returns(NULL);
}

static json_t *cmd_status(struct monitor *mon, const json_t *args)
{
	struct machine_stats s;
	json_t *v = json_object();
	machine_stats(mon->m, &s);
	view_text(v, "status", s.paused ? "paused" : s.running ? "running" : "shutdown");
	view_bool(v, "running", s.running && !s.paused);
	view_bool(v, "singlestep", false);
	return returns(v);
}

static json_t *cmd_version(struct monitor *mon, const json_t *args)
{
	json_t *g = greeting(), *v = json_incref(json_object_get(json_object_get(g, "QMP"), "version"));
	json_decref(g);
	return returns(v);
}

static json_t *cmd_cpus(struct monitor *mon, const json_t *args)
{
	json_t *a = json_array();
	for (unsigned i = 0; machine_cpu(mon->m, i); i++) {
		json_t *o = view_object(a, NULL);
		view_num(o, "cpu-index", i);
		view_num(o, "thread-id", 0);
		view_text(o, "target", "x86_64");
	}
	return returns(a);
}

static json_t *cmd_human(struct monitor *mon, const json_t *args)
{
	const char *line = arg_text(args, "command-line");
	bool failed;
	if (!line)
		return qmp_error("GenericError", "human-monitor-command wants \"command-line\"");
	char *answer = monitor_line(mon, line, false, &failed);
	json_t *v = answer ? json_string(answer) : NULL;
	free(answer);
	return returns(v ? v : json_string(""));
}

static json_t *cmd_stop(struct monitor *mon, const json_t *args)
{
	return by_line(mon, false, "stop");
}

static json_t *cmd_cont(struct monitor *mon, const json_t *args)
{
	struct machine_stats s;
	machine_stats(mon->m, &s);
	return s.running && !s.paused ? returns(NULL) : by_line(mon, false, "cont");
}

static json_t *cmd_quit(struct monitor *mon, const json_t *args)
{
	return by_line(mon, false, "quit");
}

static json_t *cmd_reset(struct monitor *mon, const json_t *args)
{
	return by_line(mon, false, "system_reset");
}

static json_t *cmd_powerdown(struct monitor *mon, const json_t *args)
{
	return by_line(mon, false, "system_powerdown");
}

static json_t *cmd_nmi(struct monitor *mon, const json_t *args)
{
	return by_line(mon, false, "nmi");
}

/* A value that goes into a command line as one word. */
static bool one_word(const char *s)
{
	return s && *s && !strpbrk(s, "\"\n\r");
}

static json_t *cmd_screendump(struct monitor *mon, const json_t *args)
{
	const char *file = arg_text(args, "filename");
	return one_word(file) ? by_line(mon, false, "screendump \"%.3000s\"", file)
			      : qmp_error("GenericError", "screendump wants \"filename\"");
}

static json_t *cmd_eject(struct monitor *mon, const json_t *args)
{
	const char *drive = arg_text(args, "device") ? arg_text(args, "device") : arg_text(args, "id");
	return one_word(drive) ? by_line(mon, false, "eject \"%.300s\"", drive)
			       : qmp_error("GenericError", "eject wants \"device\" or \"id\"");
}

static json_t *cmd_change(struct monitor *mon, const json_t *args)
{
	const char *drive = arg_text(args, "device") ? arg_text(args, "device") : arg_text(args, "id");
	const char *file = arg_text(args, "filename");
	return one_word(drive) && one_word(file)
		   ? by_line(mon, false, "change \"%.300s\" \"%.3000s\"", drive, file)
		   : qmp_error("GenericError", "blockdev-change-medium wants \"id\" and \"filename\"");
}

static json_t *cmd_send_key(struct monitor *mon, const json_t *args)
{
	const json_t *keys = json_object_get(args, "keys"), *k;
	char text[200] = "";
	size_t i, at = 0;
	json_array_foreach((json_t *)keys, i, k) {
		const char *name = arg_text(k, "data");
		if (!one_word(name) || strchr(name, ' ') || strlen(name) + at + 2 > sizeof(text))
			return qmp_error("GenericError", "send-key wants keys of {\"type\": \"qcode\", \"data\": NAME}");
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i ? "-" : "", name);
	}
	return at ? by_line(mon, false, "sendkey %s", text) : qmp_error("GenericError", "send-key wants \"keys\"");
}

static json_t *cmd_commands(struct monitor *mon, const json_t *args);

static const struct {
	const char *name;
	json_t *(*fn)(struct monitor *mon, const json_t *args);
} commands[] = {
    {"qmp_capabilities", cmd_capabilities}, {"query-status", cmd_status},
    {"query-version", cmd_version},	    {"query-commands", cmd_commands},
    {"query-cpus-fast", cmd_cpus},	    {"human-monitor-command", cmd_human},
    {"stop", cmd_stop},			    {"cont", cmd_cont},
    {"quit", cmd_quit},			    {"system_reset", cmd_reset},
    {"system_powerdown", cmd_powerdown},    {"inject-nmi", cmd_nmi},
    {"screendump", cmd_screendump},	    {"eject", cmd_eject},
    {"blockdev-change-medium", cmd_change}, {"send-key", cmd_send_key},
};

/* "info registers" <-> "x-info-registers" */
static void dashed(const struct command *c, char *buf, size_t n)
{
	snprintf(buf, n, "x-%s", c->name);
	for (char *p = buf; *p; p++)
		if (*p == ' ' || *p == '_')
			*p = '-';
}

static json_t *cmd_commands(struct monitor *mon, const json_t *args)
{
	json_t *a = json_array();
	char name[80];
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		view_text(view_object(a, NULL), "name", commands[i].name);
	for (unsigned i = 0; command_at(i); i++) {
		dashed(command_at(i), name, sizeof(name));
		view_text(view_object(a, NULL), "name", name);
	}
	return returns(a);
}

static json_t *by_table(struct monitor *mon, const char *name, const json_t *args)
{
	const struct command *c;
	char own[80], text[160];
	const char *more = arg_text(args, "args");
	for (unsigned i = 0; (c = command_at(i)); i++) {
		dashed(c, own, sizeof(own));
		if (!strcmp(own, name))
			return by_line(mon, true, c->args && c->args[0] == '/' ? "%s%.3000s" : "%s %.3000s", c->name, more ? more : "");
	}
	snprintf(text, sizeof(text), "The command %.100s has not been found", name);
	return qmp_error("CommandNotFound", text);
}

json_t *qmp_execute(struct monitor *mon, const char *text, bool *negotiated)
{
	json_error_t je;
	json_t *in = json_loads(text, JSON_REJECT_DUPLICATES, &je), *out = NULL;
	const char *name = arg_text(in, "execute");
	const json_t *args = json_object_get(in, "arguments");
	if (!in) {
		char why[250];
		snprintf(why, sizeof(why), "JSON parse error: %.200s", je.text);
		return qmp_error("GenericError", why);
	}
	if (!name)
		out = qmp_error("GenericError", "QMP input lacks member 'execute'");
	else if (!*negotiated && strcmp(name, "qmp_capabilities"))
		out = qmp_error("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'");
	for (unsigned i = 0; !out && i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			out = commands[i].fn(mon, args);
	if (!out)
		out = by_table(mon, name, args);
	if (name && !strcmp(name, "qmp_capabilities"))
		*negotiated = true;
	if (json_object_get(in, "id"))
		json_object_set(out, "id", json_object_get(in, "id"));
	json_decref(in);
	return out;
}

/* ---- events ------------------------------------------------------------------------------------------------------- */

static void event(struct qmp *q, const char *name, json_t *data)
{
	json_t *v = json_object(), *t = view_object(v, "timestamp");
	u64 ns = host_monotonic_ns();
	view_num(t, "seconds", (u64)host_realtime_s());
	view_num(t, "microseconds", ns / 1000 % 1000000);
	view_text(v, "event", name);
	if (data)
		json_object_set_new(v, "data", data);
	char *text = json_dumps(v, JSON_COMPACT);
	json_decref(v);
	host_monitor_enter(q->lock);
	if (text && atomic_load(&q->connected) && q->events.len < OUT_MAX) {
		queue_put(&q->events, text, strlen(text));
		queue_put(&q->events, "\r\n", 2);
	}
	host_monitor_leave(q->lock);
	free(text);
	host_wake_signal(&q->wake);
}

static json_t *guest_data(bool guest, const char *reason)
{
	json_t *v = json_object();
	view_bool(v, "guest", guest);
	view_text(v, "reason", reason);
	return v;
}

static void on_stopped(void *ctx, const struct dbg_stop *s)
{
	struct qmp *q = ctx;
	if (s->kind == STOP_ENDED) {
		bool guest = s->end != END_QUIT && s->end != END_TIMEOUT && s->end != END_MAX_INSNS;
		event(q, "SHUTDOWN", guest_data(guest, end_reason_name(s->end)));
		return;
	}
	json_t *view = dbg_stop_view(q->mon->d, s);
	event(q, "STOP", view_without_hints(view));
	json_decref(view);
}

static void on_resumed(void *ctx)
{
	event(ctx, "RESUME", NULL);
}

static void on_reset(void *ctx)
{
	event(ctx, "RESET", guest_data(true, "guest-reset"));
}

/* ---- the socket --------------------------------------------------------------------------------------------------- */

static void on_bytes(void *ctx, const u8 *data, unsigned n)
{
	struct qmp *q = ctx;
	for (unsigned i = 0; i < n && !atomic_load(&q->mon->quitting); i++) {
		int r = qmp_split_byte(&q->split, data[i]);
		if (r > 0)
			send_json(q, qmp_execute(q->mon, q->split.text, &q->negotiated));
		else if (r < 0)
			send_json(q, qmp_error("GenericError", r == -E2BIG ? "the message is too long" : "JSON parse error, stray bytes"));
		if (r < 0) {
			drop_message(&q->split);
			return; /* what came with them is not looked at */
		}
	}
}

static void look_for_peer(struct qmp *q)
{
	bool connected = chardev_connected(q->dev);
	atomic_store(&q->connected, connected);
	if (connected && !q->was_connected) {
		drop_message(&q->split);
		q->negotiated = false;
		send_json(q, greeting());
	}
	q->was_connected = connected;
}

static void send_events(struct qmp *q)
{
	char text[4096];
	size_t n;
	do {
		host_monitor_enter(q->lock);
		n = q->negotiated ? queue_take(&q->events, text, sizeof(text)) : 0;
		if (!q->was_connected)
			q->events.start = q->events.len = 0;
		host_monitor_leave(q->lock);
		if (n)
			chardev_write(q->dev, text, n);
	} while (n);
	chardev_poll(q->dev, 0);
}

static void qmp_main(void *ctx)
{
	struct qmp *q = ctx;
	while (!chardev_eof(q->dev)) {
		struct host_poll p[3] = {{.fd = q->wake.fd[0], .want = HOST_POLL_IN}};
		look_for_peer(q);
		chardev_poll(q->dev, 512);
		look_for_peer(q);
		send_events(q);
		if (atomic_load(&q->mon->closing))
			return;
		unsigned n = 1 + chardev_pollfds(q->dev, p + 1);
		if (host_poll(p, n, UINT64_MAX) > 0 && p[0].ready)
			host_wake_clear(&q->wake);
	}
}

static void add_listener(void *ctx)
{
	struct qmp *q = ctx;
	dbg_listen(q->mon->d, &q->listener);
}

static void remove_listener(void *ctx)
{
	struct qmp *q = ctx;
	dbg_unlisten(q->mon->d, &q->listener);
}

static void destroy(struct qmp *q)
{
	if (q->thread) {
		host_wake_signal(&q->wake);
		host_thread_join(q->thread);
		machine_call(q->mon->m, remove_listener, q);
	}
	chardev_close(q->dev);
	host_wake_close(&q->wake);
	host_monitor_destroy(q->lock);
	qmp_split_reset(&q->split);
	free(q->events.data);
	free(q);
}

void qmp_destroy_all(struct monitor *mon)
{
	while (mon->qmps) {
		struct qmp *q = mon->qmps;
		mon->qmps = q->next;
		destroy(q);
	}
}

int monitor_serve_qmp(struct monitor *mon, const char *description, struct errtext *e)
{
	struct qmp *q = calloc(1, sizeof(*q));
	if (!q)
		return err_set(e, -ENOMEM, "no memory for the JSON socket");
	q->mon = mon;
	q->wake = (struct host_wake){{-1, -1}};
	q->lock = host_monitor_create();
	q->listener = (struct dbg_listener){.ctx = q, .stopped = on_stopped, .resumed = on_resumed, .reset = on_reset};
	q->dev = q->lock && !host_wake_open(&q->wake) ? chardev_open("qmp", description, e->s, sizeof(e->s)) : NULL;
	if (!q->dev) {
		destroy(q);
		return -EINVAL;
	}
	chardev_on_receive(q->dev, on_bytes, q);
	machine_call(mon->m, add_listener, q);
	q->next = mon->qmps;
	mon->qmps = q;
	q->thread = host_thread_start(qmp_main, q);
	return q->thread ? 0 : err_set(e, -ENOMEM, "no thread for the JSON socket");
}
