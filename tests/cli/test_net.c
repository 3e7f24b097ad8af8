/* Networks and cards on the command line: -netdev, -nic, -net, -object, and the card that comes
 * unasked. */
#include <check.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "frontend/cli/options.h"

static struct cli cli;
static struct errtext e;
static FILE *out;

#define PARSE(...) parse((char *[]){(char *)"orrery", __VA_ARGS__, NULL})
static enum cli_outcome parse(char *const *argv)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	cli_free(&cli);
	return cli_parse(&cli, argc, argv, out, out, &e);
}

static void is(const char *netdev, const char *device)
{
	if (netdev)
		ck_assert_str_eq(cli.cfg.netdev[0].description, netdev);
	else
		ck_assert_ptr_null(cli.cfg.netdev[0].id);
	if (device)
		ck_assert_str_eq(cli.cfg.device[0], device);
	else
		ck_assert_ptr_null(cli.cfg.device[0]);
}

static void bad(enum cli_outcome r, const char *words)
{
	ck_assert_int_eq(r, CLI_BAD);
	ck_assert_msg(strstr(e.s, words) != NULL, "said \"%s\", expected \"%s\"", e.s, words);
}

START_TEST(netdev_and_device)
{
	ck_assert_int_eq(PARSE("-kernel", "k", "-netdev", "user,id=n0,hostfwd=tcp::1-:2", "-device",
			       "e1000,netdev=n0"),
			 CLI_RUN);
	ck_assert_str_eq(cli.cfg.netdev[0].id, "n0");
	is("user,hostfwd=tcp::1-:2", "e1000,netdev=n0");
	bad(PARSE("-kernel", "k", "-netdev", "user"), "id=NAME");
	bad(PARSE("-kernel", "k", "-netdev", "user,id=a", "-netdev", "none,id=a"),
	    "two have the id");
}
END_TEST

START_TEST(nic_is_both)
{
	ck_assert_int_eq(
	    PARSE("-kernel", "k", "-nic", "user,model=virtio,mac=52:54:00:00:00:01,tftp=/srv"),
	    CLI_RUN);
	is("user,tftp=/srv", "virtio-net-pci,netdev=nic0,mac=52:54:00:00:00:01");
	ck_assert_int_eq(PARSE("-kernel", "k", "-nic", "none"), CLI_RUN);
	is(NULL, NULL);
	bad(PARSE("-kernel", "k", "-nic", "user,model=e100"), "did you mean 'e1000'");
}
END_TEST

START_TEST(older_options_are_paired)
{
	ck_assert_int_eq(PARSE("-kernel", "k", "-net",
			       "nic,model=ne2k_pci,macaddr=52:54:00:00:00:02", "-net", "user"),
			 CLI_RUN);
	is("user", "ne2k_pci,netdev=old0,mac=52:54:00:00:00:02");
	ck_assert_int_eq(PARSE("-kernel", "k", "-net", "none"), CLI_RUN);
	is(NULL, NULL);
}
END_TEST

START_TEST(captures_belong_to_a_network)
{
	ck_assert_int_eq(PARSE("-kernel", "k", "-netdev", "user,id=a", "-object",
			       "filter-dump,id=f,netdev=a,file=x.pcap"),
			 CLI_RUN);
	is("user,capture=x.pcap", NULL);
	bad(PARSE("-kernel", "k", "-object", "filter-dump,id=f,netdev=a,file=x.pcap"),
	    "no -netdev before it");
	ck_assert_int_eq(PARSE("-kernel", "k", "-object", "rng-random,id=r,filename=/dev/urandom"),
			 CLI_RUN);
}
END_TEST

/* Firmware boots what expects a network; a kernel that is started directly, and the demonstration,
 * do not. */
START_TEST(card_by_default)
{
	ck_assert_int_eq(PARSE("-bios", "b"), CLI_RUN);
	is("user", "e1000,netdev=net0");
	ck_assert_int_eq(PARSE("-bios", "b", "-nodefaults"), CLI_RUN);
	is(NULL, NULL);
	ck_assert_int_eq(PARSE("-bios", "b", "-net", "none"), CLI_RUN);
	is(NULL, NULL);
	ck_assert_int_eq(PARSE("-kernel", "k"), CLI_RUN);
	is(NULL, NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net options");
	TCase *t = tcase_create("all");
	out = fopen("/dev/null", "w");
	tcase_add_test(t, netdev_and_device);
	tcase_add_test(t, nic_is_both);
	tcase_add_test(t, older_options_are_paired);
	tcase_add_test(t, captures_belong_to_a_network);
	tcase_add_test(t, card_by_default);
	suite_add_tcase(s, t);
	int failed = run_suite(s);
	cli_free(&cli);
	fclose(out);
	return failed;
}
