/* Expressions: parsed once into nodes, evaluated as often as a condition is asked. */
#include "debug/expr.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "cpu/exec/exec.h"
#include "cpu/exec/system.h"
#include "cpu/exec/x87.h"
#include "cpu/watch.h"
#include "debug/debugger.h"

#define DEPTH_MAX 60
#define NODES_MAX 500
#define WORD_MAX  128

enum node_kind {
	NODE_NUMBER, /* value: also symbols */
	NODE_REG,    /* name */
	NODE_SEEN,   /* value: enum seen_value */
	NODE_MEM,    /* a; size 0: by mode; value: physical */
	NODE_MSR,    /* a */
	NODE_UNARY,  /* op, a */
	NODE_BINARY, /* op, a, b */
	NODE_COND,   /* a ? b : c */
};

enum seen_value { SEEN_VALUE, SEEN_OLD, SEEN_ADDR, SEEN_SIZE, SEEN_N, SEEN_WRITE, SEEN_COUNT };
static const char *const seen_names[SEEN_COUNT] = {"value", "old", "addr", "size", "n", "write"};

enum op {
	OP_OROR, OP_ANDAND, OP_OR, OP_XOR, OP_AND, OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT, OP_SHL, OP_SHR, OP_ADD, OP_SUB,
	OP_MUL, OP_DIV, OP_MOD, OP_COUNT,
};

/* Longer ones before those they begin with. */
static const struct {
	const char *text;
	enum op op;
	unsigned level;
} operators[] = {
    {"||", OP_OROR, 1}, {"&&", OP_ANDAND, 2}, {"<<", OP_SHL, 8}, {">>", OP_SHR, 8}, {"==", OP_EQ, 6}, {"!=", OP_NE, 6},
    {"<=", OP_LE, 7},   {">=", OP_GE, 7},     {"<", OP_LT, 7},   {">", OP_GT, 7},   {"|", OP_OR, 3},  {"^", OP_XOR, 4},
    {"&", OP_AND, 5},   {"+", OP_ADD, 9},     {"-", OP_SUB, 9},  {"*", OP_MUL, 10}, {"/", OP_DIV, 10}, {"%", OP_MOD, 10},
};
#define LEVEL_TOP 10u

struct node {
	enum node_kind kind;
	u8 op, size;
	struct node *a, *b, *c;
	u64 value;
	char name[16];
};

struct expr {
	struct node *root;
};

