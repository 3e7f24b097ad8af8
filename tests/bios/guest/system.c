/* INT 11h, 12h, 14h, 15h, 17h, 1Ah and the data areas. What is expected comes from the AT and PS/2
 * references. */
#define FILE_LETTER 'S'
#include "tests/bios/guest/guest.h"

extern u16 ticks_1c, mouse_calls, mouse_words[3];
extern void count_1c(void), on_mouse(void);

static void equipment(void)
{
	struct regs r = {.eax = 0x12340000};
	interrupt(0x11, &r);
	EQUAL(r.ax, MEM16(0x410));
	CHECK(r.ax & 2); /* x87 */
	EQUAL(r.eax >> 16, 0x1234);
	r = (struct regs){.ax = 0};
	interrupt(0x12, &r);
	EQUAL(r.ax, MEM16(0x413));
	CHECK(r.ax >= 620 && r.ax <= 640);
	CHECK(MEM16(0x400) == 0x3f8); /* COM1 */
	u32 ebda = MEM16(0x40e) * 16u;
	CHECK(ebda >= 0x80000 && ebda < 0xa0000);
	EQUAL(ebda, r.ax * 1024u);
	EQUAL(far8(0xffffe), 0xfc);
}

static void serial(void)
{
	struct regs r = {.ax = 0x00e3, .edx = 0}; /* 9600 8N1 */
	interrupt(0x14, &r);
	CHECK(r.ah & 0x60);
	r = (struct regs){.ax = 0x0300, .edx = 0};
	interrupt(0x14, &r);
	EQUAL(r.ah & 0x60, 0x60);
	r = (struct regs){.ax = 0x0158, .edx = 0}; /* send */
	interrupt(0x14, &r);
	CHECK(!(r.ah & 0x80));
	outb(0x3fb, inb(0x3fb) | 0x80);
	EQUAL(inb(0x3f8), 12); /* divisor of 9600 */
	outb(0x3fb, inb(0x3fb) & 0x7f);
}

static bool a20_open(void)
{
	u8 low = MEM8(0x500);
	MEM8(0x500) = 0x55;
	__asm__ volatile("movw $0xffff, %%ax\n\tmovw %%ax, %%fs\n\tmovb $0xaa, %%fs:0x510"
			 :
			 :
			 : "ax", "memory");
	bool open = MEM8(0x500) == 0x55;
	MEM8(0x500) = low;
	return open;
}

static void a20(void)
{
	struct regs r = {.ax = 0x2403};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
	CHECK(r.bx & 3);
	r = (struct regs){.ax = 0x2400};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	CHECK(!a20_open());
	r = (struct regs){.ax = 0x2402};
	interrupt(0x15, &r);
	EQUAL(r.al, 0);
	r = (struct regs){.ax = 0x2401};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	CHECK(a20_open());
	r = (struct regs){.ax = 0x2402};
	interrupt(0x15, &r);
	EQUAL(r.al, 1);
}

static u8 source[512], gdt87[48];

static void descriptor(u8 *d, u32 base)
{
	d[0] = d[1] = 0xff;
	d[2] = (u8)base;
	d[3] = (u8)(base >> 8);
	d[4] = (u8)(base >> 16);
	d[5] = 0x93;
	d[6] = 0;
	d[7] = (u8)(base >> 24);
}

void move_block(u32 from, u32 to, u16 words)
{
	struct regs r = {.ax = 0x8700, .cx = words, .esi = (u32)gdt87};
	for (unsigned i = 0; i < sizeof(gdt87); i++)
		gdt87[i] = 0;
	descriptor(gdt87 + 16, from);
	descriptor(gdt87 + 24, to);
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
}

