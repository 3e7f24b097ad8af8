/* The NE2000 through its ports: DP8390D data sheet, on a memory network. */
#include "tests/net/lan.h"

static u16 base;
static bool by_runs;  /* as string instructions move: several words at once where the card allows it */
static unsigned moved; /* words, so */

static u8 rd(struct lan *l, unsigned port)
{
	return inb(l->b, (u16)(base + port));
}

static void wr(struct lan *l, unsigned port, u8 v)
{
	outb(l->b, (u16)(base + port), v);
}

static void remote(struct lan *l, u16 at, u16 n, u8 command)
{
	wr(l, 7, 0x40);
	wr(l, 8, (u8)at);
	wr(l, 9, (u8)(at >> 8));
	wr(l, 10, (u8)n);
	wr(l, 11, (u8)(n >> 8));
	wr(l, 0, command);
}

static void fetch(struct lan *l, u16 at, u8 *out, u16 n)
{
	remote(l, at, n, 0x0a);
	for (unsigned i = 0, run; i < n; i += 2) {
		run = by_runs ? bus_io_read_run(&l->b->bus, (u16)(base + 0x10), 2, out + i, (n - i) / 2u) : 0;
		moved += run;
		if ((i += run * 2) >= n)
			break;
		u32 v = bus_io_read(&l->b->bus, (u16)(base + 0x10), 2);
		memcpy(out + i, &v, MIN(2u, (unsigned)n - i));
	}
	ck_assert_uint_eq(rd(l, 7) & 0x40, 0x40);
}

static void store(struct lan *l, u16 at, const u8 *in, u16 n)
{
	remote(l, at, n, 0x12);
	for (unsigned i = 0, run; i < n; i += 2) {
		run = by_runs ? bus_io_write_run(&l->b->bus, (u16)(base + 0x10), 2, in + i, (n - i) / 2u) : 0;
		moved += run;
		ck_assert_uint_lt(i += run * 2, n); /* the last word is never part of a run */
		bus_io_write(&l->b->bus, (u16)(base + 0x10), in[i] | (u32)in[i + 1] << 8, 2);
	}
}

/* As drivers set it up: transmit pages 40h-45h, ring 46h-7Fh. */
static void start(struct lan *l)
{
	wr(l, 0, 0x21);
	wr(l, 0xe, 0x49);
	wr(l, 0xc, 0x04);
	wr(l, 0xd, 0);
	wr(l, 4, 0x40);
	wr(l, 1, 0x46);
	wr(l, 3, 0x46);
	wr(l, 2, 0x80);
	wr(l, 7, 0xff);
	wr(l, 0xf, 0x3f);
	wr(l, 0, 0x61);
	for (unsigned i = 0; i < 6; i++)
		wr(l, 1 + i, card_mac[i]);
	wr(l, 7, 0x47);
	wr(l, 0, 0x22);
}

static struct lan *isa(void)
{
	struct lan *l = lan_new("ne2k_isa", "netdev=lan,iobase=0x300,irq=5");
	base = 0x300;
	rd(l, 0x1f);
	ck_assert_uint_eq(rd(l, 7) & 0x80, 0x80);
	start(l);
	return l;
}

START_TEST(prom_holds_the_address)
{
	struct lan *l = isa();
	u8 prom[32];
	fetch(l, 0, prom, 32);
	for (unsigned i = 0; i < 6; i++)
		ck_assert_uint_eq(prom[i * 2], card_mac[i]);
	ck_assert_uint_eq(prom[28], 0x57);
	ck_assert_uint_eq(prom[30], 0x57);
	lan_free(l);
}
END_TEST

static void transmit(void)
{
	struct lan *l = isa();
	u8 frame[100];
	lan_frame(frame, broadcast, 0x88b5, 100);
	store(l, 0x4000, frame, 100);
	wr(l, 5, 100);
	wr(l, 6, 0);
	wr(l, 0, 0x26);
	ck_assert_uint_eq(lan_take(l), 100);
	ck_assert_mem_eq(l->frame, frame, 100);
	ck_assert_uint_eq(rd(l, 7) & 2, 2);
	ck_assert_uint_eq(rd(l, 4) & 1, 1);
	ck_assert_uint_eq(rd(l, 0) & 4, 0);
	lan_free(l);
}

START_TEST(transmits)
{
	transmit();
}
END_TEST

