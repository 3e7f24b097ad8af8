/*
 * Intel 82540EM gigabit Ethernet controller ("PCI/PCI-X Family of Gigabit Ethernet Controllers
 * Software Developer's Manual", 317453; section numbers below are its).
 *
 * Modelled: memory and I/O register access, EEPROM (EERD and bit by bit), MDIO with the registers
 * of the 88E1011 PHY, legacy, context and data descriptors, checksum insertion, TCP segmentation,
 * VLAN insertion and stripping, receive filters, checksum verification, interrupt causes, delays
 * and throttling, statistics, loopback. Not modelled: flash, wake-up and power management, flow
 * control frames, the packet buffer's RAM, split headers. A frame's check sequence, which a driver
 * that does not set SECRC finds behind it, reads as zero. Negotiation ends at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "devices/chipset/pci.h"
#include "devices/net/checksum.h"
#include "devices/net/nic.h"
#include "devices/net/segment.h"

#define REG_BYTES 0x6000u
#define TX_MAX                                                                                     \
	0x12000u /* bytes of a packet before segmentation; the largest has 64 KiB and headers */
#define TX_BURST   256u   /* descriptors carried out at once; then the guest goes on for a while */
#define TX_PAUSE   20000u /* ns */
#define EEPROM_MAX 64u

struct e1000_context { /* 3.3.6: of the last context descriptor */
	u8 ipcss, ipcso, tucss, tucso, hdrlen, cmd;
	u16 ipcse, tucse, mss;
};

struct e1000 {
	struct device dev;
	struct pci_function fn;
	struct nic nic;
	char romfile[PROP_TEXT_SIZE];
	u32 reg[REG_BYTES / 4];
	u16 eeprom[EEPROM_MAX];
	u16 phy[32];
	u32 io_address;
	/* EEPROM, bit by bit: what came since chip select, and what goes out */
	u32 ee_in, ee_bits, ee_out, ee_left;
	bool ee_writable, ee_do;
	bool tx_started, tx_tse, tx_vlan; /* of the packet being put together */
	u8 tx_popts;
	u16 tx_special;
	u32 tx_bytes;
	struct e1000_context context;
	u8 pad[4];
	struct timer throttle, rx_packet, rx_absolute, tx_packet, tx_absolute, tx_more;
	u64 last_interrupt_ns;
	u8 tx[TX_MAX];
};

/* clang-format off */
#define CONTEXT_FIELDS(V, S, H, P) \
	V(ipcss) V(ipcso) V(tucss) V(tucso) V(hdrlen) V(cmd) V(ipcse) V(tucse) V(mss)
SNAPSHOT(e1000_context_snapshot, "e1000-context", 1, struct e1000_context, CONTEXT_FIELDS);
#define E1000_FIELDS(V, S, H, P) \
	H(dev) S(fn, pci_function_snapshot) H(nic) H(romfile) V(reg) V(eeprom) V(phy) V(io_address) V(ee_in) V(ee_bits) V(ee_out) \
	V(ee_left) V(ee_writable) V(ee_do) V(tx_started) V(tx_tse) V(tx_vlan) V(tx_popts) V(tx_special) V(tx_bytes) \
	S(context, e1000_context_snapshot) H(pad) V(throttle) V(rx_packet) V(rx_absolute) V(tx_packet) V(tx_absolute) V(tx_more) \
	V(last_interrupt_ns) V(tx)
/* clang-format on */
SNAPSHOT(e1000_snapshot, "e1000", 1, struct e1000, E1000_FIELDS);

/* clang-format off */
/* 13.2: registers */
enum {
	CTRL = 0x00, STATUS = 0x08, EECD = 0x10, EERD = 0x14, CTRL_EXT = 0x18, FLA = 0x1c, MDIC = 0x20, FCAL = 0x28, FCAH = 0x2c,
	FCT = 0x30, VET = 0x38, ICR = 0xc0, ITR = 0xc4, ICS = 0xc8, IMS = 0xd0, IMC = 0xd8, RCTL = 0x100, FCTTV = 0x170,
	TXCW = 0x178, RXCW = 0x180, TCTL = 0x400, TIPG = 0x410, AIFS = 0x458, LEDCTL = 0xe00, PBA = 0x1000, FCRTL = 0x2160,
	FCRTH = 0x2168, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818, RDTR = 0x2820,
	RXDCTL = 0x2828, RADV = 0x282c, RSRPD = 0x2c00, TDFH = 0x3410, TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808,
	TDH = 0x3810, TDT = 0x3818, TIDV = 0x3820, TXDCTL = 0x3828, TADV = 0x382c, TSPMT = 0x3830, STATS = 0x4000, MPC = 0x4010,
	PRC64 = 0x405c, GPRC = 0x4074, BPRC = 0x4078, MPRC = 0x407c, GPTC = 0x4080, GORCL = 0x4088, GOTCL = 0x4090, RNBC = 0x40a0,
	RUC = 0x40a4, ROC = 0x40ac, TORL = 0x40c0, TOTL = 0x40c8, TPR = 0x40d0, TPT = 0x40d4, PTC64 = 0x40d8, MPTC = 0x40f0,
	BPTC = 0x40f4, TSCTC = 0x40f8, STATS_END = 0x4124, RXCSUM = 0x5000, MTA = 0x5200, RAL = 0x5400, VFTA = 0x5600, WUC = 0x5800,
	WUFC = 0x5808, WUS = 0x5810, MANC = 0x5820, IPAV = 0x5838, FFLT_END = 0x5a00,
};
/* clang-format on */

