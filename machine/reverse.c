/*
 * See reverse.h.
 *
 * A checkpoint is the state of processors and devices, a mark of every disk's overlay (block_mark()), and a table of the pages
 * of RAM. Pages that did not change from one checkpoint to the next are shared between their tables, and so are pieces of the
 * tables; which pages changed is known by who may have written (base/dirty.h), so a checkpoint costs what the guest wrote.
 *
 * To be exact, translations and decoded code are dropped at every checkpoint, now and whenever its instant is passed again: a
 * machine that was put back has none. The log says so (INPUT_FORGET), so checkpoints may be given up without a trace.
 *
 * Checkpoints are thinned so that their distances grow with their age: going back a little is quick, going back far takes as
 * long as running again a part of the way.
 */
#include "machine/reverse.h"

#include <stdlib.h>
#include <zlib.h>
#include "devices/backends/block.h"
#include "machine/machine_internal.h"
#include "machine/record.h"

#define INTERVAL     50000000ull
#define MEMORY	     (1ull << 30)
#define PIECE_PAGES  512u
#define CHECKPOINTS  96u /* at most; thinned from there on */
#define KEEP_NEWEST  4u
#define PAGE_BYTES   4096u

struct version { /* of a page; pages of zeroes have none */
	u32 refs;
	u8 data[PAGE_BYTES];
};

struct piece {
	u32 refs;
	struct version *page[PIECE_PAGES];
};

struct checkpoint {
	u64 icount, ns;
	u64 event; /* of the log, that comes next */
	u8 *state; /* zlib */
	u64 state_bytes, packed_bytes;
	struct piece **ram;
	struct overlay_mark *disk[DRIVES_MAX];
};

struct reverse {
	struct machine *m;
	struct reverse_options o;
	struct checkpoint *cp[CHECKPOINTS + 1]; /* oldest first */
	unsigned count;
	struct piece **base; /* what RAM is but for pages written since: the table of the last checkpoint taken or returned to */
	u64 pieces, bytes;   /* in use by versions, pieces, states, input */
	u64 next;            /* when the next checkpoint is due */
	struct input_event *log;
	u64 events, room;
	bool failed, past, rerun;
	u64 head_icount, head_ns; /* the end of the history, while the machine stands before it */
	bool head_closed;         /* its timers have fired */
	u64 target;               /* rerun: where it ends */
	/* machine_last_hit() */
	bool looking, hit;
	u64 hit_at, hit_from, hit_to;
	unsigned hit_cpu;
	bool hit_device;
	/* machine_last_write() */
	u64 write_gpa, write_n;
};

/* ---- RAM -------------------------------------------------------------------------------------------------------- */

static void put_version(struct reverse *r, struct version *v)
{
	if (!v || --v->refs)
		return;
	r->bytes -= sizeof(*v);
	free(v);
}

static void put_piece(struct reverse *r, struct piece *p)
{
	if (!p || --p->refs)
		return;
	for (unsigned i = 0; i < PIECE_PAGES; i++)
		put_version(r, p->page[i]);
	r->bytes -= sizeof(*p);
	free(p);
}

static void put_table(struct reverse *r, struct piece **t)
{
	for (u64 i = 0; t && i < r->pieces; i++)
		put_piece(r, t[i]);
	if (t)
		r->bytes -= r->pieces * sizeof(*t);
	free(t);
}

static struct piece **share_table(struct reverse *r, struct piece **from)
{
	struct piece **t = calloc(r->pieces, sizeof(*t));
	if (!t)
		return NULL;
	r->bytes += r->pieces * sizeof(*t);
	for (u64 i = 0; from && i < r->pieces; i++)
		if ((t[i] = from[i]))
			t[i]->refs++;
	return t;
}

/* The piece for page @page, which no other table shares. */
static struct piece *own_piece(struct reverse *r, struct piece **t, u64 page)
{
	struct piece *old = t[page / PIECE_PAGES], *p;
	if (old && old->refs == 1)
		return old;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	if (old) {
		memcpy(p, old, sizeof(*p));
		for (unsigned i = 0; i < PIECE_PAGES; i++)
			if (p->page[i])
				p->page[i]->refs++;
		old->refs--;
	}
	p->refs = 1;
	r->bytes += sizeof(*p);
	return t[page / PIECE_PAGES] = p;
}

