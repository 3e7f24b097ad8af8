/* -netdev, -nic, -net, -object: networks and the cards on them. */
#define _GNU_SOURCE
#include "frontend/cli/options_internal.h"

#include <stdlib.h>
#include "base/config.h"
#include "devices/backends/net.h"
#include "devices/device.h"

static const char *const models[] = {"e1000", "ne2k_pci", "ne2k_isa", "virtio-net-pci", NULL};
/* Other names of these. */
static const struct {
	const char *name, *model;
} aliases[] = {
    {"virtio", "virtio-net-pci"}, {"virtio-net", "virtio-net-pci"}, {"e1000-82540em", "e1000"},
    {"ne2k", "ne2k_pci"},         {"rtl8029", "ne2k_pci"},
};

struct list { /* "key=value,..." being put together */
	char text[1024];
};

static void add(struct list *l, const char *key, const char *value)
{
	size_t n = strlen(l->text);
	snprintf(l->text + n, sizeof(l->text) - n, "%s%s%s%s", n ? "," : "", key, value ? "=" : "",
		 value ? value : "");
}

static bool is_help(const char *value)
{
	return !strcmp(value, "help") || !strcmp(value, "?");
}

/* The value of @key, cut out of the writable @text; NULL if it is not there. */
static char *take(struct cli *cli, char *text, const char *key)
{
	size_t n = strlen(key);
	for (char *at = text; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
		if (strncmp(at, key, n) || at[n] != '=')
			continue;
		size_t len = strcspn(at + n + 1, ",");
		char *value = cli_keep(cli, "%.*s", (int)len, at + n + 1), *end = at + n + 1 + len;
		if (*end)
			memmove(at, end + 1, strlen(end));
		else if (at != text)
			at[-1] = 0;
		else
			*at = 0;
		return value;
	}
	return NULL;
}

static int add_netdev(struct cli *cli, const char *id, const char *description)
{
	if (cli->netdevs == MACHINE_NETDEVS)
		return cli_bad(cli, "-netdev: more than %d", MACHINE_NETDEVS);
	for (unsigned i = 0; i < cli->netdevs; i++)
		if (!strcmp(cli->cfg.netdev[i].id, id))
			return cli_bad(cli, "-netdev: two have the id '%s'", id);
	cli->cfg.netdev[cli->netdevs].id = id;
	cli->cfg.netdev[cli->netdevs++].description = description;
	return 0;
}

static bool help_asked(struct cli *cli, const char *value)
{
	size_t n = strcspn(value, ",");
	if (!is_help(value) && !(value[n] && is_help(value + n + 1)))
		return false;
	net_help(cli->out);
	cli->done = true;
	return true;
}

int opt_netdev(struct cli *cli, const char *value)
{
	if (help_asked(cli, value))
		return 0;
	char *text = cli_keep(cli, "%s", value);
	char *id = text ? take(cli, text, "id") : NULL;
	if (!id || !*id)
		return cli_bad(cli,
			       "-netdev %s: expected user,id=NAME (then -device e1000,netdev=NAME)",
			       value);
	cli->net_given = true;
	return add_netdev(cli, id, text);
}

/* ---- cards
 * -------------------------------------------------------------------------------------------------------
 */

static const char *model_of(struct cli *cli, const char *option, const char *name)
{
	char hint[80];
	for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
		if (!strcmp(aliases[i].name, name))
			name = aliases[i].model;
	for (unsigned i = 0; models[i]; i++)
		if (!strcmp(models[i], name) && device_type_find(name))
			return name;
	cli_bad(cli, "-%s: there is no network card '%s'%s (-nic model=help)", option, name,
		cli_did_you_mean(hint, sizeof(hint), name, models));
	return NULL;
}

static int model_help(struct cli *cli)
{
	for (unsigned i = 0; models[i]; i++) {
		const struct device_type *t = device_type_find(models[i]);
		if (t)
			fprintf(cli->out, "%-16s %s\n", t->name, t->help);
	}
	cli->done = true;
	return 0;
}

static int add_card(struct cli *cli, const char *option, const char *model, const char *netdev,
		    const char *mac, const char *romfile)
{
	struct list l = {""};
	const char *type = model_of(cli, option, model ? model : "e1000");
	if (!type)
		return -EINVAL;
	if (cli->devices == MACHINE_DEVICES)
		return cli_bad(cli, "-%s: more than %d devices", option, MACHINE_DEVICES);
	add(&l, type, NULL);
	if (netdev)
		add(&l, "netdev", netdev);
	if (mac)
		add(&l, "mac", mac);
	if (romfile)
		add(&l, "romfile", romfile);
	cli->cfg.device[cli->devices] = cli_keep(cli, "%s", l.text);
	return cli->cfg.device[cli->devices++] ? 0 : cli_bad(cli, "-%s: out of memory", option);
}

