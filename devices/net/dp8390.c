/*
 * National Semiconductor DP8390D network interface controller (data sheet of July 1995; section
 * numbers are its), on the board of an NE2000. Modelled: register pages 0-2, receive ring,
 * transmission, remote DMA in bytes, words and (RTL8029) double words, Send Packet, address
 * filters, interrupts, tallies, monitor mode. Loopback modes transmit to nowhere. Not modelled: DMA
 * under the processor's own addresses (DCR.LAS), collisions, the FIFO register.
 */
#include "devices/net/dp8390.h"

/* clang-format off */
#define DP8390_FIELDS(V, S, H, P) \
	V(mem) V(prom) V(cr) V(isr) V(imr) V(rcr) V(tcr) V(dcr) V(tsr) V(rsr) V(pstart) V(pstop) V(bnry) V(tpsr) V(curr) \
	V(next_remote) V(tbcr) V(rsar) V(rbcr) V(par) V(mar) V(tally) H(rtl8029) P(2) H(nic) H(irq)
/* clang-format on */
SNAPSHOT(dp8390_snapshot, "dp8390", 1, struct dp8390, DP8390_FIELDS);

#define CR_STP   0x01u
#define CR_STA   0x02u
#define CR_TXP   0x04u
#define CR_RD    0x38u
#define RD_READ  0x08u
#define RD_WRITE 0x10u
#define RD_SEND  0x18u
#define RD_ABORT 0x20u
#define ISR_PRX  0x01u
#define ISR_PTX  0x02u
#define ISR_OVW  0x10u
#define ISR_CNT  0x20u
#define ISR_RDC  0x40u
#define ISR_RST  0x80u
#define RCR_AR   0x02u
#define RCR_AB   0x04u
#define RCR_AM   0x08u
#define RCR_PRO  0x10u
#define RCR_MON  0x20u
#define TCR_LB   0x06u
#define DCR_WTS  0x01u
#define RSR_PRX  0x01u
#define RSR_MPA  0x10u
#define RSR_PHY  0x20u
#define TSR_PTX  0x01u

static void update_irq(struct dp8390 *c)
{
	c->irq(c->nic->dev, c->isr & c->imr & 0x7f);
}

static void raise_status(struct dp8390 *c, u8 bits)
{
	c->isr |= bits;
	update_irq(c);
}

void dp8390_init(struct dp8390 *c, struct nic *nic, void (*irq)(struct device *, bool))
{
	c->nic = nic;
	c->irq = irq;
	for (unsigned i = 0; i < 6; i++) /* every byte twice, so that byte and word reads see it */
		c->prom[i * 2] = c->prom[i * 2 + 1] = nic->mac[i];
	for (unsigned i = 28; i < 32; i++)
		c->prom[i] = 0x57; /* a 16-bit card */
}

/* 11.0: the registers a reset defines; the rest stays. */
void dp8390_reset(struct dp8390 *c)
{
	c->cr = CR_STP | RD_ABORT;
	c->isr = ISR_RST;
	c->imr = c->dcr = c->tcr = c->rcr = 0;
	c->rbcr = 0;
	update_irq(c);
}

/* ---- memory
 * -------------------------------------------------------------------------------------------------------
 */

static u8 mem_read(const struct dp8390 *c, u16 at)
{
	if (at < sizeof(c->prom))
		return c->prom[at];
	return at >= DP8390_MEM_START && at < DP8390_MEM_END ? c->mem[at - DP8390_MEM_START] : 0xff;
}

static void mem_write(struct dp8390 *c, u16 at, u8 v)
{
	if (at >= DP8390_MEM_START && at < DP8390_MEM_END)
		c->mem[at - DP8390_MEM_START] = v;
}

/* ---- remote DMA (section 9)
 * ---------------------------------------------------------------------------------------- */

static bool remote_going(const struct dp8390 *c, u8 direction)
{
	u8 rd = c->cr & CR_RD;
	return c->rbcr && (rd == direction || (direction == RD_READ && rd == RD_SEND));
}

/* In read and write alike, the address wraps from the ring's end to its start. */
static void remote_step(struct dp8390 *c, unsigned n)
{
	c->rsar = (u16)(c->rsar + n);
	if (c->rsar == c->pstop << 8)
		c->rsar = (u16)(c->pstart << 8);
	c->rbcr = c->rbcr > n ? (u16)(c->rbcr - n) : 0;
	if (c->rbcr)
		return;
	if ((c->cr & CR_RD) == RD_SEND)
		c->bnry = c->next_remote;
	raise_status(c, ISR_RDC);
	nic_ready(c->nic);
}