static bool is_zero(const u8 *p)
{
	return !p[0] && !memcmp(p, p + 1, PAGE_BYTES - 1);
}

static const struct version *version_in(struct piece *const *t, u64 page)
{
	return t[page / PIECE_PAGES] ? t[page / PIECE_PAGES]->page[page % PIECE_PAGES] : NULL;
}

/* The page was written since r->base: a new version, unless it is what it was. */
static void keep_page(void *ctx, u64 page)
{
	struct reverse *r = ctx;
	const u8 *host = r->m->ram.host + page * PAGE_BYTES;
	const struct version *was = version_in(r->base, page);
	bool zero = is_zero(host);
	if (was ? !zero && !memcmp(was->data, host, PAGE_BYTES) : zero)
		return;
	struct piece *p = own_piece(r, r->base, page);
	struct version *v = zero || !p ? NULL : malloc(sizeof(*v));
	if (!p || (!zero && !v)) {
		r->failed = true;
		free(v);
		return;
	}
	if (v) {
		v->refs = 1;
		memcpy(v->data, host, PAGE_BYTES);
		r->bytes += sizeof(*v);
	}
	put_version(r, p->page[page % PIECE_PAGES]);
	p->page[page % PIECE_PAGES] = v;
}

static void fill_page(struct reverse *r, u64 page, const struct version *v)
{
	u8 *host = r->m->ram.host + page * PAGE_BYTES;
	if (v)
		memcpy(host, v->data, PAGE_BYTES);
	else if (!is_zero(host))
		memset(host, 0, PAGE_BYTES);
}

struct put_back {
	struct reverse *r;
	struct piece **to;
};

static void restore_written(void *ctx, u64 page)
{
	const struct put_back *b = ctx;
	fill_page(b->r, page, version_in(b->to, page));
}

/* RAM becomes what table @to says. Tables that share a piece agree about its pages. */
static int restore_ram(struct reverse *r, struct piece **to)
{
	struct put_back b = {r, to};
	struct piece **base = share_table(r, to);
	if (!base)
		return -ENOMEM;
	machine_written(r->m, DIRTY_REVERSE, restore_written, &b);
	for (u64 i = 0; i < r->m->dirty.pages; i++) {
		if (i % PIECE_PAGES == 0 && to[i / PIECE_PAGES] == r->base[i / PIECE_PAGES]) {
			i += PIECE_PAGES - 1;
			continue;
		}
		const struct version *v = version_in(to, i);
		if (v != version_in(r->base, i))
			fill_page(r, i, v);
	}
	put_table(r, r->base);
	r->base = base;
	return 0;
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------ */

static void free_checkpoint(struct reverse *r, struct checkpoint *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < r->m->cfg.drives; i++)
		if (c->disk[i])
			block_unmark(r->m->cfg.drive[i].block, c->disk[i]);
	put_table(r, c->ram);
	r->bytes -= sizeof(*c) + c->packed_bytes;
	free(c->state);
	free(c);
}

static void drop_checkpoint(struct reverse *r, unsigned i)
{
	free_checkpoint(r, r->cp[i]);
	memmove(r->cp + i, r->cp + i + 1, (--r->count - i) * sizeof(r->cp[0]));
}

/* The one whose loss widens a gap least, measured by how long ago it was; the oldest and the newest stay. */
static void thin(struct reverse *r)
{
	const u64 now = machine_icount(r->m);
	unsigned worst = 0;
	double least = 0;
	while (r->count > CHECKPOINTS || (r->bytes > r->o.memory_bytes && r->count > 2)) {
		worst = 0;
		for (unsigned i = 1; i + KEEP_NEWEST < r->count; i++) {
			double gap = (double)(r->cp[i + 1]->icount - r->cp[i - 1]->icount) /
				     (double)(now - r->cp[i]->icount + r->o.interval);
			if (!worst || gap < least) {
				worst = i;
				least = gap;
			}
		}
		drop_checkpoint(r, worst); /* 0: the oldest, when only new ones are left */
	}
}

