/* Reads traces: files, chunks, and the state machine that turns flow into instructions again. */
#include "debug/trace_read.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include "cpu/cpu.h"

#define CHUNK_INSNS_MAX (1u << 26)
#define HEADER_FIXED 20u
#define ACCESS_MAX 65536u
#define BLOCK_INSNS 64u

struct place {
	u64 offset, first_insn, insns, time;
	u32 number, flow_raw, flow_comp, fx_raw, fx_comp, blocks, crc;
};

struct trace_file {
	FILE *file;     /* or */
	const u8 *mem;
	u64 size;
	enum trace_depth depth;
	unsigned cpus, ranges;
	u64 first, last;
	u32 feat[FEATURE_WORDS];
	struct {
		u64 lo, hi;
	} range[TRACE_RANGES];
	char text[600];
	char note[200];
	struct place *chunk;
	unsigned chunks, cap;
};

struct code {
	u64 rip, phys, base;
	u32 mode, who;
	u32 at;            /* in the flow section */
	u8 count;
	struct insn *insn; /* NULL: not decoded yet */
	u64 *addr;
};

struct walker {
	struct trace_path path;
	const struct code *block;
	u64 start, expected, at;
	unsigned count, listed;
	bool open;
	struct trace_regs regs;
	u64 last_addr;
};

enum element { E_NONE, E_BLOCK, E_EVENT, E_END };

struct trace_cursor {
	struct trace_file *f;
	unsigned next_chunk; /* the one to load when this ends */
	bool loaded;
	u8 *flow, *fx;
	const u8 *p, *end, *fp, *fend;
	u64 run, seq, time, listed, insns_max;
	u64 skip; /* items before this instruction are not shown */
	u32 code; /* what ends the run; 4: not read yet */
	bool gap;
	struct code *code_of;
	u32 ids;
	struct trace_predictor *predictor;
	unsigned cpu;
	struct walker w[TRACE_CPUS];
	char (*text)[201];
	u32 texts;
	/* The next thing in the flow, not yet carried out. */
	enum element element;
	u32 block;
	enum trace_event event;
	u64 pos, f_[6];
	const char *event_text;
	struct trace_effects fx_out;
	struct trace_access *access;
	u8 bytes[16];
	struct errtext *e;
};

/* ---- files --------------------------------------------------------------------------------------------------------------- */

static bool read_at(struct trace_file *f, u64 off, void *out, u64 n)
{
	if (off > f->size || n > f->size - off)
		return false;
	if (f->mem) {
		memcpy(out, f->mem + off, n);
		return true;
	}
	return !fseek(f->file, (long)off, SEEK_SET) && fread(out, 1, n, f->file) == n;
}

static u32 get32(const u8 *p)
{
	u32 v;
	memcpy(&v, p, 4);
	return v;
}

static u64 get64(const u8 *p)
{
	u64 v;
	memcpy(&v, p, 8);
	return v;
}

static int parse_body(struct trace_file *f, const u8 *b, u32 n, struct errtext *e)
{
	u32 at = 20, text;

	if (n < 24)
		return err_set(e, -EBADMSG, "damaged: its header is too short");
	f->depth = b[0];
	f->cpus = b[1];
	f->ranges = b[3];
	f->first = get64(b + 4);
	f->last = get64(b + 12);
	if (f->depth >= TRACE_DEPTHS || !f->cpus || f->cpus > TRACE_CPUS || f->ranges > TRACE_RANGES || b[2] > 64 ||
	    n < at + b[2] * 4 + f->ranges * 16 + 4)
		return err_set(e, -EBADMSG, "damaged: its header makes no sense");
	if (b[2] != FEATURE_WORDS)
		return err_set(e, -ENOEXEC, "written by a build that knows other processor features");
	for (unsigned i = 0; i < FEATURE_WORDS; i++, at += 4)
		f->feat[i] = get32(b + at);
	for (unsigned i = 0; i < f->ranges; i++, at += 16) {
		f->range[i].lo = get64(b + at);
		f->range[i].hi = get64(b + at + 8);
	}
	text = get32(b + at);
	if (text > n - at - 4)
		return err_set(e, -EBADMSG, "damaged: its header makes no sense");
	snprintf(f->text, sizeof(f->text), "%.*s", (int)MIN(text, 599u), (const char *)b + at + 4);
	return 0;
}

