/* 82540EM as a driver sees it: 317453 (section numbers), on a memory network. */
#include "tests/net/lan.h"

#define REG(r)  (BAR + (r))
#define TX_RING 0x10000u
#define RX_RING 0x11000u
#define TX_DATA 0x20000u
#define RX_DATA 0x40000u
#define RING    8u
#define ICR     0xc0
#define RXT0    0x80u
#define TXDW    1u

static u32 get(struct lan *l, u32 r)
{
	return mm_read(l->b, REG(r));
}

static void put(struct lan *l, u32 r, u32 v)
{
	mm_write(l->b, REG(r), v);
}

static struct lan *up(void)
{
	struct lan *l = lan_new("e1000", "netdev=lan,addr=4");
	cfg_write(l->b, SLOT << 3, PCI_BAR0, BAR, 4);
	cfg_write(l->b, SLOT << 3, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	put(l, 0x3800, TX_RING);
	put(l, 0x3808, RING * 16);
	put(l, 0x2800, RX_RING);
	put(l, 0x2808, RING * 16);
	for (u32 i = 0; i < RING; i++) {
		u64 buffer = RX_DATA + i * 2048;
		memcpy(l->b->ram + RX_RING + i * 16, &buffer, 8);
	}
	put(l, 0x2818, RING - 1);
	put(l, 0x100, 0x04008002); /* RCTL: EN, BAM, SECRC, 2048 */
	put(l, 0x400, 0x0000000a); /* TCTL: EN, PSP */
	return l;
}

/* Descriptor @i: @address, then the two other words as they stand. */
static void tx_desc(struct lan *l, u32 i, u64 address, u32 low, u32 high)
{
	u8 *d = l->b->ram + TX_RING + i * 16;
	memcpy(d, &address, 8);
	memcpy(d + 8, &low, 4);
	memcpy(d + 12, &high, 4);
}

static u8 *rx_desc(struct lan *l, u32 i)
{
	return l->b->ram + RX_RING + i * 16;
}

/* 5.6.35: the words' sum is BABAh; and the address. */
START_TEST(eeprom_by_eerd)
{
	struct lan *l = up();
	u16 sum = 0;
	for (u32 i = 0; i < 64; i++) {
		put(l, 0x14, i << 8 | 1);
		ck_assert_uint_eq(get(l, 0x14) & 0x10, 0x10);
		sum = (u16)(sum + (get(l, 0x14) >> 16));
	}
	ck_assert_uint_eq(sum, 0xbaba);
	put(l, 0x14, 1);
	ck_assert_uint_eq(get(l, 0x14) >> 16, 0x5452);
	ck_assert_uint_eq(get(l, 0x5400), 0x12005452);
	ck_assert_uint_eq(get(l, 0x5404), 0x80005634);
	lan_free(l);
}
END_TEST

static void clock_out(struct lan *l, u32 bits, unsigned n)
{
	while (n--) {
		u32 di = (bits >> n & 1) << 2;
		put(l, 0x10, 0x42 | di);
		put(l, 0x10, 0x43 | di);
	}
}

static u32 clock_in(struct lan *l, unsigned n)
{
	u32 v = 0;
	while (n--) {
		put(l, 0x10, 0x42);
		put(l, 0x10, 0x43);
		v = v << 1 | (get(l, 0x10) >> 3 & 1);
	}
	return v;
}

static u16 microwire_read(struct lan *l, u32 address)
{
	put(l, 0x10, 0x40);
	put(l, 0x10, 0x42);
	clock_out(l, 6, 3);
	clock_out(l, address, 6);
	u16 v = (u16)clock_in(l, 16);
	put(l, 0x10, 0x40);
	return v;
}

START_TEST(eeprom_bit_by_bit)
{
	struct lan *l = up();
	put(l, 0x10, 0x40);
	ck_assert_uint_eq(get(l, 0x10) & 0x180, 0x180); /* granted, present */
	for (u32 i = 0; i < 64; i++) {
		put(l, 0x14, i << 8 | 1);
		ck_assert_uint_eq(microwire_read(l, i), get(l, 0x14) >> 16);
	}
	put(l, 0x10, 0x42); /* EWEN, then WRITE of word 3Eh */
	clock_out(l, 4 << 6 | 0x30, 9);
	put(l, 0x10, 0x40);
	put(l, 0x10, 0x42);
	clock_out(l, 5 << 6 | 0x3e, 9);
	clock_out(l, 0x1234, 16);
	put(l, 0x10, 0x40);
	ck_assert_uint_eq(microwire_read(l, 0x3e), 0x1234);
	lan_free(l);
}
END_TEST

static u32 mdio(struct lan *l, u32 op, u32 phy, u32 reg, u32 v)
{
	put(l, 0x20, op << 26 | phy << 21 | reg << 16 | v);
	return get(l, 0x20);
}

START_TEST(phy_answers_at_address_1)
{
	struct lan *l = up();
	ck_assert_uint_eq(mdio(l, 2, 1, 2, 0), 0x18220141 | 0x0u);
	ck_assert_uint_eq(mdio(l, 2, 1, 3, 0) & 0xffff, 0x0c20);
	ck_assert_uint_eq(mdio(l, 2, 1, 1, 0) & 0x24, 0x24); /* link, negotiated */
	ck_assert_uint_eq(mdio(l, 2, 2, 2, 0) >> 30 & 1, 1); /* error: nobody there */
	ck_assert_uint_eq(get(l, 8) & 0xc3, 0x83);           /* STATUS: full duplex, link, 1000 */
	mdio(l, 1, 1, 0, 0x0800);                            /* power down */
	ck_assert_uint_eq(get(l, 8) & 2, 0);
	ck_assert_uint_eq(get(l, ICR) & 4, 4); /* LSC */
	lan_free(l);
}
END_TEST

START_TEST(legacy_frame_goes_out_padded)
{
	struct lan *l = up();
	lan_frame(l->b->ram + TX_DATA, broadcast, 0x88b5, 20);
	tx_desc(l, 0, TX_DATA, 20 | 0x09000000u, 0); /* EOP, RS */
	put(l, 0xd0, TXDW);
	put(l, 0x3818, 1);
	ck_assert_uint_eq(lan_take(l), 60);
	ck_assert_mem_eq(l->frame, l->b->ram + TX_DATA, 20);
	ck_assert_uint_eq(l->frame[59], 0);
	ck_assert_uint_eq(l->b->ram[TX_RING + 12] & 1, 1);
	ck_assert_uint_eq(get(l, 0x3810), 1);
	ck_assert(device_by_id(&l->b->pc.env, "card")->pci->intx);
	ck_assert_uint_eq(get(l, ICR), 3); /* TXDW, TXQE */
	ck_assert(!device_by_id(&l->b->pc.env, "card")->pci->intx);
	ck_assert_uint_eq(get(l, 0x4080), 1); /* GPTC, cleared by reading */
	ck_assert_uint_eq(get(l, 0x4080), 0);
	ck_assert_uint_eq(get(l, 0x40f4), 1); /* BPTC */
	lan_free(l);
}
END_TEST

/* 3.4, 3.5.1: one frame from two buffers; a checksum where CSO says. */
START_TEST(legacy_checksum_and_two_buffers)
{
	struct lan *l = up();
	u8 *p = l->b->ram + TX_DATA;
	lan_frame(p, broadcast, 0x0800, 100);
	p[50] = p[51] = 0;
	u16 want = (u16)~net_sum(p + 14, 86, 0);
	tx_desc(l, 0, TX_DATA, 40 | 0x04320000u, 14u << 8);
	tx_desc(l, 1, TX_DATA + 40, 60 | 0x05320000u, 14u << 8);
	put(l, 0x3818, 1);
	ck_assert_uint_eq(lan_take(l), 0);
	put(l, 0x3818, 2);
	ck_assert_uint_eq(lan_take(l), 100);
	ck_assert_uint_eq(net_get16(l->frame + 50), want);
	lan_free(l);
}
END_TEST

/* Ethernet, IPv4, TCP headers of 54 bytes as a driver hands them over for segmentation (3.5.9). */
static void tcp_headers(u8 *p, u32 payload)
{
	static const u8 ip[20] = {0x45, 0, 0,  0, 0x12, 0x34, 0x40, 0, 64, 6,
				  0,    0, 10, 0, 2,    15,   10,   0, 2,  2};
	lan_frame(p, broadcast, 0x0800, 54 + payload);
	memcpy(p + 14, ip, 20);
	memset(p + 34, 0, 20);
	net_put16(p + 34, 1000);
	net_put16(p + 36, 80);
	net_put32(p + 38, 0xfffffff0u); /* wraps inside */
	p[46] = 5 << 4;
	p[47] = 0x19;                             /* ACK, PSH, FIN */
	net_put16(p + 50, net_sum(p + 26, 8, 6)); /* pseudo-header without the length */
}

START_TEST(tcp_segmentation)
{
	struct lan *l = up();
	const u32 payload = 3000, mss = 1000;
	u8 *p = l->b->ram + TX_DATA;
	tcp_headers(p, payload);
	/* IPCSS 14, IPCSO 24, IPCSE 33; TUCSS 34, TUCSO 50, TUCSE 0 */
	tx_desc(l, 0, 34u | 50u << 8 | 0ull, 0, 0);
	u8 context[16] = {14,          24,           33,      0,
			  34,          50,           0,       0,
			  (u8)payload, payload >> 8, 0,       0x27 /* DEXT TSE IP TCP */,
			  0,           54,           (u8)mss, mss >> 8};
	memcpy(l->b->ram + TX_RING, context, 16);
	tx_desc(l, 1, TX_DATA, 54 | 1u << 20 | 0x24u << 24, 3u << 8);
	tx_desc(l, 2, TX_DATA + 54, payload | 1u << 20 | 0x2du << 24, 3u << 8);
	put(l, 0x3818, 3);
	for (u32 i = 0; i < 3; i++) {
		ck_assert_uint_eq(lan_take(l), 54 + mss);
		u8 *f = l->frame;
		ck_assert_uint_eq(net_get16(f + 16), 40 + mss);
		ck_assert_uint_eq(net_get16(f + 18), 0x1234 + i);
		ck_assert_uint_eq(net_sum(f + 14, 20, 0), 0xffff);
		ck_assert_uint_eq(net_get32(f + 38), 0xfffffff0u + i * mss);
		ck_assert_uint_eq(f[47], i == 2 ? 0x19 : 0x10);
		ck_assert_uint_eq(net_sum(f + 34, 20 + mss, net_sum(f + 26, 8, 6 + 20 + mss)),
				  0xffff);
		ck_assert_mem_eq(f + 54, p + 54 + i * mss, mss);
	}
	ck_assert_uint_eq(lan_take(l), 0);
	ck_assert_uint_eq(l->b->ram[TX_RING + 32 + 12] & 1, 1);
	ck_assert_uint_eq(get(l, 0x40f8), 1); /* TSCTC */
	lan_free(l);
}
END_TEST

START_TEST(vlan_tag_inserted_and_stripped)
{
	struct lan *l = up();
	u8 frame[64];
	put(l, 0, get(l, 0) | 1u << 30); /* VME */
	lan_frame(l->b->ram + TX_DATA, broadcast, 0x88b5, 64);
	tx_desc(l, 0, TX_DATA, 64 | 0x41000000u, 0x20050000u);
	put(l, 0x3818, 1);
	ck_assert_uint_eq(lan_take(l), 68);
	ck_assert_uint_eq(net_get32(l->frame + 12), 0x81002005);
	ck_assert_uint_eq(net_get16(l->frame + 16), 0x88b5);
	lan_frame(frame, broadcast, 0x8100, 64);
	net_put16(frame + 14, 0x2007);
	put(l, 0x100, get(l, 0x100) | 1u << 18); /* VFE: 7 is not among the wanted */
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 0);
	put(l, 0x5600, 1u << 7);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 1);
	ck_assert_uint_eq(rx_desc(l, 0)[12] & 8, 8); /* VP */
	ck_assert_uint_eq(rx_desc(l, 0)[0xe] | rx_desc(l, 0)[0xf] << 8, 0x2007);
	ck_assert_uint_eq(rx_desc(l, 0)[8], 60);
	ck_assert_mem_eq(l->b->ram + RX_DATA + 12, frame + 16, 48);
	lan_free(l);
}
END_TEST

