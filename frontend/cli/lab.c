/* The teaching sandbox in a terminal: prediction, run, observation, explanation; grading; reports. See lab.h. */
#define _GNU_SOURCE
#include "frontend/cli/lab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/config.h"
#include "base/host.h"
#include "debug/view.h"
#include "frontend/cli/exitcode.h"

struct session {
	FILE *in, *out, *errors;
	const char *name, *verdict, *html, *json, *svg, *svg_file, *from;
	bool quiet, colour, asks, in_window;
	int (*window)(const struct lab *l, struct errtext *e);
	u64 right, asked;
};

static int usage(struct session *s, const char *what)
{
	fprintf(s->errors,
		"orrery: lab: %s\n"
		"usage: orrery lab                        the labs\n"
		"       orrery lab NAME|FOLDER            read, predict, run, see, understand\n"
		"           [-q]                          only what was observed\n"
		"           [-verdict F.json]             graded, unattended; status 0 if all was as expected, %d if not\n"
		"           [-html F.html]                a report with pictures, for a browser\n"
		"           [-json F.json]                everything that was recorded\n"
		"           [-svg VIEW F.svg]             rings, timeline, exits, walk; map, gdt, idt, tss, vmcs where the guest shows them\n"
		"           [-window]                     all of it in a window, with pictures\n"
		"       orrery lab new FOLDER [-from NAME] a folder with a working lab to change\n"
		"       orrery lab -common                what a guest may use (lab.h)\n",
		what, EXIT_LAB);
	return EXIT_USAGE;
}

static const char *paint(const struct session *s, const char *code)
{
	return s->colour ? code : "";
}
#define BOLD(s) paint(s, "\033[1m")
#define GREEN(s) paint(s, "\033[32m")
#define RED(s) paint(s, "\033[31m")
#define PLAIN(s) paint(s, "\033[0m")

static void heading(const struct session *s, const char *t)
{
	fprintf(s->out, "\n%s== %s ==%s\n", BOLD(s), t, PLAIN(s));
}

/* ---- questions --------------------------------------------------------------------------------- */

struct answer {
	bool given;
	u64 value;
};

/* A line from whoever sits there; false: nobody does. */
static bool read_line(struct session *s, char *buf, size_t n)
{
	fflush(s->out);
	if (!fgets(buf, (int)n, s->in))
		return false;
	buf[strcspn(buf, "\n")] = 0;
	return true;
}

static void wait_enter(struct session *s, const char *what)
{
	char buf[80];

	if (!s->colour || !s->asks)
		return;
	fprintf(s->out, "\n[Enter: %s] ", what);
	s->asks = read_line(s, buf, sizeof(buf));
}

static struct answer ask(struct session *s, const json_t *q, unsigned number)
{
	const json_t *choices = json_object_get(q, "choices");
	struct answer a = {0};
	const char *label;
	json_t *value;
	unsigned i = 0;
	char line[200];

	fprintf(s->out, "\n%s%u.%s %s\n", BOLD(s), number, PLAIN(s), view_string(q, "ask"));
	json_object_foreach((json_t *)choices, label, value) fprintf(s->out, "     %u) %s\n", ++i, label);
	while (s->asks) {
		fprintf(s->out, "   your prediction (%s, or Enter for none): ", choices ? "its number" : "a number");
		if (!(s->asks = read_line(s, line, sizeof(line))) || !*line)
			break;
		if ((a.given = lab_prediction(q, line, &a.value)))
			break;
		fprintf(s->out, "   '%s' is not one of them\n", line);
	}
	return a;
}

static void print_value(struct session *s, const json_t *choices, u64 v)
{
	const char *label;
	json_t *value;
	u64 w;

	json_object_foreach((json_t *)choices, label, value)
	{
		if (lab_number(value, &w) && w == v) {
			fputs(label, s->out);
			return;
		}
	}
	fprintf(s->out, v > 0xffff ? "0x%llx" : "%llu", (unsigned long long)v);
}

