/* Commands that run and stop: cont, step, break points of every kind. */
#include "debug/monitor_internal.h"

#include <ctype.h>
#include <strings.h>
#include "cpu/vmx/vmx.h"

/* ---- running ------------------------------------------------------------------------------------------------------ */

static int go(struct command_call *c, const struct run_spec *r)
{
	int e = dbg_go(c->dbg, r);
	if (e == -EBUSY)
		return err_set(&c->error, e, "the machine runs already");
	return e ? err_set(&c->error, e, "the machine has ended") : 0;
}

static int cmd_cont(struct command_call *c)
{
	const struct run_spec r = {.kind = RUN_CONT};
	return go(c, &r);
}

static int cmd_step(struct command_call *c)
{
	struct run_spec r = {.kind = RUN_STEP, .count = 1};
	if (c->argc && command_expr(c, &c->args, &r.count))
		return -EINVAL;
	return go(c, &r);
}

static int cmd_next(struct command_call *c)
{
	const struct run_spec r = {.kind = RUN_NEXT};
	return go(c, &r);
}

static int cmd_finish(struct command_call *c)
{
	const struct run_spec r = {.kind = RUN_FINISH};
	return go(c, &r);
}

static int cmd_until(struct command_call *c)
{
	struct run_spec r = {.kind = RUN_UNTIL};
	if (!c->argc)
		return command_bad(c, "until: an address is missing");
	if (command_expr(c, &c->args, &r.arg))
		return -EINVAL;
	return go(c, &r);
}

static int cmd_stop(struct command_call *c)
{
	dbg_interrupt(c->dbg);
	return 0;
}

static int cmd_where(struct command_call *c)
{
	c->view = dbg_stop_view(c->dbg, dbg_stopped(c->dbg));
	return 0;
}

static int cmd_cpu(struct command_call *c)
{
	u64 n;
	if (command_expr(c, &c->args, &n))
		return -EINVAL;
	if (n >= MACHINE_CPUS || !dbg_select(c->dbg, (unsigned)n))
		return command_bad(c, "there is no processor %llu", (unsigned long long)n);
	c->view = json_object();
	view_num(c->view, "cpu", n);
	return 0;
}

/* ---- break points ------------------------------------------------------------------------------------------------- */

static int added(struct command_call *c, const struct bp_spec *s)
{
	int id = dbg_bp_add(c->dbg, s, &c->error);
	if (id < 0)
		return id;
	c->view = json_object();
	view_num(c->view, "breakpoint", (u64)id);
	view_text(c->view, "kind", bp_kind_name(s->kind));
	view_hex(c->view, "address", s->lo, 0);
	view_text(c->view, "_line", "{kind} {breakpoint} at {address}");
	return 0;
}

/* "[if EXPR]" at the end. */
static int condition(struct command_call *c, const char *text, struct bp_spec *s)
{
	if (!*text)
		return 0;
	if (strncmp(text, "if", 2) || !isspace((u8)text[2]))
		return command_bad(c, "'%s' is not understood; a condition begins with if", text);
	s->condition = text + 2 + strspn(text + 2, " \t");
	return *s->condition ? 0 : command_bad(c, "the condition behind if is missing");
}

/* "ADDR [LEN] [if EXPR]" */
static int place_args(struct command_call *c, const char *text, struct bp_spec *s, bool length)
{
	u64 n = 1;
	if (!*text)
		return command_bad(c, "an address is missing");
	if (command_expr(c, &text, &s->lo))
		return -EINVAL;
	if (length && *text && strncmp(text, "if", 2) && command_expr(c, &text, &n))
		return -EINVAL;
	if (!n || s->lo + n - 1 < s->lo)
		return command_bad(c, "the length must be at least 1 and not reach around");
	s->hi = s->lo + n - 1;
	return condition(c, text, s);
}

static int add_at(struct command_call *c, enum bp_kind kind, bool temporary)
{
	struct bp_spec s = bp_spec(kind, 0);
	s.temporary = temporary;
	int r = place_args(c, c->args, &s, false);
	return r ? r : added(c, &s);
}

