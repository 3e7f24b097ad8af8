/* The monitor's lines, its expressions, symbol files, and the JSON socket: hostile text against a small standing machine. */
#include <stdlib.h>
#include "debug/expr.h"
#include "debug/monitor.h"
#include "debug/qmp.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

struct world {
	struct machine *m;
	struct debugger *d;
	struct monitor *mon;
};

/* One machine for all runs: the sanitizers watch memory, not what the guest became. */
static struct world *world(void)
{
	static struct world w;
	static u8 image[64] = {0x02, 0xb0, 0xad, 0x1b, 0, 0, 1, 0, 0xfe, 0x4f, 0x51, 0xe4, 0, 0, 0x10, 0, 0, 0, 0x10, 0, 0, 0, 0, 0,
			       0,    0,	   0,	 0,    0x20, 0, 0x10, 0, 0xeb, 0xfe};
	struct machine_config cfg;
	struct errtext e;
	if (w.m)
		return &w;
	machine_config_init(&cfg);
	cfg.ram_bytes = 1 << 20;
	cfg.ram_bytes *= 2;
	cfg.embedded_kernel = image;
	cfg.embedded_kernel_bytes = sizeof(image);
	cfg.log_file = fopen("/dev/null", "w");
	if (machine_create(&cfg, &w.m, &e)) {
		fprintf(stderr, "%s\n", e.s);
		abort();
	}
	w.d = dbg_create(w.m);
	w.mon = monitor_create(w.d);
	return &w;
}

/* What would touch files of the host is left out. */
static bool harmless(const char *text)
{
	static const char *const not[] = {"savevm", "loadvm", "screendump", "symbol", "change", "trace", "profile", "record", "cont", "view"};
	for (unsigned i = 0; i < ARRAY_SIZE(not); i++)
		if (strstr(text, not[i]))
			return false;
	return true;
}

static void messages(struct world *w, const u8 *data, size_t n)
{
	struct qmp_splitter s = {0};
	bool negotiated = true;
	for (size_t i = 0; i < n; i++)
		if (qmp_split_byte(&s, data[i]) == 1 && harmless(s.text))
			json_decref(qmp_execute(w->mon, s.text, &negotiated));
	qmp_split_reset(&s);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct world *w = world();
	struct errtext e;
	char *text;
	bool failed;
	u64 v;
	if (n < 1 || !(text = malloc(n)))
		return 0;
	memcpy(text, data + 1, n - 1);
	text[n - 1] = 0;
	switch (data[0] & 3) {
	case 0: (void)!expr_value(w->d, text, NULL, &v, &e); break;
	case 1:
		if (harmless(text))
			free(monitor_line(w->mon, text, false, &failed));
		dbg_bp_delete_all(w->d, NULL);
		break;
	case 2: messages(w, data + 1, n - 1); break;
	default:
		symbols_clear(dbg_symbols(w->d));
		(void)!symbols_load_data(dbg_symbols(w->d), "fuzz", data + 1, n - 1, 0, NULL, &e);
		symbols_at(dbg_symbols(w->d), 0x1000);
		break;
	}
	free(text);
	return 0;
}
