/* `orrery lab ...`: the teaching sandbox in a terminal, and its unattended grading. docs/teaching.md. */
#ifndef ORRERY_CLI_LAB_H
#define ORRERY_CLI_LAB_H

#include "labs/labs.h"

/**
 * Carries out "" (list), "NAME|FOLDER [-verdict F] [-html F] [-json F] [-svg WHAT F] [-q] [-window]", "new NAME [-from LAB]". @argv: behind
 * the word lab. The exit status: 0, EXIT_LAB (something was not observed as expected), EXIT_USAGE, EXIT_IMAGE (a folder
 * with missing or wrong parts). @window: lab_window(), NULL in builds without one.
 */
int lab_main(int argc, char *const *argv, FILE *in, FILE *out, FILE *errors, int (*window)(const struct lab *l, struct errtext *e));

/* A lab in a folder, built on the spot (lab_build.c). */
struct lab_folder {
	char *json, *text;
	u8 *image;
	size_t json_n, text_n;
	u64 image_n;
};
/** Reads @path/lab.json and text.md. 0, or -errno with a message that names the part. */
MUST_CHECK int lab_folder_read(struct lab_folder *d, const char *path, struct errtext *e);
/** Builds the guest of the checked lab @l with gcc. -ENOEXEC: the compiler's messages are in @e, as far as they fit. */
MUST_CHECK int lab_folder_build(struct lab_folder *d, const char *path, const struct lab *l, struct errtext *e);
void lab_folder_free(struct lab_folder *d);
/** Makes the folder @name with a working lab: a skeleton, or a copy of the built-in lab @from. 0 or -errno with a message. */
MUST_CHECK int lab_folder_new(const char *name, const struct lab_builtin *from, struct errtext *e);

#endif