static int cmd_break(struct command_call *c)
{
	if (c->argc)
		return add_at(c, BP_EXEC, false);
	struct bp_spec s = bp_spec(BP_EXEC, dbg_pc(dbg_cpu(c->dbg)));
	return added(c, &s);
}

static int cmd_tbreak(struct command_call *c)
{
	return add_at(c, BP_EXEC, true);
}

static int cmd_pbreak(struct command_call *c)
{
	return add_at(c, BP_EXEC_PHYS, false);
}

static int watch(struct command_call *c, enum bp_kind kind, bool rd, bool wr)
{
	struct bp_spec s = bp_spec(kind, 0);
	const char *text = c->args;
	char word[4];
	const char *start = text;
	s.read = rd;
	s.write = wr;
	/* QEMU and GDB have a command for each; "pwatch r ADDR" for physical ones. */
	if (command_word(&text, word, sizeof(word)) && strspn(word, "rw") == strlen(word)) {
		s.read = strchr(word, 'r');
		s.write = strchr(word, 'w');
	} else {
		text = start;
	}
	int r = place_args(c, text, &s, true);
	return r ? r : added(c, &s);
}

static int cmd_watch(struct command_call *c)
{
	return watch(c, BP_ACCESS, false, true);
}

static int cmd_rwatch(struct command_call *c)
{
	return watch(c, BP_ACCESS, true, false);
}

static int cmd_awatch(struct command_call *c)
{
	return watch(c, BP_ACCESS, true, true);
}

static int cmd_pwatch(struct command_call *c)
{
	return watch(c, BP_ACCESS_PHYS, false, true);
}

/* ---- catch -------------------------------------------------------------------------------------------------------- */

static const char *const exceptions[] = {"de", "db", "nmi", "bp", "of", "br", "ud", "nm", "df", "cso", "ts", "np", "ss", "gp",
					 "pf", NULL,  "mf", "ac", "mc", "xm", "ve", "cp"};

/* #GP, gp, "ept_violation": a name in place of a number. */
static bool named(enum bp_kind kind, const char *word, u64 *n)
{
	if (*word == '#')
		word++;
	for (unsigned i = 0; kind == BP_EXCEPTION && i < ARRAY_SIZE(exceptions); i++)
		if (exceptions[i] && !strcasecmp(word, exceptions[i])) {
			*n = i;
			return true;
		}
	for (unsigned i = 0; (kind == BP_VMEXIT || kind == BP_VMFAIL) && i < VR_COUNT; i++)
		if (vmx_reason_name(i) && !strcasecmp(word, vmx_reason_name(i))) {
			*n = i;
			return true;
		}
	if (kind == BP_CR && !strncasecmp(word, "cr", 2) && isdigit((u8)word[2]) && !word[3]) {
		*n = (u64)word[2] - '0';
		return true;
	}
	return false;
}

/* "N", "N..M", a name, or nothing for all. */
static int numbers(struct command_call *c, const char **text, struct bp_spec *s)
{
	char word[64];
	const char *start = *text, *dots;
	s->lo = 0;
	s->hi = ~0ull;
	if (!**text || !strncmp(*text, "if ", 3))
		return 0;
	if (!command_word(text, word, sizeof(word)))
		return command_bad(c, "'%s' is not a number", start);
	if (!strcmp(word, "r") || !strcmp(word, "w") || !strcmp(word, "rw")) {
		*text = start;
		return 0;
	}
	if (*word == '"' || strchr(start, '"') == start) {
		const char *end = strchr(start + 1, '"');
		snprintf(word, sizeof(word), "%.*s", end ? (int)(end - start - 1) : 0, start + 1);
		*text = end ? end + 1 + strspn(end + 1, " \t") : start + strlen(start);
	}
	if (named(s->kind, word, &s->lo)) {
		s->hi = s->lo;
		return 0;
	}
	dots = strstr(word, "..");
	if (dots)
		word[dots - word] = 0;
	if (expr_value(c->dbg, word, NULL, &s->lo, &c->error))
		return -EINVAL;
	s->hi = s->lo;
	return dots ? expr_value(c->dbg, dots + 2, NULL, &s->hi, &c->error) : 0;
}

