/*
 * De-privileging and what it cannot hide: ring aliasing, ring compression, address-space compression, and how VT-x ends them.
 * The monitor keeps ring 0; its guest kernel gets ring 1 or ring 3.
 */
#include "vmx.h"

#define MON 0x50000000ul    /* the monitor's page in the guest's address space */
#define KERNEL 0x50001000ul /* the guest kernel's page */

#define SEG_CODE1 0x61 /* our descriptors: 32-bit ring 1, data with a limit */
#define SEG_DATA1 0x69
#define FENCE 0x4fffffffu /* the last byte below the monitor */

static USER uw load(uw a) { return *(volatile uw *)a; }
static USER uw store(uw a) { *(volatile uw *)a = 0xbad; return 0; }
static USER uw my_cs(uw a) { uw v = 0; ASM("mov %%cs, %0" : "=r"(v)); return v; }
static USER uw push_cs(uw a)
{
	uw v;
	ASM("pushfq; popq %0" : "=r"(v)); /* flags and CS lie on the stack of every interrupt, too */
	return v;
}
static USER uw my_idt(uw a)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) t;
	ASM("sidt %0" : "=m"(t));
	return t.base;
}

static volatile uw *monitor_page, *kernel_page;

static void attempt(const char *name, unsigned ring, uw (*fn)(uw), uw arg)
{
	monitor_page[0] = 0x5ec7e7;
	kernel_page[0] = 0x6e61;
	phase(name);
	in_ring(ring, fn, arg);
	phase_end();
	say("%s: ring %u: %s\n", name, (uw)ring, vector_name(last.vector));
	obs("vector", (uw)last.vector & 0xff);
	obs("value", last.value);
	obs("whole", monitor_page[0] == 0x5ec7e7);
	obs("kernel_whole", kernel_page[0] == 0x6e61);
}

/* The kernel's page as the monitor maps it for a guest kernel in ring @ring. */
static void map_for(unsigned ring)
{
	map(lab_pml4, MON, (uw)monitor_page, PG_P | PG_W); /* supervisor: rings 0, 1 and 2 */
	map(lab_pml4, KERNEL, (uw)kernel_page, PG_P | PG_W | (ring == 3 ? PG_U : 0));
}

/* ---- 32-bit ring 1 behind a segment limit (compatibility mode) ---- */

extern u8 fenced[], fenced_end[];
ASM_TOP(".code32\n"
	"fenced:\n" /* EAX: the address */
	"	movl $0xbad, (%eax)\n"
	"	int $0x80\n"
	"fenced_end:\n"
	".code64\n");

static u64 segment(unsigned type, unsigned dpl, u32 limit)
{
	u32 pages = limit >> 12;
	return (pages & 0xffff) | (u64)(pages >> 16 & 15) << 48 | (u64)(type | 0x90 | dpl << 5) << 40 | 0xc0ull << 48;
}

static void attempt_fenced(const char *name, uw address)
{
	u8 *code = (u8 *)0x8000; /* below 64 KiB, a page of the guest's */

	memcpy(code, fenced, (uw)(fenced_end - fenced));
	*pte_of(lab_pml4, 0x8000) |= PG_U;
	invlpg(0x8000);
	lab_gdt[SEG_CODE1 / 8] = segment(0xa, 1, 0xffffffff);
	lab_gdt[SEG_DATA1 / 8] = segment(2, 1, FENCE);
	monitor_page[0] = 0x5ec7e7;
	kernel_page[0] = 0x6e61;
	phase(name);
	run_at(SEG_CODE1, SEG_DATA1, 0x8000, 0x9000, 2, address);
	phase_end();
	say("%s: ring 1 behind a limit: %s\n", name, vector_name(last.vector));
	obs("vector", (uw)last.vector & 0xff);
	obs("whole", monitor_page[0] == 0x5ec7e7);
}

/* ---- VT-x: all four rings and the whole address space are the guest's ---- */

static struct vm vm;
static USER_DATA volatile uw seen_cs, seen_value;
static USER void guest_code(void)
{
	seen_cs = my_cs(0);
	*(volatile uw *)MON = 0x1234; /* just another address */
	seen_value = *(volatile uw *)MON;
	ASM("vmcall");
}

static void under_vtx(void)
{
	extern u8 user_start[], user_end[];
	u64 *tables = page_alloc();

	for (uw a = (uw)user_start; a < (uw)user_end; a += 4096)
		map(tables, a, a, PG_P | PG_W);
	map(tables, MON, (uw)page_alloc(), PG_P | PG_W); /* the guest's own memory */
	if (vmx_on()) {
		say("no VT-x\n");
		lab_exit(1);
	}
	vm_init(&vm, guest_code, ring_stack(3) - 8, (uw)tables);
	monitor_page[0] = 0x5ec7e7;
	phase("vtx");
	unsigned reason = vm_run(&vm);
	phase_end();
	obs("reason", reason);
	obs("ring", seen_cs & 3);
	obs("value", seen_value);
	obs("whole", monitor_page[0] == 0x5ec7e7);
	vmx_off();
	lab_reload_tr();
}

void lab_main(void)
{
	monitor_page = page_alloc();
	kernel_page = page_alloc();

	/* Ring aliasing: which ring does the guest kernel find itself in? */
	map_for(1);
	attempt("alias1", 1, my_cs, 0);
	obs("ring", last.value & 3);
	attempt("alias3", 3, my_cs, 0);
	obs("ring", last.value & 3);
	attempt("flags3", 3, push_cs, 0);
	obs("iopl", last.value >> 12 & 3);

	/* Ring compression: what still separates monitor, guest kernel and guest program? */
	attempt("kernel1_monitor", 1, store, MON);	  /* guest kernel in ring 1 against the monitor */
	attempt("program3_kernel1", 3, load, KERNEL); /* guest program against a kernel in ring 1 */
	map_for(3);
	attempt("kernel3_monitor", 3, store, MON);	   /* guest kernel in ring 3 against the monitor */
	attempt("program3_kernel3", 3, store, KERNEL); /* guest program against a kernel in ring 3 */
	show("map");
	/* The way out of 64-bit monitors: other page tables for the program than for the kernel. */
	map(lab_pml4, KERNEL, 0, 0);
	attempt("program3_unmapped", 3, load, KERNEL);
	map_for(1);
	attempt_fenced("fence_monitor", MON);
	attempt_fenced("fence_below", 0x8800);

	/* Address-space compression: the monitor must live somewhere. */
	attempt("hole", 3, load, MON);
	attempt("idt", 3, my_idt, 0);
	uw idt = last.value;
	obs("found", idt != 0);
	attempt("idt_read", 3, load, idt);
	under_vtx();
}
