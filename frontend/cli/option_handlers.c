/* What each option does. Declared by the table in options_internal.h. */
#define _GNU_SOURCE
#include "frontend/cli/options_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include "base/config.h"
#include "base/host.h"
#include "base/keymap.h"
#include "base/log.h"
#include "cpu/exec/cpuid.h"
#include "debug/trace.h"
#include "frontend/cli/observe.h"
#include "devices/device.h"

static bool is_help(const char *value)
{
	return !strcmp(value, "help") || !strcmp(value, "?");
}

/* Cuts the next "key=value" off @*rest (a writable list); NULL value when there is no '='. */
static bool next_pair(char **rest, char **key, char **value)
{
	if (!*rest || !**rest)
		return false;
	*key = *rest;
	*rest = strchr(*rest, ',');
	if (*rest)
		*(*rest)++ = 0;
	*value = strchr(*key, '=');
	if (*value)
		*(*value)++ = 0;
	return true;
}

/* ---- machine -------------------------------------------------------------------------------- */

int opt_m(struct cli *cli, const char *value)
{
	const char *text = !strncmp(value, "size=", 5) ? value + 5 : value;
	char size[32];
	u64 bytes;
	snprintf(size, sizeof(size), "%.*s", (int)MIN(strcspn(text, ","), sizeof(size) - 1), text);
	size_t n = strlen(size);
	bool bare = n && isdigit((unsigned char)size[n - 1]);
	if (parse_size(size, &bytes) || (bare && bytes > MACHINE_RAM_MAX >> 20))
		return cli_bad(cli, "-m %s: not a memory size (examples: 256, 512M, 2G)", value);
	if (bare)
		bytes <<= 20;
	if (bytes < MACHINE_RAM_MIN || bytes > MACHINE_RAM_MAX || bytes & 4095)
		return cli_bad(cli, "-m %s: RAM can be 1 MiB to 256 GiB", value);
	cli->cfg.ram_bytes = bytes;
	return 0;
}

int opt_smp(struct cli *cli, const char *value)
{
	const char *text = !strncmp(value, "cpus=", 5) ? value + 5 : value;
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || (*end && *end != ',') || !n || n > 255)
		return cli_bad(cli, "-smp %s: expected a number of processors, 1 to %d", value, MACHINE_CPUS);
	if (n > MACHINE_CPUS)
		return cli_bad(cli, "-smp %s: at most %d processors are modelled", value, MACHINE_CPUS);
	cli->cfg.cpus = (unsigned)n;
	return 0;
}

/* QEMU's model names that scripts use, and what comes nearest here. */
static const struct {
	const char *name, *model;
} cpu_aliases[] = {
    {"host", "max"},
    {"qemu64", CPU_MODEL_DEFAULT},
    {"kvm64", CPU_MODEL_DEFAULT},
    {"qemu32", CPU_MODEL_DEFAULT},
    {"Skylake-Client", "skylake"},
    {"Skylake-Server", "skylake"},
    {"Haswell", "haswell"},
    {"Conroe", "core2"},
    {"core2duo", "core2"},
    {"IvyBridge", "skylake"},
    {"SandyBridge", "skylake"},
    {"Broadwell", "skylake"},
    {"Opteron_G1", "skylake"},
    {"pentium3", "p3"},
};

/* Settings of QEMU's models that have no meaning here, or that every model here satisfies. */
static const char *const cpu_ignored[] = {
    "host-phys-bits", "migratable", "enforce",    "check",    "vendor",    "phys-bits", "pmu",
    "l3-cache",       "kvm",        "hv_vpindex", "hv_synic", "hv_stimer", "hv_time",   NULL};

/* QEMU's features that scripts ask for with any model: absent here, as under an accelerator without them. */
static const char *const cpu_absent[] = {"svm",      "npt",      "skinit", "vmx", "vmx-mbec",
					 "hv_passthrough", NULL};

static bool absent_feature(struct cli *cli, const char *item)
{
	const char *name = item + (*item == '+' || *item == '-');
	const struct cpu_model *model;
	u32 feat[FEATURE_WORDS];
	char spec[64], msg[300];
	for (unsigned i = 0; cpu_absent[i]; i++) {
		if (strcmp(name, cpu_absent[i]))
			continue;
		snprintf(spec, sizeof(spec), "max,+%s", name);
		if (!cpu_model_parse(spec, &model, feat, msg, sizeof(msg)))
			return false;
		if (*item != '-')
			cli_note(cli, "-cpu: '%s' is not modelled; the processor goes without", name);
		return true;
	}
	return false;
}

