/* Local and I/O APICs. */
#include "devices/irq/lapic.h"
#include "tests/devices/board.h"

#define SVR       0xf0
#define TPR       0x80
#define EOI       0xb0
#define ICR_LOW   0x300
#define ICR_HIGH  0x310
#define LVT_TIMER 0x320
#define LVT_LINT0 0x350
#define LVT_ERROR 0x370
#define INITIAL   0x380
#define CURRENT   0x390
#define DIVIDE    0x3e0

static struct board *apic_board(unsigned cpus)
{
	struct board *b = board_new(cpus);
	for (unsigned i = 0; i < cpus; i++) {
		b->pc.current_cpu = i;
		mm_write(b, LAPIC(SVR), 0x1ff);
	}
	b->pc.current_cpu = 0;
	return b;
}

static void rte_write(struct board *b, unsigned pin, u64 v)
{
	mm_write(b, 0xfec00000, 0x11 + pin * 2);
	mm_write(b, 0xfec00010, (u32)(v >> 32));
	mm_write(b, 0xfec00000, 0x10 + pin * 2);
	mm_write(b, 0xfec00010, (u32)v);
}

static u32 rte_low(struct board *b, unsigned pin)
{
	mm_write(b, 0xfec00000, 0x10 + pin * 2);
	return mm_read(b, 0xfec00010);
}

START_TEST(version_and_reset_values)
{
	struct board *b = board_new(1);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x30)) & 0xff, 0x14);
	ck_assert_uint_eq(mm_read(b, LAPIC(SVR)), 0xff);
	ck_assert_uint_eq(mm_read(b, LAPIC(0xe0)), 0xffffffff);
	ck_assert_uint_eq(mm_read(b, LAPIC(LVT_LINT0)), 0x10000);
	mm_write(b, 0xfec00000, 1);
	ck_assert_uint_eq(mm_read(b, 0xfec00010), 0x170020);
	ck_assert_uint_eq(rte_low(b, 3), 0x10000);
	board_free(b);
}
END_TEST

START_TEST(self_ipi_and_priorities)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(ICR_LOW), 0x40000 | 0x41);
	ck_assert(b->intr[0]);
	mm_write(b, LAPIC(TPR), 0x40); /* same class: blocked */
	ck_assert(!b->intr[0]);
	mm_write(b, LAPIC(TPR), 0x30);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x41);
	ck_assert_uint_eq(mm_read(b, LAPIC(0xa0)), 0x40); /* PPR */
	mm_write(b, LAPIC(ICR_LOW), 0x40000 | 0x49);      /* same class waits */
	ck_assert(!b->intr[0]);
	mm_write(b, LAPIC(ICR_LOW), 0x40000 | 0x51);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x51);
	mm_write(b, LAPIC(EOI), 0);
	mm_write(b, LAPIC(EOI), 0);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x49);
	board_free(b);
}
END_TEST

START_TEST(cr8_is_the_tpr)
{
	struct board *b = apic_board(1);
	pc_set_cr8(&b->pc, 0, 5);
	ck_assert_uint_eq(mm_read(b, LAPIC(TPR)), 0x50);
	mm_write(b, LAPIC(TPR), 0x7f);
	ck_assert_uint_eq(pc_get_cr8(&b->pc, 0), 7);
	board_free(b);
}
END_TEST

START_TEST(one_shot_timer_fires_once)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(DIVIDE), 0xb); /* by 1 */
	mm_write(b, LAPIC(LVT_TIMER), 0x60);
	mm_write(b, LAPIC(INITIAL), 1000);
	board_wait(b, 400);
	ck_assert_uint_eq(mm_read(b, LAPIC(CURRENT)), 600);
	ck_assert(!b->intr[0]);
	board_wait(b, 600);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x60);
	mm_write(b, LAPIC(EOI), 0);
	board_wait(b, 5000);
	ck_assert(!b->intr[0]);
	ck_assert_uint_eq(mm_read(b, LAPIC(CURRENT)), 0);
	board_free(b);
}
END_TEST

