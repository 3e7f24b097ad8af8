/* Keyboard controller, keyboard, mouse, A20 and reset. */
#include "tests/devices/board.h"

/* The next byte at port 60h, or -1; -2 if it came from the mouse when it should not have. */
static int next_byte(struct board *b, bool aux)
{
	for (unsigned i = 0; i < 100; i++) {
		u8 status = inb(b, 0x64);
		if (status & 1) {
			bool from_aux = status & 0x20;
			u8 v = inb(b, 0x60);
			return from_aux == aux ? v : -2;
		}
		board_wait(b, 5000);
	}
	return -1;
}

#define EXPECT(b, aux, ...)                                                                        \
	do {                                                                                       \
		const int want_[] = {__VA_ARGS__};                                                 \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(want_); i_++)                                  \
			ck_assert_int_eq(next_byte(b, aux), want_[i_]);                            \
		ck_assert_int_eq(next_byte(b, aux), -1);                                           \
	} while (0)

static void aux_write(struct board *b, u8 v)
{
	outb(b, 0x64, 0xd4);
	outb(b, 0x60, v);
}

START_TEST(self_tests)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0xaa);
	EXPECT(b, false, 0x55);
	outb(b, 0x64, 0xab);
	EXPECT(b, false, 0);
	outb(b, 0x64, 0xa9);
	EXPECT(b, false, 0);
	ck_assert_uint_eq(inb(b, 0x64) & 4, 4);
	board_free(b);
}
END_TEST

START_TEST(config_byte)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0x60);
	outb(b, 0x60, 0x74);
	outb(b, 0x64, 0x20);
	EXPECT(b, false, 0x74);
	outb(b, 0x64, 0xa8);
	outb(b, 0x64, 0x20);
	EXPECT(b, false, 0x54);
	board_free(b);
}
END_TEST

START_TEST(keyboard_reset_and_id)
{
	struct board *b = board_new(1);
	outb(b, 0x60, 0xff);
	EXPECT(b, false, 0xfa, 0xaa);
	outb(b, 0x60, 0xf2);
	EXPECT(b, false, 0xfa, 0xab, 0x41);
	outb(b, 0x60, 0xed);
	EXPECT(b, false, 0xfa);
	outb(b, 0x60, 0x02);
	EXPECT(b, false, 0xfa);
	outb(b, 0x60, 0xee);
	EXPECT(b, false, 0xee);
	board_free(b);
}
END_TEST

START_TEST(keys_translated_and_raw)
{
	struct board *b = board_new(1);
	pc_key(&b->pc, 0x1e, true);
	pc_key(&b->pc, 0x1e, false);
	pc_key(&b->pc, 0xe048, true);
	EXPECT(b, false, 0x1e, 0x9e, 0xe0, 0x48);
	outb(b, 0x64, 0x60);
	outb(b, 0x60, 0x01); /* no translation: set 2 */
	pc_key(&b->pc, 0x1e, true);
	pc_key(&b->pc, 0x1e, false);
	pc_key(&b->pc, 0xe048, false);
	EXPECT(b, false, 0x1c, 0xf0, 0x1c, 0xe0, 0xf0, 0x75);
	board_free(b);
}
END_TEST

START_TEST(key_raises_irq1_until_read)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0xfffd);
	pc_key(&b->pc, 0x1e, true);
	board_wait(b, 50000);
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x21);
	outb(b, 0x20, 0x20);
	ck_assert_uint_eq(inb(b, 0x60), 0x1e);
	board_wait(b, 100000);
	ck_assert(!b->intr[0]);
	board_free(b);
}
END_TEST

START_TEST(mouse_protocol)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0xa8);
	aux_write(b, 0xff);
	EXPECT(b, true, 0xfa, 0xaa, 0);
	aux_write(b, 0xf4);
	EXPECT(b, true, 0xfa);
	pc_mouse(&b->pc, 5, -3, 0, 1);
	EXPECT(b, true, 0x09, 5, 3);
	pc_mouse(&b->pc, -1, 1, 0, 0);
	EXPECT(b, true, 0x38, 0xff, 0xff);
	aux_write(b, 0xe9);
	EXPECT(b, true, 0xfa, 0x20, 2, 100);
	board_free(b);
}
END_TEST

START_TEST(wheel_after_the_knock)
{
	struct board *b = board_new(1);
	static const u8 rates[] = {200, 100, 80};
	for (unsigned i = 0; i < 3; i++) {
		aux_write(b, 0xf3);
		EXPECT(b, true, 0xfa);
		aux_write(b, rates[i]);
		EXPECT(b, true, 0xfa);
	}
	aux_write(b, 0xf2);
	EXPECT(b, true, 0xfa, 3);
	aux_write(b, 0xf4);
	EXPECT(b, true, 0xfa);
	pc_mouse(&b->pc, 0, 0, -1, 0);
	EXPECT(b, true, 8, 0, 0, 0xff);
	board_free(b);
}
END_TEST

START_TEST(aux_loop_marks_its_source)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0xd3);
	outb(b, 0x60, 0x5a);
	EXPECT(b, true, 0x5a);
	outb(b, 0x64, 0xd2);
	outb(b, 0x60, 0xa5);
	EXPECT(b, false, 0xa5);
	outb(b, 0x64, 0xa7); /* even while the port is disabled: Linux looks for multiplexers so */
	outb(b, 0x64, 0xd3);
	outb(b, 0x60, 0xf0);
	EXPECT(b, true, 0xf0);
	board_free(b);
}
END_TEST

START_TEST(a20_by_three_ways)
{
	struct board *b = board_new(1);
	ck_assert(b->a20);
	outb(b, 0x92, 0);
	ck_assert(!b->a20);
	outb(b, 0x64, 0xd1);
	outb(b, 0x60, 0xdf);
	ck_assert(b->a20);
	ck_assert_uint_eq(inb(b, 0x92) & 2, 2);
	outb(b, 0x64, 0xdd);
	ck_assert(!b->a20);
	board_free(b);
}
END_TEST

START_TEST(resets)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0xfe);
	ck_assert_uint_eq(b->resets, 1);
	outb(b, 0x92, 3);
	ck_assert_uint_eq(b->resets, 2);
	outb(b, 0xcf9, 2);
	ck_assert_uint_eq(b->resets, 2);
	outb(b, 0xcf9, 6);
	ck_assert_uint_eq(b->resets, 3);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("i8042");
	ADD_ALL(s, self_tests, config_byte, keyboard_reset_and_id, keys_translated_and_raw,
		key_raises_irq1_until_read, mouse_protocol, wheel_after_the_knock,
		aux_loop_marks_its_source, a20_by_three_ways, resets);
	return run_suite(s);
}