static void extended_memory(void)
{
	struct regs r = {.ax = 0x8800};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	CHECK(r.ax >= 15 * 1024 && r.ax <= 65535);
	for (unsigned i = 0; i < sizeof(source); i++)
		source[i] = (u8)(i * 7 + 3);
	move_block((u32)source, 0x200000, 256);
	for (unsigned i = 0; i < sizeof(source); i++)
		source[i] = 0;
	move_block(0x200000, (u32)source, 256);
	bool same = true;
	for (unsigned i = 0; i < sizeof(source); i++)
		same &= source[i] == (u8)(i * 7 + 3);
	CHECK(same);
	r = (struct regs){.ax = 0xe801};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ax, r.cx);
	EQUAL(r.bx, r.dx);
	EQUAL(r.ax, 15 * 1024);
	CHECK(r.bx >= 0x600);
}

static void memory_map(void)
{
	static struct {
		u64 base, size;
		u32 type, pad;
	} e;
	struct regs r = {.ebx = 0};
	unsigned n = 0;
	u64 low_end = 0, high = 0;
	bool bios = false;
	do {
		r.eax = 0xe820;
		r.edx = 0x534d4150;
		r.ecx = 20;
		r.edi = (u32)&e;
		r.ds = r.es = 0;
		interrupt(0x15, &r);
		CHECK(!CF(r));
		EQUAL(r.eax, 0x534d4150);
		EQUAL(r.ecx, 20);
		if (CF(r))
			return;
		if (e.type == 1 && e.base == 0)
			low_end = e.size;
		if (e.type == 1 && e.base == 0x100000)
			high = e.size;
		if (e.type == 2 && e.base <= 0xf0000 && e.base + e.size >= 0x100000)
			bios = true;
		n++;
	} while (r.ebx && n < 32);
	CHECK(n >= 4 && n < 32);
	EQUAL(low_end, MEM16(0x413) * 1024u);
	CHECK(high >= 0x6000000);
	CHECK(bios);
	r = (struct regs){.eax = 0xe820, .ecx = 20, .edi = (u32)&e, .edx = 0};
	interrupt(0x15, &r);
	CHECK(CF(r));
}

static void configuration(void)
{
	struct regs r = {.ax = 0xc000};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
	u32 t = r.es * 16u + r.bx;
	CHECK(far8(t) >= 8);
	EQUAL(far8(t + 2), 0xfc);
	CHECK(far8(t + 5) & 0x40);
	r = (struct regs){.ax = 0xc100};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.es, MEM16(0x40e));
	r = (struct regs){.ax = 0xff00};
	interrupt(0x15, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 0x86);
}

static u32 ticks(void)
{
	return MEM32(0x46c);
}

static void waits(void)
{
	u32 start = ticks(), old = MEM32(0x1c * 4);
	struct regs r = {.ax = 0x8600, .cx = 3, .dx = 0x0d40}; /* 200 ms: 3.6 ticks */
	ticks_1c = 0;
	__asm__ volatile("cli");
	MEM32(0x1c * 4) = (u32)count_1c;
	__asm__ volatile("sti");
	interrupt(0x15, &r);
	CHECK(!CF(r));
	u32 passed = ticks() - start;
	CHECK(passed >= 3 && passed <= 5);
	CHECK(ticks_1c >= 3 && ticks_1c <= 5);
	MEM32(0x1c * 4) = old;
	/* event wait: the top bit of a byte of ours after 30 ms */
	static volatile u8 flag;
	flag = 0;
	r = (struct regs){.ax = 0x8300, .cx = 0, .dx = 30000, .ebx = (u32)&flag};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	CHECK(!(flag & 0x80));
	start = ticks();
	while (!(flag & 0x80) && ticks() - start < 6)
		__asm__ volatile("sti\n\thlt");
	EQUAL(flag, 0x80);
}

static void time_of_day(void)
{
	struct regs r = {.ax = 0x0000};
	interrupt(0x1a, &r);
	u32 now = (u32)r.cx << 16 | r.dx;
	CHECK(ticks() - now <= 1);
	EQUAL(r.al, 0);
	r = (struct regs){.ax = 0x0100, .cx = 0x0018, .dx = 0x00ae}; /* two ticks before midnight */
	interrupt(0x1a, &r);
	for (unsigned i = 0; i < 4; i++)
		__asm__ volatile("sti\n\thlt");
	r = (struct regs){.ax = 0x0000};
	while (ticks() > 0x1000)
		__asm__ volatile("sti\n\thlt");
	interrupt(0x1a, &r);
	EQUAL(r.al, 1);
	EQUAL(r.cx, 0);
	r = (struct regs){.ax = 0x0000};
	interrupt(0x1a, &r);
	EQUAL(r.al, 0);
}

