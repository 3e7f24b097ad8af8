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
	board_wait(b, 10000000); /* 100 reports a second */
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

/* ---- keyboard: IBM PS/2 Hardware Interface Technical Reference ---- */

/* A command with its parameters, each acknowledged. */
static void kbd(struct board *b, const u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		outb(b, 0x60, bytes[i]);
		ck_assert_int_eq(next_byte(b, false), 0xfa);
	}
}
#define KBD(b, ...) kbd(b, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

static struct board *untranslated(void)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0x60);
	outb(b, 0x60, 0x01);
	return b;
}

static void tap(struct board *b, u16 key)
{
	pc_key(&b->pc, key, true);
	pc_key(&b->pc, key, false);
}

START_TEST(every_key_of_set_1_survives_translation)
{
	struct board *b = board_new(1);
	for (unsigned code = 1; code < 0x59; code++) {
		tap(b, (u16)code);
		EXPECT(b, false, (int)code, (int)code | 0x80);
	}
	board_free(b);
}
END_TEST

START_TEST(keys_wait_while_the_keyboard_is_disabled)
{
	struct board *b = board_new(1);
	outb(b, 0x64, 0xad);
	tap(b, 0x1e);
	ck_assert_int_eq(next_byte(b, false), -1);
	outb(b, 0x64, 0xae);
	EXPECT(b, false, 0x1e, 0x9e);
	board_free(b);
}
END_TEST

START_TEST(scan_code_sets)
{
	struct board *b = untranslated();
	KBD(b, 0xf0, 0);
	EXPECT(b, false, 2);
	KBD(b, 0xf0, 1);
	tap(b, 0xe048);
	EXPECT(b, false, 0xe0, 0x48, 0xe0, 0xc8);
	KBD(b, 0xf0, 3);
	KBD(b, 0xf0, 0);
	EXPECT(b, false, 3);
	tap(b, 0x1e); /* letters have no release in set 3 */
	EXPECT(b, false, 0x1c);
	tap(b, 0x2a); /* Shift has */
	EXPECT(b, false, 0x12, 0xf0, 0x12);
	tap(b, 0xe048);
	EXPECT(b, false, 0x63);
	KBD(b, 0xf8); /* all keys make and break */
	tap(b, 0x1e);
	EXPECT(b, false, 0x1c, 0xf0, 0x1c);
	KBD(b, 0xfd, 0x1c); /* this one make only */
	tap(b, 0x1e);
	EXPECT(b, false, 0x1c);
	outb(b, 0x60, 0xf0);
	EXPECT(b, false, 0xfa);
	outb(b, 0x60, 4);
	EXPECT(b, false, 0xfe);
	board_free(b);
}
END_TEST

