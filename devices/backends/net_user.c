/*
 * User networking: libslirp ends the guest's TCP and UDP in sockets of this process. Its clock and
 * timers are the machine's virtual time. With no socket open, nothing here depends on the host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libslirp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "devices/backends/net_internal.h"

#define SOCKETS_MAX 4096u
#define IDLE_MS     1000u /* what libslirp says when no timer of it runs */

struct net_user {
	struct net *net;
	struct clock *clock;
	Slirp *slirp;
	struct net_options options; /* libslirp keeps pointers to some of the texts */
	struct pollfd *fds;
	unsigned count, cap;
	bool stale;     /* a frame went in since the last fill */
	u32 timeout_ms; /* of the last fill; IDLE_MS and more: nothing is going on */
};

struct user_timer {
	struct timer timer;
	SlirpTimerCb fire;
	void *opaque;
};

/* ---- what libslirp asks of us
 * ---------------------------------------------------------------------------------------- */

static ssize_t send_packet(const void *frame, size_t bytes, void *opaque)
{
	struct net_user *u = opaque;
	net_arrived(u->net, frame, bytes); /* what does not fit is lost, as on a wire */
	return (ssize_t)bytes;
}

static void guest_error(const char *message, void *opaque)
{
}

static int64_t clock_ns(void *opaque)
{
	return (int64_t)clock_now(((struct net_user *)opaque)->clock);
}

static void timer_fired(void *ctx)
{
	struct user_timer *t = ctx;
	t->fire(t->opaque);
}

static void *timer_create_(SlirpTimerCb fire, void *fire_opaque, void *opaque)
{
	struct net_user *u = opaque;
	struct user_timer *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	timer_init(&t->timer, u->clock, timer_fired, t);
	t->fire = fire;
	t->opaque = fire_opaque;
	return t;
}

static void timer_free_(void *timer, void *opaque)
{
	struct user_timer *t = timer;
	if (t)
		timer_disarm(&t->timer);
	free(t);
}

static void timer_mod_(void *timer, int64_t at_ms, void *opaque)
{
	struct user_timer *t = timer;
	if (t)
		timer_arm(&t->timer, (u64)MAX(at_ms, 0) * 1000000u);
}

static void poll_fd(int fd, void *opaque)
{
}

static void notify(void *opaque)
{
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_ns,
    .timer_new = timer_create_,
    .timer_free = timer_free_,
    .timer_mod = timer_mod_,
    .register_poll_fd = poll_fd,
    .unregister_poll_fd = poll_fd,
    .notify = notify,
};

/* ---- opening
 * -----------------------------------------------------------------------------------------------------
 */

static bool get_address(const char *text, struct in_addr *a)
{
	return inet_pton(AF_INET, text, a) == 1;
}

/* ADDRESS/BITS, ADDRESS/MASK or ADDRESS (24 bits) */
static int parse_network(const char *text, struct in_addr *net, struct in_addr *mask)
{
	char address[64], *slash;
	u64 bits = 24;
	if (strlen(text) >= sizeof(address))
		return -EINVAL;
	strcpy(address, text);
	slash = strchr(address, '/');
	if (slash)
		*slash++ = 0;
	if (!get_address(address, net))
		return -EINVAL;
	if (slash && strchr(slash, '.'))
		return get_address(slash, mask) && mask->s_addr ? 0 : -EINVAL;
	if (slash && (parse_uint(slash, &bits) || bits < 4 || bits > 30))
		return -EINVAL;
	mask->s_addr = htonl(UINT32_MAX << (32 - bits));
	net->s_addr &= mask->s_addr;
	return 0;
}

/* An address of the guest's network, by default its number @host. */
static int parse_inside(const char *text, const SlirpConfig *c, u32 host, struct in_addr *out)
{
	out->s_addr = c->vnetwork.s_addr | htonl(host & ~ntohl(c->vnetmask.s_addr));
	if (!*text)
		return 0;
	return get_address(text, out) && (out->s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr
		   ? 0
		   : -EINVAL;
}

static const char *text_or_null(const char *s)
{
	return *s ? s : NULL;
}

static int configure(const struct net_options *o, SlirpConfig *c, char *err, size_t n)
{
	struct stat st;
	*c = (SlirpConfig){
	    .version = 1, .in_enabled = true, .in6_enabled = o->ipv6, .restricted = o->restrict_};
	if (parse_network(o->net, &c->vnetwork, &c->vnetmask)) {
		snprintf(err, n, "net=%s: expected a network such as 10.0.2.0/24", o->net);
		return -EINVAL;
	}
	if (parse_inside(o->host, c, 2, &c->vhost) || parse_inside(o->dns, c, 3, &c->vnameserver) ||
	    parse_inside(o->dhcpstart, c, 15, &c->vdhcp_start)) {
		snprintf(err, n, "host=, dns= and dhcpstart= must be addresses of the network %s",
			 o->net);
		return -EINVAL;
	}
	if (*o->tftp && (stat(o->tftp, &st) || !S_ISDIR(st.st_mode))) {
		snprintf(err, n, "tftp=%s: there is no such directory", o->tftp);
		return -ENOENT;
	}
	inet_pton(AF_INET6, "fec0::", &c->vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &c->vhost6);
	inet_pton(AF_INET6, "fec0::3", &c->vnameserver6);
	c->vprefix_len = 64;
	c->vhostname = text_or_null(o->hostname);
	c->vdomainname = text_or_null(o->domainname);
	c->tftp_path = text_or_null(o->tftp);
	c->bootfile = text_or_null(o->bootfile);
	c->tftp_server_name = text_or_null(o->tftp_server_name);
	return 0;
}

struct net_user *net_user_open(struct net *n, const struct net_options *o, struct clock *clock,
			       char *err, size_t err_size)
{
	SlirpConfig c;
	struct net_user *u = calloc(1, sizeof(*u));
	if (!u) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	u->net = n;
	u->clock = clock;
	u->options = *o;
	u->timeout_ms = UINT32_MAX;
	if (configure(&u->options, &c, err, err_size)) {
		free(u);
		return NULL;
	}
	u->slirp = slirp_new(&c, &callbacks, u);
	if (!u->slirp) {
		snprintf(err, err_size, "libslirp refuses these settings");
		free(u);
		return NULL;
	}
	return u;
}

void net_user_close(struct net_user *u)
{
	slirp_cleanup(u->slirp);
	free(u->fds);
	free(u);
}

/* "[ADDR]:PORT" */
static int parse_end(const char *text, struct in_addr *a, int *port)
{
	char address[64];
	u64 number;
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof(address) || parse_uint(colon + 1, &number) ||
	    number > 65535)
		return -EINVAL;
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = 0;
	*port = (int)number;
	return !*address || get_address(address, a) ? 0 : -EINVAL;
}

