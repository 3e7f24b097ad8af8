/* Host ends of character devices. The operating system is met in chardev_open() and behind read,
 * write; the rest is queueing. */
#define _GNU_SOURCE
#include "devices/backends/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/config.h"

#define OUT_LIMIT  (4u << 20) /* unsent output kept for a slow host end */
#define READ_CHUNK 512u

enum kind { KIND_NULL, KIND_STDIO, KIND_FILE, KIND_PTY, KIND_TCP, KIND_MEMORY, KIND_FD };

struct bytes {
	u8 *data;
	size_t start, len, cap; /* used: start..start+len */
};

struct chardev {
	char id[32];
	enum kind kind;
	int in, out;   /* descriptors, -1: none */
	int listener;  /* tcp server */
	int pty_slave; /* kept open so that the master does not hang up between users */
	bool server, eof, said_drop, input_seen, mute;
	struct bytes pending, memory_in;
	char *path; /* a file that is not open yet */
	struct host_tty tty;
	unsigned connections;
	void (*receive)(void *ctx, const u8 *data, unsigned n);
	void *receive_ctx;
};

/* ---- byte queues ------------------------------------------------------------------------- */

static void drop_front(struct bytes *b, size_t n)
{
	b->start += n;
	b->len -= n;
	if (!b->len)
		b->start = 0;
}

static bool append(struct bytes *b, const void *data, size_t n)
{
	if (b->start && b->start + b->len + n > b->cap) {
		memmove(b->data, b->data + b->start, b->len);
		b->start = 0;
	}
	if (b->len + n > b->cap) {
		size_t cap = MAX(b->cap * 2, b->len + n + 4096);
		u8 *grown = realloc(b->data, cap);
		if (!grown)
			return false;
		b->data = grown;
		b->cap = cap;
	}
	memcpy(b->data + b->start + b->len, data, n);
	b->len += n;
	return true;
}

/* ---- opening ----------------------------------------------------------------------------- */

static int fail(char *err, size_t n, const char *what, int e)
{
	snprintf(err, n, "%s: %s", what, strerror(e));
	return -e;
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ? -errno : 0;
}

static int open_null(struct chardev *c, const char *arg, char *err, size_t n)
{
	return 0;
}

/* Standard input and output stay in blocking mode, which other programs share: reads follow a poll.
 */
static int open_stdio(struct chardev *c, const char *arg, char *err, size_t n)
{
	bool signals = true;
	if (!strcmp(arg, "signal=off"))
		signals = false;
	else if (*arg && strcmp(arg, "signal=on"))
		return fail(err, n, arg, EINVAL);
	c->in = STDIN_FILENO;
	c->out = STDOUT_FILENO;
	int e = host_tty_raw(&c->tty, c->in, signals);
	return e ? fail(err, n, "stdio", -e) : 0;
}

/* It is made, or emptied, when the machine runs: a machine that cannot be had leaves no trace. */
static int open_file(struct chardev *c, const char *arg, char *err, size_t n)
{
	int e = host_file_check(arg);
	if (e)
		return fail(err, n, arg, -e);
	c->path = strdup(arg);
	return c->path ? 0 : fail(err, n, arg, ENOMEM);
}

static void begin_file(struct chardev *c)
{
	c->out = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (c->out < 0)
		fprintf(stderr, "orrery: warning: %s: %s: %s; its output is lost\n", c->id, c->path, strerror(errno));
	free(c->path);
	c->path = NULL;
}

static int open_fd(struct chardev *c, const char *arg, char *err, size_t n)
{
	u64 fd;
	if (parse_uint(arg, &fd) || fd > 65535 || fcntl((int)fd, F_GETFD) < 0)
		return fail(err, n, "fd", EBADF);
	c->in = c->out = (int)fd;
	set_nonblocking(c->in);
	return 0;
}

static int open_pty(struct chardev *c, const char *arg, char *err, size_t n)
{
	char name[128];
	struct termios t;
	c->in = c->out = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->in < 0 || grantpt(c->in) || unlockpt(c->in) || ptsname_r(c->in, name, sizeof(name)))
		return fail(err, n, "pty", errno);
	c->pty_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->pty_slave < 0)
		return fail(err, n, name, errno);
	if (!tcgetattr(c->pty_slave, &t)) {
		cfmakeraw(&t);
		tcsetattr(c->pty_slave, TCSANOW, &t);
	}
	set_nonblocking(c->in);
	fprintf(stderr, "orrery: %s is at %s\n", c->id, name);
	return 0;
}

