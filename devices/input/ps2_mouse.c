/*
 * PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Auxiliary device") with the
 * IntelliMouse extensions: wheel after the sample rates 200, 100, 80, five buttons after 200,
 * 200, 80. Stream, remote and wrap mode, sample rate, 2:1 scaling. Not modelled: the resolution is
 * kept and reported but motion is one count per unit of the host's pointer, because the pointer is
 * to follow the hand; parity errors.
 */
#include "devices/input/ps2_mouse.h"

#define MOTION_MAX 0xffff
#define ERROR      0xfc

/* clang-format off */
#define PS2_MOUSE_FIELDS(V, S, H, P) \
	S(out, ps2_queue_snapshot) V(sample) H(clock) V(next_ns) V(dx) V(dy) V(dz) V(buttons) V(reported) V(id) \
	V(rate) V(resolution) V(knock) V(command) V(packet) V(packet_size) V(reporting) V(remote) V(wrap) V(scale2) \
	V(bad) H(pad) P(6)
/* clang-format on */
SNAPSHOT(ps2_mouse_snapshot, "ps2-mouse", 2, struct ps2_mouse, PS2_MOUSE_FIELDS);

static void defaults(struct ps2_mouse *m)
{
	m->rate = 100;
	m->resolution = 2;
	m->reporting = m->remote = m->scale2 = false;
	m->dx = m->dy = m->dz = 0;
	m->reported = m->buttons;
}

void ps2_mouse_reset(struct ps2_mouse *m)
{
	ps2_clear(&m->out);
	timer_disarm(&m->sample);
	defaults(m);
	m->next_ns = 0;
	m->id = m->command = m->packet_size = 0;
	m->wrap = m->bad = false;
	memset(m->knock, 0, sizeof(m->knock));
}

static s32 clamp(s32 v, s32 limit)
{
	return v > limit ? limit : v < -limit ? -limit : v;
}

/* ---- reports -------------------------------------------------------------------------------- */

/* Scaling 2:1 of the reference: 0 1 1 3 6 9, and twice the count above; in stream mode only. */
static s32 scaled(const struct ps2_mouse *m, s32 v)
{
	static const u8 low[] = {0, 1, 1, 3, 6, 9};
	s32 n = v < 0 ? -v : v;
	if (!m->scale2 || m->remote)
		return v;
	n = n < (s32)ARRAY_SIZE(low) ? low[n] : 2 * n;
	return clamp(v < 0 ? -n : n, 255);
}

/* What does not fit into one report stays for the next, so that the overflow bits are never needed.
 */
static void send_report(struct ps2_mouse *m)
{
	s32 limit = m->scale2 && !m->remote ? 127 : 255;
	s32 dx = clamp(m->dx, limit), dy = clamp(m->dy, limit), dz = clamp(m->dz, 7);
	s32 x = scaled(m, dx), y = scaled(m, dy);
	u8 fourth = m->id == 4 ? (u8)((dz & 15) | (m->buttons & 0x18) << 1) : (u8)dz;
	const u8 b[4] = {(u8)(8 | (m->buttons & 7) | (x < 0) << 4 | (y < 0) << 5), (u8)x, (u8)y,
			 fourth};
	m->dx -= dx;
	m->dy -= dy;
	m->dz -= dz;
	m->reported = m->buttons;
	m->packet_size = m->id ? 4 : 3;
	memcpy(m->packet, b, sizeof(b));
	ps2_push(&m->out, b, m->packet_size);
}

