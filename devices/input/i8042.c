/*
 * Intel 8042 keyboard controller (IBM AT / PS/2 command set) with a 101-key PS/2 keyboard (scan
 * code sets 1 and 2) and a PS/2 mouse (standard and IntelliMouse wheel protocol), ports 60h, 64h,
 * and port 92h (fast A20 and reset). The A20 gate is one latch that the controller's output port
 * and port 92h both set. Not modelled: scan code set 3 (answered as set 2), typematic repetition
 * (the host repeats), password, keyboard LEDs (kept).
 */
#include "devices/input/i8042.h"

#define STATUS_OUT      0x01u
#define STATUS_SYSTEM   0x04u
#define STATUS_COMMAND  0x08u
#define STATUS_UNLOCKED 0x10u
#define STATUS_AUX      0x20u

#define CONFIG_IRQ1      0x01u
#define CONFIG_IRQ12     0x02u
#define CONFIG_SYSTEM    0x04u
#define CONFIG_NO_KBD    0x10u
#define CONFIG_NO_AUX    0x20u
#define CONFIG_TRANSLATE 0x40u

#define QUEUE   256   /* power of two, indexed by u8 */
#define NEXT_NS 20000 /* from the reading of one byte to the arrival of the next */
#define ACK     0xfa
#define RESEND  0xfe

enum source { FROM_CONTROLLER, FROM_KEYBOARD, FROM_MOUSE };

struct byte_queue {
	u8 data[QUEUE];
	u8 head, tail;
};

struct mouse {
	s32 dx, dy, dz; /* not yet reported */
	u8 buttons, reported;
	u8 id; /* 0, 3 with wheel */
	u8 rate, resolution;
	u8 knock[2]; /* the last two sample rates: the wheel's secret knock is 200, 100, 80 */
	u8 command;  /* waits for its parameter */
	bool reporting, remote, wrap, scale2;
};

struct keyboard {
	u8 set; /* 1 or 2 */
	u8 leds, command, last;
	bool scanning;
};

struct i8042 {
	struct device dev;
	struct irq_line irq1, irq12;
	struct timer next;
	struct byte_queue ctl, kbd, aux; /* waiting bytes of each source */
	struct byte_queue loop; /* D3h: as if from the mouse, even while its port is disabled */
	struct mouse mouse;
	struct keyboard keyboard;
	u8 ram[32];     /* [0] is the configuration byte */
	u8 status, out; /* output buffer */
	u8 command;     /* waits for its data byte at 60h */
	u8 port92;
	bool a20;
};

#define BYTE_QUEUE_FIELDS(V, S, H, P) V(data) V(head) V(tail)
SNAPSHOT(byte_queue_snapshot, "byte-queue", 1, struct byte_queue, BYTE_QUEUE_FIELDS);
/* clang-format off */
#define MOUSE_FIELDS(V, S, H, P) \
	V(dx) V(dy) V(dz) V(buttons) V(reported) V(id) V(rate) V(resolution) V(knock) \
	V(command) V(reporting) V(remote) V(wrap) V(scale2)
/* clang-format on */
SNAPSHOT(mouse_snapshot, "ps2-mouse", 1, struct mouse, MOUSE_FIELDS);
#define KEYBOARD_FIELDS(V, S, H, P) V(set) V(leds) V(command) V(last) V(scanning)
SNAPSHOT(keyboard_snapshot, "ps2-keyboard", 1, struct keyboard, KEYBOARD_FIELDS);
/* clang-format off */
#define I8042_FIELDS(V, S, H, P) \
	H(dev) V(irq1) V(irq12) V(next) S(ctl, byte_queue_snapshot) \
	S(kbd, byte_queue_snapshot) S(aux, byte_queue_snapshot) \
	S(loop, byte_queue_snapshot) S(mouse, mouse_snapshot) \
	S(keyboard, keyboard_snapshot) V(ram) V(status) V(out) V(command) V(port92) V(a20) \
	P(6)
/* clang-format on */
SNAPSHOT(i8042_snapshot, "i8042", 1, struct i8042, I8042_FIELDS);

/* ---- queues and the output buffer -------------------------------------------------------- */

static unsigned queued(const struct byte_queue *q)
{
	return (u8)(q->head - q->tail);
}