static bool ignored_cpu_setting(struct cli *cli, const char *item)
{
	for (unsigned i = 0; cpu_ignored[i]; i++) {
		size_t n = strlen(cpu_ignored[i]);
		if (!strncmp(item, cpu_ignored[i], n) && (item[n] == '=' || !item[n])) {
			cli_note(cli, "-cpu: '%s' is ignored", item);
			return true;
		}
	}
	return false;
}

static const char *cpu_alias(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(cpu_aliases); i++)
		if (!strcasecmp(cpu_aliases[i].name, name))
			return cpu_aliases[i].model;
	return name;
}

int opt_cpu(struct cli *cli, const char *value)
{
	char spec[512], *rest = cli_keep(cli, "%s", value), *item, msg[300];
	const struct cpu_model *model;
	u32 feat[FEATURE_WORDS];
	if (is_help(value)) {
		cpu_model_list(cli->out);
		cli->done = true;
		return 0;
	}
	if (!rest)
		return cli_bad(cli, "-cpu: out of memory");
	item = strsep(&rest, ",");
	size_t n = (size_t)snprintf(spec, sizeof(spec), "%s", cpu_alias(item));
	while ((item = strsep(&rest, ","))) {
		const char *eq = strchr(item, '=');
		if (ignored_cpu_setting(cli, item) || absent_feature(cli, item) || !*item)
			continue;
		/* "feature=on" is the same as "+feature" */
		if (eq && (!strcmp(eq, "=on") || !strcmp(eq, "=off")))
			n += (size_t)snprintf(spec + n, sizeof(spec) - n, ",%c%.*s",
					      eq[2] == 'n' ? '+' : '-', (int)(eq - item), item);
		else
			n += (size_t)snprintf(spec + n, sizeof(spec) - n, ",%s", item);
		if (n >= sizeof(spec))
			return cli_bad(cli, "-cpu: the list is too long");
	}
	if (cpu_model_parse(spec, &model, feat, msg, sizeof(msg)))
		return cli_bad(cli, "-cpu %s: %s", value, msg);
	cli->cfg.cpu = cli_keep(cli, "%s", spec);
	return 0;
}

static const char *const machine_types[] = {"pc", "help", NULL};
/* Keys of -machine. Only hpet and usb do anything. */
static const char *const machine_keys[] = {"accel", "kernel_irqchip",  "kernel-irqchip", "hpet",
					   "usb",   "vmport",          "graphics",       "smm",
					   "type",  "dump-guest-core", "mem-merge", "pit", NULL};

static bool listed(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(*list, word))
			return true;
	return false;
}

static int machine_type(struct cli *cli, const char *type)
{
	char hint[80];
	if (!strcmp(type, "q35"))
		return cli_bad(cli,
			       "-machine q35: only the machine 'pc' (i440FX) is modelled so far");
	if (strcmp(type, "pc") && strncmp(type, "pc-i440fx", 9))
		return cli_bad(cli, "-machine %s: unknown machine%s", type,
			       cli_did_you_mean(hint, sizeof(hint), type, machine_types));
	return 0;
}

static int machine_key(struct cli *cli, const char *key, const char *value)
{
	char hint[80];
	if (!listed(key, machine_keys))
		return cli_bad(cli, "-machine: unknown setting '%s'%s", key,
			       cli_did_you_mean(hint, sizeof(hint), key, machine_keys));
	if (!strcmp(key, "type"))
		return machine_type(cli, value);
	if (!strcmp(key, "accel"))
		return opt_accel(cli, value);
	bool *off = !strcmp(key, "hpet") ? &cli->cfg.no_hpet : !strcmp(key, "usb") ? &cli->usb_off : NULL;
	if (off) {
		if (strcmp(value, "on") && strcmp(value, "off"))
			return cli_bad(cli, "-machine %s=%s: expected on or off", key, value);
		*off = !strcmp(value, "off");
	}
	if (off == &cli->usb_off)
		cli->usb = !cli->usb_off;
	return 0;
}

