/* Commands that look at memory, registers and code, and that change them. */
#include "debug/monitor_internal.h"

#include <ctype.h>
#include "cpu/exec/exec.h"
#include "cpu/mmu/mmu.h"
#include "debug/tables.h"
#include "machine/reverse.h"

void view_place(json_t *o, struct debugger *d, const char *name, const char *symbol_name, u64 addr)
{
	char text[300];
	view_hex(o, name, addr, 0);
	view_text(o, symbol_name, symbols_format(dbg_symbols(d), addr, text, sizeof(text)));
}

static int cmd_print(struct command_call *c)
{
	char name[300];
	u64 v;
	if (!c->argc)
		return command_bad(c, "print: an expression is missing");
	if (expr_value(c->dbg, c->args, NULL, &v, &c->error))
		return -EINVAL;
	c->view = json_object();
	view_hex(c->view, "hex", v, 0);
	view_num(c->view, "decimal", v);
	symbols_format(dbg_symbols(c->dbg), v, name, sizeof(name));
	if (name[0])
		view_text(c->view, "symbol", name);
	view_text(c->view, "_line", name[0] ? "{hex}  {decimal}  <{symbol}>" : "{hex}  {decimal}");
	return 0;
}

/* ---- x/FMT, xp/FMT ------------------------------------------------------------------------------------------------ */

struct format {
	u64 count;
	unsigned size;
	char how; /* x d u o c i s */
};

/* "/16xg " and the like. */
static int parse_format(struct command_call *c, const char **text, struct format *f)
{
	const char *p = *text;
	*f = (struct format){1, 4, 'x'};
	if (*p != '/')
		return 0;
	p++;
	if (isdigit((u8)*p)) {
		char *end;
		f->count = strtoull(p, &end, 10);
		p = end;
	}
	for (; *p && !isspace((u8)*p); p++) {
		static const char sizes[] = "bhwg";
		const char *s = strchr(sizes, *p);
		if (s)
			f->size = 1u << (s - sizes);
		else if (strchr("xducoisa", *p))
			f->how = *p;
		else
			return command_bad(c, "'%c' is no format: a count, then x d u o c a i s, then b h w g", *p);
	}
	if (f->how == 'c')
		f->size = 1;
	if (f->how == 'a')
		f->size = 8;
	if (!f->count || f->count > 65536)
		return command_bad(c, "the count must be 1 to 65536");
	*text = p + strspn(p, " \t");
	return 0;
}

static void cell(json_t *words, const struct format *f, struct debugger *d, u64 v)
{
	char name[300];
	switch (f->how) {
	case 'd': view_format(words, NULL, "%lld", (long long)sext(v, f->size * 8)); break;
	case 'u': view_format(words, NULL, "%llu", (unsigned long long)v); break;
	case 'o': view_format(words, NULL, "0%llo", (unsigned long long)v); break;
	case 'c': view_format(words, NULL, isprint((int)v) ? "'%c'" : "\\x%02x", (int)v); break;
	case 'a':
		symbols_format(dbg_symbols(d), v, name, sizeof(name));
		view_format(words, NULL, name[0] ? "0x%016llx <%s>" : "0x%016llx", (unsigned long long)v, name);
		break;
	default: view_hex(words, NULL, v, f->size * 2); break;
	}
}

static unsigned peek(struct cpu *cpu, bool phys, u64 at, void *buf, unsigned n)
{
	return phys ? dbg_read_phys(cpu, at, buf, n) : dbg_read(cpu, at, buf, n);
}

static int dump(struct command_call *c, const struct format *f, u64 at, bool phys)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	unsigned per_line = f->how == 'a' ? 1 : 16 / f->size;
	json_t *rows = view_array(c->view, "memory"), *words = NULL;
	for (u64 i = 0; i < f->count; i++, at += f->size) {
		char name[300];
		u64 v = 0;
		if (i % per_line == 0) {
			json_t *row = view_object(rows, NULL);
			view_hex(row, "address", at, 0);
			if (!phys && (i == 0 || symbols_at(dbg_symbols(c->dbg), at)))
				view_text(row, "symbol", symbols_format(dbg_symbols(c->dbg), at, name, sizeof(name)));
			words = view_array(row, "values");
		}
		if (peek(cpu, phys, at, &v, f->size) != f->size)
			return i ? 0 : err_set(&c->error, -EFAULT, "there is no memory at 0x%llx", (unsigned long long)at);
		cell(words, f, c->dbg, v);
	}
	return 0;
}

