/*
 * Writes traces. The machine's thread encodes (a block of instructions costs a few comparisons when it comes as guessed); a
 * thread of its own compresses and writes whole chunks, and the machine waits only when it is four chunks behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include "base/host.h"
#include "cpu/exec/blocks.h"
#include "cpu/exec/x87.h"
#include "cpu/vmx/vmx.h"
#include "cpu/watch.h"
#include "debug/trace.h"

#define CHUNK_INSNS 16000000ull
#define CHUNK_FLOW (768u << 10)
#define CHUNK_FX (6u << 20)
#define QUEUE 4u
#define TABLE_BITS 18
#define TABLE_SIZE (1u << TABLE_BITS)
#define TABLE_BYTES (24u << 20)
#define TEXTS 1024u
#define ACCESSES_MAX 65536u
#define COMPRESSION 1

struct buffer {
	u8 *data;
	size_t n, cap;
};

struct chunk {
	struct buffer flow, fx;
	u64 number, first_insn, insns, time;
	u32 blocks, events;
};

/* A block of code at an address, as long as the table has room. */
struct entry {
	u64 rip, phys, base;
	u64 lo, hi; /* of its instructions */
	u32 mode, who; /* CS selector | CPL << 16 */
	u32 chunk; /* in whose dictionary ... */
	u32 id;    /* ... it has this number */
	u32 at;    /* its instructions in bytes[] */
	u32 next;  /* in the hash chain; 0: none */
	u16 nbytes;
	u8 count;
	bool in_range;
};

struct access {
	u64 addr, value;
	u8 size;
	bool write;
};

struct tracee {
	struct cpu *cpu;
	struct trace_path path;
	u64 start, expected; /* instruction counts: of the block's first, of what should come next */
	u64 at;              /* depth events: of the event before */
	u16 count, listed;
	bool open;           /* the block can still go on */
	bool recorded;       /* what runs is in the trace */
	bool gap;            /* something was left out */
	/* What the reader knows of the registers. */
	u64 r[16];
	u32 rflags;
	u16 sel[8];
	u64 last_addr;
	struct operand result; /* vector or x87 register that the instruction before wrote; kind OPK_NONE: none */
	struct access *access;
	u32 accesses, lost;
};

struct trace {
	struct trace_spec spec;
	struct machine *m;
	struct cpu_watch watch;
	struct tracee cpu[TRACE_CPUS];
	unsigned cpus, cur;
	bool active, over, special;

	struct chunk *chunk; /* NULL: none was begun */
	u32 chunk_number;
	u32 ids;             /* in its dictionary */
	u64 run, last_time;
	struct trace_predictor predictor;
	const char *text[TEXTS]; /* by hash of their pointer: texts are literals */
	u32 text_id[TEXTS], texts;
	u64 insns, blocks, events, lost, raw;

	struct entry *entry; /* [0] is not used */
	u32 used;
	u64 base;            /* of the numbers in blocks: of the table's current content */
	u32 *hash;
	u8 *bytes;
	u32 bytes_used;

	/* Shared with the writing thread, under the monitor. */
	struct host_monitor *monitor;
	struct host_thread *thread;
	struct chunk pool[QUEUE];
	struct chunk *free[QUEUE], *queue[QUEUE];
	unsigned free_n, queue_n;
	bool done;
	int error;
	/* The writing thread's own. */
	FILE *file;
	u64 written;
	u8 *out;
	size_t out_cap;
	struct {
		u64 offset, first_insn, time;
	} *index;
	u32 index_n, index_cap;
};

/* ---- buffers --------------------------------------------------------------------------------------------------------- */

/* Room for @n bytes more; NULL: there is none. */
static u8 *room(struct trace *t, struct buffer *b, size_t n)
{
	if (likely(b->n + n <= b->cap))
		return b->data + b->n;
	size_t cap = b->cap * 2 + n;
	u8 *p = cap <= TRACE_SECTION_MAX ? realloc(b->data, cap) : NULL;
	if (!p) {
		t->lost++;
		return NULL;
	}
	b->data = p;
	b->cap = cap;
	return p + b->n;
}

static u8 *put32(u8 *p, u32 v)
{
	memcpy(p, &v, 4);
	return p + 4;
}

static u8 *put64(u8 *p, u64 v)
{
	memcpy(p, &v, 8);
	return p + 8;
}

/* ---- the writing thread ------------------------------------------------------------------------------------------------ */

static void put_file(struct trace *t, const void *p, size_t n)
{
	if (!t->error && fwrite(p, 1, n, t->file) != n)
		t->error = errno ? -errno : -EIO;
	t->written += n;
}

static size_t deflate_section(struct trace *t, const struct buffer *b, u8 *out, size_t cap)
{
	uLongf n = (uLongf)cap;
	if (!b->n)
		return 0;
	return compress2(out, &n, b->data, (uLong)b->n, COMPRESSION) == Z_OK ? n : 0;
}

static void remember_place(struct trace *t, const struct chunk *c)
{
	if (t->index_n == t->index_cap) {
		u32 cap = t->index_cap ? t->index_cap * 2 : 256;
		void *p = realloc(t->index, cap * sizeof(*t->index));
		if (!p) {
			t->error = -ENOMEM;
			return;
		}
		t->index = p;
		t->index_cap = cap;
	}
	t->index[t->index_n].offset = t->written;
	t->index[t->index_n].first_insn = c->first_insn;
	t->index[t->index_n++].time = c->time;
}

