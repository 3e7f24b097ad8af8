/* Virtio 1.1 devices as modern and legacy drivers see them (section numbers of the specification),
 * and as a hostile one does. */
#include "devices/backends/block.h"
#include "devices/drive.h"
#include "tests/net/lan.h"

#define MODERN  0xe9000000u
#define MSIX    0xe8000000u
#define LEGACY  0xc000u
#define DESC    0x10000u
#define AVAIL   0x12000u
#define USED    0x13000u
#define DATA    0x20000u
#define QUEUE   16u
#define VERSION 1u /* bit 32 */

static struct drive the_drive;

static struct drive *find_drive(void *ctx, const char *id)
{
	return the_drive.block && !strcmp(id, the_drive.id) ? &the_drive : NULL;
}

struct desc {
	u64 gpa;
	u32 bytes;
	u16 flags, next;
};

static u16 avail_idx[2];

static void put16(struct lan *l, u32 at, u16 v)
{
	memcpy(l->b->ram + at, &v, 2);
}

static u16 get16(struct lan *l, u32 at)
{
	u16 v;
	memcpy(&v, l->b->ram + at, 2);
	return v;
}

static void desc(struct lan *l, unsigned q, unsigned i, u64 gpa, u32 bytes, u16 flags, u16 next)
{
	const struct desc d = {gpa, bytes, flags, next};
	memcpy(l->b->ram + DESC + q * 0x8000 + i * 16, &d, 16);
}

static void offer(struct lan *l, unsigned q, u16 head)
{
	put16(l, AVAIL + q * 0x8000 + 4 + (avail_idx[q] % QUEUE) * 2, head);
	put16(l, AVAIL + q * 0x8000 + 2, ++avail_idx[q]);
}

static void notify(struct lan *l, unsigned q)
{
	bus_mem_write(&l->b->bus, MODERN + 0x3000 + q * 4, q, 2);
}

static u32 common(struct lan *l, unsigned at, unsigned size)
{
	return (u32)bus_mem_read(&l->b->bus, MODERN + at, size);
}

static void set_common(struct lan *l, unsigned at, u32 v, unsigned size)
{
	bus_mem_write(&l->b->bus, MODERN + at, v, size);
}

static struct lan *plug(const char *type, const char *props)
{
	char text[200];
	char err[300] = "";
	struct lan *l = calloc(1, sizeof(*l));
	l->b = board_new(1);
	l->net = the_net = net_open("lan", "memory", &l->b->clock, err, sizeof(err));
	l->b->pc.env.hooks.find_net = lan_find;
	l->b->pc.env.hooks.find_drive = find_drive;
	snprintf(text, sizeof(text), "%s,addr=4", props);
	ck_assert_msg(device_create(&l->b->pc.env, type, "card", *props ? text : "addr=4", err,
				    sizeof(err)) != NULL,
		      "%s", err);
	cfg_write(l->b, SLOT << 3, PCI_BAR0, LEGACY, 4);
	cfg_write(l->b, SLOT << 3, PCI_BAR0 + 4, MSIX, 4);
	cfg_write(l->b, SLOT << 3, PCI_BAR0 + 16, MODERN, 4);
	cfg_write(l->b, SLOT << 3, PCI_COMMAND, 7, 2);
	memset(avail_idx, 0, sizeof(avail_idx));
	return l;
}

/* 3.1.1: the whole way to DRIVER_OK. */
static void start(struct lan *l, u32 features, unsigned queues)
{
	set_common(l, 0x14, 0, 1);
	set_common(l, 0x14, 1, 1);
	set_common(l, 0x14, 3, 1);
	set_common(l, 0x08, 0, 4);
	set_common(l, 0x0c, features, 4);
	set_common(l, 0x08, 1, 4);
	set_common(l, 0x0c, VERSION, 4);
	set_common(l, 0x14, 11, 1);
	ck_assert_uint_eq(common(l, 0x14, 1), 11);
	for (unsigned q = 0; q < queues; q++) {
		set_common(l, 0x16, q, 2);
		set_common(l, 0x18, QUEUE, 2);
		set_common(l, 0x20, DESC + q * 0x8000, 4);
		set_common(l, 0x28, AVAIL + q * 0x8000, 4);
		set_common(l, 0x30, USED + q * 0x8000, 4);
		set_common(l, 0x1c, 1, 2);
	}
	set_common(l, 0x14, 15, 1);
}

