/* What every Check suite ends with. */
#ifndef ORRERY_TESTS_SUITE_H
#define ORRERY_TESTS_SUITE_H

#include <check.h>

/* Runs @s and tells in the exit status of main() whether all was well. */
static inline int run_suite(Suite *s)
{
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

#endif