static void write_chunk(struct trace *t, const struct chunk *c)
{
	size_t need = compressBound((uLong)c->flow.n) + compressBound((uLong)c->fx.n), flow, fx;
	u8 head[TRACE_CHUNK_HEADER], *p = head;

	if (need > t->out_cap) {
		u8 *bigger = realloc(t->out, need);
		if (!bigger) {
			t->error = -ENOMEM;
			return;
		}
		t->out = bigger;
		t->out_cap = need;
	}
	flow = deflate_section(t, &c->flow, t->out, t->out_cap);
	fx = deflate_section(t, &c->fx, t->out + flow, t->out_cap - flow);
	remember_place(t, c);
	p = put32(p, TRACE_CHUNK_MAGIC);
	p = put32(p, (u32)c->number);
	p = put32(p, (u32)c->flow.n);
	p = put32(p, (u32)flow);
	p = put32(p, (u32)c->fx.n);
	p = put32(p, (u32)fx);
	p = put64(p, c->first_insn);
	p = put64(p, c->insns);
	p = put64(p, c->time);
	p = put32(p, c->blocks);
	p = put32(p, c->events);
	p = put32(p, (u32)crc32(0, t->out, (uInt)(flow + fx)));
	put32(p, (u32)crc32(0, head, TRACE_CHUNK_HEADER - 4));
	put_file(t, head, sizeof(head));
	put_file(t, t->out, flow + fx);
	fflush(t->file); /* what is written stays, however this process ends */
}

static void write_index(struct trace *t)
{
	u64 at = t->written;
	u8 b[24];
	u32 crc = 0;

	put32(put32(b, TRACE_INDEX_MAGIC), t->index_n);
	put_file(t, b, 8);
	for (u32 i = 0; i < t->index_n; i++) {
		put64(put64(put64(b, t->index[i].offset), t->index[i].first_insn), t->index[i].time);
		crc = (u32)crc32(crc, b, 24);
		put_file(t, b, 24);
	}
	put64(put32(b, crc), at);
	put_file(t, b, 12);
	put_file(t, TRACE_END_MAGIC, 8);
}

static void writer(void *ctx)
{
	struct trace *t = ctx;

	host_monitor_enter(t->monitor);
	while (!t->done || t->queue_n) {
		if (!t->queue_n) {
			host_monitor_wait(t->monitor);
			continue;
		}
		struct chunk *c = t->queue[0];
		memmove(t->queue, t->queue + 1, --t->queue_n * sizeof(*t->queue));
		host_monitor_leave(t->monitor);
		if (!t->error)
			write_chunk(t, c);
		host_monitor_enter(t->monitor);
		t->free[t->free_n++] = c;
		host_monitor_notify(t->monitor);
	}
	host_monitor_leave(t->monitor);
}

static struct chunk *take_free(struct trace *t)
{
	struct chunk *c;

	host_monitor_enter(t->monitor);
	while (!t->free_n)
		host_monitor_wait(t->monitor);
	c = t->free[--t->free_n];
	host_monitor_leave(t->monitor);
	c->flow.n = c->fx.n = 0;
	return c;
}

static void hand_over(struct trace *t, struct chunk *c)
{
	host_monitor_enter(t->monitor);
	t->queue[t->queue_n++] = c;
	host_monitor_notify(t->monitor);
	host_monitor_leave(t->monitor);
}

/* ---- flow --------------------------------------------------------------------------------------------------------------- */

/* The run of guessed blocks, and what ends it. NULL: no room for it and @n bytes more. */
static u8 *flow(struct trace *t, enum trace_code code, size_t n)
{
	u8 *p = room(t, &t->chunk->flow, n + VARINT_MAX);

	if (!p)
		return NULL;
	p = put_varint(p, t->run << 2 | code);
	t->run = 0;
	return p;
}

static void flow_done(struct trace *t, const u8 *p)
{
	t->chunk->flow.n = (size_t)(p - t->chunk->flow.data);
}

static void event(struct trace *t, enum trace_event type, u64 pos, u64 time, const u64 *field, unsigned n)
{
	u8 *p = flow(t, FLOW_EVENT, 1 + (n + 2) * VARINT_MAX);

	if (!p)
		return;
	*p++ = (u8)type;
	p = put_varint(p, pos);
	p = put_varint(p, time - t->last_time);
	t->last_time = time;
	for (unsigned i = 0; i < n; i++)
		p = put_varint(p, field[i]);
	flow_done(t, p);
}

static void mark(struct trace *t, enum trace_event type, u64 pos, u64 field)
{
	event(t, type, pos, t->last_time, &field, type == EV_CUT ? 0 : 1);
}

/* @n of its instructions were begun, at most: the rest does not come. */
static void close_block(struct trace *t, struct tracee *c, u64 n)
{
	if (!c->open)
		return;
	c->open = false;
	c->listed = (u16)MAX(c->listed, MIN(n, c->count));
	t->insns -= (u64)c->count - c->listed;
}

