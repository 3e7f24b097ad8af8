/*
 * The two weaknesses of binary translation: code that changes itself, and interrupts that must fall between two instructions of the
 * guest's, where there are many of the translator's.
 */
#include "bt.h"

extern u8 smc_start[], smc_end[];
uw smc_loop(uw), precise_loop(uw), divide(uw);

static int protect;
static uw smc_faults, arrived, inside, rolled;
static struct trap at_fault;

static unsigned emulate(struct trap *t, const u8 *ip)
{
	return 0;
}

static void page_rights(u64 write)
{
	u64 *pte = pte_of(lab_pml4, (uw)smc_start);
	*pte = (*pte & ~PG_W) | write;
	invlpg((uw)smc_start);
}

/* A store to a page whose code was translated: what was made of it is thrown away, and the page may be written to until
 * it is translated again. */
static int written(struct trap *t)
{
	uw a = get_cr2();

	if (t->vector != 14 || !protect || a < (uw)smc_start || a >= (uw)smc_end || !(t->error & 2))
		return 0;
	smc_faults++;
	/* The store must happen in the old translation; so: write, one step, then forget. */
	page_rights(PG_W);
	t->flags |= 0x100;
	return 1;
}

static int stepped(struct trap *t)
{
	int exact;
	uw guest;

	if (t->vector != 1 || !protect)
		return 0;
	t->flags &= ~0x100ul;
	guest = bt_guest_ip(t->ip, &exact);
	bt_reset();
	page_rights(0);
	if (guest && exact) /* goes on in fresh translations */
		*(uw *)(t->sp -= 8) = guest, t->vector = BT_VECTOR_RET, bt_trap(t);
	return 1;
}

static int smc_trap(struct trap *t)
{
	if ((t->cs & 3) == 0 || t->vector == 0x80)
		return 0;
	return written(t) || stepped(t) || bt_trap(t);
}

/* The timer comes wherever it likes. Inside what one guest instruction became there is no guest state to show; so the monitor goes on
 * step by step to the next boundary. */
static int precise_trap(struct trap *t)
{
	int exact = 0;
	uw guest;

	if ((t->cs & 3) == 0 || t->vector == 0x80)
		return 0;
	if (t->vector == 32) {
		outb(0x20, 0x20);
		guest = bt_guest_ip(t->ip, &exact);
		arrived++;
		if (guest && !exact) {
			inside++;
			t->flags |= 0x100;
		}
		return 1;
	}
	if (t->vector == 1) {
		rolled++;
		bt_guest_ip(t->ip, &exact);
		if (exact)
			t->flags &= ~0x100ul;
		return 1;
	}
	if (t->vector < 32) {
		at_fault = *t;
		leave_ring(t, (int)t->vector);
	}
	return bt_trap(t);
}

static void clock_on(void)
{
	static const u8 init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1}, {0x21, 0xfe}, {0xa1, 0xff}};

	for (unsigned i = 0; i < sizeof(init) / 2; i++)
		outb(init[i][0], init[i][1]);
	outb(0x43, 0x34);
	outb(0x40, 2);
	outb(0x40, 0);
}

void lab_main(void)
{
	uw right, stale, mended;
	int exact;

	phase("native");
	right = in_ring(3, smc_loop, 0)->value;
	phase_end();
	obs("sum", right);
	say("the bare machine: 1 + 2 + ... + 10 = %u\n", right);

	lab_hook = smc_trap;
	phase("stale");
	stale = bt_run((uw)smc_loop, 0, emulate)->value;
	phase_end();
	obs("sum", stale);
	say("translated, and never told of stores: %u\n", stale);

	bt_reset();
	page_rights(0);
	protect = 1;
	phase("protected");
	mended = bt_run((uw)smc_loop, 0, emulate)->value;
	phase_end();
	protect = 0;
	page_rights(PG_W);
	obs("sum", mended);
	obs("stores", smc_faults);
	obs("blocks", bt.blocks);
	say("translated pages are read-only: %u, %u page faults\n", mended, smc_faults);

	bt_reset();
	lab_hook = precise_trap;
	bt_run((uw)precise_loop, 0, emulate);
	clock_on();
	arrived = inside = rolled = 0;
	phase("interrupts");
	bt_run((uw)precise_loop, 0, emulate);
	phase_end();
	outb(0x21, 0xff);
	obs("arrived", arrived);
	obs("inside", inside);
	obs("rolled", rolled);
	say("%u timer interrupts, %u inside of what one guest instruction became: %u steps to the next boundary\n", arrived, inside, rolled);

	phase("fault");
	bt_run((uw)divide, 0, emulate);
	phase_end();
	obs("vector", (uw)last.vector & 0xff);
	obs("same_ip", last.ip == (uw)divide + 9);
	obs("mapped_back", bt_guest_ip(last.ip, &exact) == (uw)divide + 9 && exact);
	say("#DE at %x in translated code, that is %x of the guest's\n", last.ip, bt_guest_ip(last.ip, &exact));
}
