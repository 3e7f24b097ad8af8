/*
 * What the debugger shows: built once as a JSON tree, printed as JSON or as text.
 *
 * JSON: every member whose name does not begin with '_'. Text: by the same tree and hints, which are those members:
 *
 *   _title  a line above
 *   _line   of an object: its text, with {member} where a member's value stands; {member:-16} and {member:8} pad
 *   _rows   of an object: the same for every object in its arrays
 *   _flat   of an object: so many "name=value" on a line
 *
 * Without hints an object is "name: value" lines, and an array of objects a table with the members' names above.
 * Numbers that are addresses or bits are strings of hexadecimal digits with 0x: JSON numbers are not exact above 2^53.
 */
#ifndef ORRERY_DEBUG_VIEW_H
#define ORRERY_DEBUG_VIEW_H

#include <jansson.h>
#include "base/types.h"

/** Adds members; nothing happens if there is no memory. view_hex(): "0x1f"; with @digits, that many at least. */
void view_text(json_t *o, const char *name, const char *value);
void view_format(json_t *o, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);
void view_num(json_t *o, const char *name, u64 value);
void view_bool(json_t *o, const char *name, bool value);
void view_hex(json_t *o, const char *name, u64 value, unsigned digits);
/** A new object or array in @o under @name (NULL: at the end of the array @o). */
json_t *view_object(json_t *o, const char *name);
json_t *view_array(json_t *o, const char *name);

/** A member's text, number or truth; "", 0, false where there is no such. */
const char *view_string(const json_t *o, const char *name);
long long view_integer(const json_t *o, const char *name);
bool view_true(const json_t *o, const char *name);

/** Text of the tree, lines ending in \n; malloc'ed, NULL when out of memory. */
char *view_to_text(const json_t *v);
/** A copy without hints (new reference). */
json_t *view_without_hints(const json_t *v);
/** JSON without hints; @indent spaces, 0: one line. malloc'ed, without newline. */
char *view_to_json(const json_t *v, unsigned indent);

#endif
