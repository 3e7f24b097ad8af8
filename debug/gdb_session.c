/* A session with GDB: see gdb_session.h. */
#define _GNU_SOURCE
#include "debug/gdb_session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "debug/explain.h"
#include "machine/reverse.h"

#define POINTS_MAX 256u
#define STOP_WAIT_NS 5000000000ull

/* A break or watch point that the client has set. */
struct point {
	u8 type; /* of the Z packet: 0 software, 1 hardware, 2 write, 3 read, 4 access */
	u64 addr;
	u32 kind;
	int id; /* of the debugger's core; 0: free */
};

struct gdb_session {
	struct debugger *d;
	struct machine *m;
	enum gdb_arch arch;
	struct gdb_hooks hooks;
	struct gdb_reader reader;
	struct point point[POINTS_MAX];
	int shutdown_id;
	bool no_ack, running, interrupted, phys, swbreak, hwbreak;
	bool back;  /* the stop at hand was reached backwards */
	bool keep_history;
	bool ended; /* the machine has, and the client knows */
	/* The packet at hand, and its answer. */
	const char *packet;
	unsigned packet_n;
	char *reply;
	size_t reply_n;
	bool silent;  /* no answer now: the machine runs */
	bool explain; /* a shutdown: what is to be said about it goes out first */
	u8 *sent;     /* the last packet, for retransmission */
	unsigned sent_n;
};

/* ---- answers -------------------------------------------------------------------------------------------------------- */

static void send_packet(struct gdb_session *s, const void *data, unsigned n)
{
	u8 *frame = malloc(2u * n + 4);

	if (!frame)
		return;
	free(s->sent);
	s->sent = frame;
	s->sent_n = gdb_frame(frame, data, n);
	s->hooks.send(s->hooks.ctx, s->sent, s->sent_n);
}

static void send_text(struct gdb_session *s, const char *text)
{
	send_packet(s, text, (unsigned)strlen(text));
}

/* Text for the user, in pieces that fit. */
static void send_console(struct gdb_session *s, const char *text)
{
	char piece[2 * 1024 + 2];
	size_t n = strlen(text);

	for (size_t at = 0; at < n; at += 1024) {
		piece[0] = 'O';
		gdb_tohex(piece + 1, text + at, (unsigned)MIN(n - at, 1024u));
		send_text(s, piece);
	}
}

PRINTF_LIKE(2, 3) static void answer(struct gdb_session *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	free(s->reply);
	s->reply = NULL;
	va_start(ap, fmt);
	n = vasprintf(&s->reply, fmt, ap);
	va_end(ap);
	if (n < 0)
		s->reply = NULL;
	s->reply_n = n < 0 ? 0 : (size_t)n;
}

static void answer_bytes(struct gdb_session *s, const void *data, unsigned n)
{
	char *hex = malloc(2u * n + 1);

	if (!hex) {
		answer(s, "E0c");
		return;
	}
	gdb_tohex(hex, data, n);
	free(s->reply);
	s->reply = hex;
	s->reply_n = 2u * n;
}

/* ---- stops ---------------------------------------------------------------------------------------------------------- */

static const struct point *point_of(const struct gdb_session *s, unsigned id)
{
	for (unsigned i = 0; i < POINTS_MAX; i++)
		if (s->point[i].id && (unsigned)s->point[i].id == id)
			return &s->point[i];
	return NULL;
}

/* The part of a stop reply that says which break or watch point it was. */
static void why_stopped(struct gdb_session *s, const struct dbg_stop *stop, char *text, size_t n)
{
	static const char *const watch[] = {"", "", "watch", "rwatch", "awatch"};
	const struct point *p = stop->kind == STOP_BREAK ? point_of(s, stop->id) : NULL;

	*text = 0;
	if (stop->kind == STOP_REPLAY)
		snprintf(text, n, "replaylog:%s;", s->back ? "begin" : "end");
	else if (p && p->type >= 2 && p->type <= 4)
		snprintf(text, n, "%s:%llx;", watch[p->type], (unsigned long long)stop->seen.addr);
	else if (p && p->type == 0 && s->swbreak)
		snprintf(text, n, "swbreak:;");
	else if (p && p->type == 1 && s->hwbreak)
		snprintf(text, n, "hwbreak:;");
}

