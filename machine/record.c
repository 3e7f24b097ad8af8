/*
 * See record.h.
 *
 * A check costs little: hashes of the fields of each section, of which only those of sections that changed since the last check
 * are kept; and hashes of the pages of RAM that changed, which are found by who may have written (base/dirty.h). So all of the
 * state is compared, and the first difference is known to the field and the page. Devices' own memory, of a display adapter for
 * instance, is looked at every sixteenth time.
 */
#include "machine/record.h"

#include <stdlib.h>
#include "machine/machine_internal.h"
#include "machine/packed_file.h"
#include "machine/snapshot_file.h"

#define MAGIC	     "ORRYRECD"
#define VERSION	     1u
#define BATCH	     (1u << 20) /* bytes of checks in a block */
#define BATCH_MAX    (1u << 30)
#define EVENTS_MAX   (1ull << 34) /* bytes */
#define MEMORY_EVERY 16u
#define MEMORY_PIECE 0x10000u
#define DIFFERENCES  3u /* that are named */

struct section {
	char id[64];
	u32 fields;
	u32 *hash;
	const struct snapshot_desc *desc; /* NULL: a device's memory, by pieces */
};

struct recorder {
	struct machine *m;
	bool replay, failed, stopped;
	u64 every, next, checks, events;
	char *path;
	struct packed_writer file;
	struct snap_buf event_log, check_log;
	/* What was seen at the last check */
	struct section *section;
	u32 sections, at; /* at: the one that is being looked at */
	u32 *page_hash;
	struct snap_buf now; /* the check that is being made */
	u32 changed_sections, changed_pages;
	/* Replay */
	u8 *data;
	struct packed_file in;
	const struct packed_block *block;
	u8 *batch;
	u64 batch_bytes, batch_at;
	struct input_event *replayed;
	u64 replayed_count;
	bool differs, ended;
	char difference[600];
};

/* The head of a check; then changed_sections times: u32 section, its fields' hashes; then changed_pages pairs page, hash. */
struct check {
	u64 icount, ns;
	u32 bytes; /* behind this head */
	u32 sections, pages;
	u32 with_memory;
};

struct begin {
	u64 icount, ns, hash, every;
	u64 layout; /* of the names of all sections and fields: another program has others */
};

struct saved_event {
	u64 icount, ns;
	u16 kind, target;
	u32 len;
};

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static struct section *next_section(struct recorder *r, const char *id, const struct snapshot_desc *desc, u32 fields)
{
	if (r->at == r->sections) {
		struct section *grown = realloc(r->section, (r->sections + 1) * sizeof(*grown));
		u32 *hash = calloc(fields + 1, sizeof(*hash));
		if (!grown || !hash) {
			r->section = grown ? grown : r->section;
			free(hash);
			r->failed = true;
			return NULL;
		}
		r->section = grown;
		r->section[r->sections] = (struct section){.fields = fields, .hash = hash, .desc = desc};
		snprintf(r->section[r->sections++].id, sizeof(grown->id), "%s", id);
	}
	return &r->section[r->at++];
}

/* Keeps the section's hashes if one of them is new. */
static void keep_section(struct recorder *r, struct section *s, const u32 *hash)
{
	u32 n = (u32)(s - r->section);
	if (!memcmp(s->hash, hash, s->fields * sizeof(*hash)))
		return;
	memcpy(s->hash, hash, s->fields * sizeof(*hash));
	snap_put(&r->now, &n, 4);
	snap_put(&r->now, hash, s->fields * sizeof(*hash));
	r->changed_sections++;
}

static void see_section(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state)
{
	struct recorder *r = ctx;
	u32 hash[512];
	unsigned n, saved = 0;
	const struct field *f = desc->fields(&n);
	for (unsigned i = 0; i < n && saved < ARRAY_SIZE(hash); i++)
		if (f[i].kind != FIELD_HOST) {
			hash[saved] = (u32)snapshot_hash_field(saved, &f[i], state);
			saved++;
		}
	struct section *s = next_section(r, id, desc, saved);
	if (s)
		keep_section(r, s, hash);
}

