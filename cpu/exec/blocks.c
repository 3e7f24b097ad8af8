/*
 * The block cache: lookup, building, links, and what keeps it true when code is written.
 *
 * Memory is one arena that only grows: micro-operations from its beginning, close together for the host's caches, and what
 * running code rarely reads, link stubs among it, from its end. When it is full, everything is dropped at once, between
 * chains. Dropping a single block (its code was written) unlinks it and turns its first micro-operation into uop_dead, so that
 * whoever still holds a pointer to it (jump cache, a chain about to continue) leaves to the run loop.
 *
 * The processors of a machine share one cache, since blocks refer to nothing of a particular one: cpu->peer is the ring of
 * them. Only one runs at a time. Jump caches and TLBs, which hold what one processor translated, are each one's own.
 */
#include <errno.h>
#include <stdio.h>

#include "base/host.h"
#include "base/log.h"
#include "cpu/exec/blocks.h"
#include "cpu/exec/watch.h"

#define ARENA_SIZE (64u << 20)
#define HASH_BITS 16
#define CODE_HASH_BITS 12
#define JUMP_CACHE_BYTES (JUMP_CACHE_SIZE * sizeof(struct jump_cache_entry))
#define LINE_SHIFT 6 /* code is tracked in lines of 64 bytes: one bit each of a page's u64 */

/* A link that leads to a block: undone when the block goes. */
struct link {
	struct link *next;
	struct uop **slot;     /* pointer in the branch, or NULL for a cross-page link */
	struct uop *stub;
};

struct block_ref {
	struct block_ref *next;
	struct block *block;
};

/* A physical page with decoded code on it. */
struct code_page {
	u64 page;
	u64 lines;
	u64 watched; /* those of lines that a MONITOR waits for */
	struct block_ref *blocks;
	struct code_page *next;
};

struct block_cache {
	u8 *arena;
	size_t used, cold; /* bytes of it from its beginning, and from its end */
	struct block *hash[1u << HASH_BITS];
	struct code_page *code[1u << CODE_HASH_BITS];
	struct builder builder;
	bool full; /* no room for a link: everything goes before the next chain */
	struct uop rest[16];
	u64 scratch_page, scratch_lines; /* code that the scratch block was built from */
	/* a block for one use: cut short, or of code that is not RAM */
	struct {
		_Alignas(struct block) u8 block[sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct insn)];
		struct uop uops[BUILDER_MAX_UOPS + 2];
		struct uop stubs[BLOCK_MAX_INSNS + 1];
	} scratch;
};

static struct block_cache *new_cache(void)
{
	struct block_cache *c = host_alloc_pages(sizeof(*c));

	if (!c)
		return NULL;
	c->arena = host_alloc_pages(ARENA_SIZE);
	if (!c->arena) {
		host_free_pages(c, sizeof(*c));
		return NULL;
	}
	pairs_init(&c->builder);
	return c;
}

int blocks_init(struct cpu *cpu)
{
	struct cpu *peer = cpu->peer;

	cpu->peer = NULL;
	cpu->jump_cache = host_alloc_pages(JUMP_CACHE_BYTES);
	if (!cpu->jump_cache)
		return -ENOMEM; /* cpu_free() follows */
	cpu->blocks = peer ? peer->blocks : new_cache();
	if (!cpu->blocks)
		return -ENOMEM;
	cpu->peer = peer ? peer->peer : cpu;
	if (peer)
		peer->peer = cpu;
	cpu_blocks_flush(cpu);
	return 0;
}

void blocks_free(struct cpu *cpu)
{
	host_free_pages(cpu->jump_cache, JUMP_CACHE_BYTES);
	cpu->jump_cache = NULL;
	if (!cpu->blocks)
		return;
	if (cpu->peer == cpu) {
		host_free_pages(cpu->blocks->arena, ARENA_SIZE);
		host_free_pages(cpu->blocks, sizeof(*cpu->blocks));
	} else {
		struct cpu *before = cpu->peer;
		while (before->peer != cpu)
			before = before->peer;
		before->peer = cpu->peer;
	}
	cpu->blocks = NULL;
	cpu->peer = NULL;
}

