/* Host ends of network cards: queues, captures, the memory backend. User networking is in
 * net_user.c. */
#include "devices/backends/net.h"

#include <errno.h>
#include <stdlib.h>

#include "devices/backends/net_internal.h"

#define QUEUE_FRAMES 512u /* power of two */

enum kind { KIND_NONE, KIND_USER, KIND_MEMORY };

struct queued {
	u32 bytes;
	u8 data[NET_FRAME_MAX + 2];
};

struct net {
	char id[32];
	enum kind kind;
	struct clock *clock;
	struct net_user *user;
	struct queued *in; /* ring of frames for the guest: tail..head */
	u32 head, tail;
	struct sent { /* memory backend: what the card sent */
		struct sent *next;
		size_t bytes;
		u8 data[];
	} * sent, **sent_last;
	bool mute;
	unsigned busy; /* polls until the line counts as quiet */
	char *capture_path; /* of a file that is not open yet */
	FILE *capture;
	void (*receive)(void *ctx, const u8 *frame, size_t bytes);
	void *receive_ctx;
};

/* ---- options
 * -----------------------------------------------------------------------------------------------------
 */

#define OPT(key, member, type, def, help)                                                          \
	{                                                                                          \
		key, type, offsetof(struct net_options, member), def, help, 0, 0, NULL             \
	}
static const struct prop none_props[] = {
    OPT("capture", capture, PROP_TEXT, "", "pcap file that every frame is copied to"),
    {0},
};
static const struct prop user_props[] = {
    OPT("capture", capture, PROP_TEXT, "", "pcap file that every frame is copied to"),
    OPT("net", net, PROP_TEXT, "10.0.2.0/24", "the guest's network, ADDRESS/BITS or ADDRESS/MASK"),
    OPT("host", host, PROP_TEXT, "", "the gateway (default: the network's .2)"),
    OPT("dhcpstart", dhcpstart, PROP_TEXT, "", "first address that DHCP gives (default: .15)"),
    OPT("dns", dns, PROP_TEXT, "", "name server the guest sees (default: .3)"),
    OPT("hostname", hostname, PROP_TEXT, "", "name that DHCP gives the guest"),
    OPT("domainname", domainname, PROP_TEXT, "", "domain that DHCP gives the guest"),
    OPT("tftp", tftp, PROP_TEXT, "", "directory served by TFTP at the gateway, read-only"),
    OPT("bootfile", bootfile, PROP_TEXT, "", "file that DHCP names for network boot"),
    OPT("tftp-server-name", tftp_server_name, PROP_TEXT, "",
	"server that DHCP names for network boot"),
    OPT("restrict", restrict_, PROP_BOOL, "off", "no connections to the outside except hostfwd"),
    OPT("ipv6", ipv6, PROP_BOOL, "off", "IPv6 too; its router advertisements come at random times"),
    {0},
};

void net_help(FILE *out)
{
	fprintf(out, "none, id=ID: a card that is not connected\nuser, id=ID: a network of its own "
		     "behind this host's sockets\n");
	config_help(out, user_props);
	fprintf(out, "  hostfwd=tcp|udp:[ADDR]:PORT-[ADDR]:PORT  a port of this host leads to one "
		     "of the guest (may be repeated)\n");
}

/* Takes the next "key=value" off @*text into @item; hostfwd stands apart because it may be
 * repeated. */
static bool next_item(const char **text, char *item, size_t size)
{
	size_t n = 0;
	while (**text == ',')
		++*text;
	for (; **text && (**text != ',' || (*text)[1] == ','); ++*text) {
		if (**text == ',')
			++*text;
		if (n + 1 < size)
			item[n++] = **text;
	}
	item[n] = 0;
	return n != 0;
}

static int parse(const struct prop *props, const char *text, struct net_options *o, char *err,
		 size_t err_size)
{
	char item[PROP_TEXT_SIZE + 64];
	config_defaults(props, o);
	while (next_item(&text, item, sizeof(item))) {
		char *eq = strchr(item, '=');
		if (!strncmp(item, "hostfwd=", 8) && props == user_props)
			continue;
		if (eq)
			*eq = 0;
		if (config_set(props, o, item, eq ? eq + 1 : "on", err, err_size))
			return -EINVAL;
	}
	return 0;
}

static int forwards(struct net *n, const char *text, char *err, size_t err_size)
{
	char item[PROP_TEXT_SIZE + 64];
	int e = 0;
	while (!e && next_item(&text, item, sizeof(item)))
		if (!strncmp(item, "hostfwd=", 8))
			e = net_user_forward(n->user, item + 8, err, err_size);
	return e;
}