struct tcp_options {
	char host[200], port[16];
	bool server, wait;
};

/* [,server[=on]][,wait=on|off][,nowait] */
static int parse_socket(char *rest, struct tcp_options *o)
{
	while (rest && *rest) {
		char *next = strchr(rest, ',');
		if (next)
			*next++ = 0;
		if (!strcmp(rest, "server") || !strcmp(rest, "server=on"))
			o->server = true;
		else if (!strcmp(rest, "nowait") || !strcmp(rest, "wait=off"))
			o->wait = false;
		else if (strcmp(rest, "wait=on") && strcmp(rest, "server=off"))
			return -EINVAL;
		rest = next;
	}
	return 0;
}

/* HOST:PORT and what parse_socket() takes. */
static int parse_tcp(const char *arg, struct tcp_options *o)
{
	char text[256];
	*o = (struct tcp_options){.wait = true};
	if (strlen(arg) >= sizeof(text))
		return -EINVAL;
	strcpy(text, arg);
	char *rest = strchr(text, ',');
	if (rest)
		*rest++ = 0;
	char *colon = strrchr(text, ':');
	if (!colon || strlen(colon + 1) >= sizeof(o->port))
		return -EINVAL;
	*colon = 0;
	snprintf(o->host, sizeof(o->host), "%.199s", text);
	strcpy(o->port, colon + 1);
	u64 port;
	if (!parse_uint(o->port, &port) && port > 65535)
		return -ERANGE;
	return parse_socket(rest, o);
}

static void use_connection(struct chardev *c, int fd)
{
	int on = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	set_nonblocking(fd);
	c->in = c->out = fd;
	c->eof = false;
	c->connections++;
}

static void try_accept(struct chardev *c)
{
	if (c->listener < 0 || c->in >= 0)
		return;
	int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		use_connection(c, fd);
}

static int start_server(struct chardev *c, int fd, const struct addrinfo *a, bool wait)
{
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 1))
		return -errno;
	c->listener = fd;
	if (wait) {
		fprintf(stderr, "orrery: %s waits for a connection\n", c->id);
		while (c->in < 0)
			try_accept(c);
	}
	return set_nonblocking(fd);
}

static int connect_or_serve(struct chardev *c, const struct addrinfo *a,
			    const struct tcp_options *o)
{
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol), e = 0;
	if (fd < 0)
		return -errno;
	if (o->server)
		e = start_server(c, fd, a, o->wait);
	else if (connect(fd, a->ai_addr, a->ai_addrlen))
		e = -errno;
	else
		use_connection(c, fd);
	if (e) {
		close(fd);
		c->listener = -1;
	}
	return e;
}

static int open_tcp(struct chardev *c, const char *arg, char *err, size_t n)
{
	struct tcp_options o;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
	int g = parse_tcp(arg, &o);
	if (g == -ERANGE) {
		snprintf(err, n, "%s: there is no port %s; ports go up to 65535", arg, o.port);
		return g;
	}
	if (g)
		return fail(err, n, "tcp:HOST:PORT[,server][,wait=off]", EINVAL);
	g = getaddrinfo(o.host[0] ? o.host : NULL, o.port, &hints, &list);
	if (g) {
		snprintf(err, n, "%s: %s", arg, gai_strerror(g));
		return -EINVAL;
	}
	int e = -ECONNREFUSED;
	for (struct addrinfo *a = list; a && e; a = a->ai_next)
		e = connect_or_serve(c, a, &o);
	freeaddrinfo(list);
	c->server = o.server;
	return e ? fail(err, n, arg, -e) : 0;
}

/* A socket file of a server that has gone is in the way, and goes; any other file stays. */
static void remove_socket(const char *path)
{
	struct stat st;
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
}

/* PATH and what parse_socket() takes. */
static int open_unix(struct chardev *c, const char *arg, char *err, size_t n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct addrinfo a = {
	    .ai_family = AF_UNIX, .ai_socktype = SOCK_STREAM, .ai_addr = (struct sockaddr *)&un, .ai_addrlen = sizeof(un)};
	struct tcp_options o = {.wait = true};
	char text[256];
	size_t path = strcspn(arg, ",");
	snprintf(text, sizeof(text), "%s", arg[path] ? arg + path + 1 : "");
	if (!path || path >= sizeof(un.sun_path) || parse_socket(text, &o))
		return fail(err, n, "unix:PATH[,server][,wait=off]", EINVAL);
	memcpy(un.sun_path, arg, path);
	if (o.server)
		remove_socket(un.sun_path);
	int e = connect_or_serve(c, &a, &o);
	c->server = o.server;
	return e ? fail(err, n, arg, -e) : 0;
}