static int pack_state(struct machine *m, struct checkpoint *c)
{
	struct snap_buf b = {0};
	machine_state_save(m, &b);
	uLongf n = compressBound(b.len);
	c->state = b.failed ? NULL : malloc(n);
	int status = c->state && compress2(c->state, &n, b.data, b.len, 1) == Z_OK ? 0 : -ENOMEM;
	c->state_bytes = b.len;
	c->packed_bytes = status ? 0 : n;
	u8 *small = status ? NULL : realloc(c->state, n);
	c->state = small ? small : c->state;
	free(b.data);
	return status;
}

static void take_checkpoint(struct reverse *r)
{
	struct machine *m = r->m;
	struct checkpoint *c = calloc(1, sizeof(*c));
	machine_forget(m); /* in the log: it belongs to what is passed again, not to what is put back */
	if (!c)
		return;
	*c = (struct checkpoint){.icount = machine_icount(m), .ns = machine_now(m), .event = r->events};
	r->bytes += sizeof(*c);
	int status = pack_state(m, c);
	r->bytes += c->packed_bytes;
	machine_written(m, DIRTY_REVERSE, keep_page, r);
	c->ram = status ? NULL : share_table(r, r->base);
	for (unsigned i = 0; i < m->cfg.drives && c->ram; i++) {
		struct block *b = m->cfg.drive[i].block;
		if (b && block_volatile(b) && !(c->disk[i] = block_mark(b)))
			status = -ENOMEM;
	}
	if (status || r->failed || !c->ram) {
		free_checkpoint(r, c); /* the next one may find memory */
		r->failed = false;
		machine_all_written(m);
		return;
	}
	r->cp[r->count++] = c;
	thin(r);
}

static int restore(struct reverse *r, const struct checkpoint *c, struct errtext *e)
{
	struct machine *m = r->m;
	uLongf n = c->state_bytes;
	u8 *state = malloc(n + 1);
	int status = state && uncompress(state, &n, c->state, c->packed_bytes) == Z_OK ? 0 : -ENOMEM;
	for (unsigned i = 0; i < m->cfg.drives && !status; i++)
		if (c->disk[i])
			block_rewind(m->cfg.drive[i].block, c->disk[i]);
	status = status ? status : restore_ram(r, c->ram);
	if (status)
		err_set(e, status, "no memory to go back");
	else if (machine_state_load(m, state, n, e))
		status = -EIO;
	free(state);
	/* RAM is what the table says: nothing was written since. */
	for (u64 i = 0; i < m->dirty.pages && !status; i++)
		m->dirty.map[i] &= (u8)~DIRTY_REVERSE;
	m->input.replay = r->log;
	m->input.replay_count = (u32)r->events;
	m->input.replay_next = (u32)c->event;
	return status;
}

/* ---- the log ---------------------------------------------------------------------------------------------------- */

void reverse_event(struct machine *m, const struct input_event *ev)
{
	struct reverse *r = m->reverse;
	if (!r || r->past)
		return;
	if (r->events == r->room) {
		u64 room = r->room * 2 + 256;
		struct input_event *grown = realloc(r->log, room * sizeof(*grown));
		if (!grown) {
			r->failed = true;
			return;
		}
		r->bytes += (room - r->room) * sizeof(*grown);
		r->log = grown;
		r->room = room;
	}
	struct input_event *to = &r->log[r->events];
	*to = *ev;
	if (ev->bulk && (to->bulk = malloc(ev->len + 1u)))
		memcpy(to->bulk, ev->bulk, ev->len);
	r->bytes += ev->bulk ? ev->len : 0;
	r->failed |= ev->bulk && !to->bulk;
	r->events++;
}

static void mute(struct machine *m, bool on)
{
	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (m->serial[i].chardev)
			chardev_mute(m->serial[i].chardev, on);
	if (m->debugcon)
		chardev_mute(m->debugcon, on);
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		net_mute(m->net[i].net, on);
}

