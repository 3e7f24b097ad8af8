/*
 * INT 09h (IRQ 1) and INT 16h: an enhanced keyboard behind the 8042, which translates to scan code
 * set
 * 1. Layout US; every code as the IBM PS/2 and PC interface reference has it.
 */
#include "bios/rt/rt.h"

#define HEAD 0x1a
#define TAIL 0x1c

/* 40:17h */
#define SHIFT_R 0x01
#define SHIFT_L 0x02
#define CTRL    0x04
#define ALT     0x08
#define SCROLL  0x10
#define NUM     0x20
#define CAPS    0x40
#define INSERT  0x80
/* 40:96h */
#define E1_SEEN  0x01
#define E0_SEEN  0x02
#define R_CTRL   0x04
#define R_ALT    0x08
#define ENHANCED 0x10

/* Of each key: plain, shifted; 0 where only scan codes come. Codes 02h to 39h. */
static const char plain[] = "1234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "!@#$%^&*()_+\b\0QWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static const char keypad[] = "789-456+1230.";
/* Scan codes of keypad keys 47h-53h with Ctrl; Alt digits are collected. */
static const u8 keypad_ctrl[] = {0x77, 0x8d, 0x84, 0x8e, 0x73, 0x8f, 0x74,
				 0x90, 0x75, 0x91, 0x76, 0x92, 0x93};
static const u8 grey_alt[] = {0x97, 0x98, 0x99, 0, 0x9b, 0, 0x9d, 0, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3};

bool key_put(u16 key)
{
	u16 tail = bda16(TAIL), next = tail + 2;
	if (next >= bda16(0x82))
		next = bda16(0x80);
	if (next == bda16(HEAD))
		return false;
	set16(tail, key);
	set16(TAIL, next);
	return true;
}

static void beep(void)
{
	u8 v = inb(0x61);
	outb(0x43, 0xb6);
	outb(0x42, 0x33);
	outb(0x42, 0x05);
	outb(0x61, v | 3);
	delay_us(30000);
	outb(0x61, v);
}

/* Sends a byte to the keyboard and waits for its acknowledgement, with its interrupt held off. */
static bool keyboard_send(u8 v)
{
	struct deadline d;
	if (!i8042_takes_input())
		return false;
	outb(0x60, v);
	deadline_set(&d, 50);
	while (!expired(&d)) {
		u8 status = inb(0x64);
		if ((status & 0x21) == 0x01)
			return inb(0x60) == 0xfa;
	}
	return false;
}

static void set_leds(void)
{
	u8 want = bda8(0x17) >> 4 & 7, have = bda8(0x97) & 7;
	if (want == have)
		return;
	i8042_takes_input();
	outb(0x64, 0xad);
	i8042_takes_input();
	if (keyboard_send(0xed))
		keyboard_send(want);
	outb(0x64, 0xae);
	set8(0x97, (bda8(0x97) & 0xf8) | want);
}

/* ---- IRQ 1 ------------------------------------------------------------------------------- */

static void toggle(u8 bit, u8 held_bit, bool release)
{
	u8 held = bda8(0x18);
	if (release) {
		set8(0x18, held & ~held_bit);
	} else if (!(held & held_bit)) {
		set8(0x18, held | held_bit);
		set8(0x17, bda8(0x17) ^ bit);
	}
}

static void hold(u8 bit, bool release)
{
	u8 v = bda8(0x17);
	set8(0x17, release ? v & ~bit : v | bit);
}

/* Ctrl and Alt: left ones in 40:18h, right ones in 40:96h, either in 40:17h. */
static void hold_either(u8 bit, u8 left_bit, u8 right_bit, bool e0, bool release)
{
	u8 left = bda8(0x18), right = bda8(0x96);
	if (e0)
		right = release ? right & (u8)~right_bit : right | right_bit;
	else
		left = release ? left & (u8)~left_bit : left | left_bit;
	set8(0x18, left);
	set8(0x96, right);
	hold(bit, !(left & left_bit) && !(right & right_bit));
}

/* Alt and digits of the keypad: the character of that number when Alt is released. */
static void end_alt_number(void)
{
	u8 n = bda8(0x19);
	set8(0x19, 0);
	if (n && !(bda8(0x17) & ALT))
		key_put(n);
}