static void done(struct lan *l)
{
	lan_free(l);
	block_close(the_drive.block);
	the_drive.block = NULL;
}

static struct lan *disk(u32 features)
{
	the_drive =
	    (struct drive){.id = "d0", .serial = "SERIAL-1", .block = block_memory(1u << 20)};
	struct lan *l = plug("virtio-blk-pci", "drive=d0");
	start(l, features, 1);
	return l;
}

/* 4.1.4: the vendor capabilities, and the window of 4.1.4.7. */
START_TEST(capabilities_lead_to_the_registers)
{
	struct lan *l = plug("virtio-rng-pci", "");
	unsigned seen = 0, devfn = SLOT << 3;
	ck_assert_uint_eq(cfg_read(l->b, devfn, 0, 4), 0x10051af4);
	ck_assert_uint_eq(cfg_read(l->b, devfn, PCI_SUBSYSTEM + 2, 2), 4);
	for (unsigned at = cfg_read(l->b, devfn, 0x34, 1); at;
	     at = cfg_read(l->b, devfn, at + 1, 1))
		if (cfg_read(l->b, devfn, at, 1) == 9)
			seen |= 1u << cfg_read(l->b, devfn, at + 3, 1);
		else
			ck_assert_uint_eq(cfg_read(l->b, devfn, at, 1), 0x11);
	ck_assert_uint_eq(seen, 0x3e);
	cfg_write(l->b, devfn, 0x84 + 4, 4, 1);
	cfg_write(l->b, devfn, 0x84 + 8, 0x12, 4); /* num_queues */
	cfg_write(l->b, devfn, 0x84 + 12, 2, 4);
	ck_assert_uint_eq(cfg_read(l->b, devfn, 0x84 + 16, 2), 1);
	cfg_write(l->b, devfn, 0x84 + 8, 0x14, 4); /* device_status */
	cfg_write(l->b, devfn, 0x84 + 12, 1, 4);
	cfg_write(l->b, devfn, 0x84 + 16, 1, 1);
	ck_assert_uint_eq(common(l, 0x14, 1), 1);
	done(l);
}
END_TEST

/* 2.2, 3.1.1: FEATURES_OK does not stand with features that were not offered. */
START_TEST(features_not_offered_are_refused)
{
	struct lan *l = plug("virtio-rng-pci", "");
	set_common(l, 0x14, 3, 1);
	set_common(l, 0x08, 0, 4);
	set_common(l, 0x0c, 1u << 3, 4);
	set_common(l, 0x14, 11, 1);
	ck_assert_uint_eq(common(l, 0x14, 1), 3);
	done(l);
}
END_TEST

/* One request of @type for @sector with @bytes of data at DATA. */
static u8 request(struct lan *l, u32 type, u64 sector, u32 bytes, bool device_writes)
{
	const u32 head[2] = {type, 0};
	memcpy(l->b->ram + 0x30000, head, 8);
	memcpy(l->b->ram + 0x30008, &sector, 8);
	l->b->ram[0x30020] = 0xee;
	desc(l, 0, 0, 0x30000, 16, 1, bytes ? 1 : 2);
	desc(l, 0, 1, DATA, bytes, device_writes ? 3 : 1, 2);
	desc(l, 0, 2, 0x30020, 1, 2, 0);
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert_uint_eq(l->b->ram[0x30020], 0xee); /* it takes its time */
	board_wait(l->b, 10000000);
	return l->b->ram[0x30020];
}