static void leave_present(struct reverse *r)
{
	if (r->past)
		return;
	r->past = true;
	r->head_icount = machine_icount(r->m);
	r->head_ns = machine_now(r->m);
	r->head_closed = r->m->closed_icount == r->head_icount && r->m->closed_ns == r->head_ns;
	mute(r->m, true);
}

static void enter_present(struct reverse *r)
{
	r->past = false;
	r->m->input.replay = NULL;
	mute(r->m, false);
	r->next = MAX(r->next, machine_icount(r->m));
}

/* ---- machine_run()'s side --------------------------------------------------------------------------------------- */

void reverse_step(struct machine *m)
{
	struct reverse *r = m->reverse;
	u64 icount = machine_icount(m);
	if (!r)
		return;
	if (r->past && (icount > r->head_icount || (icount == r->head_icount && machine_now(m) >= r->head_ns))) {
		take_replayed_input(m);
		if (r->head_closed)
			machine_run_timers(m);
		enter_present(r);
	}
	if (!r->past && icount >= r->next) {
		r->next = icount + r->o.interval;
		take_checkpoint(r);
	}
}

u64 reverse_next(const struct machine *m)
{
	const struct reverse *r = m->reverse;
	return !r ? UINT64_MAX : r->rerun ? MIN(r->target, r->head_icount) : r->past ? r->head_icount : r->next;
}

u64 reverse_head_ns(const struct machine *m)
{
	const struct reverse *r = m->reverse;
	return r && r->past && machine_icount(m) == r->head_icount ? r->head_ns : UINT64_MAX;
}

bool reverse_reruns(const struct machine *m)
{
	return m->reverse && m->reverse->rerun;
}

bool reverse_past(const struct machine *m)
{
	return m->reverse && m->reverse->past;
}

/* ---- going ------------------------------------------------------------------------------------------------------ */

/* Runs on to @icount with nobody looking; with @home to the end of the history, which may be a while after its last instruction. */
static int run_to(struct reverse *r, u64 icount, bool home, struct errtext *e)
{
	struct machine *m = r->m;
	enum end_reason end = m->end;
	r->rerun = true;
	r->target = icount;
	m->end = END_NONE;
	while (!m->end && (home ? r->past : machine_icount(m) < icount)) {
		if (atomic_load_explicit(&m->quit, memory_order_relaxed))
			break;
		machine_step(m);
	}
	bool quit = home ? r->past : machine_icount(m) < icount;
	r->rerun = false;
	if (quit && m->end)
		err_set(e, -EIO, "going forward again the machine came to its end (%s): the run did not repeat", end_reason_name(m->end));
	else if (quit)
		err_set(e, -EINTR, "interrupted");
	int status = quit ? (m->end ? -EIO : -EINTR) : 0;
	m->end = end;
	return status;
}

static struct checkpoint *before(const struct reverse *r, u64 icount)
{
	struct checkpoint *found = NULL;
	for (unsigned i = 0; i < r->count && r->cp[i]->icount <= icount; i++)
		found = r->cp[i];
	return found;
}

/* Watchers do not see what they have seen before. */
static struct cpu_watchers hide_watchers(struct machine *m)
{
	struct cpu_watchers was = m->watchers;
	if (was.first) {
		m->watchers = (struct cpu_watchers){0};
		watch_changed(m->cpu);
	}
	return was;
}

static void show_watchers(struct machine *m, const struct cpu_watchers *was)
{
	if (!was->first)
		return;
	m->watchers = *was;
	watch_changed(m->cpu);
}

static int go(struct reverse *r, u64 icount, struct errtext *e)
{
	u64 now = machine_icount(r->m), newest = r->past ? r->head_icount : now;
	struct checkpoint *c = before(r, icount);
	bool home = icount >= newest;
	if (home && !r->past)
		return 0;
	if (!c || icount > newest)
		return err_set(e, -ERANGE, "the history goes from %llu to %llu",
			       (unsigned long long)(r->count ? r->cp[0]->icount : now), (unsigned long long)newest);
	leave_present(r);
	/* From where it stands, if no checkpoint is nearer. */
	int status = icount < now || c->icount > now ? restore(r, c, e) : 0;
	return status ? status : run_to(r, icount, home, e);
}

