/*
 * The host's side: a traced child that owns nothing but the case's pages. The tracer sets its registers
 * (PTRACE_SETREGS, PTRACE_SETREGSET with NT_X86_XSTATE), lets it go, and reads the state at the signal that stops it.
 * The pages are shared with the tracer. 32-bit code is entered by giving the child Linux's 32-bit code selector.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include "tests/oracle/oracle.h"

#define SEL_CODE32 0x23
#define SEL_DATA 0x2b
#define SEL_CODE64 0x33
#define XSTATE_BYTES 16384
#define HEADER 512 /* of the XSAVE image */

struct native {
	pid_t pid;
	int fd;
	u8 *shared; /* code, data, low */
	struct user_regs_struct regs;
	u8 xstate[XSTATE_BYTES] __attribute__((aligned(64)));
	size_t xstate_len;
	unsigned ymm_offset; /* 0: no AVX */
};

static void on_alarm(int sig)
{
}

/* The C library registers memory that the kernel writes at preemption: it must not outlive its mapping. */
static void forget_rseq(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size)
		syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER,
			RSEQ_SIG);
#endif
}

static void child(int fd)
{
	int flags = MAP_SHARED | MAP_FIXED;

	forget_rseq();
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(1);
	if (mmap((void *)(uintptr_t)CODE_BASE, CODE_SIZE, PROT_READ | PROT_EXEC, flags, fd, 0) == MAP_FAILED ||
	    mmap((void *)(uintptr_t)DATA_BASE, DATA_SIZE, PROT_READ | PROT_WRITE, flags, fd, CODE_SIZE) ==
		    MAP_FAILED ||
	    mmap((void *)(uintptr_t)LOW_BASE, LOW_SIZE, PROT_READ | PROT_WRITE, flags, fd,
		 CODE_SIZE + DATA_SIZE) == MAP_FAILED)
		_exit(2);
	raise(SIGSTOP);
	_exit(3);
}