struct parser {
	struct debugger *d;
	const char *at;
	struct errtext *e;
	unsigned depth, nodes;
};

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static const char *const gpr[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"};
static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

struct plain {
	const char *name;
	u32 offset;
	u8 size;
	bool derived; /* what is cached depends on it */
};
#define PLAIN(n, member, derived) {n, offsetof(struct cpu, member), sizeof(((struct cpu *)0)->member), derived}
static const struct plain plain[] = {
    PLAIN("cr0", cr0, true),      PLAIN("cr2", cr2, false),
    PLAIN("cr3", cr3, true),      PLAIN("cr4", cr4, true),
    PLAIN("xcr0", xcr0, true),    PLAIN("efer", efer, true),
    PLAIN("dr0", dr[0], true),    PLAIN("dr1", dr[1], true),
    PLAIN("dr2", dr[2], true),    PLAIN("dr3", dr[3], true),
    PLAIN("dr6", dr[6], false),   PLAIN("dr7", dr[7], true),
    PLAIN("pkru", pkru, true),    PLAIN("mxcsr", mxcsr, true),
    PLAIN("gdtr.base", gdtr.base, false), PLAIN("gdtr.limit", gdtr.limit, false),
    PLAIN("idtr.base", idtr.base, false), PLAIN("idtr.limit", idtr.limit, false),
    PLAIN("star", star, false),   PLAIN("lstar", lstar, false),
    PLAIN("cstar", cstar, false), PLAIN("sfmask", sfmask, false),
    PLAIN("kernel_gs_base", kernel_gs_base, false), PLAIN("tsc_aux", tsc_aux, false),
    PLAIN("sysenter_cs", sysenter_cs, false), PLAIN("sysenter_esp", sysenter_esp, false),
    PLAIN("sysenter_eip", sysenter_eip, false), PLAIN("pat", pat, true),
    PLAIN("smbase", smbase, false),
};

/* A part of a general register. */
struct part {
	unsigned reg, shift, size;
};

static bool gpr_number(const char *name, unsigned *reg)
{
	for (unsigned i = 0; i < 8; i++)
		if (!strcmp(name, gpr[i])) {
			*reg = i;
			return true;
		}
	return false;
}

static bool find_gpr(const char *name, struct part *p)
{
	char full[8];
	size_t n = strlen(name);
	char last = n ? name[n - 1] : 0;
	*p = (struct part){.size = 8};
	if (gpr_number(name, &p->reg))
		return true;
	if (name[0] == 'r' && isdigit((u8)name[1]) && n <= 4) { /* r8..r15 and r8d, r8w, r8b */
		char *end;
		unsigned long k = strtoul(name + 1, &end, 10);
		p->reg = (unsigned)k;
		p->size = !*end ? 8 : !strcmp(end, "d") ? 4 : !strcmp(end, "w") ? 2 : !strcmp(end, "b") ? 1 : 0;
		return k >= 8 && k <= 15 && p->size;
	}
	if (n == 3 && name[0] == 'e') {
		snprintf(full, sizeof(full), "r%s", name + 1);
		p->size = 4;
		return gpr_number(full, &p->reg);
	}
	if (n == 2 && (last == 'x' || last == 'p' || last == 'i')) {
		snprintf(full, sizeof(full), "r%s", name);
		p->size = 2;
		return gpr_number(full, &p->reg);
	}
	if (n == 2 && strchr("abcd", name[0]) && (last == 'l' || last == 'h')) {
		snprintf(full, sizeof(full), "r%cx", name[0]);
		p->size = 1;
		p->shift = last == 'h' ? 8 : 0;
		return gpr_number(full, &p->reg);
	}
	if (n == 3 && last == 'l') { /* spl, bpl, sil, dil */
		snprintf(full, sizeof(full), "r%.2s", name);
		p->size = 1;
		return gpr_number(full, &p->reg) && p->reg >= 4;
	}
	return false;
}

static int flag_bit(const char *name)
{
	static const char *const names[] = {"cf", NULL, "pf", NULL, "af", NULL, "zf", "sf", "tf", "if", "df", "of"};
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i] && !strcmp(name, names[i]))
			return (int)i;
	return -1;
}

static const struct plain *find_plain(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
		if (!strcmp(name, plain[i].name))
			return &plain[i];
	return NULL;
}

/* "cs", "cs.base", "cs.limit", "cs.ar". */
static bool seg_value(struct cpu *cpu, const char *name, u64 *value)
{
	size_t n = strcspn(name, ".");
	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++) {
		if (strlen(segs[i]) != n || strncmp(name, segs[i], n))
			continue;
		if (!name[n])
			*value = cpu->seg[i].sel;
		else if (!strcmp(name + n, ".base"))
			*value = seg_base(cpu, i);
		else if (!strcmp(name + n, ".limit"))
			*value = cpu->seg[i].limit;
		else if (!strcmp(name + n, ".ar"))
			*value = cpu->seg[i].ar;
		else
			return false;
		return true;
	}
	return false;
}

static u64 load(const void *p, unsigned size)
{
	u64 v = 0;
	memcpy(&v, p, size);
	return v;
}

static bool reg_get(struct cpu *cpu, struct debugger *d, const char *name, u64 *value)
{
	const struct plain *pl = find_plain(name);
	struct part p;
	unsigned k;
	int used = 0;
	if (find_gpr(name, &p))
		*value = zext_bytes(cpu->r[p.reg] >> p.shift, p.size);
	else if (pl)
		*value = load((const u8 *)cpu + pl->offset, pl->size);
	else if (!strcmp(name, "rip") || !strcmp(name, "eip") || !strcmp(name, "ip"))
		*value = d && dbg_stopped(d)->kind == STOP_NONE ? cpu->insn_rip : cpu->rip;
	else if (!strcmp(name, "pc"))
		*value = dbg_pc(cpu);
	else if (!strcmp(name, "rflags") || !strcmp(name, "eflags") || !strcmp(name, "flags"))
		*value = d ? dbg_rflags(d, cpu) : cpu_rflags(cpu);
	else if (flag_bit(name) >= 0)
		*value = (d ? dbg_rflags(d, cpu) : cpu_rflags(cpu)) >> flag_bit(name) & 1;
	else if (!strcmp(name, "fcw"))
		*value = cpu->x87.cw;
	else if (!strcmp(name, "fsw"))
		*value = x87_sw(&cpu->x87);
	else if (!strcmp(name, "cpl"))
		*value = cpu->cpl;
	else if (!strcmp(name, "cpu"))
		*value = cpu->index;
	else if (!strcmp(name, "icount"))
		*value = cpu_icount(cpu);
	else if (!strcmp(name, "cr8"))
		*value = cpu->bus.get_cr8 ? cpu->bus.get_cr8(cpu->bus.ctx) : 0;
	else if (sscanf(name, "xmm%2u%n", &k, &used) == 1 && !name[used] && k < 32)
		*value = cpu->v[k].q[0];
	else
		return seg_value(cpu, name, value);
	return true;
}

