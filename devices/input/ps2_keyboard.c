/*
 * IBM enhanced keyboard with a PS/2 line (IBM PS/2 Hardware Interface Technical Reference,
 * "Keyboards"): scan code sets 1, 2 and 3 with the key types of set 3, typematic rate and delay,
 * lamps, Print Screen and Pause with their modifiers, all commands. Not modelled: the shift codes
 * that surround the cursor keys under Num Lock and Shift (E0h tells them apart), the time the
 * self-test takes, parity errors; the buffer is longer than the original's 16 bytes.
 */
#include "devices/input/ps2_keyboard.h"

#define KIND_BREAK     1u
#define KIND_TYPEMATIC 2u

#define MOD_CTRL  1u
#define MOD_ALT   2u
#define MOD_SHIFT 4u

#define RATE_DEFAULT 0x2b /* 500 ms, then 10.9 a second */
#define BUSY         8    /* bytes waiting: no repetition on top */

#define CODE_PRINT 0xe037
#define CODE_SYSRQ 0x54
#define CODE_PAUSE 0xe11d
#define CODE_F7    0x41

#define PS2_QUEUE_FIELDS(V, S, H, P) V(data) V(head) V(tail)
SNAPSHOT(ps2_queue_snapshot, "byte-queue", 1, struct ps2_queue, PS2_QUEUE_FIELDS);
/* clang-format off */
#define PS2_KEYBOARD_FIELDS(V, S, H, P) \
	S(out, ps2_queue_snapshot) V(repeat) H(clock) V(held) V(held_mods) V(set) V(leds) V(rate) V(command) \
	V(last) V(scanning) V(kind) H(pad) P(6)
/* clang-format on */
SNAPSHOT(ps2_keyboard_snapshot, "ps2-keyboard", 2, struct ps2_keyboard, PS2_KEYBOARD_FIELDS);

