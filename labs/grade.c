/* What was observed against what was expected, and the tables a lab wants filled. See labs.h. */
#include <stdlib.h>
#include <string.h>
#include "debug/events.h"
#include "labs/labs.h"

static const json_t *phase_find(const json_t *run, const char *name)
{
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(run, "phases"), i, p)
	{
		if (!strcmp(json_string_value(json_object_get(p, "name")), name))
			return p;
	}
	return NULL;
}

bool lab_value(const json_t *run, const char *phase, const char *key, u64 *v)
{
	const json_t *p = phase_find(run, phase), *j;

	*v = 0;
	if (!p)
		return false;
	if (!(j = json_object_get(json_object_get(p, "obs"), key)))
		j = json_object_get(json_object_get(p, "counts"), key);
	if (j)
		*v = (u64)json_integer_value(j);
	return j || event_count_known(key); /* everything else must have been observed */
}

bool lab_prediction(const json_t *q, const char *text, u64 *v)
{
	const json_t *choices = json_object_get(q, "choices");
	const char *label;
	json_t *value;
	char *end;
	text += strspn(text, " \t");
	if (*text < '0' || *text > '9') /* strtoull() would take a sign */
		return false;
	u64 n = strtoull(text, &end, choices ? 10 : 0), i = 0;
	if (end[strspn(end, " \t\r")])
		return false;
	json_object_foreach((json_t *)choices, label, value)
		if (++i == n)
			return lab_number(value, v);
	*v = n;
	return !choices;
}

static void number_text(char *buf, size_t n, u64 v)
{
	if (v > 0xffff)
		snprintf(buf, n, "0x%llx", (unsigned long long)v);
	else
		snprintf(buf, n, "%llu", (unsigned long long)v);
}

static void add_text(char *buf, size_t n, const char *word, u64 v)
{
	char num[32];
	size_t used = strlen(buf);

	number_text(num, sizeof(num), v);
	snprintf(buf + used, n - used, "%s%s%s", used ? ", " : "", word, num);
}

/* One relation to a value elsewhere. False: that value does not exist. */
static bool relation(const json_t *run, const json_t *to, const char *word, char *text, size_t n, u64 *v)
{
	const char *phase = json_string_value(json_object_get(to, "phase")), *key = json_string_value(json_object_get(to, "key"));
	bool have = lab_value(run, phase, key, v);
	size_t used = strlen(text);

	snprintf(text + used, n - used, "%s%s %s of %s", used ? ", " : "", word, key, phase);
	if (have) {
		used = strlen(text);
		snprintf(text + used, n - used, " (%llu)", (unsigned long long)*v);
	}
	return have;
}

static bool holds(const json_t *run, const json_t *x, bool have, u64 v, char *text, size_t n)
{
	const json_t *j;
	u64 w;
	bool ok = have;

	if (lab_number(json_object_get(x, "is"), &w)) {
		add_text(text, n, "", w);
		ok &= v == w;
	}
	if (lab_number(json_object_get(x, "min"), &w)) {
		add_text(text, n, "at least ", w);
		ok &= v >= w;
	}
	if (lab_number(json_object_get(x, "max"), &w)) {
		add_text(text, n, "at most ", w);
		ok &= v <= w;
	}
	if ((j = json_object_get(x, "same_as")))
		ok &= relation(run, j, "the same as", text, n, &w) && v == w;
	if ((j = json_object_get(x, "more_than")))
		ok &= relation(run, j, "more than", text, n, &w) && v > w;
	if ((j = json_object_get(x, "less_than")))
		ok &= relation(run, j, "less than", text, n, &w) && v < w;
	return ok;
}

/* What faulted in a phase, in the processor's words: where something was not as expected, that is the first thing to read. */
static void add_faults(json_t *check, const json_t *run, const char *phase)
{
	json_t *e, *seen = NULL;
	size_t i;

	json_array_foreach(json_object_get(run, "timeline"), i, e)
	{
		const char *kind = json_string_value(json_object_get(e, "kind")),
			   *in = json_string_value(json_object_get(e, "phase"));
		if (!kind || strcmp(kind, "exception") != 0 || !in || strcmp(in, phase) != 0 || json_array_size(seen) == 3)
			continue;
		const char *via = json_string_value(json_object_get(e, "via")), *why = json_string_value(json_object_get(e, "why"));
		if (!seen)
			seen = view_array(check, "faults");
		json_array_append_new(seen, json_sprintf("%s in ring %d: %s", via ? via : "?",
							 (int)json_integer_value(json_object_get(e, "cpl")), why ? why : "?"));
	}
}

