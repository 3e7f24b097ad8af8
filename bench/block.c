/*
 * The image layer by itself: requests a second and MB/s, one request at a time, as IDE does it.
 * usage: block_bench FILE FORMAT read|write SIZE COUNT [random] [FLUSH-EVERY]
 */
#include <stdio.h>
#include <stdlib.h>
#include "base/host.h"
#include "devices/backends/block.h"

int main(int argc, char **argv)
{
	char err[600];
	if (argc < 6) {
		fprintf(stderr, "usage: block_bench FILE FORMAT read|write SIZE COUNT [random] "
				"[FLUSH-EVERY]\n");
		return 2;
	}
	bool write = !strcmp(argv[3], "write"), random = argc > 6 && !strcmp(argv[6], "random");
	u32 sectors = (u32)atoi(argv[4]) / BLOCK_SECTOR, count = (u32)atoi(argv[5]);
	u32 flush = argc > 6 + random ? (u32)atoi(argv[6 + random]) : 0;
	const struct block_options o = {.path = argv[1], .format = argv[2], .read_only = !write};
	struct block *b = block_open(&o, err, sizeof(err));
	if (!b || !sectors) {
		fprintf(stderr, "block_bench: %s\n", b ? "SIZE is at least 512" : err);
		return 1;
	}
	u8 *data = malloc(sectors * BLOCK_SECTOR);
	memset(data, 0x5a, sectors * BLOCK_SECTOR);
	u64 state = 1, places = block_sectors(b) / sectors, start = host_monotonic_ns();
	for (u32 i = 0; i < count; i++) {
		state = state * 6364136223846793005ull + 1442695040888963407ull;
		struct block_request r = {.op = write ? BLOCK_WRITE : BLOCK_READ,
					  .lba = (random ? (state >> 20) % places : i % places) *
						 sectors,
					  .sectors = sectors,
					  .data = data};
		block_submit(b, &r);
		if (block_wait(b, &r) ||
		    (flush && i % flush == flush - 1 && block_io(b, BLOCK_FLUSH, 0, 0, NULL))) {
			fprintf(stderr, "block_bench: request %u failed\n", i);
			return 1;
		}
	}
	if (write && block_io(b, BLOCK_FLUSH, 0, 0, NULL))
		return 1;
	double s = (double)(host_monotonic_ns() - start) / 1e9;
	printf("%.3f s, %.0f requests/s, %.0f MB/s\n", s, count / s,
	       (double)count * sectors * BLOCK_SECTOR / 1e6 / s);
	block_close(b);
	free(data);
	return 0;
}