static void see_names(void *ctx, const char *id, const struct snapshot_desc *desc, const void *state)
{
	u64 *h = ctx;
	unsigned n;
	const struct field *f = desc->fields(&n);
	*h = hash_bytes(*h ^ desc->version, id, strlen(id));
	for (unsigned i = 0; i < n; i++)
		if (f[i].kind != FIELD_HOST)
			*h = hash_bytes(*h ^ f[i].size, f[i].name, strlen(f[i].name));
}

static u64 layout(struct machine *m)
{
	u64 h = 0;
	machine_sections(m, see_names, &h);
	return h;
}

static void see_memories(struct recorder *r)
{
	for (struct device *d = r->m->pc.env.devices; d; d = d->next) {
		char id[64];
		u64 bytes;
		if (!d->type->memory)
			continue;
		const u8 *p = d->type->memory(d, &bytes);
		u32 n = (u32)(bytes / MEMORY_PIECE), *hash = malloc((n + 1) * sizeof(*hash));
		snprintf(id, sizeof(id), "%s.memory", d->id);
		struct section *s = hash ? next_section(r, id, NULL, n) : NULL;
		for (u32 i = 0; s && i < n; i++)
			hash[i] = (u32)hash_bytes(0, p + (u64)i * MEMORY_PIECE, MEMORY_PIECE);
		if (s)
			keep_section(r, s, hash);
		r->failed |= !hash;
		free(hash);
	}
}

static void see_page(void *ctx, u64 page)
{
	struct recorder *r = ctx;
	u32 pair[2] = {(u32)page, (u32)hash_bytes(0, r->m->ram.host + page * 4096, 4096)};
	if (r->page_hash[page] == pair[1])
		return;
	r->page_hash[page] = pair[1];
	snap_put(&r->now, pair, sizeof(pair));
	r->changed_pages++;
}

static struct check look(struct recorder *r)
{
	struct machine *m = r->m;
	struct check c = {.icount = machine_icount(m), .ns = machine_now(m), .with_memory = r->checks % MEMORY_EVERY == 0};
	r->now.len = r->at = r->changed_sections = r->changed_pages = 0;
	machine_sections(m, see_section, r);
	if (c.with_memory)
		see_memories(r);
	machine_written(m, DIRTY_RECORDER, see_page, r);
	c.sections = r->changed_sections;
	c.pages = r->changed_pages;
	c.bytes = (u32)r->now.len;
	return c;
}

/* ---- recording -------------------------------------------------------------------------------------------------- */

static void check(struct recorder *r);

static void flush_checks(struct recorder *r)
{
	if (r->check_log.len)
		packed_add_deflated(&r->file, "CHKS", NULL, 0, r->check_log.data, r->check_log.len);
	r->check_log.len = 0;
}

static void record_event(void *ctx, const struct input_event *ev)
{
	struct machine *m = ctx;
	struct recorder *r = m->recorder;
	if (reverse_past(m))
		return; /* it is in the recording */
	const struct saved_event s = {.icount = ev->icount, .ns = ev->ns, .kind = ev->kind, .target = ev->target, .len = ev->len};
	snap_put(&r->event_log, &s, sizeof(s));
	snap_put(&r->event_log, ev->bulk ? ev->bulk : ev->data, ev->len);
	r->events++;
}

static void add_event(struct machine *m, unsigned kind, const void *data, u32 n)
{
	u8 *copy = malloc(n + 1);
	struct input_event ev = {.icount = machine_icount(m), .ns = machine_now(m), .kind = (u16)kind, .len = n, .bulk = copy};
	if (copy && n)
		memcpy(copy, data, n);
	if (copy && m->input.record)
		m->input.record(m->input.ctx, &ev);
	if (copy)
		reverse_event(m, &ev);
	free(copy);
}

void record_forgotten(struct machine *m)
{
	if (!m->input.replay)
		add_event(m, INPUT_FORGET, NULL, 0);
}

void record_medium(struct machine *m, const char *id, const char *path)
{
	struct snap_buf b = {0};
	snap_put(&b, id, strlen(id) + 1);
	snap_put(&b, path ? path : "", strlen(path ? path : "") + 1);
	if (!b.failed && !m->input.replay)
		add_event(m, INPUT_MEDIUM, b.data, (u32)b.len);
	free(b.data);
}