static const struct {
	const char *name;
	enum kind kind;
	int (*open)(struct chardev *c, const char *arg, char *err, size_t n);
} kinds[] = {
    {"null", KIND_NULL, open_null},     {"none", KIND_NULL, open_null},
    {"stdio", KIND_STDIO, open_stdio},  {"file", KIND_FILE, open_file},
    {"pty", KIND_PTY, open_pty},        {"tcp", KIND_TCP, open_tcp},	{"unix", KIND_TCP, open_unix},
    {"memory", KIND_MEMORY, open_null}, {"fd", KIND_FD, open_fd},
};

static int find_kind(const char *description, char *err, size_t n)
{
	const char *names[ARRAY_SIZE(kinds) + 1] = {0};
	char word[32];
	snprintf(word, sizeof(word), "%.*s", (int)MIN(strcspn(description, ":,"), 31), description);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		names[i] = kinds[i].name;
		if (!strcmp(word, kinds[i].name))
			return (int)i;
	}
	const char *near = nearest(word, names);
	snprintf(err, n, "no character device '%s'%s%s%s", word, near ? "; did you mean '" : "",
		 near ? near : "", near ? "'?" : "");
	return -1;
}

struct chardev *chardev_open(const char *id, const char *description, char *err, size_t err_size)
{
	int k = find_kind(description, err, err_size);
	struct chardev *c = k < 0 ? NULL : calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	snprintf(c->id, sizeof(c->id), "%s", id);
	c->kind = kinds[k].kind;
	c->in = c->out = c->listener = c->pty_slave = -1;
	const char *arg = description + strcspn(description, ":,");
	if (*arg)
		arg++;
	if (kinds[k].open(c, arg, err, err_size)) {
		chardev_close(c);
		return NULL;
	}
	return c;
}

const char *chardev_id(const struct chardev *c)
{
	return c->id;
}

/* ---- output ------------------------------------------------------------------------------ */

static void hang_up(struct chardev *c)
{
	if (c->kind == KIND_TCP && c->in >= 0)
		close(c->in);
	if (c->kind == KIND_TCP)
		c->out = -1;
	c->in = -1;
	c->eof = c->listener < 0;
}

static ssize_t write_some(struct chardev *c, const u8 *data, size_t n)
{
	if (c->kind == KIND_TCP)
		return send(c->out, data, n, MSG_NOSIGNAL);
	struct host_poll p = {.fd = c->out, .want = HOST_POLL_OUT};
	if (c->kind == KIND_STDIO && host_poll(&p, 1, 0) <= 0) {
		errno = EAGAIN;
		return -1;
	}
	/* A pipe in blocking mode takes at least this much once it is writable. */
	return write(c->out, data, c->kind == KIND_STDIO ? MIN(n, 512) : n);
}

static void flush(struct chardev *c)
{
	struct bytes *b = &c->pending;
	while (b->len && c->out >= 0) {
		ssize_t w = write_some(c, b->data + b->start, b->len);
		if (w > 0) {
			drop_front(b, (size_t)w);
			continue;
		}
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			if (c->kind == KIND_TCP) {
				hang_up(c);
				return;
			}
			fprintf(stderr, "orrery: warning: %s: %s; the rest of its output is lost\n", c->id, strerror(errno));
			c->out = -1;
		}
		return;
	}
}

void chardev_mute(struct chardev *c, bool on)
{
	c->mute = on;
}

void chardev_write(struct chardev *c, const void *data, size_t n)
{
	if (c->kind == KIND_NULL || c->mute)
		return;
	if (c->path)
		begin_file(c);
	if (c->out < 0 && c->kind != KIND_MEMORY && !(c->kind == KIND_TCP && c->server))
		return;
	if (c->pending.len + n > OUT_LIMIT && c->kind != KIND_MEMORY) {
		if (!c->said_drop)
			fprintf(stderr,
				"orrery: %s does not take its output; some of it is dropped\n",
				c->id);
		c->said_drop = true;
		drop_front(&c->pending, MIN(c->pending.len, n));
	}
	append(&c->pending, data, n);
	if (c->kind != KIND_MEMORY && (c->pending.len >= 256 || memchr(data, '\n', n)))
		flush(c);
}

/* ---- input ------------------------------------------------------------------------------- */

static unsigned deliver(struct chardev *c, const u8 *data, unsigned n)
{
	if (n && c->receive)
		c->receive(c->receive_ctx, data, n);
	return n;
}