static int strings(struct command_call *c, const struct format *f, u64 at, bool phys)
{
	json_t *rows = view_array(c->view, "memory");
	for (u64 i = 0; i < f->count; i++) {
		char text[257];
		unsigned n = peek(dbg_cpu(c->dbg), phys, at, text, 256);
		text[n] = 0;
		json_t *row = view_object(rows, NULL);
		view_hex(row, "address", at, 0);
		n = (unsigned)strlen(text);
		for (char *p = text; *p; p++)
			if (!isprint((u8)*p))
				*p = '.';
		view_text(view_array(row, "values"), NULL, text);
		at += n + 1;
	}
	return 0;
}

unsigned view_insn(json_t *rows, struct command_call *c, u64 lin)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	struct insn in;
	u8 bytes[15] = {0};
	char text[400], hex[32], name[300];
	unsigned n = dbg_decode(cpu, lin, 0, &in, bytes), shown = n ? n : 1;
	json_t *row = view_object(rows, NULL);
	for (unsigned i = 0; i < shown; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	/* The text counts branch targets from rip. */
	u64 rip = cpu_long64(cpu) ? lin : (u32)(lin - seg_base(cpu, CS));
	if (n)
		symbols_disasm(dbg_symbols(c->dbg), &in, rip, c->mon->syntax, text, sizeof(text));
	view_text(row, "mark", lin == dbg_pc(cpu) ? "=>" : "");
	view_hex(row, "address", lin, cpu_long64(cpu) ? 16 : 8);
	symbols_format(dbg_symbols(c->dbg), lin, name, sizeof(name));
	view_text(row, "symbol", name);
	view_text(row, "bytes", hex);
	view_text(row, "text", n ? text : "(bad)");
	view_text(row, "_line", name[0] ? "{mark:-3}{address} <{symbol}> {bytes:-20} {text}" : "{mark:-3}{address}  {bytes:-20} {text}");
	return shown;
}

static int disassemble(struct command_call *c, u64 at, u64 count)
{
	json_t *rows = view_array(c->view, "instructions");
	for (u64 i = 0; i < count; i++) {
		u8 probe;
		if (!dbg_read(dbg_cpu(c->dbg), at, &probe, 1))
			return i ? 0 : err_set(&c->error, -EFAULT, "there is no memory at 0x%llx", (unsigned long long)at);
		at += view_insn(rows, c, at);
	}
	return 0;
}

static int examine(struct command_call *c, bool phys)
{
	struct format f;
	const char *text = c->args;
	u64 at;
	if (parse_format(c, &text, &f))
		return -EINVAL;
	if (!*text)
		return command_bad(c, "an address is missing");
	if (command_expr(c, &text, &at))
		return -EINVAL;
	c->view = json_object();
	if (f.how == 'i' && phys)
		return command_bad(c, "instructions are shown by linear address");
	if (f.how == 'i')
		return disassemble(c, at, f.count);
	view_text(c->view, "_rows", "{address} <{symbol}>: {values}");
	if (phys || !symbols_count(dbg_symbols(c->dbg)))
		json_object_set_new(c->view, "_rows", json_string("{address}: {values}"));
	return f.how == 's' ? strings(c, &f, at, phys) : dump(c, &f, at, phys);
}

static int cmd_x(struct command_call *c)
{
	return examine(c, false);
}

static int cmd_xp(struct command_call *c)
{
	return examine(c, true);
}

static int cmd_disas(struct command_call *c)
{
	u64 at = dbg_pc(dbg_cpu(c->dbg)), count = 10;
	const char *text = c->args;
	if (*text && command_expr(c, &text, &at))
		return -EINVAL;
	if (*text && command_expr(c, &text, &count))
		return -EINVAL;
	c->view = json_object();
	return disassemble(c, at, MIN(count, 10000ull));
}

static int cmd_syntax(struct command_call *c)
{
	if (strcmp(c->args, "intel") && strcmp(c->args, "att"))
		return command_bad(c, "syntax intel or syntax att");
	c->mon->syntax = *c->args == 'a' ? DISASM_ATT : DISASM_INTEL;
	return 0;
}

/* ---- walk --------------------------------------------------------------------------------------------------------- */

