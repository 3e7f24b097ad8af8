/* The option table at work: parsing, --help, configuration files. See options.h. */
#define _GNU_SOURCE
#include "frontend/cli/options_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include "base/config.h"
#include "base/host.h"
#include "base/keymap.h"
#include "configs/configs.h"
#include "frontend/cli/exitcode.h"

#define CONFIG_MAX_BYTES (1u << 20)
#define CONFIG_DEPTH_MAX 8
#define CONFIG_NAMES_MAX 16

static const struct option_row {
	const char *name, *arg;
	enum option_group group;
	option_handler *handler;
	const char *help;
} rows[] = {
#define OPTION(name, arg, group, handler, help) {name, arg, group, handler, help},
#include "frontend/cli/options.def"
#undef OPTION
};

static const char *const group_titles[G_COUNT] = {
    [G_MACHINE] = "Machine",
    [G_BOOT] = "What to start",
    [G_DRIVES] = "Drives",
    [G_INPUT] = "Terminal, serial ports, display",
    [G_DEVICES] = "Devices",
    [G_CI] = "For scripts",
    [G_DEBUG] = "Looking inside",
    [G_CONFIG] = "Configuration and help",
    [G_ACCEPTED] = "Accepted from QEMU scripts, without effect",
    [G_NOT_YET] = NULL, /* refused with an explanation */
};

static void help_row(FILE *out, const struct option_row *r)
{
	char left[64];
	int n = snprintf(left, sizeof(left), "  -%s%s%s", r->name, r->arg ? " " : "",
			 r->arg ? r->arg : "");
	if (n > 27)
		fprintf(out, "%s\n%28s%s\n", left, "", r->help);
	else
		fprintf(out, "%-28s%s\n", left, r->help);
}

void cli_help(FILE *out)
{
	fprintf(out, "Orrery emulator version " ORRERY_VERSION ", a PC in software\n"
		     "\n"
		     "usage: orrery [options] [IMAGE]\n"
		     "       orrery img info|check|create|convert ...   disk images; img alone helps\n"
		     "       orrery lab [NAME|FOLDER|new FOLDER] ...    the teaching sandbox; lab alone lists its labs\n"
		     "       IMAGE is a CD, diskette, disk or kernel: its content tells. Without\n"
		     "       anything to start, the built-in demonstration guest runs.\n"
		     "       Options take one dash or two and have QEMU's names: scripts run with "
		     "QEMU=orrery.\n");
	for (unsigned g = 0; g < G_COUNT; g++) {
		if (!group_titles[g])
			continue;
		fprintf(out, "\n%s:\n", group_titles[g]);
		for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
			if (rows[i].group == g)
				help_row(out, &rows[i]);
	}
	fprintf(
	    out,
	    "\nExamples:\n"
	    "  orrery                                  the demonstration\n"
	    "  orrery -kernel vmlinuz -initrd initrd.gz -append console=ttyS0 -nographic -m 256\n"
	    "  orrery -kernel test.elf -device isa-debug-exit -serial stdio -no-reboot -timeout "
	    "60\n"
	    "\nTerminal: Ctrl-C ends the emulator. With -nographic or -serial mon:stdio: Ctrl-A c is the monitor, Ctrl-A x "
	    "ends,\n"
	    "Ctrl-A h helps, Ctrl-A Ctrl-A types Ctrl-A, and Ctrl-C goes to the guest.\n"
	    "Window: Ctrl+Alt+M is the menu, Ctrl+Alt+R opens live views of rings, tables and page walks, Ctrl+Alt+G gives the\n"
	    "mouse back.\n"
	    "\nExit status:\n");
	exit_codes_print(out);
}

char *cli_keep(struct cli *cli, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	if (cli->kept_count == CLI_KEPT_MAX)
		return NULL;
	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	if (s)
		cli->kept[cli->kept_count++] = s;
	return s;
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
	va_list ap;
	if (!cli->notes)
		return;
	va_start(ap, fmt);
	fputs("orrery: warning: ", cli->notes);
	vfprintf(cli->notes, fmt, ap);
	fputc('\n', cli->notes);
	va_end(ap);
}

