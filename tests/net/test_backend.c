/* The host ends of networks: settings, user networking's own answers, captures, the input queue. */
#include "base/input.h"
#include "devices/backends/net_internal.h"
#include "tests/net/lan.h"

static u64 now;

static u64 time_now(void *ctx)
{
	return now;
}

static struct clock clk;

static struct net *open_ok(const char *description)
{
	char err[400] = "";
	clock_init(&clk, time_now, NULL, NULL);
	struct net *n = net_open("n0", description, &clk, err, sizeof(err));
	ck_assert_msg(n != NULL, "%s: %s", description, err);
	return n;
}

static void refused(const char *description, const char *message)
{
	char err[400] = "";
	clock_init(&clk, time_now, NULL, NULL);
	struct net *n = net_open("n0", description, &clk, err, sizeof(err));
	ck_assert_msg(!n && strstr(err, message), "%s: %s", description, err);
}

START_TEST(settings_are_checked)
{
	net_close(open_ok("none"));
	net_close(
	    open_ok("user,net=192.168.76.0/24,dhcpstart=192.168.76.9,hostname=guest,restrict=on"));
	net_close(open_ok("user,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=udp::0-10.0.2.15:69"));
	refused("tap", "user and none");
	refused("usre", "perhaps user");
	refused("user,nett=1", "did you mean 'net'");
	refused("user,net=1.2.3", "10.0.2.0/24");
	refused("user,host=192.168.0.1", "addresses of the network");
	refused("user,tftp=/no/such/directory", "no such directory");
	refused("user,hostfwd=tcp:80-22", "expected tcp|udp");
	refused("user,hostfwd=icmp::1-:2", "expected tcp|udp");
	refused("user,capture=/no/such/directory/x.pcap", "cannot write");
}
END_TEST

static u8 got[8][NET_FRAME_MAX];
static size_t got_bytes[8];
static unsigned got_count;

static void take_frame(void *ctx, const u8 *frame, size_t bytes)
{
	if (got_count == ARRAY_SIZE(got))
		return;
	memcpy(got[got_count], frame, bytes);
	got_bytes[got_count++] = bytes;
}

/* ARP for the gateway is answered by libslirp itself, at once; nothing then is expected of the
 * host. */
START_TEST(gateway_answers_arp)
{
	struct net *n = open_ok("user");
	u8 arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  1, 8, 6,
		      0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0, 0, 1,
		      10,   0,    2,    15,   0,    0,    0, 0, 0, 0, 10, 0, 2, 2};
	net_on_receive(n, take_frame, NULL);
	ck_assert(!net_awaits_host(n));
	net_send(n, arp, sizeof(arp));
	ck_assert_uint_eq(net_waiting(n), 1);
	ck_assert_uint_eq(net_deliver(n, 0), 0);
	ck_assert_uint_eq(net_poll(n, 9), 1);
	ck_assert_uint_eq(net_get16(got[0] + 20), 2); /* a reply */
	ck_assert_mem_eq(got[0] + 28, arp + 38, 4);   /* from 10.0.2.2 */
	ck_assert(!net_awaits_host(n));
	net_close(n);
}
END_TEST

/* Anything at all from the guest: no crash, no hang, nothing but frames comes back. */
START_TEST(hostile_frames)
{
	struct net *n = open_ok("user,restrict=on");
	u32 x = 1;
	u8 frame[NET_SEND_MAX];
	for (unsigned k = 0; k < 20000; k++) {
		size_t bytes = 0;
		for (unsigned i = 0; i < 80; i++, bytes++) {
			x = x * 1664525 + 1013904223;
			frame[i] = (u8)(x >> 24);
		}
		static const u8 ip[] = {8, 0, 0x45, 0};
		if (k & 1)
			memcpy(frame + 12, ip, 4);
		if (k & 2)
			frame[23] = (u8[]){1, 6, 17, 2}[k >> 2 & 3];
		net_send(n, frame, x % 7 ? bytes : x >> 20);
		now += 100000;
		if (k % 64 == 0)
			net_poll(n, 64);
	}
	net_close(n);
}
END_TEST

START_TEST(full_queues_lose_frames_not_memory)
{
	struct net *n = open_ok("memory");
	u8 frame[NET_FRAME_MAX + 1] = {0};
	unsigned taken = 0;
	while (taken < 100000 && net_memory_arrive(n, frame, 60))
		taken++;
	ck_assert_uint_eq(taken, net_waiting(n));
	ck_assert_uint_lt(taken, 2000);
	ck_assert(!net_memory_arrive(n, frame, sizeof(frame)));
	net_on_receive(n, take_frame, NULL);
	ck_assert_uint_eq(net_deliver(n, 3), 3);
	ck_assert_uint_eq(net_waiting(n), taken - 3);
	net_close(n);
}
END_TEST