int opt_machine(struct cli *cli, const char *value)
{
	char *rest = cli_keep(cli, "%s", value), *key, *val;
	if (is_help(value)) {
		fprintf(cli->out,
			"Machines:\n  pc    i440FX, PIIX3, PIIX4 power management (default)\n"
			"Settings: hpet=on|off, usb=on|off; accel, kernel_irqchip, vmport, graphics, smm, "
			"dump-guest-core, mem-merge, pit are accepted and ignored\n");
		cli->done = true;
		return 0;
	}
	for (bool first = true; next_pair(&rest, &key, &val); first = false) {
		int r = !val && first ? machine_type(cli, key)
				      : machine_key(cli, key, val ? val : "on");
		if (r)
			return r;
	}
	return 0;
}

int opt_accel(struct cli *cli, const char *value)
{
	if (strncmp(value, "tcg", 3))
		cli_note(cli, "accelerator '%s' is ignored: every instruction is interpreted",
			 value);
	return 0;
}

int opt_enable_kvm(struct cli *cli, const char *value)
{
	return opt_accel(cli, "kvm");
}

static int rtc_base(struct cli *cli, const char *base)
{
	struct tm tm = {0};
	time_t now = (time_t)host_realtime_s();
	if (!strcmp(base, "utc")) {
		cli->cfg.rtc_start_s = now;
		return 0;
	}
	if (!strcmp(base, "localtime")) {
		localtime_r(&now, &tm);
		cli->cfg.rtc_start_s = timegm(&tm);
		return 0;
	}
	const char *end = strptime(base, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(base, "%Y-%m-%d", &tm);
	}
	if (!end || *end)
		return cli_bad(cli, "-rtc base=%s: expected utc, localtime or YYYY-MM-DDTHH:MM:SS",
			       base);
	cli->cfg.rtc_start_s = timegm(&tm);
	return 0;
}

int opt_rtc(struct cli *cli, const char *value)
{
	static const char *const keys[] = {"base", "clock", "driftfix", NULL};
	char *rest = cli_keep(cli, "%s", value), *key, *val, hint[80];
	while (next_pair(&rest, &key, &val)) {
		if (!listed(key, keys) || !val)
			return cli_bad(cli, "-rtc: unknown setting '%s'%s", key,
				       cli_did_you_mean(hint, sizeof(hint), key, keys));
		int r = !strcmp(key, "base") ? rtc_base(cli, val) : 0;
		if (r)
			return r;
		if (!strcmp(key, "clock") && strcmp(val, "vm"))
			cli_note(cli, "-rtc clock=%s: the clock runs on virtual time", val);
	}
	return 0;
}

int opt_no_hpet(struct cli *cli, const char *value)
{
	cli->cfg.no_hpet = true;
	return 0;
}

/* ---- what to start -------------------------------------------------------------------------- */

int opt_image(struct cli *cli, const char *value)
{
	return cli_image(cli, value);
}

int opt_kernel(struct cli *cli, const char *value)
{
	cli->cfg.kernel = value;
	return 0;
}

int opt_initrd(struct cli *cli, const char *value)
{
	cli->cfg.initrd = value;
	return 0;
}

int opt_append(struct cli *cli, const char *value)
{
	cli->cfg.append = value;
	return 0;
}

int opt_bios(struct cli *cli, const char *value)
{
	cli->cfg.bios = value;
	return 0;
}

/* ---- terminal and serial -------------------------------------------------------------------- */

/* QEMU's description of a character device in the backend's words; NULL with *@err set. */
static int place(struct cli *cli, const char *option, const char *value, const char **out,
		 bool *mux)
{
	static const char *const kinds[] = {"stdio", "mon:stdio", "null", "none",     "vc",
					    "pty",   "file:",     "tcp:", "unix:",    "chardev:", NULL};
	char hint[80];
	*mux = false;
	*out = NULL;
	if (!strcmp(value, "mon:stdio")) {
		*mux = true;
		*out = "stdio,signal=off";
	} else if (!strcmp(value, "none") || !strcmp(value, "vc") || !strncmp(value, "vc:", 3)) {
		*out = NULL;
	} else if (!strncmp(value, "chardev:", 8)) {
		for (unsigned i = 0; i < cli->chardevs; i++)
			if (!strcmp(cli->chardev[i].id, value + 8))
				*out = cli->chardev[i].description;
		if (!*out)
			return cli_bad(cli, "-%s %s: no -chardev before it has that id", option,
				       value);
	} else if (!strcmp(value, "stdio") || !strcmp(value, "null") || !strcmp(value, "pty") ||
		   !strncmp(value, "file:", 5) || !strncmp(value, "tcp:", 4) || !strncmp(value, "unix:", 5)) {
		*out = value;
	} else {
		return cli_bad(cli, "-%s %s: expected stdio, file:PATH, pty, tcp:HOST:PORT, unix:PATH, chardev:ID or null%s", option, value,
			       cli_did_you_mean(hint, sizeof(hint), value, kinds));
	}
	return 0;
}

