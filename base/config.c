#include "base/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define WORD_MAX 64
#define LIST_MAX 128

/* Levenshtein distance, case-blind; words longer than WORD_MAX are cut. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1];
	unsigned na = (unsigned)MIN(strlen(a), WORD_MAX), nb = (unsigned)MIN(strlen(b), WORD_MAX);
	for (unsigned j = 0; j <= nb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= na; i++) {
		unsigned diag = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= nb; j++) {
			unsigned change = diag + ((a[i - 1] | 32) != (b[j - 1] | 32));
			diag = row[j];
			row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

const char *nearest(const char *word, const char *const *list)
{
	const char *best = NULL;
	unsigned best_d = (unsigned)strlen(word) / 2 + 2;
	for (; *list; list++) {
		unsigned d = distance(word, *list);
		if (d < best_d) {
			best_d = d;
			best = *list;
		}
	}
	return best;
}

int parse_uint(const char *text, u64 *value)
{
	char *end;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	bool hex = text[0] == '0' && (text[1] | 32) == 'x';
	*value = strtoull(text, &end, hex ? 16 : 10);
	return errno || *end ? -EINVAL : 0;
}

int parse_size(const char *text, u64 *value)
{
	static const char suffixes[] = "KMGT";
	char digits[32];
	size_t n = strlen(text);
	unsigned shift = 0;
	if (n && (text[n - 1] | 32) == 'b' && n > 1 && strncmp(text, "0x", 2))
		n--;
	if (!n || n >= sizeof(digits))
		return -EINVAL;
	const char *s = strchr(suffixes, text[n - 1] & ~32);
	if (s && *s) {
		shift = 10 * (unsigned)(s - suffixes + 1);
		n--;
	}
	memcpy(digits, text, n);
	digits[n] = 0;
	if (parse_uint(digits, value) || *value > UINT64_MAX >> shift)
		return -EINVAL;
	*value <<= shift;
	return 0;
}

static int parse_bool(const char *text, bool *value)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true", "0", "1"};
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(text, words[i]))
			continue;
		*value = i & 1;
		return 0;
	}
	return -EINVAL;
}

static int parse_enum(const char *const *values, const char *text, u32 *index)
{
	for (u32 i = 0; values[i]; i++) {
		if (strcmp(text, values[i]))
			continue;
		*index = i;
		return 0;
	}
	return -EINVAL;
}

static bool in_range(const struct prop *p, u64 v)
{
	return v >= p->min && (!p->max || v <= p->max);
}

static int set_number(const struct prop *p, u64 *to, const char *value, char *err, size_t n)
{
	u64 v;
	if (p->type == PROP_SIZE ? parse_size(value, &v) : parse_uint(value, &v)) {
		snprintf(err, n, "%s: '%s' is not a %s", p->name, value,
			 p->type == PROP_SIZE ? "size (a number, then K, M, G or T)" : "number");
		return -EINVAL;
	}
	if (!in_range(p, v)) {
		snprintf(err, n, "%s: %s is outside %" PRIu64 "..%" PRIu64, p->name, value, p->min,
			 p->max ? p->max : UINT64_MAX);
		return -EINVAL;
	}
	*to = v;
	return 0;
}

static int set_value(const struct prop *p, void *member, const char *value, char *err, size_t n)
{
	switch (p->type) {
	case PROP_BOOL:
		if (!parse_bool(value, member))
			return 0;
		snprintf(err, n, "%s: '%s' is neither on nor off", p->name, value);
		return -EINVAL;
	case PROP_UINT:
	case PROP_SIZE: return set_number(p, member, value, err, n);
	case PROP_ENUM: {
		if (!parse_enum(p->values, value, member))
			return 0;
		const char *near = nearest(value, p->values);
		snprintf(err, n, "%s: no value '%s'; did you mean '%s'?", p->name, value,
			 near ? near : p->values[0]);
		return -EINVAL;
	}
	case PROP_TEXT:
		if (strlen(value) < PROP_TEXT_SIZE) {
			strcpy(member, value);
			return 0;
		}
		snprintf(err, n, "%s: text too long", p->name);
		return -EINVAL;
	}
	return -EINVAL;
}

void config_defaults(const struct prop *props, void *obj)
{
	char err[200];
	for (const struct prop *p = props; p && p->name; p++)
		if (p->def && set_value(p, (u8 *)obj + p->offset, p->def, err, sizeof(err)))
			abort(); /* a default outside its own row: our bug, found by the first test
				  */
}