static int read_header(struct trace_file *f, u64 *end, struct errtext *e)
{
	u8 head[HEADER_FIXED], *body;
	u32 n;
	int r;

	if (!read_at(f, 0, head, sizeof(head)) || memcmp(head, TRACE_MAGIC, 8))
		return err_set(e, -ENOEXEC, "not a trace: it does not begin with " TRACE_MAGIC);
	if (get32(head + 8) != TRACE_VERSION)
		return err_set(e, -ENOEXEC, "a trace of format version %u; this program reads version %u", get32(head + 8), TRACE_VERSION);
	n = get32(head + 12);
	body = n <= TRACE_HEADER_MAX ? malloc(n + 1) : NULL;
	if (!body || !read_at(f, HEADER_FIXED, body, n) || (u32)crc32(0, body, n) != get32(head + 16)) {
		free(body);
		return err_set(e, -EBADMSG, "damaged: the checksum of its header does not match");
	}
	r = parse_body(f, body, n, e);
	free(body);
	*end = HEADER_FIXED + n;
	return r;
}

/* The header of the chunk at @off. False: there is none. */
static bool read_place(struct trace_file *f, u64 off, struct place *c)
{
	u8 h[TRACE_CHUNK_HEADER];

	if (!read_at(f, off, h, sizeof(h)) || get32(h) != TRACE_CHUNK_MAGIC ||
	    (u32)crc32(0, h, TRACE_CHUNK_HEADER - 4) != get32(h + 60))
		return false;
	*c = (struct place){.offset = off, .number = get32(h + 4), .flow_raw = get32(h + 8), .flow_comp = get32(h + 12), .fx_raw = get32(h + 16),
			    .fx_comp = get32(h + 20), .first_insn = get64(h + 24), .insns = get64(h + 32), .time = get64(h + 40),
			    .blocks = get32(h + 48), .crc = get32(h + 56)};
	u64 room = f->size - off - sizeof(h);
	return c->flow_comp <= room && c->fx_comp <= room - c->flow_comp && c->flow_raw <= TRACE_SECTION_MAX &&
	       c->fx_raw <= TRACE_SECTION_MAX && c->insns <= CHUNK_INSNS_MAX;
}

static int add_place(struct trace_file *f, const struct place *c)
{
	if (f->chunks == f->cap) {
		unsigned cap = f->cap ? f->cap * 2 : 64;
		struct place *p = realloc(f->chunk, cap * sizeof(*p));
		if (!p)
			return -ENOMEM;
		f->chunk = p;
		f->cap = cap;
	}
	f->chunk[f->chunks++] = *c;
	return 0;
}

/* Is the index at @at, of @n chunks, whole? */
static bool index_holds(struct trace_file *f, u64 at, u32 n, u32 crc)
{
	u8 b[24];
	u32 sum = 0;

	for (u32 i = 0; i < n; i++) {
		if (!read_at(f, at + 8 + i * 24ull, b, 24) || get64(b) != f->chunk[i].offset)
			return false;
		sum = (u32)crc32(sum, b, 24);
	}
	return sum == crc && f->size == at + 8 + n * 24ull + 20;
}