/* The count of instructions is not what the blocks so far say. */
static void resync(struct trace *t, struct tracee *c, u64 icount)
{
	u64 n = icount - c->start;

	if (c->open && n < c->count) {
		bool begun = c->listed > n;
		mark(t, EV_CUT, n << 1 | begun, 0);
		close_block(t, c, n + begun);
		c->expected = icount;
	}
	if (icount != c->expected || c->gap) {
		close_block(t, c, c->count);
		mark(t, EV_SYNC, 0, zigzag(icount - c->expected) << 1 | c->gap);
		c->expected = icount;
		c->gap = false;
	}
}

/* The processor that ran before is finished with first, so that the trace is in the order of execution. */
static void switch_to(struct trace *t, unsigned cpu)
{
	struct tracee *old = &t->cpu[t->cur];

	if (t->cur == cpu)
		return;
	if (old->open && cpu_icount(old->cpu) != old->expected)
		resync(t, old, cpu_icount(old->cpu));
	t->cur = cpu;
	mark(t, EV_CPU, 0, cpu);
}

/* ---- chunks ----------------------------------------------------------------------------------------------------------- */

static u8 *put_state(u8 *p, struct tracee *c, u64 rip)
{
	struct cpu *cpu = c->cpu;
	const u64 word[] = {rip, watch_rflags(cpu), cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer,
			    cpu->mode, cpu->cpl, cpu->vmx_mode, cpu_icount(cpu), cpu->smm};

	for (unsigned i = 0; i < ARRAY_SIZE(word); i++)
		p = put_varint(p, word[i]);
	for (unsigned i = 0; i < 16; i++)
		p = put_varint(p, cpu->r[i]);
	for (unsigned i = 0; i < 8; i++) {
		p = put_varint(p, cpu->seg[i].sel);
		p = put_varint(p, seg_base(cpu, i));
		p = put_varint(p, cpu->seg[i].limit);
		p = put_varint(p, cpu->seg[i].ar);
	}
	memcpy(c->r, cpu->r, sizeof(c->r));
	c->rflags = watch_rflags(cpu);
	for (unsigned i = 0; i < 8; i++)
		c->sel[i] = cpu->seg[i].sel;
	c->result.kind = OPK_NONE;
	c->last_addr = 0;
	c->path = (struct trace_path){0};
	c->open = false;
	c->start = c->expected = c->at = cpu_icount(cpu);
	c->count = c->listed = 0;
	return p;
}

static void end_chunk(struct trace *t)
{
	struct chunk *c = t->chunk;

	if (!c)
		return;
	for (unsigned i = 0; i < t->cpus && t->spec.depth > TRACE_EVENTS; i++) {
		struct tracee *e = &t->cpu[i];
		if (e->open && cpu_icount(e->cpu) != e->expected) {
			switch_to(t, i);
			resync(t, e, cpu_icount(e->cpu));
		}
	}
	u8 *p = flow(t, FLOW_NONE, 0);
	if (p)
		flow_done(t, p);
	c->insns = t->insns - c->first_insn;
	c->blocks = (u32)t->blocks - c->blocks;
	c->events = (u32)t->events - c->events;
	t->raw += c->flow.n + c->fx.n;
	t->chunk = NULL;
	hand_over(t, c);
}

static void begin_chunk(struct trace *t, struct cpu *cpu, bool in_block)
{
	struct chunk *c = take_free(t);
	u8 *p;

	c->number = t->chunk_number++;
	c->first_insn = t->insns;
	c->blocks = (u32)t->blocks;
	c->events = (u32)t->events;
	c->time = t->last_time = cpu->bus.time(cpu->bus.ctx);
	t->chunk = c;
	t->run = 0;
	t->ids = 0;
	t->texts = 0;
	memset(t->text, 0, sizeof(t->text));
	memset(&t->predictor, 0, sizeof(t->predictor));
	t->cur = cpu->index;
	p = room(t, &c->flow, 2 * VARINT_MAX + t->cpus * 64 * VARINT_MAX);
	if (!p)
		return;
	p = put_varint(p, cpu->index);
	for (unsigned i = 0; i < t->cpus; i++)
		p = put_state(p, &t->cpu[i], i == cpu->index && in_block ? cpu->insn_rip : t->cpu[i].cpu->rip);
	flow_done(t, p);
}

/* ---- the table of blocks ------------------------------------------------------------------------------------------------- */

extern const struct exec_desc exec_jmp_rel;

/* Instruction bytes in the order of execution, each run behind its length; the number of bytes. */
static unsigned copy_code(struct cpu *cpu, const struct block *b, u8 *out, u64 *lo, u64 *hi)
{
	unsigned flags, off = b->phys & 0xfff, n = 0;
	const u8 *page = cpu->bus.ram_page(cpu->bus.ctx, b->phys & ~0xfffull, &flags);
	const u8 *page2 = b->phys2 == ~0ull ? NULL : cpu->bus.ram_page(cpu->bus.ctx, b->phys2, &flags);
	u64 rip = cpu->insn_rip;

	*lo = ~0ull;
	*hi = 0;
	for (unsigned i = 0; i < b->count; i++) {
		const struct insn *in = &b->insns[i];
		out[n++] = in->len;
		for (unsigned k = 0; k < in->len; k++) {
			const u8 *p = off + k < 4096 ? page : page2;
			out[n++] = p ? p[(off + k) & 4095] : 0;
		}
		*lo = MIN(*lo, rip);
		*hi = MAX(*hi, rip + in->len - 1);
		u64 step = in->len;
		if (i + 1 < b->count && in->row != UINT16_MAX && insn_exec(in) == &exec_jmp_rel)
			step += in->imm;
		rip += step;
		off = (off + (unsigned)step) & 0xffff;
	}
	return n;
}

