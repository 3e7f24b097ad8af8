#include "base/log.h"

#include <stdarg.h>

const char *const log_class_names[LOG_CLASSES] = {
	"int", "exec", "in_asm", "cpu_reset", "io", "guest_errors", "unimp", "vmx",
};

static FILE *sink(const struct log *log)
{
	return log->file ? log->file : stderr;
}

void log_line(struct log *log, enum log_class c, const char *fmt, ...)
{
	if (!log_on(log, c))
		return;
	va_list ap;
	va_start(ap, fmt);
	vfprintf(sink(log), fmt, ap);
	va_end(ap);
	fputc('\n', sink(log));
}

/* FNV-1a */
static u64 hash_text(const char *s)
{
	u64 h = 0xcbf29ce484222325ull;
	for (; *s; s++)
		h = (h ^ (u8)*s) * 0x100000001b3ull;
	return h;
}

static bool first_time(struct log *log, u64 hash)
{
	for (unsigned i = 0; i < log->seen_count; i++)
		if (log->seen[i] == hash)
			return false;
	if (log->seen_count == ARRAY_SIZE(log->seen))
		return false;
	log->seen[log->seen_count++] = hash;
	return true;
}

void log_unimplemented(struct log *log, const char *fmt, ...)
{
	if (!log_on(log, LOG_UNIMPLEMENTED))
		return;
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (first_time(log, hash_text(text)))
		fprintf(sink(log), "orrery: warning: not modelled: %s\n", text);
}
