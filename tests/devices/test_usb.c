/* UHCI and the tablet, frame list, queue heads, transfer descriptors (UHCI Design Guide 1.1; USB 2.0, 9.4). */
#include "devices/usb/usb.h"
#include "tests/devices/board.h"

#define UHCI   (1 << 3 | 2)
#define BASE   0xc0e0
#define FRAMES 0x10000u
#define QH     0x12000u
#define TDS    0x13000u
#define BUFFER 0x14000u
#define MS     1000000u

#define CMD 0x00
#define STS 0x02
#define PORT1 0x10

#define ACTIVE  0x00800000u
#define STALLED 0x00400000u
#define NAK     0x00080000u
#define TIMEOUT 0x00040000u
#define IOC     0x01000000u
#define SPD     0x20000000u

struct rig {
	struct board *b;
	struct device *tablet;
	unsigned tds;
};

static u32 in(struct rig *r, unsigned reg)
{
	return bus_io_read(&r->b->bus, (u16)(BASE + reg), 2);
}

static void out(struct rig *r, unsigned reg, u32 v)
{
	bus_io_write(&r->b->bus, (u16)(BASE + reg), v, 2);
}

static struct rig rig_new(void)
{
	struct rig r = {.b = board_new(1)};
	char err[200] = "";
	struct device *c = device_create(&r.b->pc.env, "piix3-usb-uhci", NULL, NULL, err, sizeof(err));
	ck_assert_msg(c != NULL, "%s", err);
	r.tablet = device_create(&r.b->pc.env, "usb-tablet", NULL, NULL, err, sizeof(err));
	ck_assert_msg(r.tablet != NULL, "%s", err);
	ck_assert_uint_eq(cfg_read(r.b, UHCI, 0, 4), 0x70208086);
	ck_assert_uint_eq(cfg_read(r.b, UHCI, 9, 2), 0x0300);
	cfg_write(r.b, UHCI, 0x20, BASE, 4);
	cfg_write(r.b, UHCI, 4, 5, 2);
	for (unsigned i = 0; i < 1024; i++)
		mm_write(r.b, FRAMES + i * 4, QH | 2);
	mm_write(r.b, QH, 1);
	mm_write(r.b, QH + 4, 1);
	bus_io_write(&r.b->bus, BASE + 8, FRAMES, 4);
	out(&r, 4, 0xf);
	return r;
}

/* Resets port 1, enables it, and lets frames run. */
static void start(struct rig *r)
{
	out(r, PORT1, 0x200);
	board_wait(r->b, 50 * MS);
	out(r, PORT1, 0);
	out(r, PORT1, 0x000e); /* enable; both changes seen */
	out(r, CMD, 0xc1);
	board_wait(r->b, MS);
}

static u32 td_control(struct rig *r, unsigned n)
{
	return mm_read(r->b, TDS + n * 16 + 4);
}

/* Adds a descriptor of @n bytes at @buffer to the queue. */
static void add(struct rig *r, unsigned pid, unsigned address, unsigned endpoint, u32 buffer, unsigned n, u32 flags)
{
	u32 at = TDS + r->tds * 16;
	mm_write(r->b, at, 1);
	mm_write(r->b, at + 4, ACTIVE | 3u << 27 | flags);
	mm_write(r->b, at + 8, (n - 1) << 21 | endpoint << 15 | address << 8 | pid);
	mm_write(r->b, at + 12, buffer);
	if (r->tds)
		mm_write(r->b, at - 16, at | 4);
	r->tds++;
}

static void go(struct rig *r, unsigned ms)
{
	mm_write(r->b, QH + 4, TDS);
	board_wait(r->b, (u64)ms * MS);
	r->tds = 0;
}

/* A control transfer without data, or with @n bytes to the host at BUFFER + 64. */
static u32 control(struct rig *r, unsigned address, const u8 *setup, unsigned n)
{
	for (unsigned i = 0; i < 8; i++)
		bus_mem_write(&r->b->bus, BUFFER + i, setup[i], 1);
	add(r, USB_SETUP, address, 0, BUFFER, 8, 0);
	for (unsigned at = 0; at < n; at += 8)
		add(r, USB_IN, address, 0, BUFFER + 64 + at, MIN(8u, n - at), 0);
	add(r, n ? USB_OUT : USB_IN, address, 0, 0, 0, IOC);
	unsigned last = r->tds - 1;
	go(r, 10);
	return td_control(r, last);
}

static void configure(struct rig *r)
{
	start(r);
	ck_assert_uint_eq(control(r, 0, (const u8[]){0, 5, 7, 0, 0, 0, 0, 0}, 0) & (ACTIVE | STALLED), 0);
	ck_assert_uint_eq(control(r, 7, (const u8[]){0, 9, 1, 0, 0, 0, 0, 0}, 0) & (ACTIVE | STALLED), 0);
	out(r, STS, 0x1f);
}