static void empty_table(struct trace *t)
{
	t->base += t->used;
	t->used = 1;
	t->bytes_used = 0;
	memset(t->hash, 0, TABLE_SIZE * sizeof(*t->hash));
}

static bool in_ranges(const struct trace_spec *s, u64 lo, u64 hi)
{
	for (unsigned i = 0; i < s->ranges; i++)
		if (lo <= s->range[i].hi && hi >= s->range[i].lo)
			return true;
	return !s->ranges;
}

static u32 who_of(const struct cpu *cpu)
{
	return cpu->seg[CS].sel | (u32)cpu->cpl << 16;
}

static NOINLINE struct entry *find_entry(struct trace *t, struct cpu *cpu, struct block *b)
{
	u8 code[BLOCK_MAX_INSNS * 16];
	u64 lo, hi, rip = cpu->insn_rip;
	unsigned n = copy_code(cpu, b, code, &lo, &hi);
	u32 who = who_of(cpu), h = (u32)crc32((uLong)(rip ^ rip >> 32 ^ who), code, n) & (TABLE_SIZE - 1), i;

	for (i = t->hash[h]; i; i = t->entry[i].next) {
		struct entry *e = &t->entry[i];
		if (e->rip == rip && e->phys == b->phys && e->mode == b->mode && e->who == who && e->count == b->count &&
		    e->base == seg_base(cpu, CS) && e->nbytes == n && !memcmp(t->bytes + e->at, code, n))
			break;
	}
	if (!i) {
		if (t->used == TABLE_SIZE || t->bytes_used + n > TABLE_BYTES)
			empty_table(t);
		i = t->used++;
		t->entry[i] = (struct entry){.rip = rip, .phys = b->phys, .base = seg_base(cpu, CS), .lo = lo, .hi = hi, .mode = b->mode,
					     .who = who, .chunk = ~0u, .at = t->bytes_used, .next = t->hash[h], .nbytes = (u16)n,
					     .count = b->count, .in_range = in_ranges(&t->spec, lo, hi)};
		t->hash[h] = i;
		memcpy(t->bytes + t->bytes_used, code, n);
		t->bytes_used += n;
	}
	b->trace_id = t->base + i;
	return &t->entry[i];
}

static ALWAYS_INLINE struct entry *entry_of(struct trace *t, struct cpu *cpu, struct block *b)
{
	u64 i = b->trace_id - t->base;

	if (likely(i < t->used)) {
		struct entry *e = &t->entry[i];
		if (likely(e->rip == cpu->insn_rip && e->who == who_of(cpu)))
			return e;
	}
	return find_entry(t, cpu, b);
}

static void define(struct trace *t, struct entry *e)
{
	u8 *p = flow(t, FLOW_DEFINE, 8 * VARINT_MAX + e->nbytes);

	if (!p)
		return;
	e->chunk = t->chunk_number;
	e->id = ++t->ids;
	p = put_varint(p, e->rip);
	p = put_varint(p, e->phys);
	p = put_varint(p, e->base);
	p = put_varint(p, e->mode);
	p = put_varint(p, e->who);
	p = put_varint(p, e->count);
	memcpy(p, t->bytes + e->at, e->nbytes);
	flow_done(t, p + e->nbytes);
}

/* ---- filters and triggers ------------------------------------------------------------------------------------------------ */

/* @n instructions from @icount on. */
static bool wanted(const struct trace *t, struct cpu *cpu, u64 icount, unsigned n)
{
	const struct trace_spec *s = &t->spec;

	return (s->cpls >> cpu->cpl & 1) && (s->cpus >> cpu->index & 1) && (s->vmx >> (cpu->vmx_mode == VMX_NONROOT) & 1) &&
	       (!s->cr3_given || (cpu->cr3 & 0xffffffffff000ull) == s->cr3) && icount + n > s->first && icount < s->last;
}

static void stop_now(struct trace *t)
{
	t->active = false;
	t->over = t->spec.start.kind == TRIGGER_NONE || t->spec.start.kind == TRIGGER_INSN;
	for (unsigned i = 0; i < t->cpus; i++)
		t->cpu[i].gap = true;
}

/* True: the block is to be recorded. */
static NOINLINE bool filter_block(struct trace *t, struct cpu *cpu, const struct entry *e, u64 icount)
{
	const struct trace_trigger *g = &t->spec.start;

	if (!t->active && !t->over &&
	    ((g->kind == TRIGGER_ADDR && g->at >= e->lo && g->at <= e->hi) || (g->kind == TRIGGER_INSN && icount >= g->at)))
		t->active = true;
	if (!t->active || !e->in_range || !wanted(t, cpu, icount, e->count))
		return false;
	g = &t->spec.stop;
	if (g->kind == TRIGGER_INSN && icount >= g->at) {
		stop_now(t);
		return false;
	}
	if (g->kind == TRIGGER_ADDR && g->at >= e->lo && g->at <= e->hi)
		stop_now(t); /* behind this block */
	return true;
}

