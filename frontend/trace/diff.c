/*
 * Two traces side by side: by instructions, events and (where both have them) what they changed. Behind a difference the two are
 * brought together again where SYNC instructions agree, within WINDOW.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "frontend/trace/view.h"

#define WINDOW 4096u
#define SYNC 12u

struct side {
	const char *path;
	struct trace_cursor *c;
	struct trace_item it[WINDOW]; /* a ring; pointers into the cursor are not kept: */
	u64 hash[WINDOW];             /* what is compared */
	char line[WINDOW][200];
	u64 first, n; /* number of the first kept one, how many */
	bool ended;
	int error;
};

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* Instructions by address and bytes, events by content; with @regs what they changed. Counts and times are left out. */
static u64 hash_item(const struct trace_item *it, const struct trace_regs *g, bool regs)
{
	u64 h = mix(it->kind, it->cpu);

	if (it->kind == ITEM_INSN) {
		h = mix(mix(h, it->rip), it->cs | (u64)it->cpl << 16 | (u64)it->len << 32);
		for (unsigned i = 0; i < it->len; i++)
			h = mix(h, it->bytes[i]);
	} else if (it->kind == ITEM_EVENT) {
		h = mix(h, it->event);
		for (unsigned i = 0; i < 6; i++)
			h = mix(h, i == 4 ? 0 : it->f[i]);
	}
	if (!regs || !it->fx->mask)
		return h;
	for (unsigned i = 0; i < 16; i++)
		if (it->fx->mask >> i & 1)
			h = mix(mix(h, i), g->r[i]);
	if (it->fx->mask & FX_FLAGS)
		h = mix(h, g->rflags);
	for (u32 i = 0; i < it->fx->accesses; i++)
		h = mix(mix(h, it->fx->access[i].addr), it->fx->access[i].value ^ (u64)it->fx->access[i].write << 63);
	return h;
}

static void describe(const struct view *v, const struct trace_item *it, const struct trace_regs *g, char *buf, size_t n)
{
	static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	char text[140], sym[60] = "";
	int k = 0;

	for (unsigned i = 0; i < 16 && (size_t)k + 30 < n / 2; i++)
		if (it->fx->mask >> i & 1)
			k += snprintf(buf + k, n - (size_t)k, "%s=%" PRIx64 " ", names[i], g->r[i]);
	if (it->kind == ITEM_INSN) {
		view_disasm(v, it, text, sizeof(text));
		if (v->symbols)
			symbols_format(v->symbols, it->rip + it->base, sym, sizeof(sym));
		snprintf(buf + k, n - (size_t)k, "%s%12" PRIu64 " %u.%u %016" PRIx64 " %s%s%s", k ? "| " : "", it->icount, it->cpu, it->cpl, it->rip, text,
			 *sym ? " ; " : "", sym);
	} else {
		if (it->kind == ITEM_EVENT)
			trace_event_text(it, text, sizeof(text));
		else
			snprintf(text, sizeof(text), "not traced until here");
		snprintf(buf + k, n - (size_t)k, "%s%12" PRIu64 " %u   ** %s", k ? "| " : "", it->icount, it->cpu, text);
	}
}

/* Item @i counted from the first kept one; false: the trace ends before. */
static bool have(struct view *v, struct side *s, u64 i, bool regs)
{
	struct trace_item it;

	while (s->n <= i && !s->ended) {
		v->path = s->path;
		int r = view_next(v, s->c, &it);
		if (r != 1) {
			s->ended = true;
			s->error = r;
			break;
		}
		u64 k = (s->first + s->n++) % WINDOW;
		const struct trace_regs *g = trace_regs(s->c, it.cpu);
		s->it[k] = it;
		s->hash[k] = hash_item(&it, g, regs);
		/* Told lazily it could not be: the cursor moves on. Common runs are not described, see skip_common(). */
		describe(v, &it, g, s->line[k], sizeof(s->line[k]));
	}
	return i < s->n;
}

static void drop(struct side *s, u64 n)
{
	s->first += n;
	s->n -= n;
}

static u64 hash_at(const struct side *s, u64 i)
{
	return s->hash[(s->first + i) % WINDOW];
}

static const char *line_at(const struct side *s, u64 i)
{
	return s->line[(s->first + i) % WINDOW];
}