bool expr_reg_get(struct cpu *cpu, const char *name, u64 *value)
{
	return reg_get(cpu, NULL, name, value);
}

static void derived(struct cpu *cpu)
{
	mmu_flush_all(cpu);
	cpu_mode_changed(cpu);
	mmu_select(cpu);
}

bool expr_reg_set(struct cpu *cpu, const char *name, u64 value)
{
	const struct plain *pl = find_plain(name);
	struct part p;
	unsigned k;
	int used = 0;
	if (find_gpr(name, &p)) {
		u64 mask = p.size == 8 ? ~0ull : BIT64(p.size * 8) - 1;
		if (p.size == 4)
			cpu->r[p.reg] = (u32)value;
		else
			cpu->r[p.reg] = (cpu->r[p.reg] & ~(mask << p.shift)) | (value & mask) << p.shift;
	} else if (pl) {
		memcpy((u8 *)cpu + pl->offset, &value, pl->size);
		if (pl->derived)
			derived(cpu);
	} else if (!strcmp(name, "fcw")) {
		x87_set_cw(&cpu->x87, (u16)value);
	} else if (!strcmp(name, "fsw")) {
		x87_set_sw(&cpu->x87, (u16)value);
	} else if (!strcmp(name, "rip") || !strcmp(name, "eip") || !strcmp(name, "ip")) {
		dbg_set_rip(cpu, cpu_long64(cpu) ? value : (u32)value);
	} else if (!strcmp(name, "rflags") || !strcmp(name, "eflags")) {
		cpu_set_rflags(cpu, (u32)value | FL_R1);
		cpu_mode_changed(cpu);
	} else if (flag_bit(name) >= 0) {
		u32 bit = BIT(flag_bit(name));
		cpu_set_rflags(cpu, value ? cpu_rflags(cpu) | bit : cpu_rflags(cpu) & ~bit);
		cpu_mode_changed(cpu);
	} else if (sscanf(name, "xmm%2u%n", &k, &used) == 1 && !name[used] && k < 32) {
		cpu->v[k].q[0] = value;
	} else {
		return false;
	}
	return true;
}

static bool is_reg(const char *name)
{
	static const char *const others[] = {"rip", "eip", "ip", "pc", "rflags", "eflags", "flags", "cpl", "cpu", "icount", "cr8"};
	struct part p;
	unsigned k;
	int used = 0;
	size_t n = strcspn(name, ".");
	if (find_gpr(name, &p) || find_plain(name) || flag_bit(name) >= 0)
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
		if (!strcmp(name, others[i]))
			return true;
	if (sscanf(name, "xmm%2u%n", &k, &used) == 1 && !name[used])
		return k < 32;
	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
		if (strlen(segs[i]) == n && !strncmp(name, segs[i], n))
			return !name[n] || !strcmp(name + n, ".base") || !strcmp(name + n, ".limit") || !strcmp(name + n, ".ar");
	return false;
}

/* ---- parsing ------------------------------------------------------------------------------------------------------ */

static void free_node(struct node *n)
{
	if (!n)
		return;
	free_node(n->a);
	free_node(n->b);
	free_node(n->c);
	free(n);
}

void expr_free(struct expr *x)
{
	if (!x)
		return;
	free_node(x->root);
	free(x);
}

static void blanks(struct parser *p)
{
	p->at += strspn(p->at, " \t");
}

static struct node *bad(struct parser *p, const char *what)
{
	if (*p->at)
		err_set(p->e, -EINVAL, "%s at '%.40s'", what, p->at);
	else
		err_set(p->e, -EINVAL, "%s at the end of the expression", what);
	return NULL;
}

static struct node *new_node(struct parser *p, enum node_kind kind, struct node *a, struct node *b)
{
	struct node *n = p->nodes++ < NODES_MAX ? calloc(1, sizeof(*n)) : NULL;
	if (!n) {
		free_node(a);
		free_node(b);
		return bad(p, "the expression is too long");
	}
	n->kind = kind;
	n->a = a;
	n->b = b;
	return n;
}