/* All of @data or nothing: half a packet would confuse the driver. */
static void push(struct byte_queue *q, const u8 *data, unsigned n)
{
	if (queued(q) + n >= QUEUE)
		return;
	for (unsigned i = 0; i < n; i++)
		q->data[q->head++] = data[i];
}

static void push1(struct byte_queue *q, u8 v)
{
	push(q, &v, 1);
}

static void update_irqs(struct i8042 *k)
{
	bool full = k->status & STATUS_OUT, aux = k->status & STATUS_AUX;
	irq_set(&k->irq1, full && !aux && (k->ram[0] & CONFIG_IRQ1));
	irq_set(&k->irq12, full && aux && (k->ram[0] & CONFIG_IRQ12));
}

static struct byte_queue *next_source(struct i8042 *k)
{
	if (queued(&k->ctl))
		return &k->ctl;
	if (queued(&k->loop))
		return &k->loop;
	if (queued(&k->kbd) && !(k->ram[0] & CONFIG_NO_KBD))
		return &k->kbd;
	if (queued(&k->aux) && !(k->ram[0] & CONFIG_NO_AUX))
		return &k->aux;
	return NULL;
}

static void report_mouse(struct i8042 *k);

static void load_output(struct i8042 *k)
{
	if (k->status & STATUS_OUT)
		return;
	report_mouse(k);
	struct byte_queue *q = next_source(k);
	if (!q)
		return;
	k->out = q->data[q->tail++];
	bool aux = q == &k->aux || q == &k->loop;
	k->status = (u8)((k->status & ~STATUS_AUX) | STATUS_OUT | (aux ? STATUS_AUX : 0));
	update_irqs(k);
}

static void next_fire(void *ctx)
{
	load_output(ctx);
}

/* A device's answer takes a moment, so that the driver is ready for the interrupt. */
static void kick(struct i8042 *k)
{
	if (!k->next.armed && !(k->status & STATUS_OUT))
		timer_arm(&k->next, clock_now(k->dev.env->clock) + NEXT_NS);
}

/* The controller's own answers are there at once: firmware polls for them. */
static void answer(struct i8042 *k, u8 v)
{
	push1(&k->ctl, v);
	load_output(k);
}

/* ---- keyboard ---------------------------------------------------------------------------- */

/* Scan code set 2 for each set-1 code (IBM PS/2 Hardware Interface Technical Reference); the
 * controller translates back. */
static const u8 set1_to_set2[0x60] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x7f, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
};

static bool sends_set1(const struct i8042 *k)
{
	return k->keyboard.set == 1 || (k->ram[0] & CONFIG_TRANSLATE);
}

static void send_key(struct i8042 *k, bool extended, u8 code, bool pressed)
{
	u8 b[3];
	unsigned n = 0;
	if (extended)
		b[n++] = 0xe0;
	if (sends_set1(k)) {
		b[n++] = (u8)(code | (pressed ? 0 : 0x80));
	} else {
		if (!pressed)
			b[n++] = 0xf0;
		b[n++] = set1_to_set2[code];
	}
	push(&k->kbd, b, n);
}

/* Pause sends everything at the press and nothing at the release. */
static void send_pause(struct i8042 *k)
{
	static const u8 set1[] = {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5};
	static const u8 set2[] = {0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77};
	if (sends_set1(k))
		push(&k->kbd, set1, sizeof(set1));
	else
		push(&k->kbd, set2, sizeof(set2));
}

void i8042_key(struct device *d, u16 set1, bool pressed)
{
	struct i8042 *k = (struct i8042 *)d;
	u8 code = set1 & 0x7f;
	if (!k->keyboard.scanning || (k->ram[0] & CONFIG_NO_KBD))
		return;
	if (set1 >> 8 == 0xe1) {
		if (pressed)
			send_pause(k);
	} else if (code && code < sizeof(set1_to_set2)) {
		send_key(k, set1 >> 8 == 0xe0, code, pressed);
	}
	kick(k);
}

static void keyboard_defaults(struct i8042 *k, bool scanning)
{
	k->keyboard = (struct keyboard){.set = 2, .scanning = scanning};
}

static void kbd_reply(struct i8042 *k, u8 v)
{
	k->keyboard.last = v;
	push1(&k->kbd, v);
}

/* The controller translates the identification bytes like any others: ABh 83h becomes ABh 41h. */
static void send_kbd_id(struct i8042 *k)
{
	kbd_reply(k, ACK);
	kbd_reply(k, 0xab);
	kbd_reply(k, k->ram[0] & CONFIG_TRANSLATE ? 0x41 : 0x83);
}

