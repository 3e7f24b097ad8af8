/* GDB's remote protocol without GDB: framing, the description of the processor, a session on a machine that stands. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/suite.h"
#include "cpu/exec/exec.h"
#include "debug/gdb_session.h"

static char out[1 << 18];
static unsigned out_n;

static void collect(void *ctx, const void *data, unsigned n)
{
	ck_assert_uint_lt(out_n + n, sizeof(out));
	memcpy(out + out_n, data, n);
	out_n += n;
	out[out_n] = 0;
}

static struct machine *m;
static struct debugger *d;
static struct gdb_session *s;

/* mov eax, 1; jmp $, at 100000h */
static void setup(void)
{
	static u32 image[64] = {0x1badb002, 0x10000, 0 - 0x1badb002u - 0x10000, 0x100000, 0x100000, 0, 0, 0x100020,
				0x000001b8, 0x90feeb00};
	const struct gdb_hooks hooks = {.send = collect};
	struct machine_config cfg;
	struct errtext e;

	machine_config_init(&cfg);
	cfg.ram_bytes = 4 << 20;
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	ck_assert_msg(!machine_create(&cfg, &m, &e), "%s", e.s);
	d = dbg_create(m);
	s = gdb_session_create(d, GDB_X86_64, &hooks);
	gdb_session_connected(s);
}

static void teardown(void)
{
	gdb_session_destroy(s);
	dbg_destroy(d);
	machine_destroy(m);
}

/* Sends a packet; the answer without its frame. */
static const char *ask_bytes(const void *packet, unsigned n)
{
	u8 frame[2 * 4096 + 4];

	out_n = 0;
	gdb_session_feed(s, frame, gdb_frame(frame, packet, n));
	ck_assert_int_eq(out[0], '+');
	ck_assert_int_eq(out[1], '$');
	ck_assert_int_eq(out[out_n - 3], '#');
	out[out_n - 3] = 0;
	return out + 2;
}

static const char *ask(const char *packet)
{
	return ask_bytes(packet, (unsigned)strlen(packet));
}

/* ---- framing -------------------------------------------------------------------------------------------------------- */

static struct gdb_reader reader;

static enum gdb_event feed(const char *bytes)
{
	enum gdb_event last = GDB_NOTHING;

	for (; *bytes; bytes++) {
		enum gdb_event e = gdb_reader_feed(&reader, (u8)*bytes);

		last = e ? e : last;
	}
	return last;
}

START_TEST(packets_are_found)
{
	gdb_reader_init(&reader);
	ck_assert_int_eq(feed("+"), GDB_ACK);
	ck_assert_int_eq(feed("-"), GDB_NAK);
	ck_assert_int_eq(feed("\x03"), GDB_BREAK);
	ck_assert_int_eq(feed("noise$g#67"), GDB_PACKET);
	ck_assert_str_eq((char *)reader.data, "g");
	ck_assert_int_eq(feed("$g#68"), GDB_BAD);
	ck_assert_int_eq(feed("$g#6x"), GDB_BAD);
	ck_assert_int_eq(feed("$be$g#67"), GDB_PACKET); /* begun anew */
	ck_assert_uint_eq(reader.n, 1);
	ck_assert_int_eq(feed("$#00"), GDB_PACKET);
	ck_assert_uint_eq(reader.n, 0);
}
END_TEST

START_TEST(frames_come_back)
{
	u8 data[256], frame[2 * 256 + 4];
	unsigned n;

	for (unsigned i = 0; i < 256; i++)
		data[i] = (u8)i;
	n = gdb_frame(frame, data, 256);
	gdb_reader_init(&reader);
	for (unsigned i = 0; i + 1 < n; i++)
		ck_assert_int_eq(gdb_reader_feed(&reader, frame[i]), GDB_NOTHING);
	ck_assert_int_eq(gdb_reader_feed(&reader, frame[n - 1]), GDB_PACKET);
	ck_assert_uint_eq(reader.n, 256);
	ck_assert_mem_eq(reader.data, data, 256);
}
END_TEST

START_TEST(overlong_packets_are_refused)
{
	gdb_reader_init(&reader);
	ck_assert_int_eq(gdb_reader_feed(&reader, '$'), GDB_NOTHING);
	for (unsigned i = 0; i < 3 * GDB_PACKET_MAX; i++)
		ck_assert_int_eq(gdb_reader_feed(&reader, 0x80), GDB_NOTHING);
	ck_assert_int_eq(feed("#00"), GDB_BAD);
	ck_assert_int_eq(feed("$g#67"), GDB_PACKET);
}
END_TEST

