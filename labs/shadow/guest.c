/*
 * Three ways to give a guest virtual memory, under the same load: shadow page tables, direct page tables that the monitor
 * validates, and EPT. All three under VT-x with a VPID; SDM Vol. 3C, 28 and 33.3 (virtual TLB).
 */
#include "vmx.h"

#define MEM 0x1000000ul /* the guest's memory, one to one: 4 MiB */
#define MEM_END 0x1400000ul
#define FRAMES ((MEM_END - MEM) / 4096)
#define VA 0x40000000ul
#define PAGES 64
#define FRAME(e) ((e) & 0x000ffffffffff000ul)

enum mode { SHADOW, DIRECT, EPT };
enum { CALL_UPDATE = 1, CALL_CR3, CALL_PIN, CALL_DONE };

struct update {
	u64 *pte;
	u64 value;
};

/* ---- the guest: everything in pages that it can see -------------------------------------------- */

static USER_DATA enum mode mode;
static USER_DATA uw next_frame, cr3_a, cr3_b, guest_faults;
static USER_DATA struct update queue[PAGES];
static USER_DATA uw queued;
static USER_DATA u64 guest_gdt[4] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0};
static USER_DATA u64 guest_idt[32];

INLINE uw vmcall(uw n, uw a, uw b)
{
	ASM("vmcall" : "+a"(n) : "D"(a), "S"(b) : "memory");
	return n;
}

static USER void flush_updates(void)
{
	if (queued)
		vmcall(CALL_UPDATE, (uw)queue, queued);
	queued = 0;
}

/* The one place that knows who owns the page tables. */
static USER void set_pte(volatile u64 *pte, u64 value)
{
	if (mode != DIRECT) {
		*pte = value;
		return;
	}
	queue[queued].pte = (u64 *)pte;
	queue[queued++].value = value;
	if (queued == PAGES)
		flush_updates();
}

static USER void guest_cr3(uw v)
{
	if (mode == DIRECT) {
		flush_updates();
		vmcall(CALL_CR3, v, 0);
	} else {
		set_cr3(v);
	}
}

static USER uw new_frame(void)
{
	uw f = next_frame;
	next_frame += 4096;
	for (volatile u64 *p = (u64 *)f; p < (u64 *)(f + 4096); p++)
		*p = 0;
	return f;
}

static USER uw new_table(unsigned level)
{
	uw f = new_frame();
	if (mode == DIRECT)
		vmcall(CALL_PIN, f, level);
	return f;
}

/* The table entry for @va in the tables at @root, whose upper levels exist or are made. */
static USER volatile u64 *guest_pte(uw root, uw va)
{
	volatile u64 *t = (u64 *)root;

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		volatile u64 *e = &t[va >> shift & 511];
		if (!(*e & PG_P)) {
			set_pte(e, new_table((shift - 12) / 9) | PG_P | PG_W);
			if (mode == DIRECT)
				flush_updates();
		}
		t = (u64 *)FRAME(*e);
	}
	return &t[va >> 12 & 511];
}

/* #PF of the guest: a write to a page that is shared after fork gets a copy. */
USER void guest_page_fault(void)
{
	uw va = get_cr2() & ~0xffful, root = FRAME(get_cr3());
	volatile u64 *pte = guest_pte(root, va);
	volatile u64 *from = (u64 *)va, *to = (u64 *)new_frame();

	guest_faults++;
	for (unsigned i = 0; i < 512; i++)
		to[i] = from[i];
	set_pte(pte, (uw)to | PG_P | PG_W);
	if (mode == DIRECT)
		flush_updates(); /* the monitor drops the translation */
	else
		invlpg(va);
}

void guest_pf_entry(void);
__asm__(".pushsection .user, \"ax\"\n"
	"guest_pf_entry:\n"
	".irp r, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx, rbp\n pushq %\\r\n .endr\n"
	"	call guest_page_fault\n"
	".irp r, rbp, rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax\n popq %\\r\n .endr\n"
	"	addq $8, %rsp\n"
	"	iretq\n"
	".popsection\n");

static USER void tell(const volatile char *s)
{
	while (*s)
		outb(0xe9, (u8)*s++);
}
static USER_DATA char walk_line[] = "@walk 0x40000000\n";