int opt_serial(struct cli *cli, const char *value)
{
	bool mux;
	const char *out;
	if (cli->serials == MACHINE_SERIALS)
		return cli_bad(cli, "-serial: the machine has %d serial ports", MACHINE_SERIALS);
	int r = place(cli, "serial", value, &out, &mux);
	if (r)
		return r;
	if (mux && cli->serials)
		return cli_bad(
		    cli, "-serial mon:stdio: only the first serial port can share the terminal");
	cli->mux |= mux;
	cli->serial_given = true;
	cli->cfg.serial[cli->serials++] = out;
	return 0;
}

int opt_debugcon(struct cli *cli, const char *value)
{
	bool mux;
	return place(cli, "debugcon", value, &cli->cfg.debugcon, &mux);
}

static const char *chardev_description(struct cli *cli, const char *kind, const char *path,
				       const char *host, const char *port, bool server, bool wait)
{
	if (!strcmp(kind, "file"))
		return path ? cli_keep(cli, "file:%s", path) : NULL;
	if (!strcmp(kind, "socket"))
		return port ? cli_keep(cli, "tcp:%s:%s%s%s", host ? host : "127.0.0.1", port,
				       server ? ",server" : "", wait ? "" : ",wait=off")
			    : NULL;
	if (!strcmp(kind, "stdio") || !strcmp(kind, "null") || !strcmp(kind, "pty"))
		return cli_keep(cli, "%s", kind);
	return NULL;
}

int opt_chardev(struct cli *cli, const char *value)
{
	static const char *const keys[] = {"id",   "path",   "host", "port", "server",
					   "wait", "signal", "mux",  NULL};
	char *rest = cli_keep(cli, "%s", value), *key, *val, hint[80];
	const char *id = NULL, *path = NULL, *host = NULL, *port = NULL;
	bool server = false, wait = true;
	const char *kind = strsep(&rest, ",");
	while (next_pair(&rest, &key, &val)) {
		const char *v = val ? val : "on";
		if (!listed(key, keys))
			return cli_bad(cli, "-chardev: unknown setting '%s'%s", key,
				       cli_did_you_mean(hint, sizeof(hint), key, keys));
		if (!strcmp(key, "id"))
			id = v;
		if (!strcmp(key, "path"))
			path = v;
		if (!strcmp(key, "host"))
			host = v;
		if (!strcmp(key, "port"))
			port = v;
		if (!strcmp(key, "server"))
			server = strcmp(v, "off");
		if (!strcmp(key, "wait"))
			wait = strcmp(v, "off");
	}
	const char *d = chardev_description(cli, kind, path, host, port, server, wait);
	if (!id || !d)
		return cli_bad(cli,
			       "-chardev %s: expected stdio, null, pty, file,path=F or "
			       "socket,port=P, with id=ID",
			       value);
	if (cli->chardevs == CLI_CHARDEVS)
		return cli_bad(cli, "-chardev: more than %d", CLI_CHARDEVS);
	cli->chardev[cli->chardevs].id = id;
	cli->chardev[cli->chardevs++].description = d;
	return 0;
}

int opt_nographic(struct cli *cli, const char *value)
{
	cli->nographic = cli->cfg.nographic = true;
	return 0;
}

int opt_display(struct cli *cli, const char *value)
{
	static const char *const kinds[] = {"none", "sdl", "gtk", "curses", "vnc", NULL};
	char kind[32], hint[80];
	snprintf(kind, sizeof(kind), "%.*s", (int)MIN(strcspn(value, ",="), sizeof(kind) - 1),
		 value);
	if (!listed(kind, kinds))
		return cli_bad(cli, "-display %s: unknown display%s", value,
			       cli_did_you_mean(hint, sizeof(hint), kind, kinds));
	if (!strncmp(value, "vnc=", 4))
		return opt_vnc(cli, value + 4);
	if (!strcmp(kind, "vnc"))
		return cli_bad(cli, "-display vnc: expected vnc=[HOST]:N[,password=FILE]");
	cli->display_none = !strcmp(kind, "none");
	cli->display_sdl = !strcmp(kind, "sdl") || !strcmp(kind, "gtk");
	if (!cli->display_none && !cli->display_sdl)
		cli_note(cli, "-display %s: there are sdl, vnc=:N and none; the default is taken", value);
	return 0;
}