START_TEST(addresses_are_filtered)
{
	struct lan *l = up();
	u8 frame[64], other[6] = {0x52, 0x54, 0, 0, 0, 1},
		      group[6] = {0x01, 0, 0x5e, 0x12, 0x34, 0x56};
	lan_frame(frame, other, 0x88b5, 64);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 0);
	lan_frame(frame, card_mac, 0x88b5, 64);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 1);
	ck_assert_uint_eq(rx_desc(l, 0)[4 + 8], 0x03); /* DD, EOP; exact: PIF clear */
	lan_frame(frame, group, 0x88b5, 64);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 1);
	u32 hash = (0x5634u >> 4) & 0xfff; /* MO = 0: bits 47:36 (13.5.1) */
	put(l, 0x5200 + (hash >> 5) * 4, 1u << (hash & 31));
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 2);
	ck_assert_uint_eq(rx_desc(l, 1)[4 + 8] & 0x80, 0x80);
	put(l, 0x100, get(l, 0x100) | 8); /* UPE */
	lan_frame(frame, other, 0x88b5, 64);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(get(l, 0x2810), 3);
	lan_free(l);
}
END_TEST

START_TEST(receive_checks_sums)
{
	struct lan *l = up();
	u8 frame[154];
	put(l, 0x5000, 0x300);
	tcp_headers(frame, 100);
	net_put16(frame + 16, 140);
	net_put16(frame + 24, (u16)~net_sum(frame + 14, 20, 0));
	net_put16(frame + 50, 0);
	net_put16(frame + 50, (u16)~net_sum(frame + 34, 120, net_sum(frame + 26, 8, 6 + 120)));
	lan_give(l, frame, 154);
	ck_assert_uint_eq(rx_desc(l, 0)[12], 0xe3); /* PIF (broadcast), IPCS, TCPCS, EOP, DD */
	ck_assert_uint_eq(rx_desc(l, 0)[13], 0);
	frame[100] ^= 1;
	lan_give(l, frame, 154);
	ck_assert_uint_eq(rx_desc(l, 1)[13], 0x20);
	frame[100] ^= 1;
	frame[22]++;
	lan_give(l, frame, 154);
	ck_assert_uint_eq(rx_desc(l, 2)[13], 0x40);
	lan_free(l);
}
END_TEST

