/* The services that programs use, once more from virtual-8086 mode. */
#define FILE_LETTER 'V'
#include "tests/bios/guest/guest.h"

void run_v86(void (*fn)(void));
extern u32 v86_faults, v86_fault_ip, v86_fault_cs;

static u8 buffer[1024] __attribute__((aligned(16)));
static u8 packet[16] __attribute__((aligned(4)));
static bool finished;

static void read_disk(void)
{
	struct regs r = {.ax = 0x4200, .dx = 0x80, .esi = (u32)packet};
	*(u32 *)packet = 16 | 2u << 16;
	*(u32 *)(packet + 4) = (u32)buffer;
	*(u32 *)(packet + 8) = 3000;
	*(u32 *)(packet + 12) = 0;
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(*(u32 *)buffer, 3000);
	EQUAL(*(u32 *)(buffer + 512), 3001);
	r = (struct regs){.ax = 0x0201, .cx = 1, .dx = 0x80, .ebx = (u32)buffer};
	interrupt(0x13, &r);
	CHECK(!CF(r));
	EQUAL(*(u16 *)(buffer + 510), 0xaa55);
}

static void services(void)
{
	struct regs r = {.ax = 0x0e56, .bx = 7};
	interrupt(0x10, &r);
	read_disk();
	r = (struct regs){.ax = 0x0500, .cx = 0x1e61};
	interrupt(0x16, &r);
	r = (struct regs){.ax = 0x0100};
	interrupt(0x16, &r);
	CHECK(!ZF(r));
	r = (struct regs){.ax = 0x0000};
	interrupt(0x16, &r);
	EQUAL(r.ax, 0x1e61);
	r = (struct regs){.ax = 0x0100};
	interrupt(0x16, &r);
	CHECK(ZF(r));
	r = (struct regs){.ax = 0x8800};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xc000};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x8600, .cx = 0, .dx = 3000};
	interrupt(0x15, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x0000};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0x0200};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	r = (struct regs){.ax = 0xb102, .cx = 0x7000, .dx = 0x8086};
	interrupt(0x1a, &r);
	CHECK(!CF(r));
	EQUAL(r.bx, 8);
	finished = true;
}

/* A processor with CPUID (EFLAGS.ID can be changed) whose leaf 1 has one of @features in EDX. */
bool has_cpu_feature(u32 features)
{
	u32 before, after, a = 1, d;
	__asm__ volatile("pushfl\n\tpopl %0\n\tmovl %0, %1\n\txorl $0x200000, %1\n\tpushl %1\n\tpopfl\n\tpushfl\n\tpopl %1"
			 : "=&r"(before), "=&r"(after));
	if (before == after)
		return false;
	__asm__ volatile("cpuid" : "+a"(a), "=d"(d) : : "ebx", "ecx");
	return d & features;
}

void test_v86(void)
{
	u8 master = inb(0x21), slave = inb(0xa1);
	outb(0x21, 0xff); /* the monitor passes no interrupts of chips on */
	outb(0xa1, 0xff);
	v86_faults = 0;
	finished = false;
	run_v86(services);
	outb(0x21, master);
	outb(0xa1, slave);
	__asm__ volatile("sti");
	EQUAL(v86_faults, 0);
	EQUAL(v86_fault_cs << 16 | v86_fault_ip, 0);
	CHECK(finished);
}
