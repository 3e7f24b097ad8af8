/*
 * Declared state: each state struct has one list that names every member, saved or host-side.
 * Saving, loading, hashing and the compile-time proof of completeness come from it.
 *
 *     #define PIT_FIELDS(V, S, H, P) V(mode) S(ch, pit_channel_snapshot) H(dev) P(3)
 *     SNAPSHOT(pit_snapshot, "pit", 1, struct pit, PIT_FIELDS);
 *
 *   V  a value: integer, bool, struct timer, struct irq_line, or an array of those
 *   S  a struct (or an array of them) with its own list
 *   H  host-side: pointers, handles, configuration: not saved, not hashed
 *   P  padding bytes the compiler put in
 *
 * The sizes of all must add up to sizeof the struct: a forgotten member does not compile. A saved
 * section names its fields, so that a reader can refuse what it does not know by name.
 */
#ifndef ORRERY_BASE_SNAPSHOT_H
#define ORRERY_BASE_SNAPSHOT_H

#include "base/clock.h"
#include "base/irq.h"
#include "base/types.h"

enum field_kind {
	FIELD_INT,    /* little-endian integers of elem bytes */
	FIELD_TIMER,  /* armed, deadline */
	FIELD_IRQ,    /* the level driven */
	FIELD_STRUCT, /* sub */
	FIELD_HOST,   /* not saved */
};

struct snapshot_desc;

struct field {
	const char *name;
	u32 offset;
	u32 size; /* of the whole member */
	u32 elem; /* of one element */
	enum field_kind kind;
	const struct snapshot_desc *sub;
};

struct snapshot_desc {
	const char *name;
	u32 version;
	u32 size;                                   /* of the struct */
	const struct field *(*fields)(unsigned *n); /* the table and its length */
};

/* clang-format off */
/* An array decays to a pointer in _Generic; its element's size is found the same way. */
#define FIELD_KIND_OF(x)                                                                           \
	_Generic((x), struct timer : FIELD_TIMER, struct timer * : FIELD_TIMER,                    \
		 struct irq_line : FIELD_IRQ, struct irq_line * : FIELD_IRQ, default : FIELD_INT)
#define FIELD_ELEM_OF(x)                                                                           \
	_Generic((x), u8 * : 1, s8 * : 1, bool * : 1, char * : 1, u16 * : 2, s16 * : 2, \
		 u32 * : 4, s32 * : 4, u64 * : 8, s64 * : 8, unsigned long long * : 8, \
		 u8 : 1, s8 : 1, bool : 1, u16 : 2, s16 : 2, u32 : 4, s32 : 4, u64 : 8, s64 : 8, \
		 unsigned long long : 8, \
		 struct timer : sizeof(struct timer), struct timer * : sizeof(struct timer), \
		 struct irq_line : sizeof(struct irq_line), \
		 struct irq_line * : sizeof(struct irq_line))
/* clang-format on */

#define FIELD_V_(m)                                                                                \
	{#m,                                                                                       \
	 offsetof(snapshot_self, m),                                                               \
	 sizeof(((snapshot_self *)0)->m),                                                          \
	 FIELD_ELEM_OF(((snapshot_self *)0)->m),                                                   \
	 FIELD_KIND_OF(((snapshot_self *)0)->m),                                                   \
	 NULL},
#define FIELD_S_(m, d)                                                                             \
	{#m, offsetof(snapshot_self, m), sizeof(((snapshot_self *)0)->m), 0, FIELD_STRUCT, &d},
#define FIELD_H_(m)                                                                                \
	{#m, offsetof(snapshot_self, m), sizeof(((snapshot_self *)0)->m), 0, FIELD_HOST, NULL},
#define FIELD_P_(n)
#define FIELD_V_SIZE_(m)    +sizeof(((snapshot_self *)0)->m)
#define FIELD_S_SIZE_(m, d) +sizeof(((snapshot_self *)0)->m)
#define FIELD_P_SIZE_(n)    +(n)

/* The members' type is known to the list's macros by a typedef local to the function that holds the
 * table. */
#define SNAPSHOT(var, text, ver, type, LIST)                                                       \
	static const struct field *var##_fields_(unsigned *n)                                      \
	{                                                                                          \
		typedef type snapshot_self;                                                        \
		static const struct field f[] = {LIST(FIELD_V_, FIELD_S_, FIELD_H_, FIELD_P_)};    \
		_Static_assert((0 LIST(FIELD_V_SIZE_, FIELD_S_SIZE_, FIELD_V_SIZE_,                \
				       FIELD_P_SIZE_)) == sizeof(type),                            \
			       #type ": a member is missing from its snapshot list, or the "       \
				     "padding is wrong");                                          \
		*n = ARRAY_SIZE(f);                                                                \
		return f;                                                                          \
	}                                                                                          \
	const struct snapshot_desc var = {text, ver, sizeof(type), var##_fields_}

/* ---- saving ------------------------------------------------------------------------------ */

struct snap_buf {
	u8 *data; /* malloc'ed; the caller frees it */
	size_t len, cap;
	bool failed; /* out of memory: nothing more is added */
};

/** Appends raw bytes. */
void snap_put(struct snap_buf *b, const void *data, size_t n);
/** Appends one section: @desc's fields of @state, under the instance name @id. */
void snapshot_save(struct snap_buf *b, const struct snapshot_desc *desc, const char *id,
		   const void *state);
/** Appends a section of plain bytes (RAM, a variable-length buffer). */
void snapshot_save_bytes(struct snap_buf *b, const char *id, const void *data, u64 n);

/* ---- loading ----------------------------------------------------------------------------- */

struct snap_reader {
	const u8 *data;
	size_t len, pos;
	char id[256];    /* what snapshot_next() found */
	char error[400]; /* set when a function returned nonzero */
};

/** The next section's id, or NULL at the end or on damage (then error is not empty). */
const char *snapshot_next(struct snap_reader *r);
/**
 * Reads the section at the reader's place, which must be @id of @desc. 0, or -EINVAL with r->error
 * saying which section, field and what was wrong; @state may then be half loaded. Timers are
 * re-armed; lines are not driven. @state NULL: only looks whether it could be loaded.
 */
MUST_CHECK int snapshot_load(struct snap_reader *r, const struct snapshot_desc *desc,
			     const char *id, void *state);
MUST_CHECK int snapshot_load_bytes(struct snap_reader *r, const char *id, void *data, u64 n);

/* ---- hashing ----------------------------------------------------------------------------- */

/** 64-bit hash of @n bytes chained on @seed. */
u64 hash_bytes(u64 seed, const void *data, u64 n);
/** Hash of one field of @state's list. */
u64 snapshot_hash_field(u64 seed, const struct field *f, const void *state);
/** Hash of every saved field, chained on @seed. */
u64 snapshot_hash(u64 seed, const struct snapshot_desc *desc, const void *state);

#endif