static void answer_stop(struct gdb_session *s)
{
	const struct dbg_stop *stop = dbg_stopped(s->d);
	unsigned signal = 5;
	char why[64];

	if (stop->kind == STOP_ENDED) {
		answer(s, "W%02x", stop->end == END_POWER_OFF ? 0 : (unsigned)stop->end & 0xff);
		s->ended = true;
		return;
	}
	if (stop->kind == STOP_PAUSED)
		signal = s->interrupted ? 2 : 5;
	if (stop->kind == STOP_BREAK && stop->what == BP_SHUTDOWN) {
		signal = 11;
		s->explain = true;
	}
	why_stopped(s, stop, why, sizeof(why));
	answer(s, "T%02xthread:%x;%s", signal, dbg_cpu(s->d)->index + 1, why);
	s->interrupted = false;
}

/* ---- processors ----------------------------------------------------------------------------------------------------- */

/* A thread's number: 1 and up, or all of them (-1), or any (0). False: there is none such. */
static bool thread_of(struct gdb_session *s, const char **p, s64 *thread)
{
	u64 v;

	if (!strncmp(*p, "-1", 2)) {
		*thread = -1;
		*p += 2;
		return true;
	}
	if (!gdb_hex(p, &v) || v > MACHINE_CPUS || (v && !machine_cpu(s->m, (unsigned)v - 1)))
		return false;
	*thread = (s64)v;
	return true;
}