static const u8 event_types[WATCH_KINDS] = {
    [WATCH_EXCEPTION] = EV_EXCEPTION, [WATCH_INTERRUPT] = EV_INTERRUPT, [WATCH_CPL] = EV_CPL, [WATCH_MODE] = EV_MODE,
    [WATCH_CR] = EV_CR, [WATCH_MSR] = EV_MSR, [WATCH_IO] = EV_IO, [WATCH_VMX] = EV_VMX, [WATCH_TASK] = EV_TASK,
    [WATCH_SMM] = EV_SMM, [WATCH_MAGIC] = EV_MAGIC, [WATCH_SHUTDOWN] = EV_SHUTDOWN, [WATCH_DMA] = EV_DMA};

static bool event_fits(const struct trace_trigger *g, const struct seen *s)
{
	bool new_value = s->kind == WATCH_CPL || s->kind == WATCH_MODE || s->kind == WATCH_SMM;

	return g->kind == TRIGGER_EVENT && g->event == event_types[s->kind] && (g->any || g->first == (new_value ? s->value : s->n));
}

/* ---- effects --------------------------------------------------------------------------------------------------------------- */

static u8 *put_vector(struct cpu *cpu, const struct operand *o, u8 *p)
{
	if (o->kind == OPK_VEC) {
		unsigned n = MIN(o->size < 16 ? 16u : o->size, 64u);
		*p++ = o->reg;
		*p++ = (u8)n;
		memcpy(p, &cpu->v[o->reg & 31], n);
		return p + n;
	}
	unsigned top = o->kind == OPK_MM ? 0 : x87_top(&cpu->x87);
	const struct x87_reg *r = &cpu->x87.r[(top + o->reg) & 7];
	*p++ = o->reg & 7;
	memcpy(p, &r->mant, 8);
	memcpy(p + 8, &r->se, 2);
	return p + 10;
}

static u8 *put_accesses(struct tracee *c, u8 *p)
{
	p = put_varint(p, c->accesses);
	for (u32 i = 0; i < c->accesses; i++) {
		const struct access *a = &c->access[i];
		p = put_varint(p, (u64)a->size << 1 | a->write);
		p = put_varint(p, zigzag(a->addr - c->last_addr));
		p = put_varint(p, a->value);
		c->last_addr = a->addr;
	}
	c->accesses = 0;
	return p;
}

/* How the registers differ from what the reader knows. */
static void effects(struct trace *t, struct tracee *c, struct cpu *cpu)
{
	u8 *p = room(t, &t->chunk->fx, 512 + c->accesses * 3 * VARINT_MAX);
	u32 mask = 0, flags = watch_rflags(cpu), segs = 0;

	if (!p)
		return;
	for (unsigned i = 0; i < 16; i++)
		mask |= (u32)(cpu->r[i] != c->r[i]) << i;
	for (unsigned i = 0; i < 8; i++)
		segs |= (u32)(cpu->seg[i].sel != c->sel[i]) << i;
	mask |= (flags != c->rflags ? FX_FLAGS : 0) | (segs ? FX_SEGS : 0) | (c->accesses ? FX_MEMORY : 0) | (c->lost ? FX_LOST : 0);
	if (c->result.kind != OPK_NONE)
		mask |= c->result.kind == OPK_VEC ? FX_VECTOR : FX_X87;
	p = put_varint(p, mask);
	for (u32 left = mask & FX_REGS; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		p = put_varint(p, zigzag(cpu->r[i] - c->r[i]));
		c->r[i] = cpu->r[i];
	}
	if (mask & FX_FLAGS)
		p = put_varint(p, flags ^ c->rflags);
	c->rflags = flags;
	if (segs) {
		*p++ = (u8)segs;
		for (unsigned i = 0; i < 8; i++)
			if (segs >> i & 1)
				p = put_varint(p, c->sel[i] = cpu->seg[i].sel);
	}
	if (c->result.kind != OPK_NONE)
		p = put_vector(cpu, &c->result, p);
	c->result.kind = OPK_NONE;
	if (mask & FX_MEMORY)
		p = put_accesses(c, p);
	if (c->lost)
		p = put_varint(p, c->lost);
	c->lost = 0;
	t->chunk->fx.n = (size_t)(p - t->chunk->fx.data);
}

static void on_insn(void *ctx, struct cpu *cpu, const struct insn *in)
{
	struct trace *t = ctx;
	struct tracee *c = &t->cpu[cpu->index];

	if (!c->recorded || !t->chunk)
		return;
	effects(t, c, cpu);
	c->listed++;
	if (in->row == UINT16_MAX)
		return;
	for (unsigned i = 0; i < in->nops; i++)
		if ((in->op[i].rw & 2) && (in->op[i].kind == OPK_VEC || in->op[i].kind == OPK_MM || in->op[i].kind == OPK_ST))
			c->result = in->op[i];
}

