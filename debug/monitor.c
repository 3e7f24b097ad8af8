/* The monitor's core: finding and carrying out commands, and scripts. */
#include "debug/monitor_internal.h"

#include "debug/rings.h"

#define ARGS_MAX 32

/* ---- the table ---------------------------------------------------------------------------------------------------- */

static const struct command *const tables[] = {
#define TABLE(name) name,
#include "debug/command_tables.def"
#undef TABLE
};

const struct command *command_at(unsigned i)
{
	for (unsigned t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct command *c = tables[t]; c->name; c++)
			if (!i--)
				return c;
	return NULL;
}

/* Does @line begin with the words @name[0..n)? What follows must end the last word. */
static bool begins(const char *line, const char *name, size_t n, const char **args)
{
	const char *end = name + n;
	for (; name < end; name++) {
		if (*name == ' ') {
			if (*line != ' ' && *line != '\t')
				return false;
			line += strspn(line, " \t");
		} else if (*line++ != *name) {
			return false;
		}
	}
	if (*line && *line != ' ' && *line != '\t' && *line != '/')
		return false;
	*args = line + strspn(line, " \t");
	return true;
}

/* The length of the name or alias that @line begins with; 0: none. */
static size_t match(const struct command *c, const char *line, const char **args)
{
	if (begins(line, c->name, strlen(c->name), args))
		return strlen(c->name);
	for (const char *a = c->alias; a && *a; a += strspn(a, "|")) {
		size_t n = strcspn(a, "|");
		if (begins(line, a, n, args))
			return n;
		a += n;
	}
	return 0;
}

static void no_such_command(const char *line, struct errtext *e)
{
	const char *names[512] = {0};
	char word[48];
	bool info = !strncmp(line, "info ", 5);
	unsigned n = 0;
	size_t len = info ? 5 + strcspn(line + 5, " \t/") : strcspn(line, " \t/");
	snprintf(word, sizeof(word), "%.*s", (int)MIN(len, sizeof(word) - 1), line);
	for (unsigned i = 0; command_at(i) && n < ARRAY_SIZE(names) - 1; i++)
		names[n++] = command_at(i)->name;
	const char *near = nearest(word, names);
	if (near)
		err_set(e, -ENOENT, "there is no command '%s'; did you mean '%s'? (help lists them)", word, near);
	else
		err_set(e, -ENOENT, "there is no command '%s'; help lists them", word);
}

const struct command *command_find(const char *line, const char **args, struct errtext *e)
{
	const struct command *best = NULL, *c;
	size_t longest = 0;
	line += strspn(line, " \t");
	for (unsigned i = 0; (c = command_at(i)); i++) {
		const char *rest;
		size_t n = match(c, line, &rest);
		if (n > longest) {
			longest = n;
			best = c;
			*args = rest;
		}
	}
	if (!best)
		no_such_command(line, e);
	return best;
}

