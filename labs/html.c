/* The report: one page that needs nothing else. See labs.h. */
#include <stdlib.h>
#include <string.h>
#include "labs/labs.h"
#include "debug/canvas.h"
#include "debug/view.h"
#include "labs/markup.h"

/* ---- a little Markdown ----------------------------------------------------------------------- */

static void inline_text(FILE *f, const char *s, size_t n)
{
	bool code = false, bold = false, slant = false;

	for (size_t i = 0; i < n; i++) {
		char one[2] = {s[i], 0};
		if (s[i] == '`') {
			fputs(code ? "</code>" : "<code>", f);
			code = !code;
		} else if (!code && s[i] == '*' && i + 1 < n && s[i + 1] == '*') {
			fputs(bold ? "</b>" : "<b>", f);
			bold = !bold;
			i++;
		} else if (!code && s[i] == '*' && (slant || ((!i || strchr(" (\n", s[i - 1])) && i + 1 < n && s[i + 1] != ' '))) {
			fputs(slant ? "</i>" : "<i>", f);
			slant = !slant;
		} else {
			markup_escape(f, one);
		}
	}
	fputs(code ? "</code>" : "", f);
	fputs(slant ? "</i>" : "", f);
	fputs(bold ? "</b>" : "", f);
}

enum markup { B_NONE, B_P, B_LIST, B_CODE, B_FENCE };

static void change(FILE *f, enum markup *b, enum markup to)
{
	static const char *const open[] = {"", "<p>", "<ul>", "<pre>", "<pre>"}, *const shut[] = {"", "</p>\n", "</ul>\n",
												  "</pre>\n", "</pre>\n"};

	if (*b == to)
		return;
	fputs(shut[*b], f);
	fputs(open[to], f);
	*b = to;
}

void markup_text(FILE *f, const char *md)
{
	enum markup b = B_NONE;

	while (*md) {
		size_t n = strcspn(md, "\n"), level = 0;
		if (!strncmp(md, "```", 3)) {
			change(f, &b, b == B_FENCE ? B_NONE : B_FENCE);
		} else if (b == B_FENCE || (n > 4 && !strncmp(md, "    ", 4) && b != B_LIST && b != B_P)) {
			change(f, &b, b == B_FENCE ? B_FENCE : B_CODE);
			for (size_t i = b == B_FENCE ? 0 : 4; i < n; i++)
				markup_escape(f, (char[]){md[i], 0});
			fputc('\n', f);
		} else if (*md == '#') {
			change(f, &b, B_NONE);
			while (md[level] == '#' && level < 4)
				level++;
			fprintf(f, "<h%zu>", level + 1);
			inline_text(f, md + level, n - level);
			fprintf(f, "</h%zu>\n", level + 1);
		} else if (n > 2 && !strncmp(md, "- ", 2)) {
			change(f, &b, B_LIST);
			fputs("<li>", f);
			inline_text(f, md + 2, n - 2);
			fputc('\n', f);
		} else if (!n) {
			change(f, &b, B_NONE);
		} else {
			change(f, &b, b == B_LIST ? B_LIST : B_P);
			inline_text(f, md, n);
			fputc('\n', f);
		}
		md += n + (md[n] == '\n');
	}
	change(f, &b, B_NONE);
}

/* ---- the page ---------------------------------------------------------------------------------- */

static const char head[] =
    "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
    "<style>body{font:16px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.l td,.l th{text-align:left}pre,code{background:#f4f4f2}pre{padding:.6rem;overflow:auto}"
    ".ok{color:#1e8449}.no{color:#c0392b;font-weight:bold}.pic{overflow-x:auto;border:1px solid #ddd;margin:1rem 0}"
    "details{margin:.6rem 0;border-left:4px solid #2471a3;padding-left:.8rem}summary{cursor:pointer}.pic svg{display:block}"
    ".verdict{padding:.6rem 1rem;border-radius:6px}.pass{background:#e8f6ef}.fail{background:#fdedec}</style><title>";

static void questions(FILE *f, const struct lab *l, const json_t *run)
{
	const json_t *list = json_object_get(l->desc, "questions");
	size_t i;
	json_t *q, *value;
	const char *label;

	if (!json_array_size(list))
		return;
	fputs("<h2>Questions</h2><p>Decide before you open one.</p>", f);
	json_array_foreach((json_t *)list, i, q)
	{
		u64 v, w;
		bool have = lab_value(run, view_string(q, "phase"), view_string(q, "key"), &v);
		fputs("<details><summary>", f);
		inline_text(f, view_string(q, "ask"), strlen(view_string(q, "ask")));
		fputs("</summary><p><b>Observed:</b> ", f);
		if (!have)
			fputs("nothing; the guest did not come to it", f);
		else if (!json_object_get(q, "choices"))
			fprintf(f, "%llu", (unsigned long long)v);
		json_object_foreach(json_object_get(q, "choices"), label, value)
		{
			if (have && lab_number(value, &w) && w == v)
				markup_escape(f, label);
		}
		fputs("</p><p>", f);
		inline_text(f, view_string(q, "why"), strlen(view_string(q, "why")));
		fputs("</p></details>", f);
	}
}