static int cmd_walk(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	const char *text = c->args;
	unsigned acc = 0;
	char word[16];
	u64 lin;
	if (command_expr(c, &text, &lin))
		return -EINVAL;
	while (command_word(&text, word, sizeof(word))) {
		if (strspn(word, "rwx") == strlen(word))
			acc |= (strchr(word, 'r') ? ACC_R : 0u) | (strchr(word, 'w') ? ACC_W : 0u) | (strchr(word, 'x') ? ACC_X : 0u);
		else if (!strcmp(word, "user"))
			acc |= ACC_USER;
		else if (!strcmp(word, "system"))
			acc |= ACC_SYS;
		else
			return command_bad(c, "'%s' is no access: r, w, x, user, system", word);
	}
	if (!(acc & (ACC_R | ACC_W | ACC_X)))
		acc |= ACC_R;
	c->view = json_object();
	view_text(c->view, "_picture", "walk");
	view_place(c->view, c->dbg, "linear", "symbol", lin);
	walk_view(c->view, cpu, lin, acc);
	return 0;
}

/* ---- back trace --------------------------------------------------------------------------------------------------- */

static int cmd_backtrace(struct command_call *c)
{
	struct cpu *cpu = dbg_cpu(c->dbg);
	unsigned size = cpu_long64(cpu) ? 8 : (cpu->mode & MODE_BITS) == MODE_32 ? 4 : 2;
	u64 bp = zext_bytes(cpu->r[RBP], size), pc = dbg_pc(cpu);
	json_t *rows;
	c->view = json_object();
	rows = view_array(c->view, "frames");
	view_text(c->view, "_rows", "#{number} {address} <{symbol}>");
	for (unsigned i = 0; i < 64; i++) {
		u64 next[2] = {0};
		json_t *row = view_object(rows, NULL);
		view_num(row, "number", i);
		view_place(row, c->dbg, "address", "symbol", pc);
		u64 base = cpu_long64(cpu) ? 0 : seg_base(cpu, SS);
		if (!bp || dbg_read(cpu, base + bp, &next[0], size) != size || dbg_read(cpu, base + bp + size, &next[1], size) != size ||
		    next[0] <= bp || !next[1])
			break;
		bp = next[0];
		pc = next[1] + (cpu_long64(cpu) ? 0 : seg_base(cpu, CS));
	}
	return 0;
}

/* ---- changing ----------------------------------------------------------------------------------------------------- */

/* set $REG = EXPR; set SIZE[ADDR] = EXPR */
static int cmd_set(struct command_call *c)
{
	char target[256], name[32];
	const char *eq = strchr(c->args, '=');
	struct cpu *cpu = dbg_cpu(c->dbg);
	u64 at, v;
	if (!eq || eq[1] == '=' || (size_t)(eq - c->args) >= sizeof(target))
		return command_bad(c, "set $REGISTER = EXPR, or set byte|word|dword|qword[ADDR] = EXPR");
	snprintf(target, sizeof(target), "%.*s", (int)(eq - c->args), c->args);
	if (expr_value(c->dbg, eq + 1 + strspn(eq + 1, " \t"), NULL, &v, &c->error))
		return -EINVAL;
	machine_reverse_cut(c->machine);
	if (sscanf(target, " $%31[a-z0-9_.]", name) == 1)
		return expr_reg_set(cpu, name, v) ? 0 : command_bad(c, "there is no register $%s that can be written", name);
	static const struct {
		const char *name;
		unsigned size;
	} sizes[] = {{"byte[", 1}, {"word[", 2}, {"dword[", 4}, {"qword[", 8}};
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = strlen(sizes[i].name);
		bool phys = target[0] == 'p' && !strncmp(target + 1, sizes[i].name, n);
		char *end = strrchr(target, ']');
		if (!end || (!phys && strncmp(target, sizes[i].name, n)))
			continue;
		*end = 0;
		if (expr_value(c->dbg, target + n + phys, NULL, &at, &c->error))
			return -EINVAL;
		unsigned done = phys ? dbg_write_phys(cpu, at, &v, sizes[i].size) : dbg_write(cpu, at, &v, sizes[i].size);
		return done == sizes[i].size ? 0 : err_set(&c->error, -EFAULT, "there is no memory at 0x%llx", (unsigned long long)at);
	}
	return command_bad(c, "set: '%s' is neither $REGISTER nor byte|word|dword|qword[ADDR]", target);
}