static unsigned poll_memory(struct chardev *c, unsigned room)
{
	struct bytes *b = &c->memory_in;
	u8 chunk[READ_CHUNK];
	unsigned n = (unsigned)MIN(b->len, MIN(room, READ_CHUNK));
	if (!n)
		return 0;
	memcpy(chunk, b->data + b->start, n);
	drop_front(b, n);
	return deliver(c, chunk, n);
}

static unsigned poll_fd(struct chardev *c, unsigned room)
{
	u8 chunk[READ_CHUNK];
	struct host_poll p = {.fd = c->in, .want = HOST_POLL_IN};
	if (host_poll(&p, 1, 0) <= 0 || !(p.ready & HOST_POLL_IN))
		return 0;
	ssize_t r = read(c->in, chunk, MIN(room, READ_CHUNK));
	if (r > 0)
		return deliver(c, chunk, (unsigned)r);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* A terminal in raw mode with VMIN 0 reads 0 when there is nothing. */
	if (r == 0 && c->tty.raw)
		return 0;
	if (c->kind != KIND_PTY)
		hang_up(c);
	return 0;
}

unsigned chardev_poll(struct chardev *c, unsigned room)
{
	try_accept(c);
	if (c->path)
		begin_file(c);
	if (c->kind == KIND_MEMORY)
		return poll_memory(c, room);
	flush(c);
	return c->in >= 0 && room ? poll_fd(c, room) : 0;
}

void chardev_on_receive(struct chardev *c, void (*receive)(void *ctx, const u8 *data, unsigned n),
			void *ctx)
{
	c->receive = receive;
	c->receive_ctx = ctx;
}

unsigned chardev_pollfds(struct chardev *c, struct host_poll *p)
{
	unsigned n = 0;
	if (c->in >= 0)
		p[n++] = (struct host_poll){.fd = c->in, .want = HOST_POLL_IN};
	else if (c->listener >= 0)
		p[n++] = (struct host_poll){.fd = c->listener, .want = HOST_POLL_IN};
	if (c->pending.len && c->out >= 0 && c->kind != KIND_FILE)
		p[n++] = (struct host_poll){.fd = c->out, .want = HOST_POLL_OUT};
	return n;
}

bool chardev_interactive(const struct chardev *c)
{
	switch (c->kind) {
	case KIND_STDIO: return c->in >= 0;
	case KIND_PTY: return true;
	case KIND_TCP: return c->in >= 0 || c->listener >= 0;
	case KIND_FD: return c->in >= 0;
	default: return false;
	}
}

bool chardev_connected(const struct chardev *c)
{
	return c->in >= 0 || c->kind == KIND_MEMORY;
}

bool chardev_eof(const struct chardev *c)
{
	return c->eof;
}

void chardev_accept(struct chardev *c)
{
	try_accept(c);
}

void chardev_drop_output(struct chardev *c)
{
	drop_front(&c->pending, c->pending.len);
}

unsigned chardev_connections(const struct chardev *c)
{
	return c->kind == KIND_TCP ? c->connections : 1;
}

const u8 *chardev_memory_output(struct chardev *c, size_t *n)
{
	*n = c->pending.len;
	return c->pending.data + c->pending.start;
}

void chardev_memory_input(struct chardev *c, const void *data, size_t n)
{
	append(&c->memory_in, data, n);
}

bool chardev_is_pty(const struct chardev *c)
{
	return c->kind == KIND_PTY;
}

struct host_tty *chardev_tty(struct chardev *c)
{
	return c->kind == KIND_STDIO ? &c->tty : NULL;
}

/* ---- closing ----------------------------------------------------------------------------- */

/* A slow reader gets a second to take the rest. */
static void last_flush(struct chardev *c)
{
	for (unsigned i = 0; i < 20 && c->pending.len && c->out >= 0; i++) {
		struct host_poll p = {.fd = c->out, .want = HOST_POLL_OUT};
		host_poll(&p, 1, 50000000);
		flush(c);
	}
}

static void close_fd(int fd)
{
	if (fd > STDERR_FILENO)
		close(fd);
}

void chardev_close(struct chardev *c)
{
	if (!c)
		return;
	if (c->kind != KIND_MEMORY)
		last_flush(c);
	host_tty_restore(&c->tty);
	if (c->kind != KIND_FD) {
		close_fd(c->in);
		if (c->out != c->in)
			close_fd(c->out);
	}
	close_fd(c->listener);
	close_fd(c->pty_slave);
	free(c->pending.data);
	free(c->memory_in.data);
	free(c->path);
	free(c);
}