/* ---- opening
 * -----------------------------------------------------------------------------------------------------
 */

static int keep_capture(struct net *n, const char *path, char *err, size_t err_size)
{
	int e = host_file_check(path);
	n->capture_path = e ? NULL : strdup(path);
	if (!e && !n->capture_path)
		e = -ENOMEM;
	if (e)
		snprintf(err, err_size, "cannot write '%s': %s", path, strerror(-e));
	return e;
}

static int open_kind(struct net *n, const char *kind, const char *rest, char *err, size_t err_size)
{
	static const char *const kinds[] = {"none", "user", "memory", NULL};
	struct net_options *o = calloc(1, sizeof(*o));
	unsigned k = 0;
	int e = 0;
	while (kinds[k] && strcmp(kinds[k], kind))
		k++;
	if (!o || !(n->in = malloc(QUEUE_FRAMES * sizeof(*n->in)))) {
		snprintf(err, err_size, "out of memory");
		e = -ENOMEM;
	} else if (!kinds[k]) {
		const char *near = nearest(kind, kinds);
		snprintf(err, err_size, "there is no network '%s'%s%s; user and none can be had",
			 kind, near ? ": perhaps " : "", near ? near : "");
		e = -EINVAL;
	} else {
		n->kind = k;
		e = parse(k == KIND_USER ? user_props : none_props, rest, o, err, err_size);
	}
	if (!e && k == KIND_USER) {
		n->user = net_user_open(n, o, n->clock, err, err_size);
		e = n->user ? forwards(n, rest, err, err_size) : -EINVAL;
	}
	if (!e && *o->capture)
		e = keep_capture(n, o->capture, err, err_size);
	free(o);
	return e;
}

struct net *net_open(const char *id, const char *description, struct clock *clock, char *err,
		     size_t err_size)
{
	char kind[32], why[400];
	size_t len = strcspn(description, ",");
	struct net *n = calloc(1, sizeof(*n));
	if (!n) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	snprintf(n->id, sizeof(n->id), "%s", id);
	snprintf(kind, sizeof(kind), "%.*s", (int)MIN(len, sizeof(kind) - 1), description);
	n->clock = clock;
	n->sent_last = &n->sent;
	if (open_kind(n, kind, description + len, why, sizeof(why))) {
		snprintf(err, err_size, "network '%s': %s", n->id, why);
		net_close(n);
		return NULL;
	}
	return n;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	if (n->user)
		net_user_close(n->user);
	free(n->capture_path);
	if (n->capture)
		fclose(n->capture);
	while (n->sent) {
		struct sent *s = n->sent;
		n->sent = s->next;
		free(s);
	}
	free(n->in);
	free(n);
}

const char *net_id(const struct net *n)
{
	return n->id;
}

void net_on_receive(struct net *n, void (*receive)(void *ctx, const u8 *frame, size_t bytes),
		    void *ctx)
{
	n->receive = receive;
	n->receive_ctx = ctx;
}

/* ---- capture: the file format of libpcap, times in nanoseconds
 * ------------------------------------------------------ */

int net_capture(struct net *n, const char *path)
{
	static const u32 header[6] = {0xa1b23c4d, 4u << 16 | 2, 0,
				      0,          65535,        1 /* LINKTYPE_ETHERNET */};
	FILE *f = fopen(path, "wb");
	if (!f)
		return -errno;
	if (fwrite(header, sizeof(header), 1, f) != 1) {
		fclose(f);
		return -EIO;
	}
	if (n->capture)
		fclose(n->capture);
	n->capture = f;
	return 0;
}

/* The file is made when the machine runs: one that cannot be had leaves no trace. */
static void begin_capture(struct net *n)
{
	int e = n->capture_path ? net_capture(n, n->capture_path) : 0;
	if (e)
		fprintf(stderr, "orrery: warning: %s: cannot write '%s': %s\n", n->id, n->capture_path, strerror(-e));
	free(n->capture_path);
	n->capture_path = NULL;
}

static void capture(struct net *n, const void *frame, size_t bytes)
{
	begin_capture(n);
	if (!n->capture)
		return;
	u64 now = clock_now(n->clock);
	u32 header[4] = {(u32)(now / 1000000000u), (u32)(now % 1000000000u), (u32)bytes,
			 (u32)bytes};
	fwrite(header, sizeof(header), 1, n->capture);
	fwrite(frame, bytes, 1, n->capture);
}

/* ---- frames
 * -------------------------------------------------------------------------------------------------------
 */

