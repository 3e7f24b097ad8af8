/*
 * The saved form. A section: magic u32, then id, name (length byte + text), version u32, fields
 * u32; each field: name, kind u8, elem u8, bytes (integers) or count u32, data in the host's order
 * (little-endian hosts only). A bytes section has the name "bytes" and one u64 length.
 */
#include "base/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTION_MAGIC 0x4e53524fu /* "ORSN" */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "snapshots are little-endian");

/* ---- saving ------------------------------------------------------------------------------ */

void snap_put(struct snap_buf *b, const void *data, size_t n)
{
	if (b->failed || !n)
		return;
	if (b->cap - b->len < n) {
		size_t cap = MAX(b->cap * 2, b->len + n + 4096);
		u8 *grown = realloc(b->data, cap);
		if (!grown) {
			b->failed = true;
			return;
		}
		b->data = grown;
		b->cap = cap;
	}
	memcpy(b->data + b->len, data, n);
	b->len += n;
}

static void put8(struct snap_buf *b, u8 v)
{
	snap_put(b, &v, 1);
}

static void put32(struct snap_buf *b, u32 v)
{
	snap_put(b, &v, 4);
}

static void put64(struct snap_buf *b, u64 v)
{
	snap_put(b, &v, 8);
}

static void put_name(struct snap_buf *b, const char *s)
{
	size_t n = strlen(s);
	put8(b, (u8)n);
	snap_put(b, s, (u8)n);
}

static void put_header(struct snap_buf *b, const char *id, const char *name)
{
	put32(b, SECTION_MAGIC);
	put_name(b, id);
	put_name(b, name);
}

static unsigned saved_fields(const struct field *f, unsigned n)
{
	unsigned saved = 0;
	for (unsigned i = 0; i < n; i++)
		saved += f[i].kind != FIELD_HOST;
	return saved;
}

/* Host structs may change size: their fields say how many they are. */
static u32 element_count(const struct field *f)
{
	return f->size / (f->kind == FIELD_STRUCT ? f->sub->size : f->elem);
}

static void put_timer(struct snap_buf *b, const struct timer *t)
{
	put8(b, t->armed);
	put64(b, t->armed ? t->deadline_ns : 0);
}

static void put_fields(struct snap_buf *b, const struct snapshot_desc *desc, const u8 *state);

static void put_field(struct snap_buf *b, const struct field *f, const u8 *member)
{
	put_name(b, f->name);
	put8(b, (u8)f->kind);
	put8(b, f->kind == FIELD_INT ? (u8)f->elem : 0);
	put32(b, f->kind == FIELD_INT ? f->size : element_count(f));
	switch (f->kind) {
	case FIELD_INT: snap_put(b, member, f->size); break;
	case FIELD_TIMER:
		for (u32 at = 0; at < f->size; at += f->elem)
			put_timer(b, (const void *)(member + at));
		break;
	case FIELD_IRQ:
		for (u32 at = 0; at < f->size; at += f->elem)
			put8(b, ((const struct irq_line *)(const void *)(member + at))->level);
		break;
	case FIELD_STRUCT:
		for (u32 at = 0; at < f->size; at += f->sub->size)
			put_fields(b, f->sub, member + at);
		break;
	case FIELD_HOST: break;
	}
}

static void put_fields(struct snap_buf *b, const struct snapshot_desc *desc, const u8 *state)
{
	unsigned n;
	const struct field *f = desc->fields(&n);
	put32(b, desc->version);
	put32(b, saved_fields(f, n));
	for (unsigned i = 0; i < n; i++)
		if (f[i].kind != FIELD_HOST)
			put_field(b, &f[i], state + f[i].offset);
}

void snapshot_save(struct snap_buf *b, const struct snapshot_desc *desc, const char *id,
		   const void *state)
{
	put_header(b, id, desc->name);
	put_fields(b, desc, state);
}

void snapshot_save_bytes(struct snap_buf *b, const char *id, const void *data, u64 n)
{
	put_header(b, id, "bytes");
	put64(b, n);
	snap_put(b, data, n);
}

/* ---- loading ----------------------------------------------------------------------------- */

static int bad(struct snap_reader *r, const char *what, const char *name)
{
	if (!r->error[0])
		snprintf(r->error, sizeof(r->error), "snapshot: %s '%s'", what, name);
	return -EINVAL;
}

static int get(struct snap_reader *r, void *out, size_t n)
{
	if (r->len - r->pos < n)
		return bad(r, "the file ends inside", "data");
	if (out)
		memcpy(out, r->data + r->pos, n);
	r->pos += n;
	return 0;
}

static int get_name(struct snap_reader *r, char name[256])
{
	u8 n;
	if (get(r, &n, 1) || get(r, name, n))
		return -EINVAL;
	name[n] = 0;
	return 0;
}

const char *snapshot_next(struct snap_reader *r)
{
	u32 magic;
	if (r->pos == r->len)
		return NULL;
	size_t start = r->pos;
	int err = get(r, &magic, 4);
	if (err || magic != SECTION_MAGIC || r->pos == r->len ||
	    r->len - r->pos - 1 < r->data[r->pos]) {
		bad(r, "no section where one should start", "?");
		return NULL;
	}
	size_t n = r->data[r->pos];
	memcpy(r->id, r->data + r->pos + 1, n);
	r->id[n] = 0;
	r->pos = start;
	return r->id;
}

static int get_header(struct snap_reader *r, const char *id, const char *name)
{
	u32 magic;
	char text[256];
	if (get(r, &magic, 4) || magic != SECTION_MAGIC)
		return bad(r, "no section where one should start:", id);
	if (get_name(r, text))
		return -EINVAL;
	if (strcmp(text, id))
		return bad(r, "unexpected section", text);
	if (get_name(r, text))
		return -EINVAL;
	if (strcmp(text, name))
		return bad(r, "section of another type:", text);
	return 0;
}

