/*
 * Virtio network device (5.1): one receive and one transmit queue. Modelled: merged receive
 * buffers, checksum of what is sent, TCP segmentation over IPv4 and IPv6, link status. Not
 * modelled: the control queue, receive offloads, several queue pairs.
 */
#include <errno.h>

#include "devices/net/checksum.h"
#include "devices/net/nic.h"
#include "devices/net/segment.h"
#include "devices/virtio/virtio.h"

#define F_CSUM      BIT64(0)
#define F_MAC       BIT64(5)
#define F_HOST_TSO4 BIT64(11)
#define F_HOST_TSO6 BIT64(12)
#define F_MRG_RXBUF BIT64(15)
#define F_STATUS    BIT64(16)

#define PACKET_MAX (65536u + 256u)

enum { RX, TX };
enum { GSO_NONE, GSO_TCPV4 = 1, GSO_TCPV6 = 4 };
#define HDR_NEEDS_CSUM 1u

struct net_hdr { /* 5.1.6 */
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct virtio_net {
	struct virtio v;
	struct nic nic;
	char romfile[PROP_TEXT_SIZE];
};

/* clang-format off */
#define NET_FIELDS(V, S, H, P) S(v, virtio_snapshot) H(nic) H(romfile)
/* clang-format on */
SNAPSHOT(virtio_net_snapshot, "virtio-net", 1, struct virtio_net, NET_FIELDS);

static void config(struct virtio *v, u8 *c)
{
	const struct virtio_net *d = (struct virtio_net *)v;
	memcpy(c, d->nic.mac, 6);
	c[6] = nic_link(&d->nic);
	c[8] = 1;
}

/* Without merged buffers, legacy drivers have a header without num_buffers. */
static u32 header_bytes(const struct virtio *v)
{
	return virtio_has(v, F_MRG_RXBUF | VIRTIO_F_VERSION_1) ? 12 : 10;
}

/* ---- transmit (5.1.6.2)
 * -------------------------------------------------------------------------------------------------
 */

static void insert_sum(u8 *p, u32 n, u32 start, u32 at)
{
	if (start < n && at + 2 <= n && at >= start)
		net_put16(p + at, (u16)~net_sum(p + start, n - start, 0));
}

/* Finds the headers of a frame that is to be segmented; their length, or 0. */
static u32 find_headers(const struct net_hdr *h, const u8 *p, u32 n, struct net_headers *out)
{
	u32 ip = 14, t = h->csum_start;
	if (n < 60 || (net_get16(p + 12) == 0x8100 && (ip = 18) + 40 > n))
		return 0;
	*out = (struct net_headers){
	    .ip = ip, .transport = t, .ipv4 = (h->gso_type & 0x7f) == GSO_TCPV4, .tcp = true};
	if (t < ip + (out->ipv4 ? 20 : 40) || t + 20 > n || p[ip] >> 4 != (out->ipv4 ? 4 : 6))
		return 0;
	u32 bytes = t + (p[t + 12] >> 4) * 4u;
	return bytes >= t + 20 && bytes < n ? bytes : 0;
}

/* The checksums of a segment: TCP's with its pseudo-header made anew, and IPv4's. */
static void segment_sums(const struct net_headers *h, u8 *p, u32 n)
{
	u32 length = n - h->transport;
	u8 *field = p + h->transport + 16;
	u16 pseudo = h->ipv4 ? net_sum(p + h->ip + 12, 8, length + 6)
			     : net_sum(p + h->ip + 8, 32, length + 6);
	net_put16(field, 0);
	net_put16(field, (u16)~net_sum(p + h->transport, length, pseudo));
	if (!h->ipv4)
		return;
	net_put16(p + h->ip + 10, 0);
	net_put16(p + h->ip + 10, (u16)~net_sum(p + h->ip, h->transport - h->ip, 0));
}

static void send_segments(struct virtio_net *d, const struct net_hdr *h, const u8 *p, u32 n)
{
	u8 frame[NET_SEND_MAX];
	struct net_headers headers;
	u32 length = find_headers(h, p, n, &headers), mss = h->gso_size;
	if (!length || !mss || length + mss > sizeof(frame)) {
		log_line(d->v.dev.env->log, LOG_GUEST_ERRORS,
			 "%s: a packet that cannot be segmented", d->v.dev.id);
		return;
	}
	for (u32 at = 0, i = 0; at < n - length; at += mss, i++) {
		u32 part = MIN(mss, n - length - at);
		memcpy(frame, p, length);
		memcpy(frame + length, p + length + at, part);
		net_adapt_headers(&headers, frame, length + part, i, at, at + part == n - length);
		segment_sums(&headers, frame, length + part);
		nic_send(&d->nic, frame, length + part);
	}
}

static void send_chain(struct virtio_net *d, const struct vq_chain *c)
{
	struct virtio *v = &d->v;
	u8 packet[PACKET_MAX];
	struct net_hdr h = {0};
	u32 skip = header_bytes(v);
	if (c->out_bytes < skip + NET_FRAME_MIN || c->out_bytes > skip + PACKET_MAX)
		return;
	vq_copy_out(v, c, 0, &h, 10);
	u32 n = (u32)vq_copy_out(v, c, skip, packet, sizeof(packet));
	if ((h.gso_type & 0x7f) == GSO_TCPV4 || (h.gso_type & 0x7f) == GSO_TCPV6) {
		send_segments(d, &h, packet, n);
		return;
	}
	if (h.flags & HDR_NEEDS_CSUM)
		insert_sum(packet, n, h.csum_start, (u32)h.csum_start + h.csum_offset);
	nic_send(&d->nic, packet, n);
}

static void transmit(struct virtio_net *d)
{
	struct vq_chain c;
	unsigned n = 0;
	for (; n < VIRTIO_QUEUE_MAX && vq_pop(&d->v, TX, &c); n++) {
		send_chain(d, &c);
		vq_push(&d->v, TX, c.head, 0);
	}
	if (n)
		vq_interrupt(&d->v, TX);
}

static void notified(struct virtio *v, unsigned n)
{
	struct virtio_net *d = (struct virtio_net *)v;
	if (n == TX)
		transmit(d);
	else
		nic_ready(&d->nic);
}

/* ---- receive (5.1.6.4)
 * --------------------------------------------------------------------------------------------------
 */

static unsigned room(struct device *dev)
{
	struct virtio *v = (struct virtio *)dev;
	return virtio_ready(v, RX) ? vq_waiting(v, RX) : 64;
}

/* Chains for @bytes: their number, taken off the queue with their heads in @heads; 0 when there are
 * not enough, and none is taken. */
static unsigned take_chains(struct virtio *v, u64 bytes, u16 *heads, unsigned max)
{
	struct vq_chain c;
	u64 have = 0;
	unsigned n = 0, limit = virtio_has(v, F_MRG_RXBUF) ? max : 1;
	while (have < bytes && n < limit && vq_pop(v, RX, &c)) {
		heads[n++] = c.head;
		have += c.in_bytes;
	}
	if (have >= bytes)
		return n;
	for (; n; n--)
		vq_unpop(v, RX);
	return 0;
}

static void receive(struct device *dev, const u8 *frame, size_t bytes)
{
	struct virtio_net *d = (struct virtio_net *)dev;
	struct virtio *v = &d->v;
	u8 packet[NET_FRAME_MAX + 12] = {0};
	u16 heads[64];
	struct vq_chain c;
	if (!virtio_ready(v, RX) || bytes > NET_FRAME_MAX ||
	    (!(frame[0] & 1) && memcmp(frame, d->nic.mac, 6)))
		return;
	u32 skip = header_bytes(v);
	memcpy(packet + skip, frame, bytes);
	bytes += skip;
	unsigned n = take_chains(v, bytes, heads, ARRAY_SIZE(heads));
	if (!n)
		return;
	if (skip == 12)
		packet[10] = (u8)n; /* num_buffers */
	size_t at = 0;
	for (unsigned i = 0; i < n && vq_read_chain(v, RX, heads[i], &c); i++) {
		size_t part = vq_copy_in(v, &c, 0, packet + at, bytes - at);
		at += part;
		vq_push(v, RX, heads[i], (u32)part);
	}
	vq_interrupt(v, RX);
}

/* ---- the device
 * --------------------------------------------------------------------------------------------------------
 */

static const struct nic_ops nic_ops = {room, receive};

static const struct virtio_class cls = {
    .type = 1,
    .queues = 2,
    .features = F_CSUM | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_MRG_RXBUF | F_STATUS,
    .config_bytes = 10,
    .config = config,
    .notified = notified,
};

static int init(struct device *dev, char *err, size_t n)
{
	struct virtio_net *d = (struct virtio_net *)dev;
	virtio_init(&d->v, &cls, 0);
	int e = nic_init(&d->nic, dev, &nic_ops, err, n);
	return e ? e : pci_rom_file(&d->v.fn, d->romfile, err, n);
}

static void exit_(struct device *d)
{
	nic_exit(&((struct virtio_net *)d)->nic);
}

static const struct pci_ident ident = VIRTIO_IDENT(0x1000, 1, 0x020000);

static const struct prop props[] = {
    NIC_PROPS(struct virtio_net),
    {.name = "romfile",
     .type = PROP_TEXT,
     .offset = offsetof(struct virtio_net, romfile),
     .def = "",
     .help = "PCI expansion ROM (iPXE)"},
    {0},
};

const struct device_type virtio_net_type = {
    .name = "virtio-net-pci",
    .help = "virtio network card",
    .category = "network",
    .size = sizeof(struct virtio_net),
    .pci = &ident,
    .pci_offset = offsetof(struct virtio_net, v.fn),
    .props = props,
    .snapshot = &virtio_net_snapshot,
    .init = init,
    .reset = virtio_reset,
    .free = exit_,
    .loaded = virtio_loaded,
};