static void keyboard_parameter(struct i8042 *k, u8 command, u8 v)
{
	kbd_reply(k, ACK);
	if (command == 0xed)
		k->keyboard.leds = v & 7;
	if (command != 0xf0)
		return;
	if (v == 0) {
		static const u8 translated[] = {0, 0x43, 0x41, 0x3f};
		kbd_reply(k, k->ram[0] & CONFIG_TRANSLATE ? translated[k->keyboard.set]
							  : k->keyboard.set);
	} else if (v == 3) {
		log_unimplemented(k->dev.env->log, "PS/2 keyboard scan code set 3");
	} else if (v < 3) {
		k->keyboard.set = v;
	}
}

static void write_keyboard(struct i8042 *k, u8 v)
{
	u8 waiting = k->keyboard.command;
	k->keyboard.command = 0;
	if (waiting && v < 0xed) {
		keyboard_parameter(k, waiting, v);
		return;
	}
	switch (v) {
	case 0xed:
	case 0xf0:
	case 0xf3:
		k->keyboard.command = v;
		kbd_reply(k, ACK);
		break;
	case 0xee: kbd_reply(k, 0xee); break;
	case 0xf2: send_kbd_id(k); break;
	case 0xf4:
		k->keyboard.scanning = true;
		kbd_reply(k, ACK);
		break;
	case 0xf5:
	case 0xf6:
		keyboard_defaults(k, v == 0xf6);
		kbd_reply(k, ACK);
		break;
	case 0xf7 ... 0xfd: kbd_reply(k, ACK); break; /* set 3 key types */
	case 0xfe: push1(&k->kbd, k->keyboard.last); break;
	case 0xff:
		k->kbd.tail = k->kbd.head;
		keyboard_defaults(k, true);
		kbd_reply(k, ACK);
		kbd_reply(k, 0xaa);
		break;
	default: kbd_reply(k, RESEND); break;
	}
}

/* ---- mouse ------------------------------------------------------------------------------- */

static void mouse_defaults(struct mouse *m)
{
	u8 buttons = m->buttons;
	*m = (struct mouse){.rate = 100, .resolution = 2, .buttons = buttons, .reported = buttons};
}

static s32 clamp(s32 v, s32 limit)
{
	return v > limit ? limit : v < -limit ? -limit : v;
}

static void send_packet(struct i8042 *k)
{
	struct mouse *m = &k->mouse;
	s32 dx = clamp(m->dx, 255), dy = clamp(m->dy, 255), dz = clamp(m->dz, 7);
	u8 b[4] = {(u8)(8 | (m->buttons & 7) | (dx < 0) << 4 | (dy < 0) << 5), (u8)dx, (u8)dy,
		   (u8)dz};
	m->dx -= dx;
	m->dy -= dy;
	m->dz -= dz;
	m->reported = m->buttons;
	push(&k->aux, b, m->id == 3 ? 4 : 3);
}

/* Stream mode: one packet at a time, made when the last was read, so that motion adds up instead of
 * queueing. */
static void report_mouse(struct i8042 *k)
{
	struct mouse *m = &k->mouse;
	bool news = m->dx || m->dy || (m->dz && m->id == 3) || m->buttons != m->reported;
	if (news && m->reporting && !m->remote && !m->wrap && !queued(&k->aux))
		send_packet(k);
}

void i8042_mouse(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
	struct i8042 *k = (struct i8042 *)d;
	struct mouse *m = &k->mouse;
	m->buttons = buttons & 7;
	if (!m->reporting) {
		m->reported = m->buttons;
		return;
	}
	m->dx = clamp(m->dx + clamp(dx, 0xffff), 0xffff);
	m->dy = clamp(m->dy - clamp(dy, 0xffff), 0xffff); /* PS/2: up is positive */
	m->dz = clamp(m->dz + clamp(wheel, 0xff), 0xff);
	kick(k);
}

u8 i8042_leds(const struct device *d)
{
	return ((const struct i8042 *)d)->keyboard.leds;
}

bool i8042_mouse_wanted(const struct device *d)
{
	return ((const struct i8042 *)d)->mouse.reporting;
}