START_TEST(numbers_have_at_most_16_digits)
{
	const char *p = "12aB,ffffffffffffffff,10000000000000000";
	u64 v;

	ck_assert(gdb_hex(&p, &v));
	ck_assert_uint_eq(v, 0x12ab);
	ck_assert_int_eq(*p++, ',');
	ck_assert(!gdb_hex(&p, &v) || v == ~0ull);
	p++;
	ck_assert(!gdb_hex(&p, &v));
	p = "x";
	ck_assert(!gdb_hex(&p, &v));
}
END_TEST

/* ---- the description ------------------------------------------------------------------------------------------------ */

START_TEST(descriptions_name_every_register)
{
	for (unsigned arch = 0; arch < GDB_ARCHS; arch++) {
		char *xml = gdb_target_xml((enum gdb_arch)arch), name[64];
		const struct gdb_register *r;

		for (unsigned i = 0; (r = gdb_register_at((enum gdb_arch)arch, i)); i++) {
			snprintf(name, sizeof(name), "<reg name=\"%s\" bitsize=\"%u\"", r->name, r->bits);
			ck_assert_msg(strstr(xml, name), "%s", name);
		}
		free(xml);
	}
}
END_TEST

/* ---- a session ------------------------------------------------------------------------------------------------------ */

START_TEST(registers_are_read_and_written)
{
	struct cpu *cpu = machine_cpu(m, 0);
	unsigned bytes = 0;

	for (unsigned i = 0; gdb_register_at(GDB_X86_64, i); i++)
		bytes += gdb_register_at(GDB_X86_64, i)->bits / 8u;
	cpu->efer = 0x500;
	cpu->r[RBX] = 0x1122334455667788;
	ck_assert_uint_eq(strlen(ask("g")), 2 * bytes);
	ck_assert(!strncmp(out + 2 + 16, "8877665544332211", 16));
	ck_assert_str_eq(ask("p1"), "8877665544332211");
	ck_assert_str_eq(ask("P1=0102030405060708"), "OK");
	ck_assert_uint_eq(cpu->r[RBX], 0x0807060504030201);
	ck_assert_str_eq(ask("P1=01"), "E01");
	ck_assert_str_eq(ask("pffff"), "E01");
	ck_assert_str_eq(ask("p10"), "2000100000000000"); /* rip */
	ck_assert_str_eq(ask("G00"), "OK");
	ck_assert_str_eq(ask("Gzz"), "E01");
}
END_TEST

START_TEST(control_registers_are_checked)
{
	struct cpu *cpu = machine_cpu(m, 0);
	char packet[64];

	for (unsigned i = 0; gdb_register_at(GDB_X86_64, i); i++) {
		if (strcmp(gdb_register_at(GDB_X86_64, i)->name, "cr4"))
			continue;
		snprintf(packet, sizeof(packet), "P%x=0000000000000080", i);
		ck_assert_str_eq(ask(packet), "E01"); /* reserved bits: as MOV to CR4 would refuse them */
		snprintf(packet, sizeof(packet), "P%x=1000000000000000", i);
		ck_assert_str_eq(ask(packet), "OK");
		ck_assert_uint_eq(cpu->cr4, CR4_PSE);
	}
}
END_TEST

START_TEST(memory_is_read_and_written)
{
	ck_assert_str_eq(ask("m100020,5"), "b801000000");
	ck_assert_str_eq(ask("M101000,3:aabbcc"), "OK");
	ck_assert_str_eq(ask("m101000,4"), "aabbcc00");
	ck_assert_str_eq(ask_bytes("X101000,2:\0}", 12), "OK");
	ck_assert_str_eq(ask("m101000,3"), "007dcc");
	ck_assert_str_eq(ask("X101000,5:ab"), "E01");
	ck_assert_str_eq(ask("M101000,5:ab"), "E01");
	ck_assert_str_eq(ask("mfffffffff0,4"), "E0e");
	ck_assert_str_eq(ask("m101000,0"), "");
	ck_assert_str_eq(ask("m101000"), "E01");
	ck_assert_uint_le(strlen(ask("m0,ffffffffffffffff")), GDB_PACKET_MAX);
}
END_TEST