int cli_bad(struct cli *cli, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(cli->e->s, sizeof(cli->e->s), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

const char *cli_did_you_mean(char *buf, size_t n, const char *word, const char *const *list)
{
	const char *near = nearest(word, list);
	if (near)
		snprintf(buf, n, ", did you mean '%s'?", near);
	else
		buf[0] = 0;
	return buf;
}

static const struct option_row *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		if (!strcmp(rows[i].name, name))
			return &rows[i];
	return NULL;
}

static int unknown_option(struct cli *cli, const char *name)
{
	const char *names[ARRAY_SIZE(rows) + 1];
	char hint[80];
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		names[i] = rows[i].name;
	names[ARRAY_SIZE(rows)] = NULL;
	return cli_bad(cli, "-%s: unknown option%s (see -help)", name,
		       cli_did_you_mean(hint, sizeof(hint), name, names));
}

static void remember(struct cli *cli, const struct option_row *r, const char *value)
{
	if (r->group == G_CONFIG || cli->given_count == CLI_GIVEN_MAX)
		return;
	cli->given[cli->given_count].name = r->name;
	cli->given[cli->given_count++].value = value;
}

int cli_option(struct cli *cli, const char *name, const char *value)
{
	const struct option_row *r = find(name);
	if (!r)
		return unknown_option(cli, name);
	if (r->arg && !value)
		return cli_bad(cli, "-%s needs a value: -%s %s", name, name, r->arg);
	if (!r->arg && value && *value && strcmp(value, "on") && strcmp(value, "true"))
		return cli_bad(cli, "-%s takes no value", name);
	if (r->group == G_NOT_YET)
		return cli_bad(cli, "-%s: %s cannot be used yet in this version", name, r->help);
	remember(cli, r, r->arg ? value : NULL);
	return r->handler(cli, value);
}

/* ---- configuration files
 * ------------------------------------------------------------------------------------ */

static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	size_t n = strlen(s);
	while (n && isspace((unsigned char)s[n - 1]))
		s[--n] = 0;
	return s;
}

/* Quotation marks around a value keep its spaces. */
static char *unquoted(char *s)
{
	size_t n = strlen(s);
	if (n < 2 || *s != '"' || s[n - 1] != '"')
		return s;
	s[n - 1] = 0;
	return s + 1;
}

static bool needs_quotes(const char *s)
{
	size_t n = strlen(s);
	return !n || isspace((unsigned char)*s) || isspace((unsigned char)s[n - 1]) || (*s == '"' && s[n - 1] == '"');
}

static int config_line(struct cli *cli, const char *path, unsigned number, char *line)
{
	char *name = trim(line), *eq, *value = NULL;
	if (!*name || *name == '#' || *name == ';')
		return 0;
	eq = strchr(name, '=');
	if (eq) {
		*eq = 0;
		value = unquoted(trim(eq + 1));
	}
	name = trim(name);
	name += strspn(name, "-");
	const char *kept_name = cli_keep(cli, "%s", name);
	const char *kept_value = value ? cli_keep(cli, "%s", value) : NULL;
	if (!kept_name || (value && !kept_value))
		return cli_bad(cli, "%s: too many lines", path);
	int r = cli_option(cli, kept_name, kept_value);
	if (r) {
		char text[sizeof(cli->e->s)];
		memcpy(text, cli->e->s, sizeof(text));
		cli_bad(cli, "%s:%u: %.400s", path, number, text);
	}
	return r;
}

/* The lines of @text, which is cut up; @path is for messages. */
int cli_config_text(struct cli *cli, const char *path, char *text)
{
	int r = 0;
	if (cli->depth == CONFIG_DEPTH_MAX)
		return cli_bad(cli, "-config: files include each other more than %d deep", CONFIG_DEPTH_MAX);
	cli->depth++;
	for (unsigned number = 1; !r && text; number++) {
		char *end = strchr(text, '\n');
		if (end)
			*end = 0;
		r = config_line(cli, path, number, text);
		text = end ? end + 1 : NULL;
	}
	cli->depth--;
	return r;
}

