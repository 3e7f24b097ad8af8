/* The verdict file: see verdict.h. */
#define _GNU_SOURCE
#include "frontend/cli/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include "base/host.h"

static void json_string(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c < 0x20 || c == 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void json_text(FILE *f, const char *key, const char *value)
{
	fprintf(f, ",\n  \"%s\": ", key);
	json_string(f, value);
}

static void json_run(FILE *f, const struct verdict *v)
{
	const struct machine_result *r = &v->result;
	double real = (double)r->real_ns / 1e9, busy = (double)(r->real_ns - r->asleep_ns) / 1e9;
	if (r->reason == END_DEBUG_EXIT)
		fprintf(f, ",\n  \"debug_exit_code\": %u", r->debug_code);
	fprintf(f, ",\n  \"instructions\": %llu", (unsigned long long)r->instructions);
	fprintf(f, ",\n  \"cs\": %u,\n  \"rip\": \"%016llx\"", r->cs, (unsigned long long)r->rip);
	fprintf(f, ",\n  \"virtual_seconds\": %.9f", (double)r->virtual_ns / 1e9);
	fprintf(f, ",\n  \"real_seconds\": %.6f", real);
	fprintf(f, ",\n  \"mips\": %.1f", busy > 0 ? (double)r->instructions / busy / 1e6 : 0.0);
	fprintf(f, ",\n  \"state_hash\": \"%016llx\"", (unsigned long long)v->state_hash);
	if (*r->explanation)
		json_text(f, "explanation", r->explanation);
	if (v->faults)
		fprintf(f, ",\n  \"faults\": %s", v->faults);
}

char *verdict_text(const struct verdict *v)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);
	if (!f)
		return NULL;
	fprintf(f, "{\n  \"reason\": ");
	json_string(f, v->reason);
	fprintf(f, ",\n  \"exit_status\": %d", v->exit_status);
	if (v->name)
		json_text(f, "name", v->name);
	if (v->message)
		json_text(f, "message", v->message);
	if (v->ran)
		json_run(f, v);
	fprintf(f, "\n}\n");
	fclose(f);
	return text;
}

int verdict_write(const char *path, const struct verdict *v)
{
	char *text = verdict_text(v);
	if (!text)
		return -ENOMEM;
	int r = host_file_write_atomic(path, text, strlen(text));
	free(text);
	return r;
}