#define CTRL_SLU     BIT(6)
#define CTRL_RST     BIT(26)
#define CTRL_VME     BIT(30)
#define CTRL_PHY_RST BIT(31)
#define STATUS_FD    BIT(0)
#define STATUS_LU    BIT(1)
#define STATUS_1000  (2u << 6 | 2u << 8) /* SPEED, ASDV */
#define EECD_SK      BIT(0)
#define EECD_CS      BIT(1)
#define EECD_DI      BIT(2)
#define EECD_DO      BIT(3)
#define EECD_REQ     BIT(6)
#define EECD_GNT     BIT(7)
#define EECD_PRES    BIT(8)
#define INT_TXDW     BIT(0)
#define INT_TXQE     BIT(1)
#define INT_LSC      BIT(2)
#define INT_RXDMT0   BIT(4)
#define INT_RXO      BIT(6)
#define INT_RXT0     BIT(7)
#define INT_MDAC     BIT(9)
#define RCTL_EN      BIT(1)
#define RCTL_UPE     BIT(3)
#define RCTL_MPE     BIT(4)
#define RCTL_LPE     BIT(5)
#define RCTL_BAM     BIT(15)
#define RCTL_VFE     BIT(18)
#define RCTL_BSEX    BIT(25)
#define RCTL_SECRC   BIT(26)
#define TCTL_EN      BIT(1)
#define TCTL_PSP     BIT(3)
#define RXCSUM_IPOFL BIT(8)
#define RXCSUM_TUOFL BIT(9)

/* Descriptor commands and status (3.3) */
#define TX_EOP     BIT(0)
#define TX_IC      BIT(2) /* legacy */
#define TX_TSE     BIT(2) /* context, data */
#define TX_RS      BIT(3)
#define TX_DEXT    BIT(5)
#define TX_VLE     BIT(6)
#define TX_IDE     BIT(7)
#define TUCMD_TCP  BIT(0)
#define TUCMD_IP   BIT(1)
#define POPTS_IXSM BIT(0)
#define POPTS_TXSM BIT(1)
#define RX_DD      BIT(0)
#define RX_EOP     BIT(1)
#define RX_VP      BIT(3)
#define RX_TCPCS   BIT(5)
#define RX_IPCS    BIT(6)
#define RX_PIF     BIT(7)
#define RX_TCPE    BIT(5)
#define RX_IPE     BIT(6)

#define R(e, r) ((e)->reg[(r) / 4])

/* ---- interrupts (13.4.17 - 13.4.22)
 * ------------------------------------------------------------------------------- */

static u64 now_ns(const struct e1000 *e)
{
	return clock_now(e->dev.env->clock);
}

/* ITR (13.4.18): at least that many times 256 ns from one interrupt to the next. */
static void update_interrupt(struct e1000 *e)
{
	bool want = R(e, ICR) & R(e, IMS);
	if (!want) {
		timer_disarm(&e->throttle);
		pci_set_intx(&e->fn, false);
		return;
	}
	if (e->fn.intx || e->throttle.armed)
		return;
	u64 due = e->last_interrupt_ns + (R(e, ITR) & 0xffff) * 256ull;
	if (e->last_interrupt_ns && due > now_ns(e)) {
		timer_arm(&e->throttle, due);
		return;
	}
	e->last_interrupt_ns = now_ns(e);
	pci_set_intx(&e->fn, true);
}

static void throttle_over(void *d)
{
	update_interrupt(d);
}

static void raise_cause(struct e1000 *e, u32 causes)
{
	R(e, ICR) |= causes;
	update_interrupt(e);
}

/* 13.4.30, 13.4.31: the packet timer starts anew with every frame, the absolute one bounds the
 * wait. Units of 1.024 us. */
static void delayed_cause(struct e1000 *e, struct timer *packet, struct timer *absolute, u32 delay,
			  u32 bound, u32 cause)
{
	delay &= 0xffff;
	bound &= 0xffff;
	if (!delay) {
		raise_cause(e, cause);
		return;
	}
	timer_arm(packet, now_ns(e) + delay * 1024ull);
	if (bound && !absolute->armed)
		timer_arm(absolute, now_ns(e) + bound * 1024ull);
}

static void rx_delay_over(void *d)
{
	struct e1000 *e = d;
	timer_disarm(&e->rx_packet);
	timer_disarm(&e->rx_absolute);
	raise_cause(e, INT_RXT0);
}

static void tx_delay_over(void *d)
{
	struct e1000 *e = d;
	timer_disarm(&e->tx_packet);
	timer_disarm(&e->tx_absolute);
	raise_cause(e, INT_TXDW);
}

/* ---- statistics (13.7): read-to-clear, saturating
 * ------------------------------------------------------------------- */

static void count(struct e1000 *e, unsigned reg)
{
	if (R(e, reg) != UINT32_MAX)
		R(e, reg)++;
}

static void count_bytes(struct e1000 *e, unsigned low, u64 bytes)
{
	u64 v = R(e, low) | (u64)R(e, low + 4) << 32;
	v = v + bytes < v ? UINT64_MAX : v + bytes;
	R(e, low) = (u32)v;
	R(e, low + 4) = (u32)(v >> 32);
}

static void count_size(struct e1000 *e, unsigned first, size_t bytes)
{
	static const u16 limit[] = {64, 127, 255, 511, 1023};
	unsigned i = 0;
	while (i < ARRAY_SIZE(limit) && bytes > limit[i])
		i++;
	count(e, first + i * 4);
}

static void count_cast(struct e1000 *e, const u8 *frame, unsigned broadcast, unsigned multicast)
{
	if (nic_is_broadcast(frame))
		count(e, broadcast);
	else if (frame[0] & 1)
		count(e, multicast);
}

/* ---- EEPROM (5.3, 5.6)
 * ------------------------------------------------------------------------------------------------
 */