START_TEST(disk_reads_writes_and_reports)
{
	struct lan *l = disk(1u << 9);
	ck_assert_uint_eq(bus_mem_read(&l->b->bus, MODERN + 0x2000, 4), 2048);
	for (unsigned i = 0; i < 4096; i++)
		l->b->ram[DATA + i] = (u8)(i * 13);
	ck_assert_uint_eq(request(l, 1, 100, 4096, false), 0);
	memset(l->b->ram + DATA, 0, 4096);
	ck_assert_uint_eq(request(l, 0, 101, 1024, true), 0);
	ck_assert_uint_eq(l->b->ram[DATA + 5], (u8)((512 + 5) * 13));
	ck_assert_uint_eq(get16(l, USED + 2), 2);
	ck_assert_uint_eq(get16(l, USED + 4 + 8 + 4), 1025); /* bytes written */
	ck_assert_uint_eq(request(l, 4, 0, 0, false), 0);
	ck_assert_uint_eq(request(l, 8, 0, 20, true), 0);
	ck_assert_mem_eq(l->b->ram + DATA, "SERIAL-1\0\0", 10);
	ck_assert_uint_eq(request(l, 0, 2047, 1024, true), 1); /* beyond the end */
	ck_assert_uint_eq(request(l, 0, 0, 100, true), 1);     /* no whole sectors */
	ck_assert_uint_eq(request(l, 77, 0, 512, true), 2);
	ck_assert_uint_eq(bus_mem_read(&l->b->bus, MODERN + 0x1000, 1), 1); /* ISR, cleared */
	ck_assert_uint_eq(bus_mem_read(&l->b->bus, MODERN + 0x1000, 1), 0);
	done(l);
}
END_TEST

/* 2.6.5.3: a chain in a table of its own. */
START_TEST(indirect_descriptors)
{
	struct lan *l = disk(1u << 28);
	const u32 head[4] = {0, 0, 3, 0};
	const struct desc table[3] = {{0x30000, 16, 1, 2}, {0x30020, 1, 2, 0}, {DATA, 512, 3, 1}};
	memcpy(l->b->ram + 0x30000, head, 16);
	memcpy(l->b->ram + 0x31000, table, sizeof(table));
	l->b->ram[0x30020] = 0xee;
	desc(l, 0, 5, 0x31000, sizeof(table), 4, 0);
	offer(l, 0, 5);
	notify(l, 0);
	board_wait(l->b, 1000000);
	ck_assert_uint_eq(l->b->ram[0x30020], 0);
	ck_assert_uint_eq(get16(l, USED + 4), 5);
	done(l);
}
END_TEST

/* A request under way is in the snapshot, and ends after it is loaded. */
START_TEST(requests_survive_a_snapshot)
{
	struct lan *l = disk(0);
	struct snap_buf buf = {0};
	const u32 head[4] = {1, 0, 7, 0};
	memcpy(l->b->ram + 0x30000, head, 16);
	memset(l->b->ram + DATA, 0x5a, 512);
	l->b->ram[0x30020] = 0xee;
	desc(l, 0, 0, 0x30000, 16, 1, 1);
	desc(l, 0, 1, DATA, 512, 1, 2);
	desc(l, 0, 2, 0x30020, 1, 2, 0);
	offer(l, 0, 0);
	notify(l, 0);
	pc_save(&l->b->pc, &buf);
	struct snap_reader r = {.data = buf.data, .len = buf.len};
	ck_assert_int_eq(pc_load(&l->b->pc, &r), 0);
	ck_assert_uint_eq(l->b->ram[0x30020], 0xee);
	board_wait(l->b, 1000000);
	ck_assert_uint_eq(l->b->ram[0x30020], 0);
	ck_assert_uint_eq(get16(l, USED + 2), 1);
	free(buf.data);
	done(l);
}
END_TEST

/* 2.6.7.2, 2.6.10: with event indices, no interrupt until the driver's number is passed. */
START_TEST(event_index_saves_interrupts)
{
	struct lan *l = plug("virtio-rng-pci", "");
	struct pci_function *fn = device_by_id(&l->b->pc.env, "card")->pci;
	start(l, 1u << 29, 1);
	put16(l, AVAIL + 4 + QUEUE * 2, 1); /* used_event: wake me for the second */
	desc(l, 0, 0, DATA, 32, 2, 0);
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert_uint_eq(get16(l, USED + 2), 1);
	bus_mem_read(&l->b->bus, MODERN + 0x1000, 1); /* the first is always told */
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert(fn->intx);
	bus_mem_read(&l->b->bus, MODERN + 0x1000, 1);
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert(!fn->intx);
	ck_assert_uint_eq(get16(l, USED + 4 + QUEUE * 8), 3); /* avail_event */
	done(l);
}
END_TEST