static void on_thread(struct gdb_session *s)
{
	const char *p = s->packet + (*s->packet == 'H' ? 2 : 1);
	s64 t;

	if ((*s->packet == 'H' && s->packet_n < 3) || !thread_of(s, &p, &t)) {
		answer(s, "E01");
		return;
	}
	if (*s->packet == 'H' && t > 0)
		dbg_select(s->d, (unsigned)t - 1);
	answer(s, "OK");
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

static void on_read_registers(struct gdb_session *s)
{
	u8 all[4096];
	unsigned n = 0;
	const struct gdb_register *r;

	for (unsigned i = 0; (r = gdb_register_at(s->arch, i)) && n + 16 <= sizeof(all); i++) {
		gdb_register_get(s->d, dbg_cpu(s->d), r, all + n);
		n += r->bits / 8u;
	}
	answer_bytes(s, all, n);
}

static void on_write_registers(struct gdb_session *s)
{
	u8 all[4096];
	unsigned have = gdb_unhex(s->packet + 1, all, sizeof(all)), at = 0;
	const struct gdb_register *r;
	bool good = have;

	for (unsigned i = 0; (r = gdb_register_at(s->arch, i)) && at + r->bits / 8u <= have; i++) {
		good &= gdb_register_set(s->d, dbg_cpu(s->d), r, all + at);
		at += r->bits / 8u;
	}
	answer(s, good ? "OK" : "E01");
}

static void on_register(struct gdb_session *s)
{
	const char *p = s->packet + 1;
	const struct gdb_register *r;
	u8 bytes[16];
	u64 n;

	if (!gdb_hex(&p, &n) || n > 1000 || !(r = gdb_register_at(s->arch, (unsigned)n))) {
		answer(s, "E01");
		return;
	}
	if (*s->packet == 'p') {
		gdb_register_get(s->d, dbg_cpu(s->d), r, bytes);
		answer_bytes(s, bytes, r->bits / 8u);
	} else if (*p++ != '=' || gdb_unhex(p, bytes, r->bits / 8u) != r->bits / 8u) {
		answer(s, "E01");
	} else {
		answer(s, gdb_register_set(s->d, dbg_cpu(s->d), r, bytes) ? "OK" : "E01");
	}
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static unsigned read_memory(struct gdb_session *s, u64 addr, void *buf, unsigned n)
{
	return s->phys ? dbg_read_phys(dbg_cpu(s->d), addr, buf, n) : dbg_read(dbg_cpu(s->d), addr, buf, n);
}

static bool write_memory(struct gdb_session *s, u64 addr, const void *buf, unsigned n)
{
	return (s->phys ? dbg_write_phys(dbg_cpu(s->d), addr, buf, n) : dbg_write(dbg_cpu(s->d), addr, buf, n)) == n;
}

/* ADDR,LENGTH behind the letter. */
static bool range(const char **p, u64 *addr, u64 *n)
{
	return gdb_hex(p, addr) && *(*p)++ == ',' && gdb_hex(p, n);
}

static void on_read_memory(struct gdb_session *s)
{
	const char *p = s->packet + 1;
	u8 buf[GDB_PACKET_MAX / 2];
	unsigned got;
	u64 addr, n;

	if (!range(&p, &addr, &n)) {
		answer(s, "E01");
		return;
	}
	n = MIN(n, sizeof(buf));
	got = n ? read_memory(s, addr, buf, (unsigned)n) : 0;
	if (n && !got)
		answer(s, "E0e");
	else
		answer_bytes(s, buf, got);
}

static void on_write_memory(struct gdb_session *s)
{
	const char *p = s->packet + 1, *end = s->packet + s->packet_n;
	u8 buf[GDB_PACKET_MAX];
	u64 addr, n;

	if (!range(&p, &addr, &n) || *p++ != ':' || n > sizeof(buf)) {
		answer(s, "E01");
		return;
	}
	if (*s->packet == 'X' ? (u64)(end - p) != n : gdb_unhex(p, buf, (unsigned)n) != n) {
		answer(s, "E01");
		return;
	}
	answer(s, !n || write_memory(s, addr, *s->packet == 'X' ? (const void *)p : buf, (unsigned)n) ? "OK" : "E0e");
}

/* ---- break and watch points ----------------------------------------------------------------------------------------- */

static struct point *find_point(struct gdb_session *s, u8 type, u64 addr, u64 kind)
{
	for (unsigned i = 0; i < POINTS_MAX; i++) {
		struct point *p = &s->point[i];

		if (p->id && p->type == type && p->addr == addr && p->kind == kind)
			return p;
	}
	return NULL;
}

static struct point *free_point(struct gdb_session *s)
{
	for (unsigned i = 0; i < POINTS_MAX; i++)
		if (!s->point[i].id)
			return &s->point[i];
	return NULL;
}

static int add_point(struct gdb_session *s, u8 type, u64 addr, u64 length)
{
	struct bp_spec b = bp_spec(type < 2 ? BP_EXEC : BP_ACCESS, addr);
	struct errtext e;

	b.hidden = true;
	b.owner = s;
	if (type >= 2)
		b.hi = addr + length - 1;
	b.write = type == 2 || type == 4;
	b.read = type == 3 || type == 4;
	return dbg_bp_add(s->d, &b, &e);
}

static void on_point(struct gdb_session *s)
{
	const char *p = s->packet + 2;
	struct point *old;
	u64 addr, kind;
	unsigned type = (unsigned)(u8)s->packet[1] - '0';
	int id;

	if (s->packet_n < 3 || type > 4) {
		answer(s, "%s", "");
		return;
	}
	if (*p++ != ',' || !range(&p, &addr, &kind) || kind > 4096 || (type >= 2 && (!kind || addr + kind - 1 < addr))) {
		answer(s, "E01");
		return;
	}
	old = find_point(s, (u8)type, addr, kind);
	if (*s->packet == 'z') {
		if (old)
			dbg_bp_delete(s->d, (unsigned)old->id);
		if (old)
			old->id = 0;
		answer(s, "OK");
		return;
	}
	struct point *slot = old ? old : free_point(s);
	id = old ? old->id : slot ? add_point(s, (u8)type, addr, kind) : -ENOSPC;
	if (id < 0) {
		answer(s, "E%02x", ENOSPC);
		return;
	}
	*slot = (struct point){(u8)type, addr, (u32)kind, id};
	answer(s, "OK");
}

static void drop_points(struct gdb_session *s)
{
	dbg_bp_delete_all(s->d, s);
	memset(s->point, 0, sizeof(s->point));
	s->shutdown_id = 0;
}

/* A triple fault stops before the reset, while everything is there to be looked at. */
static void watch_shutdown(struct gdb_session *s)
{
	struct bp_spec b = bp_spec(BP_SHUTDOWN, 0);
	struct errtext e;

	b.hi = ~0ull;
	b.hidden = true;
	b.owner = s;
	s->shutdown_id = dbg_bp_add(s->d, &b, &e);
}

/* ---- running -------------------------------------------------------------------------------------------------------- */

static void go(struct gdb_session *s, const struct run_spec *r)
{
	int e;

	if (s->ended) {
		answer_stop(s);
		return;
	}
	e = dbg_go(s->d, r);
	if (e) {
		answer(s, "E%02x", -e & 0xff);
		return;
	}
	s->running = s->silent = true;
}

static void on_old_run(struct gdb_session *s)
{
	const struct run_spec r = {.kind = *s->packet == 's' ? RUN_STEP : RUN_CONT, .count = 1};
	const char *p = s->packet + 1;
	u64 at;

	if (gdb_hex(&p, &at))
		dbg_set_rip(dbg_cpu(s->d), at);
	go(s, &r);
}

/* The first action that names a step decides; else the machine goes on. */
static void on_vcont(struct gdb_session *s)
{
	struct run_spec r = {.kind = RUN_CONT, .count = 1};
	const char *p = s->packet + 5;

	if (*p == '?') {
		answer(s, "vCont;c;C;s;S;t;r");
		return;
	}
	while (*p == ';') {
		char action = p[1];
		u64 from = 0, to = 0, signal;
		s64 thread = -1;
		bool good = true;

		p += action ? 2 : 1;
		if (action == 'C' || action == 'S')
			good = gdb_hex(&p, &signal);
		if (action == 'r')
			good = range(&p, &from, &to);
		if (good && *p == ':') {
			p++;
			good = thread_of(s, &p, &thread);
		}
		if (!good || !action || !strchr("cCsSrt", action)) {
			answer(s, "E01");
			return;
		}
		if (r.kind != RUN_CONT || !strchr("sSr", action))
			continue;
		if (thread > 0)
			dbg_select(s->d, (unsigned)thread - 1);
		r.kind = action == 'r' ? RUN_RANGE : RUN_STEP;
		r.arg = from;
		r.arg2 = to - 1;
	}
	go(s, &r);
}

/* bs, bc: back in time, as far as a history is kept. It answers when it is there. */
static void on_reverse(struct gdb_session *s)
{
	struct errtext e;
	int r = s->packet[1] == 's' ? dbg_reverse_step(s->d, 1, &e) : dbg_reverse_continue(s->d, &e);

	if (r && r != -EINTR) {
		answer(s, "E.%s", e.s);
		return;
	}
	s->back = true;
	answer_stop(s);
	s->back = false;
}

static void on_detach(struct gdb_session *s)
{
	const struct run_spec r = {.kind = RUN_CONT};

	drop_points(s);
	(void)!dbg_go(s->d, &r);
	answer(s, "OK");
}

/* ---- questions ------------------------------------------------------------------------------------------------------ */

static void on_supported(struct gdb_session *s)
{
	s->swbreak = strstr(s->packet, "swbreak+");
	s->hwbreak = strstr(s->packet, "hwbreak+");
	answer(s,
	       "PacketSize=%x;QStartNoAckMode+;vContSupported+;qXfer:features:read+;qXfer:threads:read+;qXfer:memory-map:read+;"
	       "swbreak+;hwbreak+;ReverseStep+;ReverseContinue+;PhyMemMode+",
	       GDB_PACKET_MAX);
}

static char *threads_xml(struct gdb_session *s)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "<?xml version=\"1.0\"?>\n<threads>\n");
	for (unsigned i = 0; machine_cpu(s->m, i); i++)
		fprintf(f, "<thread id=\"%x\" core=\"%u\" name=\"CPU %u\"></thread>\n", i + 1, i, i);
	fprintf(f, "</threads>\n");
	fclose(f);
	return text;
}