static struct node *number_node(struct parser *p, u64 v)
{
	struct node *n = new_node(p, NODE_NUMBER, NULL, NULL);
	if (n)
		n->value = v;
	return n;
}

static struct node *parse_cond(struct parser *p);

static bool take(struct parser *p, const char *token)
{
	size_t n = strlen(token);
	blanks(p);
	if (strncmp(p->at, token, n))
		return false;
	p->at += n;
	return true;
}

static struct node *parse_number(struct parser *p)
{
	char *end;
	const char *s = p->at;
	errno = 0;
	u64 v = s[0] == '0' && (s[1] | 32) == 'b' ? strtoull(s + 2, &end, 2)
		: s[0] == '0' && (s[1] | 32) == 'x' ? strtoull(s + 2, &end, 16)
						    : strtoull(s, &end, 10);
	if (errno || isalnum((u8)*end) || *end == '_' || (s[0] == '0' && isalpha((u8)s[1]) && end == s + 2))
		return bad(p, "not a number");
	p->at = end;
	return number_node(p, v);
}

static bool word_char(char c)
{
	return isalnum((u8)c) || c == '_' || c == '.' || c == '$' || c == '@';
}

/* A name at the parser's place into @buf. */
static bool parse_word(struct parser *p, char *buf)
{
	size_t n = 0;
	while (word_char(p->at[n]) && n < WORD_MAX - 1)
		n++;
	if (!n || word_char(p->at[n]))
		return false;
	memcpy(buf, p->at, n);
	buf[n] = 0;
	p->at += n;
	return true;
}

static struct node *parse_index(struct parser *p, enum node_kind kind, unsigned size, bool phys)
{
	struct node *a;
	if (!take(p, "["))
		return bad(p, "'[' is missing");
	a = parse_cond(p);
	if (!a)
		return NULL;
	if (!take(p, "]")) {
		free_node(a);
		return bad(p, "']' is missing");
	}
	struct node *n = new_node(p, kind, a, NULL);
	if (n) {
		n->size = (u8)size;
		n->value = phys;
	}
	return n;
}

static struct node *symbol_node(struct parser *p, const char *word)
{
	const struct symbol *s = p->d ? symbols_find(dbg_symbols(p->d), word) : NULL;
	if (s)
		return number_node(p, s->addr);
	err_set(p->e, -ENOENT, "'%s' is neither a register nor a known symbol%s", word,
		p->d && !symbols_count(dbg_symbols(p->d)) ? " (no symbols are loaded: symbols FILE)" : "");
	return NULL;
}

static struct node *reg_node(struct parser *p, const char *word)
{
	struct node *n;
	for (unsigned i = 0; i < SEEN_COUNT; i++) {
		if (strcmp(word, seen_names[i]))
			continue;
		n = new_node(p, NODE_SEEN, NULL, NULL);
		if (n)
			n->value = i;
		return n;
	}
	if (!is_reg(word) || strlen(word) >= sizeof(n->name)) {
		err_set(p->e, -ENOENT, "there is no register $%s", word);
		return NULL;
	}
	n = new_node(p, NODE_REG, NULL, NULL);
	if (n)
		strcpy(n->name, word);
	return n;
}

static struct node *parse_name(struct parser *p)
{
	static const struct {
		const char *name;
		unsigned size;
	} sizes[] = {{"byte", 1}, {"word", 2}, {"dword", 4}, {"qword", 8}};
	char word[WORD_MAX];
	const char *start = p->at;
	if (!parse_word(p, word)) {
		p->at = start;
		return bad(p, "a name is too long");
	}
	if (word[0] == '$')
		return reg_node(p, word + 1);
	blanks(p);
	for (unsigned i = 0; *p->at == '[' && i < ARRAY_SIZE(sizes); i++) {
		if (!strcmp(word, sizes[i].name))
			return parse_index(p, NODE_MEM, sizes[i].size, false);
		if (word[0] == 'p' && !strcmp(word + 1, sizes[i].name))
			return parse_index(p, NODE_MEM, sizes[i].size, true);
	}
	if (*p->at == '[' && !strcmp(word, "msr"))
		return parse_index(p, NODE_MSR, 8, false);
	return is_reg(word) ? reg_node(p, word) : symbol_node(p, word);
}

static struct node *parse_unary(struct parser *p);

