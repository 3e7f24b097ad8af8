/*
 * A hypervisor of one page of code, for measuring VM exits: a Multiboot image that enters VMX root operation in 32-bit
 * protected mode, runs small guests under EPT and counts their exits. Each measurement is a line "@@ begin NAME 0" and one
 * "@@ end NAME COUNT" on COM1; whoever reads them takes the time. Runs on any processor with VMX, EPT, VPID and 4-MiB pages.
 */
typedef unsigned int u32;
typedef unsigned long long u64;

#define ROUNDS  60u     /* of the computation */
#define HOLE    0x20000000u /* guest-physical address that the EPT does not map */

__asm__(".text\n"
	".align 4\n"
	"multiboot: .long 0x1badb002, 0, -0x1badb002\n"
	".globl start\n"
	"start: cli\n"
	"	lgdt gdtr\n"
	"	ljmp $8, $1f\n"
	"1:	mov $16, %eax\n"
	"	mov %eax, %ds\n	mov %eax, %es\n	mov %eax, %ss\n"
	"	xor %eax, %eax\n"
	"	mov %eax, %fs\n	mov %eax, %gs\n"
	"	mov $0x300000, %esp\n"
	"	mov $24, %eax\n"
	"	ltr %ax\n"
	"	call bench\n"
	"2:	hlt\n"
	"	jmp 2b\n"
	".align 8\n"
	"gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x0000890000000067\n"
	"gdtr:	.word 31\n"
	"	.long gdt\n"
	".text\n");

static u32 page_directory[1024] __attribute__((aligned(4096)));
static u64 ept[3][512] __attribute__((aligned(4096)));
static u32 vmxon_region[1024] __attribute__((aligned(4096)));
static u32 vmcs[1024] __attribute__((aligned(4096)));
static unsigned char guest_stack[4096] __attribute__((aligned(16)));

/* ---- the serial port ---- */

