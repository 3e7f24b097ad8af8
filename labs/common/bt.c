/* A small binary translator: see bt.h. */
#include "bt.h"

#define CACHE 16384
#define BLOCKS 256
#define POINTS 1024

struct bt bt;
USER_DATA volatile u8 bt_vif;
static USER_DATA u8 cache[CACHE] __attribute__((aligned(4096)));
static uw used;
static struct {
	uw guest, code;
} block[BLOCKS];
static struct {
	uw code, guest; /* what is translated here; of a branch's way out: where it leads */
} point[POINTS];
static unsigned blocks, points;
static unsigned (*emulate)(struct trap *t, const u8 *ip);
void ring_exit(void);

/* What PUSHF and POPF become: IF is the virtual one, and no other flag changes. */
extern u8 bt_pushf[], bt_pushf_end[], bt_popf[], bt_popf_end[];
ASM_TOP("bt_pushf:\n"
	"	pushfq\n"
	"	pushfq\n"
	"	pushq %rax\n"
	"	movzbl bt_vif, %eax\n"
	"	shll $9, %eax\n"
	"	andl $~0x200, 16(%rsp)\n"
	"	orl %eax, 16(%rsp)\n"
	"	popq %rax\n"
	"	popfq\n"
	"bt_pushf_end:\n"
	"bt_popf:\n"
	"	pushq %rax\n"
	"	movl 8(%rsp), %eax\n"
	"	shrl $9, %eax\n"
	"	andb $1, %al\n"
	"	movb %al, bt_vif\n"
	"	popq %rax\n"
	"	popfq\n"
	"bt_popf_end:\n");

static void emit(const void *p, unsigned n)
{
	if (used + n <= CACHE)
		memcpy(cache + used, p, n);
	used += n;
}

static void emit1(u8 b)
{
	emit(&b, 1);
}

static void emit4(u32 v)
{
	emit(&v, 4);
}

static void note(uw guest)
{
	if (points < POINTS) {
		point[points].code = (uw)cache + used;
		point[points++].guest = guest;
	}
}

/* The way out to @target: INT, and room for the jump it becomes. */
static void emit_way_out(uw target)
{
	static const u8 stub[] = {0xcd, BT_VECTOR_BRANCH, 0x90, 0x90, 0x90};
	note(target);
	emit(stub, 5);
}

static void emit_vif(u8 v)
{
	emit1(0xc6); /* MOVB $v, bt_vif */
	emit1(0x04);
	emit1(0x25);
	emit4((u32)(uw)&bt_vif);
	emit1(v);
	bt.inlined++;
}

