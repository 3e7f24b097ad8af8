/* What -trace FILE,key=value... means. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include "cpu/exec/exec.h"
#include "cpu/watch.h"
#include "debug/trace.h"

struct parse {
	struct trace_spec *s;
	struct symbols *symbols;
	struct errtext *e;
};

bool trace_number(const char *text, const char **rest, u64 *v)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*v = strtoull(text, &end, 0);
	if (errno)
		return false;
	bool hex = text[0] == '0' && (text[1] | 32) == 'x';
	u64 scale = hex ? 1 : *end == 'k' || *end == 'K' ? 1000 : *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 1;
	end += scale > 1;
	*v *= scale;
	if (rest)
		*rest = end;
	return rest || !*end;
}

/* "A", "A-B" (decimal, hexadecimal) or a symbol; inclusive. */
static int address_range(struct parse *p, const char *v, u64 *lo, u64 *hi)
{
	const char *rest;

	if (trace_number(v, &rest, lo)) {
		*hi = *lo;
		if (!*rest || (*rest == '-' && trace_number(rest + 1, NULL, hi) && *hi >= *lo))
			return 0;
		return err_set(p->e, -EINVAL, "-trace: '%s' is not an address, nor a range A-B", v);
	}
	const struct symbol *s = p->symbols ? symbols_find(p->symbols, v) : NULL;
	if (!s)
		return err_set(p->e, -EINVAL, "-trace: there is no symbol '%s'%s", v,
			       p->symbols ? "" : ": name a file that has it first, with symbols=FILE");
	*lo = s->addr;
	*hi = s->addr + (s->size ? s->size - 1 : 0);
	return 0;
}

static const struct {
	const char *name;
	enum trace_event type;
	bool fixed;
	u64 first;
} event_names[] = {
    {"exception", EV_EXCEPTION, false, 0}, {"interrupt", EV_INTERRUPT, false, 0}, {"cpl", EV_CPL, false, 0},
    {"mode", EV_MODE, false, 0}, {"cr", EV_CR, false, 0}, {"msr", EV_MSR, false, 0}, {"io", EV_IO, false, 0},
    {"vmentry", EV_VMX, true, WATCH_VM_ENTRY}, {"vmexit", EV_VMX, false, 0}, {"task", EV_TASK, false, 0}, {"smm", EV_SMM, false, 0},
    {"magic", EV_MAGIC, false, 0}, {"shutdown", EV_SHUTDOWN, false, 0}};

static int event_trigger(struct parse *p, const char *v, struct trace_trigger *g)
{
	size_t n = strcspn(v, ":");

	for (unsigned i = 0; i < ARRAY_SIZE(event_names); i++) {
		if (strlen(event_names[i].name) != n || strncmp(v, event_names[i].name, n))
			continue;
		*g = (struct trace_trigger){.kind = TRIGGER_EVENT, .event = (u8)event_names[i].type,
					    .any = !v[n] && !event_names[i].fixed, .first = event_names[i].first};
		if (v[n] && !trace_number(v + n + 1, NULL, &g->first))
			break;
		return 0;
	}
	return err_set(p->e, -EINVAL, "-trace: '%s' is not an event: exception, interrupt, cpl, mode, cr, msr, io, vmentry, vmexit, task, smm, "
		       "magic or shutdown, each also with :NUMBER", v);
}

static int trigger(struct parse *p, const char *v, struct trace_trigger *g)
{
	u64 hi;

	*g = (struct trace_trigger){0};
	if (!strncmp(v, "event:", 6))
		return event_trigger(p, v + 6, g);
	if (!strncmp(v, "insn:", 5) && trace_number(v + 5, NULL, &g->at)) {
		g->kind = TRIGGER_INSN;
		return 0;
	}
	if (!strncmp(v, "addr:", 5)) {
		g->kind = TRIGGER_ADDR;
		return address_range(p, v + 5, &g->at, &hi);
	}
	return err_set(p->e, -EINVAL, "-trace: '%s' is not a trigger: addr:ADDRESS, insn:NUMBER or event:NAME", v);
}

/* Numbers joined by '+', each below @limit, as bits. */
static int bits(struct parse *p, const char *key, const char *v, unsigned limit, u8 *out)
{
	const char *rest = v;
	u64 n;

	for (*out = 0; trace_number(rest, &rest, &n) && n < limit; rest++) {
		*out |= (u8)BIT(n);
		if (!*rest)
			return 0;
		if (*rest != '+')
			break;
	}
	return err_set(p->e, -EINVAL, "-trace: %s=%s: expected numbers below %u, as in %s=0+1", key, v, limit, key);
}

static int opt_depth(struct parse *p, const char *key, const char *v)
{
	static const char *const names[] = {"events", "insns", "regs", "mem", "blocks"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(v, names[i])) {
			p->s->depth = i < TRACE_DEPTHS ? i : TRACE_INSNS;
			return 0;
		}
	return err_set(p->e, -EINVAL, "-trace: depth=%s: expected events, insns (or blocks), regs or mem", v);
}

static int opt_cpl(struct parse *p, const char *key, const char *v)
{
	return bits(p, key, v, 4, &p->s->cpls);
}

static int opt_cpu(struct parse *p, const char *key, const char *v)
{
	return bits(p, key, v, TRACE_CPUS, &p->s->cpus);
}

