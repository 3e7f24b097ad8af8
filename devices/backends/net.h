/*
 * The host's end of a network card: user networking (libslirp), a packet capture beside it, or
 * nothing. Frames from the host are outside input: they enter the machine through the input queue,
 * stamped with the instruction count, so that a recorded run can be replayed without a network.
 *
 * The timers of user networking, and the time stamps of a capture, are virtual time. What user
 * networking answers by itself (ARP, DHCP, ping of the gateway) is the same in every run; what
 * comes through the host's sockets is not.
 */
#ifndef ORRERY_DEVICES_NET_H
#define ORRERY_DEVICES_NET_H

#include <stdio.h>
#include "base/host.h"
#include "base/types.h"

#define NET_FRAME_MAX 1522u  /* bytes, without the check sequence: what a card is given */
#define NET_SEND_MAX  16384u /* and what it may send */
#define NET_FRAME_MIN 14u

struct clock;
struct net;

/**
 * "user[,KEY=VALUE]..." | "none" | "memory"; any of them with ",capture=FILE". "user,help" is
 * refused with the list of keys (net_help()). hostfwd=tcp|udp:[ADDR]:PORT-[ADDR]:PORT may be given
 * again. @id is copied. NULL with a message in @err.
 */
struct net *net_open(const char *id, const char *description, struct clock *clock, char *err,
		     size_t err_size);
void net_close(struct net *n);
/** The kinds and their keys. */
void net_help(FILE *out);
const char *net_id(const struct net *n);
/** Copies every frame both ways into a pcap file. 0 or -errno. */
MUST_CHECK int net_capture(struct net *n, const char *path);
/** From the card: a frame for the host. Frames that are too short or too long are dropped. */
void net_send(struct net *n, const void *frame, size_t bytes);
/** On: frames the card sends are dropped, because they were sent before (machine/reverse.h). */
void net_mute(struct net *n, bool on);
/** Looks at the host, then net_deliver(). Called by the machine between slices. */
unsigned net_poll(struct net *n, unsigned room);
/** Hands at most @room frames that have come in to the receiver; how many. */
unsigned net_deliver(struct net *n, unsigned room);
void net_on_receive(struct net *n, void (*receive)(void *ctx, const u8 *frame, size_t bytes),
		    void *ctx);
/** Frames that wait for net_deliver(). */
unsigned net_waiting(const struct net *n);
/** Something may come from the host: a connection is open, or one is listened for. A halted guest
 * then waits in real time. */
bool net_awaits_host(const struct net *n);
/** Frames have passed since the last but one net_poll(): worth polling often. */
bool net_busy(const struct net *n);
/** Descriptors to wait for while the guest idles, at most @max; how many. Lowers @*timeout_ns to
 * when net_poll() is due. */
unsigned net_pollfds(struct net *n, struct host_poll *p, unsigned max, u64 *timeout_ns);

/** Memory backend, for tests: the oldest frame the card sent and nobody took, copied to @frame
 * (NET_SEND_MAX bytes); its length, or 0. */
size_t net_memory_take(struct net *n, u8 *frame);
/** Memory backend: a frame comes from the host. False when it was dropped. */
bool net_memory_arrive(struct net *n, const void *frame, size_t bytes);

#endif
