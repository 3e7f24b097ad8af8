/*
 * Text for guest programs: the demonstration (machine/demo) and the labs (labs/common). Freestanding; %s, %c, %u and %x of an
 * unsigned long, %x with 0x. Anything else stands for itself.
 */
#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

static void guest_number(void (*put)(char), unsigned long v, unsigned base)
{
	char buf[24];
	unsigned n = 0;
	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		put(buf[--n]);
}

static void guest_format(void (*put)(char), const char *f, __builtin_va_list ap)
{
	for (; *f; f++) {
		if (*f != '%') {
			put(*f);
			continue;
		}
		switch (*++f) {
		case 's':
			for (const char *s = __builtin_va_arg(ap, const char *); *s; s++)
				put(*s);
			break;
		case 'c': put((char)__builtin_va_arg(ap, int)); break;
		case 'u': guest_number(put, __builtin_va_arg(ap, unsigned long), 10); break;
		case 'x':
			put('0');
			put('x');
			guest_number(put, __builtin_va_arg(ap, unsigned long), 16);
			break;
		default: put(*f); break;
		}
	}
}

#endif