/* mmap: 64 pages come, are written to, and go; four times. */
static USER void load_mmap(void)
{
	for (unsigned round = 0; round < 4; round++) {
		for (uw i = 0; i < PAGES; i++)
			set_pte(guest_pte(cr3_a, VA + i * 4096), (MEM + 0x300000 + i * 4096) | PG_P | PG_W);
		if (mode == DIRECT)
			flush_updates();
		for (uw i = 0; i < PAGES; i++)
			*(volatile u8 *)(VA + i * 4096) = 1;
		for (uw i = 0; i < PAGES; i++) {
			set_pte(guest_pte(cr3_a, VA + i * 4096), 0);
			if (mode != DIRECT)
				invlpg(VA + i * 4096);
		}
		if (mode == DIRECT)
			flush_updates();
	}
}

/* fork: the child gets copies of the tables, everything read-only; then each writes to 16 pages. */
static USER void load_fork(void)
{
	volatile u64 *top_a = (u64 *)cr3_a, *top_b;

	for (uw i = 0; i < PAGES; i++)
		set_pte(guest_pte(cr3_a, VA + i * 4096), (MEM + 0x300000 + i * 4096) | PG_P | PG_W);
	if (mode == DIRECT)
		flush_updates();
	cr3_b = new_table(4);
	top_b = (u64 *)cr3_b;
	/* The kernel's part (the first GiB) is shared; the rest is copied. */
	uw pdpt = new_table(3);
	set_pte(&((volatile u64 *)pdpt)[0], ((volatile u64 *)FRAME(top_a[0]))[0]);
	set_pte(&top_b[0], pdpt | PG_P | PG_W);
	if (mode == DIRECT)
		flush_updates();
	for (uw i = 0; i < PAGES; i++) {
		volatile u64 *a = guest_pte(cr3_a, VA + i * 4096), *b = guest_pte(cr3_b, VA + i * 4096);
		u64 e = *a & ~PG_W;
		set_pte(a, e);
		set_pte(b, e);
	}
	guest_cr3(cr3_a); /* drops what was writable */
	guest_cr3(cr3_b);
	for (uw i = 0; i < 16; i++)
		*(volatile u8 *)(VA + i * 4096) = 2;
	guest_cr3(cr3_a);
	for (uw i = 8; i < 24; i++)
		*(volatile u8 *)(VA + i * 4096) = 3;
}

/* Two processes take turns. */
static USER void load_switch(void)
{
	for (unsigned n = 0; n < 50; n++) {
		guest_cr3(n & 1 ? cr3_a : cr3_b);
		for (uw i = 0; i < 8; i++)
			(void)*(volatile u8 *)(VA + i * 4096);
	}
}

/* A cold walk, to be looked at. */
static USER void load_walk(void)
{
	guest_cr3(cr3_a);
	(void)*(volatile u8 *)VA;
	tell(walk_line);
}

/* The monitor's memory, mapped by the guest. */
static USER_DATA uw target;
static USER void load_attack(void)
{
	set_pte(guest_pte(cr3_a, VA + 0x100000), FRAME(target) | PG_P | PG_W);
	if (mode == DIRECT)
		flush_updates();
	*(volatile uw *)(VA + 0x100000 + (target & 4095)) = 0xbad;
}

/* A page table, mapped to be written to: under direct tables that would end all validation. */
static USER void load_alias(void)
{
	uw table = FRAME((uw)guest_pte(cr3_a, VA));
	set_pte(guest_pte(cr3_a, VA + 0x101000), table | PG_P | PG_W);
	if (mode == DIRECT)
		flush_updates();
	*(volatile u64 *)(VA + 0x101000 + 256 * 8) = 0;
}

static USER_DATA void (*task)(void);
static USER void guest_entry(void)
{
	for (;;) {
		task();
		vmcall(CALL_DONE, 0, 0);
	}
}

/* ---- the monitor ------------------------------------------------------------------------------- */

static struct vm vm;
static uw guest_cr3_value; /* what the guest believes */
static u64 eptp;
static u8 table_level[FRAMES]; /* 1: page table ... 4: PML4; 0: none */
static uw secret[8] __attribute__((aligned(4096)));
static int refused;
extern u8 user_start[], user_end[];