/* PCI 3.0, 6.8.2: masked messages wait. */
START_TEST(msix_messages)
{
	struct lan *l = plug("virtio-rng-pci", "");
	struct pci_function *fn = device_by_id(&l->b->pc.env, "card")->pci;
	start(l, 0, 1);
	mm_write(l->b, LAPIC(0xf0), 0x1ff);
	mm_write(l->b, MSIX + 16, 0xfee00000);
	mm_write(l->b, MSIX + 20, 0);
	mm_write(l->b, MSIX + 24, 0x55);
	cfg_write(l->b, SLOT << 3, 0x9a, 0x8000, 2);
	set_common(l, 0x16, 0, 2);
	set_common(l, 0x1a, 1, 2);
	ck_assert_uint_eq(common(l, 0x1a, 2), 1);
	set_common(l, 0x1a, 9, 2);
	ck_assert_uint_eq(common(l, 0x1a, 2), 0xffff); /* there is no such message */
	set_common(l, 0x1a, 1, 2);
	desc(l, 0, 0, DATA, 32, 2, 0);
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert(!l->b->intr[0] && !fn->intx);
	ck_assert_uint_eq(mm_read(l->b, MSIX + 0x800), 2);
	mm_write(l->b, MSIX + 28, 0);
	ck_assert_uint_eq(mm_read(l->b, MSIX + 0x800), 0);
	ck_assert(l->b->intr[0]);
	ck_assert_uint_eq(pc_intack(&l->b->pc, 0), 0x55);
	done(l);
}
END_TEST

/* 4.1.4.8, 2.6.2: the legacy layout. */
START_TEST(legacy_driver)
{
	struct lan *l = plug("virtio-rng-pci", "");
	struct bus *bus = &l->b->bus;
	outb(l->b, LEGACY + 0x12, 3);
	bus_io_write(bus, LEGACY + 0x0e, 0, 2);
	u32 size = bus_io_read(bus, LEGACY + 0x0c, 2);
	ck_assert_uint_eq(size, 256);
	bus_io_write(bus, LEGACY + 0x08, 0x50, 4);
	outb(l->b, LEGACY + 0x12, 7);
	u32 avail = 0x50000 + size * 16, used = (avail + 6 + size * 2 + 4095) & ~4095u;
	const struct desc d = {DATA, 64, 2, 0};
	memcpy(l->b->ram + 0x50000, &d, 16);
	put16(l, avail + 4, 0);
	put16(l, avail + 2, 1);
	bus_io_write(bus, LEGACY + 0x10, 0, 2);
	ck_assert_uint_eq(get16(l, used + 2), 1);
	ck_assert_uint_eq(get16(l, used + 8), 64);
	ck_assert_uint_eq(inb(l->b, LEGACY + 0x13), 1);
	done(l);
}
END_TEST

/* Chains that go round, point nowhere or are mixed up: the device asks to be reset, and goes on
 * after one. */
START_TEST(nonsense_breaks_the_queue_only)
{
	struct lan *l = plug("virtio-rng-pci", "");
	const struct desc bad[][2] = {
	    {{DATA, 16, 3, 0}},                    /* its own successor */
	    {{DATA, 16, 3, QUEUE}},                /* outside the table */
	    {{DATA, 16, 3, 1}, {DATA, 16, 0, 0}},  /* read behind written */
	    {{DATA, 24, 4, 0}},                    /* an indirect table of one and a half */
	    {{0xfffffffffffff000ull, 1600, 4, 0}}, /* or outside memory */
	};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(l->b->ram + AVAIL, 0, 0x1000);
		memset(l->b->ram + USED, 0, 0x1000);
		avail_idx[0] = 0;
		start(l, 1u << 28, 1);
		memcpy(l->b->ram + DESC, bad[i], sizeof(bad[i]));
		offer(l, 0, 0);
		notify(l, 0);
		ck_assert_uint_eq(common(l, 0x14, 1), 15 | 64);
		ck_assert_uint_eq(get16(l, USED + 2), 0);
	}
	memset(l->b->ram + AVAIL, 0, 0x1000);
	avail_idx[0] = 0;
	start(l, 0, 1);
	put16(l, AVAIL + 2, 1000); /* an index ahead of the ring */
	notify(l, 0);
	ck_assert_uint_eq(common(l, 0x14, 1), 15 | 64);
	put16(l, AVAIL + 2, 0);
	start(l, 0, 1);
	desc(l, 0, 0, DATA, 16, 2, 0);
	offer(l, 0, 0);
	notify(l, 0);
	ck_assert_uint_eq(get16(l, USED + 2), 1);
	done(l);
}
END_TEST