static void receive_round_the_ring(void)
{
	struct lan *l = isa();
	u8 frame[1000], got[1004], curr = 0x47;
	for (unsigned k = 0; k < 50; k++) {
		lan_frame(frame, k & 1 ? card_mac : broadcast, (u16)(0x9000 + k), sizeof(frame));
		lan_give(l, frame, sizeof(frame));
		ck_assert_uint_eq(rd(l, 7) & 1, 1);
		ck_assert_uint_eq(l->b->pc.gsi.sources[5], 1);
		fetch(l, (u16)(curr << 8), got, 1004);
		ck_assert_uint_eq(got[0], k & 1 ? 0x01 : 0x21);
		ck_assert_uint_eq(got[2] | got[3] << 8, 1004);
		ck_assert_mem_eq(got + 4, frame, 1000);
		curr = got[1];
		wr(l, 3, curr == 0x46 ? 0x7f : curr - 1);
		wr(l, 7, 1);
		ck_assert_uint_eq(l->b->pc.gsi.sources[5], 0);
		wr(l, 0, 0x62);
		ck_assert_uint_eq(rd(l, 7), curr);
		wr(l, 0, 0x22);
	}
	lan_free(l);
}

START_TEST(receives_round_the_ring)
{
	receive_round_the_ring();
}
END_TEST

/* The same by runs, which end at the ring's end and before the last word. */
START_TEST(string_instructions_move_many_words)
{
	by_runs = true;
	moved = 0;
	transmit();
	ck_assert_uint_eq(moved, 49);
	receive_round_the_ring();
	ck_assert_uint_gt(moved, 49 + 50 * 490);
	by_runs = false;
}
END_TEST

START_TEST(overflow_is_reported)
{
	struct lan *l = isa();
	u8 frame[1500];
	unsigned n = 0;
	lan_frame(frame, broadcast, 0x88b5, sizeof(frame));
	while (!(rd(l, 7) & 0x10) && n++ < 20)
		lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(n, 10); /* nine frames of six pages fit into 57 */
	ck_assert_uint_eq(rd(l, 0xf), 1);
	ck_assert_uint_eq(rd(l, 0xf), 0);
	lan_free(l);
}
END_TEST

START_TEST(addresses_are_filtered)
{
	struct lan *l = isa();
	/* 224.0.0.1's group; its hash is the upper six bits of the CRC, here bit by bit as 10.2
	 * draws it. */
	u8 frame[60], group[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
	u32 crc = 0xffffffff;
	for (unsigned i = 0; i < 48; i++) {
		unsigned out = crc >> 31, in = group[i / 8] >> (i % 8) & 1;
		crc <<= 1;
		if (out != in)
			crc ^= 0x04c11db7;
	}
	lan_frame(frame, group, 0x88b5, 60);
	lan_give(l, frame, 60);
	ck_assert_uint_eq(rd(l, 7) & 1, 0);
	wr(l, 0xc, 0x08);
	lan_give(l, frame, 60);
	ck_assert_uint_eq(rd(l, 7) & 1, 0);
	wr(l, 0, 0x62);
	wr(l, 8 + (crc >> 29), (u8)(1 << (crc >> 26 & 7)));
	wr(l, 0, 0x22);
	lan_give(l, frame, 60);
	ck_assert_uint_eq(rd(l, 7) & 1, 1);
	lan_free(l);
}
END_TEST

START_TEST(pci_card_takes_double_words)
{
	struct lan *l = lan_new("ne2k_pci", "netdev=lan,addr=4,mac=52:54:00:12:34:56");
	base = 0xc000;
	ck_assert_uint_eq(cfg_read(l->b, SLOT << 3, 0, 4), 0x802910ec);
	cfg_write(l->b, SLOT << 3, PCI_BAR0, base, 4);
	cfg_write(l->b, SLOT << 3, PCI_COMMAND, PCI_COMMAND_IO, 2);
	start(l);
	ck_assert_uint_eq(rd(l, 0xa), 'P');
	remote(l, 0, 12, 0x0a);
	ck_assert_uint_eq(bus_io_read(&l->b->bus, (u16)(base + 0x10), 4), 0x54545252);
	u8 frame[60];
	lan_frame(frame, card_mac, 0x88b5, 60);
	lan_give(l, frame, 60);
	ck_assert(device_by_id(&l->b->pc.env, "card")->pci->intx);
	lan_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ne2k");
	ADD_ALL(s, prom_holds_the_address, transmits, receives_round_the_ring, string_instructions_move_many_words, overflow_is_reported,
		addresses_are_filtered, pci_card_takes_double_words);
	return run_suite(s);
}