static bool check_one(const json_t *run, const json_t *x, json_t *checks)
{
	const char *phase = json_string_value(json_object_get(x, "phase")), *key = json_string_value(json_object_get(x, "key"));
	char text[400] = "", num[32];
	u64 v;
	bool have = lab_value(run, phase, key, &v), ok = holds(run, x, have, v, text, sizeof(text));
	json_t *o = view_object(checks, NULL);

	number_text(num, sizeof(num), v);
	view_text(o, "phase", phase);
	view_text(o, "key", key);
	view_text(o, "expected", text);
	view_text(o, "observed",
		  have                     ? num
		  : phase_find(run, phase) ? "the phase ran, but this was not observed"
					   : "the guest never came to this phase");
	view_bool(o, "ok", ok);
	if (!ok)
		add_faults(o, run, phase);
	view_text(o, "why", json_string_value(json_object_get(x, "why")));
	return ok;
}

static void add_explanation(json_t *list, const json_t *run, const char *phase)
{
	const char *fault = json_string_value(json_object_get(phase_find(run, phase), "fault"));
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
		if (!strcmp(json_string_value(json_object_get(o, "phase")), phase))
			return;
	if (!fault)
		return;
	o = view_object(list, NULL);
	view_text(o, "phase", phase);
	view_text(o, "text", fault);
}

json_t *lab_grade(const struct lab *l, const json_t *run)
{
	json_t *g = json_object(), *checks, *explanations = json_array(), *end = json_object_get(run, "end"), *x;
	const char *want = json_string_value(json_object_get(l->desc, "end"));
	u64 score = 0, of = 1;
	size_t i;

	if (!want)
		want = "finished";
	bool ended = !strcmp(json_string_value(json_object_get(end, "reason")), want);
	score += ended;
	view_text(g, "lab", l->name);
	json_object_set(g, "end", end);
	view_text(g, "expected_end", want);
	checks = json_array();
	json_array_foreach(json_object_get(l->desc, "expect"), i, x)
	{
		of++;
		if (check_one(run, x, checks))
			score++;
		else
			add_explanation(explanations, run, json_string_value(json_object_get(x, "phase")));
	}
	view_bool(g, "passed", score == of);
	view_num(g, "score", score);
	view_num(g, "of", of);
	json_object_set_new(g, "checks", checks);
	json_object_set_new(g, "explanations", explanations);
	json_object_set(g, "phases", json_object_get(run, "phases"));
	return g;
}

/* ---- tables ---------------------------------------------------------------------------------- */

/* A counter, or what there is of it for each of another; adds to @buf. */
static void cell_text(char *buf, size_t n, const json_t *run, const char *phase, const char *key, u64 per)
{
	size_t used = strlen(buf);
	u64 v;

	if (!lab_value(run, phase, key, &v))
		snprintf(buf + used, n - used, "-");
	else if (!per)
		snprintf(buf + used, n - used, "%llu", (unsigned long long)v);
	else
		snprintf(buf + used, n - used, "%llu.%llu", (unsigned long long)(v / per), (unsigned long long)(v % per * 10 / per));
}

static void cell(json_t *row, const json_t *run, const char *phase, const char *key, u64 per)
{
	char buf[40] = "";

	cell_text(buf, sizeof(buf), run, phase, key, per);
	json_array_append_new(row, json_string(buf));
}

/* Several counters in one cell, with strokes between them; "-" where the phase never was. */
static void cell_of_many(json_t *row, const json_t *run, const char *phase, const json_t *keys, u64 per)
{
	char buf[160] = "";
	size_t i;
	json_t *key;

	json_array_foreach((json_t *)keys, i, key)
	{
		size_t used = strlen(buf);
		snprintf(buf + used, sizeof(buf) - used, "%s", i ? " / " : "");
		cell_text(buf, sizeof(buf), run, phase, json_is_string(key) ? json_string_value(key) : "", per);
	}
	json_array_append_new(row, json_string(phase_find(run, phase) ? buf : "-"));
}

