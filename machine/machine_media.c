/* Media changed by hand while the machine runs: CDs and diskettes. */
#include "machine/machine_internal.h"
#include "machine/record.h"

#include "devices/storage/floppy.h"
#include "devices/storage/ide.h"

static bool removable(const struct drive *d)
{
	return d->interface == DRIVE_FLOPPY || (d->interface == DRIVE_IDE && d->cdrom);
}

unsigned machine_media(struct machine *m, struct machine_medium *out, unsigned max)
{
	unsigned n = 0;
	for (unsigned i = 0; i < m->cfg.drives && n < max; i++) {
		const struct drive *d = &m->cfg.drive[i];
		if (!removable(d))
			continue;
		out[n] =
		    (struct machine_medium){.id = d->id, .cdrom = d->cdrom, .loaded = d->block};
		snprintf(out[n].path, sizeof(out[n].path), "%s",
			 d->block ? block_path(d->block) : "");
		n++;
	}
	return n;
}

struct change {
	struct machine *m;
	struct drive *drive;
	struct block *medium; /* after the change: what came out */
	int result;
};

static void change(void *ctx)
{
	struct change *c = ctx;
	struct block *old = c->drive->block;
	c->result = c->drive->interface == DRIVE_FLOPPY
			? floppy_change_medium(c->m->pc.fdc, c->drive->unit, c->medium)
			: ide_change_medium(c->m->pc.ide, c->drive->unit, c->medium);
	if (c->result)
		return;
	c->drive->block = c->medium;
	c->medium = old;
	record_medium(c->m, c->drive->id, c->drive->block ? block_path(c->drive->block) : NULL);
}

void machine_medium_event(struct machine *m, const struct input_event *ev)
{
	const char *id = (const char *)ev->bulk, *end = ev->bulk ? id + ev->len : NULL;
	const char *path = ev->bulk ? memchr(id, 0, ev->len) : NULL;
	struct errtext e = {{0}};
	if (!m->input.replay)
		return; /* it was just done */
	if (!path || ++path >= end || end[-1])
		return;
	if (machine_change_medium(m, id, *path ? path : NULL, &e))
		fprintf(m->log.file ? m->log.file : stderr, "orrery: warning: replay: %s\n", e.s);
}

int machine_change_medium(struct machine *m, const char *id, const char *path, struct errtext *e)
{
	struct change c = {.m = m, .drive = machine_drive(m, id)};
	if (!c.drive || !removable(c.drive))
		return err_set(e, -ENODEV, "%s: no drive of that name takes media", id);
	const struct block_options o = {.path = path,
					.read_only = c.drive->cdrom,
					.snapshot = c.drive->snapshot};
	if (path && !(c.medium = block_open(&o, e->s, sizeof(e->s))))
		return -ENOEXEC;
	machine_call(m, change, &c);
	block_close(c.medium); /* what came out, or what was refused */
	if (c.result == -EBUSY)
		return err_set(e, c.result,
			       "%s: the guest has locked the door; it was asked to open it", id);
	if (c.result == -EINVAL)
		return err_set(e, c.result, "%s: not the size of a diskette", path);
	return c.result ? err_set(e, c.result, "%s: cannot change the medium: %s", id,
				  strerror(-c.result))
			: 0;
}
