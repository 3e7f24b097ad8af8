/*
 * What several processors do to each other, as process 1 of a guest: counters under locks of every kind, mappings that change
 * under running threads (TLB shootdowns), code rewritten under them, processes and pipes across processors. Prints one line per
 * part, then "smp_stress: N failures", and powers the machine off. A race without locks is counted too: its outcome is
 * nobody's to know, but must be the same in equal runs.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 6000

static int failures;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static atomic_ulong atomic_count;
static atomic_int spin, seen_cpus;
static volatile unsigned long mutex_count, spin_count, racy_count;

static void check(const char *what, unsigned long got, unsigned long want)
{
	printf("%s %s: %lu of %lu\n", got == want ? "ok  " : "FAIL", what, got, want);
	failures += got != want;
}

static void together(void *(*fn)(void *))
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, fn, (void *)i))
			exit(2);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *counters(void *arg __attribute__((unused)))
{
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&atomic_count, 1);
		pthread_mutex_lock(&mutex);
		mutex_count++;
		pthread_mutex_unlock(&mutex);
		while (atomic_exchange(&spin, 1))
			__builtin_ia32_pause();
		spin_count++;
		atomic_store(&spin, 0);
		racy_count++;
		atomic_fetch_or(&seen_cpus, 1 << sched_getcpu());
	}
	return NULL;
}

/* Every thread maps, fills, protects and unmaps pages of its own in one address space: each change reaches all processors. */
static atomic_ulong pages_right;

static void *mappings(void *arg)
{
	for (int i = 0; i < 100; i++) {
		unsigned char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, (int)(long)arg + i, 16384);
		mprotect(p, 4096, PROT_READ);
		sched_yield();
		p[8192] ^= p[0] ^ (unsigned char)((long)arg + i);
		if (p[0] == (unsigned char)((long)arg + i) && p[8192] == p[0])
			atomic_fetch_add(&pages_right, 1);
		munmap(p, 16384);
	}
	return NULL;
}

/* One page that moves between two places: who reads it sees its own number or the next, never an older one. */
static volatile unsigned long *moving;
static atomic_ulong generation, stale;

static void *mover(void *arg)
{
	if (arg) {
		for (unsigned long now = 0; now < 200;) {
			now = atomic_load(&generation);
			if (*moving < now)
				atomic_fetch_add(&stale, 1);
			__builtin_ia32_pause();
		}
		return NULL;
	}
	for (unsigned long i = 1; i <= 200; i++) {
		unsigned long *fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*fresh = i;
		if (mremap(fresh, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)moving) == MAP_FAILED)
			exit(3);
		atomic_store(&generation, i);
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

/* mov eax, imm32; ret: thread 0 rewrites the number, the others call. */
static unsigned char *code;
static atomic_ulong wrong_code;
static atomic_uint written;

static void *rewriter(void *arg)
{
	unsigned (*fn)(void) = (unsigned (*)(void))(uintptr_t)code;

	if (arg) {
		for (unsigned now = 0; now < 500;) {
			unsigned before = atomic_load(&written), got = fn();
			now = atomic_load(&written);
			if (got < before || got > now + 1)
				atomic_fetch_add(&wrong_code, 1);
		}
		return NULL;
	}
	for (unsigned i = 1; i <= 500; i++) {
		__atomic_store_n((unsigned *)(code + 4), i, __ATOMIC_SEQ_CST);
		atomic_store(&written, i);
		if (i % 8 == 0)
			sched_yield();
	}
	return NULL;
}

/* A number goes round through condition variables. */
static long turn;

static void *ring(void *arg)
{
	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % THREADS != (long)arg)
			pthread_cond_wait(&cond, &mutex);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

/* Processes in pairs, a byte to and fro. */
static unsigned long pipes(void)
{
	unsigned long sum = 0;
	int result[2];

	if (pipe(result))
		exit(4);
	for (int k = 0; k < 4; k++) {
		int a[2], b[2];
		unsigned char c = 0;
		if (pipe(a) || pipe(b))
			exit(4);
		if (!fork()) {
			for (int i = 0; i < 500 && read(a[0], &c, 1) == 1; i++)
				c++, (void)!write(b[1], &c, 1);
			_exit(0);
		}
		if (!fork()) {
			unsigned total = 0;
			for (int i = 0; i < 500; i++)
				total += write(a[1], &c, 1) == 1 && read(b[0], &c, 1) == 1;
			(void)!write(result[1], &total, sizeof(total));
			_exit(0);
		}
	}
	for (int k = 0; k < 4; k++) {
		unsigned total = 0;
		(void)!read(result[0], &total, sizeof(total));
		sum += total;
	}
	while (wait(NULL) > 0)
		;
	return sum;
}

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	setvbuf(stdout, NULL, _IOLBF, 0);
	mount("proc", "/proc", "proc", 0, NULL);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	printf("smp_stress: %ld processors\n", cpus);
	pthread_barrier_init(&barrier, NULL, THREADS);
	together(counters);
	check("atomic additions", atomic_count, THREADS * ROUNDS);
	check("additions under a mutex", mutex_count, THREADS * ROUNDS);
	check("additions under a spin lock", spin_count, THREADS * ROUNDS);
	check("processors that worked", (unsigned long)__builtin_popcount((unsigned)seen_cpus), (unsigned long)cpus);
	printf("race %lu\n", racy_count);
	together(mappings);
	check("mappings", pages_right, THREADS * 100);
	moving = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	together(mover);
	check("stale translations", stale, 0);
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(code, (unsigned char[]){0x90, 0x90, 0x90, 0xb8, 0, 0, 0, 0, 0xc3}, 9);
	together(rewriter);
	check("stale code", wrong_code, 0);
	together(ring);
	check("turns", (unsigned long)turn, THREADS * 100);
	check("bytes through pipes", pipes(), 2000);
	printf("smp_stress: %d failures\n", failures);
	if (getpid() == 1) {
		sync();
		reboot(RB_POWER_OFF);
	}
	return failures != 0;
}
