/* Framing of GDB's remote protocol: see gdb_packet.h. */
#include "debug/gdb_packet.h"

enum { IDLE, DATA, CHECK1, CHECK2 };

void gdb_reader_init(struct gdb_reader *r)
{
	r->n = 0;
	r->state = IDLE;
}

static int digit(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum gdb_event idle(struct gdb_reader *r, u8 c)
{
	switch (c) {
	case '$':
		r->state = DATA;
		r->n = 0;
		r->sum = 0;
		r->escape = r->overlong = false;
		return GDB_NOTHING;
	case '+': return GDB_ACK;
	case '-': return GDB_NAK;
	case 3: return GDB_BREAK;
	}
	return GDB_NOTHING;
}

static void data(struct gdb_reader *r, u8 c)
{
	r->sum += c;
	if (c == '}' && !r->escape) {
		r->escape = true;
		return;
	}
	if (r->n >= GDB_PACKET_MAX)
		r->overlong = true;
	else
		r->data[r->n++] = r->escape ? c ^ 0x20 : c;
	r->escape = false;
}

enum gdb_event gdb_reader_feed(struct gdb_reader *r, u8 c)
{
	int d;

	switch (r->state) {
	case IDLE: return idle(r, c);
	case DATA:
		if (c == '#')
			r->state = CHECK1;
		else if (c == '$') /* the peer began anew */
			return idle(r, c);
		else
			data(r, c);
		return GDB_NOTHING;
	case CHECK1:
		d = digit(c);
		r->check = (u8)(d << 4);
		r->state = d < 0 ? IDLE : CHECK2;
		return d < 0 ? GDB_BAD : GDB_NOTHING;
	default:
		d = digit(c);
		r->state = IDLE;
		if (d < 0 || (r->check | d) != r->sum || r->overlong)
			return GDB_BAD;
		r->data[r->n] = 0;
		return GDB_PACKET;
	}
}

unsigned gdb_frame(u8 *out, const void *data_, unsigned n)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = data_;
	unsigned at = 0;
	u8 sum = 0;

	out[at++] = '$';
	for (unsigned i = 0; i < n; i++) {
		u8 c = p[i];

		if (c == '$' || c == '#' || c == '}' || c == '*') {
			out[at++] = '}';
			sum += '}';
			c ^= 0x20;
		}
		out[at++] = c;
		sum += c;
	}
	out[at++] = '#';
	out[at++] = (u8)digits[sum >> 4];
	out[at++] = (u8)digits[sum & 15];
	return at;
}

bool gdb_hex(const char **p, u64 *v)
{
	unsigned n = 0;

	for (*v = 0; digit((u8)**p) >= 0; n++, (*p)++)
		*v = *v << 4 | (u64)digit((u8)**p);
	return n && n <= 16;
}

unsigned gdb_unhex(const char *p, u8 *out, unsigned max)
{
	unsigned n = 0;

	for (; n < max; n++, p += 2) {
		int hi = digit((u8)p[0]), lo = hi < 0 ? -1 : digit((u8)p[1]);

		if (lo < 0)
			break;
		out[n] = (u8)(hi << 4 | lo);
	}
	return n;
}

void gdb_tohex(char *out, const void *data_, unsigned n)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = data_;

	for (unsigned i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}