static void fill_eeprom(struct e1000 *e)
{
	u16 *w = e->eeprom, sum = 0;
	for (unsigned i = 0; i < 3; i++)
		w[i] = (u16)(e->nic.mac[i * 2] | e->nic.mac[i * 2 + 1] << 8);
	w[0x03] = 0x0000;
	w[0x05] = 0x0100; /* image version 1.0 */
	w[0x0a] = 0x4408; /* signature valid; subsystem IDs from words 0Bh, 0Ch */
	w[0x0b] = 0x001e;
	w[0x0c] = 0x8086;
	w[0x0d] = 0x100e;
	w[0x0e] = 0x8086;
	w[0x0f] = 0x3040;
	w[0x21] = 0x7863;
	for (unsigned i = 0; i < EEPROM_MAX - 1; i++)
		sum = (u16)(sum + w[i]);
	w[EEPROM_MAX - 1] = (u16)(0xbaba - sum); /* 5.6.35 */
}

/* A 93C46: start bit, two bits of opcode, six of address, then data. */
static void eeprom_bit(struct e1000 *e, bool in)
{
	if (e->ee_left) { /* a word goes out, most significant bit first; then the next */
		e->ee_do = e->ee_out >> 15 & 1;
		e->ee_out = e->ee_out << 1 & 0xffff;
		if (!--e->ee_left) {
			e->ee_in = (e->ee_in & ~0x3fu) | ((e->ee_in + 1) & 0x3f);
			e->ee_out = e->eeprom[e->ee_in & 0x3f];
			e->ee_left = 16;
		}
		return;
	}
	if (!e->ee_bits && !in)
		return; /* before the start bit */
	e->ee_in = e->ee_in << 1 | in;
	e->ee_bits++;
	if (e->ee_bits == 9) {
		unsigned op = e->ee_in >> 6 & 3, address = e->ee_in & 0x3f;
		if (op == 2) {
			e->ee_out = e->eeprom[address];
			e->ee_left = 16;
			e->ee_do = false;
		} else if (op == 0 && (address >> 4 == 3 || address >> 4 == 0)) {
			e->ee_writable = address >> 4 == 3;
		} else if (op == 3 && e->ee_writable) {
			e->eeprom[address] = 0xffff;
		}
	} else if (e->ee_bits == 25 && (e->ee_in >> 22 & 3) == 1) {
		if (e->ee_writable)
			e->eeprom[e->ee_in >> 16 & 0x3f] = (u16)e->ee_in;
		e->ee_do = true; /* ready */
	}
	e->ee_bits = MIN(e->ee_bits, 26);
}

static void write_eecd(struct e1000 *e, u32 v)
{
	u32 old = R(e, EECD);
	R(e, EECD) = v & (EECD_SK | EECD_CS | EECD_DI | EECD_REQ);
	if (!(v & EECD_CS)) {
		e->ee_in = e->ee_bits = e->ee_left = 0;
		e->ee_do = true;
	} else if (v & ~old & EECD_SK) {
		eeprom_bit(e, v & EECD_DI);
	}
}

static u32 read_eecd(const struct e1000 *e)
{
	u32 v = R(e, EECD) | EECD_PRES;
	return v | (e->ee_do ? EECD_DO : 0) | (v & EECD_REQ ? EECD_GNT : 0);
}

/* START: the word is there at once (DONE is bit 4 in this controller). */
static void write_eerd(struct e1000 *e, u32 v)
{
	unsigned address = v >> 8 & 0xff;
	u32 word = address < EEPROM_MAX ? e->eeprom[address] : 0xffff;
	R(e, EERD) = v & 1 ? word << 16 | (v & 0xff00) | BIT(4) : v & 0xff00;
}

/* ---- PHY (8.4, 13.4.6, 13.5)
 * -------------------------------------------------------------------------------------------- */

enum {
	PHY_CTRL,
	PHY_STATUS,
	PHY_ID1,
	PHY_ID2,
	PHY_ANA,
	PHY_LPA,
	PHY_ANE,
	PHY_GCON = 9,
	PHY_GSTATUS,
	PHY_ESTATUS = 15,
	PHY_PSCON,
	PHY_PSSTAT,
	PHY_EPSCON = 20
};

static bool link_up(const struct e1000 *e)
{
	return nic_link(&e->nic) && !(e->phy[PHY_CTRL] & BIT(11)); /* not powered down */
}

static void reset_phy(struct e1000 *e)
{
	memset(e->phy, 0, sizeof(e->phy));
	e->phy[PHY_CTRL] = 0x1140;
	e->phy[PHY_ID1] = 0x0141;
	e->phy[PHY_ID2] = 0x0c20;
	e->phy[PHY_ANA] = 0x0de1;
	e->phy[PHY_GCON] = 0x0e00;
	e->phy[PHY_ESTATUS] = 0x3000;
	e->phy[PHY_PSCON] = 0x0360;
	e->phy[PHY_EPSCON] = 0x0d60;
}

static u16 read_phy(struct e1000 *e, unsigned reg)
{
	bool up = link_up(e);
	switch (reg) {
	case PHY_STATUS: return 0x7949 | (up ? BIT(2) | BIT(5) : 0);
	case PHY_LPA: return up ? 0x45e1 : 0;
	case PHY_ANE: return up ? 1 : 0;
	case PHY_GSTATUS: return up ? 0x7c00 : 0;
	case PHY_PSSTAT: return up ? 0xac08 : 0;
	default: return e->phy[reg];
	}
}

static void write_phy(struct e1000 *e, unsigned reg, u16 v)
{
	static const u32 writable = BIT(PHY_CTRL) | BIT(PHY_ANA) | BIT(7) | BIT(PHY_GCON) |
				    BIT(PHY_PSCON) | BIT(18) | BIT(PHY_EPSCON) |
				    0xe2000000u /* 25, 29-31: pages and tuning */;
	bool was_up = link_up(e);
	if (!(writable >> reg & 1))
		return;
	if (reg == PHY_CTRL && v & BIT(15)) {
		reset_phy(e);
		v = e->phy[PHY_CTRL];
	}
	e->phy[reg] = reg == PHY_CTRL ? v & ~(BIT(9) | BIT(15)) : v;
	if (was_up != link_up(e) || (reg == PHY_CTRL && v & BIT(9) && nic_link(&e->nic)))
		raise_cause(e, INT_LSC); /* negotiated anew */
}