/* Motion adds up between reports instead of queueing: one at a time, at the sample rate at most. */
void ps2_mouse_poll(struct ps2_mouse *m)
{
	bool news = m->dx || m->dy || (m->dz && m->id) || m->buttons != m->reported;
	if (!news || !m->reporting || m->remote || m->wrap || ps2_queued(&m->out))
		return;
	u64 now = clock_now(m->clock);
	if (now < m->next_ns) {
		timer_arm(&m->sample, m->next_ns);
		return;
	}
	send_report(m);
	m->next_ns = now + 1000000000u / m->rate;
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int wheel, unsigned buttons)
{
	/* A click shorter than the time between two samples must not be lost. */
	if (m->reporting && !m->remote && !m->wrap && (buttons & 0x1f) != m->buttons &&
	    m->buttons != m->reported)
		send_report(m);
	m->buttons = buttons & 0x1f;
	if (!m->reporting && !m->remote) {
		m->reported = m->buttons;
		return;
	}
	m->dx = clamp(m->dx + clamp(dx, MOTION_MAX), MOTION_MAX);
	m->dy = clamp(m->dy - clamp(dy, MOTION_MAX), MOTION_MAX); /* PS/2: up is positive */
	m->dz = clamp(m->dz + clamp(wheel, 0xff), 0xff);
}

/* ---- commands ------------------------------------------------------------------------------- */

static void reply(struct ps2_mouse *m, u8 v)
{
	ps2_push1(&m->out, v);
}

static bool valid_rate(u8 v)
{
	return v == 10 || v == 20 || v == 40 || v == 60 || v == 80 || v == 100 || v == 200;
}

static void set_rate(struct ps2_mouse *m, u8 v)
{
	if (m->knock[0] == 200 && m->knock[1] == 100 && v == 80)
		m->id = 3;
	else if (m->knock[0] == 200 && m->knock[1] == 200 && v == 80)
		m->id = 4;
	m->knock[0] = m->knock[1];
	m->knock[1] = v;
	m->rate = v;
}

/* A wrong parameter is asked for again; the second time it is an error. */
static void parameter(struct ps2_mouse *m, u8 command, u8 v)
{
	bool good = command == 0xe8 ? v < 4 : valid_rate(v);
	if (!good) {
		reply(m, m->bad ? ERROR : PS2_RESEND);
		m->command = m->bad ? 0 : command;
		m->bad = !m->bad;
		return;
	}
	m->bad = false;
	reply(m, PS2_ACK);
	if (command == 0xe8)
		m->resolution = v;
	else
		set_rate(m, v);
}

static void send_status(struct ps2_mouse *m)
{
	const u8 b[4] = {PS2_ACK,
			 (u8)(m->remote << 6 | m->reporting << 5 | m->scale2 << 4 |
			      (m->buttons & 1) << 2 | (m->buttons & 4) >> 1 |
			      (m->buttons & 2) >> 1),
			 m->resolution, m->rate};
	ps2_push(&m->out, b, 4);
}

static void command(struct ps2_mouse *m, u8 v)
{
	switch (v) {
	case 0xe6: m->scale2 = false; break;
	case 0xe7: m->scale2 = true; break;
	case 0xe8:
	case 0xf3: m->command = v; break;
	case 0xe9: send_status(m); return;
	case 0xea: m->remote = false; break;
	case 0xeb:
		reply(m, PS2_ACK);
		send_report(m);
		return;
	case 0xee: m->wrap = true; break;
	case 0xf0: m->remote = true; break;
	case 0xf2:
		reply(m, PS2_ACK);
		reply(m, m->id);
		return;
	case 0xf4: m->reporting = true; break;
	case 0xf5: m->reporting = false; break;
	case 0xf6: defaults(m); break;
	case 0xfe: ps2_push(&m->out, m->packet, m->packet_size); return;
	case 0xff:
		ps2_mouse_reset(m);
		ps2_push(&m->out, (const u8[]){PS2_ACK, 0xaa, 0x00}, 3);
		return;
	default: reply(m, PS2_RESEND); return;
	}
	reply(m, PS2_ACK);
}

void ps2_mouse_write(struct ps2_mouse *m, u8 v)
{
	u8 waiting = m->command;
	if (m->wrap && v != 0xec && v != 0xff) {
		reply(m, v);
		return;
	}
	ps2_clear(&m->out); /* the answer comes next, not the rest of a report */
	m->command = 0;
	if (v == 0xec) {
		m->wrap = false;
		reply(m, PS2_ACK);
	} else if (waiting && v != 0xff) {
		parameter(m, waiting, v);
	} else {
		command(m, v);
	}
}
