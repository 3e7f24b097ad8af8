/*
 * The host's end of a network card: user networking (libslirp), a packet capture beside it, or nothing. Frames from the host
 * are outside input: they enter the machine through the input queue, stamped with the instruction count, so that a
 * recorded run can be replayed without a network.
 */
#ifndef ORRERY_DEVICES_NET_H
#define ORRERY_DEVICES_NET_H

#include "base/host.h"
#include "base/types.h"

#define NET_FRAME_MAX 1522u /* bytes, without the check sequence */

struct net;

/** "user[,hostfwd=tcp:[ADDR]:PORT-[ADDR]:PORT]...[,tftp=DIR,bootfile=NAME][,net=..,restrict=on]" | "none" | "memory"; NULL with a
 * message in @err. @id is copied. */
struct net *net_open(const char *id, const char *description, char *err, size_t err_size);
void net_close(struct net *n);
const char *net_id(const struct net *n);
/** Copies every frame both ways into a pcap file. 0 or -errno. */
MUST_CHECK int net_capture(struct net *n, const char *path);
/** From the card: a frame for the host. */
void net_send(struct net *n, const void *frame, size_t bytes);
/** Moves what has come in to the receiver, at most @room frames; the number. Called by the machine between slices. */
unsigned net_poll(struct net *n, unsigned room);
void net_on_receive(struct net *n, void (*receive)(void *ctx, const u8 *frame, size_t bytes), void *ctx);
/** Descriptors to wait for while the guest idles, at most @max; how many. */
unsigned net_pollfds(struct net *n, struct host_poll *p, unsigned max);

#endif
