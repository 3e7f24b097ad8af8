/* The machine's networks: between the host ends (devices/backends/net.h), the input queue and the
 * cards. */
#include "machine/machine_internal.h"

#define FRAMES_AT_ONCE 256u /* a quarter of the inbox */

static void frame_came(void *ctx, const u8 *frame, size_t bytes)
{
	struct net_input *in = ctx;
	if (input_push_bulk(&in->m->input, INPUT_NET, in->number, frame, (unsigned)bytes))
		in->queued++;
}

int machine_net_open(struct machine *m, struct errtext *e)
{
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->cfg.netdev[i].id; i++) {
		struct net_input *in = &m->net[i];
		*in = (struct net_input){.m = m, .number = i};
		if (machine_net_find(m, m->cfg.netdev[i].id))
			return err_set(e, -EEXIST, "-netdev: two have the name '%s'",
				       m->cfg.netdev[i].id);
		in->net = net_open(m->cfg.netdev[i].id, m->cfg.replay ? "none" : m->cfg.netdev[i].description,
				   &m->clock, e->s, sizeof(e->s));
		if (!in->net)
			return -EINVAL;
		net_on_receive(in->net, frame_came, in);
	}
	return 0;
}

void machine_net_close(struct machine *m)
{
	for (unsigned i = 0; i < MACHINE_NETDEVS; i++) {
		net_close(m->net[i].net);
		m->net[i].net = NULL;
	}
}

struct net *machine_net_find(void *ctx, const char *id)
{
	struct machine *m = ctx;
	for (unsigned i = 0; i < MACHINE_NETDEVS; i++)
		if (m->net[i].net && !strcmp(net_id(m->net[i].net), id))
			return m->net[i].net;
	return NULL;
}

void machine_net_ready(void *ctx)
{
	struct machine *m = ctx;
	unsigned waiting = 0;
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		waiting += net_waiting(m->net[i].net);
	if (!waiting || !m->cpu)
		return;
	m->net_kick = true;
	cpu_event_set(m->cpu, CPU_EV_STOP);
}

void machine_net_receive(struct machine *m, const struct input_event *ev)
{
	struct net_input *in = ev->target < MACHINE_NETDEVS ? &m->net[ev->target] : NULL;
	if (!in || !in->net)
		return;
	in->queued -= in->queued != 0;
	pc_net_receive(&m->pc, in->net, ev->bulk, ev->len);
}

/* What the card takes, less what is on its way to it. */
static unsigned room(struct machine *m, const struct net_input *in)
{
	unsigned n = pc_net_room(&m->pc, in->net), inbox = input_room(&m->input);
	n = n > in->queued ? n - in->queued : 0;
	return MIN(MIN(n, inbox), FRAMES_AT_ONCE);
}

bool machine_net_poll(struct machine *m)
{
	bool busy = false;
	if (m->input.replay) /* what came is in the recording */
		return false;
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++) {
		net_poll(m->net[i].net, room(m, &m->net[i]));
		busy |= net_busy(m->net[i].net);
	}
	return busy;
}

void machine_net_deliver(struct machine *m)
{
	m->net_kick = false;
	if (m->input.replay)
		return;
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		net_deliver(m->net[i].net, room(m, &m->net[i]));
}

bool machine_net_awaits_host(const struct machine *m)
{
	if (m->input.replay)
		return false;
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		if (net_awaits_host(m->net[i].net))
			return true;
	return false;
}

unsigned machine_net_pollfds(struct machine *m, struct host_poll *p, unsigned max, u64 *timeout_ns)
{
	unsigned n = 0;
	for (unsigned i = 0; i < MACHINE_NETDEVS && m->net[i].net; i++)
		n += net_pollfds(m->net[i].net, p + n, max - n, timeout_ns);
	return n;
}
