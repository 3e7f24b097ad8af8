/* The interrupt flag and code that is not trusted with it: POPF, CLI, IOPL, PVI, virtual-8086 mode with and without VME. */
#include "lab.h"

#define IF 0x200ul
#define IOPL3 0x3000ul
#define VM 0x20000ul
#define VIF 0x80000ul
#define VIP 0x100000ul
#define CR4_VME 1ul
#define CR4_PVI 2ul
#define SPIN 200000

static volatile uw ticks, found;

/* The monitor's clock: an interrupt every 100 microseconds. */
static int tick(struct trap *t)
{
	if (t->vector != 32)
		return 0;
	ticks++;
	outb(0x20, 0x20);
	return 1;
}

static void clock_init(void)
{
	static const u8 init[][2] = {{0x20, 0x11}, {0xa0, 0x11}, {0x21, 32}, {0xa1, 40}, {0x21, 4}, {0xa1, 2}, {0x21, 1}, {0xa1, 1}, {0x21, 0xfe}, {0xa1, 0xff}};

	for (unsigned i = 0; i < sizeof(init) / 2; i++)
		outb(init[i][0], init[i][1]);
	outb(0x43, 0x34);
	outb(0x40, 119);
	outb(0x40, 0);
	lab_hook = tick;
}

static inline void spin(void)
{
	for (volatile uw i = 0; i < SPIN; i++)
		;
}

static USER uw just_spin(uw a) { spin(); return get_flags(); }
static USER uw popf_off(uw a)
{
	ASM("pushfl; andl $~0x200, (%%esp); popfl" : : : "cc", "memory");
	found = get_flags();
	spin();
	return found;
}
static USER uw cli(uw a)
{
	ASM("cli");
	found = get_flags();
	spin();
	return found;
}
static USER uw sti(uw a) { ASM("sti"); return get_flags(); }
static USER uw cli_popf(uw a)
{
	ASM("cli; pushfl; orl $0x200, (%%esp); popfl" : : : "cc", "memory");
	return 0;
}

static void attempt(const char *name, uw (*fn)(uw), uw flags)
{
	ticks = 0;
	found = 0;
	phase(name);
	run_at(CODE3, DATA3, (uw)fn, ring_stack(3), flags | 2, 0);
	phase_end();
	say("%s: %s, %u ticks, IF %u as seen inside\n", name, vector_name(last.vector), ticks, found >> 9 & 1);
	obs("vector", (uw)last.vector & 0xff);
	obs("ticks", ticks);
	obs("clock_alive", ticks > 0);
	obs("if_seen", found >> 9 & 1);
	obs("iopl_seen", found >> 12 & 3);
	obs("if_real", last.flags >> 9 & 1);
	obs("vif", last.flags >> 19 & 1);
}

/* ---- virtual-8086 mode: 16-bit code at 8000h; UD2 is its end ---- */

extern u8 v86_code[], v86_code_end[], v86_popf[];
ASM_TOP(".code16\n"
	"v86_code:\n"
	"	cli\n"
	"	pushf\n"
	"	popw 0x100\n" /* what it sees */
	"	movl $200000, %ecx\n"
	"1:	decl %ecx\n"
	"	jnz 1b\n"
	"	ud2\n"
	"v86_popf:\n"
	"	cli\n"
	"	pushw $0x202\n"
	"	popfw\n"
	"	pushf\n"
	"	popw 0x100\n"
	"	ud2\n"
	"v86_code_end:\n"
	".code32\n");

static uw enter_v86(uw flags)
{
	ASM("pushl $0; pushl $0; pushl $0x900; pushl $0; pushl $0x900; pushl $0x800\n" /* GS FS DS ES SS ESP */
	    "pushl %0; pushl $0x800; pushl %1; iretl"
	    :
	    : "r"(flags), "r"(found));
	return 0;
}

static void attempt_v86(const char *name, u8 *start, uw flags)
{
	memcpy((void *)0x8000, v86_code, (uw)(v86_code_end - v86_code));
	*(volatile u16 *)0x9100 = 0;
	ticks = 0;
	found = (uw)(start - v86_code);
	phase(name);
	run_at(CODE0, DATA0, (uw)enter_v86, ring_stack(0), 2, flags | VM | 2);
	phase_end();
	uw seen = *(volatile u16 *)0x9100;
	say("%s: %s, %u ticks, IF %u as seen inside\n", name, last.vector == 6 ? "no fault" : vector_name(last.vector), ticks, seen >> 9 & 1);
	obs("vector", last.vector == 6 ? 255 : (uw)last.vector);
	obs("ticks", ticks);
	obs("clock_alive", ticks > 0);
	obs("if_seen", seen >> 9 & 1);
	obs("iopl_seen", seen >> 12 & 3);
	obs("if_real", last.flags >> 9 & 1);
	obs("vif", last.flags >> 19 & 1);
}

void lab_main(void)
{
	clock_init();
	attempt("spin", just_spin, IF);
	attempt("popf", popf_off, IF);
	attempt("cli", cli, IF);
	attempt("cli_iopl3", cli, IF | IOPL3);
	set_cr4(get_cr4() | CR4_PVI);
	attempt("pvi_cli", cli, IF | VIF);
	attempt("pvi_sti", sti, IF);
	attempt("pvi_sti_pending", sti, IF | VIP);
	attempt("pvi_popf", cli_popf, IF | VIF);
	set_cr4(get_cr4() & ~CR4_PVI);
	attempt_v86("v86_cli", v86_code, IF);
	attempt_v86("v86_iopl3", v86_code, IF | IOPL3);
	set_cr4(get_cr4() | CR4_VME);
	attempt_v86("vme_cli", v86_code, IF | VIF);
	attempt_v86("vme_popf", v86_popf, IF | VIF);
	set_cr4(get_cr4() & ~CR4_VME);
}