START_TEST(print_screen_and_pause)
{
	struct board *b = board_new(1);
	tap(b, 0xe037);
	EXPECT(b, false, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
	pc_key(&b->pc, 0x38, true); /* Alt: SysRq */
	tap(b, 0xe037);
	pc_key(&b->pc, 0x38, false);
	EXPECT(b, false, 0x38, 0x54, 0xd4, 0xb8);
	tap(b, 0xe11d);
	EXPECT(b, false, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
	pc_key(&b->pc, 0x1d, true); /* Ctrl: Break */
	tap(b, 0xe11d);
	EXPECT(b, false, 0x1d, 0xe0, 0x46, 0xe0, 0xc6);
	board_free(b);
}
END_TEST

/* How often the key held for @ns is sent. */
static unsigned sent(struct board *b, u64 ns)
{
	unsigned n = 0;
	for (u64 end = b->now_ns + ns; b->now_ns < end; board_wait(b, 1000000))
		if (inb(b, 0x64) & 1) {
			inb(b, 0x60);
			n++;
		}
	return n;
}

START_TEST(a_held_key_repeats_at_the_rate_asked_for)
{
	struct board *b = board_new(1);
	pc_key(&b->pc, 0x1e, true);
	ck_assert_uint_eq(sent(b, 490000000), 1); /* 500 ms, then 10.9 a second */
	ck_assert_uint_eq(sent(b, 1000000000), 11);
	pc_key(&b->pc, 0x1e, false);
	ck_assert_uint_eq(sent(b, 1000000000), 1);
	KBD(b, 0xf3, 0x00); /* 250 ms, 30 a second */
	pc_key(&b->pc, 0x1e, true);
	ck_assert_uint_eq(sent(b, 240000000), 1);
	ck_assert_uint_eq(sent(b, 1000000000), 30);
	pc_key(&b->pc, 0x1f, true); /* the last key pressed repeats */
	pc_key(&b->pc, 0x1e, false);
	EXPECT(b, false, 0x1f, 0x9e);
	ck_assert_uint_ge(sent(b, 1000000000), 20);
	unsigned n = 0;
	for (unsigned i = 0; i < 100; i++) { /* the host repeats, too: that changes nothing */
		pc_key(&b->pc, 0x1f, true);
		n += sent(b, 20000000);
	}
	ck_assert_uint_ge(n, 59);
	ck_assert_uint_le(n, 61);
	board_free(b);
}
END_TEST

START_TEST(lamps_resend_and_unknown_commands)
{
	struct board *b = board_new(1);
	KBD(b, 0xed, 0x05);
	ck_assert_uint_eq(pc_input_state(&b->pc).leds, 5);
	KBD(b, 0xf6); /* defaults leave the lamps alone */
	ck_assert_uint_eq(pc_input_state(&b->pc).leds, 5);
	outb(b, 0x60, 0xee);
	EXPECT(b, false, 0xee);
	outb(b, 0x60, 0xfe);
	EXPECT(b, false, 0xee);
	outb(b, 0x60, 0xef);
	EXPECT(b, false, 0xfe);
	KBD(b, 0xf5); /* stops scanning */
	tap(b, 0x1e);
	ck_assert_int_eq(next_byte(b, false), -1);
	KBD(b, 0xf4);
	tap(b, 0x1e);
	EXPECT(b, false, 0x1e, 0x9e);
	KBD(b, 0xed); /* a command in the place of the parameter wins */
	outb(b, 0x60, 0xf4);
	EXPECT(b, false, 0xfa);
	ck_assert_uint_eq(pc_input_state(&b->pc).leds, 5);
	board_free(b);
}
END_TEST

/* ---- mouse ---- */

static void mouse(struct board *b, const u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		aux_write(b, bytes[i]);
		ck_assert_int_eq(next_byte(b, true), 0xfa);
	}
}
#define MOUSE(b, ...) mouse(b, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

START_TEST(mouse_remote_and_wrap_modes)
{
	struct board *b = board_new(1);
	MOUSE(b, 0xf0);
	pc_mouse(&b->pc, 3, 0, 0, 2);
	board_wait(b, 20000000);
	ck_assert_int_eq(next_byte(b, true), -1); /* only when asked */
	MOUSE(b, 0xeb);
	EXPECT(b, true, 0x0a, 3, 0);
	aux_write(b, 0xfe); /* the report again */
	EXPECT(b, true, 0x0a, 3, 0);
	aux_write(b, 0xe9);
	EXPECT(b, true, 0xfa, 0x41, 2, 100);
	MOUSE(b, 0xee);
	aux_write(b, 0xf2);
	EXPECT(b, true, 0xf2); /* echoed */
	MOUSE(b, 0xec);
	aux_write(b, 0xf2);
	EXPECT(b, true, 0xfa, 0);
	board_free(b);
}
END_TEST

START_TEST(mouse_scaling_and_long_ways)
{
	struct board *b = board_new(1);
	static const int in[] = {1, 2, 3, 4, 5, 6, 7}, out[] = {1, 1, 3, 6, 9, 12, 14};
	MOUSE(b, 0xe7, 0xf4);
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++) {
		pc_mouse(&b->pc, in[i], -in[i], 0, 0);
		board_wait(b, 10000000);
		EXPECT(b, true, 8, out[i], out[i]);
	}
	MOUSE(b, 0xe6);
	board_wait(b, 10000000);
	pc_mouse(&b->pc, -600, 0, 0, 0); /* does not fit into nine bits: comes in pieces, nothing is lost */
	int sum = 0;
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(next_byte(b, true), 0x18);
		sum += next_byte(b, true) - 256;
		ck_assert_int_eq(next_byte(b, true), 0);
		board_wait(b, 10000000);
	}
	ck_assert_int_eq(sum, -600);
	board_free(b);
}
END_TEST

