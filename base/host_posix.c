#define _GNU_SOURCE
/* POSIX implementation of base/host.h. */
#include "base/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

u64 host_monotonic_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + (u64)t.tv_nsec;
}

s64 host_realtime_s(void)
{
	return time(NULL);
}

static int read_all(int fd, u8 *data, u64 n)
{
	for (u64 at = 0; at < n;) {
		ssize_t r = read(fd, data + at, n - at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			return -EIO;
		at += (u64)r;
	}
	return 0;
}

static int read_open_file(int fd, u64 max, u8 **data, u64 *n)
{
	struct stat st;
	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ESPIPE;
	if ((u64)st.st_size > max)
		return -EFBIG;
	*n = (u64)st.st_size;
	*data = malloc(*n + 1);
	if (!*data)
		return -ENOMEM;
	(*data)[*n] = 0;
	int err = read_all(fd, *data, *n);
	if (err)
		free(*data);
	return err;
}

int host_file_read(const char *path, u64 max, u8 **data, u64 *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* opening a pipe would wait for its writer */
	if (fd < 0)
		return -errno;
	int err = read_open_file(fd, max, data, n);
	close(fd);
	return err;
}

const char *host_file_why(int err)
{
	return err == -ESPIPE ? "is not a regular file" : err == -EFBIG ? "is too large" : strerror(-err);
}

/* Whether a file can be made where @path says. */
static int check_folder(const char *path)
{
	char folder[4096];
	const char *slash = strrchr(path, '/');
	if (!*path)
		return -ENOENT;
	if (slash && !slash[1])
		return -EISDIR;
	if (slash && slash - path >= (int)sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	return access(slash == path ? "/" : folder, W_OK | X_OK) ? -errno : 0;
}

int host_file_check(const char *path)
{
	struct stat st;
	if (stat(path, &st))
		return errno == ENOENT ? check_folder(path) : -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, W_OK) ? -errno : 0;
}

static int write_all(int fd, const u8 *data, u64 n)
{
	while (n) {
		ssize_t w = write(fd, data, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		data += w;
		n -= (u64)w;
	}
	return 0;
}

/* A device, a pipe: there is nothing to replace. */
static int write_through(const char *path, const void *data, u64 n)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	int err = write_all(fd, data, n);
	if (close(fd) && !err)
		err = -errno;
	return err;
}

static int replace_file(const char *path, const void *data, u64 n)
{
	char temp[4096];
	if (snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	int fd = mkstemp(temp);
	if (fd < 0)
		return -errno;
	int err = write_all(fd, data, n);
	if (!err && (fchmod(fd, 0644) || fsync(fd)))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temp, path))
		err = -errno;
	if (err)
		unlink(temp);
	return err;
}

int host_file_write_atomic(const char *path, const void *data, u64 n)
{
	struct stat st;
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_through(path, data, n);
	char *real = lstat(path, &st) || !S_ISLNK(st.st_mode) ? NULL : realpath(path, NULL);
	int err = replace_file(real ? real : path, data, n);
	free(real);
	return err;
}

#define HUGE_PAGE (2ull << 20)

/*
 * Guest RAM and decoded code are touched all over: with 4-KiB pages the host's own TLB misses would cost more than many
 * an instruction. So large areas start at a multiple of 2 MiB and ask for huge pages, where the host has some to give.
 */
void *host_alloc_pages(u64 n)
{
	u64 slack = n >= HUGE_PAGE ? HUGE_PAGE : 0;
	u8 *p = mmap(NULL, n + slack, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (slack) {
		u64 head = -(uintptr_t)p & (HUGE_PAGE - 1);

		if (head)
			munmap(p, head);
		p += head;
		if (slack - head)
			munmap(p + ((n + 4095) & ~4095ull), slack - head);
		madvise(p, n, MADV_HUGEPAGE);
	}
	return p;
}

void host_free_pages(void *p, u64 n)
{
	if (p)
		munmap(p, n);
}

#define POLL_MAX 64

int host_poll(struct host_poll *p, unsigned n, u64 timeout_ns)
{
	struct pollfd fds[POLL_MAX];
	n = MIN(n, POLL_MAX);
	for (unsigned i = 0; i < n; i++)
		fds[i] =
		    (struct pollfd){.fd = p[i].fd,
				    .events = (short)((p[i].want & HOST_POLL_IN ? POLLIN : 0) |
						      (p[i].want & HOST_POLL_OUT ? POLLOUT : 0))};
	struct timespec ts = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
	int r = ppoll(fds, n, timeout_ns == UINT64_MAX ? NULL : &ts, NULL);
	for (unsigned i = 0; i < n; i++) {
		short e = r > 0 ? fds[i].revents : 0;
		p[i].ready = (e & (POLLIN | POLLHUP | POLLERR) ? HOST_POLL_IN : 0) |
			     (e & POLLOUT ? HOST_POLL_OUT : 0);
	}
	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r;
}

static int make_raw(int fd, struct termios now, bool keep_signals)
{
	now.c_iflag &=
	    ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	now.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN | (keep_signals ? 0 : ISIG));
	now.c_cc[VMIN] = 0;
	now.c_cc[VTIME] = 0;
	return tcsetattr(fd, TCSANOW, &now) ? -errno : 0;
}

int host_tty_raw(struct host_tty *t, int fd, bool keep_signals)
{
	struct termios now;
	_Static_assert(sizeof(now) <= sizeof(t->saved), "struct host_tty too small");
	*t = (struct host_tty){.fd = fd, .keep_signals = keep_signals};
	if (!isatty(fd))
		return 0;
	if (tcgetattr(fd, &now))
		return -errno;
	memcpy(t->saved, &now, sizeof(now));
	int r = make_raw(fd, now, keep_signals);
	t->raw = !r;
	return r;
}

void host_tty_again(const struct host_tty *t)
{
	struct termios saved;
	memcpy(&saved, t->saved, sizeof(saved));
	if (t->raw)
		(void)make_raw(t->fd, saved, t->keep_signals);
}

void host_tty_restore(struct host_tty *t)
{
	struct termios saved;
	if (!t->raw)
		return;
	memcpy(&saved, t->saved, sizeof(saved));
	tcsetattr(t->fd, TCSANOW, &saved);
	t->raw = false;
}

int host_tty_spare(int fd[2])
{
	char name[128];

	fd[1] = -1;
	fd[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[0] >= 0 && !grantpt(fd[0]) && !unlockpt(fd[0]) && !ptsname_r(fd[0], name, sizeof(name)))
		fd[1] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[1] >= 0)
		return 0;
	int e = errno;
	host_tty_spare_close(fd);
	return -e;
}

void host_tty_spare_close(int fd[2])
{
	for (unsigned i = 0; i < 2; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
}
