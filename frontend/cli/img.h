/* `orrery img ...`: disk images without a machine. */
#ifndef ORRERY_CLI_IMG_H
#define ORRERY_CLI_IMG_H

#include <stdio.h>

/** Carries out "info FILE", "check [-r] FILE", "create [-f FORMAT] FILE SIZE" or "convert [-f
 * FORMAT] [-O FORMAT] FROM TO".
 * @argv: behind the word img. The exit status: 0, EXIT_USAGE, EXIT_IMAGE. */
int img_main(int argc, char *const *argv, FILE *out, FILE *errors);

#endif