int command_bad(struct command_call *call, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(call->error.s, sizeof(call->error.s), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

int command_expr(struct command_call *call, const char **text, u64 *value)
{
	return expr_value(call->dbg, *text, text, value, &call->error);
}

bool command_word(const char **text, char *buf, size_t n)
{
	size_t len = strcspn(*text, " \t");
	if (!len || len >= n)
		return false;
	memcpy(buf, *text, len);
	buf[len] = 0;
	*text += len;
	*text += strspn(*text, " \t");
	return true;
}

/* ---- one line ----------------------------------------------------------------------------------------------------- */

int command_split(char *text, char **argv, int max)
{
	int n = 0;
	while (*text && n < max) {
		text += strspn(text, " \t");
		if (!*text)
			break;
		char quote = *text == '"' || *text == '\'' ? *text++ : 0;
		argv[n++] = text;
		text += quote ? strcspn(text, quote == '"' ? "\"" : "'") : strcspn(text, " \t");
		if (*text)
			*text++ = 0;
	}
	return n;
}

struct carry {
	struct command_call *call;
	const struct command *command;
	int result;
};

static void carry_out(void *ctx)
{
	struct carry *c = ctx;
	struct machine_stats st;
	machine_stats(c->call->machine, &st);
	if ((c->command->flags & COMMAND_STOPPED) && st.running && !st.paused)
		c->result = err_set(&c->call->error, -EBUSY, "the machine runs; stop it first (stop)");
	else
		c->result = c->command->fn(c->call);
}

struct stop_query {
	struct debugger *d;
	json_t *view;
};

static void view_stop(void *ctx)
{
	struct stop_query *q = ctx;
	q->view = dbg_stop_view(q->d, dbg_stopped(q->d));
}

static json_t *wait_for_stop(struct monitor *mon)
{
	struct stop_query q = {.d = mon->d};
	struct dbg_stop s;
	dbg_wait(mon->d, UINT64_MAX, &s);
	machine_call(mon->m, view_stop, &q);
	return q.view;
}

/* Without blanks at either end. */
static char *trimmed(const char *text)
{
	text += strspn(text, " \t\r\n");
	char *copy = strdup(text);
	for (size_t n = copy ? strlen(copy) : 0; n && strchr(" \t\r\n", copy[n - 1]); n--)
		copy[n - 1] = 0;
	return copy;
}

static int run_line(struct monitor *mon, const char *line, bool wait, json_t **view, char **own, struct errtext *e)
{
	struct command_call call = {.mon = mon, .dbg = mon->d, .machine = mon->m, .args = ""};
	char *argv[ARGS_MAX], *words;
	struct carry c = {.call = &call, .result = -ENOMEM};
	*view = NULL;
	*own = NULL;
	e->s[0] = 0;
	c.command = command_find(line, &call.args, e);
	if (!c.command)
		return -ENOENT;
	words = strdup(call.args);
	if (!words)
		return err_set(e, -ENOMEM, "no memory");
	call.argc = command_split(words, argv, ARGS_MAX);
	call.argv = argv;
	if (*call.args && !c.command->args)
		c.result = command_bad(&call, "%s takes no arguments", c.command->name);
	else if (c.command->flags & COMMAND_ANY_THREAD)
		carry_out(&c);
	else
		machine_call(mon->m, carry_out, &c);
	free(words);
	if (!c.result && wait && (c.command->flags & COMMAND_RUNS)) {
		json_decref(call.view);
		call.view = wait_for_stop(mon);
	}
	if (c.result) {
		if (!call.error.s[0])
			err_set(&call.error, c.result, "%s: %s", c.command->name, strerror(-c.result));
		*e = call.error;
		json_decref(call.view);
		free(call.text);
		return c.result;
	}
	*view = call.view;
	*own = call.text;
	return 0;
}

json_t *monitor_view(struct monitor *mon, const char *line, bool wait, struct errtext *e)
{
	char *text = trimmed(line), *own = NULL;
	json_t *view = NULL;
	int r = text ? run_line(mon, text, wait, &view, &own, e) : err_set(e, -ENOMEM, "no memory");
	free(text);
	free(own);
	if (r)
		return NULL;
	return view ? view : json_object();
}

char *monitor_error_text(const struct errtext *e)
{
	size_t n = strlen(e->s) + 16;
	char *text = malloc(n);
	if (text)
		snprintf(text, n, "error: %s\n", e->s);
	return text;
}

static char *error_json(const struct errtext *e)
{
	json_t *v = json_object();
	view_text(v, "error", e->s);
	char *text = view_to_json(v, 0);
	json_decref(v);
	return text;
}

static char *with_newline(char *text)
{
	size_t n = text ? strlen(text) : 0;
	char *more = text ? realloc(text, n + 2) : NULL;
	if (!more)
		return text;
	memcpy(more + n, "\n", 2);
	return more;
}

char *monitor_line(struct monitor *mon, const char *line, bool wait, bool *failed)
{
	char *text = trimmed(line), *answer, *own = NULL;
	const char *at = text;
	json_t *view = NULL;
	struct errtext e;
	bool json = text && !strncmp(text, "json", 4) && (text[4] == ' ' || text[4] == ':');
	*failed = false;
	if (!text || !*text || *text == '#') {
		free(text);
		return strdup("");
	}
	if (json)
		at += 5 + strspn(text + 5, " \t");
	*failed = run_line(mon, at, wait, &view, &own, &e);
	if (*failed)
		answer = json ? with_newline(error_json(&e)) : monitor_error_text(&e);
	else if (json)
		answer = view ? with_newline(view_to_json(view, 2)) : strdup("");
	else if (own)
		answer = strdup(own);
	else
		answer = view_to_text(view);
	json_decref(view);
	free(own);
	free(text);
	return answer;
}

/* ---- scripts ------------------------------------------------------------------------------------------------------ */

struct script {
	struct monitor *mon;
	char *text;
	bool json;
	void (*out)(void *ctx, const char *text);
	void *ctx;
	struct host_thread *thread;
};

#define STATUS_BAD_SCRIPT 74 /* frontend/cli/exitcode.h: EXIT_USAGE */

/* The next command, up to ';' or the line's end outside quotes and brackets of expressions; NULL: no more. */
static char *next_command(char **rest)
{
	char *s = *rest, quote = 0;
	if (!s)
		return NULL;
	for (char *p = s;; p++) {
		if (quote ? *p == quote : *p == '"')
			quote = quote ? 0 : *p;
		if (*p && (quote || (*p != ';' && *p != '\n')))
			continue;
		*rest = *p ? p + 1 : NULL;
		*p = 0;
		return s;
	}
}

static void say(struct script *s, char *answer)
{
	if (answer && *answer)
		s->out(s->ctx, answer);
	free(answer);
}

static bool alone(const struct monitor *mon)
{
	return !mon->consoles && !mon->qmps;
}

static void script_main(void *ctx)
{
	struct script *s = ctx;
	struct monitor *mon = s->mon;
	struct dbg_stop stop;
	char *rest = s->text, *command;
	bool failed = false;
	dbg_wait(mon->d, UINT64_MAX, &stop);
	while (!failed && !atomic_load(&mon->quitting) && (command = next_command(&rest))) {
		char line[4096];
		snprintf(line, sizeof(line), "%s%s", s->json ? "json " : "", command + strspn(command, " \t"));
		say(s, strspn(command, " \t") == strlen(command) ? NULL : monitor_line(mon, line, true, &failed));
	}
	if (failed) {
		atomic_store(&mon->quit_status, STATUS_BAD_SCRIPT);
		machine_quit(mon->m);
	} else if (!atomic_load(&mon->quitting) && alone(mon)) {
		/* Nobody else would let it go, at its next stop neither. */
		free(monitor_line(mon, "delete", false, &failed));
		free(monitor_line(mon, "cont", false, &failed));
	}
}

int monitor_script(struct monitor *mon, const char *text, void (*out)(void *ctx, const char *text), void *ctx, struct errtext *e)
{
	struct script *s = calloc(1, sizeof(*s));
	if (!s || mon->script) {
		free(s);
		return err_set(e, -EINVAL, "one script at a time");
	}
	s->json = !strncmp(text, "json:", 5);
	*s = (struct script){.mon = mon, .text = strdup(text + (s->json ? 5 : 0)), .json = s->json, .out = out, .ctx = ctx};
	mon->script = s;
	s->thread = s->text ? host_thread_start(script_main, s) : NULL;
	return s->thread ? 0 : err_set(e, -ENOMEM, "no thread for the script");
}

void monitor_finish(struct monitor *mon)
{
	struct script *s = mon ? mon->script : NULL;
	if (!s)
		return;
	host_thread_join(s->thread);
	free(s->text);
	free(s);
	mon->script = NULL;
}

/* ---- life --------------------------------------------------------------------------------------------------------- */

bool queue_put(struct byte_queue *q, const void *data, size_t n)
{
	if (q->start + q->len + n > q->cap) {
		if (q->start)
			memmove(q->data, q->data + q->start, q->len);
		q->start = 0;
	}
	if (q->len + n > q->cap) {
		size_t cap = MAX(q->cap * 2, q->len + n + 256);
		u8 *grown = realloc(q->data, cap);
		if (!grown)
			return false;
		q->data = grown;
		q->cap = cap;
	}
	memcpy(q->data + q->start + q->len, data, n);
	q->len += n;
	return true;
}

size_t queue_take(struct byte_queue *q, void *data, size_t n)
{
	n = MIN(n, q->len);
	if (n)
		memcpy(data, q->data + q->start, n);
	q->start += n;
	q->len -= n;
	return n;
}

int monitor_quit_status(const struct monitor *mon)
{
	return mon ? atomic_load(&mon->quit_status) : -1;
}

struct monitor *monitor_create(struct debugger *d)
{
	struct monitor *mon = calloc(1, sizeof(*mon));
	if (!mon)
		return NULL;
	mon->d = d;
	mon->m = dbg_machine(d);
	atomic_init(&mon->quit_status, -1);
	return mon;
}

void monitor_destroy(struct monitor *mon)
{
	if (!mon)
		return;
	atomic_store(&mon->closing, true);
	monitor_finish(mon);
	console_destroy_all(mon);
	qmp_destroy_all(mon);
	rings_free(rings_of(mon->m));
	free(mon);
}