/* ---- what the processor shows -------------------------------------------------------------------------------------------- */

static NOINLINE void new_chunk(struct trace *t, struct cpu *cpu)
{
	end_chunk(t);
	begin_chunk(t, cpu, true);
}

static void on_block(void *ctx, struct cpu *cpu, struct block *b)
{
	struct trace *t = ctx;
	struct tracee *c = &t->cpu[cpu->index];
	struct entry *e = entry_of(t, cpu, b);
	u64 icount = cpu_icount(cpu);

	if (unlikely(t->special)) {
		c->recorded = filter_block(t, cpu, e, icount);
		if (!c->recorded) {
			c->gap = true;
			return;
		}
	}
	if (unlikely(!t->chunk || t->chunk->flow.n > CHUNK_FLOW || t->chunk->fx.n > CHUNK_FX || t->ids >= PREDICT_IDS - 2 ||
		     t->insns - t->chunk->first_insn > CHUNK_INSNS))
		new_chunk(t, cpu);
	if (unlikely(cpu->index != t->cur))
		switch_to(t, cpu->index);
	if (unlikely(icount != c->expected || c->gap))
		resync(t, c, icount);
	c->start = icount;
	c->count = e->count;
	c->listed = 0;
	c->expected = icount + e->count;
	c->open = true;
	t->insns += e->count;
	t->blocks++;
	if (unlikely(e->chunk != t->chunk_number)) {
		define(t, e);
		predict_step(&t->predictor, &c->path, e->id);
	} else if (likely(predict_step(&t->predictor, &c->path, e->id))) {
		t->run++;
	} else {
		u8 *p = flow(t, FLOW_BLOCK, VARINT_MAX);
		if (p)
			flow_done(t, put_varint(p, e->id));
	}
}

/* The number of a text in this chunk; 0: none. */
static u64 text_id(struct trace *t, const char *s)
{
	if (!s)
		return 0;
	u32 i = (u32)((uintptr_t)s * 0x9e3779b97f4a7c15ull >> 54) % TEXTS, first = i;
	while (t->text[i] && t->text[i] != s) {
		i = (i + 1) % TEXTS;
		if (i == first)
			return 0;
	}
	if (t->text[i])
		return t->text_id[i];
	size_t n = MIN(strlen(s), 200u);
	u8 *p = flow(t, FLOW_EVENT, 1 + 3 * VARINT_MAX + n);
	if (!p)
		return 0;
	*p++ = EV_TEXT;
	p = put_varint(p, 0);
	p = put_varint(p, 0);
	p = put_varint(p, n);
	memcpy(p, s, n);
	flow_done(t, p + n);
	t->text[i] = s;
	return t->text_id[i] = ++t->texts;
}

/* Exits that are taken between instructions (SDM Vol. 3D, appendix C). */
static bool exit_between(const struct seen *s, const struct cpu *cpu)
{
	switch (s->n & 0xffff) {
	case 0: return (cpu->vm_fault.intr_info >> 8 & 7) == 2; /* NMI */
	case 1: case 2: case 3: case 4: case 5: case 6: case 7: case 8: case 37: case 43: case 52: return true;
	case 48: case 49: return s->value & 4; /* a fetch */
	default: return false;
	}
}

/* Does the event belong to an instruction that has begun, but does not count yet? */
static bool in_insn(const struct cpu *cpu, const struct seen *s)
{
	switch (s->kind) {
	case WATCH_EXCEPTION: return s->n != EXC_DB || (cpu->fault.dr6 & BIT64(13));
	case WATCH_INTERRUPT: return s->value >= 3;
	case WATCH_VMX: return s->n == WATCH_VM_ENTRY || (s->n & BIT(31)) || !exit_between(s, cpu);
	case WATCH_SMM: return !s->value;
	case WATCH_SHUTDOWN:
	case WATCH_DMA: return false;
	default: return true;
	}
}

static bool ends_block(const struct seen *s)
{
	switch (s->kind) {
	case WATCH_EXCEPTION:
	case WATCH_SHUTDOWN: return true;
	case WATCH_INTERRUPT: return s->value < 3;
	case WATCH_VMX: return s->n != WATCH_VM_ENTRY && !(s->n & BIT(31));
	case WATCH_SMM: return s->value;
	default: return false;
	}
}

/* The event's type and fields; how many. Texts they need are written. */
static unsigned describe(struct trace *t, struct cpu *cpu, const struct seen *s, enum trace_event *type, u64 f[6])
{
	static const u8 fields[EV_KINDS] = TRACE_EVENT_FIELDS;

	*type = event_types[s->kind];
	f[0] = s->n;
	switch (s->kind) {
	case WATCH_EXCEPTION:
		f[1] = s->value << 1 | cpu->fault.has_err;
		f[2] = s->n == EXC_PF ? cpu->fault.addr : 0;
		f[3] = cpu->fault.value;
		f[4] = text_id(t, cpu->fault.why);
		f[5] = cpu->rip;
		break;
	case WATCH_INTERRUPT: f[1] = s->value; f[2] = cpu->rip; break;
	case WATCH_CPL: case WATCH_MODE: f[0] = s->old; f[1] = s->value; break;
	case WATCH_CR: f[1] = s->old; f[2] = s->value; break;
	case WATCH_MSR: f[1] = s->write; f[2] = s->value; break;
	case WATCH_IO: f[1] = (u64)s->size << 1 | s->write; f[2] = s->value; break;
	case WATCH_VMX: f[1] = s->value; f[2] = s->addr; break;
	case WATCH_TASK: f[1] = s->old; break;
	case WATCH_SMM: f[0] = s->value; break;
	case WATCH_SHUTDOWN: f[0] = text_id(t, cpu->triple[0].why); break;
	case WATCH_DMA: f[0] = s->phys; f[1] = s->value << 1 | s->write; break;
	default: break;
	}
	return fields[*type];
}