/* patch ADDR BYTES: "0f 0b" or "0f0b"; nop COUNT bytes with nop*COUNT. */
static int cmd_patch(struct command_call *c)
{
	const char *text = c->args;
	u8 bytes[1024];
	unsigned n = 0;
	char word[2100];
	u64 at;
	/* The address is one word: bytes follow it. */
	if (!command_word(&text, word, sizeof(word)) || expr_value(c->dbg, word, NULL, &at, &c->error))
		return c->error.s[0] ? -EINVAL : command_bad(c, "patch ADDR HEXBYTES");
	for (; *text; text++) {
		unsigned b;
		int used = 0;
		if (isspace((u8)*text))
			continue;
		if (n == sizeof(bytes) || !isxdigit((u8)text[0]) || !isxdigit((u8)text[1]) || sscanf(text, "%2x%n", &b, &used) != 1)
			return command_bad(c, "patch: at most %zu bytes of two hexadecimal digits each, not '%.10s'", sizeof(bytes), text);
		bytes[n++] = (u8)b;
		text++;
	}
	if (!n)
		return command_bad(c, "patch: the bytes are missing");
	machine_reverse_cut(c->machine);
	if (dbg_write(dbg_cpu(c->dbg), at, bytes, n) != n)
		return err_set(&c->error, -EFAULT, "there is no memory for %u bytes at 0x%llx", n, (unsigned long long)at);
	c->view = json_object();
	json_t *rows = view_array(c->view, "instructions");
	for (u64 end = at + n; at < end;)
		at += view_insn(rows, c, at);
	return 0;
}

/* ---- symbols ------------------------------------------------------------------------------------------------------ */

static int cmd_symbols(struct command_call *c)
{
	u64 offset = 0;
	unsigned n = 0;
	if (c->argc < 1 || c->argc > 2)
		return command_bad(c, "symbols FILE [OFFSET]");
	if (c->argc == 2 && expr_value(c->dbg, c->argv[1], NULL, &offset, &c->error))
		return -EINVAL;
	if (!strcmp(c->argv[0], "clear")) {
		symbols_clear(dbg_symbols(c->dbg));
		return 0;
	}
	int r = symbols_load(dbg_symbols(c->dbg), c->argv[0], offset, &n, &c->error);
	if (r)
		return r;
	c->view = json_object();
	view_num(c->view, "symbols", n);
	view_text(c->view, "_line", "{symbols} symbols");
	return 0;
}

static int cmd_symbol(struct command_call *c)
{
	char name[300];
	u64 v;
	if (expr_value(c->dbg, c->args, NULL, &v, &c->error))
		return -EINVAL;
	c->view = json_object();
	view_hex(c->view, "address", v, 0);
	view_text(c->view, "symbol", symbols_format(dbg_symbols(c->dbg), v, name, sizeof(name)));
	view_text(c->view, "_line", "{address} {symbol}");
	return 0;
}

static int cmd_apropos(struct command_call *c)
{
	const struct symbol *s;
	c->view = json_object();
	json_t *rows = view_array(c->view, "symbols");
	view_text(c->view, "_rows", "{address} {type} {name}");
	for (unsigned i = 0; i < 200 && (s = symbols_prefix(dbg_symbols(c->dbg), c->args, i)); i++) {
		json_t *row = view_object(rows, NULL);
		view_hex(row, "address", s->addr, 16);
		view_format(row, "type", "%c", s->type);
		view_text(row, "name", s->name);
	}
	return 0;
}

const struct command commands_look[] = {
    {"print", "p", "EXPR", "the value of an expression: $rax + 8, byte[ADDR], msr[N], symbols", cmd_print, 0},
    {"x", NULL, "/[COUNT][xduocais][bhwg] ADDR", "memory by linear address: x/16xg $rsp, x/5i $pc, x/s ADDR", cmd_x, 0},
    {"xp", NULL, "/[COUNT][xduocas][bhwg] ADDR", "the same by physical address", cmd_xp, 0},
    {"disas", "disassemble", "[ADDR] [COUNT]", "instructions from ADDR, or from where it stands", cmd_disas, 0},
    {"syntax", NULL, "intel|att", "how instructions are written", cmd_syntax, 0},
    {"walk", "page|gva2gpa", "ADDR [r|w|x] [user|system]",
     "the page walk of linear address ADDR: every entry of guest and EPT tables, permissions, verdict", cmd_walk, 0},
    {"backtrace", "bt", NULL, "the frames that RBP leads to", cmd_backtrace, 0},
    {"set", NULL, "TARGET = EXPR", "write a register ($rax, $cr3, $zf) or memory (byte[ADDR], pdword[ADDR])", cmd_set, COMMAND_STOPPED},
    {"patch", NULL, "ADDR HEXBYTES", "write code or data: patch start_kernel 0f 0b", cmd_patch, COMMAND_STOPPED},
    {"symbols", "symbol-file", "FILE [OFFSET]", "read names from an ELF file, a System.map or kallsyms; symbols clear forgets them",
     cmd_symbols, 0},
    {"info symbol", "info address|symbol", "EXPR", "the symbol at an address, the address of a symbol", cmd_symbol, 0},
    {"info symbols", "apropos", "PREFIX", "symbols whose name begins so", cmd_apropos, 0},
    {0},
};