static bool modifier(u8 code, bool e0, bool release)
{
	switch (code) {
	case 0x2a:
		if (!e0)
			hold(SHIFT_L, release);
		return true;
	case 0x36:
		if (!e0)
			hold(SHIFT_R, release);
		return true;
	case 0x1d: hold_either(CTRL, 0x01, R_CTRL, e0, release); return true;
	case 0x38:
		hold_either(ALT, 0x02, R_ALT, e0, release);
		end_alt_number();
		return true;
	case 0x3a: toggle(CAPS, 0x40, release); return true;
	case 0x45:
		if ((bda8(0x17) & CTRL) && !e0)
			return false;
		toggle(NUM, 0x20, release);
		return true;
	case 0x46:
		if ((bda8(0x17) & CTRL) || e0)
			return false;
		toggle(SCROLL, 0x10, release);
		return true;
	case 0x52:
		if ((bda8(0x17) & (ALT | CTRL)) ||
		    (!e0 && (bda8(0x17) & (NUM | SHIFT_L | SHIFT_R)) == NUM))
			return false;
		toggle(INSERT, 0x80, release);
		return release;
	default: return false;
	}
}

static u16 function_key(u8 n, u8 state) /* n: 0 for F1 */
{
	if (n < 10)
		return (u16)((state & ALT    ? 0x68
			      : state & CTRL ? 0x5e
			      : state & 3    ? 0x54
					     : 0x3b) +
			     n)
		       << 8;
	n -= 10;
	return (u16)((state & ALT ? 0x8b : state & CTRL ? 0x89 : state & 3 ? 0x87 : 0x85) + n) << 8;
}

static u16 keypad_key(u8 code, bool e0, u8 state)
{
	u8 i = code - 0x47;
	if (state & ALT) {
		if (e0)
			return (u16)(grey_alt[i] << 8);
		if (keypad[i] >= '0' && keypad[i] <= '9') {
			set8(0x19, bda8(0x19) * 10 + (keypad[i] - '0'));
			return 0;
		}
		return keypad[i] == '-' ? 0x4a00 : keypad[i] == '+' ? 0x4e00 : 0;
	}
	if (e0)
		return (u16)((state & CTRL ? keypad_ctrl[i] : code) << 8 | 0xe0);
	if (state & CTRL)
		return (u16)(keypad_ctrl[i] << 8);
	if (keypad[i] == '-' || keypad[i] == '+')
		return (u16)(code << 8 | (u8)keypad[i]);
	bool digits = !!(state & NUM) != !!(state & (SHIFT_L | SHIFT_R));
	return (u16)(code << 8 | (digits ? (u8)keypad[i] : code == 0x4c ? 0xf0 : 0));
}

static u16 control_key(u8 code, u8 c)
{
	if (c >= 'a' && c <= 'z')
		return (u16)(code << 8 | (c & 0x1f));
	switch (code) {
	case 0x03: return 0x0300;
	case 0x07: return 0x071e;
	case 0x0c: return 0x0c1f;
	case 0x0e: return 0x0e7f;
	case 0x0f: return 0x9400;
	case 0x1a: return 0x1a1b;
	case 0x1b: return 0x1b1d;
	case 0x1c: return 0x1c0a;
	case 0x2b: return 0x2b1c;
	case 0x37: return 0x9600;
	case 0x39: return 0x3920;
	default: return 0;
	}
}

static u16 alt_key(u8 code)
{
	if (code >= 0x02 && code <= 0x0d)
		return (u16)((code + 0x76) << 8);
	if (code == 0x0f)
		return 0xa500;
	if (code == 0x1c)
		return 0xa600;
	if (code == 0x39)
		return 0x3920;
	return (u16)(code == 0x0e || code == 0x01 ? code << 8 | 0 : code << 8);
}

static u16 main_key(u8 code, u8 state)
{
	u8 c = (u8)plain[code - 2];
	if (state & ALT)
		return alt_key(code);
	if (state & CTRL)
		return control_key(code, c);
	bool shift = state & (SHIFT_L | SHIFT_R);
	if (c >= 'a' && c <= 'z' && (state & CAPS))
		shift = !shift;
	if (shift)
		c = (u8)shifted[code - 2];
	return (u16)(code << 8 | c);
}