static void mouse_parameter(struct i8042 *k, u8 command, u8 v)
{
	struct mouse *m = &k->mouse;
	push1(&k->aux, ACK);
	if (command == 0xe8) {
		m->resolution = v & 3;
		return;
	}
	if (m->knock[0] == 200 && m->knock[1] == 100 && v == 80)
		m->id = 3;
	m->knock[0] = m->knock[1];
	m->knock[1] = v;
	m->rate = v;
}

static void send_mouse_status(struct i8042 *k)
{
	const struct mouse *m = &k->mouse;
	u8 b[4] = {ACK,
		   (u8)(m->remote << 6 | m->reporting << 5 | m->scale2 << 4 |
			(m->buttons & 1) << 2 | (m->buttons & 4) >> 1 | (m->buttons & 2) >> 1),
		   m->resolution, m->rate};
	push(&k->aux, b, 4);
}

static void mouse_command(struct i8042 *k, u8 v)
{
	struct mouse *m = &k->mouse;
	switch (v) {
	case 0xe6: m->scale2 = false; break;
	case 0xe7: m->scale2 = true; break;
	case 0xe8:
	case 0xf3: m->command = v; break;
	case 0xe9: send_mouse_status(k); return;
	case 0xea: m->remote = false; break;
	case 0xeb:
		push1(&k->aux, ACK);
		send_packet(k);
		return;
	case 0xee: m->wrap = true; break;
	case 0xf0: m->remote = true; break;
	case 0xf2:
		push1(&k->aux, ACK);
		push1(&k->aux, m->id);
		return;
	case 0xf4: m->reporting = true; break;
	case 0xf5: m->reporting = false; break;
	case 0xf6: mouse_defaults(m); break;
	case 0xff:
		mouse_defaults(m);
		k->aux.tail = k->aux.head;
		push(&k->aux, (const u8[]){ACK, 0xaa, 0x00}, 3);
		return;
	default: push1(&k->aux, RESEND); return;
	}
	push1(&k->aux, ACK);
}

static void write_mouse(struct i8042 *k, u8 v)
{
	struct mouse *m = &k->mouse;
	u8 waiting = m->command;
	m->command = 0;
	if (m->wrap && v != 0xec && v != 0xff)
		push1(&k->aux, v);
	else if (v == 0xec && m->wrap) {
		m->wrap = false;
		push1(&k->aux, ACK);
	} else if (waiting)
		mouse_parameter(k, waiting, v);
	else
		mouse_command(k, v);
}

/* ---- controller -------------------------------------------------------------------------- */

static void set_a20(struct i8042 *k, bool on)
{
	const struct machine_hooks *h = &k->dev.env->hooks;
	if (k->a20 == on)
		return;
	k->a20 = on;
	if (h->a20)
		h->a20(h->ctx, on);
}

/* RC# and port 92h reach the CPU's INIT, not the board's reset (82371SB, "Fast INIT"). */
static void request_reset(struct i8042 *k)
{
	const struct machine_hooks *h = &k->dev.env->hooks;
	if (h->reset)
		h->reset(h->ctx, true);
}

static u8 output_port(const struct i8042 *k)
{
	return (u8)(0xcd | k->a20 << 1 | k->irq1.level << 4 | k->irq12.level << 5);
}

static void write_output_port(struct i8042 *k, u8 v)
{
	set_a20(k, v & 2);
	if (!(v & 1))
		request_reset(k);
}

static void set_config(struct i8042 *k, u8 v)
{
	k->ram[0] = v;
	k->status = (u8)((k->status & ~STATUS_SYSTEM) | (v & CONFIG_SYSTEM));
	update_irqs(k);
	kick(k);
}

static void controller_command(struct i8042 *k, u8 v)
{
	k->command = 0;
	switch (v) {
	case 0x20 ... 0x3f: answer(k, k->ram[v & 31]); break;
	case 0x60 ... 0x7f: k->command = v; break;
	case 0xa1: answer(k, 0); break;    /* firmware version */
	case 0xa4: answer(k, 0xf1); break; /* no password */
	case 0xa7: set_config(k, k->ram[0] | CONFIG_NO_AUX); break;
	case 0xa8: set_config(k, k->ram[0] & (u8)~CONFIG_NO_AUX); break;
	case 0xa9: answer(k, 0); break; /* mouse port test: good */
	case 0xaa:
		k->status |= STATUS_SYSTEM;
		k->ram[0] |= CONFIG_SYSTEM;
		answer(k, 0x55);
		break;
	case 0xab: answer(k, 0); break;
	case 0xad: set_config(k, k->ram[0] | CONFIG_NO_KBD); break;
	case 0xae: set_config(k, k->ram[0] & (u8)~CONFIG_NO_KBD); break;
	case 0xc0: answer(k, 0x80); break; /* input port: keyboard not locked */
	case 0xd0: answer(k, output_port(k)); break;
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xd4: k->command = v; break;
	case 0xdd: set_a20(k, false); break;
	case 0xdf: set_a20(k, true); break;
	case 0xe0: answer(k, 0); break; /* test inputs */
	case 0xf0 ... 0xff:
		if (!(v & 1)) /* pulse output line 0: the reset line */
			request_reset(k);
		break;
	default: log_unimplemented(k->dev.env->log, "8042 command %02xh", v); break;
	}
}