/* Chunk headers from @off on, which lead to each other: the index only tells whether the file is whole. */
static int find_chunks(struct trace_file *f, u64 off, struct errtext *e)
{
	struct place c;
	u8 tail[20], index[8];
	u32 n = 0;

	while (read_place(f, off, &c)) {
		u64 insns = f->chunks ? f->chunk[f->chunks - 1].first_insn + f->chunk[f->chunks - 1].insns : 0;
		if (c.number != f->chunks || c.first_insn != insns)
			break;
		if (add_place(f, &c))
			return err_set(e, -ENOMEM, "out of memory");
		off += TRACE_CHUNK_HEADER + c.flow_comp + c.fx_comp;
	}
	if (read_at(f, f->size >= 20 ? f->size - 20 : 0, tail, 20) && !memcmp(tail + 12, TRACE_END_MAGIC, 8) &&
	    read_at(f, get64(tail + 4), index, 8) && get32(index) == TRACE_INDEX_MAGIC) {
		n = get32(index + 4);
		if (n == f->chunks && get64(tail + 4) == off && index_holds(f, off, n, get32(tail)))
			return 0;
		snprintf(f->note, sizeof(f->note), "damaged behind byte %llu: the first %u of its %u chunks can be read", (unsigned long long)off,
			 f->chunks, n);
		return 0;
	}
	snprintf(f->note, sizeof(f->note), "it was not finished, or is cut off: %u whole chunks are there, up to byte %llu", f->chunks,
		 (unsigned long long)off);
	return 0;
}

static int open_any(struct trace_file *f, struct trace_file **out, const char *name, struct errtext *e)
{
	struct errtext why = {""};
	u64 off = 0;
	int r = read_header(f, &off, &why);

	if (!r)
		r = find_chunks(f, off, &why);
	if (r) {
		trace_close(f);
		return err_set(e, r, "%s: %s", name, why.s);
	}
	*out = f;
	return 0;
}

int trace_open(const char *path, struct trace_file **out, struct errtext *e)
{
	struct trace_file *f = calloc(1, sizeof(*f));
	long size = -1;

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->file = fopen(path, "rb");
	if (f->file && !fseek(f->file, 0, SEEK_END))
		size = ftell(f->file);
	if (size < 0) {
		int err = errno;
		trace_close(f);
		return err_set(e, -err, "%s: %s", path, strerror(err));
	}
	f->size = (u64)size;
	return open_any(f, out, path, e);
}

int trace_open_memory(const void *data, u64 n, struct trace_file **out, struct errtext *e)
{
	struct trace_file *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->mem = data;
	f->size = n;
	return open_any(f, out, "trace", e);
}

void trace_close(struct trace_file *f)
{
	if (!f)
		return;
	if (f->file)
		fclose(f->file);
	free(f->chunk);
	free(f);
}

void trace_info(const struct trace_file *f, struct trace_info *o)
{
	const struct place *last = f->chunks ? &f->chunk[f->chunks - 1] : NULL;

	*o = (struct trace_info){.depth = f->depth, .cpus = f->cpus, .chunks = f->chunks, .first = f->first, .last = f->last,
				 .insns = last ? last->first_insn + last->insns : 0, .time_ns = last ? last->time : 0, .bytes = f->size,
				 .text = f->text, .note = f->note[0] ? f->note : NULL};
}

/* ---- reading a chunk ----------------------------------------------------------------------------------------------------- */

static int bad(struct trace_cursor *c, const char *what)
{
	unsigned n = c->next_chunk ? c->next_chunk - 1 : 0;
	return err_set(c->e, -EBADMSG, "damaged in chunk %u (at byte %llu): %s", n, (unsigned long long)c->f->chunk[n].offset, what);
}

static bool take(const u8 **p, const u8 *end, u64 *v)
{
	u64 x = 0;

	for (unsigned shift = 0; *p < end && shift < 70; shift += 7) {
		u8 b = *(*p)++;
		x |= (u64)(b & 0x7f) << MIN(shift, 63u);
		if (!(b & 0x80)) {
			*v = x;
			return true;
		}
	}
	return false;
}

static void drop_code(struct trace_cursor *c)
{
	for (u32 i = 1; i <= c->ids; i++) {
		free(c->code_of[i].insn);
		free(c->code_of[i].addr);
	}
	c->ids = 0;
}