/* Any linear address may be memory; what is not mapped says so when it is read. */
static char *memory_map_xml(void)
{
	return strdup("<?xml version=\"1.0\"?>\n<!DOCTYPE memory-map PUBLIC \"+//IDN gnu.org//DTD GDB Memory Map V1.0//EN\" "
		      "\"http://sourceware.org/gdb/gdb-memory-map.dtd\">\n"
		      "<memory-map><memory type=\"ram\" start=\"0x0\" length=\"0xffffffffffffffff\"/></memory-map>\n");
}

/* qXfer:OBJECT:read:ANNEX:OFFSET,LENGTH */
static void on_xfer(struct gdb_session *s)
{
	const char *p = s->packet + strlen("qXfer:");
	char *text = NULL;
	u64 at, n, size;

	if (!strncmp(p, "features:read:target.xml:", 25)) {
		text = gdb_target_xml(s->arch);
		p += 25;
	} else if (!strncmp(p, "threads:read::", 14)) {
		text = threads_xml(s);
		p += 14;
	} else if (!strncmp(p, "memory-map:read::", 17)) {
		text = memory_map_xml();
		p += 17;
	}
	if (!text || !range(&p, &at, &n)) {
		answer(s, "E00");
		free(text);
		return;
	}
	size = strlen(text);
	at = MIN(at, size);
	n = MIN(n, (u64)GDB_PACKET_MAX / 2);
	answer(s, "%c%.*s", at + n < size ? 'm' : 'l', (int)MIN(n, size - at), text + at);
	free(text);
}