START_TEST(periodic_timer_keeps_its_phase)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(DIVIDE), 0x3); /* by 16 */
	mm_write(b, LAPIC(LVT_TIMER), 0x20060);
	mm_write(b, LAPIC(INITIAL), 1000);
	for (unsigned i = 1; i <= 5; i++) {
		board_wait(b, 16000);
		ck_assert_msg(b->intr[0], "period %u", i);
		ck_assert_uint_eq(b->now_ns, i * 16000);
		pc_intack(&b->pc, 0);
		mm_write(b, LAPIC(EOI), 0);
		ck_assert(!b->intr[0]);
	}
	board_free(b);
}
END_TEST

START_TEST(masked_periodic_timer_still_counts)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(DIVIDE), 0xb);
	mm_write(b, LAPIC(LVT_TIMER), 0x30060);
	mm_write(b, LAPIC(INITIAL), 1000);
	ck_assert_uint_eq(clock_next_deadline(&b->clock), CLOCK_NEVER);
	board_wait(b, 2300);
	ck_assert_uint_eq(mm_read(b, LAPIC(CURRENT)), 700);
	mm_write(b, LAPIC(LVT_TIMER), 0x20060);
	ck_assert_uint_eq(clock_next_deadline(&b->clock), 3000);
	board_free(b);
}
END_TEST

START_TEST(expired_one_shot_stays_at_zero_in_periodic_mode)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(DIVIDE), 0xb);
	mm_write(b, LAPIC(LVT_TIMER), 0x60);
	mm_write(b, LAPIC(INITIAL), 1000);
	board_wait(b, 1500);
	mm_write(b, LAPIC(LVT_TIMER), 0x20060);
	board_wait(b, 300);
	ck_assert_uint_eq(mm_read(b, LAPIC(CURRENT)), 0);
	mm_write(b, LAPIC(INITIAL), 1000);
	board_wait(b, 300);
	ck_assert_uint_eq(mm_read(b, LAPIC(CURRENT)), 700);
	board_free(b);
}
END_TEST

START_TEST(the_window_moves)
{
	struct board *b = apic_board(1);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0x42000900), 0);
	ck_assert_uint_eq(mm_read(b, 0x42000030), 0x1050014);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x30)), 0xffffffff);
	pc_reset(&b->pc, RESET_HARD);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x30)), 0x1050014);
	board_free(b);
}
END_TEST

START_TEST(tsc_deadline_fires_and_clears)
{
	struct board *b = apic_board(1);
	u64 v;
	mm_write(b, LAPIC(LVT_TIMER), 0x40061);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x6e0, 5000), 0);
	mm_write(b, LAPIC(INITIAL), 77); /* ignored in this mode */
	board_wait(b, 4999);
	ck_assert(!b->intr[0]);
	pc_apic_msr_read(&b->pc, 0, 0x6e0, &v);
	ck_assert_uint_eq(v, 5000);
	board_wait(b, 1);
	ck_assert(b->intr[0]);
	pc_apic_msr_read(&b->pc, 0, 0x6e0, &v);
	ck_assert_uint_eq(v, 0);
	board_free(b);
}
END_TEST

START_TEST(x2apic_transitions)
{
	struct board *b = apic_board(1);
	u64 v;
	ck_assert_int_eq(pc_apic_msr_read(&b->pc, 0, 0x802, &v), -1); /* not in x2APIC mode */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00500), -1); /* EXTD without EN */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00d00), 0);
	ck_assert_int_eq(pc_apic_msr_read(&b->pc, 0, 0x802, &v), 0);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x30)), 0xffffffff);               /* MMIO is gone */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00900), -1); /* back to xAPIC */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x80f, 0x1ff), 0);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x83f, 0x55), 0); /* SELF IPI */
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x55);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x80b, 1), -1);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x80b, 0), 0);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x808, 0x100), -1);    /* reserved bits */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x802, 0), -1);        /* read-only */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00100), 0); /* off */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00900), 0);
	ck_assert_uint_eq(mm_read(b, LAPIC(SVR)), 0xff);
	board_free(b);
}
END_TEST

