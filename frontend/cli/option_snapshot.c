/* -savevm, -loadvm, -record, -replay. */
#include "frontend/cli/options_internal.h"
#include "frontend/cli/exitcode.h"

#include <stdlib.h>
#include "machine/snapshot_file.h"

/* A path, and after ",KEY=" a number of instructions. */
static int path_and_insns(struct cli *cli, const char *option, const char *value, const char *key, const char **path, u64 *insns)
{
	char mark[32];
	snprintf(mark, sizeof(mark), ",%s=", key);
	char *text = cli_keep(cli, "%s", value), *at = text ? strstr(text, mark) : NULL;
	if (at) {
		*at = 0;
		if (!cli_parse_insns(at + strlen(mark), insns) || !*insns)
			return cli_bad(cli, "-%s %s: after %s= stands a number of instructions (200M)", option, value, key);
	}
	if (!text || !*text)
		return cli_bad(cli, "-%s: expected FILE[,%s=INSTRUCTIONS]", option, key);
	*path = text;
	return 0;
}

int opt_savevm(struct cli *cli, const char *value)
{
	return path_and_insns(cli, "savevm", value, "at", &cli->cfg.save_path, &cli->cfg.save_at);
}

int opt_loadvm(struct cli *cli, const char *value)
{
	cli->load = value;
	return 0;
}

int opt_record(struct cli *cli, const char *value)
{
	return path_and_insns(cli, "record", value, "every", &cli->record, &cli->record_every);
}

int opt_replay(struct cli *cli, const char *value)
{
	cli->replay = value;
	cli->cfg.replay = true;
	return 0;
}

/* Nothing says what machine it shall be: as it was when it was saved. */
int cli_settle_load(struct cli *cli)
{
	struct errtext e;
	for (unsigned i = 0; i < cli->given_count; i++)
		if (cli_defines_machine(cli->given[i].name))
			return 0;
	char *text = snapshot_file_options(cli->load, &e);
	if (!text) {
		cli->bad_status = EXIT_IMAGE;
		return cli_bad(cli, "-loadvm: %s", e.s);
	}
	int r = cli_config_text(cli, cli->load, text);
	free(text);
	return r;
}