START_TEST(ports_and_reset)
{
	struct rig r = rig_new();
	ck_assert_uint_eq(in(&r, PORT1) & 0x8f, 0x83); /* connected, changed */
	ck_assert_uint_eq(in(&r, PORT1 + 2) & 0x8f, 0x80);
	ck_assert_uint_eq(in(&r, PORT1 + 4), 0xff7f); /* there is no third */
	ck_assert_uint_eq(in(&r, STS), 0x20);
	out(&r, PORT1, 2);
	ck_assert_uint_eq(in(&r, PORT1) & 0xf, 1);
	out(&r, PORT1, 0x200 | 4);
	ck_assert_uint_eq(in(&r, PORT1) & 0x204, 0x200); /* no enabling during reset */
	out(&r, PORT1, 4);
	ck_assert_uint_eq(in(&r, PORT1) & 0x205, 5);
	out(&r, CMD, 2);
	ck_assert_uint_eq(in(&r, CMD), 0);
	ck_assert_uint_eq(in(&r, PORT1) & 0xf, 3);
	board_free(r.b);
}
END_TEST

START_TEST(descriptors_in_pieces)
{
	struct rig r = rig_new();
	start(&r);
	ck_assert_uint_eq(control(&r, 0, (const u8[]){0x80, 6, 0, 1, 0, 0, 18, 0}, 18) & (ACTIVE | STALLED), 0);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 64), 0x01100112); /* 18 bytes, device, USB 1.1 */
	ck_assert_uint_eq(td_control(&r, 3) & 0x7ff, 1);          /* the last piece: two bytes */
	ck_assert_uint_eq(in(&r, STS), 1);
	out(&r, STS, 1);
	ck_assert_uint_eq(in(&r, STS), 0);
	control(&r, 0, (const u8[]){0x80, 6, 2, 3, 0x09, 4, 64, 0}, 64);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 64), 'U' << 16 | 0x0300 | 22); /* "USB Tablet" */
	board_free(r.b);
}
END_TEST

START_TEST(unknown_requests_stall)
{
	struct rig r = rig_new();
	configure(&r);
	u32 c = control(&r, 7, (const u8[]){0x80, 6, 0, 9, 0, 0, 8, 0}, 8);
	ck_assert_uint_eq(c & ACTIVE, ACTIVE); /* not reached */
	ck_assert_uint_eq(td_control(&r, 1) & (ACTIVE | STALLED), STALLED);
	ck_assert_uint_eq(in(&r, STS), 2);
	/* The next request finds the endpoint at work again. */
	ck_assert_uint_eq(control(&r, 7, (const u8[]){0x80, 8, 0, 0, 0, 0, 1, 0}, 1) & (ACTIVE | STALLED), 0);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 64) & 0xff, 1);
	board_free(r.b);
}
END_TEST

START_TEST(nobody_answers_for_three_tries)
{
	struct rig r = rig_new();
	start(&r);
	add(&r, USB_IN, 99, 0, BUFFER, 8, IOC);
	go(&r, 1);
	ck_assert_uint_eq(td_control(&r, 0) & (ACTIVE | TIMEOUT), ACTIVE | TIMEOUT);
	board_wait(r.b, 5 * MS);
	ck_assert_uint_eq(td_control(&r, 0) & (ACTIVE | STALLED | TIMEOUT), STALLED | TIMEOUT);
	ck_assert_uint_eq(in(&r, STS) & 2, 2);
	board_free(r.b);
}
END_TEST

/* Until something happens there is NAK and no interrupt; the report comes within a frame even after long silence. */
START_TEST(positions_wake_the_controller)
{
	struct rig r = rig_new();
	configure(&r);
	add(&r, USB_IN, 7, 1, BUFFER, 8, IOC | SPD);
	go(&r, 500);
	ck_assert_uint_eq(td_control(&r, 0) & (ACTIVE | NAK), ACTIVE | NAK);
	ck_assert_uint_eq(in(&r, STS), 0);
	ck_assert(pc_input_state(&r.b->pc).pointer_wanted);
	pc_pointer(&r.b->pc, 0x1234, 0x5678, -1, 5);
	board_wait(r.b, MS);
	ck_assert_uint_eq(td_control(&r, 0) & (ACTIVE | 0x7ff), 5);
	ck_assert_uint_eq(mm_read(r.b, BUFFER), 0x78123405);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 4) & 0xffff, 0x0156);
	ck_assert_uint_eq(in(&r, STS), 1);
	ck_assert_uint_eq(mm_read(r.b, QH + 4), TDS); /* a short packet: the queue stays */
	board_wait(r.b, 3000ull * MS);
	ck_assert(!pc_input_state(&r.b->pc).pointer_wanted); /* the driver has stopped asking */
	board_free(r.b);
}
END_TEST

