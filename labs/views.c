/* The views of a run: the monitor's, of what was recorded. See labs.h. */
#include <stdlib.h>
#include <string.h>
#include "debug/picture.h"
#include "labs/labs.h"

static json_t *part(const json_t *run, const char *picture, const char *key)
{
	json_t *all = json_object_get(run, key), *v;
	if (!json_array_size(all))
		return NULL;
	v = json_object();
	view_text(v, "_picture", picture);
	json_object_set(v, key, all);
	return v;
}

/* Exits and faults of all phases together. */
static json_t *exits(const json_t *run)
{
	json_t *v = json_object(), *sum = view_object(v, "counts"), *p, *n;
	const char *key;
	size_t i;
	view_text(v, "_picture", "bars");
	view_text(v, "_title", "VM exits and faults, over all phases");
	json_array_foreach(json_object_get(run, "phases"), i, p)
		json_object_foreach(json_object_get(p, "counts"), key, n)
			if (!strncmp(key, "exit.", 5) || !strncmp(key, "fault.", 6))
				view_num(sum, key, (u64)(json_integer_value(json_object_get(sum, key)) + json_integer_value(n)));
	if (json_object_size(sum))
		return v;
	json_decref(v);
	return NULL;
}

static json_t *shown(const json_t *run, const char *what, unsigned n)
{
	size_t i;
	json_t *s;
	json_array_foreach(json_object_get(run, "shows"), i, s)
		if (!strcmp(view_string(s, "what"), what) && !n--)
			return json_incref(json_object_get(s, "view"));
	return NULL;
}

json_t *lab_view(const json_t *run, const char *what, unsigned n)
{
	if (!strcmp(what, "walk"))
		return json_incref(json_array_get(json_object_get(run, "walks"), n));
	if (!strcmp(what, "rings") || !strcmp(what, "timeline") || !strcmp(what, "exits"))
		return n ? NULL : *what == 'r' ? part(run, what, "edges") : *what == 't' ? part(run, what, what) : exits(run);
	return shown(run, what, n);
}

char *lab_svg(const json_t *run, const char *what, unsigned n)
{
	json_t *v = lab_view(run, what, n);
	char *svg = v ? picture_svg(v) : NULL;
	json_decref(v);
	return svg;
}