static u32 data_read(struct dp8390 *c, unsigned size)
{
	u32 v = 0;
	bool word = c->dcr & DCR_WTS;
	for (unsigned i = 0; i < size; i += word ? 2 : 1) {
		if (!remote_going(c, RD_READ))
			return v | ~0u << (i * 8);
		v |= (u32)mem_read(c, c->rsar) << (i * 8);
		if (word && i + 1 < size)
			v |= (u32)mem_read(c, (u16)(c->rsar + 1)) << (i * 8 + 8);
		remote_step(c, word ? 2 : 1);
	}
	return v;
}

static void data_write(struct dp8390 *c, u32 v, unsigned size)
{
	bool word = c->dcr & DCR_WTS;
	for (unsigned i = 0; i < size && remote_going(c, RD_WRITE); i += word ? 2 : 1) {
		mem_write(c, c->rsar, (u8)(v >> (i * 8)));
		if (word && i + 1 < size)
			mem_write(c, (u16)(c->rsar + 1), (u8)(v >> (i * 8 + 8)));
		remote_step(c, word ? 2 : 1);
	}
}

/*
 * Bytes from the remote DMA's address on that lie in the buffer memory one behind the other and whose transfer does nothing but
 * move them: neither the last of the count, which raises an interrupt, nor one behind the ring's end.
 */
static u32 run_bytes(const struct dp8390 *c, u8 direction)
{
	u32 at = c->rsar, end = DP8390_MEM_END, stop = (u32)c->pstop << 8;
	if (!remote_going(c, direction) || at < DP8390_MEM_START || at >= DP8390_MEM_END)
		return 0;
	if (stop > at && stop < end)
		end = stop;
	return MIN(end - at, c->rbcr) - 1u; /* what comes after it is for remote_step() */
}

/* Units of @size bytes of a run; @*mem: the buffer memory they move from or to. */
static u32 run_units(struct dp8390 *c, u8 direction, unsigned port, unsigned size, u32 count, u8 **mem)
{
	u32 n = port == 0x10 && (size > 1 || !(c->dcr & DCR_WTS)) ? MIN(run_bytes(c, direction) / size, count) : 0;
	if (n) {
		*mem = c->mem + (c->rsar - DP8390_MEM_START);
		c->rsar = (u16)(c->rsar + n * size);
		c->rbcr = (u16)(c->rbcr - n * size);
	}
	return n;
}

u32 dp8390_read_run(struct dp8390 *c, unsigned port, unsigned size, u8 *data, u32 count)
{
	u8 *mem = NULL;
	u32 n = run_units(c, RD_READ, port, size, count, &mem);
	if (n)
		memcpy(data, mem, (size_t)n * size);
	return n;
}

u32 dp8390_write_run(struct dp8390 *c, unsigned port, unsigned size, const u8 *data, u32 count)
{
	u8 *mem = NULL;
	u32 n = run_units(c, RD_WRITE, port, size, count, &mem);
	if (n)
		memcpy(mem, data, (size_t)n * size);
	return n;
}

/* 9.3: the packet at BNRY, by the count in its header. */
static void send_packet_command(struct dp8390 *c)
{
	u16 at = (u16)(c->bnry << 8);
	c->next_remote = mem_read(c, (u16)(at + 1));
	c->rsar = at;
	c->rbcr = (u16)(mem_read(c, (u16)(at + 2)) | mem_read(c, (u16)(at + 3)) << 8);
}

/* ---- transmit (section 8)
 * -----------------------------------------------------------------------------------------------
 */

static void transmit(struct dp8390 *c)
{
	u8 frame[NET_FRAME_MAX];
	u16 at = (u16)(c->tpsr << 8);
	unsigned n = MIN(c->tbcr, NET_FRAME_MAX);
	if (at >= DP8390_MEM_START && at + n <= DP8390_MEM_END)
		memcpy(frame, c->mem + (at - DP8390_MEM_START), n);
	else
		for (unsigned i = 0; i < n; i++)
			frame[i] = mem_read(c, (u16)(at + i));
	if (!(c->tcr & TCR_LB))
		nic_send(c->nic, frame, n);
	c->cr &= (u8)~CR_TXP;
	c->tsr = TSR_PTX;
	raise_status(c, ISR_PTX);
}

/* ---- receive (section 7)
 * -----------------------------------------------------------------------------------------------
 */

static unsigned ring_pages(const struct dp8390 *c)
{
	return c->pstop > c->pstart ? c->pstop - c->pstart : 0;
}

