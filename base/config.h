/* Typed settings as rows: parsing, defaults, help and error texts come from the table. */
#ifndef ORRERY_BASE_CONFIG_H
#define ORRERY_BASE_CONFIG_H

#include <stdio.h>
#include "base/types.h"

enum prop_type {
	PROP_BOOL, /* bool: on, off, yes, no, true, false, 1, 0 */
	PROP_UINT, /* u64: decimal or 0x..; within min..max (max 0: no limit) */
	PROP_SIZE, /* u64 bytes: number with K, M, G, T (powers of 1024); within min..max */
	PROP_ENUM, /* u32: index into values */
	PROP_TEXT, /* char[PROP_TEXT_SIZE] */
};

#define PROP_TEXT_SIZE 256

struct prop {
	const char *name; /* NULL ends a table */
	enum prop_type type;
	u32 offset;      /* of the member */
	const char *def; /* default, in text; NULL: leaves the member alone */
	const char *help;
	u64 min, max;
	const char *const *values; /* PROP_ENUM: NULL-terminated */
};

/** The word of the NULL-terminated @list nearest to @word by edit distance, or NULL if none is
 * near. */
const char *nearest(const char *word, const char *const *list);
/** Writes every default into @obj. */
void config_defaults(const struct prop *props, void *obj);
/** Sets one property from text; -EINVAL with a message (naming the nearest key or value) in @err.
 */
MUST_CHECK int config_set(const struct prop *props, void *obj, const char *key, const char *value,
			  char *err, size_t err_size);
/** Sets properties from "key=value,key=value"; a key alone sets a bool; ",," stands for a comma in
 * a value. */
MUST_CHECK int config_parse(const struct prop *props, void *obj, const char *text, char *err,
			    size_t err_size);
/** One line per property. */
void config_help(FILE *out, const struct prop *props);
/** Formats the present value of a property as config_set() reads it. */
void config_get(const struct prop *p, const void *obj, char *out, size_t out_size);
/** Number with an optional K, M, G, T suffix. -EINVAL if it is none. */
MUST_CHECK int parse_size(const char *text, u64 *value);
/** Decimal, 0x hexadecimal. -EINVAL if it is none. */
MUST_CHECK int parse_uint(const char *text, u64 *value);

#endif
