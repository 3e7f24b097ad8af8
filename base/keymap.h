/* Layouts of PC keyboards: which key of which layout makes a character. For text that is typed at a guest. */
#ifndef ORRERY_KEYMAP_H
#define ORRERY_KEYMAP_H

#include "base/types.h"

struct keymap;

struct key_press {
	u16 key; /* set-1 code */
	bool shift, altgr;
	bool dead; /* a space must follow, or the next letter would carry the accent */
};

/** "us", "gb", "de", "fr", "es", "it" (and "en-us", "en-gb", "uk"); NULL: none of them. */
const struct keymap *keymap_find(const char *name);
/** The names for messages: "us, gb, ...". */
const char *keymap_names(void);
/** How Unicode character @c is typed; false: no key makes it. */
bool keymap_press(const struct keymap *k, u32 c, struct key_press *out);
/** Decodes one UTF-8 character of *@text and moves behind it; what is malformed is U+FFFD. 0 at the end. */
u32 utf8_next(const char **text);

#endif