START_TEST(card_sends_with_checksum_and_segments)
{
	struct lan *l = plug("virtio-net-pci", "netdev=lan");
	start(l, 1u << 0 | 1u << 5 | 1u << 11, 2);
	static const u8 ip[20] = {0x45, 0, 0,  0, 0x12, 0x34, 0x40, 0, 64, 6,
				  0,    0, 10, 0, 2,    15,   10,   0, 2,  2};
	u8 *p = l->b->ram + DATA + 12;
	lan_frame(p, broadcast, 0x0800, 54 + 2500);
	memcpy(p + 14, ip, 20);
	memset(p + 34, 0, 20);
	p[46] = 5 << 4;
	p[47] = 0x18;
	const u8 header[12] = {1, 1, 54, 0, 1000 & 255, 1000 >> 8, 34, 0, 16, 0, 0, 0};
	memcpy(l->b->ram + DATA, header, 12);
	desc(l, 1, 0, DATA, 12, 1, 1);
	desc(l, 1, 1, DATA + 12, 54 + 2500, 0, 0);
	offer(l, 1, 0);
	notify(l, 1);
	for (unsigned i = 0; i < 3; i++) {
		u32 part = i == 2 ? 500 : 1000;
		ck_assert_uint_eq(lan_take(l), 54 + part);
		ck_assert_uint_eq(net_get32(l->frame + 38), i * 1000);
		ck_assert_uint_eq(net_sum(l->frame + 14, 20, 0), 0xffff);
		ck_assert_uint_eq(
		    net_sum(l->frame + 34, 20 + part, net_sum(l->frame + 26, 8, 6 + 20 + part)),
		    0xffff);
		ck_assert_uint_eq(l->frame[47], i == 2 ? 0x18 : 0x10);
	}
	ck_assert_uint_eq(lan_take(l), 0);
	ck_assert_uint_eq(get16(l, USED + 0x8000 + 2), 1);
	memset(l->b->ram + DATA, 0, 12);
	l->b->ram[DATA] = 1; /* checksum alone: over all from 34, into 36 */
	l->b->ram[DATA + 6] = 34;
	l->b->ram[DATA + 8] = 2;
	p[36] = p[37] = 0;
	desc(l, 1, 1, DATA + 12, 100, 0, 0);
	offer(l, 1, 0);
	notify(l, 1);
	ck_assert_uint_eq(lan_take(l), 100);
	ck_assert_uint_eq(net_sum(l->frame + 34, 66, 0), 0xffff);
	done(l);
}
END_TEST

/* 5.1.6.3.2, 5.1.6.4: a frame in several merged buffers; none is used when they do not suffice. */
START_TEST(card_receives_into_merged_buffers)
{
	struct lan *l = plug("virtio-net-pci", "netdev=lan");
	u8 frame[600];
	start(l, 1u << 5 | 1u << 15, 2);
	lan_frame(frame, card_mac, 0x88b5, sizeof(frame));
	for (u16 i = 0; i < 2; i++) {
		desc(l, 0, i, DATA + i * 0x1000, 256, 2, 0);
		offer(l, 0, i);
	}
	lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(get16(l, USED + 2), 0);
	desc(l, 0, 2, DATA + 0x2000, 256, 2, 0);
	offer(l, 0, 2);
	lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(get16(l, USED + 2), 3);
	ck_assert_uint_eq(l->b->ram[DATA + 10], 3);
	ck_assert_uint_eq(get16(l, USED + 4 + 16 + 4), 600 + 12 - 512);
	ck_assert_mem_eq(l->b->ram + DATA + 12, frame, 244);
	ck_assert_mem_eq(l->b->ram + DATA + 0x1000, frame + 244, 256);
	ck_assert_mem_eq(l->b->ram + DATA + 0x2000, frame + 500, 100);
	done(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("virtio");
	ADD_ALL(s, capabilities_lead_to_the_registers, features_not_offered_are_refused,
		disk_reads_writes_and_reports, indirect_descriptors, requests_survive_a_snapshot,
		event_index_saves_interrupts, msix_messages, legacy_driver,
		nonsense_breaks_the_queue_only, card_sends_with_checksum_and_segments,
		card_receives_into_merged_buffers);
	return run_suite(s);
}