static void real_time_clock(void)
{
	struct regs r = {.ax = 0x0300, .ch = 0x13, .cl = 0x37, .dh = 0x42, .dl = 0};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x0200};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.ch, 0x13);
	EQUAL(r.cl, 0x37);
	CHECK(r.dh == 0x42 || r.dh == 0x43);
	EQUAL(r.dl, 0);
	r = (struct regs){.ax = 0x0500, .ch = 0x20, .cl = 0x31, .dh = 0x12, .dl = 0x25};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x0400};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.cx, 0x2031);
	EQUAL(r.dx, 0x1225);
	r = (struct regs){.ax = 0x0600, .ch = 0x23};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x0600, .ch = 0x23};
	interrupt(0x1a, &r);
	CHECK(CF(r)); /* one is set already */
	r = (struct regs){.ax = 0x0700};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
}

static void pci(void)
{
	struct regs r = {.ax = 0xb101};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
	EQUAL(r.edx, 0x20494350);
	CHECK(r.al & 1);
	CHECK(r.bx >= 0x0200);
	r = (struct regs){.ax = 0xb102, .cx = 0x1237, .dx = 0x8086};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 0);
	r = (struct regs){.ax = 0xb102, .cx = 0x1237, .dx = 0x8086, .esi = 1};
	interrupt(0x1a, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 0x86);
	r = (struct regs){.ax = 0xb103, .ecx = 0x060100};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 8);
	r = (struct regs){.ax = 0xb10a, .bx = 8, .edi = 0};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.ecx, 0x70008086);
	r = (struct regs){.ax = 0xb109, .bx = 8, .edi = 2};
	interrupt(0x1a, &r);
	EQUAL(r.cx, 0x7000);
	r = (struct regs){.ax = 0xb108, .bx = 8, .edi = 0x0b};
	interrupt(0x1a, &r);
	EQUAL(r.cl, 0x06);
	r = (struct regs){.ax = 0xb108, .bx = 8, .edi = 0x60};
	interrupt(0x1a, &r);
	u8 routed = r.cl;
	r = (struct regs){.ax = 0xb10b, .bx = 8, .edi = 0x60, .ecx = 0x80};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xb108, .bx = 8, .edi = 0x60};
	interrupt(0x1a, &r);
	EQUAL(r.cl, 0x80);
	r = (struct regs){.ax = 0xb10b, .bx = 8, .edi = 0x60, .ecx = routed};
	interrupt(0x1a, &r);
}

static void apm(void)
{
	struct regs r = {.ax = 0x5300, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 0x504d);
	EQUAL(r.ax, 0x0102);
	r = (struct regs){.ax = 0x5301, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x5305};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x5304, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
}