static void write_mdic(struct e1000 *e, u32 v)
{
	unsigned reg = v >> 16 & 31, op = v >> 26 & 3;
	bool here = (v >> 21 & 31) == 1;
	u32 done = (v & ~(BIT(28) | BIT(30))) | BIT(28);
	if (!here || (op != 1 && op != 2))
		done |= BIT(30);
	else if (op == 1)
		write_phy(e, reg, (u16)v);
	else
		done = (done & 0xffff0000u) | read_phy(e, reg);
	R(e, MDIC) = done;
	if (v & BIT(29))
		raise_cause(e, INT_MDAC);
}

/* ---- receive (3.2)
 * ------------------------------------------------------------------------------------------------------
 */

static u32 ring_count(const struct e1000 *e, unsigned len_reg)
{
	return (R(e, len_reg) & 0xfff80) / 16;
}

static u64 ring_base(const struct e1000 *e, unsigned low)
{
	return (R(e, low) & ~15u) | (u64)R(e, low + 4) << 32;
}

/* RCTL.BSIZE, BSEX (13.4.22) */
static u32 rx_buffer_bytes(const struct e1000 *e)
{
	u32 size = 2048u >> (R(e, RCTL) >> 16 & 3);
	return R(e, RCTL) & RCTL_BSEX ? size * 16 : size;
}

static u32 rx_free(const struct e1000 *e)
{
	u32 n = ring_count(e, RDLEN), head = R(e, RDH), tail = R(e, RDT);
	if (!n || head >= n || tail >= n)
		return 0;
	return tail >= head ? tail - head : n - head + tail;
}

static bool rx_enabled(const struct e1000 *e)
{
	return R(e, RCTL) & RCTL_EN;
}

static unsigned room(struct device *d)
{
	struct e1000 *e = (struct e1000 *)d;
	if (!rx_enabled(e) || !pci_bus_master(&e->fn))
		return 256; /* frames pass by unheard */
	u32 per_frame = (NET_FRAME_MAX + 4 + rx_buffer_bytes(e) - 1) / rx_buffer_bytes(e);
	return rx_free(e) / per_frame;
}

/* 3.2.1 and 13.5.1: exact, then hashed. @*exact: by an address register. */
static bool address_wanted(const struct e1000 *e, const u8 *mac, bool *exact)
{
	static const u8 shift[4] = {4, 3, 2, 0};
	u32 rctl = R(e, RCTL);
	*exact = false;
	for (unsigned i = 0; i < 16; i++) {
		u32 low = R(e, RAL + i * 8), high = R(e, RAL + i * 8 + 4);
		u32 mac_low = mac[0] | mac[1] << 8 | mac[2] << 16 | (u32)mac[3] << 24;
		if ((high & 0x80030000u) == 0x80000000u && low == mac_low &&
		    (high & 0xffff) == (u32)(mac[4] | mac[5] << 8)) {
			*exact = true;
			return true;
		}
	}
	if (!(mac[0] & 1))
		return rctl & RCTL_UPE;
	if (rctl & RCTL_MPE || (nic_is_broadcast(mac) && rctl & RCTL_BAM))
		return true;
	u32 hash = ((u32)(mac[5] << 8 | mac[4]) >> shift[rctl >> 12 & 3]) & 0xfff;
	return R(e, MTA + (hash >> 5) * 4) >> (hash & 31) & 1;
}

static bool is_vlan(const struct e1000 *e, const u8 *frame, size_t n)
{
	return n >= 18 && net_get16(frame + 12) == (R(e, VET) & 0xffff);
}

static bool vlan_wanted(const struct e1000 *e, const u8 *frame, size_t n)
{
	if (!(R(e, RCTL) & RCTL_VFE) || !is_vlan(e, frame, n))
		return true;
	u32 id = net_get16(frame + 14) & 0xfff;
	return R(e, VFTA + (id >> 5) * 4) >> (id & 31) & 1;
}

/* 3.2.9: checks of IPv4 header, TCP and UDP; @status and @errors of the descriptor. */
static void check_sums(const struct e1000 *e, const u8 *frame, size_t n, u8 *status, u8 *errors)
{
	const u8 *ip = frame + 14;
	u32 on = R(e, RXCSUM);
	if (n < 34 || net_get16(frame + 12) != 0x0800 || ip[0] >> 4 != 4)
		return;
	size_t header = (ip[0] & 15) * 4u, total = net_get16(ip + 2);
	if (header < 20 || total < header || total > n - 14)
		return;
	if (on & RXCSUM_IPOFL) {
		*status |= RX_IPCS;
		if (net_sum(ip, header, 0) != 0xffff)
			*errors |= RX_IPE;
	}
	size_t payload = total - header;
	bool tcp = ip[9] == 6 && payload >= 20, udp = ip[9] == 17 && payload >= 8;
	if (!(on & RXCSUM_TUOFL) || (!tcp && !udp) || net_get16(ip + 6) & 0x3fff)
		return;
	if (udp && !net_get16(ip + header + 6))
		return; /* none was sent */
	*status |= RX_TCPCS;
	if (net_sum(ip + header, payload, net_sum(ip + 12, 8, (u32)payload + ip[9])) != 0xffff)
		*errors |= RX_TCPE;
}

static void write_rx(struct e1000 *e, u64 desc, u16 length, u16 sum, u8 status, u8 errors,
		     u16 special)
{
	u8 out[8];
	u16 req = pci_requester(&e->fn);
	memcpy(out, &length, 2);
	memcpy(out + 2, &sum, 2);
	out[4] = status;
	out[5] = errors;
	memcpy(out + 6, &special, 2);
	(void)!dma_write(e->dev.env->bus, req, desc + 8, out, 8);
}