START_TEST(long_frames_span_buffers_and_full_rings_drop)
{
	struct lan *l = up();
	u8 frame[1514];
	put(l, 0x100, 0x04028002); /* 512-byte buffers: BSIZE 10 */
	lan_frame(frame, broadcast, 0x88b5, sizeof(frame));
	lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(get(l, 0x2810), 3);
	ck_assert_uint_eq(rx_desc(l, 0)[12] & 3, 1);
	ck_assert_uint_eq(rx_desc(l, 2)[12] & 3, 3);
	ck_assert_mem_eq(l->b->ram + RX_DATA + 2048, frame + 512, 512);
	ck_assert_uint_eq(pc_net_room(&l->b->pc, l->net), 1);
	lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(get(l, 0x2810), 6);
	ck_assert_uint_eq(pc_net_room(&l->b->pc, l->net), 0);
	get(l, ICR);
	lan_give(l, frame, sizeof(frame));
	ck_assert_uint_eq(get(l, 0x2810), 6);
	ck_assert_uint_eq(get(l, ICR) & 0x40, 0x40); /* RXO */
	lan_free(l);
}
END_TEST

/* 13.4.18, 13.4.30 */
START_TEST(interrupts_are_throttled_and_delayed)
{
	struct lan *l = up();
	struct pci_function *fn = device_by_id(&l->b->pc.env, "card")->pci;
	u8 frame[64];
	lan_frame(frame, broadcast, 0x88b5, 64);
	l->b->now_ns = 1000000;
	put(l, 0xd0, RXT0);
	put(l, 0xc4, 1000); /* 256 us */
	lan_give(l, frame, 64);
	ck_assert(fn->intx);
	get(l, ICR);
	ck_assert(!fn->intx);
	lan_give(l, frame, 64);
	ck_assert(!fn->intx);
	board_wait(l->b, 255000);
	ck_assert(!fn->intx);
	board_wait(l->b, 2000);
	ck_assert(fn->intx);
	get(l, ICR);
	put(l, 0xc4, 0);
	put(l, 0x2820, 100); /* RDTR: 102.4 us after the last frame, at most RADV 150 */
	put(l, 0x282c, 150);
	lan_give(l, frame, 64);
	board_wait(l->b, 90000);
	lan_give(l, frame, 64);
	board_wait(l->b, 60000);
	ck_assert(!fn->intx);
	board_wait(l->b, 4000); /* 153.6 us after the first */
	ck_assert(fn->intx);
	lan_free(l);
}
END_TEST

