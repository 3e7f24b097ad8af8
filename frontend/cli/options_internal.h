/* Shared by options.c and option_handlers.c only. */
#ifndef ORRERY_CLI_OPTIONS_INTERNAL_H
#define ORRERY_CLI_OPTIONS_INTERNAL_H

#include <errno.h>
#include "frontend/cli/options.h"

enum option_group {
	G_MACHINE,
	G_BOOT,
	G_DRIVES,
	G_INPUT,
	G_DEVICES,
	G_CI,
	G_DEBUG,
	G_CONFIG,
	G_ACCEPTED,
	G_NOT_YET,
	G_COUNT
};

typedef int option_handler(struct cli *cli, const char *value);
#define OPTION(name, arg, group, handler, help) option_handler handler;
#include "frontend/cli/options.def"
#undef OPTION

/** Error text "-NAME: ..." Returns -EINVAL. */
int cli_bad(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** A file named without an option: a drive by its content, else the kernel. */
int cli_image(struct cli *cli, const char *path);
/** Gives drives their places and names. 0 or -EINVAL. */
int cli_settle_drives(struct cli *cli);
/** ", did you mean 'x'?" or an empty string, in @buf. */
const char *cli_did_you_mean(char *buf, size_t n, const char *word, const char *const *list);

/** A number of instructions with suffix K, M, G. False: it is none. */
bool cli_parse_insns(const char *text, u64 *n);
/** Does option @name say what the machine is? */
bool cli_defines_machine(const char *name);
/** The lines of @text, which is cut up, as of a -config file; @path is for messages. */
int cli_config_text(struct cli *cli, const char *path, char *text);
/** -loadvm without a machine: takes the options from the file. 0 or -EINVAL. */
int cli_settle_load(struct cli *cli);
/** After all options: pairs -net with -net nic, and adds the default card. 0 or -EINVAL. */
int cli_settle_net(struct cli *cli);

#define ORRERY_VERSION "0.1.0"

#endif
