/* Text on the screen and port E9h, small string functions, calls to real mode, fw_cfg. */
#include "bios/post/post.h"

#include <stdarg.h>

bool screen_ready;
extern struct regs bridge_regs;
extern u32 bridge_target;
extern u8 rt_call[];

/* ---- real mode --------------------------------------------------------------------------- */

u8 *bridge_way = bridge_down;

static void go(u32 target, struct regs *r)
{
	RT(bridge_regs) = *r;
	RT(bridge_target) = target;
	bridge();
	*r = RT(bridge_regs);
}

void real_far(u16 seg, u16 off, struct regs *r)
{
	go((u32)seg << 16 | off, r);
}

void real_rom(u16 seg, u16 off, struct regs *r)
{
	bridge_way = bridge_down_big;
	go((u32)seg << 16 | off, r);
	bridge_way = bridge_down;
}

/* The bridge calls with flags pushed first, so a far call to a handler that ends in IRET works. */
void real_int(u8 n, struct regs *r)
{
	go(MEM32(n * 4u), r);
}

void rt_run(void (*fn)(void *), void *arg)
{
	struct regs r = {.eax = (u32)fn, .edx = (u32)arg};
	go((u32)RT_CS << 16 | (u16)(u32)rt_call, &r);
}

/* ---- text -------------------------------------------------------------------------------- */

static void put(char c, bool on_screen)
{
	outb(0xe9, (u8)c);
	if (!on_screen || !screen_ready)
		return;
	struct regs r = {.ax = (u16)(0x0e00 | (u8)c), .bx = 7};
	if (c == '\n') {
		r.al = '\r';
		real_int(0x10, &r);
		r.ax = 0x0e0a;
	}
	real_int(0x10, &r);
}

static void number(u32 v, unsigned base, unsigned width, char pad, bool screen)
{
	char text[12];
	unsigned n = 0;
	do
		text[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	for (; width > n; width--)
		put(pad, screen);
	while (n)
		put(text[--n], screen);
}

static void format(const char *fmt, va_list ap, bool screen)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt, screen);
			continue;
		}
		char pad = *++fmt == '0' ? '0' : ' ';
		unsigned width = 0;
		while (*fmt >= '0' && *fmt <= '9')
			width = width * 10 + (unsigned)(*fmt++ - '0');
		switch (*fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(*s, screen);
			break;
		case 'c': put((char)va_arg(ap, int), screen); break;
		case 'u': number(va_arg(ap, u32), 10, width, pad, screen); break;
		case 'x': number(va_arg(ap, u32), 16, width, pad, screen); break;
		default: put(*fmt, screen); break;
		}
	}
}

void print(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	format(fmt, ap, true);
	va_end(ap);
}

void debug(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	format(fmt, ap, false);
	va_end(ap);
}

int compare(const void *a, const void *b, u32 n)
{
	const u8 *p = a, *q = b;
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p < *q ? -1 : 1;
	return 0;
}

u32 length(const char *s)
{
	u32 n = 0;
	while (s[n])
		n++;
	return n;
}

bool starts_with(const char *s, const char *prefix)
{
	return !compare(s, prefix, length(prefix));
}

/* ---- fw_cfg (QEMU docs/specs/fw_cfg) ----------------------------------------------------- */

static bool fw_present(void)
{
	static u8 known; /* 1: no, 2: yes */
	if (!known) {
		outw(0x510, 0);
		u8 a = inb(0x511), b = inb(0x511), c = inb(0x511), d = inb(0x511);
		known = a == 'Q' && b == 'E' && c == 'M' && d == 'U' ? 2 : 1;
	}
	return known == 2;
}

void fw_item(u16 selector, void *out, u32 n)
{
	u8 *p = out;
	bool there = fw_present();
	if (there)
		outw(0x510, selector);
	for (u32 i = 0; i < n; i++)
		p[i] = there ? inb(0x511) : 0;
}

static u32 fw_be(unsigned bytes)
{
	u32 v = 0;
	while (bytes--)
		v = v << 8 | inb(0x511);
	return v;
}

struct fw_file {
	u32 size;
	u16 selector;
	char name[57];
};

static bool fw_entry(u32 index, struct fw_file *f)
{
	if (!fw_present())
		return false;
	outw(0x510, 0x19);
	if (index >= fw_be(4))
		return false;
	for (u32 skip = index * 64; skip; skip--)
		inb(0x511);
	f->size = fw_be(4);
	f->selector = (u16)fw_be(2);
	fw_be(2);
	for (unsigned i = 0; i < 56; i++)
		f->name[i] = (char)inb(0x511);
	f->name[56] = 0;
	return true;
}

s32 fw_find(const char *name, u32 *size)
{
	struct fw_file f;
	for (u32 i = 0; fw_entry(i, &f); i++)
		if (length(f.name) == length(name) && starts_with(f.name, name)) {
			*size = f.size;
			return f.selector;
		}
	return -1;
}

void fw_each(const char *prefix, void (*fn)(u16 selector, u32 size))
{
	struct fw_file f;
	for (u32 i = 0; fw_entry(i, &f); i++)
		if (starts_with(f.name, prefix))
			fn(f.selector, f.size);
}