const u8 ps2_set2_to_set1[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

/* Set 3 names most keys as set 2 does; these it names otherwise. */
static const struct {
	u16 set1;
	u8 set3;
} set3_own[] = {
    {0x01, 0x08},   {0x3b, 0x07},   {0x3c, 0x0f},   {0x3d, 0x17},   {0x3e, 0x1f},   {0x3f, 0x27},
    {0x40, 0x2f},   {0x41, 0x37},   {0x42, 0x3f},   {0x43, 0x47},   {0x44, 0x4f},   {0x57, 0x56},
    {0x58, 0x5e},   {0x2b, 0x5c},   {0x3a, 0x14},   {0x1d, 0x11},   {0x38, 0x19},   {0xe038, 0x39},
    {0xe01d, 0x58}, {0xe052, 0x67}, {0xe053, 0x64}, {0xe04b, 0x61}, {0xe047, 0x6e}, {0xe04f, 0x65},
    {0xe048, 0x63}, {0xe050, 0x60}, {0xe049, 0x6f}, {0xe051, 0x6d}, {0xe04d, 0x6a}, {0x45, 0x76},
    {0xe035, 0x77}, {0x37, 0x7e},   {0x4a, 0x84},   {0x4e, 0x7c},   {0xe01c, 0x79}, {0xe037, 0x57},
    {0x46, 0x5f},   {0xe11d, 0x62}, {0x56, 0x13},   {0xe05b, 0x8b}, {0xe05c, 0x8c}, {0xe05d, 0x8d},
};

/* ---- scan codes ----------------------------------------------------------------------------- */

/* 0: no such key. F7 and SysRq stand outside the controller's table of 128. */
static u8 set2_of(u8 set1)
{
	if (set1 == CODE_F7)
		return 0x83;
	if (set1 == CODE_SYSRQ)
		return 0x84;
	for (unsigned i = 1; i < ARRAY_SIZE(ps2_set2_to_set1); i++)
		if (ps2_set2_to_set1[i] == set1)
			return (u8)i;
	return 0;
}

static u8 set3_of(u16 set1)
{
	for (unsigned i = 0; i < ARRAY_SIZE(set3_own); i++)
		if (set3_own[i].set1 == set1)
			return set3_own[i].set3;
	u8 code = set1 >> 8 ? 0 : set2_of((u8)set1);
	return code < SET3_CODES ? code : 0;
}

static void send(struct ps2_keyboard *k, const u8 *data, unsigned n)
{
	ps2_push(&k->out, data, n);
}

/* One key in set 1 or 2. */
static void send_plain(struct ps2_keyboard *k, u16 set1, bool pressed)
{
	u8 b[3], code = set1 & 0x7f, code2 = set2_of(code);
	unsigned n = 0;
	if (!code || !code2)
		return;
	if (set1 >> 8 == 0xe0)
		b[n++] = 0xe0;
	if (k->set == 1) {
		b[n++] = (u8)(code | (pressed ? 0 : 0x80));
	} else {
		if (!pressed)
			b[n++] = 0xf0;
		b[n++] = code2;
	}
	send(k, b, n);
}

/* With Alt it is SysRq; alone it comes inside a Shift of its own. */
static void send_print(struct ps2_keyboard *k, bool pressed)
{
	if (k->held_mods & MOD_ALT) {
		send_plain(k, CODE_SYSRQ, pressed);
		return;
	}
	bool bare = !(k->held_mods & (MOD_CTRL | MOD_SHIFT));
	if (bare && pressed)
		send_plain(k, 0xe02a, true);
	send_plain(k, CODE_PRINT, pressed);
	if (bare && !pressed)
		send_plain(k, 0xe02a, false);
}

/* Sends everything at the press and nothing at the release; with Ctrl it is Break. */
static void send_pause(struct ps2_keyboard *k, bool pressed)
{
	static const u8 set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const u8 set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
	if (!pressed)
		return;
	if (k->held_mods & MOD_CTRL) {
		send_plain(k, 0xe046, true);
		send_plain(k, 0xe046, false);
	} else if (k->set == 1) {
		send(k, set1, sizeof(set1));
	} else {
		send(k, set2, sizeof(set2));
	}
}

static void send_set3(struct ps2_keyboard *k, u16 set1, bool pressed)
{
	u8 code = set3_of(set1);
	const u8 up[] = {0xf0, code};
	if (!code)
		return;
	if (pressed)
		send(k, &code, 1);
	else if (k->kind[code] & KIND_BREAK)
		send(k, up, 2);
}

static void send_key(struct ps2_keyboard *k, u16 set1, bool pressed)
{
	if (k->set == 3)
		send_set3(k, set1, pressed);
	else if (set1 == CODE_PAUSE)
		send_pause(k, pressed);
	else if (set1 == CODE_PRINT)
		send_print(k, pressed);
	else if (set1 >> 8 == 0 || set1 >> 8 == 0xe0)
		send_plain(k, set1, pressed);
}

/* ---- repetition ----------------------------------------------------------------------------- */

static u64 delay_ns(const struct ps2_keyboard *k)
{
	return (u64)((k->rate >> 5 & 3) + 1) * 250000000u;
}

/* (8 + A) * 2^B / 240 s: A is bits 0-2 of the rate, B bits 3-4. */
static u64 period_ns(const struct ps2_keyboard *k)
{
	return (u64)(8 + (k->rate & 7)) * (1u << (k->rate >> 3 & 3)) * 1000000000u / 240;
}

static void stop_repeat(struct ps2_keyboard *k)
{
	k->held = 0;
	timer_disarm(&k->repeat);
}

static bool repeats(const struct ps2_keyboard *k, u16 set1)
{
	u8 code = set3_of(set1);
	return k->set == 3 ? code && k->kind[code] & KIND_TYPEMATIC : set1 != CODE_PAUSE;
}

void ps2_keyboard_repeat(struct ps2_keyboard *k)
{
	if (!k->held || !k->scanning)
		return;
	if (ps2_queued(&k->out) < BUSY)
		send_key(k, k->held, true);
	timer_arm(&k->repeat, clock_now(k->clock) + period_ns(k));
}

static u8 modifier(u16 set1)
{
	switch (set1) {
	case 0x1d:
	case 0xe01d: return MOD_CTRL;
	case 0x38:
	case 0xe038: return MOD_ALT;
	case 0x2a:
	case 0x36: return MOD_SHIFT;
	default: return 0;
	}
}

/* A key that is down already and comes again is the host's repetition: this keyboard has its own, at the rate the guest asked for. */
void ps2_keyboard_key(struct ps2_keyboard *k, u16 set1, bool pressed)
{
	const bool typematic = repeats(k, set1);
	if (!k->scanning || (pressed && set1 == k->held))
		return;
	send_key(k, set1, pressed);
	u8 mod = modifier(set1);
	k->held_mods = pressed ? k->held_mods | mod : k->held_mods & (u8)~mod;
	if (!pressed && set1 != k->held)
		return;
	stop_repeat(k);
	if (!pressed)
		return;
	k->held = set1;
	if (typematic)
		timer_arm(&k->repeat, clock_now(k->clock) + delay_ns(k));
}

/* ---- commands ------------------------------------------------------------------------------- */

/* Set 3's types at power-on: letters repeat, the shifting keys report their release, the rest does
 * neither. */
static void default_kinds(struct ps2_keyboard *k)
{
	static const u8 both[] = {0x11, 0x12, 0x14, 0x19,
				  0x59}; /* Ctrl, Shift, Caps Lock, Alt, Shift */
	static const u8 once[] = {0x08, 0x39, 0x58, 0x57, 0x5f, 0x62, 0x67, 0x6e,
				  0x65, 0x6f, 0x6d, 0x76, 0x77, 0x79, 0x7e};
	memset(k->kind, KIND_TYPEMATIC, sizeof(k->kind));
	for (unsigned f = 0x07; f <= 0x5e; f += 8) /* function keys: 07h, 0Fh .. 5Eh */
		k->kind[f == 0x57 ? 0x56 : f] = 0;
	k->kind[0x5e] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(once); i++)
		k->kind[once[i]] = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(both); i++)
		k->kind[both[i]] = KIND_BREAK;
}