/* The key stroke of a pressed key, 0: none. */
static u16 translate(u8 code, bool e0)
{
	u8 state = bda8(0x17);
	if (code == 0x01)
		return state & ALT ? 0x0100 : 0x011b;
	if (e0 && code == 0x1c)
		return state & ALT ? 0xa600 : state & CTRL ? 0xe00a : 0xe00d;
	if (e0 && code == 0x35)
		return state & ALT ? 0xa400 : state & CTRL ? 0x9500 : 0xe02f;
	if (code == 0x56)
		return state & ALT ? 0 : state & 3 ? 0x567c : 0x565c;
	if (code >= 0x3b && code <= 0x44)
		return function_key(code - 0x3b, state);
	if (code == 0x57 || code == 0x58)
		return function_key(code - 0x57 + 10, state);
	if (code >= 0x47 && code <= 0x53)
		return keypad_key(code, e0, state);
	return code >= 0x02 && code <= 0x39 ? main_key(code, state) : 0;
}

/* Combinations that are not key strokes. True: done. */
static bool command_key(u8 code, bool e0)
{
	u8 state = bda8(0x17);
	struct regs c = {0};
	if (code == 0x53 && (state & (CTRL | ALT)) == (CTRL | ALT)) {
		set16(0x72, 0x1234);
		outb(0x64, 0xfe);
		for (;;)
			wait_irq();
	}
	if (code == 0x46 && (e0 || (state & CTRL))) { /* Break */
		set16(HEAD, bda16(0x80));
		set16(TAIL, bda16(0x80));
		set8(0x71, 0x80);
		call_int(0x1b, &c);
		key_put(0);
		return true;
	}
	if (code == 0x45 && (state & CTRL)) { /* Pause: until another key */
		set8(0x18, bda8(0x18) | 0x08);
		return true;
	}
	if ((code == 0x37 && (e0 || (state & 3)) && !(state & (CTRL | ALT))) || code == 0x54) {
		if (code == 0x54)
			c.ax = 0x8500;
		call_int(code == 0x54 ? 0x15 : 0x05, &c);
		return true;
	}
	return false;
}

static void scan_code(u8 v)
{
	u8 flags = bda8(0x96);
	if (v == 0xe0 || v == 0xe1) {
		set8(0x96, flags | (v == 0xe0 ? E0_SEEN : E1_SEEN));
		return;
	}
	bool e0 = flags & E0_SEEN, release = v & 0x80;
	u8 code = v & 0x7f;
	if ((flags & E1_SEEN) && code == 0x1d) /* Pause: E1 1D 45 E1 9D C5 */
		return;
	if ((flags & E1_SEEN) && code == 0x45) {
		set8(0x96, flags & ~E1_SEEN);
		if (!release)
			set8(0x18, bda8(0x18) | 0x08);
		return;
	}
	set8(0x96, flags & ~(E0_SEEN | E1_SEEN));
	if (modifier(code, e0, release) || release)
		return;
	if (bda8(0x18) & 0x08) {
		set8(0x18, bda8(0x18) & ~0x08);
		return;
	}
	if (command_key(code, e0))
		return;
	u16 key = translate(code, e0);
	if (key && !key_put(key))
		beep();
}

void irq_keyboard(struct regs *r)
{
	if ((inb(0x64) & 0x21) == 0x21) { /* the mouse's */
		eoi_master();
		return;
	}
	u8 v = inb(0x60); /* who took the interrupt before may have read it: it stays there (FreeDOS's EDIT) */
	struct regs c = {.ax = (u16)(0x4f00 | v), .flags = FLAG_CF};
	call_int(0x15, &c);
	bool paused = false;
	if (v == 0xfa)
		set8(0x97, bda8(0x97) | 0x10);
	else if (v == 0xfe)
		set8(0x97, bda8(0x97) | 0x20);
	else if ((c.flags & FLAG_CF) && v != 0xee && v != 0xff) {
		paused = bda8(0x18) & 0x08;
		scan_code(c.al);
	}
	set_leds();
	eoi_master();
	while (!paused && (bda8(0x18) & 0x08))
		wait_irq();
}

/* ---- INT 16h ----------------------------------------------------------------------------- */

/* The 84-key interface shows grey keys as their old twins and skips what an 83-key keyboard has
 * not; 0: skip. */