static struct node *parse_primary(struct parser *p)
{
	struct node *n;
	char word[WORD_MAX];
	blanks(p);
	if (take(p, "(")) {
		n = parse_cond(p);
		if (n && !take(p, ")")) {
			free_node(n);
			return bad(p, "')' is missing");
		}
		return n;
	}
	if (*p->at == '\'' && p->at[1] && p->at[2] == '\'') {
		p->at += 3;
		return number_node(p, (u8)p->at[-2]);
	}
	if (isdigit((u8)*p->at))
		return parse_number(p);
	if (*p->at == '&' && word_char(p->at[1])) {
		p->at++;
		return parse_word(p, word) ? symbol_node(p, word) : bad(p, "a name is too long");
	}
	return word_char(*p->at) ? parse_name(p) : bad(p, "a value is missing");
}

static struct node *parse_unary(struct parser *p)
{
	struct node *a, *n;
	char c;
	blanks(p);
	c = *p->at;
	if (!c || !strchr("!~-+*", c))
		return parse_primary(p);
	if (p->depth++ > DEPTH_MAX)
		return bad(p, "too many levels");
	p->at++;
	a = parse_unary(p);
	p->depth--;
	if (!a || c == '+')
		return a;
	n = new_node(p, c == '*' ? NODE_MEM : NODE_UNARY, a, NULL);
	if (n && c != '*')
		n->op = (u8)c;
	return n;
}

/* The operator at the parser's place, if it binds at @level. */
static int operator_at(struct parser *p, unsigned level)
{
	blanks(p);
	for (unsigned i = 0; i < ARRAY_SIZE(operators); i++) {
		size_t n = strlen(operators[i].text);
		if (strncmp(p->at, operators[i].text, n))
			continue;
		if (operators[i].level != level)
			return -1;
		p->at += n;
		return (int)operators[i].op;
	}
	return -1;
}

static struct node *parse_binary(struct parser *p, unsigned level)
{
	struct node *a = level > LEVEL_TOP ? parse_unary(p) : parse_binary(p, level + 1), *b;
	int op;
	if (level > LEVEL_TOP)
		return a;
	while (a && (op = operator_at(p, level)) >= 0) {
		b = parse_binary(p, level + 1);
		if (!b) {
			free_node(a);
			return NULL;
		}
		a = new_node(p, NODE_BINARY, a, b);
		if (a)
			a->op = (u8)op;
	}
	return a;
}

static struct node *parse_cond(struct parser *p)
{
	struct node *a, *b, *c, *n;
	if (p->depth++ > DEPTH_MAX)
		return bad(p, "too many levels");
	a = parse_binary(p, 1);
	if (a && take(p, "?")) {
		b = parse_cond(p);
		bool colon = b && take(p, ":");
		if (b && !colon)
			bad(p, "':' is missing");
		c = colon ? parse_cond(p) : NULL;
		if (!c) {
			free_node(a);
			free_node(b);
			return NULL;
		}
		n = new_node(p, NODE_COND, a, b);
		if (n)
			n->c = c;
		else
			free_node(c);
		a = n;
	}
	p->depth--;
	return a;
}

struct expr *expr_parse(struct debugger *d, const char *text, const char **rest, struct errtext *e)
{
	struct parser p = {.d = d, .at = text, .e = e};
	struct expr *x = calloc(1, sizeof(*x));
	e->s[0] = 0;
	if (!x) {
		err_set(e, -ENOMEM, "no memory");
		return NULL;
	}
	x->root = parse_cond(&p);
	blanks(&p);
	if (x->root && *p.at && !rest) {
		free_node(x->root);
		x->root = bad(&p, "this is no expression:");
	}
	if (!x->root) {
		expr_free(x);
		return NULL;
	}
	if (rest)
		*rest = p.at;
	return x;
}

/* ---- evaluating --------------------------------------------------------------------------------------------------- */

struct eval {
	struct debugger *d;
	struct cpu *cpu;
	const struct seen *seen;
	struct errtext *e;
};

static int eval(struct eval *ev, const struct node *n, u64 *v);

static int eval_mem(struct eval *ev, const struct node *n, u64 *v)
{
	static const u8 by_mode[] = {2, 4, 8};
	unsigned size = n->size ? n->size : by_mode[MIN(ev->cpu->mode & MODE_BITS, 2u)];
	u64 at;
	int r = eval(ev, n->a, &at);
	if (r)
		return r;
	*v = 0;
	if ((n->value ? dbg_read_phys(ev->cpu, at, v, size) : dbg_read(ev->cpu, at, v, size)) == size)
		return 0;
	return err_set(ev->e, -EFAULT, "there is no memory at %s 0x%llx", n->value ? "physical address" : "address",
		       (unsigned long long)at);
}