static void defaults(struct ps2_keyboard *k, bool scanning)
{
	ps2_clear(&k->out);
	stop_repeat(k);
	k->set = 2;
	k->rate = RATE_DEFAULT;
	k->command = 0;
	k->held_mods = 0;
	k->scanning = scanning;
	default_kinds(k);
}

void ps2_keyboard_reset(struct ps2_keyboard *k)
{
	defaults(k, true);
	k->leds = 0;
	k->last = 0;
}

static void reply(struct ps2_keyboard *k, u8 v)
{
	ps2_push1(&k->out, v);
}

static void choose_set(struct ps2_keyboard *k, u8 v)
{
	if (v > 3) {
		reply(k, PS2_RESEND);
		return;
	}
	if (v)
		ps2_clear(&k->out);
	reply(k, PS2_ACK);
	if (!v) {
		reply(k, k->set);
		return;
	}
	k->set = v;
	stop_repeat(k);
}

/* One key's type in set 3; more keys may follow until the next command. */
static void set_kind(struct ps2_keyboard *k, u8 command, u8 code)
{
	static const u8 kinds[] = {KIND_TYPEMATIC, KIND_BREAK, 0};
	if (code < SET3_CODES)
		k->kind[code] = kinds[command - 0xfb];
	k->command = command;
	reply(k, PS2_ACK);
}

static void parameter(struct ps2_keyboard *k, u8 command, u8 v)
{
	switch (command) {
	case 0xed:
		k->leds = v & 7;
		reply(k, PS2_ACK);
		break;
	case 0xf0: choose_set(k, v); break;
	case 0xf3:
		k->rate = v & 0x7f;
		reply(k, PS2_ACK);
		break;
	default: set_kind(k, command, v); break;
	}
}

static void set_all_kinds(struct ps2_keyboard *k, u8 command)
{
	static const u8 kinds[] = {KIND_TYPEMATIC, KIND_BREAK, 0, KIND_TYPEMATIC | KIND_BREAK};
	ps2_clear(&k->out);
	memset(k->kind, kinds[command - 0xf7], sizeof(k->kind));
	reply(k, PS2_ACK);
}

static void command(struct ps2_keyboard *k, u8 v)
{
	switch (v) {
	case 0xed:
	case 0xf0:
	case 0xf3:
	case 0xfb ... 0xfd:
		k->command = v;
		reply(k, PS2_ACK);
		break;
	case 0xee: reply(k, 0xee); break;
	case 0xf2:
		reply(k, PS2_ACK);
		reply(k, 0xab);
		reply(k, 0x83);
		break;
	case 0xf4:
		ps2_clear(&k->out);
		stop_repeat(k);
		k->scanning = true;
		reply(k, PS2_ACK);
		break;
	case 0xf5:
		defaults(k, false);
		reply(k, PS2_ACK);
		break;
	case 0xf6:
		defaults(k, k->scanning);
		reply(k, PS2_ACK);
		break;
	case 0xf7 ... 0xfa: set_all_kinds(k, v); break;
	case 0xfe: reply(k, k->last); break;
	case 0xff:
		ps2_keyboard_reset(k);
		reply(k, PS2_ACK);
		reply(k, 0xaa);
		break;
	default: reply(k, PS2_RESEND); break;
	}
}

void ps2_keyboard_write(struct ps2_keyboard *k, u8 v)
{
	u8 waiting = k->command;
	k->command = 0;
	if (waiting && v < 0xed)
		parameter(k, waiting, v);
	else
		command(k, v);
}

u8 ps2_keyboard_take(struct ps2_keyboard *k)
{
	u8 v = k->out.data[k->out.tail++];
	if (v != PS2_RESEND)
		k->last = v;
	return v;
}
