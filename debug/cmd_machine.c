/* Commands on the machine as a whole: power, keys, media, pictures; help and quit. */
#include "debug/monitor_internal.h"

#include <ctype.h>
#include "base/log.h"
#include "debug/explain.h"
#include "devices/display/display.h"
#include "machine/snapshot_file.h"

static int button(struct command_call *c, enum machine_button b)
{
	return machine_send_button(c->machine, b) ? 0 : command_bad(c, "the guest is too slow to take it now");
}

static int cmd_reset(struct command_call *c)
{
	return button(c, BUTTON_RESET);
}

static int cmd_powerdown(struct command_call *c)
{
	return button(c, BUTTON_POWER);
}

static int cmd_nmi(struct command_call *c)
{
	return button(c, BUTTON_NMI);
}

static int cmd_quit(struct command_call *c)
{
	u64 status = 0;
	if (c->argc && (command_expr(c, &c->args, &status) || status > 255))
		return c->error.s[0] ? -EINVAL : command_bad(c, "an exit status is 0 to 255");
	atomic_store(&c->mon->quit_status, (int)status);
	atomic_store(&c->mon->quitting, true);
	machine_quit(c->machine);
	return 0;
}

/* ---- keys --------------------------------------------------------------------------------------------------------- */

/* QEMU's names of keys. */
static const struct {
	const char *name;
	u16 code;
} keys[] = {
    {"esc", 0x01}, {"minus", 0x0c}, {"equal", 0x0d}, {"backspace", 0x0e}, {"tab", 0x0f}, {"bracket_left", 0x1a}, {"bracket_right", 0x1b},
    {"ret", 0x1c}, {"kp_enter", 0xe01c}, {"ctrl", 0x1d}, {"ctrl_r", 0xe01d}, {"semicolon", 0x27}, {"apostrophe", 0x28},
    {"grave_accent", 0x29}, {"shift", 0x2a}, {"backslash", 0x2b}, {"comma", 0x33}, {"dot", 0x34}, {"slash", 0x35},
    {"kp_divide", 0xe035}, {"shift_r", 0x36}, {"kp_multiply", 0x37}, {"print", 0xe037}, {"sysrq", 0x54}, {"alt", 0x38},
    {"alt_r", 0xe038}, {"spc", 0x39}, {"caps_lock", 0x3a}, {"f1", 0x3b}, {"f2", 0x3c}, {"f3", 0x3d}, {"f4", 0x3e}, {"f5", 0x3f},
    {"f6", 0x40}, {"f7", 0x41}, {"f8", 0x42}, {"f9", 0x43}, {"f10", 0x44}, {"f11", 0x57}, {"f12", 0x58}, {"num_lock", 0x45},
    {"scroll_lock", 0x46}, {"kp_7", 0x47}, {"kp_8", 0x48}, {"kp_9", 0x49}, {"kp_subtract", 0x4a}, {"kp_4", 0x4b}, {"kp_5", 0x4c},
    {"kp_6", 0x4d}, {"kp_add", 0x4e}, {"kp_1", 0x4f}, {"kp_2", 0x50}, {"kp_3", 0x51}, {"kp_0", 0x52}, {"kp_decimal", 0x53},
    {"less", 0x56}, {"home", 0xe047}, {"up", 0xe048}, {"pgup", 0xe049}, {"left", 0xe04b}, {"right", 0xe04d}, {"end", 0xe04f},
    {"down", 0xe050}, {"pgdn", 0xe051}, {"insert", 0xe052}, {"delete", 0xe053}, {"meta_l", 0xe05b}, {"meta_r", 0xe05c},
    {"menu", 0xe05d}, {"pause", 0xe11d},
};

static u16 key_code(const char *name)
{
	static const char row[] = "1234567890\0\0\0\0qwertyuiop\0\0\0\0asdfghjkl\0\0\0\0\0zxcvbnm";
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(name, keys[i].name))
			return keys[i].code;
	if (name[0] && !name[1])
		for (unsigned i = 0; i < sizeof(row) - 1; i++)
			if (row[i] == name[0])
				return (u16)(2 + i);
	return 0;
}

