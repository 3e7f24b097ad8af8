/*
 * Snapshots and recordings that a hostile hand made: the first byte chooses. Checksums are not looked at, so that what stands
 * behind them is reached. Whatever is loaded has to run, too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/record.h"
#include "machine/snapshot_file.h"

/* Multiboot: jumps to itself. */
static const u8 guest[] = {0x02, 0xb0, 0xad, 0x1b, 0x00, 0x00, 0x01, 0x00, 0xfe, 0x4f, 0x51, 0xe4, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00,
			   0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x10, 0x00, 0xeb, 0xfe};

static struct machine *create(FILE *log)
{
	struct machine_config cfg;
	struct machine *m;
	struct errtext e;
	machine_config_init(&cfg);
	cfg.ram_bytes = 2 << 20;
	cfg.cpu = "max";
	cfg.no_reboot = true;
	cfg.log_file = log;
	cfg.embedded_kernel = guest;
	cfg.embedded_kernel_bytes = sizeof(guest);
	cfg.max_insns = 2000;
	cfg.timeout_ns = 1000000000;
	if (machine_create(&cfg, &m, &e)) {
		fprintf(stderr, "%s\n", e.s);
		abort();
	}
	return m;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);
int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	static FILE *log;
	struct errtext e;
	if (!log)
		log = fopen("/dev/null", "w");
	struct machine *m = create(log);
	if (n && (data[0] & 1 ? machine_replay_bytes(m, data + 1, n - 1, true, &e)
			      : machine_load_bytes(m, data + 1, n - 1, true, &e)) == 0)
		machine_run(m);
	machine_destroy(m);
	return 0;
}
