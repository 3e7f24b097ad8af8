/* Disk images without a machine: what they are, whether they are sound, making and converting them.
 * See img.h. */
#include "frontend/cli/img.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/config.h"
#include "devices/backends/block.h"
#include "frontend/cli/exitcode.h"

#define STEP_SECTORS 2048u

struct img {
	const char *format, *to_format;
	bool repair;
	const char *name[2];
	unsigned names;
	FILE *out, *errors;
	char err[600];
};

static int usage(struct img *g, const char *what)
{
	fprintf(
	    g->errors,
	    "orrery: img: %s\n"
	    "usage: orrery img info [-f FORMAT] FILE\n"
	    "       orrery img check [-r] FILE             (-r: correct what can be corrected)\n"
	    "       orrery img create [-f raw|qcow2] FILE SIZE\n"
	    "       orrery img convert [-f FORMAT] [-O raw|qcow2] FROM TO\n",
	    what);
	return EXIT_USAGE;
}

static int failed(struct img *g)
{
	fprintf(g->errors, "orrery: img: %s\n", g->err);
	return EXIT_IMAGE;
}

static struct block *open_image(struct img *g, unsigned i, const char *format, bool write)
{
	const struct block_options o = {.path = g->name[i], .format = format, .read_only = !write};
	return block_open(&o, g->err, sizeof(g->err));
}

static int info(struct img *g)
{
	struct block *b = open_image(g, 0, g->format, false);
	if (!b)
		return failed(g);
	u64 sectors = block_sectors(b);
	fprintf(g->out, "%s: format %s, disk of %llu bytes (%.1f MiB)\n", g->name[0],
		block_format(b), (unsigned long long)sectors * BLOCK_SECTOR,
		(double)sectors / 2048);
	block_close(b);
	return 0;
}

static int check(struct img *g)
{
	struct block_report report;
	struct block *b = open_image(g, 0, g->format, g->repair);
	if (!b)
		return failed(g);
	int r = block_check(b, g->repair, &report);
	block_close(b);
	if (r == -EOPNOTSUPP) {
		fprintf(g->out, "%s: this format has nothing that could be checked\n", g->name[0]);
		return 0;
	}
	if (r) {
		fprintf(g->errors, "orrery: img: '%s': cannot be checked: %s\n", g->name[0],
			strerror(-r));
		return EXIT_IMAGE;
	}
	fprintf(g->out,
		"%s: %llu errors, %llu leaked clusters, %llu clusters in use (the disk has %llu)\n",
		g->name[0], (unsigned long long)report.errors, (unsigned long long)report.leaks,
		(unsigned long long)report.used, (unsigned long long)report.whole);
	if (report.errors)
		fprintf(g->out, "the first: %s\n", report.first);
	return report.errors ? EXIT_IMAGE : 0;
}

static int create(struct img *g, const char *format)
{
	u64 bytes;
	if (parse_size(g->name[1], &bytes))
		return usage(g, "the size is a number, with K, M, G or T");
	return block_create(g->name[0], format, bytes, g->err, sizeof(g->err)) ? failed(g) : 0;
}

static bool all_zero(const u8 *data, u64 n)
{
	return !data[0] && !memcmp(data, data + 1, n - 1);
}

/* Zeroes are left out: a new image has them. */
static int copy(struct img *g, struct block *from, struct block *to)
{
	u8 *data = malloc(STEP_SECTORS * BLOCK_SECTOR);
	u64 sectors = block_sectors(from);
	int r = data ? 0 : -ENOMEM;
	for (u64 lba = 0; !r && lba < sectors; lba += STEP_SECTORS) {
		u32 n = (u32)MIN(STEP_SECTORS, sectors - lba);
		r = block_io(from, BLOCK_READ, lba, n, data);
		if (!r && !all_zero(data, n * BLOCK_SECTOR))
			r = block_io(to, BLOCK_WRITE, lba, n, data);
	}
	free(data);
	if (!r)
		r = block_io(to, BLOCK_FLUSH, 0, 0, NULL);
	if (!r)
		return 0;
	snprintf(g->err, sizeof(g->err), "'%s': %s", g->name[1], strerror(-r));
	return failed(g);
}

static int convert(struct img *g)
{
	const char *format = g->to_format ? g->to_format : "qcow2";
	struct block *from = open_image(g, 0, g->format, false), *to = NULL;
	if (!from)
		return failed(g);
	int status = block_create(g->name[1], format, block_sectors(from) * BLOCK_SECTOR, g->err,
				  sizeof(g->err))
			 ? failed(g)
			 : 0;
	if (!status && !(to = open_image(g, 1, format, true)))
		status = failed(g);
	if (!status)
		status = copy(g, from, to);
	block_close(to);
	block_close(from);
	if (status && to)
		unlink(g->name[1]); /* half an image is worse than none */
	return status;
}

int img_main(int argc, char *const *argv, FILE *out, FILE *errors)
{
	static const char *const commands[] = {"info", "check", "create", "convert", NULL};
	struct img g = {.out = out, .errors = errors};
	unsigned command = 0;
	char text[100];
	if (!argc)
		return usage(&g, "what is to be done?");
	while (commands[command] && strcmp(commands[command], argv[0]))
		command++;
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;
		if (!strcmp(argv[i], "-f") && more)
			g.format = argv[++i];
		else if (!strcmp(argv[i], "-O") && more)
			g.to_format = argv[++i];
		else if (!strcmp(argv[i], "-r"))
			g.repair = true;
		else if (argv[i][0] == '-' || g.names == 2)
			return usage(&g, "too many files, or an unknown option");
		else
			g.name[g.names++] = argv[i];
	}
	if (commands[command] && g.names != (command < 2 ? 1 : 2))
		return usage(&g, "a file is missing, or one too many");
	switch (command) {
	case 0: return info(&g);
	case 1: return check(&g);
	case 2: return create(&g, g.format ? g.format : "qcow2");
	case 3: return convert(&g);
	default: break;
	}
	const char *near = nearest(argv[0], commands);
	snprintf(text, sizeof(text), "unknown command '%.40s'%s%s%s", argv[0],
		 near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
	return usage(&g, text);
}
