/* Every built-in lab observes what it says; descriptions with missing or wrong parts say which. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include "tests/labs/rig.h"

static int parse(struct lab *l, const char *json, struct errtext *e)
{
	*l = (struct lab){0};
	return lab_parse(l, "x", json, strlen(json), "", 0, e);
}

static void say_failures(const char *name, const json_t *grade)
{
	size_t i;
	json_t *c;

	json_array_foreach(json_object_get(grade, "checks"), i, c)
	{
		if (!json_is_true(json_object_get(c, "ok")))
			fprintf(stderr, "%s: %s.%s is %s, expected %s\n", name, json_string_value(json_object_get(c, "phase")),
				json_string_value(json_object_get(c, "key")), json_string_value(json_object_get(c, "observed")),
				json_string_value(json_object_get(c, "expected")));
	}
}

START_TEST(every_lab_observes_what_it_says)
{
	for (const struct lab_builtin *b = lab_builtins; b->name; b++) {
		struct lab l;
		struct errtext e;
		open_builtin(&l, b);
		json_t *run = lab_run(&l, &e);
		ck_assert_msg(run != NULL, "%s: %s", b->name, e.s);
		json_t *grade = lab_grade(&l, run);
		say_failures(b->name, grade);
		ck_assert_msg(json_is_true(json_object_get(grade, "passed")), "%s did not pass", b->name);
		json_decref(grade);
		json_decref(run);
		lab_free(&l);
	}
}
END_TEST

/* A question whose answer cannot be observed would leave the student alone. */
START_TEST(every_question_has_an_answer)
{
	for (const struct lab_builtin *b = lab_builtins; b->name; b++) {
		struct lab l;
		struct errtext e;
		size_t i;
		json_t *q, *value;
		open_builtin(&l, b);
		json_t *run = lab_run(&l, &e);
		ck_assert_ptr_nonnull(run);
		ck_assert_uint_ge(json_array_size(json_object_get(l.desc, "questions")), 3);
		json_array_foreach(json_object_get(l.desc, "questions"), i, q)
		{
			const json_t *choices = json_object_get(q, "choices");
			const char *label;
			bool offered = !choices;
			u64 v, w;
			ck_assert_msg(lab_value(run, json_string_value(json_object_get(q, "phase")),
						json_string_value(json_object_get(q, "key")), &v),
				      "%s: question %zu", b->name, i + 1);
			json_object_foreach((json_t *)choices, label, value) offered |= lab_number(value, &w) && w == v;
			ck_assert_msg(offered, "%s: question %zu: the answer %llu is not among the choices", b->name, i + 1,
				      (unsigned long long)v);
		}
		json_decref(run);
		lab_free(&l);
	}
}
END_TEST

START_TEST(two_runs_are_the_same)
{
	struct lab l;
	struct errtext e;

	open_builtin(&l, &lab_builtins[0]);
	json_t *a = lab_run(&l, &e), *b = lab_run(&l, &e);
	ck_assert(json_equal(a, b));
	json_decref(a);
	json_decref(b);
	lab_free(&l);
}
END_TEST