static int get_fields(struct snap_reader *r, const struct snapshot_desc *desc, u8 *state);

static int get_timer(struct snap_reader *r, struct timer *t)
{
	u8 armed;
	u64 deadline;
	if (get(r, &armed, 1) || get(r, &deadline, 8))
		return -EINVAL;
	if (t && armed)
		timer_arm(t, deadline);
	else if (t)
		timer_disarm(t);
	return 0;
}

static int get_irq(struct snap_reader *r, struct irq_line *line)
{
	u8 level;
	if (get(r, &level, 1))
		return -EINVAL;
	if (line)
		line->level = level;
	return 0;
}

static void *element(u8 *member, u32 at)
{
	return member ? member + at : NULL;
}

/* Without @member the data is only looked at. */
static int get_field(struct snap_reader *r, const struct field *f, u8 *member)
{
	u8 kind, elem;
	u32 size;
	if (get(r, &kind, 1) || get(r, &elem, 1) || get(r, &size, 4))
		return -EINVAL;
	if (kind != f->kind || (kind == FIELD_INT && elem != f->elem))
		return bad(r, "another type of field", f->name);
	if (size != (kind == FIELD_INT ? f->size : element_count(f)))
		return bad(r, "another size of field", f->name);
	switch (f->kind) {
	case FIELD_INT: return get(r, member, f->size);
	case FIELD_TIMER:
		for (u32 at = 0; at < f->size; at += f->elem)
			if (get_timer(r, element(member, at)))
				return -EINVAL;
		return 0;
	case FIELD_IRQ:
		for (u32 at = 0; at < f->size; at += f->elem)
			if (get_irq(r, element(member, at)))
				return -EINVAL;
		return 0;
	case FIELD_STRUCT:
		for (u32 at = 0; at < f->size; at += f->sub->size)
			if (get_fields(r, f->sub, element(member, at)))
				return -EINVAL;
		return 0;
	case FIELD_HOST: break;
	}
	return bad(r, "a host-side field was saved:", f->name);
}

static const struct field *find_field(const struct field *f, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (f[i].kind != FIELD_HOST && !strcmp(f[i].name, name))
			return &f[i];
	return NULL;
}

static int get_fields(struct snap_reader *r, const struct snapshot_desc *desc, u8 *state)
{
	u32 version, count;
	unsigned n;
	char name[256];
	const struct field *f = desc->fields(&n);
	if (get(r, &version, 4) || get(r, &count, 4))
		return -EINVAL;
	if (version != desc->version)
		return bad(r, "another version of section", desc->name);
	if (count != saved_fields(f, n))
		return bad(r, "fields missing or added in section", desc->name);
	for (u32 i = 0; i < count; i++) {
		if (get_name(r, name))
			return -EINVAL;
		const struct field *field = find_field(f, n, name);
		if (!field)
			return bad(r, "unknown field", name);
		if (get_field(r, field, element(state, field->offset)))
			return -EINVAL;
	}
	return 0;
}

int snapshot_load(struct snap_reader *r, const struct snapshot_desc *desc, const char *id,
		  void *state)
{
	r->error[0] = 0;
	int err = get_header(r, id, desc->name);
	return err ? err : get_fields(r, desc, state);
}

int snapshot_load_bytes(struct snap_reader *r, const char *id, void *data, u64 n)
{
	u64 size;
	r->error[0] = 0;
	if (get_header(r, id, "bytes") || get(r, &size, 8))
		return -EINVAL;
	if (size != n)
		return bad(r, "another length of section", id);
	return get(r, data, n);
}

/* ---- hashing ----------------------------------------------------------------------------- */

/* Multiply-and-fold per 8 bytes. */
static u64 mix(u64 h, u64 v)
{
	u128 m = (u128)(h ^ v ^ 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;
	return (u64)m ^ (u64)(m >> 64);
}

u64 hash_bytes(u64 seed, const void *data, u64 n)
{
	const u8 *p = data;
	u64 h = mix(seed, n), v;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&v, p, 8);
		h = mix(h, v);
	}
	v = 0;
	memcpy(&v, p, n);
	return n ? mix(h, v) : h;
}

static u64 hash_field(u64 h, const struct field *f, const u8 *member)
{
	switch (f->kind) {
	case FIELD_INT: return hash_bytes(h, member, f->size);
	case FIELD_TIMER:
		for (u32 at = 0; at < f->size; at += f->elem) {
			const struct timer *t = (const void *)(member + at);
			h = mix(h, t->armed ? t->deadline_ns : CLOCK_NEVER);
		}
		return h;
	case FIELD_IRQ:
		for (u32 at = 0; at < f->size; at += f->elem)
			h = mix(h, ((const struct irq_line *)(const void *)(member + at))->level);
		return h;
	case FIELD_STRUCT:
		for (u32 at = 0; at < f->size; at += f->sub->size)
			h = snapshot_hash(h, f->sub, member + at);
		return h;
	case FIELD_HOST: break;
	}
	return h;
}

u64 snapshot_hash_field(u64 seed, const struct field *f, const void *state)
{
	return hash_field(seed, f, (const u8 *)state + f->offset);
}

u64 snapshot_hash(u64 seed, const struct snapshot_desc *desc, const void *state)
{
	unsigned n;
	const struct field *f = desc->fields(&n);
	for (unsigned i = 0; i < n; i++)
		seed = hash_field(seed, &f[i], (const u8 *)state + f[i].offset);
	return seed;
}