static u8 *unpack(struct trace_cursor *c, u64 off, u32 comp, u32 raw, u32 *crc)
{
	u8 *in = malloc(comp + 1), *out = malloc(raw + 1);
	uLongf n = raw;
	bool ok = in && out && read_at(c->f, off, in, comp);

	if (ok) {
		*crc = (u32)crc32(*crc, in, comp);
		ok = !raw || (uncompress(out, &n, in, comp) == Z_OK && n == raw);
	}
	free(in);
	if (!ok) {
		free(out);
		return NULL;
	}
	return out;
}

static bool take_state(struct trace_cursor *c, struct walker *w)
{
	u64 v[12 + 16 + 32];
	struct trace_regs *g = &w->regs;

	for (unsigned i = 0; i < ARRAY_SIZE(v); i++)
		if (!take(&c->p, c->end, &v[i]))
			return false;
	*w = (struct walker){0};
	*g = (struct trace_regs){.rip = v[0], .rflags = (u32)v[1], .cr0 = v[2], .cr2 = v[3], .cr3 = v[4], .cr4 = v[5], .efer = v[6],
				 .mode = (u32)v[7], .cpl = (u8)v[8], .vmx_mode = (u8)v[9], .icount = v[10], .smm = v[11]};
	memcpy(g->r, v + 12, sizeof(g->r));
	for (unsigned i = 0; i < 8; i++) {
		g->seg[i].sel = (u16)v[28 + i * 4];
		g->seg[i].base = v[29 + i * 4];
		g->seg[i].limit = (u32)v[30 + i * 4];
		g->seg[i].ar = (u32)v[31 + i * 4];
	}
	w->start = w->expected = w->at = v[10];
	return true;
}

static int load_chunk(struct trace_cursor *c, unsigned i)
{
	const struct place *k = &c->f->chunk[i];
	u32 crc = 0;
	u64 cpu;

	drop_code(c);
	free(c->flow);
	free(c->fx);
	c->loaded = false;
	c->fx = NULL;
	c->next_chunk = i + 1;
	c->flow = unpack(c, k->offset + TRACE_CHUNK_HEADER, k->flow_comp, k->flow_raw, &crc);
	if (c->flow)
		c->fx = unpack(c, k->offset + TRACE_CHUNK_HEADER + k->flow_comp, k->fx_comp, k->fx_raw, &crc);
	if (!c->fx || crc != k->crc)
		return bad(c, "its checksum does not match, or it cannot be unpacked");
	c->p = c->flow;
	c->end = c->flow + k->flow_raw;
	c->fp = c->fx;
	c->fend = c->fx + k->fx_raw;
	memset(c->predictor, 0, sizeof(*c->predictor));
	c->run = c->listed = 0;
	c->texts = 0;
	c->code = 4;
	c->element = E_NONE;
	c->seq = k->first_insn;
	c->insns_max = k->insns;
	c->time = k->time;
	if (!take(&c->p, c->end, &cpu) || cpu >= c->f->cpus)
		return bad(c, "a processor that does not exist");
	c->cpu = (unsigned)cpu;
	for (unsigned n = 0; n < c->f->cpus; n++)
		if (!take_state(c, &c->w[n]))
			return bad(c, "its registers are cut short");
	c->loaded = true;
	return 0;
}

/* ---- code -------------------------------------------------------------------------------------------------------------------- */

static int take_definition(struct trace_cursor *c)
{
	struct code *k;
	u64 v[6];

	if (c->ids >= PREDICT_IDS - 1)
		return bad(c, "too many blocks of code");
	k = &c->code_of[c->ids + 1];
	for (unsigned i = 0; i < 6; i++)
		if (!take(&c->p, c->end, &v[i]))
			return bad(c, "a block of code is cut short");
	if (!v[5] || v[5] > BLOCK_INSNS || (v[3] & MODE_BITS) > MODE_64)
		return bad(c, "a block of code makes no sense");
	*k = (struct code){.rip = v[0], .phys = v[1], .base = v[2], .mode = (u32)v[3], .who = (u32)v[4], .count = (u8)v[5], .at = (u32)(c->p - c->flow)};
	for (unsigned i = 0; i < k->count; i++) {
		if (c->p >= c->end || !*c->p || *c->p > 15 || *c->p >= c->end - c->p)
			return bad(c, "the bytes of an instruction are cut short");
		c->p += 1 + *c->p;
	}
	c->block = ++c->ids;
	return 0;
}

