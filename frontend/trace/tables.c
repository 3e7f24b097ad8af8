/* What a trace holds, and histograms of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include "frontend/trace/view.h"

int view_info(struct view *v)
{
	static const char *const depths[] = {"events", "insns", "regs", "mem"};
	struct trace_info i;

	trace_info(v->file, &i);
	fprintf(v->out,
		v->json ? "{\"version\":%u,\"depth\":\"%s\",\"processors\":%u,\"instructions\":%" PRIu64 ",\"chunks\":%u,\"bytes\":%" PRIu64
			  ",\"bytes_per_instruction\":%.4f,\"whole\":%s}\n"
			: "format version      %u\ndepth               %s\nprocessors          %u\ninstructions        %" PRIu64 "\nchunks              "
			  "%u\nbytes               %" PRIu64 "\nbytes/instruction   %.4f\nwhole               %s\n",
		TRACE_VERSION, depths[i.depth], i.cpus, i.insns, i.chunks, i.bytes, i.insns ? (double)i.bytes / (double)i.insns : 0.0,
		i.note ? "false" : "true");
	if (!v->json)
		fprintf(v->out, "asked for           %s\n", i.text);
	return 0;
}

/* ---- histograms -------------------------------------------------------------------------------------------------------------- */

struct row {
	char *name;
	u64 key, n;
};

struct table {
	struct row *row; /* open addressing; n 0: free */
	u32 used, size;
	u64 total;
};

static bool grow(struct table *t)
{
	u32 size = t->size ? t->size * 2 : 4096;
	struct row *row = calloc(size, sizeof(*row));

	if (!row)
		return false;
	for (u32 i = 0; i < t->size; i++) {
		u32 k = (u32)(t->row[i].key * 0x9e3779b97f4a7c15ull >> 32) & (size - 1);
		if (!t->row[i].n)
			continue;
		while (row[k].n)
			k = (k + 1) & (size - 1);
		row[k] = t->row[i];
	}
	free(t->row);
	t->row = row;
	t->size = size;
	return true;
}

/* Counts one of @key; NULL: no memory. Its name is to be set when it is new. */
static struct row *count(struct table *t, u64 key)
{
	if (t->used * 2 >= t->size && !grow(t))
		return NULL;
	u32 k = (u32)(key * 0x9e3779b97f4a7c15ull >> 32) & (t->size - 1);
	while (t->row[k].n && t->row[k].key != key)
		k = (k + 1) & (t->size - 1);
	t->used += !t->row[k].n;
	t->row[k].key = key;
	t->row[k].n++;
	t->total++;
	return &t->row[k];
}

static int most_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return x->name && y->name ? strcmp(x->name, y->name) : 0;
}

static void put_table(struct view *v, struct table *t, const char *what)
{
	u32 n = 0;

	for (u32 i = 0; i < t->size; i++)
		if (t->row[i].n)
			t->row[n++] = t->row[i];
	if (n)
		qsort(t->row, n, sizeof(*t->row), most_first);
	if (!v->json)
		fprintf(v->out, "%14s %7s  %s\n", "instructions", "%", what);
	for (u32 i = 0; i < n; i++) {
		struct row *r = &t->row[i];
		double part = 100.0 * (double)r->n / (double)t->total;
		if (i < v->top)
			fprintf(v->out, v->json ? "{\"instructions\":%" PRIu64 ",\"percent\":%.3f,\"name\":\"%s\"}\n" : "%14" PRIu64 " %7.3f  %s\n", r->n, part,
				r->name ? r->name : "?");
		free(r->name);
	}
	if (!v->json)
		fprintf(v->out, "%14" PRIu64 " %7.3f  in all\n", t->total, 100.0);
	free(t->row);
}

static char *opcode_name(const struct trace_item *it)
{
	return strdup(it->in ? insn_rows[it->in->row].mnemonic : "(bad)");
}

/* Names are told apart by where they stand: one literal for each mnemonic. */
static u64 opcode_key(const struct view *v, const struct trace_item *it)
{
	u64 h = 1469598103934665603ull;
	for (const char *s = it->in ? insn_rows[it->in->row].mnemonic : ""; *s; s++)
		h = (h ^ (u8)*s) * 1099511628211ull;
	return h;
}

static u64 symbol_key(const struct view *v, const struct trace_item *it)
{
	const struct symbol *s = v->symbols ? symbols_at(v->symbols, it->rip + it->base) : NULL;
	return s ? s->addr : (it->rip + it->base) & ~0xfffull;
}

static int histogram(struct view *v, u64 (*key)(const struct view *, const struct trace_item *), bool opcodes, const char *what)
{
	struct trace_cursor *c = trace_cursor(v->file);
	struct table t = {0};
	struct trace_item it;
	char name[120];
	int r = c ? 0 : -ENOMEM;

	v->no_events = true;
	while (!r && (r = view_next(v, c, &it)) == 1) {
		struct row *row = count(&t, key(v, &it));
		r = row ? 0 : -ENOMEM;
		if (row && !row->name)
			row->name = opcodes ? opcode_name(&it) : strdup(view_function(v, it.rip + it.base, name, sizeof(name)));
	}
	put_table(v, &t, what);
	trace_cursor_free(c);
	return r;
}

int view_opcodes(struct view *v)
{
	return histogram(v, opcode_key, true, "mnemonic");
}

int view_symbols(struct view *v)
{
	return histogram(v, symbol_key, false, "symbol, or page");
}