/* Spreads @n bytes over descriptors; the caller has seen to it that they suffice. */
static void store(struct e1000 *e, const u8 *frame, u32 n, u8 status, u8 errors, u16 special)
{
	struct bus *bus = e->dev.env->bus;
	u16 req = pci_requester(&e->fn);
	u32 size = rx_buffer_bytes(e), count_ = ring_count(e, RDLEN), pcss = R(e, RXCSUM) & 0xff;
	u16 sum = pcss < n ? net_sum(frame + pcss, n - pcss, 0) : 0;
	sum = __builtin_bswap16(sum);
	for (u32 at = 0; at < n;) {
		u64 desc = ring_base(e, RDBAL) + R(e, RDH) * 16ull, buffer = 0;
		u32 part = MIN(n - at, size);
		bool last = at + part == n;
		(void)!dma_read(bus, req, desc, &buffer, 8);
		if (buffer) /* 3.2.3: a null address is skipped, its descriptor used */
			(void)!dma_write(bus, req, buffer, frame + at, part);
		write_rx(e, desc, (u16)part, last ? sum : 0,
			 (u8)(status | RX_DD | (last ? RX_EOP : 0)), last ? errors : 0, special);
		R(e, RDH) = R(e, RDH) + 1 >= count_ ? 0 : R(e, RDH) + 1;
		at += part;
	}
}

static void count_received(struct e1000 *e, const u8 *frame, size_t bytes)
{
	count(e, GPRC);
	count(e, TPR);
	count_bytes(e, GORCL, bytes);
	count_bytes(e, TORL, bytes);
	count_size(e, PRC64, bytes);
	count_cast(e, frame, BPRC, MPRC);
}

static void take_frame(struct e1000 *e, const u8 *data, size_t n)
{
	u8 frame[NET_SEND_MAX + 64], status = 0, errors = 0;
	u16 special = 0;
	bool exact;
	if (!rx_enabled(e) || !pci_bus_master(&e->fn) || !address_wanted(e, data, &exact) ||
	    !vlan_wanted(e, data, n))
		return;
	if (n > (R(e, RCTL) & RCTL_LPE ? NET_SEND_MAX : is_vlan(e, data, n) ? 1518u : 1514u)) {
		count(e, ROC);
		return;
	}
	memcpy(frame, data, n);
	if (n < 60) {
		memset(frame + n, 0, 60 - n);
		n = 60;
	}
	count_received(e, frame, n + 4);
	if (R(e, CTRL) & CTRL_VME && is_vlan(e, frame, n)) {
		special = net_get16(frame + 14);
		status |= RX_VP;
		memmove(frame + 12, frame + 16, n - 16);
		n -= 4;
	}
	check_sums(e, frame, n, &status, &errors);
	if (!(R(e, RCTL) & RCTL_SECRC)) {
		memset(frame + n, 0, 4);
		n += 4;
	}
	u32 size = rx_buffer_bytes(e), available = rx_free(e), needed = ((u32)n + size - 1) / size;
	if (needed > available) {
		count(e, available ? RNBC : MPC);
		raise_cause(e, INT_RXO);
		return;
	}
	store(e, frame, (u32)n, (u8)(status | (exact ? 0 : RX_PIF)), errors, special);
	available -= needed;
	if (available <= ring_count(e, RDLEN) >> (1 + (R(e, RCTL) >> 8 & 3)))
		raise_cause(e, INT_RXDMT0);
	delayed_cause(e, &e->rx_packet, &e->rx_absolute, R(e, RDTR), R(e, RADV), INT_RXT0);
}

static void receive(struct device *d, const u8 *frame, size_t bytes)
{
	struct e1000 *e = (struct e1000 *)d;
	if (link_up(e))
		take_frame(e, frame, bytes);
}

/* ---- transmit (3.3 - 3.5)
 * ------------------------------------------------------------------------------------------------
 */

static void send_frame(struct e1000 *e, const u8 *frame, size_t n)
{
	u8 padded[60];
	if (n < NET_FRAME_MIN)
		return;
	if (n < 60 && R(e, TCTL) & TCTL_PSP) {
		memset(padded, 0, sizeof(padded));
		memcpy(padded, frame, n);
		frame = padded;
		n = 60;
	}
	count(e, GPTC);
	count(e, TPT);
	count_bytes(e, GOTCL, n + 4);
	count_bytes(e, TOTL, n + 4);
	count_size(e, PTC64, n + 4);
	count_cast(e, frame, BPTC, MPTC);
	if ((R(e, RCTL) >> 6 & 3) == 3 || e->phy[PHY_CTRL] & BIT(14))
		take_frame(e, frame, MIN(n, NET_SEND_MAX));
	else if (link_up(e))
		nic_send(&e->nic, frame, n);
}

/* 3.5.1: the sum from @start to @end (0: the packet's) goes to @at; what stands there takes part.
 */
static void insert_sum(u8 *p, u32 n, u32 at, u32 start, u32 end)
{
	u32 last = end && end < n ? end + 1 : n;
	if (at + 1 < n && start < last)
		net_put16(p + at, (u16)~net_sum(p + start, last - start, 0));
}

static void finish_sums(const struct e1000 *e, u8 *p, u32 n)
{
	const struct e1000_context *c = &e->context;
	if (e->tx_popts & POPTS_IXSM)
		insert_sum(p, n, c->ipcso, c->ipcss, c->ipcse);
	if (e->tx_popts & POPTS_TXSM)
		insert_sum(p, n, c->tucso, c->tucss, c->tucse);
}

