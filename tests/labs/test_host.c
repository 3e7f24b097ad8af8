/*
 * The hardware facts of the labs that ring 3 can ask for, asked of the host's own processor: the same instructions in a process,
 * and what they fault with, compared with what the labs observed. What needs ring 0 is in tests/labs/peers.py.
 */
#define _GNU_SOURCE
#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/labs/rig.h"

#ifdef __x86_64__

/* What the host said of one attempt; in shared memory, for each runs in a process of its own. */
struct answer {
	int vector; /* 255: none */
	u64 error, value;
	u64 ip_offset;
};
static struct answer *answer;
static u64 started_at;

static void caught(int sig, siginfo_t *info, void *ctx)
{
	const greg_t *g = ((ucontext_t *)ctx)->uc_mcontext.gregs;

	answer->vector = (int)g[REG_TRAPNO];
	answer->error = (u64)g[REG_ERR];
	answer->ip_offset = (u64)g[REG_RIP] - started_at;
	_exit(0);
}

static struct answer ask(u64 (*fn)(void))
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

	*answer = (struct answer){.vector = 999};
	pid_t pid = fork();
	if (!pid) {
		struct sigaction sa = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
		for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
			sigaction(signals[i], &sa, NULL);
		started_at = (u64)(uintptr_t)fn;
		answer->value = fn();
		answer->vector = 255;
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return *answer;
}

static u64 observed(const json_t *run, const char *phase, const char *key)
{
	u64 v;
	ck_assert_msg(lab_value(run, phase, key, &v), "%s.%s", phase, key);
	return v;
}

static void same_vector(const json_t *run, const char *phase, const char *key, u64 (*fn)(void))
{
	struct answer a = ask(fn);
	u64 v = observed(run, phase, key);
	ck_assert_msg(a.vector == (int)v, "%s.%s: the host says %d, the lab %d", phase, key, a.vector, (int)v);
}

#define INSN(name, text) static u64 name(void) { __asm__ volatile(text : : : "memory", "cc", "rax", "rcx", "rdx"); return 0; }
INSN(do_cli, "cli")
INSN(do_movcr0, "mov %%cr0, %%rax")
INSN(do_lidt, "sub $144, %%rsp; lidt (%%rsp); add $144, %%rsp")
INSN(do_sysexit, "sysexitl")
INSN(do_int3f, "int $0x3f")
INSN(do_load_ss, "mov $0x18, %%eax; mov %%eax, %%ss") /* Linux: kernel data, DPL 0 */
INSN(do_ud2, "ud2")

/* The same with Linux's segments of ring 0: code 10h, data 18h. */
INSN(do_pop_fs, "sub $144, %%rsp; pushq $0x18; popq %%fs; add $144, %%rsp")
INSN(do_retf, "pushq $0x10; pushq $0; lretq")
INSN(do_int50, "int $50")

static const struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) kernel_code = {0, 0x10};

static u64 do_far_call(void)
{
	__asm__ volatile("lcall *%0" : : "m"(kernel_code) : "memory");
	return 0;
}

static u64 do_far_jmp(void)
{
	__asm__ volatile("ljmp *%0" : : "m"(kernel_code) : "memory");
	return 0;
}

static u64 do_verw(void)
{
	u8 ok;
	__asm__ volatile("verw %w1; setz %0" : "=r"(ok) : "r"(0x18) : "cc");
	return ok;
}

static u64 do_popf(void)
{
	u64 v;
	/* Clears IF, as the lab's sets it: the process has IF = 1, and keeps it. */
	__asm__ volatile("sub $128, %%rsp; pushfq; andq $~0x200, (%%rsp); popfq; pushfq; popq %0; add $128, %%rsp" : "=r"(v) : : "cc", "memory");
	return v >> 9 & 1;
}

static u64 do_movcs(void)
{
	u64 v = 0;
	__asm__ volatile("mov %%cs, %0" : "=r"(v));
	return v & 3;
}

static u64 do_lar(void)
{
	u64 v = 0x10; /* Linux's kernel code segment */
	u8 ok;
	__asm__ volatile("lar %1, %1; setz %0" : "=r"(ok), "+r"(v) : : "cc");
	return ok;
}

static u64 do_verr(void)
{
	u8 ok;
	__asm__ volatile("verr %w1; setz %0" : "=r"(ok) : "r"(0x18) : "cc");
	return ok;
}

static u64 do_smsw(void)
{
	u64 v = 0;
	__asm__ volatile("smsw %0" : "=r"(v));
	return v & 1;
}

START_TEST(sensitive_instructions)
{
	json_t *run = run_of("sensitive");

	same_vector(run, "ring3", "cli", do_cli);
	same_vector(run, "ring3", "movcr0", do_movcr0);
	same_vector(run, "ring3", "lidt", do_lidt);
	same_vector(run, "ring3", "pop", do_pop_fs);
	same_vector(run, "ring3", "call", do_far_call);
	same_vector(run, "ring3", "jmp", do_far_jmp);
	same_vector(run, "ring3", "ret", do_retf);
	same_vector(run, "ring3", "int", do_int50);
	ck_assert_uint_eq(ask(do_verw).value, observed(run, "ring3", "verw.value"));
	same_vector(run, "ring3", "popf", do_popf);
	same_vector(run, "ring3", "movcs", do_movcs);
	ck_assert_uint_eq(ask(do_popf).value, 1); /* kept: silently dropped, as in the lab */
	ck_assert_uint_eq(observed(run, "ring3", "popf.value"), 0);
	ck_assert_uint_eq(ask(do_movcs).value, observed(run, "ring3", "movcs.value") & 3);
	ck_assert_uint_eq(ask(do_lar).value, 0);
	ck_assert_uint_eq(ask(do_verr).value, observed(run, "ring3", "verr.value"));
	/* SMSW works, by itself or (with UMIP) by Linux's emulation; a kernel without that lets the #GP of UMIP through. */
	struct answer a = ask(do_smsw);
	ck_assert(a.vector == 255 ? a.value == 1 : a.vector == (int)observed(run, "umip3", "smsw"));
	json_decref(run);
}
END_TEST