static int unknown_key(const struct prop *props, const char *key, char *err, size_t n)
{
	const char *names[LIST_MAX];
	unsigned count = 0;
	for (const struct prop *p = props; p && p->name && count < LIST_MAX - 1; p++)
		names[count++] = p->name;
	names[count] = NULL;
	const char *near = nearest(key, names);
	int at = snprintf(err, n, "no property '%s'", key);
	if (at < 0 || (size_t)at >= n)
		return -EINVAL;
	if (near)
		snprintf(err + at, n - (size_t)at, "; did you mean '%s'?", near);
	else if (!count)
		snprintf(err + at, n - (size_t)at, ": it has none");
	for (unsigned i = 0; !near && i < count && at > 0 && (size_t)at < n; i++)
		at += snprintf(err + at, n - (size_t)at, "%s%s", i ? ", " : "; there are ", names[i]);
	return -EINVAL;
}

int config_set(const struct prop *props, void *obj, const char *key, const char *value, char *err,
	       size_t err_size)
{
	for (const struct prop *p = props; p && p->name; p++)
		if (!strcmp(p->name, key))
			return set_value(p, (u8 *)obj + p->offset, value, err, err_size);
	return unknown_key(props, key, err, err_size);
}

/* Copies up to the next single comma into @out; ",," gives one comma. Returns the rest, NULL when
 * @out is too small. */
static const char *next_item(const char *text, char *out, size_t size)
{
	size_t n = 0;
	for (; *text; text++) {
		if (*text == ',' && text[1] != ',')
			break;
		if (*text == ',')
			text++;
		if (n + 1 >= size)
			return NULL;
		out[n++] = *text;
	}
	out[n] = 0;
	return *text ? text + 1 : text;
}

int config_parse(const struct prop *props, void *obj, const char *text, char *err, size_t err_size)
{
	char item[PROP_TEXT_SIZE + WORD_MAX];
	while (*text) {
		text = next_item(text, item, sizeof(item));
		if (!text) {
			snprintf(err, err_size, "a value is too long");
			return -EINVAL;
		}
		if (!item[0])
			continue;
		char *eq = strchr(item, '=');
		if (eq)
			*eq = 0;
		int e = config_set(props, obj, item, eq ? eq + 1 : "on", err, err_size);
		if (e)
			return e;
	}
	return 0;
}

static const char *type_text(const struct prop *p)
{
	static const char *const names[] = {"on|off", "number", "size", NULL, "text"};
	return names[p->type];
}

static void print_values(FILE *out, const struct prop *p)
{
	for (const char *const *v = p->values; *v; v++)
		fprintf(out, "%s%s", v == p->values ? "" : "|", *v);
}

void config_help(FILE *out, const struct prop *props)
{
	for (const struct prop *p = props; p && p->name; p++) {
		fprintf(out, "  %s=", p->name);
		if (p->type == PROP_ENUM)
			print_values(out, p);
		else
			fprintf(out, "<%s>", type_text(p));
		fprintf(out, "  %s", p->help ? p->help : "");
		if (p->def && *p->def)
			fprintf(out, " (default %s)", p->def);
		fputc('\n', out);
	}
}

void config_get(const struct prop *p, const void *obj, char *out, size_t out_size)
{
	const u8 *m = (const u8 *)obj + p->offset;
	u64 v = 0;
	switch (p->type) {
	case PROP_BOOL: snprintf(out, out_size, "%s", *(const bool *)m ? "on" : "off"); break;
	case PROP_UINT:
	case PROP_SIZE:
		memcpy(&v, m, 8);
		snprintf(out, out_size, "%" PRIu64, v);
		break;
	case PROP_ENUM:
		memcpy(&v, m, 4);
		snprintf(out, out_size, "%s", p->values[v]);
		break;
	case PROP_TEXT: snprintf(out, out_size, "%s", (const char *)m); break;
	}
}