static void explain(struct session *s, const json_t *run, const json_t *q, const struct answer *a, unsigned number)
{
	const json_t *choices = json_object_get(q, "choices");
	u64 v;
	bool have = lab_value(run, view_string(q, "phase"), view_string(q, "key"), &v);

	fprintf(s->out, "\n%s%u.%s %s\n   observed: ", BOLD(s), number, PLAIN(s), view_string(q, "ask"));
	if (have)
		print_value(s, choices, v);
	else
		fprintf(s->out, "nothing: the guest did not come to it");
	if (have && a->given) {
		bool right = a->value == v;
		s->asked++;
		s->right += right;
		fprintf(s->out, "   %s%s%s", right ? GREEN(s) : RED(s), right ? "as you said" : "you said ", PLAIN(s));
		if (!right)
			print_value(s, choices, a->value);
	}
	fprintf(s->out, "\n   %s\n", view_string(q, "why"));
}

/* ---- results ------------------------------------------------------------------------------------- */

static void print_checks(struct session *s, const json_t *grade, bool all)
{
	size_t i, k;
	json_t *c, *fault;

	json_array_foreach(json_object_get(grade, "checks"), i, c)
	{
		bool ok = json_is_true(json_object_get(c, "ok"));
		if (ok && !all)
			continue;
		fprintf(s->out, "  %s%s%s %s: %s is %s", ok ? GREEN(s) : RED(s), ok ? "ok" : "NO", PLAIN(s),
			view_string(c, "phase"), view_string(c, "key"), view_string(c, "observed"));
		if (!ok)
			fprintf(s->out, "; expected %s\n     %s", view_string(c, "expected"), view_string(c, "why"));
		fputc('\n', s->out);
		json_array_foreach(json_object_get(c, "faults"), k, fault)
		    fprintf(s->out, "     there was %s\n", json_string_value(fault));
	}
	json_array_foreach(json_object_get(grade, "explanations"), i, c)
	    fprintf(s->out, "\nThe first exception of %s, which was not as expected:\n%s", view_string(c, "phase"),
		    view_string(c, "text"));
}

static void print_end(struct session *s, const json_t *run, const json_t *grade)
{
	const json_t *end = json_object_get(run, "end");

	fprintf(s->out, "\nThe guest ended: %s, after %lld instructions.\n", view_string(end, "reason"),
		(long long)json_integer_value(json_object_get(end, "instructions")));
	if (*view_string(end, "explanation"))
		fprintf(s->out, "%s\n", view_string(end, "explanation"));
	if (*view_string(end, "note"))
		fprintf(s->out, "Note: %s\n", view_string(end, "note"));
	if (json_integer_value(json_object_get(run, "output_dropped")))
		fprintf(s->out, "It printed %lld bytes more than are kept.\n",
			(long long)json_integer_value(json_object_get(run, "output_dropped")));
	fprintf(s->out, "%s%lld of %lld as expected%s\n", json_is_true(json_object_get(grade, "passed")) ? GREEN(s) : RED(s),
		(long long)json_integer_value(json_object_get(grade, "score")),
		(long long)json_integer_value(json_object_get(grade, "of")), PLAIN(s));
}

static void observations(struct session *s, const struct lab *l, const json_t *run, const json_t *grade)
{
	json_t *tables = lab_tables(l, run);

	if (*view_string(run, "output")) {
		heading(s, "What the guest printed");
		fputs(view_string(run, "output"), s->out);
	}
	heading(s, "Observation");
	if (json_array_size(json_object_get(run, "edges"))) {
		fputs("\nchanges of ring\n", s->out);
		lab_print_rings(s->out, run);
	}
	lab_print_walks(s->out, run);
	lab_print_tables(s->out, tables);
	json_decref(tables);
	if (s->quiet) {
		json_t *watched = json_array();
		json_array_append_new(watched, lab_watched(l, run));
		lab_print_tables(s->out, watched);
		json_decref(watched);
	}
	print_end(s, run, grade);
	print_checks(s, grade, false);
}