START_TEST(reset_and_master_enable)
{
	struct lan *l = up();
	u8 frame[64];
	lan_frame(frame, broadcast, 0x88b5, 64);
	cfg_write(l->b, SLOT << 3, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	tx_desc(l, 0, TX_DATA, 64 | 0x09000000u, 0);
	put(l, 0x3818, 1);
	lan_give(l, frame, 64);
	ck_assert_uint_eq(lan_take(l), 0);
	ck_assert_uint_eq(get(l, 0x2810), 0);
	put(l, 0, 1u << 26);
	ck_assert_uint_eq(get(l, 0x3808), 0);
	ck_assert_uint_eq(get(l, 0x5400), 0x12005452);
	ck_assert_uint_eq(get(l, 0) & 1u << 26, 0);
	lan_free(l);
}
END_TEST

START_TEST(io_access_reaches_registers)
{
	struct lan *l = up();
	cfg_write(l->b, SLOT << 3, PCI_BAR0 + 8, 0xc000, 4);
	cfg_write(l->b, SLOT << 3, PCI_COMMAND, 7, 2);
	bus_io_write(&l->b->bus, 0xc000, 0x5404, 4);
	ck_assert_uint_eq(bus_io_read(&l->b->bus, 0xc004, 4), 0x80005634);
	bus_io_write(&l->b->bus, 0xc000, 0x38, 4);
	bus_io_write(&l->b->bus, 0xc004, 0x9100, 4);
	ck_assert_uint_eq(get(l, 0x38), 0x9100);
	lan_free(l);
}
END_TEST

/* A ring said to be endless, buffers of 64 KiB: the card pauses, so that the emulator does not. */
START_TEST(endless_transmission_pauses)
{
	struct lan *l = up();
	put(l, 0x3808, 0xfff80);
	put(l, 0x3818, 0xffff);
	ck_assert_uint_lt(get(l, 0x3810), 1000);
	board_wait(l->b, 100000000);
	lan_free(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("e1000");
	ADD_ALL(s, eeprom_by_eerd, eeprom_bit_by_bit, phy_answers_at_address_1,
		legacy_frame_goes_out_padded, legacy_checksum_and_two_buffers, tcp_segmentation,
		vlan_tag_inserted_and_stripped, addresses_are_filtered, receive_checks_sums,
		long_frames_span_buffers_and_full_rings_drop, interrupts_are_throttled_and_delayed,
		reset_and_master_enable, io_access_reaches_registers, endless_transmission_pauses);
	return run_suite(s);
}
