/* lab.json: what a lab says of itself, checked before anything runs. See labs.h and docs/teaching.md. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/config.h"
#include "debug/events.h"
#include "labs/labs.h"

struct check {
	struct errtext *e;
	int err;
};

static int wrong(struct check *c, const char *where, const char *what)
{
	if (!c->err)
		c->err = err_set(c->e, -EINVAL, "lab.json: %s: %s", where, what);
	return c->err;
}

static bool known(struct check *c, const json_t *o, const char *where, const char *const *keys)
{
	const char *key;
	json_t *value;
	char at[200], text[200];

	json_object_foreach((json_t *)o, key, value)
	{
		unsigned i = 0;
		while (keys[i] && strcmp(keys[i], key))
			i++;
		if (keys[i])
			continue;
		const char *near = nearest(key, keys);
		snprintf(at, sizeof(at), "%s%s%.60s", where, *where ? "." : "", key);
		snprintf(text, sizeof(text), "unknown%s%s%s", near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
		wrong(c, at, text);
		return false;
	}
	return true;
}

static const char *text_of(struct check *c, const json_t *o, const char *where, const char *key)
{
	const json_t *j = json_object_get(o, key);
	char at[200];

	snprintf(at, sizeof(at), "%s%s%s", where, *where ? "." : "", key);
	if (!j)
		wrong(c, at, "missing");
	else if (!json_is_string(j) || !*json_string_value(j))
		wrong(c, at, "must be a text that is not empty");
	return json_string_value(j);
}

bool lab_number(const json_t *j, u64 *v)
{
	char *end;

	if (json_is_integer(j)) {
		*v = (u64)json_integer_value(j);
		return true;
	}
	if (!json_is_string(j) || !*json_string_value(j))
		return false;
	*v = strtoull(json_string_value(j), &end, 0);
	return !*end;
}

static void number_of(struct check *c, const json_t *o, const char *key, bool needed, u64 min, u64 max)
{
	const json_t *j = json_object_get(o, key);
	char text[100];
	u64 v;

	if (!j && needed)
		wrong(c, key, "missing");
	if (!j)
		return;
	snprintf(text, sizeof(text), "must be a number from %llu to %llu", (unsigned long long)min, (unsigned long long)max);
	if (!lab_number(j, &v) || v < min || v > max)
		wrong(c, key, text);
}

static void questions(struct check *c, const json_t *list)
{
	static const char *const keys[] = {"ask", "choices", "phase", "key", "why", NULL};
	size_t i;
	json_t *q;

	if (list && !json_is_array(list))
		wrong(c, "questions", "must be a list");
	json_array_foreach((json_t *)list, i, q)
	{
		char at[60];
		snprintf(at, sizeof(at), "questions[%zu]", i);
		if (!known(c, q, at, keys))
			return;
		text_of(c, q, at, "ask");
		text_of(c, q, at, "phase");
		text_of(c, q, at, "key");
		text_of(c, q, at, "why");
		const json_t *choices = json_object_get(q, "choices");
		const char *label;
		json_t *value;
		u64 v;
		if (choices && (!json_is_object(choices) || json_object_size(choices) < 2))
			wrong(c, at, "choices must be an object of at least two: {\"label\": number, ...}");
		json_object_foreach((json_t *)choices, label, value) if (!lab_number(value, &v))
			wrong(c, at, "a choice's value must be a number");
	}
}

static void expectations(struct check *c, const json_t *list)
{
	static const char *const keys[] = {"phase", "key", "is", "min", "max", "same_as", "more_than", "less_than", "why", NULL};
	size_t i;
	json_t *x;
	u64 v;

	if (!json_is_array(list) || !json_array_size(list)) {
		wrong(c, "expect", "must be a list of at least one: {\"phase\": .., \"key\": .., \"is\": number, \"why\": ..}");
		return;
	}
	json_array_foreach((json_t *)list, i, x)
	{
		char at[60];
		unsigned relations = 0;
		snprintf(at, sizeof(at), "expect[%zu]", i);
		if (!known(c, x, at, keys))
			return;
		text_of(c, x, at, "phase");
		text_of(c, x, at, "key");
		text_of(c, x, at, "why");
		for (unsigned k = 2; k < 8; k++) {
			const json_t *j = json_object_get(x, keys[k]);
			char deep[100];
			snprintf(deep, sizeof(deep), "%s.%s", at, keys[k]);
			relations += j != NULL;
			if (j && k < 5 && !lab_number(j, &v))
				wrong(c, deep, "must be a number, or a text such as \"0x10\"");
			if (j && k >= 5) {
				text_of(c, j, deep, "phase");
				text_of(c, j, deep, "key");
			}
		}
		if (!relations)
			wrong(c, at, "says nothing: one of is, min, max, same_as, more_than, less_than is needed");
	}
}

/* What the timeline holds, and what is shown of every phase. */
static void probes(struct check *c, const json_t *o)
{
	static const char *const keys[] = {"events", "counters", NULL};
	const json_t *events = json_object_get(o, "events"), *counters = json_object_get(o, "counters");
	char at[60];
	const char *kind;
	size_t i;
	json_t *v;

	if (!o || !known(c, o, "probes", keys))
		return;
	if (!json_is_object(o))
		wrong(c, "probes", "must be an object: {\"events\": [..], \"counters\": [..]}");
	if ((events && !json_is_array(events)) || (counters && !json_is_array(counters)))
		wrong(c, "probes", "events and counters must be lists");
	json_array_foreach((json_t *)events, i, v)
	{
		unsigned k = 0;
		snprintf(at, sizeof(at), "probes.events[%zu]", i);
		while (json_is_string(v) && (kind = event_kind_name(k)) && strcmp(kind, json_string_value(v)) != 0)
			k++;
		if (!json_is_string(v) || !event_kind_name(k))
			wrong(c, at, "must be ring, exception, interrupt, vmentry, vmexit, vmfail or mode");
	}
	json_array_foreach((json_t *)counters, i, v)
	{
		const char *s = json_string_value(v);
		snprintf(at, sizeof(at), "probes.counters[%zu]", i);
		if (!s || !event_count_known(s))
			wrong(c, at, "must be a counter such as insns, fault.PF, exit.*, ring.0>3 (docs/teaching.md lists them)");
	}
}