START_TEST(mouse_reports_at_its_sample_rate)
{
	struct board *b = board_new(1);
	unsigned bytes = 0;
	MOUSE(b, 0xf3, 40, 0xf4);
	for (unsigned i = 0; i < 1000; i++) {
		pc_mouse(&b->pc, 1, 0, 0, 0);
		board_wait(b, 1000000);
		while (inb(b, 0x64) & 1) {
			inb(b, 0x60);
			bytes++;
			board_wait(b, 50000);
		}
	}
	ck_assert_uint_ge(bytes / 3, 39);
	ck_assert_uint_le(bytes / 3, 42);
	aux_write(b, 0xf3);
	EXPECT(b, true, 0xfa);
	aux_write(b, 33); /* no such rate */
	EXPECT(b, true, 0xfe);
	aux_write(b, 33);
	EXPECT(b, true, 0xfc);
	board_free(b);
}
END_TEST

START_TEST(five_buttons_after_the_second_knock)
{
	struct board *b = board_new(1);
	MOUSE(b, 0xf3, 200, 0xf3, 200, 0xf3, 80);
	aux_write(b, 0xf2);
	EXPECT(b, true, 0xfa, 4);
	MOUSE(b, 0xf4);
	pc_mouse(&b->pc, 0, 0, 1, 8 | 16 | 1);
	board_wait(b, 20000000);
	EXPECT(b, true, 9, 0, 0, 0x31);
	aux_write(b, 0xff); /* reset forgets */
	EXPECT(b, true, 0xfa, 0xaa, 0);
	aux_write(b, 0xf2);
	EXPECT(b, true, 0xfa, 0);
	board_free(b);
}
END_TEST

START_TEST(a_quick_click_is_not_lost)
{
	struct board *b = board_new(1);
	MOUSE(b, 0xf4);
	pc_mouse(&b->pc, 4, 0, 0, 0);
	pc_mouse(&b->pc, 0, 0, 0, 1);
	pc_mouse(&b->pc, 0, 0, 0, 0);
	board_wait(b, 20000000);
	EXPECT(b, true, 9, 4, 0, 8, 0, 0);
	board_free(b);
}
END_TEST

/* Linux asks while reports stream in: the answer must be what comes next. */
START_TEST(a_command_ends_the_report_under_way)
{
	struct board *b = board_new(1);
	MOUSE(b, 0xf4);
	pc_mouse(&b->pc, 5, 5, 0, 0);
	ck_assert_int_eq(next_byte(b, true), 0x28);
	aux_write(b, 0xf5);
	EXPECT(b, true, 0xfa);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("i8042");
	ADD_ALL(s, self_tests, config_byte, keyboard_reset_and_id, keys_translated_and_raw,
		key_raises_irq1_until_read, mouse_protocol, wheel_after_the_knock,
		aux_loop_marks_its_source, a20_by_three_ways, resets,
		every_key_of_set_1_survives_translation, keys_wait_while_the_keyboard_is_disabled,
		scan_code_sets, print_screen_and_pause, a_held_key_repeats_at_the_rate_asked_for,
		lamps_resend_and_unknown_commands, mouse_remote_and_wrap_modes,
		mouse_scaling_and_long_ways, mouse_reports_at_its_sample_rate,
		five_buttons_after_the_second_knock, a_command_ends_the_report_under_way,
		a_quick_click_is_not_lost);
	return run_suite(s);
}
