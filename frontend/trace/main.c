/* orrery-trace: reads what orrery -trace wrote. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include "debug/trace.h"
#include "frontend/trace/view.h"

static void help(FILE *out)
{
	fputs("usage: orrery-trace [list] FILE [--json] [--at N] [--count N] [--bytes] [--exec] [filters]\n"
	      "       orrery-trace info FILE               what it holds\n"
	      "       orrery-trace opcodes|symbols FILE    histograms   [--top N] [--json]\n"
	      "       orrery-trace calls FILE              call tree    [--top N] [--json]\n"
	      "       orrery-trace flame FILE > F.svg      flame graph  [--title TEXT]\n"
	      "       orrery-trace diff A B                all differences; diverge A B: the first one   [--context N]\n"
	      "filters: --cpl N[+N].. --cpu N[+N].. --addr A-B|SYMBOL --events (no instructions) --insns (no events)\n"
	      "  --symbols FILE[@OFFSET]  names of addresses, from an ELF file or System.map; repeatable\n"
	      "  --at N                   begin at instruction N of the trace\n"
	      "Exit status: 0; 1: diff found a difference; 2: wrong use; 3: the file cannot be read, or not to its end.\n",
	      out);
}

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "orrery-trace: %s%s%s (orrery-trace --help)\n", what, value ? ": " : "", value ? value : "");
	return -EINVAL;
}

static int load_symbols(struct view *v, char *arg)
{
	struct errtext e;
	char *at = strrchr(arg, '@');
	u64 offset = 0;

	if (at && trace_number(at + 1, NULL, &offset))
		*at = 0;
	if (!v->symbols)
		v->symbols = symbols_create();
	if (!v->symbols || symbols_load(v->symbols, arg, offset, NULL, &e))
		return bad("--symbols", v->symbols ? e.s : "out of memory");
	return 0;
}

static int bits(const char *text, unsigned limit, u8 *out)
{
	u64 n;

	for (*out = 0; trace_number(text, &text, &n) && n < limit; text++) {
		*out |= (u8)BIT(n);
		if (!*text)
			return 0;
		if (*text != '+')
			break;
	}
	return bad("expected numbers, as in 0+3", text);
}

static int range(struct view *v, const char *text)
{
	const struct symbol *s = v->symbols ? symbols_find(v->symbols, text) : NULL;
	const char *rest;

	if (s) {
		v->lo = s->addr;
		v->hi = s->addr + (s->size ? s->size - 1 : 0);
		return 0;
	}
	if (!trace_number(text, &rest, &v->lo))
		return bad("--addr: no such symbol, nor an address", text);
	v->hi = v->lo;
	return !*rest || (*rest == '-' && trace_number(rest + 1, NULL, &v->hi)) ? 0 : bad("--addr", text);
}

enum { O_JSON = 1, O_EXEC, O_BYTES, O_AT, O_COUNT, O_TOP, O_CPL, O_CPU, O_ADDR, O_EVENTS, O_INSNS, O_SYMBOLS, O_CONTEXT, O_TITLE, O_HELP };
static const struct option options[] = {
    {"json", 0, 0, O_JSON}, {"exec", 0, 0, O_EXEC}, {"bytes", 0, 0, O_BYTES}, {"at", 1, 0, O_AT}, {"count", 1, 0, O_COUNT},
    {"top", 1, 0, O_TOP}, {"cpl", 1, 0, O_CPL}, {"cpu", 1, 0, O_CPU}, {"addr", 1, 0, O_ADDR}, {"events", 0, 0, O_EVENTS},
    {"insns", 0, 0, O_INSNS}, {"symbols", 1, 0, O_SYMBOLS}, {"context", 1, 0, O_CONTEXT}, {"title", 1, 0, O_TITLE}, {"help", 0, 0, O_HELP},
    {0}};

static int option(struct view *v, int o)
{
	u64 n;

	switch (o) {
	case O_JSON: v->json = true; return 0;
	case O_EXEC: v->exec = v->no_events = true; return 0;
	case O_BYTES: v->bytes = true; return 0;
	case O_AT: return trace_number(optarg, NULL, &v->at) ? 0 : bad("--at", optarg);
	case O_COUNT: return trace_number(optarg, NULL, &v->count) ? 0 : bad("--count", optarg);
	case O_CONTEXT: return trace_number(optarg, NULL, &v->context) && v->context < 1000 ? 0 : bad("--context", optarg);
	case O_TOP:
		if (!trace_number(optarg, NULL, &n) || !n || n > 1000000)
			return bad("--top", optarg);
		v->top = (unsigned)n;
		return 0;
	case O_CPL: return bits(optarg, 4, &v->cpls);
	case O_CPU: return bits(optarg, TRACE_CPUS, &v->cpus);
	case O_ADDR: return range(v, optarg);
	case O_EVENTS: v->no_insns = true; return 0;
	case O_INSNS: v->no_events = true; return 0;
	case O_SYMBOLS: return load_symbols(v, optarg);
	case O_TITLE: v->title = optarg; return 0;
	default: return bad("an option that there is not", NULL);
	}
}

static const struct {
	const char *name;
	int (*fn)(struct view *v);
	unsigned files;
} views[] = {{"list", view_list, 1}, {"info", view_info, 1}, {"opcodes", view_opcodes, 1}, {"symbols", view_symbols, 1},
	     {"calls", view_calls, 1}, {"flame", view_flame, 1}, {"diff", NULL, 2}, {"diverge", NULL, 2}};

static struct trace_file *open_trace(const char *path)
{
	struct trace_file *f;
	struct trace_info info;
	struct errtext e;

	if (trace_open(path, &f, &e)) {
		fprintf(stderr, "orrery-trace: %s\n", e.s);
		return NULL;
	}
	trace_info(f, &info);
	if (info.note)
		fprintf(stderr, "orrery-trace: note: %s: %s\n", path, info.note);
	return f;
}

static int run(struct view *v, unsigned which, char **file)
{
	struct trace_file *other;
	struct trace_info info;
	int r;

	v->path = file[0];
	v->file = open_trace(file[0]);
	if (!v->file)
		return -EBADMSG;
	if (views[which].files == 1) {
		r = views[which].fn(v);
		trace_info(v->file, &info);
		return r ? r : info.note ? -EBADMSG : 0;
	}
	other = open_trace(file[1]);
	r = other ? view_diff(v, other, file[1], !strcmp(views[which].name, "diverge")) : -EBADMSG;
	trace_close(other);
	return r;
}

int main(int argc, char **argv)
{
	struct view v = {.out = stdout, .cpls = 0xf, .cpus = 0xff, .hi = ~0ull, .count = ~0ull, .top = 40, .context = 10};
	unsigned which = 0;
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (o == O_HELP || o == 'h') {
			help(stdout);
			return 0;
		}
		if (option(&v, o))
			return 2;
	}
	for (unsigned i = 0; optind < argc && i < ARRAY_SIZE(views); i++)
		if (!strcmp(argv[optind], views[i].name)) {
			which = i;
			optind++;
			break;
		}
	if (argc - optind != (int)views[which].files) {
		help(stderr);
		return 2;
	}
	int r = run(&v, which, argv + optind);
	trace_close(v.file);
	symbols_free(v.symbols);
	if (fflush(stdout) && errno != EPIPE)
		r = -errno;
	return r < 0 ? 3 : r;
}