/* A store by @by reached what @cpu monitors, or may have done so unseen: a wake-up for nothing is always allowed. */
static void monitor_triggered(struct cpu *cpu, struct cpu *by)
{
	cpu->monitor_armed = false;
	if (cpu->activity != CPU_MWAIT && cpu->activity != CPU_UMWAIT)
		return;
	cpu->activity = CPU_ACTIVE;
	by->others_wait = true;
}

static void forget_returns(struct cpu *cpu)
{
	struct cpu *p = cpu;

	do { /* key 0 is never current */
		memset(p->returns, 0, sizeof(p->returns));
		p = p->peer;
	} while (p != cpu);
}

void cpu_blocks_flush(struct cpu *cpu)
{
	struct block_cache *c = cpu->blocks;
	struct cpu *p = cpu;
	bool empty = !c->used && !c->cold; /* then so is everything that points into the arena */

	c->used = c->cold = 0;
	c->full = false;
	if (!empty) {
		memset(c->hash, 0, sizeof(c->hash));
		memset(c->code, 0, sizeof(c->code));
	}
	c->scratch_page = NO_PAGE;
	forget_returns(cpu);
	do { /* key 0 of a jump cache is never current: generations start at 1 */
		if (!empty)
			memset(p->jump_cache, 0, JUMP_CACHE_BYTES);
		monitor_triggered(p, cpu);
		p->link_from = NULL;
		p = p->peer;
	} while (p != cpu);
}

/* For a mark and @n micro-operations. The mark behind them is the next block's. */
static struct uop *arena_alloc_uops(struct block_cache *c, unsigned n)
{
	struct uop *mark = (struct uop *)(c->arena + c->used);

	if (c->used + c->cold + (n + 2) * sizeof(*mark) > ARENA_SIZE)
		return NULL;
	c->used += (n + 1) * sizeof(*mark);
	return mark;
}

/* For what running code rarely reads. */
static void *arena_alloc_cold(struct block_cache *c, size_t size)
{
	size = (size + 31) & ~(size_t)31;
	if (c->used + c->cold + size > ARENA_SIZE)
		return NULL;
	c->cold += size;
	return c->arena + ARENA_SIZE - c->cold;
}

/* ---- code pages ---------------------------------------------------------------------------------------- */

static struct code_page **code_slot(struct block_cache *c, u64 page)
{
	return &c->code[(page >> 12 ^ page >> 24) & ((1u << CODE_HASH_BITS) - 1)];
}

static struct code_page *code_find(struct block_cache *c, u64 page)
{
	struct code_page *p = *code_slot(c, page);

	while (p && p->page != page)
		p = p->next;
	return p;
}

bool code_page_present(struct cpu *cpu, u64 gpa_page)
{
	struct code_page *p = cpu->blocks ? code_find(cpu->blocks, gpa_page) : NULL;
	return p && p->lines;
}

/* Bits of the lines that bytes @first..@last of a page lie in. */
static u64 line_bits(unsigned first, unsigned last)
{
	u64 upto = last >> LINE_SHIFT == 63 ? ~0ull : BIT64((last >> LINE_SHIFT) + 1) - 1;
	return upto & ~(BIT64(first >> LINE_SHIFT) - 1);
}

/* The lines of page @page that block @b covers. */
static u64 block_lines(const struct block *b, u64 page)
{
	return (page == (b->phys & ~0xfffull) ? b->lines : 0) | (page == b->phys2 ? b->lines2 : 0);
}

/* What the built instructions cover of their page, and of the next. */
static void covered_lines(const struct builder *bl, struct block *b)
{
	b->lines = b->lines2 = 0;
	for (unsigned i = 0; i < bl->count; i++) {
		unsigned first = bl->off[i], last = first + bl->insn[i].len - 1;

		b->lines |= line_bits(first, MIN(last, 4095u));
		if (last > 4095)
			b->lines2 |= line_bits(0, last - 4096);
	}
}