static void answer_threads(struct gdb_session *s)
{
	char text[2 + MACHINE_CPUS * 3] = "m";

	for (unsigned i = 0; machine_cpu(s->m, i); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), i ? ",%x" : "%x", i + 1);
	answer(s, "%s", text);
}

static void on_extra_info(struct gdb_session *s)
{
	const char *p = s->packet + strlen("qThreadExtraInfo,");
	const struct cpu *cpu;
	char text[64];
	s64 t;

	if (!thread_of(s, &p, &t) || t < 1) {
		answer(s, "E01");
		return;
	}
	cpu = machine_cpu(s->m, (unsigned)t - 1);
	snprintf(text, sizeof(text), "CPU %u [%s, CPL %u]", (unsigned)t - 1,
		 cpu->activity == CPU_ACTIVE ? "running" : cpu->activity == CPU_WAIT_SIPI ? "waits for SIPI" : "halted", cpu->cpl);
	answer_bytes(s, text, (unsigned)strlen(text));
}

static bool is(const struct gdb_session *s, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(s->packet, name, n) && (!s->packet[n] || strchr(":;,", s->packet[n]));
}

static void on_question(struct gdb_session *s)
{
	if (is(s, "qSupported"))
		on_supported(s);
	else if (is(s, "qXfer"))
		on_xfer(s);
	else if (is(s, "qC"))
		answer(s, "QC%x", dbg_cpu(s->d)->index + 1);
	else if (is(s, "qAttached"))
		answer(s, "1");
	else if (is(s, "qfThreadInfo"))
		answer_threads(s);
	else if (is(s, "qsThreadInfo"))
		answer(s, "l");
	else if (is(s, "qThreadExtraInfo"))
		on_extra_info(s);
	else if (is(s, "qSymbol"))
		answer(s, "OK");
	else if (is(s, "qqemu.PhyMemMode"))
		answer(s, "%d", s->phys);
	else
		answer(s, "%s", "");
}

