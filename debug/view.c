/* Views: JSON trees, and their text. */
#include "debug/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH_MAX 16 /* deeper trees are not ours */

/* ---- building ----------------------------------------------------------------------------------------------------- */

static void put(json_t *o, const char *name, json_t *v)
{
	if (!o || !v)
		json_decref(v);
	else if (name)
		json_object_set_new(o, name, v);
	else
		json_array_append_new(o, v);
}

/* Guest and files may hold what is not UTF-8: such bytes become '?'. */
static json_t *string(const char *text)
{
	json_t *v = json_string(text);
	if (v)
		return v;
	char *copy = strdup(text);
	for (char *p = copy; p && *p; p++)
		if (*p & 0x80)
			*p = '?';
	v = copy ? json_string(copy) : NULL;
	free(copy);
	return v;
}

void view_text(json_t *o, const char *name, const char *value)
{
	put(o, name, string(value ? value : ""));
}

void view_format(json_t *o, const char *name, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	view_text(o, name, text);
}

void view_num(json_t *o, const char *name, u64 value)
{
	put(o, name, json_integer((json_int_t)value));
}

void view_bool(json_t *o, const char *name, bool value)
{
	put(o, name, json_boolean(value));
}

void view_hex(json_t *o, const char *name, u64 value, unsigned digits)
{
	view_format(o, name, "0x%0*llx", (int)digits, (unsigned long long)value);
}

json_t *view_object(json_t *o, const char *name)
{
	json_t *v = json_object();
	put(o, name, v);
	return v;
}

json_t *view_array(json_t *o, const char *name)
{
	json_t *v = json_array();
	put(o, name, v);
	return v;
}

const char *view_string(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	return s ? s : "";
}

long long view_integer(const json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

bool view_true(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

/* ---- text --------------------------------------------------------------------------------------------------------- */

struct text {
	char *s;
	size_t n, cap;
	bool failed;
};

static void add_bytes(struct text *t, const char *s, size_t n)
{
	if (t->n + n + 1 > t->cap) {
		size_t cap = MAX(t->cap * 2, t->n + n + 256);
		char *grown = realloc(t->s, cap);
		if (!grown) {
			t->failed = true;
			return;
		}
		t->s = grown;
		t->cap = cap;
	}
	memcpy(t->s + t->n, s, n);
	t->n += n;
	t->s[t->n] = 0;
}

static void add(struct text *t, const char *s)
{
	add_bytes(t, s, strlen(s));
}

static void pad(struct text *t, size_t n)
{
	while (n--)
		add_bytes(t, " ", 1);
}

static bool scalar(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static bool shown(const char *key)
{
	return key[0] != '_';
}

static const char *hint(const json_t *o, const char *name)
{
	return json_string_value(json_object_get(o, name));
}

/* A value on one line. @buf: at least 32 characters. */
static const char *word(const json_t *v, char *buf)
{
	switch (json_typeof(v)) {
	case JSON_STRING: return json_string_value(v);
	case JSON_INTEGER:
		snprintf(buf, 32, "%llu", (unsigned long long)json_integer_value(v));
		return buf;
	case JSON_REAL:
		snprintf(buf, 32, "%g", json_real_value(v));
		return buf;
	case JSON_TRUE: return "yes";
	case JSON_FALSE: return "no";
	default: return "-";
	}
}

/* A value as _line shows it: an array's elements with blanks between them. */
static void add_value(struct text *t, const json_t *v, int width)
{
	char buf[32];
	size_t from = t->n;
	if (!v)
		return pad(t, (size_t)abs(width));
	if (!json_is_array(v)) {
		const char *s = scalar(v) ? word(v, buf) : "{}";
		if (width > 0 && strlen(s) < (size_t)width)
			pad(t, (size_t)width - strlen(s));
		add(t, s);
	}
	for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
		add(t, i ? " " : "");
		if (scalar(json_array_get(v, i)))
			add(t, word(json_array_get(v, i), buf));
	}
	if (width < 0 && t->n - from < (size_t)-width)
		pad(t, (size_t)-width - (t->n - from));
}

/* "{name:-8} ..." by the members of @o. */
static void add_line(struct text *t, const json_t *o, const char *line)
{
	while (*line) {
		size_t n = strcspn(line, "{");
		char name[64];
		int width = 0, used = 0;
		add_bytes(t, line, n);
		line += n;
		if (!*line)
			return;
		if (sscanf(line, "{%63[^:}]:%d}%n", name, &width, &used) != 2 || !used) {
			width = 0;
			if (sscanf(line, "{%63[^:}]}%n", name, &used) != 1 || !used) {
				add_bytes(t, line++, 1);
				continue;
			}
		}
		size_t before = t->n;
		add_value(t, json_object_get(o, name), width);
		line += used;
		/* " <>" around nothing goes. */
		if (t->n == before && *line == '>' && t->n > 1 && t->s[t->n - 1] == '<') {
			t->n -= t->s[t->n - 2] == ' ' ? 2 : 1;
			t->s[t->n] = 0;
			line++;
		}
	}
}

/* Trailing blanks of the last line go. */
static void end_line(struct text *t)
{
	while (t->n && t->s[t->n - 1] == ' ')
		t->n--;
	add(t, "\n");
}

static void emit(struct text *t, const json_t *v, unsigned indent, const char *rows, unsigned depth);

static size_t name_width(const json_t *o)
{
	size_t width = 0;
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)o, key, v)
		if (shown(key) && scalar(v))
			width = MAX(width, strlen(key));
	return width;
}