static bool is_text(const u8 *data, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (data[i] < ' ' && data[i] != '\t' && data[i] != '\n' && data[i] != '\r')
			return false;
	return true;
}

static int config_from_file(struct cli *cli, const char *path)
{
	u8 *data;
	u64 n;
	char hint[80];
	const char *names[CONFIG_NAMES_MAX + 1];
	unsigned names_n = 0;
	int r = host_file_read(path, CONFIG_MAX_BYTES, &data, &n);
	if (!r) {
		r = is_text(data, n) ? cli_config_text(cli, path, (char *)data) : cli_bad(cli, "-config: '%s' is not a text file", path);
		free(data);
		return r;
	}
	for (const struct ready_config *c = ready_configs; c->name && names_n < CONFIG_NAMES_MAX; c++)
		names[names_n++] = cli_keep(cli, "%.*s", (int)strcspn(c->name, "."), c->name);
	names[names_n] = NULL;
	return cli_bad(cli, "-config: cannot read '%s': %s%s (-config help lists the ready machines)", path,
		       host_file_why(r), cli_did_you_mean(hint, sizeof(hint), path, names));
}

int cli_config_file(struct cli *cli, const char *path)
{
	for (const struct ready_config *c = ready_configs; c->name; c++) {
		size_t n = strcspn(c->name, ".");
		if (strncmp(c->name, path, n) || path[n])
			continue;
		char *text = cli_keep(cli, "%s", c->text);
		return text ? cli_config_text(cli, c->name, text) : cli_bad(cli, "-config: out of memory");
	}
	return config_from_file(cli, path);
}

void cli_config_list(FILE *out)
{
	fprintf(out, "Ready machines (-config NAME; what stands on the command line behind it counts):\n");
	for (const struct ready_config *c = ready_configs; c->name; c++)
		fprintf(out, "  %-8.*s%.*s\n", (int)strcspn(c->name, "."), c->name,
			(int)strcspn(c->text, "\n") - 2, c->text + 2);
}

bool cli_defines_machine(const char *name)
{
	const struct option_row *r = find(name);
	return r && (r->group <= G_DRIVES || r->group == G_DEVICES);
}

/* All options, or only those that say what the machine is and where its lines lead. */
static void print_config(const struct cli *cli, FILE *out, bool all)
{
	for (unsigned i = 0; i < cli->given_count; i++) {
		const char *name = cli->given[i].name, *value = cli->given[i].value;
		if (!all && !cli_defines_machine(name) && find(name)->group != G_INPUT)
			continue;
		if (value)
			fprintf(out, needs_quotes(value) ? "%s = \"%s\"\n" : "%s = %s\n", name, value);
		else
			fprintf(out, "%s\n", name);
	}
}

/* For snapshots: how to make this machine again. */
static void keep_options(struct cli *cli)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	if (!f)
		return;
	print_config(cli, f, false);
	if (!fclose(f) && text)
		cli->cfg.options = cli_keep(cli, "%s", text);
	free(text);
}

/* ---- the command line
 * ------------------------------------------------------------------------------------------ */

static int one_argument(struct cli *cli, int argc, char *const *argv, int *i)
{
	const char *arg = argv[*i];
	if (arg[0] != '-' || !arg[1])
		return cli_option(cli, "image", arg);
	const char *name = arg + 1 + (arg[1] == '-');
	const struct option_row *r = find(name);
	if (r && r->arg) {
		if (*i + 1 >= argc)
			return cli_option(cli, name, NULL);
		++*i;
		return cli_option(cli, name, argv[*i]);
	}
	return cli_option(cli, name, NULL);
}