static void send_tagged(struct e1000 *e, u8 *p, u32 n)
{
	u8 tagged[NET_SEND_MAX + 4];
	if (!e->tx_vlan || n < NET_FRAME_MIN || n > NET_SEND_MAX) {
		send_frame(e, p, n);
		return;
	}
	memcpy(tagged, p, 12);
	net_put16(tagged + 12, R(e, VET));
	net_put16(tagged + 14, e->tx_special);
	memcpy(tagged + 16, p + 12, n - 12);
	send_frame(e, tagged, n + 4);
}

/* 3.5.9: the headers of segment number @i, which carries payload from @from on. */
static void adapt_headers(const struct e1000 *e, u8 *p, u32 n, u32 i, u32 from, bool last)
{
	const struct e1000_context *c = &e->context;
	const struct net_headers h = {.ip = c->ipcss,
				      .transport = c->tucss,
				      .ipv4 = c->cmd & TUCMD_IP,
				      .tcp = c->cmd & TUCMD_TCP};
	net_adapt_headers(&h, p, n, i, from, last);
	if (e->tx_popts & POPTS_TXSM &&
	    c->tucso + 2u <= n) { /* the driver's pseudo-header lacks the length */
		u32 sum = net_get16(p + c->tucso) + (n - c->tucss);
		net_put16(p + c->tucso, (sum >> 16) + sum);
	}
}

static void segment(struct e1000 *e)
{
	u8 frame[NET_SEND_MAX];
	u32 header = e->context.hdrlen, mss = e->context.mss, payload = e->tx_bytes - header;
	if (!mss || header + mss > sizeof(frame) || e->tx_bytes <= header ||
	    e->context.tucss >= header) {
		log_line(e->dev.env->log, LOG_GUEST_ERRORS,
			 "%s: segmentation with MSS %u, %u bytes of headers, packet of %u",
			 e->dev.id, mss, header, e->tx_bytes);
		return;
	}
	for (u32 at = 0, i = 0; at < payload; at += mss, i++) {
		u32 part = MIN(mss, payload - at), n = header + part;
		memcpy(frame, e->tx, header);
		memcpy(frame + header, e->tx + header + at, part);
		adapt_headers(e, frame, n, i, at, at + part == payload);
		finish_sums(e, frame, n);
		send_tagged(e, frame, n);
	}
	count(e, TSCTC);
}

static void end_packet(struct e1000 *e)
{
	if (e->tx_tse) {
		segment(e);
	} else {
		finish_sums(e, e->tx, e->tx_bytes);
		send_tagged(e, e->tx, e->tx_bytes);
	}
	e->tx_bytes = 0;
	e->tx_started = e->tx_tse = e->tx_vlan = false;
	e->tx_popts = 0;
}

static void add_data(struct e1000 *e, u64 buffer, u32 n)
{
	n = MIN(n, TX_MAX - e->tx_bytes);
	(void)!dma_read(e->dev.env->bus, pci_requester(&e->fn), buffer, e->tx + e->tx_bytes, n);
	e->tx_bytes += n;
}

static u16 le16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}

static void load_context(struct e1000 *e, const u8 *d)
{
	e->context = (struct e1000_context){.ipcss = d[0],
					    .ipcso = d[1],
					    .ipcse = le16(d + 2),
					    .tucss = d[4],
					    .tucso = d[5],
					    .tucse = le16(d + 6),
					    .cmd = d[11],
					    .hdrlen = d[13],
					    .mss = le16(d + 14)};
}

static void start_packet(struct e1000 *e, u8 command, const u8 *d)
{
	if (e->tx_started)
		return;
	e->tx_started = true;
	e->tx_tse = command & TX_DEXT && command & TX_TSE;
	e->tx_popts = command & TX_DEXT ? d[13] : 0;
	e->tx_vlan = command & TX_VLE && R(e, CTRL) & CTRL_VME;
	e->tx_special = le16(d + 14);
}

static void one_descriptor(struct e1000 *e, const u8 *d)
{
	u8 command = d[11];
	u32 low = le16(d + 8) | (u32)d[10] << 16;
	u64 buffer;
	memcpy(&buffer, d, 8);
	if (command & TX_DEXT && (d[10] >> 4) == 0) {
		load_context(e, d);
		return;
	}
	if (command & TX_VLE) /* with a VLAN the tag stands in the last descriptor */
		e->tx_special = le16(d + 14);
	start_packet(e, command, d);
	add_data(e, buffer, command & TX_DEXT ? low & 0xfffff : le16(d + 8));
	if (!(command & TX_EOP))
		return;
	if (!(command & TX_DEXT) && command & TX_IC) /* legacy: CSO is byte 10, CSS byte 13 */
		insert_sum(e->tx, e->tx_bytes, d[10], d[13], 0);
	if (command & TX_VLE && R(e, CTRL) & CTRL_VME) {
		e->tx_vlan = true;
		e->tx_special = le16(d + 14);
	}
	end_packet(e);
}

/* Sets DD; a delayed interrupt if the descriptor allows (IDE). */
static void report(struct e1000 *e, u64 at, const u8 *d)
{
	u8 status = d[12] | 1;
	if (!(d[11] & TX_RS))
		return;
	(void)!dma_write(e->dev.env->bus, pci_requester(&e->fn), at + 12, &status, 1);
	if (d[11] & TX_IDE)
		delayed_cause(e, &e->tx_packet, &e->tx_absolute, R(e, TIDV), R(e, TADV), INT_TXDW);
	else
		raise_cause(e, INT_TXDW);
}