static bool agree(struct view *v, struct side *a, u64 i, struct side *b, u64 k, bool regs)
{
	for (u64 n = 0; n < SYNC; n++) {
		bool x = have(v, a, i + n, regs), y = have(v, b, k + n, regs);
		if (!x || !y)
			return !x && !y && n;
		if (hash_at(a, i + n) != hash_at(b, k + n))
			return false;
	}
	return true;
}

/* How far each has to go until they agree again: the nearest such place. */
static bool resync(struct view *v, struct side *a, struct side *b, u64 *i, u64 *k, bool regs)
{
	for (u64 sum = 1; sum < WINDOW / 4; sum++)
		for (u64 x = 0; x <= sum; x++)
			if (agree(v, a, x, b, sum - x, regs)) {
				*i = x;
				*k = sum - x;
				return true;
			}
	return false;
}

/* The last common lines, for context. */
struct past {
	char line[1000][200];
	u64 n;
};

static void remember(struct past *p, const char *line, u64 keep)
{
	if (keep)
		strcpy(p->line[p->n++ % keep], line);
}

static void put_past(struct view *v, struct past *p)
{
	u64 n = MIN(p->n, v->context);

	for (u64 i = p->n - n; v->context && i < p->n; i++)
		fprintf(v->out, "  %s\n", p->line[i % v->context]);
	p->n = 0;
}

static void put_lines(struct view *v, struct side *s, u64 n, char sign, bool regs)
{
	for (u64 i = 0; i < n && have(v, s, i, regs); i++)
		fprintf(v->out, "%c %s\n", sign, line_at(s, i));
}

/* One difference. False: no way was found back together. */
static bool differ(struct view *v, struct side *a, struct side *b, struct past *p, bool regs, bool first_only)
{
	u64 i = 0, k = 0, x, y;
	bool back = !first_only && resync(v, a, b, &i, &k, regs);

	fprintf(v->out, "@@ item %" PRIu64 " of %s, %" PRIu64 " of %s @@\n", a->first, a->path, b->first, b->path);
	put_past(v, p);
	x = back ? i : v->context + 1;
	y = back ? k : v->context + 1;
	put_lines(v, a, x, '-', regs);
	put_lines(v, b, y, '+', regs);
	if (!have(v, a, 0, regs))
		fprintf(v->out, "- (%s ends here)\n", a->path);
	if (!have(v, b, 0, regs))
		fprintf(v->out, "+ (%s ends here)\n", b->path);
	if (!back)
		return false;
	drop(a, i);
	drop(b, k);
	return true;
}

static int compare(struct view *v, struct side *a, struct side *b, struct past *p, bool regs, bool first_only)
{
	u64 differences = 0, same = 0;

	for (;;) {
		bool x = have(v, a, 0, regs), y = have(v, b, 0, regs);
		if (!x && !y)
			break;
		if (x && y && hash_at(a, 0) == hash_at(b, 0)) {
			remember(p, line_at(a, 0), v->context);
			drop(a, 1);
			drop(b, 1);
			same++;
			continue;
		}
		differences++;
		if (!differ(v, a, b, p, regs, first_only)) {
			if (!first_only)
				fprintf(v->out, "They do not come together again within %u items.\n", WINDOW / 4);
			break;
		}
	}
	if (a->error || b->error)
		return a->error ? a->error : b->error;
	fprintf(v->out, differences ? "%" PRIu64 " items agree, %" PRIu64 " difference%s\n" : "%" PRIu64 " items agree: no difference\n", same, differences,
		differences == 1 ? "" : "s");
	return differences != 0;
}

int view_diff(struct view *v, struct trace_file *other, const char *other_path, bool first_only)
{
	struct side *s = calloc(2, sizeof(*s));
	struct past *p = calloc(1, sizeof(*p));
	struct trace_info one, two;
	int r = -ENOMEM;

	trace_info(v->file, &one);
	trace_info(other, &two);
	if (s && p) {
		s[0].path = v->path;
		s[1].path = other_path;
		s[0].c = trace_cursor(v->file);
		s[1].c = trace_cursor(other);
		if (s[0].c && s[1].c)
			r = compare(v, &s[0], &s[1], p, one.depth >= TRACE_REGS && one.depth == two.depth, first_only);
		trace_cursor_free(s[0].c);
		trace_cursor_free(s[1].c);
	}
	free(s);
	free(p);
	return r;
}