static int no_history(struct errtext *e)
{
	return err_set(e, -EINVAL, "no history is kept");
}

int machine_goto(struct machine *m, u64 icount, struct errtext *e)
{
	if (!m->reverse || m->reverse->rerun)
		return no_history(e);
	struct cpu_watchers was = hide_watchers(m);
	int status = go(m->reverse, icount, e);
	show_watchers(m, &was);
	return status;
}

void machine_reverse_hit(struct machine *m, u64 icount)
{
	struct reverse *r = m->reverse;
	if (!r || !r->looking || icount < r->hit_from || icount >= r->hit_to)
		return;
	r->hit = true;
	r->hit_at = icount;
	r->hit_cpu = m->cpu->index;
	r->hit_device = false;
}

u64 machine_position(const struct machine *m)
{
	return machine_icount(m);
}

/* Runs the stretch from checkpoint @c to @to, and looks from @from on. */
static int look_through(struct reverse *r, const struct checkpoint *c, u64 from, u64 to, const struct reverse_probe *p,
			struct errtext *e)
{
	int status = restore(r, c, e);
	if (!status && from > c->icount)
		status = run_to(r, from, false, e);
	if (status)
		return status;
	r->hit_from = from;
	r->hit_to = to;
	r->looking = true;
	p->begin(p->ctx, r->m);
	status = run_to(r, to, false, e);
	p->end(p->ctx, r->m);
	r->looking = false;
	return status;
}

static int last_hit(struct reverse *r, u64 from, u64 to, const struct reverse_probe *p, u64 *at, struct errtext *e)
{
	u64 origin = machine_icount(r->m);
	bool was_past = r->past;
	int status = 0;
	r->hit = false;
	to = MIN(to, was_past ? r->head_icount : origin);
	leave_present(r);
	while (!status && !r->hit && r->count && to > MAX(from, r->cp[0]->icount)) {
		const struct checkpoint *c = before(r, to - 1);
		status = look_through(r, c, MAX(from, c->icount), to, p, e);
		to = MAX(from, c->icount);
	}
	if (!status && r->hit) {
		*at = r->hit_at;
		return go(r, r->hit_at, e);
	}
	struct errtext why;
	int back = go(r, was_past ? origin : r->head_icount, &why);
	if (!status && back) {
		*e = why;
		return back;
	}
	return status ? status : err_set(e, -ENOENT, "it did not happen since instruction %llu",
					  (unsigned long long)MAX(from, r->count ? r->cp[0]->icount : 0));
}

int machine_last_hit(struct machine *m, u64 from, u64 to, const struct reverse_probe *p, u64 *at, struct errtext *e)
{
	if (!m->reverse || m->reverse->rerun)
		return no_history(e);
	struct cpu_watchers was = hide_watchers(m);
	int status = last_hit(m->reverse, from, to, p, at, e);
	show_watchers(m, &was);
	return status;
}

/* ---- who wrote -------------------------------------------------------------------------------------------------- */

struct write_watch {
	struct reverse *r;
	struct cpu_watch watch;
};

static bool overlaps(const struct reverse *r, u64 gpa, u64 n)
{
	return gpa < r->write_gpa + r->write_n && r->write_gpa < gpa + n;
}

static void seen_write(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct write_watch *w = ctx;
	if (s->kind == WATCH_ACCESS && s->write && overlaps(w->r, s->phys, s->size))
		machine_reverse_hit(w->r->m, machine_icount(w->r->m));
}

static bool page_of_write(void *ctx, u64 page, u64 phys_page)
{
	const struct write_watch *w = ctx;
	return overlaps(w->r, phys_page, PAGE_BYTES);
}

static void begin_writes(void *ctx, struct machine *m)
{
	struct write_watch *w = ctx;
	w->watch = (struct cpu_watch){
	    .ctx = w, .wants = WATCH_BIT(WATCH_ACCESS), .seen = seen_write, .page_wanted = page_of_write};
	watch_add(m->cpu, &w->watch);
}