/* Rows by what is done, columns by who does it: phases are called COLUMN.ROW. */
static void grid(json_t *head, json_t *rows, const json_t *t, const json_t *run, const char *per)
{
	const char *key = json_string_value(json_object_get(t, "key"));
	size_t i, j;
	json_t *r, *c;
	char name[100];

	json_array_append_new(head, json_string(""));
	json_array_foreach(json_object_get(t, "across"), j, c) json_array_append(head, c);
	json_array_foreach(json_object_get(t, "rows"), i, r)
	{
		json_t *row = view_array(rows, NULL);
		json_array_append(row, r);
		json_array_foreach(json_object_get(t, "across"), j, c)
		{
			u64 n = 0;
			snprintf(name, sizeof(name), "%s.%s", json_is_string(c) ? json_string_value(c) : "",
				 json_is_string(r) ? json_string_value(r) : "");
			if (per)
				lab_value(run, name, per, &n);
			if (key)
				cell(row, run, name, key, n);
			else
				cell_of_many(row, run, name, json_object_get(t, "keys"), n);
		}
	}
}

json_t *lab_tables(const struct lab *l, const json_t *run)
{
	json_t *out = json_array(), *t, *column, *phase;
	size_t i, j;
	const char *label;

	json_array_foreach(json_object_get(l->desc, "tables"), i, t)
	{
		json_t *o = view_object(out, NULL), *head = view_array(o, "head"), *rows = view_array(o, "rows");
		const char *per = json_string_value(json_object_get(t, "per"));
		json_object_set(o, "title", json_object_get(t, "title"));
		if (json_object_get(t, "across")) {
			grid(head, rows, t, run, per);
			continue;
		}
		json_array_append_new(head, json_string("phase"));
		json_object_foreach(json_object_get(t, "columns"), label, column) json_array_append_new(head, json_string(label));
		json_array_foreach(json_object_get(t, "phases"), j, phase)
		{
			json_t *row = view_array(rows, NULL);
			const char *name = json_string_value(phase);
			u64 n = 0;
			if (!name)
				continue;
			json_array_append(row, phase);
			if (per)
				lab_value(run, name, per, &n);
			json_object_foreach(json_object_get(t, "columns"), label, column)
			    cell(row, run, name, json_is_string(column) ? json_string_value(column) : "", n);
		}
	}
	return out;
}

/* Does "fault.*", or "walks", mean @key? */
static bool means(const char *probe, const char *key)
{
	size_t n = strlen(probe);
	return n && probe[n - 1] == '*' ? !strncmp(probe, key, n - 1) : !strcmp(probe, key);
}

json_t *lab_watched(const struct lab *l, const json_t *run)
{
	json_t *o = json_object(), *head = view_array(o, "head"), *rows = view_array(o, "rows"), *probe, *phase, *n,
	       *columns = json_object();
	size_t i, k;
	const char *key;

	view_text(o, "title", "What was watched, phase by phase");
	json_array_append_new(head, json_string("phase"));
	json_array_foreach(json_object_get(json_object_get(l->desc, "probes"), "counters"), i, probe)
		json_array_foreach(json_object_get(run, "phases"), k, phase)
			json_object_foreach(json_object_get(phase, "counts"), key, n)
				if (means(json_string_value(probe), key))
					json_object_set_new(columns, key, json_true());
	json_object_foreach(columns, key, n) json_array_append_new(head, json_string(key));
	json_array_foreach(json_object_get(run, "phases"), k, phase)
	{
		const char *name = json_string_value(json_object_get(phase, "name"));
		json_t *row = json_object_size(columns) && json_object_size(json_object_get(phase, "counts"))
				  ? view_array(rows, NULL)
				  : NULL;
		if (!row)
			continue;
		json_array_append_new(row, json_string(name));
		json_object_foreach(columns, key, n) cell(row, run, name, key, 0);
	}
	json_decref(columns);
	return o;
}