/* APM from protected mode (1.2, 4.3): connect, call the entry, disconnect. */
static void apm32(void)
{
	struct regs r = {.ax = 0x5302, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ax, 0xf000);
	r = (struct regs){.ax = 0x5304, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x5303, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ax, 0xf000);
	EQUAL(r.cx, 0xf000);
	u32 entry = 0xf0000 + r.ebx;
	r = (struct regs){.ax = 0x530a, .bx = 1};
	call32(entry, &r);
	CHECK(!CF(r));
	EQUAL(r.bh, 1); /* mains */
	r = (struct regs){.ax = 0x530b};
	call32(entry, &r);
	CHECK(CF(r));
	EQUAL(r.ah, 0x80); /* no event */
	r = (struct regs){.ax = 0x5304, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
}

/* Bytes as if from the mouse: 8042 command D3h. */
static void from_mouse(u8 v)
{
	while (inb(0x64) & 2)
		;
	outb(0x64, 0xd3);
	while (inb(0x64) & 2)
		;
	outb(0x60, v);
	pause_ms(1);
}

static void mouse(void)
{
	struct regs r = {.ax = 0xc205, .bx = 0x0300};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.ah, 0);
	r = (struct regs){.ax = 0xc207, .ebx = (u32)on_mouse};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xc203, .bx = 0x0300};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xc202, .bx = 0x0500};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xc204};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.bh, 0);
	r = (struct regs){.ax = 0xc206, .bx = 0};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	EQUAL(r.cl, 3);
	EQUAL(r.dl, 100);
	r = (struct regs){.ax = 0xc200, .bx = 0x0100};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	mouse_calls = 0;
	from_mouse(0x09);
	from_mouse(5);
	from_mouse(7);
	u32 start = ticks();
	while (!mouse_calls && ticks() - start < 4)
		__asm__ volatile("sti\n\thlt");
	EQUAL(mouse_calls, 1);
	EQUAL(mouse_words[0], 0x09);
	EQUAL(mouse_words[1], 5);
	EQUAL(mouse_words[2], 7);
	r = (struct regs){.ax = 0xc200, .bx = 0x0000};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xc209};
	interrupt(0x15, &r);
	CHECK(CF(r));
}

/* Nothing but what is documented may change. */
static void registers_stay(void)
{
	struct regs r = {.eax = 0x11110200,
			 .ebx = 0x22222222,
			 .ecx = 0x33333333,
			 .edx = 0x44444444,
			 .esi = 0x55555555,
			 .edi = 0x66666666,
			 .ebp = 0x77777777,
			 .ds = 0x1111,
			 .es = 0x2222,
			 .fs = 0x3333,
			 .gs = 0x4444};
	interrupt(0x16, &r);
	EQUAL(r.ebx, 0x22222222);
	EQUAL(r.ecx, 0x33333333);
	EQUAL(r.edx, 0x44444444);
	EQUAL(r.esi, 0x55555555);
	EQUAL(r.edi, 0x66666666);
	EQUAL(r.ebp, 0x77777777);
	EQUAL(r.eax >> 16, 0x1111);
	EQUAL(r.ds, 0x1111);
	EQUAL(r.es, 0x2222);
	EQUAL(r.fs, 0x3333);
	EQUAL(r.gs, 0x4444);
	r = (struct regs){.eax = 0x00000e2e,
			  .ebx = 7,
			  .ecx = 0x33333333,
			  .edx = 0x44444444,
			  .esi = 0x55555555,
			  .edi = 0x66666666,
			  .ds = 0x1111,
			  .es = 0x2222};
	interrupt(0x10, &r);
	EQUAL(r.ecx, 0x33333333);
	EQUAL(r.edx, 0x44444444);
	EQUAL(r.esi, 0x55555555);
	EQUAL(r.edi, 0x66666666);
	EQUAL(r.ds, 0x1111);
	EQUAL(r.es, 0x2222);
}

static void video(void)
{
	struct regs r = {.ax = 0x0f00};
	interrupt(0x10, &r);
	EQUAL(r.ah, 80);
	EQUAL(r.al & 0x7f, 3);
	r = (struct regs){.ax = 0x0200, .dx = 0x0307};
	interrupt(0x10, &r);
	r = (struct regs){.ax = 0x0300};
	interrupt(0x10, &r);
	EQUAL(r.dx, 0x0307);
	r = (struct regs){.ax = 0x0e41, .bx = 7};
	interrupt(0x10, &r);
	r = (struct regs){.ax = 0x0300};
	interrupt(0x10, &r);
	EQUAL(r.dx, 0x0308);
}

void test_system(void)
{
	equipment();
	serial();
	a20();
	extended_memory();
	memory_map();
	configuration();
	waits();
	time_of_day();
	real_time_clock();
	pci();
	apm();
	apm32();
	mouse();
	video();
	registers_stay();
}