static void on_setting(struct gdb_session *s)
{
	if (is(s, "QStartNoAckMode")) {
		answer(s, "OK"); /* itself acknowledged */
	} else if (is(s, "Qqemu.PhyMemMode") && s->packet[16] == ':' && (s->packet[17] == '0' || s->packet[17] == '1')) {
		s->phys = s->packet[17] == '1';
		answer(s, "OK");
	} else {
		answer(s, "%s", "");
	}
}

static void on_v(struct gdb_session *s)
{
	if (!strncmp(s->packet, "vCont", 5) && (s->packet[5] == '?' || s->packet[5] == ';'))
		on_vcont(s);
	else
		answer(s, "%s", "");
}

/* On the machine's thread. */
static void handle(void *ctx)
{
	struct gdb_session *s = ctx;

	switch (*s->packet) {
	case '?': answer_stop(s); break;
	case 'g': on_read_registers(s); break;
	case 'G': on_write_registers(s); break;
	case 'p':
	case 'P': on_register(s); break;
	case 'm': on_read_memory(s); break;
	case 'M':
	case 'X': on_write_memory(s); break;
	case 'Z':
	case 'z': on_point(s); break;
	case 'c':
	case 's': on_old_run(s); break;
	case 'b':
		if (!strcmp(s->packet, "bs") || !strcmp(s->packet, "bc"))
			on_reverse(s);
		else
			answer(s, "%s", "");
		break;
	case 'H':
	case 'T': on_thread(s); break;
	case 'D': on_detach(s); break;
	case 'q': on_question(s); break;
	case 'Q': on_setting(s); break;
	case 'v': on_v(s); break;
	default: answer(s, "%s", ""); break;
	}
}

/* ---- around the machine --------------------------------------------------------------------------------------------- */

static void stop_machine(struct gdb_session *s)
{
	struct machine_stats st;
	struct dbg_stop stop;

	machine_stats(s->m, &st);
	if (!st.running)
		return;
	dbg_interrupt(s->d);
	(void)!dbg_wait(s->d, STOP_WAIT_NS, &stop);
}

/* monitor COMMAND */
static void remote_command(struct gdb_session *s)
{
	const char *hex = s->packet + strlen("qRcmd,");
	u8 line[2048];
	unsigned n = gdb_unhex(hex, line, sizeof(line) - 1);
	char *text;

	line[n] = 0;
	if (!strcmp((char *)line, "phys on") || !strcmp((char *)line, "phys off")) {
		s->phys = line[6] == 'n';
		send_text(s, "OK");
		return;
	}
	text = s->hooks.command ? s->hooks.command(s->hooks.ctx, (char *)line) : NULL;
	if (text)
		send_console(s, text);
	free(text);
	send_text(s, text || !s->hooks.command ? (s->hooks.command ? "OK" : "") : "E01");
}

struct explained {
	struct gdb_session *s;
	char *text;
};

static void explain_on_machine(void *ctx)
{
	struct explained *x = ctx;
	json_t *tree = explain_shutdown(x->s->m, dbg_cpu(x->s->d)->index, NULL);

	x->text = explain_to_text(tree);
	json_decref(tree);
}

static void send_reply(struct gdb_session *s)
{
	if (s->explain) {
		struct explained x = {.s = s};

		s->explain = false;
		machine_call(s->m, explain_on_machine, &x);
		if (x.text)
			send_console(s, x.text);
		free(x.text);
	}
	if (!s->silent)
		send_packet(s, s->reply ? s->reply : "", s->reply ? (unsigned)s->reply_n : 0);
}

