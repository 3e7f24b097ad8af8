/*
 * Intel 8042 keyboard controller (IBM AT / PS/2 command set) with a PS/2 keyboard (ps2_keyboard.c)
 * and mouse (ps2_mouse.c), ports 60h, 64h, and port 92h (fast A20 and reset). It translates what
 * the keyboard sends from set 2 to set 1 if its configuration says so. The A20 gate is one latch
 * that the controller's output port and port 92h both set. Not modelled: password, parity and
 * time-out errors, the diagnostic dump (ACh).
 */
#include "devices/input/i8042.h"
#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"

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

#define NEXT_NS 20000 /* from the reading of one byte to the arrival of the next */

struct i8042 {
	struct device dev;
	struct irq_line irq1, irq12;
	struct timer next;
	struct ps2_queue ctl;  /* the controller's own answers */
	struct ps2_queue loop; /* D3h: as if from the mouse, even while its port is disabled */
	u8 pad[4];
	struct ps2_keyboard keyboard;
	struct ps2_mouse mouse;
	u8 ram[32];     /* [0] is the configuration byte */
	u8 status, out; /* output buffer */
	u8 command;     /* waits for its data byte at 60h */
	u8 port92;
	bool a20;
	bool breaking; /* translation: F0h was read, the next code is a release */
};

/* clang-format off */
#define I8042_FIELDS(V, S, H, P) \
	H(dev) V(irq1) V(irq12) V(next) S(ctl, ps2_queue_snapshot) S(loop, ps2_queue_snapshot) H(pad) \
	S(keyboard, ps2_keyboard_snapshot) S(mouse, ps2_mouse_snapshot) V(ram) V(status) V(out) \
	V(command) V(port92) V(a20) V(breaking) P(2)
/* clang-format on */
SNAPSHOT(i8042_snapshot, "i8042", 2, struct i8042, I8042_FIELDS);

/* ---- the output buffer ------------------------------------------------------------------- */

static void update_irqs(struct i8042 *k)
{
	bool full = k->status & STATUS_OUT, aux = k->status & STATUS_AUX;
	irq_set(&k->irq1, full && !aux && (k->ram[0] & CONFIG_IRQ1));
	irq_set(&k->irq12, full && aux && (k->ram[0] & CONFIG_IRQ12));
}

/* The controller's table has 128 entries; F7 and SysRq have codes of their own above them. */
static u8 translated(u8 v)
{
	return v < 0x80 ? ps2_set2_to_set1[v] : v == 0x83 ? 0x41 : v == 0x84 ? 0x54 : v;
}

/* The keyboard's next byte as the guest is to see it; false if there is none yet. */
static bool take_from_keyboard(struct i8042 *k)
{
	while (ps2_queued(&k->keyboard.out)) {
		u8 v = ps2_keyboard_take(&k->keyboard);
		if (!(k->ram[0] & CONFIG_TRANSLATE)) {
			k->out = v;
			return true;
		}
		if (v == 0xf0) {
			k->breaking = true;
			continue;
		}
		k->out = (u8)(translated(v) | (k->breaking ? 0x80 : 0));
		k->breaking = false;
		return true;
	}
	return false;
}

enum { NOTHING, FROM_KEYBOARD, FROM_MOUSE };

static unsigned take(struct i8042 *k)
{
	if (ps2_queued(&k->ctl)) {
		k->out = k->ctl.data[k->ctl.tail++];
		return FROM_KEYBOARD;
	}
	if (ps2_queued(&k->loop)) {
		k->out = k->loop.data[k->loop.tail++];
		return FROM_MOUSE;
	}
	if (!(k->ram[0] & CONFIG_NO_KBD) && take_from_keyboard(k))
		return FROM_KEYBOARD;
	if (k->ram[0] & CONFIG_NO_AUX)
		return NOTHING;
	ps2_mouse_poll(&k->mouse);
	if (!ps2_queued(&k->mouse.out))
		return NOTHING;
	k->out = k->mouse.out.data[k->mouse.out.tail++];
	return FROM_MOUSE;
}