int opt_audio(struct cli *cli, const char *value)
{
	static const char *const kinds[] = {"none", "sdl", "wav:", NULL};
	char hint[80];
	cli->audio_asked = !strcmp(value, "sdl");
	if (!strcmp(value, "none") || !strncmp(value, "wav:", 4))
		cli->cfg.audio = cli_keep(cli, "%s", value);
	else if (!strcmp(value, "sdl"))
		cli->cfg.audio = "host";
	else
		return cli_bad(cli, "-audio %s: expected none, sdl or wav:FILE%s", value,
			       cli_did_you_mean(hint, sizeof(hint), value, kinds));
	return 0;
}

int opt_audiodev(struct cli *cli, const char *value)
{
	char *text = cli_keep(cli, "%s", value), *rest = text, *key, *arg, *path = NULL;
	const bool wav = !strncmp(value, "wav", 3);
	while (text && next_pair(&rest, &key, &arg))
		if (!strcmp(key, "path") && arg)
			path = arg;
	if (wav)
		return opt_audio(cli, cli_keep(cli, "wav:%s", path ? path : "qemu.wav"));
	return opt_audio(cli, !strncmp(value, "none", 4) ? "none" : "sdl");
}

int opt_k(struct cli *cli, const char *value)
{
	cli->keymap = keymap_find(value);
	return cli->keymap ? 0 : cli_bad(cli, "-k %s: there are the keyboard layouts %s", value, keymap_names());
}

int opt_full_screen(struct cli *cli, const char *value)
{
	cli->full_screen = true;
	return 0;
}

/* ---- devices -------------------------------------------------------------------------------- */

static void device_list(struct cli *cli)
{
	const struct device_type *const *t = device_types();
	for (; *t; t++)
		if (!(*t)->internal)
			fprintf(cli->out, "name \"%s\", %s\n", (*t)->name, (*t)->help);
	fprintf(cli->out, "-device TYPE,help lists a type's settings\n");
}

static int check_device_type(struct cli *cli, const char *type)
{
	const char *names[64];
	unsigned n = 0;
	char hint[80];
	for (const struct device_type *const *t = device_types(); *t; t++) {
		if ((*t)->internal)
			continue;
		if (!strcmp((*t)->name, type))
			return 0;
		if (n + 1 < ARRAY_SIZE(names))
			names[n++] = (*t)->name;
	}
	names[n] = NULL;
	return cli_bad(cli, "-device %s: unknown device%s (see -device help)", type,
		       cli_did_you_mean(hint, sizeof(hint), type, names));
}

int opt_device(struct cli *cli, const char *value)
{
	char type[64];
	if (is_help(value)) {
		device_list(cli);
		cli->done = true;
		return 0;
	}
	size_t n = strcspn(value, ",");
	snprintf(type, sizeof(type), "%.*s", (int)MIN(n, sizeof(type) - 1), value);
	int r = check_device_type(cli, type);
	if (r)
		return r;
	if (value[n] == ',' && is_help(value + n + 1)) {
		device_help(cli->out, type);
		cli->done = true;
		return 0;
	}
	if (cli->devices == MACHINE_DEVICES)
		return cli_bad(cli, "-device: more than %d", MACHINE_DEVICES);
	cli->cfg.device[cli->devices++] = value;
	return 0;
}

int opt_usb(struct cli *cli, const char *value)
{
	cli->usb = true;
	cli->usb_off = false;
	return 0;
}

int opt_usbdevice(struct cli *cli, const char *value)
{
	static const char *const kinds[] = {"tablet", NULL};
	char hint[80];
	if (strcmp(value, "tablet"))
		return cli_bad(cli, "-usbdevice %s: the tablet is the one that is modelled%s", value,
			       cli_did_you_mean(hint, sizeof(hint), value, kinds));
	return opt_device(cli, "usb-tablet");
}