static struct recorder *new_recorder(struct machine *m, bool replay, struct errtext *e)
{
	struct recorder *r = m->recorder ? NULL : calloc(1, sizeof(*r));
	if (m->recorder)
		err_set(e, -EBUSY, "the machine is recorded or replayed already");
	else if (!r || machine_track_writes(m) || !(r->page_hash = calloc(m->dirty.pages, sizeof(*r->page_hash))))
		err_set(e, -ENOMEM, "no memory for a recording");
	else {
		r->m = m;
		r->replay = replay;
		return m->recorder = r;
	}
	free(r);
	return NULL;
}

/* -ENOTSUP with a message if a disk could not be put back. */
int machine_disks_volatile(struct machine *m, const char *what, struct errtext *e)
{
	for (unsigned i = 0; i < m->cfg.drives; i++) {
		const struct drive *d = &m->cfg.drive[i];
		if (d->block && !block_volatile(d->block) && !block_read_only(d->block))
			return err_set(e, -ENOTSUP,
				       "%s needs disks that can be put back: drive %s writes to '%s'. Use -snapshot, "
				       "snapshot=on or readonly=on",
				       what, d->id, block_path(d->block));
	}
	return 0;
}

int machine_record(struct machine *m, const char *path, u64 every, struct errtext *e)
{
	int r = machine_disks_volatile(m, "-record", e);
	if (r)
		return r;
	char *kind = machine_describe(m);
	struct recorder *rec = kind ? new_recorder(m, false, e) : NULL;
	if (!rec) {
		free(kind);
		return m->recorder ? -EBUSY : err_set(e, -ENOMEM, "no memory for a recording");
	}
	struct begin b = {.layout = layout(m), .icount = machine_icount(m), .ns = machine_now(m), .hash = machine_state_hash(m),
			  .every = every ? every : RECORD_EVERY};
	rec->every = b.every;
	rec->next = b.icount;
	rec->path = strdup(path);
	packed_begin(&rec->file, MAGIC, VERSION);
	packed_add(&rec->file, "KIND", kind, strlen(kind) + 1);
	if (m->cfg.options)
		packed_add(&rec->file, "OPTS", m->cfg.options, strlen(m->cfg.options) + 1);
	packed_add(&rec->file, "BEGN", &b, sizeof(b));
	free(kind);
	m->input.record = record_event;
	return 0;
}

int machine_record_end(struct machine *m, struct errtext *e)
{
	struct recorder *r = m->recorder;
	if (!r || r->replay)
		return 0;
	check(r);
	add_event(m, INPUT_END, NULL, 0);
	flush_checks(r);
	packed_add_deflated(&r->file, "EVTS", NULL, 0, r->event_log.data, r->event_log.len);
	bool failed = r->failed || r->event_log.failed || r->check_log.failed || r->now.failed || !r->path;
	int status = packed_end(&r->file, r->path, failed ? -ENOMEM : 0);
	if (status)
		err_set(e, status, "-record: cannot write '%s': %s", r->path ? r->path : "", strerror(-status));
	record_free(m);
	return status;
}

void record_free(struct machine *m)
{
	struct recorder *r = m->recorder;
	if (!r)
		return;
	m->input.record = NULL;
	m->input.replay = NULL;
	m->recorder = NULL;
	for (u32 i = 0; i < r->sections; i++)
		free(r->section[i].hash);
	for (u64 i = 0; i < r->replayed_count; i++)
		free(r->replayed[i].bulk);
	(void)!packed_end(&r->file, NULL, -ECANCELED);
	packed_close(&r->in);
	free(r->section);
	free(r->page_hash);
	free(r->event_log.data);
	free(r->check_log.data);
	free(r->now.data);
	free(r->replayed);
	free(r->batch);
	free(r->data);
	free(r->path);
	free(r);
}

/* ---- replay ----------------------------------------------------------------------------------------------------- */