static int eval_msr(struct eval *ev, const struct node *n, u64 *v)
{
	u64 number;
	int r = eval(ev, n->a, &number);
	if (r)
		return r;
	struct fault fault = ev->cpu->fault;
	if (msr_read(ev->cpu, (u32)number, v)) {
		ev->cpu->fault = fault;
		return err_set(ev->e, -ENOENT, "there is no MSR 0x%llx", (unsigned long long)number);
	}
	return 0;
}

static int eval_seen(struct eval *ev, const struct node *n, u64 *v)
{
	const struct seen *s = ev->seen;
	if (!s)
		return err_set(ev->e, -ENOENT, "$%s is known only to conditions of watch points and events", seen_names[n->value]);
	switch (n->value) {
	case SEEN_VALUE: *v = s->value; break;
	case SEEN_OLD: *v = s->old; break;
	case SEEN_ADDR: *v = s->addr; break;
	case SEEN_SIZE: *v = s->size; break;
	case SEEN_N: *v = s->n; break;
	default: *v = s->write; break;
	}
	return 0;
}

static int eval_binary(struct eval *ev, const struct node *n, u64 *v)
{
	u64 a, b;
	int r = eval(ev, n->a, &a);
	if (r)
		return r;
	if ((n->op == OP_OROR && a) || (n->op == OP_ANDAND && !a)) {
		*v = n->op == OP_OROR;
		return 0;
	}
	r = eval(ev, n->b, &b);
	if (r)
		return r;
	switch ((enum op)n->op) {
	case OP_OROR:
	case OP_ANDAND: *v = b != 0; break;
	case OP_OR: *v = a | b; break;
	case OP_XOR: *v = a ^ b; break;
	case OP_AND: *v = a & b; break;
	case OP_EQ: *v = a == b; break;
	case OP_NE: *v = a != b; break;
	case OP_LE: *v = a <= b; break;
	case OP_GE: *v = a >= b; break;
	case OP_LT: *v = a < b; break;
	case OP_GT: *v = a > b; break;
	case OP_SHL: *v = b < 64 ? a << b : 0; break;
	case OP_SHR: *v = b < 64 ? a >> b : 0; break;
	case OP_ADD: *v = a + b; break;
	case OP_SUB: *v = a - b; break;
	case OP_MUL: *v = a * b; break;
	case OP_DIV:
	case OP_MOD:
		if (!b)
			return err_set(ev->e, -EINVAL, "division by zero");
		*v = n->op == OP_DIV ? a / b : a % b;
		break;
	default: return err_set(ev->e, -EINVAL, "no such operator");
	}
	return 0;
}

static int eval(struct eval *ev, const struct node *n, u64 *v)
{
	int r;
	switch (n->kind) {
	case NODE_NUMBER: *v = n->value; return 0;
	case NODE_REG:
		if (!reg_get(ev->cpu, ev->d, n->name, v))
			return err_set(ev->e, -ENOENT, "there is no register $%s", n->name);
		return 0;
	case NODE_SEEN: return eval_seen(ev, n, v);
	case NODE_MEM: return eval_mem(ev, n, v);
	case NODE_MSR: return eval_msr(ev, n, v);
	case NODE_BINARY: return eval_binary(ev, n, v);
	case NODE_COND:
		r = eval(ev, n->a, v);
		return r ? r : eval(ev, *v ? n->b : n->c, v);
	case NODE_UNARY:
		r = eval(ev, n->a, v);
		*v = r ? 0 : n->op == '!' ? !*v : n->op == '~' ? ~*v : -*v;
		return r;
	}
	return err_set(ev->e, -EINVAL, "no such node");
}

int expr_eval(const struct expr *x, struct debugger *d, struct cpu *cpu, const struct seen *seen, u64 *value, struct errtext *e)
{
	struct eval ev = {.d = d, .cpu = cpu, .seen = seen, .e = e};
	return eval(&ev, x->root, value);
}

int expr_value(struct debugger *d, const char *text, const char **rest, u64 *value, struct errtext *e)
{
	struct expr *x = expr_parse(d, text, rest, e);
	int r = x ? expr_eval(x, d, dbg_cpu(d), NULL, value, e) : -EINVAL;
	expr_free(x);
	return r;
}