static void transmit(struct e1000 *e)
{
	u32 n = ring_count(e, TDLEN);
	u8 d[16];
	if (!(R(e, TCTL) & TCTL_EN) || !pci_bus_master(&e->fn) || R(e, TDH) >= n ||
	    R(e, TDT) >= n || e->tx_more.armed)
		return;
	for (unsigned i = 0; R(e, TDH) != R(e, TDT); i++) {
		u64 at = ring_base(e, TDBAL) + R(e, TDH) * 16ull;
		if (i == TX_BURST) {
			timer_arm(&e->tx_more, now_ns(e) + TX_PAUSE);
			return;
		}
		(void)!dma_read(e->dev.env->bus, pci_requester(&e->fn), at, d, sizeof(d));
		one_descriptor(e, d);
		R(e, TDH) = R(e, TDH) + 1 >= n ? 0 : R(e, TDH) + 1;
		report(e, at, d);
	}
	raise_cause(e, INT_TXQE);
}

static void tx_go_on(void *d)
{
	transmit(d);
}

/* ---- registers
 * --------------------------------------------------------------------------------------------------------------
 */

/* 14.3 and 5.6: the first address register comes from the EEPROM. */
static void reset_registers(struct e1000 *e)
{
	memset(e->reg, 0, sizeof(e->reg));
	R(e, CTRL) = 0x00000201; /* FD, SPEED 1000 by EEPROM */
	R(e, PBA) = 0x00100030;
	R(e, LEDCTL) = 0x07068302;
	R(e, VET) = 0x8100;
	R(e, RAL) = e->eeprom[0] | (u32)e->eeprom[1] << 16;
	R(e, RAL + 4) = e->eeprom[2] | 0x80000000u;
	timer_disarm(&e->throttle);
	timer_disarm(&e->rx_packet);
	timer_disarm(&e->rx_absolute);
	timer_disarm(&e->tx_packet);
	timer_disarm(&e->tx_absolute);
	timer_disarm(&e->tx_more);
	e->tx_bytes = 0;
	e->tx_started = e->tx_tse = e->tx_vlan = false;
	e->tx_popts = 0;
	e->context = (struct e1000_context){0};
	e->last_interrupt_ns = 0;
	e->ee_in = e->ee_bits = e->ee_left = 0;
	update_interrupt(e);
}

static void write_ctrl(struct e1000 *e, u32 v)
{
	if (v & CTRL_RST) {
		reset_registers(e);
		return;
	}
	bool phy = v & ~R(e, CTRL) & CTRL_PHY_RST;
	R(e, CTRL) = v & ~CTRL_RST;
	if (phy)
		reset_phy(e);
	if (v & CTRL_SLU && link_up(e) && phy)
		raise_cause(e, INT_LSC);
}

static u32 read_register(struct e1000 *e, unsigned reg)
{
	u32 v;
	if (reg >= STATS && reg < STATS_END) {
		v = R(e, reg);
		R(e, reg) = 0;
		return v;
	}
	switch (reg) {
	case STATUS: return STATUS_FD | STATUS_1000 | (link_up(e) ? STATUS_LU : 0);
	case EECD: return read_eecd(e);
	case ICS:
	case IMC: return 0; /* write-only */
	case ICR:
		v = R(e, ICR);
		R(e, ICR) = 0;
		update_interrupt(e);
		return v;
	}
	return R(e, reg);
}

/* Registers that only hold what is written, with the bits they have. */
static const struct plain {
	u16 first, last;
	u32 mask;
} plain[] = {
    {CTRL_EXT, CTRL_EXT, UINT32_MAX},
    {FLA, FLA, 0x3f},
    {FCAL, FCAL, UINT32_MAX},
    {FCAH, FCAH, 0xffff},
    {FCT, FCT, 0xffff},
    {VET, VET, 0xffff},
    {FCTTV, FCTTV, 0xffff},
    {TXCW, TXCW, UINT32_MAX},
    {TIPG, TIPG, 0x3fffffff},
    {AIFS, AIFS, 0xffff},
    {LEDCTL, LEDCTL, UINT32_MAX},
    {PBA, PBA, 0x3f},
    {FCRTL, FCRTL, 0x8000fff8u},
    {FCRTH, FCRTH, 0xfff8},
    {RDBAL, RDBAL, 0xfffffff0u},
    {RDBAH, RDBAH, UINT32_MAX},
    {RDLEN, RDLEN, 0xfff80},
    {RDH, RDH, 0xffff},
    {RXDCTL, RXDCTL, UINT32_MAX},
    {RADV, RADV, 0xffff},
    {RSRPD, RSRPD, 0xfff},
    {TDFH, TDFH + 0x20, 0x1fff},
    {TDBAL, TDBAL, 0xfffffff0u},
    {TDBAH, TDBAH, UINT32_MAX},
    {TDLEN, TDLEN, 0xfff80},
    {TDH, TDH, 0xffff},
    {TIDV, TIDV, 0xffff},
    {TXDCTL, TXDCTL, UINT32_MAX},
    {TADV, TADV, 0xffff},
    {TSPMT, TSPMT, UINT32_MAX},
    {RXCSUM, RXCSUM, 0x3ff},
    {MTA, MTA + 0x1fc, UINT32_MAX},
    {RAL, RAL + 0x7c, UINT32_MAX},
    {VFTA, VFTA + 0x1fc, UINT32_MAX},
    {WUC, WUC, 0x1f},
    {WUFC, WUFC, 0xfffff},
    {WUS, WUS, UINT32_MAX},
    {MANC, MANC, UINT32_MAX},
    {IPAV, FFLT_END, UINT32_MAX},
};

static void write_plain(struct e1000 *e, unsigned reg, u32 v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(plain); i++)
		if (reg >= plain[i].first && reg <= plain[i].last) {
			R(e, reg) = v & plain[i].mask;
			return;
		}
	if (reg < STATS || reg >= STATS_END)
		log_unimplemented(e->dev.env->log, "e1000: register %04x <- %08x", reg, v);
}