START_TEST(ring_changes)
{
	json_t *run = run_of("rings");

	same_vector(run, "sysexit3", "vector", do_sysexit);
	same_vector(run, "int_dpl0", "vector", do_int3f);
	same_vector(run, "segment", "vector", do_load_ss);
	struct answer a = ask(do_int3f);
	ck_assert_uint_eq(a.error, observed(run, "int_dpl0", "error"));
	json_decref(run);
}
END_TEST

/* ---- pages ---- */

static u8 *page;
static u64 page_read(void) { return *(volatile u8 *)page; }
static u64 page_write(void) { *(volatile u8 *)page = 1; return 0; }
static u64 page_execute(void) { ((void (*)(void))(uintptr_t)page)(); return 0; }
static u64 kernel_read(void) /* in assembly: sanitizers would look at the address first */
{
	u64 v = 0xffffffff81000000ull;
	__asm__ volatile("movq (%0), %0" : "+r"(v));
	return v;
}

static void same_fault(const json_t *run, const char *phase, u64 (*fn)(void))
{
	struct answer a = ask(fn);
	u64 v = observed(run, phase, "vector");

	ck_assert_msg(a.vector == (int)v, "%s: the host says %d, the lab %d", phase, a.vector, (int)v);
	if (v == 14)
		ck_assert_msg((a.error & 0x37) == observed(run, phase, "error"), "%s: error code %llx", phase, (unsigned long long)a.error);
}

START_TEST(page_rights)
{
	json_t *run = run_of("pages");

	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(page != MAP_FAILED);
	page[0] = 0xc3;
	same_fault(run, "user_read", page_read);
	same_fault(run, "user_write", page_write);
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	same_fault(run, "user_execute", page_execute);
	same_fault(run, "user_readonly", page_write);
	mprotect(page, 4096, PROT_READ);
	same_fault(run, "user_nx", page_execute);
	struct answer a = ask(kernel_read);
	ck_assert_int_eq(a.vector, 14);
	munmap(page, 4096);
	same_fault(run, "absent", page_read);
	json_decref(run);
}
END_TEST

static int key;
static u64 key_read(void) { pkey_set(key, PKEY_DISABLE_ACCESS); return *(volatile u8 *)page; }
static u64 key_execute(void) { pkey_set(key, PKEY_DISABLE_ACCESS); ((void (*)(void))(uintptr_t)page)(); return 0; }
static u64 key_write(void) { pkey_set(key, PKEY_DISABLE_WRITE); *(volatile u8 *)page = 1; return 0; }
static u64 key_write_read(void) { pkey_set(key, PKEY_DISABLE_WRITE); return *(volatile u8 *)page; }

START_TEST(protection_keys)
{
	json_t *run = run_of("pages");

	key = pkey_alloc(0, 0);
	if (key > 0) { /* the host has them */
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		page[0] = 0xc3;
		ck_assert_int_eq(pkey_mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, key), 0);
		same_fault(run, "key_access", key_read);
		same_fault(run, "key_execute", key_execute);
		same_fault(run, "key_write", key_write);
		same_fault(run, "key_write_read", key_write_read);
	}
	json_decref(run);
}
END_TEST

/* ---- code that changes itself; the address of a fault ---- */

static u64 smc(void)
{
	static const u8 code[] = {
	    0x31, 0xc0,				  /* xor eax, eax */
	    0xb9, 1, 0, 0, 0,			  /* mov ecx, 1 */
	    0x89, 0x0d, 3, 0, 0, 0,		  /* 7: mov [rip + 3], ecx: the constant below */
	    0xeb, 0,				  /* jmp to the next */
	    0xba, 0, 0, 0, 0,			  /* mov edx, constant */
	    0x01, 0xd0,				  /* add eax, edx */
	    0xff, 0xc1, 0x83, 0xf9, 11, 0x75, 0xea, /* inc ecx; cmp ecx, 11; jne 7 */
	    0xc3};
	u8 *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(p, code, sizeof(code));
	return ((u32(*)(void))(uintptr_t)p)();
}

u64 host_divide(void);
__asm__(".text\nhost_divide: xorl %ecx, %ecx; movl $1, %eax; xorl %edx, %edx; divl %ecx; ret\n");

START_TEST(translation)
{
	json_t *run = run_of("smc");
	struct answer a = ask(smc);

	ck_assert_int_eq(a.vector, 255);
	ck_assert_uint_eq(a.value, observed(run, "native", "sum"));
	ck_assert_uint_eq(a.value, observed(run, "protected", "sum"));
	same_vector(run, "fault", "vector", host_divide);
	ck_assert_uint_eq(ask(host_divide).ip_offset, 9); /* at the DIV itself */
	json_decref(run);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("labs on the host's processor");
	TCase *t = tcase_create("host");

	answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ask(do_ud2).vector != 6) {
		fprintf(stderr, "this host does not tell which exception a signal stands for: nothing is compared\n");
		return 0;
	}
	tcase_set_timeout(t, 120);
	tcase_add_test(t, sensitive_instructions);
	tcase_add_test(t, ring_changes);
	tcase_add_test(t, page_rights);
	tcase_add_test(t, protection_keys);
	tcase_add_test(t, translation);
	suite_add_tcase(s, t);
	return run_suite(s);
}

#else
int main(void)
{
	return 0;
}
#endif