static void on_packet(struct gdb_session *s)
{
	s->packet = (const char *)s->reader.data;
	s->packet_n = s->reader.n;
	s->silent = false;
	free(s->reply);
	s->reply = NULL;
	if (!strncmp(s->packet, "qSupported", 10)) /* a client begins */
		s->no_ack = false;
	if (!s->no_ack)
		s->hooks.send(s->hooks.ctx, "+", 1);
	if (*s->packet == '?' || !strncmp(s->packet, "qSupported", 10))
		stop_machine(s);
	if (!strncmp(s->packet, "qRcmd,", 6)) {
		remote_command(s);
		return;
	}
	if (*s->packet == 'k' || !strncmp(s->packet, "vKill", 5)) {
		if (*s->packet == 'v')
			send_text(s, "OK");
		if (s->hooks.kill)
			s->hooks.kill(s->hooks.ctx);
		return;
	}
	machine_call(s->m, handle, s);
	send_reply(s);
	if (!strncmp(s->packet, "QStartNoAckMode", 15))
		s->no_ack = true;
}

void gdb_session_feed(struct gdb_session *s, const u8 *data, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		switch (gdb_reader_feed(&s->reader, data[i])) {
		case GDB_PACKET: on_packet(s); break;
		case GDB_BAD:
			if (!s->no_ack)
				s->hooks.send(s->hooks.ctx, "-", 1);
			break;
		case GDB_NAK:
			if (!s->no_ack && s->sent)
				s->hooks.send(s->hooks.ctx, s->sent, s->sent_n);
			break;
		case GDB_BREAK:
			s->interrupted = true;
			dbg_interrupt(s->d);
			break;
		default: break;
		}
}

static void report(void *ctx)
{
	struct gdb_session *s = ctx;

	s->silent = !s->running || dbg_stopped(s->d)->kind == STOP_NONE;
	if (!s->silent) {
		s->running = false;
		answer_stop(s);
	}
}

void gdb_session_stopped(struct gdb_session *s)
{
	machine_call(s->m, report, s);
	if (!s->silent)
		send_reply(s);
}

static void begin(void *ctx)
{
	struct gdb_session *s = ctx;
	const struct reverse_options o = {0};
	struct reverse_state past;
	struct errtext e;

	drop_points(s);
	watch_shutdown(s);
	machine_reverse_state(s->m, &past);
	if (s->keep_history && !past.on && machine_reverse_begin(s->m, &o, &e))
		fprintf(stderr, "orrery: warning: -gdb: no way back: %s\n", e.s);
}

void gdb_session_connected(struct gdb_session *s)
{
	gdb_reader_init(&s->reader);
	s->no_ack = s->running = s->interrupted = s->phys = false;
	stop_machine(s);
	machine_call(s->m, begin, s);
}

static void end(void *ctx)
{
	struct gdb_session *s = ctx;
	const struct run_spec r = {.kind = RUN_CONT};

	drop_points(s);
	if (!s->running)
		(void)!dbg_go(s->d, &r);
	s->running = false;
}

void gdb_session_gone(struct gdb_session *s)
{
	machine_call(s->m, end, s);
}

void gdb_session_keep_history(struct gdb_session *s)
{
	s->keep_history = true;
}

struct gdb_session *gdb_session_create(struct debugger *d, enum gdb_arch arch, const struct gdb_hooks *hooks)
{
	struct gdb_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->d = d;
	s->m = dbg_machine(d);
	s->arch = arch;
	s->hooks = *hooks;
	gdb_reader_init(&s->reader);
	return s;
}

void gdb_session_destroy(struct gdb_session *s)
{
	if (!s)
		return;
	drop_points(s);
	free(s->reply);
	free(s->sent);
	free(s);
}