static void load_output(struct i8042 *k)
{
	if (k->status & STATUS_OUT)
		return;
	unsigned from = take(k);
	if (from == NOTHING)
		return;
	k->status =
	    (u8)((k->status & ~STATUS_AUX) | STATUS_OUT | (from == FROM_MOUSE ? STATUS_AUX : 0));
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

static void repeat_fire(void *ctx)
{
	struct i8042 *k = ctx;
	ps2_keyboard_repeat(&k->keyboard);
	kick(k);
}

static void sample_fire(void *ctx)
{
	kick(ctx);
}

/* The controller's own answers are there at once: firmware polls for them. */
static void answer(struct i8042 *k, u8 v)
{
	ps2_push1(&k->ctl, v);
	load_output(k);
}

/* ---- keyboard and mouse ------------------------------------------------------------------ */

void i8042_key(struct device *d, u16 set1, bool pressed)
{
	struct i8042 *k = (struct i8042 *)d;
	ps2_keyboard_key(&k->keyboard, set1, pressed);
	kick(k);
}

void i8042_mouse(struct device *d, int dx, int dy, int wheel, unsigned buttons)
{
	struct i8042 *k = (struct i8042 *)d;
	ps2_mouse_move(&k->mouse, dx, dy, wheel, buttons);
	kick(k);
}

u8 i8042_leds(const struct device *d)
{
	return ((const struct i8042 *)d)->keyboard.leds;
}

unsigned i8042_keys_waiting(const struct device *d)
{
	const struct i8042 *k = (const struct i8042 *)d;
	return ps2_queued(&k->keyboard.out) +
	       ((k->status & (STATUS_OUT | STATUS_AUX)) == STATUS_OUT);
}

bool i8042_mouse_wanted(const struct device *d)
{
	return ((const struct i8042 *)d)->mouse.reporting;
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
		ps2_keyboard_write(&k->keyboard, v);
		break;
	case 0x60: set_config(k, v); break;
	case 0x61 ... 0x7f: k->ram[command & 31] = v; break;
	case 0xd1: write_output_port(k, v); break;
	case 0xd2: ps2_push1(&k->ctl, v); break;
	case 0xd3: ps2_push1(&k->loop, v); break;
	case 0xd4: ps2_mouse_write(&k->mouse, v); break;
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
	if (ps2_queued(&k->ctl))
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

static int init(struct device *d, char *err, size_t n)
{
	struct i8042 *k = (struct i8042 *)d;
	k->keyboard.clock = k->mouse.clock = d->env->clock;
	return 0;
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct i8042 *k = (struct i8042 *)d;
	timer_disarm(&k->next);
	memset(&k->ctl, 0, sizeof(k->ctl));
	memset(&k->loop, 0, sizeof(k->loop));
	memset(k->ram, 0, sizeof(k->ram));
	/* As a BIOS expects to find it, with translation and interrupts on for systems that start
	 * without one. */
	k->ram[0] = CONFIG_IRQ1 | CONFIG_IRQ12 | CONFIG_TRANSLATE;
	k->status = STATUS_UNLOCKED;
	k->out = k->command = k->port92 = 0;
	k->breaking = false;
	k->mouse.buttons = 0;
	ps2_mouse_reset(&k->mouse);
	ps2_keyboard_reset(&k->keyboard);
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
    .timers =
	(const struct timer_decl[]){
	    {"next", offsetof(struct i8042, next), next_fire},
	    {"repeat", offsetof(struct i8042, keyboard.repeat), repeat_fire},
	    {"sample", offsetof(struct i8042, mouse.sample), sample_fire},
	    {0}},
    .snapshot = &i8042_snapshot,
    .init = init,
    .reset = reset,
    .internal = true,
};