/* One event of the log at @*at; false: there is no more, or (@*bad) it is damaged. */
static bool read_event(const u8 *log, u64 n, u64 *at, struct input_event *ev, bool *bad)
{
	struct saved_event s;
	if (*at == n)
		return false;
	*bad = true;
	if (n - *at < sizeof(s))
		return false;
	memcpy(&s, log + *at, sizeof(s));
	if (s.len > n - *at - sizeof(s) || s.len > INPUT_BULK_MAX)
		return false;
	*ev = (struct input_event){.icount = s.icount, .ns = s.ns, .kind = s.kind, .target = s.target, .len = s.len};
	memcpy(ev->data, log + *at + sizeof(s), MIN(s.len, sizeof(ev->data)));
	bool wants_bulk = s.kind == INPUT_NET || s.kind == INPUT_MEDIUM;
	if (wants_bulk && !(ev->bulk = malloc(s.len + 1u)))
		return false;
	if (ev->bulk)
		memcpy(ev->bulk, log + *at + sizeof(s), s.len);
	if ((!wants_bulk && s.len > sizeof(ev->data)) || s.kind > INPUT_END)
		return false;
	*at += sizeof(s) + s.len;
	*bad = false;
	return true;
}

static int read_events(struct recorder *r, struct errtext *e)
{
	const struct packed_block *b = packed_next(&r->in, NULL, "EVTS");
	u64 n = 0, at = 0, room = 0;
	u8 *log = b ? packed_inflate(b->data, b->bytes, EVENTS_MAX, &n) : NULL;
	struct input_event ev = {0};
	bool bad = !log;
	while (!bad && read_event(log, n, &at, &ev, &bad)) {
		const struct input_event *last = r->replayed_count ? &r->replayed[r->replayed_count - 1] : NULL;
		if (r->replayed_count == room) {
			struct input_event *grown = realloc(r->replayed, (room = room * 2 + 64) * sizeof(ev));
			if (!grown)
				break;
			r->replayed = grown;
			last = room > 64 ? &grown[r->replayed_count - 1] : NULL;
		}
		bad = r->replayed_count == UINT32_MAX ||
		      (last && (ev.icount < last->icount || (ev.icount == last->icount && ev.ns < last->ns)));
		r->replayed[r->replayed_count++] = ev;
		ev.bulk = NULL;
	}
	free(ev.bulk);
	free(log);
	if (!bad && at != n)
		return err_set(e, -ENOMEM, "no memory for the recording");
	if (bad || !r->replayed_count || r->replayed[r->replayed_count - 1].kind != INPUT_END)
		return err_set(e, -EINVAL, "the recording is damaged: its input is not in order");
	return 0;
}

static int begin_replay(struct recorder *r, struct errtext *e)
{
	struct machine *m = r->m;
	const struct packed_block *b = packed_next(&r->in, NULL, "BEGN"), *kind = packed_next(&r->in, NULL, "KIND");
	struct begin begin;
	if (!b || b->bytes != sizeof(begin) || !kind || !kind->bytes || kind->data[kind->bytes - 1])
		return err_set(e, -EINVAL, "the recording lacks what must be in it");
	memcpy(&begin, b->data, sizeof(begin));
	if (!begin.every)
		return err_set(e, -EINVAL, "the recording is damaged: its interval is 0");
	int status = machine_fits(m, (const char *)kind->data, e);
	if (status || (status = read_events(r, e)))
		return status;
	if (begin.icount != machine_icount(m) || begin.ns != machine_now(m))
		return err_set(e, -ENXIO, "the recording begins after %llu instructions, this machine stands at %llu%s",
			       (unsigned long long)begin.icount, (unsigned long long)machine_icount(m),
			       begin.icount ? ": load the snapshot that the recording was begun from" : "");
	if (begin.layout != layout(m))
		return err_set(e, -EINVAL, "the recording was made by another version of this program");
	if (begin.hash != machine_state_hash(m))
		return err_set(e, -ENXIO,
			       "the recording begins with another state: its kernel, initrd, command line, clock or firmware "
			       "was another one");
	r->every = begin.every;
	r->next = begin.icount;
	m->input.replay = r->replayed;
	m->input.replay_count = (u32)r->replayed_count;
	m->input.replay_next = 0;
	return 0;
}