static void on_access(struct tracee *c, const struct seen *s)
{
	if (!c->recorded)
		return;
	if (c->accesses == ACCESSES_MAX) {
		c->lost++;
		return;
	}
	c->access[c->accesses++] = (struct access){
	    .addr = s->addr, .value = zext_bytes(s->value, MIN(s->size, 8u)), .size = s->size, .write = s->write};
}

static void record_event(struct trace *t, struct tracee *c, struct cpu *cpu, const struct seen *s, enum trace_event type,
			 const u64 *f, unsigned n)
{
	u64 icount = cpu_icount(cpu), pos = icount - (t->spec.depth == TRACE_EVENTS ? c->at : c->start), time;
	bool begun = t->spec.depth >= TRACE_REGS ? c->listed > pos : in_insn(cpu, s) && pos < c->count;

	if (!c->open)
		begun = false;
	time = cpu->bus.time(cpu->bus.ctx);
	event(t, type, pos << 1 | begun, time < t->last_time ? t->last_time : time, f, n);
	t->events++;
	if (t->spec.depth == TRACE_EVENTS) {
		c->at = icount;
		return;
	}
	if (t->spec.depth >= TRACE_REGS && (type == EV_EXCEPTION || type == EV_INTERRUPT || type == EV_VMX))
		effects(t, c, cpu);
	if (c->open)
		c->listed = (u16)MAX(c->listed, MIN(pos + begun, c->count));
	if (ends_block(s)) {
		close_block(t, c, pos + begun);
		c->expected = icount + (s->kind == WATCH_INTERRUPT || s->kind == WATCH_EXCEPTION); /* a delivery counts */
	}
}

static void on_seen(void *ctx, struct cpu *cpu, const struct seen *s)
{
	struct trace *t = ctx;
	struct tracee *c = &t->cpu[cpu->index];
	enum trace_event type;
	u64 f[6];
	unsigned n;

	if (s->kind == WATCH_ACCESS) {
		on_access(c, s);
		return;
	}
	if (t->special) {
		if (!t->active && !t->over && event_fits(&t->spec.start, s))
			t->active = true;
		if (!t->active || !wanted(t, cpu, cpu_icount(cpu), 1) || (t->spec.ranges && !c->recorded))
			return;
	}
	if (t->chunk && t->spec.depth == TRACE_EVENTS && t->chunk->flow.n > CHUNK_FLOW)
		end_chunk(t);
	if (!t->chunk)
		begin_chunk(t, cpu, false);
	if (cpu->index != t->cur)
		switch_to(t, cpu->index);
	n = describe(t, cpu, s, &type, f);
	record_event(t, c, cpu, s, type, f, n);
	if (t->special && event_fits(&t->spec.stop, s))
		stop_now(t);
}

static bool every_page(void *ctx, u64 page, u64 phys_page)
{
	return true;
}

/* ---- start and end --------------------------------------------------------------------------------------------------------- */

static u32 wants(const struct trace_spec *s)
{
	u32 w = WATCH_BIT(WATCH_EXCEPTION) | WATCH_BIT(WATCH_INTERRUPT) | WATCH_BIT(WATCH_CPL) | WATCH_BIT(WATCH_MODE) | WATCH_BIT(WATCH_CR) |
		WATCH_BIT(WATCH_MSR) | WATCH_BIT(WATCH_IO) | WATCH_BIT(WATCH_VMX) | WATCH_BIT(WATCH_TASK) | WATCH_BIT(WATCH_SMM) |
		WATCH_BIT(WATCH_MAGIC) | WATCH_BIT(WATCH_SHUTDOWN) | WATCH_BIT(WATCH_DMA);

	return w | (s->depth >= TRACE_INSNS ? WATCH_BIT(WATCH_BLOCK) : 0) | (s->depth >= TRACE_REGS ? WATCH_BIT(WATCH_INSN) : 0) |
	       (s->depth >= TRACE_MEM ? WATCH_BIT(WATCH_ACCESS) : 0);
}

static void put_header(struct trace *t)
{
	const struct trace_spec *s = &t->spec;
	const struct cpu *cpu = t->cpu[0].cpu;
	u8 body[4096], head[20], *p = body;
	size_t n = strlen(s->text);

	*p++ = (u8)s->depth;
	*p++ = (u8)t->cpus;
	*p++ = (u8)FEATURE_WORDS;
	*p++ = (u8)s->ranges;
	p = put64(put64(p, s->first), s->last);
	for (unsigned i = 0; i < FEATURE_WORDS; i++)
		p = put32(p, cpu->feat[i]);
	for (unsigned i = 0; i < s->ranges; i++)
		p = put64(put64(p, s->range[i].lo), s->range[i].hi);
	p = put32(p, (u32)n);
	memcpy(p, s->text, n);
	p += n;
	memcpy(head, TRACE_MAGIC, 8);
	put32(put32(put32(head + 8, TRACE_VERSION), (u32)(p - body)), (u32)crc32(0, body, (uInt)(p - body)));
	put_file(t, head, 20);
	put_file(t, body, (size_t)(p - body));
	fflush(t->file);
}