static int directions(struct command_call *c, const char **text, struct bp_spec *s)
{
	char word[4];
	const char *start = *text;
	if (!command_word(text, word, sizeof(word)) || strspn(word, "rw") != strlen(word)) {
		*text = start;
		return 0;
	}
	s->read = strchr(word, 'r');
	s->write = strchr(word, 'w');
	if (s->kind == BP_IO || s->kind == BP_MSR)
		return 0;
	return command_bad(c, "catch %s takes no r or w", bp_kind_name(s->kind));
}

static int cmd_catch(struct command_call *c)
{
	const char *names[BP_KINDS + 1] = {0}, *text = c->args;
	char word[32];
	unsigned n = 0;
	if (!command_word(&text, word, sizeof(word)))
		return command_bad(c, "catch: what is missing; help catch");
	for (enum bp_kind k = BP_IO; k < BP_KINDS; k++) {
		names[n++] = bp_kind_name(k);
		if (strcmp(word, bp_kind_name(k)))
			continue;
		struct bp_spec s = bp_spec(k, 0);
		int r = numbers(c, &text, &s);
		if (!r)
			r = directions(c, &text, &s);
		if (!r)
			r = condition(c, text, &s);
		if (!r)
			r = added(c, &s);
		if (!r)
			json_object_set_new(c->view, "_line", json_string("catch {breakpoint}: {kind}"));
		return r;
	}
	const char *near = nearest(word, names);
	return command_bad(c, "nothing called '%s' can be caught%s%s; there are io, msr, cr, exception, interrupt, mode, ring, "
			      "vmentry, vmexit, vmfail, task, smm, magic, shutdown",
			   word, near ? "; did you mean " : "", near ? near : "");
}

/* ---- the list ----------------------------------------------------------------------------------------------------- */

static int number_arg(struct command_call *c, const char **text, unsigned *id)
{
	u64 v;
	*id = 0;
	if (!**text)
		return command_bad(c, "the number of a break point is missing");
	if (command_expr(c, text, &v))
		return -EINVAL;
	*id = v < 0x40000000 ? (unsigned)v : 0;
	return 0;
}

static int no_such(struct command_call *c, unsigned id)
{
	return command_bad(c, "there is no break point %u", id);
}

static int cmd_delete(struct command_call *c)
{
	unsigned id;
	if (!c->argc) {
		dbg_bp_delete_all(c->dbg, NULL);
		return 0;
	}
	if (number_arg(c, &c->args, &id))
		return -EINVAL;
	return dbg_bp_delete(c->dbg, id) ? 0 : no_such(c, id);
}

static int enable(struct command_call *c, bool on)
{
	unsigned id;
	if (number_arg(c, &c->args, &id))
		return -EINVAL;
	return dbg_bp_enable(c->dbg, id, on) ? 0 : no_such(c, id);
}

static int cmd_enable(struct command_call *c)
{
	return enable(c, true);
}

static int cmd_disable(struct command_call *c)
{
	return enable(c, false);
}

static int cmd_ignore(struct command_call *c)
{
	unsigned id;
	u64 n;
	if (number_arg(c, &c->args, &id) || command_expr(c, &c->args, &n))
		return -EINVAL;
	return dbg_bp_ignore(c->dbg, id, n) ? 0 : no_such(c, id);
}

static int cmd_condition(struct command_call *c)
{
	unsigned id;
	char word[16];
	/* The number alone: what follows is the condition's. */
	if (!command_word(&c->args, word, sizeof(word)) || sscanf(word, "%u", &id) != 1)
		return command_bad(c, "condition NUMBER [EXPR]");
	return dbg_bp_condition(c->dbg, id, c->args, &c->error);
}