/* @data becomes the recorder's. */
static int replay(struct machine *m, u8 *data, u64 n, bool trust, struct errtext *e)
{
	struct recorder *r = new_recorder(m, true, e);
	if (!r) {
		free(data);
		return m->recorder ? -EBUSY : -ENOMEM;
	}
	r->data = data;
	int status = packed_open(&r->in, data, n, MAGIC, VERSION, "recording", trust, e);
	status = status ? status : begin_replay(r, e);
	if (status)
		record_free(m);
	return status;
}

int machine_replay_bytes(struct machine *m, const u8 *data, u64 n, bool trust, struct errtext *e)
{
	u8 *copy = malloc(n + 1);
	if (!copy)
		return err_set(e, -ENOMEM, "no memory for the recording");
	memcpy(copy, data, n);
	return replay(m, copy, n, trust, e);
}

int machine_replay(struct machine *m, const char *path, struct errtext *e)
{
	struct errtext why;
	u8 *data;
	u64 n;
	int r = host_file_read(path, 1ull << 40, &data, &n);
	if (r)
		return err_set(e, r, "cannot read '%s': %s", path, host_file_why(r));
	r = replay(m, data, n, false, &why);
	return r ? err_set(e, r, "'%s': %s", path, why.s) : 0;
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3) static void differ(struct recorder *r, const char *fmt, ...)
{
	size_t n = strlen(r->difference);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(r->difference + n, sizeof(r->difference) - n, fmt, ap);
	va_end(ap);
	r->differs = true;
}

static const char *field_name(const struct section *s, u32 i)
{
	unsigned n;
	const struct field *f = s->desc ? s->desc->fields(&n) : NULL;
	for (; f; f++)
		if (f->kind != FIELD_HOST && !i--)
			return f->name;
	return "piece";
}

static void compare_fields(struct recorder *r, const struct section *s, const u8 *was)
{
	unsigned said = 0;
	for (u32 i = 0; i < s->fields && said < DIFFERENCES; i++) {
		u32 hash;
		memcpy(&hash, was + i * 4u, 4);
		if (hash == s->hash[i])
			continue;
		differ(r, "%s %s.%s", said++ ? "," : "\n  field", s->id, field_name(s, i));
		if (!s->desc)
			differ(r, " %u", i);
	}
}

/*
 * What changed then against what changed now. A section or page that changed only in one of the runs is a difference too: the
 * other still has what both had before.
 */
static void compare(struct recorder *r, const struct check *c, const u8 *was, const struct check *now)
{
	const u8 *a = was, *a_end = was + c->bytes, *b = r->now.data, *b_end = b + now->bytes;
	unsigned said = 0;
	for (u32 i = 0, k = 0; i < c->sections || k < now->sections;) {
		u32 x = UINT32_MAX, y = UINT32_MAX;
		if (i < c->sections && a_end - a >= 4)
			memcpy(&x, a, 4);
		if (k < now->sections)
			memcpy(&y, b, 4);
		u32 n = MIN(x, y);
		if (n >= r->sections || (x == n && (u64)(a_end - a) < 4 + 4ull * r->section[n].fields)) {
			differ(r, "\n  the recording's check is damaged");
			return;
		}
		const struct section *s = &r->section[n];
		if (x == n && y == n)
			compare_fields(r, s, a + 4);
		else
			differ(r, "\n  section %s changed only %s", s->id, x == n ? "in the recording" : "in the replay");
		if (x == n) {
			a += 4 + 4 * s->fields;
			i++;
		}
		if (y == n) {
			b += 4 + 4 * s->fields;
			k++;
		}
	}
	for (; (a_end - a >= 8 || b_end - b >= 8) && said < DIFFERENCES;) {
		u32 x[2] = {UINT32_MAX, 0}, y[2] = {UINT32_MAX, 0};
		if (a_end - a >= 8)
			memcpy(x, a, 8);
		if (b_end - b >= 8)
			memcpy(y, b, 8);
		u32 page = MIN(x[0], y[0]);
		a += x[0] == page ? 8 : 0;
		b += y[0] == page ? 8 : 0;
		if (x[0] == y[0] && x[1] == y[1])
			continue;
		u64 gpa = (u64)page * 4096;
		if (gpa >= r->m->ram.low_bytes)
			gpa += RAM_HIGH_BASE - r->m->ram.low_bytes;
		differ(r, "%s %llxh%s", said++ ? "," : "\n  page", (unsigned long long)gpa,
		       x[0] == y[0] ? "" : x[0] == page ? " (changed in the recording only)" : " (changed in the replay only)");
	}
}

