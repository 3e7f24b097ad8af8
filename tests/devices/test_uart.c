/* 16550A. */
#include "devices/serial/uart16550.h"
#include "tests/devices/board.h"

#define COM1 0x3f8

static void expect_output(struct board *b, const char *text)
{
	size_t n;
	const u8 *out = chardev_memory_output(b->com1, &n);
	ck_assert_uint_eq(n, strlen(text));
	if (n) /* nothing printed: no buffer */
		ck_assert_mem_eq(out, text, n);
}

START_TEST(polled_output)
{
	struct board *b = board_new(1);
	for (const char *p = "Hello\n"; *p; p++) {
		for (unsigned i = 0; !(inb(b, COM1 + 5) & 0x20); i++) {
			ck_assert_uint_lt(i, 100);
			board_wait(b, 100);
		}
		outb(b, COM1, (u8)*p);
	}
	expect_output(b, "Hello\n");
	ck_assert_uint_eq(inb(b, COM1 + 5) & 0x40, 0); /* the last byte is still leaving */
	board_wait(b, 10000);
	ck_assert_uint_eq(inb(b, COM1 + 5), 0x60);
	board_free(b);
}
END_TEST

START_TEST(registers_and_divisor)
{
	struct board *b = board_new(1);
	outb(b, COM1 + 3, 0x83);
	outb(b, COM1, 0x34);
	outb(b, COM1 + 1, 0x12);
	ck_assert_uint_eq(inb(b, COM1), 0x34);
	ck_assert_uint_eq(inb(b, COM1 + 1), 0x12);
	outb(b, COM1 + 3, 3);
	ck_assert_uint_eq(inb(b, COM1 + 1), 0);
	outb(b, COM1 + 1, 0xff);
	ck_assert_uint_eq(inb(b, COM1 + 1), 0x0f);
	outb(b, COM1 + 7, 0x5a);
	ck_assert_uint_eq(inb(b, COM1 + 7), 0x5a);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0xc0, 0);
	outb(b, COM1 + 2, 1);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0xc0, 0xc0); /* a 16550A */
	ck_assert_uint_eq(inb(b, COM1 + 6) & 0xf0, 0xb0);
	board_free(b);
}
END_TEST

static struct board *uart_board(void)
{
	struct board *b = board_new(1);
	pc_firmware_setup(&b->pc);
	board_init_pics(b, 0xffef);
	outb(b, COM1 + 4, 0x0b);
	return b;
}

static void ack(struct board *b)
{
	ck_assert(b->intr[0]);
	ck_assert_uint_eq(pc_intack(&b->pc, 0), 0x24);
	outb(b, 0x20, 0x20);
}

START_TEST(transmit_interrupt)
{
	struct board *b = uart_board();
	outb(b, COM1 + 1, 2); /* THRE is there: at once */
	ack(b);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 2);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 1); /* reading IIR took it */
	ck_assert(!b->intr[0]);
	outb(b, COM1, 'x');
	ck_assert(!b->intr[0]);
	board_wait(b, 10000);
	ack(b);
	board_free(b);
}
END_TEST

START_TEST(receive_interrupt)
{
	struct board *b = uart_board();
	outb(b, COM1 + 1, 1);
	ck_assert_uint_eq(pc_serial_receive(&b->pc, 0, (const u8 *)"ab", 2), 2);
	board_wait(b, 10);
	ack(b);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 4);
	ck_assert_uint_eq(inb(b, COM1 + 5) & 1, 1);
	ck_assert_uint_eq(inb(b, COM1), 'a');
	ck_assert_uint_eq(inb(b, COM1 + 5) & 1, 0);
	board_wait(b, 2000);
	ack(b);
	ck_assert_uint_eq(inb(b, COM1), 'b');
	board_free(b);
}
END_TEST

START_TEST(fifo_trigger_and_timeout)
{
	struct board *b = uart_board();
	outb(b, COM1 + 2, 0x81); /* trigger at 8 */
	outb(b, COM1 + 1, 1);
	pc_serial_receive(&b->pc, 0, (const u8 *)"1234567", 7);
	board_wait(b, 7000);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 1);
	board_wait(b, 5000);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 0x0c);
	for (unsigned i = 0; i < 7; i++)
		ck_assert_uint_eq(inb(b, COM1), '1' + i);
	ck_assert_uint_eq(inb(b, COM1 + 2) & 0x0f, 1);
	board_free(b);
}
END_TEST

START_TEST(long_input_is_never_lost)
{
	struct board *b = uart_board();
	u8 data[300];
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (u8)i;
	outb(b, COM1 + 2, 1);
	ck_assert_uint_eq(pc_serial_receive(&b->pc, 0, data, sizeof(data)), sizeof(data));
	board_wait(b, 1000000); /* the guest sleeps: the FIFO is full, the rest waits */
	for (unsigned i = 0; i < sizeof(data); i++) {
		board_wait(b, 2000);
		ck_assert_uint_eq(inb(b, COM1 + 5) & 3, 1);
		ck_assert_uint_eq(inb(b, COM1), data[i]);
	}
	board_free(b);
}
END_TEST

START_TEST(loopback)
{
	struct board *b = uart_board();
	outb(b, COM1 + 4, 0x1f);
	ck_assert_uint_eq(inb(b, COM1 + 6) & 0xf0, 0xf0);
	outb(b, COM1 + 4, 0x12);
	ck_assert_uint_eq(inb(b, COM1 + 6) & 0xf0, 0x10);
	outb(b, COM1, 0xa5);
	ck_assert_uint_eq(inb(b, COM1), 0xa5);
	outb(b, COM1, 1);
	outb(b, COM1, 2);
	ck_assert_uint_eq(inb(b, COM1 + 5) & 2, 2); /* overrun */
	expect_output(b, "");
	board_free(b);
}
END_TEST

START_TEST(out2_gates_the_interrupt)
{
	struct board *b = uart_board();
	outb(b, COM1 + 4, 0x03);
	outb(b, COM1 + 1, 2);
	ck_assert(!b->intr[0]);
	outb(b, COM1 + 4, 0x0b);
	ack(b);
	board_free(b);
}
END_TEST

START_TEST(debugcon_writes_its_chardev)
{
	struct board *b = board_new(1);
	size_t n;
	ck_assert_uint_eq(inb(b, 0xe9), 0xe9);
	outb(b, 0xe9, 'x');
	ck_assert_uint_eq(chardev_memory_output(b->e9, &n)[0], 'x');
	ck_assert_uint_eq(n, 1);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("uart");
	ADD_ALL(s, polled_output, registers_and_divisor, transmit_interrupt, receive_interrupt,
		fifo_trigger_and_timeout, long_input_is_never_lost, loopback,
		out2_gates_the_interrupt, debugcon_writes_its_chardev);
	return run_suite(s);
}