static void tables(struct check *c, const json_t *list)
{
	static const char *const keys[] = {"title", "phases", "columns", "per", "rows", "across", "key", "keys", NULL};
	size_t i;
	json_t *t;

	json_array_foreach((json_t *)list, i, t)
	{
		char at[60];
		snprintf(at, sizeof(at), "tables[%zu]", i);
		if (!known(c, t, at, keys))
			return;
		text_of(c, t, at, "title");
		if (json_object_get(t, "across")) { /* phases are called ACROSS.ROW */
			if (!json_object_get(t, "keys"))
				text_of(c, t, at, "key");
			else if (!json_is_array(json_object_get(t, "keys")))
				wrong(c, at, "keys must be a list of keys, shown in one cell with strokes between them");
			if (!json_is_array(json_object_get(t, "across")) || !json_is_array(json_object_get(t, "rows")))
				wrong(c, at, "across and rows must be lists");
			continue;
		}
		if (!json_is_array(json_object_get(t, "phases")))
			wrong(c, at, "phases must be a list of phases");
		if (!json_is_object(json_object_get(t, "columns")))
			wrong(c, at, "columns must be an object: {\"heading\": \"key\", ...}");
	}
}

static int check(const json_t *d, struct errtext *e)
{
	static const char *const keys[] = {"title", "about", "mode", "cpu", "memory", "budget", "sources", "questions", "expect",
					   "tables", "probes", "end", NULL};
	struct check c = {.e = e};
	const json_t *j;
	u64 mode = 0;

	if (!json_is_object(d))
		return err_set(e, -EINVAL, "lab.json: must be an object: { \"title\": ..., ... }");
	if (!known(&c, d, "", keys))
		return c.err;
	text_of(&c, d, "", "title");
	number_of(&c, d, "mode", true, 32, 64);
	if (!c.err && lab_number(json_object_get(d, "mode"), &mode) && mode != 32 && mode != 64)
		wrong(&c, "mode", "must be 32 or 64");
	number_of(&c, d, "memory", false, 4, 1024);
	number_of(&c, d, "budget", true, 1000, 1000000000);
	if ((j = json_object_get(d, "sources")) && (!json_is_array(j) || !json_is_string(json_array_get(j, 0))))
		wrong(&c, "sources", "must be a list of file names");
	if ((j = json_object_get(d, "cpu")) && !json_is_string(j))
		wrong(&c, "cpu", "must be a text, a processor as for -cpu");
	probes(&c, json_object_get(d, "probes"));
	questions(&c, json_object_get(d, "questions"));
	expectations(&c, json_object_get(d, "expect"));
	tables(&c, json_object_get(d, "tables"));
	return c.err;
}

int lab_parse(struct lab *l, const char *name, const void *json, size_t n, const char *text, size_t text_n, struct errtext *e)
{
	json_error_t je;

	snprintf(l->name, sizeof(l->name), "%s", name);
	l->desc = json_loadb(json, n, JSON_REJECT_DUPLICATES, &je);
	if (!l->desc)
		return err_set(e, -EINVAL, "lab.json:%d: %s", je.line, je.text);
	int r = check(l->desc, e);
	if (r) {
		json_decref(l->desc);
		l->desc = NULL;
		return r;
	}
	l->text = strndup(text, text_n);
	return l->text ? 0 : err_set(e, -ENOMEM, "no memory");
}

void lab_free(struct lab *l)
{
	json_decref(l->desc);
	free(l->text);
	l->desc = NULL;
	l->text = NULL;
}

unsigned lab_mode(const struct lab *l)
{
	return (unsigned)json_integer_value(json_object_get(l->desc, "mode"));
}

u64 lab_budget(const struct lab *l)
{
	u64 v = 0;
	return lab_number(json_object_get(l->desc, "budget"), &v) ? v : 0;
}

const struct lab_builtin *lab_builtin_find(const char *name)
{
	for (const struct lab_builtin *b = lab_builtins; b->name; b++)
		if (!strcmp(b->name, name))
			return b;
	return NULL;
}

const struct lab_file *lab_file_find(const struct lab_file *files, const char *name)
{
	for (; files->name; files++)
		if (!strcmp(files->name, name))
			return files;
	return NULL;
}