/* A click between two polls, and motion behind it, stay apart; motion alone is merged. */
START_TEST(clicks_are_not_lost)
{
	struct rig r = rig_new();
	configure(&r);
	add(&r, USB_IN, 7, 1, BUFFER, 6, 0);
	go(&r, 5);
	for (unsigned i = 1; i <= 10; i++)
		pc_pointer(&r.b->pc, i, 0, 0, 0);
	pc_pointer(&r.b->pc, 10, 0, 0, 1);
	pc_pointer(&r.b->pc, 20, 0, 0, 1);
	pc_pointer(&r.b->pc, 20, 0, 0, 0);
	add(&r, USB_IN, 7, 1, BUFFER, 6, 0);
	add(&r, USB_IN, 7, 1, BUFFER + 8, 6, 0);
	add(&r, USB_IN, 7, 1, BUFFER + 16, 6, 0);
	add(&r, USB_IN, 7, 1, BUFFER + 24, 6, 0);
	add(&r, USB_IN, 7, 1, BUFFER + 32, 6, 0);
	go(&r, 5);
	ck_assert_uint_eq(mm_read(r.b, BUFFER), 10 << 8);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 8), 10 << 8 | 1);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 16), 20 << 8 | 1);
	ck_assert_uint_eq(mm_read(r.b, BUFFER + 24), 20 << 8);
	ck_assert_uint_eq(td_control(&r, 4) & (ACTIVE | NAK), ACTIVE | NAK);
	board_free(r.b);
}
END_TEST

/* A schedule that is a loop, as bandwidth reclamation makes it, and one without a queue. */
START_TEST(loops_end)
{
	struct rig r = rig_new();
	configure(&r);
	mm_write(r.b, QH, QH | 2);
	add(&r, USB_IN, 7, 1, BUFFER, 6, 0);
	go(&r, 20);
	ck_assert_uint_eq(td_control(&r, 0) & (ACTIVE | NAK), ACTIVE | NAK);
	mm_write(r.b, TDS, TDS); /* a descriptor that follows itself */
	mm_write(r.b, TDS + 4, 0);
	for (unsigned i = 0; i < 1024; i++)
		mm_write(r.b, FRAMES + i * 4, TDS);
	board_wait(r.b, 20 * MS);
	u32 before = in(&r, 6);
	board_wait(r.b, 100 * MS);
	ck_assert_uint_eq((in(&r, 6) - before) & 0x7ff, 100);
	ck_assert_uint_eq(in(&r, STS) & 0x10, 0);
	mm_write(r.b, TDS + 4, ACTIVE);
	mm_write(r.b, TDS + 8, 0x7fdu << 21 | USB_IN); /* too long */
	board_wait(r.b, 20 * MS);
	ck_assert_uint_eq(in(&r, STS) & 0x30, 0x30);
	ck_assert_uint_eq(in(&r, CMD) & 1, 0);
	board_free(r.b);
}
END_TEST

START_TEST(state_survives_a_snapshot)
{
	struct rig r = rig_new(), s = rig_new();
	configure(&r);
	add(&r, USB_IN, 7, 1, BUFFER, 6, 0);
	go(&r, 5);
	pc_pointer(&r.b->pc, 77, 88, 0, 1);
	struct snap_buf buf = {0};
	pc_save(&r.b->pc, &buf);
	struct snap_reader reader = {.data = buf.data, .len = buf.len};
	s.b->now_ns = r.b->now_ns;
	ck_assert_int_eq(pc_load(&s.b->pc, &reader), 0);
	memcpy(s.b->ram, r.b->ram, BOARD_RAM);
	ck_assert_uint_eq(pc_hash(&r.b->pc, 1), pc_hash(&s.b->pc, 1));
	board_wait(s.b, 2 * MS);
	ck_assert_uint_eq(mm_read(s.b, BUFFER), 88 << 24 | 77 << 8 | 1);
	free(buf.data);
	board_free(r.b);
	board_free(s.b);
}
END_TEST

START_TEST(a_tablet_needs_a_controller)
{
	struct board *b = board_new(1);
	char err[200] = "";
	ck_assert_ptr_null(device_create(&b->pc.env, "usb-tablet", NULL, NULL, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "-usb"));
	pc_pointer(&b->pc, 1, 1, 0, 0);
	board_free(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("usb");
	ADD_ALL(s, ports_and_reset, descriptors_in_pieces, unknown_requests_stall, nobody_answers_for_three_tries,
		positions_wake_the_controller, clicks_are_not_lost, loops_end, state_survives_a_snapshot, a_tablet_needs_a_controller);
	return run_suite(s);
}