static bool jumps_on(const struct insn *in)
{
	return in->row != UINT16_MAX && (in->opcode == 0xe9 || in->opcode == 0xeb) && in->nops && in->op[0].kind == OPK_REL;
}

static bool decode_block(struct trace_cursor *c, struct code *k)
{
	const struct decode_mode m = {.bits = (u8)(16u << (k->mode & MODE_BITS)), .real_or_v86 = k->mode & (MODE_REAL | MODE_V86),
				      .feat = c->f->feat};
	const u8 *p = c->flow + k->at;
	u64 rip = k->rip;

	k->insn = calloc(k->count, sizeof(*k->insn));
	k->addr = calloc(k->count, sizeof(*k->addr));
	if (!k->insn || !k->addr)
		return false;
	for (unsigned i = 0; i < k->count; i++) {
		struct insn *in = &k->insn[i];
		u8 len = *p++;
		if (insn_decode(&m, p, len, in) != DECODE_OK || in->len != len) {
			*in = (struct insn){.row = UINT16_MAX, .len = len};
		}
		k->addr[i] = rip;
		rip += len + (jumps_on(in) ? in->imm : 0);
		if ((k->mode & MODE_BITS) != MODE_64)
			rip = (u32)rip;
		p += len;
	}
	return true;
}

/* ---- effects ----------------------------------------------------------------------------------------------------------------- */

static bool take_bytes(struct trace_cursor *c, void *out, unsigned n)
{
	if ((u64)(c->fend - c->fp) < n)
		return false;
	memcpy(out, c->fp, n);
	c->fp += n;
	return true;
}

static bool take_accesses(struct trace_cursor *c, struct walker *w, struct trace_effects *x)
{
	u64 n, how, delta;

	if (!take(&c->fp, c->fend, &n) || n > ACCESS_MAX)
		return false;
	for (u64 i = 0; i < n; i++) {
		struct trace_access *a = &c->access[i];
		if (!take(&c->fp, c->fend, &how) || !take(&c->fp, c->fend, &delta) || !take(&c->fp, c->fend, &a->value))
			return false;
		w->last_addr += unzigzag(delta);
		a->addr = w->last_addr;
		a->size = (u8)(how >> 1);
		a->write = how & 1;
	}
	x->access = c->access;
	x->accesses = (u32)n;
	return true;
}

static bool take_segs(struct trace_cursor *c, struct walker *w, struct trace_effects *x)
{
	u64 v;

	if (!take_bytes(c, &x->segs, 1))
		return false;
	for (unsigned i = 0; i < 8; i++) {
		if (!(x->segs >> i & 1))
			continue;
		if (!take(&c->fp, c->fend, &v))
			return false;
		w->regs.seg[i].sel = (u16)v;
	}
	return true;
}

static bool take_vector(struct trace_cursor *c, struct trace_effects *x)
{
	return take_bytes(c, &x->vec_reg, 1) && take_bytes(c, &x->vec_bytes, 1) && x->vec_bytes <= 64 && take_bytes(c, x->vec, x->vec_bytes);
}