static u8 shadow_pool[64][4096] __attribute__((aligned(4096)));
static unsigned shadow_used;

/* May the guest have this frame at all? Its memory, and the pages its program lies in. */
static int allowed(uw frame)
{
	return (frame >= MEM && frame < MEM_END) || (frame >= (uw)user_start && frame < (uw)user_end);
}

static void invvpid(unsigned type, uw address)
{
	struct {
		u64 vpid, address;
	} d = {1, address};
	ASM("invvpid %1, %0" : : "r"((u64)type), "m"(d) : "cc", "memory");
}

/* ---- shadow tables: what the processor walks is the monitor's; filled as faults ask for it ---- */

static u64 *shadow_page(void)
{
	if (shadow_used == 64)
		lab_exit(96);
	return memset(shadow_pool[shadow_used++], 0, 4096);
}

static void shadow_drop(void)
{
	shadow_used = 0;
	vmwrite(V_GUEST_CR3, (uw)shadow_page());
	invvpid(1, 0);
}

static u64 *shadow_pte(uw va, int make)
{
	u64 *t = (u64 *)shadow_pool[0];

	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *e = &t[va >> shift & 511];
		if (!*e && !make)
			return 0;
		if (!*e)
			*e = (uw)shadow_page() | PG_P | PG_W | PG_U;
		t = (u64 *)FRAME(*e);
	}
	return &t[va >> 12 & 511];
}

/* The guest's own entry, walked as the processor would; NULL: not present. Never outside the guest's memory. */
static u64 *walk_guest(uw va, u64 *rights)
{
	uw table = guest_cr3_value;

	*rights = PG_W;
	for (unsigned shift = 39;; shift -= 9) {
		if (!allowed(table))
			return 0;
		u64 *e = &((u64 *)table)[va >> shift & 511];
		if (!(*e & PG_P))
			return 0;
		*rights &= *e;
		*e |= PG_A;
		if (shift == 12)
			return e;
		table = FRAME(*e);
	}
}

static int shadow_fault(void)
{
	uw va = vmread(V_QUAL);
	u32 error = (u32)vmread(V_INTR_ERROR);
	u64 rights, *e = walk_guest(va, &rights);

	if (!e || ((error & 2) && !(rights & PG_W))) { /* the guest's own affair */
		set_cr2(va);
		vm_inject(14, 1, (error & ~1u) | !!e);
		return 1;
	}
	if (!allowed(FRAME(*e))) {
		refused = 1;
		return 0;
	}
	if (error & 2)
		*e |= PG_D;
	*shadow_pte(va, 1) = FRAME(*e) | PG_P | ((rights & PG_W) && (*e & PG_D) ? PG_W : 0); /* D is still to be seen */
	invvpid(0, va);
	return 1;
}

static int shadow_exit(unsigned reason)
{
	u64 qual = vmread(V_QUAL), *regs[16] = {&vm.ax, &vm.cx, &vm.dx, &vm.bx, 0, &vm.bp, &vm.si, &vm.di, &vm.r8, &vm.r9, &vm.r10, &vm.r11,
						&vm.r12, &vm.r13, &vm.r14, &vm.r15};
	u64 *reg = regs[qual >> 8 & 15], *pte;

	if (reason == X_EXCEPTION)
		return shadow_fault();
	if (reason == X_INVLPG) {
		if ((pte = shadow_pte(qual, 0)))
			*pte = 0;
		invvpid(0, qual);
	} else if (reason == X_CR && (qual & 15) == 3 && reg) {
		if (qual >> 4 & 3) {
			*reg = guest_cr3_value;
		} else {
			guest_cr3_value = FRAME(*reg);
			shadow_drop();
		}
	} else {
		return 0;
	}
	vm_skip();
	return 1;
}

/* ---- direct tables: the guest's own, read-only to it; every change is asked for and looked at ---- */

static unsigned table_at(uw frame)
{
	return frame >= MEM && frame < MEM_END ? table_level[(frame - MEM) / 4096] : 0;
}

/* The entry by which the guest sees @frame in its one-to-one map. */
static u64 *own_view(uw frame)
{
	return pte_of((u64 *)cr3_a, frame);
}