START_TEST(apic_base_reserved_bits_fault)
{
	struct board *b = apic_board(1);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00901), -1);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00b00), -1); /* bit 9 */
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, BIT64(40) | 0xfee00900), -1);
	board_free(b);
}
END_TEST

START_TEST(ipis_reach_other_processors)
{
	struct board *b = apic_board(3);
	mm_write(b, LAPIC(ICR_HIGH), 2u << 24);
	mm_write(b, LAPIC(ICR_LOW), 0x4033);
	ck_assert(!b->intr[0] && !b->intr[1] && b->intr[2]);
	mm_write(b, LAPIC(ICR_LOW), 0xc0000 | 0x44); /* all but self */
	ck_assert(!b->intr[0] && b->intr[1]);
	mm_write(b, LAPIC(ICR_HIGH), 1u << 24);
	mm_write(b, LAPIC(ICR_LOW), 0x4500);
	mm_write(b, LAPIC(ICR_LOW), 0x8500); /* de-assert: nothing */
	ck_assert_uint_eq(b->init, 1);
	mm_write(b, LAPIC(ICR_LOW), 0x4608);
	ck_assert_uint_eq(b->sipi, 1);
	ck_assert_uint_eq(b->sipi_vector, 8);
	mm_write(b, LAPIC(ICR_LOW), 0x4400);
	ck_assert_uint_eq(b->nmi, 1);
	board_free(b);
}
END_TEST

START_TEST(logical_destinations)
{
	struct board *b = apic_board(3);
	for (unsigned i = 0; i < 3; i++) {
		b->pc.current_cpu = i;
		mm_write(b, LAPIC(0xd0), BIT(24 + i));
	}
	b->pc.current_cpu = 0;
	mm_write(b, LAPIC(ICR_HIGH), 6u << 24);
	mm_write(b, LAPIC(ICR_LOW), 0x4833);
	ck_assert(!b->intr[0] && b->intr[1] && b->intr[2]);
	board_free(b);
}
END_TEST

START_TEST(illegal_vector_sets_esr_and_raises_error)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(LVT_ERROR), 0xfe);
	mm_write(b, LAPIC(ICR_LOW), 0x40005);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0xfe);
	mm_write(b, LAPIC(0x280), 0);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x280)), 0x20);
	mm_write(b, LAPIC(0x280), 0);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x280)), 0);
	board_free(b);
}
END_TEST

START_TEST(error_lvt_with_illegal_vector_ends)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(LVT_ERROR), 0x03);
	mm_write(b, LAPIC(ICR_LOW), 0x40005);
	mm_write(b, LAPIC(0x280), 0);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x280)), 0x60);
	board_free(b);
}
END_TEST

START_TEST(software_disable_masks_lvt)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(LVT_TIMER), 0x60);
	mm_write(b, LAPIC(SVR), 0xff);
	ck_assert_uint_eq(mm_read(b, LAPIC(LVT_TIMER)), 0x10060);
	mm_write(b, LAPIC(LVT_TIMER), 0x61);
	ck_assert_uint_eq(mm_read(b, LAPIC(LVT_TIMER)), 0x10061);
	board_free(b);
}
END_TEST

START_TEST(ioapic_edge_reaches_lapic)
{
	struct board *b = apic_board(1);
	rte_write(b, 4, 0x34);
	board_irq(b, 4, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x34);
	mm_write(b, LAPIC(EOI), 0);
	ck_assert(!b->intr[0]); /* still high, but it was an edge */
	board_irq(b, 4, false);
	board_irq(b, 4, true);
	ck_assert(b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(ioapic_level_uses_remote_irr)
{
	struct board *b = apic_board(1);
	rte_write(b, 10, 0x8000 | 0x3a);
	board_irq(b, 10, true);
	ck_assert_uint_eq(rte_low(b, 10), 0xc03a);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x3a);
	ck_assert_uint_eq(mm_read(b, LAPIC(0x180 + 0x10)), BIT(0x3a & 31)); /* TMR */
	mm_write(b, LAPIC(EOI), 0); /* line is high: again */
	ck_assert(b->intr[0]);
	board_irq(b, 10, false);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x3a);
	mm_write(b, LAPIC(EOI), 0);
	ck_assert(!b->intr[0]);
	ck_assert_uint_eq(rte_low(b, 10), 0x803a);
	board_free(b);
}
END_TEST

