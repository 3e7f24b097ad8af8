/* The 8259A pair, through ports and lines. */
#include "tests/devices/board.h"

static struct board *pic_board(void)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc); /* LINT0 passes the 8259As on */
	outb(b, 0x4d1, 0);
	board_init_pics(b, 0);
	return b;
}

START_TEST(edge_is_delivered_with_its_vector)
{
	struct board *b = pic_board();
	ck_assert(!b->intr[0]);
	board_irq(b, 5, true);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	ck_assert(!b->intr[0]);
	outb(b, 0x20, 0x0b);
	ck_assert_uint_eq(inb(b, 0x20), 0x20); /* ISR */
	outb(b, 0x20, 0x20);
	ck_assert_uint_eq(inb(b, 0x20), 0);
	board_free(b);
}
END_TEST

START_TEST(slave_vector_needs_two_eois)
{
	struct board *b = pic_board();
	board_irq(b, 12, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2c);
	board_irq(b, 14, true); /* lower than 12: waits */
	ck_assert(!b->intr[0]);
	outb(b, 0xa0, 0x20);
	outb(b, 0x20, 0x20);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2e);
	board_free(b);
}
END_TEST

START_TEST(higher_priority_nests_lower_waits)
{
	struct board *b = pic_board();
	board_irq(b, 4, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x24);
	board_irq(b, 6, true);
	ck_assert(!b->intr[0]);
	board_irq(b, 1, true);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x21);
	board_free(b);
}
END_TEST

START_TEST(masked_request_waits_for_unmask)
{
	struct board *b = pic_board();
	outb(b, 0x21, 0x08);
	board_irq(b, 3, true);
	ck_assert(!b->intr[0]);
	outb(b, 0x21, 0);
	ck_assert(b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(level_input_asks_again_until_released)
{
	struct board *b = pic_board();
	outb(b, 0x4d1, 0x04); /* IRQ 10 */
	ck_assert_uint_eq(inb(b, 0x4d1), 0x04);
	board_irq(b, 10, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x2a);
	outb(b, 0xa0, 0x20);
	outb(b, 0x20, 0x20);
	ck_assert(b->intr[0]);
	board_irq(b, 10, false);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(elcr_keeps_system_irqs_edge)
{
	struct board *b = pic_board();
	outb(b, 0x4d0, 0xff);
	outb(b, 0x4d1, 0xff);
	ck_assert_uint_eq(inb(b, 0x4d0), 0xf8);
	ck_assert_uint_eq(inb(b, 0x4d1), 0xde);
	board_free(b);
}
END_TEST

START_TEST(vanished_level_request_is_spurious_irq7)
{
	struct board *b = pic_board();
	outb(b, 0x4d0, 0x20);
	board_irq(b, 5, true);
	board_irq(b, 5, false);
	ck_assert_uint_eq(pc_intack(&b->pc, 0),
			  0xff); /* the APIC's spurious vector: LINT0 is low again */
	outb(b, 0x20, 0x0b);
	ck_assert_uint_eq(inb(b, 0x20), 0);
	board_free(b);
}
END_TEST

START_TEST(rotation_changes_priority)
{
	struct board *b = pic_board();
	outb(b, 0x20, 0xc0 | 3); /* IR3 lowest: IR4 highest */
	board_irq(b, 1, true);
	board_irq(b, 5, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x25);
	outb(b, 0x20, 0xa0); /* rotate on non-specific EOI: IR5 lowest */
	board_irq(b, 6, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x26);
	board_free(b);
}
END_TEST

START_TEST(auto_eoi_leaves_isr_empty)
{
	struct board *b = pic_board();
	outb(b, 0x20, 0x11);
	outb(b, 0x21, 0x40);
	outb(b, 0x21, 4);
	outb(b, 0x21, 3);
	board_irq(b, 2 + 1, true);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x43);
	outb(b, 0x20, 0x0b);
	ck_assert_uint_eq(inb(b, 0x20), 0);
	board_free(b);
}
END_TEST

START_TEST(poll_acknowledges)
{
	struct board *b = pic_board();
	board_irq(b, 6, true);
	outb(b, 0x20, 0x0c);
	ck_assert_uint_eq(inb(b, 0x20), 0x86);
	outb(b, 0x20, 0x0b);
	ck_assert_uint_eq(inb(b, 0x20), 0x40);
	board_free(b);
}
END_TEST

START_TEST(special_mask_lets_lower_through)
{
	struct board *b = pic_board();
	board_irq(b, 1, true);
	pc_intack(&b->pc, 0);
	board_irq(b, 4, true);
	ck_assert(!b->intr[0]);
	outb(b, 0x21, 0x02);
	outb(b, 0x20, 0x68);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x24);
	board_free(b);
}
END_TEST

START_TEST(shared_line_is_a_wired_or)
{
	struct board *b = pic_board();
	outb(b, 0x4d1, 0x04);
	board_irq(b, 10, true);
	board_irq(b, 10, true);
	board_irq(b, 10, false);
	ck_assert(b->intr[0]);
	board_irq(b, 10, false);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pic");
	ADD_ALL(s, edge_is_delivered_with_its_vector, slave_vector_needs_two_eois,
		higher_priority_nests_lower_waits, masked_request_waits_for_unmask,
		level_input_asks_again_until_released, elcr_keeps_system_irqs_edge,
		vanished_level_request_is_spurious_irq7, rotation_changes_priority,
		auto_eoi_leaves_isr_empty, poll_acknowledges, special_mask_lets_lower_through,
		shared_line_is_a_wired_or);
	return run_suite(s);
}
