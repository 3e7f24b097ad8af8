/* What the suites of the labs share. */
#ifndef ORRERY_TESTS_LABS_RIG_H
#define ORRERY_TESTS_LABS_RIG_H

#include <check.h>
#include "tests/suite.h"
#include "labs/labs.h"

static inline void open_builtin(struct lab *l, const struct lab_builtin *b)
{
	const struct lab_file *json = lab_file_find(b->files, "lab.json"), *text = lab_file_find(b->files, "text.md");
	struct errtext e;

	*l = (struct lab){.image = b->image, .image_bytes = (u64)(b->image_end - b->image)};
	ck_assert_msg(!lab_parse(l, b->name, json->data, (size_t)(json->end - json->data), (const char *)text->data,
				 (size_t)(text->end - text->data), &e),
		      "%s: %s", b->name, e.s);
}

/* What the built-in lab @name shows when it runs; the caller's. */
static inline json_t *run_of(const char *name)
{
	struct errtext e;
	struct lab l;

	open_builtin(&l, lab_builtin_find(name));
	json_t *run = lab_run(&l, &e);
	lab_free(&l);
	ck_assert_ptr_nonnull(run);
	return run;
}

#endif