static void keep_sent(struct net *n, const void *frame, size_t bytes)
{
	struct sent *s = malloc(sizeof(*s) + bytes);
	if (!s)
		return;
	s->next = NULL;
	s->bytes = bytes;
	memcpy(s->data, frame, bytes);
	*n->sent_last = s;
	n->sent_last = &s->next;
}

void net_mute(struct net *n, bool on)
{
	n->mute = on;
}

void net_send(struct net *n, const void *frame, size_t bytes)
{
	if (n->mute || bytes < NET_FRAME_MIN || bytes > NET_SEND_MAX)
		return;
	capture(n, frame, bytes);
	n->busy = 2;
	if (n->user)
		net_user_send(n->user, frame, bytes);
	else if (n->kind == KIND_MEMORY)
		keep_sent(n, frame, bytes);
}

size_t net_memory_take(struct net *n, u8 *frame)
{
	struct sent *s = n->sent;
	if (!s)
		return 0;
	size_t bytes = s->bytes;
	memcpy(frame, s->data, bytes);
	if (!(n->sent = s->next))
		n->sent_last = &n->sent;
	free(s);
	return bytes;
}

/* An IPv4 header without options (RFC 791) and a TCP header without options, with nothing but ACK set (RFC 793), and no data. */
static bool is_pure_ack(const u8 *f, size_t bytes)
{
	return bytes >= 54 && f[12] == 0x08 && f[13] == 0x00 && f[14] == 0x45 && f[16] == 0 && f[17] == 40 && !(f[20] & 0x3f) &&
	       !f[21] && f[23] == 6 && f[46] == 0x50 && f[47] == 0x10;
}

static u32 get32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

bool net_ack_supersedes(const u8 *newer, size_t newer_bytes, const u8 *older, size_t older_bytes)
{
	if (!is_pure_ack(newer, newer_bytes) || !is_pure_ack(older, older_bytes) || newer_bytes != older_bytes)
		return false;
	/* the same stations, type of service, time to live, addresses, ports and sequence number */
	if (memcmp(newer, older, 12) || newer[15] != older[15] || newer[22] != older[22] || memcmp(newer + 26, older + 26, 16))
		return false;
	u32 more = get32(newer + 42) - get32(older + 42);
	return more && more < 0x80000000u; /* the same number again is a duplicate, which tells of a loss */
}

/*
 * libslirp acknowledges every segment by itself, also those that came in one burst. As a router in front of a slow link may
 * (RFC 3449, 5.2.1), an acknowledgement that still waits gives way to one that says more: the guest's receive path would
 * cost more than the sending.
 */
static struct queued *place(struct net *n, const void *frame, size_t bytes)
{
	struct queued *last = &n->in[(n->head - 1) % QUEUE_FRAMES];
	if (n->user && n->head != n->tail && net_ack_supersedes(frame, bytes, last->data, last->bytes))
		return last;
	return n->head - n->tail == QUEUE_FRAMES ? NULL : &n->in[n->head++ % QUEUE_FRAMES];
}

bool net_arrived(struct net *n, const void *frame, size_t bytes)
{
	struct queued *q = bytes <= NET_FRAME_MAX ? place(n, frame, bytes) : NULL;
	if (!q)
		return false;
	q->bytes = (u32)bytes;
	memcpy(q->data, frame, bytes);
	return true;
}

bool net_memory_arrive(struct net *n, const void *frame, size_t bytes)
{
	return net_arrived(n, frame, bytes);
}

unsigned net_waiting(const struct net *n)
{
	return n->head - n->tail;
}

unsigned net_deliver(struct net *n, unsigned room)
{
	unsigned done = 0;
	for (; done < room && n->tail != n->head; done++) {
		const struct queued *q = &n->in[n->tail++ % QUEUE_FRAMES];
		capture(n, q->data, q->bytes);
		n->busy = 2;
		if (n->receive)
			n->receive(n->receive_ctx, q->data, q->bytes);
	}
	return done;
}

unsigned net_poll(struct net *n, unsigned room)
{
	begin_capture(n);
	if (n->user)
		net_user_poll(n->user);
	if (n->busy && !--n->busy && n->capture)
		fflush(n->capture);
	return net_deliver(n, room);
}

bool net_busy(const struct net *n)
{
	return n->busy;
}

bool net_awaits_host(const struct net *n)
{
	return n->user && net_user_awaits_host(n->user);
}

unsigned net_pollfds(struct net *n, struct host_poll *p, unsigned max, u64 *timeout_ns)
{
	return n->user ? net_user_pollfds(n->user, p, max, timeout_ns) : 0;
}
