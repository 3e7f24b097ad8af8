/*
 * Drives on the command line: -drive, -hda .. -hdd, -fda, -fdb, -cdrom, -pflash, -snapshot, -boot,
 * and a bare file name, which becomes a CD, a diskette, a disk or a kernel by its content. Declared
 * by the table in options_internal.h.
 */
#define _GNU_SOURCE
#include "frontend/cli/options_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include "base/config.h"
#include "devices/backends/block.h"

#define IDE_UNITS    4
#define FLOPPY_UNITS 2
#define CDROM_UNIT   2
#define UNIT_ANY     UINT32_MAX

static const char *const interface_names[] = {
    [DRIVE_IDE] = "ide",       [DRIVE_FLOPPY] = "floppy", [DRIVE_VIRTIO] = "virtio",
    [DRIVE_PFLASH] = "pflash", [DRIVE_NONE] = "none",     NULL};

static const struct {
	unsigned units;
	const char *what;
} interfaces[DRIVE_INTERFACES] = {
    [DRIVE_IDE] = {IDE_UNITS, "IDE drives (index 0 to 3)"},
    [DRIVE_FLOPPY] = {FLOPPY_UNITS, "floppy drives (index 0 and 1)"},
    [DRIVE_VIRTIO] = {DRIVES_MAX, "virtio drives"},
    [DRIVE_PFLASH] = {2, "flash chips (index 0 and 1)"},
    [DRIVE_NONE] = {DRIVES_MAX, "drives"},
};

static struct drive *drive_at(struct cli *cli, enum drive_interface interface, unsigned unit)
{
	for (unsigned i = 0; i < cli->cfg.drives; i++)
		if (cli->cfg.drive[i].interface == interface && cli->cfg.drive[i].unit == unit)
			return &cli->cfg.drive[i];
	return NULL;
}

static int add_drive(struct cli *cli, const struct drive *d)
{
	if (cli->cfg.drives == DRIVES_MAX)
		return cli_bad(cli, "-drive: more than %d drives", DRIVES_MAX);
	struct drive *old = d->unit == UNIT_ANY ? NULL : drive_at(cli, d->interface, d->unit);
	if (old)
		return cli_bad(cli, "'%s': '%s' is already at index %u of the %s drives",
			       d->path ? d->path : "(no medium)",
			       old->path ? old->path : "(no medium)", d->unit,
			       interface_names[d->interface]);
	cli->cfg.drive[cli->cfg.drives++] = *d;
	return 0;
}

static int add_file(struct cli *cli, const char *path, enum drive_interface interface,
		    unsigned unit, bool cdrom)
{
	const struct drive d = {.path = *path ? path : NULL,
				.interface = interface,
				.unit = unit,
				.cdrom = cdrom,
				.read_only = cdrom};
	if (!*path && !cdrom && interface != DRIVE_FLOPPY)
		return cli_bad(cli, "a disk needs a file name");
	return add_drive(cli, &d);
}

int opt_hda(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_IDE, 0, false);
}

int opt_hdb(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_IDE, 1, false);
}

int opt_hdc(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_IDE, 2, false);
}

int opt_hdd(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_IDE, 3, false);
}

int opt_cdrom(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_IDE, CDROM_UNIT, true);
}

int opt_fda(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_FLOPPY, 0, false);
}

int opt_fdb(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_FLOPPY, 1, false);
}

int opt_pflash(struct cli *cli, const char *value)
{
	return add_file(cli, value, DRIVE_PFLASH, UNIT_ANY, false);
}

int opt_snapshot(struct cli *cli, const char *value)
{
	cli->snapshot = true;
	return 0;
}

/* ---- -drive --------------------------------------------------------------------------------- */

/* Cuts the next element off @*rest, in which ",," stands for a comma. NULL at the end. */
static char *next_element(char **rest)
{
	char *start = *rest, *in = start, *out = start;
	if (!start || !*start)
		return NULL;
	for (; *in && !(*in == ',' && in[1] != ','); *out++ = *in++)
		if (*in == ',')
			in++;
	*rest = *in ? in + 1 : NULL;
	*out = 0;
	return start;
}

