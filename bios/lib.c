/* What both halves of the system BIOS have of their own: compiled for each. */
#include "bios/rt/rt.h"

/* What the compiler makes of assignments of structures. */
void *memset(void *to, int v, size_t n)
{
	u8 *p = to;
	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(v) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	u8 *p = to;
	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void delay_us(u32 us)
{
	u8 last = inb(0x61) & REFRESH;
	for (u32 n = us / 15 + 1; n;) {
		u8 now = inb(0x61) & REFRESH;
		if (now != last) {
			last = now;
			n--;
		}
	}
}
