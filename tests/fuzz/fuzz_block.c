/*
 * Any bytes as a disk image of any format: refused with a reason, or read and written at random without harm to this process
 * (the sanitizers see to that), and every sector that could be written reads back as it was written.
 *
 * First byte: which format (or a guess), and whether to write; the next few: the seed of what is done; the rest: the file.
 */
#include <stdlib.h>
#include "devices/backends/block_internal.h"

#define CAP      (4u << 20)
#define SECTORS  64u
#define REQUESTS 40u

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static void ignore(void *ctx, const char *text)
{
}

static u32 next(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}

/* Places that tables lead to: the start, the end, around powers of two. */
static u64 some_sector(u64 *state, u64 sectors)
{
	u64 at = next(state);
	switch (next(state) % 4) {
	case 0: at %= 256; break;
	case 1: at = sectors - 1 - at % MIN(sectors, 256); break;
	case 2: at = (1ull << at % 40) + at % 3; break;
	default: break;
	}
	return at % sectors;
}

static void use(struct block *b, u64 state)
{
	static u8 in[SECTORS * 512], out[SECTORS * 512];
	u64 sectors = block_sectors(b);
	struct block_report report;
	if (next(&state) % 4 == 0 && block_check(b, next(&state) % 2, &report))
		return;
	for (unsigned i = 0; sectors && i < REQUESTS; i++) {
		u64 lba = some_sector(&state, sectors);
		u32 n = 1 + next(&state) % SECTORS;
		n = (u32)MIN(n, sectors - lba);
		switch (next(&state) % 6) {
		case 0:
			if (block_io(b, BLOCK_FLUSH, 0, 0, NULL))
				i += 5;
			break;
		case 1:
			if (block_io(b, BLOCK_DISCARD, lba, n, NULL))
				i += 5;
			break;
		case 2:
		case 3:
			if (block_io(b, BLOCK_READ, lba, n, in))
				i++;
			break;
		default:
			memset(in, (int)(i + 1), n * 512);
			if (!block_io(b, BLOCK_WRITE, lba, n, in) &&
			    !block_io(b, BLOCK_READ, lba, n, out) && memcmp(in, out, n * 512))
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char *const formats[] = {NULL, "qcow2", "vmdk", "vdi", "vpc", "vhdx", "raw"};
	char err[600] = "";
	if (size < 6)
		return 0;
	u64 bytes = size - 5;
	const struct block_options o = {.path = "fuzz",
					.format = formats[(data[0] & 7) % ARRAY_SIZE(formats)],
					.read_only = data[0] & 8,
					.complain = ignore};
	/* The file may be said to go on: zeroes up to a MiB. */
	u64 whole = bytes + ((u64)(data[0] >> 4) << 16);
	if (whole > CAP)
		return 0;
	struct block_file *f = file_memory(whole, CAP);
	if (!f)
		return 0;
	memcpy(f->mem, data + 5, bytes);
	f->writable = !o.read_only;
	struct block *b = block_of_file(f, &o, err, sizeof(err));
	if (b)
		use(b, le32(data + 1));
	else if (!err[0])
		abort();
	block_close(b);
	return 0;
}