static void emit_flat(struct text *t, const json_t *o, unsigned indent, unsigned flat)
{
	const char *key;
	char buf[32];
	unsigned n = 0;
	json_t *v;
	json_object_foreach((json_t *)o, key, v) {
		if (!shown(key) || !scalar(v))
			continue;
		pad(t, n % flat ? 2 : indent);
		add(t, key);
		add(t, "=");
		add(t, word(v, buf));
		if (++n % flat == 0)
			end_line(t);
	}
	if (n % flat)
		end_line(t);
}

static void emit_members(struct text *t, const json_t *o, unsigned indent)
{
	size_t width = name_width(o);
	const char *key;
	char buf[32];
	json_t *v;
	json_object_foreach((json_t *)o, key, v) {
		if (!shown(key) || !scalar(v))
			continue;
		pad(t, indent);
		add(t, key);
		add(t, ":");
		pad(t, width - strlen(key) + 1);
		add(t, word(v, buf));
		end_line(t);
	}
}

static unsigned members(const json_t *o)
{
	unsigned n = 0;
	const char *key;
	json_t *v;
	json_object_foreach((json_t *)o, key, v)
		n += shown(key);
	return n;
}

static void emit_object(struct text *t, const json_t *o, unsigned indent, unsigned depth)
{
	const char *line = hint(o, "_line"), *title = hint(o, "_title"), *rows = hint(o, "_rows"), *key;
	unsigned flat = (unsigned)json_integer_value(json_object_get(o, "_flat"));
	bool named = !title && !line && !rows && members(o) > 1;
	json_t *v;
	if (title) {
		pad(t, indent);
		add(t, title);
		end_line(t);
	}
	if (line) {
		pad(t, indent);
		add_line(t, o, line);
		end_line(t);
	} else if (flat) {
		emit_flat(t, o, indent, flat);
	} else {
		emit_members(t, o, indent);
	}
	json_object_foreach((json_t *)o, key, v) {
		if (!shown(key) || scalar(v) || (line && !rows))
			continue;
		if (named) {
			pad(t, indent);
			add(t, key);
			add(t, ":\n");
		}
		emit(t, v, indent + (named || depth ? 2 : 0), rows, depth + 1);
	}
}

/* Columns are the members of the first object. */
static void emit_table(struct text *t, const json_t *a, unsigned indent)
{
	const json_t *first = json_array_get(a, 0);
	const char *key;
	char buf[32];
	json_t *v;
	for (size_t row = 0; row <= json_array_size(a); row++) {
		const json_t *o = row ? json_array_get(a, row - 1) : NULL;
		pad(t, indent);
		json_object_foreach((json_t *)first, key, v) {
			size_t width = strlen(key), i;
			const json_t *cell = o ? json_object_get(o, key) : NULL, *other;
			if (!shown(key) || !scalar(v))
				continue;
			json_array_foreach((json_t *)a, i, other) {
				const json_t *c = json_object_get(other, key);
				if (c && scalar(c))
					width = MAX(width, strlen(word(c, buf)));
			}
			const char *s = !row ? key : cell && scalar(cell) ? word(cell, buf) : "";
			add(t, s);
			pad(t, width - strlen(s) + 2);
		}
		end_line(t);
	}
}

static bool plain_table(const json_t *a)
{
	const json_t *first = json_array_get(a, 0);
	return json_is_object(first) && !hint(first, "_line") && !hint(first, "_title") &&
	       !json_object_get(first, "_flat");
}

static void emit_array(struct text *t, const json_t *a, unsigned indent, const char *rows, unsigned depth)
{
	json_t *v;
	size_t i;
	if (!rows && plain_table(a))
		return emit_table(t, a, indent);
	json_array_foreach((json_t *)a, i, v) {
		if (rows && json_is_object(v)) {
			pad(t, indent);
			add_line(t, v, rows);
			end_line(t);
		} else {
			emit(t, v, indent, NULL, depth + 1);
		}
	}
}

static void emit(struct text *t, const json_t *v, unsigned indent, const char *rows, unsigned depth)
{
	char buf[32];
	if (depth > DEPTH_MAX)
		return;
	if (json_is_object(v)) {
		emit_object(t, v, indent, depth);
	} else if (json_is_array(v)) {
		emit_array(t, v, indent, rows, depth);
	} else {
		pad(t, indent);
		add(t, word(v, buf));
		end_line(t);
	}
}

char *view_to_text(const json_t *v)
{
	struct text t = {0};
	add(&t, "");
	if (v)
		emit(&t, v, 0, NULL, 0);
	if (!t.failed)
		return t.s;
	free(t.s);
	return NULL;
}

/* ---- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *without_hints(const json_t *v, unsigned depth)
{
	const char *key;
	json_t *sub, *copy;
	size_t i;
	if (depth > DEPTH_MAX)
		return json_null();
	if (json_is_object(v)) {
		copy = json_object();
		json_object_foreach((json_t *)v, key, sub)
			if (shown(key))
				json_object_set_new(copy, key, without_hints(sub, depth + 1));
		return copy;
	}
	if (!json_is_array(v))
		return json_incref((json_t *)v);
	copy = json_array();
	json_array_foreach((json_t *)v, i, sub)
		json_array_append_new(copy, without_hints(sub, depth + 1));
	return copy;
}

json_t *view_without_hints(const json_t *v)
{
	return without_hints(v, 0);
}

char *view_to_json(const json_t *v, unsigned indent)
{
	json_t *plain = v ? without_hints(v, 0) : json_null();
	char *s = json_dumps(plain, JSON_ENCODE_ANY | (indent ? JSON_INDENT(indent) : JSON_COMPACT));
	json_decref(plain);
	return s;
}