/* The page's stores take the slow path on every processor from now on. */
static void protect_everywhere(struct cpu *cpu, u8 *host)
{
	struct cpu *p = cpu;

	do {
		mmu_protect_page(p, host);
		p = p->peer;
	} while (p != cpu);
}

/* Says that @lines of @page are decoded, so that stores to them take the slow path. NULL: the arena is full. */
static struct code_page *mark_code(struct cpu *cpu, u64 page, u8 *host, u64 lines)
{
	struct block_cache *c = cpu->blocks;
	struct code_page *p = code_find(c, page);

	if (!p) {
		p = arena_alloc_cold(c, sizeof(*p));
		if (!p)
			return NULL;
		*p = (struct code_page){.page = page, .next = *code_slot(c, page)};
		*code_slot(c, page) = p;
	}
	if (!p->lines)
		protect_everywhere(cpu, host);
	p->lines |= lines;
	return p;
}

int cpu_monitor(struct cpu *cpu, u64 gpa, u8 *host_page)
{
	u64 line = line_bits(gpa & 0xfff, gpa & 0xfff);
	struct code_page *p = mark_code(cpu, gpa & ~0xfffull, host_page, line);

	if (!p)
		return -ENOMEM;
	p->watched |= line;
	cpu->monitor_gpa = gpa & ~63ull;
	cpu->monitor_armed = true;
	return 0;
}

/* Lines @hit of page @p, which somebody monitors, are written. */
static void watched_written(struct cpu *cpu, struct code_page *p, u64 hit)
{
	struct cpu *who = cpu;

	do {
		u64 at = who->monitor_gpa;
		bool watches = who->monitor_armed || who->activity == CPU_MWAIT || who->activity == CPU_UMWAIT;
		if (watches && (at & ~0xfffull) == p->page && (line_bits(at & 0xfff, at & 0xfff) & hit))
			monitor_triggered(who, cpu);
		who = who->peer;
	} while (who != cpu);
	p->watched &= ~hit;
}

static bool register_code(struct cpu *cpu, struct block *b, u64 page, u8 *host)
{
	struct block_ref *ref = arena_alloc_cold(cpu->blocks, sizeof(*ref));
	struct code_page *p = ref ? mark_code(cpu, page, host, block_lines(b, page)) : NULL;

	if (!p)
		return false;
	*ref = (struct block_ref){.next = p->blocks, .block = b};
	p->blocks = ref;
	return true;
}

static unsigned hash_index(u64 phys, u32 mode)
{
	return (unsigned)((phys * 0x9e3779b97f4a7c15ull >> 40) ^ mode) & ((1u << HASH_BITS) - 1);
}

static void drop_block(struct cpu *cpu, struct block *b)
{
	struct block **p = &cpu->blocks->hash[hash_index(b->phys, b->mode)];

	while (*p && *p != b)
		p = &(*p)->hash_next;
	if (*p)
		*p = b->hash_next;
	for (struct link *l = b->in; l; l = l->next) {
		if (l->slot)
			*l->slot = l->stub;
		if (l->stub->sh == LINK_BRANCH)
			l->stub->branch->phys = NO_LINK;
		l->stub->fn = uop_unlinked;
	}
	b->in = NULL;
	b->cached = false;
	b->uops[0].fn = uop_dead;
	forget_returns(cpu);
	cpu->attn = 1; /* it may be the running one */
}