/* Reads what changed and applies it. */
static int take_effects(struct trace_cursor *c, struct walker *w)
{
	struct trace_effects *x = &c->fx_out;
	u64 mask, v;

	x->mask = x->accesses = 0;
	x->lost = 0;
	if (c->f->depth < TRACE_REGS)
		return 0;
	if (!take(&c->fp, c->fend, &mask) || (mask & ~(u64)FX_ALL))
		return bad(c, "the effects of an instruction are cut short");
	x->mask = (u32)mask;
	for (unsigned i = 0; i < 16; i++) {
		if (!(mask >> i & 1))
			continue;
		if (!take(&c->fp, c->fend, &v))
			return bad(c, "the effects of an instruction are cut short");
		w->regs.r[i] += unzigzag(v);
	}
	if (mask & FX_FLAGS) {
		if (!take(&c->fp, c->fend, &v))
			return bad(c, "the effects of an instruction are cut short");
		w->regs.rflags ^= (u32)v;
	}
	if (((mask & FX_SEGS) && !take_segs(c, w, x)) || ((mask & FX_VECTOR) && !take_vector(c, x)) ||
	    ((mask & FX_X87) && (!take_bytes(c, &x->x87_reg, 1) || !take_bytes(c, x->x87, 10))) ||
	    ((mask & FX_MEMORY) && !take_accesses(c, w, x)) || ((mask & FX_LOST) && !take(&c->fp, c->fend, &x->lost)))
		return bad(c, "the effects of an instruction are cut short");
	return 0;
}

/* ---- flow -------------------------------------------------------------------------------------------------------------------- */