START_TEST(eoi_broadcast_can_be_suppressed)
{
	struct board *b = apic_board(1);
	mm_write(b, LAPIC(SVR), 0x11ff);
	rte_write(b, 10, 0x8000 | 0x3a);
	board_irq(b, 10, true);
	pc_intack(&b->pc, 0);
	board_irq(b, 10, false);
	mm_write(b, LAPIC(EOI), 0);
	ck_assert_uint_eq(rte_low(b, 10), 0xc03a);
	mm_write(b, 0xfec00040, 0x3a); /* directed EOI */
	ck_assert_uint_eq(rte_low(b, 10), 0x803a);
	board_free(b);
}
END_TEST

START_TEST(masked_edge_is_lost_masked_level_waits)
{
	struct board *b = apic_board(1);
	rte_write(b, 4, 0x10034);
	rte_write(b, 10, 0x1803a);
	board_irq(b, 4, true);
	board_irq(b, 10, true);
	rte_write(b, 4, 0x34);
	ck_assert(!b->intr[0]);
	rte_write(b, 10, 0x803a);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x3a);
	board_free(b);
}
END_TEST

START_TEST(pit_arrives_at_pin_2)
{
	struct board *b = apic_board(1);
	rte_write(b, 2, 0x30);
	board_irq(b, 0, false);
	outb(b, 0x43, 0x34);
	outb(b, 0x40, 100);
	outb(b, 0x40, 0);
	board_wait(b, 200000);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x30);
	board_free(b);
}
END_TEST

START_TEST(msi_is_delivered)
{
	struct board *b = apic_board(2);
	u32 data = 0x4071;
	dma_write(&b->bus, 0x10, 0xfee01000, &data, 4);
	ck_assert(!b->intr[0] && b->intr[1]);
	board_free(b);
}
END_TEST

START_TEST(extint_passes_only_when_unmasked)
{
	struct board *b = apic_board(1);
	board_init_pics(b, 0);
	board_irq(b, 5, true);
	ck_assert(!b->intr[0]);
	mm_write(b, LAPIC(LVT_LINT0), 0x700);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	board_free(b);
}
END_TEST

START_TEST(pic_bypasses_a_disabled_apic)
{
	struct board *b = apic_board(1);
	board_init_pics(b, 0);
	board_irq(b, 5, true);
	ck_assert_int_eq(pc_apic_msr_write(&b->pc, 0, 0x1b, 0xfee00100), 0);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("apic");
	ADD_ALL(s, version_and_reset_values, self_ipi_and_priorities, cr8_is_the_tpr,
		one_shot_timer_fires_once, periodic_timer_keeps_its_phase,
		masked_periodic_timer_still_counts, expired_one_shot_stays_at_zero_in_periodic_mode,
		the_window_moves, tsc_deadline_fires_and_clears, x2apic_transitions,
		apic_base_reserved_bits_fault, ipis_reach_other_processors, logical_destinations,
		illegal_vector_sets_esr_and_raises_error, error_lvt_with_illegal_vector_ends,
		software_disable_masks_lvt, ioapic_edge_reaches_lapic, ioapic_level_uses_remote_irr,
		eoi_broadcast_can_be_suppressed, masked_edge_is_lost_masked_level_waits,
		pit_arrives_at_pin_2, msi_is_delivered, extint_passes_only_when_unmasked,
		pic_bypasses_a_disabled_apic);
	return run_suite(s);
}