static int cmd_breakpoints(struct command_call *c)
{
	struct bp_info i;
	char name[300];
	json_t *list;
	c->view = json_object();
	list = view_array(c->view, "breakpoints");
	for (unsigned id = 0; dbg_bp_next(c->dbg, id, &i); id = i.id) {
		if (i.spec.hidden)
			continue;
		json_t *o = view_object(list, NULL);
		bool address = i.spec.kind <= BP_ACCESS_PHYS;
		view_num(o, "number", i.id);
		view_text(o, "kind", bp_kind_name(i.spec.kind));
		if (i.spec.lo == 0 && i.spec.hi == ~0ull)
			view_text(o, "what", "any");
		else
			view_format(o, "what", i.spec.lo == i.spec.hi ? "0x%llx" : "0x%llx..0x%llx",
				    (unsigned long long)i.spec.lo, (unsigned long long)i.spec.hi);
		view_text(o, "symbol", address ? symbols_format(dbg_symbols(c->dbg), i.spec.lo, name, sizeof(name)) : "");
		view_text(o, "access", i.spec.kind < BP_ACCESS || i.spec.kind > BP_MSR ? ""
				       : i.spec.read && i.spec.write			? "rw"
				       : i.spec.read					? "r"
											: "w");
		view_bool(o, "enabled", i.enabled);
		view_num(o, "hits", i.hits);
		view_num(o, "ignore", i.spec.ignore);
		view_text(o, "condition", i.spec.condition ? i.spec.condition : "");
	}
	view_text(c->view, "_title", json_array_size(list) ? "" : "no break points");
	if (json_array_size(list))
		json_object_del(c->view, "_title");
	return 0;
}

const struct command commands_run[] = {
    {"cont", "c|continue", NULL, "let the machine go on", cmd_cont, COMMAND_RUNS},
    {"stop", NULL, NULL, "stop the machine", cmd_stop, 0},
    {"step", "s|si|stepi", "[COUNT]", "execute one instruction, or COUNT", cmd_step, COMMAND_RUNS},
    {"next", "n|ni|nexti", NULL, "the same, but calls, interrupts and repeated string instructions as one", cmd_next, COMMAND_RUNS},
    {"finish", "fin", NULL, "run until the function, or the interrupt handler, has returned", cmd_finish, COMMAND_RUNS},
    {"until", "u|advance", "ADDR", "run until ADDR is reached", cmd_until, COMMAND_RUNS},
    {"where", NULL, NULL, "where the machine stands, and why", cmd_where, 0},
    {"cpu", NULL, "NUMBER", "select the processor that the other commands are about", cmd_cpu, 0},
    {"break", "b|br", "[ADDR] [if EXPR]", "stop before the instruction at linear address ADDR", cmd_break, 0},
    {"tbreak", "tb", "ADDR [if EXPR]", "the same, once", cmd_tbreak, 0},
    {"pbreak", "pb", "ADDR [if EXPR]", "the same by physical address", cmd_pbreak, 0},
    {"watch", "w", "[r|w|rw] ADDR [LENGTH] [if EXPR]", "stop behind what writes (or reads) LENGTH bytes at ADDR", cmd_watch, 0},
    {"rwatch", NULL, "ADDR [LENGTH] [if EXPR]", "the same for reads", cmd_rwatch, 0},
    {"awatch", NULL, "ADDR [LENGTH] [if EXPR]", "the same for both", cmd_awatch, 0},
    {"pwatch", NULL, "[r|w|rw] ADDR [LENGTH] [if EXPR]", "the same by physical address", cmd_pwatch, 0},
    {"catch", NULL, "KIND [N|N..M|NAME] [r|w] [if EXPR]",
     "stop at: io PORT, msr N, cr N, exception N|#GP, interrupt N, mode, ring N, vmentry, vmexit REASON, vmfail, task, smm, magic, "
     "shutdown",
     cmd_catch, 0},
    {"delete", "d", "[NUMBER]", "remove a break or watch point, or all", cmd_delete, 0},
    {"enable", NULL, "NUMBER", "let it stop again", cmd_enable, 0},
    {"disable", NULL, "NUMBER", "keep it, but do not stop", cmd_disable, 0},
    {"ignore", NULL, "NUMBER COUNT", "let COUNT hits pass", cmd_ignore, 0},
    {"condition", NULL, "NUMBER [EXPR]", "stop only if EXPR is not 0; without: always", cmd_condition, 0},
    {"info breakpoints", "info break|info b", NULL, "break and watch points", cmd_breakpoints, 0},
    {0},
};