/* Drivers put BNRY one page behind what they have read: at the ring's start that is the page before
 * the ring. */
static unsigned free_pages(const struct dp8390 *c)
{
	int pages = (int)ring_pages(c), used = c->curr - c->bnry;
	if (!pages || c->curr < c->pstart || c->curr >= c->pstop)
		return 0;
	if (used < 0)
		used += pages;
	return used < pages ? (unsigned)(pages - used) : 0;
}

static bool listening(const struct dp8390 *c)
{
	return (c->cr & (CR_STP | CR_STA)) == CR_STA && !(c->rcr & RCR_MON) && ring_pages(c) &&
	       !(c->tcr & TCR_LB);
}

#define PAGES_MAX ((NET_FRAME_MAX + 8 + 255) / 256)

/*
 * Drivers read some frames, acknowledge the interrupt, and learn of those left by the next frame's.
 * So there must always be a next one: half of the ring is kept for it, and once the interrupt is
 * acknowledged one more frame is let in, whatever it meets.
 */
unsigned dp8390_room(const struct dp8390 *c)
{
	unsigned free = free_pages(c), half = ring_pages(c) / 2;
	if (!listening(c))
		return 16; /* they pass by unheard */
	if (free > half + PAGES_MAX)
		return (free - half) / PAGES_MAX;
	return !(c->isr & (ISR_PRX | ISR_OVW));
}

static bool address_wanted(const struct dp8390 *c, const u8 *mac)
{
	if (c->rcr & RCR_PRO)
		return true;
	if (nic_is_broadcast(mac))
		return c->rcr & RCR_AB;
	if (!(mac[0] & 1))
		return !memcmp(mac, c->par, 6);
	unsigned hash =
	    nic_crc_be(mac, 6) >> 26; /* 10.2: the six most significant bits of the CRC */
	return c->rcr & RCR_AM && c->mar[hash >> 3] >> (hash & 7) & 1;
}

static void count_missed(struct dp8390 *c)
{
	if (c->tally[2] < 0xff && (++c->tally[2] & 0x80))
		raise_status(c, ISR_CNT);
}

/* Into the ring from CURR on. */
static void store(struct dp8390 *c, const u8 *frame, unsigned n)
{
	unsigned at = (unsigned)c->curr << 8, stop = (unsigned)c->pstop << 8;
	if (at >= DP8390_MEM_START && at + n <= MIN(stop, DP8390_MEM_END)) {
		memcpy(c->mem + (at - DP8390_MEM_START), frame, n);
		return;
	}
	for (unsigned i = 0; i < n; i++, at++) {
		if (at == stop)
			at = (unsigned)c->pstart << 8;
		mem_write(c, (u16)at, frame[i]);
	}
}

void dp8390_receive(struct dp8390 *c, const u8 *data, size_t bytes)
{
	u8 frame[NET_FRAME_MAX + 4] = {0};
	if ((c->cr & (CR_STP | CR_STA)) != CR_STA || !address_wanted(c, data))
		return;
	if (!listening(c)) {
		count_missed(c);
		return;
	}
	memcpy(frame + 4, data, bytes);
	unsigned n = (unsigned)MAX(bytes, (size_t)60) + 4,
		 pages = (n + 4 /* check sequence */ + 255) / 256;
	if (free_pages(c) <= pages) {
		c->rsr = RSR_MPA;
		count_missed(c);
		raise_status(c, ISR_OVW);
		return;
	}
	unsigned next = c->curr + pages;
	if (next >= c->pstop)
		next -= ring_pages(c);
	c->rsr = (u8)(RSR_PRX | (data[0] & 1 ? RSR_PHY : 0));
	frame[0] = c->rsr;
	frame[1] = (u8)next;
	frame[2] = (u8)n;
	frame[3] = (u8)(n >> 8);
	store(c, frame, n);
	c->curr = (u8)next;
	raise_status(c, ISR_PRX);
}

/* ---- registers (section 10)
 * --------------------------------------------------------------------------------------------- */

static void write_cr(struct dp8390 *c, u8 v)
{
	if (!(v & (CR_STP | CR_STA))) /* neither: it goes on as it was; drivers select pages so */
		v |= c->cr & (CR_STP | CR_STA);
	c->cr = (u8)((v & ~CR_TXP) | (c->cr & CR_TXP));
	if (v & CR_STP) {
		c->isr |= ISR_RST;
		return;
	}
	if (v & CR_STA)
		c->isr &= (u8)~ISR_RST;
	if ((v & CR_RD) == RD_SEND)
		send_packet_command(c);
	if ((v & CR_RD) && !(v & RD_ABORT) && !c->rbcr)
		raise_status(c, ISR_RDC); /* a transfer of nothing is over at once */
	if (v & CR_TXP)
		transmit(c);
	nic_ready(c->nic);
}