/* Prediction, run, observation, explanation. */
static json_t *guided(struct session *s, const struct lab *l, json_t **grade, struct errtext *e)
{
	const json_t *questions = json_object_get(l->desc, "questions");
	size_t n = json_array_size(questions), i;
	struct answer *answers = calloc(n + 1, sizeof(*answers));

	fprintf(s->out, "%s%s%s\n\n%s", BOLD(s), view_string(l->desc, "title"), PLAIN(s), l->text);
	wait_enter(s, "the questions");
	heading(s, "Prediction");
	for (i = 0; answers && i < n; i++)
		answers[i] = ask(s, json_array_get(questions, i), (unsigned)i + 1);
	wait_enter(s, "run the guest");
	json_t *run = lab_run(l, e);
	if (run) {
		*grade = lab_grade(l, run);
		observations(s, l, run, *grade);
		fputs("\nthe first events (ring; V: in the virtual machine)\n", s->out);
		lab_print_timeline(s->out, run, 24);
		wait_enter(s, "the explanation");
		heading(s, "Explanation");
		for (i = 0; answers && i < n; i++)
			explain(s, run, json_array_get(questions, i), &answers[i], (unsigned)i + 1);
		if (s->asked)
			fprintf(s->out, "\nYou predicted %llu of %llu.\n", (unsigned long long)s->right,
				(unsigned long long)s->asked);
	}
	free(answers);
	return run;
}

/* ---- files --------------------------------------------------------------------------------------- */

static int write_file(struct session *s, const char *path, char *data, size_t n)
{
	int r = data ? host_file_write_atomic(path, data, n) : -ENOMEM;

	if (r)
		fprintf(s->errors, "orrery: lab: %s: %s\n", path, strerror(-r));
	free(data);
	return r ? EXIT_USAGE : 0;
}

static int write_json(struct session *s, const char *path, const json_t *j)
{
	char *data = view_to_json(j, 2);
	return write_file(s, path, data, data ? strlen(data) : 0);
}

static int write_html(struct session *s, const struct lab *l, const json_t *run, const json_t *grade)
{
	char *data = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&data, &n);

	if (f) {
		lab_html(f, l, run, grade);
		fclose(f);
	}
	return write_file(s, s->html, data, n);
}

static int write_svg(struct session *s, const json_t *run)
{
	char *data = lab_svg(run, s->svg, 0);

	if (data)
		return write_file(s, s->svg_file, data, strlen(data));
	fprintf(s->errors, "orrery: lab: -svg %s: there is nothing of that to draw here\n", s->svg);
	return EXIT_USAGE;
}

/* A verdict where there was no run. */
static int broken(struct session *s, int err, const struct errtext *e)
{
	fprintf(s->errors, "orrery: lab: %s\n", e->s);
	if (s->verdict) {
		json_t *v = json_pack("{s:s, s:b, s:s}", "lab", s->name, "passed", 0, "error", e->s);
		write_json(s, s->verdict, v);
		json_decref(v);
	}
	return err == -ENOMEM ? EXIT_INTERNAL : EXIT_IMAGE;
}

static int run_lab(struct session *s, const struct lab *l)
{
	struct errtext e;
	json_t *grade = NULL, *run;
	int status = 0, r;

	if (s->in_window) {
		if (!s->window)
			return usage(s, "-window: this build has no window (package libsdl2-dev)");
		return (r = s->window(l, &e)) ? broken(s, r, &e) : 0;
	}
	if (s->quiet || s->verdict || s->html || s->json || s->svg) {
		if ((run = lab_run(l, &e)))
			grade = lab_grade(l, run);
		if (run && s->quiet)
			observations(s, l, run, grade);
		else if (run)
			print_checks(s, grade, false);
	} else {
		run = guided(s, l, &grade, &e);
	}
	if (!run)
		return broken(s, -EINVAL, &e);
	if (!json_is_true(json_object_get(grade, "passed")))
		status = EXIT_LAB;
	if (s->verdict && (r = write_json(s, s->verdict, grade)))
		status = r;
	if (s->json && (r = write_json(s, s->json, run)))
		status = r;
	if (s->html && (r = write_html(s, l, run, grade)))
		status = r;
	if (s->svg && (r = write_svg(s, run)))
		status = r;
	json_decref(grade);
	json_decref(run);
	return status;
}

static int run_builtin(struct session *s, const struct lab_builtin *b)
{
	const struct lab_file *json = lab_file_find(b->files, "lab.json"), *page = lab_file_find(b->files, "text.md");
	struct lab l = {.image = b->image, .image_bytes = (u64)(b->image_end - b->image)};
	struct errtext e;
	int r = lab_parse(&l, b->name, json->data, (size_t)(json->end - json->data), (const char *)page->data,
			  (size_t)(page->end - page->data), &e);

	if (r)
		return broken(s, r, &e);
	r = run_lab(s, &l);
	lab_free(&l);
	return r;
}