void code_written(struct cpu *cpu, u64 gpa, unsigned n)
{
	struct code_page *p = cpu->blocks ? code_find(cpu->blocks, gpa & ~0xfffull) : NULL;
	u64 hit = n ? line_bits(gpa & 0xfff, MIN((gpa & 0xfff) + n, 4096u) - 1) : 0, left;
	struct block_ref **ref;

	if (!p || !(p->lines & hit))
		return;
	if (p->watched & hit)
		watched_written(cpu, p, hit);
	if (p->page == cpu->blocks->scratch_page && (cpu->blocks->scratch_lines & hit)) {
		cpu->attn = 1;
		cpu->blocks->scratch_page = NO_PAGE;
	}
	left = p->watched | (p->page == cpu->blocks->scratch_page ? cpu->blocks->scratch_lines : 0);
	ref = &p->blocks;
	while (*ref) {
		struct block *b = (*ref)->block;
		u64 lines = block_lines(b, p->page);
		if (b->cached && !(lines & hit)) {
			left |= lines;
			ref = &(*ref)->next;
			continue;
		}
		if (b->cached)
			drop_block(cpu, b);
		*ref = (*ref)->next;
	}
	p->lines = left;
}

void cpu_ram_written(struct cpu *cpu, u64 gpa, u64 n)
{
	while (n) {
		u64 chunk = MIN(n, 4096 - (gpa & 0xfff));
		code_written(cpu, gpa, (unsigned)chunk);
		gpa += chunk;
		n -= chunk;
	}
}

/* ---- links ------------------------------------------------------------------------------------------------- */

static bool in_arena(const struct block_cache *c, const struct uop *u)
{
	return (const u8 *)u >= c->arena && (const u8 *)u < c->arena + ARENA_SIZE;
}

void block_link(struct cpu *cpu, struct uop *stub, struct block *b)
{
	struct block_cache *c = cpu->blocks;
	const bool same_page = stub->sh == LINK_SAME;

	if (!in_arena(c, stub) || !b->cached || (b->phys2 != NO_PAGE && code_not_flat(b->mode)) || stub->fn != uop_unlinked ||
	    (b->mode & MODE_TF) || (!same_page && code_not_flat(b->mode)))
		return;
	struct link *l = arena_alloc_cold(c, sizeof(*l));
	if (!l) {
		c->full = true;
		return;
	}
	*l = (struct link){.next = b->in, .stub = stub};
	b->in = l;
	if (stub->sh != LINK_ACROSS) {
		l->slot = &stub->branch->target;
		*l->slot = b->uops;
		if (!same_page)
			stub->branch->phys = b->phys & ~0xfffull;
	} else {
		stub->target = b->uops;
		stub->phys = b->phys & ~0xfffull;
		stub->fn = cpu_long64(cpu) ? uop_cross_link64 : uop_cross_link32;
	}
}