START_TEST(points_come_and_go)
{
	struct bp_info b;
	unsigned before = 0;

	for (unsigned id = 0; dbg_bp_next(d, id, &b); id = b.id)
		before++;
	ck_assert_str_eq(ask("Z0,100020,1"), "OK");
	ck_assert_str_eq(ask("Z0,100020,1"), "OK"); /* the same again */
	ck_assert_str_eq(ask("Z2,101000,8"), "OK");
	ck_assert_str_eq(ask("Z4,fffffffffffffffe,8"), "E01");
	ck_assert_str_eq(ask("Z3,101000,0"), "E01");
	ck_assert_str_eq(ask("Z9,101000,1"), "");
	ck_assert_str_eq(ask("Z"), "");
	ck_assert_str_eq(ask("z0,100020,1"), "OK");
	ck_assert_str_eq(ask("z2,101000,8"), "OK");
	ck_assert_str_eq(ask("z2,101000,8"), "OK");
	for (unsigned id = 0; dbg_bp_next(d, id, &b); id = b.id)
		before--;
	ck_assert_uint_eq(before, 0);
	for (unsigned i = 0; i < 2000; i++) {
		char packet[32];

		snprintf(packet, sizeof(packet), "Z1,%x,1", 0x100000 + i);
		(void)ask(packet);
	}
	ck_assert_str_eq(out + 2, "E1c");
}
END_TEST

START_TEST(questions_are_answered)
{
	ck_assert_ptr_nonnull(strstr(ask("qSupported:swbreak+;hwbreak+"), "PacketSize=4000"));
	ck_assert_str_eq(ask("qC"), "QC1");
	ck_assert_str_eq(ask("qfThreadInfo"), "m1");
	ck_assert_str_eq(ask("qsThreadInfo"), "l");
	ck_assert_str_eq(ask("T1"), "OK");
	ck_assert_str_eq(ask("T7"), "E01");
	ck_assert_str_eq(ask("Hg1"), "OK");
	ck_assert_str_eq(ask("H"), "E01");
	ck_assert_str_eq(ask("vMustReplyEmpty"), "");
	ck_assert_str_eq(ask("vCont?"), "vCont;c;C;s;S;t;r");
	ck_assert_str_eq(ask("vCont;x"), "E01");
	ck_assert_str_eq(ask("vCont;"), "E01");
	ck_assert_int_eq(ask("qXfer:features:read:target.xml:0,10")[0], 'm');
	ck_assert_str_eq(ask("qXfer:features:read:target.xml:ffffff,10"), "l");
	ck_assert_str_eq(ask("qXfer:features:read:target.xml:"), "E00");
	ck_assert_str_eq(ask("qXfer:auxv:read::0,10"), "E00");
	ck_assert_int_eq(ask("qXfer:memory-map:read::0,1000")[0], 'l');
	ck_assert_int_eq(ask("qXfer:threads:read::0,1000")[0], 'l');
	ck_assert_str_eq(ask("qRcmd,68"), ""); /* no monitor here */
	ck_assert_str_eq(ask("Qqemu.PhyMemMode:1"), "OK");
	ck_assert_str_eq(ask("qqemu.PhyMemMode"), "1");
	ck_assert_str_eq(ask("Qqemu.PhyMemMode:7"), "");
	ck_assert_str_eq(ask("\x80\xff"), "");
	ck_assert_str_eq(ask(""), "");
}
END_TEST

START_TEST(acknowledgements_end_when_asked)
{
	out_n = 0;
	gdb_session_feed(s, (const u8 *)"$qC#00", 6);
	ck_assert_str_eq(out, "-");
	ck_assert_str_eq(ask("QStartNoAckMode"), "OK");
	out_n = 0;
	gdb_session_feed(s, (const u8 *)"$qC#b4", 6);
	ck_assert_str_eq(out, "$QC1#c5");
	out_n = 0;
	gdb_session_feed(s, (const u8 *)"-", 1); /* not asked for again */
	ck_assert_uint_eq(out_n, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("gdb");
	TCase *t = tcase_create("framing"), *u = tcase_create("session");

	tcase_add_test(t, packets_are_found);
	tcase_add_test(t, frames_come_back);
	tcase_add_test(t, overlong_packets_are_refused);
	tcase_add_test(t, numbers_have_at_most_16_digits);
	tcase_add_test(t, descriptions_name_every_register);
	tcase_add_checked_fixture(u, setup, teardown);
	tcase_add_test(u, registers_are_read_and_written);
	tcase_add_test(u, control_registers_are_checked);
	tcase_add_test(u, memory_is_read_and_written);
	tcase_add_test(u, points_come_and_go);
	tcase_add_test(u, questions_are_answered);
	tcase_add_test(u, acknowledgements_end_when_asked);
	suite_add_tcase(suite, t);
	suite_add_tcase(suite, u);
	return run_suite(suite);
}
