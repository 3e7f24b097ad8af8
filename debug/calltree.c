/* Call trees. */
#include "debug/calltree.h"

#include <stdio.h>
#include <stdlib.h>
#include "cpu/decoder/insn.h"

#define NODES_MAX (1u << 20)
#define STACKS 32u
#define SYSCALL 0x1000u
#define USER 0x1001u

struct frame {
	u64 ret;  /* where it returns to */
	u32 node;
};

struct stack {
	struct frame f[CALL_DEPTH];
	unsigned n;
	u64 used; /* when last */
};

struct lane { /* a processor */
	struct stack now;
	struct stack left[STACKS]; /* of tasks that were switched away from; n 0: free */
	enum call_kind kind; /* how the last block ended ... */
	u64 ret;
	bool entered;        /* a frame was pushed whose function is not known yet */
	unsigned cpl;
	u64 clock;
};

struct calltree {
	struct call_node *node;
	u32 nodes, cap;
	unsigned cpus;
	struct lane lane[];
};

struct calltree *calltree_create(unsigned cpus)
{
	struct calltree *t = calloc(1, sizeof(*t) + cpus * sizeof(struct lane));

	if (!t)
		return NULL;
	t->cpus = cpus;
	t->cap = 4096;
	t->nodes = 1;
	t->node = calloc(t->cap, sizeof(*t->node));
	if (t->node)
		return t;
	free(t);
	return NULL;
}

void calltree_free(struct calltree *t)
{
	if (!t)
		return;
	free(t->node);
	free(t);
}

enum call_kind call_kind_of(const struct insn *in)
{
	const char *m = in->row == UINT16_MAX ? "" : insn_rows[in->row].mnemonic;

	if (!strncmp(m, "call", 4))
		return CALL_CALL;
	if (!strncmp(m, "iret", 4) || !strncmp(m, "sysret", 6) || !strncmp(m, "sysexit", 7))
		return CALL_IRET;
	if (!strncmp(m, "ret", 3))
		return CALL_RETURN;
	if (!strcmp(m, "syscall") || !strcmp(m, "sysenter"))
		return CALL_SYSCALL;
	return CALL_NONE;
}

static u32 child_of(struct calltree *t, u32 parent, u64 func, bool special)
{
	u32 *link = &t->node[parent].child;

	for (u32 i = *link; i; link = &t->node[i].next, i = *link) {
		if (t->node[i].func != func || t->node[i].special != special)
			continue;
		*link = t->node[i].next; /* to the front: it will be asked for again */
		t->node[i].next = t->node[parent].child;
		t->node[parent].child = i;
		return i;
	}
	if (t->nodes == t->cap) {
		struct call_node *p = t->cap < NODES_MAX ? realloc(t->node, 2 * t->cap * sizeof(*p)) : NULL;
		if (!p)
			return parent;
		t->node = p;
		t->cap *= 2;
	}
	t->node[t->nodes] = (struct call_node){.func = func, .special = special, .parent = parent, .next = t->node[parent].child};
	t->node[parent].child = t->nodes;
	return t->nodes++;
}

static u32 top_node(const struct lane *l)
{
	return l->now.n ? l->now.f[l->now.n - 1].node : 0;
}

static void push(struct calltree *t, struct lane *l, u64 func, bool special, u64 ret)
{
	u32 node = child_of(t, top_node(l), func, special);

	t->node[node].calls++;
	if (l->now.n == CALL_DEPTH)
		return;
	l->now.f[l->now.n++] = (struct frame){.ret = ret, .node = node};
}

/* Pops the frames down to the one that returns to @at. False: there is none. */
static bool pop_to(struct stack *s, u64 at)
{
	for (unsigned i = s->n; i-- > 0;) {
		if (s->f[i].ret == at) {
			s->n = i;
			return true;
		}
	}
	return false;
}

static void put_away(struct lane *l)
{
	struct stack *to = &l->left[0];

	if (!l->now.n)
		return;
	for (unsigned i = 0; i < STACKS; i++) {
		if (!l->left[i].n) {
			to = &l->left[i];
			break;
		}
		if (l->left[i].used < to->used)
			to = &l->left[i];
	}
	l->now.used = ++l->clock;
	*to = l->now;
	l->now.n = 0;
}

/* A return that the running stack does not explain: another task's, if one waits for it. */
static void returned(struct lane *l, u64 at)
{
	if (pop_to(&l->now, at))
		return;
	for (unsigned i = 0; i < STACKS; i++) {
		struct stack *s = &l->left[i];
		for (unsigned k = s->n; k > 0 && k + 4 > s->n; k--) {
			if (s->f[k - 1].ret != at)
				continue;
			struct stack other = *s;
			s->n = 0;
			put_away(l);
			l->now = other;
			l->now.n = k - 1;
			return;
		}
	}
	if (l->now.n) /* to where nobody called from: a return used as a jump (retpolines), which still ends what was called last */
		l->now.n--;
}