const struct uop *block_rest_of_insn(struct cpu *cpu, const struct uop *u)
{
	struct uop *rest = cpu->blocks->rest;
	unsigned n = 0, icnt = u->icnt, off;

	/* @u may be one of rest[] itself. */
	while ((++u)->icnt == icnt && n < ARRAY_SIZE(cpu->blocks->rest) - 1)
		rest[n++] = *u;
	off = u->icnt == icnt + 1 ? u->off : block_next_insn(u - 1);
	rest[n] = (struct uop){.fn = uop_insn_end, .off = (u16)off, .icnt = (u8)(icnt + 1)};
	return rest;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

extern const struct exec_desc exec_jmp_rel, exec_jcc, exec_call_rel, exec_call_ind, exec_sti;

#define EXTENDED_INSNS 32
#define EXTENDED_BRANCHES 4

static bool ends_block(const struct insn *in)
{
	const struct insn_row *r = &insn_rows[in->row];
	return (r->attr & (IA_END | IA_BRANCH)) ||
	       ((r->attr & IA_REP) && (in->prefixes & (PFX_REP | PFX_REPNE)));
}

/*
 * Does the block go on behind its @branches-th branch @in, which is not taken, or comes back, or behind STI? For a while: what is
 * further on is decoded once more where something else leads to it. A block for one use would not be there when the call returns;
 * who counts blocks wants them executed from end to end.
 */
static bool goes_on_behind(const struct cpu *cpu, const struct insn *in, unsigned branches, unsigned max)
{
	const struct exec_desc *x = insn_exec(in);

	if (cpu->blocks->builder.count >= EXTENDED_INSNS || branches > EXTENDED_BRANCHES || max < BLOCK_MAX_INSNS ||
	    watch_on(cpu, WATCH_BLOCK))
		return false;
	return x == &exec_jcc || (x == &exec_sti && !(cpu->mode & MODE_NONROOT)) ||
	       ((x == &exec_call_rel || x == &exec_call_ind) && !code_not_flat(cpu->mode) && in->opsize >= 4);
}

/* An invalid encoding executes as #UD (or #GP for an over-long one). */
static void undefined_insn(struct insn *in, enum decode_status st)
{
	memset(in, 0, sizeof(*in));
	in->len = 1;
	in->row = UINT16_MAX;
	in->opcode = st == DECODE_TOO_LONG;
}

/* Bytes from rip to the end of the code segment. */
static u64 code_room(const struct cpu *cpu)
{
	return cpu_long64(cpu) ? ~0ull : (u64)cpu->seg[CS].limit - cpu->rip + 1;
}

/*
 * Page offset of the instruction to decode after @in, which ends at @next: a direct jump within the page is followed, so
 * that it costs nothing when executed, unless it leads back into the block.
 */
static unsigned successor(const struct cpu *cpu, const struct insn *in, unsigned next)
{
	const struct builder *b = &cpu->blocks->builder;
	s64 target = (s64)next + (s64)in->imm;

	if (insn_exec(in) != &exec_jmp_rel || code_not_flat(cpu->mode) || in->opsize < 4 ||
	    target < 0 || target > 4095)
		return 0;
	for (unsigned i = 0; i < b->count; i++)
		if (b->off[i] == target)
			return 0;
	return (unsigned)target;
}

/*
 * Decodes into the builder up to @max instructions from page offset @off, whose byte is *@code, with @avail bytes from there.
 * Stops at what does not fit whole. Returns the status of the first instruction.
 */
static enum decode_status decode_run(struct cpu *cpu, const u8 *code, unsigned avail, unsigned off, unsigned max)
{
	struct builder *b = &cpu->blocks->builder;
	u64 limit_room = code_room(cpu);
	enum decode_status first = DECODE_OK;
	const struct decode_mode m = decode_mode_of(cpu);
	unsigned pos = off, end = off + avail, branches = 0;

	b->count = 0;
	while (b->count < max) {
		struct insn *in = &b->insn[b->count];
		unsigned room = MIN(end - pos, 15u);
		enum decode_status st = room ? insn_decode(&m, code + ((int)pos - (int)off), room, in) : DECODE_SHORT;

		if (b->count == 0)
			first = st;
		if (st == DECODE_SHORT || (st == DECODE_OK && pos - off + in->len > limit_room)) {
			if (st == DECODE_OK && b->count == 0)
				first = DECODE_SHORT;
			break;
		}
		b->off[b->count++] = (u16)pos;
		if (st != DECODE_OK) {
			undefined_insn(in, st);
			pos++;
			break;
		}
		pos += in->len;
		if (ends_block(in) && !goes_on_behind(cpu, in, ++branches, max)) {
			unsigned target = max > 1 ? successor(cpu, in, pos) : 0;
			if (!target)
				break;
			pos = target;
		}
	}
	b->off[b->count] = (u16)pos;
	return first;
}

/* A mark: no handler, no instruction's number. */
static const struct uop mark_uop = {.icnt = UINT8_MAX};

/*
 * Copies the built instructions to @block, the micro-operations to behind @mark and the link stubs to @stubs, moving what points
 * into the builder. A link within the page, of @page_bytes, looks at no translation; 0: none is within.
 */
static void place(struct builder *b, struct block *block, struct uop *mark, struct uop *stubs, unsigned page_bytes)
{
	struct uop *to = mark + 1;
	struct insn *insns = block->insns;

	*mark = mark_uop;
	mark->block = block;
	block->uops = to;
	for (unsigned i = 0; i < b->n; i++) {
		to[i] = b->u[i];
		if (b->has_insn[i])
			to[i].insn = insns + (b->u[i].insn - b->insn);
	}
	to[b->n] = mark_uop;
	for (unsigned i = 0; i < b->nexits; i++) {
		const struct uop_exit *x = &b->exit[i];
		struct uop *branch = to + (x->u - b->u);
		bool same = x->kind == LINK_ACROSS && x->disp >= 0 && (unsigned)x->disp < page_bytes;

		stubs[i] = (struct uop){.fn = uop_unlinked, .disp = x->disp, .sh = same ? LINK_SAME : x->kind, .branch = branch};
		branch->target = &stubs[i];
	}
	memcpy(insns, b->insn, b->count * sizeof(*insns));
}

/* @host is NULL for code that is not RAM; else a store to the code leaves the block, as with a cached one. */
static struct block *build_scratch(struct cpu *cpu, u64 phys, u8 *host)
{
	struct block_cache *c = cpu->blocks;
	struct block *b = (struct block *)c->scratch.block;

	*b = (struct block){.phys = phys, .phys2 = NO_PAGE, .mode = cpu->mode, .count = (u8)c->builder.count};
	place(&c->builder, b, c->scratch.uops, c->scratch.stubs, 0);
	if (host) {
		covered_lines(&c->builder, b);
		if (!mark_code(cpu, phys & ~0xfffull, host, b->lines)) {
			cpu_blocks_flush(cpu);
			mark_code(cpu, phys & ~0xfffull, host, b->lines);
		}
		c->scratch_page = phys & ~0xfffull;
		c->scratch_lines = b->lines;
	}
	return b;
}

/* @host2: the second page of an instruction across two. */
static struct block *build_cached(struct cpu *cpu, u64 phys, u8 *host, u8 *host2)
{
	struct block_cache *c = cpu->blocks;
	struct builder *bl = &c->builder;
	size_t stubs = bl->nexits * sizeof(struct uop), size = stubs + sizeof(struct block) + bl->count * sizeof(struct insn);
	struct uop *stub = arena_alloc_cold(c, size), *mark = stub ? arena_alloc_uops(c, bl->n) : NULL;

	if (!mark) {
		cpu_blocks_flush(cpu);
		stub = arena_alloc_cold(c, size);
		mark = arena_alloc_uops(c, bl->n);
	}
	struct block *b = (struct block *)(stub + bl->nexits);
	*b = (struct block){
		.phys = phys, .phys2 = bl->phys2, .rip_page = bl->rip_page, .cs_limit = cpu->seg[CS].limit,
		.mode = cpu->mode, .count = (u8)bl->count, .cached = true,
	};
	covered_lines(bl, b);
	place(bl, b, mark, stub, 4096);
	if (!register_code(cpu, b, phys & ~0xfffull, host) ||
	    (b->phys2 != NO_PAGE && !register_code(cpu, b, b->phys2, host2))) {
		cpu_blocks_flush(cpu); /* no room for its bookkeeping: start over */
		return build_cached(cpu, phys, host, host2);
	}
	struct block **slot = &c->hash[hash_index(phys, b->mode)];
	b->hash_next = *slot;
	*slot = b;
	return b;
}

static void log_block(struct cpu *cpu)
{
	const struct builder *b = &cpu->blocks->builder;
	char text[96];

	if (!log_on(cpu->log, LOG_IN_ASM))
		return;
	log_line(cpu->log, LOG_IN_ASM, "----");
	for (unsigned i = 0; i < b->count; i++) {
		if (b->insn[i].row == UINT16_MAX)
			snprintf(text, sizeof(text), "(bad)");
		else
			insn_format(&b->insn[i], b->rip_page + b->off[i], DISASM_INTEL, text, sizeof(text));
		log_line(cpu->log, LOG_IN_ASM, "0x%016llx: %s",
			 (unsigned long long)(b->rip_page + b->off[i]), text);
	}
}

static bool block_matches(const struct cpu *cpu, const struct block *b, u64 phys, u64 rip_page)
{
	return b->phys == phys && b->mode == cpu->mode &&
	       (!code_not_flat(b->mode) ||
		(b->rip_page == rip_page && b->cs_limit == cpu->seg[CS].limit));
}

/* Page offset of the instruction behind the first @n of @b; theirs in @offs. */
static unsigned offset_after(const struct block *b, unsigned n, u16 offs[BLOCK_MAX_INSNS])
{
	unsigned pos = b->phys & 0xfff;

	for (unsigned i = 0; i < n; i++) {
		offs[i] = (u16)pos;
		pos += b->insns[i].len;
		if (i + 1u < b->count && insn_exec(&b->insns[i]) == &exec_jmp_rel) /* a jump that was followed */
			pos = (unsigned)((s64)pos + (s64)b->insns[i].imm) & 0xfff;
	}
	return pos;
}

static const struct block *block_holding(const struct uop *u)
{
	while (u->fn)
		u--;
	return u->block;
}

unsigned block_next_insn(const struct uop *u)
{
	u16 offs[BLOCK_MAX_INSNS];

	return offset_after(block_holding(u), u->icnt + 1u, offs);
}

bool block_before(const struct cpu *cpu, u64 phys_page, unsigned off, u32 mode, unsigned n, u16 offs[BLOCK_MAX_INSNS])
{
	const struct block_cache *c = cpu->blocks;
	const struct code_page *p = code_find(cpu->blocks, phys_page);
	const struct block *scratch = (const struct block *)c->scratch.block;

	for (const struct block_ref *r = p ? p->blocks : NULL; r; r = r->next)
		if ((r->block->phys & ~0xfffull) == phys_page && r->block->mode == mode && r->block->count > n &&
		    offset_after(r->block, n, offs) == off)
			return true;
	return c->scratch_page == phys_page && scratch->mode == mode && scratch->count > n && offset_after(scratch, n, offs) == off;
}

/* A first instruction that crosses the page: fetched whole, cached under both pages. */
static struct block *build_straddling(struct cpu *cpu, u64 lin, u64 phys, u8 *host)
{
	struct builder *b = &cpu->blocks->builder;
	u64 next = cpu_long64(cpu) ? (lin & ~0xfffull) + 4096 : (u32)((lin & ~0xfffull) + 4096);
	unsigned n, more;
	u8 bytes[30], *host2 = NULL;
	u64 phys2;
	enum decode_status st;

	if (mmu_fetch(cpu, lin, bytes, &n))
		return NULL;
	st = decode_run(cpu, bytes, n, lin & 0xfff, 1);
	if (st == DECODE_SHORT && n < 15 && code_room(cpu) > n) {
		if (mmu_fetch(cpu, next, bytes + n, &more))
			return NULL;
		st = decode_run(cpu, bytes, MIN(n + more, 15u), lin & 0xfff, 1);
	}
	if (st == DECODE_SHORT) {
		(void)!cpu_fault(cpu, EXC_GP, 0, "the instruction reaches beyond the CS limit", cpu->rip);
		return NULL;
	}
	if (b->off[b->count] > 4096 && host) {
		if (mmu_code_page(cpu, next, &phys2, &host2))
			return NULL;
		if (host2)
			b->phys2 = phys2;
	}
	builder_emit_all(b);
	log_block(cpu);
	return host2 ? build_cached(cpu, phys, host, host2) : build_scratch(cpu, phys, host);
}

/* Is the second page of a straddling block still the one it was built from? -1: fetch fault. */
static int second_page_holds(struct cpu *cpu, const struct block *b, u64 lin)
{
	u64 phys2, next = (lin & ~0xfffull) + 4096;
	u8 *host2;

	if (b->phys2 == NO_PAGE)
		return 1;
	if (mmu_code_page(cpu, cpu_long64(cpu) ? next : (u32)next, &phys2, &host2))
		return -1;
	return phys2 == b->phys2;
}

static int check_rip(struct cpu *cpu)
{
	if (cpu_long64(cpu)) {
		if ((u64)sext(cpu->rip, cpu->cr4 & CR4_LA57 ? 57 : 48) != cpu->rip)
			return cpu_fault(cpu, EXC_GP, 0, "instruction fetch at a non-canonical rip", cpu->rip);
	} else if (cpu->rip > cpu->seg[CS].limit) {
		return cpu_fault(cpu, EXC_GP, 0, "instruction fetch beyond the CS limit", cpu->rip);
	}
	return 0;
}

/* As decode_run() for a block for one use, of at most @max instructions: those that @b begins with, which are decoded. */
static void decoded_run(struct builder *bl, const struct block *b, unsigned max)
{
	for (bl->count = 0; bl->count < max;) {
		const struct insn *in = &b->insns[bl->count];
		bl->insn[bl->count++] = *in;
		if (ends_block(in))
			break;
	}
	bl->off[bl->count] = (u16)offset_after(b, bl->count, bl->off);
}

struct block *block_find(struct cpu *cpu, unsigned max_insns)
{
	struct block_cache *c = cpu->blocks;
	u64 lin = cpu->rip, rip_page, phys;
	const struct block *longer = NULL;
	struct jump_cache_entry *j;
	u8 *host;

	if (!cpu_long64(cpu))
		lin = (u32)(lin + seg_base(cpu, CS));
	if (unlikely(c->full))
		cpu_blocks_flush(cpu);
	rip_page = cpu->rip - (lin & 0xfff);
	cpu->r[R_CODE] = rip_page;
	cpu->jump_key = jump_key(cpu);
	j = &cpu->jump_cache[jump_cache_index(cpu->rip, cpu->jump_key)];
	if (j->rip == cpu->rip && j->key == cpu->jump_key) {
		struct block *b = block_of(j->uops);
		if (b->cached && b->count <= max_insns && b->phys2 == NO_PAGE)
			return b;
	}
	if (check_rip(cpu) || mmu_code_page(cpu, lin, &phys, &host))
		return NULL;
	phys |= lin & 0xfff;
	for (struct block *b = c->hash[hash_index(phys, cpu->mode)]; b; b = b->hash_next) {
		if (!block_matches(cpu, b, phys, rip_page))
			continue;
		if (b->count > max_insns) {
			longer = b;
			continue;
		}
		int holds = second_page_holds(cpu, b, lin);
		if (holds < 0)
			return NULL;
		if (!holds)
			continue;
		if (!code_not_flat(b->mode))
			*j = (struct jump_cache_entry){.rip = cpu->rip, .key = cpu->jump_key, .uops = b->uops};
		return b;
	}

	struct builder *bl = &c->builder;
	unsigned off = lin & 0xfff, max = cpu->mode & MODE_TF ? 1 : BLOCK_MAX_INSNS;
	bl->cpu = cpu;
	bl->mode = cpu->mode;
	bl->rip_page = rip_page;
	bl->phys_page = phys & ~0xfffull;
	bl->phys2 = NO_PAGE;
	if (longer)
		decoded_run(bl, longer, max_insns);
	else if (!host || decode_run(cpu, host + off, 4096 - off, off, MIN(max, max_insns)) == DECODE_SHORT)
		return build_straddling(cpu, lin, phys, host);
	builder_emit_all(bl);
	log_block(cpu);
	return max_insns < max ? build_scratch(cpu, phys, host) : build_cached(cpu, phys, host, NULL);
}

void cpu_blocks_stats(const struct cpu *cpu, struct block_stats *out)
{
	const struct block_cache *c = cpu->blocks;

	*out = (struct block_stats){.used = c->used + c->cold, .size = ARENA_SIZE};
	for (unsigned i = 0; i < 1u << HASH_BITS; i++)
		for (const struct block *b = c->hash[i]; b; b = b->hash_next) {
			out->blocks++;
			out->instructions += b->count;
		}
	for (unsigned i = 0; i < 1u << CODE_HASH_BITS; i++)
		for (const struct code_page *p = c->code[i]; p; p = p->next)
			out->pages++;
}