static bool has_device(const struct cli *cli, const char *type)
{
	size_t n = strlen(type);
	for (unsigned i = 0; i < cli->devices; i++)
		if (!strncmp(cli->cfg.device[i], type, n) && strchr(",", cli->cfg.device[i][n]))
			return true;
	return false;
}

/*
 * What boots through firmware is an operating system as installed: it has the driver for a tablet, and with that the pointer
 * needs no grab. A kernel started directly gets one if it is asked for.
 */
static int settle_usb(struct cli *cli)
{
	const bool tablet = has_device(cli, "usb-tablet"), firmware = !cli->demo && !cli->cfg.kernel;
	if (cli->usb_off && (tablet || has_device(cli, "piix3-usb-uhci")))
		return cli_bad(cli, "-machine usb=off leaves no place for the USB devices that were asked for");
	if (has_device(cli, "piix3-usb-uhci"))
		return 0;
	cli->cfg.tablet = firmware && !tablet && !cli->nodefaults && !cli->usb_off;
	cli->cfg.usb = cli->usb || tablet || cli->cfg.tablet;
	return 0;
}

static bool monitor_at_stdio(const struct cli *cli)
{
	for (unsigned i = 0; i < cli->monitors; i++)
		if (!strncmp(cli->monitor[i], "stdio", 5))
			return true;
	return false;
}

/* What follows from the options together. */
static int settle(struct cli *cli)
{
	int r = cli_settle_drives(cli);
	if (r)
		return r;
	/* -boot without drives: the firmware shall look for a network, or show its menu. */
	cli->demo = !cli->cfg.kernel && !cli->cfg.bios && !cli->cfg.drives && !cli->cfg.boot_order && !cli->cfg.boot_menu;
	if (cli->demo && (cli->cfg.initrd || cli->cfg.append))
		return cli_bad(cli, "-%s needs -kernel", cli->cfg.initrd ? "initrd" : "append");
	if (!cli->serial_given && cli->nographic)
		cli_option(cli, "serial", "mon:stdio");
	else if (!cli->serial_given && !cli->nodefaults && !cli->display_none && !monitor_at_stdio(cli))
		cli->cfg.serial[0] = "stdio";
	/* -nodefaults, or a VGA of its own settings */
	for (unsigned i = 0; !cli->vga_given && i < cli->devices; i++)
		cli->cfg.no_vga |= !strncmp(cli->cfg.device[i], "VGA", 3);
	cli->cfg.no_vga |= cli->nodefaults && !cli->vga_given;
	/* A recording may be replayed with a screen: it always waits. */
	cli->cfg.unwatched = cli->display_none && !cli->vnc && !cli->monitors && !cli->record && !cli->replay;
	if (cli->mux) {
		cli->cfg.typed = cli_mux;
		cli->cfg.ctx = cli;
	}
	r = settle_usb(cli);
	return r ? r : cli_settle_net(cli);
}

enum cli_outcome cli_parse(struct cli *cli, int argc, char *const *argv, FILE *out, FILE *notes,
			   struct errtext *e)
{
	memset(cli, 0, sizeof(*cli));
	cli->keymap = keymap_find("us");
	machine_config_init(&cli->cfg);
	cli->out = out;
	cli->notes = notes;
	cli->e = e;
	e->s[0] = 0;
	for (int i = 1; i < argc; i++) {
		if (one_argument(cli, argc, argv, &i))
			return CLI_BAD;
		if (cli->done)
			return CLI_DONE;
	}
	if (cli->dump_config) {
		fprintf(cli->out, "# orrery -config FILE\n");
		print_config(cli, cli->out, true);
		return CLI_DONE;
	}
	if (cli->load && cli_settle_load(cli))
		return CLI_BAD;
	keep_options(cli);
	return settle(cli) ? CLI_BAD : CLI_RUN;
}

void cli_free(struct cli *cli)
{
	for (unsigned i = 0; i < cli->kept_count; i++)
		free(cli->kept[i]);
	cli->kept_count = 0;
	free(cli->faults);
	cli->faults = NULL;
}