static void table(FILE *f, const json_t *t)
{
	size_t j, k;
	json_t *row, *c;

	fputs("<table><tr>", f);
	json_array_foreach(json_object_get(t, "head"), k, c)
	{
		fputs("<th>", f);
		markup_escape(f, json_string_value(c));
	}
	json_array_foreach(json_object_get(t, "rows"), j, row)
	{
		fputs("<tr>", f);
		json_array_foreach(row, k, c)
		{
			fputs("<td>", f);
			markup_escape(f, json_string_value(c));
		}
	}
	fputs("</table>\n", f);
}

static void tables(FILE *f, const struct lab *l, const json_t *run)
{
	json_t *all = lab_tables(l, run), *watched = lab_watched(l, run), *t;
	size_t i;

	json_array_foreach(all, i, t)
	{
		fputs("<h2>", f);
		markup_escape(f, view_string(t, "title"));
		fputs("</h2>", f);
		table(f, t);
	}
	if (json_array_size(json_object_get(watched, "rows"))) {
		fprintf(f, "<details><summary>%s</summary><div class='pic'>", view_string(watched, "title"));
		table(f, watched);
		fputs("</div></details>\n", f);
	}
	json_decref(watched);
	json_decref(all);
}

/* One picture; false: there is none. */
static bool picture(FILE *f, const json_t *run, const char *title, const char *what, unsigned n)
{
	char *svg = lab_svg(run, what, n);
	if (!svg)
		return false;
	if (*title)
		fprintf(f, "<h3>%s</h3>", title);
	fprintf(f, "<div class='pic'>%s</div>\n", svg);
	free(svg);
	return true;
}

static void pictures(FILE *f, const json_t *run)
{
	fputs("<h2>What was seen</h2>\n", f);
	picture(f, run, "The rings, and every way between them", "rings", 0);
	picture(f, run, "Ring by ring, event by event", "timeline", 0);
	picture(f, run, "Exits and faults", "exits", 0);
	for (unsigned i = 0; i < 32; i++)
		picture(f, run, i ? "" : "Page walks", "walk", i);
	for (unsigned i = 0; i < 32; i++)
		picture(f, run, i ? "" : "Memory maps", "map", i);
}

/* The tables of the processor at the instants the guest chose. */
static void shows(FILE *f, const json_t *run)
{
	static const char *const what[] = {LAB_VIEWS};
	for (unsigned k = 5; k < ARRAY_SIZE(what); k++)
		for (unsigned n = 0; n < 32; n++) {
			json_t *v = lab_view(run, what[k], n);
			if (!v)
				break;
			fprintf(f, "<details><summary>%s", what[k]);
			markup_escape(f, view_string(v, "_where"));
			fputs("</summary>", f);
			picture(f, run, "", what[k], n);
			fputs("</details>\n", f);
			json_decref(v);
		}
}

static void checks(FILE *f, const json_t *grade)
{
	size_t i, j;
	json_t *c, *fault;

	fputs("<h2>Expected and observed</h2><table class='l'><tr><th>phase<th>what<th>expected<th>observed<th>why\n", f);
	json_array_foreach(json_object_get(grade, "checks"), i, c)
	{
		static const char *const keys[] = {"phase", "key", "expected", "observed"};
		fputs("<tr>", f);
		for (unsigned k = 0; k < 4; k++) {
			fprintf(f, "<td%s>", k < 3                                       ? ""
					     : json_is_true(json_object_get(c, "ok")) ? " class='ok'"
										      : " class='no'");
			markup_escape(f, view_string(c, keys[k]));
		}
		fputs("<td>", f);
		inline_text(f, view_string(c, "why"), strlen(view_string(c, "why")));
		json_array_foreach(json_object_get(c, "faults"), j, fault)
		{
			fputs("<br>There was ", f);
			markup_escape(f, json_string_value(fault));
		}
	}
	fputs("</table>\n", f);
	json_array_foreach(json_object_get(grade, "explanations"), i, c)
	{
		fputs("<h3>The first exception of ", f);
		markup_escape(f, view_string(c, "phase"));
		fputs(", which was not as expected</h3><pre>", f);
		markup_escape(f, view_string(c, "text"));
		fputs("</pre>\n", f);
	}
}

void lab_html(FILE *f, const struct lab *l, const json_t *run, const json_t *grade)
{
	const json_t *end = json_object_get(run, "end");
	bool passed = json_is_true(json_object_get(grade, "passed"));

	fputs(head, f);
	markup_escape(f, view_string(run, "title"));
	fputs("</title></head><body><h1>", f);
	markup_escape(f, view_string(run, "title"));
	fprintf(f, "</h1><div class='verdict %s'>%d of %d as expected. The guest ended: ", passed ? "pass" : "fail",
		(int)view_integer(grade, "score"), (int)view_integer(grade, "of"));
	markup_escape(f, view_string(end, "reason"));
	fprintf(f, ", after %lld instructions.", (long long)json_integer_value(json_object_get(end, "instructions")));
	if (*view_string(end, "explanation")) {
		fputs("<pre>", f);
		markup_escape(f, view_string(end, "explanation"));
		fputs("</pre>", f);
	}
	fputs("</div>\n", f);
	markup_text(f, l->text);
	questions(f, l, run);
	tables(f, l, run);
	pictures(f, run);
	shows(f, run);
	fputs("<h2>What the guest printed</h2><pre>", f);
	markup_escape(f, view_string(run, "output"));
	fputs("</pre>\n", f);
	checks(f, grade);
	fputs("</body></html>\n", f);
}
