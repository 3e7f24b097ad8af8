/* Shared by net.c and net_user.c only. */
#ifndef ORRERY_NET_INTERNAL_H
#define ORRERY_NET_INTERNAL_H

#include "base/clock.h"
#include "base/config.h"
#include "devices/backends/net.h"

struct net_user;

struct net_options {
	char capture[PROP_TEXT_SIZE];
	char net[PROP_TEXT_SIZE], host[PROP_TEXT_SIZE], dhcpstart[PROP_TEXT_SIZE],
	    dns[PROP_TEXT_SIZE];
	char hostname[PROP_TEXT_SIZE], domainname[PROP_TEXT_SIZE];
	char tftp[PROP_TEXT_SIZE], bootfile[PROP_TEXT_SIZE], tftp_server_name[PROP_TEXT_SIZE];
	bool restrict_, ipv6;
};

/** libslirp behind @n. NULL with a message. */
struct net_user *net_user_open(struct net *n, const struct net_options *o, struct clock *clock,
			       char *err, size_t err_size);
void net_user_close(struct net_user *u);
/** "tcp|udp:[ADDR]:PORT-[ADDR]:PORT". 0, or -errno with a message. */
int net_user_forward(struct net_user *u, const char *text, char *err, size_t err_size);
void net_user_send(struct net_user *u, const u8 *frame, size_t bytes);
void net_user_poll(struct net_user *u);
bool net_user_awaits_host(struct net_user *u);
unsigned net_user_pollfds(struct net_user *u, struct host_poll *p, unsigned max, u64 *timeout_ns);

/** Are both TCP acknowledgements of one connection without data or options, and does the newer one acknowledge more? */
bool net_ack_supersedes(const u8 *newer, size_t newer_bytes, const u8 *older, size_t older_bytes);
/** A frame for the guest, in place of one that it supersedes if that one is the last that waits; dropped when too many wait. */
bool net_arrived(struct net *n, const void *frame, size_t bytes);

#endif
