/*
 * INT 10h where no display adapter has brought its own: a text screen of 80x25 whose characters go
 * to the first serial port as ANSI terminals want them, and whose keys come back from there. Where
 * there is an adapter but nobody sees it (fw_cfg item 4, -nographic), the same goes on beside the
 * adapter's own service, which POST has put on vector 42h. Colours, graphics and reading characters
 * back are not modelled.
 */
#include "bios/rt/rt.h"

static u8 escape_state;

static void put(u8 c)
{
	for (unsigned i = 0; i < 2000 && !(inb(console_port + 5) & 0x20); i++)
		delay_us(15);
	outb(console_port, c);
}

static void put_text(const char *s)
{
	while (*s)
		put((u8)*s++);
}

static void put_number(unsigned n)
{
	if (n >= 10)
		put((u8)('0' + n / 10 % 10));
	put((u8)('0' + n % 10));
}

/* Where the terminal's cursor is; FFh: nobody knows. Ours is in 40:50h, and the other follows when
 * something is to be written. */
static u8 term_row = 0xff, term_column;

static void set_cursor(u8 row, u8 column)
{
	set8(0x50, column);
	set8(0x51, row);
}

static void follow(void)
{
	u8 column = bda8(0x50), row = bda8(0x51);
	if (term_row == row && term_column == column)
		return;
	if (term_row != 0xff && term_row + 1 == row && column == 0) {
		put_text("\r\n");
	} else {
		put_text("\x1b[");
		put_number(row + 1u);
		put(';');
		put_number(column + 1u);
		put('H');
	}
	term_row = row;
	term_column = column;
}

static void clear(void)
{
	put_text("\x1b[2J");
	set_cursor(0, 0);
	term_row = 0xff;
}

/* Line drawing of code page 437 as ASCII. */
static u8 printable(u8 c)
{
	if (c >= 0x20 && c < 0x7f)
		return c;
	if (c == 0xb3 || c == 0xba)
		return '|';
	if (c == 0xc4 || c == 0xcd)
		return '-';
	return c >= 0xb0 && c < 0xe0 ? '+' : c == 0 ? ' ' : c == 0x18 ? '^' : c == 0x19 ? 'v' : '?';
}

static void draw(u8 c)
{
	put(printable(c));
	if (++term_column == 80)
		term_row = 0xff; /* terminals differ in where they go from here */
}

static void scroll(void)
{
	follow();
	put_text("\r\n");
	term_column = 0;
}

static void teletype(u8 c)
{
	u8 column = bda8(0x50), row = bda8(0x51);
	if (c == '\r') {
		column = 0;
	} else if (c == '\n') {
		if (row < 24)
			row++;
		else
			scroll();
	} else if (c == 8) {
		column -= column > 0;
	} else if (c == 7) {
		put(7);
	} else {
		follow();
		draw(c);
		if (++column == 80) {
			column = 0;
			if (row < 24)
				row++;
			else
				put_text("\r\n");
		}
	}
	set_cursor(row, column);
	if (c == '\n')
		follow();
}

static void write_repeated(struct regs *r)
{
	u8 column = bda8(0x50);
	u16 n = MIN(r->cx, (u16)(80 - MIN(column, 79)));
	if (n)
		follow();
	for (u16 i = 0; i < n; i++)
		draw(r->al);
}

static void write_string(struct regs *r)
{
	u16 old = bda16(0x50);
	set_cursor(r->dh, r->dl);
	for (u16 i = 0, at = r->bp; i < r->cx; i++) {
		teletype(peek8(r->es, at++));
		if (r->al & 2)
			at++;
	}
	if (!(r->al & 1))
		set_cursor((u8)(old >> 8), (u8)old);
}

static void show(struct regs *r)
{
	switch (r->ah) {
	case 0x00: clear(); break;
	case 0x02: set_cursor(r->dh, r->dl); break;
	case 0x06:
	case 0x07:
		if (r->al == 0 && r->cx == 0)
			clear();
		break;
	case 0x09:
	case 0x0a: write_repeated(r); break;
	case 0x0e: teletype(r->al); break;
	case 0x13: write_string(r); break;
	default: break;
	}
}

/* An adapter's screen, and the terminal beside it. */
static void mirror(struct regs *r)
{
	u16 cursor = bda16(0x50), flags = r->flags;
	if (bda8(0x49) <= 3 || r->ah == 0) {
		show(r);
		set16(0x50, cursor);
	}
	call_int(0x42, r);
	r->flags = flags;
}

void int_10(struct regs *r)
{
	if (!no_vga) {
		mirror(r);
		return;
	}
	switch (r->ah) {
	case 0x00: /* set mode */
		set8(0x49, 3);
		set16(0x4a, 80);
		set16(0x4c, 4000);
		set8(0x84, 24);
		break;
	case 0x03:
		r->cx = 0x0607;
		r->dx = bda16(0x50);
		return;
	case 0x0f:
		r->ax = 0x5003;
		r->bh = 0;
		return;
	case 0x08: r->ax = 0x0720; return;
	default: break;
	}
	if (console_port)
		show(r);
}

/* Bytes typed at the terminal become key strokes; the usual escape sequences become cursor keys. */
static u16 escape_key(u8 c)
{
	static const char letters[] = "ABCDHF";
	static const u16 keys[] = {0x4800, 0x5000, 0x4d00, 0x4b00, 0x4700, 0x4f00};
	for (unsigned i = 0; i < 6; i++)
		if (c == (u8)letters[i])
			return keys[i];
	return 0;
}

void console_poll(void)
{
	if (!console_port || !(inb(console_port + 5) & 1))
		return;
	u8 c = inb(console_port);
	if (escape_state == 1 && (c == '[' || c == 'O')) {
		escape_state = 2;
		return;
	}
	if (escape_state == 1)
		key_put(0x011b);
	u16 key = escape_state == 2 ? escape_key(c) : c == '\r' ? 0x1c0d : c == 0x7f ? 0x0e08 : c;
	escape_state = 0;
	if (c == 0x1b) {
		escape_state = 1;
		if (!(inb(console_port + 5) & 1)) {
			escape_state = 0;
			key = 0x011b;
		} else {
			key = 0;
		}
	}
	if (key)
		key_put(key);
}