/* -nic KIND[,model=M][,mac=A][,id=N][,the network's keys]: network and card in one. */
int opt_nic(struct cli *cli, const char *value)
{
	cli->net_given = true;
	if (!strcmp(value, "none"))
		return 0;
	if (help_asked(cli, value))
		return 0;
	char *text = cli_keep(cli, "%s", value);
	if (!text)
		return cli_bad(cli, "-nic: out of memory");
	const char *model = take(cli, text, "model"), *mac = take(cli, text, "mac"),
		   *id = take(cli, text, "id");
	const char *rom = take(cli, text, "romfile");
	if (!mac)
		mac = take(cli, text, "macaddr");
	if (model && is_help(model))
		return model_help(cli);
	if (!id)
		id = cli_keep(cli, "nic%u", cli->netdevs);
	int r =
	    id ? add_netdev(cli, id, *text ? text : "user") : cli_bad(cli, "-nic: out of memory");
	return r ? r : add_card(cli, "nic", model, id, mac, rom);
}

/* The older way: -net nic[,model=M][,macaddr=A] -net user[,...]; cards and networks are paired in
 * order by cli_settle_net(). */
int opt_net(struct cli *cli, const char *value)
{
	cli->net_given = true;
	if (!strcmp(value, "none"))
		return 0;
	if (help_asked(cli, value))
		return 0;
	if (!strncmp(value, "nic", 3) && (!value[3] || value[3] == ',')) {
		if (cli->old_nics == ARRAY_SIZE(cli->old_nic))
			return cli_bad(cli, "-net nic: more than %u", cli->old_nics);
		cli->old_nic[cli->old_nics++] = value;
		return 0;
	}
	char *text = cli_keep(cli, "%s", value);
	const char *id = cli_keep(cli, "old%u", cli->old_nets);
	if (!text || !id)
		return cli_bad(cli, "-net: out of memory");
	take(cli, text, "name");
	cli->old_nets++;
	return add_netdev(cli, id, text);
}

/* -object filter-dump,id=ID,netdev=NAME,file=F: what passes there is written to a file. */
int opt_object(struct cli *cli, const char *value)
{
	char *text = cli_keep(cli, "%s", value);
	if (!text)
		return cli_bad(cli, "-object: out of memory");
	const char *netdev = take(cli, text, "netdev"), *file = take(cli, text, "file");
	if (!strncmp(value, "rng-random", 10) || !strncmp(value, "rng-builtin", 11))
		return 0; /* virtio-rng has a source of its own, so that runs repeat */
	if (strncmp(value, "filter-dump,", 12) || !netdev || !file)
		return cli_bad(cli, "-object %s: expected filter-dump,id=ID,netdev=NAME,file=FILE",
			       value);
	for (unsigned i = 0; i < cli->netdevs; i++)
		if (!strcmp(cli->cfg.netdev[i].id, netdev)) {
			cli->cfg.netdev[i].description =
			    cli_keep(cli, "%s,capture=%s", cli->cfg.netdev[i].description, file);
			return cli->cfg.netdev[i].description
				   ? 0
				   : cli_bad(cli, "-object: out of memory");
		}
	return cli_bad(cli, "-object %s: no -netdev before it has id=%s", value, netdev);
}

static bool has_card(const struct cli *cli)
{
	for (unsigned i = 0; i < cli->devices; i++) {
		char type[64];
		size_t n = MIN(strcspn(cli->cfg.device[i], ","), sizeof(type) - 1);
		snprintf(type, sizeof(type), "%.*s", (int)n, cli->cfg.device[i]);
		for (unsigned k = 0; models[k]; k++)
			if (!strcmp(models[k], type))
				return true;
	}
	return false;
}

int cli_settle_net(struct cli *cli)
{
	for (unsigned i = 0; i < cli->old_nics; i++) {
		char *text = cli_keep(cli, "%s", cli->old_nic[i]);
		const char *net = i < cli->old_nets ? cli_keep(cli, "old%u", i) : NULL;
		if (!text)
			return cli_bad(cli, "-net: out of memory");
		const char *model = take(cli, text, "model"), *mac = take(cli, text, "macaddr");
		if (model && is_help(model))
			return model_help(cli);
		int r = add_card(cli, "net nic", model, net, mac, NULL);
		if (r)
			return r;
	}
	/* What boots through firmware is an operating system as installed, which expects a network.
	 * A kernel started directly is a test or an experiment: it gets one if it is asked for, and
	 * no driver's probing otherwise. */
	bool firmware = !cli->demo && !cli->cfg.kernel;
	if (!firmware || cli->nodefaults || cli->net_given || has_card(cli))
		return 0;
	int r = add_netdev(cli, "net0", "user");
	return r ? r : add_card(cli, "nic", "e1000", "net0", NULL, NULL);
}