static void write_data(struct i8042 *k, u8 v)
{
	u8 command = k->command;
	k->command = 0;
	switch (command) {
	case 0: /* to the keyboard; the interface opens by itself */
		k->ram[0] &= (u8)~CONFIG_NO_KBD;
		write_keyboard(k, v);
		break;
	case 0x60: set_config(k, v); break;
	case 0x61 ... 0x7f: k->ram[command & 31] = v; break;
	case 0xd1: write_output_port(k, v); break;
	case 0xd2: push1(&k->ctl, v); break;
	case 0xd3: push1(&k->loop, v); break;
	case 0xd4: write_mouse(k, v); break;
	}
	kick(k);
}

static u32 port_read(void *ctx, u16 port, unsigned size)
{
	struct i8042 *k = ctx;
	if (port == 0x64)
		return k->status;
	u8 v = k->out;
	k->status &= (u8) ~(STATUS_OUT | STATUS_AUX);
	update_irqs(k);
	if (queued(&k->ctl))
		load_output(k);
	else
		kick(k);
	return v;
}

static void port_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct i8042 *k = ctx;
	if (port == 0x64) {
		k->status |= STATUS_COMMAND;
		controller_command(k, (u8)value);
	} else {
		k->status &= (u8)~STATUS_COMMAND;
		write_data(k, (u8)value);
	}
}

static u32 port92_read(void *ctx, u16 port, unsigned size)
{
	struct i8042 *k = ctx;
	return (u32)(k->port92 | k->a20 << 1);
}

static void port92_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct i8042 *k = ctx;
	bool go = (value & 1) && !(k->port92 & 1);
	k->port92 = value & 1;
	set_a20(k, value & 2);
	if (go)
		request_reset(k);
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct i8042 *k = (struct i8042 *)d;
	timer_disarm(&k->next);
	memset(&k->ctl, 0, sizeof(k->ctl));
	memset(&k->kbd, 0, sizeof(k->kbd));
	memset(&k->aux, 0, sizeof(k->aux));
	memset(&k->loop, 0, sizeof(k->loop));
	memset(k->ram, 0, sizeof(k->ram));
	/* As a BIOS expects to find it, with translation and interrupts on for systems that start
	 * without one. */
	k->ram[0] = CONFIG_IRQ1 | CONFIG_IRQ12 | CONFIG_TRANSLATE;
	k->status = STATUS_UNLOCKED;
	k->out = k->command = k->port92 = 0;
	k->mouse.buttons = 0;
	mouse_defaults(&k->mouse);
	keyboard_defaults(k, true);
	update_irqs(k);
	set_a20(k, true);
}

static const struct port_ops kbd_ports = {port_read, port_write, IO_1};
static const struct port_ops port92_ports = {port92_read, port92_write, IO_1};

const struct device_type i8042_type = {
    .name = "i8042",
    .help = "keyboard controller with PS/2 keyboard and mouse, port 92h",
    .category = "input",
    .size = sizeof(struct i8042),
    .ports =
	(const struct port_claim[]){
	    {0x60, 1, &kbd_ports}, {0x64, 1, &kbd_ports}, {0x92, 1, &port92_ports}, {0}},
    .irqs = (const struct irq_output[]){{"irq1", offsetof(struct i8042, irq1), 1},
					{"irq12", offsetof(struct i8042, irq12), 12},
					{0}},
    .timers = (const struct timer_decl[]){{"next", offsetof(struct i8042, next), next_fire}, {0}},
    .snapshot = &i8042_snapshot,
    .reset = reset,
    .internal = true,
};