/* The next check of the recording; NULL: there is none. */
static const u8 *next_check(struct recorder *r, struct check *c)
{
	if (r->batch_at == r->batch_bytes) {
		free(r->batch);
		r->batch = NULL;
		r->batch_at = r->batch_bytes = 0;
		r->block = packed_next(&r->in, r->block, "CHKS");
		if (r->block)
			r->batch = packed_inflate(r->block->data, r->block->bytes, BATCH_MAX, &r->batch_bytes);
	}
	if (!r->batch || r->batch_bytes - r->batch_at < sizeof(*c))
		return NULL;
	memcpy(c, r->batch + r->batch_at, sizeof(*c));
	const u8 *data = r->batch + r->batch_at + sizeof(*c);
	if (c->bytes > r->batch_bytes - r->batch_at - sizeof(*c))
		return NULL;
	r->batch_at += sizeof(*c) + c->bytes;
	return data;
}

static void check_replay(struct recorder *r, const struct check *now)
{
	struct check c;
	const u8 *was = next_check(r, &c);
	if (!was || r->differs)
		return;
	if (c.icount != now->icount || c.ns != now->ns)
		differ(r, "\n  the recording looked at instruction %llu, %llu ns; the replay is at %llu, %llu ns", (unsigned long long)c.icount,
		       (unsigned long long)c.ns, (unsigned long long)now->icount, (unsigned long long)now->ns);
	if (c.bytes != now->bytes || memcmp(was, r->now.data, c.bytes))
		compare(r, &c, was, now);
	if (!r->differs) {
		r->checks++;
		return;
	}
	char what[sizeof(r->difference)];
	memcpy(what, r->difference, sizeof(what));
	u64 before = now->icount > r->every ? now->icount - r->every : 0;
	snprintf(r->difference, sizeof(r->difference), "between instructions %llu and %llu (check %llu):%.480s",
		 (unsigned long long)before, (unsigned long long)now->icount, (unsigned long long)r->checks, what);
	r->m->end = END_QUIT;
}

static void check(struct recorder *r)
{
	struct check now = look(r);
	if (r->replay) {
		check_replay(r, &now);
		return;
	}
	snap_put(&r->check_log, &now, sizeof(now));
	snap_put(&r->check_log, r->now.data, r->now.len);
	r->checks++;
	if (r->check_log.len >= BATCH)
		flush_checks(r);
}

u64 record_next(const struct machine *m)
{
	return m->recorder && !m->recorder->stopped ? m->recorder->next : UINT64_MAX;
}

void record_check(struct machine *m)
{
	struct recorder *r = m->recorder;
	if (!r || r->stopped || machine_icount(m) < r->next)
		return;
	r->next = machine_icount(m) / r->every * r->every + r->every;
	check(r);
}

void record_stopped(struct machine *m)
{
	struct recorder *r = m->recorder;
	if (!r || !r->replay || r->stopped || r->differs)
		return;
	/* It may have ended by itself, a moment before the mark is delivered. */
	const struct input_event *last = &r->replayed[r->replayed_count - 1];
	if (!r->ended && (last->icount != machine_icount(m) || last->ns != machine_now(m)))
		return;
	r->ended = r->stopped = true;
	check(r);
}

void record_reached_end(struct machine *m)
{
	if (m->recorder && m->recorder->replay)
		m->recorder->ended = true;
}

bool record_over(const struct machine *m)
{
	return m->recorder && m->recorder->replay && m->recorder->ended;
}

bool machine_replay_result(const struct machine *m, struct replay_result *out)
{
	const struct recorder *r = m->recorder;
	*out = (struct replay_result){0};
	if (!r || !r->replay)
		return false;
	*out = (struct replay_result){.replaying = true, .ended = r->ended, .checks = r->checks, .events = m->input.replay_next,
				      .differs = r->differs};
	memcpy(out->difference, r->difference, sizeof(out->difference));
	return true;
}
