/* The same pictures as text. See labs.h. */
#include <stdlib.h>
#include <string.h>
#include "debug/view.h"
#include "labs/labs.h"

#define COLUMNS 40

static void table_row(FILE *f, const json_t *row, const size_t *width)
{
	size_t i;
	json_t *c;

	json_array_foreach((json_t *)row, i, c)
	{
		if (i < COLUMNS)
			fprintf(f, i ? "  %*s" : "  %-*s", (int)width[i], json_string_value(c));
	}
	fputc('\n', f);
}

static void widths(const json_t *row, size_t *width)
{
	size_t i;
	json_t *c;

	json_array_foreach((json_t *)row, i, c)
	{
		size_t n = json_string_length(c);
		if (i < COLUMNS && n > width[i])
			width[i] = n;
	}
}

void lab_print_tables(FILE *f, const json_t *tables)
{
	size_t i, j;
	json_t *t, *row;

	json_array_foreach((json_t *)tables, i, t)
	{
		size_t width[COLUMNS] = {0};
		if (!json_array_size(json_object_get(t, "rows")))
			continue;
		widths(json_object_get(t, "head"), width);
		json_array_foreach(json_object_get(t, "rows"), j, row) widths(row, width);
		fprintf(f, "\n%s\n", view_string(t, "title"));
		table_row(f, json_object_get(t, "head"), width);
		json_array_foreach(json_object_get(t, "rows"), j, row) table_row(f, row, width);
	}
}

void lab_print_walks(FILE *f, const json_t *run)
{
	size_t i, j;
	json_t *w, *s;

	json_array_foreach(json_object_get(run, "walks"), i, w)
	{
		fprintf(f, "\nwalk of %s in %s, ring %d%s: %d entries read\n", view_string(w, "linear"), view_string(w, "phase"),
			(int)view_integer(w, "cpl"), json_is_true(json_object_get(w, "root")) ? "" : ", non-root",
			(int)json_array_size(json_object_get(w, "steps")));
		json_array_foreach(json_object_get(w, "steps"), j, s)
		{
			bool ept = !strncmp(view_string(s, "level"), "EPT", 3);
			fprintf(f, "  %s%-9s at %-12s = %s  %s\n", ept ? "      " : "", view_string(s, "level"),
				view_string(s, "at"), view_string(s, "entry"), view_string(s, "flags"));
		}
		if (!json_object_get(w, "physical"))
			fprintf(f, "  -> %s\n", view_string(w, "verdict"));
		else
			fprintf(f, "  -> %s%s%s, a page of %lld KiB\n", view_string(w, "guest_physical"),
				*view_string(w, "guest_physical") ? " -> " : "", view_string(w, "physical"),
				strtoll(view_string(w, "page_size"), NULL, 0) / 1024);
	}
}

void lab_print_rings(FILE *f, const json_t *run)
{
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(run, "edges"), i, e)
	{
		fprintf(f, "  ring %d -> ring %d %8d times by %s%s\n", (int)view_integer(e, "from"), (int)view_integer(e, "to"),
			(int)view_integer(e, "count"), view_string(e, "via"),
			json_is_true(json_object_get(e, "root")) ? "" : " (non-root)");
		if (*view_string(e, "gate"))
			fprintf(f, "                              %s\n", view_string(e, "gate"));
	}
}

void lab_print_timeline(FILE *f, const json_t *run, unsigned max)
{
	const json_t *list = json_object_get(run, "timeline");
	size_t i;
	json_t *e;

	json_array_foreach((json_t *)list, i, e)
	{
		if (i == max) {
			fprintf(f, "  ... %d more\n", (int)(json_array_size(list) - max));
			break;
		}
		if (!strcmp(view_string(e, "kind"), "phase")) {
			fprintf(f, "  %9d -- %s\n", (int)view_integer(e, "at"), view_string(e, "via"));
			continue;
		}
		fprintf(f, "  %9d %s%.*s%d%-*s %-10s %s %s\n", (int)view_integer(e, "at"),
			json_is_true(json_object_get(e, "root")) ? " " : "V", 2 * (int)view_integer(e, "cpl"), "      ",
			(int)view_integer(e, "cpl"), 7 - 2 * (int)view_integer(e, "cpl"), "", view_string(e, "kind"),
			strcmp(view_string(e, "kind"), "mode") != 0 ? view_string(e, "via") : view_string(e, "mode"),
			view_string(e, "why"));
	}
}