/* Makes the stopped child unmap [from, to). The code page begins with SYSCALL; INT3. */
static int inject_munmap(struct native *nat, u64 from, u64 to)
{
	struct user_regs_struct regs = nat->regs;
	int status;

	regs.rip = CODE_BASE;
	regs.rax = SYS_munmap;
	regs.rdi = from;
	regs.rsi = to - from;
	regs.orig_rax = (u64)-1;
	if (ptrace(PTRACE_SETREGS, nat->pid, NULL, &regs) < 0 || ptrace(PTRACE_CONT, nat->pid, NULL, NULL) < 0)
		return -1;
	if (waitpid(nat->pid, &status, 0) < 0 || !WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		return -1;
	ptrace(PTRACE_GETREGS, nat->pid, NULL, &regs);
	return regs.rax == 0 ? 0 : -1;
}

static int start(struct native *nat)
{
	static const u8 stub[] = {0x0f, 0x05, 0xcc};
	struct iovec iov = {nat->xstate, sizeof(nat->xstate)};
	int status;

	nat->pid = fork();
	if (nat->pid < 0)
		return -1;
	if (nat->pid == 0)
		child(nat->fd);
	if (waitpid(nat->pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return -1;
	memcpy(nat->shared, stub, sizeof(stub));
	ptrace(PTRACE_SETOPTIONS, nat->pid, NULL, PTRACE_O_EXITKILL);
	if (ptrace(PTRACE_GETREGS, nat->pid, NULL, &nat->regs) < 0 ||
	    ptrace(PTRACE_GETREGSET, nat->pid, NT_X86_XSTATE, &iov) < 0)
		return -1;
	nat->xstate_len = iov.iov_len;
	return inject_munmap(nat, LOW_BASE + LOW_SIZE, CODE_BASE) ||
		       inject_munmap(nat, CODE_BASE + CODE_SIZE, DATA_BASE) ||
		       inject_munmap(nat, DATA_BASE + DATA_SIZE, 0x7ffffffff000ull)
	       ? -1
	       : 0;
}

static void stop(struct native *nat)
{
	int status;

	if (nat->pid > 0) {
		kill(nat->pid, SIGKILL);
		while (waitpid(nat->pid, &status, 0) < 0 && errno == EINTR)
			continue;
	}
	nat->pid = 0;
}

struct native *native_open(void)
{
	struct native *nat = calloc(1, sizeof(*nat));
	struct sigaction act = {.sa_handler = on_alarm}; /* no SA_RESTART: waitpid must return */
	size_t size = CODE_SIZE + DATA_SIZE + LOW_SIZE;
	unsigned a, b, c, d;

	if (!nat)
		return NULL;
	sigaction(SIGALRM, &act, NULL);
	nat->fd = memfd_create("oracle", 0);
	if (nat->fd < 0 || ftruncate(nat->fd, (off_t)size) < 0)
		goto fail;
	nat->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, nat->fd, 0);
	if (nat->shared == MAP_FAILED)
		goto fail;
	if (__get_cpuid_count(0xd, 2, &a, &b, &c, &d) && a)
		nat->ymm_offset = b;
	if (start(nat) == 0)
		return nat;
fail:
	stop(nat);
	free(nat);
	return NULL;
}

void native_close(struct native *nat)
{
	stop(nat);
	munmap(nat->shared, CODE_SIZE + DATA_SIZE + LOW_SIZE);
	close(nat->fd);
	free(nat);
}

const u8 *native_data(struct native *nat)
{
	return nat->shared + CODE_SIZE;
}

static void put_xstate(struct native *nat, const struct state *s)
{
	u8 *x = nat->xstate;
	u64 bv = nat->ymm_offset ? 7 : 3;
	u64 tag = s->valid;

	memset(x, 0, nat->xstate_len);
	memcpy(x, &s->cw, 2);
	memcpy(x + 2, &s->sw, 2);
	memcpy(x + 4, &tag, 1);
	memcpy(x + 24, &s->mxcsr, 4);
	for (unsigned i = 0; i < 8; i++)
		memcpy(x + 32 + 16 * i, s->st[i], 10);
	for (unsigned i = 0; i < 16; i++) {
		memcpy(x + 160 + 16 * i, s->v[i], 16);
		if (nat->ymm_offset)
			memcpy(x + nat->ymm_offset + 16 * i, s->v[i] + 16, 16);
	}
	memcpy(x + HEADER, &bv, 8);
}

static void get_xstate(struct native *nat, struct state *s)
{
	const u8 *x = nat->xstate;

	memcpy(&s->cw, x, 2);
	memcpy(&s->sw, x + 2, 2);
	s->valid = x[4];
	memcpy(&s->mxcsr, x + 24, 4);
	for (unsigned i = 0; i < 8; i++)
		memcpy(s->st[i], x + 32 + 16 * i, 10);
	for (unsigned i = 0; i < 16; i++) {
		memcpy(s->v[i], x + 160 + 16 * i, 16);
		if (nat->ymm_offset)
			memcpy(s->v[i] + 16, x + nat->ymm_offset + 16 * i, 16);
	}
}

static void put_regs(struct native *nat, const struct test_case *tc)
{
	struct user_regs_struct r = nat->regs;
	const u64 *g = tc->in.r;

	r.rax = g[RAX], r.rcx = g[RCX], r.rdx = g[RDX], r.rbx = g[RBX];
	r.rsp = g[RSP], r.rbp = g[RBP], r.rsi = g[RSI], r.rdi = g[RDI];
	r.r8 = g[R8], r.r9 = g[R9], r.r10 = g[R10], r.r11 = g[R11];
	r.r12 = g[R12], r.r13 = g[R13], r.r14 = g[R14], r.r15 = g[R15];
	r.rip = tc->start;
	r.eflags = tc->in.rflags;
	r.orig_rax = (u64)-1;
	r.fs_base = r.gs_base = 0;
	r.fs = r.gs = 0;
	r.ss = SEL_DATA;
	r.cs = tc->bits == 64 ? SEL_CODE64 : SEL_CODE32;
	r.ds = r.es = tc->bits == 64 ? 0 : SEL_DATA;
	ptrace(PTRACE_SETREGS, nat->pid, NULL, &r);
}

static void get_regs(struct native *nat, struct state *s)
{
	struct user_regs_struct r;

	ptrace(PTRACE_GETREGS, nat->pid, NULL, &r);
	const u64 g[16] = {r.rax, r.rcx, r.rdx, r.rbx, r.rsp, r.rbp, r.rsi, r.rdi,
			   r.r8,  r.r9,	 r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
	memcpy(s->r, g, sizeof(g));
	s->rip = r.rip;
	s->rflags = (u32)r.eflags;
}

/* Which exception Linux made this signal of (arch/x86/kernel/traps.c names them). */
static int vector_of(const siginfo_t *si)
{
	switch (si->si_signo) {
	case SIGTRAP: return si->si_code == SI_KERNEL ? EXC_BP : EXC_DB;
	case SIGILL: return EXC_UD;
	case SIGFPE: return si->si_code == FPE_INTDIV ? EXC_DE : EXC_MF; /* or #XM */
	case SIGBUS: return si->si_code == BUS_ADRALN ? EXC_AC : EXC_SS;
	case SIGSEGV: return si->si_code == SI_KERNEL ? EXC_GP : EXC_PF;
	}
	return END_LOST;
}

/* A case that spins is ended after a second of real time. */
static int wait_for(struct native *nat, int *status)
{
	struct itimerval on = {.it_value = {.tv_sec = 1}}, off = {0};

	setitimer(ITIMER_REAL, &on, NULL);
	int got = waitpid(nat->pid, status, 0);
	setitimer(ITIMER_REAL, &off, NULL);
	return got == nat->pid && WIFSTOPPED(*status) ? 0 : -1;
}

static void restart(struct native *nat)
{
	if (start(nat) < 0) {
		perror("oracle: the traced process");
		exit(1);
	}
}

int native_run(struct native *nat, const struct test_case *tc, struct outcome *res)
{
	struct iovec iov = {nat->xstate, nat->xstate_len};
	siginfo_t si;
	int status;

	memset(res, 0, sizeof(*res));
	lay_code(tc, nat->shared);
	memcpy(nat->shared + CODE_SIZE, tc->memory, sizeof(tc->memory));
	put_xstate(nat, &tc->in);
	put_regs(nat, tc);
	if (ptrace(PTRACE_SETREGSET, nat->pid, NT_X86_XSTATE, &iov) < 0 ||
	    ptrace(PTRACE_CONT, nat->pid, NULL, NULL) < 0 || wait_for(nat, &status) < 0) {
		stop(nat);
		res->vector = END_HANG;
		restart(nat);
		return -1;
	}
	ptrace(PTRACE_GETSIGINFO, nat->pid, NULL, &si);
	res->vector = vector_of(&si);
	res->addr = res->vector == EXC_PF ? (u64)(uintptr_t)si.si_addr : 0;
	get_regs(nat, &res->out);
	ptrace(PTRACE_GETREGSET, nat->pid, NT_X86_XSTATE, &iov);
	get_xstate(nat, &res->out);
	/* ptrace cannot clear ID, which the case's POPF may have set. */
	if (res->out.rflags & FL_ID) {
		stop(nat);
		restart(nat);
	}
	return 0;
}