static int opt_cr3(struct parse *p, const char *key, const char *v)
{
	p->s->cr3_given = true;
	if (!trace_number(v, NULL, &p->s->cr3))
		return err_set(p->e, -EINVAL, "-trace: cr3=%s: expected an address", v);
	p->s->cr3 &= 0xffffffffff000ull;
	return 0;
}

static int opt_vmx(struct parse *p, const char *key, const char *v)
{
	bool guest = !strcmp(v, "guest") || !strcmp(v, "non-root");

	if (!guest && strcmp(v, "root"))
		return err_set(p->e, -EINVAL, "-trace: vmx=%s: expected root or guest", v);
	p->s->vmx = guest ? 2 : 1;
	return 0;
}

static int opt_addr(struct parse *p, const char *key, const char *v)
{
	struct trace_spec *s = p->s;

	if (s->ranges == TRACE_RANGES)
		return err_set(p->e, -EINVAL, "-trace: more than %u address ranges", TRACE_RANGES);
	s->ranges++;
	return address_range(p, v, &s->range[s->ranges - 1].lo, &s->range[s->ranges - 1].hi);
}

static int opt_insns(struct parse *p, const char *key, const char *v)
{
	const char *rest;

	if (trace_number(v, &rest, &p->s->first) && *rest == '-' && (!rest[1] || trace_number(rest + 1, NULL, &p->s->last)) &&
	    p->s->last > p->s->first)
		return 0;
	return err_set(p->e, -EINVAL, "-trace: insns=%s: expected a window of instruction counts, as in 10M-12M or 5G-", v);
}

static int opt_start(struct parse *p, const char *key, const char *v)
{
	return trigger(p, v, &p->s->start);
}

static int opt_stop(struct parse *p, const char *key, const char *v)
{
	return trigger(p, v, &p->s->stop);
}

static int opt_symbols(struct parse *p, const char *key, const char *v)
{
	char path[512];
	const char *at = strrchr(v, '@');
	u64 offset = 0;

	if (at && !trace_number(at + 1, NULL, &offset))
		at = NULL;
	snprintf(path, sizeof(path), "%.*s", (int)(at ? (size_t)(at - v) : strlen(v)), v);
	if (!p->symbols)
		p->symbols = symbols_create();
	if (!p->symbols)
		return err_set(p->e, -ENOMEM, "-trace: out of memory");
	return symbols_load(p->symbols, path, offset, NULL, p->e);
}

static const struct {
	const char *key, *value, *help;
	int (*fn)(struct parse *p, const char *key, const char *v);
} keys[] = {
    {"depth", "events|insns|regs|mem", "how much (default insns): only what happens; every instruction; and registers; and memory", opt_depth},
    {"cpl", "0[+3]..", "only at these privilege levels", opt_cpl},
    {"cr3", "ADDR", "only in this address space", opt_cr3},
    {"vmx", "root|guest", "only outside, or in, VMX non-root operation", opt_vmx},
    {"cpu", "N[+N]..", "only these processors", opt_cpu},
    {"symbols", "FILE[@OFFSET]", "an ELF file or System.map, for the names below", opt_symbols},
    {"addr", "A[-B] or SYMBOL", "only instructions there; repeatable", opt_addr},
    {"insns", "A-B", "only in this window of the processor's instruction count (k, M, G)", opt_insns},
    {"start", "TRIGGER", "begins at addr:A, addr:SYMBOL, insn:N or event:NAME[:N]", opt_start},
    {"stop", "TRIGGER", "ends there; may begin again at the next start", opt_stop},
};

void trace_help(FILE *out)
{
	fprintf(out, "-trace FILE[,KEY=VALUE]...\n");
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		fprintf(out, "  %s=%-*s %s\n", keys[i].key, (int)(30 - strlen(keys[i].key)), keys[i].value, keys[i].help);
}

static int parse_item(struct parse *p, char *item)
{
	char *value = strchr(item, '=');

	if (value)
		*value++ = 0;
	for (unsigned i = 0; value && i < ARRAY_SIZE(keys); i++)
		if (!strcmp(item, keys[i].key))
			return keys[i].fn(p, item, value);
	return err_set(p->e, -EINVAL, "-trace: unknown key '%s' (-trace help lists them)", item);
}

int trace_parse(const char *text, struct trace_spec *s, struct errtext *e)
{
	struct parse p = {.s = s, .e = e};
	char copy[sizeof(s->text)], *rest = copy;
	int r = 0;

	*s = (struct trace_spec){.depth = TRACE_INSNS, .cpls = 0xf, .vmx = 3, .cpus = 0xff, .last = ~0ull};
	if (strlen(text) >= sizeof(copy))
		return err_set(e, -EINVAL, "-trace: more than %zu characters", sizeof(copy) - 1);
	strcpy(copy, text);
	strcpy(s->text, text);
	for (bool first = true; rest && !r; first = false) {
		char *item = rest;
		rest = strchr(rest, ',');
		if (rest)
			*rest++ = 0;
		if (!first)
			r = parse_item(&p, item);
		else if (*item)
			strcpy(s->path, item);
		else
			r = err_set(e, -EINVAL, "-trace: expected a file to write");
	}
	symbols_free(p.symbols);
	return r;
}
