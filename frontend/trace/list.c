/* The trace as text or JSON lines. */
#include <errno.h>
#include <inttypes.h>
#include "cpu/cpu.h"
#include "frontend/trace/view.h"

static const char *const reg_names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
static const char *const seg_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

bool view_wants(const struct view *v, const struct trace_item *it)
{
	if (!(v->cpus >> it->cpu & 1))
		return false;
	if (it->kind != ITEM_INSN)
		return !v->no_events;
	u64 lin = it->rip + it->base;
	return !v->no_insns && (v->cpls >> it->cpl & 1) && lin >= v->lo && lin <= v->hi;
}

int view_next(struct view *v, struct trace_cursor *c, struct trace_item *it)
{
	struct errtext e;
	int r;

	do
		r = trace_next(c, it, &e);
	while (r == 1 && !view_wants(v, it));
	if (r < 0)
		fprintf(stderr, "orrery-trace: %s: %s\n", v->path, e.s);
	return r;
}

void view_disasm(const struct view *v, const struct trace_item *it, char *buf, size_t n)
{
	if (!it->in)
		snprintf(buf, n, "(bad)");
	else if (v->symbols)
		symbols_disasm(v->symbols, it->in, it->rip, DISASM_INTEL, buf, n);
	else
		insn_format(it->in, it->rip, DISASM_INTEL, buf, n);
}

const char *view_function(const struct view *v, u64 addr, char *buf, size_t n)
{
	const struct symbol *s = v->symbols ? symbols_at(v->symbols, addr) : NULL;

	if (s)
		snprintf(buf, n, "%s", s->name);
	else
		snprintf(buf, n, "0x%" PRIx64 "...", addr & ~(u64)0xfff);
	return buf;
}

/* ---- text ---------------------------------------------------------------------------------------------------------------- */

static void put_changes(const struct view *v, const struct trace_item *it, const struct trace_regs *g)
{
	const struct trace_effects *x = it->fx;

	if (!x || !x->mask)
		return;
	fprintf(v->out, "%*s", 14, "");
	for (unsigned i = 0; i < 16; i++)
		if (x->mask >> i & 1)
			fprintf(v->out, " %s=%" PRIx64, reg_names[i], g->r[i]);
	if (x->mask & FX_FLAGS)
		fprintf(v->out, " rflags=%x", g->rflags);
	for (unsigned i = 0; (x->mask & FX_SEGS) && i < 8; i++)
		if (x->segs >> i & 1)
			fprintf(v->out, " %s=%04x", seg_names[i], g->seg[i].sel);
	if (x->mask & FX_VECTOR) {
		fprintf(v->out, " %cmm%u=", x->vec_bytes == 64 ? 'z' : x->vec_bytes == 32 ? 'y' : 'x', x->vec_reg);
		for (unsigned i = x->vec_bytes; i-- > 0;)
			fprintf(v->out, "%02x", x->vec[i]);
	}
	if (x->mask & FX_X87) {
		fprintf(v->out, " st/mm%u=", x->x87_reg);
		for (unsigned i = 10; i-- > 0;)
			fprintf(v->out, "%02x", x->x87[i]);
	}
	for (u32 i = 0; i < x->accesses; i++)
		fprintf(v->out, " %s%u[%" PRIx64 "]=%" PRIx64, x->access[i].write ? "w" : "r", x->access[i].size * 8, x->access[i].addr,
			x->access[i].value);
	if (x->lost)
		fprintf(v->out, " (%" PRIu64 " more accesses)", x->lost);
	fputc('\n', v->out);
}

static void put_insn(const struct view *v, const struct trace_item *it)
{
	char text[160], name[80] = "";

	view_disasm(v, it, text, sizeof(text));
	if (v->exec) { /* as -d exec prints it */
		fprintf(v->out, "%12" PRIu64 " %04x:%016" PRIx64 " %s\n", it->icount, it->cs, it->rip, text);
		return;
	}
	if (v->symbols)
		symbols_format(v->symbols, it->rip + it->base, name, sizeof(name));
	fprintf(v->out, "%12" PRIu64 " %u.%u %04x:%016" PRIx64 " ", it->icount, it->cpu, it->cpl, it->cs, it->rip);
	for (unsigned i = 0; v->bytes && i < 15; i++)
		fprintf(v->out, i < it->len ? "%02x" : "  ", it->bytes[i]);
	fprintf(v->out, "%s%-40s%s%s\n", v->bytes ? " " : "", text, *name ? " ; " : "", name);
}

static void put_text(const struct view *v, const struct trace_item *it, const struct trace_regs *g)
{
	char text[400];

	put_changes(v, it, g);
	if (it->kind == ITEM_INSN) {
		put_insn(v, it);
	} else if (it->kind == ITEM_GAP) {
		fprintf(v->out, "%12" PRIu64 " %u   -- not traced until here\n", it->icount, it->cpu);
	} else {
		trace_event_text(it, text, sizeof(text));
		fprintf(v->out, "%12" PRIu64 " %u   ** %s [%" PRIu64 " ns]\n", it->icount, it->cpu, text, it->time_ns);
	}
}

/* ---- JSON lines ------------------------------------------------------------------------------------------------------------ */

/* Texts here hold no control characters. */
static void put_json_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		fputc(*s, out);
	}
	fputc('"', out);
}