START_TEST(wrong_descriptions_are_explained)
{
	static const struct {
		const char *json, *says;
	} bad[] = {
	    {"", "lab.json:1:"},
	    {"{\n\"title\": \"x\",\n\"mode\" 32}", "lab.json:3:"},
	    {"[]", "must be an object"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"probes\": []}", "probes: must be an object"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"probes\": {\"event\": []}}", "did you mean 'events'?"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"probes\": {\"events\": [\"rings\"]}}", "probes.events[0]: must be ring,"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"probes\": {\"counters\": [\"insns\", \"falt.PF\"]}}",
	     "probes.counters[1]: must be a counter"},
	    {"{\"mode\": 32, \"budget\": 1000, \"expect\": []}", "title: missing"},
	    {"{\"title\": \"x\", \"budget\": 1000}", "mode: missing"},
	    {"{\"title\": \"x\", \"mode\": 33, \"budget\": 1000}", "mode: must be 32 or 64"},
	    {"{\"title\": \"x\", \"mode\": 32}", "budget: missing"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1}", "budget: must be a number from 1000"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"bugdet\": 3}", "bugdet: unknown, did you mean 'budget'?"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000}", "expect: must be a list"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": [{\"phase\": \"a\", \"key\": \"b\"}]}", "expect[0].why: missing"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": [{\"phase\": \"a\", \"key\": \"b\", \"why\": \"c\"}]}",
	     "expect[0]: says nothing"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": [{\"phase\": \"a\", \"key\": \"b\", \"why\": \"c\", \"is\": \"q\"}]}",
	     "expect[0].is: must be a number"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": [{\"phase\": \"a\", \"key\": \"b\", \"why\": \"c\", \"is\": 1}], "
	     "\"questions\": [{\"ask\": \"?\"}]}",
	     "questions[0].phase: missing"},
	    {"{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": [{\"phase\": \"a\", \"key\": \"b\", \"why\": \"c\", \"same_as\": 1}]}",
	     "expect[0].same_as.phase: missing"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct lab l;
		struct errtext e;
		ck_assert_int_ne(parse(&l, bad[i].json, &e), 0);
		ck_assert_msg(strstr(e.s, bad[i].says) != NULL, "%zu: '%s' lacks '%s'", i, e.s, bad[i].says);
		lab_free(&l);
	}
}
END_TEST

/* The timeline holds what the probes name (and exceptions), the table of phases their counters. */
START_TEST(probes_choose_what_is_watched)
{
	struct lab l;
	struct errtext e;
	size_t i;
	json_t *ev;

	open_builtin(&l, lab_builtin_find("sensitive"));
	json_object_set_new(l.desc, "probes", json_pack("{s:[s], s:[s]}", "events", "vmexit", "counters", "fault.*"));
	json_t *run = lab_run(&l, &e), *t = lab_watched(&l, run);
	json_array_foreach(json_object_get(run, "timeline"), i, ev)
	{
		const char *kind = json_string_value(json_object_get(ev, "kind"));
		ck_assert_msg(!strcmp(kind, "vmexit") || !strcmp(kind, "exception") || !strcmp(kind, "phase"), "%s", kind);
	}
	ck_assert_uint_gt(i, 10);
	ck_assert_uint_eq(json_array_size(json_object_get(t, "head")), 2); /* phase, fault.GP */
	ck_assert_uint_ge(json_array_size(json_object_get(t, "rows")), 6);
	json_decref(t);
	json_decref(run);
	lab_free(&l);
}
END_TEST

START_TEST(what_was_not_seen_is_not_passed)
{
	static const char *const json =
	    "{\"title\": \"x\", \"mode\": 32, \"budget\": 1000, \"expect\": ["
	    "{\"phase\": \"a\", \"key\": \"n\", \"is\": 5, \"why\": \"w\"}, {\"phase\": \"a\", \"key\": \"faults\", \"max\": 0, \"why\": \"w\"},"
	    "{\"phase\": \"b\", \"key\": \"n\", \"is\": 5, \"why\": \"w\"}, {\"phase\": \"a\", \"key\": \"m\", \"is\": 0, \"why\": \"w\"},"
	    "{\"phase\": \"a\", \"key\": \"n\", \"more_than\": {\"phase\": \"a\", \"key\": \"faults\"}, \"why\": \"w\"}]}";
	struct lab l;
	struct errtext e;
	static const bool want[] = {true, true, false, false, true};

	ck_assert_int_eq(parse(&l, json, &e), 0);
	json_t *run = json_loads("{\"end\": {\"reason\": \"finished\"}, \"phases\": [{\"name\": \"a\", \"obs\": {\"n\": 5}, \"counts\": {}}]}", 0,
				 NULL);
	json_t *g = lab_grade(&l, run);
	for (unsigned i = 0; i < 5; i++)
		ck_assert_int_eq(json_is_true(json_object_get(json_array_get(json_object_get(g, "checks"), i), "ok")), want[i]);
	ck_assert(!json_is_true(json_object_get(g, "passed")));
	ck_assert_int_eq(json_integer_value(json_object_get(g, "score")), 4);
	json_decref(g);
	json_decref(run);
	lab_free(&l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("labs");
	TCase *t = tcase_create("labs");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, every_lab_observes_what_it_says);
	tcase_add_test(t, every_question_has_an_answer);
	tcase_add_test(t, two_runs_are_the_same);
	tcase_add_test(t, wrong_descriptions_are_explained);
	tcase_add_test(t, probes_choose_what_is_watched);
	tcase_add_test(t, what_was_not_seen_is_not_passed);
	suite_add_tcase(s, t);
	return run_suite(s);
}