static int cmd_sendkey(struct command_call *c)
{
	const char *names[ARRAY_SIZE(keys) + 1] = {0};
	u16 codes[16];
	unsigned n = 0;
	char text[256];
	if (!c->argc)
		return command_bad(c, "sendkey KEY[-KEY...], such as ctrl-alt-delete");
	snprintf(text, sizeof(text), "%s", c->argv[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		names[i] = keys[i].name;
	for (char *at = text, *key; n < ARRAY_SIZE(codes) && (key = at) && *key;) {
		size_t len = strcspn(key, "-");
		at = key[len] ? key + len + 1 : key + len;
		key[len] = 0;
		codes[n] = key_code(key);
		if (!codes[n++]) {
			const char *near = nearest(key, names);
			return command_bad(c, "there is no key '%s'%s%s", key, near ? "; did you mean " : "", near ? near : "");
		}
	}
	if (machine_input_room(c->machine) < 2 * n)
		return command_bad(c, "the guest is too slow to take keys now");
	for (unsigned i = 0; i < n; i++)
		machine_send_key(c->machine, codes[i], true);
	for (unsigned i = n; i-- > 0;)
		machine_send_key(c->machine, codes[i], false);
	return 0;
}

/* ---- media, pictures, log ----------------------------------------------------------------------------------------- */

static int cmd_change(struct command_call *c)
{
	if (c->argc != 2)
		return command_bad(c, "change DRIVE FILE; info block lists the drives");
	return machine_change_medium(c->machine, c->argv[0], c->argv[1], &c->error);
}

static int cmd_eject(struct command_call *c)
{
	if (c->argc != 1)
		return command_bad(c, "eject DRIVE; info block lists the drives");
	return machine_change_medium(c->machine, c->argv[0], NULL, &c->error);
}

static int cmd_screendump(struct command_call *c)
{
	struct display *d = machine_display(c->machine);
	if (c->argc != 1)
		return command_bad(c, "screendump FILE.png");
	if (!d)
		return command_bad(c, "this machine has no display");
	display_draw(d, host_monotonic_ns());
	int e = display_screenshot(d, c->argv[0]);
	return e ? err_set(&c->error, e, "%s: %s", c->argv[0], strerror(-e)) : 0;
}

static int cmd_log(struct command_call *c)
{
	const char *names[LOG_CLASSES + 2] = {"none"};
	u32 classes = 0;
	char text[256];
	snprintf(text, sizeof(text), "%s", c->args);
	for (unsigned i = 0; i < LOG_CLASSES; i++)
		names[i + 1] = log_class_names[i];
	for (char *save = NULL, *word = strtok_r(text, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
		u32 before = classes;
		for (unsigned i = 0; i < LOG_CLASSES; i++)
			if (!strcmp(word, log_class_names[i]))
				classes |= BIT(i);
		if (classes == before && strcmp(word, "none")) {
			const char *near = nearest(word, names);
			return command_bad(c, "there is no log class '%s'%s%s", word, near ? "; did you mean " : "", near ? near : "");
		}
	}
	machine_set_log(c->machine, classes);
	return 0;
}

static int cmd_savevm(struct command_call *c)
{
	if (c->argc != 1)
		return command_bad(c, "savevm FILE");
	return machine_save(c->machine, c->argv[0], NULL, NULL, &c->error);
}

static int cmd_loadvm(struct command_call *c)
{
	if (c->argc != 1)
		return command_bad(c, "loadvm FILE");
	int r = machine_load(c->machine, c->argv[0], &c->error);
	if (!r)
		dbg_moved(c->dbg);
	return r;
}

/* ---- explanations ------------------------------------------------------------------------------------------------- */

static const char *symbol_name(const void *symbols, u64 addr, char *buf, size_t n)
{
	return symbols_format(symbols, addr, buf, n);
}

static int explained(struct command_call *c, json_t *view)
{
	c->view = view;
	c->text = view ? explain_to_text(view) : NULL;
	return view ? 0 : err_set(&c->error, -ENOMEM, "no memory");
}

static int cmd_explain(struct command_call *c)
{
	const struct explain_names names = {symbol_name, dbg_symbols(c->dbg)};
	u64 vector = ~0ull;
	if (*c->args && command_expr(c, &c->args, &vector))
		return -EINVAL;
	return explained(c, explain_last(c->machine, dbg_cpu(c->dbg)->index, vector > 255 ? -1 : (int)vector, &names));
}

static int cmd_explain_shutdown(struct command_call *c)
{
	const struct explain_names names = {symbol_name, dbg_symbols(c->dbg)};
	return explained(c, explain_shutdown(c->machine, dbg_cpu(c->dbg)->index, &names));
}

static int cmd_faults(struct command_call *c)
{
	u64 n = 20;
	if (*c->args && command_expr(c, &c->args, &n))
		return -EINVAL;
	return explained(c, explain_list(c->machine, (unsigned)MIN(n, 1000ull)));
}

/* ---- help --------------------------------------------------------------------------------------------------------- */

static int cmd_help(struct command_call *c)
{
	const struct command *cmd;
	const char *rest;
	json_t *rows;
	struct errtext e;
	if (c->argc && strcmp(c->args, "info") && !command_find(c->args, &rest, &e)) {
		c->error = e;
		return -ENOENT;
	}
	c->view = json_object();
	rows = view_array(c->view, "commands");
	view_text(c->view, "_rows", "{usage:-48} {help}");
	for (unsigned i = 0; (cmd = command_at(i)); i++) {
		size_t n = strlen(c->args);
		bool whole = !strncmp(cmd->name, c->args, n) && (!cmd->name[n] || cmd->name[n] == ' ');
		if (c->argc && !whole && (!cmd->alias || !strstr(cmd->alias, c->args) || n < 1 || command_find(c->args, &rest, &e) != cmd))
			continue;
		json_t *o = view_object(rows, NULL);
		bool glued = cmd->args && cmd->args[0] == '/';
		view_format(o, "usage", "%s%s%s", cmd->name, cmd->args && !glued ? " " : "", cmd->args ? cmd->args : "");
		view_text(o, "alias", cmd->alias ? cmd->alias : "");
		view_text(o, "help", cmd->help);
	}
	return 0;
}


const struct command commands_machine[] = {
    {"help", "?", "[COMMAND]", "this list, or of one command", cmd_help, 0},
    {"system_reset", NULL, NULL, "press the reset button", cmd_reset, 0},
    {"system_powerdown", NULL, NULL, "press the power button", cmd_powerdown, 0},
    {"nmi", NULL, NULL, "press the NMI button", cmd_nmi, 0},
    {"sendkey", NULL, "KEY[-KEY...]", "press keys together: sendkey ctrl-alt-delete, sendkey ret", cmd_sendkey, 0},
    {"change", NULL, "DRIVE FILE", "put a CD or diskette image into a drive", cmd_change, COMMAND_ANY_THREAD},
    {"eject", NULL, "DRIVE", "take it out", cmd_eject, COMMAND_ANY_THREAD},
    {"screendump", NULL, "FILE.png", "a picture of the screen", cmd_screendump, 0},
    {"savevm", NULL, "FILE", "write the whole machine to FILE", cmd_savevm, 0},
    {"loadvm", NULL, "FILE", "go on from FILE, which must be of an equal machine", cmd_loadvm, 0},
    {"log", NULL, "CLASS[,CLASS...]|none", "what goes to the log, as -d", cmd_log, 0},
    {"explain last", "explain", "[VECTOR]", "why the newest exception (or the newest with VECTOR) was raised, with the rule of the SDM",
     cmd_explain, 0},
    {"explain shutdown", NULL, NULL, "why the processor shut down", cmd_explain_shutdown, 0},
    {"info faults", NULL, "[COUNT]", "the newest exceptions of all processors", cmd_faults, 0},
    {"quit", "q|exit", "[STATUS]", "end the emulator, with exit status STATUS (0)", cmd_quit, 0},
    {0},
};