int net_user_forward(struct net_user *u, const char *text, char *err, size_t err_size)
{
	char host[128], *guest;
	bool udp = !strncmp(text, "udp:", 4);
	struct in_addr from = {.s_addr = INADDR_ANY}, to = {0};
	int from_port, to_port;
	const char *ends = udp || !strncmp(text, "tcp:", 4) ? text + 4
			   : *text == ':'                   ? text + 1
							    : "";
	snprintf(host, sizeof(host), "%s", ends);
	guest = strchr(host, '-');
	if (guest)
		*guest++ = 0;
	if (!guest || parse_end(host, &from, &from_port) || parse_end(guest, &to, &to_port) ||
	    !to_port) {
		snprintf(err, err_size, "hostfwd=%s: expected tcp|udp:[ADDR]:PORT-[ADDR]:PORT",
			 text);
		return -EINVAL;
	}
	u->stale = true;
	if (slirp_add_hostfwd(u->slirp, udp, from, from_port, to, to_port)) {
		snprintf(err, err_size, "hostfwd=%s: cannot listen on port %d: %s", text, from_port,
			 strerror(errno));
		return -EADDRINUSE;
	}
	return 0;
}

/* ---- moving
 * -------------------------------------------------------------------------------------------------------
 */

void net_user_send(struct net_user *u, const u8 *frame, size_t bytes)
{
	slirp_input(u->slirp, frame, (int)bytes);
	u->stale = true;
}

static int add_poll(int fd, int events, void *opaque)
{
	struct net_user *u = opaque;
	if (u->count == u->cap) {
		unsigned cap = u->cap ? u->cap * 2 : 64;
		struct pollfd *grown =
		    cap <= SOCKETS_MAX ? realloc(u->fds, cap * sizeof(*grown)) : NULL;
		if (!grown)
			return -1;
		u->fds = grown;
		u->cap = cap;
	}
	short want = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
			     (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
			     (events & SLIRP_POLL_PRI ? POLLPRI : 0));
	u->fds[u->count] = (struct pollfd){.fd = fd, .events = want};
	return (int)u->count++;
}

static int get_revents(int index, void *opaque)
{
	const struct net_user *u = opaque;
	if (index < 0 || (unsigned)index >= u->count)
		return 0;
	short e = u->fds[index].revents;
	return (e & POLLIN ? SLIRP_POLL_IN : 0) | (e & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (e & POLLPRI ? SLIRP_POLL_PRI : 0) | (e & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (e & POLLHUP ? SLIRP_POLL_HUP : 0);
}

static void fill(struct net_user *u)
{
	u->count = 0;
	u->stale = false;
	u->timeout_ms = UINT32_MAX;
	slirp_pollfds_fill(u->slirp, &u->timeout_ms, add_poll, u);
}

void net_user_poll(struct net_user *u)
{
	fill(u);
	if (!u->count && u->timeout_ms >= IDLE_MS)
		return;
	int r = u->count ? poll(u->fds, u->count, 0) : 0;
	slirp_pollfds_poll(u->slirp, r < 0, get_revents, u);
}

bool net_user_awaits_host(struct net_user *u)
{
	if (u->stale)
		fill(u);
	return u->count ||
	       u->timeout_ms < IDLE_MS; /* a connection may wait for nothing but its timers */
}

unsigned net_user_pollfds(struct net_user *u, struct host_poll *p, unsigned max, u64 *timeout_ns)
{
	fill(u);
	unsigned n = MIN(u->count, max);
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct host_poll){
		    .fd = u->fds[i].fd,
		    .want = (u->fds[i].events & (POLLIN | POLLPRI) ? HOST_POLL_IN : 0) |
			    (u->fds[i].events & POLLOUT ? HOST_POLL_OUT : 0)};
	if (u->timeout_ms != UINT32_MAX)
		*timeout_ns = MIN(*timeout_ns, u->timeout_ms * 1000000ull);
	if (u->count > max) /* not all can be waited for */
		*timeout_ns = MIN(*timeout_ns, 1000000u);
	return n;
}