/* Could the guest write to @frame by another way than its own view? */
static int written_elsewhere(uw frame)
{
	for (uw f = 0; f < FRAMES; f++) {
		u64 *t = (u64 *)(MEM + f * 4096);
		for (unsigned i = 0; table_level[f] == 1 && i < 512; i++)
			if ((t[i] & (PG_P | PG_W)) == (PG_P | PG_W) && FRAME(t[i]) == frame && &t[i] != own_view(frame))
				return 1;
	}
	return 0;
}

static int pin(uw frame, uw level)
{
	if (frame & 4095 || frame < MEM || frame >= MEM_END || !level || level > 4 || table_at(frame) || written_elsewhere(frame))
		return 0;
	for (unsigned i = 0; i < 512; i++)
		if (((u64 *)frame)[i])
			return 0; /* a new table is empty */
	table_level[(frame - MEM) / 4096] = (u8)level;
	*own_view(frame) &= ~PG_W;
	invvpid(0, frame);
	return 1;
}

static int update(const struct update *u)
{
	uw to = FRAME(u->value);
	unsigned level = table_at(FRAME((uw)u->pte));

	if (!level || ((uw)u->pte & 7))
		return 0;
	if (u->value & PG_P) {
		if (!allowed(to) || (u->value & PG_PS))
			return 0;
		if (level > 1 ? table_at(to) != level - 1 : table_at(to) && (u->value & PG_W))
			return 0; /* upper entries lead to the next level; a table may be seen, never written to */
	}
	*u->pte = u->value;
	return 1;
}

static int direct_call(void)
{
	const struct update *list = (const struct update *)vm.di;

	switch (vm.ax) {
	case CALL_UPDATE:
		if (!allowed(FRAME((uw)list)) || vm.si > PAGES)
			return 0;
		for (uw i = 0; i < vm.si; i++)
			if (!update(&list[i])) {
				refused = 1;
				return 0;
			}
		invvpid(1, 0);
		return 1;
	case CALL_CR3:
		if (table_at(vm.di) != 4)
			return 0;
		vmwrite(V_GUEST_CR3, vm.di);
		invvpid(1, 0);
		return 1;
	case CALL_PIN: return pin(vm.di, vm.si);
	}
	return 0;
}

/* ---- EPT: the guest's tables are its own business ---- */

static int ept_violation(void)
{
	uw gpa = FRAME(vmread(V_GPA));
	u64 *t = (u64 *)FRAME(eptp);

	if (!allowed(gpa)) {
		refused = 1;
		return 0;
	}
	for (unsigned shift = 39; shift > 12; shift -= 9) {
		u64 *e = &t[gpa >> shift & 511];
		if (!*e)
			*e = (uw)page_alloc() | 7;
		t = (u64 *)FRAME(*e);
	}
	t[gpa >> 12 & 511] = gpa | 0x37;
	return 1;
}

/* ---- setting up and running ---- */

static void build_guest_tables(void)
{
	/* As a boot loader would: the guest's memory and program, one to one. Tables are the guest's frames. */
	uw root;

	memset(table_level, 0, sizeof(table_level));
	next_frame = MEM;
	mode = EPT; /* plain stores */
	root = new_frame();
	for (uw a = MEM; a < MEM_END; a += 4096)
		*guest_pte(root, a) = a | PG_P | PG_W;
	for (uw a = (uw)user_start; a < (uw)user_end; a += 4096)
		*guest_pte(root, a) = a | PG_P | PG_W;
	cr3_a = root;
}

static void level_of(uw table, unsigned level)
{
	table_level[(table - MEM) / 4096] = (u8)level;
	for (unsigned i = 0; level > 1 && i < 512; i++)
		if (((u64 *)table)[i] & PG_P)
			level_of(FRAME(((u64 *)table)[i]), level - 1);
}