static void put_json_changes(const struct view *v, const struct trace_item *it, const struct trace_regs *g)
{
	const struct trace_effects *x = it->fx;
	const char *comma = "";

	if (!x || !x->mask)
		return;
	fprintf(v->out, ",\"changed\":{");
	for (unsigned i = 0; i < 16; i++) {
		if (!(x->mask >> i & 1))
			continue;
		fprintf(v->out, "%s\"%s\":\"0x%" PRIx64 "\"", comma, reg_names[i], g->r[i]);
		comma = ",";
	}
	if (x->mask & FX_FLAGS) {
		fprintf(v->out, "%s\"rflags\":\"0x%x\"", comma, g->rflags);
		comma = ",";
	}
	for (unsigned i = 0; (x->mask & FX_SEGS) && i < 8; i++) {
		if (!(x->segs >> i & 1))
			continue;
		fprintf(v->out, "%s\"%s\":\"0x%x\"", comma, seg_names[i], g->seg[i].sel);
		comma = ",";
	}
	if (x->mask & FX_VECTOR) {
		fprintf(v->out, "%s\"%cmm%u\":\"0x", comma, x->vec_bytes == 64 ? 'z' : x->vec_bytes == 32 ? 'y' : 'x', x->vec_reg);
		for (unsigned i = x->vec_bytes; i-- > 0;)
			fprintf(v->out, "%02x", x->vec[i]);
		fputc('"', v->out);
	}
	fputc('}', v->out);
	for (u32 i = 0; i < x->accesses; i++)
		fprintf(v->out, "%s{\"%s\":\"0x%" PRIx64 "\",\"size\":%u,\"value\":\"0x%" PRIx64 "\"}%s", i ? "," : ",\"memory\":[",
			x->access[i].write ? "write" : "read", x->access[i].addr, x->access[i].size, x->access[i].value,
			i + 1 == x->accesses ? "]" : "");
}

/* The fields of an event under their names. */
static void put_json_fields(const struct view *v, const struct trace_item *it)
{
	static const char *const names[EV_KINDS][6] = {
	    [EV_EXCEPTION] = {"vector", "error", "cr2", "value", NULL, "rip"}, [EV_INTERRUPT] = {"vector", "kind", "rip"},
	    [EV_CPL] = {"old", "new"}, [EV_MODE] = {"old", "new"}, [EV_CR] = {"cr", "old", "new"}, [EV_MSR] = {"msr", "write", "value"},
	    [EV_IO] = {"port", "access", "value"}, [EV_VMX] = {"reason", "qualification", "rip"}, [EV_TASK] = {"tss", "old"},
	    [EV_SMM] = {"entered"}, [EV_DMA] = {"address", "bytes"}};

	for (unsigned i = 0; i < 6; i++) {
		const char *name = names[it->event][i];
		if (!name)
			continue;
		u64 x = it->f[i];
		if ((it->event == EV_IO || it->event == EV_DMA) && i == 1) {
			fprintf(v->out, ",\"%s\":%" PRIu64 ",\"write\":%s", it->event == EV_IO ? "size" : "bytes", x >> 1, x & 1 ? "true" : "false");
		} else if (it->event == EV_EXCEPTION && i == 1) {
			if (x & 1)
				fprintf(v->out, ",\"error\":\"0x%" PRIx64 "\"", x >> 1);
		} else {
			fprintf(v->out, ",\"%s\":\"0x%" PRIx64 "\"", name, x);
		}
	}
	if (it->text) {
		fprintf(v->out, ",\"why\":");
		put_json_string(v->out, it->text);
	}
}

static void put_json(const struct view *v, const struct trace_item *it, const struct trace_regs *g)
{
	char text[400];

	fprintf(v->out, "{\"type\":\"%s\",\"cpu\":%u,\"icount\":%" PRIu64, it->kind == ITEM_INSN ? "insn" : it->kind == ITEM_GAP ? "gap" :
		trace_event_name(it->event), it->cpu, it->icount);
	if (it->kind == ITEM_INSN) {
		view_disasm(v, it, text, sizeof(text));
		fprintf(v->out, ",\"seq\":%" PRIu64 ",\"cs\":\"0x%x\",\"rip\":\"0x%" PRIx64 "\",\"cpl\":%u,\"bytes\":\"", it->seq, it->cs, it->rip, it->cpl);
		for (unsigned i = 0; i < it->len; i++)
			fprintf(v->out, "%02x", it->bytes[i]);
		fprintf(v->out, "\",\"text\":");
		put_json_string(v->out, text);
		if (v->symbols && *symbols_format(v->symbols, it->rip + it->base, text, sizeof(text))) {
			fprintf(v->out, ",\"symbol\":");
			put_json_string(v->out, text);
		}
	} else {
		fprintf(v->out, ",\"ns\":%" PRIu64, it->time_ns);
		if (it->kind == ITEM_EVENT)
			put_json_fields(v, it);
	}
	put_json_changes(v, it, g);
	fputs("}\n", v->out);
}

int view_list(struct view *v)
{
	struct trace_cursor *c = trace_cursor(v->file);
	struct trace_item it;
	struct errtext e;
	u64 left = v->count;
	int r = 0;

	if (!c)
		return -ENOMEM;
	if (v->at && (r = trace_seek(c, v->at, &e)))
		fprintf(stderr, "orrery-trace: %s: %s\n", v->path, e.s);
	while (!r && left && (r = view_next(v, c, &it)) == 1) {
		r = 0;
		(v->json ? put_json : put_text)(v, &it, trace_regs(c, it.cpu));
		left -= it.kind == ITEM_INSN || v->no_insns;
		if (ferror(v->out))
			break;
	}
	trace_cursor_free(c);
	return r;
}
