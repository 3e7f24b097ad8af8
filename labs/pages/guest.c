/* Page protection: U/S, R/W, NX, CR0.WP, SMEP, SMAP, protection keys; one access each. SDM Vol. 3A, 4.6 and 4.7. */
#include "lab.h"

#define VA 0x40000000ul /* the page under test, at 1 GiB */
#define CR0_WP (1ul << 16)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)
#define CR4_PKE (1ul << 22)

static USER uw user_read(uw a) { return *(volatile u8 *)a; }
static USER uw user_write(uw a) { *(volatile u8 *)a = 1; return 0; }
static USER uw user_execute(uw a) { ((void (*)(void))a)(); return 0; }
static uw read(uw a) { return *(volatile u8 *)a; }
static uw write(uw a) { *(volatile u8 *)a = 1; return 0; }
static uw execute(uw a) { ((void (*)(void))a)(); return 0; }
static uw read_stac(uw a)
{
	ASM("stac");
	uw v = *(volatile u8 *)a;
	ASM("clac");
	return v;
}

static uw frame;

static void wrpkru(u32 v)
{
	ASM("wrpkru" : : "a"(v), "c"(0), "d"(0) : "memory");
}

static void attempt(const char *name, unsigned ring, uw (*fn)(uw), u64 flags)
{
	map(lab_pml4, VA, frame, flags);
	phase(name);
	in_ring(ring, fn, VA);
	phase_end();
	u64 pte = *pte_of(lab_pml4, VA);
	say("%s: ring %u: %s", name, (uw)ring, vector_name(last.vector));
	if (last.vector == 14)
		say(", error code %x, CR2 %x", (uw)last.error, last.cr2);
	say("\n");
	obs("vector", (uw)last.vector & 0xff);
	obs("error", last.error);
	obs("accessed", !!(pte & PG_A));
	obs("dirty", !!(pte & PG_D));
}

static void user_rights(void)
{
	attempt("absent", 3, user_read, 0);
	attempt("user_read", 3, user_read, PG_P | PG_U);
	walk(VA);
	attempt("user_supervisor", 3, user_read, PG_P | PG_W);
	attempt("user_readonly", 3, user_write, PG_P | PG_U);
	attempt("user_write", 3, user_write, PG_P | PG_U | PG_W);
	attempt("user_nx", 3, user_execute, PG_P | PG_U | PG_NX);
	*(u8 *)frame = 0xc3;
	attempt("user_execute", 3, user_execute, PG_P | PG_U);
	attempt("reserved", 3, user_read, PG_P | PG_U | 1ull << 51);
}

static void write_protect(void)
{
	set_cr0(get_cr0() & ~CR0_WP);
	attempt("wp0", 0, write, PG_P);
	set_cr0(get_cr0() | CR0_WP);
	attempt("wp1", 0, write, PG_P);
}

static void supervisor_mode(void)
{
	attempt("smep0", 0, execute, PG_P | PG_U);
	set_cr4(get_cr4() | CR4_SMEP);
	attempt("smep1", 0, execute, PG_P | PG_U);
	set_cr4(get_cr4() & ~CR4_SMEP);
	attempt("smap0", 0, read, PG_P | PG_U);
	set_cr4(get_cr4() | CR4_SMAP);
	attempt("smap1", 0, read, PG_P | PG_U);
	attempt("smap1_stac", 0, read_stac, PG_P | PG_U);
	set_cr4(get_cr4() & ~CR4_SMAP);
}

static void keys(void)
{
	set_cr4(get_cr4() | CR4_PKE);
	wrpkru(1 << 2); /* key 1: access disabled */
	attempt("key_access", 3, user_read, PG_P | PG_U | PG_W | PG_KEY(1));
	attempt("key_other", 3, user_read, PG_P | PG_U | PG_W | PG_KEY(2));
	attempt("key_ring0", 0, read, PG_P | PG_U | PG_W | PG_KEY(1));
	attempt("key_supervisor", 0, read, PG_P | PG_W | PG_KEY(1));
	attempt("key_execute", 3, user_execute, PG_P | PG_U | PG_KEY(1));
	wrpkru(2 << 2); /* key 1: writes disabled */
	attempt("key_write", 3, user_write, PG_P | PG_U | PG_W | PG_KEY(1));
	attempt("key_write_read", 3, user_read, PG_P | PG_U | PG_W | PG_KEY(1));
	wrpkru(0);
	set_cr4(get_cr4() & ~CR4_PKE);
}

void lab_main(void)
{
	u8 *page = page_alloc();

	page[0] = 0xc3; /* RET */
	frame = (uw)page;
	map(lab_pml4, VA, frame, PG_P); /* the tables down to it */
	user_rights();
	page[0] = 0xc3;
	write_protect();
	page[0] = 0xc3;
	supervisor_mode();
	keys();
	show("map");
}