static u16 old_key(u16 key)
{
	u8 scan = (u8)(key >> 8), c = (u8)key;
	if (scan == 0xe0)
		return (u16)((c == 0x2f ? 0x3500 : 0x1c00) | c);
	if (c == 0xe0 && scan)
		return (u16)(key & 0xff00);
	if (c == 0xf0 && scan)
		return 0;
	return scan > 0x84 && !c ? 0 : key;
}

static bool next_key(bool enhanced, bool take, u16 *out)
{
	for (;;) {
		u16 head = bda16(HEAD);
		if (head == bda16(TAIL))
			return false;
		u16 next = head + 2 >= bda16(0x82) ? bda16(0x80) : head + 2, raw = bda16(head);
		u16 key = raw;
		if (!enhanced)
			key = old_key(raw);
		else if ((raw & 0xff) == 0xf0 && raw >> 8)
			key = raw & 0xff00;
		if (take || (!key && raw))
			set16(HEAD, next);
		*out = key;
		if (key || !raw)
			return true;
	}
}

static void read_key(struct regs *r, bool enhanced)
{
	u16 key;
	if (next_key(enhanced, true, &key))
		r->ax = key;
	else
		r->retry = 1;
}

/* Is this called from a handler that has not ended its interrupt? (8259A: OCW3 chooses what a read of port 20h gives.) */
static bool irq_in_service(void)
{
	outb(0x20, 0x0b);
	u8 isr = inb(0x20);
	outb(0x20, 0x0a);
	return isr;
}

/*
 * A program that asks for a key again and again waits for one: DOS does so at its prompt, GRUB in
 * its menu. Who has asked 500 times within one tick may as well sleep until the next interrupt,
 * which costs it nothing and the host much less. Only while the tick's interrupt is open and none
 * is in service that holds it back (FreeDOS's EDIT asks in its INT 8), or nothing would end the sleep.
 */
static void rest_between_polls(void)
{
	static u16 polls, tick;
	u16 now = bda16(0x6c);
	if (now != tick) {
		tick = now;
		polls = 0;
	}
	if (++polls < 500) {
		let_irqs(); /* programs poll with interrupts off */
	} else if ((inb(0x21) & 1) || irq_in_service()) {
		let_irqs();
	} else {
		wait_irq();
	}
}

static void peek_key(struct regs *r, bool enhanced)
{
	u16 key;
	if (console_port)
		console_poll();
	if (next_key(enhanced, false, &key)) {
		r->ax = key;
		r->flags &= (u16)~FLAG_ZF;
		return;
	}
	r->flags |= FLAG_ZF;
	rest_between_polls();
}

static void typematic(struct regs *r)
{
	if (r->al != 5 && r->al != 0)
		return;
	outb(0x64, 0xad);
	if (keyboard_send(0xf3))
		keyboard_send(r->al ? (u8)((r->bh & 3) << 5 | (r->bl & 0x1f)) : 0x2b);
	outb(0x64, 0xae);
}

static u8 extended_state(void)
{
	u8 left = bda8(0x18), right = bda8(0x96);
	return (u8)((left & 0x73) | (right & (R_CTRL | R_ALT)) | (left & 0x04 ? 0x80 : 0));
}

static void keyboard_id(struct regs *r)
{
	outb(0x64, 0xad);
	u8 id[2] = {0xab, 0x41};
	r->bx = (u16)(id[1] << 8 | id[0]);
	outb(0x64, 0xae);
}

void int_16(struct regs *r)
{
	switch (r->ah) {
	case 0x00: read_key(r, false); break;
	case 0x01: peek_key(r, false); break;
	case 0x02: r->al = bda8(0x17); break;
	case 0x03: typematic(r); break;
	case 0x05: r->al = key_put(r->cx) ? 0 : 1; break;
	case 0x09: r->al = 0x30; break; /* AH=0Ah, and AH=10h to 12h */
	case 0x0a: keyboard_id(r); break;
	case 0x10: read_key(r, true); break;
	case 0x11: peek_key(r, true); break;
	case 0x12:
		r->al = bda8(0x17);
		r->ah = extended_state();
		break;
	case 0x92: r->ah = 0x80; break; /* AH=10h-12h exist */
	case 0xa2: r->ah = 0x20; break; /* AH=20h-22h do not (122-key keyboards) */
	default: break;
	}
}