static void free_trace(struct trace *t)
{
	for (unsigned i = 0; i < QUEUE; i++) {
		free(t->pool[i].flow.data);
		free(t->pool[i].fx.data);
	}
	for (unsigned i = 0; i < TRACE_CPUS; i++)
		free(t->cpu[i].access);
	if (t->file)
		fclose(t->file);
	host_monitor_destroy(t->monitor);
	free(t->entry);
	free(t->hash);
	free(t->bytes);
	free(t->out);
	free(t->index);
	free(t);
}

static bool alloc_parts(struct trace *t)
{
	bool ok = true;

	t->entry = malloc(TABLE_SIZE * sizeof(*t->entry));
	t->hash = calloc(TABLE_SIZE, sizeof(*t->hash));
	t->bytes = malloc(TABLE_BYTES);
	t->monitor = host_monitor_create();
	for (unsigned i = 0; i < QUEUE; i++) {
		struct chunk *c = t->free[t->free_n++] = &t->pool[i];
		c->flow.cap = CHUNK_FLOW + (64u << 10);
		c->flow.data = malloc(c->flow.cap);
		c->fx.cap = t->spec.depth >= TRACE_REGS ? CHUNK_FX + (64u << 10) : 0;
		c->fx.data = c->fx.cap ? malloc(c->fx.cap) : NULL;
		ok &= c->flow.data && (c->fx.data || !c->fx.cap);
	}
	for (unsigned i = 0; t->spec.depth >= TRACE_MEM && i < t->cpus; i++) {
		t->cpu[i].access = malloc(ACCESSES_MAX * sizeof(struct access));
		ok &= t->cpu[i].access != NULL;
	}
	return ok && t->entry && t->hash && t->bytes && t->monitor;
}

static bool needs_filter(const struct trace_spec *s)
{
	return s->cpls != 0xf || s->vmx != 3 || s->cpus != 0xff || s->cr3_given || s->first || s->last != ~0ull || s->ranges ||
	       s->start.kind != TRIGGER_NONE || s->stop.kind != TRIGGER_NONE;
}

int trace_start(struct machine *m, const struct trace_spec *s, struct trace **out, struct errtext *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "-trace: out of memory");
	t->spec = *s;
	t->m = m;
	while (t->cpus < TRACE_CPUS && machine_cpu(m, t->cpus)) {
		t->cpu[t->cpus].cpu = machine_cpu(m, t->cpus);
		t->cpu[t->cpus].recorded = true;
		t->cpus++;
	}
	t->special = needs_filter(s);
	t->active = s->start.kind == TRIGGER_NONE;
	t->used = 1;
	t->base = 1; /* 0 in a block is no number of ours */
	t->file = fopen(s->path, "wb");
	if (!t->file) {
		int err = errno;
		free_trace(t);
		return err_set(e, -err, "-trace %s: %s", s->path, strerror(err));
	}
	if (alloc_parts(t)) {
		put_header(t);
		t->thread = host_thread_start(writer, t);
	}
	if (!t->thread) {
		free_trace(t);
		return err_set(e, -ENOMEM, "-trace: out of memory");
	}
	t->watch = (struct cpu_watch){.ctx = t, .insn = on_insn, .block = on_block, .seen = on_seen, .page_wanted = every_page, .wants = wants(s)};
	watch_add(t->cpu[0].cpu, &t->watch);
	*out = t;
	return 0;
}

struct trace *trace_of(struct machine *m)
{
	const struct cpu *cpu = machine_cpu(m, 0);

	for (struct cpu_watch *w = cpu->watchers ? cpu->watchers->first : NULL; w; w = w->next)
		if (w->seen == on_seen)
			return w->ctx;
	return NULL;
}

void trace_progress(const struct trace *t, struct trace_totals *out)
{
	*out = (struct trace_totals){.insns = t->insns, .blocks = t->blocks, .events = t->events, .chunks = t->chunk_number,
				     .bytes = t->written, .raw_bytes = t->raw, .lost = t->lost};
}

int trace_end(struct trace *t, struct trace_totals *out, struct errtext *e)
{
	int r;

	watch_remove(t->cpu[0].cpu, &t->watch);
	end_chunk(t);
	host_monitor_enter(t->monitor);
	t->done = true;
	host_monitor_notify(t->monitor);
	host_monitor_leave(t->monitor);
	host_thread_join(t->thread);
	write_index(t);
	if (fflush(t->file) && !t->error)
		t->error = -errno;
	if (out)
		trace_progress(t, out);
	r = t->error;
	if (r)
		err_set(e, r, "-trace %s: %s: the trace ends before the run does", t->spec.path, strerror(-r));
	free_trace(t);
	return r;
}