static void out8(unsigned short port, unsigned char v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static unsigned char in8(unsigned short port)
{
	unsigned char v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static void serial_init(void)
{
	out8(0x3fb, 0x83);
	out8(0x3f8, 1); /* 115200 */
	out8(0x3f9, 0);
	out8(0x3fb, 3); /* 8n1 */
}

static void put(const char *s)
{
	for (; *s; s++) {
		while (!(in8(0x3fd) & 0x20))
			;
		out8(0x3f8, (unsigned char)*s);
	}
}

static void put_number(u32 n)
{
	char text[12], *p = text + sizeof(text) - 1;

	*p = 0;
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	put(p);
}

static void die(const char *why, u32 n)
{
	put("@@ failed ");
	put(why);
	put(" ");
	put_number(n);
	put("\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* ---- processor ---- */

static u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

static u32 vmread(u32 field)
{
	u32 v;

	__asm__ volatile("vmread %1, %0" : "=r"(v) : "r"(field) : "cc");
	return v;
}

static void vmwrite(u32 field, u32 v)
{
	__asm__ volatile("vmwrite %0, %1" : : "r"(v), "r"(field) : "cc");
}

static void vmwrite64(u32 field, u64 v)
{
	vmwrite(field, (u32)v);
	vmwrite(field + 1, (u32)(v >> 32));
}

static u32 read_cr(unsigned n)
{
	u32 v;

	if (n == 0)
		__asm__ volatile("mov %%cr0, %0" : "=r"(v));
	else if (n == 3)
		__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	else
		__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

/* ---- guests ---- */

/* Each ends with VMCALL. EBX counts down. */
void guest_cpuid(void), guest_io(void), guest_ept(void), guest_msr(void), guest_vmcall(void), guest_compute(void);
__asm__(".macro guest name:req, code:req\n"
	".globl guest_\\name\n"
	"guest_\\name: mov $200000, %esi\n"
	"1:	\\code\n"
	"	dec %esi\n"
	"	jnz 1b\n"
	"	mov $0x600d, %eax\n"
	"	vmcall\n"
	".endm\n"
	"guest cpuid \"xor %eax, %eax; cpuid\"\n"
	"guest io \"outb %al, $0x80\"\n"
	"guest ept \"mov %eax, 0x20000000\"\n"
	"guest msr \"mov $0x10, %ecx; rdmsr\"\n"
	"guest vmcall \"xor %eax, %eax; vmcall\"\n"
	".globl guest_compute\n"
	"guest_compute: call compute\n"
	"	mov $0x600d, %eax\n"
	"	vmcall\n");

/* Loads, stores and branches over 256 KiB. */
static unsigned char sieve[1u << 18];
u32 computed;

__attribute__((used)) void compute(void)
{
	u32 sum = 0;

	for (u32 round = 0; round < ROUNDS; round++) {
		for (u32 i = 0; i < sizeof(sieve); i++)
			sieve[i] = 1;
		for (u32 i = 2; i < sizeof(sieve); i++) {
			if (!sieve[i])
				continue;
			sum += i;
			for (u32 j = 2 * i; j < sizeof(sieve); j += i)
				sieve[j] = 0;
		}
	}
	computed = sum;
}

/* ---- entry and exit ---- */

u32 guest_regs[8]; /* EAX ECX EDX EBX - EBP ESI EDI */
unsigned char launched;
/* Enters the guest; returns at its next exit. 0, or the VM-instruction error. */
u32 vm_run(void);
__asm__(".globl vm_run\n"
	"vm_run: pushal\n"
	"	mov $0x6c14, %edx\n" /* host RSP */
	"	vmwrite %esp, %edx\n"
	"	cmpb $0, launched\n"
	"	mov guest_regs, %eax\n"
	"	mov guest_regs + 4, %ecx\n"
	"	mov guest_regs + 8, %edx\n"
	"	mov guest_regs + 12, %ebx\n"
	"	mov guest_regs + 20, %ebp\n"
	"	mov guest_regs + 24, %esi\n"
	"	mov guest_regs + 28, %edi\n"
	"	jne 1f\n"
	"	movb $1, launched\n"
	"	vmlaunch\n"
	"	jmp 2f\n"
	"1:	vmresume\n"
	"2:	mov $0x4400, %edx\n"
	"	vmread %edx, %eax\n"
	"	mov %eax, 28(%esp)\n"
	"	popal\n"
	"	ret\n"
	".globl vm_exited\n"
	"vm_exited: mov %eax, guest_regs\n"
	"	mov %ecx, guest_regs + 4\n"
	"	mov %edx, guest_regs + 8\n"
	"	mov %ebx, guest_regs + 12\n"
	"	mov %ebp, guest_regs + 20\n"
	"	mov %esi, guest_regs + 24\n"
	"	mov %edi, guest_regs + 28\n"
	"	movl $0, 28(%esp)\n"
	"	popal\n"
	"	ret\n");
void vm_exited(void);

static void paging(void)
{
	for (u32 i = 0; i < 1024; i++)
		page_directory[i] = i << 22 | 0x83;
	__asm__ volatile("mov %0, %%cr4" : : "r"(read_cr(4) | 0x10));
	__asm__ volatile("mov %0, %%cr3" : : "r"(page_directory));
	__asm__ volatile("mov %0, %%cr0" : : "r"(read_cr(0) | 0x80000020));
	ept[0][0] = (u32)ept[1] | 7;
	ept[1][0] = (u32)ept[2] | 7;
	for (u32 i = 0; i < 512; i++)
		ept[2][i] = (u64)i << 21 == HOLE ? 0 : (u64)i << 21 | 0xb7;
}

static void vmx_on(void)
{
	unsigned char failed;

	if (!(rdmsr(0x3a) & 1))
		wrmsr(0x3a, rdmsr(0x3a) | 5);
	__asm__ volatile("mov %0, %%cr4" : : "r"(read_cr(4) | 0x2000));
	vmxon_region[0] = vmcs[0] = (u32)rdmsr(0x480);
	u64 at = (u32)vmxon_region;
	__asm__ volatile("vmxon %1; setna %0" : "=q"(failed) : "m"(at) : "cc", "memory");
	if (failed)
		die("vmxon", 0);
	at = (u32)vmcs;
	__asm__ volatile("vmclear %0; vmptrld %0" : : "m"(at) : "cc", "memory");
}

static u32 allowed(u32 msr, u32 wanted)
{
	u64 v = rdmsr(msr);

	if (wanted & ~(u32)(v >> 32))
		die("control", msr);
	return wanted | (u32)v;
}

static void segment(u32 n, u32 sel, u32 ar)
{
	vmwrite(0x800 + 2 * n, sel);
	vmwrite(0x4800 + 2 * n, n == 7 ? 0x67 : 0xffffffff);
	vmwrite(0x4814 + 2 * n, ar);
	vmwrite(0x6806 + 2 * n, 0);
	if (n < 6)
		vmwrite(0xc00 + 2 * n, n < 4 ? sel : 0);
}

static void fill_vmcs(void)
{
	extern char gdt[];
	u64 basic = rdmsr(0x480);
	u32 precise = basic >> 55 & 1 ? 0xc : 0; /* TRUE capability MSRs are 48Dh-490h */

	vmwrite(0x4000, allowed(0x481 + precise, 0));
	vmwrite(0x4002, allowed(0x482 + precise, 0x81000000)); /* all I/O exits, secondary controls */
	vmwrite(0x401e, allowed(0x48b, 0x22));                 /* EPT, VPID */
	vmwrite(0, 1);
	vmwrite(0x400c, allowed(0x483 + precise, 0));
	vmwrite(0x4012, allowed(0x484 + precise, 0));
	vmwrite64(0x201a, (u32)ept[0] | 0x1e);
	vmwrite64(0x2800, ~0ull);
	static const u32 sels[] = {16, 8, 16, 16, 0, 0, 0, 24};
	static const u32 ars[] = {0xc093, 0xc09b, 0xc093, 0xc093, 0x10000, 0x10000, 0x10000, 0x8b};
	for (u32 i = 0; i < 8; i++)
		segment(i, sels[i], ars[i]);
	vmwrite(0xc0c, 24);
	for (u32 i = 0; i < 5; i += 2) { /* CR0, CR3, CR4 */
		static const u32 crs[] = {0, 0, 3, 0, 4};
		vmwrite(0x6800 + i, read_cr(crs[i]));
		vmwrite(0x6c00 + i, read_cr(crs[i]));
	}
	vmwrite(0x6816, (u32)gdt);
	vmwrite(0x4810, 31);
	vmwrite(0x6c0c, (u32)gdt);
	vmwrite(0x681a, 0x400);
	vmwrite(0x6820, 2);
	vmwrite(0x6c16, (u32)vm_exited);
}

/* Runs a guest to its last VMCALL; every other exit steps over its instruction. Returns the number of those. */
static u32 run_guest(void (*code)(void))
{
	u32 exits = 0, error;

	vmwrite(0x681e, (u32)code);
	vmwrite(0x681c, (u32)(guest_stack + sizeof(guest_stack)));
	for (;; exits++) {
		u32 reason;

		error = vm_run();
		if (error)
			die("entry", error);
		reason = vmread(0x4402);
		switch (reason) {
		case 18:
			if (guest_regs[0] == 0x600d)
				return exits;
			break;
		case 10:
			guest_regs[0] = guest_regs[3] = guest_regs[1] = guest_regs[2] = 1;
			break;
		case 30:
		case 31:
			break;
		case 48:
			if (vmread(0x2400) != HOLE)
				die("violation", vmread(0x2400));
			vmwrite(0x681e, vmread(0x681e) + 5); /* mov %eax, moffs */
			continue;
		default:
			die("exit", reason);
		}
		vmwrite(0x681e, vmread(0x681e) + vmread(0x440c));
	}
}

static void say(const char *what, const char *name, u32 n)
{
	put("@@ ");
	put(what);
	put(" ");
	put(name);
	put(" ");
	put_number(n);
	put("\n");
}

static void measure(const char *name, void (*code)(void))
{
	u32 exits;

	say("begin", name, 0);
	exits = run_guest(code);
	say("end", name, exits);
}

__attribute__((used)) void bench(void)
{
	serial_init();
	paging();
	vmx_on();
	fill_vmcs();
	measure("cpuid", guest_cpuid);
	measure("io", guest_io);
	measure("rdmsr", guest_msr);
	measure("vmcall", guest_vmcall);
	measure("ept", guest_ept);
	compute();
	say("begin", "L1compute", 0);
	compute();
	say("end", "L1compute", 0);
	measure("L2compute", guest_compute);
	say("begin", "L1again", 0);
	compute();
	say("end", "L1again", 0);
	measure("L2again", guest_compute);
	put("@@ done 0 0\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
