/*
 * Demonstration guest: tells on the serial port what it does: long mode, timer interrupts, ring 3
 * and back, faults explained, a small benchmark, a turning orrery, and power-off through ACPI.
 */
#include "base/guest/format.h"
#include "guest.h"

#define COM1 0x3f8

void *memset(void *p, int c, u64 n)
{
	u8 *b = p;
	while (n--)
		*b++ = (u8)c;
	return p;
}

/* With the FIFO on, an empty transmitter takes 16 bytes at once. */
void put(char c)
{
	static unsigned room;
	if (c == '\n')
		put('\r');
	if (!room) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		room = 16;
	}
	room--;
	outb(COM1, (u8)c);
}

void print(const char *fmt, ...)
{
	__builtin_va_list ap;
	__builtin_va_start(ap, fmt);
	guest_format(put, fmt, ap);
	__builtin_va_end(ap);
}

static void cpuid(u32 leaf, u32 *r)
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(0));
}

static void show_cpu(void)
{
	u32 brand[13] = {0}, max[4];
	u64 cr0, cr4;
	cpuid(0x80000000, max);
	for (u32 i = 0; max[0] >= 0x80000004 && i < 3; i++)
		cpuid(0x80000002 + i, brand + 4 * i);
	const char *s = (const char *)brand;
	while (*s == ' ')
		s++;
	__asm__("movq %%cr0, %0" : "=r"(cr0));
	__asm__("movq %%cr4, %0" : "=r"(cr4));
	print("  processor  %s\n", *s ? s : "(no brand string)");
	print("  long mode  CR0 %x, CR4 %x, EFER %x, 4-level paging\n", cr0, cr4,
	      rdmsr(0xc0000080));
}

static void show_timer(void)
{
	wait_ticks(1);
	u64 from = rdtsc(), first = ticks;
	wait_ticks(10);
	print("  timer      8259A and 8254: %u interrupts in %u microseconds of the TSC\n",
	      ticks - first, (rdtsc() - from) / 1000);
}

/* ---- benchmark ------------------------------------------------------------------------------ */

#define SIEVE_SIZE (1u << 20)
static u8 sieve[SIEVE_SIZE];

static u64 count_primes(void)
{
	u64 count = 0;
	memset(sieve, 1, SIEVE_SIZE);
	for (u32 i = 2; i < SIEVE_SIZE; i++) {
		if (!sieve[i])
			continue;
		count++;
		for (u64 j = (u64)i * i; j < SIEVE_SIZE; j += i)
			sieve[j] = 0;
	}
	return count;
}

static u32 crc32(const u8 *p, u64 n)
{
	static u32 table[256];
	u32 crc = 0xffffffff;
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;
		for (unsigned k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[i] = c;
	}
	while (n--)
		crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
	return ~crc;
}

static void benchmark(void)
{
	u64 from = rdtsc(), primes = 0;
	u32 crc = 0;
	for (unsigned i = 0; i < 8; i++) {
		primes = count_primes();
		crc = crc32(sieve, SIEVE_SIZE);
	}
	u64 spent = rdtsc() - from;
	print("  benchmark  %u primes below 2^20, CRC-32 %x: %u milliseconds of virtual time\n",
	      primes, (u64)crc, spent / 1000000);
}

/* ---- ACPI ----------------------------------------------------------------------------------- */

static u32 get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static int same(const u8 *p, const char *s)
{
	while (*s)
		if (*p++ != (u8)*s++)
			return 0;
	return 1;
}

static const u8 *find_fadt(void)
{
	for (const u8 *p = (const u8 *)0xe0000; p < (const u8 *)0x100000; p += 16) {
		if (!same(p, "RSD PTR "))
			continue;
		const u8 *rsdt = (const u8 *)(u64)get32(p + 16);
		for (u32 i = 36; i + 4 <= get32(rsdt + 4); i += 4) {
			const u8 *t = (const u8 *)(u64)get32(rsdt + i);
			if (same(t, "FACP"))
				return t;
		}
	}
	return 0;
}

static void power_off(void)
{
	const u8 *fadt = find_fadt();
	if (!fadt) {
		print("  power      no ACPI tables: cannot switch off\n");
		return;
	}
	u16 pm1a = (u16)get32(fadt + 64);
	print("  power      ACPI: FADT at %x, PM1a control at port %x; good bye\n", (u64)fadt,
	      (u64)pm1a);
	outw(pm1a, 0x2000); /* SLP_TYP 0 (S5), SLP_EN */
}

void guest_main(void)
{
	outb(COM1 + 2, 1); /* FIFO on */
	print("\n\033[1;33m  O R R E R Y\033[0m   a PC whose every motion can be seen turning\n\n");
	show_cpu();
	traps_init();
	show_timer();
	print("  rings      to ring 3 by IRETQ, back by SYSCALL and by faults:\n");
	run_user();
	print("             %u faults explained\n", (u64)faults);
	benchmark();
	print("\n");
	orrery_show(60);
	print("\n");
	power_off();
	for (;;)
		__asm__ volatile("cli; hlt");
}
