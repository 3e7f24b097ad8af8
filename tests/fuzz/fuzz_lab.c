/* Any bytes as lab.json: taken or refused with a message; what is taken can be graded, shown and drawn against a run that saw nothing. */
#include <stdlib.h>
#include "labs/labs.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct lab l = {0};
	struct errtext e = {""};
	char *text = NULL;
	size_t n;

	if (lab_parse(&l, "x", data, size, (const char *)data, size, &e)) {
		if (!*e.s)
			abort();
		return 0;
	}
	json_t *run = json_loads("{\"end\": {\"reason\": \"finished\"}, \"title\": \"x\", \"output\": \"\", \"phases\": "
				 "[{\"name\": \"a\", \"obs\": {\"n\": 5}, \"counts\": {\"insns\": 7}}]}",
				 0, NULL);
	json_t *grade = lab_grade(&l, run);
	FILE *f = open_memstream(&text, &n);
	lab_html(f, &l, run, grade);
	json_t *tables = lab_tables(&l, run);
	lab_print_tables(f, tables);
	fclose(f);
	free(text);
	json_decref(tables);
	json_decref(grade);
	json_decref(run);
	lab_free(&l);
	return 0;
}