/* Length of ModRM and what follows it; 0: RIP-relative, which would have to be rewritten. */
static unsigned modrm_length(const u8 *p)
{
	unsigned mod = *p >> 6, rm = *p & 7, n = 1;

	if (mod == 3)
		return 1;
	if (rm == 4) {
		n++;
		if (mod == 0 && (p[1] & 7) == 5)
			return n + 4;
	} else if (mod == 0 && rm == 5) {
		return 0;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Length of an innocuous instruction; 0: not known. */
static unsigned innocuous(const u8 *p)
{
	const u8 *start = p;
	unsigned n, wide = 0;

	if (*p == 0x66)
		p++;
	if ((*p & 0xf0) == 0x40) {
		wide = *p & 8;
		p++;
	}
	if ((*p & 0xf0) == 0x50 || *p == 0x90)
		return (unsigned)(p + 1 - start); /* PUSH, POP, NOP */
	if ((*p & 0xf8) == 0xb8)
		return (unsigned)(p + 1 - start) + (wide ? 8 : 4);
	if (*p < 0x40 && (*p & 7) < 4)
		n = modrm_length(p + 1); /* ADD OR ADC SBB AND SUB XOR CMP */
	else if (*p == 0x88 || *p == 0x89 || *p == 0x8a || *p == 0x8b || *p == 0x84 || *p == 0x85 || *p == 0x8d || *p == 0xff || *p == 0xd1)
		n = modrm_length(p + 1);
	else if (*p == 0x83 || *p == 0xc1 || *p == 0x80 || *p == 0xc6)
		n = modrm_length(p + 1), n += n ? 1 : 0;
	else if (*p == 0x81 || *p == 0xc7 || (*p == 0xf7 && !(p[1] & 0x38)))
		n = modrm_length(p + 1), n += n ? 4 : 0;
	else if (*p == 0xf7)
		n = modrm_length(p + 1);
	else
		return 0;
	if (*p == 0xff && (p[1] & 0x38) > 8)
		return 0; /* indirect branches */
	return n ? (unsigned)(p + 1 - start) + n : 0;
}

/* Length of a sensitive instruction that calls out; 0: it is none. */
static unsigned sensitive(const u8 *p)
{
	if (*p == 0xf4)
		return 1; /* HLT */
	if (*p == 0xe4 || *p == 0xe6)
		return 2; /* IN, OUT */
	if (*p == 0x8c)
		return 1 + modrm_length(p + 1); /* MOV from a segment register */
	if (*p != 0x0f)
		return 0;
	if (p[1] == 0xa2)
		return 2; /* CPUID */
	if (p[1] == 0x20 || p[1] == 0x22)
		return 3; /* MOV CR */
	if (p[1] == 0x01)
		return 2 + modrm_length(p + 2); /* SGDT, SIDT, LGDT, LIDT, SMSW */
	return 0;
}

/* A direct branch ends the block. 0: it is none. */
static int branch(const u8 *p)
{
	uw next, target;
	u8 cc = 0;

	if ((*p & 0xf0) == 0x70 || *p == 0xeb) {
		next = (uw)p + 2;
		target = next + (uw)(signed char)p[1];
	} else if (*p == 0xe9 || *p == 0xe8) {
		next = (uw)p + 5;
		target = next + (uw) * (const int *)(p + 1);
	} else if (*p == 0x0f && (p[1] & 0xf0) == 0x80) {
		next = (uw)p + 6;
		target = next + (uw) * (const int *)(p + 2);
	} else {
		return 0;
	}
	if ((*p & 0xf0) == 0x70)
		cc = *p & 15;
	else if (*p == 0x0f)
		cc = p[1] & 15;
	if ((*p & 0xf0) == 0x70 || *p == 0x0f) {
		emit1(0x70 | (cc ^ 1)); /* not taken: over the way out */
		emit1(5);
		emit_way_out(target);
		emit_way_out(next);
		return 1;
	}
	if (*p == 0xe8) {
		emit1(0x68); /* PUSH of the guest's return address */
		emit4((u32)next);
	}
	emit_way_out(target);
	return 1;
}

static int one(const u8 **pp)
{
	const u8 *p = *pp;
	unsigned n;

	note((uw)p);
	bt.insns++;
	if (*p == 0xfa || *p == 0xfb) {
		emit_vif(*p & 1);
		n = 1;
	} else if (*p == 0x9c || *p == 0x9d) {
		if (*p == 0x9c)
			emit(bt_pushf, (unsigned)(bt_pushf_end - bt_pushf));
		else
			emit(bt_popf, (unsigned)(bt_popf_end - bt_popf));
		bt.inlined++;
		n = 1;
	} else if (*p == 0xc3) {
		emit1(0xcd);
		emit1(BT_VECTOR_RET);
		return 1;
	} else if (branch(p)) {
		return 1;
	} else if (*p == 0x0f && p[1] == 0x0b) {
		emit(p, 2); /* UD2 is one here, too */
		return 1;
	} else if ((n = sensitive(p))) {
		emit1(0xcd);
		emit1(BT_VECTOR_CALL);
		bt.callouts++;
	} else if ((n = innocuous(p))) {
		emit(p, n);
	} else {
		bt.refused = (uw)p;
		emit1(0x0f);
		emit1(0x0b);
		return 1;
	}
	*pp = p + n;
	return 0;
}

static uw translated(uw guest)
{
	const u8 *p = (const u8 *)guest;

	for (unsigned i = 0; i < blocks; i++)
		if (block[i].guest == guest)
			return block[i].code;
	if (blocks == BLOCKS || used + 1024 > CACHE || points + 64 > POINTS)
		bt_reset();
	uw code = (uw)cache + used;
	block[blocks].guest = guest;
	block[blocks++].code = code;
	bt.blocks++;
	for (unsigned i = 0; i < 40; i++)
		if (one(&p))
			return code;
	emit_way_out((uw)p);
	return code;
}

void bt_reset(void)
{
	used = blocks = points = 0;
}

uw bt_guest_ip(uw ip, int *exact)
{
	unsigned low = 0, high = points;

	if (ip < (uw)cache || ip >= (uw)cache + used || !points)
		return 0;
	while (high - low > 1) { /* points come in the order of their code */
		unsigned middle = (low + high) / 2;
		if (point[middle].code <= ip)
			low = middle;
		else
			high = middle;
	}
	*exact = point[low].code == ip;
	return point[low].guest;
}

static int go_to(struct trap *t, uw guest)
{
	if (guest == (uw)ring_exit)
		leave_ring(t, -1);
	t->ip = translated(guest);
	return 1;
}

int bt_trap(struct trap *t)
{
	uw stub = t->ip - 2, guest;
	int exact;

	if (t->vector == BT_VECTOR_RET) {
		guest = *(uw *)t->sp;
		t->sp += 8;
		return go_to(t, guest);
	}
	if (t->vector != BT_VECTOR_CALL && t->vector != BT_VECTOR_BRANCH)
		return 0;
	guest = bt_guest_ip(stub, &exact);
	if (!guest || !exact)
		return 0;
	if (t->vector == BT_VECTOR_CALL) {
		if (!emulate(t, (const u8 *)guest))
			leave_ring(t, 13);
		return 1;
	}
	go_to(t, guest);
	if (used && stub < (uw)cache + used && *(u8 *)stub == 0xcd) { /* from now on directly */
		*(u8 *)stub = 0xe9;
		*(int *)(stub + 1) = (int)(t->ip - (stub + 5));
	}
	return 1;
}

struct outcome *bt_run(uw fn, uw arg, unsigned (*emu)(struct trap *t, const u8 *ip))
{
	emulate = emu;
	for (unsigned v = BT_VECTOR_RET; v <= BT_VECTOR_BRANCH; v++)
		set_gate_dpl(v, 3);
	return run_at(CODE3, DATA3, translated(fn), ring_stack(3), 0x202, arg);
}