int opt_set(struct cli *cli, const char *value)
{
	const char *dot = strchr(value, '.');
	if (!dot || !strchr(dot, '='))
		return cli_bad(cli, "-set %s: expected ID.KEY=VALUE", value);
	if (cli->sets == MACHINE_SETS)
		return cli_bad(cli, "-set: more than %d", MACHINE_SETS);
	cli->cfg.set[cli->sets++] = value;
	return 0;
}

int opt_global(struct cli *cli, const char *value)
{
	return !strncmp(value, "kvm-", 4) || !strncmp(value, "kvm.", 4) ? 0 : opt_set(cli, value);
}

/* ---- scripts -------------------------------------------------------------------------------- */

int opt_no_reboot(struct cli *cli, const char *value)
{
	cli->cfg.no_reboot = true;
	return 0;
}

int opt_no_shutdown(struct cli *cli, const char *value)
{
	cli->cfg.no_shutdown = true;
	return 0;
}

int opt_timeout(struct cli *cli, const char *value)
{
	char *end;
	double s = strtod(value, &end);
	if (end == value || *end || !(s >= 0) || s > 1e9)
		return cli_bad(cli, "-timeout %s: expected seconds", value);
	cli->cfg.timeout_ns = (u64)(s * 1e9);
	return 0;
}