static int on_off(struct cli *cli, const char *key, const char *value, bool *out)
{
	if (!strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true"))
		*out = true;
	else if (!strcmp(value, "off") || !strcmp(value, "no") || !strcmp(value, "false"))
		*out = false;
	else
		return cli_bad(cli, "-drive: %s=%s: expected on or off", key, value);
	return 0;
}

/* The index of @value in @list; -EINVAL with a message. */
static int one_of(struct cli *cli, const char *key, const char *value, const char *const *list,
		  unsigned *index)
{
	char hint[80];
	for (*index = 0; list[*index]; ++*index)
		if (!strcmp(list[*index], value))
			return 0;
	return cli_bad(cli, "-drive: %s=%s is not known%s", key, value,
		       cli_did_you_mean(hint, sizeof(hint), value, list));
}

enum drive_key {
	KEY_FILE,
	KEY_FORMAT,
	KEY_IF,
	KEY_MEDIA,
	KEY_INDEX,
	KEY_BUS,
	KEY_UNIT,
	KEY_ID,
	KEY_SNAPSHOT,
	KEY_READONLY,
	KEY_READ_ONLY,
	KEY_SERIAL,
	KEY_INTERNAL,
	KEY_CACHE,
	KEYS_USED, /* the others concern QEMU's inside */
};

static const char *const drive_keys[] = {"file",
					 "format",
					 "if",
					 "media",
					 "index",
					 "bus",
					 "unit",
					 "id",
					 "snapshot",
					 "readonly",
					 "read-only",
					 "serial",
					 "internal-snapshot",
					 "cache",
					 "aio",
					 "discard",
					 "detect-zeroes",
					 "werror",
					 "rerror",
					 "copy-on-read",
					 "cyls",
					 "heads",
					 "secs",
					 "trans",
					 "boot",
					 NULL};

struct drive_text {
	struct drive d;
	u64 bus, unit;
	bool has_bus, has_unit;
};

static int drive_number(struct cli *cli, const char *key, const char *value, u64 *out)
{
	if (parse_uint(value, out) || *out > 255)
		return cli_bad(cli, "-drive: %s=%s: expected a small number", key, value);
	return 0;
}

static int drive_value(struct cli *cli, struct drive_text *t, unsigned key, const char *value)
{
	static const char *const media[] = {"disk", "cdrom", NULL};
	static const char *const known[] = {"raw", "qcow2", "vmdk", "vdi",
					    "vpc", "vhd",   "vhdx", NULL};
	struct drive *d = &t->d;
	const char *name = drive_keys[key];
	unsigned n = 0;
	u64 number;
	int r = 0;
	switch (key) {
	case KEY_FILE: d->path = *value ? value : NULL; break;
	case KEY_FORMAT:
		r = one_of(cli, name, value, known, &n);
		d->format = value;
		break;
	case KEY_IF:
		r = one_of(cli, name, value, interface_names, &n);
		d->interface = n;
		break;
	case KEY_MEDIA:
		r = one_of(cli, name, value, media, &n);
		d->cdrom = n;
		break;
	case KEY_INDEX:
		r = drive_number(cli, name, value, &number);
		d->unit = (unsigned)number;
		break;
	case KEY_BUS:
		r = drive_number(cli, name, value, &t->bus);
		t->has_bus = true;
		break;
	case KEY_UNIT:
		r = drive_number(cli, name, value, &t->unit);
		t->has_unit = true;
		break;
	case KEY_ID: d->id = value; break;
	case KEY_SNAPSHOT: return on_off(cli, name, value, &d->snapshot);
	case KEY_READONLY:
	case KEY_READ_ONLY: return on_off(cli, name, value, &d->read_only);
	case KEY_SERIAL: d->serial = value; break;
	case KEY_INTERNAL: d->internal_snapshot = value; break;
	case KEY_CACHE: d->no_sync = !strcmp(value, "unsafe"); break;
	default: break;
	}
	return r;
}

static int drive_element(struct cli *cli, struct drive_text *t, char *element)
{
	char hint[80], *eq = strchr(element, '=');
	unsigned key = 0;
	if (eq)
		*eq = 0;
	while (drive_keys[key] && strcmp(drive_keys[key], element))
		key++;
	if (drive_keys[key])
		return drive_value(cli, t, key, eq ? eq + 1 : "on");
	if (!eq)
		return cli_bad(cli, "-drive: '%s' is no setting%s (a file is named file=%s)",
			       element, cli_did_you_mean(hint, sizeof(hint), element, drive_keys),
			       element);
	return cli_bad(cli, "-drive: unknown setting '%s'%s", element,
		       cli_did_you_mean(hint, sizeof(hint), element, drive_keys));
}

int opt_drive(struct cli *cli, const char *value)
{
	struct drive_text t = {.d = {.interface = DRIVE_IDE, .unit = UNIT_ANY}};
	struct drive *d = &t.d;
	char *rest = cli_keep(cli, "%s", value), *element;
	if (!rest)
		return cli_bad(cli, "-drive: out of memory");
	while ((element = next_element(&rest))) {
		int r = drive_element(cli, &t, element);
		if (r)
			return r;
	}
	if (t.has_bus || t.has_unit)
		d->unit = (unsigned)(d->interface == DRIVE_IDE ? t.bus * 2 + t.unit : t.unit);
	if (d->unit != UNIT_ANY && d->unit >= interfaces[d->interface].units)
		return cli_bad(cli, "-drive: index %u: there are %u %s", d->unit,
			       interfaces[d->interface].units, interfaces[d->interface].what);
	if (!d->path && !d->cdrom && d->interface != DRIVE_FLOPPY)
		return cli_bad(cli, "-drive %s: a disk needs file=NAME", value);
	d->read_only |= d->cdrom || (d->internal_snapshot && !d->snapshot);
	return add_drive(cli, d);
}

/* ---- a bare name ---------------------------------------------------------------------------- */

int cli_image(struct cli *cli, const char *path)
{
	switch (block_guess(path)) {
	case BLOCK_GUESS_CD: return add_file(cli, path, DRIVE_IDE, CDROM_UNIT, true);
	case BLOCK_GUESS_FLOPPY: return add_file(cli, path, DRIVE_FLOPPY, UNIT_ANY, false);
	case BLOCK_GUESS_DISK: return add_file(cli, path, DRIVE_IDE, UNIT_ANY, false);
	default: break;
	}
	if (cli->cfg.kernel)
		return cli_bad(
		    cli,
		    "'%s': only one kernel can be started ('%s' was named before); a disk "
		    "without a boot sector is named with -hda",
		    path, cli->cfg.kernel);
	return opt_kernel(cli, path);
}

/* ---- all together --------------------------------------------------------------------------- */

static const char *default_id(struct cli *cli, const struct drive *d)
{
	if (d->interface == DRIVE_IDE)
		return cli_keep(cli, "ide%u-%s%u", d->unit / 2, d->cdrom ? "cd" : "hd",
				d->unit % 2);
	return cli_keep(cli, "%s%u", interface_names[d->interface], d->unit);
}

static int same_ids(struct cli *cli)
{
	for (unsigned i = 0; i < cli->cfg.drives; i++)
		for (unsigned k = 0; k < i; k++)
			if (!strcmp(cli->cfg.drive[i].id, cli->cfg.drive[k].id))
				return cli_bad(cli, "-drive: two drives have the id '%s'",
					       cli->cfg.drive[i].id);
	return 0;
}

int cli_settle_drives(struct cli *cli)
{
	for (unsigned i = 0; i < cli->cfg.drives; i++) {
		struct drive *d = &cli->cfg.drive[i];
		unsigned unit = 0;
		while (d->unit == UNIT_ANY && drive_at(cli, d->interface, unit))
			unit++;
		if (d->unit == UNIT_ANY)
			d->unit = unit;
		if (d->unit >= interfaces[d->interface].units)
			return cli_bad(cli, "'%s' is one too many: there are %u %s", d->path,
				       interfaces[d->interface].units,
				       interfaces[d->interface].what);
		/* Firmware's variables may be kept; everything else is only tried out. */
		if (cli->snapshot && !d->read_only)
			d->snapshot = true;
		if (!d->id)
			d->id = default_id(cli, d);
		if (!d->id)
			return cli_bad(cli, "-drive: out of memory");
	}
	return same_ids(cli);
}

/* ---- -boot ---------------------------------------------------------------------------------- */

static int boot_letters(struct cli *cli, const char *value, const char **out)
{
	if (value[strspn(value, "acdn")] || !*value)
		return cli_bad(cli,
			       "-boot %s: expected letters of a (floppy), c (disk), d (CD), n "
			       "(network), as in \"-boot dc\"",
			       value);
	*out = value;
	return 0;
}

int opt_boot(struct cli *cli, const char *value)
{
	static const char *const keys[] = {"order",          "once",   "menu",   "splash-time",
					   "reboot-timeout", "splash", "strict", NULL};
	char *rest = cli_keep(cli, "%s", value), *element, hint[80];
	int r = 0;
	if (!rest)
		return cli_bad(cli, "-boot: out of memory");
	while (!r && (element = next_element(&rest))) {
		char *eq = strchr(element, '=');
		const char *v = eq ? eq + 1 : "on";
		u64 ms;
		if (eq)
			*eq = 0;
		if (!eq && strcmp(element, "menu") && strcmp(element, "strict"))
			r = boot_letters(cli, element, &cli->cfg.boot_order);
		else if (!strcmp(element, "order"))
			r = boot_letters(cli, v, &cli->cfg.boot_order);
		else if (!strcmp(element, "once"))
			r = boot_letters(cli, v, &cli->cfg.boot_once);
		else if (!strcmp(element, "menu"))
			cli->cfg.boot_menu = !strcmp(v, "on") || !strcmp(v, "yes");
		else if (!strcmp(element, "splash-time") && (parse_uint(v, &ms) || ms > 65535))
			r = cli_bad(cli, "-boot splash-time=%s: expected 0 to 65535 ms", v);
		else if (!strcmp(element, "splash-time"))
			cli->cfg.boot_menu_ms = (u32)ms;
		else if (strcmp(element, "reboot-timeout") && strcmp(element, "splash") &&
			 strcmp(element, "strict"))
			r = cli_bad(cli, "-boot: unknown setting '%s'%s", element,
				    cli_did_you_mean(hint, sizeof(hint), element, keys));
	}
	return r;
}