/* The pcap file: magic of nanosecond times, Ethernet, then one record for each frame. */
START_TEST(capture_is_pcap)
{
	char description[300], path[] = "/tmp/orrery-capture-XXXXXX";
	int fd = mkstemp(path);
	u8 frame[60], *data;
	u64 n;
	ck_assert_int_ge(fd, 0);
	snprintf(description, sizeof(description), "memory,capture=%s", path);
	struct net *net = open_ok(description);
	now = 5000000123;
	lan_frame(frame, broadcast, 0x88b5, 60);
	net_send(net, frame, 60);
	now = 6000000000;
	net_memory_arrive(net, frame, 60);
	net_on_receive(net, take_frame, NULL);
	net_poll(net, 1);
	net_close(net);
	ck_assert_int_eq(host_file_read(path, 10000, &data, &n), 0);
	remove(path);
	ck_assert_uint_eq(n, 24 + 2 * 76);
	const u32 head[] = {0xa1b23c4d, 0x00040002, 0, 0, 65535, 1, 5, 123, 60, 60};
	ck_assert_mem_eq(data, head, sizeof(head));
	ck_assert_mem_eq(data + 40, frame, 60);
	free(data);
}
END_TEST

static struct input_event seen;
static u8 seen_bulk[2000];

static void deliver(void *ctx, const struct input_event *ev)
{
	seen = *ev;
	if (ev->bulk)
		memcpy(seen_bulk, ev->bulk, MIN(ev->len, sizeof(seen_bulk)));
}

START_TEST(bulk_input_is_bounded_and_stamped)
{
	static struct input_queue q;
	static u8 big[100000];
	input_init(&q, deliver, NULL);
	memset(big, 7, sizeof(big));
	ck_assert(input_push_bulk(&q, INPUT_NET, 3, big, 1500));
	ck_assert_uint_eq(input_drain(&q, 1234, 0), 1);
	ck_assert_uint_eq(seen.icount, 1234);
	ck_assert_uint_eq(seen.target, 3);
	ck_assert_uint_eq(seen.len, 1500);
	ck_assert_mem_eq(seen_bulk, big, 1500);
	unsigned n = 0;
	while (n < 1000 && input_push_bulk(&q, INPUT_NET, 0, big, sizeof(big)))
		n++;
	ck_assert_uint_eq(n, INPUT_BULK_MAX / sizeof(big));
	input_clear(&q);
	ck_assert(input_push_bulk(&q, INPUT_NET, 0, big, sizeof(big)));
	input_clear(&q);
}
END_TEST

static void make_ack(u8 *f, u32 number)
{
	static const u8 head[54] = {
	    0x52, 0x54, 0, 0x12, 0x34, 0x56, 0x52, 0x55, 10, 0, 2, 2, 8, 0,                /* Ethernet, IPv4 */
	    0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 2, 2, 10, 0, 2, 15,            /* no options, TCP */
	    0x10, 0x01, 0, 80, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0, /* ports, sequence, ACK */
	};
	memcpy(f, head, sizeof(head));
	for (unsigned i = 0; i < 4; i++)
		f[42 + i] = (u8)(number >> (24 - i * 8));
}

START_TEST(later_acknowledgements_supersede)
{
	static const u8 part_of_key[] = {0, 6, 12, 14, 15, 17, 20, 21, 22, 23, 26, 33, 34, 37, 38, 41, 46, 47};
	u8 a[54], b[54];
	make_ack(a, 1000);
	make_ack(b, 2460);
	b[19] = 2; /* another identification, window and sums: no matter */
	b[48] = 0x12;
	b[50] = b[24] = 7;
	ck_assert(net_ack_supersedes(b, 54, a, 54));
	ck_assert(!net_ack_supersedes(a, 54, b, 54));
	ck_assert(!net_ack_supersedes(a, 54, a, 54));
	ck_assert(!net_ack_supersedes(b, 54, a, 53));
	for (unsigned i = 0; i < sizeof(part_of_key); i++) {
		u8 c[54];
		memcpy(c, b, 54);
		c[part_of_key[i]] ^= 1;
		ck_assert_msg(!net_ack_supersedes(c, 54, a, 54), "byte %u", part_of_key[i]);
	}
	make_ack(a, 0xffffff00u); /* numbers wrap */
	make_ack(b, 0x00000100u);
	ck_assert(net_ack_supersedes(b, 54, a, 54));
	ck_assert(!net_ack_supersedes(a, 54, b, 54));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("backend");
	ADD_ALL(s, settings_are_checked, gateway_answers_arp, hostile_frames,
		full_queues_lose_frames_not_memory, capture_is_pcap,
		bulk_input_is_bounded_and_stamped, later_acknowledgements_supersede);
	return run_suite(s);
}