static int run_folder(struct session *s)
{
	struct lab_folder d;
	struct lab l = {0};
	struct errtext e;
	const char *slash = strrchr(s->name, '/');
	int r = lab_folder_read(&d, s->name, &e);

	if (!r)
		r = lab_parse(&l, slash && slash[1] ? slash + 1 : s->name, d.json, d.json_n, d.text, d.text_n, &e);
	if (!r)
		r = lab_folder_build(&d, s->name, &l, &e);
	l.image = d.image;
	l.image_bytes = d.image_n;
	r = r ? broken(s, r, &e) : run_lab(s, &l);
	lab_free(&l);
	lab_folder_free(&d);
	return r;
}

static int list(struct session *s)
{
	struct errtext e;

	for (const struct lab_builtin *b = lab_builtins; b->name; b++) {
		const struct lab_file *json = lab_file_find(b->files, "lab.json");
		struct lab l = {0};
		if (lab_parse(&l, b->name, json->data, (size_t)(json->end - json->data), "", 0, &e))
			fprintf(s->out, "  %-12s %s\n", b->name, e.s);
		else
			fprintf(s->out, "  %-12s %s\n               %s\n", b->name, view_string(l.desc, "title"),
				view_string(l.desc, "about"));
		lab_free(&l);
	}
	return 0;
}

static int new_lab(struct session *s, const char *name)
{
	const struct lab_builtin *from = s->from ? lab_builtin_find(s->from) : NULL;
	struct errtext e;

	if (s->from && !from)
		return usage(s, "-from names a lab that does not exist");
	if (lab_folder_new(name, from, &e)) {
		fprintf(s->errors, "orrery: lab: %s\n", e.s);
		return EXIT_USAGE;
	}
	fprintf(s->out, "%s: made. Change it, and run it with: orrery lab %s%s\n", name, strchr(name, '/') ? "" : "./", name);
	return 0;
}

static bool parse(struct session *s, int argc, char *const *argv, int from)
{
	static const char *const pictures[] = {LAB_VIEWS, NULL};
	const struct {
		const char *name, **to;
	} files[] = {{"-verdict", &s->verdict}, {"-html", &s->html}, {"-json", &s->json}, {"-from", &s->from}};

	for (int i = from; i < argc; i++) {
		const char *o = argv[i] + (argv[i][0] == '-' && argv[i][1] == '-');
		unsigned k = 0, p = 0;
		while (k < ARRAY_SIZE(files) && strcmp(files[k].name, o))
			k++;
		if (k < ARRAY_SIZE(files) && i + 1 < argc) {
			*files[k].to = argv[++i];
		} else if (!strcmp(o, "-svg") && i + 2 < argc) {
			while (pictures[p] && strcmp(pictures[p], argv[i + 1]))
				p++;
			s->svg = pictures[p];
			s->svg_file = argv[i + 2];
			i += 2;
			if (!s->svg)
				return false;
		} else if (!strcmp(o, "-q")) {
			s->quiet = true;
		} else if (!strcmp(o, "-window")) {
			s->in_window = true;
		} else {
			return false;
		}
	}
	return true;
}

int lab_main(int argc, char *const *argv, FILE *in, FILE *out, FILE *errors, int (*window)(const struct lab *l, struct errtext *e))
{
	struct session s = {.in = in, .out = out, .errors = errors, .asks = true, .window = window};
	const struct lab_builtin *b;

	s.colour = isatty(fileno(in)) && fileno(out) >= 0 && isatty(fileno(out));
	if (!argc)
		return list(&s);
	if (!strcmp(argv[0], "-common")) {
		const struct lab_file *h = lab_file_find(lab_common, "lab.h");
		fwrite(h->data, 1, (size_t)(h->end - h->data), out);
		return 0;
	}
	if (!strcmp(argv[0], "new")) {
		if (argc < 2 || argv[1][0] == '-' || !parse(&s, argc, argv, 2))
			return usage(&s, "new: what is the folder to be called?");
		return new_lab(&s, argv[1]);
	}
	if (argv[0][0] == '-' || !parse(&s, argc, argv, 1))
		return usage(&s, "an unknown option, or one without its value");
	s.name = argv[0];
	if ((b = lab_builtin_find(s.name)))
		return run_builtin(&s, b);
	return run_folder(&s);
}