/* A count with a suffix K, M, G, T: powers of 1000. */
bool cli_parse_insns(const char *value, u64 *out)
{
	static const char suffixes[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long n = strtoull(value, &end, 0);
	const char *at = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
	if (!isdigit((unsigned char)*value) || errno || (*end && (!at || end[1])))
		return false;
	for (const char *s = suffixes; at && s <= at; s++)
		if (__builtin_mul_overflow(n, 1000ull, &n))
			return false;
	*out = n;
	return true;
}

int opt_max_insns(struct cli *cli, const char *value)
{
	if (!cli_parse_insns(value, &cli->cfg.max_insns))
		return cli_bad(cli, "-max-insns %s: expected a number of instructions", value);
	return 0;
}

int opt_screenshot(struct cli *cli, const char *value)
{
	struct machine_shot *s = &cli->cfg.screenshot[cli->shots];
	char *path = cli_keep(cli, "%s", value), *at = path ? strstr(path, ",at=") : NULL;
	if (!path || cli->shots == MACHINE_SHOTS)
		return cli_bad(cli, "-screenshot: at most %d", MACHINE_SHOTS);
	if (at) {
		char *end;
		double seconds = strtod(at + 4, &end);
		*at = 0;
		if (end != at + 4 && !strcmp(end, "s") && seconds > 0 && seconds < 1e9)
			s->at_ns = (u64)(seconds * 1e9);
		else if (!cli_parse_insns(at + 4, &s->at_insns) || !s->at_insns)
			return cli_bad(cli,
				       "-screenshot %s: after at= stands a number of instructions "
				       "(200M) or guest seconds (2.5s)",
				       value);
	}
	if (!*path)
		return cli_bad(cli, "-screenshot: expected FILE.png[,at=WHEN]");
	s->path = path;
	cli->shots++;
	return 0;
}

int opt_verdict(struct cli *cli, const char *value)
{
	cli->verdict = value;
	return 0;
}

int opt_name(struct cli *cli, const char *value)
{
	cli->name = value;
	return 0;
}

/* ---- debugging ------------------------------------------------------------------------------ */

int opt_trace(struct cli *cli, const char *value)
{
	struct trace_spec spec;
	if (is_help(value)) {
		trace_help(cli->out);
		cli->done = true;
		return 0;
	}
	cli->trace = cli_keep(cli, "%s", value);
	return trace_parse(value, &spec, cli->e);
}

int opt_profile(struct cli *cli, const char *value)
{
	struct profile_request r;
	cli->profile = cli_keep(cli, "%s", value);
	return profile_request_parse(value, &r, cli->e);
}

int opt_d(struct cli *cli, const char *value)
{
	char *rest = cli_keep(cli, "%s", value), *item, hint[80];
	const char *names[LOG_CLASSES + 1];
	for (unsigned i = 0; i < LOG_CLASSES; i++)
		names[i] = log_class_names[i];
	names[LOG_CLASSES] = NULL;
	if (is_help(value)) {
		fprintf(cli->out, "Log classes (-d ITEM,ITEM):\n");
		for (unsigned i = 0; i < LOG_CLASSES; i++)
			fprintf(cli->out, "  %s\n", names[i]);
		cli->done = true;
		return 0;
	}
	while ((item = strsep(&rest, ","))) {
		unsigned i = 0;
		while (i < LOG_CLASSES && strcmp(item, names[i]))
			i++;
		if (i == LOG_CLASSES)
			return cli_bad(cli, "-d %s: unknown log class '%s'%s (see -d help)", value,
				       item, cli_did_you_mean(hint, sizeof(hint), item, names));
		cli->cfg.log_classes |= BIT(i);
	}
	return 0;
}

int opt_log_file(struct cli *cli, const char *value)
{
	cli->log_path = value;
	return 0;
}

/* ---- configuration and help ----------------------------------------------------------------- */

int opt_config(struct cli *cli, const char *value)
{
	if (is_help(value)) {
		cli_config_list(cli->out);
		cli->done = true;
		return 0;
	}
	return cli_config_file(cli, value);
}

int opt_dump_config(struct cli *cli, const char *value)
{
	cli->dump_config = true;
	return 0;
}

int opt_version(struct cli *cli, const char *value)
{
	fprintf(cli->out, "Orrery emulator version " ORRERY_VERSION "\n");
	cli->done = true;
	return 0;
}

int opt_help(struct cli *cli, const char *value)
{
	cli_help(cli->out);
	cli->done = true;
	return 0;
}

/* ---- accepted from QEMU scripts ------------------------------------------------------------- */

int opt_nodefaults(struct cli *cli, const char *value)
{
	cli->nodefaults = true;
	return 0;
}

int opt_ignore_flag(struct cli *cli, const char *value)
{
	return 0;
}

int opt_ignore_value(struct cli *cli, const char *value)
{
	return 0;
}

/* Options of which only "none" (and its like) can be had. */
static int only_none(struct cli *cli, const char *option, const char *value, const char *what)
{
	if (strcmp(value, "none") && strcmp(value, "null"))
		return cli_bad(cli, "-%s %s: there is no %s yet; only 'none' can be asked for",
			       option, value, what);
	return 0;
}

int opt_vnc(struct cli *cli, const char *value)
{
	cli->display_none = true;
	cli->vnc = strcmp(value, "none") ? value : NULL;
	return 0;
}

int opt_vga(struct cli *cli, const char *value)
{
	static const char *const kinds[] = {"std", "none", NULL};
	char hint[80];
	if (!listed(value, kinds))
		return cli_bad(cli, "-vga %s: 'std' and 'none' can be had%s", value,
			       cli_did_you_mean(hint, sizeof(hint), value, kinds));
	cli->vga_given = true;
	cli->cfg.no_vga = !strcmp(value, "none");
	return 0;
}

/* One more place of a kind of which there may be several. */
static int one_more(struct cli *cli, const char *option, const char *value, const char **list, unsigned *n)
{
	if (*n == CLI_MONITORS)
		return cli_bad(cli, "-%s: at most %d of them", option, CLI_MONITORS);
	list[(*n)++] = value;
	return 0;
}

int opt_monitor(struct cli *cli, const char *value)
{
	const char *where;
	bool mux;
	int r = place(cli, "monitor", value, &where, &mux);
	cli->monitor_given = true;
	if (r || !where || !strcmp(where, "null"))
		return r;
	if (mux)
		return cli_bad(cli, "-monitor mon:stdio: say -serial mon:stdio, which has the monitor at Ctrl-A c");
	return one_more(cli, "monitor", where, cli->monitor, &cli->monitors);
}

int opt_qmp(struct cli *cli, const char *value)
{
	const char *where;
	bool mux;
	int r = place(cli, "qmp", value, &where, &mux);
	return r || !where || mux ? r : one_more(cli, "qmp", where, cli->qmp, &cli->qmps);
}

int opt_symbols(struct cli *cli, const char *value)
{
	return one_more(cli, "symbols", value, cli->symbols, &cli->symbol_files);
}

int opt_stop_at_start(struct cli *cli, const char *value)
{
	cli->stop_at_start = true;
	return 0;
}

int opt_x(struct cli *cli, const char *value)
{
	cli->script = cli->script ? cli_keep(cli, "%s;%s", cli->script, value) : value;
	return cli->script ? 0 : cli_bad(cli, "-x: no memory");
}

int opt_parallel(struct cli *cli, const char *value)
{
	return only_none(cli, "parallel", value, "parallel port");
}
