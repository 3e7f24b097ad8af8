/*
 * Keyboard layouts, as the X Keyboard Extension's database and the keyboards themselves have them. A row is the characters of
 * neighbouring keys at one level; a space says that there is nothing (the space bar is common to all). Not modelled: characters
 * composed of a dead key and a letter that have no key of their own.
 */
#include "base/keymap.h"

enum { PLAIN, SHIFT, ALTGR, LEVELS };

struct key_row {
	u8 first; /* set-1 code of the first key */
	const char *level[LEVELS];
};

struct keymap {
	const char *name, *other, *third;
	struct key_row row[6];
	const char *dead; /* at any level */
};

static const struct keymap maps[] = {
    {"us", "en-us", "en",
     {{0x29, {"`", "~", NULL}},
      {0x02, {"1234567890-=", "!@#$%^&*()_+", NULL}},
      {0x10, {"qwertyuiop[]", "QWERTYUIOP{}", NULL}},
      {0x1e, {"asdfghjkl;'", "ASDFGHJKL:\"", NULL}},
      {0x2b, {"\\zxcvbnm,./", "|ZXCVBNM<>?", NULL}}},
     ""},
    {"gb", "en-gb", "uk",
     {{0x29, {"`", "¬", NULL}},
      {0x02, {"1234567890-=", "!\"£$%^&*()_+", "   €"}},
      {0x10, {"qwertyuiop[]", "QWERTYUIOP{}", NULL}},
      {0x1e, {"asdfghjkl;'", "ASDFGHJKL:@", NULL}},
      {0x2b, {"#zxcvbnm,./", "~ZXCVBNM<>?", NULL}},
      {0x56, {"\\", "|", NULL}}},
     ""},
    {"de", "de-de", "at",
     {{0x29, {"^", "°", NULL}},
      {0x02, {"1234567890ß´", "!\"§$%&/()=?`", " ²³   {[]}\\"}},
      {0x10, {"qwertzuiopü+", "QWERTZUIOPÜ*", "@ €        ~"}},
      {0x1e, {"asdfghjklöä", "ASDFGHJKLÖÄ", NULL}},
      {0x2b, {"#yxcvbnm,.-", "'YXCVBNM;:_", "       µ"}},
      {0x56, {"<", ">", "|"}}},
     "^´`"},
    {"fr", "fr-fr", "",
     {{0x29, {"²", NULL, NULL}},
      {0x02, {"&é\"'(-è_çà)=", "1234567890°+", " ~#{[|`\\ @]}"}},
      {0x10, {"azertyuiop^$", "AZERTYUIOP¨£", "  €"}},
      {0x1e, {"qsdfghjklmù", "QSDFGHJKLM%", NULL}},
      {0x2b, {"*wxcvbn,;:!", "µWXCVBN?./§", NULL}},
      {0x56, {"<", ">", NULL}}},
     "^¨"},
    {"es", "es-es", "",
     {{0x29, {"º", "ª", "\\"}},
      {0x02, {"1234567890'¡", "!\"·$%&/()=?¿", "|@#~ ¬"}},
      {0x10, {"qwertyuiop`+", "QWERTYUIOP^*", "  €       []"}},
      {0x1e, {"asdfghjklñ´", "ASDFGHJKLÑ¨", "          {"}},
      {0x2b, {"çzxcvbnm,.-", "ÇZXCVBNM;:_", "}"}},
      {0x56, {"<", ">", NULL}}},
     "`^´¨"},
    {"it", "it-it", "",
     {{0x29, {"\\", "|", NULL}},
      {0x02, {"1234567890'ì", "!\"£$%&/()=?^", "      {  }`~"}},
      {0x10, {"qwertyuiopè+", "QWERTYUIOPé*", "  €       []"}},
      {0x1e, {"asdfghjklòà", "ASDFGHJKLç°", "         @#"}},
      {0x2b, {"ùzxcvbnm,.-", "§ZXCVBNM;:_", NULL}},
      {0x56, {"<", ">", NULL}}},
     ""},
};

const struct keymap *keymap_find(const char *name)
{
	for (unsigned i = 0; *name && i < ARRAY_SIZE(maps); i++)
		if (!strcmp(maps[i].name, name) || !strcmp(maps[i].other, name) || !strcmp(maps[i].third, name))
			return &maps[i];
	return NULL;
}

const char *keymap_names(void)
{
	return "us, gb, de, fr, es, it";
}

u32 utf8_next(const char **text)
{
	const u8 *p = (const u8 *)*text;
	const u8 first = p[0];
	const unsigned more = first < 0x80 ? 0 : first >> 5 == 6 ? 1 : first >> 4 == 14 ? 2 : first >> 3 == 30 ? 3 : 4;
	u32 c = more ? first & (0x3fu >> more) : first;
	if (!first)
		return 0;
	unsigned n = 1;
	for (; more < 4 && n <= more && p[n] >> 6 == 2; n++)
		c = c << 6 | (p[n] & 0x3f);
	*text += n;
	return more == 4 || n <= more || (more && !c) ? 0xfffd : c;
}

/* The place of @c in a row; -1: not there. */
static int place_in(const char *row, u32 c)
{
	int at = 0;
	for (u32 have; row && (have = utf8_next(&row)); at++)
		if (have == c && c != ' ')
			return at;
	return -1;
}

bool keymap_press(const struct keymap *k, u32 c, struct key_press *out)
{
	const u16 common = c == ' ' ? 0x39 : c == '\t' ? 0x0f : c == '\n' ? 0x1c : 0;
	*out = (struct key_press){.key = common};
	if (common)
		return true;
	for (unsigned level = 0; c && level < LEVELS; level++)
		for (unsigned i = 0; i < ARRAY_SIZE(k->row); i++) {
			int at = place_in(k->row[i].level[level], c);
			if (at < 0)
				continue;
			*out = (struct key_press){.key = (u16)(k->row[i].first + at),
						  .shift = level == SHIFT,
						  .altgr = level == ALTGR,
						  .dead = place_in(k->dead, c) >= 0};
			return true;
		}
	return false;
}
