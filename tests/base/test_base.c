/* clock, irq, bus, input queue, snapshots, config, log. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/suite.h"
#include "base/bus.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/host.h"
#include "base/input.h"
#include "base/irq.h"
#include "base/keymap.h"
#include "base/log.h"
#include "base/snapshot.h"

/* ---- clock ------------------------------------------------------------------------------- */

struct world {
	u64 now;
	unsigned sooner;
	char order[16];
	struct clock clock;
	struct timer t[3];
};

static u64 world_now(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static void world_sooner(void *ctx)
{
	((struct world *)ctx)->sooner++;
}

#define FIRE(n)                                                                                    \
	static void fire##n(void *ctx)                                                             \
	{                                                                                          \
		strcat(((struct world *)ctx)->order, #n);                                          \
	}
FIRE(0)
FIRE(1)
FIRE(2)

static void world_init(struct world *w)
{
	static void (*const fire[])(void *) = {fire0, fire1, fire2};
	memset(w, 0, sizeof(*w));
	clock_init(&w->clock, world_now, world_sooner, w);
	for (unsigned i = 0; i < 3; i++)
		timer_init(&w->t[i], &w->clock, fire[i], w);
}

START_TEST(timers_fire_in_order)
{
	struct world w;
	world_init(&w);
	ck_assert_uint_eq(clock_next_deadline(&w.clock), CLOCK_NEVER);
	timer_arm(&w.t[2], 10);
	timer_arm(&w.t[1], 20);
	timer_arm(&w.t[0], 20); /* tie: the older timer first */
	ck_assert_uint_eq(clock_next_deadline(&w.clock), 10);
	clock_run(&w.clock);
	ck_assert_str_eq(w.order, "");
	w.now = 20;
	clock_run(&w.clock);
	ck_assert_str_eq(w.order, "201");
	clock_run(&w.clock);
	ck_assert_str_eq(w.order, "201");
}
END_TEST

START_TEST(disarm_and_rearm)
{
	struct world w;
	world_init(&w);
	timer_arm(&w.t[0], 10);
	timer_arm(&w.t[1], 5);
	timer_disarm(&w.t[1]);
	timer_disarm(&w.t[1]);
	timer_arm(&w.t[0], 30);
	w.now = 29;
	clock_run(&w.clock);
	ck_assert_str_eq(w.order, "");
	w.now = 30;
	clock_run(&w.clock);
	ck_assert_str_eq(w.order, "0");
}
END_TEST

START_TEST(nearer_deadline_is_announced)
{
	struct world w;
	world_init(&w);
	timer_arm(&w.t[0], 10);
	timer_arm(&w.t[1], 20);
	ck_assert_uint_eq(w.sooner, 1);
	timer_arm(&w.t[2], 9);
	ck_assert_uint_eq(w.sooner, 2);
}
END_TEST

START_TEST(tick_conversion_saturates)
{
	ck_assert_uint_eq(ticks_to_ns(1, 1000000000), 1);
	ck_assert_uint_eq(ticks_to_ns(1, 3), 333333334);
	ck_assert_uint_eq(ns_to_ticks(1000000000, 1193182), 1193182);
	ck_assert_uint_eq(ticks_to_ns(UINT64_MAX, 1), UINT64_MAX);
	for (u64 n = 0; n < 100000; n += 37)
		ck_assert_uint_eq(ns_to_ticks(ticks_to_ns(n, 1193182), 1193182), n);
}
END_TEST

/* ---- irq --------------------------------------------------------------------------------- */

static void count_changes(void *ctx, unsigned n, bool level)
{
	*(int *)ctx += level ? 1 : 100;
}

START_TEST(lines_report_changes_only)
{
	int changes = 0;
	struct irq_or o = {0};
	irq_connect(&o.out, count_changes, &changes, 0);
	irq_or_sink(&o, 0, true);
	irq_or_sink(&o, 1, true);
	irq_or_sink(&o, 0, false);
	ck_assert_int_eq(changes, 1);
	irq_or_sink(&o, 1, false);
	ck_assert_int_eq(changes, 101);
}
END_TEST

/* ---- bus --------------------------------------------------------------------------------- */

static u32 echo_port(void *ctx, u16 port, unsigned size)
{
	return (u32)port * 0x10001 + size;
}

static void note_write(void *ctx, u16 port, u32 value, unsigned size)
{
	snprintf((char *)ctx + strlen(ctx), 64, "%x:%x/%u ", port, value, size);
}

START_TEST(ports_overlap_is_rejected)
{
	struct bus *b = calloc(1, sizeof(*b));
	static const struct port_ops ops = {echo_port, NULL, IO_1};
	bus_init(b, NULL, NULL);
	ck_assert_int_gt(bus_add_ports(b, 0x10, 4, &ops, NULL, "a"), 0);
	ck_assert_int_eq(bus_add_ports(b, 0x13, 1, &ops, NULL, "b"), -EEXIST);
	ck_assert_int_eq(bus_add_ports(b, 0xffff, 2, &ops, NULL, "b"), -EINVAL);
	ck_assert_int_eq(bus_add_ports(b, 0, 0, &ops, NULL, "b"), -EINVAL);
	int slot = bus_add_ports(b, 0xffff, 1, &ops, NULL, "c");
	ck_assert_int_gt(slot, 0);
	bus_remove_ports(b, slot);
	ck_assert_uint_eq(bus_io_read(b, 0xffff, 1), 0xff);
	free(b);
}
END_TEST

START_TEST(ports_split_by_size)
{
	struct bus *b = calloc(1, sizeof(*b));
	char text[256] = "";
	static const struct port_ops bytes = {NULL, note_write, IO_1},
				     words = {NULL, note_write, IO_2};
	bus_init(b, NULL, NULL);
	bus_add_ports(b, 0x10, 2, &bytes, text, "bytes");
	bus_add_ports(b, 0x12, 2, &words, text, "words");
	bus_io_write(b, 0x10, 0x44332211, 4);
	ck_assert_str_eq(text, "10:11/1 11:22/1 12:4433/2 ");
	text[0] = 0;
	bus_io_write(b, 0x12, 0x55, 1); /* a byte to a word register reaches nothing */
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(bus_io_read(b, 0x10, 4), 0xffffffff);
	free(b);
}
END_TEST

static u64 mmio_echo(void *ctx, u64 offset, unsigned size)
{
	return offset << 8 | size;
}

static void mmio_note(void *ctx, u64 offset, u64 value, unsigned size)
{
	snprintf((char *)ctx + strlen(ctx), 64, "%llx:%llx/%u ", (unsigned long long)offset,
		 (unsigned long long)value, size);
}

struct hook_counts {
	unsigned map, written;
};

static void on_map(void *ctx)
{
	((struct hook_counts *)ctx)->map++;
}

static void on_written(void *ctx, u64 gpa, u64 n)
{
	((struct hook_counts *)ctx)->written += (unsigned)n;
}

START_TEST(regions_priority_and_pages)
{
	struct bus *b = calloc(1, sizeof(*b));
	static u8 ram[0x4000], rom[0x1000];
	struct hook_counts n = {0};
	const struct bus_hooks hooks = {
	    .ctx = &n, .map_changed = on_map, .ram_written = on_written};
	bool writable;
	int err;
	bus_init(b, &hooks, NULL);
	struct mem_region r = {.base = 0,
			       .size = sizeof(ram),
			       .host = ram,
			       .kind = MEM_RAM,
			       .name = "ram",
			       .reads = true,
			       .writes = true};
	struct mem_region *low = bus_add_mem(b, &r, &err);
	ck_assert_ptr_null(bus_add_mem(b, &r, &err));
	ck_assert_int_eq(err, -EEXIST);
	struct mem_region o = {.base = 0x1000,
			       .size = 0x1000,
			       .host = rom,
			       .kind = MEM_ROM,
			       .name = "rom",
			       .prio = 1,
			       .reads = true,
			       .writes = true};
	struct mem_region *over = bus_add_mem(b, &o, &err);
	ck_assert_uint_eq(n.map, 2);
	ck_assert_ptr_eq(bus_ram_page(b, 0x0fff, &writable), ram);
	ck_assert(writable);
	ck_assert_ptr_eq(bus_ram_page(b, 0x1234, &writable), rom);
	ck_assert(!writable);
	ck_assert_ptr_eq(bus_ram_page(b, 0x2000, &writable), ram + 0x2000);
	ck_assert_ptr_null(bus_ram_page(b, 0x4000, &writable));
	bus_enable_mem(b, over, true, false);
	bus_mem_write(b, 0x1000, 0x77, 1); /* through to the RAM below */
	ck_assert_uint_eq(ram[0x1000], 0x77);
	ck_assert_uint_eq(bus_mem_read(b, 0x1000, 1), 0);
	bus_batch_begin(b);
	bus_remove_mem(b, over);
	bus_enable_mem(b, low, true, false);
	bus_batch_end(b);
	ck_assert_uint_eq(n.map, 4);
	bus_ram_page(b, 0x1000, &writable);
	ck_assert(!writable);
	u64 x = 0x1122334455667788;
	ck_assert_int_eq(dma_write(b, 0, 0x3ffc, &x, 8), -EFAULT);
	bus_enable_mem(b, low, true, true);
	ck_assert_int_eq(dma_write(b, 0, 0x3ffc, &x, 8), -EFAULT); /* half of it is outside */
	ck_assert_uint_eq(n.written, 4);
	ck_assert_uint_eq(bus_mem_read(b, 0x3ffc, 8), 0xffffffff55667788);
	ck_assert_int_eq(dma_read(b, 0, 0x3ffc, &x, 8), -EFAULT);
	ck_assert_uint_eq(x, 0xffffffff55667788);
	free(b);
}
END_TEST

START_TEST(mmio_splits_and_ends)
{
	struct bus *b = calloc(1, sizeof(*b));
	char text[256] = "";
	int err;
	static const struct mmio_ops ops = {mmio_echo, mmio_note, 4};
	bus_init(b, NULL, NULL);
	struct mem_region r = {.base = UINT64_MAX - 0xf,
			       .size = 16,
			       .ops = &ops,
			       .ctx = text,
			       .name = "top",
			       .kind = MEM_MMIO,
			       .reads = true,
			       .writes = true};
	ck_assert_ptr_nonnull(bus_add_mem(b, &r, &err));
	bus_mem_write(b, UINT64_MAX - 0xf, 0x1111111122222222, 8);
	ck_assert_str_eq(text, "0:22222222/4 4:11111111/4 ");
	ck_assert_uint_eq(bus_mem_read(b, UINT64_MAX - 0xb, 4), 0x404);
	ck_assert_uint_eq(bus_mem_read(b, UINT64_MAX - 0x11, 4), 0x0102ffff & ~0x01000000u);
	r.size = 17;
	ck_assert_ptr_null(bus_add_mem(b, &r, &err));
	ck_assert_int_eq(err, -EINVAL);
	free(b);
}
END_TEST

/* ---- input ------------------------------------------------------------------------------- */

static void take_event(void *ctx, const struct input_event *ev)
{
	snprintf((char *)ctx + strlen(ctx), 64, "%llu:%c ", (unsigned long long)ev->icount,
		 ev->data[0]);
}

START_TEST(input_is_stamped_and_replayed)
{
	static struct input_queue q;
	char text[256] = "";
	input_init(&q, take_event, text);
	ck_assert(input_push(&q, INPUT_SERIAL, 0, "a", 1));
	ck_assert(input_push(&q, INPUT_SERIAL, 0, "b", 1));
	ck_assert_uint_eq(input_drain(&q, 42, 0), 2);
	ck_assert_str_eq(text, "42:a 42:b ");
	ck_assert(!input_push(&q, INPUT_SERIAL, 0, text, 17));
	struct input_event log[2] = {{.icount = 5, .data = "x"}, {.icount = 9, .data = "y"}};
	q.replay = log;
	q.replay_count = 2;
	text[0] = 0;
	ck_assert_uint_eq(input_next(&q), 5);
	ck_assert_uint_eq(input_drain(&q, 4, 0), 0);
	ck_assert_uint_eq(input_drain(&q, 8, 0), 1);
	ck_assert_uint_eq(input_drain(&q, 9, 0), 1);
	ck_assert_str_eq(text, "5:x 9:y ");
	ck_assert_uint_eq(input_next(&q), UINT64_MAX);
}
END_TEST

START_TEST(full_inbox_refuses)
{
	static struct input_queue q;
	char text[64 * 1024] = "";
	input_init(&q, take_event, text);
	for (unsigned i = 0; i < INPUT_INBOX; i++)
		ck_assert(input_push(&q, 0, 0, "z", 1));
	ck_assert_uint_eq(input_room(&q), 0);
	ck_assert(!input_push(&q, 0, 0, "z", 1));
}
END_TEST

/* ---- snapshots --------------------------------------------------------------------------- */

struct part {
	u16 a;
	u8 b[3];
	u8 pad;
};

struct whole {
	void *host;
	struct timer timer;
	struct irq_line line;
	u64 big;
	struct part parts[2];
	bool flag;
};

#define PART_FIELDS(V, S, H, P) V(a) V(b) H(pad)
SNAPSHOT(part_snapshot, "part", 1, struct part, PART_FIELDS);
/* clang-format off */
#define WHOLE_FIELDS(V, S, H, P) \
	H(host) V(timer) V(line) V(big) S(parts, part_snapshot) V(flag) P(3)
/* clang-format on */
SNAPSHOT(whole_snapshot, "whole", 3, struct whole, WHOLE_FIELDS);

START_TEST(snapshot_round_trip)
{
	struct world w;
	struct snap_buf buf = {0};
	world_init(&w);
	struct whole x = {
	    .host = &w, .big = 77, .parts = {{1, {2, 3, 4}, 0}, {5, {6, 7, 8}, 0}}, .flag = true};
	timer_init(&x.timer, &w.clock, fire0, &w);
	timer_arm(&x.timer, 1234);
	x.line.level = true;
	snapshot_save(&buf, &whole_snapshot, "it", &x);
	snapshot_save_bytes(&buf, "ram", "hello", 5);
	u64 hash = snapshot_hash(1, &whole_snapshot, &x);
	struct whole y = {.host = (void *)5};
	timer_init(&y.timer, &w.clock, fire1, &w);
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_str_eq(snapshot_next(&r), "it");
	ck_assert_int_eq(snapshot_load(&r, &whole_snapshot, "it", &y), 0);
	ck_assert_uint_eq(snapshot_hash(1, &whole_snapshot, &y), hash);
	ck_assert_ptr_eq(y.host, (void *)5);
	ck_assert(y.timer.armed && y.timer.deadline_ns == 1234 && y.timer.fire == fire1);
	ck_assert(y.line.level && y.flag && y.parts[1].b[2] == 8);
	char ram[5];
	ck_assert_int_eq(snapshot_load_bytes(&r, "ram", ram, 4), -EINVAL);
	r.pos = 0;
	ck_assert_int_eq(snapshot_load(&r, &whole_snapshot, "other", &y), -EINVAL);
	ck_assert_ptr_nonnull(strstr(r.error, "it"));
	y.parts[1].b[2] = 9;
	ck_assert_uint_ne(snapshot_hash(1, &whole_snapshot, &y), hash);
	free(buf.data);
}
END_TEST

START_TEST(snapshot_names_what_it_refuses)
{
	struct part p = {1, {2, 3, 4}, 0};
	struct snap_buf buf = {0};
	snapshot_save(&buf, &part_snapshot, "p", &p);
	struct snapshot_desc newer = part_snapshot;
	newer.version = 2;
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_int_eq(snapshot_load(&r, &newer, "p", &p), -EINVAL);
	ck_assert_ptr_nonnull(strstr(r.error, "version"));
	for (size_t i = 0; i < buf.len;
	     i++) { /* any flipped byte is refused or changes a value: never a crash */
		buf.data[i] ^= 0x41;
		r = (struct snap_reader){.data = buf.data, .len = buf.len};
		(void)!snapshot_load(&r, &part_snapshot, "p", &p);
		buf.data[i] ^= 0x41;
	}
	free(buf.data);
}
END_TEST

/* ---- config ------------------------------------------------------------------------------ */

struct settings {
	bool on;
	u64 count, size;
	u32 mode;
	char text[PROP_TEXT_SIZE];
};

static const char *const modes[] = {"slow", "fast", NULL};
static const struct prop props[] = {
    {"on", PROP_BOOL, offsetof(struct settings, on), "off", "", 0, 0, NULL},
    {"count", PROP_UINT, offsetof(struct settings, count), "3", "", 1, 9, NULL},
    {"size", PROP_SIZE, offsetof(struct settings, size), "1M", "", 0, 0, NULL},
    {"mode", PROP_ENUM, offsetof(struct settings, mode), "fast", "", 0, 0, modes},
    {"text", PROP_TEXT, offsetof(struct settings, text), "", "", 0, 0, NULL},
    {0},
};

START_TEST(config_parses)
{
	struct settings s;
	char err[200], out[64];
	config_defaults(props, &s);
	ck_assert(!s.on && s.count == 3 && s.size == 1048576 && s.mode == 1);
	ck_assert_int_eq(
	    config_parse(props, &s, "on,count=0x7,size=2G,mode=slow,text=a,,b", err, sizeof(err)),
	    0);
	ck_assert(s.on && s.count == 7 && s.size == 2ull << 30 && s.mode == 0);
	ck_assert_str_eq(s.text, "a,b");
	config_get(&props[3], &s, out, sizeof(out));
	ck_assert_str_eq(out, "slow");
}
END_TEST

START_TEST(config_errors_help)
{
	struct settings s;
	static const struct {
		const char *text, *want;
	} bad[] = {{"cuont=1", "did you mean 'count'"},  {"count=10", "outside 1..9"},
		   {"count=x", "not a number"},          {"size=1Q", "not a size"},
		   {"mode=fats", "did you mean 'fast'"}, {"on=maybe", "neither"},
		   {"zzzzzzzzz=1", "no property"},       {"count=-1", "not a number"},
		   {"count=99999999999999999999", "not"}};
	config_defaults(props, &s);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		char err[300] = "";
		ck_assert_int_eq(config_parse(props, &s, bad[i].text, err, sizeof(err)), -EINVAL);
		ck_assert_msg(strstr(err, bad[i].want) != NULL, "%s: %s", bad[i].text, err);
	}
}
END_TEST

START_TEST(nearest_is_case_blind_and_modest)
{
	static const char *const list[] = {"skylake", "haswell", "pentium", NULL};
	ck_assert_str_eq(nearest("Skylak", list), "skylake");
	ck_assert_str_eq(nearest("hasewll", list), "haswell");
	ck_assert_ptr_null(nearest("zq", list));
}
END_TEST

/* ---- host, log --------------------------------------------------------------------------- */

START_TEST(files_are_read_and_replaced)
{
	char path[] = "/tmp/orrery-test-XXXXXX";
	u8 *data;
	u64 n;
	ck_assert_ptr_nonnull(mkdtemp(path));
	char file[64];
	snprintf(file, sizeof(file), "%s/x", path);
	ck_assert_int_eq(host_file_read(file, 100, &data, &n), -ENOENT);
	ck_assert_int_eq(host_file_write_atomic(file, "hello", 5), 0);
	ck_assert_int_eq(host_file_read(file, 4, &data, &n), -EFBIG);
	ck_assert_int_eq(host_file_read(file, 5, &data, &n), 0);
	ck_assert_uint_eq(n, 5);
	ck_assert_str_eq((char *)data, "hello");
	free(data);
	ck_assert_int_eq(host_file_read(path, 100, &data, &n), -EISDIR);
	ck_assert_int_eq(host_file_read("/dev/null", 100, &data, &n), -ESPIPE);
	ck_assert_int_eq(host_file_write_atomic(path, "hello", 5), -EISDIR);
	remove(file);
	remove(path);
}
END_TEST

/* What is no regular file is written to, not replaced; a link goes on leading where it led. */
START_TEST(devices_and_links_are_kept)
{
	char path[] = "/tmp/orrery-test-XXXXXX", file[64], other[64];
	struct stat st;
	u8 *data;
	u64 n;
	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(file, sizeof(file), "%s/x", path);
	snprintf(other, sizeof(other), "%s/y", path);
	ck_assert_int_eq(symlink("/dev/full", file), 0);
	ck_assert_int_eq(host_file_write_atomic(file, "hello", 5), -ENOSPC);
	ck_assert_int_eq(stat("/dev/full", &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
	ck_assert_int_eq(remove(file), 0);
	ck_assert_int_eq(host_file_write_atomic(other, "old", 3), 0);
	ck_assert_int_eq(symlink("y", file), 0);
	ck_assert_int_eq(host_file_write_atomic(file, "hello", 5), 0);
	ck_assert_int_eq(lstat(file, &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	ck_assert_int_eq(host_file_read(other, 5, &data, &n), 0);
	ck_assert_uint_eq(n, 5);
	free(data);
	remove(file);
	remove(other);
	remove(path);
}
END_TEST

/* Asked before a run whether it can be written after it. */
START_TEST(what_can_be_written_is_known_without_writing)
{
	char path[] = "/tmp/orrery-test-XXXXXX", file[64];
	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(file, sizeof(file), "%s/x", path);
	ck_assert_int_eq(host_file_check(file), 0);
	ck_assert_int_ne(access(file, F_OK), 0);
	ck_assert_int_eq(host_file_check(path), -EISDIR);
	ck_assert_int_eq(host_file_check("/dev/null"), 0);
	ck_assert_int_eq(host_file_check("no-such-folder/x"), -ENOENT);
	ck_assert_int_eq(host_file_check(""), -ENOENT);
	remove(path);
}
END_TEST

START_TEST(unimplemented_is_said_once)
{
	char text[512] = "";
	struct log log = {.file = fmemopen(text, sizeof(text), "w"),
			  .enabled = BIT(LOG_UNIMPLEMENTED)};
	log_unimplemented(&log, "thing %d", 1);
	log_unimplemented(&log, "thing %d", 1);
	log_unimplemented(NULL, "nothing");
	log_line(&log, LOG_IO, "not enabled");
	fclose(log.file);
	ck_assert_str_eq(text, "orrery: warning: not modelled: thing 1\n");
}
END_TEST

/* Against the X Keyboard Extension's layouts. */
START_TEST(characters_have_keys)
{
	static const struct {
		const char *map;
		u32 c;
		struct key_press want;
	} cases[] = {
	    {"us", 'y', {.key = 0x15}},
	    {"us", '|', {.key = 0x2b, .shift = true}},
	    {"us", '\n', {.key = 0x1c}},
	    {"gb", 0xa3, {.key = 0x04, .shift = true}},
	    {"gb", '\\', {.key = 0x56}},
	    {"de", 'y', {.key = 0x2c}},
	    {"de", '@', {.key = 0x10, .altgr = true}},
	    {"de", '~', {.key = 0x1b, .altgr = true}},
	    {"de", '^', {.key = 0x29, .dead = true}},
	    {"de", ' ', {.key = 0x39}},
	    {"fr", 'a', {.key = 0x10}},
	    {"fr", '1', {.key = 0x02, .shift = true}},
	    {"fr", '}', {.key = 0x0d, .altgr = true}},
	    {"es", 0xf1, {.key = 0x27}},
	    {"es", '{', {.key = 0x28, .altgr = true}},
	    {"it", '#', {.key = 0x28, .altgr = true}},
	    {"it", '}', {.key = 0x0b, .altgr = true}},
	};
	struct key_press p;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct key_press *w = &cases[i].want;
		ck_assert_msg(keymap_press(keymap_find(cases[i].map), cases[i].c, &p), "%s %x", cases[i].map, cases[i].c);
		ck_assert_msg(p.key == w->key && p.shift == w->shift && p.altgr == w->altgr && p.dead == w->dead,
			      "%s %x: %x %d %d %d", cases[i].map, cases[i].c, p.key, p.shift, p.altgr, p.dead);
	}
	ck_assert(!keymap_press(keymap_find("us"), 0xe4, &p));
	ck_assert(!keymap_press(keymap_find("us"), 0, &p));
	ck_assert_ptr_null(keymap_find("klingon"));
	ck_assert_ptr_null(keymap_find(""));
	ck_assert_ptr_eq(keymap_find("uk"), keymap_find("gb"));
}
END_TEST

START_TEST(characters_are_decoded)
{
	const char *text = "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x99\x82\xff" "b\xe2\x82";
	const u32 want[] = {'a', 0xfc, 0x20ac, 0x1f642, 0xfffd, 'b', 0xfffd, 0, 0};
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(utf8_next(&text), want[i]);
}
END_TEST

int main(void)
{
	const TTest *const all[] = {
	    timers_fire_in_order,
	    disarm_and_rearm,
	    nearer_deadline_is_announced,
	    tick_conversion_saturates,
	    lines_report_changes_only,
	    ports_overlap_is_rejected,
	    ports_split_by_size,
	    regions_priority_and_pages,
	    mmio_splits_and_ends,
	    input_is_stamped_and_replayed,
	    full_inbox_refuses,
	    snapshot_round_trip,
	    snapshot_names_what_it_refuses,
	    config_parses,
	    config_errors_help,
	    nearest_is_case_blind_and_modest,
	    files_are_read_and_replaced,
	    devices_and_links_are_kept,
	    what_can_be_written_is_known_without_writing,
	    unimplemented_is_said_once,
	    characters_have_keys,
	    characters_are_decoded,
	};
	Suite *s = suite_create("base");
	TCase *tc = tcase_create("base");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		tcase_add_test(tc, all[i]);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