static u8 read_tally(struct dp8390 *c, unsigned i)
{
	u8 v = c->tally[i];
	c->tally[i] = 0;
	return v;
}

static u8 read_page0(struct dp8390 *c, unsigned reg)
{
	switch (reg) {
	case 3: return c->bnry;
	case 4: return c->tsr;
	case 5: return 0; /* no collisions */
	case 7: return c->isr;
	case 8: return (u8)c->rsar;
	case 9: return (u8)(c->rsar >> 8);
	case 0xa: return c->rtl8029 ? 'P' : 0xff;
	case 0xb: return c->rtl8029 ? 'C' : 0xff;
	case 0xc: return c->rsr;
	case 0xd:
	case 0xe:
	case 0xf: return read_tally(c, reg - 0xd);
	default: return 0;
	}
}

static u8 read_page2(const struct dp8390 *c, unsigned reg)
{
	const u8 v[16] = {0,
			  c->pstart,
			  c->pstop,
			  c->next_remote,
			  c->tpsr,
			  c->curr,
			  0,
			  0,
			  0xff,
			  0xff,
			  0xff,
			  0xff,
			  (u8)(0xc0 | c->rcr),
			  (u8)(0xe0 | c->tcr),
			  (u8)(0x80 | c->dcr),
			  (u8)(0x80 | c->imr)};
	return v[reg];
}

static u8 read_register(struct dp8390 *c, unsigned reg)
{
	if (!reg)
		return c->cr;
	switch (c->cr >> 6) {
	case 0: return read_page0(c, reg);
	case 1: return reg <= 6 ? c->par[reg - 1] : reg == 7 ? c->curr : c->mar[reg - 8];
	case 2: return read_page2(c, reg);
	default: return 0; /* RTL8029 page 3: 10BASE-T, no boot ROM */
	}
}

static void write_page0(struct dp8390 *c, unsigned reg, u8 v)
{
	switch (reg) {
	case 1: c->pstart = v; break;
	case 2: c->pstop = v; break;
	case 3: c->bnry = v; break;
	case 4: c->tpsr = v; break;
	case 5: c->tbcr = (u16)((c->tbcr & 0xff00) | v); break;
	case 6: c->tbcr = (u16)((c->tbcr & 0xff) | v << 8); break;
	case 7: c->isr &= (u8) ~(v & 0x7f); break;
	case 8: c->rsar = (u16)((c->rsar & 0xff00) | v); break;
	case 9: c->rsar = (u16)((c->rsar & 0xff) | v << 8); break;
	case 0xa: c->rbcr = (u16)((c->rbcr & 0xff00) | v); break;
	case 0xb: c->rbcr = (u16)((c->rbcr & 0xff) | v << 8); break;
	case 0xc: c->rcr = v & 0x3f; break;
	case 0xd: c->tcr = v & 0x1f; break;
	case 0xe: c->dcr = v & 0x7f; break;
	case 0xf: c->imr = v & 0x7f; break;
	}
	if (reg == 7 || reg == 0xf)
		update_irq(c);
	if (reg == 3 || reg == 7)
		nic_ready(c->nic);
}

static void write_register(struct dp8390 *c, unsigned reg, u8 v)
{
	if (!reg) {
		write_cr(c, v);
	} else if (c->cr >> 6 == 0) {
		write_page0(c, reg, v);
	} else if (c->cr >> 6 == 1) {
		if (reg <= 6)
			c->par[reg - 1] = v;
		else if (reg == 7)
			c->curr = v;
		else
			c->mar[reg - 8] = v;
	}
}

u32 dp8390_read(struct dp8390 *c, unsigned port, unsigned size)
{
	u32 v = 0;
	if (port >= 0x10 && port < 0x18)
		return data_read(c, size);
	for (unsigned i = 0; i < size; i++) {
		if (port + i >= 0x18)
			dp8390_reset(c);
		else if (port + i < 0x10)
			v |= (u32)read_register(c, port + i) << (i * 8);
	}
	return v;
}

void dp8390_write(struct dp8390 *c, unsigned port, u32 v, unsigned size)
{
	if (port >= 0x10 && port < 0x18) {
		data_write(c, v, size);
		return;
	}
	for (unsigned i = 0; i < size && port + i < 0x10; i++) /* the reset port resets when read */
		write_register(c, port + i, (u8)(v >> (i * 8)));
}