static void end_writes(void *ctx, struct machine *m)
{
	watch_remove(m->cpu, &((struct write_watch *)ctx)->watch);
}

void reverse_dma_written(struct machine *m, u64 gpa, u64 n)
{
	struct reverse *r = m->reverse;
	if (!r || !r->looking || !r->write_n || !overlaps(r, gpa, n))
		return;
	machine_reverse_hit(m, machine_icount(m));
	r->hit_device = true;
}

int machine_last_write(struct machine *m, u64 gpa, unsigned n, u64 *at, unsigned *cpu, bool *by_device, struct errtext *e)
{
	struct reverse *r = m->reverse;
	if (!r || r->rerun || !n)
		return no_history(e);
	struct write_watch w = {.r = r};
	const struct reverse_probe p = {.ctx = &w, .begin = begin_writes, .end = end_writes};
	r->write_gpa = gpa;
	r->write_n = n;
	int status = machine_last_hit(m, 0, machine_icount(m), &p, at, e);
	r->write_n = 0;
	*cpu = r->hit_cpu;
	*by_device = r->hit_device;
	return status;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------ */

int machine_reverse_begin(struct machine *m, const struct reverse_options *o, struct errtext *e)
{
	if (m->reverse)
		return err_set(e, -EBUSY, "the history is kept already");
	if (m->input.replay)
		return err_set(e, -EBUSY, "a replay has its input from the recording: go back in time while recording, or without");
	int status = machine_disks_volatile(m, "going back in time", e);
	if (status)
		return status;
	struct reverse *r = calloc(1, sizeof(*r));
	if (!r || machine_track_writes(m)) {
		free(r);
		return err_set(e, -ENOMEM, "no memory for the history");
	}
	r->m = m;
	r->o = o ? *o : (struct reverse_options){0};
	r->o.interval = r->o.interval ? r->o.interval : INTERVAL;
	r->o.memory_bytes = r->o.memory_bytes ? r->o.memory_bytes : MEMORY;
	r->pieces = (m->dirty.pages + PIECE_PAGES - 1) / PIECE_PAGES;
	r->base = share_table(r, NULL);
	r->log = calloc(1, sizeof(*r->log));
	r->room = 1;
	if (!r->base || !r->log) {
		free(r->base);
		free(r->log);
		free(r);
		return err_set(e, -ENOMEM, "no memory for the history");
	}
	m->reverse = r;
	machine_all_written(m);
	r->next = machine_icount(m) + r->o.interval;
	take_checkpoint(r);
	if (r->count)
		return 0;
	machine_reverse_end(m);
	return err_set(e, -ENOMEM, "no memory for the first checkpoint");
}

void machine_reverse_end(struct machine *m)
{
	struct reverse *r = m->reverse;
	if (!r)
		return;
	if (r->past)
		enter_present(r);
	while (r->count)
		drop_checkpoint(r, r->count - 1);
	put_table(r, r->base);
	for (u64 i = 0; i < r->events; i++)
		free(r->log[i].bulk);
	free(r->log);
	free(r);
	m->reverse = NULL;
}

void machine_reverse_cut(struct machine *m)
{
	struct reverse *r = m->reverse;
	if (!r || !r->past)
		return;
	for (u64 i = m->input.replay_next; i < r->events; i++)
		free(r->log[i].bulk);
	r->events = m->input.replay_next;
	while (r->count > 1 && r->cp[r->count - 1]->icount > machine_icount(m))
		drop_checkpoint(r, r->count - 1);
	r->next = machine_icount(m);
	enter_present(r);
}

void machine_reverse_state(const struct machine *m, struct reverse_state *out)
{
	const struct reverse *r = m->reverse;
	*out = (struct reverse_state){.now = machine_icount(m)};
	if (!r)
		return;
	*out = (struct reverse_state){.on = true,
				      .past = r->past,
				      .oldest = r->count ? r->cp[0]->icount : out->now,
				      .newest = r->past ? r->head_icount : out->now,
				      .now = out->now,
				      .checkpoints = r->count,
				      .memory_bytes = r->bytes};
}
