/* What a machine is made of, as text: snapshots and recordings fit only a machine of the same kind. */
#include "machine/machine_internal.h"

#include <stdlib.h>
#include "base/snapshot.h"
#include "cpu/exec/cpuid.h"
#include "machine/snapshot_file.h"

static void say(struct snap_buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct snap_buf *b, const char *fmt, ...)
{
	char line[700];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snap_put(b, line, MIN((size_t)n, sizeof(line) - 1));
}

static void describe_cpu(struct machine *m, struct snap_buf *b)
{
	const struct cpu *c = m->cpus[0];
	say(b, "processors = %u\nprocessor = %s", m->cpu_count, c->model->name);
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		say(b, "%s%08x", i ? "." : " ", c->feat[i]);
	say(b, "\n");
}

static void describe_roms(struct machine *m, struct snap_buf *b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->rom); i++)
		if (m->rom[i])
			say(b, "firmware %u = %llx\n", i,
			    (unsigned long long)hash_bytes(0, m->rom[i]->host, m->rom[i]->size));
}

static void describe_drive(const struct drive *d, struct snap_buf *b)
{
	static const char *const names[DRIVE_INTERFACES] = {"ide", "floppy", "virtio", "pflash", "none"};
	struct block_identity id = {0};
	say(b, "drive %s = %s %u%s\n", d->id, names[d->interface], d->unit, d->cdrom ? " cd" : "");
	if (!d->block || block_identify(d->block, &id)) {
		say(b, "medium %s = none\n", d->id);
		return;
	}
	say(b, "medium %s = %llu sectors, %s%s\n", d->id, (unsigned long long)block_sectors(d->block), block_format(d->block),
	    block_volatile(d->block) ? ", volatile overlay" : "");
	say(b, "image %s = %llu bytes, last written at %lld\n", d->id, (unsigned long long)id.bytes, (long long)id.mtime_ns);
	say(b, "path %s = %.400s\n", d->id, block_path(d->block));
}

char *machine_describe(struct machine *m)
{
	struct snap_buf b = {0};
	say(&b, "ram = %llu KiB\n", (unsigned long long)m->ram.size_bytes >> 10);
	describe_cpu(m, &b);
	describe_roms(m, &b);
	for (const struct device *d = m->pc.env.devices; d; d = d->next)
		say(&b, "device %s = %s\n", d->id, d->type->name);
	for (unsigned i = 0; i < m->cfg.drives; i++)
		describe_drive(&m->cfg.drive[i], &b);
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		say(&b, "network %u = %s\n", i, net_id(m->net[i].net));
	snap_put(&b, "", 1);
	if (!b.failed)
		return (char *)b.data;
	free(b.data);
	return NULL;
}

/* The value of "@key = " in @text, or NULL; *@n: its length. */
static const char *value_of(const char *text, const char *key, size_t key_len, size_t *n)
{
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (!strncmp(line, key, key_len) && !strncmp(line + key_len, " = ", 3)) {
			line += key_len + 3;
			*n = strcspn(line, "\n");
			return line;
		}
	return NULL;
}

static bool is_note(const char *line)
{
	return !strncmp(line, "path ", 5);
}

/* Every line of @a must stand in @b. @b_is: what @b describes. */
static int compare(const char *a, const char *b, const char *a_is, const char *b_is, struct errtext *e)
{
	for (const char *line = a; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *eq = strstr(line, " = ");
		size_t len = strcspn(line, "\n"), n = 0;
		if (!eq || eq > line + len || is_note(line))
			continue;
		size_t key = (size_t)(eq - line), mine = len - key - 3;
		const char *other = value_of(b, line, key, &n);
		if (other && n == mine && !memcmp(other, eq + 3, n))
			continue;
		if (other && !strncmp(line, "image ", 6))
			return err_set(e, -ESTALE,
				       "the image of drive %.*s was changed since (%s: %.*s; %s: %.*s): what the guest "
				       "remembers of it is no longer true",
				       (int)key - 6, line + 6, a_is, (int)mine, eq + 3, b_is, (int)n, other);
		if (other)
			return err_set(e, -ENXIO, "%s has '%.*s', %s has '%.*s = %.*s'", a_is, (int)MIN(len, 200u), line, b_is,
				       (int)MIN(key, 60u), line, (int)MIN(n, 200u), other);
		return err_set(e, -ENXIO, "%s has '%.*s', %s has no %.*s", a_is, (int)MIN(len, 200u), line, b_is, (int)MIN(key, 60u),
			       line);
	}
	return 0;
}

int machine_fits(struct machine *m, const char *was, struct errtext *e)
{
	char *now = machine_describe(m);
	if (!now)
		return err_set(e, -ENOMEM, "no memory to compare configurations");
	int r = compare(was, now, "the saved machine", "this one", e);
	r = r ? r : compare(now, was, "this machine", "the saved one", e);
	free(now);
	return r;
}
