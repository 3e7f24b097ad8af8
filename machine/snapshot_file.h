/*
 * A machine in a file: docs/snapshots.md describes the format. Everything the guest can see is in it, and the volatile overlays
 * of its disks; images that are written to directly must be unchanged when it is loaded. Connections of user networking end.
 */
#ifndef ORRERY_MACHINE_SNAPSHOT_FILE_H
#define ORRERY_MACHINE_SNAPSHOT_FILE_H

#include "machine/machine.h"

/* Called now and then on the calling thread with bytes of @total; false: give up. */
typedef bool (*snapshot_progress)(void *ctx, u64 done, u64 total);

/**
 * Writes the machine to @path: the file appears when it is whole, an older one stays until then. On the machine's thread
 * between slices (machine_call()), or while it does not run. The guest goes on as if it had been loaded from the file:
 * translations and decoded code are dropped. 0; -ECANCELED (@progress said so), -ENOMEM, -errno of the file; with a message.
 */
MUST_CHECK int machine_save(struct machine *m, const char *path, snapshot_progress progress, void *ctx, struct errtext *e);

/**
 * Makes @m the machine that was saved. It must have the same configuration; paths may differ. 0; -EINVAL (not a snapshot, of
 * another version, damaged), -ENXIO (the machine is another one: the message names the first difference), -ESTALE (a disk was
 * changed since), -EBUSY (the run is recorded, replayed or kept for going back), -errno of the file. On failure the machine is as it was.
 */
MUST_CHECK int machine_load(struct machine *m, const char *path, struct errtext *e);
/** The same from memory; @trust: checksums are not looked at (fuzzers). */
MUST_CHECK int machine_load_bytes(struct machine *m, const u8 *data, u64 n, bool trust, struct errtext *e);

/** The options that the machine in the file was started with, as a -config file has them; malloc'ed, NULL with a message. */
char *snapshot_file_options(const char *path, struct errtext *e);

/** What makes two machines fit each other, as "name = value" lines; malloc'ed, NULL: no memory. */
char *machine_describe(struct machine *m);
/** NULL-terminated @was as machine_describe() said then. 0, or -ENXIO or -ESTALE with a message that names what differs. */
MUST_CHECK int machine_fits(struct machine *m, const char *was, struct errtext *e);

#endif