static void prepare(enum mode m)
{
	static const u32 proc[] = {PROC_CR3_LOAD | PROC_CR3_STORE | PROC_INVLPG, 0, 0};
	static const u32 proc2[] = {PROC2_VPID, PROC2_VPID, PROC2_VPID | PROC2_EPT};

	build_guest_tables();
	vm_init(&vm, guest_entry, ring_stack(3) - 8, cr3_a);
	vmwrite(V_PROC, VMX_PROC(PROC_HLT | PROC_MSR_BITMAPS | PROC_SECONDARY | proc[m]));
	vmwrite(V_PROC2, VMX_PROC2(proc2[m]));
	vmwrite(V_VPID, 1);
	vmwrite(V_EXCEPTIONS, m == SHADOW ? 1u << 14 : 0);
	vmwrite(V_GUEST_GDTR_BASE, (uw)guest_gdt);
	vmwrite(V_GUEST_GDTR_LIMIT, sizeof(guest_gdt) - 1);
	vmwrite(V_GUEST_IDTR_BASE, (uw)guest_idt);
	vmwrite(V_GUEST_IDTR_LIMIT, sizeof(guest_idt) - 1);
	vmwrite(V_GUEST_CR0, get_cr0() | 0x10000);
	guest_idt[28] = ((uw)guest_pf_entry & 0xffff) | CODE0 << 16 | 0x8eull << 40 | ((uw)guest_pf_entry >> 16 & 0xffff) << 48;
	guest_cr3_value = cr3_a;
	guest_faults = 0;
	queued = 0;
	refused = 0;
	mode = m;
	if (m == SHADOW)
		shadow_drop();
	if (m == EPT) {
		eptp = (u64)page_alloc() | 6 | 3 << 3;
		vmwrite(V_EPTP, eptp);
	}
	if (m == DIRECT) { /* the tables that exist: pinned, and read-only to the guest */
		level_of(cr3_a, 4);
		for (uw f = MEM; f < next_frame; f += 4096)
			*own_view(f) &= ~PG_W;
		invvpid(1, 0);
	}
}

/* Until the guest's task is done; false: the guest was stopped. */
static int run_task(void (*fn)(void))
{
	unsigned reason;
	int ok;

	task = fn;
	for (;;) {
		reason = vm_run(&vm);
		if (reason == X_VMCALL) {
			if (vm.ax == CALL_DONE) {
				vm_skip();
				return 1;
			}
			ok = mode == DIRECT && direct_call();
			vm_skip();
		} else if (mode == SHADOW) {
			ok = shadow_exit(reason);
		} else {
			ok = mode == EPT && reason == X_EPT && ept_violation();
		}
		if (!ok)
			break;
	}
	if (!refused)
		say("stopped at exit %u, rip %x, qualification %x\n", (uw)reason, (uw)vmread(V_GUEST_RIP), (uw)vmread(V_QUAL));
	return 0;
}

static void run_load(const char *name, const char *what, void (*fn)(void))
{
	char buf[32], *p = buf;

	while (*name)
		*p++ = *name++;
	*p++ = '.';
	while (*what)
		*p++ = *what++;
	*p = 0;
	phase(buf);
	int ok = run_task(fn);
	phase_end();
	obs("done", ok);
	obs("guest_faults", guest_faults);
	guest_faults = 0;
	if (cr3_b) { /* what did the copies become? */
		obs("parent", *(u8 *)FRAME(*pte_of((u64 *)cr3_a, VA + 8 * 4096)));
		obs("child", *(u8 *)FRAME(*pte_of((u64 *)cr3_b, VA + 8 * 4096)));
	}
}

void lab_main(void)
{
	static const char *const names[] = {"shadow", "direct", "ept"};

	if (vmx_on()) {
		say("no VT-x\n");
		lab_exit(1);
	}
	target = (uw)&secret[3];
	for (enum mode m = SHADOW; m <= EPT; m++) {
		cr3_b = 0;
		prepare(m);
		run_load(names[m], "mmap", load_mmap);
		run_load(names[m], "fork", load_fork);
		run_load(names[m], "switch", load_switch);
		run_load(names[m], "walk", load_walk);
		secret[3] = 0x5ec7e7;
		run_load(names[m], "attack", load_attack);
		obs("whole", secret[3] == 0x5ec7e7);
		say("%s: the guest maps the monitor's memory: %s\n", names[m], secret[3] == 0x5ec7e7 ? "refused" : "it wrote there");
	}
	cr3_b = 0;
	prepare(DIRECT);
	run_load("direct", "first", load_mmap);
	run_load("direct", "alias", load_alias);
	obs("refused", refused);
	vmx_off();
}
