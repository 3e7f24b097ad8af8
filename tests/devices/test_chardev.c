/* Character device back ends. */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/devices/board.h"

static char received[256];
static unsigned received_n;

static void receive(void *ctx, const u8 *data, unsigned n)
{
	memcpy(received + received_n, data, n);
	received_n += n;
	received[received_n] = 0;
}

static struct chardev *open_ok(const char *what)
{
	char err[200] = "";
	struct chardev *c = chardev_open("c", what, err, sizeof(err));
	ck_assert_msg(c != NULL, "%s: %s", what, err);
	chardev_on_receive(c, receive, NULL);
	received_n = 0;
	return c;
}

START_TEST(memory_both_ways)
{
	struct chardev *c = open_ok("memory");
	size_t n;
	chardev_write(c, "out", 3);
	ck_assert_mem_eq(chardev_memory_output(c, &n), "out", 3);
	chardev_memory_input(c, "input", 5);
	ck_assert_uint_eq(chardev_poll(c, 3), 3);
	ck_assert_uint_eq(chardev_poll(c, 0), 0);
	ck_assert_uint_eq(chardev_poll(c, 10), 2);
	ck_assert_str_eq(received, "input");
	ck_assert(!chardev_interactive(c));
	chardev_close(c);
}
END_TEST

START_TEST(file_is_written)
{
	char path[] = "/tmp/orrery-chardev-XXXXXX", what[64], text[32] = "";
	int fd = mkstemp(path);
	snprintf(what, sizeof(what), "file:%s", path);
	struct chardev *c = open_ok(what);
	chardev_write(c, "no newline", 10);
	chardev_close(c);
	ck_assert_int_eq(read(fd, text, sizeof(text)), 10);
	ck_assert_str_eq(text, "no newline");
	close(fd);
	unlink(path);
}
END_TEST

static void wait_for(struct chardev *c, unsigned n)
{
	for (unsigned i = 0; i < 200 && received_n < n; i++) {
		chardev_poll(c, 100);
		usleep(1000);
	}
	ck_assert_uint_eq(received_n, n);
}

START_TEST(tcp_server_and_client)
{
	char what[64];
	struct chardev *s = NULL;
	unsigned port;
	char err[200];
	for (port = 40100; !s && port < 40200; port++) {
		snprintf(what, sizeof(what), "tcp:127.0.0.1:%u,server,wait=off", port);
		s = chardev_open("s", what, err, sizeof(err));
	}
	ck_assert_msg(s != NULL, "%s", err);
	chardev_write(s, "early", 5); /* kept until someone comes */
	snprintf(what, sizeof(what), "tcp:127.0.0.1:%u", port - 1);
	struct chardev *c = open_ok(what);
	chardev_poll(s, 10);
	wait_for(c, 5);
	ck_assert_str_eq(received, "early");
	chardev_on_receive(s, receive, NULL);
	received_n = 0;
	chardev_write(c, "back\n", 5);
	wait_for(s, 5);
	ck_assert(chardev_interactive(s));
	chardev_close(c);
	chardev_poll(s, 10);
	ck_assert(!chardev_eof(s)); /* the next client may come */
	chardev_close(s);
}
END_TEST

START_TEST(pipe_end_is_eof)
{
	int p[2];
	char what[32];
	ck_assert_int_eq(pipe(p), 0);
	snprintf(what, sizeof(what), "fd:%d", p[0]);
	struct chardev *c = open_ok(what);
	ck_assert_uint_eq(chardev_poll(c, 10), 0);
	ck_assert_int_eq(write(p[1], "x", 1), 1);
	close(p[1]);
	ck_assert_uint_eq(chardev_poll(c, 10), 1);
	ck_assert(!chardev_eof(c));
	chardev_poll(c, 10);
	ck_assert(chardev_eof(c));
	chardev_close(c);
	close(p[0]);
}
END_TEST

START_TEST(slow_host_does_not_block)
{
	int p[2];
	char what[32], block[4096];
	memset(block, 'x', sizeof(block));
	ck_assert_int_eq(pipe(p), 0);
	snprintf(what, sizeof(what), "fd:%d", p[1]);
	struct chardev *c = open_ok(what);
	for (unsigned i = 0; i < 2000; i++) /* 8 MB into a 64-KB pipe */
		chardev_write(c, block, sizeof(block));
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	chardev_close(c);
	close(p[1]);
}
END_TEST

START_TEST(bad_descriptions_are_explained)
{
	static const char *const bad[][2] = {{"sdtio", "did you mean 'stdio'"},
					     {"file:/nonexistent/x", "No such file"},
					     {"tcp:nohost", "HOST:PORT"},
					     {"fd:99999", "Bad file"},
					     {"stdio,foo", "Invalid"}};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		char err[300] = "";
		ck_assert_ptr_null(chardev_open("c", bad[i][0], err, sizeof(err)));
		ck_assert_msg(strstr(err, bad[i][1]) != NULL, "%s: %s", bad[i][0], err);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chardev");
	ADD_ALL(s, memory_both_ways, file_is_written, tcp_server_and_client, pipe_end_is_eof,
		slow_host_does_not_block, bad_descriptions_are_explained);
	return run_suite(s);
}