void calltree_run(struct calltree *t, unsigned cpu, u64 at, unsigned cpl, u64 func, u64 n)
{
	struct lane *l = &t->lane[cpu % t->cpus];
	bool user = cpl == 3;

	if (l->kind == CALL_CALL) {
		if (at != l->ret || func == at) /* CALL to the next instruction reads its address */
			push(t, l, func ? func : at, false, l->ret);
	} else if (l->kind == CALL_RETURN || l->kind == CALL_IRET) {
		returned(l, at);
	} else if (l->kind == CALL_SYSCALL) {
		push(t, l, SYSCALL, true, l->ret);
		l->entered = true;
	}
	l->kind = CALL_NONE;
	if (user && l->cpl != 3) { /* back in user code: nothing of the kernel is left */
		l->now.n = 0;
		push(t, l, USER, true, 0);
	} else if (!user && l->cpl == 3 && !l->entered) {
		l->now.n = 0;
	}
	l->cpl = cpl;
	if (l->entered || !l->now.n) {
		push(t, l, func ? func : at, false, 0);
		l->entered = false;
	}
	if (func && !user) { /* a jump into another function: a tail call */
		struct call_node *top = &t->node[top_node(l)];
		if (!top->special && top->func != func) {
			u64 ret = l->now.f[l->now.n - 1].ret;
			l->now.n--;
			push(t, l, func, false, ret);
		}
	}
	t->node[top_node(l)].self += n;
}

void calltree_count(struct calltree *t, unsigned cpu, u64 n)
{
	t->node[top_node(&t->lane[cpu % t->cpus])].self += n;
}

void calltree_hit(struct calltree *t, unsigned cpl, u64 func, u64 n)
{
	u32 at = cpl == 3 ? child_of(t, 0, USER, true) : 0;

	if (func)
		at = child_of(t, at, func, false);
	t->node[at].self += n;
	t->node[at].calls++;
}

void calltree_leave(struct calltree *t, unsigned cpu, enum call_kind kind, u64 ret)
{
	struct lane *l = &t->lane[cpu % t->cpus];

	l->kind = kind;
	l->ret = ret;
}

void calltree_interrupt(struct calltree *t, unsigned cpu, unsigned vector, u64 at)
{
	struct lane *l = &t->lane[cpu % t->cpus];

	if (l->kind == CALL_RETURN || l->kind == CALL_IRET)
		returned(l, at);
	l->kind = CALL_NONE;
	if (l->cpl == 3)
		l->now.n = 0;
	l->cpl = 0;
	push(t, l, 1 + (vector & 0xff), true, at);
	l->entered = true;
}

/* ---- sums ---------------------------------------------------------------------------------------------------------------- */

/* Merges the sorted lists @a and @b of siblings, most expensive first. */
static u32 merge(struct call_node *n, u32 a, u32 b)
{
	u32 head = 0, *link = &head;

	while (a && b) {
		u32 *take = n[a].total >= n[b].total ? &a : &b;
		*link = *take;
		link = &n[*take].next;
		*take = *link;
	}
	*link = a ? a : b;
	return head;
}

static u32 sort_siblings(struct call_node *n, u32 first)
{
	u32 slow = first, fast = first ? n[first].next : 0, half;

	if (!fast)
		return first;
	while (fast && n[fast].next) {
		slow = n[slow].next;
		fast = n[n[fast].next].next;
	}
	half = n[slow].next;
	n[slow].next = 0;
	return merge(n, sort_siblings(n, first), sort_siblings(n, half));
}

const struct call_node *calltree_sum(struct calltree *t, u32 *count)
{
	for (u32 i = 0; i < t->nodes; i++)
		t->node[i].total = t->node[i].self;
	for (u32 i = t->nodes; i-- > 1;) /* parents have lower numbers */
		t->node[t->node[i].parent].total += t->node[i].total;
	for (u32 i = 0; i < t->nodes; i++)
		t->node[i].child = sort_siblings(t->node, t->node[i].child);
	*count = t->nodes;
	return t->node;
}

const char *call_node_name(const struct call_node *n, const char *(*name)(const void *ctx, u64 addr, char *buf, size_t size), const void *ctx,
			   char *buf, size_t size)
{
	if (!n->func)
		snprintf(buf, size, "all");
	else if (!n->special)
		return name(ctx, n->func, buf, size);
	else if (n->func == SYSCALL)
		snprintf(buf, size, "[system call]");
	else if (n->func == USER)
		snprintf(buf, size, "[user]");
	else
		snprintf(buf, size, n->func <= 32 ? "[exception %u]" : "[interrupt 0x%x]", (unsigned)n->func - 1);
	return buf;
}
