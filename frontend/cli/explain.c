/* Why the processor shut down, or what it met last: on the terminal, and for the verdict. */
#include <stdlib.h>
#include "debug/debugger.h"
#include "debug/history.h"
#include "base/config.h"
#include "frontend/cli/options_internal.h"

int opt_history(struct cli *cli, const char *value)
{
	u64 n;

	if (parse_uint(value, &n) || !n || n > HISTORY_MAX)
		return cli_bad(cli, "-history %s: expected a number of instructions, 1 to %u", value, HISTORY_MAX);
	cli->history_n = (unsigned)n;
	return 0;
}

static void print(json_t *tree, FILE *out, const char *before)
{
	char *text = explain_to_text(tree);

	if (text && *text)
		fprintf(out, "%s%s", before, text);
	free(text);
}

static void keep_json(struct cli *cli, json_t *tree)
{
	if (!cli->verdict)
		return;
	free(cli->faults);
	cli->faults = view_to_json(tree, 0);
}

static const char *symbol_name(const void *symbols, u64 addr, char *buf, size_t n)
{
	*buf = 0;
	return symbols ? symbols_format(symbols, addr, buf, n) : buf;
}

void cli_shut_down(void *ctx, struct machine *m, unsigned cpu, FILE *out)
{
	struct cli *cli = ctx;
	const struct explain_names names = {symbol_name, cli->debugger ? dbg_symbols(cli->debugger) : NULL};
	json_t *tree = explain_shutdown(m, cpu, &names);

	if (cli->history)
		history_add(cli->history, tree, &names);

	print(tree, out, "orrery: warning: ");
	keep_json(cli, tree);
	json_decref(tree);
}

void cli_explain_hang(struct cli *cli, struct machine *m)
{
	json_t *tree = explain_last(m, 0, -1, NULL);

	if (json_array_size(json_object_get(tree, "chain"))) {
		print(tree, stderr, "orrery: the last exception before it stopped:\n");
		keep_json(cli, tree);
	}
	json_decref(tree);
}