static int take_text(struct trace_cursor *c)
{
	u64 n = c->f_[0];

	if (n > 200 || n > (u64)(c->end - c->p) || c->texts == 1024)
		return bad(c, "a text makes no sense");
	memcpy(c->text[c->texts], c->p, n);
	c->text[c->texts++][n] = 0;
	for (char *s = c->text[c->texts - 1]; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
	c->p += n;
	return 0;
}

static int take_event(struct trace_cursor *c)
{
	static const u8 fields[EV_KINDS] = TRACE_EVENT_FIELDS;
	u64 dt;

	if (c->p >= c->end || !*c->p || *c->p >= EV_KINDS)
		return bad(c, "an unknown event");
	c->event = *c->p++;
	if (!take(&c->p, c->end, &c->pos) || !take(&c->p, c->end, &dt))
		return bad(c, "an event is cut short");
	c->time += dt;
	memset(c->f_, 0, sizeof(c->f_));
	for (unsigned i = 0; i < fields[c->event]; i++)
		if (!take(&c->p, c->end, &c->f_[i]))
			return bad(c, "an event is cut short");
	u64 text = c->event == EV_EXCEPTION ? c->f_[4] : c->event == EV_SHUTDOWN ? c->f_[0] : 0;
	if (text > c->texts)
		return bad(c, "an event has an unknown text");
	c->event_text = text ? c->text[text - 1] : NULL;
	c->element = E_EVENT;
	return c->event == EV_TEXT ? take_text(c) : 0;
}

/* Reads the next thing into c->element. */
static int next_element(struct trace_cursor *c)
{
	u64 v;

	if (c->code == 4) {
		if (!take(&c->p, c->end, &v))
			return bad(c, "it ends in the middle");
		c->run = v >> 2;
		c->code = v & 3;
	}
	if (c->run) {
		c->run--;
		c->block = predict_look(c->predictor, &c->w[c->cpu].path);
		c->element = E_BLOCK;
		return c->block ? 0 : bad(c, "a guess where there is none");
	}
	u32 code = c->code;
	c->code = 4;
	switch (code) {
	case FLOW_EVENT: return take_event(c);
	case FLOW_NONE: c->element = E_END; return 0;
	case FLOW_DEFINE: c->element = E_BLOCK; return take_definition(c);
	default:
		if (!take(&c->p, c->end, &v) || !v || v > c->ids)
			return bad(c, "a block that is not in its dictionary");
		c->block = (u32)v;
		c->element = E_BLOCK;
		return 0;
	}
}

/* How many instructions of the running block come before the element. */
static unsigned due(const struct trace_cursor *c, const struct walker *w)
{
	u64 n = (c->pos >> 1) + (c->pos & 1);

	if (!w->open)
		return w->listed;
	if (c->element != E_EVENT || c->event == EV_CPU || c->event == EV_SYNC)
		return w->count;
	return c->event == EV_TEXT ? w->listed : (unsigned)MIN(n, w->count);
}

static int start_block(struct trace_cursor *c, struct walker *w)
{
	struct code *k = &c->code_of[c->block];

	if (!k->insn && !decode_block(c, k))
		return err_set(c->e, -ENOMEM, "out of memory");
	predict_step(c->predictor, &w->path, c->block);
	w->block = k;
	w->start = w->expected;
	w->count = k->count;
	w->expected += k->count;
	w->listed = 0;
	w->open = true;
	return 0;
}

static bool shown(const struct trace_cursor *c, const struct trace_item *o)
{
	const struct trace_file *f = c->f;

	if (o->seq < c->skip)
		return false;
	if (o->kind != ITEM_INSN)
		return true;
	if (o->icount < f->first || o->icount >= f->last)
		return false;
	for (unsigned i = 0; i < f->ranges; i++)
		if (o->rip <= f->range[i].hi && o->rip + o->len - 1 >= f->range[i].lo)
			return true;
	return !f->ranges;
}

static int list_insn(struct trace_cursor *c, struct walker *w, struct trace_item *o)
{
	const struct code *k = w->block;
	unsigned i = w->listed++;
	const u8 *p = c->flow + k->at;
	int r = take_effects(c, w);

	if (r)
		return r;
	if (c->listed++ >= c->insns_max)
		return bad(c, "more instructions than its header says");
	for (unsigned n = 0; n < i; n++)
		p += 1 + *p;
	w->regs.rip = k->addr[i];
	w->regs.icount = w->start + i;
	w->regs.cpl = k->who >> 16 & 3;
	w->regs.mode = k->mode;
	*o = (struct trace_item){.kind = ITEM_INSN, .cpu = c->cpu, .seq = c->seq++, .icount = w->start + i, .time_ns = c->time, .rip = k->addr[i],
				 .base = k->base, .cs = (u16)k->who, .cpl = k->who >> 16 & 3, .mode = k->mode,
				 .in = k->insn[i].row == UINT16_MAX ? NULL : &k->insn[i], .bytes = p + 1, .len = *p,
				 .block_end = i + 1 == k->count, .fx = &c->fx_out};
	return 1;
}

static void close_block(struct walker *w)
{
	w->open = false;
}

static void follow_cr(struct walker *w, unsigned n, u64 v)
{
	if (n == 0)
		w->regs.cr0 = v;
	else if (n == 2)
		w->regs.cr2 = v;
	else if (n == 3)
		w->regs.cr3 = v;
	else if (n == 4)
		w->regs.cr4 = v;
}

/* Carries out an event; 1: it is to be shown. */
static int do_event(struct trace_cursor *c, struct walker *w, struct trace_item *o)
{
	u64 n = c->pos >> 1;
	bool has_fx = c->event == EV_EXCEPTION || c->event == EV_INTERRUPT || c->event == EV_VMX;
	int r;

	c->fx_out.mask = c->fx_out.accesses = 0;
	switch (c->event) {
	case EV_TEXT: return 0;
	case EV_CPU:
		if (c->f_[0] >= c->f->cpus)
			return bad(c, "a processor that does not exist");
		c->cpu = (unsigned)c->f_[0];
		return 0;
	case EV_CUT:
		close_block(w);
		w->expected = w->start + n;
		return 0;
	case EV_SYNC:
		close_block(w);
		w->expected += unzigzag(c->f_[0] >> 1);
		*o = (struct trace_item){.kind = ITEM_GAP, .cpu = c->cpu, .seq = c->seq, .icount = w->expected, .time_ns = c->time, .fx = &c->fx_out};
		return c->f_[0] & 1;
	default: break;
	}
	r = has_fx && c->f->depth >= TRACE_REGS ? take_effects(c, w) : 0;
	if (r)
		return r;
	u64 icount = (c->f->depth == TRACE_EVENTS ? w->at : w->start) + n;
	w->at = icount;
	*o = (struct trace_item){.kind = ITEM_EVENT, .cpu = c->cpu, .seq = c->seq, .icount = icount, .time_ns = c->time, .event = c->event,
				 .text = c->event_text, .fx = &c->fx_out, .mode = w->regs.mode, .cpl = w->regs.cpl};
	memcpy(o->f, c->f_, sizeof(o->f));
	bool exits = c->event == EV_VMX && c->f_[0] != 0xffff && !(c->f_[0] >> 31 & 1), enters = c->event == EV_SMM && c->f_[0];
	if (c->event == EV_CR)
		follow_cr(w, (unsigned)c->f_[0], c->f_[2]);
	if (c->event == EV_EXCEPTION || c->event == EV_SHUTDOWN || exits || enters || (c->event == EV_INTERRUPT && c->f_[1] < 3)) {
		close_block(w);
		w->expected = icount + (c->event == EV_INTERRUPT || c->event == EV_EXCEPTION);
	}
	return 1;
}

/* 2: nothing to show came of it. */
static int step(struct trace_cursor *c, struct trace_item *o)
{
	struct walker *w = &c->w[c->cpu];
	int r = c->element == E_NONE ? next_element(c) : 0;

	if (r)
		return r;
	if (w->open && w->listed < due(c, w)) {
		r = list_insn(c, w, o);
		return r < 0 ? r : shown(c, o) ? 1 : 2;
	}
	enum element el = c->element;
	c->element = E_NONE;
	switch (el) {
	case E_END: c->loaded = false; return 2;
	case E_BLOCK: r = start_block(c, w); return r ? r : 2;
	default:
		r = do_event(c, w, o);
		return r < 0 ? r : r && shown(c, o) ? 1 : 2;
	}
}

int trace_next(struct trace_cursor *c, struct trace_item *o, struct errtext *e)
{
	int r = 2;

	c->e = e;
	while (r == 2) {
		if (!c->loaded) {
			if (c->next_chunk >= c->f->chunks)
				return 0;
			r = load_chunk(c, c->next_chunk);
			if (r)
				return r;
		}
		r = step(c, o);
	}
	if (r < 0) { /* no more of this one */
		c->loaded = false;
		c->next_chunk = c->f->chunks;
	}
	return r;
}

int trace_seek(struct trace_cursor *c, u64 seq, struct errtext *e)
{
	const struct trace_file *f = c->f;
	unsigned lo = 0, hi = f->chunks;

	c->loaded = false;
	c->skip = seq;
	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;
		if (f->chunk[mid].first_insn <= seq)
			lo = mid;
		else
			hi = mid;
	}
	c->next_chunk = lo;
	if (f->chunks && seq < f->chunk[f->chunks - 1].first_insn + f->chunk[f->chunks - 1].insns)
		return 0;
	c->next_chunk = f->chunks;
	return err_set(e, -ERANGE, "the trace has no instruction %llu: it holds %llu", (unsigned long long)seq,
		       f->chunks ? (unsigned long long)(f->chunk[f->chunks - 1].first_insn + f->chunk[f->chunks - 1].insns) : 0ull);
}

struct trace_cursor *trace_cursor(struct trace_file *f)
{
	struct trace_cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->f = f;
	c->code_of = calloc(PREDICT_IDS, sizeof(*c->code_of));
	c->predictor = calloc(1, sizeof(*c->predictor));
	c->text = calloc(1024, sizeof(*c->text));
	c->access = calloc(ACCESS_MAX, sizeof(*c->access));
	if (c->code_of && c->predictor && c->text && c->access)
		return c;
	trace_cursor_free(c);
	return NULL;
}

void trace_cursor_free(struct trace_cursor *c)
{
	if (!c)
		return;
	if (c->code_of)
		drop_code(c);
	free(c->code_of);
	free(c->predictor);
	free(c->text);
	free(c->access);
	free(c->flow);
	free(c->fx);
	free(c);
}

const struct trace_regs *trace_regs(const struct trace_cursor *c, unsigned cpu)
{
	return &c->w[cpu % TRACE_CPUS].regs;
}