static void write_register(struct e1000 *e, unsigned reg, u32 v)
{
	switch (reg) {
	case CTRL:
	case CTRL + 4: write_ctrl(e, v); break;
	case STATUS: break;
	case EECD: write_eecd(e, v); break;
	case EERD: write_eerd(e, v); break;
	case MDIC: write_mdic(e, v); break;
	case ICR:
		R(e, ICR) &= ~v;
		update_interrupt(e);
		break;
	case ITR: R(e, ITR) = v & 0xffff; break;
	case ICS: raise_cause(e, v & 0x1ffff); break;
	case IMS:
		R(e, IMS) |= v & 0x1ffff;
		update_interrupt(e);
		break;
	case IMC:
		R(e, IMS) &= ~v;
		update_interrupt(e);
		break;
	case RCTL:
		R(e, RCTL) = v;
		nic_ready(&e->nic);
		break;
	case RDT:
		R(e, RDT) = v & 0xffff;
		nic_ready(&e->nic);
		break;
	case RDTR:
		R(e, RDTR) = v & 0xffff;
		if (v & BIT(31) && e->rx_packet.armed) /* flush partial descriptor block: now */
			rx_delay_over(e);
		break;
	case TCTL:
		R(e, TCTL) = v;
		transmit(e);
		break;
	case TDT:
		R(e, TDT) = v & 0xffff;
		transmit(e);
		break;
	default: write_plain(e, reg, v); break;
	}
}

/* The address filters' region and MTA are mirrored nowhere; beyond the registers lies the packet
 * buffer, not modelled. */
static u64 mem_read(void *ctx, u64 offset, unsigned size)
{
	struct e1000 *e = ctx;
	if (offset >= REG_BYTES)
		return 0;
	return read_register(e, (unsigned)offset & ~3u) >> ((offset & 3) * 8);
}

static void mem_write(void *ctx, u64 offset, u64 value, unsigned size)
{
	struct e1000 *e = ctx;
	if (size != 4 || offset & 3)
		log_line(e->dev.env->log, LOG_GUEST_ERRORS, "%s: write of %u bytes at %llx",
			 e->dev.id, size, (unsigned long long)offset);
	else if (offset < REG_BYTES)
		write_register(e, (unsigned)offset, (u32)value);
}

/* 13.1.2: IOADDR and IODATA */
static u32 io_read(void *ctx, u16 port, unsigned size)
{
	struct e1000 *e = ctx;
	unsigned at = (unsigned)(port - pci_bar_base(&e->fn, 2)) & ~3u, shift = (port & 3) * 8;
	if (at == 0)
		return e->io_address >> shift;
	return at == 4 ? (u32)mem_read(e, e->io_address & ~3u, 4) >> shift : 0;
}

static void io_write(void *ctx, u16 port, u32 value, unsigned size)
{
	struct e1000 *e = ctx;
	unsigned at = (unsigned)(port - pci_bar_base(&e->fn, 2));
	if (size != 4)
		return;
	if (at == 0)
		e->io_address = value & 0x1ffff;
	else if (at == 4)
		mem_write(e, e->io_address & ~3u, value, 4);
}

static const struct mmio_ops mem_ops = {mem_read, mem_write, 4};
static const struct port_ops io_ops = {io_read, io_write, IO_ANY};

/* ---- the device
 * ----------------------------------------------------------------------------------------------------------------
 */

static const struct nic_ops nic_ops = {room, receive};

static int init(struct device *d, char *err, size_t n)
{
	struct e1000 *e = (struct e1000 *)d;
	int r = nic_init(&e->nic, d, &nic_ops, err, n);
	if (r)
		return r;
	fill_eeprom(e);
	return pci_rom_file(&e->fn, e->romfile, err, n);
}

static void exit_(struct device *d)
{
	nic_exit(&((struct e1000 *)d)->nic);
}

static void reset(struct device *d, enum reset_kind kind)
{
	struct e1000 *e = (struct e1000 *)d;
	e->io_address = 0;
	e->ee_writable = false;
	e->ee_do = true;
	reset_registers(e);
	reset_phy(e);
}

static void loaded(struct device *d)
{
	struct e1000 *e = (struct e1000 *)d;
	e->tx_bytes = MIN(e->tx_bytes, TX_MAX);
}

static const struct pci_ident ident = {
    .vendor = 0x8086,
    .device = 0x100e,
    .subsystem_vendor = 0x8086,
    .subsystem = 0x001e,
    .revision = 2,
    .class_code = 0x020000,
    .pin = 1,
    .devfn = -1,
    .bar = {[0] = {.kind = PCI_BAR_MEM32, .size = 0x20000, .mmio = &mem_ops},
	    [2] = {.kind = PCI_BAR_IO, .size = 0x40, .io = &io_ops}},
};

static const struct timer_decl timers[] = {
    {"throttle", offsetof(struct e1000, throttle), throttle_over},
    {"rx-packet", offsetof(struct e1000, rx_packet), rx_delay_over},
    {"rx-absolute", offsetof(struct e1000, rx_absolute), rx_delay_over},
    {"tx-packet", offsetof(struct e1000, tx_packet), tx_delay_over},
    {"tx-absolute", offsetof(struct e1000, tx_absolute), tx_delay_over},
    {"tx-more", offsetof(struct e1000, tx_more), tx_go_on},
    {0},
};

static const struct prop props[] = {
    NIC_PROPS(struct e1000),
    {.name = "romfile",
     .type = PROP_TEXT,
     .offset = offsetof(struct e1000, romfile),
     .def = "",
     .help = "PCI expansion ROM (iPXE)"},
    {0},
};

const struct device_type e1000_type = {
    .name = "e1000",
    .help = "Intel 82540EM gigabit Ethernet",
    .category = "network",
    .size = sizeof(struct e1000),
    .pci = &ident,
    .pci_offset = offsetof(struct e1000, fn),
    .timers = timers,
    .props = props,
    .snapshot = &e1000_snapshot,
    .init = init,
    .reset = reset,
    .free = exit_,
    .loaded = loaded,
};
