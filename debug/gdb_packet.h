/*
 * The framing of GDB's remote protocol (GDB manual, appendix E): $data#checksum, escapes, acknowledgements, Ctrl-C. Knows nothing
 * of the machine; what it is fed may be anything.
 */
#ifndef ORRERY_DEBUG_GDB_PACKET_H
#define ORRERY_DEBUG_GDB_PACKET_H

#include "base/types.h"

#define GDB_PACKET_MAX 0x4000u /* bytes between $ and #, as qSupported says */

enum gdb_event {
	GDB_NOTHING,
	GDB_PACKET, /* r->data, r->n: a whole packet, unescaped, with a zero byte behind it */
	GDB_BAD,    /* one with a wrong checksum, or too long */
	GDB_ACK,
	GDB_NAK,
	GDB_BREAK,  /* Ctrl-C */
};

struct gdb_reader {
	u8 data[GDB_PACKET_MAX + 1];
	unsigned n;
	u8 state, sum, check;
	bool escape, overlong;
};

void gdb_reader_init(struct gdb_reader *r);
enum gdb_event gdb_reader_feed(struct gdb_reader *r, u8 byte);
/** Frames @n bytes of @data; @out holds 2 * @n + 4. How many bytes it became. */
unsigned gdb_frame(u8 *out, const void *data, unsigned n);

/** Hexadecimal digits at *@p, at most 16 of them, into *@v; advances. False: there is none, or too many. */
bool gdb_hex(const char **p, u64 *v);
/** Two digits a byte; how many bytes were read from @p, at most @max. */
unsigned gdb_unhex(const char *p, u8 *out, unsigned max);
/** Writes 2 * @n digits and a zero byte. */
void gdb_tohex(char *out, const void *data, unsigned n);

#endif
