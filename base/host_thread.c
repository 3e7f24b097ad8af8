/* POSIX threads behind the names of base/host.h. */
#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct host_thread {
	pthread_t id;
	void (*fn)(void *ctx);
	void *ctx;
};

static void *enter(void *arg)
{
	struct host_thread *t = arg;
	t->fn(t->ctx);
	return NULL;
}

struct host_thread *host_thread_start(void (*fn)(void *ctx), void *ctx)
{
	struct host_thread *t = malloc(sizeof(*t));
	sigset_t all, before;
	if (!t)
		return NULL;
	t->fn = fn;
	t->ctx = ctx;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited: handlers run on the main thread */
	int r = pthread_create(&t->id, NULL, enter, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		free(t);
		return NULL;
	}
	return t;
}

void host_thread_join(struct host_thread *t)
{
	if (!t)
		return;
	pthread_join(t->id, NULL);
	free(t);
}

u64 host_thread_self(void)
{
	static _Thread_local char here; /* its address is this thread's alone */
	return (u64)(uintptr_t)&here;
}

struct host_monitor {
	pthread_mutex_t lock;
	pthread_cond_t news;
};

struct host_monitor *host_monitor_create(void)
{
	struct host_monitor *m = malloc(sizeof(*m));
	if (!m)
		return NULL;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->news, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return m;
}

void host_monitor_destroy(struct host_monitor *m)
{
	if (!m)
		return;
	pthread_cond_destroy(&m->news);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

void host_monitor_enter(struct host_monitor *m)
{
	pthread_mutex_lock(&m->lock);
}

void host_monitor_leave(struct host_monitor *m)
{
	pthread_mutex_unlock(&m->lock);
}

void host_monitor_wait(struct host_monitor *m)
{
	pthread_cond_wait(&m->news, &m->lock);
}

bool host_monitor_wait_for(struct host_monitor *m, u64 ns)
{
	const u64 second = 1000000000;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	ns = MIN(ns, 1000000 * second) + (u64)t.tv_nsec;
	t.tv_sec += (time_t)(ns / second);
	t.tv_nsec = (long)(ns % second);
	return !pthread_cond_timedwait(&m->news, &m->lock, &t);
}

void host_monitor_notify(struct host_monitor *m)
{
	pthread_cond_broadcast(&m->news);
}

int host_wake_open(struct host_wake *w)
{
	if (pipe(w->fd)) {
		w->fd[0] = w->fd[1] = -1;
		return -errno;
	}
	for (unsigned i = 0; i < 2; i++) {
		fcntl(w->fd[i], F_SETFL, O_NONBLOCK);
		fcntl(w->fd[i], F_SETFD, FD_CLOEXEC);
	}
	return 0;
}

void host_wake_close(struct host_wake *w)
{
	for (unsigned i = 0; i < 2; i++) {
		if (w->fd[i] >= 0)
			close(w->fd[i]);
		w->fd[i] = -1;
	}
}

void host_wake_signal(struct host_wake *w)
{
	int saved = errno; /* a signal handler may be what calls */
	if (w->fd[1] >= 0 && write(w->fd[1], "", 1) < 0) {
		/* full: it is readable already */
	}
	errno = saved;
}

void host_wake_clear(struct host_wake *w)
{
	char sink[64];
	while (w->fd[0] >= 0 && read(w->fd[0], sink, sizeof(sink)) > 0)
		;
}
